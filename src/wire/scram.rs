//! SCRAM-SHA-256 towards clients, over pgwire's server side. Besides proving the client it learns the client's key
//! from the proof, with which the upstream login can be made where no plain password is kept (RFC 5802, section 3).

use pgwire::api::auth::sasl::scram::gen_salted_password;
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal};
use ring::{digest, hmac};

/// What proves a password without being it; as `pg_authid.rolpassword` keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// The user's salt.
    pub salt: Vec<u8>,
    /// SHA-256 of the client key.
    pub stored_key: [u8; 32],
    /// What the server proves itself with.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(***)")
    }
}

/// Rounds for verifiers that we derive ourselves: PostgreSQL's default (`scram_iterations`).
pub const ITERATIONS: u32 = 4096;

impl Verifier {
    /// Derives one from a password. Costs about a millisecond.
    pub fn derive(password: &str, salt: Vec<u8>) -> Self {
        let salted = gen_salted_password(password, &salt, ITERATIONS as usize);
        let client_key = sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        Verifier {
            iterations: ITERATIONS,
            salt,
            stored_key: array(stored.as_ref()),
            server_key: sign(&salted, b"Server Key"),
        }
    }
}

/// A verifier for a user that does not exist: its salt is the same each time, and no password proves it.
pub fn mock(secret: &[u8], user: &str) -> Verifier {
    let salt = sign(secret, user.as_bytes())[..16].to_vec();
    let stored_key = sign(secret, format!("stored {user}").as_bytes());
    let server_key = sign(secret, format!("server {user}").as_bytes());
    Verifier { iterations: ITERATIONS, salt, stored_key, server_key }
}

fn array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 has 32 bytes")
}

fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    array(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

/// The client's proof failed, or its messages were not SCRAM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SCRAM exchange failed")]
pub struct ScramFailed;

/// The client's first message cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFirst {
    /// It is not SCRAM's, or does not fit the mechanism that the client chose.
    #[error("malformed SCRAM message")]
    Malformed,
    /// The client could bind the channel and was not told that we can: somebody between us took the offer out.
    #[error("SCRAM channel binding negotiation error")]
    Downgraded,
}

/// Our certificate, for channel binding.
#[derive(Clone)]
pub struct EndPoint(ScramServerAuth);

impl EndPoint {
    /// Of a certificate in DER; nothing if it cannot be bound to.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, pem) = super::binding::end_point(certificate)?;
        let mut auth = ScramServerAuth::new();
        auth.configure_certificate(pem.as_bytes()).ok()?;
        Some(EndPoint(auth))
    }
}

/// What was offered, and what the client chose of it.
#[derive(Clone, Copy)]
pub enum Chosen<'a> {
    /// SCRAM-SHA-256-PLUS.
    Bound(&'a EndPoint),
    /// SCRAM-SHA-256, though PLUS was offered beside it.
    UnboundByChoice,
    /// SCRAM-SHA-256, the only one.
    Unbound,
}

/// An exchange after the client's first message.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    waiting: ScramServerAuthWaitingForClientFinal,
    client_first_bare: Vec<u8>,
    server_first: String,
}

/// What a proven exchange leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The server's last message, which proves us to the client.
    pub server_final: String,
    /// The client's key, good for a login wherever the same verifier is kept.
    pub client_key: [u8; 32],
}

impl Exchange {
    /// Takes the client's first message; gives the exchange and the server's first message.
    ///
    /// # Errors
    /// The message is not SCRAM's, or says something else of channel binding than the client chose; as
    /// `read_client_first_message` in PostgreSQL's auth-scram.c.
    pub fn begin(verifier: Verifier, client_first: &[u8], chosen: Chosen<'_>) -> Result<(Self, String), BadFirst> {
        let flag = client_first.split(|byte| *byte == b',').next().unwrap_or_default();
        let server = match (flag, chosen) {
            (b"y", Chosen::UnboundByChoice) => return Err(BadFirst::Downgraded),
            (b"n", Chosen::UnboundByChoice) | (b"n" | b"y", Chosen::Unbound) => ScramServerAuth::new(),
            (b"p=tls-server-end-point", Chosen::Bound(EndPoint(own))) => own.clone(),
            _ => return Err(BadFirst::Malformed),
        };
        let secret = ScramSecret::Verifier {
            salt: verifier.salt.clone(),
            iterations: verifier.iterations as usize,
            stored_key: verifier.stored_key.to_vec(),
            server_key: verifier.server_key.to_vec(),
        };
        let (server_first, waiting) =
            server.on_client_first_message_with_secret(client_first, secret).map_err(|_| BadFirst::Malformed)?;
        // gs2 header: two fields, each ended by a comma.
        let bare = client_first.splitn(3, |byte| *byte == b',').nth(2).ok_or(BadFirst::Malformed)?;
        let exchange =
            Exchange { verifier, waiting, client_first_bare: bare.to_vec(), server_first: server_first.clone() };
        Ok((exchange, server_first))
    }

    /// Takes the client's final message.
    ///
    /// # Errors
    /// The proof is wrong.
    pub fn finish(self, client_final: &[u8]) -> Result<Proven, ScramFailed> {
        let server_final = self.waiting.on_client_final_message(client_final).map_err(|_| ScramFailed)?;
        let text = std::str::from_utf8(client_final).map_err(|_| ScramFailed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramFailed)?;
        let proof = decode_base64(proof).ok_or(ScramFailed)?;
        let mut auth_message = self.client_first_bare;
        for part in [self.server_first.as_bytes(), without_proof.as_bytes()] {
            auth_message.push(b',');
            auth_message.extend_from_slice(part);
        }
        let signature = sign(&self.verifier.stored_key, &auth_message);
        let proof: [u8; 32] = proof.try_into().map_err(|_| ScramFailed)?;
        let client_key: [u8; 32] = std::array::from_fn(|i| proof[i] ^ signature[i]);
        if digest::digest(&digest::SHA256, &client_key).as_ref() != self.verifier.stored_key {
            return Err(ScramFailed);
        }
        Ok(Proven { server_final, client_key })
    }
}

/// Standard base64 with padding.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let unpadded = text.trim_end_matches('=');
    if text.len() - unpadded.len() > 2 {
        return None;
    }
    for chunk in unpadded.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for byte in chunk {
            bits = bits << 6 | u32::from(value(*byte)?);
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    fn exchange(kept: &str, sent: &str) -> Result<(), ScramFailed> {
        let verifier = Verifier::derive(kept, b"0123456789abcdef".to_vec());
        let stored = verifier.stored_key;
        let mut client = ScramSha256::new(sent.as_bytes(), ChannelBinding::unsupported());
        let begun = Exchange::begin(verifier, client.message(), Chosen::Unbound);
        let (exchange, server_first) = begun.map_err(|_| ScramFailed)?;
        client.update(server_first.as_bytes()).map_err(|_| ScramFailed)?;
        let proven = exchange.finish(client.message())?;
        client.finish(proven.server_final.as_bytes()).map_err(|_| ScramFailed)?;
        assert_eq!(digest::digest(&digest::SHA256, &proven.client_key).as_ref(), stored);
        Ok(())
    }

    #[test]
    fn the_right_password_is_proven_and_teaches_the_client_key() {
        assert_eq!(exchange("pencil", "pencil"), Ok(()));
    }

    #[test]
    fn a_wrong_password_is_not() {
        assert_eq!(exchange("pencil", "pencils"), Err(ScramFailed));
    }

    #[test]
    fn hostile_messages_are_refused() {
        let verifier = || Verifier::derive("x", vec![1; 16]);
        for message in [&b""[..], b"n", b"n,,", b"p=tls-unique,,n=,r=x", b"\xff\xff,,", b"n,,n=,r="] {
            if let Ok((exchange, _)) = Exchange::begin(verifier(), message, Chosen::Unbound) {
                for last in [&b""[..], b"c=biws", b"c=biws,r=x,p=", b"\xff", b"c=biws,r=x,p=AAAA"] {
                    let (again, _) = Exchange::begin(verifier(), message, Chosen::Unbound).unwrap();
                    assert!(again.finish(last).is_err());
                }
                drop(exchange);
            }
        }
    }

    #[test]
    fn channel_binding_holds_or_is_refused() {
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.der().to_vec();
        let (own, other) = (made("own"), made("other"));
        let end_point = EndPoint::of(&own).unwrap();
        let verifier = || Verifier::derive("pencil", vec![1; 16]);
        let through = |certificate: &[u8]| {
            let (seen, _) = crate::wire::binding::end_point(certificate).unwrap();
            let mut client = ScramSha256::new(b"pencil", ChannelBinding::tls_server_end_point(seen));
            let begun = Exchange::begin(verifier(), client.message(), Chosen::Bound(&end_point));
            let (exchange, server_first) = begun.unwrap();
            client.update(server_first.as_bytes()).unwrap();
            exchange.finish(client.message()).map(|proven| client.finish(proven.server_final.as_bytes()).unwrap())
        };
        assert_eq!(through(&own), Ok(()));
        assert_eq!(through(&other), Err(ScramFailed), "somebody with another certificate stands between");
        let begin = |first: &[u8], chosen| Exchange::begin(verifier(), first, chosen).map(drop);
        let (bound, beside) = (Chosen::Bound(&end_point), Chosen::UnboundByChoice);
        assert_eq!(begin(b"y,,n=,r=x", beside), Err(BadFirst::Downgraded));
        assert_eq!(begin(b"y,,n=,r=x", Chosen::Unbound), Ok(()));
        assert_eq!(begin(b"n,,n=,r=x", beside), Ok(()));
        for (first, chosen) in [
            (&b"n,,n=,r=x"[..], bound),
            (b"y,,n=,r=x", bound),
            (b"p=tls-unique,,n=,r=x", bound),
            (b"p=tls-server-end-point,,n=,r=x", beside),
            (b"p=tls-server-end-point,,n=,r=x", Chosen::Unbound),
        ] {
            assert_eq!(begin(first, chosen), Err(BadFirst::Malformed), "{}", String::from_utf8_lossy(first));
        }
    }

    #[test]
    fn base64_reads_only_base64() {
        assert_eq!(decode_base64("aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode_base64("aGVsbA==").as_deref(), Some(&b"hell"[..]));
        for wrong in ["a", "a===", "====", "a*b=", "aGVsbG8"] {
            assert!(decode_base64(wrong).is_none(), "{wrong}");
        }
    }
}
