//! A member of a group: it joins, gets partitions, commits, leaves, falls silent and comes back.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use client::{Cluster, CoordinatorKind, Error, Repeat};
use env::entropy::ChaCha8Rng;
use protocol::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::leave_group_request::MemberIdentity;
use protocol::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::{
    HeartbeatRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    OffsetFetchRequest, Str,
};
use types::ErrorCode;
use world::SimEnv;
use world::seed::Draw;

use super::Client;
use crate::history::TopicFacts;
use crate::oracles::group::Fate;
use crate::scenario;

struct Member {
    client: Client,
    cluster: Cluster<SimEnv>,
    spec: scenario::Group,
    instance: Option<Str>,
    topic: TopicFacts,
    id: Str,
    generation: i32,
    owned: Vec<i32>,
}

/// Takes part until the run drains.
pub async fn run(client: Client, spec: scenario::Group, number: u32, topic: String) {
    let topic = client.topic(&topic).await;
    let mut dice = client.dice();
    let mut member = Member {
        cluster: Cluster::new(&client.env, client.options()),
        instance: spec.fixed.then(|| Str::from(format!("instance-{number}"))),
        topic,
        id: Str::new(),
        generation: -1,
        owned: Vec::new(),
        spec,
        client,
    };
    let mut drained = 0;
    loop {
        // Everybody commits a few more times in peace.
        if member.client.history.is_draining() {
            drained += 1;
        }
        if drained > 2 {
            break;
        }
        if member.join().await.is_err() {
            member.client.pause(&mut dice, 200).await;
            continue;
        }
        member.client.history.exercised("group-joined");
        for partition in member.owned.clone() {
            member.commit(partition).await;
        }
        if member.generation > 1 && dice.chance(300_000) {
            // As a request would that was on its way since before the rebalance.
            member.client.history.exercised("stale-commit");
            member.generation -= 1;
            for partition in member.owned.clone() {
                member.commit(partition).await;
            }
            member.generation += 1;
        }
        member.work(&mut dice).await;
    }
    member.leave().await;
    member.client.history.finish(&member.client.name);
}

impl Member {
    async fn join(&mut self) -> Result<(), Error> {
        let group = self.spec.id.clone();
        let floor = self.client.history.lock().groups.begin_join(&group);
        let answer = match self.send_join().await {
            Err(Error::Server { code, .. }) if code == ErrorCode::MEMBER_ID_REQUIRED => {
                self.send_join().await
            }
            other => other,
        };
        let answer = answer.inspect_err(|error| self.refused(error))?;
        {
            let mut inner = self.client.history.lock();
            let inner = &mut *inner;
            if !inner.harmed_groups().hides {
                inner
                    .groups
                    .end_join(&group, floor, answer.generation_id, &mut inner.judge);
            }
        }
        self.id = answer.member_id.clone();
        self.generation = answer.generation_id;
        self.sync(&answer).await
    }

    fn refused(&mut self, error: &Error) {
        self.client.judge(error);
        let forgotten = [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::FENCED_INSTANCE_ID];
        if error.code().is_some_and(|code| forgotten.contains(&code)) {
            self.id = Str::new();
        }
    }

    /// Whom an assignment is for: a static member keeps it under a new id, which is its instance's name
    /// and a UUID.
    fn identity<'a>(&self, member: &'a str) -> &'a str {
        if self.spec.fixed {
            member
                .get(..member.len().saturating_sub(37))
                .unwrap_or(member)
        } else {
            member
        }
    }

    async fn send_join(&mut self) -> Result<JoinGroupResponse, Error> {
        let key = Str::from(self.spec.id.as_str());
        let deadline = self.cluster.deadline();
        let (id, instance, spec) = (self.id.clone(), self.instance.clone(), self.spec.clone());
        let topic = self.topic.name.clone();
        let connection = self
            .cluster
            .coordinator(CoordinatorKind::Group, &key, client::Lane::Main, deadline)
            .await?;
        let build = |_| JoinGroupRequest {
            group_id: key.clone(),
            session_timeout_ms: spec.session_ms,
            rebalance_timeout_ms: spec.rebalance_ms,
            member_id: id.clone(),
            group_instance_id: instance.clone(),
            protocol_type: Str::from("consumer"),
            protocols: vec![JoinGroupRequestProtocol {
                name: Str::from("sim"),
                metadata: subscription(&topic),
            }],
            reason: None,
        };
        // A join waits for the others.
        let patience = spec.rebalance_ms as u64 + self.client.patience_ms;
        let until = self
            .cluster
            .now()
            .after(std::time::Duration::from_millis(patience));
        let answer = connection.call(build, until).await;
        match answer {
            Ok(answer) if answer.error_code != 0 => {
                let error = Error::server(ErrorCode(answer.error_code));
                if ErrorCode(answer.error_code) == ErrorCode::MEMBER_ID_REQUIRED {
                    self.id = answer.member_id.clone();
                }
                self.cluster
                    .note_coordinator_error(CoordinatorKind::Group, &key, &error);
                Err(error)
            }
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.cluster
                    .note_coordinator_error(CoordinatorKind::Group, &key, &error);
                Err(error)
            }
        }
    }

    async fn sync(&mut self, joined: &JoinGroupResponse) -> Result<(), Error> {
        let mut assignments = Vec::new();
        if joined.leader == joined.member_id {
            {
                let inner = &mut *self.client.history.lock();
                let named = |m: &protocol::join_group_response::JoinGroupResponseMember| {
                    m.group_instance_id.clone()
                };
                let instances: Vec<Str> = joined.members.iter().filter_map(named).collect();
                let named = instances.iter().map(|instance| &**instance);
                inner.groups.members(&self.spec.id, named, &mut inner.judge);
            }
            let mut parts: BTreeMap<Str, Vec<i32>> = BTreeMap::new();
            let members: Vec<&Str> = joined.members.iter().map(|m| &m.member_id).collect();
            for partition in 0..self.topic.partitions {
                if let Some(member) = members.get(partition as usize % members.len().max(1)) {
                    parts.entry((*member).clone()).or_default().push(partition);
                }
            }
            for member in members {
                let assignment = encode(&parts.remove(member).unwrap_or_default());
                let (group, who) = (&self.spec.id, self.identity(member));
                let mut inner = self.client.history.lock();
                inner
                    .groups
                    .decides(group, self.generation, who, assignment.clone());
                assignments.push(SyncGroupRequestAssignment {
                    member_id: member.clone(),
                    assignment,
                });
            }
        }
        let (generation, id, instance) = (self.generation, self.id.clone(), self.instance.clone());
        let key = Str::from(self.spec.id.as_str());
        let deadline = self.cluster.deadline();
        let answer = self
            .cluster
            .call_coordinator(
                CoordinatorKind::Group,
                &key,
                Repeat::Always,
                deadline,
                |_| SyncGroupRequest {
                    group_id: key.clone(),
                    generation_id: generation,
                    member_id: id.clone(),
                    group_instance_id: instance.clone(),
                    protocol_type: Some(Str::from("consumer")),
                    protocol_name: Some(Str::from("sim")),
                    assignments: assignments.clone(),
                },
                |answer| Error::check(answer.error_code, None),
            )
            .await
            .inspect_err(|error| self.refused(error))?;
        let who = self.identity(&self.id);
        let mut inner = self.client.history.lock();
        let inner = &mut *inner;
        inner.groups.assigned(
            &self.spec.id,
            self.generation,
            who,
            &answer.assignment,
            &mut inner.judge,
        );
        self.owned = decode(&answer.assignment);
        Ok(())
    }

    /// Commits and beats until the group rebalances or the member has other plans.
    async fn work(&mut self, dice: &mut ChaCha8Rng) {
        loop {
            let draining = self.client.history.is_draining();
            for partition in self.owned.clone() {
                self.fetch(partition).await;
                self.commit(partition).await;
            }
            if draining {
                for partition in self.owned.clone() {
                    self.fetch(partition).await;
                }
                return;
            }
            if dice.chance(self.spec.leave_ppm) {
                self.client.history.exercised("group-left");
                self.leave().await;
                // Long enough, now and then, for the group to be without members.
                self.client.pause(dice, self.spec.rebalance_ms as u64).await;
                return;
            }
            if dice.chance(self.spec.sleep_ppm) {
                // Too long for the session: the commit that follows is a zombie's.
                self.client.history.exercised("member-slept");
                self.client.sleep_ms(self.spec.session_ms as u64 * 2).await;
                for partition in self.owned.clone() {
                    self.commit(partition).await;
                }
            }
            if self.beat().await.is_err() {
                return;
            }
            self.client
                .pause(dice, (self.spec.session_ms / 4) as u64)
                .await;
        }
    }

    async fn beat(&mut self) -> Result<(), Error> {
        let call = {
            let mut inner = self.client.history.lock();
            inner.groups.begin_beat(&self.spec.id)
        };
        let key = Str::from(self.spec.id.as_str());
        let deadline = self.cluster.deadline();
        let (generation, id, instance) = (self.generation, self.id.clone(), self.instance.clone());
        let answer = self
            .cluster
            .call_coordinator(
                CoordinatorKind::Group,
                &key,
                Repeat::Always,
                deadline,
                |_| HeartbeatRequest {
                    group_id: key.clone(),
                    generation_id: generation,
                    member_id: id.clone(),
                    group_instance_id: instance.clone(),
                },
                |answer| Error::check(answer.error_code, None),
            )
            .await;
        if answer.is_ok() {
            let mut inner = self.client.history.lock();
            inner.groups.lives(&call, &self.id, generation);
        }
        answer.map(|_| ()).inspect_err(|error| self.refused(error))
    }

    async fn commit(&mut self, partition: i32) {
        let key = Str::from(self.spec.id.as_str());
        let (call, value) = {
            let mut inner = self.client.history.lock();
            let value = inner.groups.fresh_value();
            let (group, topic) = (&self.spec.id, &self.topic.name);
            let call = inner.groups.begin_commit(
                group,
                topic,
                partition,
                self.generation,
                value,
                &self.client.name,
            );
            (call, value)
        };
        let (generation, id, instance) = (self.generation, self.id.clone(), self.instance.clone());
        let deadline = self.cluster.deadline();
        let topic = &self.topic;
        let connection = self
            .cluster
            .coordinator(CoordinatorKind::Group, &key, client::Lane::Main, deadline)
            .await;
        let build = |_| OffsetCommitRequest {
            group_id: key.clone(),
            generation_id_or_member_epoch: generation,
            member_id: id.clone(),
            group_instance_id: instance.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: Str::from(topic.name.as_str()),
                topic_id: topic.id,
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: value,
                    committed_leader_epoch: -1,
                    committed_metadata: Some(Str::new()),
                }],
            }],
            ..OffsetCommitRequest::default()
        };
        let until = self
            .cluster
            .now()
            .after(self.cluster.options().request_timeout);
        let answer = match connection {
            Ok(connection) => connection.call(build, until).await,
            Err(error) => Err(error),
        };
        let code = |answer: &protocol::OffsetCommitResponse| {
            let topic = answer.topics.first()?;
            Some(ErrorCode(topic.partitions.first()?.error_code))
        };
        let fate = match &answer {
            Ok(answer) => match code(answer) {
                Some(ErrorCode::NONE) => Fate::Acked,
                Some(
                    ErrorCode::ILLEGAL_GENERATION
                    | ErrorCode::UNKNOWN_MEMBER_ID
                    | ErrorCode::FENCED_INSTANCE_ID
                    | ErrorCode::REBALANCE_IN_PROGRESS,
                ) => Fate::Refused,
                _ => Fate::Unknown,
            },
            Err(error) if error.outcome() == client::Outcome::NotDone => Fate::Refused,
            Err(_) => Fate::Unknown,
        };
        if let Err(error) = &answer {
            self.client.judge(error);
            self.cluster
                .note_coordinator_error(CoordinatorKind::Group, &key, error);
        } else if let Some(code) = answer.as_ref().ok().and_then(code)
            && !code.is_none()
        {
            let error = Error::server(code);
            self.cluster
                .note_coordinator_error(CoordinatorKind::Group, &key, &error);
        }
        if fate == Fate::Acked {
            self.client.history.exercised("offset-committed");
        }
        let mut inner = self.client.history.lock();
        let inner = &mut *inner;
        if fate == Fate::Acked {
            inner.groups.lives(&call, &self.id, generation);
        }
        if !inner.harmed_groups().hides {
            inner.groups.end_commit(&call, fate, &mut inner.judge);
        }
    }

    async fn fetch(&mut self, partition: i32) {
        let (group, topic) = (self.spec.id.clone(), self.topic.clone());
        look_at_commit(&self.client, &mut self.cluster, &group, &topic, partition).await;
    }

    async fn leave(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let key = Str::from(self.spec.id.as_str());
        let deadline = self.cluster.deadline();
        let (id, instance) = (self.id.clone(), self.instance.clone());
        let answer = self
            .cluster
            .call_coordinator(
                CoordinatorKind::Group,
                &key,
                Repeat::WhenNotDone,
                deadline,
                |version| LeaveGroupRequest {
                    group_id: key.clone(),
                    member_id: if version < 3 { id.clone() } else { Str::new() },
                    members: if version < 3 {
                        Vec::new()
                    } else {
                        vec![MemberIdentity {
                            member_id: id.clone(),
                            group_instance_id: instance.clone(),
                            reason: None,
                        }]
                    },
                },
                |answer| Error::check(answer.error_code, None),
            )
            .await;
        if let Err(error) = answer {
            self.client.judge(&error);
        }
        (self.id, self.generation, self.owned) = (Str::new(), -1, Vec::new());
    }
}

/// Asks for a committed offset and judges the answer. Says whether there was one.
pub async fn look_at_commit(
    client: &Client,
    cluster: &mut Cluster<SimEnv>,
    group: &str,
    topic: &TopicFacts,
    partition: i32,
) -> bool {
    let key = Str::from(group);
    let call = {
        let mut inner = client.history.lock();
        inner.groups.begin_fetch(group, &topic.name, partition)
    };
    let deadline = cluster.deadline();
    let name = Str::from(topic.name.as_str());
    let answer = cluster
        .call_coordinator(
            CoordinatorKind::Group,
            &key,
            Repeat::Always,
            deadline,
            |version| {
                let mut request = OffsetFetchRequest::default();
                if version >= 8 {
                    request.groups = vec![OffsetFetchRequestGroup {
                        group_id: key.clone(),
                        member_epoch: -1,
                        topics: Some(vec![OffsetFetchRequestTopics {
                            name: name.clone(),
                            topic_id: topic.id,
                            partition_indexes: vec![partition],
                        }]),
                        ..OffsetFetchRequestGroup::default()
                    }];
                }
                request
            },
            |answer| {
                let group = answer.groups.first();
                Error::check(group.map_or(answer.error_code, |g| g.error_code), None)
            },
        )
        .await;
    let found = match &answer {
        Ok(answer) => answer
            .groups
            .first()
            .and_then(|group| group.topics.first())
            .and_then(|topic| topic.partitions.first())
            .filter(|found| found.error_code == 0)
            .map(|found| found.committed_offset),
        Err(error) => {
            client.judge(error);
            None
        }
    };
    let Some(value) = found else {
        if let Ok(answer) = &answer {
            client
                .history
                .met(&client.name, &format!("OffsetFetch: {answer:?}"));
        }
        return false;
    };
    let expired = {
        let mut inner = client.history.lock();
        let inner = &mut *inner;
        let is_judged = !inner.harmed_groups().hides;
        is_judged && (inner.groups).end_fetch(&call, value, &mut inner.judge)
    };
    if expired {
        client.history.exercised("offset-expired");
    }
    true
}

/// What Kafka's consumers say of themselves, in version 0: the topics that they read.
fn subscription(topic: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    bytes.put_i16(i16::try_from(topic.len()).expect("a short name"));
    bytes.put_slice(topic.as_bytes());
    bytes.put_i32(-1);
    bytes.freeze()
}

fn encode(partitions: &[i32]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(partitions.len() as u32);
    for partition in partitions {
        bytes.put_i32(*partition);
    }
    bytes.freeze()
}

fn decode(mut bytes: &[u8]) -> Vec<i32> {
    if bytes.len() < 4 {
        return Vec::new();
    }
    let count = bytes.get_u32() as usize;
    (0..count.min(bytes.len() / 4))
        .map(|_| bytes.get_i32())
        .collect()
}
