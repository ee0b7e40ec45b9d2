//! Row-level security from the cache (C15): every tenant and every role gets its own rows, by whichever way it says who it is, and never
//! a row that a direct connection would not have given. The rows are canaries: each says for whom it is.

use crate::cacheable::{refused, said};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::wire::{Batch, Format, Wire, rows};
use crate::watched::{Watched, text};

const READ: &str = "SELECT canary FROM docs ORDER BY canary";

const DOCS: &str = "CREATE TABLE docs(tenant text, owner name, canary text);\
    INSERT INTO docs VALUES ('a', 'app', 'a1'), ('a', 'solo', 'a2'), ('b', 'app', 'b1'), ('b', 'solo', 'b2');\
    GRANT SELECT ON docs TO solo, postgres; CREATE POLICY tenants ON docs USING (tenant = current_setting('app.tenant', true));\
    ALTER TABLE docs ENABLE ROW LEVEL SECURITY";

fn watched(label: &str, more: &str) -> Watched<'static> {
    Watched::with(Cluster::shared(), label, &format!("{DOCS};{more}"), |builder| builder.no_replicas())
}

#[test]
fn c15_each_tenant_has_its_rows_from_the_cache_however_it_says_who_it_is() {
    let watched = watched("c15_tenants", "CREATE VIEW v AS SELECT canary FROM docs; GRANT SELECT ON v TO solo");
    let set = |client: &mut Wire, tenant: &str| drop(client.rows(&format!("SET app.tenant = '{tenant}'")));
    let simple = |client: &mut Wire, tenant: &str| {
        drop(client.rows(&format!("SELECT set_config('app.tenant', '{tenant}', false)")));
    };
    let extended = |client: &mut Wire, tenant: &str| {
        drop(client.extended("SELECT set_config('App.Tenant', $1, false)", &[Some(tenant)]));
    };
    let session = |client: &mut Wire, tenant: &str| drop(client.rows(&format!("SET SESSION APP.TENANT TO {tenant}")));
    let ways: [fn(&mut Wire, &str); 4] = [set, simple, extended, session];
    let mut client = watched.sidecache.connect("solo");
    // Before anybody has set it on the connection that this is filled by.
    assert_eq!(watched.warm(&mut client, READ), "", "nobody");
    for (way, tenant) in ways.iter().cycle().zip(["a", "b", "a", "c", "b", "a", "b"]) {
        way(&mut client, tenant);
        let expected = match tenant {
            "c" => String::new(),
            tenant => format!("{tenant}1;{tenant}2"),
        };
        assert_eq!(watched.warm(&mut client, READ), expected, "{tenant}");
        // Its first read, unless somebody else's roles have just changed the catalog.
        eventually(&format!("{tenant} to be shared with its like"), || {
            let mut other = watched.sidecache.connect("solo");
            way(&mut other, tenant);
            watched.look(|| assert_eq!(text(&other.rows(READ)), expected)).0.then_some(())
        });
    }
    let mut started = Wire::connect(&watched.sidecache.login("solo").with("app.tenant", "b")).expect("taken");
    assert_eq!(watched.warm(&mut started, READ), "b1;b2");
    // A view is read with its owner's rights, and its owner owns the table.
    assert_eq!(watched.warm(&mut client, "SELECT canary FROM v ORDER BY canary"), "a1;a2;b1;b2");
    watched.beside().rows("ALTER TABLE docs FORCE ROW LEVEL SECURITY");
    watched.hear();
    assert_eq!(watched.warm(&mut client, "SELECT canary FROM v ORDER BY canary"), "b1;b2");
    set(&mut client, "a");
    assert_eq!(watched.warm(&mut client, "SELECT canary FROM v ORDER BY canary"), "a1;a2");
    // What the policies say is part of what is read.
    for (policy, rows) in [("canary LIKE '%2'", "a2;b2"), ("tenant = current_setting('app.tenant', true)", "a1;a2")] {
        watched.beside().rows(&format!("ALTER POLICY tenants ON docs USING ({policy})"));
        watched.hear();
        assert_eq!(text(&client.rows(READ)), rows, "{policy}");
        assert_eq!(watched.warm(&mut client, READ), rows, "{policy}");
    }
}

#[test]
fn c15_within_a_transaction_the_tenant_is_its_own() {
    let watched = watched("c15_local", "");
    let mut warmer = watched.sidecache.connect("solo");
    for tenant in ["a", "b"] {
        warmer.rows(&format!("SET app.tenant = '{tenant}'"));
        watched.warm(&mut warmer, READ);
    }
    let mut client = watched.sidecache.connect("solo");
    for (begin, set, end) in [
        ("BEGIN", "SET LOCAL app.tenant = '$'", "COMMIT"),
        ("BEGIN", "SELECT set_config('app.tenant', '$', true)", "ROLLBACK"),
        ("BEGIN", "SET app.tenant = '$'", "ROLLBACK"),
    ] {
        for tenant in ["a", "b", "a"] {
            eventually(&format!("a hit after {set}"), || {
                // Again, if somebody else's roles have just changed the catalog.
                warmer.rows(&format!("SET app.tenant = '{tenant}'"));
                watched.warm(&mut warmer, READ);
                client.rows(begin);
                client.rows(&set.replace('$', tenant));
                let (hit, read) = watched.look(|| text(&client.rows(READ)));
                assert_eq!(read, format!("{tenant}1;{tenant}2"), "{set}");
                client.rows(end);
                assert_eq!(text(&client.rows(READ)), "", "{set} {end}");
                hit.then_some(())
            });
        }
    }
    // What was set and taken back is empty, which a policy can tell from never set.
    let mut direct = watched.cluster.connect("solo", &watched.database);
    let tells = "SELECT canary FROM docs WHERE current_setting('app.other', true) IS NULL ORDER BY 1";
    for session in [&mut client, &mut direct] {
        // One by one, since a text of several statements pins.
        for sql in ["SET app.tenant = 'a'", "SET app.other = 'x'", "RESET app.other"] {
            session.rows(sql);
        }
    }
    assert_eq!(text(&direct.rows(tells)), "");
    watched.never_cached(&mut client, tells);
}

#[test]
fn c15_each_role_has_its_rows_from_the_cache() {
    let watched = watched("c15_roles", "ALTER POLICY tenants ON docs USING (owner = current_user)");
    let (free, anon) = (format!("free_{}", watched.database), format!("anon_{}", watched.database));
    let mut root = watched.cluster.primary.connect_to(&watched.database);
    root.rows(&format!("CREATE ROLE {free} BYPASSRLS; CREATE ROLE {anon}; GRANT {free}, {anon} TO solo; GRANT SELECT ON docs TO {free}, {anon}"));
    root.rows(&format!("GRANT USAGE ON SCHEMA public TO {free}, {anon}"));
    watched.hear();
    let mut client = watched.sidecache.connect("solo");
    let prepared = Batch::new().parse("s", READ, &[]).bind("", "s", &[], Format::Text).execute("", 0).sync();
    said(&mut client, &prepared);
    let again = Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync();
    let by_statement = |client: &mut Wire| text(&rows(&said(client, &again)).expect("rows"));
    let all = "a1;a2;b1;b2";
    assert_eq!(watched.warm(&mut client, READ), "a2;b2");
    for (enter, leave, expected) in [
        (format!("SET ROLE {free}"), "RESET ROLE", all),
        (format!("SET ROLE {anon}"), "SET ROLE NONE", ""),
        (format!("SELECT set_config('role', '{anon}', false)"), "SET role = 'solo'", ""),
    ] {
        client.rows(&enter);
        assert_eq!(watched.warm(&mut client, READ), expected, "{enter}");
        assert_eq!(by_statement(&mut client), expected, "{enter}: a statement that two roles share");
        assert_eq!(by_statement(&mut client), expected, "{enter}: and again");
        client.rows(leave);
        assert_eq!(text(&client.rows(READ)), "a2;b2", "{leave}");
        assert_eq!(by_statement(&mut client), "a2;b2", "{leave}");
    }
    for (enter, expected) in [(&free, all), (&anon, "")] {
        for end in ["COMMIT", "ROLLBACK"] {
            client.rows("BEGIN");
            client.rows(&format!("SET LOCAL ROLE {enter}"));
            assert_eq!((text(&client.rows(READ)).as_str(), by_statement(&mut client).as_str()), (expected, expected));
            client.rows(end);
            assert_eq!((text(&client.rows(READ)).as_str(), by_statement(&mut client).as_str()), ("a2;b2", "a2;b2"));
        }
    }
    // Who owns the table sees all of it, unless its policies are for the owner too.
    let mut owner = watched.client();
    assert_eq!(watched.warm(&mut owner, READ), all);
    owner.rows("ALTER TABLE docs FORCE ROW LEVEL SECURITY");
    assert_eq!(text(&owner.rows(READ)), "a1;b1");
    assert_eq!(watched.warm(&mut owner, READ), "a1;b1");
    owner.rows("SET row_security = off");
    refused(&mut owner, READ, "42501");
    refused(&mut owner, READ, "42501");
    owner.rows("RESET row_security");
    assert_eq!(text(&owner.rows(READ)), "a1;b1");
    // A member is whom a policy says it is.
    owner.rows(&format!("ALTER POLICY tenants ON docs USING (tenant = 'a' OR pg_has_role('{anon}', 'member'))"));
    assert_eq!(watched.warm(&mut client, READ), all);
    root.rows(&format!("REVOKE {anon} FROM solo"));
    watched.hear();
    assert_eq!(text(&client.rows(READ)), "a1;a2");
    root.rows(&format!("DROP OWNED BY {free}, {anon}; DROP ROLE {free}, {anon}"));
}

#[test]
fn c15_a_function_in_sql_may_say_who_the_tenant_is() {
    let watched = watched(
        "c15_supabase",
        "CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth TO solo;\
         CREATE FUNCTION auth.uid() RETURNS text STABLE LANGUAGE sql AS $$ SELECT coalesce(\
             nullif(current_setting('request.jwt.claim.sub', true), ''),\
             (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')) $$;\
         ALTER POLICY tenants ON docs USING (tenant = auth.uid())",
    );
    let mut client = watched.sidecache.connect("solo");
    for tenant in ["a", "b", "a"] {
        let claims = format!("{{\"sub\": \"{tenant}\", \"role\": \"it's\\\\\"}}");
        client.extended("SELECT set_config('request.jwt.claims', $1, false)", &[Some(&claims)]);
        assert_eq!(watched.warm(&mut client, READ), format!("{tenant}1;{tenant}2"));
    }
    watched
        .beside()
        .rows("CREATE OR REPLACE FUNCTION auth.uid() RETURNS text STABLE LANGUAGE sql AS 'SELECT ''b''::text'");
    watched.hear();
    assert_eq!(text(&client.rows(READ)), "b1;b2");
    watched.beside().rows("ALTER FUNCTION auth.uid() SECURITY DEFINER");
    watched.hear();
    watched.never_cached(&mut client, READ);
}

#[test]
fn c15_a_role_may_start_with_a_tenant() {
    let watched = watched("c15_defaults", "");
    let database = &watched.database;
    let mut root = watched.cluster.primary.connect_to(database);
    let mut client = watched.sidecache.connect("solo");
    for (set, rows) in [
        (format!("ALTER DATABASE {database} SET \"App.tenant\" = 'a'"), "a1;a2"),
        (format!("ALTER ROLE solo IN DATABASE {database} SET app.tenant = 'b'"), "b1;b2"),
        (format!("ALTER ROLE solo IN DATABASE {database} RESET app.tenant"), "a1;a2"),
        (format!("ALTER DATABASE {database} RESET app.tenant"), ""),
    ] {
        root.rows(&set);
        watched.hear();
        eventually("connections that begin with it", || (text(&client.rows(READ)) == rows).then_some(()));
        assert_eq!(watched.warm(&mut client, READ), rows, "{set}");
        assert_eq!(watched.warm(&mut watched.sidecache.connect("solo"), READ), rows, "{set}: and who comes now");
    }
}

#[test]
fn c15_what_a_trigger_sets_is_nobody_elses() {
    let trigger = "CREATE TABLE told(tenant text, local bool); GRANT INSERT ON told TO solo;\
        CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS \
        $$BEGIN PERFORM set_config('app.tenant', NEW.tenant, NEW.local); RETURN NEW; END$$;\
        CREATE TRIGGER t BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION fires()";
    let database = Cluster::shared().database("c15_trigger");
    Cluster::shared().connect("app", &database).rows(&format!("{DOCS};{trigger}"));
    for pool in ["transaction", "session"] {
        let builder = crate::harness::sidecache::Sidecache::build(Cluster::shared(), &database);
        let sidecache = builder.no_replicas().pool(pool).flag("--pool-size", "2").start();
        let mut direct = Cluster::shared().connect("app", &database);
        for local in ["false", "true"] {
            for first in ["", "SET app.tenant = 'a'", "SELECT set_config('app.tenant', 'a', false)"] {
                let mut client = sidecache.connect("solo");
                if !first.is_empty() {
                    client.rows(first);
                }
                client.rows(&format!("INSERT INTO told VALUES ('b', {local})"));
                // Something new to fill.
                direct.rows("UPDATE docs SET canary = canary");
                sidecache.await_stream(Cluster::shared());
                let own = if first.is_empty() { "" } else { "a1;a2" };
                let mine = text(&client.rows(READ));
                let right = if local == "true" { own } else { "b1;b2" };
                assert_eq!(mine, right, "{pool} {first} {local}: as directly");
                drop(client);
                for _ in 0..3 {
                    let mut next = sidecache.connect("solo");
                    assert_eq!(text(&next.rows(READ)), "", "{pool} {first} {local}: nobody");
                    next.rows("SET app.tenant = 'a'");
                    assert_eq!(text(&next.rows(READ)), "a1;a2", "{pool} {first} {local}");
                    next.rows("SET app.tenant = 'b'");
                    assert_eq!(text(&next.rows(READ)), "b1;b2", "{pool} {first} {local}");
                }
            }
        }
    }
}

/// Numbers that are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 33).expect("31 bits") % sides
    }
}

/// One session through Sidecache with its double on a direct connection, which is told all the same.
struct Pair {
    through: Wire,
    direct: Wire,
}

impl Pair {
    fn tell(&mut self, sql: &str) {
        self.through.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        self.direct.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    fn tell_extended(&mut self, sql: &str, parameter: &str) {
        let batch = Batch::new().parse("", sql, &[]).bind("", "", &[Some(parameter)], Format::Text);
        let batch = batch.execute("", 0).sync();
        let (through, direct) = (said(&mut self.through, &batch), said(&mut self.direct, &batch));
        // A transaction may have failed before, in both.
        assert_eq!(outcome(&through), outcome(&direct), "{sql}");
    }
}

fn outcome(frames: &[crate::harness::wire::Frame]) -> String {
    rows(frames).map_or_else(|error| error.chars().take(5).collect(), |rows| text(&rows))
}

/// Sessions of several roles and tenants at random, while policies and rows change through Sidecache: each read is compared with the
/// same session's direct double.
fn random_run(seed: u64, steps: usize) {
    let watched = watched(
        "c15_random",
        "CREATE TABLE members(tenant text, who name); GRANT SELECT ON members TO solo, public;\
        INSERT INTO members VALUES ('a', 'solo'), ('b', 'app')",
    );
    let (free, anon) = (format!("free_{}", watched.database), format!("anon_{}", watched.database));
    let mut root = watched.cluster.primary.connect_to(&watched.database);
    root.rows(&format!("CREATE ROLE {free} BYPASSRLS; CREATE ROLE {anon}; GRANT {free}, {anon} TO solo; GRANT SELECT ON docs TO {free}, {anon}; GRANT USAGE ON SCHEMA public TO {free}, {anon}"));
    watched.hear();
    let mut dice = Dice(seed);
    let mut admin = watched.client();
    let prepare = Batch::new().parse("s", READ, &[]).sync();
    let run = Batch::new().bind("", "s", &[], Format::Text).execute("", 0).sync();
    let mut pairs: Vec<Pair> = (0..6)
        .map(|n| {
            let user = if n == 5 { "app" } else { "solo" };
            let mut pair = Pair {
                through: watched.sidecache.connect(user),
                direct: watched.cluster.connect(user, &watched.database),
            };
            said(&mut pair.through, &prepare);
            said(&mut pair.direct, &prepare);
            pair
        })
        .collect();
    let policies = [
        "tenant = current_setting('app.tenant', true)",
        "owner = current_user",
        "tenant IN (SELECT m.tenant FROM members m WHERE m.who = current_user)",
        "current_setting('app.admin', true) = 'yes' OR tenant = current_setting('app.tenant', true)",
        "tenant IN (SELECT m.tenant FROM members m WHERE m.who = session_user)",
        "false",
    ];
    let mut reads = 0;
    for step in 0..steps {
        let who = dice.roll(pairs.len());
        let pair = &mut pairs[who];
        let tenant = ["a", "b", "c"][dice.roll(3)];
        match dice.roll(24) {
            0 | 1 => pair.tell(&format!("SET app.tenant = '{tenant}'")),
            2 => pair.tell(&format!("SELECT set_config('app.tenant', '{tenant}', false)")),
            3 => pair.tell_extended("SELECT set_config('app.tenant', $1, false)", tenant),
            4 => pair.tell(&format!("SET LOCAL app.tenant = '{tenant}'")),
            5 => pair.tell_extended("SELECT set_config('app.tenant', $1, true)", tenant),
            6 => pair.tell("RESET app.tenant"),
            7 => pair.tell(["SET app.admin = 'yes'", "SET app.admin = 'no'"][dice.roll(2)]),
            8 => pair.tell(&format!("SET ROLE {}", [&*free, &*anon, "solo", "NONE"][dice.roll(4)])),
            9 => pair.tell(&format!("SET LOCAL ROLE {}", [&*free, &*anon][dice.roll(2)])),
            10 => pair.tell("RESET ROLE"),
            11 | 12 => pair.tell("BEGIN"),
            13 => pair.tell("COMMIT"),
            14 => pair.tell("ROLLBACK"),
            15 if dice.roll(3) == 0 => {
                let policy = policies[dice.roll(policies.len())];
                // Transactions that have read the table hold locks that the policy's change would wait for.
                pairs.iter_mut().for_each(|pair| pair.tell("ROLLBACK"));
                admin.rows(&format!("ALTER POLICY tenants ON docs USING ({policy})"));
            }
            16 if dice.roll(3) == 0 => {
                pairs.iter_mut().for_each(|pair| pair.tell("ROLLBACK"));
                let force = ["FORCE", "NO FORCE"][dice.roll(2)];
                admin.rows(&format!("ALTER TABLE docs {force} ROW LEVEL SECURITY"));
            }
            17 => {
                // Rows are heard within the bound: by then they are right again.
                drop(admin.rows("UPDATE members SET tenant = CASE tenant WHEN 'a' THEN 'b' ELSE 'a' END"));
                watched.hear();
            }
            _ => {
                let (through, direct) = match dice.roll(2) {
                    0 => (pair.through.query(READ).expect("alive"), pair.direct.query(READ).expect("alive")),
                    _ => (said(&mut pair.through, &run), said(&mut pair.direct, &run)),
                };
                assert_eq!(outcome(&through), outcome(&direct), "seed {seed}, step {step}: session {who}");
                reads += 1;
            }
        }
    }
    assert!(watched.hits() * 10 > reads, "{} hits of {reads} reads", watched.hits());
    println!("seed {seed}: {} hits of {reads} reads", watched.hits());
    drop(pairs);
    root.rows(&format!("DROP OWNED BY {free}, {anon}; DROP ROLE {free}, {anon}"));
}

#[test]
fn c15_no_row_of_another_role_or_tenant_is_ever_served() {
    random_run(15, 2_000);
}

#[test]
#[ignore = "long: part of `make test-all`"]
fn c15_no_row_of_another_role_or_tenant_is_ever_served_at_length() {
    for seed in 0..4 {
        random_run(seed, 20_000);
    }
}
