//! Keeps the loaded catalog the primary's: loads it, compares its fingerprint at each doubt and at half the staleness bound,
//! and loads it again where it changed. One verification is under way at a time; doubts that come meanwhile share the next.

use super::hearing::{Hearing, Question, Sight};
use super::link::{Broken, Link};
use super::load;
use crate::catalog::CatalogVersion;
use crate::types::Lsn;
use crate::upstream::Upstream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between verifications while no stream is heard: plans still need a catalog, entries don't.
const WITHOUT_STREAM: Duration = Duration::from_secs(5);

/// Between attempts to connect.
const RECONNECT: Duration = Duration::from_millis(500);

/// How long to wait for a commit that was heard to become visible: doubled each time.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// How often the catalog is looked at without a doubt: what is changed in another database (roles, their memberships and settings)
/// is not told by this one's stream.
fn period(staleness: Duration) -> Duration {
    (staleness / 2).max(Duration::from_millis(50))
}

/// What is loaded, and what told it apart from others.
#[derive(Debug, Default)]
struct Loaded {
    fingerprint: Option<String>,
    version: CatalogVersion,
    /// What had been heard when it was last verified.
    position: Lsn,
}

/// Verifies for as long as the feed lives, stream or none.
pub(super) async fn run(
    upstream: Arc<Upstream>,
    hearing: Arc<Hearing>,
    staleness: Duration,
    versions: watch::Sender<CatalogVersion>,
) {
    let mut loaded = Loaded::default();
    loop {
        match Link::open(&upstream).await {
            Ok(link) => {
                let Err(broken) = on_link(&link, &hearing, staleness, &versions, &mut loaded).await;
                tracing::warn!(%broken, "catalog connection lost");
            }
            Err(broken) => tracing::debug!(%broken, "no catalog connection"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn on_link(
    link: &Link,
    hearing: &Hearing,
    staleness: Duration,
    versions: &watch::Sender<CatalogVersion>,
    loaded: &mut Loaded,
) -> Result<std::convert::Infallible, Broken> {
    loop {
        verify(link, hearing, versions, loaded).await?;
        let rest = if hearing.hears(link.epoch()) { period(staleness) } else { WITHOUT_STREAM };
        loop {
            match tokio::time::timeout(rest, hearing.doubted.notified()).await {
                Ok(()) => break,
                // Nothing was written anywhere in the cluster since: nothing can have changed.
                Err(_) if hearing.hears(link.epoch()) && hearing.question().position == loaded.position => {}
                Err(_) => break,
            }
        }
    }
}

/// One verification, repeated until it has seen every commit in question.
async fn verify(
    link: &Link,
    hearing: &Hearing,
    versions: &watch::Sender<CatalogVersion>,
    loaded: &mut Loaded,
) -> Result<(), Broken> {
    let mut wait = SHORTEST_WAIT;
    loop {
        let question = hearing.question();
        link.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let sight = question.sight(&link.snapshot().await?);
        if sight == Sight::Whole {
            return look(link, hearing, versions, loaded, question).await;
        }
        link.rows("ROLLBACK").await?;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Inside the transaction whose snapshot saw enough.
async fn look(
    link: &Link,
    hearing: &Hearing,
    versions: &watch::Sender<CatalogVersion>,
    loaded: &mut Loaded,
    question: Question,
) -> Result<(), Broken> {
    let fingerprint = load::fingerprint(link).await?;
    hearing.counters.verifications.raise();
    if loaded.fingerprint.as_ref() == Some(&fingerprint) {
        link.rows("ROLLBACK").await?;
        hearing.settle_same(link.epoch(), &question);
    } else {
        let version = CatalogVersion(loaded.version.0 + 1);
        let catalog = load::catalog(link, version).await?;
        link.rows("ROLLBACK").await?;
        let at: Lsn = link.value("SELECT pg_current_wal_insert_lsn()::text").await?;
        tracing::info!(version = version.0, relations = catalog.relations.len(), "catalog loaded");
        hearing.counters.catalogs.raise();
        hearing.settle_changed(link.epoch(), &question, catalog, at);
        (loaded.fingerprint, loaded.version) = (Some(fingerprint), version);
        versions.send_replace(version);
    }
    loaded.position = question.position;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_is_looked_at_twice_a_bound() {
        assert_eq!(period(Duration::from_secs(1)), Duration::from_millis(500));
        assert_eq!(period(Duration::from_millis(10)), Duration::from_millis(50));
    }
}
