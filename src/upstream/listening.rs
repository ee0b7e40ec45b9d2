//! One connection that listens for every session of an account and database, on the primary: opened for the first, closed after the
//! last. What sessions ask of it goes in rounds, one under way at a time: a round listens to what is new and does not listen
//! any more to what nobody wants, and whatever arrives before its end was sent before it. Knows neither transactions nor clients.
//!
//! It is none of a pool's: so many accounts and databases listen, so many connections there are beside the pools.

use super::connection::Facts;
use super::gate::Gate;
use super::inbox::{Deaf, Inbox, News};
use super::message::{self, Message};
use super::{Account, Opened, Server, login};
use crate::wire::backend::error_field;
use crate::wire::frontend::put_query;
use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// LISTEN and what else a round asks wait for nobody: a server that leaves one unanswered for so long is lost, and who listens is told.
const LONGEST_ROUND: Duration = Duration::from_secs(60);
const SILENT: &str = "the server does not answer";

/// The longest message, in bytes: a notification has up to 8,000 and its channel's name.
const MESSAGE_LIMIT: usize = 65_536;

/// Channels that one round begins or ceases to listen to: its text fits into any socket's buffer, so that it can be written while the server
/// writes to us.
const ROUND: usize = 100;

/// What sessions' clients read, whatever the role's default is.
const PARAMETERS: [(&str, &str); 2] = [("application_name", "sidecache listen"), ("client_encoding", "UTF8")];

/// It listens, and says nothing for as long as nobody else begins to: the role's limit on that (from PostgreSQL 14 on) is meant for clients.
const NEVER_IDLE: &[u8] = b"SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'idle_session_timeout'";

/// How many sessions listen, and on how many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListeningCounts {
    pub connections: usize,
    pub sessions: usize,
}

type Map<K, V> = HashMap<K, V, RandomState>;

/// An account and a database.
type Key = (Arc<Account>, Arc<str>);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<Map<Key, Arc<Hub>>>);

/// One connection, from before it is opened.
#[derive(Debug)]
struct Hub {
    server: Arc<Server>,
    state: Mutex<State>,
    /// Something may have to be sent, or nobody is left.
    wake: Notify,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    inboxes: Vec<Arc<Inbox>>,
    /// Who hears of what.
    channels: Map<Arc<str>, Vec<Arc<Inbox>>>,
    /// What the server was asked to listen to.
    listened: HashSet<Arc<str>, RandomState>,
    /// What somebody has ceased to listen to.
    dropped: Vec<Arc<str>>,
    /// Wait for the next round, and for the one under way.
    asking: VecDeque<Ask>,
    asked: Vec<Ask>,
    /// Who comes now needs another.
    ended: bool,
}

/// What one session waits for: the end of a round from which it hears these channels.
#[derive(Debug)]
struct Ask {
    inbox: Arc<Inbox>,
    channels: Vec<Arc<str>>,
    done: oneshot::Sender<()>,
}

/// What is to be sent.
enum Next {
    Round(String),
    Nothing,
    /// Nobody is left.
    End,
}

/// A session's place; dropping it leaves.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
    /// What it hears.
    channels: BTreeSet<Arc<str>>,
}

impl Listeners {
    /// Opens the connection if there is none, behind the gate.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        server: &Arc<Server>,
        gate: &Arc<Gate>,
        account: &Arc<Account>,
        database: &Arc<str>,
    ) -> Subscription {
        let inbox = Arc::new(Inbox::default());
        let key = (Arc::clone(account), Arc::clone(database));
        let mut hubs = self.0.lock();
        if let Some(hub) = hubs.get(&key)
            && hub.join(&inbox)
        {
            return Subscription { hub: Arc::clone(hub), inbox, channels: BTreeSet::new() };
        }
        let hub = Arc::new(Hub {
            server: Arc::clone(server),
            state: Mutex::default(),
            wake: Notify::new(),
            stop: CancellationToken::new(),
        });
        hub.join(&inbox);
        hubs.insert(key.clone(), Arc::clone(&hub));
        drop(hubs);
        let (listeners, gate, listens) = (Arc::clone(self), Arc::clone(gate), Arc::clone(&hub));
        tokio::spawn(async move {
            let end = listens.run(&gate, &key.0, &key.1).await;
            listens.end(end.as_ref());
            listeners.0.lock().retain(|_, hub| !Arc::ptr_eq(hub, &listens));
            gate.returned();
        });
        Subscription { hub, inbox, channels: BTreeSet::new() }
    }

    /// Ends those on such servers: their sessions are told.
    pub(super) fn stop(&self, on: impl Fn(&Arc<Server>) -> bool) {
        self.0.lock().values().filter(|hub| on(&hub.server)).for_each(|hub| hub.stop.cancel());
    }

    /// Whether those that were to end have closed their connections.
    pub(super) fn have_stopped(&self) -> bool {
        !self.0.lock().values().any(|hub| hub.stop.is_cancelled())
    }

    pub(super) fn counts(&self) -> ListeningCounts {
        let hubs = self.0.lock();
        ListeningCounts {
            connections: hubs.len(),
            sessions: hubs.values().map(|hub| hub.state.lock().inboxes.len()).sum(),
        }
    }
}

impl Hub {
    /// `false`: it has ended.
    fn join(&self, inbox: &Arc<Inbox>) -> bool {
        let mut state = self.state.lock();
        if !state.ended {
            state.inboxes.push(Arc::clone(inbox));
        }
        !state.ended
    }

    /// Until nobody is left (`None`), or it cannot go on.
    async fn run(&self, gate: &Gate, account: &Account, database: &str) -> Option<Deaf> {
        let open = async {
            gate.pass().await;
            login::connect(self.server.target(), account, database, &PARAMETERS).await
        };
        let opened = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Some(Deaf::Stopped),
            opened = open => opened,
        };
        match opened {
            Ok(opened) => {
                let facts = self.server.made(Facts::new(account, database, &opened.key));
                facts.lent();
                let end = self.serve(opened).await;
                tracing::debug!(?end, database, "a connection that listened has ended");
                end
            }
            Err(error) => {
                tracing::warn!(%error, database, "no connection to listen on");
                Some(Deaf::Lost(error.to_string().into()))
            }
        }
    }

    async fn serve(&self, opened: Opened) -> Option<Deaf> {
        let Opened { mut stream, mut input, .. } = opened;
        let mut out = BytesMut::new();
        put_query(&mut out, NEVER_IDLE);
        let mut is_under_way = true;
        let mut failed = false;
        let lost = |cause: &dyn std::fmt::Display| Some(Deaf::Lost(cause.to_string().into()));
        loop {
            let next = if is_under_way { Next::Nothing } else { self.next() };
            match next {
                Next::Round(text) => {
                    put_query(&mut out, text.as_bytes());
                    is_under_way = true;
                }
                Next::Nothing => {}
                Next::End => out.extend_from_slice(b"X\0\0\0\x04"),
            }
            if !out.is_empty() {
                let written = async {
                    stream.write_all_buf(&mut out).await?;
                    stream.flush().await
                };
                match timeout(LONGEST_ROUND, written).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return lost(&error),
                    Err(_) => return lost(&SILENT),
                }
                if !is_under_way {
                    return None;
                }
            }
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Some(Deaf::Stopped),
                message = message::next(&mut stream, &mut input, MESSAGE_LIMIT) => message,
                () = self.wake.notified(), if !is_under_way => continue,
                () = sleep(LONGEST_ROUND), if is_under_way => return lost(&SILENT),
            };
            match message {
                Ok(message) => match message.tag {
                    b'A' => self.tell(&message),
                    b'E' if !is_under_way || error_field(message.body(), b'V').is_some_and(|v| v != b"ERROR") => {
                        return Some(Deaf::Fatal(message.frame));
                    }
                    b'E' => failed = true,
                    b'Z' => {
                        is_under_way = false;
                        self.answered(std::mem::take(&mut failed));
                    }
                    b'T' | b'D' | b'C' | b'I' | b'N' | b'S' => {}
                    tag => return lost(&format!("the server sent an unexpected message {:?}", char::from(tag))),
                },
                Err(error) => return lost(&error),
            }
        }
    }

    /// The next round, if anything is to be done.
    fn next(&self) -> Next {
        let mut state = self.state.lock();
        if state.inboxes.is_empty() {
            state.ended = true;
            return Next::End;
        }
        let State { channels, listened, dropped, asking, asked, .. } = &mut *state;
        let mut text = String::new();
        let mut put = |verb: &str, channel: &str| {
            text.push_str(verb);
            text.push_str(&channel.replace('"', "\"\""));
            text.push_str("\";");
        };
        let mut changes = 0;
        while changes < ROUND
            && let Some(ask) = asking.pop_front()
        {
            for channel in ask.channels.iter().filter(|channel| !listened.contains(*channel)) {
                put("LISTEN \"", channel);
                changes += 1;
            }
            asked.push(ask);
        }
        let is_wanted = |channel: &Arc<str>| {
            channels.contains_key(channel) || asked.iter().chain(&*asking).any(|ask| ask.channels.contains(channel))
        };
        for channel in dropped.drain(..dropped.len().min(ROUND)) {
            if !is_wanted(&channel) && listened.remove(&channel) {
                put("UNLISTEN \"", &channel);
                changes += 1;
            }
        }
        if changes == 0 && asked.is_empty() { Next::Nothing } else { Next::Round(text) }
    }

    /// The round under way has ended.
    fn answered(&self, failed: bool) {
        let mut state = self.state.lock();
        let state = &mut *state;
        for ask in state.asked.drain(..) {
            // Who has left, or no longer waits, is told nothing; nor who asked for what failed.
            if ask.done.is_closed() || (failed && !ask.channels.is_empty()) {
                continue;
            }
            for channel in ask.channels {
                state.listened.insert(Arc::clone(&channel));
                let hear = state.channels.entry(channel).or_default();
                if !hear.iter().any(|inbox| Arc::ptr_eq(inbox, &ask.inbox)) {
                    hear.push(Arc::clone(&ask.inbox));
                }
            }
            // Whoever has left meanwhile takes its channels along.
            let _ = ask.done.send(());
        }
    }

    /// A notification for all who listen.
    fn tell(&self, message: &Message) {
        let mut body = message.body();
        let (Some(process), Some(channel)) = (message::number(&mut body), message::text(&mut body)) else { return };
        let Ok(channel) = std::str::from_utf8(channel) else { return };
        let state = self.state.lock();
        if let Some((channel, inboxes)) = state.channels.get_key_value(channel) {
            // A copy, since a frame keeps all that was read together with it.
            let frame = Bytes::copy_from_slice(&message.frame);
            inboxes.iter().for_each(|inbox| inbox.push(process, channel, &frame));
        }
    }

    fn end(&self, deaf: Option<&Deaf>) {
        let mut state = self.state.lock();
        state.ended = true;
        let all = std::mem::take(&mut *state);
        state.ended = true;
        drop(state);
        if let Some(deaf) = deaf {
            all.inboxes.iter().for_each(|inbox| inbox.end(deaf));
        }
    }

    fn leave(&self, inbox: &Arc<Inbox>, channels: impl Iterator<Item = Arc<str>>) {
        let mut state = self.state.lock();
        for channel in channels {
            if let Some(hear) = state.channels.get_mut(&channel) {
                hear.retain(|other| !Arc::ptr_eq(other, inbox));
                if hear.is_empty() {
                    state.channels.remove(&channel);
                    state.dropped.push(channel);
                }
            }
        }
    }
}

impl Subscription {
    /// Hears these channels too from the moment this returns. Whatever arrived before that was sent before.
    ///
    /// # Errors
    /// The connection could not be opened or has ended, or the server refused.
    pub async fn hear(&mut self, channels: impl IntoIterator<Item = Arc<str>>) -> Result<(), Deaf> {
        let channels: Vec<Arc<str>> = channels.into_iter().collect();
        for some in channels.chunks(ROUND) {
            // Before it is certain, so that they are left whatever comes of it.
            self.channels.extend(some.iter().cloned());
            self.ask(some.to_vec()).await?;
        }
        Ok(())
    }

    /// Returns once everything has arrived that was sent before the call.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn catch_up(&self) -> Result<(), Deaf> {
        self.ask(Vec::new()).await
    }

    async fn ask(&self, channels: Vec<Arc<str>>) -> Result<(), Deaf> {
        let refused = || Deaf::Lost("the server refused to listen".into());
        let (done, answered) = oneshot::channel();
        {
            let mut state = self.hub.state.lock();
            if state.ended {
                return Err(self.inbox.deaf().unwrap_or_else(refused));
            }
            state.asking.push_back(Ask { inbox: Arc::clone(&self.inbox), channels, done });
        }
        self.hub.wake.notify_one();
        answered.await.map_err(|_| self.inbox.deaf().unwrap_or_else(refused))
    }

    /// Does not hear these any more: what has come on them is forgotten.
    pub fn leave(&mut self, channels: &[Arc<str>]) {
        self.channels.retain(|channel| !channels.contains(channel));
        self.hub.leave(&self.inbox, channels.iter().cloned());
        self.hub.wake.notify_one();
        channels.iter().for_each(|channel| self.inbox.forget(channel));
    }

    /// Forgets what has come on a channel so far.
    pub fn forget(&self, channel: &str) {
        self.inbox.forget(channel);
    }

    /// What it hears.
    pub fn channels(&self) -> &BTreeSet<Arc<str>> {
        &self.channels
    }

    /// Returns once something has arrived (if `wants_news`), or nothing more will.
    pub async fn arrived(&self, wants_news: bool) {
        self.inbox.arrived(wants_news).await;
    }

    /// All that has arrived, and why nothing more will, if so.
    pub fn take(&self) -> (VecDeque<News>, Option<Deaf>) {
        self.inbox.take()
    }

    /// Why nothing more will arrive, if so.
    pub fn deaf(&self) -> Option<Deaf> {
        self.inbox.deaf()
    }

    /// How much has arrived ever: the number of what arrives next.
    pub fn received(&self) -> u64 {
        self.inbox.received()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let channels = std::mem::take(&mut self.channels);
        self.hub.leave(&self.inbox, channels.into_iter());
        self.hub.state.lock().inboxes.retain(|inbox| !Arc::ptr_eq(inbox, &self.inbox));
        self.hub.wake.notify_one();
    }
}
