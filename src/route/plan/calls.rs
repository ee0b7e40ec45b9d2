//! Looks for calls in a text that is not understood, or need not be: every name before a parenthesis. It sees more calls than
//! there are, never fewer written ones; what operators, views and triggers call it does not see.

use super::names::Names;
use super::{PinReason, both, functions};
use crate::catalog::{SearchPath, SessionState, Volatility};
use crate::sql::facts::Name;
use crate::sql::token::Lexed;
use crate::sql::words::calls_nothing;

/// What the calls in a text may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub pin: Option<PinReason>,
    /// A volatile function of the user's is called: it may write anything and change the catalog.
    pub user_volatile: bool,
    /// A name that the catalog does not know as function, relation or type.
    pub unknown: bool,
}

/// Looks through a text.
pub(super) fn calls(lexed: &Lexed<'_>, path: &SearchPath, names: &dyn Names) -> Calls {
    let mut found = Calls::default();
    if lexed.has_escaped_names() {
        found = Calls { pin: Some(PinReason::Opaque), user_volatile: true, unknown: true };
    }
    for at in 0..lexed.len() {
        if lexed.sign(at + 1) != Some('(') {
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
        if overloads.iter().any(|f| f.session_state == SessionState::MayMove) {
            found.pin = both(found.pin, Some(PinReason::Opaque));
        }
        found.unknown |=
            overloads.is_empty() && names.relation(&name, path).is_none() && names.type_oid(&name, path).is_none();
    }
    found
}
