//! The shared tier against a real Redis that is down, frozen, locked, full, flushed or hostile: everything is a miss with
//! a name, and the tier comes back by itself. Each test starts its own server in a directory that goes with it.

#[path = "harness/ports.rs"]
mod ports;

use ports::free_port;
use sidecache::cache::{Answer, Cache, Entry, Filled, Options, Permit, SharedMiss, Tier};
use sidecache::coherence::{Coherence, Commit, Demand, Evidence, Floor, Touch};
use sidecache::config::Secret;
use sidecache::store::memory::Key;
use sidecache::store::shared::breaker::BreakerState;
use sidecache::store::shared::{Encode, Miss, Shared, SharedOptions, Trouble, Unwritten, Writes};
use sidecache::types::{Epoch, FullXid, Level, Lsn, Moment, RelationId, Snapshot, Xid};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
const SCOPE: u64 = 7;
const LIMIT: usize = 100_000;

struct Redis {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Redis {
    fn start(arguments: &[&str]) -> Redis {
        Self::start_on(free_port(), arguments)
    }

    fn start_on(port: u16, arguments: &[&str]) -> Redis {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(directory.path())
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server did not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        Redis { child, port, directory }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }

    /// A connection beside the tier's own, as an attacker or an operator has it.
    fn beside(&self) -> redis::Connection {
        redis::Client::open(self.url()).and_then(|client| client.get_connection()).expect("redis answers")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.directory.path();
    }
}

struct Plain(Vec<u8>);

impl Encode for Plain {
    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }
    fn encoded_bytes(&self) -> usize {
        self.0.len()
    }
}

fn tier(url: &str, secret: &str) -> Arc<Shared> {
    let options = SharedOptions {
        url: Secret(url.to_owned()),
        secret: Secret(secret.to_owned()),
        // The tests run on loaded machines; what they assert does not depend on it.
        timeout: Duration::from_millis(500),
        value_limit: LIMIT,
    };
    let shared = Arc::new(Shared::new(&options).expect("a usable URL"));
    let background = Arc::clone(&shared);
    tokio::spawn(async move { background.run().await });
    shared
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn closed(shared: &Shared) {
    until("the breaker closes", || shared.state() == BreakerState::Closed).await;
}

fn insert(shared: &Shared, key: &[u8], value: &[u8]) {
    shared.insert(SCOPE, Key::from(key), Arc::new(Plain(value.to_vec())));
}

async fn put(shared: &Shared, key: &[u8], value: &[u8]) {
    let before = shared.written();
    insert(shared, key, value);
    until("it is written", || shared.written() > before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_writes_another_reads() {
    let redis = Redis::start(&[]);
    let (writer, reader) = (tier(&redis.url(), "secret"), tier(&redis.url(), "secret"));
    closed(&writer).await;
    closed(&reader).await;
    assert_eq!(reader.lookup(SCOPE, b"key").await, Err(Miss::Absent));
    put(&writer, b"key", b"rows").await;
    assert_eq!(reader.lookup(SCOPE, b"key").await.as_deref(), Ok(&b"rows"[..]));
    assert_eq!(reader.lookup(SCOPE + 1, b"key").await, Err(Miss::Absent));
    let stranger = tier(&redis.url(), "another secret");
    closed(&stranger).await;
    assert_eq!(stranger.lookup(SCOPE, b"key").await, Err(Miss::Absent));
    let expiry: i64 = redis::cmd("PTTL").arg(only_key(&redis)).query(&mut redis.beside()).expect("redis answers");
    assert!(expiry > 0, "what nobody asks for goes: {expiry}");
    insert(&writer, b"large", &vec![0; LIMIT + 1]);
    assert_eq!(writer.unwritten(Unwritten::TooLarge), 1);
}

fn only_key(redis: &Redis) -> String {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis.beside()).expect("redis answers");
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.into_iter().next().expect("one key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_poisoned_tier_is_a_miss() {
    let redis = Redis::start(&[]);
    let shared = tier(&redis.url(), "secret");
    closed(&shared).await;
    put(&shared, b"alice", b"rows of alice").await;
    let name = only_key(&redis);
    let mut beside = redis.beside();
    let good: Vec<u8> = redis::cmd("GET").arg(&name).query(&mut beside).expect("redis answers");
    let mut set = |value: &[u8]| {
        redis::cmd("SET").arg(&name).arg(value).query::<()>(&mut beside).expect("redis answers");
    };
    for at in 0..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 0x40;
        set(&broken);
        let expected = if at == 0 { Miss::Malformed } else { Miss::Forged };
        assert_eq!(shared.lookup(SCOPE, b"alice").await, Err(expected), "byte {at}");
    }
    for length in [1, 12, 13, 28, good.len() - 1] {
        set(&good[..length]);
        let missed = shared.lookup(SCOPE, b"alice").await;
        assert!(matches!(missed, Err(Miss::Malformed | Miss::Forged)), "{length}: {missed:?}");
    }
    set(b"");
    assert_eq!(shared.lookup(SCOPE, b"alice").await, Err(Miss::Absent));
    set(&vec![1; 50 << 20]);
    assert_eq!(shared.lookup(SCOPE, b"alice").await, Err(Miss::TooLarge));
    set(&good);
    assert_eq!(shared.lookup(SCOPE, b"alice").await.as_deref(), Ok(&b"rows of alice"[..]));

    // Alice's rows under Bob's name.
    put(&shared, b"bob", b"rows of bob").await;
    let mut beside = redis.beside();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut beside).expect("redis answers");
    let bob = keys.iter().find(|key| **key != name).expect("two keys");
    redis::cmd("SET").arg(bob).arg(&good).query::<()>(&mut beside).expect("redis answers");
    assert_eq!(shared.lookup(SCOPE, b"bob").await, Err(Miss::Forged));
    redis::cmd("DEL").arg(bob).query::<()>(&mut beside).expect("redis answers");
    redis::cmd("LPUSH").arg(bob).arg("x").query::<()>(&mut beside).expect("redis answers");
    for _ in 0..20 {
        assert_eq!(shared.lookup(SCOPE, b"bob").await, Err(Miss::Malformed));
    }
    assert_eq!(shared.state(), BreakerState::Closed, "a key of the wrong type is no failure of Redis");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_goes_and_comes_back_is_a_miss_in_between() {
    let redis = Redis::start(&[]);
    let port = redis.port;
    let shared = tier(&redis.url(), "secret");
    closed(&shared).await;
    put(&shared, b"key", b"rows").await;
    drop(redis);
    until("the breaker opens", || shared.state() != BreakerState::Closed).await;
    assert_eq!(shared.lookup(SCOPE, b"key").await, Err(Miss::BreakerOpen));
    insert(&shared, b"key", b"rows");
    assert_eq!(shared.unwritten(Unwritten::BreakerOpen), 1);
    assert_eq!(shared.trouble(), Some(Trouble::Unreachable));
    let _redis = Redis::start_on(port, &[]);
    closed(&shared).await;
    assert_eq!(shared.lookup(SCOPE, b"key").await, Err(Miss::Absent), "it came back empty");
    put(&shared, b"key", b"rows").await;
    assert_eq!(shared.lookup(SCOPE, b"key").await.as_deref(), Ok(&b"rows"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_was_never_there_costs_nothing() {
    let shared = tier(&format!("redis://127.0.0.1:{}", free_port()), "secret");
    until("the first try failed", || shared.times_opened() > 0).await;
    assert_eq!(shared.lookup(SCOPE, b"key").await, Err(Miss::BreakerOpen));
    assert_eq!((shared.trouble(), shared.times_opened()), (Some(Trouble::Unreachable), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_opens_the_breaker_and_closes_it_when_it_thaws() {
    let redis = Redis::start(&[]);
    let shared = tier(&redis.url(), "secret");
    closed(&shared).await;
    put(&shared, b"key", b"rows").await;
    redis.signal("-STOP");
    let mut timeouts = 0;
    loop {
        match shared.lookup(SCOPE, b"key").await {
            Err(Miss::TimedOut) => timeouts += 1,
            Err(Miss::BreakerOpen) => break,
            other => panic!("a frozen Redis answered {other:?}"),
        }
        assert!(timeouts <= 5, "the breaker must open after five failures in a row");
    }
    assert_eq!((shared.times_opened(), shared.trouble()), (1, Some(Trouble::TimedOut)));
    redis.signal("-CONT");
    closed(&shared).await;
    assert_eq!(shared.lookup(SCOPE, b"key").await.as_deref(), Ok(&b"rows"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_keeps_the_tier_away_and_the_right_one_works() {
    let redis = Redis::start(&["--requirepass", "right"]);
    let with = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port);
    for url in [with("wrong"), redis.url()] {
        let shared = tier(&url, "secret");
        until("it was denied", || shared.trouble() == Some(Trouble::Denied)).await;
        assert_eq!(shared.lookup(SCOPE, b"key").await, Err(Miss::BreakerOpen));
        assert!(!format!("{shared:?}").contains("wrong"), "a password was printed");
    }
    let shared = tier(&with("right"), "secret");
    closed(&shared).await;
    put(&shared, b"key", b"rows").await;
    assert_eq!(shared.lookup(SCOPE, b"key").await.as_deref(), Ok(&b"rows"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_pauses_writes_and_still_answers_reads() {
    let redis = Redis::start(&["--maxmemory-policy", "noeviction"]);
    let shared = tier(&redis.url(), "secret");
    closed(&shared).await;
    put(&shared, b"key", b"rows").await;
    let limit = |bytes: &str| {
        redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).query::<()>(&mut redis.beside()).expect("answers");
    };
    limit("1");
    insert(&shared, b"other", b"rows");
    until("writes pause", || shared.writes() == Writes::Paused).await;
    insert(&shared, b"other", b"rows");
    assert_eq!((shared.unwritten(Unwritten::Failed), shared.unwritten(Unwritten::Paused)), (1, 1));
    assert_eq!(shared.lookup(SCOPE, b"key").await.as_deref(), Ok(&b"rows"[..]));
    assert_eq!((shared.state(), shared.trouble()), (BreakerState::Closed, Some(Trouble::Refused)));
    limit("0");
    until("writes go on", || shared.writes() == Writes::Accepted).await;
    put(&shared, b"other", b"rows").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_is_a_miss() {
    let redis = Redis::start(&[]);
    let shared = tier(&redis.url(), "secret");
    closed(&shared).await;
    put(&shared, b"key", b"rows").await;
    redis::cmd("FLUSHALL").query::<()>(&mut redis.beside()).expect("redis answers");
    assert_eq!(shared.lookup(SCOPE, b"key").await, Err(Miss::Absent));
}

const EPOCH: Epoch = Epoch::new(0xE1);
const ORDERS: RelationId = RelationId::new(16_401);
const NOW: Moment = Moment::from_micros(1_000_000);
const DEMAND: Demand = Demand {
    level: Level::Session,
    floor: Floor { epoch: EPOCH, position: Lsn::ZERO, after: Moment::START },
    now: NOW,
};

fn snapshot(text: &str) -> Snapshot {
    text.parse().expect("a snapshot")
}

/// An instance that hears a stream of its own, which began at `start`.
async fn instance(redis: &Redis, start: u64) -> Arc<Cache> {
    let coherence = Coherence::new(Duration::from_secs(1));
    coherence.stream_started(EPOCH, Lsn::new(start));
    coherence.probed(FullXid::new(50), &snapshot("51:51:"));
    let _ = coherence.catalog_verified(coherence.newest_doubt(), NOW, &snapshot("51:51:"), Lsn::ZERO);
    coherence.pinged(NOW, Lsn::new(start));
    coherence.applied(Lsn::new(start));
    let shared = SharedOptions {
        url: Secret(redis.url()),
        secret: Secret("secret".to_owned()),
        timeout: Duration::from_millis(500),
        value_limit: LIMIT,
    };
    let options = Options { memory: 1 << 20, entry_limit: LIMIT, shared: Some(shared) };
    let cache = Cache::new(coherence, &options).expect("a usable URL");
    tokio::spawn(Arc::clone(&cache).run());
    closed(cache.shared().expect("given")).await;
    cache
}

fn permit(cache: &Arc<Cache>) -> Permit {
    match cache.lookup(b"select", true, &DEMAND) {
        Answer::Permit(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

async fn fill(cache: &Arc<Cache>, text: &str, body: &'static str) {
    let before = cache.shared().expect("given").written();
    let mut permit = permit(cache);
    permit.begin_fill(NOW).expect("live");
    let answer = Filled {
        evidence: Evidence::Primary { snapshot: snapshot(text), high: Lsn::ZERO },
        row_description: Some("T".into()),
        body: body.into(),
        cost: Duration::from_secs(1),
    };
    permit.commit(answer, &[ORDERS], NOW).expect("proven");
    until("it is shared", || cache.shared().is_some_and(|shared| shared.written() > before)).await;
}

async fn shared(cache: &Arc<Cache>) -> Option<Arc<Entry>> {
    permit(cache).ask_shared(true, &DEMAND).await
}

fn change(cache: &Cache, end: u64, xid: u32) {
    let touch = Touch::Relations(smallvec::smallvec![ORDERS]);
    cache.coherence().heard(&Commit { end: Lsn::new(end), xid: Xid::new(xid), touch });
    cache.coherence().applied(Lsn::new(end));
}

fn missed(cache: &Cache, why: SharedMiss) -> u64 {
    cache.stats().shared_misses().filter(|(miss, _)| *miss == why).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_an_instance_serves_from_the_shared_tier_only_what_its_own_positions_prove() {
    let redis = Redis::start(&[]);
    let (first, second) = (instance(&redis, 1000).await, instance(&redis, 900).await);
    fill(&first, "60:60:", "one").await;
    let entry = shared(&second).await.expect("the second instance has heard of no change");
    assert_eq!(entry.body, "one");
    assert!(matches!(second.lookup(b"select", true, &DEMAND), Answer::Hit(_)), "it lies in memory now");
    assert_eq!((second.stats().hits(Tier::Shared), second.stats().hits(Tier::Memory)), (1, 1));

    // The second hears of a change; what the first wrote before it is refused, however valid its seal is.
    let old: Vec<u8> = redis::cmd("GET").arg(only_key(&redis)).query(&mut redis.beside()).expect("redis answers");
    change(&second, 1100, 60);
    assert!(shared(&second).await.is_none());
    assert_eq!(missed(&second, SharedMiss::NotProven), 1);
    change(&first, 1100, 60);
    fill(&first, "70:70:", "two").await;
    assert_eq!(shared(&second).await.expect("filled after the change").body, "two");
    second.clear();

    // Somebody restores an old snapshot of Redis.
    redis::cmd("SET").arg(only_key(&redis)).arg(old).query::<()>(&mut redis.beside()).expect("redis answers");
    assert!(shared(&second).await.is_none());
    assert_eq!(missed(&second, SharedMiss::NotProven), 2);

    // An instance whose stream began later cannot hold the entry against anything it heard.
    let third = instance(&redis, 5000).await;
    assert!(shared(&third).await.is_none());
    assert_eq!(missed(&third, SharedMiss::NotProven), 1);
}

#[test]
fn an_unusable_url_is_refused_without_showing_it() {
    for url in ["", "http://user:hunter2@localhost", "redis://user:hunter2@host:99999", "localhost"] {
        let options = SharedOptions {
            url: Secret(url.to_owned()),
            secret: Secret("s".to_owned()),
            timeout: Duration::from_millis(10),
            value_limit: LIMIT,
        };
        let error = Shared::new(&options).expect_err(url);
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}

/// The roots are read from the environment, which a test must not change for its neighbours: so it runs in a process of its own.
#[test]
fn tls_is_verified_against_the_roots() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    certify(&path("cert.pem"), &path("key.pem"));
    certify(&path("stranger.pem"), &path("stranger.key"));
    let (port, tls_port) = (free_port(), free_port().to_string());
    let tls = ["--tls-port", &tls_port, "--tls-auth-clients", "no"];
    let files = ["--tls-cert-file", &path("cert.pem"), "--tls-key-file", &path("key.pem")];
    let _redis = Redis::start_on(port, &[&tls[..], &files[..]].concat());
    for (roots, outcome) in [(path("cert.pem"), "closed"), (path("stranger.pem"), "open")] {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "tls_child"])
            .env("SSL_CERT_FILE", roots)
            .env("SHARED_TIER_URL", format!("rediss://127.0.0.1:{tls_port}"))
            .env("SHARED_TIER_OUTCOME", outcome)
            .output()
            .expect("this test runs");
        assert!(child.status.success(), "{outcome}: {}", String::from_utf8_lossy(&child.stdout));
    }
}

fn certify(certificate: &str, key: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is installed").success());
}

#[tokio::test]
#[ignore = "run by tls_is_verified_against_the_roots"]
async fn tls_child() {
    let shared = tier(&std::env::var("SHARED_TIER_URL").expect("set by the parent"), "secret");
    if std::env::var("SHARED_TIER_OUTCOME").as_deref() == Ok("closed") {
        closed(&shared).await;
        put(&shared, b"key", b"rows").await;
        assert_eq!(shared.lookup(SCOPE, b"key").await.as_deref(), Ok(&b"rows"[..]));
    } else {
        until("it was not trusted", || shared.trouble() == Some(Trouble::Unreachable)).await;
        assert_eq!(shared.lookup(SCOPE, b"key").await, Err(Miss::BreakerOpen));
    }
}
