//! What a hit costs before its bytes are written: composing the key, finding the entry, judging it. Run with
//! `cargo bench --bench hit`; `cargo bench -- --test` runs everything once, to see that it still works.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sidecache::cache::key::{KeyParts, compose, compose_inputs};
use sidecache::cache::{Answer, Cache, Filled, Options};
use sidecache::coherence::{Coherence, Demand, Evidence, Floor};
use sidecache::types::{Epoch, FullXid, Level, Lsn, Moment, RelationId};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const EPOCH: Epoch = Epoch::new(1);
const NOW: Moment = Moment::from_micros(1_000_000);
const TEXT: &[u8] = b"select id, name, price, stock from shop.items where id = $1";

fn live() -> Arc<Coherence> {
    let coherence = Coherence::new(Duration::from_secs(1));
    coherence.stream_started(EPOCH, Lsn::new(1000));
    coherence.probed(FullXid::new(50), &"51:51:".parse().expect("a snapshot"));
    let _ =
        coherence.catalog_verified(coherence.newest_doubt(), NOW, &"51:51:".parse().expect("a snapshot"), Lsn::ZERO);
    coherence.pinged(NOW, Lsn::new(1000));
    coherence.applied(Lsn::new(1000));
    coherence
}

fn demand() -> Demand {
    Demand { level: Level::Session, floor: Floor { epoch: EPOCH, ..Floor::default() }, now: NOW }
}

fn inputs() -> Vec<u8> {
    let mut inputs = Vec::new();
    compose_inputs(&mut inputs, "shop", "app", "app", [("TimeZone", "UTC"), ("search_path", "shop")]);
    inputs
}

fn bind(id: u32) -> [u8; 12] {
    let mut parameters = [0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
    parameters[8..].copy_from_slice(&id.to_be_bytes());
    parameters
}

fn write_key(out: &mut Vec<u8>, inputs: &[u8], parameters: &[u8]) {
    let parts = KeyParts {
        inputs,
        statement: TEXT,
        defaults: 0,
        relations: &[],
        parameter_types: &[23],
        parameters,
        result_formats: &[0, 1, 0, 1],
        shape: 0,
    };
    compose(out, &parts);
}

/// A cache that holds `entries` answers of 200 bytes, each depending on `relations` relations.
fn filled(entries: u32, relations: u32) -> Arc<Cache> {
    let options = Options { memory: 1 << 30, entry_limit: 1 << 20, shared: None };
    let cache = Cache::new(live(), &options).expect("no URL to be wrong");
    let dependencies: Vec<_> = (0..relations).map(|n| RelationId::new(16_400 + n)).collect();
    let (inputs, mut key) = (inputs(), Vec::new());
    for id in 0..entries {
        write_key(&mut key, &inputs, &bind(id));
        let Answer::Permit(mut permit) = cache.lookup(&key, false, &demand()) else { panic!("an empty cache") };
        permit.begin_fill(NOW).expect("live");
        let answer = Filled {
            evidence: Evidence::Primary { snapshot: "60:60:".parse().expect("a snapshot"), high: Lsn::ZERO },
            row_description: None,
            body: Bytes::from(vec![b'D'; 200]),
            cost: Duration::from_millis(1),
        };
        permit.commit(answer, &dependencies, NOW).expect("nothing changed");
    }
    cache
}

fn hits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit");
    for (entries, relations) in [(1, 1), (1000, 1), (1000, 8), (100_000, 1)] {
        let cache = filled(entries, relations);
        let (inputs, demand) = (inputs(), demand());
        let (mut key, mut id) = (Vec::new(), 0u32);
        group.bench_function(BenchmarkId::new(format!("{relations}_relations"), entries), |bencher| {
            bencher.iter(|| {
                id = id.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                write_key(&mut key, &inputs, &bind(id % entries));
                match cache.lookup(black_box(&key), false, &demand) {
                    Answer::Hit(entry) => black_box(entry.body.len()),
                    other => panic!("{other:?}"),
                }
            });
        });
    }
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let (inputs, mut key) = (inputs(), Vec::new());
    criterion.bench_function("compose_key", |bencher| {
        bencher.iter(|| {
            write_key(&mut key, black_box(&inputs), &bind(7));
            black_box(key.len())
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = keys, hits
}
criterion_main!(benches);
