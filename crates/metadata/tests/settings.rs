//! Which value counts, what may be set, and what a topic's settings then are.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use ottla_metadata::configs::resolve::{Layers, Source};
use ottla_metadata::configs::{Scope, Value, find, validate};
use ottla_metadata::{
    CleanupPolicy, CompressionType, ConfigResource, Durability, Image, ResourceType, TimestampType,
    TopicConfig,
};
use protocol::{ConfigRecord, Str};
use types::{BrokerId, Uuid};

fn set(image: &mut Image, kind: ResourceType, resource: &str, name: &str, value: Option<&str>) {
    let record = ConfigRecord {
        resource_type: kind.number(),
        resource_name: resource.into(),
        name: name.into(),
        value: value.map(Str::from),
    };
    image.apply(&record.into()).unwrap();
}

fn file(lines: &[(&str, &str)]) -> BTreeMap<String, String> {
    lines
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn configs(lines: &[(&str, &str)]) -> BTreeMap<Str, Str> {
    lines
        .iter()
        .map(|(k, v)| (Str::from(*k), Str::from(*v)))
        .collect()
}

#[test]
fn the_nearer_layer_wins() {
    let mut image = Image::new(Uuid::ZERO);
    let nothing = file(&[]);
    let bytes = |image: &Image, file: &BTreeMap<String, String>| {
        image.topic_config("t", BrokerId(1), file).max_message_bytes
    };
    assert_eq!(bytes(&image, &nothing), 1_048_588);
    let file = file(&[("message.max.bytes", "1000")]);
    assert_eq!(bytes(&image, &file), 1000);
    set(
        &mut image,
        ResourceType::Broker,
        "",
        "message.max.bytes",
        Some("2000"),
    );
    assert_eq!(bytes(&image, &file), 2000);
    // Another broker's own settings say nothing here.
    set(
        &mut image,
        ResourceType::Broker,
        "2",
        "message.max.bytes",
        Some("9000"),
    );
    assert_eq!(bytes(&image, &file), 2000);
    set(
        &mut image,
        ResourceType::Broker,
        "1",
        "message.max.bytes",
        Some("3000"),
    );
    assert_eq!(bytes(&image, &file), 3000);
    set(
        &mut image,
        ResourceType::Topic,
        "t",
        "max.message.bytes",
        Some("4000"),
    );
    assert_eq!(bytes(&image, &file), 4000);
    // A change of a broker's settings leaves a topic's own alone (C11).
    set(
        &mut image,
        ResourceType::Broker,
        "",
        "message.max.bytes",
        None,
    );
    set(
        &mut image,
        ResourceType::Broker,
        "1",
        "message.max.bytes",
        Some("5000"),
    );
    assert_eq!(bytes(&image, &file), 4000);
    set(
        &mut image,
        ResourceType::Topic,
        "t",
        "max.message.bytes",
        None,
    );
    assert_eq!(bytes(&image, &file), 5000);
    set(
        &mut image,
        ResourceType::Broker,
        "1",
        "message.max.bytes",
        None,
    );
    assert_eq!(bytes(&image, &file), 1000);
}

#[test]
fn the_finer_unit_wins_wherever_it_is_set() {
    let mut image = Image::new(Uuid::ZERO);
    let ms = |image: &Image, file: &BTreeMap<String, String>| {
        image.topic_config("t", BrokerId(1), file).retention_ms
    };
    assert_eq!(ms(&image, &file(&[])), Some(604_800_000));
    let hours = file(&[("log.retention.hours", "1")]);
    assert_eq!(ms(&image, &hours), Some(3_600_000));
    let minutes = file(&[("log.retention.hours", "1"), ("log.retention.minutes", "2")]);
    assert_eq!(ms(&image, &minutes), Some(120_000));
    assert_eq!(ms(&image, &file(&[("log.retention.hours", "-1")])), None);
    set(
        &mut image,
        ResourceType::Broker,
        "",
        "log.retention.ms",
        Some("7"),
    );
    assert_eq!(ms(&image, &minutes), Some(7));
    set(
        &mut image,
        ResourceType::Broker,
        "1",
        "log.retention.ms",
        Some("-1"),
    );
    assert_eq!(ms(&image, &minutes), None);

    let layers = Layers::new(&image, BrokerId(1), &minutes);
    let names: Vec<_> = (layers.broker_synonyms("log.retention.ms").into_iter())
        .map(|synonym| (synonym.name, synonym.value, synonym.source))
        .collect();
    let expected = [
        ("log.retention.ms", "-1", Source::Broker),
        ("log.retention.ms", "7", Source::AllBrokers),
        ("log.retention.minutes", "2", Source::Static),
        ("log.retention.hours", "1", Source::Static),
        ("log.retention.hours", "168", Source::Default),
    ];
    assert_eq!(
        names,
        expected.map(|(n, v, s)| (n.to_owned(), v.to_owned(), s))
    );
}

#[test]
fn the_largest_times_do_not_overflow() {
    let image = Image::new(Uuid::ZERO);
    let file = file(&[
        ("log.retention.hours", "2147483647"),
        ("log.roll.hours", "2147483647"),
    ]);
    let config = image.topic_config("t", BrokerId(1), &file);
    assert_eq!(config.retention_ms, Some(2_147_483_647 * 3_600_000));
    assert_eq!(config.segment_ms, 2_147_483_647 * 3_600_000);
}

#[test]
fn a_value_that_cannot_be_parsed_is_passed_over() {
    let image = Image::new(Uuid::ZERO);
    let file = file(&[
        ("message.max.bytes", "lots"),
        ("auto.create.topics.enable", "perhaps"),
    ]);
    assert_eq!(
        image
            .topic_config("t", BrokerId(1), &file)
            .max_message_bytes,
        1_048_588
    );
    assert!(
        image
            .broker_config(BrokerId(1), &file)
            .auto_create_topics_enable
    );
    // And was refused when the broker started.
    let keys: Vec<String> = validate::file(&file).into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ["auto.create.topics.enable", "message.max.bytes"]);
}

#[test]
fn every_setting_of_a_topic_arrives() {
    let mut image = Image::new(Uuid::ZERO);
    for (name, value) in [
        ("cleanup.policy", "compact,delete"),
        ("compression.type", "zstd"),
        ("compression.gzip.level", "5"),
        ("compression.lz4.level", "6"),
        ("compression.zstd.level", "-7"),
        ("ottla.durability", "replicated"),
        ("file.delete.delay.ms", "8"),
        ("flush.messages", "9"),
        ("flush.ms", "10"),
        ("index.interval.bytes", "11"),
        ("max.message.bytes", "12"),
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.before.max.ms", "13"),
        ("message.timestamp.after.max.ms", "14"),
        ("min.insync.replicas", "2"),
        ("preallocate", "TRUE"),
        ("retention.bytes", " 15 "),
        ("retention.ms", "-1"),
        ("segment.bytes", "1048576"),
        ("segment.index.bytes", "16"),
        ("segment.jitter.ms", "17"),
        ("segment.ms", "18"),
        ("unclean.leader.election.enable", "true"),
    ] {
        set(&mut image, ResourceType::Topic, "t", name, Some(value));
    }
    let config = image.topic_config("t", BrokerId(1), &file(&[]));
    let expected = TopicConfig {
        cleanup_policy: CleanupPolicy {
            delete: true,
            compact: true,
        },
        compression_type: CompressionType::Zstd,
        compression_gzip_level: 5,
        compression_lz4_level: 6,
        compression_zstd_level: -7,
        durability: Durability::Replicated,
        file_delete_delay_ms: 8,
        flush_messages: 9,
        flush_ms: 10,
        index_interval_bytes: 11,
        max_message_bytes: 12,
        message_timestamp_type: TimestampType::LogAppendTime,
        message_timestamp_before_max_ms: 13,
        message_timestamp_after_max_ms: 14,
        min_insync_replicas: 2,
        preallocate: true,
        retention_bytes: Some(15),
        retention_ms: None,
        segment_bytes: 1_048_576,
        segment_index_bytes: 16,
        segment_jitter_ms: 17,
        segment_ms: 18,
        unclean_leader_election_enable: true,
    };
    assert_eq!(config, expected);
    let nothing = file(&[]);
    let all = image.topic_configs(BrokerId(1), &nothing);
    assert_eq!(*all.of("t"), expected);
    assert_eq!(*all.of("u"), TopicConfig::default());
    assert!(std::sync::Arc::ptr_eq(&all.of("u"), &all.of("v")));
    // A topic beside it has none of this.
    assert_eq!(
        image.topic_config("u", BrokerId(1), &file(&[])),
        TopicConfig::default()
    );
    assert_eq!(TopicConfig::default().durability, Durability::Synced);
}

#[test]
fn a_sync_after_every_record_is_synced() {
    let mut image = Image::new(Uuid::ZERO);
    set(
        &mut image,
        ResourceType::Topic,
        "t",
        "flush.messages",
        Some("1"),
    );
    let durability = |lines: &[(&str, &str)]| {
        let lines = file(lines);
        let all = image.topic_configs(BrokerId(1), &lines);
        (all.of("t").durability, all.of("u").durability)
    };
    let weak = ("ottla.durability", "replicated");
    assert_eq!(
        durability(&[weak]),
        (Durability::Synced, Durability::Replicated)
    );
    assert_eq!(
        durability(&[weak, ("log.flush.interval.messages", "1")]),
        (Durability::Synced, Durability::Synced)
    );
    assert_eq!(
        durability(&[weak, ("log.flush.interval.messages", "2")]),
        (Durability::Synced, Durability::Replicated)
    );
}

#[test]
fn what_is_not_there_is_refused_unless_it_changes_nothing() {
    let image = Image::new(Uuid::ZERO);
    let nothing = file(&[]);
    let layers = Layers::new(&image, BrokerId(1), &nothing);
    let topic = |lines: &[(&str, &str)]| validate::topic(&layers, &configs(lines));
    assert_eq!(topic(&[("remote.storage.enable", "false")]), Ok(()));
    assert!(topic(&[("remote.storage.enable", "true")]).is_err());
    assert_eq!(topic(&[("cleanup.policy", "compact")]), Ok(()));
    assert!(topic(&[("ottla.durability", "perhaps")]).is_err());

    assert_eq!(validate::file(&file(&[("ssl.keystore.type", "JKS")])), []);
    let problems = validate::file(&file(&[
        ("ssl.keystore.password", "secret"),
        ("sasl.enabled.mechanisms", "PLAIN"),
        (
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        ),
        ("metric.reporters", "com.example.Reporter"),
        ("listener.name.public.ssl.key.password", "secret"),
        ("log.retention.ms", "0"),
        ("log.retention.hous", "1"),
        ("num.partitions", "0"),
    ]));
    let found: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
    let expected = [
        "authorizer.class.name",
        "listener.name.public.ssl.key.password",
        "log.retention.hous",
        "num.partitions",
        "sasl.enabled.mechanisms",
        "ssl.keystore.password",
        "log.retention.ms",
    ];
    assert_eq!(found, expected);
    assert!(
        problems.iter().all(|p| !p.message.contains("secret")),
        "{problems:?}"
    );
    let unknown: Vec<_> = problems.iter().filter(|p| p.is_unknown).collect();
    assert_eq!(unknown.len(), 1);
    assert!(
        unknown[0]
            .message
            .ends_with("did you mean log.retention.hours?")
    );
}

#[test]
fn passwords_are_not_repeated() {
    let key = find(Scope::Broker, "ssl.key.password").unwrap();
    assert_eq!(key.parse(" secret "), Ok(Value::Text("secret".into())));
    let configs = configs(&[("listener.name.x.ssl.key.password", "secret")]);
    let error = validate::broker(&configs, false).unwrap_err();
    assert!(!error.message.contains("secret"), "{error}");
}

#[test]
fn values_are_parsed_as_java_does() {
    let parse = |scope, name, text: &str| find(scope, name).unwrap().parse(text);
    let long = |text: &str| parse(Scope::Topic, "retention.ms", text);
    assert_eq!(long("+5"), Ok(Value::Integer(5)));
    assert_eq!(long(" 9223372036854775807\t"), Ok(Value::Integer(i64::MAX)));
    assert!(
        long("9223372036854775808").is_err() && long("1_000").is_err() && long("0x10").is_err()
    );
    let short = |text: &str| parse(Scope::Broker, "offsets.topic.replication.factor", text);
    assert_eq!(short("32767"), Ok(Value::Integer(32767)));
    assert!(
        short("32768")
            .unwrap_err()
            .ends_with("Not a number of type SHORT")
    );
    let double = |text: &str| parse(Scope::Topic, "min.cleanable.dirty.ratio", text);
    assert_eq!(double("1e-1"), Ok(Value::Double(0.1)));
    assert!(double("NaN").is_err() && double("1.01").is_err() && double("-0.1").is_err());
    let list = |text: &str| parse(Scope::Broker, "log.dirs", text);
    let texts = |list: &[&str]| Value::List(list.iter().map(|t| (*t).to_owned()).collect());
    assert_eq!(list(" a , b,c "), Ok(texts(&["a", "b", "c"])));
    assert_eq!(list(""), Ok(texts(&[])));
}

#[test]
fn a_name_with_settings_is_gone_with_its_topic() {
    let mut image = Image::new(Uuid::ZERO);
    let record = protocol::TopicRecord {
        name: "t".into(),
        topic_id: Uuid([9; 16]),
    };
    image.apply(&record.into()).unwrap();
    set(
        &mut image,
        ResourceType::Topic,
        "t",
        "retention.ms",
        Some("1"),
    );
    let resource = ConfigResource::new(ResourceType::Topic, "t");
    assert_eq!(image.configs(&resource).len(), 1);
    image
        .apply(
            &protocol::RemoveTopicRecord {
                topic_id: Uuid([9; 16]),
            }
            .into(),
        )
        .unwrap();
    assert_eq!(image.configs(&resource).len(), 0);
    assert_eq!(image.config_resources().count(), 0);
}
