//! The statements of PostgreSQL's regression suite: what its tests send, as the server logs it while they run, planned in the
//! catalog that they leave behind. Tables that they drop again are put back into it, as ordinary ones: more statements
//! then pass for reads than any server would let pass, so that more are compared.

use super::verdict::{Verdict, ask};
use super::{Known, Rows, compared};
use crate::harness::cluster::Cluster;
use crate::regress;
use sidecache::catalog::QUERIES;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Plays the suite; the cluster that it ran on, and every statement that the server took, each once.
fn played() -> (Cluster, Vec<String>) {
    let mut build = regress::cluster();
    for setting in
        ["logging_collector = on", "log_destination = 'jsonlog'", "log_statement = 'all'", "log_rotation_size = 0"]
    {
        build = build.setting(setting);
    }
    let cluster = build.start();
    let results = regress::results(&regress::suite(), &cluster, false);
    assert!(results.len() > 150, "the suite has run: {} tests", results.len());
    let mut texts = BTreeSet::new();
    for file in fs::read_dir(cluster.primary.data().join("log")).expect("the server logs there") {
        let log = fs::read(file.expect("its entry").path()).expect("a log");
        for line in String::from_utf8_lossy(&log).lines() {
            // Texts in other encodings make lines that are no JSON.
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let is_ours = line["dbname"] == "regression";
            if let Some(text) = line["message"].as_str().filter(|_| is_ours).and_then(|m| m.strip_prefix("statement: "))
            {
                texts.insert(text.to_owned());
            }
        }
    }
    (cluster, texts.into_iter().collect())
}

/// Adds what the statements name and the catalog has not, to the results of the catalog's queries. Casts that users made, for
/// which nothing at all would be cached, are taken out.
fn put_back(results: &mut [Rows], verdicts: &[Verdict]) {
    let of_casts = QUERIES.iter().position(|query| query.contains("FROM pg_cast")).expect("one asks for casts");
    results[of_casts].clear();
    let [schemas, relations, ..] = results else { panic!("{} catalog queries", QUERIES.len()) };
    let text = |column: &Option<String>| column.clone().unwrap_or_default();
    let mut oids: BTreeMap<String, String> = schemas.iter().map(|row| (text(&row[1]), text(&row[0]))).collect();
    let mut there: BTreeSet<(String, String)> = relations.iter().map(|row| (text(&row[1]), text(&row[2]))).collect();
    let mut next = 4_000_000_000_u64;
    for name in verdicts.iter().flat_map(|verdict| &verdict.relations) {
        let (name, schema) = (name[name.len() - 1].clone(), name.iter().rev().nth(1).map_or("public", String::as_str));
        // What is found in pg_catalog is found there first.
        if there.contains(&(oids["pg_catalog"].clone(), name.clone())) && schema == "public" {
            continue;
        }
        if !oids.contains_key(schema) {
            next += 1;
            schemas.push(vec![Some(next.to_string()), Some(schema.to_owned()), Some("t".to_owned())]);
            oids.insert(schema.to_owned(), next.to_string());
        }
        let oid = oids[schema].clone();
        if there.insert((oid.clone(), name.clone())) {
            next += 1;
            let row = [&next.to_string(), &oid, &name, "r", "p", "f", "f", "own"];
            relations.push(row.into_iter().map(|column| Some(column.to_owned())).collect());
        }
    }
}

#[test]
#[ignore = "minutes long, and its statements are downloaded: make test-all"]
fn the_regression_suite_is_never_taken_for_less_than_postgresql_takes_it_for() {
    let (cluster, texts) = played();
    let lines = ask(texts.iter().map(String::as_str));
    assert_eq!(lines.len(), texts.len());
    let verdicts: Vec<Verdict> = lines.iter().map(|line| Verdict::read(line)).collect();
    let mut server = cluster.primary.connect_to("regression");
    let known = Known::load(&mut server, |results| put_back(results, &verdicts));
    let statements = texts.iter().map(String::as_str).zip(&verdicts);
    let (all, queries, wrong) = compared("PostgreSQL's suite", &known, statements);
    assert!(all.all > 15_000 && queries.all > 8_000, "{} statements, {} queries", all.all, queries.all);
    assert!(wrong.is_empty(), "{} contradictions\n{}", wrong.len(), wrong.join("\n"));
}
