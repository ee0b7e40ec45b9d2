//! As much of a certificate as its holder's proof needs: where in the DER its key stands. What rustls reads is of version 3
//! alone; `openssl x509 -req` without extensions makes version 1, which PostgreSQL and libpq take.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, DigitallySignedStruct, Error};
use rustls_pki_types::SubjectPublicKeyInfoDer;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// `[0]`, explicit: the version, left out by version 1.
const VERSION: u8 = 0xa0;

/// The parts of a certificate, each without its tag and length unless said otherwise.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The subject's key with its algorithm, tag and length included.
    pub key: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Nothing if this is no certificate.
    pub fn of(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Der(Der(der).whole(SEQUENCE)?);
        let mut signed = Der(certificate.next(SEQUENCE)?.content);
        if signed.tag() == Some(VERSION) {
            signed.next(VERSION)?;
        }
        signed.next(INTEGER)?;
        // Algorithm, issuer, validity, subject.
        for _ in 0..4 {
            signed.next(SEQUENCE)?;
        }
        let key = signed.next(SEQUENCE)?.all;
        Some(Parts { key })
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
    let bits = key.whole(BIT_STRING)?;
    // The first byte counts the bits that are not used.
    bits.strip_prefix(&[0]).map(|bits| (algorithm, bits))
}

/// Reads values from its front.
struct Der<'a>(&'a [u8]);

struct Value<'a> {
    content: &'a [u8],
    /// Tag and length included.
    all: &'a [u8],
}

impl<'a> Der<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(&mut self, tag: u8) -> Option<Value<'a>> {
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
    fn whole(mut self, tag: u8) -> Option<&'a [u8]> {
        let value = self.next(tag)?;
        self.0.is_empty().then_some(value.content)
    }
}
