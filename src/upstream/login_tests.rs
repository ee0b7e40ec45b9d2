//! Logins at servers that do what no server should.

use super::*;
use crate::config::SslMode;
use crate::upstream::fake::{Fake, account, authentication, frame, greeting, startup};
use tokio::io::{AsyncReadExt, DuplexStream};

fn channel(end_point: Option<&[u8]>) -> Channel {
    Channel { wanted: ChannelBinding::Prefer, bindable: bindable(end_point) }
}

fn bindable(end_point: Option<&[u8]>) -> Bindable {
    end_point.map_or(Bindable::Nothing, |hash| Bindable::EndPoint(hash.to_vec()))
}

/// Logs in at a server that says all of this whatever it hears, and then closes.
async fn login_at(says: &[u8], cleartext: Cleartext, proof: Option<&str>) -> Result<Greeting, Failure> {
    let (mut ours, mut theirs) = tokio::io::duplex(1 << 20);
    theirs.write_all(says).await.unwrap();
    theirs.shutdown().await.unwrap();
    login(&mut ours, cleartext, channel(None), &account(proof), "shop", &[]).await
}

fn is_broken(outcome: Result<Greeting, Failure>) -> String {
    match outcome {
        Err(Failure::Broken(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

fn is_refused(outcome: Result<Greeting, Failure>) -> ServerError {
    match outcome {
        Err(Failure::Refused { frame, .. }) => ServerError::read(&frame[5..]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_the_server_says_of_itself_is_kept() {
    let said = login_at(&greeting(), Cleartext::Kept, None).await.unwrap();
    assert_eq!(said.parameters, BTreeMap::from([("TimeZone".to_owned(), "UTC".to_owned())]));
    assert_eq!(said.key, BackendKey { process: 42, secret: Bytes::from_static(&[1, 2, 3, 4]) });
    assert!(said.input.is_empty());
}

#[tokio::test]
async fn the_startup_packet_names_user_database_and_what_is_added() {
    let (mut ours, mut theirs) = tokio::io::duplex(4096);
    let added = [("replication", "database")];
    let shop = account(None);
    let (outcome, packet) =
        tokio::join!(login(&mut ours, Cleartext::Kept, channel(None), &shop, "db", &added), async {
            let packet = startup(&mut theirs).await;
            theirs.write_all(&greeting()).await.unwrap();
            packet
        });
    outcome.unwrap();
    assert_eq!(packet, b"\0\x03\0\0user\0shop\0database\0db\0replication\0database\0\0");
    let injected = account(None);
    let outcome = login(&mut ours, Cleartext::Kept, channel(None), &injected, "db\0options\0-cx", &[]).await;
    assert!(matches!(outcome, Err(Failure::Broken(_))), "a zero byte cannot smuggle a parameter");
}

#[tokio::test]
async fn r25_hostile_bytes_at_login_are_errors_and_nothing_else() {
    let raw = |tag: u8, length: u32| [&[tag][..], &length.to_be_bytes()].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("length -1", raw(b'R', u32::MAX)),
        ("length 0", raw(b'R', 0)),
        ("length 3", raw(b'R', 3)),
        ("length of a gigabyte", raw(b'E', 0x3fff_ffff)),
        ("a cut header", b"R\0\0".to_vec()),
        ("a cut request", frame(b'R', b"\0\0").to_vec()),
        ("a cut salt", authentication(5, b"abc").to_vec()),
        ("too long a salt", authentication(5, b"abcde").to_vec()),
        ("mechanisms without an end", authentication(10, b"SCRAM-SHA-256").to_vec()),
        ("SASL that did not begin", authentication(11, b"r=x").to_vec()),
        ("an end of SASL that did not begin", authentication(12, b"v=x").to_vec()),
        ("no authentication", frame(b'Z', b"I").to_vec()),
        ("a parameter without a value", [authentication(0, b""), frame(b'S', b"TimeZone\0")].concat()),
        ("a cut key", [authentication(0, b""), frame(b'K', b"\0\0")].concat()),
        ("a transaction", [authentication(0, b""), frame(b'Z', b"T")].concat()),
        ("an empty status", [authentication(0, b""), frame(b'Z', b"")].concat()),
        ("rows", [authentication(0, b""), frame(b'D', b"\0\0")].concat()),
        ("authentication again", [authentication(0, b""), authentication(0, b"")].concat()),
        ("notices for ever", frame(b'N', b"\0").repeat(MESSAGES + 1)),
        (
            "parameters for ever",
            [authentication(0, b""), frame(b'S', b"a\0b\0").repeat(MESSAGES).as_slice().into()].concat(),
        ),
    ];
    for (what, says) in cases {
        let outcome = login_at(&says, Cleartext::Taken, Some("secret")).await;
        assert!(matches!(outcome, Err(Failure::Broken(_))), "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_servers_error_is_kept_whole() {
    let error = frame(b'E', b"SFATAL\0C28P01\0Mwrong\0\0");
    match login_at(&error, Cleartext::Kept, None).await {
        Err(Failure::Refused { frame: kept, proven, .. }) => assert_eq!((kept, proven), (error.freeze(), false)),
        other => panic!("{other:?}"),
    }
    let empty = is_refused(login_at(&frame(b'E', b""), Cleartext::Kept, None).await);
    assert_eq!(empty.sqlstate, "XX000");
}

#[tokio::test]
async fn a_plain_password_is_not_sent_where_anyone_may_listen() {
    let asks = [&authentication(3, b"")[..], &greeting()].concat();
    assert_eq!(is_refused(login_at(&asks, Cleartext::Kept, Some("secret")).await).sqlstate, "28000");
    assert!(login_at(&asks, Cleartext::Taken, Some("secret")).await.is_ok());
    let unknown = is_refused(login_at(&asks, Cleartext::Taken, None).await);
    assert_eq!(unknown.sqlstate, "28000", "{}", unknown.message);
}

#[tokio::test]
async fn an_unknown_authentication_is_refused_by_name() {
    for asks in [authentication(7, b""), authentication(10, b"OAUTHBEARER\0\0"), authentication(10, b"\0")] {
        assert_eq!(is_refused(login_at(&asks, Cleartext::Taken, Some("secret")).await).sqlstate, "28000");
    }
}

async fn sent(stream: &mut DuplexStream) -> Vec<u8> {
    let _tag = stream.read_u8().await.unwrap();
    startup(stream).await
}

/// A server that goes through SCRAM and then says `last`.
async fn scram_ending_with(proof: LoginProof, last: BytesMut) -> Result<Greeting, Failure> {
    let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
    let account = Account { user: "shop".into(), proof };
    let server = async {
        startup(&mut theirs).await;
        theirs.write_all(&authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")).await.unwrap();
        let first = sent(&mut theirs).await;
        let nonce = &first[memchr::memmem::find(&first, b",r=").unwrap() + 3..];
        let answer = [b"r=", nonce, b"more,s=c2FsdA==,i=4096"].concat();
        theirs.write_all(&authentication(11, &answer)).await.unwrap();
        sent(&mut theirs).await;
        theirs.write_all(&last).await.unwrap();
        theirs
    };
    // Ours is closed as soon as the login ends, so that a server that still waits fails instead of hanging.
    let client = async move { login(&mut ours, Cleartext::Kept, channel(None), &account, "shop", &[]).await };
    tokio::join!(client, server).0
}

#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_not_believed() {
    let proofs = [
        LoginProof::Password(crate::config::Secret("secret".into())),
        LoginProof::ScramKeys { client: [1; 32], server: [2; 32] },
    ];
    for proof in proofs {
        let cause = is_broken(scram_ending_with(proof.clone(), greeting()).await);
        assert_eq!(cause, "the server did not prove itself");
        let forged = [&authentication(12, b"v=AAAA")[..], &greeting()].concat();
        is_broken(scram_ending_with(proof.clone(), forged.as_slice().into()).await);
        let error = frame(b'E', b"C28P01\0\0");
        assert_eq!(is_refused(scram_ending_with(proof, error).await).sqlstate, "28P01");
    }
}

/// Where the server offers PLUS inside TLS, every proof is bound to its certificate; where it does not, it is told that we could.
#[tokio::test]
async fn a_proof_is_bound_to_the_servers_certificate_where_that_is_offered() {
    let proofs = [
        LoginProof::Password(crate::config::Secret("secret".into())),
        LoginProof::ScramKeys { client: [1; 32], server: [2; 32] },
    ];
    for proof in proofs {
        for (offer, begins, bound) in [
            (
                &b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"[..],
                &b"SCRAM-SHA-256-PLUS\0"[..],
                &b"p=tls-server-end-point,,"[..],
            ),
            (b"SCRAM-SHA-256\0\0", b"SCRAM-SHA-256\0", b"y,,"),
        ] {
            let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
            let account = Account { user: "shop".into(), proof: proof.clone() };
            // Theirs is closed once it has heard the proof, so that the login ends.
            let server = async move {
                startup(&mut theirs).await;
                theirs.write_all(&authentication(10, offer)).await.unwrap();
                let first = sent(&mut theirs).await;
                assert!(first.starts_with(begins) && memchr::memmem::find(&first, bound).is_some(), "{first:?}");
                let nonce = &first[memchr::memmem::find(&first, b",r=").unwrap() + 3..];
                let answer = [b"r=", nonce, b"more,s=c2FsdA==,i=4096"].concat();
                theirs.write_all(&authentication(11, &answer)).await.unwrap();
                let last = String::from_utf8(sent(&mut theirs).await).unwrap();
                let said = last.split(',').next().unwrap().strip_prefix("c=").unwrap();
                crate::wire::scram::decode_base64(said).unwrap()
            };
            let client = async move {
                login(&mut ours, Cleartext::Kept, channel(Some(b"hash")), &account, "shop", &[]).await.map(drop)
            };
            let said = tokio::join!(client, server).1;
            let expected = if bound.starts_with(b"p") { [bound, b"hash"].concat() } else { bound.to_vec() };
            assert_eq!(said, expected);
        }
    }
}

/// Whoever stands between can show a certificate that nothing can be bound to, and take the offer out; the server is to hear of that.
#[tokio::test]
async fn r25_a_certificate_that_no_proof_can_be_bound_to_is_no_way_around_it() {
    let login = async |mechanisms: &[u8]| {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(&authentication(10, mechanisms)).await.unwrap();
        theirs.shutdown().await.unwrap();
        let channel = Channel { wanted: ChannelBinding::Prefer, bindable: Bindable::Hashless };
        let outcome = login(&mut ours, Cleartext::Kept, channel, &account(Some("secret")), "shop", &[]).await;
        drop(ours);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        (outcome, String::from_utf8_lossy(&sent).into_owned())
    };
    let (outcome, sent) = login(b"SCRAM-SHA-256\0\0").await;
    is_broken(outcome);
    assert!(sent.contains("y,,n="), "{sent:?}");
    let (outcome, sent) = login(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").await;
    let refused = is_refused(outcome);
    assert_eq!((refused.sqlstate.as_str(), refused.message.as_str()), ("28000", HASHLESS));
    assert!(!sent.contains(",,n="), "{sent:?}");
}

#[tokio::test]
async fn bytes_stuffed_behind_the_answer_to_ssl_request_never_count() {
    let fake = Fake::start().await;
    let (target, shop) = (fake.target(SslMode::Require), account(None));
    let server = async {
        let mut stream = fake.accept().await;
        startup(&mut stream).await;
        stream.write_all(&[b"S", &greeting()[..]].concat()).await.unwrap();
        stream
    };
    let (outcome, _stream) = tokio::join!(connect(&target, &shop, "shop", &[]), server);
    assert!(matches!(outcome, Err(LeaseError::Unreachable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_used_only_where_that_is_allowed() {
    let answer = async |ssl_mode, answer: &'static [u8]| {
        let fake = Fake::start().await;
        let (target, shop) = (fake.target(ssl_mode), account(None));
        let server = async {
            let mut stream = fake.accept().await;
            startup(&mut stream).await;
            stream.write_all(answer).await.unwrap();
            if answer == b"N" {
                // Whoever does not want to go on closes.
                let mut first = [0; 4];
                if stream.read_exact(&mut first).await.is_ok() {
                    let mut rest = vec![0; u32::from_be_bytes(first) as usize - 4];
                    stream.read_exact(&mut rest).await.unwrap();
                    stream.write_all(&greeting()).await.unwrap();
                }
            }
        };
        tokio::join!(connect(&target, &shop, "shop", &[]), server).0
    };
    assert!(answer(SslMode::Prefer, b"N").await.is_ok());
    for (ssl_mode, says) in
        [(SslMode::Require, &b"N"[..]), (SslMode::Require, b"E\0\0\0\x04"), (SslMode::Require, b"x")]
    {
        assert!(matches!(answer(ssl_mode, says).await, Err(LeaseError::Unreachable { .. })), "{says:?}");
    }
}

#[tokio::test]
async fn a_refusal_carries_the_servers_frame() {
    let fake = Fake::start().await;
    let (target, shop) = (fake.target(SslMode::Disable), account(None));
    match tokio::join!(connect(&target, &shop, "shop", &[]), fake.refuse("3D000")).0 {
        Err(LeaseError::Refused { frame, sqlstate, .. }) => {
            assert_eq!((sqlstate.as_str(), frame[0]), ("3D000", b'E'));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_login_goes_unbound_where_that_is_required() {
    let sasl = |mechanisms: &[u8]| authentication(10, mechanisms);
    let plus = sasl(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    for (says, end_point) in [
        (authentication(0, b""), Some(b"hash")),
        (authentication(3, b""), Some(b"hash")),
        (authentication(5, b"salt"), Some(b"hash")),
        (sasl(b"SCRAM-SHA-256\0\0"), Some(b"hash")),
        (plus.clone(), None),
    ] {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(&says).await.unwrap();
        theirs.shutdown().await.unwrap();
        let channel = Channel { wanted: ChannelBinding::Require, bindable: bindable(end_point.map(|hash| &hash[..])) };
        let outcome = login(&mut ours, Cleartext::Taken, channel, &account(Some("secret")), "shop", &[]).await;
        let refused = is_refused(outcome);
        assert_eq!(refused.sqlstate, "28000", "{says:?}");
        assert!(refused.message.contains("channel binding is required"), "{}", refused.message);
        drop(ours);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        assert_eq!(
            sent.len(),
            u32::from_be_bytes(sent[..4].try_into().unwrap()) as usize,
            "no word behind the startup"
        );
    }
}

#[tokio::test]
async fn an_md5_hash_answers_a_challenge_and_nothing_else() {
    let hash = format!("md5{}", crate::wire::challenge::kept("shop", "secret"));
    let login = async |says: Vec<u8>| {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(&says).await.unwrap();
        theirs.shutdown().await.unwrap();
        let account = Account { user: "shop".into(), proof: LoginProof::Md5Hash(crate::config::Secret(hash.clone())) };
        let outcome = login(&mut ours, Cleartext::Taken, channel(None), &account, "shop", &[]).await;
        drop(ours);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        (outcome, String::from_utf8_lossy(&sent).into_owned())
    };
    let (outcome, sent) = login([authentication(5, b"salt").to_vec(), greeting().to_vec()].concat()).await;
    outcome.unwrap();
    assert!(sent.contains(&md5_hash(b"shop", b"secret", *b"salt")), "{sent:?}");
    let (outcome, sent) = login(authentication(3, b"").to_vec()).await;
    assert_eq!((is_refused(outcome).sqlstate.as_str(), sent.contains(&hash)), ("28000", false));
    let (outcome, sent) = login(authentication(10, b"SCRAM-SHA-256\0\0").to_vec()).await;
    is_broken(outcome);
    assert!(sent.contains("SCRAM-SHA-256") && !sent.contains(&hash), "it is for the server to refuse: {sent:?}");
}
