//! Addresses of the primary that lead to whoever takes writes: a name, a balancer, a cloud's endpoint. They move with a failover, and what is open stays
//! where it was.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::process::Signal;
use crate::harness::proxy::FaultProxy;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Login, rows};

fn is(sidecache: &Sidecache, server: usize, state: &str) {
    sidecache
        .await_status(&format!("server {server} to be {state}"), |status| status["servers"][server]["state"] == state);
}

/// The primary's address leads to whoever takes writes, and every server is configured by its own too: replicas are read all the same,
/// before that address has moved to a promoted one and after.
#[test]
fn r10_the_primary_by_its_own_name_beside_an_address_that_moves_is_no_stranger() {
    let mut cluster = Cluster::build().replicas(2).start();
    let database = cluster.database("endpoint");
    cluster.connect("app", &database).rows("CREATE TABLE marks (mark text); INSERT INTO marks VALUES ('first')");
    cluster.catch_up();
    let endpoint = FaultProxy::to_port(cluster.primary.port);
    let url = Login { port: endpoint.port(), ..cluster.login("sidecache", &database) }.url();
    let mut nodes = vec![cluster.primary_url("sidecache", &database)];
    nodes.extend(cluster.replica_urls("sidecache", &database));
    let sidecache =
        Sidecache::build(&cluster, &database).primary(&url).replicas(&nodes).flag("--connect-timeout", "1s").start();
    let on_replica = |server: usize, mark: &str| {
        is(&sidecache, server, "ready");
        let read = "/* sidecache: off, route=replica */ SELECT mark FROM marks";
        let reads = || sidecache.status()["servers"][server]["statements"].as_u64().expect("a count");
        let before = reads();
        eventually("the replica to be read", || {
            assert_eq!(sidecache.connect("app").value(read), mark);
            (reads() > before).then_some(())
        });
    };
    on_replica(2, "first");
    on_replica(3, "first");
    is(&sidecache, 1, "not_a_replica");
    eventually("the log to say why", || sidecache.log().contains("is the primary itself").then_some(()));
    assert!(!sidecache.log().contains("takes writes and is not the primary"), "{}", sidecache.log());
    // One is promoted, the other follows it, and the address moves.
    cluster.primary.stop(Signal::QUIT);
    cluster.promote(0);
    let [promoted, third] = &cluster.replicas[..] else { panic!("two replicas") };
    third.set(
        "primary_conninfo",
        &format!("'host={} port={} user=postgres'", promoted.sockets().display(), promoted.port),
    );
    endpoint.set(|weather| weather.towards = Some(([127, 0, 0, 1], promoted.port).into()));
    eventually("a write", || {
        let mut client = sidecache.try_connect("app").ok()?;
        let frames = client.query("UPDATE marks SET mark = 'second'").ok()?;
        rows(&frames).ok()
    });
    sidecache.await_status("the promoted one by both names", |status| {
        let role = |server: usize| status["servers"][server]["role"] == "primary";
        role(0) && role(2)
    });
    on_replica(3, "second");
    assert_eq!(promoted.connect_to(&database).value("SELECT mark FROM marks"), "second");
}

/// The primary's address comes to lead new connections to a promoted server, while the old primary lives on and keeps those that it has: what was
/// written by a new one is not missing from what an old one reads.
#[test]
fn r11_an_address_that_leads_new_connections_elsewhere_is_followed() {
    let cluster = Cluster::build().replicas(1).start();
    let database = cluster.database("moves");
    cluster.connect("app", &database).rows("CREATE TABLE marks (mark text); INSERT INTO marks VALUES ('common')");
    cluster.catch_up();
    let address = FaultProxy::to_port(cluster.primary.port);
    let url = Login { port: address.port(), ..cluster.login("sidecache", &database) }.url();
    let sidecache = Sidecache::build(&cluster, &database).primary(&url).no_replicas().start();
    let read = "/* sidecache: off */ SELECT mark FROM marks";
    let [mut holder, mut reader] = [sidecache.connect("app"), sidecache.connect("app")];
    assert_eq!(reader.value(read), "common");
    let mut listener = sidecache.connect("app");
    listener.rows("LISTEN news");
    // All connections that there are.
    let mut others: Vec<_> = (0..3).map(|_| sidecache.connect("app")).collect();
    holder.rows("BEGIN");
    assert_eq!(holder.value(read), "common");
    for other in &mut others {
        other.rows("BEGIN");
        assert_eq!(other.value(read), "common");
    }
    cluster.promote(0);
    let promoted = &cluster.replicas[0];
    cluster.connect("app", &database).rows("UPDATE marks SET mark = 'old'");
    address.set(|weather| weather.towards = Some(([127, 0, 0, 1], promoted.port).into()));
    eventually("a write", || {
        let frames = sidecache.try_connect("app").ok()?.query("UPDATE marks SET mark = 'new'").ok()?;
        rows(&frames).ok()
    });
    assert_eq!(promoted.connect_to(&database).value("SELECT mark FROM marks"), "new");
    let last = listener.read_frame().expect("it is told");
    assert_eq!(last.field(b'C').as_deref(), Some("57P01"), "it listens to the old one");
    // Theirs are free again, the last one first.
    for mut other in others.into_iter().chain([holder]) {
        let _ = other.query("COMMIT");
    }
    for _ in 0..5 {
        assert_eq!(reader.value(read), "new", "a read of the old one");
    }
    assert_eq!(sidecache.connect("app").value("SELECT mark FROM marks"), "new");
}
