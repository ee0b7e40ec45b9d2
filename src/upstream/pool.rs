//! Connections of one user, proof and database on one server: at most so many, first come, first served. Whoever
//! holds a [`Slot`] may have a connection open; dropping it lets the next one in, however it came to be dropped. No
//! lock is held over an await, and none while anything is dropped or sent. Knows neither how to connect nor a session.

use super::gate::Gate;
use super::{Account, Connection};
use crate::config::Live;
use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What all pools go by.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub live: Arc<ArcSwap<Live>>,
    pub gate: Arc<Gate>,
}

/// The pool of one user, proof and database.
#[derive(Debug)]
pub(super) struct Pool {
    terms: Terms,
    state: Mutex<State>,
    /// The last login succeeded: what is missing may be opened before anyone asks.
    proven: AtomicBool,
}

/// Where there are waiters, nothing is idle and every slot is taken.
#[derive(Debug, Default)]
struct State {
    /// The one used last comes last, and first out: the others may grow old and be closed.
    idle: Vec<Idle>,
    /// Slots given out, and one for each idle connection.
    taken: usize,
    waiters: VecDeque<oneshot::Sender<Grant>>,
    /// Those whom the server would take no connection from: they wait for one that is open, or for the place of one that closes.
    hopeful: VecDeque<oneshot::Sender<Grant>>,
    /// Counts the slots that came free while nobody was there to take them.
    closed: u64,
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

impl Grant {
    /// Closes the connection, and then frees its slot.
    pub(super) fn forgo(self) {
        let Grant { slot, parked } = self;
        drop(parked);
        drop(slot);
    }
}

/// What a pool answers.
#[derive(Debug)]
pub(super) enum Claim {
    Granted(Grant),
    Wait(Waiting),
}

/// What becomes of a slot that was given back.
enum Next {
    Waiter(oneshot::Sender<Grant>),
    /// The connection is not to be kept.
    Close(Box<Connection>),
    Done,
}

impl Pool {
    pub(super) fn new(terms: Terms) -> Arc<Self> {
        Arc::new(Pool { terms, state: Mutex::default(), proven: AtomicBool::new(false) })
    }

    /// An idle connection, or the right to open one, or a place in the queue.
    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        let size = self.terms.live.load().pool_size;
        let mut state = self.state.lock();
        if let Some(idle) = state.idle.pop() {
            drop(state);
            return Claim::Granted(Grant { slot: Slot::of(self), parked: Some(idle.parked) });
        }
        if state.taken < size {
            state.taken += 1;
            drop(state);
            return Claim::Granted(Grant { slot: Slot::of(self), parked: None });
        }
        let (sender, receiver) = oneshot::channel();
        state.waiters.push_back(sender);
        Claim::Wait(Waiting { receiver, pool: Some(Arc::clone(self)), is_hopeful: false })
    }

    /// How often a slot came free: for who is about to open a connection, and may be refused ([`Slot::hope`]).
    pub(super) fn closed(&self) -> u64 {
        self.state.lock().closed
    }

    /// An idle connection, if there is one.
    pub(super) fn claim_idle(self: &Arc<Self>) -> Option<Grant> {
        let idle = self.state.lock().idle.pop()?;
        Some(Grant { slot: Slot::of(self), parked: Some(idle.parked) })
    }

    /// The right to open one more where fewer are open than are kept.
    pub(super) fn claim_missing(self: &Arc<Self>) -> Option<Slot> {
        let least = self.terms.live.load().pool_min;
        let mut state = self.state.lock();
        let missing = self.proven.load(Ordering::Relaxed) && state.taken < least && !self.terms.gate.is_closed();
        missing.then(|| {
            state.taken += 1;
            Slot::of(self)
        })
    }

    /// Whether the last login succeeded.
    pub(super) fn prove(&self, succeeded: bool) {
        self.proven.store(succeeded, Ordering::Relaxed);
    }

    /// Closes what has been idle for `limit`, but for `keep` connections, and what is worn.
    fn close_idle(self: &Arc<Self>, limit: Option<Duration>, keep: usize) {
        let live = self.terms.live.load();
        let old: Vec<Idle> = {
            let mut state = self.state.lock();
            let surplus = state.taken.saturating_sub(keep);
            let is_old = |idle: &&Idle| limit.is_some_and(|limit| idle.since.elapsed() >= limit);
            let count = state.idle.iter().take_while(is_old).count().min(surplus);
            let beyond = state.taken.saturating_sub(live.pool_size).min(state.idle.len());
            let mut old: Vec<Idle> = state.idle.drain(..count.max(beyond)).collect();
            let now = Instant::now();
            old.extend(state.idle.extract_if(.., |idle| idle.parked.is_worn(live.pool_lifetime, now)));
            old
        };
        for idle in old {
            // Freed only after the connection has been closed.
            let _slot = Slot::of(self);
            idle.parked.close();
        }
    }

    /// The pool may have become larger: the first waiters get what is free now.
    fn admit(self: &Arc<Self>) {
        let size = self.terms.live.load().pool_size;
        loop {
            let waiter = {
                let mut state = self.state.lock();
                if state.taken >= size {
                    return;
                }
                let Some(waiter) = state.waiters.pop_front() else { return };
                state.taken += 1;
                waiter
            };
            // Who has left gives the slot back by dropping it.
            drop(waiter.send(Grant { slot: Slot::of(self), parked: None }));
        }
    }

    /// Gives to the first waiter who still waits; keeps or frees what is left if there is none.
    fn offer(self: &Arc<Self>, mut parked: Option<Box<Connection>>, now: Instant) {
        loop {
            match self.next(&mut parked, now) {
                Next::Waiter(waiter) => match waiter.send(Grant { slot: Slot::of(self), parked: parked.take() }) {
                    Ok(()) => return,
                    Err(mut unwanted) => {
                        unwanted.slot.pool = None;
                        parked = unwanted.parked;
                    }
                },
                // Before its slot is free.
                Next::Close(surplus) => surplus.close(),
                Next::Done => return self.terms.gate.returned(),
            }
        }
    }

    fn next(&self, parked: &mut Option<Box<Connection>>, now: Instant) -> Next {
        let live = self.terms.live.load();
        let mut state = self.state.lock();
        // After a reload with a smaller size there may be more than anyone may have.
        if state.taken <= live.pool_size + live.pool_reserve
            && let Some(waiter) = state.waiters.pop_front()
        {
            return Next::Waiter(waiter);
        }
        // The server may take another in the place of one that has closed. Who is refused again wakes nobody by that (`Slot::hope`).
        if (parked.is_some() || state.taken <= live.pool_size)
            && let Some(hopeful) = state.hopeful.pop_front()
        {
            return Next::Waiter(hopeful);
        }
        match parked.take() {
            // What the reserve gave is not kept once nobody waits.
            Some(parked) if state.taken > live.pool_size || self.terms.gate.is_closed() => Next::Close(parked),
            Some(parked) => {
                state.idle.push(Idle { parked, since: now });
                Next::Done
            }
            None => {
                state.taken -= 1;
                state.closed += 1;
                Next::Done
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.state.lock().taken == 0
    }

    pub(super) fn counts(&self) -> PoolCounts {
        let state = self.state.lock();
        PoolCounts { open: state.taken, idle: state.idle.len(), waiting: state.waiters.len() + state.hopeful.len() }
    }
}

/// A pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolCounts {
    /// Connections open or being opened.
    pub open: usize,
    /// Those of them that wait for a session.
    pub idle: usize,
    /// Sessions that wait for a connection.
    pub waiting: usize,
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
    pub(super) fn give_back(mut self, parked: Box<Connection>, now: Instant) {
        if let Some(pool) = self.pool.take() {
            pool.offer(Some(parked), now);
        }
    }

    /// For who was refused a connection because the server has as many as it takes: an idle one, or a place in the queue for one of
    /// those that others have. The right to try again, if a slot came free since [`Pool::closed`] said `closed`, before the attempt: nobody
    /// was there to be woken then. `None`: there are no others, and whoever hopes is told so.
    ///
    /// The slot held no connection, so it wakes nobody who hopes: each attempt follows upon a connection that has come back or closed, and two
    /// that are refused cannot wake one another for ever. Who waits for a slot gets it, and hopes after that.
    pub(super) fn hope(mut self, closed: u64) -> Option<Claim> {
        let pool = Arc::clone(self.pool.as_ref()?);
        let mut state = pool.state.lock();
        if let Some(idle) = state.idle.pop() {
            // One of the two slots.
            state.taken -= 1;
            drop(state);
            return Some(Claim::Granted(Grant { slot: self, parked: Some(idle.parked) }));
        }
        if state.closed != closed {
            drop(state);
            return Some(Claim::Granted(Grant { slot: self, parked: None }));
        }
        let waiter = state.waiters.pop_front();
        if waiter.is_none() {
            self.pool = None;
            state.taken -= 1;
        }
        if state.taken == 0 {
            let disappointed = std::mem::take(&mut state.hopeful);
            drop(state);
            drop(disappointed);
            pool.terms.gate.returned();
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        state.hopeful.push_back(sender);
        drop(state);
        match waiter {
            // Who has left gives the slot back by dropping it.
            Some(waiter) => drop(waiter.send(Grant { slot: self, parked: None })),
            None => pool.terms.gate.returned(),
        }
        Some(Claim::Wait(Waiting { receiver, pool: Some(pool), is_hopeful: true }))
    }

    /// The slot with an idle connection, if one has come back meanwhile.
    pub(super) fn or_idle(self) -> Grant {
        let idle = self.pool.as_ref().and_then(|pool| {
            let mut state = pool.state.lock();
            let idle = state.idle.pop()?;
            // One of the two slots.
            state.taken -= 1;
            Some(idle)
        });
        Grant { slot: self, parked: idle.map(|idle| idle.parked) }
    }

    /// Another idle connection for one that proved broken; the slot stays either way.
    pub(super) fn another(&self) -> Option<Grant> {
        self.pool.as_ref()?.claim_idle()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.offer(None, Instant::now());
        }
    }
}

/// A place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    receiver: oneshot::Receiver<Grant>,
    /// Nothing once the pool has taken this out of the queue itself.
    pool: Option<Arc<Pool>>,
    is_hopeful: bool,
}

impl Waiting {
    /// What the pool gave by `deadline`, if anything; who has waited long enough may have one of the reserve. Nothing before it: there is
    /// nothing to hope for.
    pub(super) async fn granted(mut self, deadline: tokio::time::Instant) -> Option<Grant> {
        let reserved = self.pool.as_ref().and_then(|pool| {
            let live = pool.terms.live.load();
            (live.pool_reserve > 0 && !self.is_hopeful).then(|| tokio::time::Instant::now() + live.pool_reserve_after)
        });
        if let Some(reserved) = reserved.filter(|at| *at < deadline) {
            match tokio::time::timeout_at(reserved, &mut self.receiver).await {
                Ok(grant) => return self.took(grant.ok()),
                Err(_) => {
                    if let Some(grant) = self.of_reserve() {
                        return Some(grant);
                    }
                }
            }
        }
        let grant = match tokio::time::timeout_at(deadline, &mut self.receiver).await {
            Ok(grant) => grant.ok(),
            Err(_) => {
                // What was sent in this very moment is taken, not dropped.
                self.receiver.close();
                self.receiver.try_recv().ok()
            }
        };
        self.took(grant)
    }

    fn took(&mut self, grant: Option<Grant>) -> Option<Grant> {
        if grant.is_some() {
            self.pool = None;
        }
        grant
    }

    /// A slot beyond the pool's size. What was sent meanwhile goes on to the next when this place is left.
    fn of_reserve(&self) -> Option<Grant> {
        let pool = self.pool.as_ref()?;
        let live = pool.terms.live.load();
        let mut state = pool.state.lock();
        if state.taken >= live.pool_size + live.pool_reserve {
            return None;
        }
        state.taken += 1;
        drop(state);
        Some(Grant { slot: Slot::of(pool), parked: None })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            self.receiver.close();
            let mut state = pool.state.lock();
            state.waiters.retain(|waiter| !waiter.is_closed());
            state.hopeful.retain(|waiter| !waiter.is_closed());
            drop(state);
            // A grant still in the channel goes on to the next, with its connection.
            match self.receiver.try_recv() {
                Ok(Grant { slot, parked: Some(parked) }) => slot.give_back(parked, Instant::now()),
                Ok(Grant { slot, parked: None }) => drop(slot),
                Err(_) => {}
            }
        }
    }
}

type Map<K, V> = HashMap<K, V, RandomState>;

/// All pools of one server.
#[derive(Debug)]
pub(super) struct Pools {
    terms: Terms,
    /// By account, then database: so that looking one up copies neither.
    pools: Mutex<Map<Account, Map<String, Arc<Pool>>>>,
}

/// A pool and whose it is.
pub(super) struct Named {
    pub account: Account,
    pub database: String,
    pub pool: Arc<Pool>,
}

impl Pools {
    pub(super) fn new(terms: Terms) -> Self {
        Pools { terms, pools: Mutex::default() }
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
        Arc::clone(databases.entry(database.to_owned()).or_insert_with(|| Pool::new(self.terms.clone())))
    }

    /// Closes everything idle.
    pub(super) fn close_all_idle(&self) {
        self.all().iter().for_each(|pool| pool.close_idle(Some(Duration::ZERO), 0));
    }

    /// Closes what has been idle or alive for longer than it may.
    pub(super) fn close_old(&self) {
        let live = self.terms.live.load();
        self.all().iter().for_each(|pool| pool.close_idle(live.pool_idle_timeout, live.pool_min));
    }

    /// The terms have changed.
    pub(super) fn reconsider(&self) {
        for pool in self.all() {
            // Whether a user may still log in is seen when that user does.
            pool.prove(false);
            pool.admit();
        }
        self.close_old();
    }

    /// Over all of them.
    pub(super) fn counts(&self) -> PoolCounts {
        self.all().iter().map(|pool| pool.counts()).fold(PoolCounts::default(), |sum, one| PoolCounts {
            open: sum.open + one.open,
            idle: sum.idle + one.idle,
            waiting: sum.waiting + one.waiting,
        })
    }

    /// Each with its user and database.
    pub(super) fn named(&self) -> Vec<Named> {
        let pools = self.pools.lock();
        let each = pools.iter().flat_map(|(account, databases)| {
            databases.iter().map(|(database, pool)| Named {
                account: account.clone(),
                database: database.clone(),
                pool: Arc::clone(pool),
            })
        });
        each.collect()
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
