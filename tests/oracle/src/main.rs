//! Says what PostgreSQL's own grammar finds in statements. Reads statements from standard input, each ended by a zero byte, and
//! writes a line for each: its kind (several with `+`), then words for what stands anywhere in its tree. `tests/grammar` reads them.
//!
//! Knows no catalog: names are names. Names of CTEs are left out where they are in scope.

use pg_raw_parse::nodes::{CommonTableExpr, RangeVar, WithClause};
use pg_raw_parse::walk::{Recurse, walk_manual};
use pg_raw_parse::{Node, list::NodeList};
use std::collections::BTreeSet;
use std::io::{Read, Write};

/// For the walk, which recurses through C and Rust (bytes; only what is touched is ever there).
const STACK: usize = 1 << 30;

fn main() {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).expect("standard input can be read");
    let work = move || {
        let mut output = std::io::BufWriter::new(std::io::stdout().lock());
        for statement in input.split_inclusive(|byte| *byte == 0) {
            let statement = statement.strip_suffix(&[0]).unwrap_or(statement);
            let verdict = std::str::from_utf8(statement).map_or_else(|_| "unparsed".to_owned(), verdict);
            writeln!(output, "{verdict}").expect("standard output can be written");
        }
    };
    std::thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread").join().expect("no panic");
}

fn verdict(text: &str) -> String {
    let Ok(parsed) = pg_raw_parse::parse(text) else { return "unparsed".to_owned() };
    let mut found = Found::default();
    let kinds: BTreeSet<&str> = parsed.stmts().map(|statement| found.statement(statement)).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let mut words = vec![if kinds.is_empty() { "empty".to_owned() } else { kinds.join("+") }];
    words.extend(found.words);
    words.join(" ")
}

/// What was found in one text so far.
#[derive(Default)]
struct Found {
    words: BTreeSet<String>,
    /// CTE names in scope, innermost last.
    ctes: Vec<Vec<String>>,
}

impl Found {
    /// Looks through one statement; gives its kind.
    fn statement(&mut self, statement: Node<'_>) -> &'static str {
        let inner = match statement {
            Node::SelectStmt(_) => {
                self.visit(statement);
                return "query";
            }
            Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => {
                self.visit(statement);
                return "write";
            }
            Node::ExplainStmt(s) => s.query(),
            Node::CopyStmt(s) => {
                if let Some(relation) = s.relation() {
                    self.relation(relation);
                }
                if s.is_from {
                    self.words.insert("writes".to_owned());
                }
                s.query()
            }
            Node::DeclareCursorStmt(s) => s.query(),
            Node::PrepareStmt(s) => s.query(),
            _ => Node::None,
        };
        if !matches!(inner, Node::None) {
            self.statement(inner);
        }
        match statement {
            Node::TransactionStmt(_) => "transaction",
            Node::VariableSetStmt(_) | Node::VariableShowStmt(_) => "setting",
            Node::ExplainStmt(_) => "explain",
            Node::CopyStmt(_) => "copy",
            Node::DeclareCursorStmt(_) => "declare",
            _ => "utility",
        }
    }

    fn visit(&mut self, node: Node<'_>) {
        self.record(node);
        if matches!(node, Node::IntoClause(_) | Node::LockingClause(_)) {
            // What they name is not read.
            return;
        }
        let with = match node {
            Node::SelectStmt(s) => s.with_clause(),
            Node::InsertStmt(s) => s.with_clause(),
            Node::UpdateStmt(s) => s.with_clause(),
            Node::DeleteStmt(s) => s.with_clause(),
            Node::MergeStmt(s) => s.with_clause(),
            _ => None,
        };
        if let Some(with) = with {
            self.with(with);
        }
        walk_manual::<()>(node, |child| {
            if !matches!(child, Node::WithClause(_)) {
                self.visit(child);
            }
            Recurse::no()
        });
        if with.is_some() {
            self.ctes.pop();
        }
    }

    /// Without RECURSIVE a CTE sees those before it, with it all of its list.
    fn with(&mut self, with: &WithClause) {
        let name = |cte: &CommonTableExpr| cte.ctename().unwrap_or_default().to_owned();
        let all = with.ctes().iter().map(name).collect();
        self.ctes.push(if with.recursive { all } else { Vec::new() });
        for cte in with.ctes().iter() {
            self.visit(cte.ctequery());
            self.ctes.last_mut().expect("it was pushed above").push(name(cte));
        }
    }

    fn record(&mut self, node: Node<'_>) {
        let word = match node {
            Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => "writes".to_owned(),
            Node::IntoClause(_) => "into".to_owned(),
            Node::LockingClause(_) => "locks".to_owned(),
            Node::FuncCall(call) => format!("function:{}/{}", names(call.funcname()), call.args().len()),
            // CURRENT_DATE to LOCALTIMESTAMP(n) come first among the keywords that are values.
            Node::SQLValueFunction(value) if value.op <= 8 => "time".to_owned(),
            Node::RangeVar(relation) => return self.relation(relation),
            _ => return,
        };
        self.words.insert(word);
    }

    fn relation(&mut self, relation: &RangeVar) {
        let name = relation.relname().unwrap_or_default();
        if relation.schemaname().is_none() && self.ctes.iter().flatten().any(|cte| cte == name) {
            return;
        }
        let parts: Vec<String> = relation.schemaname().into_iter().chain([name]).map(encoded).collect();
        self.words.insert(format!("relation:{}", parts.join(".")));
    }
}

fn names(list: &NodeList) -> String {
    list.iter().filter_map(Node::as_str).map(encoded).collect::<Vec<_>>().join(".")
}

/// A name without what would part words and names.
fn encoded(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_whitespace() || matches!(c, '%' | '.' | ':' | '/') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out += &format!("%{byte:02x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}
