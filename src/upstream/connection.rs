//! One pooled connection at rest: what it is told while nobody listens, how old it may grow, and what operators are told of
//! it. Does not know the pool.

use super::login::{Opened, parameter};
use super::message::ServerError;
use super::{Account, BackendKey, Carried, Connection, message};
use crate::wire::{backend, frontend};
use bytes::BytesMut;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The longest message that an idle connection may have been sent, in bytes.
const UNSOLICITED_LIMIT: usize = 65_536;

/// How many reads of an idle connection find news before it is taken for broken.
const UNSOLICITED_READS: usize = 64;

/// Room for what is sent that a connection keeps, in bytes.
const OUTPUT_KEEPS: usize = 4 * 1024;

/// Room for what is read that a connection keeps between sessions, in bytes.
const INPUT_KEEPS: usize = 64 * 1024;

/// The longest message of an answer to a question of our own, in bytes, and its most rows.
const ANSWER_LIMIT: usize = 65_536;
const ROWS: usize = 1_000;

/// The columns of a row, as text.
pub(super) type Asked = Vec<Option<String>>;

/// The connection ended, or the server said what it says to no idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// What operators are told of one connection, as long as it lives.
#[derive(Debug)]
pub struct Facts {
    pub user: String,
    pub database: String,
    /// The backend's process.
    pub process: u32,
    pub opened: SystemTime,
    leased: AtomicBool,
}

impl Facts {
    pub(super) fn new(account: &Account, database: &str, key: &BackendKey) -> Arc<Self> {
        Arc::new(Facts {
            user: account.user.clone(),
            database: database.to_owned(),
            process: key.process,
            opened: SystemTime::now(),
            leased: AtomicBool::new(false),
        })
    }

    pub(super) fn lent(&self) {
        self.leased.store(true, Ordering::Relaxed);
    }

    /// Whether a session has it.
    pub fn is_leased(&self) -> bool {
        self.leased.load(Ordering::Relaxed)
    }
}

impl Connection {
    /// Boxed, since it goes from hand to hand with every statement. `since`: when the server's present life was noticed, as
    /// its generation. `paths`: what was known there of changes of paths.
    pub(super) fn new(opened: Opened, generation: u64, paths: u64, facts: Arc<Facts>) -> Box<Self> {
        let Opened { stream, input, key, parameters } = opened;
        let (born, wear) = (Instant::now(), super::watch::random_share());
        Box::new(Connection {
            stream,
            input,
            output: BytesMut::new(),
            key,
            parameters,
            carried: Carried::default(),
            role_news: false,
            generation,
            paths,
            born,
            wear,
            facts,
        })
    }

    /// Keeps the room of what was sent, if it is of a usual size.
    pub fn put_back(&mut self, mut room: BytesMut) {
        if room.capacity() <= OUTPUT_KEEPS {
            room.clear();
            self.output = room;
        }
    }

    /// Gives back the room that one long message took.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() && self.input.capacity() > INPUT_KEEPS {
            self.input = BytesMut::new();
        }
    }

    /// Whether the server has said since the last look that its role has changed.
    pub(super) fn has_role_news(&mut self) -> bool {
        std::mem::take(&mut self.role_news)
    }

    pub(super) fn lent(&self) {
        self.facts.lent();
    }

    pub(super) fn returned(&self) {
        self.facts.leased.store(false, Ordering::Relaxed);
    }

    /// Whether it is older than it may grow: the last tenth of that is up to chance, so that connections opened together are
    /// not closed together.
    pub(super) fn is_worn(&self, lifetime: Option<Duration>, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.born);
        // Most are young, and need no arithmetic to tell.
        lifetime.is_some_and(|most| age >= most / 2 && age >= most.mul_f64(1.0 - 0.1 * self.wear))
    }

    /// Reads, without waiting, what the server sent while nobody listened: notices and notifications are for nobody,
    /// changed parameters are kept, all else ends the connection.
    pub(super) fn check(&mut self) -> Result<(), Broken> {
        if self.stream.is_silent() {
            return self.absorb();
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut chunk = [0u8; 512];
        for _ in 0..UNSOLICITED_READS {
            let mut read = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(&mut context, &mut read) {
                Poll::Pending => return self.absorb(),
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.input.extend_from_slice(read.filled()),
                Poll::Ready(_) => return Err(Broken),
            }
        }
        Err(Broken)
    }

    /// Asks one question of our own, before any session has the connection.
    pub(super) async fn ask(&mut self, sql: &str) -> io::Result<Vec<Asked>> {
        let mut out = BytesMut::new();
        frontend::put_query(&mut out, sql.as_bytes());
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        let (mut rows, mut refused) = (Vec::new(), None);
        loop {
            let message = message::next(&mut self.stream, &mut self.input, ANSWER_LIMIT).await?;
            match message.tag {
                b'D' if rows.len() < ROWS => {
                    let row = columns(message.body()).ok_or_else(|| io::Error::other("a row that makes no sense"))?;
                    rows.push(row);
                }
                b'S' => {
                    let changed = parameter(message.body());
                    self.parameters.extend(changed);
                }
                b'T' | b'C' | b'N' => {}
                b'Z' if message.body() == b"I" => return refused.map_or(Ok(rows), Err),
                b'E' => {
                    let message = ServerError::read(message.body()).message;
                    refused = Some(io::Error::new(io::ErrorKind::PermissionDenied, message));
                }
                _ => return Err(io::Error::other("an answer that makes no sense")),
            }
        }
    }

    fn absorb(&mut self) -> Result<(), Broken> {
        while let Some(message) = message::take(&mut self.input, UNSOLICITED_LIMIT).map_err(|_| Broken)? {
            match message.tag {
                b'N' | b'A' => {}
                b'S' => {
                    let (name, value) = parameter(message.body()).ok_or(Broken)?;
                    self.role_news |= name == "in_hot_standby";
                    self.parameters.insert(name, value);
                }
                _ => return Err(Broken),
            }
        }
        if self.input.is_empty() { Ok(()) } else { Err(Broken) }
    }

    /// Says goodbye if that needs no waiting, so that the server logs no lost connection.
    pub(super) fn close(mut self: Box<Self>) {
        let mut context = Context::from_waker(Waker::noop());
        // Best effort: a connection that cannot take five bytes is closed all the same.
        let _ = Pin::new(&mut self.stream).poll_write(&mut context, b"X\0\0\0\x04");
    }
}

/// `None`: it is not all text.
fn columns(body: &[u8]) -> Option<Asked> {
    let (&count, _) = body.split_first_chunk::<2>()?;
    let text = |at| match backend::column(body, at) {
        Some(value) => String::from_utf8(value.to_vec()).ok().map(Some),
        None => Some(None),
    };
    (0..usize::from(u16::from_be_bytes(count))).map(text).collect()
}
