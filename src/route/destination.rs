//! Where a read goes: the replica that may answer it and has least to do, else the primary; with the reason.

use crate::coherence::{Coherence, Floor};
use crate::types::{Level, Lsn};
use crate::upstream::{PassedOver, Server, Upstream};
use std::sync::Arc;

/// Why a statement went where it went. One variant, one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A write, or not proven to be a read.
    NotARead,
    /// Of the replicas that may answer it, this one has the fewest requests outstanding.
    LeastOutstanding,
    /// There are no replicas.
    NoReplica,
    /// No replica may answer it; the last one's reason.
    NoneFit(PassedOver),
    /// The session's floor is not known by position, or it asked for the primary's own state.
    PrimaryOnly,
}

impl Reason {
    /// The name in metrics, logs and `explain`.
    pub const fn label(self) -> &'static str {
        match self {
            Reason::NotARead => "not_a_read",
            Reason::LeastOutstanding => "least_outstanding",
            Reason::NoReplica => "no_replica",
            Reason::NoneFit(passed_over) => passed_over.label(),
            Reason::PrimaryOnly => "primary_only",
        }
    }
}

/// A server, and why it.
#[derive(Debug, Clone)]
pub struct Choice {
    pub server: Arc<Server>,
    pub reason: Reason,
}

/// Chooses for a proven read. `floor`: what the session may not read before; `None` if that is not known by position.
pub fn choose(upstream: &Upstream, coherence: &Coherence, level: Level, floor: Option<&Floor>) -> Choice {
    let primary = |reason| Choice { server: Arc::clone(upstream.primary()), reason };
    if upstream.replicas().is_empty() {
        return primary(Reason::NoReplica);
    }
    let epoch = coherence.epoch();
    let position = match (level, floor) {
        (Level::Strong, _) | (Level::Session, None) => return primary(Reason::PrimaryOnly),
        // What happened at an instant without a known position: nothing tells a replica's state from it.
        (Level::Session, Some(floor)) if !coherence.has_heard_since(floor.after) => {
            return primary(Reason::PrimaryOnly);
        }
        (Level::Session, Some(floor)) if floor.epoch == epoch => floor.position,
        (Level::Session, Some(floor)) if floor.position > Lsn::ZERO => return primary(Reason::PrimaryOnly),
        _ => Lsn::ZERO,
    };
    // What the catalog was last seen to be must have reached the replica: the statement was understood by it.
    let position = position.max(coherence.catalog_floor());
    let mut passed_over = PassedOver::Unreachable;
    let mut best: Option<&Arc<Server>> = None;
    for replica in upstream.replicas() {
        match replica.fit(epoch, position) {
            Ok(()) if best.is_none_or(|b| replica.outstanding() < b.outstanding()) => best = Some(replica),
            Ok(()) => {}
            Err(reason) => passed_over = reason,
        }
    }
    match best {
        Some(server) => Choice { server: Arc::clone(server), reason: Reason::LeastOutstanding },
        None => primary(Reason::NoneFit(passed_over)),
    }
}
