//! What the produce path costs per batch, and where it goes: checksum, walk over the records,
//! decompression where it is asked for.
//!
//! `cargo run --release -p ottla-records --example hot_path`
//!
//! Each figure is the best of several rounds: the least disturbed one, on a machine that is shared.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a measuring program: it reads the clock, prints, and fails by panicking"
)]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use ottla_records::layout::{compute_crc, set_base_offset};
use ottla_records::validate::Inspect;
use ottla_records::{
    Batch, BatchBuilder, Codec, HEADER_SIZE, ProducePolicy, RecordViews, TargetCodec,
    TimestampType, validate,
};
use types::{Offset, TimestampMs, Wall};

const NOW: Wall = Wall(1_700_000_100_000);
const BATCH: usize = 64 * 1024;
/// More than the nearest caches hold, so that bytes come from where a socket's would.
const BATCHES: usize = 512;

/// Text of a log, with enough that differs to give codecs their usual ratio.
fn value(size: usize, seed: &mut u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(size + 64);
    while out.len() < size {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        let line = format!(
            "level=info request={:x} path=/v1/topics status=200 ",
            *seed >> 24
        );
        out.extend_from_slice(line.as_bytes());
    }
    out.truncate(size);
    out
}

fn batch(codec: Codec, record_size: usize, seed: &mut u64) -> Bytes {
    let mut builder = BatchBuilder::with_capacity(codec, BATCH);
    loop {
        let value = value(record_size, seed);
        let at = TimestampMs(1_700_000_000_000 + i64::from(builder.count()));
        if builder.size_with(at, None, Some(&value), &[]) > BATCH {
            return builder.build();
        }
        builder.append(at, None, Some(&value), &[]);
    }
}

/// Nanoseconds per batch of the best round.
fn measure(batches: &[Bytes], mut work: impl FnMut(&Bytes)) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..15 {
        let start = Instant::now();
        for batch in batches {
            work(batch);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / batches.len() as f64);
    }
    best
}

fn row(what: &str, bytes: usize, records: i32, ns: f64) {
    let per_record = ns / f64::from(records);
    println!(
        "{what:<44} {ns:>10.0} ns {:>8.2} GB/s {per_record:>8.1} ns",
        bytes as f64 / ns
    );
}

fn main() {
    println!(
        "{:<44} {:>13} {:>13} {:>11}",
        "", "per batch", "", "per record"
    );
    println!("CRC-32C");
    for size in [100, 1 << 10, 4 << 10, 64 << 10, 1 << 20] {
        let blocks: Vec<Bytes> = (0..64)
            .map(|i| Bytes::from(vec![i as u8; size + 21]))
            .collect();
        let ns = measure(&blocks, |block| {
            for _ in 0..16 {
                black_box(compute_crc(black_box(block)));
            }
        });
        row(&format!("  {size} B"), size, 1, ns / 16.0);
    }
    for record_size in [1024, 100] {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        let batches: Vec<Bytes> = (0..BATCHES)
            .map(|_| batch(Codec::None, record_size, &mut seed))
            .collect();
        let first = Batch::parse(&batches[0]).unwrap();
        let (size, records) = (first.bytes().len(), first.header().records_count);
        let policy = ProducePolicy::new(NOW);
        println!("records of {record_size} B, {records} in a batch of {size} B, uncompressed");
        let row = |what: &str, ns| row(what, size, records, ns);
        row(
            "  checksum alone",
            measure(&batches, |b| {
                black_box(compute_crc(b));
            }),
        );
        row(
            "  walk alone",
            measure(&batches, |b| {
                let views = RecordViews::new(&b[HEADER_SIZE..], records).unwrap();
                let mut last = 0;
                for view in views {
                    last = view.unwrap().offset_delta;
                }
                black_box(last);
            }),
        );
        row(
            "  validate",
            measure(&batches, |b| {
                black_box(validate(b.clone(), &policy).unwrap());
            }),
        );
        let append_time = ProducePolicy {
            timestamp_type: TimestampType::LogAppendTime,
            ..policy
        };
        row(
            "  validate, append time",
            measure(&batches, |b| {
                black_box(validate(b.clone(), &append_time).unwrap());
            }),
        );
        row(
            "  copy and place (what a log does next)",
            measure(&batches, |b| {
                let mut copy = b.to_vec();
                set_base_offset(&mut copy, Offset(7));
                black_box(copy);
            }),
        );
        row(
            "  owned records",
            measure(&batches, |b| {
                let batch = Batch::parse(b).unwrap();
                batch.records(0).unwrap().for_each(|record| {
                    black_box(record.unwrap());
                });
            }),
        );
    }
    let record_size = 1024;
    for codec in [Codec::Lz4, Codec::Snappy, Codec::Zstd, Codec::Gzip] {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        let plain = batch(Codec::None, record_size, &mut seed);
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        let batches: Vec<Bytes> = (0..BATCHES / 8)
            .map(|_| batch(codec, record_size, &mut seed))
            .collect();
        let (wire, records) = (
            batches[0].len(),
            Batch::parse(&batches[0]).unwrap().header().records_count,
        );
        println!(
            "{codec}: {wire} B on the wire, ratio {:.2} (GB/s of uncompressed data)",
            plain.len() as f64 / wire as f64
        );
        let policy = ProducePolicy::new(NOW);
        let row = |what: &str, ns| row(what, plain.len(), records, ns);
        row(
            "  validate, header only",
            measure(&batches, |b| {
                black_box(validate(b.clone(), &policy).unwrap());
            }),
        );
        let always = ProducePolicy {
            inspect: Inspect::Always,
            ..policy
        };
        row(
            "  validate, records too (as Kafka)",
            measure(&batches, |b| {
                black_box(validate(b.clone(), &always).unwrap());
            }),
        );
        let target_codec = TargetCodec::Specific { codec, level: None };
        let recode = ProducePolicy {
            target_codec,
            ..policy
        };
        let plain = [plain.clone()];
        row(
            "  validate and compress an uncompressed one",
            measure(&plain, |b| {
                black_box(validate(b.clone(), &recode).unwrap());
            }),
        );
    }
}
