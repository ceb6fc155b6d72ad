//! Finds the coordinator of a group and asks it.

use std::sync::Arc;

use env::Env;
use tokio::sync::oneshot;
use types::{ErrorCode, PartitionIndex, TopicPartition};

use crate::context::Context;
use crate::shard::ShardMessage;
use crate::view::OFFSETS_TOPIC;

/// An answer under way.
pub(crate) struct Asked {
    /// What to answer if the coordinator cannot.
    refusal: group::Refusal,
    /// And why, if it says nothing.
    error_if_unanswered: ErrorCode,
    answer: Result<oneshot::Receiver<Result<group::Response, ErrorCode>>, ErrorCode>,
}

impl Asked {
    /// The answer: the coordinator's, or the refusal that fits the request.
    pub async fn answer(self) -> group::Response {
        let answer = match self.answer {
            Err(error) => Err(error),
            Ok(waiting) => waiting.await.unwrap_or(Err(self.error_if_unanswered)),
        };
        answer.unwrap_or_else(|error| self.refusal.because(error))
    }
}

/// The partition of `__consumer_offsets` that coordinates a group.
///
/// # Errors
/// The topic has not been made: no coordinator has been looked for yet.
pub(crate) fn partition_of<E: Env>(
    context: &Context<E>,
    group_id: &str,
) -> Result<TopicPartition, ErrorCode> {
    let view = context.view();
    let topic = view
        .topic_by_name(OFFSETS_TOPIC)
        .ok_or(ErrorCode::NOT_COORDINATOR)?;
    let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if count == 0 {
        return Err(ErrorCode::NOT_COORDINATOR);
    }
    Ok(TopicPartition {
        topic_id: topic.id,
        partition: group::partition_for(group_id, count),
    })
}

/// Puts a request about one group into its coordinator's queue.
pub(crate) async fn ask<E: Env>(context: &Arc<Context<E>>, request: group::Request) -> Asked {
    let partition = match request.group_id() {
        Some(group_id) => partition_of(context, group_id),
        None => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    };
    match partition {
        Ok(partition) => ask_partition(context, partition, request).await,
        Err(error) => Asked {
            refusal: request.refusal(),
            error_if_unanswered: error,
            answer: Err(error),
        },
    }
}

/// Puts a request into the queue of one coordinator.
pub(crate) async fn ask_partition<E: Env>(
    context: &Arc<Context<E>>,
    partition: TopicPartition,
    request: group::Request,
) -> Asked {
    let (reply, answer) = oneshot::channel();
    let (refusal, error_if_unanswered) = (request.refusal(), request.error_if_unanswered());
    let message = ShardMessage::Group(partition, request, reply);
    let shard = &context.shards[context.shard_of(&partition)];
    let is_taken = shard.send(message).await.is_ok();
    Asked {
        refusal,
        error_if_unanswered,
        answer: is_taken.then_some(answer).ok_or(ErrorCode::NOT_COORDINATOR),
    }
}

/// Puts a request into the queue of every coordinator of this node.
pub(crate) async fn ask_all<E: Env>(
    context: &Arc<Context<E>>,
    request: group::Request,
) -> Vec<Asked> {
    let view = context.view();
    let Some(topic) = view.topic_by_name(OFFSETS_TOPIC) else {
        return Vec::new();
    };
    let mut asked = Vec::with_capacity(topic.partitions.len());
    for index in topic.partitions.keys() {
        let partition = TopicPartition {
            topic_id: topic.id,
            partition: PartitionIndex(*index),
        };
        asked.push(ask_partition(context, partition, request.clone()).await);
    }
    asked
}
