//! Group coordinators whose log cannot be read for a while.

use broker::Limits;
use protocol::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::{FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest, Str};
use types::ErrorCode;

use crate::site::{Site, Wire, limits};

/// What was committed, -1 for nothing, or why that is not said.
async fn committed(wire: &mut Wire) -> Result<i64, ErrorCode> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: Str::from("g"),
            topics: None,
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, 8, 5_000).await.expect("an answer");
    let group = &answer.groups[0];
    match ErrorCode(group.error_code) {
        ErrorCode::NONE => {
            let topic = group.topics.first();
            Ok(topic.map_or(-1, |topic| topic.partitions[0].committed_offset))
        }
        error => Err(error),
    }
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
        let mut wire = Wire::connect(&env).await;
        let orders = Str::from("orders");
        wire.create(&orders, 1).await;
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![Str::from("g")],
            ..Default::default()
        };
        wire.ask(&request, 4, 5_000).await.expect("an answer");
        wire.pause(1_000).await;
        for offset in 0..COMMITS {
            let request = OffsetCommitRequest {
                group_id: Str::from("g"),
                generation_id_or_member_epoch: -1,
                topics: vec![OffsetCommitRequestTopic {
                    name: orders.clone(),
                    partitions: vec![OffsetCommitRequestPartition {
                        committed_offset: offset,
                        committed_metadata: Some(Str::from("m".repeat(4_000))),
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            };
            let answer = wire.ask(&request, 8, 5_000).await.expect("an answer");
            assert_eq!(answer.topics[0].partitions[0].error_code, 0);
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

/// The historic bug planted here shows. CI runs this one alone: the living mutant is the whole process's.
#[cfg(feature = "mutants")]
#[test]
fn each_planted_bug_shows() {
    types::mutants::activate(Some("GRP-08"));
    let wrong = told_of_the_last_commit();
    types::mutants::activate(None);
    assert_eq!(wrong, [Ok(-1), Ok(-1)]);
    assert_eq!(told_of_the_last_commit(), READ_AGAIN);
}
