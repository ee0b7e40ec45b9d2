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
    let pinger = Pinger { upstream: &upstream, hearing: &hearing, staleness, ask: &ask, watched: upstream.epoch() };
    loop {
        match Link::open(&upstream).await {
            Ok(link) if link.epoch() == epoch && !link.identity.in_recovery => match pinger.run(&link).await {
                Stopped::Broken(broken) => tracing::debug!(%broken, "ping connection lost"),
                Stopped::OtherPrimary => return Lost::OtherIncarnation,
            },
            Ok(_) => return Lost::OtherIncarnation,
            Err(broken) => tracing::debug!(%broken, "no ping connection"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

struct Pinger<'a> {
    upstream: &'a Upstream,
    hearing: &'a Hearing,
    staleness: Duration,
    ask: &'a Ask,
    /// What the watch of all servers held for the primary's incarnation as the stream began; it may lag behind us.
    watched: Epoch,
}

/// Why pinging on one connection ended.
#[derive(Debug)]
enum Stopped {
    Broken(Broken),
    /// The watch has since found that another server, or another life of this one, is the primary: ours may go on answering,
    /// alone on its side of a broken network.
    OtherPrimary,
}

impl From<Broken> for Stopped {
    fn from(broken: Broken) -> Self {
        Stopped::Broken(broken)
    }
}

impl Pinger<'_> {
    async fn run(&self, link: &Link) -> Stopped {
        let mut ticks = tokio::time::interval(interval(self.staleness));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tail = Tail::new(self.staleness);
        loop {
            ticks.tick().await;
            if let Err(stopped) = self.ping(link, &mut tail).await {
                return stopped;
            }
        }
    }

    async fn ping(&self, link: &Link, tail: &mut Tail) -> Result<(), Stopped> {
        let now = self.upstream.epoch();
        if now != self.watched && now != link.epoch() && now != Epoch::default() {
            return Err(Stopped::OtherPrimary);
        }
        let (sent, position) = link.ping().await?;
        self.hearing.coherence.pinged(sent, position);
        self.upstream.saw_primary(link.epoch(), sent, position);
        self.ask.position();
        self.hearing.coherence.saw_snapshot(&link.snapshot().await?);
        if tail.is_stuck(self.hearing.coherence.position(), position)
            && link.value::<Lsn>("SELECT pg_current_wal_flush_lsn()::text").await? < position
        {
            self.hearing.counters.nudges.raise();
            link.own_commit().await?;
        }
        Ok(())
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
