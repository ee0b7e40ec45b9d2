//! Towards Prometheus: histograms that are recorded as they happen, and the recorder, to which counts and gauges are
//! handed over when a scrape asks. The recorder is this object's own and not the process's, so tests have many.

use super::DESTINATIONS;
use super::histogram::{self, Histogram};
use super::names::{self, Name};
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::time::Duration;

/// What others know at the moment of a scrape.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The label of the stream's state.
    pub stream: &'static str,
    /// Bytes of WAL up to which changes were heard.
    pub applied: u64,
    /// How far behind hits may be, if they are served.
    pub staleness: Option<Duration>,
    /// Bytes of WAL that the primary keeps for the stream.
    pub retained_wal: u64,
    pub entries: u64,
    pub bytes: u64,
    pub cache: CacheObservation,
    /// None where no shared tier is configured.
    pub redis: Option<RedisObservation>,
    pub servers: Vec<ServerObservation>,
    pub listening: ListeningObservation,
    pub limits: LimitsObservation,
}

/// What pools and sessions may come to, as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsObservation {
    pub pool_size: usize,
    pub max_clients: usize,
}

/// How full the pools of one server are, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolsObservation {
    /// Open or being opened.
    pub connections: usize,
    pub idle: usize,
    /// Sessions, for one of them.
    pub waiting: usize,
}

/// Who listens, and on how many connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListeningObservation {
    pub connections: usize,
    pub sessions: usize,
}

/// What the cache counted about itself since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheObservation {
    pub coalesced: u64,
    pub died: u64,
    pub died_unserved: u64,
    pub evicted: u64,
    /// Why the shared tier gave no hit, by label.
    pub shared_misses: Vec<(&'static str, u64)>,
}

/// What is known of the shared tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisObservation {
    /// The breaker's: `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// The label of the last thing that went wrong.
    pub trouble: Option<&'static str>,
    pub times_opened: u64,
    pub written: u64,
    pub unwritten: Vec<(&'static str, u64)>,
    pub round_trip: Duration,
}

/// What is known of one upstream server.
#[derive(Debug, Clone)]
pub struct ServerObservation {
    pub name: String,
    pub up: bool,
    pub lag_bytes: Option<u64>,
    pub outstanding: u64,
    pub statements: u64,
    pub pools: PoolsObservation,
}

static METADATA: Metadata<'static> = Metadata::new("sidecache", Level::INFO, None);

/// How many, and how long together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub requests: u64,
    pub requests_took: Duration,
    pub waits: u64,
    pub waits_took: Duration,
}

pub struct Exporter {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    request: [Histogram; DESTINATIONS.len()],
    upstream: [Histogram; DESTINATIONS.len()],
    pool_wait: Histogram,
    /// Every state that the stream was seen in, so that those it left are shown as 0.
    states: Mutex<BTreeSet<&'static str>>,
    /// The same of Redis's breaker.
    redis_states: Mutex<BTreeSet<&'static str>>,
}

impl Exporter {
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for name in names::COUNTERS {
            recorder.describe_counter(name.name.into(), None, name.help.into());
        }
        for name in names::GAUGES {
            recorder.describe_gauge(name.name.into(), None, name.help.into());
        }
        Exporter {
            request: Default::default(),
            upstream: Default::default(),
            pool_wait: Histogram::default(),
            states: Mutex::default(),
            redis_states: Mutex::default(),
            handle: recorder.handle(),
            recorder,
        }
    }

    pub fn request(&self, destination: usize, total: Duration, upstream: Option<Duration>) {
        self.request[destination].record(total);
        if let Some(upstream) = upstream {
            self.upstream[destination].record(upstream);
        }
    }

    pub fn pool_wait(&self, waited: Duration) {
        self.pool_wait.record(waited);
    }

    /// Of all requests, and of all waits for connections.
    pub fn times(&self) -> Times {
        let all = self.request.iter().map(Histogram::total);
        let (requests, requests_took) = all.fold((0, Duration::ZERO), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let (waits, waits_took) = self.pool_wait.total();
        Times { requests, requests_took, waits, waits_took }
    }

    pub fn counter(&self, name: Name, labels: &[(&'static str, &str)], value: u64) {
        self.recorder.register_counter(&key(name, labels), &METADATA).absolute(value);
    }

    pub fn gauge(&self, name: Name, labels: &[(&'static str, &str)], value: f64) {
        self.recorder.register_gauge(&key(name, labels), &METADATA).set(value);
    }

    pub fn observe(&self, seen: &Observation) {
        self.state(names::STREAM_STATE, &self.states, seen.stream);
        self.gauge(names::APPLIED, &[], seen.applied as f64);
        self.gauge(names::STALENESS, &[], seen.staleness.map_or(f64::NAN, |s| s.as_secs_f64()));
        self.gauge(names::RETAINED_WAL, &[], seen.retained_wal as f64);
        self.gauge(names::ENTRIES, &[], seen.entries as f64);
        self.gauge(names::ENTRY_BYTES, &[], seen.bytes as f64);
        self.gauge(names::LISTENING_CONNECTIONS, &[], seen.listening.connections as f64);
        self.gauge(names::LISTENING_SESSIONS, &[], seen.listening.sessions as f64);
        self.gauge(names::POOL_SIZE, &[], seen.limits.pool_size as f64);
        self.gauge(names::MAX_CLIENTS, &[], seen.limits.max_clients as f64);
        self.cache(&seen.cache);
        if let Some(redis) = &seen.redis {
            self.redis(redis);
        }
        for server in &seen.servers {
            let labels = [("server", server.name.as_str())];
            self.gauge(names::SERVER_UP, &labels, f64::from(u8::from(server.up)));
            self.gauge(names::SERVER_LAG, &labels, server.lag_bytes.map_or(f64::NAN, |lag| lag as f64));
            self.gauge(names::SERVER_OUTSTANDING, &labels, server.outstanding as f64);
            self.gauge(names::SERVER_CONNECTIONS, &labels, server.pools.connections as f64);
            self.gauge(names::SERVER_IDLE, &labels, server.pools.idle as f64);
            self.gauge(names::SERVER_WAITING, &labels, server.pools.waiting as f64);
            self.counter(names::STATEMENTS, &labels, server.statements);
        }
    }

    fn state(&self, name: Name, seen: &Mutex<BTreeSet<&'static str>>, now: &'static str) {
        let mut seen = seen.lock();
        seen.insert(now);
        for state in seen.iter() {
            self.gauge(name, &[("state", state)], f64::from(u8::from(*state == now)));
        }
    }

    fn reasons(&self, name: Name, counts: &[(&'static str, u64)]) {
        for (reason, count) in counts {
            self.counter(name, &[("reason", reason)], *count);
        }
    }

    fn cache(&self, cache: &CacheObservation) {
        self.counter(names::COALESCED, &[], cache.coalesced);
        self.counter(names::DIED, &[], cache.died);
        self.counter(names::DIED_UNSERVED, &[], cache.died_unserved);
        self.counter(names::EVICTED, &[], cache.evicted);
        self.reasons(names::SHARED_MISSES, &cache.shared_misses);
    }

    fn redis(&self, redis: &RedisObservation) {
        self.state(names::REDIS_STATE, &self.redis_states, redis.state);
        self.counter(names::REDIS_OPENED, &[], redis.times_opened);
        self.counter(names::REDIS_WRITTEN, &[], redis.written);
        self.reasons(names::REDIS_UNWRITTEN, &redis.unwritten);
        self.gauge(names::REDIS_ROUND_TRIP, &[], redis.round_trip.as_secs_f64());
    }

    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        for (name, all) in [(names::REQUEST_SECONDS, &self.request), (names::UPSTREAM_SECONDS, &self.upstream)] {
            histogram::render(&mut text, name, "destination", DESTINATIONS.into_iter().map(Some).zip(all));
        }
        histogram::render(&mut text, names::POOL_WAIT_SECONDS, "", [(None, &self.pool_wait)]);
        text
    }
}

fn key(name: Name, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(label, value)| Label::new(*label, (*value).to_owned())).collect();
    Key::from_parts(name.name, labels)
}
