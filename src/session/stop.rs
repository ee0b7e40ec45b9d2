//! The word that idle sessions are to end. It is waited for beside every read and hardly ever comes, so waiting once more
//! costs next to nothing. Does not know why the word is given.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Ends once what it waits for was cancelled. Boxed, since every session keeps room for it.
#[derive(Debug)]
pub(super) struct Stop(Box<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// Its own child, since asking or waiting for one takes a lock that all sessions would share.
    token: CancellationToken,
    told: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whom `told` will wake: nobody else needs to be made known to it.
    wakes: Option<Waker>,
}

impl Stop {
    pub fn after(cause: &CancellationToken) -> Self {
        let token = cause.child_token();
        Stop(Box::new(Waiting { told: Box::pin(token.clone().cancelled_owned()), token, wakes: None }))
    }
}

impl Future for Stop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waiting = &mut *self.0;
        let is_known = waiting.wakes.as_ref().is_some_and(|known| known.will_wake(context.waker()));
        if is_known && !waiting.token.is_cancelled() {
            return Poll::Pending;
        }
        let told = waiting.told.as_mut().poll(context);
        waiting.wakes = told.is_pending().then(|| context.waker().clone());
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_waited_last_is_woken() {
        let (cause, woken) = (CancellationToken::new(), [Arc::<Woken>::default(), Arc::default()]);
        let mut stop = Stop::after(&cause);
        let mut poll = |who: &Arc<Woken>| {
            let waker = Waker::from(Arc::clone(who));
            Pin::new(&mut stop).poll(&mut Context::from_waker(&waker))
        };
        for who in [&woken[0], &woken[0], &woken[1], &woken[1]] {
            assert!(poll(who).is_pending());
        }
        cause.cancel();
        assert_eq!(woken.each_ref().map(|who| who.0.load(Ordering::Relaxed)), [0, 1]);
        assert!(poll(&woken[1]).is_ready());
    }
}
