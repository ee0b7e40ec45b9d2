//! Connections of one user, proof and database on one server: at most so many, first come, first served. Whoever
//! holds a [`Slot`] may have a connection open; dropping it lets the next one in, however it came to be dropped. No
//! lock is held over an await, and none while anything is dropped or sent. Knows neither how to connect nor a session.

use super::login::{Opened, parameter};
use super::{Account, Carried, Connection, message};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// The longest message that an idle connection may have been sent, in bytes.
const UNSOLICITED_LIMIT: usize = 65_536;

/// How many reads of an idle connection find news before it is taken for broken.
const UNSOLICITED_READS: usize = 64;

/// The connection ended, or the server said what it says to no idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Connection {
    /// Boxed, since it goes from hand to hand with every statement.
    pub(super) fn new(opened: Opened, generation: u64) -> Box<Self> {
        let Opened { stream, input, key, parameters } = opened;
        Box::new(Connection { stream, input, key, parameters, carried: Carried::default(), generation })
    }

    /// Reads, without waiting, what the server sent while nobody listened: notices and notifications are for nobody,
    /// changed parameters are kept, all else ends the connection.
    pub(super) fn check(&mut self) -> Result<(), Broken> {
        let mut context = Context::from_waker(Waker::noop());
        let mut chunk = [0u8; 512];
        for _ in 0..UNSOLICITED_READS {
            let mut read = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(&mut context, &mut read) {
                Poll::Pending => return self.absorb(),
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.input.extend_from_slice(read.filled()),
                Poll::Ready(_) => return Err(Broken),
            }
        }
        Err(Broken)
    }

    fn absorb(&mut self) -> Result<(), Broken> {
        while let Some(message) = message::take(&mut self.input, UNSOLICITED_LIMIT).map_err(|_| Broken)? {
            match message.tag {
                b'N' | b'A' => {}
                b'S' => {
                    let (name, value) = parameter(message.body()).ok_or(Broken)?;
                    self.parameters.insert(name, value);
                }
                _ => return Err(Broken),
            }
        }
        if self.input.is_empty() { Ok(()) } else { Err(Broken) }
    }

    /// Says goodbye if that needs no waiting, so that the server logs no lost connection.
    pub(super) fn close(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        // Best effort: a connection that cannot take five bytes is closed all the same.
        let _ = Pin::new(&mut self.stream).poll_write(&mut context, b"X\0\0\0\x04");
    }
}

/// The pool of one user, proof and database.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    state: Mutex<State>,
}

/// Where there are waiters, nothing is idle and every slot is taken.
#[derive(Debug, Default)]
struct State {
    /// The one used last comes last, and first out: the others may grow old and be closed.
    idle: Vec<Idle>,
    /// Slots given out, and one for each idle connection.
    taken: usize,
    waiters: VecDeque<oneshot::Sender<Grant>>,
}

#[derive(Debug)]
struct Idle {
    parked: Box<Connection>,
    since: Instant,
}

/// The right to one connection, perhaps with the connection.
#[derive(Debug)]
pub(super) struct Grant {
    pub slot: Slot,
    pub parked: Option<Box<Connection>>,
}

/// What a pool answers.
#[derive(Debug)]
pub(super) enum Claim {
    Granted(Grant),
    Wait(Waiting),
}

impl Pool {
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Pool { size, state: Mutex::default() })
    }

    /// An idle connection, or the right to open one, or a place in the queue.
    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        let mut state = self.state.lock();
        if let Some(idle) = state.idle.pop() {
            drop(state);
            return Claim::Granted(Grant { slot: Slot::of(self), parked: Some(idle.parked) });
        }
        if state.taken < self.size {
            state.taken += 1;
            drop(state);
            return Claim::Granted(Grant { slot: Slot::of(self), parked: None });
        }
        let (sender, receiver) = oneshot::channel();
        state.waiters.push_back(sender);
        Claim::Wait(Waiting { receiver, pool: Some(Arc::clone(self)) })
    }

    /// An idle connection, if there is one.
    pub(super) fn claim_idle(self: &Arc<Self>) -> Option<Grant> {
        let idle = self.state.lock().idle.pop()?;
        Some(Grant { slot: Slot::of(self), parked: Some(idle.parked) })
    }

    /// Closes connections that have been idle since before `limit`.
    fn close_idle(self: &Arc<Self>, limit: Duration) {
        let old: Vec<Idle> = {
            let mut state = self.state.lock();
            let count = state.idle.iter().take_while(|idle| idle.since.elapsed() >= limit).count();
            state.idle.drain(..count).collect()
        };
        for mut idle in old {
            // Freed only after the connection has been closed.
            let _slot = Slot::of(self);
            idle.parked.close();
            drop(idle);
        }
    }

    /// Gives to the first waiter who still waits; says what is left if there is none.
    fn offer(self: &Arc<Self>, mut parked: Option<Box<Connection>>) {
        loop {
            let waiter = {
                let mut state = self.state.lock();
                let Some(waiter) = state.waiters.pop_front() else {
                    match parked {
                        Some(parked) => state.idle.push(Idle { parked, since: Instant::now() }),
                        None => state.taken -= 1,
                    }
                    return;
                };
                waiter
            };
            match waiter.send(Grant { slot: Slot::of(self), parked }) {
                Ok(()) => return,
                Err(mut unwanted) => {
                    unwanted.slot.pool = None;
                    parked = unwanted.parked;
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.state.lock().taken == 0
    }

    /// Connections open or being opened, and how many of them are idle.
    fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.taken, state.idle.len())
    }
}

/// The right to have one connection open in a pool.
#[derive(Debug)]
pub(super) struct Slot {
    /// Nothing once the right has been passed on.
    pool: Option<Arc<Pool>>,
}

impl Slot {
    fn of(pool: &Arc<Pool>) -> Self {
        Slot { pool: Some(Arc::clone(pool)) }
    }

    /// Gives the connection to the first waiter, or keeps it for the next who comes.
    pub(super) fn give_back(mut self, parked: Box<Connection>) {
        if let Some(pool) = self.pool.take() {
            pool.offer(Some(parked));
        }
    }

    /// Another idle connection for one that proved broken; the slot stays either way.
    pub(super) fn another(&self) -> Option<Grant> {
        self.pool.as_ref()?.claim_idle()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.offer(None);
        }
    }
}

/// A place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    receiver: oneshot::Receiver<Grant>,
    /// Nothing once the pool has taken this out of the queue itself.
    pool: Option<Arc<Pool>>,
}

impl Waiting {
    /// What the pool gave by `deadline`, if anything.
    pub(super) async fn granted(mut self, deadline: tokio::time::Instant) -> Option<Grant> {
        let grant = match tokio::time::timeout_at(deadline, &mut self.receiver).await {
            Ok(grant) => grant.ok(),
            Err(_) => {
                // What was sent in this very moment is taken, not dropped.
                self.receiver.close();
                self.receiver.try_recv().ok()
            }
        };
        if grant.is_some() {
            self.pool = None;
        }
        grant
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            self.receiver.close();
            // A grant still in the channel goes on to the next by its own drop, once this returns.
            pool.state.lock().waiters.retain(|waiter| !waiter.is_closed());
        }
    }
}

type Map<K, V> = HashMap<K, V, RandomState>;

/// All pools of one server.
#[derive(Debug)]
pub(super) struct Pools {
    size: usize,
    /// By account, then database: so that looking one up copies neither.
    pools: Mutex<Map<Account, Map<String, Arc<Pool>>>>,
}

impl Pools {
    pub(super) fn new(size: usize) -> Self {
        Pools { size, pools: Mutex::default() }
    }

    /// The pool of this user, proof and database if there is one.
    pub(super) fn existing(&self, account: &Account, database: &str) -> Option<Arc<Pool>> {
        self.pools.lock().get(account)?.get(database).cloned()
    }

    /// The pool of this user, proof and database. Making one forgets those that hold nothing, so that names nobody
    /// could log in with don't pile up.
    pub(super) fn of(&self, account: &Account, database: &str) -> Arc<Pool> {
        if let Some(pool) = self.existing(account, database) {
            return pool;
        }
        let mut pools = self.pools.lock();
        // A pool that anyone else holds may be about to be used.
        for databases in pools.values_mut() {
            databases.retain(|_, pool| Arc::strong_count(pool) > 1 || !pool.is_empty());
        }
        pools.retain(|_, databases| !databases.is_empty());
        let databases = pools.entry(account.clone()).or_default();
        Arc::clone(databases.entry(database.to_owned()).or_insert_with(|| Pool::new(self.size)))
    }

    /// Closes what has been idle for so long; with no limit, everything idle.
    pub(super) fn close_idle(&self, limit: Duration) {
        for pool in self.all() {
            pool.close_idle(limit);
        }
    }

    /// Connections open or being opened, and how many of them are idle.
    pub(super) fn counts(&self) -> (usize, usize) {
        self.all().iter().map(|pool| pool.counts()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().values().flat_map(HashMap::values).cloned().collect()
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
