//! Answers: what is asked in few bytes and answered in many, and what becomes of those under way when a
//! connection ends.

use broker::Limits;
use protocol::describe_configs_request::DescribeConfigsResource;
use protocol::describe_producers_request::TopicRequest;
use protocol::fetch_request::{FetchPartition, FetchTopic};
use protocol::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::{
    ApiKey, DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, FetchRequest, FindCoordinatorRequest, OffsetFetchRequest,
    ProduceRequest, Records, Str,
};
use records::{BatchBuilder, Codec};
use types::{ErrorCode, TimestampMs};
use world::{NetworkProfile, Profile, SimEnv};

use crate::site::{Heard, Site, Wire, frame, head, limits, pause};

const KIB: usize = 1024;

/// A record of so many bytes.
pub fn produce(topic: &Str, bytes: usize) -> ProduceRequest {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.append(TimestampMs(1_000), None, Some(&vec![b'x'; bytes]), &[]);
    ProduceRequest {
        acks: -1,
        timeout_ms: 5_000,
        topic_data: vec![TopicProduceData {
            name: topic.clone(),
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(Records::from(builder.build())),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn fetch(topic: &Str, bytes_max: usize) -> FetchRequest {
    FetchRequest {
        topics: vec![FetchTopic {
            topic: topic.clone(),
            partitions: vec![FetchPartition {
                partition_max_bytes: bytes_max as i32,
                ..Default::default()
            }],
            ..Default::default()
        }],
        max_bytes: bytes_max as i32,
        session_epoch: -1,
        ..Default::default()
    }
}

/// How many bytes of records come within `ms`.
async fn read(wire: &mut Wire, topic: &Str, bytes_max: usize, ms: i64) -> Option<usize> {
    let answer = wire.ask(&fetch(topic, bytes_max), 12, ms).await?;
    let partition = answer.responses.into_iter().next()?.partitions.pop()?;
    assert_eq!(partition.error_code, 0);
    Some(partition.records.map_or(0, |it| it.into_bytes().len()))
}

/// A topic with 30 records of 100 KiB.
async fn fill(env: &SimEnv) -> Str {
    let topic = Str::from("orders");
    let mut wire = Wire::connect(env).await;
    wire.create(&topic, 1).await;
    for _ in 0..30 {
        let request = produce(&topic, 100 * KIB);
        let answer = wire.ask(&request, 9, 60_000).await.expect("an answer");
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0);
    }
    topic
}

/// Room for three answers of a megabyte, and for small ones beside them; connections take little that nobody
/// reads.
fn little_room() -> Site {
    let profile = Profile {
        network: NetworkProfile {
            window: 65_536..65_537,
            ..NetworkProfile::calm()
        },
        ..Profile::calm()
    };
    let limits = Limits {
        queued_request_bytes_max: 4 << 20,
        ..limits()
    };
    Site::with(profile, limits, &[])
}

#[test]
fn answers_that_nobody_takes_do_not_fill_the_memory() {
    const MIB: usize = 1 << 20;
    let mut site = little_room();
    let (begun, small, after_s) = site.client(|env| async move {
        use env::{Clock, Env};
        let topic = fill(&env).await;
        let mut greedy = Vec::new();
        for _ in 0..20 {
            let mut wire = Wire::connect(&env).await;
            wire.send(&frame(&fetch(&topic, MIB), 12)).await;
            let (receiving, sending) = wire.split();
            greedy.push((receiving, sending));
        }
        pause(&env, 5_000).await;
        let mut begun = 0;
        for (receiving, _) in &mut greedy {
            begun += usize::from(receiving.takes_within(&env, 1, 10).await);
        }
        let mut honest = Wire::connect(&env).await;
        // Whoever wants little does not wait for those.
        let other = Str::from("other");
        honest.create(&other, 1).await;
        honest.ask(&produce(&other, 1000), 9, 5_000).await;
        let small = read(&mut honest, &other, MIB, 5_000).await;
        // And whoever wants much gets it, in the end.
        let start = env.clock().mono();
        let large = read(&mut honest, &topic, MIB, 3_600_000).await;
        assert!(large.expect("an answer") > 900 * KIB);
        (begun, small, env.clock().mono().since(start).as_secs())
    });
    // Three that fit, and the one that goes on without room.
    assert_eq!(begun, 4);
    assert!(small.expect("an answer") > 1000);
    assert!(after_s < 600, "{after_s} s");
    assert!(site.refused("slow_reader") > 0);
}

/// More than there is room for, and all of it is taken: one after the other is served.
#[test]
fn answers_larger_than_the_memory_for_them_go_alone() {
    let limits = Limits {
        queued_request_bytes_max: 256 * KIB,
        ..limits()
    };
    let mut site = Site::new(limits, &[]);
    let all = site.client(|env| async move {
        use env::{Env, Spawner, Task};
        let topic = fill(&env).await;
        let all = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (env, all, topic) = (env.clone(), all.clone(), topic.clone());
            tasks.push(env.clone().spawner().spawn("honest", async move {
                let mut wire = Wire::connect(&env).await;
                for _ in 0..3 {
                    let read = read(&mut wire, &topic, 4 << 20, 60_000).await;
                    assert!(read.expect("an answer") > 3000 * KIB);
                    all.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }));
        }
        for task in tasks {
            task.ended().await;
        }
        all.load(std::sync::atomic::Ordering::Relaxed)
    });
    assert_eq!(all, 24);
    assert_eq!(site.refused("slow_reader"), 0);
}

/// Written is not durable yet, and only what is durable is read; a client that was told of its batch and asks for
/// it at once has it all the same.
#[test]
fn what_a_producer_was_told_of_is_read_at_once() {
    let mut site = Site::new(limits(), &[]);
    site.client(|env| async move {
        let topic = Str::from("orders");
        let mut wire = Wire::connect(&env).await;
        wire.create(&topic, 1).await;
        let mut request = produce(&topic, 100);
        request.acks = 1;
        let mut before = 0;
        for _ in 0..20 {
            let answer = wire.ask(&request, 9, 5_000).await.expect("an answer");
            let partition = &answer.responses[0].partition_responses[0];
            assert_eq!(partition.error_code, 0);
            let now = read(&mut wire, &topic, 1 << 20, 5_000).await;
            let now = now.expect("an answer");
            assert!(now > before, "{now}");
            before = now;
        }
    });
}

/// What was done is said, or the producer does it again.
#[test]
fn what_was_asked_before_a_request_that_is_refused_is_answered() {
    let nonsense = head(14, 999, 0);
    let too_large = head(1 << 30, ApiKey::PRODUCE.0, 9);
    for (reason, refused) in [("unknown_api", nonsense), ("frame_size", too_large)] {
        let mut site = Site::new(limits(), &[]);
        site.client(|env| async move {
            let topic = Str::from("orders");
            let mut wire = Wire::connect(&env).await;
            wire.create(&topic, 1).await;
            let mut bytes = frame(&produce(&topic, 100), 9).repeat(4);
            bytes.extend(refused);
            wire.send(&bytes).await;
            for number in 0..4 {
                let answer = wire.answer::<ProduceRequest>(9, 5_000).await;
                let answer = answer.unwrap_or_else(|| panic!("{reason}: no answer {number}"));
                let partition = &answer.responses[0].partition_responses[0];
                assert_eq!((partition.error_code, partition.base_offset), (0, number));
            }
            assert_eq!(wire.hear(5_000).await, Heard::Closed);
        });
        site.refused_only(reason, 1);
    }
}

/// Kafka answers twice what is named twice, and so do we; a million times is a way to take a broker's memory.
#[test]
fn what_is_named_again_and_again_is_answered_twice() {
    let mut site = Site::new(limits(), &[]);
    site.client(|env| async move {
        let topic = Str::from("orders");
        let mut wire = Wire::connect(&env).await;
        wire.create(&topic, 1).await;
        let again = |name: &str| vec![Str::from(name); 1000];

        let request = DescribeGroupsRequest {
            groups: again("g"),
            ..Default::default()
        };
        let answer = wire.ask(&request, 5, 5_000).await.expect("an answer");
        assert_eq!(answer.groups.len(), 2);

        let request = FindCoordinatorRequest {
            coordinator_keys: again("g"),
            ..Default::default()
        };
        let answer = wire.ask(&request, 4, 5_000).await.expect("an answer");
        assert_eq!(answer.coordinators.len(), 2);

        let request = DescribeTransactionsRequest {
            transactional_ids: again(""),
        };
        let answer = wire.ask(&request, 0, 5_000).await.expect("an answer");
        assert_eq!(answer.transaction_states.len(), 2);

        let request = DescribeProducersRequest {
            topics: vec![
                TopicRequest {
                    name: topic.clone(),
                    partition_indexes: vec![0; 1000],
                };
                10
            ],
        };
        let answer = wire.ask(&request, 0, 5_000).await.expect("an answer");
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        assert_eq!(partitions.count(), 2);

        let group = |topics| OffsetFetchRequestGroup {
            group_id: Str::from("g"),
            topics,
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            groups: vec![group(None); 1000],
            ..Default::default()
        };
        wire.pause(1_000).await;
        let answer = wire.ask(&request, 8, 5_000).await.expect("an answer");
        assert_eq!(answer.groups.len(), 2);
        let topics = vec![
            OffsetFetchRequestTopics {
                name: topic,
                partition_indexes: vec![0; 1000],
                ..Default::default()
            };
            100
        ];
        let request = OffsetFetchRequest {
            groups: vec![group(Some(topics)); 3],
            ..Default::default()
        };
        let answer = wire.ask(&request, 8, 5_000).await.expect("an answer");
        assert_eq!(answer.groups.len(), 2);
        for group in &answer.groups {
            assert_eq!(ErrorCode(group.error_code), ErrorCode::NONE);
            assert_eq!(group.topics.len(), 2);
            assert!(group.topics.iter().all(|topic| topic.partitions.len() == 2));
        }
    });
}

#[test]
fn settings_that_would_fill_the_memory_are_not_described() {
    let mut site = Site::new(limits(), &[]);
    let answer = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let request = DescribeConfigsRequest {
            resources: (0..2000)
                .map(|_| DescribeConfigsResource {
                    resource_type: 4,
                    resource_name: Str::from("1"),
                    configuration_keys: None,
                })
                .collect(),
            include_synonyms: true,
            include_documentation: true,
        };
        let answer = wire.ask(&request, 4, 60_000).await;
        answer.expect("an answer")
    });
    assert_eq!(answer.results.len(), 2000);
    let described = answer.results.iter().take_while(|it| it.error_code == 0);
    let described = described.count();
    assert!((100..2000).contains(&described), "{described}");
    let refused = ErrorCode::INVALID_REQUEST.0;
    let rest = &answer.results[described..];
    assert!(
        rest.iter()
            .all(|it| it.error_code == refused && it.configs.is_empty())
    );
}
