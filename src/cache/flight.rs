//! Single-flight: who fills a key, and who waits for it. Only misses come here; a hit never touches these locks. Knows
//! nothing of entries: those who waited look again for themselves, and never inherit what befell the leader.

use crate::store::memory::Key;
use foldhash::quality::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const SHARDS: usize = 64;
/// How many keys are remembered whose answers could not be stored. They share slots: a collision costs at most one
/// coalesced fill.
const UNSTORABLE_SLOTS: usize = 1024;

/// How a wait for another's fill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waited {
    /// An answer was stored: look again.
    Stored,
    /// The answer could not be stored. The next one hardly could: ask upstream.
    NotStored,
    /// The leader went away without an answer: look again, perhaps to lead.
    Abandoned,
    /// The fill still runs, its client may not be reading: look again, to lead in its place.
    Relieved,
    /// The fill still runs, and another leads in its place: ask upstream.
    TimedOut,
}

impl Waited {
    /// The name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Waited::Stored => "stored",
            Waited::NotStored => "not_stored",
            Waited::Abandoned => "abandoned",
            Waited::Relieved => "relieved",
            Waited::TimedOut => "timed_out",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flight {
    Running,
    Ended(Waited),
}

/// Fills in flight, by key.
#[derive(Debug)]
pub(super) struct Flights {
    hasher: RandomState,
    shards: [Mutex<HashMap<Key, watch::Receiver<Flight>, RandomState>>; SHARDS],
    unstorable: Box<[AtomicU64]>,
}

/// What one who missed may do.
pub(super) enum Boarding {
    /// Fill. Others wait, unless nobody should wait for this key.
    Lead(Lead),
    /// Wait for the one who fills.
    Follow(Waiter),
}

/// The place of the one who fills. Dropped, it wakes everybody at once.
pub(super) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    /// None where answers to this key could not be stored lately: then nobody is made to wait.
    ends: Option<watch::Sender<Flight>>,
}

/// Waits for a fill of another.
#[derive(Debug)]
pub struct Waiter {
    flights: Arc<Flights>,
    key: Key,
    flight: watch::Receiver<Flight>,
}

impl Flights {
    pub fn new() -> Arc<Self> {
        let hasher = RandomState::default();
        Arc::new(Flights {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher.clone()))),
            hasher,
            unstorable: (0..UNSTORABLE_SLOTS).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    pub fn board(self: &Arc<Self>, key: Key) -> Boarding {
        let hash = self.hash(&key);
        if self.slot(hash).load(Ordering::Relaxed) == hash {
            return Boarding::Lead(Lead { flights: Arc::clone(self), key, ends: None });
        }
        match self.shard(hash).lock().entry(key) {
            Place::Occupied(running) => {
                let (key, flight) = (running.key().clone(), running.get().clone());
                Boarding::Follow(Waiter { flights: Arc::clone(self), key, flight })
            }
            Place::Vacant(place) => {
                let (ends, flight) = watch::channel(Flight::Running);
                let key = place.key().clone();
                place.insert(flight);
                Boarding::Lead(Lead { flights: Arc::clone(self), key, ends: Some(ends) })
            }
        }
    }

    /// How many keys are being filled.
    pub fn running(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Frees the place of this flight, if it still has it. Its leader may fill all the same.
    fn vacate(&self, key: &Key, flight: &watch::Receiver<Flight>) -> bool {
        let mut shard = self.shard(self.hash(key)).lock();
        let is_there = shard.get(key).is_some_and(|running| running.same_channel(flight));
        if is_there {
            shard.remove(key);
        }
        is_there
    }

    fn hash(&self, key: &Key) -> u64 {
        // Zero marks an empty slot.
        self.hasher.hash_one(key).max(1)
    }

    fn shard(&self, hash: u64) -> &Mutex<HashMap<Key, watch::Receiver<Flight>, RandomState>> {
        // The map inside uses the low and the top bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    fn slot(&self, hash: u64) -> &AtomicU64 {
        &self.unstorable[hash as usize % UNSTORABLE_SLOTS]
    }
}

impl Lead {
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// An answer lies in the cache.
    pub fn stored(&mut self) {
        let hash = self.flights.hash(&self.key);
        // Only our own mark, and only if there is one: the slot may be another key's.
        let _ = self.flights.slot(hash).compare_exchange(hash, 0, Ordering::Relaxed, Ordering::Relaxed);
        self.end(Waited::Stored);
    }

    /// Nothing can be stored just now, whatever the key.
    pub fn not_now(&mut self) {
        self.end(Waited::NotStored);
    }

    /// The answer to this key cannot be stored: until one is, nobody waits for another's fill of it.
    pub fn not_stored(&mut self) {
        let hash = self.flights.hash(&self.key);
        self.flights.slot(hash).store(hash, Ordering::Relaxed);
        self.end(Waited::NotStored);
    }

    fn end(&mut self, how: Waited) {
        let Some(ends) = self.ends.take() else { return };
        // First out of the map, so that whoever is woken and misses again finds the place free.
        self.flights.vacate(&self.key, &ends.subscribe());
        ends.send_replace(Flight::Ended(how));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.end(Waited::Abandoned);
    }
}

impl Waiter {
    /// Until the fill ends, at most `limit`: then the first to give up frees the place, so that who comes later waits for another.
    pub async fn wait(mut self, limit: Duration) -> Waited {
        let ended = self.flight.wait_for(|flight| *flight != Flight::Running);
        match tokio::time::timeout(limit, ended).await {
            Ok(Ok(flight)) => match *flight {
                Flight::Ended(how) => return how,
                Flight::Running => return Waited::Abandoned,
            },
            Ok(Err(_)) => return Waited::Abandoned,
            Err(_) => {}
        }
        if self.flights.vacate(&self.key, &self.flight) { Waited::Relieved } else { Waited::TimedOut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn lead(flights: &Arc<Flights>, key: &[u8]) -> Option<Lead> {
        match flights.board(Key::from(key)) {
            Boarding::Lead(lead) => Some(lead),
            Boarding::Follow(_) => None,
        }
    }

    fn follow(flights: &Arc<Flights>, key: &[u8]) -> Waiter {
        match flights.board(Key::from(key)) {
            Boarding::Follow(waiter) => waiter,
            Boarding::Lead(_) => panic!("nobody flies {key:?}"),
        }
    }

    #[tokio::test]
    async fn one_leads_the_rest_wait_and_learn_how_it_ended() {
        let flights = Flights::new();
        for (end, expected) in [
            ((|mut lead| lead.stored()) as fn(Lead), Waited::Stored),
            (drop::<Lead> as fn(Lead), Waited::Abandoned),
            (|mut lead| lead.not_now(), Waited::NotStored),
        ] {
            let leader = lead(&flights, b"k").expect("free");
            let other = lead(&flights, b"other").expect("another key is free");
            let waiting: Vec<_> = (0..100).map(|_| tokio::spawn(follow(&flights, b"k").wait(LONG))).collect();
            let late = follow(&flights, b"k");
            end(leader);
            for waiter in waiting {
                assert_eq!(waiter.await.expect("the task ran"), expected);
            }
            // One who begins to wait after the end does not wait.
            assert_eq!(late.wait(LONG).await, expected);
            drop(other);
            assert_eq!(flights.running(), 0);
        }
    }

    #[tokio::test]
    async fn a_wait_is_bounded() {
        let flights = Flights::new();
        let _leader = lead(&flights, b"k").expect("free");
        assert_eq!(follow(&flights, b"k").wait(Duration::ZERO).await, Waited::Relieved);
    }

    #[tokio::test]
    async fn c25_who_takes_too_long_is_relieved_once() {
        let flights = Flights::new();
        let mut slow = lead(&flights, b"k").expect("free");
        let (first, second) = (follow(&flights, b"k"), follow(&flights, b"k"));
        assert_eq!(first.wait(Duration::ZERO).await, Waited::Relieved);
        let _next = lead(&flights, b"k").expect("the place is free");
        assert_eq!(second.wait(Duration::ZERO).await, Waited::TimedOut, "another leads");
        let late = follow(&flights, b"k");
        slow.stored();
        assert_eq!(flights.running(), 1, "it frees its own place alone");
        assert_eq!(late.wait(Duration::ZERO).await, Waited::Relieved, "and wakes those alone who waited for it");
    }

    #[test]
    fn nobody_waits_for_what_cannot_be_stored() {
        let flights = Flights::new();
        lead(&flights, b"k").expect("free").not_stored();
        let mut first = lead(&flights, b"k").expect("nobody waits");
        let second = lead(&flights, b"k").expect("nobody waits");
        drop(second);
        first.stored();
        let _leader = lead(&flights, b"k").expect("free");
        assert!(lead(&flights, b"k").is_none(), "it was stored, so they wait again");
    }

    #[test]
    fn a_leader_that_leaves_frees_the_place() {
        let flights = Flights::new();
        drop(lead(&flights, b"k").expect("free"));
        let again = lead(&flights, b"k").expect("free again");
        assert_eq!(again.key().bytes(), b"k");
        assert!(lead(&flights, b"k").is_none());
    }
}
