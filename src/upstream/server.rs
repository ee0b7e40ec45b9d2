//! One configured server: its pools, the requests it has in hand, and what the watch saw of it. Judges whether a read
//! may go here; does not choose between servers.

use super::connection::Facts;
use super::evidence::{Evidence, Measure, Seen};
use super::lease::Lease;
use super::paths::Paths;
use super::pool::{Claim, Grant, Named, Pool, PoolCounts, Pools, Slot, Terms};
use super::starts::{Starts, Unlike};
use super::status::{PassedOver, Role, ServerState, ServerStatus};
use super::transport::Target;
use super::{Account, Connection, LeaseError};
use crate::types::{Epoch, Lsn, Moment};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A server counts a connection that has been closed until its process has ended: who comes in its place and is refused looks
/// again after so long, so often.
const LEAVING: Duration = Duration::from_millis(50);
const LEAVING_LOOKS: u32 = 10;

/// One configured server, its pools and what is known of it.
#[derive(Debug)]
pub struct Server {
    name: String,
    zone: Option<String>,
    /// In this instance's zone, or that has none.
    is_near: bool,
    target: Target,
    terms: Terms,
    starts: Arc<Starts>,
    unlike: Unlike,
    pools: Pools,
    /// Of every connection that is open. Those that have closed are forgotten when the next one opens.
    facts: Mutex<Vec<Weak<Facts>>>,
    /// Counts the lives of this server that were noticed: connections from an earlier one are not used again.
    generation: AtomicU64,
    /// The generation that began with the server's present life: connections from before it reach another primary's history.
    reborn: AtomicU64,
    /// For who waits for another.
    rebirth: Notify,
    paths: Paths,
    outstanding: AtomicUsize,
    statements: AtomicU64,
    evidence: Evidence,
}

impl Server {
    pub(super) fn new(
        name: String,
        zone: Option<String>,
        is_near: bool,
        target: Target,
        staleness: Duration,
        (terms, starts): (Terms, Arc<Starts>),
    ) -> Arc<Self> {
        Arc::new(Server {
            name,
            zone,
            is_near,
            target,
            pools: Pools::new(terms.clone()),
            terms,
            starts,
            unlike: Unlike::default(),
            facts: Mutex::default(),
            generation: AtomicU64::new(0),
            reborn: AtomicU64::new(0),
            rebirth: Notify::new(),
            paths: Paths::default(),
            outstanding: AtomicUsize::new(0),
            statements: AtomicU64::new(0),
            evidence: Evidence::new(staleness),
        })
    }

    /// `primary` or `replica-N`, for metrics and logs: as configured, whatever its role is now.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As configured.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Whether it is in this instance's zone. Every server is, where the instance has none.
    pub fn is_near(&self) -> bool {
        self.is_near
    }

    /// Where it listens.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// As last observed.
    pub fn role(&self) -> Role {
        self.evidence.seen().role
    }

    /// Whether the watch cannot reach it. Before its first attempt it is not known to.
    pub(super) fn is_silent(&self) -> bool {
        self.role() == Role::Unknown && self.evidence.is_tried()
    }

    /// Requests sent and not yet answered; the session counts them by [`Server::request`].
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Requests sent since the start.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Counts one request while the guard lives.
    pub fn request(&self) -> RequestGuard<'_> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        RequestGuard { server: self }
    }

    /// A lower bound of what this replica has replayed: raised by every probe and fill.
    pub fn replayed(&self) -> Lsn {
        self.evidence.replayed()
    }

    /// The replica itself said, on a connection that still lives, that it has replayed up to here. Who holds a lease
    /// uses [`Lease::saw_replayed`].
    pub fn saw_replayed(&self, position: Lsn) {
        self.evidence.saw_replayed(position, None);
    }

    /// May this replica take a read that must not be older than `floor`?
    ///
    /// # Errors
    /// Why not.
    pub fn fit(&self, epoch: Epoch, floor: Lsn) -> Result<(), PassedOver> {
        self.fit_at(epoch, floor, Moment::now())
    }

    /// As [`Server::fit`], at a given instant.
    ///
    /// # Errors
    /// Why not.
    pub fn fit_at(&self, epoch: Epoch, floor: Lsn, now: Moment) -> Result<(), PassedOver> {
        self.evidence.fit_at(epoch, floor, now)
    }

    /// By what it is known how far it has come.
    pub fn measure(&self) -> Measure {
        self.evidence.measure()
    }

    /// May this replica, which tells no position, take a read of all that was so at `since`?
    ///
    /// # Errors
    /// Why not.
    pub fn fit_since(&self, epoch: Epoch, since: Moment) -> Result<(), PassedOver> {
        self.evidence.fit_since(epoch, since, Moment::now())
    }

    /// Changes whenever the watch loses this server: a replica that comes back may show less than before.
    pub fn life(&self) -> u64 {
        self.evidence.life()
    }

    /// A connection to it broke, it could not be reached, or it said that its role has changed: nothing that was heard of it
    /// before counts until it has been asked again, which it is at once.
    pub fn doubt(&self) {
        self.evidence.doubt(Moment::now());
    }

    /// How long it takes to answer the watch, on average; zero if that is not known.
    pub fn latency(&self) -> Duration {
        self.evidence.latency()
    }

    pub(super) fn starts(&self) -> &Starts {
        &self.starts
    }

    pub(super) fn unlike(&self) -> &Unlike {
        &self.unlike
    }

    /// Whether sessions of this account have just been found not to start there as on the primary.
    pub fn is_unlike(&self, account: &Account, database: &str) -> bool {
        self.unlike.is_recent(account, database)
    }

    /// Counts the times that connections were retired.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// A snapshot for `/status`.
    pub fn status(&self) -> ServerStatus {
        let seen = self.evidence.seen();
        let leads = seen.role == Role::Primary && seen.following != Epoch::default();
        let fit = if leads { Ok(()) } else { self.fit(seen.following, Lsn::ZERO) };
        let state = fit.map_or_else(ServerState::PassedOver, |()| ServerState::Ready);
        let late = || seen.fresh_at.map(|fresh_at| Moment::now().since(fresh_at));
        let PoolCounts { open: connections, idle, .. } = self.pools.counts();
        ServerStatus {
            name: self.name.clone(),
            address: self.target.to_string(),
            role: seen.role,
            zone: self.zone.clone(),
            state,
            lag_bytes: if leads { Some(0) } else { seen.lag_bytes },
            lag: if leads { Some(Duration::ZERO) } else { late() },
            latency: self.latency(),
            statements: self.statements(),
            outstanding: self.outstanding(),
            connections,
            idle,
        }
    }

    /// Waits for a free connection of this user and database, or opens one; first come, first served. While paused, as
    /// long as that lasts.
    ///
    /// # Errors
    /// The pool stayed full, the server cannot be reached, or it refuses the login.
    pub async fn lease(self: &Arc<Self>, account: &Account, database: &str) -> Result<Lease, LeaseError> {
        let pool = self.pools.of(account, database);
        let most = self.terms.live.load().pool_timeout;
        let deadline = Instant::now() + most;
        let mut grant = self.granted(&pool).await?;
        let mut patience = 0;
        loop {
            let slot = match self.usable(grant) {
                Ok(lease) => return Ok(lease),
                Err(slot) => slot,
            };
            let closed = pool.closed();
            // Seldom needed and large: it would take its room in the future of every statement.
            let opened = Box::pin(self.open(account, database)).await;
            pool.prove(opened.is_ok());
            let refused = match opened {
                Ok(connection) => return Ok(self.lend(slot, connection)),
                // A replica's reads go elsewhere instead.
                Err(error) if error.is_full() && self.role() == Role::Primary => error,
                Err(error) => return Err(error),
            };
            if patience > 0 && Instant::now() + LEAVING < deadline {
                patience -= 1;
                tokio::time::sleep(LEAVING).await;
                grant = slot.or_idle();
                continue;
            }
            // The server takes no more connections: those that are there are shared.
            grant = match slot.hope(closed) {
                Some(Claim::Granted(grant)) => grant,
                Some(Claim::Wait(waiting)) => match Box::pin(waiting.granted(deadline)).await {
                    Some(grant) => grant,
                    None if Instant::now() < deadline => return Err(refused),
                    None => return Err(LeaseError::Saturated(most)),
                },
                None => return Err(refused),
            };
            // Where there is none with it, one has just been closed.
            patience = if grant.parked.is_none() { LEAVING_LOOKS } else { 0 };
        }
    }

    async fn granted(&self, pool: &Arc<Pool>) -> Result<Grant, LeaseError> {
        loop {
            self.terms.gate.pass().await;
            let grant = match pool.claim() {
                Claim::Granted(grant) => Some(grant),
                Claim::Wait(waiting) => {
                    let most = self.terms.live.load().pool_timeout;
                    let grant = waiting.granted(Instant::now() + most).await;
                    if grant.is_none() && !self.terms.gate.is_closed() {
                        return Err(LeaseError::Saturated(most));
                    }
                    grant
                }
            };
            match grant {
                Some(grant) if !self.terms.gate.is_closed() => return Ok(grant),
                // Paused meanwhile: whoever paused may have counted already.
                Some(grant) => grant.forgo(),
                None => {}
            }
        }
    }

    /// Shown to operators as long as somebody keeps it.
    pub(super) fn made(&self, facts: Arc<Facts>) -> Arc<Facts> {
        let mut known = self.facts.lock();
        known.retain(|facts| facts.strong_count() > 0);
        known.push(Arc::downgrade(&facts));
        facts
    }

    /// A connection that is idle and alive, without waiting: nothing if there is none.
    pub fn try_lease(self: &Arc<Self>, account: &Account, database: &str) -> Option<Lease> {
        self.door(account, database)?.try_lease()
    }

    /// The way to this user's idle connections: nothing while there never was one.
    pub fn door(self: &Arc<Self>, account: &Account, database: &str) -> Option<Door> {
        Some(Door { server: Arc::clone(self), pool: self.pools.existing(account, database)? })
    }

    /// The granted connection, or another that is idle, if it is alive; else the slot to open one.
    fn usable(self: &Arc<Self>, grant: Grant) -> Result<Lease, Slot> {
        let Grant { mut slot, mut parked } = grant;
        while let Some(mut candidate) = parked {
            if self.is_current(&candidate) {
                let checked = candidate.check();
                // It says that its role has changed, or has ended the connection: it may have crashed, and be back with less.
                if checked.is_err() || candidate.has_role_news() {
                    self.doubt();
                }
                if checked.is_ok() {
                    return Ok(self.lend(slot, candidate));
                }
            }
            drop(candidate);
            let Some(next) = slot.another() else { break };
            // The broken one's slot is freed only after it has been closed, so the limit holds on the server too.
            Grant { slot, parked } = next;
        }
        Err(slot)
    }

    fn lend(self: &Arc<Self>, slot: Slot, connection: Box<Connection>) -> Lease {
        Lease::new(connection, Arc::clone(self), slot)
    }

    /// Puts to use what the watch saw.
    pub(super) fn observed(&self, seen: Seen, replayed: Option<Lsn>) {
        if let Some(position) = replayed {
            self.saw_replayed(position);
        }
        self.evidence.observed(seen);
    }

    /// The watch lost this server: what was known of it no longer counts.
    pub(super) fn lost(&self) {
        self.evidence.lost();
    }

    pub(super) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.evidence.seen())
    }

    /// This server, or the primary that it follows, has begun another life: no connection opened before now is used by
    /// another request, and none that is held for a transaction either.
    pub(super) fn begin_life(&self) {
        self.reborn.fetch_max(self.generation.load(Ordering::Acquire) + 1, Ordering::AcqRel);
        self.rebirth.notify_waiters();
        self.retire_connections();
    }

    pub(super) fn is_current(&self, connection: &Connection) -> bool {
        connection.generation == self.generation()
    }

    /// Whether it knows which schemas of its path its role may use now.
    pub(super) fn knows_path(&self, connection: &Connection) -> bool {
        connection.paths == self.paths.changes()
    }

    /// Changes of paths that whoever asks this server anew is told of.
    pub(super) fn paths_shown(&self) -> u64 {
        self.paths.shown(&self.evidence.seen(), self.replayed())
    }

    pub(super) fn paths_changed(&self, at: Lsn) {
        self.paths.changed(at);
    }

    pub(super) fn has_outlived(&self, connection: &Connection) -> bool {
        self.has_outlived_generation(connection.generation)
    }

    pub(super) fn has_outlived_generation(&self, generation: u64) -> bool {
        generation < self.reborn.load(Ordering::Acquire)
    }

    /// Returns once it has.
    pub(super) async fn outlives(&self, generation: u64) {
        loop {
            let mut reborn = std::pin::pin!(self.rebirth.notified());
            // Before the look, so that none is missed in between.
            reborn.as_mut().enable();
            if self.has_outlived_generation(generation) {
                return;
            }
            reborn.await;
        }
    }

    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.terms.live.load().pool_lifetime
    }

    /// Lets no connection opened before now be used by another request.
    pub(super) fn retire_connections(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.pools.close_all_idle();
    }

    /// Closes connections that have been idle or alive for longer than they may, and opens those that are to be kept.
    pub(super) async fn tend(self: &Arc<Self>) {
        self.pools.close_old();
        if self.terms.live.load().pool_min == 0 {
            return;
        }
        for Named { account, database, pool } in self.pools.named() {
            while let Some(slot) = pool.claim_missing() {
                match self.open(&account, &database).await {
                    Ok(connection) => slot.give_back(connection, std::time::Instant::now()),
                    Err(error) => {
                        tracing::debug!(server = self.name, %error, "a connection could not be kept ready");
                        pool.prove(false);
                    }
                }
            }
        }
    }

    /// The pool of an account, made if nobody has asked for one yet.
    pub(super) fn pool_of(&self, account: &Account, database: &str) -> Arc<Pool> {
        self.pools.of(account, database)
    }

    /// The limits have changed.
    pub(super) fn reconsider(&self) {
        self.pools.reconsider();
    }

    /// No connection is lent, nor about to be.
    pub(super) fn is_at_rest(&self) -> bool {
        let counts = self.pools.counts();
        counts.open == counts.idle
    }

    /// Closes every connection that nobody uses.
    pub(super) fn close_all_idle(&self) {
        self.pools.close_all_idle();
    }

    /// Every pool, by user and database.
    pub fn pool_counts(&self) -> Vec<(String, String, PoolCounts)> {
        self.pools.named().into_iter().map(|named| (named.account.user, named.database, named.pool.counts())).collect()
    }

    /// Every connection that is open.
    pub fn connections(&self) -> Vec<Arc<Facts>> {
        self.facts.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// A replica of this life that has everything and takes so long to answer: for tests of a choice.
    #[cfg(test)]
    pub(crate) fn seem_fit(&self, following: Epoch, took: Duration) {
        use super::evidence::PrimaryHeard;
        let now = Moment::now();
        let (role, measure, primary) = (Role::Replica, Measure::Position, PrimaryHeard::Lately);
        let (asked, fresh_at, lag_bytes, timeline) = (now, Some(now), Some(0), Some(1));
        let seen = Seen { role, asked, following, fresh_at, primary, lag_bytes, measure, timeline };
        self.observed(seen, Some(Lsn::new(u64::MAX)));
        self.evidence.took(took);
    }

    #[cfg(test)]
    pub(super) fn pools(&self) -> &Pools {
        &self.pools
    }
}

/// A pool that was found by name, for whoever leases from it again and again.
#[derive(Debug)]
pub struct Door {
    server: Arc<Server>,
    pool: Arc<Pool>,
}

impl Door {
    /// Whether it is this server's.
    pub fn leads_to(&self, server: &Arc<Server>) -> bool {
        Arc::ptr_eq(&self.server, server)
    }

    /// A connection that is idle and alive, without waiting: nothing if there is none.
    pub fn try_lease(&self) -> Option<Lease> {
        let grant = self.pool.claim_idle()?;
        if self.server.terms.gate.is_closed() {
            grant.forgo();
            return None;
        }
        self.server.usable(grant).ok()
    }
}

/// Counts one request of a server while it lives.
#[derive(Debug)]
pub struct RequestGuard<'a> {
    server: &'a Server,
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        self.server.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
