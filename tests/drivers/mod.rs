//! Real clients run the same script straight to the primary and through Sidecache, in both pool modes, with the cache
//! on and off: what they see must be the same to the last byte that they show.
//!
//! The scripts print nothing that differs between two runs on one server. `SIDECACHE_DRIVERS` names the directory
//! where `make install-deps` has put the drivers, if not `target/drivers`.

mod crowd;
mod habits;
mod tokio;

use crate::harness::PATIENCE;
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::postgres::programs;
use crate::harness::process::{End, Process, Scratch, Signal, output, run};
use crate::harness::sidecache::Sidecache;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What is there before a script runs, for it to read until it is kept, first of all: a session that has written reads past the cache
/// for a while.
const KEPT: &str = "CREATE SCHEMA warm; CREATE TABLE warm.kept AS SELECT g AS id, 'row ' || g AS s, g * 1.5 AS n, g / 3.0::float8 AS f,\
    g % 2 = 0 AS b, timestamptz '2024-02-29 12:00Z' AS tz, date '2024-02-29' AS d, jsonb_build_object('a', g) AS j,\
    decode('00ff', 'hex') AS by, ARRAY['x', NULL] AS a, NULL::int AS none FROM generate_series(1, 3) g";

/// What a script proves of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Some of its answers come from the cache where that is on.
    Cached,
    /// None do: it reads the catalog and copies tables.
    Uncached,
}

/// Runs the script directly, twice (or the comparison would prove nothing), and through every kind of Sidecache.
fn compare(label: &str, script: impl Fn(&str) -> String) {
    compare_of(Reads::Cached, label, script);
}

fn compare_of(reads: Reads, label: &str, script: impl Fn(&str) -> String) {
    let cluster = Cluster::shared();
    let database = cluster.database(label);
    if reads == Reads::Cached {
        cluster.connect("app", &database).rows(KEPT);
    }
    let direct_url = cluster.primary_url("app", &database);
    let direct = script(&direct_url);
    assert_same("a second time", &direct, &script(&direct_url));
    for pool in ["transaction", "session"] {
        for cache in ["on", "off"] {
            let sidecache = Sidecache::build(cluster, &database).pool(pool).cache(cache).start();
            let hits = || sidecache.count("/cache/hits");
            let is_to_hit = reads == Reads::Cached && cache == "on";
            // Again until something came from the cache: others' roles keep the catalog in doubt now and then.
            let began = Instant::now();
            loop {
                if cache == "on" {
                    sidecache.await_stream(cluster);
                }
                let through = script(&sidecache.url("app"));
                assert_same(&format!("pool {pool}, cache {cache}"), &direct, &through);
                if !is_to_hit || hits() > 0 || began.elapsed() > PATIENCE {
                    break;
                }
            }
            assert!(
                hits() > 0 || !is_to_hit,
                "{label}, pool {pool}: nothing came from the cache: {:#}",
                sidecache.status()["cache"]
            );
        }
    }
}

/// Panics at the first line that differs, with a few lines around it.
fn assert_same(how: &str, direct: &str, other: &str) {
    let (a, b): (Vec<&str>, Vec<&str>) = (direct.lines().collect(), other.lines().collect());
    let longest = a.len().max(b.len());
    if let Some(at) = (0..longest).find(|&n| a.get(n) != b.get(n)) {
        let before = a[at.saturating_sub(5)..at].join("\n");
        let line = |lines: &[&str]| lines.get(at).map_or("(the end)".to_owned(), |l| l.chars().take(2000).collect());
        panic!("{how}: line {} differs, after\n{before}\ndirect:\n{}\nnow:\n{}", at + 1, line(&a), line(&b));
    }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(name)
}

fn installed(name: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/drivers");
    let path = std::env::var_os("SIDECACHE_DRIVERS").map_or_else(default, PathBuf::from).join(name);
    assert!(path.exists(), "{} is missing: run `make install-deps`", path.display());
    path
}

/// A program with nothing of libpq's variables around it.
fn client(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command
}

/// Compares what a Python script of this directory prints; `more` are its arguments behind the URL.
fn python(label: &str, script: &str, more: &[&str]) {
    let python = installed("venv/bin/python");
    // -B: no compiled copies beside the scripts.
    compare(label, |url| run(client(&python).arg("-B").arg(here(script)).arg(url).args(more)));
}

/// Compares what a Node script of this directory prints.
fn node(label: &str, script: &str) {
    let modules = installed("node/node_modules");
    compare(label, |url| run(client(Path::new("node")).env("NODE_PATH", &modules).arg(here(script)).arg(url)));
}

#[test]
fn psycopg_sees_no_difference() {
    python("psycopg", "psycopg_script.py", &[]);
}

#[test]
fn psycopg2_sees_no_difference() {
    python("psycopg2", "psycopg2_script.py", &[]);
}

#[test]
fn asyncpg_sees_no_difference() {
    python("asyncpg", "asyncpg_script.py", &[]);
}

#[test]
fn sqlalchemy_by_psycopg_sees_no_difference() {
    python("sqlalchemy_psycopg", "sqlalchemy_script.py", &["psycopg"]);
}

#[test]
fn sqlalchemy_by_asyncpg_sees_no_difference() {
    python("sqlalchemy_asyncpg", "sqlalchemy_script.py", &["asyncpg"]);
}

#[test]
fn django_sees_no_difference() {
    python("django", "django_script.py", &["client"]);
}

#[test]
fn django_that_binds_on_the_server_sees_no_difference() {
    python("django_binds", "django_script.py", &["server"]);
}

#[test]
fn node_postgres_sees_no_difference() {
    node("node", "node_postgres.js");
}

#[test]
fn postgres_js_sees_no_difference() {
    node("postgres_js", "postgres_js.js");
}

#[test]
fn knex_and_drizzle_see_no_difference() {
    node("builders", "builders.js");
}

#[test]
fn prisma_sees_no_difference() {
    node("prisma", "prisma.js");
}

#[test]
fn tokio_postgres_sees_no_difference() {
    let runtime = ::tokio::runtime::Runtime::new().expect("a runtime");
    compare("tokio", |url| {
        let done = runtime.block_on(async { ::tokio::time::timeout(PATIENCE, tokio::transcript(url)).await });
        done.unwrap_or_else(|_| panic!("{url}: no end within {PATIENCE:?}")).unwrap_or_else(|e| panic!("{url}: {e:?}"))
    });
}

#[test]
#[ignore = "its build alone takes minutes: make test-all"]
fn sqlx_sees_no_difference() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sqlx/debug/transcript");
    assert!(program.is_file(), "{} is missing: `make test-all` builds it", program.display());
    compare("sqlx", |url| run(client(&program).arg(url)));
}

/// pgjdbc in the ways in which it can be told to send statements.
#[test]
#[ignore = "it needs a JDK: make test-all"]
fn pgjdbc_sees_no_difference() {
    const JAVA: &str = "/usr/share/java";
    let jars = ["postgresql.jar", "scram-client.jar", "scram-common.jar", "stringprep.jar", "saslprep.jar"];
    let path = jars.map(|jar| format!("{JAVA}/{jar}")).join(":");
    assert!(Path::new(JAVA).join(jars[0]).exists(), "pgjdbc is missing: `make test-all` installs it");
    for (label, properties) in [
        ("pgjdbc", &[] as &[&str]),
        ("pgjdbc_simple", &["preferQueryMode=simple"]),
        ("pgjdbc_cached", &["preferQueryMode=extendedCacheEverything", "autosave=always"]),
        ("pgjdbc_text", &["binaryTransfer=false", "prepareThreshold=1", "reWriteBatchedInserts=true"]),
    ] {
        compare(label, |url| {
            run(client(Path::new("java")).args(["-cp", &path]).arg(here("Jdbc.java")).arg(url).args(properties))
        });
    }
}

/// Compares what psql shows of a script of this directory.
fn psql(label: &str, script: &str) {
    compare(label, |url| {
        let mut command = postgres_client("psql");
        command.args(["-X", "-a", "-f"]).arg(here(script)).arg(url).env("LC_ALL", "C");
        let (status, out, err) = output(&mut command);
        assert!(status.success(), "psql ended with {status}");
        // \watch begins with the time.
        let out: String =
            out.lines().filter(|line| !line.ends_with("(every 2s)")).fold(String::new(), |all, line| all + line + "\n");
        out + "\n" + &err.replace(&*here(script).to_string_lossy(), script)
    });
}

/// One of PostgreSQL's own clients, as the user that runs the tests.
fn postgres_client(name: &str) -> Command {
    client(&programs().join(name))
}

#[test]
fn psql_sees_no_difference() {
    psql("psql", "script.sql");
}

#[test]
fn psql_describes_and_copies_no_differently() {
    psql("psql_more", "psql_more.sql");
}

/// What psql shows of `\watch`: what others write while it goes on, the error that ends it, and that SIGINT does.
#[test]
fn psql_watches_no_differently() {
    const OFTEN: usize = 10;
    let scratch = Scratch::new();
    compare("psql_watch", |url| {
        let database = url.rsplit('/').next().expect("a URL with a database");
        let mut beside = Cluster::shared().connect("app", database);
        beside.rows("DROP TABLE IF EXISTS watched, kept");
        beside.rows("CREATE TABLE watched AS SELECT 'first' AS v; CREATE TABLE kept AS SELECT 'kept' AS v");
        let log = scratch.path().join("watched.log");
        let _ = std::fs::remove_file(&log);
        let mut command = postgres_client("psql");
        command.args(["-X", "-A", "-t", "-f"]).arg(here("watched.sql")).arg(url).env("LC_ALL", "C");
        let mut psql = Process::spawn("psql", &mut command, &log, End::Term);
        let await_shown = |psql: &Process, what: &str| {
            let often = || psql.log().lines().filter(|line| *line == what).count() >= OFTEN;
            eventually(&format!("{what:?} to be shown {OFTEN} times"), || often().then_some(()));
        };
        await_shown(&psql, "first");
        beside.rows("UPDATE watched SET v = 'second'");
        await_shown(&psql, "second");
        beside.rows("DROP TABLE watched");
        await_shown(&psql, "kept");
        psql.signal(Signal::INT);
        assert!(psql.wait(PATIENCE).is_some(), "psql heeds no SIGINT:\n{}", psql.log());
        // How often each was shown, and whether SIGINT met a query or the pause, is nobody's.
        let said = psql.log().replace(&*here("watched.sql").to_string_lossy(), "watched.sql");
        let told = |line: &&str| !line.is_empty() && !line.ends_with("(every 0.01s)") && !line.contains("ancel");
        let mut lines: Vec<&str> = said.lines().filter(told).collect();
        lines.dedup();
        assert!(["first", "second", "over", "kept"].iter().all(|line| lines.contains(line)), "{said}");
        lines.join("\n")
    });
}

/// pgbench judges itself (a failed statement or a wrong result ends it), and its books must balance.
#[test]
fn pgbench_balances_in_every_query_mode() {
    let pgbench = |url: &str, arguments: &[&str]| run(postgres_client("pgbench").args(arguments).arg(url));
    let kept = here("kept.sql").to_string_lossy().into_owned();
    compare("pgbench", |url| {
        let mut told = String::new();
        for mode in ["simple", "extended", "prepared"] {
            pgbench(url, &["--no-vacuum", "--protocol", mode, "--file", &kept, "-c2", "-t10"]);
        }
        pgbench(url, &["--initialize", "--scale=1", "--quiet"]);
        for mode in ["simple", "extended", "prepared"] {
            for workload in ["tpcb-like", "simple-update", "select-only"] {
                let said =
                    pgbench(url, &["--no-vacuum", "--protocol", mode, "--builtin", workload, "-c4", "-j2", "-t25"]);
                let telling = |l: &&str| l.starts_with("number of transactions") || l.starts_with("query mode");
                told += &said.lines().filter(telling).collect::<Vec<_>>().join("\n");
                told += "\n";
            }
        }
        let login = Cluster::shared();
        let database = url.rsplit('/').next().expect("a URL with a database");
        let balance = "SELECT count(*), (SELECT sum(abalance) FROM pgbench_accounts) = sum(delta), \
                       (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches) \
                       FROM pgbench_history";
        told + &format!("{:?}", login.connect("app", database).rows(balance))
    });
}

/// A dump, but for the random key by which newer versions guard it.
fn steady(dump: &str) -> String {
    let told = |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
    dump.lines().filter(told).collect::<Vec<_>>().join("\n")
}

/// A dump through Sidecache equals a direct one to the byte, and so does what is restored from it.
#[test]
fn pg_dump_and_pg_restore_see_no_difference() {
    let scratch = Scratch::new();
    let [archive, directory] = ["archive", "directory"].map(|name| scratch.path().join(name));
    compare_of(Reads::Uncached, "dump", |url| {
        let dump = |more: &[&str]| steady(&run(postgres_client("pg_dump").args(more).arg(url)));
        let restore = |more: &[&str], from: &Path| {
            let drop = "SET client_min_messages = warning; DROP SCHEMA du CASCADE";
            run(postgres_client("psql").args(["-Xq", "-c", drop]).arg(url));
            run(postgres_client("pg_restore").args(["--exit-on-error", "--dbname", url]).args(more).arg(from))
        };
        run(postgres_client("psql").args(["-Xq", "-v", "ON_ERROR_STOP=1", "-f"]).arg(here("dumped.sql")).arg(url));
        let plain = dump(&[]);
        assert!(plain.contains("COPY du.item"), "the table's rows are dumped:\n{plain}");
        run(postgres_client("pg_dump").args(["--format=custom", "--file"]).arg(&archive).arg(url));
        let listed = steady(&run(postgres_client("pg_restore").arg("--file=-").arg(&archive)));
        restore(&["--single-transaction"], &archive);
        assert_eq!(plain, dump(&[]), "what was restored is what was dumped");
        // Several at a time share one snapshot, which must be the primary's own.
        run(postgres_client("pg_dump").args(["--format=directory", "--jobs=3", "--file"]).arg(&directory).arg(url));
        restore(&["--jobs=3"], &directory);
        std::fs::remove_dir_all(&directory).expect("our own directory");
        assert_eq!(plain, dump(&[]), "several at a time");
        let schema = dump(&["--schema-only", "--schema=du"]);
        [plain, listed, schema, dump(&["--inserts", "--serializable-deferrable"])].join("\n----\n")
    });
}
