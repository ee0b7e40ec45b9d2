//! One short run of pgbench against one contender, and what many of them amount to.

use crate::contenders::Contender;
use crate::harness::cluster::Cluster;
use crate::harness::process::run;
use crate::harness::usage;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Accounts asked for: few enough that all are soon in memory.
const ACCOUNTS: u32 = 1000;
/// Which share of the transactions is timed one by one; timing all would cost pgbench more than asking.
const SAMPLED: &str = "0.05";

/// How pgbench asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    pub mode: &'static str,
    pub clients: u32,
}

pub const WORKLOADS: [Workload; 4] = [
    Workload { mode: "simple", clients: 1 },
    Workload { mode: "simple", clients: 16 },
    Workload { mode: "prepared", clients: 1 },
    Workload { mode: "prepared", clients: 16 },
];

/// What one run, or the median of several, came to.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub rate: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Microseconds of CPU for each query: of what stands between, and of PostgreSQL.
    pub between: f64,
    pub postgres: f64,
}

/// What a run needs beside its contender.
pub struct Bench<'a> {
    pub cluster: &'a Cluster,
    pub database: &'a str,
    /// For pgbench's script and logs.
    pub directory: &'a Path,
}

impl Bench<'_> {
    /// Makes the tables, and the one query of `pgbench -S` over fewer accounts.
    pub fn prepare(&self) {
        let mut init = self.pgbench(self.cluster.primary.port, self.database);
        run(init.args(["--initialize", "--quiet", "--scale=1"]));
        let query = "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;";
        let script = format!("\\set aid random(1, {ACCOUNTS})\n{query}\n");
        fs::write(self.directory.join("script.sql"), script).expect("our own directory");
    }

    /// Runs it for so many transactions of each client, untimed.
    pub fn warm(&self, contender: &Contender, workload: Workload, transactions: u32) {
        run(self.script(contender, workload).arg(format!("--transactions={transactions}")));
    }

    pub fn round(&self, contender: &Contender, workload: Workload, seconds: u64) -> Figures {
        let figures = self.timed(self.script(contender, workload), contender.pid, seconds);
        figures.expect("few clients connect well within a round")
    }

    /// The same against a port of 127.0.0.1 and, if somebody stands there, what stands there. Nothing where the time was up before
    /// all had connected: pgbench's time runs meanwhile.
    pub fn round_at(&self, port: u16, pid: Option<u32>, workload: Workload, seconds: u64) -> Option<Figures> {
        self.timed(self.script_at(port, self.database, workload), pid, seconds)
    }

    fn timed(&self, mut pgbench: Command, between: Option<u32>, seconds: u64) -> Option<Figures> {
        let cpu = || between.map_or(Duration::ZERO, usage::cpu);
        let logs = self.directory.join("logs");
        // Gone or not there yet: either way it is empty now.
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir(&logs).expect("our own directory");
        crate::harness::postgres::hand_over(&logs);
        pgbench.arg(format!("--time={seconds}")).arg("--log").arg(format!("--sampling-rate={SAMPLED}"));
        pgbench.arg(format!("--log-prefix={}", logs.join("log").display()));
        let before = (cpu(), self.cluster.cpu().0);
        let report = run(&mut pgbench);
        let after = (cpu(), self.cluster.cpu().0);
        let number = |label: &str| {
            let line = report.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default();
            let digits = line.trim_start_matches([':', ' ', '=']);
            let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
            digits[..end].parse::<f64>().unwrap_or_else(|_| panic!("pgbench did not say `{label}`:\n{report}"))
        };
        let queries = number("number of transactions actually processed");
        if queries == 0.0 {
            return None;
        }
        let latencies = sorted(latencies(&logs));
        let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        let micros = |used: Duration| used.as_secs_f64() * 1e6 / queries;
        Some(Figures {
            rate: number("tps"),
            p50_ms: at(0.5) / 1000.0,
            p99_ms: at(0.99) / 1000.0,
            between: micros(after.0 - before.0),
            postgres: micros(after.1.saturating_sub(before.1)),
        })
    }

    fn script(&self, contender: &Contender, workload: Workload) -> Command {
        let prepared = contender.database_if_prepared.filter(|_| workload.mode == "prepared");
        self.script_at(contender.port, prepared.unwrap_or(self.database), workload)
    }

    fn script_at(&self, port: u16, database: &str, workload: Workload) -> Command {
        let mut pgbench = self.pgbench(port, database);
        pgbench.args(["--no-vacuum", &format!("--protocol={}", workload.mode)]);
        pgbench.arg(format!("--client={}", workload.clients)).arg("--jobs=1");
        pgbench.arg("--file").arg(self.directory.join("script.sql"));
        pgbench
    }

    fn pgbench(&self, port: u16, database: &str) -> Command {
        let mut pgbench = self.cluster.program("pgbench");
        pgbench.args(["--host=127.0.0.1", &format!("--port={port}"), "--username=app"]);
        pgbench.env("PGPASSWORD", "app").env("PGDATABASE", database);
        pgbench
    }
}

/// Microseconds, from all of pgbench's logs: the third word of each line.
fn latencies(logs: &Path) -> Vec<f64> {
    let files = fs::read_dir(logs).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts
        .flat_map(|text| {
            let third = |line: &str| line.split(' ').nth(2)?.parse().ok();
            text.lines().filter_map(third).collect::<Vec<f64>>()
        })
        .collect()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The middle one; NaN of none.
pub fn median(values: Vec<f64>) -> f64 {
    let values = sorted(values);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of each figure over several rounds.
pub fn medians(rounds: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure).collect());
    Figures {
        rate: of(|f| f.rate),
        p50_ms: of(|f| f.p50_ms),
        p99_ms: of(|f| f.p99_ms),
        between: of(|f| f.between),
        postgres: of(|f| f.postgres),
    }
}
