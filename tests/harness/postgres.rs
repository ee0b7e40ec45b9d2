//! One PostgreSQL server: finding its programs, making a data directory, starting and stopping it.

use super::process::{End, Process, Signal, run};
use super::wire::{Login, Wire, WireError};
use super::{PATIENCE, eventually, free_port};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The directory of `initdb` and `postgres`: `SIDECACHE_PG_BIN`, else where `initdb` on the path really lies, else
/// what `pg_config` says, else the newest under `/usr/lib/postgresql`.
pub fn programs() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let given = std::env::var_os("SIDECACHE_PG_BIN").map(PathBuf::from);
        let whole = |dir: &PathBuf| dir.join("initdb").is_file() && dir.join("postgres").is_file();
        let found = given.into_iter().chain(on_path()).chain(from_pg_config()).chain(packaged()).find(whole);
        found.expect("PostgreSQL's server programs are missing: run `make install-deps`, or set SIDECACHE_PG_BIN")
    })
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.into_iter().filter_map(|dir| fs::canonicalize(dir.join("initdb")).ok()?.parent().map(Path::to_owned))
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn packaged() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|e| e.path());
    let number = |p: &PathBuf| p.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = versions.filter(|p| number(p).is_some()).collect();
    versions.sort_by_key(number);
    versions.into_iter().rev().map(|p| p.join("bin")).collect()
}

/// The ids of user and group `postgres` if the tests run as root, which PostgreSQL's servers refuse to run as.
fn stand_in() -> Option<(u32, u32)> {
    static IDS: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *IDS.get_or_init(|| {
        let id = |what: &[&str]| run(Command::new("id").args(what)).trim().parse::<u32>();
        let root = id(&["-u"]) == Ok(0);
        let number = |what| id(&[what, "postgres"]).expect("a number from `id`");
        root.then(|| (number("-u"), number("-g")))
    })
}

/// Gives a file or directory to the user that the servers run as.
pub fn hand_over(path: &Path) {
    if let Some((uid, gid)) = stand_in() {
        chown(path, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("chown of {}: {e}", path.display()));
    }
}

/// A command that runs as the servers' user, with nothing of our locale or of libpq's settings.
pub fn command(program: &Path) -> Command {
    let mut command = match stand_in() {
        Some((uid, gid)) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups").arg(program);
            command
        }
        None => Command::new(program),
    };
    command.current_dir("/").env("LC_ALL", "C").env("TZ", "UTC");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command
}

/// Makes a data directory with superuser `postgres`, password `postgres`.
pub fn initdb(data: &Path) {
    let password = data.with_extension("password");
    fs::write(&password, "postgres\n").expect("our own directory");
    hand_over(&password);
    let mut command = command(&programs().join("initdb"));
    command.arg("--pgdata").arg(data).arg("--pwfile").arg(&password);
    command.args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]);
    command.args(["--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]);
    run(&mut command);
    let rules = "local all all trust\n\
                 local replication all trust\n\
                 host all all 127.0.0.1/32 scram-sha-256\n\
                 host replication all 127.0.0.1/32 scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), rules).expect("our own directory");
}

/// What every server of a test is told. fsync is off: a test survives a crash of PostgreSQL, not of the machine.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
wal_level = logical
max_wal_senders = 24
max_replication_slots = 24
max_connections = 200
max_prepared_transactions = 10
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
password_encryption = 'scram-sha-256'
fsync = off
full_page_writes = off
min_wal_size = 80MB
shared_buffers = 64MB
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%u@%d %a '
";

/// A PostgreSQL server, running or stopped.
pub struct Server {
    pub name: String,
    pub port: u16,
    data: PathBuf,
    sockets: PathBuf,
    process: Option<Process>,
}

impl Server {
    /// A server over a data directory that was made by [`initdb`] or copied, not started yet. `settings` follow the
    /// harness's own and win.
    pub fn new(name: &str, data: PathBuf, sockets: &Path, settings: &str) -> Server {
        let port = free_port();
        let own = format!("{SETTINGS}\nport = {port}\nunix_socket_directories = '{}'\n", sockets.display());
        fs::write(data.join("postgresql.conf"), own + settings + "\n").expect("our own directory");
        Server { name: name.to_owned(), port, data, sockets: sockets.to_owned(), process: None }
    }

    /// Starts it and waits until it takes queries.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let mut command = command(&programs().join("postgres"));
        command.arg("-D").arg(&self.data);
        let log = self.data.with_extension("log");
        let process = self.process.insert(Process::spawn(&self.name, &mut command, &log, End::Quit));
        let login = login(self.port);
        eventually(&format!("{} to take connections", self.name), || {
            process.must_live();
            Wire::connect(&login).ok()
        });
    }

    /// Stops it: SIGINT for a fast shutdown, SIGQUIT for an immediate one, which is a crash to all that matters.
    pub fn stop(&mut self, how: Signal) {
        if let Some(mut process) = self.process.take() {
            process.stop(how);
        }
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap_or_else(|| panic!("{} is stopped", self.name)).pid()
    }

    /// Whether it was started and not stopped.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The directory of its Unix socket.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// As superuser to database `postgres`.
    pub fn login(&self) -> Login {
        login(self.port)
    }

    /// A connection as superuser to database `postgres`.
    pub fn connect(&self) -> Wire {
        self.connect_to("postgres")
    }

    /// A connection as superuser.
    pub fn connect_to(&self, database: &str) -> Wire {
        let login = Login { database: database.to_owned(), ..self.login() };
        Wire::connect(&login).unwrap_or_else(|e| panic!("connecting to {} of {}: {e:?}", database, self.name))
    }

    /// The rows of a query as superuser in database `postgres`.
    pub fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.connect().rows(sql)
    }

    /// The one value of a query as superuser in database `postgres`.
    pub fn value(&self, sql: &str) -> String {
        self.connect().value(sql)
    }

    /// Changes a setting and reloads. The processes of the server hear of it in their own time.
    pub fn set(&self, setting: &str, value: &str) {
        let mut wire = self.connect();
        wire.rows(&format!("ALTER SYSTEM SET {setting} = {value}"));
        wire.rows("SELECT pg_reload_conf()");
    }

    /// Whether it takes connections now.
    pub fn answers(&self) -> bool {
        match Wire::connect(&self.login()) {
            Ok(_) => true,
            Err(WireError::Io(_) | WireError::Refused(_) | WireError::Unexpected(_)) => false,
        }
    }
}

fn login(port: u16) -> Login {
    let (host, name) = ("127.0.0.1".to_owned(), || "postgres".to_owned());
    Login { host, port, user: name(), password: name(), database: name(), parameters: Vec::new() }
}

/// Copies a data directory while its server is stopped.
pub fn copy(from: &Path, to: &Path) {
    run(command(Path::new("cp")).arg("-a").arg(from).arg(to));
}

/// Copies the data directory of a server that is stopped: the copy is the same cluster, ready to follow it.
pub fn copy_data(from: &Path, to: &Path) {
    copy(from, to);
    fs::write(to.join("standby.signal"), "").expect("our own directory");
    let _ = PATIENCE;
}
