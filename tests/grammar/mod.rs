//! Our reading of statements against PostgreSQL's own grammar (`tests/oracle`), over the statements that ORMs send and over those of
//! PostgreSQL's regression suite. What must hold is one-sided: we may understand less than PostgreSQL, never something else.
//!
//! The grammar is asked only by `make test-all`, which builds it. What it said of the ORMs' statements is kept in
//! `tests/corpus/orm/verdicts.txt`, so that every other run compares with that.

mod orm;
mod report;
mod verdict;

use crate::harness::cluster::Cluster;
use crate::harness::wire::{Batch, Wire};
use report::Report;
use sidecache::catalog::{Catalog, CatalogVersion, QUERIES, SearchPath};
use sidecache::route::plan::{Encoding, Kind, Plan, Recipe, plan};
use sidecache::sql::facts::Name;
use sidecache::sql::query;
use sidecache::sql::token::lex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use verdict::{Verdict, ask};

mod suite;

/// One result of the catalog's queries.
type Rows = Vec<Vec<Option<String>>>;

/// Functions that PostgreSQL calls volatile and that change nothing: they are not cached, but may run anywhere.
const HARMLESS: &[&str] =
    &["clock_timestamp", "timeofday", "random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7"];

/// Functions that tell the time, by `pg_proc` merely stable.
const TELL_TIME: &[&str] = &["now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday"];

/// A function, as far as a call can tell it from others of its name.
struct Overload {
    /// The fewest and the most arguments that it takes.
    arguments: [usize; 2],
    volatile: bool,
}

/// What a server knows.
struct Known {
    catalog: Catalog,
    functions: BTreeMap<String, Vec<Overload>>,
    types: BTreeSet<String>,
}

impl Known {
    fn load(server: &mut Wire, change: impl FnOnce(&mut Vec<Rows>)) -> Known {
        let rows = server.rows(
            "SELECT proname, pronargs - pronargdefaults - (provariadic <> 0)::int, \
             CASE WHEN provariadic <> 0 THEN 9999 ELSE pronargs END, provolatile = 'v' FROM pg_proc",
        );
        let mut functions: BTreeMap<String, Vec<Overload>> = BTreeMap::new();
        for row in rows {
            let [name, fewest, most, volatile] = row.try_into().expect("four columns");
            let [fewest, most] = [fewest, most].map(|n| n.expect("a number").parse().expect("a number"));
            let overload = Overload { arguments: [fewest, most], volatile: volatile.as_deref() == Some("t") };
            functions.entry(name.expect("a name")).or_default().push(overload);
        }
        let types = server.rows("SELECT typname FROM pg_type").into_iter().flatten().flatten().collect();
        server.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        server.rows("SET LOCAL search_path = pg_catalog");
        let mut results: Vec<Rows> = QUERIES.iter().map(|query| server.rows(query)).collect();
        server.rows("COMMIT");
        change(&mut results);
        let catalog = Catalog::build(CatalogVersion(1), &results).expect("PostgreSQL's own rows make a catalog");
        Known { catalog, functions, types }
    }

    fn plan(&self, text: &str) -> Plan {
        plan(text.as_bytes(), &SearchPath(vec!["public".to_owned()]), true, Encoding::Utf8, &self.catalog)
    }

    /// What PostgreSQL's grammar found and this plan denies.
    fn contradiction(&self, text: &str, verdict: &Verdict) -> Option<String> {
        let plan = self.plan(text);
        let is_read = plan.kind == Kind::Read;
        if plan.cache.is_ok() && !is_read {
            return Some("cached, and no read".to_owned());
        }
        if !is_read {
            return None;
        }
        if verdict.is("unparsed") {
            // PostgreSQL will say so itself, whoever is asked; nothing of it is ever stored.
            return None;
        }
        let may_read = |kind: &String| ["query", "explain", "copy", "declare"].contains(&kind.as_str());
        if !verdict.kinds.iter().all(may_read) || verdict.changes() {
            return Some(format!("a read to us, {verdict:?} to PostgreSQL"));
        }
        for (function, arguments) in &verdict.functions {
            let name = function.last().expect("a function has a name");
            let fits = |overload: &Overload| (overload.arguments[0]..=overload.arguments[1]).contains(arguments);
            let volatile =
                |overloads: &Vec<Overload>| overloads.iter().any(|overload| overload.volatile && fits(overload));
            let told = match self.functions.get(name).map(volatile) {
                None if !self.types.contains(name) => Some("unknown"),
                Some(true) if plan.cache.is_ok() || !HARMLESS.contains(&name.as_str()) => Some("volatile"),
                _ if plan.cache.is_ok() && TELL_TIME.contains(&name.as_str()) => Some("of the clock"),
                _ => None,
            };
            if let Some(told) = told {
                return Some(format!("a read with {name}, which is {told}"));
            }
        }
        if plan.cache.is_ok() && verdict.time {
            return Some("cached, and asks for the time".to_owned());
        }
        match &plan.cache {
            Ok(recipe) => self.missing(recipe, verdict),
            Err(_) => None,
        }
    }

    /// A relation that the tree holds and the recipe does not.
    fn missing(&self, recipe: &Recipe, verdict: &Verdict) -> Option<String> {
        let path = SearchPath(vec!["public".to_owned()]);
        let missed = verdict.relations.iter().find(|name| {
            let schema = (name.len() > 1).then(|| name[name.len() - 2].as_str());
            let relation = self.catalog.relation(schema, &name[name.len() - 1], &path);
            relation.is_none_or(|relation| !recipe.relations.contains(&relation.id))
        });
        missed.map(|name| format!("without {name:?}"))
    }
}

/// What PostgreSQL's grammar found in a query and our facts lack, whatever any catalog says.
fn unseen(text: &str, verdict: &Verdict) -> Option<String> {
    let facts = query::facts(&lex(text, true).ok()?).ok()?;
    let [modifies, locking, into] = [facts.modifies, facts.locking, facts.into.is_some()];
    if verdict.is("unparsed") || modifies {
        return None;
    }
    if (verdict.writes && !modifies) || (verdict.locks && !locking) || (verdict.into && !into) {
        return Some(format!("{verdict:?}"));
    }
    let parts = |name: &Name| name.schema.iter().chain([&name.name]).cloned().collect::<Vec<_>>();
    let relations: BTreeSet<Vec<String>> = facts.relations.iter().map(parts).collect();
    if let Some(relation) = verdict.relations.difference(&relations).next() {
        return Some(format!("relation {relation:?}"));
    }
    let called: BTreeSet<&str> = facts.functions.iter().map(|call| call.name.name.as_str()).collect();
    let same = |name: &str| match name {
        "extract" => "date_part",
        "similar_escape" => "similar_to_escape",
        _ => "",
    };
    let seen = |(name, _): &&(Vec<String>, usize)| {
        let name = name.last().expect("a function has a name").as_str();
        called.contains(name) || called.contains(same(name))
    };
    verdict.functions.iter().find(|name| !seen(name)).map(|name| format!("function {name:?}"))
}

fn is_query(verdict: &Verdict) -> bool {
    verdict.is("query") && !verdict.changes()
}

/// Compares, prints the figures, and gives what contradicts PostgreSQL.
fn compared<'a>(
    what: &str,
    known: &Known,
    statements: impl Iterator<Item = (&'a str, &'a Verdict)>,
) -> (Report, Report, Vec<String>) {
    let [mut all, mut queries] = [Report::default(), Report::default()];
    let mut wrong = Vec::new();
    for (text, verdict) in statements {
        let plan = known.plan(text);
        all.add(&plan);
        if is_query(verdict) {
            queries.add(&plan);
            if std::env::var_os("SIDECACHE_REFUSED").is_some()
                && plan.is_not_understood()
                && let Err(refusal) = plan.cache
            {
                println!("{}: {}", refusal.label(), text.replace('\n', " "));
            }
        }
        let contradictions = [known.contradiction(text, verdict), unseen(text, verdict)];
        wrong.extend(contradictions.into_iter().flatten().map(|why| format!("{why}: {text}")));
    }
    all.print(&format!("{what}, statements"));
    queries.print(&format!("{what}, queries that only read"));
    (all, queries, wrong)
}

/// A database with the ORMs' tables, and a connection to it.
fn orm_server(label: &str) -> Wire {
    let cluster = Cluster::shared();
    let database = cluster.database(label);
    let mut server = cluster.connect("postgres", &database);
    server.rows(&orm::schema());
    server
}

/// Identity of a text among the kept verdicts (FNV-1a, which no library will change).
fn mark(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

fn kept_verdicts() -> BTreeMap<String, Verdict> {
    let kept = fs::read_to_string(orm::file("verdicts.txt")).expect("a file of this repository");
    let lines = kept.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(mark, line)| (mark.to_owned(), Verdict::read(line))).collect()
}

/// A corpus of invented statements would prove nothing.
#[test]
fn every_statement_of_the_orms_is_valid_to_postgresql() {
    let mut server = orm_server("grammar_valid");
    let statements = orm::statements();
    assert!(statements.len() >= 500, "{} statements", statements.len());
    for statement in &statements {
        let said = server.run(&Batch::new().parse("", &statement.text, &[]).sync()).expect("a server that lives");
        let error = said.iter().find(|frame| frame.tag == b'E').and_then(|frame| frame.field(b'M'));
        assert_eq!(error, None, "{}: {}", statement.name, statement.text);
    }
}

#[test]
fn what_orms_send_is_never_taken_for_less_than_postgresql_takes_it_for() {
    let known = Known::load(&mut orm_server("grammar_orm"), |_| {});
    let (statements, verdicts) = (orm::statements(), kept_verdicts());
    let verdict = |text: &str| {
        verdicts.get(&mark(text)).unwrap_or_else(|| panic!("no verdict is kept; run `make test-all`: {text}"))
    };
    let texts = statements.iter().map(|statement| (statement.text.as_str(), verdict(&statement.text)));
    let (all, queries, wrong) = compared("ORMs", &known, texts);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for report in [all, queries] {
        assert!(report.understood * 100 >= report.all * 99, "{} of {} are understood", report.understood, report.all);
    }
}

#[test]
#[ignore = "needs the grammar, whose build needs libclang: make test-all"]
fn the_kept_verdicts_are_those_of_postgresqls_grammar() {
    let statements = orm::statements();
    let lines = ask(statements.iter().map(|statement| statement.text.as_str()));
    assert_eq!(lines.len(), statements.len());
    let mut table = String::new();
    for (statement, line) in statements.iter().zip(lines) {
        writeln!(table, "{} {line}", mark(&statement.text)).expect("a string has room");
    }
    if fs::read_to_string(orm::file("verdicts.txt")).ok().as_deref() != Some(&table) {
        let new = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracle/verdicts.txt");
        fs::write(&new, table).expect("a file in target");
        panic!("tests/corpus/orm/verdicts.txt is not what the grammar says: {} is", new.display());
    }
}
