//! What snapshots say of transactions that the WAL names by 32 bits: which of two snapshots is later, and sets of
//! transactions that no snapshot has shown yet. Knows no relation and no fill.

use crate::types::{FullXid, Snapshot, Xid};

/// Whether the transaction, known to have committed, is visible in the snapshot.
pub(super) fn shows(snapshot: &Snapshot, xid: Xid) -> bool {
    snapshot.shows(snapshot.widen(xid))
}

/// The later of two ids, around the wrap. Ids that are in use at one time never lie 2³¹ apart.
pub(super) fn newer(a: Xid, b: Xid) -> Xid {
    if (a.bits().wrapping_sub(b.bits()) as i32) > 0 { a } else { b }
}

/// Whether everything up to this id, seen or not, had finished when the snapshot was taken.
pub(super) fn shows_all_up_to(snapshot: &Snapshot, xid: Xid) -> bool {
    snapshot.widen(xid) < snapshot.xmin
}

/// A snapshot that is kept, to tell whether another is at least as late.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sight {
    xmax: FullXid,
    in_progress: Vec<FullXid>,
}

impl Sight {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Sight { xmax: snapshot.xmax, in_progress: snapshot.in_progress.clone() }
    }

    /// Whether `snapshot` was taken no earlier, so that it shows all that this one shows. On one server `xmax` never goes back,
    /// and at one `xmax` transactions only leave the list.
    pub(super) fn is_shown_by(&self, snapshot: &Snapshot) -> bool {
        snapshot.xmax > self.xmax
            || (snapshot.xmax == self.xmax
                && snapshot.in_progress.iter().all(|x| self.in_progress.binary_search(x).is_ok()))
    }
}

/// Committed transactions of which no snapshot of a certain kind has shown the end yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Unshown {
    listed: Vec<Xid>,
    /// There were too many to list: everything up to here counts.
    up_to: Option<Xid>,
}

/// Transactions listed one by one; more are folded into one bound, which takes longer to clear.
const LISTED: usize = 4096;

impl Unshown {
    pub(super) fn insert(&mut self, xid: Xid) {
        if self.listed.len() >= LISTED {
            self.up_to = self.listed.drain(..).chain(self.up_to).reduce(newer);
        }
        self.listed.push(xid);
    }

    /// Forgets those that the snapshot shows.
    pub(super) fn forget_shown(&mut self, snapshot: &Snapshot) {
        self.listed.retain(|xid| !shows(snapshot, *xid));
        self.up_to = self.up_to.filter(|xid| !shows_all_up_to(snapshot, *xid));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.up_to.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap()
    }

    #[test]
    fn later_snapshots_show_what_earlier_ones_show() {
        let sight = Sight::of(&snapshot("10:14:10,12"));
        assert!(sight.is_shown_by(&snapshot("10:14:10,12")));
        assert!(sight.is_shown_by(&snapshot("12:14:12")));
        assert!(sight.is_shown_by(&snapshot("10:15:10,12")));
        assert!(!sight.is_shown_by(&snapshot("10:14:10,11,12")));
        assert!(!sight.is_shown_by(&snapshot("10:13:10,12")));
    }

    #[test]
    fn too_many_unshown_fold_into_one_bound_across_the_wraparound() {
        let mut unshown = Unshown::default();
        let first = (1_u64 << 32) - 100;
        for xid in first..first + LISTED as u64 + 1 {
            unshown.insert(Xid::new(xid as u32));
        }
        assert_eq!(unshown.listed.len(), 1);
        let last = first + LISTED as u64;
        unshown.forget_shown(&snapshot(&format!("{0}:{1}:{0}", last - 1, last + 1)));
        assert!(unshown.listed.is_empty() && !unshown.is_empty());
        unshown.forget_shown(&snapshot(&format!("{0}:{0}:", last + 1)));
        assert!(unshown.is_empty());
    }
}
