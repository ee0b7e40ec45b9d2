//! Model check: the machine itself, in every interleaving with a small PostgreSQL, never serves an entry that misses a commit
//! at or before the position it claims; and with any rule off it does, or these tests would show nothing.

mod explore;
mod session;
mod world;

use super::rules::{Rule, Rules};
use explore::{Explored, explore};
use session::Read;
use world::{Flaw, From, Scenario, World};

/// Two relations. Transactions are given by the relation each of them changes.
const A: u32 = 1;
const B: u32 = 2;

fn scenario() -> Scenario {
    Scenario {
        transactions: &[],
        fills: &[],
        snapshots: 0,
        reads: &[],
        stream_first: true,
        rules: Rules::ALL,
        flaw: Flaw::None,
    }
}

/// A commit is heard before it is visible, in any order, while fills and snapshots are under way.
fn race() -> Scenario {
    Scenario { transactions: &[A, A], fills: &[(From::Primary, A)], snapshots: 1, ..scenario() }
}

/// The same with two fills, which confirm commits for each other.
fn fills() -> Scenario {
    Scenario { transactions: &[A, A], fills: &[(From::Primary, A), (From::Primary, A)], ..scenario() }
}

/// The stream begins at any moment: between a commit record and its visibility too.
fn hole() -> Scenario {
    let fills = &[(From::Primary, A)];
    Scenario { transactions: &[A, A], fills, snapshots: 1, stream_first: false, ..scenario() }
}

/// A replica that lags the stream or leads it, beside a fill on the primary.
fn replica() -> Scenario {
    Scenario { transactions: &[A, A], fills: &[(From::Replica, A), (From::Primary, A)], ..scenario() }
}

/// One session reads a replica, the primary and the cache.
fn fork(reads: &'static [Read]) -> Scenario {
    Scenario { transactions: &[A, A], fills: &[(From::Replica, A)], reads, ..scenario() }
}

const FORWARD: &[Read] = &[Read::Replica(A), Read::Primary(A), Read::Cache(A)];
const BACKWARD: &[Read] = &[Read::Cache(A), Read::Primary(A), Read::Replica(A)];

fn holds(name: &str, scenario: Scenario, at_least: u128) {
    match explore(World::new(scenario)) {
        Ok(Explored { states, schedules, served }) => {
            println!("{name}: {states} states, {schedules} schedules, {served} judged servable");
            assert!(schedules >= at_least, "{schedules} schedules only");
            assert!(served > 0 || scenario.fills.is_empty(), "nothing was ever servable");
        }
        Err(found) => panic!("{name}: {found}"),
    }
}

fn fails(name: &str, scenario: Scenario) {
    let found = explore(World::new(scenario)).expect_err("a rule is off, and no schedule shows that it was needed");
    println!("{name}: {found}");
}

fn without(rule: Rule, scenario: Scenario) -> Scenario {
    Scenario { rules: Rules::ALL.without(rule), ..scenario }
}

#[test]
fn f2_c2_no_schedule_of_commits_and_fills_serves_what_misses_a_commit() {
    holds("race", race(), 100_000);
    holds("fills", fills(), 300_000);
}

#[test]
fn f2_c2_without_the_snapshot_rule_one_does() {
    fails("snapshot rule off", without(Rule::Snapshot, race()));
}

#[test]
fn f2_without_the_trimming_rule_one_does() {
    fails("trimming rule off", without(Rule::Trimming, fills()));
}

#[test]
fn c5_no_beginning_of_the_stream_hides_a_commit() {
    holds("hole", hole(), 300_000);
}

#[test]
fn c5_without_the_suspect_probe_one_does() {
    fails("suspect probe off", without(Rule::SuspectProbe, hole()));
}

#[test]
fn c5_without_the_trimming_rule_a_suspect_is_forgotten_too_early() {
    // No commit but the suspect's: what is trimmed too early can only be the suspect.
    fails("trimming rule off, suspect", without(Rule::Trimming, Scenario { transactions: &[A], ..hole() }));
}

#[test]
fn f3_c3_no_schedule_of_replay_serves_what_misses_a_commit() {
    holds("replica", replica(), 300_000);
}

#[test]
fn f3_c3_with_the_start_of_the_commit_record_one_does() {
    fails("commit start", Scenario { flaw: Flaw::CommitStart, ..replica() });
}

#[test]
fn f3_c3_with_the_position_read_after_the_query_one_does() {
    fails("replay position too late", Scenario { flaw: Flaw::ReplayedAfterQuery, ..replica() });
}

#[test]
fn c8_no_session_reads_back_in_time() {
    holds("fork, forward", fork(FORWARD), 100_000);
    holds("fork, backward", fork(BACKWARD), 100_000);
    // What a snapshot lets the ring forget, an older snapshot must not be taken to show.
    let (reads, transactions) = (&FORWARD[..2], &[A, A][..]);
    holds("fork, forgotten", Scenario { transactions, fills: &[], snapshots: 1, reads, ..scenario() }, 10_000);
}

#[test]
fn c8_a_primary_read_that_need_not_show_what_the_replica_showed_does() {
    fails("long fork", Scenario { flaw: Flaw::LongFork, ..fork(FORWARD) });
    fails("long fork after a hit", Scenario { flaw: Flaw::LongFork, ..fork(BACKWARD) });
}

#[test]
fn c8_a_hit_that_does_not_raise_the_floor_does() {
    fails("floor not raised", Scenario { flaw: Flaw::FloorStays, ..fork(BACKWARD) });
}

/// More of everything: minutes, so not by default (`cargo test --profile profiling --lib deep_ -- --ignored`).
#[test]
#[ignore = "takes minutes"]
fn deep_three_transactions_on_two_relations() {
    let transactions = &[A, A, B];
    let starting = |scenario| Scenario { transactions, stream_first: false, ..scenario };
    holds("deep race", Scenario { transactions, snapshots: 1, ..fills() }, 1 << 40);
    holds("deep hole", starting(hole()), 1 << 30);
    holds("deep replica", starting(replica()), 1 << 40);
    holds("deep fork", Scenario { transactions, snapshots: 1, ..fork(FORWARD) }, 1 << 40);
}
