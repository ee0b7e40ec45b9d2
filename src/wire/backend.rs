//! Backend messages: the few that we write ourselves, and the few whose fields we must read among those we relay.

use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// How grave an error is for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed; the session goes on.
    Error,
    /// The session ends.
    Fatal,
}

/// An error that Sidecache itself tells a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether the session goes on.
    pub severity: Severity,
    /// Five characters, from PostgreSQL's appendix A.
    pub sqlstate: &'static str,
    /// One line, in PostgreSQL's words where it has them.
    pub message: String,
    /// The function that raises it in PostgreSQL: drivers tell errors of one SQLSTATE apart by it.
    pub routine: Option<&'static str>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate)
    }
}

impl Failure {
    /// An error after which the session goes on.
    pub fn error(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Failure { severity: Severity::Error, sqlstate, message: message.into(), routine: None }
    }

    /// An error that ends the session.
    pub fn fatal(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Failure { severity: Severity::Fatal, sqlstate, message: message.into(), routine: None }
    }
}

/// Writes a frame: tag, length, and what `body` appends.
pub fn put_frame(out: &mut BytesMut, tag: u8, body: &[u8]) {
    out.put_u8(tag);
    out.put_u32(u32::try_from(body.len() + 4).expect("our own messages are short"));
    out.put_slice(body);
}

/// Writes an `ErrorResponse`.
pub fn put_failure(out: &mut BytesMut, failure: &Failure) {
    let severity: &[u8] = match failure.severity {
        Severity::Error => b"ERROR",
        Severity::Fatal => b"FATAL",
    };
    let mut body = Vec::with_capacity(64 + failure.message.len());
    let fields =
        [(b'S', severity), (b'V', severity), (b'C', failure.sqlstate.as_bytes()), (b'M', failure.message.as_bytes())];
    let routine = failure.routine.map(|routine| (b'R', routine.as_bytes()));
    for (field, value) in fields.into_iter().chain(routine) {
        body.push(field);
        body.extend(value.iter().filter(|byte| **byte != 0));
        body.push(0);
    }
    body.push(0);
    put_frame(out, b'E', &body);
}

/// An `ErrorResponse`.
pub fn failure_frame(failure: &Failure) -> Bytes {
    let mut out = BytesMut::new();
    put_failure(&mut out, failure);
    out.freeze()
}

/// Writes a `NoticeResponse` of severity NOTICE.
pub fn put_notice(out: &mut BytesMut, sqlstate: &str, message: &str) {
    let mut body = format!("SNOTICE\0VNOTICE\0C{sqlstate}\0M").into_bytes();
    body.extend(message.bytes().filter(|byte| *byte != 0));
    body.extend_from_slice(b"\0\0");
    put_frame(out, b'N', &body);
}

/// Writes a server's `ErrorResponse` as one that ends the session: its body with the severity raised.
pub fn put_raised(out: &mut BytesMut, body: &[u8]) {
    let mut raised = Vec::with_capacity(body.len());
    for field in body.split(|byte| *byte == 0) {
        match field.first() {
            Some(letter @ (b'S' | b'V')) => raised.extend_from_slice(&[&[*letter], &b"FATAL\0"[..]].concat()),
            Some(_) => raised.extend_from_slice(&[field, b"\0"].concat()),
            None => {}
        }
    }
    raised.push(0);
    put_frame(out, b'E', &raised);
}

/// Writes a `CommandComplete`.
pub fn put_complete(out: &mut BytesMut, tag: &str) {
    let mut body = tag.as_bytes().to_vec();
    body.push(0);
    put_frame(out, b'C', &body);
}

/// Writes a `ParameterStatus`.
pub fn put_parameter(out: &mut BytesMut, name: &str, value: &str) {
    let mut body = Vec::with_capacity(name.len() + value.len() + 2);
    body.extend_from_slice(name.as_bytes());
    body.push(0);
    body.extend_from_slice(value.as_bytes());
    body.push(0);
    put_frame(out, b'S', &body);
}

/// Writes a `ReadyForQuery` with the transaction status `I`, `T` or `E`.
pub fn put_ready(out: &mut BytesMut, status: u8) {
    out.put_slice(&[b'Z', 0, 0, 0, 5, status]);
}

/// `ParseComplete`.
pub const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
/// `BindComplete`.
pub const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";
/// `CloseComplete`.
pub const CLOSE_COMPLETE: &[u8] = b"3\0\0\0\x04";

/// A field of an `ErrorResponse` or `NoticeResponse` body.
pub fn error_field(body: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = body;
    while let Some((&field, tail)) = rest.split_first() {
        if field == 0 {
            return None;
        }
        let end = memchr::memchr(0, tail)?;
        if field == wanted {
            return Some(&tail[..end]);
        }
        rest = &tail[end + 1..];
    }
    None
}

/// The five characters of an `ErrorResponse` body's SQLSTATE; empty if it has none.
pub fn sqlstate(body: &[u8]) -> &[u8] {
    error_field(body, b'C').unwrap_or_default()
}

/// Name and value of a `ParameterStatus` body.
pub fn parameter(body: &[u8]) -> Option<(String, String)> {
    let mut parts = body.split(|byte| *byte == 0);
    let name = String::from_utf8(parts.next()?.to_vec()).ok()?;
    let value = String::from_utf8_lossy(parts.next()?).into_owned();
    Some((name, value))
}

/// What a client was told of a result: a hash of its columns' names and types, never zero. Formats and origins do not count, as
/// PostgreSQL does not compare them (`RevalidateCachedQuery` in plancache.c, `equalTupleDescs` in tupdesc.c).
/// `body`: of a RowDescription; empty for NoData.
pub fn shape(body: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hash = foldhash::quality::FixedState::default().build_hasher();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some(end) = memchr::memchr(0, rest) {
        // Behind the name: origin (6 bytes), type (4), length (2), modifier (4), format (2).
        let Some((fixed, next)) = rest[end + 1..].split_first_chunk::<18>() else { break };
        hash.write(&rest[..=end]);
        hash.write(&fixed[6..16]);
        rest = next;
    }
    hash.finish().max(1)
}

/// The text of a `DataRow`'s column, if it is there and not NULL.
pub fn column(body: &[u8], index: usize) -> Option<&[u8]> {
    let (&count, mut rest) = body.split_first_chunk::<2>()?;
    for at in 0..usize::from(u16::from_be_bytes(count)) {
        let (&length, tail) = rest.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(length);
        let value = usize::try_from(length).ok();
        let (head, tail) = tail.split_at_checked(value.unwrap_or(0))?;
        if at == index {
            return value.map(|_| head);
        }
        rest = tail;
    }
    None
}

/// The tag of a `CommandComplete` body.
pub fn tag(body: &[u8]) -> &[u8] {
    body.strip_suffix(b"\0").unwrap_or(body)
}

/// A `RowDescription` of one column, of a type that is text in both formats.
pub fn put_column(out: &mut BytesMut, name: &str, oid: u32) {
    let mut body = vec![0, 1];
    body.extend_from_slice(name.as_bytes());
    // No table and no column number; behind the type variable length, no modifier, text format.
    body.extend_from_slice(&[0; 7]);
    body.extend_from_slice(&oid.to_be_bytes());
    body.extend_from_slice(b"\xff\xff\xff\xff\xff\xff\0\0");
    put_frame(out, b'T', &body);
}

/// A `DataRow` of one text.
pub fn put_value(out: &mut BytesMut, value: &str) {
    let mut row = vec![0, 1];
    row.extend_from_slice(&u32::try_from(value.len()).expect("a short value").to_be_bytes());
    row.extend_from_slice(value.as_bytes());
    put_frame(out, b'D', &row);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_without_trust() {
        assert_eq!(sqlstate(b"SERROR\0C25006\0Mno\0\0"), b"25006");
        for hostile in [&b""[..], b"C", b"C25006", b"\0C25006\0", b"M\0"] {
            assert_eq!(sqlstate(hostile), b"", "{hostile:?}");
        }
    }

    #[test]
    fn columns_are_read_without_trust() {
        let row = b"\0\x02\0\0\0\x01a\xff\xff\xff\xff";
        assert_eq!(column(row, 0), Some(&b"a"[..]));
        assert_eq!(column(row, 1), None);
        assert_eq!(column(b"\0\x01\0\0\0\x09a", 0), None);
        assert_eq!(column(b"\xff\xff", 0), None);
    }

    #[test]
    fn a_failure_never_carries_a_nul() {
        let mut out = BytesMut::new();
        put_failure(&mut out, &Failure::fatal("08P01", "a\0b"));
        assert_eq!(error_field(&out[5..], b'M'), Some(&b"ab"[..]));
        assert_eq!(error_field(&out[5..], b'S'), Some(&b"FATAL"[..]));
    }
}
