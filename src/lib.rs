//! Sidecache: a PostgreSQL proxy whose cache is never wrong.

pub mod cache;
pub mod catalog;
pub mod coherence;
pub mod config;
pub mod feed;
pub mod route;
pub mod server;
pub mod session;
pub mod sql;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod upstream;
pub mod wire;
