//! Ten clients for each connection of the pool: everyone is served, and what each sees is right all the while.

use super::{here, postgres_client};
use crate::harness::cluster::Cluster;
use crate::harness::process::run;
use crate::harness::sidecache::Sidecache;

const CLIENTS: usize = 160;
const TURNS: usize = 3;

/// How pgbench speaks, and its threads. One that prepares does so while all other clients of its thread wait, whoever of them
/// holds the connection that it waits for: before any pool it would stand still. So each has a thread.
const MODES: [(&str, usize); 3] = [("simple", 2), ("extended", 2), ("prepared", CLIENTS)];

fn crowd(cache: &str) {
    // Its transactions would keep others' streams from beginning.
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("crowd");
    let mut direct = cluster.connect("app", &database);
    direct.rows(&format!(
        "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL); CREATE TABLE moved (client int, amount int); \
         CREATE TABLE own (client int PRIMARY KEY, turns int NOT NULL); \
         INSERT INTO account SELECT g, 100 FROM generate_series(1, 50) g; \
         INSERT INTO own SELECT g, 0 FROM generate_series(0, {CLIENTS} - 1) g",
    ));
    let sidecache = Sidecache::build(&cluster, &database).pool("transaction").cache(cache);
    // How fast they are served is not asked here.
    let sidecache =
        sidecache.flag("--pool-size", "16").flag("--pool-timeout", "60s").flag("--connect-timeout", "60s").start();
    if cache == "on" {
        sidecache.await_stream(&cluster);
    }
    for (mode, threads) in MODES {
        let mut pgbench = postgres_client("pgbench");
        pgbench
            .args(["--no-vacuum", "--protocol", mode, "--jobs", &threads.to_string(), "--file"])
            .arg(here("crowd.sql"));
        pgbench.args(["--client", &CLIENTS.to_string(), "--transactions", &TURNS.to_string()]);
        run(pgbench.arg(sidecache.url("app")));
    }
    let turns = Some((CLIENTS * TURNS * MODES.len()).to_string());
    let books = "SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM moved), (SELECT sum(turns) FROM own)";
    assert_eq!(direct.rows(books), [[Some("5000".to_owned()), turns.clone(), turns]]);
}

#[test]
fn a_crowd_of_ten_for_each_connection_balances() {
    crowd("on");
}

#[test]
fn a_crowd_of_ten_for_each_connection_balances_without_a_cache() {
    crowd("off");
}
