//! What a statement is and may do, decided once and kept with its text.
//!
//! Two questions are answered apart. *Is it proven harmless?* ([`Kind::Read`]: it may run on a replica, and no state of the
//! session moves.) *Is its answer a function of relations, parameters and the session's inputs?* ([`Plan::cache`].) A query may be
//! the first without being the second (`SELECT now()`), never the second without being the first.
//!
//! `judge` puts the facts of a query before the catalog, `command` knows all other statements by their first words, and
//! `calls` looks for what moves a session in texts that nobody understands, `unwritten` judges what texts do not show: policies, and
//! the bodies of functions. What a trigger or a function of the
//! user's does to the session behind our back is not seen here: a volatile function of the user's counts as a write of
//! everything but does not pin, because most applications would be pinned for ever otherwise.

mod calls;
mod casts;
mod channel;
mod command;
mod encoding;
mod functions;
mod judge;
mod labels;
mod named;
mod names;
mod set_config;
mod settings;
mod transaction;
mod unwritten;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use super::rules::Ruled;
use crate::catalog::{Catalog, CatalogVersion, SearchPath};
use crate::sql::fingerprint::Shape;
use crate::sql::identity::strip;
use crate::sql::token::lex;
use crate::types::RelationId;
use names::Names;
use std::sync::Arc;

pub use crate::sql::identity::Hint;
pub use casts::is_steady;
pub use encoding::Encoding;
pub use set_config::{SetConfig, replay};

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
    /// Its rows are where an access method has them that PostgreSQL does not come with.
    TableAccessMethod,
    /// Citus may have its rows in other tables.
    DistributedTable,
    /// TimescaleDB may have some of its rows in other tables.
    CompressedTable,
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
    /// An identifier that PostgreSQL would cut, so that two of them may mean one.
    LongIdentifier,
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
    /// SET TRANSACTION.
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
    /// SET or SET SESSION name: lower-case canonical name (`timezone` for SET TIME ZONE, `client_encoding` for SET NAMES), values as PostgreSQL would
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

impl SettingChange {
    /// Of the one setting that it changes.
    pub fn name(&self) -> Option<&str> {
        match self {
            SettingChange::Set { name, .. } | SettingChange::Reset { name, .. } => Some(name),
            SettingChange::ResetAll | SettingChange::DiscardAll => None,
        }
    }
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
    /// It may have left on the connection what even DISCARD ALL does not end.
    Lasting,
    SessionAuthorization,
    Replication,
    ForeignDatabase,
}

/// In which form EXPLAIN (SIDECACHE) is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainForm {
    Text,
    Json,
}

/// What a statement is, for routing and for the session's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Empty query string.
    Empty,
    /// Proven not to write, lock, or move session state: may run on a replica.
    Read,
    /// INSERT, UPDATE, DELETE, MERGE, TRUNCATE: writes rows, no session state, no catalog.
    Write,
    /// COPY … FROM: likewise, and may ask the client for the rows.
    Copy,
    Transaction(TransactionControl),
    Setting(SettingChange),
    /// Calls of `set_config` and nothing else: settings that are known once the parameters are.
    SetConfig(Vec<SetConfig>),
    /// Changes of settings by statements that touch nothing but the session, each with its statement's number in the text, from 0.
    /// `unlistens`: an UNLISTEN is among them.
    Settings {
        changes: Vec<(usize, SettingChange)>,
        unlistens: bool,
    },
    /// SHOW name: a read of session state.
    Show(String),
    /// PREPARE, and what executing that statement amounts to.
    Prepare {
        name: String,
        effect: Effect,
        /// What whoever executes it is pinned by.
        pin: Option<PinReason>,
    },
    /// EXECUTE, by itself or explained, and what its arguments amount to.
    Execute {
        name: String,
        effect: Effect,
    },
    /// EXPLAIN (SIDECACHE): Sidecache's own account of the statement `text`.
    Explain {
        form: ExplainForm,
        text: String,
    },
    Deallocate {
        /** None: ALL */
        name: Option<String>,
    },
    /// LISTEN, by the channel's name as PostgreSQL reads it.
    Listen(Arc<str>),
    Unlisten {
        /** None: all */
        channel: Option<Arc<str>>,
    },
    /// Known to change the catalog.
    Ddl,
    /// All else, and all that could not be understood: primary, counts as a write of everything, may have changed the catalog.
    Unproven,
}

impl Kind {
    /// Whether it touches no row, but the session and its transaction alone.
    pub fn is_control(&self) -> bool {
        use Kind::{Deallocate, Empty, Explain, Prepare, SetConfig, Setting, Settings, Show, Transaction};
        matches!(
            self,
            Show(_)
                | Empty
                | Transaction(_)
                | Setting(_)
                | SetConfig(_)
                | Settings { .. }
                | Prepare { .. }
                | Deallocate { .. }
                | Explain { .. }
        )
    }

    /// Whether it may give back what pins a session: a lock, a temporary object, a cursor, a channel.
    pub fn may_free(&self) -> bool {
        use Kind::{Ddl, Execute, Settings, Unlisten, Unproven};
        matches!(self, Ddl | Execute { .. } | Settings { .. } | Unlisten { .. } | Unproven)
    }
}

impl PinReason {
    /// Whether a connection can tell that what pins to it is no longer there.
    pub fn is_provable(self) -> bool {
        use PinReason::{AdvisoryLock, HoldCursor, Listen, TemporaryObject};
        matches!(self, TemporaryObject | AdvisoryLock | HoldCursor | Listen)
    }
}

/// What a statement that another one runs may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads or writes rows, and no more.
    Rows,
    Anything,
}

/// What the cache needs of a cacheable statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Every relation whose change can change the answer: tables, partitions, children, and views themselves.
    pub relations: Box<[RelationId]>,
    /// Settings with a dot in their name whose values decide the answer, in lower case.
    pub settings: Box<[String]>,
    /// How many parameters it takes ($1…$n).
    pub parameters: u16,
    /// A text parameter that says `now`, `today`, `tomorrow` or `yesterday` could be taken as a date: such a Bind is not cached.
    pub time_parameters: bool,
}

/// A statement understood.
#[derive(Debug, Clone)]
pub struct Plan {
    pub kind: Kind,
    /// Where a read may run; [`Place::Primary`] for all else.
    pub place: Place,
    /// May it be cached, and what does it depend on?
    pub cache: Result<Recipe, Refusal>,
    /// A function or construct in it pins the session.
    pub pin: Option<PinReason>,
    /// After it succeeds the catalog may differ.
    pub may_change_catalog: bool,
    pub catalog_version: CatalogVersion,
    /// What sessions start with by that catalog, as a hash.
    pub defaults: u64,
    /// The text without comments and outer white space: the statement's identity in keys.
    pub identity: Arc<str>,
    /// From a comment `/* sidecache: off */` and the like.
    pub hint: Hint,
    /// Which rules of the configuration it matches: filled in by whoever has them.
    pub ruled: Ruled,
    /// Of `identity`.
    pub shape: Shape,
}

impl Plan {
    /// Whether the text could not be read, or was not: it is beyond what is analysed.
    pub fn is_not_understood(&self) -> bool {
        self.cache.as_ref().is_err_and(|refusal| {
            matches!(
                refusal,
                Refusal::Unparsed
                    | Refusal::UncertainSyntax
                    | Refusal::TooLong
                    | Refusal::TooDeep
                    | Refusal::LongIdentifier
                    | Refusal::NotUtf8
            )
        })
    }

    /// Whether what was understood holds for every text of the same [`template`](crate::sql::template): one query or write, read as
    /// PostgreSQL reads it.
    pub fn holds_for_template(&self) -> bool {
        matches!(self.kind, Kind::Read | Kind::Write)
            && !self.is_not_understood()
            && self.cache.as_ref().err() != Some(&Refusal::SeveralStatements)
    }

    /// The plan of another text of the same template: what was understood, with that text's own identity and hint. Which rules it
    /// matches is not filled in.
    pub fn of_alike(&self, text: &str, standard_strings: bool) -> Plan {
        let stripped = strip(text, standard_strings);
        Plan {
            kind: self.kind.clone(),
            place: self.place,
            cache: self.cache.clone(),
            pin: self.pin,
            may_change_catalog: self.may_change_catalog,
            catalog_version: self.catalog_version,
            defaults: self.defaults,
            identity: Arc::from(stripped.identity),
            hint: stripped.hint,
            ruled: Ruled::default(),
            shape: Shape::default(),
        }
    }
}

/// Where a read gives the answer that the primary would give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On any server that is fresh enough.
    Anywhere,
    /// On the primary alone: it asks about the server itself (settings, statistics, catalogs), or reads what a replica
    /// does not have (unlogged tables).
    Primary,
}

/// Understands one text. Never fails: what is not understood is [`Kind::Unproven`] with its refusal.
/// `standard_strings` is the session's `standard_conforming_strings`.
pub fn plan(text: &[u8], path: &SearchPath, standard_strings: bool, encoding: Encoding, catalog: &Catalog) -> Plan {
    match encoding {
        _ if encoding.reads(text) => plan_with(text, path, standard_strings, catalog),
        Encoding::Unknown => {
            let draft = Draft::unknown(Refusal::NotUtf8).pinned(PinReason::Opaque);
            draft.into_plan(catalog, String::from_utf8_lossy(text).into(), Hint::default())
        }
        _ => plan_unread(text, path, standard_strings, catalog),
    }
}

fn plan_with(text: &[u8], path: &SearchPath, standard_strings: bool, names: &dyn Names) -> Plan {
    let Ok(text) = std::str::from_utf8(text) else { return plan_unread(text, path, standard_strings, names) };
    let stripped = strip(text, standard_strings);
    let draft = draft_of(text, path, standard_strings, names);
    draft.into_plan(names, Arc::from(stripped.identity), stripped.hint)
}

/// Of a text in another encoding.
fn plan_unread(text: &[u8], path: &SearchPath, standard_strings: bool, names: &dyn Names) -> Plan {
    let text = String::from_utf8_lossy(text);
    let draft = draft_of(&text, path, standard_strings, names).in_unknown_encoding();
    draft.into_plan(names, Arc::from(text), Hint::default())
}

fn draft_of(text: &str, path: &SearchPath, standard_strings: bool, names: &dyn Names) -> Draft {
    match lex(text, standard_strings) {
        Ok(lexed) => match lexed.statements().as_slice() {
            [] => Draft::new(Kind::Empty, Refusal::NotARead),
            [statement] => command::draft(statement, path, names),
            several => command::several(several, path, names),
        },
        Err(refused) => Draft::unknown(refused.into()),
    }
}

/// What is decided about a statement, before its text's own properties are added.
#[derive(Debug, Clone)]
struct Draft {
    kind: Kind,
    place: Place,
    cache: Result<Recipe, Refusal>,
    pin: Option<PinReason>,
    may_change_catalog: bool,
}

impl Draft {
    /// A statement that is understood and not cached.
    fn new(kind: Kind, refusal: Refusal) -> Self {
        // What was prepared is not told by the text that commits it.
        let may_change_catalog = matches!(kind, Kind::Ddl | Kind::Transaction(TransactionControl::TwoPhase));
        Draft { kind, place: Place::Primary, cache: Err(refusal), pin: None, may_change_catalog }
    }

    /// A statement that may do anything.
    fn unknown(refusal: Refusal) -> Self {
        Draft { may_change_catalog: true, ..Draft::new(Kind::Unproven, refusal) }
    }

    /// The text is not UTF-8: verbs are sure, names and values are not.
    fn in_unknown_encoding(self) -> Self {
        let draft = Draft { cache: Err(Refusal::NotUtf8), place: Place::Primary, ..self };
        match draft.kind {
            Kind::Setting(_)
            | Kind::SetConfig(_)
            | Kind::Settings { .. }
            | Kind::Deallocate { .. }
            | Kind::Execute { .. }
            | Kind::Prepare { .. } => Draft { kind: Kind::Unproven, ..draft }.pinned(PinReason::Opaque),
            Kind::Read
            | Kind::Show(_)
            | Kind::Explain { .. }
            | Kind::Listen(_)
            | Kind::Unlisten { channel: Some(_) } => Draft { kind: Kind::Unproven, ..draft },
            _ => draft,
        }
    }

    fn pinned(self, reason: PinReason) -> Self {
        Draft { pin: both(self.pin, Some(reason)), ..self }
    }

    fn into_plan(self, names: &dyn Names, identity: Arc<str>, hint: Hint) -> Plan {
        Plan {
            kind: self.kind,
            place: self.place,
            cache: self.cache,
            pin: self.pin,
            may_change_catalog: self.may_change_catalog,
            catalog_version: names.version(),
            defaults: names.defaults(),
            identity,
            hint,
            ruled: Ruled::default(),
            shape: Shape::default(),
        }
    }
}

/// Two reasons to pin are more than a plan can name: no single proof then ends the pin.
fn both(one: Option<PinReason>, other: Option<PinReason>) -> Option<PinReason> {
    match (one, other) {
        (Some(PinReason::Load | PinReason::Lasting), Some(_))
        | (Some(_), Some(PinReason::Load | PinReason::Lasting))
            if one != other =>
        {
            Some(PinReason::Lasting)
        }
        (Some(a), Some(b)) if a != b => Some(PinReason::Opaque),
        (a, b) => a.or(b),
    }
}
