//! One process takes over from another on the same address: nobody is refused, and no transaction is broken.

use crate::harness::cluster::Cluster;
use crate::harness::process::{Scratch, Signal};
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Login, Wire};
use crate::harness::{PATIENCE, eventually, http};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// What became of a transaction.
enum Became {
    Committed,
    /// The session had ended between transactions, before this one began.
    Ended,
}

/// One transaction of two rows; panics if it is broken once it has begun.
fn transaction(client: &mut Wire) -> Became {
    match client.query("BEGIN") {
        Ok(frames) if frames.iter().all(|frame| frame.tag != b'E') => {}
        Ok(frames) => {
            let told = frames.iter().filter_map(|frame| frame.field(b'C')).next();
            assert_eq!(told.as_deref(), Some("57P01"), "{frames:?}");
            return Became::Ended;
        }
        Err(_) => return Became::Ended,
    }
    for sql in ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)", "COMMIT"] {
        client.rows(sql);
    }
    Became::Committed
}

/// While it drains it can be asked how it is, as without `reuse_port`.
#[test]
fn operators_are_answered_until_the_drain_has_ended() {
    let cluster = Cluster::shared();
    let build = Sidecache::build(cluster, "shop").no_replicas().cache("off").flag("--reuse-port", "true");
    let mut sidecache = build.start();
    let mut busy = sidecache.connect("app");
    busy.rows("BEGIN");
    busy.rows("SAVEPOINT here");
    sidecache.signal(Signal::TERM);
    eventually("the drain to be told", || {
        let (code, reason) = http::get(sidecache.http(), "/readyz")?;
        (code == 503 && reason.contains("draining")).then_some(())
    });
    assert_eq!(http::get(sidecache.http(), "/livez").map(|(code, _)| code), Some(200));
    busy.rows("COMMIT");
    assert_eq!(sidecache.wait().code(), Some(0));
}

/// Clients that come for one transaction each, and clients that stay and come again when they are told to, all through a
/// change of processes.
#[test]
fn a_new_process_takes_over_and_nobody_is_refused() {
    let cluster = Cluster::shared();
    let database = cluster.database("upgrade");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (v int)");
    let build = || Sidecache::build(cluster, &database).no_replicas().flag("--reuse-port", "true").cache("off");
    let mut old = build().start();
    let (port, login) = (old.port(), old.login("app"));
    let (over, committed) = (AtomicBool::new(false), AtomicU64::new(0));
    let come = |login: &Login| Wire::connect(login).unwrap_or_else(|e| panic!("a client was refused: {e:?}"));
    let new = thread::scope(|scope| {
        for stays in [false, false, false, true, true] {
            let (over, committed, login) = (&over, &committed, &login);
            scope.spawn(move || {
                let mut client = None;
                while !over.load(Ordering::Relaxed) {
                    let is_new = client.is_none();
                    match transaction(client.get_or_insert_with(|| come(login))) {
                        Became::Committed => drop(committed.fetch_add(1, Ordering::Relaxed)),
                        Became::Ended => {
                            assert!(!is_new, "who has just come is let finish");
                            client = None;
                        }
                    }
                    client = client.filter(|_| stays);
                }
            });
        }
        let done = || committed.load(Ordering::Relaxed);
        let more = |count: u64| {
            let want = done() + count;
            eventually("more transactions", || (done() >= want).then_some(()));
        };
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            more(20);
            let new = build().port(port).start();
            more(20);
            old.signal(Signal::TERM);
            assert_eq!(old.wait().code(), Some(0));
            more(20);
            let sessions = new.count("/sessions");
            assert!(sessions >= 2, "those who stay are with the new one: {sessions}");
            new
        }));
        over.store(true, Ordering::Relaxed);
        // The new process is to outlive the clients.
        changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    drop(new);
    assert_eq!(direct.value("SELECT count(*) FROM t"), (2 * committed.load(Ordering::Relaxed)).to_string());
}

/// Who has come and not yet spoken when the other takes over is let finish what he came for; who has had an answer is told
/// 57P01 at once.
#[test]
fn who_has_just_come_may_ask_once() {
    let cluster = Cluster::shared();
    let mut old = Sidecache::build(cluster, "shop").no_replicas().flag("--reuse-port", "true").cache("off").start();
    let (mut idle, mut fresh) = (old.connect("app"), old.connect("app"));
    assert_eq!(idle.value("SELECT 1"), "1");
    let mut silent = TcpStream::connect(("127.0.0.1", old.port())).expect("it listens");
    let accepted = |want: u64| eventually("the clients to be in", || (old.count("/sessions") == want).then_some(()));
    accepted(3);
    old.signal(Signal::TERM);
    let told = idle.read_frame().expect("an error before the end");
    assert_eq!(told.field(b'C').as_deref(), Some("57P01"));
    fresh.rows("BEGIN");
    assert_eq!(fresh.value("SELECT 2"), "2");
    fresh.rows("COMMIT");
    assert_eq!(fresh.read_frame().expect("an error before the end").field(b'C').as_deref(), Some("57P01"));
    let startup = b"\0\x03\0\0user\0app\0database\0shop\0\0";
    let length = u32::try_from(startup.len() + 4).expect("a few bytes").to_be_bytes();
    silent.write_all(&[&length[..], startup].concat()).expect("it reads");
    silent.set_read_timeout(Some(PATIENCE)).expect("a duration above zero");
    let mut tag = [0];
    silent.read_exact(&mut tag).expect("an answer");
    assert_eq!(&tag, b"R", "it is asked for a proof");
    assert!(old.ended().is_none());
    drop(silent);
    assert_eq!(old.wait().code(), Some(0));
}

/// On a Unix socket the new process puts its own in the old one's place, which the old one leaves alone when it ends.
#[test]
fn a_unix_socket_is_taken_over_in_place() {
    let cluster = Cluster::shared();
    let scratch = Scratch::new();
    let socket = scratch.path().join(".s.PGSQL.6432");
    let build = || {
        let listen = socket.to_str().expect("a path of ours");
        Sidecache::build(cluster, "shop")
            .no_replicas()
            .flag("--reuse-port", "true")
            .cache("off")
            .flag("--listen", listen)
    };
    let ask = || {
        let mut psql = cluster.program("psql");
        psql.arg(format!("host={} port=6432 dbname=shop user=app password=app", scratch.path().display()));
        psql.env("HOME", "/nonexistent").args(["-XAtc", "SELECT 40 + 2"]).status().expect("psql starts").success()
    };
    let old = build().start();
    assert!(ask());
    let new = build().start();
    assert!(ask());
    old.stop();
    assert!(ask(), "the file is the new one's");
    assert_eq!(http::get(new.http(), "/livez").map(|(code, _)| code), Some(200));
    new.stop();
    assert!(!socket.exists());
}

/// Who fails at the start has taken nobody's place: neither before it could serve, nor for a listener that comes after the socket.
#[test]
fn a_new_process_that_cannot_serve_leaves_the_unix_socket_to_the_old_one() {
    let cluster = Cluster::shared();
    let scratch = Scratch::new();
    let socket = scratch.path().join(".s.PGSQL.6432");
    let build = || {
        let listen = socket.to_str().expect("a path of ours");
        let build = Sidecache::build(cluster, "shop").no_replicas().cache("off").flag("--listen", listen);
        build.flag("--reuse-port", "true")
    };
    let ask = || {
        let mut psql = cluster.program("psql");
        psql.arg(format!("host={} port=6432 dbname=shop user=app password=app", scratch.path().display()));
        psql.env("HOME", "/nonexistent").args(["-XAtc", "SELECT 40 + 2"]).status().expect("psql starts").success()
    };
    let files = || std::fs::read_dir(scratch.path()).expect("a directory of ours").count();
    let old = build().start();
    assert!(ask());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let absent = scratch.path().join("absent.pem");
    let absent = absent.to_str().expect("a path of ours");
    for (failing, why) in [
        (build().flag("--listen", &taken), taken.as_str()),
        (build().flag("--tls-certificate", absent).flag("--tls-key", absent), "absent.pem"),
    ] {
        let mut failing = failing.spawn();
        assert_ne!(failing.wait().code(), Some(0));
        assert!(failing.log().contains(why), "{}", failing.log());
        assert!(ask(), "the old one is found after {why}");
        assert_eq!(files(), 1, "nothing is left behind after {why}");
    }
    old.stop();
    assert_eq!(files(), 0);
}
