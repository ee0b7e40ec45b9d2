//! What a server's answers mean for the session: settings, transaction, pins, floor, and whether it has written.

use super::client::UnitEnd;
use super::compose::{Naming, Side, Survey};
use super::exchange::{Done, Round};
use super::{Block, Session};
use crate::route::plan::{Isolation, Kind, PinReason, Plan, SettingChange, TransactionControl};
use std::sync::Arc;

impl Session {
    /// What the answers mean for the session's state.
    pub(super) fn after(&mut self, survey: &Survey, round: &Round, end: UnitEnd) {
        for naming in survey.namings.iter().take(round.named) {
            match naming {
                Naming::Prepared(name, statement) => self.statements.insert(name, Arc::clone(statement)),
                Naming::Closed(name) => {
                    self.statements.close(name);
                }
                Naming::ClosedPortal(name) => self.statements.close_portal(name),
            }
        }
        if round.unnamed_lost || (end == UnitEnd::Query && round.status.is_some()) {
            self.statements.close(b"");
        }
        let was_idle = self.status == b'I';
        for (at, plan) in survey.runs.iter().enumerate() {
            match plan {
                Some(plan) => self.ran(plan, round.done.get(at).is_some(), round, was_idle),
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

    /// One execution of a plan. `done`: it did not fail.
    fn ran(&mut self, plan: &Plan, done: bool, round: &Round, was_idle: bool) {
        let harmless = match plan.kind {
            // A replica may have found out that it writes after all.
            Kind::Read => !self.shared.common.plans.is_learned_write(&plan.identity),
            Kind::Show(_) | Kind::Empty | Kind::Transaction(_) | Kind::Setting(_) => true,
            _ => false,
        };
        if !harmless {
            self.wrote_anything();
        }
        self.touched_catalog |= plan.may_change_catalog && self.heard;
        if let Some(reason) = plan.pin {
            self.pin(reason);
        }
        if !done || round.failed {
            if matches!(plan.kind, Kind::Setting(_)) && round.status == Some(b'I') && done && !was_idle {
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
        if self.wrote {
            self.shared.wrote();
        }
        self.statements.transaction_ended();
        self.block = Block::Clean;
        let committed = was == b'I' && !round.failed || round.done.contains(&Done::Committed);
        if let Some(held) = &mut self.held
            && let Some(before) = held.settings_before.take()
            && !committed
        {
            held.lease.carried.settings = before;
        }
        if self.settings.ended(committed) {
            self.settings_changed();
        }
    }

    /// The catalog may have changed: nothing is served until it has been looked at.
    pub(super) fn catalog_touched(&mut self) {
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
}
