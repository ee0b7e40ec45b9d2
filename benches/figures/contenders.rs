//! Who is measured: PostgreSQL itself, and what stands before it, each a process of its own.

use crate::harness::cluster::Cluster;
use crate::harness::postgres::{command, hand_over};
use crate::harness::process::{End, Process, Scratch};
use crate::harness::sidecache::Sidecache;
use crate::harness::{eventually, free_port};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// Connections that whatever stands between may have.
pub const POOL_SIZE: u32 = 16;

/// Where pgbench connects, and whose CPU time is the price.
pub struct Contender {
    pub name: &'static str,
    pub port: u16,
    /// In place of the cluster's database, for prepared statements.
    pub database_if_prepared: Option<&'static str>,
    /// None: there is nobody between.
    pub pid: Option<u32>,
}

impl Contender {
    fn new(name: &'static str, port: u16, pid: Option<u32>) -> Contender {
        Contender { name, port, database_if_prepared: None, pid }
    }
}

/// Everything that runs, stopped when dropped.
pub struct Contenders {
    pub all: Vec<Contender>,
    pub hits: Sidecache,
    _off: Sidecache,
    _baseline: Process,
    _pgbouncer: Process,
    _scratch: Scratch,
}

/// Names of the rows.
pub const DIRECT: &str = "direct";
pub const BASELINE: &str = "answers without looking";
pub const HITS: &str = "Sidecache, hits";
pub const OFF: &str = "Sidecache, cache off";
pub const PGBOUNCER: &str = "PgBouncer";

impl Contenders {
    pub fn start(cluster: &Cluster, database: &'static str) -> Contenders {
        let scratch = Scratch::new();
        let build = || Sidecache::build(cluster, database).no_replicas().flag("--pool-size", &POOL_SIZE.to_string());
        let hits = build().start();
        let off = build().cache("off").start();
        hits.await_stream(cluster);
        let (baseline_port, baseline) = baseline(&scratch);
        let (pgbouncer_port, pgbouncer) = pgbouncer(&scratch, cluster, database);
        let mut all = vec![
            Contender::new(DIRECT, cluster.primary.port, None),
            Contender::new(BASELINE, baseline_port, Some(baseline.pid())),
            Contender::new(HITS, hits.port(), Some(hits.pid())),
            Contender::new(OFF, off.port(), Some(off.pid())),
            Contender::new(PGBOUNCER, pgbouncer_port, Some(pgbouncer.pid())),
        ];
        // PgBouncer before 1.21 keeps no prepared statements where connections change hands.
        all.last_mut().expect("just made").database_if_prepared = Some("held");
        Contenders { all, hits, _off: off, _baseline: baseline, _pgbouncer: pgbouncer, _scratch: scratch }
    }

    pub fn find(&self, name: &str) -> &Contender {
        self.all.iter().find(|c| c.name == name).expect("one of the names above")
    }
}

pub fn await_port(port: u16, process: &mut Process) {
    eventually("a port to open", || {
        process.must_live();
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
}

/// This program again, as the server that answers without looking.
fn baseline(scratch: &Scratch) -> (u16, Process) {
    let port = free_port();
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(["--baseline", &port.to_string()]);
    let mut process = Process::spawn("baseline", &mut command, &scratch.path().join("baseline.log"), End::Term);
    await_port(port, &mut process);
    (port, process)
}

pub fn pgbouncer(scratch: &Scratch, cluster: &Cluster, database: &str) -> (u16, Process) {
    let port = free_port();
    let primary = cluster.primary.port;
    let users = scratch.path().join("userlist.txt");
    let ini = scratch.path().join("pgbouncer.ini");
    fs::write(&users, "\"app\" \"app\"\n").expect("our own directory");
    let settings = format!(
        "[databases]\n\
         {database} = host=127.0.0.1 port={primary} dbname={database}\n\
         held = host=127.0.0.1 port={primary} dbname={database} pool_mode=session\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = scram-sha-256\n\
         auth_file = {}\n\
         pool_mode = transaction\n\
         default_pool_size = {POOL_SIZE}\n\
         max_client_conn = 20000\n\
         server_reset_query = DISCARD ALL\n\
         log_connections = 0\n\
         log_disconnections = 0\n",
        users.display()
    );
    fs::write(&ini, settings).expect("our own directory");
    hand_over(&users);
    hand_over(&ini);
    let program = if Path::new("/usr/sbin/pgbouncer").exists() { "/usr/sbin/pgbouncer" } else { "pgbouncer" };
    let mut command = command(Path::new(program));
    command.arg(&ini);
    let mut process = Process::spawn("pgbouncer", &mut command, &scratch.path().join("pgbouncer.log"), End::Term);
    await_port(port, &mut process);
    (port, process)
}
