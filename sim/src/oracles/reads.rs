//! What readers are given: whole, in order, committed, and the same each time.

use std::collections::BTreeMap;

use types::{NextOffset, TopicPartition};

use super::Judge;
use super::log::show;
use crate::payload::Stamp;

/// One batch as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// First offset.
    pub base: i64,
    /// Last offset.
    pub last: i64,
    /// Whether the checksum is right.
    pub sound: bool,
}

/// Everything that was ever read.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    known: BTreeMap<TopicPartition, BTreeMap<i64, Stamp>>,
    /// By reader: what one was told may be newer than what is on its way to another.
    ends: BTreeMap<(TopicPartition, String), (i64, i64)>,
}

impl Reads {
    /// Judges the batches of an answer to a fetch from `from`.
    pub fn batches(
        &self,
        at: TopicPartition,
        from: i64,
        high_watermark: i64,
        batches: &[ReadBatch],
        judge: &mut Judge,
    ) {
        if let Some(first) = batches.first() {
            judge.check("W6", first.base <= from && from <= first.last, || {
                format!("{} was asked for {from} and gives {first:?}", show(at))
            });
        }
        for pair in batches.windows(2) {
            judge.check("L1", pair[1].base == pair[0].last + 1, || {
                format!("{} gives {:?} and then {:?}", show(at), pair[0], pair[1])
            });
        }
        for batch in batches {
            judge.check("L11", batch.sound, || {
                format!("{} gives a broken batch {batch:?}", show(at))
            });
            judge.check("R8", batch.last < high_watermark, || {
                format!(
                    "{} gives {batch:?}, its high watermark is {high_watermark}",
                    show(at)
                )
            });
        }
    }

    /// Judges a record against what was read at its offset before.
    pub fn record(&mut self, at: TopicPartition, offset: i64, stamp: Stamp, judge: &mut Judge) {
        let known = *self
            .known
            .entry(at)
            .or_default()
            .entry(offset)
            .or_insert(stamp);
        judge.check("R9", known == stamp, || {
            format!("{} offset {offset} was {known} and is {stamp}", show(at))
        });
    }

    /// What was read of a partition so far.
    #[must_use]
    pub fn last_read(&self, at: &TopicPartition) -> Option<i64> {
        let (offset, _) = self.known.get(at)?.last_key_value()?;
        Some(*offset)
    }

    /// A log was opened with this end. What was read beyond it is gone: judged elsewhere if it was
    /// promised, forgotten if not.
    pub fn opened(
        &mut self,
        at: TopicPartition,
        end: NextOffset,
        promised: bool,
        judge: &mut Judge,
    ) {
        if let Some(known) = self.known.get_mut(&at) {
            if promised {
                let lost = known.range(end.0..).next();
                judge.check("R9", lost.is_none(), || {
                    format!(
                        "{} was read at {lost:?}, and now ends at {}",
                        show(at),
                        end.0
                    )
                });
            } else {
                known.split_off(&end.0);
            }
        }
        if !promised {
            self.ends.retain(|(other, _), _| *other != at);
        }
    }

    /// Judges the ends that ListOffsets gave one reader, the earliest first.
    pub fn ends(
        &mut self,
        at: TopicPartition,
        reader: &str,
        earliest: i64,
        latest: i64,
        judge: &mut Judge,
    ) {
        judge.check("L3", earliest <= latest, || {
            format!("{} starts at {earliest} and ends at {latest}", show(at))
        });
        let slot = (at, reader.to_owned());
        if let Some((first, last)) = self.ends.insert(slot, (earliest, latest)) {
            judge.check("W4", first <= earliest && last <= latest, || {
                format!(
                    "{} went from {first}..{last} to {earliest}..{latest}",
                    show(at)
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{PartitionIndex, Uuid};

    const AT: TopicPartition = TopicPartition {
        topic_id: Uuid([7; 16]),
        partition: PartitionIndex(0),
    };

    fn batch(base: i64, last: i64) -> ReadBatch {
        ReadBatch {
            base,
            last,
            sound: true,
        }
    }

    fn verdict(from: i64, high_watermark: i64, batches: &[ReadBatch]) -> Option<&'static str> {
        let mut judge = Judge::default();
        Reads::default().batches(AT, from, high_watermark, batches, &mut judge);
        judge.violation.map(|violation| violation.invariant)
    }

    #[test]
    fn answers_are_judged() {
        assert_eq!(verdict(3, 9, &[batch(2, 4), batch(5, 8)]), None);
        assert_eq!(verdict(3, 9, &[]), None);
        assert_eq!(verdict(3, 9, &[batch(4, 4)]), Some("W6"));
        assert_eq!(verdict(3, 9, &[batch(0, 2)]), Some("W6"));
        assert_eq!(verdict(3, 9, &[batch(3, 4), batch(6, 8)]), Some("L1"));
        assert_eq!(verdict(3, 8, &[batch(3, 8)]), Some("R8"));
        let broken = ReadBatch {
            sound: false,
            ..batch(3, 4)
        };
        assert_eq!(verdict(3, 8, &[broken]), Some("L11"));
    }

    #[test]
    fn reads_are_stable() {
        let (mut reads, mut judge) = (Reads::default(), Judge::default());
        let stamp = |seq| Stamp { writer: 0, seq };
        reads.record(AT, 0, stamp(0), &mut judge);
        reads.record(AT, 0, stamp(0), &mut judge);
        assert_eq!(judge.violation, None);
        let mut changed = judge.clone();
        reads.record(AT, 0, stamp(1), &mut changed);
        assert_eq!(changed.violation.map(|v| v.invariant), Some("R9"));
        let mut lost = judge.clone();
        reads.opened(AT, NextOffset(0), true, &mut lost);
        assert_eq!(lost.violation.map(|v| v.invariant), Some("R9"));
        reads.opened(AT, NextOffset(0), false, &mut judge);
        reads.record(AT, 0, stamp(1), &mut judge);
        reads.ends(AT, "r", 0, 5, &mut judge);
        reads.ends(AT, "r", 1, 5, &mut judge);
        assert_eq!(judge.violation, None);
        reads.ends(AT, "r", 1, 4, &mut judge);
        assert_eq!(judge.violation.map(|v| v.invariant), Some("W4"));
    }
}
