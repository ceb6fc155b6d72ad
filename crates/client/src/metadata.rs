//! What a client knows of its cluster: brokers, topics, leaders. A plain value; it asks nobody.
//!
//! Invariants:
//! * a partition's leader is never replaced by one of an older epoch of the same topic id: answers of
//!   brokers that lag behind, and hints that come late, do not bring back a leader that was deposed;
//! * a topic that was deleted and made anew is another topic: its id differs and nothing is kept.

use std::collections::BTreeMap;

use protocol::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use protocol::{MetadataResponse, Str};
use types::{ErrorCode, Mono, Uuid, mutant};

use crate::{Error, Result};

/// A partition, named as people name it. (`types::TopicPartition` names it by the topic's id.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Str,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// A partition of a topic.
    #[must_use]
    pub fn new(topic: impl Into<Str>, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic.as_str(), self.partition)
    }
}

/// Items by topic, in order: requests name each topic once.
pub(crate) fn by_topic<T>(
    items: impl IntoIterator<Item = (TopicPartition, T)>,
) -> BTreeMap<Str, Vec<(i32, T)>> {
    let mut topics: BTreeMap<Str, Vec<(i32, T)>> = BTreeMap::new();
    for (at, item) in items {
        topics
            .entry(at.topic)
            .or_default()
            .push((at.partition, item));
    }
    topics
}

/// A broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: i32,
    /// The host that it told clients to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Where it stands, if it said so.
    pub rack: Option<String>,
}

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Str,
    /// Its id; zero from brokers too old to have ids.
    pub id: Uuid,
    /// Whether it is the brokers' own.
    pub internal: bool,
    /// Its partitions by number.
    pub partitions: BTreeMap<i32, Partition>,
}

/// What is known of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Why it cannot be used, or no error.
    pub error: ErrorCode,
    /// The leader's id; -1 if there is none.
    pub leader: i32,
    /// The leader's epoch; -1 if it is unknown.
    pub leader_epoch: i32,
    /// The brokers that hold a copy, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those that are in sync.
    pub isr: Vec<i32>,
    /// Those whose disk or process is gone.
    pub offline: Vec<i32>,
}

/// What a client knows of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id, once known.
    pub cluster_id: Option<String>,
    /// The broker that takes requests for the controller; -1 if unknown.
    pub controller_id: i32,
    nodes: BTreeMap<i32, Node>,
    topics: BTreeMap<Str, Topic>,
    /// Topics that the last answer could not describe, and why.
    errors: BTreeMap<Str, ErrorCode>,
    names: BTreeMap<Uuid, Str>,
    updated: Option<Mono>,
}

impl Metadata {
    /// Takes in an answer. `all` says that it was about every topic: those it does not name are gone.
    ///
    /// # Errors
    /// The answer is an error as a whole.
    pub fn apply(&mut self, response: &MetadataResponse, all: bool, now: Mono) -> Result<()> {
        Error::check(response.error_code, None)?;
        if let Some(id) = &response.cluster_id {
            self.cluster_id = Some(id.to_string());
        }
        self.controller_id = response.controller_id;
        // A broker that has just started may know of none yet: what is known is better than nothing.
        if !response.brokers.is_empty() {
            self.nodes.clear();
        }
        for broker in &response.brokers {
            if let Ok(port) = u16::try_from(broker.port) {
                self.set_node(broker.node_id, &broker.host, port, broker.rack.as_deref());
            }
        }
        if all {
            let named = |name: &Str| {
                let mut topics = response.topics.iter();
                topics.any(|t| t.name.as_ref() == Some(name))
            };
            let gone: Vec<Str> = self.topics.keys().filter(|n| !named(n)).cloned().collect();
            for name in gone {
                self.forget(&name);
            }
            self.errors.clear();
        }
        for topic in &response.topics {
            self.apply_topic(topic);
        }
        self.updated = Some(now);
        Ok(())
    }

    fn apply_topic(&mut self, topic: &MetadataResponseTopic) {
        let name = match &topic.name {
            Some(name) => name.detached(),
            None => match self.names.get(&topic.topic_id) {
                Some(name) => name.clone(),
                None => return,
            },
        };
        let error = ErrorCode(topic.error_code);
        if !error.is_none() {
            // While a leader is being elected, what is known of the topic still holds.
            if error != ErrorCode::LEADER_NOT_AVAILABLE {
                self.forget(&name);
            }
            self.errors.insert(name, error);
            return;
        }
        self.errors.remove(&name);
        let known = self.topics.get(&name);
        if known.is_some_and(|known| known.id != topic.topic_id && !types::mutant!("WIR-08")) {
            self.forget(&name);
        }
        let known = self.topics.get(&name);
        let partitions = topic.partitions.iter().map(|partition| {
            let old = known.and_then(|t| t.partitions.get(&partition.partition_index));
            (partition.partition_index, merge(old, partition))
        });
        let fresh = Topic {
            id: topic.topic_id,
            internal: topic.is_internal,
            partitions: partitions.collect(),
            name: name.clone(),
        };
        if !fresh.id.is_zero() {
            self.names.insert(fresh.id, name.clone());
        }
        self.topics.insert(name, fresh);
    }

    fn forget(&mut self, name: &Str) {
        if let Some(topic) = self.topics.remove(name) {
            self.names.remove(&topic.id);
        }
    }

    /// Takes in a broker's address.
    pub fn set_node(&mut self, id: i32, host: &str, port: u16, rack: Option<&str>) {
        let node = Node {
            id,
            host: host.to_owned(),
            port,
            rack: rack.map(str::to_owned),
        };
        self.nodes.insert(id, node);
    }

    /// Takes in what a refusal said of the leader (KIP-951). Returns whether it was news.
    pub fn set_leader(&mut self, at: &TopicPartition, leader: i32, leader_epoch: i32) -> bool {
        if leader < 0 || !self.nodes.contains_key(&leader) {
            return false;
        }
        let Some(partition) = self
            .topics
            .get_mut(&at.topic)
            .and_then(|t| t.partitions.get_mut(&at.partition))
        else {
            return false;
        };
        if leader_epoch <= partition.leader_epoch && !mutant!("CTL-08") {
            return false;
        }
        partition.leader = leader;
        partition.leader_epoch = leader_epoch;
        partition.error = ErrorCode::NONE;
        true
    }

    /// Forgets who leads a partition, so that it is asked for anew. The epoch is kept.
    pub fn doubt(&mut self, at: &TopicPartition) {
        if let Some(topic) = self.topics.get_mut(&at.topic)
            && let Some(partition) = topic.partitions.get_mut(&at.partition)
        {
            partition.leader = -1;
        }
    }

    /// When the last answer came.
    #[must_use]
    pub fn updated(&self) -> Option<Mono> {
        self.updated
    }

    /// The brokers, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A broker.
    #[must_use]
    pub fn node(&self, id: i32) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// A topic.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// Why a topic could not be described, if it could not.
    #[must_use]
    pub fn topic_error(&self, name: &str) -> Option<ErrorCode> {
        self.errors.get(name).copied()
    }

    /// The name of the topic with this id.
    #[must_use]
    pub fn name_of(&self, id: Uuid) -> Option<&Str> {
        self.names.get(&id)
    }

    /// A partition.
    #[must_use]
    pub fn partition(&self, at: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&at.topic)?.partitions.get(&at.partition)
    }

    /// The broker that leads a partition, with the leader's epoch.
    ///
    /// # Errors
    /// [`Error::Server`] with the code that says what is missing.
    pub fn leader(&self, at: &TopicPartition) -> Result<(i32, i32)> {
        let Some(topic) = self.topics.get(&at.topic) else {
            let code = self.topic_error(&at.topic);
            return Err(Error::server(
                code.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            ));
        };
        let Some(partition) = topic.partitions.get(&at.partition) else {
            return Err(Error::server_with(
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                Some(&format!(
                    "The topic has {} partitions, and none with the number {}.",
                    topic.partitions.len(),
                    at.partition
                )),
            ));
        };
        if partition.leader < 0 || !self.nodes.contains_key(&partition.leader) {
            return Err(Error::server(ErrorCode::LEADER_NOT_AVAILABLE));
        }
        Ok((partition.leader, partition.leader_epoch))
    }
}

fn merge(old: Option<&Partition>, new: &MetadataResponsePartition) -> Partition {
    let mut partition = Partition {
        error: ErrorCode(new.error_code),
        leader: new.leader_id,
        leader_epoch: new.leader_epoch,
        replicas: new.replica_nodes.clone(),
        isr: new.isr_nodes.clone(),
        offline: new.offline_replicas.clone(),
    };
    if let Some(old) = old
        && new.leader_epoch >= 0
        && new.leader_epoch < old.leader_epoch
        && !mutant!("CTL-08/b")
    {
        partition.leader = old.leader;
        partition.leader_epoch = old.leader_epoch;
    }
    partition
}

#[cfg(test)]
mod tests {
    use protocol::metadata_response::MetadataResponseBroker;

    use super::*;

    fn answer(id: u8, leader: i32, epoch: i32) -> MetadataResponse {
        MetadataResponse {
            brokers: [1, 2]
                .map(|node_id| MetadataResponseBroker {
                    node_id,
                    host: Str::from("h"),
                    port: 9000 + node_id,
                    rack: None,
                })
                .to_vec(),
            topics: vec![MetadataResponseTopic {
                name: Some(Str::from("t")),
                topic_id: Uuid([id; 16]),
                partitions: vec![MetadataResponsePartition {
                    leader_id: leader,
                    leader_epoch: epoch,
                    ..MetadataResponsePartition::default()
                }],
                ..MetadataResponseTopic::default()
            }],
            ..MetadataResponse::default()
        }
    }

    #[test]
    fn an_older_answer_does_not_bring_back_an_older_leader() {
        let mut metadata = Metadata::default();
        let at = TopicPartition::new("t", 0);
        metadata.apply(&answer(1, 2, 5), true, Mono(1)).unwrap();
        metadata.apply(&answer(1, 1, 4), true, Mono(2)).unwrap();
        assert_eq!(metadata.leader(&at), Ok((2, 5)));
        assert!(!metadata.set_leader(&at, 1, 5), "not news");
        assert!(!metadata.set_leader(&at, 9, 6), "no such broker");
        assert!(metadata.set_leader(&at, 1, 6));
        assert_eq!(metadata.leader(&at), Ok((1, 6)));
        // Another topic of the same name starts at its own epoch.
        metadata.apply(&answer(2, 2, 0), true, Mono(3)).unwrap();
        assert_eq!(metadata.leader(&at), Ok((2, 0)));
        assert_eq!(metadata.name_of(Uuid([1; 16])), None);
        assert_eq!(metadata.name_of(Uuid([2; 16])), Some(&Str::from("t")));
    }

    #[test]
    fn what_is_missing_has_a_code() {
        let mut metadata = Metadata::default();
        let code = |m: &Metadata, p| m.leader(&TopicPartition::new("t", p)).unwrap_err().code();
        assert_eq!(
            code(&metadata, 0),
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        );
        metadata.apply(&answer(1, -1, 1), true, Mono(1)).unwrap();
        assert_eq!(code(&metadata, 0), Some(ErrorCode::LEADER_NOT_AVAILABLE));
        assert_eq!(
            code(&metadata, 1),
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        );
        let mut refused = answer(1, 1, 1);
        refused.topics[0].error_code = ErrorCode::TOPIC_AUTHORIZATION_FAILED.0;
        metadata.apply(&refused, false, Mono(1)).unwrap();
        assert_eq!(
            code(&metadata, 0),
            Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
        );
        let none = MetadataResponse::default();
        metadata.apply(&none, true, Mono(2)).unwrap();
        assert_eq!(
            code(&metadata, 0),
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        );
    }
}
