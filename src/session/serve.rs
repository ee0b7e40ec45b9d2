//! Answering without a server: hits, and the few statements that are ours alone. All but waiting happens in one
//! pass over the unit's bytes.

use super::client::{Unit, UnitEnd, frames};
use super::portal::Prepared;
use super::request::{Form, Request, has_time_word};
use super::{Block, Session};
use crate::cache::key::{KeyParts, compose};
use crate::cache::{Answer, Basis, Entry, Permit, Tier, TimedAnswer, TimedPermit, Waiter};
use crate::coherence::{Demand, StreamState};
use crate::config::CacheMode;
use crate::route::plan::{Kind, PinReason, Plan, Recipe, SettingChange};
use crate::telemetry::{KIND_TTL, Outcome, Record};
use crate::types::{Level, Moment};
use crate::wire::backend::{
    BIND_COMPLETE, CLOSE_COMPLETE, Failure, PARSE_COMPLETE, one_text_row, put_complete, put_frame, put_ready,
};
use crate::wire::frontend::{self, Subject};
use bytes::BufMut;
use std::sync::Arc;
use std::time::Duration;

/// Bodies up to this are copied into the output, so that one write carries everything.
pub(super) const COPY_LIMIT: usize = 32 * 1024;

/// One row with its column's name, if there is one, and the command tag.
type LocalAnswer = (Option<(&'static str, String)>, &'static str);

/// Bytes of a hit beside the entry's own: ParseComplete, BindComplete and ReadyForQuery.
const HIT_MARGIN: usize = 16;

/// What became of a unit.
pub(super) enum Served {
    /// Answered into the output.
    Yes,
    /// A hit whose rows are too many to copy.
    Large(Arc<Entry>),
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
                (b'S' | b'H', _) => {}
                _ => return false,
            }
        }
        if unit.end == UnitEnd::Flush && names.is_empty() {
            return true;
        }
        // A portal of an open transaction lives on the server.
        if unit.end != UnitEnd::Sync || (self.status != b'I' && names.iter().any(|(s, _)| *s == Subject::Portal)) {
            return false;
        }
        for (subject, name) in names {
            if subject == Subject::Statement {
                self.statements.close(name);
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
            Err(refusal) => {
                return match self.local(request, end) {
                    true => Served::Yes,
                    false => Served::No(Intent::Pass(refusal.label())),
                };
            }
        };
        if let Some(reason) = self.uncached(plan, recipe, request) {
            return Served::No(Intent::Pass(reason));
        }
        self.key.clear();
        compose(
            &mut self.key,
            &KeyParts {
                inputs: &self.inputs,
                statement: plan.identity.as_bytes(),
                relations: &recipe.relations,
                parameter_types: request.types(),
                parameters: request.parameters,
                result_formats: request.result_formats,
            },
        );
        let level = plan.hint.level.unwrap_or(self.level);
        if self.by_the_clock() && level != Level::Strong {
            return self.look_up_timed(request, end, now);
        }
        let demand = Demand { level, floor: self.floor, now };
        let cache = self.shared.cache.as_ref().expect("asked by `uncached`");
        match cache.lookup(&self.key, request.form.describe, &demand) {
            Answer::Hit(_) if self.shared.config.cache == CacheMode::Shadow => Served::No(Intent::Pass("shadow")),
            Answer::Hit(entry) => self.serve_hit(entry, request, end, now),
            // Nothing that was filled now could be kept.
            Answer::Permit(_) if self.shared.is_off() => Served::No(Intent::Pass("no_stream")),
            Answer::Permit(permit) if self.status == b'I' => {
                Served::No(Intent::Fill { permit, plan: Arc::clone(plan), demand, describe: request.form.describe })
            }
            Answer::Permit(_) => Served::No(Intent::Pass("in_transaction")),
            Answer::Busy(waiter) => Served::No(Intent::Wait(waiter)),
            Answer::Bypass(reason) => Served::No(Intent::Pass(reason.label())),
        }
    }

    fn serve_hit(&mut self, entry: Arc<Entry>, request: &Request<'_>, end: UnitEnd, now: Moment) -> Served {
        let form = request.form;
        if let Some((name, statement)) = &request.parsed {
            self.statements.insert(name, Arc::clone(statement));
        }
        self.hit(&entry, form, Tier::Memory, end, now);
        if entry.body.len() > COPY_LIMIT { Served::Large(entry) } else { Served::Yes }
    }

    /// Whether answers are kept by rules and not by proofs now.
    fn by_the_clock(&self) -> bool {
        !self.shared.ttl.is_empty() && self.shared.coherence.state() != StreamState::Live && self.shared.is_off()
    }

    /// Of a statement whose key was composed.
    fn look_up_timed(&mut self, request: &Request<'_>, end: UnitEnd, now: Moment) -> Served {
        let Ok(recipe) = &request.plan.cache else { return Served::No(Intent::Pass("no_stream")) };
        let Ok(ttl) = self.shared.ttl.ttl(&recipe.relations, &self.shared.catalog.load()) else {
            return Served::No(Intent::Pass("no_stream"));
        };
        let cache = self.shared.cache.as_ref().expect("asked by `uncached`");
        match cache.lookup_timed(&self.key, request.form.describe, now) {
            TimedAnswer::Hit(_) if self.shared.config.cache == CacheMode::Shadow => Served::No(Intent::Pass("shadow")),
            TimedAnswer::Hit(entry) => self.serve_hit(entry, request, end, now),
            TimedAnswer::Permit(permit) if self.status == b'I' => Served::No(Intent::FillTimed { permit, ttl }),
            TimedAnswer::Permit(_) => Served::No(Intent::Pass("in_transaction")),
            TimedAnswer::Busy(waiter) => Served::No(Intent::Wait(waiter)),
        }
    }

    /// Why this session may not be served this statement from the cache now.
    fn uncached(&self, plan: &Plan, recipe: &Recipe, request: &Request<'_>) -> Option<&'static str> {
        if self.shared.cache.is_none() {
            return Some("cache_off");
        }
        if !self.heard {
            return Some("other_database");
        }
        if plan.hint.off {
            return Some("hint");
        }
        let settles = |pin: &PinReason| {
            matches!(pin, PinReason::TemporaryObject | PinReason::Opaque | PinReason::SessionAuthorization)
        };
        if self.pins.iter().any(settles) {
            return Some("pinned");
        }
        if self.held.as_ref().is_some_and(|held| !held.lease.is_current()) {
            return Some("outdated_connection");
        }
        if self.floor_unknown && self.level == Level::Session {
            return Some("floor_unknown");
        }
        match self.status {
            b'I' => {}
            b'T' if self.block == Block::Clean => {}
            b'T' => return Some("in_transaction"),
            _ => return Some("failed_transaction"),
        }
        if !self.settings.is_plain() {
            return Some("isolation");
        }
        if !self.settings.is_utf8() {
            return Some("client_encoding");
        }
        if recipe.time_parameters && has_time_word(request.parameters) {
            return Some("time_parameter");
        }
        None
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
            put_ready(out, self.status);
        }
        if self.level == Level::Session
            && let Basis::Proven(proof) = &entry.basis
        {
            self.raise_floor(proof.high);
            if proof.source.may_lead_primary() {
                self.ahead = self.ahead.max(proof.high);
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

    /// Statements that no server is asked: our own settings, and the names of prepared statements, which live here.
    fn local(&mut self, request: &Request<'_>, end: UnitEnd) -> bool {
        if self.status == b'E' {
            return false;
        }
        let answer: Result<LocalAnswer, Failure> = match &request.plan.kind {
            Kind::Setting(SettingChange::Set { name, values, .. }) if name.starts_with("sidecache.") => {
                self.set_own(name, values).map(|()| (None, "SET"))
            }
            Kind::Setting(SettingChange::Reset { name, .. }) if name == "sidecache.consistency" => {
                self.level = self.shared.config.consistency;
                Ok((None, "RESET"))
            }
            Kind::Show(name) if name == "sidecache.position" => {
                let position = self.floor.position.max(self.shared.coherence.position());
                let token = format!("{}:{position}", self.shared.coherence.epoch());
                Ok((Some(("sidecache.position", token)), "SHOW"))
            }
            Kind::Show(name) if name == "sidecache.consistency" => {
                Ok((Some(("sidecache.consistency", self.level.label().to_owned())), "SHOW"))
            }
            Kind::Deallocate { name: Some(name) } if self.statements.get(name.as_bytes()).is_some() => {
                self.statements.close(name.as_bytes());
                Ok((None, "DEALLOCATE"))
            }
            Kind::Deallocate { name: None } if !self.pins.contains(&PinReason::SqlPrepare) => {
                self.statements.close_all();
                Ok((None, "DEALLOCATE ALL"))
            }
            _ => return false,
        };
        let (row, tag) = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                self.fail(failure, end).expect("only fatal failures end a session, and these are not");
                return true;
            }
        };
        if let Some((name, statement)) = &request.parsed {
            self.statements.insert(name, Arc::clone(statement));
        }
        let out = &mut self.client.output;
        if request.form.parse {
            out.put_slice(PARSE_COMPLETE);
        }
        if request.form.bind {
            out.put_slice(BIND_COMPLETE);
        }
        match row {
            Some((name, value)) => {
                let rows = one_text_row(name, &value);
                let description = 1 + u32::from_be_bytes([rows[1], rows[2], rows[3], rows[4]]) as usize;
                out.put_slice(if request.form.describe { &rows } else { &rows[description..] });
            }
            None if request.form.bind && request.form.describe => put_frame(out, b'n', b""),
            None => {}
        }
        put_complete(out, tag);
        self.ready();
        true
    }

    fn set_own(&mut self, name: &str, values: &[String]) -> Result<(), Failure> {
        let value = values.first().map_or("", String::as_str);
        match name {
            "sidecache.consistency" => {
                self.level = value.parse().map_err(|()| {
                    Failure::error("22023", format!("invalid value for parameter \"{name}\": \"{value}\""))
                })?;
            }
            "sidecache.min_position" => {
                let invalid =
                    || Failure::error("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
                let (epoch, position) = value.split_once(':').ok_or_else(invalid)?;
                let position = position.parse().map_err(|_| invalid())?;
                if epoch != self.shared.coherence.epoch().to_string() {
                    // A position of another incarnation, or one that this instance has not met yet: only the primary is sure.
                    self.floor_unknown = true;
                } else {
                    self.raise_floor(position);
                }
            }
            _ => {
                let text = format!("unrecognized configuration parameter \"{name}\"");
                return Err(Failure::error("42704", text));
            }
        }
        Ok(())
    }
}
