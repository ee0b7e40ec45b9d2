//! Decisions without I/O: a statement and a catalog make a [`plan::Plan`]; a plan, a session and the servers make a
//! destination. Each with its reason.

pub mod destination;
pub mod plan;
pub mod ttl;
