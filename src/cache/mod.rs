//! Key to entry: lookup, single-flight permits, admission. Knows no socket and no SQL; `coherence` says what is true,
//! `store` keeps the bytes. Whatever tier an entry comes from, it is judged at every hit by this instance's own
//! positions: nothing here deletes in order to be right.

pub mod encoding;
mod flight;
pub mod key;
mod peek;
mod permit;
mod stats;
#[cfg(test)]
mod tests;
mod timed;
mod worth;

pub use flight::{Waited, Waiter};
pub use peek::Peek;
pub use permit::Permit;
pub use stats::Stats;
pub use timed::{Timed, TimedAnswer, TimedPermit, TimedReply};

use crate::coherence::{Coherence, Demand, Evidence, FillRefusal, Proof, Unservable};
use crate::config::Config;
use crate::store::memory::{Key, Memory};
use crate::store::shared::{Miss, Shared, SharedOptions, UnusableUrl};
use bytes::Bytes;
use flight::{Boarding, Flights};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use worth::Worth;

/// Between two rounds of the memory tier's bookkeeping.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(100);
/// What an encoded entry may have beside its frames: positions and dependencies.
const ENCODING_BYTES: usize = 64 << 10;

/// One stored answer.
#[derive(Debug)]
pub struct Entry {
    /// What makes it servable.
    pub basis: Basis,
    /// The whole RowDescription frame, if the fill had one.
    pub row_description: Option<Bytes>,
    /// Whole DataRow frames and the CommandComplete.
    pub body: Bytes,
    /// What the fill cost upstream.
    pub cost: Duration,
    life: AtomicU8,
}

/// What an entry is judged by.
#[derive(Debug)]
pub enum Basis {
    /// Positions: it is right for as long as they say so.
    Proven(Proof),
    /// The clock: a rule allows it to be late, and nothing is proven.
    Timed(Timed),
}

/// What became of an entry, for the counters alone.
#[repr(u8)]
enum Life {
    Unserved,
    Served,
    Died,
}

impl Entry {
    /// An answer that was never served yet.
    pub fn new(basis: Basis, row_description: Option<Bytes>, body: Bytes, cost: Duration) -> Self {
        Entry { basis, row_description, body, cost, life: AtomicU8::new(Life::Unserved as u8) }
    }

    /// The bytes that count against the entry limit.
    pub fn bytes(&self) -> usize {
        self.row_description.as_ref().map_or(0, Bytes::len) + self.body.len()
    }

    fn weight(&self) -> usize {
        let dependencies = match &self.basis {
            Basis::Proven(proof) => size_of_val(&*proof.dependencies),
            Basis::Timed(_) => 0,
        };
        self.bytes() + size_of::<Entry>() + dependencies
    }

    fn serve(&self) {
        // A load first: the line of a hot entry stays shared between cores.
        if self.life.load(Ordering::Relaxed) == Life::Unserved as u8 {
            self.life.store(Life::Served as u8, Ordering::Relaxed);
        }
    }
}

/// Where a hit came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// This process.
    Memory,
    /// Redis.
    Shared,
}

impl Tier {
    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            Tier::Memory => "memory",
            Tier::Shared => "shared",
        }
    }
}

/// What a lookup found.
#[derive(Debug)]
pub enum Answer {
    /// It may be served as it is.
    Hit(Arc<Entry>),
    /// Not there (or not servable): the caller has the one right to fill.
    Permit(Permit),
    /// Somebody fills it: wait a bounded time, then look again.
    Busy(Waiter),
    /// It may not be served to this session now though others may get it, or nothing may be stored now: ask upstream, store nothing.
    Bypass(Unservable),
}

/// Why a finished answer was not stored. One variant, one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreRefusal {
    /// It is not proven.
    Fill(FillRefusal),
    /// Larger than an entry may be.
    TooLarge,
    /// It is not a whole, plain answer: an error, a notice, a suspended portal, a cancelled statement.
    NotClean,
    /// No stamp was taken before the query was sent.
    NotBegun,
    /// It was to be kept by the clock, and something was written while it was on its way.
    Written,
}

impl StoreRefusal {
    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            StoreRefusal::Fill(why) => why.label(),
            StoreRefusal::TooLarge => "too_large",
            StoreRefusal::NotClean => "not_clean",
            StoreRefusal::NotBegun => "not_begun",
            StoreRefusal::Written => "written_meanwhile",
        }
    }
}

/// Why the shared tier gave no hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SharedMiss {
    /// The store had nothing that could be believed.
    Store(Miss),
    /// What was sealed is not an entry of this version.
    Undecodable,
    /// The reader needs the RowDescription and the entry has none.
    NoDescription,
    /// This instance's own positions do not prove it, or not for this session.
    NotProven,
    /// Not asked: the fill costs less than asking.
    NotWorthwhile,
    /// Not asked: nothing is served from entries now.
    NotServing,
}

impl SharedMiss {
    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            SharedMiss::Store(miss) => miss.label(),
            SharedMiss::Undecodable => "undecodable",
            SharedMiss::NoDescription => "no_description",
            SharedMiss::NotProven => "not_proven",
            SharedMiss::NotWorthwhile => "not_worthwhile",
            SharedMiss::NotServing => "not_serving",
        }
    }
}

/// A finished, clean answer.
#[derive(Debug)]
pub struct Filled {
    /// Where it was read.
    pub evidence: Evidence,
    /// The whole RowDescription frame, if there was one.
    pub row_description: Option<Bytes>,
    /// Whole DataRow frames and the CommandComplete, in memory of their own: a slice of a larger buffer would keep all of it.
    pub body: Bytes,
    /// What it cost upstream.
    pub cost: Duration,
}

/// How a cache is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of the memory tier.
    pub memory: u64,
    /// Bytes of the largest entry.
    pub entry_limit: usize,
    /// The tier that instances share, if there is one.
    pub shared: Option<SharedOptions>,
}

impl From<&Config> for Options {
    fn from(config: &Config) -> Self {
        // Without a secret there is no shared tier; the configuration refuses that before.
        let shared = config.redis.clone().zip(config.redis_secret.clone()).map(|(url, secret)| SharedOptions {
            url,
            secret,
            timeout: config.redis_timeout,
            value_limit: config.entry_limit.saturating_add(ENCODING_BYTES),
        });
        Options { memory: config.memory, entry_limit: config.entry_limit, shared }
    }
}

/// The cache of one instance: both tiers, and who fills what.
#[derive(Debug)]
pub struct Cache {
    coherence: Arc<Coherence>,
    memory: Memory<Entry>,
    shared: Option<Shared>,
    flights: Arc<Flights>,
    stats: Stats,
    entry_limit: usize,
    worth: Worth,
    /// How many writes have passed through: what is kept by the clock is void after each.
    writes: AtomicU64,
}

/// What memory has under a key.
enum Found {
    Servable(Arc<Entry>),
    Refused(Unservable, Arc<Entry>),
    Absent,
}

impl Cache {
    /// An empty cache. Whoever makes it spawns [`Self::run`].
    pub fn new(coherence: Arc<Coherence>, options: &Options) -> Result<Arc<Self>, UnusableUrl> {
        Ok(Arc::new(Cache {
            coherence,
            memory: Memory::new(options.memory, Entry::weight),
            shared: options.shared.as_ref().map(Shared::new).transpose()?,
            flights: Flights::new(),
            worth: Worth::default(),
            stats: Stats::default(),
            entry_limit: options.entry_limit,
            writes: AtomicU64::new(0),
        }))
    }

    /// Whether there is a tier that other instances fill too.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The bookkeeping of the memory tier and everything that the shared tier does behind the sessions' backs. Never ends.
    pub async fn run(self: Arc<Self>) {
        let maintenance = async {
            loop {
                tokio::time::sleep(MAINTENANCE_INTERVAL).await;
                self.memory.maintain();
            }
        };
        let shared = async {
            if let Some(shared) = &self.shared {
                shared.run().await;
            }
        };
        tokio::join!(maintenance, shared);
    }

    /// Looks into memory. `description`: the reader needs the RowDescription, so an entry without one is not a hit for it.
    pub fn lookup(self: &Arc<Self>, key: &[u8], description: bool, demand: &Demand) -> Answer {
        let found = self.find(key, description, demand);
        match found {
            Found::Servable(entry) => self.hit(entry),
            Found::Refused(why @ (Unservable::NotFresh | Unservable::CatalogInDoubt | Unservable::Level), _) => {
                self.bypass(why)
            }
            // Good for others, and perhaps for this session once it is filled anew; but what another fills now may
            // lie below its floor just as well.
            Found::Refused(why @ Unservable::BelowFloor, entry) => match self.flights.board(Key::from(key)) {
                Boarding::Lead(lead) => self.permit(lead, description, demand, Some(entry.cost)),
                Boarding::Follow(_) => self.bypass(why),
            },
            Found::Refused(Unservable::Outdated | Unservable::Changed, _) | Found::Absent => {
                let cost = match &found {
                    Found::Refused(_, entry) => Some(entry.cost),
                    _ => None,
                };
                match self.flights.board(Key::from(key)) {
                    Boarding::Lead(lead) => self.permit(lead, description, demand, cost),
                    Boarding::Follow(waiter) => {
                        self.stats.coalesced_one();
                        Answer::Busy(waiter)
                    }
                }
            }
        }
    }

    /// Forgets one entry of the memory tier.
    pub fn forget(&self, key: &[u8]) {
        self.memory.remove(key);
    }

    /// Forgets every entry of the memory tier.
    pub fn clear(&self) {
        self.memory.clear();
    }

    /// Says what is true.
    pub fn coherence(&self) -> &Arc<Coherence> {
        &self.coherence
    }

    /// How many entries are in memory, as of the last maintenance.
    pub fn entries(&self) -> u64 {
        self.memory.entries()
    }

    /// How many bytes they take, as of the last maintenance.
    pub fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// How many entries went for want of room.
    pub fn evicted(&self) -> u64 {
        self.memory.evicted()
    }

    /// Bytes of the largest entry.
    pub fn entry_limit(&self) -> usize {
        self.entry_limit
    }

    /// How many fills run.
    pub fn fills(&self) -> usize {
        self.flights.running()
    }

    /// What was counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The shared tier, if there is one.
    pub fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    fn find(&self, key: &[u8], description: bool, demand: &Demand) -> Found {
        let Some(entry) = self.memory.lookup(key) else { return Found::Absent };
        if description && entry.row_description.is_none() {
            return Found::Absent;
        }
        let Basis::Proven(proof) = &entry.basis else { return Found::Absent };
        match self.coherence.judge(proof, demand) {
            Ok(()) => Found::Servable(entry),
            Err(why) => {
                if why == Unservable::Changed {
                    self.bury(&entry);
                }
                Found::Refused(why, entry)
            }
        }
    }

    fn hit(&self, entry: Arc<Entry>) -> Answer {
        entry.serve();
        self.stats.hit(Tier::Memory);
        Answer::Hit(entry)
    }

    fn bypass(&self, why: Unservable) -> Answer {
        self.stats.bypassed(why);
        Answer::Bypass(why)
    }

    /// Between the look and the boarding another may have filled and landed: look once more, or the same fill runs twice.
    fn permit(
        self: &Arc<Self>,
        lead: flight::Lead,
        description: bool,
        demand: &Demand,
        cost: Option<Duration>,
    ) -> Answer {
        if let Found::Servable(entry) = self.find(lead.key().bytes(), description, demand) {
            return self.hit(entry);
        }
        self.stats.missed();
        Answer::Permit(Permit::new(Arc::clone(self), lead, cost))
    }

    /// Counts a death once, though the dead entry may be found again before it is replaced.
    fn bury(&self, entry: &Entry) {
        match entry.life.swap(Life::Died as u8, Ordering::Relaxed) {
            was if was == Life::Died as u8 => {}
            was => self.stats.died_one(was == Life::Served as u8),
        }
    }
}
