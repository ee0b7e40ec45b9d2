//! The cache over the real `coherence`: a stream is played by hand, time is a number, and no server runs.

use super::*;
use crate::coherence::{Commit, Floor, Touch};
use crate::config::Secret;
use crate::store::shared::Encode;
use crate::types::{Epoch, FullXid, Level, Lsn, Moment, RelationId, Snapshot, Xid};
use std::sync::atomic::AtomicUsize;

const EPOCH: Epoch = Epoch::new(0xE1);
const ORDERS: RelationId = RelationId::new(16_401);
const ITEMS: RelationId = RelationId::new(16_402);
const NOW: Moment = Moment::from_micros(1_000_000);
const KEY: &[u8] = b"select * from orders";
const LONG: Duration = Duration::from_secs(60);

fn snapshot(text: &str) -> Snapshot {
    text.parse().expect("a snapshot")
}

/// A stream that began at 1000, was probed, and is fresh at [`NOW`].
fn live(epoch: Epoch) -> Arc<Coherence> {
    let coherence = Coherence::new(Duration::from_secs(1));
    start(&coherence, epoch, 1000);
    coherence
}

fn start(coherence: &Coherence, epoch: Epoch, at: u64) {
    coherence.stream_started(epoch, Lsn::new(at));
    coherence.probed(FullXid::new(50), &snapshot("51:51:"));
    let _ =
        coherence.catalog_verified(coherence.newest_doubt(), NOW, &"51:51:".parse().expect("a snapshot"), Lsn::ZERO);
    coherence.pinged(NOW, Lsn::new(at));
    coherence.applied(Lsn::new(at));
}

fn change(coherence: &Coherence, relation: RelationId, end: u64, xid: u32) {
    let touch = Touch::Relations(smallvec::smallvec![relation]);
    coherence.heard(&Commit { end: Lsn::new(end), xid: Xid::new(xid), touch });
    coherence.applied(Lsn::new(end));
}

fn cache_of(coherence: Arc<Coherence>) -> Arc<Cache> {
    let options = Options { memory: 1 << 20, entry_limit: 1000, shared: None };
    Cache::new(coherence, &options).expect("there is no URL that could be wrong")
}

fn cache() -> Arc<Cache> {
    cache_of(live(EPOCH))
}

fn demand() -> Demand {
    Demand { level: Level::Session, floor: Floor { epoch: EPOCH, ..Floor::default() }, now: NOW }
}

fn floored(position: u64) -> Demand {
    let floor = Floor { epoch: EPOCH, position: Lsn::new(position), after: Moment::START };
    Demand { floor, ..demand() }
}

fn filled(text: &str, body: &str) -> Filled {
    Filled {
        evidence: Evidence::Primary { snapshot: snapshot(text), high: Lsn::ZERO },
        row_description: Some(Bytes::from_static(b"T")),
        body: Bytes::copy_from_slice(body.as_bytes()),
        cost: Duration::from_millis(5),
    }
}

fn permit(answer: Answer) -> Permit {
    match answer {
        Answer::Permit(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

fn hit(answer: Answer) -> Arc<Entry> {
    match answer {
        Answer::Hit(entry) => entry,
        other => panic!("no hit: {other:?}"),
    }
}

fn waiter(answer: Answer) -> Waiter {
    match answer {
        Answer::Busy(waiter) => waiter,
        other => panic!("nobody to wait for: {other:?}"),
    }
}

fn bypass(answer: Answer) -> Unservable {
    match answer {
        Answer::Bypass(why) => why,
        other => panic!("no bypass: {other:?}"),
    }
}

fn lookup(cache: &Arc<Cache>, key: &[u8]) -> Answer {
    cache.lookup(key, true, &demand())
}

fn fill(cache: &Arc<Cache>, key: &[u8], snapshot: &str, body: &str, on: &[RelationId]) -> Result<(), StoreRefusal> {
    let mut permit = permit(lookup(cache, key));
    permit.begin_fill(NOW).map_err(StoreRefusal::Fill)?;
    permit.commit(filled(snapshot, body), on, NOW)
}

fn refusals(cache: &Cache, label: &str) -> u64 {
    cache.stats().refused().filter(|(why, _)| why.label() == label).map(|(_, count)| count).sum()
}

#[test]
fn a_fill_is_served_until_its_relation_changes() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "one", &[ORDERS]).expect("proven");
    assert_eq!(hit(lookup(&cache, KEY)).body, "one");
    change(cache.coherence(), ITEMS, 1100, 60);
    assert_eq!(hit(lookup(&cache, KEY)).body, "one", "another relation changed");
    change(cache.coherence(), ORDERS, 1200, 61);
    fill(&cache, KEY, "70:70:", "two", &[ORDERS]).expect("proven");
    assert_eq!(hit(lookup(&cache, KEY)).body, "two");
    let stats = cache.stats();
    assert_eq!((stats.hits(Tier::Memory), stats.misses(), stats.stored()), (3, 2, 2));
    assert_eq!((stats.died(), stats.died_unserved()), (1, 0));
}

#[test]
fn f1_a_fill_that_read_before_a_change_is_not_stored_after_it() {
    let cache = cache();
    let mut slow = permit(lookup(&cache, KEY));
    slow.begin_fill(NOW).expect("live");
    // It read before transaction 60 was visible; then 60 is heard.
    change(cache.coherence(), ORDERS, 1100, 60);
    let refused = slow.commit(filled("60:60:", "old"), &[ORDERS], NOW);
    assert_eq!(refused, Err(StoreRefusal::Fill(FillRefusal::CommitNotVisible)));
    assert_eq!(refusals(&cache, "commit_not_visible"), 1);
    permit(lookup(&cache, KEY));
}

#[test]
fn f1_a_change_that_is_heard_after_the_store_kills_the_entry() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "old", &[ORDERS]).expect("nothing was heard yet");
    change(cache.coherence(), ORDERS, 1100, 60);
    permit(lookup(&cache, KEY));
    assert_eq!((cache.stats().died(), cache.stats().died_unserved()), (1, 1));
    permit(lookup(&cache, KEY));
    assert_eq!(cache.stats().died(), 1, "a death is counted once");
}

#[test]
fn an_entry_without_description_is_no_hit_for_one_who_needs_it() {
    let cache = cache();
    let mut right = permit(cache.lookup(KEY, false, &demand()));
    right.begin_fill(NOW).expect("live");
    let bare = Filled { row_description: None, ..filled("60:60:", "rows") };
    right.commit(bare, &[ORDERS], NOW).expect("proven");
    assert_eq!(hit(cache.lookup(KEY, false, &demand())).body, "rows");
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS]).expect("a permit, since the description is missing");
    assert!(hit(lookup(&cache, KEY)).row_description.is_some());
    hit(cache.lookup(KEY, false, &demand()));
}

#[test]
fn the_entry_limit_counts_description_and_body() {
    let cache = cache();
    let limit = cache.entry_limit();
    // The description has one byte.
    assert_eq!(fill(&cache, b"large", "60:60:", &"x".repeat(limit), &[ORDERS]), Err(StoreRefusal::TooLarge));
    assert_eq!(refusals(&cache, "too_large"), 1);
    fill(&cache, b"fits", "60:60:", &"x".repeat(limit - 1), &[ORDERS]).expect("just fits");
    assert_eq!(hit(lookup(&cache, b"fits")).bytes(), limit);
}

#[test]
fn what_could_not_be_stored_makes_nobody_wait() {
    let cache = cache();
    assert_eq!(fill(&cache, KEY, "60:60:", &"x".repeat(2000), &[ORDERS]), Err(StoreRefusal::TooLarge));
    let (first, second) = (permit(lookup(&cache, KEY)), permit(lookup(&cache, KEY)));
    first.refuse(StoreRefusal::NotClean);
    drop(second);
    fill(&cache, KEY, "60:60:", "small now", &[ORDERS]).expect("proven");
    assert_eq!(hit(lookup(&cache, KEY)).body, "small now");
}

#[test]
fn a_commit_without_a_stamp_is_refused() {
    let cache = cache();
    let refused = permit(lookup(&cache, KEY)).commit(filled("60:60:", "rows"), &[ORDERS], NOW);
    assert_eq!(refused, Err(StoreRefusal::NotBegun));
    permit(lookup(&cache, KEY));
}

#[test]
fn f5_a_broken_stream_stops_hits_and_fills_and_nobody_waits() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS]).expect("proven");
    cache.coherence().stream_lost();
    assert_eq!(bypass(lookup(&cache, KEY)), Unservable::NotFresh);
    let mut right = permit(lookup(&cache, b"other"));
    assert_eq!(right.begin_fill(NOW), Err(FillRefusal::NotLive));
    permit(lookup(&cache, b"other"));
    let refused = right.commit(filled("60:60:", "rows"), &[ORDERS], NOW);
    assert_eq!(refused, Err(StoreRefusal::Fill(FillRefusal::NotLive)));
    assert_eq!(refusals(&cache, "not_live"), 1);
    // It comes back later than the entry's stamp: what was stored is void for good.
    start(cache.coherence(), EPOCH, 2000);
    permit(lookup(&cache, KEY));
}

#[test]
fn a_later_session_is_not_served_below_its_floor_and_does_not_wait_for_others() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS]).expect("proven");
    let later = permit(cache.lookup(KEY, true, &floored(1500)));
    assert_eq!(bypass(cache.lookup(KEY, true, &floored(1500))), Unservable::BelowFloor);
    assert_eq!(hit(lookup(&cache, KEY)).body, "rows", "others are still served");
    drop(later);
    let bypasses: Vec<_> = cache.stats().bypasses().filter(|(_, count)| *count > 0).collect();
    assert_eq!(bypasses, [(Unservable::BelowFloor, 1)]);
}

#[test]
fn strong_readers_are_not_served_from_entries() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS]).expect("proven");
    let strong = Demand { level: Level::Strong, ..demand() };
    assert_eq!(bypass(cache.lookup(KEY, true, &strong)), Unservable::Level);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c25_a_stampede_fills_once() {
    let cache = cache();
    let fills = Arc::new(AtomicUsize::new(0));
    let leading = permit(lookup(&cache, KEY));
    let crowd: Vec<_> = (0..500)
        .map(|_| {
            let (cache, fills) = (Arc::clone(&cache), Arc::clone(&fills));
            tokio::spawn(async move {
                loop {
                    match lookup(&cache, KEY) {
                        Answer::Hit(entry) => return entry.body.clone(),
                        Answer::Busy(waiter) => drop(waiter.wait(LONG).await),
                        Answer::Permit(mut right) => {
                            fills.fetch_add(1, Ordering::Relaxed);
                            right.begin_fill(NOW).expect("live");
                            tokio::task::yield_now().await;
                            right.commit(filled("60:60:", "rows"), &[ORDERS], NOW).expect("proven");
                        }
                        Answer::Bypass(why) => panic!("{why:?}"),
                    }
                }
            })
        })
        .collect();
    // The first leader dies without an answer: exactly one of the crowd takes over.
    drop(leading);
    for one in crowd {
        assert_eq!(one.await.expect("the task ran"), "rows");
    }
    assert_eq!((fills.load(Ordering::Relaxed), cache.fills()), (1, 0));
}

#[tokio::test]
async fn c25_a_follower_judges_for_itself() {
    let cache = cache();
    let mut leader = permit(lookup(&cache, KEY));
    let late = waiter(cache.lookup(KEY, true, &floored(1500)));
    leader.begin_fill(NOW).expect("live");
    leader.commit(filled("60:60:", "rows"), &[ORDERS], NOW).expect("proven");
    assert_eq!(late.wait(LONG).await, Waited::Stored);
    permit(cache.lookup(KEY, true, &floored(1500)));
}

#[tokio::test]
async fn c25_followers_learn_that_nothing_was_stored() {
    let cache = cache();
    let leader = permit(lookup(&cache, KEY));
    let follower = waiter(lookup(&cache, KEY));
    leader.refuse(StoreRefusal::NotClean);
    assert_eq!(follower.wait(LONG).await, Waited::NotStored);
    assert_eq!(refusals(&cache, "not_clean"), 1);
}

#[test]
fn one_who_missed_before_the_store_and_boards_after_it_is_served() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS]).expect("proven");
    let Boarding::Lead(lead) = cache.flights.board(Key::from(KEY)) else { panic!("nobody fills") };
    assert_eq!(hit(cache.permit(lead, true, &demand(), None)).body, "rows");
    assert_eq!(cache.fills(), 0);
}

#[test]
fn forgotten_entries_are_gone() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS]).expect("proven");
    cache.forget(KEY);
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS]).expect("a permit again");
    cache.clear();
    permit(lookup(&cache, KEY));
}

/// What an instance that reads `bytes` from the shared tier would do with them.
fn adopted(coherence: &Arc<Coherence>, bytes: &[u8], demand: &Demand) -> Result<Bytes, Unservable> {
    let foreign = encoding::Foreign::decode(bytes).expect("just encoded");
    let proof =
        coherence.adopt(foreign.epoch, (foreign.stamp, foreign.asked_after, foreign.high), &foreign.dependencies);
    coherence.judge(&proof, demand).map(|()| foreign.body)
}

#[test]
fn c4_an_old_entry_put_back_into_the_shared_tier_is_refused_by_positions() {
    let cache = cache();
    fill(&cache, KEY, "60:60:", "rows", &[ORDERS, ITEMS]).expect("proven");
    let bytes = hit(lookup(&cache, KEY)).encode();
    assert_eq!(adopted(cache.coherence(), &bytes, &demand()), Ok(Bytes::from("rows")));
    change(cache.coherence(), ITEMS, 1100, 60);
    assert_eq!(adopted(cache.coherence(), &bytes, &demand()), Err(Unservable::Changed));

    // Another instance, whose stream began after the entry's stamp; then one of another epoch.
    let later = Coherence::new(Duration::from_secs(1));
    start(&later, EPOCH, 5000);
    assert_eq!(adopted(&later, &bytes, &demand()), Err(Unservable::Outdated));
    let other = live(Epoch::new(0xE2));
    let there = Demand { floor: Floor { epoch: Epoch::new(0xE2), ..Floor::default() }, ..demand() };
    assert_eq!(adopted(&other, &bytes, &there), Err(Unservable::Outdated));
}

#[tokio::test]
async fn a_shared_tier_that_is_away_is_a_named_miss() {
    let shared = SharedOptions {
        url: Secret("redis://127.0.0.1:1".to_owned()),
        secret: Secret("secret".to_owned()),
        timeout: Duration::from_millis(10),
        value_limit: 1000,
    };
    let options = Options { memory: 1 << 20, entry_limit: 1000, shared: Some(shared) };
    let cache = Cache::new(live(EPOCH), &options).expect("a usable URL");
    let mut right = permit(lookup(&cache, KEY));
    assert!(right.ask_shared(true, &demand()).await.is_none());
    assert!(right.ask_shared(true, &Demand { level: Level::Strong, ..demand() }).await.is_none());
    let counted: Vec<_> = cache.stats().shared_misses().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(SharedMiss::Store(Miss::BreakerOpen), 1), (SharedMiss::NotServing, 1)]);
    right.begin_fill(NOW).expect("live");
    right.commit(filled("60:60:", "rows"), &[ORDERS], NOW).expect("stored in memory all the same");
    assert_eq!(hit(lookup(&cache, KEY)).body, "rows");
}
