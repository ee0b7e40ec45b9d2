//! What the feed counts. `telemetry` names and shows it; nothing here decides.

use super::decode::Unclear;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(super) fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// How often it happened.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often each thing happened since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Commits heard.
    pub commits: Count,
    /// Commits that named no relation: perhaps DDL.
    pub empty: Count,
    /// Commits that said themselves that they changed definitions.
    pub told: Count,
    /// Commits that named a relation which the catalog does not know.
    pub unknown_names: Count,
    /// Commits with a line that was not understood.
    pub unclear_line: Count,
    /// Commits whose transaction did not begin or end as it should.
    pub unclear_bracket: Count,
    /// Commits with a name in an encoding that is not certain.
    pub unclear_encoding: Count,
    /// Commits of too many relations.
    pub too_many_relations: Count,
    /// Verifications of the catalog that ended.
    pub verifications: Count,
    /// Catalogs loaded.
    pub catalogs: Count,
    /// Streams begun.
    pub streams: Count,
    /// Bytes of WAL that the primary keeps for the stream, when last looked at: the one that does not only grow.
    pub retained_wal: Count,
    /// Transactions of our own, made so that the server flushes its WAL's tail.
    pub nudges: Count,
}

impl Counters {
    pub(super) fn unclear(&self, why: Unclear) -> &Count {
        match why {
            Unclear::Line => &self.unclear_line,
            Unclear::Bracket => &self.unclear_bracket,
            Unclear::Encoding => &self.unclear_encoding,
            Unclear::TooMany => &self.too_many_relations,
        }
    }
}
