//! The historic bugs planted where this crate's interface reaches them are seen by what is asked here.
//! Those of the producer's queues are met by its own tests.

#![cfg(feature = "mutants")]

use std::collections::BTreeMap;

use ottla_client::group::assignor::Member;
use ottla_client::{Assignor, Error, Metadata, Outcome, TopicPartition};
use protocol::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::{MetadataResponse, Str};
use types::mutants::activate;
use types::{ErrorCode, Mono, Uuid};

fn answer(leader_id: i32, leader_epoch: i32) -> MetadataResponse {
    answer_of(Uuid([1; 16]), leader_id, leader_epoch)
}

fn answer_of(topic_id: Uuid, leader_id: i32, leader_epoch: i32) -> MetadataResponse {
    let broker = |node_id| MetadataResponseBroker {
        node_id,
        host: Str::from("h"),
        port: 9092,
        rack: None,
    };
    MetadataResponse {
        brokers: vec![broker(1), broker(2)],
        topics: vec![MetadataResponseTopic {
            name: Some(Str::from("t")),
            topic_id,
            partitions: vec![MetadataResponsePartition {
                leader_id,
                leader_epoch,
                ..MetadataResponsePartition::default()
            }],
            ..MetadataResponseTopic::default()
        }],
        ..MetadataResponse::default()
    }
}

/// A member that was away claims what it had in an older generation.
fn believes_the_later_claim() -> bool {
    let member = |id: &str, generation, owned: &[i32]| Member {
        id: Str::from(id),
        instance_id: None,
        topics: [Str::from("t")].into(),
        owned: owned.iter().map(|p| TopicPartition::new("t", *p)).collect(),
        generation,
    };
    // The partition that both claim is not taken from the one that has it.
    let members = [member("a", 4, &[1]), member("b", 5, &[0, 1])];
    let topics = BTreeMap::from([(Str::from("t"), 4)]);
    let shares = Assignor::CooperativeSticky.assign(&members, &topics);
    shares["b"].iter().any(|at| at.partition == 1)
}

/// The leader, by what is known after this answer and `then`.
fn leader_after(first: &MetadataResponse, then: impl FnOnce(&mut Metadata)) -> (i32, i32) {
    let mut metadata = Metadata::default();
    metadata.apply(first, true, Mono(0)).expect("no error");
    then(&mut metadata);
    let leader = metadata.leader(&TopicPartition::new("t", 0));
    leader.expect("one that is known")
}

fn keeps_the_later_leader() -> bool {
    let hint = |metadata: &mut Metadata| {
        metadata.set_leader(&TopicPartition::new("t", 0), 2, 4);
    };
    leader_after(&answer(1, 5), hint) == (1, 5)
}

fn learn(metadata: &mut Metadata, answer: &MetadataResponse) {
    metadata.apply(answer, true, Mono(1)).expect("no error");
}

fn keeps_the_later_answer() -> bool {
    leader_after(&answer(1, 5), |known| learn(known, &answer(2, 4))) == (1, 5)
}

/// A topic was deleted and made again: its epochs start anew.
fn knows_another_topic_of_the_name() -> bool {
    let another = answer_of(Uuid([2; 16]), 2, 0);
    leader_after(&answer(1, 5), |known| learn(known, &another)) == (2, 0)
}

/// Whoever is told that time ran out knows nothing of what became of the request.
fn knows_what_it_does_not_know() -> bool {
    let late = Error::Server {
        code: ErrorCode::REQUEST_TIMED_OUT,
        message: String::new(),
    };
    late.outcome() == Outcome::Unknown
}

// One test, because the living mutant is the whole process's.
#[test]
fn each_planted_bug_shows() {
    let all = || {
        [
            believes_the_later_claim(),
            keeps_the_later_leader(),
            keeps_the_later_answer(),
            knows_another_topic_of_the_name(),
            knows_what_it_does_not_know(),
        ]
    };
    assert_eq!(all(), [true; 5]);
    for (at, mutant) in ["GRP-24", "CTL-08", "CTL-08/b", "WIR-08", "WIR-01"]
        .into_iter()
        .enumerate()
    {
        activate(Some(mutant));
        let expected = std::array::from_fn(|asked| asked != at);
        assert_eq!(all(), expected, "{mutant}");
    }
    activate(None);
    assert_eq!(all(), [true; 5]);
}
