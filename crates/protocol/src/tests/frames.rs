//! What is around messages: headers and sizes on connections, types and versions in records.

use bytes::Bytes;

use super::hex;
use crate::*;

/// Record data reaches the socket as the pieces it was given.
#[test]
fn record_data_is_not_copied() {
    let pieces = [
        Bytes::from(vec![1u8; 5000]),
        Bytes::from(vec![2u8; 10]),
        Bytes::from(vec![3u8; 2000]),
    ];
    let response = FetchResponse {
        responses: vec![fetch_response::FetchableTopicResponse {
            partitions: vec![fetch_response::PartitionData {
                records: Some(Records::from_chunks(pieces.to_vec())),
                current_leader: fetch_response::LeaderIdAndEpoch {
                    leader_id: 1,
                    leader_epoch: 2,
                },
                ..Default::default()
            }],
            ..Default::default()
        }],
        node_endpoints: vec![fetch_response::NodeEndpoint {
            host: "h".repeat(3000).into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let chunks = encode_response(9, 1, &response, 16).unwrap();
    let at = |piece: &Bytes| chunks.iter().any(|chunk| chunk.as_ptr() == piece.as_ptr());
    assert_eq!(pieces.each_ref().map(at), [true, false, true]);
    let frame = Records::from_chunks(chunks).into_bytes();
    assert_eq!(frame[..4], ((frame.len() - 4) as i32).to_be_bytes());

    let (correlation_id, back) = decode_response::<FetchRequest>(frame.slice(4..), 16).unwrap();
    assert_eq!((correlation_id, &back), (9, &response));
    let records = back.responses[0].partitions[0]
        .records
        .as_ref()
        .unwrap()
        .chunks();
    assert!(
        frame.as_ptr_range().contains(&records[0].as_ptr()),
        "read without a copy"
    );
}

#[test]
fn request_headers() {
    let header = |text: &str| decode_request_header(&mut Reader::new(hex(text)));
    assert_eq!(
        header("0012 0003 00000007 0003 636c69 00"),
        Ok(RequestHeader {
            api_key: ApiKey::API_VERSIONS,
            api_version: 3,
            correlation_id: 7,
            client_id: Some("cli".into()),
        })
    );
    // Version 2 of the header is for flexible versions only: this body begins with a zero.
    let mut r = Reader::new(hex("0003 0001 00000007 ffff 00000000"));
    assert_eq!(decode_request_header(&mut r).unwrap().client_id, None);
    assert_eq!(r.remaining(), 4);
    assert_eq!(
        header("0012 0063 00000007 ffff"),
        Err(DecodeError::UnsupportedApiVersion {
            api_key: ApiKey::API_VERSIONS,
            api_version: 99,
            correlation_id: 7
        })
    );
    assert_eq!(
        header("0004 0000 00000008 ffff"),
        Err(DecodeError::UnknownApiKey {
            api_key: 4,
            api_version: 0,
            correlation_id: 8
        })
    );
    // What a version that may still change looks like is nobody's business yet.
    assert!(header("0016 0006 00000000 ffff 00").is_err());
    assert_eq!(
        header("0003 0001 000000"),
        Err(DecodeError::Truncated {
            needed: 4,
            remaining: 3
        })
    );
}

#[test]
fn requests_and_responses_travel_in_frames() {
    for info in API_TABLE {
        for version in info.versions.0..=info.versions.1 {
            let header = request_header_version(info.key, version);
            assert_eq!(header == 2, version >= info.flexible_from, "{info:?}");
        }
    }
    let request = ApiVersionsRequest {
        client_software_name: "ottla".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let frame = Records::from_chunks(encode_request(5, Some("c"), &request, 3).unwrap());
    let frame = frame.into_bytes();
    assert_eq!(
        frame,
        hex("00000015 0012 0003 00000005 0001 63 00  06 6f74746c61 02 31 00")
    );
    let mut r = Reader::new(frame.slice(4..));
    let header = decode_request_header(&mut r).unwrap();
    assert_eq!(
        (header.correlation_id, header.client_id.unwrap()),
        (5, "c".into())
    );
    assert_eq!(ApiVersionsRequest::decode(&mut r, 3), Ok(request));

    let response = ApiVersionsResponse {
        error_code: 35,
        ..Default::default()
    };
    let chunks = encode_response(5, 0, &response, 0).unwrap();
    assert_eq!(
        Records::from_chunks(chunks).into_bytes(),
        hex("0000000a 00000005 0023 00000000")
    );
}

#[test]
fn coordinator_records_have_their_type_and_version_in_front() {
    let key = OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 2,
    };
    let bytes = record::encode_key(&key).unwrap();
    assert_eq!(bytes, hex("0001 0001 67 0001 74 00000002"));
    assert_eq!(record::decode_key(bytes.clone()), Ok(key.clone()));
    assert_eq!(
        GroupRecordKey::decode(bytes.clone()),
        Ok(GroupRecordKey::OffsetCommit(key.clone()))
    );
    assert_eq!(GroupRecordKey::OffsetCommit(key).encode().unwrap(), bytes);
    assert_eq!(
        GroupRecordKey::decode(hex("0002 0001 67")),
        Ok(GroupRecordKey::GroupMetadata(GroupMetadataKey {
            group: "g".into()
        }))
    );
    assert_eq!(
        record::decode_key::<GroupMetadataKey>(bytes),
        Err(DecodeError::UnknownRecordType(1))
    );
    assert_eq!(
        GroupRecordKey::decode(hex("7fff")),
        Err(DecodeError::UnknownRecordType(0x7fff))
    );

    let value = OffsetCommitValue {
        offset: 5,
        leader_epoch: 3,
        metadata: "m".into(),
        commit_timestamp: 9,
        ..Default::default()
    };
    let bytes = record::encode_value(&value, 3).unwrap();
    assert_eq!(
        bytes,
        hex("0003 0000000000000005 00000003 0001 6d 0000000000000009")
    );
    assert_eq!(
        GroupRecordValue::decode(1, bytes.clone()),
        Ok(GroupRecordValue::OffsetCommit(value.clone()))
    );
    assert_eq!(record::decode_value(bytes.clone()), Ok(value.clone()));
    assert_eq!(
        GroupRecordValue::OffsetCommit(value).encode(3).unwrap(),
        bytes
    );
    assert!(GroupRecordValue::decode(1, hex("0063")).is_err());

    let key = TransactionRecordKey::TransactionLog(TransactionLogKey {
        transactional_id: "tx".into(),
    });
    assert_eq!(key.encode().unwrap(), hex("0000 0002 7478"));
    assert_eq!(key.record_type(), 0);
    assert_eq!(
        ShareRecordKey::decode(hex("0005")),
        Err(DecodeError::UnknownRecordType(5))
    );
}

#[test]
fn metadata_records_have_a_frame() {
    let record = MetadataRecord::from(TopicRecord {
        name: "t".into(),
        topic_id: types::Uuid::METADATA_TOPIC,
    });
    let bytes = record.encode(0).unwrap();
    assert_eq!(
        bytes,
        hex("01 02 00  02 74 00000000000000000000000000000001 00")
    );
    assert_eq!(record.api_key(), 2);
    assert_eq!(MetadataRecord::decode(bytes.clone()), Ok(record));
    assert_eq!(
        MetadataRecord::decode(bytes.slice(..3)).map_err(|_| ()),
        Err(())
    );
    assert_eq!(
        MetadataRecord::decode(hex("02 02 00")),
        Err(DecodeError::UnknownFrameVersion(2))
    );
    assert_eq!(
        MetadataRecord::decode(hex("01 ff 01 00")),
        Err(DecodeError::UnknownRecordType(255))
    );
    assert!(MetadataRecord::decode(hex("01 02 ff ff ff ff 0f 00")).is_err());
    assert_eq!(
        MetadataRecord::decode([bytes, Bytes::from_static(b"x")].concat().into()),
        Err(DecodeError::TrailingBytes(1))
    );
}
