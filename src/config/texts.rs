//! What was given for each setting, as text: to tell two configurations apart by name, and to show one to operators. Never
//! shows a secret.

use super::settings::{Change, Count, Fallback, SETTINGS, Secrecy, Setting, setting};
use super::{Config, sources};
use std::collections::BTreeMap;

/// By setting; what is off has none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Texts(pub(super) BTreeMap<&'static str, Vec<String>>);

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Config {
    /// Every setting with its value as it may be shown; nothing for what is off.
    pub fn shown(&self) -> impl Iterator<Item = (&'static Setting, Option<String>)> {
        SETTINGS.iter().map(|setting| {
            let values = self.texts.0.get(setting.key);
            (setting, values.map(|values| shown(setting, values)))
        })
    }

    /// The settings that only a restart would change to what `other` says.
    pub fn needs_restart_for(&self, other: &Config) -> Vec<&'static str> {
        let fixed = SETTINGS.iter().filter(|setting| setting.change == Change::Restart).map(|setting| setting.key);
        fixed.filter(|key| self.texts.0.get(key) != other.texts.0.get(key)).collect()
    }

    /// Takes over what may change while the process runs.
    pub fn adopt(&mut self, other: Config) {
        let Config { users, client_tls, ttl_rules, route_rules, log_level, live, mut texts, .. } = other;
        (self.users, self.client_tls, self.log_level, self.live) = (users, client_tls, log_level, live);
        (self.ttl_rules, self.route_rules) = (ttl_rules, route_rules);
        self.texts.0.retain(|key, _| setting(key).change == Change::Restart);
        texts.0.retain(|key, _| setting(key).change == Change::Reload);
        self.texts.0.append(&mut texts.0);
    }
}

fn shown(setting: &Setting, values: &[String]) -> String {
    let each = values.iter().map(|value| match setting.secrecy {
        Secrecy::Open => value.clone(),
        secrecy => sources::show(secrecy, value).trim_matches('"').to_owned(),
    });
    each.collect::<Vec<_>>().join(match setting.count {
        Count::One => "",
        Count::Many => ",",
    })
}

impl Setting {
    /// The default, as text; nothing where it is off or must be given.
    pub fn default_text(&self) -> Option<&'static str> {
        match self.fallback {
            Fallback::Value(value) => Some(value),
            Fallback::Required(_) | Fallback::Absent(_) => None,
        }
    }
}
