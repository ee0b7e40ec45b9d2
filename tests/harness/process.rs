//! Child processes and temporary directories that cannot outlive the test process.
//!
//! Drop ends them in the ordinary case. A watchdog covers the others (a test process killed, statics that are never
//! dropped): a small shell that holds the reading end of a pipe, is told every process and directory, and when the
//! pipe closes kills and removes what is left. It sits in a process group of its own, so Ctrl-C does not reach it.

use super::{PATIENCE, within};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines are `pid SIGNAL NUMBER`, `gone NUMBER` and `dir PATH`. Pids of processes not yet waited for cannot be
/// reused, so what stands in the list when the pipe closes is ours.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
pids=
while read -r verb what more; do
  case $verb in
    pid) pids="$pids $what:$more" ;;
    gone) kept=; for p in $pids; do [ "${p#*:}" = "$what" ] || kept="$kept $p"; done; pids=$kept ;;
    dir) set -- "$@" "$what" ;;
  esac
done
for p in $pids; do kill -s CONT "${p#*:}"; kill -s "${p%:*}" "${p#*:}"; done
for p in $pids; do
  tries=0
  while kill -0 "${p#*:}" && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -s KILL "${p#*:}"
done
for dir do rm -rf "$dir"; done
"#;

/// Tells the watchdog about one thing. That it cannot be told is no error: Drop still cleans.
fn tell(line: &str) {
    static PIPE: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| {
        let mut child = Command::new("sh")
            .args(["-c", WATCHDOG])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()?;
        child.stdin.take().map(Mutex::new)
    });
    if let Some(pipe) = pipe
        && let Ok(mut pipe) = pipe.lock()
    {
        let _ = writeln!(pipe, "{line}");
    }
}

/// Sends a signal to any process; false if there is none.
pub fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// How a process is told to end when nobody waits for its courtesies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGTERM.
    Term,
    /// SIGQUIT: PostgreSQL's immediate shutdown.
    Quit,
}

impl End {
    const fn signal(self) -> Signal {
        match self {
            End::Term => Signal::TERM,
            End::Quit => Signal::QUIT,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            End::Term => "TERM",
            End::Quit => "QUIT",
        }
    }
}

/// A child process in a group of its own, ended when dropped.
pub struct Process {
    name: String,
    child: Child,
    end: End,
    log: PathBuf,
}

impl Process {
    /// Starts it, with both outputs appended to the file `log`.
    pub fn spawn(name: &str, command: &mut Command, log: &Path, end: End) -> Process {
        let out = File::options().create(true).append(true).open(log).expect("a log file in our own directory");
        let err = out.try_clone().expect("a second handle of an open file");
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name} ({command:?}): {e}"));
        tell(&format!("pid {} {}", end.name(), child.id()));
        Process { name: name.to_owned(), child, end, log: log.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, what: Signal) {
        signal(self.pid(), what);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Panics with the log if it has ended: called while waiting for something that only a living process can do.
    pub fn must_live(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended with {status}; it said:\n{}", self.name, tail(&self.log()));
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        within(limit, || self.ended())
    }

    /// Asks it to end and waits; kills it when patience ends.
    pub fn stop(&mut self, how: Signal) -> ExitStatus {
        self.signal(how);
        self.wait(PATIENCE).unwrap_or_else(|| {
            eprintln!("{} did not heed {how:?} within {PATIENCE:?}: killing it", self.name);
            self.kill()
        })
    }

    /// SIGKILL, and waits.
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().expect("our own child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the log of {} ---\n{}", self.name, tail(&self.log()));
        }
        if self.ended().is_none() {
            for pid in super::usage::descendants(self.pid()) {
                signal(pid, Signal::CONT);
            }
            self.signal(self.end.signal());
            if self.wait(Duration::from_secs(10)).is_none() {
                eprintln!("{} did not end within 10 s of {:?}: killed", self.name, self.end);
                self.kill();
            }
        }
        tell(&format!("gone {}", self.pid()));
    }
}

/// The last lines of a log: what a failed test wants to show.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A temporary directory, removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new directory with a short path, since Unix sockets live in it.
    pub fn new() -> Scratch {
        let made = tempfile::Builder::new().prefix("sidecache-").tempdir().expect("a temporary directory");
        let path = made.keep();
        // The servers run as another user than the tests if those are root.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, open).expect("our own directory");
        tell(&format!("dir {}", path.display()));
        Scratch(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command to its end; panics with its output if it fails, or does not end while a test may wait.
pub fn run(command: &mut Command) -> String {
    let (status, out, err) = output(command);
    assert!(status.success(), "{command:?} failed with {status}:\n{out}{err}");
    out
}

/// Runs a command to its end: its status, standard output and error. Panics with what it printed if it does not end
/// while a test may wait.
pub fn output(command: &mut Command) -> (ExitStatus, String, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    tell(&format!("pid TERM {}", child.id()));
    let out = collect(child.stdout.take());
    let err = collect(child.stderr.take());
    let ended = within(PATIENCE, || child.try_wait().expect("our own child can be waited for"));
    let status = ended.unwrap_or_else(|| {
        let _ = child.kill();
        child.wait().expect("our own child can be waited for")
    });
    tell(&format!("gone {}", child.id()));
    let text = |reader: JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().expect("a thread that only reads")).into_owned()
    };
    let (out, err) = (text(out), text(err));
    assert!(ended.is_some(), "{command:?} did not end within {PATIENCE:?}; it said:\n{out}{err}");
    (status, out, err)
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
