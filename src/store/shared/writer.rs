//! Writes to the shared tier behind everybody's back: a bounded queue that drops when it is full, since an entry that is
//! not shared costs a peer one fill, and waiting would cost a client. Encoding and sealing are done here too.

use super::breaker::Failure;
use super::link::{Trouble, Write};
use super::{Encode, Shared};
use crate::store::memory::Key;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many entries may wait.
const QUEUE_ENTRIES: usize = 1024;
/// How many bytes of entries may wait.
const QUEUE_BYTES: usize = 16 << 20;
/// How much is sent at once.
const BATCH_ENTRIES: usize = 32;
const BATCH_BYTES: usize = 256 << 10;
/// After Redis refused a write (full, read-only), nothing is written for this long, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why an entry was not written to the shared tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unwritten {
    /// Too much waited already.
    QueueFull,
    /// The breaker is open.
    BreakerOpen,
    /// Redis refuses writes (full, read-only, no right); they pause.
    Paused,
    /// Larger than a value may be.
    TooLarge,
    /// Redis refused this one, or did not answer.
    Failed,
}

impl Unwritten {
    /// Every reason, for whoever shows them all.
    pub const ALL: [Unwritten; 5] = [Self::QueueFull, Self::BreakerOpen, Self::Paused, Self::TooLarge, Self::Failed];

    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            Unwritten::QueueFull => "queue_full",
            Unwritten::BreakerOpen => "breaker_open",
            Unwritten::Paused => "paused",
            Unwritten::TooLarge => "too_large",
            Unwritten::Failed => "failed",
        }
    }
}

/// Whether Redis takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Writes {
    /// As far as is known.
    Accepted,
    /// It refused the last one; a pause runs.
    Paused,
}

impl Writes {
    /// The name in metrics and status.
    pub const fn label(self) -> &'static str {
        match self {
            Writes::Accepted => "accepted",
            Writes::Paused => "paused",
        }
    }
}

pub(super) struct Job {
    scope: u64,
    key: Key,
    value: Arc<dyn Encode>,
    bytes: usize,
}

/// The sending end and what is counted.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Job>,
    waiting_bytes: AtomicUsize,
    paused: AtomicU8,
    written: AtomicU64,
    unwritten: [AtomicU64; Unwritten::ALL.len()],
}

/// The receiving end, owned by the background task.
pub(super) type Jobs = mpsc::Receiver<Job>;

impl Queue {
    pub fn new() -> (Self, Jobs) {
        let (sender, receiver) = mpsc::channel(QUEUE_ENTRIES);
        let queue = Queue {
            sender,
            waiting_bytes: AtomicUsize::new(0),
            paused: AtomicU8::new(Writes::Accepted as u8),
            written: AtomicU64::new(0),
            unwritten: Default::default(),
        };
        (queue, receiver)
    }

    pub fn push(&self, scope: u64, key: Key, value: Arc<dyn Encode>) {
        let bytes = value.encoded_bytes();
        if self.writes() == Writes::Paused {
            return self.drop_one(Unwritten::Paused);
        }
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > QUEUE_BYTES
            || self.sender.try_send(Job { scope, key, value, bytes }).is_err()
        {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.drop_one(Unwritten::QueueFull);
        }
    }

    pub fn drop_one(&self, why: Unwritten) {
        self.unwritten[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn writes(&self) -> Writes {
        if self.paused.load(Ordering::Relaxed) == Writes::Paused as u8 { Writes::Paused } else { Writes::Accepted }
    }

    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub fn unwritten(&self, why: Unwritten) -> u64 {
        self.unwritten[why as usize].load(Ordering::Relaxed)
    }

    fn took(&self, job: &Job) {
        self.waiting_bytes.fetch_sub(job.bytes, Ordering::Relaxed);
    }
}

/// Writes what is queued, for ever.
pub(super) async fn run(shared: &Shared, jobs: &mut Jobs) {
    let mut pause = FIRST_PAUSE;
    while let Some(first) = jobs.recv().await {
        match write_batch(shared, jobs, first).await {
            Batch::Done => {
                if pause > FIRST_PAUSE {
                    tracing::info!("Redis takes entries again");
                }
                pause = FIRST_PAUSE;
            }
            Batch::Lost => {}
            Batch::Refused => {
                if pause == FIRST_PAUSE {
                    let reason = shared.trouble().map_or("unknown", Trouble::label);
                    tracing::warn!(reason, "Redis takes no entries: it is tried again after a pause");
                }
                let queue = shared.queue();
                queue.paused.store(Writes::Paused as u8, Ordering::Relaxed);
                while let Ok(job) = jobs.try_recv() {
                    queue.took(&job);
                    queue.drop_one(Unwritten::Paused);
                }
                tokio::time::sleep(pause).await;
                queue.paused.store(Writes::Accepted as u8, Ordering::Relaxed);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

enum Batch {
    Done,
    /// The connection's fault: the breaker knows.
    Lost,
    /// Redis answers, but takes no writes.
    Refused,
}

async fn write_batch(shared: &Shared, jobs: &mut Jobs, first: Job) -> Batch {
    let queue = shared.queue();
    let mut batch = Vec::with_capacity(BATCH_ENTRIES);
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(job) = next.take() {
        queue.took(&job);
        match shared.seal(job.scope, job.key.bytes(), &job.value.encode()) {
            Ok(write) => {
                bytes += write.sealed.len();
                batch.push(write);
            }
            Err(why) => queue.drop_one(why),
        }
        if batch.len() < BATCH_ENTRIES && bytes < BATCH_BYTES {
            next = jobs.try_recv().ok();
        }
    }
    let drop_all = |why| batch.iter().for_each(|_| queue.drop_one(why));
    let Some(live) = shared.breaker().live() else {
        drop_all(Unwritten::BreakerOpen);
        return Batch::Lost;
    };
    if batch.is_empty() {
        return Batch::Done;
    }
    match send(shared, live.connection(), &batch).await {
        Err(trouble) => {
            drop_all(Unwritten::Failed);
            shared.note(trouble);
            let failure = if trouble == Trouble::TimedOut { Failure::Transient } else { Failure::Dead };
            shared.breaker().failed(&live, failure);
            Batch::Lost
        }
        Ok(refused) => refused,
    }
}

async fn send(shared: &Shared, link: &super::link::Link, batch: &[Write]) -> Result<Batch, Trouble> {
    let queue = shared.queue();
    let mut outcome = Batch::Done;
    for one in link.write(batch, shared.expiry()).await? {
        match one {
            Ok(()) => {
                queue.written.fetch_add(1, Ordering::Relaxed);
            }
            Err(trouble) => {
                queue.drop_one(Unwritten::Failed);
                shared.note(trouble);
                outcome = Batch::Refused;
            }
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain(usize);

    impl Encode for Plain {
        fn encode(&self) -> Vec<u8> {
            vec![0; self.0]
        }
        fn encoded_bytes(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, mut jobs) = Queue::new();
        let push = |bytes| queue.push(0, Key::from(&b"k"[..]), Arc::new(Plain(bytes)));
        for _ in 0..QUEUE_ENTRIES + 5 {
            push(1);
        }
        assert_eq!(queue.unwritten(Unwritten::QueueFull), 5);
        while let Ok(job) = jobs.try_recv() {
            queue.took(&job);
        }
        assert_eq!(queue.waiting_bytes.load(Ordering::Relaxed), 0);
        push(QUEUE_BYTES);
        push(1);
        assert_eq!((queue.unwritten(Unwritten::QueueFull), jobs.len()), (6, 1));
    }
}
