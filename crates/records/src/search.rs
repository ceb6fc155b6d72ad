//! Finds a record by its timestamp within one batch: the exact last step of ListOffsets.

use types::{NextOffset, Offset, TimestampMs, mutant};

use crate::iter::Batch;
use crate::layout::BatchError;

/// A record's place and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: TimestampMs,
}

/// The first record at or after `from` in the batch whose timestamp is `timestamp` or later.
///
/// Timestamps within a batch are in any order, so the answer is the first by offset and not the
/// earliest by time; that is Kafka's definition too. The header's maximum spares the search, so a batch
/// is decompressed only if it may hold an answer.
///
/// **Errors**: those of [`Batch::records`].
pub fn first_at_or_after(
    batch: &Batch,
    timestamp: TimestampMs,
    from: Offset,
    max_decompressed_bytes: usize,
) -> Result<Option<TimestampedOffset>, BatchError> {
    let header = batch.header();
    if header.max_timestamp < timestamp || header.records_count == 0 {
        return Ok(None);
    }
    find(batch, max_decompressed_bytes, |found| {
        let late = if mutant!("WIR-10/b") {
            found.timestamp > timestamp
        } else {
            found.timestamp >= timestamp
        };
        late && found.offset >= from
    })
}

/// The first record with the largest timestamp of those in the batch from `from` on and before `end`; `None` if
/// there are none, or none that has a timestamp.
///
/// **Errors**: those of [`Batch::records`].
pub fn max_timestamp(
    batch: &Batch,
    from: Offset,
    end: NextOffset,
    max_decompressed_bytes: usize,
) -> Result<Option<TimestampedOffset>, BatchError> {
    if batch.header().max_timestamp == TimestampMs::NONE || batch.header().records_count == 0 {
        return Ok(None);
    }
    let mut best: Option<TimestampedOffset> = None;
    find(batch, max_decompressed_bytes, |found| {
        let counts = found.offset >= from && found.offset.is_before(end);
        let least = best.map_or(TimestampMs::NONE, |best| best.timestamp);
        if counts && found.timestamp > least {
            best = Some(found);
        }
        false
    })?;
    Ok(best)
}

fn find(
    batch: &Batch,
    max_decompressed_bytes: usize,
    mut wanted: impl FnMut(TimestampedOffset) -> bool,
) -> Result<Option<TimestampedOffset>, BatchError> {
    let header = batch.header();
    for view in batch.records(max_decompressed_bytes)?.views() {
        let view = view?;
        let found = TimestampedOffset {
            offset: header.offset_of(view.offset_delta),
            timestamp: header.timestamp_of(view.timestamp_delta),
        };
        if wanted(found) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
