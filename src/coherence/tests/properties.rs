//! What holds after every history, whatever happened in it.

use super::*;
use proptest::prelude::*;

/// What may happen to the machine, in any order.
#[derive(Debug, Clone)]
enum Event {
    Heard(u64, u8),
    Applied(u64),
    Everything(u64),
    Started(u64),
    Lost,
    Doubted,
    Verified,
    /// Of this relation, or anything.
    Changed(u64, Option<RelationId>),
    Pinged,
    FilledPrimary,
    FilledReplica(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let step = 1..50_u64;
    let event = prop_oneof![
        4 => (step.clone(), 1..3_u8).prop_map(|(by, relation)| Event::Heard(by, relation)),
        4 => step.clone().prop_map(Event::Applied),
        1 => step.clone().prop_map(Event::Everything),
        1 => step.clone().prop_map(Event::Started),
        1 => Just(Event::Lost),
        1 => Just(Event::Doubted),
        2 => Just(Event::Verified),
        1 => (step.clone(), proptest::option::weighted(0.8, prop_oneof![Just(A), Just(B)])).prop_map(|(by, of)| Event::Changed(by, of)),
        2 => Just(Event::Pinged),
        4 => Just(Event::FilledPrimary),
        3 => step.prop_map(Event::FilledReplica),
    ];
    proptest::collection::vec(event, 1..80)
}

/// An entry, and what may be said of it without looking into the machine.
struct Stored {
    proof: Proof,
    relation: RelationId,
    servable: bool,
    /// The catalog was found again since, and nothing had been read that this verification had not seen.
    sure: bool,
    /// Every change of the catalog since left it.
    stands: bool,
}

fn fill_at(coherence: &Arc<Coherence>, now: Moment, evidence: Evidence, relation: RelationId) -> Option<Stored> {
    let ticket = coherence.begin_fill(now).ok()?;
    let proof = coherence.admit(ticket, &evidence, &[relation], now).ok()?;
    Some(Stored { proof, relation, servable: true, sure: false, stands: true })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Inside an epoch positions only grow, and an entry that was called outdated or changed is never servable again. Nothing outlives a change
    /// of the catalog but what was sure before it and does not depend on it, or lies after it.
    #[test]
    fn monotone_positions_and_verdicts(history in events()) {
        let coherence = live();
        let (mut top, mut xid, mut doubts) = (1000, 200, 0);
        let mut stored: Vec<Stored> = Vec::new();
        for (n, event) in history.into_iter().enumerate() {
            let now = Moment::from_micros(NOW.micros() + n as u64);
            let found_again = matches!(event, Event::Verified);
            let before = (coherence.newest_doubt(), coherence.positions.read().1);
            let starts = matches!(event, Event::Started(_));
            match event {
                Event::Heard(by, relation) => {
                    top += by;
                    xid += 1;
                    coherence.heard(&commit(top, xid, &[RelationId::new(relation.into())]));
                }
                Event::Applied(by) => {
                    top += by;
                    coherence.applied(lsn(top));
                }
                Event::Everything(by) => {
                    top += by;
                    xid += 1;
                    coherence.heard(&Commit { end: lsn(top), xid: Xid::new(xid), touch: Touch::Everything });
                }
                Event::Started(by) => {
                    top += by;
                    xid += 1;
                    coherence.stream_started(EPOCH, lsn(top));
                    let after = snapshot(&format!("{0}:{0}:", xid + 1));
                    coherence.probed(FullXid::new(xid.into()), &after);
                }
                Event::Lost => coherence.stream_lost(),
                Event::Doubted => doubts = coherence.doubt_catalog(),
                Event::Verified => {
                    let seen = snapshot(&format!("{0}:{0}:", xid + 1));
                    let _ = coherence.catalog_verified(coherence.newest_doubt(), now, &seen, coherence.position());
                }
                Event::Changed(by, of) => {
                    let seen = snapshot(&format!("{0}:{0}:", xid + 1));
                    let altered = of.as_ref().map(std::slice::from_ref);
                    let _ = coherence.catalog_changed(doubts, now, &seen, lsn(top + by), altered);
                    top += by;
                    for entry in &mut stored {
                        entry.stands &= entry.sure && of.is_some_and(|of| of != entry.relation);
                    }
                }
                Event::Pinged => coherence.pinged(NOW, lsn(top)),
                Event::FilledPrimary => {
                    let seen = primary(&format!("{0}:{0}:", xid + 1), top);
                    stored.extend(fill_at(&coherence, now, seen, A));
                }
                Event::FilledReplica(ahead) => {
                    stored.extend(fill_at(&coherence, now, replica(top + ahead, top + ahead), B));
                }
            }
            let after = (coherence.newest_doubt(), coherence.positions.read().1);
            prop_assert!(after.1.applied >= before.1.applied || starts);
            prop_assert!(after.1.floor >= before.1.floor && after.1.everything >= before.1.everything);
            prop_assert!(after.1.catalog_floor >= before.1.catalog_floor);
            prop_assert!(after.1.catalog_version >= before.1.catalog_version);
            prop_assert!(after.1.generation >= before.1.generation && after.0 >= before.0);
            for Stored { proof, servable, sure, stands, .. } in &mut stored {
                let verdict = judge(&coherence, proof);
                prop_assert!(*servable || verdict.is_err());
                *servable &= !matches!(verdict, Err(Unservable::Outdated | Unservable::Changed));
                *sure |= found_again && proof.high <= coherence.position() && *stands;
                if verdict.is_ok() {
                    let status = coherence.status();
                    prop_assert!(proof.stamp >= status.floor && status.state == StreamState::Live);
                    prop_assert!(*stands || proof.stamp > coherence.catalog_floor());
                }
            }
        }
    }
}
