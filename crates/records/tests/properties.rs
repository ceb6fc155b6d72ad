//! What must hold of all batches: round trips, truncation at every byte, flips of every bit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::slow_crc32c;
use ottla_records::filter::{Filtered, emptied, retain};
use ottla_records::layout::{ATTRIBUTES_AT, compute_crc, set_base_offset, set_leader_epoch};
use ottla_records::layout::{set_log_append_time, set_max_timestamp, verify_crc};
use ottla_records::search::{TimestampedOffset, first_at_or_after, max_timestamp};
use ottla_records::validate::Inspect;
use ottla_records::{
    Batch, BatchBuilder, BatchError, BatchHeader, Batches, Codec, HEADER_SIZE, Header,
    ProducePolicy, Record, TargetCodec, TimestampType, validate,
};
use proptest::collection::vec;
use proptest::prelude::*;
use types::{
    LeaderEpoch, NextOffset, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, Wall,
};

const LIMIT: usize = 1 << 24;
const NOW: Wall = Wall(1_800_000_000_000);

fn blob(max: usize) -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![3 => 97u8..100, 1 => any::<u8>()], 0..max).prop_map(Bytes::from)
}

fn nullable(max: usize) -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::weighted(0.8, blob(max))
}

fn headers() -> impl Strategy<Value = Vec<Header>> {
    let header = (blob(6), nullable(20)).prop_map(|(key, value)| Header { key, value });
    prop_oneof![3 => Just(Vec::new()), 1 => vec(header, 0..5)]
}

fn timestamp() -> impl Strategy<Value = TimestampMs> {
    prop_oneof![
        8 => 1_700_000_000_000i64..1_700_000_010_000,
        1 => Just(-1),
        1 => 0i64..NOW.0,
    ]
    .prop_map(TimestampMs)
}

fn codec() -> impl Strategy<Value = Codec> {
    (0u8..5).prop_map(|id| Codec::from_id(id).unwrap())
}

prop_compose! {
    fn record()(timestamp in timestamp(), key in nullable(20), value in nullable(300), headers in headers())
        -> Record
    {
        Record { offset: Offset(0), timestamp, key, value, headers }
    }
}

/// Records with the offsets that a batch at `base` gives them.
fn records(base: i64) -> impl Strategy<Value = Vec<Record>> {
    vec(record(), 1..30).prop_map(move |mut records| {
        for (record, offset) in records.iter_mut().zip(base..) {
            record.offset = Offset(offset);
        }
        records
    })
}

fn build(codec: Codec, records: &[Record]) -> Bytes {
    let mut builder = BatchBuilder::new(codec).base_offset(records[0].offset);
    for record in records {
        let Record {
            timestamp,
            key,
            value,
            headers,
            ..
        } = record;
        let size = builder.size_with(*timestamp, key.as_deref(), value.as_deref(), headers);
        builder.append_record(record);
        assert_eq!(builder.size(), size);
    }
    builder.build()
}

fn read(bytes: &Bytes) -> Vec<Record> {
    let batch = Batch::parse(bytes).unwrap();
    batch.verify_crc().unwrap();
    batch
        .records(LIMIT)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn round_trip(codec in codec(), records in records(77)) {
        let bytes = build(codec, &records);
        prop_assert_eq!(&read(&bytes), &records);
        let header = BatchHeader::parse(&bytes).unwrap();
        prop_assert_eq!(header.total_size(), bytes.len());
        prop_assert_eq!(header.attributes.codec(), Ok(codec));
        prop_assert_eq!(header.last_offset(), records.last().unwrap().offset);
        let max = records.iter().map(|r| r.timestamp).max().unwrap();
        prop_assert_eq!(header.max_timestamp, max);
        prop_assert_eq!(header.crc, slow_crc32c(&bytes[ATTRIBUTES_AT..]));
        // Reading fields and writing them back changes nothing.
        let mut copy = bytes.to_vec();
        header.write(&mut copy);
        prop_assert_eq!(copy, bytes);
    }

    #[test]
    fn what_is_built_is_accepted_as_it_is(codec in codec(), records in records(0)) {
        let bytes = build(codec, &records);
        for inspect in [Inspect::WhenNeeded, Inspect::Always] {
            let policy = ProducePolicy { inspect, ..ProducePolicy::new(NOW) };
            let validated = validate(bytes.clone(), &policy).unwrap();
            prop_assert_eq!(&validated.bytes, &bytes);
            prop_assert_eq!(validated.bytes.as_ptr(), bytes.as_ptr(), "not copied");
            let max = max_timestamp(&Batch::parse(&bytes).unwrap(), Offset(0), NextOffset(i64::MAX), LIMIT).unwrap();
            if codec == Codec::None || inspect == Inspect::Always {
                let delta = validated.max_timestamp_offset_delta;
                prop_assert_eq!(delta.map(i64::from), max.map(|max| max.offset.0));
            }
        }
    }

    #[test]
    fn recompression_keeps_records_and_producer(
        from in codec(), to in codec(), level in proptest::option::of(-3i32..12), records in records(0),
    ) {
        let mut builder = BatchBuilder::new(from)
            .producer(ProducerId(9), ProducerEpoch(2), Sequence(i32::MAX - 1))
            .transactional(true);
        for record in &records {
            builder.append_record(record);
        }
        let bytes = builder.build();
        let target_codec = TargetCodec::Specific { codec: to, level };
        let policy = ProducePolicy { target_codec, ..ProducePolicy::new(NOW) };
        let validated = validate(bytes.clone(), &policy).unwrap();
        prop_assert_eq!(&read(&validated.bytes), &records);
        prop_assert_eq!(validated.header.attributes.codec(), Ok(to));
        let before = BatchHeader::parse(&bytes).unwrap();
        let (batch_length, crc, attributes) = (before.batch_length, before.crc, before.attributes);
        prop_assert_eq!(BatchHeader { batch_length, crc, attributes, ..validated.header }, before);
        prop_assert_eq!(validated.header.attributes.with_codec(from), before.attributes);
    }

    #[test]
    fn log_append_time(codec in codec(), records in records(0)) {
        let timestamp_type = TimestampType::LogAppendTime;
        let policy = ProducePolicy { timestamp_type, ..ProducePolicy::new(NOW) };
        let validated = validate(build(codec, &records), &policy).unwrap();
        prop_assert_eq!(validated.log_append_time, Some(NOW.into()));
        let mut expected = records;
        for record in &mut expected {
            record.timestamp = NOW.into();
        }
        prop_assert_eq!(read(&validated.bytes), expected);
    }

    #[test]
    fn every_truncation_is_typed(codec in codec(), records in records(5)) {
        let whole = build(codec, &records);
        let two = [&whole[..], &whole[..]].concat();
        for cut in 0..whole.len() {
            let bytes = Bytes::copy_from_slice(&whole[..cut]);
            let need = if cut < HEADER_SIZE { HEADER_SIZE } else { whole.len() };
            prop_assert_eq!(
                Batch::parse(&bytes).unwrap_err(),
                BatchError::Truncated { have: cut, need }
            );
            // A range that ends within its second batch yields the first.
            let mut batches = Batches::new(Bytes::copy_from_slice(&two[..whole.len() + cut]));
            let first = batches.next().unwrap().unwrap();
            prop_assert_eq!(first.bytes(), &whole);
            match batches.next() {
                None => prop_assert_eq!(cut, 0),
                Some(last) => {
                    prop_assert_eq!(last.unwrap_err(), BatchError::Truncated { have: cut, need });
                    prop_assert!(batches.next().is_none());
                }
            }
            prop_assert_eq!(batches.position(), whole.len());
            prop_assert!(validate(bytes, &ProducePolicy::new(NOW)).is_err());
        }
    }

    #[test]
    fn in_place_patches(codec in codec(), records in records(0), offset in 0i64..1 << 60, epoch: i32) {
        let mut bytes = build(codec, &records).to_vec();
        set_base_offset(&mut bytes, Offset(offset));
        set_leader_epoch(&mut bytes, LeaderEpoch(epoch));
        verify_crc(&bytes).unwrap();
        let header = BatchHeader::parse(&bytes).unwrap();
        prop_assert_eq!((header.base_offset, header.leader_epoch), (Offset(offset), LeaderEpoch(epoch)));
        set_log_append_time(&mut bytes, NOW.into());
        verify_crc(&bytes).unwrap();
        for (record, i) in read(&bytes.into()).iter().zip(0..) {
            prop_assert_eq!(record.offset, Offset(offset + i));
            prop_assert_eq!(record.timestamp, NOW.into());
        }
    }

    #[test]
    fn search_agrees_with_a_scan(
        codec in codec(), records in records(10), at in timestamp(), from in 0i64..45, end in 0i64..45,
        log_append: bool,
    ) {
        let mut bytes = build(codec, &records).to_vec();
        if log_append {
            set_log_append_time(&mut bytes, TimestampMs(1_700_000_005_000));
        }
        let records = read(&Bytes::from(bytes.clone()));
        let batch = Batch::parse(&bytes.into()).unwrap();
        let found = |r: &Record| TimestampedOffset { offset: r.offset, timestamp: r.timestamp };
        let scanned = records.iter().find(|r| r.timestamp >= at && r.offset.0 >= from).map(found);
        prop_assert_eq!(first_at_or_after(&batch, at, Offset(from), LIMIT).unwrap(), scanned);
        // Every timestamp that is there is found, and so is the one just after its predecessor.
        for record in &records {
            let first = records.iter().find(|r| r.timestamp >= record.timestamp).map(found);
            let from = Offset(0);
            prop_assert_eq!(first_at_or_after(&batch, record.timestamp, from, LIMIT).unwrap(), first);
        }
        for (from, end) in [(0, i64::MAX), (from, end)] {
            let within = || records.iter().filter(|r| (from..end).contains(&r.offset.0));
            let max = within().map(|r| r.timestamp).max();
            let largest = within().find(|r| Some(r.timestamp) == max && r.timestamp.0 != -1);
            let searched = max_timestamp(&batch, Offset(from), NextOffset(end), LIMIT).unwrap();
            prop_assert_eq!(searched, largest.map(found));
        }
    }

    #[test]
    fn compaction_keeps_offsets_and_producer(
        codec in codec(), records in records(100), keep in vec(any::<bool>(), 30),
        horizon in proptest::option::of(0i64..2_000_000_000_000),
    ) {
        let bytes = build(codec, &records);
        let batch = Batch::parse(&bytes).unwrap();
        let horizon = horizon.map(TimestampMs);
        let wanted = |offset: Offset| keep[(offset.0 - 100) as usize];
        let filtered = retain(&batch, horizon, LIMIT, |offset, _| wanted(offset)).unwrap();
        let kept: Vec<Record> = records.iter().filter(|r| wanted(r.offset)).cloned().collect();
        let rebuilt = match filtered {
            Filtered::Unchanged => {
                prop_assert!(kept == records && horizon.is_none());
                return Ok(());
            }
            Filtered::Empty => {
                prop_assert!(kept.is_empty());
                emptied(batch.header())
            }
            Filtered::Rebuilt(rebuilt) => {
                prop_assert!(!kept.is_empty());
                rebuilt
            }
        };
        prop_assert_eq!(&read(&rebuilt), &kept);
        let header = BatchHeader::parse(&rebuilt).unwrap();
        let before = batch.header();
        prop_assert_eq!(header.base_offset, before.base_offset);
        prop_assert_eq!(header.last_offset(), before.last_offset());
        prop_assert_eq!(header.producer_id, before.producer_id);
        prop_assert_eq!(header.records_count as usize, kept.len());
        if !kept.is_empty() {
            prop_assert_eq!(header.delete_horizon(), horizon);
            // A horizon once set stays.
            let again = retain(&Batch::parse(&rebuilt).unwrap(), Some(TimestampMs(5)), LIMIT, |_, _| true);
            let expected = if horizon.is_some() { Some(Filtered::Unchanged) } else { None };
            prop_assert!(expected.is_none() || again.unwrap() == Filtered::Unchanged);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), codec in 0u8..8) {
        let bytes = Bytes::from(bytes);
        for batch in Batches::new(bytes.clone()).flatten() {
            if let Ok(records) = batch.records(LIMIT) {
                records.for_each(drop);
            }
        }
        let _ = validate(bytes.clone(), &ProducePolicy::new(NOW));
        // As the body of a batch whose header and checksum are right.
        let mut batch = vec![0; HEADER_SIZE];
        batch.extend_from_slice(&bytes);
        let header = BatchHeader::parse(&build(Codec::None, &[Record {
            offset: Offset(0), timestamp: TimestampMs(0), key: None, value: None, headers: vec![],
        }])).unwrap();
        let attributes = ottla_records::Attributes(i16::from(codec));
        let batch_length = batch.len() as i32 - 12;
        BatchHeader { attributes, batch_length, ..header }.write(&mut batch);
        let crc = compute_crc(&batch);
        BatchHeader { attributes, batch_length, crc, ..header }.write(&mut batch);
        let policy = ProducePolicy { inspect: Inspect::Always, ..ProducePolicy::new(NOW) };
        if let Ok(validated) = validate(batch.into(), &policy) {
            prop_assert_eq!(read(&validated.bytes).len(), 1);
        }
    }
}

proptest! {
    // Each case decompresses as many prefixes as the body has bytes.
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn a_body_cut_short_never_reads_as_whole(codec in codec(), records in records(0)) {
        let whole = build(codec, &records);
        let header = BatchHeader::parse(&whole).unwrap();
        for cut in HEADER_SIZE..whole.len() {
            // A batch whose length and checksum agree with the shortened body.
            let mut bytes = whole[..cut].to_vec();
            BatchHeader { batch_length: cut as i32 - 12, ..header }.write(&mut bytes);
            set_max_timestamp(&mut bytes, header.max_timestamp);
            let batch = Batch::parse(&Bytes::from(bytes)).unwrap();
            batch.verify_crc().unwrap();
            // A codec may have its last bytes for a trailer that adds nothing.
            match batch.records(LIMIT).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
                Ok(read) => prop_assert!(codec != Codec::None && read == records),
                Err(_) => {
                    let policy =
                        ProducePolicy { inspect: Inspect::Always, ..ProducePolicy::new(NOW) };
                    let mut bytes = batch.into_bytes().to_vec();
                    set_base_offset(&mut bytes, Offset(0));
                    prop_assert!(validate(bytes.into(), &policy).is_err());
                }
            }
        }
    }
}

/// Every single bit: the checksum catches all but those outside it, and nothing panics.
#[test]
fn every_bit_flip_is_caught_or_outside_the_checksum() {
    let records: Vec<Record> = (0..3)
        .map(|i| Record {
            offset: Offset(i),
            timestamp: TimestampMs(1_700_000_000_000 + i),
            key: Some(Bytes::from_static(b"key")),
            value: Some(Bytes::from_static(
                b"a value that compresses, a value that compresses",
            )),
            headers: vec![Header::new(&b"h"[..], None)],
        })
        .collect();
    for codec in Codec::ALL {
        let whole = build(codec, &records);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bytes = Bytes::from(bytes);
            let at = bit / 8;
            for batch in Batches::new(bytes.clone()).flatten() {
                // Leader epoch and base offset are the broker's to write; the length decides where
                // the checksum ends.
                let outside = at < 8 || (12..16).contains(&at);
                assert_eq!(batch.verify_crc().is_ok(), outside, "{codec}: bit {bit}");
                if let Ok(records) = batch.records(LIMIT) {
                    records.for_each(drop);
                }
            }
            let refused = validate(bytes, &ProducePolicy::new(NOW)).is_err();
            assert_eq!(refused, !(12..16).contains(&at), "{codec}: bit {bit}");
        }
    }
}
