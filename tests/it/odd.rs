//! The protocol's rarer sides: encodings other than UTF-8, names that SQL takes away, statements that come and go.

use crate::harness::cluster::Cluster;
use crate::harness::proxy::{FaultProxy, Silence};
use crate::harness::sidecache::Sidecache;
use crate::harness::usage;
use crate::harness::wire::{Batch, Format, Login, Wire, tags};
use crate::twins::{Step, Twins, play, queries, ready, told, until};

fn b() -> Batch {
    Batch::new()
}

/// A simple query in bytes that need not be UTF-8.
fn raw(parts: &[&[u8]]) -> Step {
    ready(b().message(b'Q', &[&parts.concat()[..], b"\0"].concat()))
}

/// An extended batch with one parameter, likewise.
fn bound(sql: &[u8], value: &[u8]) -> Step {
    let parse = [b"\0", sql, b"\0\0\0"].concat();
    let batch = b().message(b'P', &parse).bind_as("", "", &[Format::Text], &[Some(value)], &[Format::Text]);
    ready(batch.describe_portal("").execute("", 0).sync())
}

const WORDS: &str = "CREATE TABLE words (id int PRIMARY KEY, v text);
    INSERT INTO words VALUES (1, 'café'), (2, '表'); CREATE TABLE kept (v text)";

/// LATIN1, SJIS and EUC_JP both ways: literals, parameters, rows, names and errors; and what is read in one encoding is not
/// served in another. The second byte of 表 in SJIS is a backslash.
#[test]
fn r5_other_encodings_go_both_ways() {
    let twins = Twins::new("encodings", WORDS);
    let words: [(&str, &[u8], &str); 4] = [
        ("LATIN1", b"caf\xe9", "1"),
        ("SJIS", b"\x95\x5c", "2"),
        ("EUC_JP", b"\xc9\xbd", "2"),
        ("UTF8", "café".as_bytes(), "1"),
    ];
    for (encoding, word, id) in words {
        let read = format!("SELECT v FROM words WHERE id = {id}");
        let script = [
            raw(&[read.as_bytes()]),
            raw(&[read.as_bytes()]),
            raw(&[b"SELECT id FROM words WHERE v = '", word, b"'"]),
            raw(&[b"SELECT id FROM words WHERE v = E'", word, b"'; SELECT 2"]),
            bound(b"SELECT id, v FROM words WHERE v = $1", word),
            bound(b"SELECT id, v FROM words WHERE v = $1", word),
            raw(&[b"SELECT 1 AS \"", word, b"\""]),
            raw(&[b"SELECT \"", word, b"\""]),
            raw(&[b"INSERT INTO kept VALUES ('", word, b"')"]),
            bound(b"INSERT INTO kept VALUES ($1) RETURNING v", word),
            raw(&[b"SELECT v, length(v) FROM kept"]),
            raw(&[b"SET application_name = '", word, b"'"]),
            raw(&[b"SHOW application_name"]),
            raw(&[b"BEGIN; SET LOCAL search_path = '", word, b"'"]),
            raw(&[b"SHOW search_path"]),
            raw(&[b"ROLLBACK"]),
            raw(&[b"PREPARE \"", word, b"\" AS SELECT 1"]),
            raw(&[b"EXECUTE \"", word, b"\""]),
            raw(&[b"DEALLOCATE \"", word, b"\""]),
            // Characters of LATIN1 alone.
            raw(&[b"SELECT '\xff\xff'"]),
            bound(b"SELECT $1::text", b"\xff\xff"),
            raw(&[read.as_bytes()]),
        ];
        twins.same_as(encoding, "TRUNCATE kept", &script, |login| login.with("client_encoding", encoding));
        let mut script = vec![ready(b().query(&read)), ready(b().query(&format!("SET client_encoding = {encoding}")))];
        script.extend([raw(&[read.as_bytes()]), ready(b().query("RESET client_encoding")), ready(b().query(&read))]);
        twins.same(encoding, "", &script);
    }
}

/// A Parse of a name that is taken says so last: what is wrong with its text, or the transaction, comes first.
#[test]
fn r13_a_name_that_is_taken_is_found_last() {
    let twins = Twins::new("taken", "");
    let script = [
        ready(b().parse("s", "SELECT 1", &[]).sync()),
        ready(b().parse("s", "SELECT 2", &[]).sync()),
        ready(b().parse("s", "SELECT nothing", &[]).sync()),
        ready(b().parse("s", "SELEC", &[]).sync()),
        ready(b().parse("s", "SELECT 1; SELECT 2", &[]).sync()),
        ready(b().parse("t", "SELECT 1", &[]).parse("t", "SELECT nothing", &[]).sync()),
        ready(b().parse("u", "SELECT 1", &[]).parse("u", "SELECT 1", &[]).sync()),
        ready(b().query("BEGIN")),
        ready(b().query("SELECT 1/0")),
        ready(b().parse("s", "SELECT 2", &[]).sync()),
        ready(b().parse("s", "ROLLBACK", &[]).sync()),
        ready(b().query("ROLLBACK")),
        ready(b().bind("", "s", &[], Format::Text).execute("", 0).sync()),
    ];
    twins.same("taken", "", &script);
    twins.same_in_turns("taken", &script);
}

/// What DEALLOCATE ALL drops among other statements of one text is dropped, for the session and for the connection.
#[test]
fn r13_deallocate_all_among_other_statements_is_seen() {
    let twins = Twins::with("deallocates", "CREATE TABLE t (id int)", |builder| builder.flag("--pool-size", "1"));
    let run = |name: &str| ready(b().bind("", name, &[], Format::Text).execute("", 0).sync());
    let prepare = || ready(b().parse("s", "SELECT count(*) FROM t", &[]).sync());
    let script = [
        prepare(),
        run("s"),
        ready(b().query("SELECT 1; DEALLOCATE ALL; SELECT 2")),
        run("s"),
        prepare(),
        run("s"),
        ready(b().query("DEALLOCATE ALL; SELECT 1/0")),
        run("s"),
        prepare(),
        run("s"),
    ];
    twins.same("several", "", &script);
}

/// A trigger drops all that the connection has prepared, other clients' statements too: they are prepared again, unseen.
#[test]
fn r13_what_a_trigger_drops_is_prepared_again() {
    let setup = "CREATE TABLE t (id int); INSERT INTO t VALUES (7);
        CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DEALLOCATE ALL''; RETURN new; END';
        CREATE TABLE w (id int); CREATE TRIGGER drops BEFORE INSERT ON w FOR EACH ROW EXECUTE FUNCTION drops()";
    let twins = Twins::with("dropped", setup, |builder| builder.flag("--pool-size", "1").cache("off"));
    let (mut client, mut other) = (twins.through(), twins.through());
    let run = ready(b().bind("", "s", &[], Format::Text).execute("", 0).sync());
    let prepare = ready(b().parse("s", "SELECT id FROM t FOR UPDATE", &[]).sync());
    assert_eq!(tags(&play(&mut client, &prepare)), "1Z");
    for round in 0..3 {
        let answer = play(&mut client, &run);
        assert_eq!(tags(&answer), "2DCZ", "round {round}: {answer:?}");
        other.rows("INSERT INTO w VALUES (1)");
    }
    assert_eq!(tags(&play(&mut client, &run)), "2DCZ");
}

/// A connection keeps no more statements than it may, however many clients prepare and bind in one batch or many; all of
/// them work, and what several clients prepare is there once.
#[test]
fn r13_a_connection_keeps_a_bounded_number_of_statements() {
    let twins = Twins::with("bounded", "", |builder| {
        builder.flag("--pool-size", "1").flag("--max-prepared-statements", "3").no_replicas()
    });
    let mut clients = [twins.through(), twins.through()];
    let sql = |at: usize| format!("SELECT {at} AS n, pg_backend_pid() > 0");
    let bind = |batch: Batch, at: usize| batch.bind("", &format!("s{at}"), &[], Format::Text).execute("", 0);
    for client in &mut clients {
        for at in 0..10 {
            assert_eq!(tags(&play(client, &ready(b().parse(&format!("s{at}"), &sql(at), &[]).sync()))), "1Z");
        }
        // More in one batch than the connection may keep, twice each.
        let batch = (0..20).fold(b(), |batch, at| bind(batch, at % 10)).sync();
        let answer = play(client, &ready(batch));
        assert_eq!(tags(&answer), format!("{}Z", "2DC".repeat(20)), "{:?}", told(&answer));
    }
    let kept = "SELECT count(*), count(DISTINCT statement) FROM pg_prepared_statements WHERE statement LIKE '%AS n%'";
    let mut most = 0;
    for round in 0..4 {
        for (who, client) in clients.iter_mut().enumerate() {
            let at = round * 2 + who;
            assert_eq!(tags(&play(client, &ready(bind(b(), at).sync()))), "2DCZ");
            let row = client.rows(kept).remove(0);
            let [count, distinct] = [0, 1].map(|at| row[at].as_deref().and_then(|n| n.parse::<u32>().ok()));
            assert_eq!(count, distinct, "one is there twice");
            most = most.max(count.expect("a number"));
        }
    }
    assert_eq!(most, 3, "as many as may be kept, and no more");
}

/// A text too long to be known by a number of its own is prepared once for who prepared it, and nothing of it is kept when he has gone.
#[test]
fn r13_long_texts_work_and_are_not_kept() {
    let twins = Twins::with("long", "", |builder| builder.flag("--pool-size", "1").no_replicas());
    let long = |at: usize| format!("SELECT {at} AS long /*{}*/", "q".repeat(400 * 1024));
    let bind = b().bind("", "s", &[], Format::Text).execute("", 0).sync();
    let mut client = twins.through();
    assert_eq!(tags(&play(&mut client, &ready(b().parse("s", &long(1), &[]).sync()))), "1Z");
    for _ in 0..3 {
        assert_eq!(tags(&play(&mut client, &ready(bind.clone()))), "2DCZ");
        client.value("SELECT 1 + 1");
    }
    let kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%AS long%'";
    assert_eq!(client.value(kept), "1");
    let before = usage::resident(twins.sidecache.pid()).expect("it runs");
    for at in 0..100 {
        let batch = b().parse("t", &long(at), &[]).close_statement("t").sync();
        assert_eq!(tags(&play(&mut client, &ready(batch))), "13Z");
    }
    drop(client);
    let grown = usage::resident(twins.sidecache.pid()).expect("it runs").saturating_sub(before);
    assert!(grown < 20 << 20, "{grown} bytes for 40 MB of texts");
}

/// An error after which the names of prepared statements must be right: what stands behind it in its batch has not happened.
#[test]
fn r13_an_error_between_eviction_and_bind_leaves_the_names_right() {
    let twins = Twins::with("evicterror", "", |builder| builder.flag("--max-prepared-statements", "1"));
    let run = |batch: Batch, name: &str| batch.bind("", name, &[], Format::Text).execute("", 0);
    let bad = |batch: Batch| batch.parse("", "SELECT 1/0", &[]).bind("", "", &[], Format::Text).execute("", 0);
    let mut script = queries(&["SELECT 1"]);
    script.extend([
        ready(b().parse("a", "SELECT 'a' FROM pg_class LIMIT 1", &[]).parse("b", "SELECT 'b'", &[]).sync()),
        ready(run(bad(run(b(), "a")), "b").sync()),
        ready(run(run(b(), "b"), "a").sync()),
        ready(bad(run(run(b(), "a"), "b")).sync()),
        ready(run(run(b(), "a"), "b").sync()),
        ready(run(b(), "b").flush().sync()),
        ready(run(run(b().parse("c", "SELECT 'c'", &[]).parse("d", "SELECT 'd'", &[]), "c"), "d").sync()),
        ready(b().parse("e", "SELECT 'e'", &[]).parse("f", "SELECT 'f'", &[]).describe_statement("e").sync()),
        ready(run(run(run(b(), "b"), "a"), "b").close_statement("a").sync()),
        ready(run(b(), "a").sync()),
        ready(run(b(), "b").sync()),
    ]);
    twins.same("evicterror", "", &script);
    twins.same_in_turns("evicterror", &script);
}

/// A message that has no place in a copy ends the connection with two errors, of which neither is lost.
#[test]
fn r7_what_has_no_place_in_a_copy_ends_the_connection_as_directly() {
    let twins = Twins::new("copyends", WORDS);
    let copy = b().parse("", "COPY kept FROM STDIN", &[]).bind("", "", &[], Format::Text).execute("", 0);
    // What stands behind the Execute is on its way already when the copy begins; or it comes once it has begun.
    let script = [ready(copy.clone().close_statement("x").flush())];
    let answers = twins.same("at once", "", &script);
    assert_eq!(tags(&answers[0]), "12GEE!");
    let script = [until(copy.flush(), b'G'), ready(b().close_statement("x").sync())];
    let answers = twins.same("later", "", &script);
    assert_eq!(tags(&answers[1]), "EE!");
}

/// A message whose fields do not fill it fails as any other does: what came before it in its batch is done or taken back, and the
/// session goes on.
#[test]
fn r25_a_malformed_message_fails_alone() {
    let twins = Twins::new("malformed", WORDS);
    let malformed: [(&str, u8, &[u8]); 18] = [
        ("a Query without its end", b'Q', b"SELECT 1"),
        ("two queries in one", b'Q', b"SELECT 1\0SELECT 2\0"),
        ("an empty Query", b'Q', b""),
        ("a Close of nothing", b'C', b"Xa\0"),
        ("an empty Close", b'C', b""),
        ("a Close with more", b'C', b"Sa\0\0"),
        ("a Describe of nothing", b'D', b"X\0"),
        ("a Describe without its end", b'D', b"Sa"),
        ("a Bind longer than its frame", b'B', b"\0\0\0\0\0\x01\0\0\0\x05ab"),
        ("a Bind of a negative length", b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        ("a Bind without its results", b'B', b"\0\0\0\0\0\0"),
        ("a Bind with more", b'B', b"\0\0\0\0\0\0\0\0\0"),
        ("a Bind without names", b'B', b"\0"),
        ("an Execute without rows", b'E', b"\0"),
        ("a Parse of many types", b'P', b"\0SELECT 1\0\0\x05"),
        ("a Parse without its end", b'P', b"\0SELECT 1"),
        ("a Flush with more", b'H', b"x"),
        ("a Sync with more", b'S', b"xx"),
    ];
    let write = |batch: Batch, value: &str| {
        batch.parse("", "INSERT INTO kept VALUES ($1)", &[]).bind("", "", &[Some(value)], Format::Text).execute("", 0)
    };
    for (what, tag, body) in malformed {
        let bad = |batch: Batch| {
            let batch = batch.message(tag, body);
            if matches!(tag, b'Q' | b'S') { ready(batch) } else { ready(write(batch, "skipped").sync()) }
        };
        let goes_on = || queries(&["SELECT v FROM kept ORDER BY v", "SELECT 1"]);
        let mut script = vec![ready(b().parse("", "SELECT 7", &[]).sync()), bad(b())];
        script.extend(goes_on());
        script.push(bad(write(b(), "taken back")));
        // A Query in a batch leaves its Sync to come.
        if tag == b'Q' {
            script.push(ready(b().sync()));
        }
        script.extend(goes_on());
        script.extend(queries(&["BEGIN"]));
        script.push(bad(b()));
        script.extend(queries(&["SELECT 1", "COMMIT", "BEGIN", "INSERT INTO kept VALUES ('in a transaction')"]));
        script.push(bad(b().parse("", "SELECT 2", &[])));
        script.extend([ready(b().sync()), ready(b().query("SELECT 1")), ready(b().query("COMMIT"))]);
        script.push(until(write(b(), "flushed").flush(), b'C'));
        script.push(bad(b()));
        script.extend(goes_on());
        twins.same(what, "TRUNCATE kept", &script);
    }
}

/// A copy that fails before its batch's Sync is read is answered in two pieces, the second of which may come whenever it likes: it ends
/// what the batch was, and the connection is others' again.
#[test]
fn r19_a_copy_that_fails_is_over_when_its_late_sync_is_answered() {
    let cluster = Cluster::shared();
    let database = cluster.database("late_sync");
    cluster.connect("app", &database).rows(
        "CREATE TABLE c (v text); CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN RAISE EXCEPTION ''no copies''; END'; CREATE TRIGGER no BEFORE INSERT ON c EXECUTE FUNCTION no()",
    );
    let way = FaultProxy::to_port(cluster.primary.port);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let build = Sidecache::build(cluster, &database).no_replicas().primary(&url).flag("--pool-size", "1");
    let sidecache = build.start();
    let (mut client, mut other) = (sidecache.connect("app"), sidecache.connect("app"));
    let copy_late = |client: &mut Wire| {
        // The last field of the error, and its end.
        way.set(|weather| weather.silence_behind = Some(b"Rexec_stmt_raise\0\0"));
        let copy = b().parse("", "COPY c FROM STDIN", &[]).bind("", "", &[], Format::Text).execute("", 0).sync();
        client.send(&copy).expect("it lives");
        let told = client.read_until(b'E').expect("the trigger's error");
        assert_eq!(told.last().and_then(|error| error.field(b'C')).as_deref(), Some("P0001"), "{told:?}");
        way.set(|weather| weather.silence = Silence::None);
        client.read_until_ready().expect("the answer to its Sync").pop().expect("a ReadyForQuery").body
    };
    client.rows("SET timezone = 'UTC'");
    client.rows("BEGIN");
    client.rows("SET timezone = 'Asia/Tokyo'");
    assert_eq!(copy_late(&mut client), b"E");
    assert_eq!(tags(&client.query("COMMIT").expect("it lives")), "CZ");
    assert_eq!(client.value("SHOW timezone"), "UTC", "what was rolled back");
    assert_eq!(copy_late(&mut client), b"I");
    // The only connection there is, though the first client says nothing more.
    assert_eq!(other.value("SELECT pg_is_in_recovery()"), "f");
}

/// A session that is pinned has lost what it holds once its connection ends, also where all of its answer has come: it is told.
#[test]
fn r20_a_pinned_session_that_loses_its_connection_behind_an_answer_is_told() {
    let cluster = Cluster::shared();
    let database = cluster.database("lost_behind");
    cluster.connect("app", &database).rows("CREATE TABLE t AS SELECT generate_series(1, 137) AS v");
    let way = FaultProxy::to_port(cluster.primary.port);
    let url = Login { port: way.port(), ..cluster.login("sidecache", &database) }.url();
    let sidecache = Sidecache::build(cluster, &database).no_replicas().primary(&url).start();
    sidecache.await_stream(cluster);
    let mut client = sidecache.connect("app");
    client.rows("SELECT pg_advisory_lock(9)");
    // Its end, which a question of our own stands before.
    way.set(|weather| weather.silence_behind = Some(b"SELECT 137\0"));
    let read = b().parse("", "SELECT v FROM t", &[]).bind("", "", &[], Format::Text).execute("", 0).sync();
    client.send(&read).expect("it lives");
    assert_eq!(client.read_until(b'C').expect("all of its rows").len(), 2 + 137 + 1);
    way.cut();
    let told = client.read_frame().expect("a last word");
    assert_eq!((told.tag, told.field(b'C').as_deref()), (b'E', Some("08006")));
}
