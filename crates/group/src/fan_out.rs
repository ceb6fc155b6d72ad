//! OffsetFetch in its two shapes: one group up to version 7, several from version 8.

use protocol::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use protocol::{OffsetFetchRequest, OffsetFetchResponse, Str};
use types::{ErrorCode, Uuid};

use crate::api::{OffsetFetchGroup, OffsetFetchTopic};

/// The request, one part per group. Topic names (version 10 has only ids) are filled in by the host.
#[must_use]
pub fn split_offset_fetch(version: i16, request: OffsetFetchRequest) -> Vec<OffsetFetchGroup> {
    let require_stable = request.require_stable;
    if version < 8 {
        let topics = request.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| OffsetFetchTopic {
                    name: topic.name,
                    topic_id: Uuid::ZERO,
                    partitions: topic.partition_indexes,
                })
                .collect()
        });
        return vec![OffsetFetchGroup {
            version,
            group_id: request.group_id,
            topics,
            require_stable,
        }];
    }
    request
        .groups
        .into_iter()
        .map(|group| OffsetFetchGroup {
            version,
            group_id: group.group_id,
            topics: group.topics.map(|topics| {
                topics
                    .into_iter()
                    .map(|topic| OffsetFetchTopic {
                        name: topic.name,
                        topic_id: topic.topic_id,
                        partitions: topic.partition_indexes,
                    })
                    .collect()
            }),
            require_stable,
        })
        .collect()
}

/// The response from the answers of its parts, in the order of [`split_offset_fetch`].
///
/// # Panics
///
/// Up to version 7 there is exactly one part.
#[must_use]
pub fn merge_offset_fetch(
    version: i16,
    groups: Vec<OffsetFetchResponseGroup>,
) -> OffsetFetchResponse {
    if version >= 8 {
        return OffsetFetchResponse {
            groups,
            ..Default::default()
        };
    }
    let [group]: [OffsetFetchResponseGroup; 1] = groups
        .try_into()
        .expect("up to version 7 one group is asked about");
    // Version 1 has no error of its own: its partitions say what went wrong.
    let in_partitions = version < 2 && group.error_code != ErrorCode::NONE.0;
    let topics = group
        .topics
        .into_iter()
        .map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: topic
                .partitions
                .into_iter()
                .map(|partition| {
                    if in_partitions {
                        OffsetFetchResponsePartition {
                            partition_index: partition.partition_index,
                            committed_offset: -1,
                            committed_leader_epoch: -1,
                            metadata: Some(Str::new()),
                            error_code: group.error_code,
                        }
                    } else {
                        OffsetFetchResponsePartition {
                            partition_index: partition.partition_index,
                            committed_offset: partition.committed_offset,
                            committed_leader_epoch: partition.committed_leader_epoch,
                            metadata: partition.metadata,
                            error_code: partition.error_code,
                        }
                    }
                })
                .collect(),
        })
        .collect();
    let error_code = if version < 2 {
        ErrorCode::NONE.0
    } else {
        group.error_code
    };
    OffsetFetchResponse {
        topics,
        error_code,
        ..Default::default()
    }
}
