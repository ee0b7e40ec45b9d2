//! What the cache counts about itself. Plain numbers, read by whoever shows them; knows no metric name. The counter of
//! hits is spread over several lines of memory, so that cores that serve hits do not wait for each other.

use super::{SharedMiss, StoreRefusal, Tier};
use crate::coherence::{FillRefusal, Unservable};
use crate::store::shared::Miss;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const STRIPES: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// A counter that many cores raise at once.
#[derive(Debug, Default)]
struct Striped([Stripe; STRIPES]);

impl Striped {
    fn add(&self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
        }
        STRIPE.with(|stripe| self.0[*stripe].0.fetch_add(1, Ordering::Relaxed));
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}

/// One counter for each value of an enum.
#[derive(Debug)]
struct PerVariant<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for PerVariant<N> {
    fn default() -> Self {
        PerVariant(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> PerVariant<N> {
    fn add(&self, index: usize) {
        self.0[index].fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }
}

/// The counters of one cache, since its start.
#[derive(Debug, Default)]
pub struct Stats {
    memory_hits: Striped,
    shared_hits: AtomicU64,
    misses: AtomicU64,
    coalesced: AtomicU64,
    stored: AtomicU64,
    died: AtomicU64,
    died_unserved: AtomicU64,
    bypasses: PerVariant<{ UNSERVABLE.len() }>,
    refused: PerVariant<{ REFUSALS.len() }>,
    shared_misses: PerVariant<{ SHARED_MISSES.len() }>,
}

const UNSERVABLE: [Unservable; 6] = [
    Unservable::NotFresh,
    Unservable::CatalogInDoubt,
    Unservable::Outdated,
    Unservable::Changed,
    Unservable::BelowFloor,
    Unservable::Level,
];

// Matches, so that a variant that is added does not compile until it is counted.
fn unservable_index(why: Unservable) -> usize {
    match why {
        Unservable::NotFresh => 0,
        Unservable::CatalogInDoubt => 1,
        Unservable::Outdated => 2,
        Unservable::Changed => 3,
        Unservable::BelowFloor => 4,
        Unservable::Level => 5,
    }
}

const REFUSALS: [StoreRefusal; 11] = [
    StoreRefusal::Fill(FillRefusal::NotLive),
    StoreRefusal::Fill(FillRefusal::CatalogInDoubt),
    StoreRefusal::Fill(FillRefusal::CommitNotVisible),
    StoreRefusal::Fill(FillRefusal::Suspect),
    StoreRefusal::Fill(FillRefusal::TooOld),
    StoreRefusal::Fill(FillRefusal::Overtaken),
    StoreRefusal::Fill(FillRefusal::ReplicaNotProven),
    StoreRefusal::TooLarge,
    StoreRefusal::NotClean,
    StoreRefusal::NotBegun,
    StoreRefusal::Written,
];

fn refusal_index(why: StoreRefusal) -> usize {
    match why {
        StoreRefusal::Fill(FillRefusal::NotLive) => 0,
        StoreRefusal::Fill(FillRefusal::CatalogInDoubt) => 1,
        StoreRefusal::Fill(FillRefusal::CommitNotVisible) => 2,
        StoreRefusal::Fill(FillRefusal::Suspect) => 3,
        StoreRefusal::Fill(FillRefusal::TooOld) => 4,
        StoreRefusal::Fill(FillRefusal::Overtaken) => 5,
        StoreRefusal::Fill(FillRefusal::ReplicaNotProven) => 6,
        StoreRefusal::TooLarge => 7,
        StoreRefusal::NotClean => 8,
        StoreRefusal::NotBegun => 9,
        StoreRefusal::Written => 10,
    }
}

const SHARED_MISSES: [SharedMiss; 12] = [
    SharedMiss::Store(Miss::Absent),
    SharedMiss::Store(Miss::BreakerOpen),
    SharedMiss::Store(Miss::TimedOut),
    SharedMiss::Store(Miss::Failed),
    SharedMiss::Store(Miss::TooLarge),
    SharedMiss::Store(Miss::Malformed),
    SharedMiss::Store(Miss::Forged),
    SharedMiss::Undecodable,
    SharedMiss::NoDescription,
    SharedMiss::NotProven,
    SharedMiss::NotWorthwhile,
    SharedMiss::NotServing,
];

fn shared_miss_index(why: SharedMiss) -> usize {
    match why {
        SharedMiss::Store(Miss::Absent) => 0,
        SharedMiss::Store(Miss::BreakerOpen) => 1,
        SharedMiss::Store(Miss::TimedOut) => 2,
        SharedMiss::Store(Miss::Failed) => 3,
        SharedMiss::Store(Miss::TooLarge) => 4,
        SharedMiss::Store(Miss::Malformed) => 5,
        SharedMiss::Store(Miss::Forged) => 6,
        SharedMiss::Undecodable => 7,
        SharedMiss::NoDescription => 8,
        SharedMiss::NotProven => 9,
        SharedMiss::NotWorthwhile => 10,
        SharedMiss::NotServing => 11,
    }
}

impl Stats {
    pub(super) fn hit(&self, tier: Tier) {
        match tier {
            Tier::Memory => self.memory_hits.add(),
            Tier::Shared => {
                self.shared_hits.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn coalesced_one(&self) {
        self.coalesced.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn bypassed(&self, why: Unservable) {
        self.bypasses.add(unservable_index(why));
    }

    pub(super) fn stored_one(&self) {
        self.stored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused_one(&self, why: StoreRefusal) {
        self.refused.add(refusal_index(why));
    }

    pub(super) fn shared_missed(&self, why: SharedMiss) {
        self.shared_misses.add(shared_miss_index(why));
    }

    pub(super) fn died_one(&self, served: bool) {
        self.died.fetch_add(1, Ordering::Relaxed);
        if !served {
            self.died_unserved.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers served from this tier.
    pub fn hits(&self, tier: Tier) -> u64 {
        match tier {
            Tier::Memory => self.memory_hits.sum(),
            Tier::Shared => self.shared_hits.load(Ordering::Relaxed),
        }
    }

    /// Lookups that gave the right to fill.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Lookups that were told to wait for another's fill.
    pub fn coalesced(&self) -> u64 {
        self.coalesced.load(Ordering::Relaxed)
    }

    /// Lookups that were sent upstream, by reason.
    pub fn bypasses(&self) -> impl Iterator<Item = (Unservable, u64)> + '_ {
        UNSERVABLE.iter().enumerate().map(|(index, why)| (*why, self.bypasses.read(index)))
    }

    /// Answers stored.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Answers not stored, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (StoreRefusal, u64)> + '_ {
        REFUSALS.iter().enumerate().map(|(index, why)| (*why, self.refused.read(index)))
    }

    /// Entries found to be overtaken by a change; a cache where most of them were never served costs more than it saves.
    pub fn died(&self) -> u64 {
        self.died.load(Ordering::Relaxed)
    }

    /// Those of them that had never been served.
    pub fn died_unserved(&self) -> u64 {
        self.died_unserved.load(Ordering::Relaxed)
    }

    /// Why the shared tier gave nothing.
    pub fn shared_misses(&self) -> impl Iterator<Item = (SharedMiss, u64)> + '_ {
        SHARED_MISSES.iter().enumerate().map(|(index, why)| (*why, self.shared_misses.read(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_are_unique() {
        fn all_differ(labels: &[&str]) {
            assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len(), "{labels:?}");
        }
        all_differ(&REFUSALS.map(StoreRefusal::label));
        all_differ(&SHARED_MISSES.map(SharedMiss::label));
        assert_eq!(UNSERVABLE.map(unservable_index), std::array::from_fn(|index| index));
        assert_eq!(REFUSALS.map(refusal_index), std::array::from_fn(|index| index));
        assert_eq!(SHARED_MISSES.map(shared_miss_index), std::array::from_fn(|index| index));
    }

    #[test]
    fn a_striped_counter_loses_nothing() {
        let counter = Striped::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add()));
            }
        });
        assert_eq!(counter.sum(), 4000);
    }
}
