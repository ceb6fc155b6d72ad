//! Any sequence of requests, times and fail-overs, from few members in few groups.
//!
//! What [`World`] checks at each step holds all along: no answer twice, every answer can be sent, the
//! coordinator's invariants, and that a record survives its way through the log. Here, what takes a
//! whole history to see.

mod world;

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_group::{GroupConfig, OffsetFetchGroup, Record, Request, Response, StoredGroup};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest,
    OffsetDeleteRequest, Str, SyncGroupRequest, join_group_request, leave_group_request,
    offset_commit_request, offset_delete_request, sync_group_request,
};
use state_machine::{LogRecord, Ticket};
use types::{ErrorCode, Uuid};
use world::{News, World, subscription};

/// One step of a history. Members are clients: which id they use is settled when the step is taken.
#[derive(Clone, Debug)]
enum Step {
    Join {
        client: u8,
        version: i16,
        id: Id,
        is_static: bool,
        offer: u8,
        rebalance_timeout_ms: i32,
    },
    Sync {
        client: u8,
        id: Id,
        generation: i32,
        assigns: bool,
    },
    Heartbeat {
        client: u8,
        id: Id,
        generation: i32,
    },
    Leave {
        client: u8,
        id: Id,
        version: i16,
    },
    Commit {
        client: u8,
        id: Id,
        generation: i32,
        topic: u8,
        offset: i64,
    },
    Fetch {
        version: i16,
        all: bool,
    },
    DeleteOffsets {
        topic: u8,
    },
    Describe,
    List,
    Delete,
    DeleteTopic {
        topic: u8,
    },
    Advance {
        ms: i64,
    },
    /// Everybody does what a client does, in good time: joins, and syncs.
    Rally {
        is_static: bool,
    },
    FailOver,
}

/// Which id a client gives.
#[derive(Clone, Copy, Debug)]
enum Id {
    /// The last that it was given.
    Own,
    None,
    /// One that somebody else was given.
    Other,
}

const CLIENTS: u8 = 4;
const GROUPS: u8 = 2;

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![8 => Just(Id::Own), 2 => Just(Id::None), 1 => Just(Id::Other)]
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    // How far a client is behind the generation that it heard of last; rarely not at all.
    let generation = prop_oneof![8 => Just(0), 1 => Just(-1), 1 => Just(1), 1 => Just(i32::MIN)];
    prop_oneof![
        8 => (client.clone(), 0..=9i16, id(), any::<bool>(), 0..5u8, prop_oneof![Just(-1), Just(0), Just(3_000), Just(60_000)])
            .prop_map(|(client, version, id, is_static, offer, rebalance_timeout_ms)| Step::Join {
                client, version, id, is_static, offer, rebalance_timeout_ms
            }),
        8 => (client.clone(), id(), generation.clone(), any::<bool>())
            .prop_map(|(client, id, generation, assigns)| Step::Sync { client, id, generation, assigns }),
        6 => (client.clone(), id(), generation.clone())
            .prop_map(|(client, id, generation)| Step::Heartbeat { client, id, generation }),
        2 => (client.clone(), id(), 0..=5i16)
            .prop_map(|(client, id, version)| Step::Leave { client, id, version }),
        6 => (client.clone(), id(), generation, 0..3u8, -1..9i64)
            .prop_map(|(client, id, generation, topic, offset)| Step::Commit { client, id, generation, topic, offset }),
        1 => (1..=10i16, any::<bool>()).prop_map(|(version, all)| Step::Fetch { version, all }),
        1 => (0..3u8).prop_map(|topic| Step::DeleteOffsets { topic }),
        1 => Just(Step::Describe),
        1 => Just(Step::List),
        1 => Just(Step::Delete),
        1 => (0..3u8).prop_map(|topic| Step::DeleteTopic { topic }),
        6 => prop_oneof![8 => Just(0), 4 => Just(1_000), 4 => Just(3_000), 1 => Just(6_000), 1 => Just(20_000), 1 => Just(700_000)]
            .prop_map(|ms| Step::Advance { ms }),
        8 => any::<bool>().prop_map(|is_static| Step::Rally { is_static }),
        1 => Just(Step::FailOver),
    ]
}

/// What a client knows.
#[derive(Clone, Default)]
struct Client {
    member_id: Str,
    generation_id: i32,
    protocol: (Option<Str>, Option<Str>),
    /// The other members, if it leads.
    members: Vec<Str>,
}

/// A history.
struct History {
    world: World,
    clients: BTreeMap<(u8, u8), Client>,
    all_ids: Vec<Str>,
    /// Who asked, of JoinGroup requests that are not answered yet.
    asked: BTreeMap<Ticket, (u8, u8)>,
    /// Of each group, the generation that the log told of last.
    logged: BTreeMap<Str, i32>,
    /// Of each group and member, the generation that it was told of last.
    told: BTreeMap<(Str, Str), i32>,
}

impl History {
    fn new(config: GroupConfig) -> History {
        History {
            world: World::new(config),
            clients: BTreeMap::new(),
            all_ids: Vec::new(),
            asked: BTreeMap::new(),
            logged: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    fn group_id(group: u8) -> Str {
        Str::from(format!("group-{group}"))
    }

    fn member_id(&self, group: u8, client: u8, id: Id) -> Str {
        match id {
            Id::None => Str::new(),
            Id::Own => self
                .clients
                .get(&(group, client))
                .map(|c| c.member_id.clone())
                .unwrap_or_default(),
            Id::Other => {
                let at = usize::from(client) * 7 + 3;
                let ids = self.all_ids.len().max(1);
                self.all_ids
                    .get(at % ids)
                    .cloned()
                    .unwrap_or_else(|| Str::from("nobody"))
            }
        }
    }

    fn take(&mut self, group: u8, step: &Step) {
        let group_id = History::group_id(group);
        let topic_name = |topic: u8| Str::from(format!("topic-{topic}"));
        let request = match step {
            Step::Advance { ms } => {
                self.world.advance(*ms);
                return self.look();
            }
            Step::Rally { is_static } => return self.rally(group, *is_static),
            Step::FailOver => {
                let before = self.world.coordinator.clone();
                self.world.fail_over();
                assert_eq!(self.world.coordinator, before, "live is not replay");
                // Who was promised something by the old leader alone may hear of less again.
                self.told.clear();
                self.asked.clear();
                return self.look();
            }
            Step::Join {
                client,
                version,
                id,
                is_static,
                offer,
                rebalance_timeout_ms,
            } => {
                let protocols = match offer {
                    0 => vec![("range", "a")],
                    1 => vec![("range", "a"), ("sticky", "a")],
                    2 => vec![("sticky", "b"), ("range", "b"), ("range", "c")],
                    3 => vec![("other", "a")],
                    _ => vec![],
                };
                Request::JoinGroup {
                    version: *version,
                    client_id: Str::from(format!("client-{client}")),
                    client_host: Str::from("/127.0.0.1"),
                    request: JoinGroupRequest {
                        group_id,
                        session_timeout_ms: 6_000,
                        rebalance_timeout_ms: *rebalance_timeout_ms,
                        member_id: self.member_id(group, *client, *id),
                        group_instance_id: (*is_static && *version >= 5)
                            .then(|| Str::from(format!("instance-{}", client % 2))),
                        protocol_type: Str::from("consumer"),
                        protocols: protocols
                            .into_iter()
                            .map(
                                |(name, topic)| join_group_request::JoinGroupRequestProtocol {
                                    name: Str::from(name),
                                    metadata: subscription(&[topic]),
                                },
                            )
                            .collect(),
                        reason: None,
                    },
                }
            }
            Step::Sync {
                client,
                id,
                generation,
                assigns,
            } => {
                let known = self
                    .clients
                    .get(&(group, *client))
                    .cloned()
                    .unwrap_or_default();
                let members = if *assigns { known.members } else { Vec::new() };
                Request::SyncGroup {
                    version: if known.protocol.0.is_some() { 5 } else { 4 },
                    request: SyncGroupRequest {
                        group_id,
                        generation_id: known.generation_id.wrapping_add(*generation),
                        member_id: self.member_id(group, *client, *id),
                        group_instance_id: None,
                        protocol_type: known.protocol.0,
                        protocol_name: known.protocol.1,
                        assignments: members
                            .into_iter()
                            .map(|member_id| sync_group_request::SyncGroupRequestAssignment {
                                assignment: Bytes::copy_from_slice(member_id.as_bytes()),
                                member_id,
                            })
                            .collect(),
                    },
                }
            }
            Step::Heartbeat {
                client,
                id,
                generation,
            } => {
                let known = self
                    .clients
                    .get(&(group, *client))
                    .cloned()
                    .unwrap_or_default();
                Request::Heartbeat {
                    request: HeartbeatRequest {
                        group_id,
                        generation_id: known.generation_id.wrapping_add(*generation),
                        member_id: self.member_id(group, *client, *id),
                        group_instance_id: None,
                    },
                }
            }
            Step::Leave {
                client,
                id,
                version,
            } => {
                let member_id = self.member_id(group, *client, *id);
                let mut request = LeaveGroupRequest {
                    group_id,
                    ..Default::default()
                };
                if *version < 3 {
                    request.member_id = member_id;
                } else {
                    let instance_id = Str::from(format!("instance-{}", client % 2));
                    request.members = vec![leave_group_request::MemberIdentity {
                        group_instance_id: member_id.is_empty().then_some(instance_id),
                        member_id,
                        reason: None,
                    }];
                }
                Request::LeaveGroup {
                    version: *version,
                    request,
                }
            }
            Step::Commit {
                client,
                id,
                generation,
                topic,
                offset,
            } => {
                let known = self
                    .clients
                    .get(&(group, *client))
                    .cloned()
                    .unwrap_or_default();
                let is_simple = matches!(id, Id::None);
                Request::OffsetCommit {
                    version: 8,
                    request: OffsetCommitRequest {
                        group_id,
                        generation_id_or_member_epoch: if is_simple {
                            -1
                        } else {
                            known.generation_id.wrapping_add(*generation)
                        },
                        member_id: self.member_id(group, *client, *id),
                        group_instance_id: None,
                        retention_time_ms: -1,
                        topics: vec![offset_commit_request::OffsetCommitRequestTopic {
                            name: topic_name(*topic),
                            topic_id: Uuid::ZERO,
                            partitions: (0..2)
                                .map(|partition| {
                                    offset_commit_request::OffsetCommitRequestPartition {
                                        partition_index: partition,
                                        committed_offset: *offset,
                                        committed_leader_epoch: -1,
                                        committed_metadata: None,
                                    }
                                })
                                .collect(),
                        }],
                    },
                }
            }
            Step::Fetch { version, all } => Request::OffsetFetchGroup(OffsetFetchGroup {
                version: if *all { (*version).max(2) } else { *version },
                group_id,
                topics: (!all).then(Vec::new),
                require_stable: false,
            }),
            Step::DeleteOffsets { topic } => Request::OffsetDelete {
                request: OffsetDeleteRequest {
                    group_id,
                    topics: vec![offset_delete_request::OffsetDeleteRequestTopic {
                        name: topic_name(*topic),
                        partitions: vec![offset_delete_request::OffsetDeleteRequestPartition {
                            partition_index: 0,
                        }],
                    }],
                },
            },
            Step::Describe => Request::DescribeGroup {
                version: 6,
                group_id,
            },
            Step::List => Request::ListGroups {
                states: Vec::new(),
                types: Vec::new(),
            },
            Step::Delete => Request::DeleteGroup { group_id },
            Step::DeleteTopic { topic } => Request::DeleteTopics {
                topics: vec![(topic_name(*topic), Uuid::ZERO)],
            },
        };
        let before = self.world.coordinator.groups().clone();
        let ticket = self.world.ask(request.clone());
        if let Request::OffsetCommit { request, .. } = &request {
            let response = self
                .world
                .reply_to(ticket)
                .expect("a commit is answered at once");
            self.judge_commit(&before, request, &response);
        }
        if let Step::Join { client, .. } = step {
            self.asked.insert(ticket, (group, *client));
        }
        self.look();
    }

    fn rally(&mut self, group: u8, is_static: bool) {
        let join = |client| Step::Join {
            client,
            version: if client % 2 == 0 {
                3 + 6 * i16::from(is_static)
            } else {
                9
            },
            id: Id::Own,
            is_static,
            offer: client % 2,
            rebalance_timeout_ms: 3_000,
        };
        // Twice, for those that are only given an id at first.
        for client in (0..CLIENTS).chain(0..CLIENTS) {
            let waits = self.asked.values().any(|asked| *asked == (group, client));
            if !waits {
                self.take(group, &join(client));
            }
        }
        self.take(group, &Step::Advance { ms: 3_500 });
        for client in 0..CLIENTS {
            let sync = Step::Sync {
                client,
                id: Id::Own,
                generation: 0,
                assigns: true,
            };
            self.take(group, &sync);
        }
    }

    /// A commit is accepted of a member of the current generation, or while there is no member.
    fn judge_commit(
        &self,
        before: &BTreeMap<Str, StoredGroup>,
        request: &OffsetCommitRequest,
        response: &Response,
    ) {
        let Response::OffsetCommit(response) = response else {
            panic!("{response:?}")
        };
        let accepted = response.topics[0].partitions[0].error_code == 0;
        let written = self
            .world
            .records()
            .iter()
            .any(|record| matches!(record, Record::OffsetCommit { value: Some(_), .. }));
        assert_eq!(accepted, written);
        if !accepted {
            return;
        }
        let group_id = &request.group_id;
        let metadata = before
            .get(group_id)
            .and_then(|group| group.metadata.as_ref());
        let is_empty = metadata.is_none_or(|metadata| metadata.members.is_empty());
        if is_empty && request.generation_id_or_member_epoch < 0 {
            return;
        }
        // The current generation is the one that the log, or else a member, was told of last.
        let logged = metadata.map_or(0, |metadata| metadata.generation_id);
        let told = self.told.iter().filter(|((group, _), _)| group == group_id);
        let current = told
            .map(|(_, generation)| *generation)
            .max()
            .unwrap_or(0)
            .max(logged);
        assert_eq!(request.generation_id_or_member_epoch, current);
        assert!(self.all_ids.contains(&request.member_id));
    }

    /// Reads the news.
    fn look(&mut self) {
        for (_, news) in std::mem::take(&mut self.world.news) {
            match news {
                News::Record(Record::GroupMetadata {
                    group_id,
                    value: Some(value),
                }) => {
                    let last = self.logged.insert(group_id, value.generation_id);
                    assert!(
                        last.is_none_or(|last| last <= value.generation_id),
                        "goes back"
                    );
                }
                News::Record(Record::GroupMetadata {
                    group_id,
                    value: None,
                }) => {
                    // A group that is deleted begins anew.
                    self.logged.remove(&group_id);
                    self.told.retain(|(told, _), _| *told != group_id);
                }
                News::Record(Record::OffsetCommit { .. }) => {}
                News::Reply(ticket, Response::JoinGroup(response)) => {
                    let Some(at) = self.asked.remove(&ticket) else {
                        continue;
                    };
                    let id = response.member_id.clone();
                    if id.is_empty() {
                        continue;
                    }
                    let is_new_id = response.error_code == ErrorCode::MEMBER_ID_REQUIRED.0;
                    assert!(
                        !(is_new_id && self.all_ids.contains(&id)),
                        "an id is given twice"
                    );
                    if !self.all_ids.contains(&id) {
                        self.all_ids.push(id.clone());
                    }
                    let client = self.clients.entry(at).or_default();
                    client.member_id = id.clone();
                    if response.error_code == 0 {
                        let key = (History::group_id(at.0), id);
                        let last = self.told.insert(key, response.generation_id);
                        assert!(last.is_none_or(|last| last <= response.generation_id));
                        client.generation_id = response.generation_id;
                        client.protocol = (response.protocol_type, response.protocol_name);
                        client.members = response
                            .members
                            .into_iter()
                            .map(|member| member.member_id)
                            .collect();
                    }
                }
                News::Reply(_, Response::SyncGroup(response)) => {
                    // Every member gets its own assignment or none.
                    assert!(response.error_code == 0 || response.assignment.is_empty());
                }
                News::Reply(..) => {}
            }
        }
    }

    /// Time passes with nobody there: every request is answered, every member is gone, and every
    /// offset expires.
    fn end(mut self) {
        self.world.advance(10 * 60 * 1_000);
        assert_eq!(self.world.waiting.len(), 0, "somebody waits for ever");
        for (group_id, group) in self.world.coordinator.groups() {
            let members = group
                .metadata
                .as_ref()
                .map_or(0, |metadata| metadata.members.len());
            assert_eq!(members, 0, "{group_id} keeps its dead");
        }
        self.world.advance(9 * 24 * 60 * 60 * 1_000);
        assert_eq!(
            self.world.coordinator.groups().len(),
            0,
            "something is kept for ever"
        );
        // What the log says after compaction is what it says.
        let mut newest = BTreeMap::new();
        for key_value in &self.world.log {
            newest.insert(key_value.key.clone(), key_value.clone());
        }
        assert!(newest.values().all(|key_value| key_value.value.is_none()));
    }
}

fn config() -> impl Strategy<Value = GroupConfig> {
    let delay = prop_oneof![Just(0), Just(3_000)];
    let size_max = prop_oneof![Just(2usize), Just(usize::MAX)];
    let batch_bytes_max = prop_oneof![Just(600usize), Just(1_000_000)];
    (delay, size_max, batch_bytes_max).prop_map(|(delay, size_max, batch_bytes_max)| GroupConfig {
        initial_rebalance_delay_ms: delay,
        size_max,
        batch_bytes_max,
        ..GroupConfig::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_sound(config in config(), steps in vec((0..GROUPS, step()), 1..120)) {
        let mut history = History::new(config);
        for (group, step) in &steps {
            history.take(*group, step);
        }
        history.end();
    }

    /// The state does not depend on what compaction has taken out of the log: at any point of it, the
    /// newest record of each key says as much as all of them.
    #[test]
    fn a_compacted_log_says_the_same(steps in vec((0..GROUPS, step()), 1..120)) {
        let mut history = History::new(GroupConfig::default());
        for (group, step) in &steps {
            history.take(*group, step);
        }
        let mut last = BTreeMap::new();
        for (at, key_value) in history.world.log.iter().enumerate() {
            last.insert(key_value.key.clone(), at);
        }
        let log = std::mem::take(&mut history.world.log);
        let before = history.world.coordinator.clone();
        history.world.log = log
            .into_iter()
            .enumerate()
            .filter(|(at, key_value)| last[&key_value.key] == *at && key_value.value.is_some())
            .map(|(_, key_value)| key_value)
            .collect();
        history.world.fail_over();
        prop_assert_eq!(&history.world.coordinator, &before);
    }

    /// Whatever lies in the log, reading it is a value or an error.
    #[test]
    fn any_bytes_are_a_record_or_an_error(
        kind in 0..4i16,
        version in -1..6i16,
        key in vec(any::<u8>(), 0..40),
        value in proptest::option::of(vec(any::<u8>(), 0..80)),
    ) {
        let prefixed = |number: i16, bytes: Vec<u8>| Bytes::from([&number.to_be_bytes()[..], &bytes].concat());
        let key_value = state_machine::KeyValue {
            key: Some(prefixed(kind, key)),
            value: value.map(|value| prefixed(version, value)),
        };
        if let Ok(Some(record)) = Record::decode(&key_value) {
            let again = Record::decode(&record.encode()).expect("what was read can be written");
            prop_assert!(again.is_some());
        }
    }
}
