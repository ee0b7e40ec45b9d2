//! LISTEN and NOTIFY where sessions share the connection that listens: what each is told and when, compared with PostgreSQL itself, and
//! what becomes of them when that connection is lost.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Frame, Login, Wire, tags};
use crate::twins::{Step, Twins, play, readies, ready, told};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A function that listens as it is told to, and a table for hits.
const SETUP: &str = "CREATE TABLE t AS SELECT 1 AS v;
    CREATE FUNCTION go(what text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE what; END -- listen';
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NOTIFY a, ''row''; RETURN NULL; END';
    CREATE TABLE loud (v int); CREATE TRIGGER shout AFTER INSERT ON loud EXECUTE FUNCTION shout()";

fn q(text: &str) -> Step {
    ready(Batch::new().query(text))
}

fn x(text: &str) -> Step {
    ready(Batch::new().extended(text, &[], Format::Text))
}

fn twins(label: &str) -> Twins {
    Twins::with(label, SETUP, |builder| builder.flag("--pool-size", "3"))
}

/// What was answered, and which notifications came with it. An idle session may get them a moment before its next answer or within it: their places
/// are compared no closer than this, but for the ReadyForQuery, behind which none may come.
fn apart(frames: Vec<Frame>) -> (Vec<String>, Vec<String>) {
    let (news, answer): (Vec<Frame>, Vec<Frame>) = frames.into_iter().partition(|frame| frame.tag == b'A');
    (told(&answer), told(&news))
}

/// Several clients take turns, directly and through Sidecache.
fn same(twins: &Twins, name: &str, script: &[(usize, Step)]) {
    let clients = 1 + script.iter().map(|(who, _)| *who).max().expect("a script has steps");
    let mut direct: Vec<Wire> = (0..clients).map(|_| twins.direct()).collect();
    let expected: Vec<_> = script.iter().map(|(who, step)| apart(play(&mut direct[*who], step))).collect();
    drop(direct);
    let mut through: Vec<Wire> = (0..clients).map(|_| twins.through()).collect();
    for (at, (who, step)) in script.iter().enumerate() {
        assert_eq!(apart(play(&mut through[*who], step)), expected[at], "{name}, client {who}, step {at}");
    }
}

/// Each step of client 0, and after it what it hears of three channels by two reads, of which one may be a hit.
fn heard(steps: &[Step]) -> Vec<(usize, Step)> {
    let mut script = Vec::new();
    steps.iter().for_each(|step| look(&mut script, step.clone(), &["a", "b", "c"]));
    script
}

fn look(script: &mut Vec<(usize, Step)>, step: Step, channels: &[&str]) {
    script.push((0, step));
    for channel in channels {
        script.push((1, q(&format!("NOTIFY {channel}, 'after step {}'", script.len()))));
    }
    script.push((0, q("SELECT v FROM t")));
    script.push((1, q(&format!("SELECT pg_notify('{}', 'again')", channels[0]))));
    script.push((0, x("SELECT v + 1 FROM t")));
}

/// The same of statements; in transaction blocks nothing is sent but on channel `known`. Who listens to anything already is told by PostgreSQL
/// also of what came on a new channel since the block began, before there was a LISTEN: that is not copied.
fn heard_in_blocks(texts: &[&str], known: &str) -> Vec<(usize, Step)> {
    let mut script = Vec::new();
    let mut in_block = false;
    for text in texts {
        in_block |= *text == "BEGIN";
        in_block &= !matches!(*text, "COMMIT" | "ROLLBACK" | "COMMIT; SELECT 1" | "ROLLBACK; SELECT 1");
        look(&mut script, q(text), if in_block { std::slice::from_ref(&known) } else { &["a", "b", "c"] });
    }
    script
}

fn backends(twins: &Twins) -> String {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename = 'app' AND application_name IN ('', 'sidecache listen')",
        twins.database
    );
    twins.cluster.primary.value(&sql)
}

#[test]
fn r20_listening_clients_share_a_connection() {
    let twins = twins("listen_many");
    let mut clients: Vec<Wire> = (0..50).map(|_| twins.through()).collect();
    for client in &mut clients {
        assert_eq!(tags(&client.query("LISTEN a").expect("a connection that lives")), "CZ");
    }
    let status = twins.sidecache.status();
    assert_eq!(status["listening"], serde_json::json!({ "connections": 1, "sessions": 50 }));
    let count: usize = backends(&twins).parse().expect("a number");
    assert!(count <= 4, "{count} connections for 50 clients that listen");
    twins.direct().rows("NOTIFY a, 'all'");
    for client in &mut clients {
        let news = client.read_frame().expect("a notification");
        assert_eq!((news.tag, &news.body[4..]), (b'A', &b"a\0all\0"[..]));
    }
    drop(clients);
    twins.sidecache.await_status("nobody to listen", |status| status["listening"]["connections"] == 0);
    let listens = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sidecache listen' AND datname = ";
    eventually("the connection to close", || {
        (twins.cluster.primary.value(&format!("{listens}'{}'", twins.database)) == "0").then_some(())
    });
}

#[test]
fn r20_listen_counts_from_its_answer() {
    let twins = twins("listen_auto");
    let steps = [
        q("SELECT 1"),
        q("LISTEN a"),
        q("LISTEN A"),
        x("LISTEN b"),
        q("LISTEN \"a\""),
        q("LISTEN \"B\""),
        q("UNLISTEN a"),
        q("UNLISTEN nothing"),
        q("LISTEN select"),
        q("LISTEN \"\""),
        x("UNLISTEN *"),
        q("UNLISTEN *"),
        q("LISTEN c"),
        q("DISCARD ALL"),
        q("LISTEN a"),
        q("LISTEN"),
        q("UNLISTEN a"),
    ];
    same(&twins, "autocommit", &heard(&steps));
    let prepared = [
        ready(Batch::new().parse("l", "LISTEN a", &[]).describe_statement("l").sync()),
        ready(Batch::new().bind("", "l", &[], Format::Text).execute("", 0).sync()),
    ];
    same(&twins, "prepared", &heard(&prepared));
    let long = format!("LISTEN {}", "x".repeat(70));
    let notify = format!("NOTIFY {}, 'long'", "x".repeat(63));
    same(&twins, "a long name", &[(0, q(&long)), (1, q(&notify)), (0, q("SELECT 1"))]);
}

#[test]
fn r20_listen_in_a_transaction_counts_from_its_commit() {
    let twins = twins("listen_block");
    for end in ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "SELECT 1/0", "COMMIT; SELECT 1", "ROLLBACK; SELECT 1"] {
        for before in ["LISTEN c", "SELECT 1"] {
            for within in ["INSERT INTO loud VALUES (1)", "SAVEPOINT s"] {
                let steps =
                    [before, "BEGIN", within, "LISTEN a", "UNLISTEN c", "LISTEN b", "UNLISTEN b", end, "COMMIT"];
                let name = format!("{before}, {within}, {end}");
                same(&twins, &name, &heard_in_blocks(&steps, "c"));
            }
        }
    }
    for end in ["COMMIT", "ROLLBACK", "SELECT 1/0"] {
        same(
            &twins,
            end,
            &heard_in_blocks(&["BEGIN", "LISTEN a", "SELECT v FROM t", end, "COMMIT", "UNLISTEN a"], "c"),
        );
    }
    let savepoints = [
        "LISTEN a",
        "BEGIN",
        "UNLISTEN a",
        "SAVEPOINT s",
        "LISTEN b",
        "ROLLBACK TO s",
        "LISTEN c",
        "RELEASE s",
        "COMMIT",
        "UNLISTEN *",
        "BEGIN",
        "LISTEN a",
        "SAVEPOINT s",
        "UNLISTEN *",
        "ROLLBACK TO s",
        "COMMIT",
    ];
    same(&twins, "savepoints", &heard_in_blocks(&savepoints, "a"));
    let refused = ["BEGIN", "LISTEN a", "PREPARE TRANSACTION 'x'", "ROLLBACK"];
    same(&twins, "two phases", &heard_in_blocks(&refused, "c"));
}

/// What cannot be followed goes to a connection of the session's own, without a gap and without an echo.
#[test]
fn r20_listen_moves_to_an_own_connection() {
    let twins = twins("listen_move");
    let texts: &[&[&str]] = &[
        &["LISTEN a; SELECT 1", "LISTEN b", "UNLISTEN a", "UNLISTEN *"],
        &["LISTEN a", "LISTEN b; SELECT 1", "LISTEN c", "UNLISTEN a; SELECT 2", "UNLISTEN *", "LISTEN c"],
        &["LISTEN a", "SELECT go('LISTEN b')", "SELECT go('UNLISTEN a')", "DISCARD ALL"],
        &["LISTEN a", "DO $$ BEGIN EXECUTE 'UNLISTEN a'; END $$", "LISTEN a"],
        &["LISTEN a", "LISTEN b", "SELECT * FROM pg_listening_channels() ORDER BY 1", "UNLISTEN b", "LISTEN c"],
        &["LISTEN a", "BEGIN", "SELECT v FROM loud", "SELECT go('UNLISTEN a')", "LISTEN b", "COMMIT", "UNLISTEN b"],
        &["LISTEN a", "BEGIN", "INSERT INTO loud VALUES (1)", "SELECT go('LISTEN b')", "ROLLBACK", "LISTEN c"],
        &["BEGIN", "LISTEN a", "SELECT go('LISTEN b')", "COMMIT"],
        &["LISTEN a; SELECT 1", "BEGIN", "UNLISTEN *", "ROLLBACK", "UNLISTEN *"],
        &["BEGIN", "LISTEN a", "SELECT 1; UNLISTEN a", "COMMIT", "LISTEN a"],
        &["LISTEN a", "SET client_encoding = 'LATIN1'", "LISTEN b", "SET client_encoding = 'UTF8'", "LISTEN c"],
        &["CREATE TEMP TABLE mine (v int)", "LISTEN a", "INSERT INTO mine VALUES (1)", "LISTEN b; SELECT 1"],
    ];
    for texts in texts {
        same(&twins, &texts.join(", "), &heard_in_blocks(texts, "a"));
    }
    // As long as the block has not reached a server: what was told before would have the first read go there.
    let texts = ["LISTEN a", "BEGIN", "SELECT * FROM pg_listening_channels()", "LISTEN b", "COMMIT"].map(q);
    let mut script: Vec<_> = texts.map(|text| (0, text)).into();
    look(&mut script, q("SELECT 1"), &["a", "b"]);
    same(&twins, "channels in a block", &script);
    let run = |batch: Batch, text: &str| batch.parse("", text, &[]).bind("", "", &[], Format::Text).execute("", 0);
    let batch = |texts: &[&str]| ready(texts.iter().fold(Batch::new(), |batch, text| run(batch, text)).sync());
    let pipelined = [
        q("LISTEN c"),
        batch(&["LISTEN a", "NOTIFY a, 'mine'"]),
        batch(&["BEGIN", "LISTEN b", "COMMIT"]),
        readies(Batch::new().query("UNLISTEN a").query("NOTIFY a").query("LISTEN a"), 3),
    ];
    same(&twins, "pipelined", &heard(&pipelined));
}

/// A client that listens is told of whatever was sent before its query, and of what its query sent, before that query's end.
#[test]
fn r22_notifications_come_before_the_end_of_the_next_query() {
    let twins = twins("listen_order");
    let (mut listener, mut other) = (twins.through(), twins.through());
    listener.rows("LISTEN a");
    listener.rows("BEGIN");
    listener.rows("SELECT v FROM loud");
    for _ in 0..50 {
        other.rows("NOTIFY a, 'x'");
        assert_eq!(tags(&listener.query("SELECT 1").expect("a connection that lives")), "TDCZ", "in a block");
        assert_eq!(tags(&listener.query("COMMIT").expect("a connection that lives")), "CAZ");
        assert_eq!(tags(&listener.query("NOTIFY a").expect("a connection that lives")), "CAZ");
        assert_eq!(tags(&listener.query("INSERT INTO loud VALUES (1)").expect("a connection that lives")), "CAZ");
        assert_eq!(tags(&listener.query("BEGIN").expect("a connection that lives")), "CZ");
        assert_eq!(tags(&listener.query("NOTIFY a; SELECT 1").expect("a connection that lives")), "CTDCZ");
        assert_eq!(tags(&listener.query("COMMIT").expect("a connection that lives")), "CAZ");
        listener.rows("BEGIN");
        listener.rows("SELECT v FROM t");
    }
}

/// A client knows its own notifications by the process that it was told at the start.
#[test]
fn r22_a_clients_own_notifications_say_so() {
    let twins = twins("listen_pids");
    for listen in ["LISTEN a", "LISTEN a; SELECT 1"] {
        let (mut listener, mut other) = (twins.through(), twins.through());
        listener.rows(listen);
        let own = listener.key.0.to_be_bytes();
        for _ in 0..20 {
            other.rows("NOTIFY a, 'other'");
            let news = listener.read_frame().expect("a notification");
            assert_ne!(news.body[..4], own, "another's");
            let answer = listener.query("NOTIFY a, 'own'").expect("a connection that lives");
            assert_eq!((tags(&answer).as_str(), &answer[1].body[..4]), ("CAZ", &own[..]), "its own, by {listen}");
        }
    }
}

/// Who listens on a connection that is lost has lost notifications, and is told so as if it were its own connection.
#[test]
fn r22_sessions_end_with_the_connection_that_listens_for_them() {
    let twins = twins("listen_lost");
    let (mut idle, mut busy, mut other) = (twins.through(), twins.through(), twins.through());
    idle.rows("LISTEN a");
    busy.rows("LISTEN a");
    busy.rows("BEGIN");
    busy.rows("INSERT INTO loud VALUES (1)");
    other.rows("SELECT 1");
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'sidecache listen'",
        twins.database
    );
    assert_eq!(twins.cluster.primary.value(&sql), "1");
    for client in [&mut idle, &mut busy] {
        let last = client.read_until_ready().expect("a last word");
        assert_eq!(last[0].field(b'C').as_deref(), Some("57P01"));
        assert!(client.read_frame().is_err());
    }
    assert_eq!(other.value("SELECT count(*) FROM loud"), "0", "what was open is rolled back");
    other.rows("LISTEN a");
    other.rows("NOTIFY a");
    assert_eq!(twins.sidecache.status()["listening"]["connections"], 1);
}

/// The same, when it is lost while a statement of theirs runs: that ends as it does, and then they are told.
#[test]
fn r22_a_statement_that_runs_does_not_outlive_the_connection_that_listens() {
    let twins = twins("listen_lost_late");
    let mut client = twins.through();
    client.rows("LISTEN a");
    let mut beside = twins.direct();
    beside.rows("BEGIN; LOCK TABLE loud IN ACCESS EXCLUSIVE MODE");
    client.send(&Batch::new().query("UPDATE loud SET v = v")).expect("a connection that lives");
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("it to wait", || (beside.value(waits) != "0").then_some(()));
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'sidecache listen'",
        twins.database
    );
    assert_eq!(twins.cluster.primary.value(&sql), "1");
    twins.sidecache.await_status("nobody to listen", |status| status["listening"]["connections"] == 0);
    beside.rows("COMMIT");
    assert_eq!(tags(&client.read_until_ready().expect("a last word")), "CE");
}

/// The connection that listens for all is idle for as long as nobody else begins to listen, which is no client's idleness.
#[test]
fn r22_who_listens_does_not_end_by_the_idleness_of_that_connection() {
    let twins = twins("listen_idle");
    let alter = format!("ALTER ROLE app IN DATABASE {} SET idle_session_timeout = '300ms'", twins.database);
    twins.cluster.primary.sql(&alter);
    let mut listener = twins.through();
    listener.rows("LISTEN a");
    let mut idle = twins.direct();
    let last = idle.read_until_ready().expect("a last word");
    assert_eq!(last[0].field(b'C').as_deref(), Some("57P05"));
    twins.direct().rows("NOTIFY a");
    assert_eq!(listener.read_frame().expect("a notification").tag, b'A');
    assert_eq!(listener.value("SELECT v FROM t"), "1");
}

/// PAUSE means that the servers may go: nobody would hear of anything then.
#[test]
fn r22_pause_ends_those_who_listen() {
    let twins = Twins::with("listen_pause", SETUP, |builder| builder.flag("--admin-user", "app"));
    let mut listener = twins.through();
    listener.rows("LISTEN a");
    let login = Login { database: "sidecache".to_owned(), ..twins.sidecache.login("app") };
    let mut operator = Wire::connect(&login).expect("an operator");
    operator.rows("PAUSE");
    let last = listener.read_until_ready().expect("a last word");
    assert_eq!(last[0].field(b'C').as_deref(), Some("57P01"));
    eventually("the server to see them gone", || (backends(&twins) == "0").then_some(()));
    let mut late = twins.through();
    late.send(&Batch::new().query("LISTEN a")).expect("a connection that lives");
    eventually("it to wait", || {
        operator.rows("SHOW CLIENTS").iter().any(|row| row[3].as_deref() == Some("waiting")).then_some(())
    });
    operator.rows("RESUME");
    assert_eq!(tags(&late.read_until_ready().expect("an answer")), "CZ");
}

/// A session that stays in a transaction block while more comes than may wait is ended, and nobody else is.
#[test]
fn r20_who_does_not_take_notifications_is_in_nobodys_way() {
    const SENT: usize = 2_300;
    let twins = twins("listen_slow");
    let (mut slow, mut quick) = (twins.through(), twins.through());
    slow.rows("LISTEN a");
    quick.rows("LISTEN a");
    slow.rows("BEGIN");
    slow.rows("INSERT INTO loud VALUES (1)");
    let taken = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&taken);
    let reader = std::thread::spawn(move || {
        for _ in 0..SENT {
            assert_eq!(quick.read_frame().expect("a notification").tag, b'A');
            counts.fetch_add(1, Ordering::Relaxed);
        }
        quick
    });
    let mut sender = twins.direct();
    for from in (0..SENT).step_by(100) {
        sender.rows(&format!(
            "SELECT count(pg_notify('a', i || repeat('x', 7900))) FROM generate_series({from}, {from} + 99) i"
        ));
        eventually("them to be read", || (taken.load(Ordering::Relaxed) == from + 100).then_some(()));
    }
    let mut quick = reader.join().expect("all were read");
    let last = slow.read_until_ready().expect("a last word");
    assert_eq!(last[0].field(b'C').as_deref(), Some("54000"));
    assert_eq!(quick.value("SELECT 1"), "1");
}

/// Where every client has a connection of its own, LISTEN is left to it.
#[test]
fn r20_listen_in_session_pooling_is_the_connections_own() {
    let cluster = Cluster::shared();
    let database = cluster.database("listen_session");
    let sidecache = Sidecache::build(cluster, &database).pool("session").start();
    let mut listener = sidecache.connect("app");
    listener.rows("LISTEN a");
    assert_eq!(sidecache.status()["listening"]["sessions"], 0);
    assert_eq!(listener.value("SELECT pg_listening_channels()"), "a");
    let answer = listener.query("NOTIFY a").expect("a connection that lives");
    assert_eq!((tags(&answer).as_str(), &answer[1].body[..4]), ("CAZ", &listener.key.0.to_be_bytes()[..]));
}
