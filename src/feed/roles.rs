//! Which role a name has meant: a role may be renamed or dropped, and another made under its name, while connections that were
//! opened by that name go on as the role that had it. Asks nobody.

use std::collections::HashMap;

/// Names of roles that are gone are remembered up to so many.
const MOST_GONE: usize = 4_096;

/// Every name that was met, and the oid of the role that had it last.
#[derive(Debug, Default)]
pub(super) struct Roles(HashMap<String, u32>);

impl Roles {
    /// Learns all roles that there are now. Whether connections that were opened before may be of others than their names say.
    pub(super) fn learn(&mut self, present: Vec<(String, u32)>) -> bool {
        if self.0.len() > present.len() + MOST_GONE {
            // Who had a name before is not known any more, and no connection is left to know it.
            self.0 = present.into_iter().collect();
            return true;
        }
        let mut is_another = false;
        for (name, oid) in present {
            is_another |= self.0.insert(name, oid).is_some_and(|before| before != oid);
        }
        is_another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(all: &[(&str, u32)]) -> Vec<(String, u32)> {
        all.iter().map(|(name, oid)| ((*name).to_owned(), *oid)).collect()
    }

    #[test]
    fn c15_a_name_that_means_another_role_is_noticed_however_long_nobody_had_it() {
        let mut known = Roles::default();
        assert!(!known.learn(roles(&[("a", 1), ("b", 2)])), "the first look");
        assert!(!known.learn(roles(&[("a", 1), ("c", 3)])), "another name, and one that is gone");
        assert!(!known.learn(roles(&[("a", 1), ("b", 2), ("c", 3)])), "it is back as it was");
        assert!(known.learn(roles(&[("a", 1), ("b", 4)])), "made again");
        assert!(!known.learn(roles(&[("a", 1), ("b", 4)])));
        assert!(known.learn(roles(&[("old", 1), ("a", 5)])), "renamed, and made again");
    }

    #[test]
    fn names_that_come_and_go_are_forgotten_with_the_connections() {
        let mut known = Roles::default();
        let many: Vec<_> = (0..5_000).map(|n| (format!("r{n}"), n)).collect();
        assert!(!known.learn(many));
        assert!(known.learn(roles(&[("a", 1)])));
        assert!(!known.learn(roles(&[("a", 1), ("r7", 9)])));
    }
}
