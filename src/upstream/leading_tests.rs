//! Who leads and who follows, by answers that are made up: failovers, restarts, strangers, twins.

use super::*;
use crate::upstream::control::Identity;

const S: Duration = Duration::from_millis(1);

fn probe(epoch: u64, timeline: u32, sent: u64, standing: Standing) -> Probe {
    let in_recovery = matches!(standing, Standing::Replica { .. });
    let identity = Identity { epoch: Epoch::new(epoch), in_recovery, wal_level: "logical".into(), version: 150_000 };
    let (system, timeline) = (Some("75".to_owned()), Some(timeline));
    Probe { sent: Moment::from_micros(sent), identity, standing, system, timeline, started: None }
}

fn primary(epoch: u64, timeline: u32, sent: u64, inserted: u64) -> Probe {
    probe(epoch, timeline, sent, Standing::Primary { inserted: Lsn::new(inserted), block_size: 8192 })
}

fn replica(leading: &mut Leading, timeline: u32, replayed: u64, now: u64) -> Seen {
    replica_at(leading, 1, timeline, replayed, now)
}

fn replica_at(leading: &mut Leading, index: usize, timeline: u32, replayed: u64, now: u64) -> Seen {
    let replayed = Some(Lsn::new(replayed));
    let answer = probe(0, timeline, now, Standing::Replica { replayed, receives: true });
    leading.replica_answered(index, &answer, replayed, Moment::from_micros(now))
}

#[test]
fn r10_a_replica_follows_and_is_fresh_only_as_far_as_is_proven() {
    let mut leading = Leading::new(S);
    let seen = replica(&mut leading, 1, 1_000, 50);
    assert_eq!((seen.following, seen.primary), (Epoch::default(), PrimaryHeard::NotLately));
    assert_eq!(leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown), Heard::NewLife);
    assert_eq!(leading.primary_answered(0, &primary(7, 1, 200, 1_500), Role::Primary), Heard::Same);
    let seen = replica(&mut leading, 1, 1_200, 300);
    assert_eq!((seen.following, seen.fresh_at), (Epoch::new(7), Some(Moment::from_micros(100))));
    assert_eq!(seen.lag_bytes, Some(300));
    assert_eq!(replica(&mut leading, 1, 999, 300).fresh_at, None);
    assert_eq!(replica(&mut leading, 2, 1_500, 300).following, Epoch::default(), "another timeline");
    let late = replica(&mut leading, 1, 1_500, 5_000);
    assert_eq!((late.primary, late.fresh_at), (PrimaryHeard::NotLately, None), "the primary fell silent");
}

#[test]
fn r11_a_promoted_replica_becomes_the_primary_and_the_old_one_does_not_come_back() {
    let mut leading = Leading::new(S);
    leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
    assert_eq!(leading.primary_answered(1, &primary(8, 1, 150, 1_000), Role::Primary), Heard::Stranger);
    assert!(!leading.parts(0, &primary(8, 1, 200, 900)), "a restart");
    assert!(leading.parts(0, &primary(8, 2, 200, 900)) && leading.parts(1, &primary(8, 2, 200, 900)));
    assert_eq!(leading.primary_answered(1, &primary(8, 2, 200, 900), Role::Unknown), Heard::NewLife);
    assert_eq!((leading.index(), leading.epoch()), (1, Epoch::new(8)));
    assert_eq!(leading.primary_answered(0, &primary(9, 1, 300, 2_000), Role::Primary), Heard::Stranger);
    assert_eq!(leading.index(), 1);
    let seen = replica(&mut leading, 2, 900, 400);
    assert_eq!((seen.following, seen.fresh_at), (Epoch::new(8), Some(Moment::from_micros(200))));
}

#[test]
fn r11_a_leader_that_follows_a_writer_hands_the_lead_to_it() {
    let promoted = || {
        let mut leading = Leading::new(S);
        leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
        assert_eq!(leading.primary_answered(1, &primary(8, 2, 200, 900), Role::Unknown), Heard::NewLife);
        assert_eq!(leading.primary_answered(0, &primary(7, 1, 300, 2_000), Role::Primary), Heard::Stranger);
        leading
    };
    let mut leading = promoted();
    replica(&mut leading, 1, 2_000, 400);
    assert_eq!((leading.index(), leading.epoch()), (0, Epoch::new(7)));
    let mut leading = promoted();
    replica(&mut leading, 2, 900, 400);
    assert_eq!(leading.index(), 1, "it follows nobody that is known");
    leading.primary_answered(2, &primary(9, 1, 450, 2_000), Role::Replica);
    replica(&mut leading, 1, 2_000, 500);
    assert_eq!(leading.index(), 1, "which of the two?");
}

#[test]
fn r10_where_two_write_on_one_timeline_nobody_is_proven_to_follow_either() {
    let mut leading = Leading::new(S);
    leading.primary_answered(0, &primary(7, 2, 100, 1_000), Role::Unknown);
    assert_eq!(replica_at(&mut leading, 2, 2, 900, 150).following, Epoch::new(7));
    assert_eq!(leading.primary_answered(1, &primary(8, 2, 200, 1_000), Role::Primary), Heard::Stranger);
    assert_eq!(replica_at(&mut leading, 2, 2, 900, 250).following, Epoch::default(), "whose log does it replay?");
    replica(&mut leading, 2, 900, 300);
    assert_eq!(replica_at(&mut leading, 2, 2, 900, 350).following, Epoch::new(7), "one has become a replica");
}

#[test]
fn r10_the_primary_by_another_name_is_no_twin_of_its_own() {
    let mut leading = Leading::new(S);
    leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
    assert_eq!(leading.primary_answered(1, &primary(7, 1, 150, 1_000), Role::Primary), Heard::Itself);
    assert_eq!(replica_at(&mut leading, 2, 1, 900, 200).following, Epoch::new(7));
    // It restarts, and is heard by one name alone.
    leading.lost(1, Moment::from_micros(250));
    assert_eq!(leading.primary_answered(0, &primary(8, 1, 300, 1_000), Role::Primary), Heard::NewLife);
    assert_eq!(replica_at(&mut leading, 2, 1, 900, 350).following, Epoch::new(8), "it was gone before");
    assert_eq!(leading.primary_answered(1, &primary(8, 1, 400, 1_000), Role::Primary), Heard::Itself);
    assert_eq!(leading.primary_answered(0, &primary(9, 1, 500, 1_000), Role::Primary), Heard::NewLife);
    assert_eq!(
        replica_at(&mut leading, 2, 1, 900, 550).following,
        Epoch::default(),
        "whoever tells the old life still is a twin"
    );
    leading.lost(1, Moment::from_micros(560));
    assert_eq!(replica_at(&mut leading, 2, 1, 900, 600).following, Epoch::new(9), "it has gone since");
}

#[test]
fn r11_an_address_of_whoever_takes_writes_moves_with_it() {
    let known = || {
        let mut leading = Leading::new(S);
        leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
        leading.primary_answered(1, &primary(7, 1, 110, 1_000), Role::Primary);
        leading
    };
    let follows = |leading: &mut Leading| replica_at(leading, 3, 2, 1_000, 300).following;
    let mut leading = known();
    assert_eq!(leading.primary_answered(2, &primary(8, 2, 200, 1_000), Role::Unknown), Heard::NewLife);
    assert_eq!(leading.primary_answered(0, &primary(8, 2, 210, 1_000), Role::Primary), Heard::Itself);
    assert_eq!((leading.index(), follows(&mut leading)), (2, Epoch::new(8)));
    let mut leading = known();
    assert_eq!(leading.primary_answered(0, &primary(8, 2, 200, 1_000), Role::Unknown), Heard::NewLife);
    assert_eq!(leading.primary_answered(2, &primary(8, 2, 210, 1_000), Role::Primary), Heard::Itself);
    assert_eq!((leading.index(), follows(&mut leading)), (0, Epoch::new(8)));
    // It leads to a replica for a while.
    let mut leading = known();
    replica_at(&mut leading, 0, 1, 1_000, 200);
    assert_eq!((leading.index(), leading.epoch()), (1, Epoch::new(7)), "the same primary, by its own name");
    let mut leading = Leading::new(S);
    leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
    replica_at(&mut leading, 0, 1, 1_000, 200);
    assert_eq!(leading.primary_answered(1, &primary(7, 1, 210, 1_000), Role::Replica), Heard::NewLife);
    assert_eq!(leading.index(), 1);
}

#[test]
fn r11_a_server_of_another_cluster_never_takes_over() {
    let mut leading = Leading::new(S);
    let stranger = primary(8, 5, 100, 1_000);
    let other = Probe { system: Some("76".into()), ..stranger.clone() };
    assert_eq!(leading.primary_answered(1, &other, Role::Unknown), Heard::Stranger, "nothing is known yet");
    leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
    assert_eq!(leading.index(), 0);
    assert_eq!(leading.primary_answered(1, &other, Role::Unknown), Heard::Stranger);
    let nameless = Probe { system: None, ..stranger };
    assert_eq!(leading.primary_answered(1, &nameless, Role::Unknown), Heard::Stranger);
}

#[test]
fn r11_a_later_timeline_that_was_heard_first_is_remembered() {
    let mut leading = Leading::new(S);
    assert_eq!(leading.primary_answered(1, &primary(8, 3, 100, 1_000), Role::Unknown), Heard::Stranger);
    assert!(leading.is_open());
    assert_eq!(leading.primary_answered(0, &primary(7, 1, 200, 2_000), Role::Unknown), Heard::Stranger);
    assert_eq!((leading.index(), leading.epoch(), leading.is_open()), (1, Epoch::new(8), false));
    assert_eq!(leading.primary_answered(1, &primary(8, 3, 300, 1_000), Role::Primary), Heard::Same);
}

#[test]
fn r11_one_that_says_nothing_is_waited_for_and_no_longer() {
    let heard = |writers: &[(usize, u32)]| {
        let mut leading = Leading::new(S);
        for &(index, timeline) in writers {
            let answer = primary(timeline.into(), timeline, 100, 1_000);
            assert_eq!(leading.primary_answered(index, &answer, Role::Unknown), Heard::Stranger);
        }
        leading
    };
    let mut leading = heard(&[(1, 2), (2, 3)]);
    leading.start_is_over(Role::Unknown);
    assert_eq!((leading.index(), leading.epoch()), (2, Epoch::new(3)), "the latest timeline");
    assert_eq!(leading.primary_answered(0, &primary(1, 1, 200, 2_000), Role::Unknown), Heard::Stranger);

    let mut leading = heard(&[]);
    leading.start_is_over(Role::Unknown);
    assert_eq!(leading.primary_answered(1, &primary(8, 2, 100, 1), Role::Unknown), Heard::NewLife, "promoted later");

    let mut leading = heard(&[(1, 2)]);
    replica_at(&mut leading, 2, 3, 1_000, 150);
    leading.start_is_over(Role::Unknown);
    assert_eq!(leading.epoch(), Epoch::default(), "another has gone further");

    let mut leading = heard(&[(1, 2)]);
    let foreign = Probe { system: Some("76".into()), ..primary(9, 1, 100, 1) };
    assert_eq!(leading.primary_answered(2, &foreign, Role::Unknown), Heard::Stranger);
    leading.start_is_over(Role::Unknown);
    assert_eq!(leading.epoch(), Epoch::default(), "whose cluster is it?");
}

#[test]
fn r11_a_configured_primary_that_is_a_replica_gives_way_at_the_start() {
    let mut leading = Leading::new(S);
    assert_eq!(leading.primary_answered(1, &primary(8, 2, 100, 1), Role::Replica), Heard::NewLife);
    assert_eq!(leading.index(), 1);
}

#[test]
fn r11_an_old_primary_leads_nobody_while_a_replica_is_on_a_later_timeline() {
    let outrun = || {
        let mut leading = Leading::new(S);
        replica_at(&mut leading, 2, 2, 1_000, 100);
        assert_eq!(leading.primary_answered(0, &primary(7, 1, 200, 2_000), Role::Unknown), Heard::Overtaken);
        assert!(leading.is_overtaken(Moment::from_micros(250)) && leading.is_followed());
        leading.start_is_over(Role::Primary);
        assert_eq!(leading.epoch(), Epoch::default());
        leading
    };
    let remembered = u64::try_from(REMEMBERED.as_micros()).unwrap();
    let mut leading = outrun();
    assert_eq!(leading.primary_answered(1, &primary(8, 2, 300, 1_000), Role::Primary), Heard::Stranger);
    assert_eq!(leading.primary_answered(0, &primary(7, 1, 400, 2_000), Role::Primary), Heard::Stranger);
    assert_eq!((leading.index(), leading.epoch()), (1, Epoch::new(8)), "the promoted one is heard");

    let mut leading = outrun();
    replica_at(&mut leading, 2, 1, 1_000, 300);
    assert!(!leading.is_overtaken(Moment::from_micros(350)));
    assert_eq!(leading.primary_answered(0, &primary(7, 1, 400, 2_000), Role::Primary), Heard::NewLife, "made anew");

    let mut leading = outrun();
    leading.lost(2, Moment::from_micros(300));
    let later = primary(7, 1, 300 + remembered, 2_000);
    assert_eq!(leading.primary_answered(0, &later, Role::Primary), Heard::NewLife, "a replica that is gone for good");
    let mut leading = outrun();
    leading.lost(2, Moment::from_micros(301));
    assert_eq!(leading.primary_answered(0, &later, Role::Primary), Heard::Overtaken);

    // The watch goes on trying to reach one that is gone, and says every time that it is.
    let mut leading = outrun();
    [300, 400, 299 + remembered].into_iter().for_each(|now| leading.lost(2, Moment::from_micros(now)));
    assert_eq!(leading.primary_answered(0, &later, Role::Primary), Heard::NewLife);
    // It was there in between.
    let mut leading = outrun();
    leading.lost(2, Moment::from_micros(250));
    replica_at(&mut leading, 2, 2, 1_000, 301);
    leading.lost(2, Moment::from_micros(302));
    assert_eq!(leading.primary_answered(0, &later, Role::Primary), Heard::Overtaken);

    // It had led.
    let mut leading = Leading::new(S);
    leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
    leading.start_is_over(Role::Primary);
    replica_at(&mut leading, 2, 2, 1_000, 200);
    assert_eq!(leading.primary_answered(0, &primary(7, 1, 300, 2_000), Role::Primary), Heard::Same);
    assert_eq!(leading.primary_answered(0, &primary(9, 1, 400, 2_000), Role::Unknown), Heard::Overtaken);

    // It was heard first, before anybody was let in.
    let mut leading = Leading::new(S);
    leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
    replica_at(&mut leading, 2, 2, 1_000, 200);
    assert!(leading.epoch() == Epoch::default() && leading.is_overtaken(Moment::from_micros(250)));
}

#[test]
fn r11_on_shared_storage_a_reader_succeeds_a_writer_that_is_gone() {
    let shared = |writer: &str, epoch, sent, standing| Probe {
        system: Some(format!("aurora:{writer}")),
        ..probe(epoch, 1, sent, standing)
    };
    let writes = Standing::Primary { inserted: Lsn::new(1), block_size: 8192 };
    let reads = Standing::Reader { lag: Some(Duration::from_micros(20)) };
    let mut leading = Leading::new(S);
    let at = Moment::from_micros(130);
    leading.primary_answered(0, &shared("a", 7, 100, writes), Role::Unknown);
    assert_eq!(
        leading.primary_answered(1, &shared("b", 8, 110, writes), Role::Unknown),
        Heard::Stranger,
        "of which cluster?"
    );
    let seen = leading.replica_answered(1, &shared("a", 0, 120, reads), None, at);
    assert_eq!((seen.following, seen.fresh_at), (Epoch::new(7), Some(Moment::from_micros(100))));
    assert_eq!(seen.measure, Measure::Time);
    let unknown = Standing::Reader { lag: None };
    assert_eq!(leading.replica_answered(1, &shared("a", 0, 120, unknown), None, at).fresh_at, None);
    assert_eq!(leading.replica_answered(2, &shared("c", 0, 120, reads), None, at).following, Epoch::default());
    assert_eq!(
        leading.primary_answered(1, &shared("b", 8, 130, writes), Role::Primary),
        Heard::Stranger,
        "two at once"
    );
    assert_eq!(leading.primary_answered(1, &shared("b", 8, 130, writes), Role::Replica), Heard::NewLife);
    assert_eq!(leading.index(), 1);
}

#[test]
fn pings_of_another_life_say_nothing() {
    let mut leading = Leading::new(S);
    leading.primary_answered(0, &primary(7, 1, 100, 1_000), Role::Unknown);
    leading.pinged(Epoch::new(6), Moment::from_micros(150), Lsn::new(10));
    assert_eq!(replica(&mut leading, 1, 1_000, 200).fresh_at, Some(Moment::from_micros(100)));
    leading.pinged(Epoch::new(7), Moment::from_micros(150), Lsn::new(1_000));
    assert_eq!(replica(&mut leading, 1, 1_000, 200).fresh_at, Some(Moment::from_micros(150)));
}
