//! A byte stream to a client or an upstream server, whatever carries it.

use crate::types::KeepAlive;
use bytes::{Buf, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// TCP, a Unix socket, or TLS over TCP.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix-domain socket.
    Unix(UnixStream),
    /// TLS in which we are the server.
    TlsServer(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS in which we are the client.
    TlsClient(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Probes sent to a silent peer before it is given up.
const PROBES: u32 = 3;

/// Lets the system notice a peer that has vanished without a word.
///
/// # Errors
/// The socket is closed already.
pub fn keep_alive(tcp: &TcpStream, when: KeepAlive) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    // While data is unacknowledged the system sends no probes (tcp(7), TCP_USER_TIMEOUT). It counts data that the peer has no room for as
    // well, though that acknowledges each question after it (`tcp_probe_timer` in tcp_timer.c).
    #[cfg(target_os = "linux")]
    if when.unacknowledged.is_some() {
        socket.set_tcp_user_timeout(when.unacknowledged)?;
    }
    let Some(after) = when.after else { return Ok(()) };
    // The system counts whole seconds.
    let seconds = after.max(Duration::from_secs(1));
    let interval = (after / PROBES).max(Duration::from_secs(1));
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(seconds).with_interval(interval).with_retries(PROBES))
}

impl Stream {
    /// The other end's address; none on a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        let tcp = match self {
            Stream::Tcp(tcp) => tcp,
            Stream::Unix(_) => return None,
            Stream::TlsServer(tls) => tls.get_ref().0,
            Stream::TlsClient(tls) => tls.get_ref().0,
        };
        tcp.peer_addr().ok()
    }

    /// Returns once the connection is broken both ways: reset by the other end, or given up by the system. That the other end sends
    /// no more is no sign of it, since it may read on; one that has gone resets the connection when it is probed or written to.
    #[cfg(target_os = "linux")]
    pub async fn broken(&self) {
        let broken = match self {
            Stream::Tcp(tcp) => tcp.ready(Interest::ERROR).await,
            Stream::Unix(unix) => unix.ready(Interest::ERROR).await,
            Stream::TlsServer(tls) => tls.get_ref().0.ready(Interest::ERROR).await,
            Stream::TlsClient(tls) => tls.get_ref().0.ready(Interest::ERROR).await,
        };
        if let Err(error) = broken {
            tracing::trace!(%error, "a connection cannot be watched");
            std::future::pending().await
        }
    }

    /// Elsewhere it is found out by the next write.
    #[cfg(not(target_os = "linux"))]
    pub async fn broken(&self) {
        std::future::pending().await
    }

    /// Whether there is nothing to read, as far as the system has said: asked without a system call, and without waiting to be
    /// told. Nothing certain is known where TLS may keep bytes of its own.
    pub fn is_silent(&self) -> bool {
        let nothing = |asked: io::Result<()>| asked.is_err();
        match self {
            Stream::Tcp(tcp) => nothing(tcp.try_io(Interest::READABLE, || Ok(()))),
            Stream::Unix(unix) => nothing(unix.try_io(Interest::READABLE, || Ok(()))),
            Stream::TlsServer(_) | Stream::TlsClient(_) => false,
        }
    }

    /// Whether TLS carries it.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Stream::TlsServer(_) | Stream::TlsClient(_))
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::TlsServer($stream) => $call,
            Stream::TlsClient($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_shutdown(cx))
    }
}

/// Ready once all of `out` has left, and to be asked again until then, though `out` be empty: TLS takes more than it can send.
pub fn poll_send(
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
    out: &mut BytesMut,
) -> Poll<io::Result<()>> {
    while !out.is_empty() {
        match ready!(Pin::new(&mut *stream).poll_write(cx, out))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => out.advance(written),
        }
    }
    Pin::new(stream).poll_flush(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_peer_is_probed_and_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        keep_alive(&tcp, KeepAlive::default()).unwrap();
        assert!(!SockRef::from(&tcp).keepalive().unwrap());
        let after = Some(Duration::from_secs(9));
        keep_alive(&tcp, KeepAlive { after, unacknowledged: None }).unwrap();
        let socket = SockRef::from(&tcp);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(9));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(3));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), None, "who reads slowly is not silent");
        keep_alive(&tcp, KeepAlive { after, unacknowledged: Some(Duration::from_secs(20)) }).unwrap();
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(20)));
    }

    #[tokio::test]
    async fn a_stream_is_silent_until_the_system_has_told_of_bytes() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Stream::Unix(ours);
        assert!(stream.is_silent());
        tokio::io::AsyncWriteExt::write_all(&mut theirs, b"x").await.unwrap();
        let Stream::Unix(ours) = &stream else { unreachable!("made above") };
        ours.readable().await.unwrap();
        assert!(!stream.is_silent());
    }
}
