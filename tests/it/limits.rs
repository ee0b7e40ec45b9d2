//! Limits on connections and on time: the reserve, what is kept ready, what grows too old, and sessions and requests that
//! take too long.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Wire, tags};
use crate::twins::Twins;

/// The connections that `app` has to a database, but for the one that asks.
fn connections(cluster: &Cluster, database: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'app'");
    cluster.primary.value(&sql).parse().expect("a number")
}

/// The SQLSTATE of the error that ends a session by itself.
fn ended(wire: &mut Wire) -> String {
    let frame = wire.read_frame().expect("an error before the end");
    assert_eq!(frame.field(b'V').as_deref(), Some("FATAL"), "{frame:?}");
    assert!(wire.read_frame().is_err(), "and then the end");
    frame.field(b'C').expect("an error has a SQLSTATE")
}

fn locks(cluster: &Cluster, database: &str) -> String {
    cluster.primary.value(&format!(
        "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_database d ON d.oid = database \
         WHERE datname = '{database}' AND relation >= 16384"
    ))
}

/// A session that has waited long enough gets one of the reserve; without a reserve it is told 53300. What the reserve gave
/// is closed once nobody waits.
#[test]
fn r24_the_reserve_is_for_those_who_have_waited() {
    let cluster = Cluster::shared();
    let database = cluster.database("limits_reserve");
    let build = || Sidecache::build(cluster, &database).no_replicas().flag("--pool-size", "1").cache("off");
    let sidecache = build().flag("--pool-reserve", "1").flag("--pool-reserve-after", "20ms").start();
    let (mut first, mut second) = (sidecache.connect("app"), sidecache.connect("app"));
    first.rows("BEGIN");
    first.rows("SAVEPOINT here");
    assert_eq!(second.value("SELECT 1"), "1");
    first.rows("COMMIT");
    drop(sidecache);
    eventually("an empty server", || (connections(cluster, &database) == 0).then_some(()));

    let strict = build().flag("--pool-timeout", "50ms").start();
    let (mut first, mut second, mut third) = (strict.connect("app"), strict.connect("app"), strict.connect("app"));
    first.rows("BEGIN");
    first.rows("SAVEPOINT here");
    assert_eq!(second.error("SELECT 1"), "53300");
    assert_eq!(third.error("SELECT 1"), "53300");
    first.rows("COMMIT");
    assert_eq!(second.value("SELECT 1"), "1", "the session went on");
    assert_eq!(connections(cluster, &database), 1);
}

/// Connections that are to be kept ready are opened before anyone asks and outlive idleness; old ones are replaced.
#[test]
fn what_is_kept_ready_is_there_and_what_is_old_is_replaced() {
    let cluster = Cluster::shared();
    let database = cluster.database("limits_min");
    let build = || Sidecache::build(cluster, &database).no_replicas().cache("off");
    let sidecache = build().flag("--pool-min", "3").flag("--pool-idle-timeout", "1ms").start();
    let mut client = sidecache.connect("app");
    client.value("SELECT 1");
    eventually("three connections", || (connections(cluster, &database) == 3).then_some(()));
    drop(sidecache);
    let sidecache = build().flag("--pool-lifetime", "300ms").start();
    let mut client = sidecache.connect("app");
    let first = client.value("SELECT pg_backend_pid()");
    eventually("another connection", || (client.value("SELECT pg_backend_pid()") != first).then_some(()));
    client.rows("BEGIN");
    let held = client.value("SELECT pg_backend_pid()");
    for _ in 0..40 {
        assert_eq!(client.value("SELECT pg_backend_pid() FROM pg_sleep(0.02)"), held, "a transaction keeps its own");
    }
    client.rows("COMMIT");
    let idle = sidecache.connect("app");
    eventually("idle ones to be closed", || (connections(cluster, &database) == 0).then_some(()));
    drop(idle);
}

/// A request that takes too long is cancelled on its server, in both protocols; the session and its connection go on.
#[test]
fn a_query_that_takes_too_long_is_cancelled() {
    let cluster = Cluster::shared();
    let database = cluster.database("limits_query");
    let sidecache =
        Sidecache::build(cluster, &database).flag("--query-timeout", "200ms").flag("--pool-size", "1").start();
    let mut client = sidecache.connect("app");
    let backend = client.value("SELECT pg_backend_pid()");
    let frames = client.query("SELECT pg_sleep(3600)").expect("it goes on");
    let told = frames.iter().find(|frame| frame.tag == b'E').unwrap_or_else(|| panic!("{frames:?}"));
    assert_eq!(told.field(b'C').as_deref(), Some("57014"));
    assert_eq!(told.field(b'M').as_deref(), Some("canceling statement due to query timeout"));
    assert_eq!(told.field(b'R').as_deref(), Some("ProcessInterrupts"), "all else is PostgreSQL's");
    let frames = client.run(&Batch::new().extended("SELECT pg_sleep(3600)", &[], Format::Text)).expect("it goes on");
    assert!(frames.iter().any(|f| f.field(b'C').as_deref() == Some("57014")), "{frames:?}");
    client.rows("BEGIN");
    assert_eq!(client.error("SELECT pg_sleep(3600)"), "57014");
    assert_eq!(client.error("SELECT 1"), "25P02", "as any error fails a transaction");
    client.rows("ROLLBACK");
    assert_eq!(client.value("SELECT pg_backend_pid()"), backend, "the connection was kept");
    assert_eq!(sidecache.metric("sidecache_query_timeouts_total", &[]), 3.0);
    let log = sidecache.log();
    let lines = log.lines().filter(|line| line.contains("takes too long") && line.contains("user=\"app\""));
    assert_eq!(lines.filter(|line| line.contains(&database) && line.contains("peer=")).count(), 3, "{log}");
    let sleeping = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'app' \
         AND state = 'active'"
    );
    assert_eq!(cluster.primary.value(&sleeping), "0");
    for _ in 0..20 {
        client.value("SELECT count(*) FROM generate_series(1, 1000)");
    }
}

/// A session that leaves a transaction open and says nothing is told 25P03; what it held is free. One that is merely idle
/// is told 57P05, and one in a transaction is not idle.
#[test]
fn silence_ends_sessions_in_postgresqls_words() {
    let cluster = Cluster::shared();
    let database = cluster.database("limits_silence");
    cluster.connect("app", &database).rows("CREATE TABLE t (v int)");
    let build = || Sidecache::build(cluster, &database).flag("--pool-size", "1");
    let sidecache = build().flag("--transaction-idle-timeout", "300ms").start();
    let mut lazy = sidecache.connect("app");
    lazy.rows("BEGIN");
    lazy.rows("LOCK TABLE t");
    assert_eq!(ended(&mut lazy), "25P03");
    eventually("the lock to be free", || (locks(cluster, &database) == "0").then_some(()));
    let mut next = sidecache.connect("app");
    assert_eq!(next.value("SELECT count(*) FROM t"), "0", "the pool serves others");
    // A batch that is never finished holds a connection as well.
    next.send(&Batch::new().parse("", "SELECT 1", &[]).flush()).expect("a connection that lives");
    assert_eq!(next.read_frame().expect("an answer").tag, b'1');
    assert_eq!(ended(&mut next), "25P03");

    let sidecache = build().flag("--client-idle-timeout", "300ms").start();
    let mut idle = sidecache.connect("app");
    assert_eq!(idle.value("SELECT 1"), "1");
    assert_eq!(ended(&mut idle), "57P05");
    let mut busy = sidecache.connect("app");
    busy.rows("BEGIN");
    assert_eq!(ended(&mut sidecache.connect("app")), "57P05");
    assert_eq!(ended(&mut sidecache.connect("app")), "57P05");
    busy.rows("COMMIT");
    assert_eq!(ended(&mut busy), "57P05");
}

/// Where the server takes no more connections of a role, sessions share those that there are, as those beyond a pool's size do.
#[test]
fn r24_a_role_at_its_connection_limit_shares_what_it_has() {
    let cluster = Cluster::shared();
    let database = cluster.database("r24_limit");
    let role = format!("r_{database}");
    cluster.primary.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{role}' CONNECTION LIMIT 1"));
    let builder =
        Sidecache::build(cluster, &database).no_replicas().users(&format!("sidecache:sidecache\n{role}:{role}"));
    let sidecache = builder.start();
    let mut clients: Vec<Wire> = (0..4).map(|_| sidecache.connect(&role)).collect();
    for round in 0..3 {
        for client in &mut clients {
            client.send(&Batch::new().query("SELECT 7 FROM pg_sleep(0.05)")).expect("a connection that lives");
        }
        for client in &mut clients {
            let answer = client.read_until_ready().expect("an answer");
            assert_eq!(tags(&answer), "TDCZ", "round {round}: {answer:?}");
        }
    }
    drop(clients);
    drop(sidecache);
    cluster.primary.sql(&format!("DROP ROLE {role}"));
}

/// What a client sets for itself holds where no server knows of its silence: between transactions, and in one that no server was told of.
#[test]
fn r19_a_client_that_wants_no_silence_is_ended_by_its_own_settings() {
    let cluster = Cluster::shared();
    let sidecache = Sidecache::build(cluster, &cluster.database("r19_silence")).no_replicas().start();
    for (setting, begins, told) in [
        ("idle_session_timeout = '300ms'", false, "57P05"),
        ("idle_in_transaction_session_timeout = 300", true, "25P03"),
    ] {
        let mut client = sidecache.connect("app");
        client.rows(&format!("SET {setting}"));
        if begins {
            client.rows("BEGIN");
        }
        assert_eq!(ended(&mut client), told, "{setting}");
    }
    // Taken back, it ends nobody.
    let mut client = sidecache.connect("app");
    client.rows("SET idle_session_timeout = '1s'");
    client.rows("RESET idle_session_timeout");
    assert_eq!(client.value("SELECT pg_sleep(0) IS NULL"), "f");
}

/// However many statements one batch names, each costs what one alone does: else a few hundred kilobytes would keep a worker, and the
/// sessions that it serves, for minutes.
#[test]
fn r13_a_batch_may_name_any_number_of_statements() {
    const MANY: usize = 10_000;
    let twins = Twins::with("many_names", "", |builder| builder.no_replicas());
    let batch = |each: fn(Batch, &str, &str) -> Batch| {
        let text = |n| (format!("s{n}"), format!("SELECT {n}"));
        let names = (0..MANY).map(text).fold(Batch::new(), |batch, (name, sql)| each(batch, &name, &sql));
        names.sync()
    };
    let kinds: [(&str, Batch); 3] = [
        ("1", batch(|batch, name, sql| batch.parse(name, sql, &[]))),
        ("13", batch(|batch, name, sql| batch.parse(name, sql, &[]).close_statement(name))),
        (
            "12DC",
            batch(|batch, name, sql| batch.parse(name, sql, &[]).bind("", name, &[], Format::Text).execute("", 0)),
        ),
    ];
    for (answers, batch) in kinds {
        let answer = twins.through().run(&batch).expect("an answer");
        assert!(tags(&answer) == answers.repeat(MANY) + "Z", "{answers}: {} messages", answer.len());
    }
}
