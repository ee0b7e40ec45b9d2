//! What a session starts with on the primary, so that connections to replicas start with the same: what a server's own configuration gives
//! is not replicated, and would decide answers there. It is asked of a new connection of the same account, once for each account and
//! database until the primary's connections are retired; replicas are given it in the startup message, where it stands above whatever
//! their configuration says, and RESET returns to it. A replica that cannot be given it serves none of this account's reads.

use super::connection::{Asked, Facts};
use super::overtaken::Overtaken;
use super::pool::{Claim, Grant};
use super::server::Server;
use super::{Account, Connection, LeaseError, login};
use crate::types::Moment;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Accounts and databases kept; past it, all are asked anew.
const KEPT: usize = 1_024;

/// A server that could not be asked, or be given what it needs, is left alone for this long.
const PAUSE: Duration = Duration::from_secs(1);

/// What decides the bytes of an answer, its notices, or what a statement means, as PostgreSQL's own functions and types read it. What only
/// bounds or labels statements is not among them. Nor is `role`: no configuration gives it, and roles are replicated.
const DECISIVE: &[&str] = &[
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "default_text_search_config",
    "default_transaction_deferrable",
    "escape_string_warning",
    "extra_float_digits",
    "gin_fuzzy_search_limit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "quote_all_identifiers",
    "row_security",
    "search_path",
    "session_replication_role",
    "standard_conforming_strings",
    "timezone_abbreviations",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
];

/// Sessions whose transactions begin otherwise send no reads to replicas, which could not begin SERIALIZABLE ones.
const PLAIN: [(&str, &str); 2] =
    [("default_transaction_isolation", "read committed"), ("default_transaction_read_only", "off")];

/// A setting as sessions start with it.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    value: Option<String>,
    /// Whether everybody may set it: whoever asks for another in a startup message is refused.
    is_free: bool,
}

type Settings = BTreeMap<String, Given>;

/// What sessions of one account and database start with on the primary.
#[derive(Debug)]
pub(super) struct Start {
    settings: Settings,
    primary: Weak<Server>,
    /// Of the connection that was asked.
    generation: u64,
    /// The users' own settings that were asked for.
    own: Arc<[String]>,
}

impl Start {
    /// Whether sessions still start so, as far as it has been noticed.
    fn holds(&self, primary: &Arc<Server>) -> bool {
        std::ptr::eq(self.primary.as_ptr(), Arc::as_ptr(primary))
            && primary.generation() == self.generation
            && Arc::ptr_eq(&self.own, &primary.starts().own())
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let free = self.settings.iter().filter(|(_, given)| given.is_free);
        let free = free.filter_map(|(name, given)| Some((name.as_str(), given.value.as_deref()?)));
        free.chain(PLAIN).collect()
    }

    /// The first setting that a connection does not start with.
    fn missing(&self, there: &Settings) -> Option<String> {
        let value = |given: Option<&Given>| given.map(|given| given.value.clone());
        let differs = |name: &&String| value(self.settings.get(*name)) != value(there.get(*name));
        self.settings.keys().chain(there.keys()).find(differs).cloned()
    }
}

/// By account, then database: when it was last found that sessions do not start on one replica as on the primary.
#[derive(Debug, Default)]
pub(super) struct Unlike {
    /// Nearly always none.
    is_any: AtomicBool,
    found: Mutex<HashMap<Account, HashMap<String, Moment>>>,
}

impl Unlike {
    /// Whether that was no news.
    fn found(&self, account: &Account, database: &str) -> bool {
        let mut found = self.found.lock();
        if found.len() >= KEPT {
            found.clear();
        }
        self.is_any.store(true, Ordering::Release);
        found.entry(account.clone()).or_default().insert(database.to_owned(), Moment::now()).is_some()
    }

    fn forget(&self, account: &Account, database: &str) {
        if self.is_any.load(Ordering::Acquire) {
            let mut found = self.found.lock();
            let of_account = found.get_mut(account);
            if of_account.is_some_and(|databases| databases.remove(database).is_some() && databases.is_empty()) {
                found.remove(account);
            }
            self.is_any.store(!found.is_empty(), Ordering::Release);
        }
    }

    pub(super) fn is_recent(&self, account: &Account, database: &str) -> bool {
        let seen = || self.found.lock().get(account)?.get(database).copied();
        self.is_any.load(Ordering::Acquire) && seen().is_some_and(|seen| Moment::now().since(seen) < PAUSE)
    }
}

fn unlike(replica: &Server, cause: &str) -> LeaseError {
    LeaseError::Unlike { server: replica.name().to_owned(), cause: cause.to_owned() }
}

#[derive(Debug, Default)]
enum Answer {
    #[default]
    Unasked,
    Start(Arc<Start>),
    None {
        cause: String,
        failed: Moment,
        primary: Weak<Server>,
    },
}

/// Locked while it is asked for, so that of many sessions one asks.
type Known = Arc<tokio::sync::Mutex<Answer>>;

/// What sessions start with, by account, then database.
#[derive(Debug, Default)]
pub(super) struct Starts {
    servers: OnceLock<Vec<Weak<Server>>>,
    /// Which of them is the primary now.
    pub primary: AtomicUsize,
    pub overtaken: Overtaken,
    /// When it started, in microseconds, as it has told the watch; zero while that is not known.
    pub leader_started: AtomicU64,
    known: Mutex<HashMap<Account, HashMap<String, Known>>>,
    /// Settings of the users' own that what is read asks for: PostgreSQL tells nobody which there are.
    own: Mutex<Arc<[String]>>,
}

impl Starts {
    /// The servers that there are.
    pub(super) fn among<'a>(&self, servers: impl Iterator<Item = &'a Arc<Server>>) {
        self.servers.get_or_init(|| servers.map(Arc::downgrade).collect());
    }

    /// These of the users' own settings are read too. Whether any of them was not before.
    pub(super) fn reads(&self, names: &Arc<[String]>) -> bool {
        let mut own = self.own.lock();
        let is_more = names.iter().any(|name| !own.contains(name));
        if is_more {
            *own = Arc::clone(names);
        }
        is_more
    }

    fn own(&self) -> Arc<[String]> {
        Arc::clone(&self.own.lock())
    }

    fn primary(&self) -> Option<Arc<Server>> {
        self.servers.get()?.get(self.primary.load(Ordering::Acquire))?.upgrade()
    }

    /// The primary, if it is another server than this one.
    pub(super) fn primary_of(&self, server: &Server) -> Option<Arc<Server>> {
        self.primary().filter(|primary| !std::ptr::eq(Arc::as_ptr(primary), server))
    }

    fn known(&self, account: &Account, database: &str) -> Known {
        let mut all = self.known.lock();
        if let Some(known) = all.get(account).and_then(|databases| databases.get(database)) {
            return Arc::clone(known);
        }
        if all.values().map(HashMap::len).sum::<usize>() >= KEPT {
            all.clear();
        }
        Arc::clone(all.entry(account.clone()).or_default().entry(database.to_owned()).or_default())
    }

    async fn start(&self, primary: &Arc<Server>, account: &Account, database: &str) -> Result<Arc<Start>, String> {
        let known = self.known(account, database);
        let limit = primary.target().connect_timeout;
        let Ok(mut answer) = tokio::time::timeout(limit, known.lock()).await else {
            return Err(format!("the primary has told nobody its settings within {limit:?}"));
        };
        if self.primary().is_none_or(|present| !Arc::ptr_eq(&present, primary)) {
            return Err("another server is the primary since".to_owned());
        }
        match &*answer {
            Answer::Start(start) if start.holds(primary) => return Ok(Arc::clone(start)),
            Answer::None { cause, failed, primary: asked }
                if std::ptr::eq(asked.as_ptr(), Arc::as_ptr(primary)) && Moment::now().since(*failed) < PAUSE =>
            {
                return Err(cause.clone());
            }
            Answer::Unasked | Answer::Start(_) | Answer::None { .. } => {}
        }
        match primary.ask_start(account, database).await {
            Ok(start) => {
                let start = Arc::new(start);
                *answer = Answer::Start(Arc::clone(&start));
                Ok(start)
            }
            Err(error) => {
                let cause = format!("the primary could not be asked for its settings: {error}");
                let (failed, primary) = (Moment::now(), Arc::downgrade(primary));
                *answer = Answer::None { cause: cause.clone(), failed, primary };
                Err(cause)
            }
        }
    }
}

impl Server {
    /// Opens a connection on which sessions start as they do on the primary.
    pub(super) async fn open(&self, account: &Account, database: &str) -> Result<Box<Connection>, LeaseError> {
        // Before anything is asked: what changes the answers retires connections.
        let generation = self.generation();
        let Some(primary) = self.starts().primary_of(self) else {
            let known = self.leader_started();
            return match self.login(account, database, &[], generation).await {
                // Another is heard behind the same address.
                Err(_) if known.is_some_and(|known| self.leader_started().is_some_and(|now| now != known)) => {
                    self.login(account, database, &[], self.generation()).await
                }
                opened => opened,
            };
        };
        let start = self.starts().start(&primary, account, database).await.map_err(|cause| unlike(self, &cause))?;
        if self.is_unlike(account, database) {
            return Err(unlike(self, "they have just been found not to"));
        }
        let opened = self.login(account, database, &start.parameters(), generation).await;
        let mut connection = match opened {
            // Another pg_hba.conf than the primary's, say.
            Err(LeaseError::Refused { sqlstate, message, .. })
                if refuses_settings(&sqlstate) || sqlstate.starts_with("28") =>
            {
                return Err(self.found_unlike(account, database, &message));
            }
            opened => opened?,
        };
        let there = self.ask_settings(&mut connection, &start.own).await?;
        if let Some(setting) = start.missing(&there) {
            connection.close();
            return Err(self.found_unlike(account, database, &format!("{setting} is another")));
        }
        if !start.holds(&primary) {
            connection.close();
            return Err(unlike(self, "what the primary starts sessions with has changed meanwhile"));
        }
        self.unlike().forget(account, database);
        Ok(connection)
    }

    /// Logs in anew, however many connections are idle: what the server says now. The connection is kept if it is one of the
    /// primary's, and the pool has room for it.
    ///
    /// # Errors
    /// The server cannot be reached, or it refuses the login.
    pub(super) async fn try_login(&self, account: &Account, database: &str) -> Result<(), LeaseError> {
        let connection = Box::pin(self.login(account, database, &[], self.generation())).await?;
        match self.starts().primary_of(self) {
            Some(_) => connection.close(),
            None => self.keep(account, database, connection),
        }
        Ok(())
    }

    /// A new connection, whose sessions start with these settings. `generation`: before anything was asked that it depends on.
    async fn login(
        &self,
        account: &Account,
        database: &str,
        settings: &[(&str, &str)],
        generation: u64,
    ) -> Result<Box<Connection>, LeaseError> {
        self.is_rightful()?;
        let paths = self.paths_shown();
        let opened = login::connect(self.target(), account, database, settings).await;
        if matches!(&opened, Err(LeaseError::Unreachable { .. })) {
            self.doubt();
        }
        let opened = opened?;
        let facts = self.made(Facts::new(account, database, &opened.key));
        let mut connection = Connection::new(opened, generation, paths, facts);
        let rightful = match self.is_known().await {
            Ok(()) => self.is_reached_by(&mut connection).await,
            known => known,
        };
        match rightful {
            Ok(()) => Ok(connection),
            Err(cause) => {
                connection.close();
                Err(cause)
            }
        }
    }

    /// Puts a new connection into its pool, if that has room for it.
    fn keep(&self, account: &Account, database: &str, connection: Box<Connection>) {
        let pool = self.pool_of(account, database);
        pool.prove(true);
        let now = std::time::Instant::now();
        match pool.claim() {
            Claim::Granted(Grant { slot, parked: None }) => slot.give_back(connection, now),
            Claim::Granted(Grant { slot, parked: Some(parked) }) => {
                slot.give_back(parked, now);
                connection.close();
            }
            Claim::Wait(_) => connection.close(),
        }
    }

    /// Remembers that sessions start otherwise here, and says so once.
    fn found_unlike(&self, account: &Account, database: &str, cause: &str) -> LeaseError {
        if !self.unlike().found(account, database) {
            let (server, user) = (self.name(), &account.user);
            tracing::warn!(server, user, cause, "sessions do not start here as on the primary: no reads of theirs");
        }
        unlike(self, cause)
    }

    async fn ask_start(self: &Arc<Self>, account: &Account, database: &str) -> Result<Start, LeaseError> {
        let generation = self.generation();
        // What other sessions have left on a connection of the pool has no part in it.
        let mut connection = self.login(account, database, &[], generation).await?;
        let own = self.starts().own();
        let settings = self.ask_settings(&mut connection, &own).await?;
        self.keep(account, database, connection);
        Ok(Start { settings, primary: Arc::downgrade(self), generation, own })
    }

    async fn ask_settings(&self, connection: &mut Connection, own: &[String]) -> Result<Settings, LeaseError> {
        let limit = self.target().connect_timeout;
        let question = question(own);
        let asked = tokio::time::timeout(limit, connection.ask(&question)).await;
        let asked = asked.unwrap_or_else(|_| Err(std::io::Error::other(format!("no answer within {limit:?}"))));
        let asked = asked.and_then(|rows| {
            let settings = rows.into_iter().map(setting).collect::<Option<Settings>>();
            settings.ok_or_else(|| std::io::Error::other("its settings make no sense"))
        });
        asked.map_err(|cause| {
            let cause = cause.to_string();
            LeaseError::Unreachable { server: self.target().to_string(), cause }
        })
    }
}

/// Asks for names, who may set them (everybody, what nobody has defined), and values, of a connection that no session has had. Operators
/// would be looked up in the account's search path.
fn question(own: &[String]) -> String {
    let literal = |name: &str| format!("E'{}'", name.replace('\\', "\\\\").replace('\'', "''"));
    let names = DECISIVE.iter().copied().chain(own.iter().map(String::as_str)).map(literal);
    let names = names.collect::<Vec<_>>().join(", ");
    format!(
        "SELECT w.name, COALESCE(s.context, 'user'), pg_catalog.current_setting(w.name, true) \
         FROM pg_catalog.unnest(ARRAY[{names}]::pg_catalog.text[]) AS w(name) \
         LEFT JOIN pg_catalog.pg_settings AS s ON s.name OPERATOR(pg_catalog.=) w.name"
    )
}

/// Of a row that answers [`question`].
fn setting(row: Asked) -> Option<(String, Given)> {
    let [name, context, value] = <[Option<String>; 3]>::try_from(row).ok()?;
    Some((name?, Given { value, is_free: context? == "user" }))
}

/// What is said of a setting, by PostgreSQL or by a pooler before it.
fn refuses_settings(sqlstate: &str) -> bool {
    ["08P01", "22", "42"].iter().any(|class| sqlstate.starts_with(class))
}

#[cfg(test)]
#[path = "starts_tests.rs"]
mod tests;
