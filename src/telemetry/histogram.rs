//! Histograms of durations, recorded in two additions. Those of the exporter keep every sample until they are folded
//! together, which took as long as composing a key.

use super::names::{BUCKETS_MICROS, Name};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts by bucket, the last for what is longer than every bound.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_MICROS.len() + 1],
    micros: AtomicU64,
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

impl Histogram {
    pub fn record(&self, length: Duration) {
        let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// How many were recorded, and how long they were together.
    pub fn total(&self) -> (u64, Duration) {
        let count = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum();
        (count, Duration::from_micros(self.micros.load(Relaxed)))
    }

    /// Writes the series of one label, or none while nothing was recorded.
    fn render(&self, out: &mut String, name: &str, label: Option<(&str, &str)>) -> std::fmt::Result {
        let (first, alone) = match label {
            Some((key, value)) => (format!("{key}=\"{value}\","), format!("{{{key}=\"{value}\"}}")),
            None => Default::default(),
        };
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return Ok(());
        }
        let mut below = 0;
        for (bound, count) in BUCKETS_MICROS.iter().zip(&counts) {
            below += count;
            writeln!(out, "{name}_bucket{{{first}le=\"{}\"}} {below}", seconds(*bound))?;
        }
        writeln!(out, "{name}_bucket{{{first}le=\"+Inf\"}} {total}")?;
        writeln!(out, "{name}_sum{alone} {}", seconds(self.micros.load(Relaxed)))?;
        writeln!(out, "{name}_count{alone} {total}")
    }
}

/// Appends a family as Prometheus reads it: histograms under one name, each with its own value of the label `key`.
pub fn render<'a>(
    out: &mut String,
    name: Name,
    key: &str,
    all: impl IntoIterator<Item = (Option<&'a str>, &'a Histogram)>,
) {
    let mut series = String::new();
    let written = all
        .into_iter()
        .try_for_each(|(value, histogram)| histogram.render(&mut series, name.name, value.map(|value| (key, value))));
    written.expect("a String takes everything");
    if !series.is_empty() {
        out.push_str(&format!("# HELP {0} {1}\n# TYPE {0} histogram\n{series}\n", name.name, name.help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names::{POOL_WAIT_SECONDS, REQUEST_SECONDS};

    #[test]
    fn a_sample_counts_in_its_bucket_and_in_all_above() {
        let histogram = Histogram::default();
        for micros in [0, 10, 11, 10_000_001] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut text = String::new();
        render(&mut text, REQUEST_SECONDS, "destination", [(Some("memory"), &histogram)]);
        for line in [
            "# TYPE sidecache_request_seconds histogram",
            "sidecache_request_seconds_bucket{destination=\"memory\",le=\"0.00001\"} 2",
            "sidecache_request_seconds_bucket{destination=\"memory\",le=\"0.00002\"} 3",
            "sidecache_request_seconds_bucket{destination=\"memory\",le=\"10\"} 3",
            "sidecache_request_seconds_bucket{destination=\"memory\",le=\"+Inf\"} 4",
            "sidecache_request_seconds_sum{destination=\"memory\"} 10.000022",
            "sidecache_request_seconds_count{destination=\"memory\"} 4",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn what_was_never_recorded_has_no_series() {
        let mut text = String::new();
        render(&mut text, POOL_WAIT_SECONDS, "", [(None, &Histogram::default())]);
        assert_eq!(text, "");
    }
}
