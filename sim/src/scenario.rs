//! A run as data: a file says what the cluster, the load and the faults are; a seed says everything else.

use serde::{Deserialize, Serialize};

use crate::faults::Planned;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The seed from which the scenario was drawn, for its name alone.
    pub seed: u64,
    /// The seed of the world: schedule, delays, where writes are torn.
    pub schedule: u64,
    /// How long things break, in simulated ms.
    pub storm_ms: u64,
    /// How long the clients may then take to finish, in simulated ms.
    pub drain_ms: u64,
    /// How the run ends: what happens to the broker before everything is read back.
    pub ending: Ending,
    /// How far the broker's wall clock jumps before that, when all clients have finished, in ms.
    #[serde(default)]
    pub last_jump_ms: i64,
    /// The broker.
    pub cluster: Cluster,
    /// What the world does by itself.
    pub world: WorldFaults,
    /// Topics that are there from the start.
    pub topics: Vec<Topic>,
    /// Who writes.
    #[serde(default)]
    pub producers: Vec<Producer>,
    /// Who reads.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    /// Consumer groups.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Groups that read with our own consumer.
    #[serde(default)]
    pub teams: Vec<Team>,
    /// Admins, by what they do.
    #[serde(default)]
    pub admins: Vec<Admin>,
    /// Clients that send rubbish.
    #[serde(default)]
    pub hostiles: Vec<Hostile>,
    /// What is done to the nodes, and when.
    #[serde(default)]
    pub faults: Vec<Planned>,
}

/// What happens to the broker between the last write and the reading back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Nothing.
    Nothing,
    /// It is stopped cleanly and started.
    CleanRestart,
    /// It is killed and started.
    Kill,
    /// Its power fails, and comes back.
    PowerLoss,
}

/// The broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Tasks that own partitions.
    pub shards: usize,
    /// Whether the logs bypass the page cache.
    pub direct: bool,
    /// Keys of `server.properties`.
    pub configs: std::collections::BTreeMap<String, String>,
    /// Requests of one connection that are read before the first is answered.
    pub in_flight_max: usize,
    /// Fetch sessions at one time.
    pub fetch_sessions_max: usize,
    /// Largest segment of a log.
    pub segment_bytes_max: u32,
    /// Most bytes of requests at one time.
    pub queued_bytes_max: usize,
}

/// Which of the faults that the world makes by itself may happen. Their rates are the seed's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldFaults {
    /// Connections break, stall, go silent, are refused; delays of any size.
    pub network: bool,
    /// Calls to the disk fail: reads, writes, syncs, no space.
    pub disk_errors: bool,
    /// The disk is slow, and stalls.
    pub disk_slow: bool,
    /// Clocks run at other rates and are wrong.
    pub clocks: bool,
    /// Tasks are chosen by priorities, polled for nothing, and timers are late.
    pub scheduling: bool,
    /// Rare paths in the code are made common.
    pub buggify: bool,
    /// Durable bytes are damaged. Then a broken record may be reported, but neither served nor left out.
    pub damage: bool,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
    /// Whether an acknowledged record outlives a power loss. Otherwise it outlives a kill.
    pub synced: bool,
    /// Other settings.
    pub configs: std::collections::BTreeMap<String, String>,
}

impl Topic {
    /// Whether old records are removed by size or age.
    #[must_use]
    pub fn has_retention(&self) -> bool {
        ["retention.ms", "retention.bytes"]
            .iter()
            .any(|key| self.configs.get(*key).is_some_and(|value| value != "-1"))
    }
}

/// How records are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sending {
    /// The client's producer, idempotent, `acks=all`.
    Idempotent,
    /// The client's producer, not idempotent, `acks=all`.
    All,
    /// The client's producer, `acks=1`.
    Leader,
    /// The client's producer, `acks=0`.
    None,
    /// A producer that sends batches again although they were acknowledged.
    Insistent,
}

/// Somebody who writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    /// The topic, by its place in [`Scenario::topics`].
    pub topic: usize,
    /// How.
    pub sending: Sending,
    /// Codec by its number: none, gzip, snappy, lz4, zstd.
    pub codec: i8,
    /// Whether records have keys.
    pub keyed: bool,
    /// Records to write.
    pub records: u32,
    /// Longest value.
    pub value_bytes_max: u64,
    /// Longest pause between records, in ms.
    pub pause_ms_max: u64,
    /// How long a batch waits for more, in ms.
    pub linger_ms: u64,
    /// Requests in flight.
    pub in_flight: usize,
}

/// Somebody who reads everything, and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The topic.
    pub topic: usize,
    /// Most bytes of an answer.
    pub fetch_bytes_max: i32,
    /// How long the broker may wait for news, in ms.
    pub wait_ms: i32,
    /// The highest version of Fetch.
    pub version_max: i16,
    /// Chance in a million, per answer, of going back to an older place.
    pub again_ppm: u32,
    /// Whether fetch sessions are used.
    pub sessions: bool,
    /// Whether only committed transactions are read.
    pub committed: bool,
}

/// A consumer group with the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// The topic that it reads.
    pub topic: usize,
    /// Its members.
    pub members: u32,
    /// Whether members are static.
    pub fixed: bool,
    /// Session timeout in ms.
    pub session_ms: i32,
    /// Rebalance timeout in ms.
    pub rebalance_ms: i32,
    /// Chance in a million, per round, that a member leaves and comes back.
    pub leave_ppm: u32,
    /// Chance in a million, per round, that a member falls silent for longer than its session.
    pub sleep_ppm: u32,
}

/// A consumer group whose members read with the consumer that users run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// The group's id.
    pub id: String,
    /// The topic that it reads.
    pub topic: usize,
    /// Its members.
    pub members: u32,
    /// Whether members are static.
    pub fixed: bool,
    /// Whether members keep their partitions while they rebalance.
    pub cooperative: bool,
    /// Session timeout in ms.
    pub session_ms: u64,
    /// Rebalance timeout in ms.
    pub rebalance_ms: u64,
    /// How often offsets are committed, in ms.
    pub commit_ms: u64,
    /// Most records of a poll.
    pub poll_records_max: usize,
    /// Chance in a million, per poll, that a member leaves and comes back.
    pub leave_ppm: u32,
    /// Chance in a million, per poll, that a member falls silent for longer than its session.
    pub sleep_ppm: u32,
}

/// An admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Things to do.
    pub operations: u32,
    /// Longest pause between them, in ms.
    pub pause_ms_max: u64,
    /// Whether it deletes records of the topics of the others.
    pub deletes_records: bool,
}

/// A client that sends rubbish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hostile {
    /// Things to send.
    pub operations: u32,
    /// Longest pause between them, in ms.
    pub pause_ms_max: u64,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_toml(text: &str) -> Result<Scenario, String> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
        let topics = scenario.topics.len();
        let named = (scenario.producers.iter().map(|p| p.topic))
            .chain(scenario.consumers.iter().map(|c| c.topic))
            .chain(scenario.groups.iter().map(|g| g.topic))
            .chain(scenario.teams.iter().map(|t| t.topic));
        match named.into_iter().find(|topic| *topic >= topics) {
            Some(topic) => Err(format!("topic {topic} of {topics}")),
            None => Ok(scenario),
        }
    }

    /// The text of a scenario file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario has only tables, lists and scalars")
    }
}
