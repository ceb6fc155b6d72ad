//! What a partition remembers of one producer.

use types::{Mono, Offset, ProducerEpoch, Sequence, TimestampMs};

/// How many of a producer's last batches are remembered to recognise repeats. A producer has at most this
/// many requests in flight.
pub const SEQUENCES_KEPT: usize = 5;

/// One remembered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchSpan {
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// Last offset minus base offset.
    pub offset_delta: i32,
    /// Its greatest timestamp.
    pub timestamp: TimestampMs,
}

impl BatchSpan {
    const EMPTY: BatchSpan = BatchSpan {
        last_sequence: Sequence::NONE,
        last_offset: Offset(-1),
        offset_delta: 0,
        timestamp: TimestampMs::NONE,
    };

    /// The sequence of its first record.
    #[must_use]
    pub fn base_sequence(&self) -> Sequence {
        self.last_sequence.plus(-self.offset_delta)
    }

    /// The offset of its first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// One producer's state. A plain value without heap, so that an append can be taken back exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEntry {
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the coordinator that wrote the last marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// The greatest timestamp of its last batch, or the timestamp of its last marker.
    pub last_timestamp: TimestampMs,
    /// The first offset of its open transaction.
    pub current_txn_first_offset: Option<Offset>,
    /// When it was last heard of, on this node's monotonic clock. Not part of the log's story: it decides
    /// expiry alone, so that neither a client's timestamps nor a jump of the wall clock can make the
    /// broker forget a producer that is alive.
    pub last_used: Mono,
    recent: [BatchSpan; SEQUENCES_KEPT],
    recent_len: u8,
}

impl ProducerEntry {
    pub(crate) fn new(now: Mono) -> ProducerEntry {
        ProducerEntry {
            producer_epoch: ProducerEpoch::NONE,
            coordinator_epoch: -1,
            last_timestamp: TimestampMs::NONE,
            current_txn_first_offset: None,
            last_used: now,
            recent: [BatchSpan::EMPTY; SEQUENCES_KEPT],
            recent_len: 0,
        }
    }

    /// The remembered batches of the current epoch, oldest first.
    #[must_use]
    pub fn recent(&self) -> &[BatchSpan] {
        &self.recent[..usize::from(self.recent_len)]
    }

    /// The newest remembered batch.
    #[must_use]
    pub fn last(&self) -> Option<&BatchSpan> {
        self.recent().last()
    }

    /// The sequence of the last record of the current epoch; [`Sequence::NONE`] if none is remembered.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        self.last()
            .map_or(Sequence::NONE, |span| span.last_sequence)
    }

    /// The remembered batch with exactly this first and last sequence.
    #[must_use]
    pub fn find(&self, base: Sequence, last: Sequence) -> Option<&BatchSpan> {
        self.recent()
            .iter()
            .find(|span| span.base_sequence() == base && span.last_sequence == last)
    }

    /// Takes on an epoch; batches of another one are forgotten.
    pub(crate) fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.producer_epoch != epoch {
            self.producer_epoch = epoch;
            self.recent = [BatchSpan::EMPTY; SEQUENCES_KEPT];
            self.recent_len = 0;
        }
    }

    pub(crate) fn push(&mut self, span: BatchSpan) {
        let len = usize::from(self.recent_len);
        if len == SEQUENCES_KEPT {
            self.recent.copy_within(1.., 0);
            self.recent[SEQUENCES_KEPT - 1] = span;
        } else {
            self.recent[len] = span;
            self.recent_len += 1;
        }
    }
}
