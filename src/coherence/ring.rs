//! The commits that fills on the primary are held against. WAL order is not visibility order there: a commit is heard
//! before new snapshots show it, so each is kept until some snapshot has shown it and every fill that began before that
//! snapshot's answer came has ended. A fill begun later took its own snapshot later, and sees the commit too.
//! Knows no positions but those of commits, and no catalog.

use super::rules::{Rule, Rules};
use super::sight::{Sight, newer, shows, shows_all_up_to};
use super::{FillRefusal, Touch};
use crate::types::{FullXid, Lsn, RelationId, Snapshot, Xid};
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Commits kept at most. Past it the oldest are dropped, and the fills that needed them are refused.
pub(super) const COMMITS: usize = 65_536;

/// Relations listed for one commit. One that touched more counts as touching everything.
const LISTED: usize = 32;

/// The fills that a commit concerns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Scope {
    Relations(SmallVec<[RelationId; 4]>),
    All,
}

/// How a transaction that has (or may have) committed is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    /// It was heard on the stream, which names it by 32 bits.
    Heard(Xid),
    /// It was running when the stream began: its commit record may lie before, never to be heard.
    Suspect(FullXid),
}

/// One transaction that fills must have seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kept {
    who: Who,
    /// Zero for a suspect and for an empty bracket: before every stamp.
    end: Lsn,
    scope: Scope,
}

impl Kept {
    fn shown_by(&self, snapshot: &Snapshot) -> bool {
        match self.who {
            Who::Heard(xid) => shows(snapshot, xid),
            Who::Suspect(xid) => snapshot.shows(xid),
        }
    }

    fn low_bits(&self) -> Xid {
        match self.who {
            Who::Heard(xid) => xid,
            Who::Suspect(xid) => Xid::new(xid.bits() as u32),
        }
    }

    fn concerns(&self, dependencies: &[RelationId]) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Relations(relations) => relations.iter().any(|relation| dependencies.contains(relation)),
        }
    }
}

/// Commits that were dropped before any snapshot had shown them: until everything up to the newest has finished, no fill
/// can be proven.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Forgotten {
    up_to: Xid,
    /// The last fill that had begun when a snapshot showed them all.
    settled_at: Option<u64>,
}

/// The commits kept, in two lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Ring {
    /// No snapshot has shown them yet; in the order of the stream, suspects first.
    pending: VecDeque<Kept>,
    suspects: usize,
    /// Shown, and kept for fills that had begun by then: with the number of the last of them, ascending.
    shown: VecDeque<(u64, Kept)>,
    /// Fills up to this one needed something that was dropped.
    cut: u64,
    forgotten: Option<Forgotten>,
    /// The latest snapshot that has come.
    newest: Option<Sight>,
    /// Shows all that was let go.
    let_go: Option<Sight>,
}

impl Ring {
    /// A commit was heard. Should it be a suspect's, then it is no longer suspected: it is known.
    pub(super) fn push(&mut self, xid: Xid, end: Lsn, touch: &Touch, limit: usize) {
        self.acquit(xid);
        let scope = match touch {
            Touch::Relations(relations) if relations.len() <= LISTED => Scope::Relations(relations.clone()),
            Touch::Relations(_) | Touch::Everything | Touch::Unknown | Touch::Definitions => Scope::All,
        };
        // A bracket raises no position that would invalidate an entry: every fill must have seen it, whatever its stamp.
        let end = if matches!(touch, Touch::Unknown | Touch::Definitions) { Lsn::ZERO } else { end };
        self.pending.push_back(Kept { who: Who::Heard(xid), end, scope });
        self.keep_within(limit);
    }

    fn acquit(&mut self, xid: Xid) {
        if self.suspects > 0 {
            self.pending.retain(|kept| !(matches!(kept.who, Who::Suspect(_)) && kept.low_bits() == xid));
            self.count_suspects();
        }
    }

    fn count_suspects(&mut self) {
        self.suspects = self.pending.iter().filter(|kept| matches!(kept.who, Who::Suspect(_))).count();
    }

    /// Transactions that were running after the stream had begun, older than the probe that `snapshot` shows. Those that were
    /// heard meanwhile are known.
    pub(super) fn suspect(&mut self, probe: FullXid, snapshot: &Snapshot, rules: Rules) -> Vec<Xid> {
        let running = snapshot.in_progress.iter().filter(|xid| **xid < probe);
        let heard = |xid: &FullXid| self.pending.iter().any(|kept| kept.low_bits() == Xid::new(xid.bits() as u32));
        let unknown: Vec<FullXid> = running.copied().filter(|xid| !heard(xid)).collect();
        // What ended between the stream's beginning and this snapshot is neither kept nor suspected: a snapshot that is
        // earlier than this one may miss it.
        self.let_go = Some(Sight::of(snapshot));
        self.newest = Some(Sight::of(snapshot));
        if rules.has(Rule::SuspectProbe) {
            for xid in unknown.iter().rev() {
                self.pending.push_front(Kept { who: Who::Suspect(*xid), end: Lsn::ZERO, scope: Scope::All });
            }
            self.count_suspects();
        }
        unknown.into_iter().map(|xid| Xid::new(xid.bits() as u32)).collect()
    }

    /// Whether a fill on the primary saw all that it had to see.
    pub(super) fn hold(
        &self,
        fill: u64,
        snapshot: &Snapshot,
        stamp: Lsn,
        dependencies: &[RelationId],
        rules: Rules,
    ) -> Result<(), FillRefusal> {
        if fill <= self.cut {
            return Err(FillRefusal::TooOld);
        }
        if let Some(forgotten) = &self.forgotten
            && forgotten.settled_at.is_none_or(|settled| fill <= settled)
            && !shows_all_up_to(snapshot, forgotten.up_to)
        {
            return Err(FillRefusal::TooOld);
        }
        // What had been shown before the fill began needs no look: with this, a fill costs what is pending.
        let since = self.shown.partition_point(|(last, _)| *last < fill);
        let shown = self.shown.range(since..).map(|(_, kept)| kept);
        let mut missed = self
            .pending
            .iter()
            .chain(shown)
            .filter(|kept| kept.end <= stamp && kept.concerns(dependencies) && !kept.shown_by(snapshot));
        match missed.find(|kept| matches!(kept.who, Who::Suspect(_)) || rules.has(Rule::Snapshot)) {
            None => Ok(()),
            Some(Kept { who: Who::Suspect(_), .. }) => Err(FillRefusal::Suspect),
            Some(Kept { who: Who::Heard(_), .. }) => Err(FillRefusal::CommitNotVisible),
        }
    }

    /// Whether the snapshot shows everything committed at or before `floor`, which the stream has passed.
    pub(super) fn shows_up_to(&self, snapshot: &Snapshot, floor: Lsn) -> bool {
        let kept = self.pending.iter().chain(self.shown.iter().map(|(_, kept)| kept));
        self.let_go.as_ref().is_none_or(|sight| sight.is_shown_by(snapshot))
            && self.forgotten.as_ref().is_none_or(|forgotten| shows_all_up_to(snapshot, forgotten.up_to))
            && kept.filter(|kept| kept.end <= floor).all(|kept| kept.shown_by(snapshot))
    }

    /// A snapshot's answer came, when `fill` was the last that had begun.
    pub(super) fn confirm(&mut self, snapshot: &Snapshot, fill: u64, rules: Rules) {
        if self.newest.as_ref().is_none_or(|newest| newest.is_shown_by(snapshot)) {
            self.newest = Some(Sight::of(snapshot));
        }
        if let Some(forgotten) = &mut self.forgotten
            && forgotten.settled_at.is_none()
            && shows_all_up_to(snapshot, forgotten.up_to)
        {
            forgotten.settled_at = Some(fill);
        }
        let last = if rules.has(Rule::Trimming) { fill } else { 0 };
        let shown = &mut self.shown;
        self.pending.retain(|kept| {
            let visible = kept.shown_by(snapshot);
            if visible {
                shown.push_back((last, kept.clone()));
            }
            !visible
        });
        if self.suspects > 0 {
            self.count_suspects();
        }
    }

    /// Lets go what no fill needs: `oldest` is the first of those under way.
    pub(super) fn trim(&mut self, oldest: Option<u64>) {
        let needless = |last: u64| oldest.is_none_or(|oldest| last < oldest);
        let count = self.shown.partition_point(|(last, _)| needless(*last));
        if count > 0 {
            self.shown.drain(..count);
            self.let_go.clone_from(&self.newest);
        }
        if self.forgotten.as_ref().is_some_and(|forgotten| forgotten.settled_at.is_some_and(needless)) {
            self.forgotten = None;
            self.let_go.clone_from(&self.newest);
        }
    }

    fn keep_within(&mut self, limit: usize) {
        while self.pending.len() + self.shown.len() > limit {
            if let Some((last, _)) = self.shown.pop_front() {
                self.cut = self.cut.max(last);
                self.let_go.clone_from(&self.newest);
            } else if let Some(kept) = self.pending.pop_front() {
                let xid = kept.low_bits();
                let up_to = self.forgotten.as_ref().map_or(xid, |forgotten| newer(forgotten.up_to, xid));
                self.forgotten = Some(Forgotten { up_to, settled_at: None });
                self.count_suspects();
            }
        }
    }

    /// The names in all that was heard were taken from another catalog.
    pub(super) fn distrust_names(&mut self) {
        let shown = self.shown.iter_mut().map(|(_, kept)| kept);
        self.pending.iter_mut().chain(shown).for_each(|kept| kept.scope = Scope::All);
    }

    /// How many commits are kept, how many of them no snapshot has shown, and how many suspects there are.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.pending.len() + self.shown.len() - self.suspects, self.pending.len() - self.suspects, self.suspects)
    }
}
