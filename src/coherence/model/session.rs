//! One session that reads a relation from several places, one read after the other, and must never read back in time.

use super::world::{Entry, Flaw, Sighted, Transactions, World, snapshot};
use crate::types::Lsn;

/// Where a session reads which relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Read {
    Primary(u32),
    Replica(u32),
    Cache(u32),
}

/// What it knows, and what it must not have happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Session {
    /// Reads made.
    made: usize,
    floor: Lsn,
    /// As far as that came from a replica.
    replica_floor: Lsn,
    seen: Transactions,
    /// A read on the primary that is not answered yet: its snapshot, what it read, and the insert position after it.
    under_way: Option<(Sighted, Transactions, Lsn)>,
    pub(super) wrong: Option<String>,
}

impl World {
    fn next_read(&self) -> Option<Read> {
        self.scenario.reads.get(self.session.made).copied()
    }

    pub(super) fn session_can_go_on(&self) -> bool {
        match self.next_read() {
            Some(Read::Primary(_)) => true,
            Some(Read::Replica(_)) => self.replica_positions().0 >= self.session.floor,
            Some(Read::Cache(_)) | None => false,
        }
    }

    /// The entries that the session could be served now.
    pub(super) fn hits(&self) -> Vec<usize> {
        let Some(Read::Cache(relation)) = self.next_read() else { return Vec::new() };
        let served = |entry: &Entry| entry.relation == relation && self.servable(entry, self.session.floor);
        (0..self.entries.len()).filter(|number| served(&self.entries[*number])).collect()
    }

    pub(super) fn session_goes_on(&mut self) {
        match (self.next_read(), self.session.under_way.take()) {
            (Some(Read::Replica(relation)), _) => {
                let high = self.replica_positions().1;
                self.session.replica_floor = self.session.replica_floor.max(high);
                self.session_reads(self.on_replica(relation), high);
            }
            (Some(Read::Primary(relation)), None) => {
                let read = (self.snapshot_now(), self.on_primary(relation), self.insert_position());
                self.session.under_way = Some(read);
            }
            (Some(Read::Primary(_)), Some((taken, value, high))) => {
                let from_replica = self.session.replica_floor;
                let proven = from_replica == Lsn::ZERO
                    || self.scenario.flaw == Flaw::LongFork
                    || self.machine.shows_up_to(&snapshot(&taken), from_replica);
                if proven {
                    self.session_reads(value, high);
                } else {
                    // It would ask elsewhere.
                    self.session.made += 1;
                }
            }
            (Some(Read::Cache(_)) | None, _) => unreachable!("it has nothing to ask"),
        }
    }

    pub(super) fn session_hits(&mut self, number: usize) {
        let Entry { high, value, source, .. } = self.entries[number];
        if self.scenario.flaw == Flaw::FloorStays {
            return self.session_reads(value, Lsn::ZERO);
        }
        if source.may_lead_primary() {
            self.session.replica_floor = self.session.replica_floor.max(high);
        }
        self.session_reads(value, high);
    }

    fn session_reads(&mut self, value: Transactions, high: Lsn) {
        let session = &mut self.session;
        if session.seen & !value != 0 {
            session.wrong = Some(format!("read {} ({:b}) after {:b}", session.made, value, session.seen));
        }
        session.seen |= value;
        session.floor = session.floor.max(high);
        session.made += 1;
    }
}
