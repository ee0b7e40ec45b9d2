//! As much of a certificate as proofs need: where in the DER its key and its signature stand. What rustls reads is of version 3
//! alone; `openssl x509 -req` without extensions makes version 1, which PostgreSQL and libpq take.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, DigitallySignedStruct, Error};
use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};

pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// `[0]`, explicit: the version, left out by version 1.
const VERSION: u8 = 0xa0;

/// The parts of a certificate, each with its tag and length unless said otherwise.
#[derive(Debug)]
pub struct Parts<'a> {
    /// What its issuer has signed.
    signed: &'a [u8],
    /// By which algorithm; what stands in it.
    algorithm: &'a [u8],
    /// The bits.
    signature: &'a [u8],
    /// Whether it names no version.
    pub version_1: bool,
    /// Who has signed.
    pub issuer: &'a [u8],
    /// Whose it is.
    pub subject: &'a [u8],
    /// The subject's key with its algorithm.
    pub key: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Nothing if this is no certificate.
    pub fn of(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Der(Der(der).whole(SEQUENCE)?);
        let signed = certificate.next(SEQUENCE)?;
        let algorithm = certificate.next(SEQUENCE)?;
        let signature = whole_bytes(certificate.whole(BIT_STRING)?)?;
        let mut inside = Der(signed.content);
        let version_1 = inside.tag() != Some(VERSION);
        if !version_1 {
            inside.next(VERSION)?;
        }
        inside.next(INTEGER)?;
        // Named twice, and the same both times.
        if inside.next(SEQUENCE)?.all != algorithm.all {
            return None;
        }
        let issuer = inside.next(SEQUENCE)?.all;
        let _validity = inside.next(SEQUENCE)?;
        let subject = inside.next(SEQUENCE)?.all;
        let key = inside.next(SEQUENCE)?.all;
        let version_1 = version_1 && inside.tag().is_none();
        Some(Parts { signed: signed.all, algorithm: algorithm.content, signature, version_1, issuer, subject, key })
    }

    /// Whether the holder of this key has signed it, by an algorithm that is good for certificates.
    pub fn is_signed_by(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let Some((kind, key)) = split(key) else { return false };
        let fits = |one: &&&dyn SignatureVerificationAlgorithm| {
            one.public_key_alg_id().as_ref() == kind && one.signature_alg_id().as_ref() == self.algorithm
        };
        let fitting = algorithms.all.iter().filter(fits);
        fitting.into_iter().any(|one| one.verify_signature(key, self.signed, self.signature).is_ok())
    }
}

/// The subject's key of a certificate of whatever version, as it stands there.
pub fn key(certificate: &[u8]) -> Result<SubjectPublicKeyInfoDer<'_>, Error> {
    let parts = Parts::of(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(SubjectPublicKeyInfoDer::from(parts.key))
}

/// Whether who signed a TLS 1.2 handshake holds the certificate's key, as rustls sees to it for version 3: the scheme names several
/// algorithms there, of which the key's is the one.
pub fn has_signed(
    message: &[u8],
    certificate: &[u8],
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let bad = |cause| Error::InvalidCertificate(cause);
    let key = key(certificate)?;
    let (algorithm, key) = split(&key).ok_or(bad(CertificateError::BadEncoding))?;
    let named = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
    let fitting =
        named.flat_map(|(_, candidates)| *candidates).find(|one| one.public_key_alg_id().as_ref() == algorithm);
    let fitting = fitting.ok_or(bad(CertificateError::BadSignature))?;
    fitting.verify_signature(key, message, signed.signature()).map_err(|_| bad(CertificateError::BadSignature))
}

/// Algorithm and bits of a key.
fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut key = Der(Der(key).whole(SEQUENCE)?);
    let algorithm = key.next(SEQUENCE)?.content;
    Some((algorithm, whole_bytes(key.whole(BIT_STRING)?)?))
}

/// The first byte of a bit string counts the bits that are not used.
fn whole_bytes(bits: &[u8]) -> Option<&[u8]> {
    bits.strip_prefix(&[0])
}

/// Reads values from its front.
pub(super) struct Der<'a>(pub &'a [u8]);

pub(super) struct Value<'a> {
    pub content: &'a [u8],
    /// Tag and length included.
    pub all: &'a [u8],
}

impl<'a> Der<'a> {
    pub fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub fn next(&mut self, tag: u8) -> Option<Value<'a>> {
        let (&[first, length], rest) = self.0.split_first_chunk()?;
        if first != tag {
            return None;
        }
        // The short form, or how many bytes of length follow; a certificate is shorter than what three can say.
        let (length, content) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81..=0x83 => {
                let (bytes, content) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), content)
            }
            _ => return None,
        };
        let (content, rest) = content.split_at_checked(length)?;
        let all = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Value { content, all })
    }

    /// The one value that is left.
    pub fn whole(mut self, tag: u8) -> Option<&'a [u8]> {
        let value = self.next(tag)?;
        self.0.is_empty().then_some(value.content)
    }
}
