//! What drivers that are not installed here send when they connect, borrow a connection and give it back, message by
//! message: direct and through Sidecache, in both pool modes. Taken from their sources and from issues about poolers.

use crate::harness::wire::{Batch, Format};
use crate::twins::{Step, Twins, queries, ready};

const SETUP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY, v text); CREATE TABLE t (id int PRIMARY KEY, v text);\
     INSERT INTO shop.t SELECT g, 'shop ' || g FROM generate_series(1, 20) g; INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 20) g";

const READ: &str = "SELECT v FROM t WHERE id = $1";

/// Plays it in both pool modes, with these startup parameters.
fn same(label: &str, parameters: &[(&str, &str)], script: &[Step]) {
    for pool in ["transaction", "session"] {
        let twins = Twins::with(label, SETUP, |builder| builder.pool(pool));
        let with = |login| parameters.iter().fold(login, |login: crate::harness::wire::Login, (n, v)| login.with(n, v));
        let answers = twins.same_as(&format!("{label}, pool {pool}"), "", script, with);
        assert!(answers.iter().all(|answer| !answer.is_empty()), "{label}: every step has an answer");
    }
}

fn b() -> Batch {
    Batch::new()
}

/// Parse, Bind, Execute with a limit, Sync: how pgjdbc sends what has no result.
fn jdbc(sql: &str) -> Step {
    ready(b().parse("", sql, &[]).bind("", "", &[], Format::Text).describe_portal("").execute("", 1).sync())
}

#[test]
fn r19_pgjdbc_sets_itself_up_walks_in_parts_and_saves_itself() {
    let start = [
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO"),
        ("TimeZone", "Europe/Berlin"),
        ("extra_float_digits", "2"),
        ("search_path", "shop,public"),
    ];
    let begin = |batch: Batch| batch.parse("", "BEGIN", &[]).bind("", "", &[], Format::Text).execute("", 0);
    let all = "SELECT id, v FROM t ORDER BY id";
    let script = [
        jdbc("SET extra_float_digits = 3"),
        jdbc("SET application_name = 'PostgreSQL JDBC Driver'"),
        jdbc("SHOW TimeZone"),
        jdbc("SELECT v FROM t WHERE id = 1"),
        // setFetchSize: a named portal, a part at a time.
        ready(
            begin(b())
                .parse("S_1", all, &[])
                .bind("C_1", "S_1", &[], Format::Text)
                .describe_portal("C_1")
                .execute("C_1", 6)
                .sync(),
        ),
        ready(b().execute("C_1", 6).sync()),
        ready(b().execute("C_1", 100).sync()),
        ready(b().close_portal("C_1").sync()),
        // autosave=always: a savepoint by a simple query around each statement.
        ready(b().query("SAVEPOINT PGJDBC_AUTOSAVE")),
        jdbc("SELECT 1/0"),
        ready(b().query("ROLLBACK TO SAVEPOINT PGJDBC_AUTOSAVE")),
        jdbc("SELECT v FROM t WHERE id = 2"),
        ready(b().query("RELEASE SAVEPOINT PGJDBC_AUTOSAVE")),
        jdbc("COMMIT"),
        // Five runs, then a name on the server; binary results from then on.
        ready(b().parse("S_2", READ, &[23]).bind("", "S_2", &[Some("3")], Format::Binary).execute("", 0).sync()),
        ready(b().bind("", "S_2", &[Some("4")], Format::Binary).execute("", 0).sync()),
        ready(b().bind("", "S_2", &[Some("3")], Format::Binary).execute("", 0).sync()),
    ];
    same("pgjdbc", &start, &script);
}

#[test]
fn r19_the_aws_wrapper_asks_who_it_is() {
    let script = queries(&[
        "SELECT pg_catalog.pg_is_in_recovery()",
        "SELECT SERVER_ID, SESSION_ID FROM aurora_replica_status()",
        "SELECT (setting LIKE '%rds_tools%') AS rds_tools FROM pg_catalog.pg_settings WHERE name = 'rds.extensions'",
        "SELECT 1 FROM aurora_db_instance_identifier()",
        "SELECT 'get_blue_green_fast_switchover_metadata'::regproc",
        "SELECT pg_catalog.pg_is_in_recovery(), inet_server_addr() IS NULL",
    ]);
    same("aws", &[], &script);
}

#[test]
fn r19_npgsql_asks_for_all_types_at_once_and_discards_what_it_did() {
    let types = "SELECT current_setting('server_version_num')::int / 10000;\n\n\
        SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid FROM (\
        SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.typelem AS elemtypoid \
        FROM pg_type AS typ LEFT JOIN pg_class AS cls ON cls.oid = typ.typrelid LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive \
        WHERE typ.oid < 10000 AND typ.typtype IN ('b', 'r', 'm', 'e', 'd')) AS t JOIN pg_namespace AS ns ON ns.oid = t.typnamespace \
        ORDER BY t.oid;\n\nSELECT enumtypid FROM pg_enum WHERE enumtypid < 10000";
    let script = [
        ready(b().query(types)),
        ready(
            b().parse("", READ, &[23])
                .bind("", "", &[Some("1")], Format::Text)
                .describe_portal("")
                .execute("", 0)
                .sync(),
        ),
        ready(b().parse("_auto0", READ, &[23]).describe_statement("_auto0").sync()),
        ready(b().bind("", "_auto0", &[Some("2")], Format::Text).execute("", 0).sync()),
        ready(b().query("SET TimeZone = 'Asia/Tokyo'")),
        // The next command goes out with the reset of the last one's session before it.
        ready(b().query("CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); RESET ALL")),
        ready(b().query("DISCARD ALL")),
        ready(b().query("SHOW TimeZone")),
        ready(b().bind("", "_auto0", &[Some("2")], Format::Text).execute("", 0).sync()),
        ready(b().parse("_auto0", READ, &[23]).bind("", "_auto0", &[Some("2")], Format::Text).execute("", 0).sync()),
    ];
    same("npgsql", &[("client_encoding", "UTF8")], &script);
}

#[test]
fn r19_rails_sets_its_session_and_locks_for_its_migrations() {
    let mut script = queries(&[
        "SET client_min_messages TO 'warning'",
        "SET standard_conforming_strings = on",
        "SET SESSION timezone TO 'UTC'",
        "UPDATE pg_settings SET setting = 'on' WHERE name = 'standard_conforming_strings' AND context = 'user'",
        "SELECT t.oid, t.typname FROM pg_type AS t WHERE t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric', 'bool') ORDER BY 1",
        "SHOW max_identifier_length",
        "SHOW search_path",
        "SELECT pg_try_advisory_lock(7236423)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7236423",
        ";",
        "",
    ]);
    for id in ["1", "2", "1"] {
        script.push(ready(b().bind("", "a1", &[Some(id)], Format::Text).describe_portal("").execute("", 0).sync()));
    }
    script.insert(11, ready(b().parse("a1", READ, &[]).describe_statement("a1").sync()));
    script.extend(queries(&["SELECT pg_advisory_unlock(7236423)", "DEALLOCATE a1", "DEALLOCATE a1", "DISCARD ALL"]));
    same("rails", &[], &script);
}

#[test]
fn r19_prisma_forgets_its_statements_in_each_transaction() {
    let read = |name: &str| b().parse(name, READ, &[]).describe_statement(name).sync();
    let run = |name: &str| b().bind("", name, &[Some("5")], Format::Text).execute("", 0).sync();
    let mut script = Vec::new();
    for _ in 0..3 {
        script.extend(queries(&["BEGIN", "DEALLOCATE ALL"]));
        script.extend([ready(read("s0")), ready(run("s0")), ready(read("s1")), ready(run("s1"))]);
        script.extend(queries(&["COMMIT"]));
    }
    script.push(ready(run("s0")));
    script.extend(queries(&["DEALLOCATE ALL"]));
    script.push(ready(run("s0")));
    same("prisma", &[("search_path", "shop")], &script);
}

#[test]
fn r19_sqlx_and_pgx_describe_first_and_close_each_portal() {
    let start = [
        ("DateStyle", "ISO, MDY"),
        ("client_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("extra_float_digits", "2"),
        ("application_name", "sqlx"),
        ("options", "-c geqo=off -c statement_timeout=60s"),
    ];
    let run = |batch: Batch, name: &str, id: &str| batch.bind("", name, &[Some(id)], Format::Binary).execute("", 0);
    let script = [
        ready(b().parse("sqlx_s_1", READ, &[25]).describe_statement("sqlx_s_1").sync()),
        ready(
            b().parse("sqlx_s_1", "SELECT v FROM t WHERE id::text = $1", &[25]).describe_statement("sqlx_s_1").sync(),
        ),
        ready(run(b(), "sqlx_s_1", "1").close_portal("").sync()),
        ready(run(b(), "sqlx_s_1", "1").close_portal("").sync()),
        ready(b().close_statement("sqlx_s_1").sync()),
        ready(run(b(), "sqlx_s_1", "1").close_portal("").sync()),
        ready(b().query("SHOW geqo")),
        // pgx: statements of a batch are described in one pipeline, and run in another.
        ready(
            b().parse("stmtcache_1", READ, &[])
                .describe_statement("stmtcache_1")
                .parse("stmtcache_2", "SELECT count(*) FROM t", &[])
                .describe_statement("stmtcache_2")
                .sync(),
        ),
        ready({
            let both = b().bind("", "stmtcache_1", &[Some("3")], Format::Text).describe_portal("").execute("", 0);
            both.bind("", "stmtcache_2", &[], Format::Text).describe_portal("").execute("", 0).sync()
        }),
        ready(b().query("-- ping")),
        ready(b().close_statement("stmtcache_1").close_statement("stmtcache_2").sync()),
    ];
    same("sqlx", &start, &script);
}

/// Its savepoint mode ends a batch by a simple query where others send Sync.
#[test]
fn r19_postgrex_ends_a_batch_by_a_simple_query() {
    let bootstrap = "SELECT t.oid, t.typname, t.typsend, t.typreceive, t.typoutput, t.typinput, coalesce(d.typelem, t.typelem), \
        coalesce(r.rngsubtype, 0), ARRAY (SELECT a.atttypid FROM pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0 \
        AND NOT a.attisdropped ORDER BY a.attnum) FROM pg_type AS t LEFT JOIN pg_type AS d ON t.typbasetype = d.oid \
        LEFT JOIN pg_range AS r ON r.rngtypid = t.oid WHERE (t.typrelid = 0) AND t.oid < 10000 ORDER BY t.oid";
    let prepare = |sql: &str| ready(b().parse("ecto_1", sql, &[]).describe_statement("ecto_1").sync());
    let saved = |value: &str| {
        let run = b().query("SAVEPOINT postgrex_query").bind("", "ecto_1", &[Some(value)], Format::Text).execute("", 0);
        run.close_portal("")
    };
    let script = [
        ready(b().query(bootstrap)),
        // Not to be worked out at Bind, as a plan of its own would and one for all values would not.
        prepare("SELECT 100 / (id - $1::int) FROM t WHERE id = 1"),
        ready(b().query("BEGIN")),
        crate::twins::readies(saved("5").query("RELEASE SAVEPOINT postgrex_query"), 2),
        crate::twins::readies(saved("1").sync(), 2),
        ready(b().query("ROLLBACK TO SAVEPOINT postgrex_query;RELEASE SAVEPOINT postgrex_query")),
        crate::twins::readies(saved("4").query("RELEASE SAVEPOINT postgrex_query"), 2),
        ready(b().query("COMMIT")),
        ready(b().bind("", "ecto_1", &[Some("7")], Format::Text).execute("", 0).close_portal("").sync()),
    ];
    same("postgrex", &[], &script);
}
