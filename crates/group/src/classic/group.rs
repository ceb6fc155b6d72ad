//! The group as a collection: members, votes, what goes into the log, what is shown.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protocol::Str;
use protocol::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use protocol::join_group_response::JoinGroupResponseMember;
use protocol::{JoinGroupResponse, SyncGroupResponse};
use state_machine::Ticket;
use types::{ErrorCode, Mono, TimestampMs};

use super::member::{ClassicMember, MemberProtocol, ParkedJoin};
use super::{GroupState, Turn};
use crate::api::{Response, refused_join, refused_sync, shape_join};
use crate::record::{GroupMetadata, Record};
use crate::subscription::SubscribedTopics;
use crate::timers::Timer;

/// A group with members, or with ids promised to members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassicGroup {
    pub(super) group_id: Str,
    pub(super) state: GroupState,
    /// When the group came into its state.
    pub(super) state_timestamp: TimestampMs,
    /// In `PreparingRebalance`: whether the group came from `Empty`.
    pub(super) is_initial: bool,
    pub(super) generation_id: i32,
    pub(super) protocol_type: Option<Str>,
    pub(super) protocol: Option<Str>,
    pub(super) leader: Option<Str>,
    pub(super) members: BTreeMap<Str, ClassicMember>,
    /// Member ids of static members by `group.instance.id`.
    pub(super) static_members: BTreeMap<Str, Str>,
    /// Ids that were given out and have not joined yet, and when they lapse.
    pub(super) pending_members: BTreeMap<Str, Mono>,
    /// How many members support each protocol.
    pub(super) supported_protocols: BTreeMap<Str, usize>,
    /// How many members have a JoinGroup parked.
    pub(super) awaiting_join: usize,
    /// Members that have not sent SyncGroup in this generation.
    pub(super) pending_sync: BTreeSet<Str>,
    /// As of the current generation.
    pub(super) subscribed_topics: SubscribedTopics,
    /// In an initial rebalance: what is left of the wait for more members.
    pub(super) initial_wait: Option<InitialWait>,
    pub(super) join_deadline: Option<Mono>,
    pub(super) sync_deadline: Option<Mono>,
}

/// The wait of an empty group for more members than the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialWait {
    /// The wait under way.
    pub delay_ms: i32,
    /// By how much it may be prolonged.
    pub remaining_ms: i32,
    /// Whether a member joined during it.
    pub new_member_added: bool,
}

impl ClassicGroup {
    /// The group that the log tells of; `None` for a group that the log does not know.
    pub fn from_log(group_id: Str, metadata: Option<&GroupMetadata>) -> ClassicGroup {
        let mut group = ClassicGroup {
            group_id,
            state: GroupState::Empty,
            state_timestamp: metadata.map_or(TimestampMs::NONE, |m| m.current_state_timestamp),
            is_initial: false,
            generation_id: metadata.map_or(0, |m| m.generation_id),
            protocol_type: metadata
                .map(|m| m.protocol_type.clone())
                .filter(|t| !t.is_empty()),
            protocol: metadata.and_then(|m| m.protocol.clone()),
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            supported_protocols: BTreeMap::new(),
            awaiting_join: 0,
            pending_sync: BTreeSet::new(),
            subscribed_topics: SubscribedTopics::Unknown,
            initial_wait: None,
            join_deadline: None,
            sync_deadline: None,
        };
        if let Some(metadata) = metadata.filter(|metadata| !metadata.members.is_empty()) {
            group.state = GroupState::Stable;
            let protocol = group.protocol.get_or_insert_default().clone();
            group.protocol_type.get_or_insert_default();
            for member in &metadata.members {
                let mut member = ClassicMember::from_log(member, &protocol);
                // No coordinator writes an id twice. Should a log have it, the first counts.
                if group.members.contains_key(&member.member_id) {
                    continue;
                }
                if let Some(instance_id) = &member.group_instance_id
                    && group.static_members.contains_key(instance_id)
                {
                    member.group_instance_id = None;
                }
                group.insert(member);
            }
            group.leader = metadata
                .leader
                .clone()
                .filter(|leader| group.members.contains_key(leader))
                .or_else(|| group.members.keys().next().cloned());
        }
        group.compute_subscribed_topics();
        group
    }

    /// The state.
    pub fn state(&self) -> GroupState {
        self.state
    }

    /// When the group came into its state.
    pub fn state_timestamp(&self) -> TimestampMs {
        self.state_timestamp
    }

    /// `consumer`, ...; none for a group that never had a member.
    pub fn protocol_type(&self) -> Option<&Str> {
        self.protocol_type.as_ref()
    }

    /// What the members of the current generation read.
    pub fn subscribed_topics(&self) -> &SubscribedTopics {
        &self.subscribed_topics
    }

    /// Whether a member may be reading `topic`.
    pub fn may_be_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed_topics
            .may_contain(self.protocol_type.as_deref(), topic)
    }

    /// Whether nothing is here that the log does not say too.
    pub fn is_idle(&self) -> bool {
        self.state == GroupState::Empty && self.pending_members.is_empty()
    }

    /// The members' number.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Adds a member to the collection; the caller sees to timers and leader.
    pub(super) fn insert(&mut self, member: ClassicMember) {
        if let Some(instance_id) = &member.group_instance_id {
            let previous = self
                .static_members
                .insert(instance_id.clone(), member.member_id.clone());
            assert!(
                previous.is_none(),
                "a static member is added beside another of its id"
            );
        }
        for protocol in &member.protocols {
            *self
                .supported_protocols
                .entry(protocol.name.clone())
                .or_default() += 1;
        }
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        let previous = self.members.insert(member.member_id.clone(), member);
        assert!(previous.is_none(), "a member is added twice");
    }

    /// Takes a member out of the collection, with its timer, and answers what it waits for.
    pub(super) fn take(
        &mut self,
        turn: &mut Turn<'_>,
        member_id: &Str,
        error: ErrorCode,
        answer_with_id: bool,
    ) -> Option<ClassicMember> {
        let mut member = self.members.remove(member_id)?;
        for protocol in &member.protocols {
            forget_protocol(&mut self.supported_protocols, &protocol.name);
        }
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members.remove(instance_id);
        }
        if let Some(at) = member.session_deadline.take() {
            turn.timers.disarm(at, self.session_timer(member_id));
        }
        if let Some(parked) = member.awaiting_join.take() {
            self.awaiting_join -= 1;
            let id = if answer_with_id {
                member_id.clone()
            } else {
                Str::new()
            };
            turn.reply_join(parked, refused_join(parked.version, error, id));
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            turn.reply_sync(ticket, refused_sync(error));
        }
        Some(member)
    }

    /// Removes a member for good. What it waits for is answered so that a live client joins anew.
    pub(super) fn remove(&mut self, turn: &mut Turn<'_>, member_id: &Str) {
        if self
            .take(turn, member_id, ErrorCode::UNKNOWN_MEMBER_ID, false)
            .is_none()
        {
            return;
        }
        self.pending_sync.remove(member_id);
        if self.leader.as_ref() == Some(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Forgets an id that was given out.
    pub(super) fn remove_pending(&mut self, turn: &mut Turn<'_>, member_id: &Str) -> bool {
        let Some(at) = self.pending_members.remove(member_id) else {
            return false;
        };
        turn.timers.disarm(at, self.session_timer(member_id));
        true
    }

    /// Forgets every id that was given out: the group is deleted.
    pub fn remove_all_pending(&mut self, turn: &mut Turn<'_>) {
        while let Some((member_id, at)) = self.pending_members.pop_first() {
            turn.timers.disarm(at, self.session_timer(&member_id));
        }
    }

    /// Whether a JoinGroup offers a protocol that every member supports.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[MemberProtocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| {
                let supporters = self.supported_protocols.get(&protocol.name).copied();
                supporters.unwrap_or(0) == self.members.len()
            })
    }

    /// The protocol with the most votes. Every member votes for the first in its list that all
    /// support; of equals, the first in the alphabet wins.
    pub(super) fn select_protocol(&self) -> Str {
        let is_candidate =
            |name: &Str| self.supported_protocols.get(name) == Some(&self.members.len());
        let mut votes: BTreeMap<&Str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member
                .protocols
                .iter()
                .find(|protocol| is_candidate(&protocol.name));
            let vote = vote.expect("a member joins only with a protocol that all support");
            *votes.entry(&vote.name).or_default() += 1;
        }
        let mut winner: Option<(&Str, usize)> = None;
        for (name, count) in votes {
            if winner.is_none_or(|(_, most)| count > most) {
                winner = Some((name, count));
            }
        }
        winner
            .expect("a protocol is selected for a group with members")
            .0
            .clone()
    }

    /// Replaces what a member offers.
    pub(super) fn set_protocols(&mut self, member_id: &Str, protocols: Vec<MemberProtocol>) {
        let member = self
            .members
            .get_mut(member_id)
            .expect("the member was looked up");
        for protocol in &protocols {
            *self
                .supported_protocols
                .entry(protocol.name.clone())
                .or_default() += 1;
        }
        for protocol in &member.protocols {
            forget_protocol(&mut self.supported_protocols, &protocol.name);
        }
        member.protocols = protocols;
    }

    /// Reads the members' metadata anew.
    pub(super) fn compute_subscribed_topics(&mut self) {
        self.subscribed_topics = match &self.protocol {
            None if !self.members.is_empty() => SubscribedTopics::Unknown,
            protocol => {
                let protocol = protocol.as_deref().unwrap_or_default();
                SubscribedTopics::parse(
                    self.protocol_type.as_deref(),
                    self.members
                        .values()
                        .map(|member| member.metadata(protocol)),
                )
            }
        };
    }

    /// Whether every member, and every id given out, has joined.
    pub(super) fn has_all_members_joined(&self) -> bool {
        self.awaiting_join == self.members.len() && self.pending_members.is_empty()
    }

    /// How long a rebalance waits: as long as the most patient member asks for.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
    }

    /// Whether a member is who it says it is.
    ///
    /// # Errors
    /// 82 for a static member that was replaced, 25 for one that is not here.
    pub(super) fn validate_member(
        &self,
        member_id: &Str,
        group_instance_id: Option<&Str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = group_instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(current) if current != member_id && !types::mutant!("GRP-09") => {
                    return Err(ErrorCode::FENCED_INSTANCE_ID);
                }
                Some(_) => {}
            }
        }
        if !self.members.contains_key(member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        Ok(())
    }

    /// Whether an OffsetCommit comes from somebody who may.
    ///
    /// # Errors
    /// 25, 82: not a member. 22: not of this generation. 27: of this generation, but without an
    /// assignment yet.
    pub fn validate_commit(
        &self,
        member_id: &Str,
        group_instance_id: Option<&Str>,
        generation_id: i32,
    ) -> Result<(), ErrorCode> {
        if generation_id < 0 && self.state == GroupState::Empty {
            // An admin client, or a consumer that assigns partitions to itself.
            return Ok(());
        }
        if generation_id < 0 && member_id.is_empty() && group_instance_id.is_none() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.validate_member(member_id, group_instance_id)?;
        if generation_id != self.generation_id && !types::mutant!("GRP-31") {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if self.state == GroupState::CompletingRebalance {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// The record of this group.
    pub(super) fn record(&self) -> Record {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        Record::GroupMetadata {
            group_id: self.group_id.clone(),
            value: Some(GroupMetadata {
                protocol_type: self.protocol_type.clone().unwrap_or_default(),
                generation_id: self.generation_id,
                protocol: self.protocol.clone(),
                leader: self.leader.clone(),
                current_state_timestamp: self.state_timestamp,
                members: self.members.values().map(|m| m.to_log(protocol)).collect(),
            }),
        }
    }

    pub(super) fn session_timer(&self, member_id: &Str) -> Timer {
        Timer::Session {
            group_id: self.group_id.clone(),
            member_id: member_id.clone(),
        }
    }

    /// Answers a JoinGroup with the current generation. Only the leader is told of the other members.
    pub(super) fn current_generation(&self, member_id: &Str) -> JoinGroupResponse {
        let is_leader = self.leader.as_ref() == Some(member_id);
        JoinGroupResponse {
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.clone(),
            members: if is_leader {
                self.joined_members()
            } else {
                Vec::new()
            },
            ..Default::default()
        }
    }

    fn joined_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members
            .values()
            .map(|member| JoinGroupResponseMember {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                metadata: member.metadata(protocol).clone(),
            })
            .collect()
    }

    /// For DescribeGroups. Metadata is shown of a completed generation only.
    pub fn describe(&self) -> DescribedGroup {
        let shown = self
            .protocol
            .as_ref()
            .filter(|_| self.state == GroupState::Stable);
        DescribedGroup {
            group_id: self.group_id.clone(),
            group_state: Str::from_static(self.state.name()),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol_data: shown.cloned().unwrap_or_default(),
            members: self
                .members
                .values()
                .map(|member| DescribedGroupMember {
                    member_id: member.member_id.clone(),
                    group_instance_id: member.group_instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    member_metadata: shown
                        .map_or_else(Bytes::new, |protocol| member.metadata(protocol).clone()),
                    member_assignment: member.assignment.clone(),
                })
                .collect(),
            ..Default::default()
        }
    }

    /// Panics if an invariant is broken, of this group or between it and the log. Returns how many
    /// timers the group has armed.
    pub fn check(&self, logged: Option<&GroupMetadata>) -> usize {
        let mut timers = self.pending_members.len();
        let mut awaiting = 0;
        let mut supported: BTreeMap<Str, usize> = BTreeMap::new();
        for (member_id, member) in &self.members {
            assert_eq!(member_id, &member.member_id);
            assert!(
                !self.pending_members.contains_key(member_id),
                "pending and a member"
            );
            timers += usize::from(member.session_deadline.is_some());
            awaiting += usize::from(member.awaiting_join.is_some());
            for protocol in &member.protocols {
                *supported.entry(protocol.name.clone()).or_default() += 1;
            }
            if let Some(instance_id) = &member.group_instance_id {
                assert_eq!(
                    self.static_members.get(instance_id),
                    Some(member_id),
                    "two instances"
                );
            }
            if member.awaiting_join.is_some() {
                assert_eq!(
                    self.state,
                    GroupState::PreparingRebalance,
                    "a join waits for nothing"
                );
            }
            if member.awaiting_sync.is_some() {
                assert_eq!(
                    self.state,
                    GroupState::CompletingRebalance,
                    "a sync waits for nothing"
                );
            }
            assert!(
                member.session_deadline.is_some() || member.has_satisfied_heartbeat(),
                "nobody would notice the death of {member_id}"
            );
        }
        assert_eq!(awaiting, self.awaiting_join);
        assert_eq!(supported, self.supported_protocols);
        for (instance_id, member_id) in &self.static_members {
            let member = self
                .members
                .get(member_id)
                .expect("a static member is a member");
            assert_eq!(member.group_instance_id.as_ref(), Some(instance_id));
        }
        assert!(
            self.pending_sync
                .iter()
                .all(|member_id| self.members.contains_key(member_id))
        );
        match self.state {
            GroupState::Empty | GroupState::Stable => assert_eq!(self.join_deadline, None),
            GroupState::PreparingRebalance => {
                assert!(self.join_deadline.is_some(), "a rebalance without an end");
                assert_eq!(self.sync_deadline, None);
            }
            GroupState::CompletingRebalance => {
                assert_eq!(self.join_deadline, None);
                assert!(
                    self.sync_deadline.is_some(),
                    "a generation that nobody completes"
                );
            }
        }
        if self.state == GroupState::Empty {
            assert!(self.members.is_empty());
        } else if self.state != GroupState::PreparingRebalance {
            let leader = self.leader.as_ref().expect("a generation has a leader");
            assert!(self.members.contains_key(leader), "the leader is a member");
        }
        let logged_generation = logged.map_or(0, |logged| logged.generation_id);
        match self.state {
            GroupState::Empty => {
                assert!(logged.is_none_or(|logged| logged.members.is_empty()));
                assert_eq!(self.generation_id, logged_generation);
            }
            GroupState::Stable => {
                let logged = logged.expect("a stable group is in the log");
                assert_eq!(self.generation_id, logged.generation_id);
                assert_eq!(self.leader, logged.leader);
                let protocol = self
                    .protocol
                    .as_deref()
                    .expect("a generation has a protocol");
                let members: Vec<_> = self.members.values().map(|m| m.to_log(protocol)).collect();
                assert_eq!(members, logged.members, "the log tells of other members");
            }
            GroupState::PreparingRebalance => assert!(self.generation_id >= logged_generation),
            GroupState::CompletingRebalance => {
                assert!(self.generation_id > logged_generation || self.generation_id == i32::MAX)
            }
        }
        timers
            + usize::from(self.join_deadline.is_some())
            + usize::from(self.sync_deadline.is_some())
    }
}

fn forget_protocol(supported: &mut BTreeMap<Str, usize>, name: &Str) {
    let count = supported
        .get_mut(name)
        .expect("a member's protocols are counted");
    *count -= 1;
    if *count == 0 {
        supported.remove(name);
    }
}

impl Turn<'_> {
    pub(super) fn reply_join(&mut self, parked: ParkedJoin, response: JoinGroupResponse) {
        let response = shape_join(parked.version, response);
        self.out.reply(parked.ticket, Response::JoinGroup(response));
    }

    pub(super) fn reply_sync(&mut self, ticket: Ticket, response: SyncGroupResponse) {
        self.out.reply(ticket, Response::SyncGroup(response));
    }
}
