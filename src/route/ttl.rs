//! What the rules of the configuration allow to be kept by the clock: pure, by names that the catalog gives. Whether they
//! apply at all (they do where no stream can be had) is not known here.

use crate::catalog::{Catalog, Relation, RelationKind};
use crate::config::TtlRule;
use crate::types::RelationId;
use std::collections::HashMap;
use std::time::Duration;

/// How long answers from each table may be kept: by schema and name.
#[derive(Debug, Default)]
pub struct TtlRules(HashMap<String, HashMap<String, Duration>>);

/// A relation that no rule names, so that a reader of it is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed(pub RelationId);

impl TtlRules {
    /// From the configuration, which has checked that each is `schema.table`.
    pub fn new(rules: &[TtlRule]) -> Self {
        let mut by_schema: HashMap<String, HashMap<String, Duration>> = HashMap::new();
        for rule in rules {
            if let Some((schema, name)) = rule.table.split_once('.') {
                by_schema.entry(schema.to_owned()).or_default().insert(name.to_owned(), rule.ttl);
            }
        }
        TtlRules(by_schema)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long an answer may be kept that depends on these: the shortest of their times. Every table must be named, or
    /// descend from one of them that is; a view is no more than what it reads. Never one with row-level security: a rule says how old
    /// rows may be, not how old the right to see them.
    ///
    /// # Errors
    /// The first that no rule names.
    pub fn ttl(&self, relations: &[RelationId], catalog: &Catalog) -> Result<Duration, Unnamed> {
        let known: Vec<(RelationId, Option<&Relation>)> =
            relations.iter().map(|id| (*id, catalog.relations.get(id))).collect();
        let named: Vec<(&Relation, Duration)> =
            known.iter().filter_map(|(_, relation)| Some(((*relation)?, self.rule((*relation)?)?))).collect();
        for (id, relation) in &known {
            let is_view = relation.is_some_and(|relation| relation.kind == RelationKind::View);
            let is_open = !relation.is_some_and(|relation| relation.row_security);
            let covered =
                is_open && named.iter().any(|(relation, _)| relation.id == *id || relation.descendants.contains(id));
            if !is_view && !covered {
                return Err(Unnamed(*id));
            }
        }
        let shortest = named.into_iter().map(|(_, ttl)| ttl).min();
        shortest.ok_or(Unnamed(relations.first().copied().unwrap_or(RelationId::new(0))))
    }

    fn rule(&self, relation: &Relation) -> Option<Duration> {
        // A rule on a view would promise something of tables that it does not name.
        let holds_rows = relation.kind != RelationKind::View;
        self.0.get(&relation.schema)?.get(&relation.name).copied().filter(|_| holds_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogVersion, Parts, Persistence, Storage};

    const RATES: RelationId = RelationId::new(1);
    const PARENT: RelationId = RelationId::new(2);
    const CHILD: RelationId = RelationId::new(3);
    const VIEW: RelationId = RelationId::new(4);
    const OTHER: RelationId = RelationId::new(5);
    const SECRET: RelationId = RelationId::new(6);

    fn relation(id: RelationId, name: &str, kind: RelationKind, descendants: &[RelationId]) -> Relation {
        Relation {
            id,
            schema: "public".to_owned(),
            name: name.to_owned(),
            kind,
            persistence: Persistence::Permanent,
            storage: Storage::Own,
            row_security: false,
            policies: Vec::new(),
            columns: Vec::new(),
            descendants: descendants.to_vec(),
            definition: None,
            rule_dependencies: Vec::new(),
            has_rules: false,
        }
    }

    fn catalog() -> Catalog {
        let relations = vec![
            relation(RATES, "rates", RelationKind::Table, &[]),
            relation(PARENT, "events", RelationKind::Partitioned, &[CHILD]),
            relation(CHILD, "events_1", RelationKind::Table, &[]),
            relation(VIEW, "v", RelationKind::View, &[]),
            relation(OTHER, "other", RelationKind::Table, &[]),
            Relation { row_security: true, ..relation(SECRET, "secret", RelationKind::Table, &[]) },
        ];
        Catalog::new(CatalogVersion(1), Parts { relations, ..Parts::default() })
    }

    fn ttl(relations: &[RelationId]) -> Result<u64, Unnamed> {
        let rule = |table: &str, seconds| TtlRule { table: table.to_owned(), ttl: Duration::from_secs(seconds) };
        let rules = TtlRules::new(&[
            rule("public.rates", 30),
            rule("public.events", 5),
            rule("public.v", 1),
            rule("public.secret", 9),
        ]);
        rules.ttl(relations, &catalog()).map(|ttl| ttl.as_secs())
    }

    #[test]
    fn the_shortest_time_counts_and_every_table_must_be_named() {
        assert_eq!(ttl(&[RATES]), Ok(30));
        assert_eq!(ttl(&[RATES, PARENT, CHILD]), Ok(5));
        assert_eq!(ttl(&[RATES, OTHER]), Err(Unnamed(OTHER)));
        assert_eq!(ttl(&[CHILD]), Err(Unnamed(CHILD)), "read by itself, a partition needs a rule of its own");
        assert_eq!(ttl(&[RATES, RelationId::new(99)]), Err(Unnamed(RelationId::new(99))));
    }

    #[test]
    fn c15_no_rule_says_how_old_the_right_to_see_a_row_may_be() {
        assert_eq!(ttl(&[RATES, SECRET]), Err(Unnamed(SECRET)));
    }

    #[test]
    fn a_view_is_no_more_than_what_it_reads() {
        assert_eq!(ttl(&[VIEW, RATES]), Ok(30), "the rule on the view itself says nothing");
        assert_eq!(ttl(&[VIEW, OTHER]), Err(Unnamed(OTHER)));
        assert_eq!(ttl(&[VIEW]), Err(Unnamed(VIEW)));
        assert!(TtlRules::new(&[]).is_empty());
    }
}
