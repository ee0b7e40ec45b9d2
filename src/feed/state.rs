//! What the feed is doing, for `/status`, `sidecache check` and logs. Decides nothing.

use crate::upstream::replication::ReplicationError;

/// Where the feed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedState {
    /// Connections to the primary are being made.
    Connecting,
    /// No stream can be had as the primary is set up; tried again slowly.
    Off(Off),
    /// The slot waits for transactions that hold an xid; nothing is served until they end.
    Cold,
    /// The stream runs; which transactions could hide before its start, and the catalog, are being found out.
    Proving,
    /// Changes are heard.
    Live,
    /// The stream broke and is being made again.
    Lost(Lost),
}

impl FeedState {
    /// The stable name.
    pub const fn label(&self) -> &'static str {
        match self {
            FeedState::Connecting => "connecting",
            FeedState::Off(_) => "off",
            FeedState::Cold => "cold",
            FeedState::Proving => "proving",
            FeedState::Live => "live",
            FeedState::Lost(_) => "lost",
        }
    }

    /// The stable name of why, where there is a why.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            FeedState::Off(off) => Some(off.label()),
            FeedState::Cold => Some("open_transactions"),
            FeedState::Lost(lost) => Some(lost.label()),
            FeedState::Connecting | FeedState::Proving | FeedState::Live => None,
        }
    }
}

impl std::fmt::Display for FeedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FeedState::Connecting => f.write_str("connecting to the primary"),
            FeedState::Off(off) => off.fmt(f),
            FeedState::Cold => f.write_str("cold: slot creation waits for a transaction that holds an xid"),
            FeedState::Proving => f.write_str("the stream has begun and is being proven"),
            FeedState::Live => f.write_str("changes are heard"),
            FeedState::Lost(lost) => lost.fmt(f),
        }
    }
}

/// Why no stream can be had until someone changes the primary's setup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Off {
    /// The server that should be the primary replays another's WAL.
    #[error("the primary is in recovery")]
    InRecovery,
    /// `wal_level` is not `logical`.
    #[error("wal_level is {0}: set wal_level = logical and restart the primary")]
    WalLevel(String),
    /// The role may not replicate: 42501.
    #[error("the role may not replicate: ALTER ROLE … REPLICATION ({0})")]
    Privilege(String),
    /// `pg_hba.conf` or the password: 28000, 28P01.
    #[error("the replication connection was refused: {0}")]
    Refused(String),
    /// `max_replication_slots` are in use: 53400.
    #[error("no replication slot is free: raise max_replication_slots ({0})")]
    NoSlot(String),
    /// `max_wal_senders` or `max_connections` are in use: 53300.
    #[error("no WAL sender is free: raise max_wal_senders ({0})")]
    NoSender(String),
    /// `test_decoding` is not installed: 58P01, 42704.
    #[error("the output plugin test_decoding is missing: install PostgreSQL's contrib modules ({0})")]
    NoPlugin(String),
}

impl Off {
    /// The stable name.
    pub const fn label(&self) -> &'static str {
        match self {
            Off::InRecovery => "in_recovery",
            Off::WalLevel(_) => "wal_level",
            Off::Privilege(_) => "privilege",
            Off::Refused(_) => "refused",
            Off::NoSlot(_) => "no_slot",
            Off::NoSender(_) => "no_sender",
            Off::NoPlugin(_) => "no_plugin",
        }
    }

    /// What the server's error says about its setup, if it does.
    pub fn from_server(sqlstate: &str, message: &str) -> Option<Off> {
        let message = message.to_owned();
        Some(match sqlstate {
            "42501" => Off::Privilege(message),
            "28000" | "28P01" => Off::Refused(message),
            "53400" => Off::NoSlot(message),
            "53300" => Off::NoSender(message),
            "58P01" | "42704" => Off::NoPlugin(message),
            _ => return None,
        })
    }
}

/// Why the stream ended, or did not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The primary could not be reached, or a connection of ours to it failed.
    #[error("the primary cannot be reached: {0}")]
    Unreachable(String),
    /// The replication connection ended.
    #[error("{0}")]
    Stream(String),
    /// Two connections reached different servers, or the server began a new incarnation.
    #[error("the server is another incarnation than before")]
    OtherIncarnation,
    /// The sender was silent though asked to answer.
    #[error("the WAL sender did not answer for {0:?}")]
    Silent(std::time::Duration),
    /// More was heard and not yet taken in than memory allows.
    #[error("changes came faster than they were taken in")]
    Overflow,
    /// The slot held back more bytes of WAL than it may.
    #[error("the slot kept {} MiB of WAL for a transaction that goes on: more than max_retained_wal", .0 >> 20)]
    RetainedWal(u64),
    /// The stream's text could not be followed.
    #[error("the stream could not be understood")]
    NotUnderstood,
}

impl Lost {
    /// The stable name.
    pub const fn label(&self) -> &'static str {
        match self {
            Lost::Unreachable(_) => "unreachable",
            Lost::Stream(_) => "stream",
            Lost::OtherIncarnation => "other_incarnation",
            Lost::Silent(_) => "silent",
            Lost::Overflow => "overflow",
            Lost::RetainedWal(_) => "retained_wal",
            Lost::NotUnderstood => "not_understood",
        }
    }
}

/// Why one attempt at a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Off(Off),
    Cold,
    Lost(Lost),
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        End::Lost(lost)
    }
}

impl From<ReplicationError> for End {
    fn from(error: ReplicationError) -> Self {
        if let ReplicationError::Server { sqlstate, message } = &error {
            if let Some(off) = Off::from_server(sqlstate, message) {
                return End::Off(off);
            }
            // The slot waited for a transaction until lock_timeout ended it.
            if sqlstate == "55P03" {
                return End::Cold;
            }
        }
        End::Lost(Lost::Stream(error.to_string()))
    }
}
