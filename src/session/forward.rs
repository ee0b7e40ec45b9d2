//! The way of a unit that needs a server: which one, with which settings, what it is to prove, and what its answer
//! means for the session.

use super::client::UnitEnd;
use super::compose::{Beside, Composer, Side, Survey};
use super::exchange::{Again, Broken, Capture, Held, Round};
use super::flow::Probe;
use super::serve::Intent;
use super::{Block, End, Session};
use crate::cache::{Filled, StoreRefusal};
use crate::coherence::{Evidence, StreamState};
use crate::config::PoolMode;
use crate::route::destination::{Choice, Reason, choose};
use crate::route::plan::{Isolation, Kind, PinReason, Place, SettingChange, TransactionControl};
use crate::telemetry::{Outcome, Record};
use crate::types::{Level, Lsn, Moment, Snapshot};
use crate::upstream::{LeaseError, Server};
use crate::wire::backend::{Failure, column};
use bytes::{Bytes, BytesMut};

use std::sync::Arc;
use std::time::Duration;

/// How long a session waits for the primary to show what it has seen on a replica, and between two looks.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(5);
const CATCH_UP_PAUSE: Duration = Duration::from_millis(2);

/// How often a batch whose answer was held back may be sent again.
const TRIES: usize = 3;

/// A fill under way.
struct Fill {
    permit: crate::cache::Permit,
    plan: Arc<crate::route::plan::Plan>,
}

impl Session {
    /// Whether messages were sent upstream whose Sync has not come.
    pub(super) fn is_mid_batch(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.batch_open)
    }

    /// A connection broke: what the client is told.
    pub(super) async fn lost(&mut self, broken: Broken) -> End {
        self.held = None;
        match broken {
            Broken::Client(error) => End::Client(error),
            Broken::Fatal(frame) => {
                self.client.output.extend_from_slice(&frame);
                match self.client.flush().await {
                    Ok(()) => End::Closed,
                    Err(error) => End::Client(error),
                }
            }
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
        let survey = self.survey(&unit, end).map_err(|malformed| Failure::fatal("08P01", malformed.to_string()))?;
        let (mut fill, outcome) = match intent {
            Intent::Fill { permit, plan, .. } => (Some(Fill { permit, plan }), Outcome::Miss),
            Intent::Pass(reason) => (None, Outcome::Bypass(reason)),
            Intent::Wait(_) => (None, Outcome::Bypass("flight_slow")),
        };
        let reads = self.is_read(&survey);
        // A batch that goes on after this unit may write yet, and all of it goes to one server.
        let may_go_on = matches!(end, UnitEnd::Flush | UnitEnd::Open);
        let anywhere = survey.runs.iter().flatten().chain(&survey.touches).all(|plan| plan.place == Place::Anywhere);
        let mut to_primary = !reads || !anywhere || may_go_on || self.shared.config.pool == PoolMode::Session;
        let catalog = self.heard && survey.runs.iter().flatten().any(|plan| plan.may_change_catalog);
        if catalog {
            // Before, since the catalog may change while the answer is on its way; and after, since only then it has.
            self.catalog_touched();
        }
        for _ in 0..TRIES {
            if let Some(filling) = &mut fill
                && let Err(refusal) = filling.permit.begin_fill(Moment::now())
            {
                self.shared.telemetry.fill_refused(refusal.label());
                fill = None;
            }
            let side = match self.hold(to_primary, end).await? {
                Some(side) => side,
                None => return Ok(()),
            };
            let sent = Moment::now();
            let (round, server) = self.exchange(&unit, end, &survey, fill.is_some(), side).await?;
            let upstream = Moment::now().since(sent);
            if let Some(again) = round.again {
                match again {
                    Again::OnPrimary => {
                        to_primary = true;
                        for plan in survey.runs.iter().flatten() {
                            self.shared.common.plans.learn_write(&plan.identity);
                        }
                    }
                    Again::Reprepared => self.forget_prepared(&survey).await?,
                }
                self.settle(round.status.unwrap_or(b'I')).await?;
                continue;
            }
            self.after(&survey, &round, end);
            self.shared.telemetry.request(&Record {
                kind: if end == UnitEnd::Query { "simple" } else { "extended" },
                destination: if side == Side::Replica { "replica" } else { "primary" },
                outcome: if reads { outcome } else { Outcome::Write },
                total: Moment::now().since(began),
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

    /// Gets a connection for the unit, or keeps the one that is held. `None`: the client was told why not.
    async fn hold(&mut self, to_primary: bool, end: UnitEnd) -> Result<Option<Side>, End> {
        let primary = Arc::clone(self.shared.upstream.primary());
        if let Some(held) = &self.held {
            // Replicas are held for one unit at a time: what is held longer is the primary's.
            let side = self.side(&held.lease.server);
            if !held.batch_open && self.status == b'I' {
                self.put_settings().await?;
            }
            return Ok(Some(side));
        }
        let destination = if to_primary {
            Choice { server: Arc::clone(&primary), reason: Reason::NotARead }
        } else {
            let floor = (!self.floor_unknown).then_some(&self.floor);
            choose(&self.shared.upstream, &self.shared.coherence, self.level, floor)
        };
        if let Reason::NoneFit(passed_over) = destination.reason {
            self.shared.telemetry.passed_over(passed_over.label());
        }
        let leased = match self.lease(&destination.server).await {
            Err(LeaseError::Saturated(_) | LeaseError::Unreachable { .. })
                if !Arc::ptr_eq(&destination.server, &primary) =>
            {
                self.lease(&primary).await
            }
            leased => leased,
        };
        let lease = match leased {
            Ok(lease) => lease,
            Err(LeaseError::Saturated(waited)) => {
                let text = format!("no server connection became free within {waited:?}: the pool is saturated");
                return self.fail(Failure::error("53300", text), end).map(|()| None);
            }
            Err(error @ LeaseError::Unreachable { .. }) => {
                return Err(Failure::fatal("08006", error.to_string()).into());
            }
            Err(LeaseError::Refused { frame, .. }) => {
                self.client.output.extend_from_slice(&frame);
                self.client.flush().await?;
                return Err(End::Closed);
            }
        };
        let side = self.side(&lease.server);
        self.held = Some(Held::new(lease));
        self.put_settings().await?;
        if side == Side::Primary {
            self.catch_up().await?;
        }
        Ok(Some(side))
    }

    /// A replica replays a commit that the primary, which waits for a synchronous standby, does not show yet: a session that saw
    /// it there must not read the primary before the primary shows it too.
    async fn catch_up(&mut self) -> Result<(), End> {
        // Without a stream nothing tells what a snapshot shows; and there are no hits that could be ahead either.
        let is_heard = self.shared.coherence.state() == StreamState::Live;
        if self.ahead == Lsn::ZERO || self.level == Level::Bounded || !is_heard {
            return Ok(());
        }
        let began = Moment::now();
        loop {
            let row = self.ask("SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text").await?;
            let snapshot: Option<Snapshot> = row
                .as_ref()
                .and_then(|row| column(row, 0))
                .and_then(|text| std::str::from_utf8(text).ok())
                .and_then(|text| text.parse().ok());
            if let Some(snapshot) = snapshot {
                self.shared.coherence.saw_snapshot(&snapshot);
                if self.shared.coherence.shows_up_to(&snapshot, self.ahead) {
                    self.ahead = Lsn::ZERO;
                    return Ok(());
                }
            }
            if Moment::now().since(began) > CATCH_UP_LIMIT {
                // As stale as a direct connection to the primary would be, and no staler.
                tracing::warn!(position = %self.ahead, "the primary does not show yet what this session has read from a replica");
                return Ok(());
            }
            tokio::time::sleep(CATCH_UP_PAUSE).await;
        }
    }

    fn side(&self, server: &Arc<Server>) -> Side {
        if Arc::ptr_eq(server, self.shared.upstream.primary()) { Side::Primary } else { Side::Replica }
    }

    async fn lease(&self, server: &Arc<Server>) -> Result<crate::upstream::Lease, LeaseError> {
        server.lease(&self.account, &self.database).await
    }

    /// Puts this session's settings on the held connection, where they differ from what it carries.
    pub(super) async fn put_settings(&mut self) -> Result<(), End> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let mut statements = Vec::new();
        let wanted = self.settings.current();
        let carried = &held.lease.carried.settings;
        for name in carried.keys().filter(|name| !wanted.contains_key(*name)) {
            statements.push(format!("RESET \"{}\"", name.replace('"', "\"\"")));
        }
        for (name, setting) in wanted {
            if carried.get(name) != Some(&setting.replay) {
                statements.push(setting.replay.to_string());
            }
        }
        if statements.is_empty() {
            return Ok(());
        }
        let mut round = Round { mute_parameters: true, ..Round::default() };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer { out: BytesMut::new(), flow, carried: &mut lease.carried, tick: 0 };
        for statement in &statements {
            composer.query_own(statement, Probe::Effect);
        }
        let mut out = composer.out;
        if let Err(broken) = held.pump(&mut out, &mut self.client, &mut round).await {
            return Err(self.lost(broken).await);
        }
        if let Some(error) = round.own_error {
            // Direct, the setting would have been refused when it was made; here what it stands on may have gone since.
            self.held = None;
            self.client.output.extend_from_slice(&error);
            self.client.flush().await?;
            return Err(End::Closed);
        }
        held.lease.carried.settings =
            wanted.iter().map(|(name, setting)| (name.clone(), Arc::clone(&setting.replay))).collect();
        tracing::trace!(changed = statements.len(), "settings put on a connection");
        Ok(())
    }

    /// Asks the held connection one question of our own; gives the body of the row that answers it.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Option<Bytes>, End> {
        let Some(held) = &mut self.held else { return Ok(None) };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer { out: BytesMut::new(), flow, carried: &mut lease.carried, tick: 0 };
        composer.query_own(sql, Probe::Row);
        let mut out = composer.out;
        let mut round = Round::default();
        match held.pump(&mut out, &mut self.client, &mut round).await {
            Ok(()) => Ok(round.row),
            Err(broken) => Err(self.lost(broken).await),
        }
    }

    /// Sends the unit and relays the answer, copy data of the client included.
    async fn exchange(
        &mut self,
        unit: &Bytes,
        end: UnitEnd,
        survey: &Survey,
        fills: bool,
        side: Side,
    ) -> Result<(Round, Arc<Server>), End> {
        let held_back = (self.status == b'I' && !self.is_mid_batch() && end != UnitEnd::Open && end != UnitEnd::Flush)
            .then_some(self.client.output.len());
        let mut round = Round {
            capture: fills.then(|| Capture::new(self.shared.cache.as_ref().map_or(0, |cache| cache.entry_limit()))),
            held_back: held_back.filter(|_| side == Side::Replica || !survey.earlier.is_empty()),
            on_replica: side == Side::Replica,
            tick: Moment::now().micros(),
            ..Round::default()
        };
        let beside = if fills {
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
        let mut composer = Composer { out: BytesMut::new(), flow: &mut flow, carried: &mut carried, tick: round.tick };
        self.compose(unit, end, survey, (beside, side), &mut composer, &mut round);
        let mut out = composer.out;
        held.flow = flow;
        held.lease.carried = carried;
        self.registration.running.begin(&server, &held.lease.key).await;
        let pumped = self.relay(&mut held, &mut out, end, &mut round).await;
        self.registration.running.end().await;
        // Without its ReadyForQuery a batch goes on: a Flush, or a copy whose error came before the client's Sync.
        held.batch_open = round.status.is_none();
        self.held = Some(held);
        match pumped {
            Ok(()) => Ok((round, server)),
            Err(broken) => Err(self.lost(broken).await),
        }
    }

    async fn relay(
        &mut self,
        held: &mut Held,
        out: &mut BytesMut,
        end: UnitEnd,
        round: &mut Round,
    ) -> Result<(), Broken> {
        let relayed = async {
            if end == UnitEnd::Open {
                return held.push(out, &mut self.client, round).await;
            }
            loop {
                held.pump(out, &mut self.client, round).await?;
                if !round.copy_in {
                    return Ok(());
                }
                super::copy::copy_in(held, &mut self.client, round).await?;
            }
        };
        relayed.await
    }

    /// Whether it is worth learning how far the unit's reads may have seen: they could be followed by a hit or by a read of a
    /// replica that is behind.
    fn learns_from(&self, survey: &Survey, end: UnitEnd) -> bool {
        self.learns_positions()
            && self.status == b'I'
            && matches!(end, UnitEnd::Sync | UnitEnd::Query)
            && !self.is_mid_batch()
            && !survey.runs.is_empty()
            && self.is_read(survey)
            && survey.reads_rows()
    }

    /// What the answers mean for the session's state.
    fn after(&mut self, survey: &Survey, round: &Round, end: UnitEnd) {
        for (name, statement) in survey.prepares.iter().take(round.parsed) {
            self.statements.insert(name, Arc::clone(statement));
        }
        let was_idle = self.status == b'I';
        for (at, plan) in survey.runs.iter().enumerate() {
            let done = round.done.get(at);
            match plan {
                Some(plan) => self.ran(plan, done.map(|tag| &**tag), round, was_idle),
                None => self.wrote_anything(),
            }
        }
        if end == UnitEnd::Query && round.done.len() > 1 {
            self.block = Block::Dirty;
        }
        if let Some(high) = round.high {
            self.raise_floor(high);
            match self.held.as_ref().map(|held| self.side(&held.lease.server)) {
                Some(Side::Primary) => self.floor_unknown = false,
                _ => self.ahead = self.ahead.max(high),
            }
        } else if survey.reads_rows() {
            self.unlearned = true;
        }
        if let (Some(replayed), Some(held)) = (round.replayed, &self.held) {
            held.lease.saw_replayed(replayed);
        }
        if let Some(snapshot) = &round.snapshot {
            self.shared.coherence.saw_snapshot(snapshot);
        }
        if let Some(status) = round.status {
            self.transaction_status(status, round);
        }
    }

    fn wrote_anything(&mut self) {
        self.wrote = true;
        self.block = Block::Dirty;
    }

    /// One execution of a plan. `done`: its command tag, if it succeeded.
    fn ran(&mut self, plan: &crate::route::plan::Plan, done: Option<&[u8]>, round: &Round, was_idle: bool) {
        if !matches!(plan.kind, Kind::Read | Kind::Show(_) | Kind::Empty | Kind::Transaction(_) | Kind::Setting(_)) {
            self.wrote_anything();
        }
        self.touched_catalog |= plan.may_change_catalog && self.heard;
        if let Some(reason) = plan.pin {
            self.pin(reason);
        }
        if done.is_none() || round.failed {
            if matches!(plan.kind, Kind::Setting(_)) && round.status == Some(b'I') && done.is_some() && !was_idle {
                self.pin(PinReason::Opaque);
            }
            return;
        }
        let in_block = round.status != Some(b'I') || !was_idle;
        match &plan.kind {
            Kind::Setting(change) => self.set(change, in_block),
            Kind::Transaction(control) => self.transaction(control, was_idle),
            Kind::Deallocate { name } => match name {
                Some(name) => {
                    self.statements.close(name.as_bytes());
                }
                None => self.deallocated_all(),
            },
            Kind::Unlisten { all: true } => {
                self.pins.remove(&PinReason::Listen);
            }
            _ => {}
        }
    }

    fn set(&mut self, change: &SettingChange, in_block: bool) {
        if *change == SettingChange::DiscardAll {
            for reason in [
                PinReason::TemporaryObject,
                PinReason::Listen,
                PinReason::AdvisoryLock,
                PinReason::HoldCursor,
                PinReason::SqlPrepare,
                PinReason::SessionAuthorization,
                PinReason::Opaque,
            ] {
                self.pins.remove(&reason);
            }
            self.deallocated_all();
        }
        self.settings.apply(change, in_block);
        // A connection carries what was set on it; inside a block a rollback would take it back.
        if let Some(held) = &mut self.held {
            let carried = &mut held.lease.carried.settings;
            if in_block && held.settings_before.is_none() {
                held.settings_before = Some(carried.clone());
            }
            match change {
                SettingChange::Set { local: true, .. } | SettingChange::Reset { local: true, .. } => {}
                SettingChange::Set { name, text, .. } => {
                    carried.insert(name.clone(), text.as_str().into());
                }
                SettingChange::Reset { name, .. } => {
                    carried.remove(name);
                }
                SettingChange::ResetAll => carried.retain(|name, _| name == "role"),
                SettingChange::DiscardAll => carried.clear(),
            }
        }
        self.settings_changed();
    }

    fn deallocated_all(&mut self) {
        self.statements.close_all();
        self.pins.remove(&PinReason::SqlPrepare);
        if let Some(held) = &mut self.held {
            held.lease.carried.prepared.clear();
        }
    }

    fn transaction(&mut self, control: &TransactionControl, was_idle: bool) {
        match control {
            TransactionControl::Begin { isolation, .. } if was_idle => {
                let plain = *isolation != Isolation::Other && self.settings.is_plain();
                self.block = if plain { Block::Clean } else { Block::Dirty };
            }
            TransactionControl::Modes if was_idle => self.pin(PinReason::Opaque),
            TransactionControl::Modes | TransactionControl::TwoPhase => self.wrote_anything(),
            TransactionControl::RollbackToSavepoint if self.settings.changed_in_transaction() => {
                self.pin(PinReason::Opaque);
            }
            TransactionControl::Commit { chain: true } | TransactionControl::Rollback { chain: true } => {
                self.wrote_anything();
            }
            _ => {}
        }
    }

    fn transaction_status(&mut self, status: u8, round: &Round) {
        let was = std::mem::replace(&mut self.status, status);
        if status != b'I' {
            if was == b'I' && self.wrote {
                self.block = Block::Dirty;
            }
            return;
        }
        if std::mem::take(&mut self.touched_catalog) {
            self.catalog_touched();
        }
        self.statements.transaction_ended();
        self.block = Block::Clean;
        let committed = was == b'I' && !round.failed
            || round.done.iter().any(|tag| &**tag == b"COMMIT" || &**tag == b"PREPARE TRANSACTION");
        if let Some(held) = &mut self.held
            && let Some(before) = held.settings_before.take()
            && !committed
        {
            held.lease.carried.settings = before;
        }
        self.settings.ended(committed);
        self.settings_changed();
    }

    /// The catalog may have changed: nothing is served until it has been looked at.
    fn catalog_touched(&mut self) {
        if let Some(feed) = &self.shared.feed {
            feed.doubts().raise();
        }
    }

    fn pin(&mut self, reason: PinReason) {
        if self.pins.insert(reason) {
            tracing::debug!(reason = reason.label(), "session pinned");
            self.shared.telemetry.pinned(reason.label());
        }
    }

    /// The batch is over and the client has its answer: learns what a write amounts to, and gives the connection back if it is clean.
    async fn settle(&mut self, status: u8) -> Result<(), End> {
        if status != b'I' {
            return Ok(());
        }
        let wrote = std::mem::take(&mut self.wrote);
        if std::mem::take(&mut self.unlearned) || wrote {
            self.learn_position().await?;
        }
        let stays = !self.pins.is_empty() || self.shared.config.pool == PoolMode::Session;
        if !stays && let Some(held) = self.held.take() {
            if held.is_clean() {
                held.lease.release();
            } else {
                tracing::debug!("a connection was not clean at the end of a transaction and is closed");
            }
        }
        Ok(())
    }

    /// After a write, or reads whose extent is not known: the position at or past it becomes the session's floor. The client has its answer already.
    async fn learn_position(&mut self) -> Result<(), End> {
        if !self.learns_positions() {
            return Ok(());
        }
        let Some(side) = self.held.as_ref().map(|held| self.side(&held.lease.server)) else { return Ok(()) };
        let Some(held) = &mut self.held else { return Ok(()) };
        let mut round = Round { tick: Moment::now().micros(), ..Round::default() };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer { out: BytesMut::new(), flow, carried: &mut lease.carried, tick: round.tick };
        composer.after(side);
        composer.sync_own();
        let mut out = composer.out;
        match held.pump(&mut out, &mut self.client, &mut round).await {
            Ok(()) => {}
            Err(broken) => return Err(self.lost(broken).await),
        }
        match round.high {
            Some(high) => {
                self.raise_floor(high);
                self.floor_unknown = false;
            }
            None => self.floor_unknown = true,
        }
        Ok(())
    }

    /// Which statement's plan was outdated is not told: all that the batch bound are parsed again.
    async fn forget_prepared(&mut self, survey: &Survey) -> Result<(), End> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer { out: BytesMut::new(), flow, carried: &mut lease.carried, tick: 0 };
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

    fn store(&mut self, fill: Fill, round: Round, side: Side, cost: Duration, server: &Arc<Server>) {
        let telemetry = &self.shared.telemetry;
        let Some(capture) = round.capture else { return };
        let spoiled = capture.spoiled.or((round.failed || round.done.len() != 1).then_some("not_whole"));
        if let Some(reason) = spoiled {
            telemetry.fill_refused(reason);
            let refusal = if reason == "too_large" { StoreRefusal::TooLarge } else { StoreRefusal::NotClean };
            return fill.permit.refuse(refusal);
        }
        let high = match round.high {
            Some(high) => high,
            None => return telemetry.fill_refused("no_position"),
        };
        let evidence = match (side, round.snapshot, round.replayed) {
            (Side::Primary, Some(snapshot), _) => Evidence::Primary { snapshot, high },
            (Side::Replica, _, Some(replayed)) => Evidence::Replica { replayed, high },
            _ => return telemetry.fill_refused("no_proof"),
        };
        let Ok(recipe) = &fill.plan.cache else { return };
        if !self.held.as_ref().is_some_and(|held| held.lease.is_current()) {
            // A server that has begun another life since, or lost its role: positions of another history.
            return telemetry.fill_refused("other_incarnation");
        }
        let filled = Filled { evidence, row_description: capture.description, body: capture.body.freeze(), cost };
        tracing::trace!(server = server.name(), bytes = filled.body.len(), "fill");
        match fill.permit.commit(filled, &recipe.relations, Moment::now()) {
            Ok(()) => telemetry.fill_stored(),
            Err(refusal) => telemetry.fill_refused(refusal.label()),
        }
    }
}
