//! Which replicas hold a history that the primary does not have, though cluster and timeline are the same: after a restore of the primary,
//! or where two were promoted at once. Pure: positions come in, with when they were told. A replica can never have replayed
//! what the primary inserts later; one that has is on another branch.

use crate::types::{Lsn, Moment};
use std::collections::BTreeMap;

/// What is known of every replica's branch, against the present life of the primary.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// The furthest that the primary has inserted, in this life.
    furthest: Lsn,
    replicas: BTreeMap<usize, Branch>,
    /// Those that were proven to be apart since somebody asked.
    news: Vec<usize>,
}

/// Whether a replica may be taken for one of the primary's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing that it has told lies beyond the primary.
    Covered,
    /// It is ahead of all that the primary has been heard to insert, in its life or the primary's, so far.
    Unproven,
    /// It has what the primary does not have.
    Apart,
}

#[derive(Debug, Default)]
struct Branch {
    standing: Option<Standing>,
    /// Told then, and not yet held against a later answer of the primary.
    open: Option<(Moment, Lsn)>,
    apart: Option<Apart>,
}

/// A branch that is not the primary's.
#[derive(Debug, Clone, Copy)]
struct Apart {
    /// Where it ends: what stays on it never gets further.
    top: Lsn,
    /// The watch has lost it since: what comes back may have been made anew.
    was_lost: bool,
}

impl Branches {
    /// The primary begins a life: nothing that was covered is, until it has been heard again. Who is apart stays so.
    pub(super) fn begin(&mut self) {
        self.furthest = Lsn::ZERO;
        for branch in self.replicas.values_mut() {
            (branch.standing, branch.open) = (None, None);
        }
    }

    /// The watch lost a replica: it may come back with another history.
    pub(super) fn lost(&mut self, index: usize) {
        if let Some(branch) = self.replicas.get_mut(&index) {
            (branch.standing, branch.open) = (None, None);
            if let Some(apart) = &mut branch.apart {
                apart.was_lost = true;
            }
        }
    }

    /// The primary, asked at `sent`, inserts at `position`: the position itself, page header and all, beyond which no record can end.
    pub(super) fn inserts(&mut self, sent: Moment, position: Lsn) {
        self.furthest = self.furthest.max(position);
        for (&index, branch) in &mut self.replicas {
            let Some((_, told)) = branch.open.filter(|(heard, _)| *heard < sent) else { continue };
            branch.open = None;
            if told <= position {
                branch.standing = Some(Standing::Covered);
            } else if branch.apart.is_none() {
                branch.apart = Some(Apart { top: told, was_lost: false });
                self.news.push(index);
            }
        }
    }

    /// A replica of the primary's cluster and timeline, heard at `now`, has replayed up to `replayed`. `receives`: by a connection to another
    /// server that it has now, which it has only once it has replayed all of its own log.
    pub(super) fn told(&mut self, index: usize, replayed: Lsn, receives: bool, now: Moment) -> Standing {
        let branch = self.replicas.entry(index).or_default();
        let is_covered = replayed <= self.furthest;
        if is_covered {
            (branch.standing, branch.open) = (Some(Standing::Covered), None);
        } else {
            branch.open.get_or_insert((now, replayed));
        }
        if let Some(apart) = &mut branch.apart {
            // It receives this primary's log beyond where its own ended, or was made anew from before that.
            let is_back = replayed > apart.top || apart.was_lost && replayed < apart.top;
            if !(is_covered && receives && is_back) {
                apart.top = apart.top.max(replayed);
                return Standing::Apart;
            }
            branch.apart = None;
        }
        branch.standing.unwrap_or(Standing::Unproven)
    }

    /// Who was proven to be apart since this was last asked.
    pub(super) fn news(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Apart, Covered, Unproven};
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment::from_micros(micros)
    }

    fn inserts(branches: &mut Branches, sent: u64, position: u64) {
        branches.inserts(at(sent), Lsn::new(position));
    }

    fn told(branches: &mut Branches, replayed: u64, receives: bool, now: u64) -> Standing {
        branches.told(1, Lsn::new(replayed), receives, at(now))
    }

    #[test]
    fn r10_a_replica_ahead_of_a_later_answer_is_on_another_branch() {
        let mut branches = Branches::default();
        inserts(&mut branches, 10, 100);
        assert_eq!(told(&mut branches, 100, true, 20), Covered);
        assert_eq!(told(&mut branches, 150, true, 30), Covered, "the primary may have gone further since");
        inserts(&mut branches, 25, 120);
        assert_eq!(told(&mut branches, 150, true, 40), Covered, "an answer to an earlier question says nothing");
        inserts(&mut branches, 31, 160);
        assert_eq!(told(&mut branches, 200, true, 50), Covered);
        inserts(&mut branches, 51, 199);
        assert_eq!((told(&mut branches, 200, true, 60), branches.news(), branches.news()), (Apart, vec![1], vec![]));
    }

    #[test]
    fn r10_each_life_of_either_is_proven_anew() {
        let mut branches = Branches::default();
        inserts(&mut branches, 10, 100);
        assert_eq!(told(&mut branches, 100, true, 20), Covered);
        branches.begin();
        assert_eq!(told(&mut branches, 100, true, 30), Unproven);
        inserts(&mut branches, 40, 100);
        assert_eq!(told(&mut branches, 100, true, 50), Covered);
        branches.lost(1);
        assert_eq!(told(&mut branches, 101, true, 60), Unproven);
    }

    fn apart() -> Branches {
        let mut branches = Branches::default();
        assert_eq!(told(&mut branches, 500, false, 10), Unproven);
        inserts(&mut branches, 20, 100);
        assert_eq!(told(&mut branches, 500, false, 30), Apart);
        branches
    }

    #[test]
    fn r10_a_branch_that_the_primary_overtakes_is_still_another() {
        let mut branches = apart();
        inserts(&mut branches, 40, 900);
        assert_eq!(told(&mut branches, 500, true, 50), Apart);
        branches.begin();
        inserts(&mut branches, 60, 900);
        assert_eq!(told(&mut branches, 500, true, 70), Apart, "in another life of the primary");
        branches.lost(1);
        assert_eq!(told(&mut branches, 400, false, 80), Apart, "it replays its own log again");
        assert_eq!(told(&mut branches, 500, true, 90), Apart, "and has come to its end");
    }

    #[test]
    fn r10_a_replica_that_is_made_anew_counts_again() {
        let mut branches = apart();
        assert_eq!(told(&mut branches, 90, true, 40), Apart, "it has not been lost: who says so now?");
        branches.lost(1);
        assert_eq!(told(&mut branches, 90, true, 50), Covered);
        let mut branches = apart();
        inserts(&mut branches, 40, 900);
        assert_eq!(told(&mut branches, 600, true, 50), Covered, "the primary's own log, beyond the branch's end");
    }
}
