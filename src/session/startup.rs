//! From the first byte to the greeting: TLS, cancel requests, the startup message, the client's proof, and the parameters
//! that the primary itself would report to this client.

use super::cancel::{Registration, Who};
use super::client::Client;
use super::compose::Side;
use super::console::{self, Entry};
use super::encryption::{encrypt, negotiates_directly, nothing_behind};
use super::exchange::Held;
use super::floor::Seen;
use super::flow::Flow;
use super::limits::Silence;
use super::own;
use super::plans::Recent;
use super::portal::Statements;
use super::settings::{Baseline, NO_ROLE, Settings};
use super::stop::Stop;
use super::{Block, Caller, End, Session, Shared, application, proof, replicate, shutting_down};
use crate::catalog::CatalogVersion;
use crate::route::plan::Encoding;
use crate::sql::list::identifiers;
use crate::types::Moment;
use crate::upstream::{Account, Lease, LeaseError};
use crate::wire::backend::{Failure, put_frame, put_notice, put_parameter, put_ready};
use crate::wire::startup::{First, Startup, asked_again, first};
use crate::wire::stream::Stream;
use crate::wire::tls::{Acceptor, Negotiation};
use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// Bytes of a cancel secret in protocol 3.0, and of ours in 3.2.
const SHORT_SECRET: usize = 4;
const LONG_SECRET: usize = 32;

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
    pub(super) startup: Startup,
    user: String,
    pub(super) database: String,
    pub(super) account: Account,
}

/// What a client of one user, database and set of parameters is told at the start.
#[derive(Debug, Default)]
pub struct Greeting {
    parameters: BTreeMap<String, String>,
    baseline: Arc<Baseline>,
    made: Moment,
    catalog: CatalogVersion,
}

/// How long a greeting is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Nothing has been asked for yet.
    ClientLeaves,
    /// What was asked for is owed, though the client has left.
    Had,
}

type GreetingKey = (String, String, Vec<(String, String)>);

/// Greetings by what they depend on.
#[derive(Debug, Default)]
pub struct Greetings(Mutex<HashMap<GreetingKey, Arc<Greeting>>>);

/// Reads the first messages and lets the client prove itself, within the time allowed.
pub(super) async fn start(
    client: &mut Client,
    shared: &Arc<Shared>,
    has_seat: bool,
    caller: &mut Caller,
) -> Result<Started, End> {
    let limit = shared.upstream.live().auth_timeout;
    let started = async {
        let proven = tokio::time::timeout(limit, negotiate(client, shared, has_seat, caller)).await;
        let started = proven.unwrap_or_else(|_| Err(proof::too_late()))?;
        // Replication gets a connection of its own, whose login says as much.
        if let Started::Session(seed) = &started
            && !replicate::is_asked(&seed.startup)
        {
            proof::admit(client, shared, &seed.account, &seed.database).await?;
        }
        Ok(started)
    };
    tokio::select! {
        started = started => started,
        // Who has not proven anything has nothing to finish.
        () = shared.stop_newcomers.cancelled() => Err(shutting_down()),
    }
}

async fn negotiate(
    client: &mut Client,
    shared: &Arc<Shared>,
    has_seat: bool,
    caller: &mut Caller,
) -> Result<Started, End> {
    // The same from handshake to channel binding, whatever is reloaded meanwhile.
    let acceptor = shared.tls.load_full();
    let is_direct = negotiates_directly(client).await?;
    if is_direct {
        encrypt(client, acceptor.as_deref(), Negotiation::Direct).await?;
    }
    let mut is_encrypted = !matches!(client.stream, Stream::Tcp(_));
    let is_local = matches!(client.stream, Stream::Unix(_));
    // Each kind of encryption may be asked for once; a client may try both, in either order.
    let (mut ssl_settled, mut gss_settled) = (false, false);
    loop {
        if client.input.is_empty() && !client.read().await? {
            return Ok(Started::Ended);
        }
        let (message, length) = loop {
            match first(&client.input)? {
                Some(message) => break message,
                None if !client.read().await? => return Ok(Started::Ended),
                None => {}
            }
        };
        client.input.advance(length);
        if let First::Startup(startup) = &message {
            let parameter = |name: &str| startup.parameter(name).filter(|value| !value.is_empty());
            let user = parameter("user").unwrap_or_default();
            (caller.user, caller.database) = (user.to_owned(), parameter("database").unwrap_or(user).to_owned());
        }
        match message {
            First::Ssl if ssl_settled => return Err(asked_again(&message).into()),
            First::Gss if gss_settled => return Err(asked_again(&message).into()),
            First::Ssl if !is_encrypted && acceptor.is_some() => {
                nothing_behind(client, "SSL")?;
                client.stream.write_all(b"S").await?;
                encrypt(client, acceptor.as_deref(), Negotiation::Requested).await?;
                (is_encrypted, ssl_settled, gss_settled) = (true, true, true);
            }
            First::Ssl => {
                client.stream.write_all(b"N").await?;
                nothing_behind(client, "SSL")?;
                ssl_settled = true;
            }
            First::Gss => {
                client.stream.write_all(b"N").await?;
                nothing_behind(client, "GSSAPI encryption")?;
                gss_settled = true;
            }
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
                return authenticate(client, shared, startup, acceptor.as_deref(), caller).await;
            }
        }
    }
}

/// Operators are let in however many clients there are: they come to see why.
fn is_operator(shared: &Shared, startup: &Startup, is_local: bool) -> bool {
    let user = startup.parameter("user").unwrap_or_default();
    console::entry(shared, user, startup.parameter("database").unwrap_or(user), is_local) == Entry::Operator
}

async fn authenticate(
    client: &mut Client,
    shared: &Arc<Shared>,
    startup: Startup,
    acceptor: Option<&Acceptor>,
    caller: &mut Caller,
) -> Result<Started, End> {
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
    let account = proof::prove(client, shared, user.clone(), acceptor).await.inspect_err(|end| {
        let by_proof = |failure: &Failure| matches!(failure.sqlstate, "28P01" | "28000" | "53400");
        caller.is_said = matches!(end, End::Failure(failure) if by_proof(failure));
    })?;
    match console::entry(shared, &user, &database, matches!(client.stream, Stream::Unix(_))) {
        Entry::Operator => {
            let who = Who::new(&user, database.into(), &client.stream);
            return Ok(Started::Operator(shared.common.cancels.register(secret_length(&startup), who)));
        }
        Entry::Refused => {
            let text = format!("user \"{user}\" is not among admin_users");
            return Err(Failure::fatal("28000", text).into());
        }
        Entry::Elsewhere => {}
    }
    Ok(Started::Session(Box::new(Seed { startup, user, database, account })))
}

/// Startup parameters that are settings. The last `options`, taken apart, come first: whatever has a parameter of its own counts for more
/// (`process_startup_options` in postinit.c).
///
/// # Errors
/// `options` holds a switch other than `-c name=value`, `--name=value` and `-e`.
fn setting_parameters(startup: &Startup) -> Result<Vec<(String, String)>, Failure> {
    let of_options = startup.parameters.iter().rev().find(|(name, _)| name == "options");
    let mut all = of_options.map_or_else(|| Ok(Vec::new()), |(_, value)| options(value))?;
    let is_setting = |name: &str| !matches!(name, "user" | "database" | "replication" | "options");
    all.extend(startup.parameters.iter().filter(|(name, _)| is_setting(name)).cloned());
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
            c if c.is_ascii_whitespace() || c == '\u{b}' => words.extend(word.take()),
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
            None if word == "-e" => Some("datestyle=euro".to_owned()),
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

/// Bytes of the secret that this client's cancel requests carry.
pub(super) fn secret_length(startup: &Startup) -> usize {
    if startup.spoken_minor() >= 2 { LONG_SECRET } else { SHORT_SECRET }
}

/// Greets the client: from here on it is a session. Gives the client back with what went wrong.
pub(super) async fn open(client: Client, shared: &Arc<Shared>, seed: Seed) -> Result<Session, Box<(Client, End)>> {
    let started = setting_parameters(&seed.startup).and_then(|mut parameters| {
        let levels = own::start(&mut parameters, shared.upstream.live().consistency)?;
        Ok((parameters, levels))
    });
    let (parameters, levels) = match started {
        Ok(started) => started,
        Err(failure) => return Err(Box::new((client, failure.into()))),
    };
    let database: Arc<str> = seed.database.into();
    let who = Who::new(&seed.user, Arc::clone(&database), &client.stream);
    let registration = shared.common.cancels.register(secret_length(&seed.startup), who);
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
        may_ask: true,
        status: b'I',
        block: Block::Clean,
        deferred: None,
        unseen: false,
        wrote: false,
        unlearned: false,
        took_role: false,
        drew_on: 0,
        may_have_left: false,
        open: None,
        may_be_free: false,
        touched_catalog: false,
        levels,
        seen: Seen::default(),
        pins: BTreeSet::new(),
        listening: None,
        has_savepoints: false,
        held: None,
        live: shared.upstream.live_kept(),
        door: None,
        spare: Flow::default(),
        skipping: false,
        statements: Statements::default(),
        by_name: Box::default(),
        recent: Recent::default(),
        key: Vec::new(),
        turn: registration.process,
        rules: Arc::default(),
        registration,
        silence: Silence::default(),
        is_new: true,
        stop: Stop::after(&shared.stop_newcomers),
    };
    match session.greet().await {
        Ok(()) => Ok(session),
        Err(end) => Err(Box::new((session.client, end))),
    }
}

/// Tells a client that is not greeted yet why there is no connection for it: what the server said, word for word, if it spoke.
pub(super) async fn no_connection(client: &mut Client, error: LeaseError) -> End {
    match error {
        LeaseError::Refused { frame, sqlstate, message, .. } => {
            client.output.put_slice(&frame);
            client.flush().await.map_or_else(End::Client, |()| End::Refused(format!("{message} ({sqlstate})").into()))
        }
        LeaseError::Saturated(waited) => {
            let text = format!("no server connection became free within {waited:?}: the pool is saturated");
            Failure::fatal("53300", text).into()
        }
        LeaseError::Unreachable { .. } | LeaseError::Unlike { .. } => Failure::fatal("08006", error.to_string()).into(),
    }
}

/// Writes the message that lets a client cancel what its session runs.
pub(super) fn put_key(out: &mut BytesMut, registration: &Registration) {
    let mut key = registration.process.to_be_bytes().to_vec();
    key.extend_from_slice(&registration.secret);
    put_frame(out, b'K', &key);
}

impl Session {
    async fn greet(&mut self) -> Result<(), End> {
        let defaults = self.shared.upstream.defaults();
        let greeting = self.greeting(Until::ClientLeaves).await?;
        self.greeted = (Arc::clone(&greeting), defaults);
        self.settings.rest_on(Arc::clone(&greeting.baseline));
        self.settings_changed();
        let given = |name| self.settings.current().get(name).and_then(|setting| setting.values.first());
        let application = given("application_name").map_or("", String::as_str);
        let silences = |level: &String| matches!(&*level.to_ascii_lowercase(), "warning" | "error");
        let notice = application::told(application).filter(|_| !given("client_min_messages").is_some_and(silences));
        let version = greeting.parameters.get("server_version").map_or("", String::as_str);
        let application = application::kept(application, version);
        let out = &mut self.client.output;
        put_frame(out, b'R', &0u32.to_be_bytes());
        notice.iter().for_each(|notice| put_notice(out, "42622", notice));
        for (name, value) in &greeting.parameters {
            match name.as_str() {
                // These differ between sessions that share a greeting.
                "application_name" => {}
                _ => put_parameter(out, name, value),
            }
        }
        put_parameter(out, "application_name", &application);
        put_key(out, &self.registration);
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
        let greeting = self.greeting(Until::Had).await;
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

    async fn greeting(&mut self, until: Until) -> Result<Arc<Greeting>, End> {
        let parameters: Vec<_> = self
            .settings
            .current()
            .iter()
            .filter(|(name, _)| *name != "application_name")
            .map(|(name, setting)| (name.clone(), setting.replay.to_string()))
            .collect();
        let key = (self.account.user.clone(), self.database.to_string(), parameters);
        let catalog = self.shared.catalog.version();
        let known = self.shared.common.greetings.0.lock().get(&key).cloned();
        let made = Moment::now();
        let age = self.shared.config.auth_refresh;
        if let Some(known) = known.iter().find(|known| known.catalog == catalog && made.since(known.made) < age) {
            return Ok(Arc::clone(known));
        }
        self.shared.upstream.decided().await;
        let primary = Arc::clone(self.shared.upstream.primary());
        let asked = loop {
            // Kept while it waits, so that operators see that it does.
            let waiting = self.registration.running.wait();
            let leased = tokio::select! {
                leased = primary.lease(&self.account, &self.database) => leased,
                () = self.client.left(), if until == Until::ClientLeaves => return Err(proof::gone()),
                () = self.shared.stop_newcomers.cancelled() => return Err(shutting_down()),
            };
            drop(waiting);
            match leased {
                Ok(lease) => match self.ask_greeting_in_time(lease, made, catalog).await? {
                    Ok(Some(greeting)) => break Ok(greeting),
                    // What another has left on the connection cannot be taken back: it is closed.
                    Ok(None) => {}
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error),
            }
        };
        let greeting = match (asked, known) {
            (Ok(greeting), _) => greeting,
            // The last word is better than none: hits and replicas need no primary.
            (
                Err(LeaseError::Unreachable { .. } | LeaseError::Unlike { .. } | LeaseError::Saturated(_)),
                Some(known),
            ) => return Ok(known),
            (Err(error), _) => return Err(no_connection(&mut self.client, error).await),
        };
        let mut greetings = self.shared.common.greetings.0.lock();
        if greetings.len() >= GREETINGS_KEPT {
            greetings.clear();
        }
        let greeting = Arc::new(greeting);
        greetings.insert(key, Arc::clone(&greeting));
        Ok(greeting)
    }

    /// As [`Session::ask_greeting`], in the time in which a new connection would have to be there: one that was idle says nothing of whether
    /// its server still answers. The client is not listened to meanwhile, and has not left for longer than that.
    async fn ask_greeting_in_time(
        &mut self,
        lease: Lease,
        made: Moment,
        catalog: CatalogVersion,
    ) -> Result<Result<Option<Greeting>, LeaseError>, End> {
        let (server, shared) = (Arc::clone(&lease.server), Arc::clone(&self.shared));
        let limit = shared.config.connect_timeout;
        let waiting = self.registration.running.wait();
        let asked = tokio::select! {
            asked = tokio::time::timeout(limit, self.ask_greeting(lease, made, catalog)) => asked.ok(),
            () = shared.stop_newcomers.cancelled() => return Err(shutting_down()),
        };
        drop(waiting);
        if let Some(asked) = asked {
            return asked.map(Ok);
        }
        self.held = None;
        server.doubt();
        Ok(Err(LeaseError::Unreachable {
            server: server.target().to_string(),
            cause: format!("no answer within {limit:?}"),
        }))
    }

    /// Puts this session's settings on a connection of the primary's, and looks at what it reports. `None`: they cannot be put there.
    async fn ask_greeting(
        &mut self,
        lease: Lease,
        made: Moment,
        catalog: CatalogVersion,
    ) -> Result<Option<Greeting>, End> {
        self.held = Some(Held::new(lease, Side::Primary, Flow::default(), self.registration.process));
        if !self.take_over().await? {
            return Ok(None);
        }
        let rows = self
            .ask(
                "SELECT pg_catalog.current_setting('search_path'), \
                 pg_catalog.current_setting('default_transaction_isolation'), \
                 pg_catalog.current_setting('standard_conforming_strings'), \
                 pg_catalog.current_setting('default_transaction_read_only'), \
                 pg_catalog.pg_client_encoding(), pg_catalog.current_setting('role')",
            )
            .await?;
        let text = |index| rows.as_ref().and_then(|row| crate::wire::backend::column(row, index)).unwrap_or_default();
        let baseline = Baseline {
            search_path: identifiers(&String::from_utf8_lossy(text(0))).unwrap_or_default(),
            read_committed: text(1) == b"read committed",
            standard_strings: text(2) == b"on",
            read_write: text(3) == b"off",
            encoding: Encoding::named(&String::from_utf8_lossy(text(4))),
            role: Some(String::from_utf8_lossy(text(5)).into_owned()).filter(|role| role != NO_ROLE),
        };
        let Some(held) = self.held.take() else { return Err(End::Closed) };
        let parameters = held.lease.parameters.clone();
        held.lease.release();
        Ok(Some(Greeting { parameters, baseline: Arc::new(baseline), made, catalog }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_apart_as_postgresql_does() {
        let pairs = options(r"-c geqo=off --work-mem=4MB -e -cx.y=a\ b").unwrap();
        let expected = [("geqo", "off"), ("work_mem", "4MB"), ("datestyle", "euro"), ("x.y", "a b")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(options("-d 5").unwrap_err().sqlstate, "42601");
    }
}
