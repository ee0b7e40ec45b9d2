//! Hostile bytes: every kind of message is changed at random, from a kept corpus, and given to what reads it first,
//! then to a Sidecache that others are using. Whatever comes, nothing panics, what is read is as was sent, and others are served.
//!
//! Each run of one length sees the same bytes; a failure tells them, and becomes a file of the corpus and a named test. The short
//! runs belong to all tests, the long to `make test-all`. `make fuzz` gives the same readers what coverage guides it to.

mod live;
mod readers;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::path::Path;

/// Inputs of a short run and of a long one.
const SHORT: usize = 20_000;
const LONG: usize = 3_000_000;

/// Changes bytes at random.
pub struct Mutator {
    corpus: Vec<Vec<u8>>,
    random: TestRng,
}

impl Mutator {
    pub fn new(kind: &str) -> Mutator {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(kind);
        let files = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let mut paths: Vec<_> = files.map(|file| file.expect("our own directory").path()).collect();
        paths.sort();
        let corpus: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("our own file")).collect();
        assert!(!corpus.is_empty(), "{} is empty", directory.display());
        Mutator { corpus, random: TestRng::deterministic_rng(RngAlgorithm::ChaCha) }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit.max(1) as u64) as usize
    }

    fn pick(&mut self) -> Vec<u8> {
        let at = self.below(self.corpus.len());
        self.corpus[at].clone()
    }

    /// The next input: one of the corpus after up to five changes, or as it is.
    pub fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.pick();
        for _ in 0..self.below(6) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let end = at + self.below(bytes.len() - at + 1).min(40);
        match self.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let other = self.pick();
                let from = self.below(other.len());
                bytes.splice(at..end, other[from..].iter().copied());
            }
            // What a length, a count or a format may be at its edges.
            4 if at + 4 <= bytes.len() => {
                let edges =
                    [0, 1, 3, 4, 5, 0xffff, 0x10000, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX];
                let edge = edges[self.below(edges.len())];
                bytes[at..at + 4].copy_from_slice(&edge.to_be_bytes());
            }
            5 if at + 2 <= bytes.len() => {
                let edges = [0, 1, 2, 0x7fff, 0x8000, 0xffff_u16];
                let edge = edges[self.below(edges.len())];
                bytes[at..at + 2].copy_from_slice(&edge.to_be_bytes());
            }
            6 => bytes.insert(at, self.random.next_u32() as u8),
            _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => {}
        }
    }
}

/// Gives so many inputs to `read`; when it panics, tells the bytes.
fn fuzz(kind: &str, inputs: usize, read: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let mut mutator = Mutator::new(kind);
    for number in 0..inputs {
        let bytes = mutator.next();
        let read = std::panic::catch_unwind(|| read(&bytes));
        assert!(read.is_ok(), "{kind}, input {number}: {}", bytes.escape_ascii());
    }
}

#[test]
fn bytes_for_startup_are_read_safely() {
    fuzz("startup", SHORT, readers::startup);
}

#[test]
fn bytes_for_frontend_messages_are_read_safely() {
    fuzz("frontend", SHORT, readers::frontend);
}

#[test]
fn bytes_for_backend_messages_are_read_safely() {
    fuzz("backend", SHORT, readers::backend);
}

#[test]
fn bytes_for_sasl_prove_nothing() {
    fuzz("sasl", SHORT / 10, readers::sasl);
}

#[test]
fn bytes_for_sql_are_read_safely() {
    fuzz("sql", SHORT / 10, readers::sql);
}

#[test]
fn bytes_from_the_shared_tier_are_read_safely() {
    fuzz("shared", SHORT, readers::shared);
}

#[test]
fn bytes_of_a_decoded_wal_are_read_safely() {
    fuzz("decoding", SHORT, readers::decoding);
}

#[test]
#[ignore = "minutes: make test-all"]
fn many_more_bytes_are_read_safely() {
    fuzz("startup", LONG, readers::startup);
    fuzz("frontend", LONG, readers::frontend);
    fuzz("backend", LONG, readers::backend);
    fuzz("sasl", LONG / 100, readers::sasl);
    fuzz("sql", LONG / 100, readers::sql);
    fuzz("shared", LONG, readers::shared);
    fuzz("decoding", LONG, readers::decoding);
}
