//! Two Sidecaches that share one Redis: what one fills the other serves, what is written is seen by both, and no state
//! of Redis is ever an error or a stale read.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::redis::Redis;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Wire, tags};
use crate::watched::text;
use serde_json::Value;
use std::sync::MutexGuard;

/// Costs much more than Redis's round trip, or the shared tier would not be asked.
const READ: &str = "SELECT count(*), sum(x), max(md5(x::text)) FROM big";

/// A test's machine may be slow: a timeout would be a miss, and no fault of Redis.
const PATIENT: &str = "2s";

struct Fleet {
    database: String,
    redis: Redis,
    first: Sidecache,
    second: Sidecache,
    /// Nobody else's: a role that another test makes would cost every entry.
    cluster: MutexGuard<'static, Cluster>,
}

impl Fleet {
    fn start(label: &str, timeout: &str) -> Fleet {
        let cluster = Cluster::quiet();
        let database = cluster.database(label);
        let setup = "CREATE TABLE big AS SELECT x FROM generate_series(1, 100000) x; CREATE TABLE other(x int);\
             CREATE VIEW v AS SELECT count(*)::int AS n, max(md5(x::text)) AS m FROM big";
        cluster.connect("app", &database).rows(setup);
        let redis = Redis::start();
        let member = || Sidecache::build(&cluster, &database).redis(&redis).flag("--redis-timeout", timeout).start();
        let (first, second) = (member(), member());
        let fleet = Fleet { database, redis, first, second, cluster };
        // An instance takes nothing that is older than the catalog it goes by.
        let loads = |status: &Value| status["catalog"]["loads"].as_u64() > Some(0);
        fleet.first.await_status("a catalog", loads);
        fleet.second.await_status("a catalog", loads);
        fleet.write("INSERT INTO other VALUES (1)");
        fleet
    }

    /// Beside both, and heard by both.
    fn write(&self, sql: &str) {
        self.cluster.connect("app", &self.database).rows(sql);
        self.first.await_stream(&self.cluster);
        self.second.await_stream(&self.cluster);
    }

    /// What the primary answers.
    fn truth(&self) -> String {
        text(&self.cluster.connect("app", &self.database).rows(READ))
    }

    /// The first fills it, and Redis has it.
    fn fill(&self) -> String {
        self.shared_by(|| self.first_fills())
    }

    /// What this gives, and what it fills is in Redis and of a moment that the second has heard of.
    fn shared_by<T>(&self, fill: impl FnOnce() -> T) -> T {
        let before = self.values();
        let filled = fill();
        eventually("the entry to be shared", || (self.values() != before).then_some(()));
        self.second.await_stream(&self.cluster);
        filled
    }

    fn first_fills(&self) -> String {
        let mut client = self.first.connect("app");
        let stored = self.first.count("/cache/fills_stored");
        eventually("the first to fill", || {
            let rows = read(&mut client);
            (self.first.count("/cache/fills_stored") > stored).then_some(rows)
        })
    }

    fn values(&self) -> Vec<Vec<u8>> {
        let key = |key: &Vec<u8>| self.redis.call(&["GET", &String::from_utf8_lossy(key)]);
        self.redis.keys().iter().flat_map(key).collect()
    }

    fn key(&self) -> String {
        let keys = self.redis.keys();
        assert_eq!(keys.len(), 1, "{keys:?}");
        String::from_utf8(keys[0].clone()).expect("names of entries are text")
    }

    fn shared_hits(&self) -> u64 {
        self.second.count("/cache/hits_by_tier/shared")
    }
}

fn read(client: &mut Wire) -> String {
    text(&client.rows(READ))
}

#[test]
fn c4_what_one_fills_the_other_serves_and_a_write_beside_both_is_seen_by_both() {
    let fleet = Fleet::start("c4_shared", PATIENT);
    let mut client = fleet.second.connect("app");
    let mut other = fleet.first.connect("app");
    for n in 0..3 {
        let rows = fleet.fill();
        let hits = fleet.shared_hits();
        assert_eq!(read(&mut client), rows);
        assert_eq!(fleet.shared_hits(), hits + 1, "{:#}", fleet.second.status());
        assert_eq!(read(&mut client), rows);
        assert_eq!(fleet.shared_hits(), hits + 1, "from memory now");
        fleet.write(&format!("UPDATE big SET x = -{n} WHERE x = {n} + 1"));
        let truth = fleet.truth();
        assert_ne!(truth, rows);
        assert_eq!((read(&mut client), fleet.shared_hits()), (truth.clone(), hits + 1), "the second is stale");
        // Whoever of the two filled it first.
        assert_eq!(read(&mut other), truth, "the first is stale");
        fleet.write(&format!("UPDATE big SET x = -{n} - 10 WHERE x = {n} + 11"));
    }
}

#[test]
fn c4_poisoned_and_replayed_entries_are_misses() {
    let fleet = Fleet::start("c4_poisoned", PATIENT);
    let mut client = fleet.second.connect("app");
    fleet.fill();
    let key = fleet.key();
    fleet.redis.call(&["COPY", &key, "saved"]);
    assert_eq!((read(&mut client), fleet.shared_hits()), (fleet.truth(), 1), "it is good as it is");
    let poison: [(&str, &[&str]); 4] = [
        ("replayed", &["COPY", "saved", &key, "REPLACE"]),
        ("flipped", &["SETRANGE", &key, "40", "xxxx"]),
        ("longer", &["APPEND", &key, "x"]),
        ("foreign", &["SET", &key, "no entry at all"]),
    ];
    for (n, (what, command)) in poison.into_iter().enumerate() {
        fleet.write(&format!("UPDATE big SET x = -{n} WHERE x = {n} + 1"));
        if what != "replayed" {
            fleet.redis.call(&["DEL", &key]);
            assert_eq!(fleet.first_fills(), fleet.truth());
            eventually("the entry to be shared", || {
                (fleet.redis.call(&["EXISTS", &key]) == [b"1".to_vec()]).then_some(())
            });
        }
        fleet.redis.call(command);
        assert_eq!((read(&mut client), fleet.shared_hits()), (fleet.truth(), 1), "{what}");
    }
}

#[test]
fn c4_redis_lost_frozen_or_flushed_is_neither_an_error_nor_stale() {
    let mut fleet = Fleet::start("c4_redis", "50ms");
    let mut client = fleet.second.connect("app");
    let mut n = 0;
    let mut changes = |fleet: &Fleet| {
        for _ in 0..2 {
            n += 1;
            fleet.write(&format!("UPDATE big SET x = -{n} WHERE x = {n}"));
            let truth = fleet.truth();
            for _ in 0..2 {
                assert_eq!(read(&mut client), truth);
                assert_eq!(read(&mut fleet.first.connect("app")), truth);
            }
        }
    };
    fleet.fill();
    changes(&fleet);
    fleet.redis.call(&["FLUSHALL"]);
    changes(&fleet);
    fleet.redis.freeze();
    changes(&fleet);
    fleet.redis.thaw();
    changes(&fleet);
    fleet.redis.stop();
    changes(&fleet);
    fleet.redis.restart();
    changes(&fleet);
}

/// Redis that is full is said once, and that it takes entries again, too.
#[test]
fn a_redis_that_takes_no_writes_is_said_once() {
    let fleet = Fleet::start("shared_full", PATIENT);
    let said = |what: &str| fleet.first.log().matches(what).count();
    let mut client = fleet.first.connect("app");
    let mut n = 0;
    let mut fill_until = |what: &str| {
        eventually(what, || {
            n += 1;
            fleet.write(&format!("UPDATE big SET x = -{n} WHERE x = {n}"));
            read(&mut client);
            (said(what) > 0).then_some(())
        });
    };
    fleet.redis.call(&["CONFIG", "SET", "maxmemory", "1"]);
    fill_until("Redis takes no entries");
    fleet.redis.call(&["CONFIG", "SET", "maxmemory", "0"]);
    fill_until("Redis takes entries again");
    assert_eq!(said("Redis takes no entries"), 1, "{}", fleet.first.log());
}

/// A description that came from Redis is what the client takes the rows for, as any other.
#[test]
fn r15_a_shape_that_the_shared_tier_told_is_held_to() {
    let fleet = Fleet::start("r15_shared", PATIENT);
    let described = Batch::new().parse("s", "SELECT n, m FROM v", &[]).bind("", "s", &[], Format::Binary);
    let described = described.describe_portal("").execute("", 0).sync();
    let (mut first, mut second) = (fleet.first.connect("app"), fleet.second.connect("app"));
    fleet.shared_by(|| {
        let stored = fleet.first.count("/cache/fills_stored");
        eventually("the first to fill", || {
            first.run(&described).expect("it lives");
            (fleet.first.count("/cache/fills_stored") > stored).then_some(())
        });
    });
    let hits = fleet.shared_hits();
    second.run(&described).expect("it lives");
    assert_eq!(fleet.shared_hits(), hits + 1, "{:#}", fleet.second.status());
    fleet.write("BEGIN; DROP VIEW v; CREATE VIEW v AS SELECT count(*) AS n, max(md5(x::text)) AS m FROM big; COMMIT");
    let blind = Batch::new().bind("", "s", &[], Format::Binary).execute("", 0).sync();
    let told = second.run(&blind).expect("it lives");
    assert_eq!(told[0].field(b'C').as_deref(), Some("0A000"), "{told:?}");
}

/// What sessions start with decides bytes, and is no part of what they set: an instance that has not noticed a change of it fills under
/// what it believes.
#[test]
fn c17_an_entry_made_under_other_defaults_is_not_adopted() {
    let cluster = Cluster::quiet();
    let database = cluster.database("c17_defaults");
    let role = format!("r_{database}");
    let mut root = cluster.primary.connect_to(&database);
    root.rows(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{role}'; CREATE TABLE big AS SELECT x, decode('ff', 'hex') AS b FROM generate_series(1, 30000) x; \
         GRANT SELECT ON big TO {role}; CREATE TABLE other(x int)"
    ));
    let redis = Redis::start();
    let build = |staleness| {
        let users = format!("sidecache:sidecache\napp:app\n{role}:{role}");
        let builder = Sidecache::build(&cluster, &database).redis(&redis).users(&users);
        builder.flag("--redis-timeout", PATIENT).flag("--staleness", staleness).start()
    };
    let (late, quick) = (build("60s"), build("1s"));
    let asked = |n: u32| format!("SELECT max(md5(x::text)), (array_agg(b))[1] FROM big WHERE x > {n}");
    let mut old = late.connect(&role);
    old.rows(&asked(0));
    quick.await_status("a catalog", |status| status["catalog"]["loads"] == 1);
    // In another database, of which no stream tells.
    cluster.primary.connect().rows(&format!("ALTER ROLE {role} SET bytea_output = 'escape'"));
    quick.await_status("one to notice", |status| status["catalog"]["loads"] == 2);
    root.rows("INSERT INTO other VALUES (1)");
    late.await_stream(&cluster);
    quick.await_stream(&cluster);
    let mut believed = 0_u64;
    for n in 1..6 {
        let before = late.count("/cache/fills_stored");
        let filled = eventually("a fill", || {
            let filled = text(&old.rows(&asked(n)));
            (late.count("/cache/fills_stored") > before).then_some(filled)
        });
        // Whatever the other believes by then, this one knows better.
        if filled.ends_with("\\xff") {
            believed += 1;
            let written = || (late.status()["redis"]["written"].as_u64() >= Some(believed)).then_some(());
            eventually("the entry to be shared", written);
        }
        assert!(text(&quick.connect(&role).rows(&asked(n))).ends_with("\\377"), "{n}");
    }
    assert!(believed > 0, "nothing was filled under the old default");
    drop((old, late, quick));
    eventually("the role to be nobody's", || {
        root.query(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).ok().filter(|f| tags(f) == "CCZ").map(drop)
    });
}
