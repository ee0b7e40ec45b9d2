//! PostgreSQL's streaming replication protocol, as much as one logical stream needs: identify, make a temporary slot,
//! start, then read messages and confirm positions. Knows no output plugin's format and nothing of commits.
//!
//! The reader keeps only the first [`KEPT`] bytes of a message and throws the rest away as it arrives, so that a row of a
//! gigabyte costs no memory. Reading and confirming are two halves, so that neither ever waits for the other.

use super::{LeaseError, Upstream, login};
use crate::types::Lsn;
use crate::wire::frame::{self, BadLength, HEADER};
use crate::wire::stream::Stream;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// Bytes of each message that are kept.
pub const KEPT: usize = 8 * 1024;

/// Bytes of an error or a row of an answer that are read before the connection is given up.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Bytes asked of the socket at once.
const CHUNK: usize = 64 * 1024;

/// Seconds from 1970 to 2000, where PostgreSQL's time begins.
const POSTGRES_EPOCH_SECONDS: u64 = 946_684_800;

/// What a connection for this protocol must be started with, beside user and database. A slot waits for every transaction that
/// holds an xid: it does so at most 5 s, and tries again. The sender's own timeout is set since some owners switch it off, and then a
/// hung reader would hold back the checkpointer.
pub const STARTUP: [(&str, &str); 3] = [
    ("replication", "database"),
    ("options", "-c lock_timeout=5000 -c wal_sender_timeout=60000 -c statement_timeout=0"),
    ("application_name", "sidecache stream"),
];

/// Why the stream could not be had, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// The socket failed.
    #[error("replication connection: {0}")]
    Io(#[from] std::io::Error),
    /// The server closed the connection.
    #[error("the server closed the replication connection")]
    Closed,
    /// The server answered with an error.
    #[error("{message} ({sqlstate})")]
    Server { sqlstate: String, message: String },
    /// A length that no sane server sends.
    #[error(transparent)]
    Length(#[from] BadLength),
    /// Something else than the protocol allows here.
    #[error("unexpected in the replication protocol: {0}")]
    Protocol(&'static str),
}

impl ReplicationError {
    /// The SQLSTATE, where the server gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            ReplicationError::Server { sqlstate, .. } => Some(sqlstate),
            _ => None,
        }
    }
}

/// What `IDENTIFY_SYSTEM` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// `pg_control_system().system_identifier`.
    pub identifier: String,
    pub timeline: u32,
    /// How far the WAL is flushed.
    pub flushed: Lsn,
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `XLogData`: what the output plugin wrote, or the first [`KEPT`] bytes of it.
    Data { start: Lsn, payload: Bytes },
    /// The sender has decoded everything before `end`.
    KeepAlive { end: Lsn, reply: Reply },
}

/// Whether the other side wants to hear from this one at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Wanted,
    NotWanted,
}

/// An authenticated connection with `replication=database`, before the stream.
#[derive(Debug)]
pub struct ReplicationConnection {
    stream: Stream,
    input: BytesMut,
}

impl ReplicationConnection {
    /// Takes over a connection that was started with [`STARTUP`] and is ready for a query; `input` holds what was read and not consumed.
    pub fn new(stream: Stream, input: BytesMut) -> Self {
        ReplicationConnection { stream, input }
    }

    /// # Errors
    /// The socket's, the server's, or an answer that makes no sense.
    pub async fn identify(&mut self) -> Result<System, ReplicationError> {
        let row = self.one_row("IDENTIFY_SYSTEM").await?;
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        let read = || {
            Some(System {
                identifier: text(0)?.to_owned(),
                timeline: text(1)?.parse().ok()?,
                flushed: text(2)?.parse().ok()?,
            })
        };
        read().ok_or(ReplicationError::Protocol("IDENTIFY_SYSTEM"))
    }

    /// Makes a slot that goes with this connection, and says from where on every commit will be told: its consistent point.
    ///
    /// # Errors
    /// As above; SQLSTATE 55P03 where a transaction that holds an xid did not end in time.
    pub async fn create_slot(&mut self, name: &SlotName, plugin: &str) -> Result<Lsn, ReplicationError> {
        // The form without parentheses is the one that all of 13 to 18 take.
        let sql = format!("CREATE_REPLICATION_SLOT \"{}\" TEMPORARY LOGICAL {plugin} NOEXPORT_SNAPSHOT", name.0);
        let row = self.one_row(&sql).await?;
        let point = row.get(1).and_then(Option::as_deref).and_then(|text| text.parse().ok());
        point.ok_or(ReplicationError::Protocol("CREATE_REPLICATION_SLOT"))
    }

    /// Runs a query of SQL, which a connection to a database allows, and gives its first row.
    ///
    /// # Errors
    /// As above; also where there is no row.
    pub async fn one_row(&mut self, sql: &str) -> Result<Vec<Option<String>>, ReplicationError> {
        self.send_query(sql).await?;
        let mut row = None;
        loop {
            let (tag, body) = self.answer().await?;
            match tag {
                b'D' if row.is_none() => row = Some(data_row(body)?),
                b'E' => {
                    let error = server_error(&body);
                    self.until_ready().await?;
                    return Err(error);
                }
                b'Z' => return row.ok_or(ReplicationError::Protocol("an answer without a row")),
                b'T' | b'C' | b'D' | b'N' | b'S' => {}
                _ => return Err(ReplicationError::Protocol("an answer's message type")),
            }
        }
    }

    /// Starts the stream at `from` with the plugin's options.
    ///
    /// # Errors
    /// As above.
    pub async fn start(
        mut self,
        slot: &SlotName,
        from: Lsn,
        options: &[(&str, &str)],
    ) -> Result<(Reader, Confirmer), ReplicationError> {
        let options: Vec<String> = options.iter().map(|(name, value)| format!("\"{name}\" '{value}'")).collect();
        let sql = format!("START_REPLICATION SLOT \"{}\" LOGICAL {from} ({})", slot.0, options.join(", "));
        self.send_query(&sql).await?;
        loop {
            let (tag, body) = self.answer().await?;
            match tag {
                b'W' => break,
                b'E' => return Err(server_error(&body)),
                b'N' | b'S' => {}
                _ => return Err(ReplicationError::Protocol("no CopyBoth")),
            }
        }
        let (read, write) = tokio::io::split(self.stream);
        Ok((Reader { read, input: self.input, skip: 0 }, Confirmer { write }))
    }

    async fn send_query(&mut self, sql: &str) -> Result<(), ReplicationError> {
        let mut frame = BytesMut::with_capacity(sql.len() + HEADER + 1);
        frame.put_u8(b'Q');
        let length = u32::try_from(sql.len() + 5).map_err(|_| ReplicationError::Protocol("a query's length"))?;
        frame.put_u32(length);
        frame.put_slice(sql.as_bytes());
        frame.put_u8(0);
        self.stream.write_all(&frame).await?;
        Ok(self.stream.flush().await?)
    }

    async fn until_ready(&mut self) -> Result<(), ReplicationError> {
        while self.answer().await?.0 != b'Z' {}
        Ok(())
    }

    /// The next message of an answer, whole.
    async fn answer(&mut self) -> Result<(u8, Bytes), ReplicationError> {
        loop {
            if let Some(header) = frame::header(&self.input, |_| LONGEST_ANSWER)?
                && self.input.len() >= header.len
            {
                let mut whole = self.input.split_to(header.len);
                whole.advance(HEADER);
                return Ok((header.tag, whole.freeze()));
            }
            self.input.reserve(CHUNK);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(ReplicationError::Closed);
            }
        }
    }
}

/// The name of a temporary slot, made by this process alone: `[a-z0-9_]` throughout, so it needs no escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotName(String);

impl SlotName {
    /// A name that no other instance and no earlier attempt of this one has.
    pub fn unique(random: u64) -> Self {
        SlotName(format!("sidecache_{}_{random:016x}", std::process::id()))
    }

    /// As `pg_replication_slots.slot_name` shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The reading half: whoever has it must read without pause, since a sender that waits holds back the database.
#[derive(Debug)]
pub struct Reader {
    read: ReadHalf<Stream>,
    input: BytesMut,
    /// Bytes still to come of a message whose beginning was enough.
    skip: usize,
}

impl Reader {
    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The end of the stream, whatever its cause.
    pub async fn next(&mut self) -> Result<Message, ReplicationError> {
        loop {
            let skipped = self.skip.min(self.input.len());
            self.input.advance(skipped);
            self.skip -= skipped;
            if self.skip == 0
                && let Some(message) = self.buffered()?
            {
                return Ok(message);
            }
            self.input.reserve(CHUNK);
            if self.read.read_buf(&mut self.input).await? == 0 {
                return Err(ReplicationError::Closed);
            }
        }
    }

    /// A message whose kept part is in the buffer.
    fn buffered(&mut self) -> Result<Option<Message>, ReplicationError> {
        while let Some(header) = frame::header(&self.input, frame::backend_limit)? {
            let kept = header.len.min(KEPT);
            if self.input.len() < kept {
                return Ok(None);
            }
            let mut head = self.input.split_to(kept);
            self.skip = header.len - kept;
            head.advance(HEADER);
            let skipped = self.skip.min(self.input.len());
            self.input.advance(skipped);
            self.skip -= skipped;
            match header.tag {
                b'd' => return copy_data(head.freeze()).map(Some),
                b'E' => return Err(server_error(&head)),
                b'N' | b'S' if self.skip == 0 => {}
                b'N' | b'S' => return Ok(None),
                b'c' | b'C' | b'Z' => return Err(ReplicationError::Closed),
                _ => return Err(ReplicationError::Protocol("a stream's message type")),
            }
        }
        Ok(None)
    }
}

fn copy_data(mut body: Bytes) -> Result<Message, ReplicationError> {
    const SHORT: ReplicationError = ReplicationError::Protocol("a short message");
    match body.try_get_u8().map_err(|_| SHORT)? {
        b'w' => {
            let start = body.try_get_u64().map_err(|_| SHORT)?;
            let _end_and_time = body.try_get_u128().map_err(|_| SHORT)?;
            Ok(Message::Data { start: Lsn::new(start), payload: body })
        }
        b'k' => {
            let end = body.try_get_u64().map_err(|_| SHORT)?;
            let _time = body.try_get_u64().map_err(|_| SHORT)?;
            let reply = if body.try_get_u8().map_err(|_| SHORT)? == 0 { Reply::NotWanted } else { Reply::Wanted };
            Ok(Message::KeepAlive { end: Lsn::new(end), reply })
        }
        _ => Err(ReplicationError::Protocol("a stream message's kind")),
    }
}

/// The confirming half.
#[derive(Debug)]
pub struct Confirmer {
    write: WriteHalf<Stream>,
}

impl Confirmer {
    /// Says that everything before `position` has been received, and may ask the sender to answer with its own position.
    ///
    /// # Errors
    /// The socket's.
    pub async fn confirm(&mut self, position: Lsn, reply: Reply) -> Result<(), ReplicationError> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        let mut frame = BytesMut::with_capacity(39);
        frame.put_u8(b'd');
        frame.put_u32(38);
        frame.put_u8(b'r');
        for _written_flushed_applied in 0..3 {
            frame.put_u64(position.bytes());
        }
        frame.put_u64(micros.saturating_sub(POSTGRES_EPOCH_SECONDS * 1_000_000));
        frame.put_u8(u8::from(reply == Reply::Wanted));
        self.write.write_all(&frame).await?;
        Ok(self.write.flush().await?)
    }
}

fn data_row(mut body: Bytes) -> Result<Vec<Option<String>>, ReplicationError> {
    const BAD: ReplicationError = ReplicationError::Protocol("a DataRow");
    let count = body.try_get_u16().map_err(|_| BAD)?;
    let mut row = Vec::new();
    for _ in 0..count {
        let length = body.try_get_i32().map_err(|_| BAD)?;
        row.push(match usize::try_from(length) {
            Err(_) => None,
            Ok(length) if length <= body.len() => Some(String::from_utf8_lossy(&body.split_to(length)).into_owned()),
            Ok(_) => return Err(BAD),
        });
    }
    Ok(row)
}

fn server_error(body: &[u8]) -> ReplicationError {
    let (mut sqlstate, mut message) = (String::new(), String::new());
    for field in body.split(|&byte| byte == 0) {
        match field.split_first() {
            Some((b'C', text)) => sqlstate = String::from_utf8_lossy(text).into_owned(),
            Some((b'M', text)) => message = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    ReplicationError::Server { sqlstate, message }
}

impl Upstream {
    /// A connection to the primary for replication, as the primary URL's user to its database.
    ///
    /// # Errors
    /// As for any connection.
    pub async fn replication(&self) -> Result<ReplicationConnection, LeaseError> {
        let (account, database) = (self.own_account(), self.own_database());
        let opened = login::connect(self.primary().target(), account, database, &STARTUP).await?;
        Ok(ReplicationConnection::new(opened.stream, opened.input))
    }
}

#[cfg(test)]
#[path = "replication_tests.rs"]
mod tests;
