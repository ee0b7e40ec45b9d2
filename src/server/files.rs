//! How many files the process may have open: a socket is one, so it bounds clients and connections to servers.

use super::listen::SPARE;
use crate::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What else may be open: HTTP, the stream, the watch, Redis, the runtime's own.
const OTHERS: usize = 128;

/// Raises the limit as far as this process may. How many may be open then; nothing for any number.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Some systems allow less than they say: the present limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// How many `max_clients` sessions and one full pool on each server take.
pub fn wanted(config: &Config) -> u64 {
    let live = &config.live;
    let servers = 1 + config.replicas.len();
    (live.max_clients + SPARE + servers * (live.pool_size + live.pool_reserve) + OTHERS) as u64
}
