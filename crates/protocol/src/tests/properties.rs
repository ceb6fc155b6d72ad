//! What is written is read back, in every version of every message.

use bytes::Bytes;

use super::{CODECS, each, encode};
use crate::*;

#[test]
fn what_is_written_is_read_back() {
    each(|codec, version| {
        for seed in 0..60 {
            (codec.round_trip)(seed, version);
        }
    });
}

#[test]
fn defaults_are_read_back() {
    let mut refused = Vec::new();
    each(|codec, version| {
        if let Err(e) = (codec.default_round_trip)(version) {
            refused.push(format!("{} v{version}: {e}", codec.name));
        }
    });
    assert_eq!(refused, [""; 0]);
}

#[test]
fn arbitrary_messages_fill_all_kinds_of_fields() {
    let message: FetchResponse = testing::arbitrary(1, 18);
    assert_eq!(message, testing::arbitrary(1, 18));
    let any = |found: fn(&FetchResponse) -> bool| {
        (0..100).any(|seed| found(&testing::arbitrary(seed, 18)))
    };
    assert!(any(|m| !m.node_endpoints.is_empty()));
    assert!(any(|m| m
        .responses
        .iter()
        .any(|t| t.partitions.iter().any(|p| p.records.is_none()))));
    assert!(any(|m| m.responses.iter().any(|t| t
        .partitions
        .iter()
        .any(|p| {
            p.records.as_ref().is_some_and(|r| r.len() > 1024)
                && p.current_leader.leader_epoch != -1
        }))));
    // A version has no fields of another.
    let topics = (0..100).flat_map(|seed| testing::arbitrary::<FetchResponse>(seed, 12).responses);
    assert!(topics.into_iter().all(|t| t.topic_id.is_zero()));
}

/// A newer client may add tagged fields to any version: they are skipped and change nothing.
#[test]
fn unknown_tags_are_skipped() {
    let mut added = 0;
    each(|codec, version| {
        if version < codec.flexible_from {
            return;
        }
        let bytes = (codec.round_trip)(11, version);
        // The message's own section of tagged fields is its end. If it is empty it is one zero.
        if bytes.last() != Some(&0) {
            return;
        }
        let mut more = bytes[..bytes.len() - 1].to_vec();
        more.extend_from_slice(&[2, 0x89, 0x01, 3, 1, 2, 3, 0x8a, 0x01, 0]);
        let mut r = Reader::new(Bytes::from(more));
        if let Ok(again) = (codec.recode)(&mut r, version) {
            assert_eq!(r.expect_end(), Ok(()));
            assert_eq!(again, bytes, "{} v{version}", codec.name);
            added += 1;
        }
    });
    assert!(added > 300, "only {added} messages");
}

#[test]
fn unknown_versions_are_refused() {
    for codec in CODECS {
        for version in [
            codec.versions.0 - 1,
            codec.versions.1 + 1,
            i16::MAX,
            i16::MIN,
        ] {
            let refused = (codec.recode)(&mut Reader::new(Bytes::from_static(&[0; 100])), version);
            let error = DecodeError::UnsupportedVersion {
                message: codec.name,
                version,
            };
            assert_eq!(refused, Err(error));
        }
    }
    assert_eq!(
        encode(&FetchRequest::default(), 3),
        Err(EncodeError::UnsupportedVersion {
            message: "FetchRequest",
            version: 3
        })
    );
}

#[test]
fn a_field_that_the_version_lacks_is_refused_or_ignorable() {
    let request = FetchRequest {
        rack_id: "r1".into(),
        ..FetchRequest::default()
    };
    assert!(encode(&request, 11).is_ok());
    assert!(encode(&request, 10).is_ok(), "a rack is ignorable");
    let request = ProduceRequest {
        transactional_id: Some("t".into()),
        ..Default::default()
    };
    assert!(encode(&request, 3).is_ok());
    let request = OffsetFetchRequest {
        require_stable: true,
        ..Default::default()
    };
    assert_eq!(
        encode(&request, 6),
        Err(EncodeError::FieldNotInVersion {
            field: "OffsetFetchRequest.require_stable",
            version: 6
        })
    );
    let request = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    assert_eq!(
        encode(&request, 0),
        Err(EncodeError::UnexpectedNull("MetadataRequest.topics"))
    );
    let request = SaslHandshakeRequest {
        mechanism: "x".repeat(32_768).into(),
    };
    assert_eq!(
        encode(&request, 1),
        Err(EncodeError::StringTooLong {
            field: "SaslHandshakeRequest.mechanism",
            len: 32_768
        })
    );
}
