//! Makes a history: sessions on threads, each decided by its seed, and faults that come and go while they work.

use super::invariants::{History, Micros, Read, Register, SessionId, Violation, Write, convergence};
use crate::harness::cluster::Cluster;
use crate::harness::redis::Redis;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Frame, Login, Wire, rows};
use crate::harness::within;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The bound on staleness that Sidecache is started with.
pub const BOUND: Micros = 1_000_000;

/// Sessions through each Sidecache, and beside all.
const SESSIONS: u32 = 6;
const BESIDE: u32 = 2;

/// Steps that a session takes at most.
const STEPS: u64 = 8_000;

/// Tables `hot`, `warm` and `cold` are written more and more rarely, so that each keeps entries for longer.
const TABLES: [&str; 3] = ["hot", "warm", "cold"];
const ROWS: u64 = 6;

/// Where entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Memory,
    /// In Redis as well.
    Shared,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub level: &'static str,
    pub instances: usize,
    pub tier: Tier,
    /// How many faults come and go.
    pub faults: u32,
}

/// What came of it.
pub struct Seen {
    pub history: History,
    /// Reads that still showed the wrong version when all had been quiet for long.
    pub diverged: Vec<Violation>,
    pub hits: u64,
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

fn register(table: u64, row: u64) -> Register {
    Register(table << 8 | row)
}

/// A connection and what was seen and done on it.
struct Session {
    id: SessionId,
    wire: Wire,
    start: Instant,
    history: History,
}

impl Session {
    fn connect(id: u32, login: &Login, start: Instant) -> Session {
        let wire = Wire::connect(login).unwrap_or_else(|e| panic!("session {id}: {e:?}"));
        Session { id: SessionId(id), wire, start, history: History::default() }
    }

    fn now(&self) -> Micros {
        u64::try_from(self.start.elapsed().as_micros()).expect("a test is shorter than half a million years")
    }

    fn ask(&mut self, batch: &Batch) -> Vec<Vec<Option<String>>> {
        let answer: Vec<Frame> = self.wire.run(batch).unwrap_or_else(|e| panic!("session {}: {e}", self.id.0));
        rows(&answer).unwrap_or_else(|e| panic!("session {}: {e}", self.id.0))
    }

    /// Reads one row, a view of it, or all rows of a table, as simple or extended query, alone or in a transaction.
    fn read(&mut self, dice: &mut Dice) {
        let (table, row) = (dice.below(TABLES.len() as u64), dice.below(ROWS));
        let name = TABLES[table as usize];
        let one = format!("SELECT id, version FROM {name} WHERE id = {row}");
        let b = Batch::new();
        let (mut how, batch) = match dice.below(6) {
            0 => ("simple read", b.query(&one)),
            1 => ("view", b.query(&format!("SELECT id, version FROM {name}_view WHERE id = {row}"))),
            2 => ("list", b.query(&format!("SELECT id, version FROM {name} ORDER BY id"))),
            3 => {
                let sql = format!("SELECT id, max(version) FROM {name} GROUP BY id");
                ("aggregate", b.extended(&sql, &[], Format::Text))
            }
            _ => {
                let sql = format!("SELECT id, version FROM {name} WHERE id = $1::int");
                ("extended read", b.extended(&sql, &[Some(&row.to_string())], Format::Text))
            }
        };
        let transaction = dice.below(10) == 0;
        if transaction {
            how = "read in a transaction";
            self.ask(&Batch::new().query("BEGIN"));
        }
        let began = self.now();
        let found = self.ask(&batch);
        let ended = self.now();
        if transaction {
            self.ask(&Batch::new().query("COMMIT"));
        }
        assert!(!found.is_empty(), "{name} has lost row {row}");
        for columns in found {
            let [row, version] = numbers(&columns);
            let (session, register) = (self.id, register(table, row));
            self.history.reads.push(Read { session, register, version, began, ended, how });
        }
    }

    /// Counts one row up, alone or in a transaction, or together with a row of another table.
    fn write(&mut self, dice: &mut Dice) {
        let table = match dice.below(12) {
            0 => 2,
            1..4 => 1,
            _ => 0,
        };
        let row = dice.below(ROWS);
        let update = |table: u64| {
            format!(
                "UPDATE {} SET version = version + 1 WHERE id = {row} RETURNING id, version",
                TABLES[table as usize]
            )
        };
        let began = self.now();
        let mut written = Vec::new();
        match dice.below(4) {
            0 => {
                self.ask(&Batch::new().query("BEGIN"));
                // Always in the order of the tables, so that nobody waits in a circle.
                for table in [0, table].into_iter().take(if table == 0 { 1 } else { 2 }) {
                    written.push((table, self.ask(&Batch::new().query(&update(table)))));
                }
                self.ask(&Batch::new().query("COMMIT"));
            }
            1 => written.push((table, self.ask(&Batch::new().extended(&update(table), &[], Format::Text)))),
            _ => written.push((table, self.ask(&Batch::new().query(&update(table))))),
        }
        let acked = Some(self.now());
        for (table, rows) in written {
            let [row, version] = numbers(&rows[0]);
            let (session, register) = (self.id, register(table, row));
            self.history.writes.push(Write { session, register, version, began, acked });
        }
    }
}

fn numbers(columns: &[Option<String>]) -> [u64; 2] {
    let number = |at: usize| columns[at].as_deref().and_then(|n| n.parse().ok()).expect("a row of two numbers");
    [number(0), number(1)]
}

/// Works on its share until the faults are over or its steps are used up. `pace` is how many steps of all sessions
/// pass between two of its writes.
fn work(mut session: Session, seed: u64, pace: u64, steps: &AtomicU64, over: &AtomicBool) -> History {
    let mut dice = Dice(seed);
    let mut next_write = dice.below(pace);
    for _ in 0..STEPS {
        if over.load(Ordering::Relaxed) {
            break;
        }
        if steps.fetch_add(1, Ordering::Relaxed) >= next_write {
            session.write(&mut dice);
            next_write = steps.load(Ordering::Relaxed) + 1 + dice.below(2 * pace);
        } else {
            session.read(&mut dice);
        }
    }
    session.history
}

/// One fault after the other, each until so many steps were taken or so much time has passed: some shorter, some
/// longer than the bound on staleness.
fn faults(cluster: &Cluster, plan: &Plan, steps: &AtomicU64) {
    let mut dice = Dice(plan.seed ^ 0xFA17);
    let last = |dice: &mut Dice| {
        let until = steps.load(Ordering::Relaxed) + 200 + dice.below(400);
        let limit = Duration::from_millis([20, 100, 300, 1300][dice.below(4) as usize]);
        within(limit, || (steps.load(Ordering::Relaxed) >= until).then_some(()));
    };
    for _ in 0..plan.faults {
        match dice.below(6) {
            0 => drop((cluster.pause_replay(0), last(&mut dice)).0),
            1 => drop((cluster.pause_replay(1), last(&mut dice)).0),
            2 => drop((cluster.hold_commits(), last(&mut dice)).0),
            3 if !cluster.streams("shop").is_empty() => drop((cluster.stall_streams("shop"), last(&mut dice)).0),
            4 => {
                cluster.break_streams("shop");
                last(&mut dice);
            }
            _ => {
                let both = (cluster.pause_replay(0), cluster.hold_commits());
                last(&mut dice);
                drop(both);
            }
        }
        last(&mut dice);
    }
}

/// Runs a plan.
pub fn run(plan: &Plan) -> Seen {
    let cluster = Cluster::build().start();
    let mut app = cluster.connect("app", "shop");
    for table in TABLES {
        app.rows(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, version bigint NOT NULL); \
             INSERT INTO {table} SELECT g, 0 FROM generate_series(0, {}) g; \
             CREATE VIEW {table}_view AS SELECT id, version FROM {table} WHERE version >= 0",
            ROWS - 1
        ));
    }
    cluster.catch_up();
    let redis = (plan.tier == Tier::Shared).then(Redis::start);
    let instance = |_| {
        let build = Sidecache::build(&cluster, "shop").consistency(plan.level).flag("--staleness", "1s");
        match &redis {
            Some(redis) => build.redis(redis).start(),
            None => build.start(),
        }
    };
    let sidecaches: Vec<Sidecache> = (0..plan.instances).map(instance).collect();
    sidecaches.iter().for_each(|s| s.await_stream(&cluster));

    let start = Instant::now();
    let through = sidecaches.iter().flat_map(|s| std::iter::repeat_n(s.login("app"), SESSIONS as usize));
    let beside = std::iter::repeat_n(cluster.login("app", "shop"), BESIDE as usize);
    let all = (0..).zip(through.map(|l| (l, 300)).chain(beside.map(|l| (l, 60))));
    let (steps, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut history = History::default();
    thread::scope(|scope| {
        let (steps, over) = (&steps, &over);
        let workers: Vec<_> = all
            .map(|(id, (login, pace))| {
                let session = Session::connect(id, &login, start);
                let seed = plan.seed << 16 | u64::from(id);
                scope.spawn(move || work(session, seed, pace, steps, over))
            })
            .collect();
        // A fault that cannot be made must not leave the sessions working for ever.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let ending = Over(over);
        faults(&cluster, plan, steps);
        drop(ending);
        for worker in workers {
            let seen = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            history.reads.extend(seen.reads);
            history.writes.extend(seen.writes);
        }
    });
    let diverged = settle(&cluster, &sidecaches, start);
    let hits = sidecaches.iter().map(|s| s.count("/cache/hits")).sum();
    Seen { history, diverged, hits }
}

/// When all is quiet, every way to read must come to show the truth, and stay with it.
fn settle(cluster: &Cluster, sidecaches: &[Sidecache], start: Instant) -> Vec<Violation> {
    let mut truth = HashMap::new();
    let mut app = cluster.connect("app", "shop");
    for (table, name) in (0_u64..).zip(TABLES) {
        for columns in app.rows(&format!("SELECT id, version FROM {name}")) {
            let [row, version] = numbers(&columns);
            truth.insert(register(table, row), version);
        }
    }
    cluster.catch_up();
    sidecaches.iter().for_each(|s| s.await_stream(cluster));
    let mut diverged = Vec::new();
    for sidecache in sidecaches {
        let reads = |seed: u64| {
            let mut session = Session::connect(u32::MAX, &sidecache.login("app"), start);
            let mut dice = Dice(seed);
            (0..300).for_each(|_| session.read(&mut dice));
            convergence(&session.history.reads, |register| truth[&register])
        };
        // A hit may be as old as the bound; once that has passed, none may be.
        let settled = within(Duration::from_secs(20), || reads(1).is_empty().then_some(()));
        diverged.extend(if settled.is_some() { reads(2) } else { reads(1) });
    }
    diverged
}
