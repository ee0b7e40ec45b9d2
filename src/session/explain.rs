//! `EXPLAIN (SIDECACHE) …`: what would become of a statement if this session sent it now. Runs nothing and asks no server.

use super::Session;
use super::request::Request;
use crate::cache::Peek;
use crate::coherence::Demand;
use crate::config::CacheMode;
use crate::feed::Feed;
use crate::route::destination::{Choice, Reason};
use crate::route::explain::{Basis, Lookup, Now, Replica, Subject, explain};
use crate::route::plan::{ExplainForm, Kind, Plan, Recipe};
use crate::types::{Level, Moment};
use bytes::Bytes;
use std::fmt::Write;
use std::sync::Arc;

/// The forms in which a client may ask for the same answer, each with a key of its own, by their result formats.
const FORMS: [(&str, &[u8]); 2] = [("as text", b""), ("in binary", &[0, 1])];

impl Session {
    /// The rows that explain `text`. `request`: the EXPLAIN, with the parameters that the statement would have.
    pub(super) fn explain(&mut self, form: ExplainForm, text: &str, request: &Request<'_>) -> Vec<String> {
        let mut plan = self.plan(text.as_bytes());
        if plan.hint != request.plan.hint {
            // A comment belongs to the whole text.
            plan = Arc::new(Plan { hint: request.plan.hint, ..Plan::clone(&plan) });
        }
        let level = plan.hint.level.unwrap_or(self.level());
        let now = (plan.kind == Kind::Read).then(|| {
            let lookup = self.would_find(&plan, level, request, Moment::now());
            let (choice, replicas) = self.would_go(&plan);
            Now { lookup: Some(lookup), server: choice.server.name().to_owned(), reason: choice.reason, replicas }
        });
        let catalog = self.shared.catalog.load();
        let basis = self.basis();
        let subject = Subject {
            plan: &plan,
            catalog: &catalog,
            path: &self.names.path,
            standard_strings: self.names.standard_strings,
            basis: &basis,
            level,
            now: now.as_ref(),
            rule: self.rule(&plan),
        };
        explain(&subject).rows(form)
    }

    fn basis(&self) -> Basis {
        match &self.shared.feed {
            _ if self.shared.cache.is_none() || self.shared.config.cache == CacheMode::Off => Basis::CacheOff,
            Some(feed) if feed.is_off() => Basis::Clock(self.shared.ttl.load_full(), Feed::state(feed).to_string()),
            _ => Basis::Stream,
        }
    }

    fn would_find(&mut self, plan: &Plan, level: Level, request: &Request<'_>, now: Moment) -> Lookup {
        let recipe = match &plan.cache {
            Ok(recipe) => recipe,
            Err(refusal) => return Lookup::Bypass(refusal.label()),
        };
        if let Some(reason) = self.uncached(plan, recipe, request) {
            return Lookup::Bypass(reason);
        }
        let by_the_clock = self.by_the_clock() && level != Level::Strong;
        let timeless = || self.shared.ttl.load().ttl(&recipe.relations, &self.shared.catalog.load()).is_err();
        if by_the_clock && (!recipe.settings.is_empty() || timeless()) {
            return Lookup::Bypass("no_stream");
        }
        let demand = Demand { level, floor: self.seen.floor(), now };
        let mut found = Lookup::Miss;
        // Who executes without asking for the description has a key by what it was told before.
        let shapes: Vec<u64> = [0].into_iter().chain(self.statements.shapes(&plan.identity)).collect();
        let forms = FORMS.iter().flat_map(|form| shapes.iter().map(move |shape| (*form, *shape)));
        for ((form, formats), shape) in forms {
            match self.peek(plan, recipe, request, (formats, shape), by_the_clock, &demand) {
                Peek::Hit if self.shared.config.cache == CacheMode::Shadow => return Lookup::Bypass("shadow"),
                Peek::Hit => return Lookup::Hit(form),
                Peek::Refused(why) => found = Lookup::Bypass(why.label()),
                Peek::Absent => {}
            }
        }
        match found {
            Lookup::Miss if !by_the_clock && self.shared.is_off() => Lookup::Bypass("no_stream"),
            Lookup::Miss if !self.is_outside() => Lookup::Bypass("in_transaction"),
            found => found,
        }
    }

    fn peek(
        &mut self,
        plan: &Plan,
        recipe: &Recipe,
        request: &Request<'_>,
        form: (&[u8], u64),
        by_the_clock: bool,
        demand: &Demand,
    ) -> Peek {
        self.compose_key(plan, recipe, request, form);
        let Some(cache) = &self.shared.cache else { return Peek::Absent };
        match by_the_clock {
            true => cache.peek_timed(&self.key, false, demand.now),
            false => cache.peek(&self.key, false, demand),
        }
    }

    /// Where a miss would go, and what is said of each replica.
    fn would_go(&mut self, plan: &Plan) -> (Choice, Vec<Replica>) {
        let tied = self.tied_as_it_is().or_else(|| self.tied_by_plan(plan));
        let is_inside = self.status != b'I' && !(self.is_deferred_read_only() && plan.cache.is_ok());
        if let Some(held) = &self.held {
            let choice = Choice { server: Arc::clone(&held.lease.server), ..self.primary(Reason::Held) };
            return (choice, Vec::new());
        }
        match tied.or(is_inside.then_some(Reason::InTransaction)) {
            Some(reason) => (self.primary(reason), Vec::new()),
            None => {
                let choice = self.choose();
                let replicas = Replica::all(&self.shared.upstream, &choice.passed);
                (choice, replicas)
            }
        }
    }
}

/// What a server is given to describe in the place of `plan`'s statement: the EXPLAIN that it knows, which has the same parameters and the
/// same column. Never run.
pub(super) fn stand_in(plan: &Plan, sql: &Bytes) -> Bytes {
    let Kind::Explain { form, text } = &plan.kind else { return sql.clone() };
    let mut stand_in = String::with_capacity(text.len() + 24);
    let format = match form {
        ExplainForm::Text => "TEXT",
        ExplainForm::Json => "JSON",
    };
    // Writing to a string does not fail.
    let _ = write!(stand_in, "EXPLAIN (FORMAT {format}) {text}");
    stand_in.into()
}
