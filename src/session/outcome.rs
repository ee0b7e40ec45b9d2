//! What a server's answers mean for the session: settings, transaction, pins, floor, and whether it has written.

use super::client::UnitEnd;
use super::deferred::Standing;
use super::namings::Naming;
use super::round::{Described, Done, Round};
use super::settings::{NO_ROLE, is_kept_by_reset_all, is_mode};
use super::shape::hash_of;
use super::survey::Survey;
use super::{Block, Session};
use crate::route::plan::{Isolation, Kind, PinReason, Plan, Refusal, SettingChange, TransactionControl};
use std::sync::Arc;

/// A batch that has been answered in part and has not seen its Sync.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// It is in a transaction block behind what has been answered.
    in_block: bool,
    /// It has failed: nothing runs in it any more.
    failed: bool,
}

/// Whether a statement may end the transaction, or what a batch has done so far, though it is no transaction control by itself.
pub(super) fn may_end_unseen(plan: &Plan, in_block: bool) -> bool {
    if !matches!(plan.kind, Kind::Unproven | Kind::Ddl) {
        return false;
    }
    let text = plan.identity.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    match &plan.kind {
        Kind::Unproven if plan.cache == Err(Refusal::SeveralStatements) => {
            has(&["commit", "end", "rollback", "abort", "prepare"])
        }
        // What no transaction block permits is committed at once, with all that its batch did before it.
        Kind::Unproven if !in_block => begins(&["call", "do", "vacuum"]),
        Kind::Ddl if !in_block => {
            begins(&["cluster", "reindex"])
                || has(&["concurrently", "database", "tablespace", "system", "subscription"])
        }
        _ => false,
    }
}

/// No client's process: theirs have 31 bits.
pub(super) const NOBODY: u32 = u32::MAX;

/// All that the original session user comes to where it is that user already (seen on 15 to 18).
fn no_role() -> SettingChange {
    let values = vec![NO_ROLE.to_owned()];
    SettingChange::Set { name: "role".to_owned(), values, local: false, text: "SET ROLE NONE".to_owned() }
}

impl Session {
    /// What the answers mean for the session's state.
    pub(super) fn after(&mut self, survey: &Survey, round: &Round, end: UnitEnd, standing: &Standing) {
        if end == UnitEnd::Query && round.done.contains(&Done::Deallocated) {
            // One statement of several may have done it.
            self.deallocated_all();
        }
        self.told(survey, round);
        self.sequences_gave(survey, round);
        self.may_have_left |= survey.may_leave_anything();
        if end == UnitEnd::Call && !survey.calls_large_object {
            // A function may do anything, and none that is called so is looked at.
            self.pin(PinReason::Opaque);
        }
        let was_failed = self.open.is_some_and(|open| open.failed);
        let in_block = self.in_turn(survey, round);
        if round.unnamed_lost || (end == UnitEnd::Query && round.status.is_some()) {
            self.statements.close(b"");
        }
        let is_over = |run| round.done.get(run).is_some_and(|done| *done != Done::Suspended);
        if end == UnitEnd::Query || survey.unnamed_run.is_some_and(is_over) {
            // It has run to its end, or a simple query has taken its place.
            self.statements.close_portal(b"");
        }
        self.statements.opened(round.failed || was_failed);
        if self.touched_catalog && round.done.contains(&Done::Committed) {
            // Another transaction may have begun behind it.
            self.catalog_touched();
        }
        if round.failed && !in_block {
            // Whatever the batch has done since its last COMMIT is taken back, even if its Sync is yet to come.
            self.settings_ended(false);
        }
        if end == UnitEnd::Query && round.done.len() > 1 {
            self.block = Block::Dirty;
        }
        if round.least.is_some() {
            self.seen.answered(round.started);
        }
        if let Some(high) = round.high {
            self.learned(high);
            self.unlearned &= !round.behind;
        } else if survey.reads_rows() {
            self.unlearned = true;
        }
        if let (Some(replayed), Some(held)) = (round.replayed, &self.held) {
            held.lease.saw_replayed(replayed);
        }
        // What the primary before shows is said of other transactions.
        if let Some(snapshot) = round.snapshot.as_ref().filter(|_| self.is_of_this_history()) {
            self.shared.coherence.saw_snapshot(snapshot);
        }
        match round.status {
            // Outside, of which the client's transaction knows nothing but a failure.
            Some(_) if *standing == Standing::Alone => {
                self.status = if round.failed { b'E' } else { b'T' };
                self.unseen = true;
            }
            Some(status) => self.transaction_status(status, round.failed || was_failed),
            None => {}
        }
        self.open = round.status.is_none().then_some(Open { in_block, failed: round.failed || was_failed });
    }

    /// A question of ours has failed the batch under way.
    pub(super) fn failed_in_batch(&mut self) {
        let in_block = self.is_in_block();
        self.open = Some(Open { in_block, failed: true });
    }

    /// Whether the session is in a transaction block behind everything that has been answered.
    fn is_in_block(&self) -> bool {
        self.open.map_or(self.status != b'I', |open| open.in_block)
    }

    /// Takes note of names and executions in the order of their messages. `true`: the session is in a transaction block behind them.
    fn in_turn(&mut self, survey: &Survey, round: &Round) -> bool {
        let mut in_block = self.is_in_block();
        let (mut named, mut runs) = (0, 0..survey.runs.len());
        for naming in survey.namings.all() {
            if let Naming::Ran(last, _) = naming {
                let up_to = runs.start..last + 1;
                runs.start = up_to.end;
                up_to.for_each(|at| self.executed(survey, round, at, &mut in_block));
                continue;
            }
            named += 1;
            if named > round.named {
                // It failed, or was skipped.
                continue;
            }
            match naming {
                Naming::Prepared(name, statement) => self.statements.insert(name, Arc::clone(statement)),
                Naming::Closed(name) => {
                    self.statements.close(name);
                    self.closed_by_name(name);
                }
                Naming::ClosedPortal(name) => self.statements.close_portal(name),
                Naming::Ran(..) => {}
            }
        }
        runs.for_each(|at| self.executed(survey, round, at, &mut in_block));
        in_block
    }

    fn executed(&mut self, survey: &Survey, round: &Round, at: usize, in_block: &mut bool) {
        let done = round.done.get(at);
        if done == Some(&Done::Deallocated) {
            self.deallocated_all();
        }
        match survey.runs.get(at).map(Option::as_ref) {
            // It did not run.
            Some(Some(_)) if survey.others_sequence == Some(at) => {}
            Some(Some(plan)) => {
                self.ran(plan, done.copied(), in_block);
                self.ran_settings(plan, survey, at, round);
                self.ran_prepare(plan, survey, at, round);
            }
            Some(None) => {
                if done.is_some() {
                    // What it was, nobody knows any more.
                    self.pin(PinReason::Opaque);
                }
                self.may_be_free |= !self.pins.is_empty();
                self.wrote_anything();
            }
            None => {}
        }
    }

    /// Whom the connection's sequences have given something last: this session, or after any other write of its own perhaps nobody. Then
    /// what another connection gave it may not be the last any more.
    fn sequences_gave(&mut self, survey: &Survey, round: &Round) {
        if survey.reads || survey.is_control() || survey.others_sequence.is_some() {
            return;
        }
        let Some(held) = &mut self.held else { return };
        let (own, here) = (self.registration.process, held.lease.key.process);
        let is_last = held.lease.carried.drawer == own && self.drew_on == here;
        if is_last {
            return;
        }
        (held.lease.carried.drawer, self.drew_on) =
            match survey.may_draw() && !round.failed && held.lease.carried.drawer == 0 {
                true => (own, here),
                false => (NOBODY, 0),
            };
    }

    /// What the client knows of the shape of results by now, and the connection of its statements.
    fn told(&mut self, survey: &Survey, round: &Round) {
        for (statement, Described { parameters, result }) in survey.described.iter().zip(&round.shapes) {
            let Some(statement) = statement else { continue };
            statement.told.tell(*result, survey.catalog);
            if !parameters.is_empty() {
                statement.told.tell_parameters(parameters);
            }
            // What it was before a DEALLOCATE ALL says nothing of what may have been parsed behind it.
            let lasts = statement.is_named && !round.done.contains(&Done::Deallocated);
            if let Some(held) = self.held.as_mut().filter(|_| lasts) {
                let known = held.lease.carried.shapes.entry(statement.number).or_default();
                known.result = *result;
                if !parameters.is_empty() {
                    known.parameters = hash_of(parameters);
                }
            }
        }
        if !round.failed && !self.open.is_some_and(|open| open.failed) {
            // PostgreSQL would have refused another shape.
            survey.blind.iter().for_each(|statement| statement.told.confirm(survey.catalog));
        }
    }

    fn wrote_anything(&mut self) {
        if self.heard && self.shared.catalog.load().writes.may_move() {
            self.settings.doubt_own();
        }
        self.wrote = true;
        self.unlearned = true;
        self.block = Block::Dirty;
    }

    /// One execution of a plan. That it succeeded says nothing of what comes behind it, which may take it back: settings are known
    /// to stay when the transaction ends, be it the batch's own.
    fn ran(&mut self, plan: &Plan, done: Option<Done>, in_block: &mut bool) {
        // A replica may have found out that a read writes after all.
        let harmless = match plan.kind {
            Kind::Read => !self.shared.common.plans.is_learned_write(&plan.identity),
            _ => plan.kind.is_control(),
        };
        if !harmless {
            self.wrote_anything();
        }
        self.touched_catalog |= plan.may_change_catalog && self.heard;
        self.has_savepoints |= plan.cache == Err(Refusal::SeveralStatements) && !plan.kind.is_control();
        self.may_be_free |= !self.pins.is_empty() && plan.kind.may_free();
        let (sets, levels) = (self.settings.changed_in_transaction(), self.levels.changed_in_transaction());
        if (sets || levels) && may_end_unseen(plan, *in_block) {
            // What it has kept of them, and what not, its answer does not tell.
            self.levels.ended_unseen();
            if sets {
                self.pin(PinReason::Opaque);
            }
        }
        // A LISTEN that fails listens to nothing.
        if let Some(reason) = plan.pin
            && (done.is_some() || !matches!(plan.kind, Kind::Listen(_)))
        {
            self.pin(reason);
        }
        let Some(done) = done else { return };
        match &plan.kind {
            Kind::Setting(change) => {
                self.set(change);
                if *change == SettingChange::DiscardAll {
                    // Whatever comes behind it in a batch (`XACT_FLAGS_NEEDIMMEDIATECOMMIT` in postgres.c).
                    self.settings_ended(true);
                }
            }
            Kind::Transaction(control) => self.transaction(control, done == Done::Committed, in_block),
            Kind::Deallocate { name: Some(name) } => {
                self.statements.close(name.as_bytes());
                self.closed_by_name(name.as_bytes());
            }
            _ => {}
        }
    }

    fn ran_settings(&mut self, plan: &Plan, survey: &Survey, at: usize, round: &Round) {
        if let Kind::Settings { changes, .. } = &plan.kind {
            // A text of several is the only execution of its unit.
            let ran = |number: &usize| round.done.get(at + number).is_some();
            changes.iter().filter(|(number, _)| ran(number)).for_each(|(_, change)| self.set(change));
        }
        if !matches!(plan.kind, Kind::SetConfig(_)) || round.done.get(at).is_none() {
            return;
        }
        // In the order of the executions.
        let set = survey.set.binary_search_by_key(&at, |(run, _)| *run).ok().map(|place| &survey.set[place].1);
        match set {
            Some(Some(changes)) => changes.iter().for_each(|change| self.set(change)),
            _ => self.pin(PinReason::Opaque),
        }
    }

    fn set(&mut self, change: &SettingChange) {
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
            self.hear_nothing();
        }
        if self.set_own(change, true) {
            return;
        }
        if matches!(change, SettingChange::Reset { name, .. } if name == "session_authorization")
            && self.settings.has_role()
        {
            match change {
                // It is the user's own role until the transaction ends, and on some servers behind it.
                SettingChange::Reset { local: true, .. } => self.pin(PinReason::Opaque),
                _ => self.took_role = true,
            }
        }
        if matches!(change, SettingChange::Reset { name, local: false } if name == "session_authorization")
            && !self.pins.contains(&PinReason::SessionAuthorization)
        {
            match self.settings.starts_in_a_role() {
                // It may be the role that stays.
                true => self.pin(PinReason::SessionAuthorization),
                false => return self.set(&no_role()),
            }
        }
        if let SettingChange::Set { text, .. } = change
            && !self.settings.encoding().reads(text.as_bytes())
        {
            // Its value is what PostgreSQL made of the bytes, and would be another under another encoding.
            self.pin(PinReason::Opaque);
        }
        if let SettingChange::Set { name, values, .. } = change
            && name == "default_text_search_config"
            && !values.iter().all(|value| value.contains('.'))
        {
            // It is looked up in the path as it is set (`check_default_text_search_config` in ts_cache.c), and the path may change.
            self.pin(PinReason::Opaque);
        }
        self.reread(change);
        self.settings.apply(change, true);
        // A connection carries what was set on it, unless a rollback takes it back, or it ends with the transaction in any case.
        if let Some(held) = self.held.as_mut().filter(|_| !is_mode(change)) {
            let carried = &mut held.lease.carried.settings;
            held.settings_before.get_or_insert_with(|| carried.clone());
            match change {
                SettingChange::Set { local: true, .. } | SettingChange::Reset { local: true, .. } => {}
                SettingChange::Set { name, text, .. } => {
                    carried.insert(name.clone(), text.as_str().into());
                }
                SettingChange::Reset { name, .. } => {
                    carried.remove(name);
                }
                SettingChange::ResetAll => carried.retain(|name, _| is_kept_by_reset_all(name)),
                SettingChange::DiscardAll => carried.clear(),
            }
        }
        self.settings_changed();
    }

    /// What the connection has prepared by numbers is known from its answers.
    fn deallocated_all(&mut self) {
        self.statements.close_all();
        self.by_name.clear();
        self.pins.remove(&PinReason::SqlPrepare);
        if let Some(held) = &mut self.held {
            held.lease.carried.by_name.clear();
        }
    }

    /// `committed`: by its tag, since a COMMIT of what has failed rolls back.
    fn transaction(&mut self, control: &TransactionControl, committed: bool, in_block: &mut bool) {
        match control {
            TransactionControl::Begin { isolation, .. } if !*in_block => {
                // Where what a transaction before it in its batch wrote lies is not known yet.
                let plain = *isolation != Isolation::Other && self.settings.is_plain() && !self.wrote;
                self.block = if plain { Block::Clean } else { Block::Dirty };
                *in_block = true;
            }
            // PostgreSQL warns of it, and sets the modes that it names (`standard_ProcessUtility` in utility.c).
            TransactionControl::Begin { plain: false, .. } => self.wrote_anything(),
            TransactionControl::Modes if !*in_block => self.pin(PinReason::Opaque),
            TransactionControl::Modes => self.wrote_anything(),
            TransactionControl::TwoPhase => {
                self.wrote_anything();
                self.settings_ended(committed);
                *in_block = false;
            }
            TransactionControl::Savepoint => self.has_savepoints = true,
            TransactionControl::RollbackToSavepoint => self.rolled_back_to_savepoint(),
            TransactionControl::Commit { chain } | TransactionControl::Rollback { chain } => {
                self.settings_ended(committed);
                *in_block = *chain;
                if *chain {
                    self.wrote_anything();
                }
            }
            _ => {}
        }
    }

    fn rolled_back_to_savepoint(&mut self) {
        self.levels.rolled_back_to_savepoint();
        self.has_savepoints = true;
        self.listened_before_savepoint();
        if self.settings.changed_in_transaction() {
            self.pin(PinReason::Opaque);
        }
    }

    /// The transaction has ended, and with it what it has made of settings.
    fn settings_ended(&mut self, committed: bool) {
        self.unseen = false;
        self.levels.ended(committed);
        self.has_savepoints = false;
        self.channels_ended(committed);
        if let Some(held) = &mut self.held
            && let Some(before) = held.settings_before.take()
            && !committed
        {
            held.lease.carried.settings = before;
        }
        if self.settings.ended(committed) {
            self.settings_changed();
        }
        if std::mem::take(&mut self.took_role) && !committed {
            // Servers before 15.9, 16.5 and 17.1 do not give it back.
            self.pin(PinReason::Opaque);
        }
    }

    /// A batch that failed has been answered before its Sync was.
    pub(super) fn ended_late(&mut self, status: u8) {
        self.transaction_status(status, true);
        self.open = None;
    }

    fn transaction_status(&mut self, status: u8, failed: bool) {
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
        if self.wrote {
            self.shared.wrote();
        }
        // What no COMMIT or ROLLBACK has ended was the batch's own transaction, unless a COMMIT failed.
        self.transaction_ended(!failed);
    }

    /// The client is outside transactions again.
    pub(super) fn transaction_ended(&mut self, committed: bool) {
        // Not at each end within a batch: those that are bound behind it live on.
        self.statements.transaction_ended();
        self.block = Block::Clean;
        self.settings_ended(committed);
    }

    /// The catalog may have changed: nothing is served until it has been looked at.
    pub(super) fn catalog_touched(&mut self) {
        if let Some(feed) = &self.shared.feed {
            feed.doubts().raise();
        }
    }

    pub(super) fn pin(&mut self, reason: PinReason) {
        if self.pins.insert(reason) {
            // It may have come to nothing, or end with the transaction.
            self.may_be_free |= reason.is_provable();
            tracing::debug!(reason = reason.label(), "session pinned");
            self.shared.telemetry.pinned(reason.label());
        }
    }
}
