//! A client proves who it is, always, however warm the pool is; and the primary lets that user in. Who is unknown goes through
//! the same motions as who is known. Knows SCRAM's order of messages, not its mathematics.

use super::client::Client;
use super::{End, Shared};
use crate::config::users::Credential;
use crate::upstream::{Account, LeaseError, LoginProof};
use crate::wire::backend::{Failure, put_frame};
use crate::wire::frame::{HEADER, header};
use crate::wire::scram::{BadFirst, Chosen, EndPoint, Exchange, Verifier};
use crate::wire::stream::Stream;
use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;

/// The longest message that a client may send while it proves itself.
const AUTH_LIMIT: usize = 8 * 1024;

fn gone() -> End {
    End::Client(io::ErrorKind::UnexpectedEof.into())
}

/// Lets the client prove that it is this user; gives what logs in upstream. `end_point`: of this connection's TLS.
pub(super) async fn prove(
    client: &mut Client,
    shared: &Shared,
    user: String,
    end_point: Option<&EndPoint>,
) -> Result<Account, End> {
    let listed = shared.users.load().lookup(&user).cloned();
    let credential = match listed {
        Some(listed) => Some(listed),
        None => shared.common.secrets.of(shared, &user).await?.map(Credential::Scram),
    };
    let verifier = match &credential {
        Some(Credential::Password(password)) => shared.common.verifiers.of_password(&user, &password.0),
        Some(Credential::Scram(secret)) => Verifier {
            iterations: secret.iterations,
            salt: secret.salt.clone(),
            stored_key: secret.stored_key,
            server_key: secret.server_key,
        },
        // An unknown user goes through the same motions, so that nothing tells that it is unknown (as
        // `mock_scram_secret` in PostgreSQL's auth-scram.c).
        None => shared.common.verifiers.mock(&user),
    };
    let server_key = verifier.server_key;
    let client_key = match scram(client, verifier, end_point).await? {
        Some(client_key) if credential.is_some() => client_key,
        _ => {
            // The secret may have been changed since it was asked for: the next attempt asks anew.
            shared.common.secrets.forget(&user);
            return Err(Failure::fatal("28P01", format!("password authentication failed for user \"{user}\"")).into());
        }
    };
    let proof = match credential {
        Some(Credential::Password(password)) => LoginProof::Password(password),
        _ => LoginProof::ScramKeys { client: client_key, server: server_key },
    };
    Ok(Account { user, proof })
}

/// Lets PostgreSQL say that it lets this user in.
pub(super) async fn admit(client: &mut Client, shared: &Shared, account: &Account, database: &str) -> Result<(), End> {
    match shared.upstream.admit(account, database, shared.config.auth_refresh).await {
        Ok(()) => Ok(()),
        Err(LeaseError::Refused { frame, .. }) => {
            shared.common.secrets.forget(&account.user);
            client.output.put_slice(&frame);
            client.flush().await?;
            Err(End::Closed)
        }
        Err(error) => Err(Failure::fatal("08006", error.to_string()).into()),
    }
}

/// Runs the exchange; `None` if the proof is wrong.
async fn scram(client: &mut Client, verifier: Verifier, end_point: Option<&EndPoint>) -> Result<Option<[u8; 32]>, End> {
    let bindable = end_point.filter(|_| matches!(client.stream, Stream::TlsServer(_)));
    let offer: &[u8] = match bindable {
        Some(_) => b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
        None => b"\0\0\0\x0aSCRAM-SHA-256\0\0",
    };
    put_frame(&mut client.output, b'R', offer);
    client.flush().await?;
    let malformed = || End::from(Failure::fatal("08P01", "malformed SASL message"));
    let body = read_proof(client).await?;
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
    let body = read_proof(client).await?;
    let Ok(proven) = exchange.finish(&body) else { return Ok(None) };
    let mut reply = 12u32.to_be_bytes().to_vec();
    reply.extend_from_slice(proven.server_final.as_bytes());
    put_frame(&mut client.output, b'R', &reply);
    Ok(Some(proven.client_key))
}

/// Reads one `p` message.
async fn read_proof(client: &mut Client) -> Result<BytesMut, End> {
    loop {
        let next = header(&client.input, |_| AUTH_LIMIT).map_err(|bad| Failure::fatal("08P01", bad.to_string()))?;
        match next {
            Some(next) if next.tag != b'p' => {
                let text = format!("expected SASL response, got message type {}", next.tag);
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
            return Err(gone());
        }
    }
}

/// Verifiers of users whose passwords are known, derived once, and of those that do not exist.
#[derive(Debug)]
pub struct Verifiers {
    known: Mutex<HashMap<(String, String), Verifier>>,
    secret: [u8; 32],
}

impl Default for Verifiers {
    fn default() -> Self {
        let mut secret = [0; 32];
        super::cancel::random(&mut secret);
        Verifiers { known: Mutex::default(), secret }
    }
}

impl Verifiers {
    fn of_password(&self, user: &str, password: &str) -> Verifier {
        let key = (user.to_owned(), password.to_owned());
        if let Some(known) = self.known.lock().get(&key) {
            return known.clone();
        }
        let mut salt = vec![0; 16];
        super::cancel::random(&mut salt);
        let verifier = Verifier::derive(password, salt);
        let mut known = self.known.lock();
        // A changed password leaves the old one's verifier behind; it is never asked for again.
        known.retain(|(name, _), _| name != user);
        known.insert(key, verifier.clone());
        verifier
    }

    /// The same salt for the same name each time, and keys that nobody can prove.
    fn mock(&self, user: &str) -> Verifier {
        crate::wire::scram::mock(&self.secret, user)
    }
}
