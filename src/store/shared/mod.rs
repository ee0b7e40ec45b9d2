//! The tier that instances share: opaque values in Redis, sealed so that its owner can neither read nor change them
//! unseen. Every doubt, timeout and error is a miss with a name; behind an open breaker not even time is lost. Whether
//! a value is still true is not known here: an old one that is put back opens as well as a new one.

pub mod breaker;
mod link;
pub mod seal;
mod writer;

pub use link::{Trouble, UnusableUrl};
pub use writer::{Unwritten, Writes};

use crate::store::memory::Key;
use breaker::{Breaker, BreakerState, Failure};
use link::{Dialer, Link, Write};
use parking_lot::Mutex;
use seal::{BrokenSeal, SEAL_BYTES, Sealer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use writer::{Jobs, Queue};

/// Failures in a row after which Redis is not asked.
const FAILURES_TO_OPEN: u32 = 5;
/// How long an entry lies in Redis. For room only: its truth is judged when it is read.
const EXPIRY: Duration = Duration::from_secs(600);
/// Between two probes of an idle connection, which also keep the measured round trip fresh.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Before the next try to connect, doubled up to the longest; back to the first after a connection that held.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const STABLE: Duration = Duration::from_secs(10);

/// What a value must do to be written in the background.
pub trait Encode: Send + Sync {
    /// Its bytes.
    fn encode(&self) -> Vec<u8>;
    /// About how many there will be.
    fn encoded_bytes(&self) -> usize;
}

/// Why the shared tier gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Miss {
    /// Redis has no such key.
    Absent,
    /// The breaker is open: not asked.
    BreakerOpen,
    /// No answer in time.
    TimedOut,
    /// Redis answered with an error, or the connection broke.
    Failed,
    /// Larger than a value may be.
    TooLarge,
    /// Not a sealed value of this version.
    Malformed,
    /// Changed, moved from another key, or sealed with another secret.
    Forged,
}

impl Miss {
    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            Miss::Absent => "absent",
            Miss::BreakerOpen => "breaker_open",
            Miss::TimedOut => "timed_out",
            Miss::Failed => "failed",
            Miss::TooLarge => "too_large",
            Miss::Malformed => "malformed",
            Miss::Forged => "forged",
        }
    }
}

/// How the shared tier is reached.
#[derive(Debug, Clone)]
pub struct SharedOptions {
    /// `redis://`, `rediss://` (TLS) or `unix://`, with user and password.
    pub url: crate::config::Secret,
    /// What every instance of the fleet knows and nobody else.
    pub secret: crate::config::Secret,
    /// Longest wait for a read.
    pub timeout: Duration,
    /// Bytes of the largest value, before it is sealed.
    pub value_limit: usize,
}

/// The shared tier.
#[derive(Debug)]
pub struct Shared {
    dialer: Dialer,
    sealer: Sealer,
    breaker: Breaker<Link>,
    queue: Queue,
    jobs: Mutex<Option<Jobs>>,
    value_limit: usize,
    round_trip_micros: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

impl Shared {
    /// Not connected yet: [`Self::run`] connects.
    pub fn new(options: &SharedOptions) -> Result<Self, UnusableUrl> {
        let (queue, jobs) = Queue::new();
        Ok(Shared {
            dialer: Dialer::new(&options.url.0, options.timeout)?,
            sealer: Sealer::new(options.secret.0.as_bytes()),
            breaker: Breaker::new(FAILURES_TO_OPEN),
            queue,
            jobs: Mutex::new(Some(jobs)),
            value_limit: options.value_limit,
            round_trip_micros: AtomicU64::new(0),
            trouble: Mutex::new(None),
        })
    }

    /// What was sealed under this key, if Redis has it and answers in time. Entries of another scope are not found.
    pub async fn lookup(&self, scope: u64, key: &[u8]) -> Result<Vec<u8>, Miss> {
        let live = self.breaker.live().ok_or(Miss::BreakerOpen)?;
        let address = self.sealer.address(scope, key);
        let limit = self.value_limit.saturating_add(SEAL_BYTES);
        let asked = Instant::now();
        let mut sealed = match live.connection().read(address.name(), limit).await {
            Ok(sealed) => {
                live.succeeded();
                self.measured(asked.elapsed());
                sealed
            }
            Err(Trouble::WrongType) => {
                live.succeeded();
                return Err(Miss::Malformed);
            }
            Err(trouble) => {
                self.note(trouble);
                self.breaker.failed(&live, severity(trouble));
                return Err(if trouble == Trouble::TimedOut { Miss::TimedOut } else { Miss::Failed });
            }
        };
        if sealed.is_empty() {
            return Err(Miss::Absent);
        }
        if sealed.len() > limit {
            return Err(Miss::TooLarge);
        }
        match self.sealer.open(&address, key, &mut sealed) {
            Ok(plain) => Ok(plain.to_vec()),
            Err(BrokenSeal::Malformed) => Err(Miss::Malformed),
            Err(BrokenSeal::Forged) => Err(Miss::Forged),
        }
    }

    /// Writes in the background, or drops: nobody waits.
    pub fn insert(&self, scope: u64, key: Key, value: Arc<dyn Encode>) {
        if self.breaker.live().is_none() {
            return self.queue.drop_one(Unwritten::BreakerOpen);
        }
        if value.encoded_bytes() > self.value_limit {
            return self.queue.drop_one(Unwritten::TooLarge);
        }
        self.queue.push(scope, key, value);
    }

    /// Connects, watches, reconnects and writes, for ever. Run once, in the background; without it the tier stays away.
    pub async fn run(&self) {
        let Some(mut jobs) = self.jobs.lock().take() else { return };
        tokio::join!(self.stay_connected(), writer::run(self, &mut jobs));
    }

    /// What a read takes now, smoothed; zero before the first.
    pub fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip_micros.load(Ordering::Relaxed))
    }

    /// Whether it is asked.
    pub fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// How often the breaker opened.
    pub fn times_opened(&self) -> u64 {
        self.breaker.times_opened()
    }

    /// The last thing that went wrong.
    pub fn trouble(&self) -> Option<Trouble> {
        *self.trouble.lock()
    }

    /// Whether it takes writes.
    pub fn writes(&self) -> Writes {
        self.queue.writes()
    }

    /// How many entries were written.
    pub fn written(&self) -> u64 {
        self.queue.written()
    }

    /// How many entries were not written, for this reason.
    pub fn unwritten(&self, why: Unwritten) -> u64 {
        self.queue.unwritten(why)
    }

    async fn stay_connected(&self) {
        let mut pause = FIRST_PAUSE;
        // Each change is said once, not each attempt.
        let mut is_said = false;
        loop {
            self.breaker.probe();
            match self.dialer.dial().await {
                Ok(link) => {
                    let since = Instant::now();
                    self.breaker.close(link);
                    tracing::info!("Redis is asked from here on");
                    self.watch().await;
                    self.say_open();
                    is_said = true;
                    if since.elapsed() >= STABLE {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(trouble) => {
                    self.note(trouble);
                    self.breaker.stay_open();
                    if !std::mem::replace(&mut is_said, true) {
                        self.say_open();
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn say_open(&self) {
        let reason = self.trouble().map_or("unknown", Trouble::label);
        tracing::warn!(reason, "Redis is not asked until it answers again: memory alone serves");
    }

    /// Until the breaker opens. A connection that nobody uses is probed, so that its death is not a client's to find.
    async fn watch(&self) {
        loop {
            tokio::select! {
                () = self.breaker.opened() => return,
                () = sleep(PROBE_INTERVAL) => {}
            }
            let Some(live) = self.breaker.live() else { return };
            let asked = Instant::now();
            match live.connection().probe().await {
                Ok(()) => {
                    live.succeeded();
                    self.measured(asked.elapsed());
                }
                Err(trouble) => {
                    self.note(trouble);
                    self.breaker.failed(&live, severity(trouble));
                }
            }
        }
    }

    fn measured(&self, took: Duration) {
        let new = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let old = self.round_trip_micros.load(Ordering::Relaxed);
        // Racing updates may lose one another: it is an estimate.
        let smoothed = if old == 0 { new } else { old - old / 8 + new / 8 };
        self.round_trip_micros.store(smoothed, Ordering::Relaxed);
    }

    fn seal(&self, scope: u64, key: &[u8], plain: &[u8]) -> Result<Write, Unwritten> {
        if plain.len() > self.value_limit {
            return Err(Unwritten::TooLarge);
        }
        let address = self.sealer.address(scope, key);
        let sealed = self.sealer.seal(&address, key, plain).ok_or(Unwritten::Failed)?;
        Ok(Write { name: address.name().to_owned(), sealed })
    }

    fn note(&self, trouble: Trouble) {
        *self.trouble.lock() = Some(trouble);
    }

    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn breaker(&self) -> &Breaker<Link> {
        &self.breaker
    }

    fn expiry(&self) -> Duration {
        EXPIRY
    }
}

fn severity(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Unreachable => Failure::Dead,
        Trouble::TimedOut | Trouble::Denied | Trouble::Refused | Trouble::WrongType => Failure::Transient,
    }
}
