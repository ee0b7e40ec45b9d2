//! Every metric, label and log format. Others return outcomes; this module knows what they are called outside, and
//! nothing else: not what a session or an entry is.
//!
//! A request costs a few atomic additions here: no name is formatted and no map is locked on its way. What
//! Prometheus reads is made from the counts when it asks.

mod export;
mod labelled;
pub mod logs;
mod names;

use self::export::Exporter;
use self::labelled::Labelled;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use self::export::{Observation, ServerObservation};

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The memory tier.
    Memory,
    /// The shared tier.
    Shared,
    Primary,
    Replica,
    /// Sidecache itself: its own settings, a deferred BEGIN.
    Sidecache,
}

impl Destination {
    const ALL: [Destination; 5] =
        [Destination::Memory, Destination::Shared, Destination::Primary, Destination::Replica, Destination::Sidecache];

    /// The name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Destination::Memory => "memory",
            Destination::Shared => "shared",
            Destination::Primary => "primary",
            Destination::Replica => "replica",
            Destination::Sidecache => "sidecache",
        }
    }
}

/// What became of a request, as the cache sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Served from an entry, whose fill had cost this much upstream.
    Hit { cost: Duration },
    /// Could have been served, was not there.
    Miss,
    /// The cache was not asked, for the reason with this label.
    Bypass(&'static str),
    /// It writes.
    Write,
}

impl Outcome {
    const LABELS: [&'static str; 4] = ["hit", "miss", "bypass", "write"];

    const fn index(self) -> usize {
        match self {
            Outcome::Hit { .. } => 0,
            Outcome::Miss => 1,
            Outcome::Bypass(_) => 2,
            Outcome::Write => 3,
        }
    }
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What the statement is: the stable label of its kind.
    pub kind: &'static str,
    pub destination: Destination,
    /// The name of the upstream server that ran it, if one did.
    pub server: Option<&'a str>,
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
    sessions: AtomicU64,
    sessions_begun: AtomicU64,
    saved_nanoseconds: AtomicU64,
    /// Statements by server: as many as are configured.
    servers: Vec<(String, AtomicU64)>,
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
    /// Counts from zero, with these upstream servers.
    pub fn new(servers: impl IntoIterator<Item = String>) -> Arc<Self> {
        Arc::new(Telemetry {
            exporter: Exporter::new(),
            requests: Labelled::new(),
            bypasses: Labelled::new(),
            fills_stored: AtomicU64::new(0),
            fills_refused: Labelled::new(),
            pins: Labelled::new(),
            passed_over: Labelled::new(),
            refused_clients: Labelled::new(),
            sessions: AtomicU64::new(0),
            sessions_begun: AtomicU64::new(0),
            saved_nanoseconds: AtomicU64::new(0),
            servers: servers.into_iter().map(|name| (name, AtomicU64::new(0))).collect(),
        })
    }

    /// A request ended.
    pub fn request(&self, record: &Record<'_>) {
        let cells = self.requests.cell(record.kind);
        cells[record.destination as usize][record.outcome.index()].fetch_add(1, Relaxed);
        match record.outcome {
            Outcome::Hit { cost } => _ = self.saved_nanoseconds.fetch_add(nanoseconds(cost), Relaxed),
            Outcome::Bypass(reason) => _ = self.bypasses.cell(reason).fetch_add(1, Relaxed),
            Outcome::Miss | Outcome::Write => {}
        }
        if let Some((_, statements)) = record.server.and_then(|name| self.servers.iter().find(|(n, _)| n == name)) {
            statements.fetch_add(1, Relaxed);
        }
        self.exporter.request(record.destination, record.total, record.upstream);
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

    /// Statements that this server was sent.
    pub fn statements(&self, server: &str) -> u64 {
        self.servers.iter().find(|(name, _)| name == server).map_or(0, |(_, count)| count.load(Relaxed))
    }

    /// The counts as numbers.
    pub fn totals(&self) -> Totals {
        let sum = |destination: Option<Destination>, outcome: usize| -> u64 {
            let of = |cells: &Cells| -> u64 {
                let rows = cells.iter().enumerate().filter(|(row, _)| destination.is_none_or(|d| d as usize == *row));
                rows.map(|(_, row)| row[outcome].load(Relaxed)).sum()
            };
            self.requests.iter().map(|(_, cells)| of(cells)).sum()
        };
        let list = |counts: &Labelled<AtomicU64>| counts.iter().map(|(label, n)| (label, n.load(Relaxed))).collect();
        Totals {
            hits_memory: sum(Some(Destination::Memory), 0),
            hits_shared: sum(Some(Destination::Shared), 0),
            misses: sum(None, 1),
            bypasses: list(&self.bypasses),
            writes: sum(None, 3),
            fills_stored: self.fills_stored.load(Relaxed),
            fills_refused: list(&self.fills_refused),
            pins: list(&self.pins),
            sessions: self.sessions.load(Relaxed),
            saved: Duration::from_nanos(self.saved_nanoseconds.load(Relaxed)),
        }
    }

    /// The text that Prometheus reads.
    pub fn render(&self, observation: &Observation) -> String {
        self.exporter.observe(observation);
        self.export_counts();
        self.exporter.render()
    }

    /// Folds the samples of histograms together: called every few seconds, or they pile up until the next scrape.
    pub fn upkeep(&self) {
        self.exporter.upkeep();
    }

    fn export_counts(&self) {
        let export = &self.exporter;
        for (kind, cells) in self.requests.iter() {
            for (destination, row) in Destination::ALL.into_iter().zip(cells) {
                for (outcome, count) in Outcome::LABELS.into_iter().zip(row) {
                    let labels = [("kind", kind), ("destination", destination.label()), ("outcome", outcome)];
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
        ];
        for (name, counts) in families {
            for (reason, count) in counts.iter() {
                export.counter(name, &[("reason", reason)], count.load(Relaxed));
            }
        }
        for (server, count) in &self.servers {
            export.counter(names::STATEMENTS, &[("server", server.as_str())], count.load(Relaxed));
        }
        export.counter(names::FILLS_STORED, &[], self.fills_stored.load(Relaxed));
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

    fn record(destination: Destination, outcome: Outcome) -> Record<'static> {
        let server = matches!(destination, Destination::Primary).then_some("primary");
        Record { kind: "read", destination, server, outcome, total: Duration::from_micros(30), upstream: None }
    }

    #[test]
    fn a_request_is_counted_once_under_its_names() {
        let telemetry = Telemetry::new(["primary".to_owned()]);
        let hit = Outcome::Hit { cost: Duration::from_millis(250) };
        telemetry.request(&record(Destination::Memory, hit));
        telemetry.request(&record(Destination::Memory, hit));
        telemetry.request(&record(Destination::Shared, hit));
        telemetry.request(&record(Destination::Primary, Outcome::Miss));
        telemetry.request(&record(Destination::Primary, Outcome::Bypass("volatile_function")));
        telemetry.request(&record(Destination::Primary, Outcome::Write));
        telemetry.fill_refused("suspect");
        telemetry.pinned("listen");
        let totals = telemetry.totals();
        assert_eq!((totals.hits_memory, totals.hits_shared, totals.misses, totals.writes), (2, 1, 1, 1));
        assert_eq!(totals.bypasses, [("volatile_function", 1)]);
        assert_eq!((totals.saved, telemetry.statements("primary")), (Duration::from_millis(750), 3));
        let text = telemetry.render(&Observation::default());
        for line in [
            "sidecache_requests_total{kind=\"read\",destination=\"memory\",outcome=\"hit\"} 2",
            "sidecache_bypasses_total{reason=\"volatile_function\"} 1",
            "sidecache_fills_refused_total{reason=\"suspect\"} 1",
            "sidecache_pins_total{reason=\"listen\"} 1",
            "sidecache_server_statements_total{server=\"primary\"} 3",
            "sidecache_saved_upstream_seconds 0.75",
            "sidecache_request_seconds_count{destination=\"memory\"} 2",
            "# HELP sidecache_requests_total",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("destination=\"memory\",outcome=\"write\""), "what never happened has no series");
    }

    #[test]
    fn scraping_twice_counts_nothing_twice() {
        let telemetry = Telemetry::new([]);
        telemetry.fill_stored();
        telemetry.render(&Observation::default());
        telemetry.fill_stored();
        assert!(telemetry.render(&Observation::default()).contains("sidecache_fills_stored_total 2"));
    }

    #[test]
    fn sessions_are_counted_while_they_live() {
        let telemetry = Telemetry::new([]);
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
        let telemetry = Telemetry::new([]);
        let observation = Observation {
            stream: "live",
            applied: 0x16_B374_D848,
            staleness: Some(Duration::from_millis(20)),
            entries: 3,
            bytes: 4096,
            servers: vec![ServerObservation {
                name: "replica-1".into(),
                up: true,
                lag_bytes: Some(12),
                outstanding: 1,
            }],
        };
        let text = telemetry.render(&observation);
        for line in [
            "sidecache_stream_state{state=\"live\"} 1",
            "sidecache_staleness_seconds 0.02",
            "sidecache_entries 3",
            "sidecache_entry_bytes 4096",
            "sidecache_server_lag_bytes{server=\"replica-1\"} 12",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let text = telemetry.render(&Observation { stream: "lost", ..Observation::default() });
        assert!(text.contains("sidecache_stream_state{state=\"live\"} 0"), "{text}");
        assert!(text.contains("sidecache_stream_state{state=\"lost\"} 1"), "{text}");
        assert!(text.contains("sidecache_staleness_seconds NaN"), "an unknown staleness is not a small one\n{text}");
    }
}
