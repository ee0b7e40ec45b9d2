//! The races between commit, delivery and visibility (T0, T1): with the rule off the stale entry is there and stays; with it on there is
//! none.

use crate::harness::cluster::Cluster;
use crate::harness::sidecache::Sidecache;
use crate::watched::Watched;

/// A commit that is in the WAL and visible to nobody.
fn fills_while_a_commit_is_held(cluster: &Cluster, disable: &str) -> (String, bool, String, bool) {
    let watched = Watched::with(cluster, "t1", "CREATE TABLE t AS SELECT 0 AS v; CREATE TABLE u(x int)", |builder| {
        // However slow the machine is, it is not lack of news that ends hits.
        builder.environment("SIDECACHE_TEST_DISABLE", disable).flag("--staleness", "60s")
    });
    let mut client = watched.client();
    assert_eq!(watched.warm(&mut client, "SELECT v FROM t"), "0");
    let held = cluster.hold_commits();
    let mut writer = watched.beside();
    let write = std::thread::spawn(move || writer.rows("UPDATE t SET v = 1"));
    held.wait_for(1);
    watched.sidecache.await_stream(cluster);
    let mut during = (false, String::new());
    for _ in 0..3 {
        during = watched.look(|| client.value("SELECT v FROM t"));
    }
    held.wake();
    write.join().expect("the write is acknowledged");
    watched.beside().rows("SET synchronous_commit = local; INSERT INTO u VALUES (1)");
    watched.hear();
    let mut later = watched.client();
    let after = watched.look(|| later.value("SELECT v FROM t"));
    (during.1, during.0, after.1, after.0)
}

#[test]
fn t1_a_commit_heard_before_it_is_visible_leaves_nothing_stale() {
    let cluster = Cluster::build().replicas(0).start();
    let (during, hit, after, _) = fills_while_a_commit_is_held(&cluster, "");
    assert_eq!((during.as_str(), hit), ("0", false), "what cannot see the commit is not stored");
    assert_eq!(after, "1");
    let (during, hit, after, stale) = fills_while_a_commit_is_held(&cluster, "snapshot_rule");
    assert_eq!((during.as_str(), hit), ("0", true), "without the rule it is stored");
    assert_eq!((after.as_str(), stale), ("0", true), "and nothing invalidates it any more");
}

/// A commit whose record lies before the stream's start, and that is visible to nobody until later.
fn reads_in_the_hole(cluster: &Cluster, disable: &str) -> (String, String, bool) {
    let database = cluster.database("t0");
    cluster.connect("app", &database).rows("CREATE TABLE h AS SELECT 0 AS v; CREATE TABLE u(x int)");
    let mut watcher = cluster.connect("postgres", &database);
    let held = cluster.hold_commits();
    let mut waits_for = |xid: &str| {
        let sql = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = '{xid}'");
        crate::harness::eventually("the slot to wait for a transaction", || (watcher.value(&sql) != "0").then_some(()));
    };
    let open = || {
        let mut client = cluster.connect("app", &database);
        client.rows("BEGIN");
        let xid = client.value("SELECT pg_current_xact_id()");
        (client, xid)
    };
    // The slot waits for those that run when it is begun, then for those that run when these have ended.
    let (mut first, xid) = open();
    let build = Sidecache::build(cluster, &database).environment("SIDECACHE_TEST_DISABLE", disable);
    let sidecache = build.spawn();
    let watched = Watched { cluster, database: database.clone(), sidecache };
    waits_for(&xid);
    let (mut second, xid) = open();
    first.rows("ROLLBACK");
    waits_for(&xid);
    let mut writer = watched.beside();
    let write = std::thread::spawn(move || writer.rows("UPDATE h SET v = 1"));
    held.wait_for(1);
    second.rows("ROLLBACK");
    watched.sidecache.await_status("a live stream", |status| status["stream"]["state"] == "live");
    let mut client = watched.client();
    let during = if disable.is_empty() {
        crate::harness::eventually("a fill to be refused", || {
            let value = client.value("SELECT v FROM h");
            (watched.sidecache.count("/cache/fills_refused/suspect") > 0).then_some(value)
        })
    } else {
        watched.warm(&mut client, "SELECT v FROM h")
    };
    held.wake();
    write.join().expect("the write is acknowledged");
    watched.beside().rows("SET synchronous_commit = local; INSERT INTO u VALUES (1)");
    watched.hear();
    let mut later = watched.client();
    let (hit, after) = watched.look(|| later.value("SELECT v FROM h"));
    (during, after, hit)
}

#[test]
fn t0_a_commit_from_before_the_stream_leaves_nothing_stale() {
    let cluster = Cluster::build().replicas(0).start();
    let (during, after, _) = reads_in_the_hole(&cluster, "");
    assert_eq!((during.as_str(), after.as_str()), ("0", "1"), "what cannot see the suspect is not stored");
    let (during, after, stale) = reads_in_the_hole(&cluster, "suspect_probe");
    assert_eq!((during.as_str(), after.as_str(), stale), ("0", "0", true), "without the probe it is stale for good");
}
