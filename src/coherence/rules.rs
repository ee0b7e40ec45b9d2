//! The rules of the fill, each of which can be switched off: only so can a test show that it is needed. Knows nothing of
//! what the rules do.

/// One rule that a fill is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A fill on the primary must have seen every commit heard that touches its dependencies.
    Snapshot,
    /// A fill on the primary must have seen what may have committed, unseen, before the stream began.
    SuspectProbe,
    /// A commit is kept for the fills that were under way when it was first seen to be visible.
    Trimming,
}

impl Rule {
    const ALL: [Rule; 3] = [Rule::Snapshot, Rule::SuspectProbe, Rule::Trimming];

    /// The name by which a test switches it off.
    pub const fn label(self) -> &'static str {
        match self {
            Rule::Snapshot => "snapshot_rule",
            Rule::SuspectProbe => "suspect_probe",
            Rule::Trimming => "trimming_rule",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The text named a rule that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such rule: {0:?}")]
pub struct UnknownRule(String);

/// The rules in force. All of them, except in the tests which show that each rule is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    off: u8,
}

impl Rules {
    /// Every rule in force: the only sound setting.
    pub const ALL: Rules = Rules { off: 0 };

    /// The same without one rule. What is then served may be wrong.
    pub const fn without(self, rule: Rule) -> Rules {
        Rules { off: self.off | rule.bit() }
    }

    /// All but those in a list with commas, as `SIDECACHE_TEST_DISABLE` gives it. Empty: all.
    pub fn all_but(list: &str) -> Result<Rules, UnknownRule> {
        let mut names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.try_fold(Rules::ALL, |rules, name| {
            let rule = Rule::ALL.into_iter().find(|rule| rule.label() == name);
            Ok(rules.without(rule.ok_or_else(|| UnknownRule(name.to_owned()))?))
        })
    }

    /// Whether the rule is in force.
    pub const fn has(self, rule: Rule) -> bool {
        self.off & rule.bit() == 0
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_switch_rules_off_and_wrong_names_are_refused() {
        assert_eq!(Rules::all_but(""), Ok(Rules::ALL));
        let rules = Rules::all_but("snapshot_rule, suspect_probe").unwrap();
        assert!(!rules.has(Rule::Snapshot) && !rules.has(Rule::SuspectProbe) && rules.has(Rule::Trimming));
        assert!(Rules::all_but("snapshot_rule,typo").is_err());
    }
}
