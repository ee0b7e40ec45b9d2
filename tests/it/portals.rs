//! Portals that a client goes back to, and what ends them.

use crate::harness::wire::Batch;
use crate::twins::{Step, Twins, ready};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)";

fn b() -> Batch {
    Batch::new()
}

fn q(text: &str) -> Step {
    ready(b().query(text))
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
