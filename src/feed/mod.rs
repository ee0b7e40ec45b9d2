//! Hears changes: the WAL stream, pings, catalog verification. Moves `coherence` forward. Knows no entries and no clients.
//!
//! [`Feed::start`] runs two tasks for as long as the instance lives. One keeps the catalog (`verify`), stream or none. The other makes a
//! stream, again and again: `stream` runs one, in which `sockets` reads and confirms, `decode` turns lines into commits, `queue` lies between,
//! `hearing` tells `coherence`, and `ping` proves how fresh it is.

pub mod counters;
pub mod decode;
mod hearing;
mod link;
mod load;
mod ping;
pub mod queue;
mod roles;
mod sockets;
pub mod state;
mod stream;
mod verify;

use crate::catalog::{CatalogVersion, Current};
use crate::coherence::Coherence;
use crate::config::Config;
use crate::upstream::Upstream;
use counters::Counters;
use hearing::Hearing;
use state::{End, FeedState, Off};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::Attempt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two attempts while only a change of the primary's setup can help, or another primary.
const OFF: Duration = Duration::from_secs(15);

/// Between two attempts at a stream that broke: doubled each time, and spread by half, until one lives for long.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A stream that lived this long broke by itself, and is made again at once.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// The running feed, as others see it.
#[derive(Debug, Clone)]
pub struct Feed {
    /// The loaded catalog. Empty (version 0) until the first is loaded.
    pub catalog: Arc<Current>,
    /// The version of the loaded catalog, told after it was published.
    pub catalog_version_changed: watch::Receiver<CatalogVersion>,
    state: watch::Receiver<FeedState>,
    hearing: Arc<Hearing>,
}

impl Feed {
    /// Starts hearing the primary, until `stop`.
    pub fn start(upstream: Arc<Upstream>, coherence: Arc<Coherence>, config: &Config, stop: CancellationToken) -> Feed {
        let catalog = Arc::new(Current::default());
        let hearing = Hearing::new(coherence, catalog.clone());
        let (versions, catalog_version_changed) = watch::channel(CatalogVersion::default());
        let (states, state) = watch::channel(FeedState::Connecting);
        let staleness = config.staleness;
        let verify = verify::run(upstream.clone(), hearing.clone(), staleness, versions);
        tokio::spawn(stop.clone().run_until_cancelled_owned(verify));
        let streams = keep_streaming(upstream, hearing.clone(), (staleness, config.max_retained_wal), states);
        let ended = hearing.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled_owned(streams).await;
            ended.lose();
        });
        Feed { catalog, catalog_version_changed, state, hearing }
    }

    /// What the feed is doing.
    pub fn state(&self) -> FeedState {
        self.state.borrow().clone()
    }

    /// Whether no stream can be had until someone changes how the primary is set up. Not while one is merely lost, or
    /// while what should be the primary replays another's WAL: then the answers of another server are due.
    pub fn is_off(&self) -> bool {
        matches!(&*self.state.borrow(), FeedState::Off(off) if *off != Off::InRecovery)
    }

    /// To wait for a state.
    pub fn states(&self) -> watch::Receiver<FeedState> {
        self.state.clone()
    }

    /// What happened since the start.
    pub fn counters(&self) -> &Counters {
        &self.hearing.counters
    }

    /// For sessions that see DDL pass.
    pub fn doubts(&self) -> Doubts {
        Doubts { hearing: self.hearing.clone() }
    }
}

/// Lets a session say that the catalog may have changed, and wait until it has been looked at.
#[derive(Debug, Clone)]
pub struct Doubts {
    hearing: Arc<Hearing>,
}

/// How a wait for the catalog ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// A verification that began after the doubt has ended.
    Yes,
    /// Not within the time given: the catalog stays in doubt.
    NotYet,
}

impl Doubts {
    /// The catalog may have changed: nothing is served or stored until a verification that begins now has ended. To be called
    /// before the statement that may change it is sent, and again once its commit was acknowledged: a verification between the
    /// two sees the old catalog. Returns the doubt's number.
    pub fn raise(&self) -> u64 {
        let doubt = self.hearing.coherence.doubt_catalog();
        self.hearing.doubted.notify_one();
        doubt
    }

    /// Waits until this doubt, and all before it, are settled.
    pub async fn settled(&self, doubt: u64, patience: Duration) -> Settled {
        let mut settled = self.hearing.settled.subscribe();
        match tokio::time::timeout(patience, settled.wait_for(|number| *number >= doubt)).await {
            Ok(Ok(_)) => Settled::Yes,
            Ok(Err(_)) | Err(_) => Settled::NotYet,
        }
    }
}

/// Makes a stream whenever there is none.
async fn keep_streaming(
    upstream: Arc<Upstream>,
    hearing: Arc<Hearing>,
    (staleness, max_retained_wal): (Duration, u64),
    state: watch::Sender<FeedState>,
) {
    let mut backoff = SHORTEST_BACKOFF;
    loop {
        let (begun, life) = (Instant::now(), upstream.epoch());
        let attempt = Attempt { upstream: &upstream, hearing: &hearing, staleness, max_retained_wal, state: &state };
        let end = attempt.run().await;
        if begun.elapsed() > LONG_LIFE {
            backoff = SHORTEST_BACKOFF;
        }
        let now = match end {
            End::Off(off) => FeedState::Off(off),
            End::Cold => FeedState::Cold,
            End::Lost(lost) => FeedState::Lost(lost),
        };
        let pause = if matches!(now, FeedState::Off(_)) { OFF } else { jittered(backoff) };
        if state.send_replace(now.clone()) != now {
            tracing::warn!(state = now.label(), reason = now.reason(), "no stream: {now}");
        }
        match tokio::time::timeout(pause, upstream.another_life(life)).await {
            Ok(()) => backoff = SHORTEST_BACKOFF,
            Err(_) => backoff = (backoff * 2).min(LONGEST_BACKOFF),
        }
    }
}

/// Between the whole and half of it, so that instances that lost the same primary don't come back at once.
fn jittered(backoff: Duration) -> Duration {
    let millis = u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis - load::random() % (millis / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_is_spread_and_bounded() {
        for _ in 0..100 {
            let pause = jittered(LONGEST_BACKOFF);
            assert!(pause <= LONGEST_BACKOFF && pause >= LONGEST_BACKOFF / 2);
        }
    }
}
