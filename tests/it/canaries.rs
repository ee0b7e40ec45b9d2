//! Row-level security from the cache at length (C15): many sessions at once, each in whatever role and for whatever tenant it has just
//! said, ask many statements in pipelines, while the rows change beside them. A row is a canary that says whose it is, and which version
//! of it this is: every answer has exactly the rows of who asked, and at the end of each round they are what a direct connection gets.

use crate::harness::cluster::Cluster;
use crate::harness::wire::{Batch, Format, Frame, Wire, rows};
use crate::tenants::Dice;
use crate::watched::{Watched, text};
use std::collections::HashMap;
use std::fmt::Write;
use std::io::Read as _;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

const TENANTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Rows of each owner and tenant.
const EACH: usize = 4;
const CLIENTS: usize = 8;
/// Statements in one pipeline, about.
const PIPELINE: usize = 100;
/// A canary changes after about so many pipelines: each client sees to it in its turn, the last one first.
const CALM: u64 = 10;

/// What a policy asks for, and whether it binds the table's owner too.
const POLICIES: [(Policy, &str, Force); 4] = [
    (Policy::Tenant, "tenant = current_setting('app.tenant', true)", Force::No),
    (Policy::Owner, "owner = current_user", Force::Yes),
    (Policy::Member, "tenant IN (SELECT m.tenant FROM members m WHERE m.who = current_user)", Force::Yes),
    (Policy::Both, "owner = current_user AND tenant = current_setting('app.tenant', true)", Force::No),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Tenant,
    Owner,
    Member,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    Yes,
    No,
}

/// Who a session is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    /// It owns the table.
    App,
    Solo,
    /// A role that `solo` may be, with rows of its own.
    Anon,
    /// One that no policy binds.
    Free,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    role: Role,
    tenant: Option<&'static str>,
}

/// A row, but for its version.
#[derive(Debug, Clone, Copy)]
struct Canary {
    tenant: &'static str,
    owner: Role,
    n: usize,
}

impl Canary {
    fn all() -> impl Iterator<Item = Canary> {
        let owners = [Role::App, Role::Solo, Role::Anon];
        let of =
            move |tenant| owners.into_iter().flat_map(move |owner| (0..EACH).map(move |n| Canary { tenant, owner, n }));
        TENANTS.into_iter().flat_map(of)
    }

    fn text(self) -> String {
        format!("{}.{:?}.{}", self.tenant, self.owner, self.n)
    }

    /// What the policies say in SQL.
    fn is_seen_by(self, me: Identity, policy: Policy, force: Force) -> bool {
        let (is_own, is_my_tenants) = (self.owner == me.role, Some(self.tenant) == me.tenant);
        match (me.role, policy) {
            (Role::Free, _) => true,
            (Role::App, _) if force == Force::No => true,
            (_, Policy::Tenant) => is_my_tenants,
            (_, Policy::Owner) => is_own,
            (_, Policy::Member) => MEMBERS.contains(&(self.tenant, me.role)),
            (_, Policy::Both) => is_own && is_my_tenants,
        }
    }
}

const MEMBERS: [(&str, Role); 5] =
    [("a", Role::Solo), ("b", Role::Solo), ("b", Role::Anon), ("c", Role::Anon), ("d", Role::App)];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Read {
    All,
    Count,
    Tenants,
    Of(&'static str),
    Numbered(usize),
    /// The same by a prepared statement.
    Prepared(usize),
}

impl Read {
    fn roll(dice: &mut Dice) -> Read {
        match dice.roll(12) {
            0 => Read::All,
            1 => Read::Count,
            2 => Read::Tenants,
            3..=5 => Read::Of(TENANTS[dice.roll(TENANTS.len())]),
            6..=8 => Read::Numbered(dice.roll(EACH)),
            _ => Read::Prepared(dice.roll(EACH)),
        }
    }

    fn every() -> impl Iterator<Item = Read> {
        let numbered = (0..EACH).flat_map(|n| [Read::Numbered(n), Read::Prepared(n)]);
        [Read::All, Read::Count, Read::Tenants].into_iter().chain(TENANTS.map(Read::Of)).chain(numbered)
    }

    fn put(self, batch: Batch) -> Batch {
        match self {
            Read::All => batch.query("SELECT canary FROM docs ORDER BY id"),
            Read::Count => batch.query("SELECT count(*) FROM docs"),
            Read::Tenants => batch.query("SELECT DISTINCT tenant FROM docs ORDER BY tenant"),
            Read::Of(tenant) => batch.query(&format!("SELECT canary FROM docs WHERE tenant = '{tenant}' ORDER BY id")),
            Read::Numbered(n) => batch.query(&format!("SELECT canary FROM docs WHERE n = {n} ORDER BY id")),
            Read::Prepared(n) => batch.bind("", "s", &[Some(&n.to_string())], Format::Text).execute("", 0).sync(),
        }
    }

    /// Of the rows that are seen: what is shown, without versions.
    fn shows(self, seen: impl Iterator<Item = Canary>) -> Vec<String> {
        let mut seen: Vec<Canary> = seen.collect();
        match self {
            Read::All => {}
            Read::Count => return vec![seen.len().to_string()],
            Read::Tenants => {
                seen.dedup_by_key(|canary| canary.tenant);
                return seen.iter().map(|canary| canary.tenant.to_owned()).collect();
            }
            Read::Of(tenant) => seen.retain(|canary| canary.tenant == tenant),
            Read::Numbered(n) | Read::Prepared(n) => seen.retain(|canary| canary.n == n),
        }
        seen.into_iter().map(Canary::text).collect()
    }
}

/// What the answer to a statement must be.
enum Due {
    /// Anything but an error.
    Done,
    Rows(Identity, Read, Rc<Vec<String>>),
}

impl Due {
    fn told(&self) -> String {
        match self {
            Due::Done => "no error was due".to_owned(),
            Due::Rows(me, read, shown) => format!("{me:?} asks {read:?} and is due {shown:?}"),
        }
    }
}

/// A session, and what it is by all that it has said.
struct Walker {
    wire: Wire,
    answers: Answers,
    seed: u64,
    dice: Dice,
    /// The role that it logged in as.
    user: Role,
    me: Identity,
    names: Rc<HashMap<Role, String>>,
    shown: HashMap<(Identity, Read), Rc<Vec<String>>>,
}

/// Statements to send and what each is due.
#[derive(Default)]
struct Pipeline {
    batch: Batch,
    due: Vec<Due>,
}

impl Pipeline {
    fn tell(&mut self, sql: &str) {
        self.batch = std::mem::take(&mut self.batch).query(sql);
        self.due.push(Due::Done);
    }
}

impl Walker {
    fn connect(watched: &Watched<'_>, user: Role, names: &HashMap<Role, String>, seed: u64) -> Walker {
        let mut wire = watched.sidecache.connect(&names[&user]);
        prepare(&mut wire);
        let answers = Answers { stream: wire.writer().expect("a socket"), buffer: Vec::new(), at: 0 };
        let me = Identity { role: user, tenant: None };
        Walker { wire, answers, seed, dice: Dice(seed), user, me, names: Rc::new(names.clone()), shown: HashMap::new() }
    }

    fn due(&mut self, me: Identity, read: Read, (policy, _, force): (Policy, &str, Force)) -> Due {
        let shown = self.shown.entry((me, read));
        let seen = Canary::all().filter(|canary| canary.is_seen_by(me, policy, force));
        Due::Rows(me, read, Rc::clone(shown.or_insert_with(|| Rc::new(read.shows(seen)))))
    }

    fn read(&mut self, pipeline: &mut Pipeline, me: Identity, round: (Policy, &str, Force)) {
        let read = Read::roll(&mut self.dice);
        pipeline.batch = read.put(std::mem::take(&mut pipeline.batch));
        let due = self.due(me, read, round);
        pipeline.due.push(due);
    }

    /// Says who it is from now on, in one of the ways there are; `local`: for a transaction.
    fn change(&mut self, pipeline: &mut Pipeline, local: bool) {
        let tenant = TENANTS[self.dice.roll(TENANTS.len())];
        let word = if local { "LOCAL" } else { "SESSION" };
        match self.dice.roll(if self.user == Role::Solo { 7 } else { 5 }) {
            0 => pipeline.tell(&format!("SELECT set_config('app.tenant', '{tenant}', {local})")),
            1 if !local => {
                pipeline.tell("RESET app.tenant");
                self.me.tenant = None;
                return;
            }
            1..=4 => pipeline.tell(&format!("SET {word} app.tenant = '{tenant}'")),
            _ => {
                self.me.role = [Role::Solo, Role::Anon, Role::Free][self.dice.roll(3)];
                pipeline.tell(&format!("SET {word} ROLE {}", self.names[&self.me.role]));
                return;
            }
        }
        self.me.tenant = Some(tenant);
    }

    fn pipeline(&mut self, round: (Policy, &str, Force)) -> Pipeline {
        let mut pipeline = Pipeline::default();
        while pipeline.due.len() < PIPELINE {
            match self.dice.roll(8) {
                0 => self.change(&mut pipeline, false),
                1 => {
                    let (outside, local) = (self.me, self.dice.roll(3) > 0);
                    pipeline.tell("BEGIN");
                    self.change(&mut pipeline, local);
                    for _ in 0..=self.dice.roll(4) {
                        self.read(&mut pipeline, self.me, round);
                    }
                    let end = ["COMMIT", "ROLLBACK"][self.dice.roll(2)];
                    pipeline.tell(end);
                    if local || end == "ROLLBACK" {
                        self.me = outside;
                    }
                }
                _ => {
                    for _ in 0..=self.dice.roll(8) {
                        self.read(&mut pipeline, self.me, round);
                    }
                }
            }
        }
        pipeline
    }

    /// Runs a pipeline and judges every answer; how many statements it had.
    fn walk(&mut self, round: (Policy, &str, Force)) -> u64 {
        let pipeline = self.pipeline(round);
        self.wire.send(&pipeline.batch).expect("it lives");
        for due in &pipeline.due {
            let mut rest = match due {
                Due::Done => None,
                Due::Rows(.., shown) => Some(shown.iter()),
            };
            loop {
                let (tag, body) = self.answers.frame();
                let is_due = match (tag, &mut rest) {
                    (b'Z', None) => break,
                    (b'Z', Some(rest)) if rest.len() == 0 => break,
                    (b'D', Some(rest)) => rest.next().is_some_and(|shown| is_shown(shown, &body[6..])),
                    (b'Z' | b'E', _) => false,
                    _ => true,
                };
                let policy = round.0;
                let now = || Frame { tag, body: body.to_vec() };
                assert!(is_due, "seed {}, policy {policy:?}, {}: now {:?}", self.seed, due.told(), now());
            }
        }
        pipeline.due.len() as u64
    }
}

/// Whether a value, whose length stands before it, is this canary in some version.
fn is_shown(shown: &str, value: &[u8]) -> bool {
    let version = value.strip_prefix(shown.as_bytes());
    version.is_some_and(|version| version.is_empty() || version.starts_with(b".v"))
}

/// Messages as they lie in the buffer: millions of them are looked at.
struct Answers {
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
}

impl Answers {
    fn frame(&mut self) -> (u8, &[u8]) {
        loop {
            if let Some((head, rest)) = self.buffer[self.at..].split_first_chunk::<5>() {
                let body = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
                if rest.len() >= body {
                    let (tag, from) = (head[0], self.at + 5);
                    self.at = from + body;
                    return (tag, &self.buffer[from..from + body]);
                }
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            let mut chunk = [0; 16 * 1024];
            let read = self.stream.read(&mut chunk).expect("it lives");
            assert!(read > 0, "the connection ended");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// What each session begins with.
fn prepare(wire: &mut Wire) {
    // `$user` in a path would tell roles apart too.
    wire.rows("SET search_path = public");
    let frames = wire.run(&Batch::new().parse("s", "SELECT canary FROM docs WHERE n = $1 ORDER BY id", &[23]).sync());
    rows(&frames.expect("it lives")).expect("it is prepared");
}

/// How much came from where.
#[derive(Debug, Default)]
struct Tally {
    statements: u64,
    hits: u64,
    on_replicas: u64,
}

/// Four rounds of at least so many statements each, one for each policy.
fn rounds(seed: u64, statements: u64, replicas: bool, tally: &mut Tally) {
    let cluster = Cluster::shared();
    let setup = "CREATE TABLE docs(id int PRIMARY KEY, tenant text, owner name, n int, canary text);\
        CREATE TABLE members(tenant text, who name); GRANT SELECT ON docs, members TO public;\
        CREATE POLICY p ON docs USING (false); ALTER TABLE docs ENABLE ROW LEVEL SECURITY";
    let watched = Watched::with(cluster, "c15_canaries", setup, |builder| {
        let builder = builder.flag("--pool-size", "4");
        if replicas { builder } else { builder.no_replicas() }
    });
    let (free, anon) = (format!("free_{}", watched.database), format!("anon_{}", watched.database));
    let names = [(Role::App, "app"), (Role::Solo, "solo"), (Role::Anon, &*anon), (Role::Free, &*free)];
    let names: HashMap<Role, String> = names.map(|(role, name)| (role, name.to_owned())).into();
    let mut root = cluster.primary.connect_to(&watched.database);
    root.rows(&format!("CREATE ROLE {free} BYPASSRLS; CREATE ROLE {anon}; GRANT {free}, {anon} TO solo"));
    root.rows(&format!("GRANT USAGE ON SCHEMA public TO {free}, {anon}"));
    let mut fill = String::new();
    for (id, canary) in Canary::all().enumerate() {
        let (Canary { tenant, owner, n }, text) = (canary, canary.text());
        let _ = write!(fill, "INSERT INTO docs VALUES ({id}, '{tenant}', '{}', {n}, '{text}.v0');", names[&owner]);
    }
    for (tenant, who) in MEMBERS {
        let _ = write!(fill, "INSERT INTO members VALUES ('{tenant}', '{}');", names[&who]);
    }
    root.rows(&fill);
    for (round, seed) in POLICIES.into_iter().zip(seed * 100..) {
        let (policy, condition, force) = round;
        let forced = if force == Force::Yes { "FORCE" } else { "NO FORCE" };
        root.rows(&format!("ALTER POLICY p ON docs USING ({condition}); ALTER TABLE docs {forced} ROW LEVEL SECURITY"));
        watched.hear();
        let before = watched.hits();
        let (calm, changes) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let (watched, names) = (&watched, &names);
            scope.spawn(move || {
                let (mut beside, mut dice) = (cluster.primary.connect_to(&watched.database), Dice(seed));
                let count = Canary::all().count();
                for (version, ()) in (1_u64..).zip(changes) {
                    let new = format!("regexp_replace(canary, 'v.*', 'v{version}')");
                    beside.rows(&format!("UPDATE docs SET canary = {new} WHERE id = {}", dice.roll(count)));
                }
            });
            let clients = (0..CLIENTS as u64).map(|client| {
                let calm = calm.clone();
                scope.spawn(move || {
                    let user = if client == 0 { Role::App } else { Role::Solo };
                    let mut walker = Walker::connect(watched, user, names, seed << 8 | client);
                    let mut done = 0;
                    for turn in 1_u64.. {
                        if done >= statements / CLIENTS as u64 {
                            break;
                        }
                        done += walker.walk(round);
                        if (turn + CALM * (client + 1) - 2).is_multiple_of(CALM * CLIENTS as u64) {
                            calm.send(()).expect("somebody writes");
                        }
                    }
                    done
                })
            });
            let clients: Vec<_> = clients.collect();
            drop(calm);
            tally.statements += clients.into_iter().map(|client| client.join().expect("all is right")).sum::<u64>();
        });
        tally.hits += watched.hits() - before;
        watched.hear();
        agree(&watched, &names, policy);
    }
    let answered = watched.sidecache.metric("sidecache_requests_total", &[("destination", "replica")]);
    assert_eq!(answered > 0.0, replicas, "{answered} answers of replicas");
    tally.on_replicas += answered as u64;
    root.rows(&format!("DROP OWNED BY {free}, {anon}; DROP ROLE {free}, {anon}"));
}

/// When all has been heard, each role and tenant gets through Sidecache what it gets directly, versions and all.
fn agree(watched: &Watched<'_>, names: &HashMap<Role, String>, policy: Policy) {
    for user in [Role::App, Role::Solo] {
        let mut through = watched.sidecache.connect(&names[&user]);
        let mut direct = watched.cluster.connect(&names[&user], &watched.database);
        let roles = if user == Role::Solo { &[Role::Solo, Role::Anon, Role::Free][..] } else { &[Role::App] };
        for wire in [&mut through, &mut direct] {
            prepare(wire);
        }
        for role in roles {
            for tenant in &TENANTS[..3] {
                for wire in [&mut through, &mut direct] {
                    wire.rows(&format!("SET ROLE {}", names[role]));
                    wire.rows(&format!("SET app.tenant = '{tenant}'"));
                }
                for read in Read::every() {
                    let [through, direct] = [&mut through, &mut direct]
                        .map(|wire| text(&rows(&wire.run(&read.put(Batch::new())).expect("it lives")).expect("rows")));
                    assert_eq!(through, direct, "{role:?} of {tenant}, policy {policy:?}, asks {read:?}");
                }
            }
        }
    }
}

#[test]
fn c15_no_canary_is_seen_by_another_role_or_tenant() {
    let mut tally = Tally::default();
    rounds(1, 4_000, true, &mut tally);
    println!("{tally:?}");
    // A round has hardly begun when it ends.
    assert!(tally.hits * 3 > tally.statements && tally.on_replicas > 0, "{tally:?}");
}

#[test]
#[ignore = "long: part of `make test-all`"]
fn c15_no_canary_is_seen_by_another_role_or_tenant_in_millions_of_statements() {
    let mut tally = Tally::default();
    for (seed, replicas) in [(2, false), (3, true), (4, false), (5, true)] {
        rounds(seed, 130_000, replicas, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.statements >= 2_000_000, "{tally:?}");
    assert!(tally.hits * 2 > tally.statements, "most come from the cache: {tally:?}");
    assert!(tally.on_replicas * 50 > tally.statements, "replicas answer some: {tally:?}");
}
