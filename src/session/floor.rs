//! What a session has read and written, as far as it binds where it may read next. Knows positions; asks nobody.

use crate::coherence::{Coherence, Floor};
use crate::route::destination::{Again, Bound};
use crate::types::{Epoch, Lsn, Moment};
use crate::upstream::{Lease, Server};
use std::sync::Arc;

/// The session's floor, and which part of it binds where.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// No read goes before this.
    floor: Floor,
    /// The replica that was read last, in the life that it had then, and the floor without what was read there. Under writes a
    /// replica has received more than it has replayed, so that by `floor` alone none could be read twice in a row.
    replica: Option<(Arc<Server>, u64)>,
    elsewhere: Floor,
    /// When the server started that has answered there last, in microseconds: behind one address there may be several.
    started: Option<u64>,
    /// What was seen up to here came from a replica, which may have been ahead of what the primary showed.
    ahead: (Epoch, Lsn),
    /// A write whose position could not be learned, or something that a notification told of: the primary alone is fresh enough.
    pub unknown: bool,
}

impl Seen {
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// Written or read at or before `position`, on the primary or in a hit.
    pub fn raise(&mut self, epoch: Epoch, position: Lsn) {
        self.floor = self.floor.risen(epoch, position);
        self.elsewhere = self.elsewhere.risen(epoch, position);
    }

    /// The replica that is leased has said before an answer when it started.
    pub fn answered(&mut self, started: Option<u64>) {
        if self.started != started {
            // What was read before was read elsewhere.
            self.replica = None;
            self.started = started;
        }
    }

    /// Read at or before `position` on the replica that is leased.
    pub fn read_on_replica(&mut self, lease: &Lease, epoch: Epoch, position: Lsn) {
        let again = self.replica.as_ref().is_some_and(|(server, life)| {
            Arc::ptr_eq(server, &lease.server) && *life == lease.life() && self.floor.epoch == epoch
        });
        if !again {
            self.replica = Some((Arc::clone(&lease.server), lease.life()));
            self.elsewhere = self.floor;
        }
        self.floor = self.floor.risen(epoch, position);
        self.lead(epoch, position);
    }

    /// The primary may not show yet what lies before `position`.
    pub fn lead(&mut self, epoch: Epoch, position: Lsn) {
        let before = self.ahead(epoch).unwrap_or(Lsn::ZERO);
        self.ahead = (epoch, before.max(position));
    }

    /// What the primary has to show before it is read. Another life's positions bind nobody: what was seen there may be gone.
    pub fn ahead(&self, epoch: Epoch) -> Option<Lsn> {
        let (of, position) = self.ahead;
        (of == epoch && position != Lsn::ZERO).then_some(position)
    }

    /// The primary shows it.
    pub fn caught_up(&mut self) {
        self.ahead.1 = Lsn::ZERO;
    }

    /// Read something whose position is not known, before now.
    pub fn raise_to_moment(&mut self, now: Moment) {
        self.floor = self.floor.risen_to_moment(now);
        self.elsewhere = self.elsewhere.risen_to_moment(now);
    }

    /// What replicas must have replayed; `None` if that is not known by position.
    pub fn bound(&mut self, coherence: &Coherence) -> Option<Bound<'_>> {
        if self.floor.after != Moment::START && coherence.has_heard_since(self.floor.after) {
            // All that had been written before that instant lies at or before what is heard by now.
            self.floor.after = Moment::START;
            self.elsewhere.after = Moment::START;
            self.raise(coherence.epoch(), coherence.position());
        }
        let again = self.replica.as_ref().filter(|(server, life)| server.life() == *life);
        let again = again.map(|(replica, _)| Again { replica, started: self.started, elsewhere: self.elsewhere });
        (!self.unknown).then_some(Bound { floor: self.floor, again })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{FullXid, Snapshot};
    use std::time::Duration;

    #[test]
    fn r9_a_read_of_unknown_extent_binds_by_instant_until_its_position_is_heard() {
        let at = Moment::from_micros;
        let epoch = Epoch::new(1);
        let coherence = Coherence::new(Duration::from_secs(1));
        coherence.stream_started(epoch, Lsn::new(1000));
        let snapshot: Snapshot = "101:101:".parse().unwrap();
        coherence.probed(FullXid::new(100), &snapshot);
        let mut seen = Seen::default();
        seen.raise_to_moment(at(5));
        assert_eq!(seen.bound(&coherence).expect("it is known by instant").floor.after, at(5));
        coherence.applied(Lsn::new(2000));
        coherence.pinged(at(6), Lsn::new(2000));
        let bound = seen.bound(&coherence).expect("it is known").floor;
        assert_eq!((bound.after, bound.position), (Moment::START, Lsn::new(2000)));
        coherence.applied(Lsn::new(3000));
        let bound = seen.bound(&coherence).expect("it is known").floor;
        assert_eq!(bound.position, Lsn::new(2000), "what is heard later is not its business");
    }
    #[test]
    fn c6_what_the_primary_has_to_show_ends_with_its_life() {
        let [old, new] = [1, 2].map(Epoch::new);
        let mut seen = Seen::default();
        seen.lead(old, Lsn::new(2000));
        seen.lead(old, Lsn::new(1000));
        assert_eq!(seen.ahead(old), Some(Lsn::new(2000)));
        assert_eq!(seen.ahead(new), None, "its successor may never have it");
        seen.lead(new, Lsn::new(1500));
        assert_eq!((seen.ahead(new), seen.ahead(old)), (Some(Lsn::new(1500)), None), "and counts from there");
        seen.caught_up();
        assert_eq!(seen.ahead(new), None);
    }
}
