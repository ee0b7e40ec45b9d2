//! What PostgreSQL's own grammar says of a statement: a line of `tests/oracle`, read; and the asking.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stands in a statement's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `query`, `write`, `transaction`, `setting`, `explain`, `copy`, `declare`, `utility`; `empty`; `unparsed`. More than one
    /// if the text holds several statements.
    pub kinds: Vec<String>,
    /// INSERT, UPDATE, DELETE, MERGE anywhere.
    pub writes: bool,
    pub locks: bool,
    pub into: bool,
    /// CURRENT_DATE and its kin.
    pub time: bool,
    /// Relations read or written, as they are named.
    pub relations: BTreeSet<Vec<String>>,
    /// With the number of arguments that are written.
    pub functions: BTreeSet<(Vec<String>, usize)>,
}

impl Verdict {
    /// Reads a line.
    pub fn read(line: &str) -> Verdict {
        let mut words = line.split(' ');
        let kinds = words.next().unwrap_or_default().split('+').map(str::to_owned).collect();
        let words: Vec<&str> = words.collect();
        let says = |word: &str| words.contains(&word);
        let after = |prefix: &'static str| words.iter().filter_map(move |word| word.strip_prefix(prefix));
        let name = |name: &str| name.split('.').map(decoded).collect::<Vec<_>>();
        let function = |word: &str| {
            let (function, arguments) = word.rsplit_once('/').expect("a number of arguments");
            (name(function), arguments.parse().expect("a number"))
        };
        Verdict {
            kinds,
            writes: says("writes"),
            locks: says("locks"),
            into: says("into"),
            time: says("time"),
            relations: after("relation:").map(name).collect(),
            functions: after("function:").map(function).collect(),
        }
    }

    /// Whether it is one statement, of this kind.
    pub fn is(&self, kind: &str) -> bool {
        self.kinds == [kind]
    }

    /// Whether any row, table or lock changes by this statement's own words.
    pub fn changes(&self) -> bool {
        self.writes || self.locks || self.into
    }
}

fn decoded(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut parts = name.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits follow"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("names are text")
}

/// Where `make oracle` puts the program.
pub fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracle/debug/sidecache-oracle")
}

/// Asks the grammar itself: a line for each statement.
pub fn ask<'a>(statements: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let program = program();
    assert!(program.is_file(), "the oracle is missing: run `make oracle`");
    let mut input = Vec::new();
    for statement in statements {
        input.extend_from_slice(statement.as_bytes());
        input.push(0);
    }
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle starts");
    let mut stdin = child.stdin.take().expect("it was asked for");
    // It answers while it reads: both ends must move.
    let writer = std::thread::spawn(move || stdin.write_all(&input).expect("the oracle reads"));
    let output = child.wait_with_output().expect("the oracle ends");
    writer.join().expect("no panic");
    assert!(output.status.success(), "the oracle: {:?}", output.status);
    String::from_utf8(output.stdout).expect("it writes text").lines().map(str::to_owned).collect()
}
