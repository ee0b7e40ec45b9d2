//! A map for names that whoever can connect may choose: bounded, and what is in use outlives what is thrown at it. Two
//! generations, of which the elder goes when the younger is full; what is touched is young again. Knows no clock.

use std::collections::HashMap;
use std::hash::Hash;

/// At most `2 * HALF` entries.
#[derive(Debug)]
pub(super) struct Generations<K, V, const HALF: usize> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V, const HALF: usize> Default for Generations<K, V, HALF> {
    fn default() -> Self {
        Generations { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone, V, const HALF: usize> Generations<K, V, HALF> {
    /// What is kept under this key.
    pub fn touch(&mut self, key: &K) -> Option<&mut V> {
        if let Some(value) = self.old.remove(key) {
            self.insert(key.clone(), value);
        }
        self.young.get_mut(key)
    }

    /// What is kept under this key, from now on if nothing was.
    pub fn touch_or(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let kept = self.old.remove(&key);
        self.make_room_for(&key);
        self.young.entry(key).or_insert_with(|| kept.unwrap_or_else(make))
    }

    /// Puts another in the place of what was kept.
    pub fn insert(&mut self, key: K, value: V) {
        self.make_room_for(&key);
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    fn make_room_for(&mut self, key: &K) {
        if self.young.len() >= HALF && !self.young.contains_key(key) {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Keeps nothing under this key.
    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_outlives_a_flood_that_stays_in_bounds() {
        let mut kept: Generations<u32, u32, 8> = Generations::default();
        kept.insert(0, 7);
        for name in 1..1_000 {
            kept.insert(name, name);
            assert_eq!(kept.touch(&0), Some(&mut 7), "after {name}");
            assert_eq!(kept.touch_or(0, || 9), &7, "after {name}");
            assert!(kept.len() <= 16);
        }
        assert_eq!(kept.touch(&1), None);
        assert_eq!((*kept.touch_or(1, || 3), *kept.touch_or(1, || 4)), (3, 3));
        kept.insert(0, 8);
        assert_eq!(kept.touch(&0), Some(&mut 8));
        kept.remove(&0);
        assert_eq!(kept.touch(&0), None);
    }
}
