//! The truth of the cache: positions, stamps, floors and validity. A state machine without I/O and without a clock: what is
//! heard comes in, what may be served or stored goes out. Knows no entry, key, socket or SQL.
//!
//! An entry carries a *stamp*: every commit that ended at or before it and touched what the entry depends on is in the
//! entry. It is servable iff each dependency's last change lies at or before the stamp. So invalidation is one store, and a
//! late fill can resurrect nothing. The work is to give stamps that are true: see `ring.rs` for the primary, where commits are
//! heard before they are visible, and [`Evidence::Replica`] for replicas, where a position is exact.
//!
//! What `feed` does, in order: [`Coherence::stream_started`], then the probe and [`Coherence::probed`], then a verification of the
//! catalog (each start is a doubt, and so is each probe); then commits, positions, pings and snapshots as they come. It calls
//! [`Coherence::stream_lost`] before it lets go of anything, and what it passes on after a start (pings, snapshots,
//! verifications) it has asked on connections to that very incarnation of the server.

mod doubt;
mod freshness;
mod judge;
mod machine;
#[cfg(test)]
mod model;
mod positions;
mod proof;
mod ring;
mod rules;
mod sight;
#[cfg(test)]
mod tests;

pub use doubt::{CatalogNeed, Verification};
pub use judge::CatalogState;
pub use positions::RelationPosition;
pub use proof::{Demand, Evidence, FillRefusal, Floor, Proof, Source, Unservable};
pub use rules::{Rule, Rules, UnknownRule};

use crate::types::{Epoch, FullXid, Lsn, Moment, RelationId, Snapshot, Xid};
use doubt::Scope;
use machine::{Fill, Machine, Raise};
use parking_lot::Mutex;
use positions::Positions;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Relations whose positions are kept one by one. A change to any more counts as a change to everything.
const RELATIONS: usize = 262_144;

/// What a commit heard from the stream touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Rows of these relations (truncations included).
    Relations(smallvec::SmallVec<[RelationId; 4]>),
    /// Something that could not be named: every entry.
    Everything,
    /// An empty bracket: perhaps the catalog. No position moves, but every fill must see it.
    Unknown,
    /// Definitions, perhaps taken back at once: as an empty bracket, and whatever is not known to have been read under the catalog before
    /// is void.
    Definitions,
}

/// One commit, in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Where its commit record *ends* (never where it begins).
    pub end: Lsn,
    /// Its top-level transaction.
    pub xid: Xid,
    /// What it changed.
    pub touch: Touch,
}

/// Whether a stream is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamState {
    /// None was ever heard.
    Off,
    /// One is heard, and what may have happened around its beginning is not known yet.
    Starting,
    /// One is heard.
    Live,
    /// It broke.
    Lost,
}

impl StreamState {
    /// The name in metrics and `/status`.
    pub const fn label(self) -> &'static str {
        match self {
            StreamState::Off => "off",
            StreamState::Starting => "starting",
            StreamState::Live => "live",
            StreamState::Lost => "lost",
        }
    }
}

/// How things stand, for `/status` and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub state: StreamState,
    pub catalog: CatalogState,
    pub epoch: Epoch,
    /// Up to here the stream has been heard.
    pub applied: Lsn,
    /// Below it no stamp is served.
    pub floor: Lsn,
    /// Commits kept for fills to be held against.
    pub commits: usize,
    /// Those of them that no snapshot has shown yet.
    pub pending: usize,
    /// Transactions that may have committed, unseen, before the stream began.
    pub suspects: usize,
    /// Fills under way.
    pub fills: usize,
    /// Relations whose positions are kept.
    pub relations: usize,
}

/// The shared machine: `feed` tells it what was heard, fills and hits ask it.
#[derive(Debug)]
pub struct Coherence {
    staleness: Duration,
    positions: Positions,
    locked: Mutex<Locked>,
    moved: Notify,
}

#[derive(Debug)]
struct Locked {
    machine: Machine,
    relations: HashMap<RelationId, RelationPosition, foldhash::fast::RandomState>,
}

impl Locked {
    /// The position that commits will raise, or, where there are too many relations, one that stands still: commits to such a
    /// relation raise the position of everything.
    fn relation(&mut self, id: RelationId) -> RelationPosition {
        let room = self.relations.len() < RELATIONS;
        match self.relations.get(&id) {
            Some(position) => position.clone(),
            None if room => self.relations.entry(id).or_default().clone(),
            None => RelationPosition::default(),
        }
    }

    fn raise(&mut self, id: RelationId, end: Lsn) {
        if self.relations.len() < RELATIONS || self.relations.contains_key(&id) {
            self.relations.entry(id).or_default().raise(end);
        } else {
            self.machine.touched_everything(end);
        }
    }

    fn dependencies(&mut self, ids: &[RelationId]) -> Box<[(RelationId, RelationPosition)]> {
        ids.iter().map(|id| (*id, self.relation(*id))).collect()
    }
}

/// One fill in flight: taken before the query is sent. Dropped, it ends the fill.
#[derive(Debug)]
pub struct FillTicket {
    coherence: Arc<Coherence>,
    fill: Fill,
}

impl Drop for FillTicket {
    fn drop(&mut self) {
        self.coherence.change(|locked| locked.machine.end_fill(&self.fill));
    }
}

impl Coherence {
    /// `staleness` is S: past it hits stop.
    pub fn new(staleness: Duration) -> Arc<Self> {
        Self::with_rules(staleness, Rules::ALL)
    }

    /// With some rules switched off: only for the tests which show that each rule is needed.
    pub fn with_rules(staleness: Duration, rules: Rules) -> Arc<Self> {
        let locked = Locked { machine: Machine::new(rules), relations: HashMap::default() };
        let positions = Positions::default();
        positions.publish(&locked.machine.view(), locked.machine.again());
        Arc::new(Coherence { staleness, positions, locked: Mutex::new(locked), moved: Notify::new() })
    }

    /// Every change: under the lock, then published.
    fn change<T>(&self, change: impl FnOnce(&mut Locked) -> T) -> T {
        let mut locked = self.locked.lock();
        let before = (locked.machine.view(), locked.machine.again());
        let result = change(&mut locked);
        let after = (locked.machine.view(), locked.machine.again());
        if before != after {
            self.positions.publish(&after.0, after.1);
        }
        result
    }

    // What `feed` hears.

    /// A stream begins at `start`: nothing stamped below it will be served, and fills wait for [`Self::probed`].
    /// Opens a doubt about the catalog, which may have changed unheard.
    pub fn stream_started(&self, epoch: Epoch, start: Lsn) {
        self.change(|locked| {
            if locked.machine.stream_started(epoch, start) {
                // Entries of the other incarnation keep the positions they had; these begin anew.
                locked.relations.clear();
            }
        });
    }

    /// The suspect probe's answer: `probe` is a transaction id taken after the stream had begun, and had committed when
    /// `snapshot` was taken. Transactions older than the probe that the snapshot shows running may have written their commit
    /// record before the stream's start: they would never be heard, and fills must see them end. Opens a doubt about the catalog.
    /// Ignored if the snapshot does not show the probe.
    pub fn probed(&self, probe: FullXid, snapshot: &Snapshot) {
        self.change(|locked| locked.machine.probed(probe, snapshot));
    }

    /// A later snapshot of the primary, from wherever: confirms commits as visible and clears suspects.
    pub fn saw_snapshot(&self, snapshot: &Snapshot) {
        self.change(|locked| locked.machine.saw_snapshot(snapshot));
    }

    /// One commit, in stream order. Counts as heard once `applied` reaches its end. An empty bracket ([`Touch::Unknown`]) is a
    /// doubt about the catalog too, which only a verification that sees this transaction settles.
    pub fn heard(&self, commit: &Commit) {
        self.change(|locked| match locked.machine.heard(commit) {
            Raise::Nothing | Raise::Everything => {}
            Raise::Relations(relations) => relations.iter().for_each(|id| locked.raise(*id, commit.end)),
        });
    }

    /// Everything up to `position` (the end of a record) has been heard: commits and keepalives. Wakes those who wait for it.
    pub fn applied(&self, position: Lsn) {
        self.change(|locked| locked.machine.applied(position));
        self.moved.notify_waiters();
    }

    /// The stream broke: hits and fills stop until the next start.
    pub fn stream_lost(&self) {
        self.change(|locked| locked.machine.stream_lost());
    }

    /// At `sent` the primary's insert position was asked for and found to be at most `position`: once the stream has passed it,
    /// everything committed before `sent` is known.
    pub fn pinged(&self, sent: Moment, position: Lsn) {
        self.change(|locked| locked.machine.pinged(sent, position));
    }

    /// The catalog may have changed (an empty bracket, DDL through this proxy): nothing is served or stored until a
    /// verification that began after this call ends. Returns the doubt's number. DDL is a doubt when it is sent and again when
    /// it has ended: a verification between the two would not see it.
    pub fn doubt_catalog(&self) -> u64 {
        self.change(|locked| locked.machine.doubt_catalog())
    }

    /// The number of the newest doubt; a verification reads it before it asks the catalog.
    pub fn newest_doubt(&self) -> u64 {
        self.locked.lock().machine.newest_doubt()
    }

    /// Whether the catalog wants verifying.
    pub fn catalog_need(&self) -> CatalogNeed {
        self.locked.lock().machine.catalog_need()
    }

    /// The catalog, asked at `sent` and after doubt number `doubt`, is the one that is loaded. `seen` is a snapshot taken in that
    /// asking, before the catalog was read: a change that was heard but not yet visible has not been verified. `position`: how far
    /// had been heard when it was asked.
    pub fn catalog_verified(&self, doubt: u64, sent: Moment, seen: &Snapshot, position: Lsn) -> Verification {
        self.change(|locked| locked.machine.catalog_verified(doubt, sent, seen, position))
    }

    /// As above, but it had changed and has been loaded anew; `at` is the insert position read after loading.
    /// Names in commits up to there are not trusted, and fills begun before are refused. `altered`: the change bears on what depends
    /// on these relations, which is void, as is what is not known to have been read under the catalog before; `None`: on anything, so that every
    /// stamp below `at` is void.
    pub fn catalog_changed(
        &self,
        doubt: u64,
        sent: Moment,
        seen: &Snapshot,
        at: Lsn,
        altered: Option<&[RelationId]>,
    ) -> Verification {
        self.change(|locked| {
            // A relation whose position is not kept cannot say that it was altered.
            let known = altered.filter(|altered| locked.relations.len() + altered.len() < RELATIONS);
            let scope = known.map_or(Scope::Anything, |_| Scope::Relations);
            let (verification, version) = locked.machine.catalog_changed(doubt, sent, seen, at, scope);
            for id in version.and(known).into_iter().flatten() {
                let version = version.unwrap_or_default();
                locked.relations.entry(*id).or_default().alter(version);
            }
            verification
        })
    }

    // What fills ask.

    /// Before the query is sent.
    pub fn begin_fill(self: &Arc<Self>, now: Moment) -> Result<FillTicket, FillRefusal> {
        let fill = self.change(|locked| locked.machine.begin_fill(now))?;
        Ok(FillTicket { coherence: Arc::clone(self), fill })
    }

    /// When the answer is whole: its proof, if it may be stored.
    pub fn admit(
        &self,
        ticket: FillTicket,
        evidence: &Evidence,
        dependencies: &[RelationId],
        now: Moment,
    ) -> Result<Proof, FillRefusal> {
        self.change(|locked| {
            let admitted = locked.machine.admit(&ticket.fill, evidence, dependencies, now)?;
            Ok(Proof::new(admitted.claim, admitted.high, admitted.source, locked.dependencies(dependencies), now))
        })
    }

    /// For an entry from the shared tier: its proof in terms of this instance's own positions. Whether it holds, [`Self::judge`] says.
    /// The entry's key must have told the catalog it was filled under from others: its dependencies are not questioned here.
    pub fn adopt(
        &self,
        epoch: Epoch,
        (stamp, asked_after, high): (Lsn, Lsn, Lsn),
        dependencies: &[RelationId],
    ) -> Proof {
        let mut locked = self.locked.lock();
        let claim = locked.machine.adopt(epoch, stamp, asked_after);
        Proof::new(claim, high, Source::Shared, locked.dependencies(dependencies), Moment::START)
    }

    /// Whether a read on the primary under `snapshot` (taken before its query, in the same batch) includes everything up to `floor`.
    ///
    /// A session must ask this, for reads that it stores and for those that it does not, where its floor comes from a replica
    /// or from an entry that a replica filled ([`Source::may_lead_primary`]): a replica shows a commit that the primary does not show yet, as
    /// long as a synchronous standby is waited for. Answered `false`, the read goes to that replica or is tried again. What a session
    /// learned on the primary itself, its own writes included, the primary shows it: nothing need be asked.
    pub fn shows_up_to(&self, snapshot: &Snapshot, floor: Lsn) -> bool {
        self.locked.lock().machine.shows_up_to(snapshot, floor)
    }

    // What hits ask: atomic loads only.

    /// Whether the entry may be served now. After a hit the session's floor rises to the entry's `high`
    /// ([`Floor::risen`]): the entry may have been filled ahead of what this instance has heard.
    #[inline]
    pub fn judge(&self, proof: &Proof, demand: &Demand) -> Result<(), Unservable> {
        let (gate, view) = self.positions.read();
        let changes = proof.dependencies.iter().map(|(_, position)| position.last_change());
        let claim = proof.claim();
        judge::judge(&view, &claim, changes, demand, self.staleness)?;
        if !self.positions.still(gate) {
            return Err(Unservable::NotFresh);
        }
        if !claim.is_sure && self.positions.shows_sure(&claim, proof.admitted, proof.high) {
            proof.make_sure();
        }
        Ok(())
    }

    // What others show or need.

    /// The incarnation of the primary that is heard, or was last.
    pub fn epoch(&self) -> Epoch {
        self.positions.read().1.epoch
    }

    /// Up to here the stream has been heard.
    pub fn position(&self) -> Lsn {
        self.positions.applied()
    }

    /// Where the catalog that is loaded was read: what is understood by it must not be older.
    pub fn catalog_floor(&self) -> Lsn {
        self.positions.read().1.catalog_floor
    }

    /// Whether everything committed before that instant has been heard.
    pub fn has_heard_since(&self, moment: Moment) -> bool {
        moment == Moment::START || self.positions.read().1.heard_at > moment
    }

    /// Whether a stream is heard.
    pub fn state(&self) -> StreamState {
        self.positions.read().1.state
    }

    /// How far behind the primary the hits may be now; `None` while nothing is served.
    pub fn staleness(&self, now: Moment) -> Option<Duration> {
        let (_, view) = self.positions.read();
        let served = view.catalog == CatalogState::Verified;
        self.behind(now).filter(|behind| served && *behind <= self.staleness)
    }

    /// How far behind the primary the stream and the catalog may be, served or not; `None` while no stream is heard.
    pub fn behind(&self, now: Moment) -> Option<Duration> {
        let (_, view) = self.positions.read();
        let fresh_at = view.heard_at.min(view.verified_at);
        let known = view.state == StreamState::Live && fresh_at > Moment::START;
        known.then(|| now.since(fresh_at))
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        let locked = self.locked.lock();
        let view = locked.machine.view();
        let ((commits, pending, suspects), fills) = locked.machine.sizes();
        Status {
            state: view.state,
            catalog: view.catalog,
            epoch: view.epoch,
            applied: view.applied,
            floor: view.floor,
            commits,
            pending,
            suspects,
            fills,
            relations: locked.relations.len(),
        }
    }

    /// Waits until everything up to `position` has been heard. It may never be: the caller bounds the wait.
    pub async fn wait_for(&self, position: Lsn) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Listening begins before the look, so that no move is missed between them.
            moved.as_mut().enable();
            if judge::reached(self.positions.applied(), position) {
                return;
            }
            moved.await;
        }
    }
}
