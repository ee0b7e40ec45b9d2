//! Where log lines go and how they look. Lines are events with fields; secrets are never fields.

use crate::config::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, reload};

/// The filter that was configured says nothing that can be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log_level = {filter:?}: {reason}")]
pub struct BadFilter {
    pub filter: String,
    pub reason: String,
}

/// Log lines go to the standard error from here on. Once for a process; later calls change nothing.
///
/// # Errors
/// The filter is not one.
pub fn start(format: LogFormat, filter: &str) -> Result<Filter, BadFilter> {
    let filter = parse(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let (begun, replace): (_, Replace) = match format {
        LogFormat::Text => {
            let lines = lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            (lines.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            (lines.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
    };
    // Fails only where a subscriber stands already, which then serves as well.
    drop(begun);
    Ok(Filter(replace))
}

type Replace = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Which lines are written. Can be changed while lines are.
pub struct Filter(Replace);

impl Filter {
    /// Another filter from now on.
    ///
    /// # Errors
    /// It is not one; the present one stays.
    pub fn change(&self, filter: &str) -> Result<(), BadFilter> {
        let bad = |cause: reload::Error| BadFilter { filter: filter.to_owned(), reason: cause.to_string() };
        (self.0)(parse(filter)?).map_err(bad)
    }

    /// Whether it could be changed to this.
    ///
    /// # Errors
    /// It is not a filter.
    pub fn check(filter: &str) -> Result<(), BadFilter> {
        parse(filter).map(drop)
    }
}

/// A lone word must be a level: `EnvFilter` would take a mistyped one for the name of a module, and log nothing.
fn parse(filter: &str) -> Result<EnvFilter, BadFilter> {
    let bad = |reason: String| BadFilter { filter: filter.to_owned(), reason };
    let level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word.trim());
    match filter.split(',').find(|part| !part.contains(['=', '[', '{']) && !level(part)) {
        Some(word) => Err(bad(format!("{word:?} is not one of off, error, warn, info, debug, trace"))),
        None => EnvFilter::try_new(filter).map_err(|cause| bad(cause.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_level_is_refused_and_not_taken_for_a_module() {
        for good in ["info", "sidecache=debug", "warn,sidecache::session=trace", "off"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["inof", "", "sidecache=loud", "info,verbose"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
