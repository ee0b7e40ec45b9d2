//! What it costs to understand a statement, once, and to find what was understood, of the text or of its template: over the queries that ORMs
//! send, and over the costliest texts within the bounds. Run with `cargo bench --bench plan`; it prints the median and the worst statement too.
//!
//! The catalog is made up: every relation that the statements name is an ordinary table, every function one of PostgreSQL's
//! that is immutable. So all are judged to their end.

#[allow(dead_code)]
#[path = "../tests/grammar/orm.rs"]
mod orm;
#[allow(dead_code)]
#[path = "../tests/grammar/verdict.rs"]
mod verdict;

use criterion::{Criterion, criterion_group, criterion_main};
use sidecache::catalog::{
    Catalog, CatalogVersion, Function, Operator, Parts, Persistence, Relation, RelationKind, Schema, SearchPath,
    SessionState, Storage, Type, TypeKind, Usage, Volatility,
};
use sidecache::route::plan::{Encoding, plan};
use sidecache::route::rules::RouteRules;
use sidecache::session::plans::{Names, Plans, Recent};
use sidecache::sql::template::template;
use sidecache::types::RelationId;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use verdict::Verdict;

const OPERATORS: &str = "= <> < > <= >= + - * / % || ~ ~* !~ !~* ~~ ~~* !~~ !~~* -> ->> #> #>> @> <@ ? ?| ?& && @@ @? #- !! & ^ << >> -|- <<=";

/// The queries, and a catalog in which they mean something.
fn queries() -> (Vec<String>, Catalog) {
    let kept = std::fs::read_to_string(orm::file("verdicts.txt")).expect("a file of this repository");
    let verdicts = kept.lines().filter_map(|line| line.split_once(' ')).map(|(_, line)| Verdict::read(line));
    let mut texts = Vec::new();
    let mut parts = Parts::default();
    for schema in ["pg_catalog", "public", "information_schema"] {
        parts.schemas.push(Schema { name: schema.to_owned(), usage: Usage::Everybody });
    }
    let mut oid = 20_000;
    for (statement, verdict) in orm::statements().into_iter().zip(verdicts) {
        if verdict.is("query") && !verdict.changes() {
            texts.push(statement.text);
        }
        for name in verdict.relations {
            oid += 1;
            let schema = if name.len() > 1 { name[0].clone() } else { "public".to_owned() };
            parts.relations.push(table(oid, &schema, &name[name.len() - 1]));
        }
        for (name, _) in verdict.functions {
            oid += 1;
            parts.functions.push((name[name.len() - 1].clone(), function(oid)));
        }
    }
    let operator = |name: &str| Operator {
        schema: "pg_catalog".to_owned(),
        name: name.to_owned(),
        volatility: Volatility::Immutable,
    };
    parts.operators.extend(OPERATORS.split(' ').map(operator));
    for (oid, name) in [
        (16, "bool"),
        (20, "int8"),
        (21, "int2"),
        (23, "int4"),
        (25, "text"),
        (1043, "varchar"),
        (1700, "numeric"),
        (3802, "jsonb"),
    ] {
        let kind = TypeKind::Base;
        parts.types.push(Type {
            oid,
            schema: "pg_catalog".to_owned(),
            name: name.to_owned(),
            kind,
            array: oid + 5_000,
        });
    }
    (texts, Catalog::new(CatalogVersion(1), parts))
}

fn table(oid: u32, schema: &str, name: &str) -> Relation {
    Relation {
        id: RelationId::new(oid),
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind: RelationKind::Table,
        persistence: Persistence::Permanent,
        storage: Storage::Own,
        row_security: false,
        policies: Vec::new(),
        columns: Vec::new(),
        descendants: Vec::new(),
        definition: None,
        rule_dependencies: Vec::new(),
        has_rules: false,
    }
}

fn function(oid: u32) -> Function {
    Function {
        oid,
        schema: "pg_catalog".to_owned(),
        volatility: Volatility::Immutable,
        security_definer: false,
        built_in: true,
        argument_types: Vec::new(),
        result_types: Vec::new(),
        session_state: SessionState::Kept,
        body: None,
        may_change_catalog: false,
        tells_server: false,
    }
}

/// Texts as long as those may be that are analysed, each made to cost as much as it can.
fn costly() -> Vec<(&'static str, String)> {
    let many = |count: usize, each: &dyn Fn(usize) -> String, between: &str| {
        (0..count).map(each).collect::<Vec<_>>().join(between)
    };
    vec![
        ("conditions", format!("SELECT 1 FROM users WHERE {}", many(2_000, &|n| format!("age<>{n}"), " AND "))),
        ("columns", format!("SELECT {} FROM users", many(2_000, &|n| format!("a{n}.b{n}"), ","))),
        ("relations", format!("SELECT 1 FROM {}", many(2_000, &|n| format!("users u{n}"), ","))),
        (
            "columns of relations",
            format!(
                "SELECT {} FROM {}",
                many(1_000, &|n| format!("u{n}.id"), ","),
                many(1_000, &|n| format!("users u{n}"), ",")
            ),
        ),
        ("labels", format!("SELECT {} FROM users", many(2_000, &|_| "id AS user".to_owned(), ","))),
        ("calls", format!("SELECT {} FROM users", many(1_500, &|n| format!("lower({n})"), ","))),
        ("unions", many(700, &|n| format!("SELECT {n} FROM users"), " UNION ")),
        (
            "members of a CTE",
            format!("WITH {} SELECT 1 FROM users", many(700, &|n| format!("c{n} AS (SELECT 1 FROM users)"), ",")),
        ),
        (
            "parentheses",
            format!(
                "SELECT 1 FROM users WHERE {}",
                many(50, &|n| format!("{}age{}<>{n}", "(".repeat(60), ")".repeat(60)), " AND ")
            ),
        ),
    ]
}

/// A query with literals in the place of its parameters, the first of which can be counted up: so it is a new text each time.
#[derive(Clone)]
struct Counted {
    text: String,
    at: usize,
    count: u32,
}

impl Counted {
    const DIGITS: usize = 9;

    /// Of a query that has a parameter.
    fn of(query: &str) -> Option<Counted> {
        let at = query.find('$')?;
        let mut text = query[..at].to_owned();
        for part in query[at + 1..].split('$') {
            text += "100000000";
            text += part.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        Some(Counted { text, at, count: 100_000_000 })
    }

    fn next(&mut self) -> &str {
        self.count += 1;
        self.text.replace_range(self.at..self.at + Self::DIGITS, &self.count.to_string());
        &self.text
    }
}

fn plans(criterion: &mut Criterion) {
    let (texts, catalog) = queries();
    let path = SearchPath(vec!["public".to_owned()]);
    let once = |text: &str| plan(black_box(text.as_bytes()), &path, true, Encoding::Utf8, &catalog);
    criterion.bench_function("plan/cold, all queries of the ORMs", |b| {
        b.iter(|| texts.iter().for_each(|text| drop(once(text))))
    });
    let (plans, names, mut recent) = (
        Plans::default(),
        Arc::new(Names { path: path.clone(), standard_strings: true, encoding: Encoding::Utf8, ..Names::default() }),
        Recent::default(),
    );
    let known = (&catalog, &RouteRules::default());
    let mut again = |text: &str| plans.plan(black_box(text.as_bytes()), &names, known, &mut recent);
    criterion.bench_function("plan/warm, all queries of the ORMs", |b| {
        b.iter(|| texts.iter().for_each(|text| drop(again(text))))
    });
    criterion.bench_function("plan/warm, one query again", |b| b.iter(|| again(&texts[0])));
    let mut counted: Vec<Counted> = texts.iter().filter_map(|text| Counted::of(text)).collect();
    counted.retain(|counted| once(&counted.text).holds_for_template() && template(&counted.text, true).is_some());
    let same: Vec<String> = counted.iter().map(|counted| counted.text.clone()).collect();
    same.iter().for_each(|text| drop(again(text)));
    criterion.bench_function("plan/cold, queries with literals", |b| {
        b.iter(|| same.iter().for_each(|text| drop(once(text))))
    });
    criterion.bench_function("plan/by template, queries with new literals", |b| {
        b.iter(|| counted.iter_mut().for_each(|counted| drop(again(counted.next()))))
    });
    criterion.bench_function("plan/warm, queries with literals", |b| {
        b.iter(|| same.iter().for_each(|text| drop(again(text))))
    });
    for (name, text) in costly() {
        let planned = once(&text);
        criterion.bench_function(
            &format!(
                "plan/costly: {name}, {} bytes, {}",
                text.len(),
                planned.cache.err().map_or("cached", |r| r.label())
            ),
            |b| {
                b.iter(|| once(&text));
            },
        );
    }
    if std::env::args().any(|argument| argument == "--bench") {
        spread("cold", &texts, &mut |text| drop(once(text)));
        spread("warm", &texts, &mut |text| drop(again(text)));
        spread("cold, with literals", &same, &mut |text| drop(once(text)));
        let mut counted: HashMap<String, Counted> = same.iter().cloned().zip(counted).collect();
        let mut anew = |text: &str| drop(again(counted.get_mut(text).expect("one of them").next()));
        spread("by template, with new literals", &same, &mut anew);
    }
}

/// Prints how the statements differ: each is planned for a while, and counts with its mean.
fn spread(what: &str, texts: &[String], work: &mut dyn FnMut(&str)) {
    let mut each: Vec<(Duration, &str)> = texts
        .iter()
        .map(|text| {
            let rounds = 200;
            let from = Instant::now();
            (0..rounds).for_each(|_| work(text));
            (from.elapsed() / rounds, text.as_str())
        })
        .collect();
    each.sort();
    let at = |share: usize| each[(each.len() - 1) * share / 100].0;
    println!("{what}: {} queries, median {:?}, 95th of a hundred {:?}, most {:?}", each.len(), at(50), at(95), at(100));
}

criterion_group!(benches, plans);
criterion_main!(benches);
