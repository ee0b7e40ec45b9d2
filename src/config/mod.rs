//! Configuration, parsed once into what will be done. Nothing else reads flags, environment or files, and nothing
//! here knows what becomes of it.
//!
//! `settings` declares every setting once; `sources` finds its text; `values`, `server_url` and `users` read texts;
//! `build` makes a [`Config`] of them or refuses.

mod build;
mod error;
mod live;
mod rules;
mod server_url;
mod settings;
mod sources;
#[cfg(test)]
mod template;
#[cfg(test)]
mod tests;
mod texts;
pub mod users;
mod values;
mod zones;

pub use error::{ConfigError, Origin};
pub use live::Live;
pub use settings::{Change, Count, Fallback, Form, SETTINGS, Secrecy, Setting};
pub use sources::{Flags, known_variables};
pub use texts::Texts;
pub use zones::ZoneTrouble;

use crate::types::{KeepAlive, RouteTo};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A secret: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// How TLS towards an upstream server is used (libpq's `sslmode`; `allow` is read as `prefer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Whether the login is bound to the server's certificate (libpq's `channel_binding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    Disable,
    /// Where the server offers it, on TLS.
    Prefer,
    /// Who cannot prove it is not logged in to.
    Require,
}

/// A PostgreSQL server, from a URL `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…&channel_binding=…&zone=…`;
/// a host that begins with `/` (percent-encoded, or `?host=/dir`) is a Unix socket's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    pub ssl_mode: SslMode,
    pub ssl_root_cert: Option<PathBuf>,
    pub channel_binding: ChannelBinding,
    pub zone: Option<String>,
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Whether hits are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    On,
    Off,
    /** does everything but serve */
    Shadow,
}

/// When a client's connection goes back to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    Transaction,
    Session,
}

/// A rule that lets named tables be cached for a time where no WAL stream proves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TtlRule {
    /** `schema.table` */
    pub table: String,
    pub ttl: Duration,
}

/// A rule for the statements that meet all of its conditions: where they go, and whether they are cached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteRule {
    /** the user who logged in */
    pub role: Option<String>,
    pub database: Option<String>,
    /** `schema.table` */
    pub table: Option<String>,
    /** as SHOW ROUTES tells it */
    pub fingerprint: Option<String>,
    pub destination: Option<RouteTo>,
    pub cache: Option<bool>,
}

/// TLS towards clients.
#[derive(Debug, Clone)]
pub struct ClientTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who signs certificates of clients; none where they are not asked for.
    pub client_ca: Option<PathBuf>,
    pub client_auth: ClientAuth,
}

/// What a client's certificate counts for on TCP connections, in the words of `pg_hba.conf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// It is not asked for.
    Off,
    /// It is needed beside the password (`clientcert=verify-ca`).
    VerifyCa,
    /// And its common name is the user (`clientcert=verify-full`).
    VerifyFull,
    /// Its common name is the user, and no password is asked for (method `cert`).
    Cert,
}

/// How a client proves who it is, where its certificate does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    Scram,
    /// By an MD5 challenge, or by SCRAM where a SCRAM secret is all that is known of the user: PostgreSQL's `md5`.
    Md5,
    /// Not at all: whoever can connect is whom it says it is.
    Trust,
}

/// Text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Everything that was configured, validated.
#[derive(Debug, Clone)]
pub struct Config {
    pub primary: ServerUrl,
    pub replicas: Vec<ServerUrl>,
    pub users: Option<PathBuf>,
    /// Gives name and SCRAM secret of the user `$1`.
    pub auth_query: Option<String>,
    pub auth_method: AuthMethod,
    /// How long the primary's word on who may log in is believed.
    pub auth_refresh: Duration,
    /// `redis://` or `rediss://` (TLS), with password, and the secret that authenticates entries (required with it).
    pub redis: Option<Secret>,
    pub redis_secret: Option<Secret>,
    /// Longest wait for the shared tier, in milliseconds; past it, a miss.
    pub redis_timeout: Duration,
    pub listen: Vec<Listen>,
    /// Another process may listen there too, and take over.
    pub reuse_port: bool,
    pub http: Option<SocketAddr>,
    pub zone: Option<String>,
    /// Bytes of the memory tier.
    pub memory: u64,
    /// Bytes of the largest entry.
    pub entry_limit: usize,
    pub staleness: Duration,
    /// Bytes that the primary may keep for the stream.
    pub max_retained_wal: u64,
    pub cache: CacheMode,
    pub ttl_rules: Vec<TtlRule>,
    /// The first that matches counts.
    pub route_rules: Vec<RouteRule>,
    pub pool: PoolMode,
    /// Statements of clients that a server connection keeps prepared.
    pub max_prepared_statements: usize,
    pub connect_timeout: Duration,
    /// When TCP peers are given up.
    pub keep_alive: KeepAlive,
    /// Threads that serve sessions; `None` for one each core.
    pub workers: Option<usize>,
    pub client_tls: Option<ClientTls>,
    pub log_format: LogFormat,
    /// `tracing` filter, such as `info` or `sidecache=debug`.
    pub log_level: String,
    /// What may change while the process runs.
    pub live: Live,
    /// All of it as it was given.
    pub texts: Texts,
}
