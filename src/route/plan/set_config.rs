//! `SELECT set_config(name, value, local)`, one or several, and nothing else: what SET does, where values come as parameters. Which
//! setting gets which value is told once the parameters are.

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
}

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
        let name = self.name.read(parameters)??.to_ascii_lowercase();
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
    let (name, at) = argument(lexed, at)?;
    let (value, at) = argument(lexed, at)?;
    let local = match lexed.raw(at).to_ascii_lowercase().as_str() {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    Some((SetConfig { name, value, local }, closed(lexed, at + 1)?))
}

/// One argument, perhaps cast to text, and the place behind its comma.
fn argument(lexed: &Lexed<'_>, at: usize) -> Option<(Argument, usize)> {
    let argument = match lexed.parameter(at) {
        Some(n) => Argument::Parameter(n),
        None => Argument::Text(lexed.string(at)?.into_owned()),
    };
    let cast = lexed.operator(at + 1) == Some("::") && lexed.is_any(at + 2, &["text", "varchar"]);
    let end = if cast { at + 3 } else { at + 1 };
    (lexed.sign(end) == Some(',')).then_some((argument, end + 1))
}
