//! Our streams as tokio-postgres knows TLS: it is told that TLS is there already, and what the login can be bound to. Encrypts nothing.

use crate::wire::binding::Bindable;
use crate::wire::stream::Stream;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Takes a stream for what it is, with TLS or without.
pub(super) struct AsItIs;

/// The stream, and what the login can be bound to.
pub(super) struct Bound {
    stream: Stream,
    bindable: Bindable,
}

impl TlsConnect<Stream> for AsItIs {
    type Stream = Bound;
    type Error = io::Error;
    type Future = Ready<io::Result<Bound>>;

    fn connect(self, stream: Stream) -> Self::Future {
        let bindable = Bindable::of_server(&stream);
        ready(Ok(Bound { stream, bindable }))
    }
}

impl TlsStream for Bound {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.bindable {
            Bindable::EndPoint(hash) => ChannelBinding::tls_server_end_point(hash.clone()),
            // tokio-postgres says that it could bind only where it has something to bind to. A server that offers it gets this, which is the
            // hash of nothing, and refuses; one that does not is told that we could.
            Bindable::Hashless => ChannelBinding::tls_server_end_point(Vec::new()),
            Bindable::Nothing => ChannelBinding::none(),
        }
    }
}

impl AsyncRead for Bound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Bound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
