//! DeleteRecords (key 21): move the start of logs.

use env::Env;
use protocol::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use protocol::{DeleteRecordsRequest, DeleteRecordsResponse};
use types::{ErrorCode, PartitionIndex, TopicPartition};

use super::Call;
use super::ask_owners::ask_owners;
use crate::answer::Reply;
use crate::shard::{DeleteRecords, ShardMessage};

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: DeleteRecordsRequest) -> Reply {
    let view = call.context.view();
    let mut response = DeleteRecordsResponse::default();
    let mut places = Vec::new();
    let mut orders = Vec::new();
    for topic in &request.topics {
        let found = view.topic_by_name(&topic.name);
        let mut out = DeleteRecordsTopicResult {
            name: topic.name.clone(),
            ..Default::default()
        };
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let mut result = DeleteRecordsPartitionResult {
                partition_index: index,
                low_watermark: -1,
                ..Default::default()
            };
            match found.filter(|found| found.has_partition(index)) {
                None => result.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
                Some(found) if found.is_internal => {
                    result.error_code = ErrorCode::INVALID_TOPIC_EXCEPTION.0;
                }
                Some(found) if !found.config.deletes() => {
                    result.error_code = ErrorCode::POLICY_VIOLATION.0;
                }
                Some(found) => {
                    orders.push(DeleteRecords {
                        index: places.len(),
                        partition: TopicPartition {
                            topic_id: found.id,
                            partition: PartitionIndex(index),
                        },
                        before: partition.offset,
                    });
                    places.push((response.topics.len(), out.partitions.len()));
                }
            }
            out.partitions.push(result);
        }
        response.topics.push(out);
    }
    let key = |order: &DeleteRecords| (order.partition, order.index);
    let asked = ask_owners(call.context, orders, key, ShardMessage::DeleteRecords).await;
    call.to.later(async move {
        for (index, answer) in asked.answers(|answer| answer.index).await {
            let (topic, partition) = places[index];
            let out = &mut response.topics[topic].partitions[partition];
            match answer {
                None => out.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER.0,
                Some(answer) => {
                    out.error_code = answer.error.0;
                    out.low_watermark = answer.low_watermark;
                }
            }
        }
        response
    })
}
