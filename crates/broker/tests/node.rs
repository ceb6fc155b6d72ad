//! A whole node over real files: a full disk, logs that nobody owns, and syncs that nobody waits for.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test on real files and sockets; what fails here fails the test"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use client::admin::NewTopic;
use client::{
    Acks, Admin, ClientOptions, Producer, ProducerOptions, ProducerRecord, TopicPartition,
};
use common::{World, fresh_dir, live, start, until};
use env::{Clock, Env, Seen};
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
