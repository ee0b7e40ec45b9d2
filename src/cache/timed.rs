//! Answers kept by the clock: where no stream of changes can be had, and only for whom a rule of the configuration says so. They
//! are never taken for proven ones, never leave this process, and one write that passes through voids them all. Knows
//! neither the rules nor why there is no stream.

use super::flight::{Boarding, Lead, Waiter};
use super::{Basis, Cache, Entry, StoreRefusal, Tier};
use crate::store::memory::Key;
use crate::types::Moment;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What such an entry is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    /// From here on it is too old.
    pub expires: Moment,
    /// How many writes had passed through before its query was sent.
    pub writes: u64,
}

/// What a lookup by the clock found.
#[derive(Debug)]
pub enum TimedAnswer {
    /// Young enough.
    Hit(Arc<Entry>),
    /// Not there: the caller has the one right to fill.
    Permit(TimedPermit),
    /// Somebody fills it: wait a bounded time, then look again.
    Busy(Waiter),
}

/// A finished, clean answer of the primary.
#[derive(Debug)]
pub struct TimedReply {
    /// The whole RowDescription frame, if there was one.
    pub row_description: Option<Bytes>,
    /// Whole DataRow frames and the CommandComplete, in memory of their own.
    pub body: Bytes,
    /// What it cost upstream.
    pub cost: Duration,
}

impl Cache {
    /// Looks into memory for an answer that a rule allows.
    pub fn lookup_timed(self: &Arc<Self>, key: &[u8], description: bool, now: Moment) -> TimedAnswer {
        if let Some(entry) = self.find_timed(key, description, now) {
            return self.timed_hit(entry);
        }
        match self.flights.board(Key::from(key)) {
            // Between the look and the boarding another may have filled and landed.
            Boarding::Lead(lead) => match self.find_timed(key, description, now) {
                Some(entry) => self.timed_hit(entry),
                None => {
                    self.stats.missed();
                    TimedAnswer::Permit(TimedPermit { cache: Arc::clone(self), lead, begun: None })
                }
            },
            Boarding::Follow(waiter) => {
                self.stats.coalesced_one();
                TimedAnswer::Busy(waiter)
            }
        }
    }

    /// Something that is not a proven read has ended: every answer kept by the clock is void, and so is every such fill
    /// under way. To be called before the writer hears of its end.
    pub fn wrote(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    fn timed_hit(&self, entry: Arc<Entry>) -> TimedAnswer {
        entry.serve();
        self.stats.hit(Tier::Memory);
        TimedAnswer::Hit(entry)
    }

    fn find_timed(&self, key: &[u8], description: bool, now: Moment) -> Option<Arc<Entry>> {
        let entry = self.memory.lookup(key)?;
        let Basis::Timed(timed) = entry.basis else { return None };
        if timed.writes != self.writes.load(Ordering::SeqCst) {
            self.bury(&entry);
            return None;
        }
        let young = now < timed.expires;
        (young && (!description || entry.row_description.is_some())).then_some(entry)
    }
}

/// The right to fill one key by the clock. Dropped, it wakes those who wait.
pub struct TimedPermit {
    cache: Arc<Cache>,
    lead: Lead,
    begun: Option<Begun>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Moment,
    writes: u64,
}

impl TimedPermit {
    /// Before the query is sent: from here the answer ages, and from here on a write voids it.
    pub fn begin(&mut self, now: Moment) {
        self.begun = Some(Begun { at: now, writes: self.cache.writes.load(Ordering::SeqCst) });
    }

    /// Stores the answer for `ttl`, unless something was written meanwhile. Wakes those who wait.
    ///
    /// # Errors
    /// Why it was not stored.
    pub fn commit(mut self, reply: TimedReply, ttl: Duration) -> Result<(), StoreRefusal> {
        let Some(Begun { at, writes }) = self.begun else { return Err(self.refused(StoreRefusal::NotBegun)) };
        let micros = u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX);
        let timed = Timed { expires: Moment::from_micros(at.micros().saturating_add(micros)), writes };
        let entry = Entry::new(Basis::Timed(timed), reply.row_description, reply.body, reply.cost);
        if entry.bytes() > self.cache.entry_limit {
            return Err(self.refused(StoreRefusal::TooLarge));
        }
        if writes != self.cache.writes.load(Ordering::SeqCst) {
            return Err(self.refused(StoreRefusal::Written));
        }
        self.cache.memory.insert(self.lead.key().clone(), Arc::new(entry));
        self.cache.stats.stored_one();
        self.lead.stored();
        Ok(())
    }

    /// The answer is not one to store. Wakes those who wait.
    pub fn refuse(mut self, why: StoreRefusal) {
        self.refused(why);
    }

    fn refused(&mut self, why: StoreRefusal) -> StoreRefusal {
        self.cache.stats.refused_one(why);
        match why {
            StoreRefusal::TooLarge | StoreRefusal::NotClean => self.lead.not_stored(),
            StoreRefusal::Fill(_) | StoreRefusal::NotBegun | StoreRefusal::Written => self.lead.not_now(),
        }
        why
    }
}

impl fmt::Debug for TimedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedPermit").field("key", self.lead.key()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::coherence::{Coherence, Demand, Floor};
    use crate::types::Level;

    const KEY: &[u8] = b"select * from rates";
    const TTL: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    fn cache() -> Arc<Cache> {
        let options = Options { memory: 1 << 20, entry_limit: 1000, shared: None };
        Cache::new(Coherence::new(Duration::from_secs(1)), &options).expect("there is no URL that could be wrong")
    }

    fn reply(body: &str) -> TimedReply {
        TimedReply {
            row_description: Some(Bytes::from_static(b"T")),
            body: Bytes::copy_from_slice(body.as_bytes()),
            cost: Duration::from_millis(1),
        }
    }

    fn permit(cache: &Arc<Cache>, now: Moment) -> TimedPermit {
        match cache.lookup_timed(KEY, true, now) {
            TimedAnswer::Permit(permit) => permit,
            other => panic!("no permit: {other:?}"),
        }
    }

    fn hit(cache: &Arc<Cache>, now: Moment) -> Option<Bytes> {
        match cache.lookup_timed(KEY, true, now) {
            TimedAnswer::Hit(entry) => Some(entry.body.clone()),
            TimedAnswer::Permit(_) | TimedAnswer::Busy(_) => None,
        }
    }

    fn fill(cache: &Arc<Cache>, begun: Moment, body: &str) -> Result<(), StoreRefusal> {
        let mut permit = permit(cache, begun);
        permit.begin(begun);
        permit.commit(reply(body), TTL)
    }

    #[test]
    fn an_answer_is_served_while_it_is_younger_than_its_time() {
        let cache = cache();
        fill(&cache, at(100), "one").expect("nothing was written");
        assert_eq!(hit(&cache, at(129)).as_deref(), Some(&b"one"[..]));
        assert_eq!(hit(&cache, at(130)), None);
    }

    #[test]
    fn a_write_voids_what_is_stored_and_what_is_under_way() {
        let cache = cache();
        fill(&cache, at(100), "old").expect("nothing was written");
        cache.wrote();
        assert_eq!(hit(&cache, at(101)), None);
        let mut slow = permit(&cache, at(102));
        slow.begin(at(102));
        cache.wrote();
        assert_eq!(slow.commit(reply("old"), TTL), Err(StoreRefusal::Written));
        assert_eq!(hit(&cache, at(103)), None);
        assert_eq!(cache.stats().died(), 1);
        fill(&cache, at(104), "new").expect("nothing was written since");
        assert_eq!(hit(&cache, at(105)).as_deref(), Some(&b"new"[..]));
    }

    #[test]
    fn what_the_clock_keeps_is_no_answer_for_who_wants_proof() {
        let cache = cache();
        fill(&cache, at(100), "one").expect("nothing was written");
        let demand = Demand { level: Level::Bounded, floor: Floor::default(), now: at(100) };
        assert!(matches!(cache.lookup(KEY, true, &demand), super::super::Answer::Permit(_)));
    }

    #[test]
    fn one_fills_and_the_rest_wait() {
        let cache = cache();
        let first = permit(&cache, at(100));
        assert!(matches!(cache.lookup_timed(KEY, true, at(100)), TimedAnswer::Busy(_)));
        drop(first);
        permit(&cache, at(100)).refuse(StoreRefusal::NotClean);
    }

    #[test]
    fn the_entry_limit_and_the_description_count() {
        let cache = cache();
        assert_eq!(fill(&cache, at(100), &"x".repeat(1000)), Err(StoreRefusal::TooLarge));
        let mut bare = permit(&cache, at(100));
        bare.begin(at(100));
        bare.commit(TimedReply { row_description: None, ..reply("rows") }, TTL).expect("nothing was written");
        assert_eq!(hit(&cache, at(101)), None, "the reader needs the description");
        assert!(matches!(cache.lookup_timed(KEY, false, at(101)), TimedAnswer::Hit(_)));
    }
}
