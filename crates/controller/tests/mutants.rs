//! The historic bugs planted in this crate, each caught by the promise it breaks.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![cfg(feature = "mutants")]

mod common;

use std::collections::BTreeSet;

use common::Host;
use ottla_controller::{Request, Response};
use protocol::create_partitions_request::CreatePartitionsTopic;
use protocol::create_topics_request::CreatableTopic;
use protocol::{AllocateProducerIdsRequest, CreatePartitionsRequest, CreateTopicsRequest, Str};
use types::mutants::activate;
use types::{BrokerId, ErrorCode};

/// C10: blocks of producer ids are disjoint for ever.
fn blocks_are_disjoint() -> bool {
    let mut host = Host::new(&[]);
    let broker_epoch = host.controller.image().broker(BrokerId(1)).unwrap().epoch;
    let mut starts = BTreeSet::new();
    (0..3).all(|_| {
        let request = AllocateProducerIdsRequest {
            broker_id: 1,
            broker_epoch,
        };
        match host.ask(Request::AllocateProducerIds(request)).0 {
            Response::AllocateProducerIds(response) => starts.insert(response.producer_id_start),
            other => panic!("{other:?}"),
        }
    })
}

/// G10: which partition coordinates a group never changes.
fn groups_stay_where_they_are() -> bool {
    let mut host = Host::new(&[]);
    let name = Str::from("__consumer_offsets");
    let offsets = CreatableTopic {
        name: name.clone(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    host.ask(Request::CreateTopics(CreateTopicsRequest {
        topics: vec![offsets],
        ..Default::default()
    }));
    let grow = CreatePartitionsTopic {
        name: name.clone(),
        count: 3,
        assignments: None,
        ..Default::default()
    };
    let (answer, records) = host.ask(Request::CreatePartitions(CreatePartitionsRequest {
        topics: vec![grow],
        ..Default::default()
    }));
    let Response::CreatePartitions(answer) = answer else {
        panic!("{answer:?}");
    };
    let refused = answer.results[0].error_code == ErrorCode::INVALID_PARTITIONS.0;
    assert_eq!(refused, records.is_empty(), "{answer:?}");
    let topic = host.controller.image().topic(&name).unwrap();
    assert_eq!(topic.partitions.len(), if refused { 2 } else { 3 });
    refused
}

/// One test: a bug comes to life for the whole process.
#[test]
fn each_bug_breaks_its_promise() {
    let promises: [(&str, fn() -> bool); 2] = [
        ("CTL-11", blocks_are_disjoint),
        ("GRP-25", groups_stay_where_they_are),
    ];
    for (bug, holds) in promises {
        assert!(holds(), "{bug}");
        activate(Some(bug));
        let caught = !holds();
        activate(None);
        assert!(caught, "{bug}");
    }
}
