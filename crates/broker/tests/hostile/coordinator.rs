//! Group coordinators whose log cannot be read for a while.

use broker::Limits;
use protocol::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::{FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest, Str};
use types::ErrorCode;

use crate::answers::create;
use crate::site::{Site, Wire, limits};

/// What was committed, or why that is not said.
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
        ErrorCode::NONE => Ok(group.topics[0].partitions[0].committed_offset),
        error => Err(error),
    }
}

#[test]
fn a_log_that_cannot_be_read_is_read_again() {
    const COMMITS: i64 = 40;
    let small_segments = Limits {
        segment_bytes_max: 16 << 10,
        ..limits()
    };
    let mut site = Site::new(small_segments, &[]);
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let orders = Str::from("orders");
        create(&mut wire, &orders).await;
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
    let (at_first, later) = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.pause(300).await;
        let at_first = committed(&mut wire).await;
        wire.pause(300_000).await;
        (at_first, committed(&mut wire).await)
    });
    assert!(files.failed_reads() > 0);
    assert_eq!(at_first, Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    assert_eq!(later, Ok(COMMITS - 1));
}
