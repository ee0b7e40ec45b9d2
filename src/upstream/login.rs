//! From an open stream to the first ReadyForQuery: startup packet, authentication, what the server says of itself.
//! The server is not trusted before it has proven itself, nor its lengths ever. Sends no setting of its own: sessions
//! bring theirs, and a replica's connections are given what the primary's begin with (`starts`).

use super::message::{self, Message, ServerError};
use super::scram::{Binding, KeyProof, ScramError};
use super::transport::Target;
use super::{Account, BackendKey, LeaseError, LoginProof};
use crate::config::ChannelBinding;
use crate::wire::binding::Bindable;
use crate::wire::challenge;
use crate::wire::stream::Stream;
use crate::wire::toil;
use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding as Bound, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::frontend;
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// The longest message at login, in bytes: libpq takes errors up to 30,000 and all else up to 2,000.
const MESSAGE_LIMIT: usize = 65_536;

/// How many messages a server may send at login before it is taken for broken.
const MESSAGES: usize = 1_000;

/// An authenticated connection, idle, as it came from the server.
#[derive(Debug)]
pub struct Opened {
    /// What carries it.
    pub stream: Stream,
    /// Bytes read beyond ReadyForQuery: none from a sane server.
    pub input: BytesMut,
    /// What cancels its queries.
    pub key: BackendKey,
    /// `ParameterStatus`, by name.
    pub parameters: BTreeMap<String, String>,
}

/// Connects and logs in. `parameters` are added to the startup packet after user and database: what the
/// primary starts sessions with for connections to replicas, `replication` and its like for others.
///
/// # Errors
/// The server cannot be reached in time, breaks the protocol, or refuses.
pub async fn connect(
    target: &Target,
    account: &Account,
    database: &str,
    parameters: &[(&str, &str)],
) -> Result<Opened, LeaseError> {
    let attempt = async {
        let stream = target.open().await?;
        let goes_without = target.may_go_without(&stream);
        match over(stream, target, account, database, parameters).await {
            Err(Failure::Refused { frame, unasked: true, proven }) if goes_without && is_unauthorized(&frame) => {
                // What was told on TLS is what counts if neither way leads in.
                let first = |_| Failure::Refused { frame, unasked: true, proven };
                match target.open_in_clear().await {
                    Ok(stream) => over(stream, target, account, database, parameters).await.map_err(first),
                    Err(cause) => Err(first(cause.into())),
                }
            }
            outcome => outcome,
        }
    };
    let failure = match tokio::time::timeout(target.connect_timeout, attempt).await {
        Ok(Ok(opened)) => return Ok(opened),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Broken(format!("no answer within {:?}", target.connect_timeout)),
    };
    Err(match failure {
        Failure::Broken(cause) => LeaseError::Unreachable { server: target.to_string(), cause },
        Failure::Refused { frame, proven, .. } => {
            let ServerError { sqlstate, message } = ServerError::read(frame.get(5..).unwrap_or_default());
            LeaseError::Refused { frame, sqlstate, message, proven }
        }
    })
}

async fn over(
    mut stream: Stream,
    target: &Target,
    account: &Account,
    database: &str,
    parameters: &[(&str, &str)],
) -> Result<Opened, Failure> {
    let cleartext = if target.takes_cleartext(&stream) { Cleartext::Taken } else { Cleartext::Kept };
    let channel = Channel::of(target, &stream);
    let greeting = login(&mut stream, cleartext, channel, account, database, parameters).await?;
    let Greeting { input, key, parameters } = greeting;
    Ok(Opened { stream, input, key, parameters })
}

fn is_unauthorized(frame: &[u8]) -> bool {
    ServerError::read(frame.get(5..).unwrap_or_default()).sqlstate == UNAUTHORIZED
}

/// Whether the password may be sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cleartext {
    Taken,
    Kept,
}

/// What the proof may be bound to.
#[derive(Debug)]
struct Channel {
    wanted: ChannelBinding,
    bindable: Bindable,
}

impl Channel {
    fn of(target: &Target, stream: &Stream) -> Self {
        let bindable = match target.channel_binding {
            ChannelBinding::Disable => Bindable::Nothing,
            ChannelBinding::Prefer | ChannelBinding::Require => Bindable::of_server(stream),
        };
        Channel { wanted: target.channel_binding, bindable }
    }

    /// Whether the server may do without.
    fn may_stay_unbound(&self) -> Result<(), Failure> {
        match self.wanted {
            ChannelBinding::Disable | ChannelBinding::Prefer => Ok(()),
            ChannelBinding::Require if !matches!(self.bindable, Bindable::EndPoint(_)) => {
                Err(unprovable("channel binding is required, and there is no TLS certificate to bind to"))
            }
            ChannelBinding::Require => {
                Err(unprovable("channel binding is required, and the server does not ask for a proof with it"))
            }
        }
    }
}

#[derive(Debug)]
struct Greeting {
    input: BytesMut,
    key: BackendKey,
    parameters: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Failure {
    /// The connection or the protocol.
    Broken(String),
    /// The server's ErrorResponse, or one of our own where we cannot prove what it asks.
    Refused {
        frame: Bytes,
        /// Whether the server had taken the proof before.
        proven: bool,
        /// Whether it had not even asked for one, as where no line of pg_hba.conf fits.
        unasked: bool,
    },
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        Failure::Broken(cause.to_string())
    }
}

impl From<ScramError> for Failure {
    fn from(cause: ScramError) -> Self {
        Failure::Broken(cause.to_string())
    }
}

fn broken(what: &str) -> Failure {
    Failure::Broken(what.to_owned())
}

/// SQLSTATE `invalid_authorization_specification`.
const UNAUTHORIZED: &str = "28000";

/// Why there is no login to a server that offers channel binding.
pub(super) const HASHLESS: &str = "no login can be bound to the server's certificate, whose signature names no hash (as Ed25519, RSA-PSS): \
                                   channel_binding=disable goes without";

fn unprovable(what: &str) -> Failure {
    Failure::Refused { frame: message::error_response(UNAUTHORIZED, what), proven: false, unasked: false }
}

async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    cleartext: Cleartext,
    channel: Channel,
    account: &Account,
    database: &str,
    parameters: &[(&str, &str)],
) -> Result<Greeting, Failure> {
    let mut out = BytesMut::new();
    let named = [("user", account.user.as_str()), ("database", database)];
    frontend::startup_message(named.into_iter().chain(parameters.iter().copied()), &mut out)?;
    let mut conversation =
        Conversation { stream, input: BytesMut::with_capacity(4096), messages: 0, proven: false, asked: false };
    conversation.send(&out).await?;
    conversation.authenticate(cleartext, channel, account).await?;
    conversation.proven = true;
    conversation.greeting().await
}

struct Conversation<'a, S> {
    stream: &'a mut S,
    input: BytesMut,
    messages: usize,
    proven: bool,
    /// Whether the server has said how it wants to be authenticated.
    asked: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<'_, S> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next message that is not a notice; an ErrorResponse ends the login.
    async fn hear(&mut self) -> Result<Message, Failure> {
        loop {
            self.messages += 1;
            if self.messages > MESSAGES {
                return Err(broken("the server never became ready"));
            }
            let message = message::next(self.stream, &mut self.input, MESSAGE_LIMIT).await?;
            match message.tag {
                b'N' => {}
                b'E' => {
                    let unasked = !self.asked;
                    return Err(Failure::Refused { frame: message.frame, proven: self.proven, unasked });
                }
                _ => {
                    self.asked = true;
                    return Ok(message);
                }
            }
        }
    }

    async fn hear_authentication(&mut self) -> Result<Request, Failure> {
        let message = self.hear().await?;
        let request = if message.tag == b'R' { Request::read(&message) } else { None };
        request.ok_or_else(|| broken("the server did not authenticate as PostgreSQL does"))
    }

    async fn authenticate(&mut self, cleartext: Cleartext, channel: Channel, account: &Account) -> Result<(), Failure> {
        let mut out = BytesMut::new();
        let request = self.hear_authentication().await?;
        let offers_plus = matches!(&request, Request::Sasl(mechanisms) if offers(mechanisms, SCRAM_SHA_256_PLUS));
        if !offers_plus || !matches!(channel.bindable, Bindable::EndPoint(_)) {
            channel.may_stay_unbound()?;
        }
        match request {
            Request::Done => return Ok(()),
            Request::Cleartext if cleartext == Cleartext::Kept => {
                return Err(unprovable("the server asks for a plain password on a connection without TLS"));
            }
            Request::Cleartext => frontend::password_message(password(account)?, &mut out)?,
            Request::Md5(salt) => {
                let answer = match &account.proof {
                    LoginProof::Md5Hash(hash) => challenge::answer(hash.0.trim_start_matches("md5"), salt),
                    _ => md5_hash(account.user.as_bytes(), password(account)?, salt),
                };
                frontend::password_message(answer.as_bytes(), &mut out)?;
            }
            Request::Sasl(mechanisms) => {
                let binding = match channel.bindable {
                    Bindable::EndPoint(hash) if offers_plus => Binding::EndPoint(hash),
                    // As libpq: to go without is the owner's decision, not that of whoever shows such a certificate.
                    Bindable::Hashless if offers_plus => return Err(unprovable(HASHLESS)),
                    _ if !offers(&mechanisms, SCRAM_SHA_256) => {
                        return Err(unprovable("the server offers no SASL mechanism that is known here"));
                    }
                    Bindable::EndPoint(_) | Bindable::Hashless => Binding::NotOffered,
                    Bindable::Nothing => Binding::Impossible,
                };
                return match &account.proof {
                    LoginProof::ScramKeys { client, server } => self.prove_keys(binding, client, server).await,
                    // Its password has expired, or is another by now: then PostgreSQL asks as of a user whom it does not know, and
                    // what it says to a wrong proof is what the client would be told.
                    LoginProof::Md5Hash(_) => self.prove_keys(binding, &[0; 32], &[0; 32]).await,
                    _ => self.prove_password(binding, password(account)?).await,
                };
            }
            Request::Continue(_) | Request::Final(_) => return Err(broken("SASL goes on before it began")),
            Request::Other => return Err(unprovable("the server asks for an authentication that is not known here")),
        }
        self.send(&out).await?;
        self.done().await
    }

    async fn done(&mut self) -> Result<(), Failure> {
        match self.hear_authentication().await? {
            Request::Done => Ok(()),
            _ => Err(broken("the server asks for a second authentication")),
        }
    }

    async fn prove_password(&mut self, binding: Binding, password: &[u8]) -> Result<(), Failure> {
        let mechanism = mechanism(&binding);
        let binding = match binding {
            Binding::EndPoint(hash) => Bound::tls_server_end_point(hash),
            Binding::NotOffered => Bound::unrequested(),
            Binding::Impossible => Bound::unsupported(),
        };
        let mut scram = ScramSha256::new(password, binding);
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(mechanism, scram.message(), &mut out)?;
        self.send(&out).await?;
        // The server says how many rounds of PBKDF2; postgres-protocol takes up to 100,000.
        let server_first = self.sasl_continue().await?;
        let mut scram = toil::heavy(move || scram.update(&server_first).map(|()| scram)).await?;
        out.clear();
        frontend::sasl_response(scram.message(), &mut out)?;
        self.send(&out).await?;
        scram.finish(&self.sasl_final().await?)?;
        self.done().await
    }

    async fn prove_keys(&mut self, binding: Binding, client: &[u8; 32], server: &[u8; 32]) -> Result<(), Failure> {
        let mechanism = mechanism(&binding);
        let scram = KeyProof::begin(binding)?;
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(mechanism, scram.first_message().as_bytes(), &mut out)?;
        self.send(&out).await?;
        let (message, scram) = scram.answer(&self.sasl_continue().await?, client, server)?;
        out.clear();
        frontend::sasl_response(message.as_bytes(), &mut out)?;
        self.send(&out).await?;
        scram.check(&self.sasl_final().await?)?;
        self.done().await
    }

    async fn sasl_continue(&mut self) -> Result<Vec<u8>, Failure> {
        match self.hear_authentication().await? {
            Request::Continue(data) => Ok(data),
            _ => Err(broken("the server left SASL")),
        }
    }

    /// A server that says "done" without its own proof has not shown that it knows the password, and is not believed.
    async fn sasl_final(&mut self) -> Result<Vec<u8>, Failure> {
        match self.hear_authentication().await? {
            Request::Final(data) => Ok(data),
            _ => Err(broken("the server did not prove itself")),
        }
    }

    async fn greeting(mut self) -> Result<Greeting, Failure> {
        let mut key = BackendKey { process: 0, secret: Bytes::new() };
        let mut parameters = BTreeMap::new();
        loop {
            let message = self.hear().await?;
            let mut body = message.body();
            match message.tag {
                b'S' => {
                    let (name, value) = parameter(body).ok_or_else(|| broken("a ParameterStatus is cut short"))?;
                    parameters.insert(name, value);
                }
                b'K' => {
                    let process = message::number(&mut body).ok_or_else(|| broken("a BackendKeyData is cut short"))?;
                    key = BackendKey { process, secret: Bytes::copy_from_slice(body) };
                }
                b'v' => {}
                b'Z' if body == b"I" => return Ok(Greeting { input: self.input, key, parameters }),
                _ => return Err(broken("the server said something else before it was ready")),
            }
        }
    }
}

fn offers(mechanisms: &[Vec<u8>], known: &str) -> bool {
    mechanisms.iter().any(|name| &name[..] == known.as_bytes())
}

fn mechanism(binding: &Binding) -> &'static str {
    match binding {
        Binding::EndPoint(_) => SCRAM_SHA_256_PLUS,
        Binding::NotOffered | Binding::Impossible => SCRAM_SHA_256,
    }
}

/// Name and value of a ParameterStatus body.
pub(super) fn parameter(mut body: &[u8]) -> Option<(String, String)> {
    let name = message::text(&mut body)?;
    let value = message::text(&mut body)?;
    Some((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()))
}

fn password(account: &Account) -> Result<&[u8], Failure> {
    match &account.proof {
        LoginProof::Password(secret) => Ok(secret.0.as_bytes()),
        LoginProof::ScramKeys { .. } => {
            Err(unprovable("the server asks for a password, and only SCRAM keys are known of this user"))
        }
        LoginProof::Md5Hash(_) => {
            Err(unprovable("the server asks for a password, and only an md5 hash is known of this user"))
        }
        LoginProof::Nothing => Err(unprovable(
            "the server asks for a password, and none is known of this user: a SCRAM secret does not log in by itself",
        )),
    }
}

/// What an Authentication message asks.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Done,
    Cleartext,
    Md5([u8; 4]),
    Sasl(Vec<Vec<u8>>),
    Continue(Vec<u8>),
    Final(Vec<u8>),
    Other,
}

impl Request {
    fn read(message: &Message) -> Option<Self> {
        let mut body = message.body();
        Some(match message::number(&mut body)? {
            0 => Request::Done,
            3 => Request::Cleartext,
            5 => Request::Md5(body.try_into().ok()?),
            10 => {
                let mut mechanisms = Vec::new();
                loop {
                    match message::text(&mut body)? {
                        b"" => break Request::Sasl(mechanisms),
                        name => mechanisms.push(name.to_vec()),
                    }
                }
            }
            11 => Request::Continue(body.to_vec()),
            12 => Request::Final(body.to_vec()),
            _ => Request::Other,
        })
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
