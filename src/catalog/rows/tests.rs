//! Rows as PostgreSQL gives them, and rows that it never would: the former become a catalog, the latter an error.

use super::*;
use crate::catalog::{Catalog, CatalogVersion, SessionState};

type Rows = Vec<Vec<Option<String>>>;

fn rows(text: &[&[&str]]) -> Rows {
    text.iter().map(|row| row.iter().map(|&column| (column != "NULL").then(|| column.to_owned())).collect()).collect()
}

/// `p` with partitions `p1` and `p2`, the latter itself partitioned with `p21`; a view on `p`.
fn results() -> Vec<Rows> {
    vec![
        rows(&[&["11", "pg_catalog", "t"], &["2200", "public", "f"]]),
        rows(&[
            &["1259", "11", "pg_class", "r", "p", "f", "f", "own"],
            &["101", "2200", "p", "p", "p", "t", "f", "own"],
            &["102", "2200", "p1", "r", "u", "f", "t", "method"],
            &["103", "2200", "p2", "p", "p", "f", "f", "shards"],
            &["104", "2200", "p21", "f", "p", "f", "f", "compressed"],
            &["105", "2200", "v", "v", "p", "f", "f", "own"],
            &["106", "2200", "s", "S", "p", "f", "f", "own"],
        ]),
        rows(&[&["101", r#"[["id", 23], ["we\"ird\n, é", 25]]"#]]),
        rows(&[&["101", "(owner = CURRENT_USER)"], &["101", "NULL"]]),
        rows(&[&["101", "102"], &["101", "103"], &["103", "104"]]),
        rows(&[&["105", " SELECT 1;"]]),
        rows(&[&["105", "101"]]),
        rows(&[
            &["100", "11", "f", "s", "f", "", "f", "t", "NULL", "NULL", "f", "", "f", "f", "f"],
            &[
                "20000",
                "2200",
                "g",
                "i",
                "t",
                "23 25",
                "t",
                "f",
                "SELECT 1",
                "SET Acme.tenant = 1",
                "t",
                "2249 25 1266",
                "t",
                "f",
                "t",
            ],
        ]),
        rows(&[&["11", "=", "i"]]),
        rows(&[
            &["23", "11", "int4", "b", "1007", "0", "0"],
            &["1007", "11", "_int4", "b", "0", "23", "0"],
            &["20001", "2200", "positive", "d", "20002", "0", "23"],
        ]),
        rows(&[&["cast", "mood to integer", "", "f"], &["cast", "outline to shape", "20003 20004", "t"]]),
        rows(&[&["alice", "App.Tenant=a=b"], &["", "app.tenant=everybody's"]]),
        rows(&[&["101", "-5", "36893488147419103232"], &["0", "7", "0"]]),
        rows(&[&["1266"], &["20002"]]),
    ]
}

fn build(results: &[Rows]) -> Result<Catalog, BuildError> {
    Catalog::build(CatalogVersion(7), results)
}

#[test]
fn c13_rows_become_relations_with_all_their_descendants() {
    let catalog = build(&results()).unwrap();
    assert_eq!(catalog.version, CatalogVersion(7));
    let parent = &catalog.relations[&RelationId::new(101)];
    assert_eq!(parent.descendants, [102, 103, 104].map(RelationId::new));
    assert_eq!((parent.kind, parent.row_security), (RelationKind::Partitioned, true));
    let columns: Vec<_> = parent.columns.iter().map(|column| (column.name.as_str(), column.type_oid)).collect();
    assert_eq!(columns, [("id", 23), ("we\"ird\n, é", 25)]);
    assert_eq!(catalog.relations[&RelationId::new(103)].descendants, [RelationId::new(104)]);
    let leaf = &catalog.relations[&RelationId::new(102)];
    assert_eq!((leaf.persistence, leaf.has_rules), (Persistence::Unlogged, true));
    assert!(leaf.descendants.is_empty());
    let storage = [101, 102, 103, 104].map(|oid| catalog.relations[&RelationId::new(oid)].storage);
    assert_eq!(storage, [Storage::Own, Storage::AccessMethod, Storage::Shards, Storage::Compressed]);
    assert_eq!(parent.policies, [Some("(owner = CURRENT_USER)".to_owned()), None]);
    assert!(leaf.policies.is_empty());
}

#[test]
fn c15_rows_become_what_sessions_start_with() {
    let catalog = build(&results()).unwrap();
    assert_eq!(catalog.default_setting("alice", "app.tenant"), Some("a=b"));
    assert_eq!(catalog.default_setting("bob", "app.tenant"), Some("everybody's"));
    assert_eq!(catalog.default_setting("bob", "app.other"), None);
}

#[test]
fn c15_writes_may_move_settings_where_a_function_that_does_runs_unnamed() {
    assert_eq!(build(&results()).unwrap().writes, Writes::KeepSettings, "one moves and is named, one is not and keeps");
    let mut trigger = results();
    trigger[7][1][7] = Some("t".into());
    assert_eq!(build(&trigger).unwrap().writes, Writes::MayMoveUntold);
    trigger[7][1][10] = Some("f".into());
    assert_eq!(build(&trigger).unwrap().writes, Writes::MayMoveSettings);
    let names = |names: std::ops::Range<u32>| names.map(|n| format!("set app.a{n} = 1;")).collect::<String>();
    trigger[7][1][9] = Some(names(0..64));
    let many = build(&trigger).unwrap();
    assert_eq!((many.writes, many.settings_named.len()), (Writes::MayMoveSettings, 64));
    trigger[7][1][9] = Some(names(0..65));
    let more = build(&trigger).unwrap();
    assert_eq!((more.writes, more.settings_named.len()), (Writes::MayMoveUntold, 64));
}

#[test]
fn c15_settings_that_sources_name_are_told() {
    assert_eq!(build(&results()).unwrap().settings_named[..], ["acme.tenant".to_owned()]);
}

#[test]
fn c11_rows_become_views() {
    let catalog = build(&results()).unwrap();
    let view = &catalog.relations[&RelationId::new(105)];
    assert_eq!(view.definition.as_deref(), Some(" SELECT 1;"));
    assert_eq!(view.rule_dependencies, [RelationId::new(101)]);
    let mut dropped = results();
    dropped[5][0][1] = None;
    assert_eq!(build(&dropped).unwrap().relations[&RelationId::new(105)].definition, None);
}

#[test]
fn c12_rows_become_functions_operators_and_types() {
    let catalog = build(&results()).unwrap();
    let path = crate::catalog::SearchPath(vec!["public".into()]);
    let [g] = catalog.functions(None, "g", &path)[..] else { panic!("one g") };
    assert_eq!((g.volatility, g.security_definer, g.built_in), (Volatility::Immutable, true, false));
    assert_eq!((g.argument_types.as_slice(), g.session_state), (&[23, 25][..], SessionState::MayMove));
    let mut lasting = results();
    lasting[7][1][13] = Some("t".to_owned());
    let lasting = build(&lasting).unwrap();
    assert_eq!(lasting.functions(None, "g", &path)[0].session_state, SessionState::MayMoveLastingly);
    assert_eq!(g.body.as_deref(), Some("SELECT 1"));
    assert_eq!(g.result_types, [2249, 25, 1266]);
    assert!(catalog.functions(None, "f", &path)[0].built_in);
    assert_eq!(catalog.operator(None, "=", &path), Some(Volatility::Immutable));
    assert_eq!(catalog.type_of(20_001).unwrap().kind, TypeKind::Domain { base: 23 });
    assert_eq!(catalog.type_of(1007).unwrap().kind, TypeKind::Array { element: 23 });
    assert_eq!([1266, 20_002, 23].map(|oid| catalog.is_unsteady(oid)), [true, true, false]);
    assert!(catalog.has_unsafe_casts() && catalog.may_write_unnamed());
    assert_eq!(catalog.unsafe_casts(), ["cast mood to integer"]);
    assert_eq!([20_003, 20_004, 20_002].map(|oid| catalog.is_cast_unsafely(oid)), [true, true, false]);
    assert!(catalog.is_unsteady(20_004));
    let mut safe = results();
    safe[10].clear();
    assert!(!build(&safe).unwrap().has_unsafe_casts());
}

#[test]
fn every_column_that_does_not_read_is_an_error() {
    for query in 0..QUERIES.len() {
        let width = results()[query][0].len();
        for column in 0..width {
            for text in [None, Some("\u{1}?")] {
                let mut wrong = results();
                wrong[query][0][column] = text.map(str::to_owned);
                let found = build(&wrong).err();
                let expected = Some(BuildError::Malformed { query, row: 0, column });
                // A name may be any text, and so may a definition, which may also be missing.
                let name = (column == 2 && [1, 7, 9].contains(&query)) || (column == 1 && [0, 8].contains(&query));
                let source = [(3, 1), (5, 1), (7, 8), (7, 9)].contains(&(query, column));
                let role = (query, column) == (11, 0);
                let free = source || (text.is_some() && (name || role || query == 10 && column < 2));
                assert_eq!(found, if free { None } else { expected }, "query {query}, column {column}, {text:?}");
            }
        }
        let mut narrow = results();
        narrow[query][0].pop();
        assert_eq!(build(&narrow).err(), Some(BuildError::Malformed { query, row: 0, column: width }));
    }
}

#[test]
fn what_refers_to_nothing_is_an_error() {
    for (query, column) in [(1, 1), (2, 0), (3, 0), (4, 0), (4, 1), (5, 0), (6, 0), (6, 1), (7, 1), (8, 0), (9, 1)] {
        let mut wrong = results();
        wrong[query][0][column] = Some("99".into());
        assert_eq!(build(&wrong).err(), Some(BuildError::Dangling { query, row: 0, oid: 99 }));
    }
    assert_eq!(build(&results()[..12]).err(), Some(BuildError::Results { given: 12 }));
    assert_eq!(build(&[]).err(), Some(BuildError::Results { given: 0 }));
}

#[test]
fn a_circle_of_heirs_ends() {
    let mut circle = results();
    circle[4].extend(rows(&[&["104", "101"]]));
    let catalog = build(&circle).unwrap();
    assert_eq!(catalog.relations[&RelationId::new(101)].descendants, [102, 103, 104].map(RelationId::new));
}
