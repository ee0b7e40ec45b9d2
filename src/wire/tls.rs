//! TLS on both sides: what `sslmode` demands of an upstream certificate, and what clients are shown. The only file
//! beside `certificate` and `trust` that names rustls. It negotiates nothing: who calls has already agreed on TLS with the peer, and has read no byte
//! past that agreement, so that nothing sent in plain can be taken for something sent inside.

use crate::config::{ClientAuth, ClientTls, SslMode};
use crate::wire::certificate;
use crate::wire::scram::EndPoint;
use crate::wire::stream::Stream;
use crate::wire::trust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
pub use tokio_rustls::TlsConnector;

/// The protocol's name in ALPN, as PostgreSQL 17 registered it.
const ALPN: &[u8] = b"postgresql";

/// `sslrootcert=system`: the operating system's roots, as libpq reads that word.
const SYSTEM_ROOTS: &str = "system";

/// Why TLS cannot be used as configured.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is not PEM.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A file or the system holds no certificate.
    #[error("no certificate in {0}")]
    NoCertificate(String),
    /// Certificate and key don't fit, or rustls refuses them.
    #[error("{0}")]
    Unusable(String),
}

/// How a client asked for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negotiation {
    /// By SSLRequest, answered `S`.
    Requested,
    /// By sending a ClientHello at once; ALPN must then name PostgreSQL, or the bytes may be meant for another protocol.
    Direct,
}

/// How much of an upstream certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

impl Check {
    /// As libpq: a root certificate given turns `require` into `verify-ca`.
    fn of(mode: SslMode, root_cert: Option<&Path>) -> Self {
        match (mode, root_cert) {
            (SslMode::Disable | SslMode::Prefer, _) | (SslMode::Require, None) => Check::Nothing,
            (SslMode::Require, Some(_)) | (SslMode::VerifyCa, _) => Check::Chain,
            (SslMode::VerifyFull, _) => Check::ChainAndName,
        }
    }
}

/// What connects to an upstream server by TLS. Without a root certificate, the system's roots are trusted.
///
/// # Errors
/// The roots cannot be read, or there are none.
pub fn client_connector(mode: SslMode, root_cert: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let check = Check::of(mode, root_cert);
    let (roots, own) = if check == Check::Nothing { (RootCertStore::empty(), Vec::new()) } else { roots(root_cert)? };
    let provider = provider();
    let verifier = Verifier { check, roots, own, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What answers clients by TLS.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    /// The certificate as channel binding names it, if it can.
    pub end_point: Option<EndPoint>,
    /// What a client's certificate counts for.
    pub client_auth: ClientAuth,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("end_point", &self.end_point.is_some()).finish_non_exhaustive()
    }
}

/// Reads certificate, key, and who signs certificates of clients.
///
/// # Errors
/// A file cannot be read, or key and certificate don't fit.
pub fn server_acceptor(files: &ClientTls) -> Result<Acceptor, TlsError> {
    let chain = certificates(&files.certificate)?;
    let end_point = chain.first().and_then(|own| EndPoint::of(own));
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| file_error(&files.key, cause))?;
    let clients = match &files.client_ca {
        Some(authorities) => {
            let roots = Arc::new(roots(Some(authorities))?.0);
            // Who shows none is told so in PostgreSQL's words, not in those of TLS; a bad one fails the handshake.
            let clients = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated();
            clients.build().map_err(|cause| TlsError::Unusable(cause.to_string()))?
        }
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Acceptor { tls: TlsAcceptor::from(Arc::new(config)), end_point, client_auth: files.client_auth })
}

/// Begins TLS with an upstream server that has agreed to it. `host` is the name that its certificate must carry.
///
/// # Errors
/// The handshake failed, or `host` is no name that a certificate could carry.
pub async fn connect(connector: &TlsConnector, host: &str, tcp: TcpStream) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    Ok(Stream::TlsClient(Box::new(connector.connect(name, tcp).await?)))
}

/// Answers a client's handshake.
///
/// # Errors
/// The handshake failed, or was begun directly without ALPN.
pub async fn accept(acceptor: &Acceptor, tcp: TcpStream, negotiation: Negotiation) -> io::Result<Stream> {
    let stream = acceptor.tls.accept(tcp).await?;
    if negotiation == Negotiation::Direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "direct TLS without ALPN \"postgresql\""));
    }
    Ok(Stream::TlsServer(Box::new(stream)))
}

/// Given wherever one is needed: nothing relies on a default that `main` would have to install first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Those of a file also as they stand there; nothing of the system's.
fn roots(file: Option<&Path>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let mut roots = RootCertStore::empty();
    let mut own = Vec::new();
    match file {
        Some(path) if path.as_os_str() != SYSTEM_ROOTS => {
            own = certificates(path)?;
            for certificate in &own {
                roots.add(certificate.clone()).map_err(|cause| file_error(path, cause))?;
            }
        }
        _ => {
            // Systems carry certificates that rustls does not take; those are of no use, the others are.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() { Err(TlsError::NoCertificate("the system's store".to_owned())) } else { Ok((roots, own)) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |path| CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    let chain = read(path).map_err(|cause: rustls_pki_types::pem::Error| file_error(path, cause))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.display().to_string())) } else { Ok(chain) }
}

fn file_error(path: &Path, cause: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), cause: cause.to_string() }
}

fn unusable(cause: rustls::Error) -> TlsError {
    TlsError::Unusable(cause.to_string())
}

/// Checks an upstream certificate as far as `sslmode` says. That the peer holds the certificate's key is always checked, also
/// where rustls cannot read the certificate: channel binding counts on it.
#[derive(Debug)]
struct Verifier {
    check: Check,
    roots: RootCertStore,
    /// Those of the roots that a file names.
    own: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Whether one of the roots vouches for it, as webpki sees it or else as OpenSSL does.
    fn chains(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let strict = ParsedCertificate::try_from(leaf).and_then(|leaf| {
            verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, others, now, algorithms.all)
        });
        strict.or_else(|cause| {
            let trusted =
                trust::is_a_root(leaf, &self.own, now) || trust::is_version_1_below(leaf, &self.own, now, algorithms);
            if trusted { Ok(()) } else { Err(cause) }
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.check != Check::Nothing {
            self.chains(end_entity, intermediates, now)?;
        }
        if self.check == Check::ChainAndName {
            let strict =
                ParsedCertificate::try_from(end_entity).and_then(|leaf| verify_server_name(&leaf, server_name));
            strict.or_else(|cause| if trust::common_name_is(end_entity, server_name) { Ok(()) } else { Err(cause) })?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verify_tls12_signature(message, certificate, signature, algorithms);
        }
        certificate::has_signed(message, certificate, signature, algorithms)?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verify_tls13_signature(message, certificate, signature, algorithms);
        }
        verify_tls13_signature_with_raw_key(message, &certificate::key(certificate)?, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
