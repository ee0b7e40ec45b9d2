//! Replicas that lag or lead, streams that stall, break or never were, and a primary that crashes: hits stop where they
//! are not proven any more, and every answer stays right.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::faults::{HeldCommits, Stalled};
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Wire, rows};
use crate::watched::{Watched, text};
use std::io::ErrorKind;
use std::time::Duration;

const READ: &str = "SELECT v FROM t";

const TABLE: &str = "CREATE TABLE t AS SELECT 0 AS v; CREATE TABLE u AS SELECT 7 AS x";

#[test]
fn f1_a_change_that_is_heard_while_a_fill_runs_is_not_lost() {
    let slow = "SELECT v, (SELECT count(*) FROM generate_series(1, 300000)) FROM t";
    for replicas in [false, true] {
        let watched =
            Watched::with(
                Cluster::shared(),
                "f1_race",
                TABLE,
                |builder| {
                    if replicas { builder } else { builder.no_replicas() }
                },
            );
        let mut direct = watched.beside();
        let mut raced = 0;
        for n in 1..40 {
            let mut client = watched.client();
            client.send(&Batch::new().query(slow)).expect("a connection that lives");
            direct.rows(&format!("UPDATE t SET v = {n}"));
            watched.sidecache.await_stream(watched.cluster);
            let answer = rows(&client.read_until_ready().expect("an answer")).expect("rows");
            raced += u32::from(text(&answer) == format!("{},300000", n - 1));
            watched.cluster.catch_up();
            let (_, seen) = watched.look(|| text(&watched.client().rows(slow)));
            assert_eq!(seen, format!("{n},300000"), "stale after a fill that began before the change");
            if raced > 2 {
                break;
            }
        }
        assert!(raced > 0, "no fill was ever overtaken");
        assert_eq!(watched.warm(&mut watched.client(), slow), text(&direct.rows(slow)));
    }
}

#[test]
fn c3_c7_c8_what_a_session_has_seen_is_not_unseen_on_a_replica_that_lags() {
    let cluster = Cluster::build().replicas(1).start();
    // A bound so wide that only positions keep the replica's old rows away.
    let watched = Watched::with(&cluster, "c3_lag", TABLE, |builder| builder.flag("--staleness", "1h"));
    assert_eq!(watched.warm(&mut watched.client(), READ), "0");
    let paused = cluster.pause_replay(0);

    let mut direct = watched.beside();
    direct.rows("UPDATE t SET v = 1");
    watched.sidecache.await_stream(&cluster);
    for _ in 0..5 {
        let (hit, value) = watched.look(|| watched.client().value(READ));
        assert_eq!((hit, value.as_str()), (false, "0"), "c3: a lagging replica may answer, and its answer is not kept");
    }

    let mut writer = watched.client();
    for n in 2..20 {
        writer.rows(&format!("UPDATE t SET v = {n}"));
        assert_eq!(writer.value(READ), n.to_string(), "c7: the session's own write");
        let batch = Batch::new().parse("", &format!("UPDATE t SET v = -{n}"), &[]).bind("", "", &[], Format::Text);
        let batch = batch.execute("", 0).extended(READ, &[], Format::Text);
        let answer = rows(&writer.run(&batch).expect("an answer")).expect("rows");
        assert_eq!(text(&answer), format!("-{n}"), "c7: in the same batch");
    }
    assert_eq!(watched.warm(&mut writer, READ), "-19", "a fill on the primary");
    let mut reader = watched.client();
    let (hit, value) = watched.look(|| reader.value(READ));
    assert_eq!((hit, value.as_str()), (true, "-19"));
    for n in 0..5 {
        assert_eq!(reader.value(&format!("SELECT v - {n} FROM t")), (-19 - n).to_string(), "c8: a miss after a hit");
    }
    assert_eq!(watched.client().value("SELECT v * 2 FROM t"), "0", "a session that has seen nothing yet");

    paused.resume();
    cluster.catch_up();
    assert_eq!(watched.warm(&mut watched.client(), "SELECT v * 2 FROM t"), "-38");
}

#[test]
fn c7_a_position_carries_a_write_to_another_instance() {
    let cluster = Cluster::build().replicas(1).start();
    let near = Watched::with(&cluster, "c7_token", TABLE, |builder| builder.flag("--staleness", "1h"));
    let streams = cluster.streams(&near.database);
    let sidecache = Sidecache::build(&cluster, &near.database).flag("--staleness", "1h").start();
    let far = Watched { cluster: &cluster, database: near.database.clone(), sidecache };
    assert_eq!(far.warm(&mut far.client(), READ), "0");
    let paused = cluster.pause_replay(0);
    let of_far = cluster.streams(&near.database).into_iter().filter(|pid| !streams.contains(pid)).collect();
    let stalled = Stalled::new(of_far);

    let mut writer = near.client();
    writer.rows("UPDATE t SET v = 1");
    let token = writer.value("SHOW sidecache.position");
    let mut reader = far.client();
    let (hit, value) = far.look(|| reader.value(READ));
    assert_eq!((hit, value.as_str()), (true, "0"), "the other instance has not heard of it");
    reader.rows(&format!("SET sidecache.min_position = '{token}'"));
    for _ in 0..3 {
        assert_eq!(reader.value(READ), "1", "with the position it reads the write");
    }
    // A reader that has seen it stays there, and can pass it on.
    let token = reader.value("SHOW sidecache.position");
    let mut third = far.client();
    third.rows(&format!("SET sidecache.min_position = '{token}'"));
    assert_eq!(third.value(READ), "1");
    let mut stranger = far.client();
    stranger.rows("SET sidecache.min_position = '00000000deadbeef:0/1'");
    assert_eq!(stranger.value(READ), "1", "a position of another incarnation: the primary");
    assert_eq!(far.client().error("SET sidecache.min_position = 'nonsense'"), "22023");
    stalled.resume();
    paused.resume();
    far.hear();
    assert_eq!(far.warm(&mut far.client(), READ), "1");
}

/// Who is told of a commit by a notification reads what was committed, though neither the stream nor a replica has it: on the connection
/// that listens for all, and on one of its own.
#[test]
fn c6_what_a_notification_tells_of_is_seen() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c6_told", TABLE, |builder| builder.flag("--staleness", "1h"));
    let on_replica = "/* sidecache: off */ SELECT v FROM t";
    let mut listeners = ["UTF8", "LATIN1"].map(|encoding| {
        let mut listener = watched.client();
        listener.rows(&format!("SET client_encoding = '{encoding}'"));
        listener.rows("LISTEN a");
        assert_eq!(listener.value(on_replica), "0");
        listener
    });
    assert_eq!(watched.warm(&mut listeners[0], READ), "0");
    let listening = &watched.sidecache.status()["listening"]["sessions"];
    assert_eq!(listening, 1, "the other has a connection of its own");
    let paused = cluster.pause_replay(0);
    let stalled = cluster.stall_streams(&watched.database);
    let mut writer = watched.beside();
    for round in 1..4 {
        let text = round.to_string();
        writer.rows(&format!("BEGIN; UPDATE t SET v = {text}; NOTIFY a; COMMIT"));
        for (at, listener) in listeners.iter_mut().enumerate() {
            assert_eq!(listener.read_frame().expect("a notification").tag, b'A');
            let read = if round == 2 { on_replica } else { READ };
            assert_eq!(listener.value(read), text, "listener {at}");
            assert_eq!(listener.value(on_replica), text, "listener {at}, what it has seen is not unseen");
        }
    }
    assert_eq!(watched.client().value(READ), "0", "who was told nothing is served as before");
    drop((stalled, paused));
    watched.hear();
    assert_eq!(watched.warm(&mut listeners[0], READ), "3");
}

/// A read that the primary cannot answer yet, until the commit that the session has seen goes on.
fn waits_for_the_primary(client: &mut Wire, sql: &str, held: HeldCommits<'_>) {
    client.send(&Batch::new().query(sql)).expect("a connection that lives");
    client.set_patience(Duration::from_millis(50));
    assert_eq!(client.read_frame().map_err(|e| e.kind()), Err(ErrorKind::WouldBlock), "it waits for the primary");
    client.set_patience(crate::harness::PATIENCE);
    held.release();
    let answer = rows(&client.read_until_ready().expect("an answer")).expect("rows");
    assert_eq!(text(&answer), "1");
}

#[test]
fn c8_what_was_seen_on_a_replica_is_not_unseen_on_the_primary() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c8_fork", TABLE, |builder| builder.flag("--staleness", "1h"));
    let mut client = watched.client();
    let held = cluster.hold_commits();
    let mut writer = watched.beside();
    let write = std::thread::spawn(move || writer.rows("UPDATE t SET v = 1"));
    held.wait_for(1);
    watched.hear();
    assert_eq!(watched.beside().value(READ), "0", "the primary does not show it yet");
    assert_eq!(client.value(READ), "1", "the replica does");
    waits_for_the_primary(&mut client, "BEGIN; SELECT v FROM t; COMMIT", held);
    write.join().expect("the write is acknowledged");
}

#[test]
fn c8_what_was_seen_on_a_replica_is_not_unseen_on_the_primary_without_a_stream() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c8_lost", TABLE, |builder| builder.cache("off"));
    let mut client = watched.client();
    let held = cluster.hold_commits();
    let mut writer = watched.beside();
    let write = std::thread::spawn(move || writer.rows("UPDATE t SET v = 1"));
    held.wait_for(1);
    eventually("the replica to show it", || (client.value(READ) == "1").then_some(()));
    // No stream can begin while a commit is held, so nobody tells which transaction is waited for. It is the newest one:
    // the primary's snapshots end before it.
    cluster.break_streams(&watched.database);
    watched.sidecache.await_status("the stream to be lost", |status| status["stream"]["state"] != "live");
    waits_for_the_primary(&mut client, "BEGIN; SELECT v FROM t", held);
    write.join().expect("the write is acknowledged");
}

/// How late the stream is is the cache's business: on the primary nobody waits for it, who has seen what it has not told yet.
#[test]
fn c8_a_late_stream_holds_up_no_statement() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c8_late", TABLE, |builder| builder.flag("--staleness", "1h"));
    let mut client = watched.client();
    let stalled = cluster.stall_streams(&watched.database);
    watched.beside().rows("UPDATE t SET v = 1");
    cluster.catch_up();
    assert_eq!(client.value(READ), "1", "on the replica");
    // Much less than the session would wait for the stream.
    client.set_patience(Duration::from_secs(15));
    client.rows("UPDATE t SET v = v + 1");
    assert_eq!(client.value(READ), "2");
    stalled.resume();
}

#[test]
fn c8_a_hit_that_a_replica_filled_is_not_unseen_in_its_transaction() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c8_block", TABLE, |builder| builder.flag("--staleness", "1h"));
    let (mut other, mut client) = (watched.client(), watched.client());
    client.rows("BEGIN");
    let held = cluster.hold_commits();
    let mut writer = watched.beside();
    let write = std::thread::spawn(move || writer.rows("UPDATE t SET v = 1"));
    held.wait_for(1);
    watched.hear();
    assert_eq!(watched.warm(&mut other, READ), "1", "filled on the replica");
    assert_eq!(watched.look(|| client.value(READ)), (true, "1".to_owned()), "a hit in the transaction");
    waits_for_the_primary(&mut client, "SELECT max(v) FROM t", held);
    write.join().expect("the write is acknowledged");
}

/// Who waits for the primary to show a commit that waits itself keeps no connection from others, and waits no longer than it wants to.
#[test]
fn c8_a_wait_for_the_primary_ends_as_the_client_wants_and_takes_nothing_from_others() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c8_wanted", TABLE, |builder| {
        builder.flag("--staleness", "1h").flag("--pool-size", "1")
    });
    let (mut client, mut other) = (watched.client(), watched.client());
    let limits = watched.sidecache.login("app").with("options", "-c statement_timeout=500");
    let mut limited = Wire::connect(&limits).expect("taken");
    let held = cluster.hold_commits();
    let mut writer = watched.beside();
    let write = std::thread::spawn(move || writer.rows("UPDATE t SET v = 1"));
    held.wait_for(1);
    watched.hear();
    let there = "/* sidecache: route=primary */ SELECT max(v) FROM t";
    for seen in [&mut client, &mut limited] {
        assert_eq!(seen.value(READ), "1", "the replica shows it");
    }
    client.send(&Batch::new().query(there)).expect("a connection that lives");
    client.set_patience(Duration::from_millis(200));
    assert_eq!(client.read_frame().map_err(|e| e.kind()), Err(ErrorKind::WouldBlock), "it waits for the primary");
    client.set_patience(crate::harness::PATIENCE);
    assert_eq!(other.value(there), "0", "who has not seen it does not");
    client.cancel().expect("a cancel request is taken");
    assert_eq!(rows(&client.read_until_ready().expect("an answer")).unwrap_err().get(..5), Some("57014"));
    assert_eq!(limited.error(there), "57014", "its own limit");
    // In a transaction that a server knows of, which fails there too.
    watched.warm(&mut other, READ);
    let mut limited = Wire::connect(&limits).expect("taken");
    limited.rows("BEGIN");
    limited.rows("SAVEPOINT s");
    assert_eq!(watched.look(|| limited.value(READ)), (true, "1".to_owned()), "a hit in the transaction");
    assert_eq!(limited.error(there), "57014");
    assert_eq!(limited.error("INSERT INTO u VALUES (1)"), "25P02");
    limited.rows("ROLLBACK");
    held.release();
    write.join().expect("the write is acknowledged");
    assert_eq!(limited.value(there), "1");
    assert_eq!(client.value(there), "1");
}

/// What was written and read at another level counts once the session's level binds it.
#[test]
fn c7_what_was_seen_at_another_level_is_not_unseen_at_this_one() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c7_level", TABLE, |builder| builder.flag("--staleness", "1h"));
    for (n, level) in ["strong", "bounded"].into_iter().enumerate() {
        let written = (n + 1).to_string();
        let mut client = watched.client();
        client.rows(&format!("SET sidecache.consistency = '{level}'"));
        let paused = cluster.pause_replay(0);
        client.rows(&format!("UPDATE t SET v = {written}"));
        client.rows("SET sidecache.consistency = 'session'");
        for _ in 0..3 {
            assert_eq!(client.value(READ), written, "written at level {level}");
        }
        paused.resume();
        watched.hear();
    }
}

/// Whoever is given a position may have been given it by a session that is ahead of the primary.
#[test]
fn c8_a_position_that_was_read_on_a_replica_is_waited_for_on_the_primary() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "c8_token", TABLE, |builder| builder.flag("--staleness", "1h"));
    let (mut first, mut second) = (watched.client(), watched.client());
    let held = cluster.hold_commits();
    let mut writer = watched.beside();
    let write = std::thread::spawn(move || writer.rows("UPDATE t SET v = 1"));
    held.wait_for(1);
    watched.hear();
    assert_eq!(first.value(READ), "1", "the replica shows it");
    let token = first.value("SHOW sidecache.position");
    second.rows(&format!("SET sidecache.min_position = '{token}'"));
    waits_for_the_primary(&mut second, "/* sidecache: route=primary */ SELECT max(v) FROM t", held);
    write.join().expect("the write is acknowledged");
}

/// A transaction that is forgotten has the primary keep all WAL from its beginning for the stream: its disk is worth more than a cache.
#[test]
fn c5_a_slot_that_keeps_too_much_wal_is_given_up() {
    let cluster = Cluster::build().replicas(0).start();
    let watched = Watched::with(&cluster, "c5_retained", TABLE, |builder| builder.flag("--max-retained-wal", "16MiB"));
    let mut client = watched.client();
    assert_eq!(watched.warm(&mut client, READ), "0");
    let mut forgotten = watched.beside();
    // An xid alone keeps nothing: the stream must have seen something of the transaction (`SnapBuildProcessRunningXacts`).
    forgotten.rows("BEGIN; INSERT INTO u VALUES (9)");
    let held = cluster.primary.value("SELECT pg_current_wal_lsn()");
    let mut root = cluster.primary.connect_to(&watched.database);
    root.rows("SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1 << 20))) FROM generate_series(1, 32)");
    let keeps = format!("SELECT count(*) FROM pg_replication_slots WHERE restart_lsn <= '{held}'");
    eventually("the slot to go", || (root.value(&keeps) == "0").then_some(()));
    assert_eq!(client.value(READ), "0", "by the primary");
    forgotten.rows("ROLLBACK");
    watched.hear();
    assert_eq!(watched.warm(&mut client, READ), "0");
}

#[test]
fn c5_hits_stop_while_the_stream_stands_still_and_nothing_outlives_a_gap() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::on(&cluster, "c5_stream", TABLE);
    let mut client = watched.client();
    assert_eq!(watched.warm(&mut client, READ), "0");
    let stalled = cluster.stall_streams(&watched.database);
    // What the primary says from here on is ahead of what is heard.
    watched.beside().rows("UPDATE t SET v = 1");
    watched.sidecache.await_status("hits to stop", |status| status["stream"]["staleness_ms"].is_null());
    cluster.catch_up();
    for _ in 0..3 {
        let (hit, value) = watched.look(|| client.value(READ));
        assert_eq!((hit, value.as_str()), (false, "1"), "past the bound");
    }
    stalled.resume();
    watched.hear();
    assert_eq!(watched.warm(&mut client, READ), "1");
    assert_eq!(watched.warm(&mut client, "SELECT x FROM u"), "7");

    // Changed while nobody hears, and then the stream is another.
    let stalled = cluster.stall_streams(&watched.database);
    watched.beside().rows("UPDATE t SET v = 2");
    for pid in cluster.streams(&watched.database) {
        cluster.primary.sql(&format!("SELECT pg_terminate_backend({pid})"));
    }
    stalled.resume();
    let gone = "a stream that has heard everything";
    watched.beside().rows("INSERT INTO u VALUES (8); DELETE FROM u WHERE x = 8");
    watched.sidecache.await_status(gone, |status| status["stream"]["state"] == "live");
    watched.hear();
    assert_eq!(client.value(READ), "2");
    assert_eq!(watched.warm(&mut client, READ), "2");
    assert_eq!(watched.warm(&mut client, "SELECT x FROM u"), "7");

    // What nobody changed is not proven either: the change could have been in the gap.
    let streams = cluster.break_streams(&watched.database);
    assert_eq!(streams, 1);
    watched.sidecache.await_status("another stream", |status| {
        status["stream"]["state"] == "live" && !cluster.streams(&watched.database).is_empty()
    });
    watched.hear();
    let (hit, value) = watched.look(|| client.value("SELECT x FROM u"));
    assert_eq!((hit, value.as_str()), (false, "7"), "an entry from before the gap");
    assert_eq!(watched.warm(&mut client, "SELECT x FROM u"), "7");
}

#[test]
fn c6_a_crash_of_the_primary_takes_back_what_was_never_durable() {
    let mut cluster = Cluster::build().replicas(0).setting("wal_writer_delay = 10s").start();
    let database = cluster.database("c6_crash");
    cluster.connect("app", &database).rows(TABLE);
    let sidecache = Sidecache::start(&cluster, &database);
    let hit = |read: &str| {
        let before = sidecache.count("/cache/hits");
        let value = sidecache.connect("app").value(read);
        (sidecache.count("/cache/hits") > before, value)
    };
    eventually("a hit", || (hit(READ) == (true, "0".to_owned())).then_some(()));
    let mut direct = cluster.connect("app", &database);
    direct.rows("SET synchronous_commit = off");
    direct.rows("UPDATE t SET v = 1");
    // Visible, and in no WAL on disk: readers may see it, and even keep it.
    assert_eq!(direct.value(READ), "1");
    let _ = (hit("SELECT v + 0 FROM t"), hit("SELECT v + 0 FROM t"));
    let epoch = sidecache.status()["epoch"].clone();
    cluster.crash_primary();
    let truth = cluster.connect("app", &database).value(READ);
    sidecache.await_status("another epoch", |status| status["epoch"] != epoch && status["stream"]["state"] == "live");
    sidecache.await_stream(&cluster);
    for read in [READ, "SELECT v + 0 FROM t"] {
        assert_eq!(hit(read), (false, truth.clone()), "{read}: nothing crosses epochs");
        eventually("a hit", || (hit(read) == (true, truth.clone())).then_some(()));
    }
}

#[test]
fn c5_without_a_stream_nothing_is_cached_and_status_says_why() {
    let nothing = |watched: &Watched<'_>, why: &str| {
        let status = watched.sidecache.await_status("the state off", |status| status["stream"]["state"] == "off");
        let reason = status["stream"]["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains(why), "{reason}");
        let mut client = watched.client();
        watched.never_cached(&mut client, READ);
        watched.beside().rows("UPDATE t SET v = v + 1");
        assert_eq!(client.value("SELECT v + 0 FROM t FOR UPDATE"), "1");
        watched.never_cached(&mut client, READ);
        assert_eq!(watched.sidecache.count("/cache/entries"), 0);
    };
    let role = Watched::with(Cluster::shared(), "c5_role", TABLE, |builder| builder.alone(Cluster::shared(), "app"));
    nothing(&role, "REPLICATION");
    let cluster = Cluster::build().replicas(0).setting("wal_level = replica").start();
    nothing(&Watched::on(&cluster, "c5_level", TABLE), "wal_level");
}
