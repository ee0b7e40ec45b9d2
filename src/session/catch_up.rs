//! A replica replays a commit that the primary, which waits for a synchronous standby, does not show yet: a session that saw it there
//! must not read the primary before the primary shows it too. Waits for that as long as the client would wait for PostgreSQL.

use super::cancel::Running;
use super::client::UnitEnd;
use super::composer::Composer;
use super::exchange::Held;
use super::hold::succeeded;
use super::round::Round;
use super::{End, Session};
use crate::coherence::StreamState;
use crate::types::{Level, Moment, Snapshot};
use crate::wire::backend::{Failure, column};
use std::time::Duration;
use tokio::sync::oneshot::Receiver;

/// How long a session waits at most.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks: so long, or this part of what was waited already, but no longer than that.
const SHORTEST_REST: Duration = Duration::from_millis(2);
const REST_PART: u32 = 8;
const LONGEST_REST: Duration = Duration::from_millis(50);

/// A stream that has not told by then is not waited for: how late it is is the cache's business, not the client's.
const LATE: Duration = Duration::from_millis(20);

const SNAPSHOT: &str = "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text";

/// A wait that has begun.
pub(super) struct CatchUp {
    began: Moment,
    /// Has a message once the client cancels its statement.
    pub(super) cancelled: Receiver<()>,
    /// What was under way at the first look that needed to know.
    first: Option<Snapshot>,
}

impl CatchUp {
    pub(super) fn begin(running: &Running) -> Self {
        CatchUp { began: Moment::now(), cancelled: running.wait(), first: None }
    }

    pub(super) fn waited(&self) -> Duration {
        Moment::now().since(self.began)
    }
}

impl Session {
    /// Waits on the connection that is held. `false`: the client cancelled the statement or it took too long, and the client was told.
    pub(super) async fn catch_up(&mut self, end: UnitEnd) -> Result<bool, End> {
        let mut catching = CatchUp::begin(&self.registration.running);
        while !self.has_caught_up(&mut catching).await? {
            if !self.rest(&mut catching, end).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One look, on the held connection: whether the primary shows what the session has seen.
    pub(super) async fn has_caught_up(&mut self, catching: &mut CatchUp) -> Result<bool, End> {
        let ahead = self.seen.ahead(self.shared.coherence.epoch()).filter(|_| self.level() != Level::Bounded);
        let Some(ahead) = ahead else { return Ok(true) };
        // The stream tells which commits lie before the position. Without it, or where it is late, everything that was under way at
        // the first look has to have ended: what a replica had replayed before was under way by then or visible. A transaction of
        // the client's cannot take that look, and waits for the stream.
        let heard = self.shared.coherence.state() == StreamState::Live;
        let waited = catching.waited();
        let is_late = !heard || waited > LATE;
        if is_late && catching.first.is_none() && (self.status == b'I' || self.deferred.is_some()) {
            catching.first = self.under_way().await?;
        }
        let row = self.ask(SNAPSHOT).await?;
        if !self.is_of_this_history() {
            return Err(succeeded());
        }
        if let Some(snapshot) = row.as_ref().and_then(|row| snapshot(row)) {
            self.shared.coherence.saw_snapshot(&snapshot);
            let shown = |first: &Snapshot| first.in_progress.iter().all(|xid| snapshot.shows(*xid));
            if catching.first.as_ref().is_some_and(shown)
                || (heard && self.shared.coherence.shows_up_to(&snapshot, ahead))
            {
                self.seen.caught_up();
                return Ok(true);
            }
        }
        if waited > LIMIT {
            // As stale as a direct connection to the primary would be, and no staler.
            tracing::warn!(position = %ahead, "the primary does not show yet what this session has read from a replica");
            self.seen.caught_up();
            return Ok(true);
        }
        Ok(false)
    }

    /// A snapshot that lists every transaction which was under way before. One alone would not: it ends at the newest transaction that has
    /// finished (`GetSnapshotData` in procarray.c), and lists none behind it. So one of our own, newer than all of them, finishes first.
    async fn under_way(&mut self) -> Result<Option<Snapshot>, End> {
        match self.ask("SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text").await? {
            Some(_) => Ok(self.ask(SNAPSHOT).await?.and_then(|row| snapshot(&row))),
            None => Ok(None),
        }
    }

    /// Until the next look. `false`: there is none, as for [`Session::catch_up`].
    pub(super) async fn rest(&mut self, catching: &mut CatchUp, end: UnitEnd) -> Result<bool, End> {
        let waited = catching.waited();
        let limits = [
            (self.settings.statement_timeout(), "canceling statement due to statement timeout"),
            (self.live.load().query_timeout, "canceling statement due to query timeout"),
        ];
        let overdue = limits.into_iter().find(|(limit, _)| limit.is_some_and(|limit| waited >= limit));
        let why = match overdue {
            Some((_, why)) => why,
            None => {
                let rest = (waited / REST_PART).clamp(SHORTEST_REST, LONGEST_REST);
                match tokio::time::timeout(rest, &mut catching.cancelled).await {
                    Ok(Ok(())) => "canceling statement due to user request",
                    _ => return Ok(true),
                }
            }
        };
        self.give_up(why, end).await.map(|()| false)
    }

    /// A statement is cancelled before it is sent: its transaction fails, wherever that is.
    pub(super) async fn give_up(&mut self, why: &'static str, end: UnitEnd) -> Result<(), End> {
        if self.held.is_some() && self.deferred.is_none() && self.status == b'T' {
            self.fail_transaction().await?;
        }
        self.fail(Failure::error("57014", why), end)
    }

    /// The transaction on the held connection fails there too.
    async fn fail_transaction(&mut self) -> Result<(), End> {
        let Some(Held { lease, flow, .. }) = &mut self.held else { return Ok(()) };
        let mut composer = Composer::new(flow, &mut lease.carried, 0);
        composer.fail_own();
        let mut out = composer.out;
        let Some(held) = &mut self.held else { return Ok(()) };
        match held.pump(&mut out, &mut self.client, &mut Round::default()).await {
            Ok(()) => Ok(()),
            Err(broken) => Err(self.lost(broken).await),
        }
    }
}

/// The snapshot in a row's first column.
fn snapshot(row: &[u8]) -> Option<Snapshot> {
    column(row, 0).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok())
}
