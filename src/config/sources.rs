//! Where values come from: flags, then environment, then the file, then the default. Knows names, not meanings.

use super::error::{ConfigError, Origin};
use super::rules::{route_rules, ttl_rules};
use super::settings::{Count, Fallback, SETTINGS, Secrecy, Setting, setting};
use super::{RouteRule, Texts, TtlRule};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The values of one source, by setting.
type Values = BTreeMap<&'static str, Vec<String>>;

/// What the command line gave. Holds secrets, so it cannot be printed.
#[derive(Clone, Default)]
pub struct Flags {
    /// The configuration file.
    pub file: Option<PathBuf>,
    values: Values,
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Flags { file: matches.get_one::<PathBuf>("config").cloned(), values: Values::new() };
        for setting in SETTINGS.iter().filter(|s| !s.flag.is_empty()) {
            if let Some(given) = matches.get_many::<String>(setting.key) {
                flags.values.insert(setting.key, given.cloned().collect());
            }
        }
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = clap::Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .global(true)
            .help("The configuration file (TOML) [env: SIDECACHE_CONFIG]");
        SETTINGS.iter().filter(|s| !s.flag.is_empty()).fold(command.arg(file), |command, setting| {
            let action = match setting.count {
                Count::One => clap::ArgAction::Set,
                Count::Many => clap::ArgAction::Append,
            };
            let default = match setting.fallback {
                Fallback::Value(value) => format!(" [default: {value}]"),
                Fallback::Required(_) => " [required]".to_owned(),
                Fallback::Absent(_) => String::new(),
            };
            let help = format!("{} [env: {}]{default}", setting.doc, setting.environment());
            let arg = clap::Arg::new(setting.key).long(setting.flag).value_name(setting.value);
            command.arg(arg.action(action).global(true).help(help))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// What the names of variables begin with.
const PREFIX: &str = "SIDECACHE_";

/// Variables that are no settings: the file's path, and those that tests read.
const NO_SETTINGS: [&str; 10] =
    ["CONFIG", "TEST_DISABLE", "BIN", "BLESS", "DRIVERS", "FUZZ_SECONDS", "PG_BIN", "REFUSED", "SCRIPTS", "SEEDS"];

/// Whether the environment has no variable of ours that nobody would read.
///
/// # Errors
/// The first that no setting has.
pub fn known_variables(environment: impl IntoIterator<Item = (String, String)>) -> Result<(), ConfigError> {
    let mut environment = environment.into_iter();
    let unknown = environment.find(|(name, value)| {
        let ours = name.strip_prefix(PREFIX).filter(|_| !value.is_empty());
        let is_setting = || SETTINGS.iter().any(|setting| setting.environment() == *name);
        ours.is_some_and(|rest| !NO_SETTINGS.contains(&rest) && !is_setting() && !is_kubernetes(rest, value))
    });
    let Some((name, _)) = unknown else { return Ok(()) };
    let meant = meant(&name[PREFIX.len()..]).map(|key| setting(key).environment());
    Err(ConfigError::UnknownVariable { name, meant })
}

/// Kubernetes tells every container of services this way, and one may well be called `sidecache`.
fn is_kubernetes(rest: &str, value: &str) -> bool {
    let after_port = rest.split_once("PORT_").map(|(_, after)| after.trim_start_matches(|c: char| c.is_ascii_digit()));
    let of_port = after_port.is_some_and(|after| ["_TCP", "_UDP", "_SCTP"].iter().any(|kind| after.starts_with(kind)));
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    of_port || is_address || rest.contains("SERVICE_HOST") || rest.contains("SERVICE_PORT")
}

/// A configuration file, its keys checked against the settings.
#[derive(Debug, Default)]
struct File {
    path: PathBuf,
    values: Values,
    ttl: Vec<TtlRule>,
    route: Vec<RouteRule>,
}

/// All sources, the strongest first.
pub(super) struct Sources<'a> {
    flags: &'a Flags,
    environment: &'a dyn Fn(&str) -> Option<String>,
    file: File,
}

/// The values of one setting and where they were given. Never empty.
pub(super) struct Given {
    setting: &'static Setting,
    pub values: Vec<String>,
    origin: Origin,
}

impl Given {
    /// The error that says so.
    pub fn wrong(&self, value: &str, reason: impl Into<String>) -> ConfigError {
        let shown = show(self.setting.secrecy, value);
        ConfigError::Value { key: self.setting.key, shown, origin: self.origin.clone(), reason: reason.into() }
    }
}

impl<'a> Sources<'a> {
    /// Reads the file, if one is named.
    pub fn open(flags: &'a Flags, environment: &'a dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let path =
            flags.file.clone().or_else(|| environment("SIDECACHE_CONFIG").filter(|p| !p.is_empty()).map(PathBuf::from));
        let file = path.map(|path| File::read(&path)).transpose()?.unwrap_or_default();
        Ok(Sources { flags, environment, file })
    }

    /// The values of a setting, or nothing if it is off.
    pub fn given(&self, key: &str) -> Result<Option<Given>, ConfigError> {
        let setting = setting(key);
        let found = |values, origin| Ok(Some(Given { setting, values, origin }));
        if let Some(values) = self.flags.values.get(key) {
            return found(values.clone(), Origin::Flag(setting.flag));
        }
        let variable = setting.environment();
        // An empty variable is how compose files and shells say "not given".
        if let Some(text) = (self.environment)(&variable).filter(|text| !text.is_empty()) {
            let values = match setting.count {
                Count::One => vec![text],
                Count::Many => items(setting, &text),
            };
            return found(values, Origin::Environment(variable));
        }
        if let Some(values) = self.file.values.get(key) {
            let given = Given { setting, values: values.clone(), origin: Origin::File(self.file.path.clone()) };
            return match (values.is_empty(), setting.fallback) {
                (false, _) => Ok(Some(given)),
                (true, Fallback::Absent(_)) => Ok(None),
                (true, _) => Err(given.wrong("[]", "must not be empty")),
            };
        }
        match setting.fallback {
            Fallback::Value(value) => found(vec![value.to_owned()], Origin::Default),
            Fallback::Absent(_) => Ok(None),
            Fallback::Required(_) => {
                let how =
                    format!("--{} {}, {variable}, or {key} in the configuration file", setting.flag, setting.value);
                Err(ConfigError::Missing { key: setting.key, how })
            }
        }
    }

    /// What was given for every setting.
    pub fn texts(&self) -> Result<Texts, ConfigError> {
        let given = SETTINGS.iter().map(|setting| Ok((setting.key, self.given(setting.key)?)));
        let given: Result<Vec<_>, ConfigError> = given.collect();
        Ok(Texts(given?.into_iter().filter_map(|(key, given)| Some((key, given?.values))).collect()))
    }

    /// The rules of the file.
    pub fn ttl_rules(&self) -> &[TtlRule] {
        &self.file.ttl
    }

    /// Those for routes.
    pub fn route_rules(&self) -> &[RouteRule] {
        &self.file.route
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::File { path: path.to_owned(), reason: cause.to_string() })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|cause| {
            // Its own rendering shows the line, which may hold a secret.
            let line = cause.span().map_or(0, |span| {
                text.as_bytes()[..span.start.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
            });
            ConfigError::File { path: path.to_owned(), reason: format!("line {line}: {}", cause.message()) }
        })?;
        let mut file = File { path: path.to_owned(), ..File::default() };
        for (key, value) in table {
            match key.as_str() {
                "ttl" => {
                    file.ttl = ttl_rules(value, path)?;
                    continue;
                }
                "route" => {
                    file.route = route_rules(value, path)?;
                    continue;
                }
                _ => {}
            }
            let Some(setting) = SETTINGS.iter().find(|s| s.key == key) else {
                return Err(ConfigError::UnknownKey { meant: meant(&key), key, path: path.to_owned() });
            };
            file.values.insert(setting.key, texts(setting, value, path)?);
        }
        Ok(file)
    }
}

/// What commas separate. In a list of URLs only those do that another URL follows: one may stand in a password.
fn items(setting: &Setting, list: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for part in list.split(',') {
        match items.last_mut() {
            Some(last) if setting.secrecy == Secrecy::Url && !part.trim().is_empty() && !part.contains("://") => {
                last.push(',');
                last.push_str(part.trim_end());
            }
            _ => items.push(part.trim().to_owned()),
        }
    }
    items
}

fn texts(setting: &'static Setting, value: toml::Value, path: &Path) -> Result<Vec<String>, ConfigError> {
    let wrong = |value: &toml::Value, reason: &str| {
        let given = Given { setting, values: Vec::new(), origin: Origin::File(path.to_owned()) };
        given.wrong(value.as_str().unwrap_or(value.type_str()), reason)
    };
    let text = |value: toml::Value| match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        other => Err(wrong(&other, "must be a string, a number or a boolean")),
    };
    match (setting.count, value) {
        (Count::Many, toml::Value::Array(values)) => values.into_iter().map(text).collect(),
        (Count::One, other @ toml::Value::Array(_)) => Err(wrong(&other, "takes one value")),
        (_, single) => Ok(vec![text(single)?]),
    }
}

/// The setting whose name is one typing mistake away, for the message.
fn meant(key: &str) -> Option<&'static str> {
    let plain = |text: &str| text.replace('-', "_").trim_end_matches('s').to_ascii_lowercase();
    let key = plain(key);
    let near = |other: &str| {
        let other = plain(other);
        let same_front = key.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let same_back = key.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
        key.len().abs_diff(other.len()) <= 1 && same_front + same_back + 1 >= key.len().max(other.len())
    };
    SETTINGS.iter().map(|s| s.key).find(|other| near(other))
}

/// The value as it may be shown.
pub(super) fn show(secrecy: Secrecy, value: &str) -> String {
    match secrecy {
        Secrecy::Open => format!("{value:?}"),
        // A wrong URL cannot be split into its parts with certainty, so one that may hold a password is not shown.
        Secrecy::Url if value.contains('@') || value.contains("password") => match value.split_once("://") {
            Some((scheme, _)) if scheme.len() < 12 && scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
                format!("\"{scheme}://***\"")
            }
            _ => "\"***\"".to_owned(),
        },
        Secrecy::Url => format!("{value:?}"),
        Secrecy::Hidden => "\"***\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        File::parse(text, Path::new("c.toml")).unwrap_err().to_string()
    }

    #[test]
    fn unknown_keys_are_refused_and_near_ones_named() {
        assert_eq!(refused("staleness_ms = 5"), "staleness_ms (from c.toml): no such setting");
        assert_eq!(refused("replica = []"), "replica (from c.toml): no such setting (is `replicas` meant?)");
        assert_eq!(refused("pool-size = 5"), "pool-size (from c.toml): no such setting (is `pool_size` meant?)");
        assert!(refused("[[ttl]]\ntable = 'a.b'\nttl = '1s'\nbogus = 1").contains("bogus"));
    }

    #[test]
    fn a_broken_file_does_not_show_its_line() {
        let text = refused("redis_secret = \"hunter2\nlisten = []");
        assert!(text.contains("line 1") && !text.contains("hunter2"), "{text}");
        assert!(!refused("redis_secret = ['hunter2']").contains("hunter2"));
        assert!(!refused("redis_secret = 5\nredis_secret = 'hunter2'").contains("hunter2"));
    }

    #[test]
    fn what_may_be_a_password_is_not_shown() {
        assert_eq!(show(Secrecy::Url, "postgres://u:hunter2@h/d"), "\"postgres://***\"");
        assert_eq!(show(Secrecy::Url, "hunter2:x@h"), "\"***\"");
        assert_eq!(show(Secrecy::Url, "postgres://h/d"), "\"postgres://h/d\"");
        assert_eq!(show(Secrecy::Hidden, "hunter2"), "\"***\"");
    }
}
