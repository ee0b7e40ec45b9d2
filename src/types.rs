//! The identities that every module shares, each a type of its own so that no position can stand where a
//! relation is meant. This file knows nothing of connections, SQL or time zones: numbers with names.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A position in PostgreSQL's write-ahead log, in bytes since the cluster was made.
///
/// Printed as PostgreSQL prints `pg_lsn`: two hexadecimal halves, `16/B374D848`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// Before everything: no stamp or commit is at or below it.
    pub const ZERO: Lsn = Lsn(0);

    /// The position that lies `bytes` into the log.
    pub const fn new(bytes: u64) -> Self {
        Lsn(bytes)
    }

    /// Bytes since the start of the log.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The text was not two hexadecimal halves with a slash between them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a WAL position: {0:?}")]
pub struct NotAnLsn(String);

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, NotAnLsn> {
        let parse = || {
            let (high, low) = text.split_once('/')?;
            let high = u32::from_str_radix(high, 16).ok()?;
            let low = u32::from_str_radix(low, 16).ok()?;
            Some(Lsn(u64::from(high) << 32 | u64::from(low)))
        };
        parse().ok_or_else(|| NotAnLsn(text.to_owned()))
    }
}

/// `pg_class.oid` of a relation in the one database that an instance caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationId(u32);

impl RelationId {
    /// The relation with this `pg_class.oid`.
    pub const fn new(oid: u32) -> Self {
        RelationId(oid)
    }

    /// The `pg_class.oid`.
    pub const fn oid(self) -> u32 {
        self.0
    }
}

impl fmt::Display for RelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A transaction id as the WAL carries it: 32 bits that wrap around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Xid(u32);

impl Xid {
    /// The id as the stream writes it.
    pub const fn new(xid: u32) -> Self {
        Xid(xid)
    }

    /// The 32 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// A transaction id with its epoch (`xid8`): 64 bits that never wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullXid(u64);

impl FullXid {
    /// The id as `pg_current_snapshot()` and `pg_current_xact_id()` write it.
    pub const fn new(xid: u64) -> Self {
        FullXid(xid)
    }

    /// The 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// One incarnation of the primary: a digest of system identifier, timeline, start time and `stats_reset`.
/// Nothing (no entry, floor or connection) is carried from one epoch into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this digest. Zero means that none is known.
    pub const fn new(digest: u64) -> Self {
        Epoch(digest)
    }

    /// The digest.
    pub const fn digest(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An instant of this process's monotonic clock, in microseconds since the first use. Never compared across hosts.
/// Logic takes it as an argument, so that tests own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The beginning of this process's time.
    pub const START: Moment = Moment(0);

    /// The instant that lies `micros` microseconds after [`Moment::START`].
    pub const fn from_micros(micros: u64) -> Self {
        Moment(micros)
    }

    /// Microseconds since [`Moment::START`].
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The present instant. Called at the edge (session, feed), never inside `coherence`, `cache` or `route`.
    pub fn now() -> Self {
        static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let origin = ORIGIN.get_or_init(|| Instant::now() - Duration::from_micros(1));
        Moment(u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// How long ago `earlier` was, or zero if it lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Where a statement is wanted to go, by its hint or a rule: among the servers that may answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteTo {
    /// To the primary alone.
    Primary,
    /// To a replica, even if one has to be waited for a little.
    Replica,
    /// As if nothing was said.
    Any,
}

impl RouteTo {
    /// The name in hints, rules and explanations.
    pub const fn label(self) -> &'static str {
        match self {
            RouteTo::Primary => "primary",
            RouteTo::Replica => "replica",
            RouteTo::Any => "any",
        }
    }
}

impl FromStr for RouteTo {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [RouteTo::Primary, RouteTo::Replica, RouteTo::Any].into_iter().find(|to| to.label() == text).ok_or(())
    }
}

/// What a session may be promised by a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Level {
    /// Linearizable: every read goes to the primary for now.
    Strong,
    /// No older than the bound, never before the session's own last write or last read.
    #[default]
    Session,
    /// No older than the bound.
    Bounded,
}

impl Level {
    /// The name in configuration, SQL and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Level::Strong => "strong",
            Level::Session => "session",
            Level::Bounded => "bounded",
        }
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "strong" => Ok(Level::Strong),
            "session" => Ok(Level::Session),
            "bounded" => Ok(Level::Bounded),
            _ => Err(()),
        }
    }
}

/// A `pg_snapshot` as `pg_current_snapshot()::text` writes it: `xmin:xmax:xip,xip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Every transaction below has finished.
    pub xmin: FullXid,
    /// No transaction at or above had finished.
    pub xmax: FullXid,
    /// Those between that were in progress, ascending.
    pub in_progress: Vec<FullXid>,
}

/// The text was not a `pg_snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a snapshot: {0:?}")]
pub struct NotASnapshot(String);

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let parse = || {
            let mut parts = text.splitn(3, ':');
            let xmin = FullXid(parts.next()?.parse().ok()?);
            let xmax = FullXid(parts.next()?.parse().ok()?);
            let list = parts.next()?;
            let in_progress = if list.is_empty() {
                Vec::new()
            } else {
                let ids: Result<Vec<_>, _> = list.split(',').map(|x| x.parse().map(FullXid)).collect();
                ids.ok()?
            };
            (in_progress.is_sorted() && xmin <= xmax).then_some(Snapshot { xmin, xmax, in_progress })
        };
        parse().ok_or_else(|| NotASnapshot(text.to_owned()))
    }
}

impl Snapshot {
    /// Whether the transaction had finished, as seen by this snapshot, once it is known to have ended.
    pub fn shows(&self, xid: FullXid) -> bool {
        xid < self.xmin || (xid < self.xmax && self.in_progress.binary_search(&xid).is_err())
    }

    /// The full id of a transaction that the WAL names by its low 32 bits: the one nearest to `xmax`.
    pub fn widen(&self, xid: Xid) -> FullXid {
        let near = self.xmax.0;
        let distance = xid.0.wrapping_sub(near as u32) as i32;
        FullXid(near.wrapping_add_signed(i64::from(distance)))
    }
}

/// When a TCP peer is given up; `None` leaves it to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepAlive {
    /// Silent for so long it is probed, and given up after twice as long.
    pub after: Option<Duration>,
    /// What was sent to it has not been acknowledged, or not been taken, for so long.
    pub unacknowledged: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsn_reads_what_it_prints() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(lsn.bytes(), 0x16_B374_D848);
        assert_eq!(lsn.to_string(), "16/B374D848");
        for wrong in ["", "16", "16/", "/1", "x/y", "100000000/0"] {
            assert!(wrong.parse::<Lsn>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn snapshot_shows_only_what_had_finished() {
        let s: Snapshot = "729:733:729,731".parse().unwrap();
        let shown: Vec<bool> = (728..735).map(|x| s.shows(FullXid::new(x))).collect();
        assert_eq!(shown, [true, false, true, false, true, false, false]);
        assert!("1:2".parse::<Snapshot>().is_err());
        assert!("5:4:".parse::<Snapshot>().is_err());
        assert_eq!("5:5:".parse::<Snapshot>().unwrap().in_progress, vec![]);
    }

    #[test]
    fn widening_crosses_the_wraparound_both_ways() {
        let at = |xmax: u64| Snapshot { xmin: FullXid::new(xmax), xmax: FullXid::new(xmax), in_progress: vec![] };
        let wrap = 1 << 32;
        assert_eq!(at(wrap + 5).widen(Xid::new(u32::MAX)).bits(), wrap - 1);
        assert_eq!(at(wrap - 5).widen(Xid::new(3)).bits(), wrap + 3);
        assert_eq!(at(wrap + 5).widen(Xid::new(4)).bits(), wrap + 4);
    }
}
