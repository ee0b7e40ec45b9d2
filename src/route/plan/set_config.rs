//! `SELECT set_config(name, value, local)`, one or several, and nothing else: what SET does, where values come as parameters. Which
//! setting gets which value is told once the parameters are. An UPDATE of `pg_settings` is such a call, too.

use super::{SettingChange, settings};
use crate::sql::list::identifiers;
use crate::sql::token::Lexed;

/// A text that is written in the statement, or comes with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    Text(String),
    /// `$n`, from 1.
    Parameter(u32),
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetConfig {
    name: Argument,
    value: Argument,
    local: bool,
    /// It is a condition on a name in `pg_settings`, and sets nothing where there is none.
    listed: bool,
}

/// Settings that `pg_settings` shows to everybody by exactly these names, in 15 to 18, and that everybody may set at any time.
const LISTED: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_min_messages",
    "constraint_exclusion",
    "cursor_tuple_fraction",
    "DateStyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "effective_cache_size",
    "enable_bitmapscan",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "enable_seqscan",
    "enable_sort",
    "extra_float_digits",
    "from_collapse_limit",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "IntervalStyle",
    "jit",
    "join_collapse_limit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "maintenance_work_mem",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "random_page_cost",
    "row_security",
    "search_path",
    "seq_page_cost",
    "statement_timeout",
    "synchronous_commit",
    "TimeZone",
    "work_mem",
    "xmlbinary",
    "xmloption",
];

impl Argument {
    /// `None`: not given. `Some(None)`: NULL.
    fn read<'a>(&'a self, parameters: &[Option<&'a str>]) -> Option<Option<&'a str>> {
        match self {
            Argument::Text(text) => Some(Some(text)),
            Argument::Parameter(n) => parameters.get(n.checked_sub(1)? as usize).copied(),
        }
    }
}

impl SetConfig {
    /// What the call does; `None` if that is not certain. `parameters`: as texts, NULL as `None`.
    pub fn change(&self, parameters: &[Option<&str>]) -> Option<SettingChange> {
        let name = self.name.read(parameters)??;
        if self.listed && !LISTED.contains(&name) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        if settings::pins(&name).is_some() {
            return None;
        }
        let local = self.local;
        // `set_config_option` takes NULL for the default.
        let Some(value) = self.value.read(parameters)? else { return Some(SettingChange::Reset { name, local }) };
        // The one list that others read by its parts is a list here too, where SET would take it for one name.
        let values = if name == "search_path" { identifiers(value)? } else { vec![value.to_owned()] };
        let text = replay(&name, value);
        Some(SettingChange::Set { name, values, local, text })
    }
}

/// The statement that sets a setting for the session, whatever `standard_conforming_strings` is.
pub fn replay(name: &str, value: &str) -> String {
    let quoted = |text: &str| format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    format!("SELECT pg_catalog.set_config({}, {}, false)", quoted(name), quoted(value))
}

/// The calls that a text consists of. What settings are beside them may be asked too, by `current_setting` with a name.
pub(super) fn set_config(lexed: &Lexed<'_>) -> Option<Vec<SetConfig>> {
    if !lexed.is(0, "select") {
        return None;
    }
    let mut calls = Vec::new();
    let mut at = 1;
    loop {
        let end = match asked(lexed, at) {
            Some(end) => end,
            None => {
                let (call, end) = call(lexed, at)?;
                calls.push(call);
                end
            }
        };
        match lexed.sign(end) {
            Some(',') => at = end + 1,
            _ => return (end == lexed.len() && !calls.is_empty()).then_some(calls),
        }
    }
}

/// `UPDATE pg_settings SET setting = value WHERE name = name`: rules make it `set_config(name, value, false)` for the row of exactly that
/// name (`pg_settings_u` and `pg_settings_n` in system_views.sql).
pub(super) fn update(lexed: &Lexed<'_>) -> Option<SetConfig> {
    let at = if lexed.is(1, "pg_catalog") && lexed.sign(2) == Some('.') { 3 } else { 1 };
    let equals = |at: usize, words: [&str; 2]| {
        lexed.is(at, words[0]) && lexed.is(at + 1, words[1]) && lexed.operator(at + 2) == Some("=")
    };
    if !lexed.is(0, "update") || !lexed.is(at, "pg_settings") || !equals(at + 1, ["set", "setting"]) {
        return None;
    }
    let (value, end) = argument(lexed, at + 4)?;
    if !equals(end, ["where", "name"]) {
        return None;
    }
    let (name, end) = argument(lexed, end + 3)?;
    (end == lexed.len()).then_some(SetConfig { name, value, local: false, listed: true })
}

/// The place behind a function's name and its parenthesis.
fn named(lexed: &Lexed<'_>, at: usize, function: &str) -> Option<usize> {
    let at = if lexed.is(at, "pg_catalog") && lexed.sign(at + 1) == Some('.') { at + 2 } else { at };
    (lexed.is(at, function) && lexed.sign(at + 1) == Some('(')).then_some(at + 2)
}

/// The place behind a call's parenthesis, and its alias.
fn closed(lexed: &Lexed<'_>, at: usize) -> Option<usize> {
    let aliased = lexed.is(at + 1, "as") && lexed.name(at + 2).is_some();
    (lexed.sign(at) == Some(')')).then_some(if aliased { at + 3 } else { at + 1 })
}

/// The place behind `current_setting('name')` with its alias.
fn asked(lexed: &Lexed<'_>, at: usize) -> Option<usize> {
    let at = named(lexed, at, "current_setting")?;
    lexed.string(at)?;
    closed(lexed, at + 1)
}

/// One call with its alias, and the place behind it.
fn call(lexed: &Lexed<'_>, at: usize) -> Option<(SetConfig, usize)> {
    let at = named(lexed, at, "set_config")?;
    let comma = |at: usize| (lexed.sign(at) == Some(',')).then_some(at + 1);
    let (name, at) = argument(lexed, at)?;
    let (value, at) = argument(lexed, comma(at)?)?;
    let at = comma(at)?;
    let local = match lexed.raw(at).to_ascii_lowercase().as_str() {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    Some((SetConfig { name, value, local, listed: false }, closed(lexed, at + 1)?))
}

/// One argument, perhaps cast to text, and the place behind it.
fn argument(lexed: &Lexed<'_>, at: usize) -> Option<(Argument, usize)> {
    let argument = match lexed.parameter(at) {
        Some(n) => Argument::Parameter(n),
        None => Argument::Text(lexed.string(at)?.into_owned()),
    };
    let cast = lexed.operator(at + 1) == Some("::") && lexed.is_any(at + 2, &["text", "varchar"]);
    Some((argument, if cast { at + 3 } else { at + 1 }))
}
