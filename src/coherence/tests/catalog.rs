//! What a change of the catalog, or the fear of one, does to entries and fills.

use super::*;

#[test]
fn c19_a_doubt_stops_everything_until_a_verification_that_began_after_it() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let under_way = coherence.begin_fill(NOW).unwrap();
    let doubt = coherence.doubt_catalog();
    coherence.doubt_catalog();
    assert_eq!(judge(&coherence, &proof), Err(Unservable::CatalogInDoubt));
    assert_eq!(coherence.begin_fill(NOW).unwrap_err(), FillRefusal::CatalogInDoubt);
    assert_eq!(coherence.catalog_need(), CatalogNeed::Now);
    let seen = snapshot("101:101:");
    assert_eq!(coherence.catalog_verified(doubt, NOW, &seen, Lsn::ZERO), Verification::StillInDoubt);
    assert_eq!(judge(&coherence, &proof), Err(Unservable::CatalogInDoubt));
    let refusal = coherence.admit(under_way, &primary("101:101:", 1000), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::CatalogInDoubt);
    settle(&coherence, "101:101:");
    assert_eq!(judge(&coherence, &proof), Ok(()));
    assert_eq!(coherence.catalog_need(), CatalogNeed::Nothing);
}

#[test]
fn c19_an_empty_bracket_is_a_doubt_that_only_a_verification_which_sees_it_settles() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    hear(&coherence, Commit { end: lsn(1100), xid: Xid::new(101), touch: Touch::Unknown });
    assert_eq!(judge(&coherence, &proof), Err(Unservable::CatalogInDoubt));
    let doubt = coherence.newest_doubt();
    let waiting = snapshot("101:102:101");
    assert_eq!(coherence.catalog_verified(doubt, NOW, &waiting, Lsn::ZERO), Verification::StillInDoubt);
    settle(&coherence, "102:102:");
    assert_eq!(judge(&coherence, &proof), Ok(()), "it moved no position");
    let held = fill(&coherence, primary("101:102:101", 1100), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible, "but every fill must have seen it");
    // Even where the stream has not said yet that it is past it.
    coherence.heard(&Commit { end: lsn(1200), xid: Xid::new(102), touch: Touch::Unknown });
    settle(&coherence, "103:103:");
    let held = fill(&coherence, primary("102:103:102", 1200), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible);
}

#[test]
fn c19_a_changed_catalog_voids_stamps_names_and_fills() {
    let coherence = live();
    let old = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    // On an idle primary a replica may be exactly where the change is found.
    coherence.pinged(NOW, lsn(1200));
    let level = fill(&coherence, replica(1200, 1200), &[A]).unwrap();
    let under_way = coherence.begin_fill(NOW).unwrap();
    let elsewhere = coherence.begin_fill(NOW).unwrap();
    hear(&coherence, commit(1100, 101, &[B]));
    let doubt = coherence.doubt_catalog();
    let seen = snapshot("102:102:");
    assert_eq!(coherence.catalog_changed(doubt, NOW, &seen, lsn(1200), None), Verification::Settled);
    assert_eq!(judge(&coherence, &old), Err(Unservable::Outdated));
    assert_eq!(judge(&coherence, &level), Err(Unservable::Outdated));
    let refusal = coherence.admit(under_way, &primary("102:102:", 1200), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::Overtaken);
    let refusal = coherence.admit(elsewhere, &replica(1300, 1300), &[A], NOW);
    assert_eq!(refusal.unwrap_err(), FillRefusal::Overtaken, "it was planned with the old catalog");
    // Until the stream is there, a fill would be void at once.
    assert_eq!(fill(&coherence, primary("102:102:", 1200), &[A]).unwrap_err(), FillRefusal::Overtaken);
    assert_eq!(fill(&coherence, replica(1199, 1200), &[A]).unwrap_err(), FillRefusal::ReplicaNotProven);
    // A commit up to there may have been named after the old catalog: it counts for all.
    hear(&coherence, commit(1150, 102, &[B]));
    coherence.applied(lsn(1200));
    let held = fill(&coherence, primary("102:103:102", 1200), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible);
    let proof = fill(&coherence, primary("103:103:", 1200), &[A]).unwrap();
    assert_eq!(judge(&coherence, &proof), Ok(()), "filled under this catalog, though exactly at the change");
    let shared = |asked, stamp| coherence.adopt(EPOCH, (lsn(stamp), lsn(asked), lsn(stamp)), &[A]);
    assert_eq!(judge(&coherence, &shared(1200, 1200)), Err(Unservable::Outdated));
    assert_eq!(judge(&coherence, &shared(1200, 1300)), Err(Unservable::Outdated), "read before, though proven later");
    assert_eq!(judge(&coherence, &shared(1201, 1300)), Ok(()));
}

#[test]
fn c19_names_heard_before_a_change_count_for_all_after_it() {
    let coherence = live();
    hear(&coherence, commit(1100, 101, &[B]));
    let doubt = coherence.doubt_catalog();
    let _ = coherence.catalog_changed(doubt, NOW, &snapshot("101:102:101"), lsn(1100), None);
    let held = fill(&coherence, primary("101:102:101", 1100), &[A]);
    assert_eq!(held.unwrap_err(), FillRefusal::CommitNotVisible);
}

#[test]
fn c19_rows_and_catalog_in_one_transaction_make_hits_as_old_as_the_last_verification() {
    let coherence = live();
    let proof = fill(&coherence, primary("101:101:", 1000), &[A]).unwrap();
    let later = Moment::from_micros(NOW.micros() + 1_500_000);
    coherence.pinged(later, lsn(1000));
    let read = Demand { now: later, ..demand(Level::Bounded) };
    assert_eq!(coherence.judge(&proof, &read), Err(Unservable::NotFresh), "roles may have changed in other databases");
    let doubt = coherence.newest_doubt();
    let _ = coherence.catalog_verified(doubt, later, &snapshot("101:101:"), Lsn::ZERO);
    assert_eq!(coherence.judge(&proof, &read), Ok(()));
    let later = Moment::from_micros(later.micros() + 1_500_000);
    let read = Demand { now: later, ..demand(Level::Bounded) };
    coherence.pinged(later, lsn(1000));
    hear(&coherence, commit(1100, 101, &[B]));
    assert_eq!(coherence.catalog_need(), CatalogNeed::Soon);
    assert_eq!(coherence.judge(&proof, &read), Err(Unservable::NotFresh));
    let doubt = coherence.newest_doubt();
    let _ = coherence.catalog_verified(doubt, later, &snapshot("101:102:101"), Lsn::ZERO);
    assert_eq!(coherence.judge(&proof, &read), Ok(()), "as fresh as the verification");
    assert_eq!(coherence.catalog_need(), CatalogNeed::Soon, "which did not see the transaction");
    let _ = coherence.catalog_verified(doubt, later, &snapshot("102:102:"), Lsn::ZERO);
    assert_eq!(coherence.catalog_need(), CatalogNeed::Nothing);
}

#[test]
fn c19_a_verification_from_before_the_stream_settles_nothing() {
    let coherence = live();
    let doubt = coherence.newest_doubt();
    coherence.stream_lost();
    coherence.stream_started(Epoch::new(8), lsn(500));
    coherence.probed(FullXid::new(100), &snapshot("101:101:"));
    let seen = snapshot("101:101:");
    assert_eq!(coherence.catalog_changed(doubt, NOW, &seen, lsn(1 << 40), None), Verification::StillInDoubt);
    hear(&coherence, commit(501, 101, &[B]));
    let _ = coherence.catalog_verified(doubt, NOW, &snapshot("900:900:"), Lsn::ZERO);
    settle(&coherence, "101:101:");
    assert_eq!(coherence.catalog_need(), CatalogNeed::Soon, "what it showed was another server's");
    assert!(fill(&coherence, primary("102:102:", 501), &[A]).is_ok(), "nor does its position count");
}

#[test]
fn c19_where_single_relations_are_altered_what_was_surely_read_before_and_does_not_depend_on_them_stands() {
    let coherence = live();
    let later = |micros| Moment::from_micros(NOW.micros() + micros);
    let seen = snapshot("101:101:");
    let find_again = |at| coherence.catalog_verified(coherence.newest_doubt(), at, &seen, lsn(1000));
    let alter = |altered: Option<&[RelationId]>, at| {
        coherence.catalog_changed(coherence.newest_doubt(), later(2), &seen, lsn(at), altered)
    };
    let entry = || fill(&coherence, primary("101:101:", 1000), &[B]).unwrap();
    let (a, b) = (fill(&coherence, primary("101:101:", 1000), &[A]).unwrap(), entry());
    let (never_asked, too_high) = (entry(), fill(&coherence, primary("101:101:", 1001), &[B]).unwrap());
    let _ = find_again(NOW);
    assert_eq!(judge(&coherence, &b), Ok(()));
    let not_before = b.clone();
    let _ = find_again(later(1));
    let asked = [&a, &b, &too_high].map(|proof| judge(&coherence, proof));
    assert_eq!(asked, [Ok(()); 3]);
    assert_eq!(alter(Some(&[A]), 1200), Verification::Settled);
    assert_eq!(judge(&coherence, &b), Ok(()));
    assert_eq!(judge(&coherence, &a), Err(Unservable::Changed), "it depends on what was altered");
    for unsure in [&never_asked, &too_high, &not_before] {
        assert_eq!(judge(&coherence, unsure), Err(Unservable::Outdated), "another name may have stood there");
    }
    // Names in a commit from before may be taken from the old catalog; no relation that is there is mistaken for another.
    hear(&coherence, commit(1150, 101, &[A]));
    assert_eq!(judge(&coherence, &b), Ok(()));
    coherence.applied(lsn(1200));
    let new = fill(&coherence, primary("102:102:", 1200), &[A]).unwrap();
    assert_eq!(judge(&coherence, &new), Ok(()), "filled under this catalog");
    assert_eq!(alter(Some(&[B]), 1300), Verification::Settled);
    assert_eq!(judge(&coherence, &b), Err(Unservable::Changed));
    assert_eq!(judge(&coherence, &new), Err(Unservable::Outdated), "found again by nobody");
}

#[test]
fn c19_what_was_sure_ends_with_a_change_that_may_bear_on_anything() {
    for altered in [Some(&[A][..]), None] {
        let coherence = live();
        let proof = fill(&coherence, primary("101:101:", 1000), &[B]).unwrap();
        let (seen, later) = (snapshot("101:101:"), Moment::from_micros(NOW.micros() + 1));
        let doubt = coherence.newest_doubt();
        let _ = coherence.catalog_verified(doubt, later, &seen, lsn(1000));
        assert_eq!(judge(&coherence, &proof), Ok(()));
        let _ = coherence.catalog_changed(doubt, later, &seen, lsn(1200), altered);
        let stands = judge(&coherence, &proof);
        assert_eq!(stands, if altered.is_some() { Ok(()) } else { Err(Unservable::Outdated) });
        // And one that is not sure under this catalog is not made sure by the next.
        let _ = coherence.catalog_changed(doubt, later, &seen, lsn(1300), None);
        let _ = coherence.catalog_changed(doubt, later, &seen, lsn(1400), Some(&[A]));
        assert_eq!(judge(&coherence, &proof), Err(Unservable::Outdated));
        hear(&coherence, commit(1250, 101, &[A]));
        coherence.applied(lsn(1400));
        let new = fill(&coherence, replica(1400, 1400), &[B]).unwrap();
        assert_eq!(judge(&coherence, &new), Ok(()));
    }
}

/// What was made and gone again leaves no row, so that the catalog is found the same.
#[test]
fn c19_what_began_before_a_doubt_is_not_made_sure_by_what_settles_it() {
    let coherence = live();
    let later = |micros| Moment::from_micros(NOW.micros() + micros);
    let seen = snapshot("102:102:");
    let find_again = |micros, at| coherence.catalog_verified(coherence.newest_doubt(), later(micros), &seen, lsn(at));
    // Heard when the query had been sent, and settled before it ended.
    let begun = coherence.begin_fill(NOW).unwrap();
    let before = fill(&coherence, primary("101:101:", 1000), &[B]).unwrap();
    hear(&coherence, Commit { end: lsn(1100), xid: Xid::new(101), touch: Touch::Unknown });
    assert_eq!(find_again(1, 1100), Verification::Settled);
    let across = coherence.admit(begun, &primary("102:102:", 1100), &[B], later(2)).unwrap();
    let after = coherence.begin_fill(later(2)).unwrap();
    let after = coherence.admit(after, &primary("102:102:", 1100), &[B], later(2)).unwrap();
    assert_eq!(find_again(3, 1100), Verification::Settled);
    let asked = [&before, &across, &after].map(|proof| judge(&coherence, proof));
    assert_eq!(asked, [Ok(()); 3]);
    let late = fill(&coherence, replica(1099, 1100), &[B]);
    assert_eq!(late.unwrap_err(), FillRefusal::ReplicaNotProven, "it may show what the bracket undid");
    let _ = coherence.catalog_changed(coherence.newest_doubt(), later(4), &seen, lsn(1200), Some(&[A]));
    let asked = [&before, &across, &after].map(|proof| judge(&coherence, proof));
    assert_eq!(asked, [Err(Unservable::Outdated), Err(Unservable::Outdated), Ok(())]);
}
