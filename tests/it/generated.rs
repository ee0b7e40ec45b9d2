//! Schemas, grants, policies, views and functions made at random and changed at random, through Sidecache and beside it, while
//! sessions of several roles, paths and tenants read: each answer, from wherever it comes, is compared with that of the same session's
//! direct double. Tables of one shape have one name in several schemas, and every row is a canary that names its table.
//!
//! `SIDECACHE_SEEDS=7,8 cargo test --test it generated` runs those seeds alone.

use crate::harness::cluster::Cluster;
use crate::harness::wire::{Batch, Format, Frame, Wire, rows};
use crate::tenants::Dice;
use crate::watched::{Watched, text};

const SCHEMAS: [&str; 3] = ["public", "s0", "s1"];
const SHAPE: &str = "(id int PRIMARY KEY, tenant text, n int, note text, d date)";
const COLUMNS: &str = "id, tenant, n, note, d";

/// Draws statements. Roles: `{r0}` and `{r1}` stand for names that no other test has.
struct Maker {
    dice: Dice,
}

impl Maker {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.dice.roll(of.len())]
    }

    fn chance(&mut self, of: usize) -> bool {
        self.dice.roll(of) == 0
    }

    fn number(&mut self) -> usize {
        self.dice.roll(4)
    }

    fn table(&mut self) -> String {
        format!("{}.t{}", self.one(&SCHEMAS), self.dice.roll(2))
    }

    fn view(&mut self) -> String {
        format!("{}.v{}", self.one(&SCHEMAS), self.dice.roll(2))
    }

    /// What a query may read, as it may write it: found in a schema, or by the path.
    fn relation(&mut self) -> String {
        let whole = if self.chance(3) { self.view() } else { self.table() };
        match self.dice.roll(2) {
            0 => whole,
            _ => whole.split_once('.').expect("it has a schema").1.to_owned(),
        }
    }

    fn function(&mut self) -> String {
        format!("{}.f{}", self.one(&SCHEMAS), self.dice.roll(2))
    }

    fn role(&mut self) -> &'static str {
        self.one(&["{r0}", "{r1}", "solo", "public"])
    }

    /// Of the columns of one relation.
    fn condition(&mut self) -> String {
        match self.dice.roll(8) {
            0 => "tenant = current_setting('app.tenant', true)".to_owned(),
            1 => "note LIKE '%' || current_user || '%' OR n > 1".to_owned(),
            2 => format!("n <> {}", self.number()),
            3 => format!("id IN (SELECT o.id FROM {} AS o)", self.table()),
            4 => format!("EXISTS (SELECT FROM {} AS o WHERE o.tenant = tenant)", self.table()),
            5 => format!("{}(n) > {}", self.function(), self.number()),
            6 => format!("tenant = '{}'", self.one(&["a", "b"])),
            _ => "true".to_owned(),
        }
    }

    fn read(&mut self) -> String {
        let (from, condition) = (self.relation(), self.condition());
        match self.dice.roll(9) {
            0 | 1 => format!("SELECT {COLUMNS} FROM {from} WHERE {condition}"),
            2 => format!("SELECT * FROM {from}"),
            3 => format!("SELECT tenant, count(*), sum(n), max(note) FROM {from} WHERE {condition} GROUP BY tenant"),
            4 => format!("SELECT a.note, b.note FROM {from} AS a JOIN {} AS b USING (id)", self.relation()),
            5 => format!("WITH w AS (SELECT * FROM {from} WHERE {condition}) SELECT note, d::text FROM w"),
            6 => format!("SELECT note FROM {from} UNION ALL SELECT note FROM {}", self.relation()),
            7 => format!("SELECT note, {}(n) FROM {from}", self.function()),
            _ => format!("SELECT current_user, note, (SELECT count(*) FROM {}) FROM {from}", self.relation()),
        }
    }

    /// A change of rows.
    fn rows(&mut self) -> String {
        let (table, n) = (self.table(), self.number());
        match self.dice.roll(5) {
            0 => format!("UPDATE {table} SET n = n + 1 WHERE id = {n}"),
            1 => format!("DELETE FROM {table} WHERE id = {n}"),
            2 => format!("TRUNCATE {table}"),
            _ => filled(&table),
        }
    }

    /// A change of definitions, by who owns them.
    fn definition(&mut self) -> String {
        let (table, view, function, role) = (self.table(), self.view(), self.function(), self.role());
        let (condition, n) = (self.condition(), self.number());
        let give = |what: bool| if what { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
        let (grant, to) = give(!self.chance(4));
        match self.dice.roll(31) {
            0 | 1 => format!("CREATE TABLE IF NOT EXISTS {table} {SHAPE}; {}", filled(&table)),
            2 if self.chance(2) => format!("DROP TABLE IF EXISTS {table} CASCADE"),
            3 | 4 => {
                let with = self.one(&["", "WITH (security_invoker = true)", "WITH (security_barrier = true)"]);
                let from = self.relation();
                format!("CREATE OR REPLACE VIEW {view} {with} AS SELECT {COLUMNS} FROM {from} WHERE {condition}")
            }
            5 => format!("DROP VIEW IF EXISTS {view} CASCADE"),
            6 | 7 => {
                let (volatility, body) = match self.dice.roll(5) {
                    0 => ("IMMUTABLE", format!("SELECT $1 * {n}")),
                    1 => ("STABLE", format!("SELECT $1 + count(*)::int FROM {table}")),
                    2 => (
                        "STABLE",
                        "SELECT $1 + length(coalesce(current_setting('app.tenant', true), 'none'))".to_owned(),
                    ),
                    3 => ("STABLE SECURITY DEFINER", format!("SELECT $1 + count(*)::int FROM {table}")),
                    _ => ("VOLATILE", format!("SELECT $1 - {n}")),
                };
                format!(
                    "CREATE OR REPLACE FUNCTION {function}(int) RETURNS int {volatility} LANGUAGE sql AS $f${body}$f$"
                )
            }
            8 => format!(
                "CREATE OR REPLACE FUNCTION {function}(bigint) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT {n}'"
            ),
            9 => format!("DROP FUNCTION IF EXISTS {function}({}) CASCADE", self.one(&["int", "bigint"])),
            10 | 11 => format!("{grant} SELECT ON {} {to} {role}", if self.chance(2) { table } else { view }),
            12 => format!("{grant} SELECT (id, tenant, note) ON {table} {to} {role}"),
            13 => format!("{grant} USAGE ON SCHEMA {} {to} {role}", self.one(&SCHEMAS)),
            14 => format!("{grant} EXECUTE ON FUNCTION {function}(int) {to} {role}"),
            15 => format!(
                "ALTER TABLE {table} {} ROW LEVEL SECURITY",
                self.one(&["ENABLE", "ENABLE", "DISABLE", "FORCE", "NO FORCE"])
            ),
            16 | 17 => {
                let kind = self.one(&["PERMISSIVE", "PERMISSIVE", "RESTRICTIVE"]);
                format!("CREATE POLICY p{n} ON {table} AS {kind} TO {role} USING ({condition})")
            }
            18 => format!("ALTER POLICY p{n} ON {table} USING ({condition})"),
            19 => format!("DROP POLICY IF EXISTS p{n} ON {table}"),
            20 => match self.dice.roll(4) {
                0 => format!("ALTER TABLE {table} RENAME TO t{}", self.dice.roll(2)),
                1 => format!("ALTER TABLE {table} SET SCHEMA {}", self.one(&SCHEMAS)),
                2 => format!("ALTER VIEW {view} SET (security_invoker = {})", self.one(&["true", "false"])),
                _ => format!(
                    "ALTER FUNCTION {function}(int) {}",
                    self.one(&["STABLE", "SECURITY INVOKER", "SECURITY DEFINER"])
                ),
            },
            21 => match self.dice.roll(4) {
                0 => format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS more int DEFAULT {n}"),
                1 => format!("ALTER TABLE {table} DROP COLUMN IF EXISTS more CASCADE"),
                2 => format!("ALTER TABLE {table} ALTER n TYPE int USING n + 1"),
                _ => format!("ALTER TABLE {table} SET {}", self.one(&["UNLOGGED", "LOGGED"])),
            },
            22 => format!("ALTER TABLE {table} {} {}", self.one(&["INHERIT", "NO INHERIT"]), self.table()),
            23 => format!("CREATE INDEX ON {table} (n)"),
            24 => {
                let shape = SHAPE.replace(" PRIMARY KEY", "");
                format!(
                    "DROP TABLE IF EXISTS {table}, {table}_b CASCADE; CREATE TABLE {table} {shape} PARTITION BY RANGE (id);
                     CREATE TABLE {table}_a PARTITION OF {table} FOR VALUES FROM (0) TO (2); CREATE TABLE {table}_b (LIKE {table});
                     ALTER TABLE {table} ATTACH PARTITION {table}_b FOR VALUES FROM (2) TO (9); {}; GRANT SELECT ON {table} TO public",
                    filled(&table)
                )
            }
            25 => match self.dice.roll(2) {
                0 => format!("ALTER TABLE {table} DETACH PARTITION {table}_b"),
                _ => format!("ALTER TABLE {table} ATTACH PARTITION {table}_b FOR VALUES FROM (2) TO (9)"),
            },
            26 => {
                let body =
                    format!("BEGIN DELETE FROM {} WHERE id = NEW.id AND n > {n}; RETURN NULL; END", self.table());
                format!(
                    "CREATE OR REPLACE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $f${body}$f$; DROP TRIGGER IF EXISTS fires ON {table};
                     CREATE TRIGGER fires AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION fires()"
                )
            }
            27 => format!(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA {} {grant} SELECT ON TABLES {to} {role}",
                self.one(&SCHEMAS)
            ),
            28 => match self.dice.roll(3) {
                0 => format!(
                    "DROP TABLE {table}; CREATE MATERIALIZED VIEW {table} AS SELECT {COLUMNS} FROM {}",
                    self.relation()
                ),
                1 => format!("REFRESH MATERIALIZED VIEW {table}"),
                _ => format!("DROP MATERIALIZED VIEW {table}"),
            },
            29 => format!("VACUUM FULL {table}"),
            _ => format!("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {role}", self.one(&SCHEMAS)),
        }
    }

    /// A change of roles, by a superuser.
    fn roles(&mut self) -> String {
        match self.dice.roll(4) {
            0 => "GRANT {r0} TO solo".to_owned(),
            1 => "GRANT {r1} TO {r0}".to_owned(),
            2 => format!("REVOKE {} CASCADE", self.one(&["{r0} FROM solo", "{r1} FROM {r0}"])),
            _ => format!("ALTER ROLE {{r1}} {}", self.one(&["BYPASSRLS", "NOBYPASSRLS"])),
        }
    }

    /// What a session says of itself.
    fn setting(&mut self) -> String {
        match self.dice.roll(7) {
            0 | 1 => format!("SET app.tenant = '{}'", self.one(&["a", "b", "c"])),
            2 | 3 => format!(
                "SET search_path = {}",
                self.one(&["public", "s0", "s1, public", "s0, s1, public", "pg_catalog, s1, s0"])
            ),
            4 => format!("SET ROLE {}", self.one(&["{r0}", "{r1}", "NONE", "solo"])),
            5 => format!("SET DateStyle = {}", self.one(&["ISO", "German", "SQL"])),
            _ => format!("SET row_security = {}", self.one(&["on", "on", "off"])),
        }
    }
}

/// Rows that say where they are.
fn filled(table: &str) -> String {
    format!(
        "INSERT INTO {table} ({COLUMNS}) SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i, '{table} ' || i, date '2026-11-28' + i \
         FROM generate_series(0, 3) AS i ON CONFLICT DO NOTHING"
    )
}

/// Rows in any order, or the error's code.
fn outcome(frames: &[Frame]) -> String {
    match rows(frames) {
        Ok(rows) => {
            let mut lines: Vec<_> = rows.into_iter().map(|row| text(&[row])).collect();
            lines.sort();
            lines.join("\n")
        }
        Err(error) => error.chars().take(5).collect(),
    }
}

/// A session through Sidecache and its direct double.
struct Twin {
    through: Wire,
    direct: Wire,
}

impl Twin {
    fn both(&mut self, run: impl Fn(&mut Wire) -> Vec<Frame>) -> (String, String) {
        (outcome(&run(&mut self.through)), outcome(&run(&mut self.direct)))
    }
}

/// How many statements of clients each kind of server answered.
#[derive(Debug)]
struct Routed {
    primary: f64,
    replicas: f64,
}

fn random_run(seed: u64, steps: usize) -> Routed {
    let cluster = Cluster::shared();
    let watched = Watched::with(cluster, "generated", "CREATE SCHEMA s0; CREATE SCHEMA s1", |builder| builder);
    let database = watched.database.clone();
    let named = |sql: String| sql.replace("{r0}", &format!("{database}_0")).replace("{r1}", &format!("{database}_1"));
    let mut root = [watched.sidecache.connect("postgres"), cluster.primary.connect_to(&database)];
    // Where they are, a change beside may hide among rows.
    let triggers = seed.is_multiple_of(2);
    if triggers {
        root[1].rows(&crate::setup::printed(cluster, &database));
    }
    for sql in [
        "CREATE ROLE {r0}",
        "CREATE ROLE {r1}",
        "GRANT {r0} TO solo",
        "GRANT USAGE ON SCHEMA s0, s1, public TO {r0}, public",
    ] {
        root[1].rows(&named(sql.to_owned()));
    }
    let mut owner = [watched.client(), watched.beside()];
    let mut maker = Maker { dice: Dice(seed) };
    for schema in SCHEMAS {
        for table in 0..2 {
            let table = format!("{schema}.t{table}");
            owner[1]
                .rows(&format!("CREATE TABLE {table} {SHAPE}; {}; GRANT SELECT ON {table} TO public", filled(&table)));
        }
    }
    for schema in SCHEMAS {
        for n in 0..2 {
            owner[1].rows(&format!(
                "CREATE VIEW {schema}.v{n} AS SELECT {COLUMNS} FROM {schema}.t{n} WHERE n > {n}; GRANT SELECT ON {schema}.v{n} TO public;
                 CREATE FUNCTION {schema}.f{n}(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + {n}'"
            ));
        }
    }
    watched.hear();
    let mut twins: Vec<Twin> = ["solo", "solo", "solo", "app"]
        .iter()
        .map(|user| Twin { through: watched.sidecache.connect(user), direct: cluster.connect(user, &database) })
        .collect();
    let mut done: Vec<String> = Vec::new();
    let mut favourites: Vec<String> = (0..6).map(|_| maker.read()).collect();
    let (mut reads, mut failed) = (0, 0);
    for step in 0..steps {
        let who = maker.dice.roll(twins.len());
        match maker.dice.roll(16) {
            0 if maker.chance(3) => {
                let change = named(maker.roles());
                let way = maker.dice.roll(2);
                // A session may be in a role that it can be in no more: a connection of another could not follow it.
                for twin in &mut twins {
                    twin.both(|wire| wire.query("RESET ROLE").expect("alive"));
                }
                // It may not fit what is there; that it is the same afterwards is what counts.
                let _ = root[way].query(&change).expect("alive");
                for twin in &mut twins {
                    // Up to PostgreSQL 16 a connection would not look again which schemas of its path it may use now.
                    twin.direct.rows("SELECT set_config('search_path', current_setting('search_path'), false)");
                }
                done.push(format!("{} {change}", ["through", "beside"][way]));
                watched.hear();
            }
            1 => {
                let way = maker.dice.roll(2);
                let mut change = named(maker.definition());
                if maker.chance(3) && (way == 0 || triggers) {
                    change = format!("BEGIN; {}; {change}; {}; COMMIT", filled("public.t0"), maker.rows());
                }
                let _ = owner[way].query(&change).expect("alive");
                let _ = owner[way].query("ROLLBACK").expect("alive");
                done.push(format!("{} {change}", ["through", "beside"][way]));
                watched.hear();
            }
            2 if maker.chance(2) => {
                let (way, change) = (maker.dice.roll(2), maker.rows());
                let _ = owner[way].query(&change).expect("alive");
                done.push(format!("{} {change}", ["through", "beside"][way]));
                watched.hear();
            }
            3 => {
                let setting = named(maker.setting());
                let (through, direct) = twins[who].both(|wire| wire.query(&setting).expect("alive"));
                assert_eq!(through, direct, "seed {seed}, step {step}: session {who}: {setting}");
                done.push(format!("session {who}: {setting}"));
            }
            4 if maker.chance(2) => favourites[maker.dice.roll(6)] = maker.read(),
            _ => {
                let read = favourites[maker.dice.roll(6)].clone();
                // Twice: what fills, and what may be a hit.
                for way in [maker.dice.roll(2), maker.dice.roll(2)] {
                    let (through, direct) = twins[who].both(|wire| match way {
                        0 => wire.query(&read).expect("alive"),
                        _ => wire.run(&Batch::new().extended(&read, &[], Format::Text)).expect("alive"),
                    });
                    reads += 1;
                    failed += usize::from(direct.len() == 5 && !direct.contains(' '));
                    if through != direct {
                        let log = done.join(";\n");
                        panic!(
                            "seed {seed}, step {step}: session {who} reads\n{read}\nthrough:\n{through}\ndirectly:\n{direct}\nafter\n{log}"
                        );
                    }
                }
            }
        }
    }
    let went = |to: &str| watched.sidecache.metric("sidecache_requests_total", &[("destination", to)]);
    let routed = Routed { primary: went("primary"), replicas: went("replica") };
    println!("seed {seed}: {} hits of {reads} reads, of which {failed} fail; {routed:?}", watched.hits());
    assert!(watched.hits() * 10 > reads as u64, "{} hits of {reads} reads", watched.hits());
    assert!(failed * 4 < reads * 3, "{failed} of {reads} reads fail: they tell little");
    drop(twins);
    root[1].rows(&named("DROP OWNED BY {r0}, {r1}; DROP ROLE {r0}, {r1}".to_owned()));
    routed
}

/// A run for each seed. Of all that servers answered, changes too, replicas must have answered a good share.
fn random_runs(seeds: impl Iterator<Item = u64>, steps: usize) {
    let mut all = Routed { primary: 0.0, replicas: 0.0 };
    for routed in seeds.map(|seed| random_run(seed, steps)) {
        all = Routed { primary: all.primary + routed.primary, replicas: all.replicas + routed.replicas };
    }
    assert!(all.replicas > 0.2 * (all.primary + all.replicas), "{all:?}");
}

#[test]
fn c9_to_c24_whatever_is_defined_changed_and_granted_every_answer_is_the_direct_one() {
    match std::env::var("SIDECACHE_SEEDS") {
        Ok(seeds) => random_runs(seeds.split(',').map(|seed| seed.trim().parse().expect("a number")), 2_000),
        Err(_) => random_runs(0..2, 400),
    }
}

#[test]
#[ignore = "long: part of `make test-all`"]
fn c9_to_c24_every_answer_is_the_direct_one_at_length() {
    random_runs(2..12, 2_000);
}
