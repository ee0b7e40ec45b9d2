//! Statements that SQL's PREPARE made, of sessions that share connections: each session finds its own, as if it were alone.

use crate::harness::wire::{Batch, Format};
use crate::twins::{Step, Twins, ready};

const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'), (2, 'two');
    CREATE TABLE w (id int); CREATE SCHEMA o; CREATE TABLE o.t (id int, v text); INSERT INTO o.t VALUES (1, 'other')";

fn b() -> Batch {
    Batch::new()
}

fn q(text: &str) -> Step {
    ready(b().query(text))
}

fn extended(text: &str) -> Step {
    ready(b().extended(text, &[], Format::Text))
}

fn of_size(label: &str, size: &str) -> Twins {
    Twins::with(label, SETUP, |builder| builder.flag("--pool-size", size))
}

/// Every step of the first client's, with one between of another's that has statements of the same names.
fn crossed(steps: &[Step]) -> Vec<(usize, Step)> {
    let others = [
        q("PREPARE a AS SELECT 'of the other''s', $1::int"),
        q("EXECUTE a(7)"),
        q("PREPARE z AS INSERT INTO w VALUES ($1)"),
        q("EXECUTE z(1)"),
        extended("EXECUTE a(8)"),
        q("SELECT name, statement FROM pg_prepared_statements WHERE from_sql ORDER BY name"),
        q("DEALLOCATE a"),
    ];
    let others = others.iter().cycle().cloned();
    steps.iter().cloned().zip(others).flat_map(|(own, other)| [(0, own), (1, other)]).collect()
}

fn is_pinned(twins: &Twins) -> bool {
    twins.sidecache.metrics().contains("sidecache_pins_total{")
}

#[test]
fn r20_statements_made_in_sql_stay_with_their_session_and_pin_nobody() {
    let look = || q("SELECT name, statement, parameter_types FROM pg_prepared_statements WHERE from_sql ORDER BY name");
    let script = [
        q("EXECUTE a(1)"),
        q("PREPARE a AS SELECT v FROM t WHERE id = $1"),
        q("EXECUTE a(1)"),
        q("PREPARE a AS SELECT 1"),
        extended("EXECUTE a(2)"),
        q("  /* kept */ PREPARE \"Odd \"\" name\" (int) AS UPDATE t SET v = v WHERE id = $1 RETURNING id -- too"),
        look(),
        q("EXECUTE \"Odd \"\" name\"(1)"),
        q("EXPLAIN (COSTS OFF) EXECUTE a(1)"),
        q("BEGIN"),
        q("PREPARE b AS SELECT 2"),
        q("EXECUTE b"),
        q("SELECT nothing"),
        q("PREPARE c AS SELECT 3"),
        q("DEALLOCATE b"),
        q("ROLLBACK"),
        q("EXECUTE b"),
        q("EXECUTE c"),
        q("BEGIN"),
        q("DEALLOCATE a"),
        q("PREPARE a AS SELECT 'anew'"),
        q("EXECUTE a"),
        q("DEALLOCATE a"),
        q("EXECUTE a"),
        q("ROLLBACK"),
        q("EXECUTE a"),
        look(),
        extended("PREPARE d AS INSERT INTO w VALUES (4) RETURNING id"),
        q("EXECUTE d"),
        q("BEGIN"),
        q("DEALLOCATE ALL"),
        q("EXECUTE d"),
        q("COMMIT"),
        look(),
        q("PREPARE d AS SELECT 5"),
        q("DISCARD ALL"),
        q("EXECUTE d"),
        q("PREPARE bad AS SELECT * FROM nowhere"),
        q("EXECUTE bad"),
        q("DEALLOCATE PREPARE bad"),
    ];
    for size in ["1", "2"] {
        let twins = of_size("sqlprepare", size);
        // The other client never waits for a transaction's end: with one connection there is none for it.
        let apart: Vec<(usize, Step)> = match size {
            "1" => {
                let free = crossed(&script[..9]).into_iter().chain(crossed(&script[25..29]));
                free.chain(crossed(&script[33..])).collect()
            }
            _ => crossed(&script),
        };
        twins.same_together("statements made in SQL", &apart);
        assert!(!is_pinned(&twins), "nobody is pinned");
    }
}

/// What PostgreSQL says of a statement that was made before its table changed, it says on any connection.
#[test]
fn r20_a_statement_made_before_its_table_changed_fails_as_it_would_alone() {
    let twins = of_size("sqlddl", "3");
    let script = [
        q("CREATE TABLE d (id int); INSERT INTO d VALUES (1)"),
        // Without the table's own oid, which is another on each way.
        q("PREPARE a AS SELECT * FROM (SELECT * FROM d UNION SELECT * FROM d) AS x ORDER BY id"),
        q("PREPARE i AS INSERT INTO d VALUES (2)"),
        q("ALTER TABLE d ADD COLUMN more text"),
        q("EXECUTE a"),
        q("EXECUTE i"),
        extended("EXECUTE a"),
        q("BEGIN"),
        q("EXECUTE a"),
        q("SELECT 1"),
        q("ROLLBACK"),
        ready(b().bind("", "a", &[], Format::Text).execute("", 0).sync()),
        q("ALTER TABLE d DROP COLUMN more"),
        q("EXECUTE a"),
        q("DROP TABLE d"),
        q("EXECUTE a"),
        q("EXPLAIN EXECUTE a"),
        extended("EXECUTE i"),
        ready(b().bind("", "a", &[], Format::Text).execute("", 0).sync()),
        q("PREPARE a AS SELECT 1"),
        ready(b().parse("a", "SELECT 1", &[]).sync()),
        q("BEGIN"),
        q("CREATE TABLE d (id int)"),
        q("EXECUTE a"),
        q("EXECUTE i"),
        q("ROLLBACK"),
        q("DEALLOCATE a"),
        q("EXECUTE a"),
        q("DEALLOCATE i"),
    ];
    // Another takes the connection that the first one's statements are on.
    let other = || q("SELECT count(*) FROM w");
    let mut all = Vec::new();
    for (at, step) in script.iter().enumerate() {
        all.push((0, step.clone()));
        if at % 2 == 1 {
            all.extend([(1, q("BEGIN")), (1, q("EXECUTE nothing")), (2, other()), (1, q("ROLLBACK"))]);
        } else {
            all.push((1, q("PREPARE a AS SELECT 'the other''s'")));
            all.push((1, q("DEALLOCATE a")));
        }
    }
    twins.same_together("statements made in SQL, and DDL", &all);
}

/// SQL and the protocol share one space of names.
#[test]
fn r13_sql_and_the_protocol_share_their_names() {
    let twins = of_size("sqlnames", "2");
    let run =
        |name: &str, values: &[Option<&str>]| ready(b().bind("", name, values, Format::Text).execute("", 0).sync());
    let script = [
        ready(b().parse("p", "SELECT v FROM t WHERE id = $1", &[]).describe_statement("p").sync()),
        q("EXECUTE p(1)"),
        extended("EXECUTE p(2)"),
        q("PREPARE p AS SELECT 1"),
        run("p", &[Some("1")]),
        q("DEALLOCATE p"),
        q("EXECUTE p(1)"),
        run("p", &[Some("1")]),
        q("PREPARE p AS SELECT $1::text || 'made'"),
        run("p", &[Some("x")]),
        ready(b().describe_statement("p").sync()),
        ready(b().parse("p", "SELECT 2", &[]).sync()),
        ready(b().parse("p", "SELECT 2", &[]).bind("", "p", &[], Format::Text).execute("", 0).sync()),
        ready(b().parse("p", "SELEC", &[]).sync()),
        ready(b().close_statement("p").sync()),
        q("EXECUTE p('x')"),
        ready(b().parse("p", "SELECT 3", &[]).bind("", "p", &[], Format::Text).execute("", 0).sync()),
        q("EXECUTE p"),
        q("BEGIN"),
        q("EXECUTE p"),
        q("DEALLOCATE p"),
        q("PREPARE p AS SELECT 4"),
        run("p", &[]),
        q("COMMIT"),
        run("p", &[]),
        ready(
            b().parse("", "PREPARE r AS SELECT 5", &[])
                .bind("", "", &[], Format::Text)
                .execute("", 0)
                .bind("", "r", &[], Format::Text)
                .execute("", 0)
                .sync(),
        ),
        run("r", &[]),
        q("DEALLOCATE ALL"),
        run("r", &[]),
        q("EXECUTE p"),
    ];
    twins.same_in_turns("names of SQL and the protocol", &script);
    assert!(!is_pinned(&twins), "nobody is pinned");
}

/// A text that would be read otherwise later stays where it was made; the schemas alone are looked at anew.
#[test]
fn r20_a_statement_made_in_sql_keeps_what_its_settings_made_of_it() {
    let day = "PREPARE a AS SELECT '01/02/2026'::date, timestamptz '2026-01-02 03:04:05'";
    let scripts = [
        vec![q(day), q("EXECUTE a"), q("SET datestyle = 'ISO, DMY'"), q("EXECUTE a"), q("SET timezone = 'Asia/Tokyo'")],
        vec![q("BEGIN"), q("SET LOCAL datestyle = 'ISO, DMY'"), q(day), q("COMMIT")],
        vec![q("BEGIN"), q("SET datestyle = 'ISO, DMY'"), q(day), q("ROLLBACK")],
        vec![q(day), q("SET timezone = 'Asia/Tokyo'"), q("RESET ALL")],
        vec![q("PREPARE a AS SELECT v FROM t WHERE id = 1"), q("SET search_path = o, public"), q("EXECUTE a")],
        vec![q("PREPARE a AS SELECT 'now'::timestamptz = now()"), q("SELECT pg_sleep(0.001)")],
        vec![q("PREPARE a AS SELECT 1; PREPARE b AS SELECT 2"), q("EXECUTE b"), q("DEALLOCATE b; DEALLOCATE a")],
        (0..105)
            .map(|n| q(&format!("PREPARE a{n} AS SELECT {n}")))
            .chain([q("EXECUTE a104"), q("EXECUTE a3")])
            .collect(),
    ];
    for script in scripts {
        let twins = of_size("sqlsettings", "2");
        let mut all: Vec<(usize, Step)> = script.into_iter().map(|step| (0, step)).collect();
        for _ in 0..2 {
            all.extend([(1, q("PREPARE a AS SELECT 'the other''s'")), (1, q("DEALLOCATE a")), (0, q("EXECUTE a"))]);
            all.extend([(1, q("BEGIN")), (1, q("EXECUTE a")), (0, q("EXECUTE a")), (1, q("ROLLBACK"))]);
        }
        twins.same_together("statements made in SQL, and settings", &all);
    }
}

/// What a batch prepares behind a DEALLOCATE is prepared, for this session and on its connection.
#[test]
fn r13_what_is_prepared_behind_a_deallocate_in_one_batch_stays() {
    let twins = of_size("deallocated", "1");
    let bound = |name: &str| ready(b().bind("", name, &[], Format::Text).execute("", 0).sync());
    let run = |batch: Batch, text: &str| batch.parse("", text, &[]).bind("", "", &[], Format::Text).execute("", 0);
    let of_another = || ready(b().parse("o", "SELECT 888", &[]).bind("", "o", &[], Format::Text).execute("", 0).sync());
    let closed = || ready(b().close_statement("o").sync());
    let own = [
        ready(run(b(), "DEALLOCATE ALL").parse("y", "SELECT 888", &[]).sync()),
        bound("y"),
        ready(run(b(), "DISCARD ALL").parse("y", "SELECT 888", &[]).sync()),
        ready(
            run(b(), "DEALLOCATE ALL")
                .parse("y", "SELECT 888", &[])
                .bind("", "y", &[], Format::Text)
                .execute("", 0)
                .sync(),
        ),
        ready(run(b(), "DEALLOCATE y").parse("y", "SELECT 889", &[]).sync()),
        bound("y"),
        ready(run(b().parse("z", "SELECT 890", &[]), "DEALLOCATE ALL").parse("z", "SELECT 891", &[]).sync()),
        bound("z"),
        bound("y"),
        ready(run(b().parse("z2", "SELECT 890", &[]), "DEALLOCATE z2").parse("z2", "SELECT 892", &[]).sync()),
        bound("z2"),
        ready(run(b(), "DEALLOCATE z2").bind("", "z2", &[], Format::Text).execute("", 0).sync()),
        ready(run(b(), "DEALLOCATE ALL").parse("y", "SELEC", &[]).sync()),
        bound("y"),
        ready(run(run(b(), "DEALLOCATE ALL"), "PREPARE q AS SELECT 5").sync()),
        q("EXECUTE q"),
        ready(run(run(b(), "DEALLOCATE q"), "PREPARE q AS SELECT 6").sync()),
        q("EXECUTE q"),
        ready(run(b(), "DEALLOCATE q").parse("q", "SELECT 7", &[]).sync()),
        q("EXECUTE q"),
        bound("q"),
        ready(run(b(), "DEALLOCATE q").sync()),
        ready(run(b(), "PREPARE q AS SELECT 8").close_statement("q").parse("q", "SELECT 9", &[]).sync()),
        bound("q"),
        ready(run(run(b(), "PREPARE r AS SELECT 10"), "DEALLOCATE ALL").sync()),
        q("EXECUTE r"),
        ready(run(b(), "PREPARE r AS SELECT 11").parse("", "SELECT 12", &[]).close_statement("r").sync()),
        q("EXECUTE r"),
        q("BEGIN"),
        ready(run(b(), "DEALLOCATE ALL").parse("y", "SELECT 888", &[]).sync()),
        q("COMMIT"),
        bound("y"),
    ];
    // Of which every step is followed by another client's on the one connection, unless a transaction keeps it.
    let mut all = Vec::new();
    for (at, step) in own.iter().enumerate() {
        all.push((0, step.clone()));
        if !(28..30).contains(&at) {
            all.extend([(1, of_another()), (1, closed())]);
        }
    }
    twins.same_together("prepared behind a DEALLOCATE", &all);
    assert!(!is_pinned(&twins), "nobody is pinned");
}

/// A statement that drops itself, or all, has its name until it runs.
#[test]
fn r13_a_statement_that_deallocates_itself_is_gone() {
    let twins = of_size("itself", "1");
    let named = |text: &str| ready(b().parse("d", text, &[]).bind("", "d", &[], Format::Text).execute("", 0).sync());
    let script = [
        named("DEALLOCATE ALL"),
        ready(b().bind("", "d", &[], Format::Text).execute("", 0).sync()),
        named("DEALLOCATE ALL"),
        named("DEALLOCATE d"),
        ready(b().bind("", "d", &[], Format::Text).execute("", 0).sync()),
        named("DEALLOCATE d"),
        ready(b().parse("z", "SELECT 1", &[]).parse("d", "DEALLOCATE z", &[]).sync()),
        ready(b().bind("", "d", &[], Format::Text).execute("", 0).sync()),
        ready(b().bind("", "d", &[], Format::Text).execute("", 0).sync()),
        ready(b().bind("", "z", &[], Format::Text).execute("", 0).sync()),
        ready(b().parse("z", "SELECT 2", &[]).bind("", "z", &[], Format::Text).execute("", 0).sync()),
    ];
    twins.same_in_turns("statements that drop themselves", &script);
}

/// What a statement gives is asked for outside its transaction: within it the question may fail, and the transaction with it.
#[test]
fn r20_what_cannot_be_described_any_more_ends_no_transaction() {
    let twins = of_size("undescribed", "2");
    let run = |batch: Batch, sql: &str| batch.parse("", sql, &[]).bind("", "", &[], Format::Text).execute("", 0);
    let all = |texts: &[&str]| ready(texts.iter().fold(b(), |batch, text| run(batch, text)).sync());
    let script = [
        q("BEGIN"),
        all(&["SAVEPOINT s", "CREATE TABLE x (id int)", "PREPARE p AS SELECT FROM x", "ROLLBACK TO s"]),
        all(&["SET LOCAL search_path = o", "PREPARE r AS SELECT v FROM t", "SET LOCAL search_path = pg_catalog"]),
        q("INSERT INTO public.w VALUES (5)"),
        q("COMMIT"),
        q("SELECT count(*) > 0 FROM w"),
        q("EXECUTE p"),
        q("EXECUTE r"),
    ];
    twins.same_in_turns("what cannot be described", &script);
}

/// An error names the statement that it is of, though another has the same text.
#[test]
fn r13_of_two_names_with_one_text_the_error_says_the_right_one() {
    let twins = of_size("onetext", "1");
    let script = [
        ready(b().parse("a", "SELECT 5", &[]).parse("b", "SELECT 5", &[]).sync()),
        ready(b().bind("", "a", &[], Format::Text).execute("", 0).parse("b", "SELECT 6", &[]).sync()),
        ready(b().bind("", "b", &[], Format::Text).parse("a", "SELECT 5", &[]).bind("", "b", &[], Format::Text).sync()),
        ready(b().parse("b", "SELECT 6", &[]).bind("", "a", &[], Format::Text).execute("", 0).sync()),
    ];
    twins.same_in_turns("two names with one text", &script);
}

/// What the same PREPARE means depends on how its session reads texts: one of another session's that reads otherwise is not taken for it.
#[test]
fn r13_the_same_words_read_otherwise_are_another_statement() {
    let twins = of_size("read_otherwise", "1");
    let text = |text: &str| q(text);
    let mut steps = vec![(0, text("SET datestyle = 'ISO, MDY'")), (1, text("SET datestyle = 'ISO, DMY'"))];
    for (name, prepared) in
        [("a", "SELECT '01/02/2003'::date"), ("b", "SELECT v FROM t WHERE v = '01/02/2003'::date::text")]
    {
        for who in [0, 1] {
            steps.push((who, text(&format!("PREPARE {name} AS {prepared}"))));
        }
        for who in [0, 1, 0, 1] {
            steps.push((who, text(&format!("EXECUTE {name}"))));
        }
    }
    steps.extend([(0, text("EXECUTE a")), (1, text("EXECUTE a"))]);
    twins.same_together("statements made in SQL of words that are read otherwise", &steps);
    assert!(!is_pinned(&twins));
}
