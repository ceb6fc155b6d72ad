//! DescribeTopicPartitions (key 75): partitions of topics, in pages.

use env::Env;
use protocol::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, Str};
use types::{BrokerId, ErrorCode};

use super::{Call, authorized_operations, operations};
use crate::answer::Reply;

/// Partitions in one page, whatever the client asks for (`max.request.partition.size.limit`).
const PAGE_PARTITIONS_MAX: i32 = 2000;

pub(crate) async fn handle<E: Env>(
    call: Call<'_, E>,
    request: DescribeTopicPartitionsRequest,
) -> Reply {
    let view = call.context.view();
    let limit = request.response_partition_limit.min(PAGE_PARTITIONS_MAX);
    let mut left = usize::try_from(limit).unwrap_or(0).max(1);
    let all = request.topics.is_empty();
    let mut names: Vec<Str> = if all {
        view.topics().map(|topic| topic.name.clone()).collect()
    } else {
        request
            .topics
            .iter()
            .map(|topic| topic.name.clone())
            .collect()
    };
    names.sort();
    names.dedup();
    let start = request.cursor.as_ref();
    let mut response = DescribeTopicPartitionsResponse::default();
    let is_bad = request.cursor.as_ref().is_some_and(|cursor| {
        cursor.partition_index < 0 || (!all && !names.contains(&cursor.topic_name))
    });
    if is_bad {
        response.topics = names
            .into_iter()
            .map(|name| DescribeTopicPartitionsResponseTopic {
                error_code: ErrorCode::INVALID_REQUEST.0,
                name: Some(name),
                topic_authorized_operations: i32::MIN,
                ..Default::default()
            })
            .collect();
        return call.to.now(&response);
    }
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|b| b.0).collect::<Vec<_>>();
    for name in names {
        let mut first_partition = 0;
        if let Some(cursor) = start {
            if name < cursor.topic_name {
                continue;
            }
            if name == cursor.topic_name {
                first_partition = cursor.partition_index.max(0);
            }
        }
        let Some(topic) = view.topic_by_name(&name) else {
            let error = if metadata::names::check(&name).is_err() {
                ErrorCode::INVALID_TOPIC_EXCEPTION
            } else {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            };
            response.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: error.0,
                name: Some(name),
                topic_authorized_operations: authorized_operations(true, operations::TOPIC),
                ..Default::default()
            });
            continue;
        };
        if left == 0 {
            response.next_cursor = Some(Cursor {
                topic_name: name,
                partition_index: 0,
            });
            break;
        }
        let rest: Vec<_> = topic.partitions.range(first_partition..).collect();
        let page = rest.len().min(left);
        response.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: 0,
            name: Some(name.clone()),
            topic_id: topic.id,
            is_internal: topic.is_internal,
            partitions: rest[..page]
                .iter()
                .map(
                    |(index, registration)| DescribeTopicPartitionsResponsePartition {
                        error_code: 0,
                        partition_index: **index,
                        leader_id: registration.leader.0,
                        leader_epoch: registration.leader_epoch.0,
                        replica_nodes: ids(&registration.replicas),
                        isr_nodes: ids(&registration.isr),
                        eligible_leader_replicas: Some(ids(&registration.elr)),
                        last_known_elr: Some(Vec::new()),
                        offline_replicas: Vec::new(),
                    },
                )
                .collect(),
            topic_authorized_operations: authorized_operations(true, operations::TOPIC),
        });
        left -= page;
        if page < rest.len() {
            response.next_cursor = Some(Cursor {
                topic_name: name,
                partition_index: *rest[page].0,
            });
            break;
        }
    }
    call.to.now(&response)
}
