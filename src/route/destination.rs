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
    /// The replica that it was sent to was lost, stopped it in favour of what it replays, or held it up by that.
    ReplicaLost,
    /// The replica that it was sent to answered with an error, which may be one of its own.
    FailedOnReplica,
    /// The replica that was chosen gave no connection.
    NoConnection,
    /// The session holds that connection.
    Held,
    /// Of the replicas that may answer it, this one has the fewest requests outstanding; another zone's and a slow one's count
    /// as having more.
    LeastOutstanding,
    /// There is no other server.
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
            Reason::FailedOnReplica => "failed_on_replica",
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

/// Why replicas took no read: of the first ones among [`Upstream::servers`]. Small, since it is kept while a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed([Option<PassedOver>; TOLD]);

impl Passed {
    fn note(&mut self, at: usize, why: PassedOver) {
        if let Some(place) = self.0.get_mut(at) {
            *place = Some(why);
        }
    }

    /// Why the server at this place was passed over, if it was.
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
    /// A replica that it has read, which does not go back.
    pub again: Option<Again<'a>>,
}

/// A replica that a session has read.
#[derive(Debug, Clone, Copy)]
pub struct Again<'a> {
    pub replica: &'a Arc<Server>,
    /// When the server started that was read there, in microseconds.
    pub started: Option<u64>,
    /// The session's floor without what it has read there.
    pub elsewhere: Floor,
}

/// What a replica has to say of itself before what it answers counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Least {
    /// So much it has replayed.
    position: Lsn,
    /// Another server at its address than the one that started then has replayed so much.
    other: (Option<u64>, Lsn),
}

impl Least {
    /// No less than `position` in any case.
    pub fn risen(self, position: Lsn) -> Self {
        Least { position: self.position.max(position), ..self }
    }

    /// `replayed`: nothing if it is not in recovery.
    pub fn is_reached_by(&self, replayed: Option<Lsn>, started: Option<u64>) -> bool {
        let (known, other) = self.other;
        let is_known = known.is_some() && known == started;
        replayed.is_some_and(|replayed| replayed >= self.position && (is_known || replayed >= other))
    }
}

impl Bound<'_> {
    /// What a replica must have replayed; `None` if that is not known by position.
    fn least(&self, replica: &Arc<Server>, epoch: Epoch) -> Option<Least> {
        let is_known =
            |floor: &Floor| floor.after == Moment::START && (floor.epoch == epoch || floor.position == Lsn::ZERO);
        let again =
            self.again.as_ref().filter(|again| self.floor.epoch == epoch && Arc::ptr_eq(again.replica, replica));
        let (floor, started) = again.map_or((&self.floor, None), |again| (&again.elsewhere, again.started));
        let least = Least { position: floor.position, other: (started, self.floor.position) };
        (is_known(floor) && is_known(&self.floor)).then_some(least)
    }
}

/// What a read demands of whichever replica answers it.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    level: Level,
    bound: Option<Bound<'a>>,
    epoch: Epoch,
    /// What the catalog was last seen to be must have reached the replica: the statement was understood by it.
    catalog: Lsn,
}

impl<'a> Demand<'a> {
    /// `bound`: of the session; `None` if it is not known by position.
    pub fn new(coherence: &Coherence, level: Level, bound: Option<Bound<'a>>) -> Self {
        Demand { level, bound, epoch: coherence.epoch(), catalog: coherence.catalog_floor() }
    }

    /// Whether the replica meets it, by what is known of it: gives what it has to say of itself, or nothing where it tells no position.
    ///
    /// # Errors
    /// Why not.
    pub fn is_met_by(
        &self,
        replica: &Arc<Server>,
        catalog_since: &dyn Fn() -> Moment,
    ) -> Result<Option<Least>, PassedOver> {
        let least = match self.level {
            Level::Strong => Err(PassedOver::Strong),
            Level::Session => {
                let known = self.bound.as_ref().and_then(|bound| bound.least(replica, self.epoch));
                known.ok_or(PassedOver::FloorUnknown)
            }
            Level::Bounded => Ok(Least { position: Lsn::ZERO, other: (None, Lsn::ZERO) }),
        };
        let least = least?.risen(self.catalog);
        match (replica.measure(), self.level) {
            (Measure::Position, _) => replica.fit(self.epoch, least.position).map(|()| Some(least)),
            (Measure::Time, Level::Bounded) => replica.fit_since(self.epoch, catalog_since()).map(|()| None),
            // What it is rather passed over for, if it is: being lost, say.
            (Measure::Time, _) => replica.fit(self.epoch, Lsn::ZERO).and(Err(PassedOver::PositionUnknown)),
        }
    }
}

/// Chooses for a proven read. `bound`: of the session; `None` if it is not known by position. `is_unlike`: whether
/// sessions of its user were found not to start there as on the primary. `catalog_since`: the catalog by which the statement was
/// understood has been so since then, at the latest. `turn`: any number; of replicas that are equal it decides which is first.
pub fn choose(
    upstream: &Upstream,
    coherence: &Coherence,
    level: Level,
    bound: Option<Bound<'_>>,
    is_unlike: &dyn Fn(&Server) -> bool,
    (catalog_since, turn): (&dyn Fn() -> Moment, usize),
) -> Choice {
    let primary = |reason, passed| Choice { server: Arc::clone(upstream.primary()), reason, passed };
    if !upstream.has_replicas() {
        return primary(Reason::NoReplica, Passed::default());
    }
    let demand = Demand::new(coherence, level, bound);
    let quickest = upstream.replicas().map(|(_, replica)| replica.latency()).filter(|took| !took.is_zero()).min();
    let (quickest, number) = (quickest.unwrap_or_default(), upstream.replicas().count());
    let mut passed = Passed::default();
    let mut last = PassedOver::Unreachable;
    let mut best: Option<(&Arc<Server>, [usize; 3])> = None;
    for (nth, (at, replica)) in upstream.replicas().enumerate() {
        let alike = |least| if is_unlike(replica) { Err(PassedOver::Unlike) } else { Ok(least) };
        match demand.is_met_by(replica, catalog_since).and_then(alike) {
            Ok(_) => {
                // Where handicap and load are even, the one with less to do; of equals the one whose turn it is: nobody is always first.
                let turn = (nth + turn) % number;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags};

    const EPOCH: Epoch = Epoch::new(7);
    const QUICK: Duration = Duration::from_millis(3);
    /// The longest that is not slow beside [`QUICK`].
    const MIDDLING: Duration = Duration::from_millis(14);

    struct Cluster {
        upstream: Arc<Upstream>,
        coherence: Arc<Coherence>,
    }

    impl Cluster {
        /// Replicas that have everything, each in its zone and with the time that it takes to answer; we are in `near`.
        fn of(replicas: &[(&str, Duration)]) -> Cluster {
            let url = |(at, (zone, _)): (usize, &(&str, Duration))| {
                format!("postgres://shop:shop@replica{at}/shop?zone={zone}")
            };
            let urls = replicas.iter().enumerate().map(url).collect::<Vec<_>>().join(",");
            let environment = |name: &str| match name {
                "SIDECACHE_PRIMARY" => Some("postgres://shop:shop@db/shop".to_owned()),
                "SIDECACHE_REPLICAS" => Some(urls.clone()),
                "SIDECACHE_ZONE" => Some("near".to_owned()),
                // They are only not to be taken for late before the test is over.
                "SIDECACHE_STALENESS" => Some("1h".to_owned()),
                _ => None,
            };
            let config = Config::load(&Flags::default(), &environment).unwrap();
            let (upstream, coherence) = (Upstream::new(&config), Coherence::new(config.staleness));
            coherence.stream_started(EPOCH, Lsn::new(1));
            upstream.replicas().zip(replicas).for_each(|((_, replica), (_, took))| replica.seem_fit(EPOCH, *took));
            Cluster { upstream, coherence }
        }

        fn choose(&self, turn: usize) -> Arc<Server> {
            let bound = Some(Bound { floor: Floor::default(), again: None });
            let since = || Moment::START;
            let choice = choose(&self.upstream, &self.coherence, Level::Bounded, bound, &|_| false, (&since, turn));
            assert_eq!(choice.reason, Reason::LeastOutstanding);
            choice.server
        }

        /// Which replicas so many reads go to that none of them answers yet.
        fn go(&self, reads: usize) -> Vec<String> {
            let mut names = Vec::new();
            for _ in 0..reads {
                let server = self.choose(0);
                std::mem::forget(server.request());
                names.push(server.name().to_owned());
            }
            names
        }
    }

    fn counts(names: &[String]) -> [usize; 2] {
        ["replica-1", "replica-2"].map(|replica| names.iter().filter(|name| *name == replica).count())
    }

    #[test]
    fn replicas_that_are_about_as_quick_take_turns() {
        let cluster = Cluster::of(&[("near", MIDDLING), ("near", QUICK)]);
        let turns: Vec<String> = (0..4).map(|turn| cluster.choose(turn).name().to_owned()).collect();
        assert_eq!(turns, ["replica-1", "replica-2", "replica-1", "replica-2"]);
        assert_eq!(counts(&cluster.go(10)), [5, 5]);
    }

    #[test]
    fn a_slow_replica_gets_fewer_reads() {
        let slow = MIDDLING + Duration::from_micros(1);
        for took in [slow, slow * 100] {
            let cluster = Cluster::of(&[("near", took), ("near", QUICK)]);
            assert!((0..4).all(|turn| cluster.choose(turn).name() == "replica-2"), "whoever's turn it is");
            let went = cluster.go(10);
            assert_eq!(counts(&went[..SLOW]), [0, SLOW], "until the quick one has so many more to do");
            assert_eq!((counts(&went), &*went[SLOW]), ([3, 7], "replica-1"));
        }
    }

    #[test]
    fn a_slow_replica_here_is_taken_before_a_quick_one_elsewhere() {
        let cluster = Cluster::of(&[("near", MIDDLING * 2), ("far", QUICK)]);
        let went = cluster.go(10);
        assert_eq!(counts(&went[..SPILL - SLOW]), [SPILL - SLOW, 0]);
        assert_eq!((counts(&went), &*went[SPILL - SLOW]), ([7, 3], "replica-2"));
    }
}
