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

    /// The answer when the request as a whole is refused: see [`Refusal::because`].
    #[must_use]
    pub fn refuse(&self, error: ErrorCode) -> Response {
        self.refusal().because(error)
    }

    /// What is needed to refuse the request when it has been handed on.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        Refusal(match self {
            Request::JoinGroup {
                version, request, ..
            } => Refused::JoinGroup {
                version: *version,
                member_id: request.member_id.clone(),
            },
            Request::SyncGroup { .. } => Refused::SyncGroup,
            Request::Heartbeat { .. } => Refused::Heartbeat,
            Request::LeaveGroup { .. } => Refused::LeaveGroup,
            Request::OffsetCommit { request, .. } => {
                Refused::OffsetCommit(refused_commit(request, ErrorCode::NONE))
            }
            Request::OffsetFetchGroup(request) => {
                Refused::OffsetFetchGroup(request.refused(ErrorCode::NONE))
            }
            Request::OffsetDelete { .. } => Refused::OffsetDelete,
            Request::DeleteGroup { group_id } => Refused::DeleteGroup(group_id.clone()),
            Request::DescribeGroup { group_id, .. } => Refused::DescribeGroup(group_id.clone()),
            Request::ListGroups { .. } => Refused::ListGroups,
            Request::DeleteTopics { .. } => Refused::DeleteTopics,
        })
    }

    /// What to say if a coordinator took the request and went away without an answer. Whether what it asks for
    /// was done is not known then: it may be in the log.
    #[must_use]
    pub fn error_if_unanswered(&self) -> ErrorCode {
        match self {
            Request::OffsetCommit { .. }
            | Request::OffsetDelete { .. }
            | Request::DeleteGroup { .. }
            | Request::DeleteTopics { .. } => ErrorCode::REQUEST_TIMED_OUT,
            // Members join again, and readers ask again.
            _ => ErrorCode::NOT_COORDINATOR,
        }
    }
}

/// A request as a whole, refused for a reason that is not known yet. It keeps what the answer names of the
/// request, and nothing else of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal(Refused);

#[derive(Clone, Debug, PartialEq)]
enum Refused {
    JoinGroup { version: i16, member_id: Str },
    SyncGroup,
    Heartbeat,
    LeaveGroup,
    OffsetCommit(OffsetCommitResponse),
    OffsetFetchGroup(OffsetFetchResponseGroup),
    OffsetDelete,
    DeleteGroup(Str),
    DescribeGroup(Str),
    ListGroups,
    DeleteTopics,
}

impl Refusal {
    /// The answer: by the core, or by a host that does not coordinate the group
    /// ([`ErrorCode::NOT_COORDINATOR`]) or is still replaying ([`ErrorCode::COORDINATOR_LOAD_IN_PROGRESS`]).
    #[must_use]
    pub fn because(self, error: ErrorCode) -> Response {
        match self.0 {
            Refused::JoinGroup { version, member_id } => {
                Response::JoinGroup(refused_join(version, error, member_id))
            }
            Refused::SyncGroup => Response::SyncGroup(refused_sync(error)),
            Refused::Heartbeat => {
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
            Refused::LeaveGroup => Response::LeaveGroup(LeaveGroupResponse {
                error_code: error.0,
                ..Default::default()
            }),
            Refused::OffsetCommit(mut response) => {
                let partitions = response.topics.iter_mut().flat_map(|it| &mut it.partitions);
                partitions.for_each(|partition| partition.error_code = error.0);
                Response::OffsetCommit(response)
            }
            Refused::OffsetFetchGroup(mut response) => {
                let partitions = response.topics.iter_mut().flat_map(|it| &mut it.partitions);
                partitions.for_each(|partition| partition.error_code = error.0);
                response.error_code = error.0;
                Response::OffsetFetchGroup(response)
            }
            Refused::OffsetDelete => Response::OffsetDelete(OffsetDeleteResponse {
                error_code: error.0,
                ..Default::default()
            }),
            Refused::DeleteGroup(group_id) => Response::DeleteGroup(DeletableGroupResult {
                group_id,
                error_code: error.0,
                ..Default::default()
            }),
            Refused::DescribeGroup(group_id) => Response::DescribeGroup(DescribedGroup {
                group_id,
                error_code: error.0,
                ..Default::default()
            }),
            Refused::ListGroups => Response::ListGroups(Err(error)),
            Refused::DeleteTopics => Response::DeleteTopics(Err(error)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Request {
        let topic = protocol::offset_commit_request::OffsetCommitRequestTopic {
            name: Str::from("t"),
            partitions: vec![Default::default(); 3],
            ..Default::default()
        };
        Request::OffsetCommit {
            version: 8,
            request: OffsetCommitRequest {
                topics: vec![topic],
                ..Default::default()
            },
        }
    }

    #[test]
    fn a_commit_is_refused_for_each_partition() {
        let refusal = commit().refusal();
        let Response::OffsetCommit(response) = refusal.because(ErrorCode::NOT_COORDINATOR) else {
            panic!("a commit is answered as one")
        };
        let partitions = &response.topics[0].partitions;
        assert_eq!(partitions.len(), 3);
        assert!(
            partitions
                .iter()
                .all(|it| it.error_code == ErrorCode::NOT_COORDINATOR.0)
        );
    }

    #[test]
    fn only_the_first_version_of_a_fetch_names_its_partitions_when_it_is_refused() {
        for version in 1..10 {
            let request = Request::OffsetFetchGroup(OffsetFetchGroup {
                version,
                topics: Some(vec![OffsetFetchTopic {
                    partitions: vec![0, 1],
                    ..Default::default()
                }]),
                ..Default::default()
            });
            let Response::OffsetFetchGroup(group) = request.refuse(ErrorCode::NOT_COORDINATOR)
            else {
                panic!("a fetch is answered as one")
            };
            assert_eq!(group.error_code, ErrorCode::NOT_COORDINATOR.0);
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            let refused = partitions.filter(|it| it.error_code == ErrorCode::NOT_COORDINATOR.0);
            assert_eq!(refused.count(), if version < 2 { 2 } else { 0 });
        }
    }

    /// A commit may be in the log of a coordinator that went away; a heartbeat leaves nothing there.
    #[test]
    fn what_may_have_been_done_is_not_said_to_be_undone() {
        assert_eq!(commit().error_if_unanswered(), ErrorCode::REQUEST_TIMED_OUT);
        let heartbeat = Request::Heartbeat {
            request: Default::default(),
        };
        assert_eq!(heartbeat.error_if_unanswered(), ErrorCode::NOT_COORDINATOR);
    }
}
