//! Settings and channels that functions leave in a session though no statement names them (C15, R20): by triggers, operators, domains and
//! functions in functions. What they left is that client's alone, and what others read of it is theirs.

use crate::harness::wire::Wire;
use crate::twins::Twins;

const LEAVE: &str = "
    CREATE FUNCTION tenant_now() RETURNS text LANGUAGE plpgsql STABLE AS
        $$BEGIN RETURN nullif(current_setting('acme.tenant', true), ''); END$$;
    CREATE TABLE audit_call(id int); CREATE TABLE audit_set(id int); CREATE TABLE audit_plan(id int);
    CREATE TABLE audit_name(id int); CREATE TABLE audit_listen(id int);
    CREATE FUNCTION audit_call() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM set_config('acme.tenant', 'b', false); RETURN new; END$$;
    CREATE FUNCTION audit_set() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN SET acme.tenant = 'b'; RETURN new; END$$;
    CREATE FUNCTION audit_plan() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN SET work_mem = '99MB'; SET enable_seqscan = off; RETURN new; END$$;
    CREATE FUNCTION audit_name() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM set_config('acme.' || right(tg_table_name, 4), 'b', false); RETURN new; END$$;
    CREATE FUNCTION audit_listen() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN LISTEN chan; RETURN new; END$$;
    CREATE TRIGGER t BEFORE INSERT ON audit_call FOR EACH ROW EXECUTE FUNCTION audit_call();
    CREATE TRIGGER t BEFORE INSERT ON audit_set FOR EACH ROW EXECUTE FUNCTION audit_set();
    CREATE TRIGGER t BEFORE INSERT ON audit_plan FOR EACH ROW EXECUTE FUNCTION audit_plan();
    CREATE TRIGGER t BEFORE INSERT ON audit_listen FOR EACH ROW EXECUTE FUNCTION audit_listen();
    CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE plpgsql AS
        $$BEGIN PERFORM set_config('acme.tenant', 'b', false); RETURN true; END$$;
    CREATE OPERATOR ===> (FUNCTION = same, LEFTARG = int, RIGHTARG = int);
    CREATE FUNCTION fits(text) RETURNS bool LANGUAGE plpgsql AS
        $$BEGIN PERFORM set_config('acme.tenant', 'b', false); RETURN true; END$$;
    CREATE DOMAIN fitting AS text CHECK (fits(value));
    CREATE FUNCTION enter() RETURNS void LANGUAGE plpgsql AS $$BEGIN SET acme.tenant = 'b'; END$$;
    CREATE FUNCTION login() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM enter(); END$$;
    CREATE FUNCTION remarked() RETURNS void LANGUAGE plpgsql AS $$BEGIN -- of b
        SET acme.tenant = 'b'; END$$;
    CREATE FUNCTION hear() RETURNS void LANGUAGE plpgsql AS $$BEGIN LISTEN chan; END$$;
    CREATE FUNCTION hears() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM hear(); END$$;";

/// What a client sees of what others may have left.
const SEEN: &str = "SELECT tenant_now(), current_setting('work_mem'), current_setting('enable_seqscan'), \
                    nullif(current_setting('acme.name', true), ''), (SELECT count(*) FROM pg_listening_channels())";

/// One client does this, then it and another look: directly, and through Sidecache.
fn seen(open: &dyn Fn() -> Wire, does: &[&str], look: &str) -> [Vec<Vec<Option<String>>>; 2] {
    let (mut client, mut other) = (open(), open());
    does.iter().for_each(|text| drop(client.rows(text)));
    // By now what came before is settled, and its connection is another's, if it is to be.
    client.rows("SELECT 1");
    [other.rows(look), client.rows(look)]
}

fn alike(twins: &Twins, does: &[&str], look: &str) {
    let right = seen(&|| twins.direct(), does, look);
    assert_eq!(seen(&|| twins.through(), does, look), right, "{does:?}");
}

#[test]
fn c15_what_unnamed_functions_set_is_the_writers() {
    let twins = Twins::with("c15_left", LEAVE, |builder| builder.no_replicas().flag("--pool-size", "2"));
    for does in [
        "INSERT INTO audit_call VALUES (1)",
        "INSERT INTO audit_set VALUES (1)",
        "SELECT 1 ===> 1",
        "SELECT 'x'::fitting",
        "SELECT login()",
        "SELECT remarked()",
    ] {
        alike(&twins, &[does], SEEN);
        alike(&twins, &["BEGIN", does, "COMMIT"], SEEN);
    }
}

/// What a trigger notes of one client is not found in what another writes.
#[test]
fn c15_what_a_trigger_reads_is_the_writers_own() {
    let setup = "
        CREATE TABLE logins(name text); CREATE TABLE orders(id serial, by text);
        CREATE FUNCTION enters() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM set_config('audit.by', new.name, false); RETURN new; END$$;
        CREATE FUNCTION signs() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN new.by := nullif(CURRENT_SETTING ('audit.by', true), ''); RETURN new; END$$;
        CREATE TRIGGER t BEFORE INSERT ON logins FOR EACH ROW EXECUTE FUNCTION enters();
        CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION signs();";
    let twins = Twins::with("c15_signs", setup, |builder| builder.no_replicas().flag("--pool-size", "2"));
    alike(&twins, &["INSERT INTO logins VALUES ('ann')"], "INSERT INTO orders VALUES (DEFAULT) RETURNING by");
}

/// PostgreSQL's own settings too, and channels: neither is named by anything that is asked for.
#[test]
fn r20_what_unnamed_functions_set_or_hear_is_the_writers() {
    let twins = Twins::with("r20_left", LEAVE, |builder| builder.no_replicas().flag("--pool-size", "2"));
    for does in ["INSERT INTO audit_plan VALUES (1)", "INSERT INTO audit_listen VALUES (1)", "SELECT hears()"] {
        alike(&twins, &[does], SEEN);
    }
    // What the client itself has set is no trigger's, nor is what ends with its transaction.
    alike(&twins, &["SET work_mem = '77MB'", "INSERT INTO audit_name VALUES (1)"], SEEN);
    let pins = || twins.sidecache.status()["pins"]["opaque"].as_u64().unwrap_or(0);
    let (mut client, before) = (twins.through(), pins());
    for _ in 0..3 {
        for text in [
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "SET LOCAL work_mem = '55MB'",
            "INSERT INTO audit_name VALUES (1)",
            "COMMIT",
        ] {
            client.rows(text);
        }
    }
    assert_eq!(pins(), before);
}

/// A name that is made as the function runs can be asked for by nobody.
#[test]
fn c15_what_is_set_by_a_name_that_was_made_is_the_writers() {
    let setup =
        format!("{LEAVE} CREATE TRIGGER t BEFORE INSERT ON audit_name FOR EACH ROW EXECUTE FUNCTION audit_name()");
    let twins = Twins::with("c15_made", &setup, |builder| builder.no_replicas().flag("--pool-size", "2"));
    alike(&twins, &["INSERT INTO audit_name VALUES (1)"], SEEN);
}
