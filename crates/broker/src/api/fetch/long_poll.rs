//! Long poll: the shards say what there is and remember the fetch (weakly); when one of its partitions moves, the
//! fetch asks again, until there are `min_bytes`, or something other than records to tell, or `max_wait_ms` are
//! over.

use std::collections::BTreeSet;
use std::sync::Arc;

use env::{Clock, Disk, Either, Env, race};
use protocol::fetch_response::PartitionData;
use storage::read::ReadPlan;
use tokio::sync::{Notify, oneshot};
use types::{ErrorCode, Mono, Offset, PartitionIndex, TopicPartition};

use crate::api::epoch_if_known;
use crate::context::Context;
use crate::fetch_session::Wanted;
use crate::memory::Held;
use crate::shard::{Fetch, FetchAnswer, FetchPartition, Isolation, ShardMessage};

/// A fetch that may wait.
pub(super) struct Poll<E: Env> {
    pub(super) context: Arc<Context<E>>,
    pub(super) version: i16,
    pub(super) isolation: Isolation,
    pub(super) is_replica: bool,
    pub(super) bytes_min: usize,
    pub(super) bytes_max: usize,
    pub(super) deadline: Mono,
    pub(super) may_wait: bool,
    pub(super) wanted: Vec<Wanted>,
}

impl<E: Env> Poll<E> {
    /// Waits, and reads. Gives what was read, and the memory that it holds; nothing if the node is going down.
    pub(super) async fn run(self) -> Option<(Vec<(Wanted, PartitionData)>, Held)> {
        let waiter = Arc::new(Notify::new());
        let answers = loop {
            let answers = self.ask(&waiter).await;
            let urgent = answers
                .iter()
                .any(|a| !a.error.is_none() || a.diverging.is_some());
            if !self.may_wait
                || self.wanted.is_empty()
                || urgent
                || bytes(&answers) >= self.bytes_min
            {
                break answers;
            }
            let sleep = self.context.env.clock().sleep_until(self.deadline);
            if let Either::Second(()) = race(waiter.notified(), sleep).await {
                // The last look is what the client gets, however little.
                break answers;
            }
        };
        drop(waiter);
        let held = self
            .context
            .answer_memory
            .hold_answer(bytes(&answers))
            .await?;
        Some((self.read(answers).await, held))
    }

    /// Asks every shard concerned, one after another, so that the byte limit is kept over all of them.
    async fn ask(&self, waiter: &Arc<Notify>) -> Vec<FetchAnswer<E::Disk>> {
        let view = self.context.view();
        let mut answers: Vec<FetchAnswer<E::Disk>> = Vec::with_capacity(self.wanted.len());
        let mut asked = Vec::with_capacity(self.wanted.len());
        let mut nowhere = BTreeSet::new();
        for (index, wanted) in self.wanted.iter().enumerate() {
            let (topic, unknown) = if self.version >= 13 {
                (
                    view.topic_by_id(&wanted.topic_id),
                    ErrorCode::UNKNOWN_TOPIC_ID,
                )
            } else {
                (
                    view.topic_by_name(&wanted.topic),
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                )
            };
            let found = match topic {
                None => Err(unknown),
                Some(topic) if !topic.has_partition(wanted.partition) => {
                    Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                }
                // Only a broker that the controller lists as a replica may fetch as one.
                Some(_) if self.is_replica => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                Some(topic) if self.version < 10 && topic.config.is_zstd() => {
                    Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE)
                }
                Some(topic) => Ok(topic.id),
            };
            match found {
                Ok(topic_id) => asked.push(FetchPartition {
                    index,
                    partition: TopicPartition {
                        topic_id,
                        partition: PartitionIndex(wanted.partition),
                    },
                    offset: Offset(wanted.fetch_offset),
                    bytes_max: usize::try_from(wanted.bytes_max).unwrap_or(0),
                    current_leader_epoch: epoch_if_known(wanted.current_leader_epoch),
                    last_fetched_epoch: epoch_if_known(wanted.last_fetched_epoch),
                }),
                Err(error) => {
                    nowhere.insert(index);
                    answers.push(FetchAnswer::failed(index, error));
                }
            }
        }
        let mut left = self.bytes_max;
        let mut min_one = true;
        for (shard, partitions) in self.context.by_shard(asked, |p| p.partition) {
            let (reply, answer) = oneshot::channel();
            let indices: Vec<usize> = partitions.iter().map(|p| p.index).collect();
            let message = ShardMessage::Fetch(Fetch {
                isolation: self.isolation,
                bytes_max: left,
                min_one,
                partitions,
                waiter: Arc::downgrade(waiter),
                reply,
            });
            let _ = self.context.shards[shard].send(message).await;
            let batch = answer.await.unwrap_or_else(|_| {
                indices
                    .into_iter()
                    .map(|index| FetchAnswer::failed(index, ErrorCode::NOT_LEADER_OR_FOLLOWER))
                    .collect()
            });
            let read = bytes(&batch);
            left = left.saturating_sub(read);
            min_one &= read == 0;
            answers.extend(batch);
        }
        // Partitions that nobody knows come last, as in Kafka.
        answers.sort_by_key(|answer| (nowhere.contains(&answer.index), answer.index));
        answers
    }
}

/// Bytes that are to be read, at most.
fn bytes<D: Disk>(answers: &[FetchAnswer<D>]) -> usize {
    let plans = answers.iter().filter_map(|answer| answer.plan.as_ref());
    plans.map(ReadPlan::size_hint).sum()
}
