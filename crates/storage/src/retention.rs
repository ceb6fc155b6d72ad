//! What is given up: records before a requested offset, segments that are too old or too many.
//!
//! Only the start of the log moves here. The next job makes that durable and removes the files
//! afterwards, so that a crash never finds a log that starts before its files do. Whole segments go; the
//! active one is never removed.

use env::{Disk, Wall};
use types::{NextOffset, Offset};

use crate::log::Log;
use crate::names::{self, segment_file};

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments that go with the next job.
    pub segments_removed: usize,
    /// Whether the start of the log moved.
    pub log_start_moved: bool,
}

impl<D: Disk> Log<D> {
    /// Moves the start of the log to `offset` (DeleteRecords); never back, never beyond what is written
    /// (an append that may still be taken back is nothing to start at). Returns
    /// whether it moved. Durable once a job says so ([`crate::JobOutcome::log_start`]).
    pub fn delete_records_before(&mut self, offset: Offset) -> bool {
        let offset = offset.min(self.written_end().position());
        if offset <= self.log_start {
            return false;
        }
        self.move_start(offset);
        true
    }

    /// Applies `retention.ms` and `retention.bytes` to what lies before `high_watermark`; closes the active
    /// segment if all its records are too old.
    pub fn apply_retention(&mut self, now: Wall, high_watermark: NextOffset) -> Retained {
        let limit = self.config.retention_ms;
        let too_old = |timestamp: i64| {
            limit >= 0 && timestamp >= 0 && now.0.saturating_sub(timestamp) > limit
        };
        let active_full = self.tail.mark().position > 0;
        if active_full
            && too_old(self.active.builder.max_timestamp())
            && self.log_end_offset() <= high_watermark
            && self.health() == crate::Health::Online
            && !self.job_running
        {
            self.roll(now);
        }
        let mut size = self.size_bytes();
        let mut start = self.log_start;
        let mut removed = 0;
        for segment in &self.sealed {
            let row = &segment.row;
            let waits = self
                .pending_seals
                .iter()
                .any(|seal| seal.row.base == row.base);
            let cap = u64::try_from(self.config.retention_bytes).ok();
            let too_many = cap.is_some_and(|cap| size - u64::from(row.size) >= cap);
            if row.next > high_watermark.0 || !(too_old(row.max_timestamp) || too_many) {
                break;
            }
            if waits {
                // It is closed by the next job, and goes with the one after.
                break;
            }
            size -= u64::from(row.size);
            start = start.max(Offset(row.next));
            removed += 1;
        }
        let log_start_moved = start > self.log_start;
        if log_start_moved {
            self.move_start(start);
        }
        Retained {
            segments_removed: removed,
            log_start_moved,
        }
    }

    fn move_start(&mut self, offset: Offset) {
        self.log_start = offset;
        self.state_dirty = true;
        // Room may come of it.
        self.probe_wanted = true;
        let waiting: Vec<i64> = self
            .pending_seals
            .iter()
            .map(|seal| seal.row.base)
            .collect();
        let gone = self
            .sealed
            .iter()
            .take_while(|segment| {
                segment.row.next <= offset.0 && !waiting.contains(&segment.row.base)
            })
            .count();
        for segment in self.sealed.drain(..gone) {
            for suffix in [
                names::LOG,
                names::INDEX,
                names::TIME_INDEX,
                names::TXN_INDEX,
                names::TAGS,
            ] {
                self.removals
                    .push(self.dir.join(segment_file(segment.row.base, suffix)));
            }
        }
        if self.epochs.truncate_from_start(offset) {
            self.epochs_dirty = true;
        }
        self.faulty.retain(|range| range.to > offset.end_before());
    }
}
