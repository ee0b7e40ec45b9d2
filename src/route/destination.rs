//! Where a read goes: the replica that may answer it and has least to do, else the primary; with the reason.

use crate::coherence::{Coherence, Floor};
use crate::types::{Epoch, Level, Lsn, Moment};
use crate::upstream::{PassedOver, Server, Upstream};
use std::sync::Arc;

/// As many requests more may a replica in this zone have outstanding than one in another before the other is taken: a way to
/// another zone costs about as much as waiting for a few of them, and money.
const SPILL: usize = 8;

/// Why a statement went where it went. One variant, one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A write, or not proven to be a read.
    NotARead,
    /// Of the replicas that may answer it, this one has the fewest requests outstanding; another zone's count as having more.
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

fn burden(replica: &Server) -> usize {
    replica.outstanding() + if replica.is_near() { 0 } else { SPILL }
}

/// What a session may not read before.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    pub floor: Floor,
    /// A replica that it has read, and its floor without what it read there: a replica does not go back.
    pub again: Option<(&'a Arc<Server>, Floor)>,
}

impl Bound<'_> {
    /// What a replica must have replayed; `None` if that is not known by position.
    fn position(&self, replica: &Arc<Server>, epoch: Epoch) -> Option<Lsn> {
        let floor = match &self.again {
            Some((again, elsewhere)) if self.floor.epoch == epoch && Arc::ptr_eq(again, replica) => elsewhere,
            _ => &self.floor,
        };
        let is_known = floor.after == Moment::START && (floor.epoch == epoch || floor.position == Lsn::ZERO);
        is_known.then_some(floor.position)
    }
}

/// Chooses for a proven read. `bound`: of the session; `None` if it is not known by position.
pub fn choose(upstream: &Upstream, coherence: &Coherence, level: Level, bound: Option<Bound<'_>>) -> Choice {
    let primary = |reason| Choice { server: Arc::clone(upstream.primary()), reason };
    if upstream.replicas().is_empty() {
        return primary(Reason::NoReplica);
    }
    let epoch = coherence.epoch();
    // What the catalog was last seen to be must have reached the replica: the statement was understood by it.
    let catalog = coherence.catalog_floor();
    let mut why = Reason::NoneFit(PassedOver::Unreachable);
    let mut best: Option<&Arc<Server>> = None;
    for replica in upstream.replicas() {
        let position = match level {
            Level::Strong => None,
            Level::Session => bound.as_ref().and_then(|bound| bound.position(replica, epoch)),
            Level::Bounded => Some(Lsn::ZERO),
        };
        let Some(position) = position else {
            why = Reason::PrimaryOnly;
            continue;
        };
        match replica.fit(epoch, position.max(catalog)) {
            Ok(()) if best.is_none_or(|best| burden(replica) < burden(best)) => best = Some(replica),
            Ok(()) => {}
            Err(reason) => why = Reason::NoneFit(reason),
        }
    }
    match best {
        Some(server) => Choice { server: Arc::clone(server), reason: Reason::LeastOutstanding },
        None => primary(why),
    }
}
