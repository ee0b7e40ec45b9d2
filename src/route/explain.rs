//! What is said of one statement: what it is, where it goes and why, whether it is cached, what makes its key and what its
//! answer depends on. One renderer for `sidecache explain` and for a session's own `EXPLAIN (SIDECACHE)`; every reason is a label
//! that the metrics have too. Pure: whoever asks brings what is so now.

use super::destination::{Passed, Reason};
use super::plan::{ExplainForm, Kind, Place, Plan, Refusal};
use super::rules::Verdict as Ruling;
use super::ttl::{TtlRules, Unnamed};
use crate::catalog::{Catalog, SearchPath, Volatility};
use crate::coherence::Unservable;
use crate::sql::facts::{Facts, Name};
use crate::sql::query;
use crate::sql::token::lex;
use crate::types::{Level, RelationId};
use crate::upstream::{Server, Upstream};
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// What hits are held against.
pub enum Basis {
    /// The cache is switched off.
    CacheOff,
    Stream,
    /// No stream can be had, for this reason; what the rules name is kept by the clock.
    Clock(Arc<TtlRules>, String),
}

/// What the cache would say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It would be served, to who asks in this form.
    Hit(&'static str),
    /// It could be served and is not there.
    Miss,
    /// It would not be asked, or could not serve: a label.
    Bypass(&'static str),
}

/// A replica, and why it would not take the statement now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    pub name: String,
    pub passed_over: Option<&'static str>,
    pub zone: Option<String>,
    pub lag: Option<Duration>,
}

impl Replica {
    /// All of them, with why these were passed over.
    pub fn all(upstream: &Upstream, passed: &Passed) -> Vec<Replica> {
        let one = |(at, server): (usize, &Arc<Server>)| {
            let status = server.status();
            let passed_over = passed.get(at).map(|why| why.label());
            Replica { name: status.name, passed_over, zone: status.zone, lag: status.lag }
        };
        upstream.replicas().map(one).collect()
    }
}

/// Where the statement would go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// None where there is no cache to ask, as on the command line.
    pub lookup: Option<Lookup>,
    /// The server that would be asked on a miss.
    pub server: String,
    pub reason: Reason,
    pub replicas: Vec<Replica>,
}

/// Everything that is known of the statement.
pub struct Subject<'a> {
    pub plan: &'a Plan,
    pub catalog: &'a Catalog,
    pub path: &'a SearchPath,
    pub standard_strings: bool,
    pub basis: &'a Basis,
    pub level: Level,
    pub now: Option<&'a Now>,
    /// The rule that counts for it here.
    pub rule: Option<Ruling<'a>>,
}

/// Lines of a name and a text.
pub struct Explanation(Vec<(&'static str, String)>);

impl Explanation {
    /// As a table for people.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(name, value)| format!("{name:<12} {value}")).collect()
    }

    /// As PostgreSQL writes EXPLAIN: a line a row, or one JSON text.
    pub fn rows(&self, form: ExplainForm) -> Vec<String> {
        match form {
            ExplainForm::Text => self.lines(),
            ExplainForm::Json => vec![self.json()],
        }
    }

    fn json(&self) -> String {
        let mut members: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, value) in &self.0 {
            match members.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value),
                None => members.push((name, vec![value])),
            }
        }
        let member = |(name, values): &(&str, Vec<&str>)| match values[..] {
            [value] => format!("    {}: {}", quoted(name), quoted(value)),
            _ => format!("    {}: [{}]", quoted(name), values.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", ")),
        };
        format!("[\n  {{\n{}\n  }}\n]", members.iter().map(member).collect::<Vec<_>>().join(",\n"))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a string does not fail.
            c if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

/// Explains.
pub fn explain(subject: &Subject<'_>) -> Explanation {
    let Subject { plan, catalog, path, basis, level, now, .. } = subject;
    let mut lines: Vec<(&'static str, String)> = Vec::new();
    let mut line = |name: &'static str, value: String| lines.push((name, value));
    line("kind", kind(&plan.kind));
    let is_ruled_out = subject.rule.is_some_and(|rule| rule.is_uncached());
    let verdict = verdict(plan, catalog, basis, *level, is_ruled_out);
    line("goes to", destination(plan, &verdict, basis, *level).to_owned());
    if let Some(now) = now {
        line("now", at_present(now));
        for replica in &now.replicas {
            line("replica", told(replica));
        }
    }
    line("search path", path.0.join(", "));
    let facts = facts(plan, subject.standard_strings);
    let named = facts.as_ref().map(|facts| functions(facts, catalog, path)).unwrap_or_default();
    if !named.is_empty() {
        line("functions", named.join(", "));
    }
    line("cached", verdict.to_string());
    match (&plan.cache, &facts) {
        (Ok(recipe), _) => {
            let relations: Vec<_> = recipe.relations.iter().map(|id| relation(*id, catalog)).collect();
            line("depends on", relations.join(", "));
            let parameters = recipe.parameters;
            line("key", format!("session inputs, text {:?}, {parameters} parameters and their formats", plan.identity));
            line("inputs", INPUTS.to_owned());
            line(
                "invalidated",
                "by any change of those relations (precision: relation), and of their definitions".to_owned(),
            );
            if recipe.time_parameters {
                line("but", "not when a parameter says now, today, tomorrow or yesterday".to_owned());
            }
        }
        (Err(_), Some(facts)) if !facts.relations.is_empty() => {
            line(
                "reads",
                facts.relations.iter().map(|name| known_as(name, catalog, path)).collect::<Vec<_>>().join(", "),
            );
        }
        _ => {}
    }
    if plan.hint.off {
        line("hint", "off: never cached".to_owned());
    }
    if let Some(level) = plan.hint.level {
        line("hint", format!("level {}", level.label()));
    }
    if let Some(route) = plan.hint.route {
        line("hint", format!("route {}", route.label()));
    }
    if let Some(rule) = &subject.rule {
        line("rule", rule.to_string());
    }
    line("fingerprint", plan.shape.of(&plan.identity, subject.standard_strings).0.to_string());
    if let Some(pin) = plan.pin {
        line("pins", pin.label().to_owned());
    }
    if plan.may_change_catalog {
        line("catalog", "may change it: hits wait until it has been looked at again".to_owned());
    }
    Explanation(lines)
}

/// What a key holds of a session, in words.
const INPUTS: &str =
    "database, role, user, and each setting that can change a result, such as TimeZone, DateStyle or search_path";

fn at_present(now: &Now) -> String {
    let on_miss = format!("{}: {}{}", now.server, now.reason.label(), number(now.reason));
    match &now.lookup {
        Some(Lookup::Hit(form)) => format!("a hit in memory ({form}); else {on_miss}"),
        Some(Lookup::Miss) => format!("a miss; {on_miss}"),
        Some(Lookup::Bypass(why)) => format!("no hit: {why}; {on_miss}"),
        None => on_miss,
    }
}

fn number(reason: Reason) -> String {
    match reason {
        Reason::Rule(number) => format!(" {number}"),
        _ => String::new(),
    }
}

fn told(replica: &Replica) -> String {
    let zone = replica.zone.as_ref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
    let lag = replica.lag.map(|lag| format!(", at most {} ms late", lag.as_millis())).unwrap_or_default();
    let verdict = replica.passed_over.map_or("may answer".to_owned(), |why| format!("passed over: {why}"));
    format!("{} {verdict}{zone}{lag}", replica.name)
}

/// What the text says; nothing where it is not one query that is understood.
pub fn facts(plan: &Plan, standard_strings: bool) -> Option<Facts> {
    let is_query = !matches!(plan.cache, Err(Refusal::NotARead | Refusal::NotUtf8));
    let lexed = lex(&plan.identity, standard_strings).ok().filter(|_| is_query)?;
    match lexed.statements().as_slice() {
        [statement] => query::facts(statement).ok(),
        _ => None,
    }
}

fn functions(facts: &Facts, catalog: &Catalog, path: &SearchPath) -> Vec<String> {
    let named: BTreeSet<String> = facts
        .functions
        .iter()
        .map(|call| {
            let overloads = catalog.functions(call.name.schema.as_deref(), &call.name.name, path);
            let volatility = match overloads.iter().map(|function| function.volatility).max() {
                Some(Volatility::Immutable) => "immutable",
                Some(Volatility::Stable) => "stable",
                Some(Volatility::Volatile) => "volatile",
                None => "unknown",
            };
            format!("{} ({volatility})", written(&call.name))
        })
        .collect();
    named.into_iter().collect()
}

fn written(name: &Name) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

fn known_as(name: &Name, catalog: &Catalog, path: &SearchPath) -> String {
    match catalog.relation(name.schema.as_deref(), &name.name, path) {
        Some(relation) => format!("{}.{}", relation.schema, relation.name),
        None => format!("{} (unknown)", written(name)),
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Empty => "empty".to_owned(),
        Kind::Read => "read".to_owned(),
        Kind::Write => "write".to_owned(),
        Kind::Copy => "write of copied rows".to_owned(),
        Kind::Transaction(control) => format!("transaction control: {control:?}"),
        Kind::SetConfig(calls) => format!("setting: {calls:?}"),
        Kind::Setting(change) => format!("setting: {change:?}"),
        Kind::Settings { changes, .. } => format!("settings: {changes:?}"),
        Kind::Show(name) => format!("show {name}"),
        Kind::Prepare { name, .. } => format!("prepare {name}"),
        Kind::Execute { name, .. } => format!("execute {name}"),
        Kind::Explain { .. } => "explanation by Sidecache".to_owned(),
        Kind::Deallocate { name: Some(name) } => format!("deallocate {name}"),
        Kind::Deallocate { name: None } => "deallocate all".to_owned(),
        Kind::Listen(channel) => format!("listen {channel}"),
        Kind::Unlisten { .. } => "unlisten".to_owned(),
        Kind::Ddl => "DDL".to_owned(),
        Kind::Unproven => "unproven: counts as a write of everything".to_owned(),
    }
}

/// Whether a statement is cached.
enum Verdict {
    Proven,
    /// By rules, for so long, for want of a stream.
    Timed(Duration, String),
    /// The label, and what more there is to say.
    No(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Proven => f.write_str("yes"),
            Verdict::Timed(ttl, why) => {
                write!(f, "ttl: for {ttl:?}, by [[ttl]] rules, since changes cannot be heard: {why}")
            }
            Verdict::No(why) => write!(f, "no: {why}"),
        }
    }
}

fn verdict(plan: &Plan, catalog: &Catalog, basis: &Basis, level: Level, is_ruled_out: bool) -> Verdict {
    let recipe = match &plan.cache {
        Ok(recipe) => recipe,
        Err(refusal) => return Verdict::No(refusal.label().to_owned()),
    };
    match basis {
        Basis::CacheOff => Verdict::No("cache_off".to_owned()),
        _ if plan.hint.off => Verdict::No("hint".to_owned()),
        _ if is_ruled_out => Verdict::No("rule".to_owned()),
        _ if level == Level::Strong => Verdict::No(Unservable::Level.label().to_owned()),
        Basis::Stream => Verdict::Proven,
        Basis::Clock(rules, why) => match rules.ttl(&recipe.relations, catalog) {
            Ok(ttl) => Verdict::Timed(ttl, why.clone()),
            Err(Unnamed(id)) => {
                Verdict::No(format!("no_stream: {why}; and no [[ttl]] rule names {}", relation(id, catalog)))
            }
        },
    }
}

fn destination(plan: &Plan, verdict: &Verdict, basis: &Basis, level: Level) -> &'static str {
    let is_tied = plan.place == Place::Primary || level == Level::Strong;
    match (&plan.kind, verdict) {
        (Kind::Empty | Kind::Explain { .. }, _) => "Sidecache answers",
        (Kind::Read, _) if plan.pin.is_some() => "the primary, on a connection of its own",
        (Kind::Read, Verdict::Timed(..)) => "memory, then the primary",
        // How far a replica has come is told by the stream.
        (Kind::Read, Verdict::No(_)) if is_tied || matches!(basis, Basis::Clock(..)) => "the primary",
        (Kind::Read, Verdict::No(_)) => "a replica that is fresh enough, else the primary",
        (Kind::Read, Verdict::Proven) => {
            "memory, the shared tier, then a replica that is fresh enough, then the primary"
        }
        _ => "the primary",
    }
}

fn relation(id: RelationId, catalog: &Catalog) -> String {
    match catalog.relations.get(&id) {
        Some(relation) => format!("{}.{}", relation.schema, relation.name),
        None => format!("relation {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogVersion;
    use crate::route::plan::{Hint, PinReason, Recipe};

    fn a_plan() -> Plan {
        let relations = Box::new([RelationId::new(7)]);
        Plan {
            kind: Kind::Read,
            place: Place::Anywhere,
            cache: Ok(Recipe { relations, settings: Box::default(), parameters: 1, time_parameters: false }),
            pin: None,
            may_change_catalog: false,
            catalog_version: CatalogVersion(1),
            defaults: 0,
            identity: "SELECT 1".into(),
            hint: Hint::default(),
            ruled: Default::default(),
            shape: Default::default(),
        }
    }

    fn describe(plan: &Plan, basis: &Basis, now: Option<&Now>) -> Explanation {
        explain(&Subject {
            plan,
            catalog: &Catalog::default(),
            path: &SearchPath(vec!["public".to_owned()]),
            standard_strings: true,
            basis,
            level: plan.hint.level.unwrap_or_default(),
            now,
            rule: None,
        })
    }

    fn said(plan: &Plan) -> String {
        describe(plan, &Basis::Stream, None).to_string()
    }

    #[test]
    fn a_cached_read_shows_what_it_depends_on() {
        let text = said(&a_plan());
        assert!(
            text.contains("cached       yes") && text.contains("relation 7") && text.contains("memory, the shared"),
            "{text}"
        );
    }

    #[test]
    fn without_a_stream_nothing_that_no_rule_names_is_cached() {
        let basis = Basis::Clock(Arc::default(), "wal_level is replica".to_owned());
        let text = describe(&a_plan(), &basis, None).to_string();
        assert!(text.contains("no: no_stream: wal_level is replica; and no [[ttl]] rule names relation 7"), "{text}");
        assert!(text.contains("goes to      the primary\n"), "{text}");
    }

    #[test]
    fn hints_are_heeded() {
        let strong = Hint { level: Some(Level::Strong), ..Hint::default() };
        let text = said(&Plan { hint: strong, ..a_plan() });
        assert!(text.contains("no: level") && text.contains("goes to      the primary\n"), "{text}");
        let text = said(&Plan { hint: Hint { off: true, ..Hint::default() }, ..a_plan() });
        assert!(text.contains("no: hint") && text.contains("goes to      a replica"), "{text}");
    }

    #[test]
    fn a_refusal_is_named_and_a_pin_sends_to_the_primary() {
        let plan = Plan { cache: Err(Refusal::VolatileFunction), pin: Some(PinReason::AdvisoryLock), ..a_plan() };
        let text = said(&plan);
        assert!(text.contains("no: volatile_function") && text.contains("pins         advisory_lock"), "{text}");
        assert!(text.contains("goes to      the primary"), "{text}");
    }

    #[test]
    fn what_is_so_now_names_each_replica_that_is_passed_over() {
        let replica = |name: &str, passed_over| Replica {
            name: name.to_owned(),
            passed_over,
            zone: Some("a".to_owned()),
            lag: Some(Duration::from_millis(7)),
        };
        let now = Now {
            lookup: Some(Lookup::Bypass("below_floor")),
            server: "replica-2".to_owned(),
            reason: Reason::LeastOutstanding,
            replicas: vec![replica("replica-1", Some("too_far_behind")), replica("replica-2", None)],
        };
        let explanation = describe(&a_plan(), &Basis::Stream, Some(&now));
        let text = explanation.to_string();
        for line in [
            "now          no hit: below_floor; replica-2: least_outstanding\n",
            "replica      replica-1 passed over: too_far_behind, zone a, at most 7 ms late\n",
            "replica      replica-2 may answer, zone a, at most 7 ms late\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        let json = explanation.rows(ExplainForm::Json).concat();
        assert!(
            json.contains(r#""replica": ["replica-1 passed over"#) && json.contains(r#"text \"SELECT 1\","#),
            "{json}"
        );
    }
}
