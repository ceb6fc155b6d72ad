//! OffsetForLeaderEpoch (key 23): where the records of a leader's epoch end (KIP-101, KIP-320).

use env::Env;
use protocol::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use protocol::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use types::{ErrorCode, LeaderEpoch, PartitionIndex, TopicPartition};

use super::ask_owners::ask_owners;
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
    let key = |query: &EpochQuery| (query.partition, query.index);
    let asked = ask_owners(call.context, queries, key, ShardMessage::EpochEnds).await;
    call.to.later(async move {
        for (index, answer) in asked.answers(|answer| answer.index).await {
            let (topic, partition) = places[index];
            let out = &mut response.topics[topic].partitions[partition];
            match answer {
                None => out.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER.0,
                Some(answer) => {
                    out.error_code = answer.error.0;
                    out.leader_epoch = answer.leader_epoch.0;
                    out.end_offset = answer.end_offset.0;
                }
            }
        }
        response
    })
}
