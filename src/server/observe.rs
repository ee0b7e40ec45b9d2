//! What the parts count, as status and metrics tell it. Changes nothing.

use super::picture::ServerPicture;
use crate::cache::Cache;
use crate::store::shared::{Shared, Unwritten};
use crate::telemetry::{CacheObservation, LimitsObservation, ListeningObservation, PoolsObservation, RedisObservation};
use crate::upstream::{Server, Upstream};
use std::sync::Arc;

fn seen<T>(counts: impl Iterator<Item = (T, u64)>, label: impl Fn(T) -> &'static str) -> Vec<(&'static str, u64)> {
    counts.filter(|(_, count)| *count > 0).map(|(what, count)| (label(what), count)).collect()
}

pub(super) fn listening_counts(upstream: &Upstream) -> ListeningObservation {
    let counts = upstream.listening();
    ListeningObservation { connections: counts.connections, sessions: counts.sessions }
}

pub(super) fn limits(upstream: &Upstream) -> LimitsObservation {
    let live = upstream.live();
    LimitsObservation { pool_size: live.pool_size, max_clients: live.max_clients }
}

fn pools(server: &Server) -> PoolsObservation {
    server.pool_counts().into_iter().fold(PoolsObservation::default(), |sum, (_, _, pool)| PoolsObservation {
        connections: sum.connections + pool.open,
        idle: sum.idle + pool.idle,
        waiting: sum.waiting + pool.waiting,
    })
}

pub(super) fn cache_counts(cache: &Cache) -> CacheObservation {
    let stats = cache.stats();
    CacheObservation {
        coalesced: stats.coalesced(),
        died: stats.died(),
        died_unserved: stats.died_unserved(),
        evicted: cache.evicted(),
        shared_misses: seen(stats.shared_misses(), |why| why.label()),
    }
}

pub(super) fn redis_picture(shared: &Shared) -> RedisObservation {
    RedisObservation {
        state: shared.state().label(),
        trouble: shared.trouble().map(|trouble| trouble.label()),
        times_opened: shared.times_opened(),
        written: shared.written(),
        unwritten: seen(Unwritten::ALL.into_iter().map(|why| (why, shared.unwritten(why))), Unwritten::label),
        round_trip: shared.round_trip(),
    }
}

pub(super) fn server_picture(server: &Arc<Server>) -> ServerPicture {
    let status = server.status();
    ServerPicture {
        name: status.name,
        role: status.role.label(),
        zone: status.zone,
        state: status.state.label(),
        lag_bytes: status.lag_bytes,
        outstanding: status.outstanding as u64,
        statements: status.statements,
        pools: pools(server),
    }
}
