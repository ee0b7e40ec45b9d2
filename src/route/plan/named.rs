//! PREPARE and EXECUTE, from their tokens: which name they mean, if that is certain, and where the statement begins.

use crate::sql::time_words::holds_time_word;
use crate::sql::token::Lexed;

/// Longer names are cut (`NAMEDATALEN` in pg_config_manual.h).
const NAME_LIMIT: usize = 63;

/// `PREPARE name [ ( types ) ] AS statement`: the name and the statement's place. `None` too for what would be another statement if it were
/// prepared at another time.
pub(super) fn prepared(lexed: &Lexed<'_>) -> Option<(String, usize)> {
    let name = name(lexed, 1)?;
    let mut at = 2;
    if lexed.sign(at) == Some('(') {
        let mut depth = 0i64;
        at = (at..lexed.len()).find(|at| {
            match lexed.sign(*at) {
                Some('(') => depth += 1,
                Some(')') => depth -= 1,
                _ => {}
            }
            depth == 0
        })? + 1;
    }
    let timeless = |at: usize| match lexed.string(at) {
        Some(text) => !holds_time_word(&text),
        // One that cannot be decoded may say anything.
        None => !lexed.raw(at).ends_with('\''),
    };
    (lexed.is(at, "as") && (at..lexed.len()).all(timeless)).then_some((name, at + 1))
}

/// `EXECUTE name [ ( values ) ]`: the name and the place behind it.
pub(super) fn executed(lexed: &Lexed<'_>) -> Option<(String, usize)> {
    name(lexed, 1).map(|name| (name, 2))
}

/// A name that reads alike in all encodings, and is none of those that statements of the protocol have on connections.
fn name(lexed: &Lexed<'_>, at: usize) -> Option<String> {
    let name = lexed.name(at)?;
    let plain = name.is_ascii() && !lexed.raw(at).contains('&') && name.len() <= NAME_LIMIT && !name.starts_with("sc_");
    plain.then(|| name.into_owned())
}
