//! Sessions: heartbeats, silence, and leaving.

use protocol::leave_group_request::MemberIdentity;
use protocol::leave_group_response::MemberResponse;
use protocol::{HeartbeatRequest, Str};
use tracing::{debug, info};
use types::ErrorCode;

use super::{ClassicGroup, GroupState, Turn};

impl ClassicGroup {
    /// Starts the sessions of members found in the log.
    pub fn start_sessions(&mut self, turn: &mut Turn<'_>) {
        let members: Vec<(Str, i32)> = self
            .members
            .values()
            .map(|m| (m.member_id.clone(), m.session_timeout_ms))
            .collect();
        for (member_id, session_timeout_ms) in members {
            self.arm_session(turn, &member_id, session_timeout_ms);
        }
    }

    /// Handles a Heartbeat.
    pub fn heartbeat(&mut self, turn: &mut Turn<'_>, request: &HeartbeatRequest) -> ErrorCode {
        let member_id = &request.member_id;
        if let Err(error) = self.validate_member(member_id, request.group_instance_id.as_ref()) {
            return error;
        }
        if request.generation_id != self.generation_id {
            return ErrorCode::ILLEGAL_GENERATION;
        }
        self.keep_alive(turn, member_id);
        match self.state {
            GroupState::PreparingRebalance => ErrorCode::REBALANCE_IN_PROGRESS,
            // Members may begin to send heartbeats before they have their assignment.
            _ => ErrorCode::NONE,
        }
    }

    /// An OffsetCommit that was let through keeps the session alive too.
    pub fn committed(&mut self, turn: &mut Turn<'_>, member_id: &Str) {
        if self.members.contains_key(member_id) {
            self.keep_alive(turn, member_id);
        }
    }

    fn keep_alive(&mut self, turn: &mut Turn<'_>, member_id: &Str) {
        let timeout_ms = self.members[member_id].session_timeout_ms;
        self.arm_session(turn, member_id, timeout_ms);
    }

    /// A session has run out.
    pub fn session_timer_fired(&mut self, turn: &mut Turn<'_>, member_id: &Str) {
        if self.pending_members.remove(member_id).is_some() {
            debug!(group_id = %self.group_id, %member_id, "an id that was given out lapsed");
            if self.state == GroupState::PreparingRebalance && self.has_all_members_joined() {
                self.complete_join(turn);
            }
            return;
        }
        let member = self
            .members
            .get_mut(member_id)
            .expect("a session timer has a member");
        member.session_deadline = None;
        if member.has_satisfied_heartbeat() {
            // It is armed again when the member gets its answer.
            return;
        }
        info!(group_id = %self.group_id, %member_id, "a member was silent for too long");
        self.remove(turn, member_id);
        if self.state != GroupState::PreparingRebalance {
            self.prepare_rebalance(turn, "a member was silent for too long");
        } else if self.has_all_members_joined() {
            self.complete_join(turn);
        }
    }

    /// Handles a LeaveGroup.
    pub fn leave(
        &mut self,
        turn: &mut Turn<'_>,
        leaving: &[MemberIdentity],
    ) -> Vec<MemberResponse> {
        let size = self.members.len();
        let responses: Vec<MemberResponse> = leaving
            .iter()
            .map(|identity| MemberResponse {
                member_id: identity.member_id.clone(),
                group_instance_id: identity.group_instance_id.clone(),
                error_code: self.leave_one(turn, identity).0,
            })
            .collect();
        if self.state == GroupState::PreparingRebalance {
            self.maybe_complete_join_phase(turn);
        } else if self.members.len() < size {
            self.prepare_rebalance(turn, "members left");
        }
        responses
    }

    fn leave_one(&mut self, turn: &mut Turn<'_>, identity: &MemberIdentity) -> ErrorCode {
        let reason = identity.reason.as_deref().unwrap_or("not provided");
        let instance_id = identity.group_instance_id.as_ref();
        let member_id = if identity.member_id.is_empty() {
            // An administrator removes a static member by the name that only it has.
            match instance_id.and_then(|instance_id| self.static_members.get(instance_id)) {
                Some(member_id) => member_id.clone(),
                None => return ErrorCode::UNKNOWN_MEMBER_ID,
            }
        } else if self.remove_pending(turn, &identity.member_id) {
            return ErrorCode::NONE;
        } else if let Err(error) = self.validate_member(&identity.member_id, instance_id) {
            return error;
        } else {
            identity.member_id.clone()
        };
        info!(group_id = %self.group_id, %member_id, reason, "a member leaves");
        self.remove(turn, &member_id);
        ErrorCode::NONE
    }
}
