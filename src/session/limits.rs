//! What ends a session or a request that takes too long: requests are cancelled on their server, sessions that leave a
//! transaction open or say nothing are told and ended. Does not know what a request is.

use super::cancel::Who;
use super::exchange::{Broken, Held};
use super::round::Round;
use super::{End, Session};
use crate::wire::backend::Failure;
use bytes::BytesMut;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// How long a cancelled request may take to end before its connection is given up.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Measures silence. Armed again only when it has run down, since arming it takes a lock that all sessions share.
#[derive(Debug, Default)]
pub(super) struct Silence(Option<Pin<Box<Sleep>>>);

impl Silence {
    /// Returns once so much time has passed from now; never without a limit.
    pub(super) async fn lasts(&mut self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        let end = Instant::now() + limit;
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        loop {
            sleep.as_mut().await;
            if Instant::now() >= end {
                return;
            }
            sleep.as_mut().reset(end);
        }
    }
}

impl Session {
    /// How long the client may say nothing, as things stand, and what it is told then.
    pub(super) fn patience(&mut self) -> (Option<Duration>, Silent) {
        let in_transaction = self.status != b'I' || self.is_mid_batch();
        let live = self.live.load();
        let (limit, silent) = match in_transaction {
            true => (live.transaction_idle_timeout, Silent::InTransaction),
            false => (live.client_idle_timeout, Silent::Idle),
        };
        // No server may know that the client is in a transaction, or which of its connections is this client's.
        let own = self.settings.patience(in_transaction);
        (limit.into_iter().chain(own).min(), silent)
    }

    /// Relays as [`Session::relay`] does, and cancels what takes longer than it may.
    pub(super) async fn relay_in_time(
        &mut self,
        held: &mut Held,
        out: &mut BytesMut,
        round: &mut Round,
    ) -> Result<(), Broken> {
        let limit = self.live.load().query_timeout;
        match limit {
            None => self.relay(held, out, round).await,
            // Boxed, since every session would keep room for both.
            Some(limit) => Box::pin(self.relay_within(limit, held, out, round)).await,
        }
    }

    /// Has the held connection do what is ours as if the client ran it there: a cancel reaches it, and it takes no longer than a request may.
    /// Whether it was cancelled, [`super::cancel::Running::was_cancelled`] says.
    pub(super) async fn as_the_client<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut Session) -> Result<T, End>,
    ) -> Result<T, End> {
        let Some(held) = &self.held else { return ask(self).await };
        let (running, shared) = (Arc::clone(&self.registration.running), Arc::clone(&self.shared));
        running.begin(&held.lease.server, &held.lease.key);
        let asked = match self.live.load().query_timeout {
            None => Some(ask(self).await),
            Some(limit) => {
                let mut asking = std::pin::pin!(ask(self));
                match timeout(limit, &mut asking).await {
                    Ok(asked) => Some(asked),
                    Err(_) => {
                        shared.telemetry.query_timed_out();
                        tokio::join!(timeout(CANCEL_GRACE, asking), running.cancel(&shared.upstream)).0.ok()
                    }
                }
            }
        };
        if !running.end() && !running.spared().await {
            self.held.iter_mut().for_each(|held| held.is_unsure = true);
        }
        match asked {
            Some(asked) => asked,
            None => Err(self.lost(Broken::TooLate).await),
        }
    }

    async fn relay_within(
        &mut self,
        limit: Duration,
        held: &mut Held,
        out: &mut BytesMut,
        round: &mut Round,
    ) -> Result<(), Broken> {
        let (running, shared) = (Arc::clone(&self.registration.running), Arc::clone(&self.shared));
        let overdue = Arc::<AtomicBool>::default();
        round.overdue = Some(Arc::clone(&overdue));
        let mut relaying = std::pin::pin!(self.relay(held, out, round));
        if let Ok(relayed) = timeout(limit, &mut relaying).await {
            return relayed;
        }
        overdue.store(true, Ordering::Relaxed);
        shared.telemetry.query_timed_out();
        let Who { user, database, peer, .. } = &running.who;
        tracing::info!(?user, ?database, ?peer, ?limit, "a request takes too long and is cancelled");
        let (relayed, ()) = tokio::join!(timeout(CANCEL_GRACE, relaying), running.cancel(&shared.upstream));
        relayed.unwrap_or(Err(Broken::TooLate))
    }
}

/// In which state the client says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silent {
    InTransaction,
    Idle,
}

impl Silent {
    /// In PostgreSQL's words (`ProcessInterrupts` in postgres.c).
    pub(super) fn end(self) -> End {
        let failure = match self {
            Silent::InTransaction => {
                Failure::fatal("25P03", "terminating connection due to idle-in-transaction timeout")
            }
            Silent::Idle => Failure::fatal("57P05", "terminating connection due to idle-session timeout"),
        };
        failure.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_is_measured_anew_however_it_was_measured_before() {
        let mut silence = Silence::default();
        let hour = Some(Duration::from_secs(3600));
        assert!(timeout(Duration::ZERO, silence.lasts(hour)).await.is_err());
        assert!(timeout(Duration::ZERO, silence.lasts(None)).await.is_err());
        // Armed for later: pulled forward.
        silence.lasts(Some(Duration::ZERO)).await;
        // Run down: armed anew.
        assert!(timeout(Duration::from_millis(1), silence.lasts(hour)).await.is_err());
    }
}
