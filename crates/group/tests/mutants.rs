//! Historic bugs, brought to life one at a time: each must be caught by a story of its own.
//!
//! Every story says what is right and holds without the bug; with it, it must fail. One test, because
//! which bug is alive is known to the whole process.

#![cfg(feature = "mutants")]

mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ottla_group::{GroupConfig, OffsetFetchGroup, Request, Response};
use protocol::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, Str,
    SyncGroupRequest, SyncGroupResponse, join_group_request, offset_commit_request,
    sync_group_request,
};
use state_machine::Ticket;
use types::{ErrorCode, Uuid};
use world::World;

/// The bugs, and the stories that tell them.
const MUTANTS: [(&str, fn()); 12] = [
    ("GRP-02", the_last_commit_of_a_batch_counts),
    ("GRP-03", nothing_expires_while_the_log_is_read),
    ("GRP-05", nothing_expires_during_a_rebalance),
    ("GRP-06", a_fail_over_does_not_age_offsets),
    ("GRP-09", a_replaced_static_member_is_fenced),
    (
        "GRP-10",
        a_static_member_that_comes_back_gets_its_assignment,
    ),
    (
        "GRP-12",
        a_static_member_may_come_back_with_another_protocol,
    ),
    (
        "GRP-12/b",
        a_static_member_of_an_old_version_can_be_answered,
    ),
    ("GRP-28", a_group_does_not_outgrow_its_limit),
    ("GRP-31", a_commit_of_an_earlier_generation_is_refused),
    ("GRP-32", a_commit_of_an_old_offset_stays),
    ("none", the_stories_hold),
];

#[test]
fn every_planted_bug_is_caught() {
    for (name, story) in MUTANTS {
        types::mutants::activate(None);
        story();
        types::mutants::activate(Some(name));
        let caught = catch_unwind(AssertUnwindSafe(story)).is_err();
        types::mutants::activate(None);
        assert_eq!(caught, name != "none", "{name}");
    }
}

fn the_stories_hold() {
    for (_, story) in &MUTANTS[..MUTANTS.len() - 1] {
        story();
    }
}

const HOUR_MS: i64 = 60 * 60 * 1_000;

fn config() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    }
}

fn group_id() -> Str {
    Str::from_static("g")
}

/// A JoinGroup of a member that rebalances slowly.
fn join(world: &mut World, version: i16, member: &str, instance: &str, offers: &[&str]) -> Ticket {
    world.ask(Request::JoinGroup {
        version,
        client_id: Str::from_static("client"),
        client_host: Str::from_static("/10.0.0.1"),
        request: JoinGroupRequest {
            group_id: group_id(),
            session_timeout_ms: 1_800_000,
            rebalance_timeout_ms: 1_800_000,
            member_id: Str::from(member),
            group_instance_id: (!instance.is_empty()).then(|| Str::from(instance)),
            protocol_type: Str::from_static("consumer"),
            protocols: offers
                .iter()
                .map(|offer| {
                    let (name, topic) = offer.split_once(':').expect("PROTOCOL:TOPIC");
                    let name = Str::from(name);
                    let metadata = world::subscription(&[topic]);
                    join_group_request::JoinGroupRequestProtocol { name, metadata }
                })
                .collect(),
            reason: None,
        },
    })
}

fn joined(world: &World, ticket: Ticket) -> JoinGroupResponse {
    match world.reply_to(ticket) {
        Some(Response::JoinGroup(response)) => response,
        other => panic!("{other:?}"),
    }
}

/// A SyncGroup in which the leader gives everybody `all`.
fn sync(world: &mut World, joined: &JoinGroupResponse) -> SyncGroupResponse {
    let response = world.answer(Request::SyncGroup {
        version: 3,
        request: SyncGroupRequest {
            group_id: group_id(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            assignments: joined
                .members
                .iter()
                .map(|member| sync_group_request::SyncGroupRequestAssignment {
                    member_id: member.member_id.clone(),
                    assignment: bytes::Bytes::from_static(b"all"),
                })
                .collect(),
            ..Default::default()
        },
    });
    match response {
        Response::SyncGroup(response) => response,
        other => panic!("{other:?}"),
    }
}

/// A group with one member, dynamic if `instance` is empty.
fn group_of_one(world: &mut World, instance: &str, offers: &[&str]) -> JoinGroupResponse {
    let version = if instance.is_empty() { 3 } else { 5 };
    let ticket = join(world, version, "", instance, offers);
    world.advance(0);
    let joined = joined(world, ticket);
    assert_eq!(sync(world, &joined).error_code, 0);
    joined
}

fn heartbeat(world: &mut World, member: &JoinGroupResponse, instance: &str) -> ErrorCode {
    let response = world.answer(Request::Heartbeat {
        request: HeartbeatRequest {
            group_id: group_id(),
            generation_id: member.generation_id,
            member_id: member.member_id.clone(),
            group_instance_id: (!instance.is_empty()).then(|| Str::from(instance)),
        },
    });
    match response {
        Response::Heartbeat(response) => ErrorCode(response.error_code),
        other => panic!("{other:?}"),
    }
}

/// Commits offsets of partition 0 of `topic`, one after the other in one request.
fn commit(
    world: &mut World,
    member: Option<&JoinGroupResponse>,
    topic: &str,
    offsets: &[i64],
) -> ErrorCode {
    let partitions =
        offsets.iter().map(
            |offset| offset_commit_request::OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: None,
            },
        );
    let response = world.answer(Request::OffsetCommit {
        version: 5,
        request: OffsetCommitRequest {
            group_id: group_id(),
            generation_id_or_member_epoch: member.map_or(-1, |member| member.generation_id),
            member_id: member.map_or_else(Str::new, |member| member.member_id.clone()),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: vec![offset_commit_request::OffsetCommitRequestTopic {
                name: Str::from(topic),
                topic_id: Uuid::ZERO,
                partitions: partitions.collect(),
            }],
        },
    });
    match response {
        Response::OffsetCommit(response) => ErrorCode(response.topics[0].partitions[0].error_code),
        other => panic!("{other:?}"),
    }
}

/// The offset of partition 0 of `topic`.
fn committed(world: &mut World, topic: &str) -> Option<i64> {
    let response = world.answer(Request::OffsetFetchGroup(OffsetFetchGroup {
        version: 8,
        group_id: group_id(),
        topics: None,
        require_stable: true,
    }));
    match response {
        Response::OffsetFetchGroup(response) => {
            let topic = response
                .topics
                .iter()
                .find(|candidate| candidate.name == *topic)?;
            Some(topic.partitions[0].committed_offset)
        }
        other => panic!("{other:?}"),
    }
}

fn the_last_commit_of_a_batch_counts() {
    let mut world = World::new(config());
    assert_eq!(commit(&mut world, None, "t", &[1, 2, 3]), ErrorCode::NONE);
    assert_eq!(committed(&mut world, "t"), Some(3));
    world.fail_over();
    assert_eq!(committed(&mut world, "t"), Some(3));
}

fn nothing_expires_while_the_log_is_read() {
    use state_machine::{Decision, LogRecord, StateMachine};
    let mut world = World::new(config());
    commit(&mut world, None, "t", &[1]);
    world.advance(8 * 24 * HOUR_MS - 24 * HOUR_MS - 1);
    commit(&mut world, None, "t", &[2]);
    world.advance(1);
    // A new leader has read the first commit, and not yet the second. A tick comes too early.
    let first = ottla_group::Record::decode(&world.log[0])
        .expect("a record")
        .expect("of ours");
    let mut half = ottla_group::GroupCoordinator::new(config(), world::rng(9));
    half.replay(&first);
    let mut soft = ottla_group::Soft::default();
    let mut out = Decision::default();
    half.tick(&mut soft, world.now(), &mut out);
    assert!(out.is_empty(), "{out:?}");
}

fn nothing_expires_during_a_rebalance() {
    let short = GroupConfig {
        offsets_retention_ms: HOUR_MS,
        ..config()
    };
    let mut world = World::new(short);
    let a = group_of_one(&mut world, "", &["range:t"]);
    commit(&mut world, Some(&a), "u", &[5]);
    world.advance(HOUR_MS / 4);
    heartbeat(&mut world, &a, "");
    world.advance(HOUR_MS / 4);
    heartbeat(&mut world, &a, "");
    world.advance(HOUR_MS / 4);
    // Another member comes. It may want u: the group cannot know before it has rebalanced.
    heartbeat(&mut world, &a, "");
    join(&mut world, 3, "", "", &["range:u"]);
    world.advance(HOUR_MS / 2 - 60_000);
    assert_eq!(committed(&mut world, "u"), Some(5));
}

fn a_fail_over_does_not_age_offsets() {
    let mut world = World::new(config());
    commit(&mut world, None, "t", &[1]);
    world.fail_over();
    world.advance(HOUR_MS);
    assert_eq!(committed(&mut world, "t"), Some(1));
    world.advance(7 * 24 * HOUR_MS);
    assert_eq!(committed(&mut world, "t"), None);
}

fn a_replaced_static_member_is_fenced() {
    let mut world = World::new(config());
    let first = group_of_one(&mut world, "i", &["range:t"]);
    let ticket = join(&mut world, 5, "", "i", &["range:t"]);
    let second = joined(&world, ticket);
    assert_eq!(
        heartbeat(&mut world, &first, "i"),
        ErrorCode::FENCED_INSTANCE_ID
    );
    assert_eq!(heartbeat(&mut world, &second, "i"), ErrorCode::NONE);
}

fn a_static_member_that_comes_back_gets_its_assignment() {
    let mut world = World::new(config());
    let ticket = join(&mut world, 5, "", "i", &["range:t"]);
    world.advance(0);
    let leader = joined(&world, ticket);
    let ticket = join(&mut world, 5, "", "j", &["range:t"]);
    let again = join(&mut world, 5, &leader.member_id, "i", &["range:t"]);
    let (leader, _) = (joined(&world, again), joined(&world, ticket));
    // j restarts before the leader has assigned.
    let back = join(&mut world, 5, "", "j", &["range:t"]);
    sync(&mut world, &leader);
    let again = join(&mut world, 5, &leader.member_id, "i", &["range:t"]);
    let leader = joined(&world, again);
    sync(&mut world, &leader);
    let back = joined(&world, back);
    assert_eq!(sync(&mut world, &back).assignment, "all");
}

fn a_static_member_may_come_back_with_another_protocol() {
    let mut world = World::new(config());
    group_of_one(&mut world, "i", &["range:t", "sticky:t"]);
    let back = join(&mut world, 5, "", "i", &["sticky:t"]);
    assert_eq!(
        joined(&world, back).protocol_name.as_deref(),
        Some("sticky")
    );
}

fn a_static_member_of_an_old_version_can_be_answered() {
    let mut world = World::new(config());
    group_of_one(&mut world, "i", &["range:t"]);
    // It waits in version 5, in which there is always a protocol, and is fenced.
    let waits = join(&mut world, 5, "", "j", &["range:t"]);
    join(&mut world, 9, "", "j", &["range:t"]);
    let fenced = joined(&world, waits);
    assert_eq!(ErrorCode(fenced.error_code), ErrorCode::FENCED_INSTANCE_ID);
}

fn a_group_does_not_outgrow_its_limit() {
    let mut world = World::new(GroupConfig {
        size_max: 2,
        ..config()
    });
    join(&mut world, 3, "", "", &["range:t"]);
    join(&mut world, 3, "", "", &["range:t"]);
    let third = join(&mut world, 3, "", "", &["range:t"]);
    let third = joined(&world, third);
    assert_eq!(
        ErrorCode(third.error_code),
        ErrorCode::GROUP_MAX_SIZE_REACHED
    );
}

fn a_commit_of_an_earlier_generation_is_refused() {
    let mut world = World::new(config());
    let first = group_of_one(&mut world, "", &["range:t"]);
    let again = join(&mut world, 3, &first.member_id, "", &["range:t"]);
    let second = joined(&world, again);
    sync(&mut world, &second);
    assert_eq!(
        commit(&mut world, Some(&second), "t", &[2]),
        ErrorCode::NONE
    );
    assert_eq!(
        commit(&mut world, Some(&first), "t", &[1]),
        ErrorCode::ILLEGAL_GENERATION
    );
    assert_eq!(committed(&mut world, "t"), Some(2));
}

fn a_commit_of_an_old_offset_stays() {
    // The retention is over, and the search for expired offsets has not come by yet.
    let late = GroupConfig {
        offsets_retention_check_interval_ms: 30 * 24 * HOUR_MS,
        ..config()
    };
    let mut world = World::new(late);
    commit(&mut world, None, "t", &[1]);
    world.advance(8 * 24 * HOUR_MS);
    commit(&mut world, None, "t", &[2]);
    assert_eq!(committed(&mut world, "t"), Some(2));
}
