//! The two tasks at the stream's socket. The reader does nothing but read, so that the sender is never held back; the confirmer says
//! what was received. Neither knows the catalog or `coherence`.

use super::decode::{Assembler, NameEncoding};
use super::queue::{Heard, Sender, Stopped};
use super::state::Lost;
use crate::types::{Lsn, Moment};
use crate::upstream::replication::{Confirmer, Message, Reader, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

/// The longest time between two confirmations.
const CONFIRM: Duration = Duration::from_secs(1);

/// What the two tasks, and those who want an answer of the sender, share.
#[derive(Debug)]
pub(super) struct Ask {
    received: AtomicU64,
    last_heard: AtomicU64,
    wanted: AtomicBool,
    rung: Notify,
}

impl Ask {
    pub fn new(start: Lsn) -> Arc<Self> {
        Arc::new(Ask {
            received: AtomicU64::new(start.bytes()),
            last_heard: AtomicU64::new(Moment::now().micros()),
            wanted: AtomicBool::new(false),
            rung: Notify::new(),
        })
    }

    /// Has the sender say how far it is.
    pub fn position(&self) {
        self.wanted.store(true, Ordering::Release);
        self.rung.notify_one();
    }

    /// How long the sender has been silent.
    pub fn silence(&self) -> Duration {
        Moment::now().since(Moment::from_micros(self.last_heard.load(Ordering::Relaxed)))
    }
}

/// Reads until the stream ends or the queue is full.
pub(super) async fn read(mut reader: Reader, encoding: NameEncoding, queue: Sender, ask: Arc<Ask>) -> Lost {
    let mut assembler = Assembler::new(encoding);
    loop {
        let message = match reader.next().await {
            Ok(message) => message,
            Err(error) => return Lost::Stream(error.to_string()),
        };
        ask.last_heard.store(Moment::now().micros(), Ordering::Relaxed);
        let heard = match message {
            Message::Data { start, payload } => match assembler.line(start, &payload) {
                Ok(Some(commit)) => Heard::Commit(commit),
                Ok(None) => continue,
                Err(_unnamed) => return Lost::NotUnderstood,
            },
            Message::KeepAlive { end, reply } => {
                if reply == Reply::Wanted {
                    ask.rung.notify_one();
                }
                Heard::Position(end)
            }
        };
        let received = match &heard {
            Heard::Commit(commit) => commit.end,
            Heard::Position(end) => *end,
        };
        ask.received.fetch_max(received.bytes(), Ordering::Relaxed);
        match queue.push(heard) {
            Ok(()) => {}
            Err(Stopped::Full) => return Lost::Overflow,
            Err(Stopped::Closed) => return Lost::Stream("nobody takes in what is heard".to_owned()),
        }
    }
}

/// Confirms once a second, and whenever asked.
pub(super) async fn confirm(mut confirmer: Confirmer, ask: Arc<Ask>) -> Lost {
    let mut ticks = tokio::time::interval(CONFIRM);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = ask.rung.notified() => {}
        }
        let reply = if ask.wanted.swap(false, Ordering::AcqRel) { Reply::Wanted } else { Reply::NotWanted };
        let received = Lsn::new(ask.received.load(Ordering::Relaxed));
        if let Err(error) = confirmer.confirm(received, reply).await {
            return Lost::Stream(error.to_string());
        }
    }
}
