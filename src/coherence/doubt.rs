//! Whether the catalog that is loaded is the primary's: numbered doubts, each settled only by a verification that began
//! after it, and the commits that no verification has seen. Knows no name and no relation.

use super::judge::CatalogState;
use super::sight::Unshown;
use crate::types::{Lsn, Moment, Snapshot, Xid};

/// What a verification of the catalog achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verification {
    /// The catalog is the one that is loaded.
    Settled,
    /// A newer doubt stands, or a commit that may have changed the catalog was not yet visible to this verification (it
    /// may be waiting for a synchronous standby): verify again, and soon.
    StillInDoubt,
}

/// What the catalog needs from those who verify it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatalogNeed {
    /// A verification now: until then nothing is served.
    Now,
    /// A verification within the staleness bound: transactions were heard that no verification has seen. Hits are as fresh
    /// as the last verification only.
    Soon,
    /// None.
    Nothing,
}

/// What a change of the catalog bears on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Anything,
    /// What depends on some relations, and nothing else.
    Relations,
}

/// The doubts and what settles them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Doubts {
    newest: u64,
    settled: u64,
    /// The first doubt of this stream: a verification begun before it is of another time.
    first: u64,
    /// Counts the catalogs that were loaded; zero is none of them.
    version: u64,
    /// Where the newest was known to be loaded.
    floor: Lsn,
    /// The newest that may have changed anything, and where it was known to be loaded: those after it have changed single relations.
    base: u64,
    base_floor: Lsn,
    /// The newest verification that found this very catalog again.
    again: Again,
    /// The last empty bracket ended here: a replica that has not replayed it may show what it undid.
    bracket_end: Lsn,
    /// When the newest verification was sent.
    sent: Moment,
    /// Empty brackets that no verification has seen: the catalog is in doubt.
    brackets: Unshown,
    /// All transactions that no verification has seen. One that changed both rows and the catalog cannot be told from one that
    /// changed rows, so while there are any, the catalog is as fresh as its last verification.
    unseen: Unshown,
}

/// A verification that found the catalog as it was: whatever was read before it was sent, had seen nothing that it did not see, and had not begun
/// before a doubt that it settles, was read under that catalog and no other, not even for a moment. (What is stored under the next one
/// is stored later.) A doubt may have been of something that was made and gone again, of which no row is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Again {
    pub(super) sent: Moment,
    /// Every commit up to here was visible to it.
    pub(super) saw: Lsn,
    /// The newest doubt, which is settled.
    pub(super) doubt: u64,
}

impl Default for Doubts {
    fn default() -> Self {
        Doubts {
            newest: 0,
            settled: 0,
            first: 0,
            version: 1,
            floor: Lsn::ZERO,
            base: 1,
            base_floor: Lsn::ZERO,
            again: Again::default(),
            bracket_end: Lsn::ZERO,
            sent: Moment::START,
            brackets: Unshown::default(),
            unseen: Unshown::default(),
        }
    }
}

impl Doubts {
    pub(super) fn doubt(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn floor(&self) -> Lsn {
        self.floor
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    pub(super) fn bracket_end(&self) -> Lsn {
        self.bracket_end
    }

    pub(super) fn base_floor(&self) -> Lsn {
        self.base_floor
    }

    pub(super) fn again(&self) -> Again {
        self.again
    }

    pub(super) fn state(&self) -> CatalogState {
        if self.newest > self.settled { CatalogState::InDoubt } else { CatalogState::Verified }
    }

    pub(super) fn need(&self) -> CatalogNeed {
        match self.state() {
            CatalogState::InDoubt => CatalogNeed::Now,
            CatalogState::Verified if self.unseen.is_empty() => CatalogNeed::Nothing,
            CatalogState::Verified => CatalogNeed::Soon,
        }
    }

    /// How fresh what was heard is, given how fresh the stream is: as fresh as the catalog where that may have changed unnoticed.
    pub(super) fn heard_at(&self, stream: Moment) -> Moment {
        if self.unseen.is_empty() { stream } else { stream.min(self.sent) }
    }

    /// How fresh the catalog is. What all databases have in common (roles, memberships) is changed in others, of which nothing is
    /// heard.
    pub(super) fn verified_at(&self) -> Moment {
        self.sent
    }

    /// A stream begins: what happened before it is not known. In another epoch, positions begin anew.
    pub(super) fn stream_started(&mut self, other_epoch: bool) {
        self.first = self.doubt();
        self.brackets = Unshown::default();
        self.unseen = Unshown::default();
        self.sent = Moment::START;
        self.again = Again::default();
        if other_epoch {
            self.floor = Lsn::ZERO;
            self.base_floor = Lsn::ZERO;
            self.bracket_end = Lsn::ZERO;
        }
    }

    /// The stream's beginning was probed: transactions that ended before the probe unheard may have changed the catalog, and
    /// so may the suspects.
    pub(super) fn probed(&mut self, suspects: Vec<Xid>) {
        self.first = self.doubt();
        suspects.into_iter().for_each(|xid| self.unseen.insert(xid));
    }

    pub(super) fn heard(&mut self, xid: Xid) {
        self.unseen.insert(xid);
    }

    pub(super) fn heard_bracket(&mut self, xid: Xid, end: Lsn) {
        self.doubt();
        self.bracket_end = self.bracket_end.max(end);
        self.brackets.insert(xid);
    }

    /// The catalog, asked at `sent` after `doubt`, is the one that is loaded; what `seen` shows was visible to the asking.
    pub(super) fn verified(&mut self, doubt: u64, sent: Moment, seen: &Snapshot) -> Verification {
        if doubt >= self.first {
            self.sent = self.sent.max(sent);
            self.brackets.forget_shown(seen);
            self.unseen.forget_shown(seen);
            if self.brackets.is_empty() {
                self.settled = self.settled.max(doubt);
            }
        }
        match self.state() {
            CatalogState::Verified => Verification::Settled,
            CatalogState::InDoubt => Verification::StillInDoubt,
        }
    }

    /// The catalog that a verification found again, asked at `sent` after `doubt`, had seen every commit up to `saw`.
    pub(super) fn found_again(&mut self, doubt: u64, sent: Moment, saw: Lsn) {
        if doubt >= self.first && self.state() == CatalogState::Verified {
            self.again = Again { sent: self.again.sent.max(sent), saw: self.again.saw.max(saw), doubt: self.newest };
        }
    }

    /// Definitions were changed, at `heard` by the latest, and perhaps changed back: no verification would find that.
    pub(super) fn redefined(&mut self, heard: Lsn) {
        let newest = self.newest;
        let _ = self.changed(newest, heard, heard, Scope::Relations);
    }

    /// Another catalog was loaded. `heard` is as far as commits have been heard: names taken from the one before. Says whether
    /// it counts as a change of single relations.
    pub(super) fn changed(&mut self, doubt: u64, at: Lsn, heard: Lsn, scope: Scope) -> Scope {
        // A position read before this stream began may be of another incarnation, and lie far ahead of this one.
        let is_of_stream = doubt >= self.first;
        let at = if is_of_stream { at.max(heard) } else { heard };
        let scope = if is_of_stream { scope } else { Scope::Anything };
        self.version += 1;
        self.floor = self.floor.max(at);
        if scope == Scope::Anything {
            self.base = self.version;
            self.base_floor = self.floor;
        }
        scope
    }
}
