//! The way of a unit that needs a server: what it does, where it goes, what is learned beside its answer.

use super::client::UnitEnd;
use super::compose::{Beside, Composer, Side, Survey};
use super::exchange::{Again, Broken, Capture, Held, Round};
use super::serve::Intent;
use super::settle::Fill;
use super::{End, Session};
use crate::config::PoolMode;
use crate::route::plan::{Kind, Place, Plan};
use crate::telemetry::{Outcome, Record};
use crate::types::{Level, Moment};
use crate::upstream::Server;
use crate::wire::backend::{Failure, put_ready};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// How often a batch whose answer was held back may be sent again.
const TRIES: usize = 3;

impl Session {
    /// Whether messages were sent upstream whose Sync has not come.
    pub(super) fn is_mid_batch(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.batch_open)
    }

    /// A connection broke: what the client is told.
    pub(super) async fn lost(&mut self, broken: Broken) -> End {
        self.held = None;
        // What was under way may have been committed.
        self.shared.wrote();
        match broken {
            Broken::Client(error) => End::Client(error),
            Broken::Frame(bad) => bad.into(),
            Broken::Fatal(frame) => {
                self.client.output.extend_from_slice(&frame);
                match self.client.flush().await {
                    Ok(()) => End::Closed,
                    Err(error) => End::Client(error),
                }
            }
            Broken::TooLate => Failure::fatal(
                "57014",
                "terminating connection: canceling statement due to query timeout had no effect",
            )
            .into(),
            other => Failure::fatal("08006", format!("the connection to the server was lost: {other}")).into(),
        }
    }

    /// Sends a unit to a server and relays its answer.
    pub(super) async fn forward(
        &mut self,
        unit: Bytes,
        end: UnitEnd,
        intent: Intent,
        began: Moment,
    ) -> Result<(), End> {
        let mut survey = self.survey(&unit, end).map_err(|malformed| Failure::fatal("08P01", malformed.to_string()))?;
        let (mut fill, outcome) = match intent {
            Intent::Fill { permit, plan, .. } => (Some(Fill::Proven { permit, plan }), Outcome::Miss),
            Intent::FillTimed { permit, ttl } => (Some(Fill::Timed { permit, ttl }), Outcome::Miss),
            Intent::Pass(reason) => (None, Outcome::Bypass(reason)),
        };
        let reads = self.is_read(&survey);
        survey.reads = reads;
        // A batch that goes on after this unit may write yet, and all of it goes to one server.
        let may_go_on = matches!(end, UnitEnd::Flush | UnitEnd::Open);
        let anywhere = survey.runs.iter().flatten().chain(&survey.touches).all(|plan| plan.place == Place::Anywhere);
        // A replica refuses SERIALIZABLE, whether a statement or the session's default asks for it.
        let plain = self.settings.is_plain();
        let mut to_primary = !reads || !anywhere || !plain || may_go_on || self.shared.config.pool == PoolMode::Session;
        // A hint counts for its statement as the level does for the session.
        let strong = |plan: &Arc<Plan>| plan.hint.level == Some(Level::Strong);
        to_primary |= survey.runs.iter().flatten().any(strong);
        // A replica's answer would be older than the clock says.
        to_primary |= matches!(fill, Some(Fill::Timed { .. }));
        let catalog = self.heard && survey.runs.iter().flatten().any(|plan| plan.may_change_catalog);
        if catalog {
            // Before, since the catalog may change while the answer is on its way; and after, since only then it has.
            self.catalog_touched();
        }
        for _ in 0..TRIES {
            if let Some(filling) = &mut fill
                && let Err(refusal) = filling.begin(Moment::now())
            {
                self.shared.telemetry.fill_refused(refusal.label());
                fill = None;
            }
            let side = match self.hold(to_primary, end).await? {
                Some(side) => side,
                None => return Ok(()),
            };
            if !reads && self.status == b'I' && !self.is_mid_batch() {
                self.know_state().await?;
            }
            let reported = self.reported_before_reset(&survey, end);
            let sent = Moment::now();
            let (round, server) = self.exchange(&unit, end, &survey, fill.as_ref(), side).await?;
            let answered = Moment::now();
            let upstream = answered.since(sent);
            if let Some(again) = round.again {
                match again {
                    Again::OnPrimary => {
                        to_primary = true;
                        for plan in survey.runs.iter().flatten() {
                            self.shared.common.plans.learn_write(&plan.identity);
                        }
                    }
                    Again::Lost => to_primary = true,
                    Again::Reprepared => self.forget_prepared(&survey).await?,
                }
                self.settle(round.status.unwrap_or(b'I')).await?;
                continue;
            }
            self.after(&survey, &round, end);
            if let (Some(reported), Some(_)) = (reported, round.status) {
                self.restart_settings(&reported).await?;
            }
            self.shared.telemetry.request(&Record {
                kind: if end == UnitEnd::Query { "simple" } else { "extended" },
                destination: if side == Side::Replica { "replica" } else { "primary" },
                outcome: if reads { outcome } else { Outcome::Write },
                total: answered.since(began),
                upstream: Some(upstream),
            });
            let ready = round.status;
            if let Some(filling) = fill {
                self.store(filling, round, side, upstream, &server);
            }
            if let Some(status) = ready {
                self.client.flush().await?;
                self.settle(status).await?;
            }
            return Ok(());
        }
        self.fail(Failure::error("40001", "the statement was refused by every server that was tried"), end)
    }

    /// Whether every execution of the unit is a proven read that may run anywhere.
    fn is_read(&self, survey: &Survey) -> bool {
        let plans = || survey.runs.iter().flatten().chain(&survey.touches);
        survey.runs.iter().all(Option::is_some)
            && (!survey.runs.is_empty() || !survey.touches.is_empty())
            && plans().all(|plan| {
                matches!(plan.kind, Kind::Read)
                    && plan.pin.is_none()
                    && !self.shared.common.plans.is_learned_write(&plan.identity)
            })
    }

    /// Sends the unit and relays the answer, copy data of the client included.
    async fn exchange(
        &mut self,
        unit: &Bytes,
        end: UnitEnd,
        survey: &Survey,
        fill: Option<&Fill>,
        side: Side,
    ) -> Result<(Round, Arc<Server>), End> {
        let held_back = (self.status == b'I' && !self.is_mid_batch() && end != UnitEnd::Open && end != UnitEnd::Flush)
            .then_some(self.client.output.len());
        let mut round = Round {
            capture: fill.map(|_| Capture::new(self.shared.cache.as_ref().map_or(0, |cache| cache.entry_limit()))),
            held_back: held_back.filter(|_| side == Side::Replica || !survey.earlier.is_empty()),
            on_replica: side == Side::Replica,
            mute_parameters: self.reported_before_reset(survey, end).is_some(),
            tick: Moment::now().micros(),
            ..Round::default()
        };
        let beside = if matches!(fill, Some(Fill::Proven { .. })) {
            Beside::Proof
        } else if self.learns_from(survey, end) {
            Beside::High
        } else {
            Beside::Nothing
        };
        let mut held = self.held.take().expect("a connection was leased for this unit");
        let server = Arc::clone(&held.lease.server);
        let _request = server.request();
        let mut flow = std::mem::take(&mut held.flow);
        let mut carried = std::mem::take(&mut held.lease.carried);
        let mut composer = Composer::new(&mut flow, &mut carried, round.tick);
        composer.out.reserve(unit.len());
        self.compose(unit, end, survey, (beside, side), &mut composer, &mut round);
        let mut out = composer.out;
        held.flow = flow;
        held.lease.carried = carried;
        self.registration.running.begin(&server, &held.lease.key);
        let pumped = self.relay_in_time(&mut held, &mut out, &mut round).await;
        self.registration.running.end().await;
        // Without its ReadyForQuery a batch goes on: a Flush, or a copy whose error came before the client's Sync.
        held.batch_open = round.status.is_none();
        self.held = Some(held);
        match pumped {
            Ok(()) => Ok((round, server)),
            Err(Broken::Client(error)) => Err(error.into()),
            // All of the answer was relayed but its end: what was still to come were questions of our own.
            Err(broken) if end != UnitEnd::Call && self.is_answered(survey, &round) => {
                tracing::debug!(server = server.name(), %broken, "a server left after its answer");
                self.held = None;
                if round.status.is_none() {
                    put_ready(&mut self.client.output, b'I');
                    round.status = Some(b'I');
                }
                self.seen.raise_to_moment(Moment::now());
                Ok((round, server))
            }
            // Nothing of the answer was relayed, and a read has no effect.
            Err(broken)
                if side == Side::Replica
                    && let Some(mark) = round.held_back =>
            {
                tracing::debug!(server = server.name(), %broken, "a read is sent to the primary instead");
                self.client.output.truncate(mark);
                self.held = None;
                round.again = Some(Again::Lost);
                Ok((round, server))
            }
            Err(broken) => Err(self.lost(broken).await),
        }
    }

    /// Whether reads outside a transaction block have been answered whole, but perhaps for the ReadyForQuery.
    fn is_answered(&self, survey: &Survey, round: &Round) -> bool {
        survey.reads
            && self.status == b'I'
            && !survey.runs.is_empty()
            && round.done.len() == survey.runs.len()
            && !round.failed
            && round.again.is_none()
            && self.held.as_ref().is_some_and(|held| !held.flow.owes_client())
    }

    pub(super) async fn relay(&mut self, held: &mut Held, out: &mut BytesMut, round: &mut Round) -> Result<(), Broken> {
        loop {
            held.pump(out, &mut self.client, round).await?;
            if !round.copy_in {
                return Ok(());
            }
            super::copy::copy_in(held, &mut self.client, round).await?;
        }
    }

    /// Whether it is worth learning how far the unit's reads may have seen: they could be followed by a hit or by a read of a
    /// replica that is behind.
    fn learns_from(&self, survey: &Survey, end: UnitEnd) -> bool {
        self.learns_positions()
            && self.status == b'I'
            && matches!(end, UnitEnd::Sync | UnitEnd::Query)
            && !self.is_mid_batch()
            && !survey.runs.is_empty()
            && survey.reads
            && survey.reads_rows()
    }

    /// Which statement's plan was outdated is not told: all that the batch bound are parsed again.
    async fn forget_prepared(&mut self, survey: &Survey) -> Result<(), End> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, 0);
        for statement in &survey.earlier {
            composer.close_own(statement.number);
        }
        composer.sync_own();
        let mut out = composer.out;
        match held.pump(&mut out, &mut self.client, &mut Round::default()).await {
            Ok(()) => Ok(()),
            Err(broken) => Err(self.lost(broken).await),
        }
    }
}
