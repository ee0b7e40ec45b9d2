//! Cancel requests that race with the ends of queries: none may reach a query that it was not meant for.

use crate::harness::cluster::Cluster;
use crate::harness::proxy::FaultProxy;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Login, Wire, tags};
use crate::harness::{PATIENCE, eventually};
use crate::twins::Twins;
use crate::watched::Watched;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Half of them cancel.
const CLIENTS: u64 = 16;
const QUERIES: u64 = 130;

/// SplitMix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A query of a random length around the time that a cancel takes, simple or extended, in a transaction or alone.
fn query(dice: u64) -> Batch {
    let micros = dice % 3_000;
    let sql = format!("SELECT pg_sleep({micros} / 1000000.0)");
    if dice & 1 << 40 == 0 { Batch::new().query(&sql) } else { Batch::new().extended(&sql, &[], Format::Text) }
}

/// Many clients on few connections; half of them cancel around the end of each of their queries, a thousand times in all: who hit its
/// query waits longer with the next, who missed it not so long. Nobody else's query, and none that was asked after a cancel had been
/// answered, is ever cancelled.
#[test]
fn r12_a_cancel_reaches_its_own_query_or_none() {
    let twins = Twins::with("cancels", "", |builder| builder.flag("--pool-size", "2"));
    let (hit, missed) = (AtomicU64::new(0), AtomicU64::new(0));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Those who cancel: what is cancelled may be the query that was running when the request was made.
        let cancelling: Vec<_> = (0..CLIENTS / 2)
            .map(|who| {
                let (twins, hit, missed) = (&twins, &hit, &missed);
                scope.spawn(move || {
                    let mut client = twins.through();
                    let mut pause = Duration::from_millis(1);
                    for at in 0..QUERIES {
                        let dice = mix(who << 32 | at);
                        client.send(&query(dice)).expect("it lives");
                        // Not waited for: where in the query's life the cancel comes is the test's dice.
                        let wait = std::time::Instant::now();
                        while wait.elapsed() < pause {
                            thread::yield_now();
                        }
                        client.cancel().expect("Sidecache takes cancels");
                        let step = Duration::from_micros(dice >> 20 & 0x7ff);
                        pause = match judge(&mut client) {
                            Race::Hit => {
                                hit.fetch_add(1, Ordering::Relaxed);
                                pause + step
                            }
                            Race::Missed => {
                                missed.fetch_add(1, Ordering::Relaxed);
                                pause.saturating_sub(step)
                            }
                        };
                        // The cancel is over: what is asked now is not what it meant.
                        let after = client.query("SELECT 1").expect("it lives");
                        assert_eq!(tags(&after), "TDCZ", "client {who}, query {at}: {after:?}");
                    }
                })
            })
            .collect();
        // Those who never do, on the same connections.
        for who in CLIENTS / 2..CLIENTS {
            let (twins, over) = (&twins, &over);
            scope.spawn(move || {
                let mut client = twins.through();
                let mut at = 0;
                while !over.load(Ordering::Relaxed) {
                    let answer = client.run(&query(mix(who << 32 | at))).expect("it lives");
                    assert!(answer.iter().all(|f| f.tag != b'E'), "client {who}, query {at}: {answer:?}");
                    at += 1;
                }
                assert!(at > 0, "nothing was at risk");
            });
        }
        let ended: Vec<_> = cancelling.into_iter().map(|client| client.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a client that cancels has failed");
    });
    let (hit, missed) = (hit.into_inner(), missed.into_inner());
    println!("{hit} queries were cancelled, {missed} had ended");
    let all = hit + missed;
    assert!(all >= 1_000, "{all} cancels");
    assert!(hit > all / 8 && missed > all / 8, "no race: {hit} were cancelled, {missed} had ended");
}

/// Which came first.
#[derive(Clone, Copy)]
enum Race {
    Hit,
    Missed,
}

fn judge(client: &mut Wire) -> Race {
    let answer = client.read_until_ready().expect("it lives");
    match answer.iter().find(|f| f.tag == b'E') {
        Some(error) => {
            assert_eq!(error.field(b'C').as_deref(), Some("57014"), "{error:?}");
            Race::Hit
        }
        None => Race::Missed,
    }
}

/// While its answer is another's to be filled, a query can be cancelled as on a server of its own, in a transaction and outside.
#[test]
fn r12_a_cancel_reaches_who_waits_for_anothers_answer() {
    let watched = Watched::with(Cluster::shared(), "r12_flight", "CREATE TABLE t AS SELECT 1 AS v", |builder| {
        builder.no_replicas()
    });
    let read = "SELECT v FROM t";
    watched.warm(&mut watched.client(), read);
    // Whether a try came too late says the reason of its bypass: it has then asked a server itself.
    let too_late = || watched.sidecache.metric("sidecache_bypasses_total", &[("reason", "flight_slow")]);
    let queued = format!(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE datname = '{}' AND NOT granted",
        watched.database
    );
    for (begin, batch) in [
        (&[][..], Batch::new().query(read)),
        (&[], Batch::new().extended(read, &[], Format::Text)),
        (&["BEGIN"], Batch::new().query(read)),
        (&["BEGIN", "SELECT now()"], Batch::new().query(read)),
    ] {
        let is_cancelled = (0..5).any(|_| {
            let (mut locker, mut leader, mut client) = (watched.beside(), watched.client(), watched.client());
            // Two connections, so that nobody has to wait for one, which could be cancelled too.
            for text in ["BEGIN", "SELECT now()", "COMMIT"] {
                leader.rows(text);
                client.rows(text);
            }
            locker.rows("UPDATE t SET v = v + 1");
            watched.hear();
            begin.iter().for_each(|text| drop(client.query(text).expect("it lives")));
            locker.rows("BEGIN");
            locker.rows("LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
            leader.send(&Batch::new().query(read)).expect("it lives");
            eventually("the leader to wait", || (watched.beside().value(&queued) == "1").then_some(()));
            let before = too_late();
            client.send(&batch).expect("it lives");
            let socket = client.writer().expect("a socket");
            client.set_patience(Duration::from_millis(5));
            while socket.peek(&mut [0]).is_err() {
                client.cancel().expect("Sidecache takes cancels");
            }
            client.set_patience(PATIENCE);
            let answer = client.read_until_ready().expect("it lives");
            assert_eq!(answer.first().and_then(|frame| frame.field(b'C')).as_deref(), Some("57014"), "{answer:?}");
            let status = if begin.is_empty() { b"I" } else { b"E" };
            assert_eq!(answer.last().map(|frame| frame.body.as_slice()), Some(&status[..]), "{begin:?}");
            assert!(begin.is_empty() || client.error("SELECT 2") == "25P02", "{begin:?}");
            locker.rows("ROLLBACK");
            leader.read_until_ready().expect("the leader is not cancelled");
            client.query("ROLLBACK").expect("it lives");
            assert_eq!(client.value("SELECT count(*) FROM t"), "1");
            too_late() == before
        });
        assert!(is_cancelled, "{begin:?}, {batch:?}: nobody was cancelled who waited");
    }
}

/// What a connection is given before a query may wait for a lock: a cancel ends that too, and the session goes on.
#[test]
fn r12_a_cancel_reaches_who_is_given_its_statements() {
    let twins =
        Twins::with("r12_given", "CREATE TABLE t(v int); CREATE TABLE log(v int)", |builder| builder.no_replicas());
    let (mut client, mut other, mut locker) = (twins.through(), twins.through(), twins.direct());
    client.rows("PREPARE p AS SELECT count(*) FROM t");
    assert_eq!(client.value("EXECUTE p"), "0");
    // The connection that has it is another's.
    other.rows("BEGIN");
    other.rows("INSERT INTO log VALUES (1)");
    locker.rows("BEGIN");
    locker.rows("LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    client.send(&Batch::new().query("EXECUTE p")).expect("it lives");
    let queued = format!(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE datname = '{}' AND NOT granted",
        twins.database
    );
    eventually("the client to wait", || (twins.direct().value(&queued) == "1").then_some(()));
    client.cancel().expect("Sidecache takes cancels");
    let answer = client.read_until_ready().expect("it lives");
    assert_eq!((tags(&answer), answer[0].field(b'C').as_deref()), ("EZ".to_owned(), Some("57014")));
    assert_eq!(client.value("SELECT 2"), "2");
    locker.rows("ROLLBACK");
    assert_eq!(client.value("EXECUTE p"), "0");
    other.rows("COMMIT");
    assert_eq!(other.error("EXECUTE p"), "26000");
}

/// A cancel of which nobody knows whether the server has acted on it may come yet: the connection that it is for serves no other query.
#[test]
fn r12_a_cancel_that_was_lost_on_its_way_costs_the_connection() {
    let cluster = Cluster::shared();
    let database = cluster.database("r12_lost");
    let way = FaultProxy::to_port(cluster.primary.port);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let build = Sidecache::build(cluster, &database).primary(&url).no_replicas().cache("off").flag("--pool-size", "1");
    let sidecache = build.flag("--connect-timeout", "1s").start();
    let (mut client, mut locker) = (sidecache.connect("app"), cluster.connect("app", &database));
    let before = client.value("SELECT pg_backend_pid()");
    locker.rows("BEGIN; SELECT pg_advisory_xact_lock(1)");
    client.send(&Batch::new().query("SELECT pg_advisory_xact_lock(1)")).expect("it lives");
    let queued = format!("SELECT count(*) FROM pg_locks WHERE pid = {before} AND NOT granted");
    eventually("the client to wait", || (cluster.primary.value(&queued) == "1").then_some(()));
    // Takes connections and says nothing.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    way.set(|weather| weather.towards = Some(deaf.local_addr().expect("bound")));
    client.cancel().expect("Sidecache takes cancels");
    eventually("it to be given up", || sidecache.log().contains("could not be forwarded").then_some(()));
    way.set(|weather| weather.towards = None);
    locker.rows("COMMIT");
    assert_eq!(tags(&client.read_until_ready().expect("it lives")), "TDCZ");
    let again = eventually("another connection", || {
        let frames = client.query("SELECT pg_backend_pid()").ok()?;
        frames.iter().find(|frame| frame.tag == b'D').and_then(|row| row.columns()[0].clone())
    });
    assert_ne!(String::from_utf8_lossy(&again), before);
}
