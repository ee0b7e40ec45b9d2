//! After the client has its answer: what was filled is stored, what was written gets a position, and a clean connection goes
//! back to its pool.

use super::compose::Side;
use super::composer::{Composer, Look};
use super::exchange::Held;
use super::round::{Left, Round};
use super::{End, Session};
use crate::cache::{Filled, Permit, StoreRefusal, TimedPermit, TimedReply};
use crate::catalog::Writes;
use crate::coherence::{CatalogNeed, Evidence, FillRefusal};
use crate::config::PoolMode;
use crate::route::plan::{PinReason, Plan};
use crate::types::Moment;
use crate::upstream::{Server, State};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A fill under way.
pub(super) enum Fill {
    /// It is to be proven by positions.
    Proven { permit: Permit, plan: Arc<Plan> },
    /// It may be kept for so long.
    Timed { permit: TimedPermit, ttl: Duration },
}

impl Fill {
    /// Before the query is sent.
    pub(super) fn begin(&mut self, now: Moment) -> Result<(), FillRefusal> {
        match self {
            Fill::Proven { permit, .. } => permit.begin_fill(now),
            Fill::Timed { permit, .. } => {
                permit.begin(now);
                Ok(())
            }
        }
    }

    fn refuse(self, why: StoreRefusal) {
        match self {
            Fill::Proven { permit, .. } => permit.refuse(why),
            Fill::Timed { permit, .. } => permit.refuse(why),
        }
    }
}

/// Memory of its own, and no more: what has grown has room for twice as much.
fn own(body: &[u8]) -> Bytes {
    Bytes::copy_from_slice(body)
}

impl Session {
    /// The batch is over and the client has its answer: learns what a write amounts to, and gives the connection back if it is
    /// clean. `state`: what decides answers there, if that was asked behind the batch.
    pub(super) async fn settle(&mut self, status: u8, state: Option<Box<Left>>) -> Result<(), End> {
        if status != b'I' {
            return Ok(());
        }
        if self.by_name.is_to_be_learned() {
            // Within a transaction the question could fail, and that with it: what was made may not be readable as things stand.
            Box::pin(self.learn_by_name()).await?;
        }
        self.heed_news();
        let wrote = std::mem::take(&mut self.wrote);
        if std::mem::take(&mut self.unlearned) {
            if self.learns_positions() {
                Box::pin(self.learn_position()).await?;
            } else if self.heard {
                // Another level binds the session by nothing; the one that comes after it may.
                self.seen.raise_to_moment(Moment::now());
            }
        }
        let may_have_left = std::mem::take(&mut self.may_have_left);
        let is_known =
            !wrote || !self.checks_state() || Box::pin(self.check_state(state, self.look(may_have_left))).await?;
        if std::mem::take(&mut self.may_be_free) && self.shared.config.pool == PoolMode::Transaction {
            Box::pin(self.prove_pins()).await?;
        }
        if !self.keeps_connection()
            && let Some(held) = self.held.take()
        {
            if held.is_clean() && is_known {
                self.spare = held.flow.emptied();
                held.lease.release();
            } else {
                tracing::debug!("a connection was not clean at the end of a transaction and is closed");
            }
        }
        Ok(())
    }

    /// Whether what decides answers on the held connection is known, or need not be.
    pub(super) fn knows_state(&self) -> bool {
        let known = |held: &Held| {
            let carried = &held.lease.carried;
            let catalog = self.shared.catalog.load();
            let is_same = |state: &State| {
                state.settings == carried.settings
                    && state.asked == catalog.settings_named
                    && (state.whole.is_some() || !catalog.writes.may_move())
            };
            carried.state.as_deref().is_some_and(is_same)
        };
        !self.checks_state() || self.held.as_ref().is_none_or(known)
    }

    /// Asks what decides answers on the held connection: before something runs that may change it.
    pub(super) async fn know_state(&mut self) -> Result<(), End> {
        let asked = Arc::clone(&self.shared.catalog.load().settings_named);
        let said = self.ask_state(&asked, self.look(false)).await?;
        if let Some(held) = &mut self.held {
            let settings = held.lease.carried.settings.clone();
            held.lease.carried.state =
                said.map(|said| Box::new(State { settings, asked, said: said.settings, whole: said.whole }));
        }
        Ok(())
    }

    /// Whether functions and triggers that ran have left the connection as it was. What they changed stays with the
    /// session; another one's answers would come out wrong there, and be stored for everybody.
    async fn check_state(&mut self, asked: Option<Box<Left>>, look: Look) -> Result<bool, End> {
        let now = match asked {
            Some(state) => Some(state),
            None => {
                let known = self.held.as_ref().and_then(|held| held.lease.carried.state.as_ref());
                let asked = known.map(|state| Arc::clone(&state.asked)).unwrap_or_default();
                self.ask_state(&asked, look).await?
            }
        };
        if now.as_ref().is_some_and(|left| left.temporary) {
            self.pin(PinReason::TemporaryObject);
        }
        if now.as_ref().is_some_and(|left| left.locks) {
            self.pin(PinReason::AdvisoryLock);
        }
        if now.as_ref().is_some_and(|left| left.listens) {
            self.pin(PinReason::Listen);
        }
        if self.shared.catalog.load().writes == Writes::MayMoveUntold {
            self.pin(PinReason::Opaque);
        }
        let Some(held) = &self.held else { return Ok(true) };
        let carried = &held.lease.carried;
        match carried.state.as_deref() {
            Some(State { settings, said, whole, .. }) if *settings == carried.settings => {
                let is_same = |left: &Left| {
                    left.settings == *said && (left.whole.is_none() || whole.is_none() || left.whole == *whole)
                };
                if !now.as_deref().is_some_and(is_same) {
                    self.pin(PinReason::Opaque);
                }
                Ok(true)
            }
            // The session's own settings changed in the same transaction: it cannot be told what else did. Beside a temporary object nothing is
            // served, and once that has gone the connection goes too; but what a trigger set is the session's.
            _ if self.pins.contains(&PinReason::TemporaryObject) && !self.shared.catalog.load().writes.may_move() => {
                self.held.iter_mut().for_each(|held| held.is_unsure = true);
                Ok(true)
            }
            _ if self.keeps_connection() || self.shared.catalog.load().writes.may_move() => {
                self.pin(PinReason::Opaque);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Ends the pins to what is no longer on the connection, if no other ones are left.
    async fn prove_pins(&mut self) -> Result<(), End> {
        let Some(held) = self.held.as_mut().filter(|_| !self.pins.is_empty()) else { return Ok(()) };
        if !self.pins.iter().all(|reason| reason.is_provable()) {
            // Once the others have gone, it is asked.
            self.may_be_free = true;
            return Ok(());
        }
        let mut round = Round { tick: Moment::now().micros(), ..Round::default() };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, round.tick);
        composer.holds();
        let mut out = composer.out;
        if !self.pump_own(&mut out, &mut round).await? {
            return Ok(());
        }
        let Some(holds) = round.holds else { return Ok(()) };
        let asked = [PinReason::TemporaryObject, PinReason::AdvisoryLock, PinReason::HoldCursor, PinReason::Listen];
        for (reason, holds) in asked.into_iter().zip(holds) {
            if holds {
                // Also what a trigger has left, while something else was what it was pinned to.
                self.pin(reason);
            } else {
                self.pins.remove(&reason);
            }
        }
        tracing::debug!(left = self.pins.len(), "what a session is pinned to was looked for");
        Ok(())
    }

    /// Only where answers are stored, and unless the connection goes to nobody else before DISCARD ALL. A pin that ends by proof says nothing
    /// of settings.
    pub(super) fn checks_state(&self) -> bool {
        let stays =
            |pin: &PinReason| matches!(pin, PinReason::Opaque | PinReason::Lasting | PinReason::SessionAuthorization);
        self.heard && self.shared.cache.is_some() && !self.pins.iter().any(stays)
    }

    /// Whether the connection does not go on to others at the end of a transaction.
    pub(super) fn keeps_connection(&self) -> bool {
        !self.pins.is_empty() || self.shared.config.pool == PoolMode::Session
    }

    /// What may have been left by what ran: where triggers may set anything, anything.
    pub(super) fn look(&self, may_leave_anything: bool) -> Look {
        match may_leave_anything {
            _ if self.shared.catalog.load().writes.may_move() => Look::Whole,
            // A trigger may be new.
            _ if self.touched_catalog || self.shared.coherence.catalog_need() == CatalogNeed::Now => Look::Whole,
            true => Look::Locks,
            false => Look::Settings,
        }
    }

    async fn ask_state(&mut self, asked: &[String], look: Look) -> Result<Option<Box<Left>>, End> {
        let Some(held) = &mut self.held else { return Ok(None) };
        let mut round = Round { tick: Moment::now().micros(), ..Round::default() };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, round.tick);
        composer.state(asked, look);
        composer.sync_own();
        let mut out = composer.out;
        Ok(if self.pump_own(&mut out, &mut round).await? { round.state } else { None })
    }

    /// After a write, or reads whose extent is not known: the position at or past it becomes the session's floor. The client has its answer already.
    async fn learn_position(&mut self) -> Result<(), End> {
        let Some(side) = self.held.as_ref().map(|held| held.side) else { return Ok(()) };
        let Some(held) = &mut self.held else { return Ok(()) };
        let mut round = Round { tick: Moment::now().micros(), ..Round::default() };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, round.tick);
        composer.after(side);
        composer.sync_own();
        let mut out = composer.out;
        if !self.pump_own(&mut out, &mut round).await? {
            // A replica's: how far it had come is not known.
            self.seen.raise_to_moment(Moment::now());
            return Ok(());
        }
        if round.may_not_ask {
            self.may_not_ask();
        }
        match round.high {
            Some(high) => self.learned(high),
            None => self.seen.unknown = true,
        }
        Ok(())
    }

    pub(super) fn store(&mut self, fill: Fill, round: Round, side: Side, cost: Duration, server: &Arc<Server>) {
        let telemetry = &self.shared.telemetry;
        let Some(capture) = round.capture else { return };
        let spoiled = capture.spoiled.or((round.failed || round.done.len() != 1).then_some("not_whole"));
        if let Some(reason) = spoiled {
            telemetry.fill_refused(reason);
            let refusal = if reason == "too_large" { StoreRefusal::TooLarge } else { StoreRefusal::NotClean };
            return fill.refuse(refusal);
        }
        let (permit, plan) = match fill {
            Fill::Proven { permit, plan } => (permit, plan),
            Fill::Timed { permit, ttl } => {
                let reply = TimedReply { row_description: capture.description, body: own(&capture.body), cost };
                return match permit.commit(reply, ttl) {
                    Ok(()) => telemetry.fill_stored(),
                    Err(refusal) => telemetry.fill_refused(refusal.label()),
                };
            }
        };
        let high = match round.high {
            Some(high) => high,
            None => return telemetry.fill_refused("no_position"),
        };
        let evidence = match (side, round.snapshot, round.replayed) {
            (Side::Primary, Some(snapshot), _) => Evidence::Primary { snapshot, high },
            (Side::Replica, _, Some(replayed)) => Evidence::Replica { replayed, high },
            _ => return telemetry.fill_refused("no_proof"),
        };
        let Ok(recipe) = &plan.cache else { return };
        if !recipe.settings.is_empty() && !round.settings_hold {
            // A trigger or another session has left something on the connection that this session's key does not tell.
            return telemetry.fill_refused("settings_differ");
        }
        if plan.catalog_version != self.shared.catalog.version() {
            return telemetry.fill_refused("catalog_changed");
        }
        if !self.held.as_ref().is_some_and(|held| held.lease.is_current()) {
            // A server that has begun another life since, or lost its role: positions of another history.
            return telemetry.fill_refused("other_incarnation");
        }
        if !self.held.as_ref().is_some_and(|held| held.lease.knows_path()) {
            return telemetry.fill_refused("outdated_path");
        }
        let filled = Filled { evidence, row_description: capture.description, body: own(&capture.body), cost };
        tracing::trace!(server = server.name(), bytes = filled.body.len(), "fill");
        match permit.commit(filled, &recipe.relations, Moment::now()) {
            Ok(()) => telemetry.fill_stored(),
            Err(refusal) => telemetry.fill_refused(refusal.label()),
        }
    }
}
