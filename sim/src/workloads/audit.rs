//! The end of a run: everything is read back, by somebody who asks until there is an answer.

use std::collections::BTreeMap;

use client::admin::Resource;
use client::{Admin, Cluster, Lane, TopicPartition as Place};
use env::{Clock, Env};
use protocol::Str;
use protocol::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use records::Batches;
use types::ErrorCode;
use world::SimEnv;

use super::{Client, consume, group};
use crate::history::{Audit, TopicFacts, partition_of, stamps_of};
use crate::oracles::admin::Found;
use crate::oracles::producer::Sequenced;
use crate::scenario;

/// Reads everything and judges it.
pub async fn run(client: Client, groups: Vec<scenario::Group>, topics: Vec<String>) {
    let mut cluster = Cluster::new(&client.env, client.options());
    for topic in client.history.topics() {
        for partition in 0..topic.partitions {
            let Some(audit) = read_back(&client, &mut cluster, &topic, partition).await else {
                // Damaged, and said so.
                client.history.exercised("partition-reported");
                continue;
            };
            let at = partition_of(topic.id, partition);
            client.history.audited(at, &audit);
            client.history.exercised("partition-audited");
        }
    }
    for group in groups {
        let Some(topic) = client.history.topic(&topics[group.topic]) else {
            continue;
        };
        for partition in 0..topic.partitions {
            let mut tries = 0;
            while !group::look_at_commit(&client, &mut cluster, &group.id, &topic, partition).await
            {
                tries += 1;
                if tries > 3 && client.history.lock().harmed_groups().any {
                    client.history.exercised("commit-unreadable");
                    break;
                }
                client.sleep_ms(100).await;
            }
        }
    }
    if !client.history.lock().harmed_metadata().any {
        look_at_topics(&client).await;
    }
    client.history.finish(&client.name);
}

/// A partition from its start to its end.
async fn read_back(
    client: &Client,
    cluster: &mut Cluster<SimEnv>,
    topic: &TopicFacts,
    partition: i32,
) -> Option<Audit> {
    let mut audit = Audit {
        log_start: i64::MAX,
        ..Audit::default()
    };
    let at = partition_of(topic.id, partition);
    let (mut from, mut refusals) = (0, 0);
    loop {
        let answer = match fetch(client, cluster, topic, partition, from).await {
            Ok(answer) => answer,
            Err(error) => {
                client.judge(&error);
                client.sleep_ms(50).await;
                continue;
            }
        };
        match ErrorCode(answer.error_code) {
            ErrorCode::NONE => {}
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let ends = consume::look_at_ends(client, cluster, topic, partition).await;
                let start = ends.map_or(from, |(earliest, _)| earliest);
                if start > from {
                    // Retention went on meanwhile: what was read before says nothing of what follows.
                    audit.batches.clear();
                }
                from = start;
                client.sleep_ms(20).await;
                continue;
            }
            // A hole: what is behind it is read all the same.
            ErrorCode::CORRUPT_MESSAGE => {
                let Some((earliest, latest)) =
                    consume::look_at_ends(client, cluster, topic, partition).await
                else {
                    client.sleep_ms(50).await;
                    continue;
                };
                let told = client.history.end_of_broken_range(at, from);
                let next = told.unwrap_or(from + 1).max(from + 1);
                audit.reported.push((from, next));
                client.history.exercised("hole-reported");
                from = next;
                audit.log_start = audit.log_start.min(earliest);
                if from >= latest {
                    return Some(audit);
                }
                continue;
            }
            error => {
                client.history.met(
                    &client.name,
                    &format!("{}-{partition}: {error}", topic.name),
                );
                refusals += 1;
                // What holds the partition up may be that its files are damaged, or that the log of the
                // metadata is.
                let excused = {
                    let mut inner = client.history.lock();
                    inner.harmed(at).any || inner.harmed_metadata().any
                };
                if excused && refusals > 20 {
                    return None;
                }
                client.sleep_ms(50).await;
                continue;
            }
        }
        audit.log_start = audit.log_start.min(answer.log_start_offset).max(0);
        let high_watermark = answer.high_watermark;
        let bytes = answer
            .records
            .map(protocol::Records::into_bytes)
            .unwrap_or_default();
        let before = from;
        for batch in Batches::new(bytes) {
            let sound = batch.as_ref().is_ok_and(|batch| batch.verify_crc().is_ok());
            let stamps = match &batch {
                Ok(batch) if sound => stamps_of(batch),
                Ok(_) => Err(format!("a batch with a wrong checksum after offset {from}")),
                Err(error) => Err(error.to_string()),
            };
            let (Ok(batch), Ok(stamps)) = (batch, stamps.clone()) else {
                client
                    .history
                    .violated("L11", stamps.err().unwrap_or_default());
                return None;
            };
            let header = batch.header();
            audit.records.extend(stamps);
            audit.batches.push(Sequenced {
                base_offset: header.base_offset.0,
                producer_id: header.producer_id.0,
                epoch: header.producer_epoch.0,
                base_sequence: header.base_sequence.0,
                count: header.last_offset_delta + 1,
            });
            from = header.base_offset.0 + i64::from(header.last_offset_delta) + 1;
        }
        if from >= high_watermark {
            // The start may have moved since the first answer.
            audit.log_start = audit.log_start.max(answer.log_start_offset);
            return Some(audit);
        }
        if from == before {
            client.sleep_ms(50).await;
        }
    }
}

async fn fetch(
    client: &Client,
    cluster: &mut Cluster<SimEnv>,
    topic: &TopicFacts,
    partition: i32,
    from: i64,
) -> client::Result<protocol::fetch_response::PartitionData> {
    let deadline = cluster.deadline();
    let place = Place::new(topic.name.as_str(), partition);
    let (leader, _) = cluster.leader(&place, deadline).await?;
    let connection = cluster.node(Lane::Main, leader, deadline).await?;
    let build = |_| FetchRequest {
        max_wait_ms: 0,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: Str::from(topic.name.as_str()),
            topic_id: topic.id,
            partitions: vec![FetchPartition {
                partition,
                current_leader_epoch: -1,
                fetch_offset: from,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
        }],
        ..FetchRequest::default()
    };
    let until = client
        .env
        .clock()
        .mono()
        .after(cluster.options().request_timeout);
    let answer = connection.call(build, until).await?;
    let error = ErrorCode(answer.error_code);
    if !error.is_none() {
        return Err(client::Error::server(error));
    }
    let mut partitions = answer
        .responses
        .into_iter()
        .flat_map(|topic| topic.partitions);
    partitions.next().ok_or_else(|| client::Error::Protocol {
        peer: "broker".to_owned(),
        detail: "an answer to Fetch without its partition".to_owned(),
    })
}

/// The topics of the admins.
async fn look_at_topics(client: &Client) {
    let mut admin = Admin::new(&client.env, client.options());
    let topics = loop {
        match admin.list_topics().await {
            Ok(topics) => break topics,
            Err(error) => client.judge(&error),
        }
        client.sleep_ms(50).await;
    };
    let named = client.history.lock().admin.may_be_there();
    let mut found = BTreeMap::new();
    for topic in topics {
        let name = topic.name.to_string();
        let mut settings = BTreeMap::new();
        if named.contains(&name) {
            let resource = Resource::topic(name.as_str());
            let keys = [Str::from(super::admin::SETTING)];
            let described = loop {
                match admin
                    .describe_configs(std::slice::from_ref(&resource), Some(&keys), false, false)
                    .await
                {
                    Ok(described) => break described,
                    Err(error) => client.judge(&error),
                }
                client.sleep_ms(50).await;
            };
            for (_, entries) in described {
                for entry in entries.unwrap_or_default() {
                    settings.extend(
                        entry
                            .value
                            .map(|value| (entry.name.to_string(), value.to_string())),
                    );
                }
            }
        }
        let facts = Found {
            id: topic.id,
            partitions: topic.partitions.len(),
            settings,
        };
        found.insert(name, facts);
    }
    let mut inner = client.history.lock();
    let inner = &mut *inner;
    inner.admin.finish(&found, &mut inner.judge);
}
