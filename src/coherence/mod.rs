//! The truth of the cache: positions, stamps, floors and validity (COHERENCE.md). A state machine without I/O and
//! without a clock: what is heard comes in, what may be served or stored goes out. Knows no entry, key, socket or SQL.

use crate::types::{Epoch, FullXid, Level, Lsn, Moment, RelationId, Snapshot, Xid};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What a commit heard from the stream touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Rows of these relations (truncations included).
    Relations(smallvec::SmallVec<[RelationId; 4]>),
    /// Something that could not be named: every entry.
    Everything,
    /// An empty bracket: perhaps the catalog. No position moves, but every fill must see it.
    Unknown,
}

/// One commit, in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Where its commit record *ends* (never where it begins).
    pub end: Lsn,
    /// Its top-level transaction.
    pub xid: Xid,
    /// What it changed.
    pub touch: Touch,
}

/// Where a relation was last changed; shared by every entry that depends on it, so that a hit costs one load each.
#[derive(Debug, Clone)]
pub struct RelationPosition(#[allow(dead_code)] Arc<AtomicU64>);

/// Where a fill read, and what it learned there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// `pg_current_snapshot()`, taken before the query in the same batch, outside any transaction block.
    Primary {
        snapshot: Snapshot,
        /** insert position after the query */
        high: Lsn,
    },
    /// `pg_last_wal_replay_lsn()` taken in an earlier statement of the same batch while in recovery.
    Replica {
        replayed: Lsn,
        /** greatest(receive, replay) after the query */
        high: Lsn,
    },
}

/// What makes an entry servable: checked at every hit, in every tier.
#[derive(Debug, Clone)]
pub struct Proof {
    pub epoch: Epoch,
    /// Every commit at or before it that touches the dependencies is in the entry.
    pub stamp: Lsn,
    /// No commit after it is in the entry.
    pub high: Lsn,
    pub dependencies: Box<[(RelationId, RelationPosition)]>,
}

/// The position before which a session may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floor {
    pub epoch: Epoch,
    /// Its last acknowledged write and its last read lie at or before this.
    pub position: Lsn,
    /// Where a position is not known: everything committed before this instant must have been heard.
    pub after: Moment,
}

/// What a reader asks of a hit.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    pub level: Level,
    pub floor: Floor,
    pub now: Moment,
}

/// Why a fill may not begin or be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FillRefusal {
    /// No stream is heard, or its start is not yet proven.
    NotLive,
    /// The catalog may have changed and has not been read again.
    CatalogInDoubt,
    /// A commit that was heard and touches a dependency was not visible to the query.
    CommitNotVisible,
    /// A transaction that may have committed before the stream began was not visible to the query.
    Suspect,
    /// The query took so long that the commits it must be held against were forgotten.
    TooOld,
    /// The stream broke, the epoch or the catalog changed while the query ran.
    Overtaken,
    /// A replica's position lies below what the stream's start allows, or it left recovery.
    ReplicaNotProven,
}

/// Why an entry may not be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unservable {
    /// No stream is heard, or it is later than the bound.
    NotFresh,
    /// The catalog may have changed.
    CatalogInDoubt,
    /// Another epoch, or a stamp below the floor of the stream or of the catalog: never again servable.
    Outdated,
    /// A dependency changed after the stamp: never again servable.
    Changed,
    /// This session must read later than what has been heard.
    BelowFloor,
    /// This level is not served from entries.
    Level,
}

/// The shared machine: `feed` tells it what was heard, fills and hits ask it.
#[derive(Debug)]
pub struct Coherence {}

/// One fill in flight: taken before the query is sent.
#[derive(Debug)]
pub struct FillTicket {}

#[allow(unused_variables, missing_docs)]
impl Coherence {
    /// `staleness` is S: past it hits stop.
    pub fn new(staleness: Duration) -> Arc<Self> {
        todo!()
    }

    // What `feed` hears.

    /// A stream begins at `start`: nothing stamped below it will be served, and fills wait for [`Self::probed`].
    pub fn stream_started(&self, epoch: Epoch, start: Lsn) {
        todo!()
    }
    /// The suspect probe's answer (COHERENCE §2.3a): `probe` had committed when `snapshot` was taken.
    pub fn probed(&self, probe: FullXid, snapshot: &Snapshot) {
        todo!()
    }
    /// A later snapshot of the primary, from wherever: confirms commits as visible and clears suspects.
    pub fn saw_snapshot(&self, snapshot: &Snapshot) {
        todo!()
    }
    /// One commit, in stream order. Counts as heard once `applied` reaches its end.
    pub fn heard(&self, commit: &Commit) {
        todo!()
    }
    /// Everything up to `position` has been heard (commits and keepalives). Wakes those who wait for it.
    pub fn applied(&self, position: Lsn) {
        todo!()
    }
    /// The stream broke: hits and fills stop until the next start.
    pub fn stream_lost(&self) {
        todo!()
    }
    /// At `sent` the primary's insert position was asked for and found to be at most `position`: once the stream has passed it,
    /// everything committed before `sent` is known.
    pub fn pinged(&self, sent: Moment, position: Lsn) {
        todo!()
    }
    /// The catalog may have changed (an empty bracket, DDL through this proxy): nothing is served or stored until a
    /// verification that began after this call ends. Returns the doubt's number.
    pub fn doubt_catalog(&self) -> u64 {
        todo!()
    }
    /// The number of the newest doubt; a verification reads it before it asks the catalog.
    pub fn newest_doubt(&self) -> u64 {
        todo!()
    }
    /// The catalog, asked at `sent` and after doubt number `doubt`, is the one that is loaded.
    pub fn catalog_verified(&self, doubt: u64, sent: Moment) {
        todo!()
    }
    /// As above, but it had changed and has been loaded anew; `at` is the insert position read after loading.
    /// Every stamp below it is void, and names in commits up to there are not trusted.
    pub fn catalog_changed(&self, doubt: u64, sent: Moment, at: Lsn) {
        todo!()
    }

    // What fills ask.

    pub fn begin_fill(self: &Arc<Self>, now: Moment) -> Result<FillTicket, FillRefusal> {
        todo!()
    }
    pub fn admit(
        &self,
        ticket: FillTicket,
        evidence: &Evidence,
        dependencies: &[RelationId],
        now: Moment,
    ) -> Result<Proof, FillRefusal> {
        todo!()
    }
    /// For an entry from the shared tier: its proof in terms of this instance's own positions, or nothing if it can't be held against them.
    pub fn adopt(&self, epoch: Epoch, stamp: Lsn, high: Lsn, dependencies: &[RelationId]) -> Proof {
        todo!()
    }

    // What hits ask: atomic loads only.

    pub fn judge(&self, proof: &Proof, demand: &Demand) -> Result<(), Unservable> {
        todo!()
    }

    // What others show or need.

    pub fn epoch(&self) -> Epoch {
        todo!()
    }
    pub fn position(&self) -> Lsn {
        todo!()
    }
    /// How far behind the primary the hits may be now; `None` while nothing is served.
    pub fn staleness(&self, now: Moment) -> Option<Duration> {
        todo!()
    }
    /// Waits until everything up to `position` has been heard.
    pub async fn wait_for(&self, position: Lsn) {
        todo!()
    }
}
