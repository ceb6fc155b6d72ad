//! A broker's settings as it works with them.

use super::resolve::Layers;

/// A broker's settings: what was set at runtime over its `server.properties` over the defaults. Times are
/// in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each field is named after its key, and the table describes the keys"
)]
pub struct BrokerConfig {
    pub auto_create_topics_enable: bool,
    pub delete_topic_enable: bool,
    pub num_partitions: i32,
    pub default_replication_factor: i32,
    pub message_max_bytes: i32,
    pub max_decompressed_message_bytes: i32,
    pub fetch_max_bytes: i32,
    pub socket_request_max_bytes: i32,
    /// `None` lets the broker choose.
    pub queued_max_request_bytes: Option<u64>,
    pub connections_max_idle_ms: i64,
    pub max_connections: i32,
    pub max_connections_per_ip: i32,
    pub max_incremental_fetch_session_cache_slots: i32,
    pub max_request_partition_size_limit: i32,
    pub request_timeout_ms: i32,
    pub log_retention_check_interval_ms: i64,
    pub disk_reserve_bytes: i64,
    pub producer_id_expiration_ms: i32,
    pub producer_id_expiration_check_interval_ms: i32,
    pub transaction_max_timeout_ms: i32,
    pub group_initial_rebalance_delay_ms: i32,
    pub group_min_session_timeout_ms: i32,
    pub group_max_session_timeout_ms: i32,
    pub group_max_size: i32,
    pub offset_metadata_max_bytes: i32,
    pub offsets_commit_timeout_ms: i32,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_interval_ms: i64,
    pub offsets_topic_num_partitions: i32,
    pub offsets_topic_replication_factor: i32,
    pub offsets_topic_segment_bytes: i32,
}

impl BrokerConfig {
    /// The settings that count.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>) -> BrokerConfig {
        let int = |name| layers.int(name);
        let long = |name| layers.integer(name);
        BrokerConfig {
            auto_create_topics_enable: layers.boolean("auto.create.topics.enable"),
            delete_topic_enable: layers.boolean("delete.topic.enable"),
            num_partitions: int("num.partitions"),
            default_replication_factor: int("default.replication.factor"),
            message_max_bytes: int("message.max.bytes"),
            max_decompressed_message_bytes: int("max.decompressed.message.bytes"),
            fetch_max_bytes: int("fetch.max.bytes"),
            socket_request_max_bytes: int("socket.request.max.bytes"),
            queued_max_request_bytes: u64::try_from(long("queued.max.request.bytes")).ok(),
            connections_max_idle_ms: long("connections.max.idle.ms"),
            max_connections: int("max.connections"),
            max_connections_per_ip: int("max.connections.per.ip"),
            max_incremental_fetch_session_cache_slots: int(
                "max.incremental.fetch.session.cache.slots",
            ),
            max_request_partition_size_limit: int("max.request.partition.size.limit"),
            request_timeout_ms: int("request.timeout.ms"),
            log_retention_check_interval_ms: long("log.retention.check.interval.ms"),
            disk_reserve_bytes: long("ottla.disk.reserve.bytes"),
            producer_id_expiration_ms: int("producer.id.expiration.ms"),
            producer_id_expiration_check_interval_ms: int(
                "producer.id.expiration.check.interval.ms",
            ),
            transaction_max_timeout_ms: int("transaction.max.timeout.ms"),
            group_initial_rebalance_delay_ms: int("group.initial.rebalance.delay.ms"),
            group_min_session_timeout_ms: int("group.min.session.timeout.ms"),
            group_max_session_timeout_ms: int("group.max.session.timeout.ms"),
            group_max_size: int("group.max.size"),
            offset_metadata_max_bytes: int("offset.metadata.max.bytes"),
            offsets_commit_timeout_ms: int("offsets.commit.timeout.ms"),
            offsets_retention_ms: long("offsets.retention.minutes") * 60_000,
            offsets_retention_check_interval_ms: long("offsets.retention.check.interval.ms"),
            offsets_topic_num_partitions: int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: int("offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: int("offsets.topic.segment.bytes"),
        }
    }
}
