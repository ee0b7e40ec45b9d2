//! Without a stream of changes: nothing is cached but what `[[ttl]]` rules name, and that by the clock alone, never
//! beside proofs, never past a write that was seen, and never silently.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::process::Signal;
use crate::harness::redis::Redis;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use crate::harness::wire::{Batch, Format, Wire, rows};

/// Long enough that no test sees it end.
const HOUR: &str = "[[ttl]]\ntable = 'public.rates'\nttl = '1h'\n";

const SETUP: &str = "CREATE TABLE rates (id int PRIMARY KEY, v int); INSERT INTO rates VALUES (1, 10);\
     CREATE TABLE other (v int); INSERT INTO other VALUES (1);\
     CREATE VIEW seen AS SELECT v FROM rates; CREATE VIEW both_ AS SELECT rates.v FROM rates, other";

/// Before a database where `app` may not replicate, so that there is no stream.
fn build(label: &str, rules: &str) -> (SidecacheBuilder, String) {
    let cluster = Cluster::shared();
    let database = cluster.database(label);
    cluster.connect("app", &database).rows(SETUP);
    let builder = Sidecache::build(cluster, &database).alone(cluster, "app").no_replicas().config(rules);
    (builder, database)
}

fn start(label: &str, rules: &str) -> (Sidecache, Wire, Wire) {
    let (builder, database) = build(label, rules);
    let sidecache = builder.start();
    sidecache.await_status("a loaded catalog and no stream", |status| status["stream"]["state"] == "off");
    let mut client = sidecache.connect("app");
    // Ready means that the absence is known; the catalog may be a moment later.
    let mut asked = 0;
    eventually("the catalog", || {
        // Another text each time, since no test expects a hit of it.
        asked += 1;
        client.value(&format!("SELECT v FROM rates WHERE id = -{asked} UNION ALL SELECT 1 LIMIT 1"));
        (sidecache.metric("sidecache_bypasses_total", &[("reason", "no_stream")])
            + sidecache.metric("sidecache_requests_total", &[("outcome", "miss")])
            > 0.0)
            .then_some(())
    });
    (sidecache, client, Cluster::shared().connect("app", &database))
}

const READ: &str = "SELECT v FROM rates WHERE id = 1";

fn hits(sidecache: &Sidecache) -> u64 {
    sidecache.count("/cache/hits_ttl")
}

/// Without rules nothing is cached, and status, log, explain and check say why and what to run.
#[test]
fn without_a_stream_and_without_rules_nothing_is_cached() {
    let (sidecache, mut client, _) = start("ttl_none", "");
    for _ in 0..5 {
        assert_eq!(client.value(READ), "10");
    }
    let status = sidecache.status();
    assert_eq!((&status["cache"]["hits"], &status["cache"]["entries"]), (&0.into(), &0.into()), "{status:#}");
    assert_eq!(status["cache"]["basis"], "none");
    assert!(status["stream"]["reason"].as_str().is_some_and(|why| why.contains("REPLICATION")), "{status:#}");
    assert!(sidecache.metric("sidecache_bypasses_total", &[("reason", "no_stream")]) >= 5.0);
    let log = sidecache.log();
    assert!(log.contains("nothing is cached") && log.contains("`sidecache check`"), "{log}");
    let said = sidecache.explain(READ);
    assert!(said.contains("no: no_stream") && said.contains("no [[ttl]] rule names public.rates"), "{said}");
    let (builder, _) = build("ttl_none_check", "");
    let (status, out, _) = builder.run("check", &[]);
    assert_eq!(status.code(), Some(1), "{out}");
    assert!(out.contains("> ALTER ROLE app REPLICATION;"), "{out}");
}

/// A reload brings rules and takes them; what was kept by others is void.
#[test]
fn rules_come_and_go_with_a_reload() {
    let (sidecache, mut client, mut beside) = start("ttl_reload", "# nothing yet");
    assert_eq!(client.value(READ), "10");
    assert_eq!(hits(&sidecache), 0);
    sidecache.rewrite("config.toml", HOUR);
    sidecache.reload("rules", |reload| reload["done"] == 1);
    assert_eq!((client.value(READ), client.value(READ)), ("10".to_owned(), "10".to_owned()));
    assert_eq!(hits(&sidecache), 1);
    beside.rows("UPDATE rates SET v = 11");
    assert_eq!(client.value(READ), "10", "as the rule allows");
    sidecache.rewrite("config.toml", &HOUR.replace("1h", "2h"));
    sidecache.reload("other rules", |reload| reload["done"] == 2);
    assert_eq!(client.value(READ), "11", "kept by a rule that is no more");
    assert_eq!(sidecache.status()["cache"]["basis"], "ttl");
    sidecache.rewrite("config.toml", "");
    sidecache.reload("no rules", |reload| reload["done"] == 3);
    beside.rows("UPDATE rates SET v = 12");
    assert_eq!(client.value(READ), "12");
    assert_eq!(sidecache.status()["cache"]["basis"], "none");
}

/// What a rule names is served by the clock, in both protocols, and status, metrics, log, explain and check say `ttl`.
#[test]
fn what_a_rule_names_is_served_by_the_clock_and_said_to_be() {
    let (sidecache, mut client, mut beside) = start("ttl_rule", HOUR);
    assert_eq!(client.value(READ), "10");
    beside.rows("UPDATE rates SET v = 11");
    assert_eq!(client.value(READ), "10", "what does not pass through is not heard");
    assert_eq!(hits(&sidecache), 1);
    assert_eq!(client.value("SELECT v FROM seen"), "11", "a view is what it reads");
    beside.rows("UPDATE rates SET v = 12");
    assert_eq!(client.value("SELECT v FROM seen"), "11");
    let extended = |client: &mut Wire| client.extended("SELECT v FROM rates WHERE id = $1", &[Some("1")]);
    assert_eq!(extended(&mut client), [[Some("12".to_owned())]]);
    beside.rows("UPDATE rates SET v = 13");
    assert_eq!(extended(&mut client), [[Some("12".to_owned())]]);
    assert_eq!(hits(&sidecache), 3);
    let labels = [("kind", "ttl"), ("destination", "memory"), ("outcome", "hit")];
    assert_eq!(sidecache.metric("sidecache_requests_total", &labels), 3.0);
    assert_eq!(sidecache.status()["cache"]["basis"], "ttl");
    let log = sidecache.log();
    assert!(log.contains("only what [[ttl]] rules name is cached"), "{log}");
    let said = sidecache.explain(READ);
    assert!(said.contains("cached       ttl: for 3600s") && said.contains("REPLICATION"), "{said}");
    let (builder, _) = build("ttl_rule_check", &format!("{HOUR}[[ttl]]\ntable = 'public.seen'\nttl = '1s'\n"));
    let (status, out, _) = builder.run("check", &[]);
    assert_eq!(status.code(), Some(0), "{out}");
    assert!(out.contains("warn  app may not replicate") && out.contains("> ALTER ROLE app REPLICATION;"), "{out}");
    assert!(out.contains("ok    [[ttl]] public.rates") && out.contains("warn  [[ttl]] public.seen"), "{out}");
}

/// A statement that reads anything no rule names is not kept, nor is one at level strong or in a transaction that wrote.
#[test]
fn only_what_rules_cover_is_kept() {
    let (sidecache, mut client, mut beside) = start("ttl_cover", HOUR);
    for sql in ["SELECT v FROM other", "SELECT rates.v FROM rates, other", "SELECT v FROM both_", "SELECT now()"] {
        client.value(sql);
        client.value(sql);
        assert_eq!(hits(&sidecache), 0, "{sql}");
    }
    assert!(sidecache.explain("SELECT v FROM both_").contains("no [[ttl]] rule names public.other"));
    assert_eq!(client.value(READ), "10");
    beside.rows("UPDATE rates SET v = 11");
    client.rows("SET sidecache.consistency = 'strong'");
    assert_eq!(client.value(READ), "11", "a strong read is the primary's");
    client.rows("SET sidecache.consistency = 'session'");
    let mut writer = sidecache.connect("app");
    writer.rows("BEGIN");
    writer.rows("UPDATE rates SET v = 20 WHERE id = 1");
    assert_eq!(writer.value(READ), "20", "its own write");
    writer.rows("ROLLBACK");
    // Another role has a key of its own, and its own permissions.
    beside.rows("REVOKE ALL ON rates FROM PUBLIC");
    assert_eq!(client.value("SELECT count(*) FROM rates"), "1");
}

/// Any write that passes through drops every such answer, before the writer hears of its end: in autocommit, a
/// transaction, COPY, an extended batch, or a function that nothing is known of.
#[test]
fn a_write_that_passes_through_drops_what_the_clock_keeps() {
    let (sidecache, mut client, mut beside) = start("ttl_write", HOUR);
    let mut writer = sidecache.connect("app");
    beside.rows(
        "CREATE FUNCTION quietly() RETURNS int LANGUAGE sql VOLATILE AS 'UPDATE rates SET v = v + 1 WHERE id = 1 RETURNING v'",
    );
    client.value(READ);
    let mut known = 10;
    let mut after = |what: &str, write: &mut dyn FnMut(&mut Wire)| {
        assert_eq!(client.value(READ), known.to_string(), "{what}: kept until then");
        let before = hits(&sidecache);
        client.value(READ);
        assert_eq!(hits(&sidecache), before + 1, "{what}: and served");
        write(&mut writer);
        known += 1;
        assert_eq!(client.value(READ), known.to_string(), "{what}");
    };
    after("autocommit", &mut |writer| drop(writer.rows("UPDATE rates SET v = v + 1 WHERE id = 1")));
    after("transaction", &mut |writer| {
        writer.rows("BEGIN");
        writer.rows("UPDATE rates SET v = v + 1 WHERE id = 1");
        writer.rows("COMMIT");
    });
    after("extended", &mut |writer| {
        let update = "UPDATE rates SET v = v + $1 WHERE id = 1";
        let frames = writer.run(&Batch::new().extended(update, &[Some("1")], Format::Text)).expect("it runs");
        assert!(frames.iter().any(|f| f.tag == b'C'), "{frames:?}");
    });
    after("function", &mut |writer| drop(writer.value("SELECT quietly()")));
    after("DO", &mut |writer| drop(writer.rows("DO $$ BEGIN UPDATE rates SET v = v + 1; END $$")));
    after("COPY", &mut |writer| {
        writer.rows("BEGIN");
        writer.rows("DELETE FROM rates");
        writer.send(&Batch::new().query("COPY rates FROM STDIN")).expect("a connection that lives");
        writer.read_until(b'G').expect("it waits for rows");
        // Fifteen after the five updates before.
        writer.run(&Batch::new().copy_data(b"1\t16\n").copy_done()).expect("it is taken");
        writer.rows("COMMIT");
    });
}

/// A fill that began before a write is not kept, though it ends after it.
#[test]
fn a_fill_that_began_before_a_write_is_not_kept() {
    let rules = format!("{HOUR}[[ttl]]\ntable = 'public.other'\nttl = '1h'\n");
    let (sidecache, mut client, mut beside) = start("ttl_slow", &rules);
    let mut slow = sidecache.connect("app");
    let sql = "SELECT rates.v FROM rates, other";
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database \
         WHERE NOT granted AND datname = current_database()";
    let mut watch = Cluster::shared().primary.connect_to(&beside.value("SELECT current_database()"));
    let refused = || sidecache.metric("sidecache_fills_refused_total", &[("reason", "written_meanwhile")]);
    let mut value = 99;
    // Roles of other tests change the catalog too, for which a fill may be refused first.
    eventually("the fill to be refused for the write", || {
        value += 1;
        let before = refused();
        client.rows("UPDATE rates SET v = 0 WHERE id = 1");
        beside.rows("BEGIN");
        beside.rows("LOCK TABLE other IN ACCESS EXCLUSIVE MODE");
        slow.send(&Batch::new().query(sql)).expect("a connection that lives");
        eventually("the fill to wait", || (watch.value(waiting) != "0").then_some(()));
        client.rows(&format!("UPDATE rates SET v = {value} WHERE id = 1"));
        beside.rows("COMMIT");
        slow.read_until_ready().expect("it ends");
        let is_refused = refused() > before;
        let before = hits(&sidecache);
        assert_eq!(client.value(sql), value.to_string());
        assert_eq!(hits(&sidecache), before);
        is_refused.then_some(())
    });
}

/// Who may see what is no question of time.
#[test]
fn c15_what_is_revoked_is_not_kept_by_the_clock() {
    let (builder, database) = build("ttl_revoked", HOUR);
    let sidecache = builder.users("app:app\nsolo:solo").start();
    sidecache.await_status("a loaded catalog and no stream", |status| status["stream"]["state"] == "off");
    let (mut client, mut beside) = (sidecache.connect("app"), Cluster::shared().connect("app", &database));
    beside.rows("GRANT SELECT ON rates TO solo; CREATE VIEW rate AS SELECT v FROM rates WHERE id = 1; GRANT SELECT ON rate TO solo");
    let mut solo = sidecache.connect("solo");
    let before = hits(&sidecache);
    eventually("a hit", || {
        solo.value(READ);
        client.value(READ);
        (hits(&sidecache) > before + 2).then_some(())
    });
    beside.rows("REVOKE ALL ON rates FROM solo");
    eventually("the right to be gone", || rows(&solo.query(READ).expect("it lives")).is_err().then_some(()));
    assert_eq!(solo.error(READ), "42501");
    assert_eq!(client.value(READ), "10");
}

/// An answer is served no longer than the shortest time that its tables allow.
#[test]
fn an_answer_ends_with_its_time() {
    let rules = "[[ttl]]\ntable = 'public.rates'\nttl = '1h'\n[[ttl]]\ntable = 'public.other'\nttl = '300ms'\n";
    let (sidecache, mut client, mut beside) = start("ttl_ends", rules);
    let both = "SELECT rates.v + other.v FROM rates, other";
    client.value(READ);
    client.value(both);
    beside.rows("UPDATE rates SET v = 20");
    eventually("the shorter time to end", || (client.value(both) == "21").then_some(()));
    assert_eq!(client.value(READ), "10", "the longer one has not");
    assert!(hits(&sidecache) > 0);
}

/// Redis hears nothing of what the clock keeps, and shadow mode serves none of it.
#[test]
fn what_the_clock_keeps_stays_here_and_shadow_serves_none() {
    let redis = Redis::start();
    let (builder, _) = build("ttl_redis", HOUR);
    let sidecache = builder.clone().redis(&redis).start();
    let mut client = sidecache.connect("app");
    eventually("a hit", || {
        client.value(READ);
        (hits(&sidecache) > 0).then_some(())
    });
    sidecache.await_status("Redis", |status| status["redis"]["state"] == "closed");
    client.value("SELECT count(*) FROM rates");
    assert!(redis.keys().is_empty());
    // The other takes its ports.
    drop((client, sidecache));
    let shadow = builder.cache("shadow").start();
    let mut client = shadow.connect("app");
    eventually("what would have been a hit", || {
        client.value(READ);
        (shadow.metric("sidecache_bypasses_total", &[("reason", "shadow")]) > 0.0).then_some(())
    });
    assert_eq!(shadow.count("/cache/hits"), 0);
}

/// While a stream can be had rules count for nothing: live, or broken for a moment.
#[test]
fn rules_count_for_nothing_while_there_is_a_stream() {
    let cluster = Cluster::build().replicas(0).start();
    cluster.connect("app", "shop").rows(SETUP);
    let sidecache = Sidecache::build(&cluster, "shop").config(HOUR).start();
    sidecache.await_stream(&cluster);
    let (mut client, mut beside) = (sidecache.connect("app"), cluster.connect("app", "shop"));
    eventually("a proven hit", || {
        client.value(READ);
        (sidecache.count("/cache/hits") > 0).then_some(())
    });
    beside.rows("UPDATE rates SET v = 11");
    eventually("the change to be heard", || (client.value(READ) == "11").then_some(()));
    let stalled = cluster.stall_streams("shop");
    // What the primary says from here on is ahead of what is heard.
    beside.rows("UPDATE rates SET v = 12");
    sidecache.await_status("hits to stop", |status| status["stream"]["staleness_ms"].is_null());
    assert_eq!(client.value(READ), "12");
    beside.rows("UPDATE rates SET v = 13");
    assert_eq!(client.value(READ), "13");
    stalled.resume();
    cluster.break_streams("shop");
    for v in 14..20 {
        beside.rows(&format!("UPDATE rates SET v = {v}"));
        eventually("the change", || (client.value(READ) == v.to_string()).then_some(()));
    }
    assert_eq!(hits(&sidecache), 0);
    assert!(sidecache.explain(READ).contains("cached       yes"));
}

/// With wal_level below logical rules hold; once the primary is set up, proofs take their place without a restart.
#[test]
fn a_stream_that_comes_takes_the_place_of_rules() {
    let mut cluster = Cluster::build().replicas(0).setting("wal_level = replica").start();
    cluster.connect("app", "shop").rows(SETUP);
    let sidecache = Sidecache::build(&cluster, "shop").config(HOUR).start();
    let mut client = sidecache.connect("app");
    eventually("a hit by the clock", || {
        client.value(READ);
        (hits(&sidecache) > 0).then_some(())
    });
    assert!(sidecache.explain(READ).contains("wal_level is replica"));
    cluster.primary.sql("ALTER SYSTEM SET wal_level = 'logical'");
    cluster.primary.stop(Signal::INT);
    cluster.primary.start();
    sidecache.await_status("a live stream", |status| status["stream"]["state"] == "live");
    let mut client = sidecache.connect("app");
    let mut beside = cluster.connect("app", "shop");
    beside.rows("UPDATE rates SET v = 11");
    eventually("the change to be heard", || (client.value(READ) == "11").then_some(()));
    let (by_clock, all) = (hits(&sidecache), sidecache.count("/cache/hits"));
    eventually("a proven hit", || {
        assert_eq!(client.value(READ), "11");
        (sidecache.count("/cache/hits") > all).then_some(())
    });
    assert_eq!(hits(&sidecache), by_clock);
    assert_eq!(sidecache.status()["cache"]["basis"], "stream");
    assert!(sidecache.log().contains("changes are heard"), "{}", sidecache.log());
}

/// SQL on a replication connection, whose messages are not understood, may have written: who hears its answer is not given
/// what was kept before.
#[test]
fn what_a_replication_connection_writes_is_seen() {
    let (builder, database) = build("ttl_replication", HOUR);
    let sidecache = builder.users("app:app\npostgres:postgres").start();
    sidecache.await_status("no stream", |status| status["stream"]["state"] == "off");
    let mut client = sidecache.connect("app");
    eventually("a hit", || {
        client.value(READ);
        (hits(&sidecache) > 0).then_some(())
    });
    let mut writer =
        Wire::connect(&sidecache.login("postgres").with("replication", "database")).expect("a superuser may");
    writer.rows("UPDATE rates SET v = 11");
    assert_eq!(client.value(READ), "11", "in {database}");
}
