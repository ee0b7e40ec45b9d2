//! SCRAM towards a client, message by message. Knows the order of SASL's messages, neither who the client is nor the mathematics.

use super::End;
use super::client::Client;
use super::throttle::{Attempt, TooMany};
use crate::wire::backend::{Failure, put_frame};
use crate::wire::frame::{HEADER, header};
use crate::wire::scram::{BadFirst, Chosen, Exchange, Verifier};
use crate::wire::stream::Stream;
use crate::wire::tls::Acceptor;
use crate::wire::toil;
use bytes::{Buf, BytesMut};
use std::io;

/// The longest message that a client may send while it proves itself.
const AUTH_LIMIT: usize = 8 * 1024;

/// What an exchange came to.
pub(super) enum Proof<T> {
    /// Right, with what it taught us.
    Right(T),
    Wrong,
    /// It was not looked at.
    TooMany,
}

/// Runs the exchange, which teaches us the client's key. `acceptor`: what this connection's TLS was made by.
pub(super) async fn scram(
    client: &mut Client,
    verifier: Verifier,
    acceptor: Option<&Acceptor>,
    attempt: &mut Attempt<'_>,
) -> Result<Proof<[u8; 32]>, End> {
    let end_point = acceptor.and_then(|acceptor| acceptor.end_point.as_ref());
    let bindable = end_point.filter(|_| matches!(client.stream, Stream::TlsServer(_)));
    let offer: &[u8] = match bindable {
        Some(_) => b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
        None => b"\0\0\0\x0aSCRAM-SHA-256\0\0",
    };
    put_frame(&mut client.output, b'R', offer);
    client.flush().await?;
    let malformed = || End::from(Failure::fatal("08P01", "malformed SASL message"));
    let body = read_proof(client, "SASL").await?;
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
    let chosen = match (&body[..end], bindable) {
        (b"SCRAM-SHA-256-PLUS", Some(end_point)) => Chosen::Bound(end_point),
        (b"SCRAM-SHA-256", Some(_)) => Chosen::UnboundByChoice,
        (b"SCRAM-SHA-256", None) => Chosen::Unbound,
        _ => {
            let text = "client selected an invalid SASL authentication mechanism";
            return Err(Failure::fatal("08P01", text).into());
        }
    };
    let (length, message) = body[end + 1..].split_first_chunk::<4>().ok_or_else(malformed)?;
    if u32::from_be_bytes(*length) as usize != message.len() {
        return Err(malformed());
    }
    let (exchange, server_first) = Exchange::begin(verifier, message, chosen).map_err(|bad| match bad {
        BadFirst::Malformed => malformed(),
        BadFirst::Downgraded => Failure::fatal("28000", bad.to_string()).into(),
    })?;
    let mut reply = 11u32.to_be_bytes().to_vec();
    reply.extend_from_slice(server_first.as_bytes());
    put_frame(&mut client.output, b'R', &reply);
    client.flush().await?;
    let body = read_proof(client, "SASL").await?;
    if let Err(TooMany) = attempt.look().await {
        return Ok(Proof::TooMany);
    }
    let Ok(proven) = toil::light(|| exchange.finish(&body)).await else {
        attempt.failed();
        return Ok(Proof::Wrong);
    };
    let mut reply = 12u32.to_be_bytes().to_vec();
    reply.extend_from_slice(proven.server_final.as_bytes());
    put_frame(&mut client.output, b'R', &reply);
    Ok(Proof::Right(proven.client_key))
}

/// Reads one `p` message.
pub(super) async fn read_proof(client: &mut Client, awaited: &str) -> Result<BytesMut, End> {
    loop {
        let next = header(&client.input, |_| AUTH_LIMIT).map_err(|bad| Failure::fatal("08P01", bad.to_string()))?;
        match next {
            Some(next) if next.tag != b'p' => {
                let text = format!("expected {awaited} response, got message type {}", next.tag);
                return Err(Failure::fatal("08P01", text).into());
            }
            Some(next) if client.input.len() >= next.len => {
                let mut frame = client.input.split_to(next.len);
                frame.advance(HEADER);
                return Ok(frame);
            }
            _ => {}
        }
        if !client.read().await? {
            return Err(End::Client(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
