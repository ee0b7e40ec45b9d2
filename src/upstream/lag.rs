//! How far behind the primary a replica may be, in time: positions that the primary was known to have reached, and
//! when they were asked for. Pure: no clock, no connection.

use crate::types::{Lsn, Moment};
use std::collections::VecDeque;
use std::time::Duration;

/// Positions kept at most: at one every ten milliseconds, half a minute.
const SAMPLES: usize = 3_000;

/// The primary's insert positions, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The question went out then: what had committed before it lies at or before `position`.
    sent: Moment,
    position: Lsn,
}

impl History {
    /// Notes an answer. Answers of several connections may overtake each other: what had committed before a later
    /// question lies at or before its answer, and so does what had committed before an earlier one.
    pub(super) fn note(&mut self, sent: Moment, position: Lsn) {
        if self.samples.back().is_some_and(|last| sent <= last.sent) {
            return;
        }
        while self.samples.back().is_some_and(|last| position <= last.position) {
            self.samples.pop_back();
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { sent, position });
    }

    pub(super) fn forget(&mut self) {
        self.samples.clear();
    }

    /// The last answer's instant and position.
    pub(super) fn newest(&self) -> Option<(Moment, Lsn)> {
        self.samples.back().map(|sample| (sample.sent, sample.position))
    }

    /// The latest instant such that who has replayed up to `replayed` has everything committed before it.
    pub(super) fn fresh_at(&self, replayed: Lsn) -> Option<Moment> {
        let reached = self.samples.partition_point(|sample| sample.position <= replayed);
        self.samples.get(reached.checked_sub(1)?).map(|sample| sample.sent)
    }

    /// Who has replayed up to here has everything committed before the oldest instant that is kept.
    pub(super) fn oldest(&self) -> Option<Lsn> {
        self.samples.front().map(|sample| sample.position)
    }

    /// Drops what is too old to prove anything within `bound`.
    pub(super) fn trim(&mut self, now: Moment, bound: Duration) {
        while self.samples.front().is_some_and(|sample| now.since(sample.sent) > bound) {
            self.samples.pop_front();
        }
    }
}

/// The position that a replica can reach when the primary says that it inserts at `insert`.
///
/// At the start of a page the primary counts the page's header, which no record ends in: a replica that has
/// everything stands before it. Headers are 24 bytes, and 40 on a segment's first page.
pub(super) fn reachable(insert: Lsn, block_size: u64) -> Lsn {
    match insert.bytes().checked_rem(block_size) {
        Some(header @ (24 | 40)) => Lsn::new(insert.bytes() - header),
        _ => insert,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment::from_micros(micros)
    }

    fn lsn(bytes: u64) -> Lsn {
        Lsn::new(bytes)
    }

    #[test]
    fn r10_a_replica_is_as_fresh_as_the_newest_position_it_has_reached() {
        let mut history = History::default();
        for (sent, position) in [(10, 100), (20, 200), (30, 300)] {
            history.note(at(sent), lsn(position));
        }
        let fresh = |replayed| history.fresh_at(lsn(replayed));
        assert_eq!([fresh(99), fresh(100), fresh(299), fresh(300)], [None, Some(at(10)), Some(at(20)), Some(at(30))]);
        assert_eq!(fresh(u64::MAX), Some(at(30)));
    }

    #[test]
    fn r10_an_idle_primary_leaves_its_replica_fresh() {
        let mut history = History::default();
        for sent in 1..=10 {
            history.note(at(sent), lsn(100));
        }
        assert_eq!(history.fresh_at(lsn(100)), Some(at(10)));
        assert_eq!(history.newest(), Some((at(10), lsn(100))));
    }

    #[test]
    fn answers_that_overtake_each_other_prove_no_less() {
        let mut history = History::default();
        history.note(at(10), lsn(500));
        history.note(at(20), lsn(400));
        assert_eq!(history.fresh_at(lsn(450)), Some(at(20)));
        assert_eq!(history.fresh_at(lsn(399)), None);
        history.note(at(15), lsn(450));
        assert_eq!(history.newest(), Some((at(20), lsn(400))), "an answer to an older question says nothing");
    }

    #[test]
    fn what_is_older_than_the_bound_proves_nothing() {
        let mut history = History::default();
        history.note(at(1_000), lsn(1));
        history.note(at(3_000), lsn(2));
        history.trim(at(4_500), Duration::from_millis(2));
        assert_eq!(history.fresh_at(lsn(1)), None);
        assert_eq!(history.fresh_at(lsn(2)), Some(at(3_000)));
    }

    #[test]
    fn a_page_header_is_not_waited_for() {
        for (insert, reached) in [(8192 + 24, 8192), (8192 + 40, 8192), (8192 + 48, 8192 + 48), (8192, 8192)] {
            assert_eq!(reachable(lsn(insert), 8192), lsn(reached));
        }
        assert_eq!(reachable(lsn(24), 0), lsn(24));
    }
}
