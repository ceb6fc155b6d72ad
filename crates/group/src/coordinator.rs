//! The coordinator of one partition of `__consumer_offsets`, as a replayed core.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use protocol::{HeartbeatResponse, LeaveGroupResponse, Str, leave_group_response};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use state_machine::{Decision, StateMachine, Ticket};
use tracing::debug;
use types::{ErrorCode, Mono, Now};

use crate::api::{Request, Response};
use crate::classic::{ClassicGroup, GroupState, Join, Turn};
use crate::config::GroupConfig;
use crate::record::Record;
use crate::retention::{Deletion, ExpiryPass};
use crate::stored::{StoredGroup, replay};
use crate::timers::{Timer, Timers};

/// Protocols that one member may offer. Clients have a handful; a frame has room for a million.
const PROTOCOLS_MAX: usize = 1_000;

/// The groups of one partition of `__consumer_offsets`.
///
/// Two values are equal when they tell the same of every group, whatever their settings.
#[derive(Clone, Debug)]
pub struct GroupCoordinator {
    pub(crate) config: GroupConfig,
    rng: ChaCha8Rng,
    pub(crate) groups: BTreeMap<Str, StoredGroup>,
    /// How many records were replayed.
    replayed: u64,
}

impl PartialEq for GroupCoordinator {
    fn eq(&self, other: &GroupCoordinator) -> bool {
        self.groups == other.groups
    }
}

impl Eq for GroupCoordinator {}

/// What is lost with the leader: members as they come and go, their timers, and parked requests.
#[derive(Clone, Debug, Default)]
pub struct Soft {
    /// Set by `activate`.
    rng: Option<ChaCha8Rng>,
    /// Every group with a member or with a promised member id.
    pub(crate) groups: BTreeMap<Str, ClassicGroup>,
    pub(crate) timers: Timers,
    /// Set by `activate`.
    pub(crate) expiry: Option<ExpiryPass>,
    pub(crate) deletions: VecDeque<Deletion>,
}

impl GroupCoordinator {
    /// A partition without groups; the host then replays the log and activates it. `rng` makes member
    /// ids. Where it is drawn anew for each value, no id is ever given out twice; where it is always
    /// the same, as in a simulation, the time of activation and the log make the difference.
    #[must_use]
    pub fn new(config: GroupConfig, rng: ChaCha8Rng) -> GroupCoordinator {
        GroupCoordinator {
            config,
            rng,
            groups: BTreeMap::new(),
            replayed: 0,
        }
    }

    /// What the log says about each group.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<Str, StoredGroup> {
        &self.groups
    }

    /// Panics if an invariant is broken, within `soft` or between it and the log. Takes time in
    /// proportion to everything there is: for tests and the simulator.
    pub fn check(&self, soft: &Soft) {
        let mut timers = 0;
        for (group_id, group) in &soft.groups {
            assert!(!group.is_idle(), "{group_id} is kept for nothing");
            let logged = self
                .groups
                .get(group_id)
                .and_then(|stored| stored.metadata.as_ref());
            timers += group.check(logged);
        }
        assert_eq!(timers, soft.timers.len(), "timers without an owner");
        for (group_id, stored) in &self.groups {
            assert!(stored.metadata.is_some() || !stored.offsets.is_empty());
            assert!(
                stored
                    .offsets
                    .values()
                    .all(|partitions| !partitions.is_empty())
            );
            let has_members = stored
                .metadata
                .as_ref()
                .is_some_and(|m| !m.members.is_empty());
            assert!(
                !has_members || soft.expiry.is_none() || soft.groups.contains_key(group_id),
                "nobody would notice the death of {group_id}"
            );
        }
    }

    /// The generator of member ids for one term of leadership. A coordinator of an earlier term may
    /// have used the same seed, and its ids may still be in use.
    fn member_id_rng(&self, now: Now) -> ChaCha8Rng {
        let mut seed = [0u8; 32];
        self.rng.clone().fill_bytes(&mut seed);
        let term = [self.replayed, now.mono.0, now.wall.0 as u64];
        for (bytes, number) in seed.chunks_exact_mut(8).zip(term) {
            for (byte, mixed_in) in bytes.iter_mut().zip(number.to_le_bytes()) {
                *byte ^= mixed_in;
            }
        }
        ChaCha8Rng::from_seed(seed)
    }

    /// The group as it is now, live or from the log.
    pub(crate) fn view<'a>(&self, soft: &'a Soft, group_id: &Str) -> Option<Cow<'a, ClassicGroup>> {
        if let Some(group) = soft.groups.get(group_id) {
            return Some(Cow::Borrowed(group));
        }
        let stored = self.groups.get(group_id)?;
        let group = ClassicGroup::from_log(group_id.clone(), stored.metadata.as_ref());
        Some(Cow::Owned(group))
    }

    /// Lets a live group take its turn, and drops it if it then has nothing that the log has not.
    fn with_live<T>(
        &self,
        soft: &mut Soft,
        now: Now,
        group_id: &Str,
        out: &mut Decision<Record, Response>,
        act: impl FnOnce(&mut ClassicGroup, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let group = soft.groups.get_mut(group_id)?;
        let mut turn = Turn {
            config: &self.config,
            now,
            timers: &mut soft.timers,
            out,
        };
        let result = act(group, &mut turn);
        if group.is_idle() {
            soft.groups.remove(group_id);
        }
        Some(result)
    }

    fn join(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        request: &Request,
        out: &mut Decision<Record, Response>,
    ) {
        let Request::JoinGroup {
            version,
            client_id,
            client_host,
            request: join,
        } = request
        else {
            unreachable!("the caller has looked");
        };
        let refuse = |out: &mut Decision<Record, Response>, error| {
            out.reply(ticket, request.refuse(error));
        };
        let timeouts = self.config.session_timeout_ms_min..=self.config.session_timeout_ms_max;
        if join.group_id.is_empty() {
            return refuse(out, ErrorCode::INVALID_GROUP_ID);
        }
        if !timeouts.contains(&join.session_timeout_ms) {
            return refuse(out, ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        if join.protocols.len() > PROTOCOLS_MAX {
            return refuse(out, ErrorCode::INVALID_REQUEST);
        }
        let stored = self.groups.get(&join.group_id);
        if !soft.groups.contains_key(&join.group_id) {
            if stored.is_none() && !join.member_id.is_empty() {
                return refuse(out, ErrorCode::UNKNOWN_MEMBER_ID);
            }
            let group_id = join.group_id.detached();
            let metadata = stored.and_then(|stored| stored.metadata.as_ref());
            let group = ClassicGroup::from_log(group_id.clone(), metadata);
            assert_eq!(group.size(), 0, "a group with members is live");
            soft.groups.insert(group_id, group);
        }
        let mut rng = soft
            .rng
            .take()
            .expect("activate comes before the first request");
        let join = Join {
            ticket,
            version: *version,
            client_id,
            client_host,
            request: join,
        };
        self.with_live(soft, now, &join.request.group_id, out, |group, turn| {
            group.join(turn, &mut rng, &join);
        });
        soft.rng = Some(rng);
    }

    fn sync(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        request: &Request,
        out: &mut Decision<Record, Response>,
    ) {
        let Request::SyncGroup {
            version,
            request: sync,
        } = request
        else {
            unreachable!("the caller has looked");
        };
        let error =
            if *version >= 5 && (sync.protocol_type.is_none() || sync.protocol_name.is_none()) {
                // From version 5 a member says for what it syncs (KIP-559).
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL
            } else if sync.group_id.is_empty() {
                ErrorCode::INVALID_GROUP_ID
            } else {
                let live = self.with_live(soft, now, &sync.group_id, out, |group, turn| {
                    group.sync(turn, ticket, sync);
                });
                match live {
                    Some(()) => return,
                    None => ErrorCode::UNKNOWN_MEMBER_ID,
                }
            };
        out.reply(ticket, request.refuse(error));
    }

    fn heartbeat(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        request: &protocol::HeartbeatRequest,
        out: &mut Decision<Record, Response>,
    ) {
        let error = if request.group_id.is_empty() {
            ErrorCode::INVALID_GROUP_ID
        } else {
            let live = self.with_live(soft, now, &request.group_id, out, |group, turn| {
                group.heartbeat(turn, request)
            });
            live.unwrap_or(ErrorCode::UNKNOWN_MEMBER_ID)
        };
        let response = HeartbeatResponse {
            error_code: error.0,
            ..Default::default()
        };
        out.reply(ticket, Response::Heartbeat(response));
    }

    fn leave(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        version: i16,
        request: &protocol::LeaveGroupRequest,
        out: &mut Decision<Record, Response>,
    ) {
        let mut response = LeaveGroupResponse::default();
        if request.group_id.is_empty() {
            response.error_code = ErrorCode::INVALID_GROUP_ID.0;
            return out.reply(ticket, Response::LeaveGroup(response));
        }
        // Before version 3 a member leaves for itself alone.
        let alone;
        let leaving = if version >= 3 {
            request.members.as_slice()
        } else {
            alone = [protocol::leave_group_request::MemberIdentity {
                member_id: request.member_id.clone(),
                ..Default::default()
            }];
            &alone
        };
        let members = self
            .with_live(soft, now, &request.group_id, out, |group, turn| {
                group.leave(turn, leaving)
            })
            .unwrap_or_else(|| {
                leaving
                    .iter()
                    .map(|identity| leave_group_response::MemberResponse {
                        member_id: identity.member_id.clone(),
                        group_instance_id: identity.group_instance_id.clone(),
                        error_code: ErrorCode::UNKNOWN_MEMBER_ID.0,
                    })
                    .collect()
            });
        if version >= 3 {
            response.members = members;
        } else {
            response.error_code = members[0].error_code;
        }
        out.reply(ticket, Response::LeaveGroup(response));
    }

    fn timer_fired(
        &self,
        soft: &mut Soft,
        now: Now,
        timer: &Timer,
        out: &mut Decision<Record, Response>,
    ) {
        let (Timer::Join { group_id } | Timer::Sync { group_id } | Timer::Session { group_id, .. }) =
            timer;
        self.with_live(soft, now, group_id, out, |group, turn| match timer {
            Timer::Join { .. } => group.join_timer_fired(turn),
            Timer::Sync { .. } => group.sync_timer_fired(turn),
            Timer::Session { member_id, .. } => group.session_timer_fired(turn, member_id),
        })
        .expect("a timer is disarmed before its group is dropped");
    }
}

impl StateMachine for GroupCoordinator {
    type Request = Request;
    type Response = Response;
    type Record = Record;
    type Soft = Soft;

    /// # Panics
    ///
    /// `activate` was not called.
    fn handle(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        request: Request,
        out: &mut Decision<Record, Response>,
    ) {
        assert!(
            soft.rng.is_some(),
            "activate comes before the first request"
        );
        match &request {
            Request::JoinGroup { .. } => self.join(soft, now, ticket, &request, out),
            Request::SyncGroup { .. } => self.sync(soft, now, ticket, &request, out),
            Request::Heartbeat { request } => self.heartbeat(soft, now, ticket, request, out),
            Request::LeaveGroup { version, request } => {
                self.leave(soft, now, ticket, *version, request, out);
            }
            Request::OffsetCommit { version, request } => {
                self.commit_offsets(soft, now, ticket, *version, request, out);
            }
            Request::OffsetFetchGroup(request) => {
                let response = self.fetch_offsets(request);
                out.reply(ticket, Response::OffsetFetchGroup(response));
            }
            Request::OffsetDelete { request } => {
                let response = self.delete_offsets(soft, request, out);
                out.reply(ticket, Response::OffsetDelete(response));
            }
            Request::DeleteGroup { group_id } => {
                self.delete_group(soft, now, ticket, group_id, out);
            }
            Request::DescribeGroup { version, group_id } => {
                let response = self.describe_group(soft, *version, group_id);
                out.reply(ticket, Response::DescribeGroup(response));
            }
            Request::ListGroups { states, types } => {
                let response = self.list_groups(soft, states, types);
                out.reply(ticket, Response::ListGroups(Ok(response)));
            }
            Request::DeleteTopics { topics } => {
                self.delete_topics(soft, now, ticket, topics, out);
            }
        }
    }

    fn tick(&self, soft: &mut Soft, now: Now, out: &mut Decision<Record, Response>) {
        // One decision is one batch. What does not fit is still due, and done in the next tick.
        let mut room = self.config.batch_bytes_max / 2;
        while let Some(timer) = soft.timers.pop_due(now.mono) {
            let written = out.records.len();
            self.timer_fired(soft, now, &timer, out);
            let bytes: usize = out.records[written..].iter().map(Record::size_max).sum();
            room = room.saturating_sub(bytes);
            if room == 0 {
                return;
            }
        }
        // The jobs look at the log, and so only at what is replayed already.
        if out.records.is_empty() {
            self.continue_deletions(soft, now, &mut room, out);
        }
        if out.records.is_empty() {
            self.continue_expiry(soft, now, &mut room, out);
        }
    }

    fn deadline(&self, soft: &Soft) -> Option<Mono> {
        let deletions = (!soft.deletions.is_empty()).then_some(Mono(0));
        let expiry = soft.expiry.as_ref().map(ExpiryPass::due);
        [soft.timers.next(), deletions, expiry]
            .into_iter()
            .flatten()
            .min()
    }

    fn activate(&self, soft: &mut Soft, now: Now, out: &mut Decision<Record, Response>) {
        assert!(soft.rng.is_none(), "a coordinator is activated once");
        soft.rng = Some(self.member_id_rng(now));
        let interval_ms = self.config.offsets_retention_check_interval_ms;
        soft.expiry = Some(ExpiryPass::at(now.mono.after_ms(interval_ms)));
        for (group_id, stored) in &self.groups {
            let group = ClassicGroup::from_log(group_id.clone(), stored.metadata.as_ref());
            if group.state() == GroupState::Empty {
                continue;
            }
            soft.groups.insert(group_id.clone(), group);
            self.with_live(soft, now, group_id, out, |group, turn| {
                group.start_sessions(turn);
                if group.size() > turn.config.size_max {
                    // The limit was lowered. A rebalance lets the members commit before it bites.
                    group.prepare_rebalance(turn, "the group is larger than the limit");
                }
            });
        }
        debug!(
            groups = self.groups.len(),
            live = soft.groups.len(),
            "activated"
        );
    }

    fn replay(&mut self, record: &Record) {
        self.replayed += 1;
        replay(&mut self.groups, record);
    }
}
