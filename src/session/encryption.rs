//! How a client's connection becomes encrypted: asked for, or begun at once. Knows neither certificates nor who the client is.

use super::End;
use super::client::Client;
use crate::wire::backend::Failure;
use crate::wire::stream::Stream;
use crate::wire::tls::{self, Acceptor, Negotiation};
use std::io;

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Whether the client begins with a TLS handshake (PostgreSQL 17's `sslnegotiation=direct`). The byte is looked at and left, since
/// the handshake is made of it. No startup message begins so: it would be hundreds of megabytes long.
pub async fn negotiates_directly(client: &Client) -> io::Result<bool> {
    let Stream::Tcp(tcp) = &client.stream else { return Ok(false) };
    let mut byte = [0];
    Ok(tcp.peek(&mut byte).await? == 1 && byte == [TLS_HANDSHAKE])
}

/// What came behind a request for encryption was sent in plain text: taken for something sent inside, it would be an attacker's
/// (CVE-2021-23214). PostgreSQL takes it neither inside nor where it has refused (`ProcessStartupPacket`).
pub fn nothing_behind(client: &Client, request: &str) -> Result<(), Failure> {
    if client.input.is_empty() {
        return Ok(());
    }
    Err(Failure::fatal("08P01", format!("received unencrypted data after {request} request")))
}

/// Answers a handshake.
pub async fn encrypt(client: &mut Client, acceptor: Option<&Acceptor>, negotiation: Negotiation) -> Result<(), End> {
    // Without TLS, who begins with it is told nothing that it could read.
    let Some(acceptor) = acceptor else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "direct TLS without a certificate").into());
    };
    // The stream is replaced by the one around it; until then a closed one stands in its place.
    let (closed, _) = tokio::net::UnixStream::pair()?;
    match std::mem::replace(&mut client.stream, Stream::Unix(closed)) {
        Stream::Tcp(tcp) => {
            client.stream = tls::accept(acceptor, tcp, negotiation).await?;
            Ok(())
        }
        other => {
            client.stream = other;
            Err(Failure::fatal("08P01", "TLS is negotiated once").into())
        }
    }
}
