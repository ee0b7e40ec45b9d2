//! What is known of one server, and until when it counts: the watch's last answer, how far a replica has replayed, and what
//! made either doubtful. Judges whether a read may go there; asks nobody and has no connection.

use super::status::{PassedOver, Role};
use crate::types::{Epoch, Lsn, Moment};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What the watch knows of a server. Replaced as a whole, so that no reader mixes two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub role: Role,
    /// When it was asked.
    pub asked: Moment,
    /// The life of the primary that it is proven to follow or, of the primary, to live.
    pub following: Epoch,
    /// Everything committed before this instant has been replayed.
    pub fresh_at: Option<Moment>,
    /// Whether the primary has been heard lately: without it nobody knows how late a replica is.
    pub primary: PrimaryHeard,
    pub lag_bytes: Option<u64>,
    /// By what it is known how far it has come.
    pub measure: Measure,
    /// The server's own account of its timeline.
    pub timeline: Option<u32>,
}

/// By what a replica is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// It tells a position.
    Position,
    /// It tells nothing but how late it is: nothing can be proven of what it shows, so that no session may hold it against what it
    /// has seen, and nothing is cached from it.
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrimaryHeard {
    Lately,
    NotLately,
}

impl Seen {
    /// Before the first answer, and since the last disconnect.
    pub(super) const NOTHING: Seen = Seen {
        role: Role::Unknown,
        asked: Moment::START,
        following: Epoch::new(0),
        fresh_at: None,
        primary: PrimaryHeard::NotLately,
        lag_bytes: None,
        measure: Measure::Position,
        timeline: None,
    };
}

/// All evidence of one server.
#[derive(Debug)]
pub(super) struct Evidence {
    /// How late a replica may be.
    staleness: Duration,
    seen: ArcSwap<Seen>,
    replayed: AtomicU64,
    /// Counts how often the watch lost this server. Held while `replayed` is written, so that a position heard before
    /// the loss cannot count after it.
    losses: Mutex<u64>,
    /// Answers to questions that were asked before this instant do not count: a connection broke then, or said that the role
    /// has changed.
    doubted: AtomicU64,
    doubts: Notify,
    meetings: Notify,
    /// Its address leads to another server than the one that the watch has a connection to.
    has_strayed: AtomicBool,
    /// How long probes take: a moving average, in microseconds. Zero before the first.
    latency: AtomicU64,
    /// Whether it has answered or failed to since the start.
    tried: AtomicBool,
}

impl Evidence {
    pub(super) fn new(staleness: Duration) -> Self {
        Evidence {
            staleness,
            seen: ArcSwap::from_pointee(Seen::NOTHING),
            replayed: AtomicU64::new(0),
            losses: Mutex::new(0),
            doubted: AtomicU64::new(0),
            doubts: Notify::new(),
            meetings: Notify::new(),
            has_strayed: AtomicBool::new(false),
            latency: AtomicU64::new(0),
            tried: AtomicBool::new(false),
        }
    }

    pub(super) fn seen(&self) -> arc_swap::Guard<Arc<Seen>> {
        self.seen.load()
    }

    pub(super) fn replayed(&self) -> Lsn {
        Lsn::new(self.replayed.load(Ordering::Acquire))
    }

    /// The replica said so on a connection that lives. `life`: the one that it was opened in; another one's positions do not count.
    pub(super) fn saw_replayed(&self, position: Lsn, life: Option<u64>) {
        let losses = self.losses.lock();
        if life.is_none_or(|life| life == *losses) {
            self.replayed.fetch_max(position.bytes(), Ordering::AcqRel);
        }
    }

    pub(super) fn life(&self) -> u64 {
        *self.losses.lock()
    }

    /// How long an answer took. Every replica is asked the same, however busy it is kept, so that they can be compared.
    pub(super) fn took(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 8);
        let before = self.latency.load(Ordering::Relaxed);
        let average = if before == 0 { took } else { (before * 7 + took) / 8 };
        self.latency.store(average.max(1), Ordering::Relaxed);
    }

    /// Puts to use what the watch saw.
    pub(super) fn observed(&self, seen: Seen) {
        self.seen.store(Arc::new(seen));
        self.tried.store(true, Ordering::Release);
    }

    /// The watch lost this server: what was known of it no longer counts. A replica may come back with less replayed.
    pub(super) fn lost(&self) {
        let mut losses = self.losses.lock();
        *losses += 1;
        self.seen.store(Arc::new(Seen::NOTHING));
        self.replayed.store(0, Ordering::Release);
        self.tried.store(true, Ordering::Release);
    }

    /// What was heard before now does not count, and the watch is to ask at once.
    pub(super) fn doubt(&self, now: Moment) {
        self.doubted.fetch_max(now.micros(), Ordering::AcqRel);
        self.doubts.notify_one();
    }

    /// Returns once somebody has doubted it.
    pub(super) async fn doubted(&self) {
        self.doubts.notified().await;
    }

    /// It takes logins: the watch is to try at once, if it waits to.
    pub(super) fn meet(&self) {
        self.meetings.notify_one();
    }

    /// New connections reach another server: the watch is to connect anew, at once.
    pub(super) fn strayed(&self) {
        self.has_strayed.store(true, Ordering::Release);
        self.meetings.notify_one();
        self.doubts.notify_one();
    }

    /// Whether that has been said since this was last asked.
    pub(super) fn has_strayed(&self) -> bool {
        self.has_strayed.swap(false, Ordering::AcqRel)
    }

    /// Returns once somebody else has logged in.
    pub(super) async fn met(&self) {
        self.meetings.notified().await;
    }

    /// Whether the watch has asked it at least once, answered or not.
    pub(super) fn is_tried(&self) -> bool {
        self.tried.load(Ordering::Acquire)
    }

    /// How long it takes to answer; zero if that is not known.
    pub(super) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency.load(Ordering::Relaxed))
    }

    pub(super) fn measure(&self) -> Measure {
        self.seen.load().measure
    }

    /// As [`Evidence::fit_at`], where no position is told: it must have come as far as everything that was so at `since`.
    pub(super) fn fit_since(&self, epoch: Epoch, since: Moment, now: Moment) -> Result<(), PassedOver> {
        self.fit_at(epoch, Lsn::ZERO, now)?;
        let fresh_at = self.seen.load().fresh_at;
        if fresh_at.is_none_or(|fresh_at| fresh_at < since) { Err(PassedOver::BelowFloor) } else { Ok(()) }
    }

    pub(super) fn fit_at(&self, epoch: Epoch, floor: Lsn, now: Moment) -> Result<(), PassedOver> {
        let seen = self.seen.load();
        match seen.role {
            Role::Unknown => return Err(PassedOver::Unreachable),
            Role::Primary => return Err(PassedOver::NotAReplica),
            Role::Replica => {}
        }
        if seen.asked.micros() < self.doubted.load(Ordering::Acquire) {
            return Err(PassedOver::Doubted);
        }
        if epoch == Epoch::default() || seen.following != epoch {
            return Err(PassedOver::OtherEpoch);
        }
        match seen.fresh_at {
            Some(fresh_at) if now.since(fresh_at) <= self.staleness => {}
            _ if seen.primary == PrimaryHeard::NotLately => return Err(PassedOver::LagUnknown),
            None if seen.lag_bytes.is_none() => return Err(PassedOver::LagUnknown),
            _ => return Err(PassedOver::TooFarBehind),
        }
        if self.replayed() < floor { Err(PassedOver::BelowFloor) } else { Ok(()) }
    }
}
