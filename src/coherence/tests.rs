//! Each rule of the machine, through its public door, on hand-made histories. What interleavings do to them is the model
//! checker's work.

use super::*;
use crate::types::Level;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

const EPOCH: Epoch = Epoch::new(7);
const S: Duration = Duration::from_secs(1);
const NOW: Moment = Moment::from_micros(1_000_000);
const A: RelationId = RelationId::new(1);
const B: RelationId = RelationId::new(2);

fn lsn(bytes: u64) -> Lsn {
    Lsn::new(bytes)
}

fn snapshot(text: &str) -> Snapshot {
    text.parse().unwrap()
}

fn commit(end: u64, xid: u32, relations: &[RelationId]) -> Commit {
    Commit { end: lsn(end), xid: Xid::new(xid), touch: Touch::Relations(relations.into()) }
}

fn primary(text: &str, high: u64) -> Evidence {
    Evidence::Primary { snapshot: snapshot(text), high: lsn(high) }
}

fn replica(replayed: u64, high: u64) -> Evidence {
    Evidence::Replica { replayed: lsn(replayed), high: lsn(high) }
}

fn demand(level: Level) -> Demand {
    Demand { level, floor: Floor::default(), now: NOW }
}

fn from(position: u64) -> Demand {
    Demand { floor: Floor { epoch: EPOCH, position: lsn(position), after: Moment::START }, ..demand(Level::Session) }
}

/// A stream from 1000, its beginning probed by transaction 100 under `probe`, the catalog verified, fresh as of now.
fn live_after(probe: &str, rules: Rules) -> Arc<Coherence> {
    let coherence = Coherence::with_rules(S, rules);
    coherence.stream_started(EPOCH, lsn(1000));
    coherence.probed(FullXid::new(100), &snapshot(probe));
    settle(&coherence, probe);
    coherence.pinged(NOW, lsn(1000));
    coherence
}

fn live() -> Arc<Coherence> {
    live_after("101:101:", Rules::ALL)
}

fn settle(coherence: &Coherence, seen: &str) {
    let doubt = coherence.newest_doubt();
    assert_eq!(coherence.catalog_verified(doubt, NOW, &snapshot(seen)), Verification::Settled);
}

fn hear(coherence: &Coherence, commit: Commit) {
    coherence.heard(&commit);
    coherence.applied(commit.end);
}

fn fill(coherence: &Arc<Coherence>, evidence: Evidence, relations: &[RelationId]) -> Result<Proof, FillRefusal> {
    let ticket = coherence.begin_fill(NOW)?;
    coherence.admit(ticket, &evidence, relations, NOW)
}

fn judge(coherence: &Coherence, proof: &Proof) -> Result<(), Unservable> {
    coherence.judge(proof, &demand(Level::Bounded))
}

#[test]
fn f1_c1_a_fill_that_a_commit_overtakes_is_refused_or_invalid() {
    // Heard while the query runs: refused.
    let coherence = live();
    let ticket = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1100, 101, &[A]));
    let refusal = coherence.admit(ticket, &primary("101:102:101", 1050), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::CommitNotVisible);
    // Heard after it was stored: never served again.
    let proof = fill(&coherence, primary("102:103:102", 1100), &[A]).unwrap();
    assert_eq!(judge(&coherence, &proof), Ok(()));
    hear(&coherence, commit(1200, 102, &[A]));
    assert_eq!(judge(&coherence, &proof), Err(Unservable::Changed));
    // Heard, but `applied` is not there yet: already invalid, and a fill that misses it is born invalid.
    let proof = fill(&coherence, primary("103:104:103", 1200), &[A]).unwrap();
    let ticket = coherence.begin_fill(NOW).unwrap();
    coherence.heard(&commit(1300, 103, &[A]));
    assert_eq!(judge(&coherence, &proof), Err(Unservable::Changed));
    let late = coherence.admit(ticket, &primary("103:104:103", 1200), &[A], NOW).unwrap();
    assert_eq!(judge(&coherence, &late), Err(Unservable::Changed));
}

#[test]
fn f1_a_commit_to_another_relation_concerns_nobody_else() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    hear(&coherence, commit(1100, 101, &[B]));
    assert_eq!(judge(&coherence, &proof), Ok(()));
    assert!(fill(&coherence, primary("101:102:101", 1100), &[A]).is_ok());
    let both = fill(&coherence, primary("101:102:101", 1100), &[A, B]);
    assert_eq!(both.unwrap_err(), FillRefusal::CommitNotVisible);
}

#[test]
fn f2_c2_a_commit_heard_before_it_is_visible_refuses_fills_until_a_snapshot_shows_it() {
    let coherence = live();
    hear(&coherence, commit(1100, 101, &[A]));
    hear(&coherence, commit(1200, 102, &[B]));
    // A later commit became visible first.
    for _ in 0..2 {
        let held = fill(&coherence, primary("101:103:101", 1200), &[A]);
        assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible);
    }
    assert_eq!(coherence.status().pending, 1);
    assert!(fill(&coherence, primary("103:103:", 1200), &[A]).is_ok());
    assert_eq!(coherence.status().commits, 0);
    // Without the rule the stale fill is stored, and nothing will ever invalidate it.
    let naive = live_after("101:101:", Rules::ALL.without(Rule::Snapshot));
    hear(&naive, commit(1100, 101, &[A]));
    let stale = fill(&naive, primary("101:102:101", 1100), &[A]).unwrap();
    assert_eq!(judge(&naive, &stale), Ok(()));
}

#[test]
fn f2_a_commit_is_kept_for_the_fills_that_began_before_a_snapshot_showed_it() {
    let coherence = live();
    let early = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1100, 101, &[A]));
    coherence.saw_snapshot(&snapshot("102:102:"));
    assert_eq!((coherence.status().commits, coherence.status().pending), (1, 0));
    let later = coherence.begin_fill(NOW).unwrap();
    let held = coherence.admit(early, &primary("101:102:101", 1100), &[A], NOW);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible);
    assert_eq!(coherence.status().commits, 0, "nobody needs it any more");
    assert!(coherence.admit(later, &primary("102:102:", 1100), &[A], NOW).is_ok());
}

#[test]
fn f2_what_may_have_committed_before_the_stream_began_is_suspected() {
    let hole = "99:101:99";
    let coherence = live_after(hole, Rules::ALL);
    assert_eq!(coherence.status().suspects, 1);
    let held = fill(&coherence, primary(hole, 1000), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::Suspect);
    assert!(fill(&coherence, replica(1000, 1000), &[A]).is_ok(), "a position on a replica is exact");
    let early = coherence.begin_fill(NOW).unwrap();
    coherence.saw_snapshot(&snapshot("101:101:"));
    let held = coherence.admit(early, &primary(hole, 1000), &[A], NOW);
    assert_eq!(held.unwrap_err(), FillRefusal::Suspect, "it began before the suspect was seen to end");
    assert_eq!(coherence.status().suspects, 0);
    assert!(fill(&coherence, primary("101:101:", 1000), &[A]).is_ok());
    let naive = live_after(hole, Rules::ALL.without(Rule::SuspectProbe));
    assert!(fill(&naive, primary(hole, 1000), &[A]).is_ok());
}

#[test]
fn f2_a_suspect_that_is_heard_is_known() {
    let coherence = live_after("99:101:99", Rules::ALL);
    hear(&coherence, commit(1100, 99, &[B]));
    assert_eq!(coherence.status().suspects, 0);
    assert!(fill(&coherence, primary("99:101:99", 1100), &[A]).is_ok());
    // Heard before the probe's answer came: never suspected.
    let coherence = Coherence::new(S);
    coherence.stream_started(EPOCH, lsn(1000));
    hear(&coherence, commit(1100, 99, &[B]));
    coherence.probed(FullXid::new(100), &snapshot("98:101:98,99"));
    assert_eq!(coherence.status().suspects, 1);
}

#[test]
fn f2_a_probe_that_its_snapshot_does_not_show_proves_nothing() {
    let coherence = Coherence::new(S);
    coherence.probed(FullXid::new(100), &snapshot("101:101:"));
    assert_eq!(coherence.state(), StreamState::Off);
    coherence.stream_started(EPOCH, lsn(1000));
    coherence.probed(FullXid::new(100), &snapshot("100:101:100"));
    assert_eq!(coherence.state(), StreamState::Starting);
    assert_eq!(coherence.begin_fill(NOW).unwrap_err(), FillRefusal::NotLive);
}

#[test]
fn f3_c3_a_replica_that_lags_is_stamped_with_what_it_replayed() {
    let coherence = live();
    hear(&coherence, commit(1100, 101, &[A]));
    let lagging = fill(&coherence, replica(1099, 1099), &[A]).unwrap();
    assert_eq!(judge(&coherence, &lagging), Err(Unservable::Changed));
    let exact = fill(&coherence, replica(1100, 1100), &[A]).unwrap();
    assert_eq!(judge(&coherence, &exact), Ok(()));
    let behind = fill(&coherence, replica(999, 1100), &[A]);
    assert_eq!(behind.unwrap_err(), FillRefusal::ReplicaNotProven);
}

#[test]
fn c3_a_replica_ahead_of_the_stream_is_served_and_raises_the_floor() {
    let coherence = live();
    let ahead = fill(&coherence, replica(1500, 1600), &[A]).unwrap();
    assert_eq!((ahead.stamp, ahead.high), (lsn(1500), lsn(1600)));
    assert!(ahead.source.may_lead_primary());
    assert_eq!(judge(&coherence, &ahead), Ok(()));
    let floor = Floor::default().risen(coherence.epoch(), ahead.high);
    let other = fill(&coherence, primary("101:101:", 1000), &[B]).unwrap();
    let read = Demand { floor, ..demand(Level::Session) };
    assert_eq!(coherence.judge(&other, &read), Err(Unservable::BelowFloor));
    // What it includes already does not invalidate it when it is heard.
    hear(&coherence, commit(1400, 101, &[A]));
    assert_eq!(judge(&coherence, &ahead), Ok(()));
    coherence.applied(lsn(1600));
    assert_eq!(coherence.judge(&other, &read), Ok(()));
    hear(&coherence, commit(1700, 102, &[A]));
    assert_eq!(judge(&coherence, &ahead), Err(Unservable::Changed));
}

#[test]
fn c3_long_fork_the_primary_may_not_show_yet_what_a_replica_showed() {
    let coherence = live();
    assert!(!coherence.shows_up_to(&snapshot("101:101:"), lsn(1100)), "not heard up to there");
    hear(&coherence, commit(1100, 101, &[A]));
    hear(&coherence, commit(1200, 102, &[B]));
    let before = snapshot("101:103:101");
    assert!(!coherence.shows_up_to(&before, lsn(1100)));
    assert!(coherence.shows_up_to(&snapshot("102:103:102"), lsn(1100)));
    assert!(!coherence.shows_up_to(&snapshot("102:103:102"), lsn(1200)));
    coherence.saw_snapshot(&snapshot("103:103:"));
    assert_eq!(coherence.status().commits, 0);
    assert!(!coherence.shows_up_to(&before, lsn(1100)), "it was let go, and this snapshot is older than its end");
    assert!(coherence.shows_up_to(&snapshot("103:103:"), lsn(1200)));
    coherence.stream_lost();
    assert!(!coherence.shows_up_to(&snapshot("103:103:"), lsn(1200)));
}

#[test]
fn c5_a_break_of_the_stream_ends_hits_and_fills_and_raises_the_floor() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let ticket = coherence.begin_fill(NOW).unwrap();
    coherence.stream_lost();
    assert_eq!(judge(&coherence, &proof), Err(Unservable::NotFresh));
    assert_eq!(coherence.begin_fill(NOW).unwrap_err(), FillRefusal::NotLive);
    coherence.heard(&commit(1100, 101, &[A]));
    coherence.applied(lsn(1100));
    assert_eq!(coherence.position(), lsn(1000), "nobody speaks for a broken stream");
    coherence.stream_started(EPOCH, lsn(2000));
    assert_eq!(judge(&coherence, &proof), Err(Unservable::NotFresh));
    coherence.probed(FullXid::new(200), &snapshot("201:201:"));
    assert_eq!(judge(&coherence, &proof), Err(Unservable::CatalogInDoubt));
    settle(&coherence, "201:201:");
    assert_eq!(judge(&coherence, &proof), Err(Unservable::Outdated));
    let refusal = coherence.admit(ticket, &primary("101:101:", 1000), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::Overtaken);
    let fresh = fill(&coherence, primary("201:201:", 2000), &[A]).unwrap();
    assert_eq!(judge(&coherence, &fresh), Err(Unservable::NotFresh), "no ping has come back");
    coherence.pinged(NOW, lsn(2000));
    assert_eq!(judge(&coherence, &fresh), Ok(()));
    assert_eq!(fill(&coherence, replica(1999, 2000), &[A]).unwrap_err(), FillRefusal::ReplicaNotProven);
}

#[test]
fn c5_a_stream_that_goes_back_within_an_epoch_stores_nothing_until_it_has_caught_up() {
    let coherence = live();
    coherence.applied(lsn(5000));
    coherence.stream_lost();
    coherence.stream_started(EPOCH, lsn(3000));
    coherence.probed(FullXid::new(200), &snapshot("201:201:"));
    settle(&coherence, "201:201:");
    assert_eq!(coherence.status().floor, lsn(5000));
    assert_eq!(fill(&coherence, primary("201:201:", 3000), &[A]).unwrap_err(), FillRefusal::Overtaken);
    coherence.applied(lsn(5000));
    assert!(fill(&coherence, primary("201:201:", 5000), &[A]).is_ok());
}

#[test]
fn c6_nothing_crosses_into_another_epoch_even_if_the_first_comes_back() {
    let coherence = live();
    let ahead = fill(&coherence, replica(9000, 9000), &[A]).unwrap();
    let other = Epoch::new(8);
    for epoch in [other, EPOCH] {
        coherence.stream_started(epoch, lsn(1000));
        coherence.probed(FullXid::new(100), &snapshot("101:101:"));
        settle(&coherence, "101:101:");
        coherence.pinged(NOW, lsn(1000));
        assert_eq!(judge(&coherence, &ahead), Err(Unservable::Outdated));
    }
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    assert_eq!(judge(&coherence, &proof), Ok(()));
    // A floor of another epoch: to the primary, which gives one of this epoch.
    let foreign = Floor { epoch: other, position: lsn(1), after: Moment::START };
    let read = Demand { floor: foreign, ..demand(Level::Session) };
    assert_eq!(coherence.judge(&proof, &read), Err(Unservable::BelowFloor));
    let floor = Floor { position: lsn(99_999), ..foreign }.risen(EPOCH, lsn(1000));
    assert_eq!(coherence.judge(&proof, &Demand { floor, ..read }), Ok(()));
}

#[test]
fn c7_c8_a_session_is_served_only_what_includes_its_floor() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    assert_eq!(coherence.judge(&proof, &from(1000)), Ok(()));
    assert_eq!(coherence.judge(&proof, &from(1001)), Err(Unservable::BelowFloor));
    assert_eq!(coherence.judge(&proof, &Demand { level: Level::Bounded, ..from(1001) }), Ok(()));
    coherence.applied(lsn(1001));
    assert_eq!(coherence.judge(&proof, &from(1001)), Ok(()));
    // Its own stamp is enough, wherever the stream is.
    let ahead = fill(&coherence, replica(3000, 3000), &[A]).unwrap();
    assert_eq!(coherence.judge(&ahead, &from(3000)), Ok(()));
    assert_eq!(coherence.judge(&ahead, &from(3001)), Err(Unservable::BelowFloor));
}

#[test]
fn c7_an_unknown_write_waits_for_a_ping_that_was_sent_after_it() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let wrote = Moment::from_micros(NOW.micros() + 50);
    let floor = Floor::default().risen_to_moment(wrote);
    let read = Demand { floor, ..demand(Level::Session) };
    assert_eq!(coherence.judge(&proof, &read), Err(Unservable::BelowFloor));
    coherence.pinged(Moment::from_micros(wrote.micros() + 1), lsn(1200));
    assert_eq!(coherence.judge(&proof, &read), Err(Unservable::BelowFloor), "the stream has not passed it");
    coherence.applied(lsn(1200));
    assert_eq!(coherence.judge(&proof, &read), Ok(()));
}

#[test]
fn hits_stop_past_the_staleness_bound_and_strong_is_never_served() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    assert_eq!(coherence.judge(&proof, &demand(Level::Strong)), Err(Unservable::Level));
    let at = |late: u64| Demand { now: Moment::from_micros(NOW.micros() + late), ..demand(Level::Bounded) };
    assert_eq!(coherence.judge(&proof, &at(1_000_000)), Ok(()));
    assert_eq!(coherence.judge(&proof, &at(1_000_001)), Err(Unservable::NotFresh));
    assert_eq!(coherence.staleness(at(500).now), Some(Duration::from_micros(500)));
    assert_eq!(coherence.staleness(at(1_000_001).now), None);
    assert_eq!(coherence.behind(at(1_000_001).now), Some(Duration::from_micros(1_000_001)));
}

#[test]
fn a_stream_that_no_ping_has_measured_is_not_fresh_even_in_the_first_second() {
    let coherence = Coherence::new(S);
    coherence.stream_started(EPOCH, lsn(1000));
    coherence.probed(FullXid::new(100), &snapshot("101:101:"));
    settle(&coherence, "101:101:");
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let early = Demand { now: Moment::from_micros(10), ..demand(Level::Bounded) };
    assert_eq!(coherence.judge(&proof, &early), Err(Unservable::NotFresh));
}

#[test]
fn c19_a_doubt_stops_everything_until_a_verification_that_began_after_it() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let under_way = coherence.begin_fill(NOW).unwrap();
    let doubt = coherence.doubt_catalog();
    coherence.doubt_catalog();
    assert_eq!(judge(&coherence, &proof), Err(Unservable::CatalogInDoubt));
    assert_eq!(coherence.begin_fill(NOW).unwrap_err(), FillRefusal::CatalogInDoubt);
    assert_eq!(coherence.catalog_need(), CatalogNeed::Now);
    let seen = snapshot("101:101:");
    assert_eq!(coherence.catalog_verified(doubt, NOW, &seen), Verification::StillInDoubt);
    assert_eq!(judge(&coherence, &proof), Err(Unservable::CatalogInDoubt));
    let refusal = coherence.admit(under_way, &primary("101:101:", 1000), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::CatalogInDoubt);
    settle(&coherence, "101:101:");
    assert_eq!(judge(&coherence, &proof), Ok(()));
    assert_eq!(coherence.catalog_need(), CatalogNeed::Nothing);
}

#[test]
fn c19_an_empty_bracket_is_a_doubt_that_only_a_verification_which_sees_it_settles() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    hear(&coherence, Commit { end: lsn(1100), xid: Xid::new(101), touch: Touch::Unknown });
    assert_eq!(judge(&coherence, &proof), Err(Unservable::CatalogInDoubt));
    let doubt = coherence.newest_doubt();
    let waiting = snapshot("101:102:101");
    assert_eq!(coherence.catalog_verified(doubt, NOW, &waiting), Verification::StillInDoubt);
    settle(&coherence, "102:102:");
    assert_eq!(judge(&coherence, &proof), Ok(()), "it moved no position");
    let held = fill(&coherence, primary("101:102:101", 1100), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible, "but every fill must have seen it");
}

#[test]
fn c19_a_changed_catalog_voids_stamps_names_and_fills() {
    let coherence = live();
    let old = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    // On an idle primary a replica may be exactly where the change is found.
    let level = fill(&coherence, replica(1200, 1200), &[A]).unwrap();
    let under_way = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1100, 101, &[B]));
    let doubt = coherence.doubt_catalog();
    let seen = snapshot("102:102:");
    assert_eq!(coherence.catalog_changed(doubt, NOW, &seen, lsn(1200)), Verification::Settled);
    assert_eq!(judge(&coherence, &old), Err(Unservable::Outdated));
    assert_eq!(judge(&coherence, &level), Err(Unservable::Outdated));
    let refusal = coherence.admit(under_way, &primary("102:102:", 1200), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::Overtaken);
    // Until the stream is there, a fill would be void at once.
    assert_eq!(fill(&coherence, primary("102:102:", 1200), &[A]).unwrap_err(), FillRefusal::Overtaken);
    assert_eq!(fill(&coherence, replica(1199, 1200), &[A]).unwrap_err(), FillRefusal::ReplicaNotProven);
    // A commit up to there may have been named after the old catalog: it counts for all.
    hear(&coherence, commit(1150, 102, &[B]));
    coherence.applied(lsn(1200));
    let held = fill(&coherence, primary("102:103:102", 1200), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible);
    let proof = fill(&coherence, primary("103:103:", 1200), &[A]).unwrap();
    assert_eq!(judge(&coherence, &proof), Ok(()), "filled under this catalog, though exactly at the change");
    let shared = |stamp| coherence.adopt(EPOCH, lsn(stamp), lsn(stamp), &[A]);
    assert_eq!(judge(&coherence, &shared(1200)), Err(Unservable::Outdated));
    assert_eq!(judge(&coherence, &shared(1201)), Ok(()));
}

#[test]
fn c19_names_heard_before_a_change_count_for_all_after_it() {
    let coherence = live();
    hear(&coherence, commit(1100, 101, &[B]));
    let doubt = coherence.doubt_catalog();
    let _ = coherence.catalog_changed(doubt, NOW, &snapshot("101:102:101"), lsn(1100));
    let held = fill(&coherence, primary("101:102:101", 1100), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible);
}

#[test]
fn c19_rows_and_catalog_in_one_transaction_make_hits_as_old_as_the_last_verification() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let later = Moment::from_micros(NOW.micros() + 1_500_000);
    coherence.pinged(later, lsn(1000));
    let read = Demand { now: later, ..demand(Level::Bounded) };
    assert_eq!(coherence.judge(&proof, &read), Ok(()), "nothing was heard since");
    hear(&coherence, commit(1100, 101, &[B]));
    assert_eq!(coherence.catalog_need(), CatalogNeed::Soon);
    assert_eq!(coherence.judge(&proof, &read), Err(Unservable::NotFresh));
    let doubt = coherence.newest_doubt();
    let _ = coherence.catalog_verified(doubt, later, &snapshot("101:102:101"));
    assert_eq!(coherence.judge(&proof, &read), Ok(()), "as fresh as the verification");
    assert_eq!(coherence.catalog_need(), CatalogNeed::Soon, "which did not see the transaction");
    let _ = coherence.catalog_verified(doubt, later, &snapshot("102:102:"));
    assert_eq!(coherence.catalog_need(), CatalogNeed::Nothing);
}

#[test]
fn c19_a_verification_from_before_the_stream_settles_nothing() {
    let coherence = live();
    let doubt = coherence.newest_doubt();
    coherence.stream_lost();
    coherence.stream_started(Epoch::new(8), lsn(500));
    coherence.probed(FullXid::new(100), &snapshot("101:101:"));
    let seen = snapshot("101:101:");
    assert_eq!(coherence.catalog_changed(doubt, NOW, &seen, lsn(1 << 40)), Verification::StillInDoubt);
    settle(&coherence, "101:101:");
    assert!(fill(&coherence, primary("101:101:", 500), &[A]).is_ok(), "nor does its position count");
}

#[test]
fn c20_a_fill_that_does_not_see_a_truncation_is_refused() {
    // TRUNCATE is not MVCC-safe: a snapshot from before it sees an empty table once it has committed.
    let coherence = live();
    let ticket = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1100, 101, &[A, B]));
    let refused = coherence.admit(ticket, &primary("101:101:", 1100), &[B], NOW);
    assert_eq!(refused.unwrap_err(), FillRefusal::CommitNotVisible);
}

#[test]
fn what_cannot_be_named_touches_everything() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let nothing = fill(&coherence, primary("101:101:", 1000), &[]).unwrap();
    hear(&coherence, Commit { end: lsn(1100), xid: Xid::new(101), touch: Touch::Everything });
    assert_eq!(judge(&coherence, &proof), Err(Unservable::Changed));
    assert_eq!(judge(&coherence, &nothing), Err(Unservable::Changed));
    assert_eq!(fill(&coherence, primary("101:102:101", 1100), &[]).unwrap_err(), FillRefusal::CommitNotVisible);
}

#[test]
fn a_commit_that_touches_very_many_relations_is_kept_as_one_that_touches_all() {
    let coherence = live();
    let many: Vec<_> = (10..100).map(RelationId::new).collect();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    hear(&coherence, commit(1100, 101, &many));
    assert_eq!(judge(&coherence, &proof), Ok(()));
    assert_eq!(fill(&coherence, primary("101:102:101", 1100), &[A]).unwrap_err(), FillRefusal::CommitNotVisible);
}

#[test]
fn c4_an_entry_of_the_shared_tier_is_held_against_this_instances_own_positions() {
    let coherence = live();
    hear(&coherence, commit(1100, 101, &[A]));
    let shared = |epoch, stamp, relation| coherence.adopt(epoch, lsn(stamp), lsn(stamp), &[relation]);
    assert_eq!(judge(&coherence, &shared(EPOCH, 1099, A)), Err(Unservable::Changed));
    assert_eq!(judge(&coherence, &shared(EPOCH, 1099, B)), Ok(()));
    assert_eq!(judge(&coherence, &shared(EPOCH, 1100, A)), Ok(()));
    assert_eq!(judge(&coherence, &shared(EPOCH, 999, B)), Err(Unservable::Outdated), "the stream began later");
    assert_eq!(judge(&coherence, &shared(Epoch::new(8), 1100, A)), Err(Unservable::Outdated));
    let proof = shared(EPOCH, 1200, A);
    hear(&coherence, commit(1300, 102, &[A]));
    assert_eq!(judge(&coherence, &proof), Err(Unservable::Changed));
}

#[test]
fn wraparound_commits_are_recognised_across_two_to_the_32() {
    let wrap = 1_u64 << 32;
    let coherence = Coherence::new(S);
    coherence.stream_started(EPOCH, lsn(1000));
    let probe = format!("{}:{}:{}", wrap - 3, wrap, wrap - 3);
    coherence.probed(FullXid::new(wrap - 1), &snapshot(&probe));
    settle(&coherence, &probe);
    assert_eq!(coherence.status().suspects, 1);
    hear(&coherence, commit(1100, u32::MAX - 2, &[B]));
    assert_eq!(coherence.status().suspects, 0);
    hear(&coherence, commit(1200, 3, &[A]));
    let before = format!("{0}:{1}:{0},{2}", wrap - 3, wrap + 5, wrap + 3);
    assert_eq!(fill(&coherence, primary(&before, 1200), &[B]).unwrap_err(), FillRefusal::CommitNotVisible);
    assert_eq!(fill(&coherence, primary(&before, 1200), &[A]).unwrap_err(), FillRefusal::CommitNotVisible);
    let after = format!("{0}:{0}:", wrap + 5);
    assert!(fill(&coherence, primary(&after, 1200), &[A, B]).is_ok());
}

#[test]
fn a_fill_of_more_than_thirty_seconds_is_not_stored_and_holds_the_ring_no_longer() {
    let coherence = live();
    let slow = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1100, 101, &[A]));
    coherence.saw_snapshot(&snapshot("102:102:"));
    assert_eq!(coherence.status().commits, 1);
    let later = Moment::from_micros(NOW.micros() + 30_000_001);
    let quick = coherence.begin_fill(later).unwrap();
    assert!(coherence.admit(quick, &primary("102:102:", 1100), &[A], later).is_ok());
    assert_eq!(coherence.status().commits, 0);
    let refusal = coherence.admit(slow, &primary("102:102:", 1100), &[A], later);
    assert_eq!(refusal.unwrap_err(), FillRefusal::TooOld);
}

#[test]
fn a_ticket_dropped_ends_its_fill() {
    let coherence = live();
    let ticket = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1100, 101, &[A]));
    coherence.saw_snapshot(&snapshot("102:102:"));
    assert_eq!((coherence.status().fills, coherence.status().commits), (1, 1));
    drop(ticket);
    assert_eq!((coherence.status().fills, coherence.status().commits), (0, 0));
}

#[test]
fn a_full_ring_refuses_the_fills_that_needed_what_it_dropped() {
    let coherence = live();
    coherence.locked.lock().machine.limit_ring(2);
    let slow = coherence.begin_fill(NOW).unwrap();
    for (end, xid) in [(1100, 101), (1200, 102)] {
        hear(&coherence, commit(end, xid, &[A]));
    }
    coherence.saw_snapshot(&snapshot("103:103:"));
    let quick = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1300, 103, &[B]));
    assert_eq!(coherence.status().commits, 2);
    let refusal = coherence.admit(slow, &primary("101:103:101,102", 1200), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::TooOld);
    assert!(coherence.admit(quick, &primary("103:104:103", 1300), &[A], NOW).is_ok());
}

#[test]
fn a_commit_dropped_unseen_refuses_every_fill_until_all_before_it_have_ended() {
    let coherence = live();
    coherence.locked.lock().machine.limit_ring(2);
    for (end, xid) in [(1100, 101), (1200, 102), (1300, 103)] {
        hear(&coherence, commit(end, xid, &[A]));
    }
    assert_eq!(coherence.status().commits, 2);
    let seen = primary("101:104:101", 1300);
    assert_eq!(fill(&coherence, seen.clone(), &[B]).unwrap_err(), FillRefusal::TooOld);
    assert!(!coherence.shows_up_to(&snapshot("101:104:101"), lsn(1300)));
    let early = coherence.begin_fill(NOW).unwrap();
    assert!(fill(&coherence, primary("104:104:", 1300), &[B]).is_ok());
    assert_eq!(coherence.admit(early, &seen, &[B], NOW).unwrap_err(), FillRefusal::TooOld);
    assert!(!coherence.shows_up_to(&snapshot("101:104:101"), lsn(1300)));
    assert!(fill(&coherence, primary("104:105:104", 1300), &[B]).is_ok());
}

#[test]
fn relations_beyond_the_limit_share_the_position_of_everything() {
    let coherence = live();
    let known = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    for oid in 0..RELATIONS as u32 + 10 {
        coherence.locked.lock().relation(RelationId::new(oid));
    }
    assert_eq!(coherence.status().relations, RELATIONS);
    let beyond = RelationId::new(RELATIONS as u32 + 5);
    let proof = fill(&coherence, primary("101:101:", 1000), &[beyond]).unwrap();
    hear(&coherence, commit(1100, 101, &[beyond]));
    assert_eq!(judge(&coherence, &proof), Err(Unservable::Changed));
    assert_eq!(judge(&coherence, &known), Err(Unservable::Changed));
}

#[test]
fn a_position_behind_a_page_header_is_reached_where_the_page_begins() {
    use judge::reached;
    let page = 8192 * 5;
    assert!(reached(lsn(page), lsn(page + 24)));
    assert!(!reached(lsn(page - 8), lsn(page + 24)));
    assert!(!reached(lsn(page), lsn(page + 32)));
    assert!(!reached(lsn(page), lsn(page + 40)), "a long header begins a segment only");
    let segment = 16 << 20;
    assert!(reached(lsn(segment), lsn(segment + 40)));
    assert!(!reached(lsn(segment), lsn(segment + 48)));
    let coherence = live();
    coherence.applied(lsn(segment));
    coherence.pinged(Moment::from_micros(NOW.micros() + 9), lsn(segment + 40));
    assert_eq!(coherence.behind(Moment::from_micros(NOW.micros() + 9)), Some(Duration::ZERO));
}

#[tokio::test]
async fn whoever_waits_is_woken_when_the_stream_is_there() {
    let coherence = live();
    coherence.wait_for(lsn(1000)).await;
    let waiting = tokio::spawn({
        let coherence = Arc::clone(&coherence);
        async move { coherence.wait_for(lsn(1300)).await }
    });
    for position in [1100, 1200, 1300] {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        coherence.applied(lsn(position));
    }
    waiting.await.unwrap();
}

/// A writer goes through commits while readers judge: who has learnt that a commit was applied is never served an entry
/// from before it.
#[test]
fn readers_without_a_lock_never_see_an_entry_that_a_commit_they_know_of_has_changed() {
    let coherence = live();
    let applied = AtomicU64::new(1000);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut served = 0_u64;
                loop {
                    let known = applied.load(Ordering::Acquire);
                    let newest = coherence.adopt(EPOCH, lsn(known), lsn(known), &[A]);
                    let older = coherence.adopt(EPOCH, lsn(known.saturating_sub(1)), lsn(known), &[A]);
                    served += u64::from(coherence.judge(&newest, &from(known)).is_ok());
                    if known > 1000 {
                        assert_ne!(coherence.judge(&older, &from(known)), Ok(()));
                    }
                    if known == 21_000 {
                        break;
                    }
                }
                assert!(served > 0);
            });
        }
        for end in 1001..=21_000_u64 {
            hear(&coherence, commit(end, end as u32, &[A]));
            coherence.saw_snapshot(&snapshot(&format!("{0}:{0}:", end + 1)));
            applied.store(end, Ordering::Release);
        }
    });
}

/// What may happen to the machine, in any order.
#[derive(Debug, Clone)]
enum Event {
    Heard(u64, u8),
    Applied(u64),
    Everything(u64),
    Started(u64),
    Lost,
    Doubted,
    Verified,
    Changed(u64),
    Pinged,
    FilledPrimary,
    FilledReplica(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let step = 1..50_u64;
    let event = prop_oneof![
        4 => (step.clone(), 1..3_u8).prop_map(|(by, relation)| Event::Heard(by, relation)),
        4 => step.clone().prop_map(Event::Applied),
        1 => step.clone().prop_map(Event::Everything),
        1 => step.clone().prop_map(Event::Started),
        1 => Just(Event::Lost),
        1 => Just(Event::Doubted),
        2 => Just(Event::Verified),
        1 => step.clone().prop_map(Event::Changed),
        2 => Just(Event::Pinged),
        4 => Just(Event::FilledPrimary),
        3 => step.prop_map(Event::FilledReplica),
    ];
    proptest::collection::vec(event, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Inside an epoch positions only grow, and an entry that was called outdated or changed is never servable again.
    #[test]
    fn monotone_positions_and_verdicts(history in events()) {
        let coherence = live();
        let (mut top, mut xid, mut doubts) = (1000, 200, 0);
        let mut proofs: Vec<(Proof, bool)> = Vec::new();
        for event in history {
            let before = (coherence.newest_doubt(), coherence.positions.read().1);
            let starts = matches!(event, Event::Started(_));
            match event {
                Event::Heard(by, relation) => {
                    top += by;
                    xid += 1;
                    coherence.heard(&commit(top, xid, &[RelationId::new(relation.into())]));
                }
                Event::Applied(by) => {
                    top += by;
                    coherence.applied(lsn(top));
                }
                Event::Everything(by) => {
                    top += by;
                    xid += 1;
                    coherence.heard(&Commit { end: lsn(top), xid: Xid::new(xid), touch: Touch::Everything });
                }
                Event::Started(by) => {
                    top += by;
                    xid += 1;
                    coherence.stream_started(EPOCH, lsn(top));
                    let after = snapshot(&format!("{0}:{0}:", xid + 1));
                    coherence.probed(FullXid::new(xid.into()), &after);
                }
                Event::Lost => coherence.stream_lost(),
                Event::Doubted => doubts = coherence.doubt_catalog(),
                Event::Verified => {
                    let seen = snapshot(&format!("{0}:{0}:", xid + 1));
                    let _ = coherence.catalog_verified(coherence.newest_doubt(), NOW, &seen);
                }
                Event::Changed(by) => {
                    let seen = snapshot(&format!("{0}:{0}:", xid + 1));
                    let _ = coherence.catalog_changed(doubts, NOW, &seen, lsn(top + by));
                    top += by;
                }
                Event::Pinged => coherence.pinged(NOW, lsn(top)),
                Event::FilledPrimary => {
                    let seen = primary(&format!("{0}:{0}:", xid + 1), top);
                    proofs.extend(fill(&coherence, seen, &[A]).map(|proof| (proof, true)));
                }
                Event::FilledReplica(ahead) => {
                    proofs.extend(fill(&coherence, replica(top + ahead, top + ahead), &[B]).map(|proof| (proof, true)));
                }
            }
            let after = (coherence.newest_doubt(), coherence.positions.read().1);
            prop_assert!(after.1.applied >= before.1.applied || starts);
            prop_assert!(after.1.floor >= before.1.floor && after.1.everything >= before.1.everything);
            prop_assert!(after.1.catalog_floor >= before.1.catalog_floor);
            prop_assert!(after.1.catalog_version >= before.1.catalog_version);
            prop_assert!(after.1.generation >= before.1.generation && after.0 >= before.0);
            for (proof, servable) in &mut proofs {
                let verdict = judge(&coherence, proof);
                prop_assert!(*servable || verdict.is_err());
                *servable &= !matches!(verdict, Err(Unservable::Outdated | Unservable::Changed));
                if verdict.is_ok() {
                    let status = coherence.status();
                    prop_assert!(proof.stamp >= status.floor && status.state == StreamState::Live);
                }
            }
        }
    }
}

#[test]
fn labels_are_stable_and_distinct() {
    use FillRefusal::*;
    let refusals = [NotLive, CatalogInDoubt, CommitNotVisible, Suspect, TooOld, Overtaken, ReplicaNotProven];
    let labels: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.label()).collect();
    assert_eq!(labels.len(), refusals.len());
    assert_eq!(Unservable::BelowFloor.label(), "below_floor");
}
