//! What the replica must know of a record batch: its header, and a control batch's one record.

use types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

/// How many copies must hold a batch before its producer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acks {
    /// `acks=0`: the producer hears nothing, but an error closes its connection.
    None,
    /// `acks=1`: the leader has written it.
    Leader,
    /// `acks=all`: it is committed.
    All,
}

/// Who asks for an append. Sequence numbers are checked for clients alone, as in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A producer.
    Client,
    /// A coordinator of this broker: group and transaction state, transaction markers.
    Coordinator,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Marker {
    /// Its records count.
    Commit,
    /// Its records are skipped by `read_committed` readers.
    Abort,
}

/// What a control batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Control {
    /// The end of the producer's transaction.
    EndTransaction {
        /// How it ended.
        marker: Marker,
        /// The epoch of the coordinator that wrote the marker.
        coordinator_epoch: i32,
    },
    /// A kind that does not touch this partition's state.
    Other,
}

/// The header of a batch, without the bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchMeta {
    /// Last offset minus base offset: zero for one record. Never negative.
    pub last_offset_delta: i32,
    /// The idempotent producer, or [`ProducerId::NONE`].
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of the first record.
    pub base_sequence: Sequence,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// What a control batch says; `None` for data.
    pub control: Option<Control>,
    /// The greatest timestamp in the batch, or the time of the append when `log_append_time` is set.
    pub max_timestamp: TimestampMs,
    /// Whether the timestamp is the broker's (`message.timestamp.type=LogAppendTime`).
    pub log_append_time: bool,
}

impl BatchMeta {
    /// A batch of `records` records from no producer in particular.
    ///
    /// **Panics** if `records` is not positive.
    #[must_use]
    pub fn plain(records: i32, max_timestamp: TimestampMs) -> BatchMeta {
        assert!(records > 0, "a batch holds at least one record");
        BatchMeta {
            last_offset_delta: records - 1,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            transactional: false,
            control: None,
            max_timestamp,
            log_append_time: false,
        }
    }

    /// Whether a producer id is set.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id != ProducerId::NONE
    }

    /// The sequence of the last record.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence == Sequence::NONE {
            return Sequence::NONE;
        }
        self.base_sequence.plus(self.last_offset_delta)
    }

    /// The offset of the last record, when the first is at `base_offset`.
    #[must_use]
    pub fn last_offset(&self, base_offset: Offset) -> Offset {
        base_offset.plus(i64::from(self.last_offset_delta))
    }
}
