//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their kin, from their tokens. Whatever is not understood to its last token is left to
//! the primary.

use super::{Isolation, SettingChange, TransactionControl};
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

/// A mode of a transaction: the setting of the next ones that tells it, and its value.
type Mode = (&'static str, &'static str);

const READ_ONLY: &str = "default_transaction_read_only";
const ISOLATION: &str = "default_transaction_isolation";
const DEFERRABLE: &str = "default_transaction_deferrable";

/// Each mode by its words.
const MODES: &[(&[&str], Mode)] = &[
    (&["read", "only"], (READ_ONLY, "on")),
    (&["read", "write"], (READ_ONLY, "off")),
    (&["deferrable"], (DEFERRABLE, "on")),
    (&["not", "deferrable"], (DEFERRABLE, "off")),
    (&["isolation", "level", "read", "committed"], (ISOLATION, "read committed")),
    (&["isolation", "level", "read", "uncommitted"], (ISOLATION, "read uncommitted")),
    (&["isolation", "level", "repeatable", "read"], (ISOLATION, "repeatable read")),
    (&["isolation", "level", "serializable"], (ISOLATION, "serializable")),
];

/// All that is left of a text as modes, with commas between them or without.
fn modes(lexed: &Lexed<'_>, from: usize) -> Option<Vec<Mode>> {
    let mut modes = Vec::new();
    let mut at = from;
    while at < lexed.len() {
        at += usize::from(at > from && lexed.sign(at) == Some(','));
        let are = |words: &[&str]| words.iter().enumerate().all(|(n, word)| lexed.is(at + n, word));
        let (words, mode) = MODES.iter().find(|(words, _)| are(words))?;
        modes.push(*mode);
        at += words.len();
    }
    Some(modes)
}

fn begin(lexed: &Lexed<'_>, from: usize) -> Option<TransactionControl> {
    let (mut read_only, mut isolation) = (None, Isolation::Unnamed);
    for mode in modes(lexed, from)? {
        match mode {
            (READ_ONLY, value) => read_only = Some(value == "on"),
            (ISOLATION, "read committed") => isolation = Isolation::ReadCommitted,
            (ISOLATION, _) => isolation = Isolation::Other,
            _ => {}
        }
    }
    Some(TransactionControl::Begin { plain: from == lexed.len(), read_only, isolation })
}

/// What SET SESSION CHARACTERISTICS AS TRANSACTION sets (`ExecSetVariableStmt` in guc.c): what later transactions begin with.
pub(super) fn characteristics(lexed: &Lexed<'_>) -> Option<Vec<SettingChange>> {
    let is_whole = lexed.is(3, "as") && lexed.is(4, "transaction") && lexed.len() > 5;
    let set = |(name, value): Mode| SettingChange::Set {
        name: name.to_owned(),
        values: vec![value.to_owned()],
        local: false,
        text: format!("SET {name} = '{value}'"),
    };
    Some(modes(lexed, 5).filter(|_| is_whole)?.into_iter().map(set).collect())
}
