//! Sessions that share connections: settings, roles and objects of one never show in another, cancel reaches its own query
//! only, and a client that dies or stops reading harms nobody.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::Sidecache;
use crate::harness::usage;
use crate::harness::wire::{Batch, Format, Login, Wire, tags};
use crate::twins::{Step, Twins, ready};
use std::time::Duration;

const SETUP: &str = "CREATE TABLE stamps (id int PRIMARY KEY, at timestamptz);
    INSERT INTO stamps VALUES (1, '2026-01-02 03:04:05+00');
    CREATE SCHEMA other; CREATE TABLE other.stamps (id int PRIMARY KEY, at timestamptz)";

fn b() -> Batch {
    Batch::new()
}

fn q(text: &str) -> Step {
    ready(b().query(text))
}

/// Twins whose Sidecache has a single connection to each server.
fn on_one_connection(label: &str) -> Twins {
    Twins::with(label, SETUP, |builder| builder.flag("--pool-size", "1"))
}

/// After every step of the first client's, both look at all that might have changed.
fn watched(steps: Vec<Step>) -> Vec<(usize, Step)> {
    let look = "SELECT current_user, session_user, current_setting('timezone'), current_setting('search_path'),
        current_setting('work_mem'), current_setting('x.y', true), current_setting('datestyle')";
    let look_extended = || ready(b().extended("SELECT at FROM stamps WHERE id = $1", &[Some("1")], Format::Text));
    // Both have made the placeholder known, which no server forgets.
    let mut script = vec![(0, q("SET x.y = 'first'")), (1, q("SET x.y = 'second'"))];
    for step in steps {
        script.push((0, step));
        for who in [1, 0, 1] {
            script.push((who, q(look)));
            script.push((who, q("SELECT at FROM stamps WHERE id = 1")));
            script.push((who, look_extended()));
        }
    }
    script
}

/// A style of dates keeps the order that the session had, an order the style (`check_datestyle`): the session, not the connection, and
/// two sessions that said the same may mean another.
#[test]
fn r19_half_a_date_style_keeps_its_own_sessions_other_half() {
    let twins = on_one_connection("date_style");
    let mut script = Vec::new();
    let mut look = |who: usize, set: &str, lookers: &[usize]| {
        script.push((who, q(set)));
        for who in lookers {
            script.push((*who, q("SELECT at FROM stamps WHERE id = 1")));
            script.push((*who, q("SHOW datestyle")));
        }
    };
    let both = [0, 1, 0, 1];
    look(0, "SET datestyle = German", &both);
    look(1, "SET datestyle = SQL", &both);
    look(0, "SET datestyle = 'sql'", &both);
    look(1, "SELECT set_config('DateStyle', 'YMD', false)", &both);
    look(0, "SET datestyle = ISO, default", &both);
    // Whoever is in a transaction has the one connection.
    for set in ["BEGIN", "SET LOCAL datestyle = German", "SET datestyle = SQL"] {
        look(1, set, &[1]);
    }
    look(1, "ROLLBACK", &both);
    look(0, "SET datestyle = European", &both);
    look(1, "RESET datestyle", &both);
    look(0, "RESET ALL", &both);
    twins.same_together("date_style", &script);
}

/// What one client sets, resets and rolls back, another on the same connection never sees, nor does it lose its own.
#[test]
fn r19_settings_of_two_clients_on_one_connection_stay_apart() {
    let twins = on_one_connection("settings");
    let extended = |sql: &str| ready(b().extended(sql, &[], Format::Text));
    let steps = vec![
        q("SET timezone = 'Asia/Tokyo'"),
        q("SET TIME ZONE 'UTC'"),
        q("SET datestyle TO german, dmy"),
        q("SET search_path = other, public"),
        q("SET SCHEMA 'public'"),
        q("RESET search_path"),
        q("SET x.y = 'mine'"),
        q("SELECT set_config('work_mem', '7MB', false)"),
        q("SELECT set_config('work_mem', '8MB', true)"),
        extended("SET timezone = 'Europe/Berlin'"),
        extended("SELECT set_config('x.y', 'from set_config', false)"),
        q("SET LOCAL timezone = 'Asia/Tokyo'"),
        q("RESET timezone"),
        q("SET timezone = 'nowhere at all'"),
        q("SET work_mem = DEFAULT"),
        q("RESET ALL"),
        q("SET timezone = 'Asia/Tokyo'"),
        q("DISCARD ALL"),
        q("SET x.y = 'mine again'"),
        q("UPDATE pg_settings SET setting = '9MB' WHERE name = 'none'"),
    ];
    // The last pins: no other client has a connection then.
    let (last, rest) = steps.split_last().expect("there are steps");
    twins.same_together("settings", &watched(rest.to_vec()));
    twins.same("pin", "", std::slice::from_ref(last));
}

/// `set_config` with parameters, as frameworks with tenants call it, and the UPDATE that is such a call, are settings like others: put back, taken back, and no reason to
/// keep a connection.
#[test]
fn r19_set_config_with_parameters_stays_apart_and_pins_nobody() {
    let twins = on_one_connection("setconfig");
    let call = |batch: Batch, sql: &str, parameters: &[Option<&str>]| {
        batch.parse("", sql, &[]).bind("", "", parameters, Format::Text).execute("", 0)
    };
    let one = |sql: &str, parameters: &[Option<&str>]| ready(call(b(), sql, parameters).sync());
    let several = "SELECT set_config('search_path', $1, true), set_config($2, $3, true), set_config('x.y', $4, true)";
    let look = "SELECT current_user, current_setting('timezone'), current_setting('search_path'), current_setting('x.y', true)";
    let block = |name: &str, value: &str, end: &str| {
        let batch =
            call(call(b(), "BEGIN", &[]), several, &[Some("other"), Some(name), Some(value), Some("in a block")]);
        ready(call(call(batch, look, &[]), end, &[]).sync())
    };
    let script = watched(vec![
        one("SELECT set_config('work_mem', $1, false)", &[Some("7MB")]),
        one("SELECT set_config('x.y', $1::text, false)", &[Some("it's \\")]),
        one("SELECT set_config($1, $2, false)", &[Some("TimeZone"), Some("Asia/Tokyo")]),
        one("SELECT set_config($1, $2, false)", &[Some("TimeZone"), Some("nowhere at all")]),
        one("SELECT set_config($1, $2, true)", &[Some("TimeZone"), Some("UTC")]),
        one("SELECT set_config('timezone', $1, false)", &[None]),
        one("UPDATE pg_settings SET setting = $1 WHERE name = $2", &[Some("9MB"), Some("work_mem")]),
        one("UPDATE pg_settings SET setting = $1 WHERE name = $2", &[Some("nonsense"), Some("work_mem")]),
        q("UPDATE pg_catalog.pg_settings SET setting = 'Asia/Tokyo' WHERE name = 'TimeZone'"),
        one("UPDATE pg_settings SET setting = $1 WHERE name = 'TimeZone'", &[None]),
        block("timezone", "Asia/Tokyo", "COMMIT"),
        block("role", "app", "COMMIT"),
        block("timezone", "UTC", "ROLLBACK"),
    ]);
    twins.same_together("set_config", &script);
    let pins = twins.sidecache.metrics();
    assert!(!pins.contains("sidecache_pins_total{"), "nobody was pinned: {pins}");
}

/// A value in another encoding is not put on a connection that would read its bytes otherwise.
#[test]
fn r19_values_in_another_encoding_stay_what_they_are() {
    let twins = Twins::with("settingsenc", SETUP, |builder| builder.flag("--pool-size", "2"));
    let look = || q("SELECT length(current_setting('app.name', true)), current_setting('client_encoding')");
    let call = b().parse("", "SELECT set_config('app.more', $1, false)", &[]);
    let call = call.bind("", "", &[Some("\u{e9}\u{e9}")], Format::Text).execute("", 0).sync();
    let more = || q("SELECT length(current_setting('app.more', true))");
    let local = vec![q("BEGIN"), q("SET LOCAL app.name = '\u{e9}'"), look(), q("COMMIT")];
    // What we read as one string ends with a backslash that is half of a character.
    let halves = vec![q("SET client_encoding = 'SJIS'"), q("SELECT E'\u{83}\\'; SET app.name = 'ab' --'")];
    let twice = vec![q("SET client_encoding = 'UTF8'; SET app.name = '\u{e9}'; SET client_encoding = 'LATIN1'")];
    let earlier = vec![q("RESET client_encoding"), q("SET app.name = '\u{e9}'"), q("SET client_encoding = 'LATIN1'")];
    let by_call = vec![ready(call), q("SET app.name = 'plain'")];
    for set in [vec![q("SET app.name = '\u{e9}'")], by_call, local, halves, twice, earlier] {
        // Both have made the placeholders known, which no server forgets.
        let known = |who| [(who, q("SET app.name = 'x'")), (who, q("SET app.more = 'x'"))];
        let mut script: Vec<_> = known(0).into_iter().chain(known(1)).collect();
        script.push((0, q("SET client_encoding = 'LATIN1'")));
        script.extend(set.into_iter().map(|step| (0, step)));
        for who in [1, 0, 1, 0] {
            script.extend([(who, look()), (who, more())]);
        }
        twins.same_together("another encoding", &script);
    }
    let start = |login: Login| login.with("app.name", "\u{e9}").with("client_encoding", "LATIN1");
    twins.same_as("at the start", "", &[look(), q("RESET client_encoding"), look(), q("RESET ALL"), look()], start);
}

/// Texts that are the same bytes are not the same statement where they are read in different encodings.
#[test]
fn r19_a_statement_is_not_shared_with_a_session_that_reads_it_otherwise() {
    let twins = on_one_connection("textenc");
    let parse = || ready(b().parse("s", "SELECT length('\u{e9}'), length('\\\\') FROM stamps FOR SHARE", &[]).sync());
    let run = || ready(b().bind("s", "", &[], Format::Text).execute("", 0).sync());
    for setting in ["SET client_encoding = 'LATIN1'", "SET standard_conforming_strings = off"] {
        let mut script = vec![(0, q(setting)), (0, parse()), (1, parse())];
        script.extend([0, 1, 0, 1].map(|who| (who, run())));
        twins.same_together(setting, &script);
    }
}

/// Settings made in transactions, by blocks and by pipelines, end as the transaction ends.
#[test]
fn r19_settings_follow_their_transaction() {
    let twins = on_one_connection("settingstx");
    let steps = |texts: &[&str]| {
        let batch = texts
            .iter()
            .fold(b(), |batch, text| batch.parse("", text, &[]).bind("", "", &[], Format::Text).execute("", 0));
        ready(batch.sync())
    };
    let block = |texts: &[&str]| ready(texts.iter().fold(b(), |batch, text| batch.query(text)));
    // A block's queries are sent one by one: the other client could not have the connection in between.
    let whole = |texts: &[&str]| {
        let step = block(texts);
        crate::twins::times(step, texts.len())
    };
    let script = watched(vec![
        whole(&["BEGIN", "SET timezone = 'Asia/Tokyo'", "ROLLBACK"]),
        whole(&["BEGIN", "SET timezone = 'Asia/Tokyo'", "COMMIT"]),
        whole(&["BEGIN", "SET LOCAL timezone = 'UTC'", "SELECT at FROM stamps WHERE id = 1", "COMMIT"]),
        whole(&["BEGIN", "SET work_mem = '5MB'", "SELECT 1/0", "COMMIT"]),
        whole(&["BEGIN", "RESET ALL", "ROLLBACK"]),
        whole(&["BEGIN", "SELECT set_config('x.y', 'local', true)", "COMMIT"]),
        whole(&["BEGIN", "SET x.y = 'chained'", "COMMIT AND CHAIN", "SET x.y = 'lost'", "ROLLBACK"]),
        steps(&["SET work_mem = '6MB'"]),
        steps(&["SET work_mem = '7MB'", "SELECT 1/0"]),
        steps(&["BEGIN", "SET work_mem = '8MB'", "ROLLBACK"]),
        steps(&["BEGIN", "SET work_mem = '9MB'", "COMMIT"]),
        steps(&["BEGIN", "SET work_mem = '10MB'", "COMMIT", "SELECT 1/0"]),
        steps(&["BEGIN", "SET work_mem = '11MB'", "COMMIT", "SET work_mem = '12MB'", "SELECT 1/0"]),
        steps(&["BEGIN", "SET LOCAL work_mem = '13MB'", "SELECT 1", "COMMIT"]),
        steps(&["BEGIN", "SET work_mem = '14MB'", "COMMIT", "BEGIN", "SET timezone = 'UTC'", "ROLLBACK"]),
        steps(&["SET work_mem = '15MB'", "BEGIN", "ROLLBACK"]),
        steps(&["SET LOCAL work_mem = '16MB'", "SELECT 1"]),
    ]);
    twins.same_together("settings in transactions", &script);
}

/// A savepoint's rollback takes settings back too; what cannot be told keeps the connection.
#[test]
fn r19_settings_undone_by_a_savepoint_stay_apart() {
    let twins = Twins::with("settingssp", SETUP, |builder| builder.flag("--pool-size", "2"));
    let steps = |texts: &[&str]| {
        let batch = texts
            .iter()
            .fold(b(), |batch, text| batch.parse("", text, &[]).bind("", "", &[], Format::Text).execute("", 0));
        ready(batch.sync())
    };
    let script = watched(
        vec![
            q("BEGIN"),
            q("SET work_mem = '5MB'"),
            q("SAVEPOINT s"),
            q("SET work_mem = '6MB'"),
            q("ROLLBACK TO s"),
            q("COMMIT"),
            q("BEGIN"),
            steps(&["SET work_mem = '7MB'", "SAVEPOINT s", "SELECT 1/0"]),
            q("ROLLBACK TO s"),
            q("COMMIT"),
        ]
        .into_iter()
        .collect(),
    );
    // In a failed transaction looking fails too, alike on both ways.
    twins.same_together("savepoints", &script);
}

/// Roles: what one client may see, another on the same connection may not.
#[test]
fn r19_roles_of_two_clients_on_one_connection_stay_apart() {
    let twins = on_one_connection("roles");
    let role = format!("{}_bob", twins.database);
    twins.cluster.primary.sql(&format!("CREATE ROLE {role}; GRANT {role} TO app"));
    let set = |text: &str| q(&text.replace("ROLE_NAME", &role));
    let script = watched(vec![
        set("SET ROLE ROLE_NAME"),
        set("SET timezone = 'Asia/Tokyo'"),
        set("RESET ROLE"),
        set("SET ROLE 'ROLE_NAME'"),
        set("RESET ALL"),
        set("SET ROLE none"),
        set("SET ROLE ROLE_NAME"),
        set("RESET SESSION AUTHORIZATION"),
        set("SET ROLE ROLE_NAME"),
        set(
            "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP",
        ),
        set("SELECT set_config('role', 'ROLE_NAME', false)"),
        set("DISCARD ALL"),
        set("SET ROLE nobody_at_all"),
    ]);
    twins.same_together("roles", &script);
    // The text is Npgsql's, where statements are prepared.
    let pins = twins.sidecache.metrics();
    assert!(!pins.contains("sidecache_pins_total{"), "nobody was pinned: {pins}");
}

/// A superuser's settings come back although the session has since taken an ordinary role.
#[test]
fn r19_settings_of_a_superuser_come_back_under_another_role() {
    let cluster = Cluster::shared();
    let database = cluster.database("superuser");
    let sidecache = Sidecache::build(cluster, &database).no_replicas().flag("--pool-size", "1").start();
    let (mut first, mut second) = (sidecache.connect("postgres"), sidecache.connect("postgres"));
    first.rows("SET track_functions = 'all'");
    first.rows("SET zero_damaged_pages = on");
    first.rows("SET ROLE app");
    let look = "SELECT current_user, current_setting('track_functions'), current_setting('zero_damaged_pages')";
    for _ in 0..2 {
        assert_eq!(first.rows(look), [["app", "all", "on"].map(|v| Some(v.to_owned()))]);
        assert_eq!(second.rows(look), [["postgres", "none", "off"].map(|v| Some(v.to_owned()))]);
    }
}

/// However it is written, another session user keeps the connection: RESET ALL leaves it as it is.
#[test]
fn r19_a_session_authorization_is_nobody_elses() {
    let cluster = Cluster::shared();
    let database = cluster.database("authorization");
    let who = "SELECT current_user, session_user";
    let is = |client: &mut Wire, role: &str| assert_eq!(client.rows(who), [[role, role].map(|v| Some(v.to_owned()))]);
    for set in [
        "SET \"session_authorization\" = app",
        "SET SESSION \"Session_Authorization\" TO 'app'",
        "SET session_authorization TO app",
        "SET SESSION AUTHORIZATION app",
        "SELECT set_config('Session_Authorization', 'app', false)",
    ] {
        let sidecache = Sidecache::build(cluster, &database).no_replicas().flag("--pool-size", "2").start();
        let (mut first, mut second) = (sidecache.connect("postgres"), sidecache.connect("postgres"));
        is(&mut first, "postgres");
        first.rows(set);
        first.rows("RESET ALL");
        for _ in 0..2 {
            is(&mut first, "app");
            is(&mut second, "postgres");
        }
        first.rows("RESET \"session_authorization\"");
        is(&mut first, "postgres");
        first.rows(set);
        drop(first);
        is(&mut sidecache.connect("postgres"), "postgres");
    }
}

/// The last `options` counts, and less than any parameter of its own, wherever they stand.
#[test]
fn r19_a_parameter_of_its_own_counts_for_more_than_options() {
    let twins = on_one_connection("options_order");
    let look = "SELECT current_setting('timezone'), current_setting('work_mem'), current_setting('search_path')";
    let script = [q(look), q("SET TimeZone = 'UTC'"), q("RESET ALL"), q(look)];
    let options = ("options", "-c TimeZone=PRC -c search_path=other -c work_mem=5MB");
    let own = ("search_path", "public");
    for parameters in
        [&[options, own][..], &[own, options], &[("options", "-c work_mem=7MB -c geqo=off"), options, own]]
    {
        twins.same_as(&format!("{parameters:?}"), "", &script, |login| {
            parameters.iter().fold(login, |login, (name, value)| login.with(name, value))
        });
    }
}

/// Startup parameters and options are the session's start: RESET and DISCARD ALL return to them, another client does not see them.
#[test]
fn r19_startup_options_are_where_reset_returns_to() {
    let twins = on_one_connection("options");
    let mut other = twins.through();
    let look = "SELECT current_setting('timezone'), current_setting('work_mem'), current_setting('application_name'),
        current_setting('search_path')";
    let script: Vec<Step> = [
        look,
        "SET work_mem = '5MB'",
        "SET timezone = 'UTC'",
        look,
        "RESET work_mem",
        look,
        "DISCARD ALL",
        look,
        "SET search_path = public",
        "RESET ALL",
        look,
    ]
    .map(q)
    .to_vec();
    let before = other.rows(look);
    twins.same_as("options", "", &script, |login| {
        login
            .with("options", r"-c work_mem=6MB --search_path=other,\ public -cstatement_timeout=50s")
            .with("TimeZone", "Asia/Tokyo")
            .with("application_name", "an app")
    });
    assert_eq!(other.rows(look), before);
}

/// Our own setting behaves as PostgreSQL's do: undone by rollbacks, local to a transaction, refused with its block failed, set
/// in the middle of a pipeline, and given at the start.
#[test]
fn r19_the_consistency_level_is_a_setting_like_others() {
    let cluster = Cluster::shared();
    let sidecache = Sidecache::start(cluster, &cluster.database("levels"));
    let mut client = sidecache.connect("app");
    let show = "SHOW sidecache.consistency";
    let refused = "SET sidecache.consistency = 'bogus'";
    let status = |frames: &[crate::harness::wire::Frame]| frames.last().expect("ReadyForQuery").body.clone();
    assert_eq!(client.error(refused), "22023");
    client.rows("BEGIN");
    assert_eq!(status(&client.query(refused).expect("it lives")), b"E");
    assert_eq!(client.error("SELECT 1"), "25P02");
    client.rows("ROLLBACK");
    for begin in [false, true] {
        if begin {
            client.rows("BEGIN");
        }
        let answer = client.run(&b().extended(refused, &[], Format::Text)).expect("it lives");
        assert_eq!(tags(&answer), "12nEZ");
        assert_eq!(status(&answer), if begin { b"E" } else { b"I" });
        client.rows("ROLLBACK");
    }
    client.rows("BEGIN");
    client.rows("SET LOCAL sidecache.consistency = 'strong'");
    assert_eq!(client.value(show), "strong");
    client.rows("COMMIT");
    assert_eq!(client.value(show), "session");
    for sql in [
        "BEGIN",
        "SET sidecache.consistency = 'strong'",
        "SAVEPOINT s",
        "SET sidecache.consistency = 'bounded'",
        "ROLLBACK TO s",
    ] {
        client.rows(sql);
    }
    assert_eq!(client.value(show), "strong");
    client.rows("ROLLBACK");
    assert_eq!(client.value(show), "session");
    let run = |batch: Batch, sql: &str| batch.parse("", sql, &[]).bind("", "", &[], Format::Text).execute("", 0);
    let batch = run(run(b(), "SET sidecache.consistency = 'strong'"), "SELECT 1").sync();
    assert_eq!(tags(&client.run(&batch).expect("it lives")), "12C12DCZ");
    assert_eq!(client.value(show), "strong");
    let login = sidecache.login("app").with("options", "-c sidecache.consistency=bounded");
    let mut client = Wire::connect(&login).expect("a session");
    client.rows("SET sidecache.consistency = 'strong'");
    assert_eq!(client.value(show), "strong");
    client.rows("RESET ALL");
    assert_eq!(client.value(show), "bounded");
    let login = sidecache.login("app").with("options", "-c sidecache.consistency=bogus");
    assert_eq!(Wire::connect(&login).err().and_then(|error| error.sqlstate()).as_deref(), Some("22023"));
}

/// Temporary tables, SQL PREPARE, WITH HOLD, LISTEN and advisory locks keep their connection; nothing of them is another client's.
#[test]
fn r20_what_lives_on_a_connection_stays_with_its_client() {
    let twins = Twins::with("objects", SETUP, |builder| builder.flag("--pool-size", "2"));
    let script = [
        (0, q("CREATE TEMP TABLE mine (v int)")),
        (1, q("SELECT * FROM mine")),
        (0, q("INSERT INTO mine VALUES (1)")),
        // No plain column: its table's oid is another on each way.
        (0, q("SELECT v + 0 FROM mine")),
        (0, q("PREPARE p AS SELECT 1")),
        (1, q("EXECUTE p")),
        (0, q("EXECUTE p")),
        (0, ready(b().bind("", "p", &[], Format::Text).execute("", 0).sync())),
        (0, q("BEGIN")),
        (0, q("DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)")),
        (0, q("COMMIT")),
        (1, q("FETCH 1 FROM c")),
        (0, q("FETCH 2 FROM c")),
        (0, q("SELECT pg_advisory_lock(42)")),
        (1, q("SELECT pg_try_advisory_lock(42)")),
        (0, q("SELECT pg_advisory_unlock(42)")),
        (0, q("DISCARD ALL")),
        (0, q("SELECT * FROM mine")),
        (0, q("EXECUTE p")),
        (1, q("SELECT * FROM mine")),
    ];
    twins.same_together("objects", &script);
}

/// How asyncpg makes a connection as good as new when its pool takes it back.
const AS_NEW: &str = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;";

/// What a session has given back keeps its connection no longer, nor what never came to be: others get the only connection.
#[test]
fn r20_who_holds_nothing_any_more_gives_the_connection_back() {
    let twins = Twins::with("unpin", SETUP, |builder| builder.no_replicas().flag("--pool-size", "1"));
    let mut elsewhere = twins.direct();
    elsewhere.rows("SELECT pg_advisory_lock(8)");
    let pins = |reason: &str| twins.sidecache.status()["pins"][reason].as_u64().unwrap_or(0);
    for (script, reason) in [
        ("SELECT pg_advisory_lock(7);;SELECT pg_advisory_unlock(7)", "advisory_lock"),
        ("SELECT pg_advisory_lock(7);;SELECT pg_advisory_lock(7);;SELECT pg_advisory_unlock_all()", "advisory_lock"),
        ("SELECT pg_try_advisory_lock(8)", "advisory_lock"),
        ("CREATE TEMP TABLE mine (v int);;DROP TABLE mine", "temporary_object"),
        ("CREATE TEMP TABLE mine (v int);;DISCARD TEMP", "temporary_object"),
        ("BEGIN;;CREATE TEMP TABLE mine (v int) ON COMMIT DROP;;SELECT * FROM mine;;COMMIT", "temporary_object"),
        ("BEGIN;;CREATE TEMP TABLE mine (v int);;ROLLBACK", "temporary_object"),
        (
            "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';;DROP FUNCTION pg_temp.f",
            "temporary_object",
        ),
        ("BEGIN;;DECLARE c CURSOR WITH HOLD FOR SELECT 1;;COMMIT;;CLOSE c", "hold_cursor"),
        ("BEGIN;;DECLARE c CURSOR WITH HOLD FOR SELECT 1;;ROLLBACK", "hold_cursor"),
        ("SAVEPOINT s;;BEGIN;;SAVEPOINT s;;LISTEN news;;COMMIT;;UNLISTEN news", "listen"),
    ] {
        let before = pins(reason);
        let mut one = twins.through();
        script.split(";;").for_each(|sql| drop(one.query(sql).expect("a connection that lives")));
        assert_eq!(pins(reason), before + 1, "{script}");
        let server = "SELECT pg_backend_pid()";
        let served = twins.through().query(server).expect("a connection that lives");
        assert_eq!(tags(&served), "TDCZ", "{script}: the only connection is kept");
    }
    for pinned in ["SELECT pg_advisory_lock(7)", "BEGIN;;DECLARE c CURSOR WITH HOLD FOR SELECT 1;;COMMIT"] {
        let mut one = twins.through();
        pinned.split(";;").for_each(|sql| drop(one.rows(sql)));
        one.rows(AS_NEW);
        assert!(!twins.through().value("SELECT pg_backend_pid()").is_empty(), "{pinned}");
    }
}

/// What is still there keeps its connection, whatever else was given back.
#[test]
fn r20_who_gives_back_one_thing_keeps_the_other() {
    let twins = Twins::with("keeps", SETUP, |builder| builder.no_replicas().flag("--pool-size", "2"));
    let (mut one, mut other) = (twins.through(), twins.through());
    let mine = "SELECT v + 0 FROM mine";
    for sql in ["CREATE TEMP TABLE mine (v int)", "INSERT INTO mine VALUES (1)", "SELECT pg_advisory_lock(7)"] {
        one.rows(sql);
    }
    for sql in
        ["SELECT pg_advisory_unlock(7)", "NOTIFY news", AS_NEW, "CREATE TABLE lasting (v int)", "DROP TABLE lasting"]
    {
        one.rows(sql);
        // Whoever comes next gets the connection that was given back last.
        other.rows("SELECT pg_backend_pid()");
        assert_eq!(one.value(mine), "1", "{sql}");
    }
    one.rows("SELECT pg_advisory_lock(7)");
    one.rows("DROP TABLE mine");
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    other.rows("SELECT pg_backend_pid()");
    assert_eq!(one.value(held), "1");
}

/// Several settings in one text are settings, of which each client on the one connection has its own.
#[test]
fn r19_settings_of_several_statements_in_one_text_stay_apart_and_pin_nobody() {
    let twins = on_one_connection("several");
    let script = watched(vec![
        q("SET timezone = 'Asia/Tokyo'; SET x.y = 'several'; SELECT set_config('work_mem', '7MB', false)"),
        q("RESET timezone; SET search_path = other, public"),
        q("SET work_mem = '9MB'; SET timezone = 'nowhere at all'"),
        q("SET work_mem = '9MB'; SET LOCAL timezone = 'UTC'; SHOW timezone"),
        q("SELECT current_setting('work_mem') AS cur, set_config('work_mem', '5MB', false) AS new"),
        q(AS_NEW),
        q("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY"),
        q("CREATE TABLE never (v int)"),
        q("SHOW transaction_isolation"),
        q("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE"),
        q("SHOW transaction_isolation"),
        q("DISCARD SEQUENCES; DISCARD TEMP; RESET ALL"),
    ]);
    twins.same_together("several", &script);
    // Whoever is in a transaction has the one connection.
    let block =
        ["BEGIN", "SET timezone = 'Asia/Tokyo'; SET work_mem = '7MB'", "SHOW timezone", "ROLLBACK", "SHOW timezone"];
    let script: Vec<_> =
        block.into_iter().chain(["SHOW work_mem"]).map(|sql| (0, q(sql))).chain([(1, q("SHOW work_mem"))]).collect();
    twins.same_together("several in a block", &script);
    let pins = twins.sidecache.metrics();
    assert!(!pins.contains("sidecache_pins_total{"), "nobody was pinned: {pins}");
}

/// What a client leaves behind is gone before another has its connection.
#[test]
fn r20_nothing_is_left_for_the_next_client_of_a_single_connection() {
    let twins = on_one_connection("leftovers");
    twins.direct().rows(
        "CREATE FUNCTION makes() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE pg_temp.mine (v int); END';
         CREATE FUNCTION made() RETURNS void LANGUAGE plpgsql SET search_path = pg_temp AS 'BEGIN CREATE TABLE mine (v int); END'",
    );
    // `;;` stands between statements that are sent one by one.
    let leave = [
        "CREATE TEMP TABLE mine (v int)",
        "PREPARE p AS SELECT 1",
        "LISTEN news",
        "SELECT pg_advisory_lock(43)",
        "DO $$ BEGIN PERFORM set_config('work_mem', '5MB', false); END $$",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET work_mem = '5MB'; SET timezone = 'Asia/Tokyo'",
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
        "SET SESSION AUTHORIZATION app",
        "SELECT 1 AS v INTO LOCAL TEMP mine FROM ONLY stamps",
        "SELECT 1 AS v INTO TEMPORARY TABLE mine FROM ONLY stamps",
        "SELECT 1 AS v INTO pg_temp.mine FROM ONLY stamps",
        "EXPLAIN (\"analyze\", costs off) CREATE TEMP TABLE mine AS SELECT 1 AS v",
        "EXPLAIN (costs off, \"analyze\" on) SELECT 1 AS v INTO TEMP mine",
        "SET search_path = pg_temp, public;;CREATE TABLE mine (v int)",
        "SET search_path = nowhere, pg_temp;;CREATE TABLE mine AS SELECT 1 AS v",
        "SET search_path = pg_temp;;SELECT 1 AS v INTO mine",
        "SET search_path = pg_temp;;CREATE VIEW mine AS SELECT 1 AS v",
        "SET search_path = pg_temp;;CREATE SEQUENCE mine",
        "SELECT makes()",
        "SELECT made()",
        // Names with escapes.
        "SET U&\"work\\005fmem\" = '5MB'",
        "SET U&\"work!005fmem\" UESCAPE '!' = '5MB'",
        "SET work_mem = '5MB';;RESET U&\"\\0074imezone\"",
        "SELECT U&\"set\\005fconfig\"('work_mem', '5MB', false)",
        "SELECT U&\"set!005fconfig\" UESCAPE '!' ('work_mem', '5MB', false)",
        "CREATE TABLE U&\"pg\\005ftemp\".mine (v int)",
    ];
    let look =
        "SELECT current_setting('work_mem'), current_setting('timezone'), current_setting('transaction_isolation'),
        (SELECT count(*) FROM pg_prepared_statements WHERE from_sql), (SELECT count(*) FROM pg_cursors),
        (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
        to_regclass('mine')";
    let clean = twins.direct().rows(look);
    for left in leave {
        let mut first = twins.through();
        left.split(";;").for_each(|sql| drop(first.rows(sql)));
        drop(first);
        assert_eq!(twins.through().rows(look), clean, "after {left}");
    }
}

/// A notification reaches who listens, while it idles, and nobody else.
#[test]
fn r20_notifications_reach_the_listener_alone() {
    let twins = Twins::with("listen", SETUP, |builder| builder.flag("--pool-size", "2"));
    let (mut listener, mut other) = (twins.through(), twins.through());
    listener.rows("LISTEN news");
    for _ in 0..3 {
        other.rows("SELECT 1");
        assert_eq!(tags(&other.query("NOTIFY news, 'hello'").expect("a connection that lives")), "CZ");
        let told = listener.read_frame().expect("a notification");
        assert_eq!((told.tag, &told.body[4..]), (b'A', &b"news\0hello\0"[..]));
    }
    listener.rows("UNLISTEN *");
    other.rows("NOTIFY news, 'nobody'");
    assert_eq!(tags(&listener.query("SELECT 1").expect("a connection that lives")), "TDCZ");
}

/// A cancel reaches the query that runs, not the other client's, and none of those that follow on the same connection.
#[test]
fn r12_a_cancel_reaches_its_own_query_only() {
    let twins = Twins::with("cancel", SETUP, |builder| builder.flag("--pool-size", "2"));
    let (mut first, mut second) = (twins.through(), twins.through());
    let mut watch = twins.direct();
    let sleeping = |watch: &mut Wire, count: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'",
            twins.database
        );
        eventually("queries to sleep", || (watch.value(&sql) == count).then_some(()));
    };
    let slow = b().query("SELECT pg_sleep(3600)");
    first.send(&slow).expect("a connection that lives");
    second.send(&slow).expect("a connection that lives");
    sleeping(&mut watch, "2");
    first.cancel().expect("sidecache listens");
    let answer = first.read_until_ready().expect("a connection that lives");
    assert_eq!(answer.iter().find_map(|f| f.field(b'C')).as_deref(), Some("57014"));
    sleeping(&mut watch, "1");
    // A wrong secret, and a cancel while idle, reach nobody.
    let (process, secret) = second.key.clone();
    second.key.1 = secret.iter().map(|byte| !byte).collect();
    second.cancel().expect("sidecache listens");
    first.cancel().expect("sidecache listens");
    assert_eq!(first.value("SELECT 1"), "1");
    sleeping(&mut watch, "1");
    second.key = (process, secret);
    second.cancel().expect("sidecache listens");
    let answer = second.read_until_ready().expect("a connection that lives");
    assert_eq!(answer.iter().find_map(|f| f.field(b'C')).as_deref(), Some("57014"));
    assert_eq!(second.value("SELECT 2"), "2");
}

/// A cancel by a client that is idle does not hit whoever has its connection now.
#[test]
fn r12_a_late_cancel_does_not_hit_the_next_client_of_the_connection() {
    let twins = on_one_connection("latecancel");
    let (mut first, mut second) = (twins.through(), twins.through());
    let pid = first.value("SELECT pg_backend_pid()");
    assert_eq!(second.value("SELECT pg_backend_pid()"), pid, "one connection for both");
    second.rows("BEGIN");
    for _ in 0..20 {
        first.cancel().expect("sidecache listens");
        assert_eq!(second.value("SELECT count(*) FROM generate_series(1, 10000)"), "10000");
    }
    second.rows("COMMIT");
}

/// A client that waits for a connection can be cancelled too.
#[test]
fn r12_a_cancel_reaches_a_client_that_waits_for_a_connection() {
    let twins = Twins::with("queued", SETUP, |builder| {
        builder.flag("--pool-size", "1").flag("--pool-timeout", "1h").no_replicas()
    });
    let (mut first, mut second) = (twins.through(), twins.through());
    first.rows("BEGIN");
    first.rows("SAVEPOINT s");
    second.send(&b().query("INSERT INTO stamps VALUES (7)")).expect("a connection that lives");
    second.set_patience(Duration::from_millis(50));
    let mut answer = None;
    eventually("the cancelled client to be told", || {
        second.cancel().expect("sidecache listens");
        answer = second.read_until_ready().ok();
        answer.is_some().then_some(())
    });
    let answer = answer.expect("just seen");
    assert_eq!(answer.iter().find_map(|f| f.field(b'C')).as_deref(), Some("57014"));
    assert_eq!(tags(&answer), "EZ");
    first.rows("COMMIT");
    assert_eq!(first.value("SELECT count(*) FROM stamps WHERE id = 7"), "0");
    second.set_patience(Duration::from_secs(60));
    assert_eq!(second.value("SELECT 1"), "1");
}

/// A client that dies in a transaction leaves no lock and no row.
#[test]
fn r21_a_client_that_dies_in_a_transaction_leaves_nothing() {
    let twins = on_one_connection("dies");
    let mut first = twins.through();
    first.rows("BEGIN");
    first.rows("INSERT INTO stamps VALUES (2, now())");
    drop(first);
    let mut second = twins.through();
    second.rows("INSERT INTO stamps VALUES (2, '2026-01-01 00:00:00+00')");
    assert_eq!(second.value("SELECT count(*) FROM stamps"), "2");
}

/// A client that dies in the middle of a result, a copy or a batch leaves nothing of it to the next one.
#[test]
fn r21_a_client_that_dies_in_the_middle_leaves_nothing_unread() {
    let twins = on_one_connection("diesmid");
    let halves = [
        b().query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"),
        b().query("COPY stamps FROM STDIN").copy_data(b"5\t"),
        b().parse("", "INSERT INTO stamps VALUES (6)", &[]).bind("", "", &[], Format::Text).execute("", 0).flush(),
        b().query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT"),
        Batch(b().query("SELECT 1").0[..7].to_vec()),
    ];
    for half in halves {
        let mut first = twins.through();
        first.send(&half).expect("a connection that lives");
        if half.0.len() > 7 {
            first.read_frame().expect("an answer begins");
        }
        drop(first);
        let mut second = twins.through();
        assert_eq!(second.value("SELECT 'mine'"), "mine");
        assert_eq!(second.value("SELECT count(*) FROM stamps"), "1");
    }
}

/// A backend that was killed while idle is not handed out; one killed in a transaction ends its client alone.
#[test]
fn r22_a_killed_backend_is_not_handed_out() {
    let twins = on_one_connection("killed");
    let (mut first, mut second) = (twins.through(), twins.through());
    for _ in 0..3 {
        let pid = first.value("SELECT pg_backend_pid()");
        twins.cluster.primary.sql(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
        assert_ne!(second.value("SELECT pg_backend_pid()"), pid);
    }
    first.rows("BEGIN");
    let pid = first.value("SELECT pg_backend_pid()");
    twins.cluster.primary.sql(&format!("SELECT pg_terminate_backend({pid}, 10000)"));
    let told = first.read_until(b'Z').expect("a last word");
    assert_eq!(told.last().and_then(|f| f.field(b'C')).as_deref(), Some("57P01"));
    assert!(first.read_frame().is_err(), "the session is over");
    assert_eq!(second.value("SELECT 1"), "1");
}

/// A client that stops reading holds up nobody, and what it does not read is not gathered.
#[test]
fn r23_a_client_that_stops_reading_harms_nobody() {
    let twins = Twins::with("stopsreading", SETUP, |builder| builder.flag("--pool-size", "3"));
    twins.direct().rows("CREATE SEQUENCE sent");
    let (mut lazy, mut other, mut direct) = (twins.through(), twins.through(), twins.direct());
    assert_eq!(other.value("SELECT 1"), "1");
    let before = usage::resident(twins.sidecache.pid()).expect("it runs");
    let large = "SELECT repeat('x', 1000000), nextval('sent') FROM generate_series(1, 300)";
    lazy.send(&b().query(large)).expect("a connection that lives");
    // Others go on, until the server has come to a stand.
    let mut sent = || {
        (0..100).for_each(|_| assert_eq!(other.value("SELECT count(*) FROM stamps"), "1"));
        direct.value("SELECT CASE WHEN is_called THEN last_value END FROM sent").parse::<u32>().ok()
    };
    let (mut last, mut still) = (None, 0);
    let sent = eventually("the server to stand still", || {
        let now = sent();
        still = if now == last { still + 1 } else { 0 };
        last = now;
        last.filter(|_| still == 30)
    });
    assert!(sent < 300, "nobody held the server up");
    let grown = usage::resident(twins.sidecache.pid()).expect("it runs").saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes were gathered");
    let answer = lazy.read_until_ready().expect("it reads on");
    assert_eq!(answer.iter().filter(|f| f.tag == b'D').count(), 300);
}

/// Large rows pass both ways, while client and server both write.
#[test]
fn r23_both_sides_write_at_once() {
    let twins = Twins::new("bothwrite", SETUP);
    let mut client = twins.through();
    let large = "y".repeat(1 << 20);
    let one = b()
        .parse("", "SELECT $1::text || $1::text", &[])
        .bind("", "", &[Some(&large)], Format::Text)
        .execute("", 0)
        .sync();
    let mut writer = client.writer().expect("a socket has two ends");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..20 {
                std::io::Write::write_all(&mut writer, &one.0).expect("a connection that lives");
            }
        });
        for _ in 0..20 {
            let answer = client.read_until_ready().expect("a connection that lives");
            assert_eq!(tags(&answer), "12DCZ");
            assert_eq!(answer[2].columns()[0].as_ref().map(Vec::len), Some(2 << 20));
        }
    });
    // And in one batch, of which the server answers the beginning while the end is still to be sent to it.
    let one = |batch: Batch| batch.bind("", "large", &[Some(&large)], Format::Text).execute("", 0);
    let batch = (0..20).fold(b().parse("large", "SELECT $1::text || $1::text", &[]), |batch, _| one(batch)).sync();
    let mut writer = client.writer().expect("a socket has two ends");
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut writer, &batch.0).expect("a connection that lives"));
        let answer = client.read_until_ready().expect("a connection that lives");
        assert_eq!(tags(&answer), format!("1{}Z", "2DC".repeat(20)));
    });
}

/// With session pooling a client keeps its connection from its first statement to its end, and nobody has it after.
#[test]
fn r20_session_pooling_keeps_one_connection() {
    let twins = Twins::with("sessionpool", SETUP, |builder| builder.pool("session"));
    let (mut first, mut second) = (twins.through(), twins.through());
    let pid = "SELECT pg_backend_pid()";
    let (one, other) = (first.value(pid), second.value(pid));
    assert_ne!(one, other);
    first.rows("SELECT set_config(name, '5MB', false) FROM (VALUES ('work_mem')) v (name)");
    for _ in 0..3 {
        assert_eq!((first.value(pid), second.value(pid)), (one.clone(), other.clone()));
        assert_eq!(first.value("SHOW work_mem"), "5MB");
        assert_eq!(second.value("SHOW work_mem"), "4MB");
        assert_eq!(first.value("SELECT count(*) FROM stamps"), "1");
    }
    drop(first);
    let alive = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {one}");
    eventually("the session's connection to be closed", || (second.value(&alive) == "0").then_some(()));
}
