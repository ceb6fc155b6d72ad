//! What a producer holds for each partition: batches that fill, wait, are in flight, and their
//! sequence numbers. A plain value: it is told what happened and says what to send.
//!
//! Order and duplicates, for an idempotent producer:
//! * A batch gets its sequence when it first leaves and keeps it through every retry, so the broker
//!   recognises it. At most five batches of a partition are in flight, as many as a broker remembers.
//! * When one fails in a way that may pass, nothing of that partition leaves until all that is in
//!   flight is resolved; then the failed ones leave again, in their old order.
//! * When a batch fails for good, its sequence is missing and the broker would refuse all that follow.
//!   Once nothing is in flight, the partition goes on under the next epoch, from sequence 0. A batch
//!   of which an earlier try may have been written is never sent under another epoch: that could
//!   write it twice. It fails, and says that its outcome is unknown.
//!
//! Epochs are counted per partition, which brokers allow: they compare a producer's epoch with what
//! the same partition has seen.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use records::layout::{CRC_AT, compute_crc};
use records::{BatchBuilder, BatchHeader};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use types::{ErrorCode, Mono, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, mutant};

use super::{Delivered, DeliveryError, ProducerOptions, ProducerRecord};
use crate::metadata::TopicPartition;
use crate::{Error, Outcome};

/// Who waits for a record, and the room that it takes.
#[derive(Debug)]
pub(super) struct Waiter {
    pub answer: oneshot::Sender<Result<Delivered, DeliveryError>>,
    /// Given back when the waiter is dropped.
    pub _room: Option<OwnedSemaphorePermit>,
}

impl Waiter {
    pub fn fail(self, outcome: Outcome, error: Error) {
        // A receiver that is gone did not want to know.
        let _ = self.answer.send(Err(DeliveryError { outcome, error }));
    }
}

/// The identity under which a batch was first sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    id: ProducerId,
    epoch: ProducerEpoch,
    sequence: Sequence,
}

#[derive(Debug)]
struct Batch {
    /// Grows with each batch of the partition: the order of creation.
    number: u64,
    bytes: Bytes,
    waiters: Vec<(TimestampMs, Waiter)>,
    deadline: Mono,
    stamp: Option<Stamp>,
    /// Whether some try may have been written.
    maybe_written: bool,
    failed: Option<Error>,
}

#[derive(Debug)]
struct Open {
    builder: BatchBuilder,
    waiters: Vec<(TimestampMs, Waiter)>,
    due: Mono,
    deadline: Mono,
}

#[derive(Debug, Default)]
struct Queue {
    open: Option<Open>,
    /// Full batches and those to be sent again, by number.
    ready: VecDeque<Batch>,
    /// By number.
    in_flight: VecDeque<Batch>,
    in_flight_at: i32,
    identity: Option<(ProducerId, ProducerEpoch)>,
    next_sequence: i32,
    next_number: u64,
    /// Something is to be sent again: wait for what is in flight.
    draining: bool,
    /// A sequence is missing: a new epoch is needed.
    broken: bool,
    not_before: Mono,
    tries: u32,
}

/// A batch to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub number: u64,
    pub bytes: Bytes,
}

/// What became of a batch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It will be sent again.
    Again,
    /// Its records have failed.
    ForGood,
}

/// All partitions of a producer.
#[derive(Debug)]
pub(super) struct Queues {
    options: ProducerOptions,
    identity: Option<ProducerId>,
    partitions: BTreeMap<TopicPartition, Queue>,
    /// Records whose outcome is not known yet.
    pending: usize,
    /// The partition that was served last.
    last_served: Option<TopicPartition>,
}

impl Queues {
    pub fn new(options: ProducerOptions) -> Queues {
        Queues {
            options,
            identity: None,
            partitions: BTreeMap::new(),
            pending: 0,
            last_served: None,
        }
    }

    /// Records whose outcome is not known yet.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether a producer id must be asked for before anything can leave.
    pub fn wants_identity(&self) -> bool {
        self.options.idempotent && self.identity.is_none() && self.pending > 0
    }

    /// Takes in a fresh producer id.
    pub fn set_identity(&mut self, id: ProducerId) {
        self.identity = Some(id);
    }

    /// The partitions that have something to send or in flight.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        let busy = |q: &Queue| q.open.is_some() || !q.ready.is_empty() || !q.in_flight.is_empty();
        self.partitions
            .iter()
            .filter(move |(_, q)| busy(q))
            .map(|(at, _)| at)
    }

    /// Adds a record.
    pub fn push(
        &mut self,
        at: &TopicPartition,
        record: &ProducerRecord,
        timestamp: TimestampMs,
        waiter: Waiter,
        accepted: Mono,
        now: Mono,
    ) {
        if !self.partitions.contains_key(at) {
            self.partitions.insert(at.clone(), Queue::default());
        }
        let queue = self.partitions.get_mut(at).expect("it was just inserted");
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        if let Some(open) = &queue.open {
            let size = open
                .builder
                .size_with(timestamp, key, value, &record.headers);
            if size > self.options.batch_bytes {
                queue.seal();
            }
        }
        let open = queue.open.get_or_insert_with(|| Open {
            builder: BatchBuilder::new(self.options.codec).level(self.options.compression_level),
            waiters: Vec::new(),
            due: now.after(self.options.linger),
            deadline: accepted.after(self.options.delivery_timeout),
        });
        open.builder.append(timestamp, key, value, &record.headers);
        open.waiters.push((timestamp, waiter));
        if open.builder.size() >= self.options.batch_bytes {
            queue.seal();
        }
        self.pending += 1;
    }

    /// The partitions from which a batch may leave now, those served longest ago first. With `flush`
    /// none waits to become full.
    pub fn sendable(&mut self, now: Mono, flush: bool) -> Vec<TopicPartition> {
        let idempotent = self.options.idempotent;
        if idempotent && self.identity.is_none() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut settled = 0;
        for (at, queue) in &mut self.partitions {
            if queue.in_flight.is_empty() {
                settled += queue.settle(self.identity);
            }
            if queue.draining || now < queue.not_before {
                continue;
            }
            let due = |open: &Open| flush || open.due <= now;
            if !queue.ready.is_empty() || queue.open.as_ref().is_some_and(due) {
                found.push(at.clone());
            }
        }
        self.pending -= settled;
        if let Some(last) = &self.last_served {
            let start = found.partition_point(|at| at <= last);
            found.rotate_left(start);
        }
        found
    }

    /// The size of the batch that [`Queues::start`] would give, before compression if it still fills.
    pub fn next_size(&self, at: &TopicPartition) -> usize {
        self.partitions
            .get(at)
            .map_or(0, |queue| match queue.ready.front() {
                Some(batch) => batch.bytes.len(),
                None => queue.open.as_ref().map_or(0, |open| open.builder.size()),
            })
    }

    /// Puts the next batch of a partition in flight to `node`. `None` if it has none, or if others are
    /// in flight to another node: their order would not be certain.
    pub fn start(&mut self, at: &TopicPartition, node: i32) -> Option<Outgoing> {
        let identity = self.identity;
        let queue = self.partitions.get_mut(at)?;
        if !queue.in_flight.is_empty()
            && (queue.in_flight_at != node || queue.in_flight.len() >= self.options.in_flight_max)
        {
            return None;
        }
        if queue.ready.is_empty() {
            queue.seal();
        }
        let mut batch = queue.ready.pop_front()?;
        if self.options.idempotent && batch.stamp.is_none() {
            let id = identity.expect("nothing is sendable before the identity is known");
            let (id, epoch) = *queue.identity.get_or_insert((id, ProducerEpoch(0)));
            let sequence = Sequence(queue.next_sequence);
            queue.next_sequence = sequence.plus(batch.waiters.len() as i32).0;
            let stamp = Stamp {
                id,
                epoch,
                sequence,
            };
            batch.bytes = restamp(&batch.bytes, stamp);
            batch.stamp = Some(stamp);
        }
        let outgoing = Outgoing {
            number: batch.number,
            bytes: batch.bytes.clone(),
        };
        queue.in_flight.push_back(batch);
        queue.in_flight_at = node;
        self.last_served = Some(at.clone());
        Some(outgoing)
    }

    /// A batch was written: its first offset, if the broker told, and the time it gave the records.
    pub fn succeeded(
        &mut self,
        at: &TopicPartition,
        number: u64,
        base_offset: Option<Offset>,
        append_time: Option<TimestampMs>,
    ) {
        let Some((queue, batch)) = self.take_in_flight(at, number) else {
            return;
        };
        queue.tries = 0;
        self.pending -= batch.waiters.len();
        for ((timestamp, waiter), i) in batch.waiters.into_iter().zip(0..) {
            // A receiver that is gone did not want to know.
            let _ = waiter.answer.send(Ok(Delivered {
                partition: at.partition,
                offset: base_offset.map(|base| base.plus(i)),
                timestamp: append_time.unwrap_or(timestamp),
            }));
        }
    }

    /// A try of a batch failed. `pause_ms` is the pause before the next one, for a number of tries.
    pub fn failed(
        &mut self,
        at: &TopicPartition,
        number: u64,
        error: Error,
        now: Mono,
        pause_ms: impl FnOnce(u32) -> i64,
    ) -> Failed {
        if error.code() == Some(ErrorCode::DUPLICATE_SEQUENCE_NUMBER) {
            // It is in the log already; where, only older brokers cannot tell.
            self.succeeded(at, number, None, None);
            return Failed::ForGood;
        }
        let idempotent = self.options.idempotent;
        let acks_all = self.options.acks == super::Acks::All;
        let Some((queue, mut batch)) = self.take_in_flight(at, number) else {
            return Failed::ForGood;
        };
        batch.maybe_written |= maybe_written(&error, acks_all);
        let sequence_error = matches!(
            error.code(),
            Some(
                ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
                    | ErrorCode::UNKNOWN_PRODUCER_ID
                    | ErrorCode::INVALID_PRODUCER_EPOCH
            )
        );
        let again = if idempotent && sequence_error {
            // It follows from the failure of an earlier batch. If there is none, the log is not what
            // this producer knows it to be: the caller must hear of that.
            let earlier = |b: &Batch| b.number < number;
            let follows = queue.broken
                || queue.in_flight.iter().any(earlier)
                || queue.ready.iter().any(earlier);
            if mutant!("TXN-28") && !follows {
                queue.broken = true;
                batch.maybe_written = false;
                true
            } else {
                follows
            }
        } else {
            error.is_retriable()
        };
        if again && now < batch.deadline {
            batch.failed = Some(error);
            queue.draining = true;
            let pause = pause_ms(queue.tries);
            queue.tries += 1;
            queue.not_before = now.after_ms(pause);
            queue.requeue(batch);
            return Failed::Again;
        }
        queue.broken |= batch.stamp.is_some();
        self.pending -= batch.waiters.len();
        fail(batch, error);
        Failed::ForGood
    }

    fn take_in_flight(&mut self, at: &TopicPartition, number: u64) -> Option<(&mut Queue, Batch)> {
        let queue = self.partitions.get_mut(at)?;
        let i = queue.in_flight.iter().position(|b| b.number == number)?;
        let batch = queue.in_flight.remove(i)?;
        Some((queue, batch))
    }

    /// Fails what has waited too long and is not in flight.
    pub fn expire(&mut self, now: Mono) {
        for (at, queue) in &mut self.partitions {
            if queue.open.as_ref().is_some_and(|open| open.deadline <= now) {
                queue.seal();
            }
            while queue.ready.iter().any(|b| b.deadline <= now) {
                let i = queue.ready.iter().position(|b| b.deadline <= now);
                let Some(batch) = i.and_then(|i| queue.ready.remove(i)) else {
                    break;
                };
                queue.broken |= batch.stamp.is_some();
                self.pending -= batch.waiters.len();
                let late = || Error::timeout(format!("delivery to {at}"), false);
                let error = batch.failed.clone().unwrap_or_else(late);
                fail(batch, error);
            }
        }
    }

    /// Fails all that is not in flight, of one topic or of all.
    pub fn fail_waiting(&mut self, topic: Option<&str>, error: &Error) {
        for (at, queue) in &mut self.partitions {
            if topic.is_some_and(|topic| at.topic != *topic) {
                continue;
            }
            queue.seal();
            for batch in std::mem::take(&mut queue.ready) {
                queue.broken |= batch.stamp.is_some();
                self.pending -= batch.waiters.len();
                fail(batch, error.clone());
            }
        }
    }

    /// When something happens next that no answer brings: a batch is due, a pause is over, or time is
    /// up for a batch.
    pub fn wake(&self, now: Mono) -> Option<Mono> {
        let mut wake: Option<Mono> = None;
        let mut at = |mono: Mono| wake = Some(wake.map_or(mono, |w| w.min(mono)));
        for queue in self.partitions.values() {
            if let Some(open) = &queue.open {
                at(open.deadline);
                if open.due > now {
                    at(open.due);
                }
            }
            for batch in &queue.ready {
                at(batch.deadline);
            }
            if !queue.ready.is_empty() && queue.not_before > now {
                at(queue.not_before);
            }
        }
        wake
    }
}

impl Queue {
    /// Closes the batch that fills.
    fn seal(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let number = self.next_number;
        self.next_number += 1;
        self.ready.push_back(Batch {
            number,
            bytes: open.builder.build(),
            waiters: open.waiters,
            deadline: open.deadline,
            stamp: None,
            maybe_written: false,
            failed: None,
        });
    }

    fn requeue(&mut self, batch: Batch) {
        let at = if mutant!("TXN-25") {
            self.ready.len()
        } else {
            self.ready.partition_point(|b| b.number < batch.number)
        };
        self.ready.insert(at, batch);
    }

    /// Nothing is in flight: what had to wait for that happens. Returns how many records failed.
    fn settle(&mut self, producer_id: Option<ProducerId>) -> usize {
        self.draining = false;
        if !self.broken {
            return 0;
        }
        self.broken = false;
        self.identity = match self.identity {
            Some((id, epoch)) if epoch.0 < i16::MAX => Some((id, ProducerEpoch(epoch.0 + 1))),
            // So many epochs: only a partition that refused 32,767 batches comes here. Start over with
            // the producer's id, if it is another one by now; else stay in the last epoch.
            Some((id, epoch)) => producer_id
                .filter(|other| *other != id)
                .map(|other| (other, ProducerEpoch(0)))
                .or(Some((id, epoch))),
            None => None,
        };
        if !mutant!("TXN-44") {
            self.next_sequence = 0;
        }
        let mut failed = 0;
        for mut batch in std::mem::take(&mut self.ready) {
            if batch.maybe_written {
                failed += batch.waiters.len();
                let unknown = || Error::server(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
                let error = batch.failed.clone().unwrap_or_else(unknown);
                fail(batch, error);
            } else {
                batch.stamp = None;
                self.ready.push_back(batch);
            }
        }
        failed
    }
}

/// Whether a try that ended with `error` may have been written.
fn maybe_written(error: &Error, acks_all: bool) -> bool {
    let Some(code) = error.code() else {
        return error.outcome() == Outcome::Unknown;
    };
    // With acks all the leader appends and then waits. What it learns of itself while it waits does
    // not say that the records are gone.
    let while_waiting = matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::KAFKA_STORAGE_ERROR
            | ErrorCode::FENCED_LEADER_EPOCH
    );
    error.outcome() == Outcome::Unknown
        || code == ErrorCode::KAFKA_STORAGE_ERROR
        || (acks_all && while_waiting)
}

fn fail(batch: Batch, error: Error) {
    let outcome = if batch.maybe_written {
        Outcome::Unknown
    } else {
        Outcome::NotDone
    };
    for (_, waiter) in batch.waiters {
        waiter.fail(outcome, error.clone());
    }
}

/// The batch under another producer identity; its records stay as they are, compressed or not.
fn restamp(batch: &Bytes, stamp: Stamp) -> Bytes {
    let mut header = BatchHeader::parse(batch).expect("a batch that this process built");
    header.producer_id = stamp.id;
    header.producer_epoch = stamp.epoch;
    header.base_sequence = stamp.sequence;
    let mut bytes = batch.to_vec();
    header.write(&mut bytes);
    let crc = compute_crc(&bytes);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
