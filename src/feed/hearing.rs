//! Where what was heard meets what names mean: one lock, so that no commit is told to `coherence` with names looked up in a
//! catalog that is being replaced. Does no I/O; the lock is held for a few commits or the swap of a pointer.

use super::counters::Counters;
use super::decode::{Names, QualifiedName, RawCommit};
use super::pages::Pages;
use super::queue::Heard;
use crate::catalog::Catalog;
use crate::coherence::{Coherence, Commit, Touch};
use crate::types::{Epoch, FullXid, Lsn, Moment, Snapshot, Xid};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Commits that may wait until a snapshot shows them; far more than any storm of DDL leaves.
const MOST_UNSEEN: usize = 100_000;

/// What the tasks of the feed share.
#[derive(Debug)]
pub(super) struct Hearing {
    pub coherence: Arc<Coherence>,
    pub catalog: Arc<ArcSwap<Catalog>>,
    pub counters: Counters,
    /// Rung at each doubt of the catalog.
    pub doubted: Notify,
    /// The newest doubt that a verification has ended.
    pub settled: watch::Sender<u64>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The incarnation whose stream is heard now.
    epoch: Option<Epoch>,
    pages: Pages,
    /// The highest position told.
    last: Lsn,
    /// Commits that may have changed the catalog, and that no verification has seen yet. They are heard before they are
    /// visible: a verification whose snapshot does not show them proves nothing.
    unseen: Vec<Xid>,
    /// Transactions of our own, that change nothing.
    own: HashSet<Xid>,
    /// Transactions that may have committed before the stream began and are told by it never.
    suspects: Vec<FullXid>,
}

/// What a verification must have seen, taken before it asks.
#[derive(Debug)]
pub(super) struct Question {
    pub doubt: u64,
    pub sent: Moment,
    unseen: Vec<Xid>,
    /// What had been heard by then.
    pub position: Lsn,
}

/// What a verification's snapshot is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It shows all commits in question.
    Whole,
    /// One was heard and is not yet visible: ask again.
    NotYet,
}

/// More than [`MOST_UNSEEN`] commits wait to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyUnseen;

impl Hearing {
    pub fn new(coherence: Arc<Coherence>, catalog: Arc<ArcSwap<Catalog>>) -> Arc<Self> {
        Arc::new(Hearing {
            coherence,
            catalog,
            counters: Counters::default(),
            doubted: Notify::new(),
            settled: watch::Sender::new(0),
            taken: Mutex::default(),
        })
    }

    /// A stream of this incarnation begins. What happened to the catalog before it was not told, so it is in doubt.
    pub fn begin(&self, epoch: Epoch, start: Lsn, pages: Pages) {
        let mut taken = self.taken.lock();
        *taken = Taken { epoch: Some(epoch), pages, last: start, ..Taken::default() };
        self.coherence.doubt_catalog();
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

    /// A transaction of our own is about to commit: its empty bracket is no reason to doubt the catalog.
    pub fn expect_own(&self, xid: FullXid) {
        self.taken.lock().own.insert(short(xid));
    }

    /// The answer of the probe at the stream's start.
    pub fn probed(&self, probe: FullXid, snapshot: &Snapshot) {
        let mut taken = self.taken.lock();
        taken.suspects = snapshot.in_progress.iter().copied().filter(|&xid| xid < probe).collect();
        self.coherence.probed(probe, snapshot);
    }

    /// A later snapshot of the primary. A suspect that has ended may have changed the catalog.
    pub fn saw_snapshot(&self, snapshot: &Snapshot) {
        let mut taken = self.taken.lock();
        let before = taken.suspects.len();
        taken.suspects.retain(|&xid| !snapshot.shows(xid));
        if taken.suspects.len() < before {
            self.coherence.doubt_catalog();
            self.doubted.notify_one();
        }
        self.coherence.saw_snapshot(snapshot);
    }

    /// Takes in what was heard, in order.
    pub fn take(&self, heard: &mut Vec<Heard>) -> Result<(), TooManyUnseen> {
        let mut taken = self.taken.lock();
        let catalog = self.catalog.load();
        let mut position = taken.last;
        for item in heard.drain(..) {
            match item {
                Heard::Position(end) => position = position.max(end),
                Heard::Commit(raw) => {
                    let commit = self.resolve(&mut taken, &catalog, raw);
                    position = position.max(commit.end);
                    self.coherence.heard(&commit);
                }
            }
        }
        taken.last = position;
        self.coherence.applied(taken.pages.past_header(position));
        if taken.unseen.len() > MOST_UNSEEN { Err(TooManyUnseen) } else { Ok(()) }
    }

    /// Names become relations. Anything that cannot be named touches everything; and since the catalog then seems not to be the one
    /// that the commit was made under, or was changed by it, it is doubted before the commit counts as heard.
    fn resolve(&self, taken: &mut Taken, catalog: &Catalog, raw: RawCommit) -> Commit {
        let RawCommit { end, xid, names } = raw;
        self.counters.commits.raise();
        let touch = match names {
            Names::Empty if taken.own.remove(&xid) => {
                return Commit { end, xid, touch: Touch::Relations(SmallVec::new()) };
            }
            Names::Empty => {
                self.counters.empty.raise();
                Touch::Unknown
            }
            Names::Everything(why) => {
                self.counters.unclear(why).raise();
                tracing::warn!(reason = why.label(), %end, "a commit was not understood: it invalidates everything");
                Touch::Everything
            }
            Names::Listed(names) => match names.iter().map(|name| relation(catalog, name)).collect() {
                Some(relations) => return Commit { end, xid, touch: Touch::Relations(relations) },
                None => {
                    self.counters.unknown_names.raise();
                    Touch::Everything
                }
            },
        };
        taken.unseen.push(xid);
        self.coherence.doubt_catalog();
        self.doubted.notify_one();
        Commit { end, xid, touch }
    }

    /// Whether a stream of this incarnation is heard.
    pub fn hears(&self, epoch: Epoch) -> bool {
        self.taken.lock().epoch == Some(epoch)
    }

    /// What a verification that begins now must have seen.
    pub fn question(&self) -> Question {
        let taken = self.taken.lock();
        let doubt = self.coherence.newest_doubt();
        Question { doubt, sent: Moment::now(), unseen: taken.unseen.clone(), position: taken.last }
    }

    /// The loaded catalog is the one that the primary of this incarnation has.
    pub fn settle_same(&self, epoch: Epoch, question: &Question) {
        let mut taken = self.taken.lock();
        if taken.epoch == Some(epoch) {
            taken.forget(question);
            self.coherence.catalog_verified(question.doubt, question.sent);
        }
        self.announce(question);
    }

    /// The primary's catalog was another, and has been read; `at` is its insert position afterwards. Commits up to there, and those
    /// that were looked up in the old catalog before this call, are not to be trusted by name.
    pub fn settle_changed(&self, epoch: Epoch, question: &Question, new: Catalog, at: Lsn) {
        let mut taken = self.taken.lock();
        self.catalog.store(Arc::new(new));
        if taken.epoch == Some(epoch) {
            taken.forget(question);
            self.coherence.catalog_changed(question.doubt, question.sent, at.max(taken.last));
        }
        self.announce(question);
    }

    fn announce(&self, question: &Question) {
        self.settled.send_if_modified(|settled| {
            let newer = question.doubt > *settled;
            *settled = (*settled).max(question.doubt);
            newer
        });
    }
}

impl Taken {
    fn forget(&mut self, question: &Question) {
        // Those in question are the oldest of the list, unless the stream began anew meanwhile.
        if self.unseen.starts_with(&question.unseen) {
            self.unseen.drain(..question.unseen.len());
        }
    }
}

impl Question {
    /// Whether a snapshot shows all that is in question.
    pub fn sight(&self, snapshot: &Snapshot) -> Sight {
        if self.unseen.iter().all(|&xid| snapshot.shows(snapshot.widen(xid))) { Sight::Whole } else { Sight::NotYet }
    }
}

fn relation(catalog: &Catalog, name: &QualifiedName) -> Option<crate::types::RelationId> {
    catalog.heard(&name.schema, &name.name)
}

/// The id as the stream writes it.
fn short(xid: FullXid) -> Xid {
    let low = xid.bits() & u64::from(u32::MAX);
    Xid::new(u32::try_from(low).expect("the low 32 bits fit"))
}
