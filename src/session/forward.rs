//! The way of a unit that needs a server: what it does, where it goes, what is learned beside its answer.

use super::client::{Unit, UnitEnd};
use super::compose::{Beside, Side};
use super::composer::Composer;
use super::deferred::Standing;
use super::exchange::{Broken, Held};
use super::flow::Probe;
use super::outcome::{NOBODY, may_end_unseen};
use super::round::{Again, Capture, Round};
use super::serve::{Intent, Understood};
use super::settle::Fill;
use super::survey::Survey;
use super::{End, Session};
use crate::route::destination::Reason;
use crate::route::plan::{Kind, Plan};
use crate::telemetry::{Outcome, Record};
use crate::types::Moment;
use crate::upstream::{Measure, PassedOver, Server};
use crate::wire::backend::{Failure, put_failure, put_ready};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How often a batch whose answer was held back may be sent: to a replica, to the primary instead, there without questions of our own, and
/// with its statements prepared anew.
const TRIES: usize = 4;

/// A unit on its way to a server.
pub(super) struct Errand {
    unit: Bytes,
    end: UnitEnd,
    pub survey: Survey,
    fill: Option<Fill>,
    /// What becomes of it, if nothing comes in between.
    pub outcome: Outcome,
    /// Why it has to go to the primary, if it has.
    pub tied: Option<Reason>,
    standing: Standing,
    began: Moment,
}

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

    /// What is to be done for a unit, before anything is sent.
    pub(super) fn errand(&mut self, unit: Unit, (intent, understood): (Intent, Understood), began: Moment) -> Errand {
        let end = unit.end;
        let unit = self.client.take(unit);
        let mut survey = self.survey(&unit, end, understood);
        survey.reads = self.is_read(&survey);
        let (fill, outcome) = match intent {
            Intent::Fill { permit, plan, .. } => (Some(Fill::Proven { permit, plan }), Outcome::Miss),
            Intent::FillTimed { permit, ttl } => (Some(Fill::Timed { permit, ttl }), Outcome::Miss),
            Intent::Pass(reason) => (None, Outcome::Bypass(reason)),
            Intent::Wait(_) => (None, Outcome::Bypass("flight_slow")),
        };
        // What is not understood may write, but what it is to be counted as is the reason.
        let understood = !survey.runs.iter().flatten().any(|plan| plan.is_not_understood());
        let writes = understood && !survey.reads && !survey.is_control();
        let outcome = if writes { Outcome::Write } else { outcome };
        let tied = self.tied(&survey, end, fill.as_ref());
        survey.is_request = self.deferred.is_some() && self.request(&unit, end).is_some();
        let standing = self.standing(&survey, fill.is_some());
        let tied = tied.or(match standing {
            Standing::Begins { .. } => Some(Reason::InTransaction),
            Standing::Alone if !self.is_deferred_read_only() => Some(Reason::InTransaction),
            Standing::Within | Standing::Alone => None,
        });
        Errand { unit, end, survey, fill, outcome, tied, standing, began }
    }

    /// Sends a unit to a server and relays its answer.
    pub(super) async fn forward(&mut self, errand: &mut Errand) -> Result<(), End> {
        let end = errand.end;
        // Whatever this unit waits for, the client has what it asked for before.
        if !self.client.output.is_empty() {
            Box::pin(self.client.flush()).await?;
        }
        if self.heard && errand.survey.runs.iter().flatten().any(|plan| plan.may_change_catalog) {
            // Before, since the catalog may change while the answer is on its way; and after, since only then it has.
            self.catalog_touched();
        }
        if self.listening.is_some() && !Box::pin(self.before_sending(&errand.survey, &mut errand.standing, end)).await?
        {
            return Ok(());
        }
        for _ in 0..TRIES {
            if let Some(filling) = &mut errand.fill
                && let Err(refusal) = filling.begin(Moment::now())
            {
                self.shared.telemetry.fill_refused(refusal.label());
                errand.fill = None;
            }
            if self.waits_for_replica(errand) && !Box::pin(self.await_replica(end)).await? {
                return Ok(());
            }
            let Some(way) = self.hold(errand.tied, end).await? else { return Ok(()) };
            let side = way.side;
            if errand.survey.names_last_of_sequence() {
                self.shared.common.asks_sequences.store(true, Ordering::Release);
            }
            errand.survey.others_sequence = errand.survey.asks_sequence().filter(|_| self.counts_for_another());
            if side == Side::Replica
                && self.held.as_ref().is_some_and(|held| held.lease.server.measure() == Measure::Time)
            {
                // Nothing is proven by what such a replica shows.
                errand.fill = None;
            }
            if self.listening.is_some() && !errand.survey.reads {
                Box::pin(self.tell_own_apart()).await?;
            }
            if errand.standing == Standing::Alone && !self.may_stand_alone(side, errand.fill.is_some()) {
                errand.standing = self.begins();
            }
            if errand.tied.is_some()
                && !self.carries_by_name(&errand.survey)
                && !Box::pin(self.put_by_name(&mut errand.survey, end)).await?
            {
                return Ok(());
            }
            let begins = matches!(errand.standing, Standing::Begins { .. });
            let may_move = begins || (!errand.survey.reads && self.status == b'I' && !self.is_mid_batch());
            if may_move && !self.knows_state() {
                Box::pin(self.know_state()).await?;
            }
            if !self.knows_shapes(&errand.survey) {
                if !Box::pin(self.ask_shapes(&mut errand.survey, end)).await? {
                    return Ok(());
                }
                if self.held.is_none() {
                    errand.tied = Some(Reason::ReplicaLost);
                    continue;
                }
            }
            let reported = self.reported_before_reset(&errand.survey, end);
            let sent = Moment::now();
            let least = match self.demand(sent) {
                Ok(least) => least,
                Err(why) => {
                    errand.tied = Some(Reason::NoneFit(why));
                    self.settle(b'I', None).await?;
                    continue;
                }
            };
            let mut round = Round {
                told: (errand.standing == Standing::Alone).then_some(b'T'),
                begins,
                on_replica: side == Side::Replica,
                running: (side == Side::Replica).then(|| Arc::clone(&self.registration.running)),
                least,
                mute_parameters: reported.is_some(),
                keeps_ready: self.listening.is_some(),
                cut: self.cut().map(Box::new),
                tick: sent.micros(),
                ..Round::default()
            };
            let server = self.exchange(errand, &mut round).await?;
            if let (Some(cut), Some(listening)) = (round.cut.take(), &mut self.listening) {
                listening.backlog.unsplit(cut.behind);
            }
            let answered = Moment::now();
            let upstream = answered.since(sent);
            if round.may_not_ask {
                self.may_not_ask();
            }
            if let Some(again) = round.again {
                match again {
                    Again::Unasked => errand.fill = None,
                    Again::OnPrimary => {
                        // What writes belongs into its transaction, and into no cache.
                        errand.tied = Some(Reason::RefusedByReplica);
                        errand.standing = self.begins();
                        errand.fill = None;
                        for plan in errand.survey.runs.iter().flatten() {
                            self.shared.common.plans.learn_write(&plan.identity);
                        }
                    }
                    Again::Lost => errand.tied = Some(Reason::ReplicaLost),
                    Again::Failed => errand.tied = Some(Reason::FailedOnReplica),
                    Again::Behind => {
                        server.doubt();
                        errand.tied = Some(Reason::NoneFit(PassedOver::NotAsSeen));
                    }
                    Again::Reprepared => Box::pin(self.forget_prepared(&errand.survey)).await?,
                }
                self.settle(round.status.unwrap_or(b'I'), None).await?;
                if again != Again::OnPrimary && self.registration.running.was_cancelled() {
                    return self.fail(Failure::error("57014", "canceling statement due to user request"), end);
                }
                continue;
            }
            self.after(&errand.survey, &round, end, &errand.standing);
            if let (Some(reported), Some(_)) = (reported, round.status) {
                Box::pin(self.restart_settings(&reported)).await?;
            }
            self.shared.telemetry.request(&Record {
                kind: if end == UnitEnd::Query { "simple" } else { "extended" },
                destination: if side == Side::Replica { "replica" } else { "primary" },
                outcome: errand.outcome,
                total: answered.since(errand.began),
                upstream: Some(upstream),
            });
            let (ready, state) = (round.status, round.state.take());
            if round.kept_ready {
                Box::pin(self.hear()).await?;
                self.ready();
            }
            self.note(errand, &way, &server, (upstream, answered));
            if let Some(filling) = errand.fill.take() {
                self.store(filling, round, side, upstream, &server);
            }
            if let Some(status) = ready {
                self.client.flush().await?;
                self.settle(status, state).await?;
            }
            return Ok(());
        }
        self.fail(Failure::error("40001", "the statement was refused by every server that was tried"), end)
    }

    /// Whether the held connection's sequences have counted for another session since this one's last draw, or not for that draw.
    fn counts_for_another(&self) -> bool {
        self.held.as_ref().is_some_and(|held| {
            let (drawer, own) = (held.lease.carried.drawer, self.registration.process);
            drawer != 0 && (drawer != own || held.lease.key.process != self.drew_on)
        })
    }

    /// Whether every execution of the unit is a proven read that may run anywhere.
    fn is_read(&self, survey: &Survey) -> bool {
        let plans = || survey.runs.iter().flatten().chain(&survey.touches);
        survey.runs.iter().all(Option::is_some)
            && (!survey.runs.is_empty() || !survey.touches.is_empty())
            && plans().all(|plan| matches!(plan.kind, Kind::Read) && plan.pin.is_none() && !self.is_learned_write(plan))
    }

    /// Sends the unit and relays the answer, copy data of the client included.
    async fn exchange(&mut self, errand: &Errand, round: &mut Round) -> Result<Arc<Server>, End> {
        let Errand { unit, survey, fill, standing, .. } = errand;
        let end = errand.end;
        let side = if round.on_replica { Side::Replica } else { Side::Primary };
        let mid_batch = self.is_mid_batch();
        let outside = (*standing == Standing::Alone || self.status == b'I') && !mid_batch;
        let whole = matches!(end, UnitEnd::Sync | UnitEnd::Query);
        let held_back = (outside && end != UnitEnd::Open && end != UnitEnd::Flush).then_some(self.client.output.len());
        round.capture =
            fill.as_ref().map(|_| Capture::new(self.shared.cache.as_ref().map_or(0, |cache| cache.entry_limit())));
        // What commits before its end must not be sent again.
        let ends_unseen = || survey.runs.iter().flatten().any(|plan| may_end_unseen(plan, false));
        round.held_back = held_back.filter(|_| side == Side::Replica || (!survey.earlier.is_empty() && !ends_unseen()));
        round.least = round.least.filter(|_| held_back.is_some());
        let beside = if matches!(fill, Some(Fill::Proven { .. })) {
            Beside::Proof
        } else if outside && whole && self.learns_from(survey) {
            Beside::High
        } else if outside && whole && self.ends_as_write(survey) {
            let look = self.checks_state().then(|| self.look(survey.may_leave_anything()));
            Beside::Behind { position: self.learns_positions(), state: look }
        } else {
            Beside::Nothing
        };
        round.behind = matches!(beside, Beside::Behind { .. });
        round.abandonable = outside && whole && survey.reads && self.client.input.is_empty();
        let counts_for_another = self.counts_for_another();
        let mut held = self.held.take().expect("a connection was leased for this unit");
        let server = Arc::clone(&held.lease.server);
        let request = server.request();
        let room = std::mem::take(&mut held.lease.output);
        let Held { lease, flow, .. } = &mut held;
        let mut composer = Composer::within(room, flow, &mut lease.carried, round.tick);
        composer.out.reserve(unit.len());
        // In a block it would take the transaction's snapshot, and end the client's unnamed portal.
        let is_before_block = match standing {
            Standing::Begins { .. } => true,
            Standing::Within => {
                let may_draw = !whole || survey.may_draw() || survey.opens_block();
                may_draw && self.status == b'I' && !mid_batch
            }
            Standing::Alone => false,
        };
        if is_before_block && counts_for_another && self.shared.common.asks_sequences.load(Ordering::Acquire) {
            // What it gave others is not to be taken for what it gives this session.
            composer.query_own("DISCARD SEQUENCES", Probe::Effect);
            composer.carried.drawer = 0;
        }
        if let Standing::Begins { begin, failed } = standing {
            composer.begin(begin, *failed);
            self.deferred = None;
        }
        if self.unseen
            && self.status == b'T'
            && survey.sets_modes()
            && !mid_batch
            && self.statements.portal(b"").is_none()
        {
            // PostgreSQL permits it only before the first query (`check_transaction_isolation` in variable.c).
            composer.query_own("SELECT 1", Probe::Effect);
        }
        if let Some(Fill::Proven { plan, .. }) = fill
            && let Ok(recipe) = &plan.cache
            && !recipe.settings.is_empty()
        {
            composer.settings(&self.expected(recipe));
        }
        self.compose(unit, end, survey, (beside, side), &mut composer, round);
        let mut out = composer.end();
        self.registration.running.begin(&server, &held.lease.key);
        let pumped = self.relay_in_time(&mut held, &mut out, round).await;
        drop(request);
        held.lease.put_back(out);
        if pumped.as_ref().is_err_and(Broken::is_of_server) {
            server.doubt();
        }
        if let Some(mark) = round.disowned {
            self.client.output.truncate(mark);
        }
        if matches!(pumped, Err(Broken::InVain)) {
            tracing::debug!(server = server.name(), "a read on a replica is given up and cancelled there");
            let (upstream, server, key) =
                (Arc::clone(&self.shared.upstream), Arc::clone(&server), held.lease.key.clone());
            tokio::spawn(async move { upstream.cancel(&server, &key).await });
        }
        if matches!(pumped, Err(Broken::Deserted)) {
            tracing::debug!(server = server.name(), "a client left for good, and its read is cancelled");
            let (running, upstream) = (Arc::clone(&self.registration.running), Arc::clone(&self.shared.upstream));
            Box::pin(async move { running.cancel(&upstream).await }).await;
        }
        if !self.registration.running.end() && !Box::pin(self.registration.running.spared()).await {
            held.is_unsure = true;
        }
        if round.own_error.is_some() && held.lease.carried.drawer == 0 {
            // By a timeout, perhaps, they were not told to forget what they gave another.
            held.lease.carried.drawer = NOBODY;
        }
        // Without its ReadyForQuery a batch goes on: a Flush, or a copy whose error came before the client's Sync.
        // So it does, from 18 on, behind a simple query in it (`XACT_FLAGS_PIPELINING` in postgres.c): only its Sync commits.
        let goes_on = mid_batch && self.status == b'I' && round.status == Some(b'T');
        held.batch_open = round.status.is_none() || goes_on;
        held.mixed |= goes_on;
        let is_mid_frame = held.is_mid_frame();
        self.held = Some(held);
        match pumped {
            Ok(()) => Ok(server),
            Err(Broken::Client(error)) => Err(error.into()),
            Err(Broken::Deserted) => Err(End::Client(std::io::ErrorKind::ConnectionReset.into())),
            // All of the answer was relayed but its end: what was still to come were questions of our own.
            Err(broken) if outside && end != UnitEnd::Call && self.is_answered(survey, round) => {
                tracing::debug!(server = server.name(), %broken, "a server left after its answer");
                self.end_without_server(round);
                Ok(server)
            }
            // It stopped the read, which is to be asked elsewhere, and then ended the connection.
            Err(broken) if side == Side::Replica && round.again.is_some() => {
                tracing::debug!(server = server.name(), %broken, "a replica left after it had refused a read");
                self.held = None;
                Ok(server)
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
                Ok(server)
            }
            // What was relayed cannot be taken back, and another server would give other rows.
            Err(broken)
                if side == Side::Replica
                    && whole
                    && survey.reads
                    && broken.is_of_server()
                    && !is_mid_frame
                    && !self.keeps_connection() =>
            {
                tracing::debug!(server = server.name(), %broken, "a replica was lost in the middle of an answer");
                if round.status.is_none() && !round.failed {
                    round.failed = true;
                    let text = format!("the replica was lost in the middle of its answer: {broken}");
                    put_failure(&mut self.client.output, &Failure::error("40001", text));
                }
                self.end_without_server(round);
                Ok(server)
            }
            Err(broken) => Err(Box::pin(self.lost(broken)).await),
        }
    }

    /// The server is gone that has answered a read outside a transaction of its, and the client is owed the end.
    fn end_without_server(&mut self, round: &mut Round) {
        self.held = None;
        if round.status.is_none() {
            round.kept_ready = round.keeps_ready && round.told.is_none();
            if !round.kept_ready {
                let told = round.told.unwrap_or(b'I');
                put_ready(&mut self.client.output, if told == b'T' && round.failed { b'E' } else { told });
            }
            round.status = Some(b'I');
        }
        // How far it had come is not known.
        self.seen.raise_to_moment(Moment::now());
    }

    /// Whether reads outside a transaction block have been answered whole, but perhaps for the ReadyForQuery.
    fn is_answered(&self, survey: &Survey, round: &Round) -> bool {
        survey.reads
            && !survey.runs.is_empty()
            && round.done.len() == survey.runs.len()
            && !round.failed
            && round.again.is_none()
            && self.held.as_ref().is_some_and(|held| !held.flow.owes_client())
            // With its connection a session would lose what it is pinned to, and not be told.
            && !self.keeps_connection()
    }

    pub(super) async fn relay(&mut self, held: &mut Held, out: &mut BytesMut, round: &mut Round) -> Result<(), Broken> {
        loop {
            let is_still = match held.pump(out, &mut self.client, round).await {
                Err(Broken::Still) => true,
                pumped => pumped.map(|()| false)?,
            };
            if is_still {
                Box::pin(self.look_after(held, round)).await?;
                continue;
            }
            if !round.copy_in {
                return Ok(());
            }
            Box::pin(super::copy::copy_in(held, &mut self.client, round)).await?;
        }
    }

    /// Whether it is worth learning how far the unit's reads may have seen: they could be followed by a hit or by a read of a
    /// replica that is behind.
    fn learns_from(&self, survey: &Survey) -> bool {
        self.learns_positions() && !survey.runs.is_empty() && survey.reads && survey.reads_rows()
    }

    /// Whether the unit writes and is surely a transaction by itself, so that questions may follow right behind it: nothing in it
    /// opens a block, asks for the client's data, or must be heard of before the client hears of its end.
    fn ends_as_write(&self, survey: &Survey) -> bool {
        let plain = |plan: &Arc<Plan>| {
            matches!(plan.kind, Kind::Write | Kind::Read | Kind::Execute { .. }) && !plan.may_change_catalog
        };
        (self.learns_positions() || self.checks_state())
            && self.shared.ttl.load().is_empty()
            && !survey.reads
            && !survey.runs.is_empty()
            && survey.runs.iter().all(|plan| plan.as_ref().is_some_and(plain))
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
        self.pump_own(&mut out, &mut Round::default()).await.map(drop)
    }
}
