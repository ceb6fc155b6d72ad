//! Requests as large as they may be, that name the same things all over: each takes a moment, not hours.

use protocol::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::{
    FindCoordinatorRequest, ListOffsetsRequest, OffsetCommitRequest, OffsetDeleteRequest, Str,
};
use types::ErrorCode;

use crate::site::{Site, Wire, limits};

const MANY: usize = 100_000;

#[test]
fn partitions_that_are_all_named_twice() {
    let mut site = Site::new(limits(), &[]);
    let answer = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let partitions = (0..MANY).map(|number| ListOffsetsPartition {
            partition_index: (number / 2) as i32,
            timestamp: -1,
            ..Default::default()
        });
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: Str::from("orders"),
                partitions: partitions.collect(),
            }],
            ..Default::default()
        };
        wire.ask(&request, 7, 60_000).await.expect("an answer")
    });
    let partitions = &answer.topics[0].partitions;
    assert_eq!(partitions.len(), MANY / 2);
    let refused = ErrorCode::INVALID_REQUEST.0;
    assert!(partitions.iter().all(|it| it.error_code == refused));
}

/// Half of the topics are not there, and the other half is one topic.
fn names(topic: &str) -> impl Iterator<Item = Str> {
    (0..MANY / 2).flat_map(move |number| [Str::from(topic), Str::from(format!("no-{number}"))])
}

#[test]
fn offsets_of_many_topics_that_are_not_there() {
    let mut site = Site::new(limits(), &[]);
    let (committed, deleted) = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        for topic in ["orders", "other"] {
            wire.create(&Str::from(topic), 1).await;
        }
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![Str::from("g")],
            ..Default::default()
        };
        wire.ask(&request, 4, 5_000).await.expect("an answer");
        wire.pause(1_000).await;
        let commit = |names: Vec<Str>| OffsetCommitRequest {
            group_id: Str::from("g"),
            generation_id_or_member_epoch: -1,
            topics: (names.into_iter())
                .map(|name| OffsetCommitRequestTopic {
                    name,
                    partitions: vec![OffsetCommitRequestPartition::default()],
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let one = commit(vec![Str::from("orders")]);
        let answer = wire.ask(&one, 8, 60_000).await.expect("an answer");
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        let all = commit(names("orders").collect());
        let committed = wire.ask(&all, 8, 60_000).await.expect("an answer");
        let request = OffsetDeleteRequest {
            group_id: Str::from("g"),
            topics: names("other")
                .map(|name| OffsetDeleteRequestTopic {
                    name,
                    partitions: vec![OffsetDeleteRequestPartition::default()],
                })
                .collect(),
        };
        let deleted = wire.ask(&request, 0, 60_000).await.expect("an answer");
        (committed.topics.len(), deleted.topics.len())
    });
    // Each that is not there, and what is there once or as often as it was named.
    assert_eq!(committed, MANY / 2 + 1);
    assert_eq!(deleted, MANY);
}
