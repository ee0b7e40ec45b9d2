//! Whether the shared tier may be asked. Holds the one live connection; after a few failures in a row takes it away, so
//! that nobody waits for a server that is down, and gives it back only when a background probe has succeeded: no
//! request is ever the probe. Does not know what a connection is, and has no clock.

use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tokio::sync::Notify;

/// What the breaker shows to operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// The tier is asked.
    Closed,
    /// It is not asked; a pause runs until the next probe.
    Open,
    /// It is not asked; a probe runs.
    HalfOpen,
}

impl BreakerState {
    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        }
    }
}

/// One connection and how it fares. Failures of a connection that was replaced count for nothing.
#[derive(Debug)]
pub struct Live<C> {
    connection: C,
    failures: AtomicU32,
}

impl<C> Live<C> {
    /// The connection.
    pub fn connection(&self) -> &C {
        &self.connection
    }

    /// It answered.
    pub fn succeeded(&self) {
        // Most calls find zero: a load keeps the line shared between cores.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may go better next time: a timeout, an error as answer.
    Transient,
    /// The connection is dead.
    Dead,
}

/// The breaker around one connection.
#[derive(Debug)]
pub struct Breaker<C> {
    live: ArcSwapOption<Live<C>>,
    probing: AtomicBool,
    threshold: u32,
    opened: AtomicU64,
    /// A first probe has ended, one way or the other.
    tried: AtomicBool,
    wanted: Notify,
}

impl<C> Breaker<C> {
    /// Open, until [`Self::close`] brings a connection. Opens after `threshold` failures in a row.
    pub fn new(threshold: u32) -> Self {
        Breaker {
            live: ArcSwapOption::empty(),
            probing: AtomicBool::new(false),
            threshold,
            opened: AtomicU64::new(0),
            tried: AtomicBool::new(false),
            wanted: Notify::new(),
        }
    }

    /// The connection, if the tier may be asked now.
    pub fn live(&self) -> Option<Arc<Live<C>>> {
        self.live.load_full()
    }

    /// A call on this connection failed; enough of them open the breaker.
    pub fn failed(&self, live: &Arc<Live<C>>, failure: Failure) {
        let failures = live.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failure == Failure::Transient && failures < self.threshold {
            return;
        }
        let now = self.live.compare_and_swap(live, None);
        if now.as_ref().is_some_and(|now| Arc::ptr_eq(now, live)) {
            self.opened.fetch_add(1, Ordering::Relaxed);
            self.wanted.notify_one();
        }
    }

    /// Waits until a connection is wanted.
    pub async fn opened(&self) {
        while self.live.load().is_some() {
            self.wanted.notified().await;
        }
    }

    /// A probe begins.
    pub fn probe(&self) {
        self.probing.store(true, Ordering::Relaxed);
    }

    /// The probe failed.
    pub fn stay_open(&self) {
        self.probing.store(false, Ordering::Relaxed);
        if !self.tried.swap(true, Ordering::Relaxed) {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The probe succeeded on this connection.
    pub fn close(&self, connection: C) {
        self.live.store(Some(Arc::new(Live { connection, failures: AtomicU32::new(0) })));
        self.tried.store(true, Ordering::Relaxed);
        self.probing.store(false, Ordering::Relaxed);
    }

    /// What an operator is shown.
    pub fn state(&self) -> BreakerState {
        if self.live.load().is_some() {
            BreakerState::Closed
        } else if self.probing.load(Ordering::Relaxed) {
            BreakerState::HalfOpen
        } else {
            BreakerState::Open
        }
    }

    /// How often it opened: after it had been closed, or because the very first probe failed.
    pub fn times_opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed() -> (Breaker<u32>, Arc<Live<u32>>) {
        let breaker = Breaker::new(3);
        breaker.close(1);
        let live = breaker.live().expect("just closed");
        (breaker, live)
    }

    #[test]
    fn begins_open_and_closes_by_probe_only() {
        let breaker = Breaker::new(3);
        assert_eq!((breaker.live().is_none(), breaker.state()), (true, BreakerState::Open));
        breaker.probe();
        assert_eq!((breaker.live().is_none(), breaker.state()), (true, BreakerState::HalfOpen));
        breaker.stay_open();
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.probe();
        breaker.close(1);
        assert_eq!((breaker.live().is_some(), breaker.state()), (true, BreakerState::Closed));
    }

    #[test]
    fn a_server_that_is_away_from_the_start_counts_once() {
        let breaker = Breaker::new(3);
        for _ in 0..3 {
            breaker.probe();
            breaker.stay_open();
        }
        breaker.close(1);
        assert_eq!(breaker.times_opened(), 1);
        let (breaker, _) = closed();
        assert_eq!(breaker.times_opened(), 0);
        breaker.stay_open();
        assert_eq!(breaker.times_opened(), 0);
    }

    #[test]
    fn opens_after_failures_in_a_row_and_a_success_between_begins_anew() {
        let (breaker, live) = closed();
        for _ in 0..10 {
            breaker.failed(&live, Failure::Transient);
            breaker.failed(&live, Failure::Transient);
            live.succeeded();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        for _ in 0..3 {
            breaker.failed(&live, Failure::Transient);
        }
        assert_eq!((breaker.state(), breaker.times_opened()), (BreakerState::Open, 1));
    }

    #[test]
    fn a_dead_connection_opens_at_once_and_only_once() {
        let (breaker, live) = closed();
        for _ in 0..5 {
            breaker.failed(&live, Failure::Dead);
        }
        assert_eq!((breaker.state(), breaker.times_opened()), (BreakerState::Open, 1));
    }

    #[test]
    fn failures_of_a_replaced_connection_do_not_open_the_next() {
        let (breaker, old) = closed();
        breaker.failed(&old, Failure::Dead);
        breaker.close(2);
        for _ in 0..5 {
            breaker.failed(&old, Failure::Dead);
        }
        assert_eq!((breaker.state(), breaker.live().map(|live| *live.connection())), (BreakerState::Closed, Some(2)));
    }

    #[tokio::test]
    async fn opening_between_two_looks_is_not_missed() {
        let (breaker, live) = closed();
        breaker.failed(&live, Failure::Dead);
        breaker.opened().await;
        breaker.close(2);
        let live = breaker.live().expect("just closed");
        tokio::join!(breaker.opened(), async { breaker.failed(&live, Failure::Dead) });
    }
}
