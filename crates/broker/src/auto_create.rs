//! Topics made on first use (`auto.create.topics.enable`), and the topics that the broker itself needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use env::Env;
use metadata::BrokerConfig;
use protocol::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::{CreateTopicsRequest, Str};
use types::ErrorCode;

use crate::context::Context;
use crate::rejections::Reason;
use crate::view::{OFFSETS_TOPIC, View};

/// Records that one request may have written, as for CreateTopics: a topic is one and one for each partition.
const RECORDS_MAX: usize = 10_000;

/// Makes the missing topics if that is allowed; gives each one's error: `UNKNOWN_TOPIC_OR_PARTITION` for
/// one being made, as in Kafka (clients ask again), `INVALID_TOPIC_EXCEPTION` for one that cannot be.
///
/// All are made by one decision of the controller, so a client that leaves leaves nothing running. What is
/// beyond the limits of one request or of the cluster is answered like what is being made: a client that
/// asks again gets the rest of the former, and an operator reads of the latter.
pub(crate) async fn missing_topics<E: Env>(
    context: &Arc<Context<E>>,
    view: &View,
    missing: Vec<Str>,
    may_create: bool,
) -> Vec<(Str, ErrorCode)> {
    let may_create = may_create && view.broker_config.auto_create_topics_enable;
    let (valid, invalid) = missing
        .iter()
        .partition::<Vec<&Str>, _>(|name| metadata::names::check(name).is_ok());
    let mut errors: BTreeMap<Str, ErrorCode> = BTreeMap::new();
    for name in invalid {
        errors.insert(name.clone(), ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let count = if may_create { valid.len() } else { 0 };
    let count = count.min(room(context, view, count));
    if count > 0 {
        let made = create(context, &valid[..count]).await.unwrap_or_default();
        for (name, error) in made {
            // Made just now, or by somebody else meanwhile, or not: clients ask again.
            if matches!(
                error,
                ErrorCode::INVALID_TOPIC_EXCEPTION | ErrorCode::INVALID_REPLICATION_FACTOR
            ) {
                errors.insert(name, error);
            }
        }
    }
    let error = |name: &Str| {
        let known = errors.get(name).copied();
        known.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    };
    missing
        .into_iter()
        .map(|name| {
            let error = error(&name);
            (name, error)
        })
        .collect()
}

/// How many of `wanted` topics a request may have made now.
fn room<E: Env>(context: &Context<E>, view: &View, wanted: usize) -> usize {
    let each = usize::try_from(view.broker_config.num_partitions).unwrap_or(1);
    let at_once = (RECORDS_MAX / (1 + each)).max(1);
    let limit = context.config.limits.auto_create_partitions_max;
    let partitions = view.topics().map(|topic| topic.partitions.len()).sum();
    let room = limit.saturating_sub(partitions) / each.max(1);
    if wanted > room && context.rejections.count(Reason::AutoCreate) {
        tracing::warn!(
            topics = wanted,
            partitions,
            limit,
            "topics are not made on first use: there are too many partitions already; topics can \
             still be created by request"
        );
    }
    at_once.min(room)
}

/// Makes the topic of committed offsets if it is missing; it is made when a group is first looked for.
pub(crate) async fn offsets_topic<E: Env>(context: &Arc<Context<E>>) -> Result<(), ErrorCode> {
    if context.view().topic_by_name(OFFSETS_TOPIC).is_some() {
        return Ok(());
    }
    let name = Str::from_static(OFFSETS_TOPIC);
    let made = create(context, &[&name]).await?;
    match made.first().map(|(_, error)| *error) {
        Some(ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(()),
        Some(error) => Err(error),
        None => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

/// Makes topics, all by one decision; gives each one's error.
async fn create<E: Env>(
    context: &Arc<Context<E>>,
    names: &[&Str],
) -> Result<Vec<(Str, ErrorCode)>, ErrorCode> {
    let config = context.view().broker_config.clone();
    let request = CreateTopicsRequest {
        topics: names.iter().map(|name| new_topic(name, &config)).collect(),
        timeout_ms: 30_000,
        ..Default::default()
    };
    let response = context.controller.create_topics(request).await?;
    let results = response.topics.into_iter();
    Ok(results
        .map(|topic| (topic.name, ErrorCode(topic.error_code)))
        .collect())
}

fn new_topic(name: &Str, config: &BrokerConfig) -> CreatableTopic {
    if **name != *OFFSETS_TOPIC {
        return CreatableTopic {
            name: name.clone(),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        };
    }
    let setting = |name: &str, value: &str| CreatableTopicConfig {
        name: Str::from(name),
        value: Some(Str::from(value)),
    };
    CreatableTopic {
        name: name.clone(),
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
}
