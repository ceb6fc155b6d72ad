//! Stories of whole groups, told as transcripts: a command, `----`, and what came of it.
//!
//! Each file of `tests/transcripts` is one story. To rewrite the answers after a change, run with
//! `UPDATE_TRANSCRIPTS=1`, read the difference, and keep only what you understand.
//!
//! ```text
//! config KEY=VALUE ...                         first of all; times in ms
//! join CLIENT [MEMBER] [v=9] [session=] [rebalance=] [instance=] [type=consumer] [p=range:t1+t2,...]
//! sync MEMBER [v=5] [gen=] [instance=] [type=] [protocol=] [MEMBER:ASSIGNMENT ...]
//! heartbeat MEMBER [gen=] [instance=]
//! leave [MEMBER] [instance=] [v=5]
//! commit [MEMBER] [gen=] [instance=] [v=9] [retention=] TOPIC:PARTITION:OFFSET[:METADATA] ...
//! fetch [v=9] [TOPIC:PARTITION ...]            everything if no partition is named
//! delete-offsets TOPIC:PARTITION ...
//! describe [v=6] | list [states=] [types=] | delete | delete-topic TOPIC
//! advance MS                                   lets time pass
//! fail-over                                    another coordinator replays the log
//! ```
//!
//! Every command takes `g=GROUP`. A member is called by its client and a number: the second id that
//! client `a` was given is `a2`. Without `gen=`, a member says the generation that it heard of last.

mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_group::{GroupConfig, OffsetFetchGroup, OffsetFetchTopic, Record, Request, Response};
use protocol::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest,
    OffsetDeleteRequest, Str, SyncGroupRequest, join_group_request, leave_group_request,
    offset_commit_request, offset_delete_request, sync_group_request,
};
use state_machine::Ticket;
use types::{ErrorCode, Uuid};
use world::{News, World, subscription};

#[test]
fn transcripts_are_as_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder is part of the crate")
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    #[allow(
        clippy::disallowed_methods,
        reason = "a test that is told to rewrite its files"
    )]
    let rewrite = std::env::var("UPDATE_TRANSCRIPTS").is_ok();
    let mut differ = Vec::new();
    for file in files {
        let name = file
            .file_name()
            .expect("it is a file")
            .to_string_lossy()
            .into_owned();
        let told = std::fs::read_to_string(&file).expect("a transcript is text");
        let now = Story::new(&name).retell(&told);
        if told == now {
            continue;
        }
        if rewrite {
            #[allow(clippy::disallowed_methods, reason = "asked for")]
            std::fs::write(&file, &now).expect("a transcript can be rewritten");
        } else {
            differ.push(difference(&name, &told, &now));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

fn difference(name: &str, told: &str, now: &str) -> String {
    let line = told
        .lines()
        .zip(now.lines())
        .take_while(|(told, now)| told == now)
        .count();
    let context = |text: &str| -> String {
        let lines = text.lines().skip(line.saturating_sub(3)).take(8);
        lines.fold(String::new(), |text, line| text + "    " + line + "\n")
    };
    format!(
        "{name}, line {}:\n  told:\n{}  now:\n{}",
        line + 1,
        context(told),
        context(now)
    )
}

struct Story {
    name: String,
    world: Option<World>,
    config: GroupConfig,
    /// Names of member ids, and back.
    names: BTreeMap<Str, String>,
    ids: BTreeMap<String, Str>,
    given: BTreeMap<String, usize>,
    /// Who asked.
    clients: BTreeMap<Ticket, String>,
    /// What a member heard last: generation, protocol type and protocol.
    heard: BTreeMap<Str, (i32, Option<Str>, Option<Str>)>,
}

/// The words of a command.
struct Command<'a> {
    verb: &'a str,
    words: Vec<&'a str>,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Command<'a> {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a command has a verb");
        let (options, words): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
        let options = options
            .into_iter()
            .map(|word| word.split_once('=').expect("it has one"));
        Command {
            verb,
            words,
            options: options.collect(),
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str, default: N) -> N {
        match self.options.get(name) {
            Some(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}")),
            None => default,
        }
    }

    fn text(&self, name: &str) -> Option<Str> {
        self.options.get(name).map(|text| Str::from(*text))
    }

    fn group(&self) -> Str {
        self.text("g").unwrap_or_else(|| Str::from_static("g"))
    }
}

impl Story {
    fn new(name: &str) -> Story {
        Story {
            name: name.to_owned(),
            world: None,
            config: GroupConfig::default(),
            names: BTreeMap::new(),
            ids: BTreeMap::new(),
            given: BTreeMap::new(),
            clients: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    /// The file, with the answers as they are now.
    fn retell(&mut self, told: &str) -> String {
        let mut text = String::new();
        for block in told.trim_end().split("\n\n") {
            let commands: Vec<&str> = block.lines().take_while(|line| *line != "----").collect();
            for line in &commands {
                writeln!(text, "{line}").expect("a string takes text");
            }
            if commands.iter().all(|line| line.starts_with('#')) {
                text.push('\n');
                continue;
            }
            text.push_str("----\n");
            for line in commands.into_iter().filter(|line| !line.starts_with('#')) {
                let command = Command::parse(line);
                text.push_str(&self.carry_out(&command));
            }
            text.push('\n');
        }
        text.trim_end().to_owned() + "\n"
    }

    fn world(&mut self) -> &mut World {
        let config = &self.config;
        self.world.get_or_insert_with(|| World::new(config.clone()))
    }

    fn carry_out(&mut self, command: &Command<'_>) -> String {
        let mut said = String::new();
        match command.verb {
            "config" => {
                assert!(self.world.is_none(), "{}: config comes first", self.name);
                for (key, value) in &command.options {
                    let ms: i64 = value.parse().expect("settings are numbers");
                    match *key {
                        "initial-delay" => self.config.initial_rebalance_delay_ms = ms as i32,
                        "max-size" => self.config.size_max = ms as usize,
                        "retention" => self.config.offsets_retention_ms = ms,
                        "retention-check" => self.config.offsets_retention_check_interval_ms = ms,
                        "batch-bytes" => self.config.batch_bytes_max = ms as usize,
                        _ => panic!("{key}"),
                    }
                }
            }
            "advance" => {
                let ms = command.words[0].parse().expect("a number of ms");
                self.world().advance(ms);
            }
            "fail-over" => {
                for ticket in self.world().fail_over() {
                    writeln!(said, "t{} is lost", ticket.0).expect("a string takes text");
                }
            }
            _ => {
                let request = self.request(command);
                let ticket = self.world().ask(request);
                let client = command.words.first().copied().unwrap_or_default();
                self.clients.insert(ticket, client.to_owned());
                let is_parked = self.world().waiting.contains_key(&ticket);
                if is_parked {
                    writeln!(said, "t{} waits", ticket.0).expect("a string takes text");
                }
            }
        }
        let news = std::mem::take(&mut self.world().news);
        for (_, news) in &news {
            if let News::Reply(ticket, Response::JoinGroup(response)) = news {
                let client = self.clients.get(ticket).cloned().unwrap_or_default();
                self.learn(&client, &response.member_id);
            }
        }
        for (at, news) in news {
            let line = match news {
                News::Record(record) => self.record(&record),
                News::Reply(ticket, response) => {
                    format!("t{} {}", ticket.0, self.response(&response))
                }
            };
            let at = if command.verb == "advance" {
                format!("{at}: ")
            } else {
                String::new()
            };
            writeln!(said, "{at}{line}").expect("a string takes text");
        }
        said
    }

    fn id(&self, name: &str) -> Str {
        // A name that nobody was given is an id that nobody knows.
        self.ids
            .get(name)
            .cloned()
            .unwrap_or_else(|| Str::from(name))
    }

    fn member(&self, command: &Command<'_>, at: usize) -> Str {
        command
            .words
            .get(at)
            .map_or_else(Str::new, |name| self.id(name))
    }

    fn request(&mut self, command: &Command<'_>) -> Request {
        let group_id = command.group();
        let group_instance_id = command.text("instance");
        let topic_partition = |word: &str| {
            let (topic, partition) = word.split_once(':').expect("TOPIC:PARTITION");
            (
                Str::from(topic),
                partition.parse::<i32>().expect("a partition"),
            )
        };
        match command.verb {
            "join" => {
                let protocol_type = command.text("type").unwrap_or_else(|| "consumer".into());
                let protocols = command.options.get("p").copied().unwrap_or("range:t");
                let protocols = protocols.split(',').map(|protocol| {
                    let (name, said) = protocol.split_once(':').unwrap_or((protocol, ""));
                    let topics: Vec<&str> = said.split('+').collect();
                    let metadata = if protocol_type == "consumer" {
                        subscription(&topics)
                    } else {
                        Bytes::copy_from_slice(said.as_bytes())
                    };
                    join_group_request::JoinGroupRequestProtocol {
                        name: name.into(),
                        metadata,
                    }
                });
                Request::JoinGroup {
                    version: command.number("v", 9),
                    client_id: Str::from(command.words[0]),
                    client_host: Str::from_static("/10.0.0.1"),
                    request: JoinGroupRequest {
                        group_id,
                        session_timeout_ms: command.number("session", 10_000),
                        rebalance_timeout_ms: command.number("rebalance", 60_000),
                        member_id: self.member(command, 1),
                        group_instance_id,
                        protocols: protocols.collect(),
                        protocol_type,
                        reason: None,
                    },
                }
            }
            "sync" => {
                let member_id = self.member(command, 0);
                let heard = self.heard.get(&member_id).cloned().unwrap_or_default();
                let assignments = command.words[1..].iter().map(|word| {
                    let (member, assignment) = word.split_once(':').expect("MEMBER:ASSIGNMENT");
                    sync_group_request::SyncGroupRequestAssignment {
                        member_id: self.id(member),
                        assignment: Bytes::copy_from_slice(assignment.as_bytes()),
                    }
                });
                // Before version 7 of JoinGroup a member is not told the protocol type.
                let version = if heard.1.is_some() { 5 } else { 4 };
                Request::SyncGroup {
                    version: command.number("v", version),
                    request: SyncGroupRequest {
                        group_id,
                        generation_id: command.number("gen", heard.0),
                        group_instance_id,
                        protocol_type: command.text("type").or(heard.1),
                        protocol_name: command.text("protocol").or(heard.2),
                        assignments: assignments.collect(),
                        member_id,
                    },
                }
            }
            "heartbeat" => {
                let member_id = self.member(command, 0);
                let heard = self.heard.get(&member_id).map_or(-1, |heard| heard.0);
                Request::Heartbeat {
                    request: HeartbeatRequest {
                        group_id,
                        generation_id: command.number("gen", heard),
                        member_id,
                        group_instance_id,
                    },
                }
            }
            "leave" => {
                let version = command.number("v", 5);
                let member_id = self.member(command, 0);
                let mut request = LeaveGroupRequest {
                    group_id,
                    ..Default::default()
                };
                if version < 3 {
                    request.member_id = member_id;
                } else {
                    request.members = vec![leave_group_request::MemberIdentity {
                        member_id,
                        group_instance_id,
                        reason: None,
                    }];
                }
                Request::LeaveGroup { version, request }
            }
            "commit" => {
                let (members, offsets): (Vec<&str>, Vec<&str>) =
                    command.words.iter().partition(|word| !word.contains(':'));
                let member_id = members.first().map_or_else(Str::new, |name| self.id(name));
                let heard = self.heard.get(&member_id).map_or(-1, |heard| heard.0);
                let topics = offsets.iter().map(|word| {
                    let parts: Vec<&str> = word.split(':').collect();
                    offset_commit_request::OffsetCommitRequestTopic {
                        name: parts[0].into(),
                        topic_id: Uuid::ZERO,
                        partitions: vec![offset_commit_request::OffsetCommitRequestPartition {
                            partition_index: parts[1].parse().expect("a partition"),
                            committed_offset: parts[2].parse().expect("an offset"),
                            committed_leader_epoch: -1,
                            committed_metadata: parts.get(3).map(|text| Str::from(*text)),
                        }],
                    }
                });
                Request::OffsetCommit {
                    version: command.number("v", 9),
                    request: OffsetCommitRequest {
                        group_id,
                        generation_id_or_member_epoch: command.number("gen", heard),
                        member_id,
                        group_instance_id,
                        retention_time_ms: command.number("retention", -1),
                        topics: topics.collect(),
                    },
                }
            }
            "fetch" => {
                let topics = command.words.iter().map(|word| {
                    let (name, partition) = topic_partition(word);
                    let partitions = vec![partition];
                    OffsetFetchTopic {
                        name,
                        topic_id: Uuid::ZERO,
                        partitions,
                    }
                });
                Request::OffsetFetchGroup(OffsetFetchGroup {
                    version: command.number("v", 9),
                    group_id,
                    topics: (!command.words.is_empty()).then(|| topics.collect()),
                    require_stable: true,
                })
            }
            "delete-offsets" => {
                let topics = command.words.iter().map(|word| {
                    let (name, partition_index) = topic_partition(word);
                    offset_delete_request::OffsetDeleteRequestTopic {
                        name,
                        partitions: vec![offset_delete_request::OffsetDeleteRequestPartition {
                            partition_index,
                        }],
                    }
                });
                let request = OffsetDeleteRequest {
                    group_id,
                    topics: topics.collect(),
                };
                Request::OffsetDelete { request }
            }
            "describe" => Request::DescribeGroup {
                version: command.number("v", 6),
                group_id,
            },
            "list" => Request::ListGroups {
                states: command.text("states").into_iter().collect(),
                types: command.text("types").into_iter().collect(),
            },
            "delete" => Request::DeleteGroup { group_id },
            "delete-topic" => Request::DeleteTopics {
                topics: vec![(command.words[0].into(), Uuid::ZERO)],
            },
            verb => panic!("{}: {verb}", self.name),
        }
    }

    /// The name of a member id; `-` for none.
    fn name_of(&self, id: &Str) -> String {
        if id.is_empty() {
            return "-".to_owned();
        }
        self.names
            .get(id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }

    fn learn(&mut self, client: &str, id: &Str) {
        if id.is_empty() || self.names.contains_key(id) {
            return;
        }
        let count = self.given.entry(client.to_owned()).or_default();
        *count += 1;
        let name = format!("{client}{count}");
        self.names.insert(id.clone(), name.clone());
        self.ids.insert(name, id.clone());
    }

    fn record(&self, record: &Record) -> String {
        match record {
            Record::GroupMetadata {
                group_id,
                value: None,
            } => format!("writes: group {group_id} ends"),
            Record::GroupMetadata {
                group_id,
                value: Some(value),
            } => {
                let mut line = format!(
                    "writes: group {group_id} generation {}",
                    value.generation_id
                );
                if let Some(protocol) = &value.protocol {
                    let leader = value.leader.clone().unwrap_or_default();
                    write!(
                        line,
                        " {}/{protocol} led by {}",
                        value.protocol_type,
                        self.name_of(&leader)
                    )
                    .expect("a string takes text");
                } else {
                    write!(line, " {} empty", value.protocol_type).expect("a string takes text");
                }
                for member in &value.members {
                    let assignment = String::from_utf8_lossy(&member.assignment).into_owned();
                    let instance = member.group_instance_id.as_ref();
                    let instance = instance.map(|id| format!("({id})")).unwrap_or_default();
                    write!(
                        line,
                        ", {}{instance} has [{assignment}]",
                        self.name_of(&member.member_id)
                    )
                    .expect("a string takes text");
                }
                line
            }
            Record::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => match value {
                None => format!("writes: group {group_id} {topic}:{partition} ends"),
                Some(value) => {
                    format!(
                        "writes: group {group_id} {topic}:{partition} at {}",
                        value.offset.0
                    )
                }
            },
        }
    }

    fn response(&mut self, response: &Response) -> String {
        let error = |code: i16| match ErrorCode(code) {
            ErrorCode::NONE => String::new(),
            error => format!(" {}", error.name()),
        };
        match response {
            Response::JoinGroup(response) => {
                let mut line = format!("JoinGroup{}", error(response.error_code));
                let id = self.name_of(&response.member_id);
                if response.error_code != 0 {
                    return if response.member_id.is_empty() {
                        line
                    } else {
                        format!("{line}: {id}")
                    };
                }
                self.heard.insert(
                    response.member_id.clone(),
                    (
                        response.generation_id,
                        response.protocol_type.clone(),
                        response.protocol_name.clone(),
                    ),
                );
                let protocol = response.protocol_name.clone().unwrap_or_default();
                let leader = self.name_of(&response.leader);
                write!(
                    line,
                    ": {id} generation {} {protocol}",
                    response.generation_id
                )
                .expect("a string takes text");
                let members: Vec<String> = response
                    .members
                    .iter()
                    .map(|member| self.name_of(&member.member_id))
                    .collect();
                match members.as_slice() {
                    [] => write!(line, " led by {leader}"),
                    members => write!(line, " leads {}", members.join(" ")),
                }
                .expect("a string takes text");
                if response.skip_assignment {
                    line.push_str(" without assigning");
                }
                line
            }
            Response::SyncGroup(response) => {
                let assignment = String::from_utf8_lossy(&response.assignment);
                match response.error_code {
                    0 => format!("SyncGroup: [{assignment}]"),
                    code => format!("SyncGroup{}", error(code)),
                }
            }
            Response::Heartbeat(response) => format!("Heartbeat{}", error(response.error_code)),
            Response::LeaveGroup(response) => {
                let mut line = format!("LeaveGroup{}", error(response.error_code));
                for member in &response.members {
                    let id = self.name_of(&member.member_id);
                    write!(line, ": {id}{}", error(member.error_code))
                        .expect("a string takes text");
                }
                line
            }
            Response::OffsetCommit(response) => {
                let mut line = "OffsetCommit".to_owned();
                for topic in &response.topics {
                    for partition in &topic.partitions {
                        let index = partition.partition_index;
                        write!(
                            line,
                            " {}:{index}{}",
                            topic.name,
                            error(partition.error_code)
                        )
                        .expect("a string takes text");
                    }
                }
                line
            }
            Response::OffsetFetchGroup(response) => {
                let mut line = format!("OffsetFetch{}", error(response.error_code));
                for topic in &response.topics {
                    for partition in &topic.partitions {
                        let (index, offset) =
                            (partition.partition_index, partition.committed_offset);
                        let metadata = partition.metadata.clone().unwrap_or_default();
                        let metadata = if metadata.is_empty() {
                            String::new()
                        } else {
                            format!(":{metadata}")
                        };
                        let error = error(partition.error_code);
                        write!(line, " {}:{index}:{offset}{metadata}{error}", topic.name)
                            .expect("a string takes text");
                    }
                }
                line
            }
            Response::OffsetDelete(response) => {
                let mut line = format!("OffsetDelete{}", error(response.error_code));
                for topic in &response.topics {
                    for partition in &topic.partitions {
                        let index = partition.partition_index;
                        write!(
                            line,
                            " {}:{index}{}",
                            topic.name,
                            error(partition.error_code)
                        )
                        .expect("a string takes text");
                    }
                }
                line
            }
            Response::DeleteGroup(result) => format!("DeleteGroup{}", error(result.error_code)),
            Response::DescribeGroup(group) => {
                let mut line = format!(
                    "DescribeGroup{}: {} type={} protocol={}",
                    error(group.error_code),
                    group.group_state,
                    group.protocol_type,
                    group.protocol_data
                );
                if let Some(message) = &group.error_message {
                    write!(line, " \"{message}\"").expect("a string takes text");
                }
                for member in &group.members {
                    let id = self.name_of(&member.member_id);
                    let assignment = String::from_utf8_lossy(&member.member_assignment);
                    let (bytes, host) = (member.member_metadata.len(), &member.client_host);
                    write!(
                        line,
                        ", {id} at {host} says {bytes} bytes has [{assignment}]"
                    )
                    .expect("a string takes text");
                }
                line
            }
            Response::ListGroups(groups) => {
                let groups = groups.as_ref().expect("the core lists its groups");
                let groups: Vec<String> = groups
                    .iter()
                    .map(|g| {
                        format!(
                            " {}/{}/{}/{}",
                            g.group_id, g.protocol_type, g.group_state, g.group_type
                        )
                    })
                    .collect();
                format!("ListGroups{}", groups.concat())
            }
            Response::DeleteTopics(result) => format!("DeleteTopics {result:?}"),
        }
    }
}
