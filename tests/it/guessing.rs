//! Who guesses passwords is slowed, and nobody else: neither other clients nor the primary pays for it.

use crate::harness::cluster::Cluster;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Login, Wire, WireError};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A connection from this address of the machine's own.
fn from(address: [u8; 4], port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("every address of 127/8 is our own");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("somebody listens");
    socket.into()
}

fn fails(outcome: Result<Wire, WireError>) {
    assert_eq!(outcome.err().and_then(|error| error.sqlstate()).as_deref(), Some("28P01"));
}

/// A client that says who it is, and no more.
fn knock(sidecache: &Sidecache, user: &str, database: &str) -> TcpStream {
    let mut startup = 196_608_u32.to_be_bytes().to_vec();
    startup.extend(format!("user\0{user}\0database\0{database}\0\0").bytes());
    let length = u32::try_from(startup.len() + 4).expect("short").to_be_bytes();
    let mut stream = from([127, 0, 0, 1], sidecache.port());
    stream.write_all(&[&length[..], &startup].concat()).expect("a connection that lives");
    stream
}

/// After a few wrong passwords the next attempt of that user and address waits; another address, and another user, does not. What
/// failed is counted by reason and logged without secrets.
#[test]
fn r25_failed_proofs_slow_their_own_address_and_user_alone() {
    let cluster = Cluster::shared();
    let database = cluster.database("guessing");
    let sidecache = Sidecache::build(cluster, &database)
        .no_replicas()
        .flag("--auth-failure-delay", "1h")
        .flag("--auth-timeout", "3h")
        .start();
    let wrong = Login { password: "hunter2".to_owned(), ..sidecache.login("app") };
    // The last of these waits for four seconds, the next for eight.
    for _ in 0..10 {
        fails(Wire::connect(&wrong));
    }
    let mut slowed = knock(&sidecache, "app", &database);
    let other_address = Wire::over(from([127, 0, 0, 2], sidecache.port()), 0, &sidecache.login("app"));
    assert_eq!(other_address.expect("the right password").value("SELECT 1"), "1");
    fails(Wire::connect(&Login { user: "nobody".to_owned(), ..wrong.clone() }));
    assert_eq!(sidecache.connect("solo").value("SELECT 1"), "1");
    slowed.set_nonblocking(true).expect("it lives");
    let early = slowed.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(ErrorKind::WouldBlock), "it was asked for its proof at once");
    slowed.set_nonblocking(false).expect("it lives");
    slowed.read_exact(&mut [0; 9]).expect("it is asked in the end");
    let failures = |reason| sidecache.metric("sidecache_authentication_failures_total", &[("reason", reason)]);
    assert_eq!((failures("wrong_password"), failures("unknown_user")), (10.0, 1.0));
    let log = sidecache.log();
    assert!(log.contains("reason=\"unknown_user\"") && !log.contains("hunter2"), "{log}");
}

/// Once its turn has come the right password lets in, and what failed before is forgotten.
#[test]
fn r25_who_knows_the_password_is_let_in_however_often_others_failed() {
    let cluster = Cluster::shared();
    let database = cluster.database("guessed");
    let build = Sidecache::build(cluster, &database).no_replicas();
    let sidecache = build.flag("--auth-failure-delay", "1ms").start();
    let wrong = Login { password: "wrong".to_owned(), ..sidecache.login("app") };
    for _ in 0..30 {
        fails(Wire::connect(&wrong));
    }
    for _ in 0..3 {
        assert_eq!(sidecache.connect("app").value("SELECT 1"), "1");
    }
}

/// Who fails for names that nobody has, and then only knocks, keeps nobody out who knows a password, wherever he comes from: neither
/// who was let in from there before nor who was not.
#[test]
fn r25_who_has_no_password_locks_nobody_out() {
    let cluster = Cluster::shared();
    let database = cluster.database("locked_out");
    let sidecache = Sidecache::build(cluster, &database)
        .no_replicas()
        .flag("--auth-method", "md5")
        .flag("--auth-failure-delay", "1h")
        .flag("--auth-timeout", "3h")
        .start();
    assert_eq!(sidecache.connect("app").value("SELECT 1"), "1");
    // The last of these waits for a second, the next for two.
    for name in 0..53 {
        fails(Wire::connect(&sidecache.login(&format!("nobody{}", name / 5))));
    }
    let mut knocking: Vec<TcpStream> =
        (0..40).map(|name| knock(&sidecache, &format!("stranger{name}"), &database)).collect();
    for user in ["app", "solo"] {
        let let_in = Wire::connect(&sidecache.login(user));
        assert_eq!(let_in.expect("the right password").value("SELECT 1"), "1", "{user}");
    }
    for stranger in &mut knocking {
        let mut first = [0];
        stranger.read_exact(&mut first).expect("it is asked for its proof in the end");
        assert_eq!(first, *b"R");
    }
}

/// A wrong password makes the primary be asked again, in case it was changed there; a thousand of them do not.
#[test]
fn r25_who_guesses_does_not_make_the_primary_work() {
    let cluster = Cluster::shared();
    let database = cluster.database("asked");
    cluster.primary.sql("CREATE ROLE guessed LOGIN PASSWORD 'guessed'");
    cluster.primary.connect_to(&database).rows(
        "CREATE SEQUENCE public.asked;
        CREATE FUNCTION public.secret_of(who name, OUT usename name, OUT passwd text) RETURNS SETOF record
            LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
            AS $$SELECT nextval('public.asked'); SELECT rolname, rolpassword FROM pg_authid WHERE rolname = who$$;",
    );
    let sidecache = Sidecache::build(cluster, &database)
        .no_replicas()
        .users("sidecache:sidecache")
        .flag("--auth-query", "SELECT usename, passwd FROM public.secret_of($1)")
        .flag("--auth-refresh", "1h")
        .flag("--auth-failure-delay", "0s")
        .start();
    for user in ["guessed", "nobody"] {
        for _ in 0..25 {
            fails(Wire::connect(&Login { password: "wrong".to_owned(), ..sidecache.login(user) }));
        }
    }
    let asked: u32 =
        cluster.primary.connect_to(&database).value("SELECT last_value FROM public.asked").parse().expect("a number");
    assert!((4..=16).contains(&asked), "{asked} questions for 50 failures");
    assert_eq!(sidecache.connect("guessed").value("SELECT current_user"), "guessed");
}
