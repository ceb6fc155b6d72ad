//! OffsetCommit (key 8): where a group has got to.

use env::Env;
use group::{Request, Response};
use protocol::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use protocol::{OffsetCommitRequest, OffsetCommitResponse};
use types::ErrorCode;

use super::Call;
use crate::answer::Reply;
use crate::coordinators;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, mut request: OffsetCommitRequest) -> Reply {
    let version = call.to.version;
    let view = call.context.view();
    // What does not exist is answered here; the coordinator hears of the rest.
    let mut refused: Vec<OffsetCommitResponseTopic> = Vec::new();
    let mut known = Vec::new();
    for mut topic in std::mem::take(&mut request.topics) {
        let (found, error) = if version >= 10 {
            (
                view.topic_by_id(&topic.topic_id),
                ErrorCode::UNKNOWN_TOPIC_ID,
            )
        } else {
            (
                view.topic_by_name(&topic.name),
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            )
        };
        if let Some(found) = found {
            topic.name = found.name.clone();
            topic.topic_id = found.id;
        }
        let mut unknown = OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            ..Default::default()
        };
        topic.partitions.retain(|partition| {
            let exists = found.is_some_and(|found| found.has_partition(partition.partition_index));
            if !exists {
                let error = if found.is_some() {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                } else {
                    error
                };
                unknown.partitions.push(OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.0,
                });
            }
            exists
        });
        if !unknown.partitions.is_empty() {
            refused.push(unknown);
        }
        if !topic.partitions.is_empty() {
            known.push(topic);
        }
    }
    if known.is_empty() && !refused.is_empty() {
        let response = OffsetCommitResponse {
            topics: refused,
            ..Default::default()
        };
        return call.to.now(&response);
    }
    request.topics = known;
    let asked = coordinators::ask(call.context, Request::OffsetCommit { version, request }).await;
    call.to.later(async move {
        let Response::OffsetCommit(mut response) = asked.answer().await else {
            unreachable!("a commit is answered with a commit")
        };
        // Kafka's order: what does not exist comes first.
        let known = std::mem::replace(&mut response.topics, refused);
        let key = |topic: &OffsetCommitResponseTopic| (topic.name.clone(), topic.topic_id);
        super::extend(&mut response.topics, known, key, |topic, known| {
            topic.partitions.extend(known.partitions);
        });
        response
    })
}
