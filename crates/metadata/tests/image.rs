//! The image as the replay of records, and deltas between images.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use ottla_metadata::{Delta, Image, ImageError, PartitionRegistration};
use proptest::prelude::*;
use protocol::testing::arbitrary;
use protocol::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, FenceBrokerRecord,
    MetadataRecord, NoOpRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord,
    RegisterBrokerRecord, RemoveTopicRecord, Str, TopicRecord, UnfenceBrokerRecord,
    UnregisterBrokerRecord,
};
use types::{BrokerId, Uuid};

fn id(number: u8) -> Uuid {
    Uuid([number + 100; 16])
}

/// A record about few things, so that many of a sequence concern each other.
fn any_record() -> impl Strategy<Value = MetadataRecord> {
    let broker = 1..4i32;
    let replicas = prop::sample::subsequence(vec![1, 2, 3], 0..=3);
    prop_oneof![
        3 => (0..4u8, 0..4u8).prop_map(|(name, topic)| {
            let names = ["a.b", "a_b", "c", "d"];
            let name = Str::from(names[name as usize]);
            TopicRecord { name, topic_id: id(topic) }.into()
        }),
        1 => (0..4u8).prop_map(|topic| RemoveTopicRecord { topic_id: id(topic) }.into()),
        4 => (0..4u8, 0..3i32, replicas.clone(), 0..4i32, 0..3i32).prop_map(
            |(topic, partition_id, replicas, leader, epoch)| PartitionRecord {
                partition_id,
                topic_id: id(topic),
                isr: replicas.clone(),
                leader: if replicas.contains(&leader) { leader } else { -1 },
                directories: vec![Uuid([3; 16]); replicas.len()],
                replicas,
                leader_epoch: epoch,
                partition_epoch: epoch,
                ..Default::default()
            }
            .into()
        ),
        6 => (0..4u8, 0..3i32, prop::option::of(replicas), -2..4i32).prop_map(
            |(topic, partition_id, isr, leader)| PartitionChangeRecord {
                partition_id,
                topic_id: id(topic),
                isr,
                leader,
                ..Default::default()
            }
            .into()
        ),
        4 => (0..3usize, 0..3usize, prop::option::of(0..3i32)).prop_map(|(resource, name, value)| {
            let (resource_type, resource_name) = [(2, "c"), (4, ""), (32, "g")][resource];
            let name = ["retention.ms", "segment.ms", "x"][name];
            ConfigRecord {
                resource_type,
                resource_name: resource_name.into(),
                name: name.into(),
                value: value.map(|v| Str::from(v.to_string())),
            }
            .into()
        }),
        2 => (broker.clone(), 0..4i64, 0..2u8).prop_map(|(broker_id, broker_epoch, life)| {
            RegisterBrokerRecord {
                broker_id,
                broker_epoch,
                incarnation_id: Uuid([life; 16]),
                ..Default::default()
            }
            .into()
        }),
        1 => (broker.clone(), 0..4i64).prop_map(|(broker_id, broker_epoch)| {
            UnregisterBrokerRecord { broker_id, broker_epoch }.into()
        }),
        1 => (broker.clone(), 0..4i64)
            .prop_map(|(id, epoch)| FenceBrokerRecord { id, epoch }.into()),
        1 => (broker.clone(), 0..4i64)
            .prop_map(|(id, epoch)| UnfenceBrokerRecord { id, epoch }.into()),
        1 => (broker, 0..4i64, -1..2i8).prop_map(|(broker_id, broker_epoch, fenced)| {
            BrokerRegistrationChangeRecord { broker_id, broker_epoch, fenced, ..Default::default() }
                .into()
        }),
        1 => (0..5i64).prop_map(|next| {
            ProducerIdsRecord { next_producer_id: next * 1000, ..Default::default() }.into()
        }),
        1 => (29..32i16).prop_map(|level| {
            FeatureLevelRecord { name: "metadata.version".into(), feature_level: level }.into()
        }),
        1 => Just(NoOpRecord {}.into()),
    ]
}

/// The same records with a new id for every topic made: a topic's id is never used again.
fn with_fresh_ids(records: Vec<MetadataRecord>) -> Vec<MetadataRecord> {
    let mut now: BTreeMap<Uuid, Uuid> = BTreeMap::new();
    let mut next = 0u8;
    let mut records = records;
    for record in &mut records {
        let id = match record {
            MetadataRecord::TopicRecord(r) => {
                next += 1;
                now.insert(r.topic_id, Uuid([next; 16]));
                &mut r.topic_id
            }
            MetadataRecord::RemoveTopicRecord(r) => &mut r.topic_id,
            MetadataRecord::PartitionRecord(r) => &mut r.topic_id,
            MetadataRecord::PartitionChangeRecord(r) => &mut r.topic_id,
            _ => continue,
        };
        *id = now.get(id).copied().unwrap_or(*id);
    }
    records
}

fn any_records() -> impl Strategy<Value = Vec<MetadataRecord>> {
    prop::collection::vec(any_record(), 0..60).prop_map(with_fresh_ids)
}

type Partitions = BTreeMap<(Uuid, i32), PartitionRegistration>;

fn partitions(image: &Image) -> Partitions {
    (image.topics())
        .flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|(i, p)| ((topic.id, *i), p.clone()))
        })
        .collect()
}

/// What somebody knows who only ever hears of deltas.
fn told(delta: &Delta, partitions: &mut Partitions) {
    for topic in &delta.topics_deleted {
        partitions.retain(|(id, _), _| *id != topic.id);
    }
    for change in &delta.partitions_changed {
        let key = (change.partition.topic_id, change.partition.partition.0);
        assert_eq!(partitions.insert(key, change.after.clone()), change.before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// C6: what deltas tell is what a full replay says; a record that is refused changes nothing; and a
    /// snapshot's records make the same image.
    #[test]
    fn deltas_snapshots_and_replay_agree(records in any_records(), step in 1..9usize) {
        let mut image = Image::new(id(0));
        let mut published = image.clone();
        let mut known = Partitions::new();
        let mut applied = Vec::new();
        for (i, record) in records.iter().enumerate() {
            let before = image.clone();
            match image.apply(record) {
                Ok(()) => applied.push(record.clone()),
                Err(_) => prop_assert_eq!(&image, &before),
            }
            if i % step == 0 {
                told(&Delta::between(&published, &image), &mut known);
                published = image.clone();
                prop_assert_eq!(&known, &partitions(&image));
            }
        }
        for partition in partitions(&image).values() {
            prop_assert_eq!(partition.check(), Ok(()));
        }
        let replay = |records: &[MetadataRecord]| {
            let mut image = Image::new(id(0));
            for record in records {
                image.apply(record).unwrap();
            }
            image
        };
        prop_assert_eq!(&replay(&applied), &image);
        prop_assert_eq!(&replay(&image.to_records()), &image);
        prop_assert!(Delta::between(&image, &replay(&applied)).is_empty());
    }

    /// C5, C7: epochs only grow, a change at a time.
    #[test]
    fn epochs_only_grow(records in any_records()) {
        let mut image = Image::new(id(0));
        for record in &records {
            let before = partitions(&image);
            if image.apply(record).is_err() {
                continue;
            }
            for (key, now) in partitions(&image) {
                if let Some(then) = before.get(&key) {
                    prop_assert!(now.partition_epoch >= then.partition_epoch);
                    prop_assert!(now.leader_epoch >= then.leader_epoch);
                    if matches!(record, MetadataRecord::PartitionChangeRecord(_)) && now != *then {
                        prop_assert_eq!(now.partition_epoch.0, then.partition_epoch.0 + 1);
                    }
                }
            }
        }
    }

    /// Whatever lies in the log, reading it does not panic.
    #[test]
    fn no_record_panics(seeds in prop::collection::vec(any::<u64>(), 0..40)) {
        let mut image = Image::new(id(0));
        for seed in seeds {
            let records: [MetadataRecord; 9] = [
                arbitrary::<TopicRecord>(seed, 0).into(),
                arbitrary::<PartitionRecord>(seed, 2).into(),
                arbitrary::<PartitionChangeRecord>(seed, 2).into(),
                arbitrary::<ConfigRecord>(seed, 0).into(),
                arbitrary::<RegisterBrokerRecord>(seed, 4).into(),
                arbitrary::<BrokerRegistrationChangeRecord>(seed, 3).into(),
                arbitrary::<FeatureLevelRecord>(seed, 0).into(),
                arbitrary::<ProducerIdsRecord>(seed, 0).into(),
                arbitrary::<RemoveTopicRecord>(seed, 0).into(),
            ];
            for record in &records {
                let _ = image.apply(record);
            }
        }
    }
}

#[test]
fn a_topic_made_again_is_another_one() {
    let mut image = Image::new(id(0));
    let make = |topic: u8| -> [MetadataRecord; 2] {
        let partition =
            PartitionRegistration::new(vec![BrokerId(1)], vec![Uuid([3; 16])], vec![BrokerId(1)]);
        let topic_record = TopicRecord {
            name: "t".into(),
            topic_id: id(topic),
        };
        [
            topic_record.into(),
            partition.to_record(id(topic), 0).into(),
        ]
    };
    for record in make(1) {
        image.apply(&record).unwrap();
    }
    let before = image.clone();
    image
        .apply(&RemoveTopicRecord { topic_id: id(1) }.into())
        .unwrap();
    for record in make(2) {
        image.apply(&record).unwrap();
    }
    let delta = Delta::between(&before, &image);
    assert_eq!(
        delta
            .topics_deleted
            .iter()
            .map(|t| t.id)
            .collect::<Vec<_>>(),
        [id(1)]
    );
    assert_eq!(
        delta
            .topics_created
            .iter()
            .map(|t| t.id)
            .collect::<Vec<_>>(),
        [id(2)]
    );
    assert_eq!(delta.partitions_changed.len(), 1);
    assert_eq!(delta.partitions_changed[0].before, None);
}

#[test]
fn what_is_not_known_is_not_skipped() {
    let mut image = Image::new(id(0));
    let unknown: MetadataRecord = protocol::ClientQuotaRecord::default().into();
    assert_eq!(
        image.apply(&unknown),
        Err(ImageError::Unsupported { record_type: 14 })
    );
    let level = |name: &str, feature_level| -> MetadataRecord {
        FeatureLevelRecord {
            name: name.into(),
            feature_level,
        }
        .into()
    };
    assert_eq!(image.apply(&level("metadata.version", 30)), Ok(()));
    assert!(image.apply(&level("metadata.version", 31)).is_err());
    assert!(image.apply(&level("transaction.version", 2)).is_err());
    assert_eq!(image.apply(&level("transaction.version", 0)), Ok(()));
    assert_eq!(image.feature_level("metadata.version"), 30);
    assert_eq!(image.features().len(), 1);
}

#[test]
fn names_that_collide_are_found() {
    let mut image = Image::new(id(0));
    let make = |image: &mut Image, name: &str, topic: u8| {
        image
            .apply(
                &TopicRecord {
                    name: name.into(),
                    topic_id: id(topic),
                }
                .into(),
            )
            .unwrap();
    };
    make(&mut image, "a.b", 1);
    assert_eq!(image.colliding_topic("a_b").map(Str::as_str), Some("a.b"));
    assert_eq!(image.colliding_topic("ab"), None);
    // Both may be in a log of an older Kafka.
    make(&mut image, "a_b", 2);
    image
        .apply(&RemoveTopicRecord { topic_id: id(1) }.into())
        .unwrap();
    assert_eq!(image.colliding_topic("a.b").map(Str::as_str), Some("a_b"));
    image
        .apply(&RemoveTopicRecord { topic_id: id(2) }.into())
        .unwrap();
    assert_eq!(image.colliding_topic("a.b"), None);
}
