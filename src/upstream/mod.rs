//! PostgreSQL's side: connect, authenticate, pool, watch health, role and lag, cancel, and the replication protocol.
//! Knows no client and no cache. The only module that names `tokio_postgres`.

pub mod replication;

use crate::config::{Config, Secret};
use crate::types::{Epoch, Lsn, Moment};
use crate::wire::stream::Stream;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Who logs in upstream: the client's own user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user: String,
    pub proof: LoginProof,
}

/// What proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginProof {
    /// A plain password, from the primary's URL or the users file.
    Password(Secret),
    /// SCRAM-SHA-256 keys learned from the client's own proof.
    ScramKeys { client: [u8; 32], server: [u8; 32] },
    /// None is known (trust or peer authentication upstream).
    Nothing,
}

/// What lets a query be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendKey {
    pub process: u32,
    pub secret: Bytes,
}

/// What a session left on a connection and the next session must know.
#[derive(Debug, Default)]
pub struct Carried {
    /// Settings that differ from the connection's start: name to the statement that set it.
    pub settings: BTreeMap<String, Arc<str>>,
    /// Prepared statements that exist there: our number for the statement, least recently used last.
    pub prepared: HashMap<u64, u64>,
    /// The identity of the unnamed statement that was parsed last, if known.
    pub unnamed: Option<u64>,
}

/// One authenticated connection. The session writes to and reads from `stream` itself.
#[derive(Debug)]
pub struct Connection {
    pub stream: Stream,
    /// Bytes read and not yet consumed.
    pub input: BytesMut,
    pub key: BackendKey,
    /// `ParameterStatus` as last reported.
    pub parameters: BTreeMap<String, String>,
    pub carried: Carried,
    pub server: Arc<Server>,
}

/// A connection on loan. Dropped, it is closed; released, it goes back to the pool.
pub struct Lease {
    connection: Option<Connection>,
}

impl std::ops::Deref for Lease {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease holds its connection until it ends")
    }
}

impl std::ops::DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease holds its connection until it ends")
    }
}

/// Why no connection could be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The pool was full for as long as a session may wait: 53300.
    #[error("no connection became free within {0:?}")]
    Saturated(std::time::Duration),
    /// The server cannot be reached or closed while connecting: 08006.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable { server: String, cause: String },
    /// The server answered with an error (a wrong password, a missing database, 57P03): the whole ErrorResponse frame, to be relayed.
    #[error("the server refused the login: {message}")]
    Refused { frame: Bytes, sqlstate: String, message: String },
}

/// What a server was seen to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica,
    Unknown,
}

/// Why a replica takes no read now. One variant, one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PassedOver {
    Unreachable,
    NotAReplica,
    LagUnknown,
    TooFarBehind,
    BelowFloor,
    OtherEpoch,
}

/// One configured server, its pools and what is known of it.
#[derive(Debug)]
pub struct Server {/* address, role, replay position, outstanding requests, … */}

#[allow(unused_variables, missing_docs)]
impl Server {
    /// `primary` or `replica-N`, for metrics and logs.
    pub fn name(&self) -> &str {
        todo!()
    }
    pub fn role(&self) -> Role {
        todo!()
    }
    /// Requests sent and not yet answered; the session counts them by [`Server::request`].
    pub fn outstanding(&self) -> usize {
        todo!()
    }
    /// Counts one request while the guard lives.
    pub fn request(self: &Arc<Self>) -> RequestGuard {
        todo!()
    }
    /// A lower bound of what this replica has replayed: raised by every probe and fill.
    pub fn replayed(&self) -> Lsn {
        todo!()
    }
    pub fn saw_replayed(&self, position: Lsn) {
        todo!()
    }
    /// May this replica take a read that must not be older than `floor`?
    pub fn fit(&self, epoch: Epoch, floor: Lsn) -> Result<(), PassedOver> {
        todo!()
    }
    /// Waits for a free connection of this user and database, or opens one; first come, first served.
    pub async fn lease(self: &Arc<Self>, account: &Account, database: &str) -> Result<Lease, LeaseError> {
        todo!()
    }
}

pub struct RequestGuard {}

impl Lease {
    /// Gives the connection back. Only for a connection that is idle (ReadyForQuery `I`) with nothing unread.
    pub fn release(self) {
        todo!()
    }
}

/// All servers.
#[derive(Debug)]
pub struct Upstream {}

/// Facts of the primary that make an epoch, and what serving depends on.
#[derive(Debug, Clone)]
pub struct Identity {
    pub epoch: Epoch,
    pub in_recovery: bool,
    pub wal_level: String,
    pub version: u32,
}

/// A connection of Sidecache's own to the primary, for the catalog, pings and probes (tokio-postgres).
pub struct Control {}

#[allow(unused_variables, missing_docs)]
impl Control {
    /// Rows of a query as text, by column.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ControlError> {
        todo!()
    }
    /// `sent` is read just before sending, so that what committed before it is at or below the returned insert position.
    pub async fn ping(&self) -> Result<(Moment, Lsn), ControlError> {
        todo!()
    }
    pub async fn identity(&self) -> Result<Identity, ControlError> {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(pub String);

#[allow(unused_variables, missing_docs)]
impl Upstream {
    pub fn new(config: &Config) -> Arc<Self> {
        todo!()
    }
    pub fn primary(&self) -> &Arc<Server> {
        todo!()
    }
    pub fn replicas(&self) -> &[Arc<Server>] {
        todo!()
    }
    /// Connects as the primary URL's user to the primary URL's database.
    pub async fn control(&self) -> Result<Control, ControlError> {
        todo!()
    }
    /// Watches role, lag and reachability of every server until cancelled.
    pub async fn watch(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        todo!()
    }
    /// Sends a CancelRequest to the server and waits until it has closed that connection.
    pub async fn cancel(&self, server: &Server, key: &BackendKey) -> std::io::Result<()> {
        todo!()
    }
    /// The account that the primary URL gives.
    pub fn own_account(&self) -> &Account {
        todo!()
    }
}
