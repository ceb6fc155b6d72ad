//! What a replica asks for.

use std::fmt;

use types::{ErrorCode, LeaderEpoch, NextOffset, Offset, TimestampMs};

use crate::input::Fence;
use crate::producer_state::AbortedTransaction;

/// One thing to be done, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Place the batch of this token in the log at this offset, with this leader epoch. Always the first
    /// effect of its step. If it cannot be placed, leave the rest of the step undone and say
    /// [`Input::AppendFailed`](crate::Input::AppendFailed) next.
    Append {
        /// Whose batch.
        token: u64,
        /// The offset of its first record.
        base_offset: Offset,
        /// The leader epoch to stamp into it.
        leader_epoch: LeaderEpoch,
        /// To be handed back with [`Input::Written`](crate::Input::Written).
        fence: Fence,
    },
    /// The batch just appended ended a transaction with an abort: an entry for the transaction index.
    TransactionAborted(AbortedTransaction),
    /// Make everything below `upto` durable and say [`Input::Synced`](crate::Input::Synced). One sync may
    /// answer many of these.
    Sync {
        /// End of what somebody waits for.
        upto: NextOffset,
        /// To be handed back.
        fence: Fence,
    },
    /// Make this the durable start of the log and say [`Input::LogStartMoved`](crate::Input::LogStartMoved).
    MoveLogStart {
        /// The first offset to keep.
        to: Offset,
        /// To be handed back.
        fence: Fence,
    },
    /// A leader epoch started here: an entry for the leader-epoch checkpoint. Entries at or after `start`
    /// and entries of this or a later epoch make way for it.
    EpochStarted {
        /// The epoch.
        epoch: LeaderEpoch,
        /// The offset of its first record.
        start: Offset,
    },
    /// More records are committed.
    HighWatermarkMoved {
        /// End of the committed records.
        high_watermark: NextOffset,
        /// End of the records that are committed and in no open transaction.
        last_stable_offset: NextOffset,
    },
    /// The log's first readable offset moved.
    LogStartMoved {
        /// The first offset.
        to: Offset,
        /// Whether an admin asked for it, and not retention.
        by_request: bool,
    },
    /// Answer whoever waits.
    Reply {
        /// Who.
        token: u64,
        /// What.
        reply: Reply,
    },
    /// The replica will accept nothing more; the host may reopen the log and build another.
    WentOffline {
        /// Why.
        reason: OfflineReason,
    },
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// The batch is in the log, as surely as `acks` asked for.
    Appended(Appended),
    /// The records before the low watermark are deleted.
    Deleted {
        /// The log's first offset.
        low_watermark: Offset,
    },
    /// No.
    Refused(ErrorCode),
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Appended {
    /// Its first record.
    pub base_offset: Offset,
    /// Its end.
    pub next_offset: NextOffset,
    /// The time of the append, or none under `CreateTime`; for a duplicate always the original's
    /// timestamp, as in Kafka.
    pub log_append_time: TimestampMs,
    /// Whether this answers a repeated batch with the original's place.
    pub duplicate: bool,
}

/// Why a replica went offline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OfflineReason {
    /// The disk failed.
    Io(String),
    /// The host reported a failed append out of turn, so what is in the log is unknown.
    AppendOutOfTurn,
    /// The host claimed that something past the end of the log was written or durable.
    ClaimPastEnd {
        /// What was claimed.
        claimed: NextOffset,
        /// Where the log ends.
        log_end: NextOffset,
    },
    /// The host removed records that were not committed.
    LogStartPastHighWatermark {
        /// Where the log now starts.
        log_start: Offset,
        /// The high watermark.
        high_watermark: NextOffset,
    },
}

impl fmt::Display for OfflineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OfflineReason::Io(reason) => write!(f, "the disk failed: {reason}"),
            OfflineReason::AppendOutOfTurn => {
                f.write_str("an append was reported as failed out of turn")
            }
            OfflineReason::ClaimPastEnd { claimed, log_end } => {
                write!(
                    f,
                    "offset {claimed} was claimed, but the log ends at {log_end}"
                )
            }
            OfflineReason::LogStartPastHighWatermark {
                log_start,
                high_watermark,
            } => write!(
                f,
                "the log now starts at {log_start}, past the high watermark {high_watermark}"
            ),
        }
    }
}
