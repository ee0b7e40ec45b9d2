//! What is asserted of bytes from outside, whoever brings them: `mod.rs` changes a kept corpus at random, the targets of
//! libFuzzer (`targets`) look for what reaches new code. Each function is one of both. Knows nothing of where bytes come from.

use sidecache::cache::encoding::Foreign;
use sidecache::catalog::{Catalog, SearchPath};
use sidecache::feed::decode::{Assembler, MOST_NAMES, NameEncoding, Names, QualifiedName};
use sidecache::route::plan::{Encoding, plan};
use sidecache::sql::identity::strip;
use sidecache::sql::token::{Lexed, lex};
use sidecache::store::shared::seal::Sealer;
use sidecache::types::Lsn;
use sidecache::wire::frame::{backend_limit, frontend_limit, header};
use sidecache::wire::scram::{Chosen, Exchange, Verifier};
use sidecache::wire::startup::{First, first};
use sidecache::wire::{backend, frame, frontend};
use std::sync::LazyLock;

/// The first message of a connection.
pub fn startup(bytes: &[u8]) {
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

/// What a client says once it is let in.
pub fn frontend(bytes: &[u8]) {
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

/// What PostgreSQL says.
pub fn backend(bytes: &[u8]) {
    for (_, whole) in frames(bytes, backend_limit) {
        let body = &whole[frame::HEADER..];
        for field in b"SVCMDHPFLR\0" {
            assert!(backend::error_field(body, *field).is_none_or(|value| value.len() < body.len()));
        }
        assert!(backend::sqlstate(body).len() <= body.len());
        assert!(backend::tag(body).len() <= body.len());
        backend::parameter(body);
        assert_ne!(backend::shape(body), 0, "no shape is zero");
        for index in [0, 1, 2, 0xffff, usize::MAX] {
            assert!(backend::column(body, index).is_none_or(|value| value.len() <= body.len()));
        }
        backend::put_raised(&mut bytes::BytesMut::new(), body);
    }
}

/// Whoever does not know the password proves nothing, whatever the messages say.
pub fn sasl(bytes: &[u8]) {
    static VERIFIER: LazyLock<Verifier> =
        LazyLock::new(|| Verifier::derive("a password that nobody guesses", b"0123456789abcdef".to_vec()));
    let (client_first, client_final) = if bytes.starts_with(b"c=") {
        (&b"n,,n=,r=fyko+d2lbbFgONRv9qkxdawL"[..], bytes)
    } else {
        (bytes, &b"c=biws,r=NONCE,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="[..])
    };
    for chosen in [Chosen::Unbound, Chosen::UnboundByChoice] {
        let Ok((exchange, server_first)) = Exchange::begin(VERIFIER.clone(), client_first, chosen) else { continue };
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

/// A text, before any catalog: what has no catalog is not cached, and comments change nothing.
pub fn sql(bytes: &[u8]) {
    let (path, catalog) = (SearchPath(vec!["public".to_owned()]), Catalog::default());
    for standard_strings in [true, false] {
        let plan_of = |text: &[u8]| plan(text, &path, standard_strings, Encoding::Utf8, &catalog);
        let planned = plan_of(bytes);
        assert!(planned.cache.is_err(), "cached without a catalog");
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        let stripped = strip(text, standard_strings).identity;
        assert_eq!(strip(&stripped, standard_strings).identity, stripped, "stripped once is stripped");
        let Ok(lexed) = lex(text, standard_strings) else { continue };
        let again = lex(&stripped, standard_strings).unwrap_or_else(|e| panic!("stripped, it is broken: {e:?}"));
        assert_eq!(tokens(&lexed), tokens(&again), "stripping changes no token");
        let bare = plan_of(stripped.as_bytes());
        let told = |plan: &sidecache::route::plan::Plan| (plan.kind.label(), plan.place, plan.pin, plan.cache.clone());
        assert_eq!(told(&planned), told(&bare), "stripping changes no plan");
    }
}

/// What the tokens say, but for closing semicolons, which no identity keeps.
fn tokens(lexed: &Lexed<'_>) -> Vec<String> {
    let token = |at| lexed.string(at).map_or_else(|| lexed.raw(at).to_owned(), |string| format!("'{string}"));
    let mut tokens: Vec<String> = (0..lexed.len()).map(token).collect();
    while tokens.last().is_some_and(|last| last == ";") {
        tokens.pop();
    }
    tokens
}

/// What Redis says: without the secret nothing opens, and what decodes is what would have been encoded.
pub fn shared(bytes: &[u8]) {
    static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(b"a secret that nobody guesses"));
    let address = SEALER.address(1, b"key");
    assert!(SEALER.open(&address, b"key", &mut bytes.to_vec()).is_err(), "opened without the secret");
    if let Ok(foreign) = Foreign::decode(bytes) {
        assert_eq!(foreign.encode(), bytes, "encoded as it was decoded");
    }
}

/// Lines as test_decoding writes them: no name is heard that was not written.
pub fn decoding(bytes: &[u8]) {
    for encoding in [NameEncoding::Utf8, NameEncoding::Other] {
        let mut assembler = Assembler::new(encoding);
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let position = Lsn::new(at as u64);
            let commit = match assembler.line(position, line) {
                Ok(Some(commit)) => commit,
                Ok(None) => continue,
                // The stream is given up.
                Err(_) => break,
            };
            assert_eq!(commit.end, position);
            let Names::Listed(names) = commit.names else { continue };
            assert!(!names.is_empty() && names.len() <= MOST_NAMES);
            for name in &names {
                assert!(was_written(bytes, name), "nobody wrote {name:?}");
            }
        }
    }
}

/// Whether the name stands somewhere, each half with quotes or without.
fn was_written(bytes: &[u8], name: &QualifiedName) -> bool {
    let ways = |part: &str| [part.to_owned(), format!("\"{}\"", part.replace('"', "\"\""))];
    ways(&name.schema).iter().any(|schema| {
        ways(&name.name)
            .iter()
            .any(|table| memchr::memmem::find(bytes, format!("{schema}.{table}").as_bytes()).is_some())
    })
}
