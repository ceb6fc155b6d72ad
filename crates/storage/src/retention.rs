//! What is given up: records before a requested offset, segments that are too old or too many.
//!
//! A later start is only asked for here. The next job makes it durable; then the log starts there, and the job
//! after that removes the files. So a crash never finds a log that starts before its files do, and nobody is
//! refused a record that a crash would bring back. Whole segments go; the active one is never removed.

use env::{Disk, Wall};
use types::{NextOffset, Offset};

use crate::log::Log;
use crate::names::{self, segment_file};
use crate::state::SegmentRow;

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments that are given up.
    pub segments_removed: usize,
    /// Where the log is to start.
    pub log_start: Offset,
}

impl<D: Disk> Log<D> {
    /// Asks for the log to start at `offset` (DeleteRecords); never back, never beyond what is written
    /// (an append that may still be taken back is nothing to start at). Returns whether that is news. The
    /// log starts there once a job says so ([`crate::JobOutcome::log_start`]).
    pub fn delete_records_before(&mut self, offset: Offset) -> bool {
        let offset = offset.min(self.written_end().position());
        if offset <= self.log_start_wanted {
            return false;
        }
        self.ask_for_start(offset);
        true
    }

    /// Applies `retention.ms` and `retention.bytes` to what lies before `high_watermark`; closes the active
    /// segment if all its records are too old. Records without a timestamp are as old as their segment is closed
    /// (Kafka takes the time of the last write to its file). The log starts later once a job says so.
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
        let mut start = self.log_start_wanted;
        let mut removed = 0;
        for segment in &self.sealed {
            let row = &segment.row;
            if self.is_given_up(row) {
                size -= u64::from(row.size);
                continue;
            }
            let waits = self
                .pending_seals
                .iter()
                .any(|seal| seal.row.base == row.base);
            let cap = u64::try_from(self.config.retention_bytes).ok();
            let too_many = cap.is_some_and(|cap| size - u64::from(row.size) >= cap);
            if row.next > high_watermark.0 || !(too_old(row.latest()) || too_many) {
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
        if start > self.log_start_wanted {
            self.ask_for_start(start);
        }
        Retained {
            segments_removed: removed,
            log_start: start,
        }
    }

    /// Asks for another start. Everything stays where it is until the next job has made that durable: what a
    /// crash would bring back has not been taken from anybody.
    fn ask_for_start(&mut self, offset: Offset) {
        self.log_start_wanted = offset;
        self.state_dirty = true;
        // Room may come of it.
        self.probe_wanted = true;
    }

    /// Whether a closed segment lies before the start that is asked for.
    pub(crate) fn is_given_up(&self, row: &SegmentRow) -> bool {
        row.next <= self.log_start_wanted.0
            && !self
                .pending_seals
                .iter()
                .any(|seal| seal.row.base == row.base)
    }

    /// The log starts at `offset` from now on, durably. The files before it go with the next job.
    pub(crate) fn move_start(&mut self, offset: Offset) {
        if offset <= self.log_start {
            return;
        }
        self.log_start = offset;
        self.probe_wanted = true;
        let gone = self
            .sealed
            .iter()
            .take_while(|segment| segment.row.next <= offset.0 && self.is_given_up(&segment.row))
            .count();
        // The state of this job may still name what was closed in it.
        self.state_dirty |= gone > 0;
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
