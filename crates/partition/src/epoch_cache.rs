//! Which leader epoch wrote which part of the log (KIP-101, KIP-279).

use types::{LeaderEpoch, NextOffset, Offset, mutant};

/// The first offset of a leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset of its first record, or where that will be.
    pub start: Offset,
}

/// The answer to "where does this epoch end?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochEnd {
    /// The largest epoch that is not larger than the one asked for, or the one asked for when all known
    /// epochs are larger.
    pub epoch: LeaderEpoch,
    /// Where it ends.
    pub end: NextOffset,
}

/// Leader epochs and their first offsets, both strictly increasing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// A cache of these entries. Entries that contradict a later one make way for it.
    #[must_use]
    pub fn from_entries(entries: impl IntoIterator<Item = EpochEntry>) -> EpochCache {
        let mut cache = EpochCache::default();
        for entry in entries {
            cache.assign(entry.epoch, entry.start);
        }
        cache
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// Notes that `epoch` writes at `start`. Returns whether that was news.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch < LeaderEpoch(0) || start < Offset(0) {
            return false;
        }
        if let Some(last) = self.latest()
            && last.epoch == epoch
            && last.start <= start
        {
            return false;
        }
        while let Some(last) = self.latest()
            && (last.epoch >= epoch || last.start >= start)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start });
        true
    }

    /// Forgets epochs that start at or after the end of the log: nothing of them is left.
    pub fn truncate_from_end(&mut self, end: NextOffset, log_end: NextOffset) {
        // A log that was cut before it was opened ends where it is to be cut, and still has conflicting
        // entries: there is no early return for "nothing to cut".
        if mutant!("REP-30") && end >= log_end {
            return;
        }
        while let Some(last) = self.latest()
            && last.start >= end.position()
        {
            self.entries.pop();
        }
    }

    /// Forgets epochs that ended at or before the new start of the log.
    pub fn truncate_from_start(&mut self, start: Offset) {
        let later = self.entries.partition_point(|entry| entry.start <= start);
        if later > 0 {
            self.entries.drain(..later - 1);
            self.entries[0].start = start;
        }
    }

    /// The epoch that wrote `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let later = self.entries.partition_point(|entry| entry.start <= offset);
        later.checked_sub(1).map(|i| self.entries[i].epoch)
    }

    /// Where the largest epoch that is not larger than `asked` ends, in a log that ends at `log_end`.
    /// `None` when `asked` is larger than every known epoch.
    ///
    /// **Source** KIP-279; Kafka's `LeaderEpochFileCache.endOffsetFor`.
    #[must_use]
    pub fn end_offset_for(&self, asked: LeaderEpoch, log_end: NextOffset) -> Option<EpochEnd> {
        if asked < LeaderEpoch(0) {
            return None;
        }
        let later = self.entries.partition_point(|entry| entry.epoch <= asked);
        let floor = later.checked_sub(1).map(|i| self.entries[i].epoch);
        let Some(next) = self.entries.get(later) else {
            return (floor == Some(asked)).then_some(EpochEnd {
                epoch: asked,
                end: log_end,
            });
        };
        let epoch = if mutant!("REP-03") {
            asked
        } else {
            floor.unwrap_or(asked)
        };
        Some(EpochEnd {
            epoch,
            end: next.start.end_before(),
        })
    }

    /// Panics unless both columns are strictly increasing.
    pub(crate) fn check_all(&self) {
        for pair in self.entries.windows(2) {
            assert!(pair[0].epoch < pair[1].epoch, "epochs increase: {self:?}");
            assert!(pair[0].start < pair[1].start, "starts increase: {self:?}");
        }
    }
}
