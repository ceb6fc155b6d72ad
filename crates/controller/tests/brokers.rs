//! Brokers come and go; what they lead follows. Each test is a short story.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::{CLUSTER, Host, registration};
use ottla_controller::{Controller, Record, Request, Response};
use protocol::create_topics_request::CreatableTopic;
use protocol::{
    AllocateProducerIdsRequest, BrokerHeartbeatRequest, CreateTopicsRequest, MetadataRecord, Str,
    UpdateFeaturesRequest,
};
use types::{BrokerId, ErrorCode, Uuid};

fn create(host: &mut Host, name: &str, partitions: i32, replication_factor: i16) -> i16 {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        ..Default::default()
    };
    match host.ask(Request::CreateTopics(request)).0 {
        Response::CreateTopics(response) => response.topics[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn heartbeat(host: &mut Host, request: BrokerHeartbeatRequest) -> (i16, bool, Vec<Record>) {
    match host.ask(Request::BrokerHeartbeat(request)) {
        (Response::BrokerHeartbeat(response), records) => {
            (response.error_code, response.is_fenced, records)
        }
        other => panic!("{other:?}"),
    }
}

/// A topic's partitions: replicas, ISR, leader and leader epoch of each.
fn partitions(controller: &Controller, topic: &str) -> Vec<String> {
    let ids = |ids: &[BrokerId]| {
        ids.iter()
            .map(|id| id.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    (controller.image().topic(topic).unwrap().partitions.iter())
        .map(|(index, p)| {
            format!(
                "{index}: replicas {} isr {} leader {} epoch {}",
                ids(&p.replicas),
                ids(&p.isr),
                p.leader,
                p.leader_epoch
            )
        })
        .collect()
}

#[test]
fn a_new_cluster_starts_with_its_features() {
    let host = Host::empty(&[]);
    assert_eq!(
        host.controller.image().feature_level("metadata.version"),
        30
    );
    assert_eq!(host.log.len(), 1);
}

#[test]
fn nothing_is_placed_on_a_fenced_broker() {
    let mut host = Host::empty(&[]);
    assert_eq!(
        create(&mut host, "t", 1, 1),
        ErrorCode::INVALID_REPLICATION_FACTOR.0
    );
    let epoch = host.register(1, Uuid([1; 16]));
    assert_eq!(
        create(&mut host, "t", 1, 1),
        ErrorCode::INVALID_REPLICATION_FACTOR.0
    );
    host.unfence(1, epoch);
    assert_eq!(create(&mut host, "t", 1, 1), 0);
    let partition = host.controller.image().topic("t").unwrap().partitions[&0].clone();
    assert_eq!(partition.directories, registration(1, Uuid::ZERO).log_dirs);
}

#[test]
fn a_node_started_again_leads_again_in_a_new_epoch() {
    let mut host = Host::new(&[]);
    assert_eq!(create(&mut host, "t", 2, 1), 0);
    let before = host.controller.image().broker(BrokerId(1)).unwrap().epoch;
    assert_eq!(
        partitions(&host.controller, "t")[1],
        "1: replicas 1 isr 1 leader 1 epoch 0"
    );

    host.restart(&Default::default());
    let epoch = host.register(1, Uuid([2; 16]));
    assert!(epoch > before);
    // The broker is fenced, and leads nothing; it stays in the ISR, being the last.
    assert_eq!(
        partitions(&host.controller, "t")[1],
        "1: replicas 1 isr 1 leader -1 epoch 1"
    );
    host.unfence(1, epoch);
    assert_eq!(
        partitions(&host.controller, "t")[1],
        "1: replicas 1 isr 1 leader 1 epoch 2"
    );

    // The life before it is not heard any more.
    let stale = BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: before,
        ..Default::default()
    };
    assert_eq!(
        heartbeat(&mut host, stale).0,
        ErrorCode::STALE_BROKER_EPOCH.0
    );
}

#[test]
fn the_same_incarnation_keeps_its_epoch_and_its_partitions() {
    let mut host = Host::new(&[]);
    assert_eq!(create(&mut host, "t", 1, 1), 0);
    let epoch = host.controller.image().broker(BrokerId(1)).unwrap().epoch;
    assert_eq!(host.register(1, Uuid([1; 16])), epoch);
    assert!(host.controller.image().is_active(BrokerId(1)));
    assert_eq!(
        partitions(&host.controller, "t"),
        ["0: replicas 1 isr 1 leader 1 epoch 0"]
    );
}

#[test]
fn a_clean_stop_gives_up_what_it_leads_and_a_start_takes_it_back() {
    let mut host = Host::new(&[]);
    assert_eq!(create(&mut host, "t", 1, 1), 0);
    let broker_epoch = host.controller.image().broker(BrokerId(1)).unwrap().epoch;
    let stop = BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch,
        want_shut_down: true,
        ..Default::default()
    };
    let (error, is_fenced, records) = heartbeat(&mut host, stop.clone());
    assert_eq!((error, is_fenced, records.len()), (0, true, 2));
    assert_eq!(
        partitions(&host.controller, "t"),
        ["0: replicas 1 isr 1 leader -1 epoch 1"]
    );
    // Saying it again changes nothing.
    assert_eq!(heartbeat(&mut host, stop).2, []);
    let epoch = host.register(1, Uuid([2; 16]));
    assert_eq!(
        partitions(&host.controller, "t"),
        ["0: replicas 1 isr 1 leader -1 epoch 1"]
    );
    host.unfence(1, epoch);
    assert_eq!(
        partitions(&host.controller, "t"),
        ["0: replicas 1 isr 1 leader 1 epoch 2"]
    );
}

#[test]
fn of_three_brokers_the_next_in_line_leads() {
    let mut host = Host::new(&[]);
    for id in [2, 3] {
        let epoch = host.register(id, Uuid([id as u8; 16]));
        host.unfence(id, epoch);
    }
    assert_eq!(create(&mut host, "t", 3, 3), 0);
    let leaders: std::collections::BTreeSet<BrokerId> = (host
        .controller
        .image()
        .topic("t")
        .unwrap()
        .partitions
        .values())
    .map(|partition| partition.leader)
    .collect();
    assert_eq!(leaders.len(), 3, "leaders are spread");
    for id in [1, 2] {
        let broker_epoch = host.controller.image().broker(BrokerId(id)).unwrap().epoch;
        let fence = BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch,
            want_fence: true,
            ..Default::default()
        };
        assert_eq!(heartbeat(&mut host, fence).0, 0);
        for partition in host
            .controller
            .image()
            .topic("t")
            .unwrap()
            .partitions
            .values()
        {
            assert!(!partition.isr.contains(&BrokerId(id)));
            assert_ne!(partition.leader, BrokerId(id));
            assert!(partition.has_leader());
        }
    }
    // Both gone stay out of the ISR when they come back: they have to catch up first.
    let epoch = host.register(1, Uuid([9; 16]));
    host.unfence(1, epoch);
    for partition in host
        .controller
        .image()
        .topic("t")
        .unwrap()
        .partitions
        .values()
    {
        assert_eq!(partition.isr, [BrokerId(3)]);
        assert_eq!(partition.leader, BrokerId(3));
    }
    // A topic made now has its replicas on the fenced broker too, but not in its ISR.
    assert_eq!(create(&mut host, "u", 1, 3), 0);
    let partition = &host.controller.image().topic("u").unwrap().partitions[&0];
    assert_eq!(partition.replicas.len(), 3);
    assert!(!partition.isr.contains(&BrokerId(2)));
}

#[test]
fn registrations_that_are_refused() {
    let mut host = Host::new(&[]);
    let mut refused = |change: &dyn Fn(&mut protocol::BrokerRegistrationRequest)| {
        let mut request = registration(4, Uuid([4; 16]));
        change(&mut request);
        match host.ask(Request::RegisterBroker(request)) {
            (Response::RegisterBroker(response), records) => {
                assert_eq!(records, []);
                assert_eq!(response.broker_epoch, -1);
                ErrorCode(response.error_code)
            }
            other => panic!("{other:?}"),
        }
    };
    let other = Str::from(Uuid([8; 16]).to_string());
    assert_ne!(*other, *CLUSTER.to_string());
    assert_eq!(
        refused(&|r| r.cluster_id = other.clone()),
        ErrorCode::INCONSISTENT_CLUSTER_ID
    );
    assert_eq!(
        refused(&|r| r.log_dirs.clear()),
        ErrorCode::INVALID_REGISTRATION
    );
    assert_eq!(
        refused(&|r| r.log_dirs = vec![Uuid::ZERO]),
        ErrorCode::INVALID_REGISTRATION
    );
    let of_broker_1 = registration(1, Uuid::ZERO).log_dirs;
    assert_eq!(
        refused(&|r| r.log_dirs = of_broker_1.clone()),
        ErrorCode::INVALID_REGISTRATION
    );
    assert_eq!(
        refused(&|r| r.features.clear()),
        ErrorCode::UNSUPPORTED_VERSION
    );
    assert_eq!(
        refused(&|r| r.features[0].min_supported_version = 31),
        ErrorCode::UNSUPPORTED_VERSION
    );
    assert_eq!(
        refused(&|r| r.broker_id = -1),
        ErrorCode::BROKER_ID_NOT_REGISTERED
    );
    assert_eq!(
        refused(&|r| r.listeners[0].security_protocol = 9),
        ErrorCode::INVALID_REGISTRATION
    );
}

#[test]
fn producer_ids_come_in_blocks_that_nobody_had() {
    let mut host = Host::new(&[]);
    let allocate = |host: &mut Host| {
        let broker_epoch = host.controller.image().broker(BrokerId(1)).unwrap().epoch;
        let request = AllocateProducerIdsRequest {
            broker_id: 1,
            broker_epoch,
        };
        match host.ask(Request::AllocateProducerIds(request)).0 {
            Response::AllocateProducerIds(r) => {
                (r.error_code, r.producer_id_start, r.producer_id_len)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(allocate(&mut host), (0, 0, 1000));
    assert_eq!(allocate(&mut host), (0, 1000, 1000));
    host.restart(&Default::default());
    host.register(1, Uuid([2; 16]));
    assert_eq!(allocate(&mut host), (0, 2000, 1000));
    let stale = AllocateProducerIdsRequest {
        broker_id: 1,
        broker_epoch: -1,
    };
    match host.ask(Request::AllocateProducerIds(stale)).0 {
        Response::AllocateProducerIds(r) => {
            assert_eq!(r.error_code, ErrorCode::STALE_BROKER_EPOCH.0)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_than_ten_thousand_partitions_are_not_made_at_once() {
    let mut host = Host::new(&[]);
    assert_eq!(
        create(&mut host, "big", i32::MAX, 1),
        ErrorCode::POLICY_VIOLATION.0
    );
    assert_eq!(create(&mut host, "fits", 9_000, 1), 0);
    assert_eq!(
        host.controller
            .image()
            .topic("fits")
            .unwrap()
            .partitions
            .len(),
        9_000
    );
}

#[test]
fn topics_can_be_kept_from_deletion() {
    let mut host = Host::new(&[("delete.topic.enable", "false")]);
    assert_eq!(create(&mut host, "t", 1, 1), 0);
    let request = protocol::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        ..Default::default()
    };
    match host.ask(Request::DeleteTopics(request)) {
        (Response::DeleteTopics(response), records) => {
            assert_eq!(
                response.responses[0].error_code,
                ErrorCode::TOPIC_DELETION_DISABLED.0
            );
            assert_eq!(records, []);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn features_stay_as_they_are() {
    let mut host = Host::new(&[]);
    let mut update = |feature: &str, level: i16| {
        let key = protocol::update_features_request::FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            upgrade_type: 1,
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            feature_updates: vec![key],
            ..Default::default()
        };
        match host.ask(Request::UpdateFeatures(request)) {
            (Response::UpdateFeatures(response), records) => {
                assert_eq!(records, []);
                ErrorCode(response.error_code)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(update("metadata.version", 30), ErrorCode::NONE);
    assert_eq!(
        update("metadata.version", 31),
        ErrorCode::INVALID_UPDATE_VERSION
    );
    assert_eq!(
        update("metadata.version", -1),
        ErrorCode::INVALID_UPDATE_VERSION
    );
    assert_eq!(
        update("group.version", 1),
        ErrorCode::INVALID_UPDATE_VERSION
    );
    assert_eq!(update("group.version", 0), ErrorCode::NONE);
}

#[test]
fn a_record_that_is_not_understood_stops_the_controller() {
    use state_machine::StateMachine;
    let mut controller = Host::new(&[]).controller;
    let record = MetadataRecord::from(protocol::ClientQuotaRecord::default());
    controller.replay(&Record::new(record));
    assert!(controller.failure().is_some());
}
