//! Functions that users made and whose label, or whose result, says less than the truth (C12, C22): marked immutable though they read tables or
//! settings, and giving what hangs on the catalog or on the day.

use crate::watched::Watched;

/// What is marked immutable and reads a table changes with it; what cannot be looked into is not stored.
#[test]
fn c12_functions_that_are_wrongly_marked_immutable_are_never_older() {
    let watched = Watched::shared(
        "c12_marked",
        "CREATE TABLE prices(id int PRIMARY KEY, p int); CREATE TABLE items(id int, made date); INSERT INTO prices VALUES (1, 10);\
         INSERT INTO items VALUES (1, '2026-01-02');\
         CREATE FUNCTION price_of(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT p FROM prices WHERE id = i';\
         CREATE FUNCTION price_in(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT p FROM prices WHERE id = i); END';\
         CREATE FUNCTION price_by(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT price_in(i)';\
         CREATE FUNCTION whose() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_setting(''app.who'', true); END';\
         CREATE FUNCTION year_of(d date) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
             'BEGIN IF d IS DISTINCT FROM NULL THEN RETURN extract(year FROM d); END IF; RETURN 0; END';\
         CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * i';\
         CREATE VIEW priced AS SELECT id, price_of(id) AS price FROM items",
    );
    let mut client = watched.client();
    let reads = ["SELECT price_of(id) FROM items", "SELECT price FROM priced"];
    for read in reads {
        assert_eq!(watched.warm(&mut client, read), "10", "{read}");
    }
    client.rows("UPDATE prices SET p = 20");
    for read in reads {
        assert_eq!(client.value(read), "20", "{read}, behind a write of its own");
    }
    watched.beside().rows("UPDATE prices SET p = 30");
    watched.hear();
    for read in reads {
        assert_eq!(client.value(read), "30", "{read}, behind a write beside");
    }
    for read in
        ["SELECT id, price_in(id) FROM items", "SELECT id, price_by(id) FROM items", "SELECT id, whose() FROM items"]
    {
        watched.never_cached(&mut client, read);
    }
    for read in ["SELECT twice(id) FROM items", "SELECT year_of(made) FROM items"] {
        watched.warm(&mut client, read);
    }
}

/// PostgreSQL keeps a function that is marked stable from writing itself, not those that it calls.
#[test]
fn c12_what_is_marked_stable_and_calls_what_writes_is_a_write() {
    let watched = Watched::shared(
        "c12_writes",
        "CREATE TABLE t(x int); INSERT INTO t VALUES (1); CREATE SEQUENCE s;\
         CREATE FUNCTION add_row() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (9); RETURN 1; END';\
         CREATE FUNCTION touch() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN add_row(); END';\
         CREATE FUNCTION touch_again() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN touch() + 0; END';\
         CREATE FUNCTION touch_by(name text) RETURNS int LANGUAGE plpgsql STABLE AS \
             $$DECLARE one int; BEGIN EXECUTE 'SELECT ' || name || '()' INTO one; RETURN one; END$$;\
         CREATE FUNCTION touch_step(int, int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN add_row(); END';\
         CREATE AGGREGATE touched(int) (SFUNC = touch_step, STYPE = int, INITCOND = '0')",
    );
    let mut client = watched.client();
    let read = "SELECT count(*) FROM t";
    for (at, touch) in [
        "SELECT touch()",
        "SELECT touch_again()",
        "SELECT touch_by('add_row')",
        "SELECT touched(n) FROM (VALUES (1)) v(n)",
    ]
    .iter()
    .enumerate()
    {
        let (before, after) = ((at + 1).to_string(), (at + 2).to_string());
        watched.hear();
        assert_eq!(watched.warm(&mut client, read), before, "{touch}");
        client.rows("BEGIN");
        client.rows(touch);
        assert_eq!(client.value(read), after, "{touch}: its own transaction sees what it wrote");
        client.rows("COMMIT");
        assert_eq!(client.value(read), after, "{touch}");
    }
}

/// A relation's name, or a time of day at a zone, that a function gives.
#[test]
fn c22_what_a_function_gives_may_hang_on_the_catalog() {
    let watched = Watched::shared(
        "c22_gives",
        "CREATE TABLE t(id int, o oid, opens time); INSERT INTO t VALUES (1, 't'::regclass, '10:00');\
         CREATE TYPE named AS (a regclass, b int); CREATE DOMAIN kind AS regclass;\
         CREATE FUNCTION one(i int) RETURNS regclass LANGUAGE sql STABLE AS 'SELECT o FROM t WHERE id = i';\
         CREATE FUNCTION listed(o oid) RETURNS TABLE(a regclass, b int) LANGUAGE sql IMMUTABLE AS 'SELECT o::regclass, 1';\
         CREATE FUNCTION given(o oid, OUT r regclass, OUT n int) LANGUAGE sql IMMUTABLE AS 'SELECT o::regclass, 1';\
         CREATE FUNCTION composed(o oid) RETURNS named LANGUAGE sql IMMUTABLE AS 'SELECT o::regclass, 1';\
         CREATE FUNCTION of_domain(o oid) RETURNS kind LANGUAGE sql IMMUTABLE AS 'SELECT o::regclass::kind';\
         CREATE FUNCTION zoned(o time) RETURNS timetz LANGUAGE sql STABLE AS 'SELECT o';\
         CREATE FUNCTION plain(o oid, OUT n int, OUT m text) LANGUAGE sql IMMUTABLE AS 'SELECT 1, ''a''';\
         CREATE FUNCTION regclass_of(oid, int) RETURNS regclass LANGUAGE sql IMMUTABLE AS 'SELECT $1::regclass';\
         CREATE OPERATOR |=> (LEFTARG = oid, RIGHTARG = int, FUNCTION = regclass_of)",
    );
    let mut client = watched.client();
    watched.warm(&mut client, "SELECT (plain(o)).n FROM t");
    for read in [
        "SELECT one(1) FROM t WHERE id = 1",
        "SELECT (listed(o)).a FROM t",
        "SELECT (given(o)).r FROM t",
        "SELECT composed(o) FROM t",
        "SELECT of_domain(o) FROM t",
        "SELECT zoned(opens) FROM t",
        "SELECT o |=> 1 FROM t",
    ] {
        watched.never_cached(&mut client, read);
    }
}

/// Elements of arrays, bounds of ranges and fields of rows may have their letters quoted.
#[test]
fn c22_time_words_in_quotes_are_never_stored() {
    let setup = "CREATE TABLE w(id int); INSERT INTO w VALUES (1); CREATE TYPE moment AS (a timestamptz, b int)";
    let watched = Watched::shared("c22_quoted", setup);
    let mut client = watched.client();
    watched.warm(&mut client, r#"SELECT '{"2026-01-01"}'::timestamptz[] FROM w"#);
    for read in [
        r#"SELECT '{"n\ow"}'::timestamptz[] FROM w"#,
        r#"SELECT '[n"o"w,)'::tstzrange FROM w"#,
        r#"SELECT '(n"o"w,1)'::moment FROM w"#,
    ] {
        watched.never_cached(&mut client, read);
    }
}

/// Columns that are called after the grammar, or a type, hide those of a table.
#[test]
fn c22_columns_named_by_the_grammar_are_told_from_those_of_tables() {
    let watched = Watched::shared(
        "c22_hidden",
        "CREATE TABLE w(id int, \"text\" int, \"coalesce\" int, \"case\" int, \"varchar\" int, \"nullif\" int, \"array\" int, txt text); \
         INSERT INTO w VALUES (1, 1, 1, 1, 1, 1, 1, 'now')",
    );
    let mut client = watched.client();
    watched.warm(&mut client, "SELECT s.id::int8 FROM (SELECT id + 1 AS id, (txt || '')::text FROM w) s");
    for read in [
        "SELECT s.text::timestamptz FROM (SELECT (txt || '')::text FROM w) s",
        "SELECT s.varchar::timestamptz FROM (SELECT (txt || '')::varchar FROM w) s",
        "SELECT s.coalesce::timestamptz FROM (SELECT coalesce(txt, '') FROM w) s",
        "SELECT s.case::timestamptz FROM (SELECT CASE WHEN id = 1 THEN txt || '' END FROM w) s",
        "SELECT s.nullif::timestamptz FROM (SELECT nullif(txt, '') FROM w) s",
    ] {
        assert_eq!(client.rows(read).len(), 1, "{read}");
        watched.never_cached(&mut client, read);
    }
}
