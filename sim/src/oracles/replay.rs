//! What a broker keeps beside a log must follow from the log: where epochs end, which producers it knows,
//! where a time is found. Each is computed here from the batches that were read back.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Judge;
use super::log::show;
use super::producer::{Sequenced, after};

/// Judges the answer to "where does epoch `asked` end". Epochs before those of the batches are not judged.
pub fn judge_epoch_end(
    at: TopicPartition,
    batches: &[Sequenced],
    asked: i32,
    (epoch, end): (i32, i64),
    judge: &mut Judge,
) {
    let known = batches.iter().map(|batch| batch.leader_epoch);
    let Some(expected) = known.filter(|known| *known <= asked).max() else {
        return;
    };
    let next = batches.iter().find(|batch| batch.leader_epoch > expected);
    let last = batches.last().expect("an epoch was found in it");
    let log_end = last.base_offset + i64::from(last.count);
    // Of an epoch that is newer than any that it has, a broker knows nothing (KIP-101).
    let is_unknown = next.is_none() && asked > expected && (epoch, end) == (-1, -1);
    let ends_there = match next {
        Some(next) => end == next.base_offset,
        None => end >= log_end,
    };
    let sound = is_unknown || (epoch == expected && ends_there);
    let detail = || {
        format!(
            "{} says that epoch {asked} ends as {epoch} at {end}; in the log it is {expected}, next is {next:?}",
            show(at)
        )
    };
    if expected == asked {
        judge.check("L2", sound, detail);
    }
    judge.check("R17", sound, detail);
}

/// A producer as a broker knows it: its epoch and the last sequence.
pub type Producers = BTreeMap<i64, (i32, i32)>;

/// Judges what a broker knows of the producers of a log that was read as a whole.
pub fn judge_producers(
    at: TopicPartition,
    batches: &[Sequenced],
    told: &Producers,
    judge: &mut Judge,
) {
    let mut replayed = Producers::new();
    for batch in batches.iter().filter(|batch| batch.producer_id >= 0) {
        let last = after(batch.base_sequence, batch.count - 1);
        replayed.insert(batch.producer_id, (i32::from(batch.epoch), last));
    }
    for (id, expected) in &replayed {
        let known = told.get(id);
        judge.check("P7", known.is_some(), || {
            format!("{} has forgotten producer {id}: {expected:?}", show(at))
        });
        judge.check("L5", known.is_none_or(|known| known == expected), || {
            format!(
                "{} knows producer {id} as {known:?}, its log says {expected:?}",
                show(at)
            )
        });
    }
}

/// Judges a look-up by time, given each record's offset and time.
pub fn judge_time(
    at: TopicPartition,
    times: &[(i64, i64)],
    asked: i64,
    found: Option<i64>,
    judge: &mut Judge,
) {
    let expected = times.iter().find(|(_, time)| *time >= asked);
    let expected = expected.map(|(offset, _)| *offset);
    judge.check("L4", found == expected, || {
        format!(
            "{} finds time {asked} at {found:?}, a scan at {expected:?}",
            show(at)
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{PartitionIndex, Uuid};

    const AT: TopicPartition = TopicPartition {
        topic_id: Uuid([7; 16]),
        partition: PartitionIndex(0),
    };

    fn batch(base_offset: i64, count: i32, leader_epoch: i32, base_sequence: i32) -> Sequenced {
        Sequenced {
            base_offset,
            producer_id: 9,
            epoch: 1,
            base_sequence,
            count,
            leader_epoch,
        }
    }

    fn broken(judge: impl FnOnce(&mut Judge)) -> Option<&'static str> {
        let mut all = Judge::default();
        judge(&mut all);
        all.violation.map(|violation| violation.invariant)
    }

    #[test]
    fn epochs_end_where_the_log_says() {
        let log = [batch(0, 3, 1, 0), batch(3, 2, 1, 3), batch(5, 1, 4, 5)];
        let verdict =
            |asked, answer| broken(|judge| judge_epoch_end(AT, &log, asked, answer, judge));
        assert_eq!(verdict(1, (1, 5)), None);
        assert_eq!(verdict(3, (1, 5)), None);
        assert_eq!(verdict(4, (4, 6)), None);
        assert_eq!(verdict(0, (-1, -1)), None);
        assert_eq!(verdict(5, (-1, -1)), None);
        assert_eq!(verdict(5, (4, 6)), None);
        assert_eq!(verdict(4, (-1, -1)), Some("L2"));
        assert_eq!(verdict(2, (-1, -1)), Some("R17"));
        assert_eq!(verdict(1, (1, 6)), Some("L2"));
        assert_eq!(verdict(3, (3, 5)), Some("R17"));
        assert_eq!(verdict(4, (4, 5)), Some("L2"));
    }

    #[test]
    fn producers_are_those_of_the_log() {
        let log = [batch(0, 3, 1, i32::MAX - 1), batch(3, 2, 1, 1)];
        let verdict = |told: &[(i64, (i32, i32))]| {
            let told = told.iter().copied().collect();
            broken(|judge| judge_producers(AT, &log, &told, judge))
        };
        assert_eq!(verdict(&[(9, (1, 2)), (10, (0, 0))]), None);
        assert_eq!(verdict(&[(9, (1, 1))]), Some("L5"));
        assert_eq!(verdict(&[(9, (0, 2))]), Some("L5"));
        assert_eq!(verdict(&[]), Some("P7"));
    }

    #[test]
    fn times_are_found_as_by_a_scan() {
        let times = [(5, 100), (6, 90), (7, 120)];
        let verdict = |asked, found| broken(|judge| judge_time(AT, &times, asked, found, judge));
        assert_eq!(verdict(95, Some(5)), None);
        assert_eq!(verdict(101, Some(7)), None);
        assert_eq!(verdict(121, None), None);
        assert_eq!(verdict(101, None), Some("L4"));
        assert_eq!(verdict(101, Some(6)), Some("L4"));
    }
}
