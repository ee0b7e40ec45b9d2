//! What Sidecache says of a statement: in a session by EXPLAIN (SIDECACHE), on the command line, and on the console, where
//! no literal shows.

use super::watched::Watched;
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Frame, Login, Wire, rows, tags};

const SETUP: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 10) i";

fn lines(rows: &[Vec<Option<String>>]) -> Vec<String> {
    rows.iter().map(|row| row[0].clone().expect("a line")).collect()
}

/// The lines by which the statement is explained to the client.
fn explained(client: &mut Wire, sql: &str) -> Vec<String> {
    lines(&client.rows(&format!("EXPLAIN (SIDECACHE) {sql}")))
}

/// What is said under this name.
fn said<'a>(lines: &'a [String], name: &str) -> &'a str {
    let line = lines.iter().find(|line| line.starts_with(&format!("{name:<12} ")));
    &line.unwrap_or_else(|| panic!("nothing of {name} in {lines:#?}"))[13..]
}

/// The name and the type of each column.
fn columns(frame: &Frame) -> Vec<(String, u32)> {
    let mut rest = &frame.body[2..];
    let mut columns = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let oid = u32::from_be_bytes(rest[end + 7..end + 11].try_into().expect("four bytes"));
        columns.push((String::from_utf8_lossy(&rest[..end]).into_owned(), oid));
        rest = &rest[end + 19..];
    }
    columns
}

/// A read is explained as it stands in this session: before it is stored, once it is, after the session's own write, in a
/// transaction; and the hit that is told of comes.
#[test]
fn a_session_is_told_what_becomes_of_its_statement() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::on(&cluster, "explained", SETUP);
    let mut client = watched.client();
    watched.hear();
    let read = "SELECT v FROM t WHERE id = 1";
    let before = watched.sidecache.status()["cache"].clone();
    let told = eventually("the replica to be fit", || {
        let told = explained(&mut client, read);
        said(&told, "now").contains("replica-1").then_some(told)
    });
    assert_eq!(said(&told, "kind"), "read");
    assert_eq!(said(&told, "now"), "a miss; replica-1: least_outstanding");
    assert!(said(&told, "replica").starts_with("replica-1 may answer"), "{told:#?}");
    assert_eq!((said(&told, "cached"), said(&told, "depends on")), ("yes", "public.t"));
    assert!(
        said(&told, "invalidated").contains("precision: relation") && said(&told, "key").contains(read),
        "{told:#?}"
    );
    let after = watched.sidecache.status()["cache"].clone();
    assert_eq!((&before["hits"], &before["misses"]), (&after["hits"], &after["misses"]), "to explain is not to ask");
    watched.warm(&mut client, read);
    assert!(said(&explained(&mut client, read), "now").starts_with("a hit in memory (as text)"));
    assert!(watched.look(|| client.value(read)).0, "as it was told");

    let _paused = cluster.pause_replay(0);
    client.rows("UPDATE t SET v = 'new' WHERE id = 1");
    let told = explained(&mut client, read);
    assert!(said(&told, "replica").starts_with("replica-1 passed over: below_floor"), "{told:#?}");
    assert!(said(&told, "now").ends_with("primary: below_floor"), "{told:#?}");
    client.rows("BEGIN");
    client.rows("UPDATE t SET v = v WHERE id = 2");
    assert_eq!(said(&explained(&mut client, read), "now"), "no hit: in_transaction; primary: held");
    client.rows("ROLLBACK");
    client.rows("SET sidecache.consistency = 'strong'");
    assert!(said(&explained(&mut client, read), "replica").starts_with("replica-1 passed over: strong"));
}

/// Every other statement has its kind and its reason, and the command line says the same.
#[test]
fn refusals_are_named_alike_in_sessions_and_on_the_command_line() {
    let cluster = Cluster::shared();
    let watched = Watched::on(cluster, "refused", SETUP);
    watched.hear();
    let mut client = watched.client();
    for (sql, kind, cached) in [
        ("SELECT random() FROM t", "read", "no: volatile_function"),
        ("SELECT v FROM t WHERE id = 1", "read", "yes"),
        ("SELECT nextval('s')", "unproven: counts as a write of everything", "no: volatile_function"),
        ("UPDATE t SET v = 'x'", "write", "no: not_a_read"),
        ("SELECT * FROM missing", "unproven: counts as a write of everything", "no: unknown_relation"),
        ("SELECT * FROM pg_class", "read", "no: system_catalog"),
        ("SELEC 1", "unproven: counts as a write of everything", "no: unparsed"),
        ("/* sidecache: off */ SELECT v FROM t", "read", "no: hint"),
    ] {
        let told = explained(&mut client, sql);
        assert_eq!((said(&told, "kind"), said(&told, "cached")), (kind, cached), "{sql}");
        let text = watched.sidecache.explain(sql);
        let printed: Vec<String> = text.lines().map(str::to_owned).collect();
        for name in ["kind", "goes to", "cached"] {
            assert_eq!(said(&printed, name), said(&told, name), "{sql}");
        }
    }
    assert_eq!(said(&explained(&mut client, "SELECT random() FROM t"), "functions"), "random (volatile)");
    assert_eq!(said(&explained(&mut client, "SELECT random() FROM t"), "reads"), "public.t");
    let printed = watched.sidecache.explain("SELECT v FROM t");
    assert!(printed.contains("\nreplica      replica-1 ") && printed.contains("\nnow          "), "{printed}");
}

/// Drivers ask for the description first, bind, and run: they get EXPLAIN's shape at each step, and the key is the one that
/// the statement itself would have.
#[test]
fn explanations_come_by_the_extended_protocol_with_parameters() {
    let watched = Watched::shared("explained_extended", SETUP);
    let mut client = watched.client();
    watched.hear();
    let read = "SELECT v FROM t WHERE id = $1";
    let one = [Some("1")];
    eventually("a hit", || watched.look(|| client.extended(read, &one)).0.then_some(()));
    let sql = format!("EXPLAIN (SIDECACHE) {read}");
    let prepare = Batch::new().parse("e", &sql, &[]).describe_statement("e").sync();
    let frames = client.run(&prepare).expect("it lives");
    assert_eq!(tags(&frames), "1tTZ", "{frames:?}");
    assert_eq!(frames[1].body, [&1u16.to_be_bytes()[..], &23u32.to_be_bytes()].concat(), "one int4");
    assert_eq!(columns(&frames[2]), [("QUERY PLAN".to_owned(), 25)]);
    let run = |parameter: &str| Batch::new().bind("", "e", &[Some(parameter)], Format::Text).execute("", 0).sync();
    let told = lines(&rows(&client.run(&run("1")).expect("it lives")).expect("rows"));
    assert!(said(&told, "now").starts_with("a hit in memory"), "{told:#?}");
    let told = lines(&rows(&client.run(&run("7777")).expect("it lives")).expect("rows"));
    assert!(said(&told, "now").starts_with("a miss; "), "{told:#?}");
    let whole = Batch::new().extended(&sql, &one, Format::Binary);
    let frames = client.run(&whole).expect("it lives");
    assert!(tags(&frames).starts_with("12TDDD") && tags(&frames).ends_with("CZ"), "{frames:?}");
    let frames = client.query(&format!("EXPLAIN (SIDECACHE, FORMAT JSON) {read}")).expect("it lives");
    assert_eq!(columns(&frames[0]), [("QUERY PLAN".to_owned(), 114)]);
    let json: serde_json::Value =
        serde_json::from_slice(frames[1].columns()[0].as_deref().expect("a text")).expect("JSON");
    assert_eq!(json[0]["kind"], "read", "{json}");
    // Where it cannot be answered alone it fails, and the batch with it, as a statement of a server's would.
    let batch = Batch::new().parse("", "SELECT 1", &[]).bind("", "", &[], Format::Text).execute("", 0);
    let frames = client.run(&batch.bind("", "e", &one, Format::Text).execute("", 0).sync()).expect("it lives");
    assert_eq!(tags(&frames), "12DC2EZ", "{frames:?}");
    assert_eq!(frames[5].field(b'C').as_deref(), Some("0A000"));
    // All other forms are PostgreSQL's.
    for sql in ["EXPLAIN SELECT v FROM t", "EXPLAIN (FORMAT JSON) SELECT v FROM t", "EXPLAIN ANALYZE SELECT v FROM t"] {
        let (mut direct, ours) = (watched.beside(), client.query(sql).expect("it lives"));
        assert_eq!(columns(&ours[0]), columns(&direct.query(sql).expect("it lives")[0]), "{sql}");
    }
    assert_eq!(client.error("EXPLAIN (SIDECACHE, NONSENSE) SELECT 1"), "42601");
    assert_eq!(client.error("EXPLAIN (SIDECACHE)"), "42601");
}

fn console(sidecache: &Sidecache) -> Wire {
    let login = Login { database: "sidecache".to_owned(), ..sidecache.login("app") };
    Wire::connect(&login).expect("an operator")
}

/// The console tells where statements went, why, and what was passed over; of their texts no literal, and no value of a SET.
#[test]
fn the_console_tells_of_routes_without_literals() {
    let cluster = Cluster::build().replicas(1).start();
    let watched = Watched::with(&cluster, "console_routes", SETUP, |builder| {
        builder.flag("--admin-user", "app").flag("--zone", "here")
    });
    watched.hear();
    let mut client = watched.client();
    let secret = "hunter2";
    eventually("a read on the replica", || {
        client.rows(&format!("SELECT v FROM t WHERE v = '{secret}' /* {secret} */"));
        let status = watched.sidecache.status();
        (status["servers"][1]["statements"].as_u64() > Some(0)).then_some(())
    });
    client.rows(&format!("UPDATE t SET v = '{secret}' WHERE id = 1"));
    client.rows(&format!("SET app.token = {secret}"));
    client.rows("SELECT random(), v FROM t");
    client.query(&format!("SELECT '{secret}")).expect("an error is an answer");
    let mut operator = console(&watched.sidecache);
    let routes = operator.rows("SHOW ROUTES");
    let find = |statement: &str, reason: &str| {
        let is = |row: &&Vec<Option<String>>| row[1].as_deref() == Some(statement) && row[3].as_deref() == Some(reason);
        routes.iter().find(is).unwrap_or_else(|| panic!("no {statement}, {reason} in {routes:#?}")).clone()
    };
    let read = find("select v from t where v = ?", "least_outstanding");
    assert_eq!((read[2].as_deref(), read[5].as_deref()), (Some("replica-1"), None), "{read:?}");
    let write = find("update t set v = ? where id = ?", "not_a_read");
    assert_eq!((write[2].as_deref(), write[6].as_deref()), (Some("primary"), Some("1")), "{write:?}");
    let queries = operator.rows("SHOW QUERIES");
    assert!(queries.iter().any(|row| row[2].as_deref() == Some("volatile_function")), "{queries:#?}");
    let replicas = operator.rows("SHOW REPLICAS");
    let roles: Vec<_> = replicas.iter().map(|row| row[2].as_deref().unwrap_or_default()).collect();
    assert_eq!(roles, ["primary", "replica"]);
    let refusals = operator.rows("SHOW REFUSALS");
    assert!(refusals.iter().any(|row| row[1].as_deref() == Some("volatile_function")), "{refusals:#?}");
    let cache = operator.rows("SHOW CACHE");
    assert!(cache.iter().any(|row| row[0].as_deref() == Some("fills_stored")), "{cache:#?}");
    assert_eq!(operator.rows("SHOW STREAM")[0][0].as_deref(), Some("live"));
    for what in ["ROUTES", "QUERIES", "REFUSALS", "CACHE", "STREAM", "REPLICAS"] {
        let shown = format!("{:?}", operator.rows(&format!("SHOW {what}")));
        assert!(!shown.contains(secret), "SHOW {what}: {shown}");
    }
}
