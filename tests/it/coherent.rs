//! No stale read, whatever changes an answer and wherever: beside Sidecache, as soon as the WAL was heard; through it,
//! at once for who wrote. Every case first proves that its read was served from the cache.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::wire::{Batch, Format, Wire, rows};
use crate::watched::{Watched, text};

/// A read, and what changes its answer.
pub struct Case {
    name: &'static str,
    setup: &'static str,
    read: &'static str,
    write: &'static [&'static str],
}

pub const fn case(name: &'static str, setup: &'static str, read: &'static str, write: &'static [&'static str]) -> Case {
    Case { name, setup, read, write }
}

/// Every case twice: written beside Sidecache, and by the session that reads, of which Sidecache then hears nothing. They are set
/// up together, since every DDL ends all hits for a moment.
pub fn holds(label: &str, cases: &[Case]) {
    let setups: Vec<&str> = cases.iter().map(|case| case.setup).collect();
    let setup = |schema: &str| format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {}", setups.join(";"));
    let watched = Watched::shared(label, &setup("beside"));
    cases.iter().for_each(|case| changed_beside(&watched, case));
    let cluster = Cluster::quiet();
    let watched = Watched::quiet(&cluster, label, &setup("through"));
    cases.iter().for_each(|case| changed_through(&watched, case));
}

fn session(watched: &Watched<'_>, schema: &str) -> (Wire, Wire) {
    let through = Wire::connect(&watched.sidecache.login("app").with("search_path", schema));
    let direct = Wire::connect(&watched.cluster.login("app", &watched.database).with("search_path", schema));
    (through.expect("sidecache takes clients"), direct.expect("the primary takes clients"))
}

fn changed_beside(watched: &Watched<'_>, case: &Case) {
    let (mut client, mut direct) = session(watched, "beside");
    let before = watched.warm(&mut client, case.read);
    assert_eq!(before, text(&direct.rows(case.read)), "{}: a hit is the primary's answer", case.name);
    for write in case.write {
        direct.rows(write);
    }
    let after = text(&direct.rows(case.read));
    assert_ne!(before, after, "{}: the write changes nothing", case.name);
    watched.hear();
    assert_eq!(text(&client.rows(case.read)), after, "{}: stale after a write beside", case.name);
    assert_eq!(watched.warm(&mut client, case.read), after, "{}: stale once it is cached again", case.name);
}

fn changed_through(watched: &Watched<'_>, case: &Case) {
    let (mut client, mut direct) = session(watched, "through");
    let before = watched.warm(&mut client, case.read);
    let own = watched.unheard(|| {
        case.write.iter().for_each(|write| drop(client.rows(write)));
        text(&client.rows(case.read))
    });
    let after = text(&direct.rows(case.read));
    assert_ne!(before, after, "{}: the write changes nothing", case.name);
    assert_eq!(own, after, "{}: the session does not read its own write", case.name);
    watched.hear();
    // Another one: what this one did may keep it from the cache.
    let (mut client, _) = session(watched, "through");
    assert_eq!(watched.warm(&mut client, case.read), after, "{}: stale once it is cached again", case.name);
}

#[test]
fn c9_foreign_keys_reach_further_than_the_statement() {
    holds(
        "c9_keys",
        &[
            case(
                "delete_cascades",
                "CREATE TABLE p1(id int PRIMARY KEY); CREATE TABLE c1(p int REFERENCES p1 ON DELETE CASCADE);\
                 INSERT INTO p1 VALUES (1), (2); INSERT INTO c1 VALUES (1), (2)",
                "SELECT count(*) FROM c1",
                &["DELETE FROM p1 WHERE id = 1"],
            ),
            case(
                "update_cascades",
                "CREATE TABLE p2(id int PRIMARY KEY); CREATE TABLE c2(p int REFERENCES p2 ON UPDATE CASCADE);\
                 INSERT INTO p2 VALUES (1); INSERT INTO c2 VALUES (1)",
                "SELECT p FROM c2",
                &["UPDATE p2 SET id = 7"],
            ),
            case(
                "set_null_deferred",
                "CREATE TABLE p3(id int PRIMARY KEY);\
                 CREATE TABLE c3(p int REFERENCES p3 ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);\
                 INSERT INTO p3 VALUES (1); INSERT INTO c3 VALUES (1)",
                "SELECT count(p) FROM c3",
                &["BEGIN", "DELETE FROM p3", "COMMIT"],
            ),
            case(
                "two_steps",
                "CREATE TABLE p4(id int PRIMARY KEY); CREATE TABLE c4(id int PRIMARY KEY REFERENCES p4 ON DELETE CASCADE);\
                 CREATE TABLE g4(c int REFERENCES c4 ON DELETE CASCADE);\
                 INSERT INTO p4 VALUES (1); INSERT INTO c4 VALUES (1); INSERT INTO g4 VALUES (1)",
                "SELECT count(*) FROM g4",
                &["DELETE FROM p4"],
            ),
        ],
    );
}

#[test]
fn c10_statements_write_what_they_do_not_name() {
    holds(
        "c10_hidden",
        &[
            case(
                "trigger",
                "CREATE TABLE a1(x int); CREATE TABLE b1(x int);\
                 CREATE FUNCTION f1() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO b1 VALUES (NEW.x); RETURN NEW; END$$;\
                 CREATE TRIGGER t AFTER INSERT ON a1 FOR EACH ROW EXECUTE FUNCTION f1()",
                "SELECT count(*) FROM b1",
                &["INSERT INTO a1 VALUES (1)"],
            ),
            case(
                "rule",
                "CREATE TABLE a2(x int); CREATE TABLE b2(x int);\
                 CREATE RULE r AS ON INSERT TO a2 DO ALSO INSERT INTO b2 VALUES (NEW.x)",
                "SELECT count(*) FROM b2",
                &["INSERT INTO a2 VALUES (1)"],
            ),
            case(
                "instead_of",
                "CREATE TABLE a3(x int); CREATE VIEW v3 AS SELECT x FROM a3;\
                 CREATE FUNCTION f3() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO a3 VALUES (NEW.x * 2); RETURN NEW; END$$;\
                 CREATE TRIGGER t INSTEAD OF INSERT ON v3 FOR EACH ROW EXECUTE FUNCTION f3()",
                "SELECT sum(x) FROM a3",
                &["INSERT INTO v3 VALUES (21)"],
            ),
            case(
                "cte",
                "CREATE TABLE a4(x int); INSERT INTO a4 VALUES (1)",
                "SELECT sum(x) FROM a4",
                &["WITH up AS (UPDATE a4 SET x = x + 1 RETURNING x) SELECT x FROM up"],
            ),
            case(
                "g3_merge",
                "CREATE TABLE a5(x int); INSERT INTO a5 VALUES (1)",
                "SELECT x FROM a5",
                &["MERGE INTO a5 USING (SELECT 1 AS k) s ON x = k WHEN MATCHED THEN UPDATE SET x = 5"],
            ),
            case(
                "select_function",
                "CREATE TABLE a6(x int);\
                 CREATE FUNCTION f6(int) RETURNS int LANGUAGE sql AS 'INSERT INTO a6 VALUES ($1) RETURNING x'",
                "SELECT count(*) FROM a6",
                &["SELECT f6(1)"],
            ),
            case(
                "function_in_from",
                "CREATE TABLE a7(x int);\
                 CREATE FUNCTION f7(int) RETURNS SETOF int LANGUAGE sql AS 'INSERT INTO a7 VALUES ($1) RETURNING x'",
                "SELECT count(*) FROM a7",
                &["SELECT * FROM f7(1)"],
            ),
            case(
                "function_in_a_view",
                "CREATE TABLE a8(x int);\
                 CREATE FUNCTION f8(int) RETURNS int LANGUAGE sql AS 'INSERT INTO a8 VALUES ($1) RETURNING x';\
                 CREATE VIEW v8 AS SELECT f8(3) AS y",
                "SELECT count(*) FROM a8",
                &["SELECT y FROM v8"],
            ),
            case(
                "do_block",
                "CREATE TABLE a9(x int)",
                "SELECT count(*) FROM a9",
                &["DO $$BEGIN INSERT INTO a9 VALUES (1); END$$"],
            ),
            case(
                "call",
                "CREATE TABLE a10(x int); CREATE PROCEDURE p10() LANGUAGE sql AS 'INSERT INTO a10 VALUES (1)'",
                "SELECT count(*) FROM a10",
                &["CALL p10()"],
            ),
            case(
                "g7_explain_analyze",
                "CREATE TABLE a11(x int)",
                "SELECT count(*) FROM a11",
                &["EXPLAIN ANALYZE INSERT INTO a11 VALUES (1)"],
            ),
            case(
                "sql_execute",
                "CREATE TABLE a12(x int)",
                "SELECT count(*) FROM a12",
                &["PREPARE p12 AS INSERT INTO a12 VALUES (1)", "EXECUTE p12", "DEALLOCATE p12"],
            ),
            case(
                "upsert",
                "CREATE TABLE a16(k int PRIMARY KEY, x int); INSERT INTO a16 VALUES (1, 1)",
                "SELECT x FROM a16 WHERE k = 1",
                &["INSERT INTO a16 VALUES (1, 0) ON CONFLICT (k) DO UPDATE SET x = 99"],
            ),
            case(
                "no_key_at_all",
                "CREATE TABLE a17(x int); INSERT INTO a17 VALUES (1), (1); ALTER TABLE a17 REPLICA IDENTITY NOTHING",
                "SELECT count(*), sum(x) FROM a17",
                &["UPDATE a17 SET x = 2", "DELETE FROM a17 WHERE ctid = (SELECT max(ctid) FROM a17)"],
            ),
            case(
                "toast",
                "CREATE TABLE a18(k int PRIMARY KEY, x text); INSERT INTO a18 VALUES (1, repeat('a', 100000))",
                "SELECT md5(x) FROM a18",
                &["UPDATE a18 SET x = x || 'b'"],
            ),
        ],
    );
}

#[test]
fn c11_views_depend_on_what_they_read_and_what_they_are() {
    let base = "CREATE TABLE t(x int, y int); INSERT INTO t VALUES (1, 10), (2, 20);\
                CREATE VIEW v AS SELECT x, y FROM t; CREATE VIEW w AS SELECT sum(y) AS s FROM v WHERE x > 0";
    holds("c11_base", &[case("nested", base, "SELECT s FROM w", &["UPDATE t SET y = y + 1 WHERE x = 1"])]);
    holds(
        "c11_views",
        &[
            case("through_a_view", base, "SELECT y FROM t ORDER BY y", &["UPDATE v SET y = 0 WHERE x = 2"]),
            case(
                "replaced",
                "CREATE VIEW r AS SELECT x AS n FROM t",
                "SELECT n FROM r ORDER BY n",
                &["CREATE OR REPLACE VIEW r AS SELECT y AS n FROM t"],
            ),
            case(
                "inner_replaced",
                "CREATE VIEW i AS SELECT x AS n FROM t; CREATE VIEW o AS SELECT n FROM i",
                "SELECT n FROM o ORDER BY n",
                &["CREATE OR REPLACE VIEW i AS SELECT y AS n FROM t"],
            ),
            case(
                "barrier_and_invoker",
                "CREATE VIEW b WITH (security_barrier, security_invoker) AS SELECT max(y) AS m FROM t",
                "SELECT m FROM b",
                &["INSERT INTO t VALUES (9, 900)"],
            ),
        ],
    );
}

#[test]
fn c13_partitions_reach_up_and_down() {
    let tree = "CREATE TABLE m(k int, x int) PARTITION BY RANGE (k);\
                CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);\
                CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (k);\
                CREATE TABLE m21 PARTITION OF m2 FOR VALUES FROM (10) TO (15);\
                CREATE TABLE md PARTITION OF m DEFAULT;\
                INSERT INTO m VALUES (1, 1), (11, 2), (99, 3)";
    holds(
        "c13_parts",
        &[
            case("leaf_insert", tree, "SELECT count(*) FROM m", &["INSERT INTO m21 VALUES (12, 1)"]),
            case("leaf_truncate", "", "SELECT count(*) FROM m", &["TRUNCATE m21"]),
            case("read_leaf_write_root", "", "SELECT count(*) FROM m1", &["INSERT INTO m VALUES (2, 2)"]),
            case("row_move", "", "SELECT count(*) FROM m1", &["UPDATE m SET k = 14 WHERE k = 2"]),
            case("default_partition", "", "SELECT sum(x) FROM m WHERE k = 99", &["UPDATE md SET x = 33"]),
            case(
                "attach",
                "CREATE TABLE m3(k int, x int); INSERT INTO m3 VALUES (21, 4)",
                "SELECT count(*) FROM m",
                &["ALTER TABLE m ATTACH PARTITION m3 FOR VALUES FROM (20) TO (30)"],
            ),
            case("written_after_attach", "", "SELECT count(*) FROM m", &["INSERT INTO m3 VALUES (22, 5)"]),
            case("detach", "", "SELECT count(*) FROM m", &["ALTER TABLE m DETACH PARTITION m3"]),
            case("drop", "", "SELECT count(*) FROM m", &["DROP TABLE m1"]),
            case("detached_is_its_own", "", "SELECT count(*) FROM m3", &["DELETE FROM m3"]),
        ],
    );
}

#[test]
fn c14_children_count_for_their_parents() {
    holds(
        "c14_children",
        &[
            case(
                "child",
                "CREATE TABLE p(x int); CREATE TABLE c() INHERITS (p); INSERT INTO p VALUES (1)",
                "SELECT count(*) FROM p",
                &["INSERT INTO c VALUES (2)"],
            ),
            case(
                "child_made_later",
                "",
                "SELECT count(*) FROM p",
                &["CREATE TABLE d() INHERITS (p); INSERT INTO d VALUES (4)"],
            ),
            case("child_of_later", "", "SELECT count(*) FROM p", &["INSERT INTO d VALUES (5)"]),
            case(
                "joined_later",
                "CREATE TABLE e(x int); INSERT INTO e VALUES (6)",
                "SELECT count(*) FROM p",
                &["ALTER TABLE e INHERIT p"],
            ),
            case("left", "", "SELECT count(*) FROM p", &["ALTER TABLE c NO INHERIT p"]),
        ],
    );
}

#[test]
fn c16_what_a_name_means_may_change() {
    holds(
        "c16_names",
        &[case(
            "renamed_and_replaced",
            "CREATE TABLE n(x int); INSERT INTO n VALUES (1)",
            "SELECT x FROM n",
            &["ALTER TABLE n RENAME TO n_old; CREATE TABLE n(x int); INSERT INTO n VALUES (2)"],
        )],
    );
    let watched = Watched::shared(
        "c16_path",
        "CREATE SCHEMA first; GRANT USAGE ON SCHEMA first TO public; CREATE SCHEMA second;\
         CREATE TABLE second.t(x int); INSERT INTO second.t VALUES (2)",
    );
    let mut client =
        Wire::connect(&watched.sidecache.login("app").with("search_path", "first, second")).expect("taken");
    assert_eq!(watched.warm(&mut client, "SELECT x FROM t"), "2");
    watched.beside().rows("CREATE TABLE first.t AS SELECT 1 AS x");
    watched.hear();
    assert_eq!(watched.warm(&mut client, "SELECT x FROM t"), "1", "a table earlier in the path");
    client.rows("ALTER TABLE first.t SET SCHEMA public");
    assert_eq!(watched.warm(&mut client, "SELECT x FROM t"), "2", "and gone from it");
}

#[test]
fn c19_ddl_changes_what_a_text_answers() {
    holds(
        "c19_ddl",
        &[
            case(
                "rename_swap",
                "CREATE TABLE a(x int); CREATE TABLE b(x int); INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)",
                "SELECT x FROM a",
                &[
                    "BEGIN",
                    "ALTER TABLE a RENAME TO c",
                    "ALTER TABLE b RENAME TO a",
                    "ALTER TABLE c RENAME TO b",
                    "COMMIT",
                ],
            ),
            case("add_column", "", "SELECT * FROM a", &["ALTER TABLE a ADD COLUMN y int DEFAULT 7"]),
            case("drop_column", "", "SELECT * FROM a", &["ALTER TABLE a DROP COLUMN y"]),
            case("type", "", "SELECT x FROM a", &["ALTER TABLE a ALTER COLUMN x TYPE text USING 'x' || x"]),
            case(
                "columns_swapped",
                "CREATE TABLE s(p int, q int); INSERT INTO s VALUES (1, 2)",
                "SELECT p FROM s",
                &[
                    "BEGIN; ALTER TABLE s RENAME p TO r; ALTER TABLE s RENAME q TO p; ALTER TABLE s RENAME r TO q; COMMIT",
                ],
            ),
            case(
                "dropped_and_made",
                "CREATE TABLE d(x int); INSERT INTO d VALUES (1)",
                "SELECT count(*) FROM d",
                &["DROP TABLE d", "CREATE TABLE d(x int)"],
            ),
            case(
                "function_replaced",
                "CREATE TABLE f(x int); INSERT INTO f VALUES (3);\
                 CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'",
                "SELECT twice(x) FROM f",
                &["CREATE OR REPLACE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 3'"],
            ),
            case(
                "enum_order",
                "CREATE TYPE mood AS ENUM ('a', 'c'); CREATE TABLE e(m mood); INSERT INTO e VALUES ('c'), ('a')",
                "SELECT m FROM e ORDER BY m",
                &["ALTER TYPE mood RENAME VALUE 'a' TO 'z'"],
            ),
            case(
                "rewritten",
                "CREATE TABLE w(x int, u int GENERATED ALWAYS AS (x * 2) STORED); INSERT INTO w(x) VALUES (4)",
                "SELECT u FROM w",
                &["ALTER TABLE w DROP COLUMN u, ADD COLUMN u int GENERATED ALWAYS AS (x * 5) STORED"],
            ),
        ],
    );
}

#[test]
fn c20_truncate_in_all_its_forms() {
    holds(
        "c20_truncate",
        &[
            case("plain", "CREATE TABLE a(x int); INSERT INTO a VALUES (1)", "SELECT count(*) FROM a", &["TRUNCATE a"]),
            case(
                "cascade",
                "CREATE TABLE p(id int PRIMARY KEY); CREATE TABLE c(p int REFERENCES p);\
                 INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)",
                "SELECT count(*) FROM c",
                &["TRUNCATE p CASCADE"],
            ),
            case(
                "restart_identity",
                "CREATE TABLE s(id serial, x int); INSERT INTO s(x) VALUES (1), (2)",
                "SELECT max(id) FROM s",
                &["TRUNCATE s RESTART IDENTITY", "INSERT INTO s(x) VALUES (3)"],
            ),
            case(
                "several_in_a_transaction",
                "CREATE TABLE b(x int); CREATE TABLE d(x int); INSERT INTO b VALUES (1); INSERT INTO d VALUES (1)",
                "SELECT (SELECT count(*) FROM b) + (SELECT count(*) FROM d)",
                &["BEGIN", "TRUNCATE b, d", "COMMIT"],
            ),
        ],
    );
}

#[test]
fn c21_transactions_commit_in_many_ways() {
    holds(
        "c21_commit",
        &[
            case(
                "two_phase",
                "CREATE TABLE a(x int)",
                "SELECT count(*) FROM a",
                &["BEGIN", "INSERT INTO a VALUES (1)", "PREPARE TRANSACTION 'c21'", "COMMIT PREPARED 'c21'"],
            ),
            case(
                "savepoint_released",
                "CREATE TABLE b(x int)",
                "SELECT count(*) FROM b",
                &["BEGIN", "SAVEPOINT s", "INSERT INTO b VALUES (1)", "RELEASE s", "COMMIT"],
            ),
            case(
                "savepoint_undone",
                "CREATE TABLE c(x int)",
                "SELECT coalesce(max(x), 0) FROM c",
                &[
                    "BEGIN",
                    "INSERT INTO c VALUES (1)",
                    "SAVEPOINT s",
                    "INSERT INTO c VALUES (2)",
                    "ROLLBACK TO s",
                    "COMMIT",
                ],
            ),
            case(
                "commit_and_chain",
                "CREATE TABLE d(x int)",
                "SELECT count(*) FROM d",
                &["BEGIN", "INSERT INTO d VALUES (1)", "COMMIT AND CHAIN", "INSERT INTO d VALUES (2)", "ROLLBACK"],
            ),
            case(
                "commits_of_a_procedure",
                "CREATE TABLE e(x int); CREATE PROCEDURE two() LANGUAGE plpgsql AS \
                 $$BEGIN INSERT INTO e VALUES (1); COMMIT; INSERT INTO e VALUES (2); END$$",
                "SELECT sum(x) FROM e",
                &["CALL two()"],
            ),
            case(
                "asynchronous",
                "CREATE TABLE f(x int)",
                "SELECT count(*) FROM f",
                &["SET synchronous_commit = off", "INSERT INTO f VALUES (1)", "RESET synchronous_commit"],
            ),
        ],
    );
}

/// What a publication would leave out or make fail is heard like everything else, whether or not there is one: a row without an identity,
/// filters, columns that are not in its list.
#[test]
fn c24_what_publications_leave_out_is_heard() {
    holds(
        "c24_edges",
        &[
            case(
                "no_identity",
                "CREATE TABLE a1(k int PRIMARY KEY, x int); INSERT INTO a1 VALUES (1, 1), (2, 2);\
                 ALTER TABLE a1 REPLICA IDENTITY NOTHING; CREATE PUBLICATION a1 FOR TABLE a1 WITH (publish = 'insert')",
                "SELECT count(*), sum(x) FROM a1",
                &["UPDATE a1 SET x = 7 WHERE k = 1", "DELETE FROM a1 WHERE k = 2"],
            ),
            case(
                "an_index_as_identity",
                "CREATE TABLE a2(k int NOT NULL UNIQUE, x int); INSERT INTO a2 VALUES (1, 1);\
                 ALTER TABLE a2 REPLICA IDENTITY USING INDEX a2_k_key",
                "SELECT x FROM a2",
                &["UPDATE a2 SET x = 2"],
            ),
            case(
                "filtered_rows_and_columns",
                "CREATE TABLE a3(k int PRIMARY KEY, x int); INSERT INTO a3 VALUES (1, 1);\
                 CREATE PUBLICATION a3 FOR TABLE a3 (k) WHERE (k > 100)",
                "SELECT x FROM a3",
                &["UPDATE a3 SET x = 2"],
            ),
            case(
                "generated_column",
                "CREATE TABLE a4(x int, y int GENERATED ALWAYS AS (x * 2) STORED); INSERT INTO a4(x) VALUES (1)",
                "SELECT y FROM a4",
                &["UPDATE a4 SET x = 2"],
            ),
            case(
                "no_column_at_all",
                "CREATE TABLE a5(); INSERT INTO a5 DEFAULT VALUES",
                "SELECT count(*) FROM a5",
                &["INSERT INTO a5 DEFAULT VALUES"],
            ),
        ],
    );
}

/// A transaction that was under way before the table was made writes to it: whoever filled in the meantime has not seen that.
#[test]
fn c24_a_table_is_made_while_its_writer_is_under_way() {
    let watched = Watched::shared("c24_writer", "CREATE TABLE old(x int)");
    let (mut writer, mut client) = (watched.beside(), watched.client());
    writer.rows("BEGIN");
    writer.rows("INSERT INTO old VALUES (1)");
    watched.beside().rows("CREATE TABLE new(x int)");
    let read = "SELECT count(*) FROM new";
    watched.hear();
    assert_eq!(watched.warm(&mut client, read), "0");
    writer.rows("INSERT INTO new VALUES (1)");
    assert_eq!(watched.warm(&mut client, read), "0", "it is not committed");
    writer.rows("COMMIT");
    watched.hear();
    assert_eq!(text(&client.rows(read)), "1");
    assert_eq!(watched.warm(&mut client, read), "1");
}

#[test]
fn c25_an_empty_answer_is_an_answer() {
    holds(
        "c25_empty",
        &[case("empty", "CREATE TABLE a(x int)", "SELECT x FROM a WHERE x > 0", &["INSERT INTO a VALUES (1)"])],
    );
}

/// Definitions of views are read under locks of what they read: a migration that holds one and takes another neither waits for that nor falls
/// to it, and what it holds keeps no hit from who reads something else.
#[test]
fn c19_a_catalog_that_is_loaded_is_in_no_migrations_way() {
    let cluster = Cluster::quiet();
    let tables = "CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE other (x int); CREATE TABLE plain AS SELECT 1 AS x;
                  CREATE VIEW va AS SELECT x FROM a; CREATE VIEW vb AS SELECT x FROM b; CREATE VIEW ab AS SELECT a.x FROM a, b";
    let watched = Watched::with(&cluster, "c19_migration", tables, |builder| builder.flag("--staleness", "300ms"));
    let (mut reader, mut migration, mut other) = (watched.client(), watched.beside(), watched.beside());
    let loads = || watched.sidecache.count("/catalog/loads");
    watched.warm(&mut reader, "SELECT x FROM plain");
    migration.rows("BEGIN");
    for (n, step) in ["ALTER TABLE b ADD c int", "ALTER TABLE a ADD c int"].into_iter().enumerate() {
        migration.rows(step);
        let before = loads();
        other.rows(&format!("CREATE TABLE new{n} (x int)"));
        eventually("the catalog to be loaded", || (loads() > before).then_some(()));
        assert_eq!(watched.warm(&mut reader, "SELECT x FROM plain"), "1");
    }
    migration.rows("COMMIT");
    migration.rows("INSERT INTO a VALUES (7)");
    for view in ["va", "vb"] {
        let read = format!("SELECT count(*) FROM {view}");
        assert_eq!(watched.warm(&mut reader, &read), if view == "va" { "1" } else { "0" });
    }
}

/// What a transaction that was prepared has changed of the catalog is seen by who commits it, and by everybody after that.
#[test]
fn c19_a_prepared_transaction_changes_definitions_too() {
    let tables = "CREATE TABLE t AS SELECT 1 AS x; CREATE TABLE log (x int); CREATE VIEW v AS SELECT x FROM t";
    // Replicas show others what they have replayed.
    let watched = Watched::with(Cluster::shared(), "c19_prepared", tables, |builder| builder.no_replicas());
    let (mut writer, mut reader) = (watched.client(), watched.client());
    for n in 2..6 {
        watched.warm(&mut reader, "SELECT x FROM v");
        for statement in [
            "BEGIN".to_owned(),
            format!("CREATE OR REPLACE VIEW v AS SELECT x * {n} AS x FROM t"),
            format!("INSERT INTO log VALUES ({n})"),
            format!("PREPARE TRANSACTION '{}_{n}'", watched.database),
        ] {
            writer.rows(&statement);
        }
        writer.rows(&format!("COMMIT PREPARED '{}_{n}'", watched.database));
        assert_eq!(writer.value("SELECT x FROM v"), n.to_string());
        assert_eq!(reader.value("SELECT x FROM v"), n.to_string(), "another session");
    }
}

/// What a transaction has changed counts once it is committed, though another begins behind it and nothing is heard.
#[test]
fn c19_a_change_whose_commit_begins_another_transaction_counts_at_once() {
    let cluster = Cluster::quiet();
    let tables = "CREATE TABLE t (x int); INSERT INTO t VALUES (1)";
    let watched = Watched::quiet(&cluster, "c19_chain", tables);
    let (mut reader, mut writer) = (watched.client(), watched.client());
    for (n, end) in ["COMMIT AND CHAIN", "COMMIT; BEGIN", "SELECT 1; COMMIT; BEGIN; SELECT 1"].into_iter().enumerate() {
        let read = "SELECT * FROM t";
        let before = watched.warm(&mut reader, read);
        watched.unheard(|| {
            let verified = watched.sidecache.count("/catalog/verifications");
            writer.rows("BEGIN");
            writer.rows(&format!("ALTER TABLE t ADD y{n} int DEFAULT 5"));
            let again = || watched.sidecache.count("/catalog/verifications") > verified;
            eventually("the catalog to be found as it was", || again().then_some(()));
            writer.query(end).expect("it lives");
            assert_eq!(text(&reader.rows(read)), format!("{before},5"), "{end}");
        });
        writer.rows("COMMIT");
    }
}

/// What other tables store, and tables that come and go, void no entry that was known to be right before; the entries that they bear on,
/// and all of them where a definition changes, they do. With the event triggers of `sidecache setup` as without.
#[test]
fn c19_a_truncated_refreshed_indexed_or_new_table_costs_the_entries_of_no_other() {
    let cluster = Cluster::quiet();
    let tables = "CREATE TABLE noise (x int); CREATE TABLE kept (x int); INSERT INTO kept VALUES (1); CREATE TABLE other (x int); INSERT INTO other VALUES (2);
                  CREATE MATERIALIZED VIEW sums AS SELECT sum(x) FROM other; CREATE TABLE parts (x int) PARTITION BY LIST (x);
                  CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1); INSERT INTO parts VALUES (1)";
    for triggers in [false, true] {
        let watched = Watched::with(&cluster, "c19_alone", tables, |builder| builder.flag("--staleness", "1s"));
        if triggers {
            cluster.primary.connect_to(&watched.database).rows(&crate::setup::printed(&cluster, &watched.database));
        }
        let mut beside = watched.beside();
        let loads = || watched.sidecache.count("/catalog/loads");
        // Each time by a client that has seen nothing: what is too old for one that was answered by the primary meanwhile would be filled anew.
        let served = |read: &str| {
            eventually("a hit", || {
                let mut fresh = watched.client();
                let (is_hit, rows) = watched.look(|| text(&fresh.rows(read)));
                is_hit.then_some(rows)
            })
        };
        // Nothing is stored any more, and the catalog was found again since.
        let sure = |beside: &mut Wire, read: &str| {
            watched.hear();
            served(read);
            let verifications = watched.sidecache.count("/catalog/verifications");
            beside.rows("INSERT INTO noise VALUES (1)");
            watched.hear();
            let again = || watched.sidecache.count("/catalog/verifications") > verifications;
            eventually("the catalog to be found again", || again().then_some(()));
            served(read);
        };
        for (change, read, stands) in [
            ("TRUNCATE other", "SELECT x FROM kept", true),
            ("REFRESH MATERIALIZED VIEW sums", "SELECT x FROM kept", true),
            ("VACUUM FULL other", "SELECT x FROM kept", true),
            ("CREATE INDEX made ON other (x)", "SELECT x FROM kept", true),
            ("CREATE TABLE staging AS SELECT 1 AS x", "SELECT x FROM kept", true),
            ("DROP TABLE staging", "SELECT x FROM kept", true),
            (
                "CREATE TABLE parts2 PARTITION OF parts FOR VALUES IN (2); INSERT INTO parts VALUES (2)",
                "SELECT x FROM kept",
                true,
            ),
            (
                "CREATE TABLE parts3 PARTITION OF parts FOR VALUES IN (3); INSERT INTO parts VALUES (3)",
                "SELECT x FROM parts ORDER BY 1",
                false,
            ),
            ("VACUUM FULL kept", "SELECT x FROM kept", false),
            ("ALTER TABLE other ADD y int", "SELECT x FROM kept", false),
            (
                "BEGIN; CREATE TABLE more (x int); INSERT INTO more SELECT 1; INSERT INTO other VALUES (3); COMMIT",
                "SELECT x FROM kept",
                true,
            ),
            ("CREATE FUNCTION f() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'", "SELECT x FROM kept", false),
        ] {
            sure(&mut beside, read);
            let (stored, loaded) = (watched.stored(), loads());
            for statement in change.split("; ") {
                beside.rows(statement);
            }
            eventually("the change to be known", || (loads() > loaded).then_some(()));
            watched.hear();
            let right = text(&watched.beside().rows(read));
            assert_eq!(served(read), right, "{change}");
            assert_eq!(watched.stored() == stored, stands, "{change}, then {read}; triggers: {triggers}");
        }
    }
}

/// A table that hid another was made, filled and dropped while nothing was heard, with a read in between: the catalog is what it was, and what
/// was read is not served.
#[test]
fn c19_a_table_that_came_and_went_leaves_nothing() {
    let cluster = Cluster::quiet();
    let tables = "CREATE SCHEMA a; CREATE TABLE t (x int); INSERT INTO t VALUES (1)";
    let watched = Watched::with(&cluster, "c19_came", tables, |builder| builder.flag("--staleness", "60s"));
    watched.hear();
    let mut filler = watched.client();
    filler.rows("SET search_path = a, public");
    assert_eq!(watched.warm(&mut filler, "SELECT x FROM t"), "1");
    let (mut beside, stored) = (watched.beside(), watched.stored());
    watched.unheard(|| {
        beside.rows("BEGIN; CREATE TABLE a.t AS SELECT 2 AS x; COMMIT");
        eventually("it to be believed the other", || {
            assert_eq!(filler.value("SELECT x FROM t WHERE true"), "2", "it hides the other");
            (watched.stored() > stored).then_some(())
        });
        beside.rows("DROP TABLE a.t");
    });
    watched.hear();
    assert_eq!(filler.value("SELECT x FROM t WHERE true"), "1");
}

/// A connection keeps what a prepared statement's names meant, though a table hides another now: what it reads is not kept as what
/// they mean.
#[test]
fn c16_a_statement_prepared_before_a_table_hid_another_reads_the_one_that_is_meant() {
    let tables = "CREATE SCHEMA a; CREATE TABLE t (x int); INSERT INTO t VALUES (1)";
    let watched = Watched::with(Cluster::shared(), "c16_prepared", tables, |builder| {
        builder.no_replicas().flag("--pool-size", "1")
    });
    let session = || Wire::connect(&watched.sidecache.login("app").with("search_path", "a, public")).expect("taken");
    let read = "SELECT x FROM t";
    let run = |client: &mut Wire| {
        let batch = Batch::new().bind("", "s", &[], Format::Text).describe_portal("").execute("", 0).sync();
        text(&rows(&client.run(&batch).expect("alive")).expect("rows"))
    };
    watched.hear();
    let mut old = session();
    old.run(&Batch::new().parse("s", read, &[]).sync()).expect("alive");
    assert_eq!(run(&mut old), "1");
    let mut beside = watched.beside();
    beside.rows("CREATE TABLE a.t AS SELECT 2 AS x");
    watched.hear();
    assert_eq!(run(&mut old), "2");
    assert_eq!(text(&session().rows(read)), "2");
    beside.rows("UPDATE a.t SET x = 3");
    watched.hear();
    assert_eq!((run(&mut old), text(&session().rows(read))), ("3".to_owned(), "3".to_owned()));
}

/// While the catalog is in doubt nothing is served: a function that writes rows and no more raises no doubt, one that may do more does.
#[test]
fn c19_a_function_that_only_writes_rows_puts_no_catalog_in_doubt() {
    let cluster = Cluster::quiet();
    let watched = Watched::quiet(
        &cluster,
        "c19_functions",
        "CREATE TABLE t(x int); INSERT INTO t VALUES (1); CREATE TABLE visits(x int);\
         CREATE FUNCTION log_visit(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO visits VALUES (n); RETURN n; END';\
         CREATE FUNCTION makes(name text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'CREATE VIEW ' || name || ' AS SELECT 1 AS x'; END$$;\
         CREATE FUNCTION through(name text) RETURNS void LANGUAGE sql AS 'SELECT makes(name)'",
    );
    let [mut client, mut reader] = [watched.client(), watched.client()];
    let read = "SELECT x FROM t";
    watched.warm(&mut reader, read);
    let verifications = || watched.sidecache.count("/catalog/verifications");
    let before = verifications();
    for harmless in [
        "SELECT log_visit(1)",
        "INSERT INTO visits SELECT log_visit(2)",
        "WITH a(n) AS (SELECT x FROM ONLY t) SELECT log_visit(n) FROM a",
        "SELECT xmlelement(NAME v, xmlforest(x)) FROM t",
    ] {
        client.query(harmless).expect("a connection that lives");
        watched.hear();
        assert!(watched.look(|| reader.rows(read)).0, "{harmless}");
        assert_eq!(verifications(), before, "{harmless}");
    }
    client.rows("SELECT through('t2')");
    eventually("the catalog to be looked at", || (verifications() > before).then_some(()));
    eventually("a hit", || watched.look(|| reader.rows(read)).0.then_some(()));
    assert_eq!(client.value("SELECT x FROM t2"), "1");
}
