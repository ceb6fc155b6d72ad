//! What idempotent producers leave in the log: no sequence twice, none left out, epochs that only rise;
//! and ids that are given to one producer alone.

use std::collections::{BTreeMap, BTreeSet};

use types::{ErrorCode, TopicPartition};

use super::Judge;
use super::log::show;

/// The header of a batch in the log, as far as producers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// First offset.
    pub base_offset: i64,
    /// The producer; -1 for none.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The first record's number.
    pub base_sequence: i32,
    /// The number of records.
    pub count: i32,
    /// The epoch of the leader that wrote it.
    pub leader_epoch: i32,
}

/// The sequence number after `count` more.
#[must_use]
pub fn after(base: i32, count: i32) -> i32 {
    ((i64::from(base) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}

/// Whether a good batch may be refused with this. A broker that `forgets` may have lost what it knew of the
/// producer. Nothing says that a batch is in the log already: where it is, a broker knows of each batch that
/// a producer may send again.
#[must_use]
pub fn may_refuse(error: ErrorCode, forgets: bool) -> bool {
    match error {
        // The clocks of both differ by more than may be; the records are large, or segments small.
        ErrorCode::INVALID_TIMESTAMP
        | ErrorCode::MESSAGE_TOO_LARGE
        | ErrorCode::RECORD_LIST_TOO_LARGE => true,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
        | ErrorCode::UNKNOWN_PRODUCER_ID
        | ErrorCode::INVALID_PRODUCER_EPOCH => forgets,
        // Not the batch is at fault, but the moment.
        _ => {
            error != ErrorCode::CORRUPT_MESSAGE
                && (error.is_retriable() || error == ErrorCode::KAFKA_STORAGE_ERROR)
        }
    }
}

/// Judges the batches of a partition, in the order of the log.
pub fn judge_log(at: TopicPartition, batches: &[Sequenced], judge: &mut Judge) {
    let mut last: BTreeMap<i64, (i16, i32, bool)> = BTreeMap::new();
    let mut met: BTreeSet<(i64, i16, i32)> = BTreeSet::new();
    for batch in batches.iter().filter(|batch| batch.producer_id >= 0) {
        let Sequenced {
            base_offset,
            producer_id,
            epoch,
            base_sequence,
            count,
            ..
        } = *batch;
        let first = met.insert((producer_id, epoch, base_sequence));
        judge.check("P1", first, || {
            format!("{} holds {batch:?} a second time", show(at))
        });
        let next = after(base_sequence, count);
        let next = (epoch, next, next < base_sequence);
        if let Some((known, expected, wraps)) = last.insert(producer_id, next) {
            judge.check("P5", known <= epoch, || {
                format!("{} holds {batch:?} after epoch {known}", show(at))
            });
            let expected = if known == epoch { expected } else { 0 };
            let id = if wraps { "P8" } else { "P2" };
            judge.check(id, base_sequence == expected, || {
                format!(
                    "{} holds {batch:?} at {base_offset}, where sequence {expected} is due",
                    show(at)
                )
            });
        }
    }
}

/// The ids that InitProducerId gave.
#[derive(Clone, Debug, Default)]
pub struct ProducerIds {
    given: BTreeSet<i64>,
}

impl ProducerIds {
    /// A producer that asked for an identity of its own was given this id, with epoch 0.
    pub fn given(&mut self, id: i64, judge: &mut Judge) {
        let new = self.given.insert(id);
        judge.check("C10", new && id >= 0, || {
            format!("producer id {id} was given twice")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{PartitionIndex, Uuid};

    fn verdict(batches: &[(i64, i16, i32, i32)]) -> Option<&'static str> {
        let at = TopicPartition {
            topic_id: Uuid([7; 16]),
            partition: PartitionIndex(0),
        };
        let mut offset = 0;
        let batches: Vec<Sequenced> = batches
            .iter()
            .map(|(producer_id, epoch, base_sequence, count)| {
                offset += i64::from(*count);
                Sequenced {
                    base_offset: offset - i64::from(*count),
                    producer_id: *producer_id,
                    epoch: *epoch,
                    base_sequence: *base_sequence,
                    count: *count,
                    leader_epoch: 0,
                }
            })
            .collect();
        let mut judge = Judge::default();
        judge_log(at, &batches, &mut judge);
        judge.violation.map(|violation| violation.invariant)
    }

    #[test]
    fn sequences_are_judged() {
        assert_eq!(verdict(&[(1, 0, 0, 3), (2, 0, 0, 1), (1, 0, 3, 1)]), None);
        assert_eq!(verdict(&[(1, 0, 5, 3), (1, 0, 8, 1)]), None);
        assert_eq!(verdict(&[(-1, -1, -1, 3), (-1, -1, -1, 3)]), None);
        assert_eq!(verdict(&[(1, 0, i32::MAX, 2), (1, 0, 1, 1)]), None);
        assert_eq!(verdict(&[(1, 0, 0, 3), (1, 0, 0, 3)]), Some("P1"));
        assert_eq!(verdict(&[(1, 0, 0, 3), (1, 0, 4, 3)]), Some("P2"));
        assert_eq!(verdict(&[(1, 0, 0, 3), (1, 1, 3, 3)]), Some("P2"));
        assert_eq!(verdict(&[(1, 1, 0, 3), (1, 0, 0, 3)]), Some("P5"));
        let wraps = |next| verdict(&[(1, 0, i32::MAX - 1, 2), (1, 0, next, 1)]);
        assert_eq!(wraps(0), None);
        assert_eq!(wraps(1), Some("P8"));
    }

    #[test]
    fn a_good_batch_is_refused_for_a_reason() {
        let honest = |error| [false, true].map(|forgets| may_refuse(error, forgets));
        for error in [
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::KAFKA_STORAGE_ERROR,
            ErrorCode::INVALID_TIMESTAMP,
            ErrorCode::RECORD_LIST_TOO_LARGE,
        ] {
            assert_eq!(honest(error), [true, true], "{error}");
        }
        let error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        assert_eq!(honest(error), [false, true]);
        for error in [
            ErrorCode::INVALID_RECORD,
            ErrorCode::CORRUPT_MESSAGE,
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ] {
            assert_eq!(honest(error), [false, false], "{error}");
        }
    }

    #[test]
    fn ids_are_given_once() {
        let (mut ids, mut judge) = (ProducerIds::default(), Judge::default());
        ids.given(0, &mut judge);
        ids.given(1, &mut judge);
        assert_eq!(judge.violation, None);
        ids.given(0, &mut judge);
        assert_eq!(judge.violation.map(|v| v.invariant), Some("C10"));
    }
}
