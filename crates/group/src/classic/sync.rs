//! SyncGroup: the leader brings the assignment, everybody gets theirs.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::{Str, SyncGroupRequest, SyncGroupResponse};
use state_machine::Ticket;
use tracing::{info, warn};
use types::ErrorCode;

use super::{ClassicGroup, GroupState, Turn};
use crate::api::refused_sync;

impl ClassicGroup {
    /// Handles a SyncGroup.
    pub fn sync(&mut self, turn: &mut Turn<'_>, ticket: Ticket, request: &SyncGroupRequest) {
        if let Err(error) = self.validate_sync(request) {
            return turn.reply_sync(ticket, refused_sync(error));
        }
        let member_id = &request.member_id;
        match self.state {
            GroupState::Empty => unreachable!("an empty group has no members"),
            GroupState::PreparingRebalance => {
                turn.reply_sync(ticket, refused_sync(ErrorCode::REBALANCE_IN_PROGRESS));
            }
            GroupState::CompletingRebalance => {
                self.park_sync(turn, ticket, member_id);
                self.sync_received(turn, member_id);
                if self.leader.as_ref() == Some(member_id) {
                    self.complete_generation(turn, request);
                }
            }
            GroupState::Stable => {
                self.sync_received(turn, member_id);
                let response = self.assignment_of(member_id);
                turn.reply_sync(ticket, response);
            }
        }
    }

    fn validate_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        self.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation_id {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let differs = |said: &Option<Str>, known: &Option<Str>| matches!((said, known), (Some(said), Some(known)) if said != known);
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        Ok(())
    }

    /// Parks a SyncGroup. An earlier one of the same member is told to come again, as nobody may be
    /// there to hear anything else.
    fn park_sync(&mut self, turn: &mut Turn<'_>, ticket: Ticket, member_id: &Str) {
        let member = self
            .members
            .get_mut(member_id)
            .expect("the member was validated");
        if let Some(earlier) = member.awaiting_sync.replace(ticket) {
            turn.reply_sync(earlier, refused_sync(ErrorCode::REBALANCE_IN_PROGRESS));
        }
    }

    /// A member has sent SyncGroup. The time limit for it ends when all have and the group is stable.
    fn sync_received(&mut self, turn: &mut Turn<'_>, member_id: &Str) {
        self.pending_sync.remove(member_id);
        if self.state == GroupState::Stable && self.pending_sync.is_empty() {
            self.disarm_sync(turn);
        }
    }

    /// The leader has brought the assignment: it goes into the log, and to everybody who waits.
    fn complete_generation(&mut self, turn: &mut Turn<'_>, request: &SyncGroupRequest) {
        let mut assignments: BTreeMap<&str, &Bytes> = BTreeMap::new();
        for assigned in &request.assignments {
            assignments.insert(&assigned.member_id, &assigned.assignment);
        }
        let mut without = 0;
        for (member_id, member) in &mut self.members {
            member.assignment = match assignments.get(member_id.as_str()) {
                Some(assignment) => Bytes::copy_from_slice(assignment),
                None => Bytes::new(),
            };
            without += usize::from(member.assignment.is_empty());
        }
        let record = self.record();
        if record.size_max() > turn.config.batch_bytes_max {
            warn!(group_id = %self.group_id, bytes = record.size_max(),
                "the assignment is too large for the log");
            self.drop_assignment(turn, ErrorCode::UNKNOWN_SERVER_ERROR);
            self.prepare_rebalance(turn, "the assignment was too large");
            return;
        }
        info!(group_id = %self.group_id, generation_id = self.generation_id,
            members = self.members.len(), without_assignment = without, "the group is stable");
        turn.out.record(record);
        self.state = GroupState::Stable;
        let mut waited = Vec::new();
        for (member_id, member) in &mut self.members {
            if let Some(ticket) = member.awaiting_sync.take() {
                waited.push((member_id.clone(), ticket, member.session_timeout_ms));
            }
        }
        for (member_id, ticket, session_timeout_ms) in waited {
            let response = self.assignment_of(&member_id);
            turn.reply_sync(ticket, response);
            // The session may have run out while the member waited.
            self.arm_session(turn, &member_id, session_timeout_ms);
        }
        if self.pending_sync.is_empty() {
            self.disarm_sync(turn);
        }
    }

    fn assignment_of(&self, member_id: &Str) -> SyncGroupResponse {
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: self.members[member_id].assignment.clone(),
            ..Default::default()
        }
    }

    /// Time is up for SyncGroup: whoever has not sent one is out.
    pub fn sync_timer_fired(&mut self, turn: &mut Turn<'_>) {
        self.sync_deadline = None;
        let late: Vec<Str> = self.pending_sync.iter().cloned().collect();
        for member_id in &late {
            info!(group_id = %self.group_id, %member_id, "a member did not sync in time");
            self.remove(turn, member_id);
        }
        assert!(
            !late.is_empty(),
            "the timer runs as long as a SyncGroup is missing"
        );
        self.prepare_rebalance(turn, "members did not sync in time");
    }
}
