//! ListOffsets (key 2): where a log starts and ends, and which record was the first at a time.

use std::collections::BTreeSet;

use env::Env;
use protocol::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::{ListOffsetsRequest, ListOffsetsResponse};
use types::{ErrorCode, PartitionIndex, TimestampMs, TopicPartition};

use super::ask_owners::ask_owners;
use super::{Call, epoch_if_known};
use crate::answer::Reply;
use storage::error::ReadError;
use storage::time_lookup::TimestampOffset;

use crate::shard::{Isolation, OffsetFound, OffsetQuery, OffsetSpec, ShardMessage, read_error};

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: ListOffsetsRequest) -> Reply {
    let version = call.to.version;
    let view = call.context.view();
    let isolation = if request.isolation_level == 1 {
        Isolation::Committed
    } else {
        Isolation::Uncommitted
    };
    let mut response = ListOffsetsResponse::default();
    let mut places = Vec::new();
    let mut queries = Vec::new();
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if !seen.insert((topic.name.clone(), partition.partition_index)) {
                twice.insert((topic.name.clone(), partition.partition_index));
            }
        }
    }
    for topic in &request.topics {
        let found = view.topic_by_name(&topic.name);
        let mut out = ListOffsetsTopicResponse {
            name: topic.name.clone(),
            ..Default::default()
        };
        let mut answered = BTreeSet::new();
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let is_twice = twice.contains(&(topic.name.clone(), index));
            if is_twice && !answered.insert(index) {
                // Asked twice, answered once.
                continue;
            }
            let mut answer = ListOffsetsPartitionResponse {
                partition_index: index,
                timestamp: -1,
                offset: -1,
                leader_epoch: -1,
                ..Default::default()
            };
            let spec = spec(partition.timestamp, version);
            if is_twice {
                answer.error_code = ErrorCode::INVALID_REQUEST.0;
            } else if let (Some(found), Some(spec)) =
                (found.filter(|found| found.has_partition(index)), spec)
            {
                queries.push(OffsetQuery {
                    index: places.len(),
                    partition: TopicPartition {
                        topic_id: found.id,
                        partition: PartitionIndex(index),
                    },
                    spec,
                    isolation,
                    current_leader_epoch: epoch_if_known(partition.current_leader_epoch),
                });
                places.push((response.topics.len(), out.partitions.len()));
            } else if spec.is_none() {
                answer.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
            } else {
                answer.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
            }
            out.partitions.push(answer);
        }
        if !out.partitions.is_empty() {
            response.topics.push(out);
        }
    }
    let key = |query: &OffsetQuery| (query.partition, query.index);
    let asked = ask_owners(call.context, queries, key, ShardMessage::ListOffsets).await;
    call.to.later(async move {
        for (index, answer) in asked.answers(|answer| answer.index).await {
            let (topic, partition) = places[index];
            let out = &mut response.topics[topic].partitions[partition];
            match answer {
                None => out.error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER.0,
                Some(answer) => match answer.found {
                    OffsetFound::Error(error) => out.error_code = error.0,
                    OffsetFound::Known {
                        offset,
                        timestamp,
                        leader_epoch,
                    } => {
                        out.offset = offset;
                        out.timestamp = timestamp;
                        out.leader_epoch = leader_epoch.0;
                    }
                    OffsetFound::Timestamp(search) => found(out, search.run().await),
                    OffsetFound::MaxTimestamp(search) => found(out, search.run().await),
                },
            }
        }
        if version < 4 {
            // These versions have no place for it.
            let partitions = response
                .topics
                .iter_mut()
                .flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.leader_epoch = -1);
        }
        response
    })
}

fn found(
    out: &mut ListOffsetsPartitionResponse,
    result: Result<Option<TimestampOffset>, ReadError>,
) {
    match result {
        Ok(Some(found)) => {
            out.offset = found.offset.0;
            out.timestamp = found.timestamp.0;
            out.leader_epoch = found.leader_epoch.0;
        }
        Ok(None) => {}
        Err(error) => out.error_code = read_error(&error).0,
    }
}

/// What a timestamp asks for; negative ones have meanings that came with versions.
fn spec(timestamp: i64, version: i16) -> Option<OffsetSpec> {
    match timestamp {
        -1 => Some(OffsetSpec::Latest),
        -2 => Some(OffsetSpec::Earliest),
        -3 if version >= 7 => Some(OffsetSpec::MaxTimestamp),
        -4 if version >= 8 => Some(OffsetSpec::EarliestLocal),
        -5 if version >= 9 => Some(OffsetSpec::LatestTiered),
        -6 if version >= 11 => Some(OffsetSpec::EarliestPendingUpload),
        negative if negative < 0 => None,
        timestamp => Some(OffsetSpec::At(TimestampMs(timestamp))),
    }
}
