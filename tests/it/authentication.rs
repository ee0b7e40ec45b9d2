//! Who is let in: as PostgreSQL itself would, by what the primary keeps, within the bound that is configured.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::postgres::hand_over;
use crate::harness::process::Signal;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use crate::harness::wire::{Login, Wire, WireError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What an owner sets up so that Sidecache's own user, who is no superuser, can look secrets up.
const LOOKUP: &str = "CREATE SCHEMA sidecache_auth;
    CREATE FUNCTION sidecache_auth.secret_of(who name, OUT usename name, OUT passwd text) RETURNS SETOF record
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
        AS 'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = who AND rolcanlogin';
    REVOKE ALL ON FUNCTION sidecache_auth.secret_of(name) FROM PUBLIC;
    GRANT USAGE ON SCHEMA sidecache_auth TO sidecache;
    GRANT EXECUTE ON FUNCTION sidecache_auth.secret_of(name) TO sidecache";
const QUERY: &str = "SELECT usename, passwd FROM sidecache_auth.secret_of($1)";

/// A database with the lookup function, and a role of this name with its name for a password.
fn prepared(role: &str) -> (&'static Cluster, String) {
    let cluster = Cluster::shared();
    let database = cluster.database(role);
    cluster.primary.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'"));
    cluster.primary.connect_to(&database).rows(LOOKUP);
    (cluster, database)
}

/// One that knows nobody but its own user by itself, and asks the primary for the others.
fn asking(cluster: &Cluster, database: &str, refresh: &str) -> SidecacheBuilder {
    let builder = Sidecache::build(cluster, database).no_replicas().users("sidecache:sidecache");
    builder.flag("--auth-query", QUERY).flag("--auth-refresh", refresh)
}

fn with_password(sidecache: &Sidecache, user: &str, password: &str) -> Result<Wire, WireError> {
    Wire::connect(&Login { password: password.to_owned(), ..sidecache.login(user) })
}

/// SQLSTATE and message of a refusal; nothing if the client is let in.
fn refusal(outcome: Result<Wire, WireError>) -> Option<(String, String)> {
    match outcome {
        Ok(_) => None,
        Err(WireError::Refused(frame)) => Some((frame.field(b'C')?, frame.field(b'M')?)),
        Err(other) => panic!("{other:?}"),
    }
}

fn wrong_password(user: &str) -> Option<(String, String)> {
    Some(("28P01".to_owned(), format!("password authentication failed for user \"{user}\"")))
}

/// Only the primary keeps the secret; the client's proof is enough to log in there as that user. A name is data, and what
/// stands in schemas that anyone can write to is not looked at (CVE-2025-12819).
#[test]
fn r25_auth_query_lets_in_whom_the_primary_knows() {
    let (cluster, database) = prepared("carol");
    cluster.connect("app", &database).rows(
        "CREATE FUNCTION public.secret_of(name, OUT usename name, OUT passwd text) LANGUAGE sql AS 'SELECT $1, null::text'",
    );
    let sidecache = asking(cluster, &database, "1h").start();
    assert_eq!(sidecache.connect("carol").value("SELECT current_user"), "carol");
    assert_eq!(refusal(with_password(&sidecache, "carol", "carols")), wrong_password("carol"));
    for nobody in ["nobody_of_that_name", "x' OR true --", "$1", "pg_read_all_data"] {
        assert_eq!(refusal(sidecache.try_connect(nobody)), wrong_password(nobody));
    }
    let elsewhere = sidecache.login("carol").with("options", "-c search_path=public");
    assert_eq!(Wire::connect(&elsewhere).expect("a setting of hers").value("SHOW search_path"), "public");
    assert!(sidecache.metric("sidecache_clients_refused_total", &[("reason", "authentication")]) >= 5.0);
}

/// A changed password works at once for who fails with the old secret, and nobody is let in by what the primary no longer takes.
#[test]
fn a_changed_password_is_learned_from_a_failed_proof() {
    let (cluster, database) = prepared("dora");
    let sidecache = asking(cluster, &database, "1h").start();
    let mut warm = sidecache.connect("dora");
    assert_eq!(warm.value("SELECT 1"), "1");
    cluster.primary.sql("ALTER ROLE dora PASSWORD 'changed'");
    assert_eq!(refusal(with_password(&sidecache, "dora", "changed")), wrong_password("dora"));
    assert_eq!(refusal(with_password(&sidecache, "dora", "changed")), None);
    assert_eq!(refusal(with_password(&sidecache, "dora", "dora")), wrong_password("dora"));
    assert_eq!(warm.value("SELECT 2"), "2", "who is in stays in, as with PostgreSQL");
}

/// What the primary refuses is refused within the bound, though connections of that user stand idle in the pool
/// (CVE-2025-2291, CVE-2025-46801): to users of the file and of the query alike.
#[test]
fn what_the_primary_refuses_is_refused_however_warm_the_pool_is() {
    let (cluster, database) = prepared("erna");
    let refresh = "200ms";
    let of_file = Sidecache::build(cluster, &database).no_replicas().users("sidecache:sidecache\nerna:erna");
    for builder in [of_file.flag("--auth-refresh", refresh), asking(cluster, &database, refresh)] {
        let sidecache = builder.start();
        let mut warm = sidecache.connect("erna");
        for (change, undo, sqlstate) in [
            ("VALID UNTIL '2001-01-01'", "VALID UNTIL 'infinity'", "28P01"),
            ("NOLOGIN", "LOGIN", "28000"),
            ("PASSWORD 'other'", "PASSWORD 'erna'", "28P01"),
        ] {
            eventually("erna to be let in", || sidecache.try_connect("erna").ok());
            cluster.primary.sql(&format!("ALTER ROLE erna {change}"));
            let (told, _) = eventually(change, || refusal(sidecache.try_connect("erna")));
            // The query of this test knows nobody who may not log in.
            assert!(told == sqlstate || (change == "NOLOGIN" && told == "28P01"), "{change}: {told}");
            assert_eq!(warm.value("SELECT 1"), "1");
            cluster.primary.sql(&format!("ALTER ROLE erna {undo}"));
        }
        eventually("erna to be let in", || sidecache.try_connect("erna").ok());
    }
}

/// CONNECTION LIMIT binds what the pool opens; clients beyond it share.
#[test]
fn a_connection_limit_binds_the_pool_and_not_its_clients() {
    let (cluster, database) = prepared("frieda");
    cluster.primary.sql("ALTER ROLE frieda CONNECTION LIMIT 1");
    let sidecache = asking(cluster, &database, "1ms").start();
    let mut clients: Vec<Wire> = (0..3).map(|_| sidecache.connect("frieda")).collect();
    for client in &mut clients {
        assert_eq!(client.value("SELECT current_user"), "frieda");
    }
    assert_eq!(cluster.primary.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'frieda'"), "1");
}

/// A role whose CONNECTION LIMIT the pool has filled still has to be let into the database, as over a connection of its own.
#[test]
fn r25_a_full_role_that_may_not_connect_is_kept_out() {
    let (cluster, database) = prepared("wanda");
    cluster.primary.sql("ALTER ROLE wanda CONNECTION LIMIT 1");
    let other = cluster.database("wanda_other");
    let sidecache = asking(cluster, &database, "1ms").start();
    let into = |port: u16, database: &str| {
        let login = Login { port, database: database.to_owned(), ..sidecache.login("wanda") };
        Wire::connect(&login)
    };
    for (database, change, undo) in [
        (&other, "REVOKE CONNECT ON DATABASE {} FROM PUBLIC", "GRANT CONNECT ON DATABASE {} TO PUBLIC"),
        (&other, "ALTER DATABASE {} ALLOW_CONNECTIONS false", "ALTER DATABASE {} ALLOW_CONNECTIONS true"),
        (&database, "REVOKE CONNECT ON DATABASE {} FROM PUBLIC", "GRANT CONNECT ON DATABASE {} TO PUBLIC"),
    ] {
        let mut inside = eventually("wanda to be let in", || into(sidecache.port(), database).ok());
        assert_eq!(inside.value("SELECT current_database()"), **database);
        assert_eq!(refusal(into(sidecache.port(), database)), None, "she shares her connection");
        cluster.primary.sql("GRANT CONNECT ON DATABASE postgres TO sidecache");
        cluster.primary.sql(&format!("GRANT CONNECT ON DATABASE \"{database}\" TO sidecache"));
        cluster.primary.sql(&change.replace("{}", &format!("\"{database}\"")));
        let told = refusal(into(sidecache.port(), database));
        cluster.primary.sql("ALTER ROLE wanda CONNECTION LIMIT -1");
        assert_eq!(told, refusal(into(cluster.primary.port, database)), "{change}");
        assert!(told.is_some(), "{change}");
        cluster.primary.sql("ALTER ROLE wanda CONNECTION LIMIT 1");
        cluster.primary.sql(&undo.replace("{}", &format!("\"{database}\"")));
        assert_eq!(inside.value("SELECT 1"), "1", "who is in stays in");
        let of_hers = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'wanda'";
        cluster.primary.sql(of_hers);
    }
}

/// However many clients give up while `auth_query` hangs, one question waits on the primary; and its answer counts.
#[test]
fn r25_questions_whose_askers_have_gone_do_not_pile_up() {
    let (cluster, database) = prepared("irma");
    cluster.primary.connect_to(&database).rows(
        "CREATE TABLE public.secrets AS SELECT rolname, rolpassword FROM pg_authid WHERE rolname = 'irma';
        GRANT SELECT ON public.secrets TO sidecache",
    );
    let sidecache = Sidecache::build(cluster, &database)
        .no_replicas()
        .cache("off")
        .users("sidecache:sidecache")
        .flag("--auth-query", "SELECT rolname, rolpassword FROM public.secrets WHERE rolname = $1")
        .flag("--auth-timeout", "200ms")
        .start();
    let mut locker = cluster.primary.connect_to(&database);
    locker.rows("BEGIN");
    locker.rows("LOCK TABLE public.secrets");
    for _ in 0..5 {
        let told = refusal(sidecache.try_connect("irma")).map(|(sqlstate, _)| sqlstate);
        assert_eq!(told.as_deref(), Some("57014"));
    }
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE '%FROM public.secrets%' AND wait_event_type = 'Lock'"
    );
    assert_eq!(cluster.primary.value(&waiting), "1");
    locker.rows("ROLLBACK");
    eventually("irma to be let in", || sidecache.try_connect("irma").ok());
}

/// A primary that cannot be asked lets nobody in, and says so; the cause is in the log.
#[test]
fn an_auth_query_that_fails_lets_nobody_in() {
    let (cluster, database) = prepared("greta");
    let sidecache = Sidecache::build(cluster, &database)
        .no_replicas()
        .users("sidecache:sidecache")
        .flag("--auth-query", "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1")
        .start();
    assert_eq!(refusal(sidecache.try_connect("greta")).map(|(sqlstate, _)| sqlstate).as_deref(), Some("08006"));
    assert_eq!(refusal(sidecache.try_connect("sidecache")), None, "who is in the file is not asked for");
    assert!(sidecache.log().contains("permission denied for table pg_authid"), "{}", sidecache.log());
}

/// `check` asks it once, for Sidecache's own user, and says what does not fit.
#[test]
fn check_tries_the_auth_query() {
    let (cluster, database) = prepared("gustav");
    let check = |query: &str| {
        let build = Sidecache::build(cluster, &database).no_replicas().cache("off").flag("--auth-query", query);
        let (status, out, err) = build.run("check", &[]);
        let line =
            out.lines().find(|line| line.contains("auth_query")).unwrap_or_else(|| panic!("{query}: {out}{err}"));
        assert_eq!(status.success(), line.starts_with("ok "), "{query}: {out}{err}");
        assert!(!out.contains("SCRAM-SHA-256$"), "{out}");
        out
    };
    assert!(check(QUERY).contains("ok    auth_query"));
    assert!(check("SELECT NULL, NULL WHERE $1 = 'nobody'").contains("ok    auth_query"));
    for (query, says) in [
        ("SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1", "permission denied"),
        ("SELECT usename, passwd FROM secret_of($1)", "does not exist"),
        ("SELECT passwd FROM sidecache_auth.secret_of($1)", "1 columns, not name and secret"),
        ("SELECT passwd, usename FROM sidecache_auth.secret_of($1)", "another user than was asked for"),
        ("SELECT usename, 'plain' FROM sidecache_auth.secret_of($1)", "neither a SCRAM secret nor an md5 hash"),
        ("SELECT usename, passwd FROM sidecache_auth.secret_of($1), generate_series(1, 2)", "2 rows for one user"),
    ] {
        let out = check(query);
        assert!(out.contains(says), "{query}: {out}");
    }
}

/// Passwords and secrets are nowhere in what Sidecache says, at whatever level it logs.
#[test]
fn secrets_reach_no_log_metric_or_error() {
    let (cluster, database) = prepared("hilde");
    let canary = "canary-7f3a9c";
    cluster.primary.sql(&format!("ALTER ROLE hilde PASSWORD '{canary}'"));
    let secret = cluster.primary.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'hilde'");
    let sidecache = asking(cluster, &database, "1h")
        .users(&format!("sidecache:sidecache\nida:{canary}"))
        .flag("--log-level", "trace")
        .start();
    let mut client = with_password(&sidecache, "hilde", canary).expect("her password");
    assert_eq!(client.value("SELECT current_user"), "hilde");
    let mut said = vec![sidecache.log(), sidecache.metrics(), sidecache.status().to_string()];
    for (user, password) in [("hilde", "wrong"), ("ida", "wrong"), ("ida", canary)] {
        let refused = refusal(with_password(&sidecache, user, password)).expect("no such password, no such role");
        said.push(format!("{refused:?}"));
    }
    said.push(sidecache.log());
    let keys: Vec<&str> = secret.split(['$', ':']).filter(|part| part.len() > 20).collect();
    assert_eq!(keys.len(), 3, "salt, StoredKey, ServerKey");
    for text in &said {
        assert!(!text.contains(canary), "{text}");
        assert!(keys.iter().all(|key| !text.contains(key)), "{text}");
    }
    assert!(said[0].contains("a client has connected"), "it does log all");
}

/// A certificate of its own and its key, in this directory.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("our own directory");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("our own directory");
    (certificate, key)
}

/// libpq that insists on channel binding connects, by password and by keys; what PostgreSQL with TLS is shown is bound to its
/// certificate, which it would refuse otherwise.
#[test]
fn r25_channel_binding_holds_on_both_sides() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("our own directory");
    let (own, theirs) = (directory.path().join("own"), directory.path().join("theirs"));
    std::fs::create_dir(&own).expect("our own directory");
    std::fs::create_dir(&theirs).expect("our own directory");
    let (server_certificate, server_key) = certificate(&theirs);
    std::fs::set_permissions(&server_key, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    hand_over(&server_key);
    let cluster = Cluster::build()
        .replicas(0)
        .setting("ssl = on")
        .setting(&format!("ssl_cert_file = '{}'", server_certificate.display()))
        .setting(&format!("ssl_key_file = '{}'", server_key.display()))
        .start();
    let database = cluster.database("bound");
    let secret = cluster.primary.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'");
    let (own_certificate, own_key) = certificate(&own);
    for users in [format!("app:{secret}"), "app:app".to_owned()] {
        let sidecache = Sidecache::build(&cluster, &database)
            // Our own connections, the stream among them, would not be made otherwise.
            .primary(&format!(
                "{}?sslmode=require&channel_binding=require",
                cluster.primary_url("sidecache", &database)
            ))
            .users(&users)
            .flag("--tls-certificate", own_certificate.to_str().expect("a plain path"))
            .flag("--tls-key", own_key.to_str().expect("a plain path"))
            .start();
        let psql = |more: &str| {
            let mut command = cluster.program("psql");
            let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            command.env("HOME", "/nonexistent");
            command.args(["-XAtc", sql, &format!("{}?sslmode=require&{more}", sidecache.url("app"))]);
            let output = command.output().expect("psql runs");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
        };
        assert_eq!(psql("channel_binding=require"), "t");
        assert_eq!(psql("channel_binding=disable"), "t");
        sidecache.await_stream(&cluster);
        // Without TLS nothing is offered that could not be kept.
        assert_eq!(refusal(sidecache.try_connect("app")), None);
    }
}

/// A PostgreSQL whose certificate is signed by Ed25519 offers channel binding all the same, and libpq refuses to go without unless it is told
/// to: so do our own connections and the clients'.
#[test]
fn r25_a_servers_certificate_that_names_no_hash_does_as_with_libpq() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("our own directory");
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let made = CertificateParams::new(["localhost".to_owned()]).expect("a name").self_signed(&key);
    let (shown, secret) = (directory.path().join("server.crt"), directory.path().join("server.key"));
    std::fs::write(&shown, made.expect("a certificate").pem()).expect("our own directory");
    // Without the public half, which is the form that OpenSSL reads.
    let der = [b"\x30\x2e\x02\x01\0", &key.serialize_der()[5..48]].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    std::fs::write(&secret, pem).expect("our own directory");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    hand_over(&secret);
    let cluster = Cluster::build()
        .replicas(0)
        .setting("ssl = on")
        .setting(&format!("ssl_cert_file = '{}'", shown.display()))
        .setting(&format!("ssl_key_file = '{}'", secret.display()))
        .start();
    let database = cluster.database("hashless");
    for (ssl_mode, binding, works) in
        [("require", "disable", true), ("require", "prefer", false), ("prefer", "prefer", false)]
    {
        let url =
            |user| format!("{}?sslmode={ssl_mode}&channel_binding={binding}", cluster.primary_url(user, &database));
        if ssl_mode == "require" {
            let mut psql = cluster.program("psql");
            psql.env("HOME", "/nonexistent").args(["-XAtc", "SELECT 1", &url("app")]);
            let output = psql.output().expect("psql runs");
            assert_eq!(output.status.success(), works, "{binding}: {output:?}");
        }
        let build = Sidecache::build(&cluster, &database).primary(&url("sidecache"));
        let (_, out, _) = build.run("check", &[]);
        assert_eq!(out.contains("ok    primary"), works, "{ssl_mode}, {binding}: {out}");
        assert_eq!(out.contains("channel_binding=disable goes without"), !works, "{ssl_mode}, {binding}: {out}");
        let sidecache = build.spawn();
        let told = eventually("an answer", || match sidecache.try_connect("app") {
            Err(WireError::Io(_)) => None,
            outcome => Some(refusal(outcome)),
        });
        let says = told.as_ref().map(|(sqlstate, text)| (sqlstate.as_str(), text.contains("channel_binding=disable")));
        assert_eq!(says, (!works).then_some(("28000", true)), "{ssl_mode}, {binding}: {told:?}");
    }
}

/// What cannot be bound is not logged in to where that is required, by none of our connections.
#[test]
fn r25_channel_binding_that_cannot_be_had_is_said() {
    let cluster = Cluster::shared();
    let database = cluster.database("unbound");
    let url = format!("{}?sslmode=prefer&channel_binding=require", cluster.primary_url("sidecache", &database));
    let build = Sidecache::build(cluster, &database).no_replicas().primary(&url);
    let (status, out, _) = build.run("check", &[]);
    assert_eq!(status.code(), Some(1), "{out}");
    assert!(out.contains("FAIL  primary") && out.contains("channel binding"), "{out}");
    let mut sidecache = build.spawn();
    let told = eventually("a refusal", || match sidecache.try_connect("app") {
        Err(WireError::Io(_)) => None,
        outcome => refusal(outcome),
    });
    assert!(told.0 == "28000" && told.1.contains("channel binding is required"), "{told:?}");
    assert!(sidecache.ended().is_none());
}

/// While the primary is gone, a replica's word counts: clients are let in and out as before, and read.
#[test]
fn replicas_tell_who_may_log_in_while_the_primary_is_gone() {
    let mut cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("gone");
    cluster.connect("app", &database).rows("CREATE TABLE t AS SELECT 1 AS x");
    cluster.catch_up();
    let sidecache =
        Sidecache::build(&cluster, &database).flag("--auth-refresh", "1ms").flag("--staleness", "1h").start();
    sidecache.await_stream(&cluster);
    let read = "SELECT x FROM t";
    eventually("the replica to be read", || {
        sidecache.connect("app").value(read);
        (sidecache.metric("sidecache_requests_total", &[("destination", "replica")]) > 0.0).then_some(())
    });
    cluster.primary.stop(Signal::QUIT);
    sidecache.connect("app").value(read);
    assert_eq!(refusal(with_password(&sidecache, "app", "wrong")), wrong_password("app"));
    cluster.replicas[0].stop(Signal::QUIT);
    let nobody = refusal(sidecache.try_connect("app")).map(|(sqlstate, _)| sqlstate);
    assert_eq!(nobody.as_deref(), Some("08006"), "nobody is left to ask");
}
