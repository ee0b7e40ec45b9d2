//! Sidecache as a process: started from flags, watched over its HTTP port, stopped as an operator would.

use super::cluster::Cluster;
use super::process::{End, Process, Scratch, Signal, output, run, tail};
use super::redis::Redis;
use super::wire::{Login, Wire, WireError};
use super::{eventually, free_port, http, usage};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// The program under test: `SIDECACHE_BIN`, else what Cargo built for these tests, else (in an example) the one
/// beside it in the target directory.
pub fn program() -> PathBuf {
    if let Some(given) = std::env::var_os("SIDECACHE_BIN") {
        return given.into();
    }
    if let Some(built) = option_env!("CARGO_BIN_EXE_sidecache") {
        return built.into();
    }
    let here = std::env::current_exe().expect("a running program has a path");
    let beside = here.parent().and_then(|dir| dir.parent()).map(|dir| dir.join("sidecache"));
    beside.filter(|p| p.is_file()).expect("no sidecache beside the examples: run `cargo build` in the same profile")
}

/// How to start one.
#[derive(Debug, Clone)]
pub struct SidecacheBuilder {
    database: String,
    user: String,
    primary: String,
    replicas: Vec<String>,
    users: Option<String>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
    port: u16,
    http: u16,
}

impl SidecacheBuilder {
    /// Before this cluster and database: all its replicas, `sidecache` as its own user, every role of the harness in
    /// the users file, memory tier only.
    pub fn new(cluster: &Cluster, database: &str) -> SidecacheBuilder {
        let user = "sidecache".to_owned();
        let builder = SidecacheBuilder {
            database: database.to_owned(),
            primary: cluster.primary_url(&user, database),
            replicas: cluster.replica_urls(&user, database),
            users: None,
            flags: Vec::new(),
            environment: Vec::new(),
            config: None,
            port: free_port(),
            http: free_port(),
            user,
        };
        builder.users(&["app", "sidecache", "solo", "postgres"].map(|u| format!("{u}:{u}")).join("\n"))
    }

    /// The simplest setup: one user for everything, no users file.
    #[must_use]
    pub fn alone(mut self, cluster: &Cluster, user: &str) -> Self {
        self.primary = cluster.primary_url(user, &self.database);
        self.replicas.iter_mut().zip(cluster.replica_urls(user, &self.database)).for_each(|(r, url)| *r = url);
        self.users = None;
        user.clone_into(&mut self.user);
        self
    }

    /// The primary by another way, such as a fault proxy.
    #[must_use]
    pub fn primary(mut self, url: &str) -> Self {
        url.clone_into(&mut self.primary);
        self
    }

    /// The primary as the configuration file has it.
    #[must_use]
    pub fn primary_of_file(self) -> Self {
        self.primary("")
    }

    /// Other replicas, or the same by another way.
    #[must_use]
    pub fn replicas(mut self, urls: &[String]) -> Self {
        self.replicas = urls.to_vec();
        self
    }

    /// No replica.
    #[must_use]
    pub fn no_replicas(self) -> Self {
        self.replicas(&[])
    }

    /// The whole users file.
    #[must_use]
    pub fn users(mut self, lines: &str) -> Self {
        self.users = Some(format!("{}\n", lines.trim_end()));
        self
    }

    /// With this shared tier. Its secret is the same for every instance of a test.
    #[must_use]
    pub fn redis(self, redis: &Redis) -> Self {
        self.redis_url(&redis.url())
    }

    /// With a shared tier by its URL.
    #[must_use]
    pub fn redis_url(self, url: &str) -> Self {
        self.flag("--redis", url).environment("SIDECACHE_REDIS_SECRET", "a secret that only tests know")
    }

    /// A flag and its value.
    #[must_use]
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// `--cache on|off|shadow`.
    #[must_use]
    pub fn cache(self, mode: &str) -> Self {
        self.flag("--cache", mode)
    }

    /// `--pool transaction|session`.
    #[must_use]
    pub fn pool(self, mode: &str) -> Self {
        self.flag("--pool", mode)
    }

    /// `--consistency strong|session|bounded`.
    #[must_use]
    pub fn consistency(self, level: &str) -> Self {
        self.flag("--consistency", level)
    }

    /// A variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A `config.toml`.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// Listens on this port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it and waits until `/readyz` says 200.
    pub fn start(self) -> Sidecache {
        let mut sidecache = self.spawn();
        sidecache.await_ready();
        sidecache
    }

    /// Starts it and does not wait: for what happens before it is ready, or instead.
    pub fn spawn(self) -> Sidecache {
        let scratch = Scratch::new();
        let log = scratch.path().join("sidecache.log");
        let mut command = self.command("serve", &scratch);
        let process = Process::spawn("sidecache", &mut command, &log, End::Term);
        let http = SocketAddr::from(([127, 0, 0, 1], self.http));
        Sidecache { process, http, scratch, builder: self }
    }

    /// The program with this subcommand and all settings, ready for more arguments.
    fn command(&self, subcommand: &str, scratch: &Scratch) -> Command {
        let mut command = Command::new(program());
        command.current_dir("/").arg(subcommand);
        if !self.primary.is_empty() {
            command.args(["--primary", &self.primary]);
        }
        for replica in &self.replicas {
            command.args(["--replica", replica]);
        }
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.args(["--http", &format!("127.0.0.1:{}", self.http)]);
        let mut file = |flag: &str, name: &str, text: &Option<String>| {
            if let Some(text) = text {
                let path = scratch.path().join(name);
                fs::write(&path, text).expect("our own directory");
                command.arg(flag).arg(path);
            }
        };
        file("--users", "users", &self.users);
        file("--config", "config.toml", &self.config);
        command.args(&self.flags);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIDECACHE_")) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Runs a subcommand that ends by itself, such as `check`: its exit status, standard output and error.
    pub fn run(&self, subcommand: &str, arguments: &[&str]) -> (ExitStatus, String, String) {
        let scratch = Scratch::new();
        let mut command = self.command(subcommand, &scratch);
        command.args(arguments);
        output(&mut command)
    }
}

/// A Sidecache process, ended when dropped.
pub struct Sidecache {
    // First, so that it is stopped before its directory goes.
    process: Process,
    http: SocketAddr,
    scratch: Scratch,
    builder: SidecacheBuilder,
}

impl Sidecache {
    /// Starts one before this database of this cluster, with the usual settings.
    pub fn start(cluster: &Cluster, database: &str) -> Sidecache {
        SidecacheBuilder::new(cluster, database).start()
    }

    /// How it may be changed before it is started.
    pub fn build(cluster: &Cluster, database: &str) -> SidecacheBuilder {
        SidecacheBuilder::new(cluster, database)
    }

    /// Waits until `/readyz` says 200; panics with its log if it ends first.
    pub fn await_ready(&mut self) {
        eventually("sidecache to be ready", || {
            self.process.must_live();
            (http::get(self.http, "/readyz")?.0 == 200).then_some(())
        });
    }

    /// Waits until `/status` says what is asked for.
    pub fn await_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        super::within(super::PATIENCE, || {
            last = self.try_status()?;
            holds(&last).then(|| last.clone())
        })
        .unwrap_or_else(|| panic!("waited in vain for {what}; the last status was {last:#}"))
    }

    /// Waits until it has heard all that the primary has committed by now, so that hits are possible and current.
    pub fn await_stream(&self, cluster: &Cluster) {
        let lsn = cluster.primary.value("SELECT pg_current_wal_flush_lsn()");
        let want = position(&lsn).expect("PostgreSQL writes positions as two halves");
        self.await_status(&format!("the stream to pass {lsn}"), |status| {
            let applied = status["stream"]["applied_lsn"].as_str().and_then(position);
            applied.is_some_and(|applied| applied >= want)
        });
    }

    /// Writes one of the files that it was started with, `users` or `config.toml`, anew.
    pub fn rewrite(&self, name: &str, text: &str) {
        let path = self.scratch.path().join(name);
        assert!(path.is_file(), "{name} was not among its files");
        fs::write(path, text).expect("our own directory");
    }

    /// SIGHUP, and waits until `/status` says what became of it.
    pub fn reload(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.signal(Signal::HUP);
        self.await_status(what, |status| holds(&status["reload"]))
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.builder.port
    }

    /// The address of its HTTP server.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// How `user` connects through it.
    pub fn login(&self, user: &str) -> Login {
        let login = Login {
            host: "127.0.0.1".to_owned(),
            port: self.builder.port,
            user: String::new(),
            password: String::new(),
            database: self.builder.database.clone(),
            parameters: Vec::new(),
        };
        login.user(user)
    }

    /// The URL for `user` through it.
    pub fn url(&self, user: &str) -> String {
        self.login(user).url()
    }

    /// A connection through it.
    pub fn connect(&self, user: &str) -> Wire {
        self.try_connect(user).unwrap_or_else(|e| panic!("connecting through sidecache as {user}: {e:?}"))
    }

    /// A connection through it, which may be refused.
    pub fn try_connect(&self, user: &str) -> Result<Wire, WireError> {
        Wire::connect(&self.login(user))
    }

    /// The code of `/readyz`, 0 if nobody answers.
    pub fn readiness(&self) -> u16 {
        http::get(self.http, "/readyz").map_or(0, |(code, _)| code)
    }

    /// `/status`.
    pub fn status(&self) -> Value {
        self.try_status().expect("sidecache answers /status with JSON")
    }

    fn try_status(&self) -> Option<Value> {
        serde_json::from_str(&http::get(self.http, "/status")?.1).ok()
    }

    /// A number of `/status`, as a path such as `/cache/hits`; a table of numbers is summed. 0 if it is not there.
    pub fn count(&self, pointer: &str) -> u64 {
        fn sum(value: &Value) -> u64 {
            match value {
                Value::Object(map) => map.values().map(sum).sum(),
                other => other.as_u64().unwrap_or(0),
            }
        }
        self.status().pointer(pointer).map_or(0, sum)
    }

    /// `/metrics` as it is.
    pub fn metrics(&self) -> String {
        http::get(self.http, "/metrics").expect("sidecache answers /metrics").1
    }

    /// The sum of a metric's series that carry all these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let metrics = self.metrics();
        let series = metrics.lines().filter_map(|line| line.strip_prefix(name));
        let ours = series.filter(|rest| rest.starts_with('{') || rest.starts_with(' '));
        let wanted = |rest: &&str| labels.iter().all(|(label, value)| rest.contains(&format!("{label}=\"{value}\"")));
        ours.filter(wanted).filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// What `sidecache explain` says of a statement.
    pub fn explain(&self, sql: &str) -> String {
        let mut command = self.builder.command("explain", &self.scratch);
        run(command.arg(sql))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> std::time::Duration {
        usage::cpu(self.pid())
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends it a signal.
    pub fn signal(&self, what: Signal) {
        self.process.signal(what);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Waits for its end; panics with its log if it does not come.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait(super::PATIENCE).unwrap_or_else(|| panic!("sidecache lives on:\n{}", tail(&self.log())))
    }

    /// SIGTERM, then waits until it has drained.
    pub fn stop(mut self) -> ExitStatus {
        self.process.stop(Signal::TERM)
    }
}

/// A WAL position as PostgreSQL writes it.
pub fn position(lsn: &str) -> Option<u64> {
    let (high, low) = lsn.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}
