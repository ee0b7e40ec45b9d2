//! One client's connection, from the startup message to its end. Simple and extended queries meet in one `Request` before
//! anything is decided. Knows neither Redis nor SQL text: `route` understands statements, `cache` keeps answers.
//!
//! The way of a unit (a simple query, or the messages up to a Sync), which `answer` leads: `serve` answers it from the cache if it can;
//! else `forward` picks a server, sends it with what we want to know beside it, and `exchange` relays the answer, from which `round`
//! learns.

mod answer;
mod application;
mod cancel;
mod catch_up;
mod challenge;
mod changes;
mod client;
mod compose;
mod composer;
pub mod console;
mod copy;
mod date_style;
mod deferred;
mod elsewhere;
mod encryption;
mod exchange;
mod expected;
mod explain;
mod floor;
mod flow;
mod forward;
mod generations;
mod hold;
mod limits;
mod listen;
mod named;
mod namings;
mod outcome;
mod own;
pub mod plans;
mod portal;
mod proof;
mod relisten;
mod replicate;
mod request;
mod round;
mod sasl;
mod secrets;
mod serve;
mod settings;
mod settle;
mod shape;
mod shared;
mod startup;
mod stop;
mod survey;
mod throttle;
mod values;
mod wait;
mod way;

use crate::route::plan::PinReason;
use crate::route::rules::SessionRules;
use crate::types::{Level, Lsn};
use crate::upstream::{Account, Door, LiveKept};
use crate::wire::backend::{Failure, Severity, put_failure, put_ready};
use crate::wire::stream::Stream;
pub use cancel::{Doing, TakenBy, Who};
use client::{BadFrame, Client, UnitEnd};
use compose::Side;
use deferred::Deferred;
use exchange::Held;
use floor::Seen;
use flow::Flow;
use listen::Listening;
use named::ByName;
use own::Levels;
use plans::{Names, Recent};
use portal::Statements;
use settings::Settings;
pub use shared::{Common, Shared};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use stop::Stop;

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The client's side failed or closed: nobody is there to tell.
    #[error("the client's connection broke: {0}")]
    Client(#[from] io::Error),
    /// The client is told, and the connection closes.
    #[error("{0}")]
    Failure(Failure),
    /// The server refused the login, and the client has been told in its words.
    #[error("{0}")]
    Refused(Box<str>),
    /// Everything was said already.
    #[error("closed")]
    Closed,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        End::Failure(failure)
    }
}

impl From<BadFrame> for End {
    fn from(bad: BadFrame) -> Self {
        End::Failure(Failure::fatal("08P01", bad.to_string()))
    }
}

/// What the transaction block that is open has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Block {
    /// READ COMMITTED, and nothing but proven reads: hits are sound.
    #[default]
    Clean,
    /// It may have written or locked, or sees one snapshot: every statement goes upstream.
    Dirty,
}

/// One client's session, after authentication.
struct Session {
    shared: Arc<Shared>,
    client: Client,
    database: Arc<str>,
    account: Arc<Account>,
    settings: Settings,
    /// What the client was told of its parameters, and how often defaults had changed by then.
    greeted: (Arc<startup::Greeting>, u64),
    live: LiveKept,
    /// `settings` as key bytes, and how names are read: made anew when settings change.
    inputs: Vec<u8>,
    names: Arc<Names>,
    /// Whether this session's database is the one whose changes are heard.
    heard: bool,
    /// Whether its role may ask for positions, as far as it has been tried: functions that tell them can be revoked.
    may_ask: bool,
    /// As the client was last told: `I`, `T` or `E`.
    status: u8,
    block: Block,
    /// `T` or `E`, and no server knows of it.
    deferred: Option<Deferred>,
    /// In this transaction the client has been answered a query that the transaction's server has not seen.
    unseen: bool,
    /// Whether the transaction (or the autocommit statement) under way may have written.
    wrote: bool,
    /// Whether it read or wrote rows of which it is not known how new they are.
    unlearned: bool,
    /// In this transaction a reset of the session's user has ended the role that was set.
    took_role: bool,
    /// The backend on which it drew from a sequence last, as far as it is known.
    drew_on: u32,
    /// Whether something ran in it that may have left anything in the session.
    may_have_left: bool,
    /// The batch under way, once a part of it has been answered.
    open: Option<outcome::Open>,
    /// What pins the session may no longer be there.
    may_be_free: bool,
    /// Whether it may have changed the catalog.
    touched_catalog: bool,
    levels: Levels,
    seen: Seen,
    pins: BTreeSet<PinReason>,
    /// What it hears on a connection that listens for many.
    listening: Option<Box<Listening>>,
    /// This transaction has savepoints, as far as is known.
    has_savepoints: bool,
    held: Option<Held>,
    /// To the pool that it leased from last.
    door: Option<Door>,
    /// Of the connection that was held last, empty: for its room.
    spare: Flow,
    /// After a local error in a batch that has not seen its Sync: messages are skipped up to it.
    skipping: bool,
    statements: Statements,
    /// Those that SQL's PREPARE made.
    by_name: Box<ByName>,
    /// Plans of texts that this session asked lately.
    recent: Recent,
    key: Vec<u8>,
    /// Whose turn it is among servers that are equal: any number.
    turn: u32,
    /// The rules for statements.
    rules: Arc<SessionRules>,
    registration: cancel::Registration,
    silence: limits::Silence,
    /// It has asked nothing yet.
    is_new: bool,
    /// After `Shared::stop_newcomers`, then after `Shared::stop`.
    stop: Stop,
}

/// Serves one client until it leaves. `seat`: its right to a session, held until its end; without one it may cancel a query, and nothing more.
pub fn run<S>(
    stream: Stream,
    peer: Option<SocketAddr>,
    seat: Option<S>,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> {
    tracing::trace!(?peer, "a client has connected");
    // Boxed, and made out here, since what is over once the session runs would keep its room in every session's memory.
    let begun = Box::pin(begin(stream, seat.is_some(), shared));
    async move {
        let _seat = seat;
        let Some(mut session) = begun.await else { return };
        let end = session.run().await;
        session.close(end).await;
    }
}

/// From the first byte to the greeting; nothing if the client was turned away, which it has been told.
async fn begin(stream: Stream, seated: bool, shared: Arc<Shared>) -> Option<Session> {
    let mut client = Client::new(stream);
    let mut caller = Caller::default();
    let (end, reason) = match startup::start(&mut client, &shared, seated, &mut caller).await {
        Ok(startup::Started::Session(seed)) if replicate::is_asked(&seed.startup) => {
            match replicate::run(&mut client, &shared, *seed).await {
                Ok(()) => return None,
                Err(end) => {
                    let reason = ungreeted(&end);
                    (end, reason)
                }
            }
        }
        Ok(startup::Started::Operator(registration)) => {
            console::serve(client, shared, registration).await;
            return None;
        }
        Ok(startup::Started::Session(seed)) => match startup::open(client, &shared, *seed).await {
            Ok(session) => return Some(session),
            Err(returned) => {
                let end;
                (client, end) = *returned;
                let reason = ungreeted(&end);
                (end, reason)
            }
        },
        Ok(startup::Started::Ended) => return None,
        Err(end) => {
            let reason = unproven(&end);
            (end, reason)
        }
    };
    shared.telemetry.client_refused(reason);
    caller.turned_away(client.stream.peer(), &end, reason);
    say_goodbye(&mut client, &end).await;
    None
}

/// Who asks for a session, by its own word.
#[derive(Debug, Default)]
struct Caller {
    user: String,
    database: String,
    /// Why its proof was not taken has been logged.
    is_said: bool,
}

impl Caller {
    /// Puts it into the log; not who has gone by itself.
    fn turned_away(&self, peer: Option<SocketAddr>, end: &End, reason: &'static str) {
        if self.is_said || matches!(end, End::Client(_)) {
            return;
        }
        let (user, database) = (proof::shown(&self.user), proof::shown(&self.database));
        tracing::info!(?user, ?database, ?peer, reason, cause = %end, "a client is turned away");
    }
}

/// Why a client was turned away before it had proven who it is: a label.
fn unproven(end: &End) -> &'static str {
    match end {
        End::Client(_) => "left",
        End::Refused(_) | End::Closed => "refused_by_server",
        End::Failure(failure) => match failure.sqlstate {
            "28P01" => "authentication",
            "28000" => "not_permitted",
            "53300" => "too_many_clients",
            "53400" => "too_many_failures",
            "57014" => "auth_timeout",
            "08006" => "server_unreachable",
            "57P01" => "draining",
            _ => "protocol",
        },
    }
}

/// Why a client that has proven itself was not greeted: a label.
fn ungreeted(end: &End) -> &'static str {
    match end {
        End::Client(_) => "left",
        End::Refused(_) | End::Closed => "refused_by_server",
        End::Failure(failure) => match failure.sqlstate {
            "08006" => "server_unreachable",
            "53300" => "pool_saturated",
            "57P01" => "draining",
            _ => "startup_parameter",
        },
    }
}

async fn say_goodbye(client: &mut Client, end: &End) {
    if let End::Failure(failure) = end {
        tracing::debug!(%failure, "session refused");
        put_failure(&mut client.output, failure);
        // The client may be gone; there is nobody else to tell.
        let _ = client.flush().await;
    }
}

impl Session {
    async fn close(&mut self, end: Result<(), End>) {
        if let Err(end) = end {
            tracing::debug!(%end, "session ended");
            say_goodbye(&mut self.client, &end).await;
        }
        // A connection that is still held is closed with the session: PostgreSQL rolls back what was open, and what the session
        // left on it need not be proven harmless.
    }

    async fn run(&mut self) -> Result<(), End> {
        loop {
            let Some(unit) = self.client.unit()? else {
                self.client.flush().await?;
                if !self.wait().await? {
                    return match self.client.last_unit().filter(|_| !self.skipping) {
                        Some(unit) => Box::pin(self.answer(unit)).await,
                        None => Ok(()),
                    };
                }
                continue;
            };
            match unit.end {
                UnitEnd::Terminate => return Ok(()),
                UnitEnd::Stray => self.client.discard(unit),
                UnitEnd::Sync if self.skipping => {
                    self.client.discard(unit);
                    self.skipping = false;
                    self.ready();
                }
                _ if self.skipping => self.client.discard(unit),
                _ => {
                    self.answer(unit).await?;
                    if std::mem::take(&mut self.is_new) {
                        self.stop = Stop::after(&self.shared.stop);
                    }
                }
            }
            if self.listening.is_some() || self.pins.contains(&PinReason::Listen) {
                Box::pin(self.hear_before_ready()).await?;
            }
            if self.client.is_full() {
                self.client.flush().await?;
            }
        }
    }

    fn ready(&mut self) {
        put_ready(&mut self.client.output, self.status);
    }

    /// Tells the client of an error of ours that its statement failed with.
    fn fail(&mut self, failure: Failure, end: UnitEnd) -> Result<(), End> {
        if failure.severity == Severity::Fatal {
            return Err(failure.into());
        }
        if failure.sqlstate == "53300" {
            self.shared.telemetry.pool_timed_out();
            let Who { user, database, peer, .. } = &self.registration.running.who;
            tracing::info!(?user, ?database, ?peer, cause = failure.message, "a statement gets no connection");
        }
        put_failure(&mut self.client.output, &failure);
        self.failed(end);
        Ok(())
    }

    /// The client has been told of an error of what has not reached a server.
    fn failed(&mut self, end: UnitEnd) {
        if self.status == b'T' {
            self.status = b'E';
        }
        match end {
            UnitEnd::Flush | UnitEnd::Open => self.skipping = true,
            _ => self.ready(),
        }
    }

    /// Settings changed: what depends on them is made anew.
    fn settings_changed(&mut self) {
        self.inputs.clear();
        self.settings.key(&self.database, &mut self.inputs);
        let names = Names {
            path: self.settings.search_path(),
            standard_strings: self.settings.standard_strings(),
            encoding: self.settings.encoding(),
            settings: self.settings.texts(),
        };
        if *self.names != names {
            self.names = Arc::new(names);
            self.recent.clear();
        }
    }

    /// The session read or wrote at or before `position`, on the primary or in a hit.
    fn raise_floor(&mut self, position: Lsn) {
        self.seen.raise(self.shared.coherence.epoch(), position);
    }

    /// What the held connection has just been asked may have read or written up to `position`.
    fn learned(&mut self, position: Lsn) {
        let Some(held) = &self.held else { return };
        match held.side {
            // A position of another history says nothing.
            Side::Primary if held.lease.is_outlived() => self.seen.unknown = true,
            Side::Primary => {
                self.raise_floor(position);
                self.seen.unknown = false;
            }
            Side::Replica => {
                self.seen.read_on_replica(&held.lease, self.shared.coherence.epoch(), position);
            }
        }
    }

    /// A transaction of hits alone has nothing to learn; positions matter where a cache or replicas could answer.
    fn learns_positions(&self) -> bool {
        self.heard
            && self.may_ask
            && self.level() == Level::Session
            && (self.shared.cache.is_some() || self.has_replicas())
    }

    /// What was asked is not for this role: its session is the primary's from here on, and no answer of its is stored.
    fn may_not_ask(&mut self) {
        if std::mem::take(&mut self.may_ask) {
            tracing::warn!(
                user = ?proof::shown(&self.account.user),
                "a session is not cached and reads no replica: EXECUTE is revoked on pg_current_snapshot() or another function that tells \
                 positions"
            );
        }
    }

    fn has_replicas(&self) -> bool {
        self.shared.upstream.has_replicas()
    }
}

fn shutting_down() -> End {
    Failure::fatal("57P01", "terminating connection due to administrator command").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function of four arguments makes.
    fn size<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_every_session_keeps_is_small() {
        let bytes = size(run::<Arc<()>>);
        assert!(bytes <= 3 * 1024, "{bytes}: box what a session seldom waits for");
    }
}
