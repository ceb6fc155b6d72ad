//! What a replica can be told.

use types::{BrokerId, LeaderEpoch, NextOffset, Offset, PartitionEpoch};

use crate::batch::{Acks, BatchMeta, Origin};
use crate::replica::Durability;

/// The incarnation of the log that a request to the disk was made under. A completion that carries
/// another one claims something about bytes that are gone (truncated, or of a handle since reopened)
/// and is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// One thing that happens to a replica.
///
/// A `token` is the host's name for whoever waits for the answer; it must not be in use already.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// The controller made this replica the leader, or changed the ISR under the same leader epoch.
    /// Older news (by leader epoch, then partition epoch) changes nothing.
    BecomeLeader {
        /// The leader's epoch.
        leader_epoch: LeaderEpoch,
        /// The version of the partition's registration.
        partition_epoch: PartitionEpoch,
        /// In-sync replicas.
        isr: Vec<BrokerId>,
        /// All replicas.
        replicas: Vec<BrokerId>,
    },
    /// Another broker leads.
    BecomeFollower {
        /// Who leads.
        leader: BrokerId,
        /// The leader's epoch.
        leader_epoch: LeaderEpoch,
        /// The version of the partition's registration.
        partition_epoch: PartitionEpoch,
    },
    /// A change of the ISR was sent to the controller. Until a newer partition epoch arrives the high
    /// watermark waits for these replicas too: the controller may already have admitted them (KIP-497).
    IsrProposed {
        /// The partition epoch that the proposal starts from.
        partition_epoch: PartitionEpoch,
        /// The proposed set.
        isr: Vec<BrokerId>,
    },
    /// The replica is leaving this broker, or the broker is stopping: nothing is accepted any more.
    Stop,
    /// Somebody wants a validated batch appended.
    Append {
        /// Who waits.
        token: u64,
        /// The batch's header.
        batch: BatchMeta,
        /// When to answer.
        acks: Acks,
        /// Who asks.
        origin: Origin,
        /// The only leader epoch in which the batch may be appended, for writers that decided under one.
        expected_epoch: Option<LeaderEpoch>,
    },
    /// The last [`Effect::Append`](crate::Effect::Append) could not be placed in the log. This must be
    /// the very next input after the step that asked for it.
    AppendFailed {
        /// The token of that append.
        token: u64,
        /// What to answer.
        error: types::ErrorCode,
    },
    /// Everything below `upto` is written: it outlives this process, not this machine.
    Written {
        /// From the append.
        fence: Fence,
        /// End of what is written.
        upto: NextOffset,
    },
    /// Everything below `upto` is durable.
    Synced {
        /// From the request.
        fence: Fence,
        /// End of what is durable.
        upto: NextOffset,
    },
    /// A write or sync failed: no claim about this log can be trusted until it has been reopened.
    IoFailed {
        /// From the request.
        fence: Fence,
        /// What the disk said.
        reason: String,
    },
    /// An admin asks for the records before an offset to be deleted.
    DeleteRecords {
        /// Who waits.
        token: u64,
        /// The first offset to keep; -1 stands for the high watermark.
        before: Offset,
    },
    /// The log now durably starts here: the answer to [`Effect::MoveLogStart`](crate::Effect::MoveLogStart),
    /// or retention at work.
    LogStartMoved {
        /// From the request, or the current one.
        fence: Fence,
        /// The first offset kept.
        to: Offset,
    },
    /// The topic's configuration changed.
    ConfigChanged {
        /// When records count as held by this replica.
        durability: Durability,
        /// `min.insync.replicas`.
        min_insync_replicas: i32,
        /// `producer.id.expiration.ms`.
        producer_id_expiration_ms: i64,
    },
    /// A follower fetched, and thereby told what it holds.
    FollowerFetched {
        /// Which follower.
        from: BrokerId,
        /// The leader epoch it believes in.
        leader_epoch: LeaderEpoch,
        /// The epoch of the last record it holds, if it holds any.
        last_fetched_epoch: Option<LeaderEpoch>,
        /// Where it wants to go on.
        fetch_offset: Offset,
        /// The end of what it has made durable (or written, under
        /// [`Durability::Replicated`]).
        durable_end: NextOffset,
    },
    /// Whoever waits under this token has waited long enough.
    TimedOut {
        /// Who waits.
        token: u64,
    },
    /// Time to forget producers that have been idle for `producer.id.expiration.ms`.
    ExpireProducers,
}
