//! Counting without locks: a histogram of durations in buckets of 3 % width, and the counters of one phase.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling, as a power of two.
const FINE: u32 = 5;
const BUCKETS: usize = 40 << FINE;

/// Durations, to the microsecond at the small end and to 3 % above.
pub struct Histogram {
    buckets: Vec<AtomicU64>,
    largest: AtomicU64,
}

impl Histogram {
    pub fn new() -> Histogram {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Histogram { buckets, largest: AtomicU64::new(0) }
    }

    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(micros, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Snapshot {
        let counts = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        Snapshot { counts, largest: self.largest.load(Ordering::Relaxed) }
    }
}

/// A histogram as it stood.
#[derive(Clone)]
pub struct Snapshot {
    counts: Vec<u64>,
    largest: u64,
}

impl Snapshot {
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What was recorded since an earlier snapshot; the largest is then no longer known.
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now - then).collect();
        Snapshot { counts, largest: self.largest }
    }

    /// In milliseconds; `None` if nothing was recorded.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(value(at).min(self.largest) as f64 / 1000.0)
    }

    /// In milliseconds; `None` if nothing was recorded.
    pub fn largest(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.largest as f64 / 1000.0)
    }
}

fn bucket(micros: u64) -> usize {
    let exponent = (micros | 1).ilog2().saturating_sub(FINE);
    let at = (exponent << FINE) as u64 + (micros >> exponent);
    usize::try_from(at).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The upper end of a bucket, in microseconds.
fn value(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let exponent = (bucket >> FINE).saturating_sub(1);
    let mantissa = bucket - (exponent << FINE);
    ((mantissa + 1) << exponent) - 1
}

/// What sessions of one phase count together.
pub struct Meter {
    pub latency: Histogram,
    pub staleness: Histogram,
    pub writes: AtomicU64,
    pub errors: AtomicU64,
}

impl Meter {
    pub fn new() -> Meter {
        let (writes, errors) = (AtomicU64::new(0), AtomicU64::new(0));
        Meter { latency: Histogram::new(), staleness: Histogram::new(), writes, errors }
    }
}
