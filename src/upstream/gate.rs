//! Where sessions wait for connections while an operator has paused: nobody passes a closed gate, and who closed it can
//! wait until all who had passed are back. Does not know a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Open until it is closed.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
    opened: Notify,
    /// Somebody who had passed is back.
    returned: Notify,
}

impl Gate {
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
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

    /// Closes it; `false` if it was closed already.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    /// Opens it; `false` if it was open already.
    pub fn open(&self) -> bool {
        let was_closed = self.closed.swap(false, Ordering::SeqCst);
        self.opened.notify_waiters();
        was_closed
    }

    /// One of those who had passed is back.
    pub(super) fn returned(&self) {
        if self.is_closed() {
            self.returned.notify_waiters();
        }
    }

    /// Returns once `is_empty` is true. It is asked again whenever somebody is back.
    pub async fn emptied(&self, is_empty: impl Fn() -> bool) {
        loop {
            let returned = self.returned.notified();
            if is_empty() {
                return;
            }
            returned.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_closed_gate_holds_whoever_comes_until_it_opens() {
        let gate = Arc::new(Gate::default());
        gate.pass().await;
        assert!(gate.close() && !gate.close());
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
        gate.close();
        let out = Arc::new(AtomicBool::new(true));
        let emptied = tokio::spawn({
            let (gate, out) = (Arc::clone(&gate), Arc::clone(&out));
            async move { gate.emptied(|| !out.load(Ordering::SeqCst)).await }
        });
        tokio::task::yield_now().await;
        gate.returned();
        tokio::task::yield_now().await;
        assert!(!emptied.is_finished());
        out.store(false, Ordering::SeqCst);
        gate.returned();
        emptied.await.unwrap();
    }
}
