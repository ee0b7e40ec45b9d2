//! Looks for calls in a text that is not understood, or need not be: every name before a parenthesis. It sees more calls than
//! there are, never fewer written ones; what operators, views and triggers call it does not see.

use super::functions::is_of_grammar;
use super::names::Names;
use super::{PinReason, both, functions};
use crate::catalog::{Function, SearchPath, Volatility};
use crate::sql::facts::Name;
use crate::sql::token::Lexed;
use crate::sql::words::calls_nothing;

/// What the calls in a text may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub pin: Option<PinReason>,
    /// A volatile function of the user's is called: it may write anything.
    pub user_volatile: bool,
    /// And one that may change the catalog.
    pub may_change_catalog: bool,
    /// A name that the catalog does not know as function, relation or type.
    pub unknown: bool,
}

/// Looks through a text.
pub(super) fn calls(lexed: &Lexed<'_>, path: &SearchPath, names: &dyn Names) -> Calls {
    let mut found = Calls::default();
    if lexed.has_escaped_names() {
        found = Calls { pin: Some(PinReason::Opaque), user_volatile: true, may_change_catalog: true, unknown: true };
    }
    for at in 0..lexed.len() {
        if lexed.sign(at + 1) != Some('(') {
            if at > 0 && lexed.sign(at - 1) == Some('.') {
                found.attribute(lexed, at, path, names);
            }
            continue;
        }
        let Some(word) = lexed.name(at) else { continue };
        if lexed.is_word(at) && calls_nothing(&word) {
            continue;
        }
        let schema = match at.checked_sub(2) {
            Some(before) if lexed.sign(at - 1) == Some('.') => lexed.name(before).map(|s| s.into_owned()),
            _ => None,
        };
        found.pin = both(found.pin, functions::pins(&word));
        let name = Name { schema, name: word.into_owned() };
        let overloads = names.functions(&name, path);
        found.user_volatile |= overloads.iter().any(|f| !f.built_in && f.volatility == Volatility::Volatile);
        found.may_change_catalog |= overloads.iter().any(|f| f.may_change_catalog);
        found.pin = overloads.iter().map(|f| functions::pins_by(f.session_state)).fold(found.pin, both);
        let is_grammar =
            name.schema.is_none() && (lexed.is_word(at) && is_of_grammar(&name.name) || names_a_query(lexed, at));
        found.unknown |= overloads.is_empty()
            && !is_grammar
            && names.relation(&name, path).is_none()
            && names.type_oid(&name, path).is_none();
    }
    found
}

impl Calls {
    /// What stands behind a dot may be a function of one argument, called with what stands before it.
    fn attribute(&mut self, lexed: &Lexed<'_>, at: usize, path: &SearchPath, names: &dyn Names) {
        let Some(word) = lexed.name(at) else { return };
        let takes_one = |f: &&&Function| !f.argument_types.is_empty();
        for function in names.functions(&Name::plain(&word), path).iter().filter(takes_one) {
            let pin =
                if function.built_in { functions::pins(&word) } else { functions::pins_by(function.session_state) };
            self.pin = both(self.pin, pin);
            self.user_volatile |= !function.built_in && function.volatility == Volatility::Volatile;
            self.may_change_catalog |= function.may_change_catalog;
        }
    }
}

/// Whether the name before this parenthesis is given to a query, `WITH name (columns) AS (SELECT …`, or follows AS.
fn names_a_query(lexed: &Lexed<'_>, at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    if lexed.is(before, "as") {
        return true;
    }
    let mut columns = at + 2;
    while lexed.name(columns).is_some() && lexed.sign(columns + 1) == Some(',') {
        columns += 2;
    }
    let behind = columns + 2;
    (lexed.is_any(before, &["with", "recursive"]) || lexed.sign(before) == Some(','))
        && lexed.name(columns).is_some()
        && lexed.sign(columns + 1) == Some(')')
        && lexed.is(behind, "as")
        && (lexed.is_any(behind + 1, &["materialized", "not"])
            || lexed.sign(behind + 1) == Some('(') && lexed.is_any(behind + 2, &["select", "with", "table"]))
}
