//! All other statements: what they are, and what they do to the session and the catalog.

use super::*;

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
            "WITH a AS (INSERT INTO orders (id) VALUES (1) RETURNING id), b AS (SELECT 1) SELECT * FROM b",
        ],
    );
    all_refused(Refusal::NotARead, &Kind::Write, &["WITH a AS (SELECT 1) INSERT INTO orders SELECT * FROM a"]);
    all_refused(
        Refusal::NotARead,
        &Kind::Unproven,
        &[
            "EXPLAIN ANALYZE WITH a AS (DELETE FROM orders RETURNING id) SELECT * FROM a",
            "EXPLAIN WITH a AS (DELETE FROM orders RETURNING id) SELECT * FROM a",
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
fn r7_copy() {
    all_kinds(
        &Kind::Copy,
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
    let defaults = |text: &str| match plan_of(text) {
        Plan { kind: Kind::Settings { changes, unlistens: false }, pin: None, .. } => {
            let text = |change: (usize, SettingChange)| match change {
                (0, SettingChange::Set { text, local: false, .. }) => text,
                other => panic!("{other:?}"),
            };
            changes.into_iter().map(text).collect::<Vec<_>>().join("; ")
        }
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(
        defaults(
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ NOT DEFERRABLE"
        ),
        "SET default_transaction_read_only = 'on'; SET default_transaction_isolation = 'repeatable read'; \
         SET default_transaction_deferrable = 'off'"
    );
    let uncertain = [
        "SET SESSION CHARACTERISTICS AS TRANSACTION",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL CHAOS",
    ];
    all_kinds(&Kind::Unproven, Some(PinReason::Opaque), false, &uncertain);
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
            "SELECT set_config('a', 'b', false), 1",
            "SELECT set_config('a', note, false) FROM orders",
            "SELECT current_setting('jit')||'', set_config('jit', 'off', false)",
            "UPDATE pg_settings SET setting = 'on'",
            "UPDATE pg_settings SET setting = reset_val WHERE name = 'jit'",
            "UPDATE pg_settings SET setting = 'on' WHERE name = 'jit' OR name = 'work_mem'",
            "UPDATE pg_settings SET setting = 'on' WHERE name = 'jit' RETURNING *",
            "UPDATE pg_settings SET setting = 'on', unit = 'x' WHERE name = 'jit'",
            "WITH a AS (SELECT 1) UPDATE pg_catalog.pg_settings SET setting = 'on'",
        ],
    );
    let tricks = path(&["tricks"]);
    let shadowed = plan_with(b"SELECT set_config('a', 'b', false)", &tricks, true, &Fake::shop());
    assert_eq!((shadowed.kind, shadowed.pin), (Kind::Unproven, Some(PinReason::Opaque)));
}

#[test]
fn r19_set_config_tells_what_it_sets_once_its_parameters_are_known() {
    let set = |text: &str, parameters: &[Option<&str>]| match plan_of(text).kind {
        Kind::SetConfig(calls) => calls.iter().map(|call| call.change(parameters)).collect::<Option<Vec<_>>>(),
        other => panic!("{text}: {other:?}"),
    };
    let one = |text: &str, parameters: &[Option<&str>]| match set(text, parameters)?.as_slice() {
        [SettingChange::Set { name, values, local, text }] => {
            Some((name.clone(), values.join("|"), *local, text.clone()))
        }
        [SettingChange::Reset { name, local }] => Some((name.clone(), "DEFAULT".to_owned(), *local, String::new())),
        other => panic!("{text}: {other:?}"),
    };
    let replayed = |name: &str, value: &str| format!("SELECT pg_catalog.set_config(E'{name}', E'{value}', false)");
    for (text, parameters, name, values, local, value) in [
        ("SELECT set_config('TimeZone', 'utc', false)", &[][..], "timezone", "utc", false, "utc"),
        ("SELECT pg_catalog.set_config('a.b', 'c, d', true) AS x", &[], "a.b", "c, d", true, "c, d"),
        ("SELECT set_config('search_path', 'a, \"B\"', false)", &[], "search_path", "a|B", false, "a, \"B\""),
        (
            "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
            &[],
            "jit",
            "off",
            false,
            "off",
        ),
        ("SELECT set_config('search_path', '', false)", &[], "search_path", "", false, ""),
        ("SELECT set_config('app.tenant', $1, true)", &[Some("o'7")], "app.tenant", "o'7", true, "o''7"),
        ("select set_config($2::text, $1, FALSE)", &[Some("\\"), Some("A.b")], "a.b", "\\", false, "\\\\"),
    ] {
        let expected = (name.to_owned(), values.to_owned(), local, replayed(name, value));
        assert_eq!(one(text, parameters), Some(expected), "{text}");
    }
    let update = "UPDATE pg_settings SET setting = $1 WHERE name = $2";
    let reset = one("UPDATE pg_catalog.pg_settings SET setting = $1 WHERE name = 'TimeZone'", &[None]);
    assert_eq!(reset, Some(("timezone".to_owned(), "DEFAULT".to_owned(), false, String::new())));
    let jit = ("jit".to_owned(), "off".to_owned(), false, replayed("jit", "off"));
    assert_eq!(one("UPDATE pg_settings SET setting = 'off' WHERE name = 'jit'", &[]), Some(jit.clone()));
    assert_eq!(one(update, &[Some("off"), Some("jit")]), Some(jit));
    // Of another name there may be no such setting, and for PostgreSQL these are no errors.
    for name in ["timezone", "JIT", "role", "app.tenant", "standard_conforming_strings", "log_statement"] {
        assert_eq!(set(update, &[Some("x"), Some(name)]), None, "{name}");
    }
    let null = one("SELECT set_config('a.b', $1, false)", &[None]);
    assert_eq!(null, Some(("a.b".to_owned(), "DEFAULT".to_owned(), false, String::new())));
    let two = "select set_config('search_path', $1, true), set_config($2, $3, true)";
    assert_eq!(set(two, &[Some("a"), Some("role"), Some("bob")]).map(|all| all.len()), Some(2));
    // Not certain.
    assert_eq!(set(two, &[Some("a"), None, Some("bob")]), None);
    assert_eq!(set(two, &[Some("a"), Some("session_authorization"), Some("bob")]), None);
    assert_eq!(set(two, &[Some("a b"), Some("role"), Some("bob")]), None);
    assert_eq!(set(two, &[]), None);
    let path = |list| one("SELECT set_config('search_path', $1, false)", &[Some(list)]).map(|(_, names, ..)| names);
    assert_eq!(path("U&\"a\", b/*c*/").as_deref(), Some("u&\"a\"|b/*c*/"), "no SQL");
}

#[test]
fn g1_session_authorization_pins() {
    for text in [
        "SET SESSION AUTHORIZATION bob",
        "SET session_authorization = 'bob'",
        "SET LOCAL session_authorization = 'bob'",
        "SET \"session_authorization\" = bob",
        "SET SESSION \"Session_Authorization\" TO bob",
    ] {
        assert_eq!(plan_of(text).pin, Some(PinReason::SessionAuthorization), "{text}");
        assert!(matches!(plan_of(text).kind, Kind::Setting(_)), "{text}");
    }
    // Who is its own session user goes on.
    let back = Kind::Setting(SettingChange::Reset { name: "session_authorization".to_owned(), local: false });
    let texts = [
        "RESET SESSION AUTHORIZATION",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET \"session_authorization\" TO DEFAULT",
        "RESET \"Session_Authorization\"",
    ];
    all_kinds(&back, None, false, &texts);
}

#[test]
fn r20_session_objects_pin() {
    use PinReason::{AdvisoryLock, HoldCursor, Lasting, Listen, Load, Opaque, SqlPrepare, TemporaryObject};
    for (text, pin) in [
        ("CREATE TEMP TABLE a (b int)", TemporaryObject),
        ("CREATE LOCAL TEMPORARY TABLE a AS SELECT 1", TemporaryObject),
        ("CREATE OR REPLACE TEMP VIEW a AS SELECT 1", TemporaryObject),
        ("CREATE TABLE pg_temp.a (b int)", TemporaryObject),
        ("CREATE TABLE \"pg_temp\".a (b int)", TemporaryObject),
        ("CREATE TABLE pg_temp_3.a (b int)", TemporaryObject),
        ("SELECT 1 AS a INTO LOCAL TEMP b FROM ONLY orders", TemporaryObject),
        ("SELECT 1 AS a INTO TEMPORARY TABLE b FROM ONLY orders", TemporaryObject),
        ("WITH a AS (SELECT 1) SELECT 1 INTO GLOBAL TEMPORARY b FROM ONLY orders", TemporaryObject),
        ("SELECT 1 AS a INTO pg_temp.b FROM ONLY orders", TemporaryObject),
        ("EXPLAIN ANALYZE SELECT 1 AS a INTO LOCAL TEMP b FROM ONLY orders", TemporaryObject),
        ("EXPLAIN (\"analyze\", costs off) CREATE TEMP TABLE a AS SELECT 1", TemporaryObject),
        ("EXPLAIN (brand_new) CREATE TEMP TABLE a AS SELECT 1", TemporaryObject),
        ("SELECT pg_create_logical_replication_slot('a', 'b', true)", Lasting),
        ("SELECT pg_copy_physical_replication_slot('a', 'b', true)", Lasting),
        ("SELECT pg_backup_start('a')", Lasting),
        ("SELECT pg_start_backup('a', true, false)", Lasting),
        ("SELECT set_limit(0.5)", Opaque),
        ("LISTEN a", Listen),
        ("SELECT pg_advisory_lock(1)", AdvisoryLock),
        ("SELECT id FROM orders WHERE pg_try_advisory_lock(id)", AdvisoryLock),
        ("INSERT INTO orders SELECT pg_advisory_lock(1)", AdvisoryLock),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders", HoldCursor),
        ("LOAD 'auto_explain'", Load),
        ("PREPARE a AS SELECT 'now'::timestamptz", SqlPrepare),
        ("PREPARE a AS SELECT E'\\x6eow'::timestamptz", SqlPrepare),
        ("PREPARE sc_1 AS SELECT 1", SqlPrepare),
        ("PREPARE a AS SELECT 1; SELECT 2", SqlPrepare),
        ("PREPARE a AS SELECT pg_advisory_lock(1); EXECUTE a", Opaque),
        ("EXECUTE a; EXECUTE b", Opaque),
        ("CREATE TABLE made AS EXECUTE a", Opaque),
        ("EXPLAIN ANALYZE SELECT set_config('a', 'b', false)", Opaque),
        ("DECLARE c CURSOR FOR SELECT set_config('a', 'b', false)", Opaque),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT set_config('a', 'b', false)", Opaque),
        ("COPY (SELECT set_config('a', 'b', false)) TO STDOUT", Opaque),
        ("COPY (SELECT set_config('a', 'b', false)) TO '/a'", Opaque),
        ("SELECT set_config('a', 'b', false), dblink_connect('x') FROM ONLY orders", Lasting),
        ("LOAD 'auto_explain'; SELECT setseed(0.5)", Lasting),
        ("EXECUTE a(pg_advisory_lock(1))", AdvisoryLock),
        ("SELECT currval('ids')", Opaque),
        ("SELECT lastval()", Opaque),
        ("SELECT setseed(0.5)", Lasting),
        ("SELECT g.setseed FROM generate_series(0, 1) AS g", Lasting),
        ("SELECT g.pg_advisory_lock FROM (VALUES (1)) AS v (x), generate_series(1, 2) AS g", AdvisoryLock),
        ("INSERT INTO orders SELECT g.pg_advisory_lock FROM generate_series(1, 2) AS g", AdvisoryLock),
        ("UPDATE orders SET id = g.set_tenant FROM generate_series(1, 2) AS g", Opaque),
        ("SET SEED TO 0.5", Lasting),
        ("SET LOCAL \"seed\" TO 0.5", Lasting),
        ("SELECT dblink_exec('x')", Lasting),
        ("SELECT query_to_xml('x', true, true, '')", Opaque),
        ("DO $$ BEGIN PERFORM 1; END $$", Opaque),
        ("DO $$ BEGIN PERFORM upload('x'), setseeds FROM orders; END $$", Opaque),
        (
            "DO $$ BEGIN INSERT INTO seed VALUES (1); -- load the seed
            UPDATE t SET at = 1, seed = 2; END $$",
            Opaque,
        ),
        ("DO $$ BEGIN LOAD 'auto_explain'; END $$", Lasting),
        ("DO $$ BEGIN PERFORM set_config('seed', '0.5', false); END $$", Lasting),
        ("DO $$ BEGIN SET SESSION seed TO 0.5; END $$", Lasting),
        ("DO $$ BEGIN PERFORM pg_catalog.SetSeed(0.5); END $$", Lasting),
        ("DO 'BEGIN SET seed = 0.5; END'", Lasting),
        ("DO $$ BEGIN PERFORM dblink_connect('a', 'b'); END $$", Lasting),
        ("SELECT set_seed(1)", Lasting),
        ("INSERT INTO orders SELECT set_seed(1)", Lasting),
        ("SELECT set_config('a','b',false) FROM ONLY orders", Opaque),
        ("SELECT \"pg_advisory_lock\" (1) FROM ONLY orders", AdvisoryLock),
        ("EXPLAIN ANALYZE SELECT pg_advisory_lock(1)", AdvisoryLock),
        ("SELECT set_tenant(1)", Opaque),
        ("SELECT sneaky_tenant(1)", Opaque),
        ("INSERT INTO orders SELECT set_tenant(1)", Opaque),
        ("CALL set_tenant(1)", Opaque),
    ] {
        assert_eq!(plan_of(text).pin, Some(pin), "{text}");
        assert_ne!(plan_of(text).kind, Kind::Read, "{text}");
    }
    // Who executes it is pinned, not who prepares it.
    let prepared = |text: &str| match plan_of(text) {
        Plan { kind: Kind::Prepare { pin, .. }, pin: None, .. } => pin,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(prepared("PREPARE a AS SELECT pg_advisory_lock(1)"), Some(AdvisoryLock));
    assert_eq!(prepared("PREPARE a AS SELECT set_config('a', $1, false)"), Some(Opaque));
    assert_eq!(prepared("PREPARE a AS UPDATE pg_settings SET setting = $1 WHERE name = 'jit'"), Some(Opaque));
    assert_eq!(prepared("PREPARE a AS SELECT * FROM orders"), None);
    for text in [
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT nextval('ids')",
        "SELECT pg_advisory_unlock(1)",
        "UNLISTEN a",
        "NOTIFY a",
        "EXPLAIN SELECT pg_advisory_lock(1)",
        "EXPLAIN (COSTS off, VERBOSE true, FORMAT json) CREATE TEMP TABLE a AS SELECT 1",
        "SELECT 1 AS a INTO b FROM ONLY orders",
        "SELECT id AS temp FROM ONLY orders",
        "SELECT o.lastval FROM (SELECT id AS lastval FROM ONLY orders) AS o",
    ] {
        assert_eq!(plan_of(text).pin, None, "{text}");
    }
    // Where a plain name is that of a temporary object.
    for schemas in [&["pg_temp", "public"][..], &["nowhere", "pg_temp"], &["pg_temp_7"]] {
        for text in [
            "CREATE TABLE a (b int)",
            "CREATE VIEW a AS SELECT 1",
            "SELECT 1 AS b INTO a",
            "SELECT 1 INTO a FROM ONLY b",
        ] {
            let plan = plan_with(text.as_bytes(), &path(schemas), true, &Fake::shop());
            assert_eq!(plan.pin, Some(TemporaryObject), "{schemas:?} {text}");
        }
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

/// What of a statement alone cannot have changed the catalog raises no doubt of it, since while one stands nothing is served.
#[test]
fn c19_only_what_may_change_the_catalog_puts_it_in_doubt() {
    let mut shop = Fake::shop();
    shop.view(400, "only", "SELECT x.id, now() AS at FROM ONLY public.orders x;", &[100]);
    shop.view(401, "audited", "SELECT public.audit(x.id) AS id FROM ONLY public.orders x;", &[100]);
    shop.view(402, "unheard_of", "SELECT public.nobody(x.id) AS id FROM ONLY public.orders x;", &[100]);
    let may_change = |text: &str| plan_with(text.as_bytes(), &path(&["public"]), true, &shop).may_change_catalog;
    for text in [
        "SELECT log_visit(1)",
        "INSERT INTO orders SELECT log_visit(1)",
        "SELECT id FROM ONLY orders WHERE log_visit(id) = 1",
        "SELECT json_value(note, '$.a') FROM orders",
        "SELECT json_query(note, '$.a' WITH WRAPPER), json_array(1, 2), json_object('a': id) FROM orders",
        "SELECT * FROM json_table('[]', '$[*]' COLUMNS (id int PATH '$')) x",
        "SELECT xmlelement(NAME a, xmlattributes(id AS b), xmlforest(id, note)), xmlconcat(NULL, NULL) FROM orders",
        "SELECT * FROM xmltable('/a' PASSING (note) COLUMNS id int) x",
        "WITH fresh(id, at) AS (SELECT id, placed FROM ONLY orders), more(id) AS NOT MATERIALIZED (TABLE items) SELECT * FROM fresh",
        "WITH RECURSIVE up(id) AS (SELECT id FROM ONLY orders) SELECT * FROM up",
        "SELECT * FROM ONLY orders, LATERAL jsonb_to_recordset(note) AS columns_of(id int)",
        "SELECT * FROM only",
        "SELECT * FROM odd",
    ] {
        assert!(!may_change(text), "{text}");
    }
    for text in [
        "UPDATE pg_class SET relname = 'b'",
        "INSERT INTO orders SELECT oid FROM \"pg_class\"",
        "SELECT audit(1)",
        "SELECT log_visit(audit(1))",
        "SELECT nobody_knows(1)",
        "SELECT public.json_value(note) FROM orders",
        "SELECT \"xmlforest\"(note) FROM ONLY orders",
        "SELECT id FROM ONLY orders WHERE nobody_knows(id)",
        "SELECT * FROM ONLY orders, nobody_knows(id) AS (id int)",
        "SELECT 1, nobody_knows(id) AS (values int) FROM ONLY orders",
        "WITH audit(id) AS (SELECT audit(1)) SELECT 1 FROM ONLY orders",
        "SELECT * FROM audited",
        "SELECT * FROM unheard_of",
        "INSERT INTO orders SELECT g.audit FROM generate_series(1, 1) AS g",
    ] {
        assert!(may_change(text), "{text}");
    }
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
    all_kinds(&Kind::Unlisten { channel: None }, None, false, &["UNLISTEN *"]);
    all_kinds(
        &Kind::Unlisten { channel: Some("a".into()) },
        None,
        false,
        &["UNLISTEN a", "unlisten A", "UNLISTEN \"a\""],
    );
    all_kinds(
        &Kind::Listen("a".into()),
        Some(PinReason::Listen),
        false,
        &["LISTEN a", "listen A /* a */;", "LISTEN \"a\""],
    );
    all_kinds(&Kind::Listen("A\"b".into()), Some(PinReason::Listen), false, &["LISTEN \"A\"\"b\""]);
    all_kinds(&Kind::Listen("int".into()), Some(PinReason::Listen), false, &["LISTEN int"]);
    // Wrong, or read otherwise by some servers: left to the connection that it is run on.
    let long = format!("LISTEN {}", "x".repeat(64));
    let unsure =
        ["LISTEN", "LISTEN a b", "LISTEN select", "LISTEN a.b", "LISTEN 'a'", "LISTEN \"\"", "LISTEN É", &long];
    all_kinds(&Kind::Unproven, Some(PinReason::Listen), false, &unsure);
    all_kinds(&Kind::Unproven, None, false, &["UNLISTEN", "UNLISTEN * a", "UNLISTEN from"]);
    all_kinds(&Kind::Deallocate { name: None }, None, false, &["DEALLOCATE ALL", "DEALLOCATE PREPARE ALL"]);
    let name = Some("a".to_owned());
    all_kinds(&Kind::Deallocate { name }, None, false, &["DEALLOCATE A", "DEALLOCATE PREPARE a"]);
    all_kinds(&Kind::Empty, None, false, &["", " ; ", "-- nothing", "/* x */"]);
}
