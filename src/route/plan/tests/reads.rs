//! Queries: what they read, and why some are not cached.

use super::*;

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

/// What tells of its server, in a body that is not judged, is asked of the primary.
#[test]
fn c12_a_function_that_tells_of_its_server_is_asked_of_the_primary() {
    let mut shop = Fake::shop();
    for name in ["trusted", "rate"] {
        let text = format!("SELECT {name}(id) FROM orders");
        assert_eq!(plan_with(text.as_bytes(), &path(&["public"]), true, &shop).place, Place::Anywhere, "{name}");
        let function = shop.functions.iter_mut().find(|(own, _)| own == name).expect("it has one");
        function.1.tells_server = true;
        assert_eq!(plan_with(text.as_bytes(), &path(&["public"]), true, &shop).place, Place::Primary, "{name}");
    }
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
    all_refused(Refusal::TableAccessMethod, &Kind::Read, &["SELECT * FROM columnar", "SELECT * FROM orders, columnar"]);
    all_refused(Refusal::DistributedTable, &Kind::Read, &["SELECT * FROM spread"]);
    all_refused(Refusal::CompressedTable, &Kind::Read, &["SELECT * FROM metrics"]);
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
    for text in [
        "SELECT * FROM scratch",
        "SELECT * FROM pg_class",
        "SELECT last_value FROM ids",
        "SELECT version()",
        "SELECT * FROM columnar",
        "SELECT * FROM spread",
    ] {
        assert_eq!(plan_of(text).place, Place::Primary, "{text}");
    }
}

#[test]
fn c15_a_table_with_policies_depends_on_what_they_read() {
    let mut shop = Fake::shop();
    let mut of = |policies: &[Option<&str>], text: &str| {
        let policies = policies.iter().map(|policy| policy.map(str::to_owned)).collect();
        shop.relation_mut("secret").policies = policies;
        let plan = plan_with(text.as_bytes(), &path(&["public"]), true, &shop);
        let recipe = plan.cache.map(|recipe| {
            let ids: Vec<u32> = recipe.relations.iter().map(|id| id.oid()).collect();
            (ids, recipe.settings.to_vec())
        });
        (recipe, plan.kind)
    };
    let tenant = || vec!["app.tenant".to_owned()];
    for (policies, relations, settings) in [
        (&[][..], &[115][..], vec![]),
        (&[Some("(id = 1)"), Some("((name)::text = CURRENT_USER)")], &[115], vec![]),
        (&[Some("(id = (current_setting('app.tenant'::text, true))::integer)")], &[115], tenant()),
        (&[Some("(EXISTS ( SELECT 1\n   FROM public.items i\n  WHERE (i.id = secret.id)))")], &[101, 115], vec![]),
        (&[Some("(id IN ( SELECT secret.id FROM public.recent))")], &[100, 115, 200], vec![]),
        (&[Some("(id IN ( SELECT x.id FROM public.secret x))")], &[115], vec![]),
        (&[Some("public.mine(id)")], &[101, 115], vec!["app.user".to_owned()]),
        (&[Some("pg_has_role(CURRENT_USER, 'x'::name, 'MEMBER'::text)")], &[115], vec![]),
    ] {
        let expected = (Ok((relations.to_vec(), settings.clone())), Kind::Read);
        assert_eq!(of(policies, "SELECT id FROM secret"), expected, "{policies:?}");
        let (Ok((beneath, asked)), _) = of(policies, "SELECT * FROM shut") else { panic!("{policies:?}") };
        assert!(beneath.contains(&205) && relations.iter().all(|id| beneath.contains(id)), "{policies:?}");
        assert_eq!(asked, settings, "{policies:?}");
    }
    for (policy, refusal, kind) in [
        (None, Refusal::RowSecurity, Kind::Unproven),
        (Some("(id = current_setting('work_mem'::text))"), Refusal::StableFunction, Kind::Read),
        (Some("(id = current_setting(name))"), Refusal::StableFunction, Kind::Read),
        (Some("(placed < now())"), Refusal::CurrentTime, Kind::Read),
        (Some("public.audit(id)"), Refusal::VolatileFunction, Kind::Unproven),
        (Some("public.rate(id)"), Refusal::StableFunction, Kind::Read),
        (Some("public.trusted(id)"), Refusal::SecurityDefiner, Kind::Read),
        (Some("(id IN ( SELECT scratch.id FROM public.scratch))"), Refusal::Unlogged, Kind::Read),
        (Some("(id = ONLY nonsense"), Refusal::UncertainSyntax, Kind::Unproven),
        (Some("unknown.f(id)"), Refusal::UnknownFunction, Kind::Unproven),
    ] {
        assert_eq!(of(&[Some("true"), policy], "SELECT id FROM secret"), (Err(refusal), kind), "{policy:?}");
    }
}

#[test]
fn c15_a_setting_that_is_read_is_part_of_the_recipe() {
    let settings = |text: &str| plan_of(text).cache.map(|recipe| recipe.settings.to_vec());
    let found = settings(
        "SELECT id FROM orders WHERE item = current_setting('App.B')::int OR current_setting('app.a', true) = ''",
    );
    assert_eq!(found, Ok(vec!["app.a".to_owned(), "app.b".to_owned()]));
    for text in [
        "SELECT current_setting('work_mem') FROM orders",
        "SELECT current_setting(note) FROM orders",
        "SELECT current_setting('app.a'), current_setting($1) FROM orders",
        "SELECT ('app.a'::text).current_setting FROM orders",
    ] {
        assert_eq!(settings(text), Err(Refusal::StableFunction), "{text}");
    }
    assert_eq!(settings("SELECT note FROM orders"), Ok(vec![]));
}

#[test]
fn c12_a_stable_function_in_sql_is_judged_by_its_body() {
    let body = |text: &str| {
        let mut shop = Fake::shop();
        shop.functions.iter_mut().find(|(name, _)| name == "rate").expect("it has one").1.body = Some(text.to_owned());
        let plan = plan_with(b"SELECT rate(id) FROM orders", &path(&["public"]), true, &shop);
        plan.cache.map(|recipe| recipe.relations.iter().map(|id| id.oid()).collect::<Vec<_>>())
    };
    assert_eq!(body("SELECT price FROM items WHERE id = $1;"), Ok(vec![100, 101]));
    assert_eq!(body("SELECT id FROM other.orders"), Ok(vec![100, 104]), "and names by the caller's path");
    // Oids are those of one catalog: a function may have a relation's.
    let mut twins = Fake::shop();
    twins.functions.iter_mut().find(|(name, _)| name == "mine").expect("it has one").1.oid = 200;
    let twin = plan_with(b"SELECT mine(id) FROM recent", &path(&["public"]), true, &twins).cache;
    assert_eq!(twin.map(|recipe| recipe.settings.to_vec()), Ok(vec!["app.user".to_owned()]));
    assert_eq!(body("SELECT rate(1) + mine($1) FROM items"), Ok(vec![100, 101]), "each function once");
    for (text, refusal) in [
        ("SELECT now()", Refusal::CurrentTime),
        ("SELECT audit(1)", Refusal::VolatileFunction),
        ("SELECT $1::date", Refusal::UnprovenCast),
        ("SELECT 1; SELECT 2", Refusal::StableFunction),
        ("INSERT INTO items VALUES (1)", Refusal::StableFunction),
        ("SELECT E'\\n' FROM items", Refusal::StableFunction),
        ("SELECT id FROM scratch", Refusal::Unlogged),
        ("SELECT id FROM secret FOR UPDATE", Refusal::Locking),
        ("", Refusal::StableFunction),
    ] {
        assert_eq!(body(text), Err(refusal), "{text}");
    }
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
        // Expressions do not see what the query itself calls its columns.
        "SELECT id, placed::date AS placed FROM orders ORDER BY placed::date",
        "SELECT note AS placed FROM orders WHERE placed::date > '2020-01-01'",
        "SELECT note AS placed FROM orders UNION SELECT placed::date::text FROM orders",
        "SELECT note::interval, '1 day'::interval, 'happy'::mood FROM orders",
        "SELECT note::point FROM orders",
        "SELECT x.a FROM orders, jsonb_to_recordset(note) AS x(a int, b text)",
        "SELECT orders.placed::date FROM orders, jsonb_to_recordset(note) AS x(a int, b text)",
        "SELECT placed::date FROM orders, generate_series(1, 3) AS n",
    ] {
        assert!(reads(text).is_ok(), "{text}: {:?}", reads(text));
    }
    all_refused(
        Refusal::UnprovenCast,
        &Kind::Read,
        &[
            "SELECT note::date FROM orders",
            "SELECT date(note) FROM orders",
            "SELECT (note).date FROM orders",
            "SELECT (note).orders FROM orders",
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
            "WITH x AS (SELECT note AS placed FROM orders) SELECT placed::date AS placed FROM x",
            "SELECT placed::date AS due FROM (SELECT note AS placed FROM orders UNION SELECT note FROM orders) x",
            "SELECT due::date FROM orders, unnest(ARRAY[note]) AS due",
            // Or one that a function has, whatever it calls it.
            "SELECT x.placed::date FROM orders, jsonb_to_recordset(note) x",
            "SELECT (SELECT placed::date FROM jsonb_to_recordset(note) x) FROM orders",
            "SELECT x.placed::date FROM orders, (SELECT * FROM jsonb_to_recordset('1')) x",
            "SELECT id::regclass FROM orders",
            "SELECT 'orders'::regclass FROM orders",
            // Which table it is hangs on which others there are.
            "SELECT root_of(id, 'orders') FROM orders",
            // A function, or a cast to another table's row.
            "SELECT items(id) FROM orders",
            "SELECT '10:00'::timetz FROM orders",
            "SELECT time with time zone '10:00' FROM orders",
            "SELECT id::unheard_of FROM orders",
            "SELECT x.a FROM orders, jsonb_to_recordset(note) AS x(a int, b date)",
            "SELECT * FROM clock",
            "SELECT * FROM registry",
            "SELECT * FROM shifts",
            "SELECT '10:00'::daytime FROM orders",
            "SELECT id::daytime FROM orders",
        ],
    );
    let mut unsafe_casts = Fake::shop();
    unsafe_casts.unsafe_casts = true;
    let plan = plan_with(b"SELECT * FROM orders", &path(&["public"]), true, &unsafe_casts);
    assert_eq!(plan.cache, Err(Refusal::UnprovenCast));
}

/// Where a cast of the users' may run unseen, a value is met of the type that it takes.
#[test]
fn an_implied_cast_that_is_not_proven_bears_on_its_own_type_alone() {
    all_refused(
        Refusal::UnprovenCast,
        &Kind::Unproven,
        &[
            "SELECT id FROM parcels",
            "SELECT orders.id FROM orders, parcels",
            "SELECT outline_of(id) FROM orders",
            "SELECT '1'::outline FROM orders",
            "SELECT $1::outline[] FROM orders",
            "SELECT outline(id) FROM orders",
        ],
    );
    assert!(reads("SELECT id FROM orders").is_ok());
}

/// A time of day becomes one with time zone by the offset of the present day.
#[test]
fn c22_a_time_of_day_has_no_time_zone() {
    for text in [
        "SELECT made AT TIME ZONE 'utc', timezone('utc', s.made), id::text FROM shops s",
        "SELECT id, made AT TIME ZONE 'utc' AS made FROM shops ORDER BY made",
        "SELECT made AT TIME ZONE 'utc' AT TIME ZONE note FROM shops, orders",
        "SELECT (made + interval '1 day') AT TIME ZONE 'utc', (made - '1 day'::interval) AT TIME ZONE 'utc' FROM shops",
        "SELECT opens::timestamp AT TIME ZONE 'utc', timestamp '2026-01-01 10:00' AT TIME ZONE 'utc' FROM shops",
        "SELECT date_trunc('day', made) AT TIME ZONE 'utc', coalesce(made, due) AT TIME ZONE 'utc' FROM shops, orders",
        "SELECT x.made AT TIME ZONE $1 FROM (SELECT made FROM shops) x",
        "SELECT extract(hour FROM opens), max(opens) FROM shops",
    ] {
        assert!(reads(text).is_ok(), "{text}: {:?}", reads(text));
    }
    all_refused(
        Refusal::UnprovenCast,
        &Kind::Read,
        &[
            "SELECT opens AT TIME ZONE 'utc' FROM shops",
            "SELECT opens AT TIME ZONE interval '1 hour' FROM shops",
            "SELECT timezone('utc', opens) FROM shops",
            "SELECT id FROM shops WHERE (s.opens + interval '1 hour') AT TIME ZONE 'utc' = made",
            "SELECT made::time AT TIME ZONE 'utc' FROM shops",
            "SELECT time '10:00' AT TIME ZONE 'utc' FROM shops",
            "SELECT max(opens) AT TIME ZONE 'utc' FROM shops",
            "SELECT coalesce(opens, '10:00') AT TIME ZONE 'utc' FROM shops",
            "SELECT $1 AT TIME ZONE 'utc' FROM shops",
            "SELECT x.made AT TIME ZONE 'utc' FROM (SELECT opens AS made FROM shops) x",
            "SELECT x AT TIME ZONE 'utc' FROM shops, unnest(ARRAY[opens]) x",
            "SELECT (SELECT opens) AT TIME ZONE 'utc' FROM shops",
            "SELECT x.t FROM shops, timezone('utc', opens) AS x(t)",
            "SELECT hour_of(opens) FROM shops",
            "SELECT timetz_hash(opens) FROM shops",
        ],
    );
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
