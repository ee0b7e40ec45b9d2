//! What a server's own configuration gives sessions is not replicated: a replica's answers come of the primary's settings, or not from
//! there (C17).

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::postgres::Server;
use crate::harness::wire::Wire;
use crate::watched::{Watched, text};

const VALUES: &str = "CREATE TABLE v(tz timestamptz, iv interval, f float8, b bytea);\
    INSERT INTO v VALUES ('2026-01-02 03:04:05Z', '1 day 02:03:04', 0.1::float8 + 0.2, '\\x61ff')";

/// How often the replica was sent a statement.
fn sent(watched: &Watched) -> u64 {
    let status = watched.sidecache.status();
    let servers = status["servers"].as_array().expect("a list of servers");
    let replica = servers.iter().find(|server| server["name"] == "replica-1").expect("the replica");
    replica["statements"].as_u64().expect("a count")
}

fn ready(watched: &Watched) {
    watched.sidecache.await_status("the replica to be ready", |status| {
        let servers = status["servers"].as_array().expect("a list of servers");
        servers.iter().any(|server| server["name"] == "replica-1" && server["state"] == "ready")
    });
}

/// Changes a setting of a server's configuration, and waits until its new sessions have it.
fn configure(server: &Server, setting: &str, value: &str) {
    server.set(setting, value);
    let wanted = value.trim_matches('\'');
    eventually(setting, || (server.value(&format!("SHOW {setting}")) == wanted).then_some(()));
}

/// A read that is not cached, and goes to the replica if it may.
fn routed(read: &str) -> String {
    format!("/* sidecache: off */ /* sidecache: route=replica */ {read}")
}

/// The same, where the replica answered it.
fn from_replica(watched: &Watched, client: &mut Wire, read: &str, direct: &str) {
    let read = routed(read);
    eventually("the replica to answer", || {
        let before = sent(watched);
        assert_eq!(text(&client.rows(&read)), direct, "{read}");
        (sent(watched) > before).then_some(())
    });
}

/// A replica does not let a user in whom the primary does: it is not asked again for each of his reads.
#[test]
fn r24_a_replica_that_refuses_a_user_is_left_alone() {
    let cluster = Cluster::build().replicas(1).start();
    let watched =
        Watched::with(&cluster, "refuses", "CREATE TABLE t AS SELECT 1 AS v; GRANT SELECT ON t TO solo", |builder| {
            builder.users("app:app\nsolo:solo\nsidecache:sidecache")
        });
    let replica = &cluster.replicas[0];
    let rules = replica.data().join("pg_hba.conf");
    let known = std::fs::read_to_string(&rules).expect("its rules");
    std::fs::write(&rules, format!("host all solo all reject\n{known}")).expect("our own directory");
    replica.sql("SELECT pg_reload_conf()");
    let rejects = || replica.log().matches("rejects connection").count();
    eventually("the replica to refuse", || {
        let _ = Wire::connect(&replica.login().user("solo"));
        (rejects() > 0).then_some(())
    });
    ready(&watched);
    let before = rejects();
    let mut solo = watched.sidecache.connect("solo");
    (0..100).for_each(|_| assert_eq!(solo.value("/* sidecache: off */ SELECT v FROM t"), "1"));
    assert!((1..50).contains(&(rejects() - before)), "{} logins for 100 reads", rejects() - before);
}

#[test]
fn c17_a_replica_answers_by_the_settings_of_the_primary() {
    const READ: &str = "SELECT tz, iv, f, b, interval '1 day 2 hours' FROM v";
    let cluster = Cluster::build().replicas(1).start();
    for (setting, value) in [
        ("timezone", "'Asia/Tokyo'"),
        ("datestyle", "'SQL, DMY'"),
        ("intervalstyle", "'postgres_verbose'"),
        ("bytea_output", "'escape'"),
        ("extra_float_digits", "0"),
    ] {
        configure(&cluster.primary, setting, value);
    }
    let watched = Watched::on(&cluster, "c17_alike", VALUES);
    ready(&watched);
    let mut direct = watched.beside();
    let plain = text(&direct.rows(READ));
    let mut client = watched.client();
    from_replica(&watched, &mut client, READ, &plain);
    assert_eq!(watched.warm(&mut client, READ), plain, "what is stored");
    // What a session sets there goes, and the primary's comes back.
    for (set, reset) in [
        ("SET timezone = 'UTC'", "RESET timezone"),
        ("SET bytea_output = 'hex'", "RESET ALL"),
        ("SET datestyle = 'German'", "DISCARD ALL"),
    ] {
        direct.rows(set);
        let changed = text(&direct.rows(READ));
        direct.rows(reset);
        client.rows(set);
        from_replica(&watched, &mut client, READ, &changed);
        client.rows(reset);
        from_replica(&watched, &mut client, READ, &plain);
    }
    // The replica's own configuration changes while connections are open there.
    configure(&cluster.replicas[0], "timezone", "'America/New_York'");
    from_replica(&watched, &mut client, READ, &plain);
    // The primary's does, which is noticed within the bound.
    configure(&cluster.primary, "timezone", "'Europe/Paris'");
    let after = text(&watched.beside().rows(READ));
    assert_ne!(after, plain);
    let read = routed(READ);
    eventually("the primary's new settings to count", || (text(&client.rows(&read)) == after).then_some(()));
    from_replica(&watched, &mut client, READ, &after);
    assert_eq!(watched.warm(&mut client, READ), after, "what is stored after the change");
}

#[test]
fn c17_a_replica_that_may_not_be_told_the_primarys_settings_is_passed_over() {
    const READ: &str = "SELECT f FROM v";
    let cluster = Cluster::build().replicas(1).start();
    // Superusers alone may set it.
    configure(&cluster.replicas[0], "session_replication_role", "'replica'");
    let watched = Watched::on(&cluster, "c17_unlike", VALUES);
    ready(&watched);
    let mut client = watched.client();
    let direct = text(&watched.beside().rows(READ));
    for _ in 0..3 {
        let read = routed(READ);
        assert_eq!(text(&client.rows(&read)), direct);
    }
    assert_eq!(sent(&watched), 0, "the replica answered");
    assert!(watched.sidecache.log().contains("session_replication_role"), "the log says why");
    configure(&cluster.replicas[0], "session_replication_role", "'origin'");
    from_replica(&watched, &mut client, READ, &direct);
}

/// Adds a setting of the users' own to a server's configuration: ALTER SYSTEM takes none that it does not know.
fn configure_own(server: &Server, setting: &str, value: &str) {
    let file = server.data().join("postgresql.conf");
    let mut text = std::fs::read_to_string(&file).expect("its configuration");
    text += &format!("\n{setting} = '{value}'\n");
    std::fs::write(&file, text).expect("written");
    server.sql("SELECT pg_reload_conf()");
    let shown = format!("SELECT current_setting('{setting}', true)");
    eventually(setting, || (server.value(&shown) == value).then_some(()));
}

/// Policies read them, and nobody is told of those that exist.
#[test]
fn c17_settings_of_the_users_own_are_the_primarys_too() {
    const READ: &str = "SELECT canary FROM docs ORDER BY canary";
    let cluster = Cluster::build().replicas(1).start();
    configure_own(&cluster.primary, "app.tenant", "a");
    let docs = "CREATE TABLE docs(tenant text, canary text); INSERT INTO docs VALUES ('a', 'a1'), ('b', 'b1'); \
        ALTER TABLE docs ENABLE ROW LEVEL SECURITY; GRANT SELECT ON docs TO solo; \
        CREATE POLICY tenants ON docs USING (tenant = current_setting('app.tenant', true))";
    let watched = Watched::on(&cluster, "c17_own", docs);
    ready(&watched);
    let mut client = watched.sidecache.connect("solo");
    from_replica(&watched, &mut client, READ, "a1");
    assert_eq!(text(&client.rows(READ)), "a1");
    client.rows("SET app.tenant = 'b'");
    from_replica(&watched, &mut client, READ, "b1");
    // A policy comes to read another, which the replica alone has.
    configure_own(&cluster.replicas[0], "app.other", "b");
    watched.beside().rows("ALTER POLICY tenants ON docs USING (tenant = current_setting('app.other', true))");
    watched.hear();
    for _ in 0..3 {
        assert_eq!(text(&client.rows(&routed(READ))), "");
    }
    // No policy names this one.
    configure_own(&cluster.replicas[0], "app.named", "b");
    let named = "SELECT canary FROM shown WHERE tenant = current_setting('app.named', true)";
    watched.beside().rows("CREATE TABLE shown AS TABLE docs; GRANT SELECT ON shown TO solo");
    watched.hear();
    for _ in 0..3 {
        assert_eq!(text(&client.rows(&routed(named))), "");
        assert_eq!(text(&client.rows(named)), "");
    }
}
