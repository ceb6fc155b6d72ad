//! Consuming as a member of a group, by the classic protocol.
//!
//! ```text
//! Out --JoinGroup--> Joining --answered--> Syncing --SyncGroup answered--> Stable
//!  ^                    |                     |                              |
//!  +---- refused, lost, or the group rebalances: heartbeat says so ----------+
//! ```
//!
//! What a Java client tells a rebalance listener, [`GroupConsumer::poll`] returns as a value
//! ([`Polled`]): the owner reacts to it in its own code, with awaits, and polls again. Partitions that
//! are `Revoked` are still the member's until the next poll, so that their offsets can be committed;
//! those that are `Lost` are not.
//!
//! Nothing here blocks longer than a poll may, but for looking up offsets, metadata and coordinators:
//! the answers to JoinGroup and SyncGroup, which wait for other members, are awaited across polls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use env::{Clock, Either, Env, race};
use protocol::join_group_request::JoinGroupRequestProtocol;
use protocol::sync_group_request::SyncGroupRequestAssignment;
use protocol::{JoinGroupRequest, JoinGroupResponse, Str, SyncGroupRequest, SyncGroupResponse};
use types::{ErrorCode, Mono, mutant};

use crate::cluster::{CoordinatorKind, Lane, QUIET_TRIES, Topics};
use crate::consumer::{Consumer, ConsumerOptions, ConsumerRecord, Start};
use crate::metadata::TopicPartition;
use crate::options::ClientOptions;
use crate::{Error, Result};

pub mod admin;
pub mod assignor;
mod heartbeat;
mod offsets;
mod protocol_data;

pub use assignor::Assignor;
pub use offsets::CommittedOffset;

use heartbeat::{Beat, Heartbeat};
use offsets::Committer;
use protocol_data::{
    PROTOCOL_TYPE, decode_assignment, decode_member, encode_assignment, encode_subscription,
};

/// How a member of a group works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// The group.
    pub group_id: Str,
    /// A name that outlives the process: a restart within the session timeout moves no partition
    /// (KIP-345).
    pub instance_id: Option<Str>,
    /// After how long without a heartbeat the coordinator gives the member up.
    pub session_timeout: Duration,
    /// How long a rebalance waits for members, and the longest time between two polls.
    pub rebalance_timeout: Duration,
    /// How often to send a heartbeat.
    pub heartbeat_interval: Duration,
    /// The assignors that this member can be led by, the preferred one first. Only if all are
    /// cooperative does it keep partitions while it rejoins.
    pub assignors: Vec<Assignor>,
    /// How often to commit what earlier polls returned; `None` leaves it to the owner.
    pub auto_commit: Option<Duration>,
}

impl GroupOptions {
    /// The usual waits; commits every five seconds.
    #[must_use]
    pub fn new(group_id: impl Into<Str>) -> GroupOptions {
        GroupOptions {
            group_id: group_id.into(),
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            heartbeat_interval: Duration::from_secs(3),
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            auto_commit: Some(Duration::from_secs(5)),
        }
    }
}

/// What a poll brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Records; none if time ran out.
    Records(Vec<ConsumerRecord>),
    /// These partitions are read from now on, besides those that were.
    Assigned(Vec<TopicPartition>),
    /// These will be given up with the next poll: commit what was processed.
    Revoked(Vec<TopicPartition>),
    /// These were given to others already: commits for them are refused.
    Lost(Vec<TopicPartition>),
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

enum Phase {
    Out,
    Joining(Answer<JoinGroupResponse>),
    Syncing(Answer<SyncGroupResponse>),
    Stable,
}

/// A consumer that reads the partitions that its group gives it.
pub struct GroupConsumer<E: Env> {
    env: E,
    options: GroupOptions,
    consumer: Consumer<E>,
    subscription: Vec<Str>,
    phase: Phase,
    member_id: Str,
    generation: i32,
    /// The generation that gave what is owned.
    owned_generation: i32,
    /// Another process has taken this member's place.
    fenced: Option<Error>,
    heartbeat: Option<Heartbeat<E>>,
    rejoin: bool,
    /// Revoked with the last poll, to be given up.
    leaving: Vec<TopicPartition>,
    /// Assigned, and waiting for their committed offsets.
    starting: Vec<TopicPartition>,
    /// Given up after they were claimed: the group may keep them for this member.
    claimed: BTreeSet<TopicPartition>,
    events: VecDeque<Polled>,
    not_before: Mono,
    tries: u32,
    /// As the group's leader: the topics of all members and how many partitions they had.
    led: Option<BTreeMap<Str, i32>>,
    next_topics_check: Mono,
    next_commit: Mono,
}

impl<E: Env> GroupConsumer<E> {
    /// A consumer that will join a group to read `topics`. Connects with the first poll.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options that contradict each other.
    pub fn new(
        env: &E,
        client: ClientOptions,
        consumer: ConsumerOptions,
        options: GroupOptions,
        topics: impl IntoIterator<Item = Str>,
    ) -> Result<GroupConsumer<E>> {
        let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
        if options.group_id.is_empty() {
            return invalid("a group needs a name");
        }
        if options.assignors.is_empty() {
            return invalid("a member needs an assignor");
        }
        if options.heartbeat_interval >= options.session_timeout {
            return invalid("heartbeat_interval must be below session_timeout");
        }
        Ok(GroupConsumer {
            env: env.clone(),
            options,
            consumer: Consumer::new(env, client, consumer),
            subscription: topics.into_iter().collect(),
            phase: Phase::Out,
            member_id: Str::new(),
            generation: -1,
            owned_generation: -1,
            fenced: None,
            heartbeat: None,
            rejoin: false,
            leaving: Vec::new(),
            starting: Vec::new(),
            claimed: BTreeSet::new(),
            events: VecDeque::new(),
            not_before: Mono(0),
            tries: 0,
            led: None,
            next_topics_check: Mono(0),
            next_commit: Mono(0),
        })
    }

    /// Reads other topics from the next rebalance on, which this starts.
    pub fn subscribe(&mut self, topics: impl IntoIterator<Item = Str>) {
        self.subscription = topics.into_iter().collect();
        self.rejoin = true;
    }

    /// The consumer: positions, pauses, seeks, look-ups. Its assignment is the group's business.
    pub fn consumer(&mut self) -> &mut Consumer<E> {
        &mut self.consumer
    }

    /// The member's id, once the coordinator gave it one.
    #[must_use]
    pub fn member_id(&self) -> &Str {
        &self.member_id
    }

    /// The last generation that the member joined, whether or not its share has come; -1 if it is in none.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The generation that gave the member what it owns; -1 if none did. A cooperative member keeps it while it
    /// joins the next one.
    #[must_use]
    pub fn owned_generation(&self) -> i32 {
        self.owned_generation
    }

    fn cooperative(&self) -> bool {
        self.options.assignors.iter().all(|a| a.is_cooperative())
    }

    fn now(&self) -> Mono {
        self.env.clock().mono()
    }

    fn owned(&self) -> Vec<TopicPartition> {
        let mut owned: Vec<TopicPartition> = self.consumer.assignment().cloned().collect();
        owned.extend(self.starting.iter().cloned());
        owned
    }

    fn committer(&self) -> Committer {
        Committer {
            group: self.options.group_id.clone(),
            member_id: self.member_id.clone(),
            instance_id: self.options.instance_id.clone(),
            generation: self.generation,
        }
    }

    /// Waits up to `wait` for records or for news of the assignment.
    ///
    /// # Errors
    /// What does not pass by itself: no access, no committed offset with [`crate::Reset::Fail`], another
    /// process with the same instance id (FENCED_INSTANCE_ID), damaged data.
    pub async fn poll(&mut self, wait: Duration) -> Result<Polled> {
        let until = self.now().after(wait);
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.polled(self.now());
        }
        for at in std::mem::take(&mut self.leaving) {
            self.consumer.unassign(&at);
        }
        self.auto_commit().await;
        loop {
            if let Some(event) = self.heartbeat.as_mut().and_then(Heartbeat::event_now) {
                self.on_heartbeat(event)?;
            }
            if let Some(event) = self.events.pop_front() {
                if let Polled::Revoked(partitions) = &event {
                    self.leaving = partitions.clone();
                }
                return Ok(event);
            }
            if let Some(error) = &self.fenced {
                return Err(error.clone());
            }
            self.advance().await?;
            if !self.events.is_empty() {
                continue;
            }
            match self.wait(until).await? {
                Some(records) => return Ok(Polled::Records(records)),
                None if self.now() >= until && self.events.is_empty() => {
                    return Ok(Polled::Records(Vec::new()));
                }
                None => {}
            }
        }
    }

    /// Does what can be done without waiting for other members.
    async fn advance(&mut self) -> Result<()> {
        if self.now() < self.not_before {
            return Ok(());
        }
        if matches!(self.phase, Phase::Stable) {
            self.check_topics().await;
            if self.rejoin {
                self.leave_generation().await;
                if !self.events.is_empty() {
                    return Ok(());
                }
            }
        }
        match self.phase {
            Phase::Out => {
                let joined = self.join().await;
                self.pass(joined)
            }
            Phase::Stable => {
                if self.heartbeat.is_none() {
                    let started = self.start_heartbeat().await;
                    self.pass(started)?;
                }
                let started = self.start_partitions().await;
                self.pass(started)
            }
            Phase::Joining(_) | Phase::Syncing(_) => Ok(()),
        }
    }

    /// Lets pass what may pass by itself, after a pause.
    fn pass(&mut self, result: Result<()>) -> Result<()> {
        let Err(error) = result else {
            return Ok(());
        };
        tracing::debug!(group = self.options.group_id.as_str(), %error, "group");
        let group = self.options.group_id.clone();
        let cluster = self.consumer.cluster();
        cluster.note_coordinator_error(CoordinatorKind::Group, &group, &error);
        let pause = cluster.pause_ms(self.tries);
        // The coordinator may have been lost with a generation whose share never came: it was told to members and
        // kept nowhere, and its number may be given again to one that this member is not in.
        self.generation = self.owned_generation;
        self.tries += 1;
        self.not_before = self.now().after_ms(pause);
        if error.is_retriable() {
            if self.tries == QUIET_TRIES {
                let group = self.options.group_id.as_str();
                tracing::warn!(group, %error, "the coordinator cannot be worked with; trying again");
            }
            Ok(())
        } else {
            Err(error)
        }
    }

    /// Waits for records, an answer or a heartbeat's news. `Some` records end the poll.
    async fn wait(&mut self, until: Mono) -> Result<Option<Vec<ConsumerRecord>>> {
        let now = self.now();
        let mut wake = until;
        if self.not_before > now {
            wake = wake.min(self.not_before);
        }
        let remaining = wake.since(now);
        let (consumer, heartbeat) = (&mut self.consumer, &mut self.heartbeat);
        let records = match &mut self.phase {
            Phase::Joining(answer) => match race(answer, consumer.poll(remaining)).await {
                Either::First(result) => {
                    self.phase = Phase::Out;
                    let taken = self.on_joined(result).await;
                    self.pass(taken)?;
                    return Ok(None);
                }
                Either::Second(records) => records?,
            },
            Phase::Syncing(answer) => match race(answer, consumer.poll(remaining)).await {
                Either::First(result) => {
                    self.phase = Phase::Out;
                    let taken = self.on_synced(result).await;
                    self.pass(taken)?;
                    return Ok(None);
                }
                Either::Second(records) => records?,
            },
            Phase::Out | Phase::Stable => {
                let event = async {
                    match heartbeat {
                        Some(heartbeat) => heartbeat.event().await,
                        None => std::future::pending().await,
                    }
                };
                match race(event, consumer.poll(remaining)).await {
                    Either::First(event) => {
                        self.on_heartbeat(event)?;
                        return Ok(None);
                    }
                    Either::Second(records) => records?,
                }
            }
        };
        Ok((!records.is_empty()).then_some(records))
    }

    fn on_heartbeat(&mut self, error: Error) -> Result<()> {
        match error.code() {
            Some(ErrorCode::REBALANCE_IN_PROGRESS) => {
                self.rejoin = true;
                Ok(())
            }
            Some(ErrorCode::ILLEGAL_GENERATION) => {
                self.lose();
                Ok(())
            }
            Some(ErrorCode::UNKNOWN_MEMBER_ID) => {
                tracing::info!(group = self.options.group_id.as_str(), %error, "no member any more");
                self.lose();
                self.member_id = Str::new();
                Ok(())
            }
            Some(ErrorCode::FENCED_INSTANCE_ID) => Err(self.fence(error)),
            _ => {
                // The membership may well go on at another coordinator.
                self.heartbeat = None;
                self.pass(Err(error))
            }
        }
    }

    /// The membership ended: others may have the partitions already.
    fn lose(&mut self) {
        self.drop_partitions();
        self.claimed.clear();
        self.heartbeat = None;
        self.generation = -1;
        self.owned_generation = -1;
        self.led = None;
        self.rejoin = false;
        self.phase = Phase::Out;
    }

    /// Reads nothing any more, and commits nothing of what it read.
    fn drop_partitions(&mut self) {
        let mut lost: Vec<TopicPartition> = self.consumer.assignment().cloned().collect();
        for event in &self.events {
            // The owner has not heard of these.
            if let Polled::Assigned(unheard) = event {
                lost.retain(|at| !unheard.contains(at));
            }
        }
        self.consumer.assign([]);
        self.starting.clear();
        self.leaving.clear();
        self.events.clear();
        if !lost.is_empty() {
            self.events.push_back(Polled::Lost(lost));
        }
    }

    /// Another process has the same instance id: joining again would fence that one in turn.
    fn fence(&mut self, error: Error) -> Error {
        self.lose();
        self.member_id = Str::new();
        self.fenced = Some(error.clone());
        error
    }

    /// Before a rejoin: an eager member gives up everything, a cooperative one nothing.
    async fn leave_generation(&mut self) {
        if !self.cooperative() {
            // What has not started yet is simply not started.
            self.starting.clear();
            let owned = self.owned();
            if !owned.is_empty() {
                if self.options.auto_commit.is_some() {
                    self.commit_positions_quietly().await;
                }
                // It stays `Stable`, with its heartbeat, until the owner had a chance to commit.
                self.events.push_back(Polled::Revoked(owned));
                return;
            }
        }
        self.rejoin = false;
        self.phase = Phase::Out;
    }

    /// What the member says of itself as it joins: what it would read, and what it owns.
    fn wishes(&self) -> Result<Bytes> {
        // A generation that was joined but whose share never came proves nothing about what is owned.
        let generation = if mutant!("GRP-24/b") {
            self.generation
        } else {
            self.owned_generation
        };
        encode_subscription(&self.subscription, &self.owned(), generation)
    }

    async fn join(&mut self) -> Result<()> {
        let deadline = self.consumer.cluster().deadline();
        let group = self.options.group_id.clone();
        let kind = CoordinatorKind::Group;
        let cluster = self.consumer.cluster();
        let connection = cluster
            .coordinator(kind, &group, Lane::Group, deadline)
            .await?;
        let metadata = self.wishes()?;
        tracing::debug!(group = group.as_str(), member = self.member_id.as_str(), owned = ?self.owned(),
            generation = self.owned_generation, "joins");
        let version_min = if self.options.instance_id.is_some() {
            5
        } else {
            0
        };
        let version = connection.version::<JoinGroupRequest>(version_min, i16::MAX)?;
        let ms = |d: Duration| i32::try_from(d.as_millis()).unwrap_or(i32::MAX);
        let request = JoinGroupRequest {
            group_id: group,
            session_timeout_ms: ms(self.options.session_timeout),
            rebalance_timeout_ms: ms(self.options.rebalance_timeout),
            member_id: self.member_id.clone(),
            group_instance_id: self.options.instance_id.clone(),
            protocol_type: Str::from_static(PROTOCOL_TYPE),
            protocols: self
                .options
                .assignors
                .iter()
                .map(|assignor| JoinGroupRequestProtocol {
                    name: Str::from_static(assignor.name()),
                    metadata: metadata.clone(),
                })
                .collect(),
            reason: None,
        };
        let pending = connection.send(&request, version)?;
        // While it joins, the coordinator waits for the member without heartbeats.
        self.heartbeat = None;
        let deadline = self.answer_deadline();
        self.phase = Phase::Joining(Box::pin(pending.answer(deadline)));
        Ok(())
    }

    /// When the other members must have done their part.
    fn answer_deadline(&mut self) -> Mono {
        let request_timeout = self.consumer.cluster().options().request_timeout;
        self.now()
            .after(self.options.rebalance_timeout + request_timeout)
    }

    async fn on_joined(&mut self, result: Result<JoinGroupResponse>) -> Result<()> {
        let response = result?;
        let code = ErrorCode(response.error_code);
        match code {
            ErrorCode::NONE => {}
            ErrorCode::MEMBER_ID_REQUIRED => {
                self.member_id = response.member_id.detached();
                return Ok(());
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.lose();
                self.member_id = Str::new();
                return Ok(());
            }
            ErrorCode::FENCED_INSTANCE_ID => return Err(self.fence(Error::server(code))),
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION => return Ok(()),
            code => return Err(Error::server(code)),
        }
        self.member_id = response.member_id.detached();
        let known = [self.generation, self.generation.saturating_add(1)];
        if self.generation >= 0 && !known.contains(&response.generation_id) {
            // A generation was formed that waited in vain for this member (a static one is not missed): others may
            // have got, in it, what this one still reads.
            self.claimed = self.owned().into_iter().collect();
            self.drop_partitions();
            self.owned_generation = -1;
        }
        self.generation = response.generation_id;
        self.rejoin = false;
        self.led = None;
        let leads = response.leader == response.member_id;
        let assignments = if leads && !response.skip_assignment {
            self.lead(&response).await?
        } else {
            Vec::new()
        };
        self.sync(response.protocol_name.map(|n| n.detached()), assignments)
            .await
    }

    /// Shares out the partitions among all members.
    async fn lead(
        &mut self,
        response: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>> {
        let name = response.protocol_name.as_deref().unwrap_or_default();
        let assignor = Assignor::from_name(name).ok_or_else(|| {
            Error::protocol("the coordinator", format!("it chose the assignor `{name}`"))
        })?;
        let mut members = Vec::new();
        for member in &response.members {
            let instance = member.group_instance_id.as_ref();
            let decoded = decode_member(&member.member_id, instance, &member.metadata);
            members.push(decoded.map_err(|e| Error::decode("a member of the group", e))?);
        }
        let topics: BTreeSet<Str> = members
            .iter()
            .flat_map(|m| m.topics.iter().cloned())
            .collect();
        let topics: Vec<Str> = topics.into_iter().collect();
        let cluster = self.consumer.cluster();
        let deadline = cluster.deadline();
        cluster
            .refresh_until(Topics::Named(&topics), deadline)
            .await?;
        let counts = self.count_partitions(&topics);
        let shares = assignor.assign(&members, &counts);
        self.led = Some(counts);
        let max_age = self.consumer.cluster().options().metadata_max_age;
        self.next_topics_check = self.now().after(max_age);
        let mut assignments = Vec::new();
        for (member_id, partitions) in shares {
            assignments.push(SyncGroupRequestAssignment {
                member_id,
                assignment: encode_assignment(&partitions)?,
            });
        }
        Ok(assignments)
    }

    fn count_partitions(&mut self, topics: &[Str]) -> BTreeMap<Str, i32> {
        let metadata = self.consumer.cluster().metadata();
        let count = |name: &Str| {
            let count = metadata.topic(name).map_or(0, |t| t.partitions.len());
            (name.clone(), i32::try_from(count).unwrap_or(i32::MAX))
        };
        topics.iter().map(count).collect()
    }

    async fn sync(
        &mut self,
        protocol_name: Option<Str>,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> Result<()> {
        let deadline = self.consumer.cluster().deadline();
        let group = self.options.group_id.clone();
        let kind = CoordinatorKind::Group;
        let cluster = self.consumer.cluster();
        let connection = cluster
            .coordinator(kind, &group, Lane::Group, deadline)
            .await?;
        let version_min = if self.options.instance_id.is_some() {
            3
        } else {
            0
        };
        let version = connection.version::<SyncGroupRequest>(version_min, i16::MAX)?;
        let request = SyncGroupRequest {
            group_id: group,
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.options.instance_id.clone(),
            protocol_type: Some(Str::from_static(PROTOCOL_TYPE)),
            protocol_name,
            assignments,
        };
        let pending = connection.send(&request, version)?;
        let deadline = self.answer_deadline();
        self.phase = Phase::Syncing(Box::pin(pending.answer(deadline)));
        Ok(())
    }

    async fn on_synced(&mut self, result: Result<SyncGroupResponse>) -> Result<()> {
        let response = result?;
        let code = ErrorCode(response.error_code);
        match code {
            ErrorCode::NONE => {}
            // The group moved on: join again.
            ErrorCode::REBALANCE_IN_PROGRESS => return Ok(()),
            ErrorCode::ILLEGAL_GENERATION => {
                self.lose();
                return Ok(());
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.lose();
                self.member_id = Str::new();
                return Ok(());
            }
            ErrorCode::FENCED_INSTANCE_ID => return Err(self.fence(Error::server(code))),
            code => return Err(Error::server(code)),
        }
        let assigned = decode_assignment(&response.assignment)
            .map_err(|e| Error::decode("the group's leader", e))?;
        self.phase = Phase::Stable;
        self.tries = 0;
        let owned: BTreeSet<TopicPartition> = self.owned().into_iter().collect();
        let wanted: BTreeSet<TopicPartition> = assigned.into_iter().collect();
        self.owned_generation = self.generation;
        self.starting.retain(|at| wanted.contains(at));
        let held = self.consumer.assignment();
        let revoked: Vec<TopicPartition> =
            held.filter(|at| !wanted.contains(*at)).cloned().collect();
        if !revoked.is_empty() {
            if self.options.auto_commit.is_some() {
                self.commit_positions_quietly().await;
            }
            self.events.push_back(Polled::Revoked(revoked));
        }
        let mut claimed = std::mem::take(&mut self.claimed);
        claimed.extend(owned.iter().cloned());
        if self.cooperative() && !claimed.is_subset(&wanted) {
            // Others get the rest in the rebalance that this member starts when it has let go.
            self.rejoin = true;
        }
        tracing::debug!(
            group = self.options.group_id.as_str(),
            member = self.member_id.as_str(),
            generation = self.generation,
            ?owned,
            ?wanted,
            "has its share"
        );
        self.starting.extend(wanted.difference(&owned).cloned());
        if wanted.is_empty() && owned.is_empty() {
            // So that the owner knows that it is a member, if one without work.
            self.events.push_back(Polled::Assigned(Vec::new()));
        }
        Ok(())
    }

    /// Starts reading what was assigned, from the committed offsets.
    async fn start_partitions(&mut self) -> Result<()> {
        if self.starting.is_empty() {
            return Ok(());
        }
        let starting = self.starting.clone();
        let reset = self.consumer.options().reset.place();
        let group = self.options.group_id.clone();
        let cluster = self.consumer.cluster();
        let deadline = cluster.deadline();
        // Offsets of a transaction that is still open would be offered to two members in turn.
        let mut found = cluster
            .fetch_offsets(&group, Some(&starting), true, deadline)
            .await?;
        let mut starts = Vec::new();
        for at in &starting {
            let start = match (found.remove(at), reset) {
                (Some(Ok(committed)), _) => Start::Offset(committed.offset, committed.leader_epoch),
                (Some(Err(error)), _) => return Err(error),
                (None, Some(place)) => Start::Place(place),
                (None, None) => {
                    return Err(Error::Invalid(format!(
                        "the group {} has no committed offset for {at}, and no reset was chosen",
                        group.as_str()
                    )));
                }
            };
            starts.push((at.clone(), start));
        }
        self.consumer.assign_more(starts);
        self.starting.clear();
        if let Some(interval) = self.options.auto_commit {
            self.next_commit = self.now().after(interval);
        }
        self.events.push_back(Polled::Assigned(starting));
        Ok(())
    }

    async fn start_heartbeat(&mut self) -> Result<()> {
        let group = self.options.group_id.clone();
        let kind = CoordinatorKind::Group;
        let cluster = self.consumer.cluster();
        let deadline = cluster.deadline();
        let timeout = cluster.options().request_timeout;
        let connection = cluster
            .coordinator(kind, &group, Lane::Group, deadline)
            .await?;
        let beat = Beat {
            interval: self.options.heartbeat_interval,
            timeout: timeout.min(self.options.session_timeout),
            poll_max: self.options.rebalance_timeout,
        };
        let member = self.committer();
        self.heartbeat = Some(Heartbeat::start(&self.env, connection, member, beat));
        Ok(())
    }

    /// As the leader: starts a rebalance when a topic came, went or grew.
    async fn check_topics(&mut self) {
        let Some(led) = &self.led else { return };
        if self.now() < self.next_topics_check {
            return;
        }
        let topics: Vec<Str> = led.keys().cloned().collect();
        let cluster = self.consumer.cluster();
        let (deadline, max_age) = (cluster.deadline(), cluster.options().metadata_max_age);
        let refreshed = cluster.refresh(Topics::Named(&topics), deadline).await;
        self.next_topics_check = self.now().after(max_age);
        if refreshed.is_ok() {
            let counts = self.count_partitions(&topics);
            self.rejoin |= self.led.as_ref() != Some(&counts);
        }
    }

    /// The positions of all partitions, as they would be committed: after the last record returned.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let position = |at: &TopicPartition| {
            let (offset, epoch) = self.consumer.position(at)?;
            Some((at.clone(), CommittedOffset::new(offset, epoch)))
        };
        self.consumer.assignment().filter_map(position).collect()
    }

    /// Commits the positions of all partitions.
    ///
    /// # Errors
    /// As [`GroupConsumer::commit`].
    pub async fn commit_positions(&mut self) -> Result<()> {
        let positions = self.positions();
        self.commit(&positions).await
    }

    /// Commits offsets: those of the next records to be read.
    ///
    /// # Errors
    /// The first refusal of a partition, or that the coordinator cannot be reached. REBALANCE_IN_PROGRESS
    /// passes with the next polls. ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID and FENCED_INSTANCE_ID say that
    /// the partitions have another owner; the next poll returns [`Polled::Lost`].
    pub async fn commit(
        &mut self,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        if self.generation < 0 {
            // Without a generation it would pass for an admin's commit.
            return Err(Error::server(ErrorCode::ILLEGAL_GENERATION));
        }
        let committer = self.committer();
        let cluster = self.consumer.cluster();
        let deadline = cluster.deadline();
        let results = cluster
            .commit_offsets(&committer, offsets, deadline)
            .await?;
        let Some(error) = results.into_values().find_map(Result::err) else {
            return Ok(());
        };
        match error.code() {
            Some(ErrorCode::REBALANCE_IN_PROGRESS) => self.rejoin = true,
            Some(ErrorCode::ILLEGAL_GENERATION) => self.lose(),
            Some(ErrorCode::UNKNOWN_MEMBER_ID) => {
                self.lose();
                self.member_id = Str::new();
            }
            Some(ErrorCode::FENCED_INSTANCE_ID) => return Err(self.fence(error)),
            _ => {}
        }
        Err(error)
    }

    /// The offsets that the group committed for these partitions.
    ///
    /// # Errors
    /// The coordinator cannot be reached or refuses.
    pub async fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Result<CommittedOffset>>> {
        let group = self.options.group_id.clone();
        let cluster = self.consumer.cluster();
        let deadline = cluster.deadline();
        cluster
            .fetch_offsets(&group, Some(partitions), true, deadline)
            .await
    }

    async fn auto_commit(&mut self) {
        let Some(interval) = self.options.auto_commit else {
            return;
        };
        let now = self.now();
        if matches!(self.phase, Phase::Stable) && now >= self.next_commit {
            self.next_commit = now.after(interval);
            self.commit_positions_quietly().await;
        }
    }

    /// What cannot be committed now is committed later, or read again by the next owner.
    async fn commit_positions_quietly(&mut self) {
        if let Err(error) = self.commit_positions().await {
            tracing::warn!(group = self.options.group_id.as_str(), %error, "positions not committed");
        }
    }

    /// Commits if it commits by itself, and leaves the group at once. A static member does not leave:
    /// it is expected back.
    ///
    /// # Errors
    /// The commit or the leaving failed; the membership then ends with its session.
    pub async fn close(mut self) -> Result<()> {
        self.heartbeat = None;
        for at in std::mem::take(&mut self.leaving) {
            self.consumer.unassign(&at);
        }
        if self.generation < 0 {
            return Ok(());
        }
        let committed = match self.options.auto_commit {
            Some(_) => self.commit_positions().await,
            None => Ok(()),
        };
        if self.options.instance_id.is_none() && !self.member_id.is_empty() {
            let member = self.committer();
            let (kind, group) = (CoordinatorKind::Group, member.group.clone());
            let cluster = self.consumer.cluster();
            let deadline = cluster.deadline();
            let connection = cluster
                .coordinator(kind, &group, Lane::Main, deadline)
                .await?;
            heartbeat::leave(
                &connection,
                &member,
                "the consumer is being closed",
                deadline,
            )
            .await?;
        }
        committed
    }
}

#[cfg(test)]
mod tests {
    use env_tokio::{Runtime, RuntimeOptions, TokioEnv, Workers};

    use super::*;
    use crate::one_at_a_time::alone;

    /// A member that owns a partition since generation 3 and has joined generation 4, whose share never came.
    fn between_two_generations() -> GroupConsumer<TokioEnv> {
        let runtime = Runtime::new(&RuntimeOptions {
            workers: Workers::Caller,
            ..RuntimeOptions::default()
        });
        let client = ClientOptions::new("localhost:1").unwrap();
        let mut member = GroupConsumer::new(
            runtime.unwrap().env(),
            client,
            ConsumerOptions::default(),
            GroupOptions::new("g"),
            [Str::from("t")],
        )
        .unwrap();
        member.starting = vec![TopicPartition::new("t", 1)];
        (member.owned_generation, member.generation) = (3, 4);
        member
    }

    /// The generation in which such a member claims what it owns.
    fn claimed() -> i32 {
        let member = between_two_generations();
        let wishes = member.wishes().unwrap();
        let wishes = decode_member(&Str::from("m"), None, &wishes).unwrap();
        assert_eq!(wishes.owned, [TopicPartition::new("t", 1)]);
        wishes.generation
    }

    #[test]
    fn a_claim_is_as_old_as_the_share_that_gave_it() {
        let _alone = alone();
        assert_eq!(claimed(), 3);
    }

    #[test]
    fn a_generation_whose_share_never_came_may_be_lost_with_the_coordinator() {
        let mut member = between_two_generations();
        let lost = Error::Closed {
            peer: "broker".to_owned(),
            sent: true,
        };
        member.pass(Err(lost)).unwrap();
        assert_eq!((member.generation(), member.owned_generation()), (3, 3));
    }

    /// The historic bug planted here shows.
    #[cfg(feature = "mutants")]
    #[test]
    fn each_planted_bug_shows() {
        let _alone = alone();
        types::mutants::activate(Some("GRP-24/b"));
        let wrong = claimed();
        types::mutants::activate(None);
        assert_eq!((wrong, claimed()), (4, 3));
    }
}
