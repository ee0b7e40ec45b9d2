//! What a statement is and may do, decided once and kept with its text.

use crate::catalog::{Catalog, CatalogVersion, SearchPath};
use crate::types::RelationId;
use std::sync::Arc;

/// Why a statement is not cached, as far as its text and the catalog tell. One variant, one label (metrics, `explain`, logs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Not a SELECT, VALUES, TABLE or WITH … SELECT.
    NotARead,
    Unparsed,
    TooLong,
    TooDeep,
    NotUtf8,
    SeveralStatements,
    Locking,
    Into,
    DataModifyingCte,
    UnknownRelation,
    SystemCatalog,
    Unlogged,
    TemporaryRelation,
    ForeignTable,
    Sequence,
    MaterializedView,
    OtherRelationKind,
    RowSecurity,
    SystemColumn,
    UnknownFunction,
    VolatileFunction,
    StableFunction,
    SecurityDefiner,
    UnknownOperator,
    VolatileOperator,
    UnprovenCast,
    TimeLiteral,
    CurrentTime,
    TableSample,
    UncertainSyntax,
    ViewDefinition,
    /// Reads no relation: the answer costs PostgreSQL nothing.
    NoRelation,
}

/// Transaction control that moves the session's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionControl {
    /// BEGIN or START TRANSACTION. `plain` if no mode at all was named.
    Begin {
        plain: bool,
        read_only: Option<bool>,
        /** anything but READ COMMITTED was named */
        isolation: Isolation,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint,
    RollbackToSavepoint,
    ReleaseSavepoint,
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    TwoPhase,
    /// SET TRANSACTION, SET SESSION CHARACTERISTICS.
    Modes,
}

/// The isolation level that a BEGIN names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    Unnamed,
    ReadCommitted,
    Other,
}

/// A change of a session's setting whose effect is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingChange {
    /// SET [SESSION] name: lower-case canonical name (`timezone` for SET TIME ZONE, `client_encoding` for SET NAMES), values as PostgreSQL would
    /// read them (unquoted, identifiers folded), and the statement's own text to replay.
    Set {
        name: String,
        values: Vec<String>,
        local: bool,
        text: String,
    },
    /// SET name TO DEFAULT or RESET name.
    Reset {
        name: String,
        local: bool,
    },
    ResetAll,
    DiscardAll,
}

/// Why a session must keep its connection from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PinReason {
    TemporaryObject,
    Listen,
    AdvisoryLock,
    HoldCursor,
    Load,
    SqlPrepare,
    /// A function or statement that may have changed session state in a way we cannot replay.
    Opaque,
    SessionAuthorization,
    Replication,
    ForeignDatabase,
}

/// What a statement is, for routing and for the session's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Empty query string.
    Empty,
    /// Proven not to write, lock, or move session state: may run on a replica.
    Read,
    /// INSERT, UPDATE, DELETE, MERGE, COPY … FROM, TRUNCATE: writes rows, no session state, no catalog.
    Write,
    Transaction(TransactionControl),
    Setting(SettingChange),
    /// SHOW name: a read of session state.
    Show(String),
    Deallocate {
        /** None: ALL */
        name: Option<String>,
    },
    Unlisten {
        all: bool,
    },
    /// Known to change the catalog.
    Ddl,
    /// All else, and all that could not be understood: primary, counts as a write of everything, may have changed the catalog.
    Unproven,
}

/// What the cache needs of a cacheable statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Every relation whose change can change the answer: tables, partitions, children, and views themselves.
    pub relations: Box<[RelationId]>,
    /// How many parameters it takes ($1…$n).
    pub parameters: u16,
    /// A text parameter that says `now`, `today`, `tomorrow` or `yesterday` could be taken as a date: such a Bind is not cached.
    pub time_parameters: bool,
}

/// A statement understood.
#[derive(Debug, Clone)]
pub struct Plan {
    pub kind: Kind,
    /// May it be cached, and what does it depend on?
    pub cache: Result<Recipe, Refusal>,
    /// A function or construct in it pins the session.
    pub pin: Option<PinReason>,
    /// After it succeeds the catalog may differ.
    pub may_change_catalog: bool,
    pub catalog_version: CatalogVersion,
    /// The text without comments and outer white space: the statement's identity in keys.
    pub identity: Arc<str>,
    /// From a comment `/* sidecache: off */` and the like.
    pub hint: Hint,
}

/// What a comment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    pub off: bool,
    pub level: Option<crate::types::Level>,
}

/// Understands one text. Never fails: what is not understood is [`Kind::Unproven`] with its refusal.
/// `standard_strings` is the session's `standard_conforming_strings`.
pub fn plan(text: &[u8], _path: &SearchPath, _standard_strings: bool, catalog: &Catalog) -> Plan {
    let t = String::from_utf8_lossy(text).to_string();
    Plan { kind: if t.to_lowercase().starts_with("select") { Kind::Read } else {Kind::Unproven}, cache: Err(Refusal::NotARead), pin: None, may_change_catalog: false, catalog_version: catalog.version, identity: t.into(), hint: Hint::default() }
}
impl Refusal { pub const fn label(self) -> &'static str { "x" } }
impl PinReason { pub const fn label(self) -> &'static str { "x" } }
impl Kind { pub const fn label(&self) -> &'static str { "x" } }
