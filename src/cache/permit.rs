//! The right to fill one key: ask the shared tier, take the stamp, send the query, commit or refuse. A permit that is
//! dropped frees the key and wakes those who wait, so a leader can die at any point. Does not know how a query is sent.

use super::encoding::Foreign;
use super::flight::Lead;
use super::{Basis, Cache, Entry, Filled, SharedMiss, StoreRefusal, Tier};
use crate::coherence::{Demand, FillRefusal, FillTicket};
use crate::store::shared::Shared;
use crate::types::{Level, Moment, RelationId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The right to fill one key. Dropped, it wakes those who wait.
pub struct Permit {
    cache: Arc<Cache>,
    lead: Lead,
    fill: Fill,
    /// What the last fill of this key cost, if it is known.
    cost: Option<Duration>,
}

enum Fill {
    NotBegun,
    Refused(FillRefusal),
    Begun(FillTicket),
}

impl Permit {
    pub(super) fn new(cache: Arc<Cache>, lead: Lead, cost: Option<Duration>) -> Self {
        Permit { cache, lead, fill: Fill::NotBegun, cost }
    }

    /// Asks the shared tier, if there is one and it is healthy; what it proves is put into memory and served.
    pub async fn ask_shared(&mut self, description: bool, demand: &Demand) -> Option<Arc<Entry>> {
        let shared = self.cache.shared.as_ref()?;
        match self.fetch(shared, description, demand).await {
            Ok(entry) => {
                entry.serve();
                self.cache.memory.insert(self.lead.key().clone(), Arc::clone(&entry));
                self.cache.stats.hit(Tier::Shared);
                self.lead.stored();
                Some(entry)
            }
            Err(why) => {
                self.cache.stats.shared_missed(why);
                None
            }
        }
    }

    /// Takes the stamp's lower bound. Before the query is sent. Where it is refused nobody waits for this permit any more.
    pub fn begin_fill(&mut self, now: Moment) -> Result<(), FillRefusal> {
        match self.cache.coherence.begin_fill(now) {
            Ok(ticket) => {
                self.fill = Fill::Begun(ticket);
                Ok(())
            }
            Err(why) => {
                self.fill = Fill::Refused(why);
                self.cache.stats.refused_one(StoreRefusal::Fill(why));
                self.lead.not_now();
                Err(why)
            }
        }
    }

    /// Stores the answer if it is proven, in memory and (in the background) in the shared tier. Wakes those who wait.
    pub fn commit(mut self, filled: Filled, dependencies: &[RelationId], now: Moment) -> Result<(), StoreRefusal> {
        let ticket = match std::mem::replace(&mut self.fill, Fill::NotBegun) {
            Fill::Begun(ticket) => ticket,
            // Counted when it was refused.
            Fill::Refused(why) => return Err(StoreRefusal::Fill(why)),
            Fill::NotBegun => return Err(self.refused(StoreRefusal::NotBegun)),
        };
        let length = filled.row_description.as_ref().map_or(0, |frame| frame.len()).saturating_add(filled.body.len());
        if length > self.cache.entry_limit {
            return Err(self.refused(StoreRefusal::TooLarge));
        }
        let proof = match self.cache.coherence.admit(ticket, &filled.evidence, dependencies, now) {
            Ok(proof) => proof,
            Err(why) => return Err(self.refused(StoreRefusal::Fill(why))),
        };
        let scope = proof.epoch.digest();
        let entry = Arc::new(Entry::new(Basis::Proven(proof), filled.row_description, filled.body, filled.cost));
        self.cache.memory.insert(self.lead.key().clone(), Arc::clone(&entry));
        self.cache.stats.stored_one();
        self.cache.worth.filled(entry.cost);
        self.lead.stored();
        if let Some(shared) = &self.cache.shared
            && self.cache.worth.is_worthwhile(shared.round_trip(), Some(entry.cost))
        {
            shared.insert(scope, self.lead.key().clone(), entry);
        }
        Ok(())
    }

    /// The answer is not one to store: it grew too large on its way, or was no clean answer. Wakes those who wait, and
    /// until an answer to this key is stored, nobody waits for it again.
    pub fn refuse(mut self, why: StoreRefusal) {
        self.refused(why);
    }

    fn refused(&mut self, why: StoreRefusal) -> StoreRefusal {
        self.cache.stats.refused_one(why);
        match why {
            // Of this answer or its relations: likely to befall the next as well.
            StoreRefusal::TooLarge
            | StoreRefusal::NotClean
            | StoreRefusal::Fill(FillRefusal::CommitNotVisible | FillRefusal::TooOld) => self.lead.not_stored(),
            // Of the moment.
            StoreRefusal::NotBegun
            | StoreRefusal::Written
            | StoreRefusal::Fill(
                FillRefusal::NotLive
                | FillRefusal::CatalogInDoubt
                | FillRefusal::Suspect
                | FillRefusal::Overtaken
                | FillRefusal::ReplicaNotProven,
            ) => self.lead.not_now(),
        }
        why
    }

    async fn fetch(&self, shared: &Shared, description: bool, demand: &Demand) -> Result<Arc<Entry>, SharedMiss> {
        let coherence = &self.cache.coherence;
        if demand.level == Level::Strong || coherence.staleness(demand.now).is_none() {
            return Err(SharedMiss::NotServing);
        }
        if !self.cache.worth.is_worthwhile(shared.round_trip(), self.cost) {
            return Err(SharedMiss::NotWorthwhile);
        }
        let asked = Instant::now();
        let scope = coherence.epoch().digest();
        let plain = shared.lookup(scope, self.lead.key().bytes()).await.map_err(SharedMiss::Store)?;
        let foreign = Foreign::decode(&plain).map_err(|_| SharedMiss::Undecodable)?;
        if description && foreign.row_description.is_none() {
            return Err(SharedMiss::NoDescription);
        }
        let proof =
            coherence.adopt(foreign.epoch, (foreign.stamp, foreign.asked_after, foreign.high), &foreign.dependencies);
        // The wait counts: what was fresh when the reader asked may be too old now.
        let waited = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        let now = Moment::from_micros(demand.now.micros().saturating_add(waited));
        coherence.judge(&proof, &Demand { now, ..*demand }).map_err(|_| SharedMiss::NotProven)?;
        Ok(Arc::new(Entry::new(Basis::Proven(proof), foreign.row_description, foreign.body, foreign.cost)))
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("key", self.lead.key()).finish_non_exhaustive()
    }
}
