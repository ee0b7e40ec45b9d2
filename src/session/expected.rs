//! The users' own settings, by which policies tell tenants apart: how surely a session knows them, and what a connection must hold for an
//! answer to be the one that the session's key stands for. A trigger may have left other values there, or another session before.

use super::Session;
use crate::route::plan::Recipe;
use bytes::BufMut;
use std::collections::BTreeSet;

/// How a setting of the users' own (its name has a dot) stands in this session. It comes into being when it is first set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnSetting<'a> {
    Set(&'a str),
    /// Never set here: what the role or the database gives it, or none at all.
    Unset,
    /// Not known here, or taken back: PostgreSQL then has it empty, and not as if it had never been set.
    Uncertain,
}

/// Names of the users' own settings that a session is known to have set, beyond which nothing is certain of any that is not set.
pub(super) const MOST_OWN: usize = 64;

/// What is remembered of the users' own settings beside their values.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    /// Those that were ever set.
    pub touched: BTreeSet<String>,
    /// A trigger may have set any: those that the session has set since.
    pub sure: Option<BTreeSet<String>>,
}

/// Whether a setting is one of the users' own.
pub(super) fn is_own(name: &str) -> bool {
    name.contains('.')
}

impl Own {
    /// One was set.
    pub fn set(&mut self, name: &str) {
        if !is_own(name) {
            return;
        }
        for names in [Some(&mut self.touched), self.sure.as_mut()].into_iter().flatten() {
            if names.len() < MOST_OWN {
                names.insert(name.to_owned());
            }
        }
    }
}

impl Session {
    /// Names and values as two text arrays, the parameters of a Bind.
    pub(super) fn expected(&self, recipe: &Recipe) -> Vec<u8> {
        let catalog = self.shared.catalog.load();
        let value = |name: &String| match self.settings.own(name) {
            OwnSetting::Set(value) => Some(value.to_owned()),
            _ => catalog.default_setting(&self.account.user, name).map(str::to_owned),
        };
        let names = array(recipe.settings.iter().map(Some));
        texts(&[names, array(recipe.settings.iter().map(value))])
    }
}

/// Parameters of a Bind, all of them texts.
pub(super) fn texts(values: &[String]) -> Vec<u8> {
    let count = u16::try_from(values.len()).expect("we write a few parameters");
    let mut out = vec![0, 0];
    out.put_u16(count);
    for value in values {
        out.put_u32(u32::try_from(value.len()).expect("settings came in frames, whose length has 32 bits"));
        out.put_slice(value.as_bytes());
    }
    out
}

/// As `array_in` in arrayfuncs.c reads it.
pub(super) fn array<T: AsRef<str>>(elements: impl Iterator<Item = Option<T>>) -> String {
    let element = |element: Option<T>| match element {
        Some(text) => format!("\"{}\"", text.as_ref().replace('\\', "\\\\").replace('"', "\\\"")),
        None => "NULL".to_owned(),
    };
    format!("{{{}}}", elements.map(element).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    #[test]
    fn arrays_are_written_as_they_are_read() {
        let elements = [Some("a"), None, Some(""), Some("NULL"), Some("x\\y\"z,{}")];
        let written = super::array(elements.into_iter());
        assert_eq!(written, r#"{"a",NULL,"","NULL","x\\y\"z,{}"}"#);
    }
}
