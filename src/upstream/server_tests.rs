//! Leases at a server that speaks just enough of the protocol, and what makes a replica fit.

use super::*;
use crate::upstream::evidence::PrimaryHeard;
use crate::upstream::fake::{Fake, LONG, account};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Lets a future run as far as it goes now.
async fn nudge<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

async fn open(fake: &Fake, server: &Arc<Server>) -> (Lease, TcpStream) {
    let account = account(None);
    let (lease, peer) = tokio::join!(server.lease(&account, "shop"), fake.welcome());
    (lease.unwrap(), peer)
}

#[tokio::test]
async fn a_released_connection_is_lent_again_with_what_it_carries() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let shop = account(None);
    assert!(server.try_lease(&shop, "shop").is_none());
    let (mut lease, _peer) = open(&fake, &server).await;
    assert_eq!(lease.key.process, 42);
    lease.carried.unnamed = Some(7);
    lease.release();
    let again = server.try_lease(&shop, "shop").unwrap();
    assert_eq!(again.carried.unnamed, Some(7));
    assert!(server.try_lease(&shop, "shop").is_none());
    again.release();
    assert_eq!(server.lease(&shop, "shop").await.unwrap().carried.unnamed, Some(7));
}

#[tokio::test]
async fn a_dropped_lease_closes_and_lets_the_next_open() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let shop = account(None);
    let (lease, mut peer) = open(&fake, &server).await;
    let mut next = Box::pin(server.lease(&shop, "shop"));
    assert!(nudge(next.as_mut()).await.is_none());
    drop(lease);
    assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0, "closed without a word");
    let (next, _peer) = tokio::join!(next, fake.welcome());
    assert_eq!(next.unwrap().carried.unnamed, None);
}

#[tokio::test]
async fn r24_a_full_pool_is_saturation_not_ill_health() {
    let fake = Fake::start().await;
    let server = fake.server(1, Duration::ZERO);
    let (lease, _peer) = open(&fake, &server).await;
    assert!(matches!(server.lease(&account(None), "shop").await, Err(LeaseError::Saturated(_))));
    lease.release();
    assert!(server.lease(&account(None), "shop").await.is_ok());
}

#[tokio::test]
async fn r24_a_refused_connect_lets_the_next_try() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let shop = account(None);
    let mut first = Box::pin(server.lease(&shop, "shop"));
    assert!(nudge(first.as_mut()).await.is_none());
    let mut second = Box::pin(server.lease(&shop, "shop"));
    assert!(nudge(second.as_mut()).await.is_none());
    let (first, ()) = tokio::join!(first, fake.refuse("53300"));
    assert!(matches!(first, Err(LeaseError::Refused { sqlstate, .. }) if sqlstate == "53300"));
    let (second, _peer) = tokio::join!(second, fake.welcome());
    assert!(second.is_ok());
}

/// A role with CONNECTION LIMIT 1, by a server that counts what has closed for a moment longer.
#[tokio::test]
async fn r24_who_is_refused_for_the_limit_gets_in_when_a_connection_closes_and_does_not_ask_all_the_time() {
    let fake = Fake::start().await;
    let server = fake.server(3, LONG);
    server.observed(Seen { role: Role::Primary, ..fresh() }, None);
    let shop = account(None);
    let (first, _peer) = open(&fake, &server).await;
    let lends = async || server.lease(&shop, "shop").await.map(Lease::release);
    let both = async { tokio::join!(lends(), lends()) };
    let serves = async {
        fake.refuse("53300").await;
        fake.refuse("53300").await;
        let again = tokio::time::timeout(LEAVING * 3, fake.accept()).await;
        assert!(again.is_err(), "nothing has closed");
        drop(first);
        fake.refuse("53300").await;
        fake.welcome().await
    };
    let (both, _peer) = tokio::time::timeout(LONG / 10, async { tokio::join!(both, serves) }).await.unwrap();
    assert!(both.0.is_ok() && both.1.is_ok(), "it is handed on: {both:?}");
}

#[tokio::test]
async fn a_wrong_login_spoils_nothing_for_the_right_one() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let (wrong, right) = (account(Some("wrong")), account(Some("right")));
    for _ in 0..3 {
        let (lease, ()) = tokio::join!(server.lease(&wrong, "shop"), fake.refuse("28P01"));
        assert!(matches!(lease, Err(LeaseError::Refused { .. })));
    }
    let (lease, _peer) = tokio::join!(server.lease(&right, "shop"), fake.welcome());
    lease.unwrap().release();
    assert!(server.try_lease(&wrong, "shop").is_none(), "a warm pool is no proof");
    assert!(server.try_lease(&right, "shop").is_some());
}

#[tokio::test]
async fn r21_a_lease_given_up_while_connecting_frees_its_slot() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let shop = account(None);
    let mut first = Box::pin(server.lease(&shop, "shop"));
    assert!(nudge(first.as_mut()).await.is_none());
    let _unanswered = fake.accept().await;
    drop(first);
    let (_lease, _peer) = open(&fake, &server).await;
}

#[tokio::test]
async fn r22_a_connection_that_broke_while_idle_is_replaced() {
    let fake = Fake::start().await;
    let server = fake.server(2, LONG);
    let shop = account(None);
    let (one, peer_one) = open(&fake, &server).await;
    let (mut two, _peer_two) = open(&fake, &server).await;
    two.carried.unnamed = Some(2);
    two.release();
    let crate::wire::stream::Stream::Tcp(stream) = &one.stream else { unreachable!() };
    drop(peer_one);
    stream.readable().await.unwrap();
    one.release();
    // The broken one was used last and is tried first; the other takes its place.
    assert_eq!(server.lease(&shop, "shop").await.unwrap().carried.unnamed, Some(2));
    assert_eq!(server.pools().counts(), PoolCounts::default());
    let (_lease, _peer) = open(&fake, &server).await;
}

#[tokio::test]
async fn bytes_left_unread_keep_a_connection_from_the_next_session() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let (mut lease, _peer) = open(&fake, &server).await;
    lease.input.extend_from_slice(b"Z\0\0\0\x05I");
    lease.release();
    assert_eq!(server.pools().counts(), PoolCounts::default());
}

#[tokio::test]
async fn r11_connections_of_an_earlier_life_are_not_used_again() {
    let fake = Fake::start().await;
    let server = fake.server(2, LONG);
    let (lent, _lent) = open(&fake, &server).await;
    let (idle, mut idle_peer) = open(&fake, &server).await;
    idle.release();
    server.retire_connections();
    assert!(!lent.is_current());
    lent.release();
    assert_eq!(server.pools().counts(), PoolCounts::default());
    let mut goodbye = Vec::new();
    idle_peer.read_to_end(&mut goodbye).await.unwrap();
    assert_eq!(goodbye, b"X\0\0\0\x04");
}

#[tokio::test]
async fn requests_are_counted_while_their_guards_live() {
    let server = Fake::start().await.server(1, LONG);
    let guards = (server.request(), server.request());
    assert_eq!((server.outstanding(), server.statements()), (2, 2));
    drop(guards);
    assert_eq!((server.outstanding(), server.statements()), (0, 2));
}

const NOW: Moment = Moment::from_micros(5_000_000);
const EPOCH: Epoch = Epoch::new(7);

fn fresh() -> Seen {
    Seen {
        asked: Moment::from_micros(4_000_000),
        role: Role::Replica,
        following: EPOCH,
        fresh_at: Some(Moment::from_micros(4_500_000)),
        primary: PrimaryHeard::Lately,
        measure: Measure::Position,
        lag_bytes: Some(0),
        timeline: Some(1),
    }
}

#[tokio::test]
async fn r10_a_replica_is_fit_only_while_everything_about_it_is_proven() {
    let server = Fake::start().await.server(1, LONG);
    let fit = |floor| server.fit_at(EPOCH, Lsn::new(floor), NOW);
    assert_eq!(fit(0), Err(PassedOver::Unreachable), "nothing has been heard of it");
    server.observed(fresh(), Some(Lsn::new(100)));
    assert_eq!((fit(100), fit(101)), (Ok(()), Err(PassedOver::BelowFloor)));
    server.saw_replayed(Lsn::new(101));
    server.saw_replayed(Lsn::new(50));
    assert_eq!((fit(101), server.replayed()), (Ok(()), Lsn::new(101)));
    assert_eq!(server.fit_at(Epoch::new(8), Lsn::ZERO, NOW), Err(PassedOver::OtherEpoch));

    let cases = [
        (Seen { role: Role::Primary, ..fresh() }, PassedOver::NotAReplica),
        (Seen { following: Epoch::default(), ..fresh() }, PassedOver::OtherEpoch),
        (Seen { fresh_at: Some(Moment::from_micros(3_999_999)), ..fresh() }, PassedOver::TooFarBehind),
        (Seen { fresh_at: None, ..fresh() }, PassedOver::TooFarBehind),
        (Seen { fresh_at: None, lag_bytes: None, ..fresh() }, PassedOver::LagUnknown),
        (Seen { fresh_at: None, primary: PrimaryHeard::NotLately, ..fresh() }, PassedOver::LagUnknown),
    ];
    for (seen, reason) in cases {
        server.observed(seen.clone(), None);
        assert_eq!(fit(0), Err(reason), "{seen:?}");
    }
    server.observed(Seen { following: Epoch::default(), ..fresh() }, None);
    assert_eq!(server.fit_at(Epoch::default(), Lsn::ZERO, NOW), Err(PassedOver::OtherEpoch), "unknown is not equal");
}

#[tokio::test]
async fn r10_one_that_takes_writes_and_is_not_the_primary_is_not_said_to_be_up_to_date() {
    let server = Fake::start().await.server(1, LONG);
    let lag = |following| {
        let seen = Seen { role: Role::Primary, following, fresh_at: None, lag_bytes: None, ..fresh() };
        server.observed(seen, None);
        let status = server.status();
        (status.state, status.lag_bytes, status.lag)
    };
    assert_eq!(lag(EPOCH), (ServerState::Ready, Some(0), Some(Duration::ZERO)));
    assert_eq!(lag(Epoch::default()), (ServerState::PassedOver(PassedOver::NotAReplica), None, None));
}

#[tokio::test]
async fn r11_what_was_seen_before_a_disconnect_does_not_count_after_it() {
    let fake = Fake::start().await;
    let server = fake.server(2, LONG);
    let (lease, _peer) = open(&fake, &server).await;
    server.observed(fresh(), Some(Lsn::new(100)));
    lease.saw_replayed(Lsn::new(110));
    assert_eq!(server.replayed(), Lsn::new(110));
    server.lost();
    lease.saw_replayed(Lsn::new(120));
    assert_eq!(server.fit_at(EPOCH, Lsn::ZERO, NOW), Err(PassedOver::Unreachable));
    server.observed(fresh(), Some(Lsn::new(90)));
    assert_eq!(server.replayed(), Lsn::new(90), "it came back with less replayed");
    lease.release();
    server.try_lease(&account(None), "shop").unwrap().saw_replayed(Lsn::new(95));
    assert_eq!(server.replayed(), Lsn::new(95), "a connection lent again is heard again");
    assert_eq!(server.role(), Role::Replica);
}

#[tokio::test]
async fn r11_an_idle_connection_that_hears_of_another_role_puts_its_server_in_doubt() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let (lease, mut peer) = open(&fake, &server).await;
    server.observed(Seen { asked: Moment::now(), ..fresh() }, Some(Lsn::new(100)));
    let fit = || server.fit_at(EPOCH, Lsn::ZERO, NOW);
    lease.release();
    for (name, fits) in [("TimeZone", true), ("in_hot_standby", false)] {
        let body = format!("{name}\0off\0");
        peer.write_all(&crate::upstream::fake::frame(b'S', body.as_bytes())).await.unwrap();
        let lease = loop {
            // What was written has come once the parameter is there.
            let lease = server.try_lease(&account(None), "shop").expect("it is idle");
            if lease.parameters.get(name).is_some_and(|value| value == "off") {
                break lease;
            }
            lease.release();
            tokio::task::yield_now().await;
        };
        assert_eq!(fit().is_ok(), fits, "{name}: {:?}", fit());
        lease.release();
    }
}

/// A replica that has crashed is back before the watch has noticed; its connections have not come back.
#[tokio::test]
async fn r10_an_idle_connection_that_has_ended_puts_its_server_in_doubt() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let (lease, peer) = open(&fake, &server).await;
    server.observed(Seen { asked: Moment::now(), ..fresh() }, Some(Lsn::new(100)));
    let fit = || server.fit_at(EPOCH, Lsn::ZERO, NOW);
    lease.release();
    assert_eq!(fit(), Ok(()));
    drop(peer);
    while let Some(lease) = server.try_lease(&account(None), "shop") {
        // Its end has not come yet.
        lease.release();
        tokio::task::yield_now().await;
    }
    assert_eq!(fit(), Err(PassedOver::Doubted));
}

/// What others left on it was found under who might use which schema then.
#[tokio::test]
async fn c16_a_connection_is_told_its_path_again_once_roles_have_changed() {
    let fake = Fake::start().await;
    let server = fake.server(1, LONG);
    let (mut lease, _peer) = open(&fake, &server).await;
    server.observed(fresh(), Some(Lsn::new(100)));
    lease.renew_path();
    assert!(lease.knows_path() && !lease.carried.is_path_old);
    server.paths_changed(Lsn::new(101));
    assert!(!lease.knows_path(), "what it answers now may be wrong");
    lease.release();
    let told_again = || {
        let mut lease = server.try_lease(&account(None), "shop").expect("it is idle");
        let told = std::mem::take(&mut lease.carried.is_path_old);
        let knows = lease.knows_path();
        lease.release();
        (told, knows)
    };
    assert_eq!(told_again(), (true, false), "the replica may not show the change yet");
    server.saw_replayed(Lsn::new(101));
    assert_eq!((told_again(), told_again()), ((true, true), (false, true)));
}

#[test]
fn labels_are_apart() {
    let labels: std::collections::HashSet<_> = PassedOver::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(labels.len(), PassedOver::ALL.len());
}
