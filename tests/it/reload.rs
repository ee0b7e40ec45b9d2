//! SIGHUP: what may change while the process runs does, what may not is named, and what cannot be used changes nothing.

use super::operating::{Certificates, psql, refusal};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::process::Scratch;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Login, Wire};

/// Users come and go, limits widen for those who wait already, and more is logged; sessions live on.
#[test]
fn a_reload_changes_users_limits_and_logs_under_living_sessions() {
    let cluster = Cluster::shared();
    let database = cluster.database("reload_live");
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off");
    let sidecache = build
        .users("app:app\nsidecache:sidecache")
        .flag("--admin-user", "sidecache")
        .config("pool_size = 1\npool_timeout = '1h'\nmax_clients = 2")
        .start();
    assert_eq!(refusal(sidecache.try_connect("solo")), "28P01");
    let (mut first, mut second) = (sidecache.connect("app"), sidecache.connect("app"));
    assert_eq!(refusal(sidecache.try_connect("app")), "53300");
    first.rows("BEGIN");
    first.rows("SAVEPOINT here");
    second.send(&Batch::new().query("SELECT 'in'")).expect("a connection that lives");
    let console = Login { database: "sidecache".to_owned(), ..sidecache.login("sidecache") };
    let mut operator = Wire::connect(&console).expect("an operator");
    eventually("it to wait", || {
        operator.rows("SHOW CLIENTS").iter().any(|row| row[3].as_deref() == Some("waiting")).then_some(())
    });
    sidecache.rewrite("users", "solo:solo");
    sidecache.rewrite("config.toml", "pool_size = 2\npool_timeout = '1h'\nlog_level = 'debug'\nmemory = '1GiB'");
    let status = sidecache.reload("a reload", |reload| reload["done"] == 1);
    assert_eq!(status["reload"]["restart_needed"], serde_json::json!(["memory"]), "{status:#}");
    let frames = second.read_until_ready().expect("the pool has grown");
    assert_eq!(frames[1].columns()[0].as_deref(), Some(&b"in"[..]), "{frames:?}");
    first.rows("COMMIT");
    assert_eq!(first.value("SELECT 1"), "1", "who is in stays in");
    assert_eq!(refusal(sidecache.try_connect("app")), "28P01");
    assert_eq!(sidecache.connect("solo").value("SELECT session_user"), "solo");
    let log = sidecache.log();
    assert!(log.contains("these settings count after a restart only settings=\"memory\""), "{log}");
    drop(first);
    eventually("finer lines", || sidecache.log().contains("DEBUG").then_some(()));
}

/// What cannot be used leaves everything as it was, whichever source is wrong, and is said in the log and in `/status`.
#[test]
fn a_bad_reload_leaves_the_old_settings_and_says_why() {
    let cluster = Cluster::shared();
    let database = cluster.database("reload_bad");
    let good = "max_clients = 1";
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off");
    let mut sidecache = build.users("app:app").config(good).start();
    for (config, users, says) in [
        ("max_clients = 'many'", "solo:solo", "max_clients"),
        ("max_client = 5", "solo:solo", "max_client "),
        ("log_level = 'loud'\nmax_clients = 5", "solo:solo", "log_level"),
        ("tls_certificate = '/dev/null'\ntls_key = '/dev/null'\nmax_clients = 5", "solo:solo", "tls_certificate"),
        ("max_clients = 5", "solo", "line 1: not user:password"),
    ] {
        sidecache.rewrite("config.toml", config);
        sidecache.rewrite("users", users);
        let status =
            sidecache.reload(says, |reload| reload["error"].as_str().is_some_and(|error| error.contains(says)));
        assert_eq!(status["reload"]["done"], 0, "{status:#}");
        let mut client = sidecache.connect("app");
        assert_eq!(client.value("SELECT 1"), "1");
        assert_eq!(refusal(sidecache.try_connect("app")), "53300", "{says}");
        drop(client);
        eventually("the seat to be free", || sidecache.try_connect("app").ok());
    }
    let log = sidecache.log();
    assert!(log.contains("everything stays as it is") && !log.contains("solo:solo"), "{log}");
    sidecache.rewrite("config.toml", good);
    sidecache.rewrite("users", "app:app");
    let status = sidecache.reload("a good one", |reload| reload["done"] == 1);
    assert!(status["reload"]["error"].is_null(), "{status:#}");
    assert!(sidecache.ended().is_none());
}

/// Who may log in follows the settings in force: what is read at the start only lets nobody in, and keeps nobody out, before that.
#[test]
fn r25_a_reload_holds_users_to_the_settings_in_force() {
    let cluster = Cluster::shared();
    let database = cluster.database("reload_in_force");
    let of_url = |user: &str| format!("primary = '{}'", cluster.primary_url(user, &database));
    let build = || Sidecache::build(cluster, &database).no_replicas().cache("off");
    let sidecache = build().alone(cluster, "app").primary_of_file().config(&of_url("app")).start();
    sidecache.rewrite("config.toml", &of_url("solo"));
    let status = sidecache.reload("another primary's user", |reload| reload["done"] == 1);
    assert_eq!(status["reload"]["restart_needed"], serde_json::json!(["primary"]), "{status:#}");
    assert_eq!(sidecache.connect("app").value("SELECT current_user"), "app");
    assert_eq!(refusal(sidecache.try_connect("solo")), "28P01");

    let sidecache = build().users("app:app").config("auth_method = 'scram'").start();
    sidecache.rewrite("config.toml", "auth_method = 'md5'");
    sidecache.rewrite("users", "app:app\nsolo:md50123456789abcdef0123456789abcdef");
    let says = "line 2: gives an md5 hash";
    let status = sidecache.reload(says, |reload| reload["error"].as_str().is_some_and(|error| error.contains(says)));
    assert_eq!(status["reload"]["done"], 0, "{status:#}");
    assert_eq!(sidecache.connect("app").value("SELECT current_user"), "app");
}

/// Where nobody proves anything, a users file that comes with a reload says who may connect, and one that goes no longer does.
#[test]
fn r25_a_users_file_that_comes_with_a_reload_keeps_others_out() {
    let cluster = Cluster::shared();
    let database = cluster.database("reload_trust");
    let files = Scratch::new();
    let listed = files.path().join("listed");
    std::fs::write(&listed, "solo:solo\n").expect("our own directory");
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off").alone(cluster, "app");
    let sidecache = build.config("auth_method = 'trust'").start();
    assert_eq!(sidecache.connect("app").value("SELECT current_user"), "app");
    sidecache.rewrite("config.toml", &format!("auth_method = 'trust'\nusers = '{}'", listed.display()));
    sidecache.reload("a users file", |reload| reload["done"] == 1);
    assert_eq!(refusal(sidecache.try_connect("app")), "28000");
    assert_eq!(sidecache.connect("solo").value("SELECT current_user"), "solo");
    sidecache.rewrite("config.toml", "auth_method = 'trust'");
    sidecache.reload("no users file", |reload| reload["done"] == 2);
    assert_eq!(sidecache.connect("app").value("SELECT current_user"), "app");
    assert_eq!(refusal(sidecache.try_connect("solo")), "28000");
}

/// A certificate that was renewed is shown to who connects from then on; who is in stays in.
#[test]
fn a_renewed_certificate_is_shown_after_a_reload() {
    let cluster = Cluster::shared();
    let (old, new) = (Certificates::for_name("localhost"), Certificates::for_name("localhost"));
    let sidecache = Sidecache::build(cluster, "shop")
        .flag("--tls-certificate", &old.text("server.crt"))
        .flag("--tls-key", &old.text("server.key"))
        .start();
    let verify = |by: &Certificates| {
        psql(cluster, &sidecache, "localhost", &format!("sslmode=verify-full sslrootcert={}", by.text("ca.crt")))
    };
    assert_eq!(verify(&old), Ok("42".to_owned()));
    assert!(verify(&new).is_err());
    let mut inside = sidecache.connect("app");
    for name in ["server.crt", "server.key"] {
        std::fs::copy(new.path(name), old.path(name)).expect("our own directories");
    }
    sidecache.reload("a reload", |reload| reload["done"] == 1);
    assert_eq!(verify(&new), Ok("42".to_owned()));
    assert!(verify(&old).is_err());
    assert_eq!(inside.value("SELECT 1"), "1");
}
