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
    Changed(u64),
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
        1 => step.clone().prop_map(Event::Changed),
        2 => Just(Event::Pinged),
        4 => Just(Event::FilledPrimary),
        3 => step.prop_map(Event::FilledReplica),
    ];
    proptest::collection::vec(event, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Inside an epoch positions only grow, and an entry that was called outdated or changed is never servable again.
    #[test]
    fn monotone_positions_and_verdicts(history in events()) {
        let coherence = live();
        let (mut top, mut xid, mut doubts) = (1000, 200, 0);
        let mut proofs: Vec<(Proof, bool)> = Vec::new();
        for event in history {
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
                    let _ = coherence.catalog_verified(coherence.newest_doubt(), NOW, &seen, Lsn::ZERO);
                }
                Event::Changed(by) => {
                    let seen = snapshot(&format!("{0}:{0}:", xid + 1));
                    let _ = coherence.catalog_changed(doubts, NOW, &seen, lsn(top + by), None);
                    top += by;
                }
                Event::Pinged => coherence.pinged(NOW, lsn(top)),
                Event::FilledPrimary => {
                    let seen = primary(&format!("{0}:{0}:", xid + 1), top);
                    proofs.extend(fill(&coherence, seen, &[A]).map(|proof| (proof, true)));
                }
                Event::FilledReplica(ahead) => {
                    proofs.extend(fill(&coherence, replica(top + ahead, top + ahead), &[B]).map(|proof| (proof, true)));
                }
            }
            let after = (coherence.newest_doubt(), coherence.positions.read().1);
            prop_assert!(after.1.applied >= before.1.applied || starts);
            prop_assert!(after.1.floor >= before.1.floor && after.1.everything >= before.1.everything);
            prop_assert!(after.1.catalog_floor >= before.1.catalog_floor);
            prop_assert!(after.1.catalog_version >= before.1.catalog_version);
            prop_assert!(after.1.generation >= before.1.generation && after.0 >= before.0);
            for (proof, servable) in &mut proofs {
                let verdict = judge(&coherence, proof);
                prop_assert!(*servable || verdict.is_err());
                *servable &= !matches!(verdict, Err(Unservable::Outdated | Unservable::Changed));
                if verdict.is_ok() {
                    let status = coherence.status();
                    prop_assert!(proof.stamp >= status.floor && status.state == StreamState::Live);
                }
            }
        }
    }
}
