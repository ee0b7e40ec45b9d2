//! What the output plugin `test_decoding` writes, one line a change, read into commits: where each ended, which
//! transaction it was, and which relations it names. Rows are not read: only the names before the first column.
//!
//! Knows no socket and no catalog. The text comes from outside, and whatever is not understood makes its commit
//! [`Names::Everything`]; nothing here panics. Memory is bounded: a transaction of any size keeps each name once.

use crate::types::{Lsn, Xid};
use std::collections::HashSet;

/// The most relations that one commit lists; beyond it, the commit is taken to touch everything.
pub const MOST_NAMES: usize = 1024;

/// The prefix of messages (`pg_logical_emit_message`) by which the event triggers of `sidecache setup` tell of DDL.
pub const DDL_PREFIX: &str = "sidecache.ddl";

/// A relation as the stream names it, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QualifiedName {
    /// `pg_namespace.nspname`.
    pub schema: String,
    /// `pg_class.relname`.
    pub name: String,
}

/// What a commit's bracket held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// No change of a row: as a rule, the catalog was changed. (A transaction that changed nothing decodable and no catalog has no
    /// bracket at all: row locks, unlogged tables, sequences, a bare transaction id. And one that changed the catalog beside rows
    /// looks like any other, unless it says so.)
    Empty,
    /// Changes of these relations.
    Listed(Vec<QualifiedName>),
    /// Changes of these relations, and of definitions: the event triggers of `sidecache setup` say so.
    Definitions(Vec<QualifiedName>),
    /// Something that was not understood, or too many relations to list.
    Everything(Unclear),
}

/// Why a commit is taken to touch everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unclear {
    /// A line that `test_decoding` does not write, or that was cut before its names ended.
    Line,
    /// A line outside any transaction, a transaction inside another, an end that fits no beginning.
    Bracket,
    /// A name that is not UTF-8, so that it cannot be held against the catalog.
    Encoding,
    /// More than [`MOST_NAMES`] relations.
    TooMany,
}

impl Unclear {
    /// The name in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Unclear::Line => "line",
            Unclear::Bracket => "bracket",
            Unclear::Encoding => "encoding",
            Unclear::TooMany => "too_many_relations",
        }
    }
}

/// A commit, in the order of the stream, before its names are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCommit {
    /// Where the commit record ends.
    pub end: Lsn,
    /// Its top-level transaction.
    pub xid: Xid,
    /// What it names.
    pub names: Names,
}

/// A commit whose transaction cannot be known: the stream cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream ended a transaction without naming it")]
pub struct Unnamed;

/// How the names' bytes are encoded. `test_decoding` writes them in the database's own encoding, whatever the client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameEncoding {
    /// The database's encoding is UTF-8.
    Utf8,
    /// Any other: only ASCII is certain.
    Other,
}

/// Collects the lines of the stream into commits.
#[derive(Debug)]
pub struct Assembler {
    encoding: NameEncoding,
    bracket: Bracket,
}

/// Where in the stream we are.
#[derive(Debug)]
enum Bracket {
    Outside,
    /// A line was seen that belongs to no transaction: the next commit may be its own.
    Astray,
    Open {
        xid: Xid,
        touched: Touched,
    },
}

/// The names of one transaction so far, as written: `public."My Table"`.
#[derive(Debug, Default)]
struct Touched {
    names: HashSet<Box<[u8]>, foldhash::fast::RandomState>,
    /// The list that came last: rows come in runs of one relation.
    last: Vec<u8>,
    unclear: Option<Unclear>,
    /// It told of DDL.
    definitions: bool,
}

impl Assembler {
    /// One that stands outside any transaction, as at the start of a stream.
    pub fn new(encoding: NameEncoding) -> Self {
        Assembler { encoding, bracket: Bracket::Outside }
    }

    /// Takes the next line, or as much of it as was kept, with the position that its message carried.
    ///
    /// For COMMIT that position (`dataStart`) is where the commit record *ends*: `ReorderBufferProcessTXN` gives the plugin
    /// `txn->end_lsn` to write under. Seen on 15.18: `pg_waldump` shows a COMMIT record of 46 bytes at 0/1516CA8, `dataStart` was
    /// 0/1516CD8, its aligned end, and so was `pg_current_wal_insert_lsn()` right after.
    ///
    /// # Errors
    /// A commit of which not even the transaction is known.
    pub fn line(&mut self, position: Lsn, line: &[u8]) -> Result<Option<RawCommit>, Unnamed> {
        match Line::read(line) {
            Line::Begin(xid) => {
                let touched = match self.bracket {
                    Bracket::Outside => Touched::default(),
                    Bracket::Astray | Bracket::Open { .. } => Touched::unclear(Unclear::Bracket),
                };
                self.bracket = Bracket::Open { xid, touched };
                Ok(None)
            }
            Line::Commit(xid) => self.commit(position, xid).map(Some),
            Line::Message => Ok(None),
            Line::Definitions => Ok(self.within(|touched| touched.definitions = true)),
            Line::Change(names) => Ok(self.within(|touched| touched.add_list(names))),
            Line::Unknown => Ok(self.within(|touched| touched.unclear = Some(Unclear::Line))),
        }
    }

    /// What belongs to the transaction that is open. It ends none.
    fn within(&mut self, change: impl FnOnce(&mut Touched)) -> Option<RawCommit> {
        match &mut self.bracket {
            Bracket::Open { touched, .. } => change(touched),
            outside => *outside = Bracket::Astray,
        }
        None
    }

    fn commit(&mut self, end: Lsn, named: Option<Xid>) -> Result<RawCommit, Unnamed> {
        let (begun, touched) = match std::mem::replace(&mut self.bracket, Bracket::Outside) {
            Bracket::Open { xid, touched } => (Some(xid), touched),
            Bracket::Outside | Bracket::Astray => (None, Touched::unclear(Unclear::Bracket)),
        };
        let xid = named.or(begun).ok_or(Unnamed)?;
        let names = if begun == Some(xid) && named.is_some() {
            touched.finish(self.encoding)
        } else {
            Names::Everything(Unclear::Bracket)
        };
        Ok(RawCommit { end, xid, names })
    }
}

impl Touched {
    fn unclear(why: Unclear) -> Self {
        Touched { unclear: Some(why), ..Touched::default() }
    }

    /// Adds each name of a list `a.b, c.d`.
    fn add_list(&mut self, list: &[u8]) {
        if self.unclear.is_some() || self.last == list {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(list);
        let mut rest = list;
        loop {
            let Some(len) = qualified_len(rest) else {
                self.unclear = Some(Unclear::Line);
                return;
            };
            let (name, after) = rest.split_at(len);
            self.add(name);
            match after.strip_prefix(b", ") {
                Some(next) => rest = next,
                None => return,
            }
        }
    }

    fn add(&mut self, name: &[u8]) {
        if self.names.contains(name) {
            return;
        }
        if self.names.len() >= MOST_NAMES {
            *self = Touched::unclear(Unclear::TooMany);
        } else {
            self.names.insert(name.into());
        }
    }

    fn finish(self, encoding: NameEncoding) -> Names {
        if let Some(why) = self.unclear {
            return Names::Everything(why);
        }
        let of_names = match self.definitions {
            true => Names::Definitions,
            false if self.names.is_empty() => return Names::Empty,
            false => Names::Listed,
        };
        let read = |raw: &[u8]| {
            if encoding == NameEncoding::Other && !raw.is_ascii() {
                return Err(Unclear::Encoding);
            }
            let text = std::str::from_utf8(raw).map_err(|_| Unclear::Encoding)?;
            let dot = identifier_len(raw).ok_or(Unclear::Line)?;
            let (schema, name) = (text.get(..dot), text.get(dot + 1..));
            let (Some(schema), Some(name)) = (schema, name) else { return Err(Unclear::Line) };
            Ok(QualifiedName { schema: unquote(schema), name: unquote(name) })
        };
        match self.names.iter().map(|raw| read(raw)).collect() {
            Ok(names) => of_names(names),
            Err(why) => Names::Everything(why),
        }
    }
}

/// One line of `test_decoding`, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Begin(Xid),
    /// The transaction, if it could be read.
    Commit(Option<Xid>),
    /// `pg_logical_emit_message`: changes nothing, and since anyone may write one, does not make a bracket any less empty.
    Message,
    /// Such a message under [`DDL_PREFIX`]. Whoever forges it costs hits, as an empty bracket would.
    Definitions,
    /// The list of names, as written.
    Change(&'a [u8]),
    Unknown,
}

impl Line<'_> {
    fn read(line: &[u8]) -> Line<'_> {
        if let Some(rest) = line.strip_prefix(b"table ") {
            return list_of(rest).map_or(Line::Unknown, Line::Change);
        }
        if let Some(rest) = line.strip_prefix(b"BEGIN ") {
            return xid(rest).map_or(Line::Unknown, Line::Begin);
        }
        if let Some(rest) = line.strip_prefix(b"COMMIT ") {
            return if rest.starts_with(b"PREPARED") { Line::Unknown } else { Line::Commit(xid(rest)) };
        }
        if line == b"COMMIT" {
            return Line::Commit(None);
        }
        if let Some(rest) = line.strip_prefix(b"message: transactional: ") {
            let told = rest.strip_prefix(b"1 prefix: ").and_then(|rest| rest.strip_prefix(DDL_PREFIX.as_bytes()));
            return if told.is_some_and(|rest| rest.starts_with(b", sz: ")) {
                Line::Definitions
            } else {
                Line::Message
            };
        }
        Line::Unknown
    }
}

/// A transaction id that fills the rest of the line, or is followed by what older options add in brackets.
fn xid(text: &[u8]) -> Option<Xid> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    if !(rest.is_empty() || rest.starts_with(b" (")) {
        return None;
    }
    std::str::from_utf8(number).ok()?.parse().ok().map(Xid::new)
}

/// The names of a change: what stands before `: INSERT:`, `: UPDATE:`, `: DELETE:` (one) or `: TRUNCATE:` (one or more).
fn list_of(rest: &[u8]) -> Option<&[u8]> {
    let mut end = qualified_len(rest)?;
    let mut count = 1;
    while let Some(next) = rest[end..].strip_prefix(b", ") {
        end += 2 + qualified_len(next)?;
        count += 1;
    }
    let (names, action) = rest.split_at(end);
    let of_one =
        [&b": INSERT:"[..], b": UPDATE:", b": DELETE:"].iter().any(|action_name| action.starts_with(action_name));
    ((of_one && count == 1) || action.starts_with(b": TRUNCATE:")).then_some(names)
}

/// Bytes of the `schema.name` that the text begins with.
fn qualified_len(text: &[u8]) -> Option<usize> {
    let schema = identifier_len(text)?;
    let after = text[schema..].strip_prefix(b".")?;
    Some(schema + 1 + identifier_len(after)?)
}

/// Bytes of the identifier that the text begins with, as `quote_identifier` writes it: bare if it is all of
/// `[a-z_][a-z0-9_]*`, else in double quotes with each inner quote doubled.
fn identifier_len(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => {
            let mut at = 1;
            loop {
                at += memchr::memchr(b'"', &text[at..])? + 1;
                if text.get(at) != Some(&b'"') {
                    // `""` alone is no identifier.
                    return (at > 2).then_some(at);
                }
                at += 1;
            }
        }
        b'a'..=b'z' | b'_' => {
            let bare = |byte: &&u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            Some(text.iter().take_while(bare).count())
        }
        _ => None,
    }
}

fn unquote(identifier: &str) -> String {
    match identifier.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => identifier.to_owned(),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
