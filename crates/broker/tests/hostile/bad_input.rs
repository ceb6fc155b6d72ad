//! Bytes that are no request: each is refused as Kafka does, and counted by its reason.

use protocol::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::{
    ApiKey, ApiVersionsRequest, MetadataRequest, ProduceRequest, SaslAuthenticateRequest,
    SaslHandshakeRequest, Str,
};
use types::ErrorCode;

use crate::site::{Heard, Site, Wire, announce, frame, head, limits};

/// Sends bytes and expects to be hung up on, without an answer, for this reason.
fn refused(reason: &'static str, bytes: &[u8]) {
    let mut site = Site::new(limits(), &[]);
    let sent = bytes.to_vec();
    let heard = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.send(&sent).await;
        wire.hear(1000).await
    });
    assert_eq!(heard, Heard::Closed, "{reason}: {bytes:02x?}");
    site.refused_only(reason, 1);
}

#[test]
fn sizes_that_are_none() {
    for size in [-1i32, i32::MIN, 0, 3, i32::MAX, (100 << 20) + 1] {
        refused("frame_size", &size.to_be_bytes());
    }
}

#[test]
fn other_protocols() {
    refused(
        "other_protocol",
        &[0x16, 3, 1, 0, 0xc8, 1, 0, 0, 0xc4, 3, 3],
    );
    refused("other_protocol", b"GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn apis_and_versions_that_are_not_served() {
    refused("unknown_api", &head(14, 999, 0));
    refused("unknown_api", &head(14, ApiKey::VOTE.0, 0));
    for (key, version) in [
        (ApiKey::METADATA, 99),
        (ApiKey::FETCH, 3),
        (ApiKey::PRODUCE, 2),
        (ApiKey::METADATA, -1),
    ] {
        let mut request = head(20, key.0, version);
        request.resize(24, 0);
        refused("unsupported_version", &request);
    }
}

#[test]
fn headers_and_bodies_that_do_not_parse() {
    // Too short for a header; a client id longer than the frame; an array of two billion.
    refused("malformed", &announce(4, ApiKey::METADATA.0, 1));
    let mut request = announce(10, ApiKey::METADATA.0, 1);
    request.extend_from_slice(&[0, 0, 0, 7, 0x7f, 0xff]);
    refused("malformed", &request);
    let mut request = head(18, ApiKey::METADATA.0, 1);
    request.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    refused("malformed", &request);
}

#[test]
fn half_a_request_and_no_more() {
    let mut site = Site::new(limits(), &[]);
    let heard = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.send(&head(100, ApiKey::METADATA.0, 1)).await;
        wire.finish().await;
        wire.hear(1000).await
    });
    assert_eq!(heard, Heard::Closed);
    site.refused_only("incomplete_request", 1);
}

#[test]
fn a_client_that_leaves_between_requests_is_no_trouble() {
    let mut site = Site::new(limits(), &[]);
    let heard = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.ask(&ApiVersionsRequest::default(), 0, 1000).await;
        wire.finish().await;
        wire.hear(1000).await
    });
    assert_eq!(heard, Heard::Closed);
    assert_eq!(site.refused("incomplete_request"), 0);
}

/// A frame may be as large as its API needs, and its size is refused before its body is read.
#[test]
fn each_api_has_its_largest_frame() {
    const KIB: u32 = 1024;
    const MIB: u32 = 1024 * KIB;
    for (key, max) in [
        (ApiKey::PRODUCE, 100 * MIB),
        (ApiKey::SYNC_GROUP, 100 * MIB),
        (ApiKey::JOIN_GROUP, 16 * MIB),
        (ApiKey::FETCH, 8 * MIB),
        (ApiKey::METADATA, 8 * MIB),
        (ApiKey::FIND_COORDINATOR, MIB),
        (ApiKey::SASL_AUTHENTICATE, 512 * KIB),
        (ApiKey::HEARTBEAT, 64 * KIB),
        (ApiKey::API_VERSIONS, 4 * KIB),
        (ApiKey(999), 64 * KIB),
    ] {
        let mut site = Site::new(limits(), &[]);
        let heard = site.client(move |env| async move {
            let mut wire = Wire::connect(&env).await;
            wire.send(&head(max, key.0, 1)).await;
            let fits = wire.hear(1000).await;
            let mut wire = Wire::connect(&env).await;
            wire.send(&head(max + 1, key.0, 1)).await;
            (fits, wire.hear(1000).await)
        });
        assert_eq!(heard, (Heard::Nothing, Heard::Closed), "{key:?}");
        site.refused_only("frame_size", 1);
    }
}

#[test]
fn bytes_behind_a_body_are_ignored_and_counted() {
    let mut site = Site::new(limits(), &[]);
    let answered = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let mut request = frame(&MetadataRequest::default(), 1);
        request.extend_from_slice(b"more");
        let size = (request.len() - 4) as u32;
        request[..4].copy_from_slice(&size.to_be_bytes());
        wire.send(&request.repeat(3)).await;
        let mut answered = 0;
        while wire.answer::<MetadataRequest>(1, 1000).await.is_some() {
            answered += 1;
        }
        answered
    });
    assert_eq!(answered, 3);
    site.refused_only("trailing_bytes", 3);
}

#[test]
fn a_produce_without_an_answer_that_fails_ends_the_connection() {
    let mut site = Site::new(limits(), &[]);
    let heard = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let request = ProduceRequest {
            acks: 0,
            timeout_ms: 1000,
            topic_data: vec![TopicProduceData {
                name: Str::from("no-such-topic"),
                partition_data: vec![PartitionProduceData::default()],
                ..Default::default()
            }],
            ..Default::default()
        };
        wire.send(&frame(&request, 9)).await;
        wire.hear(1000).await
    });
    assert_eq!(heard, Heard::Closed);
    site.refused_only("unanswered_produce", 1);
}

/// As Kafka 4.3.1: where nobody authenticates, whoever tries is told so and stays.
#[test]
fn sasl_where_there_is_none() {
    let mut site = Site::new(limits(), &[]);
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        for version in 0..=1 {
            let request = SaslHandshakeRequest {
                mechanism: Str::from("SCRAM-SHA-512"),
            };
            let answer = wire.ask(&request, version, 1000).await.expect("an answer");
            assert_eq!(ErrorCode(answer.error_code), ErrorCode::ILLEGAL_SASL_STATE);
            assert!(answer.mechanisms.is_empty());
        }
        for version in 0..=2 {
            let request = SaslAuthenticateRequest::default();
            let answer = wire.ask(&request, version, 1000).await.expect("an answer");
            assert_eq!(ErrorCode(answer.error_code), ErrorCode::ILLEGAL_SASL_STATE);
        }
        let served = wire.ask(&ApiVersionsRequest::default(), 0, 1000).await;
        assert!(served.is_some());
    });
}
