//! Where what was heard meets what names mean: one lock, so that no commit is told to `coherence` with names looked up in a
//! catalog that is being replaced. Does no I/O; the lock is held for a few commits or the swap of a pointer.

use super::counters::Counters;
use super::decode::{Names, QualifiedName, RawCommit};
use super::queue::Heard;
use crate::catalog::{Catalog, Current};
use crate::coherence::{CatalogNeed, Coherence, Commit, Touch, Verification};
use crate::types::{Epoch, FullXid, Lsn, Moment, RelationId, Snapshot};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// What the tasks of the feed share.
#[derive(Debug)]
pub(super) struct Hearing {
    pub coherence: Arc<Coherence>,
    pub catalog: Arc<Current>,
    pub counters: Counters,
    /// Rung when the catalog wants verifying.
    pub doubted: Notify,
    /// The newest doubt that a verification has settled.
    pub settled: watch::Sender<u64>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The incarnation whose stream is heard now.
    epoch: Option<Epoch>,
    /// The highest position told.
    last: Lsn,
}

/// What stood when a verification began: taken before it asks.
#[derive(Debug)]
pub(super) struct Question {
    pub doubt: u64,
    pub sent: Moment,
    /// What had been heard by then.
    pub position: Lsn,
}

/// How a verification ended for who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// No doubt is left.
    Settled,
    /// A doubt is newer, or a commit that was heard was not yet visible: ask again.
    Again,
    /// No stream of that incarnation is heard, so nobody was told.
    Unheard,
}

impl Hearing {
    pub fn new(coherence: Arc<Coherence>, catalog: Arc<Current>) -> Arc<Self> {
        Arc::new(Hearing {
            coherence,
            catalog,
            counters: Counters::default(),
            doubted: Notify::new(),
            settled: watch::Sender::new(0),
            taken: Mutex::default(),
        })
    }

    /// A stream of this incarnation begins: what happened to the catalog before it was not told.
    pub fn begin(&self, epoch: Epoch, start: Lsn) {
        let mut taken = self.taken.lock();
        *taken = Taken { epoch: Some(epoch), last: start };
        self.coherence.stream_started(epoch, start);
        self.doubted.notify_one();
    }

    /// The stream broke.
    pub fn lose(&self) {
        let mut taken = self.taken.lock();
        if taken.epoch.take().is_some() {
            self.coherence.stream_lost();
        }
    }

    /// The incarnation whose stream is heard.
    pub fn epoch(&self) -> Option<Epoch> {
        self.taken.lock().epoch
    }

    /// The answer of the probe at the stream's start.
    pub fn probed(&self, probe: FullXid, snapshot: &Snapshot) {
        self.coherence.probed(probe, snapshot);
        self.doubted.notify_one();
    }

    /// Takes in what was heard, in order.
    pub fn take(&self, heard: &mut Vec<Heard>) {
        let mut taken = self.taken.lock();
        let catalog = self.catalog.load();
        let need = self.coherence.catalog_need();
        for item in heard.drain(..) {
            match item {
                Heard::Position(end) => taken.last = taken.last.max(end),
                Heard::Commit(raw) => {
                    let (end, xid) = (raw.end, raw.xid);
                    taken.last = taken.last.max(end);
                    let (rows, definitions) = self.resolve(&catalog, raw);
                    for touch in rows.into_iter().chain(definitions) {
                        self.coherence.heard(&Commit { end, xid, touch });
                    }
                }
            }
        }
        self.coherence.applied(taken.last);
        if self.coherence.catalog_need() != need {
            self.doubted.notify_one();
        }
    }

    /// Names become relations: what the commit did to rows, and to definitions. What was not understood touches everything, and may have
    /// changed the catalog as well, so that only a verification that sees it settles the doubt. A name that the catalog does not know is a
    /// relation's that has come since, and perhaps gone again, or that had another name: as if it had been told of.
    fn resolve(&self, catalog: &Catalog, raw: RawCommit) -> (Option<Touch>, Option<Touch>) {
        self.counters.commits.raise();
        let (names, definitions) = match raw.names {
            Names::Empty => {
                self.counters.empty.raise();
                return (None, Some(Touch::Unknown));
            }
            Names::Everything(why) => {
                self.counters.unclear(why).raise();
                tracing::warn!(reason = why.label(), end = %raw.end, "a commit was not understood: it invalidates everything");
                return (Some(Touch::Everything), Some(Touch::Unknown));
            }
            Names::Definitions(names) => {
                self.counters.told.raise();
                (names, Some(Touch::Definitions))
            }
            Names::Listed(names) => (names, None),
        };
        let known: smallvec::SmallVec<_> = names.iter().filter_map(|name| relation(catalog, name)).collect();
        let are_known = known.len() == names.len();
        if !are_known {
            self.counters.unknown_names.raise();
        }
        let rows = (!known.is_empty()).then_some(Touch::Relations(known));
        (rows, definitions.or((!are_known).then_some(Touch::Definitions)))
    }

    /// What stands as a verification begins.
    pub fn question(&self) -> Question {
        let taken = self.taken.lock();
        let doubt = self.coherence.newest_doubt();
        Question { doubt, sent: Moment::now(), position: taken.last }
    }

    /// Whether nothing at all was written since `position` was heard, as far as was heard.
    pub fn stands_still(&self, position: Lsn) -> bool {
        self.taken.lock().last == position && self.coherence.catalog_need() == CatalogNeed::Nothing
    }

    /// The loaded catalog is the one that the primary of this incarnation had under `seen`.
    pub fn settle_same(&self, epoch: Epoch, question: &Question, seen: &Snapshot) -> Outcome {
        let taken = self.taken.lock();
        if taken.epoch != Some(epoch) {
            return self.unheard(question, taken.epoch);
        }
        let verification = self.coherence.catalog_verified(question.doubt, question.sent, seen, question.position);
        self.announce(question, verification)
    }

    /// The primary's catalog was another, and has been read under `seen`; `at` is its insert position afterwards. Commits up to there,
    /// and those that were looked up in the old catalog before this call, are not to be trusted by name.
    /// `altered`: the relations that the change bears on, if on them alone.
    pub fn settle_changed(
        &self,
        epoch: Epoch,
        question: &Question,
        seen: &Snapshot,
        new: Catalog,
        at: Lsn,
        altered: Option<&[RelationId]>,
    ) -> Outcome {
        let taken = self.taken.lock();
        self.catalog.store(new);
        if taken.epoch != Some(epoch) {
            // What was filled under the old catalog is void, whenever a stream comes; but a snapshot of another incarnation settles
            // nothing, which is what a doubt from before every stream says.
            self.coherence.doubt_catalog();
            let _settles_nothing = self.coherence.catalog_changed(0, question.sent, seen, taken.last, None);
            return self.unheard(question, taken.epoch);
        }
        let at = at.max(taken.last);
        let verification = self.coherence.catalog_changed(question.doubt, question.sent, seen, at, altered);
        self.announce(question, verification)
    }

    /// Without any stream there is nobody to tell, but the catalog that plans are made with was looked at.
    fn unheard(&self, question: &Question, heard: Option<Epoch>) -> Outcome {
        if heard.is_none() {
            self.announce(question, Verification::Settled);
        }
        Outcome::Unheard
    }

    fn announce(&self, question: &Question, verification: Verification) -> Outcome {
        match verification {
            Verification::StillInDoubt => Outcome::Again,
            Verification::Settled => {
                self.settled.send_if_modified(|settled| {
                    let newer = question.doubt > *settled;
                    *settled = (*settled).max(question.doubt);
                    newer
                });
                Outcome::Settled
            }
        }
    }
}

fn relation(catalog: &Catalog, name: &QualifiedName) -> Option<RelationId> {
    catalog.heard(&name.schema, &name.name)
}

#[cfg(test)]
#[path = "hearing_tests.rs"]
mod tests;
