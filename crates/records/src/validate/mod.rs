//! Judges what a producer sent for one partition, as far as that needs no knowledge of the partition.
//!
//! The checks run in Kafka's order, so a batch with several faults gets the same error code:
//!
//! 1. shape: one whole batch of format 2, and a codec that the request's version allows;
//! 2. base offset 0; size at most `max.message.bytes`; checksum;
//! 3. header: offset span, count, no control batch, sequence where there is a producer;
//! 4. records: well formed, as many as declared, and acceptable one by one (key, timestamp);
//! 5. size at most `segment.bytes`.
//!
//! Records of uncompressed batches are always walked. Compressed ones are decompressed only when
//! something that must be known is inside; `docs/decisions/0002-validate-compressed-batches.md` says
//! when, and what it costs to do otherwise.
//!
//! What comes out is one batch in final form but for its base offset and leader epoch, which are outside
//! the checksum and are the log's to write. In the common case it is the very memory that came in.
//!
//! The room before is the broker's produce API; the room after is the partition, which judges epoch,
//! sequence and transaction.

use bytes::{Bytes, BytesMut};
use types::{ErrorCode, TimestampMs};

use crate::builder::{finish, write_view};
use crate::compression::{self, Codec, decompress};
use crate::layout::{
    ATTRIBUTES_AT, Attributes, BATCH_LENGTH_AT, BatchError, BatchHeader, HEADER_SIZE, LOG_OVERHEAD,
    MAGIC, MAGIC_AT, RECORD_SIZE_MIN, TimestampType, set_log_append_time, set_max_timestamp,
    verify_crc,
};
use crate::walk::{RecordView, RecordViews};

mod policy;
mod rejection;

pub use policy::{Inspect, Origin, ProducePolicy, TargetCodec};
pub use rejection::{RECORD_ERRORS_MAX, RecordError, RejectReason, Rejection};

use rejection::{Refused, reject_compression, reject_records};

/// A batch that may be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Exactly one batch, final but for base offset and leader epoch.
    pub bytes: Bytes,
    /// Its header.
    pub header: BatchHeader,
    /// The offset delta of the first record with the largest timestamp; `None` when nobody looked
    /// inside (then [`crate::search::max_timestamp`] finds it).
    pub max_timestamp_offset_delta: Option<i32>,
    /// The append time, on topics whose timestamps are the broker's: part of the response.
    pub log_append_time: Option<TimestampMs>,
}

/// Judges `bytes`, which a request holds for one partition.
///
/// **Errors**: a [`Rejection`] with the error code that Kafka gives.
pub fn validate(bytes: Bytes, policy: &ProducePolicy) -> Result<Validated, Rejection> {
    let bytes = check_shape(bytes, policy)?;
    let header = check_envelope(&bytes, policy)?;
    check_header(&header, policy)?;
    let codec = header.attributes.codec().map_err(reject_compression)?;
    let target = match policy.target_codec {
        TargetCodec::Producer => codec,
        TargetCodec::Specific { codec, .. } => codec,
    };
    let records = bytes.slice(HEADER_SIZE..);
    if codec == Codec::Lz4 && compression::lz4::has_dependent_blocks(&records) {
        let message = "The records are an lz4 frame whose blocks depend on each other";
        return Err(Rejection::new(
            ErrorCode::CORRUPT_MESSAGE,
            RejectReason::Compression,
            message,
        ));
    }
    let body = if codec == Codec::None {
        Some(records)
    } else if must_inspect(&header, policy, codec != target, records.len()) {
        let limit = policy.max_decompressed_bytes;
        Some(decompress(codec, &records, limit).map_err(reject_compression)?)
    } else {
        None
    };
    let walked = match &body {
        Some(body) => Some(check_records(&header, body, policy)?),
        None => None,
    };
    let bytes = match (&body, &walked) {
        (Some(body), Some(walked)) if codec != target || !walked.offsets_are_sequential => {
            let bytes = rebuild(&header, body, walked, target, policy);
            if bytes.len() > policy.max_message_bytes {
                return Err(too_large(bytes.len(), policy));
            }
            bytes
        }
        _ => finish_in_place(bytes, &header, walked.as_ref(), policy),
    };
    if bytes.len() > policy.segment_bytes {
        let message = format!(
            "The record batch size is {} bytes which exceeds the maximum configured segment size of {}.",
            bytes.len(),
            policy.segment_bytes
        );
        let error = ErrorCode::RECORD_LIST_TOO_LARGE;
        return Err(Rejection::new(error, RejectReason::TooLarge, message));
    }
    let header = BatchHeader::parse(&bytes).map_err(reject_records)?;
    assert_eq!(
        header.total_size(),
        bytes.len(),
        "validation lets exactly one batch through"
    );
    let (log_append_time, max_timestamp_offset_delta) = match policy.timestamp_type {
        TimestampType::CreateTime => (None, walked.and_then(|walked| walked.max_timestamp_index)),
        TimestampType::LogAppendTime => (Some(policy.now.into()), Some(0)),
    };
    Ok(Validated {
        bytes,
        header,
        max_timestamp_offset_delta,
        log_append_time,
    })
}

/// Kafka's least size of a batch of any format, below which it calls the input corrupt.
const BATCH_LENGTH_MIN_ANY_FORMAT: i32 = 14;

/// The first batch of `bytes` and what must be known to call it one; `None` if there is no whole batch.
fn next_batch(bytes: &[u8]) -> Result<Option<(i8, usize)>, Rejection> {
    if bytes.len() < LOG_OVERHEAD {
        return Ok(None);
    }
    let length = bytes[BATCH_LENGTH_AT..]
        .first_chunk()
        .expect("the overhead ends with the length");
    let length = i32::from_be_bytes(*length);
    if length < BATCH_LENGTH_MIN_ANY_FORMAT {
        let message = format!(
            "Record size {length} is less than the minimum record overhead ({BATCH_LENGTH_MIN_ANY_FORMAT})"
        );
        return Err(Rejection::new(
            ErrorCode::CORRUPT_MESSAGE,
            RejectReason::Corrupt,
            message,
        ));
    }
    if bytes.len() <= MAGIC_AT {
        return Ok(None);
    }
    let magic = bytes[MAGIC_AT] as i8;
    if !(0..=MAGIC).contains(&magic) {
        let message = format!("Invalid magic found in record: {magic}");
        return Err(Rejection::new(
            ErrorCode::CORRUPT_MESSAGE,
            RejectReason::Shape,
            message,
        ));
    }
    let size = LOG_OVERHEAD + length as usize;
    Ok((bytes.len() >= size).then_some((magic, size)))
}

/// Steps 5 and 6: exactly one batch, of format 2. Bytes of a further batch that is cut off are dropped.
fn check_shape(bytes: Bytes, policy: &ProducePolicy) -> Result<Bytes, Rejection> {
    let version = policy.produce_version;
    let refuse = |what: &str| {
        let message = format!("Produce requests with version {version} {what}");
        Rejection::new(ErrorCode::INVALID_RECORD, RejectReason::Shape, message)
    };
    let Some((magic, size)) = next_batch(&bytes)? else {
        return Err(refuse("must have at least one record batch per partition"));
    };
    if magic != MAGIC {
        return Err(refuse(
            "are only allowed to contain record batches with magic version 2",
        ));
    }
    if version < 7
        && let Some(attributes) = bytes[..size]
            .get(ATTRIBUTES_AT..)
            .and_then(|b| b.first_chunk())
        && Attributes(i16::from_be_bytes(*attributes)).codec() == Ok(Codec::Zstd)
    {
        return Err(Rejection::new(
            ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            RejectReason::Compression,
            format!(
                "Produce requests with version {version} are not allowed to use ZStandard compression"
            ),
        ));
    }
    if next_batch(&bytes[size..])?.is_some() {
        return Err(refuse(
            "are only allowed to contain exactly one record batch per partition",
        ));
    }
    Ok(bytes.slice(..size))
}

/// Steps 14 to 16: place, size and checksum.
fn check_envelope(bytes: &[u8], policy: &ProducePolicy) -> Result<BatchHeader, Rejection> {
    let base_offset = bytes
        .first_chunk()
        .expect("a batch has at least its length");
    let base_offset = i64::from_be_bytes(*base_offset);
    if policy.origin == Origin::Client && base_offset != 0 {
        return Err(Rejection::new(
            ErrorCode::INVALID_RECORD,
            RejectReason::OffsetOrSequence,
            format!("The base offset of the record batch should be 0, but it is {base_offset}"),
        ));
    }
    if bytes.len() > policy.max_message_bytes {
        return Err(too_large(bytes.len(), policy));
    }
    let corrupt = |error: BatchError| {
        let message = format!("Record is corrupt: {error}");
        Rejection::new(ErrorCode::CORRUPT_MESSAGE, RejectReason::Corrupt, message)
    };
    let header = BatchHeader::parse_fields(bytes).map_err(corrupt)?;
    verify_crc(bytes).map_err(corrupt)?;
    Ok(header)
}

fn too_large(size: usize, policy: &ProducePolicy) -> Rejection {
    let message = format!(
        "The record batch size is {size} bytes which exceeds the maximum configured value of {}.",
        policy.max_message_bytes
    );
    Rejection::new(
        ErrorCode::MESSAGE_TOO_LARGE,
        RejectReason::TooLarge,
        message,
    )
}

/// Step 17: what the header says.
fn check_header(header: &BatchHeader, policy: &ProducePolicy) -> Result<(), Rejection> {
    let refuse = |reason, message| Err(Rejection::new(ErrorCode::INVALID_RECORD, reason, message));
    let (base, last, count) = (
        header.base_offset,
        header.last_offset(),
        i64::from(header.records_count),
    );
    let span = i64::from(header.last_offset_delta) + 1;
    if span <= 0 {
        let message = format!("Batch has an invalid offset range: [{base}, {last}]");
        return refuse(RejectReason::OffsetOrSequence, message);
    }
    if count <= 0 {
        let message = format!("Invalid reported count for record batch: {count}");
        return refuse(RejectReason::OffsetOrSequence, message);
    }
    if span != count {
        let message = format!(
            "Inconsistent batch offset range [{base}, {last}] and count of records {count}"
        );
        return refuse(RejectReason::OffsetOrSequence, message);
    }
    if policy.origin == Origin::Coordinator {
        return Ok(());
    }
    if header.attributes.is_control() {
        let message = "Clients are not allowed to write control records".to_owned();
        return refuse(RejectReason::Control, message);
    }
    if header.has_producer_id() && header.base_sequence.0 < 0 {
        let message = format!(
            "Invalid sequence number {} in record batch with producerId {}",
            header.base_sequence, header.producer_id
        );
        return refuse(RejectReason::OffsetOrSequence, message);
    }
    Ok(())
}

/// The ratio beyond which a compressed batch's declared count is not believed without a look.
const BELIEVABLE_RATIO: usize = 64;

/// Whether the records of a compressed batch have to be looked at: see the decision that the module's
/// documentation names.
fn must_inspect(
    header: &BatchHeader,
    policy: &ProducePolicy,
    recode: bool,
    compressed: usize,
) -> bool {
    let least_size = (header.records_count as usize).saturating_mul(RECORD_SIZE_MIN);
    let create_time = policy.timestamp_type == TimestampType::CreateTime;
    let late = || policy.is_out_of_bounds(header.max_timestamp);
    policy.inspect == Inspect::Always
        || recode
        || policy.compacted
        || header.is_log_append_time()
        || create_time && (policy.before_max_ms != i64::MAX || late())
        || least_size > compressed.saturating_mul(BELIEVABLE_RATIO)
}

/// What a walk over all records found.
struct Walked {
    offsets_are_sequential: bool,
    max_timestamp: TimestampMs,
    /// `None` when no record has a timestamp.
    max_timestamp_index: Option<i32>,
}

/// Steps 18 to 20: the records themselves.
fn check_records(
    header: &BatchHeader,
    body: &[u8],
    policy: &ProducePolicy,
) -> Result<Walked, Rejection> {
    let mut walked = Walked {
        offsets_are_sequential: true,
        max_timestamp: TimestampMs::NONE,
        max_timestamp_index: None,
    };
    let mut refused = Refused::default();
    let views = RecordViews::new(body, header.records_count).map_err(reject_records)?;
    for (index, view) in (0i32..).zip(views) {
        let view = view.map_err(reject_records)?;
        walked.offsets_are_sequential &= view.offset_delta == index;
        let timestamp = header.timestamp_of(view.timestamp_delta);
        if timestamp > walked.max_timestamp {
            walked.max_timestamp = timestamp;
            walked.max_timestamp_index = Some(index);
        }
        check_record(header, &view, index, timestamp, policy, &mut refused);
    }
    refused.verdict()?;
    Ok(walked)
}

#[inline]
fn check_record(
    header: &BatchHeader,
    view: &RecordView<'_>,
    index: i32,
    timestamp: TimestampMs,
    policy: &ProducePolicy,
    refused: &mut Refused,
) {
    if policy.compacted && view.key.is_none() {
        refused.add(index, RejectReason::NoKey, || {
            "Compacted topic cannot accept message without key.".to_owned()
        });
    } else if header.is_log_append_time() {
        refused.add(index, RejectReason::Timestamp, || {
            "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime."
                .to_owned()
        });
    } else if policy.timestamp_type == TimestampType::CreateTime
        && policy.is_out_of_bounds(timestamp)
    {
        refused.add(index, RejectReason::Timestamp, || {
            let now = policy.now.0;
            format!(
                "Timestamp {} of message with offset {index} is out of range. The timestamp should be within [{}, {}]",
                timestamp.0,
                now.saturating_sub(policy.before_max_ms),
                now.saturating_add(policy.after_max_ms)
            )
        });
    }
}

/// The same records and producer in a batch with the target codec and the offset deltas 0, 1, 2, ...
fn rebuild(
    header: &BatchHeader,
    body: &[u8],
    walked: &Walked,
    target: Codec,
    policy: &ProducePolicy,
) -> Bytes {
    let level = match policy.target_codec {
        TargetCodec::Specific { level, .. } => level,
        TargetCodec::Producer => None,
    };
    let mut bytes = Vec::with_capacity(HEADER_SIZE + body.len());
    bytes.resize(HEADER_SIZE, 0);
    if walked.offsets_are_sequential {
        bytes.extend_from_slice(body);
    } else {
        let views = RecordViews::new(body, header.records_count)
            .expect("these records have been walked already");
        for (index, view) in (0..).zip(views) {
            let view = view.expect("these records have been walked already");
            write_view(&mut bytes, &view, index, view.timestamp_delta);
        }
    }
    let max_timestamp = match policy.timestamp_type {
        TimestampType::CreateTime => walked.max_timestamp,
        TimestampType::LogAppendTime => policy.now.into(),
    };
    let attributes = header.attributes.with_timestamp_type(policy.timestamp_type);
    finish(
        BatchHeader {
            attributes,
            max_timestamp,
            ..*header
        },
        target,
        level,
        bytes,
    )
}

/// The batch as it came, with the timestamps that the topic wants.
fn finish_in_place(
    bytes: Bytes,
    header: &BatchHeader,
    walked: Option<&Walked>,
    policy: &ProducePolicy,
) -> Bytes {
    match (policy.timestamp_type, walked) {
        (TimestampType::LogAppendTime, _) => {
            let mut copy = BytesMut::from(&bytes[..]);
            set_log_append_time(&mut copy, policy.now.into());
            copy.freeze()
        }
        (TimestampType::CreateTime, Some(walked))
            if walked.max_timestamp != header.max_timestamp =>
        {
            let mut copy = BytesMut::from(&bytes[..]);
            set_max_timestamp(&mut copy, walked.max_timestamp);
            copy.freeze()
        }
        (TimestampType::CreateTime, _) => bytes,
    }
}
