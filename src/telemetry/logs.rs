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

/// From the quietest on.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What dependencies log at most (`warn`), unless a filter names them: below it some tell statements, literals included.
const OF_OTHERS: usize = 2;

/// A lone word is a level of Sidecache's own. `EnvFilter` would take a mistyped one for the name of a module, and log nothing.
fn parse(filter: &str) -> Result<EnvFilter, BadFilter> {
    let bad = |reason: String| BadFilter { filter: filter.to_owned(), reason };
    // In EnvFilter the last directive for a target counts: what a filter says of a module comes behind what it says of all.
    let (mut all, mut named) = (Vec::new(), Vec::new());
    for part in filter.split(',').map(str::trim) {
        match LEVELS.iter().position(|level| *level == part) {
            Some(at) => {
                all.extend([LEVELS[at.min(OF_OTHERS)].to_owned(), format!("sidecache={part}")]);
            }
            None if part.contains(['=', '[', '{']) => named.push(part.to_owned()),
            None => return Err(bad(format!("{part:?} is not one of {}", LEVELS.join(", ")))),
        }
    }
    all.append(&mut named);
    EnvFilter::try_new(all.join(",")).map_err(|cause| bad(cause.to_string()))
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

    #[test]
    fn a_lone_level_is_sidecaches_own_and_dependencies_stay_at_warn() {
        let parts = |filter: &str| {
            let text = parse(filter).unwrap().to_string();
            text.split(',').map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
        };
        let all = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        assert_eq!(parts("debug"), all(&["sidecache=debug", "warn"]));
        assert_eq!(parts("trace,sidecache::feed=info"), all(&["sidecache=trace", "sidecache::feed=info", "warn"]));
        assert_eq!(parts("sidecache=info,debug"), all(&["sidecache=info", "warn"]));
        assert_eq!(parts("error"), all(&["sidecache=error", "error"]));
        assert_eq!(parts("off"), all(&["sidecache=off", "off"]));
        assert_eq!(parts("info,redis=debug"), all(&["sidecache=info", "redis=debug", "warn"]));
    }
}
