//! The queue and its slots, without a server; idle connections over a socket pair.

use super::*;
use crate::upstream::connection::{Broken, Facts};
use crate::upstream::fake::{LONG, account, frame, terms};
use crate::upstream::login::Opened;
use crate::wire::stream::Stream;
use bytes::BytesMut;
use std::collections::BTreeMap;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

fn pool(size: usize) -> Arc<Pool> {
    Pool::new(terms(|live| live.pool_size = size))
}

fn counts(pool: &Pool) -> (usize, usize) {
    let PoolCounts { open, idle, .. } = pool.counts();
    (open, idle)
}

fn granted(pool: &Arc<Pool>) -> Grant {
    match pool.claim() {
        Claim::Granted(grant) => grant,
        Claim::Wait(_) => panic!("nothing was free"),
    }
}

fn waiting(pool: &Arc<Pool>) -> Waiting {
    match pool.claim() {
        Claim::Wait(waiting) => waiting,
        Claim::Granted(_) => panic!("something was free"),
    }
}

fn later() -> tokio::time::Instant {
    tokio::time::Instant::now() + LONG
}

fn parked() -> (Box<Connection>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let key = crate::upstream::BackendKey { process: 1, secret: bytes::Bytes::new() };
    let opened = Opened { stream: Stream::Unix(ours), input: BytesMut::new(), key, parameters: BTreeMap::new() };
    let facts = Facts::new(&account(None), "shop", &opened.key);
    (Connection::new(opened, 0, 0, facts), theirs)
}

#[tokio::test]
async fn r24_who_came_first_is_served_first() {
    let pool = pool(1);
    let first = granted(&pool);
    let (second, third) = (waiting(&pool), waiting(&pool));
    drop(first);
    let second = second.granted(later()).await.unwrap();
    let fourth = waiting(&pool);
    drop(second);
    let third = third.granted(later()).await.unwrap();
    drop(third);
    drop(fourth.granted(later()).await.unwrap());
    assert!(pool.is_empty());
}

#[tokio::test]
async fn r24_who_left_the_queue_is_passed_over_and_leaves_no_trace() {
    let pool = pool(1);
    let first = granted(&pool);
    let (second, third) = (waiting(&pool), waiting(&pool));
    drop(second);
    assert_eq!(pool.state.lock().waiters.len(), 1);
    drop(first);
    drop(third.granted(later()).await.unwrap());
    assert_eq!(counts(&pool), (0, 0));
}

#[tokio::test]
async fn r24_waiting_ends_at_the_deadline() {
    let pool = pool(1);
    let first = granted(&pool);
    assert!(waiting(&pool).granted(tokio::time::Instant::now()).await.is_none());
    assert!(pool.state.lock().waiters.is_empty());
    drop(first);
    assert!(pool.is_empty());
}

#[tokio::test]
async fn what_was_given_to_one_who_then_left_goes_to_the_next() {
    let pool = pool(1);
    let first = granted(&pool);
    let (second, third) = (waiting(&pool), waiting(&pool));
    drop(first);
    drop(second);
    assert!(third.granted(later()).await.is_some());
}

#[tokio::test]
async fn a_connection_that_was_given_to_one_who_then_left_is_kept() {
    let pool = pool(1);
    let first = granted(&pool);
    let (second, third) = (waiting(&pool), waiting(&pool));
    let (connection, _peer) = parked();
    first.slot.give_back(connection, Instant::now());
    drop(second);
    assert!(third.granted(later()).await.unwrap().parked.is_some(), "not closed, nor another opened beside it");
}

fn hoping(claim: Option<Claim>) -> Waiting {
    match claim {
        Some(Claim::Wait(waiting)) => waiting,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn r24_who_was_refused_comes_in_the_place_of_one_that_closes() {
    let pool = pool(3);
    let first = granted(&pool);
    let closed = pool.closed();
    let (second, third) = (granted(&pool), granted(&pool));
    let (second, third) = (hoping(second.slot.hope(closed)), hoping(third.slot.hope(closed)));
    assert_eq!((pool.counts().open, pool.counts().waiting), (1, 2));
    drop(first);
    let second = second.granted(later()).await.unwrap();
    assert!(second.parked.is_none());
    assert_eq!((pool.counts().open, pool.counts().waiting), (1, 1), "one for one");
    // Refused again it wakes nobody, and as the last it leaves nobody to hope.
    assert!(second.slot.hope(pool.closed()).is_none());
    assert!(third.granted(later()).await.is_none());
    assert_eq!(pool.counts(), PoolCounts::default());
}

#[tokio::test]
async fn r24_what_closes_while_one_is_being_refused_is_not_missed() {
    let pool = pool(3);
    let (first, second, third) = (granted(&pool), granted(&pool), granted(&pool));
    let closed = pool.closed();
    drop(first);
    let Some(Claim::Granted(again)) = second.slot.hope(closed) else { panic!("it may try again") };
    let closed = pool.closed();
    let second = hoping(again.slot.hope(closed));
    let (connection, _peer) = parked();
    third.slot.give_back(connection, Instant::now());
    assert!(second.granted(later()).await.unwrap().parked.is_some());
}

#[tokio::test]
async fn r24_who_is_refused_hands_its_slot_to_who_waits_for_one() {
    let pool = pool(2);
    let (first, second) = (granted(&pool), granted(&pool));
    let third = waiting(&pool);
    let second = hoping(second.slot.hope(pool.closed()));
    let third = third.granted(later()).await.unwrap();
    assert!(third.parked.is_none());
    let third = hoping(third.slot.hope(pool.closed()));
    drop(first);
    assert!(second.granted(later()).await.is_some(), "who came first");
    drop(third);
    assert!(pool.is_empty());
}

#[tokio::test]
async fn a_connection_given_back_goes_to_the_first_who_waits() {
    let pool = pool(1);
    let first = granted(&pool);
    let second = waiting(&pool);
    let (connection, _peer) = parked();
    first.slot.give_back(connection, Instant::now());
    assert_eq!(counts(&pool), (1, 0));
    let second = second.granted(later()).await.unwrap();
    assert!(second.parked.is_some());
}

#[tokio::test]
async fn the_connection_used_last_is_used_first_and_the_oldest_closed_first() {
    let pool = pool(3);
    let grants = [granted(&pool), granted(&pool), granted(&pool)];
    let mut peers = Vec::new();
    for (process, grant) in (1..).zip(grants) {
        let (mut connection, peer) = parked();
        connection.key.process = process;
        peers.push(peer);
        grant.slot.give_back(connection, Instant::now());
    }
    let last = granted(&pool);
    assert_eq!(last.parked.as_ref().unwrap().key.process, 3);
    assert_eq!(counts(&pool), (3, 2));
    pool.close_idle(Some(Duration::ZERO), 0);
    assert_eq!(counts(&pool), (1, 0));
    let mut goodbye = [0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut peers[0], &mut goodbye).await.unwrap();
    assert_eq!(&goodbye, b"X\0\0\0\x04");
}

/// What an idle connection makes of these bytes.
async fn checked(says: &[u8]) -> (Result<(), Broken>, Box<Connection>) {
    let (mut connection, mut peer) = parked();
    peer.write_all(says).await.unwrap();
    let Stream::Unix(stream) = &connection.stream else { unreachable!() };
    stream.readable().await.unwrap();
    let outcome = connection.check();
    drop(peer);
    (outcome, connection)
}

#[tokio::test]
async fn r22_what_an_idle_connection_is_told_is_heard() {
    let told = [frame(b'N', b"SNOTICE\0\0"), frame(b'S', b"TimeZone\0UTC\0"), frame(b'A', b"\0\0\0\x01a\0b\0")];
    let (outcome, connection) = checked(&told.concat()).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(connection.parameters.get("TimeZone").map(String::as_str), Some("UTC"));
    assert!(connection.input.is_empty());
    for fatal in [
        frame(b'E', b"SFATAL\0C57P01\0\0").to_vec(),
        frame(b'D', b"\0\0").to_vec(),
        frame(b'Z', b"I").to_vec(),
        frame(b'S', b"TimeZone\0").to_vec(),
        b"N\0\0\0".to_vec(),
        b"N\xff\xff\xff\xff".to_vec(),
    ] {
        assert_eq!(checked(&fatal).await.0, Err(Broken), "{fatal:?}");
    }
}

#[tokio::test]
async fn r22_a_connection_that_ended_is_broken() {
    let (mut connection, peer) = parked();
    assert_eq!(connection.check(), Ok(()), "silence is health");
    drop(peer);
    let Stream::Unix(stream) = &connection.stream else { unreachable!() };
    stream.readable().await.unwrap();
    assert_eq!(connection.check(), Err(Broken));
}

#[test]
fn pools_are_parted_by_proof_and_database_and_forgotten_when_empty() {
    let pools = Pools::new(terms(|live| live.pool_size = 1));
    let (old, new) = (account(Some("old")), account(Some("new")));
    let held = [pools.of(&old, "shop"), pools.of(&new, "shop"), pools.of(&old, "other")];
    assert_eq!(pools.len(), 3);
    assert!(Arc::ptr_eq(&held[0], &pools.of(&old, "shop")));
    let slot = granted(&held[0]);
    drop(held);
    pools.of(&new, "another");
    assert_eq!(pools.len(), 2, "one that holds a slot and the new one");
    drop(slot);
}

#[tokio::test]
async fn r24_who_has_waited_long_enough_gets_one_of_the_reserve_which_goes_when_nobody_waits() {
    let pool = Pool::new(terms(|live| {
        (live.pool_size, live.pool_reserve) = (1, 1);
        live.pool_reserve_after = Duration::ZERO;
    }));
    let first = granted(&pool);
    let second = waiting(&pool).granted(later()).await.unwrap();
    let soon = tokio::time::Instant::now() + Duration::from_millis(50);
    assert!(waiting(&pool).granted(soon).await.is_none(), "one, not two");
    assert_eq!(counts(&pool), (2, 0));
    let (connection, mut peer) = parked();
    second.slot.give_back(connection, Instant::now());
    assert_eq!(counts(&pool), (1, 0), "not kept");
    let mut goodbye = [0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut peer, &mut goodbye).await.unwrap();
    drop(first);
    assert!(pool.is_empty());
}

#[tokio::test]
async fn a_pool_that_grows_lets_the_first_waiters_in_and_one_that_shrinks_closes_what_comes_back() {
    let pool = pool(1);
    let resize = |size| {
        let live = Live { pool_size: size, ..(**pool.terms.live.load()).clone() };
        pool.terms.live.store(Arc::new(live));
    };
    let first = granted(&pool);
    let (left, second, third) = (waiting(&pool), waiting(&pool), waiting(&pool));
    drop(left);
    resize(2);
    pool.admit();
    let second = second.granted(later()).await.unwrap();
    assert_eq!((pool.counts().open, pool.counts().waiting), (2, 1));
    resize(1);
    let (connection, _peer) = parked();
    second.slot.give_back(connection, Instant::now());
    assert_eq!((pool.counts().open, pool.counts().waiting), (1, 1), "there were more than anyone may have");
    drop(first);
    assert!(third.granted(later()).await.is_some());
}

#[tokio::test]
async fn the_least_is_kept_though_idle_and_what_is_worn_is_not() {
    let pool = Pool::new(terms(|live| (live.pool_size, live.pool_min) = (3, 2)));
    let grants = [granted(&pool), granted(&pool), granted(&pool)];
    let mut peers = Vec::new();
    for grant in grants {
        let (connection, peer) = parked();
        peers.push(peer);
        grant.slot.give_back(connection, Instant::now());
    }
    assert!(pool.claim_missing().is_none());
    pool.close_idle(Some(Duration::ZERO), 2);
    assert_eq!(counts(&pool), (2, 2));
    let live = Live { pool_lifetime: Some(Duration::ZERO), ..(**pool.terms.live.load()).clone() };
    pool.terms.live.store(Arc::new(live));
    pool.close_idle(None, 2);
    assert_eq!(counts(&pool), (0, 0));
    assert!(pool.claim_missing().is_none(), "nobody has logged in yet");
    pool.prove(true);
    let kept = [pool.claim_missing().unwrap(), pool.claim_missing().unwrap()];
    assert!(pool.claim_missing().is_none());
    drop(kept);
}
