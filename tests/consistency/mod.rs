//! Many sessions read and write, through Sidecache and beside it, while replay pauses, commits hang between WAL and
//! visibility, and streams stall and break. Afterwards the whole history is judged.
//!
//! Everything is decided by a seed. `SIDECACHE_SEEDS=7,8,9 cargo test --test it consistency` runs other seeds than the
//! usual; a seed that found something is added to the test that it belongs to.

mod invariants;
mod run;

use invariants::{Promise, bounded_staleness, linearizable, monotonic_reads, nothing_invented, read_your_writes};
use run::{Plan, Tier};

/// The seeds to run: given by the environment, or a test's own.
fn seeds(own: &[u64]) -> Vec<u64> {
    match std::env::var("SIDECACHE_SEEDS") {
        Ok(given) => given.split(',').map(|seed| seed.trim().parse().expect("SIDECACHE_SEEDS holds numbers")).collect(),
        Err(_) => own.to_vec(),
    }
}

/// Runs a plan with each seed and holds it against what its level promises.
fn holds(own: &[u64], plan: impl Fn(u64) -> Plan) {
    for seed in seeds(own) {
        let plan = plan(seed);
        let seen = run::run(&plan);
        let history = &seen.history;
        let mut broken = [bounded_staleness(history, run::BOUND), nothing_invented(history, |_| 0)].concat();
        match plan.level {
            "strong" => broken.extend(linearizable(history)),
            "session" => broken.extend([read_your_writes(history), monotonic_reads(history)].concat()),
            _ => {}
        }
        broken.extend(seen.diverged);
        println!(
            "seed {seed}, {plan:?}: {} reads, {} writes, {} hits",
            history.reads.len(),
            history.writes.len(),
            seen.hits
        );
        assert!(seen.hits > 0 || plan.level == "strong", "seed {seed}: nothing was a hit, so nothing was tested");
        let mut shown = String::new();
        broken.iter().take(10).for_each(|violation| shown += &format!("\n- {violation}"));
        let of = |promise| broken.iter().filter(|v| v.promise == promise).count();
        let stuck = of(Promise::Convergence);
        assert!(broken.is_empty(), "seed {seed}: {} reads broke a promise, {stuck} for ever:{shown}", broken.len());
    }
}

#[test]
fn level_session_keeps_its_promises_under_faults() {
    holds(&[1, 2], |seed| Plan { seed, level: "session", instances: 1, tier: Tier::Memory, faults: 12 });
}

#[test]
fn two_instances_on_one_redis_keep_the_promises_of_level_session() {
    holds(&[3], |seed| Plan { seed, level: "session", instances: 2, tier: Tier::Shared, faults: 12 });
}

#[test]
fn level_bounded_keeps_its_promise_under_faults() {
    holds(&[4], |seed| Plan { seed, level: "bounded", instances: 1, tier: Tier::Memory, faults: 8 });
}

#[test]
fn level_strong_is_linearizable_under_faults() {
    holds(&[5], |seed| Plan { seed, level: "strong", instances: 1, tier: Tier::Memory, faults: 8 });
}
