//! Whatever is asked, in whatever order.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Host;
use ottla_controller::{Record, Request, Response};
use proptest::prelude::*;
use protocol::testing::arbitrary;
use protocol::{
    AllocateProducerIdsRequest, AlterConfigsRequest, BrokerHeartbeatRequest, DeleteTopicsRequest,
    MetadataRecord, Str,
};
use types::{BrokerId, Uuid};

#[derive(Clone, Debug)]
enum Step {
    Ask(Request),
    /// As [`Step::Ask`], with the epoch that the broker has by then.
    Heartbeat {
        id: i32,
        want_fence: bool,
    },
    Allocate(i32),
    DeleteById(usize),
    Restart,
}

fn name() -> impl Strategy<Value = Str> {
    prop::sample::select(vec![
        "a.b",
        "a_b",
        "c",
        "d",
        "",
        "bad name",
        "__cluster_metadata",
    ])
    .prop_map(Str::from)
}

fn create_topics() -> impl Strategy<Value = Request> {
    use protocol::create_topics_request::*;
    let config = (
        prop::sample::select(vec!["retention.ms", "cleanup.policy", "no.such"]),
        prop::option::of(prop::sample::select(vec!["1", "compact", "x"])),
    );
    let config = config.prop_map(|(name, value)| CreatableTopicConfig {
        name: name.into(),
        value: value.map(Str::from),
    });
    let assignment = (-1..4i32, prop::collection::vec(0..4i32, 0..3)).prop_map(
        |(partition_index, broker_ids)| CreatableReplicaAssignment {
            partition_index,
            broker_ids,
        },
    );
    let topic = (
        name(),
        prop::sample::select(vec![-2, -1, 0, 1, 3, i32::MAX]),
        prop::sample::select(vec![-2, -1, 0, 1, 2, i16::MAX]),
        prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(assignment, 0..3)],
        prop::collection::vec(config, 0..3),
    );
    let topic = topic.prop_map(
        |(name, num_partitions, replication_factor, assignments, configs)| CreatableTopic {
            name,
            num_partitions,
            replication_factor,
            assignments,
            configs,
        },
    );
    (
        prop::collection::vec(topic, 0..4),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(topics, validate_only)| {
            Request::CreateTopics(CreateTopicsRequest {
                topics,
                validate_only,
                ..Default::default()
            })
        })
}

fn delete_topics() -> impl Strategy<Value = Request> {
    prop::collection::vec(name(), 0..4).prop_map(|topic_names| {
        Request::DeleteTopics(DeleteTopicsRequest {
            topic_names,
            ..Default::default()
        })
    })
}

fn create_partitions() -> impl Strategy<Value = Request> {
    use protocol::create_partitions_request::*;
    let assignment = prop::collection::vec(0..4i32, 0..3)
        .prop_map(|broker_ids| CreatePartitionsAssignment { broker_ids });
    let topic = (
        name(),
        prop::sample::select(vec![-1, 0, 1, 2, 4, i32::MAX]),
        prop::option::weighted(0.3, prop::collection::vec(assignment, 0..4)),
    );
    let topic = topic.prop_map(|(name, count, assignments)| CreatePartitionsTopic {
        name,
        count,
        assignments,
    });
    (
        prop::collection::vec(topic, 0..3),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(topics, validate_only)| {
            let request = CreatePartitionsRequest {
                topics,
                validate_only,
                ..Default::default()
            };
            Request::CreatePartitions(request)
        })
}

fn alter_configs() -> impl Strategy<Value = Request> {
    use protocol::incremental_alter_configs_request::*;
    let key = prop::sample::select(vec![
        "retention.ms",
        "cleanup.policy",
        "log.retention.ms",
        "log.cleanup.policy",
        "consumer.session.timeout.ms",
        "interval.ms",
        "ssl.key.password",
        "no.such",
    ]);
    let value = prop::sample::select(vec!["1", "50000", "compact", "delete,compact", "", "x"]);
    let config = (key, 0..5i8, prop::option::weighted(0.9, value)).prop_map(
        |(name, config_operation, value)| AlterableConfig {
            name: name.into(),
            config_operation,
            value: value.map(Str::from),
        },
    );
    let resource_type = prop::sample::select(vec![2i8, 4, 8, 16, 32, 0]);
    let resource_name = prop::sample::select(vec!["c", "d", "", "1", "2"]).prop_map(Str::from);
    let resource = (
        resource_type,
        resource_name,
        prop::collection::vec(config, 0..3),
    )
        .prop_map(
            |(resource_type, resource_name, configs)| AlterConfigsResource {
                resource_type,
                resource_name,
                configs,
            },
        );
    let all = (
        prop::collection::vec(resource, 0..4),
        prop::bool::weighted(0.2),
        any::<bool>(),
    );
    all.prop_map(|(resources, validate_only, is_incremental)| {
        if is_incremental {
            let request = IncrementalAlterConfigsRequest {
                resources,
                validate_only,
            };
            return Request::IncrementalAlterConfigs(request);
        }
        use protocol::alter_configs_request as legacy;
        let config = |c: AlterableConfig| legacy::AlterableConfig {
            name: c.name,
            value: c.value,
        };
        let resource = |r: AlterConfigsResource| legacy::AlterConfigsResource {
            resource_type: r.resource_type,
            resource_name: r.resource_name,
            configs: r.configs.into_iter().map(config).collect(),
        };
        let resources = resources.into_iter().map(resource).collect();
        Request::AlterConfigs(AlterConfigsRequest {
            resources,
            validate_only,
        })
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => create_topics().prop_map(Step::Ask),
        2 => delete_topics().prop_map(Step::Ask),
        2 => create_partitions().prop_map(Step::Ask),
        4 => alter_configs().prop_map(Step::Ask),
        2 => (1..4i32, 0..3u8).prop_map(|(id, life)| {
            Step::Ask(Request::RegisterBroker(common::registration(id, Uuid([life + 20; 16]))))
        }),
        3 => (1..4i32, any::<bool>()).prop_map(|(id, want_fence)| Step::Heartbeat { id, want_fence }),
        1 => (1..4i32).prop_map(Step::Allocate),
        1 => (0..3usize).prop_map(Step::DeleteById),
        1 => Just(Step::Restart),
    ]
}

/// What every decision must keep, whatever it was.
#[derive(Default)]
struct Witness {
    topic_ids: BTreeSet<Uuid>,
    producer_ids: i64,
    /// Broker and incarnation by epoch.
    broker_epochs: BTreeMap<i64, (i32, Uuid)>,
}

impl Witness {
    fn see(
        &mut self,
        host: &Host,
        request: Option<&Request>,
        response: &Response,
        records: &[Record],
    ) {
        let validates_only = match request {
            Some(Request::CreateTopics(r)) => r.validate_only,
            Some(Request::CreatePartitions(r)) => r.validate_only,
            Some(Request::IncrementalAlterConfigs(r)) => r.validate_only,
            Some(Request::AlterConfigs(r)) => r.validate_only,
            _ => false,
        };
        assert!(!validates_only || records.is_empty());
        for record in records {
            match record.metadata() {
                MetadataRecord::TopicRecord(r) => {
                    assert!(self.topic_ids.insert(r.topic_id), "a topic's id came again");
                }
                MetadataRecord::RegisterBrokerRecord(r) => {
                    // C2: an epoch belongs to one life of one broker.
                    let life = (r.broker_id, r.incarnation_id);
                    let first = *self.broker_epochs.entry(r.broker_epoch).or_insert(life);
                    assert_eq!(first, life);
                }
                MetadataRecord::ProducerIdsRecord(r) => {
                    assert!(r.next_producer_id >= self.producer_ids + 1000);
                    self.producer_ids = r.next_producer_id;
                }
                _ => {}
            }
        }
        if let Response::CreateTopics(response) = response {
            for topic in &response.topics {
                let is_there = host
                    .controller
                    .image()
                    .topic_by_id(topic.topic_id)
                    .is_some();
                assert_eq!(is_there, topic.error_code == 0 && !validates_only);
            }
        }
        for topic in host.controller.image().topics() {
            assert!(!topic.partitions.is_empty());
            for (index, partition) in &topic.partitions {
                assert_eq!(partition.check(), Ok(()));
                let leader = partition.leader;
                // C3: whoever is fenced leads nothing; and what could have a leader has one.
                if partition.has_leader() {
                    assert!(
                        host.controller.image().is_active(leader),
                        "{topic:?} {index}"
                    );
                } else {
                    let able = |id: &&BrokerId| host.controller.image().is_active(**id);
                    assert_eq!(partition.isr.iter().find(able), None, "{topic:?} {index}");
                }
                // Fenced brokers are in no ISR, but for the last one in it.
                let is_fenced = |id: &&BrokerId| !host.controller.image().is_active(**id);
                let fenced = partition.isr.iter().filter(is_fenced).count();
                assert!(fenced == 0 || partition.isr.len() == 1, "{topic:?} {index}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn decisions_keep_their_promises(steps in prop::collection::vec(step(), 0..50)) {
        let mut host = Host::new(&[]);
        let mut witness = Witness::default();
        for step in steps {
            let epoch = |host: &Host, id: i32| {
                host.controller.image().broker(BrokerId(id)).map_or(-1, |broker| broker.epoch)
            };
            let request = match step {
                Step::Ask(request) => request,
                Step::Heartbeat { id, want_fence } => Request::BrokerHeartbeat(BrokerHeartbeatRequest {
                    broker_id: id,
                    broker_epoch: epoch(&host, id),
                    want_fence,
                    ..Default::default()
                }),
                Step::Allocate(id) => Request::AllocateProducerIds(AllocateProducerIdsRequest {
                    broker_id: id,
                    broker_epoch: epoch(&host, id),
                }),
                Step::DeleteById(place) => {
                    use protocol::delete_topics_request::DeleteTopicState;
                    let topic = host.controller.image().topics().nth(place);
                    let topic_id = topic.map_or(Uuid([5; 16]), |topic| topic.id);
                    Request::DeleteTopics(DeleteTopicsRequest {
                        topics: vec![DeleteTopicState { name: None, topic_id }],
                        ..Default::default()
                    })
                }
                Step::Restart => {
                    let before = host.controller.image().clone();
                    host.restart(&Default::default());
                    prop_assert_eq!(host.controller.image(), &before);
                    continue;
                }
            };
            let asked = request.clone();
            let (response, records) = host.ask(request);
            witness.see(&host, Some(&asked), &response, &records);
        }
    }

    /// Requests of any content: `Host::ask` checks that each is answered once, and that what was decided
    /// can be written, read and replayed.
    #[test]
    fn no_request_panics(seeds in prop::collection::vec(any::<u64>(), 0..20)) {
        let mut host = Host::new(&[]);
        for seed in seeds {
            let requests = [
                Request::CreateTopics(arbitrary(seed, 7)),
                Request::DeleteTopics(arbitrary(seed, 6)),
                Request::CreatePartitions(arbitrary(seed, 3)),
                Request::IncrementalAlterConfigs(arbitrary(seed, 1)),
                Request::AlterConfigs(arbitrary(seed, 2)),
                Request::UpdateFeatures(arbitrary(seed, 2)),
                Request::RegisterBroker(arbitrary(seed, 4)),
                Request::BrokerHeartbeat(arbitrary(seed, 2)),
                Request::AllocateProducerIds(arbitrary(seed, 0)),
            ];
            for request in requests {
                host.ask(request);
            }
        }
    }
}
