//! The same against a Sidecache in use: before it knows who speaks, and after.

use super::Mutator;
use crate::harness::PATIENCE;
use crate::harness::cluster::Cluster;
use crate::harness::sidecache::Sidecache;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// Streams of a short run and of a long one.
const SHORT: usize = 100;
const LONG: usize = 500;

/// Sends it all and reads to the end, which must come: the sender has closed its half.
fn send(mut to: TcpStream, bytes: &[u8]) {
    to.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    // Whoever is told to go away early may have its connection reset.
    if to.write_all(bytes).and_then(|()| to.shutdown(Shutdown::Write)).is_err() {
        return;
    }
    let mut answer = Vec::new();
    if let Err(e) = to.read_to_end(&mut answer) {
        let waited = matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!waited, "no end within {PATIENCE:?} after {}", bytes.escape_ascii());
    }
}

fn storm(label: &str, streams: usize) {
    let cluster = Cluster::shared();
    let database = cluster.database(label);
    let setup = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 20) g";
    cluster.connect("app", &database).rows(setup);
    let sidecache = Sidecache::start(cluster, &database);
    sidecache.await_stream(cluster);
    let mut witness = sidecache.connect("app");
    let (mut startup, mut frontend) = (Mutator::new("startup"), Mutator::new("frontend"));
    for _ in 0..streams {
        send(TcpStream::connect(("127.0.0.1", sidecache.port())).expect("it listens"), &startup.next());
        send(sidecache.connect("app").writer().expect("a second handle"), &frontend.next());
        assert_eq!(witness.value("SELECT count(*) FROM t WHERE id = 7"), "1", "another session is served");
    }
    assert!(!sidecache.log().contains("panicked"), "{}", sidecache.log());
}

#[test]
fn a_proxy_in_use_outlives_hostile_bytes() {
    storm("fuzz", SHORT);
}

#[test]
#[ignore = "minutes: make test-all"]
fn a_proxy_in_use_outlives_many_hostile_bytes() {
    storm("fuzz_long", LONG);
}
