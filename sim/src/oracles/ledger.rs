//! Every record that was written, what its writer was told, and whether that was kept.

use std::collections::{BTreeMap, BTreeSet};

use types::{NextOffset, TopicPartition, Uuid};

use super::Judge;
use super::log::show;
use crate::payload::Stamp;

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// `acks=all` on a topic that syncs: the record outlives everything but damage.
    Synced,
    /// The record outlives the process, and no loss of power or broken disk.
    Written,
}

/// A writer: one incarnation of one producer.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    /// The topic that it writes to.
    pub topic: Uuid,
    /// Whether its records appear once and in order.
    pub exactly_once: bool,
    /// Records that it has tried to write so far.
    pub attempted: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ack {
    stamp: Stamp,
    promise: Promise,
}

/// The ledger.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    writers: Vec<Writer>,
    acked: BTreeMap<TopicPartition, BTreeMap<i64, Ack>>,
    /// Where each record of an exactly-once writer was acknowledged.
    places: BTreeMap<Stamp, (TopicPartition, i64)>,
    refused: BTreeSet<Stamp>,
    /// Records whose batch was broken on purpose.
    broken: BTreeSet<Stamp>,
    /// Whether acknowledgements of [`Promise::Written`] still count.
    disk_is_sound: bool,
    /// Partitions whose last writes may be lost unseen: see [`crate::damage::Marks::hides`]. Their offsets
    /// may be given out again.
    hidden: BTreeSet<TopicPartition>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Ledger {
        Ledger {
            disk_is_sound: true,
            ..Ledger::default()
        }
    }

    /// The last writes to a partition may be lost unseen from now on.
    pub fn end_may_be_lost(&mut self, at: TopicPartition) {
        self.hidden.insert(at);
    }

    /// A writer begins.
    pub fn new_writer(&mut self, topic: Uuid, exactly_once: bool) -> u32 {
        self.writers.push(Writer {
            topic,
            exactly_once,
            attempted: 0,
        });
        u32::try_from(self.writers.len() - 1).expect("few writers")
    }

    /// The next record of a writer.
    pub fn attempt(&mut self, writer: u32) -> Stamp {
        let known = &mut self.writers[writer as usize];
        known.attempted += 1;
        Stamp {
            writer,
            seq: known.attempted - 1,
        }
    }

    /// A record was acknowledged at an offset.
    pub fn acked(
        &mut self,
        at: TopicPartition,
        offset: i64,
        stamp: Stamp,
        promise: Promise,
        judge: &mut Judge,
    ) {
        if promise == Promise::Written && !self.disk_is_sound {
            return;
        }
        if self.hidden.contains(&at) {
            let there = self.acked.entry(at).or_default();
            there.insert(offset, Ack { stamp, promise });
            return;
        }
        if self.writers[stamp.writer as usize].exactly_once {
            let place = *self.places.entry(stamp).or_insert((at, offset));
            judge.check("P3", place == (at, offset), || {
                format!("{stamp} was acknowledged at {place:?} and at {offset}")
            });
        }
        let there = self.acked.entry(at).or_default();
        let known = there.entry(offset).or_insert(Ack { stamp, promise });
        judge.check("P9", known.stamp == stamp, || {
            format!(
                "{} offset {offset} was acknowledged for {stamp} and for {}",
                show(at),
                known.stamp
            )
        });
    }

    /// A record was refused for good: it must never appear.
    pub fn refused(&mut self, stamp: Stamp) {
        self.refused.insert(stamp);
    }

    /// A record's batch was broken before it was sent: its append must fail and leave nothing.
    pub fn broken(&mut self, stamp: Stamp) {
        self.broken.insert(stamp);
    }

    /// The offsets before `end` that were acknowledged for good.
    pub fn promised(&self, at: &TopicPartition, end: i64) -> impl Iterator<Item = i64> {
        let acks = self.acked.get(at).filter(|_| !self.hidden.contains(at));
        let acks = acks.into_iter().flat_map(move |acks| acks.range(..end));
        acks.filter(|(_, ack)| ack.promise == Promise::Synced)
            .map(|(offset, _)| *offset)
    }

    /// Power was lost, or the disk fails from now on or from time to time: what is merely written may be
    /// gone. Acknowledgements that are still on their way cannot be told from those that come after it,
    /// so none counts any more.
    pub fn writes_may_be_lost(&mut self) {
        self.disk_is_sound = false;
        for acks in self.acked.values_mut() {
            acks.retain(|_, ack| ack.promise == Promise::Synced);
        }
    }

    /// Whether what is merely written is still there.
    #[must_use]
    pub fn disk_is_sound(&self) -> bool {
        self.disk_is_sound
    }

    /// The last offset that was acknowledged.
    #[must_use]
    pub fn last_acked(&self, at: &TopicPartition) -> Option<i64> {
        let (offset, _) = self.acked.get(at)?.last_key_value()?;
        Some(*offset)
    }

    /// The last offset that was acknowledged for good.
    #[must_use]
    pub fn last_promised(&self, at: &TopicPartition) -> Option<i64> {
        let acks = self.acked.get(at).filter(|_| !self.hidden.contains(at))?;
        let mut kept = acks.iter().rev();
        let (offset, _) = kept.find(|(_, ack)| ack.promise == Promise::Synced)?;
        Some(*offset)
    }

    /// A log was opened with this end.
    pub fn opened(&mut self, at: TopicPartition, end: NextOffset, judge: &mut Judge) {
        let Some(acks) = self.acked.get(&at).filter(|_| !self.hidden.contains(&at)) else {
            return;
        };
        let lost = acks.range(end.0..).next();
        judge.check("R10", lost.is_none(), || {
            let (offset, ack) = lost.expect("looked at just now");
            format!(
                "{} offset {offset} ({}, {:?}) was acknowledged, but the log ends at {}",
                show(at),
                ack.stamp,
                ack.promise,
                end.0
            )
        });
    }

    /// A record was read.
    pub fn read(&self, at: TopicPartition, offset: i64, stamp: Stamp, judge: &mut Judge) {
        let writer = self.writers.get(stamp.writer as usize);
        let invented = writer.is_none_or(|writer| stamp.seq >= writer.attempted);
        judge.check("L11", !invented, || {
            format!("{} offset {offset}: nobody wrote {stamp}", show(at))
        });
        if let Some(writer) = writer {
            judge.check("L14", writer.topic == at.topic_id, || {
                format!(
                    "{} offset {offset}: {stamp} was written to another topic",
                    show(at)
                )
            });
        }
        let acks = self.acked.get(&at).filter(|_| !self.hidden.contains(&at));
        if let Some(ack) = acks.and_then(|acks| acks.get(&offset)) {
            judge.check("P9", ack.stamp == stamp, || {
                format!(
                    "{} offset {offset} was acknowledged for {} and holds {stamp}",
                    show(at),
                    ack.stamp
                )
            });
        }
        judge.check("W3", !self.refused.contains(&stamp), || {
            format!("{} offset {offset}: {stamp} was refused for good", show(at))
        });
    }

    /// All that a partition holds at the end. `gaps` says whether an offset may be missing, because the
    /// broker itself reports that it cannot be read.
    pub fn finish(
        &self,
        at: TopicPartition,
        log_start: i64,
        records: &BTreeMap<i64, Stamp>,
        reported: impl Fn(i64) -> bool,
        judge: &mut Judge,
    ) {
        for (offset, ack) in self
            .acked
            .get(&at)
            .into_iter()
            .flat_map(|acks| acks.range(log_start..))
        {
            let kept = records.contains_key(offset) || reported(*offset);
            judge.check("R10", kept, || {
                format!(
                    "{} offset {offset} ({}, {:?}) was acknowledged and is gone",
                    show(at),
                    ack.stamp,
                    ack.promise
                )
            });
        }
        for stamp in &self.broken {
            let found = records.iter().find(|(_, other)| *other == stamp);
            judge.check("L13", found.is_none(), || {
                format!("{} holds {found:?} of a broken batch", show(at))
            });
        }
        let mut last: BTreeMap<u32, (u32, i64)> = BTreeMap::new();
        let mut met: BTreeMap<Stamp, i64> = BTreeMap::new();
        for (offset, stamp) in records {
            self.read(at, *offset, *stamp, judge);
            let writer = self.writers.get(stamp.writer as usize);
            if !writer.is_some_and(|writer| writer.exactly_once) {
                continue;
            }
            let twice = met.insert(*stamp, *offset);
            judge.check("P1", twice.is_none(), || {
                format!("{} holds {stamp} at {twice:?} and at {offset}", show(at))
            });
            if let Some((before, there)) = last.insert(stamp.writer, (stamp.seq, *offset)) {
                judge.check("P4", before < stamp.seq, || {
                    format!(
                        "{} holds {stamp} at {offset}, after its record {before} at {there}",
                        show(at)
                    )
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::PartitionIndex;

    const TOPIC: Uuid = Uuid([7; 16]);
    const AT: TopicPartition = TopicPartition {
        topic_id: TOPIC,
        partition: PartitionIndex(0),
    };

    /// A writer with three records, two of them acknowledged.
    fn ledger(promise: Promise) -> (Ledger, [Stamp; 3], Judge) {
        let (mut ledger, mut judge) = (Ledger::new(), Judge::default());
        let writer = ledger.new_writer(TOPIC, true);
        let stamps = [(); 3].map(|()| ledger.attempt(writer));
        ledger.acked(AT, 0, stamps[0], promise, &mut judge);
        ledger.acked(AT, 1, stamps[1], promise, &mut judge);
        (ledger, stamps, judge)
    }

    fn verdict(promise: Promise, records: &[(i64, usize)], start: i64) -> Option<&'static str> {
        let (ledger, stamps, mut judge) = ledger(promise);
        let records = records.iter().map(|(o, s)| (*o, stamps[*s])).collect();
        ledger.finish(AT, start, &records, |_| false, &mut judge);
        judge.violation.map(|violation| violation.invariant)
    }

    #[test]
    fn what_was_promised_is_demanded() {
        let synced = Promise::Synced;
        assert_eq!(verdict(synced, &[(0, 0), (1, 1)], 0), None);
        assert_eq!(verdict(synced, &[(0, 0), (1, 1), (2, 2)], 0), None);
        assert_eq!(verdict(synced, &[(1, 1)], 1), None);
        assert_eq!(verdict(synced, &[(0, 0)], 0), Some("R10"));
        assert_eq!(verdict(synced, &[(0, 0), (1, 2)], 0), Some("P9"));
        assert_eq!(verdict(synced, &[(0, 0), (1, 1), (2, 1)], 0), Some("P1"));
        assert_eq!(verdict(synced, &[(2, 1), (3, 0)], 2), Some("P4"));
    }

    #[test]
    fn power_voids_weak_promises_alone() {
        for (promise, lost) in [(Promise::Synced, Some("R10")), (Promise::Written, None)] {
            let (mut ledger, _, mut judge) = ledger(promise);
            ledger.writes_may_be_lost();
            ledger.opened(AT, NextOffset(0), &mut judge);
            assert_eq!(judge.violation.map(|violation| violation.invariant), lost);
        }
        let (mut ledger, _, mut judge) = ledger(Promise::Written);
        ledger.opened(AT, NextOffset(1), &mut judge);
        assert!(judge.violation.is_some(), "a kill does not");
    }

    #[test]
    fn inventions_and_strays_are_seen() {
        let (mut ledger, stamps, judge) = ledger(Promise::Synced);
        let verdict = |ledger: &Ledger, at, stamp| {
            let mut judge = judge.clone();
            ledger.read(at, 2, stamp, &mut judge);
            judge.violation.map(|violation| violation.invariant)
        };
        let stamp = |writer, seq| Stamp { writer, seq };
        assert_eq!(verdict(&ledger, AT, stamp(0, 3)), Some("L11"));
        assert_eq!(verdict(&ledger, AT, stamp(1, 0)), Some("L11"));
        let other = TopicPartition {
            topic_id: Uuid([8; 16]),
            ..AT
        };
        assert_eq!(verdict(&ledger, other, stamps[0]), Some("L14"));
        ledger.refused(stamps[2]);
        assert_eq!(verdict(&ledger, AT, stamps[2]), Some("W3"));
        let mut again = judge.clone();
        ledger.acked(AT, 5, stamps[0], Promise::Synced, &mut again);
        assert_eq!(again.violation.map(|v| v.invariant), Some("P3"));
    }
}
