//! Rules and hints for routes, zones, and servers that speak Aurora's dialect.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use crate::harness::wire::{Login, Wire, tags};

fn table(cluster: &Cluster, label: &str) -> String {
    let database = cluster.database(label);
    let mut app = cluster.connect("app", &database);
    app.rows("CREATE TABLE t (v int); INSERT INTO t VALUES (1); CREATE TABLE u (v int); INSERT INTO u VALUES (2)");
    app.rows("CREATE VIEW w AS SELECT v FROM t");
    cluster.catch_up();
    database
}

fn start(builder: SidecacheBuilder, cluster: &Cluster) -> Sidecache {
    let sidecache = builder.start();
    sidecache.await_status("every replica to be ready", |status| {
        let servers = status["servers"].as_array().expect("a list of servers");
        servers.iter().filter(|s| s["role"] == "replica" && s["state"] == "ready").count() == cluster.replicas.len()
    });
    sidecache.await_stream(cluster);
    sidecache
}

/// What EXPLAIN (SIDECACHE) says under a name; empty if nothing.
fn said(client: &mut Wire, sql: &str, name: &str) -> String {
    let lines = client.rows(&format!("EXPLAIN (SIDECACHE) {sql}"));
    let mut lines = lines.into_iter().map(|row| row[0].clone().expect("a line"));
    lines.find_map(|line| line.strip_prefix(&format!("{name:<12} ")).map(str::to_owned)).unwrap_or_default()
}

fn on_replicas(sidecache: &Sidecache) -> u64 {
    let status = sidecache.status();
    let servers = status["servers"].as_array().expect("a list of servers");
    servers.iter().skip(1).map(|server| server["statements"].as_u64().expect("a count")).sum()
}

/// Whether a statement is answered by a replica, once it may be.
fn reads_replica(sidecache: &Sidecache, client: &mut Wire, sql: &str) {
    eventually(&format!("a replica for {sql}"), || {
        let before = on_replicas(sidecache);
        client.rows(sql);
        (on_replicas(sidecache) > before).then_some(())
    });
}

/// Rules by role, table (behind views too) and fingerprint send reads to the primary or keep them out of the cache, the first that
/// matches counts, explanations name it, a reload changes it, and none lets a write run on a replica.
#[test]
fn rules_choose_among_what_is_allowed() {
    let cluster = Cluster::shared();
    let database = table(cluster, "rules");
    let rules = "[[route]]\nrole = 'solo'\ndestination = 'any'\n\
                 [[route]]\ntable = 'public.t'\ndestination = 'primary'\ncache = 'off'\n\
                 [[route]]\ndestination = 'replica'";
    cluster.connect("app", &database).rows("GRANT SELECT ON ALL TABLES IN SCHEMA public TO solo");
    let sidecache = start(Sidecache::build(cluster, &database).config(rules), cluster);
    let (mut app, mut solo) = (sidecache.connect("app"), sidecache.connect("solo"));
    for sql in ["SELECT v FROM t", "SELECT v FROM w", "SELECT v, random() FROM t", "SELECT v, random() FROM w"] {
        let before = on_replicas(&sidecache);
        assert_eq!(said(&mut app, sql, "rule"), "2: destination primary cache off", "{sql}");
        assert!(said(&mut app, sql, "now").ends_with("primary: rule 2"), "{sql}");
        for _ in 0..3 {
            app.rows(sql);
        }
        assert_eq!(on_replicas(&sidecache), before, "{sql}");
        assert_eq!(said(&mut solo, sql, "rule"), "1: destination any", "{sql}");
    }
    assert_eq!(said(&mut app, "SELECT v FROM t", "cached"), "no: rule");
    assert_eq!(said(&mut solo, "SELECT v FROM t", "cached"), "yes");
    reads_replica(&sidecache, &mut app, "SELECT v, random() FROM u");
    assert_eq!(said(&mut app, "SELECT v FROM u", "rule"), "3: destination replica");
    assert!(sidecache.explain("SELECT v FROM t").contains("\nrule         2: destination primary cache off\n"));
    let before = on_replicas(&sidecache);
    app.rows("UPDATE u SET v = v");
    app.rows("SELECT txid_current()");
    assert_eq!(on_replicas(&sidecache), before, "a rule for replicas is for reads");

    let fingerprint = said(&mut app, "SELECT v FROM u WHERE v = 1", "fingerprint");
    let rules = format!("[[route]]\nfingerprint = '{fingerprint}'\ndestination = 'primary'");
    sidecache.rewrite("config.toml", &rules);
    sidecache.reload("the rules to be read", |reload| reload["done"] == 1);
    assert_eq!(said(&mut app, "SELECT v FROM t", "rule"), "");
    assert_eq!(said(&mut app, "SELECT  v FROM u WHERE v = 77 -- x", "rule"), "1: destination primary");
    sidecache.rewrite("config.toml", "[[route]]\ndestination = 'nowhere'");
    let state = sidecache.reload("the rules to be refused", |reload| reload["error"].is_string());
    assert!(state["reload"]["error"].as_str().is_some_and(|error| error.contains("route = ")), "{state:#}");
    assert_eq!(said(&mut app, "SELECT v FROM u WHERE v = 3", "rule"), "1: destination primary", "as it was");
}

/// A hint sends one statement to the primary, or has it wait for a replica that is behind; a write stays a write.
#[test]
fn hints_choose_a_server_for_one_statement() {
    let cluster = Cluster::build().replicas(1).start();
    let database = table(&cluster, "hints");
    let sidecache = start(Sidecache::build(&cluster, &database).cache("off").flag("--staleness", "20s"), &cluster);
    let mut client = sidecache.connect("app");
    reads_replica(&sidecache, &mut client, "SELECT v FROM t");
    let before = on_replicas(&sidecache);
    assert_eq!(client.value("/* sidecache: route=primary */ SELECT v FROM t"), "1");
    assert_eq!(on_replicas(&sidecache), before);
    assert!(said(&mut client, "SELECT v FROM t /* sidecache: route=primary */", "now").ends_with("primary: hint"));
    // Behind the session's own write until it goes on: the hint waits for it, and reads the write.
    let paused = cluster.pause_replay(0);
    client.rows("/* sidecache: route=replica */ UPDATE t SET v = 5");
    let before = on_replicas(&sidecache);
    assert_eq!(client.value("SELECT v FROM t"), "5");
    assert_eq!(on_replicas(&sidecache), before, "without a hint it does not wait");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.value("SELECT v FROM t /* sidecache: route=replica */"));
        eventually("it to wait", || (!waiting.is_finished()).then_some(()));
        paused.resume();
        assert_eq!(waiting.join().expect("it was answered"), "5");
    });
    assert_eq!(on_replicas(&sidecache), before + 1, "by the replica");
}

/// Replicas that share a zone, or are all elsewhere, are warned of by `check`, the log and the console.
#[test]
fn zones_that_fall_together_are_warned_of() {
    let cluster = Cluster::shared();
    let database = table(cluster, "zonewarn");
    let urls = cluster.replica_urls("sidecache", &database);
    let urls: Vec<String> = urls.iter().map(|url| format!("{url}?zone=b")).collect();
    let build = || Sidecache::build(cluster, &database).replicas(&urls).flag("--zone", "a").flag("--admin-user", "app");
    let (_, findings, _) = build().run("check", &[]);
    let troubles = ["all replicas are in zone b", "no replica is in this instance's zone, a"];
    let sidecache = start(build(), cluster);
    let mut operator =
        Wire::connect(&Login { database: "sidecache".to_owned(), ..sidecache.login("app") }).expect("an operator");
    let frames = operator.query("SHOW REPLICAS").expect("it goes on");
    let notice = frames.iter().find_map(|f| (f.tag == b'N').then(|| f.field(b'M'))).flatten().unwrap_or_default();
    for trouble in troubles {
        assert!(findings.contains(trouble), "{findings}");
        assert!(notice.contains(trouble), "{notice} {}", tags(&frames));
    }
    let (_, findings, _) = Sidecache::build(cluster, &database).run("check", &[]);
    assert!(!findings.contains("zone"), "{findings}");
}

/// What Aurora's functions look like, on servers that are none: who writes and how late the readers are is what a table says.
const AURORA: &str = "CREATE TABLE public.aurora (writer text, lag float8); INSERT INTO public.aurora VALUES ('node-' || current_setting('port'), 5);
    CREATE FUNCTION pg_catalog.aurora_db_instance_identifier() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'node-' || current_setting('port') $$;
    CREATE FUNCTION pg_catalog.aurora_replica_status(OUT server_id text, OUT session_id text, OUT durable_lsn bigint, OUT replica_lag_in_msec float8)
    RETURNS SETOF record STABLE LANGUAGE sql AS $$
        WITH w AS (SELECT CASE WHEN pg_is_in_recovery() THEN writer ELSE 'node-' || current_setting('port') END AS writer, lag FROM public.aurora)
        SELECT writer, 'MASTER_SESSION_ID', 12345::bigint, NULL::float8 FROM w
        UNION ALL SELECT 'node-' || current_setting('port'), 'some-uuid', 12000::bigint, lag FROM w WHERE pg_is_in_recovery() $$;
    GRANT SELECT ON public.aurora TO PUBLIC";

/// A reader that tells no position answers who asks for no more than boundedness, while it is known to be within the bound; it
/// fills no cache; it succeeds the writer when that is gone.
#[test]
fn r10_aurora_readers_are_used_as_far_as_their_lag_is_known() {
    let mut cluster = Cluster::build().replicas(1).start();
    let database = table(&cluster, "aurora");
    cluster.primary.connect_to(&database).query(AURORA).expect("a superuser may");
    let lag = |cluster: &Cluster, value: &str| {
        cluster.primary.connect_to(&database).rows(&format!("UPDATE public.aurora SET lag = {value}"));
    };
    cluster.catch_up();
    let sidecache = start(Sidecache::build(&cluster, &database).flag("--connect-timeout", "1s"), &cluster);
    let mut client = sidecache.connect("app");
    let read = "SELECT v FROM t";
    assert!(said(&mut client, read, "replica").starts_with("replica-1 passed over: position_unknown"));
    assert_eq!(client.value(read), "1");
    assert_eq!(on_replicas(&sidecache), 0, "no session's floor can be held against it");
    client.rows("SET sidecache.consistency = 'bounded'");
    let uncached = "SELECT v FROM t WHERE random() >= 0";
    reads_replica(&sidecache, &mut client, uncached);
    let stored = sidecache.count("/cache/fills_stored");
    let fresh = "SELECT v FROM u";
    reads_replica(&sidecache, &mut client, fresh);
    reads_replica(&sidecache, &mut client, fresh);
    assert_eq!(sidecache.count("/cache/fills_stored"), stored, "nothing is cached from it");
    for (value, state) in [("5000", "too_far_behind"), ("NULL", "lag_unknown"), ("-1", "lag_unknown")] {
        lag(&cluster, value);
        sidecache.await_status("the lag to be seen", |status| status["servers"][1]["state"] == state);
        let before = on_replicas(&sidecache);
        assert_eq!(client.value(uncached), "1");
        assert_eq!(on_replicas(&sidecache), before, "lag {value}");
    }
    lag(&cluster, "5");
    reads_replica(&sidecache, &mut client, uncached);
    cluster.catch_up();
    cluster.primary.stop(crate::harness::process::Signal::QUIT);
    cluster.promote(0);
    eventually("a write to the new writer", || {
        let mut client = sidecache.try_connect("app").ok()?;
        let frames = client.query("INSERT INTO u VALUES (3)").ok()?;
        tags(&frames).starts_with('C').then_some(())
    });
    assert_eq!(cluster.replicas[0].connect_to(&database).value("SELECT count(*) FROM u WHERE v = 3"), "1");
    assert_eq!(sidecache.status()["servers"][1]["role"], "primary");
}
