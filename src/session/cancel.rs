//! Which session a CancelRequest means, and what it may reach: only the query that this session is running, or has
//! waiting for a connection or for another's answer, at that moment. A connection cannot be given to another session while a cancel for it is under way.

use crate::types::Moment;
use crate::upstream::{BackendKey, Server, Upstream};
use crate::wire::stream::Stream;
use bytes::Bytes;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, oneshot};

/// The query that a session is running, if it is, or that waits for a connection or for another's answer.
#[derive(Debug)]
pub struct Running {
    pub who: Who,
    now: Mutex<Now>,
    /// Told whenever a cancel has been dealt with.
    dealt_with: Notify,
}

#[derive(Debug, Default)]
struct Now {
    query: Option<(Arc<Server>, BackendKey)>,
    waiting: Option<(oneshot::Sender<()>, Moment)>,
    /// Cancels that have seen the query and on which the server has not acted yet.
    cancels: usize,
    /// Of one of them it is not known whether the server has acted on it.
    is_unsettled: bool,
    /// The query that runs, or the one that ran last, was cancelled.
    is_cancelled: bool,
}

/// Counts a cancel until the server has acted on it, or is not waited for any longer.
struct Cancelling {
    running: Arc<Running>,
    has_acted: bool,
}

impl Cancelling {
    fn acted(mut self) {
        self.has_acted = true;
    }
}

impl Drop for Cancelling {
    fn drop(&mut self) {
        let mut now = self.running.now.lock();
        now.cancels -= 1;
        now.is_unsettled |= !self.has_acted;
        drop(now);
        self.running.dealt_with.notify_waiters();
    }
}

/// Whose session it is, for operators.
#[derive(Debug, Clone)]
pub struct Who {
    pub user: String,
    pub database: Arc<str>,
    /// None on a Unix socket.
    pub peer: Option<SocketAddr>,
    pub is_encrypted: bool,
    pub since: SystemTime,
}

impl Who {
    pub fn new(user: &str, database: Arc<str>, stream: &Stream) -> Self {
        let (peer, is_encrypted) = (stream.peer(), stream.is_encrypted());
        Who { user: user.to_owned(), database, peer, is_encrypted, since: SystemTime::now() }
    }
}

/// What a session does at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    Nothing,
    /// For a connection or another's answer, so long already.
    Waiting(Duration),
    /// On this server's backend.
    Running {
        server: String,
        process: u32,
    },
}

/// A session at one moment, for operators.
#[derive(Debug, Clone)]
pub struct TakenBy {
    pub who: Who,
    /// As its client knows it.
    pub process: u32,
    pub doing: Doing,
}

impl Running {
    /// A query waits from now on, until what is returned is dropped or has a message: it was cancelled.
    pub fn wait(&self) -> oneshot::Receiver<()> {
        let (cancelled, receiver) = oneshot::channel();
        self.now.lock().waiting = Some((cancelled, Moment::now()));
        receiver
    }

    /// A query is about to be sent on this connection.
    pub fn begin(&self, server: &Arc<Server>, key: &BackendKey) {
        let mut now = self.now.lock();
        now.query = Some((Arc::clone(server), key.clone()));
        now.is_cancelled = false;
    }

    /// Whether the query that was sent last has been cancelled.
    pub fn was_cancelled(&self) -> bool {
        self.now.lock().is_cancelled
    }

    /// It was answered: a cancel that comes later finds nothing. `false` if one is under way, which [`Running::spared`] waits
    /// for, so that it cannot hit the connection's next query.
    pub fn end(&self) -> bool {
        let mut now = self.now.lock();
        let query = now.query.take();
        let spared = now.cancels == 0 && !now.is_unsettled;
        drop(now);
        drop(query);
        spared
    }

    /// No cancel is under way. `false`: one may reach the connection yet, which can serve nobody else.
    pub async fn spared(&self) -> bool {
        loop {
            let mut told = pin!(self.dealt_with.notified());
            told.as_mut().enable();
            {
                let mut now = self.now.lock();
                if now.cancels == 0 {
                    return !std::mem::take(&mut now.is_unsettled);
                }
            }
            told.await;
        }
    }

    fn doing(&self) -> Doing {
        let now = self.now.lock();
        match (&now.query, &now.waiting) {
            (Some((server, key)), _) => Doing::Running { server: server.name().to_owned(), process: key.process },
            (None, Some((waiting, since))) if !waiting.is_closed() => Doing::Waiting(Moment::now().since(*since)),
            _ => Doing::Nothing,
        }
    }

    /// Cancels what runs or waits, if anything does. It goes on though nobody waits for that any longer.
    pub async fn cancel(self: &Arc<Self>, upstream: &Arc<Upstream>) {
        let (query, waiting) = {
            let mut now = self.now.lock();
            now.cancels += usize::from(now.query.is_some());
            now.is_cancelled |= now.query.is_some();
            (now.query.clone(), now.waiting.take())
        };
        if let Some((waiting, _)) = waiting {
            // Nobody waits any more, most of the time.
            let _ = waiting.send(());
        }
        let Some((server, key)) = query else { return };
        let cancelling = Cancelling { running: Arc::clone(self), has_acted: false };
        let upstream = Arc::clone(upstream);
        let forwarding = tokio::spawn(async move {
            match upstream.cancel(&server, &key).await {
                Ok(()) => cancelling.acted(),
                Err(error) => {
                    drop(cancelling);
                    tracing::warn!(server = server.name(), %error, "a cancel request could not be forwarded");
                }
            }
        });
        if let Err(error) = forwarding.await {
            tracing::warn!(%error, "forwarding a cancel request ended");
        }
    }
}

/// All sessions' keys.
#[derive(Debug, Default)]
pub struct Registry(Mutex<HashMap<u32, (Bytes, Arc<Running>)>>);

/// A session's key, taken back when it ends.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    pub process: u32,
    pub secret: Bytes,
    pub running: Arc<Running>,
}

pub(super) fn random(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the system's random source works");
}

impl Registry {
    /// Gives a session a key whose secret has `length` bytes: 4 in protocol 3.0.
    pub fn register(self: &Arc<Self>, length: usize, who: Who) -> Registration {
        let mut secret = vec![0; length];
        random(&mut secret);
        let secret = Bytes::from(secret);
        let running = Arc::new(Running { who, now: Mutex::default(), dealt_with: Notify::new() });
        let mut keys = self.0.lock();
        let process = loop {
            let mut process = [0; 4];
            random(&mut process);
            let process = u32::from_be_bytes(process) & 0x7FFF_FFFF;
            if process != 0 && !keys.contains_key(&process) {
                break process;
            }
        };
        keys.insert(process, (secret.clone(), Arc::clone(&running)));
        Registration { registry: Arc::clone(self), process, secret, running }
    }

    /// Every session, as it is now.
    pub fn sessions(&self) -> Vec<TakenBy> {
        let keys = self.0.lock();
        let each = keys.iter().map(|(process, (_, running))| TakenBy {
            who: running.who.clone(),
            process: *process,
            doing: running.doing(),
        });
        each.collect()
    }

    /// Forwards a CancelRequest to the server whose query it means; one that means nothing is ignored, as
    /// PostgreSQL ignores it.
    pub async fn cancel(&self, upstream: &Arc<Upstream>, process: u32, secret: &[u8]) {
        let running = match self.0.lock().get(&process) {
            Some((known, running))
                if known.len() == secret.len()
                    && known.iter().zip(secret).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0 =>
            {
                Arc::clone(running)
            }
            _ => return,
        };
        running.cancel(upstream).await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.0.lock().remove(&self.process);
    }
}
