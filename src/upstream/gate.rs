//! Where sessions wait for connections while an operator has paused: nobody passes a closed gate, and who closed it can
//! wait until all who had passed are back. Does not know a connection.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Nobody has closed it.
const OPEN: u64 = 0;

/// Open until it is closed.
#[derive(Debug, Default)]
pub struct Gate {
    /// By whom.
    closed: AtomicU64,
    /// How often somebody wanted to close it.
    numbers: AtomicU64,
    opened: Notify,
    /// Somebody who had passed is back.
    returned: Notify,
}

/// Who has closed it, until anybody opens it.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed(u64);

impl Gate {
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) != OPEN
    }

    /// Returns once it is open.
    pub async fn pass(&self) {
        while self.is_closed() {
            let opened = self.opened.notified();
            if self.is_closed() {
                opened.await;
            }
        }
    }

    /// Closes it; nothing if it was closed already.
    pub fn close(&self) -> Option<Closed> {
        let number = self.numbers.fetch_add(1, Ordering::SeqCst) + 1;
        self.closed.compare_exchange(OPEN, number, Ordering::SeqCst, Ordering::SeqCst).ok().map(|_| Closed(number))
    }

    /// Opens it, whoever closed it; `false` if it was open already.
    pub fn open(&self) -> bool {
        let was_closed = self.closed.swap(OPEN, Ordering::SeqCst) != OPEN;
        self.opened.notify_waiters();
        was_closed
    }

    /// Opens it if it is closed by this one still.
    pub fn reopen(&self, closed: &Closed) {
        if self.closed.compare_exchange(closed.0, OPEN, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.opened.notify_waiters();
        }
    }

    /// One of those who had passed is back.
    pub(super) fn returned(&self) {
        if self.is_closed() {
            self.returned.notify_waiters();
        }
    }

    /// Returns once `is_empty` is true, which is asked again whenever somebody is back; `false` if somebody opens it before that.
    pub async fn emptied(&self, closed: &Closed, is_empty: impl Fn() -> bool) -> bool {
        loop {
            let (returned, opened) = (self.returned.notified(), self.opened.notified());
            if self.closed.load(Ordering::SeqCst) != closed.0 {
                return false;
            }
            if is_empty() {
                return true;
            }
            tokio::select! {
                () = returned => {}
                () = opened => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[tokio::test]
    async fn a_closed_gate_holds_whoever_comes_until_it_opens() {
        let gate = Arc::new(Gate::default());
        gate.pass().await;
        assert!(gate.close().is_some() && gate.close().is_none());
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert!(gate.open() && !gate.open());
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn who_closed_it_waits_for_those_who_had_passed() {
        let gate = Arc::new(Gate::default());
        let closed = gate.close().unwrap();
        let out = Arc::new(AtomicBool::new(true));
        let emptied = tokio::spawn({
            let (gate, out) = (Arc::clone(&gate), Arc::clone(&out));
            async move { gate.emptied(&closed, || !out.load(Ordering::SeqCst)).await }
        });
        tokio::task::yield_now().await;
        gate.returned();
        tokio::task::yield_now().await;
        assert!(!emptied.is_finished());
        out.store(false, Ordering::SeqCst);
        gate.returned();
        assert!(emptied.await.unwrap());
    }

    #[tokio::test]
    async fn who_closed_it_waits_no_longer_than_it_is_closed_and_opens_it_for_nobody_else() {
        let gate = Arc::new(Gate::default());
        let first = Arc::new(gate.close().unwrap());
        let emptied = tokio::spawn({
            let (gate, first) = (Arc::clone(&gate), Arc::clone(&first));
            async move { gate.emptied(&first, || false).await }
        });
        tokio::task::yield_now().await;
        assert!(gate.open());
        let second = gate.close().unwrap();
        assert!(!emptied.await.unwrap());
        gate.reopen(&first);
        assert!(gate.is_closed());
        gate.reopen(&second);
        assert!(!gate.is_closed());
    }
}
