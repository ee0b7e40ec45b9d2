//! Plans by text, so that a text is understood once: shared by all sessions, asked only when a session has not
//! kept the plan itself. Knows no connection.

use crate::catalog::{Catalog, SearchPath};
use crate::route::plan::{Plan, plan};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a session reads names and strings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Names {
    pub path: SearchPath,
    pub standard_strings: bool,
}

const SHARDS: usize = 16;
/// Plans a shard keeps; past it the shard starts anew.
const SHARD_LIMIT: usize = 2_048;
/// Statements that were learned to write, or numbered, before the set starts anew.
const LEARNED_LIMIT: usize = 65_536;
/// Texts longer than this are not kept: they are not analysed either.
const TEXT_LIMIT: usize = 32 * 1024;

type Shard = Mutex<HashMap<(Box<[u8]>, Arc<Names>), Arc<Plan>>>;

/// All plans of this instance.
#[derive(Debug)]
pub struct Plans {
    shards: [Shard; SHARDS],
    hasher: foldhash::fast::RandomState,
    writes: Mutex<HashSet<Arc<str>>>,
    numbers: Mutex<HashMap<Box<[u8]>, u64>>,
    next: AtomicU64,
}

/// Numbers below this are for statements of our own.
pub const FIRST_NUMBER: u64 = 16;

impl Default for Plans {
    fn default() -> Self {
        Plans {
            shards: Default::default(),
            hasher: foldhash::fast::RandomState::default(),
            writes: Mutex::default(),
            numbers: Mutex::default(),
            next: AtomicU64::new(FIRST_NUMBER),
        }
    }
}

impl Plans {
    /// The plan of `text` in the present catalog.
    pub fn plan(&self, text: &[u8], names: &Arc<Names>, catalog: &Catalog) -> Arc<Plan> {
        if text.len() > TEXT_LIMIT {
            return Arc::new(plan(text, &names.path, names.standard_strings, catalog));
        }
        let shard = &self.shards[self.hasher.hash_one(text) as usize % SHARDS];
        let key = (Box::from(text), Arc::clone(names));
        if let Some(known) = shard.lock().get(&key)
            && known.catalog_version == catalog.version
        {
            return Arc::clone(known);
        }
        let made = Arc::new(plan(text, &names.path, names.standard_strings, catalog));
        let mut shard = shard.lock();
        if shard.len() >= SHARD_LIMIT {
            shard.clear();
        }
        shard.insert(key, Arc::clone(&made));
        made
    }

    /// A replica refused it as a write (25006): it goes to the primary from now on.
    pub fn learn_write(&self, identity: &Arc<str>) {
        let mut writes = self.writes.lock();
        if writes.len() >= LEARNED_LIMIT {
            writes.clear();
        }
        writes.insert(Arc::clone(identity));
    }

    /// Whether a replica refused it before.
    pub fn is_learned_write(&self, identity: &str) -> bool {
        self.writes.lock().contains(identity)
    }

    /// The number by which a prepared statement (text and parameter types) is known on every connection.
    pub fn number(&self, sql: &[u8], types: &[u8]) -> u64 {
        let mut key = Vec::with_capacity(sql.len() + types.len() + 1);
        key.extend_from_slice(sql);
        key.push(0);
        key.extend_from_slice(types);
        let mut numbers = self.numbers.lock();
        if numbers.len() >= LEARNED_LIMIT {
            // Old numbers stay good for who holds them; the same text merely gets another one.
            numbers.clear();
        }
        *numbers.entry(key.into()).or_insert_with(|| self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A number that names nothing else: for one Parse of the unnamed statement.
    pub fn fresh_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}
