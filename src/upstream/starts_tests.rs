//! What replicas are told and asked when connections are opened there, at servers that speak just enough of the protocol.

use super::*;
use crate::upstream::Lease;
use crate::upstream::fake::{Fake, LONG, account, frame, greeting, startup};
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SETTINGS: &[[&str; 3]] =
    &[["TimeZone", "user", "Asia/Tokyo"], ["session_replication_role", "superuser", "origin"]];

/// A primary and a replica.
struct Pair {
    fakes: [Fake; 2],
    servers: Vec<Arc<Server>>,
}

impl Pair {
    async fn start() -> Self {
        let fakes = [Fake::start().await, Fake::start().await];
        let starts: Arc<Starts> = Arc::default();
        let servers: Vec<_> = fakes.iter().map(|fake| fake.server_among(Arc::clone(&starts), 2, LONG)).collect();
        starts.among(servers.iter());
        Pair { fakes, servers }
    }

    fn primary(&self) -> (&Fake, &Arc<Server>) {
        (&self.fakes[0], &self.servers[0])
    }

    fn replica(&self) -> (&Fake, &Arc<Server>) {
        (&self.fakes[1], &self.servers[1])
    }

    async fn lease(&self) -> Result<Lease, LeaseError> {
        self.replica().1.lease(&account(None), "shop").await
    }
}

fn row(columns: [&str; 3]) -> BytesMut {
    let mut body = 3u16.to_be_bytes().to_vec();
    for column in columns {
        body.extend(u32::try_from(column.len()).unwrap().to_be_bytes());
        body.extend(column.as_bytes());
    }
    frame(b'D', &body)
}

/// Welcomes whoever comes and answers what is asked first; gives the startup message.
async fn tells(fake: &Fake, settings: &[[&str; 3]]) -> (String, TcpStream) {
    let mut stream = fake.accept().await;
    let said = startup(&mut stream).await;
    stream.write_all(&greeting()).await.unwrap();
    let mut input = BytesMut::new();
    let asked = crate::upstream::message::next(&mut stream, &mut input, 65_536).await.unwrap();
    assert_eq!(asked.tag, b'Q');
    let mut answer: BytesMut = settings.iter().flat_map(|columns| row(*columns)).collect();
    answer.extend(frame(b'C', b"SELECT 2\0"));
    answer.extend(frame(b'Z', b"I"));
    stream.write_all(&answer).await.unwrap();
    (String::from_utf8_lossy(&said).replace('\0', " "), stream)
}

#[tokio::test]
async fn c17_a_replica_is_told_what_the_primary_starts_sessions_with() {
    let pair = Pair::start().await;
    let (primary, replica) = (pair.primary(), pair.replica());
    let (lease, asked, (told, _peer)) =
        tokio::join!(pair.lease(), tells(primary.0, SETTINGS), tells(replica.0, SETTINGS));
    let lease = lease.unwrap();
    assert!(!asked.0.contains("TimeZone"), "{}", asked.0);
    for parameter in ["TimeZone Asia/Tokyo ", "default_transaction_isolation read committed "] {
        assert!(told.contains(parameter), "{told}");
    }
    assert!(!told.contains("session_replication_role"), "that would end the login of an ordinary user: {told}");
    assert_eq!(primary.1.try_lease(&account(None), "shop").map(|lease| lease.key.process), Some(42), "it is kept");
    // The next is opened without asking the primary.
    let (second, _told) = tokio::join!(pair.lease(), tells(replica.0, SETTINGS));
    assert!(second.is_ok());
    // Until what sessions start with may have changed.
    primary.1.retire_connections();
    drop((lease, second));
    let london = &[["TimeZone", "user", "Europe/London"]];
    let (third, _asked, (told, _peer)) = tokio::join!(pair.lease(), tells(primary.0, london), tells(replica.0, london));
    assert!(third.is_ok() && told.contains("TimeZone Europe/London "), "{told}");
}

#[tokio::test]
async fn c17_a_replica_that_differs_all_the_same_lends_nothing_for_a_while() {
    let pair = Pair::start().await;
    let other = &[SETTINGS[0], ["session_replication_role", "superuser", "replica"]];
    let (refused, _asked, _told) =
        tokio::join!(pair.lease(), tells(pair.primary().0, SETTINGS), tells(pair.replica().0, other));
    assert!(matches!(&refused, Err(LeaseError::Unlike { cause, .. }) if cause.contains("session_replication_role")));
    assert!(matches!(pair.lease().await, Err(LeaseError::Unlike { .. })), "it was not asked again");
}

#[tokio::test]
async fn c17_a_replica_lends_nothing_where_the_primary_cannot_be_asked() {
    let pair = Pair::start().await;
    let (refused, ()) = tokio::join!(pair.lease(), pair.primary().0.refuse("53300"));
    assert!(matches!(refused, Err(LeaseError::Unlike { .. })), "{refused:?}");
    assert!(matches!(pair.lease().await, Err(LeaseError::Unlike { .. })), "nor is it asked without a pause");
}

/// Longer than one that could not be asked is left alone.
const SHORT: Duration = Duration::from_millis(1_200);

#[tokio::test]
async fn r24_of_a_primary_that_hangs_one_session_asks_and_all_end_with_it() {
    let fakes = [Fake::start().await, Fake::start().await];
    let starts: Arc<Starts> = Arc::default();
    let servers: Vec<_> = fakes.iter().map(|fake| fake.server_within(Arc::clone(&starts), SHORT)).collect();
    starts.among(servers.iter());
    let account = account(None);
    let lease = || servers[1].lease(&account, "shop");
    let hangs = async {
        let mut all = Vec::new();
        loop {
            all.push(fakes[0].accept().await);
            assert_eq!(all.len(), 1, "it was asked again");
        }
    };
    let leases = async { tokio::join!(lease(), lease(), lease()) };
    let (first, second, third) = tokio::select! {
        ended = leases => ended,
        () = hangs => unreachable!("it goes on for ever"),
    };
    for lease in [first, second, third] {
        assert!(matches!(lease, Err(LeaseError::Unlike { .. })), "{lease:?}");
    }
    // The one that has succeeded it is asked all the same.
    starts.primary.store(1, Ordering::Release);
    let (asked, _told) = tokio::join!(servers[0].lease(&account, "shop"), async {
        (tells(&fakes[1], SETTINGS).await, tells(&fakes[0], SETTINGS).await)
    });
    assert!(asked.is_ok(), "{asked:?}");
}

#[tokio::test]
async fn c17_connections_are_asked_for_what_has_come_to_be_read() {
    let pair = Pair::start().await;
    let names = |all: &[&str]| -> Arc<[String]> { all.iter().map(|name| (*name).to_owned()).collect() };
    let starts = pair.replica().1.starts();
    assert!(!starts.reads(&names(&[])) && starts.reads(&names(&["app.a", "app.b"])));
    assert!(!starts.reads(&names(&["app.b"])) && starts.reads(&names(&["app.c"])));
    assert!(question(&names(&["app.c\\'x"])).contains(r"E'app.c\\''x'"));
    let (lease, _asked, _told) =
        tokio::join!(pair.lease(), tells(pair.primary().0, SETTINGS), tells(pair.replica().0, SETTINGS));
    drop(lease);
    starts.reads(&names(&["app.d"]));
    let (again, _asked, _told) =
        tokio::join!(pair.lease(), tells(pair.primary().0, SETTINGS), tells(pair.replica().0, SETTINGS));
    assert!(again.is_ok());
}
