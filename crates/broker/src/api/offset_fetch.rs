//! OffsetFetch (key 9): where groups have got to.

use env::Env;
use futures_util::future::join_all;
use group::{Request, Response};
use protocol::OffsetFetchRequest;
use protocol::offset_fetch_response::{OffsetFetchResponsePartitions, OffsetFetchResponseTopics};
use types::ErrorCode;

use super::Call;
use super::repeats::Repeats;
use crate::answer::Reply;
use crate::coordinators;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: OffsetFetchRequest) -> Reply {
    let version = call.to.version;
    let view = call.context.view();
    let mut waiting = Vec::new();
    let mut named = Repeats::new();
    for mut part in group::split_offset_fetch(version, request) {
        if !named.admit(part.group_id.clone()) {
            continue;
        }
        if let Some(topics) = &mut part.topics {
            let mut named = Repeats::new();
            topics.retain(|topic| named.admit((topic.name.clone(), topic.topic_id)));
            for topic in topics {
                let mut named = Repeats::new();
                topic.partitions.retain(|index| named.admit(*index));
            }
        }
        // Version 10 speaks of topics by id; an unknown one is answered here.
        let mut unknown = Vec::new();
        if version >= 10
            && let Some(topics) = &mut part.topics
        {
            topics.retain_mut(|topic| match view.topic_by_id(&topic.topic_id) {
                Some(found) => {
                    topic.name = found.name.clone();
                    true
                }
                None => {
                    unknown.push(OffsetFetchResponseTopics {
                        name: topic.name.clone(),
                        topic_id: topic.topic_id,
                        partitions: topic
                            .partitions
                            .iter()
                            .map(|index| OffsetFetchResponsePartitions {
                                partition_index: *index,
                                committed_offset: -1,
                                committed_leader_epoch: -1,
                                metadata: Some(protocol::Str::default()),
                                error_code: ErrorCode::UNKNOWN_TOPIC_ID.0,
                            })
                            .collect(),
                    });
                    false
                }
            });
        }
        let asked = coordinators::ask(call.context, Request::OffsetFetchGroup(part)).await;
        waiting.push(async move {
            let Response::OffsetFetchGroup(mut group) = asked.answer().await else {
                unreachable!("a fetch of offsets is answered with offsets")
            };
            if group.error_code == 0 {
                group.topics.extend(unknown);
            }
            group
        });
    }
    call.to.later(async move {
        let mut groups = join_all(waiting).await;
        if version >= 10 {
            for topic in groups.iter_mut().flat_map(|group| &mut group.topics) {
                // By id means without the name, and an offset of a topic without a known id cannot
                // be named at all.
                if topic.topic_id.is_zero()
                    && let Some(found) = view.topic_by_name(&topic.name)
                {
                    topic.topic_id = found.id;
                }
            }
            for group in &mut groups {
                group.topics.retain(|topic| !topic.topic_id.is_zero());
            }
        }
        group::merge_offset_fetch(version, groups)
    })
}
