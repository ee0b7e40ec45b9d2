//! Each rule of the machine, through its public door, on hand-made histories. What interleavings do to them is the model
//! checker's work.

mod catalog;
mod fills;
mod properties;
mod stream;

use super::*;
use crate::types::Level;

const EPOCH: Epoch = Epoch::new(7);
const S: Duration = Duration::from_secs(1);
const NOW: Moment = Moment::from_micros(1_000_000);
const A: RelationId = RelationId::new(1);
const B: RelationId = RelationId::new(2);

fn lsn(bytes: u64) -> Lsn {
    Lsn::new(bytes)
}

fn snapshot(text: &str) -> Snapshot {
    text.parse().unwrap()
}

fn commit(end: u64, xid: u32, relations: &[RelationId]) -> Commit {
    Commit { end: lsn(end), xid: Xid::new(xid), touch: Touch::Relations(relations.into()) }
}

fn primary(text: &str, high: u64) -> Evidence {
    Evidence::Primary { snapshot: snapshot(text), high: lsn(high) }
}

fn replica(replayed: u64, high: u64) -> Evidence {
    Evidence::Replica { replayed: lsn(replayed), high: lsn(high) }
}

fn demand(level: Level) -> Demand {
    Demand { level, floor: Floor::default(), now: NOW }
}

fn from(position: u64) -> Demand {
    Demand { floor: Floor { epoch: EPOCH, position: lsn(position), after: Moment::START }, ..demand(Level::Session) }
}

/// A stream from 1000, its beginning probed by transaction 100 under `probe`, the catalog verified, fresh as of now.
fn live_after(probe: &str, rules: Rules) -> Arc<Coherence> {
    let coherence = Coherence::with_rules(S, rules);
    coherence.stream_started(EPOCH, lsn(1000));
    coherence.probed(FullXid::new(100), &snapshot(probe));
    settle(&coherence, probe);
    coherence.pinged(NOW, lsn(1000));
    coherence
}

fn live() -> Arc<Coherence> {
    live_after("101:101:", Rules::ALL)
}

fn settle(coherence: &Coherence, seen: &str) {
    let doubt = coherence.newest_doubt();
    assert_eq!(coherence.catalog_verified(doubt, NOW, &snapshot(seen), Lsn::ZERO), Verification::Settled);
}

fn hear(coherence: &Coherence, commit: Commit) {
    coherence.heard(&commit);
    coherence.applied(commit.end);
}

fn fill(coherence: &Arc<Coherence>, evidence: Evidence, relations: &[RelationId]) -> Result<Proof, FillRefusal> {
    let ticket = coherence.begin_fill(NOW)?;
    coherence.admit(ticket, &evidence, relations, NOW)
}

fn judge(coherence: &Coherence, proof: &Proof) -> Result<(), Unservable> {
    coherence.judge(proof, &demand(Level::Bounded))
}

#[test]
fn labels_are_stable_and_distinct() {
    use FillRefusal::*;
    let refusals = [NotLive, CatalogInDoubt, CommitNotVisible, Suspect, TooOld, Overtaken, ReplicaNotProven];
    let labels: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.label()).collect();
    assert_eq!(labels.len(), refusals.len());
    assert_eq!(Unservable::BelowFloor.label(), "below_floor");
}
