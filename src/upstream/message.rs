//! Backend messages as Sidecache itself reads them: at login, on an idle connection, in the replication stream. What
//! a server sends is as untrusted as what a client sends: nothing here panics or reads past its frame. Knows no state.

use crate::wire::frame::{self, HEADER};
use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub tag: u8,
    /// All of it, header included.
    pub frame: Bytes,
}

impl Message {
    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        self.frame.get(HEADER..).unwrap_or_default()
    }
}

/// Takes the first message out of `input` if it is there as a whole.
///
/// # Errors
/// Its length is below 4 or above `limit`.
pub fn take(input: &mut BytesMut, limit: usize) -> io::Result<Option<Message>> {
    let limit = |tag| limit.min(frame::backend_limit(tag));
    let header = frame::header(input, limit).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(match header {
        Some(header) if input.len() >= header.len => {
            Some(Message { tag: header.tag, frame: input.split_to(header.len).freeze() })
        }
        _ => None,
    })
}

/// The next message, read as needed. Cancelling it loses nothing: what was read stays in `input`.
///
/// # Errors
/// The server closed, the connection failed, or a length is hostile.
pub async fn next<S: AsyncRead + Unpin>(stream: &mut S, input: &mut BytesMut, limit: usize) -> io::Result<Message> {
    loop {
        if let Some(message) = take(input, limit)? {
            return Ok(message);
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
    }
}

/// Splits a zero-terminated string off the front.
pub fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(0, rest)?;
    let (text, tail) = rest.split_at(end);
    *rest = &tail[1..];
    Some(text)
}

/// Splits a big-endian 32-bit number off the front.
pub fn number(rest: &mut &[u8]) -> Option<u32> {
    let (&four, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(four))
}

/// What an ErrorResponse says, where it says it: any field may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Five letters or digits, `XX000` if the server gave no valid ones.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
}

impl ServerError {
    /// Reads the body of an ErrorResponse, however broken.
    pub fn read(mut body: &[u8]) -> Self {
        let (mut sqlstate, mut message) = (None, None);
        while let Some((&kind, rest)) = body.split_first() {
            body = rest;
            let Some(value) = text(&mut body) else { break };
            match kind {
                b'C' if value.len() == 5 && value.iter().all(u8::is_ascii_alphanumeric) => {
                    sqlstate = Some(String::from_utf8_lossy(value).into_owned());
                }
                b'M' => message = Some(String::from_utf8_lossy(value).into_owned()),
                _ => {}
            }
        }
        ServerError {
            sqlstate: sqlstate.unwrap_or_else(|| "XX000".to_owned()),
            message: message.unwrap_or_else(|| "the server gave no reason".to_owned()),
        }
    }
}

/// An ErrorResponse of our own, in the form that a server's would have.
pub fn error_response(sqlstate: &str, message: &str) -> Bytes {
    let mut body = Vec::with_capacity(message.len() + 32);
    for (kind, value) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', sqlstate), (b'M', message)] {
        body.push(kind);
        body.extend(value.bytes().filter(|&byte| byte != 0));
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("an error message of ours is short");
    [&b"E"[..], &length.to_be_bytes(), &body].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_the_buffer_one_by_one() {
        let mut input = BytesMut::from(&b"Z\0\0\0\x05IS\0\0\0\x07a\0b"[..]);
        let first = take(&mut input, 100).unwrap().unwrap();
        assert_eq!((first.tag, first.body()), (b'Z', &b"I"[..]));
        assert_eq!(take(&mut input, 100).unwrap().unwrap().body(), b"a\0b");
        assert_eq!(take(&mut input, 100).unwrap(), None);
    }

    #[test]
    fn r25_lengths_that_no_server_sends_are_errors() {
        for length in [0u32, 3, 101, i32::MAX as u32, u32::MAX] {
            let mut input = BytesMut::from(&b"R"[..]);
            input.extend_from_slice(&length.to_be_bytes());
            assert!(take(&mut input, 100).is_err(), "{length}");
        }
    }

    #[test]
    fn r25_an_error_without_fields_still_has_a_state_and_a_message() {
        let nothing = ServerError { sqlstate: "XX000".into(), message: "the server gave no reason".into() };
        for body in [&b""[..], b"\0", b"C", b"C\0M", b"Cbad\0\0", b"C12\xff45\0"] {
            assert_eq!(ServerError::read(body), nothing, "{body:?}");
        }
        let whole = error_response("28000", "no pass\0word");
        let read = ServerError::read(&whole[5..]);
        assert_eq!((read.sqlstate.as_str(), read.message.as_str()), ("28000", "no password"));
        assert_eq!(take(&mut BytesMut::from(&whole[..]), 1000).unwrap().unwrap().frame, whole);
    }
}
