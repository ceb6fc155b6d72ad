//! Drops records from a batch: the step that compaction repeats.
//!
//! What stays keeps its offset and timestamp; the batch keeps its first and last offset, producer,
//! sequence span and transactional bits, because fetch positions and producer state rest on them.

use bytes::Bytes;
use types::{Offset, TimestampMs};

use crate::builder::{finish, write_view};
use crate::compression::Codec;
use crate::iter::Batch;
use crate::layout::{BatchError, BatchHeader, HEADER_SIZE};
use crate::walk::RecordView;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// Everything stayed: the batch's bytes are good as they are.
    Unchanged,
    /// Some records went, or the delete horizon was set.
    Rebuilt(Bytes),
    /// Nothing stayed. The batch itself may go, unless it is the last of its producer: see [`emptied`].
    Empty,
}

/// Keeps the records of `batch` that `keep` wants, with the codec the batch has.
///
/// With `delete_horizon`, a batch that has none yet gets this one.
///
/// **Errors**: those of [`Batch::records`]. Nothing is lost by one: the caller keeps the batch it has.
pub fn retain(
    batch: &Batch,
    delete_horizon: Option<TimestampMs>,
    max_decompressed_bytes: usize,
    mut keep: impl FnMut(Offset, &RecordView<'_>) -> bool,
) -> Result<Filtered, BatchError> {
    let header = batch.header();
    let new_horizon = delete_horizon.filter(|_| !header.attributes.has_delete_horizon());
    let base_timestamp = new_horizon.unwrap_or(header.base_timestamp);
    let shift = header.base_timestamp.0.wrapping_sub(base_timestamp.0);
    let mut bytes = vec![0; HEADER_SIZE];
    let mut kept = 0;
    let mut max_timestamp = TimestampMs::NONE;
    let records = batch.records(max_decompressed_bytes)?;
    for view in records.views() {
        let view = view?;
        if !keep(header.offset_of(view.offset_delta), &view) {
            continue;
        }
        kept += 1;
        max_timestamp = max_timestamp.max(header.timestamp_of(view.timestamp_delta));
        let timestamp_delta = view.timestamp_delta.wrapping_add(shift);
        write_view(&mut bytes, &view, view.offset_delta, timestamp_delta);
    }
    if kept == header.records_count && new_horizon.is_none() {
        return Ok(Filtered::Unchanged);
    }
    if kept == 0 {
        return Ok(Filtered::Empty);
    }
    let attributes = match new_horizon {
        Some(_) => header.attributes.with_delete_horizon(true),
        None => header.attributes,
    };
    let codec = attributes.codec()?;
    let header = BatchHeader {
        attributes,
        base_timestamp,
        max_timestamp,
        records_count: kept,
        ..*header
    };
    Ok(Filtered::Rebuilt(finish(header, codec, None, bytes)))
}

/// A batch without records that keeps what `header` says of its producer.
#[must_use]
pub fn emptied(header: &BatchHeader) -> Bytes {
    let attributes = header.attributes.with_delete_horizon(false);
    let base_timestamp = TimestampMs::NONE;
    let header = BatchHeader {
        attributes,
        base_timestamp,
        records_count: 0,
        ..*header
    };
    finish(header, Codec::None, None, vec![0; HEADER_SIZE])
}
