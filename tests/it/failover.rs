//! Roles that change under load: promotion with the old primary gone, alive or coming back, replicas that freeze or cancel what is in
//! the way of their replay. Real servers throughout; a client writes and reads all along, and what it was told is held against
//! what the servers have.

use crate::harness::cluster::Cluster;
use crate::harness::faults::Stalled;
use crate::harness::http;
use crate::harness::process::Signal;
use crate::harness::proxy::{Door, FaultProxy, Silence};
use crate::harness::sidecache::Sidecache;
use crate::harness::usage::descendants;
use crate::harness::wire::{Batch, Login, Wire, rows, tags};
use crate::harness::{eventually, within};
use crate::watched::Watched;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

fn before(cluster: &Cluster, label: &str) -> (String, Sidecache) {
    let database = cluster.database(label);
    let mut app = cluster.connect("app", &database);
    app.rows("CREATE TABLE w (id int PRIMARY KEY)");
    app.rows("CREATE TABLE marks (mark text); INSERT INTO marks VALUES ('common')");
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, &database).flag("--connect-timeout", "1s").start();
    sidecache.await_status("replicas to be ready", |status| {
        let servers = status["servers"].as_array().expect("a list of servers");
        servers.iter().filter(|s| s["role"] == "replica" && s["state"] == "ready").count() == cluster.replicas.len()
    });
    (database, sidecache)
}

fn leads(sidecache: &Sidecache, name: &str) {
    sidecache.await_status(&format!("{name} to lead"), |status| {
        let servers = status["servers"].as_array().expect("a list of servers");
        servers.iter().any(|s| s["name"] == name && s["role"] == "primary" && s["state"] == "ready")
    });
}

/// A client that inserts one number after the other, and one that reads which history it is in, each with a new session where one ended.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    /// The last number that was sent.
    sent: AtomicU64,
    /// The numbers whose insert was acknowledged, with when.
    acknowledged: Mutex<Vec<(u64, Instant)>>,
    marks: Mutex<Vec<(Instant, String)>>,
}

impl Load {
    fn write(&self, sidecache: &Sidecache) {
        let mut client: Option<Wire> = None;
        while !self.stop.load(SeqCst) {
            let Some(wire) = client.as_mut() else {
                client = sidecache.try_connect("app").ok();
                continue;
            };
            let number = self.sent.fetch_add(1, SeqCst) + 1;
            match wire.query(&format!("INSERT INTO w VALUES ({number})")).map(|frames| rows(&frames)) {
                Ok(Ok(_)) => self.acknowledged.lock().expect("no poison").push((number, Instant::now())),
                Ok(Err(_)) => {}
                Err(_) => client = None,
            }
        }
    }

    fn read(&self, sidecache: &Sidecache) {
        let mut client: Option<Wire> = None;
        while !self.stop.load(SeqCst) {
            let Some(wire) = client.as_mut() else {
                client = sidecache.try_connect("app").ok();
                continue;
            };
            let began = Instant::now();
            match wire.query("SELECT mark FROM marks").map(|frames| rows(&frames)) {
                Ok(Ok(found)) => {
                    let mark = found[0][0].clone().expect("a mark");
                    self.marks.lock().expect("no poison").push((began, mark));
                }
                Ok(Err(_)) => {}
                Err(_) => client = None,
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no poison").len()
    }

    fn goes_on(&self) {
        let before = self.count();
        eventually("writes to go on", || (self.count() > before + 50).then_some(()));
    }
}

fn numbers(wire: &mut Wire) -> Vec<u64> {
    let rows = wire.rows("SELECT id FROM w ORDER BY id");
    rows.into_iter().map(|row| row[0].as_ref().expect("a number").parse().expect("a number")).collect()
}

/// A replica is promoted while the old primary lives on and both take writes: once the promotion has been seen, every write
/// goes to the new primary and every read comes from it; a transaction that had begun on the old one is not committed there.
#[test]
fn r11_split_brain_loses_no_write_to_the_old_primary() {
    let cluster = Cluster::build().replicas(2).start();
    let (database, sidecache) = before(&cluster, "split");
    let load = Load::default();
    let mut holder = sidecache.connect("app");
    holder.rows("BEGIN");
    holder.rows("INSERT INTO w VALUES (1000000)");
    std::thread::scope(|scope| {
        let threads = [scope.spawn(|| load.write(&sidecache)), scope.spawn(|| load.read(&sidecache))];
        load.goes_on();
        let began = Instant::now();
        cluster.promote(0);
        let promoted = Instant::now();
        leads(&sidecache, "replica-1");
        let last_sent = load.sent.load(SeqCst);
        cluster.connect("app", &database).rows("UPDATE marks SET mark = 'old'");
        cluster.replicas[0].connect_to(&database).rows("UPDATE marks SET mark = 'new'");
        let marked = Instant::now();
        load.goes_on();
        eventually("the new mark to be read", || {
            let marks = load.marks.lock().expect("no poison");
            marks.iter().rev().take(50).filter(|(_, mark)| mark == "new").count().ge(&50).then_some(())
        });
        load.stop.store(true, SeqCst);
        threads.into_iter().for_each(|thread| thread.join().expect("no client failed"));

        assert!(holder.query("COMMIT").is_ok_and(|frames| frames[0].field(b'C').as_deref() == Some("57P01")));
        let mut old = cluster.connect("app", &database);
        let mut new = cluster.replicas[0].connect_to(&database);
        let (on_old, on_new) = (numbers(&mut old), numbers(&mut new));
        let acknowledged = load.acknowledged.lock().expect("no poison");
        let late: Vec<u64> = acknowledged.iter().map(|(number, _)| *number).filter(|n| *n > last_sent).collect();
        assert!(late.len() > 50 && late.iter().all(|number| on_new.binary_search(number).is_ok()), "{late:?}");
        assert!(on_old.iter().all(|number| *number <= last_sent), "the old one took {:?}", on_old.last());
        let marks = load.marks.lock().expect("no poison");
        assert!(marks.iter().all(|(began, mark)| mark != "old" || *began < marked), "a read of the old primary");
        let first = acknowledged
            .iter()
            .find(|(number, _)| on_new.binary_search(number).is_ok() && on_old.binary_search(number).is_err());
        let first = first.expect("a write to the new primary").1;
        println!(
            "first good write {:?} after pg_promote was called, {:?} after it had answered",
            first - began,
            first.saturating_duration_since(promoted)
        );
    });
}

/// A connection for replication takes SQL as well. Where another server becomes the primary while the old one lives on, it ends as a session does
/// that holds a transaction there, be it silent, asking all the time, or not reading what it asked for.
#[test]
fn r11_connections_for_replication_end_with_the_old_primary() {
    let cluster = Cluster::build().replicas(1).start();
    let (database, sidecache) = before(&cluster, "replicating");
    let connect = |kind: &str| {
        let login = sidecache.login("solo").with("replication", kind).with("application_name", "ours");
        Wire::connect(&login).expect("it is let in")
    };
    let (mut silent, mut physical, mut asking, mut deaf) =
        (connect("database"), connect("true"), connect("database"), connect("database"));
    deaf.send(&Batch::new().query("SELECT repeat('x', 10000) FROM generate_series(1, 10000)")).expect("it lives");
    let on_old = |state: &str| {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours' AND {state}");
        cluster.primary.value(&sql)
    };
    eventually("a server that waits", || (on_old("wait_event = 'ClientWrite'") == "1").then_some(()));
    asking.rows("BEGIN");
    asking.rows("CREATE TABLE made (id int)");
    asking.rows("COMMIT");
    cluster.catch_up();
    cluster.promote(0);
    leads(&sidecache, "replica-1");
    let code = |frames: &[crate::harness::wire::Frame]| frames.iter().filter_map(|f| f.field(b'C')).next_back();
    let told = asking.query("INSERT INTO made VALUES (1)");
    assert_eq!(told.ok().and_then(|frames| code(&frames)).as_deref(), Some("57P01"));
    for client in [&mut silent, &mut physical] {
        let told = client.read_frame().expect("a last word");
        assert_eq!(told.field(b'C').as_deref(), Some("57P01"));
        assert_eq!(client.read_frame().map_err(|e| e.kind()), Err(ErrorKind::UnexpectedEof));
    }
    eventually("the old one to be left", || (on_old("true") == "0").then_some(()));
    let mut frames = Vec::new();
    while let Ok(frame) = deaf.read_frame() {
        frames.push(frame.tag);
    }
    assert!(frames.iter().all(|tag| b"TD".contains(tag)), "where a message has begun nothing follows");
    // Who comes then is with the new one.
    connect("database").rows("INSERT INTO made VALUES (2)");
    let rows = |server: &mut Wire| server.rows("SELECT id FROM made").len();
    assert_eq!(
        (rows(&mut cluster.primary.connect_to(&database)), rows(&mut cluster.replicas[0].connect_to(&database))),
        (0, 1)
    );
}

/// The primary is gone, a replica is promoted, and the old primary comes back as one that takes writes: it is never used
/// again, by this instance or by one that starts then.
#[test]
fn r11_an_old_primary_that_returns_is_not_used() {
    let mut cluster = Cluster::build().replicas(1).start();
    let (database, sidecache) = before(&cluster, "returns");
    let load = Load::default();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| load.write(&sidecache));
        load.goes_on();
        let began = Instant::now();
        cluster.primary.stop(Signal::QUIT);
        cluster.promote(0);
        let written = load.count();
        let first =
            eventually("a write", || load.acknowledged.lock().expect("no poison").get(written).map(|(_, at)| *at));
        println!("first good write {:?} after the primary was killed", first - began);
        cluster.primary.start();
        sidecache.await_status("the old primary to be heard", |status| {
            let old = &status["servers"][0];
            old["role"] == "primary" && old["state"] != "ready"
        });
        let last_sent = load.sent.load(SeqCst);
        load.goes_on();
        load.stop.store(true, SeqCst);
        thread.join().expect("no client failed");
        let old = numbers(&mut cluster.primary.connect_to(&database));
        assert!(old.iter().all(|number| *number <= last_sent), "the old one took {:?}", old.last());
    });
    // One that starts now, and is told late by the new primary who it is, waits for that.
    let way = FaultProxy::to_port(cluster.replicas[0].port);
    way.set(|weather| weather.silence = Silence::Both);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let fresh = Sidecache::build(&cluster, &database).replicas(&[url]).spawn();
    let mut client = eventually("a session", || fresh.try_connect("app").ok());
    client.send(&Batch::new().query("INSERT INTO w VALUES (2000000)")).expect("it lives");
    client.set_patience(Duration::from_millis(300));
    assert_eq!(client.read_frame().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock));
    way.set(|weather| weather.silence = Silence::None);
    client.set_patience(crate::harness::PATIENCE);
    assert!(rows(&client.read_until_ready().expect("an answer")).is_ok());
    let count = "SELECT count(*) FROM w WHERE id = 2000000";
    let counts = [&cluster.primary, &cluster.replicas[0]].map(|server| server.connect_to(&database).value(count));
    assert_eq!(counts, ["0", "1"], "it writes to the later timeline");
}

/// The primary is gone and the replica was promoted, before any Sidecache.
fn failed_over() -> (Cluster, String) {
    let mut cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("late");
    cluster.connect("app", &database).rows("CREATE TABLE w (id int PRIMARY KEY)");
    cluster.catch_up();
    cluster.primary.stop(Signal::QUIT);
    cluster.promote(0);
    (cluster, database)
}

/// Ends a load, be it that the test has failed.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, SeqCst);
    }
}

/// An instance that starts while the configured primary is gone finds the one that succeeded it.
#[test]
fn r11_one_that_starts_after_a_failover_writes_to_the_new_primary() {
    let (cluster, database) = failed_over();
    let sidecache = Sidecache::build(&cluster, &database).flag("--connect-timeout", "1s").spawn();
    let load = Load::default();
    std::thread::scope(|scope| {
        let stop = Stop(&load);
        scope.spawn(|| load.write(&sidecache));
        load.goes_on();
        drop(stop);
    });
}

/// It has heard the new primary, which then falls silent, when the old one comes back, of which it knows nothing yet.
#[test]
fn r11_one_that_starts_before_the_old_primary_returns_never_writes_to_it() {
    let (mut cluster, database) = failed_over();
    let way = FaultProxy::to_port(cluster.replicas[0].port);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let sidecache = Sidecache::build(&cluster, &database).replicas(&[url]).flag("--connect-timeout", "1s").spawn();
    sidecache.await_status("the new primary to be heard", |status| status["servers"][1]["role"] == "primary");
    way.set(|weather| weather.silence = Silence::Both);
    let load = Load::default();
    std::thread::scope(|scope| {
        let stop = Stop(&load);
        scope.spawn(|| load.write(&sidecache));
        cluster.primary.start();
        sidecache.await_status("the old primary to be heard", |status| status["servers"][0]["role"] == "primary");
        within(Duration::from_secs(2), || (load.count() > 0).then_some(()));
        way.set(|weather| weather.silence = Silence::None);
        load.goes_on();
        drop(stop);
    });
    assert_eq!(numbers(&mut cluster.primary.connect_to(&database)), Vec::<u64>::new(), "the old one took writes");
}

/// The second replica follows the first, which has been promoted, and its own control file says so.
fn follow(cluster: &Cluster) {
    let [promoted, third] = &cluster.replicas[..] else { panic!("two replicas") };
    promoted.sql("CHECKPOINT");
    let follow = format!("'host={} port={} user=postgres'", promoted.sockets().display(), promoted.port);
    third.set("primary_conninfo", &follow);
    eventually("the third server to be on the later timeline", || {
        third.connect().rows("CHECKPOINT");
        (third.value("SELECT timeline_id FROM pg_control_checkpoint()") == "2").then_some(())
    });
}

/// Nothing is acknowledged by the old primary, of which it is known that the cluster has gone on without it; everything is, by the one that was
/// promoted, once `returns` has brought it back.
fn waits_for_the_promoted(cluster: &Cluster, database: &str, sidecache: &Sidecache, returns: impl FnOnce()) {
    let load = Load::default();
    std::thread::scope(|scope| {
        let stop = Stop(&load);
        scope.spawn(|| load.write(sidecache));
        eventually("nobody to take writes", || {
            let (code, reason) = http::get(sidecache.http(), "/readyz")?;
            (code == 503 && reason.contains("later timeline")).then_some(())
        });
        let refused = eventually("a session to be refused", || sidecache.try_connect("app").err());
        assert!(format!("{refused:?}").contains("later timeline"), "{refused:?}");
        assert_eq!(within(Duration::from_secs(1), || (load.count() > 0).then_some(())), None);
        returns();
        load.goes_on();
        drop(stop);
    });
    leads(sidecache, "replica-1");
    // It has yet to hear the stream of changes there.
    eventually("it to be ready", || (sidecache.readiness() == 200).then_some(()));
    assert_eq!(numbers(&mut cluster.primary.connect_to(database)), Vec::<u64>::new(), "the old one took writes");
}

/// An instance starts while the promoted server is gone, and finds the old primary beside a replica that follows the promoted one.
#[test]
fn r11_an_old_primary_beside_a_replica_of_a_later_timeline_takes_no_writes() {
    let mut cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("beside");
    cluster.connect("app", &database).rows("CREATE TABLE w (id int PRIMARY KEY)");
    cluster.catch_up();
    cluster.primary.stop(Signal::QUIT);
    cluster.promote(0);
    follow(&cluster);
    let way = FaultProxy::to_port(cluster.replicas[0].port);
    way.set(|weather| weather.door = Door::Closed);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let third = cluster.replica_urls("sidecache", &database).remove(1);
    let build = Sidecache::build(&cluster, &database).replicas(&[url, third]).flag("--connect-timeout", "1s");
    let sidecache = build.spawn();
    // Else the old one leads, if the machine is too busy for anybody to be heard within the time that is given to the start.
    sidecache.await_status("the replica to be heard", |status| status["servers"][2]["role"] == "replica");
    cluster.primary.start();
    waits_for_the_promoted(&cluster, &database, &sidecache, || way.set(|weather| weather.door = Door::Open));
}

/// The same where the old primary had led until it was lost, and comes back as it was.
#[test]
fn r11_a_primary_that_comes_back_beside_a_replica_of_a_later_timeline_takes_no_writes() {
    let mut cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("comes");
    cluster.connect("app", &database).rows("CREATE TABLE w (id int PRIMARY KEY)");
    cluster.catch_up();
    let way = FaultProxy::to_port(cluster.replicas[0].port);
    way.set(|weather| weather.door = Door::Closed);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let third = cluster.replica_urls("sidecache", &database).remove(1);
    let build = Sidecache::build(&cluster, &database).replicas(&[url, third]).flag("--connect-timeout", "1s");
    let sidecache = build.start();
    leads(&sidecache, "primary");
    cluster.primary.stop(Signal::QUIT);
    cluster.promote(0);
    follow(&cluster);
    sidecache.await_status("the old primary to be lost", |status| status["servers"][0]["role"] == "unknown");
    // Sessions try all the time, and may be there before the watch is.
    let early = Load::default();
    std::thread::scope(|scope| {
        let stop = Stop(&early);
        scope.spawn(|| early.write(&sidecache));
        cluster.primary.start();
        sidecache.await_status("the old primary to be heard", |status| status["servers"][0]["role"] == "primary");
        drop(stop);
    });
    assert_eq!(early.count(), 0, "acknowledged by the old one");
    waits_for_the_promoted(&cluster, &database, &sidecache, || way.set(|weather| weather.door = Door::Open));
}

/// A switchover: between the two there is nobody who takes writes, and `/readyz` says so; then the old primary takes reads as any replica.
#[test]
fn r10_after_a_switchover_the_old_primary_takes_reads() {
    let mut cluster = Cluster::build().replicas(1).start();
    let (_, sidecache) = before(&cluster, "switched");
    cluster.demote_primary();
    eventually("nobody to take writes", || {
        let (code, reason) = http::get(sidecache.http(), "/readyz")?;
        (code == 503 && reason.contains("no other server takes writes")).then_some(())
    });
    cluster.promote(0);
    leads(&sidecache, "replica-1");
    eventually("it to be ready", || (sidecache.readiness() == 200).then_some(()));
    sidecache.await_status("the old primary to follow", |status| {
        let old = &status["servers"][0];
        old["role"] == "replica" && old["state"] == "ready"
    });
    let mut client = sidecache.connect("app");
    client.rows("INSERT INTO w VALUES (1)");
    let read = "/* sidecache: off, route=replica */ SELECT id FROM w";
    assert_eq!(client.value(read), "1");
    eventually("it to be told of by its name", || {
        assert_eq!(client.value(read), "1");
        let explained = client.rows(&format!("EXPLAIN (SIDECACHE) {read}"));
        let mut explained = explained.into_iter().flatten().flatten();
        explained.any(|line| line.contains(" primary may answer")).then_some(())
    });
    let on_old = || sidecache.status()["servers"][0]["statements"].as_u64().expect("a count");
    let before = on_old();
    eventually("a read of the old primary", || {
        assert_eq!(client.value(read), "1");
        (on_old() > before).then_some(())
    });
}

/// A read that stands in the way of a replica's replay is cancelled there (40001), or its connection ended, and is answered by the
/// primary: the client hears nothing of it.
#[test]
fn r24_a_read_that_conflicts_with_replay_is_answered_elsewhere() {
    let cluster = Cluster::build().replicas(1).setting("hot_standby_feedback = off");
    let cluster = cluster.setting("max_standby_streaming_delay = 0").setting("autovacuum = off").start();
    let (database, sidecache) = before(&cluster, "conflict");
    let mut app = cluster.connect("app", &database);
    app.rows("CREATE TABLE t AS SELECT i FROM generate_series(1, 3000) i");
    sidecache.await_stream(&cluster);
    cluster.catch_up();
    let mut reader = sidecache.connect("app");
    let replica = &cluster.replicas[0];
    let conflicts = || replica.log().matches("conflict with recovery").count();
    eventually("a read on the replica", || {
        let sql = "SELECT count(*) FROM t a, t b WHERE a.i + b.i > 0 AND random() >= 0";
        reader.send(&Batch::new().query(sql)).expect("it lives");
        let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND usename = 'app'";
        let is_there = within(Duration::from_millis(300), || (replica.value(running) == "1").then_some(()));
        app.rows("DELETE FROM t WHERE i = (SELECT max(i) FROM t)");
        app.rows("INSERT INTO t VALUES ((SELECT max(i) FROM t) + 1)");
        app.rows("VACUUM t");
        let frames = reader.read_until_ready().expect("the client hears nothing of it");
        assert_eq!(rows(&frames).expect("no error")[0][0].as_deref(), Some("9000000"));
        (is_there.is_some() && conflicts() > 0).then_some(())
    });
}

/// A replica that stands still holds up no read for good: what it was asked is asked of the primary, it gets no more, and it is
/// used again once it moves.
#[test]
fn r24_a_replica_that_freezes_holds_up_no_read_for_good() {
    let cluster = Cluster::build().replicas(1).start();
    let (_, sidecache) = before(&cluster, "frozen");
    let mut reader = sidecache.connect("app");
    let read = "SELECT mark FROM marks WHERE random() >= 0";
    let on_replica = || sidecache.status()["servers"][1]["statements"].as_u64().expect("a count");
    eventually("a read on the replica", || {
        let before = on_replica();
        reader.rows(read);
        (on_replica() > before).then_some(())
    });
    let frozen = cluster.freeze(0);
    assert_eq!(reader.value(read), "common");
    sidecache.await_status("the replica to be lost", |status| status["servers"][1]["role"] == "unknown");
    let before = on_replica();
    for _ in 0..20 {
        assert_eq!(reader.value(read), "common");
    }
    assert_eq!(on_replica(), before);
    frozen.resume();
    eventually("the replica to be used again", || {
        reader.rows(read);
        (on_replica() > before).then_some(())
    });
}

/// The primary and the replica that is asked first stand still: a client that comes then is let in by the other replica, and greeted as the
/// last was, though an idle connection to the primary seems to be there.
#[test]
fn r24_who_comes_while_most_servers_are_frozen_is_let_in_and_greeted() {
    let cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("most_frozen");
    let sidecache = Sidecache::build(&cluster, &database)
        .flag("--connect-timeout", "2s")
        .flag("--auth-timeout", "3s")
        .flag("--auth-refresh", "1ms")
        .start();
    sidecache.await_status("replicas to be ready", |status| {
        [1, 2].iter().all(|&at| status["servers"][at]["state"] == "ready" && status["servers"][at]["role"] == "replica")
    });
    sidecache.connect("app").rows("SELECT 1");
    let frozen = [Stalled::new(descendants(cluster.primary.pid())), cluster.freeze(0)];
    sidecache.await_status("the frozen to be lost", |status| {
        [0, 1].iter().all(|&at| status["servers"][at]["role"] == "unknown")
    });
    for _ in 0..2 {
        sidecache.connect("app");
    }
    drop(frozen);
}

/// Another database takes the name of the one that is served (a restore that is swapped in): the connections that replicas keep open are to
/// the one before.
#[test]
fn c6_a_database_that_takes_anothers_name_is_read_on_replicas_too() {
    let cluster = Cluster::shared();
    let watched = Watched::shared("c6_swapped", "CREATE TABLE t AS SELECT 1 AS v");
    let (served, old, new) =
        (watched.database.clone(), format!("{}_old", watched.database), cluster.database("c6_restored"));
    cluster.connect("app", &new).rows("CREATE TABLE t AS SELECT 2 AS v");
    let mut root = cluster.primary.connect_to("postgres");
    let read = "/* sidecache: off */ SELECT v FROM t";
    eventually("a replica to be read", || {
        watched.client().rows(read);
        (watched.sidecache.count("/servers/1/statements") > 0).then_some(())
    });
    eventually("nobody to be connected", || {
        root.rows(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{served}'"));
        let swap = format!("ALTER DATABASE {served} RENAME TO {old}");
        root.query(&swap).ok().filter(|frames| tags(frames) == "CZ").map(drop)
    });
    let loads = watched.sidecache.count("/catalog/loads");
    root.rows(&format!("ALTER DATABASE {new} RENAME TO {served}"));
    let value = || {
        watched.sidecache.try_connect("app").ok()?.query(read).ok().and_then(|f| rows(&f).ok()).map(|r| r[0][0].clone())
    };
    eventually("the other database", || (value()?.as_deref() == Some("2")).then_some(()));
    eventually("its catalog", || (watched.sidecache.count("/catalog/loads") > loads).then_some(()));
    watched.hear();
    for _ in 0..20 {
        assert_eq!(watched.client().rows(read)[0][0].as_deref(), Some("2"));
    }
}
