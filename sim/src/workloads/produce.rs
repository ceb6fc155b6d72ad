//! Writers. Each record says who wrote it, so that the ledger can judge it wherever it turns up.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use client::{
    Acks, Cluster, Outcome, Producer, ProducerOptions, ProducerRecord, TopicPartition as Place,
};
use env::entropy::ChaCha8Rng;
use env::{Clock, Env};
use futures_util::FutureExt;
use protocol::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::{InitProducerIdRequest, Str};
use records::{BatchBuilder, Codec};
use types::{ErrorCode, ProducerEpoch, ProducerId, Sequence, TimestampMs};
use world::seed::Draw;

use super::Client;
use crate::history::{TopicFacts, partition_of};
use crate::oracles::producer::{after, may_refuse};
use crate::payload::{self, Stamp};
use crate::scenario::{self, Sending};

/// Writes until everything is written or the run drains.
pub async fn run(client: Client, spec: scenario::Producer, topic: String) {
    let topic = client.topic(&topic).await;
    let dice = client.dice();
    if spec.sending == Sending::Insistent {
        insist(&client, &spec, &topic, dice).await;
    } else {
        produce(&client, &spec, &topic, dice).await;
    }
    client.history.finish(&client.name);
}

fn codec(spec: &scenario::Producer) -> Codec {
    [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ][usize::try_from(spec.codec).unwrap_or(0) % 5]
}

/// With the client's producer.
async fn produce(
    client: &Client,
    spec: &scenario::Producer,
    topic: &TopicFacts,
    mut dice: ChaCha8Rng,
) {
    let acks = match spec.sending {
        Sending::Leader => Acks::Leader,
        Sending::None => Acks::None,
        _ => Acks::All,
    };
    let idempotent = spec.sending == Sending::Idempotent;
    let options = ProducerOptions {
        acks,
        idempotent,
        codec: codec(spec),
        linger: Duration::from_millis(spec.linger_ms),
        batch_bytes: 4096,
        in_flight_max: spec.in_flight.clamp(1, 5),
        delivery_timeout: Duration::from_millis(client.patience_ms),
        allow_auto_create: false,
        ..ProducerOptions::default()
    };
    let producer = Producer::new(&client.env, client.options(), options).expect("valid options");
    let writer = client
        .history
        .lock()
        .ledger
        .new_writer(topic.id, idempotent);
    let mut waiting = VecDeque::new();
    let mut left = spec.records;
    while left > 0 && !client.history.is_draining() {
        left -= 1;
        let stamp = client.history.lock().ledger.attempt(writer);
        let len = dice.magnitude(1, spec.value_bytes_max) as usize;
        let mut record = ProducerRecord::new(topic.name.as_str(), payload::encode(stamp, len));
        if spec.keyed {
            record = record.key(Bytes::from(format!("key-{}", dice.below(7))));
        } else if dice.coin() {
            record = record.partition(dice.below(topic.partitions as u64) as i32);
        }
        match producer.send(record).await {
            Ok(delivery) => waiting.push_back((stamp, delivery)),
            Err(error) => {
                client.judge(&error);
                client.history.lock().ledger.refused(stamp);
            }
        }
        while let Some((stamp, delivery)) = waiting.front_mut() {
            let Some(result) = delivery.now_or_never() else {
                break;
            };
            settle(client, topic, *stamp, result, acks);
            waiting.pop_front();
        }
        client.pause(&mut dice, spec.pause_ms_max).await;
    }
    for (stamp, delivery) in waiting {
        let result = delivery.await;
        settle(client, topic, stamp, result, acks);
    }
    if let Err(error) = producer
        .close(Duration::from_millis(client.patience_ms))
        .await
    {
        client.judge(&error);
    }
}

/// A record's outcome is known.
fn settle(
    client: &Client,
    topic: &TopicFacts,
    stamp: Stamp,
    result: Result<client::Delivered, client::DeliveryError>,
    acks: Acks,
) {
    match result {
        Ok(delivered) => {
            client.history.exercised("record-delivered");
            if acks != Acks::None {
                // Every batch that may be sent again is one of the last five of its producer.
                let at = partition_of(topic.id, delivered.partition);
                let mut inner = client.history.lock();
                let hides = inner.harmed(at).hides;
                (inner.judge).check("W3", delivered.offset.is_some() || hides, || {
                    format!("{stamp} is said to be in the log, and nobody knows where")
                });
            }
            if let Some(offset) = delivered.offset {
                let at = partition_of(topic.id, delivered.partition);
                client.history.acked(at, offset.0, stamp, acks == Acks::All);
            }
        }
        Err(failed) => {
            client.judge(&failed.error);
            if let Some(code) = failed.error.code() {
                // What follows from a batch that failed the client's producer says itself, with the code of
                // a broker that has forgotten it.
                client.history.judge("W3", may_refuse(code, true), || {
                    format!("{stamp}, of a good batch, was refused: {}", code.name())
                });
            }
            client.history.exercised("record-failed");
            if failed.outcome == Outcome::NotDone {
                client.history.lock().ledger.refused(stamp);
            }
        }
    }
}

/// A batch that the insistent producer has sent.
struct Sent {
    bytes: Bytes,
    stamps: Vec<Stamp>,
    offset: Option<i64>,
    /// An attempt with its sequence was refused before.
    refused: bool,
}

/// Speaks the wire itself: one partition, and batches again and again until they are acknowledged, and
/// some of the last five once more after that.
async fn insist(
    client: &Client,
    spec: &scenario::Producer,
    topic: &TopicFacts,
    mut dice: ChaCha8Rng,
) {
    let mut cluster = Cluster::new(&client.env, client.options());
    let partition = dice.below(topic.partitions as u64) as i32;
    let place = Place::new(topic.name.as_str(), partition);
    let Some((id, epoch)) = identity(client, &mut cluster).await else {
        return;
    };
    let writer = client.history.lock().ledger.new_writer(topic.id, true);
    // Some begin shortly before the sequence numbers wrap, and some try broken batches in between.
    let mut sequence = if id % 3 == 1 { i32::MAX - 7 } else { 0 };
    let mut sent_so_far = 0;
    let mut recent: VecDeque<Sent> = VecDeque::new();
    let mut left = spec.records;
    while left > 0 && !client.history.is_draining() {
        let count = (1 + dice.below(4)).min(u64::from(left)) as u32;
        left -= count;
        let mut batch = BatchBuilder::new(codec(spec)).producer(
            ProducerId(id),
            ProducerEpoch(epoch),
            Sequence(sequence),
        );
        let mut stamps = Vec::new();
        for _ in 0..count {
            let stamp = client.history.lock().ledger.attempt(writer);
            let len = dice.magnitude(1, spec.value_bytes_max) as usize;
            let value = payload::encode(stamp, len);
            let now = TimestampMs(client.env.clock().wall().0);
            batch.append(now, None, Some(&value), &[]);
            stamps.push(stamp);
        }
        sent_so_far += 1;
        let breaks = id % 2 == 1 && sent_so_far % 4 == 0;
        if breaks {
            let sequence = Sequence(sequence);
            send_broken(
                client,
                &mut cluster,
                topic,
                &place,
                (id, epoch, sequence),
                writer,
            )
            .await;
        }
        sequence = after(sequence, count as i32);
        recent.push_back(Sent {
            bytes: batch.build(),
            stamps,
            offset: None,
            refused: breaks,
        });
        if recent.len() > 5 {
            recent.pop_front();
        }
        if !until_acknowledged(client, &mut cluster, topic, &place, &mut recent, &mut dice).await {
            return;
        }
        client.pause(&mut dice, spec.pause_ms_max).await;
    }
}

/// An identity of one's own.
async fn identity(client: &Client, cluster: &mut Cluster<world::SimEnv>) -> Option<(i64, i16)> {
    loop {
        let deadline = cluster.deadline();
        let answer = cluster
            .call_any(
                client::Repeat::Always,
                deadline,
                |_| InitProducerIdRequest {
                    transactional_id: None,
                    transaction_timeout_ms: 60_000,
                    producer_id: -1,
                    producer_epoch: -1,
                    ..InitProducerIdRequest::default()
                },
                |answer| client::Error::check(answer.error_code, None),
            )
            .await;
        match answer {
            Ok(answer) => {
                let mut inner = client.history.lock();
                let inner = &mut *inner;
                if !inner.harmed_metadata().hides {
                    inner
                        .producer_ids
                        .given(answer.producer_id, &mut inner.judge);
                }
                return Some((answer.producer_id, answer.producer_epoch));
            }
            Err(error) => client.judge(&error),
        }
        if client.history.is_draining() {
            return None;
        }
        client.sleep_ms(100).await;
    }
}

/// Sends the newest batch until it is acknowledged, and older ones again by the way. `false`: the identity
/// is of no more use.
async fn until_acknowledged(
    client: &Client,
    cluster: &mut Cluster<world::SimEnv>,
    topic: &TopicFacts,
    place: &Place,
    recent: &mut VecDeque<Sent>,
    dice: &mut ChaCha8Rng,
) -> bool {
    loop {
        let newest = recent.len() - 1;
        // Older ones have been acknowledged: again they must be acknowledged at the same place.
        let which = if newest > 0 && dice.chance(250_000) {
            client.history.exercised("batch-sent-again");
            dice.index(newest)
        } else {
            newest
        };
        match send_batch(client, cluster, topic, place, &recent[which].bytes).await {
            Ok((ErrorCode::NONE, offset)) => {
                let sent = &mut recent[which];
                if sent.refused && sent.offset.is_none() {
                    client.history.judge("P6", true, String::new);
                }
                if newest > 0 && sent.offset.is_none() {
                    client.history.judge("P7", true, String::new);
                }
                sent.offset = Some(offset);
                for (index, stamp) in sent.stamps.iter().enumerate() {
                    let at = partition_of(topic.id, place.partition);
                    client
                        .history
                        .acked(at, offset + index as i64, *stamp, true);
                }
                if which == newest {
                    return true;
                }
            }
            // The batch is known, and so old that its place is not.
            Ok((ErrorCode::DUPLICATE_SEQUENCE_NUMBER, _)) if which != newest => {}
            Ok((error, _))
                if error != ErrorCode::CORRUPT_MESSAGE
                    && (error.is_retriable() || error == ErrorCode::KAFKA_STORAGE_ERROR) =>
            {
                recent[which].refused = true;
            }
            Ok((error, _)) => {
                // What was synced is never forgotten, so neither is its sequence.
                let at = partition_of(topic.id, place.partition);
                let forgets =
                    !topic.synced || topic.retention || client.history.lock().harmed(at).any;
                let sent = &recent[which];
                // Nor is that of any batch that is in the log; after a start, others may be.
                let is_gone = |offset| client.history.may_be_deleted(at, offset);
                let forgets = forgets || sent.offset.is_some_and(is_gone);
                let invariant = match error {
                    ErrorCode::UNKNOWN_PRODUCER_ID => "P7",
                    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::INVALID_PRODUCER_EPOCH
                        if sent.refused =>
                    {
                        "P6"
                    }
                    _ => "W3",
                };
                let honest = may_refuse(error, forgets);
                client.history.judge(invariant, honest, || {
                    format!(
                        "{place} refused a good batch whose predecessors were acknowledged (so was it: {}): {}",
                        sent.offset.is_some(),
                        error.name()
                    )
                });
                return false;
            }
            Err(error) => client.judge(&error),
        }
        client.pause(dice, 60).await;
    }
}

/// Sends a batch that was broken on its way, whose sequence the next one has, too. It must be refused, and
/// leave no trace.
async fn send_broken(
    client: &Client,
    cluster: &mut Cluster<world::SimEnv>,
    topic: &TopicFacts,
    place: &Place,
    (id, epoch, sequence): (i64, i16, Sequence),
    writer: u32,
) {
    let stamp = {
        let mut inner = client.history.lock();
        let stamp = inner.ledger.attempt(writer);
        inner.ledger.broken(stamp);
        stamp
    };
    let mut batch =
        BatchBuilder::new(Codec::None).producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    let now = TimestampMs(client.env.clock().wall().0);
    batch.append(now, None, Some(&payload::encode(stamp, 100)), &[]);
    let mut bytes = batch.build().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    match send_batch(client, cluster, topic, place, &bytes.into()).await {
        Ok((error, offset)) => {
            client.history.judge("L13", !error.is_none(), || {
                format!("{place} took a broken batch at {offset}")
            });
        }
        Err(error) => client.judge(&error),
    }
}

/// Sends one batch once.
async fn send_batch(
    client: &Client,
    cluster: &mut Cluster<world::SimEnv>,
    topic: &TopicFacts,
    place: &Place,
    bytes: &Bytes,
) -> client::Result<(ErrorCode, i64)> {
    let deadline = cluster.deadline();
    let (leader, _) = cluster.leader(place, deadline).await?;
    let connection = cluster.node(client::Lane::Main, leader, deadline).await?;
    let build = |_| ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 1_500,
        topic_data: vec![TopicProduceData {
            name: Str::from(topic.name.as_str()),
            topic_id: topic.id,
            partition_data: vec![PartitionProduceData {
                index: place.partition,
                records: Some(bytes.clone().into()),
            }],
        }],
    };
    let until = client
        .env
        .clock()
        .mono()
        .after(cluster.options().request_timeout);
    let answer = connection.call(build, until).await?;
    for answered in &answer.responses {
        client
            .history
            .is_of(topic, &answered.name, answered.topic_id);
    }
    let partition = answer
        .responses
        .first()
        .and_then(|topic| topic.partition_responses.first())
        .ok_or_else(|| client::Error::Protocol {
            peer: "broker".to_owned(),
            detail: "an answer to Produce without its partition".to_owned(),
        })?;
    Ok((ErrorCode(partition.error_code), partition.base_offset))
}
