//! What a replica alone refuses, ends or holds up: a read goes on at the primary, and the client hears nothing of it as long as it has no
//! row of it yet.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::proxy::FaultProxy;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Login, Wire, tags};

const READ: &str = "SELECT v FROM t WHERE id = 1";

/// A Sidecache that caches nothing, before a table of three thousand rows and one replica.
fn before(label: &str, staleness: &str) -> (Cluster, String, Sidecache) {
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database(label);
    cluster
        .connect("app", &database)
        .rows("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i");
    cluster.catch_up();
    let sidecache = Sidecache::build(&cluster, &database).cache("off").flag("--staleness", staleness).start();
    sidecache.await_status("the replica to be ready", |status| status["servers"][1]["state"] == "ready");
    (cluster, database, sidecache)
}

/// Runs the read until it was sent to the replica, and gives what it was answered then.
fn on_replica(sidecache: &Sidecache, client: &mut Wire, read: &Batch) -> String {
    let asked = || sidecache.count("/servers/1/statements");
    eventually("a read on the replica", || {
        let before = asked();
        let frames = client.run(read).expect("it lives");
        (asked() > before).then(|| {
            format!("{} {:?}", tags(&frames), frames.iter().find_map(|f| f.field(b'C').filter(|_| f.tag == b'E')))
        })
    })
}

/// The replica's own configuration ends a read, or gives it too little room: the primary has its own.
#[test]
fn r24_an_error_that_only_the_replica_raises_is_not_the_clients() {
    let (cluster, _, sidecache) = before("r24_own_limits", "1h");
    let replica = &cluster.replicas[0];
    let slow = "SELECT count(*) FROM t a, t b WHERE a.id + b.id > 0 AND random() >= 0";
    let sorts =
        "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY random()) AS n FROM t a, generate_series(1, 50)) x";
    // Not by a connection that the setting would bound as well.
    let mut operator = replica.connect();
    operator.rows("SET statement_timeout = 0");
    let mut set = |setting: &str, value: &str| {
        operator.rows(&format!("ALTER SYSTEM SET {setting} = {value}"));
        operator.rows("SELECT pg_reload_conf()");
    };
    let mut client = sidecache.connect("app");
    for (setting, value, usual, sql) in [("statement_timeout", "50", "0", slow), ("temp_file_limit", "0", "-1", sorts)]
    {
        set(setting, value);
        for (batch, told) in
            [(Batch::new().query(sql), "TDCZ"), (Batch::new().extended(sql, &[], Format::Text), "12TDCZ")]
        {
            let answer = on_replica(&sidecache, &mut client, &batch);
            assert_eq!(answer, format!("{told} None"), "{setting}");
        }
        set(setting, usual);
    }
    // What the client has asked for itself ends it wherever it runs, and so does its cancel.
    client.rows("SET statement_timeout = '50ms'");
    let replicas_log = || replica.log().matches("due to statement timeout").count();
    let primarys_log = || cluster.primary.log().matches("due to statement timeout").count();
    let (there, here) = (replicas_log(), primarys_log());
    assert_eq!(on_replica(&sidecache, &mut client, &Batch::new().query(slow)), "TEZ Some(\"57014\")");
    eventually("the replica's log", || (replicas_log() > there).then_some(()));
    assert_eq!(primarys_log(), here, "it was not asked again");
    client.rows("RESET statement_timeout");
    eventually("a cancel on the replica", || {
        let before = sidecache.count("/servers/1/statements");
        client.send(&Batch::new().query("SELECT count(*) FROM t a, t b, t c")).expect("it lives");
        sidecache.await_status("the read to run", |status| {
            (0..2).any(|server| status["servers"][server]["outstanding"] == 1)
        });
        client.cancel().expect("Sidecache takes cancels");
        let frames = client.read_until_ready().expect("it lives");
        assert_eq!(
            frames.iter().find_map(|f| f.field(b'C').filter(|_| f.tag == b'E')).as_deref(),
            Some("57014"),
            "{frames:?}"
        );
        (sidecache.count("/servers/1/statements") > before).then_some(())
    });
}

/// A replica whose connection ends in the middle of an answer ends a statement, and no session: what the client has of it cannot be
/// taken back, and no more can be had.
#[test]
fn r24_a_replica_lost_in_mid_answer_ends_the_statement_alone() {
    let (cluster, _, sidecache) = before("r24_mid_answer", "1h");
    let mut client = sidecache.connect("app");
    let rows = "SELECT a.id FROM t a, t b";
    for batch in [Batch::new().query(rows), Batch::new().extended(rows, &[], Format::Text)] {
        eventually("an answer of the replica", || {
            let before = sidecache.count("/servers/1/statements");
            client.send(&batch).expect("it lives");
            client.read_until(b'D').expect("a row");
            // Elsewhere, or already sent as a whole, it is not lost.
            let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'";
            let is_there =
                sidecache.count("/servers/1/statements") > before && !cluster.replicas[0].sql(end).is_empty();
            let frames = client.read_until_ready().expect("the session goes on");
            let end = &frames[frames.len() - 2..];
            if !is_there {
                assert_eq!(tags(end), "CZ");
                return None;
            }
            let told = (tags(end), end[0].field(b'C'), end[0].field(b'S'));
            assert_eq!((told.0.as_str(), told.1.as_deref(), told.2.as_deref()), ("EZ", Some("40001"), Some("ERROR")));
            Some(())
        });
        assert_eq!(client.value(READ), "0");
    }
}

/// A read that waits for a lock which only stuck replay holds is asked of the primary, where nobody holds it.
#[test]
fn r24_a_read_that_stuck_replay_holds_up_is_answered_by_the_primary() {
    let (cluster, database, sidecache) = before("r24_stuck", "1s");
    let mut client = sidecache.connect("app");
    on_replica(&sidecache, &mut client, &Batch::new().query(READ));
    let mut beside = cluster.connect("app", &database);
    beside.rows("BEGIN");
    beside.rows("LOCK TABLE t");
    // It is in the log once something behind it is.
    beside.rows("CREATE TABLE behind ()");
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 't'::regclass";
    eventually("the replica to hold the lock", || {
        (cluster.replicas[0].connect_to(&database).value(locked) == "1").then_some(())
    });
    let paused = cluster.pause_replay(0);
    beside.rows("COMMIT");
    let before = sidecache.count("/servers/1/statements");
    client.set_patience(std::time::Duration::from_secs(15));
    assert_eq!(client.value(READ), "0");
    assert!(sidecache.count("/servers/1/statements") > before, "it was asked of the replica");
    assert_eq!(client.value(READ), "0");
    paused.resume();
}

/// A replica that freezes after its answer, while it is asked how far that may have read, does not hold up what comes next.
#[test]
fn r24_a_replica_that_freezes_behind_its_answer_holds_up_nobody() {
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("r24_behind");
    cluster.connect("app", &database).rows("CREATE TABLE t AS SELECT 0 AS v FROM generate_series(1, 3)");
    cluster.catch_up();
    let way = FaultProxy::to_port(cluster.replicas[0].port);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let sidecache = Sidecache::build(&cluster, &database).cache("off").replicas(&[url]).start();
    sidecache.await_status("the replica to be ready", |status| status["servers"][1]["state"] == "ready");
    let mut client = sidecache.connect("app");
    let read = Batch::new().query("SELECT v FROM t");
    on_replica(&sidecache, &mut client, &read);
    way.set(|weather| weather.silence_behind = Some(b"SELECT 3\0Z\0\0\0\x05I"));
    client.set_patience(std::time::Duration::from_secs(15));
    let mut first = client.run(&read).expect("it lives");
    while sidecache.status()["servers"][1]["role"] == "replica" {
        first = client.run(&read).expect("nobody is held up");
    }
    assert_eq!(tags(&first), "TDDDCZ");
    assert_eq!(tags(&client.run(&read).expect("nobody is held up")), "TDDDCZ");
}
