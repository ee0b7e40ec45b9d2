//! The tables of SHOW that PgBouncer does not have: where statements went and why, what the cache refuses, how the replicas and
//! the stream are. Statements are shown without their literals.

use super::show::{micros, number, some, text};
use crate::route::book::{Book, Route};
use crate::route::destination::{Passed, Reason};
use crate::session::Shared;
use crate::session::console::{Cell, Table};
use crate::sql::fingerprint::Fingerprint;
use crate::telemetry::Telemetry;
use crate::types::Moment;
use crate::upstream::Upstream;
use std::collections::BTreeMap;
use std::time::Duration;

fn millis(length: Duration) -> Cell {
    number(length.as_millis())
}

fn passed_over(passed: &Passed, upstream: &Upstream) -> Cell {
    let name = |at: usize| upstream.servers().nth(at).map_or("replica", |server| server.name());
    let all: Vec<String> = passed.iter().map(|(at, why)| format!("{}={}", name(at), why.label())).collect();
    if all.is_empty() { Cell::Null } else { text(all.join(",")) }
}

/// The ways that statements took, the latest first. What was passed over is told of the last of each.
pub fn routes(book: &Book, upstream: &Upstream) -> Table {
    let columns = vec![
        "fingerprint",
        "statement",
        "destination",
        "reason",
        "rule",
        "passed_over",
        "count",
        "avg_us",
        "seconds_ago",
    ];
    let now = Moment::now();
    let row = |route: Route| {
        vec![
            text(route.fingerprint),
            text(&route.shape),
            text(&route.server),
            text(route.reason.label()),
            match route.reason {
                Reason::Rule(rule) => number(rule),
                _ => Cell::Null,
            },
            passed_over(&route.passed, upstream),
            number(route.count),
            micros(average(route.took, route.count)),
            number(now.since(route.last).as_secs()),
        ]
    };
    Table { columns, rows: book.routes().into_iter().map(row).collect() }
}

fn average(took: Duration, count: u64) -> Duration {
    u32::try_from(count).ok().and_then(|count| took.checked_div(count)).unwrap_or_default()
}

/// What statements cost the servers, the dearest first, and what keeps each from being a hit. Hits are not among them: what
/// counts them would be shared by all sessions.
pub fn queries(book: &Book) -> Table {
    let columns = vec!["fingerprint", "statement", "outcome", "count", "total_us", "avg_us"];
    let mut sums: BTreeMap<(Fingerprint, &str), (String, u64, Duration)> = BTreeMap::new();
    for route in book.routes() {
        let sum = sums.entry((route.fingerprint, route.outcome)).or_insert((route.shape, 0, Duration::ZERO));
        sum.1 += route.count;
        sum.2 += route.took;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (_, _, took))| std::cmp::Reverse(*took));
    let row = |((fingerprint, outcome), (shape, count, took)): ((Fingerprint, &str), (String, u64, Duration))| {
        vec![text(fingerprint), text(shape), text(outcome), number(count), micros(took), micros(average(took, count))]
    };
    Table { columns, rows: sums.into_iter().map(row).collect() }
}

/// Every server, since each may become a replica or the primary.
pub fn replicas(upstream: &Upstream) -> Table {
    let columns = vec![
        "name",
        "address",
        "role",
        "zone",
        "state",
        "lag_bytes",
        "lag_ms",
        "latency_us",
        "outstanding",
        "statements",
        "connections",
    ];
    let row = |server: &std::sync::Arc<crate::upstream::Server>| {
        let status = server.status();
        vec![
            text(status.name),
            text(status.address),
            text(status.role.label()),
            some(status.zone),
            text(status.state.label()),
            status.lag_bytes.map_or(Cell::Null, number),
            status.lag.map_or(Cell::Null, millis),
            if status.latency.is_zero() { Cell::Null } else { micros(status.latency) },
            number(status.outstanding),
            number(status.statements),
            number(status.connections),
        ]
    };
    Table { columns, rows: upstream.servers().map(row).collect() }
}

/// Why statements were not served from the cache, why answers were not stored, and why sessions keep their connections.
pub fn refusals(telemetry: &Telemetry) -> Table {
    let totals = telemetry.totals();
    let of = |kind: &'static str, counts: Vec<(&'static str, u64)>| {
        let mut counts = counts;
        counts.retain(|(_, count)| *count > 0);
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(move |(reason, count)| vec![text(kind), text(reason), number(count)])
    };
    let rows = of("bypass", totals.bypasses).chain(of("fill", totals.fills_refused)).chain(of("pin", totals.pins));
    Table { columns: vec!["kind", "reason", "count"], rows: rows.collect() }
}

/// The cache's own numbers, a row each.
pub fn cache(shared: &Shared) -> Table {
    let totals = shared.telemetry.totals();
    let mut rows = vec![
        ("hits_memory", totals.hits_memory),
        ("hits_shared", totals.hits_shared),
        ("hits_ttl", totals.hits_ttl),
        ("misses", totals.misses),
        ("fills_stored", totals.fills_stored),
        ("saved_upstream_ms", u64::try_from(totals.saved.as_millis()).unwrap_or(u64::MAX)),
    ];
    if let Some(cache) = &shared.cache {
        let stats = cache.stats();
        rows.extend([
            ("entries", cache.entries()),
            ("bytes", cache.bytes()),
            ("evicted", cache.evicted()),
            ("died", stats.died()),
            ("coalesced", stats.coalesced()),
            ("fills_running", cache.fills() as u64),
        ]);
    }
    Table {
        columns: vec!["name", "value"],
        rows: rows.into_iter().map(|(name, value)| vec![text(name), number(value)]).collect(),
    }
}

/// The stream of changes, in one row.
pub fn stream(shared: &Shared) -> Table {
    let state = shared.feed.as_ref().map(crate::feed::Feed::state);
    let row = vec![
        text(state.as_ref().map_or("off", |state| state.label())),
        some(state.filter(|state| state.reason().is_some()).map(|state| state.to_string())),
        text(shared.coherence.epoch()),
        text(shared.coherence.position()),
        shared.coherence.staleness(Moment::now()).map_or(Cell::Null, millis),
        millis(shared.config.staleness),
    ];
    Table { columns: vec!["state", "reason", "epoch", "applied_lsn", "staleness_ms", "bound_ms"], rows: vec![row] }
}
