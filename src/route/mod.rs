//! Decisions without I/O: a statement and a catalog make a [`plan::Plan`]; a plan, a session and the servers make a
//! destination. Each with its reason.

pub mod book;
pub mod destination;
pub mod explain;
pub mod plan;
pub mod rules;
pub mod ttl;
