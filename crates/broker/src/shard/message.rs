//! What a shard is told and asked.
//!
//! One message carries the share of a request that concerns one shard; the handler in `api` splits and
//! merges. Every question has a reply channel. A shard that stops drops it: who only asked reads that as "not the
//! leader here any more", and who wanted something done does not know whether it was.

use std::sync::{Arc, Weak};

use super::recovery::Tally;
use crate::memory::Held;
use metadata::TopicConfig;
use partition::Acks;
use protocol::Str;
use storage::read::ReadPlan;
use storage::time_lookup::{MaxTimePlan, TimePlan};
use storage::transactions::AbortedPlan;
use tokio::sync::{Notify, oneshot};
use types::{
    BrokerId, ErrorCode, LeaderEpoch, NextOffset, Offset, PartitionEpoch, PartitionIndex,
    TimestampMs, TopicPartition,
};

/// A message to a shard.
pub(crate) enum ShardMessage<D: env::Disk> {
    /// This node hosts the partition as described from now on, or the description changed.
    Install(Install),
    /// The topic was deleted, and the partition's data with it.
    Delete(TopicPartition),
    /// The topic's settings changed.
    Configure(TopicPartition, Arc<TopicConfig>),
    /// Append batches.
    Produce(Produce),
    /// Read batches.
    Fetch(Fetch<D>),
    /// Look offsets up.
    ListOffsets(Vec<OffsetQuery>, oneshot::Sender<Vec<OffsetAnswer<D>>>),
    /// Where do epochs end?
    EpochEnds(Vec<EpochQuery>, oneshot::Sender<Vec<EpochAnswer>>),
    /// Move log starts.
    DeleteRecords(
        Vec<DeleteRecords>,
        oneshot::Sender<Vec<DeleteRecordsAnswer>>,
    ),
    /// How large are the logs?
    Describe(oneshot::Sender<Vec<LogDescription>>),
    /// Which producers are known?
    Producers(
        Vec<TopicPartition>,
        oneshot::Sender<
            Vec<(
                TopicPartition,
                Result<Vec<partition::ProducerRow>, ErrorCode>,
            )>,
        >,
    ),
    /// A request for the group coordinator of a partition of `__consumer_offsets`.
    Group(
        TopicPartition,
        group::Request,
        oneshot::Sender<Result<group::Response, ErrorCode>>,
    ),
    /// A read found these records damaged.
    Faulty(TopicPartition, Offset, NextOffset),
    /// Asks what was found, once everything that was installed before has been opened and replayed.
    Recovered(oneshot::Sender<Tally>),
    /// Close every log and answer when it is done.
    Stop(oneshot::Sender<()>),
}

/// A partition to be hosted.
#[derive(Clone, Debug)]
pub(crate) struct Install {
    pub partition: TopicPartition,
    pub topic: Str,
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub config: Arc<TopicConfig>,
}

/// The share of a produce request that concerns one shard.
pub(crate) struct Produce {
    pub acks: Acks,
    pub timeout_ms: i32,
    pub batches: Vec<(TopicPartition, records::Validated)>,
    /// The memory that they take, whether or not somebody waits for the answer.
    pub held: Arc<Held>,
    pub reply: oneshot::Sender<Vec<ProduceAnswer>>,
}

/// What became of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProduceAnswer {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    pub message: Option<String>,
    pub base_offset: Offset,
    pub log_append_time: TimestampMs,
    pub log_start: Offset,
}

/// Where a fetch may read to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Up to the high watermark.
    Uncommitted,
    /// Up to the last stable offset.
    Committed,
}

/// The share of a fetch request that concerns one shard.
pub(crate) struct Fetch<D: env::Disk> {
    pub isolation: Isolation,
    pub bytes_max: usize,
    /// Whether the first batch may exceed the limits. True for the first shard asked.
    pub min_one: bool,
    pub partitions: Vec<FetchPartition>,
    /// Told when one of the partitions has something new. Weak: a fetch that has been answered is gone.
    pub waiter: Weak<Notify>,
    pub reply: oneshot::Sender<Vec<FetchAnswer<D>>>,
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchPartition {
    /// Its place in the request.
    pub index: usize,
    pub partition: TopicPartition,
    pub offset: Offset,
    pub bytes_max: usize,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// What a partition has for a fetch.
pub(crate) struct FetchAnswer<D: env::Disk> {
    pub index: usize,
    pub error: ErrorCode,
    pub high_watermark: NextOffset,
    pub last_stable_offset: NextOffset,
    pub log_start: Offset,
    pub diverging: Option<(LeaderEpoch, NextOffset)>,
    /// The aborted transactions among what is read, for readers of what is committed.
    pub aborted: Option<AbortedPlan<D>>,
    pub plan: Option<ReadPlan<D>>,
}

/// Which offset is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetSpec {
    Earliest,
    EarliestLocal,
    Latest,
    MaxTimestamp,
    LatestTiered,
    EarliestPendingUpload,
    At(TimestampMs),
}

/// One partition of a ListOffsets request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OffsetQuery {
    pub index: usize,
    pub partition: TopicPartition,
    pub spec: OffsetSpec,
    pub isolation: Isolation,
    pub current_leader_epoch: Option<LeaderEpoch>,
}

/// Its answer, or the search that gives it.
pub(crate) struct OffsetAnswer<D: env::Disk> {
    pub index: usize,
    pub found: OffsetFound<D>,
}

/// An offset, an error, or a search to be run outside the shard.
#[allow(clippy::large_enum_variant, reason = "one per query, moved twice")]
pub(crate) enum OffsetFound<D: env::Disk> {
    Error(ErrorCode),
    Known {
        offset: i64,
        timestamp: i64,
        leader_epoch: LeaderEpoch,
    },
    Timestamp(TimePlan<D>),
    MaxTimestamp(MaxTimePlan<D>),
}

/// One partition of an OffsetForLeaderEpoch request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochQuery {
    pub index: usize,
    pub partition: TopicPartition,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub leader_epoch: LeaderEpoch,
}

/// Its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochAnswer {
    pub index: usize,
    pub error: ErrorCode,
    pub leader_epoch: LeaderEpoch,
    pub end_offset: NextOffset,
}

/// One partition of a DeleteRecords request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeleteRecords {
    pub index: usize,
    pub partition: TopicPartition,
    /// -1 for the high watermark.
    pub before: i64,
}

/// Its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeleteRecordsAnswer {
    pub index: usize,
    pub error: ErrorCode,
    pub low_watermark: i64,
}

/// A hosted log.
#[derive(Clone, Debug)]
pub(crate) struct LogDescription {
    pub topic: Str,
    pub partition: PartitionIndex,
    pub size_bytes: u64,
}

impl<D: env::Disk> FetchAnswer<D> {
    /// An answer without records.
    pub fn failed(index: usize, error: ErrorCode) -> FetchAnswer<D> {
        FetchAnswer {
            index,
            error,
            high_watermark: NextOffset(-1),
            last_stable_offset: NextOffset(-1),
            log_start: Offset(-1),
            diverging: None,
            aborted: None,
            plan: None,
        }
    }
}

impl EpochAnswer {
    /// An answer without an epoch.
    pub fn failed(index: usize, error: ErrorCode) -> EpochAnswer {
        EpochAnswer {
            index,
            error,
            leader_epoch: LeaderEpoch::NONE,
            end_offset: NextOffset(-1),
        }
    }
}
