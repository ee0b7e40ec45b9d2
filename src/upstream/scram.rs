//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) for who knows the keys and not the password:
//! postgres-protocol asks for a password. Does no I/O.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

/// What we say of channel binding; `c=` repeats it, and what it is bound to, in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// To the hash of the server's certificate.
    EndPoint(Vec<u8>),
    /// We could, and the server did not offer it. A server that did refuses: somebody took its offer out.
    NotOffered,
    /// We cannot, or may not: there is no TLS, or the owner wants none of it.
    Impossible,
}

impl Binding {
    fn gs2_header(&self) -> &'static str {
        match self {
            Binding::EndPoint(_) => "p=tls-server-end-point,,",
            Binding::NotOffered => "y,,",
            Binding::Impossible => "n,,",
        }
    }

    fn encoded(&self) -> String {
        let mut data = self.gs2_header().as_bytes().to_vec();
        if let Binding::EndPoint(hash) = self {
            data.extend_from_slice(hash);
        }
        STANDARD.encode(data)
    }
}

/// Begun: our nonce has been sent.
#[derive(Debug)]
pub(super) struct KeyProof {
    nonce: String,
    binding: Binding,
}

/// Our proof has been sent; the server owes its own.
#[derive(Debug)]
pub(super) struct Finish {
    server: hmac::Key,
    auth_message: String,
}

/// What the server sent does not fit the exchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SCRAM: {0}")]
pub(super) struct ScramError(&'static str);

impl KeyProof {
    /// A new exchange.
    pub(super) fn begin(binding: Binding) -> Result<Self, ScramError> {
        let mut random = [0u8; 18];
        SystemRandom::new().fill(&mut random).map_err(|_| ScramError("no randomness"))?;
        Ok(KeyProof { nonce: STANDARD.encode(random), binding })
    }

    /// `client-first-message`. PostgreSQL takes the user from the startup message and ignores the one here.
    pub(super) fn first_message(&self) -> String {
        format!("{}{}", self.binding.gs2_header(), self.first_bare())
    }

    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// `client-final-message`, from what the server answered.
    pub(super) fn answer(
        self,
        server_first: &[u8],
        client_key: &[u8; 32],
        server_key: &[u8; 32],
    ) -> Result<(String, Finish), ScramError> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| ScramError("not text"))?;
        let nonce = server_first
            .strip_prefix("r=")
            .and_then(|rest| rest.split(',').next())
            .ok_or(ScramError("no nonce in the server's answer"))?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError("the server's nonce does not continue ours"));
        }
        let unproven = format!("c={},r={nonce}", self.binding.encoded());
        let auth_message = format!("{},{server_first},{unproven}", self.first_bare());
        let stored_key = digest::digest(&digest::SHA256, client_key);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored_key.as_ref()), auth_message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature.as_ref()).map(|(key, mask)| key ^ mask).collect();
        let message = format!("{unproven},p={}", STANDARD.encode(proof));
        Ok((message, Finish { server: hmac::Key::new(hmac::HMAC_SHA256, server_key), auth_message }))
    }
}

impl Finish {
    /// Whether the server, too, knows the keys.
    pub(super) fn check(self, server_final: &[u8]) -> Result<(), ScramError> {
        let signature = server_final.strip_prefix(b"v=").ok_or(ScramError("the server refused the proof"))?;
        let signature = signature.split(|&byte| byte == b',').next().unwrap_or_default();
        let signature = STANDARD.decode(signature).map_err(|_| ScramError("the server's proof is not base64"))?;
        hmac::verify(&self.server, self.auth_message.as_bytes(), &signature)
            .map_err(|_| ScramError("the server does not know the keys"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::pbkdf2;
    use std::num::NonZeroU32;

    /// The exchange printed in RFC 7677, section 3, but for the user's name, which PostgreSQL leaves empty; so the
    /// signatures are computed here from the server's side of the definition.
    #[test]
    fn proves_the_keys_and_demands_the_servers_proof() {
        let mut salted = [0u8; 32];
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::new(4096).unwrap(), &salt, b"pencil", &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let key = |name: &[u8]| <[u8; 32]>::try_from(hmac::sign(&salted, name).as_ref()).unwrap();
        let (client, server) = (key(b"Client Key"), key(b"Server Key"));

        let exchange = || KeyProof { nonce: "rOprNGfwEbeRWgbNEkqO".into(), binding: Binding::Impossible };
        assert_eq!(exchange().first_message(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (message, finish) = exchange().answer(first.as_bytes(), &client, &server).unwrap();
        let (unproven, proof) = message.split_once(",p=").unwrap();
        assert_eq!(unproven, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");

        let auth_message = format!("n=,r=rOprNGfwEbeRWgbNEkqO,{first},{unproven}");
        let stored = digest::digest(&digest::SHA256, &client);
        let signed = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), auth_message.as_bytes());
        let recovered: Vec<u8> = STANDARD
            .decode(proof)
            .unwrap()
            .iter()
            .zip(signed(stored.as_ref()).as_ref())
            .map(|(proof, mask)| proof ^ mask)
            .collect();
        assert_eq!(recovered, client, "the server recovers the client key from the proof");

        let right = format!("v={}", STANDARD.encode(signed(&server)));
        assert_eq!(finish.check(right.as_bytes()), Ok(()));
        for wrong in ["", "v=", "v=AAAA", "e=invalid-proof", "v=!"] {
            let (_, finish) = exchange().answer(first.as_bytes(), &client, &server).unwrap();
            assert!(finish.check(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for hostile in [&b""[..], b"r=", b"r=other,s=,i=1", b"r=rOprNGfwEbeRWgbNEkqO,s=,i=1", b"\xff", b"e=x"] {
            assert!(exchange().answer(hostile, &client, &server).is_err(), "{hostile:?}");
        }
    }
}
