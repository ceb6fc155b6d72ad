//! A process that has too many open files: it waits for better times, and loses nothing by it.

use bytes::Bytes;
use protocol::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::{ProduceRequest, ProduceResponse, Records, Str};
use records::{BatchBuilder, Codec};
use types::{ErrorCode, TimestampMs};

use crate::site::{Site, Wire, limits};

/// Partitions of the topic.
pub const PARTITIONS: i32 = 40;

/// Sends one record to each partition; gives the partitions' errors.
pub async fn produce(wire: &mut Wire) -> Vec<ErrorCode> {
    let answer = send(wire).await;
    let partitions = answer.responses[0].partition_responses.iter();
    partitions
        .map(|partition| ErrorCode(partition.error_code))
        .collect()
}

/// The same; gives the offsets at which they lie.
async fn offsets(wire: &mut Wire) -> Vec<i64> {
    let answer = send(wire).await;
    let partitions = answer.responses[0].partition_responses.iter();
    partitions.map(|partition| partition.base_offset).collect()
}

async fn send(wire: &mut Wire) -> ProduceResponse {
    let batch = || -> Bytes {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.append(TimestampMs(1_000), None, Some(b"value"), &[]);
        builder.build()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 5_000,
        topic_data: vec![TopicProduceData {
            name: Str::from("orders"),
            partition_data: (0..PARTITIONS)
                .map(|index| PartitionProduceData {
                    index,
                    records: Some(Records::from(batch())),
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    wire.ask(&request, 9, 60_000).await.expect("an answer")
}

fn accepted(errors: &[ErrorCode]) -> usize {
    let accepted = errors.iter().filter(|error| **error == ErrorCode::NONE);
    accepted.count()
}

/// Of many partitions only some can be opened, or written for the first time; the others come when there are
/// descriptors again, without a restart.
#[test]
fn partitions_wait_for_descriptors() {
    for spare in [1, 3, 7, 20, 40] {
        let mut site = Site::new(limits(), &[]);
        let files = site.descriptors.clone();
        let open = files.open();
        files.allow(open + spare);
        let refused = site.client(|env| async move {
            let mut wire = Wire::connect(&env).await;
            wire.create(&Str::from("orders"), PARTITIONS).await;
            let errors = produce(&mut wire).await;
            assert!(
                (errors.iter()).all(|error| *error == ErrorCode::NONE || error.is_retriable()),
                "clients try again: {errors:?}"
            );
            errors.len() - accepted(&errors)
        });
        assert!(files.refused() > 0 && refused > 0, "{spare} were enough");
        files.allow(usize::MAX);
        let errors = site.client(|env| async move {
            let mut wire = Wire::connect(&env).await;
            wire.pause(10_000).await;
            // A log that had no room looks whether there is some when it is asked to append.
            produce(&mut wire).await;
            wire.pause(1_000).await;
            produce(&mut wire).await
        });
        let all = PARTITIONS as usize;
        assert_eq!(accepted(&errors), all, "with {spare} to spare: {errors:?}");
    }
}

/// While there are none, it is not asked for them all the time.
#[test]
fn opening_is_tried_again_less_and_less_often() {
    let mut site = Site::new(limits(), &[]);
    let files = site.descriptors.clone();
    files.allow(files.open());
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.create(&Str::from("orders"), PARTITIONS).await;
        wire.pause(60_000).await;
    });
    let refused = files.refused();
    site.client(|env| async move {
        let wire = Wire::connect(&env).await;
        wire.pause(60_000).await;
    });
    let in_a_minute = files.refused() - refused;
    // Each looks for its directory and finds no way to: one refusal an attempt, eight seconds apart.
    assert!(in_a_minute <= 10 * PARTITIONS as usize, "{in_a_minute}");
    assert!(in_a_minute >= 5 * PARTITIONS as usize, "{in_a_minute}");
}

/// Nor does a start after a crash take a log for damaged because its files could not be opened.
#[test]
fn a_start_with_few_descriptors_opens_everything_in_the_end() {
    for spare in [4, 8, 16, 32] {
        let mut site = Site::new(limits(), &[]);
        let files = site.descriptors.clone();
        let few = files.open() + spare;
        site.client(|env| async move {
            let mut wire = Wire::connect(&env).await;
            wire.create(&Str::from("orders"), PARTITIONS).await;
            let errors = produce(&mut wire).await;
            assert_eq!(accepted(&errors), PARTITIONS as usize);
        });
        assert!(files.open() > few);
        files.allow(few);
        site.kill_and_start();
        assert!(files.refused() > 0, "{spare} were enough");
        files.allow(usize::MAX);
        let offsets = site.client(|env| async move {
            let mut wire = Wire::connect(&env).await;
            wire.pause(10_000).await;
            offsets(&mut wire).await
        });
        let all = vec![1; PARTITIONS as usize];
        assert_eq!(offsets, all, "with {spare} to spare");
    }
}
