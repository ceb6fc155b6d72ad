//! Whatever reads batches from the wire or from disk, on bytes of any kind.
//!
//! Input: flags, then bytes. Some flags put a right length, magic and checksum into the bytes, because
//! no mutation finds a checksum; the others choose the topic's policy.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::{Corpus, fuzz_target};
use records::filter::{Filtered, retain};
use records::layout::{
    ATTRIBUTES_AT, BATCH_LENGTH_AT, CRC_AT, HEADER_SIZE, LOG_OVERHEAD, MAGIC, MAGIC_AT, compute_crc,
};
use records::search::{first_at_or_after, max_timestamp};
use records::validate::Inspect;
use records::{
    Batch, Batches, Codec, ControlRecord, Origin, ProducePolicy, TargetCodec, TimestampType,
    validate,
};
use types::{NextOffset, Offset, TimestampMs, Wall};

const LIMIT: usize = 1 << 18;

fuzz_target!(|data: &[u8]| -> Corpus {
    let [repair, flags, target, rest @ ..] = data else {
        return Corpus::Reject;
    };
    let mut bytes = rest.to_vec();
    if repair & 1 != 0 && bytes.len() >= HEADER_SIZE {
        seal(&mut bytes);
    }
    let bytes = Bytes::from(bytes);
    read(&bytes);
    produce(bytes, &policy(*flags, *target));
    Corpus::Keep
});

fn seal(bytes: &mut [u8]) {
    let length = (bytes.len() - LOG_OVERHEAD) as i32;
    bytes[BATCH_LENGTH_AT..][..4].copy_from_slice(&length.to_be_bytes());
    bytes[MAGIC_AT] = MAGIC as u8;
    let crc = compute_crc(bytes);
    bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}

fn policy(flags: u8, target: u8) -> ProducePolicy {
    let on = |bit: u8| flags & 1 << bit != 0;
    ProducePolicy {
        origin: if on(0) {
            Origin::Coordinator
        } else {
            Origin::Client
        },
        produce_version: if on(1) { 6 } else { 13 },
        timestamp_type: if on(2) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        },
        before_max_ms: if on(3) { 1_000_000 } else { i64::MAX },
        compacted: on(4),
        inspect: if on(5) {
            Inspect::Always
        } else {
            Inspect::WhenNeeded
        },
        target_codec: match Codec::from_id(target) {
            Some(codec) => TargetCodec::Specific { codec, level: None },
            None => TargetCodec::Producer,
        },
        max_decompressed_bytes: LIMIT,
        ..ProducePolicy::new(Wall(1_700_000_000_000))
    }
}

/// What storage, consumers and compaction do with a range of batches.
fn read(bytes: &Bytes) {
    let mut batches = Batches::new(bytes.clone());
    let mut position = 0;
    while let Some(Ok(batch)) = batches.next() {
        position += batch.header().total_size();
        assert_eq!(batches.position(), position);
        let header = *batch.header();
        assert!(header.base_offset <= header.last_offset());
        let _ = batch.verify_crc();
        let _ = ControlRecord::of_batch(&batch);
        let _ = first_at_or_after(&batch, header.max_timestamp, Offset(0), LIMIT);
        let _ = max_timestamp(&batch, Offset(0), NextOffset(i64::MAX), LIMIT);
        let Ok(records) = batch.records(LIMIT) else {
            continue;
        };
        let records: Vec<_> = records.collect();
        if records.iter().all(Result::is_ok) {
            assert_eq!(records.len(), header.records_count as usize);
        }
        let kept = retain(&batch, Some(TimestampMs(5)), LIMIT, |offset, _| {
            offset.0 % 2 == 0
        });
        if let Ok(Filtered::Rebuilt(kept)) = kept {
            let kept = Batch::parse(&kept).expect("what was rebuilt is a batch");
            kept.verify_crc().expect("with a right checksum");
            let left = kept
                .records(usize::MAX)
                .expect("and records")
                .map(|r| r.expect("whole"));
            assert!(left.count() <= records.len());
        }
    }
    assert!(batches.next().is_none());
}

/// What is accepted once is accepted again, unchanged, and can be read by everyone.
fn produce(bytes: Bytes, policy: &ProducePolicy) {
    let Ok(first) = validate(bytes, policy) else {
        return;
    };
    let batch = Batch::parse(&first.bytes).expect("what was accepted is a batch");
    assert_eq!(batch.bytes(), &first.bytes, "and nothing else");
    batch.verify_crc().expect("with a right checksum");
    assert_eq!(batch.header(), &first.header);
    let looked =
        policy.inspect == Inspect::Always || first.header.attributes.codec() == Ok(Codec::None);
    if looked {
        let records = batch
            .records(usize::MAX)
            .expect("records that were looked at");
        let mut next = first.header.base_offset;
        for record in records {
            let record = record.expect("are well formed");
            assert_eq!(record.offset, next);
            next = next.plus(1);
        }
        assert_eq!(next.end_before(), first.header.next_offset());
    }
    if policy.timestamp_type == TimestampType::CreateTime {
        // An old request may not bring the codec that a topic's batches are stored with.
        let policy = ProducePolicy {
            produce_version: 13,
            ..*policy
        };
        let again =
            validate(first.bytes.clone(), &policy).expect("what was accepted stays accepted");
        assert_eq!(again.bytes, first.bytes);
    }
}
