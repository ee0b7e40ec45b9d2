//! Every metric, label and log format. Others return outcomes; this module knows what they are called outside, and
//! nothing else: not what a session or an entry is.
//!
//! A request costs a few atomic additions here: no name is formatted and no map is locked on its way. What
//! Prometheus reads is made from the counts when it asks.

mod export;
mod histogram;
mod labelled;
pub mod logs;
mod names;

use self::export::Exporter;
use self::labelled::Labelled;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use self::export::{
    CacheObservation, LimitsObservation, ListeningObservation, Observation, PoolsObservation, RedisObservation,
    ServerObservation, Times,
};

/// Who answers requests: the tiers, the upstream servers, and Sidecache itself (its own settings),
/// which also stands for any other label.
const DESTINATIONS: [&str; 5] = ["memory", "shared", "primary", "replica", "sidecache"];

/// Where a destination's counts are.
fn place(destination: &str) -> usize {
    DESTINATIONS.iter().position(|label| *label == destination).unwrap_or(DESTINATIONS.len() - 1)
}

/// What became of a request, as the cache sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Served from an entry.
    Hit,
    /// Could have been served, was not there.
    Miss,
    /// The cache was not asked, for the reason with this label.
    Bypass(&'static str),
    /// It writes.
    Write,
}

impl Outcome {
    /// The name in metrics or, of a bypass, the reason's.
    pub const fn label(self) -> &'static str {
        match self {
            Outcome::Bypass(reason) => reason,
            other => Outcome::LABELS[other.index()],
        }
    }

    const LABELS: [&'static str; 4] = ["hit", "miss", "bypass", "write"];

    const fn index(self) -> usize {
        match self {
            Outcome::Hit => 0,
            Outcome::Miss => 1,
            Outcome::Bypass(_) => 2,
            Outcome::Write => 3,
        }
    }
}

/// The kind of requests that were answered by an entry which no change was held against.
pub const KIND_TTL: &str = "ttl";

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// What it is: a stable label, [`KIND_TTL`] for hits that the clock alone allows.
    pub kind: &'static str,
    /// Who answered: `memory`, `shared`, `primary`, `replica` or `sidecache`.
    pub destination: &'static str,
    pub outcome: Outcome,
    /// From its last frame read to its last byte handed to the socket.
    pub total: Duration,
    /// How much of that was spent upstream.
    pub upstream: Option<Duration>,
}

/// Counts of one kind of statement, by destination and outcome.
type Cells = [[AtomicU64; 4]; 5];

/// All counts of this process.
pub struct Telemetry {
    exporter: Exporter,
    requests: Labelled<Cells>,
    bypasses: Labelled<AtomicU64>,
    fills_stored: AtomicU64,
    fills_refused: Labelled<AtomicU64>,
    pins: Labelled<AtomicU64>,
    passed_over: Labelled<AtomicU64>,
    refused_clients: Labelled<AtomicU64>,
    failed_proofs: Labelled<AtomicU64>,
    pool_timeouts: AtomicU64,
    query_timeouts: AtomicU64,
    sessions: AtomicU64,
    sessions_begun: AtomicU64,
    saved_nanoseconds: AtomicU64,
}

/// Counts a session as long as it lives.
pub struct SessionGuard(Arc<Telemetry>);

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Relaxed);
    }
}

/// The counts as plain numbers, for `/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    pub hits_memory: u64,
    pub hits_shared: u64,
    /// Those of them that the clock alone allowed.
    pub hits_ttl: u64,
    pub misses: u64,
    pub bypasses: Vec<(&'static str, u64)>,
    pub writes: u64,
    pub fills_stored: u64,
    pub fills_refused: Vec<(&'static str, u64)>,
    pub pins: Vec<(&'static str, u64)>,
    pub sessions: u64,
    pub saved: Duration,
}

impl Telemetry {
    /// Counts from zero.
    pub fn new() -> Arc<Self> {
        Arc::new(Telemetry {
            exporter: Exporter::new(),
            requests: Labelled::new(),
            bypasses: Labelled::new(),
            fills_stored: AtomicU64::new(0),
            fills_refused: Labelled::new(),
            pins: Labelled::new(),
            passed_over: Labelled::new(),
            refused_clients: Labelled::new(),
            failed_proofs: Labelled::new(),
            pool_timeouts: AtomicU64::new(0),
            query_timeouts: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            sessions_begun: AtomicU64::new(0),
            saved_nanoseconds: AtomicU64::new(0),
        })
    }

    /// A request ended.
    pub fn request(&self, record: &Record) {
        let destination = place(record.destination);
        self.requests.cell(record.kind)[destination][record.outcome.index()].fetch_add(1, Relaxed);
        if let Outcome::Bypass(reason) = record.outcome {
            self.bypasses.cell(reason).fetch_add(1, Relaxed);
        }
        self.exporter.request(destination, record.total, record.upstream);
    }

    /// A hit spared the upstream what the entry's fill had cost.
    pub fn saved(&self, cost: Duration) {
        self.saved_nanoseconds.fetch_add(nanoseconds(cost), Relaxed);
    }

    /// A fill ended and was stored.
    pub fn fill_stored(&self) {
        self.fills_stored.fetch_add(1, Relaxed);
    }

    /// A fill was not begun or not stored, for the reason with this label.
    pub fn fill_refused(&self, reason: &'static str) {
        self.fills_refused.cell(reason).fetch_add(1, Relaxed);
    }

    /// A session was pinned to its connection.
    pub fn pinned(&self, reason: &'static str) {
        self.pins.cell(reason).fetch_add(1, Relaxed);
    }

    /// A replica did not get a read that it could have had.
    pub fn passed_over(&self, reason: &'static str) {
        self.passed_over.cell(reason).fetch_add(1, Relaxed);
    }

    /// A client was turned away before its session began (too many, a failed proof, …).
    pub fn client_refused(&self, reason: &'static str) {
        self.refused_clients.cell(reason).fetch_add(1, Relaxed);
    }

    /// A client did not prove who it is, for the reason with this label.
    pub fn proof_failed(&self, reason: &'static str) {
        self.failed_proofs.cell(reason).fetch_add(1, Relaxed);
    }

    /// A session was told that no connection had become free for its statement.
    pub fn pool_timed_out(&self) {
        self.pool_timeouts.fetch_add(1, Relaxed);
    }

    /// A request took too long and was cancelled.
    pub fn query_timed_out(&self) {
        self.query_timeouts.fetch_add(1, Relaxed);
    }

    /// A session waited this long for a connection.
    pub fn pool_wait(&self, waited: Duration) {
        self.exporter.pool_wait(waited);
    }

    /// A session began.
    pub fn session(self: &Arc<Self>) -> SessionGuard {
        self.sessions.fetch_add(1, Relaxed);
        self.sessions_begun.fetch_add(1, Relaxed);
        SessionGuard(Arc::clone(self))
    }

    /// The counts as numbers.
    pub fn totals(&self) -> Totals {
        let at = |destination: usize, outcome: Outcome| -> u64 {
            self.requests.iter().map(|(_, cells)| cells[destination][outcome.index()].load(Relaxed)).sum()
        };
        let all = |outcome: Outcome| -> u64 { (0..DESTINATIONS.len()).map(|place| at(place, outcome)).sum() };
        let ttl = self.requests.iter().filter(|(kind, _)| *kind == KIND_TTL);
        let hits_ttl = ttl.map(|(_, cells)| cells[place("memory")][Outcome::Hit.index()].load(Relaxed)).sum();
        let list = |counts: &Labelled<AtomicU64>| counts.iter().map(|(label, n)| (label, n.load(Relaxed))).collect();
        Totals {
            hits_memory: at(place("memory"), Outcome::Hit),
            hits_shared: at(place("shared"), Outcome::Hit),
            hits_ttl,
            misses: all(Outcome::Miss),
            bypasses: list(&self.bypasses),
            writes: all(Outcome::Write),
            fills_stored: self.fills_stored.load(Relaxed),
            fills_refused: list(&self.fills_refused),
            pins: list(&self.pins),
            sessions: self.sessions.load(Relaxed),
            saved: Duration::from_nanos(self.saved_nanoseconds.load(Relaxed)),
        }
    }

    /// How long requests and waits for connections took, all together.
    pub fn times(&self) -> Times {
        self.exporter.times()
    }

    /// The text that Prometheus reads.
    pub fn render(&self, observation: &Observation) -> String {
        self.exporter.observe(observation);
        self.export_counts();
        self.exporter.render()
    }

    fn export_counts(&self) {
        let export = &self.exporter;
        for (kind, cells) in self.requests.iter() {
            for (destination, row) in DESTINATIONS.into_iter().zip(cells) {
                for (outcome, count) in Outcome::LABELS.into_iter().zip(row) {
                    let labels = [("kind", kind), ("destination", destination), ("outcome", outcome)];
                    match count.load(Relaxed) {
                        0 => {}
                        seen => export.counter(names::REQUESTS, &labels, seen),
                    }
                }
            }
        }
        let families = [
            (names::BYPASSES, &self.bypasses),
            (names::FILLS_REFUSED, &self.fills_refused),
            (names::PINS, &self.pins),
            (names::PASSED_OVER, &self.passed_over),
            (names::CLIENTS_REFUSED, &self.refused_clients),
            (names::PROOFS_FAILED, &self.failed_proofs),
        ];
        for (name, counts) in families {
            for (reason, count) in counts.iter() {
                export.counter(name, &[("reason", reason)], count.load(Relaxed));
            }
        }
        export.counter(names::FILLS_STORED, &[], self.fills_stored.load(Relaxed));
        export.counter(names::POOL_TIMEOUTS, &[], self.pool_timeouts.load(Relaxed));
        export.counter(names::QUERY_TIMEOUTS, &[], self.query_timeouts.load(Relaxed));
        export.counter(names::SESSIONS_BEGUN, &[], self.sessions_begun.load(Relaxed));
        export.gauge(names::SESSIONS, &[], self.sessions.load(Relaxed) as f64);
        export.gauge(names::SAVED, &[], self.saved_nanoseconds.load(Relaxed) as f64 / 1e9);
    }
}

fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(destination: &'static str, outcome: Outcome) -> Record {
        Record { kind: "read", destination, outcome, total: Duration::from_micros(30), upstream: None }
    }

    #[test]
    fn a_request_is_counted_once_under_its_names() {
        let telemetry = Telemetry::new();
        let hit = Outcome::Hit;
        telemetry.request(&record("memory", hit));
        telemetry.request(&record("memory", hit));
        telemetry.request(&record("shared", hit));
        telemetry.request(&Record { kind: KIND_TTL, ..record("memory", hit) });
        telemetry.request(&record("primary", Outcome::Miss));
        telemetry.request(&record("primary", Outcome::Bypass("volatile_function")));
        telemetry.request(&record("primary", Outcome::Write));
        for _ in 0..3 {
            telemetry.saved(Duration::from_millis(250));
        }
        telemetry.fill_refused("suspect");
        telemetry.pinned("listen");
        let totals = telemetry.totals();
        assert_eq!((totals.hits_memory, totals.hits_shared, totals.misses, totals.writes), (3, 1, 1, 1));
        assert_eq!(totals.hits_ttl, 1, "and it counts as a hit in memory");
        assert_eq!(totals.bypasses, [("volatile_function", 1)]);
        assert_eq!(totals.saved, Duration::from_millis(750));
        let text = telemetry.render(&Observation::default());
        for line in [
            "sidecache_requests_total{kind=\"read\",destination=\"memory\",outcome=\"hit\"} 2",
            "sidecache_bypasses_total{reason=\"volatile_function\"} 1",
            "sidecache_fills_refused_total{reason=\"suspect\"} 1",
            "sidecache_pins_total{reason=\"listen\"} 1",
            "sidecache_saved_upstream_seconds 0.75",
            "sidecache_request_seconds_count{destination=\"memory\"} 3",
            "# HELP sidecache_requests_total",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("destination=\"memory\",outcome=\"write\""), "what never happened has no series");
    }

    #[test]
    fn scraping_twice_counts_nothing_twice() {
        let telemetry = Telemetry::new();
        telemetry.fill_stored();
        telemetry.render(&Observation::default());
        telemetry.fill_stored();
        assert!(telemetry.render(&Observation::default()).contains("sidecache_fills_stored_total 2"));
    }

    #[test]
    fn sessions_are_counted_while_they_live() {
        let telemetry = Telemetry::new();
        let first = telemetry.session();
        let second = telemetry.session();
        assert_eq!(telemetry.totals().sessions, 2);
        drop(first);
        assert_eq!(telemetry.totals().sessions, 1);
        drop(second);
        assert!(telemetry.render(&Observation::default()).contains("sidecache_sessions_begun_total 2"));
    }

    #[test]
    fn what_is_observed_becomes_gauges() {
        let telemetry = Telemetry::new();
        let observation = Observation {
            stream: "live",
            applied: 0x16_B374_D848,
            staleness: Some(Duration::from_millis(20)),
            retained_wal: 8192,
            entries: 3,
            bytes: 4096,
            cache: CacheObservation { coalesced: 4, shared_misses: vec![("absent", 2)], ..Default::default() },
            redis: Some(RedisObservation {
                state: "open",
                trouble: Some("unreachable"),
                times_opened: 1,
                written: 6,
                unwritten: vec![("queue_full", 5)],
                round_trip: Duration::from_millis(1),
            }),
            listening: ListeningObservation { connections: 1, sessions: 9 },
            servers: vec![ServerObservation {
                name: "replica-1".into(),
                up: true,
                lag_bytes: Some(12),
                outstanding: 1,
                statements: 5,
                pools: PoolsObservation { connections: 3, idle: 2, waiting: 1 },
            }],
            limits: LimitsObservation { pool_size: 20, max_clients: 100 },
        };
        let text = telemetry.render(&observation);
        for line in [
            "sidecache_stream_state{state=\"live\"} 1",
            "sidecache_staleness_seconds 0.02",
            "sidecache_retained_wal_bytes 8192",
            "sidecache_entries 3",
            "sidecache_entry_bytes 4096",
            "sidecache_server_lag_bytes{server=\"replica-1\"} 12",
            "sidecache_coalesced_total 4",
            "sidecache_shared_misses_total{reason=\"absent\"} 2",
            "sidecache_redis_state{state=\"open\"} 1",
            "sidecache_redis_unwritten_total{reason=\"queue_full\"} 5",
            "sidecache_redis_round_trip_seconds 0.001",
            "sidecache_server_statements_total{server=\"replica-1\"} 5",
            "sidecache_server_connections{server=\"replica-1\"} 3",
            "sidecache_server_connections_idle{server=\"replica-1\"} 2",
            "sidecache_server_waiting{server=\"replica-1\"} 1",
            "sidecache_max_clients 100",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let text = telemetry.render(&Observation { stream: "lost", ..Observation::default() });
        assert!(text.contains("sidecache_stream_state{state=\"live\"} 0"), "{text}");
        assert!(text.contains("sidecache_stream_state{state=\"lost\"} 1"), "{text}");
        assert!(text.contains("sidecache_staleness_seconds NaN"), "an unknown staleness is not a small one\n{text}");
    }
}
