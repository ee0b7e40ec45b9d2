//! The owner's rules for statements: which match is asked once a statement and once a session, so that a request compares two
//! numbers. A rule chooses among what is allowed and never allows more: what is not proven to read goes to the primary whatever it says.

use super::explain::facts;
use super::plan::Plan;
use crate::catalog::{Catalog, RelationKind, SearchPath};
use crate::config::RouteRule;
use crate::sql::fingerprint::Fingerprint;
use crate::types::{RelationId, RouteTo};
use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of rules, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Matches(u64);

/// What a statement's text and relations match, and in which version of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ruled {
    pub version: u64,
    pub matches: Matches,
}

/// The rules of one configuration, in order.
#[derive(Debug, Default)]
pub struct RouteRules {
    /// Another one with each reload that changes them.
    pub version: u64,
    rules: Vec<RouteRule>,
    fingerprints: Vec<Option<Fingerprint>>,
}

/// The rule that counts: the first that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// From 1, as in the file.
    pub number: u16,
    rule: &'a RouteRule,
}

impl Verdict<'_> {
    pub fn to(&self) -> Option<RouteTo> {
        self.rule.destination
    }

    pub fn is_uncached(&self) -> bool {
        self.rule.cache == Some(false)
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.number)?;
        if let Some(to) = self.rule.destination {
            write!(f, " destination {}", to.label())?;
        }
        match self.rule.cache {
            Some(true) => f.write_str(" cache on"),
            Some(false) => f.write_str(" cache off"),
            None => Ok(()),
        }
    }
}

impl RouteRules {
    /// From the configuration, which has checked each.
    pub fn new(version: u64, rules: &[RouteRule]) -> Self {
        let fingerprints = rules.iter().map(|rule| rule.fingerprint.as_ref().and_then(|text| text.parse().ok()));
        RouteRules { version, fingerprints: fingerprints.collect(), rules: rules.to_vec() }
    }

    /// The rules whose conditions on the session hold: the user who logged in, and the database.
    pub fn of_session(&self, role: &str, database: &str) -> Matches {
        let holds = |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| wanted == given);
        self.matching(|_, rule| holds(&rule.role, role) && holds(&rule.database, database))
    }

    /// The rules whose conditions on the statement hold. Where it cannot be told which tables it reads, those that are strict count as
    /// holding, and no others.
    pub fn of_statement(&self, plan: &Plan, path: &SearchPath, standard_strings: bool, catalog: &Catalog) -> Ruled {
        let (by_text, by_table) =
            (|rule: &RouteRule| rule.fingerprint.is_some(), |rule: &RouteRule| rule.table.is_some());
        let text = self.rules.iter().any(by_text).then(|| plan.shape.of(&plan.identity, standard_strings).0);
        let tables = self.rules.iter().any(by_table).then(|| tables(plan, path, standard_strings, catalog)).flatten();
        let matches = self.matching(|at, rule| {
            let is_shape = rule.fingerprint.is_none() || (text.is_some() && self.fingerprints[at] == text);
            let reads = match (&rule.table, &tables) {
                (None, _) => true,
                (Some(table), Some(tables)) => tables.contains(table),
                (Some(_), None) => rule.cache == Some(false) || rule.destination == Some(RouteTo::Primary),
            };
            is_shape && reads
        });
        Ruled { version: self.version, matches }
    }

    /// The rule that counts for a statement in a session.
    pub fn verdict(&self, statement: Matches, session: Matches) -> Option<Verdict<'_>> {
        let both = statement.0 & session.0;
        let at = both.trailing_zeros();
        let rule = self.rules.get(at as usize).filter(|_| both != 0)?;
        Some(Verdict { number: u16::try_from(at + 1).unwrap_or(u16::MAX), rule })
    }

    fn matching(&self, holds: impl Fn(usize, &RouteRule) -> bool) -> Matches {
        // The configuration has no more of them than bits.
        let bits = self.rules.iter().enumerate().filter(|(at, rule)| *at < 64 && holds(*at, rule));
        Matches(bits.fold(0, |set, (at, _)| set | 1 << at))
    }
}

/// Every table that the statement reads, by name, those behind its views too; nothing where that is not known.
fn tables(plan: &Plan, path: &SearchPath, standard_strings: bool, catalog: &Catalog) -> Option<HashSet<String>> {
    let mut todo: Vec<RelationId> = match &plan.cache {
        Ok(recipe) => recipe.relations.to_vec(),
        Err(_) => {
            let facts = facts(plan, standard_strings)?;
            let named = facts.relations.iter();
            named
                .map(|name| Some(catalog.relation(name.schema.as_deref(), &name.name, path)?.id))
                .collect::<Option<_>>()?
        }
    };
    let (mut seen, mut names) = (HashSet::new(), HashSet::new());
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let relation = catalog.relations.get(&id)?;
        names.insert(format!("{}.{}", relation.schema, relation.name));
        if relation.kind == RelationKind::View {
            todo.extend(&relation.rule_dependencies);
        }
    }
    Some(names)
}

/// The rules for one session.
#[derive(Debug, Default)]
pub struct SessionRules {
    pub rules: Arc<RouteRules>,
    matches: Matches,
}

impl SessionRules {
    /// For a user and his database.
    pub fn new(rules: Arc<RouteRules>, role: &str, database: &str) -> Self {
        SessionRules { matches: rules.of_session(role, database), rules }
    }

    /// The rule that counts for a statement here.
    pub fn verdict(&self, plan: &Plan) -> Option<Verdict<'_>> {
        self.rules.verdict(plan.ruled.matches, self.matches)
    }
}

/// The rules as they are now, for everybody.
#[derive(Debug, Default)]
pub struct Rulebook {
    present: ArcSwap<RouteRules>,
    version: AtomicU64,
}

impl Rulebook {
    pub fn new(rules: &[RouteRule]) -> Self {
        let book = Rulebook::default();
        book.change(rules);
        book
    }

    /// Other rules from now on.
    pub fn change(&self, rules: &[RouteRule]) {
        let version = self.version.load(Ordering::Acquire) + 1;
        self.present.store(Arc::new(RouteRules::new(version, rules)));
        self.version.store(version, Ordering::Release);
    }

    /// Which version is the present one.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn present(&self) -> Arc<RouteRules> {
        self.present.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::plan::{Encoding, plan};
    use crate::sql::fingerprint::{fingerprint, shape};

    fn rule(change: impl FnOnce(&mut RouteRule)) -> RouteRule {
        let mut rule = RouteRule::default();
        change(&mut rule);
        rule
    }

    #[test]
    fn the_first_rule_counts_whose_conditions_all_hold() {
        let text = fingerprint(&shape("SELECT 1", true)).to_string();
        let rules = RouteRules::new(
            7,
            &[
                rule(|rule| {
                    (rule.role, rule.fingerprint) = (Some("bob".into()), Some(text));
                    rule.destination = Some(RouteTo::Primary);
                }),
                rule(|rule| (rule.database, rule.cache) = (Some("shop".into()), Some(false))),
                rule(|rule| rule.destination = Some(RouteTo::Any)),
            ],
        );
        let number = |sql: &str, role: &str, database: &str| {
            let catalog = Catalog::default();
            let plan = plan(sql.as_bytes(), &SearchPath::default(), true, Encoding::Utf8, &catalog);
            let ruled = rules.of_statement(&plan, &SearchPath::default(), true, &catalog);
            assert_eq!(ruled.version, 7);
            rules.verdict(ruled.matches, rules.of_session(role, database)).map(|verdict| verdict.number)
        };
        assert_eq!(number("SELECT 2", "bob", "shop"), Some(1), "another literal is the same statement");
        assert_eq!(number("SELECT 2", "eve", "shop"), Some(2));
        assert_eq!(number("SELECT 2, 3 + 4", "bob", "other"), Some(3));
        assert_eq!(RouteRules::default().verdict(Matches::default(), Matches::default()), None);
    }

    #[test]
    fn where_the_tables_are_not_known_strict_rules_alone_hold() {
        let table = Some("public.t".to_owned());
        let strict = rule(|rule| (rule.table, rule.destination) = (table.clone(), Some(RouteTo::Primary)));
        let lenient = rule(|rule| (rule.table, rule.destination) = (table.clone(), Some(RouteTo::Replica)));
        let rules = RouteRules::new(1, &[lenient, strict]);
        let catalog = Catalog::default();
        let plan = plan(b"EXPLAIN SELECT * FROM t", &SearchPath::default(), true, Encoding::Utf8, &catalog);
        let ruled = rules.of_statement(&plan, &SearchPath::default(), true, &catalog);
        let verdict = rules.verdict(ruled.matches, rules.of_session("a", "b"));
        assert_eq!(verdict.map(|verdict| (verdict.number, verdict.to())), Some((2, Some(RouteTo::Primary))));
    }
}
