//! What sessions leave on a connection: settings, statements, and who drew from its sequences. Asks nobody.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What decides answers on a connection.
#[derive(Debug)]
pub struct State {
    /// The settings that it carried when it was asked.
    pub settings: BTreeMap<String, Arc<str>>,
    /// The users' own settings that it was asked for besides.
    pub asked: Arc<[String]>,
    /// As the server said.
    pub said: Bytes,
    /// All that was set, if that was asked.
    pub whole: Option<Bytes>,
}

/// What a session left on a connection and the next session must know.
#[derive(Debug, Default)]
pub struct Carried {
    /// Settings that differ from the connection's start: name to the statement that set it.
    pub settings: BTreeMap<String, Arc<str>>,
    /// Which session drew from a sequence there last, by the process that its client knows it by. Zero: none has yet.
    pub drawer: u32,
    /// It has not looked since roles changed which schemas of its path its role may use: the path is to be set again, to the same.
    pub is_path_old: bool,
    /// What decides answers there, as the server said when it carried those settings. Functions and triggers may change it
    /// unseen: who ran any asks again.
    pub state: Option<Box<State>>,
    /// Prepared statements that exist there: our number for the statement, least recently used last.
    pub prepared: HashMap<u64, u64, foldhash::fast::RandomState>,
    /// What they are, as far as it was told since they were parsed there.
    pub shapes: HashMap<u64, Shape, foldhash::fast::RandomState>,
    /// Those of them that were parsed before names may have come to mean something else: PostgreSQL parses a statement again where
    /// what it depends on is gone or altered, not where a table comes that hides it (`RevalidateCachedQuery` in plancache.c).
    pub outdated: HashSet<u64, foldhash::fast::RandomState>,
    /// The catalog that names had their meaning by when the connection was last used.
    pub names: u64,
    /// The identity of the unnamed statement that was parsed last, if known.
    pub unnamed: Option<u64>,
    /// Statements that exist there by the names that a client gave them in SQL.
    pub by_name: BTreeMap<String, Made>,
}

/// What a statement takes and gives, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Of its parameters' types. Zero: not known, or it has none.
    pub parameters: u64,
    /// Of its result.
    pub result: u64,
}

/// A statement that SQL's PREPARE made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Of the PREPARE, as it was sent.
    pub text: Arc<str>,
    /// What decided, beside its names, how that was read.
    pub read_by: Arc<[u8]>,
    /// Of its result, once it is known.
    pub shape: Option<u64>,
}

impl Carried {
    /// Names may mean something else since `names`: what was parsed before is parsed again before it runs.
    pub fn rename(&mut self, names: u64) {
        if self.names != names {
            self.names = names;
            self.outdated.extend(self.prepared.keys());
            // Parsed again, their results may have another shape.
            self.shapes.clear();
            self.unnamed = None;
        }
    }

    /// An error tells whether the statement with this number is there.
    pub fn corrected(&mut self, sqlstate: &[u8], number: u64) {
        match sqlstate {
            // Dropped by a function, unseen: the next that needs it prepares it anew.
            b"26000" => drop(self.prepared.remove(&number)),
            // The next that needs it drops it before it prepares it.
            b"42P05" if !self.prepared.contains_key(&number) => {
                self.prepared.insert(number, 0);
                self.outdated.insert(number);
            }
            _ => {}
        }
    }

    /// DEALLOCATE ALL or DISCARD ALL was run there.
    pub fn deallocated_all(&mut self) {
        self.prepared.clear();
        self.outdated.clear();
        self.shapes.clear();
        self.by_name.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_an_error_tells_what_a_connection_has() {
        let mut carried = Carried::default();
        carried.corrected(b"42P05", 20);
        assert!(
            carried.prepared.contains_key(&20) && carried.outdated.contains(&20),
            "it is dropped before it is used"
        );
        carried.prepared.insert(21, 5);
        carried.corrected(b"42P05", 21);
        assert!(carried.prepared.get(&21) == Some(&5) && !carried.outdated.contains(&21), "it was known");
        carried.corrected(b"26000", 21);
        carried.corrected(b"42703", 22);
        assert_eq!(carried.prepared.keys().collect::<Vec<_>>(), [&20]);
    }
}
