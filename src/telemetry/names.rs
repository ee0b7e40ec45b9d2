//! What metrics are called, and what each means to who reads it.

/// A metric's name and meaning.
#[derive(Clone, Copy)]
pub struct Name {
    pub name: &'static str,
    pub help: &'static str,
}

const fn name(name: &'static str, help: &'static str) -> Name {
    Name { name, help }
}

// Counters.
pub const REQUESTS: Name = name(
    "sidecache_requests_total",
    "Requests by protocol (simple, extended; ttl for hits by the clock), by who answered (memory, shared, primary, replica, sidecache) and by what the cache made of it.",
);
pub const BYPASSES: Name = name("sidecache_bypasses_total", "Requests for which the cache was not asked, by reason.");
pub const FILLS_STORED: Name = name("sidecache_fills_stored_total", "Answers that were stored.");
pub const FILLS_REFUSED: Name = name("sidecache_fills_refused_total", "Answers that were not stored, by reason.");
pub const PINS: Name = name("sidecache_pins_total", "Sessions that were pinned to one connection, by reason.");
pub const PASSED_OVER: Name = name("sidecache_replicas_passed_over_total", "Reads a replica did not get, by reason.");
pub const CLIENTS_REFUSED: Name =
    name("sidecache_clients_refused_total", "Clients turned away before their session began, by reason.");
pub const PROOFS_FAILED: Name = name(
    "sidecache_authentication_failures_total",
    "Attempts to log in that failed or were not looked at because of earlier failures, by reason.",
);
pub const POOL_TIMEOUTS: Name = name(
    "sidecache_pool_timeouts_total",
    "Statements that failed with 53300: no connection became free within pool_timeout.",
);
pub const QUERY_TIMEOUTS: Name =
    name("sidecache_query_timeouts_total", "Requests that were cancelled, since they took longer than query_timeout.");
pub const SESSIONS_BEGUN: Name = name(
    "sidecache_sessions_begun_total",
    "Connections of clients that were taken, those included that never became sessions.",
);
pub const STATEMENTS: Name = name("sidecache_server_statements_total", "Requests sent to each upstream server.");
pub const COALESCED: Name = name(
    "sidecache_coalesced_total",
    "Requests that waited for another's fill of the same key instead of asking upstream.",
);
pub const DIED: Name = name("sidecache_entries_died_total", "Entries found to be overtaken by a change.");
pub const DIED_UNSERVED: Name = name(
    "sidecache_entries_died_unserved_total",
    "Those of them that had never been served: fills that saved nothing.",
);
pub const EVICTED: Name = name("sidecache_entries_evicted_total", "Entries that went from memory for want of room.");
pub const SHARED_MISSES: Name = name("sidecache_shared_misses_total", "Why the shared tier gave no hit, by reason.");
pub const REDIS_OPENED: Name = name(
    "sidecache_redis_breaker_opened_total",
    "How often Redis failed so that it was not asked any more until it answered again; away from the start counts once.",
);
pub const REDIS_WRITTEN: Name = name("sidecache_redis_written_total", "Entries written to Redis.");
pub const REDIS_UNWRITTEN: Name = name("sidecache_redis_unwritten_total", "Entries not written to Redis, by reason.");

// Gauges.
pub const SESSIONS: Name = name("sidecache_sessions", "Sessions now.");
pub const LISTENING_CONNECTIONS: Name = name(
    "sidecache_listening_connections",
    "Connections to the primary that listen for many sessions: one for each account and database, beside the pools.",
);
pub const LISTENING_SESSIONS: Name =
    name("sidecache_listening_sessions", "Sessions that listen without a connection of their own.");
pub const SAVED: Name = name(
    "sidecache_saved_upstream_seconds",
    "Upstream time that hits saved: for each, what its fill had cost. Only grows.",
);
pub const STREAM_STATE: Name = name("sidecache_stream_state", "1 for the state that the stream of changes is in.");
pub const APPLIED: Name = name("sidecache_applied_lsn_bytes", "Up to which WAL position changes have been heard.");
pub const STALENESS: Name =
    name("sidecache_staleness_seconds", "How far behind the primary hits may be; NaN while nothing is served.");
pub const RETAINED_WAL: Name = name(
    "sidecache_retained_wal_bytes",
    "WAL that the primary keeps for the stream, which needs it from the oldest transaction on that holds an xid.",
);
pub const ENTRIES: Name = name("sidecache_entries", "Entries in the memory tier.");
pub const ENTRY_BYTES: Name = name("sidecache_entry_bytes", "Bytes of the entries in the memory tier.");
pub const REDIS_STATE: Name = name(
    "sidecache_redis_state",
    "1 for the state of Redis's breaker: closed (it is asked), open, half_open (it is tried).",
);
pub const REDIS_ROUND_TRIP: Name =
    name("sidecache_redis_round_trip_seconds", "What a read from Redis takes now, smoothed; 0 before the first.");
pub const SERVER_UP: Name = name("sidecache_server_up", "1 if the upstream server was reached when last probed.");
pub const SERVER_LAG: Name =
    name("sidecache_server_lag_bytes", "WAL that a replica has not replayed; NaN while it is not known.");
pub const SERVER_OUTSTANDING: Name =
    name("sidecache_server_outstanding", "Requests sent to an upstream server and not yet answered.");
pub const SERVER_CONNECTIONS: Name = name(
    "sidecache_server_connections",
    "Connections to an upstream server that are open or being opened, in all its pools.",
);
pub const SERVER_IDLE: Name =
    name("sidecache_server_connections_idle", "Those of them that no session has: they are free.");
pub const SERVER_WAITING: Name =
    name("sidecache_server_waiting", "Sessions that wait for a connection to an upstream server.");
pub const POOL_SIZE: Name =
    name("sidecache_pool_size", "The setting pool_size: connections for each server, user and database.");
pub const MAX_CLIENTS: Name = name("sidecache_max_clients", "The setting max_clients: sessions at a time.");

// Histograms.
pub const REQUEST_SECONDS: Name =
    name("sidecache_request_seconds", "Time of a request within Sidecache, by who answered.");
pub const UPSTREAM_SECONDS: Name = name("sidecache_upstream_seconds", "The part of it that was spent upstream.");
pub const POOL_WAIT_SECONDS: Name = name("sidecache_pool_wait_seconds", "How long sessions waited for a connection.");

pub const COUNTERS: &[Name] = &[
    REQUESTS,
    BYPASSES,
    FILLS_STORED,
    FILLS_REFUSED,
    PINS,
    PASSED_OVER,
    CLIENTS_REFUSED,
    PROOFS_FAILED,
    POOL_TIMEOUTS,
    QUERY_TIMEOUTS,
    SESSIONS_BEGUN,
    STATEMENTS,
    COALESCED,
    DIED,
    DIED_UNSERVED,
    EVICTED,
    SHARED_MISSES,
    REDIS_OPENED,
    REDIS_WRITTEN,
    REDIS_UNWRITTEN,
];
pub const GAUGES: &[Name] = &[
    SESSIONS,
    LISTENING_CONNECTIONS,
    LISTENING_SESSIONS,
    SAVED,
    STREAM_STATE,
    APPLIED,
    STALENESS,
    RETAINED_WAL,
    ENTRIES,
    ENTRY_BYTES,
    REDIS_STATE,
    REDIS_ROUND_TRIP,
    SERVER_UP,
    SERVER_LAG,
    SERVER_OUTSTANDING,
    SERVER_CONNECTIONS,
    SERVER_IDLE,
    SERVER_WAITING,
    POOL_SIZE,
    MAX_CLIENTS,
];

/// Microseconds at which histograms are split: from a hit in memory to a query that somebody waits for.
pub const BUCKETS_MICROS: [u64; 19] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000,
];
