//! A client proves who it is, always, however warm the pool is; and the primary lets that user in. Who is unknown goes through
//! the same motions as who is known, and who fails too often waits (`throttle`). The messages are another file's (`sasl`).

use super::client::Client;
use super::sasl::{Proof, scram};
use super::throttle::{Attempt, Origin, TooMany};
use super::{End, Shared};
use crate::config::users::Credential;
use crate::upstream::{Account, LeaseError, LoginProof};
use crate::wire::backend::Failure;
use crate::wire::scram::{EndPoint, Verifier};
use crate::wire::toil;
use bytes::BufMut;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Bytes of a name that a log line shows; it comes from whoever can connect.
const NAME_SHOWN: usize = 64;

/// Why a client is not taken for who it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unproven {
    /// The proof does not fit what is known of this user.
    WrongPassword,
    /// Nobody of that name may connect. The client is told the same.
    UnknownUser,
    /// So many attempts wait already, after failed ones, that this one was not looked at.
    TooManyFailures,
}

impl Unproven {
    /// The name in metrics and logs.
    const fn label(self) -> &'static str {
        match self {
            Unproven::WrongPassword => "wrong_password",
            Unproven::UnknownUser => "unknown_user",
            Unproven::TooManyFailures => "too_many_failures",
        }
    }

    /// What the client is told.
    fn told(self, user: &str) -> Failure {
        match self {
            Unproven::WrongPassword | Unproven::UnknownUser => {
                Failure::fatal("28P01", format!("password authentication failed for user \"{user}\""))
            }
            Unproven::TooManyFailures => {
                Failure::fatal("53400", format!("too many failed logins for user \"{user}\" from this address"))
            }
        }
    }
}

/// Lets the client prove that it is this user; gives what logs in upstream. `end_point`: of this connection's TLS.
pub(super) async fn prove(
    client: &mut Client,
    shared: &Shared,
    user: String,
    end_point: Option<&EndPoint>,
) -> Result<Account, End> {
    let live = shared.upstream.live();
    let longest_wait = live.auth_failure_delay.min(live.auth_timeout / 2);
    let mut attempt = shared.common.throttle.attempt(Origin::of(&client.stream), &user, longest_wait);
    match by_password(client, shared, &user, end_point, &mut attempt).await? {
        Ok(proof) => {
            attempt.proven();
            Ok(Account { user, proof })
        }
        Err(why) => {
            shared.telemetry.proof_failed(why.label());
            let shown = &user[..user.floor_char_boundary(NAME_SHOWN)];
            tracing::info!(user = ?shown, peer = ?client.stream.peer(), reason = why.label(), "a client is not let in");
            Err(why.told(&user).into())
        }
    }
}

async fn by_password(
    client: &mut Client,
    shared: &Shared,
    user: &str,
    end_point: Option<&EndPoint>,
    attempt: &mut Attempt<'_>,
) -> Result<Result<LoginProof, Unproven>, End> {
    if let Err(TooMany) = attempt.turn().await {
        return Ok(Err(Unproven::TooManyFailures));
    }
    let listed = shared.users.load().lookup(user).cloned();
    let credential = match listed {
        Some(listed) => Some(listed),
        None => shared.common.secrets.of(shared, user).await?.map(Credential::Scram),
    };
    let verifier = match &credential {
        Some(Credential::Password(password)) => shared.common.verifiers.of_password(user, &password.0).await,
        Some(Credential::Scram(secret)) => Verifier {
            iterations: secret.iterations,
            salt: secret.salt.clone(),
            stored_key: secret.stored_key,
            server_key: secret.server_key,
        },
        // An unknown user goes through the same motions, so that nothing tells that it is unknown (as
        // `mock_scram_secret` in PostgreSQL's auth-scram.c).
        None => shared.common.verifiers.mock(user),
    };
    let server_key = verifier.server_key;
    let client_key = match scram(client, verifier, end_point, attempt).await? {
        Proof::Right(client_key) => client_key,
        Proof::TooMany => return Ok(Err(Unproven::TooManyFailures)),
        Proof::Wrong => {
            // The secret may have been changed since it was asked for.
            shared.common.secrets.doubt(user);
            return Ok(Err(credential.map_or(Unproven::UnknownUser, |_| Unproven::WrongPassword)));
        }
    };
    Ok(match credential {
        Some(Credential::Password(password)) => Ok(LoginProof::Password(password)),
        Some(Credential::Scram(_)) => Ok(LoginProof::ScramKeys { client: client_key, server: server_key }),
        None => Err(Unproven::UnknownUser),
    })
}

/// Lets PostgreSQL say that it lets this user in.
pub(super) async fn admit(client: &mut Client, shared: &Shared, account: &Account, database: &str) -> Result<(), End> {
    match shared.upstream.admit(account, database, shared.config.auth_refresh).await {
        Ok(()) => Ok(()),
        Err(LeaseError::Refused { frame, .. }) => {
            shared.common.secrets.doubt(&account.user);
            client.output.put_slice(&frame);
            client.flush().await?;
            Err(End::Closed)
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
