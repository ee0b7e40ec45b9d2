//! What can go wrong in a cluster, on purpose. Each fault is a guard: it lasts until dropped.

use super::cluster::Cluster;
use super::eventually;
use super::postgres::Server;
use super::process::{Signal, signal};
use super::usage::is_stopped;
use super::wire::{Batch, Wire};
use std::io::ErrorKind;
use std::time::Duration;

/// Commits are written, flushed and streamed, but not yet visible to anybody and not acknowledged: they wait for a
/// synchronous standby that does not exist. Released when dropped.
pub struct HeldCommits<'a> {
    primary: &'a Server,
}

impl Cluster {
    /// Holds every commit from now on between WAL and visibility.
    pub fn hold_commits(&self) -> HeldCommits<'_> {
        self.hold_commits_for("nobody")
    }

    /// The same, for a standby that may well exist: commits go on when it has received them.
    pub fn hold_commits_for(&self, standby: &str) -> HeldCommits<'_> {
        self.primary.set("synchronous_standby_names", &format!("'{standby}'"));
        let held = HeldCommits { primary: &self.primary };
        // The setting takes hold when the checkpointer has read it: try until a commit waits. The tries are in
        // database `postgres`, so that no stream of a test's database hears them.
        let mut watch = self.primary.connect();
        eventually("commits to be held", || {
            let mut probe = self.primary.connect();
            probe.set_patience(Duration::from_millis(5));
            let write = Batch::new().query("SELECT pg_logical_emit_message(true, 'harness', 'held?')");
            probe.send(&write).ok()?;
            let pid = probe.key.0;
            let waits = format!("SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = {pid}");
            loop {
                match probe.read_until_ready() {
                    Ok(_) => return None,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(e) => panic!("trying a commit: {e}"),
                }
                if watch.value(&waits) == "t" {
                    watch.rows(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
                    return Some(());
                }
            }
        });
        held
    }
}

impl HeldCommits<'_> {
    /// Waits until at least `count` sessions wait in their commit.
    pub fn wait_for(&self, count: usize) {
        let mut watch = self.primary.connect();
        eventually(&format!("{count} held commits"), || {
            let waiting = watch.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
            (waiting.parse::<usize>().ok()? >= count).then_some(())
        });
    }

    /// Lets those go on that wait now, without another configuration, of which Sidecache would take notice.
    pub fn wake(&self) {
        let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        self.primary.connect().rows(cancel);
    }

    /// Lets all go on.
    pub fn release(self) {}
}

impl Drop for HeldCommits<'_> {
    fn drop(&mut self) {
        if let Ok(mut wire) = Wire::connect(&self.primary.login()) {
            let _ = wire.query("ALTER SYSTEM RESET synchronous_standby_names");
            let _ = wire.query("SELECT pg_reload_conf()");
        }
    }
}

/// A replica receives WAL but replays none. Goes on when dropped.
pub struct PausedReplay<'a> {
    replica: &'a Server,
}

impl Cluster {
    /// Pauses replay on a replica; returns when it has paused.
    pub fn pause_replay(&self, replica: usize) -> PausedReplay<'_> {
        let replica = &self.replicas[replica];
        let mut wire = replica.connect();
        wire.rows("SELECT pg_wal_replay_pause()");
        eventually("replay to pause", || {
            (wire.value("SELECT pg_get_wal_replay_pause_state()") == "paused").then_some(())
        });
        PausedReplay { replica }
    }
}

impl PausedReplay<'_> {
    /// Goes on.
    pub fn resume(self) {}
}

impl Drop for PausedReplay<'_> {
    fn drop(&mut self) {
        if let Ok(mut wire) = Wire::connect(&self.replica.login()) {
            let _ = wire.query("SELECT pg_wal_replay_resume()");
        }
    }
}

/// Processes of a server stand still (SIGSTOP). They go on when dropped.
pub struct Stalled {
    pids: Vec<u32>,
}

impl Stalled {
    /// Stops these processes and waits until the kernel says so.
    pub fn new(pids: Vec<u32>) -> Stalled {
        for &pid in &pids {
            assert!(signal(pid, Signal::STOP), "no process {pid} to stall");
        }
        let stalled = Stalled { pids };
        eventually("processes to stand still", || stalled.pids.iter().all(|&p| is_stopped(p)).then_some(()));
        stalled
    }

    /// Lets them go on.
    pub fn resume(self) {}
}

impl Drop for Stalled {
    fn drop(&mut self) {
        for &pid in &self.pids {
            signal(pid, Signal::CONT);
        }
    }
}

impl Cluster {
    /// The server processes that send logical changes of a database to whoever listens.
    pub fn streams(&self, database: &str) -> Vec<u32> {
        let rows = self.primary.sql(&format!(
            "SELECT active_pid FROM pg_replication_slots \
             WHERE slot_type = 'logical' AND active AND database = '{database}'"
        ));
        rows.into_iter().flatten().flatten().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Stalls every logical stream of a database: Sidecache stays connected and hears nothing more. Panics if there
    /// is none.
    pub fn stall_streams(&self, database: &str) -> Stalled {
        let pids = self.streams(database);
        assert!(!pids.is_empty(), "nobody streams {database}");
        Stalled::new(pids)
    }

    /// Stalls what receives WAL on a replica: it stays connected, and confirms nothing.
    pub fn stall_receipt(&self, replica: usize) -> Stalled {
        let pid = self.replicas[replica].value("SELECT pid FROM pg_stat_wal_receiver");
        Stalled::new(vec![pid.parse().expect("a replica that receives")])
    }

    /// A replica stands still altogether: its sockets take what comes, and nobody answers.
    pub fn freeze(&self, replica: usize) -> Stalled {
        Stalled::new(super::usage::descendants(self.replicas[replica].pid()))
    }

    /// Breaks every logical stream of a database, once. Returns how many there were.
    pub fn break_streams(&self, database: &str) -> usize {
        let pids = self.streams(database);
        for pid in &pids {
            self.primary.sql(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
        }
        pids.len()
    }

    /// Ends every ordinary connection of a database, once, as an administrator would (57P01).
    pub fn break_connections(&self, database: &str) -> usize {
        let rows = self.primary.sql(&format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND datname = '{database}' AND pid <> pg_backend_pid()"
        ));
        rows.len()
    }
}
