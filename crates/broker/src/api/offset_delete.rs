//! OffsetDelete (key 47): forget where a group has got to in some topics.

use env::Env;
use group::{Request, Response};
use protocol::OffsetDeleteRequest;
use protocol::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use types::ErrorCode;

use super::Call;
use crate::answer::Reply;
use crate::coordinators;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, mut request: OffsetDeleteRequest) -> Reply {
    let view = call.context.view();
    let mut refused: Vec<OffsetDeleteResponseTopic> = Vec::new();
    let mut known = Vec::new();
    for mut topic in std::mem::take(&mut request.topics) {
        let found = view.topic_by_name(&topic.name);
        let mut unknown = OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            ..Default::default()
        };
        topic.partitions.retain(|partition| {
            let exists = found.is_some_and(|found| found.has_partition(partition.partition_index));
            if !exists {
                unknown.partitions.push(OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
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
    request.topics = known;
    let asked = coordinators::ask(call.context, Request::OffsetDelete { request }).await;
    call.to.later(async move {
        let Response::OffsetDelete(mut response) = asked.answer().await else {
            unreachable!("a deletion is answered with a deletion")
        };
        if response.error_code == 0 {
            let key = |topic: &OffsetDeleteResponseTopic| topic.name.clone();
            super::extend(&mut response.topics, refused, key, |known, topic| {
                known.partitions.extend(topic.partitions);
            });
        }
        response
    })
}
