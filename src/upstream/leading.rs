//! Which server is the primary, which life it lives, and who is proven to follow it. Pure: answers of probes come in,
//! what they mean goes out. A server never becomes the primary by being configured so, and an old one that comes back
//! never again by itself.

use super::branch::{self, Branches};
use super::control::{Probe, Standing};
use super::dialect::is_shared;
use super::evidence::{Measure, PrimaryHeard, Seen};
use super::lag::{History, reachable};
use super::status::Role;
use crate::types::{Epoch, Lsn, Moment};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A later timeline of which a replica has told counts for so long after that replica was lost: it may only restart.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The primary as it is known.
#[derive(Debug)]
pub(super) struct Leading {
    /// Among the servers, in configured order.
    index: usize,
    life: Option<Life>,
    history: History,
    staleness: Duration,
    /// Who has been seen to follow it, in this life.
    followers: BTreeSet<usize>,
    /// The lives of those that take writes, as they last told them: one that is lost since is remembered, one that says it is a replica
    /// is not.
    writers: BTreeMap<usize, Life>,
    /// Those that the watch has lost since they last answered, and when.
    gone: BTreeMap<usize, Moment>,
    /// The life that the primary has ended by restarting: whoever told it and is gone was the primary itself, by another name.
    ended: Option<Epoch>,
    /// The lines that replicas last said they follow.
    lines: BTreeMap<usize, Line>,
    start: Start,
    branches: Branches,
}

/// What a replica follows.
#[derive(Debug)]
struct Line {
    system: Option<String>,
    timeline: Option<u32>,
    /// It has a connection to what it follows.
    receives: bool,
}

/// Whether the configured primary is still waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Awaiting,
    Over,
}

/// One life of the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Life {
    epoch: Epoch,
    system: Option<String>,
    timeline: u32,
    block_size: u64,
    started: Option<u64>,
}

/// What a primary's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the primary that was known.
    Same,
    /// A primary begins a life that was not known: another server, or the same one restarted.
    NewLife,
    /// It is the primary by another name: an address that leads to whoever takes writes is configured beside the servers' own.
    Itself,
    /// It would be the primary, and has come back to a cluster that a replica says has gone on without it: nobody is.
    Overtaken,
    /// It takes writes and is not the primary: an old one that came back, or one of another cluster.
    Stranger,
}

impl Leading {
    /// The first server is configured as the primary.
    pub(super) fn new(staleness: Duration) -> Self {
        Leading {
            index: 0,
            life: None,
            history: History::default(),
            staleness,
            followers: BTreeSet::new(),
            writers: BTreeMap::new(),
            gone: BTreeMap::new(),
            ended: None,
            lines: BTreeMap::new(),
            start: Start::Awaiting,
            branches: Branches::default(),
        }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The primary's, as last heard; none before.
    pub(super) fn epoch(&self) -> Epoch {
        self.life.as_ref().map_or(Epoch::default(), |life| life.epoch)
    }

    /// When the primary started, in microseconds.
    pub(super) fn started(&self) -> Option<u64> {
        self.life.as_ref().and_then(|life| life.started)
    }

    /// A server that is not in recovery answered. `configured` is the role of the server that is the primary so far.
    pub(super) fn primary_answered(&mut self, index: usize, probe: &Probe, configured: Role) -> Heard {
        let (Standing::Primary { inserted, block_size }, Some(timeline)) = (probe.standing, probe.timeline) else {
            return Heard::Stranger;
        };
        let epoch = probe.identity.epoch;
        let life = Life { epoch, system: probe.system.clone(), timeline, block_size, started: probe.started };
        self.writers.insert(index, life.clone());
        self.lines.remove(&index);
        self.gone.remove(&index);
        if index != self.index {
            if !self.succeeds(index, &life, configured) && !self.is_heir(index) {
                return if self.epoch() == epoch { Heard::Itself } else { Heard::Stranger };
            }
        } else if self.epoch() != epoch {
            // It comes back to a cluster that has gone on without it.
            if let Some(later) = self.later_than(&life) {
                self.lead(later);
                return Heard::Stranger;
            }
            if self.is_outrun(&life, probe.sent) {
                return Heard::Overtaken;
            }
        }
        let heard = if index == self.index && self.epoch() == epoch {
            self.life = Some(life);
            Heard::Same
        } else {
            let restarts = index == self.index && !self.parts(index, probe);
            self.ended = Some(self.epoch()).filter(|_| restarts);
            self.lead(index);
            self.forget_ended();
            Heard::NewLife
        };
        self.note(probe.sent, inserted);
        heard
    }

    /// One that takes writes is the primary from here on.
    fn lead(&mut self, index: usize) {
        self.history.forget();
        self.branches.begin();
        self.followers.clear();
        self.index = index;
        self.life = self.writers.get(&index).cloned();
    }

    /// A restart ends connections by every name. Who keeps one and tells the old life still is another server.
    fn forget_ended(&mut self) {
        self.writers.retain(|index, life| !self.gone.contains_key(index) || self.ended != Some(life.epoch));
    }

    /// Whether the leader has become a replica that receives the log of this writer, and of no other that is known.
    fn is_heir(&self, index: usize) -> bool {
        let Some(line) = self.lines.get(&self.index).filter(|line| line.receives && self.life.is_some()) else {
            return false;
        };
        let writes_it = |life: &Life| life.system.is_some() && life.system == line.system;
        let writes_it = |life: &Life| writes_it(life) && Some(life.timeline) == line.timeline;
        let mut heirs = self.writers.values().filter(|life| writes_it(life)).map(|life| life.epoch);
        let told = self.writers.get(&index).filter(|life| writes_it(life)).map(|life| life.epoch);
        told.is_some_and(|told| heirs.all(|heir| heir == told))
    }

    /// Whether another server writes on the primary's own timeline: two were promoted at once, and nothing tells whose log a replica
    /// has replayed.
    fn has_twin(&self) -> bool {
        let is_twin = |life: &Life, other: &Life| {
            life.epoch != other.epoch
                && life.system.is_some()
                && (&life.system, life.timeline) == (&other.system, other.timeline)
        };
        let mut others = self.writers.iter().filter(|&(&index, _)| index != self.index);
        self.life.as_ref().is_some_and(|life| others.any(|(_, other)| is_twin(life, other)))
    }

    /// Who takes writes on the latest of those timelines of a cluster that come after this one.
    fn later_than(&self, life: &Life) -> Option<usize> {
        let of_cluster = |other: &Life| life.system.is_some() && other.system == life.system;
        let later = self.writers.iter().filter(|(_, other)| of_cluster(other) && other.timeline > life.timeline);
        later.max_by_key(|(_, other)| other.timeline).map(|(&index, _)| index)
    }

    /// Whether a replica of this cluster is on a timeline that comes after this one.
    fn is_outrun(&self, life: &Life, now: Moment) -> bool {
        let is_there = |index: &usize| self.gone.get(index).is_none_or(|lost| now.since(*lost) < REMEMBERED);
        let goes_further = |line: &Line| line.system == life.system && line.timeline > Some(life.timeline);
        let mut lines = self.lines.iter().filter(|(index, _)| **index != self.index && is_there(index));
        life.system.is_some() && lines.any(|(_, line)| goes_further(line))
    }

    /// Whether nobody leads, because the one that would is an old primary.
    pub(super) fn is_overtaken(&self, now: Moment) -> bool {
        let told = self.writers.get(&self.index).filter(|told| told.epoch != self.epoch());
        told.is_some_and(|told| self.is_outrun(told, now))
    }

    /// Whether there is a replica that would tell of a later timeline.
    pub(super) fn is_followed(&self) -> bool {
        self.lines.keys().any(|index| *index != self.index && !self.gone.contains_key(index))
    }

    /// Whether servers say that they take writes while it is not known what the configured primary is.
    pub(super) fn is_open(&self) -> bool {
        self.life.is_none() && !self.writers.is_empty()
    }

    /// The configured primary has been waited for long enough. `configured`: its role, as far as it is known. If it has not been heard, who
    /// takes writes on the latest timeline leads.
    pub(super) fn start_is_over(&mut self, configured: Role) {
        self.start = Start::Over;
        let latest = self.writers.keys().copied().find(|&index| self.may_begin(index, configured));
        if let (None, Some(index)) = (&self.life, latest) {
            self.lead(index);
        }
    }

    /// Whether one that takes writes may lead though the configured primary has not: that one says that it is a replica, or says nothing for
    /// too long; and no server that is known of has gone further.
    fn may_begin(&self, index: usize, configured: Role) -> bool {
        let gave_way = match configured {
            Role::Replica => true,
            Role::Unknown => self.start == Start::Over,
            Role::Primary => false,
        };
        let Some(life) = self.writers.get(&index).filter(|_| gave_way) else { return false };
        let mut others = self.writers.values().filter(|other| *other != life);
        let goes_further = |line: &Line| line.system == life.system && line.timeline > Some(life.timeline);
        let is_foreign = |other: &Life| configured == Role::Unknown && other.system != life.system;
        self.later_than(life).is_none() && !others.any(is_foreign) && !self.lines.values().any(goes_further)
    }

    /// Whether another server's life comes after the one that is known: same cluster, later timeline. Where storage is shared there are no
    /// timelines and it takes one writer at a time: one of its readers that says so succeeds a writer that says so no longer.
    fn succeeds(&self, index: usize, life: &Life, configured: Role) -> bool {
        match &self.life {
            Some(known) if is_shared(known.system.as_deref()) => {
                is_shared(life.system.as_deref()) && configured != Role::Primary && self.followers.contains(&index)
            }
            Some(known) => life.system.is_some() && life.system == known.system && life.timeline > known.timeline,
            None => self.may_begin(index, configured),
        }
    }

    /// Whether what this server says of itself, if it is heard, means that another history is written from here on: not only that the
    /// same one has restarted, or has forgotten its statistics.
    pub(super) fn parts(&self, index: usize, probe: &Probe) -> bool {
        let goes_on = |life: &Life| life.system == probe.system && Some(life.timeline) == probe.timeline;
        self.life.as_ref().is_some_and(|life| index != self.index || !goes_on(life))
    }

    /// A ping of this life of the primary answered.
    pub(super) fn pinged(&mut self, epoch: Epoch, sent: Moment, inserted: Lsn) {
        if epoch != Epoch::default() && epoch == self.epoch() {
            self.note(sent, inserted);
        }
    }

    /// Who has replayed less is further behind than the bound at `now`. Nothing: the primary has not been heard lately.
    pub(super) fn least_fresh(&mut self, now: Moment) -> Option<Lsn> {
        self.history.trim(now, self.staleness);
        self.history.oldest()
    }

    /// The watch lost a server, or has tried in vain to find it again: it is gone since the first time.
    pub(super) fn lost(&mut self, index: usize, now: Moment) {
        self.branches.lost(index);
        self.gone.entry(index).or_insert(now);
        self.forget_ended();
    }

    /// The replicas that were found to hold another history, since this was last asked.
    pub(super) fn apart(&mut self) -> Vec<usize> {
        self.branches.news()
    }

    fn note(&mut self, sent: Moment, inserted: Lsn) {
        let block_size = self.life.as_ref().map_or(0, |life| life.block_size);
        self.history.note(sent, reachable(inserted, block_size));
        self.branches.inserts(sent, inserted);
    }

    /// What a replica's answer says, at `now`, when it is known to have replayed up to `replayed`.
    pub(super) fn replica_answered(&mut self, index: usize, probe: &Probe, replayed: Option<Lsn>, now: Moment) -> Seen {
        self.writers.remove(&index);
        self.gone.remove(&index);
        let receives = matches!(probe.standing, Standing::Replica { receives: true, .. });
        self.lines.insert(index, Line { system: probe.system.clone(), timeline: probe.timeline, receives });
        if index == self.index
            && let Some(heir) = self.writers.keys().copied().find(|&writer| self.is_heir(writer))
        {
            self.lead(heir);
        }
        if self.start == Start::Awaiting && self.life.as_ref().is_some_and(|life| self.is_outrun(life, now)) {
            // It was heard first, and nothing has been sent to it yet.
            self.history.forget();
            self.branches.begin();
            self.followers.clear();
            self.life = None;
        }
        self.history.trim(now, self.staleness);
        let newest = self.history.newest();
        let follows = |life: &&Life| {
            probe.system.is_some() && probe.system == life.system && probe.timeline == Some(life.timeline)
        };
        let mut following = self.life.as_ref().filter(follows).map_or(Epoch::default(), |life| life.epoch);
        if self.has_twin() {
            following = Epoch::default();
        } else if let (Standing::Replica { receives, .. }, Some(replayed)) = (probe.standing, replayed)
            && following != Epoch::default()
            && self.branches.told(index, replayed, receives, now) != branch::Standing::Covered
        {
            following = Epoch::default();
        }
        if following != Epoch::default() {
            self.followers.insert(index);
        }
        if let Standing::Reader { lag } = probe.standing {
            let late = lag.and_then(|lag| u64::try_from(lag.as_micros()).ok());
            let fresh_at = late.and_then(|late| probe.sent.micros().checked_sub(late)).map(Moment::from_micros);
            return Seen {
                role: Role::Replica,
                asked: probe.sent,
                following,
                fresh_at,
                primary: PrimaryHeard::Lately,
                lag_bytes: None,
                measure: Measure::Time,
                timeline: None,
            };
        }
        Seen {
            role: Role::Replica,
            asked: probe.sent,
            following,
            measure: Measure::Position,
            fresh_at: replayed.and_then(|replayed| self.history.fresh_at(replayed)),
            primary: if newest.is_some() { PrimaryHeard::Lately } else { PrimaryHeard::NotLately },
            lag_bytes: newest.zip(replayed).map(|((_, there), here)| there.bytes().saturating_sub(here.bytes())),
            timeline: probe.timeline,
        }
    }
}

#[cfg(test)]
#[path = "leading_tests.rs"]
mod tests;
