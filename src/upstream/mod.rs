//! PostgreSQL's side: connect, authenticate, pool, watch health, role and lag, cancel, and the replication protocol.
//! Knows no client and no cache. The only module that names `tokio_postgres`.
//!
//! A server is reached (`transport`), logged in to (`login`) and pooled (`pool`, behind a `gate`) for sessions, who read and write the
//! stream themselves. Beside them stand Sidecache's own connections: [`Control`] for questions, one for each server
//! that the `watch` keeps. What the watch hears, `leading` and `lag` judge without I/O; a [`Server`] answers from it. Sessions are kept from an
//! old primary (`overtaken`) and from a new connection that leads to another than the watch hears (`stray`). A connection
//! that only relays a client's bytes ends with its primary's `reign`. Which connections have to be told their search path again, `paths` knows; what they start with on replicas, `starts`.

mod account;
mod admission;
mod bound;
mod branch;
mod cancel;
mod carried;
mod connection;
mod control;
mod dialect;
mod evidence;
mod gate;
mod inbox;
mod lag;
mod leading;
mod lease;
mod listening;
mod login;
pub mod message;
mod overtaken;
mod paths;
mod pool;
mod reign;
pub mod replication;
mod scram;
mod server;
mod starts;
mod status;
mod stray;
mod transport;
mod watch;

#[cfg(test)]
mod fake;

pub use account::{Account, BackendKey, LoginProof};
pub use carried::{Carried, Made, Shape, State};
pub use connection::Facts;
pub use control::{Control, ControlError, Identity};
pub use evidence::Measure;
pub use gate::Gate;
pub use inbox::{Deaf, News};
pub use lease::Lease;
pub use listening::{ListeningCounts, Subscription};
pub use login::{Opened, connect};
pub use pool::PoolCounts;
pub use reign::Reign;
pub use server::{Door, RequestGuard, Server};
pub use status::{PassedOver, Role, ServerState, ServerStatus};
pub use transport::Target;

use crate::config::{Config, Live, ServerUrl};
use crate::types::{Epoch, Lsn, Moment};
use crate::wire::stream::Stream;
use admission::Admissions;
use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use leading::Leading;
use listening::Listeners;
use parking_lot::Mutex;
use starts::Starts;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One authenticated connection. The session writes to and reads from `stream` itself.
#[derive(Debug)]
pub struct Connection {
    /// What carries it.
    pub stream: Stream,
    /// Bytes read and not yet consumed.
    pub input: BytesMut,
    /// Room for what is sent next, empty.
    pub output: BytesMut,
    /// What cancels its queries.
    pub key: BackendKey,
    /// `ParameterStatus` as last reported.
    pub parameters: BTreeMap<String, String>,
    /// What sessions left there.
    pub carried: Carried,
    /// The server has said, while nobody listened, that its role has changed.
    role_news: bool,
    /// The server's generation when this was opened: another life of the server voids it.
    generation: u64,
    /// Changes of who may use which schema that it knows of for certain: see [`paths`].
    paths: u64,
    /// When it was opened, and the share of its last days that it is spared.
    born: Instant,
    wear: f64,
    facts: Arc<Facts>,
}

/// Why no connection could be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The pool was full for as long as a session may wait: 53300.
    #[error("no connection became free within {0:?}")]
    Saturated(Duration),
    /// The server cannot be reached, closed while connecting, or does not speak the protocol: 08006.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What happened.
        cause: String,
    },
    /// The server answered with an error (a wrong password, a missing database, 57P03): the whole ErrorResponse frame,
    /// to be relayed. Where the server asks for a proof that cannot be given, the frame is ours, with 28000.
    #[error("the server refused the login: {message}")]
    Refused {
        /// Header included.
        frame: Bytes,
        /// Five letters or digits.
        sqlstate: String,
        /// The primary message.
        message: String,
        /// Whether it had taken the proof before.
        proven: bool,
    },
    /// Sessions of this account do not start on this replica as they do on the primary, or that is not known.
    #[error("sessions do not start on {server} as on the primary: {cause}")]
    Unlike {
        /// Its name.
        server: String,
        /// What is other.
        cause: String,
    },
}

/// SQLSTATE `too_many_connections`.
const TOO_MANY_CONNECTIONS: &str = "53300";

impl LeaseError {
    /// The server takes no more connections: of this role, or at all.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, LeaseError::Refused { sqlstate, .. } if sqlstate == TOO_MANY_CONNECTIONS)
    }

    /// The name in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            LeaseError::Saturated(_) => "saturated",
            LeaseError::Unreachable { .. } => "unreachable",
            LeaseError::Refused { .. } => "refused",
            LeaseError::Unlike { .. } => "unlike",
        }
    }
}

/// The settings that may change, as they were when they were last asked for.
pub type LiveKept = arc_swap::Cache<Arc<ArcSwap<Live>>, Arc<Live>>;

/// All servers.
#[derive(Debug)]
pub struct Upstream {
    /// The configured primary, then the replicas in order.
    sites: Vec<Site>,
    starts: Arc<Starts>,
    leading: Mutex<Leading>,
    staleness: Duration,
    terms: pool::Terms,
    settled: AtomicBool,
    /// The life of the primary, for who waits for another.
    lives: tokio::sync::watch::Sender<Epoch>,
    /// Counts how often what sessions start with has changed.
    defaults: AtomicU64,
    admissions: Admissions,
    listeners: Arc<Listeners>,
}

/// A server and who asks it for ourselves.
#[derive(Debug)]
struct Site {
    server: Arc<Server>,
    account: Account,
    database: String,
}

/// How long sessions wait at the start until every server has been asked who it is, and between two looks.
const SETTLING: Duration = Duration::from_secs(2);
const SETTLING_LOOK: Duration = Duration::from_millis(5);

/// What became of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// All connections are back and closed.
    Whole,
    /// Another had paused before.
    Already,
    /// Somebody resumed before all were back.
    Resumed,
}

/// Opens the gate again if whoever closed it does not stay.
struct Unpause<'a>(&'a Gate, Option<gate::Closed>);

impl Drop for Unpause<'_> {
    fn drop(&mut self) {
        if let Some(closed) = &self.1 {
            self.0.reopen(closed);
        }
    }
}

impl Upstream {
    /// The servers that are configured. Connects to none.
    pub fn new(config: &Config) -> Arc<Self> {
        let live = Arc::new(ArcSwap::from_pointee(config.live.clone()));
        let terms = pool::Terms { live, gate: Arc::default() };
        let starts: Arc<Starts> = Arc::default();
        let site = |name: String, url: &ServerUrl| {
            let is_near = config.zone.is_none() || config.zone == url.zone;
            let target = Target::new(url, config.connect_timeout, config.keep_alive);
            let inherited = config.primary.password.as_ref().filter(|_| url.user == config.primary.user);
            let proof = match url.password.as_ref().or(inherited) {
                Some(password) => LoginProof::Password(password.clone()),
                None => LoginProof::Nothing,
            };
            Site {
                server: Server::new(
                    name,
                    url.zone.clone(),
                    is_near,
                    target,
                    config.staleness,
                    (terms.clone(), Arc::clone(&starts)),
                ),
                account: Account { user: url.user.clone(), proof },
                database: url.database.clone(),
            }
        };
        let mut sites = vec![site("primary".to_owned(), &config.primary)];
        sites.extend(config.replicas.iter().enumerate().map(|(i, url)| site(format!("replica-{}", i + 1), url)));
        starts.among(sites.iter().map(|site| &site.server));
        Arc::new(Upstream {
            sites,
            starts,
            leading: Mutex::new(Leading::new(config.staleness)),
            staleness: config.staleness,
            terms,
            settled: AtomicBool::new(false),
            lives: tokio::sync::watch::Sender::default(),
            defaults: AtomicU64::new(0),
            admissions: Admissions::default(),
            listeners: Arc::default(),
        })
    }

    /// The server that takes writes: the configured one, until another is seen to have succeeded it.
    pub fn primary(&self) -> &Arc<Server> {
        &self.sites[self.starts.primary.load(Ordering::Acquire)].server
    }

    /// Every server but the present primary, with its place among [`Upstream::servers`]; [`Server::fit`] says of each whether it is a
    /// replica now.
    pub fn replicas(&self) -> impl Iterator<Item = (usize, &Arc<Server>)> {
        let primary = self.starts.primary.load(Ordering::Acquire);
        self.servers().enumerate().filter(move |&(at, _)| at != primary)
    }

    /// Whether there is more than one server.
    pub fn has_replicas(&self) -> bool {
        self.sites.len() > 1
    }

    /// Every server, the configured primary first, for status and metrics.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.sites.iter().map(|site| &site.server)
    }

    /// The life of the primary that the watch last saw; none (the default) before the first answer.
    pub fn epoch(&self) -> Epoch {
        self.leading.lock().epoch()
    }

    /// Returns once the primary's life is another than `known`.
    pub async fn another_life(&self, known: Epoch) {
        let mut lives = self.lives.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = lives.wait_for(|life| *life != known).await;
    }

    /// The settings that may change, as they are now.
    pub fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.terms.live.load()
    }

    /// The same for who asks all the time: looks for others without counting who uses them.
    pub fn live_kept(&self) -> LiveKept {
        LiveKept::new(Arc::clone(&self.terms.live))
    }

    /// Other settings from now on, for every pool and session.
    pub fn change(&self, live: Live) {
        self.terms.live.store(Arc::new(live));
        self.sites.iter().for_each(|site| site.server.reconsider());
    }

    /// Whether sessions wait for connections because an operator wants it.
    pub fn is_paused(&self) -> bool {
        self.terms.gate.is_closed()
    }

    /// As [`Upstream::pause_whole`]; `false`: it was paused already.
    pub async fn pause(&self) -> bool {
        self.pause_whole().await != Paused::Already
    }

    /// No session gets a connection from now on. Returns once all are back and closed, or somebody resumes; dropped before, it
    /// resumes.
    pub async fn pause_whole(&self) -> Paused {
        let gate = &*self.terms.gate;
        let Some(closed) = gate.close() else { return Paused::Already };
        let mut unfinished = Unpause(gate, Some(closed));
        self.sites.iter().for_each(|site| site.server.close_all_idle());
        // They have no end of their own to wait for.
        self.listeners.stop(|_| true);
        let rests = || self.listeners.have_stopped() && self.sites.iter().all(|site| site.server.is_at_rest());
        let Some(closed) = &unfinished.1 else { return Paused::Resumed };
        if !gate.emptied(closed, rests).await {
            return Paused::Resumed;
        }
        self.sites.iter().for_each(|site| site.server.close_all_idle());
        unfinished.1 = None;
        Paused::Whole
    }

    /// Sessions get connections again. `false`: they did all the time.
    pub fn resume(&self) -> bool {
        self.terms.gate.open()
    }

    /// Connects to the present primary as the primary URL's user, to the primary URL's database.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn control(&self) -> Result<Control, ControlError> {
        self.rightful()?;
        Control::connect(self.primary().target(), self.own_account(), self.own_database()).await
    }

    /// A place at the connection that listens for everybody of this account and database, on the primary.
    pub fn subscribe(&self, account: &Arc<Account>, database: &Arc<str>) -> Subscription {
        self.listeners.subscribe(self.primary(), &self.terms.gate, account, database)
    }

    /// How many listen, on how many connections.
    pub fn listening(&self) -> ListeningCounts {
        self.listeners.counts()
    }

    /// Tells of a ping that somebody else sent to the primary, so that replicas are measured against it too.
    pub fn saw_primary(&self, epoch: Epoch, sent: Moment, inserted: Lsn) {
        self.judged(|leading| leading.pinged(epoch, sent, inserted));
    }

    /// What a replica must have replayed to be no further behind than it may at `now`; nothing where that is not known.
    pub fn least_fresh(&self, now: Moment) -> Option<Lsn> {
        self.leading.lock().least_fresh(now)
    }

    /// What a role or a database gives its sessions at their start (ALTER ROLE … SET) has changed: connections opened
    /// before serve no further request.
    pub fn defaults_changed(&self) {
        // The primary's first: what connections to replicas start with is asked anew once those are.
        let primary = self.primary();
        primary.retire_connections();
        self.servers().filter(|server| !Arc::ptr_eq(server, primary)).for_each(|server| server.retire_connections());
        self.defaults.fetch_add(1, Ordering::AcqRel);
    }

    /// Policies, views and functions ask for these of the users' own settings, by which connections are known to start alike. Whether any of
    /// them was not asked for before: then those that are open are not known to.
    pub fn reads_settings(&self, names: &Arc<[String]>) -> bool {
        self.starts.reads(names)
    }

    /// Who may use which schema may have changed with roles and memberships, before `at`: connections of servers that do not notice
    /// it themselves are told their paths again ([`Lease::renew_path`]), and until then nothing that they answer is stored.
    pub fn paths_changed(&self, at: Lsn) {
        self.sites.iter().for_each(|site| site.server.paths_changed(at));
    }

    /// How often that has happened.
    pub fn defaults(&self) -> u64 {
        self.defaults.load(Ordering::Acquire)
    }

    /// Whether every server has been asked once who it is, so that an old primary which takes writes is not taken for the one that
    /// succeeded it.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Returns once it is, or after a while: a server that says nothing holds nobody up for long.
    pub async fn settled(&self) {
        let is_tried = || self.sites.iter().all(|site| site.server.evidence().is_tried());
        let asked = async {
            while !self.is_settled() && (!is_tried() || self.leading.lock().is_open()) {
                tokio::time::sleep(SETTLING_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(SETTLING, asked).await;
        if !self.is_settled() {
            self.judged(|leading| leading.start_is_over(self.configured().server.role()));
            self.settled.store(true, Ordering::Release);
        }
    }

    /// Returns at once, unless servers say that they take writes while the configured primary is waited for.
    pub async fn decided(&self) {
        if !self.is_settled() && self.leading.lock().is_open() {
            Box::pin(self.settled()).await;
        }
    }

    /// Watches role, lag and reachability of every server until cancelled.
    pub async fn watch(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        watch::watch(self, stop).await;
    }

    /// Sends a CancelRequest to the server and waits until it has closed that connection.
    ///
    /// # Errors
    /// The server could not be reached or did not close in time.
    pub async fn cancel(&self, server: &Server, key: &BackendKey) -> std::io::Result<()> {
        cancel::cancel(server.target(), key).await
    }

    /// Whether a backend of this server waits for a lock, as far as that can be learned.
    pub async fn waits_for_lock(&self, server: &Arc<Server>, process: u32) -> bool {
        let Some(site) = self.sites.iter().find(|site| Arc::ptr_eq(&site.server, server)) else { return false };
        let Ok(control) = Control::connect(server.target(), &site.account, &site.database).await else { return false };
        let waits =
            format!("SELECT FROM pg_catalog.pg_locks WHERE pid OPERATOR(pg_catalog.=) {process} AND NOT granted");
        control.rows(&waits).await.is_ok_and(|locks| !locks.is_empty())
    }

    /// The account that the primary's URL gives, whichever server is the primary now.
    pub fn own_account(&self) -> &Account {
        &self.configured().account
    }

    /// The database that the primary's URL gives: the one that is cached.
    pub fn own_database(&self) -> &str {
        &self.configured().database
    }

    fn configured(&self) -> &Site {
        self.sites.first().expect("the configured primary is the first site")
    }
}
