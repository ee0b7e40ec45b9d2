//! A control connection of one task's own, made when needed and known to reach one incarnation of the primary.
//! Decides nothing about the stream.

use crate::types::{Epoch, FullXid, Lsn, Moment, Snapshot};
use crate::upstream::{Control, ControlError, Identity, Upstream};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long a statement of ours may take before its connection is given up: reading a large catalog takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection and whose it is.
pub(super) struct Link {
    control: Control,
    pub identity: Identity,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A connection of ours failed, or answered something that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub String);

impl From<ControlError> for Broken {
    fn from(error: ControlError) -> Self {
        Broken(error.to_string())
    }
}

impl Link {
    /// Connects, and asks who answers.
    pub async fn open(upstream: &Arc<Upstream>) -> Result<Self, Broken> {
        let control = within(PATIENCE, upstream.control()).await?;
        let identity = within(PATIENCE, control.identity()).await?;
        Ok(Link { control, identity })
    }

    pub fn epoch(&self) -> Epoch {
        self.identity.epoch
    }

    /// All rows.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Broken> {
        within(PATIENCE, self.control.rows(sql)).await
    }

    /// The first column of the first row.
    pub async fn text(&self, sql: &str) -> Result<String, Broken> {
        let rows = self.rows(sql).await?;
        let first = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        first.ok_or_else(|| Broken(format!("no answer to {sql}")))
    }

    /// The same, read as what it is.
    pub async fn value<T: FromStr>(&self, sql: &str) -> Result<T, Broken> {
        let text = self.text(sql).await?;
        text.parse().map_err(|_| Broken(format!("{sql} answered {text:?}")))
    }

    /// An instant, and the insert position read after it.
    pub async fn ping(&self) -> Result<(Moment, Lsn), Broken> {
        within(PATIENCE, self.control.ping()).await
    }

    pub async fn insert_position(&self) -> Result<Lsn, Broken> {
        self.value("SELECT pg_current_wal_insert_lsn()::text").await
    }

    pub async fn snapshot(&self) -> Result<Snapshot, Broken> {
        self.value("SELECT pg_current_snapshot()::text").await
    }

    /// Commits a transaction that has an xid and changes nothing, which flushes the WAL up to its end. Does not wait for standbys.
    /// The stream does not tell of it, so that it puts nothing in doubt.
    pub async fn own_commit(&self) -> Result<FullXid, Broken> {
        self.rows("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
        self.rows("SET LOCAL synchronous_commit = local").await?;
        let xid = FullXid::new(self.value("SELECT pg_current_xact_id()::text").await?);
        self.rows("COMMIT").await?;
        Ok(xid)
    }
}

/// Bounds a statement's time. The connection is not used any further after it ran out.
async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, ControlError>>) -> Result<T, Broken> {
    match tokio::time::timeout(patience, work).await {
        Ok(outcome) => outcome.map_err(Broken::from),
        Err(_) => Err(Broken(format!("no answer within {patience:?}"))),
    }
}
