//! How long a replica is waited for: a read of which the client has nothing yet may be asked elsewhere, one of which it has all needs no more,
//! and what nobody waits for is not read to its end.

use super::client::Client;
use super::compose::Side;
use super::exchange::{Broken, Held};
use super::round::Round;
use super::{End, Session};
use bytes::BytesMut;
use std::time::Duration;

/// How long what is left of an answer that does not count is read off, before the connection is given up for it.
const READ_OFF: Duration = Duration::from_millis(20);

/// How often a replica that does not answer is looked after.
const LOOK: Duration = Duration::from_millis(250);

/// How long an answer may be kept waiting by the question whether it waits for a lock.
const LOCK_LOOK: Duration = Duration::from_secs(1);

impl Session {
    /// A replica whose replay stands still is at a read of which the client has nothing yet. Only a lock that replay holds ties the two: any
    /// other read goes on. Asked once for each place where replay stands.
    pub(super) async fn look_after(&self, held: &Held, round: &mut Round) -> Result<(), Broken> {
        let stands = held.lease.server.replayed();
        if stands == std::mem::replace(&mut round.stood, stands) {
            return Ok(());
        }
        let waits = self.shared.upstream.waits_for_lock(&held.lease.server, held.lease.key.process);
        match tokio::time::timeout(LOCK_LOOK, waits).await {
            Ok(true) => Err(Broken::InVain),
            _ => Ok(()),
        }
    }

    /// Asks the held connection what is ours. `false`: it was a replica's that is lost, or as good as that, and is held no more.
    pub(super) async fn pump_own(&mut self, out: &mut BytesMut, round: &mut Round) -> Result<bool, End> {
        let Some(held) = &mut self.held else { return Ok(false) };
        match held.pump(out, &mut self.client, round).await {
            Ok(()) => Ok(true),
            Err(broken) if held.side == Side::Replica && !matches!(broken, Broken::Client(_)) => {
                let server = &held.lease.server;
                tracing::debug!(server = server.name(), %broken, "a replica left before it was asked what the client wants");
                if broken.is_of_server() {
                    server.doubt();
                }
                self.held = None;
                Ok(false)
            }
            Err(broken) => Err(self.lost(broken).await),
        }
    }
}

impl Held {
    /// Reads off what is left of an answer that does not count, if it comes at once.
    pub async fn read_off(&mut self, out: &mut BytesMut, round: &mut Round) -> Result<(), Broken> {
        let rest = async {
            let mut nobody = BytesMut::new();
            while !self.flow.is_done() || self.passing > 0 {
                self.progress(out).await?;
                self.digest(&mut nobody, round)?;
                nobody.clear();
            }
            Ok(())
        };
        tokio::time::timeout(READ_OFF, rest).await.unwrap_or(Err(Broken::InVain))
    }

    /// A read on a replica of which the client has nothing yet, or all: what is still to come then are answers to our own questions, as
    /// where nothing else was asked.
    pub fn may_be_left(&self, round: &Round) -> bool {
        let is_answered =
            || self.flow.is_ours() || round.status.is_some() || (!round.done.is_empty() && !self.flow.owes_client());
        self.side == Side::Replica && (round.held_back.is_some() || is_answered())
    }

    /// Makes progress, unless the client has gone for good.
    pub async fn progress_unless_gone(
        &mut self,
        out: &mut BytesMut,
        client: &mut Client,
        round: &mut Round,
    ) -> Result<(), Broken> {
        let may_be_left = self.may_be_left(round);
        let progress = async {
            match may_be_left {
                true => self.progress_while_alive(out).await,
                false => self.progress(out).await,
            }
        };
        tokio::select! {
            biased;
            progressed = progress => progressed,
            () = client.stream.broken() => match client.read().await {
                // What it asked for before it went is done.
                Ok(true) => {
                    round.abandonable = false;
                    Ok(())
                }
                Ok(false) | Err(_) => Err(Broken::Deserted),
            },
        }
    }

    /// As [`Held::progress`], as long as the server answers somebody and its replay goes on.
    pub async fn progress_while_alive(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        let mut lagged = None;
        loop {
            match tokio::time::timeout(LOOK, self.progress(out)).await {
                Ok(progressed) => return progressed,
                Err(_) if self.lease.is_forsaken() => return Err(Broken::Silent),
                Err(_) => {
                    let lags = self.lease.lags_at();
                    if lags.is_some() && lags == std::mem::replace(&mut lagged, lags) {
                        return Err(Broken::Still);
                    }
                }
            }
        }
    }
}
