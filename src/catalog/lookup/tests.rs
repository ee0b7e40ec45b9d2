//! Names as PostgreSQL resolves them: search paths, shadowing, and what is not to be told apart.

use super::*;
use crate::catalog::*;

fn path(schemas: &[&str]) -> SearchPath {
    SearchPath(schemas.iter().map(|&schema| schema.to_owned()).collect())
}

fn relation(oid: u32, schema: &str, name: &str) -> Relation {
    Relation {
        id: RelationId::new(oid),
        schema: schema.into(),
        name: name.into(),
        kind: RelationKind::Table,
        persistence: Persistence::Permanent,
        storage: Storage::Own,
        row_security: false,
        policies: Vec::new(),
        columns: vec![],
        descendants: vec![],
        definition: None,
        rule_dependencies: vec![],
        has_rules: false,
    }
}

fn function(oid: u32, schema: &str, volatility: Volatility) -> (String, Function) {
    let function = Function {
        oid,
        schema: schema.into(),
        volatility,
        security_definer: false,
        built_in: oid < 16384,
        argument_types: vec![23],
        result_types: vec![],
        session_state: SessionState::Kept,
        body: None,
        may_change_catalog: false,
        tells_server: false,
    };
    ("f".into(), function)
}

/// Without arguments.
fn constant(oid: u32, schema: &str) -> (String, Function) {
    let (_, function) = function(oid, schema, Volatility::Volatile);
    ("h".into(), Function { argument_types: vec![], ..function })
}

fn r#type(oid: u32, schema: &str, name: &str, array: u32) -> Type {
    Type { oid, schema: schema.into(), name: name.into(), kind: TypeKind::Base, array }
}

fn operator(schema: &str, volatility: Volatility) -> Operator {
    Operator { schema: schema.into(), name: "=".into(), volatility }
}

/// `a` and `b` are open to everybody, `closed` to some.
fn catalog() -> Catalog {
    let open = |name: &str| Schema { name: name.into(), usage: Usage::Everybody };
    let closed = Schema { name: "closed".into(), usage: Usage::Some };
    Catalog::new(
        CatalogVersion(1),
        Parts {
            writes: Default::default(),
            named_settings: Default::default(),
            default_settings: Vec::new(),
            versions: Default::default(),
            unsteady_types: Default::default(),
            schemas: vec![open("pg_catalog"), open("a"), open("b"), closed],
            relations: vec![
                relation(1259, "pg_catalog", "pg_class"),
                relation(20_001, "a", "t"),
                relation(20_002, "b", "t"),
                relation(20_003, "b", "only_b"),
                relation(20_004, "b", "pg_class"),
                relation(20_005, "closed", "t"),
                relation(20_006, "closed", "only_closed"),
                relation(20_007, "a", "mood"),
            ],
            functions: vec![
                function(100, "pg_catalog", Volatility::Immutable),
                function(20_010, "a", Volatility::Volatile),
                function(20_011, "b", Volatility::Stable),
                constant(101, "pg_catalog"),
                constant(20_012, "b"),
            ],
            operators: vec![
                operator("pg_catalog", Volatility::Immutable),
                operator("a", Volatility::Volatile),
                operator("b", Volatility::Stable),
                operator("b", Volatility::Immutable),
            ],
            types: vec![
                r#type(23, "pg_catalog", "int4", 1007),
                r#type(18, "pg_catalog", "cstring", 0),
                r#type(20_020, "b", "mood", 20_021),
                r#type(20_022, "b", "integer", 0),
                r#type(20_023, "closed", "int4", 0),
            ],
            unsafe_casts: vec![],
            cast_types: Default::default(),
            casts_write: false,
        },
    )
}

fn found(schema: Option<&str>, name: &str, schemas: &[&str]) -> Option<u32> {
    catalog().relation(schema, name, &path(schemas)).map(|relation| relation.id.oid())
}

#[test]
fn c16_the_first_schema_of_the_path_wins() {
    assert_eq!(found(None, "t", &["a", "b"]), Some(20_001));
    assert_eq!(found(None, "t", &["b", "a"]), Some(20_002));
    assert_eq!(found(None, "only_b", &["a", "b"]), Some(20_003));
    assert_eq!(found(None, "t", &[]), None);
    assert_eq!(found(Some("b"), "t", &["a"]), Some(20_002));
    assert_eq!(found(Some("a"), "only_b", &["b"]), None);
}

#[test]
fn c16_schemas_that_do_not_exist_and_temporary_ones_are_passed_over() {
    assert_eq!(found(None, "t", &["nobody", "pg_temp", "b"]), Some(20_002));
    assert_eq!(found(Some("nobody"), "t", &["a"]), None);
    assert_eq!(found(Some("pg_temp"), "t", &["a"]), None);
}

#[test]
fn c16_pg_catalog_comes_first_unless_the_path_places_it() {
    assert_eq!(found(None, "pg_class", &["b"]), Some(1259));
    assert_eq!(found(None, "pg_class", &["b", "pg_catalog"]), Some(20_004));
    assert_eq!(found(None, "pg_class", &["pg_catalog", "b"]), Some(1259));
}

#[test]
fn c16_nothing_is_found_where_it_depends_on_the_role() {
    assert_eq!(found(None, "t", &["closed", "a"]), None);
    assert_eq!(found(None, "t", &["a", "closed"]), Some(20_001), "a is open, so the role does not matter");
    assert_eq!(found(None, "only_closed", &["a", "closed", "b"]), Some(20_006));
    assert_eq!(found(None, "t", &["closed", "closed"]), Some(20_005), "the same schema twice");
    assert_eq!(found(Some("closed"), "t", &[]), Some(20_005));
}

#[test]
fn c16_toast_tables_could_hide_a_name() {
    let mut parts = Parts::default();
    parts.relations.push(relation(20_001, "a", "pg_toast_1"));
    let catalog = Catalog::new(CatalogVersion(1), parts);
    assert!(catalog.relation(None, "pg_toast_1", &path(&["pg_toast", "a"])).is_none());
    assert!(catalog.relation(Some("a"), "pg_toast_1", &path(&[])).is_some());
}

#[test]
fn c12_every_overload_that_could_be_meant_is_returned() {
    let catalog = catalog();
    let oids = |schema, schemas: &[&str]| -> Vec<u32> {
        catalog.functions(schema, "f", &path(schemas)).iter().map(|function| function.oid).collect()
    };
    assert_eq!(oids(None, &["b"]), [100, 20_011]);
    assert_eq!(oids(None, &["b", "a"]), [100, 20_010, 20_011]);
    assert_eq!(oids(Some("a"), &["b"]), [20_010]);
    assert_eq!(oids(Some("closed"), &["b"]), [0; 0]);
    assert!(catalog.functions(None, "g", &path(&["a"])).is_empty());
}

#[test]
fn c12_the_worst_operator_decides() {
    let catalog = catalog();
    let worst = |schema, schemas: &[&str]| catalog.operator(schema, "=", &path(schemas));
    assert_eq!(worst(None, &[]), Some(Volatility::Immutable));
    assert_eq!(worst(None, &["b"]), Some(Volatility::Stable));
    assert_eq!(worst(None, &["b", "a"]), Some(Volatility::Volatile));
    assert_eq!(worst(Some("pg_catalog"), &["a"]), Some(Volatility::Immutable));
    assert_eq!(catalog.operator(None, "<>", &path(&["a"])), None);
}

#[test]
fn types_by_name_spelling_and_as_arrays() {
    let catalog = catalog();
    let oid = |name: &str, schemas: &[&str]| catalog.type_oid(None, name, &path(schemas));
    assert_eq!(oid("int4", &[]), Some(23));
    assert_eq!(oid("INTEGER", &["a"]), Some(23));
    assert_eq!(oid("integer", &["b"]), None, "quoted or not, that is the question");
    assert_eq!(oid("int4[]", &[]), Some(1007));
    assert_eq!(oid("integer[][]", &[]), Some(1007));
    assert_eq!(oid("cstring[]", &[]), None);
    assert_eq!(oid("mood[]", &["b"]), Some(20_021));
    assert_eq!(oid("mood", &["a", "b"]), None, "the row type of a table stands before it");
    assert_eq!(oid("_mood", &["a"]), None);
    assert_eq!(oid("int4", &["closed", "pg_catalog"]), None, "it depends on the role");
    assert_eq!(catalog.type_oid(Some("b"), "integer", &path(&[])), Some(20_022));
    assert_eq!(catalog.type_of(23).map(|found| found.name.as_str()), Some("int4"));
}

#[test]
fn heard_names_are_exact() {
    let catalog = catalog();
    assert_eq!(catalog.heard("b", "t"), Some(RelationId::new(20_002)));
    assert_eq!(catalog.heard("pg_temp_3", "t"), None);
    assert_eq!(catalog.heard("b", "T"), None);
}

#[test]
fn c19_row_types_and_their_arrays_are_told_from_no_types() {
    let is = |schema, name: &str, schemas: &[&str]| catalog().is_row_type(schema, name, &path(schemas));
    assert!(is(None, "t", &["a"]) && is(None, "_t", &["b"]) && is(Some("a"), "__t", &[]));
    assert!(is(None, "mood", &["b", "a"]), "whichever is first");
    assert!(!is(None, "mood", &["b"]) && !is(None, "int4", &["a"]) && !is(None, "unknown", &["a"]));
    assert!(!is(Some("nobody"), "t", &["a"]) && !is(None, "t_", &["a"]));
    let cut = format!("_{}", "x".repeat(62));
    assert!(is(None, &cut, &["a"]), "it may be cut from the name of another");
}

#[test]
fn c16_a_function_without_arguments_hides_those_of_later_schemas() {
    let catalog = catalog();
    let found = |schema: Option<&str>, schemas: &[&str]| -> Vec<u32> {
        catalog.functions(schema, "h", &path(schemas)).iter().map(|function| function.oid).collect()
    };
    assert_eq!(found(None, &["a", "b"]), [101]);
    assert_eq!(found(None, &["pg_catalog", "b"]), [101]);
    assert_eq!(found(None, &["b", "pg_catalog"]), [101, 20_012], "which comes first is not worked out");
    assert_eq!(found(Some("b"), &["a"]), [20_012]);
}
