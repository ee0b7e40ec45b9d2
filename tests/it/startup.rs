//! Before the first query: encryption asked for and refused, versions, authentication, startup parameters, limits; and
//! bytes that no client of good will sends.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use crate::harness::wire::{Batch, Frame, Login, Wire, WireError, tags};
use crate::twins::{Twins, told};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::ServerName;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSS_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("short");
    [length.to_be_bytes().to_vec(), body].concat()
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a duration above zero");
    stream
}

/// Sends bytes and reads all that comes until the end.
fn all(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = tcp(port);
    stream.write_all(bytes).expect("a socket that takes them");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is closed: {answer:?}"),
    }
    answer
}

fn refusal(port: u16, login: &Login) -> Vec<String> {
    match Wire::connect(&Login { port, ..login.clone() }) {
        Err(WireError::Refused(frame)) => told(&[frame]),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{login:?} was let in on port {port}"),
    }
}

/// Without TLS both kinds of encryption are answered N, in either order, once each; the startup message may follow.
#[test]
fn encryption_that_is_not_there_is_refused_with_one_letter() {
    let twins = Twins::new("plain", "");
    let hello = startup(196_608, &[("user", "app"), ("database", &twins.database)]);
    for requests in [[SSL_REQUEST, GSS_REQUEST], [GSS_REQUEST, SSL_REQUEST]] {
        for again in requests {
            let mut stream = tcp(twins.sidecache.port());
            let mut answer = [0];
            for request in requests {
                stream.write_all(request).expect("a connection that lives");
                stream.read_exact(&mut answer).expect("a letter");
                assert_eq!(&answer, b"N");
            }
            let mut second = stream.try_clone().expect("a descriptor more");
            stream.write_all(&hello).expect("it lives");
            let mut answer = [0; 9];
            stream.read_exact(&mut answer).expect("a request for a proof");
            assert_eq!((answer[0], answer[8]), (b'R', 10));
            second.shutdown(std::net::Shutdown::Both).expect("it lives");
            // Asked twice, it is a version that nobody knows.
            second = tcp(twins.sidecache.port());
            let mut letter = [0];
            for request in requests {
                second.write_all(request).expect("it lives");
                second.read_exact(&mut letter).expect("a letter");
            }
            second.write_all(again).expect("it lives");
            let mut refusal = Vec::new();
            second.read_to_end(&mut refusal).expect("a clean end");
            let refusal = String::from_utf8_lossy(&refusal).into_owned();
            assert!(refusal.starts_with('E') && refusal.contains("C0A000"), "{refusal}");
        }
    }
}

/// What is sent behind a request for encryption, before its answer, is refused also where there is no encryption.
#[test]
fn r25_nothing_is_taken_from_behind_a_request_for_encryption() {
    let twins = Twins::new("stuffed", "");
    let stuffed = |request: &[u8]| [request, &startup(196_608, &[("user", "app")])].concat();
    let ssl = b"received unencrypted data after SSL request";
    for (port, request, text) in [
        (twins.cluster.primary.port, SSL_REQUEST, &ssl[..]),
        (twins.sidecache.port(), SSL_REQUEST, &ssl[..]),
        (twins.sidecache.port(), GSS_REQUEST, b"received unencrypted data after GSSAPI encryption request"),
    ] {
        let answer = all(port, &stuffed(request));
        assert_eq!(&answer[..2], b"NE", "{answer:?}");
        let found = |part: &[u8]| answer.windows(part.len()).any(|window| window == part);
        assert!(found(text) && found(b"C08P01"), "{:?}", String::from_utf8_lossy(&answer));
    }
}

/// A certificate for `localhost` and its key, as files, and what trusts it.
struct Tls {
    directory: tempfile::TempDir,
    roots: RootCertStore,
}

impl Tls {
    fn new() -> Tls {
        let directory = tempfile::tempdir().expect("a directory");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let write = |name: &str, text| std::fs::write(directory.path().join(name), text).expect("our own directory");
        write("server.crt", made.cert.pem());
        write("server.key", made.signing_key.serialize_pem());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate that can be trusted");
        Tls { directory, roots }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("a plain path").to_owned()
    }

    fn given(&self, builder: SidecacheBuilder) -> SidecacheBuilder {
        builder.flag("--tls-certificate", &self.file("server.crt")).flag("--tls-key", &self.file("server.key"))
    }

    /// Begins TLS at once, and with these protocols sends bytes inside; gives the first `expected` that come back.
    fn directly(&self, port: u16, protocols: &[&str], inside: &[u8], expected: usize) -> std::io::Result<Vec<u8>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that it knows")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a sound configuration");
        let mut stream = StreamOwned::new(connection, tcp(port));
        stream.write_all(inside)?;
        let mut answer = vec![0; expected];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// PostgreSQL 17's `sslnegotiation=direct`: TLS from the first byte, only with ALPN, and only where there is TLS.
#[test]
fn tls_may_begin_with_the_first_byte() {
    let tls = Tls::new();
    let cluster = Cluster::shared();
    let database = cluster.database("direct");
    let sidecache = tls.given(Sidecache::build(cluster, &database)).config("tls_required = true").start();
    let hello = startup(196_608, &[("user", "app"), ("database", &database)]);
    let asked = |protocols: &[&str]| tls.directly(sidecache.port(), protocols, &hello, 9);
    for protocols in [&["postgresql"][..], &["http/1.1", "postgresql"]] {
        let answer = asked(protocols).expect("a request for a proof");
        assert_eq!((answer[0], answer[8]), (b'R', 10));
    }
    for protocols in [&[][..], &["http/1.1"]] {
        asked(protocols).expect_err("bytes that may be meant for another protocol");
    }
    // Encryption inside of encryption is not there.
    let answer = tls.directly(sidecache.port(), &["postgresql"], SSL_REQUEST, 1).expect("a letter");
    assert_eq!(answer, b"N");
    let plain = Sidecache::build(cluster, &database).start();
    tls.directly(plain.port(), &["postgresql"], &hello, 9).expect_err("there is no TLS here");
    assert_eq!(all(plain.port(), &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]), b"", "it is closed without a word");
    assert_eq!(plain.connect("app").value("SELECT 1"), "1");
}

/// With TLS psql encrypts; what was sent in plain text behind the request is refused (CVE-2021-23214), and without TLS nobody
/// enters where it is required.
#[test]
fn r25_tls_is_spoken_and_nothing_is_taken_from_before_it() {
    let cluster = Cluster::shared();
    let database = cluster.database("tls");
    let tls = Tls::new();
    let sidecache = tls.given(Sidecache::build(cluster, &database)).config("tls_required = true").start();
    let psql = |mode: &str, sql: &str| {
        let mut command = cluster.program("psql");
        // Its home has no certificate of its own to offer.
        command.env("HOME", "/nonexistent").args(["-XAtc", sql, &format!("{}?sslmode={mode}", sidecache.url("app"))]);
        let output = command.output().expect("psql runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned())
    };
    assert_eq!(psql("require", "SELECT 42"), (true, "42".to_owned()));
    let (entered, why) = psql("disable", "SELECT 42");
    assert!(!entered && why.contains("TLS"), "{why}");
    let injected = [SSL_REQUEST, &startup(196_608, &[("user", "app")])].concat();
    let answer = String::from_utf8_lossy(&all(sidecache.port(), &injected)).into_owned();
    assert!(answer.contains("C08P01") && !answer.starts_with('S'), "{answer}");
}

/// Protocol 3.2 gets a long cancel key that works; a later one is negotiated down; an older one is refused.
#[test]
fn protocol_versions_are_negotiated() {
    let twins = Twins::new("versions", "");
    let port = twins.sidecache.port();
    let answer =
        all(port, &[startup(3 << 16 | 9, &[("user", "app"), ("_pq_.new", "1")]), b"p\0\0\0\x04".to_vec()].concat());
    assert_eq!(&answer[..5], b"v\0\0\0\x15");
    assert_eq!(&answer[5..22], b"\0\x03\0\x02\0\0\0\x01_pq_.new\0");
    let answer = all(port, &startup(2 << 16, &[("user", "app")]));
    assert!(String::from_utf8_lossy(&answer).contains("C0A000"), "{answer:?}");
    let sleeps = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'",
        twins.database
    );
    for (minor, length) in [(0, 4), (2, 32), (9, 32)] {
        let mut client = Wire::connect_speaking(minor, &twins.sidecache.login("app")).expect("it is let in");
        assert_eq!(client.key.1.len(), length, "minor version {minor}");
        client.send(&Batch::new().query("SELECT pg_sleep(3600)")).expect("it lives");
        eventually("the query to sleep", || (twins.cluster.primary.value(&sleeps) == "1").then_some(()));
        // A key that is not whole is no key.
        let whole = std::mem::take(&mut client.key.1);
        client.key.1 = whole[..length - 1].to_vec();
        client.cancel().expect("it is taken, and means nothing");
        assert_eq!(twins.cluster.primary.value(&sleeps), "1");
        client.key.1 = whole;
        client.cancel().expect("it is taken");
        assert_eq!(tags(&client.read_until_ready().expect("it lives")), "TEZ", "minor version {minor}");
    }
}

/// A wrong password and an unknown user get the same messages; a missing database and bad parameters are told as directly.
#[test]
fn r25_who_may_not_enter_is_told_as_by_postgresql() {
    let twins = Twins::new("refused", "");
    let (direct, through) = (twins.cluster.primary.port, twins.sidecache.port());
    let app = twins.sidecache.login("app");
    let logins = [
        Login { password: "wrong".to_owned(), ..app.clone() },
        Login { user: "nobody".to_owned(), ..app.clone() },
        Login { database: "nowhere".to_owned(), ..app.clone() },
        app.clone().with("timezone", "nowhere"),
        app.clone().with("no_such_setting", "1"),
        app.clone().with("options", "-c no_such_setting=1"),
        app.clone().with("options", "-c work_mem=nothing"),
        Login { user: String::new(), ..app.clone() },
    ];
    for login in logins {
        assert_eq!(refusal(through, &login), refusal(direct, &login), "{login:?}");
    }
}

/// The greeting reports what PostgreSQL would report to this client.
#[test]
fn the_greeting_reports_what_postgresql_reports() {
    let twins = Twins::new("greeting", "");
    let reported = |login: Login| {
        let wire = Wire::connect(&login).expect("it is let in");
        let mut parameters = told(&wire.startup.iter().filter(|f| f.tag == b'S').cloned().collect::<Vec<Frame>>());
        parameters.sort();
        (parameters, wire.key.1.len(), tags(&wire.startup[wire.startup.len() - 2..]))
    };
    let logins = |login: Login| {
        [
            login.clone(),
            login.clone().with("application_name", "x").with("TimeZone", "Asia/Tokyo"),
            login
                .clone()
                .with("client_encoding", "latin1")
                .with("options", "-c datestyle=german -c intervalstyle=iso_8601"),
            login.user("postgres"),
        ]
    };
    let direct = logins(twins.cluster.login("app", &twins.database));
    for round in 0..2 {
        for (through, direct) in logins(twins.sidecache.login("app")).into_iter().zip(direct.clone()) {
            assert_eq!(reported(through), reported(direct), "round {round}");
        }
    }
}

/// The application's name is reported as the server would keep it: cut, and without what is not ASCII.
#[test]
fn the_greeting_names_the_application_as_postgresql_does() {
    let twins = Twins::new("application", "");
    let names = |login: Login| {
        [
            "n".repeat(81),
            "caf\u{e9} \u{20ac}\t\u{7f}\u{1}|".to_owned(),
            format!("{}\u{20ac}\u{20ac}", "n".repeat(61)),
            "\u{e9}".repeat(40),
        ]
        .map(|name| Wire::connect(&login.clone().with("application_name", &name)).expect("it is let in"))
    };
    let direct = names(twins.cluster.login("app", &twins.database));
    for (mut through, mut direct) in names(twins.sidecache.login("app")).into_iter().zip(direct) {
        let told_at_start = |wire: &Wire| {
            let of_name = |frame: &&Frame| frame.tag == b'N' || frame.body.starts_with(b"application_name\0");
            told(&wire.startup.iter().filter(of_name).cloned().collect::<Vec<Frame>>())
        };
        assert_eq!(told_at_start(&through), told_at_start(&direct));
        let shown = "SHOW application_name";
        assert_eq!(through.value(shown), direct.value(shown));
    }
}

/// `-e` is DateStyle's, as `postgres` has it from its command line.
#[test]
fn the_switch_for_european_dates_is_a_setting() {
    let twins = Twins::new("european", "");
    let shown = |login: Login| {
        ["-e", "-e -c intervalstyle=iso_8601", "-c datestyle=sql -e", "-e -c datestyle=mdy"].map(|options| {
            let mut wire = Wire::connect(&login.clone().with("options", options)).expect("it is let in");
            let reported = wire.startup.iter().find(|frame| frame.body.starts_with(b"DateStyle\0")).cloned();
            (reported, wire.value("SHOW datestyle"), wire.value("SELECT date '1/2/2000'"))
        })
    };
    assert_eq!(shown(twins.sidecache.login("app")), shown(twins.cluster.login("app", &twins.database)));
}

/// A client beyond the limit is told 53300; the one that is in can still be cancelled, and its seat is given on.
#[test]
fn r24_too_many_clients_are_told_so() {
    let twins = Twins::with("toomany", "", |builder| builder.flag("--max-clients", "1"));
    let mut first = twins.through();
    let refused = twins.sidecache.try_connect("app").err().and_then(|e| e.sqlstate());
    assert_eq!(refused.as_deref(), Some("53300"));
    first.send(&Batch::new().query("SELECT pg_sleep(3600)")).expect("it lives");
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'",
        twins.database
    );
    eventually("the query to sleep", || (twins.cluster.primary.value(&sql) == "1").then_some(()));
    first.cancel().expect("a cancel needs no seat");
    assert_eq!(tags(&first.read_until_ready().expect("it lives")), "TEZ");
    drop(first);
    eventually("the seat to be free", || twins.sidecache.try_connect("app").ok());
}

/// Frames that no client of good will sends end their own connection with 08P01, and nobody else's.
#[test]
fn r25_hostile_frames_end_their_own_connection_only() {
    let twins = Twins::new("hostile", "CREATE TABLE t (id int)");
    let mut other = twins.through();
    other.rows("BEGIN");
    let frame = |tag: u8, length: u32| [&[tag][..], &length.to_be_bytes()].concat();
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("a length below four", frame(b'Q', 3)),
        ("a negative length", frame(b'Q', 0xffff_fff0)),
        ("a huge length", frame(b'Q', 0x4000_0000)),
        ("a long Sync", frame(b'S', 20_000)),
        ("an unknown tag", frame(b'z', 4)),
        ("a NUL tag", frame(0, 4)),
        ("a backend's tag", frame(b'Z', 5)),
        ("a bad frame behind good ones", [Batch::new().query("SELECT 1").0, frame(b'Q', 1)].concat()),
        ("a bad frame in a copy", [Batch::new().query("COPY t FROM STDIN").0, frame(b'd', 2)].concat()),
    ];
    for (what, bytes) in hostile {
        let mut client = twins.through();
        client.set_patience(Duration::from_secs(20));
        client.send_bytes(&bytes).expect("a connection that lives");
        let mut last = None;
        let end = loop {
            match client.read_frame() {
                Ok(frame) => last = Some(frame),
                Err(error) => break error,
            }
        };
        assert!(matches!(end.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{what}: {end}");
        let last = last.unwrap_or_else(|| panic!("{what}: not a word"));
        assert_eq!(last.field(b'C').as_deref(), Some("08P01"), "{what}: {last:?}");
    }
    // Before there is a session, too.
    for bytes in [&[0, 0, 0, 7, 0, 0, 0, 0][..], &[0xff; 8], &[0, 0, 0x40, 0, 0, 3, 0, 0], b"GET / HTTP/1.1\r\n\r\n"] {
        let answer = String::from_utf8_lossy(&all(twins.sidecache.port(), bytes)).into_owned();
        assert!(answer.contains("08P01") || answer.contains("0A000"), "{bytes:?}: {answer}");
    }
    assert_eq!(other.value("SELECT 1"), "1");
    other.rows("COMMIT");
    // Truncated, then gone: nothing waits for the rest.
    drop({
        let mut client = twins.through();
        client.send_bytes(&Batch::new().query("SELECT 1").0[..9]).expect("it lives");
        client
    });
    assert_eq!(other.value("SELECT 2"), "2");
}

/// Terminate ends the session without a word, and what was asked before it is done.
#[test]
fn terminate_ends_the_session_and_not_what_came_before() {
    let twins = Twins::new("terminate", "CREATE TABLE t (id int)");
    let mut client = twins.through();
    client.send(&Batch::new().query("INSERT INTO t VALUES (1)").terminate()).expect("it lives");
    assert_eq!(tags(&client.read_until_ready().expect("an answer")), "CZ");
    assert_eq!(client.read_frame().map_err(|e| e.kind()), Err(ErrorKind::UnexpectedEof));
    assert_eq!(twins.through().value("SELECT count(*) FROM t"), "1");
}
