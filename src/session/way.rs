//! Which way a unit goes, and why: what ties it to the primary, and which replica it may go to else. Asks no server.

use super::catch_up::CatchUp;
use super::client::UnitEnd;
use super::compose::Side;
use super::exchange::Held;
use super::expected::OwnSetting;
use super::forward::Errand;
use super::settle::Fill;
use super::survey::Survey;
use super::{End, Session};
use crate::config::PoolMode;
use crate::route::book::Trip;
use crate::route::destination::{Choice, Demand, Least, Passed, Reason, choose};
use crate::route::plan::{Kind, Place, Plan};
use crate::route::rules::{SessionRules, Verdict};
use crate::types::{Level, Moment, RouteTo};
use crate::upstream::{PassedOver, Server};
use std::sync::Arc;
use std::time::Duration;

/// The way that a unit has taken.
#[derive(Debug)]
pub(super) struct Way {
    pub side: Side,
    pub reason: Reason,
    pub passed: Passed,
}

impl Session {
    /// Why a unit has to go to the primary, if it has. Whether it stands alone in a transaction is not looked at.
    pub(super) fn tied(&self, survey: &Survey, end: UnitEnd, fill: Option<&Fill>) -> Option<Reason> {
        if !survey.reads {
            let learned = survey.runs.iter().flatten().any(|plan| self.is_learned_write(plan));
            return Some(if learned { Reason::LearnedWrite } else { Reason::NotARead });
        }
        // A batch that goes on after this unit may write yet, and all of it goes to one server.
        if matches!(end, UnitEnd::Flush | UnitEnd::Open) {
            return Some(Reason::BatchGoesOn);
        }
        if let Some(reason) = self.tied_as_it_is() {
            return Some(reason);
        }
        // A replica has no statement of SQL's.
        if !survey.by_name.needs.is_empty() || survey.touches.iter().any(|plan| plan.place == Place::Primary) {
            return Some(Reason::OnlyThere);
        }
        // A replica's answer would be older than the clock says.
        let timed = matches!(fill, Some(Fill::Timed { .. })).then_some(Reason::KeptByClock);
        survey.runs.iter().flatten().find_map(|plan| self.tied_by_plan(plan)).or(timed)
    }

    /// What ties every read of this session.
    pub(super) fn tied_as_it_is(&self) -> Option<Reason> {
        // A replica refuses SERIALIZABLE, whether a statement or the session's default asks for it.
        if !self.settings.is_plain() {
            return Some(Reason::Isolation);
        }
        (self.shared.config.pool == PoolMode::Session).then_some(Reason::SessionPool)
    }

    /// What ties this statement, whoever runs it.
    pub(super) fn tied_by_plan(&self, plan: &Plan) -> Option<Reason> {
        if !matches!(plan.kind, Kind::Read) || plan.pin.is_some() {
            return Some(Reason::NotARead);
        }
        if self.is_learned_write(plan) {
            return Some(Reason::LearnedWrite);
        }
        if plan.place == Place::Primary || self.reads_unasked(plan) {
            return Some(Reason::OnlyThere);
        }
        // A hint counts for its statement as the level does for the session; what a session of a laxer one has seen, replicas are not asked for.
        if plan.hint.level == Some(Level::Strong)
            || (plan.hint.level == Some(Level::Session) && self.level() == Level::Bounded)
        {
            return Some(Reason::PrimaryOnly);
        }
        if plan.hint.route == Some(RouteTo::Primary) {
            return Some(Reason::Hint);
        }
        // What a hint asks for may be no laxer than what a rule says.
        let rule = self.rule(plan)?;
        (rule.to() == Some(RouteTo::Primary)).then_some(Reason::Rule(rule.number))
    }

    /// Whether it reads one of the users' own settings that the session has not set, and of which nobody has asked whether replicas have the
    /// primary's: each server's configuration may give another.
    fn reads_unasked(&self, plan: &Plan) -> bool {
        let Ok(recipe) = &plan.cache else { return false };
        let is_unset = |name: &&String| self.settings.own(name) == OwnSetting::Unset;
        recipe.settings.iter().filter(is_unset).any(|name| !self.shared.catalog.load().settings_named.contains(name))
    }

    /// The rule that counts for a statement here.
    pub(super) fn rule(&self, plan: &Plan) -> Option<Verdict<'_>> {
        self.rules.verdict(plan)
    }

    /// The rules have changed.
    pub(super) fn take_over_rules(&mut self) {
        let rules = self.shared.rules.present();
        self.rules = Arc::new(SessionRules::new(rules, &self.account.user, &self.database));
    }

    /// Whether hint or rule would rather have a unit wait a little than go to the primary.
    pub(super) fn waits_for_replica(&self, errand: &Errand) -> bool {
        let mut plans = errand.survey.runs.iter().flatten();
        self.held.is_none()
            && errand.tied.is_none()
            && self.may_ask
            && self.has_replicas()
            && plans.any(|plan| {
                let wanted = plan.hint.route.or(self.rule(plan).and_then(|rule| rule.to()));
                wanted == Some(RouteTo::Replica)
            })
    }

    /// Returns once a replica may answer a read of this session, or none will in time. `false`: the client cancelled the statement or it took
    /// too long, and the client was told.
    pub(super) async fn await_replica(&mut self, end: UnitEnd) -> Result<bool, End> {
        let mut waiting = CatchUp::begin(&self.registration.running);
        while waiting.waited() < self.shared.config.staleness {
            let Choice { reason, passed, .. } = self.choose();
            let may_come = match reason {
                Reason::NoneFit(_) => passed.iter().any(|(_, why)| why != PassedOver::Unreachable),
                Reason::PrimaryOnly => self.level() != Level::Strong,
                _ => false,
            };
            if !may_come {
                break;
            }
            if !self.rest(&mut waiting, end).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn is_learned_write(&self, plan: &Plan) -> bool {
        self.shared.common.plans.is_learned_write(&plan.identity)
    }

    /// The primary, for this reason.
    pub(super) fn primary(&self, reason: Reason) -> Choice {
        Choice { server: Arc::clone(self.shared.upstream.primary()), reason, passed: Passed::default() }
    }

    /// Where a read goes that nothing ties.
    pub(super) fn choose(&mut self) -> Choice {
        if !self.may_ask {
            // Whatever a replica answers is held against what it says of itself.
            return self.primary(Reason::PrimaryOnly);
        }
        let level = self.level();
        // The next of a sequence that seems to have no order (Numerical Recipes), whose high bits are the better ones.
        self.turn = self.turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let turn = (self.turn >> 16) as usize;
        let bound = self.seen.bound(&self.shared.coherence);
        let since = || self.shared.common.catalog_since(self.shared.catalog.version());
        let is_unlike = |server: &Server| server.is_unlike(&self.account, &self.database);
        choose(&self.shared.upstream, &self.shared.coherence, level, bound, &is_unlike, (&since, turn))
    }

    /// Whether the replica that is held still fits, after whatever was waited for; gives what it has to say of itself before its answer counts:
    /// nothing for one that tells no position, and for the primary.
    pub(super) fn demand(&mut self, now: Moment) -> Result<Option<Least>, PassedOver> {
        let (level, shared) = (self.level(), &self.shared);
        let Some(Held { lease, side: Side::Replica, .. }) = &self.held else { return Ok(None) };
        let bound = self.seen.bound(&shared.coherence);
        let since = || shared.common.catalog_since(shared.catalog.version());
        let demand = Demand::new(&shared.coherence, level, bound);
        let Some(least) = demand.is_met_by(&lease.server, &since)? else { return Ok(None) };
        let fresh = shared.upstream.least_fresh(now).ok_or(PassedOver::LagUnknown)?;
        Ok(Some(least.risen(fresh)))
    }

    /// Notes where a unit has gone, for those who ask: by the statement that it runs, or the first of several.
    pub(super) fn note(&self, errand: &Errand, way: &Way, server: &Server, (took, ended): (Duration, Moment)) {
        let Some(plan) = errand.survey.runs.iter().flatten().next() else { return };
        let (fingerprint, shape) = plan.shape.of(&plan.identity, self.names.standard_strings);
        let trip = Trip {
            fingerprint,
            shape,
            server: server.name(),
            reason: way.reason,
            passed: &way.passed,
            outcome: errand.outcome.label(),
            took,
            ended,
        };
        self.shared.common.routes().note(&trip);
    }
}
