//! One stream, from the first connection to its end: who is the primary, a slot, the suspect probe, then taking in what is heard.
//! Does not try again: that is its caller's.

use super::decode::NameEncoding;
use super::hearing::Hearing;
use super::link::{Broken, Link};
use super::queue::{self, Receiver};
use super::sockets::{self, Ask};
use super::state::{End, FeedState, Lost, Off};
use super::{load, ping};
use crate::types::Lsn;
use crate::upstream::Upstream;
use crate::upstream::replication::{ReplicationConnection, SlotName};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The output plugin and what is asked of it.
const PLUGIN: &str = "test_decoding";
const OPTIONS: [(&str, &str); 3] = [("include-xids", "on"), ("skip-empty-xacts", "off"), ("include-timestamp", "off")];

/// What tells two servers, and two lives of one server, apart: asked on both kinds of connection, since a name or a balancer may
/// lead them to different ones. Any role may ask it.
const WITNESS: &str = "SELECT pg_catalog.concat_ws('|', extract(epoch FROM pg_catalog.pg_postmaster_start_time()), \
     (SELECT extract(epoch FROM stats_reset) FROM pg_catalog.pg_stat_bgwriter), pg_catalog.pg_is_in_recovery(), \
     (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))";

/// How many of the things heard are taken in at once.
const BATCH: usize = 256;

/// How long the sender may be silent, though asked to answer, before the stream is given up. Long, since a stream begun anew is a cold
/// cache, and until then freshness has long stopped hits.
const SILENCE: Duration = Duration::from_secs(30);

/// Between two looks at how much WAL the slot keeps.
const LOOK_AT_SLOT: Duration = Duration::from_secs(5);

/// What a stream needs of the feed.
pub(super) struct Attempt<'a> {
    pub upstream: &'a Arc<Upstream>,
    pub hearing: &'a Arc<Hearing>,
    pub staleness: Duration,
    /// Bytes.
    pub max_retained_wal: u64,
    pub state: &'a watch::Sender<FeedState>,
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        End::Lost(Lost::Unreachable(broken.0))
    }
}

impl Attempt<'_> {
    /// Runs a stream until it ends. Whatever ends it, `coherence` has been told.
    pub async fn run(&self) -> End {
        let Err(end) = self.stream().await;
        self.hearing.lose();
        end
    }

    async fn stream(&self) -> Result<std::convert::Infallible, End> {
        let link = Link::open(self.upstream).await?;
        if link.identity.in_recovery {
            return Err(End::Off(Off::InRecovery));
        }
        if link.identity.wal_level != "logical" {
            return Err(End::Off(Off::WalLevel(link.identity.wal_level.clone())));
        }
        let encoding = encoding(&link).await?;
        let mut connection = self.connect(&link).await?;
        let (slot, start) = self.create_slot(&mut connection).await?;
        let (reader, confirmer) = connection.start(&slot, start, &OPTIONS).await?;
        tracing::info!(slot = slot.as_str(), %start, epoch = %link.epoch(), "the stream begins");

        // From here on somebody always reads.
        let (sender, receiver) = queue::queue(queue::MOST_BYTES);
        let ask = Ask::new(start);
        let read = AbortOnDropHandle::new(tokio::spawn(sockets::read(reader, encoding, sender, ask.clone())));
        let confirm = AbortOnDropHandle::new(tokio::spawn(sockets::confirm(confirmer, ask.clone())));
        self.hearing.begin(link.epoch(), start);
        self.hearing.counters.streams.raise();
        self.state.send_replace(FeedState::Proving);

        let prove = async {
            self.probe(&link).await?;
            self.state.send_replace(FeedState::Live);
            let (upstream, hearing) = (self.upstream.clone(), self.hearing.clone());
            Err(End::Lost(ping::run(upstream, hearing, link.epoch(), self.staleness, ask.clone()).await))
        };
        tokio::select! {
            ended = read => Err(End::Lost(ended.unwrap_or(Lost::NotUnderstood))),
            ended = confirm => Err(End::Lost(ended.unwrap_or(Lost::NotUnderstood))),
            ended = prove => ended,
            ended = self.take_in(receiver) => ended,
            lost = silent(&ask) => Err(End::Lost(lost)),
            lost = self.retaining(&link, &slot) => Err(End::Lost(lost)),
        }
    }

    /// Returns once the slot keeps more WAL than it may. However much was heard, it keeps all from the oldest transaction that has
    /// written on: one that is forgotten fills the disk of the primary.
    async fn retaining(&self, link: &Link, slot: &SlotName) -> Lost {
        let kept = format!(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::int8 FROM pg_replication_slots \
             WHERE slot_name = '{}'",
            slot.as_str()
        );
        let mut again = None;
        loop {
            match again.as_ref().unwrap_or(link).value::<i64>(&kept).await {
                Ok(kept) => {
                    let kept = u64::try_from(kept).unwrap_or(0);
                    self.hearing.counters.retained_wal.set(kept);
                    if kept > self.max_retained_wal {
                        return Lost::RetainedWal(kept);
                    }
                }
                Err(broken) => {
                    tracing::debug!(%broken, "the slot could not be looked at");
                    again = Link::open(self.upstream).await.ok();
                }
            }
            tokio::time::sleep(LOOK_AT_SLOT).await;
        }
    }

    /// A replication connection to the very server that the control connection reached.
    async fn connect(&self, link: &Link) -> Result<ReplicationConnection, End> {
        let mut connection = match self.upstream.replication().await {
            Ok(connection) => connection,
            Err(error) => return Err(load::refused(&error)),
        };
        let system = connection.identify().await?;
        let theirs = connection.one_row(WITNESS).await?;
        let ours = link.text(WITNESS).await?;
        if theirs.into_iter().next().flatten() != Some(ours) {
            return Err(End::Lost(Lost::OtherIncarnation));
        }
        tracing::debug!(system = system.identifier, timeline = system.timeline, flushed = %system.flushed, "replication connection");
        Ok(connection)
    }

    /// Makes the slot, for as long as it takes: it waits for every transaction of the cluster that holds an xid, prepared ones included.
    async fn create_slot(&self, connection: &mut ReplicationConnection) -> Result<(SlotName, Lsn), End> {
        loop {
            let slot = SlotName::unique(load::random());
            match connection.create_slot(&slot, PLUGIN).await.map_err(End::from) {
                Ok(start) => return Ok((slot, start)),
                Err(End::Cold) => {
                    if self.state.send_replace(FeedState::Cold) != FeedState::Cold {
                        tracing::warn!("{}", FeedState::Cold);
                    }
                }
                Err(end) => return Err(end),
            }
        }
    }

    /// Finds out which transactions may have committed before the slot's consistent point and still be invisible: the stream will
    /// never tell of them.
    async fn probe(&self, link: &Link) -> Result<(), End> {
        let probe = link.own_commit().await?;
        let snapshot = link.snapshot().await?;
        self.hearing.probed(probe, &snapshot);
        Ok(())
    }

    async fn take_in(&self, mut receiver: Receiver) -> Result<std::convert::Infallible, End> {
        let mut batch = Vec::with_capacity(BATCH);
        while receiver.take(&mut batch, BATCH).await > 0 {
            self.hearing.take(&mut batch);
        }
        // The reader has ended, and says why.
        std::future::pending().await
    }
}

async fn silent(ask: &Ask) -> Lost {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if ask.silence() > SILENCE {
            return Lost::Silent(SILENCE);
        }
    }
}

async fn encoding(link: &Link) -> Result<NameEncoding, Broken> {
    Ok(match link.text("SHOW server_encoding").await?.as_str() {
        "UTF8" => NameEncoding::Utf8,
        _ => NameEncoding::Other,
    })
}
