//! `sidecache serve`: makes every part, gives each what it needs, keeps their tasks alive, and ends them in order.
//! The one place that knows how the parts hang together.

use super::console::Desk;
use super::drain::{Drained, Hangups, Pauses, Signals, Wish, drain};
use super::files;
use super::http;
use super::listen::{self, Arrival, CannotListen, Listener, Seats, Sharing};
use super::observe::{cache_counts, limits, listening_counts, redis_picture, server_picture};
use super::picture::{Picture, Readiness};
use super::reload::{Reloader, Reread, acceptor};
use super::supervise::supervise;
use crate::cache::{Cache, Options};
use crate::catalog::Current;
use crate::coherence::{Coherence, Rules};
use crate::config::users::Users;
use crate::config::{CacheMode, Config};
use crate::feed::Feed;
use crate::feed::state::FeedState;
use crate::route::rules::Rulebook;
use crate::route::ttl::TtlRules;
use crate::session;
use crate::telemetry::Telemetry;
use crate::telemetry::logs::Filter;
use crate::types::{Epoch, Moment};
use crate::upstream::{Role, Upstream};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often histograms are folded together, and readiness is looked at though nobody asks.
const READINESS_INTERVAL: Duration = Duration::from_secs(2);

/// Between two attempts to reach the primary at the start: doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(15);

/// How long a client that has just come may take to say its first word to a process that another has taken over from.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// Why the process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    CannotListen(#[from] CannotListen),
    #[error("signals cannot be handled: {0}")]
    Signals(io::Error),
    /// What was configured turned out to be unusable.
    #[error("{key}: {reason}")]
    Configuration { key: &'static str, reason: String },
}

/// What a process is started with.
pub struct Start {
    pub config: Config,
    pub users: Users,
    /// All, except in the tests which show that each is needed.
    pub rules: Rules,
    /// For a reload.
    pub reread: Reread,
    pub filter: Filter,
}

/// Serves until SIGTERM or SIGINT, then drains; SIGHUP reads settings and users anew, SIGUSR1 and SIGUSR2 pause and resume.
///
/// # Errors
/// A listener cannot be bound, or a certificate or URL is unusable. An unreachable server is no error: it is tried
/// again, and clients are told.
pub async fn serve(start: Start) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let mut hangups = Hangups::new().map_err(ServeError::Signals)?;
    let mut pauses = Pauses::new().map_err(ServeError::Signals)?;
    let config = &start.config;
    let (limit, wanted) = (files::raise_limit(), files::wanted(config));
    if let Some(limit) = limit.filter(|limit| *limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            "open files are limited to fewer than max_clients and a pool for each server may take"
        );
    }
    let sharing = if config.reuse_port { Sharing::Shared } else { Sharing::Alone };
    let mut listeners =
        config.listen.iter().map(|listen| listen::bind(listen, sharing)).collect::<Result<Vec<_>, _>>()?;
    let http = config.http.map(|address| listen::bind_http(address, sharing)).transpose()?;
    let instance = Arc::new(Instance::start(start)?);
    // Last, so that a process which cannot serve takes no client from one that does.
    listeners.iter_mut().try_for_each(Listener::take_place)?;
    let listening = CancellationToken::new();
    let sessions = TaskTracker::new();
    let accepting = instance.listen(listeners, sharing, &sessions, &listening);
    instance.answer_http(http);

    let upstream = &instance.shared.upstream;
    let mut pausing = None;
    let signal = loop {
        tokio::select! {
            signal = signals.next() => break signal,
            () = hangups.next() => {
                // Said where it happens.
                let _ = instance.reloader.reload();
            }
            wish = pauses.next() => match wish {
                Wish::Pause if upstream.is_paused() => tracing::warn!("SIGUSR1: already paused"),
                Wish::Pause => pausing = Some(Box::pin(upstream.pause())),
                Wish::Resume if !upstream.is_paused() => tracing::warn!("SIGUSR2: not paused"),
                Wish::Resume => {
                    pausing = None;
                    upstream.resume();
                    tracing::info!("resumed");
                }
            },
            true = finished(&mut pausing) => {
                pausing = None;
                // Unless an operator has resumed before all were back.
                if upstream.is_paused() {
                    tracing::info!("paused: sessions wait for connections");
                }
            }
        }
    };
    drop(pausing);
    let limit = instance.shared.upstream.live().drain_timeout;
    tracing::info!(signal, sessions = sessions.len(), ?limit, "draining");
    listening.cancel();
    // Who waits for a connection is to end, not to wait on.
    instance.shared.upstream.resume();
    accepting.wait().await;
    instance.end_newcomers(sharing);
    match drain(&sessions, &instance.shared.stop, limit, signals.next()).await {
        Drained::Whole => tracing::info!("every session has ended"),
        cut @ (Drained::TimedOut | Drained::Insisted) => {
            tracing::warn!(sessions = sessions.len(), why = ?cut, "sessions are cut off");
        }
    }
    instance.background.cancel();
    Ok(())
}

/// The end of what was begun; never comes where nothing was.
async fn finished<F: Future + Unpin>(begun: &mut Option<F>) -> F::Output {
    match begun {
        Some(begun) => begun.await,
        None => std::future::pending().await,
    }
}

/// Everything that runs.
struct Instance {
    shared: Arc<session::Shared>,
    /// Ends what serves the sessions, after them.
    background: CancellationToken,
    settled: Settled,
    reloader: Arc<Reloader>,
}

/// What has happened once since the start. A primary or stream that is lost later does not make the instance
/// unready: it goes on with what is left, which is better than nothing.
#[derive(Debug, Default)]
struct Settled {
    primary: OnceLock<()>,
    stream: OnceLock<()>,
}

impl Settled {
    /// `has_led`: somebody has been seen to take writes.
    fn look(&self, primary: Role, has_led: bool, stream: &'static str) -> Readiness {
        if primary != Role::Unknown {
            let _ = self.primary.set(());
        }
        // `off` and `cold` come with their explanation: the stream is absent, not merely not there yet.
        if matches!(stream, "live" | "off" | "cold") {
            let _ = self.stream.set(());
        }
        match (self.primary.get(), self.stream.get()) {
            (None, _) => Readiness::PrimaryNotReached,
            (Some(()), None) => Readiness::StreamNotSettled(stream),
            (Some(()), Some(())) if primary == Role::Replica && has_led => Readiness::NobodyTakesWrites,
            (Some(()), Some(())) => Readiness::Ready,
        }
    }
}

impl Instance {
    fn start(start: Start) -> Result<Self, ServeError> {
        let Start { config, users, rules, reread, filter } = start;
        let background = CancellationToken::new();
        let unusable = |key| move |reason: String| ServeError::Configuration { key, reason };
        let tls = acceptor(&config).map_err(|wrong| unusable(wrong.key)(wrong.reason))?;
        let upstream = Upstream::new(&config);
        let coherence = Coherence::with_rules(config.staleness, rules);
        let cache = match config.cache {
            CacheMode::Off => None,
            CacheMode::On | CacheMode::Shadow => Some(
                Cache::new(Arc::clone(&coherence), &Options::from(&config))
                    .map_err(|cause| unusable("redis")(cause.to_string()))?,
            ),
        };
        // Without cache and replicas nobody asks what a statement reads or what has changed.
        let heard = cache.is_some() || !config.replicas.is_empty();
        let feed =
            heard.then(|| Feed::start(Arc::clone(&upstream), Arc::clone(&coherence), &config, background.clone()));
        let catalog = feed.as_ref().map_or_else(|| Arc::new(Current::default()), |f| Arc::clone(&f.catalog));
        let watched = Arc::clone(&upstream);
        supervise("upstream watch", &background, move |stop| Arc::clone(&watched).watch(stop));
        if let Some(cache) = cache.clone() {
            supervise("cache maintenance", &background, move |_| Arc::clone(&cache).run());
        }
        let greeted = Arc::clone(&upstream);
        tokio::spawn(background.clone().run_until_cancelled_owned(greet_primary(greeted)));
        if let (Some(feed), Some(_)) = (&feed, &cache) {
            tokio::spawn(background.clone().run_until_cancelled_owned(say_basis(feed.clone(), config.ttl_rules.len())));
        }
        for trouble in config.zone_troubles() {
            tracing::warn!("{trouble}");
        }
        let telemetry = Telemetry::new();
        let shared = Arc::new(session::Shared {
            ttl: ArcSwap::from_pointee(TtlRules::new(&config.ttl_rules)),
            rules: Rulebook::new(&config.route_rules),
            config: Arc::new(config),
            users: ArcSwap::from_pointee(users),
            upstream,
            coherence,
            cache,
            catalog,
            feed,
            telemetry,
            tls: ArcSwapOption::from_pointee(tls),
            common: session::Common::default(),
            console: OnceLock::new(),
            stop: CancellationToken::new(),
            stop_newcomers: CancellationToken::new(),
        });
        let reloader = Arc::new(Reloader::new(Arc::clone(&shared), reread, filter));
        let desk = Arc::new(Desk { shared: Arc::clone(&shared), reloader: Arc::clone(&reloader) });
        if shared.console.set(desk).is_err() {
            unreachable!("it was made a moment ago, empty");
        }
        Ok(Instance { shared, background, settled: Settled::default(), reloader })
    }

    fn listen(
        &self,
        listeners: Vec<Listener>,
        sharing: Sharing,
        sessions: &TaskTracker,
        stop: &CancellationToken,
    ) -> TaskTracker {
        let accepting = TaskTracker::new();
        let upstream = Arc::clone(&self.shared.upstream);
        let seats = Seats::new(move || upstream.live().max_clients);
        for (listener, configured) in listeners.into_iter().zip(&self.shared.config.listen) {
            tracing::info!(on = %configured, "listening");
            let shared = Arc::clone(&self.shared);
            let converse = move |Arrival { stream, peer, seat }| {
                let shared = Arc::clone(&shared);
                async move {
                    let _counted = shared.telemetry.session();
                    session::run(stream, peer, seat, shared).await;
                }
            };
            let when = self.shared.config.keep_alive;
            accepting.spawn(listen::accept(
                (listener, when, sharing),
                seats.clone(),
                sessions.clone(),
                converse,
                stop.clone(),
            ));
        }
        accepting.close();
        accepting
    }

    /// Ends sessions that have asked nothing yet: at once or, where another process has taken over, once they had the time
    /// to ask, since they may have come in the very moment.
    fn end_newcomers(&self, sharing: Sharing) {
        let newcomers = self.shared.stop_newcomers.clone();
        match sharing {
            Sharing::Alone => newcomers.cancel(),
            Sharing::Shared => {
                tokio::spawn(async move {
                    tokio::time::sleep(FIRST_WORD).await;
                    newcomers.cancel();
                });
            }
        }
    }

    fn answer_http(self: &Arc<Self>, listener: Option<TcpListener>) {
        let instance = Arc::clone(self);
        supervise("readiness", &self.background, move |_| {
            let instance = Arc::clone(&instance);
            async move {
                loop {
                    tokio::time::sleep(READINESS_INTERVAL).await;
                    instance.readiness();
                }
            }
        });
        let Some(listener) = listener else { return };
        if let Some(on) = self.shared.config.http {
            tracing::info!(%on, "answering HTTP");
        }
        let instance = Arc::clone(self);
        let look: http::Look = Arc::new(move || instance.picture());
        let telemetry = Arc::clone(&self.shared.telemetry);
        tokio::spawn(http::serve(listener, telemetry, look, self.background.clone()));
    }

    fn stream(&self) -> (&'static str, Option<String>) {
        match self.shared.feed.as_ref().map(Feed::state) {
            Some(state) => (state.label(), state.reason().is_some().then(|| state.to_string())),
            None => ("off", Some("nothing needs it: the cache is off and there are no replicas".to_owned())),
        }
    }

    /// What a hit would be held against now.
    fn basis(&self, stream: &'static str) -> &'static str {
        match (&self.shared.cache, stream) {
            (None, _) => "none",
            (Some(_), "off") if self.shared.ttl.load().is_empty() => "none",
            (Some(_), "off") => "ttl",
            (Some(_), _) => "stream",
        }
    }

    fn readiness(&self) -> Readiness {
        if self.shared.stop.is_cancelled() {
            return Readiness::Draining;
        }
        let upstream = &self.shared.upstream;
        if upstream.is_overtaken() {
            return Readiness::Overtaken;
        }
        self.settled.look(upstream.primary().role(), upstream.epoch() != Epoch::default(), self.stream().0)
    }

    fn picture(&self) -> Picture {
        let shared = &self.shared;
        let (stream, stream_reason) = self.stream();
        Picture {
            epoch: shared.coherence.epoch().to_string(),
            stream,
            stream_reason,
            catalog: shared.feed.as_ref().map_or((0, 0), |feed| {
                let counters = feed.counters();
                (counters.verifications.read(), counters.catalogs.read())
            }),
            applied: shared.coherence.position(),
            staleness: shared.coherence.staleness(Moment::now()),
            retained_wal: shared.feed.as_ref().map_or(0, |feed| feed.counters().retained_wal.read()),
            mode: match shared.config.cache {
                CacheMode::On => "on",
                CacheMode::Off => "off",
                CacheMode::Shadow => "shadow",
            },
            basis: self.basis(stream),
            entries: shared.cache.as_ref().map_or(0, |cache| cache.entries()),
            bytes: shared.cache.as_ref().map_or(0, |cache| cache.bytes()),
            cache: shared.cache.as_ref().map(|cache| cache_counts(cache)).unwrap_or_default(),
            redis: shared.cache.as_ref().and_then(|cache| cache.shared()).map(redis_picture),
            servers: shared.upstream.servers().map(server_picture).collect(),
            listening: listening_counts(&shared.upstream),
            limits: limits(&shared.upstream),
            totals: shared.telemetry.totals(),
            readiness: self.readiness(),
            reload: self.reloader.picture(),
            paused: shared.upstream.is_paused(),
        }
    }
}

/// Says in the log what becomes of the cache once a stream cannot be had, and once it can again.
async fn say_basis(feed: Feed, rules: usize) {
    let mut states = feed.states();
    let mut said_off = false;
    loop {
        let state = states.borrow_and_update().clone();
        match state {
            FeedState::Off(why) if !said_off => {
                said_off = true;
                let kept =
                    if rules == 0 { "nothing is cached" } else { "only what [[ttl]] rules name is cached, by time" };
                tracing::warn!(%why, rules, "{kept}: changes cannot be heard, `sidecache check` says what to run");
            }
            FeedState::Live if said_off => {
                said_off = false;
                tracing::info!("changes are heard: hits are held against them from here on");
            }
            _ => {}
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// Says in the log whether the primary can be reached, until it was.
async fn greet_primary(upstream: Arc<Upstream>) {
    let mut retry = FIRST_RETRY;
    loop {
        let met = match upstream.control().await {
            Ok(control) => control.identity().await,
            Err(cause) => Err(cause),
        };
        match met {
            Ok(identity) => {
                let (version, wal_level) = (identity.version, identity.wal_level);
                tracing::info!(version, wal_level, in_recovery = identity.in_recovery, "the primary is reached");
                return;
            }
            Err(cause) => tracing::warn!(%cause, ?retry, "the primary cannot be reached, it is tried again"),
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(LAST_RETRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_primary_and_stream_were_settled_and_from_then_on() {
        let settled = Settled::default();
        assert_eq!(settled.look(Role::Unknown, true, "connecting"), Readiness::PrimaryNotReached);
        assert_eq!(settled.look(Role::Primary, true, "connecting"), Readiness::StreamNotSettled("connecting"));
        assert_eq!(settled.look(Role::Primary, true, "lost"), Readiness::StreamNotSettled("lost"));
        assert_eq!(settled.look(Role::Unknown, true, "proving"), Readiness::StreamNotSettled("proving"));
        assert_eq!(settled.look(Role::Primary, true, "live"), Readiness::Ready);
        assert_eq!(settled.look(Role::Unknown, true, "lost"), Readiness::Ready, "it goes on with what is left");
        assert_eq!(settled.look(Role::Replica, true, "lost"), Readiness::NobodyTakesWrites);
        assert_eq!(settled.look(Role::Replica, false, "lost"), Readiness::Ready, "it was given nothing but a replica");
    }

    #[test]
    fn an_absent_stream_that_is_explained_is_settled() {
        for state in ["off", "cold"] {
            assert_eq!(Settled::default().look(Role::Primary, true, state), Readiness::Ready);
        }
    }
}
