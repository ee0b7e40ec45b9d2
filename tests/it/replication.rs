//! Replication connections: PostgreSQL's own programs do through Sidecache what they do directly, and what ends on one
//! side ends on the other.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::process::run;
use crate::harness::sidecache::Sidecache;
use crate::harness::usage;
use crate::harness::wire::{Batch, Login, Wire, WireError, tags};
use crate::twins::{Twins, play, queries, told, until};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// Runs to a good end. Its home has no certificate of its own to offer.
fn done(command: &mut Command) -> String {
    run(command.env("HOME", "/nonexistent"))
}

/// A directory that the servers' user, and so PostgreSQL's programs, may write to.
fn writable(path: &Path) {
    fs::create_dir(path).expect("our own directory");
    crate::harness::postgres::hand_over(path);
}

/// psql on a replication connection speaks replication commands and SQL; a write there is heard as any other.
#[test]
fn psql_speaks_on_a_connection_for_replication() {
    let twins = Twins::new("replpsql", "CREATE TABLE t (id int); INSERT INTO t VALUES (1); GRANT ALL ON t TO solo");
    let url = |login: Login| format!("{}?replication=database", login.url());
    let both = |sql: &str| {
        let run = |login: Login| done(twins.cluster.program("psql").args(["-XAtc", sql, &url(login)]));
        let direct = run(twins.cluster.login("solo", &twins.database));
        (direct, run(twins.sidecache.login("solo")))
    };
    let (direct, through) = both("SHOW wal_level");
    assert_eq!((direct.as_str(), through.as_str()), ("logical\n", "logical\n"));
    let (direct, through) = both("IDENTIFY_SYSTEM");
    let system = |row: &str| row.split('|').map(str::to_owned).collect::<Vec<_>>();
    let (direct, through) = (system(&direct), system(&through));
    assert_eq!((&direct[..2], &direct[3]), (&through[..2], &through[3]), "all but the position");
    let mut client = twins.through();
    let count = "SELECT count(*) FROM t";
    for _ in 0..3 {
        assert_eq!(client.value(count), "1");
    }
    done(twins.cluster.program("psql").args([
        "-XAtc",
        "INSERT INTO t VALUES (2)",
        &url(twins.sidecache.login("solo")),
    ]));
    eventually("the write to be heard", || (client.value(count) == "2").then_some(()));
}

/// The messages of a replication connection are what they are directly, errors and refusals included.
#[test]
fn a_connection_for_replication_answers_as_directly() {
    let twins = Twins::new("replsame", "CREATE TABLE t (id int); GRANT ALL ON t TO solo");
    let script = queries(&[
        "SHOW wal_level",
        "SELECT 1",
        "BEGIN",
        "SELECT 1/0",
        "ROLLBACK",
        "NONSENSE",
        "DROP_REPLICATION_SLOT none",
    ]);
    twins.same_as("database", "", &script, |login| login.user("solo").with("replication", "database"));
    let script = queries(&["SHOW wal_level", "SELECT 1", "TIMELINE_HISTORY 1", "NONSENSE"]);
    for word in ["true", "on", "1", "YES"] {
        twins.same_as("physical", "", &script, |login| login.user("solo").with("replication", word));
    }
    let plain = queries(&["SELECT count(*) FROM t", "IDENTIFY_SYSTEM"]);
    for word in ["false", "off", "0", "NO"] {
        twins.same_as("plain", "", &plain, |login| login.user("solo").with("replication", word));
    }
    let refusals = |login: Login| {
        [
            login.clone().with("replication", "maybe"),
            login.clone().with("replication", ""),
            login.clone().with("replication", "database"),
            login.clone().user("solo").with("replication", "database").with("timezone", "nowhere"),
            Login { database: "nowhere".to_owned(), ..login.clone() }.user("solo").with("replication", "database"),
            Login { password: "wrong".to_owned(), ..login.user("solo") }.with("replication", "database"),
        ]
    };
    let refused = |login: &Login| match Wire::connect(login) {
        // Without PostgreSQL's hint, which ours do not have.
        Err(WireError::Refused(frame)) => told(&[frame])[0].split("; H ").next().map(str::to_owned),
        Err(other) => panic!("{login:?}: {other:?}"),
        Ok(_) => panic!("{login:?} was let in"),
    };
    let direct = refusals(twins.cluster.login("app", &twins.database));
    for (direct, through) in direct.iter().zip(refusals(twins.sidecache.login("app"))) {
        assert_eq!(refused(&through), refused(direct), "{through:?}");
    }
}

/// pg_recvlogical makes a slot, reads what was committed up to a position, and ends.
#[test]
fn pg_recvlogical_streams() {
    let twins = Twins::new("recvlogical", "CREATE TABLE t (id int, v text); CREATE PUBLICATION p FOR TABLE t");
    let slot = format!("slot_{}", twins.database);
    let url = twins.sidecache.login("solo").url();
    let recvlogical = |arguments: &[&str]| {
        done(twins.cluster.program("pg_recvlogical").args(["-d", &url, "-S", &slot, "--no-loop"]).args(arguments))
    };
    recvlogical(&["--create-slot", "-P", "pgoutput"]);
    let mut direct = twins.direct();
    direct.rows("INSERT INTO t SELECT i, 'value ' || i FROM generate_series(1, 20000) i");
    let end = direct.value("SELECT pg_current_wal_insert_lsn()");
    let options = ["-o", "proto_version=1", "-o", "publication_names=p", "--start", "-f", "-", "--endpos", &end];
    let told = recvlogical(&options);
    for row in [1, 10_000, 20_000] {
        assert!(told.contains(&format!("value {row}")), "row {row} is missing in {} bytes", told.len());
    }
    recvlogical(&["--drop-slot"]);
}

/// pg_basebackup copies a whole server, WAL beside it, and the copy is right; pg_receivewal then receives a segment as it is.
#[test]
fn pg_basebackup_and_pg_receivewal_copy_a_server() {
    let cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("backup");
    let sidecache = Sidecache::build(&cluster, &database).start();
    let url = sidecache.login("solo").url();
    let copy = cluster.directory().join("copy");
    writable(&copy);
    let directory = copy.to_str().expect("a plain path");
    done(cluster.program("pg_basebackup").args([
        "-d",
        &url,
        "-D",
        directory,
        "-X",
        "stream",
        "-c",
        "fast",
        "--no-sync",
    ]));
    done(cluster.program("pg_verifybackup").arg(directory));

    let wal = cluster.directory().join("wal");
    writable(&wal);
    let directory = wal.to_str().expect("a plain path");
    let mut direct = cluster.connect("postgres", &database);
    direct.rows("CREATE TABLE t (i int)");
    // Up to here, which is past once something follows.
    let receive = |direct: &mut Wire| {
        let end = direct.value("SELECT pg_current_wal_insert_lsn()");
        direct.rows("INSERT INTO t VALUES (0)");
        done(cluster.program("pg_receivewal").args(["-d", &url, "-D", directory, "-n", "--no-sync", "--endpos", &end]));
    };
    receive(&mut direct);
    direct.rows("INSERT INTO t SELECT generate_series(1, 50000)");
    let segment = direct.value("SELECT pg_walfile_name(pg_switch_wal())");
    direct.rows("INSERT INTO t VALUES (0)");
    receive(&mut direct);
    let theirs = Path::new(&direct.value("SHOW data_directory")).join("pg_wal").join(&segment);
    let (ours, theirs) = (fs::read(wal.join(&segment)).expect("it is whole"), fs::read(theirs).expect("it is kept"));
    assert!(ours == theirs, "segment {segment} differs");
}

fn walsenders(twins: &Twins, state: &str) -> String {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours' AND datname = '{}' AND {state}",
        twins.database
    );
    twins.cluster.primary.value(&sql)
}

fn ours(twins: &Twins) -> Login {
    twins.sidecache.login("solo").with("replication", "database").with("application_name", "ours")
}

/// What runs there can be cancelled; it counts as a client; and either side's end is the other's.
#[test]
fn a_connection_for_replication_ends_with_either_side() {
    let twins = Twins::with("replends", "", |builder| builder.flag("--max-clients", "1"));
    let connect = || eventually("a seat", || Wire::connect(&ours(&twins)).ok());
    let mut client = connect();
    let refused = twins.sidecache.try_connect("app").err().and_then(|e| e.sqlstate());
    assert_eq!(refused.as_deref(), Some("53300"), "it counts as a client");
    client.send(&Batch::new().query("SELECT pg_sleep(3600)")).expect("it lives");
    eventually("it to sleep", || (walsenders(&twins, "wait_event = 'PgSleep'") == "1").then_some(()));
    client.cancel().expect("a cancel needs no seat");
    let answer = client.read_until_ready().expect("it lives");
    assert_eq!((tags(&answer).as_str(), answer[1].field(b'C').as_deref()), ("TEZ", Some("57014")));
    // The client goes, in the middle of something.
    client.send(&Batch::new().query("SELECT 1").query("SELECT pg_sleep(0.01)")).expect("it lives");
    drop(client);
    eventually("its server's end", || (walsenders(&twins, "true") == "0").then_some(()));
    // The server goes.
    let mut client = connect();
    twins.cluster.primary.value(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ours' AND datname = '{}'",
        twins.database
    ));
    let told = client.read_frame().expect("the server's last word");
    assert_eq!(told.field(b'C').as_deref(), Some("57P01"));
    assert_eq!(client.read_frame().map_err(|e| e.kind()), Err(ErrorKind::UnexpectedEof));
    // Sidecache goes, and does not wait.
    let mut client = connect();
    let Twins { sidecache, .. } = twins;
    sidecache.signal(crate::harness::process::Signal::TERM);
    assert_eq!(client.read_frame().map_err(|e| e.kind()), Err(ErrorKind::UnexpectedEof));
}

/// A client that does not read stops the server, and Sidecache keeps next to nothing of what is under way.
#[test]
fn r23_a_slow_reader_slows_the_server() {
    let twins = Twins::new("replslow", "");
    let mut client = Wire::connect(&ours(&twins)).expect("it is let in");
    let before = usage::resident(twins.sidecache.pid()).expect("it runs");
    client.send(&Batch::new().query("SELECT repeat('x', 10000) FROM generate_series(1, 10000)")).expect("it lives");
    eventually("the server to wait", || (walsenders(&twins, "wait_event = 'ClientWrite'") == "1").then_some(()));
    let grown = usage::resident(twins.sidecache.pid()).expect("it runs").saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes are kept for a client that does not read");
    let rows = client.read_until_ready().expect("it lives").iter().filter(|f| f.tag == b'D').count();
    assert_eq!(rows, 10_000);
}

/// Bytes behind the startup message, and messages in pieces, arrive as they were sent.
#[test]
fn bytes_are_relayed_however_they_are_cut() {
    let twins = Twins::new("replcut", "");
    let mut client = Wire::connect(&ours(&twins)).expect("it is let in");
    let bytes = Batch::new().query("SHOW wal_level").query("SELECT 42").0;
    for piece in bytes.chunks(3) {
        client.send_bytes(piece).expect("it lives");
    }
    let step = until(Batch::new(), b'Z');
    assert_eq!(tags(&play(&mut client, &step)), "TDCZ");
    assert_eq!(tags(&play(&mut client, &step)), "TDCZ");
}
