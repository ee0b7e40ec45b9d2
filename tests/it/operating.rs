//! Operating the real program: exit codes, a primary that is away at the start, drains, limits, what operators read over
//! HTTP and in logs, TLS both ways, and users known by secrets alone.

use crate::harness::cluster::Cluster;
use crate::harness::process::{Scratch, Signal};
use crate::harness::proxy::{Door, FaultProxy};
use crate::harness::redis::Redis;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use crate::harness::wire::{Batch, Format, Login, Wire, WireError, tags};
use crate::harness::{PATIENCE, eventually, http, within};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::path::PathBuf;

/// The error that ended a session.
fn farewell(wire: &mut Wire) -> String {
    let frame = wire.read_frame().expect("an error before the end");
    assert_eq!(frame.field(b'V').as_deref(), Some("FATAL"), "{frame:?}");
    assert_eq!(wire.read_frame().map_err(|e| e.kind()), Err(ErrorKind::UnexpectedEof), "and then the end");
    frame.field(b'C').expect("an error has a SQLSTATE")
}

pub(super) fn refusal(result: Result<Wire, WireError>) -> String {
    match result {
        Ok(_) => panic!("the client was let in"),
        Err(error) => error.sqlstate().unwrap_or_else(|| panic!("no SQLSTATE: {error:?}")),
    }
}

/// Waits until SIGTERM has been heeded as far as the outside can see.
fn await_draining(sidecache: &Sidecache) {
    eventually("the drain to begin", || {
        let (code, reason) = http::get(sidecache.http(), "/readyz")?;
        (code == 503 && reason.contains("draining")).then_some(())
    });
}

// Exit codes.

/// `check` and `explain` end with 0 where all is well, and with 1 and a reason where the primary is away.
#[test]
fn commands_end_with_0_or_1() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_commands");
    cluster.connect("app", &database).rows("CREATE TABLE t (id int PRIMARY KEY)");
    let good = Sidecache::build(cluster, &database);
    let (status, out, err) = good.run("check", &[]);
    assert_eq!(status.code(), Some(0), "{out}{err}");
    assert!(out.contains("ok    primary") && out.contains("ok    wal_level is logical"), "{out}");
    assert!(out.contains("replica-2") && !out.contains("FAIL"), "{out}");
    let (status, out, err) = good.run("explain", &["SELECT * FROM t WHERE id = 1"]);
    assert_eq!(status.code(), Some(0), "{out}{err}");
    assert!(out.contains("cached       yes") && out.contains("public.t"), "{out}");
    let (status, out, _) = good.run("explain", &["SELECT now()"]);
    assert!(status.success() && out.contains("cached       no: "), "{out}");

    let away = FaultProxy::to_port(cluster.primary.port);
    away.set(|w| w.door = Door::Closed);
    let bad = Sidecache::build(cluster, &database).primary(&through(&away, cluster, &database)).no_replicas();
    let (status, out, _) = bad.run("check", &[]);
    assert_eq!(status.code(), Some(1), "{out}");
    assert!(out.contains("FAIL  primary"), "{out}");
    let (status, _, err) = bad.run("explain", &["SELECT 1"]);
    assert_eq!(status.code(), Some(1), "{err}");
    assert!(err.contains("the primary cannot be reached"), "{err}");
}

/// `serve` ends with 64 for what was configured wrongly and names it, and with 1 where a port is taken.
#[test]
fn serve_ends_with_64_or_1() {
    let cluster = Cluster::shared();
    let build = || Sidecache::build(cluster, "postgres");
    let scratch = Scratch::new();
    let not_pem = scratch.path().join("not.pem");
    std::fs::write(&not_pem, "nothing").expect("our own directory");
    let file = not_pem.to_str().expect("a path of ours");
    let good = Certificates::for_name("localhost");
    let tls = |certificate: &str, key: &str| build().flag("--tls-certificate", certificate).flag("--tls-key", key);
    let (certificate, key) = (good.text("server.crt"), good.text("server.key"));
    for (builder, says) in [
        (build().flag("--staleness", "soon"), "staleness = \"soon\" (from --staleness): not a duration"),
        (build().environment("SIDECACHE_POOL_SIZE", "none"), "pool_size = \"none\" (from SIDECACHE_POOL_SIZE)"),
        (build().config("memory = \"1MB\""), "memory = \"1MB\""),
        (build().config("memroy = \"1MiB\""), "memroy"),
        (build().users("app"), "line 1: not user:password"),
        (tls(file, file), "tls_certificate: "),
        (tls(file, &key), "tls_certificate: "),
        (tls(&certificate, file), "tls_key: "),
        (tls(&certificate, &Certificates::for_name("localhost").text("server.key")), "tls_certificate and tls_key: "),
        (tls(&certificate, &key).flag("--tls-client-ca", file).flag("--tls-client-auth", "cert"), "tls_client_ca: "),
        (build().redis_url("http://127.0.0.1:1"), "redis = "),
    ] {
        let (status, out, err) = builder.run("serve", &[]);
        assert_eq!(status.code(), Some(64), "{says}: {out}{err}");
        assert!(err.contains(says), "{says}: {err}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let (status, _, err) = build().port(port).run("serve", &[]);
    assert_eq!(status.code(), Some(1), "{err}");
    assert!(err.contains(&format!("cannot listen on 127.0.0.1:{port} (listen): ")), "{err}");
}

fn through(proxy: &FaultProxy, cluster: &Cluster, database: &str) -> String {
    Login { port: proxy.port(), ..cluster.login("sidecache", database) }.url()
}

// A primary that is away.

/// The process lives, says so, tells clients 08006, and works without a restart once the primary can be reached.
#[test]
fn an_unreachable_primary_at_the_start_is_waited_for() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_unreachable");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t AS SELECT 1 AS v");
    let proxy = FaultProxy::to_port(cluster.primary.port);
    proxy.set(|w| w.door = Door::Closed);
    let url = through(&proxy, cluster, &database);
    let mut sidecache = Sidecache::build(cluster, &database).primary(&url).no_replicas().spawn();
    let reason = eventually("an answer that it is not ready", || {
        let (code, reason) = http::get(sidecache.http(), "/readyz")?;
        assert_eq!(code, 503, "{reason}");
        Some(reason)
    });
    assert!(reason.contains("the primary has not been reached yet"), "{reason}");
    assert_eq!(http::get(sidecache.http(), "/livez").map(|(code, _)| code), Some(200));
    let sqlstate = refusal(sidecache.try_connect("app"));
    assert!(matches!(sqlstate.as_str(), "08006" | "57P03"), "{sqlstate}");
    eventually("the log to say so", || sidecache.log().contains("the primary cannot be reached").then_some(()));
    assert!(sidecache.ended().is_none(), "it lives");
    assert_eq!(sidecache.status()["servers"][0]["state"], "unreachable");

    proxy.set(|w| w.door = Door::Open);
    sidecache.await_ready();
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    assert_eq!(client.value("SELECT v FROM t"), "1");
    let before = sidecache.count("/cache/hits");
    eventually("a hit", || {
        client.value("SELECT v FROM t");
        (sidecache.count("/cache/hits") > before).then_some(())
    });
    direct.rows("UPDATE t SET v = 2");
    eventually("the change to be heard", || (client.value("SELECT v FROM t") == "2").then_some(()));
}

// Drains.

/// A transaction finishes and its session then ends with 57P01; idle sessions end at once, newcomers find nobody, and
/// the process ends with 0.
#[test]
fn sigterm_lets_transactions_finish_and_tells_idle_sessions() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_drain");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (v int)");
    let mut sidecache = Sidecache::start(cluster, &database);
    let (mut idle, mut busy) = (sidecache.connect("app"), sidecache.connect("app"));
    busy.rows("BEGIN");
    busy.rows("INSERT INTO t VALUES (1)");
    let mut open = sidecache.connect("app");
    let insert = Batch::new().parse("", "INSERT INTO t VALUES (3)", &[]).bind("", "", &[], Format::Text).execute("", 0);
    open.send(&insert.flush()).expect("a connection that lives");
    open.read_until(b'C').expect("an answer, and no end of the batch");
    sidecache.signal(Signal::TERM);
    assert_eq!(farewell(&mut idle), "57P01");
    await_draining(&sidecache);
    eventually("the door to be shut", || sidecache.try_connect("app").is_err().then_some(()));
    assert!(sidecache.ended().is_none(), "a transaction is open");
    busy.rows("INSERT INTO t VALUES (2)");
    busy.rows("COMMIT");
    assert_eq!(farewell(&mut busy), "57P01");
    open.run(&Batch::new().sync()).expect("the batch's end");
    assert_eq!(farewell(&mut open), "57P01");
    assert_eq!(sidecache.wait().code(), Some(0));
    assert_eq!(direct.value("SELECT count(*) FROM t"), "3");
}

/// A second SIGTERM ends the process though a transaction is open, which PostgreSQL then rolls back.
#[test]
fn a_second_sigterm_ends_at_once() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_insist");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t (v int)");
    let mut sidecache = Sidecache::build(cluster, &database).flag("--drain-timeout", "1h").start();
    let mut busy = sidecache.connect("app");
    busy.rows("BEGIN");
    busy.rows("INSERT INTO t VALUES (1)");
    sidecache.signal(Signal::TERM);
    await_draining(&sidecache);
    assert!(sidecache.ended().is_none(), "a transaction is open");
    sidecache.signal(Signal::TERM);
    assert_eq!(sidecache.wait().code(), Some(0));
    assert!(busy.read_frame().is_err());
    assert_eq!(direct.value("SELECT count(*) FROM t"), "0");
}

/// Clients that have connected and not proven themselves, silent or in the middle of it, hold up no drain.
#[test]
fn a_client_that_proves_nothing_does_not_hold_up_a_drain() {
    let cluster = Cluster::shared();
    let mut sidecache =
        Sidecache::build(cluster, "shop").flag("--auth-timeout", "1h").flag("--drain-timeout", "1h").start();
    let connect = || TcpStream::connect(("127.0.0.1", sidecache.port())).expect("it listens");
    let mut silent = connect();
    let mut halfway = connect();
    let startup = b"\0\0\0\x13\0\x03\0\0user\0app\0\0";
    let startup = &[&(startup.len() as u32).to_be_bytes()[..], &startup[4..]].concat();
    std::io::Write::write_all(&mut halfway, startup).expect("it reads");
    let mut tag = [0];
    halfway.set_read_timeout(Some(PATIENCE)).expect("a duration above zero");
    halfway.read_exact(&mut tag).expect("it asks for a proof");
    assert_eq!(&tag, b"R");
    sidecache.signal(Signal::TERM);
    assert_eq!(sidecache.wait().code(), Some(0));
    let mut rest = Vec::new();
    halfway.read_to_end(&mut rest).expect("an orderly end");
    assert!(String::from_utf8_lossy(&rest).contains("57P01"), "it is told why");
    silent.read_to_end(&mut rest).expect("an orderly end");
}

/// What is left after `drain_timeout` is cut off.
#[test]
fn a_drain_ends_when_its_time_is_up() {
    let cluster = Cluster::shared();
    let mut sidecache = Sidecache::build(cluster, "shop").flag("--drain-timeout", "50ms").start();
    let mut busy = sidecache.connect("app");
    busy.rows("BEGIN");
    sidecache.signal(Signal::INT);
    assert_eq!(sidecache.wait().code(), Some(0));
    assert!(busy.read_frame().is_err());
    assert!(sidecache.log().contains("sessions are cut off"), "{}", sidecache.log());
}

// Limits.

/// Past `max_clients` a client is told 53300 and may still cancel; a seat that is given back is taken again.
#[test]
fn max_clients_is_a_limit_with_a_sqlstate() {
    let cluster = Cluster::shared();
    let sidecache = Sidecache::build(cluster, "shop").flag("--max-clients", "2").start();
    let (first, mut second) = (sidecache.connect("app"), sidecache.connect("app"));
    assert_eq!(refusal(sidecache.try_connect("app")), "53300");
    second.send(&Batch::new().query("SELECT pg_sleep(3600)")).expect("a connection that lives");
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)' AND state = 'active'";
    eventually("the query to run", || (cluster.primary.value(sleeping) != "0").then_some(()));
    second.cancel().expect("a cancel needs no seat");
    let frames = second.read_until_ready().expect("the session goes on");
    assert!(frames.iter().any(|f| f.field(b'C').as_deref() == Some("57014")), "{frames:?}");
    assert_eq!(sidecache.metric("sidecache_clients_refused_total", &[("reason", "too_many_clients")]), 1.0);
    drop(first);
    eventually("the seat to be free", || sidecache.try_connect("app").ok());
}

// What operators read.

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// `/status` has the names that tools read, and counts what happened.
#[test]
fn status_and_probes_have_stable_names() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_status");
    let mut direct = cluster.connect("app", &database);
    direct.rows("CREATE TABLE t AS SELECT 1 AS v");
    cluster.catch_up();
    let redis = Redis::start();
    let sidecache = Sidecache::build(cluster, &database).redis(&redis).flag("--zone", "a").start();
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    eventually("a hit", || {
        client.value("SELECT v FROM t");
        (sidecache.count("/cache/hits") > 0).then_some(())
    });
    client.value("SELECT now()");
    client.rows("INSERT INTO t VALUES (2)");
    let status = sidecache.await_status("a reached Redis", |status| status["redis"]["state"] == "closed");
    for name in ["version", "epoch", "stream", "cache", "servers", "sessions", "saved", "redis"] {
        assert!(keys(&status).contains(name), "{name}: {status:#}");
    }
    assert!(keys(&status["stream"]).is_superset(&["state", "applied_lsn", "staleness_ms"].into()), "{status:#}");
    let cache = ["mode", "basis", "hits", "misses", "bypasses", "entries", "bytes"];
    assert!(keys(&status["cache"]).is_superset(&cache.into()), "{status:#}");
    let server = ["name", "role", "zone", "state", "lag_bytes", "statements"];
    for one in status["servers"].as_array().expect("a list") {
        assert!(keys(one).is_superset(&server.into()), "{status:#}");
    }
    assert_eq!(status["servers"].as_array().map(Vec::len), Some(3));
    assert_eq!((&status["stream"]["state"], &status["servers"][0]["role"]), (&"live".into(), &"primary".into()));
    assert_eq!(status["cache"]["basis"], "stream", "{status:#}");
    assert!(status["cache"]["bypasses"].as_object().is_some_and(|reasons| !reasons.is_empty()), "{status:#}");
    assert!(status["saved"]["upstream_seconds"].as_f64().is_some_and(|saved| saved > 0.0), "{status:#}");
    assert_eq!(status["sessions"], 1, "{status:#}");
    assert_eq!(http::get(sidecache.http(), "/livez"), Some((200, "alive\n".to_owned())));
    assert_eq!(http::get(sidecache.http(), "/readyz"), Some((200, "ready\n".to_owned())));
    assert_eq!(http::get(sidecache.http(), "/nothing").map(|(code, _)| code), Some(404));
}

/// `/metrics` has every promised name, the cache's own counts and Redis's breaker among them, and moves when things happen.
#[test]
fn metrics_have_the_promised_names() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_metrics");
    cluster.connect("app", &database).rows("CREATE TABLE t AS SELECT 1 AS v");
    cluster.catch_up();
    let mut redis = Redis::start();
    let sidecache = Sidecache::build(cluster, &database).redis(&redis).start();
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    eventually("a hit", || {
        client.value("SELECT v FROM t");
        (sidecache.metric("sidecache_requests_total", &[("outcome", "hit"), ("destination", "memory")]) > 0.0)
            .then_some(())
    });
    client.value("SELECT now()");
    client.rows("INSERT INTO t VALUES (2)");
    assert_eq!(refusal(Wire::connect(&Login { password: "wrong".to_owned(), ..sidecache.login("app") })), "28P01");
    client.rows("LISTEN c; SELECT 1");
    eventually("Redis to be asked", || {
        (sidecache.metric("sidecache_redis_state", &[("state", "closed")]) == 1.0).then_some(())
    });
    let metrics = sidecache.metrics();
    for name in [
        "sidecache_requests_total",
        "sidecache_bypasses_total",
        "sidecache_fills_stored_total",
        "sidecache_pins_total",
        "sidecache_clients_refused_total",
        "sidecache_sessions_begun_total",
        "sidecache_server_statements_total",
        "sidecache_sessions",
        "sidecache_listening_connections",
        "sidecache_listening_sessions",
        "sidecache_saved_upstream_seconds",
        "sidecache_stream_state",
        "sidecache_applied_lsn_bytes",
        "sidecache_staleness_seconds",
        "sidecache_entries",
        "sidecache_entry_bytes",
        "sidecache_server_up",
        "sidecache_server_lag_bytes",
        "sidecache_server_outstanding",
        "sidecache_request_seconds",
        "sidecache_upstream_seconds",
        "sidecache_pool_wait_seconds",
        "sidecache_coalesced_total",
        "sidecache_entries_died_total",
        "sidecache_entries_evicted_total",
        "sidecache_shared_misses_total",
        "sidecache_redis_state",
        "sidecache_redis_breaker_opened_total",
        "sidecache_redis_written_total",
    ] {
        let series = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_']));
        assert!(metrics.lines().any(series), "{name} is missing in\n{metrics}");
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} says nothing of itself");
    }
    assert_eq!(sidecache.metric("sidecache_clients_refused_total", &[("reason", "authentication")]), 1.0);
    redis.stop();
    eventually("the breaker to open", || {
        (sidecache.metric("sidecache_redis_state", &[("state", "closed")]) == 0.0).then_some(())
    });
    assert!(sidecache.metric("sidecache_redis_breaker_opened_total", &[]) >= 1.0);
}

/// Redis that fails, from the start or later, is a warning, and its return a line; not each attempt, and never its password.
#[test]
fn what_becomes_of_redis_is_said_once_each_time() {
    let cluster = Cluster::shared();
    let mut redis = Redis::start_with_password(CANARY);
    redis.stop();
    let sidecache = Sidecache::build(cluster, "shop").redis(&redis).start();
    let said = |what: &str| sidecache.log().matches(what).count();
    let opened = || sidecache.metric("sidecache_redis_breaker_opened_total", &[]);
    let await_said = |what: &str, times: usize| eventually(what, || (said(what) == times).then_some(()));
    await_said("Redis is not asked", 1);
    eventually("a count of it", || (opened() == 1.0).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(500));
    redis.restart();
    await_said("Redis is asked", 1);
    redis.stop();
    await_said("Redis is not asked", 2);
    redis.restart();
    await_said("Redis is asked", 2);
    let log = sidecache.log();
    assert_eq!((said("Redis is not asked"), opened()), (2, 2.0), "{log}");
    assert!(log.contains("WARN") && log.contains("reason=\"unreachable\"") && !log.contains(CANARY), "{log}");
}

/// Whoever is turned away, and whoever gets no connection, has one line that says who it was, from where, and why.
#[test]
fn who_is_turned_away_has_a_line_in_the_log() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_turned");
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off").flag("--pool-timeout", "50ms");
    let build = build.users("app:app\nsidecache:sidecache\nsolo:hunter2");
    let sidecache = build.flag("--max-clients", "2").flag("--pool-size", "1").start();
    // The client is told before the log is.
    let line = |what: &str, parts: &[&str]| {
        let all = |log: &str| -> Vec<String> {
            let lines = log.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
            lines.map(str::to_owned).collect()
        };
        let lines = eventually(what, || Some(all(&sidecache.log())).filter(|lines| !lines.is_empty()));
        assert!(matches!(&lines[..], [line] if line.contains("INFO") && line.contains("peer=")), "{what}: {lines:?}");
        assert!(!sidecache.log().contains("hunter2"), "{what}");
    };
    let hunter = Login { password: "hunter2".to_owned(), ..sidecache.login("solo") };
    assert_eq!(refusal(Wire::connect(&hunter)), "28P01");
    line("the primary's word", &["user=\"solo\"", &database, "refused_by_server", "28P01"]);
    let nowhere = Login { database: "nonesuch".to_owned(), ..sidecache.login("app") };
    assert_eq!(refusal(Wire::connect(&nowhere)), "3D000");
    line("no such database", &["user=\"app\"", "database=\"nonesuch\"", "refused_by_server", "does not exist"]);
    assert_eq!(refusal(Wire::connect(&Login { password: "wrong".to_owned(), ..sidecache.login("app") })), "28P01");
    line("a wrong password", &["user=\"app\"", "wrong_password"]);
    sidecache.await_status("their seats to be free", |status| status["sessions"] == 0);
    let (mut first, mut second) = (sidecache.connect("app"), sidecache.connect("app"));
    assert_eq!(refusal(sidecache.try_connect("app")), "53300");
    line("too many", &["user=\"app\"", &database, "too_many_clients"]);
    first.rows("BEGIN");
    first.rows("SAVEPOINT here");
    assert_eq!(second.error("SELECT 1"), "53300");
    line("no connection", &["user=\"app\"", &database, "pool is saturated"]);
    assert_eq!(sidecache.metric("sidecache_pool_timeouts_total", &[]), 1.0);
}

/// How full each server's pools are, and what they may hold, in `/metrics` and `/status`.
#[test]
fn how_full_pools_are_can_be_read() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_full");
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off").flag("--max-clients", "7");
    let sidecache = build.flag("--pool-size", "1").flag("--pool-timeout", "1h").start();
    let (mut first, mut second) = (sidecache.connect("app"), sidecache.connect("app"));
    first.value("SELECT 1");
    let count = |name: &str| sidecache.metric(name, &[("server", "primary")]);
    let idle = || count("sidecache_server_connections_idle");
    eventually("a free connection", || (idle() == 1.0).then_some(()));
    assert_eq!((count("sidecache_server_connections"), count("sidecache_server_waiting")), (1.0, 0.0));
    first.rows("BEGIN");
    first.rows("SAVEPOINT here");
    second.send(&Batch::new().query("SELECT 1")).expect("a connection that lives");
    eventually("it to wait", || (count("sidecache_server_waiting") == 1.0).then_some(()));
    assert_eq!((count("sidecache_server_connections"), idle()), (1.0, 0.0));
    let limits = (sidecache.metric("sidecache_pool_size", &[]), sidecache.metric("sidecache_max_clients", &[]));
    assert_eq!(limits, (1.0, 7.0));
    let status = sidecache.status();
    let server = &status["servers"][0];
    assert_eq!((&server["connections"], &server["idle"], &server["waiting"]), (&1.into(), &0.into(), &1.into()));
    assert_eq!(status["limits"], serde_json::json!({"max_clients": 7, "pool_size": 1}));
    first.rows("COMMIT");
    second.read_until_ready().expect("it has a connection now");
}

/// A password that must be seen nowhere.
const CANARY: &str = "canary-7Zq3-hunter2";

/// No password, secret or parameter of a URL shows in logs of any level and format, `/status`, `/metrics`, findings or errors.
#[test]
fn secrets_show_nowhere() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_secrets");
    let role = format!("{database}_r");
    cluster.primary.sql(&format!("CREATE ROLE {role} LOGIN REPLICATION PASSWORD '{CANARY}'"));
    cluster.primary.connect_to(&database).rows(&format!("CREATE TABLE t AS SELECT 1 AS v; GRANT ALL ON t TO {role}"));
    cluster.catch_up();
    let redis = Redis::start_with_password(CANARY);
    let canary = |login: Login| Login { password: CANARY.to_owned(), ..login };
    for format in ["text", "json"] {
        let url = canary(cluster.login(&role, &database)).url();
        let replicas: Vec<String> =
            cluster.replicas.iter().map(|r| format!("postgres://127.0.0.1:{}", r.port)).collect();
        let build = Sidecache::build(cluster, &database)
            .primary(&url)
            .replicas(&replicas)
            .users(&format!("{role}:{CANARY}\napp:app"))
            .redis_url(&redis.url())
            .environment("SIDECACHE_REDIS_SECRET", &format!("{CANARY}-{CANARY}"))
            .flag("--log-format", format)
            .flag("--log-level", "trace");
        let sidecache = build.clone().start();
        sidecache.await_stream(cluster);
        let mut said = Vec::new();
        let mut client = Wire::connect(&canary(sidecache.login(&role))).expect("its password");
        eventually("a hit", || {
            client.value("SELECT v FROM t");
            (sidecache.count("/cache/hits") > 0).then_some(())
        });
        client.extended("SELECT v FROM t WHERE v::text <> $1", &[Some(CANARY)]);
        client.error("SELECT nonsense");
        client.rows("INSERT INTO t VALUES (2)");
        client.rows("SET application_name = 'x'");
        let wrong = Login { password: format!("{CANARY}!"), ..sidecache.login("app") };
        said.push(format!("{:?}", Wire::connect(&wrong).err()));
        said.push(format!("{:?}", Wire::connect(&canary(sidecache.login("nobody"))).err()));
        // The users file and PostgreSQL disagree: the server refuses the login.
        cluster.primary.sql(&format!("ALTER ROLE {role} PASSWORD 'another'"));
        said.push(format!(
            "{:?}",
            Wire::connect(&Login { database: "postgres".to_owned(), ..canary(sidecache.login(&role)) }).err()
        ));
        let (_, out, err) = build.run("check", &[]);
        said.extend([out, err]);
        let (_, out, err) = build.run("explain", &["SELECT v FROM t"]);
        said.extend([out, err]);
        cluster.primary.sql(&format!("ALTER ROLE {role} PASSWORD '{CANARY}'"));
        said.extend([sidecache.log(), sidecache.metrics(), sidecache.status().to_string()]);
        for text in &said {
            assert!(!text.contains(CANARY) && !text.contains("hunter2"), "a secret shows in\n{text}");
        }
        let log = sidecache.log();
        assert!(log.contains("TRACE"), "the test looks at all that can be logged");
        if format == "json" {
            for line in log.lines() {
                let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
                assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
            }
        }
    }
}

/// What clients say is theirs: no level of the log shows a literal of a statement, or a parameter.
#[test]
fn no_level_of_the_log_shows_what_statements_hold() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_literals");
    cluster.connect("app", &database).rows("CREATE TABLE t (v text)");
    cluster.catch_up();
    for level in ["debug", "trace"] {
        let sidecache = Sidecache::build(cluster, &database).flag("--log-level", level).start();
        sidecache.await_stream(cluster);
        let mut client = sidecache.connect("app");
        client.rows(&format!("SELECT v FROM t WHERE v = '{CANARY}'"));
        client.extended(&format!("SELECT v FROM t WHERE v <> '{CANARY}' AND v <> $1"), &[Some(CANARY)]);
        client.rows(&format!("INSERT INTO t VALUES ('{CANARY}')"));
        client.rows(&format!("SET application_name = '{CANARY}'"));
        client.error(&format!("SELECT nonsense('{CANARY}')"));
        let log = sidecache.log();
        assert!(log.contains("listening") && !log.contains(CANARY), "{log}");
    }
}

// TLS, and users known by secrets.

/// An authority, and what it signed for one name.
pub(super) struct Certificates {
    scratch: Scratch,
}

impl Certificates {
    pub(super) fn for_name(name: &str) -> Certificates {
        let scratch = Scratch::new();
        let mut authority = CertificateParams::new(vec![]).expect("no name");
        // OpenSSL takes a certificate for self-signed if it bears its issuer's name.
        authority.distinguished_name.push(DnType::CommonName, "an authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name").signed_by(&key, &authority);
        let certificates = Certificates { scratch };
        certificates.write("ca.crt", &authority.pem());
        certificates.write("server.crt", &leaf.expect("signed").pem());
        certificates.write("server.key", &key.serialize_pem());
        certificates
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("our own directory");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// psql's answer through `sidecache`, or its error.
pub(super) fn psql(cluster: &Cluster, sidecache: &Sidecache, host: &str, parameters: &str) -> Result<String, String> {
    let port = sidecache.port();
    let mut psql = cluster.program("psql");
    psql.arg(format!("host={host} port={port} user=app dbname=shop connect_timeout=60 {parameters}"));
    // Where the tests' own user keeps certificates is not to be read.
    psql.env("HOME", "/nonexistent").env("PGPASSWORD", "app").args(["-XAtc", "SELECT 40 + 2"]);
    let output = psql.output().expect("psql starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// libpq takes our certificate under verify-full where name and authority are right and under no other, and plain
/// connections are refused where TLS is required.
#[test]
fn clients_may_insist_on_tls_and_so_may_we() {
    let cluster = Cluster::shared();
    let (ours, others) = (Certificates::for_name("localhost"), Certificates::for_name("localhost"));
    let with_tls = |builder: SidecacheBuilder| {
        builder.flag("--tls-certificate", &ours.text("server.crt")).flag("--tls-key", &ours.text("server.key"))
    };
    let sidecache = with_tls(Sidecache::build(cluster, "shop")).flag("--tls-required", "true").start();
    let root = |certificates: &Certificates| format!("sslrootcert={}", certificates.text("ca.crt"));
    let ask = |host: &str, parameters: String| psql(cluster, &sidecache, host, &parameters);
    let full = |certificates: &Certificates| format!("sslmode=verify-full {}", root(certificates));
    assert_eq!(ask("localhost", full(&ours)), Ok("42".to_owned()));
    assert_eq!(ask("127.0.0.1", "sslmode=require".to_owned()), Ok("42".to_owned()));
    assert!(ask("127.0.0.1", full(&ours)).is_err_and(|e| e.contains("127.0.0.1")), "another name");
    assert!(ask("localhost", full(&others)).is_err_and(|e| e.contains("SSL error")), "another authority");
    assert!(ask("localhost", "sslmode=disable".to_owned()).is_err_and(|e| e.contains("requires TLS")));

    let lenient = with_tls(Sidecache::build(cluster, "shop")).start();
    assert_eq!(psql(cluster, &lenient, "localhost", &full(&ours)), Ok("42".to_owned()));
    assert_eq!(psql(cluster, &lenient, "localhost", "sslmode=disable"), Ok("42".to_owned()));
    let without = Sidecache::start(cluster, "shop");
    assert!(psql(cluster, &without, "localhost", "sslmode=require").is_err());
    assert_eq!(psql(cluster, &without, "localhost", "sslmode=prefer"), Ok("42".to_owned()));
}

/// A primary that speaks TLS as `server`.
fn over_tls(server: &Certificates) -> Cluster {
    for name in ["server.crt", "server.key"] {
        crate::harness::postgres::hand_over(&server.path(name));
    }
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(server.path("server.key"), private).expect("our own file");
    Cluster::build()
        .replicas(0)
        .setting("ssl = on")
        .setting(&format!("ssl_cert_file = '{}'", server.text("server.crt")))
        .setting(&format!("ssl_key_file = '{}'", server.text("server.key")))
        .start()
}

/// More than a socket takes at once, which TLS keeps until it is asked for again.
#[test]
fn r16_long_messages_and_the_ends_of_copies_reach_a_server_that_is_spoken_to_by_tls() {
    let server = Certificates::for_name("127.0.0.1");
    let cluster = over_tls(&server);
    let database = cluster.database("op_long");
    let url = format!("{}?sslmode=require", cluster.primary_url("sidecache", &database));
    let sidecache = Sidecache::build(&cluster, &database).primary(&url).start();
    let mut client = sidecache.connect("app");
    client.rows("CREATE TABLE t(v text)");
    let long = "x".repeat(12 << 20);
    let insert = "INSERT INTO t VALUES";
    let copy = Batch::new().query("COPY t FROM STDIN");
    for batch in [
        Batch::new().extended(&format!("{insert} ($1)"), &[Some(&long)], Format::Text),
        Batch::new().query(&format!("{insert} ('{long}')")),
        long.as_bytes().chunks(1 << 16).fold(copy, Batch::copy_data).copy_data(b"\n").copy_done(),
    ] {
        let answer = tags(&client.run(&batch).expect("an answer"));
        assert!(["12nCZ", "CZ", "GCZ"].contains(&answer.as_str()), "{answer}");
    }
    assert_eq!(client.value("SELECT sum(length(v)) FROM t"), (3 * long.len()).to_string());

    // Both ways at once.
    client.rows(
        "CREATE FUNCTION says() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', NEW.v; RETURN NEW; END$$",
    );
    client.rows("CREATE TRIGGER says BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION says()");
    const ROWS: usize = 5_000;
    let row = format!("{}\n", "y".repeat(500)).into_bytes();
    let copy = Batch::new().query("COPY t FROM STDIN").copy_data(&row.repeat(ROWS)).copy_done();
    let mut writer = client.writer().expect("a socket");
    let sent = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &copy.0));
    let answer = client.read_until_ready().expect("an answer");
    sent.join().expect("a writer that lives").expect("all is sent");
    assert_eq!(tags(&answer), format!("G{}CZ", "N".repeat(ROWS)));
}

/// Upstream, sessions and stream alike run inside TLS as `sslmode` asks; what cannot be verified is not connected to.
#[test]
fn upstream_tls_is_verified_as_asked() {
    let (server, others) = (Certificates::for_name("127.0.0.1"), Certificates::for_name("127.0.0.1"));
    let cluster = over_tls(&server);
    cluster.connect("app", "shop").rows("CREATE TABLE t AS SELECT 1 AS v");
    let with = |parameters: &str| {
        Sidecache::build(&cluster, "shop")
            .primary(&format!("{}?{parameters}", cluster.primary_url("sidecache", "shop")))
    };
    let ours = server.text("ca.crt");
    for parameters in ["sslmode=require", &format!("sslmode=verify-full&sslrootcert={ours}")] {
        let sidecache = with(parameters).start();
        sidecache.await_stream(&cluster);
        let mut client = sidecache.connect("app");
        assert_eq!(client.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t", "{parameters}");
        let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'sidecache' AND NOT ssl";
        assert_eq!(cluster.primary.value(plain), "0", "the stream and the watch too");
        eventually("a hit", || {
            client.value("SELECT v FROM t");
            (sidecache.count("/cache/hits") > 0).then_some(())
        });
    }
    let disabled = with("sslmode=disable").start();
    let mut client = disabled.connect("app");
    assert_eq!(client.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "f");
    let theirs = others.text("ca.crt");
    let refused = with(&format!("sslmode=verify-full&sslrootcert={theirs}"));
    let sidecache = refused.clone().spawn();
    eventually("the log to say why", || sidecache.log().contains("certificate").then_some(()));
    assert_eq!(sidecache.readiness(), 503);
    assert_eq!(refusal(sidecache.try_connect("app")), "08006");
    let (status, out, _) = refused.run("check", &[]);
    assert!(status.code() == Some(1) && out.contains("certificate"), "{out}");
    let without = Sidecache::build(Cluster::shared(), "shop")
        .no_replicas()
        .primary(&format!("{}?sslmode=require", Cluster::shared().primary_url("sidecache", "shop")));
    let (status, out, _) = without.run("check", &[]);
    assert!(status.code() == Some(1) && out.contains("does not speak TLS"), "{out}");
}

/// With the very secret that PostgreSQL keeps, and no password anywhere, a client proves itself and Sidecache logs in as it.
#[test]
fn a_user_known_by_its_scram_secret_logs_in_upstream_as_itself() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_scram");
    let (role, password) = (format!("{database}_r"), "nobody wrote this down");
    cluster.primary.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'"));
    let secret = cluster.primary.value(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'"));
    assert!(secret.starts_with("SCRAM-SHA-256$"), "{secret}");
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, &database).users(&format!("# who\n{role}:{secret}\napp:app")).start();
    let login = Login { password: password.to_owned(), ..sidecache.login(&role) };
    for _ in 0..2 {
        let mut client = Wire::connect(&login).expect("the secret's own password");
        assert_eq!(client.value("SELECT session_user"), role);
        assert_eq!(client.value("SELECT current_setting('is_superuser')"), "off");
    }
    assert_eq!(sidecache.connect("app").value("SELECT session_user"), "app", "the pool mixes nobody up");
    let wrong = Login { password: "guess".to_owned(), ..login.clone() };
    assert_eq!(refusal(Wire::connect(&wrong)), "28P01", "however warm the pool is");
    assert_eq!(refusal(Wire::connect(&sidecache.login("nobody"))), "28P01");
    assert!(within(std::time::Duration::ZERO, || sidecache.log().contains(password).then_some(())).is_none());
}

/// Shadow mode serves nothing, from Redis neither, though another instance has put there what it could serve.
#[test]
fn shadow_serves_from_no_tier() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_shadow");
    // Dear enough that asking Redis is worth while.
    cluster
        .connect("app", &database)
        .rows("CREATE TABLE t AS SELECT generate_series(1, 50000) AS v; CREATE TABLE later (v int)");
    cluster.catch_up();
    let sql = "SELECT count(*) FROM t AS a WHERE v <> ALL (SELECT b.v FROM t AS b WHERE b.v < 0)";
    let redis = Redis::start();
    let build = || Sidecache::build(cluster, &database).redis(&redis).flag("--redis-timeout", "10s");
    let (serving, shadow) = (build().start(), build().cache("shadow").start());
    for instance in [&serving, &shadow] {
        instance.await_stream(cluster);
        instance.await_status("Redis", |status| status["redis"]["state"] == "closed");
    }
    // What was filled before an instance began to hear is of no use to it.
    cluster.connect("app", &database).rows("INSERT INTO later VALUES (1)");
    [&serving, &shadow].into_iter().for_each(|instance| instance.await_stream(cluster));
    let mut client = serving.connect("app");
    eventually("an entry in Redis", || {
        client.value(sql);
        (!redis.keys().is_empty()).then_some(())
    });
    let mut client = shadow.connect("app");
    eventually("what would have been a hit", || {
        assert_eq!(client.value(sql), "50000");
        (shadow.metric("sidecache_bypasses_total", &[("reason", "shadow")]) > 0.0).then_some(())
    });
    assert_eq!(shadow.count("/cache/hits"), 0);
}

/// A statement whose hint asks for level strong reads the primary itself, like a session at that level: no replica is asked.
#[test]
fn a_hint_of_level_strong_reads_the_primary() {
    let cluster = Cluster::shared();
    let database = cluster.database("op_hint");
    cluster.connect("app", &database).rows("CREATE TABLE t AS SELECT 1 AS v");
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, &database).cache("off").start();
    let replicas = || sidecache.metric("sidecache_requests_total", &[("destination", "replica")]);
    let mut client = sidecache.connect("app");
    eventually("a replica to take a read", || {
        client.value("SELECT v FROM t");
        (replicas() > 0.0).then_some(())
    });
    let before = replicas();
    for _ in 0..10 {
        client.value("/* sidecache: level=strong */ SELECT v FROM t");
        client.extended("/* sidecache: level=strong */ SELECT v FROM t WHERE v = $1", &[Some("1")]);
    }
    client.rows("SET sidecache.consistency = 'strong'");
    for _ in 0..10 {
        client.value("SELECT v FROM t");
    }
    assert!((replicas() - before).abs() < f64::EPSILON, "a replica was asked");
}
