//! The settings of one session: what it set, how that is put back on another connection, and what of it decides an
//! answer. Knows nothing of connections; every change comes from a statement that has succeeded.

use super::date_style::{self, DateStyle};
use super::expected::{MOST_OWN, Own, OwnSetting};
use super::values::{boolean, milliseconds};
use crate::cache::key::compose_inputs;
use crate::catalog::SearchPath;
use crate::route::plan::{Encoding, SettingChange, replay};
use crate::sql::list::{cut, identifiers};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A setting as this session has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The statement that sets it, to be run on another connection.
    pub replay: Arc<str>,
    /// Its values as PostgreSQL read them.
    pub values: Vec<String>,
    /// The statement that set the role in which it was made, if one was set.
    pub role: Option<Arc<str>>,
}

/// What sessions of one user and database start with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// `search_path`, as a list.
    pub search_path: Vec<String>,
    /// `default_transaction_isolation` is `read committed`.
    pub read_committed: bool,
    /// `standard_conforming_strings` is on.
    pub standard_strings: bool,
    /// `default_transaction_read_only` is off.
    pub read_write: bool,
    /// `client_encoding`.
    pub encoding: Encoding,
    /// `role`, if it is not the user's own.
    pub role: Option<String>,
}

/// By which an answer comes with its notices or without: it has a place in keys, though texts mean the same.
const TOLD: &str = "client_min_messages";

/// Settings that cannot change the bytes of an answer, so that they have no place in a key.
const HARMLESS: &[&str] = &[
    "application_name",
    "deadlock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "log_min_duration_statement",
    "log_min_messages",
    "log_statement",
    "statement_timeout",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "transaction_timeout",
];

/// Settings that RESET ALL leaves as they are (`GUC_NO_RESET_ALL` in guc.c).
const KEPT_BY_RESET_ALL: &[&str] = &[
    "role",
    "seed",
    "session_authorization",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
];

/// What `role` is while it is the user's own.
pub(super) const NO_ROLE: &str = "none";

/// Settings that decide texts and that names tell by themselves.
const READ_APART: &[&str] = &["client_encoding", "role", "standard_conforming_strings"];

type Map = BTreeMap<String, Setting>;

/// The settings of one session.
#[derive(Debug, Clone)]
pub struct Settings {
    baseline: Arc<Baseline>,
    user: String,
    /// From the startup message: what RESET returns to.
    start: Map,
    /// Set for the session.
    current: Map,
    /// Set for this transaction alone; nothing where it is back to what sessions start with.
    local: BTreeMap<String, Option<Setting>>,
    /// `current` as it was when the transaction began, if it changed since.
    before: Option<Map>,
    own: Own,
    /// What every request asks, worked out when something changes.
    is_plain: bool,
    /// `idle_in_transaction_session_timeout`, `idle_session_timeout` and `statement_timeout`, as the session has set them, in milliseconds;
    /// zero for none.
    patience: [u32; 3],
    encoding: Encoding,
}

/// Whether RESET ALL leaves a setting as it is.
pub(super) fn is_kept_by_reset_all(name: &str) -> bool {
    KEPT_BY_RESET_ALL.contains(&name)
}

/// Zero is none.
fn limit(millis: u32) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis.into()))
}

/// A setting as it means the same on any connection, given what was set before it and at the session's start.
fn whole(name: &str, setting: Setting, before: Option<&Setting>, start: Option<&Setting>) -> Setting {
    if name != date_style::NAME {
        return setting;
    }
    let known = DateStyle::of(before).zip(DateStyle::of(start));
    let whole = known.and_then(|(before, start)| before.then(start, &setting.values));
    whole.map_or(setting, DateStyle::setting)
}

impl Settings {
    /// A session as its startup message asks for; parameters that are not settings are left out by the caller.
    pub fn new(user: &str, parameters: &[(String, String)], baseline: Arc<Baseline>) -> Self {
        let mut start = Map::new();
        for (name, value) in parameters {
            let name = name.to_ascii_lowercase();
            let values = match name.as_str() {
                "search_path" => identifiers(value).unwrap_or_default(),
                _ => vec![value.clone()],
            };
            let setting = Setting { replay: replay(&name, value).into(), values, role: None };
            let setting = whole(&name, setting, start.get(&name), None);
            start.insert(name, setting);
        }
        let current = start.clone();
        let (local, before) = (BTreeMap::new(), None);
        let mut settings = Settings {
            baseline,
            user: user.to_owned(),
            current,
            start,
            local,
            before,
            own: Own::default(),
            is_plain: false,
            patience: [0; 3],
            encoding: Encoding::Unknown,
        };
        settings.changed();
        settings
    }

    /// The baseline, once it is known.
    pub fn rest_on(&mut self, baseline: Arc<Baseline>) {
        self.baseline = baseline;
        self.changed();
    }

    /// Whether the startup message gave such a setting.
    pub fn starts_with(&self, is: impl Fn(&str) -> bool) -> bool {
        self.start.keys().any(|name| is(name))
    }

    /// The same session as it began.
    pub fn at_start(&self) -> Self {
        Settings { current: self.start.clone(), local: BTreeMap::new(), before: None, ..self.clone() }
    }

    /// What a text means, beside its names, by settings that the session has made, as bytes.
    pub fn texts(&self) -> Box<[u8]> {
        let mut out = Vec::new();
        let names: BTreeSet<&String> = self.current.keys().chain(self.local.keys()).collect();
        for name in names.into_iter().filter(|name| Self::decides_texts(name) && !READ_APART.contains(&name.as_str())) {
            if let Some(setting) = self.effective(name) {
                // Neither a name nor a value holds a zero.
                for part in std::iter::once(name).chain(&setting.values) {
                    out.extend_from_slice(part.as_bytes());
                    out.push(0);
                }
                out.push(0);
            }
        }
        out.into()
    }

    /// Whether what a text means, beside its names, changes with this setting.
    pub fn decides_texts(name: &str) -> bool {
        name != "search_path" && !name.contains('.') && name != TOLD && !HARMLESS.contains(&name)
    }

    /// Whether the session has set this itself, now or at its start.
    pub fn sets(&self, name: &str) -> bool {
        self.effective(&name.to_ascii_lowercase()).is_some()
    }

    /// What the session's connection must carry between transactions.
    pub fn current(&self) -> &Map {
        &self.current
    }

    /// A statement succeeded that changed settings. `in_transaction`: a ROLLBACK would undo it.
    pub fn apply(&mut self, change: &SettingChange, in_transaction: bool) {
        let local = matches!(change, SettingChange::Set { local: true, .. } | SettingChange::Reset { local: true, .. });
        let local = local || is_mode(change);
        if in_transaction && !local && self.before.is_none() {
            self.before = Some(self.current.clone());
        }
        match change {
            SettingChange::Set { name, values, text, .. } => {
                self.own.set(name);
                let role = self.effective("role").filter(|_| name != "role");
                let role = role.and_then(|role| role.values.first()).map(|role| replay("role", role).into());
                let setting = Setting { replay: text.as_str().into(), values: values.clone(), role };
                let setting = whole(name, setting, self.effective(name), self.start.get(name));
                if !local {
                    self.local.remove(name);
                    self.current.insert(name.clone(), setting);
                } else if in_transaction {
                    self.local.insert(name.clone(), Some(setting));
                }
            }
            SettingChange::Reset { name, local: true } => {
                if in_transaction {
                    self.local.insert(name.clone(), self.start.get(name).cloned());
                }
            }
            SettingChange::Reset { name, local: false } => {
                self.local.remove(name);
                match self.start.get(name) {
                    Some(start) => self.current.insert(name.clone(), start.clone()),
                    None => self.current.remove(name),
                };
            }
            SettingChange::ResetAll => {
                let mut kept = std::mem::replace(&mut self.current, self.start.clone());
                kept.retain(|name, _| is_kept_by_reset_all(name));
                self.current.extend(kept);
                self.local.retain(|name, _| is_kept_by_reset_all(name));
            }
            SettingChange::DiscardAll => {
                self.current = self.start.clone();
                self.local.clear();
            }
        }
        self.changed();
    }

    /// The transaction ended. Whether that changed a setting.
    pub fn ended(&mut self, committed: bool) -> bool {
        let before = self.before.take().filter(|_| !committed);
        if let Some(sure) = &mut self.own.sure {
            sure.retain(|name| before.is_none() && !self.local.contains_key(name));
        }
        if self.local.is_empty() && before.is_none() {
            return false;
        }
        self.local.clear();
        if let Some(before) = before {
            self.current = before;
        }
        self.changed();
        true
    }

    fn changed(&mut self) {
        self.is_plain = self.is("default_transaction_isolation", "read committed", self.baseline.read_committed)
            && !self.is_on("default_transaction_read_only", !self.baseline.read_write)
            && self.effective("transaction_isolation").is_none()
            && self.effective("session_authorization").is_none();
        let patience = |name: &str| {
            let set = self.effective(name).and_then(|setting| setting.values.first());
            set.and_then(|value| milliseconds(value)).unwrap_or(0)
        };
        self.patience =
            ["idle_in_transaction_session_timeout", "idle_session_timeout", "statement_timeout"].map(patience);
        self.encoding = match self.effective("client_encoding").map(|setting| setting.values.as_slice()) {
            None => self.baseline.encoding,
            Some([name]) => Encoding::named(name),
            Some(_) => Encoding::Unknown,
        };
    }

    /// Whether the session starts in a role that is not its user's own.
    pub fn starts_in_a_role(&self) -> bool {
        self.baseline.role.is_some() || self.start.contains_key("role")
    }

    /// Whether a role is set.
    pub fn has_role(&self) -> bool {
        let role = self.effective("role").and_then(|role| role.values.first());
        role.is_some_and(|role| !role.eq_ignore_ascii_case(NO_ROLE))
    }

    /// Whether a rollback to a savepoint could undo settings that we cannot tell.
    pub fn changed_in_transaction(&self) -> bool {
        self.before.is_some() || !self.local.is_empty()
    }

    fn effective(&self, name: &str) -> Option<&Setting> {
        self.local.get(name).map_or_else(|| self.current.get(name), Option::as_ref)
    }

    /// A setting of the users' own, by its name in lower case.
    pub fn own(&self, name: &str) -> OwnSetting<'_> {
        let Own { touched, sure } = &self.own;
        match self.effective(name).map(|setting| setting.values.as_slice()) {
            _ if sure.as_ref().is_some_and(|sure| !sure.contains(name)) => OwnSetting::Uncertain,
            Some([value]) => OwnSetting::Set(value),
            None if !touched.contains(name) && touched.len() < MOST_OWN => OwnSetting::Unset,
            _ => OwnSetting::Uncertain,
        }
    }

    /// Something ran that may have set any of the users' own settings.
    pub fn doubt_own(&mut self) {
        self.own.sure = Some(BTreeSet::new());
    }

    fn is(&self, name: &str, value: &str, otherwise: bool) -> bool {
        self.effective(name).map_or(otherwise, |setting| match setting.values.as_slice() {
            [given] => given.eq_ignore_ascii_case(value),
            _ => false,
        })
    }

    /// Of a boolean.
    fn is_on(&self, name: &str, otherwise: bool) -> bool {
        let values = self.effective(name).map(|setting| setting.values.as_slice());
        values.map_or(otherwise, |values| values.first().and_then(|value| boolean(value)).unwrap_or(otherwise))
    }

    /// How long the session wants to be left in silence at most, by its own settings.
    pub fn patience(&self, in_transaction: bool) -> Option<Duration> {
        let [within, outside, _] = self.patience;
        limit(if in_transaction { within } else { outside })
    }

    /// How long a statement may take, by the session's own settings.
    pub fn statement_timeout(&self) -> Option<Duration> {
        limit(self.patience[2])
    }

    /// The role whose privileges count.
    pub fn role(&self) -> &str {
        match self.effective("role").map(|setting| setting.values.as_slice()) {
            Some([role]) if role != NO_ROLE => role,
            None => self.baseline.role.as_ref().unwrap_or(&self.user),
            _ => &self.user,
        }
    }

    /// Whether transactions that begin now are READ COMMITTED and may write.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Of the client's texts.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether a backslash is an ordinary character in a string.
    pub fn standard_strings(&self) -> bool {
        self.is_on("standard_conforming_strings", self.baseline.standard_strings)
    }

    /// The schemas that names are looked up in.
    pub fn search_path(&self) -> SearchPath {
        let path = self.effective("search_path").map_or(&self.baseline.search_path, |setting| &setting.values);
        let schema = |name: &String| if name == "$user" { self.role().to_owned() } else { cut(name).to_owned() };
        SearchPath(path.iter().map(schema).filter(|name| !name.is_empty()).collect())
    }

    /// All that can change an answer, as bytes for a key: user, role, search path and every other setting that is not proven
    /// harmless.
    pub fn key(&self, database: &str, out: &mut Vec<u8>) {
        let path = self.search_path().0;
        let mut all: BTreeMap<&str, &Setting> = BTreeMap::new();
        for name in self.current.keys().chain(self.local.keys()) {
            if !HARMLESS.contains(&name.as_str()) && name != "search_path" && name != "role" {
                all.extend(self.effective(name).map(|setting| (name.as_str(), setting)));
            }
        }
        let path = path.iter().map(|schema| ("search_path", schema.as_str()));
        let rest =
            all.iter().flat_map(|(name, setting)| setting.values.iter().map(move |value| (*name, value.as_str())));
        compose_inputs(out, database, self.role(), &self.user, path.chain(rest));
    }
}

/// Whether a setting is a mode of the transaction, with which it ends.
pub(super) fn is_mode(change: &SettingChange) -> bool {
    match change {
        SettingChange::Set { name, .. } | SettingChange::Reset { name, .. } => {
            matches!(name.as_str(), "transaction_isolation" | "transaction_read_only" | "transaction_deferrable")
        }
        SettingChange::ResetAll | SettingChange::DiscardAll => false,
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
