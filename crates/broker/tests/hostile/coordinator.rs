//! Group coordinators whose log cannot be read, or written, for a while.

use broker::Limits;
use protocol::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::{
    FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse, Str,
};
use types::ErrorCode;
use world::SimEnv;

use crate::site::{Site, Wire, frame, limits};

fn what_is_committed() -> OffsetFetchRequest {
    OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: Str::from("g"),
            topics: None,
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// What was committed, -1 for nothing, or why that is not said.
fn committed_in(answer: &OffsetFetchResponse) -> Result<i64, ErrorCode> {
    let group = &answer.groups[0];
    match ErrorCode(group.error_code) {
        ErrorCode::NONE => {
            let topic = group.topics.first();
            Ok(topic.map_or(-1, |topic| topic.partitions[0].committed_offset))
        }
        error => Err(error),
    }
}

async fn committed(wire: &mut Wire) -> Result<i64, ErrorCode> {
    let answer = wire.ask(&what_is_committed(), 8, 5_000).await;
    committed_in(&answer.expect("an answer"))
}

fn commit_of(offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: Str::from("g"),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: Str::from("orders"),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: offset,
                committed_metadata: Some(Str::from("m".repeat(4_000))),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A client, its topic, and the group's coordinator.
async fn connect(env: &SimEnv) -> Wire {
    let mut wire = Wire::connect(env).await;
    wire.create(&Str::from("orders"), 1).await;
    let request = FindCoordinatorRequest {
        coordinator_keys: vec![Str::from("g")],
        ..Default::default()
    };
    wire.ask(&request, 4, 5_000).await.expect("an answer");
    wire.pause(1_000).await;
    wire
}

async fn commit(wire: &mut Wire, offset: i64) {
    let answer = wire.ask(&commit_of(offset), 8, 5_000).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

const COMMITS: i64 = 40;

/// What is said of a group's last commit soon after a start at which the log cannot be read, and what much later.
fn told_of_the_last_commit() -> [Result<i64, ErrorCode>; 2] {
    let small_segments = Limits {
        segment_bytes_max: 16 << 10,
        ..limits()
    };
    let mut site = Site::new(small_segments, &[]);
    site.client(|env| async move {
        let mut wire = connect(&env).await;
        for offset in 0..COMMITS {
            commit(&mut wire, offset).await;
        }
        assert_eq!(committed(&mut wire).await, Ok(COMMITS - 1));
    });
    let files = site.descriptors.clone();
    files.fail_second_reads_of("__consumer_offsets");
    site.kill_and_start();
    let told = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.pause(300).await;
        let at_first = committed(&mut wire).await;
        wire.pause(300_000).await;
        [at_first, committed(&mut wire).await]
    });
    assert!(files.failed_reads() > 0);
    told
}

const READ_AGAIN: [Result<i64, ErrorCode>; 2] =
    [Err(ErrorCode::COORDINATOR_NOT_AVAILABLE), Ok(COMMITS - 1)];

#[test]
fn a_log_that_cannot_be_read_is_read_again() {
    assert_eq!(told_of_the_last_commit(), READ_AGAIN);
}

/// What is said of a commit that the disk has not made durable yet, if anything, and what when it has.
fn told_of_a_commit_under_way() -> [Option<Result<i64, ErrorCode>>; 2] {
    let mut site = Site::new(limits(), &[]);
    let mut first = site.client(|env| async move {
        let mut wire = connect(&env).await;
        commit(&mut wire, 1).await;
        wire
    });
    site.stall_disk(30_000);
    site.client(|env| async move {
        assert!(first.send(&frame(&commit_of(2), 8)).await);
        let mut second = Wire::connect(&env).await;
        second.pause(1_000).await;
        let early = second.ask(&what_is_committed(), 8, 5_000).await;
        let early = early.map(|answer| committed_in(&answer));
        let answer = first.answer::<OffsetCommitRequest>(8, 60_000).await;
        assert!(answer.is_some());
        let late = match early {
            None => second.answer::<OffsetFetchRequest>(8, 60_000).await,
            Some(_) => second.ask(&what_is_committed(), 8, 60_000).await,
        };
        [early, late.map(|answer| committed_in(&answer))]
    })
}

const TOLD_WHEN_DURABLE: [Option<Result<i64, ErrorCode>>; 2] = [None, Some(Ok(2))];

#[test]
fn what_is_read_was_committed() {
    assert_eq!(told_of_a_commit_under_way(), TOLD_WHEN_DURABLE);
}

/// The historic bugs planted here show. CI runs this one alone: the living mutant is the whole process's.
#[cfg(feature = "mutants")]
#[test]
fn each_planted_bug_shows() {
    types::mutants::activate(Some("GRP-08"));
    let lost = told_of_the_last_commit();
    types::mutants::activate(Some("GRP-21"));
    let early = told_of_a_commit_under_way();
    types::mutants::activate(None);
    assert_eq!(lost, [Ok(-1), Ok(-1)]);
    assert_eq!(early, [Some(Ok(2)), Some(Ok(2))]);
    assert_eq!(told_of_the_last_commit(), READ_AGAIN);
    assert_eq!(told_of_a_commit_under_way(), TOLD_WHEN_DURABLE);
}
