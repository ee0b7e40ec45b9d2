//! Watches every server by a connection of its own: role, replay, lag, reachability. What it saw counts until it loses
//! that connection, and not a moment longer.

use super::control::{Control, ControlError, Probe, Standing};
use super::evidence::{Measure, PrimaryHeard, Seen};
use super::leading::{Heard, Leading};
use super::status::{PassedOver, Role, ServerState};
use super::{Site, Upstream};
use crate::types::{Epoch, Moment};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often each is asked, at most; a tight bound on staleness asks for more.
const REPLICA_INTERVAL: Duration = Duration::from_millis(100);
const PRIMARY_INTERVAL: Duration = Duration::from_millis(500);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// A server that does not answer a probe within this time is taken for lost.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits between attempts to connect: doubled from the first to the last, each cut by up to half at random, so that
/// many instances don't knock at once.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// How often sessions' connections are looked through: what is too old is closed, what is to be kept is opened.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// Watches until told to stop.
pub(super) async fn watch(upstream: Arc<Upstream>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    for index in 0..upstream.sites.len() {
        tasks.spawn(watch_one(Arc::clone(&upstream), index));
    }
    let starting = Arc::clone(&upstream);
    tasks.spawn(async move { starting.settled().await });
    for index in 0..upstream.sites.len() {
        tasks.spawn(tend(Arc::clone(&upstream), index));
    }
    // Dropping the set ends them: each holds nothing that needs a farewell.
    stop.cancelled().await;
}

async fn tend(upstream: Arc<Upstream>, index: usize) {
    let Site { server, account, database } = &upstream.sites[index];
    // Held, so that it is not forgotten while it is empty.
    let own = server.pool_of(account, database);
    loop {
        if server.role() != Role::Unknown {
            // The watch has just logged in with it.
            own.prove(true);
        }
        server.tend().await;
        tokio::time::sleep(TEND_INTERVAL).await;
    }
}

async fn watch_one(upstream: Arc<Upstream>, index: usize) {
    let site = &upstream.sites[index];
    let mut log = Log { name: site.server.name().to_owned(), last: None, heard: None };
    let mut wait = FIRST_RETRY;
    loop {
        let cause = match Control::connect(site.server.target(), &site.account, &site.database).await {
            Ok(control) => {
                let (cause, has_answered) = observe(&upstream, index, &control, &mut log).await;
                // One that lets in and answers nothing is not asked by ever more connections.
                if has_answered {
                    wait = FIRST_RETRY;
                }
                cause
            }
            Err(cause) => cause,
        };
        site.server.lost();
        upstream.judged(|leading| leading.lost(index, Moment::now()));
        log.lost(&cause);
        // Either way it is tried again.
        let _ = tokio::time::timeout(jittered(wait), site.server.evidence().met()).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}

/// Asks until there is no answer, and says why, and whether there was one before.
async fn observe(upstream: &Upstream, index: usize, control: &Control, log: &mut Log) -> (ControlError, bool) {
    let site = &upstream.sites[index];
    // This connection is a new one.
    let _ = site.server.evidence().has_strayed();
    let mut has_answered = false;
    loop {
        let probe = match tokio::time::timeout(PROBE_TIMEOUT, control.probe()).await {
            Ok(Ok(probe)) => probe,
            Ok(Err(cause)) => return (cause, has_answered),
            Err(_) => return (ControlError(format!("no answer to a probe within {PROBE_TIMEOUT:?}")), has_answered),
        };
        has_answered = true;
        let heard = upstream.answered(index, &probe, Moment::now());
        log.saw(site);
        log.heard(heard);
        let interval = match probe.standing {
            Standing::Primary { .. } => PRIMARY_INTERVAL,
            Standing::Replica { .. } | Standing::Reader { .. } => REPLICA_INTERVAL,
        };
        // Whoever doubts what was seen is not to wait for long; nor are many of them to ask without a pause.
        tokio::time::sleep(SHORTEST_INTERVAL).await;
        let rest = interval.min(upstream.staleness / 4).saturating_sub(SHORTEST_INTERVAL);
        // Either way it is asked again.
        let _ = tokio::time::timeout(rest, site.server.evidence().doubted()).await;
        if site.server.evidence().has_strayed() {
            return (ControlError("its address leads new connections to another server".to_owned()), has_answered);
        }
    }
}

impl Upstream {
    /// Judges who leads. If that is another server than before, another history is written from here on.
    pub(super) fn judged<T>(&self, judge: impl FnOnce(&mut Leading) -> T) -> T {
        let mut leading = self.leading.lock();
        let before = leading.index();
        let judged = judge(&mut leading);
        let after = leading.index();
        self.starts.primary.store(after, Ordering::Release);
        let starts = &self.starts.overtaken;
        starts.is_so.store(leading.is_overtaken(Moment::now()), Ordering::Release);
        starts.is_followed.store(leading.is_followed(), Ordering::Release);
        self.starts.leader_started.store(leading.started().unwrap_or(0), Ordering::Release);
        let life = leading.epoch();
        self.lives.send_if_modified(|known| std::mem::replace(known, life) != life);
        let apart = leading.apart();
        drop(leading);
        for index in apart {
            let server = &self.sites[index].server;
            tracing::warn!(server = server.name(), "has replayed what the primary does not have: it takes no reads");
            server.doubt();
        }
        if before != after {
            let server = &self.sites[after].server;
            tracing::warn!(server = server.name(), "is the primary from here on");
            self.sites.iter().for_each(|site| site.server.begin_life());
            // A server that lost its role need not have ended their connections.
            self.listeners.stop(|listens| !Arc::ptr_eq(listens, server));
            server.doubt();
        }
        judged
    }

    /// Puts to use what a server said of itself. Gives what one that takes writes is, as soon as somebody leads.
    pub(super) fn answered(&self, index: usize, probe: &Probe, now: Moment) -> Option<Heard> {
        let server = &self.sites[index].server;
        server.evidence().took(now.since(probe.sent));
        match probe.standing {
            Standing::Replica { .. } | Standing::Reader { .. } => {
                // An open connection of a former primary would have ended; one of a replica lives on after promotion.
                if server.role() == Role::Primary {
                    server.begin_life();
                }
                let replayed = match probe.standing {
                    Standing::Replica { replayed, .. } => replayed,
                    _ => None,
                };
                let seen = self.judged(|leading| leading.replica_answered(index, probe, replayed, now));
                let followed = server.seen().following;
                server.observed(seen.clone(), replayed);
                if followed != seen.following && followed != Epoch::default() {
                    server.begin_life();
                }
                None
            }
            Standing::Primary { .. } => {
                let was = server.role();
                let (heard, parts) = self.judged(|leading| {
                    let parts = leading.parts(index, probe);
                    let present = self.sites[leading.index()].server.role();
                    (leading.primary_answered(index, probe, present), parts)
                });
                server.observed(
                    Seen {
                        role: Role::Primary,
                        asked: probe.sent,
                        following: match heard {
                            Heard::Same | Heard::NewLife => probe.identity.epoch,
                            Heard::Itself | Heard::Overtaken | Heard::Stranger => Epoch::default(),
                        },
                        fresh_at: None,
                        primary: PrimaryHeard::Lately,
                        lag_bytes: None,
                        measure: Measure::Position,
                        timeline: probe.timeline,
                    },
                    None,
                );
                // A server that lost its role need not have ended their connections.
                self.listeners.stop(|listens| !Arc::ptr_eq(listens, self.primary()));
                match heard {
                    Heard::NewLife if parts => {
                        self.sites.iter().for_each(|site| site.server.begin_life());
                        // Behind its address may be another server, and the one before ends nobody who listens there.
                        self.listeners.stop(|_| true);
                    }
                    Heard::NewLife => self.sites.iter().for_each(|site| site.server.retire_connections()),
                    Heard::Overtaken => server.begin_life(),
                    Heard::Stranger | Heard::Itself | Heard::Same if was == Role::Replica => server.begin_life(),
                    Heard::Stranger | Heard::Itself | Heard::Same => {}
                }
                if heard == Heard::Stranger && was != Role::Primary {
                    // Whom they follow is to be asked before they are read again.
                    self.replicas().for_each(|(_, replica)| replica.doubt());
                }
                Some(heard).filter(|heard| *heard == Heard::Overtaken || self.epoch() != Epoch::default())
            }
        }
    }
}

/// Between half and all of `wait`.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + random_share() / 2.0)
}

/// Between nothing and all.
pub(super) fn random_share() -> f64 {
    // A hasher with keys of its own is randomness enough to part instances and connections.
    (RandomState::new().build_hasher().finish() % 1024) as f64 / 1024.0
}

/// Tells of each change once.
struct Log {
    name: String,
    last: Option<(Role, ServerState)>,
    heard: Option<Heard>,
}

impl Log {
    fn saw(&mut self, site: &Site) {
        let status = site.server.status();
        let now = (status.role, status.state);
        if self.last != Some(now) {
            let (role, state) = (status.role.label(), status.state.label());
            tracing::info!(server = self.name, role, state, lag_bytes = status.lag_bytes, "server seen");
            self.last = Some(now);
        }
    }

    fn heard(&mut self, heard: Option<Heard>) {
        let server = &self.name;
        match heard {
            _ if self.heard == heard => {}
            Some(Heard::Stranger) => tracing::warn!(server, "takes writes and is not the primary: it is not used"),
            Some(Heard::Overtaken) => tracing::warn!(
                server,
                "is an old primary: a replica follows a later timeline; nobody takes writes until its primary is heard, or the replica is gone"
            ),
            Some(Heard::Itself) => tracing::info!(server, "is the primary itself, by another name: it takes no reads"),
            Some(Heard::Same | Heard::NewLife) | None => {}
        }
        self.heard = heard;
    }

    fn lost(&mut self, cause: &ControlError) {
        self.heard = None;
        let lost = (Role::Unknown, ServerState::PassedOver(PassedOver::Unreachable));
        if self.last != Some(lost) {
            tracing::warn!(server = self.name, %cause, "server lost");
            self.last = Some(lost);
        }
    }
}
