//! What may be served from the cache and to whom: never to another role, under other settings, in another shape, or in a
//! transaction that sees something else; and what is never stored at all. A direct connection decides what is right.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::wire::{Batch, Format, Frame, Wire, tags};
use crate::watched::{Watched, text};

pub const READ: &str = "SELECT x FROM t ORDER BY x";

pub const TABLE: &str = "CREATE TABLE t(x int); INSERT INTO t VALUES (1), (2)";

/// That this statement is refused with this SQLSTATE, and not answered.
pub fn refused(client: &mut Wire, sql: &str, sqlstate: &str) {
    let frames = client.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    assert!(!tags(&frames).contains('D'), "{sql}: rows where there should be none: {frames:?}");
    assert_eq!(frames.iter().find_map(|f| f.field(b'C')).as_deref(), Some(sqlstate), "{sql}: {frames:?}");
}

/// What a server says to a batch, without what differs by chance: the backend's own line numbers in errors.
pub fn said(client: &mut Wire, batch: &Batch) -> Vec<Frame> {
    client.run(batch).expect("a connection that lives")
}

#[test]
fn g1_a_hit_is_for_the_role_that_may_read() {
    let watched = Watched::shared("g1_roles", &format!("{TABLE}; CREATE TABLE w(); GRANT SELECT ON w TO solo"));
    watched.cluster.primary.sql("GRANT solo TO app");
    let mut client = watched.client();
    let prepared = Batch::new().parse("s", READ, &[]).bind("", "s", &[], Format::Text).execute("", 0).sync();
    let again = Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync();
    said(&mut client, &prepared);
    assert_eq!(watched.warm(&mut client, READ), "1;2");
    for (enter, leave) in [
        ("SET ROLE solo", "RESET ROLE"),
        ("SET ROLE TO 'solo'", "SET ROLE NONE"),
        ("BEGIN; SET LOCAL ROLE solo", "ROLLBACK"),
        ("SELECT set_config('role', 'solo', false)", "RESET ROLE"),
        ("SET SESSION ROLE solo", "SET role = 'app'"),
    ] {
        client.rows(enter);
        refused(&mut client, READ, "42501");
        if leave != "ROLLBACK" {
            let frames = said(&mut client, &again);
            assert_eq!((tags(&frames).as_str(), frames[0].field(b'C').as_deref()), ("EZ", Some("42501")), "{enter}");
        }
        client.rows(leave);
        assert_eq!(text(&client.rows(READ)), "1;2", "{leave}");
    }
    let mut other = watched.sidecache.connect("solo");
    refused(&mut other, READ, "42501");
    let mut root = watched.sidecache.connect("postgres");
    for (set, user) in [("RESET ROLE", "postgres"), ("SET ROLE app", "app"), ("SET ROLE solo", "solo")] {
        root.rows(set);
        let who = "SELECT count(*), CURRENT_USER, SESSION_USER FROM w";
        assert_eq!(watched.warm(&mut root, who), format!("0,{user},postgres"), "g13");
    }
    root.rows("RESET ROLE");
    assert_eq!(text(&root.rows(READ)), "1;2");
    root.rows("SET SESSION AUTHORIZATION solo");
    refused(&mut root, READ, "42501");
    root.rows("RESET SESSION AUTHORIZATION");
    assert_eq!(text(&root.rows(READ)), "1;2");
}

#[test]
fn g2_what_was_revoked_is_not_served() {
    // A replica may lag behind the REVOKE as behind anything else.
    let watched = Watched::with(Cluster::shared(), "g2_revoke", TABLE, |builder| builder.no_replicas());
    let group = format!("group_{}", watched.database);
    let mut root = watched.cluster.primary.connect_to(&watched.database);
    root.rows(&format!("CREATE ROLE {group}; GRANT SELECT ON t TO solo"));
    let mut owner = watched.client();
    let mut reader = watched.sidecache.connect("solo");
    // Through the same instance: from the moment it is acknowledged.
    for revoke in [&["REVOKE SELECT ON t FROM solo"][..], &["BEGIN", "REVOKE ALL ON t FROM solo", "COMMIT"]] {
        owner.rows("GRANT SELECT ON t TO solo");
        assert_eq!(watched.warm(&mut reader, READ), "1;2");
        for statement in revoke {
            owner.rows(statement);
        }
        refused(&mut reader, READ, "42501");
    }
    // Beside it: from the moment it was heard.
    let column = "GRANT SELECT (x) ON t TO solo";
    let member = format!("GRANT SELECT ON t TO {group}; GRANT {group} TO solo");
    let usage = "GRANT SELECT ON t TO solo; GRANT USAGE ON SCHEMA public TO solo";
    for (grant, revoke, sqlstate) in [
        ("GRANT SELECT ON t TO solo", "REVOKE SELECT ON t FROM solo".to_owned(), "42501"),
        (column, "REVOKE SELECT (x) ON t FROM solo".to_owned(), "42501"),
        (&member, format!("REVOKE {group} FROM solo"), "42501"),
        (usage, "REVOKE USAGE ON SCHEMA public FROM public, solo".to_owned(), "42P01"),
    ] {
        root.rows(grant);
        assert_eq!(watched.warm(&mut reader, READ), "1;2", "{grant}");
        root.rows(&revoke);
        watched.hear();
        refused(&mut reader, READ, sqlstate);
    }
    root.rows(&format!("DROP OWNED BY {group}; DROP ROLE {group}"));
}

#[test]
fn c15_row_security_is_part_of_what_is_read() {
    let watched = Watched::shared(
        "c15_policies",
        "CREATE TABLE r(owner text, x int); INSERT INTO r VALUES ('app', 1), ('solo', 2);\
         GRANT SELECT ON r TO solo; CREATE VIEW v AS SELECT x FROM r; GRANT SELECT ON v TO solo",
    );
    let (mut app, mut solo) = (watched.client(), watched.sidecache.connect("solo"));
    assert_eq!(watched.warm(&mut solo, "SELECT sum(x) FROM r"), "3");
    watched.beside().rows(
        "CREATE POLICY own ON r USING (owner = current_user OR owner = current_setting('app.tenant', true));\
         ALTER TABLE r ENABLE ROW LEVEL SECURITY",
    );
    watched.hear();
    assert_eq!(solo.value("SELECT sum(x) FROM r"), "2");
    assert_eq!(watched.warm(&mut solo, "SELECT sum(x) FROM r"), "2");
    assert_eq!(watched.warm(&mut app, "SELECT sum(x) FROM v"), "3");
    solo.rows("SET app.tenant = 'app'");
    assert_eq!(solo.value("SELECT sum(x) FROM r"), "3");
    app.rows("ALTER TABLE r FORCE ROW LEVEL SECURITY");
    assert_eq!(app.value("SELECT sum(x) FROM r"), "1");
}

#[test]
fn g10_a_temporary_table_hides_the_permanent_one() {
    let watched = Watched::shared("g10_temporary", TABLE);
    let mut client = watched.client();
    for (make, drop) in [
        ("CREATE TEMP TABLE t AS SELECT 9 AS x", "DROP TABLE t"),
        ("SELECT 9 AS x INTO TEMPORARY t", "DISCARD ALL"),
        ("CREATE TEMP VIEW t AS SELECT 9 AS x", "DISCARD TEMP"),
    ] {
        assert_eq!(watched.warm(&mut watched.client(), READ), "1;2");
        client.rows(make);
        let (hit, rows) = watched.look(|| text(&client.rows(READ)));
        assert_eq!((hit, rows.as_str()), (false, "9"), "{make}");
        client.rows(drop);
        assert_eq!(text(&client.rows(READ)), "1;2", "{drop}");
    }
    assert_eq!(watched.warm(&mut watched.client(), READ), "1;2", "and nothing of it was stored for others");
}

#[test]
fn g4_a_statement_bound_later_depends_on_what_it_reads() {
    let watched = Watched::shared("g4_bind", TABLE);
    let mut client = watched.client();
    said(&mut client, &Batch::new().parse("s", "SELECT count(*) FROM t WHERE x > $1", &[]).sync());
    let run = Batch::new().bind("", "s", &[Some("0")], Format::Text).execute("", 0).sync();
    let mut count = || text(&crate::harness::wire::rows(&said(&mut client, &run)).expect("rows"));
    eventually("a hit", || watched.look(&mut count).0.then_some(()));
    for n in 3..6 {
        watched.beside().rows(&format!("INSERT INTO t VALUES ({n})"));
        watched.hear();
        assert_eq!(count(), n.to_string());
    }
}

#[test]
fn c19_a_prepared_statement_whose_result_type_changed_is_answered_as_directly() {
    let watched = Watched::shared("c19_prepared", TABLE);
    let (mut client, mut direct) = (watched.client(), watched.beside());
    let prepare = Batch::new().parse("s", "SELECT * FROM t ORDER BY x", &[]).sync();
    let run = Batch::new().bind("", "s", &[], Format::Text).describe_portal("").execute("", 0).sync();
    said(&mut client, &prepare);
    eventually("a hit", || watched.look(|| said(&mut client, &run)).0.then_some(()));
    direct.rows("ALTER TABLE t ADD COLUMN y int DEFAULT 5");
    watched.hear();
    let right = said(&mut direct, &Batch::new().extended("SELECT * FROM t ORDER BY x", &[], Format::Text));
    let healed = said(&mut client, &run);
    let wrong = healed.iter().find(|f| f.tag == b'E').and_then(|f| f.field(b'C'));
    assert!(wrong.as_deref() == Some("0A000") || healed == right[1..], "neither healed nor as direct: {healed:?}");
    // Parsed anew it is what it is now, and so are its hits.
    let again = Batch::new().close_statement("s").parse("s", "SELECT * FROM t ORDER BY x", &[]).sync();
    said(&mut client, &again);
    for _ in 0..3 {
        assert_eq!(said(&mut client, &run), right[1..], "the rows and their description are of one time");
    }
}

#[test]
fn c21_transactions_see_what_is_theirs() {
    let function = "CREATE FUNCTION writes(int) RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES ($1) RETURNING x'";
    let watched = Watched::shared("c21_transactions", &format!("{TABLE}; {function}"));
    let mut client = watched.client();
    let mut other = watched.client();
    assert_eq!(watched.warm(&mut client, READ), "1;2");
    let mut steps = |what: &str, statements: &[&str], hit: bool, rows: &str, end: &str| {
        assert_eq!(watched.warm(&mut other, READ), "1;2", "{what}: for others");
        statements.iter().for_each(|s| drop(client.rows(s)));
        let (was, read) = watched.look(|| text(&client.rows(READ)));
        assert_eq!((was, read.as_str()), (hit, rows), "{what}");
        assert_eq!(text(&other.rows(READ)), "1;2", "{what}: for others meanwhile");
        client.rows(end);
        assert_eq!(text(&client.rows(READ)), "1;2", "{what}: afterwards");
    };
    steps("clean", &["BEGIN"], true, "1;2", "COMMIT");
    steps("read_committed", &["BEGIN ISOLATION LEVEL READ COMMITTED"], true, "1;2", "COMMIT");
    steps("after_a_hit", &["BEGIN", READ, "SAVEPOINT s", READ], true, "1;2", "ROLLBACK");
    steps(
        "undone_to_savepoint",
        &["BEGIN", "SAVEPOINT s", "INSERT INTO t VALUES (3)", "ROLLBACK TO s"],
        false,
        "1;2",
        "ROLLBACK",
    );
    steps("repeatable_read", &["BEGIN ISOLATION LEVEL REPEATABLE READ"], false, "1;2", "COMMIT");
    steps("serializable", &["START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY"], false, "1;2", "COMMIT");
    steps("set_transaction", &["BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"], false, "1;2", "COMMIT");
    steps("begin_again", &["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"], false, "1;2", "COMMIT");
    steps("mode", &["BEGIN", "SET transaction_isolation = 'serializable'"], false, "1;2", "COMMIT");
    steps("mode_is_gone", &["SET transaction_isolation = 'serializable'", "BEGIN"], true, "1;2", "COMMIT");
    steps("locks", &["BEGIN", "SELECT x FROM t FOR UPDATE"], false, "1;2", "COMMIT");
    steps("lock_table", &["BEGIN", "LOCK TABLE t IN SHARE MODE"], false, "1;2", "COMMIT");
    steps("function", &["BEGIN", "SELECT writes(3)"], false, "1;2;3", "ROLLBACK");
}

#[test]
fn c21_a_snapshot_that_stands_still_is_not_mixed_with_hits() {
    let watched = Watched::shared("c21_snapshot", TABLE);
    let database = &watched.database;
    watched
        .cluster
        .primary
        .sql(&format!("ALTER ROLE solo IN DATABASE {database} SET default_transaction_isolation = 'repeatable read'"));
    watched.beside().rows("GRANT SELECT ON t TO solo");
    watched.hear();
    let options = ("options", "-c default_transaction_isolation=serializable");
    let by_options = Wire::connect(&watched.sidecache.login("app").with(options.0, options.1)).expect("taken");
    let mut by_set = watched.client();
    by_set.rows("SET default_transaction_isolation = 'repeatable read'");
    let mut by_characteristics = watched.client();
    by_characteristics.rows("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    let by_role = watched.sidecache.connect("solo");
    let mut n = 2;
    for (what, mut client) in
        [("options", by_options), ("set", by_set), ("characteristics", by_characteristics), ("role", by_role)]
    {
        client.rows("BEGIN");
        let before = text(&client.rows(READ));
        n += 1;
        watched.beside().rows(&format!("INSERT INTO t VALUES ({n})"));
        watched.hear();
        let mut other = if what == "role" { watched.sidecache.connect("solo") } else { watched.client() };
        if what != "role" {
            assert_ne!(watched.warm(&mut other, READ), before);
        }
        assert_eq!(text(&client.rows(READ)), before, "{what}: one transaction, one snapshot");
        client.rows("COMMIT");
        assert_ne!(text(&client.rows(READ)), before, "{what}");
    }
}

/// A session may begin under another role than its user's, by ALTER ROLE or its own options: SET ROLE NONE ends that, RESET ROLE does not.
#[test]
fn c15_c16_the_role_that_a_session_begins_with_is_its_role() {
    let watched = Watched::shared(
        "c15_begins",
        "CREATE SCHEMA app; CREATE SCHEMA solo; CREATE TABLE app.w(x int); CREATE TABLE solo.w(x int);\
         CREATE TABLE public.own(x int); GRANT USAGE ON SCHEMA solo TO solo; GRANT SELECT ON solo.w TO solo",
    );
    let mut root = watched.cluster.primary.connect_to(&watched.database);
    let read = "SELECT count(*), CURRENT_USER, SESSION_USER FROM w";
    let given = format!("ALTER ROLE app IN DATABASE {} SET role = 'solo'", watched.database);
    root.rows("GRANT solo TO app");
    let mut before = watched.client();
    assert_eq!(watched.warm(&mut before, read), "0,app,app");
    root.rows("INSERT INTO solo.w VALUES (1)");
    for (given, options) in [("", "-c role=solo"), (given.as_str(), "")] {
        if !given.is_empty() {
            root.rows(given);
            watched.hear();
            eventually("the default to be known", || {
                (text(&watched.client().rows(read)) == "1,solo,app").then_some(())
            });
            assert_eq!(watched.warm(&mut before, read), "1,solo,app", "a session that began before takes it over");
        }
        let mut client = Wire::connect(&watched.sidecache.login("app").with("options", options)).expect("taken");
        for (set, role) in [
            ("SELECT 1", "1,solo,app"),
            ("SET ROLE NONE", "0,app,app"),
            ("RESET ALL", "0,app,app"),
            ("RESET ROLE", "1,solo,app"),
            ("SELECT set_config('role', 'none', false)", "0,app,app"),
            ("SET ROLE TO DEFAULT", "1,solo,app"),
            ("SET ROLE app", "0,app,app"),
            ("DISCARD ALL", "1,solo,app"),
        ] {
            client.rows(set);
            assert_eq!(watched.warm(&mut client, read), role, "{given}{options}: {set}");
            if role == "1,solo,app" {
                refused(&mut client, "SELECT x FROM own", "42501");
            } else {
                watched.warm(&mut client, "SELECT x FROM own");
            }
        }
    }
}

/// RESET ALL takes back neither the role nor what transactions have of their own (`GUC_NO_RESET_ALL` in guc.c), be it local.
#[test]
fn c15_c21_reset_all_leaves_role_and_isolation_as_they_are() {
    let watched = Watched::shared("c15_reset_all", TABLE);
    watched.cluster.primary.sql("GRANT solo TO app");
    let (mut client, mut other) = (watched.client(), watched.client());
    for set in ["SET LOCAL ROLE solo", "SET ROLE solo", "SELECT set_config('role', 'solo', true)"] {
        assert_eq!(watched.warm(&mut other, READ), "1;2");
        ["BEGIN", set, "RESET ALL"].iter().for_each(|sql| drop(client.rows(sql)));
        refused(&mut client, READ, "42501");
        client.rows("ROLLBACK");
        assert_eq!(text(&client.rows(READ)), "1;2", "{set}: afterwards");
    }
    let mut rows = "1;2".to_owned();
    let sets = ["SET LOCAL transaction_isolation = 'repeatable read'", "SET transaction_isolation = 'serializable'"];
    for (n, set) in sets.into_iter().enumerate() {
        assert_eq!(watched.warm(&mut other, READ), rows);
        ["BEGIN", set, "RESET ALL"].iter().for_each(|sql| drop(client.rows(sql)));
        assert_eq!(text(&client.rows(READ)), rows, "{set}");
        watched.beside().rows(&format!("INSERT INTO t VALUES ({})", n + 3));
        watched.hear();
        let after = format!("{rows};{}", n + 3);
        assert_eq!(watched.warm(&mut other, READ), after);
        assert_eq!(text(&client.rows(READ)), rows, "{set}: one transaction, one snapshot");
        client.rows("COMMIT");
        assert_eq!(text(&client.rows(READ)), after, "{set}: afterwards");
        rows = after;
    }
}

#[test]
fn c22_c23_what_does_not_depend_on_tables_alone_is_never_stored() {
    let watched = Watched::shared(
        "c22_refused",
        "CREATE TABLE t(x int, at timestamptz, d date); INSERT INTO t VALUES (1, now(), now());\
         CREATE UNLOGGED TABLE u(x int); CREATE MATERIALIZED VIEW m AS SELECT x FROM t; CREATE SEQUENCE s;\
         CREATE VIEW clock AS SELECT x, now() AS n FROM t; CREATE VIEW deep AS SELECT n FROM clock;\
         CREATE VIEW wild AS SELECT x + random() AS r FROM t; CREATE VIEW over AS SELECT x FROM m;\
         CREATE FUNCTION moody(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1';\
         CREATE FUNCTION staid(int) RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM t); END';\
         CREATE FUNCTION definer() RETURNS int LANGUAGE sql IMMUTABLE SECURITY DEFINER AS 'SELECT 1'",
    );
    let mut client = watched.client();
    assert_eq!(watched.warm(&mut client, "SELECT x FROM t"), "1", "the table itself is cached");
    for read in [
        "SELECT x, now() FROM t",
        "SELECT x, current_timestamp FROM t",
        "SELECT x, CURRENT_DATE FROM t",
        "SELECT x, LOCALTIME FROM t",
        "SELECT x, statement_timestamp(), clock_timestamp(), timeofday() FROM t",
        "SELECT x, random() FROM t",
        "SELECT x, gen_random_uuid() FROM t",
        "SELECT x FROM t WHERE at < 'now'",
        "SELECT x FROM t WHERE at < timestamptz 'now'",
        "SELECT x FROM t WHERE d = 'today'",
        "SELECT x FROM t WHERE d < 'tomorrow'::date",
        "SELECT x FROM t WHERE d > CAST('yesterday' AS date)",
        "SELECT age(at) FROM t",
        "SELECT x, nextval('s') FROM t",
        "SELECT x, txid_current_if_assigned() FROM t",
        "SELECT x, pg_sleep(0) FROM t",
        "SELECT x, current_setting('application_name') FROM t",
        "SELECT x FROM t TABLESAMPLE BERNOULLI (100)",
        "SELECT x FROM t FOR UPDATE",
        "SELECT x FROM t FOR KEY SHARE SKIP LOCKED",
        "SELECT x FROM (SELECT x FROM t FOR SHARE) q",
        "SELECT x, pg_try_advisory_xact_lock(1) FROM t",
        "SELECT ctid FROM t",
        "SELECT x FROM t WHERE xmin::text <> ''",
        "SELECT tableoid FROM t",
        "SELECT x FROM u",
        "SELECT x FROM m",
        "SELECT x FROM over",
        "SELECT last_value FROM s",
        "SELECT relname FROM pg_class WHERE relname = 't'",
        "SELECT table_name FROM information_schema.tables WHERE table_name = 't'",
        "SELECT count(*) FROM pg_stat_activity, t",
        "SELECT pg_relation_size('t'), x FROM t",
        "SELECT n FROM clock",
        "SELECT n FROM deep",
        "SELECT r FROM wild",
        "SELECT moody(x) FROM t",
        "SELECT staid(x) FROM t",
        "SELECT definer() FROM t",
        "SELECT count(*) FROM ONLY t",
        "WITH w AS (INSERT INTO t VALUES (2) RETURNING x) SELECT x FROM w",
        "EXPLAIN SELECT x FROM t",
        "SELECT x FROM t; SELECT x FROM t",
        "SELECT 1",
        "SELECT generate_series(1, 3)",
        "SHOW TimeZone",
    ] {
        watched.never_cached(&mut client, read);
    }
    let since = |at: &str| Batch::new().extended("SELECT x FROM t WHERE at > $1 LIMIT 1", &[Some(at)], Format::Text);
    for word in ["now", "NOW", "today 12:00", "yesterday"] {
        let (hits, stored) = (watched.hits(), watched.stored());
        (0..2).for_each(|_| drop(said(&mut client, &since(word))));
        assert_eq!((watched.hits(), watched.stored()), (hits, stored), "{word} as a parameter");
    }
    eventually("a hit", || watched.look(|| said(&mut client, &since("2020-01-01"))).0.then_some(()));
}

/// A time of day becomes one with time zone by the offset of the present day, and a relation's name is what the catalog says: neither is
/// stored, nor what is made of it.
#[test]
fn c22_what_hangs_on_the_day_or_on_the_catalog_is_never_stored() {
    let watched = Watched::shared(
        "c22_unsteady",
        "CREATE DOMAIN daytime AS timetz; CREATE DOMAIN kind AS regclass; CREATE DOMAIN later AS daytime;\
         CREATE DOMAIN plain AS int; CREATE TYPE pair AS (a int, t later); CREATE TYPE span AS RANGE (subtype = timetz);\
         CREATE TABLE t(x int, opens time, made timestamptz, n plain); INSERT INTO t VALUES (1, '10:00', now(), 1);\
         CREATE TABLE times(x timetz); CREATE TABLE daytimes(x daytime); CREATE TABLE laters(x later[]);\
         CREATE TABLE kinds(x kind); CREATE TABLE pairs(x pair); CREATE TABLE deep(x pairs); CREATE TABLE spans(x span);\
         CREATE FUNCTION hour_of(timetz) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT extract(hour FROM $1)::int';\
         CREATE FUNCTION later_of(later) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';\
         CREATE OPERATOR === (LEFTARG = timetz, RIGHTARG = timetz, FUNCTION = timetz_eq)",
    );
    let mut client = watched.client();
    client.rows("SET timezone = 'Europe/Berlin'");
    for read in ["SELECT x, n, opens FROM t", "SELECT x FROM t WHERE made AT TIME ZONE 'UTC' > '2020-01-01'"] {
        watched.warm(&mut client, read);
    }
    for read in [
        "SELECT opens AT TIME ZONE 'UTC' FROM t",
        "SELECT opens AT TIME ZONE interval '1 hour' FROM t",
        "SELECT timezone('UTC', opens) FROM t",
        "SELECT q.o AT TIME ZONE 'UTC' FROM (SELECT opens AS o FROM t) q",
        "SELECT hour_of(opens) FROM t",
        "SELECT later_of(opens) FROM t",
        "SELECT opens === opens FROM t",
        "SELECT '10:00'::daytime, x FROM t",
        "SELECT '10:00'::later, x FROM t",
        "SELECT '(1,10:00)'::pair, x FROM t",
        "SELECT '{10:00}'::daytime[], x FROM t",
        "SELECT 't'::kind, x FROM t",
        "SELECT x FROM times",
        "SELECT x FROM daytimes",
        "SELECT x FROM laters",
        "SELECT x FROM kinds",
        "SELECT x FROM pairs",
        "SELECT x FROM deep",
        "SELECT x FROM spans",
    ] {
        watched.never_cached(&mut client, read);
    }
    let oid = |name: &str| watched.beside().value(&format!("SELECT '{name}'::regtype::oid")).parse().expect("an oid");
    for (name, value, cached) in [
        ("timetz", "10:00", false),
        ("later", "10:00", false),
        ("regclass", "t", false),
        ("plain", "1", true),
        ("int", "1", true),
    ] {
        let read = format!("SELECT x, $1 AS {name} FROM t");
        let batch = Batch::new().parse("", &read, &[oid(name)]).bind("", "", &[Some(value)], Format::Text);
        let batch = batch.execute("", 0).sync();
        let stored = watched.stored();
        let mut look = || watched.look(|| drop(said(&mut client, &batch))).0;
        if cached {
            eventually("a hit", || look().then_some(()));
        } else {
            assert!((0..3).all(|_| !look()) && watched.stored() == stored, "{name}");
        }
    }
}

/// Text that was stored may say `now` and become a date where no cast shows it.
#[test]
fn c22_stored_text_that_becomes_a_date_unseen_is_never_stored() {
    let watched = Watched::shared(
        "c22_unseen",
        "CREATE TABLE docs(id int, doc jsonb); INSERT INTO docs VALUES (1, '{\"a\": \"now\"}');\
         CREATE TABLE dates(id int, value timestamptz); INSERT INTO dates VALUES (1, '2026-01-01');\
         CREATE TABLE texts(id int, at text); INSERT INTO texts VALUES (1, 'now');\
         CREATE TYPE mood AS ENUM ('sad', 'glad')",
    );
    let mut client = watched.client();
    watched.warm(&mut client, "SELECT dates.value::date FROM dates, docs, jsonb_each_text(docs.doc) x");
    for read in [
        "SELECT docs.id, x.value::timestamptz(0) FROM docs, jsonb_each_text(docs.doc) x, dates WHERE dates.id = docs.id",
        "SELECT (SELECT value::timestamptz(0) FROM jsonb_each_text(doc) x) FROM docs, dates",
        "SELECT q.value::timestamptz(0) FROM dates, docs, LATERAL (SELECT * FROM jsonb_each_text(doc)) q",
        "SELECT q.value::timestamptz(0) FROM dates, LATERAL (SELECT (jsonb_each_text(doc)).* FROM docs) q",
    ] {
        assert_eq!(client.rows(read).len(), 1, "{read}");
        watched.never_cached(&mut client, read);
    }
    let mut root = watched.cluster.primary.connect_to(&watched.database);
    let read = "SELECT count(*) FROM texts, dates WHERE value < at";
    root.rows("CREATE CAST (text AS mood) WITH INOUT AS IMPLICIT");
    watched.hear();
    watched.warm(&mut client, "SELECT at FROM texts");
    root.rows("CREATE CAST (text AS timestamptz) WITH INOUT AS IMPLICIT");
    watched.hear();
    eventually("the cast to be known", || (client.rows(read).len() == 1).then_some(()));
    watched.never_cached(&mut client, read);
}

/// As `postgis_topology` has one: what no value of its type can come to is cached.
#[test]
fn c12_a_cast_that_may_do_anything_bears_on_its_own_type_alone() {
    let watched = Watched::shared(
        "c12_cast",
        &format!(
            "{TABLE}; CREATE TYPE shape AS (id int); CREATE TABLE shapes(s shape); INSERT INTO shapes VALUES (ROW(1));\
             CREATE DOMAIN outline AS shape; CREATE TABLE sheets(all_of outline[]); CREATE VIEW drawn AS SELECT 1 AS one FROM shapes;\
             CREATE FUNCTION area(shape) RETURNS int LANGUAGE plpgsql AS \
                 $$DECLARE n int; BEGIN EXECUTE 'SELECT ' || $1.id INTO n; RETURN n; END$$;\
             CREATE FUNCTION shape_of(int) RETURNS shape IMMUTABLE LANGUAGE sql AS 'SELECT ROW($1)::shape';\
             CREATE CAST (shape AS int) WITH FUNCTION area(shape) AS IMPLICIT"
        ),
    );
    let mut client = watched.client();
    assert_eq!(watched.warm(&mut client, READ), "1;2");
    assert_eq!(watched.warm(&mut client, "SELECT count(*) FROM t WHERE x = 1"), "1");
    for read in [
        "SELECT s FROM shapes",
        "SELECT one FROM drawn",
        "SELECT x + s FROM t, shapes",
        "SELECT x FROM t WHERE x = shape_of(x)",
        "SELECT x FROM t WHERE x = '(1)'::shape",
        "SELECT x FROM t WHERE x = ANY ('{(1)}'::shape[]::int[])",
        "SELECT all_of FROM sheets",
    ] {
        watched.never_cached(&mut client, read);
    }
}

#[test]
fn g15_a_materialized_view_and_what_becomes_uncacheable() {
    let watched = Watched::shared("g15_changes", &format!("{TABLE}; CREATE TABLE w(y int)"));
    let mut client = watched.client();
    assert_eq!(watched.warm(&mut client, READ), "1;2");
    let mut direct = watched.beside();
    direct.rows("ALTER TABLE t SET UNLOGGED");
    direct.rows("INSERT INTO t VALUES (3)");
    watched.hear();
    assert_eq!(text(&client.rows(READ)), "1;2;3");
    watched.never_cached(&mut client, READ);
    // Its changes since are not in the WAL.
    direct.rows("INSERT INTO t VALUES (4)");
    assert_eq!(text(&client.rows(READ)), "1;2;3;4");
    direct.rows("ALTER TABLE t SET LOGGED");
    watched.hear();
    assert_eq!(watched.warm(&mut client, READ), "1;2;3;4");
    direct.rows("DROP TABLE t; CREATE MATERIALIZED VIEW t AS SELECT y AS x FROM w");
    direct.rows("INSERT INTO w VALUES (7); REFRESH MATERIALIZED VIEW t");
    watched.hear();
    assert_eq!(text(&client.rows(READ)), "7");
    watched.never_cached(&mut client, READ);
}

/// Nobody but its own module knows where a table of another access method has its rows: the WAL may tell nothing of them under its name.
#[test]
fn c23_a_table_of_another_access_method_is_never_cached() {
    let watched = Watched::shared(
        "c23_method",
        &format!("{TABLE}; CREATE TABLE w(y int) PARTITION BY LIST (y); CREATE TABLE w1 PARTITION OF w DEFAULT"),
    );
    let mut client = watched.client();
    let whole = "SELECT y FROM w ORDER BY y";
    watched.warm(&mut client, READ);
    watched.warm(&mut client, whole);
    let mut root = watched.cluster.primary.connect_to(&watched.database);
    root.rows("CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler");
    root.rows("DROP TABLE t; CREATE TABLE t (x int) USING heap2; ALTER TABLE t OWNER TO app");
    root.rows("INSERT INTO t VALUES (7)");
    watched.hear();
    assert_eq!(text(&client.rows(READ)), "7");
    watched.never_cached(&mut client, READ);
    watched.warm(&mut client, whole);
    root.rows("CREATE TABLE w2 PARTITION OF w FOR VALUES IN (2) USING heap2; ALTER TABLE w2 OWNER TO app");
    root.rows("INSERT INTO w VALUES (2)");
    watched.hear();
    eventually("the partition to be known", || (text(&client.rows(whole)) == "2").then_some(()));
    watched.never_cached(&mut client, whole);
    let refused = watched.sidecache.metric("sidecache_bypasses_total", &[("reason", "table_access_method")]);
    assert!(refused > 0.0, "{:#}", watched.sidecache.status());
}

/// A session that wants to hear of nothing below a warning is answered without what others are told.
#[test]
fn c25_an_answer_without_its_notice_is_for_those_who_want_none() {
    let watched = Watched::shared("c25_levels", "CREATE TABLE t(w text); INSERT INTO t VALUES ('the')");
    let read = "SELECT to_tsquery('english', w) FROM t";
    let [mut quiet, mut alike, mut loud] = [watched.client(), watched.client(), watched.client()];
    quiet.rows("SET client_min_messages = warning");
    watched.warm(&mut quiet, read);
    for _ in 0..2 {
        let (hit, told) = watched.look(|| loud.query(read).expect("a connection that lives"));
        assert!(!hit && told.iter().any(|frame| frame.tag == b'N'), "{told:?}");
    }
    alike.rows("SET client_min_messages TO warning");
    assert!(watched.look(|| alike.rows(read)).0, "whoever wants as little shares it");
    loud.rows("SET client_min_messages = warning");
    assert!(watched.look(|| loud.rows(read)).0);
    loud.rows("RESET client_min_messages");
    assert!(!watched.look(|| loud.rows(read)).0);
}

#[test]
fn c25_errors_notices_and_large_answers_are_not_stored() {
    let watched = Watched::with(
        Cluster::shared(),
        "c25_not_stored",
        &format!(
            "{TABLE}; CREATE FUNCTION loud(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS \
             $$BEGIN RAISE NOTICE 'heard'; RETURN $1; END$$"
        ),
        |builder| builder.flag("--entry-limit", "16KiB"),
    );
    let mut client = watched.client();
    for _ in 0..3 {
        refused(&mut client, "SELECT 1 / (x - 1) FROM t", "22012");
        let loud = client.query("SELECT loud(x) FROM t").expect("a connection that lives");
        assert_eq!(loud.iter().filter(|f| f.tag == b'N').count(), 2, "{loud:?}");
        let large = client.rows("SELECT repeat('y', 10000 * x) FROM t ORDER BY x");
        assert_eq!(large.iter().flatten().flatten().map(String::len).sum::<usize>(), 30_000);
    }
    assert_eq!((watched.hits(), watched.stored()), (0, 0));
    assert!(watched.sidecache.count("/cache/fills_refused/too_large") > 0, "{:#}", watched.sidecache.status());
    assert!(watched.sidecache.count("/cache/fills_refused/notice") > 0, "{:#}", watched.sidecache.status());
    watched.beside().rows("UPDATE t SET x = x + 1");
    watched.hear();
    assert_eq!(watched.warm(&mut client, "SELECT 1 / (x - 1) FROM t ORDER BY 1"), "0;1");
}
