//! A client that dies at any byte of what it sends (R21): nothing of it stays behind on the server, nothing of it is half
//! done, and the connections that it used serve others.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::proxy::FaultProxy;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Login, Wire};
use crate::watched::Watched;
use std::collections::BTreeSet;
use std::net::Shutdown;
use std::time::Duration;

/// All that a client would send after it was greeted: a simple query, an extended one, a transaction in both protocols with a
/// lock in it, and a COPY inside it; each transaction writes two rows or none.
fn script() -> Vec<u8> {
    let row = |v: &str| Batch::new().extended("INSERT INTO pairs VALUES ($1)", &[Some(v)], Format::Text);
    let parts = [
        Batch::new().query("SELECT v FROM t"),
        Batch::new().extended("SELECT v FROM t WHERE v > $1", &[Some("0")], Format::Text),
        Batch::new().query("INSERT INTO pairs VALUES (1); INSERT INTO pairs VALUES (1)"),
        Batch::new().query("BEGIN"),
        Batch::new().query("LOCK TABLE t IN ACCESS EXCLUSIVE MODE"),
        row("2"),
        Batch::new().parse("named", "INSERT INTO pairs VALUES ($1)", &[]).flush(),
        Batch::new().bind("", "named", &[Some("2")], Format::Text).execute("", 0).sync(),
        Batch::new().query("COMMIT"),
        Batch::new().query("BEGIN"),
        Batch::new().query("COPY pairs FROM STDIN"),
        Batch::new().copy_data(b"3\n").copy_data(b"3\n").copy_done(),
        Batch::new().query("COMMIT"),
        Batch::new().query("COPY t TO STDOUT"),
    ];
    parts.into_iter().flat_map(|part| part.0).collect()
}

/// The places where one message ends and the next begins, and one byte to either side.
fn seams(bytes: &[u8]) -> BTreeSet<usize> {
    let mut seams = BTreeSet::new();
    let mut at = 0;
    while let Some(length) = bytes.get(at + 1..at + 5) {
        at += 1 + u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        seams.extend([at - 1, at, at + 1].into_iter().filter(|offset| *offset <= bytes.len()));
    }
    seams
}

/// Cut by FIN and by RST, at every seam of the script, in between, and before.
#[test]
fn r21_a_client_may_die_at_any_byte() {
    let cluster = Cluster::shared();
    let database = cluster.database("client_death");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t AS SELECT generate_series(1, 3) AS v; CREATE TABLE pairs (v int)");
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, &database).flag("--pool-size", "2").flag("--pool-timeout", "1h").start();
    sidecache.await_stream(cluster);
    let proxy = FaultProxy::to_port(sidecache.port());
    let login = Login { port: proxy.port(), ..sidecache.login("app") };
    let script = script();
    let offsets: BTreeSet<usize> = (0..script.len()).step_by(37).chain(seams(&script)).collect();
    let quiet = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'app' \
         AND pid <> pg_backend_pid() AND (state <> 'idle' OR backend_xid IS NOT NULL)"
    );
    let locks = format!(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database \
         WHERE datname = '{database}' AND relation IN ('t'::regclass, 'pairs'::regclass)"
    );
    let mut watcher = sidecache.connect("app");
    for (index, offset) in offsets.iter().enumerate() {
        let mut client = Wire::connect(&login).unwrap_or_else(|e| panic!("at {offset}: {e:?}"));
        client.send_bytes(&script[..*offset]).expect("the proxy reads");
        if index % 3 == 0 {
            // Some of the answers are read before, so that the cut finds the session further on.
            client.set_patience(Duration::from_millis(5));
            while client.read_frame().is_ok() {}
        }
        let cut = if index % 2 == 0 { proxy.cut() } else { proxy.reset() };
        assert_eq!(cut, 1, "at {offset}");
        // The lock of a transaction that was left open would keep this waiting; a pool that lost a slot would, in the end.
        assert_eq!(watcher.value("SELECT count(*) FROM t, pg_sleep(0)"), "3", "at {offset}");
        eventually("no transaction", || (direct.value(&quiet) == "0").then_some(()));
    }
    eventually("no locks", || (direct.value(&locks) == "0").then_some(()));
    eventually("no sessions but one", || (sidecache.count("/sessions") == 1).then_some(()));
    let odd = direct.rows("SELECT v FROM pairs GROUP BY v HAVING count(*) % 2 = 1");
    assert_eq!(odd, Vec::<Vec<Option<String>>>::new(), "half a transaction was kept");
    let written = direct.value("SELECT count(DISTINCT v) FROM pairs");
    assert_eq!(written, "3", "late cuts found every transaction committed");
    // The pool has both its connections still: two transactions at a time.
    let (mut one, mut two) = (sidecache.connect("app"), sidecache.connect("app"));
    one.rows("BEGIN");
    two.rows("BEGIN");
    one.rows("COMMIT");
    two.rows("COMMIT");
    let open = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'app'");
    let open: usize = direct.value(&open).parse().expect("a number");
    assert!(open <= 1 + 2, "{open} connections: the pool's, and the one that asks");
}

/// A proven read is cancelled once its client has gone for good, and its place in the pool is another's; nothing that may write is,
/// and who only sends no more gets its answer.
#[test]
fn r21_the_read_of_a_client_that_has_gone_is_cancelled() {
    let cluster = Cluster::shared();
    let database = cluster.database("deserted");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t AS SELECT 1 AS v; CREATE TABLE w (v int)");
    let builder = Sidecache::build(cluster, &database).no_replicas().flag("--pool-size", "1");
    let sidecache = builder.flag("--pool-timeout", "1h").start();
    sidecache.await_stream(cluster);
    let mut watcher = cluster.connect("app", &database);
    let mut waiting = |what: &str| {
        let text = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
             AND query LIKE '{what}%' AND pid <> pg_backend_pid()"
        );
        watcher.value(&text) == "1"
    };
    direct.rows("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    // An answer that is not read makes the system reset the connection when it is closed.
    let unread = |client: &mut Wire| {
        client.send(&Batch::new().query("SHOW server_version")).expect("it lives");
        let stream = client.writer().expect("it lives");
        eventually("an unread answer", || (stream.peek(&mut [0]).ok()? > 0).then_some(()));
    };
    let mut reader = sidecache.connect("app");
    unread(&mut reader);
    reader.send(&Batch::new().query("SELECT v FROM t")).expect("it lives");
    eventually("a read that waits", || waiting("SELECT v FROM t").then_some(()));
    drop(reader);
    eventually("the read's end", || (!waiting("SELECT v FROM t")).then_some(()));
    let mut writer = sidecache.connect("app");
    unread(&mut writer);
    writer.send(&Batch::new().query("INSERT INTO w SELECT v FROM t")).expect("it lives");
    eventually("a write that waits", || waiting("INSERT INTO w").then_some(()));
    drop(writer);
    // Sends no more, and reads on. With one connection it waits for the write's end first.
    let mut half = sidecache.connect("app");
    half.send(&Batch::new().query("SELECT v + 1 FROM t")).expect("it lives");
    half.writer().expect("it lives").shutdown(std::net::Shutdown::Write).expect("it lives");
    assert!(waiting("INSERT INTO w"), "what may write goes on");
    direct.rows("COMMIT");
    let frames = half.read_until_ready().expect("an answer");
    assert_eq!(crate::harness::wire::tags(&frames), "TDCZ");
    eventually("the write", || (direct.value("SELECT count(*) FROM w") == "1").then_some(()));
}

/// What a client has asked for before it leaves is done, though it has not asked for an answer: a COMMIT that is executed has committed.
#[test]
fn r21_a_commit_counts_though_the_client_leaves_without_its_sync() {
    let cluster = Cluster::shared();
    let watched = Watched::shared("client_leaves", "CREATE TABLE t (way text)");
    let mut root = watched.beside();
    for terminates in [true, false] {
        for (way, mut client) in [("direct", cluster.connect("app", &watched.database)), ("through", watched.client())]
        {
            client.rows("BEGIN");
            client.rows(&format!("INSERT INTO t VALUES ('{way}')"));
            let commit = Batch::new().parse("", "COMMIT", &[]).bind("", "", &[], Format::Text).execute("", 0);
            client.send(&if terminates { commit.terminate() } else { commit }).expect("a connection that lives");
            client.writer().and_then(|stream| stream.shutdown(Shutdown::Write)).expect("a connection that lives");
            while client.read_frame().is_ok() {}
            let seen = format!("SELECT count(*) FROM t WHERE way = '{way}'");
            eventually("the commit", || (root.value(&seen) == "1").then_some(()));
        }
        root.rows("TRUNCATE t");
    }
}
