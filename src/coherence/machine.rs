//! The locked part: what the stream said and which fills are under way, as plain values that can be cloned and compared, so
//! that a model checker drives this very code. Only `feed` and fills come here; hits read what is published from it.

use super::doubt::{Again, CatalogNeed, Doubts, Scope, Verification};
use super::freshness::Freshness;
use super::judge::{CatalogState, Claim, View, reached, without_page_header};
use super::ring::{COMMITS, Ring};
use super::rules::Rules;
use super::{Commit, Evidence, FillRefusal, Source, StreamState, Touch};
use crate::types::{Epoch, FullXid, Lsn, Moment, RelationId, Snapshot};
use std::collections::BTreeMap;
use std::time::Duration;

/// A fill that takes longer is not stored: commits are kept for no fill longer than this.
const LONGEST_FILL: Duration = Duration::from_secs(30);

/// A fill under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fill {
    number: u64,
    begun: Moment,
    asked_after: Lsn,
    generation: u64,
    catalog_version: u64,
    doubt: u64,
}

/// What an admitted fill may be served as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Admitted {
    pub(super) claim: Claim,
    pub(super) high: Lsn,
    pub(super) source: Source,
}

/// What a commit invalidates: the caller raises the positions that hits read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raise<'a> {
    Nothing,
    Relations(&'a [RelationId]),
    /// Already noted in the machine.
    Everything,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Machine {
    rules: Rules,
    state: StreamState,
    generation: u64,
    incarnation: u64,
    epoch: Epoch,
    applied: Lsn,
    /// The furthest that the primary has been heard to insert.
    inserted: Lsn,
    /// The end of the last commit heard.
    heard: Lsn,
    floor: Lsn,
    everything: Lsn,
    ring: Ring,
    ring_limit: usize,
    last_fill: u64,
    under_way: BTreeMap<u64, Moment>,
    doubts: Doubts,
    freshness: Freshness,
}

impl Machine {
    pub(super) fn new(rules: Rules) -> Self {
        Machine {
            rules,
            state: StreamState::Off,
            generation: 0,
            incarnation: 0,
            epoch: Epoch::default(),
            applied: Lsn::ZERO,
            inserted: Lsn::ZERO,
            heard: Lsn::ZERO,
            floor: Lsn::ZERO,
            everything: Lsn::ZERO,
            ring: Ring::default(),
            ring_limit: COMMITS,
            last_fill: 0,
            under_way: BTreeMap::new(),
            doubts: Doubts::default(),
            freshness: Freshness::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn limit_ring(&mut self, commits: usize) {
        self.ring_limit = commits;
    }

    pub(super) fn view(&self) -> View {
        View {
            state: self.state,
            catalog: self.doubts.state(),
            generation: self.generation,
            incarnation: self.incarnation,
            epoch: self.epoch,
            applied: self.applied,
            heard_at: self.doubts.heard_at(self.freshness.at()),
            verified_at: self.doubts.verified_at(),
            catalog_version: self.doubts.version(),
            catalog_floor: self.doubts.floor(),
            catalog_base: self.doubts.base(),
            floor: self.floor,
            everything: self.everything,
        }
    }

    /// Whether the incarnation is another than before, so that relations' positions begin anew.
    pub(super) fn stream_started(&mut self, epoch: Epoch, start: Lsn) -> bool {
        let other = self.incarnation == 0 || epoch != self.epoch;
        self.begin_generation(StreamState::Starting);
        if other {
            self.incarnation += 1;
            self.epoch = epoch;
            self.floor = start;
            self.everything = Lsn::ZERO;
        } else {
            // It never goes back in an epoch. Should a server have been rewound unnoticed, then nothing is stored until
            // it has passed the place where it was.
            self.floor = self.floor.max(self.applied).max(self.heard).max(start);
        }
        self.applied = start;
        self.inserted = start;
        self.heard = self.floor;
        self.ring = Ring::default();
        self.freshness = Freshness::default();
        self.doubts.stream_started(other);
        other
    }

    pub(super) fn stream_lost(&mut self) {
        self.begin_generation(StreamState::Lost);
    }

    fn begin_generation(&mut self, state: StreamState) {
        self.state = state;
        self.generation += 1;
        self.under_way.clear();
    }

    pub(super) fn probed(&mut self, probe: FullXid, snapshot: &Snapshot) {
        if self.state == StreamState::Starting && snapshot.shows(probe) {
            let suspects = self.ring.suspect(probe, snapshot, self.rules);
            self.doubts.probed(suspects);
            self.state = StreamState::Live;
        }
    }

    fn hears(&self) -> bool {
        matches!(self.state, StreamState::Starting | StreamState::Live)
    }

    pub(super) fn saw_snapshot(&mut self, snapshot: &Snapshot) {
        if self.state == StreamState::Live {
            self.ring.confirm(snapshot, self.last_fill, self.rules);
            self.trim();
        }
    }

    pub(super) fn heard<'a>(&mut self, commit: &'a Commit) -> Raise<'a> {
        if !self.hears() {
            return Raise::Nothing;
        }
        self.heard = self.heard.max(commit.end);
        let trusted = commit.end > self.doubts.floor();
        let touch = if trusted { &commit.touch } else { &Touch::Everything };
        self.ring.push(commit.xid, commit.end, touch, self.ring_limit);
        self.doubts.heard(commit.xid);
        if matches!(commit.touch, Touch::Unknown | Touch::Definitions) {
            self.doubts.heard_bracket(commit.xid, commit.end);
        }
        match &commit.touch {
            Touch::Unknown => Raise::Nothing,
            Touch::Definitions => {
                self.doubts.redefined(self.heard);
                Raise::Nothing
            }
            // Where single relations were altered, no others are mistaken for one another, and what depends on those is void.
            Touch::Relations(relations) if commit.end > self.doubts.base_floor() => Raise::Relations(relations),
            Touch::Relations(_) | Touch::Everything => {
                self.touched_everything(commit.end);
                Raise::Everything
            }
        }
    }

    pub(super) fn touched_everything(&mut self, end: Lsn) {
        self.everything = self.everything.max(end);
    }

    pub(super) fn applied(&mut self, position: Lsn) {
        if self.hears() {
            self.applied = self.applied.max(position);
            self.freshness.pass(self.applied);
        }
    }

    pub(super) fn pinged(&mut self, sent: Moment, position: Lsn) {
        if self.hears() {
            self.inserted(position);
            self.freshness.pinged(sent, position, self.applied);
        }
    }

    /// The primary has said that it inserts at this position.
    pub(super) fn inserted(&mut self, position: Lsn) {
        self.inserted = self.inserted.max(position);
    }

    pub(super) fn doubt_catalog(&mut self) -> u64 {
        self.doubts.doubt()
    }

    pub(super) fn newest_doubt(&self) -> u64 {
        self.doubts.newest()
    }

    pub(super) fn catalog_need(&self) -> CatalogNeed {
        self.doubts.need()
    }

    pub(super) fn catalog_verified(
        &mut self,
        doubt: u64,
        sent: Moment,
        seen: &Snapshot,
        position: Lsn,
    ) -> Verification {
        let verification = self.doubts.verified(doubt, sent, seen);
        if self.shows_up_to(seen, position) {
            self.doubts.found_again(doubt, sent, position);
        }
        verification
    }

    /// The version that single relations were altered in, if it counts as that.
    pub(super) fn catalog_changed(
        &mut self,
        doubt: u64,
        sent: Moment,
        seen: &Snapshot,
        at: Lsn,
        scope: Scope,
    ) -> (Verification, Option<u64>) {
        let scope = self.doubts.changed(doubt, at, self.heard, scope);
        self.ring.distrust_names();
        let altered = (scope == Scope::Relations).then(|| self.doubts.version());
        (self.doubts.verified(doubt, sent, seen), altered)
    }

    pub(super) fn again(&self) -> Again {
        self.doubts.again()
    }

    pub(super) fn begin_fill(&mut self, now: Moment) -> Result<Fill, FillRefusal> {
        self.expire(now);
        if self.state != StreamState::Live {
            return Err(FillRefusal::NotLive);
        }
        if self.doubts.state() == CatalogState::InDoubt {
            return Err(FillRefusal::CatalogInDoubt);
        }
        self.last_fill += 1;
        self.under_way.insert(self.last_fill, now);
        Ok(Fill {
            number: self.last_fill,
            begun: now,
            asked_after: self.applied,
            generation: self.generation,
            catalog_version: self.doubts.version(),
            doubt: self.doubts.newest(),
        })
    }

    /// Ends a fill, stored or not.
    pub(super) fn end_fill(&mut self, fill: &Fill) {
        if self.under_way.remove(&fill.number).is_some() {
            self.trim();
        }
    }

    /// Whether a fill may be stored. Ends it.
    pub(super) fn admit(
        &mut self,
        fill: &Fill,
        evidence: &Evidence,
        dependencies: &[RelationId],
        now: Moment,
    ) -> Result<Admitted, FillRefusal> {
        self.expire(now);
        let admitted = self.prove(fill, evidence, dependencies);
        // The snapshot tells of visibility even where the fill is refused, if it is of this stream's time.
        if let Evidence::Primary { snapshot, .. } = evidence
            && fill.generation == self.generation
        {
            self.ring.confirm(snapshot, self.last_fill, self.rules);
        }
        self.under_way.remove(&fill.number);
        self.trim();
        admitted
    }

    fn prove(&self, fill: &Fill, evidence: &Evidence, needs: &[RelationId]) -> Result<Admitted, FillRefusal> {
        if self.state != StreamState::Live {
            return Err(FillRefusal::NotLive);
        }
        if fill.generation != self.generation || fill.catalog_version != self.doubts.version() {
            return Err(FillRefusal::Overtaken);
        }
        if !self.under_way.contains_key(&fill.number) {
            return Err(FillRefusal::TooOld);
        }
        if self.doubts.state() == CatalogState::InDoubt {
            return Err(FillRefusal::CatalogInDoubt);
        }
        let bound = self.floor.max(without_page_header(self.doubts.floor()));
        let (stamp, asked_after, high, source) = match evidence {
            Evidence::Primary { snapshot, high } => {
                if self.applied < bound {
                    return Err(FillRefusal::Overtaken);
                }
                self.ring.hold(fill.number, snapshot, self.applied, needs, self.rules)?;
                (self.applied, fill.asked_after, *high, Source::Primary)
            }
            Evidence::Replica { replayed, high } => {
                if *replayed < bound.max(without_page_header(self.doubts.bracket_end())) {
                    return Err(FillRefusal::ReplicaNotProven);
                }
                // What the primary has not been heard to have, it may never have: the replica may be on another branch.
                if *replayed > self.applied.max(self.inserted) {
                    return Err(FillRefusal::ReplicaNotProven);
                }
                (*replayed, *replayed, *replayed.max(high), Source::Replica)
            }
        };
        let (incarnation, epoch) = (self.incarnation, self.epoch);
        let (catalog_version, doubt) = (fill.catalog_version, fill.doubt);
        let claim = Claim { incarnation, epoch, stamp, asked_after, catalog_version, doubt, is_sure: false };
        Ok(Admitted { claim, high, source })
    }

    /// The claim of an entry that another instance filled.
    pub(super) fn adopt(&self, epoch: Epoch, stamp: Lsn, asked_after: Lsn) -> Claim {
        let incarnation = if epoch == self.epoch { self.incarnation } else { 0 };
        Claim { incarnation, epoch, stamp, asked_after, catalog_version: 0, doubt: 0, is_sure: false }
    }

    pub(super) fn shows_up_to(&self, snapshot: &Snapshot, floor: Lsn) -> bool {
        self.state == StreamState::Live && reached(self.applied, floor) && self.ring.shows_up_to(snapshot, floor)
    }

    /// Fills that take too long hold the ring no longer.
    fn expire(&mut self, now: Moment) {
        while let Some(first) = self.under_way.first_entry()
            && now.since(*first.get()) > LONGEST_FILL
        {
            first.remove();
        }
    }

    fn trim(&mut self) {
        self.ring.trim(self.under_way.keys().next().copied());
    }

    /// The ring's sizes, and the fills under way.
    pub(super) fn sizes(&self) -> ((usize, usize, usize), usize) {
        (self.ring.sizes(), self.under_way.len())
    }
}
