//! Texts as such: what is not understood, what is misread, what is too deep, several statements, comments.

use super::*;
use crate::types::Level;

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
    let bytes = |text: &[u8]| {
        let plan = plan_with(text, &path(&["public"]), true, &Fake::shop());
        assert_eq!(plan.cache, Err(Refusal::NotUtf8));
        (plan.kind, plan.pin)
    };
    assert_eq!(bytes(b"SELECT '\xff' FROM orders"), (Kind::Unproven, None));
    assert_eq!(bytes(b"SET application_name = 'caf\xe9'"), (Kind::Unproven, Some(PinReason::Opaque)));
    assert_eq!(bytes(b"INSERT INTO orders VALUES ('\xe9')"), (Kind::Write, None));
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
        ("SET a.b = 1; DISCARD ALL", PinReason::Opaque),
        ("SELECT 1; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", PinReason::Opaque),
        ("SET a.b = 1; DEALLOCATE a", PinReason::Opaque),
        ("SET a.b = 1; SELECT pg_advisory_lock(1)", PinReason::Opaque),
        ("SET a.b = 1; SELECT pg_advisory_unlock(pg_advisory_lock(1))", PinReason::Opaque),
        ("SET a.b = 1; SET x FROM CURRENT", PinReason::Opaque),
        ("BEGIN; SET a.b = 1", PinReason::Opaque),
    ] {
        let plan = plan_of(text);
        assert_eq!((plan.kind, plan.pin), (Kind::Unproven, Some(pin)), "{text}");
    }
    let settings = |text: &str| match plan_of(text) {
        Plan { kind: Kind::Settings { changes, unlistens }, pin: None, .. } => {
            let name = |(number, change): (usize, SettingChange)| (number, change.name().unwrap_or("all").to_owned());
            (changes.into_iter().map(name).collect::<Vec<_>>(), unlistens)
        }
        other => panic!("{text}: {other:?}"),
    };
    let as_new = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;";
    assert_eq!(settings(as_new), (vec![(3, "all".to_owned())], true));
    let several = "SET a.b = 1; ; SHOW a.b; SELECT pg_catalog.pg_advisory_unlock(-1, 2); RESET c; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; DEALLOCATE ALL; DISCARD TEMP";
    assert_eq!(
        settings(several),
        (vec![(0, "a.b".to_owned()), (3, "c".to_owned()), (4, "default_transaction_read_only".to_owned())], false)
    );
    assert_eq!(plan_of("BEGIN; UPDATE orders SET id = 1; COMMIT").pin, None);
    assert!(plan_of("SELECT 1; DROP TABLE orders").may_change_catalog);
    assert!(!plan_of("SELECT 1; UPDATE orders SET id = 1").may_change_catalog);
    // A semicolon in a string, a comment or at the end parts nothing.
    assert!(self::reads("SELECT id FROM orders WHERE note = ';' /* ; */ ; -- ;").is_ok());
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
    assert_eq!(plan.hint, Hint { off: false, level: Some(Level::Strong), route: None });
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
        format!("SELECT 1 FROM orders {} {}", "LEFT JOIN orders ".repeat(1_300), "ON true ".repeat(1_300)),
        format!("SELECT 1 FROM orders {}", "JOIN orders ".repeat(2_500)),
        format!("SELECT 1 FROM {}orders{}", "(orders JOIN ".repeat(31), " ON true)".repeat(31)),
        format!("SELECT 1 FROM {}orders{}", "(".repeat(64), " JOIN orders ON true)".repeat(64)),
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
