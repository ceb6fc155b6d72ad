//! Fetch (key 1): read record batches, waiting for them if need be.
//!
//! Long poll: the shards say what there is and remember the fetch (weakly); when one of its partitions
//! moves, the fetch asks again, until there are `min_bytes`, or something other than records to tell, or
//! `max_wait_ms` are over. What is read from disk is read here and not by the shard, after the wait.
//!
//! The room before: `dispatch`. The rooms after: `fetch_session`, `shard`, `storage/read`.

use std::collections::BTreeSet;
use std::sync::Arc;

use env::{Clock, Disk, Either, Entropy, Env, race};
use protocol::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use protocol::{FetchRequest, FetchResponse, Records, Str};
use rand_core::Rng;
use storage::error::ReadError;
use storage::read::{ReadPlan, ReadResult};
use storage::transactions::AbortedPlan;
use tokio::sync::{Notify, oneshot};
use types::{ErrorCode, LeaderEpoch, Mono, Offset, PartitionIndex, TopicPartition, Uuid};

use super::{Call, epoch_if_known};
use crate::answer::Reply;
use crate::context::Context;
use crate::fetch_session::{Answered, Kind, Wanted};
use crate::shard::{Fetch, FetchAnswer, FetchPartition, Isolation, ShardMessage, read_error};

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: FetchRequest) -> Reply {
    let version = call.to.version;
    let uses_topic_ids = version >= 13;
    let arrived = call.context.env.clock().mono();
    let mut wanted = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            wanted.push(Wanted {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partition: partition.partition,
                fetch_offset: partition.fetch_offset,
                bytes_max: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            });
        }
    }
    let forgotten: Vec<(Str, Uuid, i32)> = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|p| (topic.topic.clone(), topic.topic_id, *p))
        })
        .collect();
    let connection = call.peer.id;
    let fresh_id = || {
        let mut stream = call
            .context
            .env
            .entropy()
            .stream("fetch-session", connection);
        (stream.next_u32() >> 1) as i32
    };
    let begun = call.peer.sessions.begin(
        request.session_id,
        request.session_epoch,
        uses_topic_ids,
        wanted,
        forgotten,
        fresh_id,
    );
    let (kind, wanted) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let response = FetchResponse {
                error_code: error.0,
                ..Default::default()
            };
            return call.to.now(&response);
        }
    };
    let poll = Poll {
        context: call.context.clone(),
        version,
        isolation: match request.isolation_level {
            1 => Isolation::Committed,
            _ => Isolation::Uncommitted,
        },
        is_replica: request.replica_id >= 0 || request.replica_state.replica_id >= 0,
        bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
        bytes_max: usize::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(call.context.config.limits.fetch_bytes_max),
        deadline: arrived.after_ms(request.max_wait_ms.into()),
        may_wait: request.max_wait_ms > 0,
        wanted,
    };
    call.to.later(async move {
        let answers = poll.run().await;
        respond(kind, answers)
    })
}

struct Poll<E: Env> {
    context: Arc<Context<E>>,
    version: i16,
    isolation: Isolation,
    is_replica: bool,
    bytes_min: usize,
    bytes_max: usize,
    deadline: Mono,
    may_wait: bool,
    wanted: Vec<Wanted>,
}

impl<E: Env> Poll<E> {
    async fn run(self) -> Vec<(Wanted, PartitionData)> {
        let waiter = Arc::new(Notify::new());
        let answers = loop {
            let answers = self.ask(&waiter).await;
            let bytes: usize = answers
                .iter()
                .filter_map(|a| a.plan.as_ref())
                .map(|plan| plan.size_hint())
                .sum();
            let urgent = answers
                .iter()
                .any(|a| !a.error.is_none() || a.diverging.is_some());
            if !self.may_wait || self.wanted.is_empty() || urgent || bytes >= self.bytes_min {
                break answers;
            }
            let sleep = self.context.env.clock().sleep_until(self.deadline);
            if let Either::Second(()) = race(waiter.notified(), sleep).await {
                // The last look is what the client gets, however little.
                break answers;
            }
        };
        drop(waiter);
        self.read(answers).await
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
            let read: usize = batch
                .iter()
                .filter_map(|a| a.plan.as_ref())
                .map(|plan| plan.size_hint())
                .sum();
            left = left.saturating_sub(read);
            min_one &= read == 0;
            answers.extend(batch);
        }
        // Partitions that nobody knows come last, as in Kafka.
        answers.sort_by_key(|answer| (nowhere.contains(&answer.index), answer.index));
        answers
    }

    fn partition_of(&self, wanted: &Wanted) -> Option<TopicPartition> {
        let view = self.context.view();
        let topic = if self.version >= 13 {
            view.topic_by_id(&wanted.topic_id)
        } else {
            view.topic_by_name(&wanted.topic)
        };
        topic.map(|topic| TopicPartition {
            topic_id: topic.id,
            partition: PartitionIndex(wanted.partition),
        })
    }

    /// Who leads, for a client that should ask somebody else (KIP-951).
    fn current_leader(&self, wanted: &Wanted) -> LeaderIdAndEpoch {
        let view = self.context.view();
        let topic = if self.version >= 13 {
            view.topic_by_id(&wanted.topic_id)
        } else {
            view.topic_by_name(&wanted.topic)
        };
        topic
            .and_then(|topic| topic.partitions.get(&wanted.partition))
            .map_or_else(LeaderIdAndEpoch::default, |registration| LeaderIdAndEpoch {
                leader_id: registration.leader.0,
                leader_epoch: registration.leader_epoch.0,
            })
    }

    async fn read(self, answers: Vec<FetchAnswer<E::Disk>>) -> Vec<(Wanted, PartitionData)> {
        let mut out = Vec::with_capacity(answers.len());
        for answer in answers {
            let wanted = self.wanted[answer.index].clone();
            let mut data = PartitionData {
                partition_index: wanted.partition,
                error_code: answer.error.0,
                high_watermark: answer.high_watermark.0,
                last_stable_offset: answer.last_stable_offset.0,
                log_start_offset: answer.log_start.0,
                preferred_read_replica: -1,
                records: Some(Records::default()),
                ..Default::default()
            };
            if let Some((LeaderEpoch(epoch), end)) = answer.diverging {
                data.diverging_epoch = EpochEndOffset {
                    epoch,
                    end_offset: end.0,
                };
            }
            let moved = [
                ErrorCode::FENCED_LEADER_EPOCH,
                ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ];
            if self.version >= 16 && moved.contains(&answer.error) {
                data.current_leader = self.current_leader(&wanted);
            }
            // `null` for readers of everything, a list (empty or not) for readers of what is committed
            // and for those who ask for what is not there.
            let failed = [
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                ErrorCode::UNKNOWN_TOPIC_ID,
            ]
            .contains(&answer.error);
            data.aborted_transactions =
                (failed || self.isolation == Isolation::Committed).then(Vec::new);
            if let Some(plan) = answer.plan {
                match read_with_aborted(plan, answer.aborted).await {
                    Ok((read, aborted)) => {
                        data.records = Some(Records::from_chunks(read.chunks));
                        if let Some(list) = &mut data.aborted_transactions {
                            *list = aborted;
                        }
                    }
                    Err(error) => {
                        tracing::error!(
                            topic = &*wanted.topic, partition = wanted.partition, %error,
                            "a read failed"
                        );
                        if let ReadError::Faulty { from, to, .. } = error
                            && let Some(partition) = self.partition_of(&wanted)
                        {
                            let shard = self.context.shard_of(&partition);
                            let found = ShardMessage::Faulty(partition, from, to);
                            let _ = self.context.shards[shard].send(found).await;
                        }
                        data.error_code = read_error(&error).0;
                    }
                }
            }
            out.push((wanted, data));
        }
        out
    }
}

/// Reads, and finds the aborted transactions among what was read. Records without that list would show a
/// reader of what is committed those that were aborted, so both are there or neither.
async fn read_with_aborted<D: Disk>(
    plan: ReadPlan<D>,
    aborted: Option<AbortedPlan<D>>,
) -> Result<(ReadResult, Vec<AbortedTransaction>), ReadError> {
    let read = plan.run().await?;
    let Some(aborted) = aborted else {
        return Ok((read, Vec::new()));
    };
    let aborted = aborted.run(&read).await?;
    let aborted = aborted.iter().map(|entry| AbortedTransaction {
        producer_id: entry.producer_id,
        first_offset: entry.first_offset,
    });
    let aborted = aborted.collect();
    Ok((read, aborted))
}

fn respond(kind: Kind, answers: Vec<(Wanted, PartitionData)>) -> FetchResponse {
    let mut response = FetchResponse::default();
    let mut session = match &kind {
        Kind::Full => None,
        Kind::Opened(session) | Kind::Incremental(session) => Some(
            session
                .lock()
                .expect("nobody panics with a session in hand"),
        ),
    };
    let incremental = matches!(kind, Kind::Incremental(_));
    for (wanted, data) in answers {
        if let Some(session) = &mut session {
            let answered = Answered {
                error: ErrorCode(data.error_code),
                has_records: data
                    .records
                    .as_ref()
                    .is_some_and(|records| !records.is_empty()),
                diverging: data.diverging_epoch.epoch >= 0,
                high_watermark: data.high_watermark,
                log_start: data.log_start_offset,
            };
            if !session.must_answer(&wanted, answered) && incremental {
                continue;
            }
        }
        let same = response
            .responses
            .last()
            .is_some_and(|last| last.topic == wanted.topic && last.topic_id == wanted.topic_id);
        if !same {
            response.responses.push(FetchableTopicResponse {
                topic: wanted.topic,
                topic_id: wanted.topic_id,
                ..Default::default()
            });
        }
        let topic = response.responses.last_mut().expect("pushed just now");
        topic.partitions.push(data);
    }
    response.session_id = session.map_or(0, |session| session.id());
    response
}
