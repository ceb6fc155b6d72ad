//! Produce (key 0): append record batches.
//!
//! A request is taken apart by partition; each batch is judged here by what needs no partition state
//! (`records::validate`) and then by the replica that leads the partition. Nothing is copied: the batch is
//! a slice of the request's frame until it lands in the log's tail buffer.
//!
//! The room before: `dispatch`. The rooms after: `records/validate`, `shard`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use env::{Clock, Env};
use futures_util::future::join_all;
use partition::Acks;
use protocol::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use protocol::{ProduceRequest, ProduceResponse, Str};
use tokio::sync::oneshot;
use types::{ErrorCode, PartitionIndex, TimestampMs, TopicPartition};

use super::Call;
use crate::answer::{Outcome, Reply};
use crate::policy;
use crate::rejections::{Closing, Reason};
use crate::shard::{Produce, ProduceAnswer, ShardMessage};
use crate::view::TopicView;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: ProduceRequest) -> Reply {
    let context = call.context;
    let view = context.view();
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let now = context.env.clock().wall();
    let mut response = ProduceResponse::default();
    let mut accepted: Vec<(TopicPartition, records::Validated)> = Vec::new();
    // Where the answer of each accepted batch goes.
    let mut places: BTreeMap<TopicPartition, (usize, usize)> = BTreeMap::new();
    for topic_data in request.topic_data {
        let topic = if call.to.version >= 13 {
            view.topic_by_id(&topic_data.topic_id)
        } else {
            view.topic_by_name(&topic_data.name)
        };
        let mut topic_response = TopicProduceResponse {
            name: topic_data.name,
            topic_id: topic_data.topic_id,
            ..Default::default()
        };
        for data in topic_data.partition_data {
            let mut out = PartitionProduceResponse {
                index: data.index,
                base_offset: -1,
                log_append_time_ms: -1,
                log_start_offset: -1,
                ..Default::default()
            };
            let judged = judge(&call, topic, data.index, data.records, acks, now);
            match judged {
                Ok((partition, batch)) => {
                    let place = (
                        response.responses.len(),
                        topic_response.partition_responses.len(),
                    );
                    match places.entry(partition) {
                        // The same partition twice: the first is served, the second refused.
                        Entry::Occupied(_) => out.error_code = ErrorCode::INVALID_REQUEST.0,
                        Entry::Vacant(entry) => {
                            entry.insert(place);
                            accepted.push((partition, batch));
                        }
                    }
                }
                Err(refusal) => {
                    out.error_code = refusal.code.0;
                    out.error_message = refusal.message.map(Str::from);
                    out.record_errors = refusal
                        .record_errors
                        .into_iter()
                        .map(|(index, message)| BatchIndexAndErrorMessage {
                            batch_index: index,
                            batch_index_error_message: Some(Str::from(message)),
                        })
                        .collect();
                }
            }
            topic_response.partition_responses.push(out);
        }
        if !topic_response.partition_responses.is_empty() {
            response.responses.push(topic_response);
        }
    }
    let held = Arc::new(std::mem::take(call.held));
    let mut waiting = Vec::new();
    for (shard, batches) in context.by_shard(accepted, |(partition, _)| *partition) {
        let (reply, answers) = oneshot::channel();
        let partitions: Vec<TopicPartition> = batches.iter().map(|(p, _)| *p).collect();
        let message = ShardMessage::Produce(Produce {
            acks: acks.expect("batches are accepted only with valid acks"),
            timeout_ms: request.timeout_ms,
            batches,
            held: held.clone(),
            reply,
        });
        let is_taken = context.shards[shard].send(message).await.is_ok();
        waiting.push(async move { (partitions, is_taken, answers.await.ok()) });
    }
    let to = call.to;
    let finish = async move {
        // The answer's names lie in the request's frame.
        let _held = held;
        for (partitions, is_taken, answers) in join_all(waiting).await {
            let Some(answers) = came_of(partitions, is_taken, answers) else {
                let why = "a shard is gone, and nobody knows what became of a batch";
                return Outcome::Close(Closing::internal(why));
            };
            for answer in answers {
                let mut place = places.get(&answer.partition);
                if types::mutant!("WIR-07") {
                    place = places.values().next();
                }
                let (topic, partition) = *place.expect("only what was asked for is answered");
                place_answer(
                    &mut response.responses[topic].partition_responses[partition],
                    answer,
                );
            }
        }
        if acks == Some(Acks::None) {
            let failed = response
                .responses
                .iter()
                .flat_map(|topic| &topic.partition_responses)
                .find(|partition| partition.error_code != 0);
            // With acks=0 there is no other way to tell the client.
            return match failed {
                Some(failed) => Outcome::Close(Closing::new(
                    Reason::UnansweredProduce,
                    format!(
                        "a produce request with acks=0 failed: {}",
                        ErrorCode(failed.error_code)
                    ),
                )),
                None => Outcome::Nothing,
            };
        }
        to.frame(&response)
    };
    Reply::Later(Box::pin(finish))
}

struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    record_errors: Vec<(i32, String)>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal {
            code,
            message: None,
            record_errors: Vec::new(),
        }
    }
}

fn judge<E: Env>(
    call: &Call<'_, E>,
    topic: Option<&TopicView>,
    index: i32,
    batch: Option<protocol::Records>,
    acks: Option<Acks>,
    now: types::Wall,
) -> Result<(TopicPartition, records::Validated), Refusal> {
    let Some(topic) = topic else {
        let code = if call.to.version >= 13 {
            ErrorCode::UNKNOWN_TOPIC_ID
        } else {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        };
        return Err(code.into());
    };
    if !topic.has_partition(index) {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into());
    }
    let partition = TopicPartition {
        topic_id: topic.id,
        partition: PartitionIndex(index),
    };
    let bytes = batch.map(protocol::Records::into_bytes).unwrap_or_default();
    if acks.is_none() {
        return Err(ErrorCode::INVALID_REQUIRED_ACKS.into());
    }
    if topic.is_internal && call.client_id.as_deref() != Some("__admin_client") {
        return Err(Refusal {
            code: ErrorCode::INVALID_TOPIC_EXCEPTION,
            message: Some(format!("Cannot append to internal topic {}", topic.name)),
            record_errors: Vec::new(),
        });
    }
    let limit = call.context.config.limits.decompressed_bytes_max;
    if *call.context.disk_low.borrow() {
        return Err(Refusal {
            code: ErrorCode::KAFKA_STORAGE_ERROR,
            message: Some("The disk is nearly full".to_owned()),
            record_errors: Vec::new(),
        });
    }
    let policy = policy::produce(&topic.config, call.to.version, now, limit);
    let validated = records::validate(bytes, &policy).map_err(refused)?;
    if validated.header.attributes.is_transactional() {
        // No transaction can be open: there is no transaction coordinator yet.
        let code = if call.to.version >= 11 {
            ErrorCode::TRANSACTION_ABORTABLE
        } else {
            ErrorCode::INVALID_TXN_STATE
        };
        return Err(code.into());
    }
    Ok((partition, validated))
}

fn refused(rejection: records::Rejection) -> Refusal {
    Refusal {
        code: rejection.error,
        message: Some(rejection.message),
        record_errors: rejection
            .record_errors
            .into_iter()
            .map(|error| (error.batch_index, error.message))
            .collect(),
    }
}

/// What came of the batches that a shard was sent. Those that it did not take are not appended, and the client is
/// told. Of those that it took and said nothing of nobody knows; every code would say that they are appended or
/// that they are not, and only a connection that ends says neither.
fn came_of(
    partitions: Vec<TopicPartition>,
    is_taken: bool,
    answers: Option<Vec<ProduceAnswer>>,
) -> Option<Vec<ProduceAnswer>> {
    let not_taken = |partition| ProduceAnswer {
        partition,
        error: ErrorCode::NOT_LEADER_OR_FOLLOWER,
        message: None,
        base_offset: types::Offset(-1),
        log_append_time: TimestampMs::NONE,
        log_start: types::Offset(-1),
    };
    match answers {
        None if !is_taken => Some(partitions.into_iter().map(not_taken).collect()),
        answers => answers,
    }
}

fn place_answer(out: &mut PartitionProduceResponse, answer: ProduceAnswer) {
    out.error_code = answer.error.0;
    out.error_message = answer.message.map(Str::from);
    out.base_offset = answer.base_offset.0;
    out.log_append_time_ms = answer.log_append_time.0;
    out.log_start_offset = answer.log_start.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_not_said() {
        let partition = TopicPartition {
            topic_id: types::Uuid::ZERO,
            partition: PartitionIndex(0),
        };
        let refused = came_of(vec![partition], false, None).expect("nothing was appended");
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].error, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert_eq!(came_of(vec![partition], true, None), None);
        assert_eq!(
            came_of(vec![partition], true, Some(refused.clone())),
            Some(refused)
        );
    }
}
