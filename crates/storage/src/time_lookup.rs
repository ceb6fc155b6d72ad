//! ListOffsets by time: the first record with a timestamp at or after a given one, and the record with the
//! largest timestamp. Exact: the indexes say where to start, the batches' headers which one it is, and
//! only that batch's records are looked at.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use env::Disk;
use records::{Batch, Batches, search};
use types::{LeaderEpoch, NextOffset, Offset, TimestampMs};

use crate::error::ReadError;
use crate::log::{Health, Log};
use crate::read::{FilePlan, IndexSource, ReadPlan, ReadResult};
use crate::segment::IndexCell;

/// A record's place, time and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// Its offset.
    pub offset: Offset,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// A search for the first record at or after a time.
pub struct TimePlan<D: Disk> {
    target: TimestampMs,
    from: Offset,
    max: NextOffset,
    files: Vec<FilePlan<D>>,
    memory: Vec<Bytes>,
    decompressed_max: usize,
}

/// A search for the record with the largest timestamp.
pub struct MaxTimePlan<D: Disk> {
    /// The batch that has it, by the segments' own account.
    read: Option<ReadPlan<D>>,
    /// The segment that the log starts within: its account is of deleted records too, so it is read.
    cut: Option<TimePlan<D>>,
    max: NextOffset,
    decompressed_max: usize,
}

/// Bytes read at once while searching.
const STEP: usize = 256 << 10;

impl<D: Disk> Log<D> {
    /// Plans the search for the first record before `max` whose timestamp is `target` or later. At most
    /// `decompressed_max` bytes of records are unpacked at once.
    ///
    /// # Errors
    /// [`ReadError::Offline`].
    pub fn offset_for_timestamp(
        &self,
        target: TimestampMs,
        max: NextOffset,
        decompressed_max: usize,
    ) -> Result<TimePlan<D>, ReadError> {
        if self.health() == Health::Offline {
            return Err(ReadError::Offline);
        }
        Ok(self.time_plan(target, max, decompressed_max, |_| true))
    }

    /// A search in some of the segments, by their base offsets.
    fn time_plan(
        &self,
        target: TimestampMs,
        max: NextOffset,
        decompressed_max: usize,
        wanted: impl Fn(i64) -> bool,
    ) -> TimePlan<D> {
        let max = max.min(self.log_end_offset());
        let written = self.written.mark;
        let mut files = Vec::new();
        for segment in &self.sealed {
            let row = &segment.row;
            let from = Offset(row.base).max(self.log_start);
            let wanted = wanted(row.base)
                && row.max_timestamp >= target.0
                && row.next > from.0
                && from.is_before(max);
            let on_disk = row.base < written.segment
                || row.base == written.segment && from.0 < written.offset.0;
            if wanted && on_disk {
                files.push(self.file_plan(from, max, STEP, true));
            }
        }
        let active = &self.active;
        let from = Offset(active.base).max(self.log_start);
        if wanted(active.base)
            && active.builder.max_timestamp() >= target.0
            && active.base == written.segment
            && from.0 < written.offset.0
        {
            let mut plan = self.file_plan(from, max, STEP, true);
            // The search moves on through the segment: it takes the indexes along.
            let cell = IndexCell::default();
            let _ = cell.set(Arc::new(active.builder.index().clone()));
            plan.place = IndexSource::Cell(cell);
            files.push(plan);
        }
        let mut memory = Vec::new();
        let mut at = written.offset.position().max(self.log_start);
        while at.is_before(max) {
            // One segment at a time.
            let Some(chunks) = self.tail.read(at, max, usize::MAX, true) else {
                break;
            };
            let chunk = join(ReadResult { bytes: 0, chunks });
            let Some(end) = Batches::new(chunk.clone()).filter_map(Result::ok).last() else {
                break;
            };
            at = end.header().next_offset().position();
            let segment = self.sealed.iter().find(|segment| segment.row.next >= at.0);
            if wanted(segment.map_or(active.base, |segment| segment.row.base)) {
                memory.push(chunk);
            }
        }
        let from = self.log_start;
        TimePlan {
            target,
            from,
            max,
            files,
            memory,
            decompressed_max,
        }
    }

    /// Plans the search for the first record before `max` with the largest timestamp of the log.
    ///
    /// # Errors
    /// As for [`Log::read`].
    pub fn offset_of_max_timestamp(
        &self,
        max: NextOffset,
        decompressed_max: usize,
    ) -> Result<MaxTimePlan<D>, ReadError> {
        let closed = self.sealed.iter().map(|segment| {
            let row = &segment.row;
            (row.base, row.max_timestamp, row.max_timestamp_offset)
        });
        let (active, builder) = (&self.active, &self.active.builder);
        let (timestamp, offset) = (builder.max_timestamp(), builder.max_timestamp_offset());
        let all = closed.chain(std::iter::once((active.base, timestamp, offset)));
        let (whole, cut): (Vec<_>, Vec<_>) = all
            .filter(|(_, timestamp, _)| *timestamp >= 0)
            .partition(|(base, _, _)| *base >= self.log_start.0);
        // The first of the largest.
        let best = whole
            .into_iter()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        let read = match best {
            Some((_, _, last)) if Offset(last).is_before(max) => {
                Some(self.read(Offset(last), self.log_end_offset(), 1, true)?)
            }
            _ => None,
        };
        let cut = cut.first().map(|(base, _, _)| {
            let wanted = |segment: i64| segment == *base;
            self.time_plan(TimestampMs(0), max, decompressed_max, wanted)
        });
        Ok(MaxTimePlan {
            read,
            cut,
            max,
            decompressed_max,
        })
    }
}

impl<D: Disk> TimePlan<D> {
    /// Searches. Damaged ranges are passed over.
    ///
    /// # Errors
    /// Those of [`ReadPlan::run`] other than damage.
    pub async fn run(self) -> Result<Option<TimestampOffset>, ReadError> {
        let (target, from, max) = (self.target, self.from, self.max);
        let decompressed_max = self.decompressed_max;
        let mut found = None;
        self.each_batch(|batch| {
            let first = search::first_at_or_after(batch, target, from, decompressed_max);
            found = first
                .map_err(|_| undecodable(batch))?
                .map(|found| place(batch, found));
            Ok(found.is_some())
        })
        .await?;
        Ok(found.filter(|found| found.offset.is_before(max)))
    }

    /// The record with the largest timestamp.
    async fn run_max(self) -> Result<Option<TimestampOffset>, ReadError> {
        let (from, max, decompressed_max) = (self.from, self.max, self.decompressed_max);
        let mut best: Option<TimestampOffset> = None;
        self.each_batch(|batch| {
            let better = |timestamp| best.is_none_or(|best| timestamp > best.timestamp);
            if !better(batch.header().max_timestamp) {
                return Ok(false);
            }
            let found = search::max_timestamp(batch, from, max, decompressed_max);
            if let Some(found) = found.map_err(|_| undecodable(batch))?
                && better(found.timestamp)
            {
                best = Some(place(batch, found));
            }
            Ok(false)
        })
        .await?;
        Ok(best)
    }

    /// Gives each batch to `visit`, until it has enough.
    async fn each_batch(
        self,
        mut visit: impl FnMut(&Batch) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        for mut plan in self.files {
            if let IndexSource::Cell(cell) = &plan.place {
                let cell = Arc::clone(cell);
                let index = plan.index(&cell).await?;
                let skip = index.before_time(self.target.0);
                plan.from = plan.from.max(Offset(plan.row.base + skip));
            }
            let end = plan.row.next.min(self.max.0);
            while plan.from.0 < end {
                let bytes = match plan.run().await {
                    Ok(bytes) => bytes,
                    Err(ReadError::Faulty { to, .. }) if to.0 > plan.from.0 => {
                        plan.from = to.position();
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let before = plan.from;
                for batch in Batches::new(bytes).filter_map(Result::ok) {
                    if visit(&batch)? {
                        return Ok(());
                    }
                    plan.from = batch.header().next_offset().position();
                }
                if plan.from == before {
                    break;
                }
            }
        }
        for bytes in self.memory {
            for batch in Batches::new(bytes).filter_map(Result::ok) {
                if visit(&batch)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<D: Disk> MaxTimePlan<D> {
    /// Searches.
    ///
    /// # Errors
    /// Those of [`ReadPlan::run`].
    pub async fn run(self) -> Result<Option<TimestampOffset>, ReadError> {
        let cut = match self.cut {
            Some(plan) => plan.run_max().await?,
            None => None,
        };
        let Some(read) = self.read else {
            return Ok(cut);
        };
        let bytes = join(read.run().await?);
        let Ok(batch) = Batch::parse(&bytes) else {
            return Ok(cut);
        };
        // Its segment lies whole behind the log's start.
        let found = search::max_timestamp(&batch, Offset(0), self.max, self.decompressed_max);
        let found = found
            .map_err(|_| undecodable(&batch))?
            .map(|found| place(&batch, found));
        Ok(match (cut, found) {
            (Some(cut), Some(found)) if found.timestamp > cut.timestamp => Some(found),
            (Some(cut), _) => Some(cut),
            (None, found) => found,
        })
    }
}

fn place(batch: &Batch, found: search::TimestampedOffset) -> TimestampOffset {
    TimestampOffset {
        timestamp: found.timestamp,
        offset: found.offset,
        leader_epoch: batch.header().leader_epoch,
    }
}

fn undecodable(batch: &Batch) -> ReadError {
    let (from, to) = (batch.header().base_offset, batch.header().next_offset());
    ReadError::Faulty {
        from,
        to,
        reason: "the records cannot be unpacked",
    }
}

/// Chunks as one piece.
fn join(result: ReadResult) -> Bytes {
    match result.chunks.as_slice() {
        [one] => one.clone(),
        many => {
            let mut out = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            for chunk in many {
                out.extend_from_slice(chunk);
            }
            out.freeze()
        }
    }
}
