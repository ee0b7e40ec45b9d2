//! Ways to prove oneself other than SCRAM, where they are configured: PostgreSQL's `md5`, and none at all.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Login, Wire, WireError};
use crate::twins::told;
use std::io::{Read, Write};
use std::net::TcpStream;

/// The kind of proof that is asked of this user: 5 for MD5, 10 for SASL, 0 for none.
fn asked(port: u16, user: &str, database: &str) -> u8 {
    let mut startup = 196_608_u32.to_be_bytes().to_vec();
    startup.extend(format!("user\0{user}\0database\0{database}\0\0").bytes());
    let length = u32::try_from(startup.len() + 4).expect("short").to_be_bytes();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.write_all(&[&length[..], &startup].concat()).expect("a connection that lives");
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).expect("a request for a proof");
    assert_eq!(answer[0], b'R', "{answer:?}");
    answer[8]
}

fn refusal(outcome: Result<Wire, WireError>) -> Option<Vec<String>> {
    match outcome {
        Ok(_) => None,
        Err(WireError::Refused(frame)) => Some(told(&[frame])),
        Err(other) => panic!("{other:?}"),
    }
}

/// A cluster whose rules say `md5`, and of whose roles `old` has an md5 hash.
fn old_cluster() -> Cluster {
    let cluster = Cluster::build().replicas(0).start();
    let rules = "local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 md5\nhost replication all 127.0.0.1/32 md5\n";
    std::fs::write(cluster.primary.data().join("pg_hba.conf"), rules).expect("our own file");
    let mut admin = cluster.primary.connect();
    admin.rows("SET password_encryption = 'md5'");
    admin.rows("CREATE ROLE old LOGIN PASSWORD 'old'");
    admin.rows("SELECT pg_reload_conf()");
    eventually("the rules to be read", || Wire::connect(&cluster.login("old", "postgres")).ok());
    cluster
}

/// By password, hash or SCRAM secret, from the file or by `auth_query`: asked as by PostgreSQL, answered as by PostgreSQL, and logged in
/// upstream with what is known. What the primary changes counts in time, as does another hash in the file.
#[test]
fn md5_is_asked_for_where_it_is_configured() {
    let cluster = old_cluster();
    let database = cluster.database("old");
    let secret_of =
        |role: &str| cluster.primary.value(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'"));
    let (hash, secret) = (secret_of("old"), secret_of("solo"));
    assert!(hash.starts_with("md5"), "{hash}");
    cluster.primary.connect_to(&database).rows(
        "CREATE FUNCTION public.secret_of(who name, OUT usename name, OUT passwd text) RETURNS SETOF record
            LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
            AS $$SELECT rolname, rolpassword FROM pg_authid WHERE rolname = who$$",
    );
    let build = || Sidecache::build(&cluster, &database).flag("--auth-method", "md5").flag("--auth-refresh", "100ms");
    let of_file = build().users(&format!("sidecache:sidecache\napp:app\nold:{hash}\nsolo:{secret}"));
    let asking = build().users("sidecache:sidecache\napp:app");
    let asking = asking.flag("--auth-query", "SELECT usename, passwd FROM public.secret_of($1)");
    for sidecache in [of_file.start(), asking.start()] {
        let wrong = |port: u16, user: &str| {
            let login = Login { password: "wrong".to_owned(), port, ..sidecache.login(user) };
            refusal(Wire::connect(&login))
        };
        for (user, kind) in [("old", 5), ("app", 5), ("solo", 10), ("nobody", 5)] {
            assert_eq!(asked(sidecache.port(), user, &database), kind, "{user}");
            assert_eq!(wrong(sidecache.port(), user), wrong(cluster.primary.port, user), "{user}");
            if user != "nobody" {
                assert_eq!(sidecache.connect(user).value("SELECT current_user"), user);
            }
        }
        for (change, undo) in [("VALID UNTIL '2001-01-01'", "VALID UNTIL 'infinity'"), ("NOLOGIN", "LOGIN")] {
            let mut inside = sidecache.connect("old");
            cluster.primary.sql(&format!("ALTER ROLE old {change}"));
            let told = eventually(change, || refusal(sidecache.try_connect("old")));
            assert_eq!(Some(told), refusal(Wire::connect(&cluster.login("old", &database))), "{change}");
            assert_eq!(inside.value("SELECT 1"), "1", "who is in stays in");
            cluster.primary.sql(&format!("ALTER ROLE old {undo}"));
            eventually(undo, || sidecache.try_connect("old").ok());
        }
    }
    a_changed_password_counts(&cluster, &database, &hash);
}

/// A password changed on the primary is refused in time; once the file has its hash as well, the new one lets in.
fn a_changed_password_counts(cluster: &Cluster, database: &str, hash: &str) {
    let build = Sidecache::build(cluster, database).flag("--auth-method", "md5").flag("--auth-refresh", "100ms");
    let sidecache = build.users(&format!("sidecache:sidecache\nold:{hash}")).start();
    assert_eq!(sidecache.connect("old").value("SELECT 1"), "1");
    cluster.primary.connect().rows("SET password_encryption = 'md5'; ALTER ROLE old PASSWORD 'new'");
    eventually("the old password to be refused", || refusal(sidecache.try_connect("old")));
    let new = Login { password: "new".to_owned(), ..sidecache.login("old") };
    assert!(Wire::connect(&new).is_err(), "the file does not know it yet");
    let hash = cluster.primary.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'old'");
    sidecache.rewrite("users", &format!("sidecache:sidecache\nold:{hash}\n"));
    sidecache.reload("the new hash", |reload| reload["done"] == 1);
    assert_eq!(Wire::connect(&new).expect("its new password").value("SELECT 1"), "1");
    assert!(refusal(sidecache.try_connect("old")).is_some());
}

/// Trust asks for nothing and still lets in nobody but users who may connect; who cannot log in upstream is told why.
#[test]
fn trust_is_for_those_who_may_connect() {
    let cluster = Cluster::shared();
    let database = cluster.database("trusted");
    let secret = cluster.primary.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'solo'");
    let build = || Sidecache::build(cluster, &database).no_replicas().flag("--auth-method", "trust");
    let sidecache = build().users(&format!("sidecache:sidecache\napp:app\nsolo:{secret}")).start();
    assert_eq!(asked(sidecache.port(), "app", &database), 0);
    assert_eq!(sidecache.connect("app").value("SELECT current_user"), "app");
    let told = |user: &str| refusal(sidecache.try_connect(user)).expect("not let in").remove(0);
    assert!(
        told("nobody").contains("C 28000; M \"trust\" authentication failed for user \"nobody\""),
        "{}",
        told("nobody")
    );
    assert!(told("solo").contains("C 28000; M the server asks for a password"), "{}", told("solo"));
    let (status, _, err) = build().flag("--listen", "0.0.0.0:6432").run("serve", &[]);
    assert_eq!(status.code(), Some(64), "{err}");
    assert!(err.contains("auth_method = \"trust\"") && err.contains("auth_trust_any_address"), "{err}");
    let (_, out, _) = build().run("check", &[]);
    assert!(out.contains("warn  auth_method is trust"), "{out}");
}
