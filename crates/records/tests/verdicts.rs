//! The same bytes, the same answer: `golden/kafka-verdicts.txt` holds what Apache Kafka 4.3.1 said to
//! good and bad batches in Produce requests, and what it stored.
//!
//! Where we mean to differ, the case is listed here with the reason.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::hex;
use ottla_records::validate::Inspect;
use ottla_records::{Codec, ProducePolicy, TargetCodec, TimestampType, validate};
use types::{ErrorCode, Wall};

/// Our answer where it is not Kafka's.
fn deliberate() -> BTreeMap<&'static str, ErrorCode> {
    let corrupt = ErrorCode::CORRUPT_MESSAGE;
    let invalid = ErrorCode::INVALID_RECORD;
    let codec = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;
    BTreeMap::from([
        // Kafka's answer is UNKNOWN_SERVER_ERROR, from an exception that nobody expected there.
        ("length 14", corrupt),
        ("length 2^31-1", invalid),
        ("codec 5", codec),
        ("codec 6", codec),
        ("codec 7", codec),
        ("garbage, gzip", invalid),
        ("garbage, snappy", invalid),
        ("garbage, lz4", invalid),
        ("garbage, zstd", invalid),
        ("gzip cut off", invalid),
        // The same; we give the records the offsets that their places say, as for other batches.
        ("offset deltas all 0, gzip", ErrorCode::NONE),
        ("offset deltas with a gap, gzip", ErrorCode::NONE),
        ("offset deltas descending, gzip", ErrorCode::NONE),
        ("offset delta negative, gzip", ErrorCode::NONE),
        // Kafka does not compare a record's length with its fields when it skips them, and stores
        // what its own consumer then cannot read.
        ("length beyond the end, gzip", invalid),
        ("length negative in record, gzip", invalid),
        ("length too short in record, gzip", invalid),
        ("length one too long, two records, gzip", invalid),
        // Kafka refuses this only when the records have no timestamp, or on topics with append time.
        ("append time from client", ErrorCode::INVALID_TIMESTAMP),
        (
            "append time from client, gzip",
            ErrorCode::INVALID_TIMESTAMP,
        ),
    ])
}

/// Stored by Kafka with the offset deltas as sent, which its consumers then report; or compressed by
/// another encoder.
const STORED_DIFFERENTLY: &[&str] = &[
    "offset deltas all 0",
    "offset deltas with a gap",
    "offset deltas descending",
    "offset delta negative",
    "to zstd",
    "gzip to zstd",
    "offset deltas all 0 to zstd",
];

fn policy(topic: &str, produce_version: i16, now: i64) -> ProducePolicy {
    let mut policy = ProducePolicy {
        produce_version,
        ..ProducePolicy::new(Wall(now))
    };
    // The cases are about what is inside.
    policy.inspect = Inspect::Always;
    match topic {
        "plain" => {}
        "compact" => policy.compacted = true,
        "lat" => policy.timestamp_type = TimestampType::LogAppendTime,
        "small" => policy.max_message_bytes = 1000,
        "before" => policy.before_max_ms = 86_400_000,
        "zstd" => {
            policy.target_codec = TargetCodec::Specific {
                codec: Codec::Zstd,
                level: None,
            };
        }
        "none" => {
            policy.target_codec = TargetCodec::Specific {
                codec: Codec::None,
                level: None,
            };
        }
        _ => panic!("unknown topic {topic}"),
    }
    policy
}

#[test]
fn as_apache_kafka_answers() {
    let mut deliberate = deliberate();
    let mut cases = 0;
    for line in include_str!("golden/kafka-verdicts.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(" | ").collect();
        let [name, topic, version, now, sent, error, refused, stored] = fields[..] else {
            panic!("not a case: {line}");
        };
        cases += 1;
        let sent = Bytes::from(hex(sent));
        let policy = policy(topic, version.parse().unwrap(), now.parse().unwrap());
        let result = validate(sent.clone(), &policy);
        let answer = result
            .as_ref()
            .map_or_else(|refusal| refusal.error, |_| ErrorCode::NONE);
        let kafka = ErrorCode(error.parse().unwrap());
        match deliberate.remove(name) {
            Some(ours) => {
                assert_ne!(ours, kafka, "{name}: no difference any more");
                assert_eq!(answer, ours, "{name}");
                continue;
            }
            None => assert_eq!(answer, kafka, "{name}: {result:?}"),
        }
        match result {
            Err(refusal) => {
                let ours: Vec<String> = refusal
                    .record_errors
                    .iter()
                    .map(|e| e.batch_index.to_string())
                    .collect();
                let expected = if refused == "-" { "" } else { refused };
                assert_eq!(ours.join(","), expected, "{name}");
            }
            Ok(_) if STORED_DIFFERENTLY.contains(&name) => {}
            Ok(validated) => {
                let stored = if stored == "-" {
                    sent
                } else {
                    Bytes::from(hex(stored))
                };
                let size = validated.bytes.len();
                // But for the base offset and leader epoch, which the log writes.
                assert_eq!(validated.bytes[8..12], stored[8..12], "{name}");
                assert_eq!(validated.bytes[16..], stored[16..size], "{name}");
            }
        }
    }
    assert!(deliberate.is_empty(), "no such case: {deliberate:?}");
    assert!(cases > 140, "only {cases} cases were read");
}
