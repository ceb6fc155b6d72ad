//! A reader that reads everything, goes back, reads again, and asks for the ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use client::{Cluster, Isolation, Lane, OffsetSpec, TopicPartition as Place};
use env::{Clock, Env};
use protocol::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::fetch_response::FetchResponse;
use types::ErrorCode;
use world::SimEnv;
use world::seed::Draw;

use super::Client;
use crate::history::{Answer, Asked, TopicFacts, partition_of};
use crate::scenario;

/// A fetch session as its client keeps it.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    id: i32,
    epoch: i32,
}

/// What a reader remembers of its reading.
#[derive(Debug, Default)]
struct Read {
    /// What was known when it last asked.
    asked: BTreeMap<i32, Asked>,
    /// What it got.
    offsets: BTreeMap<i32, BTreeSet<i64>>,
}

/// An answer, and what it answers.
struct Fetched {
    answer: FetchResponse,
    /// The position of each partition.
    asked: BTreeMap<i32, i64>,
    /// Whether it says something of each of them; in a fetch session it says what is new.
    is_full: bool,
}

/// Reads until the run drains and the end has been reached.
pub async fn run(client: Client, spec: scenario::Consumer, topic: String) {
    let topic = client.topic(&topic).await;
    let mut dice = client.dice();
    let mut cluster = Cluster::new(&client.env, client.options());
    let mut positions: BTreeMap<i32, i64> = (0..topic.partitions).map(|p| (p, 0)).collect();
    let mut session = Session::default();
    let mut wanted: BTreeMap<i32, i64> = BTreeMap::new();
    let mut read = Read::default();
    loop {
        let draining = client.history.is_draining();
        read.asked = positions
            .keys()
            .map(|p| (*p, client.history.asking(partition_of(topic.id, *p))))
            .collect();
        let answer = fetch(
            &client,
            &mut cluster,
            &spec,
            &topic,
            &positions,
            &mut session,
            &mut wanted,
        )
        .await;
        let mut at_end = false;
        match answer {
            Ok(fetched) => {
                let mut lost = Vec::new();
                at_end = take(
                    &client,
                    &topic,
                    &mut positions,
                    fetched,
                    &mut lost,
                    &mut read,
                );
                for partition in lost {
                    let found = look_at_ends(&client, &mut cluster, &topic, partition).await;
                    if let Some((earliest, _)) = found {
                        positions.insert(partition, earliest);
                    }
                }
            }
            Err(error) => {
                client.judge(&error);
                (session, wanted) = (Session::default(), BTreeMap::new());
                client.pause(&mut dice, 100).await;
            }
        }
        if draining && at_end {
            for (partition, end) in &positions {
                let got = read.offsets.entry(*partition).or_default();
                let asked = read.asked.get(partition).copied().unwrap_or_default();
                let at = partition_of(topic.id, *partition);
                client.history.read_up_to(at, *end, asked, got);
            }
            break;
        }
        if !draining && dice.chance(spec.again_ppm) {
            let partition = dice.below(topic.partitions as u64) as i32;
            let position = positions.get_mut(&partition).expect("one of them");
            *position = dice.below(*position as u64 + 1) as i64;
            look_at_ends(&client, &mut cluster, &topic, partition).await;
        }
        client.pause(&mut dice, 30).await;
    }
    client.history.finish(&client.name);
}

/// Asks for what comes next in each partition.
async fn fetch(
    client: &Client,
    cluster: &mut Cluster<SimEnv>,
    spec: &scenario::Consumer,
    topic: &TopicFacts,
    positions: &BTreeMap<i32, i64>,
    session: &mut Session,
    wanted: &mut BTreeMap<i32, i64>,
) -> client::Result<Fetched> {
    let deadline = cluster.deadline();
    let place = Place::new(topic.name.as_str(), 0);
    let (leader, _) = cluster.leader(&place, deadline).await?;
    let connection = cluster.node(Lane::Main, leader, deadline).await?;
    let incremental = spec.sessions && session.id != 0;
    // In a session only what has changed is said again.
    let said = |(partition, offset): &(&i32, &i64)| {
        !incremental || wanted.get(*partition) != Some(*offset)
    };
    let partitions: Vec<FetchPartition> = positions
        .iter()
        .filter(said)
        .map(|(partition, offset)| FetchPartition {
            partition: *partition,
            current_leader_epoch: -1,
            fetch_offset: *offset,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: spec.fetch_bytes_max,
            ..FetchPartition::default()
        })
        .collect();
    let topics = if partitions.is_empty() {
        Vec::new()
    } else {
        vec![FetchTopic {
            topic: topic.name.as_str().into(),
            topic_id: topic.id,
            partitions,
        }]
    };
    let version = connection.version::<FetchRequest>(4, spec.version_max)?;
    let (session_id, session_epoch) = match (spec.sessions, incremental) {
        (false, _) => (0, -1),
        (true, false) => (0, 0),
        (true, true) => (session.id, session.epoch),
    };
    let request = FetchRequest {
        max_wait_ms: spec.wait_ms,
        min_bytes: 1,
        max_bytes: spec.fetch_bytes_max,
        isolation_level: i8::from(spec.committed),
        session_id,
        session_epoch,
        topics,
        ..FetchRequest::default()
    };
    let waits = std::time::Duration::from_millis(u64::try_from(spec.wait_ms).unwrap_or(0));
    let until = client
        .env
        .clock()
        .mono()
        .after(cluster.options().request_timeout + waits);
    let answer = connection.send(&request, version)?.answer(until).await?;
    let error = ErrorCode(answer.error_code);
    if !error.is_none() {
        return Err(client::Error::server(error));
    }
    if spec.sessions && version >= 7 {
        *session = Session {
            id: answer.session_id,
            epoch: if incremental && session.id == answer.session_id {
                session.epoch + 1
            } else {
                1
            },
        };
        wanted.clone_from(positions);
    }
    Ok(Fetched {
        answer,
        asked: positions.clone(),
        is_full: !incremental,
    })
}

/// Takes an answer in. Says whether every partition was read to its end.
fn take(
    client: &Client,
    topic: &TopicFacts,
    positions: &mut BTreeMap<i32, i64>,
    fetched: Fetched,
    out_of_range: &mut Vec<i32>,
    read: &mut Read,
) -> bool {
    let mut moved = false;
    let Fetched {
        answer,
        asked,
        is_full,
    } = fetched;
    for answered in &answer.responses {
        client
            .history
            .is_of(topic, &answered.topic, answered.topic_id);
    }
    if is_full {
        let told = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let told: BTreeSet<i32> = told.map(|partition| partition.partition_index).collect();
        let untold = asked.keys().find(|partition| !told.contains(partition));
        client.history.judge("W6", untold.is_none(), || {
            format!("a full fetch of {topic:?} does not tell of partition {untold:?}")
        });
    }
    for partition in answer.responses.into_iter().flat_map(|t| t.partitions) {
        let index = partition.partition_index;
        let Some(from) = asked.get(&index).copied() else {
            let detail = format!("a fetch of {topic:?} was answered for partition {index}");
            client.history.violated("W6", detail);
            continue;
        };
        let position = positions.get_mut(&index).expect("asked for");
        match ErrorCode(partition.error_code) {
            ErrorCode::NONE => {
                let bytes: Bytes = partition
                    .records
                    .map(protocol::Records::into_bytes)
                    .unwrap_or_default();
                let got = client.history.fetched(&Answer {
                    at: partition_of(topic.id, index),
                    from,
                    high_watermark: partition.high_watermark,
                    bytes,
                    asked: read.asked.get(&index).copied().unwrap_or_default(),
                });
                read.offsets.entry(index).or_default().extend(got.offsets);
                if let Some(next) = got.next {
                    client.history.exercised("records-read");
                    *position = next;
                    moved = true;
                }
                moved |= partition.high_watermark > *position;
            }
            // Records were deleted, or lost by a topic that does not sync.
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let at = partition_of(topic.id, index);
                client.history.out_of_range(at, from);
                out_of_range.push(index);
                moved = true;
            }
            error => {
                client
                    .history
                    .met(&client.name, &format!("partition {index}: {error}"));
                moved = true;
            }
        }
    }
    !moved
}

/// Asks for both ends of a partition.
pub async fn look_at_ends(
    client: &Client,
    cluster: &mut Cluster<SimEnv>,
    topic: &TopicFacts,
    partition: i32,
) -> Option<(i64, i64)> {
    let place = Place::new(topic.name.as_str(), partition);
    let mut found = Vec::new();
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        let deadline = cluster.deadline();
        let places = BTreeMap::from([(place.clone(), spec)]);
        let mut answer = cluster
            .list_offsets(places, Isolation::ReadUncommitted, deadline)
            .await;
        match answer.remove(&place) {
            Some(Ok(answer)) => found.extend(answer.offset),
            Some(Err(error)) => client.judge(&error),
            None => {}
        }
    }
    let [earliest, latest] = found[..] else {
        return None;
    };
    let at = partition_of(topic.id, partition);
    let mut inner = client.history.lock();
    let inner = &mut *inner;
    if !topic.synced || inner.harmed(at).any {
        // It may lose its end, and an answer from before that may still be on its way.
        return Some((earliest.0, latest.0));
    }
    inner
        .reads
        .ends(at, &client.name, earliest.0, latest.0, &mut inner.judge);
    Some((earliest.0, latest.0))
}
