//! Transactions whose BEGIN no server has seen: what clients are told, what servers get, and what the cache keeps.

use crate::harness::cluster::Cluster;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format};
use crate::twins::{Step, Twins, queries, ready, until};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 10) i;
    CREATE TABLE w (id int PRIMARY KEY, v text)";

fn b() -> Batch {
    Batch::new()
}

fn run(batch: Batch, sql: &str) -> Batch {
    batch.parse("", sql, &[]).bind("", "", &[], Format::Text).execute("", 0)
}

/// How many statements all servers were sent.
fn sent(sidecache: &Sidecache) -> u64 {
    let status = sidecache.status();
    let servers = status["servers"].as_array().expect("a list of servers");
    servers.iter().map(|server| server["statements"].as_u64().expect("a count")).sum()
}

/// Statements of transactions that stay open on the primary, as other sessions see them.
fn open_transactions(cluster: &Cluster, database: &str) -> String {
    cluster.primary.value(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state LIKE 'idle in transaction%'"
    ))
}

/// BEGIN and its end in every form, alone or in batches, described or not, and what fails between them.
#[test]
fn r8_a_begin_that_no_server_has_seen_answers_as_directly() {
    let twins = Twins::new("deferred", TABLES);
    let read = "SELECT v FROM t WHERE id = 1";
    let failing = "SELECT 1 / (id - 1) FROM t";
    let one = |sql: &str| ready(b().extended(sql, &[], Format::Text));
    let mut script: Vec<Step> = Vec::new();
    for begin in ["BEGIN", "start transaction", "BEGIN TRANSACTION READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ"]
    {
        for end in ["COMMIT", "END WORK", "ROLLBACK", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND NO CHAIN"] {
            for middle in
                ["", read, failing, "SELECT FROM FROM", "INSERT INTO w VALUES (1)", "SAVEPOINT s", "BEGIN", "SHOW x.y"]
            {
                script.extend(queries(&[begin, middle, read, "SELEC", end, "ROLLBACK"]));
                script.extend([one(begin), one(middle), one(read), one(end), one("ROLLBACK")]);
            }
        }
    }
    script.extend([
        ready(b().parse("begin", "BEGIN", &[]).describe_statement("begin").sync()),
        ready(b().bind("", "begin", &[], Format::Text).describe_portal("").execute("", 0).sync()),
        ready(b().bind("p", "begin", &[], Format::Text).execute("p", 0).sync()),
        ready(run(run(b(), read), failing).sync()),
        ready(run(run(b(), read), read).sync()),
        ready(run(b(), "ROLLBACK").sync()),
        ready(run(run(run(b(), "BEGIN"), read), failing).sync()),
        ready(run(run(b(), "COMMIT"), read).sync()),
        one("BEGIN"),
        until(run(b(), read).flush(), b'C'),
        ready(run(b(), failing).sync()),
        ready(b().parse("s", read, &[]).sync()),
        one("COMMIT"),
        one("BEGIN"),
        ready(b().parse("s", read, &[]).bind("named", "s", &[], Format::Text).execute("named", 0).sync()),
        ready(b().execute("named", 0).sync()),
        ready(b().close_portal("named").sync()),
        one("ROLLBACK"),
        one("BEGIN READ ONLY"),
        one("SET TRANSACTION READ WRITE"),
        one("INSERT INTO w VALUES (1)"),
        one("SET LOCAL work_mem = '7MB'"),
        one("SHOW work_mem"),
        one("COMMIT"),
        one("SHOW work_mem"),
        one("BEGIN"),
        one("SAVEPOINT s"),
        one(read),
        one("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
        one("ROLLBACK TO s"),
        one(read),
        one("COMMIT"),
        one("BEGIN READ ONLY"),
        one(read),
        one("SET TRANSACTION READ WRITE"),
        one("SELECT nextval('pg_toast.nothing')"),
        one("ROLLBACK"),
        one("BEGIN"),
        one("SELECT now() = now() AND now() = transaction_timestamp()"),
        one("DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id"),
        one("FETCH 2 FROM c"),
        one("COMMIT"),
        one("BEGIN"),
        ready(b().query("COPY w FROM STDIN").copy_data(b"2\ttwo\n").copy_done()),
        one("COMMIT"),
        one("SELECT * FROM w"),
    ]);
    twins.same("deferred", "TRUNCATE w", &script);
}

/// What is answered here is checked as a server would: no BEGIN takes parameters.
#[test]
fn r8_a_begin_with_parameters_begins_nothing() {
    let twins = Twins::new("bare", TABLES);
    let bound = |sql: &str, types: &[u32], values: &[Option<&str>]| {
        ready(b().parse("", sql, types).bind("", "", values, Format::Text).execute("", 0).sync())
    };
    let formats = |count: usize| {
        let formats = vec![Format::Text; count];
        let batch = b().parse("", "BEGIN", &[]).bind_as("", "", &formats, &[], &[Format::Text, Format::Text]);
        ready(batch.describe_portal("").execute("", 0).sync())
    };
    let mut script = Vec::new();
    for sql in ["BEGIN", "START TRANSACTION READ ONLY", "LISTEN heard", "DEALLOCATE ALL"] {
        script.extend([bound(sql, &[], &[Some("1")]), bound(sql, &[23], &[]), bound(sql, &[23], &[Some("1")])]);
        script.extend(queries(&["COMMIT", "BEGIN", "SELECT v FROM t WHERE id = 1"]));
        script.extend([bound("COMMIT", &[], &[None]), bound("COMMIT", &[], &[])]);
    }
    script.extend([formats(0), formats(1), formats(2), ready(b().sync())]);
    script.extend(queries(&["ROLLBACK", "SELECT pg_notify('heard', '')"]));
    twins.same("BEGIN with parameters", "", &script);
}

/// A hit is a query: behind it PostgreSQL sets a transaction's modes no longer, however that is asked for.
#[test]
fn r8_a_transactions_modes_stand_behind_a_hit() {
    let twins = Twins::new("modes", TABLES);
    let read = "SELECT v FROM t WHERE id = 1";
    let config = |name: &str, value: &str| {
        let batch = b().parse("", "SELECT set_config($1, $2, true)", &[]);
        ready(batch.bind("", "", &[Some(name), Some(value)], Format::Text).execute("", 0).sync())
    };
    let mut script = queries(&[read, read]);
    let modes = [
        ready(b().query("SET LOCAL transaction_isolation = serializable")),
        ready(b().query("SET transaction_isolation = 'repeatable read'")),
        ready(b().query("SET LOCAL transaction_deferrable = on")),
        ready(b().extended("SET LOCAL \"transaction_isolation\" = serializable", &[], Format::Text)),
        ready(b().query("SELECT set_config('transaction_isolation', 'serializable', true)")),
        config("transaction_isolation", "serializable"),
        config("transaction_deferrable", "on"),
        ready(b().query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1")),
        ready(b().query("SET LOCAL transaction_isolation = serializable; SELECT 1")),
    ];
    for mode in modes {
        for begin in ["BEGIN", "BEGIN READ ONLY"] {
            script.extend(queries(&[begin, read]));
            script.push(mode.clone());
            script.extend(queries(&["SHOW transaction_isolation", "COMMIT", begin]));
            script.push(mode.clone());
            script.extend(queries(&["SHOW transaction_isolation", "COMMIT"]));
        }
    }
    for name in ["SET LOCAL transaction_read_only = off", "SET LOCAL transaction_read_only = on"] {
        script.extend(queries(&["BEGIN READ ONLY", read, name, "INSERT INTO w VALUES (1)", "ROLLBACK"]));
    }
    twins.same("modes behind a hit", "", &script);
}

/// A transaction that only hits takes no connection, and sends no server anything.
#[test]
fn r8_a_transaction_of_hits_takes_no_connection() {
    // Elsewhere others make roles, which costs entries.
    let cluster = &*Cluster::quiet();
    let database = cluster.database("hits");
    cluster.connect("app", &database).rows(TABLES);
    let sidecache = Sidecache::start(cluster, &database);
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    let reads = ["SELECT v FROM t WHERE id = 1", "SELECT count(*) FROM t"];
    for read in reads {
        client.value(read);
    }
    let before = (sent(&sidecache), sidecache.count("/cache/hits"));
    for begin in ["BEGIN", "BEGIN READ ONLY"] {
        client.rows(begin);
        for read in reads {
            client.value(read);
            client.extended(read, &[]);
        }
        client.rows("COMMIT");
    }
    assert_eq!((sent(&sidecache) - before.0, sidecache.count("/cache/hits") - before.1), (0, 8));
}

/// A miss in a transaction that has only read runs alone, fills the cache, and leaves no transaction open on a server.
#[test]
fn r8_a_miss_in_a_transaction_that_only_reads_fills() {
    // Elsewhere others make roles, which costs entries.
    let cluster = &*Cluster::quiet();
    let database = cluster.database("fills");
    cluster.connect("app", &database).rows(TABLES);
    let sidecache = Sidecache::start(cluster, &database);
    sidecache.await_stream(cluster);
    let (mut client, mut other) = (sidecache.connect("app"), sidecache.connect("app"));
    let read = "SELECT v FROM t WHERE id = 2";
    client.rows("BEGIN");
    assert_eq!(client.value(read), "row 2");
    assert_eq!(open_transactions(cluster, &database), "0");
    let hits = sidecache.count("/cache/hits");
    assert_eq!(other.value(read), "row 2");
    assert_eq!(sidecache.count("/cache/hits"), hits + 1);
    client.rows("UPDATE t SET v = 'mine' WHERE id = 2");
    assert_eq!(open_transactions(cluster, &database), "1");
    assert_eq!(client.value(read), "mine", "after its own write it reads inside");
    assert_eq!(other.value(read), "row 2");
    client.rows("ROLLBACK");
    assert_eq!(client.value(read), "row 2");
    client.rows("BEGIN");
    assert_eq!(client.value(read), "row 2");
    client.rows("UPDATE t SET v = 'kept' WHERE id = 2");
    client.rows("COMMIT");
    assert_eq!(client.value(read), "kept");
}

/// A write that arrives after reads that ran alone is inside the transaction: all of it or nothing is kept.
#[test]
fn r8_what_needs_the_transaction_brings_its_beginning() {
    let cluster = Cluster::shared();
    let database = cluster.database("brings");
    cluster.connect("app", &database).rows(TABLES);
    let sidecache = Sidecache::start(cluster, &database);
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    let mut beside = cluster.connect("app", &database);
    for end in ["ROLLBACK", "COMMIT"] {
        client.rows("BEGIN");
        client.value("SELECT count(*) FROM t");
        client.extended("INSERT INTO w VALUES ($1::int, 'a')", &[Some("1")]);
        client.rows("INSERT INTO w VALUES (2, 'b')");
        assert_eq!(beside.value("SELECT count(*) FROM w"), "0");
        client.rows(end);
        assert_eq!(beside.value("SELECT count(*) FROM w"), if end == "COMMIT" { "2" } else { "0" });
    }
    // One that failed on its own fails the whole of it.
    client.rows("BEGIN");
    assert_eq!(client.error("SELECT 1 / (id - 1) FROM t"), "22012");
    assert_eq!(client.error("INSERT INTO w VALUES (3, 'c')"), "25P02");
    client.rows("COMMIT");
    assert_eq!(beside.value("SELECT count(*) FROM w"), "2");
}

/// What READ ONLY transactions read goes to replicas; what only a real transaction can answer does not.
#[test]
fn r8_read_only_transactions_read_on_replicas() {
    let cluster = Cluster::shared();
    let database = cluster.database("readonly");
    cluster.connect("app", &database).rows(TABLES);
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, &database).cache("off").start();
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    let on_primary = || {
        let status = sidecache.status();
        let servers = status["servers"].as_array().expect("a list of servers");
        servers.iter().find(|s| s["name"] == "primary").and_then(|s| s["statements"].as_u64()).expect("a primary")
    };
    crate::harness::eventually("a read of a replica", || {
        client.rows("BEGIN READ ONLY");
        let before = on_primary();
        assert_eq!(client.value("SELECT v FROM t WHERE id = 1"), "row 1");
        let elsewhere = on_primary() == before;
        client.rows("COMMIT");
        elsewhere.then_some(())
    });
    client.rows("BEGIN READ ONLY");
    let before = on_primary();
    let first = client.value("SELECT now()");
    assert_eq!(client.value("SELECT now()"), first, "a transaction has one time");
    assert_eq!(client.error("INSERT INTO w VALUES (1)"), "25006");
    assert_eq!(on_primary() - before, 3);
    client.rows("ROLLBACK");
    client.rows("BEGIN");
    let before = on_primary();
    client.value("SELECT v FROM t WHERE id = 1");
    assert_eq!(on_primary() - before, 1, "what may write yet reads on the primary");
    client.rows("ROLLBACK");
}
