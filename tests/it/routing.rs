//! Where statements go: reads over the replicas, everything that may write to the primary, each client reading its own writes,
//! and what happens when a replica refuses, lags or is gone.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::process::Signal;
use crate::harness::proxy::{FaultProxy, Silence};
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Login, Wire, rows, tags};
use std::io::ErrorKind;
use std::time::Duration;

/// A Sidecache that caches nothing, so that every statement is routed, before a table of ten rows.
fn routed(cluster: &Cluster, database: &str) -> Sidecache {
    routed_within(cluster, database, "1s")
}

/// The same, where replicas may be so late.
fn routed_within(cluster: &Cluster, database: &str, staleness: &str) -> Sidecache {
    let mut app = cluster.connect("app", database);
    app.rows("CREATE TABLE t (id int PRIMARY KEY, v text)");
    app.rows("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 10) i");
    app.rows("CREATE SEQUENCE s");
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, database).cache("off").flag("--staleness", staleness).start();
    all_ready(&sidecache, cluster.replicas.len());
    sidecache
}

fn all_ready(sidecache: &Sidecache, replicas: usize) {
    sidecache.await_status("every replica to be ready", |status| {
        let servers = status["servers"].as_array().expect("a list of servers");
        servers.iter().filter(|s| s["role"] == "replica" && s["state"] == "ready").count() == replicas
    });
}

/// The server that answers a statement: its address says which. `inet_server_port` is asked of the server itself, so it
/// goes to the primary; a table's read is told by the request counters.
fn went(sidecache: &Sidecache, ask: impl FnOnce()) -> &'static str {
    let count = |to: &str| sidecache.metric("sidecache_requests_total", &[("destination", to)]);
    let (primary, replica) = (count("primary"), count("replica"));
    ask();
    // The client has its answer before the request is counted.
    eventually("the request to be counted", || match (count("primary") > primary, count("replica") > replica) {
        (true, false) => Some("primary"),
        (false, true) => Some("replica"),
        (true, true) => Some("both"),
        (false, false) => None,
    })
}

/// How many statements each server of `/status` was sent, by its name.
fn sent(sidecache: &Sidecache) -> Vec<(String, u64)> {
    let status = sidecache.status();
    let servers = status["servers"].as_array().expect("a list of servers");
    let one = |s: &serde_json::Value| (s["name"].to_string(), s["statements"].as_u64().expect("a count"));
    servers.iter().map(one).collect()
}

/// How many statements the replicas were sent.
fn on_replicas(sidecache: &Sidecache) -> u64 {
    sent(sidecache).iter().filter(|(name, _)| name.contains("replica")).map(|(_, n)| n).sum()
}

/// What may write, lock, or is not understood goes to the primary; what is proven to read goes to a replica.
#[test]
fn r1_to_r6_only_proven_reads_go_to_a_replica() {
    let cluster = Cluster::shared();
    let database = cluster.database("classes");
    let mut app = cluster.connect("app", &database);
    app.rows("CREATE FUNCTION touch() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1'");
    app.rows("CREATE VIEW hidden AS SELECT touch()");
    app.rows("CREATE FUNCTION plus(int, int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT $1 + $2'");
    app.rows("CREATE OPERATOR @+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = plus)");
    let sidecache = routed(cluster, &database);
    app.rows("CREATE VIEW locked AS SELECT * FROM t FOR UPDATE");
    app.rows("CREATE VIEW shown AS SELECT id FROM t");
    sidecache.await_stream(cluster);
    cluster.catch_up();
    let mut client = sidecache.connect("app");
    // The views are known once the catalog has been read again.
    eventually("the view to be known", || {
        (went(&sidecache, || drop(client.rows("TABLE shown"))) == "replica").then_some(())
    });
    let long = format!("SELECT id FROM t WHERE v <> '{}'", "x".repeat(60_000));
    let primary = [
        "SELECT nextval('s')",
        "SELECT pg_notify('a', 'b') FROM t",
        "SELECT txid_current()",
        "SELECT touch() FROM t",
        "SELECT * FROM hidden",
        "SELECT id @+@ 1 FROM t",
        "SELECT id INTO copied FROM t",
        "WITH gone AS (DELETE FROM t WHERE id = 99 RETURNING id) SELECT * FROM gone",
        "EXPLAIN ANALYZE DELETE FROM t WHERE id = 99",
        "COPY (DELETE FROM t WHERE id = 99 RETURNING id) TO STDOUT",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM (SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED) x",
        "SELECT * FROM locked",
        "SELECT 1 FROM t; DELETE FROM t WHERE id = 99",
        "SELECT lo_create(0)",
        "SELECT pg_try_advisory_xact_lock(1)",
        "SELECT * FROM pg_stat_activity",
        &long,
        "INSERT INTO t VALUES (99) ON CONFLICT DO NOTHING",
        "DELETE FROM t WHERE id = 99",
    ];
    for sql in primary {
        assert_eq!(went(&sidecache, || drop(client.query(sql).expect(sql))), "primary", "{sql}");
    }
    assert_eq!(went(&sidecache, || assert_eq!(client.error("SELECT FROM FROM t"), "42601")), "primary");
    // What was written must have arrived before reads of this session go to a replica again.
    cluster.catch_up();
    eventually("reads to go to a replica again", || {
        (went(&sidecache, || drop(client.rows("TABLE t"))) == "replica").then_some(())
    });
    let replica = [
        "SELECT * FROM t",
        "TABLE t",
        "SELECT count(*) FROM t WHERE v LIKE 'row%'",
        "WITH few AS (SELECT id FROM t LIMIT 2) SELECT * FROM few",
        "SELECT id, now() FROM t",
        "SELECT id FROM shown",
        "SELECT id FROM t; SELECT v FROM t",
        "SELECT random() FROM t",
    ];
    for sql in replica {
        // Other tests write: a replica may be behind what this session has just read from the other one.
        eventually(sql, || (went(&sidecache, || drop(client.rows(sql))) == "replica").then_some(()));
    }
}

/// A transaction, and a batch up to its Sync, runs on one server: the primary, if anything in it may write.
#[test]
fn r16_a_transaction_and_a_batch_run_on_one_server() {
    let cluster = Cluster::shared();
    let sidecache = routed(cluster, &cluster.database("oneserver"));
    let mut client = sidecache.connect("app");
    let run = |batch: Batch, sql: &str| batch.parse("", sql, &[]).bind("", "", &[], Format::Text).execute("", 0);
    let read = |batch| run(batch, "SELECT v FROM t WHERE id = 1");
    let mut goes = |batch: Batch| went(&sidecache, || drop(client.run(&batch).expect("a connection that lives")));
    assert_eq!(goes(read(read(Batch::new())).sync()), "replica");
    assert_eq!(goes(run(read(Batch::new()), "UPDATE t SET v = v WHERE id = 1").sync()), "primary");
    // Nobody is asked to begin before there is something to do.
    client.rows("BEGIN");
    let mut goes = |batch: Batch| went(&sidecache, || drop(client.run(&batch).expect("a connection that lives")));
    assert_eq!(goes(Batch::new().query("SELECT v FROM t WHERE id = 1")), "primary");
    assert_eq!(goes(Batch::new().query("COMMIT")), "primary");
}

/// The statement that is executed decides, not the one that was parsed last; where a server lacks it, it gets it.
#[test]
fn r14_each_execution_goes_where_its_own_statement_goes() {
    let cluster = Cluster::shared();
    let sidecache = routed(cluster, &cluster.database("own"));
    let mut client = sidecache.connect("app");
    let prepare = Batch::new()
        .parse("write", "UPDATE t SET v = $2 WHERE id = $1", &[])
        .parse("read", "SELECT v FROM t WHERE id = $1", &[])
        .sync();
    client.run(&prepare).expect("a connection that lives");
    for round in 0..5 {
        let value = format!("round {round}");
        let write = Batch::new().bind("", "write", &[Some("1"), Some(&value)], Format::Text).execute("", 0).sync();
        let before = on_replicas(&sidecache);
        let to = went(&sidecache, || assert_eq!(tags(&client.run(&write).expect("it lives")), "2CZ"));
        assert_eq!((to, on_replicas(&sidecache)), ("primary", before), "and no replica was tried");
        let read = Batch::new().bind("", "read", &[Some("1")], Format::Text).execute("", 0).sync();
        eventually("the read to reach a replica", || {
            let mut seen = Vec::new();
            let to = went(&sidecache, || seen = client.run(&read).expect("it lives"));
            assert_eq!(seen[1].columns(), [Some(value.clone().into_bytes())], "its own write, wherever it reads");
            (to == "replica").then_some(())
        });
    }
}

/// A prepared statement whose result type has changed is prepared again, on whatever server it runs.
#[test]
fn r15_a_changed_result_type_is_prepared_again() {
    let cluster = Cluster::shared();
    let sidecache = routed(cluster, &cluster.database("retype"));
    let mut clients = [sidecache.connect("app"), sidecache.connect("app")];
    let prepare = Batch::new().parse("s", "SELECT * FROM t WHERE id = 1", &[]).sync();
    let run = Batch::new().bind("", "s", &[], Format::Text).describe_portal("").execute("", 0).sync();
    for client in &mut clients {
        client.run(&prepare).expect("it lives");
        client.run(&run).expect("it lives");
    }
    for column in ["a", "b", "c"] {
        cluster
            .connect("app", sidecache.login("app").database.as_str())
            .rows(&format!("ALTER TABLE t ADD {column} int"));
        cluster.catch_up();
        for client in &mut clients {
            let answer = client.run(&run).expect("it lives");
            assert_eq!(tags(&answer), "2TDCZ", "{answer:?}");
        }
    }
}

/// Reads that run at the same time are spread over the replicas.
#[test]
fn reads_are_spread_over_the_replicas() {
    // Its own: where others write, a session waits for the replicas to have what it has seen on one of them.
    let cluster = Cluster::build().replicas(2).start();
    let sidecache = routed_within(&cluster, &cluster.database("spread"), "60s");
    let (mut slow, mut quick) = (sidecache.connect("app"), sidecache.connect("app"));
    // Connections there are, so that five reads take no longer than the slow one.
    for _ in 0..8 {
        slow.rows("SELECT v FROM t WHERE id = 1");
        quick.rows("SELECT v FROM t WHERE id = 1");
    }
    let before = sent(&sidecache);
    slow.send(&Batch::new().query("SELECT count(*) FROM t a, t b, t c, t d, t e, t f, t g")).expect("it lives");
    let status = sidecache.await_status("the slow read to be under way", |status| {
        status["servers"].as_array().is_some_and(|all| all.iter().any(|s| s["outstanding"] == 1))
    });
    let busy = status["servers"].as_array().and_then(|all| all.iter().find(|s| s["outstanding"] == 1).cloned());
    let busy = busy.expect("just seen")["name"].to_string();
    for _ in 0..5 {
        quick.rows("SELECT v FROM t WHERE id = 1");
    }
    let after = sent(&sidecache);
    slow.read_until_ready().expect("it lives");
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let expected = if *name == busy {
            1
        } else if name.contains("primary") {
            0
        } else {
            5
        };
        assert_eq!(after - before, expected, "{name}, while {busy} was busy");
    }
}

/// Reads stay in the instance's own zone until its replica has much more to do than the others.
#[test]
fn reads_stay_in_their_zone_and_spill_when_it_is_loaded() {
    let cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("zones");
    let zones = cluster.replica_urls("app", &database);
    let zones: Vec<String> =
        zones.iter().zip(["far", "near"]).map(|(url, zone)| format!("{url}?zone={zone}")).collect();
    routed(&cluster, &database).stop();
    let sidecache = Sidecache::build(&cluster, &database).cache("off").replicas(&zones).flag("--zone", "near").start();
    all_ready(&sidecache, 2);
    let mut quick = sidecache.connect("app");
    let mut goes = || {
        let before = sent(&sidecache);
        quick.rows("SELECT v FROM t WHERE id = 1");
        let after = sent(&sidecache);
        let at = before.iter().zip(&after).position(|(before, after)| before != after);
        after[at.expect("somebody was asked")].0.clone()
    };
    for _ in 0..5 {
        assert_eq!(goes(), "\"replica-2\"");
    }
    let busy = |count: u64| {
        sidecache.await_status("slow reads to be under way", |status| {
            let servers = status["servers"].as_array().expect("a list of servers");
            servers.iter().any(|server| server["name"] == "replica-2" && server["outstanding"] == count)
        });
    };
    // Who does not read its answer keeps its server at it.
    let mut slow = Vec::new();
    for count in 1..=8 {
        assert_eq!(goes(), "\"replica-2\"", "with {} under way", count - 1);
        let mut client = sidecache.connect("app");
        client.send(&Batch::new().query("SELECT a.v FROM t a, t b, t c, t d, t e, t f, t g")).expect("it lives");
        slow.push(client);
        busy(count);
    }
    assert_eq!(goes(), "\"replica-1\"");
}

/// A replica that takes far longer to answer than the other is asked only when that one has several requests more to do.
#[test]
fn a_slow_replica_is_asked_less() {
    let cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("slow");
    routed(&cluster, &database).stop();
    let way = FaultProxy::to_port(cluster.replicas[0].port);
    let slow = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let quick = cluster.replica_urls("sidecache", &database)[1].clone();
    let builder = Sidecache::build(&cluster, &database).cache("off").replicas(&[slow, quick]);
    let sidecache = builder.flag("--staleness", "60s").flag("--admin-user", "app").start();
    all_ready(&sidecache, 2);
    let mut client = sidecache.connect("app");
    let mut goes = || {
        let before = sent(&sidecache);
        client.rows("SELECT v FROM t WHERE id = 1");
        let after = sent(&sidecache);
        let at = before.iter().zip(&after).position(|(before, after)| before != after);
        after[at.expect("somebody was asked")].0.clone()
    };
    // Both have connections before one of them is slow.
    for replica in ["\"replica-1\"", "\"replica-2\""] {
        eventually("each to be asked", || (goes() == replica).then_some(()));
    }
    way.set(|weather| weather.latency = Duration::from_millis(250));
    let mut operator =
        Wire::connect(&Login { database: "sidecache".to_owned(), ..sidecache.login("app") }).expect("let in");
    eventually("one to be known as slow", || {
        let servers = operator.rows("SHOW REPLICAS");
        let took = |at: usize| servers[at][7].as_deref()?.parse::<u64>().ok();
        (took(1)? > 10 * took(2)? + 10_000).then_some(())
    });
    for _ in 0..10 {
        assert_eq!(goes(), "\"replica-2\"", "with nothing under way");
    }
    let mut slow = Vec::new();
    for count in 1..=4 {
        assert_eq!(goes(), "\"replica-2\"", "with {} under way", count - 1);
        let mut client = sidecache.connect("app");
        // Who does not read its answer keeps its server at it.
        client.send(&Batch::new().query("SELECT a.v FROM t a, t b, t c, t d, t e, t f, t g")).expect("it lives");
        slow.push(client);
        sidecache.await_status("slow reads to be under way", |status| status["servers"][2]["outstanding"] == count);
    }
    assert_eq!(goes(), "\"replica-1\"");
}

/// A client reads its own write while no replica has replayed it, and another one does that was given the position.
#[test]
fn r9_a_client_reads_its_own_writes() {
    let cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("ownwrites");
    let sidecache = routed(&cluster, &database);
    let (mut writer, mut reader) = (sidecache.connect("app"), sidecache.connect("app"));
    let read = "SELECT v FROM t WHERE id = 1";
    assert_eq!(went(&sidecache, || assert_eq!(writer.value(read), "row 1")), "replica");
    let paused = [cluster.pause_replay(0), cluster.pause_replay(1)];
    for round in 0..10 {
        let value = format!("round {round}");
        writer.rows(&format!("UPDATE t SET v = '{value}' WHERE id = 1"));
        assert_eq!(went(&sidecache, || assert_eq!(writer.value(read), value)), "primary");
        let position = writer.value("SHOW sidecache.position");
        reader.rows(&format!("SET sidecache.min_position = '{position}'"));
        assert_eq!(reader.value(read), value);
    }
    drop(paused);
    eventually("reads to go to a replica again", || {
        (went(&sidecache, || assert_eq!(writer.value(read), "round 9")) == "replica").then_some(())
    });
}

/// A hint asks for what its session has written, whatever level the session has.
#[test]
fn r9_a_hint_for_the_sessions_own_writes_counts_in_a_session_of_a_laxer_level() {
    let cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("hinted");
    let sidecache = routed_within(&cluster, &database, "60s");
    let mut client = sidecache.connect("app");
    client.rows("SET sidecache.consistency = 'bounded'");
    let read = "SELECT v FROM t WHERE id = 1";
    eventually("reads to go to a replica", || {
        (went(&sidecache, || drop(client.rows(read))) == "replica").then_some(())
    });
    let _paused = [cluster.pause_replay(0), cluster.pause_replay(1)];
    client.rows("UPDATE t SET v = 'mine' WHERE id = 1");
    assert_eq!(client.value(&format!("/* sidecache: level=session */ {read}")), "mine");
    assert_eq!(went(&sidecache, || assert_eq!(client.value(read), "row 1")), "replica", "within the bound");
}

/// A replica that has received more than it has replayed may be read again by who has read it: it does not go back. The others may
/// not, and neither may it after a write.
#[test]
fn r9_the_replica_that_was_read_may_be_read_again_at_once() {
    let cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("again");
    let sidecache = routed_within(&cluster, &database, "60s");
    let mut reader = sidecache.connect("app");
    let read = "SELECT v FROM t WHERE id = 1";
    eventually("reads to go to a replica", || {
        (went(&sidecache, || drop(reader.rows(read))) == "replica").then_some(())
    });
    let _paused = [cluster.pause_replay(0), cluster.pause_replay(1)];
    let mut beside = cluster.connect("app", &database);
    beside.rows("UPDATE t SET v = 'not yet' WHERE id = 1");
    let written = beside.value("SELECT pg_current_wal_lsn()");
    for replica in &cluster.replicas {
        let has = format!("SELECT pg_last_wal_receive_lsn() >= '{written}'");
        eventually("the write to be received", || (replica.value(&has) == "t").then_some(()));
    }
    let mut reader = sidecache.connect("app");
    let before = sent(&sidecache);
    for _ in 0..6 {
        assert_eq!(went(&sidecache, || assert_eq!(reader.value(read), "row 1")), "replica");
    }
    let after = sent(&sidecache);
    let mut counts: Vec<u64> = before.iter().zip(&after).map(|((_, before), (_, after))| after - before).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 0, 6], "one replica has answered all of them");
    reader.rows("UPDATE t SET v = 'own' WHERE id = 1");
    assert_eq!(went(&sidecache, || assert_eq!(reader.value(read), "own")), "primary");
}

/// Whatever form a write has, the read behind it does not go where it has not been replayed.
#[test]
fn r9_a_client_reads_its_own_writes_in_whatever_form() {
    let cluster = Cluster::build().replicas(1).start();
    // A bound so wide that only positions keep the replica's old row away.
    let sidecache = routed_within(&cluster, &cluster.database("forms"), "1h");
    let update = |form: &str| format!("UPDATE t SET v = '{form}' WHERE id = 1");
    let one = |batch: Batch, form| batch.parse("", &update(form), &[]).bind("", "", &[], Format::Text).execute("", 0);
    let failing = "INSERT INTO t VALUES (1, 'there already')";
    // With what the read finds, and how many ReadyForQuery come before it.
    let forms = [
        ("simple", 1, Batch::new().query(&update("simple"))),
        ("extended", 1, one(Batch::new(), "extended").sync()),
        ("the latter", 1, one(one(Batch::new(), "the former"), "the latter").sync()),
        ("pipelined", 2, one(one(Batch::new(), "before").sync(), "pipelined").sync()),
        ("several", 1, Batch::new().query(&format!("{}; {}", update("one"), update("several")))),
        ("block", 3, Batch::new().query("BEGIN").query(&update("block")).query("COMMIT")),
        (
            "batch",
            2,
            one(Batch::new().parse("", "BEGIN", &[]).bind("", "", &[], Format::Text).execute("", 0), "batch")
                .sync()
                .query("COMMIT"),
        ),
        ("before", 2, Batch::new().query(&update("before")).query(failing)),
        (
            "copied",
            2,
            Batch::new()
                .query("DELETE FROM t WHERE id = 1")
                .query("COPY t FROM STDIN")
                .copy_data(b"1\tcopied\n")
                .copy_done(),
        ),
    ];
    let _paused = cluster.pause_replay(0);
    for (form, answers, batch) in forms {
        let mut client = sidecache.connect("app");
        let read = "SELECT v FROM t WHERE id = 1";
        assert_eq!(went(&sidecache, || assert_eq!(client.value(read), "row 1", "{form}")), "replica", "{form}");
        client.send(&batch).expect("it lives");
        for _ in 0..answers {
            client.read_until_ready().expect("it lives");
        }
        assert_eq!(client.value(read), form);
    }
}

/// A statement that a replica refuses as a write runs on the primary, and goes there at once the next time.
#[test]
fn r11_a_write_that_a_replica_refuses_runs_on_the_primary_and_is_remembered() {
    let cluster = Cluster::shared();
    let database = cluster.database("sneaky");
    // By a view, which its source does not show.
    let setup = "CREATE SEQUENCE q; CREATE VIEW drawn AS SELECT nextval('q') AS n; \
                 CREATE FUNCTION sneaky() RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT n FROM drawn); END'";
    cluster.connect("app", &database).rows(setup);
    let sidecache = routed(cluster, &database);
    let mut client = sidecache.connect("app");
    let on_replicas = || on_replicas(&sidecache);
    let read = "SELECT sneaky() FROM t WHERE id = 1";
    let before = on_replicas();
    assert_eq!(client.value(read), "1");
    assert_eq!(on_replicas() - before, 1, "it was tried on a replica");
    assert_eq!(client.value(read), "2");
    assert_eq!(sidecache.connect("app").value(read), "3");
    assert_eq!(on_replicas() - before, 1, "and not again");
    let batch = Batch::new().parse("s", "SELECT sneaky() AS extended FROM t WHERE id = $1", &[]);
    let batch =
        batch.bind("", "s", &[Some("1")], Format::Text).describe_portal("").execute("", 0).close_statement("s").sync();
    assert_eq!(tags(&client.run(&batch).expect("it lives")), "12TDC3Z");
    assert_eq!(tags(&client.run(&batch).expect("it lives")), "12TDC3Z");
    // Not even once, while the replicas are behind what this session wrote.
    assert!(on_replicas() - before <= 2, "it was tried on a replica once at most");
}

/// Replicas stop, in order or not, while clients read: no read fails, the rest and at last the primary go on; they come back.
#[test]
fn r24_reads_go_on_when_replicas_stop() {
    let mut cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("stops");
    let sidecache = routed(&cluster, &database);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let reads = |mut client: Wire| {
        let mut count = 0_u64;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(client.value("SELECT count(*) FROM t"), "10");
            let rows = client.extended("SELECT v FROM t WHERE id = $1", &[Some("1")]);
            assert_eq!(rows, [[Some("row 1".to_owned())]]);
            count += 1;
        }
        count
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| sidecache.connect("app")).map(|c| scope.spawn(|| reads(c))).collect();
        let total = |server: &str| {
            sent(&sidecache).iter().filter(|(name, _)| name.contains(server)).map(|(_, n)| n).sum::<u64>()
        };
        let goes_on = |server: &str| {
            let before = total(server);
            eventually(&format!("reads on {server}"), || (total(server) > before + 20).then_some(()));
        };
        goes_on("replica");
        cluster.replicas[0].stop(Signal::INT);
        goes_on("replica-2");
        cluster.replicas[1].stop(Signal::QUIT);
        goes_on("primary");
        cluster.replicas[0].start();
        goes_on("replica-1");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            assert!(client.join().expect("no read failed") > 0);
        }
    });
}

/// A replica falls silent, and is first asked something of our own: for the settings of a session that takes over another's connection,
/// and how a statement is described there now. No session hangs or ends by it.
#[test]
fn r24_a_replica_that_freezes_before_it_is_asked_is_left() {
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("freezes");
    cluster.connect("app", &database).rows("CREATE TABLE t AS SELECT 1 AS id");
    cluster.catch_up();
    let way = FaultProxy::to_port(cluster.replicas[0].port);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let builder = Sidecache::build(&cluster, &database).cache("off").replicas(&[url]).flag("--pool-size", "1");
    let sidecache = builder.flag("--staleness", "60s").start();
    let read = "/* sidecache: route=replica */ SELECT id FROM t";
    let on_replica = || sidecache.metric("sidecache_requests_total", &[("destination", "replica")]);
    let (mut first, mut second, mut third) =
        (sidecache.connect("app"), sidecache.connect("app"), sidecache.connect("app"));
    first.rows("SET TimeZone = 'Asia/Tokyo'");
    second.rows("SET TimeZone = 'Asia/Tokyo'");
    second.send(&Batch::new().parse("s", read, &[]).describe_statement("s").sync()).expect("it lives");
    second.read_until_ready().expect("a description");
    let leaves_a_connection = |first: &mut Wire| {
        eventually("the replica to answer", || {
            let before = on_replica();
            assert_eq!(first.value(read), "1");
            (on_replica() > before).then_some(())
        });
        way.set(|weather| weather.silence = Silence::Both);
    };
    leaves_a_connection(&mut first);
    assert_eq!(third.value(read), "1", "other settings");
    way.set(|weather| weather.silence = Silence::None);
    leaves_a_connection(&mut first);
    second.send(&Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync()).expect("it lives");
    let frames = second.read_until_ready().expect("an answer");
    assert_eq!(rows(&frames).expect("rows"), [[Some("1".to_owned())]]);
}

/// COPY shows rows and the catalog shows what was committed with them: no replica that lacks them is read after it.
#[test]
fn r9_what_copy_or_the_catalog_has_shown_is_not_unseen() {
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("shown");
    let sidecache = routed_within(&cluster, &database, "60s");
    let mut writer = cluster.connect("app", &database);
    let count = "SELECT count(*) FROM t";
    let shows = [
        &["COPY (SELECT count(*) FROM t) TO STDOUT"][..],
        &["COPY t TO STDOUT"],
        &["BEGIN", "COPY t TO STDOUT", "COMMIT"],
        &["/* sidecache: route=primary */ SELECT description FROM pg_description WHERE objoid = 't'::regclass"],
    ];
    for (at, show) in shows.into_iter().enumerate() {
        cluster.catch_up();
        let mut client = sidecache.connect("app");
        let rows = client.value(count);
        let paused = cluster.pause_replay(0);
        writer.rows(&format!("BEGIN; INSERT INTO t VALUES (100 + {at}); COMMENT ON TABLE t IS '{at}'; COMMIT"));
        assert_eq!(client.value(count), rows, "the replica has not heard");
        for statement in show {
            client.run(&Batch::new().query(statement)).expect("a connection that lives");
        }
        assert_ne!(client.value(count), rows, "{show:?}");
        paused.resume();
    }
}

/// Whoever waits for a replica is cancelled like anybody, and waits for none that is not there.
#[test]
fn r21_a_wait_for_a_replica_ends_as_the_client_wants() {
    let mut cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("waits");
    let sidecache = routed_within(&cluster, &database, "1h");
    let mut client = sidecache.connect("app");
    let read = "/* sidecache: route=replica */ SELECT count(*) FROM t";
    let paused = cluster.pause_replay(0);
    client.rows("INSERT INTO t VALUES (11)");
    client.rows("SET statement_timeout = '20ms'");
    assert_eq!(client.error(read), "57014");
    client.rows("RESET statement_timeout");
    client.send(&Batch::new().query(read)).expect("a connection that lives");
    client.set_patience(Duration::from_millis(50));
    assert_eq!(client.read_frame().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock), "it waits");
    client.cancel().expect("a cancel that is taken");
    client.set_patience(crate::harness::PATIENCE);
    let told = client.read_until_ready().expect("a connection that lives");
    assert_eq!(told[0].field(b'C').as_deref(), Some("57014"));
    paused.resume();
    cluster.replicas[0].stop(Signal::QUIT);
    assert_eq!(client.value(read), "11", "there is no replica to wait for");
}

/// What a setting stands on is there on the primary, and a replica has not replayed it: the read that follows is the primary's.
#[test]
fn r24_a_setting_that_a_replica_cannot_take_yet_ends_no_session() {
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("late_role");
    let sidecache = routed_within(&cluster, &database, "60s");
    let mut client = sidecache.connect("app");
    assert_eq!(went(&sidecache, || drop(client.value("SELECT v FROM t WHERE id = 1"))), "replica");
    let paused = cluster.pause_replay(0);
    let mut root = cluster.primary.connect_to(&database);
    root.rows("CREATE ROLE late; GRANT late TO app; GRANT SELECT ON t TO late");
    client.rows("SET ROLE late");
    let read = "/* sidecache: route=replica */ SELECT v FROM t WHERE id = 1";
    assert_eq!(client.value(read), "row 1");
    paused.resume();
    cluster.catch_up();
    eventually("the replica to be read by that role", || {
        (went(&sidecache, || assert_eq!(client.value(read), "row 1")) == "replica").then_some(())
    });
}

/// A statement whose result has changed since its description was told is refused, as PostgreSQL does, if the client
/// does not ask again what it will get: rows of another shape would be misread.
#[test]
fn r15_rows_of_another_shape_than_was_told_are_never_sent() {
    let cluster = Cluster::shared();
    let database = cluster.database("reshape");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')");
    for cache in ["on", "off"] {
        let sidecache = Sidecache::build(cluster, &database).cache(cache).start();
        sidecache.await_stream(cluster);
        let (mut client, mut other) = (sidecache.connect("app"), sidecache.connect("app"));
        let prepare = Batch::new().parse("s", "SELECT * FROM t WHERE id = 1", &[]).describe_statement("s").sync();
        let run = Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync();
        for client in [&mut client, &mut direct, &mut other] {
            client.run(&prepare).expect("it lives");
            client.run(&run).expect("it lives");
        }
        client.rows(&format!("ALTER TABLE t ADD COLUMN c_{cache} int DEFAULT 3"));
        cluster.catch_up();
        // Another session has prepared it since, and has filled the cache.
        let fresh =
            Batch::new().close_statement("s").parse("s", "SELECT * FROM t WHERE id = 1", &[]).describe_statement("s");
        other.run(&fresh.sync()).expect("it lives");
        for _ in 0..3 {
            other.run(&run).expect("it lives");
        }
        let right = direct.run(&run).expect("it lives");
        assert_eq!(tags(&right), "EZ", "{right:?}");
        let answer = client.run(&run).expect("it lives");
        assert_eq!(tags(&answer), "EZ", "cache {cache}: {answer:?}");
        direct.run(&Batch::new().close_statement("s").sync()).expect("it lives");
    }
}

/// Nor in the middle of a batch that has been answered in part.
#[test]
fn r15_rows_of_another_shape_are_not_sent_in_an_open_batch_either() {
    let cluster = Cluster::shared();
    let database = cluster.database("reshape_open");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')");
    let sidecache = Sidecache::build(cluster, &database).flag("--pool-size", "1").start();
    sidecache.await_stream(cluster);
    let (mut client, mut other) = (sidecache.connect("app"), sidecache.connect("app"));
    let text = "SELECT * FROM t WHERE id = 1 FOR SHARE";
    let prepare = || Batch::new().parse("s", text, &[]).describe_statement("s").sync();
    for client in [&mut client, &mut direct] {
        client.run(&prepare()).expect("it lives");
    }
    direct.rows("ALTER TABLE t ADD COLUMN c int");
    other.run(&prepare()).expect("it lives");
    let begun = Batch::new().extended("SELECT 1", &[], Format::Text);
    let begun = Batch(begun.0[..begun.0.len() - 5].to_vec()).flush();
    let run = || Batch::new().bind("", "s", &[], Format::Text).execute("", 0);
    for client in [&mut direct, &mut client] {
        client.send(&begun).expect("it lives");
        assert_eq!(tags(&client.read_until(b'C').expect("an answer")), "12TDC");
        let answer = client.run(&run().sync()).expect("it lives");
        assert_eq!(tags(&answer), "EZ", "{answer:?}");
        assert_eq!(answer[0].field(b'C').as_deref(), Some("0A000"));
    }
    direct.rows("DROP TABLE t");
    for client in [&mut direct, &mut client] {
        client.send(&begun).expect("it lives");
        assert_eq!(tags(&client.read_until(b'C').expect("an answer")), "12TDC");
        let answer = client.run(&run().sync()).expect("it lives");
        assert_eq!(tags(&answer), "EZ", "{answer:?}");
        assert_eq!(answer[0].field(b'C').as_deref(), Some("42P01"));
    }
}

/// What fails the question in an open batch is the client's to hear there too: a lock that it does not get, and its own cancel.
#[test]
fn r15_a_shape_that_cannot_be_asked_in_an_open_batch_fails_it() {
    let cluster = Cluster::shared();
    let database = cluster.database("reshape_open_locked");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)");
    let sidecache = Sidecache::build(cluster, &database).no_replicas().start();
    sidecache.await_stream(cluster);
    let (mut client, mut watcher) = (sidecache.connect("app"), cluster.connect("app", &database));
    let text = "UPDATE t SET v = v + 1 RETURNING v";
    client.run(&Batch::new().parse("s", text, &[]).describe_statement("s").sync()).expect("it lives");
    let begun = Batch::new().extended("SELECT 1", &[], Format::Text);
    let begun = Batch(begun.0[..begun.0.len() - 5].to_vec()).flush();
    let run = Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync();
    for (limit, code, cancels) in [("200ms", "55P03", false), ("0", "57014", true)] {
        direct.rows(&format!("CREATE TABLE made_{cancels} (x int)"));
        sidecache.await_stream(cluster);
        client.rows(&format!("SET lock_timeout = '{limit}'"));
        client.send(&begun).expect("it lives");
        assert_eq!(tags(&client.read_until(b'C').expect("an answer")), "12TDC");
        direct.rows("BEGIN; LOCK TABLE t");
        client.send(&run).expect("it lives");
        if cancels {
            let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
            eventually("it to wait for the lock", || (watcher.value(sql) == "1").then_some(()));
            client.cancel().expect("it listens");
        }
        let answer = client.read_until_ready().expect("an answer");
        direct.rows("COMMIT");
        assert_eq!(tags(&answer), "EZ", "{code}: {answer:?}");
        assert_eq!(answer[0].field(b'C').as_deref(), Some(code), "{answer:?}");
    }
    assert_eq!(tags(&client.run(&run).expect("it lives")), "2DCZ");
    assert_eq!(direct.value("SELECT v FROM t"), "1");
}

/// What the connection is asked about a statement's shape may wait for a lock: the client may cancel that, and hears of what fails its
/// transaction.
#[test]
fn r15_a_shape_is_asked_as_if_the_client_ran_it() {
    let cluster = Cluster::shared();
    let database = cluster.database("reshape_locked");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0); CREATE TABLE o (x int)");
    let sidecache = Sidecache::build(cluster, &database).no_replicas().flag("--pool-size", "1").start();
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    let text = "UPDATE t SET v = v + 1 RETURNING v";
    client.run(&Batch::new().parse("s", text, &[]).describe_statement("s").sync()).expect("it lives");
    let run = Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync();
    assert_eq!(tags(&client.run(&run).expect("it lives")), "2DCZ");
    let mut made = 0;
    // Names may mean something else from here on: it is parsed anew, and its shape compared.
    let mut define = |direct: &mut Wire| {
        made += 1;
        direct.rows(&format!("CREATE TABLE made_{made} (x int)"));
        sidecache.await_stream(cluster);
    };
    let waits = |direct: &mut Wire| {
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
        eventually("it to wait for the lock", || (direct.value(sql) == "1").then_some(()));
    };
    let mut watcher = cluster.connect("app", &database);

    define(&mut direct);
    direct.rows("BEGIN; LOCK TABLE t");
    client.send(&run).expect("it lives");
    waits(&mut watcher);
    client.cancel().expect("it listens");
    let answer = client.read_until_ready().expect("an answer");
    direct.rows("COMMIT");
    assert_eq!(answer[0].field(b'C').as_deref(), Some("57014"), "{answer:?}");
    assert_eq!(watcher.value("SELECT v FROM t"), "1", "it did not run");
    assert_eq!(tags(&client.run(&run).expect("it lives")), "2DCZ");

    define(&mut direct);
    client.rows("SET lock_timeout = '100ms'");
    for (begin, end) in [("BEGIN; INSERT INTO o VALUES (1)", "E"), ("SELECT 1", "I")] {
        client.rows(begin);
        direct.rows("BEGIN; LOCK TABLE t");
        let answer = client.run(&run).expect("it lives");
        direct.rows("COMMIT");
        assert_eq!(answer[0].field(b'C').as_deref(), Some("55P03"), "{begin}: {answer:?}");
        assert_eq!(answer[1].body, end.as_bytes(), "{begin}");
        client.rows("ROLLBACK");
    }
    assert_eq!(tags(&client.run(&run).expect("it lives")), "2DCZ");

    define(&mut direct);
    direct.rows("DROP TABLE t");
    sidecache.await_stream(cluster);
    for (begin, end) in [("BEGIN; INSERT INTO o VALUES (1)", "E"), ("SELECT 1", "I")] {
        client.rows(begin);
        let answer = client.run(&run).expect("it lives");
        assert_eq!(answer[0].field(b'C').as_deref(), Some("42P01"), "{begin}: {answer:?}");
        assert_eq!(answer[1].body, end.as_bytes(), "{begin}");
        client.rows("ROLLBACK");
    }
}

/// Nor does that question take longer than a query may.
#[test]
fn r15_a_shape_is_not_asked_for_longer_than_a_query_may_take() {
    let cluster = Cluster::shared();
    let database = cluster.database("reshape_limit");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)");
    let sidecache = Sidecache::build(cluster, &database).no_replicas().flag("--query-timeout", "2s").start();
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    let text = "UPDATE t SET v = v + 1 RETURNING v";
    client.run(&Batch::new().parse("s", text, &[]).describe_statement("s").sync()).expect("it lives");
    direct.rows("CREATE TABLE made (x int)");
    sidecache.await_stream(cluster);
    direct.rows("BEGIN; LOCK TABLE t");
    let run = Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync();
    let answer = client.run(&run).expect("it lives");
    direct.rows("COMMIT");
    assert_eq!(answer[0].field(b'C').as_deref(), Some("57014"), "{answer:?}");
    assert_eq!(tags(&client.run(&run).expect("it lives")), "2DCZ");
    assert_eq!(direct.value("SELECT v FROM t"), "1");
}

#[test]
#[ignore = "a figure: prints what choosing a server costs"]
fn figure_of_a_routing_decision() {
    use sidecache::coherence::Coherence;
    use sidecache::config::{Config, Flags};
    use sidecache::feed::Feed;
    use sidecache::route::destination::{Bound, Reason, choose};
    use sidecache::types::{Level, Moment};
    use sidecache::upstream::Upstream;
    const TIMES: u32 = 1_000_000;
    let cluster = Cluster::shared();
    let database = cluster.database("routing_figure");
    let replicas = cluster.replica_urls("sidecache", &database);
    for count in [1, replicas.len()] {
        let environment = |name: &str| match name {
            "SIDECACHE_PRIMARY" => Some(cluster.primary_url("sidecache", &database)),
            "SIDECACHE_REPLICAS" => Some(replicas[..count].join(",")),
            _ => None,
        };
        let config = Config::load(&Flags::default(), &environment).expect("servers are all that is required");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let upstream = Upstream::new(&config);
        let coherence = Coherence::new(config.staleness);
        let _entered = runtime.enter();
        runtime.spawn(std::sync::Arc::clone(&upstream).watch(Default::default()));
        let _feed = Feed::start(std::sync::Arc::clone(&upstream), coherence.clone(), &config, Default::default());
        let decide = |turn| {
            let bound = Bound { floor: Default::default(), again: None };
            choose(&upstream, &coherence, Level::Bounded, Some(bound), &|_| false, (&|| Moment::START, turn))
        };
        // On a busy machine replicas are late at times.
        let took = eventually("a replica every time", || {
            let began = std::time::Instant::now();
            let is_replica = |turn| decide(turn as usize).reason == Reason::LeastOutstanding;
            (0..TIMES).all(is_replica).then(|| began.elapsed() / TIMES)
        });
        println!("{count} replicas: {took:?} a decision");
    }
}
