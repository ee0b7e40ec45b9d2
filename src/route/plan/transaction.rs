//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their kin, from their tokens. Whatever is not understood to its last token is left to
//! the primary.

use super::{Isolation, TransactionControl};
use crate::sql::token::Lexed;

/// What a text that begins with one of these verbs does to the transaction; `None` if that is not certain.
pub(super) fn control(lexed: &Lexed<'_>) -> Option<TransactionControl> {
    let word = |at| lexed.name(at);
    let noise = |at: usize| at + usize::from(lexed.is_any(at, &["work", "transaction"]));
    let ends = |at: usize| at == lexed.len();
    match &*word(0)? {
        "begin" => begin(lexed, noise(1)),
        "start" if lexed.is(1, "transaction") => begin(lexed, 2),
        "commit" | "rollback" if lexed.is(1, "prepared") => Some(TransactionControl::TwoPhase),
        "prepare" if lexed.is(1, "transaction") => Some(TransactionControl::TwoPhase),
        "commit" | "end" => chain(lexed, noise(1)).map(|chain| TransactionControl::Commit { chain }),
        "rollback" | "abort" => {
            let at = noise(1);
            if lexed.is(at, "to") {
                let at = at + 1 + usize::from(lexed.is(at + 1, "savepoint"));
                return (lexed.name(at).is_some() && ends(at + 1)).then_some(TransactionControl::RollbackToSavepoint);
            }
            chain(lexed, at).map(|chain| TransactionControl::Rollback { chain })
        }
        "savepoint" => (lexed.name(1).is_some() && ends(2)).then_some(TransactionControl::Savepoint),
        "release" => {
            let at = 1 + usize::from(lexed.is(1, "savepoint"));
            (lexed.name(at).is_some() && ends(at + 1)).then_some(TransactionControl::ReleaseSavepoint)
        }
        _ => None,
    }
}

fn chain(lexed: &Lexed<'_>, at: usize) -> Option<bool> {
    if at == lexed.len() {
        return Some(false);
    }
    let no = usize::from(lexed.is(at + 1, "no"));
    (lexed.is(at, "and") && lexed.is(at + 1 + no, "chain") && lexed.len() == at + 2 + no).then_some(no == 0)
}

fn begin(lexed: &Lexed<'_>, from: usize) -> Option<TransactionControl> {
    let mut read_only = None;
    let mut isolation = Isolation::Unnamed;
    let mut at = from;
    let are = |at: usize, words: &[&str]| words.iter().enumerate().all(|(n, word)| lexed.is(at + n, word));
    while at < lexed.len() {
        at += usize::from(at > from && lexed.sign(at) == Some(','));
        at += if are(at, &["read", "only"]) {
            read_only = Some(true);
            2
        } else if are(at, &["read", "write"]) {
            read_only = Some(false);
            2
        } else if are(at, &["deferrable"]) {
            1
        } else if are(at, &["not", "deferrable"]) {
            2
        } else if are(at, &["isolation", "level", "read", "committed"]) {
            isolation = Isolation::ReadCommitted;
            4
        } else if are(at, &["isolation", "level", "read", "uncommitted"])
            || are(at, &["isolation", "level", "repeatable", "read"])
        {
            isolation = Isolation::Other;
            4
        } else if are(at, &["isolation", "level", "serializable"]) {
            isolation = Isolation::Other;
            3
        } else {
            return None;
        };
    }
    Some(TransactionControl::Begin { plain: from == lexed.len(), read_only, isolation })
}
