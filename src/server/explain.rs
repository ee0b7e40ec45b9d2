//! `sidecache explain "SELECT …"`: where a statement would go and why it would or would not be cached, from the
//! primary's own catalog. Runs nothing.

use crate::catalog::{Catalog, SearchPath};
use crate::coherence::{Coherence, Unservable};
use crate::config::{CacheMode, Config};
use crate::feed::Feed;
use crate::feed::state::FeedState;
use crate::route::plan::{Encoding, Kind, Place, Plan, plan};
use crate::route::ttl::{TtlRules, Unnamed};
use crate::types::{Level, RelationId};
use crate::upstream::Upstream;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the catalog may take to be read.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a stream may take to show whether it can be had.
const STREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// Understands `sql` as a new session of Sidecache's own user would.
///
/// # Errors
/// The primary cannot be reached, or its catalog not read, in a sentence.
pub async fn explain(config: &Config, sql: &str) -> Result<String, String> {
    let upstream = Upstream::new(config);
    // Asked first for its error: the feed would try again for ever.
    let control = upstream.control().await.map_err(|cause| format!("the primary cannot be reached: {cause}"))?;
    // Connections of Sidecache's own look nothing up but PostgreSQL's own names; a session of this user's would.
    let session = "RESET search_path; SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))::pg_catalog.text";
    let schemas = control.rows(session).await.map_err(|cause| cause.to_string())?;
    let path = SearchPath(schemas.into_iter().flatten().flatten().collect());
    let stop = CancellationToken::new();
    let _stopped_at_the_end = stop.clone().drop_guard();
    let mut feed = Feed::start(Arc::clone(&upstream), Coherence::new(config.staleness), config, stop);
    tokio::time::timeout(CATALOG_TIMEOUT, feed.catalog_version_changed.changed())
        .await
        .map_err(|_| format!("the catalog could not be read within {CATALOG_TIMEOUT:?}: {}", feed.state()))?
        .map_err(|_| "the catalog could not be read".to_owned())?;
    let basis = basis(config, &feed).await;
    let catalog = feed.catalog.load();
    let plan = plan(sql.as_bytes(), &path, true, Encoding::Utf8, &catalog);
    let level = plan.hint.level.unwrap_or(config.live.consistency);
    Ok(describe(&plan, &catalog, &path, &basis, level))
}

/// What a hit would be held against.
enum Basis {
    /// The cache is switched off.
    CacheOff,
    Stream,
    /// No stream can be had, for this reason; what the rules name is kept by the clock.
    Clock(TtlRules, String),
}

async fn basis(config: &Config, feed: &Feed) -> Basis {
    if config.cache == CacheMode::Off {
        return Basis::CacheOff;
    }
    let mut states = feed.states();
    let settled = states.wait_for(|state| *state != FeedState::Connecting);
    // One that takes long is on its way.
    match tokio::time::timeout(STREAM_TIMEOUT, settled).await {
        Ok(Ok(state)) if matches!(*state, FeedState::Off(_)) => {
            Basis::Clock(TtlRules::new(&config.ttl_rules), state.to_string())
        }
        _ => Basis::Stream,
    }
}

fn describe(plan: &Plan, catalog: &Catalog, path: &SearchPath, basis: &Basis, level: Level) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("kind", &kind(&plan.kind));
    let verdict = verdict(plan, catalog, basis, level);
    line("goes to", destination(plan, &verdict, basis, level));
    line("search path", &path.0.join(", "));
    line("cached", &verdict.to_string());
    if let Ok(recipe) = &plan.cache {
        let relations: Vec<_> = recipe.relations.iter().map(|id| relation(*id, catalog)).collect();
        line("depends on", &relations.join(", "));
        let parameters = recipe.parameters;
        let key = format!("session inputs, text {:?}, {parameters} parameters and their formats", plan.identity);
        line("key", &key);
        if recipe.time_parameters {
            line("but", "not when a parameter says now, today, tomorrow or yesterday");
        }
    }
    if plan.hint.off {
        line("hint", "off: never cached");
    }
    if let Some(level) = plan.hint.level {
        line("hint", &format!("level {}", level.label()));
    }
    if let Some(pin) = plan.pin {
        line("pins", pin.label());
    }
    if plan.may_change_catalog {
        line("catalog", "may change it: hits wait until it has been looked at again");
    }
    text
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
        Kind::Show(name) => format!("show {name}"),
        Kind::Prepare { name, .. } => format!("prepare {name}"),
        Kind::Execute { name, .. } => format!("execute {name}"),
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

fn verdict(plan: &Plan, catalog: &Catalog, basis: &Basis, level: Level) -> Verdict {
    let recipe = match &plan.cache {
        Ok(recipe) => recipe,
        Err(refusal) => return Verdict::No(refusal.label().to_owned()),
    };
    match basis {
        Basis::CacheOff => Verdict::No("cache_off".to_owned()),
        _ if plan.hint.off => Verdict::No("hint".to_owned()),
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
        (Kind::Empty, _) => "Sidecache answers",
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
    use crate::route::plan::{Hint, PinReason, Recipe, Refusal};

    fn a_plan() -> Plan {
        let relations = Box::new([RelationId::new(7)]);
        Plan {
            kind: Kind::Read,
            place: Place::Anywhere,
            cache: Ok(Recipe { relations, settings: Box::default(), parameters: 1, time_parameters: false }),
            pin: None,
            may_change_catalog: false,
            catalog_version: CatalogVersion(1),
            identity: "SELECT 1".into(),
            hint: Hint::default(),
        }
    }

    fn said(plan: &Plan) -> String {
        describe(
            plan,
            &Catalog::default(),
            &SearchPath(vec!["public".to_owned()]),
            &Basis::Stream,
            plan.hint.level.unwrap_or_default(),
        )
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
        let basis = Basis::Clock(TtlRules::default(), "wal_level is replica".to_owned());
        let text = describe(&a_plan(), &Catalog::default(), &SearchPath::default(), &basis, Level::Session);
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
}
