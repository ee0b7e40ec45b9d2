//! Servers of one cluster whose histories have parted without a timeline to tell them apart: a primary that was restored from a backup, a
//! replica that was promoted by mistake. Real servers; what the primary itself answers is held against what is read through Sidecache.

use crate::harness::cluster::Cluster;
use crate::harness::postgres::{Server, copy};
use crate::harness::process::Signal;
use crate::harness::sidecache::Sidecache;
use crate::harness::{eventually, within};
use std::time::Duration;

/// A Sidecache before a table of one row, whose replicas are all in use.
fn before(cluster: &Cluster, label: &str) -> (String, Sidecache) {
    let database = cluster.database(label);
    cluster.connect("app", &database).rows("CREATE TABLE marks (mark text); INSERT INTO marks VALUES ('common')");
    cluster.catch_up();
    let sidecache = Sidecache::start(cluster, &database);
    is(&sidecache, 1, "ready");
    (database, sidecache)
}

fn is(sidecache: &Sidecache, server: usize, state: &str) {
    sidecache
        .await_status(&format!("server {server} to be {state}"), |status| status["servers"][server]["state"] == state);
}

/// What a new session reads through Sidecache; none where it is refused.
fn mark(sidecache: &Sidecache) -> Option<String> {
    let frames = sidecache.try_connect("app").ok()?.query("SELECT mark FROM marks").ok()?;
    crate::harness::wire::rows(&frames).ok()?.first()?.first()?.clone()
}

/// Takes the server's data directory back to what it was copied as, while it is stopped.
fn restore(server: &mut Server, copied: &std::path::Path) {
    server.stop(Signal::QUIT);
    std::fs::remove_dir_all(server.data()).expect("it is stopped");
    copy(copied, server.data());
    server.start();
}

/// Makes the replica anew from what the primary has.
fn remake(cluster: &mut Cluster) {
    let mut backup = cluster.program("pg_basebackup");
    let (primary, replica) = (&cluster.primary, &mut cluster.replicas[0]);
    let settings = std::fs::read(replica.data().join("postgresql.conf")).expect("its settings");
    replica.stop(Signal::QUIT);
    std::fs::remove_dir_all(replica.data()).expect("it is stopped");
    backup.arg("-h").arg(primary.sockets()).args(["-p", &primary.port.to_string(), "-U", "postgres"]);
    backup.args(["--checkpoint=fast", "--no-sync", "-D"]).arg(replica.data());
    crate::harness::process::run(&mut backup);
    std::fs::write(replica.data().join("postgresql.conf"), settings).expect("our own directory");
    std::fs::write(replica.data().join("standby.signal"), "").expect("our own directory");
    replica.start();
}

/// The primary is restored from a backup that is older than what its replica has replayed, on the same timeline: the replica shows what
/// the primary never had, and takes no reads until it is made anew.
#[test]
fn r10_a_replica_ahead_of_a_restored_primary_is_not_read() {
    let mut cluster = Cluster::build().replicas(1).start();
    let (database, sidecache) = before(&cluster, "restored");
    let copied = cluster.primary.data().with_file_name("copied");
    cluster.primary.stop(Signal::INT);
    copy(cluster.primary.data(), &copied);
    cluster.primary.start();
    cluster.connect("app", &database).rows("UPDATE marks SET mark = 'lost'");
    cluster.catch_up();
    eventually("the row that is to be lost", || (mark(&sidecache)? == "lost").then_some(()));
    let epoch = sidecache.status()["epoch"].clone();
    restore(&mut cluster.primary, &copied);
    sidecache.await_status("the restored primary to be heard", |status| {
        status["epoch"] != epoch && status["stream"]["state"] == "live"
    });
    let read_lost = || mark(&sidecache).filter(|mark| mark == "lost");
    assert_eq!(within(Duration::from_secs(1), read_lost), None, "the primary has no such row");
    is(&sidecache, 1, "other_epoch");
    sidecache.connect("app").rows("UPDATE marks SET mark = 'mine'");
    assert_eq!(mark(&sidecache).as_deref(), Some("mine"));

    remake(&mut cluster);
    is(&sidecache, 1, "ready");
    assert_eq!(mark(&sidecache).as_deref(), Some("mine"));
}

/// Two replicas are promoted at once, to the same timeline; a third follows the one that does not lead.
#[test]
fn r10_a_replica_of_a_twin_of_the_primary_is_not_read() {
    let mut cluster = Cluster::build().replicas(3).start();
    let (database, sidecache) = before(&cluster, "twins");
    cluster.primary.stop(Signal::QUIT);
    cluster.promote(0);
    sidecache.await_status("the first to lead", |status| {
        status["servers"][1]["role"] == "primary" && status["servers"][1]["state"] == "ready"
    });
    let [_, twin, third] = &cluster.replicas[..] else { panic!("three replicas") };
    cluster.promote(1);
    twin.connect_to(&database)
        .rows("CREATE TABLE filler AS SELECT generate_series(1, 10000); UPDATE marks SET mark = 'twin'");
    let follow = format!("'host={} port={} user=postgres'", twin.sockets().display(), twin.port);
    third.set("primary_conninfo", &follow);
    eventually("the third to follow the twin", || {
        (third.connect_to(&database).value("SELECT mark FROM marks") == "twin").then_some(())
    });
    sidecache.await_status("both to be heard", |status| {
        status["servers"][2]["role"] == "primary" && status["servers"][3]["role"] == "replica"
    });
    let mut client = sidecache.connect("app");
    let mut read_twin = || (client.value("/* sidecache: off */ SELECT mark FROM marks") == "twin").then_some(());
    assert_eq!(within(Duration::from_secs(1), &mut read_twin), None);
}

/// A replica is promoted by mistake, leads, and is made anew as a replica of the primary that never stopped: that one leads again.
#[test]
fn r11_a_leader_that_follows_another_hands_the_lead_to_it() {
    let mut cluster = Cluster::build().replicas(1).start();
    let (database, sidecache) = before(&cluster, "mistake");
    cluster.promote(0);
    sidecache.await_status("the replica to lead", |status| {
        status["servers"][1]["role"] == "primary" && status["servers"][1]["state"] == "ready"
    });
    remake(&mut cluster);
    eventually("a write", || {
        let mut client = sidecache.try_connect("app").ok()?;
        let frames = client.query("UPDATE marks SET mark = 'right'").ok()?;
        crate::harness::wire::rows(&frames).ok()
    });
    assert_eq!(cluster.connect("app", &database).value("SELECT mark FROM marks"), "right");
    is(&sidecache, 0, "ready");
    is(&sidecache, 1, "ready");
    assert_eq!(mark(&sidecache).as_deref(), Some("right"));
    assert_eq!(sidecache.readiness(), 200);
}
