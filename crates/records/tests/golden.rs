//! Batches that other programs wrote, byte for byte: what we read from them, and that we write the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::hex;
use ottla_records::control::{LeaderChange, Voter, end_transaction_batch};
use ottla_records::layout::compute_crc;
use ottla_records::{
    Batch, BatchBuilder, Codec, ControlRecord, EndTransactionMarker, Header, Record, TimestampType,
    TransactionResult,
};
use types::{
    BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, Uuid,
};

macro_rules! golden {
    ($name:literal) => {
        Bytes::from(hex(include_str!(concat!("golden/", $name, ".hex"))))
    };
}

const LIMIT: usize = 1 << 20;

fn parse(bytes: &Bytes) -> (Batch, Vec<Record>) {
    let batch = Batch::parse(bytes).unwrap();
    assert_eq!(batch.bytes(), bytes, "a golden file is exactly one batch");
    batch.verify_crc().unwrap();
    let records = batch
        .records(LIMIT)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    (batch, records)
}

fn header(key: &'static str, value: Option<&'static [u8]>) -> Header {
    Header::new(key, value.map(Bytes::from_static))
}

fn record(
    offset: i64,
    timestamp: i64,
    key: Option<&str>,
    value: Option<String>,
    headers: Vec<Header>,
) -> Record {
    Record {
        offset: Offset(offset),
        timestamp: TimestampMs(timestamp),
        key: key.map(|key| Bytes::from(key.to_owned())),
        value: value.map(Bytes::from),
        headers,
    }
}

fn java_records() -> Vec<Record> {
    let text = |text: &str| Some(text.to_owned());
    vec![
        record(0, 1_700_000_000_000, Some("k1"), text("hello"), vec![]),
        record(
            1,
            1_700_000_000_250,
            None,
            text("äöü ☃"),
            vec![
                header("a", Some(b"1")),
                header("a", Some(b"2")),
                header("", None),
            ],
        ),
        record(2, 1_699_999_999_999, Some("k3"), None, vec![]),
        record(
            3,
            1_700_000_000_250,
            Some(""),
            Some("x".repeat(300)),
            vec![header("trace", Some(b""))],
        ),
    ]
}

fn java_builder(codec: Codec) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec)
        .producer(ProducerId(4711), ProducerEpoch(3), Sequence(17))
        .transactional(true);
    for record in java_records() {
        builder.append_record(&record);
    }
    builder
}

#[test]
fn java_batches_of_every_codec() {
    let files = [
        (Codec::None, golden!("java-none")),
        (Codec::Gzip, golden!("java-gzip")),
        (Codec::Snappy, golden!("java-snappy")),
        (Codec::Lz4, golden!("java-lz4")),
        (Codec::Zstd, golden!("java-zstd")),
    ];
    for (codec, bytes) in files {
        let (batch, records) = parse(&bytes);
        assert_eq!(records, java_records(), "{codec}");
        let header = batch.header();
        assert_eq!(header.attributes.codec(), Ok(codec));
        assert!(header.attributes.is_transactional() && !header.attributes.is_control());
        assert_eq!(header.last_sequence(), Sequence(20));
        assert_eq!(header.max_timestamp, TimestampMs(1_700_000_000_250));
        // What we build differs in the compressed bytes at most.
        let ours = Batch::parse(&java_builder(codec).build()).unwrap();
        assert_eq!(ours.body(LIMIT).unwrap(), batch.body(LIMIT).unwrap());
        let (length, crc) = (header.batch_length, header.crc);
        let ours = ottla_records::BatchHeader {
            batch_length: length,
            crc,
            ..*ours.header()
        };
        assert_eq!(ours, *header);
    }
    assert_eq!(java_builder(Codec::None).build(), golden!("java-none"));
    // Snappy has one encoder everywhere: so the framing is the same, to the byte.
    assert_eq!(java_builder(Codec::Snappy).build(), golden!("java-snappy"));
}

#[test]
fn java_batches_larger_than_a_block() {
    let files = [
        (Codec::Gzip, golden!("java-blocks-gzip")),
        (Codec::Snappy, golden!("java-blocks-snappy")),
        (Codec::Lz4, golden!("java-blocks-lz4")),
        (Codec::Zstd, golden!("java-blocks-zstd")),
    ];
    let expected: Vec<Record> = (0..30)
        .map(|i| {
            let value = format!("value {i} ").repeat(700);
            let time = 1_700_000_000_777;
            record(7 + i, time, Some(&format!("key-{i}")), Some(value), vec![])
        })
        .collect();
    for (codec, bytes) in files {
        let (batch, records) = parse(&bytes);
        assert_eq!(records, expected, "{codec}");
        assert_eq!(
            batch.header().attributes.timestamp_type(),
            TimestampType::LogAppendTime
        );
        assert_eq!(batch.header().leader_epoch, LeaderEpoch(5));
        assert_eq!(batch.header().next_offset().0, 37);
    }
}

#[test]
fn librdkafka_batches_of_every_codec() {
    let files = [
        (Codec::None, golden!("librdkafka-none")),
        (Codec::Gzip, golden!("librdkafka-gzip")),
        (Codec::Snappy, golden!("librdkafka-snappy")),
        (Codec::Lz4, golden!("librdkafka-lz4")),
        (Codec::Zstd, golden!("librdkafka-zstd")),
    ];
    let times = [0, -100, 200, -300, 400];
    let expected: Vec<Record> = (0..5)
        .map(|i: i64| {
            let key = (i != 1).then(|| format!("k{i}"));
            let value = (i != 2).then(|| format!("rd value {i} ").repeat(20));
            let headers = if i == 3 {
                let a = header("a", Some(b"1"));
                vec![a, header("a", None), header("b", Some(&[0x00, 0xff]))]
            } else {
                vec![]
            };
            let time = 1_700_000_000_000 + times[i as usize];
            record(i, time, key.as_deref(), value, headers)
        })
        .collect();
    for (codec, bytes) in files {
        let (batch, records) = parse(&bytes);
        assert_eq!(batch.header().attributes.codec(), Ok(codec));
        assert!(batch.header().has_producer_id());
        assert_eq!(records, expected, "{codec}");
    }
}

#[test]
fn kafka_python_batches() {
    for bytes in [golden!("kafka-python-none"), golden!("kafka-python-gzip")] {
        let (_, records) = parse(&bytes);
        assert_eq!(records.len(), 5);
        assert_eq!(records[1].key, None);
        assert_eq!(records[2].value, None);
        assert_eq!(
            records[3].headers,
            [header("a", Some(b"1")), header("a", Some(b"2"))]
        );
        assert_eq!(records[4].timestamp, TimestampMs(1_700_000_000_400));
        assert_eq!(
            records[4].value.as_deref(),
            Some(&b"py value 4 ".repeat(20)[..])
        );
    }
}

#[test]
fn transaction_markers() {
    let files = [
        (TransactionResult::Commit, 100, golden!("control-commit")),
        (TransactionResult::Abort, 101, golden!("control-abort")),
    ];
    for (result, offset, bytes) in files {
        let (batch, _) = parse(&bytes);
        let marker = EndTransactionMarker {
            result,
            coordinator_epoch: 9,
        };
        assert_eq!(
            ControlRecord::of_batch(&batch),
            Ok(ControlRecord::EndTransaction(marker))
        );
        let time = TimestampMs(1_700_000_000_000);
        let mut ours =
            end_transaction_batch(ProducerId(4711), ProducerEpoch(3), marker, time).to_vec();
        ottla_records::layout::set_base_offset(&mut ours, Offset(offset));
        ottla_records::layout::set_leader_epoch(&mut ours, LeaderEpoch(4));
        assert_eq!(ours, bytes);
    }
}

#[test]
fn quorum_control_records() {
    let voter = |id: i32, directory: [u64; 2]| {
        let [high, low] = directory.map(u64::to_be_bytes);
        let directory_id = Uuid([high, low].concat().try_into().unwrap());
        Voter {
            id: BrokerId(id),
            directory_id,
        }
    };
    let change_0 = LeaderChange {
        version: 0,
        leader_id: BrokerId(1),
        voters: vec![voter(1, [0, 0])],
        granting_voters: vec![],
    };
    let files = [
        (
            200,
            ControlRecord::LeaderChange(change_0),
            golden!("control-leader-change-0"),
        ),
        (
            0,
            ControlRecord::SnapshotHeader {
                last_contained_log_timestamp: TimestampMs(1_699_999_999_000),
            },
            golden!("control-snapshot-header"),
        ),
        (
            9,
            ControlRecord::SnapshotFooter,
            golden!("control-snapshot-footer"),
        ),
        (
            1,
            ControlRecord::KraftVersion { version: 1 },
            golden!("control-kraft-version"),
        ),
    ];
    for (offset, expected, bytes) in files {
        let (batch, _) = parse(&bytes);
        assert_eq!(ControlRecord::of_batch(&batch), Ok(expected.clone()));
        let time = TimestampMs(1_700_000_000_000);
        assert_eq!(expected.batch(Offset(offset), LeaderEpoch(6), time), bytes);
    }
    let (batch, records) = parse(&golden!("control-kraft-voters"));
    let value = records[0].value.clone().unwrap();
    assert_eq!(
        ControlRecord::of_batch(&batch),
        Ok(ControlRecord::KraftVoters(value))
    );

    let change_1 = ControlRecord::LeaderChange(LeaderChange {
        version: 1,
        leader_id: BrokerId(2),
        voters: vec![voter(1, [1, 11]), voter(2, [2, 22])],
        granting_voters: vec![voter(2, [2, 22])],
    });
    assert_eq!(change_1.value(), golden!("value-leader-change-1"));
    let time = TimestampMs(0);
    let batch = Batch::parse(&change_1.batch(Offset(0), LeaderEpoch(1), time)).unwrap();
    assert_eq!(ControlRecord::of_batch(&batch), Ok(change_1));
}

#[test]
fn unknown_control_records_are_reported_as_such() {
    let unknown = ControlRecord::Unknown {
        version: 3,
        kind: 99,
    };
    let batch = Batch::parse(&unknown.batch(Offset(0), LeaderEpoch(0), TimestampMs(0))).unwrap();
    assert_eq!(ControlRecord::of_batch(&batch), Ok(unknown));
}

#[test]
fn checksum_of_a_known_string() {
    // The check value of CRC-32/ISCSI.
    assert_eq!(common::slow_crc32c(b"123456789"), 0xe306_9283);
    let mut batch = vec![0; 21];
    batch.extend(b"123456789");
    assert_eq!(compute_crc(&batch), 0xe306_9283);
}
