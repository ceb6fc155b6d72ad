//! What a coordinator partition is asked, and what it answers.
//!
//! Requests about one group carry Kafka's own message. Requests that span groups (OffsetFetch of
//! several, DescribeGroups, DeleteGroups, ListGroups) are split by the host, one [`Request`] per group
//! or partition, and merged from the answers; [`crate::split_offset_fetch`] helps with OffsetFetch, whose shape
//! differs by version.

use protocol::delete_groups_response::DeletableGroupResult;
use protocol::describe_groups_response::DescribedGroup;
use protocol::list_groups_response::ListedGroup;
use protocol::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use protocol::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, Str, SyncGroupRequest, SyncGroupResponse, offset_commit_response,
};
use types::{ErrorCode, Uuid};

/// What a coordinator partition is asked.
///
/// The host has authorised the request, knows that this partition coordinates the group
/// ([`crate::partition_for`]), and has taken out topics and partitions that do not exist.
/// `version` is the API version that the client used.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Asks to be a member.
    JoinGroup {
        /// Of JoinGroup.
        version: i16,
        /// The client's name for itself: the member id begins with it.
        client_id: Str,
        /// Where it connected from, for DescribeGroups: `/10.0.0.1`.
        client_host: Str,
        /// As received.
        request: JoinGroupRequest,
    },
    /// Asks for the assignment, and from the leader brings it.
    SyncGroup {
        /// Of SyncGroup.
        version: i16,
        /// As received.
        request: SyncGroupRequest,
    },
    /// Keeps a session alive.
    Heartbeat {
        /// As received.
        request: HeartbeatRequest,
    },
    /// Takes members out.
    LeaveGroup {
        /// Of LeaveGroup.
        version: i16,
        /// As received.
        request: LeaveGroupRequest,
    },
    /// Commits offsets. Topics carry their name and, if known, their id.
    OffsetCommit {
        /// Of OffsetCommit.
        version: i16,
        /// As received, without unknown topics and partitions.
        request: OffsetCommitRequest,
    },
    /// Asks for committed offsets of one group.
    OffsetFetchGroup(OffsetFetchGroup),
    /// Deletes committed offsets of one group.
    OffsetDelete {
        /// As received, without unknown topics and partitions.
        request: OffsetDeleteRequest,
    },
    /// Deletes an empty group with its offsets.
    DeleteGroup {
        /// The group.
        group_id: Str,
    },
    /// Describes a group.
    DescribeGroup {
        /// Of DescribeGroups.
        version: i16,
        /// The group.
        group_id: Str,
    },
    /// Lists the groups of this partition.
    ListGroups {
        /// Only these states, in any case; empty for all.
        states: Vec<Str>,
        /// Only these types, in any case; empty for all.
        types: Vec<Str>,
    },
    /// Deletes what every group committed for topics that are no more.
    DeleteTopics {
        /// Name and id.
        topics: Vec<(Str, Uuid)>,
    },
}

/// A request for the committed offsets of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchGroup {
    /// Of OffsetFetch.
    pub version: i16,
    /// The group.
    pub group_id: Str,
    /// Which partitions; `None` for all that have an offset.
    pub topics: Option<Vec<OffsetFetchTopic>>,
    /// Whether to refuse offsets that an open transaction may still change. There are none yet: what
    /// is fetched is always answered after everything before it is committed.
    pub require_stable: bool,
}

/// One topic of an [`OffsetFetchGroup`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchTopic {
    /// The topic's name.
    pub name: Str,
    /// The topic's id, or zero. An offset that was committed for another id is not given out.
    pub topic_id: Uuid,
    /// The partitions' numbers.
    pub partitions: Vec<i32>,
}

/// What a coordinator partition answers: to each [`Request`] the variant of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To JoinGroup.
    JoinGroup(JoinGroupResponse),
    /// To SyncGroup.
    SyncGroup(SyncGroupResponse),
    /// To Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// To LeaveGroup.
    LeaveGroup(LeaveGroupResponse),
    /// To OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// To OffsetFetchGroup, in the shape of version 8 and later; see [`crate::merge_offset_fetch`].
    OffsetFetchGroup(OffsetFetchResponseGroup),
    /// To OffsetDelete.
    OffsetDelete(OffsetDeleteResponse),
    /// To DeleteGroup.
    DeleteGroup(DeletableGroupResult),
    /// To DescribeGroup. The host fills in `authorized_operations`.
    DescribeGroup(DescribedGroup),
    /// To ListGroups: the groups, or why there are none.
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    /// To DeleteTopics.
    DeleteTopics(Result<(), ErrorCode>),
}

impl Request {
    /// The group that is asked about; none for requests to every partition.
    #[must_use]
    pub fn group_id(&self) -> Option<&Str> {
        match self {
            Request::JoinGroup { request, .. } => Some(&request.group_id),
            Request::SyncGroup { request, .. } => Some(&request.group_id),
            Request::Heartbeat { request } => Some(&request.group_id),
            Request::LeaveGroup { request, .. } => Some(&request.group_id),
            Request::OffsetCommit { request, .. } => Some(&request.group_id),
            Request::OffsetFetchGroup(request) => Some(&request.group_id),
            Request::OffsetDelete { request } => Some(&request.group_id),
            Request::DeleteGroup { group_id } | Request::DescribeGroup { group_id, .. } => {
                Some(group_id)
            }
            Request::ListGroups { .. } | Request::DeleteTopics { .. } => None,
        }
    }

    /// The answer when the request as a whole is refused: by the core, or by a host that does not
    /// coordinate the group ([`ErrorCode::NOT_COORDINATOR`]) or is still replaying
    /// ([`ErrorCode::COORDINATOR_LOAD_IN_PROGRESS`]).
    #[must_use]
    pub fn refuse(&self, error: ErrorCode) -> Response {
        match self {
            Request::JoinGroup {
                version, request, ..
            } => Response::JoinGroup(refused_join(*version, error, request.member_id.clone())),
            Request::SyncGroup { .. } => Response::SyncGroup(refused_sync(error)),
            Request::Heartbeat { .. } => {
                // A member that is told to wait while the group loads would only ask again. Its
                // session starts anew after the load, so Kafka lets it pass.
                let error = if error == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS {
                    ErrorCode::NONE
                } else {
                    error
                };
                Response::Heartbeat(HeartbeatResponse {
                    error_code: error.0,
                    ..Default::default()
                })
            }
            Request::LeaveGroup { .. } => Response::LeaveGroup(LeaveGroupResponse {
                error_code: error.0,
                ..Default::default()
            }),
            Request::OffsetCommit { request, .. } => {
                Response::OffsetCommit(refused_commit(request, error))
            }
            Request::OffsetFetchGroup(request) => {
                Response::OffsetFetchGroup(request.refused(error))
            }
            Request::OffsetDelete { .. } => Response::OffsetDelete(OffsetDeleteResponse {
                error_code: error.0,
                ..Default::default()
            }),
            Request::DeleteGroup { group_id } => Response::DeleteGroup(DeletableGroupResult {
                group_id: group_id.clone(),
                error_code: error.0,
                ..Default::default()
            }),
            Request::DescribeGroup { group_id, .. } => Response::DescribeGroup(DescribedGroup {
                group_id: group_id.clone(),
                error_code: error.0,
                ..Default::default()
            }),
            Request::ListGroups { .. } => Response::ListGroups(Err(error)),
            Request::DeleteTopics { .. } => Response::DeleteTopics(Err(error)),
        }
    }
}

impl OffsetFetchGroup {
    fn refused(&self, error: ErrorCode) -> OffsetFetchResponseGroup {
        // Version 1 has no place for the error but the partitions.
        let topics = match &self.topics {
            Some(topics) if self.version < 2 => topics.as_slice(),
            _ => &[],
        };
        OffsetFetchResponseGroup {
            group_id: self.group_id.clone(),
            topics: topics
                .iter()
                .map(|topic| OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|&partition_index| OffsetFetchResponsePartitions {
                            partition_index,
                            committed_offset: -1,
                            committed_leader_epoch: -1,
                            metadata: Some(Str::new()),
                            error_code: error.0,
                        })
                        .collect(),
                })
                .collect(),
            error_code: error.0,
        }
    }
}

/// A JoinGroup that failed.
pub(crate) fn refused_join(version: i16, error: ErrorCode, member_id: Str) -> JoinGroupResponse {
    shape_join(
        version,
        JoinGroupResponse {
            error_code: error.0,
            generation_id: -1,
            member_id,
            ..Default::default()
        },
    )
}

/// Versions before 7 cannot say that there is no protocol, and have an empty name instead. Refusing
/// to answer for it left static members of mixed versions stuck (KAFKA-14422).
pub(crate) fn shape_join(version: i16, mut response: JoinGroupResponse) -> JoinGroupResponse {
    if version < 7 && !types::mutant!("GRP-12/b") {
        response.protocol_name.get_or_insert_default();
        response.protocol_type = None;
    } else if response
        .protocol_name
        .as_ref()
        .is_some_and(|name| name.is_empty())
    {
        response.protocol_name = None;
    }
    response
}

/// A SyncGroup that failed.
pub(crate) fn refused_sync(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: error.0,
        ..Default::default()
    }
}

/// An OffsetCommit that failed as a whole: every partition says so.
pub(crate) fn refused_commit(
    request: &OffsetCommitRequest,
    error: ErrorCode,
) -> OffsetCommitResponse {
    OffsetCommitResponse {
        topics: request
            .topics
            .iter()
            .map(|topic| offset_commit_response::OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(
                        |partition| offset_commit_response::OffsetCommitResponsePartition {
                            partition_index: partition.partition_index,
                            error_code: error.0,
                        },
                    )
                    .collect(),
            })
            .collect(),
        ..Default::default()
    }
}
