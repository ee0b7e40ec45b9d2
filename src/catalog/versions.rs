//! What a change of the catalog bears on: each relation's own part of the fingerprint, in two sums. Where another catalog differs from
//! this one in nothing but what some relations store, or in that some came or went, whatever depends on others means what it meant.
//! Everything else (columns, names, owners, privileges, policies, views, functions, types, roles) may bear on anything: a function that
//! is said to be immutable may read a table, a column's type may be another table's row.

use super::{Catalog, differences};
use crate::types::RelationId;
use std::collections::HashMap;

/// The parts of the fingerprint that [`VERSIONS`] divides among relations.
const DIVIDED: &[&str] = &["class", "attribute", "attrdef", "inherits", "rewrite", "trigger", "policy", "type"];

/// With more, anything may have changed.
const MOST_ALTERED: usize = 1024;

macro_rules! version {
    ($of:literal) => {
        concat!("hashint8extended((SELECT age FROM zero) - nullif(age(", $of, ".xmin), 2147483647) & 4294967295, 0)")
    };
}

/// Relation, what it is, what it stores: sums of hashes of row versions, as the fingerprint's. Of a relation's own row in `pg_class` what it
/// is are some columns, since TRUNCATE, REFRESH, CLUSTER and VACUUM FULL make a new version of it for a new file. Rows that are no
/// relation's (composite types and all that is not an array of a relation's rows) count for relation 0, as what it is.
pub(super) const VERSIONS: &str = concat!(
    "WITH zero AS MATERIALIZED (SELECT age('3'::xid)::int8 AS age),
part(relation, nature, storage) AS (
    SELECT CASE c.relkind WHEN 'c' THEN 0 ELSE c.oid END, CASE c.relkind WHEN 'c' THEN ",
    version!("c"),
    " ELSE hashtextextended(concat(c.relname, '|', c.relnamespace, '|', c.relowner, '|', c.relacl, '|', c.relkind, '|', c.relam, '|', c.relpersistence,
        '|', c.reloptions, '|', c.relrowsecurity, c.relforcerowsecurity, '|', c.reltype, '|', c.reloftype), 0) END, ",
    version!("c"),
    " FROM pg_class c WHERE c.relpersistence <> 't' AND c.relkind IN ('r','p','v','m','f','S','c')
    UNION ALL SELECT CASE WHEN c.relkind = 'c' THEN 0 ELSE coalesce(x.indrelid, c.oid) END,
        CASE WHEN x.indrelid IS NULL THEN ",
    version!("a"),
    " END, CASE WHEN x.indrelid IS NOT NULL THEN ",
    version!("a"),
    " END FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_index x ON x.indexrelid = c.oid
        WHERE a.attnum > 0 AND c.relpersistence <> 't'
    UNION ALL SELECT r.adrelid, ",
    version!("r"),
    ", NULL FROM pg_attrdef r JOIN pg_class c ON c.oid = r.adrelid WHERE c.relpersistence <> 't'
    UNION ALL SELECT r.ev_class, ",
    version!("r"),
    ", NULL FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relpersistence <> 't'
    UNION ALL SELECT r.polrelid, ",
    version!("r"),
    ", NULL FROM pg_policy r JOIN pg_class c ON c.oid = r.polrelid WHERE c.relpersistence <> 't'
    UNION ALL SELECT r.tgrelid, NULL, ",
    version!("r"),
    " FROM pg_trigger r JOIN pg_class c ON c.oid = r.tgrelid WHERE c.relpersistence <> 't'
    UNION ALL SELECT unnest(ARRAY[r.inhrelid, r.inhparent]), NULL, ",
    version!("r"),
    " FROM pg_inherits r JOIN pg_class c ON c.oid = r.inhrelid WHERE c.relpersistence <> 't'
    UNION ALL SELECT coalesce(c.oid, 0), ",
    version!("t"),
    ", NULL FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_type e ON e.oid = t.typelem LEFT JOIN pg_class c ON c.oid = e.typrelid AND c.relkind <> 'c'
        WHERE t.typtype <> 'c' AND n.nspname NOT LIKE 'pg!_temp!_%' ESCAPE '!' AND n.nspname NOT LIKE 'pg!_toast!_temp!_%' ESCAPE '!'
) SELECT relation, coalesce(sum(nature), 0), coalesce(sum(storage), 0) FROM part GROUP BY relation"
);

/// The version of one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Its columns, names and rights.
    pub is: i128,
    /// Its files, indexes, heirs, and what fires on writes.
    pub stores: i128,
}

/// By `pg_class.oid`; 0 for what is no relation's.
pub type Versions = HashMap<u32, Version>;

impl Catalog {
    /// The relations that are altered, new or gone since `before`, if nothing else is; `None` if anything may be. `was`
    /// and `is` are the fingerprints of `before` and of this.
    pub fn altered_since(&self, before: &Catalog, was: &str, is: &str) -> Option<Vec<RelationId>> {
        if differences(was, is).iter().any(|label| !DIVIDED.contains(label)) {
            return None;
        }
        let mut altered = Vec::new();
        for (oid, version) in &self.versions {
            match before.versions.get(oid) {
                Some(was) if was == version => {}
                Some(was) if was.is != version.is => return None,
                Some(_) | None => altered.push(RelationId::new(*oid)),
            }
        }
        let gone = before.versions.keys().filter(|oid| !self.versions.contains_key(oid));
        altered.extend(gone.map(|oid| RelationId::new(*oid)));
        // What takes a row may take it for an heir's of another table.
        let heirs =
            |id: &RelationId| [self, before].map(|catalog| catalog.relations.get(id).map(|found| &found.descendants));
        let beneath: Vec<RelationId> = altered.iter().flat_map(heirs).flatten().flatten().copied().collect();
        altered.extend(beneath);
        // The fingerprint differs: something must.
        (!altered.is_empty() && altered.len() <= MOST_ALTERED).then_some(altered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Persistence, Relation, RelationKind, Storage};

    fn catalog(versions: &[(u32, i128, i128)]) -> Catalog {
        let versions = versions.iter().map(|(oid, is, stores)| (*oid, Version { is: *is, stores: *stores })).collect();
        Catalog { versions, ..Catalog::default() }
    }

    #[test]
    fn c19_what_takes_a_row_may_take_an_heirs() {
        let heir = |catalog: &mut Catalog| {
            let (id, descendants) = (RelationId::new(10), vec![RelationId::new(11)]);
            let relation = Relation {
                id,
                schema: "public".to_owned(),
                name: "parent".to_owned(),
                kind: RelationKind::Table,
                persistence: Persistence::Permanent,
                storage: Storage::Own,
                row_security: false,
                policies: Vec::new(),
                columns: Vec::new(),
                descendants,
                definition: None,
                rule_dependencies: Vec::new(),
                has_rules: false,
            };
            catalog.relations.insert(id, relation);
        };
        let (mut before, mut after) = (catalog(&[(10, 1, 1), (11, 1, 1)]), catalog(&[(10, 1, 2), (11, 1, 1)]));
        let altered =
            |before: &Catalog, after: &Catalog| after.altered_since(before, "class=1", "class=2").map(|all| all.len());
        assert_eq!(altered(&before, &after), Some(1));
        heir(&mut before);
        assert_eq!(altered(&before, &after), Some(2), "it was one");
        (before, after) = (catalog(&[(10, 1, 1), (11, 1, 1)]), after);
        heir(&mut after);
        assert_eq!(altered(&before, &after), Some(2), "it is one");
    }

    #[test]
    fn c19_what_relations_store_bears_on_them_alone() {
        let before = catalog(&[(0, 1, 0), (10, 1, 1), (11, 1, 1)]);
        let altered = |after: &[(u32, i128, i128)], labels: &str| {
            let mut altered = catalog(after).altered_since(&before, "class=1 type=1 proc=1", labels)?;
            altered.sort_unstable();
            Some(altered.iter().map(|id| id.oid()).collect::<Vec<_>>())
        };
        let class = "class=2 type=1 proc=1";
        assert_eq!(altered(&[(0, 1, 0), (10, 1, 2), (11, 1, 1)], class), Some(vec![10]), "another file");
        assert_eq!(altered(&[(0, 1, 0), (10, 1, 1), (11, 1, 1), (12, 1, 1)], "class=2 type=2 proc=1"), Some(vec![12]));
        assert_eq!(altered(&[(0, 1, 0), (11, 1, 1)], class), Some(vec![10]), "one is gone");
        assert_eq!(altered(&[(0, 1, 0), (10, 2, 2), (11, 1, 1)], class), None, "another column");
        assert_eq!(altered(&[(0, 2, 0), (10, 1, 2), (11, 1, 1)], class), None, "a type of nobody's");
        assert_eq!(altered(&[(0, 1, 0), (10, 1, 2), (11, 1, 1)], "class=2 type=1 proc=2"), None, "a function");
        assert_eq!(altered(&[(0, 1, 0), (10, 1, 1), (11, 1, 1)], class), None, "what changed is not known");
    }
}
