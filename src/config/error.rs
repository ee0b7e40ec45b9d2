//! Why a configuration was refused. Every message names the setting, where it was given, its value and the reason;
//! a secret's value is never among them.

use std::fmt;
use std::path::PathBuf;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line, such as `--staleness`.
    Flag(&'static str),
    /// A variable of the environment.
    Environment(String),
    /// The configuration file.
    File(PathBuf),
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => write!(f, "--{flag}"),
            Origin::Environment(name) => f.write_str(name),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A configuration that will not be run. The process ends with exit code 64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A setting's value cannot be used, alone or beside another.
    #[error("{key} = {shown} (from {origin}): {reason}")]
    Value {
        key: &'static str,
        /// The value as it may be shown: secrets are replaced.
        shown: String,
        origin: Origin,
        reason: String,
    },
    /// A setting without a default was not given.
    #[error("{key} is required: give {how}")]
    Missing { key: &'static str, how: String },
    /// A key of the file that no setting has.
    #[error("{key} (from {}): no such setting{}", path.display(), near(.meant))]
    UnknownKey { key: String, path: PathBuf, meant: Option<&'static str> },
    /// A variable of the environment that no setting has. Its value may be a secret and is not shown.
    #[error("{name} (from the environment): no such setting{}", near(.meant))]
    UnknownVariable { name: String, meant: Option<String> },
    /// The configuration file could not be read, or is not TOML.
    #[error("configuration file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    /// A line of the users file. The line itself is a secret and not shown.
    #[error("users file {}, line {line}: {reason}", path.display())]
    Users { path: PathBuf, line: usize, reason: String },
}

fn near(meant: &Option<impl fmt::Display>) -> String {
    meant.as_ref().map(|key| format!(" (is `{key}` meant?)")).unwrap_or_default()
}
