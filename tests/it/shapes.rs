//! Every message of a hit is what PostgreSQL would send (C18), in every shape of a batch.

use crate::harness::eventually;
use crate::harness::wire::{Batch, Format, Frame, Wire};
use crate::watched::Watched;

/// Batches whose every message must be what PostgreSQL would send; whether they can be hits.
fn shapes() -> Vec<(&'static str, Batch, bool)> {
    let two = "SELECT x, s FROM t WHERE x >= $1 ORDER BY x";
    let p = |sql: &str| Batch::new().parse("", sql, &[]);
    let bound = |formats: &[Format]| p(two).bind_as("", "", &[], &[Some(b"1")], formats);
    let all = || p("SELECT x FROM t ORDER BY x").bind("", "", &[], Format::Text);
    vec![
        ("simple", Batch::new().query("SELECT x, s FROM t ORDER BY x"), true),
        ("described", bound(&[Format::Text]).describe_portal("").execute("", 0).sync(), true),
        ("not_described", bound(&[Format::Text]).execute("", 0).sync(), true),
        ("binary", bound(&[Format::Binary]).describe_portal("").execute("", 0).sync(), true),
        ("by_column", bound(&[Format::Binary, Format::Text]).describe_portal("").execute("", 0).sync(), true),
        ("no_format", bound(&[]).describe_portal("").execute("", 0).sync(), true),
        (
            "binary_parameter",
            p(two)
                .bind_as("", "", &[Format::Binary], &[Some(&1_i32.to_be_bytes())], &[Format::Text])
                .describe_portal("")
                .execute("", 0)
                .sync(),
            true,
        ),
        (
            "typed_parameter",
            Batch::new()
                .parse("", "SELECT x FROM t WHERE x::text = $1::text", &[25])
                .bind("", "", &[Some("1")], Format::Text)
                .describe_portal("")
                .execute("", 0)
                .sync(),
            true,
        ),
        (
            "other_type",
            Batch::new()
                .parse("", "SELECT x FROM t WHERE x::text = $1::text", &[23])
                .bind("", "", &[Some("1")], Format::Text)
                .describe_portal("")
                .execute("", 0)
                .sync(),
            true,
        ),
        ("null_parameter", p(two).bind("", "", &[None], Format::Text).describe_portal("").execute("", 0).sync(), true),
        ("no_rows", p(two).bind("", "", &[Some("99")], Format::Text).describe_portal("").execute("", 0).sync(), true),
        ("no_columns", Batch::new().query("SELECT FROM t"), true),
        ("g16_flush_before_sync", all().describe_portal("").execute("", 0).flush().sync(), true),
        ("trailing_describe", all().execute("", 0).describe_portal("").sync(), false),
        ("statement_described", p(two).describe_statement("").sync(), false),
        ("g16_sync_after_parse", p(two).sync().bind("", "", &[Some("2")], Format::Text).execute("", 0).sync(), true),
        (
            "two_in_a_pipeline",
            all().execute("", 0).parse("", two, &[]).bind("", "", &[Some("2")], Format::Text).execute("", 0).sync(),
            false,
        ),
        ("several", Batch::new().query("SELECT x FROM t ORDER BY x; SELECT s FROM t ORDER BY s"), false),
        ("empty", Batch::new().query(""), false),
        ("error", Batch::new().query("SELECT 1 / (x - 1) FROM t"), false),
        ("bad_parameter", p(two).bind("", "", &[Some("one")], Format::Text).execute("", 0).sync(), false),
    ]
}

/// Reads all answers of a batch that holds so many Syncs or simple queries.
fn answers(client: &mut Wire, batch: &Batch) -> Vec<Frame> {
    let mut at = 0;
    let mut syncs = 0;
    while at < batch.0.len() {
        let length = u32::from_be_bytes(batch.0[at + 1..at + 5].try_into().expect("four bytes")) as usize;
        syncs += usize::from(matches!(batch.0[at], b'S' | b'Q'));
        at += 1 + length;
    }
    client.send(batch).expect("a connection that lives");
    (0..syncs).flat_map(|_| client.read_until_ready().expect("an answer")).collect()
}

#[test]
fn c18_every_message_of_a_hit_is_what_postgresql_sends() {
    let watched = Watched::shared(
        "c18_shape",
        "CREATE TABLE t(x int, s text); INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, 'c')",
    );
    let (mut client, mut direct) = (watched.client(), watched.beside());
    for (name, batch, cached) in shapes() {
        alike(&watched, &mut client, &mut direct, name, &batch, cached);
    }
}

/// The same batch again and again: always answered as directly, and from the cache if it is `cached`; in a transaction too.
pub fn alike(watched: &Watched<'_>, client: &mut Wire, direct: &mut Wire, name: &str, batch: &Batch, cached: bool) {
    let right = answers(direct, batch);
    let hits = watched.hits();
    let mut last = Vec::new();
    for round in 0..4 {
        last = answers(client, batch);
        assert_eq!(last, right, "{name}, time {round}");
    }
    if cached {
        // Not at once, if other tests' roles have just changed the catalog.
        eventually(&format!("{name}: an answer from the cache"), || {
            let (hit, again) = watched.look(|| answers(client, batch));
            assert_eq!(again, right, "{name}");
            hit.then_some(())
        });
    } else {
        assert!(!watched.look(|| answers(client, batch)).0, "{name}: served from the cache");
    }
    assert!(cached || watched.hits() == hits, "{name}");
    assert_eq!(last.last().map(|f| f.body.as_slice()), Some(&b"I"[..]), "{name}");
    client.rows("BEGIN");
    direct.rows("BEGIN");
    let (ours, theirs) = (answers(client, batch), answers(direct, batch));
    assert_eq!(ours, theirs, "{name}, in a transaction");
    client.rows("ROLLBACK");
    direct.rows("ROLLBACK");
}
