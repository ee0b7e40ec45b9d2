//! Fourteen years of one query cache's bugs, each a test: what it served wrong must be right here. Those of the list that are
//! not here stand beside what they resemble: roles and rights (g1, g2), names (g10), prepared statements (g4), orders of messages (g16).

use crate::cacheable::{READ, TABLE, refused, said};
use crate::coherent::{case, holds};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::SidecacheBuilder;
use crate::harness::wire::{Batch, Format, Wire, tags};
use crate::shapes::alike;
use crate::watched::{Watched, text};

/// One execution of an unnamed statement without parameters.
fn limited(sql: &str, limit: u32) -> Batch {
    Batch::new().parse("", sql, &[]).bind("", "", &[], Format::Text).execute("", limit).sync()
}

#[test]
fn g5_what_is_written_with_a_row_limit_counts() {
    let cluster = Cluster::quiet();
    let watched = Watched::quiet(&cluster, "g5_limit", TABLE);
    let (mut client, mut other) = (watched.client(), watched.client());
    let read = "SELECT count(*), sum(x) FROM t";
    // As JDBC does. With RETURNING, not all rows are told, though all are written.
    for write in [
        "INSERT INTO t VALUES (3)",
        "INSERT INTO t SELECT 4 FROM generate_series(1, 3) RETURNING x",
        "UPDATE t SET x = x + 1",
        "WITH gone AS (DELETE FROM t WHERE x = 5 RETURNING x) SELECT x FROM gone",
        "DELETE FROM t",
    ] {
        watched.warm(&mut client, read);
        let before = watched.warm(&mut other, read);
        let right = watched.unheard(|| {
            let told = tags(&said(&mut client, &limited(write, 1)));
            assert!(!told.contains('E'), "{write}: {told}");
            let right = text(&watched.beside().rows(read));
            assert_ne!(before, right, "{write}: changes nothing");
            assert_eq!(watched.look(|| text(&other.rows(read))), (true, before), "{write}: nothing was heard");
            assert_eq!(text(&client.rows(read)), right, "{write}: the session's own");
            right
        });
        watched.hear();
        assert_eq!(text(&other.rows(read)), right, "{write}: another's");
    }
}

#[test]
fn g6_a_part_of_an_answer_is_never_the_answer() {
    let watched = Watched::shared("g6_partial", "CREATE TABLE t(x int); INSERT INTO t VALUES (1), (2), (3)");
    let (mut client, mut direct) = (watched.client(), watched.beside());
    let all = || Batch::new().parse("", READ, &[]).bind("", "", &[], Format::Text);
    // Nothing is cached yet: the parts come first.
    for _ in 0..3 {
        assert_eq!(tags(&said(&mut client, &limited(READ, 2))), "12DDsZ");
    }
    assert_eq!((watched.hits(), watched.stored()), (0, 0), "a part was kept");
    let whole = || limited(READ, 0);
    assert_eq!(tags(&said(&mut client, &whole())), "12DDDCZ", "a part was served as the whole");
    // Now the whole is cached, and asked for in parts.
    eventually("a hit", || watched.look(|| said(&mut client, &whole())).0.then_some(()));
    for (name, batch, cached) in [
        ("whole", whole(), true),
        ("one", all().execute("", 1).sync(), false),
        ("as many as there are", all().execute("", 3).sync(), false),
        ("more than there are", all().execute("", 4).sync(), false),
        ("one by one", all().describe_portal("").execute("", 1).execute("", 1).execute("", 5).sync(), false),
        ("a portal that has ended", all().execute("", 0).execute("", 0).sync(), false),
        ("a limit on one that has ended", all().execute("", 0).execute("", 1).sync(), false),
        ("whole again", whole(), true),
    ] {
        alike(&watched, &mut client, &mut direct, name, &batch, cached);
    }
    // A portal that lives on in its transaction.
    for wire in [&mut client, &mut direct] {
        wire.rows("BEGIN");
        let bound = Batch::new().parse("s", READ, &[]).bind("p", "s", &[], Format::Text);
        let steps = [(bound.execute("p", 2), "12DDsZ"), (Batch::new().execute("p", 0), "DCZ")];
        for (batch, told) in steps {
            assert_eq!(tags(&said(wire, &batch.sync())), told);
        }
        assert_eq!(tags(&said(wire, &Batch::new().execute("p", 0).sync())), "CZ", "it has ended");
        wire.rows("COMMIT");
    }
}

#[test]
fn g8_a_table_is_written_under_another_name() {
    let table = "CREATE TABLE a(x int); INSERT INTO a VALUES (1), (2)";
    holds(
        "g8_alias",
        &[
            case("update", table, "SELECT sum(x) FROM a", &["UPDATE a AS q SET x = q.x + 10 WHERE q.x = 1"]),
            case("update_only", "", "SELECT sum(x) FROM a", &["UPDATE ONLY a AS q SET x = q.x + 10 WHERE q.x = 2"]),
            case("without_as", "", "SELECT sum(x) FROM a", &["UPDATE a q SET x = 7 WHERE q.x = 12"]),
            case("delete_using_itself", "", "SELECT sum(x) FROM a", &["DELETE FROM a z USING a y WHERE z.x < y.x"]),
            case(
                "under_the_name_of_another",
                "CREATE TABLE b(x int)",
                "SELECT count(*) FROM b",
                &["INSERT INTO b AS a SELECT x FROM a AS b"],
            ),
        ],
    );
}

#[test]
fn g9_every_statement_of_a_transaction_counts() {
    let three = "CREATE TABLE a(x int); CREATE TABLE b(x int); CREATE TABLE c(x int)";
    let in_one = &[
        "BEGIN",
        "INSERT INTO a VALUES (1)",
        "INSERT INTO b VALUES (1), (2)",
        "SELECT count(*) FROM a",
        "INSERT INTO c VALUES (1), (2), (3)",
        "END",
    ];
    holds(
        "g9_several",
        &[
            case("the_first", three, "SELECT count(*) FROM a", in_one),
            case("in_the_middle", "", "SELECT count(*) FROM b", in_one),
            case("the_last", "", "SELECT count(*) FROM c", in_one),
            case(
                "all",
                "",
                "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c)",
                &["BEGIN", "DELETE FROM c", "DELETE FROM a", "INSERT INTO b SELECT x FROM b", "COMMIT"],
            ),
        ],
    );
}

#[test]
fn g11_a_write_among_other_statements_counts() {
    holds(
        "g11_texts",
        &[
            case(
                "behind_a_read",
                "CREATE TABLE a(x int)",
                "SELECT count(*) FROM a",
                &["SELECT count(*) FROM a; INSERT INTO a VALUES (1)"],
            ),
            case("before_a_read", "", "SELECT count(*) FROM a", &["INSERT INTO a VALUES (2); SELECT count(*) FROM a"]),
            case("between", "", "SELECT count(*) FROM a", &["SELECT 1; UPDATE a SET x = 9; DELETE FROM a; SELECT 2"]),
            case("in_a_block", "", "SELECT count(*) FROM a", &["BEGIN; INSERT INTO a VALUES (3); COMMIT; SELECT 1"]),
            case("behind_a_comment", "", "SELECT count(*) FROM a", &["/* SELECT */ SELECT 1 /* ; */;; DELETE FROM a"]),
        ],
    );
}

#[test]
fn g12_a_transaction_is_answered_by_its_own_state() {
    let watched = Watched::shared("g12_transaction", TABLE);
    let (mut client, mut other) = (watched.client(), watched.client());
    assert_eq!(watched.warm(&mut client, READ), "1;2");
    client.rows("BEGIN");
    assert_eq!(watched.look(|| text(&client.rows(READ))), (true, "1;2".to_owned()), "nothing written yet");
    client.rows("INSERT INTO t VALUES (3)");
    for _ in 0..3 {
        assert_eq!(watched.look(|| text(&client.rows(READ))), (false, "1;2;3".to_owned()), "its own write");
        assert_eq!(text(&other.rows(READ)), "1;2", "which is nobody else's yet");
    }
    assert_eq!(tags(&said(&mut client, &limited(READ, 0))), "12DDDCZ", "its own write, asked for otherwise");
    // What failed answers nothing any more, however warm the answer is for others.
    client.error("SELECT 1 / 0");
    assert_eq!(watched.warm(&mut other, READ), "1;2");
    refused(&mut client, READ, "25P02");
    let frames = said(&mut client, &limited(READ, 0));
    assert_eq!(frames.iter().find_map(|f| f.field(b'C')).as_deref(), Some("25P02"), "{frames:?}");
    client.rows("ROLLBACK");
    assert_eq!(text(&client.rows(READ)), "1;2", "as if it had not been");
    // In one batch, which is one transaction too.
    let write = Batch::new().parse("", "DELETE FROM t WHERE x = 1", &[]).bind("", "", &[], Format::Text);
    let batch = write.execute("", 0).parse("", READ, &[]).bind("", "", &[], Format::Text).execute("", 0).sync();
    assert_eq!(tags(&said(&mut client, &batch)), "12C12DCZ", "its own write in a pipeline");
}

/// Reads whose answer the time zone decides, and whether a hit must be met.
const ZONED: &[(&str, bool)] = &[
    ("SELECT tz FROM v", true),
    ("SELECT tz::text FROM v", true),
    ("SELECT 'at ' || tz FROM v", false),
    ("SELECT ts::timestamptz FROM v", true),
    ("SELECT date_trunc('day', tz) FROM v", true),
    ("SELECT timezone('America/New_York', ts) FROM v", true),
    ("SELECT ts AT TIME ZONE 'America/New_York' FROM v", true),
    ("SELECT to_timestamp(s) FROM v", true),
    ("SELECT to_timestamp('2026-01-02 03', 'YYYY-MM-DD HH24') FROM v", true),
    ("SELECT make_timestamptz(2026, 7, 1, 0, 0, 0) FROM v", true),
    ("SELECT max(tz) FROM v", true),
    ("SELECT to_char(tz, 'HH24:MI TZ') FROM v", true),
    ("SELECT extract(hour FROM tz) FROM v", true),
    ("SELECT tz::date FROM v", true),
    ("SELECT row_to_json(v) FROM v", false),
    ("SELECT count(*) FROM v WHERE tz < '2026-01-02 10:00'", true),
    ("SELECT array_agg(tz) FROM v", true),
    ("SELECT own(s) FROM v", true),
];

#[test]
fn g14_times_are_told_in_the_sessions_own_time_zone() {
    let watched = Watched::shared(
        "g14_zones",
        "CREATE TABLE v(tz timestamptz, ts timestamp, s float8);\
         INSERT INTO v VALUES ('2026-01-02 03:04:05Z', '2026-01-02 03:04:05', 1767323045);\
         CREATE FUNCTION own(float8) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS 'SELECT to_timestamp($1)'",
    );
    let (mut client, mut direct) = (watched.client(), watched.beside());
    let plain: Vec<String> = ZONED.iter().map(|(read, _)| text(&direct.rows(read))).collect();
    let mut differ = vec![false; ZONED.len()];
    // In a transaction nothing is stored, and a zone that is told as an interval is not understood: no hits there.
    for (set, reset, hits) in [
        ("SET TIME ZONE 'Asia/Tokyo'", "RESET TIME ZONE", true),
        ("SET TIME ZONE -7.5", "SET TIME ZONE DEFAULT", true),
        ("SET TIME ZONE INTERVAL '+05:45' HOUR TO MINUTE", "SET TIME ZONE LOCAL", false),
        ("SET SESSION TIME ZONE 'EST5EDT'", "RESET ALL", true),
        ("SET timezone TO 'Pacific/Auckland'", "SET TimeZone = 'UTC'", true),
        ("BEGIN; SET LOCAL TIME ZONE 'Asia/Kolkata'", "COMMIT", false),
    ] {
        // Warm for those whose zone is the server's, then asked for in another.
        for ((read, cached), plain) in ZONED.iter().zip(&plain) {
            let here = if *cached { watched.warm(&mut client, read) } else { text(&client.rows(read)) };
            assert_eq!(here, *plain, "{read}");
        }
        let mut other = watched.client();
        for statement in set.split("; ") {
            other.rows(statement);
            direct.rows(statement);
        }
        let right: Vec<String> = ZONED.iter().map(|(read, _)| text(&direct.rows(read))).collect();
        for (at, (read, cached)) in ZONED.iter().enumerate() {
            differ[at] |= right[at] != plain[at];
            assert_eq!(text(&other.rows(read)), right[at], "{set}: {read}");
            let again = if *cached && hits { watched.warm(&mut other, read) } else { text(&other.rows(read)) };
            assert_eq!(again, right[at], "{set}: {read}, again");
        }
        direct.rows(reset);
        other.rows(reset);
        for ((read, _), plain) in ZONED.iter().zip(&plain) {
            assert_eq!(text(&other.rows(read)), *plain, "{set}, {reset}: {read}");
        }
    }
    for ((read, _), differ) in ZONED.iter().zip(differ) {
        assert!(differ, "{read}: no zone makes a difference");
    }
}

#[test]
fn g17_where_reads_go_never_decides_what_may_be_served() {
    type Change = fn(SidecacheBuilder) -> SidecacheBuilder;
    let routings: [(&str, Change); 6] = [
        ("as it comes", |b| b),
        ("no replica", SidecacheBuilder::no_replicas),
        ("session pool", |b| b.pool("session")),
        ("one connection", |b| b.flag("--pool-size", "1")),
        ("zone", |b| b.flag("--zone", "here")),
        ("bounded", |b| b.consistency("bounded")),
    ];
    for (name, change) in routings {
        let watched = Watched::with(Cluster::shared(), "g17_routing", TABLE, change);
        let (mut client, mut other) = (watched.client(), watched.client());
        assert_eq!(watched.warm(&mut client, READ), "1;2", "{name}");
        assert_eq!(watched.look(|| text(&other.rows(READ))), (true, "1;2".to_owned()), "{name}: for others");
        // A write beside.
        watched.beside().rows("INSERT INTO t VALUES (3)");
        watched.hear();
        assert_eq!(text(&client.rows(READ)), "1;2;3", "{name}: a write beside");
        assert_eq!(watched.warm(&mut client, READ), "1;2;3", "{name}");
        // A transaction's own.
        client.rows("BEGIN");
        client.rows("DELETE FROM t WHERE x = 1");
        assert_eq!(watched.look(|| text(&client.rows(READ))), (false, "2;3".to_owned()), "{name}: its own write");
        client.rows("ROLLBACK");
        // A write through.
        client.rows("DELETE FROM t WHERE x = 2");
        if name != "bounded" {
            assert_eq!(text(&client.rows(READ)), "1;3", "{name}: the session's own write");
        }
        watched.hear();
        assert_eq!(text(&other.rows(READ)), "1;3", "{name}: a write through");
        // What is never cached is not, wherever it runs.
        client.rows("SELECT 1");
        watched.never_cached(&mut other, "SELECT x, random() FROM t");
    }
}

/// Sends the rows of a `COPY … FROM STDIN` with it.
fn copy(client: &mut Wire, sql: &str, data: &[u8]) -> String {
    tags(&client.run(&Batch::new().query(sql).copy_data(data).copy_done()).expect("a connection that lives"))
}

#[test]
fn c10_g18_copy_counts_as_a_write() {
    let cluster = Cluster::quiet();
    let view = "CREATE VIEW v AS SELECT x FROM t WHERE x > 1";
    let watched = Watched::quiet(&cluster, "c10_copy", &format!("{TABLE}; {view}"));
    let (mut client, mut other) = (watched.client(), watched.client());
    let into = "COPY t FROM STDIN";
    assert_eq!(watched.warm(&mut client, READ), "1;2");
    // Through Sidecache: at once for who copied, as soon as it was heard for others.
    watched.unheard(|| {
        assert_eq!(copy(&mut client, into, b"3\n"), "GCZ");
        assert_eq!(watched.look(|| text(&other.rows(READ))), (true, "1;2".to_owned()), "nothing was heard");
        assert_eq!(text(&client.rows(READ)), "1;2;3", "the session's own copy");
    });
    watched.hear();
    assert_eq!(text(&other.rows(READ)), "1;2;3", "another's copy");
    assert_eq!(watched.warm(&mut other, READ), "1;2;3");
    // The extended protocol.
    let extended = Batch::new().parse("", into, &[]).bind("", "", &[], Format::Text).execute("", 0).sync();
    watched.unheard(|| {
        client.send(&extended).expect("a connection that lives");
        client.read_until(b'G').expect("it takes rows");
        let frames = client.run(&Batch::new().copy_data(b"4\n").copy_done().sync()).expect("a connection that lives");
        assert_eq!(tags(&frames), "CZ");
        assert_eq!(text(&client.rows(READ)), "1;2;3;4", "the session's own copy, extended");
    });
    watched.hear();
    assert_eq!(watched.warm(&mut other, "SELECT count(*) FROM v"), "3");
    // Beside it, and read through a view.
    assert_eq!(copy(&mut watched.beside(), into, b"5\n6\n"), "GCZ");
    watched.hear();
    assert_eq!(text(&other.rows("SELECT count(*) FROM v")), "5", "a copy beside");
    assert_eq!(watched.warm(&mut other, READ), "1;2;3;4;5;6");
    // In a transaction: its own, nobody else's, and gone when it is undone.
    client.rows("BEGIN");
    assert_eq!(copy(&mut client, into, b"7\n"), "GCZ");
    assert_eq!(watched.look(|| text(&client.rows(READ))), (false, "1;2;3;4;5;6;7".to_owned()), "in its transaction");
    assert_eq!(text(&other.rows(READ)), "1;2;3;4;5;6", "not yet another's");
    client.rows("ROLLBACK");
    assert_eq!(text(&client.rows(READ)), "1;2;3;4;5;6");
    // One that fails writes nothing.
    assert_eq!(copy(&mut client, into, b"8\nnine\n"), "GEZ");
    assert_eq!(text(&client.rows(READ)), "1;2;3;4;5;6");
    // A copy out of a statement that writes.
    watched.unheard(|| {
        let frames = client.query("COPY (DELETE FROM t WHERE x > 2 RETURNING x) TO STDOUT").expect("it lives");
        assert_eq!(tags(&frames), "HddddcCZ");
        assert_eq!(text(&client.rows(READ)), "1;2", "the session's own copy out");
    });
    watched.hear();
    assert_eq!(text(&other.rows(READ)), "1;2", "another's copy out");
}

#[test]
fn g18_what_logical_replication_applies_counts() {
    let publisher = Cluster::build().replicas(0).start();
    let source = publisher.database("g18_source");
    let mut origin = publisher.connect("postgres", &source);
    origin.rows("CREATE TABLE t(x int PRIMARY KEY); CREATE TABLE other(y int); INSERT INTO t VALUES (1), (2)");
    origin.rows("CREATE PUBLICATION p FOR TABLE t, other");
    let cluster = Cluster::build().replicas(0).start();
    let watched = Watched::on(&cluster, "g18_applied", "CREATE TABLE t(x int PRIMARY KEY); CREATE TABLE other(y int)");
    let mut client = watched.client();
    assert_eq!(watched.warm(&mut client, READ), "");
    // The rows that were there are copied, by a worker of its own.
    let mut root = cluster.connect("postgres", &watched.database);
    root.rows(&format!(
        "CREATE SUBSCRIPTION s CONNECTION '{}' PUBLICATION p",
        publisher.primary_url("postgres", &source)
    ));
    let mut direct = watched.beside();
    let mut applied = |what: &str, rows: &str| {
        eventually(what, || (text(&direct.rows(READ)) == rows).then_some(()));
        // A subscription commits asynchronously: what is seen may be flushed, and so be told, a moment later.
        root.rows("SELECT pg_logical_emit_message(true, 'test', 'flushed')");
        watched.hear();
        assert_eq!(text(&client.rows(READ)), rows, "{what}");
        assert_eq!(watched.warm(&mut client, READ), rows, "{what}");
    };
    applied("the first copy", "1;2");
    for (write, rows) in [
        ("INSERT INTO t VALUES (3)", "1;2;3"),
        ("UPDATE t SET x = 4 WHERE x = 3", "1;2;4"),
        ("DELETE FROM t WHERE x = 1", "2;4"),
        ("BEGIN; INSERT INTO other VALUES (1); INSERT INTO t VALUES (5); COMMIT", "2;4;5"),
        ("TRUNCATE t", ""),
    ] {
        origin.rows(write);
        applied(write, rows);
    }
}
