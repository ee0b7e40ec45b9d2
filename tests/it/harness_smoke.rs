//! The harness itself, without Sidecache: servers come up and follow, faults bite, and nothing is left behind.

use crate::harness::cluster::Cluster;
use crate::harness::process::Signal;
use crate::harness::proxy::{FaultProxy, Silence};
use crate::harness::redis::Redis;
use crate::harness::wire::{Batch, Format, Login, Wire, tags};
use crate::harness::{eventually, free_port, usage};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

#[test]
fn replicas_stream_what_the_primary_commits() {
    let cluster = Cluster::shared();
    let database = cluster.database("stream");
    let mut app = cluster.connect("app", &database);
    app.rows("CREATE TABLE t (id int PRIMARY KEY, v text)");
    app.rows("INSERT INTO t VALUES (1, NULL), (2, 'two')");
    cluster.catch_up();
    for replica in &cluster.replicas {
        let login = Login { database: database.clone(), ..replica.login().user("app") };
        let mut wire = Wire::connect(&login).expect("a replica takes connections");
        assert_eq!(wire.value("SELECT pg_is_in_recovery()"), "t");
        assert_eq!(wire.rows("SELECT v FROM t ORDER BY id"), [[None], [Some("two".to_owned())]]);
        assert_eq!(wire.error("INSERT INTO t VALUES (3)"), "25006");
    }
}

#[test]
fn every_role_proves_itself_by_scram_and_a_wrong_password_is_refused() {
    let cluster = Cluster::shared();
    for user in ["app", "sidecache", "solo", "postgres"] {
        assert_eq!(cluster.connect(user, "shop").value("SELECT current_user"), user);
    }
    let wrong = Login { password: "wrong".to_owned(), ..cluster.login("app", "shop") };
    let refused = Wire::connect(&wrong).err().and_then(|e| e.sqlstate());
    assert_eq!(refused.as_deref(), Some("28P01"));
    let secret = cluster.primary.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'");
    assert!(secret.starts_with("SCRAM-SHA-256$"), "{secret}");
    let create_slot = "CREATE_REPLICATION_SLOT probe TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT";
    for user in ["sidecache", "solo"] {
        let login = cluster.login(user, "shop").with("replication", "database");
        let mut wire = Wire::connect(&login).expect("this role may replicate");
        assert_eq!(wire.rows(create_slot).len(), 1);
    }
    let login = cluster.login("app", "shop").with("replication", "database");
    let refused = Wire::connect(&login).err().and_then(|e| e.sqlstate());
    assert_eq!(refused.as_deref(), Some("42501"));
}

#[test]
fn wire_scripts_pipelines_errors_copy_and_cancel() {
    let cluster = Cluster::shared();
    let mut wire = cluster.connect("app", "shop");
    let batch = Batch::new().parse("s", "SELECT $1::int8 + 1", &[]).describe_statement("s");
    let batch = batch.bind("", "s", &[Some("41")], Format::Binary).execute("", 0).sync();
    let answer = wire.run(&batch).expect("a connection that lives");
    assert_eq!(tags(&answer), "1tT2DCZ");
    assert_eq!(answer[4].columns(), [Some(42_i64.to_be_bytes().to_vec())]);
    let failing = Batch::new().extended("SELECT 1/0", &[], Format::Text);
    // The planner, at Bind, meets the division first.
    assert_eq!(tags(&wire.run(&failing).expect("a connection that lives")), "1EZ");
    wire.rows("CREATE TEMP TABLE c (v text)");
    let copy = Batch::new().query("COPY c FROM STDIN").copy_data(b"a\nb\n").copy_done();
    assert_eq!(tags(&wire.run(&copy).expect("a connection that lives")), "GCZ");
    assert_eq!(tags(&wire.query("COPY c TO STDOUT").expect("a connection that lives")), "HddcCZ");
    wire.send(&Batch::new().query("SELECT pg_sleep(3600)")).expect("a connection that lives");
    let sleeping =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND wait_event = 'PgSleep'", wire.key.0);
    eventually("the query to sleep", || (cluster.primary.value(&sleeping) == "1").then_some(()));
    wire.cancel().expect("a server that listens");
    let answer = wire.read_until_ready().expect("a connection that lives");
    assert_eq!(answer.iter().find_map(|f| f.field(b'C')).as_deref(), Some("57014"));
}

#[test]
fn a_held_commit_is_streamed_but_not_seen_until_released() {
    let cluster = Cluster::build().replicas(0).start();
    let mut app = cluster.connect("app", "shop");
    app.rows("CREATE TABLE t (v int)");
    let login = cluster.login("sidecache", "shop");
    let mut stream = cluster.connect("postgres", "shop");
    stream.rows("SELECT pg_create_logical_replication_slot('probe', 'test_decoding')");
    let held = cluster.hold_commits();
    let mut writer = cluster.connect("app", "shop");
    writer.send(&Batch::new().query("INSERT INTO t VALUES (7)")).expect("a connection that lives");
    held.wait_for(1);
    let changes = stream.rows("SELECT data FROM pg_logical_slot_peek_changes('probe', NULL, NULL)");
    let inserted = changes.iter().flatten().flatten().any(|c| c.contains("INSERT"));
    assert!(inserted, "the stream lags behind the held commit: {changes:?}");
    assert_eq!(app.value("SELECT count(*) FROM t"), "0");
    writer.set_patience(Duration::from_millis(1));
    assert_eq!(writer.read_frame().map_err(|e| e.kind()), Err(ErrorKind::WouldBlock));
    held.release();
    writer.set_patience(Duration::from_secs(60));
    writer.read_until_ready().expect("the released commit is acknowledged");
    assert_eq!(app.value("SELECT count(*) FROM t"), "1");
    app.rows("INSERT INTO t VALUES (8)");
    assert!(Wire::connect(&login).is_ok());
}

#[test]
fn replay_pauses_replicas_stop_and_the_primary_survives_a_crash() {
    let mut cluster = Cluster::build().replicas(1).start();
    let mut app = cluster.connect("app", "shop");
    app.rows("CREATE TABLE t (v int)");
    cluster.catch_up();
    let on_replica = |c: &Cluster| c.replicas[0].connect_to("shop").value("SELECT count(*) FROM t");
    let paused = cluster.pause_replay(0);
    app.rows("INSERT INTO t VALUES (1)");
    let sent = "SELECT flush_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication";
    eventually("the replica to receive", || (cluster.primary.value(sent) == "t").then_some(()));
    assert_eq!(on_replica(&cluster), "0");
    paused.resume();
    cluster.catch_up();
    assert_eq!(on_replica(&cluster), "1");

    cluster.replicas[0].stop(Signal::INT);
    app.rows("INSERT INTO t VALUES (2)");
    assert!(!cluster.replicas[0].answers());
    cluster.crash_primary();
    cluster.replicas[0].start();
    cluster.catch_up();
    assert_eq!(on_replica(&cluster), "2");
    cluster.promote(0);
    cluster.replicas[0].connect_to("shop").rows("INSERT INTO t VALUES (3)");
    assert_eq!(on_replica(&cluster), "3");
    assert_eq!(cluster.connect("app", "shop").value("SELECT count(*) FROM t"), "2");
}

#[test]
fn a_stalled_stream_stands_still_and_goes_on() {
    let cluster = Cluster::build().replicas(0).start();
    let login = cluster.login("sidecache", "shop").with("replication", "database");
    let mut stream = Wire::connect(&login).expect("this role may replicate");
    stream.rows("CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT");
    let start = Batch::new().query("START_REPLICATION SLOT s LOGICAL 0/0");
    stream.send(&start).expect("a connection that lives");
    assert_eq!(stream.read_frame().expect("a connection that lives").tag, b'W');
    let stalled = cluster.stall_streams("shop");
    cluster.connect("app", "shop").rows("CREATE TABLE t (v int)");
    stalled.resume();
    eventually("a change on the stream", || {
        let frame = stream.read_frame().expect("a stream that goes on");
        (frame.tag == b'd' && frame.body.windows(6).any(|w| w == b"COMMIT")).then_some(())
    });
    assert_eq!(cluster.break_streams("shop"), 1);
    assert!(stream.read_until(b'c').is_err() || cluster.streams("shop").is_empty());
}

#[test]
fn the_network_slices_holds_and_resets() {
    let cluster = Cluster::shared();
    let proxy = FaultProxy::to_port(cluster.primary.port);
    let login = Login { port: proxy.port(), ..cluster.login("app", "shop") };
    proxy.set(|w| w.slice = Some(1));
    let mut wire = Wire::connect(&login).expect("a network that is only slow");
    assert_eq!(wire.value("SELECT 1"), "1");
    proxy.set(|w| (w.slice, w.silence) = (None, Silence::Both));
    wire.send(&Batch::new().query("SELECT 2")).expect("a connection that lives");
    wire.set_patience(Duration::from_millis(20));
    assert_eq!(wire.read_frame().map_err(|e| e.kind()), Err(ErrorKind::WouldBlock));
    proxy.set(|w| w.silence = Silence::None);
    wire.set_patience(Duration::from_secs(60));
    assert_eq!(tags(&wire.read_until_ready().expect("nothing was lost")), "TDCZ");
    assert_eq!(proxy.cut(), 1);
    assert!(wire.query("SELECT 3").is_err());
    proxy.set(|w| w.reset_after = Some(10_000));
    let mut wire = Wire::connect(&login).expect("startup fits into the budget");
    let broken = wire.query("SELECT repeat('x', 100000)").map_err(|e| e.kind());
    assert_eq!(broken.map(|_| ()), Err(ErrorKind::ConnectionReset));
}

#[test]
fn redis_answers_loses_and_asks_for_its_password() {
    let mut redis = Redis::start_with_password("open sesame");
    redis.call(&["SET", "k", "v"]);
    assert_eq!(redis.call(&["GET", "k"]), [b"v"]);
    assert_eq!(redis.keys(), [b"k"]);
    redis.restart();
    assert!(redis.keys().is_empty());
}

#[test]
fn cpu_time_of_a_server_counts_its_sessions() {
    let cluster = Cluster::build().replicas(0).start();
    let before = cluster.cpu().0;
    cluster.primary.sql("SELECT count(*) FROM generate_series(1, 2000000)");
    let used = cluster.cpu().0 - before;
    assert!(used > Duration::from_millis(20), "{used:?}");
    assert!(usage::resident(cluster.primary.pid()).is_some());
}

/// The system alone would give some port twice among so many: a server was told to listen and to serve HTTP on the same one.
#[test]
fn nobody_is_given_the_port_of_another() {
    let ports: BTreeSet<u16> = (0..1000).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 1000);
}
