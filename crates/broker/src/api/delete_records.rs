//! DeleteRecords (key 21): move the start of logs.

use env::Env;
use futures_util::future::join_all;
use protocol::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use protocol::{DeleteRecordsRequest, DeleteRecordsResponse};
use tokio::sync::oneshot;
use types::{ErrorCode, PartitionIndex, TopicPartition};

use super::Call;
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
    let mut waiting = Vec::new();
    for (shard, orders) in call.context.by_shard(orders, |order| order.partition) {
        let (reply, answers) = oneshot::channel();
        let indices: Vec<usize> = orders.iter().map(|order| order.index).collect();
        let _ = call.context.shards[shard]
            .send(ShardMessage::DeleteRecords(orders, reply))
            .await;
        waiting.push(async move { (indices, answers.await) });
    }
    call.to.later(async move {
        for (indices, answers) in join_all(waiting).await {
            let Ok(answers) = answers else {
                for index in indices {
                    let (topic, partition) = places[index];
                    response.topics[topic].partitions[partition].error_code =
                        ErrorCode::NOT_LEADER_OR_FOLLOWER.0;
                }
                continue;
            };
            for answer in answers {
                let (topic, partition) = places[answer.index];
                let out = &mut response.topics[topic].partitions[partition];
                out.error_code = answer.error.0;
                out.low_watermark = answer.low_watermark;
            }
        }
        response
    })
}
