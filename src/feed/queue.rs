//! What lies between reading the stream and taking it in: a queue without back-pressure, metered by bytes. Full, it takes
//! nothing more and the stream begins anew; it never makes the reader wait, since a WAL sender that waits holds back the server.

use super::decode::{Names, RawCommit};
use crate::types::Lsn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Bytes that may wait to be taken in.
pub const MOST_BYTES: usize = 64 << 20;

/// What is heard, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Commit(RawCommit),
    /// Everything up to here has been sent.
    Position(Lsn),
}

impl Heard {
    fn bytes(&self) -> usize {
        let names = match self {
            Heard::Commit(RawCommit { names: Names::Listed(list), .. }) => {
                list.iter().map(|name| size_of_val(name) + name.schema.len() + name.name.len()).sum()
            }
            _ => 0,
        };
        size_of::<Self>() + names
    }
}

/// The queue took nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It holds [`MOST_BYTES`].
    Full,
    /// Nobody takes from it any more.
    Closed,
}

/// A queue that holds at most `limit` bytes.
pub fn queue(limit: usize) -> (Sender, Receiver) {
    let (send, receive) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Sender { send, waiting: waiting.clone(), limit }, Receiver { receive, waiting })
}

/// The reader's end.
#[derive(Debug)]
pub struct Sender {
    send: mpsc::UnboundedSender<Heard>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

impl Sender {
    /// Adds without waiting.
    ///
    /// # Errors
    /// When it would hold too much, or nobody listens.
    pub fn push(&self, heard: Heard) -> Result<(), Stopped> {
        let bytes = heard.bytes();
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit {
            return Err(Stopped::Full);
        }
        self.send.send(heard).map_err(|_| Stopped::Closed)
    }
}

/// The consumer's end.
#[derive(Debug)]
pub struct Receiver {
    receive: mpsc::UnboundedReceiver<Heard>,
    waiting: Arc<AtomicUsize>,
}

impl Receiver {
    /// Waits for something, then takes up to `most` of what is there; nothing once the reader is gone and all was taken.
    /// Dropping the future loses nothing.
    pub async fn take(&mut self, into: &mut Vec<Heard>, most: usize) -> usize {
        let count = self.receive.recv_many(into, most).await;
        let bytes = into[into.len() - count..].iter().map(Heard::bytes).sum();
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::decode::QualifiedName;
    use crate::types::Xid;

    fn commit(end: u64) -> Heard {
        let name = QualifiedName { schema: "public".into(), name: "x".repeat(100) };
        Heard::Commit(RawCommit { end: Lsn::new(end), xid: Xid::new(1), names: Names::Listed(vec![name]) })
    }

    #[tokio::test]
    async fn what_was_taken_makes_room() {
        let (sender, mut receiver) = queue(3 * commit(0).bytes());
        let mut taken = Vec::new();
        for round in 0..10 {
            for at in 0..3 {
                sender.push(commit(round * 3 + at)).expect("room for three");
            }
            assert_eq!(receiver.take(&mut taken, 10).await, 3);
        }
        let ends: Vec<_> = (0..30).map(commit).collect();
        assert_eq!(taken, ends);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_does_not_wait() {
        let (sender, mut receiver) = queue(2 * commit(0).bytes());
        sender.push(commit(1)).expect("room");
        sender.push(commit(2)).expect("room");
        assert_eq!(sender.push(commit(3)), Err(Stopped::Full));
        assert_eq!(sender.push(Heard::Position(Lsn::ZERO)), Err(Stopped::Full), "nothing after a gap");
        drop(sender);
        let mut taken = Vec::new();
        assert_eq!(receiver.take(&mut taken, 10).await, 2);
        assert_eq!(receiver.take(&mut taken, 10).await, 0);
    }
}
