//! Whether an entry may be served, as a pure function of the published positions: the same code judges hits (over
//! atomics) and the states of the model checker (over plain values).

use super::positions::LastChange;
use super::{Demand, Floor, StreamState, Unservable};
use crate::types::{Epoch, Level, Lsn, Moment};
use std::time::Duration;

/// The positions that hits are judged by, all read no later than the relations' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: StreamState,
    pub(super) catalog: CatalogState,
    /// Counts stream starts and losses.
    pub(super) generation: u64,
    /// Counts epochs as this process met them: an epoch that comes back is another incarnation.
    pub(super) incarnation: u64,
    pub(super) epoch: Epoch,
    pub(super) applied: Lsn,
    /// All that was committed before has been heard.
    pub(super) heard_at: Moment,
    /// When the newest verification of the catalog was sent.
    pub(super) verified_at: Moment,
    /// Counts the catalogs that were loaded.
    pub(super) catalog_version: u64,
    /// Where the newest of them was known to be loaded.
    pub(super) catalog_floor: Lsn,
    /// In those after it single relations were altered, which say so.
    pub(super) catalog_base: u64,
    /// Where the stream began.
    pub(super) floor: Lsn,
    /// The last commit that touched what could not be named.
    pub(super) everything: Lsn,
}

/// Whether the catalog that is loaded is known to be the primary's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatalogState {
    /// It was, when last asked.
    Verified,
    /// It may have changed: nothing is served or stored.
    InDoubt,
}

/// What an entry claims, without its dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    /// Zero: none that this process ever met.
    pub(super) incarnation: u64,
    pub(super) epoch: Epoch,
    pub(super) stamp: Lsn,
    /// It was asked for after all of this had been heard, or replayed where it was read: no catalog from before was it read under.
    pub(super) asked_after: Lsn,
    /// Zero: filled under a catalog that is not known here.
    pub(super) catalog_version: u64,
    /// The newest doubt of the catalog when it was asked for.
    pub(super) doubt: u64,
    /// That catalog is known to have been the one it was read under, all the time: see [`Again`](super::doubt::Again).
    pub(super) is_sure: bool,
}

/// Whether a stream (or an entry) that has come to `end`, the end of a record, includes everything before `position`.
///
/// An insert position at the beginning of a page is reported behind the page's header, where no record ends, so that an
/// idle stream would never come to it. A record is at least 24 bytes long: if one ends where the page begins, none ends at
/// or before the place behind the header; if one spans the page's beginning, none ends between and nothing is lost either.
/// Ordinary headers have 24 bytes, those that begin a segment 40; segments begin at multiples of 1 MiB at least.
pub(super) fn reached(end: Lsn, position: Lsn) -> bool {
    end >= without_page_header(position)
}

pub(super) fn without_page_header(position: Lsn) -> Lsn {
    const PAGE: (u64, u64) = (8 << 10, 24);
    const SEGMENT: (u64, u64) = (1 << 20, 40);
    let bytes = position.bytes();
    let begins = |(size, header): (u64, u64)| (bytes % size == header).then(|| Lsn::new(bytes - header));
    begins(PAGE).or_else(|| begins(SEGMENT)).unwrap_or(position)
}

/// `changes`: when each dependency was last changed, read after `view`.
pub(super) fn judge(
    view: &View,
    claim: &Claim,
    changes: impl IntoIterator<Item = LastChange>,
    demand: &Demand,
    staleness: Duration,
) -> Result<(), Unservable> {
    if demand.level == Level::Strong {
        return Err(Unservable::Level);
    }
    if view.state != StreamState::Live {
        return Err(Unservable::NotFresh);
    }
    if view.catalog == CatalogState::InDoubt {
        return Err(Unservable::CatalogInDoubt);
    }
    let unaltered = unaltered_since(view, claim).filter(|_| claim.incarnation == view.incarnation);
    let Some(unaltered) = unaltered.filter(|_| claim.stamp >= view.floor) else {
        return Err(Unservable::Outdated);
    };
    let changed = |change: LastChange| change.at > claim.stamp || change.altered > unaltered;
    if view.everything > claim.stamp || changes.into_iter().any(changed) {
        return Err(Unservable::Changed);
    }
    let fresh_at = view.heard_at.min(view.verified_at);
    if fresh_at == Moment::START || demand.now.since(fresh_at) > staleness {
        return Err(Unservable::NotFresh);
    }
    if demand.level == Level::Session && !includes(view, claim, &demand.floor) {
        return Err(Unservable::BelowFloor);
    }
    Ok(())
}

/// An entry that was filled under the catalog that is loaded stands; another's may have depended on other things, unless it was
/// asked for after the change. (On an idle primary it may lie exactly at the change and have been filled before it.) Where
/// only single relations have been altered since, it stands if it does not depend on them, and if it was read under the catalog that
/// its dependencies are taken from: a table may have had another's name in between. Gives the version after which no dependency
/// may have been altered.
fn unaltered_since(view: &View, claim: &Claim) -> Option<u64> {
    if claim.catalog_version == view.catalog_version || claim.asked_after > view.catalog_floor {
        return Some(u64::MAX);
    }
    (claim.is_sure && claim.catalog_version >= view.catalog_base).then_some(claim.catalog_version)
}

/// A position of another epoch says nothing about this one: such a session goes to the primary for its next read, which
/// gives it a floor of this epoch. An instant is of this process and holds in every epoch; it is compared strictly, since
/// clocks are read in whole microseconds and the ping must have been sent after it.
fn includes(view: &View, claim: &Claim, floor: &Floor) -> bool {
    let position = floor.position == Lsn::ZERO
        || (floor.epoch == claim.epoch
            && (reached(view.applied, floor.position) || reached(claim.stamp, floor.position)));
    position && (floor.after == Moment::START || view.heard_at > floor.after)
}
