//! Channel binding `tls-server-end-point` (RFC 5929, section 4): the hash of the certificate that the server showed, by the
//! hash of the certificate's own signature. Both ends put it under the SCRAM proof, so that nobody can stand between them.
//! And whose certificate a client showed.

use crate::wire::stream::Stream;
use ring::digest::{self, SHA256, SHA384, SHA512};
use x509_certificate::{CapturedX509Certificate, SignatureAlgorithm};

/// The hash, and the certificate as PEM; nothing for a certificate whose signature names no hash (as Ed25519).
pub fn end_point(der: &[u8]) -> Option<(Vec<u8>, String)> {
    let certificate = CapturedX509Certificate::from_der(der).ok()?;
    // MD5 and SHA-1 are replaced by SHA-256.
    let algorithm = match certificate.signature_algorithm()? {
        SignatureAlgorithm::RsaSha1 | SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::EcdsaSha256 => &SHA256,
        SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::EcdsaSha384 => &SHA384,
        SignatureAlgorithm::RsaSha512 => &SHA512,
        _ => return None,
    };
    Some((digest::digest(algorithm, der).as_ref().to_vec(), certificate.encode_pem()))
}

/// The certificate that a client showed, which its authority has signed and whose key it holds: TLS sees to both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Of the subject; the first if there are several, as OpenSSL reads it.
    pub common_name: Option<String>,
}

/// Nothing if the client showed none.
pub fn shown_by_client(stream: &Stream) -> Option<Shown> {
    let Stream::TlsServer(tls) = stream else { return None };
    let certificate = tls.get_ref().1.peer_certificates()?.first()?;
    let read = CapturedX509Certificate::from_der(certificate.as_ref()).ok();
    Some(Shown { common_name: read.and_then(|certificate| certificate.subject_common_name()) })
}

/// What a proof to the server at the other end can be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bindable {
    /// The hash of the certificate that it showed.
    EndPoint(Vec<u8>),
    /// There is TLS, and its certificate's signature names no hash (as Ed25519): whoever stands between may have chosen it for that.
    Hashless,
    /// There is no TLS.
    Nothing,
}

impl Bindable {
    pub fn of_server(stream: &Stream) -> Self {
        let Stream::TlsClient(tls) = stream else { return Bindable::Nothing };
        let certificate = tls.get_ref().1.peer_certificates().and_then(|all| all.first());
        let hash = certificate.and_then(|certificate| end_point(certificate));
        hash.map_or(Bindable::Hashless, |(hash, _)| Bindable::EndPoint(hash))
    }
}
