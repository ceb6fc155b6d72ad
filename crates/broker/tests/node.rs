//! A whole node over real files: a full disk, logs that nobody owns, syncs that nobody waits for, and a log
//! with transactions that Kafka wrote.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test on real files and sockets; what fails here fails the test"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use client::admin::NewTopic;
use client::{
    Acks, Admin, ClientOptions, Consumer, ConsumerOptions, Producer, ProducerOptions,
    ProducerRecord, Start, TopicPartition,
};
use common::{World, fresh_dir, live, start, start_with_segments, until};
use env::{Clock, Env, Seen};
use protocol::fetch_request::{FetchPartition, FetchTopic};
use protocol::{FetchRequest, FetchResponse};
use types::Offset;

fn options(address: &str) -> ClientOptions {
    ClientOptions::new(address).unwrap()
}

async fn create(world: &World, address: &str, topic: NewTopic) -> types::Uuid {
    let created = Admin::new(world, options(address))
        .create_topics(&[topic.partitions(1)], false)
        .await
        .unwrap();
    created[0].1.as_ref().unwrap().id
}

/// Sends `count` records of 10 KB, one after another; how many arrived.
async fn produce(world: &World, address: &str, topic: &str, acks: Acks, count: usize) -> usize {
    let producer = ProducerOptions {
        acks,
        idempotent: false,
        delivery_timeout: Duration::from_secs(1),
        ..ProducerOptions::default()
    };
    let producer = Producer::new(world, options(address), producer).unwrap();
    let mut arrived = 0;
    for _ in 0..count {
        let record = ProducerRecord::new(topic, vec![7; 10_000]).partition(0);
        arrived += usize::from(producer.send(record).await.unwrap().await.is_ok());
    }
    producer.close(Duration::from_secs(5)).await.unwrap();
    arrived
}

fn segments(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_str().unwrap().ends_with(".log"))
        .count()
}

#[test]
fn a_full_disk_refuses_records_and_lets_them_be_deleted() {
    let dir = fresh_dir("full");
    live(&dir, |world, knobs, dir| async move {
        let (node, address) = start(&world, &dir).await;
        assert!(knobs.holds_reserve());
        create(&world, &address, NewTopic::new("t")).await;
        assert_eq!(produce(&world, &address, "t", Acks::All, 40).await, 40);
        let log = dir.join("t-0");
        let before = segments(&log);
        assert!(before > 4, "{before}");

        knobs.set_full(true);
        // Room that was reserved is used up, then it is refused.
        let arrived = produce(&world, &address, "t", Acks::All, 12).await;
        assert!(arrived < 12, "{arrived}");
        until(&world, "the reserve is given up", || !knobs.holds_reserve()).await;
        // What makes room goes on, and so does the making of topics.
        let t0 = TopicPartition::new("t", 0);
        let deleted = Admin::new(&world, options(&address))
            .delete_records(BTreeMap::from([(t0.clone(), Some(Offset(35)))]))
            .await;
        assert_eq!(deleted[&t0], Ok(Offset(35)));
        until(&world, "segments go", || segments(&log) < before).await;
        create(&world, &address, NewTopic::new("u")).await;
        assert_eq!(
            produce(&world, &address, "u", Acks::All, 1).await,
            0,
            "still refused"
        );

        knobs.set_full(false);
        until(&world, "the reserve is taken again", || {
            knobs.holds_reserve()
        })
        .await;
        assert!(produce(&world, &address, "t", Acks::All, 5).await > 0);
        assert_eq!(produce(&world, &address, "u", Acks::All, 5).await, 5);
        node.stop(10_000).await;
    });
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_log_that_no_topic_owns_is_set_aside_and_never_met() {
    let dir = fresh_dir("strays");
    live(&dir, |world, _, dir| async move {
        let (node, address) = start(&world, &dir).await;
        create(&world, &address, NewTopic::new("kept")).await;
        assert_eq!(produce(&world, &address, "kept", Acks::All, 3).await, 3);
        node.stop(10_000).await;
    });
    // As a crash leaves it between the deletion of a topic and that of its files.
    let orphan = dir.join("gone-0");
    std::fs::create_dir(&orphan).unwrap();
    for entry in std::fs::read_dir(dir.join("kept-0")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), orphan.join(entry.file_name())).unwrap();
    }
    let id = types::Uuid([9; 16]);
    let metadata = format!("version: 0\ntopic_id: {id}");
    std::fs::write(orphan.join("partition.metadata"), metadata).unwrap();
    std::fs::create_dir(dir.join("half-0.00-delete")).unwrap();
    // A bit of the id of a topic that lives is lost, too: that is damage and no other topic.
    let rotten = format!("version: 0\ntopic_id: {}", types::Uuid([8; 16]));
    std::fs::write(dir.join("kept-0/partition.metadata"), rotten).unwrap();

    let stray = dir.join(format!("gone-0.{}-stray", "09".repeat(16)));
    let found = stray.clone();
    live(&dir, |world, _, dir| async move {
        let (node, address) = start(&world, &dir).await;
        assert!(found.is_dir() && !dir.join("gone-0").exists());
        assert!(!dir.join("half-0.00-delete").exists());
        let t0 = TopicPartition::new("kept", 0);
        let deleted = Admin::new(&world, options(&address))
            .delete_records(BTreeMap::from([(t0.clone(), Some(Offset(3)))]))
            .await;
        assert_eq!(deleted[&t0], Ok(Offset(3)), "three records were there");
        // A new topic of that name has nothing of it.
        create(&world, &address, NewTopic::new("gone")).await;
        assert_eq!(produce(&world, &address, "gone", Acks::All, 1).await, 1);
        node.stop(10_000).await;
    });
    live(&dir, |world, _, dir| async move {
        let (node, _) = start(&world, &dir).await;
        node.stop(10_000).await;
    });
    assert!(stray.is_dir() && orphan.is_dir() && dir.join("kept-0").is_dir());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn records_that_nobody_waits_for_are_synced_when_the_topic_says_so() {
    let dir = fresh_dir("flush");
    live(&dir, |world, knobs, dir| async move {
        let (node, address) = start(&world, &dir).await;
        let weak = |name: &str| NewTopic::new(name).config("ottla.durability", "replicated");
        let never = create(&world, &address, weak("never")).await;
        let by_count = create(
            &world,
            &address,
            weak("by-count").config("flush.messages", "3"),
        )
        .await;
        let by_time = create(&world, &address, weak("by-time").config("flush.ms", "300")).await;
        for topic in ["never", "by-count", "by-time"] {
            assert_eq!(produce(&world, &address, topic, Acks::All, 2).await, 2);
        }
        let synced = |topic: types::Uuid, least: i64| {
            knobs.saw(|seen| {
                matches!(seen, Seen::Synced { partition, upto }
                    if partition.topic_id == topic && upto.0 >= least)
            })
        };
        until(&world, "flush.ms", || synced(by_time, 2)).await;
        assert!(!synced(by_count, 1), "two are not three");
        assert_eq!(produce(&world, &address, "by-count", Acks::All, 1).await, 1);
        until(&world, "flush.messages", || synced(by_count, 3)).await;
        world
            .clock()
            .sleep_until(world.clock().mono().after_ms(500))
            .await;
        assert!(!synced(never, 1));
        node.stop(10_000).await;
    });
    std::fs::remove_dir_all(dir).unwrap();
}

/// What a topic's or the controller's own bounds let through reaches the log, however large it is.
#[test]
fn whatever_is_allowed_is_written() {
    const LARGE: usize = 3_000_000;
    let dir = fresh_dir("large");
    let t0 = TopicPartition::new("t", 0);
    live(&dir, |world, _, dir| async move {
        let (node, address) = start_with_segments(&world, &dir, u32::MAX).await;
        let topic = NewTopic::new("t").config("max.message.bytes", "5000000");
        create(&world, &address, topic).await;
        let producer = ProducerOptions {
            request_bytes_max: 2 * LARGE,
            ..ProducerOptions::default()
        };
        let producer = Producer::new(&world, options(&address), producer).unwrap();
        let record = ProducerRecord::new("t", vec![7; LARGE]).partition(0);
        let sent = producer.send(record).await.unwrap().await.unwrap();
        assert_eq!(sent.offset, Some(Offset(0)));
        producer.close(Duration::from_secs(5)).await.unwrap();

        // Sixty topics in one decision, with settings of 30 KB each.
        let throttled = vec!["0:1"; 7_500].join(",");
        let topics: Vec<NewTopic> = (0..60)
            .map(|number| {
                NewTopic::new(format!("u{number}"))
                    .partitions(1)
                    .config("leader.replication.throttled.replicas", &throttled)
            })
            .collect();
        let mut admin = Admin::new(&world, options(&address));
        let created = admin.create_topics(&topics, false).await.unwrap();
        assert!(created.iter().all(|(_, made)| made.is_ok()), "{created:?}");
        node.stop(10_000).await;
    });
    live(&dir, |world, _, dir| async move {
        let (node, address) = start_with_segments(&world, &dir, u32::MAX).await;
        let mut consumer = Consumer::new(&world, options(&address), ConsumerOptions::default());
        consumer.assign([(t0, Start::Offset(Offset(0), None))]);
        let records = consumer.poll(Duration::from_secs(10)).await.unwrap();
        let sizes: Vec<usize> = records
            .iter()
            .map(|record| record.value.as_ref().map_or(0, |value| value.len()))
            .collect();
        assert_eq!(sizes, [LARGE]);
        let topics = Admin::new(&world, options(&address)).list_topics().await;
        assert_eq!(topics.unwrap().len(), 61);
        node.stop(10_000).await;
    });
    std::fs::remove_dir_all(dir).unwrap();
}

fn fetch(address: &str, isolation: i8, offset: i64, bytes_max: i32) -> FetchResponse {
    let request = FetchRequest {
        replica_id: -1,
        isolation_level: isolation,
        session_epoch: -1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: "t-aborts".into(),
            partitions: vec![FetchPartition {
                fetch_offset: offset,
                partition_max_bytes: bytes_max,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let frame = protocol::encode_request(1, Some("test"), &request, 12).unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(&frame.concat()).unwrap();
    let mut size = [0; 4];
    connection.read_exact(&mut size).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    connection.read_exact(&mut answer).unwrap();
    protocol::decode_response::<FetchRequest>(answer.into(), 12)
        .unwrap()
        .1
}

/// The segments, and what Kafka answered to whom: see the storage crate's tests.
#[test]
fn readers_of_what_is_committed_are_told_what_was_aborted() {
    let dir = fresh_dir("aborts");
    live(&dir, |world, _, dir| async move {
        let (node, address) = start(&world, &dir).await;
        create(&world, &address, NewTopic::new("t-aborts")).await;
        node.stop(10_000).await;
    });
    let log = dir.join("t-aborts-0");
    let fixture = "../storage/tests/kafka-segments/t-aborts-0";
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    // All that was ours goes, but whose log it is.
    for entry in std::fs::read_dir(&log).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "partition.metadata" {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    for entry in std::fs::read_dir(&fixture).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".log") || name.ends_with("checkpoint") {
            std::fs::copy(entry.path(), log.join(&name)).unwrap();
        }
    }
    let fetches = std::fs::read_to_string(fixture.join("fetches.txt")).unwrap();
    for clean in [false, true] {
        let fetches = fetches.clone();
        live(&dir, move |world, knobs, dir| async move {
            let (node, address) = start(&world, &dir).await;
            until(&world, "the log is served", || {
                let opened = |seen: &Seen| {
                    matches!(seen, Seen::BecameLeader { log_end, .. } if log_end.0 == 164)
                };
                knobs.saw(opened)
            })
            .await;
            assert!(knobs.saw(|seen| {
                matches!(seen, Seen::LogOpened { log_end, clean: was, .. }
                    if log_end.0 == 164 && *was == clean)
            }));
            for line in fetches.lines().step_by(3) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let number = |i: usize| words[i].parse::<i64>().unwrap();
                let (bytes_max, at, last) = (number(0) as i32, number(1), number(4));
                let answer = fetch(&address, 1, at, bytes_max);
                let data = &answer.responses[0].partitions[0];
                let ends = (data.last_stable_offset, data.high_watermark);
                assert_eq!(
                    (data.error_code, ends),
                    (0, (number(2), number(3))),
                    "{line}"
                );
                let aborted = data.aborted_transactions.as_ref().unwrap();
                let ours: Vec<String> = aborted
                    .iter()
                    .map(|txn| format!("{}:{}", txn.producer_id, txn.first_offset))
                    .collect();
                // Where the bytes end within a segment Kafka lists some that begin behind them.
                let among = words[5..].iter().filter(|word| {
                    let first: i64 = word.split(':').nth(1).unwrap().parse().unwrap();
                    bytes_max == 1 << 20 || first <= last
                });
                assert_eq!(ours, among.copied().collect::<Vec<_>>(), "{line}");
                let answer = fetch(&address, 0, at, bytes_max);
                let data = &answer.responses[0].partitions[0];
                assert_eq!(data.aborted_transactions, None, "asked for everything");
            }
            // What is open is not read, and all but it is.
            let stable = fetch(&address, 1, 160, 1 << 20);
            let data = &stable.responses[0].partitions[0];
            assert_eq!(data.aborted_transactions.as_deref(), Some(&[][..]));
            assert!(
                data.records
                    .as_ref()
                    .is_none_or(|records| records.is_empty())
            );
            node.stop(10_000).await;
        });
    }
    std::fs::remove_dir_all(dir).unwrap();
}
