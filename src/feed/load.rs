//! What the feed asks of the catalog's rows, and small things that have no better place.

use super::link::{Broken, Link};
use super::state::{End, Lost, Off};
use crate::catalog::{
    self, CONFIGURED, Catalog, CatalogVersion, FINGERPRINT, QUERIES, VIEW_IDS, VIEWS, definitions, has_part,
};
use crate::upstream::LeaseError;
use std::hash::{BuildHasher, Hash, Hasher};

/// Plans the fingerprint once a connection: that takes longer than running it.
pub(super) async fn prepare(link: &Link) -> Result<(), Broken> {
    link.rows(&format!("PREPARE sidecache_fingerprint AS {FINGERPRINT}")).await.map(drop)
}

/// What changes whenever the catalog does.
pub(super) async fn fingerprint(link: &Link) -> Result<String, Broken> {
    link.text("EXECUTE sidecache_fingerprint").await
}

/// Whether the server's configuration was not read anew since this fingerprint.
pub(super) async fn is_configured_as(link: &Link, fingerprint: Option<&str>) -> Result<bool, Broken> {
    let part = link.text(CONFIGURED).await?;
    Ok(fingerprint.is_some_and(|fingerprint| has_part(fingerprint, &part)))
}

/// Some parts of a fingerprint, as a number that another instance finds too.
pub(super) fn hash_of(fingerprint: &str, labels: &[&str]) -> u64 {
    let is_asked = |part: &&str| part.split_once('=').is_some_and(|(label, _)| labels.contains(&label));
    let mut hasher = std::hash::DefaultHasher::new();
    fingerprint.split(' ').filter(is_asked).for_each(|part| part.hash(&mut hasher));
    hasher.finish()
}

/// The catalogs whose parts differ between two fingerprints.
pub(super) fn differences(before: &str, after: &str) -> Vec<String> {
    catalog::differences(before, after).into_iter().map(str::to_owned).collect()
}

/// So long the printing of views waits for a lock. It holds those of other views meanwhile, for which an application's DDL may wait that
/// holds this one: far less than `deadlock_timeout`, after which PostgreSQL would end one of the two, and it could be the application.
const LOCK_WAIT: &str = "10ms";

/// As many times it may have waited in vain before the rest is left out.
const MOST_WAITS: usize = 64;

/// The catalog as this transaction's snapshot shows it, and whether definitions of views are left out that could not be had.
pub(super) async fn catalog(link: &Link, version: CatalogVersion) -> Result<(Catalog, bool), Broken> {
    // Plans are large and runs short.
    link.rows("SET LOCAL jit = off; SET LOCAL lock_timeout = '10s'").await?;
    let mut results = Vec::with_capacity(QUERIES.len());
    let mut lacks = false;
    for query in QUERIES {
        if *query != VIEWS {
            results.push(link.rows(query).await?);
            continue;
        }
        let views = views(link).await?;
        lacks = views.iter().any(|view| view[1].is_none());
        results.push(views);
    }
    let catalog = Catalog::build(version, &results).map_err(|error| Broken(error.to_string()))?;
    Ok((catalog, lacks))
}

/// Views with their definitions: of those that are in the way of nobody, where somebody changes what others read.
async fn views(link: &Link) -> Result<Vec<Vec<Option<String>>>, Broken> {
    let oids: Vec<String> = link.rows(VIEW_IDS).await?.into_iter().flatten().flatten().collect();
    link.rows(&format!("SET LOCAL lock_timeout = '{LOCK_WAIT}'")).await?;
    let mut known = Vec::with_capacity(oids.len());
    let (mut waits, mut parts) = (0, vec![&oids[..]]);
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        if waits < MOST_WAITS {
            link.rows("SAVEPOINT definitions").await?;
            let fetched = link.rows(&definitions(part)).await;
            // Gives the locks back, and ends what has failed; if the connection itself has, this does too.
            link.rows("ROLLBACK TO definitions").await?;
            if let Ok(rows) = fetched {
                known.extend(rows);
                continue;
            }
            waits += 1;
        }
        if part.len() == 1 || waits >= MOST_WAITS {
            known.extend(part.iter().map(|oid| vec![Some(oid.clone()), None]));
        } else {
            let (first, second) = part.split_at(part.len() / 2);
            parts.extend([second, first]);
        }
    }
    link.rows("SET LOCAL lock_timeout = '10s'").await?;
    Ok(known)
}

/// Every role's name and its oid.
pub(super) async fn roles(link: &Link) -> Result<Vec<(String, u32)>, Broken> {
    let rows = link.rows("SELECT rolname, oid FROM pg_catalog.pg_roles").await?;
    let role = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
        Ok([Some(name), Some(oid)]) => oid.parse().ok().map(|oid| (name, oid)),
        _ => None,
    };
    let roles: Option<Vec<_>> = rows.into_iter().map(role).collect();
    roles.ok_or_else(|| Broken("a role without name or oid".to_owned()))
}

/// Why the replication connection could not be had.
pub(super) fn refused(error: &LeaseError) -> End {
    if let LeaseError::Refused { sqlstate, message, .. } = error
        && let Some(off) = Off::from_server(sqlstate, message)
    {
        return End::Off(off);
    }
    End::Lost(Lost::Unreachable(error.to_string()))
}

/// A number that nobody can rely on.
pub(super) fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
