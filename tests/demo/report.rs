//! What the demo prints while it runs and at its end.

use crate::meter::Snapshot;
use crate::phase::Outcome;
use std::io::Write;
use std::time::Duration;

fn millis(value: Option<f64>) -> String {
    match value {
        Some(ms) if ms < 1.0 => format!("{ms:.3} ms"),
        Some(ms) if ms < 100.0 => format!("{ms:.2} ms"),
        Some(ms) => format!("{ms:.0} ms"),
        None => "–".to_owned(),
    }
}

/// Digits in groups of three.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One line for the second that has just passed.
pub fn live(name: &str, at: f64, rate: f64, second: &Snapshot, hits: Option<f64>, staleness: &Snapshot) {
    let hits = hits.map_or(String::new(), |share| format!("   hits {:>3.0} %", share * 100.0));
    println!(
        "  {name:<18} {at:>3.0} s  {:>7} queries/s   p50 {:>9}   p99 {:>9}{hits}   seen after, p99 {:>9}",
        grouped(rate as u64),
        millis(second.quantile(0.5)),
        millis(second.quantile(0.99)),
        millis(staleness.quantile(0.99)),
    );
    let _ = std::io::stdout().flush();
}

fn cpu(time: Duration, queries: u64) -> String {
    format!("{:.3} s", time.as_secs_f64() * 1000.0 / queries.max(1) as f64)
}

/// The closing table: the two phases side by side.
pub fn table(direct: &Outcome, through: &Outcome) {
    let rate = |o: &Outcome| o.latency.count() as f64 / o.elapsed.as_secs_f64();
    let queries = |o: &Outcome| o.latency.count();
    let row = |label: &str, values: [String; 2], more: String| {
        println!("  {label:<44} {:>16} {:>18}   {more}", values[0], values[1]);
    };
    let times = |direct: f64, through: f64| match direct / through {
        ratio if ratio.is_finite() && ratio >= 1.0 => format!("÷ {ratio:.1}"),
        ratio if ratio.is_finite() && ratio > 0.0 => format!("× {:.1}", 1.0 / ratio),
        _ => String::new(),
    };
    let both = |of: &dyn Fn(&Outcome) -> String| [of(direct), of(through)];
    println!();
    row("", ["direct".to_owned(), "through Sidecache".to_owned()], String::new());
    let faster = times(rate(direct), rate(through));
    row("queries per second", both(&|o| grouped(rate(o) as u64)), faster);
    for (label, share) in [("latency p50", 0.5), ("latency p99", 0.99)] {
        let quantile = |o: &Outcome| o.latency.quantile(share);
        let ratio = times(quantile(direct).unwrap_or(0.0), quantile(through).unwrap_or(0.0));
        row(label, both(&|o| millis(quantile(o))), ratio);
    }
    if let Some(counts) = &through.counts {
        let share = |n: u64| {
            let all = counts.hits.values().sum::<u64>() + counts.misses + counts.bypasses;
            format!("{:.1} %", n as f64 * 100.0 / all.max(1) as f64)
        };
        for (tier, hits) in &counts.hits {
            row(&format!("hits, {tier}"), ["–".to_owned(), grouped(*hits)], share(*hits));
        }
        row("misses", ["–".to_owned(), grouped(counts.misses)], share(counts.misses));
        row(
            "not asked of the cache (writes, refusals)",
            ["–".to_owned(), grouped(counts.bypasses)],
            share(counts.bypasses),
        );
    }
    let per_thousand = |label: &str, time: &dyn Fn(&Outcome) -> Duration| {
        let each = |o: &Outcome| time(o).as_secs_f64() / queries(o).max(1) as f64;
        row(label, both(&|o| cpu(time(o), queries(o))), times(each(direct), each(through)));
    };
    per_thousand("CPU per 1,000 queries: primary", &|o| o.cpu.primary);
    per_thousand("CPU per 1,000 queries: replicas", &|o| o.cpu.replicas);
    per_thousand("CPU per 1,000 queries: primary and replicas", &|o| o.cpu.primary + o.cpu.replicas);
    per_thousand("CPU per 1,000 queries: Sidecache", &|o| o.cpu.sidecaches);
    row("changes made meanwhile", both(&|o| grouped(o.writes)), String::new());
    for (label, share) in [("p50", 0.5), ("p99", 0.99)] {
        row(
            &format!("change beside, acknowledged to seen: {label}"),
            both(&|o| millis(o.staleness.quantile(share))),
            String::new(),
        );
    }
    row("change beside, acknowledged to seen: max", both(&|o| millis(o.staleness.largest())), String::new());
    row("reads checked", both(&|o| grouped(o.checked as u64)), String::new());
    row("stale reads found", both(&|o| grouped(o.violations.len() as u64)), String::new());
    row("failed statements", both(&|o| grouped(o.errors)), String::new());
    println!();
}
