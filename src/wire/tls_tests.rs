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
