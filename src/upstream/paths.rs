//! Whether a connection knows which schemas of its search path its role may use. A backend finds out once, and up to PostgreSQL 16
//! looks anew when the path, the role or a schema changes, but not when a membership, an attribute of a role or the database's owner
//! does (`InitializeSearchPath` in namespace.c registers for `pg_namespace` alone; from 17 on for those too). So that a connection
//! which others have used answers as a new one would, it is told its path again. Knows positions; sends nothing.

use super::evidence::{Measure, Seen};
use super::status::Role;
use crate::types::Lsn;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of one server.
#[derive(Debug, Default)]
pub(super) struct Paths {
    changes: AtomicU64,
    /// The last change lies before.
    at: AtomicU64,
}

impl Paths {
    pub(super) fn changed(&self, at: Lsn) {
        self.at.fetch_max(at.bytes(), Ordering::AcqRel);
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes there were.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// How many of them this server shows for certain: all or, as far as it is known, not the last. Of a replica that tells no position
    /// nothing is stored, so that it need not be certain.
    pub(super) fn shown(&self, seen: &Seen, replayed: Lsn) -> u64 {
        let changes = self.changes();
        let at = Lsn::new(self.at.load(Ordering::Acquire));
        let shows = seen.role == Role::Primary || seen.measure == Measure::Time || replayed >= at;
        if shows { changes } else { changes.saturating_sub(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c16_a_replica_that_has_not_replayed_a_change_is_asked_again() {
        let (paths, replica) = (Paths::default(), Seen { role: Role::Replica, ..Seen::NOTHING });
        assert_eq!((paths.changes(), paths.shown(&replica, Lsn::ZERO)), (0, 0), "there was none");
        paths.changed(Lsn::new(7));
        let shown = |seen: &Seen, at| paths.shown(seen, Lsn::new(at)) == paths.changes();
        assert!(!shown(&replica, 6) && shown(&replica, 7));
        assert!(shown(&Seen { role: Role::Primary, ..replica.clone() }, 0));
        assert!(shown(&Seen { measure: Measure::Time, ..replica.clone() }, 0));
        paths.changed(Lsn::new(9));
        assert!(!shown(&replica, 8) && shown(&replica, 9));
    }
}
