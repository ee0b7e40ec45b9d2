//! PostgreSQL's own regression suite, direct and through Sidecache with session pooling, each on a fresh server: every
//! hunk in which their outputs differ must stand in `explained.txt`, and what stands there must occur. Whether PostgreSQL
//! passes its suite here is not asked.
//!
//! The suite comes by `.ci/install-regress` (`make test-all` runs it) into target/regress.

use crate::harness::PATIENCE;
use crate::harness::cluster::{Cluster, ClusterBuilder};
use crate::harness::postgres::{command, hand_over, programs};
use crate::harness::process::{End, Process, Scratch, output, run};
use crate::harness::sidecache::Sidecache;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How much longer than any other step of a test the whole suite may take.
const SUITES: u32 = 30;

/// Where `.ci/install-regress` puts the suite.
pub fn suite() -> PathBuf {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/regress/suite");
    assert!(suite.join("regress.so").is_file(), "the suite is missing: run .ci/install-regress");
    suite
}

/// A cluster for one run of the suite.
pub fn cluster() -> ClusterBuilder {
    Cluster::build().replicas(0).setting("max_connections = 100")
}

/// Runs the suite on a fresh cluster, in its database `regression`; what each test printed, by its name.
pub fn results(suite: &Path, cluster: &Cluster, through: bool) -> BTreeMap<String, String> {
    let mut server = cluster.primary.connect_to("postgres");
    server.rows("CREATE DATABASE regression TEMPLATE template0");
    // As pg_regress would set up a database of its own (create_database in pg_regress.c).
    for setting in
        ["lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'", "lc_time TO 'C'", "bytea_output TO 'hex'"]
    {
        server.rows(&format!("ALTER DATABASE regression SET {setting}"));
    }
    server.rows("ALTER DATABASE regression SET timezone_abbreviations TO 'Default'");
    // Its own copy, where PostgreSQL may read and pg_regress may write.
    let own = cluster.directory().join("suite");
    run(Command::new("cp").arg("-R").arg(suite).arg(&own));
    hand_over(&own);
    let sidecache = through.then(|| {
        let sidecache = Sidecache::build(cluster, "regression").alone(cluster, "postgres").pool("session").start();
        sidecache.await_stream(cluster);
        sidecache
    });
    let port = sidecache.as_ref().map_or(cluster.primary.port, Sidecache::port);
    let mut suite = command(&pg_regress());
    suite.current_dir(&own).env("PGPASSWORD", "postgres");
    suite.args(["--use-existing", "--dbname=regression", "--host=127.0.0.1", "--user=postgres", "--max-connections=8"]);
    suite.arg(format!("--port={port}")).arg(format!("--bindir={}", programs().display()));
    suite.args(["--inputdir=.", "--outputdir=.", "--schedule=parallel_schedule"]);
    suite.arg(format!("--dlpath={}", own.display()));
    let log = cluster.directory().join("regress.log");
    let mut running = Process::spawn("pg_regress", &mut suite, &log, End::Term);
    assert!(running.wait(PATIENCE * SUITES).is_some(), "the suite did not end:\n{}", running.log());
    let files = fs::read_dir(own.join("results")).unwrap_or_else(|e| panic!("no results: {e}\n{}", running.log()));
    let files = files.map(|file| file.expect("our own directory").path());
    let name = |path: &Path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let directory = own.to_string_lossy().into_owned();
    let read = |path: &Path| {
        let said = fs::read(path).expect("our own file");
        String::from_utf8_lossy(&said).replace(&directory, "SUITE")
    };
    files.filter(|path| path.extension().is_some_and(|e| e == "out")).map(|p| (name(&p), read(&p))).collect()
}

fn pg_regress() -> PathBuf {
    let lib = programs().parent().expect("a bin directory has a parent").join("lib");
    let found = lib.join("pgxs/src/test/regress/pg_regress");
    assert!(found.is_file(), "{} is missing", found.display());
    found
}

/// Where two outputs of a test differ, as `diff` finds it.
#[derive(Debug, PartialEq, Eq)]
struct Hunk {
    /// `test: line`, where the line is the last one before it that ends in `;`: a statement's end.
    heading: String,
    /// `< line` is direct alone, `> line` through Sidecache alone.
    lines: Vec<String>,
}

/// A line without what the width of its table's columns alone makes: blanks to fill a cell, dashes of a line between head and rows.
fn squeezed(line: &str) -> String {
    let is_border = line.starts_with('-') && line.bytes().all(|b| b"-+".contains(&b));
    if is_border {
        return line.split('+').map(|_| "-").collect::<Vec<_>>().join("+");
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every hunk in which the outputs differ. They are compared as they are, and squeezed only to be told.
fn hunks(test: &str, direct: &str, through: &str) -> Vec<Hunk> {
    if direct == through {
        return Vec::new();
    }
    let (through, ours) = without_ours(through);
    let scratch = Scratch::new();
    let [one, other] = ["direct", "through"].map(|name| scratch.path().join(name));
    fs::write(&one, direct).expect("our own directory");
    fs::write(&other, through).expect("our own directory");
    let (_, difference, error) = output(Command::new("diff").arg("--text").arg(&one).arg(&other));
    assert!((ours > 0 || !difference.is_empty()) && error.is_empty(), "{test}: diff says {error:?} of two that differ");
    let before: Vec<&str> = direct.lines().collect();
    let mut hunks: Vec<Hunk> = Vec::new();
    for line in difference.lines() {
        match line.split_once(' ') {
            Some((side @ ("<" | ">"), text)) => {
                let hunk = hunks.last_mut().expect("a hunk has a head");
                hunk.lines.push(format!("{side} {}", squeezed(text)));
            }
            // Such as `17,20c17,22` and `8a9`: an addition stands behind its line, all else begins with it.
            None if line.starts_with(|c: char| c.is_ascii_digit()) => {
                let digits = line.find(|c: char| !c.is_ascii_digit()).expect("it goes on");
                let at: usize = line[..digits].parse().expect("digits");
                let at = if line.contains('a') { at } else { at - 1 };
                let statement = before[..at].iter().rev().find(|line| line.ends_with(';'));
                let heading = format!("{test}: {}", squeezed(statement.unwrap_or(&"")));
                hunks.push(Hunk { heading, lines: Vec::new() });
            }
            None if line == "---" => {}
            _ => panic!("{test}: diff says {line:?}"),
        }
    }
    if ours > 0 {
        // A column may have been wider for them.
        hunks.retain(|hunk| {
            let of = |side: &str| -> Vec<String> {
                let lines = hunk.lines.iter().filter_map(|line| line.strip_prefix(side));
                lines.map(|line| line.replace(" +|", "+|")).collect()
            };
            of("<") != of(">")
        });
    }
    hunks
}

/// Sidecache prepares questions of its own on the connection (how far a read may have seen, which settings decide answers), and
/// pg_prepared_statements tells of all that the connection has: how many depends on what was to be asked. They are taken out; says how many
/// they were.
fn without_ours(through: &str) -> (String, usize) {
    let is_ours = |line: &str| {
        line.trim_start().strip_prefix("sc_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let (mut all, mut here, mut text) = (0, 0, String::with_capacity(through.len()));
    for line in through.lines() {
        if is_ours(line) {
            (all, here) = (all + 1, here + 1);
            continue;
        }
        let count = line.strip_prefix('(').and_then(|rest| rest.split_once(" row")).and_then(|(n, _)| n.parse().ok());
        match count.and_then(|count: usize| count.checked_sub(std::mem::take(&mut here))) {
            Some(count) => text += &format!("({count} row{})", if count == 1 { "" } else { "s" }),
            None => text += line,
        }
        text.push('\n');
    }
    (text, all)
}

/// A hunk that `explained.txt` lists.
#[derive(Debug)]
struct Listed {
    hunk: Hunk,
    occurs: Occurs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occurs {
    Once,
    /// Or not, or more often.
    AtTimes,
}

/// What `explained.txt`, whose first lines say how, lists.
fn listed(explained: &str) -> Vec<Listed> {
    let is_part = |line: &str| line.starts_with("< ") || line.starts_with("> ") || line == "*";
    let mut all: Vec<Listed> = Vec::new();
    let mut last = "";
    for line in explained.lines() {
        if is_part(line) {
            if !is_part(last) {
                let (heading, occurs) = match last.strip_prefix("at times ") {
                    Some(heading) => (heading, Occurs::AtTimes),
                    None => (last, Occurs::Once),
                };
                all.push(Listed { hunk: Hunk { heading: heading.to_owned(), lines: Vec::new() }, occurs });
            }
            all.last_mut().expect("just made").hunk.lines.push(line.to_owned());
        }
        last = line;
    }
    all
}

/// Whether a pattern, where a `*` at the end stands for anything, says so.
fn says(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |start| text.starts_with(start))
}

impl Listed {
    fn explains(&self, hunk: &Hunk) -> bool {
        let (patterns, lines) = (&self.hunk.lines, &hunk.lines);
        let are_said = || patterns.len() == lines.len() && patterns.iter().zip(lines).all(|(p, line)| says(p, line));
        says(&self.hunk.heading, &hunk.heading) && (*patterns == ["*"] || are_said())
    }
}

/// The hunks that nothing listed explains, and what is listed and does not occur, as texts to read or to list.
fn unexplained(explained: &str, found: Vec<Hunk>) -> String {
    let mut listed = listed(explained);
    let mut told = String::new();
    for hunk in found {
        match listed.iter().position(|listed| listed.explains(&hunk)) {
            // It explains no other.
            Some(at) if listed[at].occurs == Occurs::Once => drop(listed.remove(at)),
            Some(_) => {}
            None => told += &format!("not explained:\n{}\n{}\n", hunk.heading, hunk.lines.join("\n")),
        }
    }
    for Listed { hunk, .. } in listed.iter().filter(|listed| listed.occurs == Occurs::Once) {
        told += &format!("explained, and does not occur:\n{}\n{}\n", hunk.heading, hunk.lines.join("\n"));
    }
    told
}

#[test]
fn outputs_of_the_regression_suite_are_compared_line_by_line() {
    let of = |direct, through| hunks("t", direct, through);
    let told = |hunks: Vec<Hunk>| hunks.into_iter().map(|hunk| hunk.lines.join(" ")).collect::<Vec<_>>();
    assert_eq!(of("SELECT 1;\n 1\n", "SELECT 1;\n 1\n"), []);
    // Another order, another sign, a row more in one place and less in another, a width.
    assert_eq!(told(of(" 1\n 2\n 3\n", " 2\n 3\n 1\n")), ["< 1", "> 1"]);
    assert_eq!(told(of(" -1\n", " 1\n")), ["< -1 > 1"]);
    assert_eq!(told(of(" 1\n 2\n 3\n 1\n", " 2\n 3\n")), ["< 1", "< 1"]);
    let wide = of("SELECT a;\n a | b\n---+---\n", "SELECT a;\n a  | b\n----+---\n");
    assert_eq!(told(wide), ["< a | b < -+- > a | b > -+-"]);

    let of_ours =
        of("SELECT a;\n a \n---\n b\n(1 row)\n", "SELECT a;\n  a   \n------\n sc_12\n b\n sc_3 | x\n(3 rows)\n");
    assert_eq!(of_ours, []);
    let others = of("SELECT a;\n b\n(1 row)\n", "SELECT a;\n sc_12\n c\n(2 rows)\n");
    assert_eq!(told(others), ["< b > c"]);

    let explained = "A reason: why.\nt: SELECT 2;\n< 2*\n> 3\nat times t: *\n> once\n";
    let (at, third) = ("SELECT 1;\n 1\nSELECT 2;\n 22\n", "SELECT 1;\n 1\nSELECT 2;\n 3\n");
    assert_eq!(unexplained(explained, of(at, third)), "");
    let again = "SELECT 1;\nonce\n 1\nSELECT 2;\n 3\nonce\n";
    assert_eq!(
        unexplained(explained, of(at, again)),
        "not explained:\nt: SELECT 2;\n< 22\n> 3\n> once\n\
        explained, and does not occur:\nt: SELECT 2;\n< 2*\n> 3\n"
    );
    let elsewhere = "SELECT 1;\n 3\nSELECT 2;\n 22\n";
    assert!(unexplained(explained, of(at, elsewhere)).starts_with("not explained:\nt: SELECT 1;\n< 1\n> 3\n"));
    assert_eq!(unexplained("at times t: *\n*\n", of(at, elsewhere)), "");
}

#[test]
#[ignore = "minutes long, and its statements are downloaded: make test-all"]
fn the_regression_suite_sees_no_unexplained_difference() {
    let (root, suite) = (Path::new(env!("CARGO_MANIFEST_DIR")), suite());
    let explained = fs::read_to_string(root.join("tests/regress/explained.txt")).expect("a file of this repository");
    let [direct, through] = [false, true].map(|through| results(&suite, &cluster().start(), through));
    assert!(direct.len() > 150, "the suite has run: {} tests", direct.len());
    assert_eq!(direct.keys().collect::<Vec<_>>(), through.keys().collect::<Vec<_>>());
    let found = direct.iter().flat_map(|(test, said)| hunks(test, said, &through[test])).collect();
    let unexplained = unexplained(&explained, found);
    assert!(unexplained.is_empty(), "\n{unexplained}");
}
