//! What `prefer` makes of servers whose TLS does not work, and which address of a name is taken.

use super::*;
use crate::upstream::fake::{Fake, startup};

#[tokio::test]
async fn r25_prefer_says_why_it_goes_on_in_clear() {
    let fake = Fake::start().await;
    let target = fake.target(SslMode::Prefer);
    for (answer, told) in [(&b"N"[..], false), (b"E\0\0\0\x04", false), (b"Snonsense", true)] {
        let server = async {
            let mut first = fake.accept().await;
            startup(&mut first).await;
            first.write_all(answer).await.unwrap();
            let second = if answer == b"N" { None } else { Some(fake.accept().await) };
            (first, second)
        };
        let (opened, _streams) = tokio::join!(target.open(), server);
        assert!(matches!(opened, Ok(Stream::Tcp(_))), "{opened:?}");
        assert_eq!(target.downgraded.lock().unwrap().is_some(), told, "{answer:?}");
    }
}

/// A listener that takes nobody, and has no room for who waits, leaves a connection without an answer, as a host that has gone does.
#[tokio::test]
async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
    let local = socket2::SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&local).unwrap();
    full.listen(0).unwrap();
    let silent = full.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(100), TcpStream::connect(silent)).await {
        waiting.push(connected.unwrap());
    }
    let limit = Duration::from_secs(2);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let live = listener.local_addr().unwrap();
    assert_eq!(first_of(&[silent, live], limit).await.unwrap().peer_addr().unwrap(), live);
    assert_eq!(first_of(&[live, silent], limit).await.unwrap().peer_addr().unwrap(), live);
    assert_eq!(first_of(&[], limit).await.unwrap_err().kind(), io::ErrorKind::NotFound);
}
