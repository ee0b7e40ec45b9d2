//! What the walk sees and what it refuses.

use super::Refused;
use super::facts::{Facts, Into, Name};
use super::query::facts as query_facts;
use super::token::lex;

fn facts(text: &str) -> Result<Facts, Refused> {
    query_facts(&lex(text, true)?)
}

#[test]
fn dump() {
    for line in std::fs::read_to_string("/tmp/dump.sql").unwrap_or_default().lines() {
        eprintln!("{line}\n   {:?}", facts(line));
    }
}
