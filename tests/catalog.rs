//! The catalog against a real PostgreSQL: does the fingerprint change when it must and only then, and do names mean
//! what the server says they mean? Starts a server of its own, on a socket in a temporary directory; knows nothing
//! of the proxy.

mod corpus;

use sidecache::catalog::{
    Catalog, CatalogVersion, FINGERPRINT, QUERIES, RelationKind, STORAGES, SearchPath, SessionState, Storage,
    Volatility, differences,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A PostgreSQL that lives as long as this.
struct Server {
    directory: tempfile::TempDir,
    binaries: PathBuf,
}

impl Server {
    fn start() -> Server {
        let binaries = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .chain(
                std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|e| e.path().join("bin")),
            )
            .find(|directory| directory.join("initdb").exists())
            .expect("initdb is installed");
        let server = Server { directory: tempfile::tempdir().expect("a temporary directory"), binaries };
        let directory = server.directory.path();
        if running_as_root() {
            assert!(Command::new("chown").arg("postgres").arg(directory).status().expect("chown runs").success());
        }
        server.run("initdb", &["-U", "postgres", "-A", "trust", "--no-sync"]);
        let options =
            format!("-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off", directory.display());
        let log = directory.join("log").display().to_string();
        server.run("pg_ctl", &["-w", "-l", &log, "-o", &options, "start"]);
        server
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = if running_as_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(self.binaries.join(program));
            command
        } else {
            Command::new(self.binaries.join(program))
        };
        let data = self.directory.path().join("data");
        let output = command.arg("-D").arg(data).args(arguments).current_dir("/").stdin(std::process::Stdio::null());
        let status = output.stdout(std::process::Stdio::null()).status().expect("the program runs");
        assert!(status.success(), "{program} {arguments:?}");
    }

    async fn connect(&self, user: &str) -> Client {
        connect(self.directory.path(), user).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-w", "-m", "immediate", "stop"]);
    }
}

fn running_as_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}

async fn connect(directory: &Path, user: &str) -> Client {
    let target = format!("host={} user={user} dbname=postgres", directory.display());
    let (client, connection) = tokio_postgres::connect(&target, NoTls).await.expect("the server accepts");
    tokio::spawn(connection);
    client
}

async fn rows(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

async fn value(client: &Client, sql: &str) -> Option<String> {
    rows(client, sql).await.pop().and_then(|mut row| row.pop()).flatten()
}

async fn fingerprint(client: &Client) -> String {
    value(client, FINGERPRINT).await.expect("one row of text")
}

async fn load(client: &Client) -> Catalog {
    let path = value(client, "SHOW search_path").await.expect("it has a value");
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog")
        .await
        .unwrap();
    let mut results = Vec::new();
    for query in QUERIES {
        results.push(rows(client, query).await);
    }
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(value(client, "SHOW search_path").await, Some(path));
    Catalog::build(CatalogVersion(1), &results).expect("PostgreSQL's own rows make a catalog")
}

const SCHEMA: &str = "
    CREATE ROLE alice LOGIN; CREATE ROLE bob; CREATE ROLE watcher LOGIN;
    CREATE SCHEMA app; CREATE SCHEMA \"Odd schema\"; GRANT USAGE ON SCHEMA \"Odd schema\" TO PUBLIC;
    CREATE TYPE app.mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN app.positive AS int CHECK (VALUE > 0); CREATE DOMAIN app.moody AS app.mood;
    CREATE TYPE app.pair AS (a int, b text);
    CREATE TABLE app.t (id serial PRIMARY KEY, a int, \"B,\"\"\n\" text, m app.mood, dropped int);
    ALTER TABLE app.t DROP COLUMN dropped;
    CREATE TABLE public.t (id int PRIMARY KEY, other int);
    CREATE TABLE \"Odd schema\".t (id int);
    CREATE TABLE \"Odd schema\".\"Odd \"\"table\" (id int);
    CREATE TABLE app.child () INHERITS (app.t);
    CREATE TABLE app.p (k int, v text) PARTITION BY LIST (k);
    CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES IN (1);
    CREATE TABLE app.p2 PARTITION OF app.p FOR VALUES IN (2) PARTITION BY LIST (v);
    CREATE TABLE app.p2a PARTITION OF app.p2 FOR VALUES IN ('a');
    CREATE TABLE app.p3 (k int, v text);
    CREATE TABLE app.referring (t_id int REFERENCES app.t);
    CREATE TABLE app.cascading (id int PRIMARY KEY REFERENCES public.t ON DELETE CASCADE);
    CREATE TABLE app.secret (owner text); ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY;
    CREATE UNLOGGED TABLE app.u (id int);
    CREATE MATERIALIZED VIEW app.mv AS SELECT 1 AS one;
    CREATE SEQUENCE app.s;
    CREATE FUNCTION app.plain(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION app.old(date) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT extract(year FROM age($1))::int';
    CREATE FUNCTION app.through_old(date) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT app.old($1)';
    CREATE FUNCTION app.today() RETURNS date IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN Current_Date; END';
    CREATE FUNCTION app.soon() RETURNS date IMMUTABLE LANGUAGE sql AS 'SELECT ''tomorrow''::text::date';
    CREATE FUNCTION app.adult(age int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT age > 17';
    CREATE FUNCTION app.standbys() RETURNS bigint STABLE SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) FROM pg_stat_replication';
    CREATE FUNCTION app.through_standbys() RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN RETURN app.standbys(); END';
    CREATE FUNCTION app.reads_own() RETURNS bigint STABLE LANGUAGE plpgsql AS
        'BEGIN RETURN (SELECT count(*) FROM pg_catalog.pg_class WHERE pg_get_userbyid(relowner) = current_user); END';
    CREATE FUNCTION app.plain(text) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION app.with_default(a int, b timestamptz DEFAULT now()) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION app.with_constant(a int, b text DEFAULT 'x') RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION app.step(int, int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT $1 + $2';
    CREATE AGGREGATE app.total(int) (SFUNC = app.step, STYPE = int);
    CREATE FUNCTION app.definer() RETURNS int SECURITY DEFINER IMMUTABLE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION app.same(app.pair, app.pair) RETURNS bool STABLE LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR app.=== (LEFTARG = app.pair, RIGHTARG = app.pair, FUNCTION = app.same);
    CREATE FUNCTION app.similar(text, text) RETURNS bool STABLE LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
    CREATE FUNCTION app.similar_later(timetz, text) RETURNS bool STABLE LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
    CREATE FUNCTION app.similar_free(text, text) RETURNS bool VOLATILE LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
    CREATE OPERATOR app.% (LEFTARG = text, RIGHTARG = text, FUNCTION = app.similar);
    CREATE OPERATOR app.%% (LEFTARG = timetz, RIGHTARG = text, FUNCTION = app.similar_later);
    CREATE FUNCTION app.writes() RETURNS int LANGUAGE plpgsql AS 'BEGIN UPDATE app.t SET a = 1; RETURN 1; END';
    CREATE FUNCTION app.through() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN app.writes(); END';
    CREATE FUNCTION app.farther() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT app.through()';
    CREATE FUNCTION app.draws() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN nextval(''app.s''); END';
    CREATE FUNCTION app.rolls() RETURNS float8 STABLE LANGUAGE plpgsql AS 'BEGIN RETURN random(); END';
    CREATE FUNCTION app.asks() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(a) FROM app.t); END';
    CREATE FUNCTION app.made_up(f text) RETURNS int STABLE LANGUAGE plpgsql AS
        'DECLARE n int; BEGIN EXECUTE ''SELECT '' || f || ''()'' INTO n; RETURN n; END';
    CREATE FUNCTION app.written_out() RETURNS int STABLE LANGUAGE plpgsql AS
        'DECLARE n int; BEGIN EXECUTE ''SELECT count(*) FROM app.t'' INTO n; RETURN n; END';
    CREATE FUNCTION app.through_step(int, int) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN app.writes(); END';
    CREATE AGGREGATE app.through_total(int) (SFUNC = app.through_step, STYPE = int);
    CREATE FUNCTION app.upserts(i int) RETURNS void LANGUAGE plpgsql AS
        'DECLARE n int; BEGIN SELECT max(a) INTO n FROM app.t; INSERT INTO app.t (id) VALUES (i) ON CONFLICT (id) DO UPDATE SET a = n; END';
    CREATE FUNCTION app.parsed() RETURNS int BEGIN ATOMIC INSERT INTO app.t (a) VALUES (1) RETURNING a; END;
    CREATE FUNCTION app.makes() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE app.made (a int); END';
    CREATE FUNCTION app.selects_into() RETURNS void LANGUAGE sql AS 'SELECT * INTO app.made FROM app.t';
    CREATE FUNCTION app.does() RETURNS void LANGUAGE plpgsql AS 'BEGIN DO ''BEGIN NULL; END''; END';
    CREATE FUNCTION app.runs(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END';
    CREATE FUNCTION app.meddles() RETURNS void LANGUAGE sql AS 'UPDATE pg_catalog.pg_class SET relrowsecurity = true';
    CREATE FUNCTION app.by_another() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM app.runs(''SELECT 1''); END';
    CREATE FUNCTION app.by_a_stable_one() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN PERFORM app.by_another(); RETURN 1; END';
    CREATE FUNCTION app.makes_step(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM app.makes(); RETURN 1; END';
    CREATE AGGREGATE app.makes_total(int) (SFUNC = app.makes_step, STYPE = int);
    CREATE FUNCTION app.uses_total() RETURNS bigint LANGUAGE sql AS 'SELECT app.makes_total(a) FROM app.t';
    CREATE VIEW app.v AS SELECT t.id, app.plain(t.a) AS n, m = 'happy' AS glad, length(\"B,\"\"\n\") FROM app.t;
    CREATE VIEW app.vv AS SELECT v.* FROM app.v JOIN public.t USING (id);
    CREATE FUNCTION app.tenant(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM set_config(''app.tenant'', t, false); END';
    CREATE FUNCTION app.sets() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET work_mem = 64; END';
    CREATE FUNCTION app.stable() RETURNS text STABLE LANGUAGE sql AS 'SELECT set_config(''app.tenant'', ''1'', false)';
    CREATE FUNCTION app.\"Caller's +\"() RETURNS text STABLE LANGUAGE sql AS 'SELECT app.stable()';
    CREATE FUNCTION app.caller() RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN \"Caller''s +\"(); END';
    CREATE FUNCTION app.atomic() RETURNS text STABLE BEGIN ATOMIC SELECT set_config('app.tenant', '1', false); END;
    CREATE FUNCTION app.locks() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_lock_shared(1)';
    CREATE FUNCTION app.unlocks() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_unlock_all()';
    CREATE FUNCTION app.seeds() RETURNS void LANGUAGE sql AS 'SELECT setseed(0.5)';
    CREATE FUNCTION app.slots() RETURNS void LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_create_physical_replication_slot(''s'', false, true); END';
    CREATE FUNCTION app.loads() RETURNS void LANGUAGE plpgsql AS 'BEGIN LOAD ''auto_explain''; END';
    CREATE FUNCTION app.dials() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM dblink_connect(''a'', ''b''); END';
    CREATE FUNCTION app.dials_stably() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN PERFORM app.dials(); RETURN 1; END';
    CREATE FUNCTION app.temporary() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE pg_temp.made (a int); END';
    CREATE FUNCTION app.by_path() RETURNS void LANGUAGE plpgsql SET search_path = pg_temp AS 'BEGIN CREATE TABLE made (a int); END';
    CREATE FUNCTION app.creates() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE app.made (a int); END';
    CREATE FUNCTION app.transaction_locks() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(1)';
    CREATE FUNCTION app.tenant_of() RETURNS text STABLE LANGUAGE sql AS 'SELECT current_setting(''app.tenant'', true)';
    CREATE FUNCTION app.updates() RETURNS void LANGUAGE sql AS 'UPDATE app.t SET a = 1';
    CREATE FUNCTION app.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE INDEX ON app.t (a);
    CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
";

fn path(schemas: &[&str]) -> SearchPath {
    SearchPath(schemas.iter().map(|&schema| schema.to_owned()).collect())
}

/// What changes a meaning or a right, and a part of the fingerprint that shows it.
const CHANGES: &[(&str, &str)] = &[
    ("ALTER TABLE app.t ADD COLUMN c int", "attribute"),
    ("ALTER TABLE app.t DROP COLUMN c", "attribute"),
    ("ALTER TABLE app.t RENAME COLUMN a TO aa", "attribute"),
    ("ALTER TABLE public.t ALTER COLUMN other TYPE bigint", "attribute"),
    ("ALTER TABLE public.t ALTER COLUMN other SET DEFAULT 3", "attrdef"),
    ("ALTER TABLE app.u RENAME TO uu", "class"),
    ("ALTER TABLE app.uu SET SCHEMA public", "class"),
    ("ALTER TABLE public.uu SET LOGGED", "class"),
    ("ALTER TABLE public.uu SET UNLOGGED", "class"),
    ("ALTER TABLE public.t OWNER TO alice", "class"),
    ("ALTER TABLE app.referring DROP CONSTRAINT referring_t_id_fkey", "trigger"),
    ("ALTER TABLE app.cascading DROP CONSTRAINT cascading_pkey", "attribute"),
    ("GRANT SELECT ON app.t TO bob", "class"),
    ("REVOKE SELECT ON app.t FROM bob", "class"),
    ("GRANT SELECT (id) ON app.t TO bob", "attribute"),
    ("GRANT USAGE ON SCHEMA app TO bob", "namespace"),
    ("CREATE OR REPLACE VIEW app.vv AS SELECT v.* FROM app.v", "rewrite"),
    ("ALTER VIEW app.vv SET (security_barrier)", "class"),
    ("CREATE OR REPLACE FUNCTION app.plain(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2'", "proc"),
    ("ALTER FUNCTION app.plain(int) STABLE", "proc"),
    ("REVOKE EXECUTE ON FUNCTION pg_catalog.lower(text) FROM PUBLIC", "proc"),
    ("CREATE POLICY own ON app.secret USING (owner = current_user)", "policy"),
    ("ALTER POLICY own ON app.secret USING (true)", "policy"),
    ("DROP POLICY own ON app.secret", "policy"),
    ("ALTER TABLE app.secret DISABLE ROW LEVEL SECURITY", "class"),
    ("ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY", "class"),
    ("ALTER TABLE app.secret FORCE ROW LEVEL SECURITY", "class"),
    ("ALTER TABLE app.p ATTACH PARTITION app.p3 FOR VALUES IN (3)", "inherits"),
    ("ALTER TABLE app.p DETACH PARTITION app.p3", "inherits"),
    ("ALTER TABLE app.child NO INHERIT app.t", "inherits"),
    ("CREATE TRIGGER x BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.nothing()", "trigger"),
    ("ALTER TABLE app.t DISABLE TRIGGER x", "trigger"),
    ("CREATE RULE r AS ON INSERT TO app.p3 DO ALSO SELECT 1", "rewrite"),
    ("ALTER TYPE app.mood ADD VALUE 'grim' BEFORE 'sad'", "enum"),
    ("ALTER TYPE app.mood RENAME TO humour", "type"),
    ("ALTER DOMAIN app.positive ADD CHECK (VALUE < 1000)", "domain"),
    ("CREATE AGGREGATE app.total2(int) (SFUNC = app.step, STYPE = int)", "aggregate"),
    ("DROP OPERATOR app.===(app.pair, app.pair)", "operator"),
    ("CREATE CAST (app.pair AS int) WITH INOUT", "cast"),
    ("CREATE COLLATION app.c (LOCALE = 'C')", "collation"),
    ("CREATE TEXT SEARCH CONFIGURATION app.simple (COPY = simple)", "ts_config"),
    ("ALTER TEXT SEARCH CONFIGURATION app.simple DROP MAPPING FOR word", "ts_config_map"),
    (
        "CREATE OPERATOR CLASS app.c FOR TYPE app.pair USING btree AS OPERATOR 1 <(record, record), FUNCTION 1 btrecordcmp(record, record)",
        "opclass",
    ),
    ("CREATE ROLE carol", "roles"),
    ("ALTER ROLE carol BYPASSRLS", "roles"),
    ("ALTER ROLE carol RENAME TO caroline", "roles"),
    ("GRANT bob TO alice", "auth_members"),
    ("REVOKE bob FROM alice", "auth_members"),
    ("ALTER ROLE alice SET search_path = app", "db_role_setting"),
    ("ALTER DATABASE postgres SET TimeZone = 'Asia/Tokyo'", "db_role_setting"),
    ("ALTER DATABASE postgres OWNER TO alice", "database"),
    ("INSERT INTO pg_extension VALUES (90000, 'citus', 10, 2200, true, '1', NULL, NULL)", "extension"),
    ("CREATE TABLE app.new (id int)", "class"),
    ("DROP TABLE app.new", "class"),
    ("CREATE SEQUENCE app.hides_a_name", "class"),
    ("CREATE VIEW app.hides_a_name_too AS SELECT 1", "class"),
];

#[tokio::test]
async fn c19_the_fingerprint_changes_with_whatever_changes_a_meaning_or_a_right() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(SCHEMA).await.unwrap();
    let watcher = server.connect("watcher").await;
    watcher.batch_execute("SET search_path = pg_catalog").await.unwrap();
    let mut before = fingerprint(&watcher).await;
    for (sql, part) in CHANGES {
        admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        let after = fingerprint(&watcher).await;
        let differing = differences(&before, &after);
        assert!(differing.contains(part), "{sql}: {differing:?} without {part}");
        before = after;
    }
}

/// A change, and the relations that it alone bears on, or nothing where it may bear on anything.
const BEARING: &[(&str, &[&str])] = &[
    ("TRUNCATE app.u", &["u"]),
    ("TRUNCATE app.t, app.referring RESTART IDENTITY CASCADE", &["child", "referring", "t", "t_id_seq"]),
    ("REFRESH MATERIALIZED VIEW app.mv", &["mv"]),
    ("VACUUM FULL app.p1", &["p1"]),
    ("CREATE TABLE app.staging (id int, a text DEFAULT 'x', CHECK (id > 0))", &["staging"]),
    ("CREATE TABLE app.filled AS SELECT 1 AS one", &["filled"]),
    ("CREATE UNIQUE INDEX made ON app.u (id)", &["u"]),
    ("CLUSTER app.u USING made", &["u"]),
    ("DROP INDEX app.made", &["u"]),
    ("CREATE TABLE app.p4 PARTITION OF app.p FOR VALUES IN (4)", &["p", "p1", "p2", "p2a", "p4"]),
    ("CREATE VIEW app.seen AS SELECT id FROM app.u", &["seen"]),
    ("CREATE TRIGGER y BEFORE INSERT ON app.u FOR EACH ROW EXECUTE FUNCTION app.nothing()", &["u"]),
    ("CREATE TABLE app.refers (id int REFERENCES public.t)", &["refers", "t"]),
    ("DROP VIEW app.seen", &["seen"]),
    ("DROP TABLE app.staging, app.filled", &["filled", "staging"]),
    ("ALTER TABLE app.u RENAME TO uu; ALTER TABLE app.uu RENAME TO u", &[]),
    ("GRANT SELECT ON app.u TO bob", &[]),
    ("REVOKE ALL ON app.u FROM bob; GRANT SELECT ON app.u TO bob", &["u"]),
    // As ALTER TABLE … SET ACCESS METHOD does, from PostgreSQL 15 on.
    ("UPDATE pg_class SET relam = (SELECT oid FROM pg_am WHERE amname = 'heap2') WHERE oid = 'app.u'::regclass", &[]),
    ("CREATE TYPE app.more AS (x int)", &[]),
    ("DROP TYPE app.more", &[]),
    ("CREATE SCHEMA more", &[]),
    ("CREATE TABLE more.u (id int); ALTER TABLE app.u ADD x int", &[]),
    ("ALTER TYPE app.pair ADD ATTRIBUTE c int", &[]),
    ("CREATE TABLE app.staging (id int); CREATE ROLE dave", &[]),
];

#[tokio::test]
async fn c19_a_change_of_what_relations_store_bears_on_them_alone() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(SCHEMA).await.unwrap();
    let mut before = (fingerprint(&admin).await, load(&admin).await);
    let rest = CHANGES.iter().map(|(sql, part)| (sql, None, *part));
    for (sql, expected, part) in BEARING.iter().map(|(sql, alone)| (sql, Some(alone), "")).chain(rest) {
        for statement in sql.split("; ") {
            admin.batch_execute(statement).await.unwrap_or_else(|error| panic!("{error:?}: {statement}"));
        }
        let after = (fingerprint(&admin).await, load(&admin).await);
        let altered = after.1.altered_since(&before.1, &before.0, &after.0);
        let name =
            |id| after.1.relations.get(id).or_else(|| before.1.relations.get(id)).map(|found| found.name.clone());
        let mut names: Vec<String> = altered.iter().flatten().filter_map(name).collect();
        names.sort();
        names.dedup();
        match expected {
            Some(expected) => {
                assert_eq!(names, *expected, "{sql}");
                assert_eq!(altered.is_some(), !expected.is_empty(), "{sql}");
            }
            // What comes and goes, fires on writes or inherits bears on itself; nothing else that changes a meaning or a right does.
            None if altered.is_some() => {
                let comes = sql.starts_with("CREATE") || sql.starts_with("DROP TABLE");
                assert!(comes || ["trigger", "inherits", "attribute"].contains(&part), "{sql}: {names:?}");
                println!("{sql}: {names:?}");
            }
            None => {}
        }
        before = after;
    }
}

#[tokio::test]
async fn c19_the_fingerprint_stands_still_for_rows_maintenance_and_temporary_objects() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(SCHEMA).await.unwrap();
    let watcher = server.connect("watcher").await;
    watcher.batch_execute("SET search_path = pg_catalog").await.unwrap();
    let before = fingerprint(&watcher).await;
    let harmless = [
        "INSERT INTO public.t SELECT g, g FROM generate_series(1, 10000) g",
        "DELETE FROM public.t WHERE id > 10",
        "VACUUM ANALYZE",
        "VACUUM (FREEZE, ANALYZE)",
        "ANALYZE app.t",
        "SELECT nextval('app.s')",
        "REINDEX TABLE app.t",
        "CHECKPOINT",
        "CREATE TEMP TABLE x (id serial PRIMARY KEY, a int DEFAULT 3 CHECK (a > 0), b text)",
        "CREATE TEMP TABLE y (x int REFERENCES x) ON COMMIT DELETE ROWS",
        "CREATE TEMP TABLE z () INHERITS (x)",
        "CREATE TEMP VIEW xx AS SELECT * FROM x",
        "CREATE INDEX ON x (b)",
        "ALTER TABLE x ADD COLUMN c int",
        "ALTER TABLE x ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON x USING (true)",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DISCARD TEMP",
        "BEGIN; ALTER TABLE app.t ADD COLUMN c int; ROLLBACK",
        "SELECT count(*) FROM app.t",
    ];
    for sql in harmless {
        for part in sql.split("; ") {
            admin.batch_execute(part).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        }
        let after = fingerprint(&watcher).await;
        assert_eq!(differences(&before, &after), [""; 0], "{sql}");
        assert_eq!(before, after);
    }
    assert_eq!(before, fingerprint(&admin).await.as_str(), "the same for every role");
}

#[tokio::test]
async fn c19_what_is_changed_and_changed_back_does_not_cancel_out() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(SCHEMA).await.unwrap();
    let mut seen = vec![fingerprint(&admin).await];
    let there_and_back = [
        ("ALTER TABLE app.t RENAME TO away", "ALTER TABLE app.away RENAME TO t"),
        ("GRANT SELECT ON app.t TO bob", "REVOKE SELECT ON app.t FROM bob"),
        ("ALTER TABLE app.t SET UNLOGGED", "ALTER TABLE app.t SET LOGGED"),
        ("ALTER TABLE app.secret DISABLE ROW LEVEL SECURITY", "ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY"),
        ("ALTER FUNCTION app.plain(int) STABLE", "ALTER FUNCTION app.plain(int) IMMUTABLE"),
        ("GRANT bob TO alice", "REVOKE bob FROM alice"),
        ("CREATE SCHEMA short", "DROP SCHEMA short"),
    ];
    admin.batch_execute("ALTER TABLE app.referring DROP CONSTRAINT referring_t_id_fkey").await.unwrap();
    for (there, back) in there_and_back {
        let expected_back_to_the_same = ["GRANT bob TO alice", "CREATE SCHEMA short"].contains(&there);
        let before = fingerprint(&admin).await;
        admin.batch_execute(there).await.unwrap_or_else(|error| panic!("{error:?}: {there}"));
        let between = fingerprint(&admin).await;
        assert_ne!(before, between, "{there}");
        admin.batch_execute(back).await.unwrap();
        let after = fingerprint(&admin).await;
        // Rows that came and went leave nothing behind; rows that stayed carry a new version.
        assert_eq!(before == after, expected_back_to_the_same, "{there}");
        seen.push(after);
    }
}

#[tokio::test]
async fn c16_names_mean_what_the_server_says() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(SCHEMA).await.unwrap();
    admin.batch_execute("GRANT USAGE ON SCHEMA app TO alice").await.unwrap();
    let catalog = load(&server.connect("watcher").await).await;
    let alice = server.connect("alice").await;
    let watcher = server.connect("watcher").await;
    let names = ["t", "v", "p2a", "pg_class", "Odd \"table", "s", "mv", "u", "nothing", "T"];
    for schemas in [
        &["public"][..],
        &["app", "public"],
        &["public", "app"],
        &["Odd schema", "app"],
        &["app", "Odd schema", "pg_catalog"],
        &["missing", "app"],
        &["pg_catalog", "app"],
        &[],
    ] {
        let quoted: Vec<String> = schemas.iter().map(|schema| format!("\"{schema}\"")).collect();
        for client in [&alice, &watcher] {
            client
                .batch_execute(&format!(
                    "SET search_path = {}",
                    if quoted.is_empty() { "''".into() } else { quoted.join(",") }
                ))
                .await
                .unwrap();
            for name in names {
                let sql = format!("SELECT to_regclass('\"{}\"')::oid", name.replace('"', "\"\""));
                let said = value(client, &sql).await.map(|oid| oid.parse::<u32>().unwrap());
                let found = catalog.relation(None, name, &path(schemas)).map(|relation| relation.id.oid());
                match (found, said) {
                    // A role that may not use a schema is told that there is nothing, or something later in the
                    // path, where that is unique.
                    (Some(_), None) => assert!(std::ptr::eq(client, &watcher), "{schemas:?} {name}"),
                    (None, Some(_)) => {
                        assert_eq!(
                            (name, schemas.contains(&"app"), schemas.len() > 1),
                            ("t", true, true),
                            "{schemas:?}"
                        );
                    }
                    (found, said) => assert_eq!(found, said, "{schemas:?} {name}"),
                }
            }
        }
    }
    for name in ["app.t", "public.t", "pg_catalog.pg_class", "information_schema.columns"] {
        let (schema, relation) = name.split_once('.').unwrap();
        let said = value(&admin, &format!("SELECT '{name}'::regclass::oid")).await.unwrap();
        assert_eq!(catalog.relation(Some(schema), relation, &path(&[])).map(|r| r.id.to_string()), Some(said));
    }
}

#[tokio::test]
async fn c11_c12_c13_c23_what_is_loaded_is_what_is_there() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(SCHEMA).await.unwrap();
    admin.batch_execute("CREATE TEMP TABLE mine (a int); CREATE TEMP TABLE heir () INHERITS (app.t)").await.unwrap();
    let catalog = load(&server.connect("watcher").await).await;
    let relation = |name: &str| catalog.relation(Some("app"), name, &path(&[])).unwrap_or_else(|| panic!("{name}"));
    let ids = |names: &[&str]| {
        let mut ids: Vec<_> = names.iter().map(|name| relation(name).id).collect();
        ids.sort();
        ids
    };

    let columns: Vec<&str> = relation("t").columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["id", "a", "B,\"\n", "m"]);
    assert_eq!(relation("t").descendants, ids(&["child"]), "temporary heirs belong to others");
    let state = |name: &str| catalog.functions(Some("app"), name, &path(&[]))[0].session_state;
    for moves in
        ["tenant", "sets", "stable", "caller", "Caller's +", "atomic", "locks", "unlocks", "temporary", "by_path"]
    {
        assert_eq!(state(moves), SessionState::MayMove, "{moves}");
    }
    for moves in ["seeds", "slots", "loads", "dials", "dials_stably"] {
        assert_eq!(state(moves), SessionState::MayMoveLastingly, "{moves}");
    }
    for keeps in ["updates", "step", "tenant_of", "creates", "transaction_locks"] {
        assert_eq!(state(keeps), SessionState::Kept, "{keeps}");
    }

    assert_eq!(relation("p").descendants, ids(&["p1", "p2", "p2a"]));
    let kinds = [
        ("p", RelationKind::Partitioned),
        ("mv", RelationKind::MaterializedView),
        ("s", RelationKind::Sequence),
        ("v", RelationKind::View),
    ];
    for (name, kind) in kinds {
        assert_eq!(relation(name).kind, kind);
    }
    assert_eq!(relation("u").persistence, sidecache::catalog::Persistence::Unlogged);
    assert!(relation("secret").row_security && !relation("t").row_security);
    assert!(!relation("t").has_rules, "foreign keys that only check are no rules");
    assert!(catalog.relation(Some("public"), "t", &path(&[])).unwrap().has_rules, "ON DELETE CASCADE writes elsewhere");
    assert!(
        catalog.relations.values().all(|relation| relation.name != "mine" && !relation.schema.starts_with("pg_temp"))
    );

    let definition = relation("v").definition.as_deref().unwrap();
    for qualified in ["app.t", "app.plain(", "'happy'::app.mood"] {
        assert!(definition.contains(qualified), "{definition}");
    }
    assert_eq!(relation("v").rule_dependencies, ids(&["t"]));
    let mut expected = ids(&["v"]);
    expected.push(catalog.heard("public", "t").unwrap());
    expected.sort();
    let mut read = relation("vv").rule_dependencies.clone();
    read.sort();
    assert_eq!(read, expected);

    let worst = |name: &str| {
        let found = catalog.functions(None, name, &path(&["app"]));
        found.iter().map(|f| f.volatility).max().unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(worst("plain"), Volatility::Stable);
    for told_by_the_clock in ["old", "through_old", "today", "soon"] {
        assert_eq!(worst(told_by_the_clock), Volatility::Stable, "{told_by_the_clock}");
    }
    assert_eq!(worst("adult"), Volatility::Immutable);
    let tells_server = |name: &str| catalog.functions(Some("app"), name, &path(&[]))[0].tells_server;
    let tell = ["standbys", "through_standbys", "reads_own", "asks", "today"].map(tells_server);
    assert_eq!(tell, [true, true, false, false, false]);
    assert_eq!(worst("with_default"), Volatility::Volatile);
    assert_eq!(worst("with_constant"), Volatility::Immutable);
    assert_eq!(worst("total"), Volatility::Volatile);
    for writes in ["writes", "through", "farther", "draws", "made_up", "through_total"] {
        assert_eq!(worst(writes), Volatility::Volatile, "{writes}");
    }
    for reads in ["rolls", "asks", "written_out"] {
        assert_eq!(worst(reads), Volatility::Stable, "{reads}");
    }
    let may_change = |catalog: &Catalog, name: &str| {
        let found = catalog.functions(Some("app"), name, &path(&[]));
        found.iter().any(|function| function.may_change_catalog)
    };
    let changing = [
        "makes",
        "selects_into",
        "does",
        "runs",
        "meddles",
        "by_another",
        "by_a_stable_one",
        "makes_total",
        "uses_total",
        "similar_free",
    ];
    let harmless =
        ["writes", "through", "updates", "upserts", "parsed", "step", "total", "plain", "similar", "made_up"];
    for name in changing {
        assert!(may_change(&catalog, name), "{name}");
    }
    for name in harmless {
        assert!(!may_change(&catalog, name), "{name}");
    }
    assert_eq!(worst("lower"), Volatility::Immutable);
    assert_eq!(worst("now"), Volatility::Stable);
    assert_eq!(worst("random"), Volatility::Volatile);
    assert!(catalog.functions(Some("app"), "definer", &path(&[]))[0].security_definer);
    assert_eq!(catalog.operator(None, "===", &path(&["app"])), Some(Volatility::Volatile));
    assert_eq!(catalog.operator(Some("app"), "%", &path(&[])), Some(Volatility::Stable));
    assert_eq!(catalog.operator(None, "%", &path(&["app"])), Some(Volatility::Stable));
    assert_eq!(catalog.operator(None, "%%", &path(&["app"])), Some(Volatility::Volatile));
    assert_eq!(catalog.operator(None, "===", &path(&["public"])), None);
    assert_eq!(catalog.operator(None, "=", &path(&[])), Some(Volatility::Stable));

    let oid = |name: &str| catalog.type_oid(None, name, &path(&["app"]));
    for name in
        ["int4", "integer", "timestamp with time zone", "mood", "mood[]", "positive", "pair", "_int4", "varchar"]
    {
        let said = value(&admin, &format!("SET search_path = app; SELECT '{name}'::regtype::oid")).await;
        assert_eq!(oid(name).map(|oid| oid.to_string()), said, "{name}");
    }
    assert_eq!(oid("t"), None, "row types of relations are not listed");
    assert!(!catalog.has_unsafe_casts());

    // That it runs is known of the first by where a mood is, of the others not at all.
    for (unsafe_cast, alone) in [
        (
            "CREATE FUNCTION app.m2i(app.mood) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
         CREATE CAST (app.mood AS int) WITH FUNCTION app.m2i(app.mood) AS IMPLICIT",
            true,
        ),
        (
            "CREATE FUNCTION app.t2i(text) RETURNS app.mood STABLE LANGUAGE sql AS $$SELECT 'sad'::app.mood$$;
         CREATE CAST (text AS app.mood) WITH FUNCTION app.t2i(text) AS IMPLICIT",
            false,
        ),
        (
            "CREATE FUNCTION app.m2i(app.mood) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
         CREATE CAST (app.mood AS int) WITH FUNCTION app.m2i(app.mood) AS IMPLICIT;
         CREATE FUNCTION app.worse(app.mood, int) RETURNS app.mood IMMUTABLE LANGUAGE sql AS 'SELECT $1';
         CREATE OPERATOR app.- (LEFTARG = app.mood, RIGHTARG = int, FUNCTION = app.worse)",
            false,
        ),
        ("CREATE DOMAIN app.past AS date CHECK (VALUE < now())", false),
        (
            "CREATE FUNCTION app.m2i(app.mood) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.t DEFAULT VALUES; RETURN 1; END';
         CREATE CAST (app.mood AS int) WITH FUNCTION app.m2i(app.mood)",
            true,
        ),
    ] {
        admin.batch_execute("BEGIN").await.unwrap();
        admin.batch_execute(unsafe_cast).await.unwrap();
        let results = {
            admin.batch_execute("SET LOCAL search_path = pg_catalog").await.unwrap();
            let mut results = Vec::new();
            for query in QUERIES {
                results.push(rows(&admin, query).await);
            }
            results
        };
        admin.batch_execute("ROLLBACK").await.unwrap();
        let catalog = Catalog::build(CatalogVersion(2), &results).unwrap();
        let bears = |name: &str| {
            let oid = catalog.type_oid(Some("app"), name, &path(&[])).unwrap_or_else(|| panic!("{name}"));
            catalog.is_cast_unsafely(oid)
        };
        assert_eq!(catalog.has_unsafe_casts(), !alone, "{unsafe_cast}");
        assert_eq!(catalog.may_write_unnamed(), unsafe_cast.contains("plpgsql"), "{unsafe_cast}");
        assert_eq!(["mood", "mood[]", "moody", "pair"].map(bears), [alone, alone, alone, false], "{unsafe_cast}");
        let of_row = catalog.relation(Some("app"), "t", &path(&[])).unwrap();
        assert_eq!(of_row.columns.iter().any(|column| catalog.is_cast_unsafely(column.type_oid)), alone);
    }

    // Who writes may run what makes tables unnamed.
    let partitions = "CREATE FUNCTION app.partitions() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN EXECUTE format(''CREATE TABLE app.%I (a int)'', NEW.a); RETURN NEW; END';
        CREATE TRIGGER partitions BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.partitions()";
    admin.batch_execute(partitions).await.unwrap();
    let catalog = load(&admin).await;
    for name in ["upserts", "through"] {
        assert!(may_change(&catalog, name), "{name}");
    }
    assert!(!may_change(&catalog, "asks"));
}

/// An extension as far as the catalog tells of it: those that matter here are not installed wherever tests run.
async fn pretend(admin: &Client, extension: &str) {
    let row = format!("INSERT INTO pg_extension VALUES (90000, '{extension}', 10, 2200, true, '1', NULL, NULL)");
    admin.batch_execute(&row).await.unwrap();
}

#[tokio::test]
async fn c23_rows_that_are_elsewhere_are_known() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(SCHEMA).await.unwrap();
    admin
        .batch_execute(
            "CREATE TABLE app.method (id int) USING heap2; CREATE MATERIALIZED VIEW app.mm USING heap2 AS SELECT 1",
        )
        .await
        .unwrap();
    let storages = |catalog: &Catalog, names: &[&str]| -> Vec<Storage> {
        let found = |name: &&str| catalog.relation(Some("app"), name, &path(&[])).expect("it is there").storage;
        names.iter().map(found).collect()
    };
    let names = ["t", "method", "p", "p2a", "v", "mv"];
    let (own, method, shards, compressed) = (Storage::Own, Storage::AccessMethod, Storage::Shards, Storage::Compressed);
    let by_themselves = [own, method, own, own, own, own];
    let bare = load(&admin).await;
    assert_eq!(storages(&bare, &names), by_themselves);
    assert_eq!(bare.relation(Some("pg_catalog"), "pg_class", &path(&[])).map(|class| class.storage), Some(own));
    assert!(rows(&admin, STORAGES).await.contains(&vec![Some("method".to_owned()), Some("1".to_owned())]));

    pretend(&admin, "citus").await;
    assert_eq!(storages(&load(&admin).await, &names), [shards, method, shards, shards, own, own]);

    admin.batch_execute("DELETE FROM pg_extension WHERE oid = 90000").await.unwrap();
    pretend(&admin, "timescaledb").await;
    assert_eq!(storages(&load(&admin).await, &names), by_themselves, "nothing is compressed");
    admin
        .batch_execute(
            "CREATE SCHEMA _timescaledb_internal; CREATE TABLE _timescaledb_internal.compress_hyper_2_7_chunk (x int)",
        )
        .await
        .unwrap();
    let names = ["t", "child", "p", "p2a", "referring", "method"];
    assert_eq!(storages(&load(&admin).await, &names), [compressed, compressed, compressed, compressed, own, method]);
}

/// Resident memory of this process (bytes).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

#[tokio::test]
#[ignore = "a figure: prints what ten thousand tables cost"]
async fn figure_of_ten_thousand_tables() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    for thousand in 0..10 {
        let make = format!(
            "DO $$ BEGIN FOR n IN {0} .. {0} + 999 LOOP
                EXECUTE format('CREATE TABLE t%s (id int, a text, b text, c int, d timestamptz, e numeric, f bool, g uuid, h jsonb)', n);
                IF n % 100 = 0 THEN
                    EXECUTE format('ALTER TABLE t%s ENABLE ROW LEVEL SECURITY', n);
                    EXECUTE format('CREATE POLICY p ON t%s USING (a = current_setting(''app.tenant'', true))', n);
                    EXECUTE format('CREATE VIEW v%s AS SELECT id, a FROM t%1$s', n);
                END IF;
            END LOOP; END $$",
            thousand * 1000
        );
        admin.batch_execute(&make).await.unwrap();
    }
    admin.batch_execute("ANALYZE").await.unwrap();
    let watcher = server.connect("postgres").await;
    watcher.batch_execute("SET search_path = pg_catalog; SET jit = off").await.unwrap();
    watcher.batch_execute(&format!("PREPARE f AS {FINGERPRINT}")).await.unwrap();
    let began = std::time::Instant::now();
    for _ in 0..10 {
        value(&watcher, "EXECUTE f").await;
    }
    println!("fingerprint: {:?}", began.elapsed() / 10);
    let before = resident();
    let mut results = Vec::new();
    for query in QUERIES {
        let began = std::time::Instant::now();
        results.push(rows(&watcher, query).await);
        let first: String = query.chars().filter(|c| !c.is_control()).take(60).collect();
        println!("{:>9.1?} {:>6} rows: {first}", began.elapsed(), results.last().map_or(0, Vec::len));
    }
    let began = std::time::Instant::now();
    let catalog = Catalog::build(CatalogVersion(1), &results).unwrap();
    println!("built in {:?}: {} relations", began.elapsed(), catalog.relations.len());
    drop(results);
    println!("memory: {} KiB more than before", resident().saturating_sub(before) / 1024);
    assert!(catalog.relations.len() > 10_000);
}

/// A parameter as the corpus writes it: text, whatever its type.
#[derive(Debug)]
struct Text(Option<&'static str>);

impl tokio_postgres::types::ToSql for Text {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = self.0 else { return Ok(tokio_postgres::types::IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }
    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }
    fn encode_format(&self, _: &tokio_postgres::types::Type) -> tokio_postgres::types::Format {
        tokio_postgres::types::Format::Text
    }
    tokio_postgres::types::to_sql_checked!();
}

/// A value as it came.
struct Raw(Option<Vec<u8>>);

impl<'a> tokio_postgres::types::FromSql<'a> for Raw {
    fn from_sql(
        _: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(Some(raw.to_vec())))
    }
    fn from_sql_null(_: &tokio_postgres::types::Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(None))
    }
    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }
}

/// What a statement answers: rows, or the error's code.
type Answer = Result<Vec<Vec<Option<Vec<u8>>>>, String>;

fn code(error: tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

async fn simple(client: &Client, case: &corpus::Case) -> Answer {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).map(|text| text.as_bytes().to_vec())).collect())
        }
        _ => None,
    };
    Ok(client.simple_query(&case.sql).await.map_err(code)?.into_iter().filter_map(row).collect())
}

async fn extended(client: &Client, case: &corpus::Case) -> Answer {
    let statement = client.prepare(&case.sql).await.map_err(code)?;
    if statement.params().len() != case.params.len() {
        return Err("08P01".to_owned());
    }
    let params: Vec<Text> = case.params.iter().map(|param| Text(*param)).collect();
    let params: Vec<_> = params.iter().map(|param| param as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
    let rows = client.query(&statement, &params).await.map_err(code)?;
    Ok(rows.iter().map(|row| (0..row.len()).map(|i| row.get::<_, Raw>(i).0).collect()).collect())
}

#[tokio::test]
async fn the_corpus_is_what_it_says() {
    let server = Server::start();
    let admin = server.connect("postgres").await;
    admin.batch_execute(corpus::setup()).await.unwrap_or_else(|error| panic!("{error:?}"));
    admin.batch_execute(corpus::setup()).await.expect("it can be made anew");
    let other = server.connect("postgres").await;
    let cases = corpus::statements();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "every name is used once");
    let mut wrong = Vec::new();
    for case in &cases {
        let mut answers =
            vec![extended(&admin, case).await, extended(&other, case).await, extended(&admin, case).await];
        let texts = if case.params.is_empty() {
            vec![simple(&admin, case).await, simple(&other, case).await]
        } else {
            Vec::new()
        };
        if answers.iter().any(|answer| *answer != answers[0]) || texts.iter().any(|text| *text != texts[0]) {
            wrong.push(format!("{}: not always the same", case.name));
        }
        answers.extend(texts);
        for answer in answers {
            if answer.is_err() != (case.expectation == corpus::Expectation::Error) {
                wrong.push(format!("{}: {:?}", case.name, answer.map(|rows| rows.len())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{} statements", cases.len());
}
