//! Keeps the loaded catalog the primary's: loads it, compares its fingerprint at each doubt and at half the staleness bound,
//! and loads it again where it changed. One verification is under way at a time; doubts that come meanwhile share the next.

use super::hearing::{Hearing, Outcome, Question};
use super::link::{Broken, Link};
use super::load;
use super::roles::Roles;
use crate::catalog::CatalogVersion;
use crate::coherence::CatalogNeed;
use crate::types::{Lsn, Moment};
use crate::upstream::Upstream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Between verifications while no stream is heard: plans still need a catalog, entries don't.
const WITHOUT_STREAM: Duration = Duration::from_secs(5);

/// How long views that could not be read stay unread, if nothing else changes.
const LACKING: Duration = Duration::from_secs(30);

/// Between attempts to connect.
const RECONNECT: Duration = Duration::from_millis(500);

/// How long to wait for a commit that was heard to become visible: doubled each time.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// How old a verification may become while anything is written: what is changed in another database (roles, their memberships and
/// settings), or beside rows in one transaction, is not told by the stream.
fn period(staleness: Duration) -> Duration {
    (staleness / 2).max(Duration::from_millis(50))
}

/// What is loaded, and how well it is known.
#[derive(Debug, Default)]
struct Loaded {
    fingerprint: Option<String>,
    version: CatalogVersion,
    /// Who the names of roles have meant.
    roles: Roles,
    /// Views could not be read when it was loaded: they were in use by somebody who changes them.
    lacks: Option<Moment>,
    /// When it was last verified, and what had been heard by then.
    sent: Moment,
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
                let verifier = Verifier {
                    upstream: &upstream,
                    link: &link,
                    hearing: &hearing,
                    period: period(staleness),
                    versions: &versions,
                };
                let Err(broken) = verifier.run(&mut loaded).await;
                tracing::warn!(%broken, "catalog connection lost");
            }
            Err(broken) => tracing::debug!(%broken, "no catalog connection"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// The parts of a fingerprint that say what sessions start with.
const DEFAULTS: [&str; 3] = ["db_role_setting", "settings", "database"];

/// Those that say which schemas a role may use, and of whose changes a backend before this version takes no notice.
const RIGHTS: [&str; 3] = ["auth_members", "roles", "database"];
const NOTICES_RIGHTS: u32 = 170_000;

struct Verifier<'a> {
    upstream: &'a Upstream,
    link: &'a Link,
    hearing: &'a Hearing,
    period: Duration,
    versions: &'a watch::Sender<CatalogVersion>,
}

impl Verifier<'_> {
    async fn run(&self, loaded: &mut Loaded) -> Result<std::convert::Infallible, Broken> {
        let mut wait = SHORTEST_WAIT;
        load::prepare(self.link).await?;
        loop {
            if self.verify(loaded).await? == Outcome::Again {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            } else {
                wait = SHORTEST_WAIT;
                self.rest(loaded).await?;
            }
        }
    }

    /// Waits until there is reason to look again.
    async fn rest(&self, loaded: &mut Loaded) -> Result<(), Broken> {
        loop {
            let age = Moment::now().since(loaded.sent);
            let heard = self.hearing.epoch();
            if heard.is_none() {
                // A doubt, or a stream's beginning, ends the rest too.
                let _rung = timeout(WITHOUT_STREAM, self.hearing.doubted.notified()).await;
                return Ok(());
            }
            if heard != Some(self.link.epoch()) {
                return Err(Broken("the server is another incarnation than the stream's".to_owned()));
            }
            match self.hearing.coherence.catalog_need() {
                CatalogNeed::Now => return Ok(()),
                CatalogNeed::Soon if age >= self.period => return Ok(()),
                CatalogNeed::Nothing if age >= self.period && !self.renew(loaded).await? => return Ok(()),
                CatalogNeed::Soon | CatalogNeed::Nothing => {
                    let left = self.period.saturating_sub(Moment::now().since(loaded.sent));
                    let _rung = timeout(left, self.hearing.doubted.notified()).await;
                }
            }
        }
    }

    /// Where nothing was written anywhere in the cluster since the last verification, and its configuration not read anew, it is as good as a
    /// new one. Says whether it was.
    async fn renew(&self, loaded: &mut Loaded) -> Result<bool, Broken> {
        let Question { doubt, position, .. } = self.hearing.question();
        if position != loaded.position {
            return Ok(false);
        }
        let (sent, inserted) = self.link.ping().await?;
        if !load::is_configured_as(self.link, loaded.fingerprint.as_deref()).await? {
            return Ok(false);
        }
        let seen = self.link.snapshot().await?;
        let heard = timeout(self.period, self.hearing.coherence.wait_for(inserted)).await;
        if heard.is_err() || !self.hearing.stands_still(position) {
            return Ok(false);
        }
        let question = Question { doubt, sent, position };
        loaded.sent = sent;
        Ok(self.hearing.settle_same(self.link.epoch(), &question, &seen) == Outcome::Settled)
    }

    /// One verification, in one transaction, whose snapshot says which commits it has seen.
    async fn verify(&self, loaded: &mut Loaded) -> Result<Outcome, Broken> {
        let (link, hearing) = (self.link, self.hearing);
        let question = hearing.question();
        link.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let seen = link.snapshot().await?;
        let fingerprint = load::fingerprint(link).await?;
        hearing.counters.verifications.raise();
        let is_due = loaded.lacks.is_some_and(|since| Moment::now().since(since) >= LACKING);
        let is_same = loaded.fingerprint.as_ref() == Some(&fingerprint);
        let version = CatalogVersion(loaded.version.0 + 1);
        let fresh = if is_same && !is_due { None } else { Some(load::catalog(link, version).await?) };
        if let Some((_, lacks)) = &fresh {
            loaded.lacks = lacks.then(Moment::now);
        }
        // The same that lacks something still is no news.
        let fresh = fresh.filter(|(_, lacks)| !is_same || !lacks);
        let outcome = if let Some((mut catalog, _)) = fresh {
            catalog.defaults = load::hash_of(&fingerprint, &DEFAULTS);
            let roles = load::roles(link).await?;
            link.rows("COMMIT").await?;
            let at: Lsn = link.insert_position().await?;
            let before = loaded.fingerprint.replace(fingerprint.clone());
            let changed = before.as_deref().map(|before| load::differences(before, &fingerprint));
            let altered =
                before.and_then(|before| catalog.altered_since(&hearing.catalog.load(), &before, &fingerprint));
            let known = hearing.catalog.load();
            if altered.as_ref().is_some_and(|all| all.iter().all(|id| known.relations.contains_key(id))) {
                // None came.
                catalog.named = known.named;
            }
            let alone = altered.as_ref().map(Vec::len);
            tracing::info!(
                version = version.0,
                relations = catalog.relations.len(),
                ?changed,
                ?alone,
                "catalog loaded"
            );
            hearing.counters.catalogs.raise();
            loaded.version = version;
            let changes = |parts: &[&str]| changed.iter().flatten().any(|part| parts.contains(&part.as_str()));
            // A connection that logged in by a name, or was put into a role by it, is still of the role that had the name then.
            let is_another = loaded.roles.learn(roles);
            // Nor is it known what it starts with of settings that nobody has asked for.
            let is_more = self.upstream.reads_settings(&catalog.settings_named);
            let defaults = is_another || is_more || changes(&DEFAULTS);
            if changes(&RIGHTS) && link.identity.version < NOTICES_RIGHTS {
                self.upstream.paths_changed(at);
            }
            if defaults {
                // Before anything is stored under the new catalog, or it could come from a connection that began with the old ones.
                self.upstream.defaults_changed();
            }
            let outcome = hearing.settle_changed(link.epoch(), &question, &seen, catalog, at, altered.as_deref());
            if defaults {
                // And after, for the connections to replicas that had not replayed the change yet: from now on they must have.
                self.upstream.defaults_changed();
            }
            self.versions.send_replace(version);
            outcome
        } else {
            link.rows("COMMIT").await?;
            hearing.settle_same(link.epoch(), &question, &seen)
        };
        (loaded.sent, loaded.position) = (question.sent, question.position);
        Ok(outcome)
    }
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
