//! The memory tier: values by their full key, bounded by bytes. Exists so that one place knows moka. Eviction is for room
//! only; truth is never deleted here, it is judged by the reader at every hit. Does not know what a value is.

use foldhash::quality::RandomState;
use moka::notification::RemovalCause;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an entry costs beside its key and value: moka's node, its queues, our allocations. Measured as resident memory.
pub const OVERHEAD_BYTES: usize = 450;

/// A full key, compared byte by byte. Lookups take `&[u8]`, so they allocate nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// The bytes of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Key(Arc::from(bytes))
    }
}

// A slice hashes as the key that holds it does: the derived `Hash` forwards to `[u8]`.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys hold parameters of clients: never printed.
        write!(f, "Key({} bytes)", self.0.len())
    }
}

/// Values by key, up to a number of bytes; past it, what is used least goes.
pub struct Memory<V> {
    values: moka::sync::Cache<Key, Arc<V>, RandomState>,
    evicted: Arc<AtomicU64>,
}

impl<V: Send + Sync + 'static> Memory<V> {
    /// Holds up to `capacity` bytes, where `weigh` gives a value's own bytes.
    pub fn new(capacity: u64, weigh: fn(&V) -> usize) -> Self {
        let evicted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&evicted);
        let values = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .weigher(move |key: &Key, value: &Arc<V>| {
                let bytes = key.0.len().saturating_add(weigh(value)).saturating_add(OVERHEAD_BYTES);
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(RandomState::default());
        Memory { values, evicted }
    }

    /// The value under exactly this key.
    pub fn lookup(&self, key: &[u8]) -> Option<Arc<V>> {
        self.values.get(key)
    }

    /// Stores, and replaces what was there.
    pub fn insert(&self, key: Key, value: Arc<V>) {
        self.values.insert(key, value);
    }

    /// Forgets one key.
    pub fn remove(&self, key: &[u8]) {
        self.values.invalidate(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.values.invalidate_all();
    }

    /// Does the pending bookkeeping (evictions, counts). Called from a background task, so that clients do not pay for it.
    pub fn maintain(&self) {
        self.values.run_pending_tasks();
    }

    /// How many values are held, as of the last maintenance.
    pub fn entries(&self) -> u64 {
        self.values.entry_count()
    }

    /// How many bytes are held, as of the last maintenance.
    pub fn bytes(&self) -> u64 {
        self.values.weighted_size()
    }

    /// How many values went for want of room.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

impl<V> fmt::Debug for Memory<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // moka would print every entry.
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(capacity: u64) -> Memory<Vec<u8>> {
        Memory::new(capacity, Vec::len)
    }

    #[test]
    fn only_the_same_bytes_find_a_value() {
        let memory = memory(1 << 20);
        memory.insert(Key::from(&b"abc"[..]), Arc::new(vec![1]));
        assert_eq!(memory.lookup(b"abc").as_deref(), Some(&vec![1]));
        for other in [&b"ABC"[..], b"ab", b"abcd", b"abc\0", b""] {
            assert!(memory.lookup(other).is_none(), "{other:?}");
        }
        memory.insert(Key::from(&b"abc"[..]), Arc::new(vec![2]));
        assert_eq!(memory.lookup(b"abc").as_deref(), Some(&vec![2]));
        memory.remove(b"abc");
        assert!(memory.lookup(b"abc").is_none());
    }

    #[test]
    fn bytes_stay_under_the_bound_and_evictions_are_counted() {
        let capacity = 100_000;
        let memory = memory(capacity);
        for i in 0..1000u32 {
            memory.insert(Key::from(&i.to_le_bytes()[..]), Arc::new(vec![0; 1000]));
        }
        memory.maintain();
        assert!(memory.bytes() <= capacity, "{}", memory.bytes());
        assert_eq!(memory.bytes(), memory.entries() * (4 + 1000 + OVERHEAD_BYTES as u64));
        assert_eq!(memory.entries() + memory.evicted(), 1000);
        memory.clear();
        memory.maintain();
        assert_eq!(memory.entries(), 0);
    }

    #[test]
    fn what_a_key_says_is_not_printed() {
        assert_eq!(format!("{:?}", Key::from(&b"password"[..])), "Key(8 bytes)");
    }
}
