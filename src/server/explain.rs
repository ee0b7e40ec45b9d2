//! `sidecache explain "SELECT …"`: where a statement would go and why it would or would not be cached, from the
//! primary's own catalog. Runs nothing.

use crate::catalog::{Catalog, SearchPath};
use crate::coherence::Coherence;
use crate::config::{CacheMode, Config};
use crate::feed::Feed;
use crate::feed::state::FeedState;
use crate::route::plan::{Kind, Plan, plan};
use crate::route::ttl::{TtlRules, Unnamed};
use crate::types::RelationId;
use crate::upstream::Upstream;
use std::fmt::Write;
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
    Ok(describe(&plan(sql.as_bytes(), &path, true, &catalog), &catalog, &path, &basis))
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

fn describe(plan: &Plan, catalog: &Catalog, path: &SearchPath, basis: &Basis) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("kind", &kind(&plan.kind));
    let kept = match (&plan.cache, basis) {
        (Ok(recipe), Basis::Clock(rules, _)) => Some(rules.ttl(&recipe.relations, catalog)),
        _ => None,
    };
    line("goes to", destination(plan, basis, kept.is_some_and(|kept| kept.is_ok())));
    line("search path", &path.0.join(", "));
    match &plan.cache {
        Ok(recipe) => {
            line("cached", &cached(basis, kept, catalog));
            let relations: Vec<_> = recipe.relations.iter().map(|id| relation(*id, catalog)).collect();
            line("depends on", &relations.join(", "));
            line(
                "key",
                &format!(
                    "session inputs, text {:?}, {} parameters and their formats",
                    plan.identity, recipe.parameters
                ),
            );
            if recipe.time_parameters {
                line("but", "not when a parameter says now, today, tomorrow or yesterday");
            }
        }
        Err(refusal) => line("cached", &format!("no: {}", refusal.label())),
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
        Kind::Transaction(control) => format!("transaction control: {control:?}"),
        Kind::Setting(change) => format!("setting: {change:?}"),
        Kind::Show(name) => format!("show {name}"),
        Kind::Deallocate { name: Some(name) } => format!("deallocate {name}"),
        Kind::Deallocate { name: None } => "deallocate all".to_owned(),
        Kind::Unlisten { .. } => "unlisten".to_owned(),
        Kind::Ddl => "DDL".to_owned(),
        Kind::Unproven => "unproven: counts as a write of everything".to_owned(),
    }
}

/// Whether a statement that may be cached is, and what by.
fn cached(basis: &Basis, kept: Option<Result<Duration, Unnamed>>, catalog: &Catalog) -> String {
    match (basis, kept) {
        (Basis::CacheOff, _) => "no: cache_off".to_owned(),
        (Basis::Clock(_, why), Some(Ok(ttl))) => {
            format!("ttl: for {ttl:?}, by [[ttl]] rules, since changes cannot be heard: {why}")
        }
        (Basis::Clock(_, why), Some(Err(Unnamed(id)))) => {
            let unnamed = relation(id, catalog);
            format!("no: no_stream: {why}; and no [[ttl]] rule names {unnamed}")
        }
        _ => "yes".to_owned(),
    }
}

fn destination(plan: &Plan, basis: &Basis, by_clock: bool) -> &'static str {
    match &plan.kind {
        Kind::Read if plan.pin.is_some() => "the primary, on a connection of its own",
        Kind::Read if by_clock => "memory, then the primary",
        // How far a replica has come is told by the stream.
        Kind::Read if matches!(basis, Basis::Clock(..)) => "the primary",
        Kind::Read if matches!(basis, Basis::CacheOff) => "a replica that is fresh enough, else the primary",
        Kind::Read if plan.cache.is_ok() => {
            "memory, the shared tier, then a replica that is fresh enough, then the primary"
        }
        Kind::Read => "a replica that is fresh enough, else the primary",
        Kind::Empty => "Sidecache answers",
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
    use crate::route::plan::{Hint, PinReason, Place, Recipe, Refusal};

    fn a_plan() -> Plan {
        let relations = Box::new([RelationId::new(7)]);
        Plan {
            kind: Kind::Read,
            place: Place::Anywhere,
            cache: Ok(Recipe { relations, parameters: 1, time_parameters: false }),
            pin: None,
            may_change_catalog: false,
            catalog_version: CatalogVersion(1),
            identity: "SELECT 1".into(),
            hint: Hint::default(),
        }
    }

    fn said(plan: &Plan) -> String {
        describe(plan, &Catalog::default(), &SearchPath(vec!["public".to_owned()]), &Basis::Stream)
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
        let text = describe(&a_plan(), &Catalog::default(), &SearchPath::default(), &basis);
        assert!(text.contains("no: no_stream: wal_level is replica; and no [[ttl]] rule names relation 7"), "{text}");
        assert!(text.contains("goes to      the primary\n"), "{text}");
    }

    #[test]
    fn a_refusal_is_named_and_a_pin_sends_to_the_primary() {
        let plan = Plan { cache: Err(Refusal::VolatileFunction), pin: Some(PinReason::AdvisoryLock), ..a_plan() };
        let text = said(&plan);
        assert!(text.contains("no: volatile_function") && text.contains("pins         advisory_lock"), "{text}");
        assert!(text.contains("goes to      the primary"), "{text}");
    }
}
