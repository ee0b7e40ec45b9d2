//! `make figures`: throughput and CPU per query of Sidecache's hit and miss paths, beside PostgreSQL itself, PgBouncer
//! where it is installed, and a server that answers the same bytes without looking. All in one run on one machine:
//! compare the rows, not the runs. Nothing here is asserted.

mod answerer;
#[path = "../harness/mod.rs"]
mod harness;

use clap::Parser;
use harness::cluster::Cluster;
use harness::postgres::{command, hand_over};
use harness::process::{End, Process, Scratch, run};
use harness::sidecache::{Sidecache, program};
use harness::wire::{Login, Wire};
use harness::{eventually, free_port, usage};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Measures, prints, and leaves nothing behind.
#[derive(Parser)]
struct Arguments {
    /// Seconds for each figure.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Runs as the server that answers without looking; for this program's own use.
    #[arg(long, hide = true)]
    answer_on: Option<u16>,
}

/// Few enough rows that each is asked for again and again, as hot rows are.
const SCRIPT: &str = "\\set aid random(1, 1000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n";

/// One way to reach the rows.
struct Way<'a> {
    name: &'static str,
    login: Login,
    /// CPU time that it has used so far.
    cpu: Box<dyn Fn() -> Duration + 'a>,
    prepared: Prepared,
}

/// Whether statements prepared by name may be used: an old PgBouncer loses them in transaction pooling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prepared {
    Works,
    Fails,
}

struct Figure {
    rate: f64,
    latency: f64,
    cpu: f64,
}

fn measure(cluster: &Cluster, way: &Way<'_>, script: &Path, mode: &str, clients: u32, seconds: u32) -> Option<Figure> {
    if mode == "prepared" && way.prepared == Prepared::Fails {
        return None;
    }
    let pgbench = |seconds: u32| {
        let mut pgbench = cluster.program("pgbench");
        pgbench.args(["--no-vacuum", "--protocol", mode]).arg("-f").arg(script);
        pgbench.args(["-c", &clients.to_string(), "-j", "2", "-T", &seconds.to_string()]).arg(way.login.url());
        run(&mut pgbench)
    };
    // Warms what there is to warm.
    pgbench(2);
    let before = (way.cpu)();
    let said = pgbench(seconds);
    let used = (way.cpu)() - before;
    let number = |label: &str| {
        let line = said.lines().find_map(|l| l.strip_prefix(label))?;
        line.trim_start_matches([' ', ':', '=']).split([' ', '/']).next()?.parse::<f64>().ok()
    };
    let queries = number("number of transactions actually processed")?;
    Some(Figure {
        rate: number("tps")?,
        latency: number("latency average")? * 1000.0,
        cpu: used.as_secs_f64() * 1e6 / queries,
    })
}

/// PgBouncer before the primary, if it is installed.
fn pgbouncer(cluster: &Cluster, scratch: &Scratch) -> Option<(Process, Login, Prepared)> {
    let version = Command::new("pgbouncer").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let minor = version.split(['.', ' ', '\n']).filter_map(|n| n.parse::<u32>().ok()).nth(1)?;
    let prepared = if minor >= 21 { Prepared::Works } else { Prepared::Fails };
    let port = free_port();
    let file = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        fs::write(&path, text).expect("our own directory");
        hand_over(&path);
        path
    };
    let users = file("users.txt", "\"app\" \"app\"\n");
    let statements = if prepared == Prepared::Works { "max_prepared_statements = 200\n" } else { "" };
    let settings = file(
        "pgbouncer.ini",
        &format!(
            "[databases]\nshop = host=127.0.0.1 port={} dbname=shop\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             pool_mode = transaction\nmax_client_conn = 300\ndefault_pool_size = 20\n{statements}",
            cluster.primary.port,
            users.display()
        ),
    );
    let login = Login { port, ..cluster.login("app", "shop") };
    let log = scratch.path().join("pgbouncer.log");
    let mut process = Process::spawn("pgbouncer", command(Path::new("pgbouncer")).arg(settings), &log, End::Term);
    eventually("pgbouncer to take connections", || {
        process.must_live();
        Wire::connect(&login).ok()
    });
    Some((process, login, prepared))
}

fn only_answers(scratch: &Scratch) -> (Process, Login) {
    let port = free_port();
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    let log = scratch.path().join("answerer.log");
    let mut process = Process::spawn("answerer", command.args(["--answer-on", &port.to_string()]), &log, End::Term);
    let word = || "app".to_owned();
    let login = Login {
        host: "127.0.0.1".to_owned(),
        port,
        user: word(),
        password: word(),
        database: "shop".to_owned(),
        parameters: Vec::new(),
    };
    eventually("the answering server", || {
        process.must_live();
        Wire::connect(&login).ok()
    });
    (process, login)
}

/// Resident memory with no session, and what each of many idle ones adds.
fn memory(sidecache: &Sidecache) -> Option<(u64, u64)> {
    const MANY: u64 = 200;
    let idle = usage::resident(sidecache.pid())?;
    let mut sessions: Vec<Wire> = (0..MANY).map(|_| sidecache.connect("app")).collect();
    sessions.iter_mut().for_each(|s| drop(s.value("SELECT 1")));
    let full = usage::resident(sidecache.pid())?;
    Some((idle, full.saturating_sub(idle) / MANY))
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(port) = arguments.answer_on {
        return answerer::serve(port);
    }
    let scratch = Scratch::new();
    let cluster = Cluster::build().replicas(0).setting("shared_buffers = 256MB").start();
    let direct = cluster.login("app", "shop");
    run(cluster.program("pgbench").args(["--initialize", "--quiet", "--scale=10"]).arg(direct.url()));
    let script = scratch.path().join("select.sql");
    fs::write(&script, SCRIPT).expect("our own directory");
    hand_over(&script);

    let start = |cache: &str| Sidecache::build(&cluster, "shop").cache(cache).start();
    let (hits, misses) = (start("on"), start("off"));
    hits.await_stream(&cluster);
    let bytes = fs::metadata(program()).map_or(0, |m| m.len());
    println!("binary: {:.1} MiB", bytes as f64 / f64::from(1 << 20));
    if let Some((idle, session)) = memory(&misses) {
        println!(
            "resident: {:.1} MiB idle, {:.1} KiB more a session",
            idle as f64 / 1048576.0,
            session as f64 / 1024.0
        );
    }
    let (answerer, answers) = only_answers(&scratch);
    let bouncer = pgbouncer(&cluster, &scratch);
    if bouncer.is_none() {
        println!("pgbouncer is not installed: left out");
    }

    let mut ways = vec![
        Way { name: "PostgreSQL", login: direct, cpu: Box::new(|| cluster.cpu().0), prepared: Prepared::Works },
        Way {
            name: "only answers",
            login: answers,
            cpu: Box::new(|| usage::cpu(answerer.pid())),
            prepared: Prepared::Works,
        },
        Way {
            name: "Sidecache, hits",
            login: hits.login("app"),
            cpu: Box::new(|| hits.cpu()),
            prepared: Prepared::Works,
        },
        Way {
            name: "Sidecache, cache off",
            login: misses.login("app"),
            cpu: Box::new(|| misses.cpu()),
            prepared: Prepared::Works,
        },
    ];
    if let Some((process, login, prepared)) = &bouncer {
        let cpu = Box::new(|| usage::cpu(process.pid()));
        ways.push(Way { name: "PgBouncer", login: login.clone(), cpu, prepared: *prepared });
    }
    println!(
        "\nCPU is that of the process named alone: before a proxy that asks PostgreSQL, PostgreSQL's comes on top."
    );
    for mode in ["simple", "prepared"] {
        for clients in [1, 16] {
            println!("\n{mode}, {clients} clients{:>20} {:>12} {:>16}", "queries/s", "latency µs", "CPU µs a query");
            for way in &ways {
                match measure(&cluster, way, &script, mode, clients, arguments.seconds) {
                    Some(Figure { rate, latency, cpu }) => {
                        println!("  {:<22} {rate:>12.0} {latency:>12.0} {cpu:>16.1}", way.name);
                    }
                    None => println!("  {:<22} {:>12}", way.name, "–"),
                }
            }
        }
    }
    let (all, missed) = (hits.count("/cache/hits"), hits.count("/cache/misses"));
    println!(
        "\n{:.1} % of what the caching one was asked were hits",
        all as f64 * 100.0 / (all + missed).max(1) as f64
    );
}
