//! What a unit's messages do to the names of statements, in their order, and what a name stands for before any of them. A batch may have
//! any number: each costs about the same. Sends nothing.

use super::portal::Prepared;
use crate::route::plan::{Kind, Plan, SettingChange};
use bytes::Bytes;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// A message that gives a name or takes one away, once the server has answered it.
#[derive(Debug)]
pub enum Naming {
    Prepared(Bytes, Arc<Prepared>),
    Closed(Bytes),
    ClosedPortal(Bytes),
    /// The execution with this number, which may give or take names in SQL, and those that it surely drops.
    Ran(usize, Drops),
}

/// Which names of statements an execution drops.
#[derive(Debug)]
pub enum Drops {
    None,
    One(Bytes),
    All,
}

impl Drops {
    /// What a plan does to names; nothing if that is nothing.
    pub fn of(plan: Option<&Plan>) -> Option<Drops> {
        Some(match plan.map(|plan| &plan.kind) {
            None | Some(Kind::Prepare { .. } | Kind::Execute { .. }) => Drops::None,
            Some(Kind::Deallocate { name: Some(name) }) => Drops::One(Bytes::copy_from_slice(name.as_bytes())),
            Some(Kind::Deallocate { name: None } | Kind::Setting(SettingChange::DiscardAll)) => Drops::All,
            Some(_) => return None,
        })
    }
}

impl Naming {
    /// What the message makes of a statement's name; nothing if that is nothing.
    fn of(&self, name: &[u8]) -> Option<Option<&Arc<Prepared>>> {
        match self {
            Naming::Prepared(prepared, statement) => (prepared == name).then_some(Some(statement)),
            Naming::Closed(closed) | Naming::Ran(_, Drops::One(closed)) => (closed == name).then_some(None),
            // The unnamed one stays.
            Naming::Ran(_, Drops::All) => (!name.is_empty()).then_some(None),
            Naming::Ran(_, Drops::None) | Naming::ClosedPortal(_) => None,
        }
    }
}

/// So many are looked through one by one.
const FEW: usize = 16;

/// All of a unit, in order.
#[derive(Debug)]
pub enum Namings {
    Few(Vec<Naming>),
    /// Boxed, since every session keeps room for a survey.
    Many(Box<(Vec<Naming>, Places)>),
}

impl Default for Namings {
    fn default() -> Self {
        Namings::Few(Vec::new())
    }
}

/// Where names are given or taken away, in ascending order.
#[derive(Debug, Default)]
pub struct Places {
    by_name: HashMap<Bytes, SmallVec<[usize; 2]>, RandomState>,
    drops_all: Vec<usize>,
}

impl Places {
    fn note(&mut self, at: usize, naming: &Naming) {
        match naming {
            Naming::Prepared(name, _) | Naming::Closed(name) | Naming::Ran(_, Drops::One(name)) => {
                self.by_name.entry(name.clone()).or_default().push(at);
            }
            Naming::Ran(_, Drops::All) => self.drops_all.push(at),
            Naming::Ran(_, Drops::None) | Naming::ClosedPortal(_) => {}
        }
    }

    /// The last one before `here` that may have to do with the name.
    fn last(&self, here: usize, name: &[u8]) -> Option<usize> {
        let last = |places: &[usize]| places[..places.partition_point(|at| *at < here)].last().copied();
        let own = self.by_name.get(name).and_then(|places| last(places));
        own.max(last(&self.drops_all).filter(|_| !name.is_empty()))
    }
}

impl Namings {
    pub fn push(&mut self, naming: Naming) {
        match self {
            Namings::Few(all) if all.len() < FEW => all.push(naming),
            Namings::Few(all) => {
                let mut places = Places::default();
                all.iter().enumerate().for_each(|(at, naming)| places.note(at, naming));
                *self = Namings::Many(Box::new((std::mem::take(all), places)));
                self.push(naming);
            }
            Namings::Many(many) => {
                let (all, places) = &mut **many;
                places.note(all.len(), &naming);
                all.push(naming);
            }
        }
    }

    pub fn all(&self) -> &[Naming] {
        match self {
            Namings::Few(all) => all,
            Namings::Many(many) => &many.0,
        }
    }

    /// What all of them have made of a statement's name; `None` if nothing.
    pub fn named(&self, name: &[u8]) -> Option<Option<&Arc<Prepared>>> {
        self.named_before(self.all().len(), name)
    }

    /// What those before `here` have made of it.
    pub fn named_before(&self, here: usize, name: &[u8]) -> Option<Option<&Arc<Prepared>>> {
        match self {
            Namings::Few(all) => all[..here].iter().rev().find_map(|naming| naming.of(name)),
            Namings::Many(many) => many.0[many.1.last(here, name)?].of(name),
        }
    }
}

/// What was put last under each key: a few, which take no room but their own, or any number.
#[derive(Debug)]
pub struct Latest<K, V> {
    few: SmallVec<[(K, V); 4]>,
    more: HashMap<K, V, RandomState>,
}

impl<K, V> Default for Latest<K, V> {
    fn default() -> Self {
        Latest { few: SmallVec::new(), more: HashMap::default() }
    }
}

impl<K: Copy + Eq + Hash, V> Latest<K, V> {
    pub fn put(&mut self, key: K, value: V) {
        if let Some((_, kept)) = self.few.iter_mut().find(|(kept, _)| *kept == key) {
            *kept = value;
        } else if self.few.len() < FEW && !self.more.contains_key(&key) {
            self.few.push((key, value));
        } else {
            self.more.insert(key, value);
        }
    }

    pub fn get(&self, key: K) -> Option<&V> {
        let few = self.few.iter().find(|(kept, _)| *kept == key).map(|(_, value)| value);
        few.or_else(|| self.more.get(&key))
    }

    pub fn take(&mut self, key: K) -> Option<V> {
        match self.few.iter().position(|(kept, _)| *kept == key) {
            Some(at) => Some(self.few.swap_remove(at).1),
            None => self.more.remove(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_many_names_are_found_as_few_are() {
        let name = |n: usize| Bytes::from(if n == 0 { String::new() } else { format!("s{n}") });
        let mut namings = Namings::default();
        let mut dice: u64 = 1;
        for at in 0..400 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let which = name((dice >> 33) as usize % 7);
            namings.push(match dice >> 60 {
                0 => Naming::Ran(at, Drops::All),
                1 | 2 => Naming::Ran(at, Drops::One(which)),
                3 => Naming::Ran(at, Drops::None),
                4 | 5 => Naming::ClosedPortal(which),
                _ => Naming::Closed(which),
            });
            for which in (0..8).map(name) {
                for here in [0, at / 2, at, at + 1] {
                    let plain = namings.all()[..here].iter().rposition(|naming| naming.of(&which).is_some());
                    assert_eq!(namings.named_before(here, &which).is_some(), plain.is_some(), "{here} of {at}");
                    if let Namings::Many(many) = &namings {
                        assert_eq!(many.1.last(here, &which), plain, "{here} of {at}");
                    }
                }
            }
        }
        assert!(matches!(namings, Namings::Many(_)));
    }
    #[test]
    fn what_was_put_last_is_found_and_taken() {
        let mut latest = Latest::default();
        for round in 0..2 {
            for key in 0..4 * FEW {
                latest.put(key, (key, round));
                assert_eq!(latest.get(key), Some(&(key, round)));
            }
        }
        for key in (0..4 * FEW).step_by(3) {
            assert_eq!((latest.take(key), latest.take(key)), (Some((key, 1)), None));
            latest.put(key, (key, 2));
        }
        assert!((0..4 * FEW).all(|key| latest.get(key) == Some(&(key, if key % 3 == 0 { 2 } else { 1 }))));
    }
}
