//! From the first byte to the greeting: TLS, cancel requests, the startup message, the client's proof, and the parameters
//! that the primary itself would report to this client.

use super::cancel::{Registration, Who};
use super::client::Client;
use super::console::{self, Entry};
use super::exchange::Held;
use super::floor::Seen;
use super::limits::Silence;
use super::own;
use super::plans::Recent;
use super::portal::Statements;
use super::settings::{Baseline, Settings, split_identifiers};
use super::{Block, End, Session, Shared, shutting_down};
use crate::catalog::CatalogVersion;
use crate::config::users::Credential;
use crate::types::Moment;
use crate::upstream::{Account, LeaseError, LoginProof};
use crate::wire::backend::{Failure, put_frame, put_parameter, put_ready};
use crate::wire::frame::{HEADER, header};
use crate::wire::scram::{Exchange, Verifier};
use crate::wire::startup::{First, Startup, first};
use crate::wire::stream::Stream;
use crate::wire::tls::{self, Negotiation};
use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// The first byte of a TLS record: a client that negotiates TLS directly.
const TLS_HANDSHAKE: u8 = 0x16;

/// The longest message that a client may send while it proves itself.
const AUTH_LIMIT: usize = 8 * 1024;

/// Bytes of a cancel secret in protocol 3.2.
const LONG_SECRET: usize = 32;

/// How long a greeting may be given to further clients without asking the primary.
const GREETING_AGE: Duration = Duration::from_secs(60);

/// Greetings kept; past it they are asked anew.
const GREETINGS_KEPT: usize = 1_024;

/// What became of a new connection.
pub enum Started {
    /// The client has proven itself.
    Session(Box<Seed>),
    /// An operator, who has proven who he is.
    Operator(Registration),
    /// A cancel request, or a client that left.
    Ended,
}

/// An authenticated client, before it was greeted.
pub struct Seed {
    startup: Startup,
    user: String,
    database: String,
    account: Account,
}

/// What a client of one user, database and set of parameters is told at the start.
#[derive(Debug, Default)]
pub struct Greeting {
    parameters: BTreeMap<String, String>,
    baseline: Arc<Baseline>,
    made: Moment,
    catalog: CatalogVersion,
}

type GreetingKey = (String, String, Vec<(String, String)>);

/// Greetings by what they depend on.
#[derive(Debug, Default)]
pub struct Greetings(Mutex<HashMap<GreetingKey, Arc<Greeting>>>);

fn gone() -> End {
    End::Client(io::ErrorKind::UnexpectedEof.into())
}

/// Reads the first messages and lets the client prove itself, within the time allowed.
pub async fn start(client: &mut Client, shared: &Arc<Shared>, has_seat: bool) -> Result<Started, End> {
    let proven = tokio::time::timeout(shared.upstream.live().auth_timeout, negotiate(client, shared, has_seat));
    tokio::select! {
        started = proven => {
            started.unwrap_or_else(|_| Err(Failure::fatal("57014", "canceling authentication due to timeout").into()))
        }
        // Who has not proven anything has nothing to finish.
        () = shared.stop_newcomers.cancelled() => Err(shutting_down()),
    }
}

async fn negotiate(client: &mut Client, shared: &Arc<Shared>, has_seat: bool) -> Result<Started, End> {
    let mut is_encrypted = !matches!(client.stream, Stream::Tcp(_));
    let is_local = matches!(client.stream, Stream::Unix(_));
    loop {
        if client.input.is_empty() && !client.read().await? {
            return Ok(Started::Ended);
        }
        if !is_encrypted && client.input[0] == TLS_HANDSHAKE {
            return Err(Failure::fatal("08P01", "direct TLS is not available on this listener").into());
        }
        let (message, length) = loop {
            match first(&client.input)? {
                Some(message) => break message,
                None if !client.read().await? => return Ok(Started::Ended),
                None => {}
            }
        };
        client.input.advance(length);
        match message {
            First::Ssl if !is_encrypted && shared.tls.load().is_some() => {
                // What came behind the request was sent in plain text: taken for something sent inside, it would be an
                // attacker's (CVE-2021-23214).
                if !client.input.is_empty() {
                    return Err(Failure::fatal("08P01", "received unencrypted data after SSL request").into());
                }
                client.stream.write_all(b"S").await?;
                encrypt(client, shared).await?;
                is_encrypted = true;
            }
            First::Ssl | First::Gss => client.stream.write_all(b"N").await?,
            First::Cancel { process, secret } => {
                shared.common.cancels.cancel(&shared.upstream, process, &secret).await;
                return Ok(Started::Ended);
            }
            First::Startup(startup) if !has_seat && !is_operator(shared, &startup, is_local) => {
                return Err(Failure::fatal("53300", "sorry, too many clients already").into());
            }
            First::Startup(startup) => {
                let required = shared.upstream.live().tls_required;
                if required && !is_encrypted && !is_local {
                    return Err(Failure::fatal("28000", "this server requires TLS").into());
                }
                return authenticate(client, shared, startup).await;
            }
        }
    }
}

/// Operators are let in however many clients there are: they come to see why.
fn is_operator(shared: &Shared, startup: &Startup, is_local: bool) -> bool {
    let user = startup.parameter("user").unwrap_or_default();
    console::entry(shared, user, startup.parameter("database").unwrap_or(user), is_local) == Entry::Operator
}

async fn encrypt(client: &mut Client, shared: &Shared) -> Result<(), End> {
    let Some(acceptor) = shared.tls.load_full() else {
        return Err(Failure::fatal("08P01", "TLS was switched off meanwhile").into());
    };
    // The stream is replaced by the one around it; until then a closed one stands in its place.
    let (closed, _) = tokio::net::UnixStream::pair()?;
    match std::mem::replace(&mut client.stream, Stream::Unix(closed)) {
        Stream::Tcp(tcp) => {
            client.stream = tls::accept(&acceptor, tcp, Negotiation::Requested).await?;
            Ok(())
        }
        other => {
            client.stream = other;
            Err(Failure::fatal("08P01", "TLS is negotiated once").into())
        }
    }
}

async fn authenticate(client: &mut Client, shared: &Arc<Shared>, startup: Startup) -> Result<Started, End> {
    if let Some(negotiation) = startup.negotiation() {
        client.output.extend_from_slice(&negotiation);
    }
    let user = match startup.parameter("user") {
        Some(user) if !user.is_empty() => user.to_owned(),
        _ => return Err(Failure::fatal("28000", "no PostgreSQL user name specified in startup packet").into()),
    };
    let database = match startup.parameter("database") {
        Some(database) if !database.is_empty() => database.to_owned(),
        _ => user.clone(),
    };
    let credential = shared.users.load().lookup(&user).cloned();
    let verifier = match &credential {
        Some(Credential::Password(password)) => shared.common.verifiers.of_password(&user, &password.0),
        Some(Credential::Scram(secret)) => Verifier {
            iterations: secret.iterations,
            salt: secret.salt.clone(),
            stored_key: secret.stored_key,
            server_key: secret.server_key,
        },
        // An unknown user goes through the same motions, so that nothing tells that it is unknown.
        None => shared.common.verifiers.mock(&user),
    };
    let server_key = verifier.server_key;
    let failed = || Failure::fatal("28P01", format!("password authentication failed for user \"{user}\""));
    let client_key = match scram(client, verifier).await? {
        Some(client_key) if credential.is_some() => client_key,
        _ => return Err(failed().into()),
    };
    let proof = match credential {
        Some(Credential::Password(password)) => LoginProof::Password(password),
        _ => LoginProof::ScramKeys { client: client_key, server: server_key },
    };
    match console::entry(shared, &user, &database, matches!(client.stream, Stream::Unix(_))) {
        Entry::Operator => {
            let who = Who::new(&user, database.into(), &client.stream);
            let length = if startup.spoken_minor() >= 2 { LONG_SECRET } else { 4 };
            return Ok(Started::Operator(shared.common.cancels.register(length, who)));
        }
        Entry::Refused => {
            let text = format!("user \"{user}\" is not among admin_users");
            return Err(Failure::fatal("28000", text).into());
        }
        Entry::Elsewhere => {}
    }
    let account = Account { user: user.clone(), proof };
    Ok(Started::Session(Box::new(Seed { startup, user, database, account })))
}

/// Runs the exchange; `None` if the proof is wrong.
async fn scram(client: &mut Client, verifier: Verifier) -> Result<Option<[u8; 32]>, End> {
    put_frame(&mut client.output, b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    client.flush().await?;
    let malformed = || End::from(Failure::fatal("08P01", "malformed SASL message"));
    let body = read_proof(client).await?;
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
    if &body[..end] != b"SCRAM-SHA-256" {
        let text = "client selected an invalid SASL authentication mechanism";
        return Err(Failure::fatal("08P01", text).into());
    }
    let (length, message) = body[end + 1..].split_first_chunk::<4>().ok_or_else(malformed)?;
    if u32::from_be_bytes(*length) as usize != message.len() {
        return Err(malformed());
    }
    let Ok((exchange, server_first)) = Exchange::begin(verifier, message) else { return Err(malformed()) };
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

/// Startup parameters that are settings, `options` taken apart.
///
/// # Errors
/// `options` holds a switch other than `-c name=value` and `--name=value`.
fn setting_parameters(startup: &Startup) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for (name, value) in &startup.parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => all.extend(options(value)?),
            _ => all.push((name.clone(), value.clone())),
        }
    }
    Ok(all)
}

/// As `pg_split_opts` in postinit.c: words by white space, a backslash keeps the next character.
fn options(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let mut all = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--") {
            Some(long) => Some(long.to_owned()),
            None if word == "-c" => words.next(),
            None => word.strip_prefix("-c").map(str::to_owned),
        };
        let pair = setting.as_deref().and_then(|setting| setting.split_once('='));
        let Some((name, value)) = pair else {
            let text = format!("invalid command-line argument for server process: {word}");
            return Err(Failure::fatal("42601", text));
        };
        all.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(all)
}

/// Greets the client: from here on it is a session. Gives the client back with what went wrong.
pub(super) async fn open(client: Client, shared: &Arc<Shared>, seed: Seed) -> Result<Session, Box<(Client, End)>> {
    let replication = seed.startup.parameter("replication");
    if replication.is_some_and(|value| !matches!(value, "false" | "off" | "no" | "0")) {
        let text = "replication connections are not relayed: connect to the primary itself";
        return Err(Box::new((client, Failure::fatal("0A000", text).into())));
    }
    let started = setting_parameters(&seed.startup).and_then(|mut parameters| {
        let levels = own::start(&mut parameters, shared.upstream.live().consistency)?;
        Ok((parameters, levels))
    });
    let (parameters, levels) = match started {
        Ok(started) => started,
        Err(failure) => return Err(Box::new((client, failure.into()))),
    };
    let long = seed.startup.spoken_minor() >= 2;
    let database: Arc<str> = seed.database.into();
    let who = Who::new(&seed.user, Arc::clone(&database), &client.stream);
    let mut session = Session {
        shared: Arc::clone(shared),
        client,
        settings: Settings::new(&seed.user, &parameters, Arc::default()),
        heard: *database == *shared.upstream.own_database(),
        database,
        account: Arc::new(seed.account),
        greeted: Default::default(),
        inputs: Vec::new(),
        names: Arc::default(),
        status: b'I',
        block: Block::Clean,
        wrote: false,
        unlearned: false,
        touched_catalog: false,
        levels,
        seen: Seen::default(),
        pins: BTreeSet::new(),
        held: None,
        skipping: false,
        statements: Statements::default(),
        recent: Recent::default(),
        key: Vec::new(),
        registration: shared.common.cancels.register(if long { LONG_SECRET } else { 4 }, who),
        silence: Silence::default(),
        is_new: true,
        stop: Box::pin(shared.stop_newcomers.child_token().cancelled_owned()),
    };
    match session.greet().await {
        Ok(()) => Ok(session),
        Err(end) => Err(Box::new((session.client, end))),
    }
}

impl Session {
    async fn greet(&mut self) -> Result<(), End> {
        let defaults = self.shared.upstream.defaults();
        let greeting = self.greeting().await?;
        self.greeted = (Arc::clone(&greeting), defaults);
        self.settings.rest_on(Arc::clone(&greeting.baseline));
        self.settings_changed();
        let out = &mut self.client.output;
        put_frame(out, b'R', &0u32.to_be_bytes());
        for (name, value) in &greeting.parameters {
            match name.as_str() {
                // These differ between sessions that share a greeting.
                "application_name" => {}
                _ => put_parameter(out, name, value),
            }
        }
        let application = self.settings.current().get("application_name");
        let application = application.and_then(|setting| setting.values.first()).map_or("", String::as_str);
        put_parameter(out, "application_name", application);
        let mut key = self.registration.process.to_be_bytes().to_vec();
        key.extend_from_slice(&self.registration.secret);
        put_frame(out, b'K', &key);
        put_ready(out, b'I');
        self.client.flush().await?;
        Ok(())
    }

    /// What the role or the database gives its sessions has changed, and connections opened from now on have it: so has
    /// this session, and the client is told of the parameters that it would be told of.
    pub(super) async fn take_over_defaults(&mut self) -> Result<(), End> {
        let defaults = self.shared.upstream.defaults();
        let start = self.settings.at_start();
        let mine = std::mem::replace(&mut self.settings, start);
        let greeting = self.greeting().await;
        self.settings = mine;
        let greeting = greeting?;
        let before = std::mem::replace(&mut self.greeted, (Arc::clone(&greeting), defaults)).0;
        for (name, value) in &greeting.parameters {
            if name != "application_name" && before.parameters.get(name) != Some(value) && !self.settings.sets(name) {
                put_parameter(&mut self.client.output, name, value);
            }
        }
        self.settings.rest_on(Arc::clone(&greeting.baseline));
        self.settings_changed();
        Ok(())
    }

    async fn greeting(&mut self) -> Result<Arc<Greeting>, End> {
        let parameters: Vec<_> = self
            .settings
            .current()
            .iter()
            .filter(|(name, _)| *name != "application_name")
            .map(|(name, setting)| (name.clone(), setting.replay.to_string()))
            .collect();
        let key = (self.account.user.clone(), self.database.to_string(), parameters);
        let catalog = self.shared.catalog.load().version;
        if let Some(known) = self.shared.common.greetings.0.lock().get(&key)
            && known.catalog == catalog
            && Moment::now().since(known.made) < GREETING_AGE
        {
            return Ok(Arc::clone(known));
        }
        let made = Moment::now();
        let greeting = self.ask_greeting(made, catalog).await?;
        let mut greetings = self.shared.common.greetings.0.lock();
        if greetings.len() >= GREETINGS_KEPT {
            greetings.clear();
        }
        let greeting = Arc::new(greeting);
        greetings.insert(key, Arc::clone(&greeting));
        Ok(greeting)
    }

    /// Takes a connection of the primary's, with this session's settings, and looks at what it reports.
    async fn ask_greeting(&mut self, made: Moment, catalog: CatalogVersion) -> Result<Greeting, End> {
        let primary = Arc::clone(self.shared.upstream.primary());
        let leased = tokio::select! {
            leased = primary.lease(&self.account, &self.database) => leased,
            () = self.shared.stop_newcomers.cancelled() => return Err(shutting_down()),
        };
        let lease = match leased {
            Ok(lease) => lease,
            Err(LeaseError::Refused { frame, .. }) => {
                self.client.output.put_slice(&frame);
                self.client.flush().await?;
                return Err(End::Closed);
            }
            Err(LeaseError::Saturated(waited)) => {
                let text = format!("no server connection became free within {waited:?}: the pool is saturated");
                return Err(Failure::fatal("53300", text).into());
            }
            Err(error @ LeaseError::Unreachable { .. }) => {
                return Err(Failure::fatal("08006", error.to_string()).into());
            }
        };
        self.held = Some(Held::new(lease));
        self.put_settings().await?;
        let rows = self
            .ask(
                "SELECT pg_catalog.current_setting('search_path'), \
                 pg_catalog.current_setting('default_transaction_isolation'), \
                 pg_catalog.current_setting('standard_conforming_strings'), \
                 pg_catalog.current_setting('default_transaction_read_only'), \
                 pg_catalog.pg_client_encoding()",
            )
            .await?;
        let text = |index| rows.as_ref().and_then(|row| crate::wire::backend::column(row, index)).unwrap_or_default();
        let baseline = Baseline {
            search_path: split_identifiers(&String::from_utf8_lossy(text(0))),
            read_committed: text(1) == b"read committed",
            standard_strings: text(2) == b"on",
            read_write: text(3) == b"off",
            utf8: text(4) == b"UTF8",
        };
        let Some(held) = self.held.take() else { return Err(End::Closed) };
        let parameters = held.lease.parameters.clone();
        held.lease.release();
        Ok(Greeting { parameters, baseline: Arc::new(baseline), made, catalog })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_apart_as_postgresql_does() {
        let pairs = options(r"-c geqo=off --work-mem=4MB -cx.y=a\ b").unwrap();
        let expected = [("geqo", "off"), ("work_mem", "4MB"), ("x.y", "a b")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(options("-d 5").unwrap_err().sqlstate, "42601");
    }
}
