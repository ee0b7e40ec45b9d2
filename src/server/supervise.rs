//! Keeps a background task alive: what panics or ends by itself is logged and started again.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Before a task that ended is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs what `make` makes until `stop`, again and again.
pub fn supervise<F>(
    name: &'static str,
    stop: &CancellationToken,
    make: impl Fn(CancellationToken) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(keep(name, stop.clone(), PAUSE, make));
}

async fn keep<F>(
    name: &'static str,
    stop: CancellationToken,
    pause: Duration,
    make: impl Fn(CancellationToken) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let run = tokio::spawn(stop.clone().run_until_cancelled_owned(make(stop.clone())));
        let ended = run.await;
        if stop.is_cancelled() {
            return;
        }
        match ended {
            Err(panic) => tracing::error!(name, %panic, "a background task failed and is started again"),
            Ok(_) => tracing::error!(name, "a background task ended by itself and is started again"),
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_panics_runs_again_until_stopped() {
        let (begun, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let make = move |_| {
            let (begun, runs) = (begun.clone(), Arc::clone(&runs));
            async move {
                let run = runs.fetch_add(1, Ordering::SeqCst);
                begun.send(run).unwrap();
                match run {
                    0 => panic!("as the test wants it"),
                    1 => {}
                    _ => std::future::pending().await,
                }
            }
        };
        tokio::spawn(keep("test", stop.clone(), Duration::ZERO, make));
        for run in 0..3 {
            assert_eq!(seen.recv().await, Some(run));
        }
        stop.cancel();
        assert_eq!(seen.recv().await, None, "stopped, it lets go of everything");
    }
}
