//! What relaying costs before any byte is copied: finding where messages end, and reading a Bind in place. Run with
//! `cargo bench --bench frames`.

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sidecache::wire::backend::put_frame;
use sidecache::wire::frame::{HEADER, backend_limit, frontend_limit, header};
use sidecache::wire::frontend::{self, Bind};
use std::hint::black_box;
use std::time::Duration;

/// An answer of a thousand rows with one short column each.
fn answer() -> BytesMut {
    let mut out = BytesMut::new();
    for _ in 0..1000 {
        put_frame(&mut out, b'D', b"\0\x01\0\0\0\x04wool");
    }
    put_frame(&mut out, b'C', b"SELECT 1000\0");
    put_frame(&mut out, b'Z', b"I");
    out
}

/// Bind with one parameter, Describe, Execute, Sync, as drivers send them.
fn batch() -> BytesMut {
    let mut out = BytesMut::new();
    let parameters_and_formats = b"\0\0\0\x01\0\0\0\x0242\0\x01\0\0";
    frontend::put_bind(&mut out, b"", b"P_0", parameters_and_formats);
    frontend::put_subject(&mut out, b'D', frontend::Subject::Portal, b"");
    frontend::put_execute(&mut out);
    frontend::put_sync(&mut out);
    out
}

/// Counts frames, so that nothing of the scan can be left out.
fn count(bytes: &[u8], limit: fn(u8) -> usize) -> usize {
    let (mut at, mut frames) = (0, 0);
    while let Some(next) = header(&bytes[at..], limit).expect("our own frames") {
        at += next.len;
        frames += 1;
    }
    frames
}

fn scans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    let (answer, batch) = (answer(), batch());
    group.throughput(Throughput::Elements(1002));
    group.bench_function("answer_of_1000_rows", |b| b.iter(|| count(black_box(&answer), backend_limit)));
    group.throughput(Throughput::Elements(4));
    group.bench_function("batch", |b| b.iter(|| count(black_box(&batch), frontend_limit)));
    group.finish();
    let first = header(&batch, frontend_limit).expect("our own frame").expect("a whole one");
    let body = &batch[HEADER..first.len];
    criterion.bench_function("read_bind", |b| {
        b.iter(|| Bind::read(black_box(body)).expect("our own message").parameters.len());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = scans
}
criterion_main!(benches);
