//! What planning asks of the catalog: the seam at which tests put a catalog of their own.

use crate::catalog::{Catalog, CatalogVersion, Function, Relation, SearchPath, Volatility};
use crate::sql::facts::Name;
use crate::types::RelationId;

/// The catalog, as planning sees it.
pub(super) trait Names {
    fn version(&self) -> CatalogVersion;
    fn defaults(&self) -> u64;
    fn relation(&self, name: &Name, path: &SearchPath) -> Option<&Relation>;
    fn relation_by_id(&self, id: RelationId) -> Option<&Relation>;
    fn functions(&self, name: &Name, path: &SearchPath) -> Vec<&Function>;
    fn operator(&self, name: &Name, path: &SearchPath) -> Option<Volatility>;
    fn type_oid(&self, name: &Name, path: &SearchPath) -> Option<u32>;
    fn is_row_type(&self, name: &Name, path: &SearchPath) -> bool;
    fn is_unsteady(&self, oid: u32) -> bool;
    fn is_cast_unsafely(&self, oid: u32) -> bool;
    fn has_unsafe_casts(&self) -> bool;
    fn may_write_unnamed(&self) -> bool;
}

impl Names for Catalog {
    fn version(&self) -> CatalogVersion {
        self.version
    }

    fn defaults(&self) -> u64 {
        self.defaults
    }

    fn relation(&self, name: &Name, path: &SearchPath) -> Option<&Relation> {
        Catalog::relation(self, name.schema.as_deref(), &name.name, path)
    }

    fn relation_by_id(&self, id: RelationId) -> Option<&Relation> {
        self.relations.get(&id)
    }

    fn functions(&self, name: &Name, path: &SearchPath) -> Vec<&Function> {
        Catalog::functions(self, name.schema.as_deref(), &name.name, path)
    }

    fn operator(&self, name: &Name, path: &SearchPath) -> Option<Volatility> {
        Catalog::operator(self, name.schema.as_deref(), &name.name, path)
    }

    fn type_oid(&self, name: &Name, path: &SearchPath) -> Option<u32> {
        Catalog::type_oid(self, name.schema.as_deref(), &name.name, path)
    }

    fn is_row_type(&self, name: &Name, path: &SearchPath) -> bool {
        Catalog::is_row_type(self, name.schema.as_deref(), &name.name, path)
    }

    fn is_unsteady(&self, oid: u32) -> bool {
        Catalog::is_unsteady(self, oid)
    }

    fn is_cast_unsafely(&self, oid: u32) -> bool {
        Catalog::is_cast_unsafely(self, oid)
    }

    fn has_unsafe_casts(&self) -> bool {
        Catalog::has_unsafe_casts(self)
    }

    fn may_write_unnamed(&self) -> bool {
        Catalog::may_write_unnamed(self)
    }
}
