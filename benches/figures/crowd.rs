//! `make figures CROWD=1`: many clients on few connections, many that idle, and one large result, against PostgreSQL,
//! PgBouncer and a relay that only copies.

use crate::contenders::{POOL_SIZE, await_port, pgbouncer};
use crate::harness::cluster::Cluster;
use crate::harness::process::{End, Process, Scratch};
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Login, Wire, rows};
use crate::harness::{free_port, postgres, usage};
use crate::mebibytes;
use crate::rounds::{Bench, Figures, Workload, median};
use std::io::Read;
use std::process::Command;
use std::time::Instant;

const DATABASE: &str = "shop";
/// One client, as many as the pool has connections, ten times and many times as many.
const CROWDS: [u32; 5] = [1, POOL_SIZE, 10 * POOL_SIZE, 256, 2000];
const IDLE: usize = 10_000;
/// Clients that run statements beside those that idle, and what each keeps prepared.
const ACTIVE: usize = 1_000;
const PREPARED: usize = 8;
/// Rows of the large result, each of 1,000 bytes.
const ROWS: u32 = 1_000_000;
const READY: &[u8] = b"Z\0\0\0\x05I";

/// Everything of this page, as Markdown.
pub fn measure(seconds: u64) {
    let began = Instant::now();
    let said = |what: &str| eprintln!("[{:>5.1} s] {what}", began.elapsed().as_secs_f64());
    said("starting PostgreSQL");
    let most = CROWDS.iter().max().expect("there is one") + 200;
    let cluster = Cluster::build().replicas(0).setting(&format!("max_connections = {most}")).start();
    let scratch = Scratch::new();
    postgres::hand_over(scratch.path());
    let bench = Bench { cluster: &cluster, database: DATABASE, directory: scratch.path() };
    bench.prepare();
    let build = || {
        let builder = Sidecache::build(&cluster, DATABASE).no_replicas().flag("--pool-size", &POOL_SIZE.to_string());
        builder.flag("--pool-timeout", "1m").flag("--max-clients", "20000")
    };
    let hits = build().start();
    let off = build().cache("off").start();
    hits.await_stream(&cluster);
    let (port, pgbouncer) = pgbouncer(&scratch, &cluster, DATABASE);
    let all = [
        ("direct", cluster.primary.port, None),
        ("Sidecache, hits", hits.port(), Some(hits.pid())),
        ("Sidecache, cache off", off.port(), Some(off.pid())),
        ("PgBouncer", port, Some(pgbouncer.pid())),
    ];
    let mut rows: Vec<(u32, &str, Figures)> = Vec::new();
    for clients in CROWDS {
        for (name, port, pid) in all {
            said(&format!("{clients} clients, {name}"));
            // pgbench connects one client after the other while its time runs: how long that takes is the machine's.
            let mut times = (0..).map(|power| seconds + ((u64::from(clients) / 50) << power));
            let workload = Workload { mode: "simple", clients };
            let figures = times.find_map(|seconds| bench.round_at(port, pid, workload, seconds));
            rows.push((clients, name, figures.expect("times grow without end")));
        }
    }
    print_table(&rows);
    println!();
    large_results(&cluster, &off, port, &scratch, said);
    println!();
    said("opening sessions that idle");
    let (idle, active) = crowd_memory(&off, &said);
    println!(
        "Memory: {idle:.1} KiB for each of {IDLE} idle sessions, and beside them {active:.1} KiB for each of {ACTIVE}"
    );
    println!("that run statements in turn and hold {PREPARED} of them prepared.");
    said("done");
}

/// Each way's queries a second also as a share of its own at its best: how much of it is left where clients are many.
fn print_table(rows: &[(u32, &str, Figures)]) {
    println!(
        "| clients on a pool of {POOL_SIZE} | through | queries/s | of its peak | p50 ms | p99 ms | its CPU µs/query |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|");
    for (clients, name, figures) in rows {
        let own = rows.iter().filter(|(_, other, _)| other == name);
        let peak = own.map(|(.., figures)| figures.rate).fold(f64::NAN, f64::max);
        let Figures { rate, p50_ms, p99_ms, between, .. } = figures;
        let share = 100.0 * rate / peak;
        println!("| {clients} | {name} | {rate:.0} | {share:.0} % | {p50_ms:.3} | {p99_ms:.2} | {between:.1} |");
    }
}

/// What each session of [`IDLE`] that have asked one query adds, and then each of [`ACTIVE`].
fn crowd_memory(sidecache: &Sidecache, said: &impl Fn(&str)) -> (f64, f64) {
    let resident = || usage::resident(sidecache.pid()).unwrap_or(0);
    let each = |before: u64, count: usize| resident().saturating_sub(before) as f64 / count as f64 / 1024.0;
    let login = sidecache.login("app");
    let open = |login: &Login| {
        let mut wire = Wire::connect(login).expect("a session");
        wire.rows("SELECT abalance FROM pgbench_accounts WHERE aid = 1");
        wire
    };
    let _first = open(&login);
    let one = resident();
    let half = || (0..IDLE / 2).map(|_| open(&login)).collect::<Vec<_>>();
    let _all = std::thread::scope(|scope| {
        let other = scope.spawn(half);
        (half(), other.join().expect("no session failed"))
    });
    let idle = each(one, IDLE);
    said("opening sessions that run statements");
    let before = resident();
    let run = |wire: &mut Wire, batch: &Batch| drop(rows(&wire.run(batch).expect("an answer")).expect("no error"));
    let mut active: Vec<Wire> = (0..ACTIVE).map(|_| open(&login)).collect();
    for nth in 0..PREPARED {
        let sql = format!("SELECT abalance + {nth} FROM pgbench_accounts WHERE aid = $1");
        let prepare = Batch::new().parse(&format!("s{nth}"), &sql, &[]).sync();
        active.iter_mut().for_each(|wire| run(wire, &prepare));
    }
    // All in turn, so that connections change hands and have to be given what the next one has prepared.
    for nth in 0..PREPARED {
        let bind = Batch::new().bind("", &format!("s{nth}"), &[Some("1")], Format::Text);
        let execute = bind.execute("", 0).sync();
        active.iter_mut().for_each(|wire| run(wire, &execute));
    }
    (idle, each(before, ACTIVE))
}

/// How fast one large result passes, and what memory it takes.
fn large_results(cluster: &Cluster, off: &Sidecache, pgbouncer: u16, scratch: &Scratch, said: impl Fn(&str)) {
    let (relay_port, _relay) = relay(cluster.primary.port, scratch);
    let before = usage::peak_resident(off.pid()).unwrap_or(0);
    println!("| {} MB in one result | MB/s | of the relay |", ROWS / 1000);
    println!("|---|---:|---:|");
    let mut of_relay = None;
    for (name, port) in [
        ("direct", cluster.primary.port),
        ("a relay that copies", relay_port),
        ("Sidecache", off.port()),
        ("PgBouncer", pgbouncer),
    ] {
        said(&format!("large results, {name}"));
        let login = Login { port, ..cluster.login("app", DATABASE) };
        let rate = median((0..3).map(|_| large_result(&login)).collect());
        if name.starts_with("a relay") {
            of_relay = Some(rate);
        }
        let share = of_relay.map_or(String::new(), |relay| format!("{:.0} %", 100.0 * rate / relay));
        println!("| {name} | {rate:.0} | {share} |");
    }
    let peak = usage::peak_resident(off.pid()).unwrap_or(0);
    println!();
    println!("Sidecache's memory at its peak: {:.1} MiB before, {:.1} MiB after.", mebibytes(before), mebibytes(peak));
}

/// Megabytes a second.
fn large_result(login: &Login) -> f64 {
    let mut wire = Wire::connect(login).expect("a session");
    let mut stream = wire.writer().expect("an open socket");
    let sql = format!("SELECT repeat('x', 1000) FROM generate_series(1, {ROWS})");
    wire.send(&Batch::new().query(&sql)).expect("an open socket");
    let began = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    let (mut bytes, mut last) = (0_usize, Vec::new());
    while !last.ends_with(READY) {
        let read = stream.read(&mut buffer).expect("an answer");
        assert!(read > 0, "the connection ended in the middle of the answer");
        bytes += read;
        last.extend_from_slice(&buffer[read.saturating_sub(READY.len())..read]);
        last.drain(..last.len().saturating_sub(READY.len()));
    }
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// This program again, copying between its port and PostgreSQL's.
fn relay(target: u16, scratch: &Scratch) -> (u16, Process) {
    let port = free_port();
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(["--relay", &format!("{port}:{target}")]);
    let mut process = Process::spawn("relay", &mut command, &scratch.path().join("relay.log"), End::Term);
    await_port(port, &mut process);
    (port, process)
}

/// Copies both ways, for every connection. Never ends by itself.
pub fn serve_relay(ports: &str) -> std::io::Result<()> {
    let invalid = || std::io::Error::other("two ports with a colon between them");
    let (port, target) = ports.split_once(':').ok_or_else(invalid)?;
    let parse = |port: &str| port.parse::<u16>().map_err(|_| invalid());
    let (port, target) = (parse(port)?, parse(target)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (mut client, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", target)).await?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    })
}
