//! A transaction that no server has begun yet. BEGIN is answered here, and the first statement that needs the transaction
//! brings it along. Until then each statement would see a snapshot of its own in any case (READ COMMITTED), so that hits need no
//! server, and a read that could be a hit runs alone, outside the transaction, and fills the cache.

use super::compose::Side;
use super::survey::Survey;
use super::{Block, Session};
use crate::config::PoolMode;
use crate::route::plan::{Isolation, Plan, TransactionControl};
use std::sync::Arc;

/// What the client was told that it has begun.
#[derive(Debug)]
pub(super) struct Deferred {
    /// The client's statement, without comments.
    begin: Arc<str>,
    /// READ ONLY and READ COMMITTED: its reads may run on replicas.
    reads_only: bool,
}

impl Deferred {
    /// The client's statement.
    pub(super) fn begin(&self) -> &str {
        &self.begin
    }
}

/// How a unit stands to the transaction that the client is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// As the server knows it.
    Within,
    /// It brings the statement that begins it. `failed`: and what makes it fail, since a read that ran alone did.
    Begins { begin: Arc<str>, failed: bool },
    /// It runs outside, while the client is told that it is inside.
    Alone,
}

impl Session {
    /// Answers a transaction's beginning, or the end of one that was never begun; gives the command tag.
    pub(super) fn control_locally(&mut self, control: &TransactionControl, plan: &Plan) -> Option<&'static str> {
        match control {
            TransactionControl::Begin { read_only, isolation, .. }
                if self.status == b'I' && self.held.is_none() && self.shared.config.pool == PoolMode::Transaction =>
            {
                let committed_reads = *isolation != Isolation::Other && self.settings.is_plain();
                self.block = if committed_reads { Block::Clean } else { Block::Dirty };
                let reads_only = committed_reads && *read_only == Some(true);
                self.deferred = Some(Deferred { begin: Arc::clone(&plan.identity), reads_only });
                self.status = b'T';
                let starts = plan.identity.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case("start"));
                Some(if starts { "START TRANSACTION" } else { "BEGIN" })
            }
            TransactionControl::Commit { chain: false } | TransactionControl::Rollback { chain: false }
                if self.deferred.take().is_some() =>
            {
                let committed = matches!(control, TransactionControl::Commit { .. }) && self.status != b'E';
                self.status = b'I';
                self.transaction_ended(committed);
                Some(if committed { "COMMIT" } else { "ROLLBACK" })
            }
            _ => None,
        }
    }

    /// Whether a read that could be a hit may be sent as one that stands alone.
    pub(super) fn is_outside(&self) -> bool {
        self.status == b'I' || (self.deferred.is_some() && self.status == b'T' && self.block == Block::Clean)
    }

    /// Of a unit that needs a server. `fills`: it is one read, and its answer is to be stored.
    pub(super) fn standing(&self, survey: &Survey, fills: bool) -> Standing {
        let Some(deferred) = &self.deferred else { return Standing::Within };
        // What tells the time has to tell the transaction's.
        let timeless = survey.runs.len() == 1 && survey.runs.iter().flatten().all(|plan| plan.cache.is_ok());
        let reads_alone = deferred.reads_only && self.has_replicas() && survey.is_request;
        if self.is_outside() && timeless && survey.reads && (fills || reads_alone) {
            return Standing::Alone;
        }
        self.begins()
    }

    /// With the transaction's beginning before it.
    pub(super) fn begins(&self) -> Standing {
        match &self.deferred {
            Some(deferred) => Standing::Begins { begin: Arc::clone(&deferred.begin), failed: self.status == b'E' },
            None => Standing::Within,
        }
    }

    /// Whether a unit that stands alone may do so on this side: on the primary only what could be a hit, since a transaction
    /// there is no dearer.
    pub(super) fn may_stand_alone(&self, side: Side, fills: bool) -> bool {
        fills || side == Side::Replica
    }

    /// Whether reads that stand alone may go to replicas.
    pub(super) fn is_deferred_read_only(&self) -> bool {
        self.deferred.as_ref().is_some_and(|deferred| deferred.reads_only)
    }
}
