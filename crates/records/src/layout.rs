//! The 61 bytes at the head of a record batch: where each field lies, what it may hold, and the few
//! fields that a broker writes in place.
//!
//! ```text
//!  0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 | 17 crc u32
//! 21 attributes i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
//! 43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordsCount i32 | 61 records
//! ```
//!
//! All numbers are big-endian. The checksum is CRC-32C over everything from `attributes` to the end, so
//! the base offset and the leader epoch can be assigned without touching it. This file does not look
//! into the records: that is [`crate::walk`].
//!
//! Invariants of a header that [`BatchHeader::parse`] returned:
//! `total_size >= 61`, `0 <= base_offset <= last_offset < i64::MAX`, `records_count >= 0`.

use types::{
    LeaderEpoch, NextOffset, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, mutant,
};

use crate::compression::{Codec, CompressionError};

/// Where `baseOffset` lies.
pub const BASE_OFFSET_AT: usize = 0;
/// Where `batchLength` lies.
pub const BATCH_LENGTH_AT: usize = 8;
/// The bytes that `batchLength` does not count: the base offset and itself.
pub const LOG_OVERHEAD: usize = 12;
/// Where `partitionLeaderEpoch` lies.
pub const LEADER_EPOCH_AT: usize = 12;
/// Where `magic` lies.
pub const MAGIC_AT: usize = 16;
/// Where `crc` lies.
pub const CRC_AT: usize = 17;
/// Where `attributes` lie: the first byte that the checksum covers.
pub const ATTRIBUTES_AT: usize = 21;
/// Where `lastOffsetDelta` lies.
pub const LAST_OFFSET_DELTA_AT: usize = 23;
/// Where `baseTimestamp` lies.
pub const BASE_TIMESTAMP_AT: usize = 27;
/// Where `maxTimestamp` lies.
pub const MAX_TIMESTAMP_AT: usize = 35;
/// Where `producerId` lies.
pub const PRODUCER_ID_AT: usize = 43;
/// Where `producerEpoch` lies.
pub const PRODUCER_EPOCH_AT: usize = 51;
/// Where `baseSequence` lies.
pub const BASE_SEQUENCE_AT: usize = 53;
/// Where `recordsCount` lies.
pub const RECORDS_COUNT_AT: usize = 57;
/// The size of a batch's header: the first record, or the compressed block, starts here.
pub const HEADER_SIZE: usize = 61;
/// The least `batchLength` of a whole header.
pub const BATCH_LENGTH_MIN: i32 = (HEADER_SIZE - LOG_OVERHEAD) as i32;
/// The only format since Kafka 4.0.
pub const MAGIC: i8 = 2;
/// The fewest bytes that a record can take: six one-byte varints and the attributes.
pub const RECORD_SIZE_MIN: usize = 7;

/// Whose clock a batch's timestamps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimestampType {
    /// The producer's: each record has its own.
    #[default]
    CreateTime,
    /// The broker's: every record's timestamp is the batch's maximum timestamp.
    LogAppendTime,
}

/// A batch's attribute bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// How the records are compressed.
    ///
    /// **Errors**: an id that no codec has (5 to 7).
    pub fn codec(self) -> Result<Codec, CompressionError> {
        let id = (self.0 & Self::CODEC) as u8;
        Codec::from_id(id).ok_or(CompressionError::UnknownCodec(id))
    }

    /// Whose clock the timestamps come from.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the records belong to a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the records are for brokers and clients' libraries, and never for applications.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether compaction has set the time after which tombstones and markers may go. That time is
    /// then the batch's base timestamp.
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// These attributes with `codec`.
    #[must_use]
    pub const fn with_codec(self, codec: Codec) -> Attributes {
        Attributes((self.0 & !Self::CODEC) | codec.id() as i16)
    }

    /// These attributes with `timestamp_type`.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Attributes {
        self.with(
            Self::LOG_APPEND_TIME,
            matches!(timestamp_type, TimestampType::LogAppendTime),
        )
    }

    /// These attributes, transactional or not.
    #[must_use]
    pub const fn with_transactional(self, transactional: bool) -> Attributes {
        self.with(Self::TRANSACTIONAL, transactional)
    }

    /// These attributes, of a control batch or not.
    #[must_use]
    pub const fn with_control(self, control: bool) -> Attributes {
        self.with(Self::CONTROL, control)
    }

    /// These attributes, with a delete horizon or without.
    #[must_use]
    pub const fn with_delete_horizon(self, delete_horizon: bool) -> Attributes {
        self.with(Self::DELETE_HORIZON, delete_horizon)
    }

    const fn with(self, bit: i16, on: bool) -> Attributes {
        Attributes(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// Why bytes are not a batch, or not the batch they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does: the end of a fetched range or the torn tail of a log.
    /// `need` grows to the batch's whole size as soon as enough is there to read it.
    #[error("a batch of at least {need} bytes is cut off after {have}")]
    Truncated {
        /// The bytes that are there.
        have: usize,
        /// The bytes that must be there.
        need: usize,
    },
    /// The declared length is too small for a header.
    #[error("a batch declares a length of {0}, the least is {BATCH_LENGTH_MIN}")]
    BadLength(i32),
    /// Another format, or no batch at all.
    #[error("a batch has magic {0}, this version reads {MAGIC}")]
    UnsupportedMagic(i8),
    /// Offsets that cannot be: negative, or beyond the end of the offset space.
    #[error("a batch has base offset {base_offset} and last offset delta {last_offset_delta}")]
    BadOffsets {
        /// The header's base offset.
        base_offset: i64,
        /// The header's last offset delta.
        last_offset_delta: i32,
    },
    /// The declared number of records is negative.
    #[error("a batch declares {0} records")]
    BadCount(i32),
    /// The bytes have changed since their checksum was made.
    #[error("a batch's stored checksum is {stored:#010x}, its bytes give {computed:#010x}")]
    CrcMismatch {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The records do not decompress.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The records are not what the header says.
    #[error("record {index} of a batch: {reason}")]
    BadRecord {
        /// The record's place in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Every field of a batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchHeader {
    /// The first record's offset (of the batch as it was produced: compaction keeps it).
    pub base_offset: Offset,
    /// The number of bytes after this field.
    pub batch_length: i32,
    /// The epoch of the leader that appended the batch; -1 before that.
    pub leader_epoch: LeaderEpoch,
    /// The format: 2.
    pub magic: i8,
    /// CRC-32C over everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control, delete horizon.
    pub attributes: Attributes,
    /// The last record's offset less the base offset; also the last sequence less the base sequence.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas are relative to; with a delete horizon, that time.
    pub base_timestamp: TimestampMs,
    /// The largest timestamp of the records.
    pub max_timestamp: TimestampMs,
    /// The idempotent producer, or -1.
    pub producer_id: ProducerId,
    /// The producer's epoch, or -1.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence number, or -1.
    pub base_sequence: Sequence,
    /// How many records follow; 0 when compaction kept the batch for its producer's sake.
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. The records need not be there.
    ///
    /// **Errors**: [`BatchError::Truncated`] with fewer than 61 bytes, and every way in which the
    /// fields contradict the invariants above. The checksum is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let header = Self::parse_fields(bytes)?;
        header.check()?;
        Ok(header)
    }

    /// Reads a header whose length and magic are sane, and whose offsets and count may be anything.
    pub(crate) fn parse_fields(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some(head) = bytes.first_chunk::<HEADER_SIZE>() else {
            return Err(BatchError::Truncated {
                have: bytes.len(),
                need: HEADER_SIZE,
            });
        };
        let header = BatchHeader {
            base_offset: Offset(i64::from_be_bytes(field(head, BASE_OFFSET_AT))),
            batch_length: i32::from_be_bytes(field(head, BATCH_LENGTH_AT)),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(head, LEADER_EPOCH_AT))),
            magic: i8::from_be_bytes(field(head, MAGIC_AT)),
            crc: u32::from_be_bytes(field(head, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(field(head, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(field(head, LAST_OFFSET_DELTA_AT)),
            base_timestamp: TimestampMs(i64::from_be_bytes(field(head, BASE_TIMESTAMP_AT))),
            max_timestamp: TimestampMs(i64::from_be_bytes(field(head, MAX_TIMESTAMP_AT))),
            producer_id: ProducerId(i64::from_be_bytes(field(head, PRODUCER_ID_AT))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(head, PRODUCER_EPOCH_AT))),
            base_sequence: Sequence(i32::from_be_bytes(field(head, BASE_SEQUENCE_AT))),
            records_count: i32::from_be_bytes(field(head, RECORDS_COUNT_AT)),
        };
        if header.batch_length < BATCH_LENGTH_MIN {
            return Err(BatchError::BadLength(header.batch_length));
        }
        if header.magic != MAGIC {
            return Err(BatchError::UnsupportedMagic(header.magic));
        }
        Ok(header)
    }

    fn check(&self) -> Result<(), BatchError> {
        let base_offset = self.base_offset.0;
        let end = base_offset.checked_add(i64::from(self.last_offset_delta));
        if base_offset < 0 || self.last_offset_delta < 0 || end.is_none_or(|end| end == i64::MAX) {
            let last_offset_delta = self.last_offset_delta;
            return Err(BatchError::BadOffsets {
                base_offset,
                last_offset_delta,
            });
        }
        if self.records_count < 0 {
            return Err(BatchError::BadCount(self.records_count));
        }
        Ok(())
    }

    /// The whole batch's size in bytes.
    #[must_use]
    pub const fn total_size(&self) -> usize {
        LOG_OVERHEAD + self.batch_length as usize
    }

    /// The last record's offset (of the batch as it was produced).
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset
                .0
                .saturating_add(self.last_offset_delta as i64),
        )
    }

    /// The offset after the batch.
    #[must_use]
    pub const fn next_offset(&self) -> NextOffset {
        NextOffset(self.last_offset().0.saturating_add(1))
    }

    /// Whether an idempotent producer made the batch.
    #[must_use]
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// The last record's sequence number; -1 if the batch has none.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence.0 < 0 {
            return Sequence::NONE;
        }
        if mutant!("TXN-21/b") {
            return Sequence(self.base_sequence.0.wrapping_add(self.last_offset_delta));
        }
        self.base_sequence.plus(self.last_offset_delta)
    }

    /// Whether every record's timestamp is [`BatchHeader::max_timestamp`].
    #[must_use]
    pub const fn is_log_append_time(&self) -> bool {
        matches!(
            self.attributes.timestamp_type(),
            TimestampType::LogAppendTime
        )
    }

    /// The time after which compaction may drop the batch's tombstones or marker, once it is known.
    #[must_use]
    pub const fn delete_horizon(&self) -> Option<TimestampMs> {
        if self.attributes.has_delete_horizon() {
            Some(self.base_timestamp)
        } else {
            None
        }
    }

    /// The timestamp of a record with this delta.
    #[must_use]
    pub const fn timestamp_of(&self, timestamp_delta: i64) -> TimestampMs {
        if self.is_log_append_time() {
            self.max_timestamp
        } else {
            TimestampMs(self.base_timestamp.0.wrapping_add(timestamp_delta))
        }
    }

    /// The offset of a record with this delta.
    #[must_use]
    pub const fn offset_of(&self, offset_delta: i32) -> Offset {
        Offset(self.base_offset.0.saturating_add(offset_delta as i64))
    }

    /// Writes the header to the first 61 bytes of `bytes`, as it is: the checksum is not recomputed.
    ///
    /// **Panics** when `bytes` is shorter than that.
    pub fn write(&self, bytes: &mut [u8]) {
        put(bytes, BASE_OFFSET_AT, self.base_offset.0.to_be_bytes());
        put(bytes, BATCH_LENGTH_AT, self.batch_length.to_be_bytes());
        put(bytes, LEADER_EPOCH_AT, self.leader_epoch.0.to_be_bytes());
        put(bytes, MAGIC_AT, self.magic.to_be_bytes());
        put(bytes, CRC_AT, self.crc.to_be_bytes());
        put(bytes, ATTRIBUTES_AT, self.attributes.0.to_be_bytes());
        put(
            bytes,
            LAST_OFFSET_DELTA_AT,
            self.last_offset_delta.to_be_bytes(),
        );
        put(
            bytes,
            BASE_TIMESTAMP_AT,
            self.base_timestamp.0.to_be_bytes(),
        );
        put(bytes, MAX_TIMESTAMP_AT, self.max_timestamp.0.to_be_bytes());
        put(bytes, PRODUCER_ID_AT, self.producer_id.0.to_be_bytes());
        put(
            bytes,
            PRODUCER_EPOCH_AT,
            self.producer_epoch.0.to_be_bytes(),
        );
        put(bytes, BASE_SEQUENCE_AT, self.base_sequence.0.to_be_bytes());
        put(bytes, RECORDS_COUNT_AT, self.records_count.to_be_bytes());
    }
}

fn field<const N: usize>(head: &[u8; HEADER_SIZE], at: usize) -> [u8; N] {
    *head[at..]
        .first_chunk()
        .expect("every field ends within the header")
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

/// The checksum that the bytes of one batch should carry.
///
/// **Panics** when `batch` is shorter than a header.
#[must_use]
pub fn compute_crc(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(&batch[ATTRIBUTES_AT..])
}

/// Checks the checksum of `batch`, which must be exactly one batch.
///
/// **Errors**: [`BatchError::CrcMismatch`]; [`BatchError::Truncated`] with less than a header.
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    let Some(stored) = batch.get(CRC_AT..).and_then(|rest| rest.first_chunk()) else {
        return Err(BatchError::Truncated {
            have: batch.len(),
            need: HEADER_SIZE,
        });
    };
    if batch.len() < HEADER_SIZE {
        return Err(BatchError::Truncated {
            have: batch.len(),
            need: HEADER_SIZE,
        });
    }
    let stored = u32::from_be_bytes(*stored);
    let computed = compute_crc(batch);
    if stored == computed {
        Ok(())
    } else {
        Err(BatchError::CrcMismatch { stored, computed })
    }
}

/// Places the batch at `base_offset`. Outside the checksum.
///
/// **Panics** when `batch` is shorter than a header, as do all functions that write.
pub fn set_base_offset(batch: &mut [u8], base_offset: Offset) {
    assert!(batch.len() >= HEADER_SIZE);
    put(batch, BASE_OFFSET_AT, base_offset.0.to_be_bytes());
}

/// Writes the epoch of the leader that appends the batch. Outside the checksum.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: LeaderEpoch) {
    assert!(batch.len() >= HEADER_SIZE);
    put(batch, LEADER_EPOCH_AT, leader_epoch.0.to_be_bytes());
}

/// Makes `now` the timestamp of every record, and the checksum right again. `batch` must be exactly
/// one batch.
pub fn set_log_append_time(batch: &mut [u8], now: TimestampMs) {
    assert!(batch.len() >= HEADER_SIZE);
    let attributes = Attributes(i16::from_be_bytes([
        batch[ATTRIBUTES_AT],
        batch[ATTRIBUTES_AT + 1],
    ]))
    .with_timestamp_type(TimestampType::LogAppendTime);
    put(batch, ATTRIBUTES_AT, attributes.0.to_be_bytes());
    set_max_timestamp(batch, now);
}

/// Writes the largest timestamp of the records, and the checksum. `batch` must be exactly one batch.
pub fn set_max_timestamp(batch: &mut [u8], max_timestamp: TimestampMs) {
    assert!(batch.len() >= HEADER_SIZE);
    put(batch, MAX_TIMESTAMP_AT, max_timestamp.0.to_be_bytes());
    write_crc(batch);
}

/// Writes the batch's length and checksum, which depend on all its other bytes.
pub(crate) fn seal(batch: &mut [u8]) {
    let length = i32::try_from(batch.len() - LOG_OVERHEAD)
        .expect("a batch is smaller than 2 GiB: whoever grows one asks for its size first");
    put(batch, BATCH_LENGTH_AT, length.to_be_bytes());
    write_crc(batch);
}

fn write_crc(batch: &mut [u8]) {
    let crc = compute_crc(batch);
    put(batch, CRC_AT, crc.to_be_bytes());
}
