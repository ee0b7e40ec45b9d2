//! What is said of a server, and the words for it: role, state, and why a replica takes no read. Knows no connection.

use std::time::Duration;

/// What a server was seen to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It is in recovery.
    Replica,
    /// It has not been heard since it was last lost.
    Unknown,
}

impl Role {
    /// The name in status and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::Unknown => "unknown",
        }
    }
}

/// Why a replica takes no read now. One variant, one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PassedOver {
    /// The watch has no connection to it.
    Unreachable,
    /// It is not in recovery.
    NotAReplica,
    /// How far it has replayed, or how far the primary is, is not known.
    LagUnknown,
    /// It may lack what was committed longer ago than the bound.
    TooFarBehind,
    /// It may lack what this session must see.
    BelowFloor,
    /// It does not follow the primary that this instance hears, or that is not proven.
    OtherEpoch,
    /// Something happened to it since it was last asked, such as a connection that broke.
    Doubted,
    /// What this session must see is not known by position.
    FloorUnknown,
    /// The read is to be as fresh as the primary itself.
    Strong,
    /// It tells no position, and the session may read no less than what it has seen.
    PositionUnknown,
    /// It said itself, before a read, that it lacks what the read must see: the watch has asked another server behind its
    /// address, or the same one before it fell back.
    NotAsSeen,
    /// Sessions of this user were found not to start there as on the primary.
    Unlike,
}

impl PassedOver {
    /// Every variant, for metrics that are made once.
    pub const ALL: [PassedOver; 12] = [
        PassedOver::Unreachable,
        PassedOver::NotAReplica,
        PassedOver::LagUnknown,
        PassedOver::TooFarBehind,
        PassedOver::BelowFloor,
        PassedOver::OtherEpoch,
        PassedOver::Doubted,
        PassedOver::FloorUnknown,
        PassedOver::Strong,
        PassedOver::PositionUnknown,
        PassedOver::NotAsSeen,
        PassedOver::Unlike,
    ];

    /// The name in status and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            PassedOver::Unreachable => "unreachable",
            PassedOver::NotAReplica => "not_a_replica",
            PassedOver::LagUnknown => "lag_unknown",
            PassedOver::TooFarBehind => "too_far_behind",
            PassedOver::BelowFloor => "below_floor",
            PassedOver::OtherEpoch => "other_epoch",
            PassedOver::Doubted => "doubted",
            PassedOver::FloorUnknown => "floor_unknown",
            PassedOver::Strong => "strong",
            PassedOver::PositionUnknown => "position_unknown",
            PassedOver::NotAsSeen => "not_as_seen",
            PassedOver::Unlike => "unlike",
        }
    }
}

/// Whether a server is in use, as `/status` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// It takes what it is for: writes, or reads.
    Ready,
    /// It takes none, and why.
    PassedOver(PassedOver),
}

impl ServerState {
    /// The name in status.
    pub const fn label(self) -> &'static str {
        match self {
            ServerState::Ready => "ready",
            ServerState::PassedOver(reason) => reason.label(),
        }
    }
}

/// A server as `/status` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// `primary` or `replica-N`, as configured.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// As observed.
    pub role: Role,
    /// As configured.
    pub zone: Option<String>,
    /// Whether it is in use.
    pub state: ServerState,
    /// Bytes of WAL that a replica has yet to replay; none where it is not known.
    pub lag_bytes: Option<u64>,
    /// How late it may be at most; none where that is not known, or no longer.
    pub lag: Option<Duration>,
    /// How long it takes to answer a question, on average.
    pub latency: Duration,
    /// Requests sent to it since the start.
    pub statements: u64,
    /// Requests not yet answered.
    pub outstanding: usize,
    /// Sessions' connections open or being opened.
    pub connections: usize,
    /// Those of them that wait for a session.
    pub idle: usize,
}
