//! Partitions whose logs are still being opened: clients are told what they take for "ask again".

use protocol::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::describe_producers_request::TopicRequest;
use protocol::fetch_request::{FetchPartition, FetchTopic};
use protocol::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use protocol::{
    DeleteRecordsRequest, DescribeProducersRequest, FetchRequest, ListOffsetsRequest,
    OffsetForLeaderEpochRequest, Str,
};
use types::ErrorCode;

use crate::answers::produce as produce_one;
use crate::open_files::{PARTITIONS, produce};
use crate::site::{Heard, Site, Wire, frame, limits};

/// What each partition says of itself.
async fn errors(wire: &mut Wire) -> Vec<(&'static str, Vec<i16>)> {
    let all = 0..PARTITIONS;
    let orders = Str::from("orders");
    let mut said = Vec::new();

    let request = FetchRequest {
        topics: vec![FetchTopic {
            topic: orders.clone(),
            partitions: all
                .clone()
                .map(|partition| FetchPartition {
                    partition,
                    partition_max_bytes: 1000,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        max_bytes: 100_000,
        session_epoch: -1,
        ..Default::default()
    };
    let answer = wire.ask(&request, 12, 5000).await.expect("an answer");
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    said.push(("Fetch", partitions.map(|it| it.error_code).collect()));

    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: orders.clone(),
            partitions: all
                .clone()
                .map(|partition_index| ListOffsetsPartition {
                    partition_index,
                    timestamp: -1,
                    ..Default::default()
                })
                .collect(),
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, 7, 5000).await.expect("an answer");
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    said.push(("ListOffsets", partitions.map(|it| it.error_code).collect()));

    let request = OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic {
            topic: orders.clone(),
            partitions: all
                .clone()
                .map(|partition| OffsetForLeaderPartition {
                    partition,
                    current_leader_epoch: -1,
                    ..Default::default()
                })
                .collect(),
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, 4, 5000).await.expect("an answer");
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    said.push((
        "OffsetForLeaderEpoch",
        partitions.map(|it| it.error_code).collect(),
    ));

    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: orders.clone(),
            partitions: all
                .clone()
                .map(|partition_index| DeleteRecordsPartition {
                    partition_index,
                    offset: 0,
                })
                .collect(),
        }],
        timeout_ms: 1000,
    };
    let answer = wire.ask(&request, 2, 5000).await.expect("an answer");
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    said.push((
        "DeleteRecords",
        partitions.map(|it| it.error_code).collect(),
    ));

    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: orders,
            partition_indexes: all.collect(),
        }],
    };
    let answer = wire.ask(&request, 0, 5000).await.expect("an answer");
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    said.push((
        "DescribeProducers",
        partitions.map(|it| it.error_code).collect(),
    ));
    said
}

/// Java's consumer takes 6 in the answer to a fetch for "ask again", and dies of 5.
#[test]
fn they_are_led_by_nobody_yet() {
    let mut site = Site::new(limits(), &[]);
    let files = site.descriptors.clone();
    let few = files.open() + 8;
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.create(&Str::from("orders"), PARTITIONS).await;
        produce(&mut wire).await;
    });
    files.allow(few);
    site.kill_and_start();
    let said = site.client(|env| async move { errors(&mut Wire::connect(&env).await).await });
    for (api, errors) in said {
        assert_eq!(errors.len(), PARTITIONS as usize, "{api}");
        let not_yet = ErrorCode::NOT_LEADER_OR_FOLLOWER.0;
        assert!(errors.contains(&not_yet), "{api}: {errors:?}");
        assert!(
            errors.iter().all(|error| [0, not_yet].contains(error)),
            "{api}: {errors:?}"
        );
    }
    files.allow(usize::MAX);
    let said = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.pause(10_000).await;
        errors(&mut wire).await
    });
    for (api, errors) in said {
        assert!(errors.iter().all(|error| *error == 0), "{api}: {errors:?}");
    }
}

/// Where the log of the only partition ends.
async fn end(wire: &mut Wire, topic: &Str) -> i64 {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.clone(),
            partitions: vec![ListOffsetsPartition {
                timestamp: -1,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, 7, 5000).await.expect("an answer");
    let partition = &answer.topics[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    partition.offset
}

/// A producer does not wait for ever, whatever acknowledgement it wants; and what it was refused, and sends again,
/// is not there twice in the end.
#[test]
fn batches_that_wait_for_a_log_are_given_up_in_time() {
    for (acks, timeout_ms, patience_ms) in [
        (1, 5_000, 5_000),
        (-1, 5_000, 5_000),
        (1, i32::MAX, 30_000),
        (-1, i32::MAX, 30_000),
    ] {
        let mut site = Site::new(limits(), &[]);
        let files = site.descriptors.clone();
        files.stick(true);
        let topic = Str::from("orders");
        let wanted = topic.clone();
        site.client(move |env| async move {
            let mut wire = Wire::connect(&env).await;
            wire.create(&wanted, 1).await;
            let mut request = produce_one(&wanted, 100);
            (request.acks, request.timeout_ms) = (acks, timeout_ms);
            for _ in 0..3 {
                wire.send(&frame(&request, 9)).await;
                assert_eq!(wire.hear(patience_ms - 100).await, Heard::Nothing, "{acks}");
                let answer = wire.answer::<protocol::ProduceRequest>(9, 200).await;
                let answer = answer.expect("an answer in time");
                let partition = &answer.responses[0].partition_responses[0];
                let error = ErrorCode(partition.error_code);
                assert_eq!(error, ErrorCode::REQUEST_TIMED_OUT);
            }
        });
        files.stick(false);
        let end = site.client(move |env| async move {
            let mut wire = Wire::connect(&env).await;
            wire.pause(10_000).await;
            end(&mut wire, &topic).await
        });
        assert_eq!(end, 0, "acks={acks}");
    }
}
