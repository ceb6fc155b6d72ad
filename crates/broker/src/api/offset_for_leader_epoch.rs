//! OffsetForLeaderEpoch (key 23): where the records of a leader's epoch end (KIP-101, KIP-320).

use env::Env;
use futures_util::future::join_all;
use protocol::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use protocol::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use tokio::sync::oneshot;
use types::{ErrorCode, LeaderEpoch, PartitionIndex, TopicPartition};

use super::{Call, epoch_if_known};
use crate::answer::Reply;
use crate::shard::{EpochQuery, ShardMessage};

pub(crate) async fn handle<E: Env>(
    call: Call<'_, E>,
    request: OffsetForLeaderEpochRequest,
) -> Reply {
    let view = call.context.view();
    let mut response = OffsetForLeaderEpochResponse::default();
    let mut places = Vec::new();
    let mut queries = Vec::new();
    for topic in &request.topics {
        let found = view.topic_by_name(&topic.topic);
        let mut out = OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            ..Default::default()
        };
        for partition in &topic.partitions {
            let mut answer = EpochEndOffset {
                partition: partition.partition,
                leader_epoch: -1,
                end_offset: -1,
                ..Default::default()
            };
            match found.filter(|found| found.has_partition(partition.partition)) {
                Some(found) => {
                    queries.push(EpochQuery {
                        index: places.len(),
                        partition: TopicPartition {
                            topic_id: found.id,
                            partition: PartitionIndex(partition.partition),
                        },
                        current_leader_epoch: epoch_if_known(partition.current_leader_epoch),
                        leader_epoch: LeaderEpoch(partition.leader_epoch),
                    });
                    places.push((response.topics.len(), out.partitions.len()));
                }
                None => answer.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
            }
            out.partitions.push(answer);
        }
        response.topics.push(out);
    }
    let mut waiting = Vec::new();
    for (shard, queries) in call.context.by_shard(queries, |query| query.partition) {
        let (reply, answers) = oneshot::channel();
        let indices: Vec<usize> = queries.iter().map(|query| query.index).collect();
        let _ = call.context.shards[shard]
            .send(ShardMessage::EpochEnds(queries, reply))
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
                out.leader_epoch = answer.leader_epoch.0;
                out.end_offset = answer.end_offset.0;
            }
        }
        response
    })
}
