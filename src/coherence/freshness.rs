//! How far behind the primary the stream may be: pings, each an instant and the position that the primary had reached
//! when asked then. Knows no clock: instants come in.

use super::judge::reached;
use crate::types::{Lsn, Moment};
use std::collections::VecDeque;

/// Pings that the stream has not passed yet. One more is not noted: an older one is passed sooner and makes room.
const OUTSTANDING: usize = 1024;

/// The pings, and the newest instant that is proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Freshness {
    /// Everything committed before it has been heard. The start of time: nothing is proven.
    at: Moment,
    outstanding: VecDeque<(Moment, Lsn)>,
}

impl Freshness {
    pub(super) fn pinged(&mut self, sent: Moment, position: Lsn, applied: Lsn) {
        // A newer ping that waits for no more than an older one makes the older one useless.
        while self.outstanding.back().is_some_and(|(before, at)| *at >= position && *before <= sent) {
            self.outstanding.pop_back();
        }
        if self.outstanding.len() < OUTSTANDING {
            self.outstanding.push_back((sent, position));
        }
        self.pass(applied);
    }

    /// The stream has passed `applied`.
    pub(super) fn pass(&mut self, applied: Lsn) {
        while let Some((sent, position)) = self.outstanding.front()
            && reached(applied, *position)
        {
            self.at = self.at.max(*sent);
            self.outstanding.pop_front();
        }
    }

    pub(super) fn at(&self) -> Moment {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment::from_micros(micros)
    }

    #[test]
    fn a_ping_counts_once_the_stream_has_passed_it() {
        let mut freshness = Freshness::default();
        freshness.pinged(at(5), Lsn::new(100), Lsn::new(99));
        assert_eq!(freshness.at(), Moment::START);
        freshness.pinged(at(7), Lsn::new(200), Lsn::new(99));
        freshness.pass(Lsn::new(100));
        assert_eq!(freshness.at(), at(5));
        freshness.pass(Lsn::new(300));
        assert_eq!(freshness.at(), at(7));
    }

    #[test]
    fn an_idle_primary_needs_one_ping_and_a_late_stream_keeps_the_oldest() {
        let mut freshness = Freshness::default();
        for sent in 1..5000 {
            freshness.pinged(at(sent), Lsn::new(100), Lsn::new(1));
        }
        assert_eq!(freshness.outstanding.len(), 1);
        for sent in 5000..9000 {
            freshness.pinged(at(sent), Lsn::new(100 + sent), Lsn::new(1));
        }
        assert_eq!(freshness.outstanding.len(), OUTSTANDING);
        freshness.pass(Lsn::new(100));
        assert_eq!(freshness.at(), at(4999));
    }

    #[test]
    fn a_ping_answered_late_does_not_take_freshness_back() {
        let mut freshness = Freshness::default();
        freshness.pinged(at(9), Lsn::new(10), Lsn::new(10));
        freshness.pinged(at(3), Lsn::new(10), Lsn::new(10));
        assert_eq!(freshness.at(), at(9));
    }
}
