//! Topics made on first use (`auto.create.topics.enable`), and the topics that the broker itself needs.

use std::sync::Arc;

use env::Env;
use protocol::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::{CreateTopicsRequest, Str};
use types::ErrorCode;

use crate::context::Context;
use crate::view::{OFFSETS_TOPIC, View};

/// Makes the missing topics if that is allowed; gives each one's error: `UNKNOWN_TOPIC_OR_PARTITION` for
/// one being made, as in Kafka (clients ask again), `INVALID_TOPIC_EXCEPTION` for one that cannot be.
pub(crate) async fn missing_topics<E: Env>(
    context: &Arc<Context<E>>,
    view: &View,
    missing: Vec<Str>,
    may_create: bool,
) -> Vec<(Str, ErrorCode)> {
    let may_create = may_create && view.broker_config.auto_create_topics_enable;
    let mut out = Vec::with_capacity(missing.len());
    for name in missing {
        let error = if !may_create {
            if metadata::names::check(&name).is_err() {
                ErrorCode::INVALID_TOPIC_EXCEPTION
            } else {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            }
        } else {
            match create(context, &name).await {
                // Made just now, or by somebody else meanwhile.
                ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS => {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                }
                ErrorCode::INVALID_TOPIC_EXCEPTION => ErrorCode::INVALID_TOPIC_EXCEPTION,
                ErrorCode::INVALID_REPLICATION_FACTOR => ErrorCode::INVALID_REPLICATION_FACTOR,
                _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            }
        };
        out.push((name, error));
    }
    out
}

/// Makes the topic of committed offsets if it is missing; it is made when a group is first looked for.
pub(crate) async fn offsets_topic<E: Env>(context: &Arc<Context<E>>) -> Result<(), ErrorCode> {
    if context.view().topic_by_name(OFFSETS_TOPIC).is_some() {
        return Ok(());
    }
    match create(context, OFFSETS_TOPIC).await {
        ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS => Ok(()),
        error => Err(error),
    }
}

async fn create<E: Env>(context: &Arc<Context<E>>, name: &str) -> ErrorCode {
    let config = context.view().broker_config.clone();
    let topic = if name == OFFSETS_TOPIC {
        let setting = |name: &str, value: &str| CreatableTopicConfig {
            name: Str::from(name),
            value: Some(Str::from(value)),
        };
        CreatableTopic {
            name: Str::from(name),
            num_partitions: config.offsets_topic_num_partitions,
            // A single node cannot hold the three replicas that Kafka's default asks for.
            replication_factor: 1,
            configs: vec![
                setting("cleanup.policy", "compact"),
                setting("compression.type", "producer"),
                setting(
                    "segment.bytes",
                    &config.offsets_topic_segment_bytes.to_string(),
                ),
            ],
            ..Default::default()
        }
    } else {
        CreatableTopic {
            name: Str::from(name),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        }
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 30_000,
        ..Default::default()
    };
    match context.controller.create_topics(request).await {
        Ok(response) => response
            .topics
            .first()
            .map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |t| ErrorCode(t.error_code)),
        Err(error) => error,
    }
}
