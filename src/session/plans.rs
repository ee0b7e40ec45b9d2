//! Plans by text, so that a text is understood once: shared by all sessions, asked only when a session has not
//! kept the plan itself. A text that is new is held against the templates of those before it: where literals alone differ, what was
//! understood holds, and the text is neither parsed nor judged. Its identity, hint and rules are its own. Knows no connection.

use crate::catalog::{Catalog, SearchPath};
use crate::route::plan::{Encoding, Plan, plan};
use crate::route::rules::RouteRules;
use crate::sql::template::template;
use crate::sql::time_words::is_time_word;
use crate::sql::token;
use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How a session reads a text: names, strings, and what PostgreSQL makes of constants as it parses them (`coerce_type` in parse_coerce.c).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Names {
    pub path: SearchPath,
    pub standard_strings: bool,
    pub encoding: Encoding,
    /// Every other setting of the session's own that may decide what a text means (`Settings::texts`).
    pub settings: Box<[u8]>,
}

impl Names {
    fn bytes(&self) -> usize {
        self.path.0.iter().map(String::len).sum::<usize>() + self.settings.len() + size_of::<Self>()
    }

    /// What decides, beside what names stand for, how a text is read.
    pub fn words(&self) -> Arc<[u8]> {
        let mut out = format!("{:?} {:?} ", self.encoding, self.standard_strings).into_bytes();
        out.extend_from_slice(&self.settings);
        out.into()
    }

    /// What stands for all texts that differ from this one in literals of no account alone.
    fn template<'t>(&self, text: &'t [u8]) -> Option<(&'t str, Vec<u8>)> {
        let text = std::str::from_utf8(text).ok().filter(|text| self.encoding.reads(text.as_bytes()))?;
        Some((text, template(text, self.standard_strings)?))
    }

    /// Whether every session with these names, whenever it parses the text, gets the same statement.
    pub fn read_alike(&self, text: &[u8]) -> bool {
        self.encoding.reads(text) && !says_time(text)
    }
}

/// Whether a text holds, but for calls, a word that PostgreSQL reads in a constant as the time of parsing.
fn says_time(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(u8::is_ascii_alphabetic) {
        let rest = &text[at + start..];
        let word = &rest[..rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(rest.len())];
        at += start + word.len();
        if is_time_word(word) && text[at..].iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'(') {
            return true;
        }
    }
    false
}

const SHARDS: usize = 16;
/// Of the plans by template, which are asked for new texts alone.
const TEMPLATE_SHARDS: usize = 4;
/// Plans a shard keeps, and their bytes; past either the shard starts anew.
const SHARD_LIMIT: usize = 2_048;
const SHARD_BYTES: usize = 4 * 1024 * 1024;
/// Statements that were numbered, and their bytes, before the set starts anew.
const NUMBERED_LIMIT: usize = 65_536;
const NUMBERED_BYTES: usize = 16 * 1024 * 1024;
/// Statements that were learned to write before the set starts anew. Learning one more copies it.
const LEARNED_LIMIT: usize = 4_096;
/// Texts longer than this are not kept: they are not analysed either.
const TEXT_LIMIT: usize = 32 * 1024;
/// So none that is kept is refused for its length, of which its template says nothing.
const _: () = assert!(TEXT_LIMIT <= token::LONGEST);
/// Plans a session keeps for itself: what it repeats takes no lock.
const RECENT: usize = 32;
/// Bytes of their texts; past it the session keeps the last one alone.
const RECENT_BYTES: usize = 64 * 1024;
/// Bytes of a plan beside its texts, about.
const PLAN_BYTES: usize = 1024;

type Map<K, V> = HashMap<K, V, RandomState>;

/// A text, or a template, with its plan.
#[derive(Debug, Clone)]
struct Known {
    text: Arc<[u8]>,
    plan: Arc<Plan>,
}

impl Known {
    fn bytes(&self) -> usize {
        self.text.len() + self.plan.identity.len() + PLAN_BYTES
    }
}

/// Numbers of statements (text and parameter types), by how they are read.
#[derive(Debug, Default)]
struct Numbers {
    by_names: Map<Arc<Names>, Map<Box<[u8]>, u64>>,
    count: usize,
    bytes: usize,
}

type ByText = Map<Arc<[u8]>, Arc<Plan>>;

/// Plans of some of the texts or templates, by how names are read and then by text, so that looking one up copies neither.
#[derive(Debug, Default)]
struct Shard {
    plans: Map<Arc<Names>, ByText>,
    count: usize,
    bytes: usize,
}

/// The plans that one session used last, all made by the same names: each text has one place.
#[derive(Debug, Default)]
pub struct Recent(Box<[Option<Known>]>);

/// All plans of this instance.
#[derive(Debug)]
pub struct Plans {
    shards: [Mutex<Shard>; SHARDS],
    /// By template, each the plan of the text that was understood first.
    templates: [Mutex<Shard>; TEMPLATE_SHARDS],
    hasher: RandomState,
    /// Read far more often than written, and by all sessions.
    writes: ArcSwap<HashSet<Arc<str>, RandomState>>,
    /// Whether there are any: asked by every statement, and most instances never learn one.
    has_writes: AtomicBool,
    numbers: Mutex<Numbers>,
    next: AtomicU64,
}

/// Numbers below this are for statements of our own.
pub const FIRST_NUMBER: u64 = 16;

impl Default for Plans {
    fn default() -> Self {
        Plans {
            shards: Default::default(),
            templates: Default::default(),
            hasher: RandomState::default(),
            writes: ArcSwap::default(),
            has_writes: AtomicBool::new(false),
            numbers: Mutex::default(),
            next: AtomicU64::new(FIRST_NUMBER),
        }
    }
}

impl Recent {
    /// Forgets all: names are read differently from now on.
    pub fn clear(&mut self) {
        self.0 = Box::default();
    }

    fn place(hash: u64) -> usize {
        // The shards use the low bits.
        (hash >> 32) as usize % RECENT
    }

    fn get(&self, hash: u64, text: &[u8]) -> Option<&Arc<Plan>> {
        let known = self.0.get(Self::place(hash))?.as_ref()?;
        (*known.text == *text).then_some(&known.plan)
    }

    fn keep(&mut self, hash: u64, known: Known) {
        if self.0.is_empty() {
            self.0 = vec![None; RECENT].into();
        }
        let place = Self::place(hash);
        self.0[place] = Some(known);
        if self.0.iter().flatten().map(|known| known.text.len()).sum::<usize>() > RECENT_BYTES {
            let kept = self.0[place].take();
            self.0.fill(None);
            self.0[place] = kept;
        }
    }
}

impl Shard {
    fn get(&self, text: &[u8], names: &Names) -> Option<Known> {
        let (text, plan) = self.plans.get(names)?.get_key_value(text)?;
        Some(Known { text: Arc::clone(text), plan: Arc::clone(plan) })
    }

    fn insert(&mut self, names: &Arc<Names>, known: &Known) {
        if self.count >= SHARD_LIMIT || self.bytes >= SHARD_BYTES {
            *self = Shard::default();
        }
        if !self.plans.contains_key(names) {
            self.bytes += names.bytes();
        }
        let plans = self.plans.entry(Arc::clone(names)).or_default();
        self.bytes += known.bytes();
        match plans.insert(Arc::clone(&known.text), Arc::clone(&known.plan)) {
            None => self.count += 1,
            Some(plan) => self.bytes -= Known { text: Arc::clone(&known.text), plan }.bytes(),
        }
    }
}

/// With the rules that the statement matches.
fn ruled(mut plan: Plan, names: &Names, (catalog, rules): (&Catalog, &RouteRules)) -> Arc<Plan> {
    plan.ruled = rules.of_statement(&plan, &names.path, names.standard_strings, catalog);
    Arc::new(plan)
}

/// Understands a text by itself.
fn made(text: &[u8], names: &Names, now: (&Catalog, &RouteRules)) -> Arc<Plan> {
    ruled(plan(text, &names.path, names.standard_strings, names.encoding, now.0), names, now)
}

impl Plans {
    /// The plan of `text` in the present catalog. `recent`: the session's own, made by the same names.
    pub fn plan(
        &self,
        text: &[u8],
        names: &Arc<Names>,
        now: (&Catalog, &RouteRules),
        recent: &mut Recent,
    ) -> Arc<Plan> {
        if text.len() > TEXT_LIMIT {
            return made(text, names, now);
        }
        let (catalog, rules) = now;
        let is_current = |plan: &Plan| plan.catalog_version == catalog.version && plan.ruled.version == rules.version;
        let hash = self.hasher.hash_one(text);
        if let Some(plan) = recent.get(hash, text).filter(|plan| is_current(plan)) {
            return Arc::clone(plan);
        }
        let shard = &self.shards[hash as usize % SHARDS];
        let found = shard.lock().get(text, names).filter(|known| is_current(&known.plan));
        let known = found.unwrap_or_else(|| {
            let new = Known { text: text.into(), plan: self.understood(text, names, now) };
            shard.lock().insert(names, &new);
            new
        });
        let plan = Arc::clone(&known.plan);
        recent.keep(hash, known);
        plan
    }

    /// The plan of a text that is not known: by its template, or made.
    fn understood(&self, text: &[u8], names: &Arc<Names>, now: (&Catalog, &RouteRules)) -> Arc<Plan> {
        let Some((readable, template)) = names.template(text) else { return made(text, names, now) };
        if let Some(plan) = self.alike(readable, &template, names, now) {
            return plan;
        }
        let plan = made(text, names, now);
        if plan.holds_for_template() {
            let known = Known { text: template.into(), plan: Arc::clone(&plan) };
            self.of_template(&known.text).lock().insert(names, &known);
        }
        plan
    }

    /// The plan of a text by that of another one of its template.
    fn alike(
        &self,
        text: &str,
        template: &[u8],
        names: &Names,
        (catalog, rules): (&Catalog, &RouteRules),
    ) -> Option<Arc<Plan>> {
        let known = self.of_template(template).lock().get(template, names)?;
        // The rules are asked anew in any case.
        let is_current = known.plan.catalog_version == catalog.version;
        is_current.then(|| ruled(known.plan.of_alike(text, names.standard_strings), names, (catalog, rules)))
    }

    fn of_template(&self, template: &[u8]) -> &Mutex<Shard> {
        &self.templates[self.hasher.hash_one(template) as usize % TEMPLATE_SHARDS]
    }

    /// A replica refused it as a write (25006): it goes to the primary from now on.
    pub fn learn_write(&self, identity: &Arc<str>) {
        self.writes.rcu(|known| {
            let mut known = if known.len() < LEARNED_LIMIT { HashSet::clone(known) } else { HashSet::default() };
            known.insert(Arc::clone(identity));
            known
        });
        self.has_writes.store(true, Ordering::Release);
    }

    /// Whether a replica refused it before.
    pub fn is_learned_write(&self, identity: &str) -> bool {
        self.has_writes.load(Ordering::Acquire) && self.writes.load().contains(identity)
    }

    /// Whether a statement is known to all by one number, and not so long that each Parse of it has its own.
    pub fn has_number(sql: &[u8], types: &[u8]) -> bool {
        sql.len() + types.len() <= TEXT_LIMIT
    }

    /// The number by which a prepared statement (text and parameter types, read by these names) is known on every connection.
    pub fn number(&self, sql: &[u8], types: &[u8], names: &Arc<Names>) -> u64 {
        if !Self::has_number(sql, types) {
            return self.fresh_number();
        }
        let mut key = Vec::with_capacity(sql.len() + types.len() + 1);
        key.extend_from_slice(sql);
        key.push(0);
        key.extend_from_slice(types);
        let mut numbers = self.numbers.lock();
        if numbers.count >= NUMBERED_LIMIT || numbers.bytes >= NUMBERED_BYTES {
            // Old numbers stay good for who holds them; the same text merely gets another one.
            *numbers = Numbers::default();
        }
        let Numbers { by_names, count, bytes } = &mut *numbers;
        if !by_names.contains_key(names) {
            *bytes += names.bytes();
        }
        let size = key.len();
        let numbered = by_names.entry(Arc::clone(names)).or_default().entry(key.into());
        *numbered.or_insert_with(|| {
            *count += 1;
            *bytes += size;
            self.next.fetch_add(1, Ordering::Relaxed)
        })
    }

    /// A number that names nothing else: for one Parse.
    pub fn fresh_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod template_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogVersion, Parts};

    fn names(schema: &str) -> Arc<Names> {
        Arc::new(Names { path: SearchPath(vec![schema.to_owned()]), standard_strings: true, ..Names::default() })
    }

    #[test]
    fn a_text_is_understood_once_for_all_sessions_that_read_names_alike() {
        let (plans, catalog) = (Plans::default(), (&Catalog::default(), &RouteRules::default()));
        let (mut one, mut other) = (Recent::default(), Recent::default());
        let first = plans.plan(b"SELECT 1", &names("a"), catalog, &mut one);
        assert!(Arc::ptr_eq(&first, &plans.plan(b"SELECT 1", &names("a"), catalog, &mut one)));
        assert!(Arc::ptr_eq(&first, &plans.plan(b"SELECT 1", &names("a"), catalog, &mut other)));
        assert!(!Arc::ptr_eq(&first, &plans.plan(b"SELECT 2", &names("a"), catalog, &mut one)));
        one.clear();
        assert!(!Arc::ptr_eq(&first, &plans.plan(b"SELECT 1", &names("b"), catalog, &mut one)));
    }

    #[test]
    fn texts_that_differ_in_literals_are_understood_once_and_stay_apart() {
        let (plans, catalog, rules) = (Plans::default(), Catalog::default(), RouteRules::default());
        let (names, mut recent) = (names("a"), Recent::default());
        let mut plan = |text: &str| plans.plan(text.as_bytes(), &names, (&catalog, &rules), &mut recent);
        let kept = || plans.templates.iter().map(|shard| shard.lock().count).sum::<usize>();
        let one = plan("SELECT length('a'), 1");
        let other = plan("SELECT  length('b'),\n2 -- x");
        assert_eq!(kept(), 0, "what is not proven has no template: {one:?}");
        assert_ne!(one.identity, other.identity);
        let one = plan("SELECT 'a' AS v, 1 AS w");
        let other = plan("/* sidecache: off */ SELECT  'b' AS v,\n2 AS w");
        assert_eq!(kept(), 1);
        assert_eq!((&*one.identity, &*other.identity), ("SELECT 'a' AS v, 1 AS w", "SELECT  'b' AS v,\n2 AS w"));
        assert_eq!((one.hint.off, other.hint.off), (false, true));
        assert_eq!((&one.kind, &one.cache), (&other.kind, &other.cache));
        plan("SELECT 'now' AS v, 1 AS w");
        assert_eq!(kept(), 2, "a word that means the present is understood by itself");
    }

    #[test]
    fn a_template_holds_for_one_catalog_one_reading_of_names_and_readable_texts() {
        let (plans, rules, catalog) = (Plans::default(), RouteRules::default(), Catalog::default());
        let later = Catalog::new(CatalogVersion(catalog.version.0 + 1), Parts::default());
        let alike = |text: &str, names: &Arc<Names>, catalog: &Catalog| {
            let (text, template) = names.template(text.as_bytes())?;
            plans.alike(text, &template, names, (catalog, &rules))
        };
        plans.plan(b"VALUES ('a')", &names("a"), (&catalog, &rules), &mut Recent::default());
        assert!(alike("VALUES ('b')", &names("a"), &catalog).is_some());
        assert!(alike("VALUES ('b')", &names("b"), &catalog).is_none());
        assert!(alike("VALUES ('b')", &names("a"), &later).is_none());
        let plan = |text: &str, names: &Arc<Names>| {
            plans.plan(text.as_bytes(), names, (&later, &rules), &mut Recent::default())
        };
        assert_eq!(plan("VALUES ('c')", &names("a")).catalog_version, later.version);
        assert!(alike("VALUES ('b')", &names("a"), &later).is_some(), "the one before makes room");
        let latin = Arc::new(Names { encoding: Encoding::AsciiBased, ..Names::clone(&names("a")) });
        plan("VALUES ('a')", &latin);
        assert!(alike("VALUES ('b')", &latin, &later).is_some());
        assert!(latin.template("VALUES ('\u{e9}')".as_bytes()).is_none());
        assert!(names("a").template(b"VALUES ('\xe9')").is_none());
    }

    #[test]
    fn templates_are_kept_in_bounds() {
        let (plans, catalog) = (Plans::default(), (&Catalog::default(), &RouteRules::default()));
        let (names, mut recent) = (names("a"), Recent::default());
        for n in 0..TEMPLATE_SHARDS * SHARD_LIMIT * 2 {
            plans.plan(format!("VALUES (1, $${n}$$)").as_bytes(), &names, catalog, &mut recent);
        }
        let counts = plans.templates.each_ref().map(|shard| shard.lock().count);
        assert!(counts.iter().all(|count| (1..=SHARD_LIMIT).contains(count)), "{counts:?}");
        let mut shard = Shard::default();
        for text in
            ["VALUES (1)", &format!("VALUES (1){}", " ".repeat(1_000)), &format!("VALUES ('{}')", "x".repeat(2_000))]
        {
            let plan = made(text.as_bytes(), &names, catalog);
            shard.insert(&names, &Known { text: b"template"[..].into(), plan });
            let held: usize = shard.plans.values().flatten().map(|(text, plan)| text.len() + plan.identity.len()).sum();
            assert_eq!(shard.bytes, held + PLAN_BYTES + names.bytes(), "{text}");
        }
        assert_eq!(shard.count, 1);
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let (plans, catalog) = (Plans::default(), (&Catalog::default(), &RouteRules::default()));
        let (names, mut recent) = (names("a"), Recent::default());
        for n in 0..SHARDS * SHARD_LIMIT * 2 {
            plans.plan(format!("SHOW x{n}").as_bytes(), &names, catalog, &mut recent);
        }
        assert!(plans.shards.iter().all(|shard| shard.lock().count <= SHARD_LIMIT));
        plans.plan(" ".repeat(TEXT_LIMIT + 1).as_bytes(), &names, catalog, &mut recent);
        assert!(recent.0.iter().flatten().all(|known| known.text.len() <= TEXT_LIMIT));
    }

    #[test]
    fn long_texts_are_kept_in_bounds_of_bytes() {
        let (plans, catalog) = (Plans::default(), (&Catalog::default(), &RouteRules::default()));
        let (names, mut recent) = (names("a"), Recent::default());
        for n in 0..SHARDS * SHARD_BYTES / TEXT_LIMIT {
            plans.plan(format!("SHOW x{n:>0$}", TEXT_LIMIT - 6).as_bytes(), &names, catalog, &mut recent);
        }
        for shard in &plans.shards {
            let shard = shard.lock();
            let kept = shard.plans.values().flatten().map(|(text, plan)| text.len() + plan.identity.len());
            assert!(kept.sum::<usize>() <= SHARD_BYTES + 2 * TEXT_LIMIT);
        }
        let of_session = recent.0.iter().flatten().map(|known| known.text.len()).sum::<usize>();
        assert!((TEXT_LIMIT..=RECENT_BYTES).contains(&of_session), "{of_session}");
    }

    #[test]
    fn statements_are_numbered_in_bounds_of_bytes_and_no_two_have_one_number() {
        let (plans, names) = (Plans::default(), names("a"));
        let kept = || {
            let numbers = plans.numbers.lock();
            numbers.by_names.values().flatten().map(|(key, _)| key.len()).sum::<usize>()
        };
        let long = vec![b'x'; 400 * 1024];
        assert_ne!(plans.number(&long, b"", &names), plans.number(&long, b"", &names));
        assert_eq!(kept(), 0, "too long to be kept");
        let number = |n| plans.number(format!("{n:>0$}", TEXT_LIMIT - 4).as_bytes(), &[0, 0, 0, n as u8], &names);
        let count = 2 * NUMBERED_BYTES / TEXT_LIMIT;
        let numbers: HashSet<u64> = (0..count).map(number).collect();
        assert_eq!(numbers.len(), count);
        assert!(kept() <= NUMBERED_BYTES + TEXT_LIMIT);
        assert_eq!(number(count), number(count));
    }

    #[test]
    fn a_learned_write_is_remembered() {
        let plans = Plans::default();
        assert!(!plans.is_learned_write("select f()"));
        plans.learn_write(&"select f()".into());
        assert!(plans.is_learned_write("select f()") && !plans.is_learned_write("select g()"));
    }
}
