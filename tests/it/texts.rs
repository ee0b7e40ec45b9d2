//! Texts beyond what is analysed: too long, too deep, of too many parts. They are PostgreSQL's to answer, uncached, each counted
//! with its own reason, and Sidecache lives.

use crate::harness::wire::{Batch, Format, Frame, Wire};
use crate::watched::Watched;

/// A text, and the reason for which it is not analysed.
fn texts() -> Vec<(&'static str, String, Option<&'static str>)> {
    let many = |from: usize, to: usize, each: fn(usize) -> String, between: &str| {
        (from..to).map(each).collect::<Vec<_>>().join(between)
    };
    let nested = |depth: usize| format!("SELECT {}x{} FROM t", "(".repeat(depth), ")".repeat(depth));
    let cases = |depth: usize| {
        format!("SELECT {}x{} FROM t ORDER BY x", "CASE WHEN x > 0 THEN ".repeat(depth), " ELSE 0 END".repeat(depth))
    };
    // Of constants, since with columns PostgreSQL itself would take minutes.
    let terms = |count| format!("SELECT x FROM t WHERE {}x>0 ORDER BY x", "true AND ".repeat(count));
    vec![
        ("1 MB of parentheses", nested(512 * 1024), Some("too_long")),
        ("1 MB of parentheses, half of them", format!("SELECT {}", "(".repeat(1024 * 1024)), Some("too_long")),
        ("1 MB of brackets", format!("SELECT x{} FROM t", "[1]".repeat(350_000)), Some("too_long")),
        (
            "a list of 100,000",
            format!("SELECT x FROM t WHERE x IN ({}) ORDER BY x", many(0, 100_000, |n| n.to_string(), ",")),
            Some("too_long"),
        ),
        ("50,000 conditions", terms(50_000), Some("too_long")),
        ("1,500 conditions", terms(1_500), None),
        ("10,000 sums", format!("SELECT x{} FROM t ORDER BY x", "+1".repeat(10_000)), Some("too_deep")),
        ("100 calls", format!("SELECT {}x{} FROM t ORDER BY 1", "abs(".repeat(100), ")".repeat(100)), Some("too_deep")),
        (
            "100 subqueries",
            format!("{}SELECT x FROM t{}", "SELECT * FROM (".repeat(100), ") s".repeat(100)),
            Some("too_deep"),
        ),
        ("100 unions", many(0, 100, |n| format!("SELECT x+{n} FROM t"), " UNION ") + " ORDER BY 1", None),
        ("40 cases", cases(40), None),
        ("400 cases", cases(400), Some("too_deep")),
        ("5,000 casts", format!("SELECT x{} FROM t ORDER BY 1", "::int".repeat(5_000)), Some("too_deep")),
        ("1 MB in one string", format!("SELECT x, '{}' FROM t ORDER BY x", "a".repeat(1024 * 1024)), Some("too_long")),
        ("1 MB of comments", format!("SELECT x FROM t {} ORDER BY x", "/* */ ".repeat(180_000)), None),
        ("2,000 statements", "SELECT 1;".repeat(2_000), Some("several_statements")),
    ]
}

/// What a server says, without the place in its own source.
fn said(frames: &[Frame]) -> Vec<(u8, Vec<u8>)> {
    let plain = |frame: &Frame| match frame.tag {
        b'E' => [b'S', b'C', b'M'].iter().filter_map(|letter| frame.field(*letter)).collect::<String>().into_bytes(),
        _ => frame.body.to_vec(),
    };
    frames.iter().map(|frame| (frame.tag, plain(frame))).collect()
}

fn both_ways(client: &mut Wire, (name, text): (&str, &str)) -> Vec<Vec<(u8, Vec<u8>)>> {
    [Batch::new().query(text), Batch::new().extended(text, &[], Format::Text)]
        .iter()
        .map(|batch| said(&client.run(batch).unwrap_or_else(|e| panic!("{name}: {e}"))))
        .collect()
}

#[test]
fn texts_beyond_all_bounds_are_postgresqls_to_answer() {
    let watched = Watched::shared("texts", "CREATE TABLE t(x int); INSERT INTO t VALUES (1), (2)");
    let [mut direct, mut client, mut other] = [watched.beside(), watched.client(), watched.client()];
    watched.warm(&mut other, "SELECT x FROM t");
    let count = |reason| watched.sidecache.metric("sidecache_bypasses_total", &[("reason", reason)]);
    for (name, text, reason) in texts() {
        let before = reason.map(count);
        let right = both_ways(&mut direct, (name, &text));
        for _ in 0..2 {
            let given = both_ways(&mut client, (name, &text));
            assert!(given == right, "{name}: another answer than PostgreSQL's");
        }
        if let (Some(reason), Some(before)) = (reason, before) {
            assert!(count(reason) >= before + 4.0, "{name}: not counted as {reason}");
        }
        assert_eq!(watched.warm(&mut other, "SELECT x FROM t"), "1;2", "{name}: others go on");
    }
}
