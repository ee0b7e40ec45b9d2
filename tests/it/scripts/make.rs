//! Makes scripts out of seeds: messages of every kind, valid and odd, over two small tables.

use crate::harness::wire::{Batch, Format};
use std::fmt;

/// What every script begins from, beside its own first step.
pub const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE w (id int PRIMARY KEY, v text);
    CREATE TABLE twice (v int UNIQUE DEFERRABLE INITIALLY DEFERRED); CREATE SCHEMA o; CREATE TABLE o.t (id int, v text); INSERT INTO o.t VALUES (1, 'other');
    CREATE TABLE r (id int, v text); INSERT INTO r VALUES (1, 'app'), (2, 'scripted'), (3, 'mine'), (4, 'yours');
    ALTER TABLE r ENABLE ROW LEVEL SECURITY; ALTER TABLE r FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON r USING (v = current_user OR v = current_setting('x.y', true)); GRANT SELECT ON r, t TO scripted;
    CREATE FUNCTION sets(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN set_config('x.y', v, false); END $$;
    CREATE TABLE g (id int); CREATE FUNCTION stamps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('x.y', 'yours', false); RETURN NULL; END $$;
    CREATE TRIGGER stamps AFTER INSERT ON g FOR EACH ROW EXECUTE FUNCTION stamps();
    CREATE FUNCTION noisy(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', i; RETURN i; END $$";

/// Tables as every script finds them: its own write, so that its reads come after it.
const RESET: &str = "ALTER TABLE w DROP COLUMN IF EXISTS more; DELETE FROM w; DELETE FROM t; INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 10) i";

/// The same where no script alters them.
const CLEAR: &str = "DELETE FROM w; DELETE FROM twice; DELETE FROM t; INSERT INTO t VALUES (1, 'row 1')";

/// Statements and how many parameters they take.
const STATEMENTS: &[(&str, usize)] = &[
    ("SELECT v FROM t WHERE id = $1", 1),
    ("SELECT v FROM t WHERE id = $1", 1),
    ("SELECT id, v FROM t WHERE id > $1 ORDER BY id", 1),
    ("SELECT id, v FROM t ORDER BY id", 0),
    ("SELECT count(*) FROM w", 0),
    ("SELECT id, v FROM w ORDER BY id", 0),
    ("SELECT generate_series(1, 5) AS g", 0),
    ("SELECT 1/$1::int AS q", 1),
    ("SELECT $1::text || $2::text AS both", 2),
    ("SELECT noisy(id) FROM t WHERE id < 4 ORDER BY id", 0),
    ("VALUES (1, 'a'), (2, 'b')", 0),
    ("SELECT nothing", 0),
    ("SELEC", 0),
    ("", 0),
    ("SELECT 1; SELECT 2", 0),
    ("INSERT INTO w VALUES ($1, 'w')", 1),
    ("INSERT INTO w VALUES ($1, 'w') RETURNING id", 1),
    ("UPDATE t SET v = 'changed' WHERE id = $1 RETURNING v", 1),
    ("DELETE FROM w WHERE id = $1", 1),
    ("BEGIN", 0),
    ("BEGIN", 0),
    ("BEGIN ISOLATION LEVEL REPEATABLE READ", 0),
    ("BEGIN READ ONLY", 0),
    ("COMMIT", 0),
    ("COMMIT", 0),
    ("COMMIT AND CHAIN", 0),
    ("ROLLBACK", 0),
    ("SAVEPOINT a", 0),
    ("ROLLBACK TO a", 0),
    ("RELEASE a", 0),
    ("SET work_mem = '5MB'", 0),
    ("SET LOCAL work_mem = '6MB'", 0),
    ("SHOW work_mem", 0),
    ("RESET work_mem", 0),
    ("SET datestyle = german", 0),
    ("SELECT '2026-01-02'::date AS d", 0),
    ("SET search_path = o, public", 0),
    ("RESET search_path", 0),
    ("RESET ALL", 0),
    ("SELECT set_config('application_name', $1, false)", 1),
    ("SET TimeZone = 'Asia/Tokyo'", 0),
    ("SELECT timestamptz '2026-01-02 03:04:05+00' AS at", 0),
    ("DISCARD ALL", 0),
    ("CREATE TEMP TABLE x AS SELECT 1 AS i", 0),
    ("SELECT * FROM x", 0),
    ("LISTEN c", 0),
    ("NOTIFY c, 'hello'", 0),
    ("UNLISTEN *", 0),
    ("DO $$ BEGIN RAISE WARNING 'careful'; END $$", 0),
    ("PREPARE a AS SELECT v FROM t WHERE id = $1", 0),
    ("PREPARE a (int) AS UPDATE t SET v = 'made' WHERE id = $1 RETURNING *", 0),
    ("PREPARE b AS SELECT * FROM w ORDER BY id", 0),
    ("EXECUTE a (1)", 0),
    ("EXECUTE a (2)", 0),
    ("EXECUTE b", 0),
    ("DEALLOCATE a", 0),
    ("DEALLOCATE ALL", 0),
    ("ALTER TABLE w ADD COLUMN IF NOT EXISTS more int", 0),
    ("ALTER TABLE w DROP COLUMN IF EXISTS more", 0),
    ("DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id", 0),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id", 0),
    ("FETCH 2 FROM c", 0),
    ("CLOSE c", 0),
    ("SELECT v FROM t WHERE id = 1 FOR UPDATE", 0),
    ("EXPLAIN (COSTS OFF) SELECT v FROM t", 0),
    ("COPY (SELECT id FROM t WHERE id < 3 ORDER BY id) TO STDOUT", 0),
];

/// What moves settings and transactions, and how often of a hundred times or so.
const CONTROL: &[(&str, usize)] = &[
    ("BEGIN", 10),
    ("BEGIN READ ONLY", 1),
    ("COMMIT", 8),
    ("ROLLBACK", 6),
    ("COMMIT AND CHAIN", 2),
    ("SAVEPOINT a", 8),
    ("ROLLBACK TO a", 8),
    ("RELEASE a", 1),
    ("SET search_path = o, public", 12),
    ("SET LOCAL search_path = o", 2),
    ("RESET search_path", 2),
    ("SELECT set_config('search_path', 'o', false)", 2),
    ("SELECT set_config('work_mem', '7MB', true)", 1),
    ("SET work_mem = '5MB'", 4),
    ("SET TimeZone = 'Asia/Tokyo'", 2),
    ("SET datestyle = german", 1),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", 1),
    ("SET transaction_read_only = on", 2),
    ("SET nothing = 1", 2),
    ("RESET ALL", 2),
    ("DISCARD ALL", 4),
    ("DISCARD TEMP", 1),
    ("SELECT 1/0", 8),
    ("SELECT v FROM t WHERE id = 1", 4),
    ("INSERT INTO w VALUES (1, 'w')", 2),
    ("INSERT INTO twice VALUES (1), (1)", 2),
    ("SHOW search_path", 2),
];

/// What moves roles and what they see, and what a session may hold on its connection.
const HOLDING: &[(&str, usize)] = &[
    ("BEGIN", 9),
    ("BEGIN READ ONLY", 1),
    ("COMMIT", 7),
    ("ROLLBACK", 5),
    ("COMMIT AND CHAIN", 1),
    ("SAVEPOINT a", 5),
    ("ROLLBACK TO a", 5),
    ("RELEASE a", 1),
    ("SET ROLE scripted", 7),
    ("SET LOCAL ROLE scripted", 3),
    ("SELECT set_config('role', 'scripted', true)", 1),
    ("RESET ROLE", 4),
    ("SET ROLE none", 1),
    ("RESET SESSION AUTHORIZATION", 2),
    ("SET ROLE nobody_at_all", 1),
    ("SET x.y = 'mine'", 5),
    ("SET LOCAL x.y = 'yours'", 3),
    ("SELECT set_config('x.y', 'yours', false)", 2),
    ("RESET x.y", 2),
    ("SELECT sets('mine')", 1),
    ("INSERT INTO g VALUES (1)", 4),
    ("PREPARE a AS SELECT pg_advisory_lock(8)", 2),
    ("PREPARE a AS SELECT set_config('x.y', 'mine', false)", 1),
    ("EXECUTE a", 2),
    ("DEALLOCATE ALL", 1),
    ("DECLARE d CURSOR FOR SELECT set_config('x.y', 'mine', false)", 1),
    ("DECLARE d CURSOR WITH HOLD FOR SELECT set_config('work_mem', '8MB', false)", 1),
    ("FETCH d", 1),
    ("CLOSE ALL", 1),
    ("UPDATE pg_settings SET setting = '9MB' WHERE name = 'work_mem'", 2),
    ("SELECT string_agg(v, ',' ORDER BY id) FROM r", 16),
    ("SELECT v FROM t WHERE id = 1", 2),
    ("INSERT INTO w VALUES (1, 'w')", 3),
    ("SELECT pg_advisory_lock(7)", 2),
    ("SELECT pg_advisory_unlock(7)", 2),
    ("SELECT pg_advisory_xact_lock(7)", 1),
    ("CREATE TEMP TABLE IF NOT EXISTS x AS SELECT 1 AS i", 2),
    ("DROP TABLE IF EXISTS x", 2),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT v FROM t", 2),
    ("CLOSE c", 2),
    ("LISTEN c", 1),
    ("UNLISTEN *", 1),
    ("SELECT 1/0", 5),
    ("RESET ALL", 1),
    ("DISCARD ALL", 3),
    ("DISCARD TEMP", 1),
];

/// What another client finds of that on its connection.
pub const HELD: &str = "SELECT current_user, session_user, coalesce(current_setting('x.y', true), ''), current_setting('work_mem'),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), (SELECT count(*) FROM pg_cursors WHERE is_holdable),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()), (SELECT string_agg(v, ',' ORDER BY id) FROM r)";

/// All that they move, as one row.
pub const LOOK: &str =
    "SELECT current_setting('search_path'), current_setting('work_mem'), current_setting('TimeZone'),
    current_setting('datestyle'), current_setting('default_transaction_read_only'), (SELECT v FROM t WHERE id = 1)";

const VALUES: &[Option<&str>] = &[Some("0"), Some("1"), Some("2"), Some("2"), Some("3"), Some("11"), Some("x"), None];

/// What a step waits behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Flush,
    Sync,
}

/// A message, or several that belong together.
#[derive(Clone)]
pub struct Part {
    says: String,
    pub bytes: Vec<u8>,
}

/// What is sent at once.
#[derive(Clone)]
pub struct Step {
    pub parts: Vec<Part>,
    pub end: End,
    /// Where the bytes are cut into two packets.
    pub cut: usize,
}

#[derive(Clone)]
pub struct Script {
    pub steps: Vec<Step>,
    /// A bit for each step: whether another client takes or leaves a connection before it.
    pub shuffles: u64,
}

impl Script {
    /// Whether a simple query is sent in a batch that has not seen its Sync.
    pub fn mixes(&self) -> bool {
        let mut open = false;
        for part in self.steps.iter().flat_map(|step| &step.parts) {
            let mut rest = &part.bytes[..];
            while let [tag, a, b, c, d, ..] = *rest {
                match tag {
                    b'Q' if open => return true,
                    b'S' => open = false,
                    b'P' | b'B' | b'D' | b'E' | b'C' => open = true,
                    _ => {}
                }
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                rest = rest.get(1 + length..).unwrap_or_default();
            }
        }
        false
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            let shuffle = if self.shuffles >> (at % 64) & 1 == 1 { "shuffle, " } else { "" };
            let says: Vec<&str> = step.parts.iter().map(|part| part.says.as_str()).collect();
            writeln!(f, "  {at}: {shuffle}{} | {:?}", says.join(" | "), step.end)?;
        }
        Ok(())
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// The script of a seed.
pub fn script(seed: u64) -> Script {
    let mut maker = Maker { dice: Dice(seed.wrapping_mul(0x2545_F491_4F6C_DD1D)) };
    let reset = Step { parts: vec![simple(RESET)], end: End::Sync, cut: 0 };
    let steps = 4 + maker.dice.below(8);
    let steps = std::iter::once(reset).chain((0..steps).map(|_| maker.step())).collect();
    let shuffles = maker.dice.next() & maker.dice.next();
    // What is open at the end is read to its end.
    let mut script = Script { steps, shuffles };
    script.steps.push(Step { parts: Vec::new(), end: End::Sync, cut: 0 });
    script
}

/// Settings and transactions in parts of batches and in texts of several statements, and a look at what is left of them.
pub fn control(seed: u64) -> Script {
    moving(seed.wrapping_mul(0x5851_F42D_4C95_7F2D), CONTROL, LOOK)
}

/// Roles, rows that depend on them, and what a session holds, likewise.
pub fn holding(seed: u64) -> Script {
    moving(seed.wrapping_mul(0x9FB2_1C65_1E98_DF25), HOLDING, HELD)
}

fn moving(seed: u64, all: &[(&'static str, usize)], look: &'static str) -> Script {
    let mut maker = Maker { dice: Dice(seed) };
    let all: Vec<&str> = all.iter().flat_map(|(text, often)| std::iter::repeat_n(*text, *often)).collect();
    let step = |parts, end| Step { parts, end, cut: 0 };
    let mut steps = vec![step(vec![simple(CLEAR)], End::Sync)];
    for _ in 0..5 + maker.dice.below(8) {
        let end = maker.dice.one_of(&[End::Flush, End::Sync]);
        let parts = (0..1 + maker.dice.below(3)).map(|_| maker.moving(&all, end)).collect();
        steps.push(step(parts, end));
    }
    steps.push(step(Vec::new(), End::Sync));
    steps.push(step(vec![simple(maker.dice.one_of(&["COMMIT", "ROLLBACK"]))], End::Sync));
    steps.push(step(vec![simple(look)], End::Sync));
    steps.push(step(vec![simple(look)], End::Sync));
    Script { steps, shuffles: maker.dice.next() & maker.dice.next() }
}

fn part(says: impl Into<String>, batch: Batch) -> Part {
    Part { says: says.into(), bytes: batch.0 }
}

fn simple(sql: &str) -> Part {
    part(format!("Q {sql}"), Batch::new().query(sql))
}

struct Maker {
    dice: Dice,
}

impl Maker {
    fn step(&mut self) -> Step {
        let end = if self.dice.below(4) == 0 { End::Flush } else { End::Sync };
        let count = 1 + self.dice.below(5);
        let parts = (0..count).map(|_| if end == End::Flush { self.extended() } else { self.any() }).collect();
        Step { parts, end, cut: if self.dice.below(3) == 0 { self.dice.next() as usize } else { 0 } }
    }

    /// One statement as a part of a batch, or up to three as a text.
    fn moving(&mut self, all: &[&'static str], end: End) -> Part {
        let texts: Vec<&str> = (0..1 + self.dice.below(3)).map(|_| self.dice.one_of(all)).collect();
        if end == End::Sync && self.dice.below(2) == 0 {
            // A batch that is open is ended before.
            let text = texts.join("; ");
            return part(format!("Sync, Q {text}"), Batch::new().sync().query(&text));
        }
        let run = Batch::new().parse("", texts[0], &[]).bind("", "", &[], Format::Text).execute("", 0);
        part(format!("run {:?}", texts[0]), run)
    }

    fn any(&mut self) -> Part {
        match self.dice.below(12) {
            0..=6 => self.extended(),
            7..=9 => self.simple(),
            10 => self.copy(),
            _ => match self.dice.below(4) {
                0 => part("Sync", Batch::new().sync()),
                1 => part("stray copy data", Batch::new().copy_data(b"1\tx\n").copy_done()),
                2 => part("stray copy failure", Batch::new().copy_fail("no")),
                _ => self.call(),
            },
        }
    }

    /// abs(int), in text, now and then of what is no number.
    fn call(&mut self) -> Part {
        let argument = self.dice.one_of(&["-5", "7", "x"]);
        let mut body = 1251u32.to_be_bytes().to_vec();
        body.extend([0, 0, 0, 1, 0, 0, 0, u8::try_from(argument.len()).expect("short")]);
        body.extend(argument.as_bytes());
        body.extend([0, 0]);
        part(format!("call {argument}"), Batch::new().message(b'F', &body))
    }

    fn name(&mut self) -> &'static str {
        self.dice.one_of(&["", "", "s1", "s2", "s3"])
    }

    fn portal(&mut self) -> &'static str {
        self.dice.one_of(&["", "", "p1", "p2", "c"])
    }

    /// One to three statements with their values written into them, or the SQL of prepared statements.
    fn simple(&mut self) -> Part {
        if self.dice.below(6) == 0 {
            let name = self.dice.one_of(&["s1", "s2"]);
            let says = match self.dice.below(6) {
                0 | 1 => format!("PREPARE {name} (int) AS SELECT v FROM t WHERE id = $1"),
                2 | 3 => format!("EXECUTE {name} (2)"),
                4 => format!("EXECUTE {name}"),
                _ => format!("DEALLOCATE {name}"),
            };
            // In a batch that goes on, EXECUTE does not find what was parsed there, which `README.md` says.
            return part(format!("Sync, Q {says}"), Batch::new().sync().query(&says));
        }
        let texts: Vec<String> = (0..1 + self.dice.below(3)).map(|_| self.text()).collect();
        simple(&texts.join("; "))
    }

    fn text(&mut self) -> String {
        if self.dice.below(5) == 0 {
            // Names that no Parse gives: among several statements they are not told apart, which `README.md` says.
            let name = self.dice.one_of(&["q1", "q2"]);
            return match self.dice.below(6) {
                0 | 1 => format!("PREPARE {name} (int) AS SELECT v FROM t WHERE id = $1"),
                2 | 3 => format!("EXECUTE {name} (2)"),
                4 => format!("DEALLOCATE {name}"),
                _ => "DEALLOCATE ALL".to_owned(),
            };
        }
        let (mut text, parameters) = {
            let (text, parameters) = self.dice.one_of(STATEMENTS);
            (text.to_owned(), parameters)
        };
        for at in 1..=parameters {
            let value = self.dice.one_of(VALUES).map_or("NULL".to_owned(), |value| format!("'{value}'"));
            text = text.replace(&format!("${at}"), &value);
        }
        text
    }

    fn extended(&mut self) -> Part {
        let b = Batch::new();
        match self.dice.below(16) {
            0..=3 => {
                let (sql, parameters) = self.dice.one_of(STATEMENTS);
                let values = self.values(parameters);
                let format = self.format();
                let limit = self.dice.one_of(&[0, 0, 0, 1, 2]);
                let batch = b.parse("", sql, &[]).bind("", "", &values, format);
                let batch = if self.dice.below(2) == 0 { batch.describe_portal("") } else { batch };
                part(format!("run {sql:?} {values:?} {format:?} {limit}"), batch.execute("", limit))
            }
            4..=6 => {
                let (name, (sql, parameters)) = (self.name(), self.dice.one_of(STATEMENTS));
                let types: &[u32] = if self.dice.below(3) == 0 && parameters == 1 { &[25] } else { &[] };
                part(format!("P {name} {sql:?} {types:?}"), b.parse(name, sql, types))
            }
            7 | 8 => {
                let (portal, name, format) = (self.portal(), self.name(), self.format());
                let count = self.dice.one_of(&[0, 1, 1]);
                let values = self.values(count);
                part(format!("B {portal}<-{name} {values:?} {format:?}"), b.bind(portal, name, &values, format))
            }
            9 | 10 => {
                let (portal, name, format) = (self.portal(), self.name(), self.format());
                let count = self.dice.one_of(&[0, 1, 1]);
                let values = self.values(count);
                let limit = self.dice.one_of(&[0, 0, 1, 2]);
                let batch = b.bind(portal, name, &values, format).execute(portal, limit);
                part(format!("B {portal}<-{name} {values:?} {format:?} E {limit}"), batch)
            }
            11 => {
                let (portal, limit) = (self.portal(), self.dice.one_of(&[0, 1, 2]));
                part(format!("E {portal} {limit}"), b.execute(portal, limit))
            }
            12 => {
                let name = self.name();
                part(format!("D statement {name}"), b.describe_statement(name))
            }
            13 => {
                let name = self.portal();
                part(format!("D portal {name}"), b.describe_portal(name))
            }
            14 => {
                let name = self.name();
                part(format!("C statement {name}"), b.close_statement(name))
            }
            _ => match self.dice.below(2) {
                0 => {
                    let name = self.portal();
                    part(format!("C portal {name}"), b.close_portal(name))
                }
                _ => part("Flush", b.flush()),
            },
        }
    }

    fn format(&mut self) -> Format {
        self.dice.one_of(&[Format::Text, Format::Text, Format::Binary])
    }

    fn values(&mut self, count: usize) -> Vec<Option<&'static str>> {
        (0..count).map(|_| self.dice.one_of(VALUES)).collect()
    }

    /// A copy in one of its forms, with everything that ends it.
    fn copy(&mut self) -> Part {
        let into = "COPY w FROM STDIN";
        let b = Batch::new();
        let first = self.dice.below(20);
        let data: &[u8] = match self.dice.below(4) {
            0 => b"broken\n",
            1 => b"",
            _ => &[format!("{first}\tcopied\n{}\tcop", first + 1).into_bytes(), b"ied\n".to_vec()].concat(),
        };
        let (says, batch) = match self.dice.below(4) {
            0 => ("simple copy", b.query(into)),
            1 => ("simple copy and more", b.query("COPY w FROM STDIN; SELECT count(*) FROM w")),
            2 => ("copy", b.parse("", into, &[]).bind("", "", &[], Format::Text).execute("", 0)),
            _ => ("copy, Sync", b.parse("", into, &[]).bind("", "", &[], Format::Text).execute("", 0).sync()),
        };
        let (head, tail) = data.split_at(data.len() / 2);
        let batch = batch.copy_data(head).copy_data(tail);
        let shown = String::from_utf8_lossy(data).into_owned();
        let (how, batch) = match self.dice.below(4) {
            0 => ("failed", batch.copy_fail("changed my mind")),
            1 => ("done and late", batch.copy_done().copy_data(b"9\tlate\n")),
            _ => ("done", batch.copy_done()),
        };
        // Bound again, it would take what comes next for data, and end the connection.
        part(format!("{says} {shown:?}, {how}"), batch.sync().close_statement(""))
    }
}
