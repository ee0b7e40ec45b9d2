//! Portals that a client goes back to, and what ends them.

use crate::harness::eventually;
use crate::harness::wire::{Batch, Format, tags};
use crate::twins::{Step, Twins, ready};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)";

fn b() -> Batch {
    Batch::new()
}

fn q(text: &str) -> Step {
    ready(b().query(text))
}

fn bind(name: &str) -> Batch {
    b().bind("", name, &[], Format::Text)
}

/// A cursor WITH HOLD is a portal that outlives its transaction, and Close ends it.
#[test]
fn r18_close_ends_a_cursor_with_hold() {
    let twins = Twins::new("closehold", TABLE);
    let declare = || q("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id; COMMIT");
    let script = [
        ready(b().close_portal("c").sync()),
        declare(),
        q("FETCH 2 FROM c"),
        ready(b().close_portal("other").close_portal("").sync()),
        q("FETCH 2 FROM c"),
        ready(b().close_portal("c").sync()),
        q("FETCH 2 FROM c"),
        declare(),
        q("FETCH 2 FROM c"),
        ready(b().close_portal("c").close_statement("none").sync()),
        q("SELECT name FROM pg_cursors"),
    ];
    twins.same("Close of a cursor WITH HOLD", "", &script);
}

/// What is answered from the cache takes the place of the unnamed portal, as on a server.
#[test]
fn r18_a_hit_takes_the_place_of_the_unnamed_portal() {
    let twins = Twins::new("unnamedportal", TABLE);
    let read = "SELECT id FROM t WHERE id > 8 ORDER BY id";
    let whole = |name: &str| ready(bind(name).execute("", 0).sync());
    let part = || ready(bind("s1").execute("", 2).sync());
    let on = |rows: u32| ready(b().execute("", rows).sync());
    let one = |text: &str| ready(b().parse("", text, &[]).bind("", "", &[], Format::Text).execute("", 0).sync());
    let mut script = vec![
        ready(b().parse("s1", "SELECT id FROM t ORDER BY id", &[]).parse("s2", read, &[]).sync()),
        whole("s2"),
        whole("s2"),
        q(read),
        q(read),
    ];
    for between in [whole("s2"), q(read), one(read), one("DEALLOCATE none"), one("DEALLOCATE s2")] {
        script.extend([q("BEGIN"), part(), on(2), between.clone(), on(2), q("COMMIT")]);
        script.extend([q("BEGIN"), ready(bind("s1").sync()), between, on(0), q("COMMIT")]);
        script.push(ready(b().close_statement("s2").parse("s2", read, &[]).sync()));
    }
    twins.same("a hit and the unnamed portal", "", &script);
    let mut client = twins.through();
    eventually("a portal that has run to its end to be in nobody's way", || {
        // What an open transaction misses, it does not fill.
        client.rows(read);
        client.rows("BEGIN");
        client.extended("SAVEPOINT s", &[]);
        let hits = twins.sidecache.count("/cache/hits");
        client.extended(read, &[]);
        client.rows(read);
        let both = twins.sidecache.count("/cache/hits") == hits + 2;
        client.rows("COMMIT");
        both.then_some(())
    });
}

/// sqlx closes its portal in the batch that runs it: small answers and large ones are filled and hit in that form, and each is told what it asks for.
#[test]
fn r16_a_portal_that_its_batch_closes_is_a_hit_like_others() {
    let setup = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 200) i";
    let twins = Twins::with("closing", setup, |builder| builder.no_replicas());
    let run = |sql: &str| b().parse("", sql, &[]).bind("", "", &[], Format::Text).describe_portal("").execute("", 0);
    let closes = |sql: &str| ready(run(sql).close_portal("").sync());
    let (small, large) = ("SELECT id FROM t WHERE id < 3 ORDER BY id", "SELECT * FROM t ORDER BY id");
    let named = |name: &str| bind(name).execute("", 0).close_portal("").sync();
    let script = [
        closes(small),
        closes(large),
        ready(run(small).sync()),
        ready(run(large).sync()),
        ready(b().parse("s", small, &[]).describe_statement("s").sync()),
        ready(named("s")),
        ready(named("s")),
        q("BEGIN"),
        closes(small),
        closes(large),
        q("ROLLBACK"),
        ready(run(small).close_portal("none").sync()),
        ready(run(small).close_statement("s").sync()),
        ready(run(small).close_portal("").execute("", 0).sync()),
        ready(run(small).close_portal("").close_portal("").sync()),
    ];
    twins.same("closing", "", &script);
    let mut client = twins.through();
    for sql in [small, large] {
        eventually("a hit in that form, of what it filled itself", || {
            let hits = twins.sidecache.count("/cache/hits");
            client.run(&run(sql).close_portal("").sync()).expect("a connection that lives");
            (twins.sidecache.count("/cache/hits") > hits).then_some(())
        });
    }
    let own = client.run(&run("SHOW sidecache.consistency").close_portal("").sync()).expect("a connection that lives");
    assert_eq!(tags(&own), "12TDC3Z");
}
