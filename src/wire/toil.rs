//! Work on passwords, which is heavy by design: at most half of the processors do it at a time, whoever asks for it, and what takes
//! longer than a fraction of a millisecond is done beside the threads that serve sessions. Knows not what the work is.

use std::sync::LazyLock;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Of the whole process, since its processors are.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new((processors / 2).max(1))
});

async fn turn() -> SemaphorePermit<'static> {
    TURNS.acquire().await.expect("it is never closed")
}

/// What takes microseconds: the check of a proof.
pub async fn light<T>(work: impl FnOnce() -> T) -> T {
    let _turn = turn().await;
    work()
}

/// What may take milliseconds: keys from a password. It goes on, and keeps its turn, though nobody waits for it any more.
///
/// # Panics
/// If `work` does.
pub async fn heavy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let turn = turn().await;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    match done.await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends, and nobody is left to tell.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn only_so_much_is_done_at_a_time() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        fn work() {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(1));
            NOW.fetch_sub(1, Ordering::SeqCst);
        }
        let mut all = tokio::task::JoinSet::new();
        for number in 0..40 {
            all.spawn(async move {
                if number % 2 == 0 {
                    heavy(work).await;
                } else {
                    light(work).await;
                }
            });
        }
        all.join_all().await;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(MOST.load(Ordering::SeqCst) <= (processors / 2).max(1));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_turn() {
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(5), heavy(move || gone.recv())).await;
        assert!(given_up.is_err());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(TURNS.available_permits() < (processors / 2).max(1));
        drop(go);
        assert_eq!(heavy(|| 7).await, 7);
    }
}
