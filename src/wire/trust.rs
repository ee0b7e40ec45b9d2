//! What OpenSSL takes of a server's certificate and webpki does not: itself among the roots, of version 1 below a root, by its
//! common name. Where any of it is in doubt, it is not taken.

use super::certificate::{Der, Parts, SEQUENCE};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_certificate::CapturedX509Certificate;

/// Object identifiers of extensions, as their bytes.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];

/// Object identifier of the purpose `serverAuth`.
const SERVER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// What a key may be used for: in the first byte of the bits.
const FOR_HANDSHAKES: u8 = 0x80 | 0x20 | 0x08;
const FOR_CERTIFICATES: u8 = 0x04;

/// Tags within alternative names.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// A certificate as both see it: in its bytes, and read.
struct Read<'a> {
    parts: Parts<'a>,
    certificate: CapturedX509Certificate,
}

impl<'a> Read<'a> {
    fn of(der: &'a [u8]) -> Option<Self> {
        Some(Read { parts: Parts::of(der)?, certificate: CapturedX509Certificate::from_der(der).ok()? })
    }

    fn is_version_1(&self) -> bool {
        self.parts.version_1 && self.certificate.iter_extensions().next().is_none()
    }

    fn names_itself(&self) -> bool {
        self.parts.issuer == self.parts.subject
    }

    fn is_valid_at(&self, now: UnixTime) -> bool {
        let (from, to) = (self.certificate.validity_not_before(), self.certificate.validity_not_after());
        i64::try_from(now.as_secs()).is_ok_and(|now| (from.timestamp()..=to.timestamp()).contains(&now))
    }

    fn extension(&self, id: &[u8]) -> Option<Vec<u8>> {
        let mut all = self.certificate.iter_extensions();
        all.find(|one| one.id.as_ref() == id).map(|one| one.value.to_bytes().to_vec())
    }

    /// Whether its key may be used for any of this, as far as it says.
    fn may(&self, usage: u8) -> bool {
        self.extension(KEY_USAGE).is_none_or(|bits| {
            // How many bits of the last byte are not used, then the bits.
            let bits = Der(&bits).whole(0x03);
            bits.and_then(|bits| bits.get(1)).is_some_and(|bits| bits & usage != 0)
        })
    }

    fn may_be_a_servers(&self) -> bool {
        let known = [KEY_USAGE, ALTERNATIVE_NAMES, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE];
        let understood = |id: &[u8], critical| known.contains(&id) || critical != Some(true);
        self.certificate.iter_extensions().all(|one| understood(one.id.as_ref(), one.critical))
            && self.may(FOR_HANDSHAKES)
            && self.extension(EXTENDED_KEY_USAGE).is_none_or(|purposes| {
                let mut purposes = Der(Der(&purposes).whole(SEQUENCE).unwrap_or_default());
                std::iter::from_fn(|| purposes.next(0x06)).any(|purpose| purpose.content == SERVER)
            })
    }

    fn may_sign_certificates(&self) -> bool {
        if self.is_version_1() {
            return self.names_itself();
        }
        let authority = self.extension(BASIC_CONSTRAINTS).is_some_and(|constraints| {
            let mut constraints = Der(Der(&constraints).whole(SEQUENCE).unwrap_or_default());
            constraints.next(0x01).is_some_and(|authority| authority.content == [0xff])
        });
        authority && self.may(FOR_CERTIFICATES) && self.extension(NAME_CONSTRAINTS).is_none()
    }
}

/// Whether this is one of the roots, byte for byte: the manual's self-signed certificate, which is an authority's by its
/// extensions.
pub fn is_a_root(leaf: &[u8], roots: &[CertificateDer<'_>], now: UnixTime) -> bool {
    roots.iter().any(|root| root.as_ref() == leaf)
        && Read::of(leaf).is_some_and(|leaf| leaf.names_itself() && leaf.is_valid_at(now) && leaf.may_be_a_servers())
}

/// Whether this is of version 1, which can carry no extension, and signed by one of the roots itself.
pub fn is_version_1_below(
    leaf: &[u8],
    roots: &[CertificateDer<'_>],
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let Some(leaf) = Read::of(leaf) else { return false };
    let signs = |root: &CertificateDer<'_>| {
        let Some(root) = Read::of(root) else { return false };
        root.parts.subject == leaf.parts.issuer
            && root.is_valid_at(now)
            && root.may_sign_certificates()
            && leaf.parts.is_signed_by(root.parts.key, algorithms)
    };
    leaf.is_version_1() && leaf.is_valid_at(now) && roots.iter().any(signs)
}

/// Whether the common name is this host's, as libpq compares it. It counts only for a certificate without a name or address beside it.
pub fn common_name_is(leaf: &[u8], host: &ServerName<'_>) -> bool {
    let Some(leaf) = Read::of(leaf) else { return false };
    if let Some(names) = leaf.extension(ALTERNATIVE_NAMES) {
        let Some(names) = Der(&names).whole(SEQUENCE) else { return false };
        let mut names = Der(names);
        while let Some(tag) = names.tag() {
            if tag == DNS_NAME || tag == IP_ADDRESS || names.next(tag).is_none() {
                return false;
            }
        }
    }
    let Some(name) = leaf.certificate.subject_common_name() else { return false };
    let host_text = host.to_str();
    name.eq_ignore_ascii_case(&host_text) || matches!(host, ServerName::DnsName(_)) && covers(&name, &host_text)
}

/// Whether `*.example.org` is this host's name: the star is one label, and whole.
fn covers(name: &str, host: &str) -> bool {
    let (Some(domain), Some((label, rest))) = (name.strip_prefix("*."), host.split_once('.')) else { return false };
    !domain.is_empty() && !label.is_empty() && rest.eq_ignore_ascii_case(domain)
}
