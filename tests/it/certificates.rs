//! Certificates of clients, shown by libpq: what PostgreSQL says to each is what Sidecache says.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::postgres::hand_over;
use crate::harness::process::Scratch;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[path = "../harness/version_1.rs"]
mod version_1;

/// Who signs, and what it has signed, as files.
struct Authority {
    scratch: Scratch,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut parameters = CertificateParams::new(vec![]).expect("no name");
        parameters.distinguished_name.push(DnType::CommonName, "an authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("signed");
        let authority = Authority { scratch: Scratch::new(), issuer };
        std::fs::write(authority.file("ca.crt"), authority.issuer.pem()).expect("our own directory");
        for name in ["localhost", "app", "solo", "certified"] {
            authority.sign(name);
        }
        authority
    }

    /// Writes a certificate of this common name and its key, as libpq and PostgreSQL want it: theirs alone.
    fn sign(&self, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer).expect("signed");
        std::fs::write(self.file(&format!("{name}.crt")), certificate.pem()).expect("our own directory");
        let file = self.file(&format!("{name}.key"));
        std::fs::write(&file, key.serialize_pem()).expect("our own directory");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("our own file");
        hand_over(Path::new(&file));
    }

    fn file(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    /// libpq's parameters that show the certificate of this name.
    fn shows(&self, name: &str) -> String {
        format!("sslcert={} sslkey={}", self.file(&format!("{name}.crt")), self.file(&format!("{name}.key")))
    }

    fn with_tls(&self, builder: SidecacheBuilder, mode: &str) -> SidecacheBuilder {
        builder
            .flag("--tls-certificate", &self.file("localhost.crt"))
            .flag("--tls-key", &self.file("localhost.key"))
            .flag("--tls-client-ca", &self.file("ca.crt"))
            .flag("--tls-client-auth", mode)
    }
}

/// Who psql is told that it is, or why it is not let in.
fn psql(cluster: &Cluster, parameters: &str, password: &str) -> Result<String, String> {
    let mut psql = cluster.program("psql");
    psql.arg(format!("connect_timeout=60 {parameters}"));
    psql.env("HOME", "/nonexistent").env("PGPASSWORD", password).args(["-wXAtc", "SELECT current_user"]);
    let output = psql.output().expect("psql starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let error = text(&output.stderr);
    // Where it connected to stands before; which end of TLS 1.3 hears first that the other refuses is a matter of time.
    match error.split_once("FATAL:") {
        Some((_, fatal)) => Err(fatal.trim().to_owned()),
        None => Err("refused by TLS".to_owned()),
    }
}

/// The same clients at PostgreSQL, by lines of pg_hba.conf, and through Sidecache, in each mode: the same outcome, word by word.
#[test]
fn r25_a_clients_certificate_counts_as_in_pg_hba() {
    let (ours, others) = (Authority::new(), Authority::new());
    let cluster = Cluster::build()
        .replicas(0)
        .setting("ssl = on")
        .setting(&format!("ssl_cert_file = '{}'", ours.file("localhost.crt")))
        .setting(&format!("ssl_key_file = '{}'", ours.file("localhost.key")))
        .setting(&format!("ssl_ca_file = '{}'", ours.file("ca.crt")))
        .start();
    let database = cluster.database("certificates");
    for mode in ["verify-ca", "verify-full", "cert"] {
        let method = if mode == "cert" { "cert".to_owned() } else { format!("scram-sha-256 clientcert={mode}") };
        let rules = format!(
            "local all all trust\nhostssl {database} app,solo 127.0.0.1/32 {method}\nhost all all 127.0.0.1/32 scram-sha-256\n"
        );
        std::fs::write(cluster.primary.data().join("pg_hba.conf"), rules).expect("our own file");
        cluster.primary.sql("SELECT pg_reload_conf()");
        let of_rules = format!(
            "SELECT count(*) FROM pg_hba_file_rules WHERE options::text LIKE '%{mode}%' OR auth_method = '{mode}'"
        );
        eventually("the rules to be read", || (cluster.primary.value(&of_rules) == "1").then_some(()));
        // The asked servers' own rules are for plain connections.
        let primary = format!("{}?sslmode=disable", cluster.primary_url("sidecache", &database));
        let sidecache = ours.with_tls(Sidecache::build(&cluster, &database), mode).primary(&primary).start();
        let ask = |port: u16, user: &str, shows: &str, password: &str| {
            let server = format!("host=127.0.0.1 port={port} dbname={database} sslmode=require");
            psql(&cluster, &format!("{server} user={user} {shows}"), password)
        };
        let (app, solo, foreign) = (ours.shows("app"), ours.shows("solo"), others.shows("app"));
        for (user, shows, password) in [
            ("app", "", "app"),
            ("app", app.as_str(), "app"),
            ("app", app.as_str(), "wrong"),
            ("app", solo.as_str(), "app"),
            ("app", solo.as_str(), "wrong"),
            ("solo", solo.as_str(), "solo"),
            ("app", foreign.as_str(), "app"),
        ] {
            // Rules are read by the processes of the server in their own time.
            let (direct, through) =
                (ask(cluster.primary.port, user, shows, password), ask(sidecache.port(), user, shows, password));
            assert_eq!(through, direct, "{mode}: {user} with {shows:?}");
        }
        assert_eq!(ask(sidecache.port(), "app", &app, "app"), Ok("app".to_owned()), "{mode}");
        let plain = sidecache.try_connect("app").err().and_then(|error| error.sqlstate());
        assert_eq!(plain.as_deref(), Some("28000"), "{mode}: without TLS there is no certificate");
        assert!(sidecache.metric("sidecache_authentication_failures_total", &[("reason", "no_certificate")]) >= 2.0);
    }
}

/// By certificate alone: the password of the users file logs in upstream, a SCRAM secret does not and is told so; what the primary
/// no longer takes is refused in time; Unix sockets ask for the password; other authorities count after a reload.
#[test]
fn a_certificate_alone_lets_in_whom_the_primary_lets_in() {
    let (ours, others) = (Authority::new(), Authority::new());
    let cluster = Cluster::shared();
    let database = cluster.database("certified");
    cluster.primary.sql("CREATE ROLE certified LOGIN PASSWORD 'certified'");
    let secret = cluster.primary.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'solo'");
    let sockets = Scratch::new();
    let build = ours.with_tls(Sidecache::build(cluster, &database), "cert").no_replicas();
    let sidecache = build
        .users(&format!("sidecache:sidecache\ncertified:certified\nsolo:{secret}"))
        .flag("--auth-refresh", "100ms")
        .flag("--listen", &sockets.path().join(".s.PGSQL.6432").display().to_string())
        .start();
    let port = sidecache.port();
    let by = |authority: &Authority, user: &str| {
        let server = format!("host=127.0.0.1 port={port} dbname={database} sslmode=require user={user}");
        psql(cluster, &format!("{server} {}", authority.shows(user)), "")
    };
    assert_eq!(by(&ours, "certified"), Ok("certified".to_owned()));
    let secret_alone = by(&ours, "solo").expect_err("nothing proves solo upstream");
    assert!(secret_alone.contains("a SCRAM secret does not log in by itself"), "{secret_alone}");
    let unlisted = "certificate authentication failed for user \"app\"";
    assert_eq!(by(&ours, "app"), Err(unlisted.to_owned()), "who is not in the users file");
    for (change, undo) in [
        ("VALID UNTIL '2001-01-01'", "VALID UNTIL 'infinity'"),
        ("NOLOGIN", "LOGIN"),
        ("PASSWORD 'other'", "PASSWORD 'certified'"),
    ] {
        cluster.primary.sql(&format!("ALTER ROLE certified {change}"));
        let told = eventually(change, || by(&ours, "certified").err());
        assert!(told.contains("password authentication failed") || told.contains("not permitted to log in"), "{told}");
        cluster.primary.sql(&format!("ALTER ROLE certified {undo}"));
        eventually(undo, || by(&ours, "certified").ok());
    }
    let on_socket = |password: &str| {
        let server = format!("host={} port=6432 dbname={database} user=certified", sockets.path().display());
        psql(cluster, &server, password)
    };
    assert_eq!(on_socket("certified"), Ok("certified".to_owned()));
    assert!(on_socket("wrong").is_err_and(|told| told.contains("password authentication failed")));

    assert!(by(&others, "certified").is_err());
    std::fs::copy(others.file("ca.crt"), ours.file("ca.crt")).expect("our own directories");
    sidecache.reload("a reload", |reload| reload["done"] == 1);
    assert_eq!(by(&others, "certified"), Ok("certified".to_owned()));
    assert!(by(&ours, "certified").is_err());
}

/// What the manual's `openssl x509 -req` makes, of version 1 and without a subjectAltName: TLS is used wherever libpq uses it.
#[test]
fn r25_a_servers_certificate_of_version_1_does_as_with_libpq() {
    let scratch = Scratch::new();
    let file = |name: &str| scratch.path().join(name).display().to_string();
    let write = |name: &str, text: &str| {
        std::fs::write(file(name), text).expect("our own directory");
        std::fs::set_permissions(file(name), std::fs::Permissions::from_mode(0o600)).expect("our own file");
        hand_over(Path::new(&file(name)));
    };
    let authority = Authority::new();
    let (certificate, key) = version_1::version_1("localhost", &authority.issuer);
    write("server.crt", &certificate);
    write("server.key", &key);
    let cluster = Cluster::build()
        .replicas(0)
        .setting("ssl = on")
        .setting(&format!("ssl_cert_file = '{}'", file("server.crt")))
        .setting(&format!("ssl_key_file = '{}'", file("server.key")))
        .start();
    let database = cluster.database("version1");
    let url = cluster.primary_url("sidecache", &database);
    let verified = format!("?sslmode=verify-ca&sslrootcert={}", authority.file("ca.crt"));
    for parameters in ["", "?sslmode=require", "?sslmode=require&channel_binding=require", &verified] {
        let sidecache = Sidecache::build(&cluster, &database).primary(&format!("{url}{parameters}")).start();
        let asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let answer = sidecache.connect("app").value(asked);
        assert_eq!(answer, "t", "{parameters:?}");
        assert!(!sidecache.log().contains("goes on in clear"), "{parameters:?}");
    }
}

/// Where pg_hba.conf lets in without TLS alone, `prefer` asks once more in clear, as libpq does.
#[test]
fn r25_prefer_goes_on_in_clear_where_pg_hba_asks_for_that() {
    let authority = Authority::new();
    let cluster = Cluster::build()
        .replicas(0)
        .setting("ssl = on")
        .setting(&format!("ssl_cert_file = '{}'", authority.file("localhost.crt")))
        .setting(&format!("ssl_key_file = '{}'", authority.file("localhost.key")))
        .start();
    let database = cluster.database("clear");
    let rules = format!(
        "local all all trust\nhostnossl {database} all 127.0.0.1/32 scram-sha-256\nhost {database} all all reject\nhost all all 127.0.0.1/32 trust\n"
    );
    std::fs::write(cluster.primary.data().join("pg_hba.conf"), rules).expect("our own file");
    cluster.primary.sql("SELECT pg_reload_conf()");
    let read = "SELECT count(*) FROM pg_hba_file_rules WHERE type = 'hostnossl'";
    eventually("the rules to be read", || (cluster.primary.value(read) == "1").then_some(()));
    let sidecache = Sidecache::start(&cluster, &database);
    let mut app = sidecache.connect("app");
    assert_eq!(app.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "f");
}
