//! Handshakes between the two halves of this module, with certificates made for the test.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An authority, and a server whose certificate it signed for `localhost`.
struct Pki {
    directory: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
        write("ca.crt", authority.pem());
        write("server.crt", leaf.pem());
        write("server.key", key.serialize_pem());
        Pki { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn acceptor(&self) -> Acceptor {
        acceptor(&self.path("server.crt"), &self.path("server.key")).unwrap()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<Acceptor, TlsError> {
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    server_acceptor(&ClientTls { certificate, key, client_ca: None, client_auth: ClientAuth::Off })
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

/// Whether a client in this mode accepts the server of `pki` under this name; if so, bytes have gone through.
async fn trusts(pki: &Pki, mode: SslMode, root_cert: Option<&Path>, host: &str) -> bool {
    let (ours, theirs) = pair().await;
    let (connector, acceptor) = (client_connector(mode, root_cert).unwrap(), pki.acceptor());
    let server = async {
        let mut stream = accept(&acceptor, theirs, Negotiation::Direct).await?;
        stream.write_all(b"hello").await?;
        stream.flush().await
    };
    let client = async {
        let mut stream = connect(&connector, host, ours).await?;
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.map(|_| hello)
    };
    let (_server, client) = tokio::join!(server, client);
    client.is_ok_and(|hello| &hello == b"hello")
}

#[tokio::test]
async fn each_mode_checks_what_libpq_checks() {
    let (pki, other) = (Pki::new(), Pki::new());
    let (right, wrong) = (pki.path("ca.crt"), other.path("ca.crt"));
    let cases = [
        (SslMode::Prefer, Some(&wrong), "elsewhere", true),
        (SslMode::Require, None, "elsewhere", true),
        (SslMode::Require, Some(&right), "elsewhere", true),
        (SslMode::Require, Some(&wrong), "localhost", false),
        (SslMode::VerifyCa, Some(&right), "elsewhere", true),
        (SslMode::VerifyCa, Some(&wrong), "localhost", false),
        (SslMode::VerifyFull, Some(&right), "localhost", true),
        (SslMode::VerifyFull, Some(&right), "elsewhere", false),
        (SslMode::VerifyFull, Some(&right), "127.0.0.1", false),
        (SslMode::VerifyFull, Some(&wrong), "localhost", false),
    ];
    for (mode, root_cert, host, trusted) in cases {
        let root_cert = root_cert.map(PathBuf::as_path);
        assert_eq!(trusts(&pki, mode, root_cert, host).await, trusted, "{mode:?} {root_cert:?} {host}");
    }
}

/// A client that offers these protocols.
async fn offering(protocols: &[&[u8]], negotiation: Negotiation) -> io::Result<()> {
    let pki = Pki::new();
    let (ours, theirs) = pair().await;
    let mut roots = RootCertStore::empty();
    roots.add(certificates(&pki.path("ca.crt")).unwrap().remove(0)).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    let acceptor = pki.acceptor();
    let client = async { connect(&connector, "localhost", ours).await };
    let (accepted, _client) = tokio::join!(accept(&acceptor, theirs, negotiation), client);
    accepted.map(drop)
}

/// Who has sent need not come back for what TLS has taken and the socket has not.
#[tokio::test]
async fn r16_what_is_sent_has_left() {
    let pki = Pki::new();
    let (ours, theirs) = pair().await;
    socket2::SockRef::from(&ours).set_send_buffer_size(4096).unwrap();
    let (connector, acceptor) = (client_connector(SslMode::Require, None).unwrap(), pki.acceptor());
    let (sender, reader) =
        tokio::join!(connect(&connector, "localhost", ours), accept(&acceptor, theirs, Negotiation::Direct));
    let (mut sender, mut reader) = (sender.unwrap(), reader.unwrap());
    let (mut out, mut read) = (bytes::BytesMut::zeroed(1 << 20), vec![1; 1 << 20]);
    let sending = std::future::poll_fn(|cx| super::super::stream::poll_send(&mut sender, cx, &mut out));
    let both = async { tokio::join!(sending, reader.read_exact(&mut read)) };
    let (sent, heard) = tokio::time::timeout(std::time::Duration::from_secs(60), both).await.expect("all of it comes");
    assert!(sent.is_ok() && heard.is_ok() && read.iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn direct_tls_must_name_postgresql() {
    assert!(offering(&[ALPN], Negotiation::Direct).await.is_ok());
    assert!(offering(&[], Negotiation::Direct).await.is_err());
    assert!(offering(&[b"http/1.1"], Negotiation::Direct).await.is_err());
    assert!(offering(&[], Negotiation::Requested).await.is_ok());
    assert!(offering(&[ALPN], Negotiation::Requested).await.is_ok());
}

#[tokio::test]
async fn plain_bytes_before_the_handshake_end_it() {
    let pki = Pki::new();
    let (mut ours, theirs) = pair().await;
    ours.write_all(b"\0\0\0\x08\0\x03\0\0").await.unwrap();
    assert!(accept(&pki.acceptor(), theirs, Negotiation::Requested).await.is_err());
}

#[test]
fn files_that_are_missing_or_hold_something_else_are_named() {
    let pki = Pki::new();
    let (certificate, key) = (pki.path("server.crt"), pki.path("server.key"));
    let missing = pki.path("missing.crt");
    let named = |outcome: Result<(), TlsError>, path: &Path| {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    };
    named(client_connector(SslMode::VerifyCa, Some(&missing)).map(drop), &missing);
    named(client_connector(SslMode::VerifyFull, Some(&key)).map(drop), &key);
    named(acceptor(&missing, &key).map(drop), &missing);
    named(acceptor(&certificate, &certificate).map(drop), &certificate);
    assert!(client_connector(SslMode::Require, None).is_ok());
    let other = Pki::new();
    assert!(matches!(acceptor(&certificate, &other.path("server.key")), Err(TlsError::Unusable(_))));
}

#[path = "../../tests/harness/version_1.rs"]
mod version_1;

/// An authority, and what it has signed without extensions for the common name `localhost`, with its key.
fn of_version_1() -> (CertifiedIssuer<'static, KeyPair>, (String, String)) {
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.distinguished_name = rcgen::DistinguishedName::new();
    root.distinguished_name.push(rcgen::DnType::CommonName, "root.example");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (root.not_before, root.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2120, 1, 1));
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let signed = version_1::version_1("localhost", &root);
    (root, signed)
}

/// What becomes of a client in this mode at a server with a certificate and a key, which need not fit; by one version of TLS.
async fn meets(
    (certificate, key): (&str, &str),
    version: &'static rustls::SupportedProtocolVersion,
    (mode, root_cert, host): (SslMode, Option<&Path>, &str),
) -> io::Result<()> {
    let (ours, theirs) = pair().await;
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    let shown = Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(chain, key)));
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let config = config.with_no_client_auth().with_cert_resolver(shown);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let connector = client_connector(mode, root_cert).unwrap();
    let client = async { connect(&connector, host, ours).await.map(drop) };
    tokio::join!(client, acceptor.accept(theirs)).0
}

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[tokio::test]
async fn r25_a_certificate_of_version_1_is_taken_and_its_key_must_be_held() {
    let (_, (certificate, key)) = of_version_1();
    let other = KeyPair::generate().unwrap().serialize_pem();
    for version in VERSIONS {
        for mode in [SslMode::Prefer, SslMode::Require] {
            let outcome = meets((&certificate, &key), version, (mode, None, "elsewhere")).await;
            assert!(outcome.is_ok(), "{mode:?} {version:?}: {outcome:?}");
            let stolen = meets((&certificate, &other), version, (mode, None, "elsewhere")).await;
            assert!(stolen.is_err(), "{mode:?} {version:?}: the key is another's");
        }
    }
}

#[tokio::test]
async fn r25_what_is_no_certificate_ends_the_handshake() {
    let whole = CertificateDer::from_pem_slice(of_version_1().1.0.as_bytes()).unwrap();
    assert!(certificate::key(&whole).is_ok());
    for end in 0..whole.len() {
        assert!(certificate::key(&whole[..end]).is_err(), "cut at {end}");
    }
}

/// A certificate and its key, self-signed unless an authority is given, of this common name; changed as the test wants it.
fn made(
    name: &str,
    by: Option<&CertifiedIssuer<'_, KeyPair>>,
    change: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let mut parameters = CertificateParams::new(vec![]).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        Some(authority) => parameters.signed_by(&key, authority).unwrap(),
        None => parameters.self_signed(&key).unwrap(),
    };
    (certificate.pem(), key.serialize_pem())
}

async fn trusted(shown: (&str, &str), mode: SslMode, root: &str, host: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("root.crt");
    std::fs::write(&file, root).unwrap();
    let [old, new] = VERSIONS.map(async |version| meets(shown, version, (mode, Some(&file), host)).await.is_ok());
    let (old, new) = tokio::join!(old, new);
    assert_eq!(old, new, "by either version of TLS");
    new
}

#[tokio::test]
async fn r25_version_1_below_a_root_is_trusted_for_what_the_root_has_signed() {
    let (authority, (certificate, key)) = of_version_1();
    let (root, shown) = (authority.pem(), (certificate.as_str(), key.as_str()));
    let (full, chain) = (SslMode::VerifyFull, SslMode::VerifyCa);
    assert!(trusted(shown, chain, &root, "elsewhere").await);
    assert!(trusted(shown, full, &root, "localhost").await);
    assert!(!trusted(shown, full, &root, "elsewhere").await);
    let ca = |parameters: &mut CertificateParams| parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let namesake = made("root.example", None, ca).0;
    assert!(!trusted(shown, chain, &namesake, "localhost").await, "who is named as the root has signed nothing");
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap().to_vec();
    let roots = [CertificateDer::from_pem_slice(root.as_bytes()).unwrap()];
    let algorithms = provider().signature_verification_algorithms;
    let below = |der: &[u8], at| trust::is_version_1_below(der, &roots, UnixTime::since_unix_epoch(at), &algorithms);
    let (now, hundred_years) = (UnixTime::now().as_secs(), 100 * 365 * 86_400);
    let at = |seconds| std::time::Duration::from_secs(seconds);
    assert!(below(&der, at(now)));
    assert!(!below(&der, at(now + hundred_years)) && !below(&der, at(1_500_000_000)), "out of its time");
    for index in 0..der.len() {
        let mut forged = der.clone();
        forged[index] ^= 1;
        assert!(!below(&forged, at(now)), "byte {index} is another");
    }
}

#[tokio::test]
async fn r25_a_certificate_that_is_itself_the_root_is_trusted() {
    let ca = |parameters: &mut CertificateParams| parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (full, chain) = (SslMode::VerifyFull, SslMode::VerifyCa);
    let (own, key) = made("localhost", None, ca);
    let namesake = made("localhost", None, ca).0;
    assert!(trusted((&own, &key), chain, &own, "elsewhere").await);
    assert!(trusted((&own, &key), full, &own, "localhost").await);
    assert!(!trusted((&own, &key), full, &own, "elsewhere").await);
    assert!(!trusted((&own, &key), chain, &namesake, "localhost").await);
    let (clients, key) = made("localhost", None, |parameters| {
        ca(parameters);
        parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert!(!trusted((&clients, &key), chain, &clients, "localhost").await, "it is for clients alone");
}

#[tokio::test]
async fn r25_the_common_name_counts_where_no_other_stands_beside_it() {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let root = authority.pem();
    for (name, beside, host, counts) in [
        ("db.example.org", None, "db.example.org", true),
        ("DB.example.org", None, "db.EXAMPLE.org", true),
        ("db.example.org", None, "db.example.net", false),
        ("*.example.org", None, "db.example.org", true),
        ("*.example.org", None, "a.db.example.org", false),
        ("*.example.org", None, "example.org", false),
        ("*.0.0.1", None, "127.0.0.1", false),
        ("127.0.0.1", None, "127.0.0.1", true),
        ("db.example.org", Some("other.example.org"), "db.example.org", false),
        ("db.example.org", Some("127.0.0.1"), "db.example.org", false),
    ] {
        let (certificate, key) = made(name, Some(&authority), |parameters| {
            let names = CertificateParams::new(beside.map(str::to_owned).into_iter().collect::<Vec<_>>()).unwrap();
            parameters.subject_alt_names = names.subject_alt_names;
        });
        let outcome = trusted((&certificate, &key), SslMode::VerifyFull, &root, host).await;
        assert_eq!(outcome, counts, "{name} beside {beside:?} for {host}");
    }
}
