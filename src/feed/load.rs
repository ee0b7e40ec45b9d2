//! What the feed asks of the catalog's rows, and small things that have no better place.

use super::link::{Broken, Link};
use super::state::{End, Lost, Off};
use crate::catalog::{Catalog, CatalogVersion};
use crate::upstream::LeaseError;
use std::hash::{BuildHasher, Hasher};

/// What changes whenever the catalog does.
pub(super) async fn fingerprint(link: &Link) -> Result<String, Broken> {
    link.text("SELECT 'todo'").await
}

/// The catalog as this transaction's snapshot shows it.
pub(super) async fn catalog(_link: &Link, version: CatalogVersion) -> Result<Catalog, Broken> {
    Ok(Catalog { version, ..Catalog::default() })
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
