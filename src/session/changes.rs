//! What bytes for a connection change of the statements that it has prepared, before it has answered, and which goes first where one more
//! would be too many. A batch may name any number: each costs the same. Sends nothing.

use super::plans::FIRST_NUMBER;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};

/// When a statement was used last: the round's tick, and a count within the round.
type Used = (u64, u64);

/// Statements that bytes prepare or close, by number: none, most of the time.
#[derive(Debug, Default)]
pub(super) struct Changes(Option<Box<Made>>);

#[derive(Debug, Default)]
struct Made {
    /// When it was prepared; nothing where it is closed.
    latest: HashMap<u64, Option<Used>, RandomState>,
    count: u64,
    /// Made once room has to be made.
    ages: Option<Ages>,
}

/// All statements of clients that the connection has behind the bytes.
#[derive(Debug, Default)]
struct Ages {
    by_number: HashMap<u64, Used, RandomState>,
    by_use: BTreeMap<Used, u64>,
}

impl Ages {
    fn put(&mut self, number: u64, used: Used) {
        if number >= FIRST_NUMBER {
            self.take(number);
            self.by_number.insert(number, used);
            self.by_use.insert(used, number);
        }
    }

    fn take(&mut self, number: u64) -> bool {
        self.by_number.remove(&number).is_some_and(|used| self.by_use.remove(&used).is_some())
    }
}

impl Changes {
    /// Whether the bytes leave the statement there; nothing if they do not change that.
    pub fn leave(&self, number: u64) -> Option<bool> {
        self.0.as_ref()?.latest.get(&number).map(Option::is_some)
    }

    pub fn prepare(&mut self, number: u64, tick: u64) {
        let made = self.0.get_or_insert_default();
        let used = made.next(tick);
        made.latest.insert(number, Some(used));
        if let Some(ages) = &mut made.ages {
            ages.put(number, used);
        }
    }

    pub fn close(&mut self, number: u64) {
        let made = self.0.get_or_insert_default();
        made.latest.insert(number, None);
        if let Some(ages) = &mut made.ages {
            ages.take(number);
        }
    }

    /// What is there is used.
    pub fn touch(&mut self, number: u64, tick: u64) {
        let Some(made) = &mut self.0 else { return };
        let used = made.next(tick);
        if let Some(ages) = &mut made.ages
            && ages.take(number)
        {
            ages.put(number, used);
        }
    }

    /// Which of the clients' statements have to go, so that there is room for one more. `carried`: what the connection had before, with
    /// the tick of its last use.
    pub fn too_many(&mut self, carried: &HashMap<u64, u64, RandomState>, limit: usize) -> Vec<u64> {
        let changed = self.0.as_ref().map_or(0, |made| made.latest.len());
        if carried.len() + changed < limit {
            return Vec::new();
        }
        let ages = self.0.get_or_insert_default().ages(carried);
        let many = (ages.by_use.len() + 1).saturating_sub(limit);
        ages.by_use.values().take(many).copied().collect()
    }
}

impl Made {
    fn ages(&mut self, carried: &HashMap<u64, u64, RandomState>) -> &Ages {
        self.ages.get_or_insert_with(|| {
            let mut ages = Ages::default();
            for (at, (number, tick)) in carried.iter().enumerate() {
                if !self.latest.contains_key(number) {
                    ages.put(*number, (*tick, at as u64));
                }
            }
            for (number, used) in &self.latest {
                used.iter().for_each(|used| ages.put(*number, *used));
            }
            ages
        })
    }

    /// Behind whatever the connection had before.
    fn next(&mut self, tick: u64) -> Used {
        self.count += 1;
        (tick, u64::from(u32::MAX) + self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, looked for among all each time.
    #[derive(Default)]
    struct Plain(Vec<u64>);

    impl Plain {
        fn put(&mut self, number: u64) {
            self.0.retain(|kept| *kept != number);
            self.0.push(number);
        }
    }

    #[test]
    fn r13_the_least_recently_used_goes_first() {
        const LIMIT: usize = 8;
        let carried: HashMap<u64, u64, RandomState> =
            (FIRST_NUMBER..FIRST_NUMBER + 6).map(|number| (number, number)).chain([(1, 0), (2, 0)]).collect();
        let (mut changes, mut plain) = (Changes::default(), Plain((FIRST_NUMBER..FIRST_NUMBER + 6).collect()));
        let mut dice: u64 = 1;
        for _ in 0..1_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = FIRST_NUMBER + (dice >> 33) % 20;
            assert_eq!(
                changes.leave(number).unwrap_or(carried.contains_key(&number)),
                plain.0.contains(&number),
                "{number}"
            );
            if dice >> 62 == 0 {
                changes.close(number);
                plain.0.retain(|kept| *kept != number);
            } else if plain.0.contains(&number) {
                changes.touch(number, 100);
                if changes.0.as_ref().is_some_and(|made| made.ages.is_some()) {
                    plain.put(number);
                }
            } else {
                let gone = changes.too_many(&carried, LIMIT);
                assert_eq!(gone, plain.0[..(plain.0.len() + 1).saturating_sub(LIMIT)]);
                for number in gone {
                    changes.close(number);
                    plain.0.retain(|kept| *kept != number);
                }
                changes.prepare(number, 100);
                plain.put(number);
            }
        }
        assert_eq!(plain.0.len(), LIMIT);
        assert_eq!(changes.too_many(&carried, usize::MAX), [0; 0]);
    }

    #[test]
    fn our_own_stay() {
        let carried: HashMap<u64, u64, RandomState> = [(1, 0), (2, 0)].into_iter().collect();
        let mut changes = Changes::default();
        changes.prepare(3, 7);
        assert_eq!(changes.too_many(&carried, 1), [0; 0]);
        changes.prepare(FIRST_NUMBER, 7);
        assert_eq!(changes.too_many(&carried, 1), [FIRST_NUMBER]);
        assert_eq!(changes.too_many(&carried, 0), [FIRST_NUMBER], "no more than there are");
    }
}
