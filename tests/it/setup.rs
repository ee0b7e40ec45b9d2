//! `sidecache setup`, and what its event triggers add to the stream: on a real primary, and seen from a client.

use crate::feed::Heard;
use crate::harness::cluster::Cluster;
use crate::harness::sidecache::Sidecache;
use crate::watched::Watched;

/// The SQL as it is printed.
pub fn printed(cluster: &Cluster, database: &str) -> String {
    let (status, sql, err) = Sidecache::build(cluster, database).run("setup", &[]);
    assert!(status.success(), "{err}");
    sql
}

/// `check` asks for what `setup` prints, which may be run twice, and `--run` runs it as who may; who may not is told.
#[test]
fn setup_prints_or_runs_what_check_misses() {
    let cluster = Cluster::shared();
    let database = cluster.database("setup_runs");
    let check = || Sidecache::build(cluster, &database).run("check", &[]).1;
    assert!(check().contains("warn  no event triggers") && check().contains("> sidecache setup | psql"), "{}", check());

    let as_user = |user: &str| Sidecache::build(cluster, &database).primary(&cluster.primary_url(user, &database));
    let (status, _, err) = as_user("app").run("setup", &["--run"]);
    assert_eq!(status.code(), Some(1), "{err}");
    assert!(
        err.contains("the primary refuses") && err.contains("42501") && err.contains("sidecache setup | psql"),
        "{err}"
    );
    assert!(check().contains("no event triggers"), "all of it or nothing");

    let sql = printed(cluster, &database);
    assert!(!sql.contains("REPLICATION"), "this user may replicate:\n{sql}");
    let of_app = as_user("app").run("setup", &[]).1;
    assert!(of_app.contains("ALTER ROLE app REPLICATION;"), "this one may not:\n{of_app}");

    // Whoever was there first must not own what runs with everybody's rights.
    cluster.connect("app", &database).rows(
        "CREATE SCHEMA sidecache;
         CREATE FUNCTION sidecache.tell_of_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    );
    let (status, out, err) = as_user("postgres").run("setup", &["--run"]);
    assert!(status.success() && out == sql, "{out}{err}");
    assert!(check().contains("ok    event triggers tell of DDL"), "{}", check());
    let mut root = cluster.primary.connect_to(&database);
    assert_eq!(root.value("SELECT proowner::regrole FROM pg_proc WHERE proname = 'tell_of_ddl'"), "postgres");
    root.rows(&sql);
    root.rows("ALTER EVENT TRIGGER sidecache_drop ENABLE");
    assert!(check().contains("warn  one event trigger of two"), "{}", check());
    root.rows("DROP SCHEMA sidecache CASCADE");
    assert!(check().contains("warn  no event triggers"), "{}", check());
}

#[test]
fn c19_event_triggers_tell_of_what_may_change_an_answer_and_of_nothing_else() {
    let cluster = Cluster::shared();
    let database = cluster.database("setup_told");
    let mut root = cluster.primary.connect_to(&database);
    root.rows(&printed(cluster, &database));
    root.rows("CREATE TABLE t (id int PRIMARY KEY, x int); CREATE VIEW v AS SELECT x FROM t; CREATE TABLE u (x int)");
    let heard = Heard::of(cluster, &database);
    let mut told = |sql: &str| {
        let before = heard.told();
        root.rows(sql);
        heard.until_position(root.value("SELECT pg_current_wal_insert_lsn()").parse().expect("a position"));
        heard.told() > before
    };
    for sql in [
        "BEGIN; INSERT INTO t VALUES (1, 1); ALTER TABLE t ADD y int; COMMIT",
        "ALTER TABLE t DROP COLUMN y",
        "GRANT SELECT ON t TO app",
        "REVOKE SELECT ON t FROM app",
        "CREATE OR REPLACE VIEW v AS SELECT x + 1 AS x FROM t",
        "DROP VIEW v",
        "CREATE FUNCTION f() RETURNS int IMMUTABLE LANGUAGE sql RETURN 1",
        "ALTER FUNCTION f() RENAME TO g",
        "DROP FUNCTION g()",
        "CREATE POLICY p ON t USING (true)",
        "DROP POLICY p ON t",
        "CREATE SCHEMA s",
        "ALTER TABLE t SET SCHEMA s",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO app",
        "SELECT 1 AS x INTO s.made",
        "SET session_replication_role = replica; ALTER TABLE s.made ADD y int; RESET session_replication_role",
        "DROP OWNED BY app",
        "DROP SCHEMA s CASCADE",
    ] {
        assert!(told(sql), "{sql}");
    }
    for sql in [
        "CREATE TEMP TABLE mine (x int); ALTER TABLE mine ADD y int; CREATE TEMP VIEW ours AS SELECT 1",
        "DROP TABLE mine; DROP VIEW ours",
        "CREATE TEMP TABLE gone ON COMMIT DROP AS SELECT 1",
        "CREATE TABLE IF NOT EXISTS pg_catalog.pg_class ()",
        "COMMENT ON DATABASE postgres IS 'x'",
        "CREATE INDEX i ON u (x); REINDEX INDEX i; DROP INDEX i",
        "BEGIN; CREATE TABLE never (x int); ROLLBACK",
    ] {
        assert!(!told(sql), "{sql}");
    }
}

/// A migration beside Sidecache that also writes a row, as those of Rails and Django do, is known once it was heard: the next comparison of
/// the catalog would come half of this long bound later.
#[test]
fn c19_with_event_triggers_rows_do_not_hide_ddl() {
    let cluster = Cluster::quiet();
    let tables =
        "CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (1, 1); CREATE TABLE migrations (n int);
                  CREATE VIEW v AS SELECT x FROM t";
    let watched = Watched::with(&cluster, "setup_mixed", tables, |builder| builder.flag("--staleness", "60s"));
    cluster.primary.connect_to(&watched.database).rows(&printed(&cluster, &watched.database));
    let (mut reader, mut beside) = (watched.client(), watched.beside());
    for n in 1..4 {
        watched.hear();
        watched.warm(&mut reader, "SELECT x FROM v");
        beside.rows(&format!(
            "BEGIN; INSERT INTO migrations VALUES ({n}); CREATE OR REPLACE VIEW v AS SELECT x * {n} * 10 AS x FROM t; COMMIT"
        ));
        watched.hear();
        assert_eq!(reader.value("SELECT x FROM v"), (n * 10).to_string());
    }
}

/// A view's definition that was changed and taken back while nothing was heard, with a fill in between: the catalog is what it was, and
/// what was filled is not served.
#[test]
fn c19_with_event_triggers_what_was_taken_back_leaves_nothing() {
    let cluster = Cluster::quiet();
    let tables = "CREATE SCHEMA a; CREATE TABLE t (x int); INSERT INTO t VALUES (1); CREATE TABLE other (n int)";
    let watched = Watched::with(&cluster, "setup_back", tables, |builder| builder.flag("--staleness", "60s"));
    cluster.primary.connect_to(&watched.database).rows(&printed(&cluster, &watched.database));
    watched.hear();
    let (mut reader, mut beside) = (watched.client(), watched.beside());
    reader.rows("SET search_path = a, public");
    let read = "SELECT x FROM t";
    assert_eq!(watched.warm(&mut reader, read), "1");
    let (mut filler, stored) = (watched.client(), watched.stored());
    filler.rows("SET search_path = a, public");
    watched.unheard(|| {
        beside.rows("BEGIN; INSERT INTO other VALUES (1); CREATE VIEW a.t AS SELECT 2 AS x; COMMIT");
        assert_eq!(filler.value("SELECT x FROM t WHERE true"), "2", "it hides the other");
        assert!(watched.stored() > stored, "and is believed to be the other");
        beside.rows("BEGIN; INSERT INTO other VALUES (2); DROP VIEW a.t; COMMIT");
    });
    watched.hear();
    assert_eq!(filler.value("SELECT x FROM t WHERE true"), "1");
}
