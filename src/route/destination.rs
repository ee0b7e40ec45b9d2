//! Where a statement goes: the replica that may answer it and has least to do, else the primary; with the reason, and with why
//! each other replica was passed over.

use crate::coherence::{Coherence, Floor};
use crate::types::{Epoch, Level, Lsn, Moment};
use crate::upstream::{Measure, PassedOver, Server, Upstream};
use std::sync::Arc;
use std::time::Duration;

/// As many requests more may a replica in this zone have outstanding than one in another before the other is taken: a way to
/// another zone costs about as much as waiting for a few of them, and money.
const SPILL: usize = 8;

/// As many requests more count for a replica that takes far longer to answer than the quickest: so many times, and so much.
const SLOW: usize = 4;
const SLOW_TIMES: u32 = 4;
const SLOW_BY: Duration = Duration::from_millis(2);

/// Why a statement went where it went. One variant, one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A write, or not proven to be a read.
    NotARead,
    /// A replica has refused it as a write before.
    LearnedWrite,
    /// It asks about the server itself, or reads what a replica does not have.
    OnlyThere,
    /// It belongs to a transaction that the primary runs.
    InTransaction,
    /// Its batch goes on, and may write yet.
    BatchGoesOn,
    /// The session's isolation level is one that replicas refuse, or is not known.
    Isolation,
    /// Sessions keep one connection each.
    SessionPool,
    /// Its answer is to be kept by the clock, which a replica's lateness would add to.
    KeptByClock,
    /// It or its session asked for the primary's own state, or the session's floor is not known by position.
    PrimaryOnly,
    /// The statement's own comment asked for it.
    Hint,
    /// A rule of the configuration sends it there: its number.
    Rule(u16),
    /// A replica has just refused it as a write.
    RefusedByReplica,
    /// The replica that it was sent to was lost, or stopped it in favour of what it replays.
    ReplicaLost,
    /// The replica that was chosen gave no connection.
    NoConnection,
    /// The session holds that connection.
    Held,
    /// Of the replicas that may answer it, this one has the fewest requests outstanding; another zone's and a slow one's count
    /// as having more.
    LeastOutstanding,
    /// There are no replicas.
    NoReplica,
    /// No replica may answer it; the last one's reason.
    NoneFit(PassedOver),
}

impl Reason {
    /// The name in metrics, logs and `explain`.
    pub const fn label(self) -> &'static str {
        match self {
            Reason::NotARead => "not_a_read",
            Reason::LearnedWrite => "learned_write",
            Reason::OnlyThere => "only_there",
            Reason::InTransaction => "in_transaction",
            Reason::BatchGoesOn => "batch_goes_on",
            Reason::Isolation => "isolation",
            Reason::SessionPool => "session_pool",
            Reason::KeptByClock => "kept_by_clock",
            Reason::PrimaryOnly => "primary_only",
            Reason::Hint => "hint",
            Reason::Rule(_) => "rule",
            Reason::RefusedByReplica => "refused_by_replica",
            Reason::ReplicaLost => "replica_lost",
            Reason::NoConnection => "no_connection",
            Reason::Held => "held",
            Reason::LeastOutstanding => "least_outstanding",
            Reason::NoReplica => "no_replica",
            Reason::NoneFit(passed_over) => passed_over.label(),
        }
    }
}

/// As many replicas can be told apart in an account of a choice.
const TOLD: usize = 16;

/// Why replicas took no read: of the first ones among [`Upstream::replicas`]. Small, since it is kept while a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed([Option<PassedOver>; TOLD]);

impl Passed {
    fn note(&mut self, at: usize, why: PassedOver) {
        if let Some(place) = self.0.get_mut(at) {
            *place = Some(why);
        }
    }

    /// Why the replica at this place was passed over, if it was.
    pub fn get(&self, at: usize) -> Option<PassedOver> {
        self.0.get(at).copied().flatten()
    }

    /// All of them, by their places.
    pub fn iter(&self) -> impl Iterator<Item = (usize, PassedOver)> {
        self.0.iter().enumerate().filter_map(|(at, why)| Some((at, (*why)?)))
    }
}

/// A server, and why it.
#[derive(Debug, Clone)]
pub struct Choice {
    pub server: Arc<Server>,
    pub reason: Reason,
    pub passed: Passed,
}

fn burden(replica: &Server, quickest: Duration) -> usize {
    let far = if replica.is_near() { 0 } else { SPILL };
    let slow = if replica.latency() > quickest * SLOW_TIMES + SLOW_BY { SLOW } else { 0 };
    replica.outstanding() + far + slow
}

/// What a session may not read before.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    pub floor: Floor,
    /// A replica that it has read, and its floor without what it read there: a replica does not go back.
    pub again: Option<(&'a Arc<Server>, Floor)>,
}

impl Bound<'_> {
    /// What a replica must have replayed; `None` if that is not known by position.
    fn position(&self, replica: &Arc<Server>, epoch: Epoch) -> Option<Lsn> {
        let floor = match &self.again {
            Some((again, elsewhere)) if self.floor.epoch == epoch && Arc::ptr_eq(again, replica) => elsewhere,
            _ => &self.floor,
        };
        let is_known = floor.after == Moment::START && (floor.epoch == epoch || floor.position == Lsn::ZERO);
        is_known.then_some(floor.position)
    }
}

/// Chooses for a proven read. `bound`: of the session; `None` if it is not known by position. `catalog_since`: the catalog by which
/// the statement was understood has been so since then, at the latest. `turn`: any number; of replicas that are equal it decides
/// which is first.
pub fn choose(
    upstream: &Upstream,
    coherence: &Coherence,
    level: Level,
    bound: Option<Bound<'_>>,
    (catalog_since, turn): (&dyn Fn() -> Moment, usize),
) -> Choice {
    let replicas = upstream.replicas();
    let primary = |reason, passed| Choice { server: Arc::clone(upstream.primary()), reason, passed };
    if replicas.is_empty() {
        return primary(Reason::NoReplica, Passed::default());
    }
    let epoch = coherence.epoch();
    // What the catalog was last seen to be must have reached the replica: the statement was understood by it.
    let catalog = coherence.catalog_floor();
    let quickest = replicas.iter().map(|replica| replica.latency()).filter(|took| !took.is_zero()).min();
    let quickest = quickest.unwrap_or_default();
    let mut passed = Passed::default();
    let mut last = PassedOver::Unreachable;
    let mut best: Option<(&Arc<Server>, [usize; 3])> = None;
    for (at, replica) in replicas.iter().enumerate() {
        let position = match level {
            Level::Strong => Err(PassedOver::Strong),
            Level::Session => {
                bound.as_ref().and_then(|bound| bound.position(replica, epoch)).ok_or(PassedOver::FloorUnknown)
            }
            Level::Bounded => Ok(Lsn::ZERO),
        };
        let fit = |position: Lsn| match (replica.measure(), level) {
            (Measure::Position, _) => replica.fit(epoch, position.max(catalog)),
            (Measure::Time, Level::Bounded) => replica.fit_since(epoch, catalog_since()),
            // What it is rather passed over for, if it is: being lost, say.
            (Measure::Time, _) => replica.fit(epoch, Lsn::ZERO).and(Err(PassedOver::PositionUnknown)),
        };
        match position.and_then(fit) {
            Ok(()) => {
                // Where handicap and load are even, the one with less to do; of equals the one whose turn it is: nobody is always first.
                let turn = (at + turn) % replicas.len();
                let rank = [burden(replica, quickest), replica.outstanding(), turn];
                if best.is_none_or(|(_, least)| rank < least) {
                    best = Some((replica, rank));
                }
            }
            Err(why) => {
                passed.note(at, why);
                last = why;
            }
        }
    }
    match (best, last) {
        (Some((server, _)), _) => Choice { server: Arc::clone(server), reason: Reason::LeastOutstanding, passed },
        (None, PassedOver::Strong | PassedOver::FloorUnknown) => primary(Reason::PrimaryOnly, passed),
        (None, why) => primary(Reason::NoneFit(why), passed),
    }
}
