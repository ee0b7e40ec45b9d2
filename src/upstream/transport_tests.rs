//! What `prefer` makes of servers whose TLS does not work.

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
