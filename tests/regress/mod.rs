//! PostgreSQL's own regression suite, direct and through Sidecache with session pooling, each on a fresh server: what
//! differs must stand in `explained.txt`. Whether PostgreSQL passes its suite here is not asked.
//!
//! The suite comes by `.ci/install-regress` (`make test-all` runs it) into target/regress.

use crate::harness::PATIENCE;
use crate::harness::cluster::{Cluster, ClusterBuilder};
use crate::harness::postgres::{command, hand_over, programs};
use crate::harness::process::{End, Process, run};
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

/// A line without what follows from the width of a column alone.
fn squeezed(line: &str) -> String {
    let line = line.replace(['-', '+'], " ");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines that one has and the other has not, however often: `<` direct, `>` through.
fn difference(direct: &str, through: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    direct.lines().for_each(|line| *counts.entry(squeezed(line)).or_default() += 1);
    through.lines().for_each(|line| *counts.entry(squeezed(line)).or_default() -= 1);
    counts.retain(|line, count| *count != 0 && !line.is_empty());
    counts.into_iter().map(|(line, count)| format!("{} {line}", if count > 0 { '<' } else { '>' })).collect()
}

/// Whether some line `test: line` of the list, where a `*` at the end stands for anything, says so.
fn is_explained(explained: &str, test: &str, line: &str) -> bool {
    let listed = explained.lines().filter_map(|l| l.strip_prefix(test)?.strip_prefix(": "));
    listed.into_iter().any(|said| said.strip_suffix('*').map_or(said == line, |start| line.starts_with(start)))
}

#[test]
#[ignore = "minutes long, and its statements are downloaded: make test-all"]
fn the_regression_suite_sees_no_unexplained_difference() {
    let (root, suite) = (Path::new(env!("CARGO_MANIFEST_DIR")), suite());
    let explained = fs::read_to_string(root.join("tests/regress/explained.txt")).expect("a file of this repository");
    let [direct, through] = [false, true].map(|through| results(&suite, &cluster().start(), through));
    assert!(direct.len() > 150, "the suite has run: {} tests", direct.len());
    assert_eq!(direct.keys().collect::<Vec<_>>(), through.keys().collect::<Vec<_>>());
    let unexplained: Vec<String> = direct
        .iter()
        .flat_map(|(test, said)| difference(said, &through[test]).into_iter().map(move |line| (test, line)))
        .filter(|(test, line)| !is_explained(&explained, test, line))
        .map(|(test, line)| format!("{test}: {line}"))
        .collect();
    assert!(unexplained.is_empty(), "\n{}", unexplained.join("\n"));
}
