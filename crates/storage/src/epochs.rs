//! Where each leader epoch starts (KIP-101, KIP-279).
//!
//! Invariant: epochs and start offsets both strictly increase, and every entry lies at or before the log's
//! end. The entries are a function of the log's batches: the first batch of an epoch makes the entry.

use std::fmt::Write as _;

use types::{LeaderEpoch, NextOffset, Offset};

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset in this log.
    pub start: Offset,
}

/// The epochs of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// A cache with these entries, of which those that break the order are left out.
    #[must_use]
    pub fn new(entries: &[EpochEntry]) -> EpochCache {
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

    /// The latest epoch; [`LeaderEpoch::NONE`] for an empty log.
    #[must_use]
    pub fn latest(&self) -> LeaderEpoch {
        self.entries
            .last()
            .map_or(LeaderEpoch::NONE, |entry| entry.epoch)
    }

    /// Notes that a batch of `epoch` starts at `start`. Returns whether that was news.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if types::mutant!("STO-10") && epoch.0 == 0 {
            return false;
        }
        if epoch.0 < 0 || epoch <= self.latest() {
            return false;
        }
        if self.entries.last().is_some_and(|last| last.start >= start) {
            // The earlier epoch has no record in this log.
            self.entries.retain(|entry| entry.start < start);
        }
        self.entries.push(EpochEntry { epoch, start });
        true
    }

    /// The last epoch that is not newer than `epoch`, and where it ends: at the start of the next one,
    /// or at the log's end. `None` for an epoch older than all that are known.
    ///
    /// **Source**: KIP-279; `LeaderEpochFileCache.endOffsetFor`.
    #[must_use]
    pub fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end: NextOffset,
    ) -> Option<(LeaderEpoch, NextOffset)> {
        if epoch.0 < 0 {
            return None;
        }
        if epoch == self.latest() {
            return Some((epoch, log_end));
        }
        let after = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let next = self.entries.get(after)?;
        let found = self.entries.get(after.checked_sub(1)?)?;
        Some((found.epoch, next.start.end_before()))
    }

    /// The epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_for(&self, offset: Offset) -> LeaderEpoch {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        match after.checked_sub(1) {
            Some(at) => self.entries[at].epoch,
            None => LeaderEpoch::NONE,
        }
    }

    /// Forgets the epochs that start at or after `end`. Returns whether there were any.
    pub fn truncate_from_end(&mut self, end: NextOffset) -> bool {
        let kept = self
            .entries
            .partition_point(|entry| entry.start.is_before(end));
        let changed = kept < self.entries.len();
        self.entries.truncate(kept);
        changed
    }

    /// Forgets what lies before `log_start`; the epoch in force there starts there from now on.
    /// Returns whether anything changed.
    pub fn truncate_from_start(&mut self, log_start: Offset) -> bool {
        let after = self
            .entries
            .partition_point(|entry| entry.start <= log_start);
        let Some(current) = after.checked_sub(1) else {
            return false;
        };
        if current == 0 && self.entries[0].start == log_start {
            return false;
        }
        self.entries.drain(..current);
        self.entries[0].start = log_start;
        true
    }

    /// Only what starts before `end`, for a state that says nothing of what comes later; and the epoch that
    /// is left at `log_start` when all records were deleted.
    #[must_use]
    pub fn up_to(&self, end: NextOffset, log_start: Offset) -> Vec<EpochEntry> {
        let kept = |entry: &&EpochEntry| entry.start.is_before(end) || entry.start == log_start;
        self.entries.iter().filter(kept).copied().collect()
    }

    /// The text of Kafka's `leader-epoch-checkpoint`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{} {}", entry.epoch.0, entry.start);
        }
        out
    }

    /// Reads Kafka's `leader-epoch-checkpoint`; `None` if it is not one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<EpochCache> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        if lines.next()?.trim() != "0" {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut cache = EpochCache::default();
        for line in lines {
            let (epoch, start) = line.trim().split_once(' ')?;
            let entry = EpochEntry {
                epoch: LeaderEpoch(epoch.parse().ok()?),
                start: Offset(start.parse().ok()?),
            };
            let in_order = cache
                .entries
                .last()
                .is_none_or(|last| last.epoch < entry.epoch && last.start < entry.start);
            if !in_order {
                return None;
            }
            cache.entries.push(entry);
        }
        (cache.entries.len() == count).then_some(cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        let mut cache = EpochCache::default();
        for &(epoch, start) in entries {
            assert!(cache.assign(LeaderEpoch(epoch), Offset(start)));
        }
        cache
    }

    fn end(cache: &EpochCache, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        cache
            .end_offset_for(LeaderEpoch(epoch), NextOffset(log_end))
            .map(|(epoch, end)| (epoch.0, end.0))
    }

    #[test]
    fn end_offsets_as_kip_279_has_them() {
        let cache = cache(&[(0, 0), (2, 8), (5, 10)]);
        assert_eq!(end(&cache, 0, 20), Some((0, 8)));
        // The leader never saw epoch 1: the answer names the epoch it does know.
        assert_eq!(end(&cache, 1, 20), Some((0, 8)));
        assert_eq!(end(&cache, 2, 20), Some((2, 10)));
        assert_eq!(end(&cache, 5, 20), Some((5, 20)));
        assert_eq!(end(&cache, 6, 20), None);
        assert_eq!(end(&cache, -1, 20), None);
        assert_eq!(end(&EpochCache::default(), 0, 0), None);
        assert_eq!(cache.epoch_for(Offset(7)), LeaderEpoch(0));
        assert_eq!(cache.epoch_for(Offset(8)), LeaderEpoch(2));
    }

    #[test]
    fn an_epoch_without_records_leaves_no_entry() {
        let mut cache = cache(&[(0, 0), (1, 5)]);
        assert!(!cache.assign(LeaderEpoch(1), Offset(9)));
        assert!(cache.assign(LeaderEpoch(3), Offset(5)));
        assert_eq!(cache.entries().len(), 2);
        assert_eq!(cache.latest(), LeaderEpoch(3));
    }

    #[test]
    fn truncation() {
        let mut cache = cache(&[(0, 0), (2, 8), (5, 10)]);
        assert!(cache.truncate_from_start(Offset(9)));
        assert_eq!(cache.encode(), "0\n2\n2 9\n5 10\n");
        assert!(!cache.truncate_from_start(Offset(9)));
        assert!(cache.truncate_from_end(NextOffset(10)));
        assert!(!cache.truncate_from_end(NextOffset(10)));
        assert_eq!(cache.latest(), LeaderEpoch(2));
    }

    #[test]
    fn the_checkpoint_is_kafkas_text() {
        let cache = cache(&[(0, 0), (7, 100)]);
        assert_eq!(EpochCache::decode(cache.encode().as_bytes()), Some(cache));
        for bad in [
            "",
            "1\n0\n",
            "0\n2\n0 0\n",
            "0\n2\n1 0\n0 5\n",
            "0\n1\n0 x\n",
        ] {
            assert_eq!(EpochCache::decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
