//! Finds out that the primary's address has come to lead new connections to another server, such as a balancer's after a failover, while those
//! that are open still reach the one before: each new connection is asked when its server started. One that strays is used by nobody, and the
//! watch, whose own connection is an old one, connects anew.

use super::server::Server;
use super::status::Role;
use super::{Connection, LeaseError};
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Between two looks at what the watch has heard.
const LOOK: Duration = Duration::from_millis(5);

/// When the server started, in microseconds: in a form that hangs on no setting, and by operators that no search path decides.
pub(super) const STARTED: &str = "(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) \
                                  OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8";

/// Where a new connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// To the server that the watch hears, as far as can be told.
    Leader,
    /// To another than the one that started then.
    Other(u64),
}

impl Server {
    /// Whether a new connection reaches the primary that the watch hears.
    ///
    /// # Errors
    /// It reaches another: the watch has been told.
    pub(super) async fn is_reached_by(&self, connection: &mut Connection) -> Result<(), LeaseError> {
        let unreachable = |cause: String| LeaseError::Unreachable { server: self.target().to_string(), cause };
        match self.find(connection).await.map_err(|cause| unreachable(cause.to_string()))? {
            Found::Leader => Ok(()),
            Found::Other(known) => {
                self.evidence().strayed();
                self.heard_again(known).await;
                Err(unreachable("its address leads to another server than before".to_owned()))
            }
        }
    }

    async fn find(&self, connection: &mut Connection) -> std::io::Result<Found> {
        let Some(known) = self.leader_started() else { return Ok(Found::Leader) };
        let limit = self.target().connect_timeout;
        let question = format!("SELECT {STARTED}");
        let rows = match timeout(limit, connection.ask(&question)).await {
            Ok(Ok(rows)) => rows,
            // It is not told to this role: nobody knows better.
            Ok(Err(refused)) if refused.kind() == ErrorKind::PermissionDenied => return Ok(Found::Leader),
            Ok(Err(cause)) => return Err(cause),
            Err(_) => return Err(std::io::Error::other(format!("no answer within {limit:?}"))),
        };
        let told = rows.first().and_then(|row| row.first()?.as_deref()?.parse::<u64>().ok());
        // The watch may have heard another meanwhile.
        let is_leader = told.is_none() || told == Some(known) || told == self.leader_started();
        Ok(if is_leader { Found::Leader } else { Found::Other(known) })
    }

    /// Returns once the watch has heard who is there now, or cannot.
    async fn heard_again(&self, known: u64) {
        let end = Instant::now() + self.target().connect_timeout;
        while self.leader_started().is_none_or(|started| started == known) && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// When the primary that the watch hears started, if this is its server.
    pub(super) fn leader_started(&self) -> Option<u64> {
        let starts = self.starts();
        let started = starts.leader_started.load(Ordering::Acquire);
        (self.role() == Role::Primary && started != 0 && starts.primary_of(self).is_none()).then_some(started)
    }
}
