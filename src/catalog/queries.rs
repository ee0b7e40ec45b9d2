//! The statements that fetch a catalog, in the order in which their rows are given to `Catalog::build`. Text only.
//!
//! All of them belong in one REPEATABLE READ READ ONLY transaction, so that they see one snapshot, with
//! `search_path = pg_catalog`, so that `pg_get_viewdef` qualifies every name outside it, with `jit = off` (plans
//! are large, runs are short) and a `lock_timeout`. `pg_get_viewdef` takes an ACCESS SHARE lock on what a view reads, so that it waits for
//! DDL in progress, and keeps it until its transaction or savepoint ends. They read nothing that an ordinary role may not read, on PostgreSQL 13
//! to 18.

use super::versions::VERSIONS;

/// What of `pg_class` is kept. Indexes, TOAST tables and composite types cannot be selected from by an ordinary
/// query; temporary relations belong to other sessions.
macro_rules! kept {
    () => {
        "c.relkind IN ('r','p','v','m','f','S') AND c.relpersistence <> 't'"
    };
}

/// A function of `f` that users made and whose result may depend on more than its arguments. Functions in language
/// `internal` are PostgreSQL's own code under another name: what is stable in them depends on settings alone.
macro_rules! unproven {
    () => {
        "f.oid >= 16384 AND (f.prosecdef OR f.provolatile = 'v' OR f.provolatile = 's' AND f.prolang <> 12)"
    };
}

/// Whether a stored expression holds anything but constants, parameters and immutable functions.
macro_rules! impure {
    ($tree:literal) => {
        concat!(
            "(",
            $tree,
            " ~ '[{](SQLVALUEFUNCTION|NEXTVALUEEXPR|COERCEVIAIO|SUBLINK|ROWCOMPARE|MINMAX|XMLEXPR|JSON)' OR EXISTS (
        SELECT FROM regexp_matches(",
            $tree,
            ", ':[a-z]*funcid ([1-9][0-9]*)', 'g') AS m(ids)
        JOIN pg_proc f ON f.oid = m.ids[1]::oid WHERE f.provolatile <> 'i'))"
        )
    };
}

/// `made`: types of PostgreSQL's own with these names, those that begin with `reg`, and what is made of them (domains, arrays, ranges,
/// rows). `pg_range` names no multiranges before PostgreSQL 14.
macro_rules! made_of {
    ($names:literal) => {
        concat!(
            "WITH RECURSIVE part AS MATERIALIZED (
    SELECT oid AS whole, typbasetype AS part FROM pg_type WHERE typtype = 'd'
    UNION ALL SELECT typarray, oid FROM pg_type WHERE typarray <> 0
    UNION ALL SELECT rngtypid, rngsubtype FROM pg_range
    UNION ALL SELECT (to_jsonb(r) ->> 'rngmultitypid')::oid, rngtypid FROM pg_range r
    UNION ALL SELECT DISTINCT c.reltype, a.atttypid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.reltype <> 0 AND a.attnum > 0 AND NOT a.attisdropped
), made AS (
    SELECT oid FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND oid < 16384 AND typtype = 'b'
        AND (typname IN ",
            $names,
            " OR typname LIKE 'reg%')
    UNION SELECT p.whole FROM made m JOIN part p ON p.part = m.oid
)"
        )
    };
}

/// Schemas: oid, name, whether every role has USAGE.
const SCHEMAS: &str = "SELECT n.oid, n.nspname,
    EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'USAGE')
FROM pg_namespace n
WHERE n.nspname NOT LIKE 'pg!_temp!_%' ESCAPE '!' AND n.nspname NOT LIKE 'pg!_toast!_temp!_%' ESCAPE '!'";

/// Where a relation has its rows ([`Storage`](super::Storage)). An access method but PostgreSQL's own (`heap`, 2) may write what it
/// likes, and tell of it or not. Citus keeps rows in tables of other names, and so does TimescaleDB with what it has compressed.
/// Which tables those are, only tables of their own say, which may not be there: here all tables of the one count, and of the
/// other, once it compresses, all that inherit or are inherited from.
macro_rules! storage {
    () => {
        "CASE WHEN c.oid < 16384 OR c.relkind NOT IN ('r', 'p') THEN 'own'
        WHEN c.relkind = 'r' AND c.relam <> 2 THEN 'method'
        WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN 'shards'
        WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AND EXISTS (
            SELECT FROM pg_class x JOIN pg_namespace s ON s.oid = x.relnamespace WHERE s.nspname = '_timescaledb_internal'
                AND (x.relname LIKE 'compress!_%' ESCAPE '!' OR x.relname LIKE '!_compressed!_hypertable!_%' ESCAPE '!'))
            AND c.oid IN (SELECT unnest(ARRAY[i.inhrelid, i.inhparent]) FROM pg_inherits i) THEN 'compressed'
        ELSE 'own' END"
    };
}

/// Relations: oid, schema, name, kind, persistence, row security, rules, where its rows are. The triggers left out only check: foreign
/// keys without CASCADE or SET, and deferred uniqueness.
const RELATIONS: &str = concat!(
    "SELECT c.oid, c.relnamespace, c.relname, c.relkind, c.relpersistence, c.relrowsecurity,
    c.oid IN (SELECT t.tgrelid FROM pg_trigger t WHERE t.tgfoid NOT IN (1644, 1645, 1648, 1649, 1654, 1655, 1250))
        OR c.oid IN (SELECT r.ev_class FROM pg_rewrite r WHERE r.ev_type <> '1'),
    ",
    storage!(),
    " FROM pg_class c WHERE ",
    kept!()
);

/// How many relations have their rows where, for whoever asks beside the catalog: where ([`Storage::named`](super::Storage::named)), count.
pub const STORAGES: &str =
    concat!("SELECT ", storage!(), ", count(*) FROM pg_class c WHERE ", kept!(), " GROUP BY 1 ORDER BY 1");

/// Columns of what users made, a row a relation: oid, then names and types as one JSON array.
const COLUMNS: &str = concat!(
    "SELECT a.attrelid, json_agg(json_build_array(a.attname, a.atttypid::int8) ORDER BY a.attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid >= 16384 AND ",
    kept!(),
    " AND c.relkind <> 'S' GROUP BY a.attrelid"
);

/// Policies that bear on reading, of the tables that have them in force: table, condition. For whom they are is not asked: who
/// reads is in the key, and what one role's policy depends on costs the others a miss at worst.
const POLICIES: &str = concat!(
    "SELECT p.polrelid, pg_get_expr(p.polqual, p.polrelid)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE p.polqual IS NOT NULL AND p.polcmd IN ('r', '*') AND c.relrowsecurity AND ",
    kept!()
);

/// Settings of the users' own (with a dot in their name) that sessions here start with: role (empty for all), `name=value`. In the
/// order in which PostgreSQL looks (`process_settings` in postinit.c).
const DEFAULT_SETTINGS: &str = "SELECT coalesce(r.rolname, ''), c.setting
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND (s.setrole = 0 OR r.oid IS NOT NULL) AND split_part(c.setting, '=', 1) LIKE '%.%'
ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC";

/// Direct heirs and partitions: parent, child.
const INHERITANCE: &str =
    concat!("SELECT i.inhparent, i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE ", kept!());

/// Views that users made: oid, definition. Where others work, [`VIEW_IDS`] and [`definitions`] give the same piece by piece.
pub const VIEWS: &str = concat!(
    "SELECT c.oid, pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relkind = 'v' AND c.oid >= 16384 AND ",
    kept!()
);

/// The same views: oid.
pub const VIEW_IDS: &str =
    concat!("SELECT c.oid FROM pg_class c WHERE c.relkind = 'v' AND c.oid >= 16384 AND ", kept!());

/// Some of them: oid, definition.
pub fn definitions(views: &[String]) -> String {
    format!("SELECT oid, pg_get_viewdef(oid) FROM unnest('{{{}}}'::oid[]) AS views(oid)", views.join(","))
}

/// What the rules of views read: view, relation. System relations below oid 12000 are not recorded by PostgreSQL.
const VIEW_READS: &str = concat!(
    "SELECT DISTINCT r.ev_class, d.refobjid
FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' AND v.relpersistence <> 't' AND v.oid >= 16384
JOIN pg_class c ON c.oid = d.refobjid WHERE r.ev_type = '1' AND ",
    kept!()
);

/// Functions: oid, schema, name, volatility, security definer, argument types, whether its source, or that of a function it
/// names, may leave something in the session, whether such a one is also run by what no statement names (triggers, defaults,
/// constraints, rules, operators), the text of one that is as good as a view: in SQL, stable, for the caller, with no settings of
/// its own; its source if that names settings of the users' own, whether it may set some whose names are made as it runs, the types of its
/// results, if users made it, whether a call may change the catalog, whether DISCARD ALL may not end what it leaves, and whether its source, or
/// that of a function it names, may tell of the server that it runs on.
/// PostgreSQL runs no SET in a function that is not volatile, but calls what has the
/// same effect (`_SPI_execute_plan` in spi.c). `CREATE AGGREGATE` marks everything
/// immutable, so that an aggregate is as volatile as its worst part; a default that is not immutable makes its
/// function volatile, since a call that leaves it out evaluates it. One that gives a relation's name (regclass, regtype) is stable at best,
/// and so is one that is marked immutable though its source, or that of a function it names, reads tables, settings or the clock.
/// What is not volatile writes nothing itself, but calls what does: one that names a volatile function counts as volatile (but for PostgreSQL's own
/// that are known to change nothing), and so does one that runs a text whose names are made as it runs.
/// The catalog may be changed by a volatile function in SQL or PL/pgSQL whose source holds a word of DDL, runs texts or writes to PostgreSQL's own tables,
/// by every other volatile one but for those of extensions that are known, and by who names one. Where such a one is run by what no statement names,
/// any that is not proven to write nothing may run it.
/// A source that holds remarks is followed by itself without them: what looks like one may be a string.
const FUNCTIONS: &str = concat!(
    "WITH RECURSIVE written AS (
    SELECT p.oid, lower(p.proname) AS name, p.provolatile = 'v' AS is_free, l.lanname IN ('sql', 'plpgsql') AS is_sql,
        l.lanname = 'sql' AS is_queries, p.prosrc = '' AS is_parsed,
        CASE WHEN p.prosrc = '' AND p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE p.prosrc END AS text
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')
), source AS MATERIALIZED (
    SELECT oid, name, is_free, is_sql, is_queries, is_parsed, CASE WHEN text ~ '--|/[*]'
        THEN text || E'\\n;\\n' || regexp_replace(text, '--[^\\n\\r]*|/[*]([^*]|[*]+[^*/])*[*]+/', ' ', 'g') ELSE text END AS text
    FROM written
), calls AS MATERIALIZED (
    SELECT s.oid, lower(m.found[1]) AS name FROM source s, regexp_matches(s.text, '([\\w$]+)\"?\\s*\\(', 'g') AS m(found)
    UNION
    SELECT s.oid, lower(m.found[1]) FROM source s, regexp_matches(s.text, '\"([^\"]*[^\"\\w$][^\"]*)\"\\s*\\(', 'g') AS m(found)
), moving AS (
    SELECT s.oid, s.name,
        s.text ~* 'set_config\\M\"?\\s*\\((?!\\s*(setting_name\\s*(=>|:=)\\s*)?[en]?''+[^''\\\\|%]+''+\\s*(::\\s*\\w+\\s*)?,)'
            OR s.text ~* '(execute|[(=])\\s*e?''+\\s*set\\s+((session|local)\\s+)?[\\w.\"]*[''%]' AS is_untold,
        s.text ~* '\\m(setseed|dblink_connect\\w*|pg_replication_origin_session_\\w+|pg_backup_start|pg_start_backup|'
            'pg_(create|copy)_(logical|physical)_replication_slot)\\M|\\mset\\s+((session|local)\\s+)?\"?seed\\M'
            '|set_config\"?\\s*\\(\\s*[en]?''+seed\\M|\\mload\\s+e?''' AS is_lasting
    FROM source s WHERE s.text ~* '\\m(set_config|set_limit|setseed|pg_(try_)?advisory_(un)?lock\\w*|'
        'pg_(create|copy)_(logical|physical)_replication_slot|pg_backup_start|pg_start_backup|'
        'pg_replication_origin_session_\\w+|dblink_connect\\w*)\\M'
        OR s.is_free AND (NOT s.is_sql OR s.text ~* '\\m(listen|unlisten|discard|reset|load|execute)\\M'
            OR s.text ~* '(^|;|>>|\\m(begin|then|else|loop))\\s*set\\s')
    UNION
    SELECT s.oid, s.name, m.is_untold, m.is_lasting FROM moving m JOIN calls c ON c.name = m.name JOIN source s ON s.oid = c.oid
), reading AS (
    SELECT s.oid, s.name FROM source s WHERE regexp_replace(s.text,
        'distinct\\s+from\\M|\\m(extract|substring|trim|overlay)\\s*\\([^()]*\\mfrom\\M', ' ', 'gi') ~* '\\m(from|table|current_setting|execute)\\M'
        OR s.text ~* '\\m(current_(date|time|timestamp)|localtime(stamp)?)\\M|''\\s*(now|today|tomorrow|yesterday)\\s*'''
            '|\\m(now|age|timeofday|random(_normal)?|(clock|statement|transaction)_timestamp|gen_random_uuid|uuidv[47])\"?\\s*\\('
    UNION
    SELECT s.oid, s.name FROM reading r JOIN calls c ON c.name = r.name JOIN source s ON s.oid = c.oid
), telling AS (
    SELECT s.oid, s.name FROM source s WHERE s.text ~* '\\m(pg_(?!(catalog|typeof|temp|get_\\w+|class|attribute|type|namespace|proc|roles)\\M)\\w+'
        '|inet_(client|server)_\\w+|txid_\\w+)\\M|\\mversion\"?\\s*\\('
    UNION
    SELECT s.oid, s.name FROM telling t JOIN calls c ON c.name = t.name JOIN source s ON s.oid = c.oid
), freely AS MATERIALIZED (
    SELECT lower(p.proname) AS name FROM pg_proc p WHERE p.provolatile = 'v' AND (p.oid >= 16384 OR p.proname NOT IN
        ('clock_timestamp', 'gen_random_uuid', 'random', 'random_normal', 'timeofday', 'uuidv4', 'uuidv7'))
    UNION
    SELECT lower(p.proname) FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid AND p.oid >= 16384
        JOIN pg_proc f ON f.provolatile = 'v' AND f.oid IN (g.aggtransfn, g.aggfinalfn,
            g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
), writing AS (
    SELECT s.oid, s.name FROM source s WHERE NOT s.is_free AND (s.oid IN (SELECT c.oid FROM calls c JOIN freely f ON f.name = c.name)
        OR s.is_sql AND s.text ~* '\\mexecute\\M(?!\\s+''([^'']|'''')*''\\s*(;|(into|using|loop)\\M))')
    UNION
    SELECT s.oid, s.name FROM writing w JOIN calls c ON c.name = w.name JOIN source s ON s.oid = c.oid AND NOT s.is_free
), edge AS MATERIALIZED (
    SELECT s.oid, s.name, c.name AS called FROM calls c JOIN source s ON s.oid = c.oid
    UNION
    SELECT p.oid, lower(p.proname), lower(f.proname) FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid AND p.oid >= 16384
        JOIN pg_proc f ON f.oid IN (g.aggtransfn, g.aggfinalfn,
            g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
), changing AS (
    SELECT p.oid, lower(p.proname) AS name FROM pg_proc p LEFT JOIN source s ON s.oid = p.oid
    WHERE p.oid >= 16384 AND p.provolatile = 'v' AND CASE WHEN s.is_sql THEN NOT s.is_parsed AND (s.text ~*
            '\\m(create|alter|drop|grant|revoke|refresh|reindex|cluster|reassign|execute)\\M|\\mdo\\M(?!\\s+(update|nothing)\\M)'
            '|\\m(comment\\s+on|security\\s+label|import\\s+foreign)\\M|\\m(pg_import_system_collations|\\w+_to_xml\\w*|ts_stat'
            '|ts_rewrite|dblink\\w*|crosstab\\w*|connectby)\\M'
            '|\\m(update|delete\\s+from|into)\\s+(only\\s+)?(\"?pg_catalog\"?\\s*[.]\\s*)?\"?pg_\\w'
            OR s.is_queries AND regexp_replace(s.text, '\\m(insert|merge)\\s+into\\M', ' ', 'gi') ~* '\\minto\\M')
        ELSE NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                AND d.refclassid = 'pg_extension'::regclass AND e.extname IN
                ('autoinc', 'insert_username', 'moddatetime', 'pgcrypto', 'postgis', 'uuid-ossp')) END
    UNION
    SELECT e.oid, e.name FROM changing c JOIN edge e ON e.called = c.name
), unnamed AS MATERIALIZED (
    SELECT d.refobjid AS oid FROM pg_depend d WHERE d.refclassid = 'pg_proc'::regclass AND (d.classid IN (
        'pg_trigger'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_rewrite'::regclass, 'pg_operator'::regclass,
        'pg_cast'::regclass, 'pg_policy'::regclass, 'pg_type'::regclass, 'pg_amproc'::regclass))
)
SELECT p.oid, p.pronamespace, p.proname,
    CASE WHEN p.oid >= 16384 AND p.prokind = 'a' THEN (
            SELECT max(CASE WHEN f.oid IN (SELECT oid FROM writing) THEN 'v' ELSE f.provolatile::text END) FROM pg_aggregate g JOIN pg_proc f ON f.oid IN (p.oid, g.aggtransfn, g.aggfinalfn,
                g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
            WHERE g.aggfnoid = p.oid)
        WHEN p.oid >= 16384 AND p.pronargdefaults > 0 AND ",
    impure!("p.proargdefaults::text"),
    " THEN 'v'
        WHEN p.oid IN (SELECT oid FROM writing) THEN 'v'
        WHEN p.provolatile = 'i' AND (p.prorettype IN (2205, 2206, 2210, 2211) OR p.oid IN (SELECT oid FROM reading)) THEN 's'
        ELSE p.provolatile::text END,
    p.prosecdef OR p.oid >= 16384 AND p.prokind = 'a' AND (
            SELECT coalesce(bool_or(f.prosecdef), false) FROM pg_aggregate g JOIN pg_proc f ON f.oid IN (g.aggtransfn, g.aggfinalfn,
                g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
            WHERE g.aggfnoid = p.oid),
    p.proargtypes,
    p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c') AND (p.oid IN (SELECT oid FROM moving)
        OR p.provolatile = 'v' AND (coalesce(p.prosrc, '') ~* '\\m(temp|temporary|pg_temp\\w*)\\M'
            OR coalesce(p.proconfig::text, '') ~* 'pg_temp' AND coalesce(p.prosrc, '') ~* '\\mcreate\\M')),
    p.oid IN (SELECT oid FROM unnamed UNION SELECT evtfoid FROM pg_event_trigger
        UNION SELECT d.refobjid FROM pg_depend d WHERE d.refclassid = 'pg_proc'::regclass
            AND d.classid = 'pg_proc'::regclass AND d.objid IN (SELECT aggfnoid FROM pg_aggregate)),
    CASE WHEN p.oid >= 16384 AND l.lanname = 'sql' AND p.prokind = 'f' AND NOT p.prosecdef
        AND (p.provolatile = 's' OR p.provolatile = 'i' AND p.oid IN (SELECT oid FROM reading))
        AND p.proconfig IS NULL AND p.prosrc <> '' THEN p.prosrc END,
    CASE WHEN s.text ~* '(current_setting|set_config)|\\mset\\s+((session|local)\\s+)*[\\w$\"]+\\s*[.]' THEN s.text END,
    p.oid IN (SELECT oid FROM moving WHERE is_untold),
    CASE WHEN p.oid < 16384 THEN '' ELSE concat_ws(' ', p.prorettype::oid, (SELECT string_agg(a.type::text, ' ')
        FROM unnest(p.proallargtypes, p.proargmodes) AS a(type, mode) WHERE a.mode IN ('o', 'b', 't'))) END,
    p.oid IN (SELECT oid FROM changing) OR (coalesce(s.is_free, false) OR p.oid IN (SELECT oid FROM writing))
        AND EXISTS (SELECT FROM changing c JOIN unnamed u ON u.oid = c.oid),
    p.oid IN (SELECT oid FROM moving WHERE is_lasting),
    p.oid IN (SELECT oid FROM telling)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN source s ON s.oid = p.oid
WHERE n.nspname NOT LIKE 'pg!_temp!_%' ESCAPE '!'"
);

/// Operators, a row a name: schema, name, worst volatility, where one of users that is not immutable, or that takes or gives a time with time zone
/// or a relation's name and may make it of another type unseen, counts as volatile: but not one in C that is stable (`%` of pg_trgm),
/// which calls no other.
const OPERATORS: &str = concat!(
    "SELECT o.oprnamespace, o.oprname, max(CASE WHEN ",
    unproven!(),
    " AND (f.prosecdef OR f.provolatile = 'v' OR f.prolang <> 13) OR o.oid >= 16384 AND (o.oprleft IN (1266, 1270, 2205, 2210) OR o.oprright IN (1266, 1270, 2205, 2210)
        OR o.oprresult IN (1266, 1270, 2205, 2210))",
    " THEN 'v' ELSE f.provolatile::text END)
FROM pg_operator o JOIN pg_proc f ON f.oid = o.oprcode
JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE n.nspname NOT LIKE 'pg!_temp!_%' ESCAPE '!' GROUP BY 1, 2"
);

/// Types but for rows of relations and their arrays: oid, schema, name, kind, array, element, base of a domain.
const TYPES: &str = "SELECT t.oid, t.typnamespace, t.typname, t.typtype, t.typarray,
    CASE WHEN t.typlen = -1 AND e.typarray = t.oid THEN t.typelem ELSE 0 END, t.typbasetype
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type e ON e.oid = t.typelem
LEFT JOIN pg_class c ON c.oid = coalesce(nullif(t.typrelid, 0), e.typrelid)
WHERE n.nspname NOT LIKE 'pg!_temp!_%' ESCAPE '!' AND (c.oid IS NULL OR c.relkind = 'c')";

/// Types whose values hang on more than themselves, and what is made of them: a time with time zone on the present day, and what is
/// written with names (`aclitem`, `regclass` and its kin) on the catalog.
const UNSTEADY_TYPES: &str = concat!(made_of!("('timetz', 'aclitem')"), " SELECT oid FROM made WHERE oid <> 0");

/// Functions that run unnamed and are not proven, and casts by the text that make a date of what may say `now`: kind, where, and of a cast from a
/// type of the users' all types by which a value of that type can come into a query: itself and what is made of it, if no operator gives one; and whether
/// it may write, which a type's own functions, all in C, are not thought to. Empty in almost every database.
const UNSAFE_CASTS: &str = concat!(
    made_of!("('date', 'time', 'timestamp', 'timestamptz', 'timetz', 'aclitem')"),
    ", bearing AS (
    SELECT k.castsource AS source, k.castsource AS oid FROM pg_cast k WHERE k.oid >= 16384 AND k.castsource >= 16384
    UNION SELECT b.source, p.whole FROM bearing b JOIN part p ON p.part = b.oid
) SELECT 'cast', format_type(k.castsource, NULL) || ' to ' || format_type(k.casttarget, NULL), '', false
FROM pg_cast k WHERE k.oid >= 16384 AND k.castmethod = 'i' AND k.castcontext = 'i' AND k.casttarget IN (SELECT oid FROM made)
UNION ALL SELECT 'cast', format_type(k.castsource, NULL) || ' to ' || format_type(k.casttarget, NULL),
    CASE WHEN EXISTS (SELECT FROM pg_operator o JOIN bearing b ON b.oid = o.oprresult WHERE b.source = k.castsource) THEN ''
        ELSE coalesce((SELECT string_agg(b.oid::text, ' ') FROM bearing b WHERE b.source = k.castsource AND b.oid <> 0), '') END, f.provolatile = 'v'
FROM pg_cast k JOIN pg_proc f ON f.oid = k.castfunc WHERE ",
    unproven!(),
    " UNION ALL SELECT DISTINCT 'type', format_type(t.oid, NULL), '', false
FROM pg_type t JOIN pg_proc f ON f.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout) WHERE ",
    unproven!(),
    " UNION ALL SELECT DISTINCT 'operator class', m.opfname::text, '', f.provolatile = 'v'
FROM pg_opfamily m JOIN pg_am h ON h.oid = m.opfmethod AND h.amname IN ('btree', 'hash') JOIN (
        SELECT amprocfamily AS family, amproc::oid AS function FROM pg_amproc WHERE oid >= 16384
        UNION ALL SELECT a.amopfamily, o.oprcode FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr WHERE a.oid >= 16384
    ) x ON x.family = m.oid JOIN pg_proc f ON f.oid = x.function WHERE ",
    unproven!(),
    " UNION ALL SELECT 'domain', format_type(d.contypid, NULL), '', false
FROM pg_constraint d WHERE d.contypid >= 16384 AND d.contype = 'c' AND ",
    impure!("d.conbin::text")
);

/// All statements, in the order that `Catalog::build` expects.
pub const QUERIES: &[&str] = &[
    SCHEMAS,
    RELATIONS,
    COLUMNS,
    POLICIES,
    INHERITANCE,
    VIEWS,
    VIEW_READS,
    FUNCTIONS,
    OPERATORS,
    TYPES,
    UNSAFE_CASTS,
    DEFAULT_SETTINGS,
    VERSIONS,
    UNSTEADY_TYPES,
];
