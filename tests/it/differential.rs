//! The same messages, direct and through Sidecache, must bring back the same messages, byte for byte: for a corpus of
//! statements in every form a driver may give them, cold and warm, and for scripted sequences that drivers send.

use crate::corpus::{self, Case, Expectation};
use crate::harness::cluster::Cluster;
use crate::harness::sidecache::Sidecache;
use crate::harness::wire::{Batch, Format, Frame, Login, Wire, tags};
use std::fmt::Write;
use std::io;
use std::time::Duration;

/// How a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Simple,
    /// Unnamed statement and portal, all in one batch.
    Unnamed(Format),
    /// A named statement, described in one batch and run in the next, without describing the portal.
    Named(Format),
}

const FORMS: [Form; 5] = [
    Form::Simple,
    Form::Unnamed(Format::Text),
    Form::Unnamed(Format::Binary),
    Form::Named(Format::Text),
    Form::Named(Format::Binary),
];

impl Form {
    fn batches(self, case: &Case) -> Vec<Batch> {
        let (sql, params) = (&case.sql, &case.params[..]);
        match self {
            Form::Simple => vec![Batch::new().query(sql)],
            Form::Unnamed(format) => vec![Batch::new().extended(sql, params, format)],
            Form::Named(format) => vec![
                Batch::new().parse("named", sql, &[]).describe_statement("named").sync(),
                Batch::new().bind("", "named", params, format).execute("", 0).sync(),
                Batch::new().close_statement("named").sync(),
            ],
        }
    }
}

/// A connection that is made anew when it is lost, so that one bad case does not spoil the next.
struct Line {
    login: Login,
    wire: Option<Wire>,
}

impl Line {
    fn new(login: Login) -> Line {
        Line { login, wire: None }
    }

    fn run(&mut self, batches: &[Batch]) -> io::Result<Vec<Vec<Frame>>> {
        let wire = match &mut self.wire {
            Some(wire) => wire,
            none => {
                let mut wire = Wire::connect(&self.login).unwrap_or_else(|e| panic!("connecting: {e:?}"));
                // A simple query may answer with nothing for a while, but none of the corpus for so long.
                wire.set_patience(Duration::from_secs(20));
                none.insert(wire)
            }
        };
        let run = |batch| Ok(wire.run(batch)?.into_iter().map(comparable).collect());
        let answer: io::Result<Vec<Vec<Frame>>> = batches.iter().map(run).collect();
        if answer.is_err() {
            self.wire = None;
        }
        answer
    }
}

/// The same without what names a place in PostgreSQL's source (file, line, routine): an error that Sidecache answers in
/// its stead, such as for a statement name it keeps, has none.
fn comparable(frame: Frame) -> Frame {
    if !matches!(frame.tag, b'E' | b'N') {
        return frame;
    }
    let fields = frame.body.split(|&b| b == 0).filter(|f| !f.is_empty() && !matches!(f[0], b'F' | b'L' | b'R'));
    let body = fields.flat_map(|f| f.iter().copied().chain([0])).chain([0]).collect();
    Frame { tag: frame.tag, body }
}

/// What two lists of answers do not share; `None` if all is the same.
fn difference(direct: &io::Result<Vec<Vec<Frame>>>, other: &io::Result<Vec<Vec<Frame>>>) -> Option<String> {
    let (direct, other) = match (direct, other) {
        (Ok(direct), Ok(other)) if direct == other => return None,
        (Ok(direct), Ok(other)) => (direct.concat(), other.concat()),
        (direct, other) => {
            let word = |r: &io::Result<Vec<Vec<Frame>>>| r.as_ref().map(|a| tags(&a.concat())).map_err(|e| e.kind());
            return Some(format!("direct {:?}, through {:?}", word(direct), word(other)));
        }
    };
    let first = direct.iter().zip(&other).find(|(a, b)| a != b);
    let shown = first.map_or(String::new(), |(a, b)| format!(": first {a:?} against {b:?}"));
    Some(format!("direct {}, through {}{}", tags(&direct), tags(&other), shown.chars().take(600).collect::<String>()))
}

/// Runs every case in every form directly and, `turns` times, through Sidecache. Returns all that differs.
fn differences(direct: &mut Line, through: &mut Line, cases: &[Case], turns: usize) -> Vec<String> {
    let mut found = Vec::new();
    for case in cases {
        for form in FORMS.into_iter().filter(|form| case.params.is_empty() || *form != Form::Simple) {
            let batches = form.batches(case);
            let expected = direct.run(&batches);
            for turn in 0..turns {
                if let Some(difference) = difference(&expected, &through.run(&batches)) {
                    found.push(format!("{} as {form:?}, turn {turn}: {difference}\n    {}", case.name, case.sql));
                }
            }
        }
    }
    found
}

fn none_of(found: &[String], what: &str) {
    let mut message = format!("{} differences in {what}", found.len());
    for difference in found.iter().take(20) {
        let _ = write!(message, "\n- {difference}");
    }
    assert!(found.is_empty(), "{message}");
}

fn corpus_is_the_same(label: &str, pool: &str, cache: &str) {
    let cluster = Cluster::shared();
    let database = cluster.database(label);
    cluster.connect("app", &database).rows(corpus::setup());
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, &database).pool(pool).cache(cache).start();
    if cache == "on" {
        sidecache.await_stream(cluster);
    }
    let mut direct = Line::new(cluster.login("app", &database));
    let mut through = Line::new(sidecache.login("app"));
    let statements = corpus::statements();
    let (cacheable, never): (Vec<Case>, Vec<Case>) =
        statements.into_iter().partition(|case| case.expectation == Expectation::Cacheable);

    none_of(&differences(&mut direct, &mut through, &cacheable, 3), "what may be cached");
    let hits = sidecache.count("/cache/hits");
    match cache {
        "on" => assert!(hits > 0, "nothing was a hit: the comparison proves little"),
        _ => assert_eq!(hits, 0),
    }
    // One at a time, to name the one that was answered from the cache.
    let mut found = Vec::new();
    for case in never {
        let before = sidecache.count("/cache/hits");
        found.extend(differences(&mut direct, &mut through, std::slice::from_ref(&case), 2));
        if sidecache.count("/cache/hits") != before {
            found.push(format!("{} was a hit: {}", case.name, case.sql));
        }
    }
    none_of(&found, "what may not be cached");
}

#[test]
fn corpus_through_transaction_pooling_with_cache() {
    corpus_is_the_same("diff_cached", "transaction", "on");
}

#[test]
fn corpus_through_session_pooling_without_cache() {
    corpus_is_the_same("diff_plain", "session", "off");
}

/// What drivers send beyond one query after the other. Each step is one packet, and the number of ReadyForQuery that
/// are due when it has been answered.
fn sequences() -> Vec<(&'static str, Vec<(Batch, usize)>)> {
    let b = Batch::new;
    let read = |b: Batch, n: &str| {
        b.parse("", "SELECT v FROM seq WHERE id = $1", &[23]).bind("", "", &[Some(n)], Format::Text)
    };
    let whole = |b: Batch, n: &str| read(b, n).describe_portal("").execute("", 0);
    let failing =
        |b: Batch| b.parse("", "SELECT 1 / (random() * 0)::int", &[]).bind("", "", &[], Format::Text).execute("", 0);
    vec![
        ("r16_flush_alone_before_a_simple_query", vec![(b().flush().query("SELECT 1"), 1)]),
        ("r16_sync_alone", vec![(b().sync(), 1), (b().sync().sync(), 2), (b().query("SELECT 1"), 1)]),
        // psycopg's pipeline mode after an error.
        (
            "r16_error_in_a_flushed_pipeline_then_sync_flush_and_query",
            vec![
                (failing(whole(b(), "1")).flush(), 0),
                (b().sync().flush(), 1),
                (b().query("SELECT v FROM seq WHERE id = 1"), 1),
            ],
        ),
        // node-postgres.
        ("g16_flush_before_sync", vec![(whole(b(), "1").flush().sync(), 1), (whole(b(), "1").flush().sync(), 1)]),
        // PHP's PDO.
        (
            "g16_sync_right_after_parse",
            vec![
                (b().parse("p", "SELECT v FROM seq WHERE id = $1", &[23]).sync(), 1),
                (b().bind("", "p", &[Some("1")], Format::Text).describe_portal("").execute("", 0).sync(), 1),
                (b().bind("", "p", &[Some("1")], Format::Text).describe_portal("").execute("", 0).sync(), 1),
                (b().close_statement("p").sync(), 1),
            ],
        ),
        ("g16_two_executes_of_one_portal", vec![(read(b(), "1").execute("", 0).execute("", 0).sync(), 1)]),
        ("g16_several_executes", vec![(whole(whole(whole(b(), "1"), "2"), "1").sync(), 1); 3]),
        ("r16_several_syncs_in_a_packet", vec![(whole(whole(b(), "1").sync(), "2").sync().query("SELECT 7"), 3); 2]),
        ("r16_error_skips_to_sync", vec![(whole(failing(whole(b(), "1")), "2").sync(), 1); 2]),
        (
            "r16_write_then_read_in_one_batch",
            vec![
                (whole(b(), "3").sync(), 1),
                (
                    whole(
                        b().parse("", "UPDATE seq SET v = 'new' WHERE id = 3", &[])
                            .bind("", "", &[], Format::Text)
                            .execute("", 0),
                        "3",
                    )
                    .sync(),
                    1,
                ),
                (b().query("UPDATE seq SET v = 'three' WHERE id = 3"), 1),
                (whole(b(), "3").sync(), 1),
            ],
        ),
        // postgres.js and lib/pq.
        (
            "r17_unnamed_statement_across_batches",
            vec![
                (b().parse("", "SELECT v FROM seq WHERE id = $1", &[23]).describe_statement("").sync(), 1),
                (b().bind("", "", &[Some("2")], Format::Text).execute("", 0).sync(), 1),
                (b().bind("", "", &[Some("1")], Format::Binary).execute("", 0).sync(), 1),
            ],
        ),
        (
            "r13_statement_names",
            vec![
                (b().parse("s", "SELEC 1", &[]).sync(), 1),
                (b().bind("", "s", &[], Format::Text).execute("", 0).sync(), 1),
                (b().parse("s", "SELECT 1", &[]).sync(), 1),
                (b().parse("s", "SELECT 2", &[]).sync(), 1),
                (b().close_statement("s").close_statement("nobody").close_portal("nobody").sync(), 1),
                (b().bind("", "s", &[], Format::Text).execute("", 0).sync(), 1),
                (b().parse("s", "SELECT 3", &[]).sync().query("DEALLOCATE s"), 2),
                (b().describe_statement("s").sync(), 1),
                (b().parse("s", "SELECT 4", &[]).sync().query("DISCARD ALL"), 2),
                (b().describe_statement("s").sync(), 1),
            ],
        ),
        (
            "r18_g6_portal_in_parts",
            vec![
                (
                    b().parse("", "SELECT id FROM seq ORDER BY id", &[])
                        .bind("", "", &[], Format::Text)
                        .execute("", 2)
                        .execute("", 2)
                        .execute("", 0)
                        .execute("", 0)
                        .sync(),
                    1
                );
                3
            ],
        ),
        (
            "r18_portal_across_batches_of_a_transaction",
            vec![
                (b().query("BEGIN"), 1),
                (
                    b().parse("", "SELECT id FROM seq ORDER BY id", &[])
                        .bind("c", "", &[], Format::Text)
                        .execute("c", 1)
                        .sync(),
                    1,
                ),
                (b().execute("c", 1).sync(), 1),
                (b().query("COMMIT"), 1),
                (b().execute("c", 1).sync(), 1),
            ],
        ),
        (
            "r8_begin_by_messages",
            vec![
                (
                    b().parse("", "BEGIN", &[])
                        .describe_statement("")
                        .bind("", "", &[], Format::Text)
                        .describe_portal("")
                        .execute("", 0)
                        .sync(),
                    1,
                ),
                (whole(b(), "1").sync(), 1),
                (b().query("SELECT nothing"), 1),
                (whole(b(), "1").sync(), 1),
                (b().query("ROLLBACK"), 1),
                (whole(b(), "1").sync(), 1),
            ],
        ),
        (
            "r7_copy",
            vec![
                (b().query("COPY seq TO STDOUT"), 1),
                (b().query("COPY copied FROM STDIN").copy_data(b"1\tone\n").copy_data(b"2\ttwo\n").copy_done(), 1),
                (b().query("COPY copied FROM STDIN").copy_data(b"3\tthree\n").copy_fail("changed my mind"), 1),
                (b().query("COPY copied FROM STDIN").copy_data(b"x\tthree\n").copy_data(b"y\t\n").copy_done(), 1),
                (
                    b().parse("", "COPY copied FROM STDIN", &[])
                        .bind("", "", &[], Format::Text)
                        .execute("", 0)
                        .copy_data(b"4\tfour\n")
                        .copy_done()
                        .sync(),
                    1,
                ),
                (b().query("SELECT count(*) FROM copied; TRUNCATE copied"), 1),
            ],
        ),
        (
            "r6_g11_several_statements",
            vec![
                (b().query("SELECT 1; UPDATE seq SET v = 'other' WHERE id = 2; SELECT v FROM seq WHERE id = 2"), 1),
                (whole(b(), "2").sync(), 1),
                (b().query("UPDATE seq SET v = 'two' WHERE id = 2; SELECT 1/0"), 1),
                (whole(b(), "2").sync(), 1),
                (b().query("UPDATE seq SET v = 'two' WHERE id = 2"), 1),
                (b().query(";;"), 1),
                (b().query(""), 1),
            ],
        ),
        ("extended_empty_query", vec![(whole_of(b(), "").sync(), 1); 2]),
        ("simple_query_in_an_unsynced_batch", vec![(read(b(), "1").execute("", 0).query("SELECT 2").sync(), 2)]),
        ("a_message_that_no_frontend_sends", vec![(b().message(b'~', b"??"), 0)]),
    ]
}

fn whole_of(b: Batch, sql: &str) -> Batch {
    b.parse("", sql, &[]).bind("", "", &[], Format::Text).describe_portal("").execute("", 0)
}

/// Sends each step, and reads until as many ReadyForQuery have come as are due; where none is due, the next step is
/// sent at once. Ends early where the server ends the session.
fn play(login: &Login, steps: &[(Batch, usize)]) -> Result<Vec<Frame>, String> {
    let mut wire = Wire::connect(login).map_err(|e| format!("connecting: {e:?}"))?;
    wire.set_patience(Duration::from_secs(10));
    let mut frames = Vec::new();
    for (number, (batch, due)) in steps.iter().enumerate() {
        let mut step = || -> io::Result<Vec<Frame>> {
            wire.send(batch)?;
            (0..*due).map(|_| wire.read_until_ready()).collect::<io::Result<Vec<_>>>().map(|f| f.concat())
        };
        match step() {
            Ok(answer) => frames.extend(answer),
            Err(e) => return Err(format!("step {number} after {}: {:?}", tags(&frames), e.kind())),
        }
    }
    // What still comes, if the last step was a protocol violation.
    if steps.last().is_some_and(|(_, due)| *due == 0) {
        while let Ok(frame) = wire.read_frame() {
            frames.push(frame);
        }
    }
    Ok(frames.into_iter().map(comparable).collect())
}

fn sequences_are_the_same(label: &str, pool: &str, cache: &str) {
    let cluster = Cluster::shared();
    let database = cluster.database(label);
    let mut app = cluster.connect("app", &database);
    app.rows("CREATE TABLE seq (id int PRIMARY KEY, v text)");
    app.rows("INSERT INTO seq VALUES (1, 'one'), (2, 'two'), (3, 'three')");
    app.rows("CREATE TABLE copied (id int, v text)");
    cluster.catch_up();
    let sidecache = Sidecache::build(cluster, &database).pool(pool).cache(cache).start();
    if cache == "on" {
        sidecache.await_stream(cluster);
    }
    let mut found = Vec::new();
    for (name, steps) in sequences() {
        let direct = play(&cluster.login("app", &database), &steps);
        for turn in 0..2 {
            let through = play(&sidecache.login("app"), &steps);
            if direct != through {
                found.push(match (&direct, &through) {
                    (Ok(a), Ok(b)) => {
                        let first = a.iter().zip(b).find(|(a, b)| a != b);
                        format!("{name}, turn {turn}: direct {}, through {}: {first:?}", tags(a), tags(b))
                    }
                    (a, b) => format!(
                        "{name}, turn {turn}: direct {:?}, through {:?}",
                        a.as_ref().map(|f| tags(f)),
                        b.as_ref().map(|f| tags(f))
                    ),
                });
            }
        }
    }
    none_of(&found, "scripted sequences");
}

#[test]
fn sequences_through_transaction_pooling_with_cache() {
    sequences_are_the_same("seq_cached", "transaction", "on");
}

#[test]
fn sequences_through_session_pooling_without_cache() {
    sequences_are_the_same("seq_plain", "session", "off");
}
