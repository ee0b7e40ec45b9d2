//! Answering without a server, from the cache: all that can be done in one pass over the unit's bytes, without waiting.

use super::client::{Unit, UnitEnd, frames};
use super::expected::OwnSetting;
use super::portal::{Prepared, Told};
use super::request::{Form, Request, has_time_word};
use super::{Block, Session};
use crate::cache::key::{KeyParts, compose};
use crate::cache::{Answer, Basis, Entry, Permit, Tier, TimedAnswer, TimedPermit, Waiter};
use crate::coherence::{Demand, StreamState};
use crate::config::CacheMode;
use crate::route::plan::{Encoding, PinReason, Plan, Recipe, is_steady};
use crate::telemetry::{KIND_TTL, Outcome, Record};
use crate::types::{Level, Moment};
use crate::wire::backend::{BIND_COMPLETE, CLOSE_COMPLETE, PARSE_COMPLETE, put_ready, shape};
use crate::wire::frame::HEADER;
use crate::wire::frontend::{self, Subject};
use bytes::BufMut;
use std::sync::Arc;
use std::time::Duration;

/// Bodies up to this are copied into the output, so that one write carries everything.
pub(super) const COPY_LIMIT: usize = 32 * 1024;

/// Bytes of a hit beside the entry's own: ParseComplete, BindComplete and ReadyForQuery.
const HIT_MARGIN: usize = 16;

/// What became of a unit.
pub(super) enum Served {
    /// Answered into the output.
    Yes,
    /// A hit whose rows are too many to copy.
    Large(Arc<Entry>, Form),
    /// It changes what the session listens to.
    Listen,
    /// It needs a server.
    No(Intent),
}

/// What was understood of a unit while it was looked up, and need not be worked out again on its way to a server.
#[derive(Default)]
pub(super) struct Understood {
    /// Of the one statement that it runs.
    pub plan: Option<Arc<Plan>>,
    /// What its one Parse prepares.
    pub parsed: Option<Arc<Prepared>>,
}

/// Why a unit goes to a server, and what is due beside its answer.
pub(super) enum Intent {
    /// Nothing: with the reason why it was not looked up, or not found.
    Pass(&'static str),
    /// To fill: the one permit, what it depends on, and whether the fill brings the RowDescription.
    Fill { permit: Permit, plan: Arc<Plan>, demand: Demand, describe: bool },
    /// To fill what a rule lets the clock keep, and for how long.
    FillTimed { permit: TimedPermit, ttl: Duration },
    /// Another fills the same key.
    Wait(Waiter),
}

impl Session {
    /// A batch of nothing but closed names, or of nothing, or a Flush with nothing before it: names live here, and no server is
    /// asked.
    pub(super) fn close_locally(&mut self, unit: Unit) -> bool {
        let input = &self.client.input[..unit.len];
        // The usual unit begins otherwise, and need not be looked at twice.
        if !matches!(input.first(), Some(b'C' | b'S' | b'H')) {
            return false;
        }
        let mut names = Vec::new();
        for (header, body) in frames(input) {
            match (header.tag, frontend::subject(body)) {
                (b'C', Ok(named)) => names.push(named),
                (b'S' | b'H', _) if body.is_empty() => {}
                _ => return false,
            }
        }
        if unit.end == UnitEnd::Flush && names.is_empty() {
            return true;
        }
        // A portal of an open transaction lives on the server, and so does a cursor WITH HOLD.
        let may_live = self.status != b'I' || self.held.is_some();
        if names.iter().any(|(subject, name)| *subject == Subject::Statement && self.may_be_prepared_unseen(name)) {
            return false;
        }
        if unit.end != UnitEnd::Sync || (may_live && names.iter().any(|(s, _)| *s == Subject::Portal)) {
            return false;
        }
        for (subject, name) in names {
            if subject == Subject::Statement {
                self.statements.close(name);
                self.by_name.remove(name);
            }
            self.client.output.put_slice(CLOSE_COMPLETE);
        }
        self.ready();
        true
    }

    /// Looks a unit up, and answers what is ours.
    pub(super) fn serve(&mut self, unit: Unit, now: Moment) -> (Served, Understood) {
        let input = std::mem::take(&mut self.client.input);
        let served = match self.request(&input[..unit.len], unit.end) {
            Some(request) => {
                let served = self.look_up(&request, unit.end, now);
                let parsed = request.parsed.map(|(_, statement)| statement);
                (served, Understood { plan: Some(request.plan), parsed })
            }
            None => (Served::No(Intent::Pass("batch_form")), Understood::default()),
        };
        self.client.input = input;
        served
    }

    fn look_up(&mut self, request: &Request<'_>, end: UnitEnd, now: Moment) -> Served {
        let plan = &request.plan;
        let recipe = match &plan.cache {
            Ok(recipe) => recipe,
            // It takes the unnamed portal's place on the server.
            Err(_) if request.is_bare() && self.changes_channels(&plan.kind) && !self.has_open_portal() => {
                return Served::Listen;
            }
            Err(refusal) => {
                return match self.local(request) {
                    true => Served::Yes,
                    false => Served::No(Intent::Pass(refusal.label())),
                };
            }
        };
        if let Some(reason) = self.uncached(plan, recipe, request) {
            return Served::No(Intent::Pass(reason));
        }
        // Who does not ask again reads rows as it was told, which may have been before the catalog changed.
        let told = request.statement.as_ref().map(|statement| &statement.told).filter(|_| !request.form.describe);
        let shape = told.and_then(Told::shape);
        if shape.is_some() && told.is_some_and(|told| told.catalog() != plan.catalog_version) {
            return Served::No(Intent::Pass("shape_in_doubt"));
        }
        self.compose_key(plan, recipe, request, (request.result_formats, shape.unwrap_or(0)));
        let level = plan.hint.level.unwrap_or(self.level());
        if self.by_the_clock() && level != Level::Strong {
            return self.look_up_timed(request, end, now);
        }
        let demand = Demand { level, floor: self.seen.floor(), now };
        let cache = self.shared.cache.as_ref().expect("asked by `uncached`");
        match cache.lookup(&self.key, request.form.describe, &demand) {
            Answer::Hit(_) if self.shared.config.cache == CacheMode::Shadow => Served::No(Intent::Pass("shadow")),
            // It was judged by a newer catalog than the one that says what its names mean.
            Answer::Hit(_) if plan.catalog_version != self.shared.catalog.version() => {
                Served::No(Intent::Pass("catalog_changed"))
            }
            Answer::Hit(entry) => self.serve_hit(entry, request, end, now),
            // Nothing that was filled now could be kept.
            Answer::Permit(_) if self.shared.is_off() => Served::No(Intent::Pass("no_stream")),
            Answer::Permit(permit) if self.is_outside() => {
                Served::No(Intent::Fill { permit, plan: Arc::clone(plan), demand, describe: request.form.describe })
            }
            Answer::Permit(_) => Served::No(Intent::Pass("in_transaction")),
            Answer::Busy(waiter) => Served::No(Intent::Wait(waiter)),
            Answer::Bypass(reason) => Served::No(Intent::Pass(reason.label())),
        }
    }

    /// Writes into `self.key` what the answer to this plan is kept under, in these result formats and with the shape that the client was
    /// told before (zero: it asks).
    pub(super) fn compose_key(
        &mut self,
        plan: &Plan,
        recipe: &Recipe,
        request: &Request<'_>,
        (result_formats, shape): (&[u8], u64),
    ) {
        let parts = KeyParts {
            inputs: &self.inputs,
            statement: plan.identity.as_bytes(),
            relations: &recipe.relations,
            defaults: plan.defaults,
            parameter_types: request.types(),
            parameters: request.parameters,
            result_formats,
            shape,
        };
        compose(&mut self.key, &parts);
    }

    fn serve_hit(&mut self, entry: Arc<Entry>, request: &Request<'_>, end: UnitEnd, now: Moment) -> Served {
        let form = request.form;
        if let Some((name, statement)) = &request.parsed {
            self.statements.insert(name, Arc::clone(statement));
        }
        tell_shape(request, &entry);
        self.hit(&entry, form, Tier::Memory, end, now);
        if entry.body.len() > COPY_LIMIT { Served::Large(entry, form) } else { Served::Yes }
    }

    /// Whether answers are kept by rules and not by proofs now.
    pub(super) fn by_the_clock(&self) -> bool {
        !self.shared.ttl.load().is_empty() && self.shared.coherence.state() != StreamState::Live && self.shared.is_off()
    }

    /// Of a statement whose key was composed.
    fn look_up_timed(&mut self, request: &Request<'_>, end: UnitEnd, now: Moment) -> Served {
        let Ok(recipe) = &request.plan.cache else { return Served::No(Intent::Pass("no_stream")) };
        // The clock does not tell who may see a row.
        if !recipe.settings.is_empty() {
            return Served::No(Intent::Pass("no_stream"));
        }
        let Ok(ttl) = self.shared.ttl.load().ttl(&recipe.relations, &self.shared.catalog.load()) else {
            return Served::No(Intent::Pass("no_stream"));
        };
        if self.shared.common.has_another_catalog(self.shared.catalog.version()) {
            // Who may see what, and what is to be seen, may have changed.
            self.shared.wrote();
        }
        let cache = self.shared.cache.as_ref().expect("asked by `uncached`");
        match cache.lookup_timed(&self.key, request.form.describe, now) {
            TimedAnswer::Hit(_) if self.shared.config.cache == CacheMode::Shadow => Served::No(Intent::Pass("shadow")),
            TimedAnswer::Hit(entry) => self.serve_hit(entry, request, end, now),
            TimedAnswer::Permit(permit) if self.is_outside() => Served::No(Intent::FillTimed { permit, ttl }),
            TimedAnswer::Permit(_) => Served::No(Intent::Pass("in_transaction")),
            TimedAnswer::Busy(waiter) => Served::No(Intent::Wait(waiter)),
        }
    }

    /// Why this session may not be served this statement from the cache now.
    pub(super) fn uncached(&self, plan: &Plan, recipe: &Recipe, request: &Request<'_>) -> Option<&'static str> {
        if self.shared.cache.is_none() {
            return Some("cache_off");
        }
        if !self.heard {
            return Some("other_database");
        }
        if !self.may_ask {
            return Some("positions_refused");
        }
        if plan.hint.off {
            return Some("hint");
        }
        if self.rule(plan).is_some_and(|rule| rule.is_uncached()) {
            return Some("rule");
        }
        if request.types().iter().any(|oid| self.is_unsteady(*oid)) {
            return Some("unsteady_parameter");
        }
        if self.is_uncertain() {
            return Some("pinned");
        }
        if self.held.as_ref().is_some_and(|held| !held.lease.is_current()) {
            return Some("outdated_connection");
        }
        let level = plan.hint.level.unwrap_or(self.level());
        if self.seen.unknown && level == Level::Session {
            return Some("floor_unknown");
        }
        match self.status {
            b'I' => {}
            // The hit would take its place, and the server does not hear of it.
            b'T' if self.has_open_portal() => return Some("portal_open"),
            b'T' if self.block != Block::Clean => return Some("in_transaction"),
            // What was read there already may be newer than what is kept.
            b'T' if self.unlearned && level == Level::Session => return Some("read_before"),
            b'T' => {}
            _ => return Some("failed_transaction"),
        }
        if !self.settings.is_plain() {
            return Some("isolation");
        }
        if self.settings.encoding() != Encoding::Utf8 {
            return Some("client_encoding");
        }
        if recipe.settings.iter().any(|name| self.settings.own(name) == OwnSetting::Uncertain) {
            return Some("setting_uncertain");
        }
        if recipe.time_parameters && has_time_word(request.parameters) {
            return Some("time_parameter");
        }
        None
    }

    /// Whether a parameter of this type hangs on more than what is bound: on the present day, or on the catalog.
    fn is_unsteady(&self, oid: u32) -> bool {
        !is_steady(oid) && self.shared.catalog.load().is_unsteady(oid)
    }

    /// Whether the server has an unnamed portal that has not run to its end, as far as is known.
    pub(super) fn has_open_portal(&self) -> bool {
        self.held.is_some() && self.statements.portal(b"").is_some()
    }

    /// Whether something in the session is not known that can decide an answer.
    pub(super) fn is_uncertain(&self) -> bool {
        let decides = |pin: &PinReason| {
            use PinReason::{Lasting, Opaque, SessionAuthorization, TemporaryObject};
            matches!(pin, TemporaryObject | Opaque | Lasting | SessionAuthorization)
        };
        self.pins.iter().any(decides)
    }

    /// Writes a hit, all but the ReadyForQuery of one whose body is too large to copy.
    pub(super) fn hit(&mut self, entry: &Entry, form: Form, tier: Tier, end: UnitEnd, began: Moment) {
        let out = &mut self.client.output;
        let is_small = entry.body.len() <= COPY_LIMIT;
        if is_small {
            out.reserve(HIT_MARGIN + entry.bytes());
        }
        if form.parse {
            out.put_slice(PARSE_COMPLETE);
        }
        if form.bind {
            out.put_slice(BIND_COMPLETE);
        }
        if form.describe {
            out.put_slice(entry.row_description.as_ref().expect("a lookup that needs one finds only entries with it"));
        }
        if is_small {
            out.put_slice(&entry.body);
            if form.close {
                out.put_slice(CLOSE_COMPLETE);
            }
            put_ready(out, self.status);
        }
        self.unseen |= self.status == b'T';
        // Also at another level: a hint may ask for what this has seen.
        if let Basis::Proven(proof) = &entry.basis {
            self.raise_floor(proof.high);
            if proof.source.may_lead_primary() {
                self.seen.lead(self.shared.coherence.epoch(), proof.high);
            }
        }
        let destination = match tier {
            Tier::Memory => "memory",
            Tier::Shared => "shared",
        };
        let kind = match (&entry.basis, end) {
            (Basis::Timed(_), _) => KIND_TTL,
            (_, UnitEnd::Query) => "simple",
            _ => "extended",
        };
        self.shared.telemetry.request(&Record {
            kind,
            destination,
            outcome: Outcome::Hit,
            total: Moment::now().since(began),
            upstream: None,
        });
        self.shared.telemetry.saved(entry.cost);
    }
}

/// A hit whose description the client is told counts for what it takes the statement's rows for.
pub(super) fn tell_shape(request: &Request<'_>, entry: &Entry) {
    if let (Some(statement), Some(frame), true) = (&request.statement, &entry.row_description, request.form.describe)
        && statement.told.catalog() != request.plan.catalog_version
    {
        statement.told.tell(shape(&frame[HEADER..]), request.plan.catalog_version);
    }
}
