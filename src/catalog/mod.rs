//! What names mean: one immutable snapshot a version, built from rows that `feed` fetches. Does no I/O and knows no
//! session; who asks brings the search path.
//!
//! `feed` runs [`QUERIES`] in one REPEATABLE READ transaction, gives their rows to [`Catalog::build`], and asks for
//! [`FINGERPRINT`] to learn when to do so again. Everybody else only looks up.

mod current;
mod fingerprint;
mod lookup;
mod queries;
mod rows;
mod settings;
mod versions;

pub use current::Current;
pub use fingerprint::{CONFIGURED, FINGERPRINT, differences, has_part};
pub use queries::{QUERIES, STORAGES, VIEW_IDS, VIEWS, definitions};
pub use rows::BuildError;
pub use versions::{Version, Versions};

use crate::types::RelationId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Of the settings that policies, views and functions name, as many are told.
const MOST_SETTINGS_NAMED: usize = 64;

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

/// Where a relation has its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In PostgreSQL's own heap, under its own name, or it has none.
    Own,
    /// Where an access method likes that PostgreSQL does not come with.
    AccessMethod,
    /// In other tables, perhaps on other servers (Citus).
    Shards,
    /// In part in other tables (TimescaleDB).
    Compressed,
}

impl Storage {
    /// By the word that the queries use.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "own" => Some(Storage::Own),
            "method" => Some(Storage::AccessMethod),
            "shards" => Some(Storage::Shards),
            "compressed" => Some(Storage::Compressed),
            _ => None,
        }
    }
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
    pub storage: Storage,
    /// Policies decide which of its rows a role sees.
    pub row_security: bool,
    /// Where they do: the condition of each that bears on reading, every name qualified outside `pg_catalog`; `None` for one
    /// that was dropped while the rows were fetched.
    pub policies: Vec<Option<String>>,
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
    /// Its own, or that of what it calls, as far as its source tells.
    pub volatility: Volatility,
    pub security_definer: bool,
    /// Comes with PostgreSQL (its oid is below 16384).
    pub built_in: bool,
    pub argument_types: Vec<u32>,
    /// Of one that users made: what it returns, and its OUT and TABLE columns.
    pub result_types: Vec<u32>,
    pub session_state: SessionState,
    /// For a stable one in SQL that runs as its caller and under its caller's settings: its source, which can be judged as a view's is.
    pub body: Option<String>,
    /// As far as its source tells, and those of functions that it names.
    pub may_change_catalog: bool,
    /// Whether it may tell of the server that runs it, whatever that knows of the data.
    pub tells_server: bool,
}

/// Whether a call may leave something behind in the session: a setting, a temporary table, a lock. Told by the function's
/// source, and by those of functions whose names are called there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    Kept,
    MayMove,
    /// And DISCARD ALL may not end it.
    MayMoveLastingly,
}

/// The schemas that unqualified names are looked up in, in order, `"$user"` already replaced; `pg_catalog` is
/// searched first unless named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SearchPath(pub Vec<String>);

/// What a type is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    Base,
    Composite,
    /// Stands for the type with this oid, with constraints.
    Domain {
        base: u32,
    },
    Enum,
    Range,
    Multirange,
    /// Of elements of the type with this oid.
    Array {
        element: u32,
    },
    Pseudo,
}

/// A type, but for the row types of relations and their arrays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: TypeKind,
    /// The type of arrays of it, or 0.
    pub array: u32,
}

/// A schema, temporary ones left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    pub name: String,
    pub usage: Usage,
}

/// Who may look names up in a schema. PostgreSQL passes over a schema of the path that a role may not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Everybody,
    /// Some roles: the catalog does not know who asks.
    Some,
}

/// All operators of one name in one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub schema: String,
    pub name: String,
    /// Of the worst; one that users made counts as volatile if it is not immutable, nor stable and in C.
    pub volatility: Volatility,
}

/// What a catalog is made of, before it is put in order for lookups. Tests make catalogs from it.
#[derive(Debug, Default)]
pub struct Parts {
    pub schemas: Vec<Schema>,
    pub relations: Vec<Relation>,
    /// With their names.
    pub functions: Vec<(String, Function)>,
    pub operators: Vec<Operator>,
    pub types: Vec<Type>,
    /// Those whose values hang on more than themselves, or that are made of such.
    pub unsteady_types: HashSet<u32>,
    /// What users made that runs unnamed and is not immutable: its kind and its name. Not casts of which it is known where they run.
    pub unsafe_casts: Vec<String>,
    /// Those whose values such a cast may take, and what is made of them.
    pub cast_types: HashSet<u32>,
    /// One of them is volatile.
    pub casts_write: bool,
    pub writes: Writes,
    /// Settings of the users' own that sources of functions name.
    pub named_settings: BTreeSet<String>,
    /// Settings with a dot in their name that sessions start with.
    pub default_settings: Vec<DefaultSetting>,
    pub versions: Versions,
}

/// Whether a write may run a function that leaves something in the session ([`SessionState::MayMove`]), though no statement names it:
/// a trigger's, a default's, an operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Writes {
    #[default]
    KeepSettings,
    MayMoveSettings,
    /// Or some of the users' own that cannot be asked for: their names are made as the function runs, or there are too many.
    MayMoveUntold,
}

impl Writes {
    pub fn may_move(self) -> bool {
        self != Writes::KeepSettings
    }
}

/// What `ALTER ROLE` or `ALTER DATABASE … SET` gives the sessions of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultSetting {
    /// Of this role alone, if not empty.
    pub role: String,
    /// In lower case.
    pub name: String,
    pub value: String,
}

/// One version of the catalog.
#[derive(Debug, Default)]
pub struct Catalog {
    pub version: CatalogVersion,
    /// The newest version in which a name may have come to mean something else.
    pub named: CatalogVersion,
    pub relations: HashMap<RelationId, Relation>,
    schemas: HashMap<String, Names>,
    functions: HashMap<String, Vec<Function>>,
    types: HashMap<u32, Type>,
    unsteady_types: HashSet<u32>,
    unsafe_casts: Vec<String>,
    cast_types: HashSet<u32>,
    casts_write: bool,
    pub writes: Writes,
    default_settings: Vec<DefaultSetting>,
    /// What sessions start with (`ALTER ROLE … SET`, `ALTER DATABASE … SET`, the configuration), as a hash: the same for every instance.
    pub defaults: u64,
    versions: Versions,
    /// Settings of the users' own that policies, views and functions ask for or set by name, as far as their texts show it.
    pub settings_named: Arc<[String]>,
}

/// What one schema holds, by name.
#[derive(Debug)]
struct Names {
    usage: Usage,
    relations: HashMap<String, RelationId>,
    types: HashMap<String, u32>,
    operators: HashMap<String, Volatility>,
}

impl Names {
    fn new(usage: Usage) -> Self {
        Names { usage, relations: HashMap::new(), types: HashMap::new(), operators: HashMap::new() }
    }
}

impl Catalog {
    /// From the rows of [`QUERIES`], in their order, as text.
    pub fn build(version: CatalogVersion, results: &[Vec<Vec<Option<String>>>]) -> Result<Self, BuildError> {
        rows::parts(results).map(|parts| Catalog::new(version, parts))
    }

    /// Puts the parts in order. A schema that is not listed but holds something counts as one that some roles may
    /// use.
    pub fn new(version: CatalogVersion, parts: Parts) -> Self {
        let mut schemas: HashMap<String, Names> =
            parts.schemas.into_iter().map(|schema| (schema.name, Names::new(schema.usage))).collect();
        fn inside<'a>(schemas: &'a mut HashMap<String, Names>, schema: &str) -> &'a mut Names {
            if !schemas.contains_key(schema) {
                schemas.insert(schema.to_owned(), Names::new(Usage::Some));
            }
            schemas.get_mut(schema).expect("it was there or has just been put there")
        }
        for relation in &parts.relations {
            inside(&mut schemas, &relation.schema).relations.insert(relation.name.clone(), relation.id);
        }
        for r#type in &parts.types {
            inside(&mut schemas, &r#type.schema).types.insert(r#type.name.clone(), r#type.oid);
        }
        for operator in parts.operators {
            let known =
                inside(&mut schemas, &operator.schema).operators.entry(operator.name).or_insert(operator.volatility);
            *known = operator.volatility.max(*known);
        }
        let mut functions: HashMap<String, Vec<Function>> = HashMap::new();
        for (name, function) in parts.functions {
            functions.entry(name).or_default().push(function);
        }
        let policies = parts.relations.iter().flat_map(|relation| relation.policies.iter().flatten());
        let views = parts.relations.iter().filter_map(|relation| relation.definition.as_ref());
        let mut named = parts.named_settings;
        named.extend(policies.chain(views).flat_map(|text| settings::named(text)));
        let writes = match parts.writes {
            Writes::MayMoveSettings if named.len() > MOST_SETTINGS_NAMED => Writes::MayMoveUntold,
            writes => writes,
        };
        Catalog {
            version,
            named: version,
            settings_named: named.into_iter().take(MOST_SETTINGS_NAMED).collect(),
            relations: parts.relations.into_iter().map(|relation| (relation.id, relation)).collect(),
            schemas,
            functions,
            types: parts.types.into_iter().map(|r#type| (r#type.oid, r#type)).collect(),
            unsteady_types: parts.unsteady_types,
            unsafe_casts: parts.unsafe_casts,
            cast_types: parts.cast_types,
            casts_write: parts.casts_write,
            writes,
            default_settings: parts.default_settings,
            defaults: 0,
            versions: parts.versions,
        }
    }
}
