//! What PostgreSQL makes of a text as it parses it depends on the session: constants are read by its settings, types of parameters are
//! inferred by its path. Connections parse a statement once for many clients, and again for the same client elsewhere: nobody may see it.

use crate::harness::cluster::Cluster;
use crate::harness::wire::{Batch, Format, Frame, Wire, rows};
use crate::twins::Twins;
use crate::watched::Watched;

/// A client by its number, and what it sends.
type Turn = (usize, Batch);

/// What each turn is answered.
fn played(open: impl Fn() -> Wire, turns: &[Turn]) -> Vec<Vec<Frame>> {
    let many = turns.iter().map(|(who, _)| who + 1).max().unwrap_or(0);
    let mut clients: Vec<Wire> = (0..many).map(|_| open()).collect();
    turns.iter().map(|(who, batch)| clients[*who].run(batch).expect("an answer")).collect()
}

/// The same directly and through one connection.
fn alike(label: &str, setup: &str, turns: &[Turn]) {
    let twins = Twins::with(label, setup, |builder| builder.no_replicas().flag("--pool-size", "1"));
    let (direct, through) = (played(|| twins.direct(), turns), played(|| twins.through(), turns));
    for (at, (direct, through)) in direct.iter().zip(&through).enumerate() {
        assert_eq!(through, direct, "{label}, turn {at}");
    }
}

fn set(setting: &str) -> Batch {
    Batch::new().query(&format!("SET {setting}"))
}

fn parse(sql: &str) -> Batch {
    Batch::new().parse("s", sql, &[]).sync()
}

fn run(parameters: &[Option<&str>]) -> Batch {
    Batch::new().bind("", "s", parameters, Format::Text).execute("", 0).sync()
}

const EVENTS: &str = "CREATE TABLE ev(at timestamptz); INSERT INTO ev VALUES ('2025-12-31 20:00+00')";
const BEFORE: &str = "SELECT count(*) FROM ev WHERE at < '2026-01-01 00:00:00'";

/// Each client's constant is a moment of its own time zone, whoever had the connection parse it.
#[test]
fn c17_constants_are_read_by_the_settings_of_who_parses() {
    for (label, other, text) in [
        ("c17_zone", "timezone = 'Asia/Tokyo'", BEFORE),
        ("c17_style", "datestyle = 'DMY'", "SELECT count(*) FROM ev WHERE at < '02/01/2026'"),
        ("c17_nulls", "transform_null_equals = on", "SELECT count(*) FROM ev WHERE NULL::text = NULL"),
        ("c17_array", "array_nulls = off", "SELECT count(*) FROM ev WHERE ('{null}'::text[])[1] IS NULL"),
    ] {
        let turns = [
            (0, set("timezone = 'UTC'")),
            (1, set("timezone = 'UTC'")),
            (1, set(other)),
            (0, parse(text)),
            (1, parse(text)),
            (0, run(&[])),
            (1, run(&[])),
            (0, run(&[])),
        ];
        alike(label, EVENTS, &turns);
    }
}

/// Nor does what one session's time zone made of it reach others by the cache.
#[test]
fn c17_what_is_stored_was_read_by_the_settings_that_it_is_stored_under() {
    let watched = Watched::with(Cluster::shared(), "c17_stored", EVENTS, |builder| {
        builder.no_replicas().flag("--pool-size", "1")
    });
    let (mut utc, mut tokyo, mut third) = (watched.client(), watched.client(), watched.client());
    for (client, zone) in [(&mut utc, "UTC"), (&mut tokyo, "Asia/Tokyo"), (&mut third, "UTC")] {
        client.rows(&format!("SET timezone = '{zone}'"));
    }
    utc.run(&parse(BEFORE)).expect("an answer");
    tokyo.run(&parse(BEFORE)).expect("an answer");
    for _ in 0..3 {
        let told = utc.run(&run(&[])).expect("an answer");
        assert_eq!(rows(&told).expect("rows"), [[Some("1".to_owned())]]);
        assert_eq!(third.extended(BEFORE, &[]), [[Some("1".to_owned())]]);
    }
}

/// A setting that the client changes later is what its statement is read by from then on, and nobody else's.
#[test]
fn c17_a_setting_that_changes_between_parse_and_bind_stays_the_clients_own() {
    let local = |texts: &[&str]| texts.iter().map(|text| (0, Batch::new().query(text))).collect::<Vec<_>>();
    let mut turns = vec![(0, set("timezone = 'UTC'")), (1, set("timezone = 'UTC'"))];
    turns.extend([(0, parse(BEFORE)), (1, parse(BEFORE))]);
    turns.extend(local(&["BEGIN", "SET LOCAL timezone = 'Asia/Tokyo'"]));
    turns.push((0, Batch::new().parse("t", BEFORE, &[]).bind("", "t", &[], Format::Text).execute("", 0).sync()));
    turns.extend(local(&["COMMIT"]));
    turns.extend([(1, run(&[])), (0, run(&[]))]);
    alike("c17_local", EVENTS, &turns);

    // In one batch, before Sidecache hears that it has succeeded.
    let both = Batch::new().extended("SET timezone = 'Asia/Tokyo'", &[], Format::Text);
    let both = both.parse("s", BEFORE, &[]).bind("", "s", &[], Format::Text).execute("", 0).sync();
    alike(
        "c17_batch",
        EVENTS,
        &[(1, set("timezone = 'UTC'")), (1, parse(BEFORE)), (0, both), (1, run(&[])), (0, run(&[]))],
    );
}

/// The words of a text are those that its Parse has read: a backslash that was one half of an escape stays that.
#[test]
fn c17_what_is_parsed_is_read_once() {
    let text = r"SELECT 'a\\b', at IS NULL FROM ev";
    let turns = [
        (0, set("standard_conforming_strings = off")),
        (0, parse(text)),
        (0, run(&[])),
        (0, set("standard_conforming_strings = on")),
        (1, parse(text)),
        (0, run(&[])),
        (1, run(&[])),
        (0, Batch::new().describe_statement("s").sync()),
        (0, run(&[])),
    ];
    alike("c17_strings", EVENTS, &turns);

    // A connection that has not read it, and would read it otherwise, is given no chance to.
    let twins = Twins::with("c17_strings_lost", EVENTS, |builder| {
        builder.no_replicas().flag("--pool-size", "1").flag("--max-prepared-statements", "1")
    });
    let mut client = twins.through();
    for batch in [set("standard_conforming_strings = off"), parse(text), set("standard_conforming_strings = on")] {
        client.run(&batch).expect("an answer");
    }
    twins.through().run(&parse("SELECT 1")).expect("an answer");
    let told = client.run(&run(&[])).expect("an answer");
    assert_eq!(told[0].field(b'C').as_deref(), Some("0A000"), "drivers prepare it again");
}

/// A constant may be the time of parsing: each Parse has its own.
#[test]
fn c22_now_is_when_the_client_has_it_parsed() {
    let twins = Twins::with("c22_parsed_now", "", |builder| builder.no_replicas().flag("--pool-size", "1"));
    let mut clients = [twins.through(), twins.through()];
    for client in &mut clients {
        client.run(&parse("SELECT ' NOW '::timestamptz::text")).expect("an answer");
    }
    let [one, other] = clients.map(|mut client| rows(&client.run(&run(&[])).expect("an answer")).expect("a row"));
    assert_ne!(one, other);
}

/// By the path of who parses a statement its parameters have other types, in which their bytes mean something else.
#[test]
fn r15_parameters_have_the_types_that_the_clients_path_gives_them() {
    let text = "SELECT count(*) FROM t WHERE id < $1";
    let described = Batch::new().parse("s", text, &[]).describe_statement("s").sync();
    let four = |bytes: [u8; 4]| {
        Batch::new().bind_as("", "s", &[Format::Binary], &[Some(&bytes)], &[Format::Text]).execute("", 0).sync()
    };
    alike(
        "r15_paths",
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t(id int4); CREATE TABLE b.t(id float4); \
         INSERT INTO a.t VALUES (5), (100); INSERT INTO b.t VALUES (5), (100)",
        &[
            (0, set("search_path = a")),
            (1, set("search_path = b")),
            (0, described.clone()),
            (1, described),
            (0, four(50_i32.to_be_bytes())),
            (1, four(50_f32.to_be_bytes())),
            (0, Batch::new().describe_statement("s").sync()),
            (0, four(50_i32.to_be_bytes())),
        ],
    );
}

/// What a client was told of its parameters holds, whatever becomes of the columns and wherever its statement is parsed again.
#[test]
fn r15_parameters_keep_the_types_that_the_client_was_told() {
    // Of every two statements a connection forgets one.
    let twins = Twins::with(
        "r15_altered",
        "CREATE TABLE t(id int4, big int8); INSERT INTO t VALUES (5, 5), (100, 100)",
        |builder| builder.no_replicas().flag("--pool-size", "1").flag("--max-prepared-statements", "1"),
    );
    let (mut direct, mut through) = (twins.direct(), twins.through());
    let small = Batch::new().parse("s", "SELECT count(*) FROM t WHERE id < $1", &[]).describe_statement("s").sync();
    let large = Batch::new().parse("l", "SELECT count(*) FROM t WHERE big < $1", &[]).describe_statement("l").sync();
    let bound = |name: &str, bytes: &[u8]| {
        Batch::new().bind_as("", name, &[Format::Binary], &[Some(bytes)], &[Format::Text]).execute("", 0).sync()
    };
    let mut alike = |batch: &Batch| {
        let right = direct.run(batch).expect("an answer");
        assert_eq!(through.run(batch).expect("an answer"), right);
    };
    for _ in 0..2 {
        let runs = [bound("s", &50_i32.to_be_bytes()), bound("l", &50_i64.to_be_bytes())];
        for batch in [&small, &large].into_iter().chain(&runs) {
            alike(batch);
        }
        let forget = Batch::new().close_statement("s").close_statement("l").sync();
        twins.direct().rows("ALTER TABLE t ALTER id TYPE float4, ALTER big TYPE int4");
        twins.sidecache.await_stream(twins.cluster);
        runs.iter().for_each(&mut alike);
        runs.iter().for_each(&mut alike);
        alike(&forget);
        twins.direct().rows("ALTER TABLE t ALTER id TYPE int4, ALTER big TYPE int8");
        twins.sidecache.await_stream(twins.cluster);
    }
}

/// A notice is the client's while its statement runs, also where a batch whose statement was prepared before might have been sent again.
#[test]
fn r16_a_notice_is_told_before_the_statement_ends() {
    let setup = "CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS \
                 $$BEGIN RAISE NOTICE 'so far'; PERFORM pg_advisory_xact_lock(7); RETURN 1; END$$";
    let twins = Twins::with("r16_notice", setup, |builder| builder.no_replicas());
    let (mut holder, mut client) = (twins.direct(), twins.through());
    client.run(&parse("SELECT slow()")).expect("an answer");
    holder.rows("BEGIN; SELECT pg_advisory_xact_lock(7)");
    client.send(&run(&[])).expect("a connection that lives");
    client.read_until(b'N').expect("a notice, while it waits for the lock");
    holder.rows("COMMIT");
    client.read_until_ready().expect("an answer");
}
