//! LISTEN and UNLISTEN: which channel they name. A name that is not surely read as PostgreSQL reads it is none: the statement is
//! then run where its session has a connection of its own.

use super::Kind;
use crate::sql::token::Lexed;
use crate::sql::words::is_reserved;
use std::sync::Arc;

pub(super) fn listen(lexed: &Lexed<'_>) -> Option<Kind> {
    channel(lexed).map(Kind::Listen)
}

pub(super) fn unlisten(lexed: &Lexed<'_>) -> Option<Kind> {
    if lexed.operator(1) == Some("*") && lexed.len() == 2 {
        return Some(Kind::Unlisten { channel: None });
    }
    channel(lexed).map(|channel| Kind::Unlisten { channel: Some(channel) })
}

/// The one name behind the verb. A name of more than 63 bytes is cut with a notice, an empty one is an error: both are among the doubts.
fn channel(lexed: &Lexed<'_>) -> Option<Arc<str>> {
    let name = lexed.name(1).filter(|name| !name.is_empty() && lexed.len() == 2 && lexed.doubt().is_none())?;
    (!lexed.is_word(1) || !is_reserved(&name)).then(|| name.into())
}
