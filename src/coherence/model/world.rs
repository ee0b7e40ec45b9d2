//! A small PostgreSQL (a primary, its stream, a replica) and the fills of one instance, each going on by single steps in
//! any order. The instance is the real machine.
//!
//! What is true of PostgreSQL here: a transaction writes its commit record and becomes visible some time after, in any
//! order among transactions; the stream and the replica follow the order of the records, from any time after a record was
//! written, visible or not; the replica shows a commit just before its replay position says so.

use super::super::judge::{Claim, judge};
use super::super::machine::{Fill, Machine, Raise};
use super::super::positions::LastChange;
use super::super::rules::Rules;
use super::super::{Commit, Demand, Evidence, Floor, Source, Touch};
use super::session::{Read, Session};
use crate::types::{Epoch, FullXid, Level, Lsn, Moment, RelationId, Snapshot, Xid};
use std::time::Duration;

pub(super) const EPOCH: Epoch = Epoch::new(1);
const NOW: Moment = Moment::from_micros(1);
/// Transaction ids pass 2³² on the way.
const FIRST_XID: u64 = (1 << 32) - 1;

/// Where a fill reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum From {
    Primary,
    Replica,
}

/// What is deliberately done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Flaw {
    None,
    /// Commits are heard with the start of their record.
    CommitStart,
    /// A replica is asked what it replayed after the query instead of before.
    ReplayedAfterQuery,
    /// Reads on the primary are not held against a floor that came from a replica.
    LongFork,
    /// A hit does not raise the session's floor.
    FloorStays,
}

/// What there is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Scenario {
    /// The relation that each changes. Ids are assigned in this order, all else in any.
    pub(super) transactions: &'static [u32],
    pub(super) fills: &'static [(From, u32)],
    /// Snapshots that the instance takes beside its fills.
    pub(super) snapshots: usize,
    pub(super) reads: &'static [Read],
    /// The stream begins before all else.
    pub(super) stream_first: bool,
    pub(super) rules: Rules,
    pub(super) flaw: Flaw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Transaction {
    Waiting,
    Running(u64),
    /// Its commit record is written.
    Recorded(u64),
    Visible(u64),
}

/// A question to the primary: not asked, taken there, answered here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asked<T> {
    Not,
    Taken(T),
    Answered,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum FillStage {
    Waiting,
    Begun(Fill),
    /// The position or snapshot was taken.
    Placed(Fill, Place),
    /// The query has read this.
    Read(Fill, Place, Transactions, Lsn),
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Snapshot(Sighted),
    Replayed(Lsn),
}

/// A snapshot, by its parts.
pub(super) type Sighted = (u64, u64, Vec<u64>);

/// A set of transactions.
pub(super) type Transactions = u32;

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) claim: Claim,
    pub(super) high: Lsn,
    pub(super) source: Source,
    pub(super) relation: u32,
    pub(super) value: Transactions,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) machine: Machine,
    /// Relations' positions, as the handle keeps them.
    changed: [Lsn; 3],
    transactions: Vec<Transaction>,
    /// The transactions whose commit records are written, in order.
    log: Vec<usize>,
    next_xid: u64,
    newest_finished: u64,
    streamed: Option<usize>,
    probe: Asked<(u64, Sighted)>,
    snapshots: Vec<Asked<Sighted>>,
    replica_shows: usize,
    replica_replayed: usize,
    fills: Vec<FillStage>,
    pub(super) entries: Vec<Entry>,
    pub(super) session: Session,
}

/// One step of one party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Begin(usize),
    Record(usize),
    BecomeVisible(usize),
    StreamStarts,
    Probe,
    ProbeAnswered,
    Deliver,
    ReplicaShows,
    ReplicaReplayed,
    /// Brings a fill one stage on.
    Fill(usize),
    TakeSnapshot(usize),
    SnapshotAnswered(usize),
    Session,
    /// The session looks at an entry.
    Hit(usize),
}

/// The end of the `records`-th commit record.
pub(super) fn end(records: usize) -> Lsn {
    Lsn::new(1000 + 10 * records as u64)
}

pub(super) fn snapshot((xmin, xmax, running): &Sighted) -> Snapshot {
    let in_progress = running.iter().copied().map(FullXid::new).collect();
    Snapshot { xmin: FullXid::new(*xmin), xmax: FullXid::new(*xmax), in_progress }
}

impl World {
    pub(super) fn new(scenario: Scenario) -> Self {
        let mut world = World {
            machine: Machine::new(scenario.rules),
            changed: [Lsn::ZERO; 3],
            transactions: vec![Transaction::Waiting; scenario.transactions.len()],
            log: Vec::new(),
            next_xid: FIRST_XID,
            newest_finished: FIRST_XID - 1,
            streamed: None,
            probe: Asked::Not,
            snapshots: vec![Asked::Not; scenario.snapshots],
            replica_shows: 0,
            replica_replayed: 0,
            fills: vec![FillStage::Waiting; scenario.fills.len()],
            entries: Vec::new(),
            session: Session::default(),
            scenario,
        };
        if scenario.stream_first {
            for step in [Step::StreamStarts, Step::Probe, Step::ProbeAnswered] {
                world.take(step);
            }
        }
        world
    }

    fn has_replica(&self) -> bool {
        self.scenario.fills.iter().any(|(from, _)| *from == From::Replica)
            || self.scenario.reads.iter().any(|read| matches!(read, Read::Replica(_)))
    }

    /// What can happen now.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut can = |possible: bool, step: Step| steps.extend(possible.then_some(step));
        let first_waiting = self.transactions.iter().position(|it| *it == Transaction::Waiting);
        for (number, stage) in self.transactions.iter().enumerate() {
            can(first_waiting == Some(number), Step::Begin(number));
            can(matches!(stage, Transaction::Running(_)), Step::Record(number));
            can(matches!(stage, Transaction::Recorded(_)), Step::BecomeVisible(number));
        }
        can(self.streamed.is_none(), Step::StreamStarts);
        can(self.streamed.is_some() && self.probe == Asked::Not, Step::Probe);
        can(matches!(self.probe, Asked::Taken(_)), Step::ProbeAnswered);
        can(self.streamed.is_some_and(|streamed| streamed < self.log.len()), Step::Deliver);
        let marked = self.replica_shows == self.replica_replayed;
        can(self.has_replica() && marked && self.replica_shows < self.log.len(), Step::ReplicaShows);
        can(!marked, Step::ReplicaReplayed);
        let live = self.probe == Asked::Answered;
        // Fills that are alike begin in order.
        let first = self.fills.iter().position(|stage| *stage == FillStage::Waiting);
        for (number, stage) in self.fills.iter().enumerate() {
            let possible = match stage {
                FillStage::Waiting => live && first == Some(number),
                FillStage::Ended => false,
                FillStage::Begun(_) | FillStage::Placed(..) | FillStage::Read(..) => true,
            };
            can(possible, Step::Fill(number));
        }
        for (number, stage) in self.snapshots.iter().enumerate() {
            can(live && *stage == Asked::Not, Step::TakeSnapshot(number));
            can(matches!(stage, Asked::Taken(_)), Step::SnapshotAnswered(number));
        }
        can(self.session_can_go_on(), Step::Session);
        for number in self.hits() {
            can(true, Step::Hit(number));
        }
        steps
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Begin(number) => {
                self.transactions[number] = Transaction::Running(self.next_xid);
                self.next_xid += 1;
            }
            Step::Record(number) => {
                self.transactions[number] = Transaction::Recorded(self.xid(number));
                self.log.push(number);
            }
            Step::BecomeVisible(number) => {
                self.newest_finished = self.newest_finished.max(self.xid(number));
                self.transactions[number] = Transaction::Visible(self.xid(number));
            }
            Step::StreamStarts => {
                self.streamed = Some(self.log.len());
                self.machine.stream_started(EPOCH, end(self.log.len()));
            }
            Step::Probe => {
                let probe = self.next_xid;
                self.next_xid += 1;
                self.newest_finished = self.newest_finished.max(probe);
                self.probe = Asked::Taken((probe, self.snapshot_now()));
            }
            Step::ProbeAnswered => self.probe_answered(),
            Step::Deliver => self.deliver(),
            Step::ReplicaShows => self.replica_shows += 1,
            Step::ReplicaReplayed => self.replica_replayed = self.replica_shows,
            Step::Fill(number) => self.advance_fill(number),
            Step::TakeSnapshot(number) => self.snapshots[number] = Asked::Taken(self.snapshot_now()),
            Step::SnapshotAnswered(number) => {
                if let Asked::Taken(taken) = &self.snapshots[number] {
                    self.machine.saw_snapshot(&snapshot(taken));
                }
                self.snapshots[number] = Asked::Answered;
            }
            Step::Session => self.session_goes_on(),
            Step::Hit(number) => self.session_hits(number),
        }
    }

    fn xid(&self, number: usize) -> u64 {
        match self.transactions[number] {
            Transaction::Running(xid) | Transaction::Recorded(xid) | Transaction::Visible(xid) => xid,
            Transaction::Waiting => unreachable!("it has begun"),
        }
    }

    pub(super) fn snapshot_now(&self) -> Sighted {
        let xmax = self.newest_finished + 1;
        let mut running: Vec<u64> = (self.transactions.iter())
            .filter_map(|stage| match stage {
                Transaction::Running(xid) | Transaction::Recorded(xid) => Some(*xid).filter(|xid| *xid < xmax),
                Transaction::Waiting | Transaction::Visible(_) => None,
            })
            .collect();
        running.sort_unstable();
        (running.first().copied().unwrap_or(xmax), xmax, running)
    }

    fn touching(&self, relation: u32, transactions: impl Iterator<Item = usize>) -> Transactions {
        transactions.filter(|it| self.scenario.transactions[*it] == relation).fold(0, |set, it| set | 1 << it)
    }

    /// What a query on the primary reads now.
    pub(super) fn on_primary(&self, relation: u32) -> Transactions {
        let visible = |it: &usize| matches!(self.transactions[*it], Transaction::Visible(_));
        self.touching(relation, (0..self.transactions.len()).filter(visible))
    }

    /// What a query on the replica reads now.
    pub(super) fn on_replica(&self, relation: u32) -> Transactions {
        self.touching(relation, self.log[..self.replica_shows].iter().copied())
    }

    pub(super) fn insert_position(&self) -> Lsn {
        end(self.log.len())
    }

    pub(super) fn replica_positions(&self) -> (Lsn, Lsn) {
        (end(self.replica_replayed), end(self.replica_shows))
    }

    fn probe_answered(&mut self) {
        let Asked::Taken((probe, taken)) = &self.probe else { unreachable!("it was taken") };
        let (probe, seen) = (FullXid::new(*probe), snapshot(taken));
        self.probe = Asked::Answered;
        self.machine.probed(probe, &seen);
        let doubt = self.machine.newest_doubt();
        let _ = self.machine.catalog_verified(doubt, NOW, &seen, Lsn::ZERO);
        self.machine.pinged(NOW, Lsn::ZERO);
    }

    fn deliver(&mut self) {
        let number = self.streamed.expect("the stream has begun");
        let transaction = self.log[number];
        self.streamed = Some(number + 1);
        let end_heard = if self.scenario.flaw == Flaw::CommitStart { end(number) } else { end(number + 1) };
        let xid = self.xid(transaction);
        let relation = RelationId::new(self.scenario.transactions[transaction]);
        let touch = Touch::Relations([relation].as_slice().into());
        let commit = Commit { end: end_heard, xid: Xid::new(xid as u32), touch };
        match self.machine.heard(&commit) {
            Raise::Relations(relations) => {
                relations.iter().for_each(|it| self.changed[it.oid() as usize] = commit.end);
            }
            Raise::Nothing | Raise::Everything => unreachable!("rows of known relations"),
        }
        self.machine.applied(end(number + 1));
    }

    fn advance_fill(&mut self, number: usize) {
        let (from, relation) = self.scenario.fills[number];
        let late = self.scenario.flaw == Flaw::ReplayedAfterQuery;
        let stage = std::mem::replace(&mut self.fills[number], FillStage::Ended);
        self.fills[number] = match stage {
            FillStage::Waiting => match self.machine.begin_fill(NOW) {
                Ok(fill) => FillStage::Begun(fill),
                Err(_) => FillStage::Ended,
            },
            FillStage::Begun(fill) => match from {
                From::Primary => FillStage::Placed(fill, Place::Snapshot(self.snapshot_now())),
                From::Replica => FillStage::Placed(fill, Place::Replayed(end(self.replica_replayed))),
            },
            FillStage::Placed(fill, place) => {
                let (value, high) = match from {
                    From::Primary => (self.on_primary(relation), self.insert_position()),
                    From::Replica => (self.on_replica(relation), end(self.replica_shows)),
                };
                FillStage::Read(fill, place, value, high)
            }
            FillStage::Read(fill, place, value, high) => {
                let evidence = match place {
                    Place::Snapshot(taken) => Evidence::Primary { snapshot: snapshot(&taken), high },
                    Place::Replayed(_) if late => Evidence::Replica { replayed: end(self.replica_replayed), high },
                    Place::Replayed(replayed) => Evidence::Replica { replayed, high },
                };
                // A ping may tell the primary's position before the stream gets there.
                self.machine.inserted(self.insert_position());
                if let Ok(admitted) = self.machine.admit(&fill, &evidence, &[RelationId::new(relation)], NOW) {
                    let (claim, high, source) = (admitted.claim, admitted.high, admitted.source);
                    self.entries.push(Entry { claim, high, source, relation, value });
                }
                FillStage::Ended
            }
            FillStage::Ended => unreachable!("it has ended"),
        };
    }

    /// Whether the entry may be served, to a session with this floor or (zero) to anybody.
    pub(super) fn servable(&self, entry: &Entry, floor: Lsn) -> bool {
        let level = if floor == Lsn::ZERO { Level::Bounded } else { Level::Session };
        let floor = Floor { epoch: EPOCH, position: floor, after: Moment::START };
        let changes = [LastChange { at: self.changed[entry.relation as usize], altered: 0 }];
        let demand = Demand { level, floor, now: NOW };
        judge(&self.machine.view(), &entry.claim, changes, &demand, Duration::from_secs(1)).is_ok()
    }

    /// Commits to a relation whose records end at or before `position`.
    fn committed_up_to(&self, relation: u32, position: Lsn) -> Transactions {
        let up_to = (1..=self.log.len()).take_while(|records| end(*records) <= position).count();
        self.touching(relation, self.log[..up_to].iter().copied())
    }

    /// That no entry is served which misses a commit it must include. Counts those that are servable.
    pub(super) fn check(&self) -> Result<u64, String> {
        if let Some(wrong) = &self.session.wrong {
            return Err(wrong.clone());
        }
        let mut served = 0;
        for entry in &self.entries {
            if entry.value & !self.committed_up_to(entry.relation, entry.high) != 0 {
                return Err(format!("content past high: {entry:?}"));
            }
            let floors = (1..=self.log.len()).map(end);
            for floor in [Lsn::ZERO].into_iter().chain(floors) {
                if self.servable(entry, floor) {
                    served += 1;
                    let claimed = self.machine.view().applied.max(entry.claim.stamp).max(floor);
                    if self.committed_up_to(entry.relation, claimed) & !entry.value != 0 {
                        return Err(format!("served at floor {floor} without a commit before {claimed}: {entry:?}"));
                    }
                }
            }
        }
        Ok(served)
    }
}
