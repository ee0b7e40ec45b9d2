//! Where one message ends and the next begins: a tag byte and a length that counts itself (PostgreSQL's
//! documentation, "Message Formats"). Lengths come from outside and are hostile until checked.

/// Bytes of a message's tag and length.
pub const HEADER: usize = 5;

/// The longest frontend message that PostgreSQL takes (`PQ_LARGE_MESSAGE_LIMIT` in libpq.h): one byte short of 1 GiB.
pub const LARGE_MESSAGE_LIMIT: usize = 0x3FFF_FFFE;

/// The longest frontend message of the kinds that carry no data (`PQ_SMALL_MESSAGE_LIMIT` in libpq.h).
pub const SMALL_MESSAGE_LIMIT: usize = 10_000;

/// A message's tag and the bytes that it takes in all, header included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message's kind.
    pub tag: u8,
    /// Bytes of the whole frame: at least [`HEADER`].
    pub len: usize,
}

/// A length that no sane peer sends; the connection cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid message length {length} for message type {:?}", *tag as char)]
pub struct BadLength {
    /// The message's kind.
    pub tag: u8,
    /// The length as sent.
    pub length: u32,
}

/// Reads the header at the start of `bytes`; `None` while fewer than five bytes are there.
///
/// # Errors
/// A length below 4, or one byte longer than `limit` says for the tag.
pub fn header(bytes: &[u8], limit: impl Fn(u8) -> usize) -> Result<Option<Header>, BadLength> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(len) if len >= 4 && len <= limit(tag) => Ok(Some(Header { tag, len: len + 1 })),
        _ => Err(BadLength { tag, length }),
    }
}

/// How long a frontend message of this kind may be, as `SocketBackend` in postgres.c allows.
pub fn frontend_limit(tag: u8) -> usize {
    match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => LARGE_MESSAGE_LIMIT,
        _ => SMALL_MESSAGE_LIMIT,
    }
}

/// How long a backend message may be: PostgreSQL itself stays below 1 GiB (`MaxAllocSize`).
pub fn backend_limit(_tag: u8) -> usize {
    0x4000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_hostile() {
        let frame = |length: u32| {
            let [a, b, c, d] = length.to_be_bytes();
            header(&[b'S', a, b, c, d], frontend_limit)
        };
        for bad in [0, 3, 10_001, i32::MAX as u32, u32::MAX] {
            assert!(frame(bad).is_err(), "{bad}");
        }
        assert_eq!(frame(4), Ok(Some(Header { tag: b'S', len: 5 })));
        assert_eq!(header(b"S\0\0\0", frontend_limit), Ok(None));
    }
}
