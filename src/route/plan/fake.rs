//! A small catalog for tests: a shop with one of every kind of relation, and the built-in functions that the tests name.

use super::names::Names;
use crate::catalog::{
    CatalogVersion, Column, Function, Persistence, Relation, RelationKind, SearchPath, SessionState, Storage,
    Volatility,
};
use crate::sql::facts::Name;
use crate::types::RelationId;

const INT: u32 = 23;
const TEXT: u32 = 25;
const DATE: u32 = 1082;
const TIMESTAMPTZ: u32 = 1184;
const ANY: u32 = 2276;
const TIME: u32 = 1083;
const TIMETZ: u32 = 1266;
const REGCLASS: u32 = 2205;
/// A domain over `timetz`.
const DAYTIME: u32 = 20_002;

/// What a cast of the users' takes.
const OUTLINE: u32 = 20_003;

pub(super) struct Fake {
    pub relations: Vec<Relation>,
    pub functions: Vec<(String, Function)>,
    operators: Vec<(&'static str, &'static str, Volatility)>,
    types: Vec<(&'static str, &'static str, u32)>,
    pub unsafe_casts: bool,
}

fn relation(oid: u32, schema: &str, name: &str, kind: RelationKind, columns: &[(&str, u32)]) -> Relation {
    Relation {
        id: RelationId::new(oid),
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind,
        persistence: Persistence::Permanent,
        storage: Storage::Own,
        row_security: false,
        policies: Vec::new(),
        columns: columns.iter().map(|(name, oid)| Column { name: (*name).to_owned(), type_oid: *oid }).collect(),
        descendants: Vec::new(),
        definition: None,
        rule_dependencies: Vec::new(),
        has_rules: false,
    }
}

impl Fake {
    pub fn shop() -> Self {
        use RelationKind::{Foreign, Index, MaterializedView, Other, Partitioned, Sequence, Table, View};
        let order = [("id", INT), ("note", TEXT), ("placed", TIMESTAMPTZ), ("due", DATE), ("item", INT)];
        let one = [("id", INT)];
        let mut fake = Fake {
            relations: vec![
                relation(100, "public", "orders", Table, &order),
                relation(101, "public", "items", Table, &[("id", INT), ("name", TEXT), ("price", 1700)]),
                relation(102, "public", "events", Partitioned, &[("id", INT), ("at", TIMESTAMPTZ)]),
                relation(103, "public", "events_1", Table, &[("id", INT), ("at", TIMESTAMPTZ)]),
                relation(104, "other", "orders", Table, &one),
                relation(105, "public", "Orders", Table, &one),
                relation(110, "public", "scratch", Table, &one),
                relation(111, "pg_temp_3", "temp_orders", Table, &one),
                relation(112, "public", "remote", Foreign, &one),
                relation(113, "public", "ids", Sequence, &[("last_value", 20)]),
                relation(114, "public", "totals", MaterializedView, &one),
                relation(115, "public", "secret", Table, &one),
                relation(116, "public", "orders_pkey", Index, &one),
                relation(117, "public", "composite", Other, &one),
                relation(118, "public", "clock", Table, &[("id", INT), ("t", TIMETZ)]),
                relation(119, "public", "registry", Table, &[("id", INT), ("class", REGCLASS)]),
                relation(121, "public", "shifts", Table, &[("id", INT), ("t", DAYTIME)]),
                relation(122, "public", "shops", Table, &[("id", INT), ("opens", TIME), ("made", TIMESTAMPTZ)]),
                relation(123, "public", "columnar", Table, &one),
                relation(124, "public", "spread", Table, &one),
                relation(125, "public", "metrics", Table, &one),
                relation(126, "public", "parcels", Table, &[("id", INT), ("shape", OUTLINE)]),
                relation(120, "public", "logs", Partitioned, &one),
                relation(1259, "pg_catalog", "pg_class", Table, &[("oid", 26), ("relname", 19)]),
                relation(1260, "pg_catalog", "pg_settings", View, &[("name", TEXT), ("setting", TEXT)]),
                relation(1261, "information_schema", "tables", View, &one),
            ],
            functions: Vec::new(),
            operators: Vec::new(),
            types: vec![
                ("pg_catalog", "int2", 21),
                ("pg_catalog", "int4", INT),
                ("pg_catalog", "int8", 20),
                ("pg_catalog", "text", TEXT),
                ("pg_catalog", "name", 19),
                ("pg_catalog", "varchar", 1043),
                ("pg_catalog", "numeric", 1700),
                ("pg_catalog", "uuid", 2950),
                ("pg_catalog", "bool", 16),
                ("pg_catalog", "json", 114),
                ("pg_catalog", "jsonb", 3802),
                ("pg_catalog", "interval", 1186),
                ("pg_catalog", "date", DATE),
                ("pg_catalog", "time", TIME),
                ("pg_catalog", "timetz", TIMETZ),
                ("pg_catalog", "timestamp", 1114),
                ("pg_catalog", "timestamptz", TIMESTAMPTZ),
                ("pg_catalog", "daterange", 3912),
                ("pg_catalog", "regclass", REGCLASS),
                ("pg_catalog", "point", 600),
                ("public", "mood", 20_001),
                ("public", "daytime", DAYTIME),
                ("public", "outline", OUTLINE),
            ],
            unsafe_casts: false,
        };
        fake.relation_mut("scratch").persistence = Persistence::Unlogged;
        fake.relation_mut("temp_orders").persistence = Persistence::Temporary;
        fake.relation_mut("columnar").storage = Storage::AccessMethod;
        fake.relation_mut("spread").storage = Storage::Shards;
        fake.relation_mut("metrics").storage = Storage::Compressed;
        fake.relation_mut("secret").row_security = true;
        fake.relation_mut("events").descendants = vec![RelationId::new(103)];
        fake.relation_mut("logs").descendants = vec![RelationId::new(112)];
        fake.views();
        fake.built_in_functions();
        fake.user_functions();
        fake.operators();
        fake
    }

    pub fn relation_mut(&mut self, name: &str) -> &mut Relation {
        self.relations.iter_mut().find(|r| r.name == name).expect("the shop has this relation")
    }

    pub fn view(&mut self, oid: u32, name: &str, definition: &str, dependencies: &[u32]) {
        let mut view = relation(oid, "public", name, RelationKind::View, &[("id", INT)]);
        view.definition = Some(definition.to_owned());
        view.rule_dependencies = dependencies.iter().map(|oid| RelationId::new(*oid)).collect();
        self.relations.push(view);
    }

    fn views(&mut self) {
        self.view(200, "recent", " SELECT orders.id\n   FROM public.orders\n  WHERE (orders.item > 3);", &[100]);
        self.view(
            201,
            "recent_items",
            "SELECT r.id FROM (public.recent r JOIN public.items i ON ((r.id = i.id)));",
            &[200, 101],
        );
        self.view(202, "timed", "SELECT orders.id FROM public.orders WHERE (orders.placed > now());", &[100]);
        self.view(203, "writing", "SELECT public.audit(orders.id) AS id FROM public.orders;", &[100]);
        self.view(204, "odd", "SELECT x.id FROM ONLY public.orders x;", &[100]);
        self.view(205, "shut", "SELECT secret.id FROM public.secret;", &[115]);
        self.view(206, "locked", "SELECT orders.id FROM public.orders FOR UPDATE;", &[100]);
        self.view(207, "hidden", "SELECT 1 AS id;", &[112]);
        self.view(208, "unqualified", "SELECT orders.id FROM orders;", &[]);
        self.view(209, "left_over", "SELECT orders.id FROM public.orders;", &[999]);
    }

    fn function(&mut self, schema: &str, name: &str, volatility: Volatility, arguments: &[u32]) -> &mut Function {
        let oid = 1000 + u32::try_from(self.functions.len()).expect("few functions");
        let built_in = schema == "pg_catalog";
        let function = Function {
            oid: if built_in { oid } else { oid + 20_000 },
            schema: schema.to_owned(),
            volatility,
            security_definer: false,
            built_in,
            argument_types: arguments.to_vec(),
            result_types: Vec::new(),
            session_state: SessionState::Kept,
            body: None,
            may_change_catalog: !built_in && volatility == Volatility::Volatile,
            tells_server: false,
        };
        self.functions.push((name.to_owned(), function));
        &mut self.functions.last_mut().expect("just pushed").1
    }

    fn built_in_functions(&mut self) {
        use Volatility::{Immutable, Stable, Volatile};
        for (volatility, names) in [
            (
                Immutable,
                "lower upper count sum max min avg string_agg array_agg rank lag substring position overlay btrim ltrim rtrim \
                 ceil floor like_escape similar_to_escape is_normalized unnest generate_series percentile_cont make_date \
                 date_trunc date_part extract overlaps age date timezone length",
            ),
            (
                Stable,
                "to_char concat jsonb_to_recordset format row_to_json to_jsonb json_build_object jsonb_agg current_user session_user now timezone \
                 current_schema current_database transaction_timestamp version current_setting pg_has_role pg_typeof date_trunc date_part \
                 overlaps generate_series json_populate_record age date has_table_privilege regclass",
            ),
            (
                Volatile,
                "nextval setval currval lastval set_config pg_advisory_lock pg_try_advisory_lock pg_advisory_unlock_all \
                 pg_advisory_xact_lock pg_notify lo_create lo_import pg_export_snapshot txid_current random clock_timestamp \
                 pg_sleep setseed query_to_xml gen_random_uuid timeofday",
            ),
        ] {
            for name in names.split_whitespace() {
                let arguments: &[u32] = match (name, volatility) {
                    ("age", Immutable) => &[TIMESTAMPTZ, TIMESTAMPTZ],
                    ("age" | "date", _) => &[TIMESTAMPTZ],
                    ("now" | "version" | "random" | "clock_timestamp" | "lastval" | "timeofday", _) => &[],
                    ("current_user" | "session_user" | "current_schema" | "current_database", _) => &[],
                    _ => &[ANY],
                };
                self.function("pg_catalog", name, volatility, arguments);
            }
        }
        self.function("pg_catalog", "timezone", Volatile, &[TEXT, TIMETZ]);
        self.function("pg_catalog", "timetz_hash", Immutable, &[TIMETZ]);
        self.function("pg_catalog", "length", Stable, &[17, 19]);
    }

    fn user_functions(&mut self) {
        use Volatility::{Immutable, Stable, Volatile};
        self.function("public", "twice", Immutable, &[INT]);
        self.function("public", "root_of", Immutable, &[INT, REGCLASS]);
        self.function("public", "outline_of", Immutable, &[INT]).result_types = vec![OUTLINE];
        self.function("public", "hour_of", Immutable, &[TIMETZ]);
        self.function("public", "items", Immutable, &[INT]);
        self.function("public", "rate", Stable, &[INT]);
        let mine = "SELECT $1 IN (SELECT id FROM items WHERE name = current_setting('app.user', true))";
        self.function("public", "mine", Stable, &[INT]).body = Some(mine.to_owned());
        self.function("public", "audit", Volatile, &[INT]);
        self.function("public", "log_visit", Volatile, &[INT]).may_change_catalog = false;
        self.function("public", "set_tenant", Volatile, &[INT]).session_state = SessionState::MayMove;
        self.function("public", "set_seed", Volatile, &[INT]).session_state = SessionState::MayMoveLastingly;
        self.function("public", "sneaky_tenant", Stable, &[INT]).session_state = SessionState::MayMove;
        self.function("public", "of_row", Volatile, &[20_100]);
        self.function("public", "dblink_exec", Volatile, &[TEXT]);
        self.function("public", "trusted", Immutable, &[INT]).security_definer = true;
        // Overloads a built-in function.
        self.function("tricks", "lower", Volatile, &[INT]);
        self.function("tricks", "set_config", Volatile, &[TEXT, TEXT, 16]);
    }

    fn operators(&mut self) {
        for name in "= <> < > <= >= + - * / || ~~ !~~ ~~* ~ !~ -> ->> @> && ? |/ % ^ @@".split_whitespace() {
            let volatility = match name {
                "=" | "<>" | "<" | ">" | "<=" | ">=" | "+" | "-" | "||" => Volatility::Stable,
                _ => Volatility::Immutable,
            };
            self.operators.push(("pg_catalog", name, volatility));
        }
        self.operators.push(("public", "===", Volatility::Immutable));
        self.operators.push(("public", "~~~", Volatility::Stable));
        self.operators.push(("public", "!!!", Volatility::Volatile));
        self.operators.push(("tricks", "<", Volatility::Stable));
        self.operators.push(("tricks", "+", Volatility::Immutable));
    }
}

fn in_path(schema: &str, wanted: Option<&str>, path: &SearchPath) -> bool {
    match wanted {
        Some(wanted) => schema == wanted,
        None => schema == "pg_catalog" || path.0.iter().any(|s| s == schema),
    }
}

impl Names for Fake {
    fn version(&self) -> CatalogVersion {
        CatalogVersion(7)
    }

    fn defaults(&self) -> u64 {
        0
    }

    fn relation(&self, name: &Name, path: &SearchPath) -> Option<&Relation> {
        let within = |schema: &str| self.relations.iter().find(|r| r.schema == schema && r.name == name.name);
        match &name.schema {
            Some(schema) => within(schema),
            None => std::iter::once("pg_catalog").chain(path.0.iter().map(String::as_str)).find_map(within),
        }
    }

    fn relation_by_id(&self, id: RelationId) -> Option<&Relation> {
        self.relations.iter().find(|r| r.id == id)
    }

    fn functions(&self, name: &Name, path: &SearchPath) -> Vec<&Function> {
        let fits = |f: &Function| in_path(&f.schema, name.schema.as_deref(), path);
        self.functions.iter().filter(|(n, f)| *n == name.name && fits(f)).map(|(_, f)| f).collect()
    }

    fn operator(&self, name: &Name, path: &SearchPath) -> Option<Volatility> {
        let fits = |schema: &str| in_path(schema, name.schema.as_deref(), path);
        self.operators.iter().filter(|(s, n, _)| *n == name.name && fits(s)).map(|(_, _, v)| *v).max()
    }

    fn type_oid(&self, name: &Name, path: &SearchPath) -> Option<u32> {
        let fits = |schema: &str| in_path(schema, name.schema.as_deref(), path);
        self.types.iter().find(|(s, n, _)| *n == name.name && fits(s)).map(|(_, _, oid)| *oid)
    }

    fn is_row_type(&self, name: &Name, path: &SearchPath) -> bool {
        self.relation(name, path).is_some()
    }

    fn is_unsteady(&self, oid: u32) -> bool {
        [TIMETZ, REGCLASS, DAYTIME].contains(&oid) || self.is_cast_unsafely(oid)
    }

    fn is_cast_unsafely(&self, oid: u32) -> bool {
        oid == OUTLINE
    }

    fn has_unsafe_casts(&self) -> bool {
        self.unsafe_casts
    }

    fn may_write_unnamed(&self) -> bool {
        true
    }
}
