//! A primary with streaming replicas, its roles, and databases for tests.
//!
//! Roles, each with its name for a password: `postgres` (superuser); `app`, an ordinary login role that owns every
//! test database; `sidecache`, with REPLICATION and `pg_read_all_stats` and nothing else; `solo`, an ordinary role
//! with REPLICATION, which stands for the simplest setup of one user for everything.

use super::postgres::{Server, command, copy_data, hand_over, initdb};
use super::process::{Scratch, Signal};
use super::wire::{Login, Wire};
use super::{eventually, process, usage};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// Makes a cluster with other than the usual settings.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    replicas: usize,
    settings: String,
}

impl ClusterBuilder {
    /// How many replicas.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// A line for every server's `postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, line: &str) -> Self {
        self.settings += line;
        self.settings += "\n";
        self
    }

    /// Makes and starts it; returns when every replica streams.
    pub fn start(self) -> Cluster {
        let scratch = Scratch::new();
        let root = scratch.path().join("pg");
        fs::create_dir(&root).expect("our own directory");
        hand_over(&root);
        let data = root.join("primary");
        initdb(&data);
        let names: Vec<String> = (1..=self.replicas).map(|n| format!("replica{n}")).collect();
        for name in &names {
            copy_data(&data, &root.join(name));
        }
        let mut primary = Server::new("primary", data, &root, &self.settings);
        primary.start();
        let cluster_roles = "CREATE ROLE app LOGIN PASSWORD 'app';\
             CREATE ROLE sidecache LOGIN REPLICATION PASSWORD 'sidecache' IN ROLE pg_read_all_stats;\
             CREATE ROLE solo LOGIN REPLICATION PASSWORD 'solo'";
        primary.sql(cluster_roles);
        let mut cluster = Cluster { primary, replicas: Vec::new(), scratch, settings: self.settings };
        cluster.create_database("shop");
        for name in &names {
            let conninfo = cluster.conninfo(name);
            let settings = format!("{}primary_conninfo = '{conninfo}'\n", cluster.settings);
            let mut replica = Server::new(name, root.join(name), &root, &settings);
            replica.start();
            cluster.replicas.push(replica);
        }
        eventually("every replica to stream", || cluster.all_stream().then_some(()));
        cluster.catch_up();
        cluster
    }
}

/// A running primary and its replicas. Stopped and removed when dropped.
pub struct Cluster {
    // The servers come first, so that they are stopped before their directory goes.
    pub replicas: Vec<Server>,
    pub primary: Server,
    scratch: Scratch,
    settings: String,
}

impl Cluster {
    /// A cluster with two replicas unless told otherwise.
    pub fn build() -> ClusterBuilder {
        ClusterBuilder { replicas: 2, settings: String::new() }
    }

    /// The one cluster, with two replicas, that ordinary tests of this process share: each makes a
    /// [`Cluster::database`] of its own and does nothing that another test could feel. A test that stops, pauses or
    /// holds anything builds its own cluster.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::build().start())
    }

    /// A cluster without replicas that the tests of this process have one at a time. Where nobody else writes, a stream has
    /// nothing to do and may be stalled without stalling anything that it holds.
    pub fn quiet() -> MutexGuard<'static, Cluster> {
        static QUIET: LazyLock<Mutex<Cluster>> =
            LazyLock::new(|| Mutex::new(Cluster::build().replicas(0).setting("autovacuum = off").start()));
        QUIET.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The servers' major version.
    pub fn version(&self) -> u32 {
        self.primary.value("SELECT current_setting('server_version_num')::int / 10000").parse().expect("a number")
    }

    /// The directory of everything, for files of a test.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    fn conninfo(&self, name: &str) -> String {
        let host = self.primary.sockets().display();
        format!("host={host} port={} user=postgres application_name={name}", self.primary.port)
    }

    fn create_database(&self, name: &str) {
        self.primary.sql(&format!("CREATE DATABASE {name} OWNER app TEMPLATE template0"));
        // Since PostgreSQL 15 only a database's owner may create in its schema public; `solo` is to be ordinary
        // but able.
        self.primary.connect_to(name).rows("GRANT ALL ON SCHEMA public TO app, solo");
    }

    /// A new, empty database owned by `app`, on the replicas too. `label` shows in its name.
    pub fn database(&self, label: &str) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let label: String = label.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
        let name = format!("t{}_{}", COUNT.fetch_add(1, Ordering::Relaxed), label.to_lowercase());
        self.create_database(&name);
        self.catch_up();
        name
    }

    /// How `user` connects to `database` on the primary.
    pub fn login(&self, user: &str, database: &str) -> Login {
        Login { database: database.to_owned(), ..self.primary.login().user(user) }
    }

    /// The primary's URL for `user` and `database`.
    pub fn primary_url(&self, user: &str, database: &str) -> String {
        self.login(user, database).url()
    }

    /// The replicas' URLs for `user` and `database`.
    pub fn replica_urls(&self, user: &str, database: &str) -> Vec<String> {
        let url = |r: &Server| Login { database: database.to_owned(), ..r.login().user(user) }.url();
        self.replicas.iter().map(url).collect()
    }

    /// A connection straight to the primary.
    pub fn connect(&self, user: &str, database: &str) -> Wire {
        let login = self.login(user, database);
        Wire::connect(&login).unwrap_or_else(|e| panic!("connecting to the primary as {user}: {e:?}"))
    }

    fn all_stream(&self) -> bool {
        let streaming = self.primary.value(
            "SELECT count(DISTINCT application_name) FROM pg_stat_replication \
             WHERE state = 'streaming' AND application_name LIKE 'replica%'",
        );
        streaming == self.replicas.len().to_string()
    }

    /// Waits until every running replica has replayed all that the primary has flushed by now.
    pub fn catch_up(&self) {
        let lsn = self.primary.value("SELECT pg_current_wal_flush_lsn()");
        for replica in self.replicas.iter().filter(|r| r.is_running()) {
            let mut wire = replica.connect();
            eventually(&format!("{} to replay up to {lsn}", replica.name), || {
                let there = format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'");
                (wire.value(&there) == "t").then_some(())
            });
        }
    }

    /// Crashes the primary (SIGQUIT: no checkpoint, no goodbye) and starts it again.
    pub fn crash_primary(&mut self) {
        self.primary.stop(Signal::QUIT);
        self.primary.start();
    }

    /// The primary comes back as a replica of its first one, which has all that it had: nobody takes writes.
    pub fn demote_primary(&mut self) {
        self.catch_up();
        self.primary.stop(Signal::INT);
        let (from, to) = (&self.replicas[0], &mut self.primary);
        let mut settings =
            fs::OpenOptions::new().append(true).open(to.data().join("postgresql.conf")).expect("its own");
        let conninfo = format!("host={} port={} user=postgres", from.sockets().display(), from.port);
        writeln!(settings, "primary_conninfo = '{conninfo}'").expect("our own directory");
        fs::write(to.data().join("standby.signal"), "").expect("our own directory");
        to.start();
    }

    /// Makes the replica a primary of its own; the old one goes on if it is not stopped.
    pub fn promote(&self, replica: usize) {
        self.replicas[replica].sql("SELECT pg_promote(true, 60)");
    }

    /// CPU time used so far by the primary, and by all replicas together, with everything below them.
    pub fn cpu(&self) -> (Duration, Duration) {
        let running = self.replicas.iter().filter(|r| r.is_running());
        (usage::cpu(self.primary.pid()), running.map(|r| usage::cpu(r.pid())).sum())
    }

    /// A client program of PostgreSQL, such as `psql` or `pgbench`, ready for its arguments.
    pub fn program(&self, name: &str) -> std::process::Command {
        command(&super::postgres::programs().join(name))
    }

    /// The lock for tests that cannot run beside another on the shared cluster (few should).
    pub fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Prints the end of every log when a test fails.
impl Drop for Cluster {
    fn drop(&mut self) {
        // Replicas end first, or they fill their logs with complaints about the primary.
        self.replicas.clear();
        if std::thread::panicking() {
            eprintln!("primary:\n{}", process::tail(&self.primary.log()));
        }
    }
}
