//! What the walk sees and what it refuses, where a catalog would hide it.

use super::Refused;
use super::facts::{Facts, Into, Name, Operand, SourceKind};
use super::query::facts as query_facts;
use super::token::lex;

fn facts(text: &str) -> Result<Facts, Refused> {
    query_facts(&lex(text, true)?)
}

fn functions(text: &str) -> Vec<String> {
    let facts = facts(text).unwrap_or_else(|refused| panic!("{text}: {refused:?}"));
    let full = |name: &Name| name.schema.iter().chain([&name.name]).cloned().collect::<Vec<_>>().join(".");
    facts.functions.iter().map(|call| full(&call.name)).collect()
}

fn operators(text: &str) -> String {
    let facts = facts(text).unwrap_or_else(|refused| panic!("{text}: {refused:?}"));
    let full = |name: &Name| name.schema.iter().chain([&name.name]).cloned().collect::<Vec<_>>().join(".");
    facts.operators.iter().map(full).collect::<Vec<_>>().join(" ")
}

/// The parser has nodes of their own for these; PostgreSQL has functions.
#[test]
fn g13_special_syntax_is_a_function() {
    for (text, names) in [
        ("SELECT EXTRACT(year FROM a)", &["pg_catalog.date_part"][..]),
        ("SELECT a AT TIME ZONE 'utc'", &["pg_catalog.timezone"]),
        ("SELECT POSITION('a' IN b)", &["pg_catalog.position"]),
        ("SELECT SUBSTRING(a FROM 1 FOR 2)", &["pg_catalog.substring"]),
        ("SELECT SUBSTRING(a, 1, 2)", &["substring"]),
        ("SELECT substr(a, 1)", &["substr"]),
        ("SELECT OVERLAY(a PLACING 'b' FROM 1)", &["overlay"]),
        ("SELECT TRIM(LEADING 'x' FROM a)", &["pg_catalog.btrim", "pg_catalog.ltrim", "pg_catalog.rtrim"]),
        ("SELECT CEIL(a)", &["ceil"]),
        ("SELECT FLOOR(a)", &["floor"]),
        ("SELECT a SIMILAR TO b", &["pg_catalog.similar_to_escape"]),
        ("SELECT a LIKE b ESCAPE 'x'", &["pg_catalog.like_escape"]),
        ("SELECT a IS NFC NORMALIZED", &["pg_catalog.is_normalized"]),
        ("SELECT (a, b) OVERLAPS (c, d)", &["pg_catalog.overlaps"]),
        ("SELECT CURRENT_USER", &["pg_catalog.current_user"]),
        ("SELECT user", &["pg_catalog.current_user"]),
        ("SELECT current_role", &["pg_catalog.current_user"]),
        ("SELECT SESSION_USER", &["pg_catalog.session_user"]),
        ("SELECT current_catalog", &["pg_catalog.current_database"]),
        ("SELECT current_schema", &["pg_catalog.current_schema"]),
        ("SELECT * FROM generate_series(1, 2)", &["generate_series"]),
        ("SELECT * FROM unnest(a)", &["unnest"]),
        ("SELECT * FROM t, LATERAL s.f(t.x) g", &["s.f"]),
        ("SELECT \"Odd\"(1)", &["Odd"]),
        ("SELECT left(a, 1), if(a)", &["left", "if"]),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f(x))", &["percentile_cont", "f"]),
        ("SELECT count(*) FILTER (WHERE f(x))", &["count", "f"]),
        ("SELECT string_agg(a, ',' ORDER BY f(b))", &["f", "string_agg"]),
        ("SELECT sum(a) OVER (PARTITION BY f(b) ORDER BY g(c) ROWS h(1) PRECEDING)", &["sum", "f", "g", "h"]),
        ("SELECT 1 FROM t WINDOW w AS (ORDER BY f(a))", &["f"]),
        ("SELECT 1 GROUP BY GROUPING SETS ((f(a))), ROLLUP (g(b)), CUBE (h(c))", &["f", "g", "h"]),
        ("SELECT DISTINCT ON (f(a)) 1", &["f"]),
        ("SELECT 1 LIMIT f(1) OFFSET g(2)", &["f", "g"]),
        ("SELECT ARRAY[f(1)], ROW(g(2)), (h(3), 1)", &["f", "g", "h"]),
        ("SELECT a[f(1):g(2)]", &["f", "g"]),
        ("SELECT CASE f(1) WHEN g(2) THEN h(3) ELSE i(4) END", &["f", "i", "g", "h"]),
        ("SELECT COALESCE(f(1), NULLIF(g(2), h(3)), GREATEST(i(4)))", &["f", "g", "h", "i"]),
        ("SELECT a IN (f(1)), b BETWEEN g(1) AND h(2), c = ANY (i(3))", &["f", "g", "h", "i"]),
        ("VALUES (f(1)), (g(2))", &["f", "g"]),
        ("SELECT 1 FROM a JOIN b ON f(a.x) = g(b.x)", &["g", "f"]),
        ("SELECT f(x => g(1))", &["f", "g"]),
        ("SELECT trim(BOTH FROM f(a))", &["pg_catalog.btrim", "pg_catalog.ltrim", "pg_catalog.rtrim", "f"]),
        ("SELECT trim(FROM f(a))", &["pg_catalog.btrim", "pg_catalog.ltrim", "pg_catalog.rtrim", "f"]),
        ("SELECT 1 ORDER BY 1 FETCH FIRST (f(1)) ROWS ONLY", &["f"]),
        ("SELECT 1 OFFSET 1 ROWS FETCH NEXT ((f(1)) + 1) ROWS WITH TIES", &["f"]),
        ("SELECT 1 FROM (SELECT 2 FETCH FIRST (f(1)) ROW ONLY) x LIMIT 1", &["f"]),
    ] {
        assert_eq!(functions(text), names, "{text}");
    }
    // In quotes these are columns.
    assert!(functions("SELECT \"current_user\", t.user, \"current_date\"").is_empty());
    assert!(!facts("SELECT \"current_date\"").unwrap().current_time);
    for text in
        ["SELECT current_date", "SELECT CURRENT_TIME", "SELECT localtime(3)", "SELECT 1 WHERE a > localtimestamp"]
    {
        assert!(facts(text).unwrap().current_time, "{text}");
    }
}

#[test]
fn operators_behind_syntax_are_seen() {
    for (text, names) in [
        ("SELECT a LIKE b, a NOT LIKE b, a ILIKE b, a NOT ILIKE b", "~~ !~~ ~~* !~~*"),
        ("SELECT a SIMILAR TO b, a NOT SIMILAR TO b", "~ !~"),
        ("SELECT a IN (1), a NOT IN (1)", "= <>"),
        ("SELECT a IN (SELECT 1)", "="),
        ("SELECT a BETWEEN 1 AND 2", "< <= > >="),
        ("SELECT a IS DISTINCT FROM b", "="),
        ("SELECT CASE a WHEN 1 THEN 2 END", "="),
        ("SELECT CASE WHEN a THEN 2 END", ""),
        ("SELECT NULLIF(a, b)", "="),
        ("SELECT 1 FROM a JOIN b USING (x)", "="),
        ("SELECT 1 FROM a NATURAL JOIN b", "="),
        ("SELECT a OPERATOR(s.+) b, a OPERATOR(pg_catalog.=) b", "s.+ pg_catalog.="),
        ("SELECT a = ANY (b), a < ALL (b)", "= <"),
        ("SELECT a <-> b, a -|- b, a @> b, a ? 'b', |/ a, a #>> '{b}'", "<-> -|- @> ? |/ #>>"),
        ("SELECT a <-1", "< -"),
        ("SELECT a != b", "<>"),
        ("SELECT NOT a AND b OR c IS NULL", ""),
        ("SELECT !!a, a && !!b", "!! &&"),
        ("SELECT a BETWEEN SYMMETRIC 1 AND 2, a NOT BETWEEN ASYMMETRIC (1) AND 2", "< <= > >="),
    ] {
        assert_eq!(operators(text), names, "{text}");
    }
}

#[test]
fn what_is_not_known_is_refused() {
    for text in [
        "SELECT a FROM t QUALIFY a",
        "SELECT * EXCEPT (a) FROM t",
        "SELECT * EXCLUDE a FROM t",
        "FROM t",
        "SELECT a FROM t PIVOT (sum(a) FOR b IN (1))",
        "SELECT xmlelement(name a)",
        "SELECT json_object('a': 1)",
        "SELECT json_object('a' VALUE 1)",
        "SELECT f(a := 1)",
        "SELECT f(VARIADIC a)",
        "SELECT first_value(a) IGNORE NULLS OVER w FROM t WINDOW w AS ()",
        "SELECT a.b.c.d FROM t",
        "SELECT try_cast(a AS int)",
        "SELECT a::nothing<int>",
        "SELECT a RLIKE b",
        "SELECT a DIV b",
        "SELECT {d '2020-01-01'}",
        "SELECT a FROM t LIMIT 1, 2",
        "SELECT a FROM t LIMIT 1 BY b",
        "SELECT a FROM t GROUP BY ALL",
        "SELECT a FROM t WITH (NOLOCK)",
        "SELECT a FROM t FOR JSON AUTO",
        "SELECT a FROM t1 UNION BY NAME SELECT a FROM t2",
        "SELECT a user FROM t",
        "SELECT a FROM t AS user",
        "SELECT a FROM user",
        "SELECT select FROM t",
        "SELECT current_role.a FROM t, u current_role",
        "SELECT 1 FETCH FIRST (1)",
        "SELECT 1 FETCH FIRST (1) ROWS",
        "SELECT 1 FETCH FIRST (1 ROWS ONLY",
        "SELECT a!",
        "SELECT !a",
    ] {
        assert!(facts(text).is_err(), "{text}: {:?}", facts(text));
    }
    // With AS any word is a name.
    assert!(facts("SELECT a AS user, b AS select, c AS isnull FROM t").is_ok());
    assert_eq!(facts("SELECT a ISNULL, b NOTNULL FROM t").unwrap().aliases, Vec::<String>::new());
}

#[test]
fn sources_and_aliases_are_named() {
    let facts = facts("SELECT a.x FROM t a, (SELECT y AS z, lower(w) FROM u) b, f(1) c").unwrap();
    let source = |name: &str| facts.sources.iter().find(|(n, _)| n == name).map(|(_, kind)| *kind);
    assert_eq!(source("a"), Some(SourceKind::Relation(0)));
    assert_eq!(source("u"), Some(SourceKind::Relation(1)));
    assert_eq!(source("b"), Some(SourceKind::Derived));
    assert_eq!(source("c"), Some(SourceKind::Function(1)));
    assert_eq!(source("t"), None);
    for made_up in ["z", "lower", "w", "c"] {
        assert!(facts.aliases.iter().any(|a| a == made_up), "{made_up}");
    }
    assert!(!facts.aliases.iter().any(|a| a == "x"));
}

#[test]
fn columns_that_the_outermost_query_names_are_seen_by_nobody() {
    let aliases = |text: &str| facts(text).unwrap().aliases;
    assert_eq!(aliases("SELECT a AS b FROM t ORDER BY b"), [""; 0]);
    assert_eq!(aliases("SELECT a AS b FROM t UNION SELECT c AS d FROM t"), [""; 0]);
    assert_eq!(aliases("SELECT a AS b FROM t WHERE EXISTS (SELECT c AS d FROM t)"), ["d"]);
    assert_eq!(aliases("(SELECT a AS b FROM t) ORDER BY b"), ["b"]);
    assert_eq!(aliases("WITH x AS (SELECT a AS b FROM t) SELECT b AS c FROM x"), ["b"]);
}

#[test]
fn casts_know_their_operand() {
    let operand = |text: &str| facts(text).unwrap().casts.into_iter().next().map(|cast| cast.operand);
    let column = |name: &str| Operand::Column { qualifier: None, name: name.to_owned() };
    for (text, expected) in [
        ("SELECT 'a'::date", Operand::Literal),
        ("SELECT date 'a'", Operand::Literal),
        ("SELECT $1::date", Operand::Parameter),
        ("SELECT (a)::date", column("a")),
        ("SELECT CAST(a AS date)", column("a")),
        ("SELECT (a || b)::date", Operand::Other),
        ("SELECT (a - b)::date", Operand::Arithmetic(vec![column("b"), column("a")])),
        ("SELECT (a * b + 1)::date", Operand::Arithmetic(vec![Operand::Literal, Operand::Other])),
        ("SELECT coalesce(a, 'x')::date", Operand::OneOf(vec![column("a"), Operand::Literal])),
        ("SELECT f(a)::date", Operand::Result(Name::plain("f"))),
        ("SELECT (SELECT 'a')::date", Operand::Other),
        ("SELECT (ARRAY['a'])[1]::date", Operand::Other),
        ("SELECT CASE WHEN true THEN 'a' END::date", Operand::Other),
    ] {
        assert_eq!(operand(text), Some(expected), "{text}");
    }
}

#[test]
fn modifications_locks_and_into_are_seen_at_any_depth() {
    assert!(facts("SELECT 1 WHERE a IN (SELECT 1 FROM t FOR UPDATE)").unwrap().locking);
    assert!(facts("WITH a AS (WITH b AS (DELETE FROM t RETURNING 1) SELECT * FROM b) SELECT 1").unwrap().modifying_cte);
    assert_eq!(facts("SELECT 1 INTO TEMPORARY t").unwrap().into, Some(Into::Temporary));
    assert_eq!(facts("SELECT 1 INTO t UNION SELECT 2").unwrap().into, Some(Into::Table));
    assert!(facts("SELECT 1 FROM t TABLESAMPLE system(1)").unwrap().table_sample);
}

/// Pieces that bite: every quote, comment and prefix, so that random texts are full of edges.
const PIECES: &[&str] = &[
    "SELECT",
    " ",
    "\n",
    "\t",
    "'",
    "''",
    "\"",
    "\\",
    "E'",
    "e'a\\'b'",
    "U&'",
    "u&\"x\"",
    "B'01'",
    "X'",
    "N'",
    "$$",
    "$a$",
    "$1",
    "--",
    "--x\n",
    "/*",
    "*/",
    "/* x */",
    "/**/",
    ";",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "..",
    "::",
    ":=",
    "a",
    "\u{e9}",
    "\"a\"",
    "1",
    "1.5",
    "1e",
    "+",
    "-",
    "*",
    "/",
    "<",
    ">",
    "=",
    "@",
    "#",
    "~",
    "now",
    "FROM",
    "t",
    "WHERE",
    "case",
    "END",
    "AS",
    "WITH",
    "IN",
    "(SELECT 1)",
    "int",
    "only",
];

fn soup() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, cases: 4000, ..Default::default() })]

    /// Stripping comments changes no token, so two texts of one identity mean the same.
    #[test]
    fn stripping_keeps_every_token(text in soup(), standard: bool) {
        let raws = |text: &str| lex(text, standard).map(|lexed| {
            let mut raws: Vec<String> = (0..lexed.len()).map(|at| lexed.raw(at).to_owned()).collect();
            while raws.last().is_some_and(|last| last == ";") {
                raws.pop();
            }
            raws
        });
        let identity = super::identity::strip(&text, standard).identity.into_owned();
        proptest::prop_assert_eq!(raws(&text), raws(&identity));
        let again = super::identity::strip(&identity, standard).identity.into_owned();
        proptest::prop_assert_eq!(again, identity);
    }

    /// No text panics, and statements are cut from it whole.
    #[test]
    fn no_text_panics(text in soup(), standard: bool) {
        if let Ok(lexed) = lex(&text, standard) {
            for statement in lexed.statements() {
                let _ = query_facts(&statement);
                for at in 0..statement.len() {
                    let _ = (statement.string(at), statement.name(at), statement.parameter(at));
                }
            }
        }
    }
}
