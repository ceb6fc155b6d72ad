//! Oracles are judged, too: they accept every correct history and reject it with any one thing in it wrong.

use std::collections::BTreeMap;

use env::Seen;
use ottla_sim::damage::Marks;
use ottla_sim::oracles::Judge;
use ottla_sim::oracles::group::{Fate, Groups};
use ottla_sim::oracles::ledger::{Ledger, Promise};
use ottla_sim::oracles::log::{Expected, LogOracle};
use ottla_sim::oracles::reads::{ReadBatch, Reads};
use ottla_sim::payload::Stamp;
use proptest::prelude::*;
use proptest::sample::Index;
use types::{LeaderEpoch, NextOffset, Offset, PartitionIndex, TopicPartition, Uuid};

const AT: TopicPartition = TopicPartition {
    topic_id: Uuid([5; 16]),
    partition: PartitionIndex(0),
};
const WRITERS: usize = 3;

/// What happens to one batch, or between two.
#[derive(Clone, Debug)]
enum Step {
    /// A writer's batch of so many records is appended; synced; acknowledged.
    Write {
        writer: usize,
        count: u32,
        synced: bool,
        acked: bool,
    },
    /// A record is refused.
    Refuse { writer: usize },
    /// The process ends, and what was not synced is lost.
    Restart,
    /// Records before this part of the log are deleted.
    Delete(Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..WRITERS, 1u32..5, any::<bool>(), any::<bool>()).prop_map(
        |(writer, count, synced, acked)| Step::Write {
            writer,
            count,
            synced,
            acked,
        },
    );
    let step = prop_oneof![
        8 => write,
        1 => (0..WRITERS).prop_map(|writer| Step::Refuse { writer }),
        1 => Just(Step::Restart),
        1 => any::<Index>().prop_map(Step::Delete),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A correct history, as every oracle would hear of it.
#[derive(Clone, Debug, Default)]
struct History {
    ledger: Ledger,
    acked: Vec<(i64, Stamp)>,
    refused: Vec<Stamp>,
    seen: Vec<(u32, Seen)>,
    batches: Vec<ReadBatch>,
    records: BTreeMap<i64, Stamp>,
    start: i64,
}

fn appended(base: i64, next: i64) -> Seen {
    Seen::Appended {
        partition: AT,
        leader_epoch: LeaderEpoch(0),
        base_offset: Offset(base),
        next_offset: NextOffset(next),
        crc: 0,
    }
}

fn opened(start: i64, end: i64) -> Seen {
    Seen::LogOpened {
        partition: AT,
        log_start: Offset(start),
        log_end: NextOffset(end),
        clean: false,
    }
}

fn high_watermark(at: i64) -> Seen {
    Seen::HighWatermark {
        partition: AT,
        high_watermark: NextOffset(at),
    }
}

fn acked(base: i64, next: i64) -> Seen {
    Seen::Acked {
        partition: AT,
        base_offset: Offset(base),
        next_offset: NextOffset(next),
        acks: -1,
    }
}

fn log_start(at: i64) -> Seen {
    Seen::LogStart {
        partition: AT,
        log_start: Offset(at),
        by_request: true,
    }
}

/// Carries the steps out, as a log would.
fn history(steps: &[Step]) -> (History, Judge) {
    let mut judge = Judge::default();
    let mut all = History {
        ledger: Ledger::new(),
        ..History::default()
    };
    for _ in 0..WRITERS {
        all.ledger.new_writer(AT.topic_id, true);
    }
    let (mut incarnation, mut end, mut synced) = (1, 0, 0);
    all.seen.push((incarnation, opened(0, 0)));
    for step in steps {
        match step {
            Step::Write {
                writer,
                count,
                synced: now,
                acked: told,
            } => {
                let base = end;
                let stamps: Vec<Stamp> = (0..*count)
                    .map(|_| all.ledger.attempt(*writer as u32))
                    .collect();
                end += i64::from(*count);
                all.seen.push((incarnation, appended(base, end)));
                all.records.extend((base..end).zip(stamps.iter().copied()));
                all.batches.push(ReadBatch {
                    base,
                    last: end - 1,
                    sound: true,
                });
                if *now || *told {
                    synced = end;
                    let upto = NextOffset(end);
                    let partition = AT;
                    all.seen
                        .push((incarnation, Seen::Synced { partition, upto }));
                    all.seen.push((incarnation, high_watermark(end)));
                }
                if *told {
                    all.seen.push((incarnation, acked(base, end)));
                    for (offset, stamp) in (base..end).zip(stamps) {
                        all.ledger
                            .acked(AT, offset, stamp, Promise::Synced, &mut judge);
                        all.acked.push((offset, stamp));
                    }
                }
            }
            Step::Refuse { writer } => {
                let stamp = all.ledger.attempt(*writer as u32);
                all.ledger.refused(stamp);
                all.refused.push(stamp);
            }
            Step::Restart => {
                all.records.split_off(&synced);
                all.batches.retain(|batch| batch.last < synced);
                (end, incarnation) = (synced, incarnation + 1);
                all.seen.push((incarnation, opened(all.start, end)));
                all.ledger.opened(AT, NextOffset(end), &mut judge);
            }
            Step::Delete(part) => {
                let to = part.index(synced as usize + 1) as i64;
                if to > all.start {
                    all.start = to;
                    all.seen.push((incarnation, log_start(to)));
                }
            }
        }
    }
    // Offsets are given out anew after a loss; what counts is what is there now.
    let start = all.start;
    all.records.retain(|offset, _| *offset >= start);
    (all, judge)
}

fn judged(judge: Judge) -> Option<&'static str> {
    judge.violation.map(|violation| violation.invariant)
}

fn at_the_end(all: &History, records: &BTreeMap<i64, Stamp>) -> Option<&'static str> {
    let mut judge = Judge::default();
    all.ledger
        .finish(AT, all.start, records, |_| false, &mut judge);
    judged(judge)
}

fn of_the_log(all: &History, seen: &[(u32, Seen)]) -> Option<&'static str> {
    let (mut oracle, mut judge) = (LogOracle::default(), Judge::default());
    let expected = |_: &TopicPartition| Expected {
        synced: true,
        retention: false,
        deleted_before: all.start,
        harmed: Marks::default(),
    };
    for (incarnation, seen) in seen {
        oracle.seen(*incarnation, seen, expected, &mut judge);
    }
    judged(judge)
}

/// Reads everything from `from` on, twice, the second time with `second` at each offset.
fn of_reads(
    all: &History,
    from: i64,
    batches: &[ReadBatch],
    high_watermark: i64,
    second: &BTreeMap<i64, Stamp>,
) -> Option<&'static str> {
    let (mut reads, mut judge) = (Reads::default(), Judge::default());
    reads.batches(AT, from, high_watermark, batches, &mut judge);
    for records in [&all.records, second] {
        for (offset, stamp) in records {
            reads.record(AT, *offset, *stamp, &mut judge);
        }
    }
    judged(judge)
}

proptest! {
    #[test]
    fn correct_histories_are_accepted(steps in steps(), from in any::<Index>()) {
        let (all, judge) = history(&steps);
        prop_assert_eq!(judged(judge), None);
        prop_assert_eq!(at_the_end(&all, &all.records), None);
        prop_assert_eq!(of_the_log(&all, &all.seen), None);
        let end = all.batches.last().map_or(0, |batch| batch.last + 1);
        if let Some(first) = all.batches.get(from.index(all.batches.len().max(1))) {
            let rest: Vec<_> = all.batches.iter().copied()
                .filter(|batch| batch.base >= first.base)
                .collect();
            prop_assert_eq!(of_reads(&all, first.last, &rest, end, &all.records), None);
        }
    }

    #[test]
    fn what_is_wrong_with_the_records_is_seen(steps in steps(), which in any::<Index>()) {
        let (all, _) = history(&steps);
        let kept: Vec<(i64, Stamp)> = all.acked.iter().copied()
            .filter(|(offset, _)| *offset >= all.start)
            .collect();
        if !kept.is_empty() {
            let (offset, stamp) = kept[which.index(kept.len())];
            let mut lost = all.records.clone();
            lost.remove(&offset);
            prop_assert_eq!(at_the_end(&all, &lost), Some("R10"));
            let mut other = all.records.clone();
            other.insert(offset, Stamp { seq: stamp.seq + 1_000, ..stamp });
            prop_assert_eq!(at_the_end(&all, &other), Some("L11"));
            let mut again = all.clone();
            let mut judge = Judge::default();
            again.ledger.acked(AT, offset + 1_000, stamp, Promise::Synced, &mut judge);
            prop_assert_eq!(judged(judge), Some("P3"));
        }
        if !all.records.is_empty() {
            let next = all.records.last_key_value().map_or(0, |(offset, _)| offset + 1);
            let stamps: Vec<Stamp> = all.records.values().copied().collect();
            let mut twice = all.records.clone();
            twice.insert(next, stamps[which.index(stamps.len())]);
            prop_assert_eq!(at_the_end(&all, &twice), Some("P1"));
            let mut refused = all.records.clone();
            if let Some(stamp) = all.refused.first() {
                refused.insert(next, *stamp);
                prop_assert_eq!(at_the_end(&all, &refused), Some("W3"));
            }
        }
        // Two records of one writer change places.
        let of_one: Vec<(i64, Stamp)> = all.records.iter()
            .map(|(offset, stamp)| (*offset, *stamp))
            .filter(|(_, stamp)| stamp.writer == 0)
            .collect();
        if let [(a, first), .., (b, last)] = of_one[..] {
            let mut turned = all.records.clone();
            turned.insert(a, last);
            turned.insert(b, first);
            let found = at_the_end(&all, &turned);
            prop_assert!(found == Some("P4") || found == Some("P9"), "{:?}", found);
        }
    }

    #[test]
    fn what_is_wrong_with_the_log_is_seen(steps in steps(), which in any::<Index>()) {
        let (all, _) = history(&steps);
        // One event at a time is made to lie.
        let index = which.index(all.seen.len());
        let incarnation = all.seen[index].0;
        let mut lies: Vec<(&[&str], Seen)> = Vec::new();
        match all.seen[index].1 {
            Seen::Appended { base_offset, next_offset, .. } => {
                lies.push((&["L1"], appended(base_offset.0 + 1, next_offset.0 + 1)));
                lies.push((&["L1"], appended(base_offset.0, base_offset.0)));
            }
            Seen::Synced { upto, .. } => {
                lies.push((&["L3"], Seen::Synced { partition: AT, upto: NextOffset(upto.0 + 1) }));
            }
            Seen::HighWatermark { high_watermark: there, .. } => {
                lies.push((&["L3"], high_watermark(there.0 + 1)));
            }
            Seen::Acked { base_offset, next_offset, .. } => {
                lies.push((&["L9"], acked(base_offset.0, next_offset.0 + 1)));
            }
            Seen::LogStart { log_start: there, .. } => {
                lies.push((&["X10"], log_start(there.0 + 1_000)));
            }
            Seen::LogOpened { log_start: start, log_end: end, .. } if index > 0 && end.0 > 0 => {
                lies.push((&["L6"], opened(start.0, end.0 - 1)));
                lies.push((&["X10"], opened(all.start + 1, end.0.max(all.start + 1))));
                if start.0 > 0 {
                    lies.push((&["X11"], opened(start.0 - 1, end.0)));
                }
            }
            _ => {}
        }
        for (invariants, lie) in lies {
            let mut seen = all.seen[..index].to_vec();
            seen.push((incarnation, lie));
            let found = of_the_log(&all, &seen);
            prop_assert!(found.is_some_and(|found| invariants.contains(&found)), "{:?}: {:?}", lie, found);
        }
    }

    #[test]
    fn offsets_that_expire_too_early_are_seen(
        walls in proptest::collection::vec(-200_000i64..200_000, 1..12),
        retention_ms in 60_000i64..300_000,
    ) {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        groups.expire_after(retention_ms);
        groups.wall(walls[0]);
        let commit = groups.begin_commit("g", "t", 0, 1, 10, "m");
        groups.lives(&commit, "m-id", 1);
        groups.end_commit(&commit, Fate::Acked, &mut judge);
        let look = groups.begin_fetch("g", "t", 0);
        groups.end_fetch(&look, 10, &mut judge);
        for wall in &walls[1..] {
            groups.wall(*wall);
        }
        let look = groups.begin_fetch("g", "t", 0);
        groups.clone().end_fetch(&look, 10, &mut judge);
        prop_assert_eq!(judged(judge.clone()), None);
        // The clock has to have gone on by so much at some time, give or take the second between two looks.
        let went_on = walls.iter().enumerate().flat_map(|(from, low)| {
            walls[from..].iter().map(move |high| high - low)
        });
        let may_expire = went_on.max().is_some_and(|ms| ms + 1_000 >= retention_ms);
        let expired = groups.end_fetch(&look, -1, &mut judge);
        prop_assert_eq!(expired, may_expire);
        prop_assert_eq!(judged(judge), (!may_expire).then_some("G7"));
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_seen(steps in steps(), which in any::<Index>()) {
        let (all, _) = history(&steps);
        let Some(last) = all.batches.last() else { return Ok(()) };
        let (first, end) = (all.batches[0].base, last.last + 1);
        let verdict = |from, batches: &[ReadBatch], hw| of_reads(&all, from, batches, hw, &all.records);
        prop_assert_eq!(verdict(first, &all.batches, end - 1), Some("R8"));
        prop_assert_eq!(verdict(end, &all.batches[all.batches.len() - 1..], end), Some("W6"));
        let index = which.index(all.batches.len());
        let mut broken = all.batches.clone();
        broken[index].sound = false;
        prop_assert_eq!(verdict(first, &broken, end), Some("L11"));
        if index > 0 && index + 1 < all.batches.len() {
            let mut gap = all.batches.clone();
            gap.remove(index);
            prop_assert_eq!(verdict(first, &gap, end), Some("L1"));
        }
        if let Some((offset, stamp)) = all.records.iter().nth(which.index(all.records.len().max(1))) {
            let mut other = all.records.clone();
            other.insert(*offset, Stamp { seq: stamp.seq + 1, ..*stamp });
            prop_assert_eq!(of_reads(&all, first, &all.batches, end, &other), Some("R9"));
        }
    }
}
