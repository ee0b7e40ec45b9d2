//! What this instance is and does at one moment, and what is said of it: ready or why not, and `/status`. Pure: who
//! asks brings the picture.

use crate::telemetry::{
    CacheObservation, LimitsObservation, ListeningObservation, Observation, PoolsObservation, RedisObservation,
    ServerObservation, Totals,
};
use crate::types::Lsn;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// One upstream server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPicture {
    pub name: String,
    /// `primary`, `replica` or `unknown`, as observed.
    pub role: &'static str,
    pub zone: Option<String>,
    /// `ready`, or the label of why it takes nothing now.
    pub state: &'static str,
    pub lag_bytes: Option<u64>,
    pub outstanding: u64,
    pub statements: u64,
    pub pools: PoolsObservation,
}

/// One moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub epoch: String,
    /// The label of the stream's state.
    pub stream: &'static str,
    /// Why it is in that state, where there is a why, for people.
    pub stream_reason: Option<String>,
    pub applied: Lsn,
    pub staleness: Option<Duration>,
    /// Bytes of WAL that the primary keeps for the stream.
    pub retained_wal: u64,
    /// How often the catalog was compared with the primary's, and how often it was loaded.
    pub catalog: (u64, u64),
    /// `on`, `off` or `shadow`.
    pub mode: &'static str,
    /// What hits are held against: `stream`, `ttl` or `none`.
    pub basis: &'static str,
    pub entries: u64,
    pub bytes: u64,
    pub cache: CacheObservation,
    pub redis: Option<RedisObservation>,
    pub servers: Vec<ServerPicture>,
    pub listening: ListeningObservation,
    pub limits: LimitsObservation,
    pub totals: Totals,
    pub readiness: Readiness,
    pub reload: ReloadPicture,
    /// Sessions wait for connections because an operator wants it.
    pub paused: bool,
}

/// What became of reading settings anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadPicture {
    /// How often it was done since the start.
    pub done: u64,
    /// Why the last attempt changed nothing.
    pub error: Option<String>,
    /// The settings that were changed in the sources and count after a restart only.
    pub restart_needed: Vec<&'static str>,
}

/// Whether clients should be sent here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// The primary has not been reached since the start.
    PrimaryNotReached,
    /// The cache is on and it is not known yet whether changes can be heard.
    StreamNotSettled(&'static str),
    /// The server that led is in recovery, and no other is known to take writes.
    NobodyTakesWrites,
    /// The server that would lead is an old primary, and the one that succeeded it is not heard.
    Overtaken,
    /// The process ends.
    Draining,
}

impl Readiness {
    /// The reason, in a line.
    pub fn reason(&self) -> String {
        match self {
            Readiness::Ready => "ready".to_owned(),
            Readiness::PrimaryNotReached => "the primary has not been reached yet".to_owned(),
            Readiness::StreamNotSettled(state) => format!("the stream of changes is not settled yet: {state}"),
            Readiness::NobodyTakesWrites => "the primary is in recovery, and no other server takes writes".to_owned(),
            Readiness::Overtaken => {
                "the primary is an old one: a replica follows a later timeline, and no server that takes writes there is \
                 reached"
                    .to_owned()
            }
            Readiness::Draining => "draining".to_owned(),
        }
    }
}

impl Picture {
    /// What Prometheus is told beside the counts.
    pub fn observation(&self) -> Observation {
        Observation {
            stream: self.stream,
            applied: self.applied.bytes(),
            staleness: self.staleness,
            retained_wal: self.retained_wal,
            entries: self.entries,
            bytes: self.bytes,
            cache: self.cache.clone(),
            redis: self.redis.clone(),
            listening: self.listening,
            limits: self.limits,
            servers: self
                .servers
                .iter()
                .map(|server| ServerObservation {
                    name: server.name.clone(),
                    up: server.state != "unreachable",
                    lag_bytes: server.lag_bytes,
                    outstanding: server.outstanding,
                    statements: server.statements,
                    pools: server.pools,
                })
                .collect(),
        }
    }

    /// The body of `/status`. Its names are stable: tools read them.
    pub fn status(&self) -> Value {
        let totals = &self.totals;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.readiness == Readiness::Ready,
            "readiness": self.readiness.reason(),
            "epoch": self.epoch,
            "stream": {
                "state": self.stream,
                "reason": self.stream_reason,
                "applied_lsn": self.applied.to_string(),
                "staleness_ms": self.staleness.map(|s| s.as_secs_f64() * 1e3),
                "retained_wal_bytes": self.retained_wal,
            },
            "catalog": { "verifications": self.catalog.0, "loads": self.catalog.1 },
            "cache": {
                "mode": self.mode,
                "basis": self.basis,
                "hits": totals.hits_memory + totals.hits_shared,
                "hits_by_tier": { "memory": totals.hits_memory, "shared": totals.hits_shared },
                "hits_ttl": totals.hits_ttl,
                "misses": totals.misses,
                "bypasses": counts(&totals.bypasses),
                "fills_stored": totals.fills_stored,
                "fills_refused": counts(&totals.fills_refused),
                "entries": self.entries,
                "bytes": self.bytes,
                "evicted": self.cache.evicted,
                "died": self.cache.died,
                "died_unserved": self.cache.died_unserved,
                "coalesced": self.cache.coalesced,
                "shared_misses": counts(&self.cache.shared_misses),
            },
            "redis": self.redis.as_ref().map(redis),
            "servers": self.servers.iter().map(server).collect::<Vec<_>>(),
            "sessions": totals.sessions,
            "listening": { "connections": self.listening.connections, "sessions": self.listening.sessions },
            "limits": { "pool_size": self.limits.pool_size, "max_clients": self.limits.max_clients },
            "writes": totals.writes,
            "pins": counts(&totals.pins),
            "paused": self.paused,
            "reload": {
                "done": self.reload.done,
                "error": self.reload.error,
                "restart_needed": self.reload.restart_needed,
            },
            "saved": { "upstream_seconds": totals.saved.as_secs_f64() },
        })
    }
}

fn server(server: &ServerPicture) -> Value {
    json!({
        "name": server.name,
        "role": server.role,
        "zone": server.zone,
        "state": server.state,
        "lag_bytes": server.lag_bytes,
        "outstanding": server.outstanding,
        "statements": server.statements,
        "connections": server.pools.connections,
        "idle": server.pools.idle,
        "waiting": server.pools.waiting,
    })
}

fn redis(redis: &RedisObservation) -> Value {
    json!({
        "state": redis.state,
        "trouble": redis.trouble,
        "times_opened": redis.times_opened,
        "written": redis.written,
        "unwritten": counts(&redis.unwritten),
        "round_trip_ms": redis.round_trip.as_secs_f64() * 1e3,
    })
}

fn counts(list: &[(&'static str, u64)]) -> Value {
    Value::Object(list.iter().map(|(label, count)| ((*label).to_owned(), json!(count))).collect::<Map<_, _>>())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    pub fn picture() -> Picture {
        Picture {
            epoch: "00000000000000ff".into(),
            stream: "live",
            stream_reason: None,
            applied: Lsn::new(0x16_B374_D848),
            staleness: Some(Duration::from_micros(1500)),
            retained_wal: 4096,
            catalog: (5, 2),
            mode: "on",
            basis: "stream",
            entries: 2,
            bytes: 900,
            cache: CacheObservation { coalesced: 3, ..CacheObservation::default() },
            redis: None,
            servers: vec![ServerPicture {
                name: "primary".into(),
                role: "primary",
                zone: Some("a".into()),
                state: "ready",
                lag_bytes: None,
                outstanding: 1,
                statements: 7,
                pools: PoolsObservation { connections: 2, idle: 1, waiting: 0 },
            }],
            listening: ListeningObservation::default(),
            limits: LimitsObservation { pool_size: 20, max_clients: 100 },
            totals: Telemetry::new().totals(),
            readiness: Readiness::Ready,
            reload: ReloadPicture::default(),
            paused: false,
        }
    }

    #[test]
    fn status_has_the_names_that_tools_read() {
        let mut picture = picture();
        picture.totals.hits_memory = 3;
        picture.totals.hits_shared = 1;
        picture.totals.bypasses = vec![("locking", 2)];
        picture.totals.saved = Duration::from_millis(1500);
        let status = picture.status();
        for (pointer, value) in [
            ("/version", json!(env!("CARGO_PKG_VERSION"))),
            ("/epoch", json!("00000000000000ff")),
            ("/stream/state", json!("live")),
            ("/stream/applied_lsn", json!("16/B374D848")),
            ("/stream/staleness_ms", json!(1.5)),
            ("/stream/retained_wal_bytes", json!(4096)),
            ("/cache/hits", json!(4)),
            ("/cache/misses", json!(0)),
            ("/cache/bypasses", json!({"locking": 2})),
            ("/cache/entries", json!(2)),
            ("/cache/bytes", json!(900)),
            ("/cache/mode", json!("on")),
            ("/catalog/verifications", json!(5)),
            ("/catalog/loads", json!(2)),
            ("/cache/basis", json!("stream")),
            ("/cache/coalesced", json!(3)),
            ("/redis", Value::Null),
            ("/servers/0/role", json!("primary")),
            ("/servers/0/zone", json!("a")),
            ("/servers/0/state", json!("ready")),
            ("/servers/0/lag_bytes", Value::Null),
            ("/servers/0/statements", json!(7)),
            ("/servers/0/connections", json!(2)),
            ("/servers/0/idle", json!(1)),
            ("/servers/0/waiting", json!(0)),
            ("/limits/max_clients", json!(100)),
            ("/sessions", json!(0)),
            ("/listening/connections", json!(0)),
            ("/paused", json!(false)),
            ("/reload/error", Value::Null),
            ("/saved/upstream_seconds", json!(1.5)),
        ] {
            assert_eq!(status.pointer(pointer), Some(&value), "{pointer}");
        }
    }

    #[test]
    fn an_unknown_staleness_is_null_and_not_zero() {
        let picture = Picture { staleness: None, ..picture() };
        assert_eq!(picture.status().pointer("/stream/staleness_ms"), Some(&Value::Null));
    }
}
