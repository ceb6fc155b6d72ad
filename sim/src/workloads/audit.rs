//! The end of a run: everything is read back, by somebody who asks until there is an answer.

use std::collections::BTreeMap;

use client::admin::Resource;
use client::{Admin, Cluster, Lane, TopicPartition as Place};
use env::{Clock, Env};
use protocol::Str;
use protocol::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use records::Batches;
use types::ErrorCode;
use world::SimEnv;

use super::{Client, consume, group, hostile};
use crate::history::{Audit, TopicFacts, partition_of, stamps_of};
use crate::oracles::admin::Found;
use crate::oracles::producer::Sequenced;
use crate::oracles::replay;
use crate::scenario;

/// Reads everything and judges it.
pub async fn run(
    client: Client,
    groups: Vec<scenario::Group>,
    topics: Vec<String>,
    offsets_partitions: Option<usize>,
) {
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
            look_beside(&client, &mut cluster, &topic, partition, &audit).await;
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
        look_at_topics(&client, offsets_partitions).await;
        look_for_the_deleted(&client, &mut cluster).await;
    }
    hostile::one_answer_each(&client).await;
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
                    audit.times.clear();
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
            let records = batch.records(16 << 20).into_iter().flatten().flatten();
            audit
                .times
                .extend(records.map(|record| (record.offset.0, record.timestamp.0)));
            audit.records.extend(stamps);
            audit.batches.push(Sequenced {
                base_offset: header.base_offset.0,
                producer_id: header.producer_id.0,
                epoch: header.producer_epoch.0,
                base_sequence: header.base_sequence.0,
                count: header.last_offset_delta + 1,
                leader_epoch: header.leader_epoch.0,
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

/// Asks for what the broker keeps beside a log, if the log was read as a whole and nothing goes on.
async fn look_beside(
    client: &Client,
    cluster: &mut Cluster<SimEnv>,
    topic: &TopicFacts,
    partition: i32,
    audit: &Audit,
) {
    let at = partition_of(topic.id, partition);
    let is_whole = audit.reported.is_empty() && !client.history.lock().harmed(at).any;
    let Some(last) = audit.batches.last().filter(|_| is_whole) else {
        return;
    };
    let end = last.base_offset + i64::from(last.count);
    let place = Place::new(topic.name.as_str(), partition);
    let epochs = epoch_ends(client, cluster, topic, partition, audit).await;
    let mut admin = Admin::new(&client.env, client.options());
    let producers = admin.describe_producers([place.clone()]).await;
    let mut times = Vec::new();
    for part in 0..4 {
        let Some((_, time)) = audit.times.get(audit.times.len() * part / 4) else {
            continue;
        };
        let asked = time + part as i64 % 2;
        let places = BTreeMap::from([(
            place.clone(),
            client::OffsetSpec::Timestamp(types::TimestampMs(asked)),
        )]);
        let deadline = cluster.deadline();
        let mut answer = cluster
            .list_offsets(places, client::Isolation::ReadUncommitted, deadline)
            .await;
        if let Some(Ok(found)) = answer.remove(&place) {
            times.push((asked, found.offset.map(|offset| offset.0)));
        }
    }
    let ends = consume::look_at_ends(client, cluster, topic, partition).await;
    // A batch whose producer has given up may still wait to be durable: its producer is known by then.
    if ends != Some((audit.log_start, end)) || !client.history.ends_at(at, end) {
        client.history.exercised("audit-overtaken");
        return;
    }
    let mut inner = client.history.lock();
    let judge = &mut inner.judge;
    for (asked, answer) in epochs {
        replay::judge_epoch_end(at, &audit.batches, asked, answer, judge);
    }
    for told in producers.into_values().flatten() {
        let told = told
            .into_iter()
            .map(|p| (p.producer_id, (p.producer_epoch, p.last_sequence)))
            .collect();
        replay::judge_producers(at, &audit.batches, &told, judge);
    }
    let mut kept = audit.times.clone();
    kept.retain(|(offset, _)| *offset >= audit.log_start);
    for (asked, found) in times {
        replay::judge_time(at, &kept, asked, found, judge);
    }
}

/// Where the epochs of a log end, as the broker says.
async fn epoch_ends(
    client: &Client,
    cluster: &mut Cluster<SimEnv>,
    topic: &TopicFacts,
    partition: i32,
    audit: &Audit,
) -> Vec<(i32, (i32, i64))> {
    let mut epochs: Vec<i32> = (audit.batches.iter())
        .flat_map(|batch| [batch.leader_epoch, batch.leader_epoch + 1])
        .collect();
    epochs.dedup();
    epochs.truncate(12);
    let mut answers = Vec::new();
    for asked in epochs {
        let deadline = cluster.deadline();
        let answer = cluster
            .call_any(
                client::Repeat::Always,
                deadline,
                |_| OffsetForLeaderEpochRequest {
                    topics: vec![OffsetForLeaderTopic {
                        topic: Str::from(topic.name.as_str()),
                        partitions: vec![OffsetForLeaderPartition {
                            partition,
                            current_leader_epoch: -1,
                            leader_epoch: asked,
                        }],
                    }],
                    ..OffsetForLeaderEpochRequest::default()
                },
                |_| Ok(()),
            )
            .await;
        match answer {
            Ok(answer) => {
                let found = answer.topics.iter().flat_map(|topic| &topic.partitions);
                let found = found.filter(|found| found.error_code == 0);
                answers.extend(found.map(|found| (asked, (found.leader_epoch, found.end_offset))));
            }
            Err(error) => client.judge(&error),
        }
    }
    answers
}

/// Topics that are gone are not found by their ids, whatever has their names by now.
async fn look_for_the_deleted(client: &Client, cluster: &mut Cluster<SimEnv>) {
    let ids = client.history.lock().admin.deleted_ids();
    for id in ids {
        let gone = TopicFacts {
            name: String::new(),
            id,
            partitions: 1,
            synced: false,
            retention: false,
        };
        let deadline = cluster.deadline();
        let Ok(connection) = cluster.node(Lane::Main, 1, deadline).await else {
            continue;
        };
        let until = (client.env.clock().mono()).after(cluster.options().request_timeout);
        let answer = connection.call(|_| ask_for(&gone, 0, 0), until).await;
        let Ok(answer) = answer else {
            continue;
        };
        let found = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let served = found.filter(|found| found.error_code == 0).count();
        client.history.judge("W9", served == 0, || {
            format!("a topic that was deleted, {id}, is read")
        });
    }
}

fn ask_for(topic: &TopicFacts, partition: i32, from: i64) -> FetchRequest {
    FetchRequest {
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
    let build = |_| ask_for(topic, partition, from);
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
async fn look_at_topics(client: &Client, offsets_partitions: Option<usize>) {
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
        if let Some(expected) = offsets_partitions.filter(|_| name == super::admin::OFFSETS_TOPIC) {
            let there = topic.partitions.len();
            client.history.judge("G10", there == expected, || {
                format!("{name} was made with {expected} partitions and has {there}")
            });
        }
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
