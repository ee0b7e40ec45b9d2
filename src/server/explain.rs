//! `sidecache explain "SELECT …"`: where a statement would go and why it would or would not be cached, from the
//! primary's own catalog. Runs nothing.

use crate::catalog::SearchPath;
use crate::coherence::{Coherence, Floor};
use crate::config::{CacheMode, Config};
use crate::feed::Feed;
use crate::feed::state::FeedState;
use crate::route::destination::{Bound, Choice, Passed, Reason, choose};
use crate::route::explain::{Basis, Now, Replica, Subject, explain as describe};
use crate::route::plan::{Encoding, Kind, Place, Plan, plan};
use crate::route::rules::{RouteRules, Verdict};
use crate::route::ttl::TtlRules;
use crate::types::{Level, Moment, RouteTo};
use crate::upstream::Upstream;
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
    let coherence = Coherence::new(config.staleness);
    tokio::spawn(Arc::clone(&upstream).watch(stop.clone()));
    let mut feed = Feed::start(Arc::clone(&upstream), Arc::clone(&coherence), config, stop);
    tokio::time::timeout(CATALOG_TIMEOUT, feed.catalog_version_changed.changed())
        .await
        .map_err(|_| format!("the catalog could not be read within {CATALOG_TIMEOUT:?}: {}", feed.state()))?
        .map_err(|_| "the catalog could not be read".to_owned())?;
    let basis = basis(config, &feed).await;
    let catalog = feed.catalog.load();
    let plan = plan(sql.as_bytes(), &path, true, Encoding::Utf8, &catalog);
    let level = plan.hint.level.unwrap_or(config.live.consistency);
    upstream.settled().await;
    let rules = RouteRules::new(1, &config.route_rules);
    let session = rules.of_session(&config.primary.user, &config.primary.database);
    let rule = rules.verdict(rules.of_statement(&plan, &path, true, &catalog).matches, session);
    let now = at_present(&upstream, &coherence, &plan, level, rule);
    let subject = Subject {
        plan: &plan,
        catalog: &catalog,
        path: &path,
        standard_strings: true,
        basis: &basis,
        level,
        now: now.as_ref(),
        rule,
    };
    Ok(describe(&subject).to_string())
}

/// Where a session that has seen nothing would have it answered on a miss; nothing for what is not a read.
fn at_present(
    upstream: &Upstream,
    coherence: &Coherence,
    plan: &Plan,
    level: Level,
    rule: Option<Verdict<'_>>,
) -> Option<Now> {
    if plan.kind != Kind::Read {
        return None;
    }
    let tied = match plan.place {
        _ if plan.pin.is_some() => Some(Reason::NotARead),
        Place::Primary => Some(Reason::OnlyThere),
        Place::Anywhere if plan.hint.route == Some(RouteTo::Primary) => Some(Reason::Hint),
        Place::Anywhere => {
            rule.filter(|rule| rule.to() == Some(RouteTo::Primary)).map(|rule| Reason::Rule(rule.number))
        }
    };
    let bound = Bound { floor: Floor::default(), again: None };
    let choice = match tied {
        Some(reason) => Choice { server: Arc::clone(upstream.primary()), reason, passed: Passed::default() },
        None => choose(upstream, coherence, level, Some(bound), &|_| false, (&Moment::now, 0)),
    };
    let server = choice.server.name().to_owned();
    let replicas = if tied.is_some() { Vec::new() } else { Replica::all(upstream, &choice.passed) };
    Some(Now { lookup: None, server, reason: choice.reason, replicas })
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
            Basis::Clock(Arc::new(TtlRules::new(&config.ttl_rules)), state.to_string())
        }
        _ => Basis::Stream,
    }
}
