//! What functions, triggers and calls leave in a session is that client's alone (R20), though no statement says that they do: whoever comes
//! after finds a connection as it was.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::wire::{Batch, Format, Wire, tags};
use crate::twins::{Twins, queries, ready};
use crate::watched::Watched;

/// What a client sees of what others may have left.
const SEEN: &str = "SELECT pg_try_advisory_lock(77), current_setting('statement_timeout'), current_setting('search_path'), \
                    to_regclass('left_table'), current_setting('work_mem'), \
                    (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema())";

/// One client does this, then another looks: directly, and through Sidecache.
fn leaves_nothing(label: &str, setup: &str, does: impl Fn(&str) -> Vec<Batch>) {
    let twins = Twins::with(label, setup, |builder| builder.no_replicas().flag("--pool-size", "2"));
    let seen = |way: &str, open: &dyn Fn() -> Wire| {
        let (mut client, mut other) = (open(), open());
        for batch in does(way) {
            client.run(&batch).expect("an answer");
        }
        // By now what came before is settled, and its connection is another's, if it is to be.
        client.rows("SELECT 1");
        other.rows(SEEN)
    };
    let right = seen("direct", &|| twins.direct());
    assert_eq!(seen("through", &|| twins.through()), right, "{label}");
}

fn query(text: &str) -> Batch {
    Batch::new().query(text)
}

/// An execution in a batch.
fn run(batch: Batch, sql: &str) -> Batch {
    batch.parse("", sql, &[]).bind("", "", &[], Format::Text).execute("", 0)
}

/// `F`: the function's oid, one binary format for all arguments, an argument of eight bytes, a binary result.
fn call(function: u32, argument: i64) -> Batch {
    let mut body = function.to_be_bytes().to_vec();
    body.extend_from_slice(&[0, 1, 0, 1, 0, 1, 0, 0, 0, 8]);
    body.extend_from_slice(&argument.to_be_bytes());
    body.extend_from_slice(&[0, 1]);
    Batch::new().message(b'F', &body)
}

#[test]
fn r20_what_a_function_call_leaves_is_the_callers() {
    // pg_advisory_lock(bigint)
    leaves_nothing("r20_call", "", |_| vec![call(2880, 77)]);
}

#[test]
fn r20_what_a_trigger_leaves_is_the_writers() {
    for (label, leaves) in [
        ("r20_trigger_lock", "PERFORM pg_advisory_lock(77);"),
        ("r20_trigger_timeout", "SET statement_timeout = '4321ms';"),
        ("r20_trigger_temp", "CREATE TEMP TABLE left_table(x int);"),
        ("r20_trigger_temp_schema", "CREATE TABLE pg_temp.left_table(x int);"),
    ] {
        let setup = format!(
            "CREATE TABLE t(x int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {leaves} RETURN NEW; END$$; \
             CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
        );
        leaves_nothing(label, &setup, |_| vec![query("INSERT INTO t VALUES (1)")]);
        leaves_nothing(label, &setup, |_| vec![query("BEGIN"), query("INSERT INTO t VALUES (1)"), query("COMMIT")]);
        // Whatever else its connection is kept for meanwhile.
        let made = ["CREATE TEMP TABLE x (i int)", "INSERT INTO t VALUES (1)", "DROP TABLE x"];
        leaves_nothing(label, &setup, |_| made.map(query).into());
        let dropped = ["BEGIN", "CREATE TEMP TABLE x (i int) ON COMMIT DROP", "INSERT INTO t VALUES (1)", "COMMIT"];
        leaves_nothing(label, &setup, |_| dropped.map(query).into());
    }
}

/// Of a statement that others run or hold, its own answer does not tell when it does what.
#[test]
fn r20_what_runs_within_another_statement_leaves_nothing_to_others() {
    let sets = "SELECT set_config('work_mem', '7MB', false)";
    let within = |form: &str| query(&form.replace("SETS", sets));
    leaves_nothing("r20_explained", "", |_| vec![within("EXPLAIN ANALYZE SETS")]);
    leaves_nothing("r20_copied", "", |_| vec![within("COPY (SETS) TO STDOUT")]);
    leaves_nothing("r20_held", "", |_| vec![within("DECLARE c CURSOR WITH HOLD FOR SETS"), query("CLOSE c")]);
    leaves_nothing("r20_prepared", "", |_| vec![within("PREPARE a AS SETS"), query("EXECUTE a")]);
    leaves_nothing("r20_prepared_batch", "", |_| {
        let both = |ends: &str| run(run(Batch::new(), &format!("PREPARE a AS {sets}")), ends);
        let by_protocol = both("SELECT 1").bind("", "a", &[], Format::Text).execute("", 0);
        vec![both("EXECUTE a").sync(), query("DEALLOCATE a"), by_protocol.sync()]
    });
    leaves_nothing("r20_prepared_many", "", |_| {
        let many = (0..101).map(|n| query(&format!("PREPARE a{n} AS {sets}")));
        many.chain([query("EXECUTE a100"), query("DEALLOCATE ALL")]).collect()
    });
    leaves_nothing("r20_prepared_encoded", "", |_| {
        let make = "PREPARE u (text) AS SELECT set_config('work_mem', '7MB', false), $1";
        let mut run = Batch::new();
        run.0.extend([b'Q', 0, 0, 0, 4 + 15]);
        run.0.extend(b"EXECUTE u('\xe9')\0");
        vec![query("SET client_encoding = 'LATIN1'"), query(make), run]
    });
    leaves_nothing("r20_prepared_lock", "", |_| {
        vec![query("PREPARE a AS SELECT pg_advisory_lock(77)"), query("SELECT 1"), query("EXECUTE a")]
    });
    leaves_nothing("r20_prepared_new", "", |way| {
        let make = |does: &str| {
            query(&format!(
                "CREATE OR REPLACE FUNCTION f_{way}() RETURNS int LANGUAGE plpgsql AS $$BEGIN {does} RETURN 1; END$$"
            ))
        };
        let prepare = query(&format!("PREPARE a AS SELECT f_{way}()"));
        vec![make(""), prepare, make("PERFORM pg_advisory_lock(77); SET work_mem = '7MB';"), query("EXECUTE a")]
    });
}

/// An UNLISTEN that its batch takes back leaves the server listening.
#[test]
fn r20_an_unlisten_that_is_taken_back_leaves_nothing_to_others() {
    leaves_nothing("r20_unlisten", "", |_| {
        let failing = run(run(Batch::new(), "UNLISTEN *"), "SELECT 1/0").sync();
        vec![query("BEGIN"), query("SAVEPOINT s"), query("LISTEN news"), query("COMMIT"), failing]
    });
}

/// A portal whose Bind was skipped is the one that was there before; one that was bound again behind its Close is the new one.
#[test]
fn r20_a_portal_that_is_another_than_it_seems_leaves_nothing_to_others() {
    let parse = |name: &str, sql: &str| Batch::new().parse(name, sql, &[]);
    let bind = |batch: Batch, statement: &str| batch.bind("p", statement, &[], Format::Text);
    let sets = "SELECT set_config('work_mem', '7MB', false)";
    leaves_nothing("r20_skipped", "", |_| {
        vec![
            query("BEGIN"),
            bind(parse("a", sets), "a").sync(),
            Batch::new().extended("SAVEPOINT s", &[], Format::Text),
            parse("b", "SELECT 1").sync(),
            bind(parse("", "SELEC"), "b").sync(),
            Batch::new().extended("ROLLBACK TO s", &[], Format::Text),
            Batch::new().execute("p", 0).sync(),
            Batch::new().extended("COMMIT", &[], Format::Text),
        ]
    });
    leaves_nothing("r20_again", "", |_| {
        let first = bind(parse("a", "SELECT 1"), "a").execute("p", 0).close_portal("p");
        vec![
            query("BEGIN"),
            bind(first.parse("b", "SET work_mem = '7MB'", &[]), "b").sync(),
            Batch::new().execute("p", 0).sync(),
            query("COMMIT"),
        ]
    });
}

/// A function that the catalog does not know yet.
#[test]
fn r20_what_a_new_function_leaves_is_the_callers() {
    let make = |way: &str| {
        query(&format!(
            "CREATE FUNCTION fresh_{way}() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_lock(77); \
             PERFORM set_config('statement_timeout', '6666', false); CREATE TABLE pg_temp.left_table(x int); RETURN 1; END$$"
        ))
    };
    let call = |way: &str| query(&format!("SELECT fresh_{way}()"));
    leaves_nothing("r20_new", "", |way| vec![make(way), call(way)]);
    leaves_nothing("r20_new_block", "", |way| vec![query("BEGIN"), make(way), call(way), query("COMMIT")]);
}

/// What ends with its transaction is left to nobody, and keeps nobody.
#[test]
fn r20_what_a_trigger_drops_again_keeps_no_connection() {
    let setup = "CREATE TABLE t(x int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
                 $$BEGIN CREATE TEMP TABLE gone(x int) ON COMMIT DROP; RETURN NEW; END$$; \
                 CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()";
    let twins = Twins::with("r20_dropped", setup, |builder| builder.no_replicas().flag("--pool-size", "1"));
    let (mut client, mut other) = (twins.through(), twins.through());
    for _ in 0..3 {
        client.rows("INSERT INTO t VALUES (1)");
        assert_eq!(other.value("SELECT count(*) > 0 FROM t"), "t", "on the one connection");
    }
}

/// Settings that were made in a role with more rights: who has them is given them again in that role, and a client that may not take them
/// back gets another connection.
#[test]
fn r19_what_was_set_in_a_mightier_role_ends_no_session() {
    let twins = Twins::with("r19_mighty", "", |builder| builder.no_replicas().flag("--pool-size", "1"));
    let mut root = twins.cluster.primary.connect_to(&twins.database);
    let group = format!("g_{}", twins.database);
    root.rows(&format!("CREATE ROLE {group} SUPERUSER; GRANT {group} TO solo"));
    let mut direct = twins.cluster.connect("solo", &twins.database);
    let (mut client, mut other) = (twins.sidecache.connect("solo"), twins.sidecache.connect("solo"));
    let asked = "SELECT current_user, current_setting('session_replication_role')";
    let bystander = other.rows(asked);
    for text in [
        &format!("SET ROLE {group}") as &str,
        "SET session_replication_role = replica",
        asked,
        "RESET ROLE",
        asked,
        &format!("SET ROLE {group}"),
        "RESET session_replication_role",
        asked,
    ] {
        assert_eq!(client.rows(text), direct.rows(text), "{text}");
        assert_eq!(other.rows(asked), bystander, "after {text}");
    }
    drop((client, other, direct));
    eventually("the role to be nobody's", || {
        root.query(&format!("DROP OWNED BY {group}; DROP ROLE {group}")).ok().filter(|f| tags(f) == "CCZ").map(drop)
    });
}

/// A text search configuration is looked up in the path of the moment in which it is set.
#[test]
fn r19_a_setting_that_was_looked_up_in_another_path_is_kept() {
    let setup = "CREATE SCHEMA b; CREATE TEXT SEARCH CONFIGURATION b.mine (COPY = pg_catalog.english)";
    let twins = Twins::with("r19_looked_up", setup, |builder| builder.no_replicas().flag("--pool-size", "2"));
    let (mut client, mut other, mut direct) = (twins.through(), twins.through(), twins.direct());
    for text in [
        "SET search_path = b",
        "SET default_text_search_config = 'mine'",
        "SET search_path = public",
        "SHOW default_text_search_config",
    ] {
        assert_eq!(client.rows(text), direct.rows(text), "{text}");
        assert_eq!(other.value("SHOW default_text_search_config"), "pg_catalog.simple", "after {text}");
    }
}

/// What a sequence gave last is the session's own, or is not told: never what it gave another.
#[test]
fn r20_what_a_sequence_gave_another_is_not_told() {
    let twins = Twins::with("r20_sequence", "CREATE TABLE t(id serial, way text)", |builder| {
        builder.no_replicas().flag("--pool-size", "1")
    });
    let (mut one, mut other) = (twins.through(), twins.through());
    let insert = "INSERT INTO t(way) VALUES ('x') RETURNING id";
    for ask in ["SELECT lastval()", "SELECT currval('t_id_seq')", "SELECT LASTVAL()"] {
        one.value(insert);
        other.value(insert);
        for _ in 0..2 {
            assert_eq!(one.error(ask), "55000", "{ask}");
        }
        one.rows("UPDATE t SET way = 'z' WHERE id = 0");
        assert_eq!(one.error(ask), "55000", "{ask}, behind a write that draws nothing");
        // The session goes on, and so does the connection.
        let own = one.value(insert);
        assert_eq!(one.value(ask), own, "{ask}");
        one = twins.through();
    }
    // A row of another table, of which a sequence knows nothing, does not make the connection one's own.
    one.rows("CREATE TABLE plain (v int)");
    for who in [true, false] {
        one = twins.through();
        one.value(insert);
        other.value(insert);
        match who {
            true => one.rows("INSERT INTO plain VALUES (1)"),
            false => other.rows("INSERT INTO plain VALUES (1)"),
        };
        assert_eq!(one.error("SELECT currval('t_id_seq')"), "55000");
        let text = one.query("INSERT INTO plain VALUES (2); SELECT currval('t_id_seq')").expect("an answer");
        assert_eq!(tags(&text), "CTEZ");
    }
    // A transaction's modes come before its first query, which is none of ours.
    one = twins.through();
    other.value(insert);
    one.rows("BEGIN");
    let text =
        one.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; INSERT INTO plain VALUES (3)").expect("an answer");
    assert_eq!(tags(&text), "CCZ");
    one.rows("COMMIT");
    // Whoever executes it by its name.
    for (make, run) in [
        (query("PREPARE cur AS SELECT currval('t_id_seq')"), query("EXECUTE cur")),
        (Batch::new().parse("cur", "SELECT currval('t_id_seq')", &[]).sync(), query("EXECUTE cur")),
        (
            query("PREPARE cur AS SELECT currval('t_id_seq')"),
            Batch::new().bind("", "cur", &[], Format::Text).execute("", 0).sync(),
        ),
    ] {
        one = twins.through();
        one.run(&make).expect("an answer");
        one.value(insert);
        other.value(insert);
        let frames = one.run(&run).expect("an answer");
        assert!(tags(&frames).contains('E'), "another's: {frames:?}");
    }
    one = twins.through();
    one.rows("BEGIN");
    let own = one.value(insert);
    assert_eq!(one.value("SELECT lastval()"), own, "in its transaction");
    one.rows("COMMIT");
    drop(one);

    // Nor in a transaction that has written nothing, which fails as it would on the server.
    other = twins.through();
    other.value(insert);
    one = twins.through();
    one.rows("BEGIN");
    assert_eq!(one.error("INSERT INTO t(way) VALUES (currval('t_id_seq'))"), "55000");
    assert_eq!(one.error("SELECT 1"), "25P02");
    one.rows("ROLLBACK");
    // Nor once the session keeps the connection on which others have written.
    one = twins.through();
    one.rows("CREATE TEMP TABLE kept()");
    assert_eq!(one.error("SELECT lastval()"), "55000");
    drop(one);
    other.value(insert);
    // What the text or the batch itself had given is its own.
    one = twins.through();
    let text = one.query("INSERT INTO t(way) VALUES ('x'); SELECT lastval()").expect("an answer");
    assert_eq!(tags(&text), "CTDCZ");
    one = twins.through();
    let batch = Batch::new().extended("INSERT INTO t(way) VALUES ('y')", &[], Format::Text);
    let batch = one.run(&batch.extended("SELECT lastval()", &[], Format::Text).sync()).expect("an answer");
    assert!(!tags(&batch).contains('E'), "{}", tags(&batch));
}

/// Where another's draw is behind it, what keeps that from a session stands before its transaction, and is no query of it.
#[test]
fn r20_what_a_sequence_gave_another_is_forgotten_before_a_transaction_begins() {
    let setup = "CREATE TABLE t(id serial, way text); CREATE TABLE u(v int)";
    let twins = Twins::with("r20_before", setup, |builder| builder.no_replicas().flag("--pool-size", "1"));
    let (mut other, mut direct) = (twins.through(), twins.direct());
    let insert = "INSERT INTO t(way) VALUES ('x') RETURNING id";
    // From here on it matters.
    assert_eq!(twins.through().error("SELECT lastval()"), "55000");
    let begins = |modes: &str| {
        let begin = format!("BEGIN {modes}");
        [
            vec![query(&begin)],
            vec![query("CREATE TEMP TABLE own()"), query(&begin)],
            vec![run(Batch::new(), &begin).sync(), run(run(Batch::new(), "ROLLBACK"), &begin).sync()],
        ]
    };
    for begin in begins("ISOLATION LEVEL REPEATABLE READ") {
        direct.rows("TRUNCATE u");
        other.value(insert);
        let mut one = twins.through();
        begin.iter().for_each(|batch| drop(one.run(batch).expect("an answer")));
        one.rows("LOCK TABLE t");
        direct.rows("INSERT INTO u VALUES (1)");
        assert_eq!(one.value("SELECT count(*) FROM u"), "1", "a lock takes no snapshot");
        one.rows("ROLLBACK");
    }
    for begin in begins("") {
        other.value(insert);
        let mut one = twins.through();
        begin.iter().for_each(|batch| drop(one.run(batch).expect("an answer")));
        one.rows("LOCK TABLE t");
        one.rows("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
        let opened = Batch::new().parse("", insert, &[]).bind("", "", &[], Format::Text).sync();
        assert_eq!(tags(&one.run(&opened).expect("an answer")), "12Z");
        let own = one.run(&Batch::new().execute("", 0).sync()).expect("an answer");
        assert_eq!(tags(&own), "DCZ", "the unnamed portal is there still");
        one.rows("COMMIT");
    }
    // What it draws there is its own.
    for begin in begins("") {
        other.value(insert);
        let mut one = twins.through();
        begin.iter().for_each(|batch| drop(one.run(batch).expect("an answer")));
        one.rows("SELECT count(*) FROM u");
        let own = one.value(insert);
        assert_eq!(one.value("SELECT lastval()"), own);
        one.rows("ROLLBACK");
    }
}

/// What one connection's sequences gave a session is not the last once it may have drawn on another.
#[test]
fn r20_what_a_sequence_gave_before_is_not_told_as_its_last() {
    let setup = "CREATE TABLE t(id serial, way text); CREATE TABLE plain(v int); CREATE TABLE u(v int); INSERT INTO u VALUES (1); \
                 CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('t_id_seq'); RETURN NEW; END$$; \
                 CREATE TRIGGER g BEFORE UPDATE ON u FOR EACH ROW EXECUTE FUNCTION f()";
    let twins = Twins::with("r20_last", setup, |builder| builder.no_replicas().flag("--pool-size", "2"));
    let insert = "INSERT INTO t(way) VALUES ('x')";
    assert_eq!(twins.through().error("SELECT lastval()"), "55000");
    let takes = |client: &mut Wire| {
        client.rows("BEGIN");
        client.rows("/* sidecache: off */ SELECT count(*) FROM u");
    };
    for (elsewhere, back) in [
        ("UPDATE u SET v = v", "SELECT 1"),
        ("UPDATE u SET v = v", "UPDATE u SET v = v WHERE v = 0"),
        ("INSERT INTO t(way) SELECT 1 / (v - v) FROM u", "SELECT 1"),
        (insert, "SELECT 1"),
        (insert, "INSERT INTO plain VALUES (1)"),
    ] {
        let (mut one, mut first, mut second) = (twins.through(), twins.through(), twins.through());
        takes(&mut first);
        one.rows(insert);
        takes(&mut second);
        first.rows("ROLLBACK");
        one.query(elsewhere).expect("it lives");
        takes(&mut first);
        second.rows("ROLLBACK");
        one.rows(back);
        assert_eq!(one.error("SELECT lastval()"), "55000", "{elsewhere}, {back}");
        // What changes nothing of it there keeps it.
        one.rows(insert);
        let own = one.value("SELECT lastval()");
        one.rows("UPDATE u SET v = v WHERE v = 0");
        assert_eq!(one.value("SELECT lastval()"), own);
        first.rows("ROLLBACK");
    }
}

/// A COMMIT and a BEGIN in one batch are two transactions, and what the first has written the second sees.
#[test]
fn c6_what_a_transaction_wrote_is_seen_in_the_one_that_its_batch_begins() {
    let cluster = Cluster::quiet();
    let watched = Watched::quiet(&cluster, "c6_batch", "CREATE TABLE t(v int); INSERT INTO t VALUES (1)");
    let mut client = watched.client();
    let read = "SELECT count(*) FROM t";
    assert_eq!(watched.warm(&mut client, read), "1");
    watched.unheard(|| {
        client.rows("BEGIN");
        client.rows("INSERT INTO t VALUES (2)");
        let both = run(run(Batch::new(), "COMMIT"), "BEGIN").sync();
        assert_eq!(tags(&client.run(&both).expect("an answer")), "12C12CZ");
        assert_eq!(client.value(read), "2");
        client.rows("COMMIT");
        assert_eq!(client.value(read), "2");
    });
}

/// The position of what is read in a transaction is learned at its end; until then only the server is as new.
#[test]
fn c6_a_hit_is_no_older_than_what_its_transaction_has_read() {
    let cluster = Cluster::quiet();
    let watched = Watched::quiet(&cluster, "c6_read", "CREATE TABLE t AS SELECT 1 AS v");
    let mut client = watched.client();
    let read = "SELECT v FROM t";
    assert_eq!(watched.warm(&mut client, read), "1");
    watched.unheard(|| {
        watched.beside().rows("UPDATE t SET v = 2");
        client.rows("BEGIN");
        assert_eq!(client.value(read), "1", "a hit");
        assert_eq!(client.value("SELECT v + (now() IS NULL)::int FROM t"), "2");
        assert_eq!(client.value(read), "2");
        client.rows("COMMIT");
        assert_eq!(client.value(read), "2");
    });
}

/// A hit is a query of its own transaction alone.
#[test]
fn r8_a_hit_binds_no_transaction_that_its_batch_begins_behind_it() {
    let twins = Twins::new("r8_behind", "CREATE TABLE t(v int); INSERT INTO t VALUES (1)");
    let read = "SELECT v FROM t";
    let both = |end: &str| ready(run(run(Batch::new(), end), "BEGIN").sync());
    for end in ["COMMIT", "ROLLBACK"] {
        let mut script = queries(&[read, read, "BEGIN", read]);
        script.push(both(end));
        script.extend(queries(&[
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SHOW transaction_isolation",
            read,
            end,
        ]));
        twins.same(end, "", &script);
    }
    for end in ["COMMIT AND CHAIN", "ROLLBACK AND CHAIN"] {
        let after = ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "COMMIT"];
        let script = [queries(&[read, read, "BEGIN", read, end]), queries(&after)].concat();
        twins.same(end, "", &script);
    }
}

/// A portal of a statement that SQL has made takes the place of the one that was there.
#[test]
fn r20_a_portal_of_what_was_prepared_is_no_other() {
    leaves_nothing("r20_portal_made", "", |_| {
        let bind = |batch: Batch, statement: &str| batch.bind("", statement, &[], Format::Text).sync();
        vec![
            query("PREPARE made AS SELECT set_config('work_mem', '7MB', false)"),
            query("BEGIN"),
            bind(Batch::new().parse("", "SELECT 1", &[]), ""),
            bind(Batch::new(), "made"),
            Batch::new().execute("", 0).sync(),
            query("COMMIT"),
        ]
    });
}

/// What DISCARD ALL leaves as it is stays its session's behind it too.
#[test]
fn r20_what_discard_all_does_not_end_is_left_to_nobody() {
    let setup = "CREATE FUNCTION seeds() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM setseed(0.5); RETURN 1; END$$; \
                 CREATE FUNCTION sets() RETURNS int LANGUAGE plpgsql AS $$BEGIN SET seed = 0.5; RETURN 1; END$$; \
                 CREATE FUNCTION through() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN seeds(); END$$";
    let twins = Twins::with("r20_seed", setup, |builder| builder.no_replicas().flag("--pool-size", "2"));
    for seeds in [
        "SELECT setseed(0.5)",
        "SET seed = 0.5",
        "SELECT seeds()",
        "SELECT sets()",
        "SELECT through()",
        "DO $$BEGIN PERFORM setseed(0.5); END$$",
        "SELECT g.setseed FROM (VALUES (0.5::float8)) AS v (x), unnest(ARRAY[x]) AS g",
    ] {
        let (mut client, mut other) = (twins.through(), twins.through());
        client.rows(seeds);
        client.rows("DISCARD ALL");
        let given = other.value("SELECT random()");
        client.rows(seeds);
        assert_ne!(given, client.value("SELECT random()"), "{seeds}");
    }
}

/// `g.f` calls the function as `f(g)` does.
#[test]
fn r20_what_is_called_as_an_attribute_is_called() {
    let g = "generate_series(77::bigint, 77) AS g";
    let setup = "CREATE TABLE t(v text)";
    leaves_nothing("r20_attribute", setup, |_| vec![query(&format!("SELECT g.pg_advisory_lock FROM {g}"))]);
    leaves_nothing("r20_attribute_write", setup, |_| {
        vec![query(&format!("INSERT INTO t SELECT g.pg_advisory_lock::text FROM {g}"))]
    });
}

/// Where a text ends the transaction in which a level was set, the strictest that it can be holds.
#[test]
fn r19_a_level_whose_transaction_ended_unseen_is_the_strictest() {
    let twins = Twins::with("r19_unseen", "", |builder| builder.no_replicas());
    for (ends, level) in
        [("ROLLBACK; BEGIN", "session"), ("COMMIT; BEGIN", "session"), ("SELECT 1; SELECT 2", "bounded")]
    {
        let mut client = twins.through();
        client.rows("BEGIN");
        client.rows("SET sidecache.consistency = 'bounded'");
        assert_eq!(client.value("SHOW sidecache.consistency"), "bounded");
        client.query(ends).expect("it lives");
        assert_eq!(client.value("SHOW sidecache.consistency"), level, "{ends}");
        client.rows("COMMIT");
        assert_eq!(client.value("SHOW sidecache.consistency"), level, "{ends}");
    }
}

/// Servers before 15.9, 16.5 and 17.1 do not give a role back that a reset of the session's user has ended, where that is taken back: who is what
/// behind that, the connection alone knows.
#[test]
fn r19_a_role_that_a_rollback_may_not_give_back_is_not_taken_for_granted() {
    let twins = Twins::with("r19_given_back", "", |builder| builder.no_replicas().flag("--pool-size", "2"));
    let mut root = twins.cluster.primary.connect_to(&twins.database);
    let group = format!("g_{}", twins.database);
    root.rows(&format!("CREATE ROLE {group}; GRANT {group} TO solo"));
    let opaque = || twins.sidecache.metric("sidecache_pins_total", &[("reason", "opaque")]);
    let reset = "RESET SESSION AUTHORIZATION";
    for (role, texts, is_pinned) in [
        (&*group, ["BEGIN", reset, "ROLLBACK"], true),
        (&*group, ["BEGIN", "SET SESSION AUTHORIZATION DEFAULT", "ROLLBACK"], true),
        (&*group, ["BEGIN", "SET LOCAL SESSION AUTHORIZATION DEFAULT", "COMMIT"], true),
        (&*group, ["BEGIN", reset, "COMMIT"], false),
        (&*group, ["BEGIN", "RESET ROLE", "ROLLBACK"], false),
        ("none", ["BEGIN", reset, "ROLLBACK"], false),
    ] {
        let (mut client, mut direct) =
            (twins.sidecache.connect("solo"), twins.cluster.connect("solo", &twins.database));
        let before = opaque();
        for text in [&format!("SET ROLE {role}") as &str].into_iter().chain(texts).chain(["SELECT current_user"]) {
            assert_eq!(client.rows(text), direct.rows(text), "{texts:?}, {text}");
        }
        assert_eq!(opaque() > before, is_pinned, "{role}, {texts:?}");
        drop((client, direct));
    }
    eventually("the role to be nobody's", || {
        root.query(&format!("DROP OWNED BY {group}; DROP ROLE {group}")).ok().filter(|f| tags(f) == "CCZ").map(drop)
    });
}
