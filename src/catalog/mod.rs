//! What names mean: one immutable snapshot a version, built from rows that `feed` fetches. Does no I/O and knows no
//! session; who asks brings the search path.

use crate::types::RelationId;
use std::collections::HashMap;

/// Counts the snapshots that this instance has built: plans made against another version are made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CatalogVersion(pub u64);

/// `pg_class.relkind`, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    Table,
    Partitioned,
    View,
    MaterializedView,
    Foreign,
    Sequence,
    Index,
    Other,
}

/// `pg_class.relpersistence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    Permanent,
    Unlogged,
    Temporary,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /** `pg_type.oid` */
    pub type_oid: u32,
}

/// A relation and what a reader of it depends on.
#[derive(Debug, Clone)]
pub struct Relation {
    pub id: RelationId,
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
    pub persistence: Persistence,
    pub row_security: bool,
    pub columns: Vec<Column>,
    /// All that inherit from it or are its partitions, transitively.
    pub descendants: Vec<RelationId>,
    /// For a view: `pg_get_viewdef`, every name qualified outside `pg_catalog`.
    pub definition: Option<String>,
    /// For a view: what `pg_depend` says its rule reads.
    pub rule_dependencies: Vec<RelationId>,
    /// Whether triggers or rules other than a view's own SELECT rule stand on it.
    pub has_rules: bool,
}

/// `pg_proc.provolatile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// A function, aggregate, window function or procedure.
#[derive(Debug, Clone)]
pub struct Function {
    pub oid: u32,
    pub schema: String,
    pub volatility: Volatility,
    pub security_definer: bool,
    /// Comes with PostgreSQL (its oid is below 16384).
    pub built_in: bool,
    pub argument_types: Vec<u32>,
}

/// The schemas that unqualified names are looked up in, in order, `"$user"` already replaced; `pg_catalog` is searched first unless named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SearchPath(pub Vec<String>);

/// One version of the catalog.
#[derive(Debug, Default)]
pub struct Catalog {
    pub version: CatalogVersion,
    pub relations: HashMap<RelationId, Relation>,
}

#[allow(unused_variables, missing_docs)]
impl Catalog {
    /// By name: in `schema` if given, else the first schema of the path that has it. System catalogs are found too (schema `pg_catalog`, `information_schema`).
    pub fn relation(&self, schema: Option<&str>, name: &str, path: &SearchPath) -> Option<&Relation> {
        todo!()
    }
    /// All overloads that the name could mean: in `schema` if given, else in `pg_catalog` and every schema of the path.
    pub fn functions<'a>(&'a self, schema: Option<&str>, name: &str, path: &SearchPath) -> Vec<&'a Function> {
        todo!()
    }
    /// The volatility of the worst operator of this name in `pg_catalog` or the path; `None` if there is none.
    pub fn operator(&self, schema: Option<&str>, name: &str, path: &SearchPath) -> Option<Volatility> {
        todo!()
    }
    /// The type's oid; arrays as `name[]`.
    pub fn type_oid(&self, schema: Option<&str>, name: &str, path: &SearchPath) -> Option<u32> {
        todo!()
    }
    /// Whether any cast, input or output function that users made is not immutable.
    pub fn has_unsafe_casts(&self) -> bool {
        todo!()
    }
    /// The relation that the stream names `schema.name` (already unquoted).
    pub fn heard(&self, schema: &str, name: &str) -> Option<RelationId> {
        todo!()
    }
}
