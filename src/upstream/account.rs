//! Who logs in upstream, by what proof, and what cancels its queries. Nothing here shows a secret.

use crate::config::Secret;
use bytes::Bytes;
use std::hash::{Hash, Hasher};

/// Who logs in upstream: the client's own user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The role's name.
    pub user: String,
    /// What proves it.
    pub proof: LoginProof,
}

impl Hash for Account {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Two proofs of one user are rare (a password was changed): they may share a bucket, and no hash holds a secret.
        self.user.hash(state);
    }
}

/// What proves it.
#[derive(Clone, PartialEq, Eq)]
pub enum LoginProof {
    /// A plain password, from the primary's URL or the users file.
    Password(Secret),
    /// `md5` and the hash of the password: for a server that asks for an MD5 answer.
    Md5Hash(Secret),
    /// SCRAM-SHA-256 keys learned from the client's own proof.
    ScramKeys {
        /// `ClientKey`.
        client: [u8; 32],
        /// `ServerKey`.
        server: [u8; 32],
    },
    /// None is known: trust or peer authentication upstream, or a SCRAM secret without the client's own proof.
    Nothing,
}

impl std::fmt::Debug for LoginProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LoginProof::Password(_) => "Password(***)",
            LoginProof::Md5Hash(_) => "Md5Hash(***)",
            LoginProof::ScramKeys { .. } => "ScramKeys(***)",
            LoginProof::Nothing => "Nothing",
        })
    }
}

/// What lets a query be cancelled.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendKey {
    /// The backend's process.
    pub process: u32,
    /// Four bytes in protocol 3.0, up to 256 in 3.2.
    pub secret: Bytes,
}

impl std::fmt::Debug for BackendKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackendKey({}, ***)", self.process)
    }
}
