//! Batches that are flushed in parts, and texts that end a transaction in their midst: what of the settings stays is what PostgreSQL keeps,
//! for the client and for whoever has its connection next.

use crate::harness::wire::{Batch, Format};
use crate::twins::{Step, Twins, readies, ready, until};

/// Two schemas with one table, one of them with another.
const SETUP: &str = "CREATE SCHEMA b; CREATE TABLE u (v text); INSERT INTO u VALUES ('public');
    CREATE TABLE b.u (v text); INSERT INTO b.u VALUES ('b'); CREATE TABLE t (v int);
    CREATE TABLE twice (v int UNIQUE DEFERRABLE INITIALLY DEFERRED)";

const PATH: &str = "SET search_path = b";

fn twins(label: &str) -> Twins {
    Twins::with(label, SETUP, |builder| builder.no_replicas().flag("--pool-size", "2"))
}

fn b() -> Batch {
    Batch::new()
}

fn q(text: &str) -> Step {
    ready(b().query(text))
}

fn run(batch: Batch, text: &str) -> Batch {
    batch.parse("", text, &[]).bind("", "", &[], Format::Text).execute("", 0)
}

/// A part of a batch that succeeds.
fn part(text: &str) -> Step {
    until(run(b(), text).flush(), b'C')
}

/// A part of a batch that fails.
fn failing(text: &str) -> Step {
    until(run(b(), text).flush(), b'E')
}

/// The first client's steps, and then what both find, twice, since the second may fill what the first is answered.
fn looked_at(steps: Vec<Step>) -> Vec<(usize, Step)> {
    let mut script: Vec<_> = steps.into_iter().map(|step| (0, step)).collect();
    for who in [1, 0, 1, 0] {
        for look in ["SHOW search_path", "SHOW work_mem", "SHOW timezone", "SELECT v FROM u"] {
            script.push((who, q(look)));
        }
    }
    // Whoever asks for that path has it, on whatever connection.
    for who in [1, 0] {
        script.push((who, q(PATH)));
        script.push((who, q("SELECT v FROM u")));
        script.push((who, q("RESET search_path")));
        script.push((who, q("SELECT v FROM u")));
    }
    script
}

/// A block that an earlier part of the batch began is one for what fails behind it.
#[test]
fn r19_a_block_begun_in_an_earlier_part_of_a_batch_keeps_what_its_savepoint_keeps() {
    let twins = twins("flushed_block");
    let begun = || vec![part("BEGIN"), part(PATH), part("SAVEPOINT s"), ready(run(b(), "SELECT 1/0").sync())];
    for end in [vec!["ROLLBACK TO s", "COMMIT"], vec!["ROLLBACK"], vec!["ROLLBACK TO s", "ROLLBACK"], vec!["COMMIT"]] {
        let name = format!("{end:?}");
        let steps = begun().into_iter().chain(end.into_iter().map(q)).collect();
        twins.same_together(&name, &looked_at(steps));
    }
    let at_once = run(run(run(b(), "BEGIN"), PATH), "SAVEPOINT s").flush();
    let steps = vec![until(at_once, b'C'), ready(run(b(), "SELECT 1/0").sync()), q("ROLLBACK TO s"), q("COMMIT")];
    twins.same_together("at once", &looked_at(steps));
}

/// What a part of a batch has set is taken back by the failure of a later one, whichever part the Sync comes with.
#[test]
fn r19_what_fails_in_an_earlier_part_of_a_batch_takes_its_settings_back() {
    let twins = twins("flushed_failed");
    let sync = || ready(b().sync());
    let begun = || vec![q("BEGIN"), q("SELECT v FROM u FOR SHARE")];
    for (name, steps) in [
        ("outside", vec![part(PATH), failing("SELECT 1/0"), sync()]),
        ("behind a COMMIT", [begun(), vec![part("COMMIT"), part(PATH), failing("SELECT 1/0"), sync()]].concat()),
        ("behind a ROLLBACK", [begun(), vec![part("ROLLBACK"), part(PATH), failing("SELECT 1/0"), sync()]].concat()),
        ("before a COMMIT", [begun(), vec![part(PATH), part("COMMIT"), failing("SELECT 1/0"), sync()]].concat()),
        ("in a block", vec![q("BEGIN"), part(PATH), failing("SELECT 1/0"), sync(), q("COMMIT")]),
        (
            "of a COMMIT that fails",
            vec![q("BEGIN"), q(PATH), q("INSERT INTO public.twice VALUES (1), (1)"), failing("COMMIT"), sync()],
        ),
    ] {
        twins.same_together(name, &looked_at(steps));
    }
}

/// What was told a shape is looked at before it runs under another path: that it has gone fails the batch.
#[test]
fn r15_a_shape_that_is_gone_in_an_open_batch_takes_its_settings_back() {
    let twins = twins("flushed_shape");
    let told = ready(b().parse("s", "SELECT * FROM t", &[]).describe_statement("s").sync());
    let bound = ready(b().bind("", "s", &[], Format::Text).execute("", 0).sync());
    twins.same_together("shape", &looked_at(vec![told, part(PATH), bound]));
}

/// DISCARD ALL is committed at once, whatever fails behind it in its batch (`PreventInTransactionBlock` in xact.c).
#[test]
fn r19_what_discard_all_has_reset_stays_reset() {
    let twins = twins("flushed_discard");
    let discard = || run(b(), "DISCARD ALL");
    for (name, steps) in [
        ("one batch", vec![q(PATH), ready(run(discard(), "SELECT 1/0").sync())]),
        ("two parts", vec![q(PATH), until(discard().flush(), b'C'), ready(run(b(), "SELECT 1/0").sync())]),
        ("set again", vec![q(PATH), ready(run(run(discard(), "SET work_mem = '7MB'"), "SELECT 1/0").sync())]),
    ] {
        twins.same_together(name, &looked_at(steps));
    }
    let script = [ready(run(discard(), "SELECT 1/0").sync()), q("SHOW timezone"), q("SHOW search_path")];
    twins.same_as("startup", "", &script, |login| login.with("TimeZone", "Asia/Tokyo"));
}

/// Where a transaction ends in the midst of a text, what was set in it before is not lost sight of.
#[test]
fn r19_a_text_that_ends_its_transaction_ends_the_transactions_settings() {
    let twins = twins("text_ends");
    for texts in [
        vec!["BEGIN", PATH, "ROLLBACK; SELECT 1"],
        vec!["BEGIN", PATH, "ROLLBACK; BEGIN", "COMMIT"],
        vec!["BEGIN", PATH, "COMMIT; BEGIN", "ROLLBACK"],
        vec!["BEGIN", "SAVEPOINT s", PATH, "ROLLBACK TO s; SELECT 1", "COMMIT"],
        vec!["BEGIN", "SET work_mem = '9MB'", "COMMIT; SELECT 1/0"],
        vec!["BEGIN", PATH, "COMMIT; SELECT 1/0"],
        vec!["BEGIN", PATH, "SELECT 1; ABORT"],
        vec!["BEGIN", PATH, "END; SELECT 1"],
    ] {
        let name = format!("{texts:?}");
        twins.same_together(&name, &looked_at(texts.into_iter().map(q).collect()));
    }
}

/// A transaction's modes end with it, and are nothing to take back: from 16 on they cannot be reset (`GUC_NO_RESET`).
#[test]
fn r19_a_transactions_modes_are_not_carried_beyond_it() {
    let twins = twins("modes");
    for texts in [
        vec!["BEGIN", "SET transaction_read_only = on", "SELECT v FROM u", "COMMIT", "SELECT v FROM u"],
        vec!["CREATE TEMP TABLE mine (v int)", "SET transaction_isolation = 'serializable'", "SELECT v FROM u"],
        vec!["BEGIN", "SELECT set_config('transaction_isolation', 'serializable', true)", "COMMIT", "SELECT v FROM u"],
    ] {
        let name = format!("{texts:?}");
        twins.same_together(&name, &looked_at(texts.into_iter().map(q).collect()));
    }
}

/// Close drops what SQL has prepared, also where only the connection knows it.
#[test]
fn r13_close_drops_what_a_text_of_several_statements_has_prepared() {
    let twins = twins("closed");
    let script = [
        q("PREPARE x AS SELECT 1; SELECT 1"),
        ready(b().close_statement("x").sync()),
        q("EXECUTE x"),
        q("PREPARE x AS SELECT 2"),
        q("EXECUTE x"),
        ready(run(b().close_statement("x"), "SELECT 3").sync()),
        q("EXECUTE x"),
    ];
    twins.same("close", "", &script);
}

/// A simple query in a batch that has failed is skipped, ours like others.
#[test]
fn r16_a_query_that_sidecache_refuses_is_skipped_in_a_failed_batch() {
    let twins = twins("skipped");
    for text in ["SET sidecache.consistency = 'bogus'", "EXPLAIN (SIDECACHE) SELECT 1"] {
        let script = [failing("SELECT 1/0"), readies(b().query(text), 0), ready(b().sync()), q("SELECT 1")];
        twins.same(text, "", &script);
    }
}
