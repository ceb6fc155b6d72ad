//! Makes batches: for the producer, for coordinators' own records, for markers and for tests.

use bytes::Bytes;
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use crate::compression::{Codec, compress};
use crate::iter::{Header, Record};
use crate::layout::{
    Attributes, BatchHeader, HEADER_SIZE, LOG_OVERHEAD, MAGIC, TimestampType, seal,
};
use crate::varint::{varint_size, varlong_size, write_varint, write_varlong};
use crate::walk::RecordView;

/// Collects records and builds one batch of them.
///
/// Records get the offset deltas 0, 1, 2, ... The base offset is 0 and the leader epoch -1, as clients
/// send them, unless said otherwise.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    level: Option<i32>,
    attributes: Attributes,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: Sequence,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    count: i32,
    /// Room for the header, then the records.
    bytes: Vec<u8>,
}

impl BatchBuilder {
    /// A batch without records, to be compressed with `codec`.
    #[must_use]
    pub fn new(codec: Codec) -> BatchBuilder {
        Self::with_capacity(codec, 0)
    }

    /// The same, with room for `records_bytes` of records.
    #[must_use]
    pub fn with_capacity(codec: Codec, records_bytes: usize) -> BatchBuilder {
        let mut bytes = Vec::with_capacity(HEADER_SIZE + records_bytes);
        bytes.resize(HEADER_SIZE, 0);
        BatchBuilder {
            codec,
            level: None,
            attributes: Attributes::default().with_codec(codec),
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            base_timestamp: TimestampMs::NONE,
            max_timestamp: TimestampMs::NONE,
            count: 0,
            bytes,
        }
    }

    /// Sets the codec's level.
    #[must_use]
    pub fn level(mut self, level: Option<i32>) -> Self {
        self.level = level;
        self
    }

    /// Sets the idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base: Sequence) -> Self {
        self.set_producer(id, epoch, base);
        self
    }

    /// Sets the idempotent producer of a batch that is being filled: a client learns its id late.
    pub fn set_producer(&mut self, id: ProducerId, epoch: ProducerEpoch, base: Sequence) {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base);
    }

    /// Makes the records part of a transaction, or not.
    #[must_use]
    pub fn transactional(mut self, transactional: bool) -> Self {
        self.attributes = self.attributes.with_transactional(transactional);
        self
    }

    /// Makes this a control batch, or not.
    #[must_use]
    pub fn control(mut self, control: bool) -> Self {
        self.attributes = self.attributes.with_control(control);
        self
    }

    /// Makes `now` the timestamp of every record.
    #[must_use]
    pub fn log_append_time(mut self, now: TimestampMs) -> Self {
        self.attributes = self
            .attributes
            .with_timestamp_type(TimestampType::LogAppendTime);
        self.max_timestamp = now;
        self
    }

    /// Sets the base offset.
    #[must_use]
    pub fn base_offset(mut self, base_offset: Offset) -> Self {
        self.base_offset = base_offset;
        self
    }

    /// Sets the leader epoch.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: LeaderEpoch) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Adds a record.
    ///
    /// **Panics** when the batch would reach 2 GiB: whoever fills it asks [`BatchBuilder::size_with`]
    /// first.
    pub fn append(
        &mut self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        if self.attributes.timestamp_type() == TimestampType::CreateTime {
            self.max_timestamp = self.max_timestamp.max(timestamp);
        }
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let offset_delta = self.count;
        let length = fields_size(timestamp_delta, offset_delta, key, value, headers);
        let total = self.bytes.len() + varint_size(length as i32) + length;
        assert!(total <= i32::MAX as usize, "a batch is smaller than 2 GiB");
        let out = &mut self.bytes;
        write_varint(out, length as i32);
        out.push(0);
        write_varlong(out, timestamp_delta);
        write_varint(out, offset_delta);
        write_nullable(out, key);
        write_nullable(out, value);
        write_varint(out, headers.len() as i32);
        for header in headers {
            write_nullable(out, Some(&header.key));
            write_nullable(out, header.value.as_deref());
        }
        debug_assert_eq!(out.len(), total);
        self.count += 1;
    }

    /// Adds a copy of `record`; its offset is not kept.
    pub fn append_record(&mut self, record: &Record) {
        let Record {
            timestamp,
            key,
            value,
            headers,
            ..
        } = record;
        self.append(*timestamp, key.as_deref(), value.as_deref(), headers);
    }

    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether there is no record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch's size in bytes before compression.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch's size before compression, with one more record.
    #[must_use]
    pub fn size_with(
        &self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> usize {
        let base = if self.count == 0 {
            timestamp
        } else {
            self.base_timestamp
        };
        let delta = timestamp.0.wrapping_sub(base.0);
        let length = fields_size(delta, self.count, key, value, headers);
        self.bytes.len() + varint_size(i32::try_from(length).unwrap_or(i32::MAX)) + length
    }

    /// The batch.
    ///
    /// **Panics** without records: there is no such batch before compaction.
    #[must_use]
    pub fn build(self) -> Bytes {
        assert!(self.count > 0, "a batch has at least one record");
        let header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: 0,
            leader_epoch: self.leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes: self.attributes,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            records_count: self.count,
        };
        finish(header, self.codec, self.level, self.bytes)
    }
}

/// Makes a batch of `header` and the uncompressed records that `bytes` holds after room for the
/// header. Sets what depends on the rest: codec, length and checksum.
pub(crate) fn finish(
    header: BatchHeader,
    codec: Codec,
    level: Option<i32>,
    mut bytes: Vec<u8>,
) -> Bytes {
    if codec != Codec::None {
        let body = compress(codec, level, &bytes[HEADER_SIZE..]);
        bytes.truncate(HEADER_SIZE);
        bytes.extend_from_slice(&body);
    }
    let attributes = header.attributes.with_codec(codec);
    BatchHeader {
        attributes,
        ..header
    }
    .write(&mut bytes);
    seal(&mut bytes);
    debug_assert!(bytes.len() >= LOG_OVERHEAD);
    Bytes::from(bytes)
}

/// Writes `view` again with other deltas: its length may change with them.
pub(crate) fn write_view(
    out: &mut Vec<u8>,
    view: &RecordView<'_>,
    offset_delta: i32,
    timestamp_delta: i64,
) {
    let length = 1
        + varlong_size(timestamp_delta)
        + varint_size(offset_delta)
        + nullable_size(view.key)
        + nullable_size(view.value)
        + varint_size(view.headers_count)
        + view.raw_headers().len();
    write_varint(
        out,
        i32::try_from(length).expect("a record is smaller than the batch it is in"),
    );
    out.push(view.attributes as u8);
    write_varlong(out, timestamp_delta);
    write_varint(out, offset_delta);
    write_nullable(out, view.key);
    write_nullable(out, view.value);
    write_varint(out, view.headers_count);
    out.extend_from_slice(view.raw_headers());
}

fn fields_size(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header],
) -> usize {
    let headers_size: usize = headers
        .iter()
        .map(|header| nullable_size(Some(&header.key)) + nullable_size(header.value.as_deref()))
        .sum();
    1 + varlong_size(timestamp_delta)
        + varint_size(offset_delta)
        + nullable_size(key)
        + nullable_size(value)
        + varint_size(i32::try_from(headers.len()).unwrap_or(i32::MAX))
        + headers_size
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => varint_size(i32::try_from(bytes.len()).unwrap_or(i32::MAX)) + bytes.len(),
        None => 1,
    }
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
        None => write_varint(out, -1),
    }
}
