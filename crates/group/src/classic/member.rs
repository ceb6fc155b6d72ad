//! One member of a classic group.

use std::collections::BTreeSet;

use bytes::Bytes;
use protocol::Str;
use protocol::join_group_request::JoinGroupRequestProtocol;
use state_machine::Ticket;
use types::Mono;

use crate::record::MemberMetadata;

/// A JoinGroup that waits for its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParkedJoin {
    pub ticket: Ticket,
    pub version: i16,
}

/// A protocol that a member supports, and what it says with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberProtocol {
    pub name: Str,
    pub metadata: Bytes,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassicMember {
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In the member's order of preference; no name twice.
    pub protocols: Vec<MemberProtocol>,
    pub assignment: Bytes,
    pub awaiting_join: Option<ParkedJoin>,
    pub awaiting_sync: Option<Ticket>,
    /// Whether the member waits for its first generation, in which time it cannot send heartbeats.
    pub is_new: bool,
    /// When its session timer is armed for.
    pub session_deadline: Option<Mono>,
}

impl ClassicMember {
    /// A member found in the log, which knows only the protocol that the generation uses.
    pub fn from_log(member: &MemberMetadata, protocol: &Str) -> ClassicMember {
        ClassicMember {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: rebalance_timeout_ms(
                member.rebalance_timeout_ms,
                member.session_timeout_ms,
            ),
            session_timeout_ms: member.session_timeout_ms,
            protocols: vec![MemberProtocol {
                name: protocol.clone(),
                metadata: member.subscription.clone(),
            }],
            assignment: member.assignment.clone(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            session_deadline: None,
        }
    }

    /// What goes into the log.
    pub fn to_log(&self, protocol: &str) -> MemberMetadata {
        MemberMetadata {
            member_id: self.member_id.clone(),
            group_instance_id: self.group_instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol).clone(),
            assignment: self.assignment.clone(),
        }
    }

    /// What the member says with the protocol that its group chose.
    pub fn metadata(&self, protocol: &str) -> &Bytes {
        self.protocols
            .iter()
            .find(|candidate| candidate.name == *protocol)
            .map(|candidate| &candidate.metadata)
            .expect("a group chooses a protocol that every member supports")
    }

    /// Whether a JoinGroup says nothing new.
    pub fn matches(&self, protocols: &[MemberProtocol]) -> bool {
        self.protocols == protocols
    }

    /// A member that waits for the coordinator is alive without heartbeats; a new one only for so long.
    pub fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// The protocols of a JoinGroup, each name once, in buffers of their own.
pub(crate) fn member_protocols(protocols: &[JoinGroupRequestProtocol]) -> Vec<MemberProtocol> {
    let mut names: BTreeSet<&Str> = BTreeSet::new();
    protocols
        .iter()
        .filter(|protocol| names.insert(&protocol.name))
        .map(|protocol| MemberProtocol {
            name: protocol.name.detached(),
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        })
        .collect()
}

/// How long a rebalance waits for a member. Version 0 of JoinGroup does not say, and some clients of
/// later versions send -1: without the session timeout in its place, such a group would rebalance
/// without end (KAFKA-8653).
pub(crate) fn rebalance_timeout_ms(rebalance_timeout_ms: i32, session_timeout_ms: i32) -> i32 {
    if rebalance_timeout_ms < 0 {
        session_timeout_ms
    } else {
        rebalance_timeout_ms
    }
}
