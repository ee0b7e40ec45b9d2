//! A server that says what a test tells it to, for tests that need no PostgreSQL: a listener, and bytes.

use super::pool::Terms;
use super::starts::Starts;
use super::{Account, LoginProof, Server, Target, message};
use crate::config::{Live, Secret, ServerUrl, SslMode};
use crate::types::KeepAlive;
use arc_swap::ArcSwap;
use bytes::{BufMut, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// No test waits this long: it only ends one that hangs.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// What pools go by, changed as a test wants it.
pub(super) fn terms(change: impl FnOnce(&mut Live)) -> Terms {
    let mut live = Live::example();
    change(&mut live);
    Terms { live: Arc::new(ArcSwap::from_pointee(live)), gate: Arc::default() }
}

pub(super) struct Fake {
    listener: TcpListener,
    port: u16,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Fake { listener, port }
    }

    pub(super) fn url(&self, ssl_mode: SslMode) -> ServerUrl {
        ServerUrl {
            host: "127.0.0.1".into(),
            port: self.port,
            user: "shop".into(),
            password: None,
            database: "shop".into(),
            ssl_mode,
            ssl_root_cert: None,
            channel_binding: crate::config::ChannelBinding::Prefer,
            zone: None,
        }
    }

    pub(super) fn target(&self, ssl_mode: SslMode) -> Target {
        Target::new(&self.url(ssl_mode), LONG, KeepAlive::default())
    }

    pub(super) fn server(&self, pool_size: usize, pool_timeout: Duration) -> Arc<Server> {
        self.server_among(Arc::default(), pool_size, pool_timeout)
    }

    /// One of several.
    pub(super) fn server_among(&self, starts: Arc<Starts>, pool_size: usize, pool_timeout: Duration) -> Arc<Server> {
        Fake::made(self.target(SslMode::Disable), starts, pool_size, pool_timeout)
    }

    /// One of several, which is to answer within this time.
    pub(super) fn server_within(&self, starts: Arc<Starts>, limit: Duration) -> Arc<Server> {
        Fake::made(Target::new(&self.url(SslMode::Disable), limit, KeepAlive::default()), starts, 4, LONG)
    }

    fn made(target: Target, starts: Arc<Starts>, pool_size: usize, pool_timeout: Duration) -> Arc<Server> {
        let terms = terms(|live| (live.pool_size, live.pool_timeout) = (pool_size, pool_timeout));
        let staleness = Duration::from_secs(1);
        Server::new("primary".into(), None, true, target, staleness, (terms, starts))
    }

    pub(super) async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Accepts a connection and trusts whoever it is.
    pub(super) async fn welcome(&self) -> TcpStream {
        let mut stream = self.accept().await;
        startup(&mut stream).await;
        stream.write_all(&greeting()).await.unwrap();
        stream
    }

    /// Accepts a connection and refuses it.
    pub(super) async fn refuse(&self, sqlstate: &str) {
        let mut stream = self.accept().await;
        startup(&mut stream).await;
        stream.write_all(&message::error_response(sqlstate, "no")).await.unwrap();
    }
}

/// A message as a server would send it.
pub(super) fn frame(tag: u8, body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_u8(tag);
    frame.put_u32(u32::try_from(body.len() + 4).unwrap());
    frame.put_slice(body);
    frame
}

/// An authentication request.
pub(super) fn authentication(kind: u32, rest: &[u8]) -> BytesMut {
    frame(b'R', &[&kind.to_be_bytes()[..], rest].concat())
}

/// From AuthenticationOk to ReadyForQuery.
pub(super) fn greeting() -> BytesMut {
    let mut all = authentication(0, b"");
    all.unsplit(frame(b'N', b"SNOTICE\0Mhello\0\0"));
    all.unsplit(frame(b'S', b"TimeZone\0UTC\0"));
    all.unsplit(frame(b'K', &[0, 0, 0, 42, 1, 2, 3, 4]));
    all.unsplit(frame(b'Z', b"I"));
    all
}

/// Reads a startup packet and gives what it carries.
pub(super) async fn startup<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let length = stream.read_u32().await.unwrap();
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await.unwrap();
    body
}

pub(super) fn account(proof: Option<&str>) -> Account {
    let proof = proof.map_or(LoginProof::Nothing, |password| LoginProof::Password(Secret(password.into())));
    Account { user: "shop".into(), proof }
}
