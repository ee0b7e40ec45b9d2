//! Key to entry: lookup, single-flight permits, admission. Knows no socket and no SQL; `coherence` says what is true,
//! `store` keeps the bytes.

use crate::coherence::{Coherence, Demand, Evidence, FillRefusal, Proof};
use crate::types::{Moment, RelationId};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// One stored answer.
#[derive(Debug)]
pub struct Entry {
    pub proof: Proof,
    /// The whole RowDescription frame, if the fill had one.
    pub row_description: Option<Bytes>,
    /// Whole DataRow frames and the CommandComplete.
    pub body: Bytes,
    /// What the fill cost upstream.
    pub cost: Duration,
}

/// Where a hit came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    Memory,
    Shared,
}

/// What a lookup found.
pub enum Answer {
    Hit(Arc<Entry>),
    /// Not there (or not servable): the caller has the one right to fill.
    Permit(Permit),
    /// Somebody fills it: wait a bounded time, then look again.
    Busy(Waiter),
    /// It may not be served to this session now though others may get it, or nothing may be stored now: ask upstream, store nothing.
    Bypass(crate::coherence::Unservable),
}

/// The right to fill one key. Dropped, it wakes those who wait.
pub struct Permit {}
/// Waits for a fill of another.
pub struct Waiter {}

/// Why a finished answer was not stored. One variant, one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreRefusal {
    Fill(FillRefusal),
    TooLarge,
}

/// A finished, clean answer.
pub struct Filled {
    pub evidence: Evidence,
    pub row_description: Option<Bytes>,
    pub body: Bytes,
    pub cost: Duration,
}

#[derive(Debug)]
pub struct Cache {}

#[allow(unused_variables, missing_docs)]
impl Cache {
    /// `description`: the reader needs the RowDescription, so an entry without one is not a hit for it.
    pub fn lookup(self: &Arc<Self>, key: &[u8], description: bool, demand: &Demand) -> Answer {
        todo!()
    }
    pub fn coherence(&self) -> &Arc<Coherence> {
        todo!()
    }
    pub fn entries(&self) -> u64 {
        todo!()
    }
    pub fn bytes(&self) -> u64 {
        todo!()
    }
    pub fn entry_limit(&self) -> usize {
        todo!()
    }
}

#[allow(unused_variables, missing_docs)]
impl Permit {
    /// Asks the shared tier, if there is one and it is healthy; what it proves is put into memory and served.
    pub async fn ask_shared(&mut self, description: bool, demand: &Demand) -> Option<Arc<Entry>> {
        todo!()
    }
    /// Takes the stamp's lower bound. Before the query is sent.
    pub fn begin_fill(&mut self, now: Moment) -> Result<(), FillRefusal> {
        todo!()
    }
    /// Stores the answer if it is proven, in memory and (in the background) in the shared tier. Wakes those who wait.
    pub fn commit(self, filled: Filled, dependencies: &[RelationId], now: Moment) -> Result<(), StoreRefusal> {
        todo!()
    }
}

impl Waiter {
    /// Until the fill ends, at most `limit`.
    pub async fn wait(self, _limit: Duration) {
        todo!()
    }
}
