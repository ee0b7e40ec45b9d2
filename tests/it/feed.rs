//! The feed on a real primary: it comes to hear changes, keeps the catalog, says what is wrong, and comes back.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::wire::Wire;
use sidecache::coherence::{Coherence, Evidence, FillRefusal, Rule, Rules};

use sidecache::config::{Config, Flags};
use sidecache::feed::state::{FeedState, Off};
use sidecache::feed::{Feed, Settled};
use sidecache::types::{Lsn, Moment, RelationId};
use sidecache::upstream::Upstream;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A configuration with this primary and defaults.
pub fn config(primary: &str) -> Config {
    let environment = |name: &str| (name == "SIDECACHE_PRIMARY").then(|| primary.to_owned());
    Config::load(&Flags::default(), &environment).expect("a primary is all that is required")
}

/// A running feed and what it moves.
pub struct Heard {
    feed: Feed,
    pub coherence: Arc<Coherence>,
    runtime: Runtime,
    _stop: DropGuard,
}

impl Heard {
    fn start(primary: &str) -> Heard {
        Heard::start_with(primary, Rules::ALL)
    }

    fn start_with(primary: &str, rules: Rules) -> Heard {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let _entered = runtime.enter();
        let config = config(primary);
        let coherence = Coherence::with_rules(config.staleness, rules);
        let stop = CancellationToken::new();
        let feed = Feed::start(Upstream::new(&config), coherence.clone(), &config, stop.clone());
        drop(_entered);
        Heard { feed, coherence, runtime, _stop: stop.drop_guard() }
    }

    pub fn of(cluster: &Cluster, database: &str) -> Heard {
        let heard = Heard::start(&cluster.primary_url("sidecache", database));
        heard.until_serving();
        heard
    }

    /// Until entries could be stored and served.
    fn until_serving(&self) {
        eventually("a live stream, a settled catalog and proven freshness", || {
            let now = Moment::now();
            let fresh = self.coherence.staleness(now).is_some();
            (self.feed.state() == FeedState::Live && fresh && self.coherence.begin_fill(now).is_ok()).then_some(())
        });
    }

    /// Commits that said themselves that they changed definitions.
    pub fn told(&self) -> u64 {
        self.feed.counters().told.read()
    }

    pub fn until_position(&self, position: Lsn) {
        let wait = async { tokio::time::timeout(Duration::from_secs(60), self.coherence.wait_for(position)).await };
        self.runtime.block_on(wait).unwrap_or_else(|_| panic!("{position} was never heard"));
    }

    fn knows(&self, table: &str) -> bool {
        self.feed.catalog.load().heard("public", table).is_some()
    }

    pub fn table(&self, name: &str) -> RelationId {
        self.feed.catalog.load().heard("public", name).expect("the catalog knows the table")
    }
}

fn position(client: &mut Wire) -> Lsn {
    client.value("SELECT pg_current_wal_insert_lsn()").parse().expect("a position")
}

#[test]
fn c1_commits_beside_us_are_heard_and_an_idle_stream_stays_fresh() {
    let cluster = Cluster::shared();
    let database = cluster.database("feed_heard");
    let mut client = cluster.connect("app", &database);
    client.rows("CREATE TABLE t(x int)");
    let heard = Heard::of(cluster, &database);
    assert!(heard.knows("t"));
    let commits = heard.feed.counters().commits.read();
    for _ in 0..20 {
        client.rows("INSERT INTO t VALUES (1)");
    }
    heard.until_position(position(&mut client));
    assert!(heard.feed.counters().commits.read() >= commits + 20);
    assert_eq!(heard.feed.counters().unknown_names.read(), 0);
    assert!(heard.coherence.staleness(Moment::now()).is_some());
}

#[test]
fn a_tail_that_nobody_flushes_does_not_end_freshness() {
    let cluster = Cluster::build().replicas(0).setting("wal_writer_delay = 10s").start();
    let database = cluster.database("feed_tail");
    let heard = Heard::of(&cluster, &database);
    let mut client = cluster.connect("postgres", &database);
    // Written to the WAL, and flushed by no commit.
    client.rows("SELECT pg_logical_emit_message(false, 'test', 'tail')");
    heard.until_position(position(&mut client));
    assert_eq!(heard.feed.state(), FeedState::Live);
}

#[test]
fn c19_ddl_beside_us_is_known_before_anything_is_stored_again() {
    let cluster = Cluster::shared();
    let database = cluster.database("feed_ddl");
    let heard = Heard::of(cluster, &database);
    let mut client = cluster.connect("app", &database);
    client.rows("CREATE TABLE later(x int)");
    let end = position(&mut client);
    heard.until_position(end);
    // The bracket was heard, so from now on a fill means that the catalog was verified since.
    eventually("the catalog to settle", || heard.coherence.begin_fill(Moment::now()).is_ok().then_some(()));
    assert!(heard.knows("later"));
    assert!(heard.feed.counters().empty.read() > 0);
    client.rows("CREATE TABLE at_once AS SELECT 1 AS x");
    heard.until_position(position(&mut client));
    eventually("the catalog to settle", || heard.coherence.begin_fill(Moment::now()).is_ok().then_some(()));
    assert!(heard.knows("at_once"), "a name that the catalog does not know is a reason to look again");
}

#[test]
fn c19_a_doubt_of_our_own_is_settled_soon() {
    let cluster = Cluster::shared();
    let database = cluster.database("feed_doubt");
    let heard = Heard::of(cluster, &database);
    let doubts = heard.feed.doubts();
    let settled = heard.runtime.block_on(async {
        let doubt = doubts.raise();
        doubts.settled(doubt, Duration::from_secs(60)).await
    });
    assert_eq!(settled, Settled::Yes);
}

#[test]
fn c19_ddl_that_is_heard_but_not_yet_visible_keeps_the_catalog_in_doubt() {
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("feed_held");
    let heard = Heard::of(&cluster, &database);
    let mut watcher = cluster.connect("postgres", &database);
    let held = cluster.hold_commits();
    let before = heard.feed.counters().empty.read();
    let mut client = cluster.connect("app", &database);
    let ddl = std::thread::spawn(move || client.rows("CREATE TABLE held(x int)"));
    held.wait_for(1);
    heard.until_position(position(&mut watcher));
    assert!(heard.feed.counters().empty.read() > before, "the commit was heard");
    let visible = watcher.value("SELECT count(*) FROM pg_class WHERE relname = 'held'");
    assert_eq!((visible.as_str(), heard.knows("held")), ("0", false));
    assert_eq!(heard.coherence.begin_fill(Moment::now()).err(), Some(FillRefusal::CatalogInDoubt));
    let verifications = heard.feed.counters().verifications.read();
    eventually("one that cannot see it either", || {
        (heard.feed.counters().verifications.read() > verifications + 1).then_some(())
    });
    assert_eq!(
        heard.coherence.begin_fill(Moment::now()).err(),
        Some(FillRefusal::CatalogInDoubt),
        "and settles nothing"
    );
    held.release();
    ddl.join().expect("the table is made");
    heard.until_serving();
    assert!(heard.knows("held"));
}

/// A transaction whose commit record lies before the stream's start, and that is visible to nobody until later, is never told. A fill
/// in between reads the old row: nothing would ever invalidate it.
#[test]
fn t0_what_committed_unseen_before_the_stream_began_is_suspected() {
    let (before, after) = fills_in_the_hole(Rules::ALL);
    assert_eq!(before, ("0".to_owned(), Err(FillRefusal::Suspect)));
    assert_eq!(after, ("1".to_owned(), Ok(())));
}

#[test]
fn t0_without_the_probe_the_old_row_is_stored_for_good() {
    let (before, _after) = fills_in_the_hole(Rules::ALL.without(Rule::SuspectProbe));
    assert_eq!(before, ("0".to_owned(), Ok(())), "stored, and the stream told of no change since");
}

/// A value read, and whether it may be stored.
type FillSeen = (String, Result<(), FillRefusal>);

/// Fills while the commit is in the hole, and once it is visible.
fn fills_in_the_hole(rules: Rules) -> (FillSeen, FillSeen) {
    let cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("feed_hole");
    let mut watcher = cluster.connect("postgres", &database);
    watcher.rows("CREATE TABLE h AS SELECT 0 AS v");
    let held = cluster.hold_commits();
    let waits_for = |watcher: &mut Wire, xid: &str| {
        let sql = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = '{xid}'");
        eventually("the slot to wait for a transaction", || (watcher.value(&sql) != "0").then_some(()));
    };
    let open = || {
        let mut client = cluster.connect("app", &database);
        client.rows("BEGIN");
        let xid = client.value("SELECT pg_current_xact_id()");
        (client, xid)
    };
    // The slot waits for those that run when it is begun, then for those that run when these have ended.
    let (mut first, first_xid) = open();
    let heard = Heard::start_with(&cluster.primary_url("sidecache", &database), rules);
    waits_for(&mut watcher, &first_xid);
    let (mut second, second_xid) = open();
    first.rows("ROLLBACK");
    waits_for(&mut watcher, &second_xid);
    let mut writer = cluster.connect("postgres", &database);
    let write = std::thread::spawn(move || writer.rows("UPDATE h SET v = 1"));
    held.wait_for(1);
    second.rows("ROLLBACK");
    heard.until_serving();
    assert_eq!(heard.coherence.status().suspects, usize::from(rules.has(Rule::SuspectProbe)));

    let table = heard.table("h");
    let mut read = || {
        let ticket = heard.coherence.begin_fill(Moment::now()).expect("a fill may begin");
        let snapshot = watcher.value("SELECT pg_current_snapshot()").parse().expect("a snapshot");
        let value = watcher.value("SELECT v FROM h");
        let evidence = Evidence::Primary { snapshot, high: position(&mut watcher) };
        (value, heard.coherence.admit(ticket, &evidence, &[table], Moment::now()).map(drop))
    };
    let before = read();
    held.release();
    write.join().expect("the write goes on");
    eventually("the suspect to be seen to end", || (heard.coherence.status().suspects == 0).then_some(()));
    eventually("the catalog to settle", || heard.coherence.begin_fill(Moment::now()).is_ok().then_some(()));
    let after = read();
    assert_eq!(heard.feed.counters().commits.read(), 0, "the stream never told of it");
    (before, after)
}

#[test]
fn c5_a_broken_stream_comes_back_and_is_another_one() {
    let cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("feed_broken");
    let heard = Heard::of(&cluster, &database);
    let epoch = heard.coherence.epoch();
    let streams = heard.feed.counters().streams.read();
    assert!(cluster.break_streams(&database) > 0);
    eventually("a new stream", || (heard.feed.counters().streams.read() > streams).then_some(()));
    heard.until_serving();
    assert_eq!(heard.coherence.epoch(), epoch, "the primary is the same");
    let slots = cluster.primary.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'sidecache%'");
    assert_eq!(slots, "1");
}

#[test]
fn c5_a_stalled_stream_ends_freshness_and_goes_on_where_it_was() {
    let cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("feed_stalled");
    let heard = Heard::of(&cluster, &database);
    let mut client = cluster.connect("app", &database);
    let stalled = cluster.stall_streams(&database);
    client.rows("CREATE TABLE t(x int)");
    let end = position(&mut client);
    eventually("freshness to end", || heard.coherence.staleness(Moment::now()).is_none().then_some(()));
    assert!(heard.coherence.position() < end);
    stalled.resume();
    heard.until_position(end);
    heard.until_serving();
    assert!(heard.knows("t"));
    assert_eq!(heard.feed.counters().streams.read(), 1);
}

#[test]
fn c25_a_large_transaction_is_one_commit_and_keeps_nobody_waiting_for_ever() {
    let cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("feed_large");
    let heard = Heard::of(&cluster, &database);
    let mut client = cluster.connect("app", &database);
    client.rows("CREATE TABLE t(x int, y text)");
    heard.until_position(position(&mut client));
    heard.until_serving();
    let (commits, streams) = (heard.feed.counters().commits.read(), heard.feed.counters().streams.read());
    client.rows("INSERT INTO t SELECT n, repeat('y', 1000) FROM generate_series(1, 100000) n");
    heard.until_position(position(&mut client));
    let counters = heard.feed.counters();
    assert_eq!((counters.commits.read() - commits, counters.unknown_names.read()), (1, 0));
    assert_eq!(counters.streams.read(), streams);
    heard.until_serving();
}

#[test]
fn c6_a_crash_of_the_primary_is_another_epoch() {
    let mut cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("feed_crash");
    let heard = Heard::of(&cluster, &database);
    let epoch = heard.coherence.epoch();
    cluster.crash_primary();
    eventually("another epoch", || (heard.coherence.epoch() != epoch).then_some(()));
    heard.until_serving();
}

#[test]
fn c5_the_slot_waits_for_an_open_transaction_and_says_so() {
    let cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("feed_cold");
    let mut client = cluster.connect("app", &database);
    client.rows("BEGIN");
    client.rows("CREATE TABLE open(x int)");
    let heard = Heard::start(&cluster.primary_url("sidecache", &database));
    eventually("the state cold", || (heard.feed.state() == FeedState::Cold).then_some(()));
    assert!(heard.coherence.begin_fill(Moment::now()).is_err());
    client.rows("COMMIT");
    heard.until_serving();
    assert!(heard.knows("open"));
}

#[test]
fn without_logical_wal_there_is_a_catalog_and_a_reason() {
    let cluster = Cluster::build().replicas(0).setting("wal_level = replica").start();
    let database = cluster.database("feed_off");
    cluster.connect("app", &database).rows("CREATE TABLE t(x int)");
    let heard = Heard::start(&cluster.primary_url("sidecache", &database));
    let off = FeedState::Off(Off::WalLevel("replica".to_owned()));
    eventually("the state off", || (heard.feed.state() == off).then_some(()));
    eventually("the catalog", || heard.knows("t").then_some(()));
    assert!(heard.coherence.begin_fill(Moment::now()).is_err());
}

#[test]
fn without_the_privilege_there_is_a_catalog_and_a_reason() {
    let cluster = Cluster::shared();
    let database = cluster.database("feed_privilege");
    let heard = Heard::start(&cluster.primary_url("app", &database));
    eventually("the state off", || matches!(heard.feed.state(), FeedState::Off(Off::Privilege(_))).then_some(()));
    eventually("the catalog", || (heard.feed.counters().catalogs.read() > 0).then_some(()));
}
