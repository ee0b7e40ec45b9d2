//! `make demo`: a real workload on a real primary with two streaming replicas, first direct, then through two
//! Sidecaches on one Redis, with a writer beside them that they can only hear of from the WAL. It prints what happens,
//! and it checks: a read older than promised makes it fail.

#[path = "../harness/mod.rs"]
mod harness;
// The checker's tests use all of them.
#[allow(dead_code)]
#[path = "../consistency/invariants.rs"]
mod invariants;
mod meter;
mod phase;
mod report;
mod shop;
mod workload;

use clap::Parser;
use harness::cluster::Cluster;
use harness::redis::Redis;
use harness::sidecache::Sidecache;
use harness::wire::Login;
use phase::{Phase, SESSIONS};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

const DATABASE: &str = "shop";

/// Shows Sidecache at work on servers of its own, which are gone at the end.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Seconds for each of the two phases.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Leaves the servers running until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Decides every page visited and every change.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Everything that runs. Stopped in this order when dropped: nobody is left asking a server that is gone.
struct Servers {
    sidecaches: Vec<Sidecache>,
    redis: Redis,
    cluster: Cluster,
}

/// Does on a thread of its own what blocks, so that Ctrl-C is heard meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Its panic has been printed; the demo ends with the same.
        Err(_) => std::process::exit(1),
    }
}

fn start_cluster() -> (Cluster, Redis) {
    (Cluster::build().setting("shared_buffers = 256MB").start(), Redis::start())
}

async fn demo(arguments: Arguments) -> Result<ExitCode, tokio_postgres::Error> {
    let began = Instant::now();
    let said = |what: &str| println!("[{:>4.1} s] {what}", began.elapsed().as_secs_f64());
    said("starting a primary, two streaming replicas and Redis, on free ports of 127.0.0.1");
    let (cluster, redis) = blocking(start_cluster).await;
    said(&format!("loading a shop of {} rows", shop::ROWS));
    {
        let (client, connection) = tokio_postgres::connect(&cluster.primary_url("app", DATABASE), NoTls).await?;
        tokio::spawn(connection);
        shop::load(&client).await?;
    }
    let mut servers = blocking(move || {
        cluster.catch_up();
        Servers { sidecaches: Vec::new(), redis, cluster }
    })
    .await;

    let length = Duration::from_secs(arguments.seconds);
    let bound = Duration::from_secs(1);
    let seed = arguments.seed;
    said(&format!("direct: {SESSIONS} sessions on the primary, and a writer beside them"));
    let phase =
        Phase { name: "direct", cluster: &servers.cluster, sidecaches: &[], database: DATABASE, seed, length, bound };
    let direct = phase.run().await?;

    said("starting two Sidecaches on one Redis, before the primary and both replicas");
    servers = blocking(move || {
        let start = || Sidecache::build(&servers.cluster, DATABASE).redis(&servers.redis).start();
        servers.sidecaches = vec![start(), start()];
        servers.sidecaches.iter().for_each(|s| s.await_stream(&servers.cluster));
        servers
    })
    .await;
    said(&format!("through Sidecache: the same {SESSIONS} sessions, half on each; the writer still goes past them"));
    let (cluster, sidecaches) = (&servers.cluster, &servers.sidecaches[..]);
    let phase = Phase { name: "through Sidecache", cluster, sidecaches, database: DATABASE, seed, length, bound };
    let through = phase.run().await?;

    report::table(&direct, &through);
    for violation in through.violations.iter().take(5) {
        println!("  {violation}");
    }
    if arguments.keep {
        say_how_to_reach(&servers);
        std::future::pending::<()>().await;
    }
    let stale = through.violations.len();
    let errors = direct.errors + through.errors;
    said("stopping and removing everything");
    blocking(move || drop(servers)).await;
    if stale + direct.violations.len() > 0 {
        println!("FAILED: {stale} reads were older than promised");
        return Ok(ExitCode::FAILURE);
    }
    if errors > 0 {
        println!("FAILED: {errors} statements failed");
        return Ok(ExitCode::FAILURE);
    }
    said("no read was older than promised");
    Ok(ExitCode::SUCCESS)
}

/// Says how to reach what runs.
fn say_how_to_reach(servers: &Servers) {
    let with_user = |login: Login| login.user("app").url();
    println!("Everything keeps running. Point psql or an application (DATABASE_URL) at:");
    for (n, sidecache) in servers.sidecaches.iter().enumerate() {
        println!("  Sidecache {}:  psql {}", n + 1, sidecache.url("app"));
        println!("                http://{}/status  and  /metrics", sidecache.http());
    }
    println!("  direct:       psql {}", servers.cluster.primary_url("app", DATABASE));
    for replica in &servers.cluster.replicas {
        let login = Login { database: DATABASE.to_owned(), ..replica.login() };
        println!("  {}:     psql {}", replica.name, with_user(login));
    }
    println!("  Redis:        {}", servers.redis.url());
    println!("Try: SELECT * FROM product_cards WHERE id = 7;  twice, then change it directly and look again.");
    println!("Ctrl-C ends it all.");
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A server that cannot be started is told in one sentence, not with a backtrace.
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("something that has no words");
        eprintln!("the demo cannot go on: {message}");
    }));
    let runtime = tokio::runtime::Runtime::new().expect("an operating system with threads");
    let interrupted = if arguments.keep { ExitCode::SUCCESS } else { ExitCode::from(130) };
    runtime.block_on(async {
        tokio::select! {
            done = demo(arguments) => done.unwrap_or_else(|error| {
                eprintln!("the demo cannot go on: {error:?}");
                ExitCode::FAILURE
            }),
            // What the demo holds is dropped with it, and so stopped and removed.
            _ = tokio::signal::ctrl_c() => {
                println!("\nstopping and removing everything");
                interrupted
            }
        }
    })
}
