//! Fetch (key 1): read record batches, waiting for them if need be.
//!
//! What is read from disk is read here and not by the shard, after the wait (`long_poll`).
//!
//! The room before: `dispatch`. The rooms after: `fetch_session`, `long_poll`, `shard`, `storage/read`.

mod long_poll;

use env::{Clock, Disk, Entropy, Env};
use protocol::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use protocol::{FetchRequest, FetchResponse, Records, Str};
use rand_core::Rng;
use storage::error::ReadError;
use storage::read::{ReadPlan, ReadResult};
use storage::transactions::AbortedPlan;
use types::{ErrorCode, LeaderEpoch, PartitionIndex, TopicPartition, Uuid};

use self::long_poll::Poll;
use super::Call;
use crate::answer::{Outcome, Reply};
use crate::fetch_session::{Answered, Kind, Wanted};
use crate::rejections::Closing;
use crate::shard::{FetchAnswer, Isolation, ShardMessage, read_error};

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
    let to = call.to;
    Reply::InTurn(Box::pin(async move {
        let Some((answers, held)) = poll.run().await else {
            return Outcome::Close(Closing::internal("the node is going down"));
        };
        match to.frame(&respond(kind, answers)) {
            Outcome::Frame(chunks) => Outcome::Large(chunks, held),
            other => other,
        }
    }))
}

impl<E: Env> Poll<E> {
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
