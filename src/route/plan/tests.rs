//! Statements and what is decided about them, in tables.

use super::fake::Fake;
use super::*;
use crate::types::Level;

fn path(schemas: &[&str]) -> SearchPath {
    SearchPath(schemas.iter().map(|s| (*s).to_owned()).collect())
}

fn plan_of(text: &str) -> Plan {
    plan_with(text.as_bytes(), &path(&["public"]), true, &Fake::shop())
}

fn reads(text: &str) -> Result<Vec<u32>, Refusal> {
    plan_of(text).cache.map(|recipe| recipe.relations.iter().map(|id| id.oid()).collect())
}

#[track_caller]
fn all_refused(refusal: Refusal, kind: &Kind, texts: &[&str]) {
    for text in texts {
        let plan = plan_of(text);
        assert_eq!(plan.cache, Err(refusal), "{text}");
        assert_eq!(plan.kind, *kind, "{text}");
    }
}

#[track_caller]
fn all_kinds(kind: &Kind, pin: Option<PinReason>, may_change_catalog: bool, texts: &[&str]) {
    for text in texts {
        let plan = plan_of(text);
        assert_eq!((&plan.kind, plan.pin, plan.may_change_catalog), (kind, pin, may_change_catalog), "{text}");
        assert!(plan.cache.is_err(), "{text}");
    }
}

#[test]
fn read_sets_are_whole() {
    for (text, relations) in [
        ("SELECT * FROM orders", &[100][..]),
        ("SELECT * FROM \"Orders\"", &[105]),
        ("SELECT * FROM ORDERS o, Items AS i WHERE o.item = i.id", &[100, 101]),
        ("SELECT * FROM other.orders", &[104]),
        ("TABLE orders", &[100]),
        ("SELECT id FROM items UNION TABLE orders", &[100, 101]),
        ("SELECT id FROM items WHERE id IN (TABLE orders)", &[100, 101]),
        ("VALUES ((SELECT max(id) FROM orders))", &[100]),
        ("SELECT * FROM events", &[102, 103]),
        ("SELECT * FROM events_1", &[103]),
        ("SELECT (SELECT count(*) FROM items) FROM orders", &[100, 101]),
        ("SELECT count(*) FILTER (WHERE id IN (SELECT id FROM items)) FROM orders", &[100, 101]),
        ("SELECT id FROM orders ORDER BY (SELECT max(id) FROM items)", &[100, 101]),
        ("SELECT id FROM orders LIMIT (SELECT count(*) FROM items)", &[100, 101]),
        ("SELECT id FROM orders GROUP BY id HAVING id = (SELECT max(id) FROM items)", &[100, 101]),
        ("SELECT rank() OVER (PARTITION BY (SELECT max(id) FROM items)) FROM orders", &[100, 101]),
        ("SELECT id FROM orders WINDOW w AS (ORDER BY (SELECT max(id) FROM items))", &[100, 101]),
        ("SELECT CASE WHEN EXISTS (SELECT 1 FROM items) THEN 1 END FROM orders", &[100, 101]),
        ("SELECT ARRAY(SELECT id FROM items) FROM orders", &[100, 101]),
        (
            "SELECT o.id FROM orders o LEFT JOIN LATERAL (SELECT * FROM items i WHERE i.id = o.item) x ON true",
            &[100, 101],
        ),
        ("SELECT * FROM (orders o JOIN (items i CROSS JOIN events) ON o.id = i.id)", &[100, 101, 102, 103]),
        ("SELECT * FROM generate_series(1, (SELECT max(id) FROM items)) g", &[101]),
        ("SELECT DISTINCT ON ((SELECT max(id) FROM items)) id FROM orders", &[100, 101]),
        ("WITH a AS (SELECT id FROM items) SELECT * FROM a, orders", &[100, 101]),
        ("((SELECT id FROM orders) EXCEPT (SELECT id FROM items)) ORDER BY 1", &[100, 101]),
        ("SELECT * FROM recent", &[100, 200]),
        ("SELECT * FROM recent_items", &[100, 101, 200, 201]),
        ("SELECT id FROM orders WHERE note = 'a'\n 'b'", &[100]),
        ("SELECT id FROM orders /* FROM items */ -- , items", &[100]),
        ("SELECT id FROM orders;", &[100]),
    ] {
        assert_eq!(reads(text).as_deref(), Ok(relations), "{text}");
        assert_eq!((plan_of(text).kind, plan_of(text).place), (Kind::Read, Place::Anywhere), "{text}");
    }
}

#[test]
fn c16_names_are_resolved_by_the_search_path() {
    let in_path = |schemas: &[&str]| {
        let plan = plan_with(b"SELECT id FROM orders", &path(schemas), true, &Fake::shop());
        plan.cache.map(|recipe| recipe.relations[0].oid())
    };
    assert_eq!(in_path(&["public", "other"]), Ok(100));
    assert_eq!(in_path(&["other", "public"]), Ok(104));
    assert_eq!(in_path(&["nowhere"]), Err(Refusal::UnknownRelation));
}

#[test]
fn cte_names_hide_relations_only_in_their_scope() {
    for (text, relations) in [
        ("WITH orders AS (SELECT id FROM items) SELECT * FROM orders", &[101][..]),
        // Not recursive: the name inside still means the table.
        ("WITH orders AS (SELECT id FROM orders) SELECT * FROM orders", &[100]),
        ("WITH RECURSIVE orders AS (SELECT id FROM items UNION SELECT id FROM orders) SELECT * FROM orders", &[101]),
        ("WITH a AS (SELECT id FROM orders), orders AS (SELECT id FROM items) SELECT * FROM a", &[100, 101]),
        // Recursive: seen before it is defined.
        ("WITH RECURSIVE a AS (SELECT id FROM orders), orders AS (SELECT id FROM items) SELECT * FROM a", &[101]),
        ("SELECT * FROM (WITH orders AS (SELECT id FROM items) SELECT * FROM orders) x, orders", &[100, 101]),
        // A qualified name is never a CTE.
        ("WITH orders AS (SELECT id FROM items) SELECT * FROM public.orders", &[100, 101]),
        ("WITH \"ORDERS\" AS (SELECT id FROM items) SELECT * FROM orders", &[100, 101]),
    ] {
        assert_eq!(reads(text).as_deref(), Ok(relations), "{text}");
    }
}

#[test]
fn c22_stable_functions_of_session_inputs_are_cacheable() {
    for text in [
        "SELECT to_char(placed, 'YYYY'), date_trunc('day', placed), extract(year FROM placed) FROM orders",
        "SELECT concat(id, note), format('%s', id), row_to_json(o), jsonb_agg(id) FROM orders o",
        "SELECT current_user, session_user, current_schema, current_catalog, user FROM orders",
        "SELECT placed AT TIME ZONE 'utc' FROM orders",
        "SELECT lower(note) || 'x', length(note), position('a' in note), substring(note from 1 for 2) FROM orders",
        "SELECT age(placed, placed) FROM orders",
        "SELECT (placed, due) OVERLAPS (placed, due) FROM orders",
        "SELECT twice(id) FROM orders",
        "SELECT id === 1 FROM orders",
        "SELECT COALESCE(note, 'x'), NULLIF(id, 1), GREATEST(id, 2), ROW(id, 1) FROM orders",
        "SELECT note LIKE 'a%' ESCAPE 'x', note SIMILAR TO 'b' FROM orders",
    ] {
        assert!(reads(text).is_ok(), "{text}: {:?}", reads(text));
    }
}

#[test]
fn c22_time_is_not_cacheable_but_a_read() {
    all_refused(
        Refusal::CurrentTime,
        &Kind::Read,
        &[
            "SELECT now() FROM orders",
            "SELECT id FROM orders WHERE placed > CURRENT_DATE",
            "SELECT current_timestamp(3) FROM orders",
            "SELECT localtime, localtimestamp FROM orders",
            "SELECT age(placed) FROM orders",
            "SELECT clock_timestamp() FROM orders",
            "SELECT pg_catalog.now() FROM orders",
            "SELECT * FROM timed",
        ],
    );
    all_refused(
        Refusal::TimeLiteral,
        &Kind::Read,
        &[
            "SELECT id FROM orders WHERE placed > 'yesterday'",
            "SELECT id FROM orders WHERE placed > ' NOW '",
            "SELECT id FROM orders WHERE due = date 'today'",
            "SELECT id FROM orders WHERE due = E'tod\\141y'",
            "SELECT id FROM orders WHERE due = 'tod'\n'ay'",
            "SELECT id FROM orders WHERE due = $$tomorrow$$::date",
            "SELECT id FROM orders WHERE due = ANY ('{today,2020-01-01}')",
        ],
    );
    assert!(reads("SELECT id FROM orders WHERE due < 'infinity' AND note = 'known' AND \"note\" <> 'epoch'").is_ok());
}

#[test]
fn r1_writing_functions_go_to_the_primary() {
    all_refused(
        Refusal::VolatileFunction,
        &Kind::Unproven,
        &[
            "SELECT nextval('ids')",
            "SELECT pg_notify('a', 'b') FROM orders",
            "SELECT txid_current()",
            "SELECT lo_create(1)",
            "SELECT pg_export_snapshot()",
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT audit(id) FROM orders",
            "SELECT id FROM orders WHERE audit(id) = 1",
            "SELECT id FROM orders ORDER BY audit(id)",
            "SELECT * FROM audit(1)",
            "SELECT * FROM orders, LATERAL audit(orders.id) a",
            "SELECT rank() OVER (ORDER BY audit(id)) FROM orders",
            "SELECT count(*) FILTER (WHERE audit(id) = 1) FROM orders",
            "SELECT CASE WHEN audit(1) = 1 THEN 1 END FROM orders",
            "SELECT (ARRAY[1,2])[audit(1)] FROM orders",
            "SELECT * FROM writing",
            "SELECT orders.of_row FROM orders",
            "SELECT o.of_row FROM (SELECT * FROM orders) o",
            "SELECT (o).of_row FROM orders o",
            "SELECT pg_sleep(1)",
        ],
    );
    all_refused(Refusal::VolatileFunction, &Kind::Read, &["SELECT random() FROM orders", "SELECT gen_random_uuid()"]);
    all_refused(Refusal::UnknownFunction, &Kind::Unproven, &["SELECT newer(id) FROM orders", "SELECT pg_temp.f()"]);
    all_refused(Refusal::StableFunction, &Kind::Read, &["SELECT rate(id) FROM orders"]);
    all_refused(Refusal::SecurityDefiner, &Kind::Read, &["SELECT trusted(id) FROM orders"]);
    assert!(plan_of("SELECT audit(1)").may_change_catalog && plan_of("SELECT newer(1)").may_change_catalog);
    assert!(!plan_of("SELECT nextval('ids')").may_change_catalog);
    assert_eq!(plan_of("SELECT audit(1)").pin, None);
}

#[test]
fn c12_overloads_in_the_path_are_judged_too() {
    let with = |text: &str| plan_with(text.as_bytes(), &path(&["public", "tricks"]), true, &Fake::shop()).cache;
    assert_eq!(with("SELECT lower(note) FROM orders"), Err(Refusal::VolatileFunction));
    assert!(with("SELECT pg_catalog.lower(note) FROM orders").is_ok());
    assert_eq!(with("SELECT id < 1 FROM orders"), Err(Refusal::VolatileOperator));
    assert!(with("SELECT id OPERATOR(pg_catalog.<) 1 FROM orders").is_ok());
    // Its own operator may give text, which the cast would read.
    assert_eq!(with("SELECT (due + 1)::date FROM orders"), Err(Refusal::UnprovenCast));
    assert!(reads("SELECT (due + 1)::date FROM orders").is_ok());
}

#[test]
fn c12_operators_are_functions() {
    all_refused(Refusal::VolatileOperator, &Kind::Unproven, &["SELECT id !!! 1 FROM orders"]);
    all_refused(
        Refusal::VolatileOperator,
        &Kind::Read,
        &["SELECT id ~~~ 1 FROM orders", "SELECT id OPERATOR(public.~~~) 1 FROM orders"],
    );
    all_refused(Refusal::UnknownOperator, &Kind::Unproven, &["SELECT id <=># 1 FROM orders"]);
}

#[test]
fn c23_relations_without_wal_rows() {
    all_refused(Refusal::Unlogged, &Kind::Read, &["SELECT * FROM scratch"]);
    all_refused(Refusal::TemporaryRelation, &Kind::Read, &["SELECT * FROM pg_temp_3.temp_orders"]);
    all_refused(Refusal::ForeignTable, &Kind::Unproven, &["SELECT * FROM remote", "SELECT * FROM logs"]);
    all_refused(Refusal::Sequence, &Kind::Read, &["SELECT last_value FROM ids"]);
    all_refused(Refusal::MaterializedView, &Kind::Read, &["SELECT * FROM totals"]);
    all_refused(Refusal::OtherRelationKind, &Kind::Unproven, &["SELECT * FROM composite", "SELECT * FROM orders_pkey"]);
    all_refused(Refusal::UnknownRelation, &Kind::Unproven, &["SELECT * FROM nothing", "SELECT * FROM orders, nothing"]);
    all_refused(
        Refusal::SystemCatalog,
        &Kind::Read,
        &["SELECT * FROM pg_class", "SELECT * FROM information_schema.tables", "SELECT * FROM pg_settings"],
    );
    all_refused(
        Refusal::SystemColumn,
        &Kind::Read,
        &[
            "SELECT ctid FROM orders",
            "SELECT o.xmin FROM orders o",
            "SELECT id FROM orders WHERE tableoid = 100",
            "SELECT id FROM orders ORDER BY XMAX",
            "SELECT (o).cmin FROM orders o",
        ],
    );
    for text in ["SELECT * FROM scratch", "SELECT * FROM pg_class", "SELECT last_value FROM ids", "SELECT version()"] {
        assert_eq!(plan_of(text).place, Place::Primary, "{text}");
    }
}

#[test]
fn c15_row_security_is_refused() {
    all_refused(Refusal::RowSecurity, &Kind::Read, &["SELECT * FROM secret", "SELECT * FROM shut"]);
}

#[test]
fn c11_views_are_judged_by_what_is_beneath() {
    all_refused(Refusal::UncertainSyntax, &Kind::Unproven, &["SELECT * FROM odd"]);
    all_refused(Refusal::Locking, &Kind::Unproven, &["SELECT * FROM locked"]);
    // What the catalog says that the rule reads counts, whatever the text says.
    all_refused(Refusal::ForeignTable, &Kind::Unproven, &["SELECT * FROM hidden"]);
    all_refused(Refusal::UnknownRelation, &Kind::Unproven, &["SELECT * FROM unqualified", "SELECT * FROM left_over"]);
    let mut deep = Fake::shop();
    for n in 0..40 {
        let below = if n == 0 { "orders".to_owned() } else { format!("v{}", n - 1) };
        deep.view(300 + n, &format!("v{n}"), &format!("SELECT x.id FROM public.{below} x;"), &[]);
    }
    let of = |text: &str| plan_with(text.as_bytes(), &path(&["public"]), true, &deep).cache;
    assert_eq!(of("SELECT * FROM v20").map(|r| r.relations.len()), Ok(22));
    assert_eq!(of("SELECT * FROM v39"), Err(Refusal::ViewDefinition));
    let mut bare = Fake::shop();
    bare.view(400, "bare", "", &[]);
    bare.relations.last_mut().unwrap().definition = None;
    let bare = plan_with(b"SELECT * FROM bare", &path(&["public"]), true, &bare);
    assert_eq!((bare.cache, bare.kind), (Err(Refusal::ViewDefinition), Kind::Unproven));
}

#[test]
fn casts_that_depend_on_more_than_their_operand() {
    for text in [
        "SELECT id::text, note::int, '1'::numeric, note::uuid, note::jsonb, $1::int FROM orders",
        "SELECT '2020-01-01'::date, $1::timestamptz, date '2020-01-01' FROM orders",
        "SELECT placed::date, o.placed::date, due::timestamp, CAST(placed AS time) FROM orders o",
        "SELECT placed::timestamptz::date, date_trunc('day', placed)::date, max(placed)::date FROM orders",
        "SELECT coalesce(placed, due)::date, (placed - interval '1 day')::date FROM orders",
        "SELECT x.placed::date FROM (SELECT placed FROM orders) x",
        "SELECT date(placed) FROM orders",
        "SELECT note::interval, '1 day'::interval, 'happy'::mood FROM orders",
        "SELECT note::point FROM orders",
    ] {
        assert!(reads(text).is_ok(), "{text}: {:?}", reads(text));
    }
    all_refused(
        Refusal::UnprovenCast,
        &Kind::Read,
        &[
            "SELECT note::date FROM orders",
            "SELECT date(note) FROM orders",
            "SELECT (note)::timestamptz FROM orders",
            "SELECT lower(note)::date FROM orders",
            "SELECT ('n' || 'ow')::date FROM orders",
            "SELECT coalesce(placed, note)::date FROM orders",
            "SELECT placed::text::date FROM orders",
            "SELECT note::date[] FROM orders",
            "SELECT note::daterange FROM orders",
            "SELECT note::mood FROM orders",
            "SELECT unknown_column::date FROM orders",
            // The column is another one of the same name.
            "SELECT x.placed::date FROM (SELECT note AS placed FROM orders) x",
            "SELECT x.placed::date FROM (SELECT placed::text FROM orders) x",
            "SELECT x.placed::date FROM (SELECT note FROM orders) x(placed)",
            "WITH x(placed) AS (SELECT note FROM orders) SELECT placed::date FROM x",
            "SELECT due::date FROM orders, unnest(ARRAY[note]) AS due",
            "SELECT id::regclass FROM orders",
            "SELECT 'orders'::regclass FROM orders",
            "SELECT '10:00'::timetz FROM orders",
            "SELECT time with time zone '10:00' FROM orders",
            "SELECT id::unheard_of FROM orders",
            "SELECT * FROM clock",
            "SELECT * FROM registry",
        ],
    );
    let mut unsafe_casts = Fake::shop();
    unsafe_casts.unsafe_casts = true;
    let plan = plan_with(b"SELECT * FROM orders", &path(&["public"]), true, &unsafe_casts);
    assert_eq!(plan.cache, Err(Refusal::UnprovenCast));
}

#[test]
fn recipes_count_parameters() {
    let recipe = |text: &str| plan_of(text).cache.map(|r| (r.parameters, r.time_parameters));
    assert_eq!(recipe("SELECT * FROM orders"), Ok((0, false)));
    assert_eq!(recipe("SELECT * FROM orders WHERE id = $2"), Ok((2, true)));
    assert_eq!(recipe("SELECT * FROM orders WHERE id = $70000"), Err(Refusal::UncertainSyntax));
    assert_eq!(recipe("SELECT * FROM orders WHERE id = $0"), Err(Refusal::UncertainSyntax));
    assert_eq!(recipe("SELECT $1"), Err(Refusal::NoRelation));
}

#[test]
fn r2_select_into_creates_a_table() {
    all_kinds(
        &Kind::Ddl,
        None,
        true,
        &["SELECT * INTO copy FROM orders", "WITH a AS (SELECT 1) SELECT * INTO c FROM a"],
    );
    let temporary = Some(PinReason::TemporaryObject);
    all_kinds(&Kind::Ddl, temporary, true, &["SELECT * INTO TEMP copy FROM orders", "SELECT 1 INTO pg_temp.copy"]);
    assert_eq!(plan_of("SELECT * INTO copy FROM orders").cache, Err(Refusal::Into));
}

#[test]
fn r3_modifying_ctes_are_writes() {
    all_refused(
        Refusal::DataModifyingCte,
        &Kind::Write,
        &[
            "WITH a AS (DELETE FROM orders RETURNING id) SELECT * FROM a",
            "WITH a AS (UPDATE orders SET id = 1 RETURNING id) SELECT * FROM items",
            "WITH a AS (INSERT INTO orders VALUES (1) RETURNING id), b AS (SELECT 1) SELECT * FROM b",
        ],
    );
    all_refused(Refusal::NotARead, &Kind::Write, &["WITH a AS (SELECT 1) INSERT INTO orders SELECT * FROM a"]);
    all_refused(
        Refusal::NotARead,
        &Kind::Unproven,
        &[
            "EXPLAIN ANALYZE WITH a AS (DELETE FROM orders RETURNING id) SELECT * FROM a",
            "EXPLAIN WITH a AS (DELETE FROM orders RETURNING id) SELECT * FROM a",
            "EXECUTE a",
        ],
    );
    let copy = plan_of("COPY (WITH a AS (DELETE FROM orders RETURNING id) SELECT * FROM a) TO STDOUT");
    assert_eq!(copy.kind, Kind::Write);
}

#[test]
fn r4_row_locks() {
    all_refused(
        Refusal::Locking,
        &Kind::Unproven,
        &[
            "SELECT * FROM orders FOR UPDATE",
            "SELECT * FROM orders FOR NO KEY UPDATE",
            "SELECT * FROM orders FOR SHARE SKIP LOCKED",
            "SELECT * FROM orders FOR KEY SHARE NOWAIT",
            "SELECT * FROM orders o, items FOR UPDATE OF o",
            "SELECT * FROM (SELECT * FROM orders FOR UPDATE) x",
            "WITH a AS (SELECT * FROM orders FOR SHARE) SELECT * FROM a",
            "SELECT id FROM items WHERE id IN (SELECT id FROM orders FOR UPDATE)",
            "SELECT * FROM locked",
        ],
    );
}

#[test]
fn r5_what_is_not_understood_goes_to_the_primary() {
    all_refused(
        Refusal::Unparsed,
        &Kind::Unproven,
        &[
            "SELEC 1",
            "SELECT id FROM orders WHERE",
            "SELECT 'a",
            "/* open",
            "SELECT * FROM orders WHERE (id = 1",
            "\u{1}",
            "123",
            "{ x }",
        ],
    );
    let bytes = plan_with(b"SELECT '\xff' FROM orders", &path(&["public"]), true, &Fake::shop());
    assert_eq!((bytes.kind, bytes.cache), (Kind::Unproven, Err(Refusal::NotUtf8)));
    let long = format!("SELECT id FROM orders WHERE note = '{}'", "x".repeat(40_000));
    all_refused(Refusal::TooLong, &Kind::Unproven, &[&long]);
    // Long writes are still known for writes.
    assert_eq!(plan_of(&format!("INSERT INTO orders VALUES ('{}')", "x".repeat(40_000))).kind, Kind::Write);
    assert!(plan_of("NEW SYNTAX").may_change_catalog);
}

#[test]
fn r6_g11_several_statements() {
    let reads = plan_of("SELECT 1 FROM orders; SELECT 2 FROM items;");
    assert_eq!((reads.kind, reads.cache, reads.pin), (Kind::Read, Err(Refusal::SeveralStatements), None));
    all_refused(
        Refusal::SeveralStatements,
        &Kind::Unproven,
        &[
            "SELECT 1; UPDATE orders SET id = 1",
            "UPDATE orders SET id = 1; SELECT 1",
            "BEGIN; SELECT 1; COMMIT",
            "SELECT 1; SELECT nextval('ids')",
            "SHOW a; SELECT 1",
        ],
    );
    for (text, pin) in [
        ("SELECT 1; SET timezone = 'utc'", PinReason::Opaque),
        ("SELECT 1; DISCARD ALL", PinReason::Opaque),
        ("DEALLOCATE a; SELECT 1", PinReason::Opaque),
        ("SELECT 1; LISTEN a", PinReason::Listen),
        ("CREATE TEMP TABLE a (b int); LISTEN a", PinReason::Opaque),
        ("BEGIN; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", PinReason::Opaque),
    ] {
        assert_eq!(plan_of(text).pin, Some(pin), "{text}");
    }
    assert_eq!(plan_of("BEGIN; UPDATE orders SET id = 1; COMMIT").pin, None);
    assert!(plan_of("SELECT 1; DROP TABLE orders").may_change_catalog);
    assert!(!plan_of("SELECT 1; UPDATE orders SET id = 1").may_change_catalog);
    // A semicolon in a string, a comment or at the end parts nothing.
    assert!(self::reads("SELECT id FROM orders WHERE note = ';' /* ; */ ; -- ;").is_ok());
}

#[test]
fn r7_copy() {
    all_kinds(
        &Kind::Write,
        None,
        false,
        &["COPY orders FROM STDIN", "COPY orders (id, note) FROM STDIN WITH (FORMAT csv)"],
    );
    all_kinds(&Kind::Write, None, false, &["COPY (DELETE FROM orders RETURNING *) TO STDOUT"]);
    all_kinds(
        &Kind::Read,
        None,
        false,
        &["COPY orders TO STDOUT", "COPY public.orders (id) TO STDOUT CSV", "COPY (SELECT * FROM orders) TO STDOUT"],
    );
    all_kinds(
        &Kind::Unproven,
        None,
        false,
        &[
            "COPY orders TO PROGRAM 'rm'",
            "COPY orders FROM PROGRAM 'cat'",
            "COPY orders TO '/tmp/x'",
            "COPY (SELECT * FROM orders) TO '/tmp/x'",
            "COPY (SELECT nextval('ids')) TO STDOUT",
            "COPY nothing TO STDOUT",
            "COPY BINARY orders TO STDOUT",
        ],
    );
}

#[test]
fn r8_transaction_control() {
    use TransactionControl::{
        Begin, Commit, Modes, ReleaseSavepoint, Rollback, RollbackToSavepoint, Savepoint, TwoPhase,
    };
    let plain = Begin { plain: true, read_only: None, isolation: Isolation::Unnamed };
    let modes = |read_only, isolation| Begin { plain: false, read_only, isolation };
    for (text, control) in [
        ("BEGIN", plain.clone()),
        ("begin work;", plain.clone()),
        ("START TRANSACTION", plain),
        ("BEGIN READ ONLY", modes(Some(true), Isolation::Unnamed)),
        ("BEGIN READ WRITE, DEFERRABLE", modes(Some(false), Isolation::Unnamed)),
        ("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED", modes(None, Isolation::ReadCommitted)),
        ("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", modes(Some(true), Isolation::Other)),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY NOT DEFERRABLE", modes(Some(true), Isolation::Other)),
        ("BEGIN ISOLATION LEVEL READ UNCOMMITTED", modes(None, Isolation::Other)),
        ("COMMIT", Commit { chain: false }),
        ("END TRANSACTION", Commit { chain: false }),
        ("COMMIT AND CHAIN", Commit { chain: true }),
        ("COMMIT WORK AND NO CHAIN", Commit { chain: false }),
        ("ROLLBACK", Rollback { chain: false }),
        ("ABORT", Rollback { chain: false }),
        ("ROLLBACK AND CHAIN", Rollback { chain: true }),
        ("SAVEPOINT a", Savepoint),
        ("ROLLBACK TO a", RollbackToSavepoint),
        ("ROLLBACK WORK TO SAVEPOINT \"A\"", RollbackToSavepoint),
        ("RELEASE a", ReleaseSavepoint),
        ("RELEASE SAVEPOINT a", ReleaseSavepoint),
        ("PREPARE TRANSACTION 'x'", TwoPhase),
        ("COMMIT PREPARED 'x'", TwoPhase),
        ("ROLLBACK PREPARED 'x'", TwoPhase),
        ("SET TRANSACTION READ WRITE", Modes),
        ("SET TRANSACTION SNAPSHOT '1-1'", Modes),
    ] {
        assert_eq!(plan_of(text).kind, Kind::Transaction(control), "{text}");
        assert_eq!(plan_of(text).pin, None, "{text}");
    }
    all_kinds(&Kind::Unproven, None, false, &["BEGIN ISOLATION LEVEL CHAOS", "COMMIT AND", "ROLLBACK TO", "SAVEPOINT"]);
    all_kinds(
        &Kind::Transaction(Modes),
        Some(PinReason::Opaque),
        false,
        &["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
    );
}

#[test]
fn r19_settings() {
    let set = |text: &str| match plan_of(text) {
        Plan { kind: Kind::Setting(SettingChange::Set { name, values, local, text: _ }), pin, .. } => {
            (name, values.join("|"), local, pin)
        }
        other => panic!("{text}: {other:?}"),
    };
    for (text, name, values, local) in [
        ("SET search_path TO a, \"B\", 'C d'", "search_path", "a|B|C d", false),
        ("SET SESSION DateStyle = ISO, MDY", "datestyle", "iso|mdy", false),
        ("SET LOCAL statement_timeout = 5000", "statement_timeout", "5000", true),
        ("SET TIME ZONE 'Europe/Rome'", "timezone", "Europe/Rome", false),
        ("SET LOCAL TIME ZONE -7", "timezone", "-7", true),
        ("SET TimeZone TO utc", "timezone", "utc", false),
        ("SET NAMES 'latin1'", "client_encoding", "latin1", false),
        ("SET SCHEMA 'x'", "search_path", "x", false),
        ("SET ROLE writer", "role", "writer", false),
        ("SET LOCAL ROLE NONE", "role", "none", true),
        ("SET SESSION ROLE 'Writer'", "role", "Writer", false),
        ("SET role = writer", "role", "writer", false),
        ("SET app.user_id = '7'", "app.user_id", "7", false),
        ("SET extra_float_digits = 3;", "extra_float_digits", "3", false),
        ("SET jit = off", "jit", "off", false),
        ("SET sidecache.consistency = 'strong'", "sidecache.consistency", "strong", false),
        ("SELECT set_config('TimeZone', 'utc', false)", "timezone", "utc", false),
        ("SELECT pg_catalog.set_config('a.b', 'c, d', true) AS x", "a.b", "c, d", true),
        ("SELECT set_config('search_path', 'a, \"B\"', false)", "search_path", "a|B", false),
        ("SELECT set_config('search_path', '', false)", "search_path", "", false),
    ] {
        assert_eq!(set(text), (name.to_owned(), values.to_owned(), local, None), "{text}");
    }
    let text = "/* a */ SET  x = 'y' -- b";
    let Kind::Setting(SettingChange::Set { text, .. }) = plan_of(text).kind else { panic!() };
    assert_eq!(text, "SET  x = 'y'");
    let reset = |name: &str, local| Kind::Setting(SettingChange::Reset { name: name.to_owned(), local });
    for (text, kind) in [
        ("RESET timezone", reset("timezone", false)),
        ("RESET TIME ZONE", reset("timezone", false)),
        ("RESET ROLE", reset("role", false)),
        ("SET x TO DEFAULT", reset("x", false)),
        ("SET LOCAL x = DEFAULT", reset("x", true)),
        ("SET TIME ZONE LOCAL", reset("timezone", false)),
        ("RESET ALL", Kind::Setting(SettingChange::ResetAll)),
        ("DISCARD ALL", Kind::Setting(SettingChange::DiscardAll)),
        ("SHOW TIME ZONE", Kind::Show("timezone".to_owned())),
        ("SHOW ALL", Kind::Show("all".to_owned())),
        ("SHOW TRANSACTION ISOLATION LEVEL", Kind::Show("transaction_isolation".to_owned())),
        ("SHOW sidecache.position", Kind::Show("sidecache.position".to_owned())),
        ("DISCARD PLANS", Kind::Unproven),
        ("SET CONSTRAINTS ALL DEFERRED", Kind::Unproven),
    ] {
        assert_eq!((plan_of(text).kind, plan_of(text).pin), (kind, None), "{text}");
    }
    // Not certain: opaque.
    all_kinds(
        &Kind::Unproven,
        Some(PinReason::Opaque),
        false,
        &[
            "SET TIME ZONE INTERVAL '1' HOUR",
            "SET x FROM CURRENT",
            "SET x = 'a\\b'",
            "SET x = a b",
            "SELECT set_config($1, $2, false)",
            "SELECT set_config('a', 'b', false), 1",
            "SELECT set_config('a', note, false) FROM orders",
            "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
            "UPDATE pg_settings SET setting = 'on' WHERE name = 'standard_conforming_strings'",
            "WITH a AS (SELECT 1) UPDATE pg_catalog.pg_settings SET setting = 'on'",
        ],
    );
    let tricks = path(&["tricks"]);
    let shadowed = plan_with(b"SELECT set_config('a', 'b', false)", &tricks, true, &Fake::shop());
    assert_eq!((shadowed.kind, shadowed.pin), (Kind::Unproven, Some(PinReason::Opaque)));
}

#[test]
fn g1_session_authorization_pins() {
    for text in [
        "SET SESSION AUTHORIZATION bob",
        "RESET SESSION AUTHORIZATION",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET session_authorization = 'bob'",
    ] {
        assert_eq!(plan_of(text).pin, Some(PinReason::SessionAuthorization), "{text}");
        assert!(matches!(plan_of(text).kind, Kind::Setting(_)), "{text}");
    }
}

#[test]
fn r20_session_objects_pin() {
    use PinReason::{AdvisoryLock, HoldCursor, Listen, Load, Opaque, SqlPrepare, TemporaryObject};
    for (text, pin) in [
        ("CREATE TEMP TABLE a (b int)", TemporaryObject),
        ("CREATE LOCAL TEMPORARY TABLE a AS SELECT 1", TemporaryObject),
        ("CREATE OR REPLACE TEMP VIEW a AS SELECT 1", TemporaryObject),
        ("CREATE TABLE pg_temp.a (b int)", TemporaryObject),
        ("LISTEN a", Listen),
        ("SELECT pg_advisory_lock(1)", AdvisoryLock),
        ("SELECT id FROM orders WHERE pg_try_advisory_lock(id)", AdvisoryLock),
        ("SELECT pg_advisory_unlock_all()", AdvisoryLock),
        ("INSERT INTO orders SELECT pg_advisory_lock(1)", AdvisoryLock),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders", HoldCursor),
        ("LOAD 'auto_explain'", Load),
        ("PREPARE a AS SELECT 1", SqlPrepare),
        ("EXECUTE a(1)", SqlPrepare),
        ("EXPLAIN EXECUTE a", SqlPrepare),
        ("SELECT currval('ids')", Opaque),
        ("SELECT lastval()", Opaque),
        ("SELECT setseed(0.5)", Opaque),
        ("SET SEED TO 0.5", Opaque),
        ("SELECT dblink_exec('x')", Opaque),
        ("SELECT query_to_xml('x', true, true, '')", Opaque),
        ("DO $$ BEGIN PERFORM 1; END $$", Opaque),
        ("SELECT set_config('a','b',false) FROM ONLY orders", Opaque),
        ("SELECT \"pg_advisory_lock\" (1) FROM ONLY orders", AdvisoryLock),
        ("EXPLAIN ANALYZE SELECT pg_advisory_lock(1)", AdvisoryLock),
    ] {
        assert_eq!(plan_of(text).pin, Some(pin), "{text}");
        assert_ne!(plan_of(text).kind, Kind::Read, "{text}");
    }
    for text in [
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT nextval('ids')",
        "UNLISTEN a",
        "NOTIFY a",
        "EXPLAIN SELECT pg_advisory_lock(1)",
    ] {
        assert_eq!(plan_of(text).pin, None, "{text}");
    }
}

#[test]
fn g3_g8_writes() {
    all_kinds(
        &Kind::Write,
        None,
        false,
        &[
            "INSERT INTO orders (id, note) VALUES (1, lower('A')) ON CONFLICT (id) DO UPDATE SET note = 'x' RETURNING id",
            "UPDATE orders AS o SET id = 1 FROM items i WHERE o.item = i.id",
            "DELETE FROM orders o USING items WHERE o.id = 1",
            "MERGE INTO orders o USING items i ON o.id = i.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
            "WITH a AS (SELECT 1) UPDATE orders SET id = 1",
            "UPDATE ONLY orders SET id = 1",
            "TRUNCATE orders, items RESTART IDENTITY CASCADE",
            "INSERT INTO orders SELECT nextval('ids')",
        ],
    );
    all_kinds(
        &Kind::Unproven,
        None,
        true,
        &["INSERT INTO orders SELECT audit(1)", "UPDATE orders SET id = public.audit(id)"],
    );
}

#[test]
fn g7_explain() {
    all_kinds(
        &Kind::Read,
        None,
        false,
        &[
            "EXPLAIN SELECT * FROM orders",
            "EXPLAIN VERBOSE SELECT * FROM orders",
            "EXPLAIN (COSTS off) SELECT * FROM orders",
            "EXPLAIN (SELECT * FROM orders)",
        ],
    );
    all_kinds(
        &Kind::Unproven,
        None,
        false,
        &[
            "EXPLAIN ANALYZE DELETE FROM orders",
            "EXPLAIN ANALYZE VERBOSE SELECT * FROM orders",
            "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM orders",
            "EXPLAIN (COSTS off, ANALYSE on) UPDATE orders SET id = 1",
            "EXPLAIN DELETE FROM orders",
            "EXPLAIN SELECT nextval('ids')",
        ],
    );
    assert!(plan_of("EXPLAIN ANALYZE SELECT audit(1)").may_change_catalog);
    assert!(plan_of("EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1").may_change_catalog);
}

#[test]
fn utility_statements() {
    all_kinds(
        &Kind::Ddl,
        None,
        true,
        &[
            "CREATE TABLE a (b int)",
            "CREATE TABLE a (template int)",
            "ALTER TABLE a ADD b int",
            "DROP TABLE a",
            "GRANT SELECT ON a TO b",
            "REVOKE ALL ON a FROM b",
            "COMMENT ON TABLE a IS 'x'",
            "REFRESH MATERIALIZED VIEW a",
            "REINDEX TABLE a",
            "CLUSTER a",
            "SECURITY LABEL ON TABLE a IS 'x'",
            "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
            "REASSIGN OWNED BY a TO b",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$",
        ],
    );
    all_kinds(
        &Kind::Unproven,
        None,
        false,
        &[
            "LOCK TABLE a",
            "NOTIFY a, 'b'",
            "VACUUM a",
            "ANALYZE",
            "CHECKPOINT",
            "FETCH 5 FROM c",
            "CLOSE c",
            "MOVE 1 IN c",
            "DISCARD TEMP",
        ],
    );
    all_kinds(&Kind::Unproven, None, true, &["CALL p()", "SOMETHING NEW"]);
    all_kinds(&Kind::Read, None, false, &["DECLARE c CURSOR FOR SELECT * FROM orders"]);
    all_kinds(&Kind::Unproven, None, true, &["DECLARE c CURSOR FOR SELECT audit(1)"]);
    all_kinds(&Kind::Unlisten { all: true }, None, false, &["UNLISTEN *"]);
    all_kinds(&Kind::Unlisten { all: false }, None, false, &["UNLISTEN a"]);
    all_kinds(&Kind::Deallocate { name: None }, None, false, &["DEALLOCATE ALL", "DEALLOCATE PREPARE ALL"]);
    let name = Some("a".to_owned());
    all_kinds(&Kind::Deallocate { name }, None, false, &["DEALLOCATE A", "DEALLOCATE PREPARE a"]);
    all_kinds(&Kind::Empty, None, false, &["", " ; ", "-- nothing", "/* x */"]);
}

#[test]
fn other_refusals() {
    all_refused(
        Refusal::NoRelation,
        &Kind::Read,
        &["SELECT 1", "VALUES (1), (2)", "SELECT * FROM generate_series(1, 3)"],
    );
    all_refused(
        Refusal::TableSample,
        &Kind::Read,
        &[
            "SELECT * FROM orders TABLESAMPLE system (10)",
            "SELECT * FROM orders TABLESAMPLE bernoulli(1) REPEATABLE (2)",
        ],
    );
    all_refused(
        Refusal::StableFunction,
        &Kind::Read,
        &[
            "SELECT version() FROM orders",
            "SELECT current_setting('jit') FROM orders",
            "SELECT has_table_privilege('orders') FROM orders",
        ],
    );
    assert_eq!(plan_of("SELECT current_setting('transaction_read_only')").place, Place::Primary);
}

/// What the parser accepts with another meaning than PostgreSQL's: handled or refused.
#[test]
fn misreads_of_the_parser() {
    let long = "x".repeat(64);
    let uncertain = [
        "SELECT * FROM ONLY orders",
        "SELECT * FROM items, ONLY (orders)",
        "SELECT * FROM items JOIN only orders ON true",
        "TABLE ONLY orders",
        "SELECT widget '(1,2)' FROM orders",
        "SELECT note 'x' FROM orders",
        "SELECT 'a' 'b' FROM orders",
        "SELECT U&'d\\0061t' FROM orders",
        "SELECT U&'d!0061t' UESCAPE '!' FROM orders",
        "SELECT N'x' FROM orders",
        "SELECT id FROM db.public.orders",
        "SELECT TOP 5 id FROM orders",
        "SELECT 1a FROM orders",
        "SELECT _utf8'x' FROM orders",
        "SELECT id FROM orders ORDER BY id USING <",
        "SELECT * FROM json_to_record('{}') AS x(a int)",
        "SELECT id FROM \u{c4}rger",
    ];
    all_refused(Refusal::UncertainSyntax, &Kind::Unproven, &uncertain);
    all_refused(
        Refusal::LongIdentifier,
        &Kind::Unproven,
        &[&format!("SELECT * FROM {long}"), &format!("SELECT \"{long}\" FROM orders")],
    );
    // Handled: one string in two parts, TABLE inside UNION, special syntax, standard_conforming_strings.
    assert_eq!(reads("SELECT 'a'\n'b' FROM orders").as_deref(), Ok(&[100][..]));
    assert_eq!(reads("SELECT id FROM items UNION ALL TABLE orders").as_deref(), Ok(&[100, 101][..]));
    let off = plan_with(br"SELECT '\', random(), \'' FROM orders", &path(&["public"]), false, &Fake::shop());
    assert!(off.cache.is_ok(), "all is one string: {:?}", off.cache);
    let on = plan_with(br"SELECT '\', random(), '' FROM orders", &path(&["public"]), true, &Fake::shop());
    assert_eq!(on.cache, Err(Refusal::VolatileFunction));
    // The precedence of `~`, `^` and the like moves brackets, not names.
    for text in [
        "SELECT id = item ~ note FROM orders",
        "SELECT - id ^ item FROM orders",
        "SELECT id < item <> true FROM orders",
        "SELECT - placed AT TIME ZONE 'utc' FROM orders",
    ] {
        assert!(reads(text).is_ok(), "{text}: {:?}", reads(text));
    }
}

#[test]
fn hints_and_identity_come_from_the_text() {
    let plan = plan_of("/* sidecache: level=strong */ SELECT id FROM orders -- trace=1\n ;");
    assert_eq!(&*plan.identity, "SELECT id FROM orders");
    assert_eq!(plan.hint, Hint { off: false, level: Some(Level::Strong) });
    assert_eq!(plan.catalog_version, CatalogVersion(7));
    assert!(plan_of("SELECT /* sidecache: off */ 1").hint.off);
}

/// Nothing that a client sends may run a worker's stack out.
#[test]
fn deep_and_long_texts_do_not_overflow_a_small_stack() {
    let texts = [
        format!("SELECT id FROM orders WHERE {}", vec!["id=1"; 50_000].join(" OR ")),
        format!("SELECT id FROM orders WHERE {}", vec!["id=1"; 1_900].join(" OR ")),
        format!("SELECT {}1{} FROM orders", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}1{} FROM orders", "(".repeat(64), ")".repeat(64)),
        format!("SELECT * FROM {}orders{}", "(".repeat(60), ")".repeat(60)),
        format!("SELECT * FROM {}SELECT 1{}", "(".repeat(60), ")".repeat(60)),
        format!("SELECT {} 1 {} FROM orders", "CASE WHEN true THEN ".repeat(60), " END".repeat(60)),
        format!("SELECT {} 1 {} FROM orders", "CASE WHEN true THEN ".repeat(1_500), " END".repeat(1_500)),
        format!("SELECT {} true FROM orders", "NOT ".repeat(8_000)),
        format!("SELECT {} 1 FROM orders", "- ".repeat(8_000)),
        format!("SELECT 1{} FROM orders", "::int".repeat(2_600)),
        format!("SELECT 1::int{} FROM orders", "[]".repeat(4_000)),
        format!("SELECT {}1 FROM orders", "1||".repeat(4_000)),
        format!("SELECT 1 {}", "UNION SELECT 1 ".repeat(2_000)),
        format!("SELECT 1 FROM orders {}", "JOIN orders ON true ".repeat(1_600)),
        format!("SELECT x{} FROM orders", "[1]".repeat(2_600)),
        format!("SELECT x{} FROM orders", ".y".repeat(4_000)),
        format!("SELECT x{} FROM orders", " COLLATE y".repeat(3_000)),
        format!("SELECT x{} FROM orders", " IS NULL".repeat(3_000)),
        format!("SELECT {}x{} FROM orders", "lower(".repeat(63), ")".repeat(63)),
        format!("SELECT id FROM orders WHERE id IN ({})", vec!["1"; 4_000].join(",")),
        format!("{} SELECT 1", "WITH a AS (".repeat(63)),
        format!("{}SELECT 1{}", "EXPLAIN ".repeat(4_000), ""),
        format!("{}SELECT 1", "DECLARE c CURSOR FOR ".repeat(1_500)),
        format!("{}SELECT 1{}", "COPY (".repeat(5_000), ") TO STDOUT".repeat(5_000)),
        "/*".repeat(100_000),
        "'".repeat(99_999),
    ];
    let plans = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || texts.iter().map(|text| plan_of(text).kind).collect::<Vec<_>>())
        .expect("a thread starts")
        .join()
        .expect("no text overflows the stack");
    assert_eq!(plans[0], Kind::Unproven);
    assert_eq!(plans[1], Kind::Read);
    assert_eq!(plans[3], Kind::Read);
}
