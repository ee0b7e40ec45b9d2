//! A client proves who it is, always, however warm the pool is; and the primary lets that user in. Who is unknown goes through
//! the same motions as who is known, and who fails too often waits (`throttle`). Knows what proves whom; the messages are other
//! files' (`sasl`, `challenge`), and the certificate was checked by TLS.

use super::challenge::md5;
use super::client::Client;
use super::sasl::{Proof, scram};
use super::throttle::Origin;
use super::{End, Shared};
use crate::config::users::Credential;
use crate::config::{AuthMethod, ClientAuth};
use crate::upstream::{Account, LeaseError, LoginProof};
use crate::wire::backend::Failure;
use crate::wire::scram::Verifier;
use crate::wire::stream::Stream;
use crate::wire::tls::Acceptor;
use crate::wire::{binding, challenge, toil};
use bytes::BufMut;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Bytes of a name that a log line shows; it comes from whoever can connect.
const NAME_SHOWN: usize = 64;

/// As much of a name as a log line shows.
pub(super) fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_SHOWN)]
}

/// Why a client is not taken for who it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unproven {
    /// The proof does not fit what is known of this user.
    WrongPassword,
    /// Nobody of that name may connect. The client is told the same.
    UnknownUser,
    /// It showed no certificate, where one is needed.
    NoCertificate,
    /// Its certificate is another's, or of a user who may not connect.
    OthersCertificate,
    /// Its certificate is another's, and the password was right.
    OthersCertificateBesidePassword,
    /// Nobody of that name may connect, though no proof is asked for.
    NotTrusted,
    /// After failed ones, so many proofs have come that this one was not looked at.
    TooManyFailures,
}

impl Unproven {
    /// The name in metrics and logs.
    const fn label(self) -> &'static str {
        match self {
            Unproven::WrongPassword => "wrong_password",
            Unproven::UnknownUser => "unknown_user",
            Unproven::NoCertificate => "no_certificate",
            Unproven::OthersCertificate | Unproven::OthersCertificateBesidePassword => "wrong_certificate",
            Unproven::NotTrusted => "not_trusted",
            Unproven::TooManyFailures => "too_many_failures",
        }
    }

    /// What the client is told: as `ClientAuthentication` and `auth_failed` in PostgreSQL's auth.c.
    fn told(self, user: &str) -> Failure {
        match self {
            Unproven::NoCertificate => Failure::fatal("28000", "connection requires a valid client certificate"),
            Unproven::OthersCertificate => {
                Failure::fatal("28000", format!("certificate authentication failed for user \"{user}\""))
            }
            Unproven::NotTrusted => {
                Failure::fatal("28000", format!("\"trust\" authentication failed for user \"{user}\""))
            }
            Unproven::WrongPassword | Unproven::UnknownUser | Unproven::OthersCertificateBesidePassword => {
                Failure::fatal("28P01", format!("password authentication failed for user \"{user}\""))
            }
            Unproven::TooManyFailures => {
                Failure::fatal("53400", format!("too many failed logins for user \"{user}\" from this address"))
            }
        }
    }
}

/// Lets the client prove that it is this user; gives what logs in upstream. `acceptor`: what this connection's TLS was made by.
pub(super) async fn prove(
    client: &mut Client,
    shared: &Shared,
    user: String,
    acceptor: Option<&Acceptor>,
) -> Result<Account, End> {
    match proven(client, shared, &user, acceptor).await? {
        Ok(proof) => Ok(Account { user, proof }),
        Err(why) => {
            shared.telemetry.proof_failed(why.label());
            tracing::info!(user = ?self::shown(&user), peer = ?client.stream.peer(), reason = why.label(), "a client is not let in");
            Err(why.told(&user).into())
        }
    }
}

async fn proven(
    client: &mut Client,
    shared: &Shared,
    user: &str,
    acceptor: Option<&Acceptor>,
) -> Result<Result<LoginProof, Unproven>, End> {
    let is_local = matches!(client.stream, Stream::Unix(_));
    let client_auth = acceptor.filter(|_| !is_local).map_or(ClientAuth::Off, |acceptor| acceptor.client_auth);
    let shown = binding::shown_by_client(&client.stream);
    if client_auth != ClientAuth::Off && shown.is_none() {
        return Ok(Err(Unproven::NoCertificate));
    }
    let is_named = shown.is_some_and(|shown| shown.common_name.as_deref() == Some(user));
    if client_auth == ClientAuth::Cert {
        let listed = shared.users.load().lookup(user).filter(|_| is_named).map(unaided);
        return Ok(listed.ok_or(Unproven::OthersCertificate));
    }
    let outcome = match shared.config.auth_method {
        AuthMethod::Trust => by_word(shared, user).await?,
        AuthMethod::Scram | AuthMethod::Md5 => by_password(client, shared, user, acceptor).await?,
    };
    Ok(match outcome {
        Ok(_) if client_auth == ClientAuth::VerifyFull && !is_named => Err(Unproven::OthersCertificateBesidePassword),
        outcome => outcome,
    })
}

/// What is known of this user beside what it would prove here.
fn unaided(credential: &Credential) -> LoginProof {
    match credential {
        Credential::Password(password) => LoginProof::Password(password.clone()),
        Credential::Md5(hash) => LoginProof::Md5Hash(hash.clone()),
        Credential::Scram(_) => LoginProof::Nothing,
    }
}

/// What is known of a user; nothing of who may not connect.
async fn known(shared: &Shared, user: &str) -> Result<Option<Credential>, End> {
    let listed = shared.users.load().lookup(user).cloned();
    match listed {
        Some(listed) => Ok(Some(listed)),
        None => shared.common.secrets.of(shared, user).await,
    }
}

/// Whoever can connect is trusted; still it must be a user who may.
async fn by_word(shared: &Shared, user: &str) -> Result<Result<LoginProof, Unproven>, End> {
    let own = shared.upstream.own_account();
    // Before anything is asked, in case another file is read meanwhile.
    let is_listed = shared.users.load().is_listed();
    Ok(match known(shared, user).await? {
        Some(credential) => Ok(unaided(&credential)),
        None if own.user == user && !is_listed => Ok(own.proof.clone()),
        None => Err(Unproven::NotTrusted),
    })
}

async fn by_password(
    client: &mut Client,
    shared: &Shared,
    user: &str,
    acceptor: Option<&Acceptor>,
) -> Result<Result<LoginProof, Unproven>, End> {
    let longest_wait = {
        let live = shared.upstream.live();
        live.auth_failure_delay.min(live.auth_timeout / 2)
    };
    let mut attempt = shared.common.throttle.attempt(Origin::of(&client.stream), user, longest_wait);
    attempt.turn().await;
    // An unknown user goes through the same motions as others, so that nothing tells that it is unknown (as
    // `mock_scram_secret` in PostgreSQL's auth-scram.c).
    let proof = match (shared.config.auth_method, known(shared, user).await?) {
        (AuthMethod::Md5, Some(Credential::Password(password))) => {
            let kept = challenge::kept(user, &password.0);
            md5(client, Some(&kept), &mut attempt).await?.teaches(|()| LoginProof::Password(password))
        }
        (AuthMethod::Md5, Some(Credential::Md5(hash))) => {
            md5(client, hash.0.strip_prefix("md5"), &mut attempt).await?.teaches(|()| LoginProof::Md5Hash(hash))
        }
        (AuthMethod::Md5, None) => md5(client, None, &mut attempt).await?.unknown(),
        (_, Some(Credential::Password(password))) => {
            let verifier = shared.common.verifiers.of_password(user, &password.0).await;
            let proof = scram(client, verifier, acceptor, &mut attempt).await?;
            proof.teaches(|_| LoginProof::Password(password))
        }
        (_, Some(Credential::Scram(secret))) => {
            let server = secret.server_key;
            let verifier = Verifier {
                iterations: secret.iterations,
                salt: secret.salt,
                stored_key: secret.stored_key,
                server_key: secret.server_key,
            };
            let proof = scram(client, verifier, acceptor, &mut attempt).await?;
            proof.teaches(|client| LoginProof::ScramKeys { client, server })
        }
        // An md5 hash proves nothing in SCRAM.
        (_, Some(Credential::Md5(_)) | None) => {
            scram(client, shared.common.verifiers.mock(user), acceptor, &mut attempt).await?.unknown()
        }
    };
    match proof {
        Ok(_) => attempt.proven(),
        // The secret may have been changed since it was asked for.
        Err(Unproven::WrongPassword | Unproven::UnknownUser) => shared.common.secrets.doubt(user),
        Err(_) => {}
    }
    Ok(proof)
}

impl<T> Proof<T> {
    fn teaches(self, proof: impl FnOnce(T) -> LoginProof) -> Result<LoginProof, Unproven> {
        match self {
            Proof::Right(taught) => Ok(proof(taught)),
            Proof::Wrong => Err(Unproven::WrongPassword),
            Proof::TooMany => Err(Unproven::TooManyFailures),
        }
    }

    /// Of a user of whom nothing is known.
    fn unknown(self) -> Result<LoginProof, Unproven> {
        match self {
            Proof::Right(_) | Proof::Wrong => Err(Unproven::UnknownUser),
            Proof::TooMany => Err(Unproven::TooManyFailures),
        }
    }
}

/// The end of a client that has left while it waited.
pub(super) fn gone() -> End {
    End::Client(std::io::ErrorKind::ConnectionReset.into())
}

/// As `ProcessInterrupts` in postgres.c.
pub(super) fn too_late() -> End {
    Failure::fatal("57014", "canceling authentication due to timeout").into()
}

/// Lets PostgreSQL say that it lets this user in, in the time that a login may take, and after a pause.
pub(super) async fn admit(client: &mut Client, shared: &Shared, account: &Account, database: &str) -> Result<(), End> {
    let upstream = &shared.upstream;
    let admitted = async {
        loop {
            let was_paused = upstream.is_paused();
            let limit = upstream.live().auth_timeout;
            let admitted = upstream.admit(account, database, shared.config.auth_refresh);
            match tokio::time::timeout(limit, admitted).await {
                // How long an operator pauses is no fault of the client's.
                Err(_) if was_paused || upstream.is_paused() => {}
                outcome => break outcome,
            }
        }
    };
    let admitted = tokio::select! {
        biased;
        admitted = admitted => admitted.map_err(|_| too_late())?,
        () = client.left() => return Err(gone()),
    };
    match admitted {
        Ok(()) => Ok(()),
        Err(LeaseError::Refused { frame, sqlstate, message, .. }) => {
            shared.common.secrets.doubt(&account.user);
            client.output.put_slice(&frame);
            client.flush().await?;
            Err(End::Refused(format!("{message} ({sqlstate})").into()))
        }
        Err(error) => Err(Failure::fatal("08006", error.to_string()).into()),
    }
}

/// Verifiers of users whose passwords are known, derived once, and of those that do not exist.
#[derive(Debug)]
pub struct Verifiers {
    known: Mutex<HashMap<(String, String), Verifier>>,
    /// Who holds it derives, and of many who wait for one name the first does.
    deriving: tokio::sync::Mutex<()>,
    secret: [u8; 32],
}

impl Default for Verifiers {
    fn default() -> Self {
        let mut secret = [0; 32];
        super::cancel::random(&mut secret);
        Verifiers { known: Mutex::default(), deriving: Default::default(), secret }
    }
}

impl Verifiers {
    async fn of_password(&self, user: &str, password: &str) -> Verifier {
        let key = (user.to_owned(), password.to_owned());
        let known = || self.known.lock().get(&key).cloned();
        if let Some(known) = known() {
            return known;
        }
        let _deriving = self.deriving.lock().await;
        if let Some(known) = known() {
            return known;
        }
        let mut salt = vec![0; 16];
        super::cancel::random(&mut salt);
        let owned = password.to_owned();
        let verifier = toil::heavy(move || Verifier::derive(&owned, salt)).await;
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
