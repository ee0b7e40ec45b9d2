//! Hostile and ordinary lines for the decoder.

use super::*;
use proptest::prelude::*;

fn run(lines: &[&str]) -> Vec<RawCommit> {
    let mut assembler = Assembler::new(NameEncoding::Utf8);
    let mut commits = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let position = Lsn::new(100 + number as u64);
        commits.extend(assembler.line(position, line.as_bytes()).expect("a transaction is named"));
    }
    commits
}

fn names(lines: &[&str]) -> Names {
    let mut all = vec!["BEGIN 7"];
    all.extend(lines);
    all.push("COMMIT 7");
    let commits = run(&all);
    assert_eq!(commits.len(), 1);
    assert_eq!(commits[0].xid, Xid::new(7));
    assert_eq!(commits[0].end, Lsn::new(100 + lines.len() as u64 + 1));
    sorted(commits[0].names.clone())
}

fn listed(of: &[(&str, &str)]) -> Names {
    let name = |&(schema, name): &(&str, &str)| QualifiedName { schema: schema.into(), name: name.into() };
    sorted(Names::Listed(of.iter().map(name).collect()))
}

fn sorted(names: Names) -> Names {
    match names {
        Names::Listed(mut list) => {
            list.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
            Names::Listed(list)
        }
        other => other,
    }
}

#[test]
fn rows_give_their_relation_once() {
    let read = names(&[
        "table public.orders: INSERT: id[integer]:1 note[text]:'table a.b: DELETE:'",
        "table public.orders: INSERT: id[integer]:2",
        "table public.lines: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2",
        "table public.orders: DELETE: (no-tuple-data)",
    ]);
    assert_eq!(read, listed(&[("public", "lines"), ("public", "orders")]));
}

#[test]
fn quoted_names_lose_their_quotes_and_keep_everything_else() {
    for (text, schema, name) in [
        (r#""My Schema"."My Table""#, "My Schema", "My Table"),
        (r#"public."say ""hi""""#, "public", r#"say "hi""#),
        (r#""a.b"."c.d: INSERT: ""#, "a.b", "c.d: INSERT: "),
        (r#""x, y"."z: TRUNCATE:""#, "x, y", "z: TRUNCATE:"),
        (r#"_a1."select""#, "_a1", "select"),
        ("\"é\".\"line\nbreak\"", "é", "line\nbreak"),
        (r#"public."""""#, "public", "\""),
    ] {
        assert_eq!(names(&[&format!("table {text}: INSERT: a[integer]:1")]), listed(&[(schema, name)]), "{text}");
    }
}

#[test]
fn truncate_lists_several_tables() {
    assert_eq!(
        names(&[r#"table public.a, public."B, c", s.d: TRUNCATE: restart_seqs cascade"#]),
        listed(&[("public", "a"), ("public", "B, c"), ("s", "d")])
    );
    assert_eq!(names(&["table public.a: TRUNCATE: (no-flags)"]), listed(&[("public", "a")]));
}

#[test]
fn an_empty_bracket_is_told_from_a_full_one() {
    assert_eq!(names(&[]), Names::Empty);
    let message = "message: transactional: 1 prefix: p, sz: 1 content:table a.b: INSERT:";
    assert_eq!(names(&[message]), Names::Empty, "anyone may write a message into a transaction that does DDL");
}

#[test]
fn c19_a_transaction_that_tells_of_ddl_is_told_from_one_that_changed_rows() {
    let row = "table public.a: INSERT: a[integer]:1";
    let told = "message: transactional: 1 prefix: sidecache.ddl, sz: 11 content:ALTER TABLE";
    let Names::Listed(rows) = names(&[row]) else { panic!("a row alone") };
    assert_eq!(names(&[row, told]), Names::Definitions(rows.clone()));
    assert_eq!(names(&[told, row]), Names::Definitions(rows));
    assert_eq!(names(&[told]), Names::Definitions(Vec::new()));
    for other in [
        "0 prefix: sidecache.ddl, sz: 0 content:",
        "1 prefix: sidecache.ddl2, sz: 0 content:",
        "1 prefix: sidecache.ddl",
    ] {
        let line = format!("message: transactional: {other}");
        assert_eq!(names(&[row, &line]), listed(&[("public", "a")]), "{line}");
    }
}

#[test]
fn what_is_not_understood_is_everything() {
    for line in [
        "",
        "table",
        "table ",
        "table public.t",
        "table public.t: ",
        "table public.t: MERGE: a",
        "table public.t INSERT: a",
        "table public: INSERT: a",
        "table .t: INSERT:",
        "table public.: INSERT:",
        "table Public.t: INSERT: a",
        "table public.\"t: INSERT: a",
        "table public.\"\": INSERT: a",
        "table public.t, : TRUNCATE:",
        "table public.a, public.b: INSERT: a",
        "table a.b.c: INSERT: x",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x', txid 5",
        "opening a streamed block for transaction",
        "sequence public.s: transactional:1",
        "BEGIN",
        "BEGIN x",
        "BEGIN 99999999999",
    ] {
        assert_eq!(names(&[line]), Names::Everything(Unclear::Line), "{line:?}");
    }
}

#[test]
fn brackets_that_do_not_fit_touch_everything() {
    let everything = Names::Everything(Unclear::Bracket);
    for lines in [
        &["COMMIT 5"][..],
        &["table a.b: INSERT: x", "BEGIN 5", "COMMIT 5"],
        &["BEGIN 4", "table a.b: INSERT: x", "BEGIN 5", "COMMIT 5"],
        &["BEGIN 4", "COMMIT 5"],
        &["BEGIN 5", "COMMIT"],
        &["BEGIN 5", "COMMIT five"],
    ] {
        let commits = run(lines);
        assert_eq!(commits.len(), 1, "{lines:?}");
        assert_eq!((commits[0].xid, &commits[0].names), (Xid::new(5), &everything), "{lines:?}");
    }
    assert_eq!(Assembler::new(NameEncoding::Utf8).line(Lsn::ZERO, b"COMMIT"), Err(Unnamed));
}

#[test]
fn a_bad_transaction_does_not_spoil_the_next() {
    let commits = run(&["BEGIN 4", "?", "COMMIT 4", "BEGIN 5", "table a.b: INSERT: x", "COMMIT 5"]);
    assert_eq!(commits[0].names, Names::Everything(Unclear::Line));
    assert_eq!(commits[1].names, listed(&[("a", "b")]));
}

#[test]
fn a_transaction_on_many_relations_stays_small() {
    let mut assembler = Assembler::new(NameEncoding::Utf8);
    assembler.line(Lsn::ZERO, b"BEGIN 1").unwrap();
    for table in 0..=MOST_NAMES {
        assembler.line(Lsn::ZERO, format!("table s.t{table}: INSERT: x").as_bytes()).unwrap();
    }
    let Bracket::Open { touched, .. } = &assembler.bracket else { panic!("open") };
    assert!(touched.names.is_empty());
    let commit = assembler.line(Lsn::ZERO, b"COMMIT 1").unwrap().unwrap();
    assert_eq!(commit.names, Names::Everything(Unclear::TooMany));
}

#[test]
fn a_name_in_another_encoding_is_not_taken_for_a_utf8_one() {
    let commit = |encoding, name: &[u8]| {
        let mut assembler = Assembler::new(encoding);
        assembler.line(Lsn::ZERO, b"BEGIN 1").unwrap();
        assembler.line(Lsn::ZERO, &[b"table public.\"", name, b"\": INSERT: x"].concat()).unwrap();
        assembler.line(Lsn::ZERO, b"COMMIT 1").unwrap().unwrap().names
    };
    // Latin-1 for `Ã©`, which is UTF-8 for `é`.
    assert_eq!(commit(NameEncoding::Other, b"\xC3\xA9"), Names::Everything(Unclear::Encoding));
    assert_eq!(commit(NameEncoding::Utf8, b"\xC3\xA9"), listed(&[("public", "é")]));
    assert_eq!(commit(NameEncoding::Utf8, b"\xE9"), Names::Everything(Unclear::Encoding));
    assert_eq!(commit(NameEncoding::Other, b"T"), listed(&[("public", "T")]));
}

/// What `quote_identifier` in ruleutils.c writes, keywords aside.
fn quote(name: &str) -> String {
    let bare =
        name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')) && !name.as_bytes()[0].is_ascii_digit();
    if bare { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let mut assembler = Assembler::new(NameEncoding::Utf8);
        for line in lines {
            let _ = assembler.line(Lsn::ZERO, &line);
        }
    }

    #[test]
    fn text_close_to_the_format_never_panics(lines in proptest::collection::vec(r#"(BEGIN |COMMIT |table |message: )?[a-c"., :é]{0,20}(: INSERT:|: TRUNCATE:)?[0-9]{0,11}"#, 0..20)) {
        let mut assembler = Assembler::new(NameEncoding::Utf8);
        for line in lines {
            let _ = assembler.line(Lsn::ZERO, line.as_bytes());
        }
    }

    #[test]
    fn any_list_of_names_is_read_back(list in proptest::collection::vec(("[^\0]{1,12}", "[a-z\"., :A-Z]{1,12}"), 1..5)) {
        let text: Vec<String> = list.iter().map(|(s, n)| format!("{}.{}", quote(s), quote(n))).collect();
        let read = names(&[&format!("table {}: TRUNCATE: (no-flags)", text.join(", "))]);
        let Names::Listed(read) = read else { return Err(TestCaseError::fail(format!("{read:?}"))) };
        for (schema, name) in &list {
            let wanted = QualifiedName { schema: schema.clone(), name: name.clone() };
            prop_assert!(read.contains(&wanted));
        }
    }

    #[test]
    fn a_line_cut_anywhere_never_names_another_relation(cut in 0usize..40) {
        let line = r#"table "a""b".c_d, e.f: TRUNCATE: cascade"#;
        let read = names(&[&line[..cut.min(line.len())]]);
        let whole = listed(&[("a\"b", "c_d"), ("e", "f")]);
        prop_assert!(matches!(read, Names::Everything(_)) || read == whole, "{read:?}");
    }
}
