//! What PostgreSQL tells of each kind of change through `test_decoding`, and what we make of it: the facts that the cache stands on.
//! A case that fails on a new version of PostgreSQL names what has to be thought through again.

use crate::harness::cluster::Cluster;
use crate::harness::wire::Wire;
use crate::told::{self, Stream};
use sidecache::feed::decode::{Names, RawCommit};
use sidecache::types::{Lsn, Xid};
use tokio::runtime::Runtime;

/// What a case does and what its commits must name: relations with commas, `-` for an empty bracket.
struct Case {
    name: &'static str,
    setup: &'static str,
    action: &'static [&'static str],
    commits: &'static [&'static str],
}

const fn case(
    name: &'static str,
    setup: &'static str,
    action: &'static [&'static str],
    commits: &'static [&'static str],
) -> Case {
    Case { name, setup, action, commits }
}

const CASES: &[Case] = &[
    // Rows.
    case("insert", "CREATE TABLE a1(id int PRIMARY KEY, v text)", &["INSERT INTO a1 VALUES (1)"], &["public.a1"]),
    case("update", "", &["UPDATE a1 SET v = 'x'"], &["public.a1"]),
    case("update_key", "", &["UPDATE a1 SET id = 2"], &["public.a1"]),
    case("update_no_op", "", &["UPDATE a1 SET v = v"], &["public.a1"]),
    case("upsert", "", &["INSERT INTO a1 VALUES (2) ON CONFLICT (id) DO UPDATE SET v = 'y'"], &["public.a1"]),
    case("upsert_nothing", "", &["INSERT INTO a1 VALUES (2) ON CONFLICT DO NOTHING"], &[]),
    case("delete", "", &["DELETE FROM a1"], &["public.a1"]),
    case("copy", "", &["COPY a1(id) FROM PROGRAM 'seq 1 500'"], &["public.a1"]),
    case(
        "copy_freeze",
        "",
        &["BEGIN", "TRUNCATE a1", "COPY a1(id) FROM PROGRAM 'seq 1 9' (FREEZE)", "COMMIT"],
        &["public.a1"],
    ),
    case(
        "large_row",
        "",
        &["UPDATE a1 SET v = repeat('x', 3000000) WHERE id = 1", "UPDATE a1 SET v = '' WHERE id = 2"],
        &["public.a1", "public.a1"],
    ),
    case("toast_unchanged", "", &["UPDATE a1 SET id = 1001 WHERE id = 1"], &["public.a1"]),
    case("select_for_update", "", &["SELECT FROM a1 WHERE id = 2 FOR UPDATE"], &[]),
    case(
        "merge",
        "",
        &["MERGE INTO a1 USING (SELECT 3 AS k) s ON id = k WHEN MATCHED THEN UPDATE SET v = 'm'"],
        &["public.a1"],
    ),
    case(
        "cte",
        "CREATE TABLE a2(x int)",
        &["WITH gone AS (DELETE FROM a1 WHERE id = 3 RETURNING id) INSERT INTO a2 SELECT id FROM gone"],
        &["public.a1,public.a2"],
    ),
    case(
        "function",
        "CREATE FUNCTION put(int) RETURNS int LANGUAGE sql AS 'INSERT INTO a2 VALUES ($1) RETURNING 1'",
        &["SELECT put(1)"],
        &["public.a2"],
    ),
    // Tables without a key.
    case("no_key_update", "", &["UPDATE a2 SET x = 5"], &["public.a2"]),
    case("no_key_delete", "", &["DELETE FROM a2"], &["public.a2"]),
    case(
        "identity_nothing",
        "CREATE TABLE a3(x int); ALTER TABLE a3 REPLICA IDENTITY NOTHING; INSERT INTO a3 VALUES (1)",
        &["UPDATE a3 SET x = 2", "DELETE FROM a3"],
        &["public.a3", "public.a3"],
    ),
    case(
        "identity_full",
        "CREATE TABLE a4(x int); ALTER TABLE a4 REPLICA IDENTITY FULL; INSERT INTO a4 VALUES (1)",
        &["UPDATE a4 SET x = 2", "DELETE FROM a4"],
        &["public.a4", "public.a4"],
    ),
    // What one statement does elsewhere.
    case(
        "trigger",
        "CREATE TABLE b1(x int); CREATE TABLE b2(x int); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO b2 VALUES (1); RETURN NEW; END'; CREATE TRIGGER t AFTER INSERT ON b1 FOR EACH ROW EXECUTE FUNCTION tell()",
        &["INSERT INTO b1 VALUES (1)"],
        &["public.b1,public.b2"],
    ),
    case(
        "replica_role",
        "",
        &["SET session_replication_role = replica", "INSERT INTO b1 VALUES (1)", "RESET session_replication_role"],
        &["public.b1"],
    ),
    case(
        "cascade",
        "CREATE TABLE c1(id int PRIMARY KEY); CREATE TABLE c2(p int REFERENCES c1 ON DELETE CASCADE); CREATE TABLE c3(p int REFERENCES c1 ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED); INSERT INTO c1 VALUES (1); INSERT INTO c2 VALUES (1); INSERT INTO c3 VALUES (1)",
        &["DELETE FROM c1"],
        &["public.c1,public.c2,public.c3"],
    ),
    case(
        "rule",
        "CREATE TABLE b3(x int); CREATE RULE r AS ON INSERT TO b3 DO ALSO INSERT INTO b2 VALUES (9)",
        &["INSERT INTO b3 VALUES (1)"],
        &["public.b2,public.b3"],
    ),
    case("view_update", "CREATE VIEW b4 AS SELECT * FROM b2", &["UPDATE b4 SET x = 3"], &["public.b2"]),
    // TRUNCATE.
    case("truncate", "", &["TRUNCATE a2"], &["public.a2"]),
    case("truncate_list", "", &["TRUNCATE a2, a3, b1 RESTART IDENTITY"], &["public.a2,public.a3,public.b1"]),
    case("truncate_cascade", "", &["TRUNCATE c1 CASCADE"], &["public.c1,public.c2,public.c3"]),
    case(
        "inheritance",
        "CREATE TABLE d1(x int); CREATE TABLE d2() INHERITS (d1); INSERT INTO d2 VALUES (1)",
        &["UPDATE d1 SET x = 2", "TRUNCATE d1", "TRUNCATE ONLY d1"],
        &["public.d2", "public.d1,public.d2", "public.d1"],
    ),
    // Partitions.
    case(
        "partition_insert",
        "CREATE TABLE p(k int, v int) PARTITION BY RANGE (k); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
        &["INSERT INTO p VALUES (1, 1)"],
        &["public.p1"],
    ),
    case("partition_move", "", &["UPDATE p SET k = 11 WHERE k = 1"], &["public.p1,public.p2"]),
    case("partition_truncate_leaf", "", &["TRUNCATE p2"], &["public.p2"]),
    case("partition_truncate_root", "", &["TRUNCATE p"], &["public.p,public.p1,public.p2"]),
    case(
        "partition_attach_detach",
        "CREATE TABLE p3(k int, v int)",
        &["ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30)", "ALTER TABLE p DETACH PARTITION p3"],
        &["-", "-"],
    ),
    case("partition_detach_concurrently", "", &["ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY"], &["-", "-"]),
    // Transactions.
    case("rollback", "", &["BEGIN", "INSERT INTO a2 VALUES (1)", "ROLLBACK"], &[]),
    case(
        "savepoint_rolled_back",
        "",
        &["BEGIN", "INSERT INTO a2 VALUES (1)", "SAVEPOINT s", "INSERT INTO a3 VALUES (1)", "ROLLBACK TO s", "COMMIT"],
        &["public.a2"],
    ),
    case(
        "savepoint_released",
        "",
        &["BEGIN", "SAVEPOINT s", "INSERT INTO a3 VALUES (1)", "RELEASE s", "COMMIT"],
        &["public.a3"],
    ),
    case(
        "two_phase",
        "",
        &[
            "BEGIN",
            "INSERT INTO a2 VALUES (1)",
            "PREPARE TRANSACTION 'x'",
            "INSERT INTO a3 VALUES (1)",
            "COMMIT PREPARED 'x'",
        ],
        &["public.a3", "public.a2"],
    ),
    case(
        "two_phase_rolled_back",
        "",
        &["BEGIN", "INSERT INTO a2 VALUES (1)", "PREPARE TRANSACTION 'x'", "ROLLBACK PREPARED 'x'"],
        &[],
    ),
    case(
        "message",
        "",
        &[
            "SELECT pg_logical_emit_message(true, 'p', 'BEGIN 1')",
            "SELECT pg_logical_emit_message(false, 'p', 'COMMIT 1')",
        ],
        &["-"],
    ),
    // A transaction of ours that has an id and does nothing puts nothing in doubt.
    case("xid_only", "", &["SELECT pg_current_xact_id()"], &[]),
    case("read_only", "", &["SELECT count(*) FROM a1", "BEGIN", "SELECT 1", "COMMIT"], &[]),
    // Names.
    case(
        "names",
        "CREATE SCHEMA \"My Schema\"; CREATE TABLE \"My Schema\".\"say \"\"hi\"\".: INSERT:\"(x int); CREATE TABLE \"select\"(x int)",
        &[
            "INSERT INTO \"My Schema\".\"say \"\"hi\"\".: INSERT:\" VALUES (1)",
            "INSERT INTO \"select\" VALUES (1)",
            "TRUNCATE \"select\", \"My Schema\".\"say \"\"hi\"\".: INSERT:\"",
        ],
        &["My Schema.say \"hi\".: INSERT:", "public.select", "My Schema.say \"hi\".: INSERT:,public.select"],
    ),
    // Changes of the catalog: brackets without a row.
    case(
        "alter",
        "",
        &[
            "ALTER TABLE a3 ADD COLUMN y int",
            "ALTER TABLE a3 ALTER y TYPE bigint",
            "ALTER TABLE a3 RENAME TO a5",
            "ALTER TABLE a5 RENAME TO a3",
        ],
        &["-", "-", "-", "-"],
    ),
    case(
        "grant",
        "CREATE ROLE delivery_reader",
        &["GRANT SELECT ON a3 TO delivery_reader", "REVOKE SELECT ON a3 FROM delivery_reader"],
        &["-", "-"],
    ),
    case(
        "role",
        "",
        &[
            "ALTER ROLE delivery_reader BYPASSRLS",
            "GRANT pg_read_all_data TO delivery_reader",
            "ALTER ROLE delivery_reader SET work_mem = '8MB'",
        ],
        &["-", "-", "-"],
    ),
    case(
        "policy",
        "",
        &["ALTER TABLE a3 ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON a3 USING (true)", "DROP POLICY p ON a3"],
        &["-", "-", "-"],
    ),
    case("view", "", &["CREATE OR REPLACE VIEW b4 AS SELECT * FROM b2 WHERE x > 0", "DROP VIEW b4"], &["-", "-"]),
    case(
        "function_ddl",
        "",
        &["CREATE OR REPLACE FUNCTION put(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION put"],
        &["-", "-"],
    ),
    case("index", "", &["CREATE INDEX i ON a3(y)", "DROP INDEX i"], &["-", "-"]),
    case("rewrite", "", &["VACUUM FULL a1", "CLUSTER a1 USING a1_pkey"], &["-", "-"]),
    case("analyze", "", &["ANALYZE a1"], &["-"]),
    case("drop", "", &["DROP TABLE a4"], &["-"]),
    case("create_as", "", &["CREATE TABLE e1 AS SELECT 1 AS x", "SELECT 2 AS x INTO e2"], &["public.e1", "public.e2"]),
    // What no stream tells of, beside that something happened.
    case(
        "ddl_with_rows",
        "",
        &["BEGIN", "ALTER TABLE a3 ADD COLUMN z int", "INSERT INTO a2 VALUES (1)", "COMMIT"],
        &["public.a2"],
    ),
    case(
        "materialized",
        "CREATE MATERIALIZED VIEW m AS SELECT id FROM a1; CREATE UNIQUE INDEX ON m(id); UPDATE a1 SET id = 2000 WHERE id = 2",
        &["REFRESH MATERIALIZED VIEW m"],
        &["-"],
    ),
    case(
        "materialized_concurrently",
        "UPDATE a1 SET id = 2001 WHERE id = 2000",
        &["REFRESH MATERIALIZED VIEW CONCURRENTLY m"],
        &["public.m"],
    ),
    case("unlogged", "CREATE UNLOGGED TABLE u(x int)", &["INSERT INTO u VALUES (1)"], &[]),
    case("set_unlogged", "", &["ALTER TABLE a3 SET UNLOGGED", "INSERT INTO a3 VALUES (1)"], &["-"]),
    case("temporary", "CREATE TEMP TABLE tt(x int)", &["INSERT INTO tt VALUES (1)"], &[]),
    case("sequence", "CREATE SEQUENCE s", &["SELECT nextval('s')"], &[]),
    case("large_object", "", &["SELECT lo_from_bytea(0, 'x')"], &["-"]),
];

/// A stream on a runtime of its own.
struct Told {
    runtime: Runtime,
    stream: Stream,
}

impl Told {
    fn open(cluster: &Cluster, database: &str) -> Told {
        let runtime = told::runtime();
        let stream = runtime.block_on(Stream::open(cluster, database));
        Told { runtime, stream }
    }

    /// Commits up to the one that touches `marker` alone, without it.
    fn until_marker(&mut self, client: &mut Wire) -> Vec<RawCommit> {
        client.rows("INSERT INTO marker VALUES (1)");
        let mut commits = Vec::new();
        loop {
            let commit = self.runtime.block_on(self.stream.commit());
            if shown(&commit) == "public.marker" {
                return commits;
            }
            commits.push(commit);
        }
    }
}

fn shown(commit: &RawCommit) -> String {
    match &commit.names {
        Names::Definitions(_) => "definitions".to_owned(),
        Names::Empty => "-".to_owned(),
        Names::Everything(why) => format!("everything: {}", why.label()),
        Names::Listed(names) => {
            let mut list: Vec<_> = names.iter().map(|name| format!("{}.{}", name.schema, name.name)).collect();
            list.sort();
            list.join(",")
        }
    }
}

fn position(client: &mut Wire) -> Lsn {
    client.value("SELECT pg_current_wal_insert_lsn()").parse().expect("a position")
}

/// A cluster whose only commits are the test's own.
fn quiet_cluster() -> Cluster {
    let settings = "autovacuum = off\nmax_prepared_transactions = 5\nwal_level = logical";
    Cluster::build().replicas(0).setting(settings).start()
}

#[test]
fn t5_each_kind_of_change_is_told_as_expected() {
    let cluster = quiet_cluster();
    let database = cluster.database("delivery");
    let mut client = cluster.connect("postgres", &database);
    client.rows("CREATE TABLE marker(x int)");
    let mut stream = Told::open(&cluster, &database);
    let mut wrong = Vec::new();
    for case in CASES {
        if !case.setup.is_empty() {
            client.rows(case.setup);
        }
        stream.until_marker(&mut client);
        for statement in case.action {
            client.rows(statement);
        }
        let told: Vec<String> = stream.until_marker(&mut client).iter().map(shown).collect();
        if told != case.commits {
            wrong.push(format!("{}: told {told:?}, expected {:?}", case.name, case.commits));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn t5_positions_are_ends_of_commit_records_and_xids_are_top_level() {
    let cluster = quiet_cluster();
    let database = cluster.database("positions");
    let mut client = cluster.connect("postgres", &database);
    client.rows("CREATE TABLE marker(x int)");
    client.rows("CREATE TABLE t(x int)");
    let mut stream = Told::open(&cluster, &database);
    stream.until_marker(&mut client);
    for _ in 0..200 {
        client.rows("BEGIN");
        let xid: u64 = client.value("SELECT pg_current_xact_id()").parse().expect("an xid");
        client.rows("SAVEPOINT s");
        client.rows("INSERT INTO t VALUES (1)");
        let before = position(&mut client);
        client.rows("COMMIT");
        let after = position(&mut client);
        let commits = stream.until_marker(&mut client);
        assert_eq!(commits.len(), 1);
        let xid = Xid::new(u32::try_from(xid & u64::from(u32::MAX)).expect("low half"));
        assert_eq!(commits[0].xid, xid);
        assert!(
            commits[0].end > before,
            "{} is a beginning: the record was not yet written at {before}",
            commits[0].end
        );
        // Nothing else writes: the record's end is where the next will go, but for a page's header.
        let gap = after.bytes() - commits[0].end.bytes();
        assert!(
            gap == 0 || gap == 24 && commits[0].end.bytes().is_multiple_of(8192),
            "{} is not the end {after}",
            commits[0].end
        );
    }
}

#[test]
fn t5_another_database_is_not_told() {
    let cluster = quiet_cluster();
    let (ours, other) = (cluster.database("ours"), cluster.database("other"));
    let mut client = cluster.connect("postgres", &ours);
    client.rows("CREATE TABLE marker(x int)");
    let mut stream = Told::open(&cluster, &ours);
    stream.until_marker(&mut client);
    let mut elsewhere = cluster.connect("postgres", &other);
    elsewhere.rows("CREATE TABLE t AS SELECT 1");
    // Not even a change of what all databases share: only the catalog's fingerprint can tell.
    elsewhere.rows("CREATE ROLE delivery_elsewhere");
    assert_eq!(stream.until_marker(&mut client), []);
}
