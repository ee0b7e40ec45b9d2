//! The stream of a database as PostgreSQL tells it through `test_decoding`, read by the library and by nothing else of
//! Sidecache: what tests hold the rest against.

use crate::harness::cluster::Cluster;
use sidecache::feed::decode::{Assembler, NameEncoding, RawCommit};
use sidecache::types::Lsn;
use sidecache::upstream::Upstream;
use sidecache::upstream::replication::{Confirmer, Message, Reader, ReplicationError, Reply, SlotName};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The runtime that a stream is read on.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A stream.
pub struct Stream {
    reader: Reader,
    confirmer: Confirmer,
    assembler: Assembler,
    /// Up to here it has been heard.
    pub applied: Lsn,
}

impl Stream {
    /// Begins one on a slot of its own.
    pub async fn open(cluster: &Cluster, database: &str) -> Stream {
        let config = crate::feed::config(&cluster.primary_url("sidecache", database));
        let mut connection = Upstream::new(&config).replication().await.expect("a replication connection");
        let slot = SlotName::unique(1);
        let applied = connection.create_slot(&slot, "test_decoding").await.expect("a slot");
        let options = [("include-xids", "on"), ("skip-empty-xacts", "off"), ("include-timestamp", "off")];
        let (reader, confirmer) = connection.start(&slot, applied, &options).await.expect("a stream");
        Stream { reader, confirmer, assembler: Assembler::new(NameEncoding::Utf8), applied }
    }

    /// Takes in one message; a commit, if it was the end of one. Dropping the future before it is ready loses nothing.
    async fn step(&mut self) -> Result<Option<RawCommit>, ReplicationError> {
        match self.reader.next().await? {
            Message::Data { start, payload } => {
                let commit = self.assembler.line(start, &payload).expect("named");
                if let Some(commit) = &commit {
                    assert!(commit.end > self.applied, "{commit:?} after {}", self.applied);
                    self.applied = commit.end;
                }
                Ok(commit)
            }
            Message::KeepAlive { end, reply } => {
                self.applied = self.applied.max(end);
                if reply == Reply::Wanted {
                    self.confirmer.confirm(self.applied, Reply::NotWanted).await?;
                }
                Ok(None)
            }
        }
    }

    /// The next commit.
    pub async fn commit(&mut self) -> RawCommit {
        loop {
            let step = tokio::time::timeout(Duration::from_secs(60), self.step()).await;
            if let Some(commit) = step.expect("the stream goes on").expect("the stream lives") {
                return commit;
            }
        }
    }
}

/// All that a stream has told so far, while a thread reads on.
pub struct Told {
    heard: Arc<Mutex<Heard>>,
    stop: CancellationToken,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Heard {
    applied: Lsn,
    commits: Vec<RawCommit>,
}

impl Told {
    /// Begins to listen; returns once every later commit will be heard.
    pub fn listen(cluster: &Cluster, database: &str) -> Told {
        let runtime = runtime();
        let mut stream = runtime.block_on(Stream::open(cluster, database));
        let heard = Arc::new(Mutex::new(Heard { applied: stream.applied, commits: Vec::new() }));
        let stop = CancellationToken::new();
        let (told, stopped) = (heard.clone(), stop.clone());
        let read = async move {
            while let Some(step) = stopped.run_until_cancelled(stream.step()).await {
                let commit = step.expect("the stream lives");
                let mut heard = told.lock().expect("no reader of it panics");
                heard.commits.extend(commit);
                heard.applied = stream.applied;
            }
        };
        let reader = std::thread::spawn(move || runtime.block_on(read));
        Told { heard, stop, reader: Some(reader) }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to here the stream has been heard.
    pub fn position(&self) -> Lsn {
        self.heard().applied
    }

    /// The commits heard so far, in their order.
    pub fn commits(&self) -> Vec<RawCommit> {
        self.heard().commits.clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.heard().commits.len()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.reader.take().expect("taken here alone").join();
        if !std::thread::panicking() {
            ended.expect("the stream was read to the end");
        }
    }
}
