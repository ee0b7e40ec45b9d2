//! Replicas that are not what the watch has seen of them: an address behind which there are several servers, one that stands still
//! while a read waits for its connection. What such a replica answers does not count.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::process::Signal;
use crate::harness::proxy::FaultProxy;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Login, Wire};
use std::net::SocketAddr;

const READ: &str = "SELECT v FROM t WHERE id = 1";

/// Two replicas behind one address, of which the watch has met the first; new connections lead to the second.
struct Balanced {
    cluster: Cluster,
    database: String,
    sidecache: Sidecache,
    way: FaultProxy,
}

impl Balanced {
    fn start(label: &str, staleness: &str) -> Balanced {
        let cluster = Cluster::build().replicas(2).start();
        let database = cluster.database(label);
        cluster.connect("app", &database).rows(
            "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i",
        );
        cluster.catch_up();
        let way = FaultProxy::to_port(cluster.replicas[0].port);
        let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
        let build = Sidecache::build(&cluster, &database).cache("off").replicas(&[url]);
        let sidecache = build.flag("--staleness", staleness).flag("--admin-user", "app").start();
        sidecache.await_status("the replica to be ready", |status| status["servers"][1]["state"] == "ready");
        Balanced { cluster, database, sidecache, way }
    }

    fn lead_to_the_second(&self) {
        let second = SocketAddr::from(([127, 0, 0, 1], self.cluster.replicas[1].port));
        self.way.set(|weather| weather.towards = Some(second));
    }

    /// Reads that were sent to the address.
    fn asked(&self) -> u64 {
        self.sidecache.count("/servers/1/statements")
    }

    /// Answers of it that did not count.
    fn refused(&self) -> f64 {
        self.sidecache.metric("sidecache_replicas_passed_over_total", &[("reason", "not_as_seen")])
    }

    fn beside(&self) -> Wire {
        self.cluster.connect("app", &self.database)
    }

    /// What has been written by now is on the first replica.
    fn first_has_all(&self) {
        let written = self.cluster.primary.value("SELECT pg_current_wal_flush_lsn()");
        let there = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        eventually("the first replica to have it", || (self.cluster.replicas[0].value(&there) == "t").then_some(()));
    }
}

/// In which form a read is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Simple,
    Extended,
    /// It takes its time.
    Slow,
}

fn value_in(client: &mut Wire, form: Form) -> String {
    match form {
        Form::Slow => client.value(
            "SELECT v FROM t, (SELECT count(*) FROM t a, t b WHERE b.id <= 500 AND random() >= 0) x WHERE id = 1",
        ),
        Form::Extended => {
            client.extended("SELECT v FROM t WHERE id = $1", &[Some("1")])[0][0].clone().expect("a value")
        }
        Form::Simple => client.value(READ),
    }
}

/// A session reads its own writes though the server that answers is another than the one that was asked how far it has come.
#[test]
fn r9_a_read_that_another_server_answers_is_held_to_the_sessions_own_writes() {
    let balanced = Balanced::start("r9_balanced", "1h");
    let _paused = balanced.cluster.pause_replay(1);
    balanced.lead_to_the_second();
    let mut client = balanced.sidecache.connect("app");
    assert_eq!(client.value(READ), "0");
    for form in [Form::Simple, Form::Extended, Form::Slow] {
        let (before, refused) = (balanced.asked(), balanced.refused());
        for round in 1..=5 {
            client.rows(&format!("UPDATE t SET v = {round} WHERE id = 1"));
            balanced.first_has_all();
            // Until the watch has seen it, nobody reads there.
            eventually("the address to be asked", || {
                let asked = balanced.asked();
                assert_eq!(value_in(&mut client, form), round.to_string(), "{form:?}");
                (balanced.asked() > asked).then_some(())
            });
        }
        assert!(balanced.asked() > before && balanced.refused() > refused);
        if form == Form::Slow {
            let log = || balanced.cluster.replicas[1].log();
            eventually("it to be cancelled there", || log().contains("due to user request").then_some(()));
        }
    }
}

/// Nor is it further behind than it may be.
#[test]
fn r10_a_read_that_another_server_answers_is_held_to_the_bound() {
    let balanced = Balanced::start("r10_balanced", "500ms");
    let _paused = balanced.cluster.pause_replay(1);
    balanced.lead_to_the_second();
    for form in [Form::Simple, Form::Extended, Form::Slow] {
        let mut client = balanced.sidecache.connect("app");
        client.rows("SET sidecache.consistency = 'bounded'");
        let value = (form as i32 + 1).to_string();
        balanced.beside().rows(&format!("UPDATE t SET v = {value} WHERE id = 1"));
        let asked = balanced.asked();
        eventually("the bound to hold", || (value_in(&mut client, form) == value).then_some(()));
        eventually("the address to be asked again", || {
            let asked = balanced.asked();
            assert_eq!(value_in(&mut client, form), value);
            (balanced.asked() > asked).then_some(())
        });
        assert!(balanced.asked() > asked && balanced.refused() > 0.0);
    }
}

/// A session that has read one of them does not go back to the other, which has less.
#[test]
fn r9_a_session_does_not_go_back_from_one_server_behind_an_address_to_another() {
    let balanced = Balanced::start("r9_back", "1h");
    let _paused = balanced.cluster.pause_replay(1);
    let mut client = balanced.sidecache.connect("app");
    let seen_on_replica = |client: &mut Wire, value: &str| {
        let (asked, refused) = (balanced.asked(), balanced.refused());
        assert_eq!(client.value(READ), value);
        balanced.asked() > asked && balanced.refused() == refused
    };
    eventually("a read on the first", || seen_on_replica(&mut client, "0").then_some(()));
    balanced.beside().rows("UPDATE t SET v = 1 WHERE id = 1");
    balanced.first_has_all();
    eventually("a read on the first again", || seen_on_replica(&mut client, "1").then_some(()));
    // Who does not read its answer keeps the only connection to the first.
    balanced.lead_to_the_second();
    let mut slow = balanced.sidecache.connect("app");
    slow.send(&Batch::new().query("SELECT a.id FROM t a, t b")).expect("it lives");
    slow.read_until(b'D').expect("a row");
    let asked = balanced.asked();
    for _ in 0..5 {
        assert_eq!(client.value(READ), "1");
    }
    assert!(balanced.asked() > asked);
    assert_eq!(balanced.sidecache.connect("app").value(READ), "0", "others may, within the bound");
}

/// What was chosen before a wait for a connection is looked at again after it.
#[test]
fn r10_a_replica_that_fell_behind_while_a_read_waited_for_its_connection_does_not_answer_it() {
    let balanced = Balanced::start("r10_waited", "500ms");
    let (cluster, sidecache) = (&balanced.cluster, &balanced.sidecache);
    let mut client = sidecache.connect("app");
    client.rows("SET sidecache.consistency = 'bounded'");
    eventually("a read on the replica", || {
        assert_eq!(client.value(READ), "0");
        (balanced.asked() > 0).then_some(())
    });
    sidecache.signal(Signal::USR1);
    sidecache.await_status("a pause", |status| status["paused"] == true);
    client.send(&Batch::new().query(READ)).expect("it lives");
    let mut operator =
        Wire::connect(&Login { database: "sidecache".to_owned(), ..sidecache.login("app") }).expect("let in");
    eventually("the read to wait", || {
        operator.rows("SHOW CLIENTS").iter().any(|row| row[3].as_deref() == Some("waiting")).then_some(())
    });
    let _paused = [cluster.pause_replay(0), cluster.pause_replay(1)];
    balanced.beside().rows("UPDATE t SET v = 1 WHERE id = 1");
    sidecache.await_status("it to be behind", |status| status["servers"][1]["state"] == "too_far_behind");
    sidecache.signal(Signal::USR2);
    let frames = client.read_until_ready().expect("it goes on");
    assert_eq!(frames[1].columns()[0].as_deref(), Some(&b"1"[..]), "{frames:?}");
}
