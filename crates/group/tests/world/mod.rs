//! A coordinator with a log, a clock and nobody else: what a host does, in the order it does it.
//!
//! Every record goes through its bytes, every answer is encoded in the version it was asked in, and
//! the coordinator's invariants are checked after every step.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;

use ottla_group::{
    GroupConfig, GroupCoordinator, OffsetFetchGroup, Record, Request, Response, Soft,
    merge_offset_fetch,
};
use protocol::{
    DeleteGroupsResponse, DescribeGroupsResponse, ListGroupsResponse, Message, Str, Writer,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use state_machine::{Decision, KeyValue, LogRecord, StateMachine, Ticket};
use types::{Mono, Now, Wall};

/// Where the clocks begin.
pub const START_MS: i64 = 1_700_000_000_000;

/// See the module.
pub struct World {
    pub coordinator: GroupCoordinator,
    pub soft: Soft,
    pub log: Vec<KeyValue>,
    pub now_ms: i64,
    config: GroupConfig,
    next_ticket: u64,
    /// Asked and not answered, with the version of the request.
    pub waiting: BTreeMap<Ticket, (&'static str, i16)>,
    /// Written and answered since somebody looked, and when.
    pub news: Vec<(i64, News)>,
}

/// What a decision brought.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    Record(Record),
    Reply(Ticket, Response),
}

impl World {
    pub fn new(config: GroupConfig) -> World {
        let mut world = World {
            coordinator: coordinator(&config),
            soft: Soft::default(),
            log: Vec::new(),
            now_ms: 0,
            config,
            next_ticket: 0,
            waiting: BTreeMap::new(),
            news: Vec::new(),
        };
        world.activate();
        world
    }

    pub fn now(&self) -> Now {
        Now {
            mono: Mono(self.now_ms as u64 * 1_000_000),
            wall: Wall(START_MS + self.now_ms),
        }
    }

    /// Hands a request in.
    pub fn ask(&mut self, request: Request) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, api_and_version(&request));
        let (now, mut out) = (self.now(), Decision::default());
        self.coordinator
            .handle(&mut self.soft, now, ticket, request, &mut out);
        self.carry_out(out);
        ticket
    }

    /// Hands a request in that is answered at once.
    pub fn answer(&mut self, request: Request) -> Response {
        let ticket = self.ask(request);
        self.reply_to(ticket)
            .expect("the request is answered at once")
    }

    /// The answer to a request, if it is among the news.
    pub fn reply_to(&self, ticket: Ticket) -> Option<Response> {
        self.news.iter().find_map(|(_, news)| match news {
            News::Reply(answered, response) if *answered == ticket => Some(response.clone()),
            _ => None,
        })
    }

    /// The records among the news.
    pub fn records(&self) -> Vec<Record> {
        self.news
            .iter()
            .filter_map(|(_, news)| match news {
                News::Record(record) => Some(record.clone()),
                News::Reply(..) => None,
            })
            .collect()
    }

    /// Lets time pass, and ticks whenever something is due.
    pub fn advance(&mut self, ms: i64) {
        let until = self.now_ms + ms;
        let mut ticks_at_once = 0;
        while let Some(due) = self.coordinator.deadline(&self.soft) {
            let due_ms = due.0.div_ceil(1_000_000) as i64;
            if due_ms > until {
                break;
            }
            ticks_at_once = if due_ms > self.now_ms {
                0
            } else {
                ticks_at_once + 1
            };
            assert!(ticks_at_once < 10_000, "the coordinator ticks without end");
            self.now_ms = self.now_ms.max(due_ms);
            self.tick();
        }
        self.now_ms = until;
    }

    pub fn tick(&mut self) {
        let (now, mut out) = (self.now(), Decision::default());
        self.coordinator.tick(&mut self.soft, now, &mut out);
        self.carry_out(out);
    }

    /// The leader dies; another one replays the log, which takes a moment. Returns who waits for an
    /// answer in vain.
    pub fn fail_over(&mut self) -> Vec<Ticket> {
        self.now_ms += 1;
        self.coordinator = coordinator(&self.config);
        for key_value in &self.log {
            let record = Record::decode(key_value).expect("the log is well-formed");
            self.coordinator.replay(&record.expect("a known kind"));
        }
        self.soft = Soft::default();
        self.activate();
        std::mem::take(&mut self.waiting).into_keys().collect()
    }

    fn activate(&mut self) {
        let (now, mut out) = (self.now(), Decision::default());
        self.coordinator.activate(&mut self.soft, now, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, decision: Decision<Record, Response>) {
        for record in decision.records {
            let key_value = record.encode();
            let read_back = Record::decode(&key_value).expect("what was written can be read");
            assert_eq!(
                read_back.as_ref(),
                Some(&record),
                "a record changes on its way"
            );
            self.coordinator.replay(&record);
            self.log.push(key_value);
            self.news.push((self.now_ms, News::Record(record)));
        }
        for (ticket, response) in decision.replies {
            let asked = self.waiting.remove(&ticket);
            let (api, version) = asked.unwrap_or_else(|| panic!("{ticket:?} is answered twice"));
            encodes(api, version, &response);
            self.news.push((self.now_ms, News::Reply(ticket, response)));
        }
        self.coordinator.check(&self.soft);
    }
}

/// Every coordinator has the same generator, as in a simulation.
fn coordinator(config: &GroupConfig) -> GroupCoordinator {
    GroupCoordinator::new(config.clone(), rng(0))
}

pub fn rng(seed: u8) -> ChaCha8Rng {
    ChaCha8Rng::from_seed([seed; 32])
}

fn api_and_version(request: &Request) -> (&'static str, i16) {
    match request {
        Request::JoinGroup { version, .. } => ("JoinGroup", *version),
        Request::SyncGroup { version, .. } => ("SyncGroup", *version),
        Request::Heartbeat { .. } => ("Heartbeat", 4),
        Request::LeaveGroup { version, .. } => ("LeaveGroup", *version),
        Request::OffsetCommit { version, .. } => ("OffsetCommit", *version),
        Request::OffsetFetchGroup(OffsetFetchGroup { version, .. }) => ("OffsetFetch", *version),
        Request::OffsetDelete { .. } => ("OffsetDelete", 0),
        Request::DeleteGroup { .. } => ("DeleteGroups", 2),
        Request::DescribeGroup { version, .. } => ("DescribeGroups", *version),
        Request::ListGroups { .. } => ("ListGroups", 5),
        Request::DeleteTopics { .. } => ("DeleteTopics", 0),
    }
}

/// Whether the answer is of the right kind and has nothing that the version cannot carry.
pub fn encodes(api: &str, version: i16, response: &Response) {
    fn encode<M: Message>(message: &M, version: i16) {
        let mut writer = Writer::new();
        message
            .encode(&mut writer, version)
            .unwrap_or_else(|error| {
                panic!(
                    "{} cannot be sent in version {version}: {error}: {message:?}",
                    M::NAME
                )
            });
    }
    match (api, response) {
        ("JoinGroup", Response::JoinGroup(response)) => encode(response, version),
        ("SyncGroup", Response::SyncGroup(response)) => encode(response, version),
        ("Heartbeat", Response::Heartbeat(response)) => {
            (0..=version).for_each(|version| encode(response, version));
        }
        ("LeaveGroup", Response::LeaveGroup(response)) => encode(response, version),
        ("OffsetCommit", Response::OffsetCommit(response)) => encode(response, version),
        ("OffsetFetch", Response::OffsetFetchGroup(response)) => {
            encode(
                &merge_offset_fetch(version, vec![response.clone()]),
                version,
            );
        }
        ("OffsetDelete", Response::OffsetDelete(response)) => encode(response, version),
        ("DeleteGroups", Response::DeleteGroup(result)) => {
            let results = vec![result.clone()];
            encode(
                &DeleteGroupsResponse {
                    results,
                    ..Default::default()
                },
                version,
            );
        }
        ("DescribeGroups", Response::DescribeGroup(group)) => {
            let groups = vec![group.clone()];
            encode(
                &DescribeGroupsResponse {
                    groups,
                    ..Default::default()
                },
                version,
            );
        }
        ("ListGroups", Response::ListGroups(Ok(groups))) => {
            let response = ListGroupsResponse {
                groups: groups.clone(),
                ..Default::default()
            };
            (0..=version).for_each(|version| encode(&response, version));
        }
        ("DeleteTopics", Response::DeleteTopics(Ok(()))) => {}
        (api, response) => panic!("{api} is answered with {response:?}"),
    }
}

/// What a consumer says of itself in JoinGroup.
pub fn subscription(topics: &[&str]) -> bytes::Bytes {
    let subscription = protocol::ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| Str::from(*topic)).collect(),
        ..Default::default()
    };
    let mut writer = Writer::new();
    writer.i16(0);
    subscription
        .encode(&mut writer, 0)
        .expect("a subscription can be written");
    writer.into_bytes()
}
