//! A certificate of version 1, as `openssl x509 -req` makes it without extensions; rcgen makes none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, CertifiedIssuer, DistinguishedName, DnType, KeyPair, SigningKey, date_time_ymd};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// What version 3 has besides: the version, and the extensions.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// For this common name, from 2020 to 2100, and its key: both in PEM.
pub fn version_1(name: &str, issuer: &CertifiedIssuer<'_, KeyPair>) -> (String, String) {
    let mut parameters = CertificateParams::new(vec![]).expect("no name");
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    (parameters.not_before, parameters.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters.signed_by(&key, issuer).expect("signed");
    let (signed, rest) = first(content(certificate.der()));
    let (algorithm, _) = first(rest);
    let (mut kept, mut parts) = (Vec::new(), content(signed));
    while !parts.is_empty() {
        let (part, rest) = first(parts);
        if !matches!(part[0], VERSION | EXTENSIONS) {
            kept.extend_from_slice(part);
        }
        parts = rest;
    }
    let signed = whole(SEQUENCE, &kept);
    // No bits of the last byte are left out.
    let signature = [vec![0], issuer.key().sign(&signed).expect("signed")].concat();
    let der = whole(SEQUENCE, &[signed, algorithm.to_vec(), whole(BIT_STRING, &signature)].concat());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines(&STANDARD.encode(der)));
    (pem, key.serialize_pem())
}

/// The length of what stands before the content, and of the content.
fn lengths(der: &[u8]) -> (usize, usize) {
    match der[1] {
        short @ ..0x80 => (2, short.into()),
        long => {
            let bytes = usize::from(long & 0x7f);
            (2 + bytes, der[2..2 + bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    }
}

fn content(der: &[u8]) -> &[u8] {
    let (head, length) = lengths(der);
    &der[head..head + length]
}

fn first(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = lengths(der);
    der.split_at(head + length)
}

fn whole(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("it is short").to_be_bytes();
    // In as few bytes as it goes.
    let head = match content.len() {
        ..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&head, content].concat()
}

fn lines(text: &str) -> String {
    text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\n")
}
