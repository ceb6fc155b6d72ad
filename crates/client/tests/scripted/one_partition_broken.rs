//! A consumer of two partitions, one of which cannot be read.

use std::time::Duration;

use bytes::Bytes;
use env::{Clock, Connection, Env};
use ottla_client::{Consumer, ConsumerOptions, OffsetSpec, Start, TopicPartition};
use protocol::fetch_response::{FetchableTopicResponse, PartitionData};
use protocol::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::{
    ApiKey, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, Message, Records,
};
use records::{BatchBuilder, Codec};
use types::{ErrorCode, Offset, TimestampMs};
use world::network::SimConnection;

use crate::broker::{answer, metadata, request, versions, with_broker};

const BROKEN: i32 = 0;

/// A broker that has a record for whatever offset is asked for, and no disk under one partition.
async fn half_broken_broker(socket: SimConnection) {
    let apis = [
        (ApiKey::API_VERSIONS, 4),
        (ApiKey::METADATA, 9),
        (ApiKey::LIST_OFFSETS, 5),
        (ApiKey::FETCH, 6),
    ];
    let (mut input, mut output) = socket.split();
    while let Some((header, mut body)) = request(&mut input).await {
        let version = header.api_version;
        match header.api_key {
            ApiKey::API_VERSIONS => answer(&mut output, &header, &versions(&apis)).await,
            ApiKey::METADATA => answer(&mut output, &header, &metadata("orders", 2)).await,
            ApiKey::LIST_OFFSETS => {
                let asked = ListOffsetsRequest::decode(&mut body, version).unwrap();
                answer(&mut output, &header, &starts(asked)).await;
            }
            _ => {
                let asked = FetchRequest::decode(&mut body, version).unwrap();
                answer(&mut output, &header, &one_record_each(asked)).await;
            }
        }
    }
}

fn starts(asked: ListOffsetsRequest) -> ListOffsetsResponse {
    let error = |partition| match partition {
        BROKEN => ErrorCode::KAFKA_STORAGE_ERROR,
        _ => ErrorCode::NONE,
    };
    let topics = asked.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|p| ListOffsetsPartitionResponse {
                partition_index: p.partition_index,
                error_code: error(p.partition_index).0,
                offset: 0,
                ..ListOffsetsPartitionResponse::default()
            });
        ListOffsetsTopicResponse {
            partitions: partitions.collect(),
            name: topic.name,
        }
    });
    ListOffsetsResponse {
        topics: topics.collect(),
        ..ListOffsetsResponse::default()
    }
}

fn one_record_each(asked: FetchRequest) -> FetchResponse {
    let responses = asked.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let mut batch = BatchBuilder::new(Codec::None).base_offset(Offset(p.fetch_offset));
            batch.append(TimestampMs(1), None, Some(&Bytes::from_static(b"v")), &[]);
            PartitionData {
                partition_index: p.partition,
                high_watermark: i64::MAX,
                records: Some(Records::from(batch.build())),
                ..PartitionData::default()
            }
        });
        FetchableTopicResponse {
            partitions: partitions.collect(),
            topic: topic.topic,
            ..FetchableTopicResponse::default()
        }
    });
    FetchResponse {
        responses: responses.collect(),
        ..FetchResponse::default()
    }
}

/// Its start cannot be looked up, for as long as it takes; the other's records come all the same.
#[test]
fn a_start_that_cannot_be_looked_up_holds_up_no_other_partition() {
    with_broker(half_broken_broker, async |env, options| {
        let mut consumer = Consumer::new(&env, options, ConsumerOptions::default());
        let earliest = Start::Place(OffsetSpec::Earliest);
        let partitions = [0, 1].map(|p| (TopicPartition::new("orders", p), earliest));
        consumer.assign(partitions);
        let began = env.clock().mono();
        let mut read = 0;
        while env.clock().mono().since(began) < Duration::from_secs(5) {
            let records = consumer.poll(Duration::from_millis(100)).await.unwrap();
            assert!(records.iter().all(|r| r.at.partition != BROKEN));
            read += records.len();
        }
        assert!(read > 500, "{read} records");
    });
}
