//! What hits read: the machine's positions, published as atomics, and one atomic for each relation. No lock, and no truth of
//! its own.
//!
//! **Order.** All stores are made under the machine's lock and with `Release`, so they have one order, and whoever reads one of
//! them with `Acquire` sees all that were stored before it. A relation's position is stored before `applied` passes the commit
//! that raised it, and before any ping is counted that the commit lies behind. A reader loads `applied`, `heard_at` and `verified_at` first and
//! the relations last, so what it reads of relations is at least as new as what it was promised about the stream; newer only
//! makes it stricter. All these positions only grow while a stream lasts. A stream's start and loss may take them back: such a
//! change closes the `gate` first and opens it last, with another generation in it, and a reader that finds the gate closed,
//! or not the same before and after its loads, serves nothing.

use super::StreamState;
use super::doubt::Again;
use super::judge::{CatalogState, Claim, View, reached};
use crate::types::{Epoch, Lsn, Moment};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Where a relation was last changed; shared by every entry that depends on it.
#[derive(Debug, Clone, Default)]
pub struct RelationPosition(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    changed: AtomicU64,
    altered: AtomicU64,
}

/// What a hit asks of each dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct LastChange {
    /// Of its rows.
    pub(super) at: Lsn,
    /// The version of the catalog in which it was altered, came or went.
    pub(super) altered: u64,
}

impl RelationPosition {
    pub(super) fn last_change(&self) -> LastChange {
        LastChange { at: Lsn::new(self.0.changed.load(Acquire)), altered: self.0.altered.load(Acquire) }
    }

    /// Under the machine's lock.
    pub(super) fn raise(&self, end: Lsn) {
        if end > self.last_change().at {
            self.0.changed.store(end.bytes(), Release);
        }
    }

    /// Under the machine's lock, and before that version is published.
    pub(super) fn alter(&self, version: u64) {
        self.0.altered.store(version, Release);
    }
}

/// The machine's view of itself.
#[derive(Debug, Default)]
pub(super) struct Positions {
    gate: AtomicU64,
    incarnation: AtomicU64,
    epoch: AtomicU64,
    applied: AtomicU64,
    heard_at: AtomicU64,
    verified_at: AtomicU64,
    catalog_version: AtomicU64,
    catalog_floor: AtomicU64,
    catalog_base: AtomicU64,
    again_sent: AtomicU64,
    again_saw: AtomicU64,
    again_doubt: AtomicU64,
    floor: AtomicU64,
    everything: AtomicU64,
}

/// Generation, doubt and state in one word. A gate that is open says `Live` and `Verified`.
fn gate(view: &View) -> u64 {
    let state = match view.state {
        StreamState::Off => 0,
        StreamState::Starting => 1,
        StreamState::Live => 2,
        StreamState::Lost => 3,
    };
    let doubt = match view.catalog {
        CatalogState::Verified => 0,
        CatalogState::InDoubt => 4,
    };
    view.generation << 3 | doubt | state
}

fn through(gate: u64) -> (u64, CatalogState, StreamState) {
    let catalog = if gate & 4 == 0 { CatalogState::Verified } else { CatalogState::InDoubt };
    let state = match gate & 3 {
        0 => StreamState::Off,
        1 => StreamState::Starting,
        2 => StreamState::Live,
        _ => StreamState::Lost,
    };
    (gate >> 3, catalog, state)
}

impl Positions {
    /// Under the machine's lock, after the relations' positions.
    pub(super) fn publish(&self, view: &View, again: Again) {
        let gate = gate(view);
        let open = view.state == StreamState::Live && view.catalog == CatalogState::Verified;
        if !open {
            self.gate.store(gate, Release);
        }
        self.incarnation.store(view.incarnation, Release);
        self.epoch.store(view.epoch.digest(), Release);
        self.everything.store(view.everything.bytes(), Release);
        self.floor.store(view.floor.bytes(), Release);
        self.catalog_floor.store(view.catalog_floor.bytes(), Release);
        self.catalog_base.store(view.catalog_base, Release);
        // Before the version: what is read of it is then of the version that is read after it, or of an earlier one.
        self.again_doubt.store(again.doubt, Release);
        self.again_saw.store(again.saw.bytes(), Release);
        self.again_sent.store(again.sent.micros(), Release);
        self.catalog_version.store(view.catalog_version, Release);
        self.verified_at.store(view.verified_at.micros(), Release);
        self.heard_at.store(view.heard_at.micros(), Release);
        self.applied.store(view.applied.bytes(), Release);
        if open {
            self.gate.store(gate, Release);
        }
    }

    /// The view, and the gate it was read through.
    #[inline]
    pub(super) fn read(&self) -> (u64, View) {
        let gate = self.gate.load(Acquire);
        let (generation, catalog, state) = through(gate);
        let applied = Lsn::new(self.applied.load(Acquire));
        let heard_at = Moment::from_micros(self.heard_at.load(Acquire));
        let verified_at = Moment::from_micros(self.verified_at.load(Acquire));
        let view = View {
            state,
            catalog,
            generation,
            applied,
            heard_at,
            verified_at,
            incarnation: self.incarnation.load(Acquire),
            epoch: Epoch::new(self.epoch.load(Acquire)),
            catalog_version: self.catalog_version.load(Acquire),
            catalog_floor: Lsn::new(self.catalog_floor.load(Acquire)),
            catalog_base: self.catalog_base.load(Acquire),
            floor: Lsn::new(self.floor.load(Acquire)),
            everything: Lsn::new(self.everything.load(Acquire)),
        };
        (gate, view)
    }

    /// Whether what was stored at `admitted`, with nothing in it from after `high`, is known to have been read under that catalog all the time.
    pub(super) fn shows_sure(&self, claim: &Claim, admitted: Moment, high: Lsn) -> bool {
        let sent = Moment::from_micros(self.again_sent.load(Acquire));
        let saw = Lsn::new(self.again_saw.load(Acquire));
        admitted < sent
            && reached(saw, high)
            && self.again_doubt.load(Acquire) == claim.doubt
            && self.catalog_version.load(Acquire) == claim.catalog_version
    }

    /// Whether the gate is as it was, so that all that was loaded since belongs to one stream.
    #[inline]
    pub(super) fn still(&self, gate: u64) -> bool {
        self.gate.load(Acquire) == gate
    }

    pub(super) fn applied(&self) -> Lsn {
        Lsn::new(self.applied.load(Acquire))
    }
}
