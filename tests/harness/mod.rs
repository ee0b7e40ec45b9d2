//! Real servers for tests: a PostgreSQL primary with streaming replicas, Redis, Sidecache, and the faults to put
//! between and into them. It starts, breaks and stops processes; it judges nothing and knows no query of the proxy.
//!
//! Everything lives in one temporary directory on free ports of 127.0.0.1 and is gone when its owner is dropped, or,
//! however the test process may end, when the watchdog of `process.rs` sees it end.
//!
//! It panics with a plain message where a server will not do as told: a test has no better answer.

// One harness serves the tests and the demo, and neither uses all of it.
#![allow(dead_code)]

pub mod cluster;
pub mod faults;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod sidecache;
pub mod usage;
pub mod wire;

pub use ports::free_port;
use std::time::{Duration, Instant};

/// How long anything may take before the harness gives up on it: generous, since a loaded machine is no fault.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is there; panics with `what` when [`PATIENCE`] ends.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, ask).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Asks again and again until the answer is there or `limit` has passed.
pub fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
