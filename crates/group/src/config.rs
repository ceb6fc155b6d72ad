//! The settings of a group coordinator, named after Kafka's broker configuration keys.

/// What a broker's configuration says about groups. Defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after the
    /// first one joined. Every member that joins meanwhile prolongs the wait, up to the members'
    /// rebalance timeout.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.max.size`: members that one group may have.
    pub size_max: usize,
    /// How long a new member may wait for its first generation. It cannot send heartbeats while its
    /// JoinGroup is parked, so this takes the place of its session timeout. Fixed in Kafka.
    pub new_member_join_timeout_ms: i32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `max.message.bytes` of the offsets topic: the largest batch that the log takes. A request that
    /// would need a larger one is refused, and long deletions are written in several.
    pub batch_bytes_max: usize,
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            initial_rebalance_delay_ms: 3_000,
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 30 * 60 * 1_000,
            size_max: i32::MAX as usize,
            new_member_join_timeout_ms: 5 * 60 * 1_000,
            offset_metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 10 * 60 * 1_000,
            batch_bytes_max: 1_048_588,
        }
    }
}
