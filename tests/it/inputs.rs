//! What of a session decides an answer is part of its key (C17): settings, what a role or a database starts with, and what functions
//! set.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::wire::{Wire, rows};
use crate::watched::{Watched, text};

/// Settings that change an answer's bytes, and a read that shows it.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("TimeZone", "Asia/Tokyo", "SELECT tz FROM v"),
    ("DateStyle", "German", "SELECT ts FROM v"),
    ("IntervalStyle", "iso_8601", "SELECT iv FROM v"),
    ("extra_float_digits", "-5", "SELECT f FROM v"),
    ("bytea_output", "escape", "SELECT b FROM v"),
    ("search_path", "other", "SELECT s FROM w"),
];

const VALUES: &str = "CREATE TABLE v(tz timestamptz, ts timestamp, iv interval, f float8, b bytea);\
    INSERT INTO v VALUES ('2026-01-02 03:04:05Z', '2026-01-02 03:04:05', '1 day 02:03:04', 0.1::float8 + 0.2, '\\x6162');\
    CREATE TABLE w(s text); INSERT INTO w VALUES ('public');\
    CREATE SCHEMA other; CREATE TABLE other.w(s text); INSERT INTO other.w VALUES ('other')";

#[test]
fn c17_settings_that_change_bytes_change_the_answer() {
    let watched = Watched::shared("c17_settings", VALUES);
    let mut client = watched.client();
    let mut direct = watched.beside();
    for (name, value, read) in SETTINGS {
        let plain = watched.warm(&mut client, read);
        direct.rows(&format!("SET {name} = '{value}'"));
        let changed = text(&direct.rows(read));
        direct.rows(&format!("RESET {name}"));
        assert_ne!(plain, changed, "{name}");
        for (set, reset) in [
            (format!("SET {name} = '{value}'"), format!("RESET {name}")),
            (format!("SET {name} TO '{value}'"), "RESET ALL".to_owned()),
            (format!("SET SESSION {name} = '{value}'"), "DISCARD ALL".to_owned()),
            (format!("SELECT set_config('{name}', '{value}', false)"), format!("SET {name} TO DEFAULT")),
            (format!("BEGIN; SET LOCAL {name} = '{value}'"), "COMMIT".to_owned()),
            (format!("BEGIN; SET {name} = '{value}'"), "ROLLBACK".to_owned()),
        ] {
            // A client each, since a text of several statements pins.
            let mut client = watched.client();
            client.rows(&set);
            assert_eq!(text(&client.rows(read)), changed, "{set}");
            assert_eq!(text(&client.rows(read)), changed, "{set}, once more");
            client.rows(&reset);
            assert_eq!(text(&client.rows(read)), plain, "{set}, {reset}");
        }
        let mut stepwise = watched.client();
        stepwise.rows("BEGIN");
        stepwise.rows(&format!("SET LOCAL {name} = '{value}'"));
        assert_eq!(text(&stepwise.rows(read)), changed, "SET LOCAL {name}");
        stepwise.rows("COMMIT");
        assert_eq!(text(&stepwise.rows(read)), plain, "after SET LOCAL {name}");
        stepwise.rows(&format!("SET {name} = '{value}'"));
        stepwise.rows("BEGIN");
        stepwise.rows(&format!("SET LOCAL {name} TO DEFAULT"));
        assert_eq!(text(&stepwise.rows(read)), plain, "SET LOCAL {name} TO DEFAULT hides the session's own");
        stepwise.rows("COMMIT");
        assert_eq!(text(&stepwise.rows(read)), changed, "and ends with the transaction");
        let mut started = Wire::connect(&watched.sidecache.login("app").with(name, value)).expect("taken");
        assert_eq!(watched.warm(&mut started, read), changed, "{name} at the start");
        let options = format!("-c {name}={value}");
        let mut started = Wire::connect(&watched.sidecache.login("app").with("options", &options)).expect("taken");
        assert_eq!(watched.warm(&mut started, read), changed, "{options}");
        assert_eq!(watched.warm(&mut client, read), plain, "{name} of others");
    }
}

#[test]
fn c17_what_a_role_or_database_starts_with_is_an_input_too() {
    let watched = Watched::shared("c17_defaults", VALUES);
    let mut root = watched.cluster.primary.connect_to(&watched.database);
    for (name, value, read) in SETTINGS {
        let mut before = watched.client();
        let plain = watched.warm(&mut before, read);
        for (set, reset) in [
            (format!("ALTER DATABASE {} SET {name} = '{value}'", watched.database), "ALTER DATABASE"),
            (format!("ALTER ROLE app IN DATABASE {} SET {name} = '{value}'", watched.database), "ALTER ROLE"),
        ] {
            root.rows(&set);
            let changed = text(&watched.beside().rows(read));
            assert_ne!(plain, changed, "{set}");
            watched.hear();
            eventually("the defaults to be known", || (text(&watched.client().rows(read)) == changed).then_some(()));
            for _ in 0..3 {
                assert_eq!(watched.warm(&mut watched.client(), read), changed, "{set}: new sessions");
            }
            let frames = before.query(read).expect("a connection that lives");
            assert_eq!(
                text(&rows(&frames).expect("rows")),
                changed,
                "{set}: a session that began before takes it over"
            );
            let told = frames.iter().any(|f| f.tag == b'S' && f.text() == *name);
            let reported = ["TimeZone", "DateStyle", "IntervalStyle"].contains(name)
                || (*name == "search_path" && watched.cluster.version() >= 18);
            assert_eq!(told, reported, "{set}: and its client is told");
            let mut own = watched.client();
            own.rows(&format!("SET {name} TO DEFAULT"));
            assert_eq!(text(&own.rows(read)), changed, "{set}");
            match reset {
                "ALTER ROLE" => root.rows(&format!("ALTER ROLE app IN DATABASE {} RESET ALL", watched.database)),
                _ => root.rows(&format!("ALTER DATABASE {} RESET ALL", watched.database)),
            };
            watched.hear();
            eventually("the defaults to be known", || (text(&watched.client().rows(read)) == plain).then_some(()));
            assert_eq!(watched.warm(&mut watched.client(), read), plain, "{set}: taken back");
            assert_eq!(text(&before.rows(read)), plain, "{set}: taken back");
        }
    }
}

#[test]
fn c17_what_a_function_sets_stays_with_its_session() {
    let watched = Watched::with(
        Cluster::shared(),
        "c17_function",
        &format!(
            "{VALUES}; CREATE FUNCTION sets(text, text) RETURNS text LANGUAGE plpgsql AS \
             $$BEGIN RETURN set_config($1, $2, false); END$$;\
             CREATE FUNCTION nests(text, text) RETURNS text LANGUAGE sql AS 'SELECT sets($1, $2)';\
             CREATE TABLE told(name text, value text);\
             CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN PERFORM set_config(NEW.name, NEW.value, false); RETURN NEW; END$$;\
             CREATE TRIGGER t BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION fires()"
        ),
        |builder| builder.no_replicas().flag("--pool-size", "1"),
    );
    for (name, value, read) in SETTINGS {
        let plain = watched.warm(&mut watched.client(), read);
        for call in ["SELECT sets($)", "SELECT nests($)", "INSERT INTO told VALUES ($)"] {
            watched.client().rows(&call.replace('$', &format!("'{name}', '{value}'")));
            // Something new, so that it is filled on the one connection that there is.
            watched.beside().rows("UPDATE v SET f = f; UPDATE w SET s = s; UPDATE other.w SET s = s");
            watched.hear();
            assert_eq!(watched.warm(&mut watched.client(), read), plain, "{name} leaked to others by {call}");
        }
    }
}

#[test]
fn c17_what_a_trigger_set_is_not_stored_for_others_however_long_its_connection_is_kept() {
    for (pool, pins) in [("session", "SELECT 1"), ("transaction", "LISTEN c17")] {
        let watched = Watched::with(
            Cluster::shared(),
            "c17_kept",
            &format!(
                "{VALUES}; CREATE TABLE told(value text);\
                 CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS \
                 $$BEGIN PERFORM set_config('TimeZone', NEW.value, false); RETURN NEW; END$$;\
                 CREATE TRIGGER t BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION fires()"
            ),
            |builder| builder.no_replicas().pool(pool),
        );
        let read = "SELECT tz FROM v";
        let mut other = watched.client();
        let plain = watched.warm(&mut other, read);
        let mut client = watched.client();
        client.rows(pins);
        client.rows("INSERT INTO told VALUES ('Asia/Tokyo')");
        watched.beside().rows("UPDATE v SET f = f");
        watched.hear();
        assert_ne!(text(&client.rows(read)), plain, "{pool}: as directly");
        assert_eq!(watched.warm(&mut other, read), plain, "{pool}: and for nobody else");
    }
}

/// PostgreSQL takes any beginning of a boolean's words that stands for one of them: what a string is hangs on it.
#[test]
fn c17_strings_are_read_as_the_server_reads_them_however_the_setting_is_written() {
    let watched = Watched::shared(
        "c17_strings",
        "CREATE TABLE t(x int); INSERT INTO t VALUES (1); CREATE TABLE u(y int); INSERT INTO u VALUES (0)",
    );
    // With a backslash as an ordinary character two strings and a subquery, else one string.
    let read = "SELECT x, '\\', (SELECT max(y) FROM u), '' --'\n FROM t";
    let (mut direct, mut last) = (watched.beside(), 0);
    for value in ["on", "t", "TR", "'true'", "y", "Ye", "yes", "1", "off", "of", "f", "'fAls'", "n", "no", "0"] {
        let set = format!("SET standard_conforming_strings = {value}");
        let mut client = watched.client();
        client.rows(&set);
        direct.rows(&set);
        // With an escape in it, it may not be cached at all.
        (0..3).for_each(|_| assert_eq!(text(&client.rows(read)), text(&direct.rows(read)), "{set}"));
        last += 1;
        watched.beside().rows(&format!("UPDATE u SET y = {last}"));
        watched.hear();
        assert_eq!(text(&client.rows(read)), text(&direct.rows(read)), "{set}");
    }
}

/// Names in a list are folded, cut and split as PostgreSQL does it, and not as other texts are.
#[test]
fn c16_a_path_leads_where_the_server_goes() {
    let long = "x".repeat(63);
    let schemas = ["\u{c4}a", "\u{e4}a", "a\u{a0}b", &long, "u&x", "\u{130}", "sp\u{e4}t"];
    let table = |s: &str| {
        format!(
            "CREATE SCHEMA \"{s}\"; GRANT USAGE ON SCHEMA \"{s}\" TO PUBLIC; CREATE TABLE \"{s}\".w(s text);\
             INSERT INTO \"{s}\".w VALUES ('{s}')"
        )
    };
    let tables = schemas.map(table);
    let watched = Watched::shared(
        "c16_lists",
        &format!("{}; CREATE TABLE w(s text); INSERT INTO w VALUES ('public')", tables.join(";")),
    );
    let read = "SELECT s FROM w";
    let longer = format!("{long}y");
    for list in [
        "\u{c4}a",
        "\u{c4}A",
        "\u{e4}A",
        "a\u{a0}b",
        &longer,
        "U&x",
        "\u{130}",
        "SP\u{e4}T",
        "\u{c4}a,public",
        "nowhere,public",
    ] {
        let path = format!("{list},public");
        let login = |login: crate::harness::wire::Login| login.with("options", &format!("-csearch_path={path}"));
        let right = Wire::connect(&login(watched.cluster.login("app", &watched.database))).expect("taken").value(read);
        let mut started = Wire::connect(&login(watched.sidecache.login("app"))).expect("taken");
        assert_eq!(watched.warm(&mut started, read), right, "{path}");
        let mut client = watched.client();
        client.rows(&format!("SELECT set_config('search_path', '{path}', false)"));
        assert_eq!(watched.warm(&mut client, read), right, "set_config: {path}");
        // It hangs on the right table.
        watched.beside().rows(&format!("UPDATE \"{right}\".w SET s = 'changed'"));
        watched.hear();
        assert_eq!((started.value(read), client.value(read)), ("changed".to_owned(), "changed".to_owned()), "{path}");
        watched.beside().rows(&format!("UPDATE \"{right}\".w SET s = '{right}'"));
        watched.hear();
    }
}

/// Reads until the answer is `expected`: what the client was told of a setting on the way, by `ParameterStatus`.
fn told_until(client: &mut Wire, read: &str, name: &str, expected: &str) -> Vec<String> {
    let mut told = Vec::new();
    eventually("the change to be known", || {
        let frames = client.query(read).expect("a connection that lives");
        let news = frames.iter().filter(|frame| frame.tag == b'S' && frame.text() == name);
        told.extend(news.map(|frame| String::from_utf8_lossy(&frame.body[name.len() + 1..]).into_owned()));
        (text(&rows(&frames).expect("rows")) == expected).then_some(())
    });
    told
}

/// What the server's configuration gives its sessions changes with a reload of it, of which the stream says nothing, however idle the
/// server is. A client is told of it as directly: once, before or with the first answer that shows it.
#[test]
fn c17_a_reloaded_configuration_is_an_input_too() {
    let cluster = Cluster::build().replicas(0).start();
    let view = "CREATE TABLE q(n text); INSERT INTO q VALUES ('plain'); CREATE VIEW named AS SELECT quote_ident(n) AS n FROM q";
    let watched = Watched::on(&cluster, "c17_reload", &format!("{VALUES}; {view}"));
    let (mut before, mut direct) = (watched.client(), watched.beside());
    let mut reported = Vec::new();
    let settings = SETTINGS.iter().copied().chain([("quote_all_identifiers", "on", "SELECT n FROM named")]);
    for (name, value, read) in settings {
        let plain = watched.warm(&mut before, read);
        cluster.primary.set(name, &format!("'{value}'"));
        let changed =
            eventually("the server to reload", || Some(text(&watched.beside().rows(read))).filter(|r| *r != plain));
        let told = told_until(&mut before, read, name, &changed);
        assert_eq!(told, told_until(&mut direct, read, name, &changed), "{name}: and its client is told");
        if !told.is_empty() {
            reported.push(name);
        }
        assert_eq!(watched.warm(&mut before, read), changed, "{name}");
        assert_eq!(watched.warm(&mut watched.client(), read), changed, "{name}: new sessions");
        cluster.primary.sql(&format!("ALTER SYSTEM RESET {name}"));
        cluster.primary.sql("SELECT pg_reload_conf()");
        let told = told_until(&mut before, read, name, &plain);
        assert_eq!(told, told_until(&mut direct, read, name, &plain), "{name}: and its client is told that it is back");
        assert_eq!(watched.warm(&mut before, read), plain, "{name}: taken back");
    }
    let all = ["TimeZone", "DateStyle", "IntervalStyle", "search_path"];
    assert_eq!(reported, all[..if cluster.version() >= 18 { 4 } else { 3 }]);
}
