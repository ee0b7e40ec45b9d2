//! SET, RESET and SHOW, from their tokens: which setting gets which value, if that is certain. What is not
//! certain leaves the session opaque.

use super::{PinReason, SettingChange};
use crate::sql::identity::strip;
use crate::sql::token::Lexed;

/// What a text that begins with SET does, as far as it is a setting and certain.
pub(super) fn set(lexed: &Lexed<'_>) -> Option<SettingChange> {
    let scope = usize::from(lexed.is_any(1, &["local", "session"]));
    let local = lexed.is(1, "local");
    let at = 1 + scope;
    let one = |name: &str, at: usize| {
        let value = value(lexed, at)?;
        (value.1 == lexed.len()).then(|| change(lexed, name, vec![value.0], local)).flatten()
    };
    if lexed.is(at, "time") && lexed.is(at + 1, "zone") {
        if at + 3 == lexed.len() && lexed.is_any(at + 2, &["local", "default"]) {
            return Some(SettingChange::Reset { name: "timezone".to_owned(), local });
        }
        return one("timezone", at + 2);
    }
    if lexed.is(at, "names") {
        if at + 1 == lexed.len() || (at + 2 == lexed.len() && lexed.is(at + 1, "default")) {
            return Some(SettingChange::Reset { name: "client_encoding".to_owned(), local });
        }
        return one("client_encoding", at + 1);
    }
    if lexed.is(at, "schema") && lexed.string(at + 1).is_some() {
        return one("search_path", at + 1);
    }
    if lexed.is(at, "role") && !is_assignment(lexed, at + 1) {
        return one("role", at + 1);
    }
    if lexed.is(1, "session") && lexed.is(2, "authorization") {
        if lexed.len() == 4 && lexed.is(3, "default") {
            return Some(SettingChange::Reset { name: "session_authorization".to_owned(), local });
        }
        return (lexed.len() == 4)
            .then(|| change(lexed, "session_authorization", vec![value(lexed, 3)?.0], false))
            .flatten();
    }
    if lexed.is(at, "local") && lexed.is(at + 1, "authorization") {
        return None;
    }
    assignment(lexed, at, local)
}

/// Why a change of this setting ties the session to its connection.
pub(super) fn pins(name: &str) -> Option<PinReason> {
    match name {
        // Who the session is decides more than settings do.
        "session_authorization" => Some(PinReason::SessionAuthorization),
        // The seed of random() cannot be read back to be replayed, and DISCARD ALL leaves it as it is.
        "seed" => Some(PinReason::Lasting),
        _ => None,
    }
}

/// `name TO value, …`.
fn assignment(lexed: &Lexed<'_>, at: usize, local: bool) -> Option<SettingChange> {
    let (name, at) = setting_name(lexed, at)?;
    if !is_assignment(lexed, at) {
        return None;
    }
    let mut at = at + 1;
    if lexed.is(at, "default") && at + 1 == lexed.len() {
        return Some(SettingChange::Reset { name, local });
    }
    let mut values = Vec::new();
    loop {
        let (value, next) = value(lexed, at)?;
        values.push(value);
        if next == lexed.len() {
            return change(lexed, &name, values, local);
        }
        if lexed.sign(next) != Some(',') {
            return None;
        }
        at = next + 1;
    }
}

fn is_assignment(lexed: &Lexed<'_>, at: usize) -> bool {
    lexed.is(at, "to") || lexed.operator(at) == Some("=")
}

/// The canonical name of a setting, in lower case, and the place behind it.
fn setting_name(lexed: &Lexed<'_>, at: usize) -> Option<(String, usize)> {
    let mut name = lexed.name(at)?.to_ascii_lowercase();
    let mut at = at + 1;
    while lexed.sign(at) == Some('.') {
        name = format!("{name}.{}", lexed.name(at + 1)?.to_ascii_lowercase());
        at += 2;
    }
    Some((name, at))
}

/// One value and the place behind it.
fn value(lexed: &Lexed<'_>, at: usize) -> Option<(String, usize)> {
    if let Some(sign @ ("-" | "+")) = lexed.operator(at) {
        let number = lexed.number(at + 1)?;
        return Some((if sign == "-" { format!("-{number}") } else { number.to_owned() }, at + 2));
    }
    let text = lexed.string(at).or_else(|| lexed.name(at));
    let text = text.map(|t| t.into_owned()).or_else(|| lexed.number(at).map(str::to_owned))?;
    Some((text, at + 1))
}

/// A change with its text to replay. A backslash would read differently under another `standard_conforming_strings`.
fn change(lexed: &Lexed<'_>, name: &str, values: Vec<String>, local: bool) -> Option<SettingChange> {
    let text = strip(lexed.source(), true).identity.into_owned();
    (!text.contains('\\')).then(|| SettingChange::Set { name: name.to_owned(), values, local, text })
}

/// What a text that begins with RESET does.
pub(super) fn reset(lexed: &Lexed<'_>) -> Option<SettingChange> {
    let reset = |name: &str| Some(SettingChange::Reset { name: name.to_owned(), local: false });
    match lexed.len() {
        2 if lexed.is(1, "all") => Some(SettingChange::ResetAll),
        3 if lexed.is(1, "time") && lexed.is(2, "zone") => reset("timezone"),
        3 if lexed.is(1, "session") && lexed.is(2, "authorization") => reset("session_authorization"),
        4 if lexed.is(1, "transaction") => reset("transaction_isolation"),
        _ => {
            let (name, end) = setting_name(lexed, 1)?;
            (end == lexed.len()).then_some(SettingChange::Reset { name, local: false })
        }
    }
}

/// The setting that a text that begins with SHOW asks for.
pub(super) fn show(lexed: &Lexed<'_>) -> Option<String> {
    match lexed.len() {
        3 if lexed.is(1, "time") && lexed.is(2, "zone") => Some("timezone".to_owned()),
        3 if lexed.is(1, "session") && lexed.is(2, "authorization") => Some("session_authorization".to_owned()),
        4 if lexed.is(1, "transaction") => Some("transaction_isolation".to_owned()),
        _ => {
            let (name, end) = setting_name(lexed, 1)?;
            (end == lexed.len()).then_some(name)
        }
    }
}
