//! Which fills may be stored, and what they are stored as.

use super::*;

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
    let unknown = fill(&coherence, replica(1500, 1600), &[A]);
    assert_eq!(unknown.unwrap_err(), FillRefusal::ReplicaNotProven, "the primary may have no such history");
    coherence.pinged(NOW, lsn(1500));
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
    let after = fill(&coherence, primary("102:102:", 1100), &[A]).unwrap();
    assert_eq!(judge(&coherence, &after), Ok(()));
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
    coherence.saw_snapshot(&snapshot("104:104:"));
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
