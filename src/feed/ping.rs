//! Proves how fresh the stream is: notes an instant, asks the primary how far its WAL goes, and has the sender say when it has
//! got there. Also confirms commits as visible while no fill does. Takes in no commit.

use super::hearing::Hearing;
use super::link::{Broken, Link};
use super::sockets::Ask;
use super::state::Lost;
use crate::types::{Epoch, Lsn};
use crate::upstream::Upstream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// Between two pings, whatever the staleness bound.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(100);

/// Between two attempts to connect.
const RECONNECT: Duration = Duration::from_millis(200);

/// How often pings are sent under this staleness bound.
pub(super) fn interval(staleness: Duration) -> Duration {
    (staleness / 10).clamp(SHORTEST, LONGEST)
}

/// Pings on a connection of its own until the server turns out to be another one. A broken connection is made again: meanwhile
/// freshness ages, which is all that must happen.
pub(super) async fn run(
    upstream: Arc<Upstream>,
    hearing: Arc<Hearing>,
    epoch: Epoch,
    staleness: Duration,
    ask: Arc<Ask>,
) -> Lost {
    loop {
        match Link::open(&upstream).await {
            Ok(link) if link.epoch() == epoch && !link.identity.in_recovery => {
                let Err(broken) = on_link(&link, &hearing, staleness, &ask).await;
                tracing::debug!(%broken, "ping connection lost");
            }
            Ok(_) => return Lost::OtherIncarnation,
            Err(broken) => tracing::debug!(%broken, "no ping connection"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn on_link(
    link: &Link,
    hearing: &Hearing,
    staleness: Duration,
    ask: &Ask,
) -> Result<std::convert::Infallible, Broken> {
    let mut ticks = tokio::time::interval(interval(staleness));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tail = Tail::new(staleness);
    loop {
        ticks.tick().await;
        let (sent, position) = link.ping().await?;
        hearing.coherence.pinged(sent, position);
        ask.position();
        hearing.coherence.saw_snapshot(&link.snapshot().await?);
        if tail.is_stuck(hearing.coherence.position(), position)
            && link.value::<Lsn>("SELECT pg_current_wal_flush_lsn()::text").await? < position
        {
            hearing.counters.nudges.raise();
            link.own_commit().await?;
        }
    }
}

/// Notices a tail of the WAL that nobody flushes: pruning a page on read writes WAL that no commit follows, and an idle WAL writer
/// sleeps for seconds. The stream cannot pass such a tail, so freshness could not be proven; a commit of our own flushes it.
#[derive(Debug)]
struct Tail {
    patience: Duration,
    /// The oldest position that was not reached, and since when.
    waiting: Option<(Lsn, Instant)>,
}

impl Tail {
    fn new(staleness: Duration) -> Self {
        Tail { patience: staleness / 4, waiting: None }
    }

    fn is_stuck(&mut self, heard: Lsn, asked: Lsn) -> bool {
        match self.waiting {
            Some((position, since)) if heard < position => {
                let stuck = since.elapsed() >= self.patience;
                if stuck {
                    self.waiting = None;
                }
                stuck
            }
            _ => {
                self.waiting = (heard < asked).then(|| (asked, Instant::now()));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_neither_rare_nor_a_burden() {
        assert_eq!(interval(Duration::from_secs(1)), LONGEST);
        assert_eq!(interval(Duration::from_millis(500)), Duration::from_millis(50));
        assert_eq!(interval(Duration::from_millis(1)), SHORTEST);
    }

    #[test]
    fn a_tail_is_stuck_only_if_the_same_position_stays_ahead() {
        let at = Lsn::new;
        let mut patient = Tail { patience: Duration::from_secs(3600), waiting: None };
        assert!(!patient.is_stuck(at(5), at(9)));
        assert!(!patient.is_stuck(at(5), at(9)));
        let mut tail = Tail { patience: Duration::ZERO, waiting: None };
        assert!(!tail.is_stuck(at(9), at(9)));
        assert!(!tail.is_stuck(at(9), at(12)), "only now is it ahead");
        assert!(!tail.is_stuck(at(12), at(15)), "the stream moves");
        assert!(tail.is_stuck(at(12), at(20)));
    }
}
