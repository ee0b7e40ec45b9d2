//! One phase of the demo: the workload against some URLs for some seconds, watched every second, judged at its end.

use crate::harness::cluster::Cluster;
use crate::harness::http;
use crate::harness::sidecache::Sidecache;
use crate::invariants::{History, Violation, bounded_staleness, monotonic_reads, read_your_writes};
use crate::meter::{Meter, Snapshot};
use crate::report::live;
use crate::workload::{Session, beside, browse};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_postgres::Error;

/// Sessions that browse at a time.
pub const SESSIONS: u32 = 16;

/// What Sidecache's cache says of itself, summed over instances.
#[derive(Clone, Default)]
pub struct Counts {
    /// By tier.
    pub hits: BTreeMap<String, u64>,
    pub misses: u64,
    pub bypasses: u64,
}

impl Counts {
    /// Asks every instance; one that does not answer counts nothing.
    fn ask(instances: &[SocketAddr]) -> Counts {
        let mut counts = Counts::default();
        for instance in instances {
            let status = http::get(*instance, "/status").and_then(|(_, body)| serde_json::from_str(&body).ok());
            let cache = status.as_ref().map_or(&Value::Null, |status: &Value| &status["cache"]);
            for (tier, hits) in cache["hits_by_tier"].as_object().into_iter().flatten() {
                *counts.hits.entry(tier.clone()).or_default() += sum(hits);
            }
            counts.misses += sum(&cache["misses"]);
            counts.bypasses += sum(&cache["bypasses"]);
        }
        counts
    }

    pub fn since(&self, earlier: &Counts) -> Counts {
        let before = |tier| earlier.hits.get(tier).copied().unwrap_or(0);
        Counts {
            hits: self.hits.iter().map(|(tier, n)| (tier.clone(), n.saturating_sub(before(tier)))).collect(),
            misses: self.misses.saturating_sub(earlier.misses),
            bypasses: self.bypasses.saturating_sub(earlier.bypasses),
        }
    }

    /// Hits of all that asked the cache or passed it by.
    pub fn hit_share(&self) -> Option<f64> {
        let hits: u64 = self.hits.values().sum();
        let all = hits + self.misses + self.bypasses;
        (all > 0).then(|| hits as f64 / all as f64)
    }
}

fn sum(value: &Value) -> u64 {
    match value {
        Value::Object(parts) => parts.values().map(sum).sum(),
        other => other.as_u64().unwrap_or(0),
    }
}

/// What a phase gave.
pub struct Outcome {
    pub elapsed: Duration,
    pub latency: Snapshot,
    pub staleness: Snapshot,
    pub writes: u64,
    pub errors: u64,
    pub counts: Option<Counts>,
    pub cpu: Cpu,
    pub checked: usize,
    pub violations: Vec<Violation>,
}

/// CPU time used.
#[derive(Clone, Copy)]
pub struct Cpu {
    pub primary: Duration,
    pub replicas: Duration,
    pub sidecaches: Duration,
}

impl Cpu {
    fn so_far(cluster: &Cluster, sidecaches: &[Sidecache]) -> Cpu {
        let (primary, replicas) = cluster.cpu();
        Cpu { primary, replicas, sidecaches: sidecaches.iter().map(Sidecache::cpu).sum() }
    }

    fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            primary: self.primary - earlier.primary,
            replicas: self.replicas - earlier.replicas,
            sidecaches: self.sidecaches - earlier.sidecaches,
        }
    }
}

/// What a phase is run on.
pub struct Phase<'a> {
    pub name: &'static str,
    pub cluster: &'a Cluster,
    /// Empty for the direct phase.
    pub sidecaches: &'a [Sidecache],
    pub database: &'a str,
    pub seed: u64,
    pub length: Duration,
    /// The level's bound on staleness.
    pub bound: Duration,
}

impl Phase<'_> {
    /// Runs it.
    pub async fn run(self) -> Result<Outcome, Error> {
        let direct = self.cluster.primary_url("app", self.database);
        let mut urls: Vec<String> = self.sidecaches.iter().map(|s| s.url("app")).collect();
        if urls.is_empty() {
            urls.push(direct.clone());
        }
        let instances: Vec<SocketAddr> = self.sidecaches.iter().map(Sidecache::http).collect();
        let meter = Arc::new(Meter::new());
        let start = Instant::now();
        let mut sessions = Vec::new();
        for id in 0..SESSIONS {
            sessions.push(Session::connect(&urls[id as usize % urls.len()], id, start).await?);
        }
        let writer = Session::connect(&direct, SESSIONS, start).await?;
        let mut probes = Vec::new();
        for (id, url) in (SESSIONS + 1..).zip(&urls) {
            probes.push(Session::connect(url, id, start).await?);
        }

        let cpu = Cpu::so_far(self.cluster, self.sidecaches);
        let counts = ask(&instances).await;
        let began = Instant::now();
        let end = began + self.length;
        let mut work = JoinSet::new();
        for (seed, session) in (self.seed..).zip(sessions) {
            let meter = Arc::clone(&meter);
            work.spawn(async move { vec![browse(session, seed, meter, end).await] });
        }
        work.spawn(beside(writer, probes, self.seed ^ 0xBE51DE, Arc::clone(&meter), end));
        watch(self.name, &meter, &instances, &counts, end).await;

        let mut history = History::default();
        while let Some(sessions) = work.join_next().await {
            for session in sessions.expect("a session of ours does not panic") {
                history.reads.extend(session.reads);
                history.writes.extend(session.writes);
            }
        }
        let elapsed = began.elapsed();
        let cpu = Cpu::so_far(self.cluster, self.sidecaches).since(cpu);
        let counts = ask(&instances).await.since(&counts);
        let bound = u64::try_from(self.bound.as_micros()).unwrap_or(u64::MAX);
        let broken = [read_your_writes(&history), monotonic_reads(&history), bounded_staleness(&history, bound)];
        Ok(Outcome {
            elapsed,
            latency: meter.latency.snapshot(),
            staleness: meter.staleness.snapshot(),
            writes: meter.writes.load(Ordering::Relaxed),
            errors: meter.errors.load(Ordering::Relaxed),
            counts: (!instances.is_empty()).then_some(counts),
            cpu,
            checked: history.reads.len(),
            violations: broken.concat(),
        })
    }
}

async fn ask(instances: &[SocketAddr]) -> Counts {
    let instances = instances.to_vec();
    tokio::task::spawn_blocking(move || Counts::ask(&instances)).await.unwrap_or_default()
}

/// A line every second until the end.
async fn watch(name: &str, meter: &Meter, instances: &[SocketAddr], counts: &Counts, end: Instant) {
    let start = Instant::now();
    let (mut before, mut counted, mut last) = (meter.latency.snapshot(), counts.clone(), start);
    while last + Duration::from_millis(500) < end {
        tokio::time::sleep_until((last + Duration::from_secs(1)).min(end).into()).await;
        let (now, counts, at) = (meter.latency.snapshot(), ask(instances).await, Instant::now());
        let second = now.since(&before);
        let rate = second.count() as f64 / (at - last).as_secs_f64();
        let staleness = meter.staleness.snapshot();
        let hits = counts.since(&counted).hit_share();
        live(name, (at - start).as_secs_f64(), rate, &second, hits, &staleness);
        (before, counted, last) = (now, counts, at);
    }
}
