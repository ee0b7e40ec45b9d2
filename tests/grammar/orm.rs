//! The statements that ORMs send, as the files beside `schema.sql` hold them: a line `-- name` begins each, and what
//! follows up to the next such line is its text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One statement.
pub struct Statement {
    /// File and name.
    pub name: String,
    pub text: String,
}

/// A file of the corpus.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/orm").join(name)
}

/// What makes the tables of which the statements speak.
pub fn schema() -> String {
    fs::read_to_string(file("schema.sql")).expect("a file of this repository")
}

/// All statements, each text once.
pub fn statements() -> Vec<Statement> {
    let mut files: Vec<PathBuf> = fs::read_dir(file(""))
        .expect("a folder of this repository")
        .map(|entry| entry.expect("its entry").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "sql") && !file.ends_with("schema.sql"));
    files.sort();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for file in files {
        let origin = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let held = fs::read_to_string(&file).expect("a file of this repository");
        for part in held.split("\n-- ").map(|part| part.trim_start_matches("-- ")) {
            let (name, text) = part.split_once('\n').expect("a name has a statement");
            let text = text.trim().to_owned();
            if seen.insert(text.clone()) {
                all.push(Statement { name: format!("{origin}: {name}"), text });
            }
        }
    }
    all
}
