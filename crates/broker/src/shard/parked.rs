//! Readers that would not find what a producer was told is there.
//!
//! `acks=1` is answered when a batch is written, and readers see it when it is durable, some milliseconds
//! later. With Kafka's only replica there is no such gap, and tests and scripts rely on it: produce, then
//! ask for the end or fetch. So whoever asks in between has the sync hurried and waits for it, as long as it
//! may take in good health; behind a disk that stands still it gets what is durable.

use std::collections::{BTreeSet, VecDeque};

use env::{Disk, Env};
use types::{Mono, NextOffset, TopicPartition};

use super::message::{OffsetQuery, OffsetSpec, ShardMessage};
use super::timers::Timer;
use super::{Shard, Slot};

/// How long a reader waits for a sync.
const PATIENCE_MS: i64 = 100;

/// Messages that wait.
pub(crate) struct Parked<D: Disk> {
    waiting: VecDeque<Reader<D>>,
}

struct Reader<D: Disk> {
    message: ShardMessage<D>,
    /// What is to be durable first.
    ends: Vec<(TopicPartition, NextOffset)>,
    deadline: Mono,
}

impl<D: Disk> Default for Parked<D> {
    fn default() -> Self {
        Parked {
            waiting: VecDeque::new(),
        }
    }
}

/// The partitions of `among` whose readable end an answer would tell.
fn read_by<D: Disk>(
    message: &ShardMessage<D>,
    among: &BTreeSet<TopicPartition>,
) -> Vec<TopicPartition> {
    let is_among = |partition: &TopicPartition| among.contains(partition);
    match message {
        ShardMessage::Fetch(fetch) => {
            let read = fetch.partitions.iter().map(|it| it.partition);
            read.filter(is_among).collect()
        }
        ShardMessage::ListOffsets(queries, _) => {
            let is_start = |it: &&OffsetQuery| {
                matches!(it.spec, OffsetSpec::Earliest | OffsetSpec::EarliestLocal)
            };
            let read = queries.iter().filter(|it| !is_start(it));
            read.map(|it| it.partition).filter(is_among).collect()
        }
        ShardMessage::DeleteRecords(orders, _) => {
            let read = orders.iter().map(|it| it.partition);
            read.filter(is_among).collect()
        }
        _ => Vec::new(),
    }
}

impl<E: Env> Shard<E> {
    /// Gives a message back that can be answered now; keeps it otherwise.
    pub(super) fn park(&mut self, message: ShardMessage<E::Disk>) -> Option<ShardMessage<E::Disk>> {
        if self.work.ahead.is_empty() {
            return Some(message);
        }
        let mut ends = Vec::new();
        for partition in read_by(&message, &self.work.ahead) {
            match self.slots.get_mut(&partition) {
                Some(Slot::Open(hosted)) if hosted.is_ahead() => {
                    if let Some(end) = hosted.answered_beyond_durable() {
                        hosted.hurry(&mut self.work);
                        ends.push((partition, end));
                    }
                }
                _ => {
                    self.work.ahead.remove(&partition);
                }
            }
        }
        if ends.is_empty() {
            return Some(message);
        }
        let deadline = self.work.now().mono.after_ms(PATIENCE_MS);
        self.work.timers.add(deadline, Timer::Parked);
        self.parked.waiting.push_back(Reader {
            message,
            ends,
            deadline,
        });
        None
    }

    /// Answers those who have waited for what is durable by now, or long enough.
    pub(super) fn unpark(&mut self) {
        if self.parked.waiting.is_empty() {
            return;
        }
        let now = self.work.now().mono;
        for mut reader in std::mem::take(&mut self.parked.waiting) {
            reader.ends.retain(|(partition, end)| {
                matches!(self.slots.get(partition), Some(Slot::Open(hosted))
                    if hosted.answered_beyond_durable().is_some() && hosted.durable_end() < *end)
            });
            if reader.ends.is_empty() || reader.deadline <= now {
                self.serve(reader.message);
            } else {
                self.parked.waiting.push_back(reader);
            }
        }
    }
}
