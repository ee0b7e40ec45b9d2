//! Statements that must give the same protocol messages directly and through the proxy, cold and warm, as simple
//! and extended queries, in text and in binary. Only data: who runs them and how is not known here.
//!
//! Every answer is the same whenever it is asked for (rows are ordered or come from one small table; clocks and
//! random numbers appear only where their value does not matter), and no statement changes what another reads, so
//! that order and repetition are free. Needs PostgreSQL 14 (multiranges) and a role that may create a schema.

// Each test binary that includes the corpus uses its own part of it.
#![allow(dead_code)]

mod errors;
mod reads;
mod refused;
mod types;

use std::sync::LazyLock;

/// What may happen to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// May be answered from the cache; a planner that proves less may refuse it.
    Cacheable,
    /// Must never be answered from the cache.
    Refused,
    /// The server answers with an error, when parsing, binding or running: must never be answered from the cache.
    Error,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub sql: String,
    /// In text format, types left to the server. Where there are any, only an extended query can carry them.
    pub params: Vec<Option<&'static str>>,
    pub expectation: Expectation,
}

/// Name, SQL, parameters.
type Written = (&'static str, &'static str, &'static [Option<&'static str>]);

/// SQL that makes the schema `corpus` anew: several statements, to be sent as one simple query.
pub fn setup() -> &'static str {
    static SETUP: LazyLock<String> = LazyLock::new(|| include_str!("setup.sql").to_owned() + &type_tables());
    &SETUP
}

/// All statements.
pub fn statements() -> Vec<Case> {
    let written = |written: &[Written], expectation| -> Vec<Case> {
        let case = |&(name, sql, params): &Written| Case {
            name: name.to_owned(),
            sql: sql.to_owned(),
            params: params.to_vec(),
            expectation,
        };
        written.iter().map(case).collect()
    };
    let mut all = of_types();
    all.extend(written(reads::READS, Expectation::Cacheable));
    all.extend(written(refused::REFUSED, Expectation::Refused));
    all.extend(written(errors::ERRORS, Expectation::Error));
    all
}

/// A table for each type: `id`, `v` with one value a row and NULL in the last, `many` with all of them in the first
/// row.
fn type_tables() -> String {
    let mut sql = String::new();
    for (name, r#type, values) in types::TYPES {
        let values: Vec<String> = values.iter().map(|value| format!("E'{}'", escaped(value))).collect();
        let typed: Vec<String> = values.iter().map(|value| format!("CAST({value} AS {type})")).collect();
        sql += &format!("CREATE TABLE corpus.type_{name} (id int PRIMARY KEY, v {type}, many {type}[]);\n");
        sql += &format!(
            "INSERT INTO corpus.type_{name} VALUES (0, NULL, {});\n",
            // Arrays of arrays would have to agree in their dimensions.
            if r#type.ends_with("[]") { "NULL".into() } else { format!("ARRAY[{}, NULL]::{type}[]", typed.join(", ")) }
        );
        for (place, value) in typed.iter().enumerate() {
            sql += &format!("INSERT INTO corpus.type_{name} VALUES ({}, {value}, '{{}}');\n", place + 1);
        }
    }
    sql
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

fn of_types() -> Vec<Case> {
    let case = |name: String, sql: String, params| Case { name, sql, params, expectation: Expectation::Cacheable };
    let each = |&(name, ..): &(&str, &str, &[&str])| {
        [
            case(format!("type_{name}_values"), format!("SELECT id, v FROM corpus.type_{name} ORDER BY id"), vec![]),
            case(format!("type_{name}_array"), format!("SELECT many FROM corpus.type_{name} WHERE id = 0"), vec![]),
            case(
                format!("type_{name}_by_key"),
                format!("SELECT v, v IS NULL FROM corpus.type_{name} WHERE id = $1"),
                vec![Some("1")],
            ),
        ]
    };
    types::TYPES.iter().flat_map(each).collect()
}
