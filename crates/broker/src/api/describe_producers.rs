//! DescribeProducers (key 61): the idempotent producers that partitions know (KIP-664).

use std::collections::BTreeMap;

use env::Env;
use protocol::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use protocol::{DescribeProducersRequest, DescribeProducersResponse, Str};
use types::{ErrorCode, PartitionIndex, TopicPartition};

use super::Call;
use super::ask_owners::ask_owners;
use super::repeats::Repeats;
use crate::answer::Reply;
use crate::shard::ShardMessage;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: DescribeProducersRequest) -> Reply {
    let view = call.context.view();
    let mut response = DescribeProducersResponse::default();
    // A partition may be asked for more than once.
    let mut places: BTreeMap<TopicPartition, Vec<(usize, usize)>> = BTreeMap::new();
    let mut named = Repeats::new();
    for topic in request.topics {
        let found = view.topic_by_name(&topic.name);
        let invalid = metadata::names::check(&topic.name).err();
        let mut out = TopicResponse {
            name: topic.name,
            ..Default::default()
        };
        let indexes = topic.partition_indexes.into_iter();
        for index in indexes.filter(|index| named.admit((out.name.clone(), *index))) {
            let mut answer = PartitionResponse {
                partition_index: index,
                ..Default::default()
            };
            match found.filter(|found| found.has_partition(index)) {
                Some(found) => {
                    let partition = TopicPartition {
                        topic_id: found.id,
                        partition: PartitionIndex(index),
                    };
                    let place = (response.topics.len(), out.partitions.len());
                    places.entry(partition).or_default().push(place);
                }
                None => {
                    let error = if invalid.is_some() {
                        ErrorCode::INVALID_TOPIC_EXCEPTION
                    } else {
                        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                    };
                    answer.error_code = error.0;
                    answer.error_message = invalid
                        .as_ref()
                        .map(|invalid| Str::from(invalid.to_string()));
                }
            }
            out.partitions.push(answer);
        }
        response.topics.push(out);
    }
    let partitions: Vec<TopicPartition> = places.keys().copied().collect();
    let key = |partition: &TopicPartition| (*partition, *partition);
    let asked = ask_owners(call.context, partitions, key, ShardMessage::Producers).await;
    call.to.later(async move {
        let answers = asked.answers(|(partition, _)| *partition).await;
        let answers = answers.into_iter().filter_map(|(_, answer)| answer);
        let mut answers: BTreeMap<_, _> = answers.collect();
        for (partition, places) in places {
            let found = answers
                .remove(&partition)
                .unwrap_or(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
            for (topic, at) in places {
                let out = &mut response.topics[topic].partitions[at];
                match &found {
                    Err(error) => {
                        out.error_code = error.0;
                        out.error_message = Some(Str::from(error.message()));
                    }
                    Ok(producers) => out.active_producers = producers.iter().map(state).collect(),
                }
            }
        }
        response
    })
}

fn state(producer: &partition::ProducerRow) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: i32::from(producer.producer_epoch.0),
        last_sequence: producer.last_sequence.0,
        last_timestamp: producer.timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer
            .current_txn_first_offset
            .map_or(-1, |offset| offset.0),
    }
}
