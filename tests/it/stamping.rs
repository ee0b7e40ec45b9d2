//! T2: the position that may be put on an answer which the primary gave. On the primary a commit is in the WAL before it is visible, so each
//! of four plausible rules is caught putting a position at or past a commit on an answer without it: stale for good, since
//! nothing that comes later changes the row. Sidecache's own rule is given the same answers at the same moments, and the
//! same judge, who hears the stream himself. PostgreSQL holds the commit back (`SyncRepWaitForLSN` in `RecordTransactionCommit`,
//! xact.c, comes after the flush and before `ProcArrayEndTransaction`), so no case depends on luck.

use crate::feed::Heard;
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::faults::HeldCommits;
use crate::harness::postgres::{command, hand_over, programs};
use crate::harness::process::{Signal, run};
use crate::harness::wire::{Batch, Format, Wire, rows};
use crate::told::Told;
use sidecache::coherence::{Evidence, FillRefusal};
use sidecache::types::{Lsn, Moment, RelationId, Snapshot, Xid};
use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rules that are wrong: the stream's position when the answer has come, and before the query is sent; and what PostgreSQL answers to a
/// question sent ahead of the query in the same batch.
const NAIVE: [&str; 4] = ["stream at receipt", "stream before sending", "insert position", "flush position"];

/// Rows that are written and read, each alone.
const KEYS: usize = 8;

/// An answer, and the position that each rule puts on it.
struct Fill {
    key: usize,
    value: u64,
    naive: [Lsn; NAIVE.len()],
    ours: Result<Lsn, FillRefusal>,
}

/// A key's next value, and whose it is.
struct Written {
    key: usize,
    value: u64,
    xid: Xid,
}

/// A table of counters, whoever listens to its changes, and what was written so far.
struct Bench<'a> {
    cluster: &'a Cluster,
    database: String,
    // It ends before the servers do.
    told: Told,
    feed: Heard,
    table: RelationId,
    written: Mutex<Vec<Written>>,
}

impl<'a> Bench<'a> {
    fn new(cluster: &'a Cluster, database: &str) -> Bench<'a> {
        let feed = Heard::of(cluster, database);
        let table = feed.table("t");
        let told = Told::listen(cluster, database);
        Bench { cluster, database: database.to_owned(), told, feed, table, written: Mutex::default() }
    }

    fn client(&self) -> Wire {
        self.cluster.connect("app", &self.database)
    }

    fn write(&self, client: &mut Wire, key: usize) {
        let written = write(client, key);
        self.written.lock().expect("no writer panics").push(written);
    }

    /// Reads a key as a fill does, and stamps the answer by every rule.
    fn fill(&self, client: &mut Wire, key: usize) -> Fill {
        let coherence = &self.feed.coherence;
        let ticket = coherence.begin_fill(Moment::now());
        let before = self.told.position();
        let asked = "SELECT pg_current_snapshot(), pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()";
        let query = format!("SELECT v FROM t WHERE k = {key}");
        let one = |batch: Batch, sql: &str| batch.parse("", sql, &[]).bind("", "", &[], Format::Text).execute("", 0);
        let batch = one(one(one(Batch::new(), asked), &query), "SELECT pg_current_wal_insert_lsn()").sync();
        let answer = client.run(&batch).expect("a connection that lives");
        let heard = self.told.position();
        let answer: Vec<Vec<String>> =
            rows(&answer).expect("rows").into_iter().map(|row| row.into_iter().flatten().collect()).collect();
        let position = |text: &str| text.parse::<Lsn>().expect("a position");
        let snapshot: Snapshot = answer[0][0].parse().expect("a snapshot");
        let evidence = Evidence::Primary { snapshot, high: position(&answer[2][0]) };
        let proof = ticket.and_then(|ticket| coherence.admit(ticket, &evidence, &[self.table], Moment::now()));
        Fill {
            key,
            value: answer[1][0].parse().expect("a number"),
            naive: [heard, before, position(&answer[0][1]), position(&answer[0][2])],
            ours: proof.map(|proof| proof.stamp),
        }
    }

    /// Reads a key until Sidecache would store the answer, as it must when nothing is held any more.
    fn admitted(&self, key: usize) -> Fill {
        let mut reader = self.client();
        eventually("a fill to be admitted", || Some(self.fill(&mut reader, key)).filter(|fill| fill.ours.is_ok()))
    }

    /// Where the commit of each value ended: for each key, in the order of the values.
    fn ends(&self) -> HashMap<usize, Vec<(u64, Lsn)>> {
        let mut written = self.written.lock().expect("no writer panics");
        written.sort_by_key(|w| (w.key, w.value));
        eventually("the judge to have heard all", || (self.told.count() >= written.len()).then_some(()));
        let told: HashMap<u32, Lsn> = self.told.commits().iter().map(|c| (c.xid.bits(), c.end)).collect();
        let mut ends: HashMap<usize, Vec<(u64, Lsn)>> = HashMap::new();
        for Written { key, value, xid } in &*written {
            let of_key = ends.entry(*key).or_default();
            assert_eq!(of_key.len() as u64 + 1, *value, "every write is known");
            of_key.push((*value, told[&xid.bits()]));
        }
        ends
    }

    /// Of these answers: how many each naive rule stamped at or past a commit that they do not contain, how many Sidecache did, and
    /// how many it took at all.
    fn judge(&self, fills: &[Fill]) -> Verdict {
        let ends = self.ends();
        let lacks = |fill: &Fill, stamp: Lsn| {
            let of_key = ends.get(&fill.key).map_or(&[][..], Vec::as_slice);
            of_key.iter().any(|(value, end)| *value > fill.value && *end <= stamp)
        };
        let mut verdict = Verdict { fills: fills.len(), ..Verdict::default() };
        for fill in fills {
            for (rule, stamp) in fill.naive.iter().enumerate() {
                verdict.naive[rule] += usize::from(lacks(fill, *stamp));
            }
            verdict.admitted += usize::from(fill.ours.is_ok());
            verdict.ours += usize::from(fill.ours.is_ok_and(|stamp| lacks(fill, stamp)));
        }
        verdict
    }

    /// Writers write while readers fill. What the naive rules do is told, and left to chance.
    fn race(&self, setting: &str) {
        const WRITERS: usize = 3;
        const WRITES: usize = 120;
        let writing = AtomicUsize::new(WRITERS);
        let fills = std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let writing = &writing;
                scope.spawn(move || {
                    let mut client = self.client();
                    (0..WRITES).for_each(|n| self.write(&mut client, (writer + n) % KEYS));
                    writing.fetch_sub(1, Ordering::Release);
                });
            }
            let read = |first: usize| {
                let mut client = self.client();
                let mut fills = Vec::new();
                while writing.load(Ordering::Acquire) > 0 {
                    fills.push(self.fill(&mut client, (first + fills.len()) % KEYS));
                }
                fills
            };
            let readers: Vec<_> = (0..2).map(|first| scope.spawn(move || read(first))).collect();
            readers.into_iter().flat_map(|reader| reader.join().expect("a reader that lives")).collect::<Vec<_>>()
        });
        let verdict = self.judge(&fills);
        eprintln!("{setting}: {verdict}");
        assert_eq!(verdict.ours, 0, "{setting}: {verdict}");
        // What comes after the race is taken, and whole.
        let last: Vec<Fill> = (0..KEYS).map(|key| self.admitted(key)).collect();
        let verdict = self.judge(&last);
        assert_eq!((verdict.admitted, verdict.ours), (KEYS, 0), "{setting}: {verdict}");
    }

    /// One commit is held, and heard; what is read then is stamped by every rule. `release` lets the commit go on.
    fn while_held<T>(
        &self,
        held: HeldCommits<'a>,
        meanwhile: impl FnOnce(),
        release: impl FnOnce(HeldCommits<'a>) -> T,
    ) -> T {
        let mut reader = self.client();
        let (heard, mut writer) = (self.told.count(), self.client());
        let write = std::thread::spawn(move || write(&mut writer, 0));
        held.wait_for(1);
        let end = eventually("the held commit on the stream", || self.told.commits().get(heard).map(|c| c.end));
        let coherence = &self.feed.coherence;
        eventually("Sidecache to have heard it", || (coherence.position() >= end).then_some(()));
        meanwhile();
        // Holding commits had the server read its configuration anew, which is another catalog, found at any time.
        let refused_otherwise =
            |fill: &Fill| matches!(fill.ours, Err(FillRefusal::Overtaken | FillRefusal::CatalogInDoubt));
        let asked = || Some(self.fill(&mut reader, 0)).filter(|fill| !refused_otherwise(fill));
        let fill = eventually("a fill whose catalog stays", asked);
        let released = release(held);
        let written = write.join().expect("the write is acknowledged");
        assert_eq!(fill.value + 1, written.value, "the commit was not visible");
        assert_eq!(fill.ours, Err(FillRefusal::CommitNotVisible), "Sidecache stores nothing that lacks it");
        self.written.lock().expect("no writer panics").push(written);
        let verdict = self.judge(&[fill]);
        assert_eq!(verdict.naive, [1; NAIVE.len()], "every naive rule calls it new: {verdict}");
        let verdict = self.judge(&[self.admitted(0)]);
        assert_eq!((verdict.naive, verdict.ours), ([0; NAIVE.len()], 0), "once it is visible all is right: {verdict}");
        released
    }
}

fn write(client: &mut Wire, key: usize) -> Written {
    let sql = format!("UPDATE t SET v = v + 1 WHERE k = {key} RETURNING v, pg_current_xact_id()::xid");
    let row: Vec<String> = client.rows(&sql).into_iter().flatten().flatten().collect();
    Written { key, value: row[0].parse().expect("a number"), xid: Xid::new(row[1].parse().expect("an xid")) }
}

#[derive(Default)]
struct Verdict {
    fills: usize,
    naive: [usize; NAIVE.len()],
    ours: usize,
    admitted: usize,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "of {} fills stamped wrong:", self.fills)?;
        for (rule, wrong) in NAIVE.iter().zip(self.naive) {
            write!(f, " {wrong} by the {rule},")?;
        }
        write!(f, " {} by Sidecache, which took {}", self.ours, self.admitted)
    }
}

/// Makes the database and its table; nothing but the test's own transactions runs there.
fn counters(cluster: &Cluster) -> String {
    let database = cluster.database("t2");
    let setup = format!("CREATE TABLE t AS SELECT k, 0::bigint AS v FROM generate_series(0, {KEYS} - 1) k");
    cluster.connect("app", &database).rows(&setup);
    database
}

#[test]
fn t2_only_the_snapshot_rule_stamps_right_while_a_commit_waits_for_nobody() {
    let cluster = Cluster::build().replicas(0).setting("autovacuum = off").start();
    let bench = Bench::new(&cluster, &counters(&cluster));
    bench.race("no standby");
    let held = cluster.hold_commits();
    bench.while_held(held, || {}, HeldCommits::release);
}

#[test]
fn t2_only_the_snapshot_rule_stamps_right_beside_a_synchronous_standby() {
    let cluster = Cluster::build().replicas(1).setting("autovacuum = off").start();
    let bench = Bench::new(&cluster, &counters(&cluster));
    let stalled = cluster.stall_receipt(0);
    let held = cluster.hold_commits_for("replica1");
    let keep = |held| {
        stalled.resume();
        held
    };
    let _held = bench.while_held(held, || {}, keep);
    // From here on commits wait as long as the standby takes, as they do every day.
    bench.race("a live synchronous standby");
}

/// The last ids before 32 bits wrap around.
const NEARLY: u64 = (1 << 32) - 2000;

/// Gives the stopped, all frozen primary transaction ids that are about to wrap around.
fn age(cluster: &mut Cluster) {
    let databases = cluster.primary.sql("SELECT datname FROM pg_database WHERE datallowconn");
    for database in databases.into_iter().flatten().flatten() {
        cluster.primary.connect_to(&database).rows("VACUUM (FREEZE)");
    }
    cluster.primary.stop(Signal::INT);
    let data = cluster.primary.data();
    let mut reset = command(&programs().join("pg_resetwal"));
    reset.arg(format!("--next-transaction-id={NEARLY}")).arg(format!("--oldest-transaction-id={}", NEARLY - 1000));
    run(reset.arg(data));
    // The status of the new ids, two bits each, in segments of 32 pages of 8 KiB: all in progress so far (clog.c, slru.h).
    let segment = data.join("pg_xact").join(format!("{:04X}", NEARLY / (4 * 8192 * 32)));
    fs::write(&segment, vec![0; 32 * 8192]).expect("our own directory");
    hand_over(&segment);
    cluster.primary.start();
}

fn next_xid(client: &mut Wire) -> u64 {
    client.value("SELECT pg_snapshot_xmax(pg_current_snapshot())").parse().expect("an xid")
}

/// Uses up ids until the next one is at least `xid`, held commits or not.
fn use_up(client: &mut Wire, xid: u64) {
    client.rows("SET synchronous_commit = local");
    while next_xid(client) < xid {
        client.rows("SELECT pg_current_xact_id()");
    }
}

#[test]
fn t2_t4_only_the_snapshot_rule_stamps_right_across_the_wraparound() {
    if !programs().join("pg_resetwal").is_file() {
        return eprintln!("skipped: these servers came without pg_resetwal, which alone can age them");
    }
    let mut cluster = Cluster::build().replicas(0).setting("autovacuum = off").start();
    let database = counters(&cluster);
    age(&mut cluster);
    let bench = Bench::new(&cluster, &database);
    let mut other = bench.client();
    bench.race("before the wraparound");
    let wrap = 1 << 32;
    use_up(&mut other, wrap - 10);
    let held = cluster.hold_commits();
    assert!(next_xid(&mut other) < wrap, "the held transaction's id lies before the wraparound");
    // The snapshot that the fill is held against lies behind it.
    bench.while_held(held, || use_up(&mut other, wrap + 10), HeldCommits::release);
    bench.race("after the wraparound");
    let behind = bench.told.commits().iter().filter(|c| u64::from(c.xid.bits()) < NEARLY).count();
    assert!(behind > 0, "commits behind the wraparound were heard");
}
