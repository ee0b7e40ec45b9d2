//! The way to a server: TCP or a Unix socket, and TLS as `sslmode` asks. Says not a word of the protocol beyond
//! SSLRequest; who logs in is another file's.

use crate::config::{ChannelBinding, ServerUrl, SslMode};
use crate::types::KeepAlive;
use crate::wire::stream::{Stream, keep_alive};
use crate::wire::tls::{self, TlsConnector, TlsError};
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

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
        let tcp = self.tcp().await?;
        if self.ssl_mode == SslMode::Disable {
            return Ok(Stream::Tcp(tcp));
        }
        match self.secured(tcp).await {
            // libpq's `prefer`: a server whose TLS does not work is asked again without.
            Err(_) if self.ssl_mode == SslMode::Prefer => Ok(Stream::Tcp(self.tcp().await?)),
            outcome => outcome,
        }
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        keep_alive(&tcp, self.keep_alive)?;
        Ok(tcp)
    }

    async fn secured(&self, mut tcp: TcpStream) -> io::Result<Stream> {
        let connector = self.tls.as_ref().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.clone()))?;
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await?;
        // One byte and not one more: what a man in the middle stuffs behind the answer reaches only the handshake,
        // which fails on it, and never the stream that is trusted afterwards.
        let mut answer = [0u8];
        tcp.read_exact(&mut answer).await?;
        match (answer[0], self.ssl_mode) {
            (b'S', _) => tls::connect(connector, &self.host, tcp).await,
            (b'N', SslMode::Prefer) => Ok(Stream::Tcp(tcp)),
            (b'N', _) => Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not speak TLS")),
            // Anything else, an error message included, comes from nobody who has proven who they are.
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the server did not answer SSLRequest")),
        }
    }
}
