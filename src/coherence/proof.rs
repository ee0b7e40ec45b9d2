//! What fills bring, what entries carry and what readers ask: the types at the door of this module, and the reasons for
//! refusing. Decides nothing.

use super::judge::Claim;
use super::positions::RelationPosition;
use crate::types::{Epoch, Level, Lsn, Moment, RelationId, Snapshot};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a fill read, and what it learned there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// `pg_current_snapshot()`, taken before the query in the same batch, outside any transaction block.
    Primary {
        snapshot: Snapshot,
        /// The insert position after the query.
        high: Lsn,
    },
    /// `pg_last_wal_replay_lsn()` taken in an earlier statement of the same batch while in recovery.
    Replica {
        replayed: Lsn,
        /// The greater of the positions received and replayed, after the query.
        high: Lsn,
    },
}

/// Where an entry's content was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    Primary,
    Replica,
    /// Another instance read it somewhere.
    Shared,
}

impl Source {
    /// Whether it may show a commit that the primary does not show yet.
    pub const fn may_lead_primary(self) -> bool {
        !matches!(self, Source::Primary)
    }
}

/// What makes an entry servable: checked at every hit, in every tier.
#[derive(Debug, Clone)]
pub struct Proof {
    pub epoch: Epoch,
    /// Every commit at or before it that touches the dependencies is in the entry.
    pub stamp: Lsn,
    /// The entry was asked for after all of this had been heard by who filled it, or replayed where it was read.
    pub asked_after: Lsn,
    /// No commit after it is in the entry.
    pub high: Lsn,
    pub source: Source,
    pub dependencies: Box<[(RelationId, RelationPosition)]>,
    incarnation: u64,
    catalog_version: u64,
    doubt: u64,
    pub(super) admitted: Moment,
    sure: Sure,
}

/// Set once, by whoever finds out.
#[derive(Debug, Default)]
pub(super) struct Sure(AtomicBool);

impl Clone for Sure {
    fn clone(&self) -> Self {
        Sure(AtomicBool::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Proof {
    pub(super) fn new(
        claim: Claim,
        high: Lsn,
        source: Source,
        dependencies: Box<[(RelationId, RelationPosition)]>,
        admitted: Moment,
    ) -> Self {
        let Claim { incarnation, epoch, stamp, asked_after, catalog_version, doubt, .. } = claim;
        let sure = Sure::default();
        Proof {
            epoch,
            stamp,
            asked_after,
            high,
            source,
            dependencies,
            incarnation,
            catalog_version,
            doubt,
            admitted,
            sure,
        }
    }

    pub(super) fn claim(&self) -> Claim {
        let Proof { incarnation, epoch, stamp, asked_after, catalog_version, doubt, .. } = *self;
        let is_sure = self.sure.0.load(Ordering::Relaxed);
        Claim { incarnation, epoch, stamp, asked_after, catalog_version, doubt, is_sure }
    }

    pub(super) fn make_sure(&self) {
        self.sure.0.store(true, Ordering::Relaxed);
    }
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

impl Floor {
    /// After a read or a write that may include everything up to `position`: no earlier than that from now on. A floor of another
    /// epoch is replaced: what this session now knows is of this one.
    #[must_use]
    pub fn risen(self, epoch: Epoch, position: Lsn) -> Floor {
        let position = if self.epoch == epoch { self.position.max(position) } else { position };
        Floor { epoch, position, after: self.after }
    }

    /// After something whose position is not known and that ended at `now`.
    #[must_use]
    pub fn risen_to_moment(self, now: Moment) -> Floor {
        Floor { after: self.after.max(now), ..self }
    }
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
    /// A replica's position lies below what the stream's start allows or beyond all that the primary has been heard to have, or it left
    /// recovery.
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

impl FillRefusal {
    /// The name in metrics and explanations.
    pub const fn label(self) -> &'static str {
        match self {
            FillRefusal::NotLive => "not_live",
            FillRefusal::CatalogInDoubt => "catalog_in_doubt",
            FillRefusal::CommitNotVisible => "commit_not_visible",
            FillRefusal::Suspect => "suspect",
            FillRefusal::TooOld => "too_old",
            FillRefusal::Overtaken => "overtaken",
            FillRefusal::ReplicaNotProven => "replica_not_proven",
        }
    }
}

impl Unservable {
    /// The name in metrics and explanations.
    pub const fn label(self) -> &'static str {
        match self {
            Unservable::NotFresh => "not_fresh",
            Unservable::CatalogInDoubt => "catalog_in_doubt",
            Unservable::Outdated => "outdated",
            Unservable::Changed => "changed",
            Unservable::BelowFloor => "below_floor",
            Unservable::Level => "level",
        }
    }
}
