//! The feed on a real primary.

use sidecache::config::Config;

/// A configuration with this primary and defaults.
pub fn config(_primary: &str) -> Config {
    todo!()
}
