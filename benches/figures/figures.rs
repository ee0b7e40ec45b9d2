//! `make figures`: what a hit and a forwarded statement cost, against PostgreSQL, PgBouncer and a server that only
//! answers. It measures and prints; nothing here fails for being slow.

mod baseline;
mod contenders;
mod crowd;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod rounds;

use clap::Parser;
use contenders::{BASELINE, Contenders, HITS, OFF, PGBOUNCER};
use harness::cluster::Cluster;
use harness::process::Scratch;
use harness::sidecache::{Sidecache, program};
use harness::{postgres, usage};
use rounds::{Bench, Figures, WORKLOADS, medians};
use std::process::{Command, ExitCode};
use std::time::Instant;

const DATABASE: &str = "shop";
/// Sessions opened to see what one that idles takes.
const IDLE_SESSIONS: u64 = 2000;

/// Measures on servers of its own, which are gone at the end.
#[derive(Parser)]
#[command(name = "figures")]
struct Arguments {
    /// Seconds of each run of pgbench.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds through everything, of which the medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also builds everything anew, elsewhere, and says how long that took.
    #[arg(long)]
    build: bool,
    /// Many clients, many that idle, and a large result, in place of all that.
    #[arg(long)]
    crowd: bool,
    /// Serves the same bytes to everyone on this port, and does nothing else.
    #[arg(long, hide = true)]
    baseline: Option<u16>,
    /// Copies between two ports, and does nothing else.
    #[arg(long, hide = true)]
    relay: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let serving = match (arguments.baseline, &arguments.relay) {
        (Some(port), _) => Some(baseline::serve(port)),
        (None, Some(ports)) => Some(crowd::serve_relay(ports)),
        (None, None) => None,
    };
    match serving {
        Some(Err(error)) => {
            eprintln!("what is compared against cannot serve: {error}");
            return ExitCode::FAILURE;
        }
        Some(Ok(())) => {}
        None if arguments.crowd => crowd::measure(arguments.seconds),
        None => measure(&arguments),
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) {
    let began = Instant::now();
    let said = |what: &str| eprintln!("[{:>5.1} s] {what}", began.elapsed().as_secs_f64());
    said("starting PostgreSQL");
    let cluster = Cluster::build().replicas(0).setting("shared_buffers = 256MB").start();
    let scratch = Scratch::new();
    postgres::hand_over(scratch.path());
    let bench = Bench { cluster: &cluster, database: DATABASE, directory: scratch.path() };
    bench.prepare();
    said("measuring memory");
    let memory = memory(&cluster);
    said("starting what is compared");
    let contenders = Contenders::start(&cluster, DATABASE);
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); WORKLOADS.len() * contenders.all.len()];
    for workload in WORKLOADS {
        bench.warm(contenders.find(HITS), workload, 20_000 / workload.clients);
    }
    for round in 1..=arguments.rounds {
        said(&format!("round {round} of {}", arguments.rounds));
        // Side by side in time, so that what else the machine does meets all alike.
        let cells = WORKLOADS.iter().flat_map(|w| contenders.all.iter().map(move |c| (w, c)));
        for ((workload, contender), cell) in cells.zip(&mut rounds) {
            cell.push(bench.round(contender, *workload, arguments.seconds));
        }
    }
    said("done");
    let (hits, misses) = (contenders.hits.count("/cache/hits_by_tier/memory"), contenders.hits.count("/cache/misses"));
    print_table(&contenders, &rounds);
    println!();
    println!("The instance that hits counted {hits} hits and {misses} misses. Memory: {memory}");
    let size = std::fs::metadata(program()).map_or(0, |meta| meta.len());
    println!("Binary: {:.1} MiB.", mebibytes(size));
    if arguments.build {
        println!("Clean build: {:.0} s.", clean_build(&scratch));
    }
}

fn print_table(contenders: &Contenders, rounds: &[Vec<Figures>]) {
    println!("| pgbench -S | clients | through | queries/s | p50 ms | its CPU µs/query | PostgreSQL's CPU µs/query |");
    println!("|---|---:|---|---:|---:|---:|---:|");
    let count = contenders.all.len();
    for (workload, rows) in WORKLOADS.iter().zip(rounds.chunks(count)) {
        let of: Vec<(&str, Figures)> =
            contenders.all.iter().map(|c| c.name).zip(rows.iter().map(|r| medians(r))).collect();
        let find = |name: &str| of.iter().find(|(n, _)| *n == name).map(|(_, figures)| *figures);
        for (name, figures) in &of {
            let against = match *name {
                HITS => find(BASELINE),
                OFF => find(PGBOUNCER),
                _ => None,
            };
            let share =
                |now: f64, then: Option<f64>| then.map_or(String::new(), |then| format!(" (×{:.2})", now / then));
            println!(
                "| {} | {} | {name} | {:.0}{} | {:.3} | {:.1}{} | {:.1} |",
                workload.mode,
                workload.clients,
                figures.rate,
                share(figures.rate, against.map(|a| a.rate)),
                figures.p50_ms,
                figures.between,
                share(figures.between, against.map(|a| a.between)),
                figures.postgres,
            );
        }
    }
    println!();
    println!("×: hits against the server that answers without looking, cache off against PgBouncer.");
}

/// Resident memory of an instance that has served nobody yet, and what each idle session adds.
fn memory(cluster: &Cluster) -> String {
    let sidecache = Sidecache::build(cluster, DATABASE).no_replicas().start();
    sidecache.await_stream(cluster);
    let resident = || usage::resident(sidecache.pid()).unwrap_or(0);
    let idle = resident();
    let open = || {
        let mut wire = sidecache.connect("app");
        wire.rows("SELECT abalance FROM pgbench_accounts WHERE aid = 1");
        wire
    };
    // The first brings what all share.
    let _first = open();
    let one = resident();
    let _others: Vec<_> = (0..IDLE_SESSIONS).map(|_| open()).collect();
    let each = resident().saturating_sub(one) / IDLE_SESSIONS;
    format!("{:.1} MiB idle, {:.1} KiB more for each idle session.", mebibytes(idle), each as f64 / 1024.0)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn clean_build(scratch: &Scratch) -> f64 {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--quiet", "--bin", "sidecache"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", scratch.path().join("target"));
    let began = Instant::now();
    harness::process::run(&mut cargo);
    began.elapsed().as_secs_f64()
}
