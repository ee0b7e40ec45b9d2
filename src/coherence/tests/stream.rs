//! What the stream's life, its freshness and the readers' floors do to entries.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

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
    coherence.pinged(NOW, lsn(9000));
    let ahead = fill(&coherence, replica(9000, 9000), &[A]).unwrap();
    hear(&coherence, commit(8000, 101, &[A]));
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
    coherence.pinged(NOW, lsn(3000));
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
    coherence.pinged(wrote, lsn(1000));
    assert_eq!(coherence.judge(&proof, &read), Err(Unservable::BelowFloor), "in the same microsecond, perhaps before");
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
fn c4_an_entry_of_the_shared_tier_is_held_against_this_instances_own_positions() {
    let coherence = live();
    hear(&coherence, commit(1100, 101, &[A]));
    let shared = |epoch, stamp, relation| coherence.adopt(epoch, (lsn(stamp), lsn(stamp), lsn(stamp)), &[relation]);
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
    let later = Moment::from_micros(NOW.micros() + 9);
    coherence.pinged(later, lsn(segment + 40));
    assert_eq!(coherence.behind(later), Some(Duration::from_micros(9)), "since the catalog was looked at");
    let _ = coherence.catalog_verified(coherence.newest_doubt(), later, &snapshot("101:101:"), Lsn::ZERO);
    assert_eq!(coherence.behind(later), Some(Duration::ZERO));
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
                    let newest = coherence.adopt(EPOCH, (lsn(known), lsn(known), lsn(known)), &[A]);
                    let before = lsn(known.saturating_sub(1));
                    let older = coherence.adopt(EPOCH, (before, before, lsn(known)), &[A]);
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
