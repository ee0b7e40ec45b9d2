//! The connections to Redis and the two commands that are sent: a bounded read and a write that expires. Turns every way
//! in which Redis can fail into one of a few named troubles. Knows no breaker and no seal.

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError};
use std::time::Duration;
use tokio::time::timeout;

/// How long connecting and authenticating may take; only a background task waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a batch of writes may take; only a background task waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a probe reads. It lies under the prefix of the entries, so that it needs no right that they do not need.
const PROBE: &str = "sidecache:probe";

/// How Redis failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// It refused the user, the password or the command.
    Denied,
    /// It answered with an error: loading, out of memory, read-only, …
    Refused,
    /// The key holds something that is not a string.
    WrongType,
}

impl Trouble {
    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            Trouble::TimedOut => "timed_out",
            Trouble::Unreachable => "unreachable",
            Trouble::Denied => "denied",
            Trouble::Refused => "refused",
            Trouble::WrongType => "wrong_type",
        }
    }

    fn of(error: &RedisError) -> Self {
        match error.code() {
            Some("WRONGTYPE") => Trouble::WrongType,
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => Trouble::Denied,
            Some(_) => Trouble::Refused,
            None if error.is_timeout() => Trouble::TimedOut,
            None if error.kind() == redis::ErrorKind::AuthenticationFailed => Trouble::Denied,
            None => Trouble::Unreachable,
        }
    }
}

/// The URL names no Redis server that can be used. Never shows the URL: it holds the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a usable Redis URL (expected redis://, rediss:// or unix://)")]
pub struct UnusableUrl;

/// Where to connect.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    client: Client,
    /// Longest wait for a read.
    timeout: Duration,
}

/// Two connections: a large value on its way out must not delay the reads.
#[derive(Debug, Clone)]
pub(super) struct Link {
    reads: MultiplexedConnection,
    writes: MultiplexedConnection,
    timeout: Duration,
}

/// One value to write.
pub(super) struct Write {
    pub name: String,
    pub sealed: Vec<u8>,
}

impl Dialer {
    pub fn new(url: &str, timeout: Duration) -> Result<Self, UnusableUrl> {
        let info = url.into_connection_info().map_err(|_| UnusableUrl)?;
        // Off by default in this client; a read waits for each segment.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|_| UnusableUrl)?;
        Ok(Dialer { client, timeout })
    }

    /// Connects and reads once, within the time that a read has.
    pub async fn dial(&self) -> Result<Link, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(WRITE_TIMEOUT));
        let connect = || async {
            let connected = self.client.get_multiplexed_async_connection_with_config(&config);
            match timeout(CONNECT_TIMEOUT, connected).await {
                Err(_) => Err(Trouble::TimedOut),
                Ok(connected) => connected.map_err(|error| Trouble::of(&error)),
            }
        };
        let link = Link { reads: connect().await?, writes: connect().await?, timeout: self.timeout };
        link.probe().await?;
        Ok(link)
    }
}

impl Link {
    /// Whether reads are answered in time.
    pub async fn probe(&self) -> Result<(), Trouble> {
        self.read(PROBE, 0).await.map(|_| ())
    }

    /// The value, cut to one byte more than `limit`, so that whatever lies there costs us no more; empty if there is none.
    pub async fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>, Trouble> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(name).arg(0).arg(limit);
        let mut connection = self.reads.clone();
        match timeout(self.timeout, command.query_async(&mut connection)).await {
            Err(_) => Err(Trouble::TimedOut),
            Ok(answer) => answer.map_err(|error| Trouble::of(&error)),
        }
    }

    /// Writes all in one round trip; the outcome of each.
    pub async fn write(&self, writes: &[Write], expiry: Duration) -> Result<Vec<Result<(), Trouble>>, Trouble> {
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        for write in writes {
            pipeline.cmd("SET").arg(&write.name).arg(&write.sealed[..]).arg("PX").arg(expiry.as_millis() as u64);
        }
        let mut connection = self.writes.clone();
        let sent = pipeline.query_async::<Vec<redis::RedisResult<()>>>(&mut connection);
        match timeout(WRITE_TIMEOUT, sent).await {
            Err(_) => Err(Trouble::TimedOut),
            Ok(Err(error)) => Err(Trouble::of(&error)),
            Ok(Ok(answers)) => Ok(answers.into_iter().map(|one| one.map_err(|e| Trouble::of(&e))).collect()),
        }
    }
}
