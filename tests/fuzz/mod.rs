//! Hostile bytes: every kind of message is changed at random, from a kept corpus, and given to what reads it first,
//! then to a Sidecache that others are using. Whatever comes, nothing panics, what is read is as was sent, and others are served.
//!
//! Not guided by coverage, which needs a nightly compiler. Each run of one length sees the same bytes; a failure tells
//! them, and becomes a file of the corpus and a named test. The short runs belong to all tests, the long to `make test-all`.

mod live;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use sidecache::wire::frame::{backend_limit, frontend_limit, header};
use sidecache::wire::scram::{Chosen, Exchange, Verifier};
use sidecache::wire::startup::{First, first};
use sidecache::wire::{backend, frame, frontend};
use std::path::Path;

/// Inputs of a short run and of a long one.
const SHORT: usize = 20_000;
const LONG: usize = 3_000_000;

/// Changes bytes at random.
pub struct Mutator {
    corpus: Vec<Vec<u8>>,
    random: TestRng,
}

impl Mutator {
    pub fn new(kind: &str) -> Mutator {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(kind);
        let files = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let mut paths: Vec<_> = files.map(|file| file.expect("our own directory").path()).collect();
        paths.sort();
        let corpus: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("our own file")).collect();
        assert!(!corpus.is_empty(), "{} is empty", directory.display());
        Mutator { corpus, random: TestRng::deterministic_rng(RngAlgorithm::ChaCha) }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit.max(1) as u64) as usize
    }

    fn pick(&mut self) -> Vec<u8> {
        let at = self.below(self.corpus.len());
        self.corpus[at].clone()
    }

    /// The next input: one of the corpus after up to five changes, or as it is.
    pub fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.pick();
        for _ in 0..self.below(6) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let end = at + self.below(bytes.len() - at + 1).min(40);
        match self.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let other = self.pick();
                let from = self.below(other.len());
                bytes.splice(at..end, other[from..].iter().copied());
            }
            // What a length, a count or a format may be at its edges.
            4 if at + 4 <= bytes.len() => {
                let edges =
                    [0, 1, 3, 4, 5, 0xffff, 0x10000, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX];
                let edge = edges[self.below(edges.len())];
                bytes[at..at + 4].copy_from_slice(&edge.to_be_bytes());
            }
            5 if at + 2 <= bytes.len() => {
                let edges = [0, 1, 2, 0x7fff, 0x8000, 0xffff_u16];
                let edge = edges[self.below(edges.len())];
                bytes[at..at + 2].copy_from_slice(&edge.to_be_bytes());
            }
            6 => bytes.insert(at, self.random.next_u32() as u8),
            _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => {}
        }
    }
}

/// Gives so many inputs to `read`; when it panics, tells the bytes.
fn fuzz(kind: &str, inputs: usize, read: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let mut mutator = Mutator::new(kind);
    for number in 0..inputs {
        let bytes = mutator.next();
        let read = std::panic::catch_unwind(|| read(&bytes));
        assert!(read.is_ok(), "{kind}, input {number}: {}", bytes.escape_ascii());
    }
}

fn read_startup(bytes: &[u8]) {
    let Ok(Some((message, length))) = first(bytes) else { return };
    assert!(length <= bytes.len(), "it takes what is there");
    assert_eq!(first(&bytes[..length]), Ok(Some((message.clone(), length))), "what follows does not matter");
    assert_eq!(first(&bytes[..length - 1]), Ok(None), "a part is not taken for the whole");
    if let First::Startup(startup) = message {
        assert!(startup.spoken_minor() <= startup.minor);
        startup.negotiation();
    }
}

/// The frames of some bytes, as far as they are whole.
fn frames(mut bytes: &[u8], limit: fn(u8) -> usize) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let Ok(Some(found)) = header(bytes, limit)
        && let Some((whole, rest)) = bytes.split_at_checked(found.len)
    {
        frames.push((found.tag, whole));
        bytes = rest;
    }
    frames
}

fn read_frontend(bytes: &[u8]) {
    for (tag, whole) in frames(bytes, frontend_limit) {
        let body = &whole[frame::HEADER..];
        let mut written = bytes::BytesMut::new();
        match tag {
            b'P' => {
                let Ok(parse) = frontend::Parse::read(body) else { continue };
                frontend::put_parse(&mut written, parse.name, parse.sql, parse.types);
            }
            b'B' => {
                let Ok(bind) = frontend::Bind::read(body) else { continue };
                let inside = |value: &[u8]| body.as_ptr_range().contains(&value.as_ptr()) || value.is_empty();
                assert!(bind.values().all(|(_, value)| value.is_none_or(inside)));
                let count = u16::try_from(bind.result_formats.len() / 2).expect("it came as 16 bits").to_be_bytes();
                let rest = [bind.parameters, &count, bind.result_formats].concat();
                assert_eq!(frontend::Bind::names(body), Ok([bind.portal, bind.statement, &rest[..]]));
                frontend::put_bind(&mut written, bind.portal, bind.statement, &rest);
            }
            b'Q' => {
                let Ok(sql) = frontend::query(body) else { continue };
                frontend::put_query(&mut written, sql);
            }
            b'D' | b'C' => {
                let Ok((subject, name)) = frontend::subject(body) else { continue };
                frontend::put_subject(&mut written, tag, subject, name);
            }
            b'E' => {
                if let Ok((name, _)) = frontend::execute(body) {
                    assert_eq!(name.len() + 5, body.len());
                }
                continue;
            }
            _ => continue,
        }
        assert_eq!(whole.escape_ascii().to_string(), written.escape_ascii().to_string(), "written as it was read");
    }
}

fn read_backend(bytes: &[u8]) {
    for (_, whole) in frames(bytes, backend_limit) {
        let body = &whole[frame::HEADER..];
        for field in b"SVCMDHPFLR\0" {
            assert!(backend::error_field(body, *field).is_none_or(|value| value.len() < body.len()));
        }
        assert!(backend::sqlstate(body).len() <= body.len());
        assert!(backend::tag(body).len() <= body.len());
        backend::parameter(body);
        for index in [0, 1, 2, 0xffff, usize::MAX] {
            assert!(backend::column(body, index).is_none_or(|value| value.len() <= body.len()));
        }
        backend::put_raised(&mut bytes::BytesMut::new(), body);
    }
}

/// Whoever does not know the password proves nothing, whatever the messages say.
fn read_sasl(verifier: &Verifier, bytes: &[u8]) {
    let (client_first, client_final) = if bytes.starts_with(b"c=") {
        (&b"n,,n=,r=fyko+d2lbbFgONRv9qkxdawL"[..], bytes)
    } else {
        (bytes, &b"c=biws,r=NONCE,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="[..])
    };
    for chosen in [Chosen::Unbound, Chosen::UnboundByChoice] {
        let Ok((exchange, server_first)) = Exchange::begin(verifier.clone(), client_first, chosen) else { continue };
        prove(exchange, &server_first, client_final);
    }
}

fn prove(exchange: Exchange, server_first: &str, client_final: &[u8]) {
    let nonce = server_first.strip_prefix("r=").and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let mut last = client_final.to_vec();
    if let Some(at) = client_final.windows(5).position(|part| part == b"NONCE") {
        last.splice(at..at + 5, nonce.bytes());
    }
    assert!(exchange.finish(&last).is_err(), "proven without the password");
}

fn sasl(inputs: usize) {
    let verifier = Verifier::derive("a password that nobody guesses", b"0123456789abcdef".to_vec());
    fuzz("sasl", inputs, |bytes| read_sasl(&verifier, bytes));
}

#[test]
fn bytes_for_startup_are_read_safely() {
    fuzz("startup", SHORT, read_startup);
}

#[test]
fn bytes_for_frontend_messages_are_read_safely() {
    fuzz("frontend", SHORT, read_frontend);
}

#[test]
fn bytes_for_backend_messages_are_read_safely() {
    fuzz("backend", SHORT, read_backend);
}

#[test]
fn bytes_for_sasl_prove_nothing() {
    sasl(SHORT / 10);
}

#[test]
#[ignore = "a minute or two: make test-all"]
fn many_more_bytes_are_read_safely() {
    fuzz("startup", LONG, read_startup);
    fuzz("frontend", LONG, read_frontend);
    fuzz("backend", LONG, read_backend);
    sasl(LONG / 100);
}
