//! The way to a server: TCP or a Unix socket, and TLS as `sslmode` asks. Says not a word of the protocol beyond
//! SSLRequest; who logs in is another file's.

use crate::config::{ChannelBinding, ServerUrl, SslMode};
use crate::types::KeepAlive;
use crate::wire::stream::{Stream, keep_alive};
use crate::wire::tls::{self, TlsConnector, TlsError};
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

/// Where a server listens and how it is reached.
pub struct Target {
    host: String,
    port: u16,
    ssl_mode: SslMode,
    /// Made once. If the roots cannot be read, connecting says why, so that a bad file on disk stops no other server.
    tls: Result<TlsConnector, TlsError>,
    pub(super) channel_binding: ChannelBinding,
    /// For everything up to the first ReadyForQuery.
    pub(super) connect_timeout: Duration,
    keep_alive: KeepAlive,
    /// Why the last connection that `prefer` made in clear was not made by TLS, though the server speaks it.
    downgraded: Mutex<Option<String>>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.to_string()).field(&self.ssl_mode).finish()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The first of a name's addresses that answers, each within its share of the time.
async fn first_of(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let mut connected = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    for address in addresses {
        connected = match timeout(share, TcpStream::connect(address)).await {
            Ok(connected) => connected,
            Err(elapsed) => Err(elapsed.into()),
        };
        if connected.is_ok() {
            break;
        }
    }
    connected
}

impl Target {
    /// The server that a URL names.
    pub fn new(url: &ServerUrl, connect_timeout: Duration, keep_alive: KeepAlive) -> Self {
        Target {
            host: url.host.clone(),
            port: url.port,
            ssl_mode: url.ssl_mode,
            tls: tls::client_connector(url.ssl_mode, url.ssl_root_cert.as_deref()),
            channel_binding: url.channel_binding,
            connect_timeout,
            keep_alive,
            downgraded: Mutex::default(),
        }
    }

    /// Host or directory, and port.
    pub fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether a password may be sent as it is: inside TLS, to this very host, or where the owner switched TLS off.
    /// Under `prefer`, anyone on the way could have answered that there is no TLS, so the password is kept.
    pub(super) fn takes_cleartext(&self, stream: &Stream) -> bool {
        !matches!(stream, Stream::Tcp(_)) || self.ssl_mode == SslMode::Disable
    }

    /// Connects, with TLS as configured. The caller bounds the time.
    pub(super) async fn open(&self) -> io::Result<Stream> {
        if self.host.starts_with('/') {
            let path = format!("{}/.s.PGSQL.{}", self.host, self.port);
            return Ok(Stream::Unix(UnixStream::connect(path).await?));
        }
        let mut tcp = self.tcp().await?;
        if self.ssl_mode == SslMode::Disable {
            return Ok(Stream::Tcp(tcp));
        }
        let prefers = self.ssl_mode == SslMode::Prefer;
        match self.agrees(&mut tcp).await {
            Ok(true) => match self.secured(tcp).await {
                // libpq's `prefer`: a server whose TLS does not work is asked again without.
                Err(cause) if prefers => {
                    let tcp = self.tcp().await?;
                    self.warn_once(&cause);
                    Ok(Stream::Tcp(tcp))
                }
                outcome => outcome,
            },
            Ok(false) if prefers => Ok(Stream::Tcp(tcp)),
            Ok(false) => Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not speak TLS")),
            Err(_) if prefers => Ok(Stream::Tcp(self.tcp().await?)),
            Err(cause) => Err(cause),
        }
    }

    /// Says what keeps a connection in clear; the same cause once.
    fn warn_once(&self, cause: &io::Error) {
        let cause = cause.to_string();
        let mut last = self.downgraded.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.as_ref() != Some(&cause) {
            tracing::warn!(server = %self, cause, "TLS fails, and sslmode=prefer goes on in clear: sslmode=require would not");
            *last = Some(cause);
        }
    }

    /// The same without TLS, where `may_go_without` says so.
    pub(super) async fn open_in_clear(&self) -> io::Result<Stream> {
        Ok(Stream::Tcp(self.tcp().await?))
    }

    /// Whether `prefer` asks a server that has refused the login on this connection once more, in clear: `hostnossl` lines of
    /// pg_hba.conf let nobody else in. Not where channel binding is required, which needs TLS.
    pub(super) fn may_go_without(&self, stream: &Stream) -> bool {
        matches!(stream, Stream::TlsClient(_))
            && self.ssl_mode == SslMode::Prefer
            && self.channel_binding != ChannelBinding::Require
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port)).await?.collect();
        let tcp = first_of(&addresses, self.connect_timeout).await?;
        tcp.set_nodelay(true)?;
        keep_alive(&tcp, self.keep_alive)?;
        Ok(tcp)
    }

    /// Whether the server speaks TLS.
    async fn agrees(&self, tcp: &mut TcpStream) -> io::Result<bool> {
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await?;
        // One byte and not one more: what a man in the middle stuffs behind the answer reaches only the handshake,
        // which fails on it, and never the stream that is trusted afterwards.
        let mut answer = [0u8];
        tcp.read_exact(&mut answer).await?;
        match answer[0] {
            b'S' => Ok(true),
            b'N' => Ok(false),
            // Anything else, an error message included, comes from nobody who has proven who they are.
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the server did not answer SSLRequest")),
        }
    }

    async fn secured(&self, tcp: TcpStream) -> io::Result<Stream> {
        let connector = self.tls.as_ref().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.clone()))?;
        tls::connect(connector, &self.host, tcp).await
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
