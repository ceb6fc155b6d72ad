//! What a node tells the oracles about itself.

use types::{LeaderEpoch, NextOffset, Offset, TopicPartition};

/// An event that oracles, traces and coverage read. Plain numbers only: building one costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Seen {
    /// The log of a partition was opened; its end as recovered.
    LogOpened {
        /// Which partition.
        partition: TopicPartition,
        /// First offset kept.
        log_start: Offset,
        /// End of the log.
        log_end: NextOffset,
        /// Whether the last stop was clean.
        clean: bool,
    },
    /// A batch got its place in the log, in memory.
    Appended {
        /// Which partition.
        partition: TopicPartition,
        /// The leader's epoch.
        leader_epoch: LeaderEpoch,
        /// First offset of the batch.
        base_offset: Offset,
        /// End of the batch.
        next_offset: NextOffset,
        /// The batch's CRC.
        crc: u32,
    },
    /// The log is durable up to here.
    Synced {
        /// Which partition.
        partition: TopicPartition,
        /// End of what is durable.
        upto: NextOffset,
    },
    /// A partition's high watermark moved.
    HighWatermark {
        /// Which partition.
        partition: TopicPartition,
        /// The new high watermark.
        high_watermark: NextOffset,
    },
    /// A partition's log start offset moved.
    LogStart {
        /// Which partition.
        partition: TopicPartition,
        /// The first offset kept.
        log_start: Offset,
        /// Whether an admin asked for it (DeleteRecords) and not retention.
        by_request: bool,
    },
    /// A produce request was answered with success.
    Acked {
        /// Which partition.
        partition: TopicPartition,
        /// First offset of the batch.
        base_offset: Offset,
        /// End of the batch.
        next_offset: NextOffset,
        /// What the client asked for: 1 or -1.
        acks: i16,
    },
    /// A replica leads from now on.
    BecameLeader {
        /// Which partition.
        partition: TopicPartition,
        /// In which epoch.
        leader_epoch: LeaderEpoch,
        /// Where its log ended.
        log_end: NextOffset,
    },
    /// Records were cut off the end of a log.
    Truncated {
        /// Which partition.
        partition: TopicPartition,
        /// The new end.
        to: NextOffset,
    },
    /// A partition went offline after an error of its disk or a broken invariant.
    WentOffline {
        /// Which partition.
        partition: TopicPartition,
    },
    /// A range of a log failed its checks.
    Faulty {
        /// Which partition.
        partition: TopicPartition,
        /// First offset that cannot be read.
        from: Offset,
        /// End of the range.
        to: NextOffset,
    },
    /// A committed offset became durable in a group coordinator.
    OffsetCommitted {
        /// A hash of the group's id.
        group: u64,
        /// A hash of topic and partition.
        partition: u64,
        /// The committed offset.
        offset: i64,
    },
    /// A place in the code that coverage wants reached was reached.
    Reached {
        /// The site's number.
        site: u32,
    },
}
