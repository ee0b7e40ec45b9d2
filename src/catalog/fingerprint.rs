//! One statement whose answer changes whenever the catalog changes in a way that can alter what a cached query
//! means, or who may run it. Text only: `feed` decides when to ask and what a difference leads to.
//!
//! **Why it is exact.** Every new or changed row of a system catalog carries the id of the transaction that wrote
//! it (`xmin`), and that id was never seen before. So the bag of all `xmin`s of a catalog changes with every
//! INSERT, UPDATE and DELETE, and a DELETE with an INSERT cannot cancel out. The bag is compared by its size and by
//! the sum of 64-bit hashes: sums do not depend on the order of rows, and hashing keeps two changes from adding up
//! to nothing. What VACUUM and ANALYZE write (`relpages`, `relfrozenxid`, …) is overwritten in place and keeps
//! `xmin`, and freezing keeps it too (only a flag is set), so that maintenance changes nothing here.
//!
//! Comparing columns instead would be blind to a change that is taken back before the next look (a table renamed
//! away and back, a privilege granted and revoked, UNLOGGED and LOGGED again), though answers from between may have
//! been stored.
//!
//! **What is left out.** Temporary objects: other sessions cannot name them, and busy users of temporary tables
//! would otherwise have the catalog read again all the time. Of indexes and TOAST tables all but their columns (a
//! primary key dropped is noticed by them; REINDEX changes nothing). `pg_depend`, statistics, publications,
//! comments.
//! **What differs.** `pg_authid` is closed to ordinary roles and `pg_roles` has no `xmin`: roles are compared by
//! columns, and a role altered and altered back between two looks is missed, as is an object or a membership that
//! was made and removed again (its rows leave nothing behind). TRUNCATE, CLUSTER and VACUUM FULL give a table a new
//! file and so a new row: they count as a change of the catalog.
//!
//! **What it costs.** Shapes were timed on PostgreSQL 15, as prepared statements run 200 times, with 10 and with
//! 3,000 tables of nine columns (117,000 rows in `pg_attribute`, 12,000 triggers). For `pg_attribute`, against
//! merely scanning it: `age(xmin)` made absolute and hashed takes twice the time, half of the difference for
//! touching `xmin` at all; `hash_array_extended(array_agg(xmin))` as much, but depends on the order of the scan;
//! grouping by `xmin` and hashing once a group, or `hash_array_extended(ARRAY[xmin])`, two and a half times;
//! `xmin::text::bigint` and `hash_record_extended` (missing in 13) three times. `NOT IN` (temporary relations, as a
//! rule none) is cheaper than `IN` (all others). In all: little over a millisecond with few tables, and five more
//! for each further thousand, two thirds of it for `pg_attribute`. Planning takes longer than running where tables
//! are few: prepare it.

/// The bag of row versions of a catalog, as `label=rows:hash`. `age()` counts back from an id that stands still
/// during a statement; taken from the age of the first ordinary id it is absolute again, modulo 2^32. Rows made by
/// initdb have an id without an age (reported as 2147483647): they are only counted, and when changed they get an
/// ordinary one.
macro_rules! versions {
    ($label:literal, $rows:literal) => {
        concat!(
            ", (SELECT '",
            $label,
            "=' || count(*) || ':' || coalesce(sum(hashint8extended(",
            "(SELECT age FROM zero) - nullif(age(xmin), 2147483647) & 4294967295, 0)), 0) FROM ",
            $rows,
            ")\n"
        )
    };
}

/// When the server's configuration was last read, as this connection knows it: what it gives sessions cannot be asked for where a
/// connection, or its role, has settings of its own, and PostgreSQL shows nobody those that users invented. So every reload counts, and at
/// times the first look of a new connection, which has the time from the postmaster.
macro_rules! configured {
    () => {
        "'settings=' || hashtextextended(pg_conf_load_time()::text, 0)"
    };
}

/// The fingerprint's part that says whether the server's configuration was read anew, of which its log says nothing.
pub const CONFIGURED: &str = concat!("SELECT ", configured!());

/// One row, one column of text: compare it with what it was. Runs with the privileges of any role, on PostgreSQL 13
/// to 18, with `search_path = pg_catalog`; takes no lock that DDL would wait for long, or wait itself.
///
/// The text names each catalog, so that a log can say which one changed ([`differences`]).
pub const FINGERPRINT: &str = concat!(
    "WITH zero AS MATERIALIZED (SELECT age('3'::xid)::int8 AS age),
temporary_schema AS MATERIALIZED (
    SELECT oid FROM pg_namespace
    WHERE nspname LIKE 'pg!_temp!_%' ESCAPE '!' OR nspname LIKE 'pg!_toast!_temp!_%' ESCAPE '!'),
class AS MATERIALIZED (
    SELECT array_agg(oid) FILTER (WHERE relpersistence = 't') AS temporary,
        count(*) FILTER (WHERE relpersistence <> 't' AND relkind IN ('r','p','v','m','f','S','c')) AS rows,
        sum(hashint8extended((SELECT age FROM zero) - nullif(age(xmin), 2147483647) & 4294967295, 0))
            FILTER (WHERE relpersistence <> 't' AND relkind IN ('r','p','v','m','f','S','c')) AS hash
    FROM pg_class),
temporary AS MATERIALIZED (SELECT unnest(temporary) AS oid FROM class)
SELECT concat_ws(' ', (SELECT 'class=' || rows || ':' || hash FROM class)
",
    versions!("attribute", "pg_attribute WHERE attnum > 0 AND attrelid NOT IN (SELECT oid FROM temporary)"),
    versions!("attrdef", "pg_attrdef WHERE adrelid NOT IN (SELECT oid FROM temporary)"),
    versions!("inherits", "pg_inherits WHERE inhrelid NOT IN (SELECT oid FROM temporary)"),
    versions!("rewrite", "pg_rewrite WHERE ev_class NOT IN (SELECT oid FROM temporary)"),
    versions!("trigger", "pg_trigger WHERE tgrelid NOT IN (SELECT oid FROM temporary)"),
    versions!("policy", "pg_policy WHERE polrelid NOT IN (SELECT oid FROM temporary)"),
    versions!("namespace", "pg_namespace WHERE oid NOT IN (SELECT oid FROM temporary_schema)"),
    versions!("type", "pg_type WHERE typtype <> 'c' AND typnamespace NOT IN (SELECT oid FROM temporary_schema)"),
    versions!("domain", "pg_constraint WHERE contypid > 0"),
    versions!("enum", "pg_enum"),
    versions!("proc", "pg_proc WHERE pronamespace NOT IN (SELECT oid FROM temporary_schema)"),
    versions!("aggregate", "pg_aggregate"),
    versions!("operator", "pg_operator"),
    versions!("cast", "pg_cast"),
    versions!("collation", "pg_collation"),
    versions!("opclass", "pg_opclass WHERE oid >= 16384"),
    versions!("amop", "pg_amop WHERE oid >= 16384"),
    versions!("amproc", "pg_amproc WHERE oid >= 16384"),
    versions!("extension", "pg_extension"),
    versions!("ts_config", "pg_ts_config"),
    versions!("ts_config_map", "pg_ts_config_map"),
    versions!("ts_dict", "pg_ts_dict"),
    versions!("ts_parser", "pg_ts_parser"),
    versions!("ts_template", "pg_ts_template"),
    versions!("seclabel", "pg_seclabel"),
    versions!("shseclabel", "pg_shseclabel"),
    versions!("auth_members", "pg_auth_members"),
    versions!(
        "db_role_setting",
        "pg_db_role_setting WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
    ),
    versions!("database", "pg_database WHERE datname = current_database()"),
    ", (SELECT 'roles=' || count(*) || ':' || coalesce(sum(hashnameextended(rolname, oid::int8 << 8
        | (rolsuper::int + rolinherit::int * 2 + rolbypassrls::int * 4 + rolcanlogin::int * 8)::int8)), 0)
    FROM pg_roles), ",
    configured!(),
    "
)"
);

/// Whether a fingerprint has this part.
pub fn has_part(fingerprint: &str, part: &str) -> bool {
    fingerprint.split(' ').any(|own| own == part)
}

/// The labels of the catalogs whose parts differ between two answers, for a log.
pub fn differences<'a>(before: &'a str, after: &'a str) -> Vec<&'a str> {
    let parts = |text: &'a str| text.split(' ').filter_map(|part| part.split_once('='));
    let old: std::collections::HashMap<&str, &str> = parts(before).collect();
    parts(after).filter(|(label, value)| old.get(label) != Some(value)).map(|(label, _)| label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_catalogs_that_changed() {
        assert_eq!(differences("class=1:2 proc=3:4 roles=5:6", "class=1:2 proc=3:5 roles=6:6"), ["proc", "roles"]);
        assert!(differences("class=1:2", "class=1:2").is_empty());
        assert_eq!(differences("", "class=1:2"), ["class"]);
        assert!(has_part("class=1:2 settings=-3", "settings=-3") && !has_part("class=1:2 settings=-3", "settings=3"));
    }
}
