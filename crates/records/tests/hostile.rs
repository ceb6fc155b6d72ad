//! Input that was made to hurt: counts, sizes and compressed data that claim more than they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{Raw, record, varint};
use ottla_records::compression::{compress, decompress};
use ottla_records::validate::{Inspect, RECORD_ERRORS_MAX, RejectReason};
use ottla_records::{
    Batch, BatchError, Batches, Codec, CompressionError, Origin, ProducePolicy, RecordViews,
    TargetCodec, validate,
};
use types::{ErrorCode, Wall};

const NOW: Wall = Wall(1_800_000_000_000);

fn policy() -> ProducePolicy {
    ProducePolicy::new(NOW)
}

fn body(count: i32) -> Vec<u8> {
    (0..count)
        .flat_map(|i| record(i, 0, Some(b"k"), b"v"))
        .collect()
}

fn refusal(bytes: Bytes, policy: &ProducePolicy) -> (ErrorCode, RejectReason) {
    let rejection = validate(bytes, policy).unwrap_err();
    (rejection.error, rejection.reason)
}

#[test]
fn a_small_batch_that_claims_two_billion_records() {
    for codec in Codec::ALL {
        let mut raw = Raw::new(i32::MAX, compress(codec, None, &body(2)).to_vec());
        raw.attributes = i16::from(codec.id());
        let bytes = raw.bytes();
        assert_eq!(
            refusal(bytes.clone(), &policy()),
            (ErrorCode::INVALID_RECORD, RejectReason::Records),
            "{codec}"
        );
        let batch = Batch::parse(&bytes).unwrap();
        assert!(matches!(
            batch.records(1 << 20),
            Err(BatchError::BadRecord {
                reason: "the bytes end within a field",
                ..
            })
        ));
    }
}

#[test]
fn a_record_that_claims_two_billion_headers_or_bytes() {
    let with_tail = |tail: &[u8]| {
        let fields = [&[0, 0, 0][..], tail].concat();
        let mut body = varint(fields.len() as i64);
        body.extend(fields);
        Raw::new(1, body).bytes()
    };
    let most = varint(i64::from(i32::MAX));
    let null = varint(-1);
    let tails = [
        [&null[..], &null, &most].concat(),
        [&null[..], &most, &[0]].concat(),
        [&most[..], &null, &[0]].concat(),
        [&null[..], &null, &varint(1), &most, &null].concat(),
        [&null[..], &null, &varint(1), &[0], &most].concat(),
    ];
    for tail in tails {
        let bytes = with_tail(&tail);
        assert!(bytes.len() < 83);
        let (error, reason) = refusal(bytes, &policy());
        assert_eq!(
            (error, reason),
            (ErrorCode::INVALID_RECORD, RejectReason::Records)
        );
    }
}

/// 8 MiB of zeros in each codec, against a limit of 1 MiB: stopped, and soon.
#[test]
fn zip_bombs_stop_at_the_limit() {
    let zeros = vec![0u8; 8 << 20];
    for codec in Codec::ALL {
        let bomb = compress(codec, None, &zeros);
        let limit = 1 << 20;
        let expected = Err(CompressionError::LimitExceeded { codec, limit });
        assert_eq!(decompress(codec, &bomb, limit), expected, "{codec}");
        assert_eq!(
            decompress(codec, &bomb, zeros.len() - 1).map(|b| b.len()),
            Err(CompressionError::LimitExceeded {
                codec,
                limit: zeros.len() - 1
            })
        );
        assert_eq!(
            decompress(codec, &bomb, zeros.len()).map(|b| b.len()),
            Ok(zeros.len())
        );
        if codec != Codec::None {
            let mut raw = Raw::new(1, bomb.to_vec());
            raw.attributes = i16::from(codec.id());
            let policy = ProducePolicy {
                inspect: Inspect::Always,
                max_decompressed_bytes: limit,
                max_message_bytes: usize::MAX,
                ..policy()
            };
            let (error, reason) = refusal(raw.bytes(), &policy);
            assert_eq!(
                (error, reason),
                (ErrorCode::MESSAGE_TOO_LARGE, RejectReason::Compression)
            );
        }
    }
}

/// A zstd frame that declares nothing (as streams do) and holds too much; frames one after another.
#[test]
fn zstd_frames_that_hide_their_size() {
    use std::io::Write;
    let frame = |size: usize| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(&vec![0; size]).unwrap();
        encoder.finish().unwrap()
    };
    let limit = 1 << 20;
    let expected = Err(CompressionError::LimitExceeded {
        codec: Codec::Zstd,
        limit,
    });
    assert_eq!(decompress(Codec::Zstd, &frame(16 << 20), limit), expected);
    let many = [frame(limit / 2), frame(limit / 2), frame(1)].concat();
    assert_eq!(decompress(Codec::Zstd, &many, limit), expected);
    assert_eq!(
        decompress(Codec::Zstd, &many, limit + 1).map(|b| b.len()),
        Ok(limit + 1)
    );
}

#[test]
fn zstd_windows_beyond_eight_megabytes_are_refused() {
    use std::io::Write;
    let frame = |window_log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(b"small").unwrap();
        encoder.flush().unwrap();
        encoder.write_all(b" content").unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(
        decompress(Codec::Zstd, &frame(23), 100).unwrap(),
        "small content"
    );
    let refused = decompress(Codec::Zstd, &frame(24), 100);
    assert!(
        matches!(refused, Err(CompressionError::Malformed { .. })),
        "{refused:?}"
    );
    // What we write stays readable for ourselves at every level, however large it is.
    let mut large = vec![7u8; 20 << 20];
    large[10 << 20] = 8;
    let written = compress(Codec::Zstd, Some(19), &large);
    assert_eq!(
        decompress(Codec::Zstd, &written, large.len()).unwrap(),
        large
    );
}

#[test]
fn snappy_blocks_that_declare_gigabytes() {
    // A raw block: the length as a little-endian varint, then one literal.
    let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'a'];
    let framed = |block: &[u8]| {
        let mut out = vec![
            0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
        ];
        out.extend((block.len() as u32).to_be_bytes());
        out.extend(block);
        out
    };
    for data in [raw.to_vec(), framed(&raw)] {
        let refused = decompress(Codec::Snappy, &data, usize::MAX);
        assert!(
            matches!(refused, Err(CompressionError::Malformed { .. })),
            "{refused:?}"
        );
    }
    let limit = 3;
    let fits = [3u8, 0x08, b'a', b'b', b'c'];
    assert_eq!(decompress(Codec::Snappy, &fits, limit).unwrap(), "abc");
    let two = [framed(&fits), framed(&fits)].concat();
    assert_eq!(
        decompress(Codec::Snappy, &two, 6).unwrap(),
        "abcabc",
        "streams may be concatenated"
    );
    assert_eq!(
        decompress(Codec::Snappy, &two, 5),
        Err(CompressionError::LimitExceeded {
            codec: Codec::Snappy,
            limit: 5
        })
    );
    for cut in 1..two.len() {
        // Between blocks nothing says that more should follow; a raw block cannot start with 0x82 0x53.
        if let Ok(out) = decompress(Codec::Snappy, &two[..cut], 6) {
            assert!(cut == 16 || cut == 25 || cut == 41, "{cut}: {out:?}");
        }
    }
    let mut negative = framed(&fits);
    negative[16] = 0x80;
    assert!(decompress(Codec::Snappy, &negative, 6).is_err());
}

#[test]
fn refused_records_are_counted_and_some_named() {
    let count = RECORD_ERRORS_MAX as i32 * 3;
    let body: Vec<u8> = (0..count).flat_map(|i| record(i, 0, None, b"v")).collect();
    let policy = ProducePolicy {
        compacted: true,
        ..policy()
    };
    let rejection = validate(Raw::new(count, body).bytes(), &policy).unwrap_err();
    assert_eq!(rejection.error, ErrorCode::INVALID_RECORD);
    assert_eq!(rejection.reason, RejectReason::NoKey);
    assert_eq!(rejection.record_errors.len(), RECORD_ERRORS_MAX);
    assert!(
        rejection.message.contains("300 record errors in total"),
        "{}",
        rejection.message
    );
}

#[test]
fn a_batch_larger_than_a_segment() {
    let bytes = Raw::new(2, body(2)).bytes();
    let policy = ProducePolicy {
        segment_bytes: bytes.len() - 1,
        ..policy()
    };
    let (error, reason) = refusal(bytes.clone(), &policy);
    assert_eq!(
        (error, reason),
        (ErrorCode::RECORD_LIST_TOO_LARGE, RejectReason::TooLarge)
    );
    let policy = ProducePolicy {
        segment_bytes: bytes.len(),
        ..policy
    };
    assert!(validate(bytes.clone(), &policy).is_ok());
    let policy = ProducePolicy {
        max_message_bytes: bytes.len(),
        ..policy
    };
    assert!(validate(bytes.clone(), &policy).is_ok());
    let policy = ProducePolicy {
        max_message_bytes: bytes.len() - 1,
        ..policy
    };
    assert_eq!(refusal(bytes, &policy).0, ErrorCode::MESSAGE_TOO_LARGE);
}

/// Small on the wire, too large once the topic's `uncompressed` is obeyed.
#[test]
fn a_batch_that_recompression_makes_too_large() {
    let mut raw = Raw::new(1, vec![]);
    raw.attributes = i16::from(Codec::Zstd.id());
    raw.body = compress(Codec::Zstd, None, &record(0, 0, Some(b"k"), &[0; 100_000])).to_vec();
    let target_codec = TargetCodec::Specific {
        codec: Codec::None,
        level: None,
    };
    let policy = ProducePolicy {
        target_codec,
        max_message_bytes: 50_000,
        ..policy()
    };
    assert_eq!(
        refusal(raw.bytes(), &policy).0,
        ErrorCode::MESSAGE_TOO_LARGE
    );
    let policy = ProducePolicy {
        max_message_bytes: 200_000,
        ..policy
    };
    assert!(validate(raw.bytes(), &policy).is_ok());
}

#[test]
fn coordinators_may_write_control_batches_and_clients_may_not() {
    let mut raw = Raw::new(1, body(1));
    raw.attributes = 0x30;
    (raw.producer_id, raw.producer_epoch) = (1, 0);
    let bytes = raw.bytes();
    assert_eq!(
        refusal(bytes.clone(), &policy()),
        (ErrorCode::INVALID_RECORD, RejectReason::Control)
    );
    let policy = ProducePolicy {
        origin: Origin::Coordinator,
        ..policy()
    };
    assert_eq!(validate(bytes.clone(), &policy).unwrap().bytes, bytes);
}

/// What looking only when needed gives up, said as a test: see decision 0002.
#[test]
fn a_compressed_batch_that_lies_is_found_only_by_looking() {
    let mut raw = Raw::new(3, compress(Codec::Lz4, None, &body(2)).to_vec());
    raw.attributes = i16::from(Codec::Lz4.id());
    let bytes = raw.bytes();
    assert_eq!(validate(bytes.clone(), &policy()).unwrap().bytes, bytes);
    let reasons = [
        ProducePolicy {
            inspect: Inspect::Always,
            ..policy()
        },
        ProducePolicy {
            compacted: true,
            ..policy()
        },
        ProducePolicy {
            before_max_ms: i64::MAX - 1,
            ..policy()
        },
        ProducePolicy {
            target_codec: TargetCodec::Specific {
                codec: Codec::Zstd,
                level: None,
            },
            ..policy()
        },
    ];
    for policy in reasons {
        let (error, reason) = refusal(bytes.clone(), &policy);
        assert_eq!(
            (error, reason),
            (ErrorCode::INVALID_RECORD, RejectReason::Records)
        );
    }
    // The codec the topic has already is no reason.
    let target_codec = TargetCodec::Specific {
        codec: Codec::Lz4,
        level: None,
    };
    assert!(
        validate(
            bytes,
            &ProducePolicy {
                target_codec,
                ..policy()
            }
        )
        .is_ok()
    );
}

#[test]
fn headers_that_contradict_themselves() {
    let mut raw = Raw::new(1, body(1));
    raw.base_offset = -1;
    assert!(matches!(
        Batch::parse(&raw.bytes()),
        Err(BatchError::BadOffsets { .. })
    ));
    raw.base_offset = i64::MAX;
    assert!(matches!(
        Batch::parse(&raw.bytes()),
        Err(BatchError::BadOffsets { .. })
    ));
    raw.base_offset = i64::MAX - 1;
    assert_eq!(
        Batch::parse(&raw.bytes()).unwrap().header().next_offset().0,
        i64::MAX
    );
    raw.last_offset_delta = -1;
    assert!(matches!(
        Batch::parse(&raw.bytes()),
        Err(BatchError::BadOffsets { .. })
    ));
    let mut raw = Raw::new(-1, body(1));
    raw.last_offset_delta = 0;
    assert_eq!(Batch::parse(&raw.bytes()), Err(BatchError::BadCount(-1)));
    let zeros = Bytes::from(vec![0; 4096]);
    let mut batches = Batches::new(zeros);
    assert_eq!(batches.next(), Some(Err(BatchError::BadLength(0))));
    assert_eq!((batches.next(), batches.position()), (None, 0));
}

#[test]
fn records_end_after_the_first_error() {
    let good = record(0, 0, None, b"long enough for four");
    let bad = [vec![2, 0], good.clone(), good.clone()].concat();
    let body = [good, bad].concat();
    let results: Vec<bool> = RecordViews::new(&body, 4)
        .unwrap()
        .map(|record| record.is_ok())
        .collect();
    assert_eq!(results, [true, false]);
    let batch = Batch::parse(&Raw::new(4, body).bytes()).unwrap();
    let results: Vec<bool> = batch
        .records(0)
        .unwrap()
        .map(|record| record.is_ok())
        .collect();
    assert_eq!(results, [true, false]);
}
