//! The rebalance: gathering members, forming a generation.

use bytes::Bytes;
use protocol::Str;
use tracing::info;
use types::ErrorCode;

use super::group::InitialWait;
use super::{ClassicGroup, GroupState, Turn};
use crate::api::refused_sync;
use crate::timers::Timer;

/// When nobody at all has rejoined, how soon the join phase is looked at again at the earliest.
const RETRY_MS_MIN: i32 = 1_000;

impl ClassicGroup {
    /// After a change of members: begins a rebalance, or sees whether the one under way is complete.
    pub(super) fn maybe_prepare_rebalance_or_complete_join(
        &mut self,
        turn: &mut Turn<'_>,
        reason: &'static str,
    ) {
        if self.state == GroupState::PreparingRebalance {
            self.maybe_complete_join_phase(turn);
        } else {
            self.prepare_rebalance(turn, reason);
        }
    }

    /// Ends the join phase if everybody is there. An initial one lasts its time all the same.
    pub(super) fn maybe_complete_join_phase(&mut self, turn: &mut Turn<'_>) {
        if self.state == GroupState::PreparingRebalance
            && !self.is_initial
            && self.has_all_members_joined()
        {
            self.complete_join(turn);
        }
    }

    /// Begins a rebalance: everybody has to join again.
    pub fn prepare_rebalance(&mut self, turn: &mut Turn<'_>, reason: &'static str) {
        info!(group_id = %self.group_id, generation_id = self.generation_id,
            state = self.state.name(), reason, "preparing a rebalance");
        if self.state == GroupState::CompletingRebalance {
            self.drop_assignment(turn, ErrorCode::REBALANCE_IN_PROGRESS);
        }
        self.disarm_sync(turn);
        self.pending_sync.clear();
        self.is_initial = self.state == GroupState::Empty;
        self.enter(turn, GroupState::PreparingRebalance);
        if self.is_initial {
            let delay_ms = turn.config.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.wait_for_more(
                turn,
                InitialWait {
                    delay_ms,
                    remaining_ms,
                    new_member_added: false,
                },
            );
        } else if self.has_all_members_joined() {
            self.complete_join(turn);
        } else {
            let timeout_ms = self.rebalance_timeout_ms();
            self.arm_join(turn, timeout_ms);
        }
    }

    /// The wait of an initial rebalance, or the time for everybody to join again, is over.
    pub fn join_timer_fired(&mut self, turn: &mut Turn<'_>) {
        self.join_deadline = None;
        match self.initial_wait.take() {
            Some(wait) if wait.new_member_added && wait.remaining_ms != 0 => {
                self.wait_for_more(
                    turn,
                    InitialWait {
                        delay_ms: turn
                            .config
                            .initial_rebalance_delay_ms
                            .min(wait.remaining_ms),
                        remaining_ms: (wait.remaining_ms - wait.delay_ms).max(0),
                        new_member_added: false,
                    },
                );
            }
            _ => self.complete_join(turn),
        }
    }

    fn wait_for_more(&mut self, turn: &mut Turn<'_>, wait: InitialWait) {
        self.initial_wait = Some(wait);
        self.arm_join(turn, wait.delay_ms);
    }

    /// Ends the join phase with those who have joined.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        assert_eq!(self.state, GroupState::PreparingRebalance);
        self.initial_wait = None;
        if let Some(at) = self.join_deadline.take() {
            turn.timers.disarm(
                at,
                Timer::Join {
                    group_id: self.group_id.clone(),
                },
            );
        }
        // Static members keep their place until their session ends.
        let absent: Vec<Str> = self
            .members
            .values()
            .filter(|m| m.awaiting_join.is_none() && m.group_instance_id.is_none())
            .map(|m| m.member_id.clone())
            .collect();
        for member_id in absent {
            info!(group_id = %self.group_id, %member_id, "a member did not rejoin in time");
            self.remove(turn, &member_id);
        }
        if self.members.is_empty() {
            self.become_empty(turn);
        } else if self.elect_leader_that_joined() {
            self.form_generation(turn);
        } else {
            // Only static members are left, and none has rejoined: wait until they do, or die.
            let timeout_ms = self.rebalance_timeout_ms().max(RETRY_MS_MIN);
            self.arm_join(turn, timeout_ms);
        }
    }

    /// Makes sure that the leader is one who has joined; false if nobody has.
    fn elect_leader_that_joined(&mut self) -> bool {
        let has_joined = |id: &Str| {
            self.members
                .get(id)
                .is_some_and(|m| m.awaiting_join.is_some())
        };
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self
            .members
            .values()
            .find(|member| member.awaiting_join.is_some());
        let Some(joined) = joined.map(|member| member.member_id.clone()) else {
            return false;
        };
        info!(group_id = %self.group_id, leader = %joined, "a new leader is elected");
        self.leader = Some(joined);
        true
    }

    fn become_empty(&mut self, turn: &mut Turn<'_>) {
        self.generation_id = self.generation_id.saturating_add(1);
        self.protocol = None;
        self.leader = None;
        self.pending_sync.clear();
        self.compute_subscribed_topics();
        self.enter(turn, GroupState::Empty);
        info!(group_id = %self.group_id, generation_id = self.generation_id, "the group is empty");
        turn.out.record(self.record());
    }

    /// Forms the next generation and answers everybody who has joined.
    fn form_generation(&mut self, turn: &mut Turn<'_>) {
        self.generation_id = self.generation_id.saturating_add(1);
        self.protocol = Some(self.select_protocol());
        self.compute_subscribed_topics();
        self.enter(turn, GroupState::CompletingRebalance);
        info!(group_id = %self.group_id, generation_id = self.generation_id,
            members = self.members.len(), "a generation is formed");
        let member_ids: Vec<Str> = self.members.keys().cloned().collect();
        for member_id in &member_ids {
            let member = self.members.get_mut(member_id).expect("it was just listed");
            member.is_new = false;
            let session_timeout_ms = member.session_timeout_ms;
            if let Some(parked) = member.awaiting_join.take() {
                self.awaiting_join -= 1;
                turn.reply_join(parked, self.current_generation(member_id));
            }
            self.arm_session(turn, member_id, session_timeout_ms);
        }
        self.pending_sync = member_ids.into_iter().collect();
        let timeout_ms = i64::from(self.rebalance_timeout_ms());
        let at = turn.now.mono.after_ms(timeout_ms);
        turn.timers.arm(
            at,
            Timer::Sync {
                group_id: self.group_id.clone(),
            },
        );
        self.sync_deadline = Some(at);
    }

    /// Takes the assignment from everybody, and tells those who wait for it why.
    pub(super) fn drop_assignment(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        let mut waited = Vec::new();
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(ticket) = member.awaiting_sync.take() {
                turn.reply_sync(ticket, refused_sync(error));
                waited.push((member.member_id.clone(), member.session_timeout_ms));
            }
        }
        // Their sessions may have run out while they waited.
        for (member_id, session_timeout_ms) in waited {
            self.arm_session(turn, &member_id, session_timeout_ms);
        }
    }

    pub(super) fn enter(&mut self, turn: &Turn<'_>, state: GroupState) {
        self.state = state;
        self.state_timestamp = turn.now.wall.into();
    }

    pub(super) fn disarm_sync(&mut self, turn: &mut Turn<'_>) {
        if let Some(at) = self.sync_deadline.take() {
            turn.timers.disarm(
                at,
                Timer::Sync {
                    group_id: self.group_id.clone(),
                },
            );
        }
    }

    fn arm_join(&mut self, turn: &mut Turn<'_>, timeout_ms: i32) {
        let at = turn.now.mono.after_ms(i64::from(timeout_ms));
        turn.timers.arm(
            at,
            Timer::Join {
                group_id: self.group_id.clone(),
            },
        );
        let earlier = self.join_deadline.replace(at);
        assert_eq!(earlier, None, "a join phase has one end");
    }
}
