//! JoinGroup: who is let in, under which id, and whether the group rebalances for it.

use bytes::Bytes;
use protocol::{JoinGroupRequest, JoinGroupResponse, Str};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use state_machine::Ticket;
use tracing::{debug, info};
use types::ErrorCode;

use super::member::{
    ClassicMember, MemberProtocol, ParkedJoin, member_protocols, rebalance_timeout_ms,
};
use super::{ClassicGroup, GroupState, Turn};
use crate::api::refused_join;
use crate::timers::Timer;

/// From this version on a dynamic member gets an id first, and joins with it (KIP-394).
const VERSION_MEMBER_ID_REQUIRED: i16 = 4;
/// From this version on a static leader that comes back is told not to assign anew (KIP-814).
const VERSION_SKIP_ASSIGNMENT: i16 = 9;

/// A JoinGroup on its way into a group.
pub(crate) struct Join<'a> {
    pub ticket: Ticket,
    pub version: i16,
    pub client_id: &'a Str,
    pub client_host: &'a Str,
    pub request: &'a JoinGroupRequest,
}

impl Join<'_> {
    fn parked(&self) -> ParkedJoin {
        ParkedJoin {
            ticket: self.ticket,
            version: self.version,
        }
    }

    /// Why the client joins (KIP-800).
    fn reason(&self) -> &str {
        self.request
            .reason
            .as_deref()
            .filter(|reason| !reason.is_empty())
            .unwrap_or("not provided")
    }

    fn rebalance_timeout_ms(&self) -> i32 {
        let asked = if self.version == 0 {
            -1
        } else {
            self.request.rebalance_timeout_ms
        };
        rebalance_timeout_ms(asked, self.request.session_timeout_ms)
    }
}

impl ClassicGroup {
    /// Handles a JoinGroup whose group id and session timeout are valid.
    pub fn join(&mut self, turn: &mut Turn<'_>, rng: &mut ChaCha8Rng, join: &Join<'_>) {
        let request = join.request;
        let member_id = &request.member_id;
        let protocols = member_protocols(&request.protocols);
        let refuse = |turn: &mut Turn<'_>, error: ErrorCode| {
            debug!(group_id = %self.group_id, %member_id, ?error, "JoinGroup refused");
            let response = refused_join(join.version, error, member_id.clone());
            turn.reply_join(join.parked(), response);
        };
        if !self.accepts(turn, member_id) {
            let response =
                refused_join(join.version, ErrorCode::GROUP_MAX_SIZE_REACHED, Str::new());
            turn.reply_join(join.parked(), response);
            self.remove_pending(turn, member_id);
            self.remove(turn, member_id);
            // Perhaps the group waited for this one alone.
            self.maybe_complete_join_phase(turn);
        } else if !self.supports(&request.protocol_type, &protocols) {
            refuse(turn, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        } else if member_id.is_empty() {
            self.join_new_member(turn, rng, join, protocols);
        } else if self.pending_members.contains_key(member_id)
            && request.group_instance_id.is_none()
        {
            self.remove_pending(turn, member_id);
            self.add_member(turn, join, member_id.detached(), protocols);
        } else if let Err(error) =
            self.validate_member(member_id, request.group_instance_id.as_ref())
        {
            refuse(turn, error);
        } else {
            self.join_existing_member(turn, join, protocols);
        }
    }

    /// Whether the group has room (`group.max.size`).
    fn accepts(&self, turn: &Turn<'_>, member_id: &Str) -> bool {
        match self.state {
            GroupState::Empty => true,
            // Members that have not rejoined do not count: they may not come, and of those that come
            // the last find no room when the limit was lowered.
            GroupState::PreparingRebalance => {
                self.members
                    .get(member_id)
                    .is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_join < turn.config.size_max
                    || types::mutant!("GRP-28")
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < turn.config.size_max
            }
        }
    }

    fn join_new_member(
        &mut self,
        turn: &mut Turn<'_>,
        rng: &mut ChaCha8Rng,
        join: &Join<'_>,
        protocols: Vec<MemberProtocol>,
    ) {
        let instance_id = join.request.group_instance_id.as_ref();
        let name = instance_id.unwrap_or(join.client_id);
        let mut new_id = new_member_id(rng, name);
        while self.members.contains_key(&new_id) || self.pending_members.contains_key(&new_id) {
            new_id = new_member_id(rng, name);
        }
        match instance_id {
            Some(instance_id) => match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.replace_static_member(turn, join, &old_id, new_id, protocols),
                None => self.add_member(turn, join, new_id, protocols),
            },
            None if join.version >= VERSION_MEMBER_ID_REQUIRED => {
                // The client may never see this answer. Were it a member already, it would come
                // again without an id, and the group would fill with the dead.
                let at = turn
                    .now
                    .mono
                    .after_ms(i64::from(join.request.session_timeout_ms));
                turn.timers.arm(at, self.session_timer(&new_id));
                self.pending_members.insert(new_id.clone(), at);
                let response = refused_join(join.version, ErrorCode::MEMBER_ID_REQUIRED, new_id);
                turn.reply_join(join.parked(), response);
            }
            None => self.add_member(turn, join, new_id, protocols),
        }
    }

    /// Adds a member and rebalances.
    fn add_member(
        &mut self,
        turn: &mut Turn<'_>,
        join: &Join<'_>,
        member_id: Str,
        protocols: Vec<MemberProtocol>,
    ) {
        let request = join.request;
        info!(group_id = %self.group_id, %member_id,
            instance_id = request.group_instance_id.as_deref().unwrap_or_default(),
            reason = join.reason(), "a member joins");
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.detached());
        }
        self.leader.get_or_insert_with(|| member_id.clone());
        self.insert(ClassicMember {
            member_id: member_id.clone(),
            group_instance_id: request.group_instance_id.as_ref().map(Str::detached),
            client_id: join.client_id.detached(),
            client_host: join.client_host.detached(),
            rebalance_timeout_ms: join.rebalance_timeout_ms(),
            session_timeout_ms: request.session_timeout_ms,
            protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(join.parked()),
            awaiting_sync: None,
            is_new: true,
            session_deadline: None,
        });
        if let Some(wait) = &mut self.initial_wait {
            wait.new_member_added = true;
        }
        let timeout_ms = turn.config.new_member_join_timeout_ms;
        self.arm_session(turn, &member_id, timeout_ms);
        self.maybe_prepare_rebalance_or_complete_join(turn, "a new member joined");
    }

    fn join_existing_member(
        &mut self,
        turn: &mut Turn<'_>,
        join: &Join<'_>,
        protocols: Vec<MemberProtocol>,
    ) {
        let member_id = &join.request.member_id;
        let is_leader = self.leader.as_ref() == Some(member_id);
        let member = self
            .members
            .get(member_id)
            .expect("the member was validated");
        let repeats = member.matches(&protocols);
        match self.state {
            // The answer to the first JoinGroup got lost.
            GroupState::CompletingRebalance if repeats => {
                turn.reply_join(join.parked(), self.current_generation(member_id));
            }
            // A follower that has nothing new to say gets the current generation, and can sync.
            GroupState::Stable if repeats && !is_leader => {
                turn.reply_join(join.parked(), self.current_generation(member_id));
            }
            GroupState::Empty => unreachable!("an empty group has no members"),
            // A leader that joins again wants to assign anew, for reasons that its metadata need not
            // show: the topics may have grown.
            GroupState::Stable if repeats => {
                self.rejoin(turn, join, protocols, "the leader rejoined")
            }
            _ => self.rejoin(turn, join, protocols, "a member rejoined"),
        }
    }

    /// Parks the JoinGroup of a member, and rebalances.
    fn rejoin(
        &mut self,
        turn: &mut Turn<'_>,
        join: &Join<'_>,
        protocols: Vec<MemberProtocol>,
        why: &'static str,
    ) {
        let member_id = &join.request.member_id;
        debug!(group_id = %self.group_id, %member_id, reason = join.reason(), why);
        self.update_member(join, member_id, protocols);
        self.park_join(turn, member_id, join.parked());
        self.maybe_prepare_rebalance_or_complete_join(turn, why);
    }

    fn update_member(&mut self, join: &Join<'_>, member_id: &Str, protocols: Vec<MemberProtocol>) {
        self.set_protocols(member_id, protocols);
        let member = self
            .members
            .get_mut(member_id)
            .expect("its protocols were just set");
        member.rebalance_timeout_ms = join.rebalance_timeout_ms();
        member.session_timeout_ms = join.request.session_timeout_ms;
    }

    /// Parks a JoinGroup. One that was parked before, over a connection that is probably gone, is told
    /// that the rebalance is still under way.
    fn park_join(&mut self, turn: &mut Turn<'_>, member_id: &Str, parked: ParkedJoin) {
        let member = self
            .members
            .get_mut(member_id)
            .expect("the caller has looked it up");
        if let Some(earlier) = member.awaiting_join.replace(parked) {
            let error = ErrorCode::REBALANCE_IN_PROGRESS;
            let response = refused_join(earlier.version, error, member_id.clone());
            turn.reply_join(earlier, response);
        } else {
            self.awaiting_join += 1;
        }
    }

    /// A static member came back without its id: it takes its own place, under a new id. Whoever has
    /// the old id is fenced (KIP-345).
    fn replace_static_member(
        &mut self,
        turn: &mut Turn<'_>,
        join: &Join<'_>,
        old_id: &Str,
        new_id: Str,
        protocols: Vec<MemberProtocol>,
    ) {
        if types::mutant!("GRP-12") && !self.members[old_id].matches(&protocols) {
            let error = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
            return turn.reply_join(join.parked(), refused_join(join.version, error, Str::new()));
        }
        if self.state == GroupState::Stable && !self.fits_with(turn, old_id, &new_id, &protocols) {
            let error = ErrorCode::UNKNOWN_SERVER_ERROR;
            return turn.reply_join(join.parked(), refused_join(join.version, error, Str::new()));
        }
        info!(group_id = %self.group_id, %old_id, %new_id, reason = join.reason(),
            "a static member comes back");
        let old_leader = self.leader.clone();
        let mut member = self
            .take(turn, old_id, ErrorCode::FENCED_INSTANCE_ID, true)
            .expect("a static member is a member");
        if types::mutant!("GRP-09") {
            let ghost = ClassicMember {
                group_instance_id: None,
                ..member.clone()
            };
            self.insert(ghost);
        }
        member.member_id = new_id.clone();
        member.client_id = join.client_id.detached();
        member.client_host = join.client_host.detached();
        member.is_new = false;
        self.insert(member);
        if self.leader.as_ref() == Some(old_id) {
            self.leader = Some(new_id.clone());
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.clone());
        }
        self.update_member(join, &new_id, protocols);
        let timeout_ms = join.request.session_timeout_ms;
        self.arm_session(turn, &new_id, timeout_ms);
        match self.state {
            GroupState::Stable if self.protocol.as_ref() == Some(&self.select_protocol()) => {
                // Nothing changes for the others. The new id has to be in the log, or the next
                // coordinator would fence the wrong one.
                self.compute_subscribed_topics();
                turn.out.record(self.record());
                let response = self.rejoined_static_member(join, new_id, old_leader);
                turn.reply_join(join.parked(), response);
            }
            GroupState::CompletingRebalance if types::mutant!("GRP-10") => {
                let response = self.current_generation(&new_id);
                turn.reply_join(join.parked(), response);
            }
            GroupState::Stable | GroupState::CompletingRebalance => {
                // In CompletingRebalance the leader assigns to the old id, so that the new one would
                // get nothing: they all have to join again (KAFKA-9801).
                self.park_join(turn, &new_id, join.parked());
                self.prepare_rebalance(turn, "a static member came back");
            }
            GroupState::PreparingRebalance => {
                self.park_join(turn, &new_id, join.parked());
                self.maybe_complete_join_phase(turn);
            }
            GroupState::Empty => unreachable!("an empty group has no static members"),
        }
    }

    /// The answer to a static member that takes its place in a stable group.
    fn rejoined_static_member(
        &self,
        join: &Join<'_>,
        new_id: Str,
        old_leader: Option<Str>,
    ) -> JoinGroupResponse {
        if join.version >= VERSION_SKIP_ASSIGNMENT {
            JoinGroupResponse {
                skip_assignment: self.leader.as_ref() == Some(&new_id),
                ..self.current_generation(&new_id)
            }
        } else {
            // Without a way to say "lead, but do not assign", a leader is not told that it leads.
            JoinGroupResponse {
                leader: old_leader.unwrap_or_default(),
                members: Vec::new(),
                ..self.current_generation(&new_id)
            }
        }
    }

    /// Whether the group's record still fits into a batch when a member comes back as another.
    fn fits_with(
        &self,
        turn: &Turn<'_>,
        old_id: &Str,
        new_id: &Str,
        protocols: &[MemberProtocol],
    ) -> bool {
        let old = &self.members[old_id];
        let subscription = protocols
            .iter()
            .map(|protocol| protocol.metadata.len())
            .max();
        let before = self.record().size_max();
        let grows = new_id.len().saturating_sub(old_id.len()) + subscription.unwrap_or(0);
        let shrinks = self
            .protocol
            .as_deref()
            .map_or(0, |protocol| old.metadata(protocol).len());
        before + grows - shrinks <= turn.config.batch_bytes_max
    }

    /// (Re)starts the session of a member.
    pub(super) fn arm_session(&mut self, turn: &mut Turn<'_>, member_id: &Str, timeout_ms: i32) {
        let timer = Timer::Session {
            group_id: self.group_id.clone(),
            member_id: member_id.clone(),
        };
        let member = self
            .members
            .get_mut(member_id)
            .expect("the caller has looked it up");
        let at = turn.now.mono.after_ms(i64::from(timeout_ms));
        match member.session_deadline.replace(at) {
            Some(earlier) if earlier == at => {}
            Some(earlier) => {
                turn.timers.disarm(earlier, timer.clone());
                turn.timers.arm(at, timer);
            }
            None => turn.timers.arm(at, timer),
        }
    }
}

/// A member id as Kafka makes them: the client's name, or the static member's, and a random UUID.
fn new_member_id(rng: &mut ChaCha8Rng, name: &str) -> Str {
    // With the UUID after it, the id must still be a text that the protocol can carry.
    let name = &name[..name.floor_char_boundary(32_000)];
    let mut bytes = [0u8; 16];
    rng.fill_bytes(&mut bytes);
    let bits = u128::from_be_bytes(types::Uuid::from_random(bytes).0);
    Str::from(format!(
        "{name}-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        (bits >> 96) as u32,
        (bits >> 80) as u16,
        (bits >> 64) as u16,
        (bits >> 48) as u16,
        bits & 0xffff_ffff_ffff,
    ))
}
