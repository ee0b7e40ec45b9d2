//! What must hold of plans by template: each is, field by field, the plan that the text would have by itself. Over the statements that
//! ORMs send, those of the corpus, and some in which literals stand where they seldom do.

#[path = "../../tests/corpus/mod.rs"]
mod corpus;
#[allow(dead_code)]
#[path = "../../tests/grammar/orm.rs"]
mod orm;

use super::*;
use crate::catalog::{
    CatalogVersion, Column, Function, Operator, Parts, Persistence, Relation, RelationKind, Schema, SessionState,
    Storage, Type, TypeKind, Usage, Volatility,
};
use crate::config::RouteRule;
use crate::sql::facts::{Facts, Name};
use crate::sql::fingerprint::{fingerprint, shape};
use crate::sql::query::facts;
use crate::sql::template::rewritten;
use crate::sql::token::lex;
use crate::types::{RelationId, RouteTo};

/// Literals wherever the grammar has them, and where it has none.
const ODD: &[&str] = &[
    "SELECT * FROM t WHERE id = 17",
    "SELECT * FROM t WHERE due > date '2020-01-01' AND note = 'x'",
    "SELECT date('2020-01-01'), id FROM t WHERE id = 1",
    "SELECT timestamptz(3) '2020-01-01', time '10:00', interval '1' day, interval(3) '1 day' FROM t",
    "SELECT time with time zone '10:00', id FROM t",
    "SELECT 't'::regclass, regclass('t'), CAST('1' AS int4) FROM t WHERE id = 1",
    "SELECT '1'::mood, float(24) '1', id::numeric(10, 2), note::varchar(20), ARRAY[1, 2]::int4[3] FROM t",
    "SELECT id FROM t WHERE id IN (1, 2, 3) ORDER BY 1 LIMIT 10 OFFSET 20",
    "SELECT id FROM t OFFSET 5 ROWS FETCH FIRST 5 ROWS ONLY",
    "SELECT id FROM t FETCH FIRST (5) ROWS WITH TIES",
    "SELECT count(*), 'x' FROM t GROUP BY 2, id HAVING count(*) > 1",
    "SELECT current_setting('app.tenant', true), 'x' FROM t",
    "SELECT note FROM t WHERE note = 'x' AND note = \"current_setting\"('app.a')",
    "SELECT set_config('app.tenant', '5', true)",
    "SELECT set_config('app.tenant', '5', true), 1 FROM t",
    "SELECT nextval('ids'), 1",
    "SELECT pg_advisory_lock(1) FROM t",
    "SELECT now() - interval '1 day', to_char(placed, 'YYYY') FROM t WHERE placed > 'epoch'",
    "SELECT extract('year' FROM placed), extract(year FROM placed) FROM t WHERE id = 1",
    "SELECT note AS 'label' FROM t",
    "SELECT note 'label' FROM t",
    "SELECT 'a' 'b' FROM t",
    "SELECT 'n'\n'ow' FROM t",
    "SELECT 'a'.b, t.'b', 'a'.* FROM t",
    "SELECT (t).'b' FROM t",
    "SELECT * FROM 't', t 'u' WHERE id = 1",
    "SELECT * FROM lower('x') AS u(v) WHERE v = 'x'",
    "SELECT lower(a => 'x', 'b' => 1) FROM t",
    "SELECT note LIKE 'a%' ESCAPE '!', note SIMILAR TO 'a' FROM t",
    "SELECT note COLLATE 'C' = 'x' FROM t",
    "SELECT note COLLATE \"C\" = 'x' FROM t",
    "SELECT substring(note FROM 1 FOR 2), overlay(note PLACING 'x' FROM 1), trim(BOTH 'x' FROM note) FROM t",
    "SELECT position('a' IN note), placed AT TIME ZONE 'UTC', '2020-01-01' AT TIME ZONE 'UTC' FROM t",
    "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM t",
    "SELECT sum(id) OVER (ORDER BY id RANGE BETWEEN '1' PRECEDING AND CURRENT ROW) FROM t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FILTER (WHERE id > 1) FROM t",
    "SELECT CASE id WHEN 1 THEN 'a' ELSE 'b' END, coalesce(note, 'x'), nullif(id, 0), greatest(id, 1) FROM t",
    "SELECT a[1], a[1:2], (a).b, -1, id -5, id@-1, - 1.5 FROM t",
    "SELECT N'x', U&'x', E'x', B'1', X'1', $$x$$, $a$x$a$, .5, 5., 1e5, 1 FROM t",
    "SELECT _utf8 'x', x 'y', bit(3) '101' FROM t",
    "SELECT jsonb '{\"a\": 1}' -> 'a' #> '{a}' ? 'b', note IS JSON FROM t",
    "SELECT * FROM t TABLESAMPLE bernoulli (10) REPEATABLE (5)",
    "SELECT * FROM t WHERE id = 1 FOR UPDATE",
    "SELECT * INTO TEMP x FROM t WHERE id = 1",
    "SELECT 1 INTO 'pg_temp'",
    "SELECT * FROM unknown WHERE id = 1",
    "SELECT * FROM t WHERE ctid = '(0,1)'",
    "SELECT random(), audit(1), 'x' FROM t",
    "SELECT id FROM t WHERE id = 1 UNION ALL SELECT 2 EXCEPT (VALUES (3), (4))",
    "WITH a AS (SELECT 1 AS x), b AS MATERIALIZED (SELECT 'x') SELECT * FROM a, b, t WHERE x = 1",
    "WITH a AS (INSERT INTO t VALUES (1, 'x') RETURNING id) SELECT * FROM a WHERE id = 1",
    "VALUES (1, 'a'), (2, 'b')",
    "(SELECT id FROM t WHERE id = 1)",
    "((VALUES (1)))",
    "TABLE t LIMIT 1",
    "INSERT INTO t VALUES (1, 'x', now()), (2, 'y', '2020-01-01')",
    "INSERT INTO t (id) SELECT nextval('ids') FROM t WHERE id = 1 ON CONFLICT DO NOTHING RETURNING 1",
    "UPDATE t SET note = 'x', id = audit(1) WHERE id = 1",
    "UPDATE pg_settings SET setting = 'x' WHERE name = 'y'",
    "DELETE FROM t WHERE note = 'x' AND current_setting('app.a') = 'y'",
    "DELETE FROM t WHERE U&\"\\0069d\" = 1",
    "MERGE INTO t USING u ON t.id = 1 WHEN MATCHED THEN DELETE",
    "SELECT 1;",
    "SELECT 1 FROM t; SELECT 2",
    "SELECT U&\"d\\0061ta\", 1 FROM t",
    "SELECT 1 FROM ONLY t",
    "SELECT 1 garbage garbage garbage",
    "SELECT \u{c4}rger, 'x' FROM t",
    "SELECT '\u{e4}', 1 FROM t",
    "EXPLAIN SELECT 1 FROM t",
    "PREPARE p AS SELECT 'x'",
    "EXECUTE p(1, 'x')",
    "DECLARE c CURSOR FOR SELECT 1 FROM t",
    "COPY (SELECT 1 FROM t) TO STDOUT",
    "SET app.a = 'x'",
    "SHOW a",
    "BEGIN",
    "CREATE TABLE x (a int DEFAULT 1)",
    "",
];

/// What literals are rewritten to: strings of no account, and all others.
const STRINGS: &[&str] =
    &["'x'", "''", "'O''Neil'", "'2020-01-01'", "'a\\b\"c'", "'nowhere'", "'app.tenant'", "'{1,2}'"];
const OTHER_STRINGS: &[&str] = &[
    "'now'",
    "'today'",
    "'yesterday '",
    "'NOW'",
    "'Tomorrow 10:00'",
    "'[now,infinity)'",
    "'{\"n\\ow\"}'",
    "'it''s now'",
    "'n'\n'ow'",
    "'a' -- b\n'c'",
    "'n''ow'",
    "E'n\\157w'",
    "'n\\157w'",
    "E'\\xff'",
    "U&'\\0061'",
    "U&'now'",
    "N'x'",
    "$$now$$",
    "$$x$$",
    "B'101'",
    "X'1F'",
    "'pg_temp'",
    "'true'",
    "'current_setting'",
    "'\u{e9}'",
];
const NUMBERS: &[&str] = &["1", "0", "007", "2147483648", "9223372036854775807"];
const OTHER_NUMBERS: &[&str] = &[
    "9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999",
    "1.5",
    "0.0",
    "1e5",
    "1.5E-3",
    ".5",
    "5.",
];

/// How many of a text's literals take other values.
const PLACES: usize = 5;

/// One value in so many is tried where not all are.
const SOME: usize = 8;

fn statements() -> Vec<String> {
    let corpus = corpus::statements().into_iter().map(|case| case.sql);
    let orms = orm::statements().into_iter().map(|statement| statement.text);
    let texts: Vec<String> = ODD.iter().map(|text| (*text).to_owned()).chain(corpus).chain(orms).collect();
    // What ORMs send as parameters others write into the text.
    let written = |value: &'static str| {
        move |text: &String| rewritten(text, true, |piece| piece.starts_with('$').then(|| value.to_owned()))
    };
    let mut all = texts.clone();
    all.extend(texts.iter().step_by(4).map(written("1")));
    all.extend(texts.iter().skip(2).step_by(4).map(written("'x'")));
    all.sort();
    all.dedup();
    all
}

/// A catalog in which these texts mean something: what they name, ordinary tables, and functions of PostgreSQL's.
fn catalog(texts: &[String]) -> Catalog {
    let understood = |text: &String| lex(text, true).ok().and_then(|lexed| facts(&lexed).ok());
    let all: Vec<Facts> = texts.iter().filter_map(understood).collect();
    let mut parts = Parts::default();
    for schema in ["pg_catalog", "public", "corpus", "information_schema"] {
        parts.schemas.push(Schema { name: schema.to_owned(), usage: Usage::Everybody });
    }
    let (mut oid, mut seen) = (20_000, HashSet::new());
    for Facts { relations, functions, operators, .. } in all {
        for Name { schema, name } in relations.into_iter().filter(|relation| relation.name != "unknown") {
            let schema =
                schema.unwrap_or_else(|| if name.starts_with("pg_") { "pg_catalog" } else { "public" }.to_owned());
            if seen.insert(format!("relation {schema}.{name}")) {
                oid += 1;
                parts.relations.push(table(oid, schema, name));
            }
        }
        for Name { name, .. } in functions.into_iter().map(|call| call.name) {
            if seen.insert(format!("function {name}")) {
                oid += 1;
                parts.functions.push((name.clone(), function(oid, &name)));
            }
        }
        for Name { name, .. } in operators {
            if seen.insert(format!("operator {name}")) {
                let (schema, volatility) = ("pg_catalog".to_owned(), Volatility::Immutable);
                parts.operators.push(Operator { schema, name, volatility });
            }
        }
    }
    for (oid, name) in [
        (16, "bool"),
        (20, "int8"),
        (23, "int4"),
        (25, "text"),
        (1043, "varchar"),
        (1082, "date"),
        (1083, "time"),
        (1114, "timestamp"),
        (1184, "timestamptz"),
        (1186, "interval"),
        (1266, "timetz"),
        (1700, "numeric"),
        (701, "float8"),
        (2205, "regclass"),
        (3802, "jsonb"),
        (19_001, "mood"),
    ] {
        let schema = if oid < 16_384 { "pg_catalog" } else { "public" }.to_owned();
        parts.types.push(Type { oid, schema, name: name.to_owned(), kind: TypeKind::Base, array: 0 });
    }
    Catalog::new(CatalogVersion(3), parts)
}

fn table(oid: u32, schema: String, name: String) -> Relation {
    let column = |(name, type_oid): (&str, u32)| Column { name: name.to_owned(), type_oid };
    Relation {
        id: RelationId::new(oid),
        schema,
        name,
        kind: RelationKind::Table,
        persistence: Persistence::Permanent,
        storage: Storage::Own,
        row_security: false,
        policies: Vec::new(),
        columns: [("id", 23), ("note", 25), ("placed", 1184), ("due", 1082)].into_iter().map(column).collect(),
        descendants: Vec::new(),
        definition: None,
        rule_dependencies: Vec::new(),
        has_rules: false,
    }
}

fn function(oid: u32, name: &str) -> Function {
    let built_in = name != "audit";
    Function {
        oid: if built_in { oid - 10_000 } else { oid },
        schema: if built_in { "pg_catalog" } else { "public" }.to_owned(),
        volatility: match name {
            "random" | "nextval" | "set_config" | "pg_advisory_lock" | "audit" => Volatility::Volatile,
            "now" | "current_setting" | "to_char" | "regclass" => Volatility::Stable,
            _ => Volatility::Immutable,
        },
        security_definer: false,
        built_in,
        argument_types: Vec::new(),
        result_types: Vec::new(),
        session_state: SessionState::Kept,
        may_change_catalog: !built_in,
        tells_server: false,
        body: None,
    }
}

fn rules() -> RouteRules {
    let text = fingerprint(&shape("SELECT * FROM t WHERE id = 1", true)).to_string();
    let by_text = RouteRule { fingerprint: Some(text), destination: Some(RouteTo::Primary), ..RouteRule::default() };
    let by_table = RouteRule { table: Some("public.t".into()), cache: Some(false), ..RouteRule::default() };
    RouteRules::new(5, &[by_text, by_table])
}

/// The text with other literals: first all of no account, then others in the place of one at a time. An odd text gets all values, any
/// other one in some.
fn variants(text: &str, standard_strings: bool) -> Vec<String> {
    let mut numbers = Vec::new();
    let begins_number = |first: char| first.is_ascii_digit() || first == '.';
    rewritten(text, standard_strings, |piece| {
        numbers.push(piece.starts_with(begins_number));
        None
    });
    let with = |turn: usize, place: Option<(usize, &str)>| {
        let mut here = 0;
        rewritten(text, standard_strings, |piece| {
            let values = if numbers[here] { NUMBERS } else { STRINGS };
            let harmless = values[(here + turn) % values.len()];
            let is_parameter = piece.strip_prefix('$').is_some_and(|rest| rest.starts_with(begins_number));
            let value = place.filter(|(place, _)| *place == here).map_or(harmless, |(_, value)| value);
            here += 1;
            (!is_parameter).then(|| value.to_owned())
        })
    };
    let mut all: Vec<String> = (0..3).map(|turn| with(turn, None)).collect();
    let (from, step) = if ODD.contains(&text) { (0, 1) } else { (text.len() % SOME, SOME) };
    for (place, is_number) in numbers.iter().take(PLACES).enumerate() {
        let [some, others] = if *is_number { [NUMBERS, OTHER_NUMBERS] } else { [STRINGS, OTHER_STRINGS] };
        // A number in the place of a string, and the reverse, is another template.
        let strange = if *is_number { "'x'" } else { "1" };
        let values = some.iter().chain(others).chain([&strange]).skip(from).step_by(step);
        all.extend(values.map(|value| with(0, Some((place, value)))));
    }
    all.sort();
    all.dedup();
    all
}

/// Holds each variant that is found by template against its own plan; gives how many were found, and how many of these may be cached.
fn compared(texts: &[String], catalog: &Catalog, standard_strings: bool) -> [usize; 3] {
    let (plans, rules, mut recent) = (Plans::default(), rules(), Recent::default());
    let path = SearchPath(vec!["public".to_owned()]);
    let names = Arc::new(Names { path, standard_strings, ..Names::default() });
    let (mut all, mut found, mut cached) = (0, 0, 0);
    for text in texts {
        plans.plan(text.as_bytes(), &names, (catalog, &rules), &mut recent);
        for variant in variants(text, standard_strings) {
            all += 1;
            let of_template = names.template(variant.as_bytes());
            if let Some((readable, template)) = of_template
                && let Some(plan) = plans.alike(readable, &template, &names, (catalog, &rules))
            {
                let own = made(variant.as_bytes(), &names, (catalog, &rules));
                assert_eq!(format!("{plan:#?}"), format!("{own:#?}"), "{variant}");
                found += 1;
                cached += usize::from(plan.cache.is_ok());
            } else {
                // From now on it is one that others may be found by.
                plans.plan(variant.as_bytes(), &names, (catalog, &rules), &mut recent);
            }
        }
    }
    [all, found, cached]
}

#[test]
fn c22_a_plan_by_template_is_the_plan_of_the_text_itself() {
    let texts = statements();
    let [all, found, cached] = compared(&texts, &catalog(&texts), true);
    println!("{} texts, {all} variants, {found} found by template, {cached} of them may be cached", texts.len());
    assert!(found * 3 > all && cached * 6 > all, "{all} variants, {found} found, {cached} cacheable");
}

#[test]
fn c22_so_it_is_where_backslashes_escape() {
    let texts: Vec<String> = ODD.iter().map(|text| (*text).to_owned()).collect();
    let [all, found, _] = compared(&texts, &catalog(&texts), false);
    assert!(found * 20 > all, "{all} variants, {found} found");
}
