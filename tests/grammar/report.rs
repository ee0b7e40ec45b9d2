//! Counts what became of statements: the figures that the tests print.

use sidecache::route::plan::Plan;
use std::collections::BTreeMap;

/// Counts of one set of statements.
#[derive(Default)]
pub struct Report {
    pub all: usize,
    pub understood: usize,
    pub cacheable: usize,
    refusals: BTreeMap<&'static str, usize>,
}

impl Report {
    pub fn add(&mut self, plan: &Plan) {
        self.all += 1;
        self.understood += usize::from(!plan.is_not_understood());
        self.cacheable += usize::from(plan.cache.is_ok());
        if let Err(refusal) = plan.cache {
            *self.refusals.entry(refusal.label()).or_default() += 1;
        }
    }

    pub fn print(&self, what: &str) {
        let share = |part: usize| 100.0 * part as f64 / self.all.max(1) as f64;
        let [understood, cacheable] = [self.understood, self.cacheable].map(share);
        println!("{what}: {} of them, {understood:.2} % understood, {cacheable:.2} % cacheable", self.all);
        let mut refusals: Vec<_> = self.refusals.iter().collect();
        refusals.sort_by_key(|(label, count)| (std::cmp::Reverse(**count), **label));
        for (label, count) in refusals.into_iter().take(10) {
            println!("    {count:6} {label}");
        }
    }
}
