//! Metadata (key 3): brokers, topics, leaders; and topics made on first use.

use std::collections::BTreeSet;

use env::Env;
use protocol::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::{MetadataRequest, MetadataResponse, Str};
use types::{ErrorCode, Uuid};

use super::{Call, authorized_operations, operations};
use crate::answer::Reply;
use crate::auto_create;
use crate::view::TopicView;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: MetadataRequest) -> Reply {
    let version = call.to.version;
    let view = call.context.view();
    let topic_operations = authorized_operations(
        request.include_topic_authorized_operations,
        operations::TOPIC,
    );
    let mut topics = Vec::new();
    if (10..12).contains(&version) && by_id_too_early(&request) {
        return call.to.now(&refuse_ids(&request));
    }
    match request.topics {
        // Version 0 has no null: an empty list asks for all topics, as null does later.
        None => topics.extend(
            view.topics()
                .map(|topic| described(topic, topic_operations)),
        ),
        Some(wanted) if version == 0 && wanted.is_empty() => {
            topics.extend(
                view.topics()
                    .map(|topic| described(topic, topic_operations)),
            );
        }
        Some(wanted) => {
            let mut missing: Vec<Str> = Vec::new();
            // What is asked twice is answered once: an answer may be much larger than its question.
            let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
            for topic in &wanted {
                let by_id = topic.name.is_none() || !topic.topic_id.is_zero();
                if by_id && version >= 10 {
                    if !ids.insert(topic.topic_id) {
                        continue;
                    }
                    let found = view.topic_by_id(&topic.topic_id);
                    names.extend(found.map(|found| found.name.clone()));
                    topics.push(match found {
                        Some(found) => described(found, topic_operations),
                        None => MetadataResponseTopic {
                            error_code: ErrorCode::UNKNOWN_TOPIC_ID.0,
                            name: None,
                            topic_id: topic.topic_id,
                            topic_authorized_operations: i32::MIN,
                            ..Default::default()
                        },
                    });
                    continue;
                }
                let name = topic.name.clone().unwrap_or_default();
                if !names.insert(name.clone()) {
                    continue;
                }
                match view.topic_by_name(&name) {
                    Some(found) => topics.push(described(found, topic_operations)),
                    None => missing.push(name),
                }
            }
            // Versions before 4 have no say: topics are made if the broker makes any.
            let may_create = version < 4 || request.allow_auto_topic_creation;
            let made = auto_create::missing_topics(call.context, &view, missing, may_create).await;
            topics.extend(made.into_iter().map(|(name, error)| MetadataResponseTopic {
                error_code: error.0,
                is_internal: crate::view::is_internal(&name),
                name: Some(name),
                topic_id: Uuid::ZERO,
                topic_authorized_operations: i32::MIN,
                ..Default::default()
            }));
        }
    }
    let (host, port) = call.endpoint();
    let response = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: call.context.config.node_id.0,
            host,
            port,
            rack: call.context.config.rack.as_deref().map(Str::from),
        }],
        cluster_id: Some(Str::from(view.image.cluster_id().as_str())),
        // Clients send admin requests to the broker named here; any broker forwards them.
        controller_id: call.context.config.node_id.0,
        topics,
        cluster_authorized_operations: authorized_operations(
            request.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..Default::default()
    };
    call.to.now(&response)
}

/// Whether a request names topics by id in a version that has the field and not the feature.
fn by_id_too_early(request: &MetadataRequest) -> bool {
    let topics = request.topics.iter().flatten();
    topics
        .clone()
        .any(|topic| topic.name.is_none() || !topic.topic_id.is_zero())
}

fn refuse_ids(request: &MetadataRequest) -> MetadataResponse {
    MetadataResponse {
        controller_id: -1,
        topics: request
            .topics
            .iter()
            .flatten()
            .map(|topic| MetadataResponseTopic {
                error_code: ErrorCode::INVALID_REQUEST.0,
                name: Some(topic.name.clone().unwrap_or_default()),
                topic_id: topic.topic_id,
                topic_authorized_operations: i32::MIN,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn described(topic: &TopicView, topic_authorized_operations: i32) -> MetadataResponseTopic {
    let ids = |brokers: &[types::BrokerId]| brokers.iter().map(|b| b.0).collect::<Vec<_>>();
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: topic.is_internal,
        partitions: topic
            .partitions
            .iter()
            .map(|(index, registration)| MetadataResponsePartition {
                error_code: if registration.leader.0 < 0 {
                    ErrorCode::LEADER_NOT_AVAILABLE.0
                } else {
                    0
                },
                partition_index: *index,
                leader_id: registration.leader.0,
                leader_epoch: registration.leader_epoch.0,
                replica_nodes: ids(&registration.replicas),
                isr_nodes: ids(&registration.isr),
                offline_replicas: Vec::new(),
            })
            .collect(),
        topic_authorized_operations,
    }
}
