//! The client's end of a session: its stream and the bytes read and to be written. Knows frames, not requests.

use crate::wire::frame::{BadLength, HEADER, Header, frontend_limit, header};
use crate::wire::stream::Stream;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes that are asked for in one read: first, and after a client has filled read upon read.
const READ: usize = 4 * 1024;
const READ_MOST: usize = 64 * 1024;

/// Output beyond this is written before more is made.
const OUTPUT_HIGH: usize = 64 * 1024;

/// Buffers larger than this are given back while a session idles.
const IDLE_KEEPS: usize = 4 * 1024;

/// Bytes of one unsynchronised batch that are gathered before they are sent on without waiting for its end.
const BATCH_LIMIT: usize = 16 * 1024 * 1024;

/// A client's stream with its buffers.
#[derive(Debug)]
pub struct Client {
    pub stream: Stream,
    /// Read and not yet taken.
    pub input: BytesMut,
    /// To be written.
    pub output: BytesMut,
    /// How far `input` was scanned for the end of the next unit.
    scanned: usize,
    /// Bytes to ask for in the next read.
    asks: usize,
}

/// What ends the messages that are dealt with together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitEnd {
    /// A `Query` alone.
    Query,
    /// An extended batch up to its `Sync` (a `Flush` right before it counts as nothing).
    Sync,
    /// An extended batch so far, whose answers the client waits for.
    Flush,
    /// An extended batch so far: a `Query` or `FunctionCall` follows without a `Sync`, or it is too long to gather.
    Open,
    /// A `FunctionCall` alone.
    Call,
    /// `CopyData`, `CopyDone` or `CopyFail` outside of a copy: PostgreSQL ignores them.
    Stray,
    /// `Terminate`.
    Terminate,
}

/// The next messages to deal with: how they end, and their bytes in `input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    pub end: UnitEnd,
    pub len: usize,
}

/// Frames that cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// A length outside PostgreSQL's bounds.
    #[error("{0}")]
    Length(#[from] BadLength),
    /// A tag that no frontend sends.
    #[error("invalid frontend message type {0}")]
    Tag(u8),
}

impl Client {
    pub fn new(stream: Stream) -> Self {
        Client { stream, input: BytesMut::new(), output: BytesMut::new(), scanned: 0, asks: READ }
    }

    /// The next unit, if all of it is there.
    ///
    /// # Errors
    /// A frame that PostgreSQL would end the connection for.
    pub fn unit(&mut self) -> Result<Option<Unit>, BadFrame> {
        let end = |scanned: &mut usize, end, len| {
            *scanned = 0;
            Ok(Some(Unit { end, len }))
        };
        loop {
            let at = self.scanned;
            let Some(next) = header(&self.input[at..], frontend_limit)? else { return Ok(None) };
            let after = at + next.len;
            let open = at > 0;
            match next.tag {
                // A COMMIT that is executed has committed, though the client leaves without its Sync.
                b'Q' | b'F' | b'd' | b'c' | b'f' | b'X' if open => return end(&mut self.scanned, UnitEnd::Open, at),
                b'X' => return end(&mut self.scanned, UnitEnd::Terminate, after),
                // As soon as it is seen: its length means nothing.
                tag if !is_frontend(tag) => return Err(BadFrame::Tag(tag)),
                _ if after > self.input.len() => {
                    if open && at > BATCH_LIMIT {
                        return end(&mut self.scanned, UnitEnd::Open, at);
                    }
                    return Ok(None);
                }
                b'Q' => return end(&mut self.scanned, UnitEnd::Query, after),
                b'F' => return end(&mut self.scanned, UnitEnd::Call, after),
                b'd' | b'c' | b'f' => return end(&mut self.scanned, UnitEnd::Stray, after),
                b'S' => return end(&mut self.scanned, UnitEnd::Sync, after),
                b'H' => {
                    if self.input[after..].starts_with(b"S\0\0\0\x04") {
                        return end(&mut self.scanned, UnitEnd::Sync, after + HEADER);
                    }
                    return end(&mut self.scanned, UnitEnd::Flush, after);
                }
                _ => self.scanned = after,
            }
        }
    }

    /// What the client has asked for before it left, without an end.
    pub fn last_unit(&mut self) -> Option<Unit> {
        let len = std::mem::take(&mut self.scanned);
        (len > 0).then_some(Unit { end: UnitEnd::Open, len })
    }

    /// Takes the unit's bytes out of the input.
    pub fn take(&mut self, unit: Unit) -> Bytes {
        self.input.split_to(unit.len).freeze()
    }

    /// Forgets the unit's bytes.
    pub fn discard(&mut self, unit: Unit) {
        self.input.advance(unit.len);
    }

    /// Reads more; `false` at the end of the stream.
    pub async fn read(&mut self) -> io::Result<bool> {
        if self.input.capacity() - self.input.len() < self.asks / 2 {
            self.input.reserve(self.asks);
        }
        let room = self.input.capacity() - self.input.len();
        let read = match self.stream.read_buf(&mut self.input).await {
            // TLS is told of the end otherwise than by the socket's: a client that was killed says nothing.
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        if read == room {
            self.asks = (self.asks * 2).min(READ_MOST);
        }
        Ok(read > 0)
    }

    /// Returns once the client has left without asking for anything. What it sends is kept, within a bound; past it
    /// its end is not heard.
    pub async fn left(&mut self) {
        while self.input.len() < READ_MOST {
            match self.read().await {
                Ok(true) => {}
                // Whoever says goodbye asks for nothing; whoever has asked may be done with sending alone.
                Ok(false) if !self.input.is_empty() && self.input[0] != b'X' => break,
                Ok(false) | Err(_) => return,
            }
        }
        std::future::pending().await
    }

    /// Writes all output.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all_buf(&mut self.output).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }

    /// Whether so much waits that it should be written first.
    pub fn is_full(&self) -> bool {
        self.output.len() > OUTPUT_HIGH
    }

    /// Gives large buffers back before a wait that may be long.
    pub fn rest(&mut self) {
        if self.input.is_empty() && self.input.capacity() > IDLE_KEEPS {
            self.input = BytesMut::new();
            self.asks = READ;
        }
        if self.output.is_empty() && self.output.capacity() > IDLE_KEEPS {
            self.output = BytesMut::new();
        }
    }
}

/// Whether frontends send messages of this kind once they are authenticated.
fn is_frontend(tag: u8) -> bool {
    // As a pattern and not as a search: it is asked of every message.
    matches!(tag, b'Q' | b'F' | b'd' | b'c' | b'f' | b'S' | b'H' | b'P' | b'B' | b'D' | b'E' | b'C')
}

/// The frames of a unit, each with its tag and body. They were checked when the unit was found.
pub fn frames(unit: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let next = header(rest, frontend_limit).ok()??;
        let (frame, tail) = rest.split_at_checked(next.len)?;
        rest = tail;
        Some((next, &frame[HEADER..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    fn client(bytes: &[u8]) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _in = runtime.enter();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut client = Client::new(Stream::Unix(ours));
        client.input.extend_from_slice(bytes);
        client
    }

    const SYNC: &[u8] = b"S\0\0\0\x04";
    const FLUSH: &[u8] = b"H\0\0\0\x04";
    const DESCRIBE: &[u8] = b"D\0\0\0\x06P\0";
    const QUERY: &[u8] = b"Q\0\0\0\x05\0";

    fn ends(bytes: &[u8]) -> Vec<(UnitEnd, usize)> {
        let mut client = client(bytes);
        let mut all = Vec::new();
        while let Some(unit) = client.unit().unwrap() {
            all.push((unit.end, unit.len));
            client.discard(unit);
        }
        all
    }

    #[test]
    fn units_end_where_the_client_waits() {
        assert_eq!(ends(&[DESCRIBE, SYNC, QUERY].concat()), [(UnitEnd::Sync, 12), (UnitEnd::Query, 6)]);
        assert_eq!(ends(&[DESCRIBE, FLUSH, DESCRIBE].concat()), [(UnitEnd::Flush, 12)]);
        assert_eq!(ends(&[DESCRIBE, &SYNC[..3]].concat()), []);
    }

    #[test]
    fn g16_a_flush_right_before_sync_counts_as_nothing() {
        assert_eq!(ends(&[DESCRIBE, FLUSH, SYNC].concat()), [(UnitEnd::Sync, 17)]);
    }

    #[test]
    fn r16_a_query_inside_an_unsynced_batch_ends_the_unit_before_it() {
        assert_eq!(ends(&[DESCRIBE, QUERY].concat()), [(UnitEnd::Open, 7), (UnitEnd::Query, 6)]);
    }

    #[test]
    fn unknown_tags_end_the_connection() {
        assert_eq!(client(b"p\0\0\0\x04").unit(), Err(BadFrame::Tag(b'p')));
        assert!(client(b"S\0\0\0\x02").unit().is_err());
    }

    #[test]
    fn scanning_resumes_where_it_stopped() {
        let mut client = client(DESCRIBE);
        assert_eq!(client.unit(), Ok(None));
        client.input.extend_from_slice(SYNC);
        assert_eq!(client.unit(), Ok(Some(Unit { end: UnitEnd::Sync, len: 12 })));
    }
}
