//! Groups, as an admin sees them.

use std::collections::BTreeMap;

use env::Env;
use protocol::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsRequest,
    DescribeGroupsRequest, DescribeGroupsResponse, ListGroupsRequest, OffsetDeleteRequest, Str,
};
use types::ErrorCode;

use super::offsets::{CommittedOffset, Committer};
use super::protocol_data::{PROTOCOL_TYPE, decode_assignment};
use crate::cluster::{CoordinatorKind, Lane, Repeat, Topics};
use crate::metadata::{TopicPartition, by_topic};
use crate::{Admin, Error, Result};

pub use protocol::list_groups_response::ListedGroup;

/// A group, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub id: Str,
    /// `classic` or `consumer`.
    pub group_type: Str,
    /// `Empty`, `Stable`, ...
    pub state: Str,
    /// `consumer` for consumers.
    pub protocol_type: Str,
    /// The assignor in use; empty if there is none.
    pub assignor: Str,
    /// The broker that coordinates it, if it was told.
    pub coordinator: Option<i32>,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// A member, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub id: Str,
    /// Its instance, if it is a static member.
    pub instance_id: Option<Str>,
    /// What it calls itself.
    pub client_id: Str,
    /// Where it connects from.
    pub host: Str,
    /// The partitions that it reads. Empty for members that are no consumers.
    pub assignment: Vec<TopicPartition>,
}

impl<E: Env> Admin<E> {
    /// The groups that all brokers together coordinate, by id. Empty filters let all pass.
    ///
    /// # Errors
    /// A broker cannot be reached: the list would not be whole.
    pub async fn list_groups(&mut self, states: &[Str], types: &[Str]) -> Result<Vec<ListedGroup>> {
        let deadline = self.cluster().deadline();
        self.cluster().refresh_until(Topics::None, deadline).await?;
        let nodes: Vec<i32> = self.cluster().metadata().nodes().map(|n| n.id).collect();
        let mut groups = BTreeMap::new();
        for node in nodes {
            let build = |version| ListGroupsRequest {
                states_filter: if version >= 4 {
                    states.to_vec()
                } else {
                    Vec::new()
                },
                types_filter: if version >= 5 {
                    types.to_vec()
                } else {
                    Vec::new()
                },
            };
            let check = |r: &protocol::ListGroupsResponse| Error::check(r.error_code, None);
            let call = self
                .cluster()
                .call_node(node, Repeat::Always, deadline, build, check);
            for group in call.await?.groups {
                groups.insert(group.group_id.clone(), group);
            }
        }
        Ok(groups.into_values().collect())
    }

    /// Describes groups of either protocol.
    pub async fn describe_groups(&mut self, ids: &[Str]) -> Vec<(Str, Result<GroupDescription>)> {
        let mut described = Vec::new();
        for id in ids {
            let result = self.describe_group(id).await;
            described.push((id.clone(), result));
        }
        described
    }

    async fn describe_group(&mut self, id: &Str) -> Result<GroupDescription> {
        let deadline = self.cluster().deadline();
        let kind = CoordinatorKind::Group;
        let build = |_| DescribeGroupsRequest {
            groups: vec![id.clone()],
            include_authorized_operations: false,
        };
        let check = |r: &DescribeGroupsResponse| match r.groups.first() {
            Some(group) => Error::check(group.error_code, group.error_message.as_deref()),
            None => Err(Error::protocol("the coordinator", "it left out the group")),
        };
        let call =
            self.cluster()
                .call_coordinator(kind, id, Repeat::Always, deadline, build, check);
        let classic = call.await;
        let not_found = || {
            let text = format!("The group {} does not exist.", id.as_str());
            Error::server_with(ErrorCode::GROUP_ID_NOT_FOUND, Some(&text))
        };
        let dead = match &classic {
            Ok(answer) => answer.groups.iter().all(|g| g.group_state == "Dead"),
            Err(error) => error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND),
        };
        let coordinator = self.cluster().known_coordinator(kind, id);
        if !dead {
            let mut groups = classic?.groups;
            let group = groups.pop().ok_or_else(not_found)?;
            let is_consumer = group.protocol_type == PROTOCOL_TYPE;
            let members = group.members.into_iter().map(|m| MemberDescription {
                assignment: match decode_assignment(&m.member_assignment) {
                    Ok(partitions) if is_consumer => partitions,
                    _ => Vec::new(),
                },
                id: m.member_id,
                instance_id: m.group_instance_id,
                client_id: m.client_id,
                host: m.client_host,
            });
            return Ok(GroupDescription {
                id: id.clone(),
                group_type: Str::from_static("classic"),
                state: group.group_state,
                protocol_type: group.protocol_type,
                assignor: group.protocol_data,
                coordinator,
                members: members.collect(),
            });
        }
        let connection = self
            .cluster()
            .coordinator(kind, id, Lane::Main, deadline)
            .await?;
        if connection
            .version::<ConsumerGroupDescribeRequest>(0, i16::MAX)
            .is_err()
        {
            return Err(not_found());
        }
        let build = |_| ConsumerGroupDescribeRequest {
            group_ids: vec![id.clone()],
            include_authorized_operations: false,
        };
        let check = |r: &ConsumerGroupDescribeResponse| match r.groups.first() {
            Some(group) => Error::check(group.error_code, group.error_message.as_deref()),
            None => Err(Error::protocol("the coordinator", "it left out the group")),
        };
        let call =
            self.cluster()
                .call_coordinator(kind, id, Repeat::Always, deadline, build, check);
        let group = call.await?.groups.pop().ok_or_else(not_found)?;
        let members = group.members.into_iter().map(|m| MemberDescription {
            id: m.member_id,
            instance_id: m.instance_id,
            client_id: m.client_id,
            host: m.client_host,
            assignment: m
                .assignment
                .topic_partitions
                .iter()
                .flat_map(|t| {
                    let at = |p: &i32| TopicPartition::new(t.topic_name.detached(), *p);
                    t.partitions.iter().map(at)
                })
                .collect(),
        });
        Ok(GroupDescription {
            id: id.clone(),
            group_type: Str::from_static("consumer"),
            state: group.group_state,
            protocol_type: Str::from_static(PROTOCOL_TYPE),
            assignor: group.assignor_name,
            coordinator,
            members: members.collect(),
        })
    }

    /// The offsets that a group committed: for the partitions asked for, or all. A partition without
    /// one is not in the result.
    ///
    /// # Errors
    /// The coordinator cannot be reached or refuses.
    pub async fn group_offsets(
        &mut self,
        group: &Str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Result<CommittedOffset>>> {
        let deadline = self.cluster().deadline();
        self.cluster()
            .fetch_offsets(group, partitions, false, deadline)
            .await
    }

    /// Sets the offsets of a group that has no members.
    ///
    /// # Errors
    /// The coordinator cannot be reached. Refusals (UNKNOWN_MEMBER_ID while there are members) are in
    /// the items.
    pub async fn alter_group_offsets(
        &mut self,
        group: &Str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let deadline = self.cluster().deadline();
        let committer = Committer {
            group: group.clone(),
            generation: -1,
            ..Committer::default()
        };
        self.cluster()
            .commit_offsets(&committer, offsets, deadline)
            .await
    }

    /// Deletes offsets of a group.
    ///
    /// # Errors
    /// The coordinator cannot be reached or refuses as a whole. GROUP_SUBSCRIBED_TO_TOPIC is a refusal
    /// of its items.
    pub async fn delete_group_offsets(
        &mut self,
        group: &Str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let deadline = self.cluster().deadline();
        let topics = by_topic(partitions.iter().map(|at| (at.clone(), ())));
        let topics: Vec<OffsetDeleteRequestTopic> = topics
            .into_iter()
            .map(|(name, partitions)| OffsetDeleteRequestTopic {
                name,
                partitions: partitions
                    .into_iter()
                    .map(|(partition_index, ())| OffsetDeleteRequestPartition { partition_index })
                    .collect(),
            })
            .collect();
        let build = |_| OffsetDeleteRequest {
            group_id: group.clone(),
            topics: topics.clone(),
        };
        let check = |r: &protocol::OffsetDeleteResponse| Error::check(r.error_code, None);
        let kind = CoordinatorKind::Group;
        let call =
            self.cluster()
                .call_coordinator(kind, group, Repeat::Always, deadline, build, check);
        let mut results = BTreeMap::new();
        for topic in call.await?.topics {
            for p in topic.partitions {
                let at = TopicPartition::new(topic.name.detached(), p.partition_index);
                results.insert(at, Error::check(p.error_code, None));
            }
        }
        Ok(results)
    }

    /// Deletes groups that have no members.
    pub async fn delete_groups(&mut self, ids: &[Str]) -> Vec<(Str, Result<()>)> {
        let mut results = Vec::new();
        for id in ids {
            let deadline = self.cluster().deadline();
            let build = |_| DeleteGroupsRequest {
                groups_names: vec![id.clone()],
            };
            let check = |r: &protocol::DeleteGroupsResponse| match r.results.first() {
                Some(result) => Error::check(result.error_code, result.error_message.as_deref()),
                None => Err(Error::protocol("the coordinator", "it left out the group")),
            };
            let (kind, repeat) = (CoordinatorKind::Group, Repeat::WhenNotDone);
            let call = self
                .cluster()
                .call_coordinator(kind, id, repeat, deadline, build, check);
            results.push((id.clone(), call.await.map(|_| ())));
        }
        results
    }
}
