//! Bytes that are no message: cut, changed, or made to hurt.

use bytes::Bytes;

use super::{each, hex};
use crate::codec::dice::Dice;
use crate::*;

fn decode<M: Message>(text: &str, version: i16) -> Result<M, DecodeError> {
    M::decode(&mut Reader::new(hex(text)), version)
}

#[test]
fn truncation_anywhere_is_an_error() {
    each(|codec, version| {
        for seed in 0..3 {
            let bytes = (codec.round_trip)(seed, version);
            // Long byte strings have one inside like the other.
            let step = 1 + bytes.len() / 600;
            for len in (0..bytes.len()).step_by(step) {
                let cut = (codec.recode)(&mut Reader::new(bytes.slice(..len)), version);
                assert!(
                    cut.is_err(),
                    "{} v{version} seed {seed}: {len} bytes do",
                    codec.name
                );
            }
        }
    });
}

#[test]
fn trailing_bytes_are_left_to_the_caller() {
    each(|codec, version| {
        let mut bytes = (codec.round_trip)(7, version).to_vec();
        let len = bytes.len();
        bytes.extend_from_slice(b"more");
        let mut r = Reader::new(Bytes::from(bytes.clone()));
        let again = (codec.recode)(&mut r, version).unwrap();
        assert_eq!(again, bytes[..len], "{} v{version}", codec.name);
        assert_eq!(r.expect_end(), Err(DecodeError::TrailingBytes(4)));
    });
}

/// Bytes at random, and messages with a few bytes changed: an error or a message that can be written
/// again, never a panic.
#[test]
fn garbage_is_an_error_or_a_message() {
    let mut dice = Dice::new(42);
    let (mut errors, mut messages) = (0, 0);
    each(|codec, version| {
        for seed in 0..40 {
            let mut bytes = if seed % 4 == 0 {
                (0..dice.next() % 300).map(|_| dice.next() as u8).collect()
            } else {
                (codec.round_trip)(seed, version).to_vec()
            };
            for _ in 0..dice.next() % 4 {
                if !bytes.is_empty() {
                    let at = (dice.next() % bytes.len() as u64) as usize;
                    bytes[at] = [0, 1, 0x7f, 0x80, 0xff, dice.next() as u8][seed as usize % 6];
                }
            }
            match (codec.recode)(&mut Reader::new(Bytes::from(bytes)), version) {
                Ok(_) => messages += 1,
                Err(_) => errors += 1,
            }
        }
    });
    assert!(
        errors > 1000 && messages > 1000,
        "{errors} errors, {messages} messages"
    );
}

/// Bytes that killed another implementation, and their like.
#[test]
fn lengths_are_not_believed() {
    // Five bytes that ask for 2^32 - 2 topics.
    assert_eq!(
        decode::<MetadataRequest>("ff ff ff ff 0f", 9),
        Err(DecodeError::ArrayTooLong {
            len: 0xffff_fffe,
            max: 1_000_000
        })
    );
    assert_eq!(
        decode::<MetadataRequest>("ff ff ff ff 1f", 9),
        Err(DecodeError::VarintTooLong)
    );
    assert_eq!(
        decode::<MetadataRequest>("ff ff ff ff ff 0f", 9),
        Err(DecodeError::VarintTooLong)
    );
    // A million topics in no bytes.
    assert_eq!(
        decode::<MetadataRequest>("c1 84 3d", 9),
        Err(DecodeError::ArrayExceedsMessage {
            len: 1_000_000,
            needed: 2_000_000,
            remaining: 0
        })
    );
    assert_eq!(
        decode::<MetadataRequest>("7f ff ff ff", 1),
        Err(DecodeError::ArrayTooLong {
            len: 0x7fff_ffff,
            max: 1_000_000
        })
    );
    assert_eq!(
        decode::<MetadataRequest>("ff ff ff fe", 1),
        Err(DecodeError::NegativeLength(-2))
    );
    // Null is all topics from version 1 on and nothing in version 0.
    assert_eq!(
        decode::<MetadataRequest>("ff ff ff ff", 1).unwrap().topics,
        None
    );
    assert_eq!(
        decode::<MetadataRequest>("ff ff ff ff", 0),
        Err(DecodeError::UnexpectedNull)
    );
    // Text that is longer than the message, longer than allowed, null, or not UTF-8.
    assert_eq!(
        decode::<SaslHandshakeRequest>("00 05 50", 0),
        Err(DecodeError::Truncated {
            needed: 5,
            remaining: 1
        })
    );
    assert_eq!(
        decode::<MetadataRequest>(&format!("02 81 80 02 {}", "61".repeat(40_000)), 9),
        Err(DecodeError::StringTooLong(32_768))
    );
    assert_eq!(
        decode::<SaslHandshakeRequest>("ff ff", 0),
        Err(DecodeError::UnexpectedNull)
    );
    assert_eq!(
        decode::<SaslHandshakeRequest>("00 01 ff", 0),
        Err(DecodeError::InvalidUtf8)
    );
    assert_eq!(decode::<SaslAuthenticateRequest>("80 00 00 00", 0), {
        Err(DecodeError::NegativeLength(i32::MIN))
    });
}

#[test]
fn tagged_fields_are_bounded_and_ordered() {
    // An ApiVersions response of version 3 with no API, then its tagged fields.
    let tags = |text: &str| decode::<ApiVersionsResponse>(&format!("0000 01 00000000 {text}"), 3);
    assert_eq!(tags("00"), Ok(ApiVersionsResponse::default()));
    let message = tags("02 01 08 0000000000000007 03 01 01").unwrap();
    assert_eq!(
        (message.finalized_features_epoch, message.zk_migration_ready),
        (7, true)
    );
    assert_eq!(
        tags("02 03 01 01 01 08 0000000000000007"),
        Err(DecodeError::TagOrder(1))
    );
    assert_eq!(tags("02 03 01 01 03 01 01"), Err(DecodeError::TagOrder(3)));
    assert_eq!(
        tags("01 03 02 01 01"),
        Err(DecodeError::TagSize { tag: 3, left: 1 })
    );
    // The value does not end where the field ends, though the message goes on.
    assert_eq!(
        tags("02 01 07 00000000000000 03 01 01"),
        Err(DecodeError::Truncated {
            needed: 8,
            remaining: 7
        })
    );
    assert_eq!(
        tags("01 03 05 01"),
        Err(DecodeError::Truncated {
            needed: 5,
            remaining: 1
        })
    );
    assert_eq!(
        tags("91 4e"),
        Err(DecodeError::TooManyTags {
            count: 10_001,
            max: 10_000
        })
    );
    assert_eq!(
        tags("90 4e"),
        Err(DecodeError::Truncated {
            needed: 1,
            remaining: 0
        })
    );
}
