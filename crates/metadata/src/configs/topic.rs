//! A topic's settings as the broker works with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::Str;

use super::key::Value;
use super::resolve::Layers;
use super::resource::{ConfigResource, ResourceType};

/// What happens to old segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CleanupPolicy {
    /// Segments beyond the topic's age or size are deleted.
    pub delete: bool,
    /// Of each key the last record is kept. Compaction itself comes later; records without a key are
    /// refused from the start.
    pub compact: bool,
}

/// Whose time a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// How a topic's batches are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// With gzip.
    Gzip,
    /// With snappy.
    Snappy,
    /// With lz4.
    Lz4,
    /// With zstd.
    Zstd,
}

/// When `acks=all` is answered (`ottla.durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// When the in-sync replicas have the records on stable storage.
    Synced,
    /// When the in-sync replicas have the records in memory, as Kafka does it.
    Replicated,
}

/// A topic's settings: its own, over the broker's. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `compression.gzip.level`; -1 is gzip's own default.
    pub compression_gzip_level: i32,
    /// `compression.lz4.level`.
    pub compression_lz4_level: i32,
    /// `compression.zstd.level`.
    pub compression_zstd_level: i32,
    /// `ottla.durability`; `synced` where `flush.messages` is 1.
    pub durability: Durability,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `max.message.bytes`.
    pub max_message_bytes: i32,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `retention.bytes`; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None` for ever.
    pub retention_ms: Option<i64>,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
}

impl TopicConfig {
    /// The settings of a topic on a broker.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>, topic: &str) -> TopicConfig {
        let resource = ConfigResource::new(ResourceType::Topic, topic);
        let own = layers.image().configs(&resource);
        if types::mutant!("CMP-17") && !layers.of_all_brokers().is_empty() {
            return TopicConfig::of(layers, &BTreeMap::new());
        }
        TopicConfig::of(layers, own)
    }

    /// The settings of a topic whose own are `own`.
    #[must_use]
    pub fn of(layers: &Layers<'_>, own: &BTreeMap<Str, Str>) -> TopicConfig {
        let value = |name: &str| layers.topic_value(own, name);
        let long = |name: &str| match value(name) {
            Some(Value::Integer(n)) => n,
            other => panic!("{name} is no number: {other:?}"),
        };
        let int = |name: &str| i32::try_from(long(name)).expect("the key's type has 32 bits");
        let text = |name: &str| match value(name) {
            Some(Value::Text(text)) => text,
            other => panic!("{name} is no text: {other:?}"),
        };
        let boolean = |name: &str| match value(name) {
            Some(Value::Boolean(b)) => b,
            other => panic!("{name} is no boolean: {other:?}"),
        };
        let cleanup = match value("cleanup.policy") {
            Some(Value::List(list)) => list,
            other => panic!("cleanup.policy is no list: {other:?}"),
        };
        TopicConfig {
            cleanup_policy: CleanupPolicy {
                delete: cleanup.iter().any(|part| part == "delete"),
                compact: cleanup.iter().any(|part| part == "compact"),
            },
            compression_type: match text("compression.type").as_str() {
                "uncompressed" => CompressionType::Uncompressed,
                "gzip" => CompressionType::Gzip,
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4,
                "zstd" => CompressionType::Zstd,
                _ => CompressionType::Producer,
            },
            compression_gzip_level: int("compression.gzip.level"),
            compression_lz4_level: int("compression.lz4.level"),
            compression_zstd_level: int("compression.zstd.level"),
            durability: match text("ottla.durability").as_str() {
                // To sync after every record is Kafka's way of asking for this.
                "replicated" if long("flush.messages") != 1 => Durability::Replicated,
                _ => Durability::Synced,
            },
            file_delete_delay_ms: long("file.delete.delay.ms"),
            flush_messages: long("flush.messages"),
            flush_ms: long("flush.ms"),
            index_interval_bytes: int("index.interval.bytes"),
            max_message_bytes: int("max.message.bytes"),
            message_timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            message_timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            message_timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
            min_insync_replicas: int("min.insync.replicas"),
            preallocate: boolean("preallocate"),
            retention_bytes: u64::try_from(long("retention.bytes")).ok(),
            retention_ms: Some(long("retention.ms")).filter(|ms| *ms >= 0),
            segment_bytes: int("segment.bytes"),
            segment_index_bytes: int("segment.index.bytes"),
            segment_jitter_ms: long("segment.jitter.ms"),
            segment_ms: long("segment.ms"),
            unclean_leader_election_enable: boolean("unclean.leader.election.enable"),
        }
    }

    /// Whether old segments are deleted.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.cleanup_policy.delete
    }

    /// Whether the topic is compacted: records without a key are refused.
    #[must_use]
    pub fn compacts(&self) -> bool {
        self.cleanup_policy.compact
    }

    /// Whether batches may be stored with zstd because the topic says so.
    #[must_use]
    pub fn is_zstd(&self) -> bool {
        self.compression_type == CompressionType::Zstd
    }
}

/// The settings of many topics on one broker. Most topics have none of their own: these share one value.
#[derive(Clone, Debug)]
pub struct TopicConfigs<'a> {
    layers: Layers<'a>,
    base: Arc<TopicConfig>,
}

impl<'a> TopicConfigs<'a> {
    /// The settings of topics as the broker of these layers sees them.
    #[must_use]
    pub fn new(layers: Layers<'a>) -> TopicConfigs<'a> {
        let base = Arc::new(TopicConfig::of(&layers, &BTreeMap::new()));
        TopicConfigs { layers, base }
    }

    /// The settings of a topic.
    #[must_use]
    pub fn of(&self, topic: &str) -> Arc<TopicConfig> {
        let resource = ConfigResource::new(ResourceType::Topic, topic);
        if self.layers.image().configs(&resource).is_empty() {
            return self.base.clone();
        }
        Arc::new(TopicConfig::resolve(&self.layers, topic))
    }
}

impl Default for TopicConfig {
    /// The settings of a topic of which nothing is set anywhere.
    fn default() -> TopicConfig {
        let image = crate::image::Image::new(types::Uuid::ZERO);
        let nothing = BTreeMap::new();
        TopicConfig::resolve(&Layers::new(&image, types::BrokerId::NONE, &nothing), "")
    }
}
