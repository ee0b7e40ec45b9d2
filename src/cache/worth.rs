//! Whether the shared tier is asked, or the server at once. Knows costs and round trips; asks nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A tier whose round trip takes so many times what a fill usually costs is not asked for answers of which no cost is known.
const FACTOR: u32 = 4;

/// Of those, one in so many is asked for all the same: or nobody would learn that the tier is quicker again.
const TRIED: u64 = 64;

/// What fills have cost.
#[derive(Debug, Default)]
pub(super) struct Worth {
    /// Smoothed; zero before the first.
    usual_micros: AtomicU64,
    passed_over: AtomicU64,
}

impl Worth {
    /// A fill has ended.
    pub fn filled(&self, cost: Duration) {
        let new = u64::try_from(cost.as_micros()).unwrap_or(u64::MAX);
        let old = self.usual_micros.load(Ordering::Relaxed);
        // Racing updates may lose one another: it is an estimate.
        let smoothed = if old == 0 { new } else { old - old / 8 + new / 8 };
        self.usual_micros.store(smoothed, Ordering::Relaxed);
    }

    /// Whether reading from a tier of this round trip is worth it. `cost`: of a fill of this very answer, if there was one.
    pub fn is_worthwhile(&self, round_trip: Duration, cost: Option<Duration>) -> bool {
        let usual = Duration::from_micros(self.usual_micros.load(Ordering::Relaxed));
        match cost {
            Some(cost) => cost >= round_trip,
            None if usual.is_zero() || round_trip < usual * FACTOR => true,
            None => self.passed_over.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRIED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_tier_is_not_asked_for_every_answer_that_was_never_seen() {
        let (worth, ms) = (Worth::default(), Duration::from_millis);
        assert!(worth.is_worthwhile(ms(7), None), "nothing is known");
        (0..50).for_each(|_| worth.filled(ms(1)));
        assert!(worth.is_worthwhile(ms(3), None), "it spares the server work");
        let asked = (0..640).filter(|_| worth.is_worthwhile(ms(7), None)).count();
        assert_eq!(asked, 10, "to learn whether it is quicker again");
        assert!(worth.is_worthwhile(ms(7), Some(ms(8))) && !worth.is_worthwhile(ms(7), Some(ms(6))));
    }
}
