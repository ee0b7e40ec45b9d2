//! What changes the meaning of a query, or the right to ask it, by name: made beside Sidecache a hit is right as soon as the change was
//! heard, made through it as soon as it was acknowledged, for the session that made it and for others (C12, C13, C15, C16, C19).
//! A direct connection decides what is right.

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Wire, rows, tags};
use crate::watched::{Watched, text};

/// `{r}`: the role that reads. `{g}`: another. `;;` stands between statements that are sent one by one.
struct Change {
    name: &'static str,
    setup: &'static str,
    read: &'static str,
    change: &'static str,
    undo: &'static str,
}

const fn change(
    name: &'static str,
    setup: &'static str,
    read: &'static str,
    change: &'static str,
    undo: &'static str,
) -> Change {
    Change { name, setup, read, change, undo }
}

const BASE: &str = "CREATE TABLE t(x int); INSERT INTO t VALUES (1), (2);
    CREATE TABLE p(owner name, x int); INSERT INTO p VALUES ('{r}', 1), ('{g}', 2); GRANT SELECT ON p TO {r};
    CREATE TABLE open(x int, n text DEFAULT 'n'); INSERT INTO open VALUES (1), (2); GRANT SELECT ON open TO {r};
    CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE moods(m mood); INSERT INTO moods VALUES ('sad'), ('glad');
    GRANT SELECT ON moods TO {r};
    CREATE TABLE part(k int) PARTITION BY LIST (k); CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
    CREATE TABLE part2(k int); INSERT INTO part1 VALUES (1); INSERT INTO part2 VALUES (2); GRANT SELECT ON part TO {r};
    CREATE TABLE child(x int, n text); INSERT INTO child VALUES (7);
    CREATE FUNCTION same(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 = $2';
    CREATE FUNCTION other(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 <> $2';
    CREATE TYPE pair AS (a int, b int); CREATE TABLE pairs(v pair); INSERT INTO pairs VALUES (ROW(1, 2)); GRANT SELECT ON pairs TO {r};
    CREATE FUNCTION spelled(pair) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ''pair''';
    CREATE COLLATION c (LOCALE = 'C')";

const CHANGES: &[Change] = &[
    change("REVOKE", "GRANT SELECT ON t TO {r}", "SELECT x FROM t", "REVOKE SELECT ON t FROM {r}", ""),
    change("REVOKE column", "GRANT SELECT (x) ON t TO {r}", "SELECT x FROM t", "REVOKE SELECT (x) ON t FROM {r}", ""),
    change(
        "REVOKE schema",
        "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS x; GRANT USAGE ON SCHEMA s TO {r}; GRANT SELECT ON s.t TO {r}",
        "SELECT x FROM s.t",
        "REVOKE USAGE ON SCHEMA s FROM {r}",
        "DROP SCHEMA s CASCADE",
    ),
    change(
        "REVOKE function",
        "",
        "SELECT same(x, 1) FROM open",
        "REVOKE EXECUTE ON FUNCTION same FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION same TO PUBLIC",
    ),
    change(
        "REVOKE role",
        "GRANT SELECT ON t TO {g}; GRANT {g} TO {r}",
        "SELECT x FROM t",
        "REVOKE {g} FROM {r}",
        "REVOKE ALL ON t FROM {g}",
    ),
    change(
        "ALTER ROLE NOINHERIT",
        "GRANT SELECT ON t TO {g}; GRANT {g} TO {r}",
        "SELECT x FROM t",
        // From PostgreSQL 16 each grant has its own.
        "ALTER ROLE {r} NOINHERIT;;REVOKE {g} FROM {r};;GRANT {g} TO {r}",
        "ALTER ROLE {r} INHERIT; REVOKE {g} FROM {r}; REVOKE ALL ON t FROM {g}",
    ),
    change(
        "ALTER ROLE BYPASSRLS",
        "{closed}",
        "SELECT x FROM p",
        "ALTER ROLE {r} BYPASSRLS",
        "ALTER ROLE {r} NOBYPASSRLS; {opened}",
    ),
    change(
        "ALTER ROLE SUPERUSER",
        "{closed}",
        "SELECT x FROM p",
        "ALTER ROLE {r} SUPERUSER",
        "ALTER ROLE {r} NOSUPERUSER; {opened}",
    ),
    change(
        "ALTER ROLE NOBYPASSRLS",
        "{closed}; ALTER ROLE {r} BYPASSRLS",
        "SELECT x FROM p",
        "ALTER ROLE {r} NOBYPASSRLS",
        "{opened}",
    ),
    change(
        "CREATE POLICY",
        "{closed}",
        "SELECT x FROM p",
        "CREATE POLICY more ON p USING (x = 2)",
        "DROP POLICY more ON p; {opened}",
    ),
    change(
        "ALTER POLICY",
        "{closed}; CREATE POLICY more ON p USING (true)",
        "SELECT x FROM p",
        "ALTER POLICY more ON p USING (x = 2)",
        "DROP POLICY more ON p; {opened}",
    ),
    change(
        "ALTER POLICY TO",
        "{closed}; CREATE POLICY more ON p TO {r} USING (true)",
        "SELECT x FROM p",
        "ALTER POLICY more ON p TO {g}",
        "DROP POLICY more ON p; {opened}",
    ),
    change(
        "DROP POLICY",
        "{closed}; CREATE POLICY more ON p USING (true)",
        "SELECT x FROM p",
        "DROP POLICY more ON p",
        "{opened}",
    ),
    change("ENABLE ROW LEVEL SECURITY", "", "SELECT x FROM p", "ALTER TABLE p ENABLE ROW LEVEL SECURITY", "{opened}"),
    change(
        "DISABLE ROW LEVEL SECURITY",
        "{closed}",
        "SELECT x FROM p",
        "ALTER TABLE p DISABLE ROW LEVEL SECURITY",
        "{opened}",
    ),
    change(
        "FORCE ROW LEVEL SECURITY",
        "{closed}; ALTER TABLE p OWNER TO {r}",
        "SELECT x FROM p",
        "ALTER TABLE p FORCE ROW LEVEL SECURITY",
        "ALTER TABLE p OWNER TO postgres; ALTER TABLE p NO FORCE ROW LEVEL SECURITY; {opened}",
    ),
    change(
        "NO FORCE ROW LEVEL SECURITY",
        "{closed}; ALTER TABLE p OWNER TO {r}; ALTER TABLE p FORCE ROW LEVEL SECURITY",
        "SELECT x FROM p",
        "ALTER TABLE p NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE p OWNER TO postgres; {opened}",
    ),
    change(
        "OWNER TO",
        "{closed}; ALTER TABLE p OWNER TO {r}",
        "SELECT x FROM p",
        "ALTER TABLE p OWNER TO postgres;;GRANT SELECT ON p TO {r}",
        "{opened}",
    ),
    change(
        "policy reads another table",
        "CREATE TABLE members(x int); GRANT SELECT ON members TO {r}; INSERT INTO members VALUES (1);\
         CREATE POLICY m ON p USING (x IN (SELECT x FROM members)); ALTER TABLE p ENABLE ROW LEVEL SECURITY",
        "SELECT x FROM p",
        "INSERT INTO members VALUES (2)",
        "DROP POLICY m ON p; DROP TABLE members; {opened}",
    ),
    change(
        "ALTER DEFAULT PRIVILEGES",
        "",
        "SELECT x FROM open",
        "ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {r}",
        "",
    ),
    change(
        "security_invoker",
        "CREATE VIEW v AS SELECT x FROM t; GRANT SELECT ON v TO {r}",
        "SELECT x FROM v",
        "ALTER VIEW v SET (security_invoker = true)",
        "DROP VIEW v",
    ),
    change(
        "owner of a view",
        "{closed}; CREATE VIEW v AS SELECT x FROM p; GRANT SELECT ON v TO {r}; GRANT SELECT ON p TO {g}",
        "SELECT x FROM v",
        "ALTER VIEW v OWNER TO {g}",
        "DROP VIEW v; REVOKE ALL ON p FROM {g}; {opened}",
    ),
    change(
        "CREATE OR REPLACE VIEW",
        "CREATE VIEW v AS SELECT x FROM t; GRANT SELECT ON v TO {r}",
        "SELECT x FROM v",
        "CREATE OR REPLACE VIEW v AS SELECT x + 10 AS x FROM t",
        "DROP VIEW v",
    ),
    change(
        "CREATE OR REPLACE FUNCTION",
        "",
        "SELECT same(x, 1) FROM open",
        "CREATE OR REPLACE FUNCTION same(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 > $2'",
        "CREATE OR REPLACE FUNCTION same(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 = $2'",
    ),
    change(
        "a stable function's body",
        "CREATE FUNCTION largest() RETURNS int STABLE LANGUAGE sql AS 'SELECT max(x) FROM open'",
        "SELECT x, largest() FROM open",
        "CREATE OR REPLACE FUNCTION largest() RETURNS int STABLE LANGUAGE sql AS 'SELECT 99'",
        "DROP FUNCTION largest",
    ),
    change(
        "ALTER FUNCTION SECURITY DEFINER",
        "CREATE FUNCTION seen() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM p'; {closed}",
        "SELECT x, seen() FROM open",
        "ALTER FUNCTION seen() SECURITY DEFINER",
        "DROP FUNCTION seen; {opened}",
    ),
    change(
        "CREATE OPERATOR anew",
        "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same)",
        "SELECT x === 1 FROM open",
        "DROP OPERATOR ===(int, int);;CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = other)",
        "DROP OPERATOR ===(int, int)",
    ),
    change(
        "CREATE CAST",
        "",
        "SELECT v::text FROM pairs",
        "CREATE CAST (pair AS text) WITH FUNCTION spelled(pair)",
        "DROP CAST (pair AS text)",
    ),
    change(
        "RENAME VALUE",
        "",
        "SELECT m FROM moods ORDER BY m",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        "ALTER TYPE mood RENAME VALUE 'blue' TO 'sad'",
    ),
    change(
        "ADD VALUE",
        "",
        "SELECT m FROM moods ORDER BY m",
        "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'mad' BEFORE 'sad';;INSERT INTO moods VALUES ('mad')",
        "DELETE FROM moods WHERE m = 'mad'",
    ),
    change(
        "ATTACH PARTITION",
        "",
        "SELECT k FROM part ORDER BY k",
        "ALTER TABLE part ATTACH PARTITION part2 FOR VALUES IN (2)",
        "ALTER TABLE part DETACH PARTITION part2",
    ),
    change(
        "DETACH PARTITION",
        "",
        "SELECT k FROM part ORDER BY k",
        "ALTER TABLE part DETACH PARTITION part1",
        "ALTER TABLE part ATTACH PARTITION part1 FOR VALUES IN (1)",
    ),
    change(
        "DETACH PARTITION CONCURRENTLY",
        "",
        "SELECT k FROM part ORDER BY k",
        "ALTER TABLE part DETACH PARTITION part1 CONCURRENTLY",
        "ALTER TABLE part ATTACH PARTITION part1 FOR VALUES IN (1)",
    ),
    change(
        "INHERIT",
        "",
        "SELECT x FROM open ORDER BY x",
        "ALTER TABLE child INHERIT open",
        "ALTER TABLE child NO INHERIT open",
    ),
    change(
        "NO INHERIT",
        "ALTER TABLE child INHERIT open",
        "SELECT x FROM open ORDER BY x",
        "ALTER TABLE child NO INHERIT open",
        "",
    ),
    change(
        "SET UNLOGGED",
        "",
        "SELECT x FROM open ORDER BY x",
        "ALTER TABLE open SET UNLOGGED;;UPDATE open SET x = x + 10",
        "UPDATE open SET x = x - 10; ALTER TABLE open SET LOGGED",
    ),
    change(
        "REPLICA IDENTITY",
        "",
        "SELECT x FROM open ORDER BY x",
        "ALTER TABLE open REPLICA IDENTITY NOTHING;;UPDATE open SET x = x + 10",
        "UPDATE open SET x = x - 10; ALTER TABLE open REPLICA IDENTITY DEFAULT",
    ),
    change(
        "ALTER COLLATION",
        "",
        "SELECT x FROM open ORDER BY n COLLATE c, x",
        "ALTER COLLATION c RENAME TO d",
        "ALTER COLLATION d RENAME TO c",
    ),
    change(
        "RENAME",
        "",
        "SELECT x FROM open ORDER BY x",
        "ALTER TABLE open RENAME TO away;;ALTER TABLE child RENAME TO open;;GRANT SELECT ON open TO {r}",
        "ALTER TABLE open RENAME TO child; ALTER TABLE away RENAME TO open; REVOKE ALL ON child FROM {r}",
    ),
    change(
        "DROP and CREATE",
        "CREATE TABLE n AS SELECT 1 AS x; GRANT SELECT ON n TO {r}",
        "SELECT x FROM n",
        "DROP TABLE n;;CREATE TABLE n AS SELECT 5 AS x;;GRANT SELECT ON n TO {r}",
        "DROP TABLE n",
    ),
    change(
        "a table earlier in the path",
        "CREATE SCHEMA {r} AUTHORIZATION {r}",
        "SELECT x FROM open",
        "CREATE TABLE {r}.open AS SELECT 9 AS x;;GRANT SELECT ON {r}.open TO {r}",
        "DROP SCHEMA {r} CASCADE",
    ),
    change(
        "TRUNCATE",
        "CREATE TABLE n AS SELECT 1 AS x; GRANT SELECT ON n TO {r}",
        "SELECT x FROM n",
        "TRUNCATE n",
        "DROP TABLE n",
    ),
];

/// What a read gives: its rows, or the error's code.
fn answer(client: &mut Wire, read: &str) -> String {
    let frames = client.query(read).unwrap_or_else(|e| panic!("{read}: {e}"));
    match rows(&frames) {
        Ok(rows) => format!("{} of {}", text(&rows), tags(&frames)),
        Err(error) => error.chars().take(5).collect(),
    }
}

struct Stage {
    watched: Watched<'static>,
    reader: String,
    other: String,
}

impl Stage {
    fn new(label: &str) -> Stage {
        // A replica may lag behind a REVOKE as behind anything else.
        let watched = Watched::with(Cluster::shared(), label, "", |builder| builder.no_replicas());
        let (reader, other) = (format!("r_{}", watched.database), format!("g_{}", watched.database));
        let stage = Stage { watched, reader, other };
        stage.root(&format!(
            "CREATE ROLE {0}; CREATE ROLE {1}; GRANT {0} TO solo; GRANT USAGE ON SCHEMA public TO {0}, {1}",
            stage.reader, stage.other
        ));
        stage.root(BASE);
        stage
    }

    fn text(&self, text: &str) -> String {
        text.replace(
            "{closed}",
            "ALTER TABLE p ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON p USING (owner = '{r}')",
        )
        .replace("{opened}", "DROP POLICY IF EXISTS own ON p; ALTER TABLE p DISABLE ROW LEVEL SECURITY")
        .replace("{r}", &self.reader)
        .replace("{g}", &self.other)
    }

    /// As the superuser, beside Sidecache.
    fn root(&self, sql: &str) {
        let mut root = self.watched.cluster.primary.connect_to(&self.watched.database);
        for statement in self.text(sql).split(";;").filter(|statement| !statement.is_empty()) {
            root.rows(statement);
        }
    }

    fn as_reader(&self, mut client: Wire) -> Wire {
        client.rows(&format!("SET ROLE {}", self.reader));
        client
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let mut root = self.watched.cluster.primary.connect_to(&self.watched.database);
        for role in [&self.reader, &self.other] {
            // What a failed test has left behind is of no use to anyone.
            let _ = root.query(&format!("DROP OWNED BY {role}"));
            let _ = root.query(&format!("DROP ROLE {role}"));
        }
    }
}

#[test]
fn c15_c19_what_was_changed_beside_is_right_once_it_was_heard() {
    let stage = Stage::new("c19_beside");
    let mut reader = stage.as_reader(stage.watched.sidecache.connect("solo"));
    let mut truth = stage.as_reader(stage.watched.cluster.connect("solo", &stage.watched.database));
    for Change { name, setup, read, change, undo } in CHANGES {
        stage.root(setup);
        stage.watched.hear();
        stage.watched.warm(&mut reader, read);
        let before = answer(&mut truth, read);
        stage.root(change);
        stage.watched.hear();
        let right = answer(&mut truth, read);
        assert_eq!(answer(&mut reader, read), right, "{name}, which was {before}");
        stage.root(undo);
    }
}

#[test]
fn c15_c19_what_was_changed_through_sidecache_is_right_once_it_was_acknowledged() {
    let stage = Stage::new("c19_through");
    let mut reader = stage.as_reader(stage.watched.sidecache.connect("solo"));
    let mut truth = stage.as_reader(stage.watched.cluster.connect("solo", &stage.watched.database));
    let mut writer = stage.watched.sidecache.connect("postgres");
    for (n, Change { name, setup, read, change, undo }) in CHANGES.iter().enumerate() {
        let in_transaction = n % 2 == 0 && !change.contains("CONCURRENTLY") && !change.contains("ADD VALUE");
        stage.root(setup);
        stage.watched.hear();
        stage.watched.warm(&mut reader, read);
        writer.rows(&stage.text("SET ROLE {r}"));
        stage.watched.warm(&mut writer, read);
        writer.rows("RESET ROLE");
        let steps = stage.text(change);
        let (begin, end) = if in_transaction { (Some("BEGIN"), Some("COMMIT")) } else { (None, None) };
        for step in begin.into_iter().chain(steps.split(";;")).chain(end) {
            writer.rows(step);
        }
        if ["INSERT", "UPDATE", "TRUNCATE"].iter().any(|word| change.contains(word)) {
            // Rows are another session's once they were heard.
            stage.watched.hear();
        }
        let there = answer(&mut reader, read);
        writer.rows(&stage.text("SET ROLE {r}"));
        let here = answer(&mut writer, read);
        writer.rows("RESET ROLE");
        let right = answer(&mut truth, read);
        assert_eq!(there, right, "{name}: another session");
        assert_eq!(here, right, "{name}: the session itself");
        stage.root(undo);
    }
}

#[test]
fn c19_rows_and_the_catalog_in_one_transaction() {
    let stage = Stage::new("c19_mixed");
    let mut reader = stage.as_reader(stage.watched.sidecache.connect("solo"));
    let mut truth = stage.as_reader(stage.watched.cluster.connect("solo", &stage.watched.database));
    let mut writer = stage.watched.sidecache.connect("postgres");
    stage.root("{closed}; CREATE POLICY more ON p USING (true)");
    let read = "SELECT x FROM p ORDER BY x";
    let mixed = "UPDATE open SET x = x;;ALTER POLICY more ON p USING (x = $)";
    for n in 1..3 {
        stage.watched.hear();
        stage.watched.warm(&mut reader, read);
        // Beside: rows hide from the stream that the catalog changed too, but not for longer than the bound.
        stage.root(&format!("BEGIN;;{};;COMMIT", mixed.replace('$', &n.to_string())));
        let right = answer(&mut truth, read);
        eventually("the bound to pass", || (answer(&mut reader, read) == right).then_some(()));
        stage.watched.warm(&mut reader, read);
        for statement in stage.text(&format!("BEGIN;;{};;COMMIT", mixed.replace('$', "0"))).split(";;") {
            writer.rows(statement);
        }
        assert_eq!(answer(&mut reader, read), answer(&mut truth, read), "through Sidecache");
    }
}

/// Up to PostgreSQL 16 a connection finds out once which schemas of its path a role may use, and does not look again when a membership
/// changes: what counts is what a new connection would see, on whatever connection the read goes.
#[test]
fn c16_a_membership_opens_and_closes_the_schemas_of_a_path() {
    for replicas in [false, true] {
        let cluster = Cluster::shared();
        let watched = Watched::with(cluster, "c16_membership", "", |builder| {
            let builder = builder.flag("--pool-size", "1");
            if replicas { builder } else { builder.no_replicas() }
        });
        let mut root = cluster.primary.connect_to(&watched.database);
        let group = format!("g_{}", watched.database);
        root.rows(&format!(
            "CREATE ROLE {group}; CREATE SCHEMA s; CREATE TABLE s.shown AS SELECT 7 AS x; GRANT USAGE ON SCHEMA s TO {group}; \
             GRANT SELECT ON s.shown TO solo"
        ));
        watched.hear();
        let read = "SELECT x FROM shown";
        // A SET of its own would have the connection look again.
        let new = || Wire::connect(&watched.sidecache.login("solo").with("search_path", "s")).expect("taken");
        let mut old = new();
        for round in 0..2 {
            assert_eq!(answer(&mut new(), read), "42P01", "round {round}, replicas: {replicas}");
            root.rows(&format!("GRANT {group} TO solo"));
            watched.hear();
            for client in [&mut new(), &mut old] {
                assert!(answer(client, read).starts_with('7'), "round {round}, replicas: {replicas}");
                watched.warm(client, read);
            }
            root.rows(&format!("REVOKE {group} FROM solo"));
            watched.hear();
            for client in [&mut new(), &mut old] {
                for _ in 0..3 {
                    assert_eq!(answer(client, read), "42P01", "round {round}, replicas: {replicas}");
                }
            }
        }
        root.rows(&format!("DROP OWNED BY {group}; DROP ROLE {group}"));
    }
}

#[test]
fn c15_a_role_that_is_gone_reads_nothing() {
    let stage = Stage::new("c15_dropped");
    let mut root = stage.watched.cluster.primary.connect_to(&stage.watched.database);
    let mut reader = stage.as_reader(stage.watched.sidecache.connect("solo"));
    stage.watched.warm(&mut reader, "SELECT x FROM open");
    root.rows(&stage.text("DROP OWNED BY {r}; DROP ROLE {r}"));
    stage.watched.hear();
    // A pooled connection on which that role can no longer be set closes the session.
    let read = reader.query("SELECT x FROM open");
    assert!(read.is_err() || read.is_ok_and(|frames| !tags(&frames).contains('D')));
}

/// A session that is in a role stays in it when it may not be put into it again, and keeps its path: that is only looked at anew, which
/// takes no right.
#[test]
fn c16_a_session_keeps_its_role_when_memberships_change() {
    let cluster = Cluster::shared();
    for pool in ["session", "transaction"] {
        // A path that nobody but the server knows of.
        let moves = "CREATE FUNCTION moves() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS \
                     $$BEGIN PERFORM set_config('search_path', 'public, elsewhere', false); END$$";
        let watched = Watched::with(cluster, "c16_kept_role", moves, |builder| {
            builder.pool(pool).no_replicas().flag("--pool-size", "1")
        });
        let mut root = cluster.primary.connect_to(&watched.database);
        let group = format!("g_{}", watched.database);
        root.rows(&format!(
            "CREATE ROLE {group}; GRANT {group} TO solo; GRANT USAGE ON SCHEMA public TO {group}; \
             REVOKE EXECUTE ON FUNCTION set_config FROM PUBLIC; GRANT EXECUTE ON FUNCTION set_config TO app, sidecache"
        ));
        let mut client = watched.sidecache.connect("solo");
        let mut direct = cluster.connect("solo", &watched.database);
        for client in [&mut client, &mut direct] {
            client.rows(&format!("SET ROLE {group}"));
            client.rows("SELECT moves()");
        }
        let loads = watched.sidecache.count("/catalog/loads");
        root.rows(&format!("REVOKE {group} FROM solo"));
        eventually("the change to be known", || (watched.sidecache.count("/catalog/loads") > loads).then_some(()));
        let asked = "SELECT current_user, current_setting('search_path')";
        assert_eq!(client.rows(asked), direct.rows(asked), "{pool}");
        drop((client, direct));
        root.rows(&format!("DROP OWNED BY {group}; DROP ROLE {group}"));
    }
}

/// Roles are changed in any database, of which no stream tells, and a view that is locked keeps the catalog from being read: then nothing is
/// served past the bound.
#[test]
fn c15_a_membership_revoked_in_another_database_counts_though_the_catalog_cannot_be_read() {
    let cluster = Cluster::shared();
    let setup = "CREATE TABLE locked(x int); CREATE VIEW over AS SELECT x FROM locked; CREATE TABLE t AS SELECT 7 AS x";
    let watched = Watched::with(cluster, "c15_elsewhere", setup, |builder| builder.no_replicas());
    let mut root = cluster.primary.connect_to(&watched.database);
    let mut elsewhere = cluster.primary.connect_to("postgres");
    let group = format!("g_{}", watched.database);
    root.rows(&format!("CREATE ROLE {group}; GRANT {group} TO solo; GRANT SELECT ON t TO {group}"));
    let mut client = watched.sidecache.connect("solo");
    assert_eq!(watched.warm(&mut client, "SELECT x FROM t"), "7");
    let mut migration = watched.beside();
    migration.rows("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE");
    elsewhere.rows(&format!("REVOKE {group} FROM solo"));
    eventually("hits to end", || (answer(&mut client, "SELECT x FROM t") == "42501").then_some(()));
    migration.rows("ROLLBACK");
    root.rows(&format!("DROP OWNED BY {group}; DROP ROLE {group}"));
}

/// Functions that tell positions are everybody's until somebody revokes them: nothing is proven then, and nothing fails.
#[test]
fn r24_who_may_not_ask_for_positions_is_served_by_the_primary() {
    const TELL: [&str; 5] = [
        "pg_current_snapshot()",
        "pg_current_wal_insert_lsn()",
        "pg_last_wal_replay_lsn()",
        "pg_is_in_recovery()",
        "pg_last_wal_receive_lsn()",
    ];
    let cluster = Cluster::shared();
    for replicas in [false, true] {
        let watched =
            Watched::with(
                cluster,
                "r24_may_not_ask",
                "",
                |builder| {
                    if replicas { builder } else { builder.no_replicas() }
                },
            );
        let mut root = cluster.primary.connect_to(&watched.database);
        root.rows("CREATE TABLE told(x int); GRANT SELECT, INSERT ON told TO solo");
        let mut written = 0;
        for function in TELL {
            root.rows(&format!("REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC"));
            watched.hear();
            let [mut simple, mut extended] = [(); 2].map(|()| watched.sidecache.connect("solo"));
            for round in 0..3 {
                let what = format!("{function}, replicas: {replicas}, round {round}");
                let (insert, count) = ("INSERT INTO told VALUES (1)", "SELECT count(*) FROM told");
                simple.rows(insert);
                written += 1;
                assert_eq!(simple.value(count), written.to_string(), "{what}, simple");
                extended.extended(insert, &[]);
                written += 1;
                let told = extended.extended(count, &[]);
                assert_eq!(told, [[Some(written.to_string())]], "{what}, extended");
                // Of another's write it may hear later, but nothing else.
                assert!(
                    simple.value(count).parse().is_ok_and(|told| (written - 1..=written).contains(&told)),
                    "{what}"
                );
            }
            root.rows(&format!("GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO PUBLIC"));
        }
    }
}

/// A name may come to mean another role while connections that were opened by it, or carry it as their role, go on as the one that had it.
#[test]
fn c15_whoever_has_a_name_now_is_not_given_what_another_had_by_it() {
    let cluster = Cluster::shared();
    let database = cluster.database("c15_named");
    let [name, group, old] = ["n", "g", "o"].map(|letter| format!("{letter}_{database}"));
    let users = format!("sidecache:sidecache\n{name}:{name}\nsolo:solo");
    let sidecache = Sidecache::build(cluster, &database).users(&users).flag("--pool-size", "2").start();
    sidecache.await_stream(cluster);
    let mut root = cluster.primary.connect_to(&database);
    root.rows(&format!(
        "CREATE TABLE secret AS SELECT 'top secret' AS v; CREATE ROLE {name} LOGIN PASSWORD '{name}'; CREATE ROLE {group}; \
         GRANT SELECT ON secret TO {name}, {group}; GRANT {group} TO solo"
    ));
    let heard = || {
        sidecache.await_stream(cluster);
        cluster.catch_up();
    };
    heard();
    let asked = "SELECT current_user, v FROM secret";
    let set = format!("SET ROLE {group}");
    for _ in 0..3 {
        assert_eq!(sidecache.connect(&name).rows(asked), [[Some(name.clone()), Some("top secret".to_owned())]]);
    }
    // Two connections that are left in the role.
    let mut left = [(); 2].map(|()| sidecache.connect("solo"));
    for client in &mut left {
        client.rows("BEGIN");
        client.rows(&set);
        client.rows(asked);
    }
    left.iter_mut().for_each(|client| drop(client.rows("COMMIT")));
    for (role, create) in
        [(&name, format!("CREATE ROLE {name} LOGIN PASSWORD '{name}'")), (&group, format!("CREATE ROLE {group}"))]
    {
        root.rows(&format!("ALTER ROLE {role} RENAME TO {old}_{role}; {create}"));
    }
    root.rows(&format!("GRANT {group} TO solo; REVOKE {old}_{group} FROM solo"));
    heard();
    let mut other = sidecache.connect("solo");
    other.rows(&set);
    for _ in 0..4 {
        assert_eq!(sidecache.connect(&name).error(asked), "42501", "by its login");
        assert_eq!(other.error(asked), "42501", "by its role");
    }
    // Dropped and made again it can be used.
    root.rows(&format!(
        "DROP ROLE {name}; CREATE ROLE {name} LOGIN PASSWORD '{name}'; GRANT SELECT ON secret TO {name}"
    ));
    heard();
    assert_eq!(sidecache.connect(&name).rows(asked), [[Some(name.clone()), Some("top secret".to_owned())]]);
    drop((left, other));
    eventually("the roles to be nobody's", || {
        let drop = format!("DROP OWNED BY {name}, {group}, {old}_{name}, {old}_{group}");
        root.query(&drop).ok().filter(|frames| tags(frames) == "CZ")?;
        let gone = root.query(&format!("DROP ROLE {name}, {group}, {old}_{name}, {old}_{group}")).ok()?;
        (tags(&gone) == "CZ").then_some(())
    });
}
