//! What `coherence` is told of commits and verifications, with a catalog of one table.

use super::*;
use crate::catalog::{CatalogVersion, Current, Parts, Persistence, Relation, RelationKind, Storage};
use crate::coherence::{CatalogState, Demand, Evidence, FillRefusal, Floor, Proof, StreamState, Unservable};
use crate::types::{Level, Xid};
use std::time::Duration;

const EPOCH: Epoch = Epoch::new(7);
const OTHER: Epoch = Epoch::new(8);

fn catalog(version: u64, tables: &[&str]) -> Catalog {
    let relation = |(number, name): (usize, &&str)| Relation {
        id: RelationId::new(20_000 + u32::try_from(number).unwrap()),
        schema: "public".into(),
        name: (*name).into(),
        kind: RelationKind::Table,
        persistence: Persistence::Permanent,
        storage: Storage::Own,
        row_security: false,
        policies: Vec::new(),
        columns: vec![],
        descendants: vec![],
        definition: None,
        rule_dependencies: vec![],
        has_rules: false,
    };
    let relations = tables.iter().enumerate().map(relation).collect();
    Catalog::new(CatalogVersion(version), Parts { relations, ..Parts::default() })
}

fn snapshot(text: &str) -> Snapshot {
    text.parse().unwrap()
}

/// Hears a stream that began at 100 and was probed and verified.
fn hearing() -> Arc<Hearing> {
    let catalog = Arc::new(Current::new(catalog(1, &["known"])));
    let hearing = Hearing::new(Coherence::new(Duration::from_secs(1)), catalog);
    hearing.begin(EPOCH, Lsn::new(100));
    hearing.probed(FullXid::new(500), &snapshot("501:501:"));
    assert_eq!(hearing.settle_same(EPOCH, &hearing.question(), &snapshot("501:501:")), Outcome::Settled);
    assert_eq!(fill(&hearing), Ok(()));
    hearing
}

fn fill(hearing: &Hearing) -> Result<(), FillRefusal> {
    hearing.coherence.begin_fill(Moment::from_micros(1)).map(drop)
}

fn commit(end: u64, xid: u32, names: Names) -> Heard {
    Heard::Commit(RawCommit { end: Lsn::new(end), xid: Xid::new(xid), names })
}

fn of(tables: &[&str]) -> Names {
    let name = |name: &&str| QualifiedName { schema: "public".into(), name: (*name).into() };
    Names::Listed(tables.iter().map(name).collect())
}

#[test]
fn rows_of_known_tables_leave_the_catalog_alone() {
    let hearing = hearing();
    let mut heard = vec![commit(110, 600, of(&["known"])), Heard::Position(Lsn::new(120))];
    hearing.take(&mut heard);
    assert!(heard.is_empty());
    assert_eq!(hearing.coherence.position(), Lsn::new(120));
    assert_eq!(fill(&hearing), Ok(()));
    assert_eq!(hearing.counters.unknown_names.read(), 0);
    assert!(!hearing.stands_still(Lsn::new(100)));
}

#[test]
fn c19_whatever_may_be_ddl_is_in_doubt_until_a_verification_sees_it() {
    for names in [
        Names::Empty,
        Names::Definitions(Vec::new()),
        of(&["known", "unknown"]),
        Names::Everything(super::super::decode::Unclear::Line),
    ] {
        let hearing = hearing();
        hearing.take(&mut vec![commit(110, 600, names)]);
        assert_eq!(fill(&hearing), Err(FillRefusal::CatalogInDoubt));
        // Heard, and still invisible to the verification: it proves nothing.
        assert_eq!(hearing.settle_same(EPOCH, &hearing.question(), &snapshot("600:601:600")), Outcome::Again);
        assert_eq!(fill(&hearing), Err(FillRefusal::CatalogInDoubt));
        assert_eq!(hearing.settle_same(EPOCH, &hearing.question(), &snapshot("601:601:")), Outcome::Settled);
        assert_eq!(fill(&hearing), Ok(()));
    }
}

#[test]
fn c19_a_verification_that_began_before_the_doubt_does_not_settle_it() {
    let hearing = hearing();
    let question = hearing.question();
    let doubt = hearing.coherence.doubt_catalog();
    assert_eq!(hearing.settle_same(EPOCH, &question, &snapshot("700:700:")), Outcome::Again);
    assert!(*hearing.settled.borrow() < doubt);
    assert_eq!(hearing.settle_same(EPOCH, &hearing.question(), &snapshot("700:700:")), Outcome::Settled);
    assert_eq!(*hearing.settled.borrow(), doubt);
}

#[test]
fn names_are_looked_up_in_the_catalog_that_is_loaded() {
    let hearing = hearing();
    hearing.take(&mut vec![commit(110, 600, of(&["new"]))]);
    let new = catalog(2, &["known", "new"]);
    let seen = snapshot("601:601:");
    assert_eq!(hearing.settle_changed(EPOCH, &hearing.question(), &seen, new, Lsn::new(115), None), Outcome::Settled);
    assert_eq!(hearing.catalog.version(), CatalogVersion(2));
    hearing.take(&mut vec![commit(130, 602, of(&["new"]))]);
    assert_eq!(hearing.counters.unknown_names.read(), 1, "known by the second commit");
    assert_eq!(fill(&hearing), Ok(()));
}

#[test]
fn c6_another_incarnation_settles_nothing() {
    let hearing = hearing();
    hearing.coherence.doubt_catalog();
    let settled = *hearing.settled.borrow();
    let (question, seen) = (hearing.question(), snapshot("900:900:"));
    assert_eq!(hearing.settle_same(OTHER, &question, &seen), Outcome::Unheard);
    assert_eq!(hearing.settle_changed(OTHER, &question, &seen, catalog(2, &[]), Lsn::new(9), None), Outcome::Unheard);
    assert_eq!(fill(&hearing), Err(FillRefusal::CatalogInDoubt));
    assert_eq!(*hearing.settled.borrow(), settled, "nobody was told that it is settled");
    assert_eq!(hearing.catalog.version(), CatalogVersion(2), "plans use what is newest");
}

#[test]
fn without_a_stream_the_catalog_is_kept_for_plans() {
    let hearing = hearing();
    hearing.lose();
    assert_eq!(hearing.coherence.status().state, StreamState::Lost);
    let doubt = hearing.coherence.doubt_catalog();
    let seen = snapshot("900:900:");
    assert_eq!(
        hearing.settle_changed(EPOCH, &hearing.question(), &seen, catalog(2, &[]), Lsn::new(9), None),
        Outcome::Unheard
    );
    assert_eq!(hearing.catalog.version(), CatalogVersion(2));
    assert!(*hearing.settled.borrow() >= doubt, "whoever waits for its own DDL to be known may go on");
    assert_eq!(hearing.coherence.status().catalog, CatalogState::InDoubt, "a stream that comes must verify");
}

#[test]
fn an_idle_stream_stands_still_and_a_position_ends_that() {
    let hearing = hearing();
    assert!(hearing.stands_still(Lsn::new(100)));
    hearing.take(&mut vec![Heard::Position(Lsn::new(101))]);
    assert!(!hearing.stands_still(Lsn::new(100)));
    hearing.take(&mut vec![commit(110, 600, of(&["known"]))]);
    assert!(!hearing.stands_still(Lsn::new(110)), "no verification has seen that commit");
}

#[test]
fn c19_ddl_that_was_told_of_voids_what_nothing_shows_to_have_been_read_before_it() {
    // A table that is not known tells of DDL too: by now it may be gone again.
    for told in [Names::Definitions(Vec::new()), of(&["unknown"])] {
        what_is_not_sure_is_void(told);
    }
}

fn what_is_not_sure_is_void(told: Names) {
    let hearing = hearing();
    let now = Moment::now();
    hearing.coherence.pinged(now, Lsn::new(100));
    let moment = |micros| Moment::from_micros(now.micros() + micros);
    let known = RelationId::new(20_000);
    let entry = || {
        let ticket = hearing.coherence.begin_fill(now).expect("it may begin");
        let (snapshot, high) = (snapshot("600:600:"), Lsn::new(100));
        hearing.coherence.admit(ticket, &Evidence::Primary { snapshot, high }, &[known], now).expect("it is proven")
    };
    let demand = Demand { level: Level::Bounded, floor: Floor::default(), now };
    let judge = |proof: &Proof| hearing.coherence.judge(proof, &demand);
    let (sure, unsure) = (entry(), entry());
    let question = Question { sent: moment(1), ..hearing.question() };
    assert_eq!(hearing.settle_same(EPOCH, &question, &snapshot("600:600:")), Outcome::Settled);
    assert_eq!(judge(&sure), Ok(()));
    hearing.take(&mut vec![commit(110, 600, told)]);
    assert_eq!(judge(&sure), Err(Unservable::CatalogInDoubt));
    let question = Question { sent: moment(2), ..hearing.question() };
    assert_eq!(hearing.settle_same(EPOCH, &question, &snapshot("601:601:")), Outcome::Settled, "taken back");
    assert_eq!((judge(&sure), judge(&unsure)), (Ok(()), Err(Unservable::Outdated)));
    // And what it did to rows counts beside it.
    let Names::Listed(names) = of(&["known"]) else { panic!("rows") };
    hearing.take(&mut vec![commit(120, 601, Names::Definitions(names))]);
    let question = Question { sent: moment(3), ..hearing.question() };
    assert_eq!(hearing.settle_same(EPOCH, &question, &snapshot("602:602:")), Outcome::Settled);
    assert_eq!(judge(&sure), Err(Unservable::Changed));
}
