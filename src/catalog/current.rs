//! The catalog that plans are made with. What is asked of it at each statement is kept beside it: one read of an integer, where to get hold
//! of the snapshot takes a hundred instructions.

use super::{Catalog, CatalogVersion};
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Current {
    catalog: ArcSwap<Catalog>,
    version: AtomicU64,
    named: AtomicU64,
}

impl Current {
    pub fn new(catalog: Catalog) -> Self {
        let current = Current::default();
        current.store(catalog);
        current
    }

    /// The snapshot. Not to be held while anything is awaited.
    pub fn load(&self) -> Guard<Arc<Catalog>> {
        self.catalog.load()
    }

    /// The version of what [`load`](Self::load) gives, or of the one before while it is being replaced.
    pub fn version(&self) -> CatalogVersion {
        CatalogVersion(self.version.load(Ordering::Acquire))
    }

    /// [`Catalog::named`], as of [`version`](Self::version).
    pub fn named(&self) -> CatalogVersion {
        CatalogVersion(self.named.load(Ordering::Acquire))
    }

    /// Replaces it. One at a time.
    pub fn store(&self, catalog: Catalog) {
        let (version, named) = (catalog.version, catalog.named);
        self.catalog.store(Arc::new(catalog));
        self.named.store(named.0, Ordering::Release);
        self.version.store(version.0, Ordering::Release);
    }
}
