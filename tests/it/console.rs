//! The console: who gets in, what it shows and by which names, and PAUSE, RESUME and RELOAD at work.

use super::operating::refusal;
use crate::harness::cluster::Cluster;
use crate::harness::process::{Scratch, Signal};
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Login, Wire, tags};
use crate::harness::{eventually, within};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

fn console(sidecache: &Sidecache, user: &str) -> Login {
    Login { database: "sidecache".to_owned(), ..sidecache.login(user) }
}

fn enter(sidecache: &Sidecache) -> Wire {
    Wire::connect(&console(sidecache, "app")).expect("an operator")
}

/// Psql's answer, or its error.
fn psql(cluster: &Cluster, login: &str, sql: &str) -> Result<String, String> {
    let mut psql = cluster.program("psql");
    psql.arg(login).env("HOME", "/nonexistent").args(["-XAtc", sql]);
    let output = psql.output().expect("psql starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Nobody gets in without his password, nobody over TCP who is not named, and where nobody is named the name means a
/// database as ever.
#[test]
fn r25_the_console_is_for_operators_who_prove_it() {
    let cluster = Cluster::shared();
    let database = cluster.database("console_entry");
    let scratch = Scratch::new();
    let socket = scratch.path().join(".s.PGSQL.6432");
    let build = || Sidecache::build(cluster, &database).no_replicas().users("app:app\nsidecache:sidecache\nsolo:solo");
    let closed = build().flag("--listen", socket.to_str().expect("a path of ours")).start();
    for user in ["app", "sidecache"] {
        assert_eq!(refusal(Wire::connect(&console(&closed, user))), "3D000", "{user} asks the server for a database");
    }
    let local = |user: &str, password: &str| {
        let directory = scratch.path().display();
        format!("host={directory} port=6432 dbname=sidecache user={user} password={password}")
    };
    assert!(psql(cluster, &local("sidecache", "sidecache"), "SHOW VERSION").is_ok_and(|v| v.starts_with("Sidecache ")));
    assert!(psql(cluster, &local("sidecache", "wrong"), "SHOW VERSION").is_err_and(|e| e.contains("authentication")));
    assert!(psql(cluster, &local("app", "app"), "SHOW VERSION").is_err_and(|e| e.contains("does not exist")));
    drop(closed);

    let open = build().flag("--admin-user", "app").flag("--max-clients", "1");
    let open = open.flag("--listen", socket.to_str().expect("a path of ours")).start();
    assert!(psql(cluster, &local("app", "app"), "SHOW VERSION").is_ok_and(|v| v.starts_with("Sidecache ")));
    let not_named = psql(cluster, &local("sidecache", "sidecache"), "SHOW VERSION");
    assert!(not_named.is_err_and(|e| e.contains("not among admin_users")), "who is named are all");
    let _only = open.connect("solo");
    assert_eq!(refusal(open.try_connect("solo")), "53300");
    enter(&open);
    assert_eq!(refusal(Wire::connect(&Login { password: "wrong".to_owned(), ..console(&open, "app") })), "28P01");
    drop(_only);
    eventually("a free seat", || (refusal(Wire::connect(&console(&open, "solo"))) == "28000").then_some(()));
    assert_eq!(refusal(Wire::connect(&console(&open, "nobody"))), "28P01");
}

/// PgBouncer's names, in its order; numbers are numbers, in text and in binary, and psql reads them.
#[test]
fn tables_have_pgbouncers_names_in_both_protocols() {
    let cluster = Cluster::shared();
    let database = cluster.database("console_shows");
    let sidecache = Sidecache::build(cluster, &database).no_replicas().cache("off").flag("--admin-user", "app").start();
    let mut client = sidecache.connect("app");
    client.rows("BEGIN");
    let backend = client.value("SELECT pg_backend_pid()");
    let mut operator = enter(&sidecache);
    let parties = "type user database state addr port local_addr local_port connect_time request_time wait wait_us \
                   close_needed ptr link remote_pid tls application_name prepared_statements";
    for (what, columns) in [
        ("VERSION", "version"),
        ("CONFIG", "key value default changeable"),
        (
            "DATABASES",
            "name host port database force_user pool_size min_pool_size reserve_pool pool_mode max_connections \
             current_connections paused disabled",
        ),
        (
            "POOLS",
            "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel \
             sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode",
        ),
        ("SERVERS", parties),
        ("CLIENTS", parties),
        (
            "STATS",
            "database total_xact_count total_query_count total_received total_sent total_xact_time total_query_time \
             total_wait_time avg_xact_count avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time",
        ),
    ] {
        let sql = format!("SHOW {what};");
        let simple = operator.query(&sql).expect("it goes on");
        let extended = operator.run(&Batch::new().extended(&sql, &[], Format::Binary)).expect("it goes on");
        let names = |frames: &[crate::harness::wire::Frame]| {
            let frame = frames.iter().find(|f| f.tag == b'T').unwrap_or_else(|| panic!("{what}: {frames:?}"));
            let mut rest = &frame.body[2..];
            let mut names = Vec::new();
            while let Some(end) = rest.iter().position(|byte| *byte == 0) {
                names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
                rest = &rest[end + 19..];
            }
            names.join(" ")
        };
        assert_eq!(names(&simple), columns, "{what}");
        assert_eq!(names(&extended), columns, "{what}");
        assert!(tags(&simple).starts_with("TD") && tags(&simple).ends_with("DCZ"), "{what}: {simple:?}");
        assert!(tags(&extended).starts_with("12T") && tags(&extended).ends_with("DCZ"), "{what}: {extended:?}");
    }
    let pools = operator.rows("SHOW POOLS");
    let mine = |row: &&Vec<Option<String>>| row[0].as_deref() == Some(&database) && row[1].as_deref() == Some("app");
    let mine = pools.iter().find(mine).unwrap_or_else(|| panic!("{pools:?}"));
    assert_eq!((mine[2].as_deref(), mine[6].as_deref(), mine[9].as_deref()), (Some("1"), Some("1"), Some("0")));
    let frames = operator.run(&Batch::new().extended("SHOW POOLS", &[], Format::Binary)).expect("it goes on");
    let rows: Vec<_> = frames.iter().filter(|f| f.tag == b'D').map(|f| f.columns()).collect();
    let active = |row: &&Vec<Option<Vec<u8>>>| row[6].as_deref() == Some(&1i64.to_be_bytes()[..]);
    assert_eq!(rows.iter().filter(active).count(), 1, "{rows:?}");
    let servers = operator.rows("SHOW SERVERS");
    assert!(servers.iter().any(|row| row[3].as_deref() == Some("active") && row[15].as_deref() == Some(&backend)));
    let config = operator.rows("SHOW CONFIG");
    let value = |key: &str| config.iter().find(|row| row[0].as_deref() == Some(key)).cloned().expect("a setting");
    assert_eq!(value("pool_size")[1..], [Some("20".to_owned()), Some("20".to_owned()), Some("yes".to_owned())]);
    assert_eq!(value("primary")[1..], [Some("postgres://***".to_owned()), None, Some("no".to_owned())]);
    client.rows("COMMIT");

    let login = format!("host=127.0.0.1 port={} dbname=sidecache user=app password=app", sidecache.port());
    assert!(psql(cluster, &login, "SHOW HELP").is_ok());
    assert!(psql(cluster, &login, "SHOW CLIENTS").is_ok_and(|rows| rows.contains(&format!("C|app|{database}|idle"))));
    assert!(psql(cluster, &login, "DROP TABLE t").is_err_and(|error| error.contains("unknown command")));
    // An error in a batch is skipped up to its Sync, and the session goes on.
    let batch = Batch::new().parse("", "NONSENSE", &[]).bind("", "", &[], Format::Text).execute("", 0).execute("", 0);
    assert_eq!(tags(&operator.run(&batch.sync()).expect("it goes on")), "12EZ");
    // A function call ends with its ReadyForQuery: nothing behind it is skipped.
    let call = [&1u32.to_be_bytes()[..], &[0; 6]].concat();
    let batch = Batch::new().message(b'F', &call).query("SHOW VERSION");
    operator.send(&batch).expect("it goes on");
    assert_eq!(tags(&operator.read_until_ready().expect("it goes on")), "EZ");
    assert_eq!(tags(&operator.read_until_ready().expect("it goes on")), "TDCZ");
    assert_eq!(operator.error("SHOW NONSENSE"), "42704");
    assert_eq!(operator.error("SET pool_size = 3"), "0A000");
    assert_eq!(tags(&operator.query(";").expect("it goes on")), "IZ");
}

/// RELOAD answers with its tag, with a notice of what needs a restart, or with why nothing was changed.
#[test]
fn reload_answers_its_operator() {
    let cluster = Cluster::shared();
    let database = cluster.database("console_reload");
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off").flag("--admin-user", "app");
    let sidecache = build.config("pool_size = 3").start();
    let mut operator = enter(&sidecache);
    let size = |operator: &mut Wire| {
        let config = operator.rows("SHOW CONFIG");
        config.into_iter().find(|row| row[0].as_deref() == Some("pool_size")).and_then(|row| row[1].clone())
    };
    sidecache.rewrite("config.toml", "pool_size = 4");
    assert_eq!(tags(&operator.query("RELOAD").expect("it goes on")), "CZ");
    assert_eq!(size(&mut operator).as_deref(), Some("4"));
    sidecache.rewrite("config.toml", "pool_size = 5\nmemory = '1GiB'");
    let frames = operator.query("reload;").expect("it goes on");
    assert!(frames[0].tag == b'N' && frames[0].field(b'M').is_some_and(|text| text.ends_with("memory")), "{frames:?}");
    sidecache.rewrite("config.toml", "pool_size = 'x'");
    assert_eq!(operator.error("RELOAD"), "F0000");
    assert_eq!(size(&mut operator).as_deref(), Some("5"), "as it was");
}

/// PAUSE waits for the transaction that is open and lets it finish; then nobody has a connection, clients wait without an
/// error and hits go on; RESUME lets all of them through.
#[test]
fn pause_lets_transactions_end_and_holds_everything_but_hits() {
    // Elsewhere others make roles, which costs entries; and what is paused fills none anew.
    let cluster = &*Cluster::quiet();
    let database = cluster.database("console_pause");
    cluster.connect("app", &database).rows("CREATE TABLE t AS SELECT 1 AS v; CREATE TABLE w (v int)");
    let build = Sidecache::build(cluster, &database).no_replicas().flag("--admin-user", "app");
    let sidecache = build.flag("--pool-timeout", "100ms").start();
    sidecache.await_stream(cluster);
    let (mut busy, mut reader, mut writer) =
        (sidecache.connect("app"), sidecache.connect("app"), sidecache.connect("app"));
    eventually("a hit", || {
        reader.value("SELECT v FROM t");
        (sidecache.count("/cache/hits") > 0).then_some(())
    });
    busy.rows("BEGIN");
    busy.rows("INSERT INTO w VALUES (1)");
    let (mut operator, mut other) = (enter(&sidecache), enter(&sidecache));
    assert_eq!(other.error("RESUME"), "55000");
    operator.send(&Batch::new().query("PAUSE")).expect("a connection that lives");
    sidecache.await_status("the pause to begin", |status| status["paused"] == true);
    assert_eq!(other.error("PAUSE"), "55000");
    busy.rows("INSERT INTO w VALUES (2)");
    writer.send(&Batch::new().query("INSERT INTO w VALUES (3)")).expect("a connection that lives");
    eventually("it to wait", || {
        other.rows("SHOW CLIENTS").iter().any(|row| row[3].as_deref() == Some("waiting")).then_some(())
    });
    busy.rows("COMMIT");
    assert_eq!(tags(&operator.read_until_ready().expect("the pause is whole")), "CZ");
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'app'");
    assert_eq!(cluster.primary.value(&sql), "0");
    let hits = sidecache.count("/cache/hits");
    sidecache.await_stream(cluster);
    assert_eq!(reader.value("SELECT v FROM t"), "1");
    assert_eq!(sidecache.count("/cache/hits"), hits + 1);
    writer.set_patience(std::time::Duration::from_millis(300));
    assert_eq!(
        writer.read_frame().map_err(|e| e.kind()).err(),
        Some(ErrorKind::WouldBlock),
        "longer than pool_timeout"
    );
    writer.set_patience(crate::harness::PATIENCE);
    other.rows("RESUME");
    assert_eq!(tags(&writer.read_until_ready().expect("it was let through")), "CZ");
    assert_eq!(busy.value("SELECT count(*) FROM w"), "3");
}

/// An operator who cancels or leaves while PAUSE waits has not paused; a drain does not wait for RESUME.
#[test]
fn who_gives_up_a_pause_has_not_paused() {
    let cluster = Cluster::shared();
    let database = cluster.database("console_unpause");
    let mut sidecache = Sidecache::build(cluster, &database)
        .no_replicas()
        .cache("off")
        .flag("--admin-user", "app")
        .flag("--drain-timeout", "1h")
        .start();
    let (mut busy, mut next) = (sidecache.connect("app"), sidecache.connect("app"));
    busy.rows("BEGIN");
    busy.rows("SAVEPOINT here");
    let mut operator = enter(&sidecache);
    operator.send(&Batch::new().query("PAUSE")).expect("a connection that lives");
    sidecache.await_status("the pause to begin", |status| status["paused"] == true);
    operator.cancel().expect("a cancel");
    let frames = operator.read_until_ready().expect("it goes on");
    assert_eq!(frames[0].field(b'C').as_deref(), Some("57014"), "{frames:?}");
    assert_eq!(sidecache.status()["paused"], false);
    assert_eq!(next.value("SELECT 1"), "1");
    operator.send(&Batch::new().query("PAUSE")).expect("a connection that lives");
    sidecache.await_status("the pause to begin", |status| status["paused"] == true);
    drop(operator);
    sidecache.await_status("its end", |status| status["paused"] == false);
    busy.rows("COMMIT");
    enter(&sidecache).rows("PAUSE");
    next.send(&Batch::new().query("SELECT 2")).expect("a connection that lives");
    let mut operator = enter(&sidecache);
    eventually("it to wait", || {
        operator.rows("SHOW CLIENTS").iter().any(|row| row[3].as_deref() == Some("waiting")).then_some(())
    });
    sidecache.signal(Signal::TERM);
    assert_eq!(tags(&next.read_until_ready().expect("its answer")), "TDCZ");
    assert_eq!(sidecache.wait().code(), Some(0));
}

/// Whoever resumes ends the pause that still waits, and says so to its operator; one that has been ended ends no other.
#[test]
fn a_pause_that_was_resumed_ends_and_opens_no_other() {
    let cluster = Cluster::shared();
    let database = cluster.database("console_resumed");
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off");
    let sidecache = build.flag("--admin-user", "app").start();
    let mut busy = sidecache.connect("app");
    busy.rows("BEGIN");
    busy.rows("SAVEPOINT here");
    let (mut first, mut other, mut last) = (enter(&sidecache), enter(&sidecache), enter(&sidecache));
    first.send(&Batch::new().query("PAUSE")).expect("a connection that lives");
    sidecache.await_status("the pause to begin", |status| status["paused"] == true);
    other.rows("RESUME");
    last.send(&Batch::new().query("PAUSE")).expect("a connection that lives");
    sidecache.await_status("another", |status| status["paused"] == true);
    let frames = first.read_until_ready().expect("an answer though the transaction is open");
    assert_eq!(frames[0].field(b'C').as_deref(), Some("57014"), "{frames:?}");
    drop(first);
    assert_eq!(other.error("PAUSE"), "55000", "it is paused");
    busy.rows("COMMIT");
    assert_eq!(tags(&last.read_until_ready().expect("the pause is whole")), "CZ");
    assert_eq!(sidecache.status()["paused"], true);
    other.rows("RESUME");
    assert_eq!(busy.value("SELECT 1"), "1");
}

/// A client that says nothing but who it is.
fn knock(sidecache: &Sidecache, parameters: &str) -> TcpStream {
    let Login { user, database, .. } = sidecache.login("app");
    let startup = format!("user\0{user}\0database\0{database}\0{parameters}\0");
    let length = u32::try_from(startup.len() + 8).expect("short");
    let bytes = [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), startup.as_bytes()].concat();
    let mut stream = TcpStream::connect(("127.0.0.1", sidecache.port())).expect("somebody listens");
    stream.write_all(&bytes).expect("a connection that lives");
    stream
}

/// Who connects during PAUSE, though the server is stopped, waits for RESUME, longer than a login may take.
#[test]
fn who_connects_during_a_pause_waits_for_its_end() {
    let mut cluster = Cluster::build().replicas(0).start();
    let database = cluster.database("console_newcomers");
    let build = Sidecache::build(&cluster, &database).no_replicas().cache("off").flag("--admin-user", "sidecache");
    let build = build.flag("--auth-refresh", "1ms").flag("--auth-timeout", "1s");
    let sidecache = build.start();
    let mut operator = Wire::connect(&console(&sidecache, "sidecache")).expect("an operator");
    assert_eq!(sidecache.connect("app").value("SELECT 1"), "1");
    operator.rows("PAUSE");
    cluster.primary.stop(Signal::INT);
    let login = sidecache.login("app");
    let waiting = std::thread::spawn(move || Wire::connect(&login));
    cluster.primary.start();
    operator.rows("RESUME");
    let mut client = waiting.join().expect("no panic").expect("it was let through");
    assert_eq!(client.value("SELECT 1"), "1");
}

/// A client that leaves while it waits to be greeted leaves its seat to others.
#[test]
fn who_leaves_before_the_greeting_takes_no_seat() {
    let cluster = Cluster::shared();
    let database = cluster.database("console_seats");
    let build = Sidecache::build(cluster, &database).no_replicas().cache("off").flag("--admin-user", "sidecache");
    let build = build.flag("--max-clients", "3").flag("--auth-method", "trust").flag("--auth-refresh", "1h");
    let sidecache = build.start();
    let mut operator = Wire::connect(&console(&sidecache, "sidecache")).expect("an operator");
    assert_eq!(sidecache.connect("app").value("SELECT 1"), "1");
    operator.rows("PAUSE");
    let leaving = eventually("two seats", || {
        let leaving = [(); 2].map(|()| knock(&sidecache, "work_mem\x001MB\0"));
        let is_there = |row: &Vec<Option<String>>| row[1].as_deref() == Some("app");
        let are_there =
            || (operator.rows("SHOW CLIENTS").iter().filter(|row| is_there(row)).count() == 2).then_some(());
        within(Duration::from_secs(5), are_there).map(|()| leaving)
    });
    assert_eq!(refusal(sidecache.try_connect("app")), "53300");
    drop(leaving);
    eventually("a seat, and a greeting that is known", || sidecache.try_connect("app").ok());
    operator.rows("RESUME");
}

/// As with PgBouncer, SIGUSR1 is PAUSE and SIGUSR2 is RESUME, however often each comes.
#[test]
fn signals_pause_and_resume() {
    let cluster = Cluster::shared();
    let database = cluster.database("console_signals");
    let mut sidecache = Sidecache::build(cluster, &database).no_replicas().cache("off").start();
    let mut client = sidecache.connect("app");
    client.value("SELECT 1");
    for signal in [Signal::USR1, Signal::USR1] {
        sidecache.signal(signal);
        sidecache.await_status("a pause", |status| status["paused"] == true);
    }
    eventually("the pool to be empty", || {
        (sidecache.metric("sidecache_server_connections", &[("server", "primary")]) == 0.0).then_some(())
    });
    client.send(&Batch::new().query("SELECT 'on'")).expect("a connection that lives");
    for signal in [Signal::USR2, Signal::USR2] {
        sidecache.signal(signal);
        sidecache.await_status("its end", |status| status["paused"] == false);
    }
    let frames = client.read_until_ready().expect("it goes on");
    assert_eq!(frames[1].columns()[0].as_deref(), Some(&b"on"[..]), "{frames:?}");
    // A pause that still waits for a transaction is over with RESUME, too, and holds up no end.
    client.rows("BEGIN");
    client.rows("SAVEPOINT here");
    sidecache.signal(Signal::USR1);
    sidecache.await_status("a pause that waits", |status| status["paused"] == true);
    sidecache.signal(Signal::USR2);
    sidecache.await_status("its end", |status| status["paused"] == false);
    client.rows("COMMIT");
    client.value("SELECT 1");
    assert!(sidecache.ended().is_none());
    sidecache.signal(Signal::USR1);
    sidecache.await_status("a pause", |status| status["paused"] == true);
    sidecache.signal(Signal::TERM);
    assert_eq!(sidecache.wait().code(), Some(0));
}
