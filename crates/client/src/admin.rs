//! Administration: topics, configs, records, groups and the cluster itself.
//!
//! Each call has the client's overall timeout. Calls that only read, or that can be done twice with
//! the same result, are repeated within it; calls that cannot (creating, deleting) are repeated only
//! while it is certain that nothing was done, and else report what is unknown ([`Error::outcome`]).
//! Results come per item: one topic may be created while another is refused.

use std::collections::BTreeMap;

use env::Env;
use protocol::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use protocol::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use protocol::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::delete_topics_request::DeleteTopicState;
use protocol::describe_configs_request::DescribeConfigsResource;
use protocol::describe_log_dirs_request::DescribableLogDirTopic;
use protocol::describe_producers_request::TopicRequest;
use protocol::elect_leaders_request::TopicPartitions;
use protocol::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    MetadataResponse, Str,
};
use types::{ErrorCode, Mono, Offset, Uuid};

use crate::cluster::{Cluster, PerPartition, Repeat, Topics, metadata_request};
use crate::connection::Versions;
use crate::metadata::{Node, Topic, TopicPartition, by_topic};
use crate::offsets::{FoundOffset, Isolation, OffsetSpec};
use crate::options::ClientOptions;
use crate::{Error, Result};

pub use protocol::describe_configs_response::DescribeConfigsResourceResult as ConfigEntry;
pub use protocol::describe_log_dirs_response::DescribeLogDirsResult as LogDir;
pub use protocol::describe_producers_response::ProducerState;

/// Asks a cluster for its state and changes it.
#[derive(Debug)]
pub struct Admin<E: Env> {
    cluster: Cluster<E>,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: Str,
    /// The number of partitions; `None` for the cluster's default.
    pub partitions: Option<i32>,
    /// The number of copies; `None` for the cluster's default.
    pub replication_factor: Option<i16>,
    /// The brokers of each partition from 0 on, the preferred leader first; empty to let the cluster
    /// choose. Excludes the two above.
    pub assignments: Vec<Vec<i32>>,
    /// Configs that differ from the defaults.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the cluster's defaults.
    #[must_use]
    pub fn new(name: impl Into<Str>) -> NewTopic {
        NewTopic {
            name: name.into(),
            partitions: None,
            replication_factor: None,
            assignments: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// The same, with this many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> NewTopic {
        self.partitions = Some(partitions);
        self
    }

    /// The same, with this many copies.
    #[must_use]
    pub fn replication_factor(mut self, factor: i16) -> NewTopic {
        self.replication_factor = Some(factor);
        self
    }

    /// The same, with a config.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> NewTopic {
        self.configs.insert(name.into(), value.into());
        self
    }
}

/// A topic that was created, as far as the broker told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; zero if the broker is too old to tell.
    pub id: Uuid,
    /// Its partitions; -1 if the broker did not tell.
    pub partitions: i32,
    /// Its copies; -1 if the broker did not tell.
    pub replication_factor: i16,
}

/// A topic, by either of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By name.
    Name(Str),
    /// By id.
    Id(Uuid),
}

/// What a config belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// A topic.
    Topic = 2,
    /// A broker by id, or all by the empty name.
    Broker = 4,
    /// The log levels of a broker.
    BrokerLogger = 8,
    /// A client metrics subscription.
    ClientMetrics = 16,
    /// A consumer group.
    Group = 32,
}

/// One thing that has configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name; empty for the defaults of its kind.
    pub name: Str,
}

impl Resource {
    /// A topic.
    #[must_use]
    pub fn topic(name: impl Into<Str>) -> Resource {
        Resource {
            kind: ResourceKind::Topic,
            name: name.into(),
        }
    }

    /// A broker.
    #[must_use]
    pub fn broker(id: i32) -> Resource {
        Resource {
            kind: ResourceKind::Broker,
            name: Str::from(id.to_string()),
        }
    }

    /// The broker that must answer for this resource, if not any.
    fn node(&self) -> Option<i32> {
        match self.kind {
            ResourceKind::Broker | ResourceKind::BrokerLogger => self.name.parse().ok(),
            _ => None,
        }
    }
}

/// One change of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets it.
    Set(String),
    /// Returns to the default.
    Delete,
    /// Adds to a list.
    Append(String),
    /// Removes from a list.
    Subtract(String),
}

/// A cluster, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: Option<String>,
    /// The broker to which clients send what is for the controller; -1 if unknown.
    pub controller_id: i32,
    /// The brokers and whether each is fenced.
    pub brokers: Vec<(Node, bool)>,
}

impl<E: Env> Admin<E> {
    /// An admin. Connects with the first call.
    #[must_use]
    pub fn new(env: &E, options: ClientOptions) -> Admin<E> {
        Admin {
            cluster: Cluster::new(env, options),
        }
    }

    /// The cluster, for requests that have no method here.
    pub fn cluster(&mut self) -> &mut Cluster<E> {
        &mut self.cluster
    }

    fn deadline(&self) -> Mono {
        self.cluster.deadline()
    }

    /// The time that the broker may take, as requests carry it.
    fn timeout_ms(&self) -> i32 {
        let timeout = self.cluster.options().request_timeout;
        i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// What some broker supports: APIs with their versions, and finalized features.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn api_versions(&mut self) -> Result<Versions> {
        let deadline = self.deadline();
        Ok(self.cluster.any(deadline).await?.versions().clone())
    }

    /// Brokers and controller.
    ///
    /// # Errors
    /// No broker answers, or it refuses.
    pub async fn describe_cluster(&mut self, include_fenced: bool) -> Result<ClusterDescription> {
        let deadline = self.deadline();
        let build = |version| DescribeClusterRequest {
            include_fenced_brokers: include_fenced && version >= 2,
            ..DescribeClusterRequest::default()
        };
        let check = |r: &protocol::DescribeClusterResponse| {
            Error::check(r.error_code, r.error_message.as_deref())
        };
        let answer = self
            .cluster
            .call_any(Repeat::Always, deadline, build, check)
            .await?;
        let broker = |b: &protocol::describe_cluster_response::DescribeClusterBroker| {
            let node = Node {
                id: b.broker_id,
                host: b.host.to_string(),
                port: u16::try_from(b.port).unwrap_or(0),
                rack: b.rack.as_ref().map(ToString::to_string),
            };
            (node, b.is_fenced)
        };
        Ok(ClusterDescription {
            cluster_id: Some(answer.cluster_id.to_string()),
            controller_id: answer.controller_id,
            brokers: answer.brokers.iter().map(broker).collect(),
        })
    }

    /// Every topic, by name.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn list_topics(&mut self) -> Result<Vec<Topic>> {
        let deadline = self.deadline();
        self.cluster.refresh_until(Topics::All, deadline).await?;
        Ok(self.cluster.metadata().topics().cloned().collect())
    }

    /// The topics named, each described or refused. A missing topic is not created.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn describe_topics(&mut self, names: &[Str]) -> Result<Vec<(Str, Result<Topic>)>> {
        let deadline = self.deadline();
        let topics = Topics::Named(names);
        self.cluster.refresh_until(topics, deadline).await?;
        let metadata = self.cluster.metadata();
        let describe = |name: &Str| {
            let topic = match (metadata.topic(name), metadata.topic_error(name)) {
                (Some(topic), None) => Ok(topic.clone()),
                (_, code) => Err(Error::server(
                    code.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                )),
            };
            (name.clone(), topic)
        };
        Ok(names.iter().map(describe).collect())
    }

    /// A raw metadata answer about every topic, as the broker sent it.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn metadata(&mut self) -> Result<MetadataResponse> {
        let deadline = self.deadline();
        let build = |version| metadata_request(Topics::All, false, version);
        let check = |r: &MetadataResponse| Error::check(r.error_code, None);
        self.cluster
            .call_any(Repeat::Always, deadline, build, check)
            .await
    }

    /// Creates topics, or only says whether it could.
    ///
    /// # Errors
    /// No broker answers. Refusals are in the items.
    pub async fn create_topics(
        &mut self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<(Str, Result<CreatedTopic>)>> {
        let deadline = self.deadline();
        let timeout_ms = self.timeout_ms();
        let topics: Vec<CreatableTopic> = topics.iter().map(creatable).collect();
        let build = |_| CreateTopicsRequest {
            topics: topics.clone(),
            timeout_ms,
            validate_only,
        };
        let controller = |r: &protocol::CreateTopicsResponse| {
            controller_moved(r.topics.iter().map(|t| t.error_code))
        };
        let answer = self
            .cluster
            .call_any(Repeat::WhenNotDone, deadline, build, controller)
            .await?;
        let result = |t: &protocol::create_topics_response::CreatableTopicResult| {
            let created = CreatedTopic {
                id: t.topic_id,
                partitions: t.num_partitions,
                replication_factor: t.replication_factor,
            };
            let checked = Error::check(t.error_code, t.error_message.as_deref());
            (t.name.detached(), checked.map(|()| created))
        };
        Ok(answer.topics.iter().map(result).collect())
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// No broker answers, or it is too old to delete by id. Refusals are in the items.
    pub async fn delete_topics(
        &mut self,
        topics: &[TopicRef],
    ) -> Result<Vec<(TopicRef, Result<()>)>> {
        let deadline = self.deadline();
        let timeout_ms = self.timeout_ms();
        let state = |topic: &TopicRef| match topic {
            TopicRef::Name(name) => DeleteTopicState {
                name: Some(name.clone()),
                topic_id: Uuid::ZERO,
            },
            TopicRef::Id(topic_id) => DeleteTopicState {
                name: None,
                topic_id: *topic_id,
            },
        };
        let by_id = topics.iter().any(|t| matches!(t, TopicRef::Id(_)));
        if by_id {
            let connection = self.cluster.any(deadline).await?;
            connection.version::<DeleteTopicsRequest>(6, i16::MAX)?;
        }
        let names: Vec<Str> = topics
            .iter()
            .filter_map(|topic| match topic {
                TopicRef::Name(name) => Some(name.clone()),
                TopicRef::Id(_) => None,
            })
            .collect();
        let build = |version| {
            let mut request = DeleteTopicsRequest {
                timeout_ms,
                ..DeleteTopicsRequest::default()
            };
            if version >= 6 {
                request.topics = topics.iter().map(state).collect();
            } else {
                request.topic_names = names.clone();
            }
            request
        };
        let check = |r: &protocol::DeleteTopicsResponse| {
            controller_moved(r.responses.iter().map(|t| t.error_code))
        };
        let answer = self
            .cluster
            .call_any(Repeat::WhenNotDone, deadline, build, check)
            .await?;
        let result = |t: &protocol::delete_topics_response::DeletableTopicResult| {
            let asked_by_id = topics.contains(&TopicRef::Id(t.topic_id));
            let topic = match &t.name {
                Some(name) if !asked_by_id => TopicRef::Name(name.detached()),
                _ => TopicRef::Id(t.topic_id),
            };
            (
                topic,
                Error::check(t.error_code, t.error_message.as_deref()),
            )
        };
        Ok(answer.responses.iter().map(result).collect())
    }

    /// Raises the number of partitions of a topic to `count`. `assignments` names the brokers of each
    /// new partition; empty lets the cluster choose.
    ///
    /// # Errors
    /// No broker answers, or it refuses.
    pub async fn create_partitions(
        &mut self,
        topic: &Str,
        count: i32,
        assignments: &[Vec<i32>],
        validate_only: bool,
    ) -> Result<()> {
        let deadline = self.deadline();
        let timeout_ms = self.timeout_ms();
        let assignment = |brokers: &Vec<i32>| CreatePartitionsAssignment {
            broker_ids: brokers.clone(),
        };
        let build = |_| CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic.clone(),
                count,
                assignments: (!assignments.is_empty())
                    .then(|| assignments.iter().map(assignment).collect()),
            }],
            timeout_ms,
            validate_only,
        };
        let check = |r: &protocol::CreatePartitionsResponse| match r.results.first() {
            Some(result) => Error::check(result.error_code, result.error_message.as_deref()),
            None => Err(Error::protocol("the broker", "it left out the topic")),
        };
        let call = self
            .cluster
            .call_any(Repeat::WhenNotDone, deadline, build, check);
        call.await.map(|_| ())
    }

    /// The configs of resources: all, or those named in `keys`.
    ///
    /// # Errors
    /// A broker that must answer does not. Refusals are in the items.
    pub async fn describe_configs(
        &mut self,
        resources: &[Resource],
        keys: Option<&[Str]>,
        include_synonyms: bool,
        include_documentation: bool,
    ) -> Result<Vec<(Resource, Result<Vec<ConfigEntry>>)>> {
        let mut described = Vec::new();
        for (node, resources) in self.by_node(resources.iter().cloned()).await? {
            let deadline = self.deadline();
            let build = |version| DescribeConfigsRequest {
                resources: resources
                    .iter()
                    .map(|resource| DescribeConfigsResource {
                        resource_type: resource.kind as i8,
                        resource_name: resource.name.clone(),
                        configuration_keys: keys.map(<[Str]>::to_vec),
                    })
                    .collect(),
                include_synonyms,
                include_documentation: include_documentation && version >= 3,
            };
            let check = |_: &protocol::DescribeConfigsResponse| Ok(());
            let answer = match node {
                Some(node) => {
                    let call = self
                        .cluster
                        .call_node(node, Repeat::Always, deadline, build, check);
                    call.await?
                }
                None => {
                    let call = self
                        .cluster
                        .call_any(Repeat::Always, deadline, build, check);
                    call.await?
                }
            };
            for result in answer.results {
                let asked = resources.iter().find(|r| {
                    r.kind as i8 == result.resource_type && r.name == result.resource_name
                });
                let Some(resource) = asked else { continue };
                let checked = Error::check(result.error_code, result.error_message.as_deref());
                described.push((resource.clone(), checked.map(|()| result.configs)));
            }
        }
        Ok(described)
    }

    /// Changes configs one by one (KIP-339).
    ///
    /// # Errors
    /// A broker that must answer does not. Refusals are in the items.
    pub async fn alter_configs(
        &mut self,
        changes: &[(Resource, Vec<(String, ConfigChange)>)],
        validate_only: bool,
    ) -> Result<Vec<(Resource, Result<()>)>> {
        let mut altered = Vec::new();
        let resources = changes.iter().map(|(resource, _)| resource.clone());
        for (node, resources) in self.by_node(resources).await? {
            let deadline = self.deadline();
            let wanted: Vec<AlterConfigsResource> = changes
                .iter()
                .filter(|(resource, _)| resources.contains(resource))
                .map(|(resource, changes)| AlterConfigsResource {
                    resource_type: resource.kind as i8,
                    resource_name: resource.name.clone(),
                    configs: changes.iter().map(alterable).collect(),
                })
                .collect();
            let build = |_| IncrementalAlterConfigsRequest {
                resources: wanted.clone(),
                validate_only,
            };
            // Appending twice is appending once: a list holds a value at most once.
            let repeat = Repeat::Always;
            let check = |r: &protocol::IncrementalAlterConfigsResponse| {
                controller_moved(r.responses.iter().map(|t| t.error_code))
            };
            let answer = match node {
                Some(node) => {
                    let call = self.cluster.call_node(node, repeat, deadline, build, check);
                    call.await?
                }
                None => {
                    let call = self.cluster.call_any(repeat, deadline, build, check);
                    call.await?
                }
            };
            for result in answer.responses {
                let asked = resources.iter().find(|r| {
                    r.kind as i8 == result.resource_type && r.name == result.resource_name
                });
                let Some(resource) = asked else { continue };
                let checked = Error::check(result.error_code, result.error_message.as_deref());
                altered.push((resource.clone(), checked));
            }
        }
        Ok(altered)
    }

    /// Resources by the broker that must answer for them.
    async fn by_node(
        &mut self,
        resources: impl Iterator<Item = Resource>,
    ) -> Result<BTreeMap<Option<i32>, Vec<Resource>>> {
        let mut nodes: BTreeMap<Option<i32>, Vec<Resource>> = BTreeMap::new();
        for resource in resources {
            nodes.entry(resource.node()).or_default().push(resource);
        }
        let unknown =
            |id: &Option<i32>| id.is_some_and(|id| self.cluster.metadata().node(id).is_none());
        if nodes.keys().any(unknown) {
            let deadline = self.deadline();
            self.cluster.refresh_until(Topics::None, deadline).await?;
        }
        Ok(nodes)
    }

    /// Deletes the records before an offset; `None` means all up to the high watermark. Returns the
    /// first offset that is left.
    pub async fn delete_records(
        &mut self,
        before: BTreeMap<TopicPartition, Option<Offset>>,
    ) -> BTreeMap<TopicPartition, Result<Offset>> {
        let deadline = self.deadline();
        let timeout_ms = self.timeout_ms();
        let how = PerPartition {
            version_min: 0,
            repeat: Repeat::Always,
            build: |_, items| DeleteRecordsRequest {
                timeout_ms,
                topics: by_topic(items)
                    .into_iter()
                    .map(|(name, partitions)| DeleteRecordsTopic {
                        name,
                        partitions: partitions
                            .into_iter()
                            .map(|(partition_index, before): (i32, Option<Offset>)| {
                                DeleteRecordsPartition {
                                    partition_index,
                                    offset: before.map_or(-1, |offset| offset.0),
                                }
                            })
                            .collect(),
                    })
                    .collect(),
            },
            split: |response: protocol::DeleteRecordsResponse| {
                let mut results = Vec::new();
                for topic in response.topics {
                    for p in topic.partitions {
                        let at = TopicPartition::new(topic.name.detached(), p.partition_index);
                        let checked = Error::check(p.error_code, None);
                        results.push((at, checked.map(|()| Offset(p.low_watermark))));
                    }
                }
                results
            },
        };
        self.cluster.per_partition(before, deadline, how).await
    }

    /// Looks up a place in each partition.
    pub async fn list_offsets(
        &mut self,
        places: BTreeMap<TopicPartition, OffsetSpec>,
        isolation: Isolation,
    ) -> BTreeMap<TopicPartition, Result<FoundOffset>> {
        let deadline = self.deadline();
        self.cluster.list_offsets(places, isolation, deadline).await
    }

    /// The producers that each partition's leader remembers.
    pub async fn describe_producers(
        &mut self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> BTreeMap<TopicPartition, Result<Vec<ProducerState>>> {
        let deadline = self.deadline();
        let how = PerPartition {
            version_min: 0,
            repeat: Repeat::Always,
            build: |_, items| DescribeProducersRequest {
                topics: by_topic(items)
                    .into_iter()
                    .map(|(name, partitions)| TopicRequest {
                        name,
                        partition_indexes: partitions.iter().map(|(p, ())| *p).collect(),
                    })
                    .collect(),
            },
            split: |response: protocol::DescribeProducersResponse| {
                let mut results = Vec::new();
                for topic in response.topics {
                    for p in topic.partitions {
                        let at = TopicPartition::new(topic.name.detached(), p.partition_index);
                        let checked = Error::check(p.error_code, p.error_message.as_deref());
                        results.push((at, checked.map(|()| p.active_producers)));
                    }
                }
                results
            },
        };
        let items = partitions.into_iter().map(|at| (at, ())).collect();
        self.cluster.per_partition(items, deadline, how).await
    }

    /// The log directories of brokers, with the size of each replica: of `topics`, or of all. With no
    /// broker named, of every broker.
    ///
    /// # Errors
    /// No broker tells which brokers there are.
    pub async fn describe_log_dirs(
        &mut self,
        brokers: &[i32],
        topics: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<i32, Result<Vec<LogDir>>>> {
        let deadline = self.deadline();
        self.cluster.refresh_until(Topics::None, deadline).await?;
        let brokers = if brokers.is_empty() {
            self.cluster.metadata().nodes().map(|n| n.id).collect()
        } else {
            brokers.to_vec()
        };
        let topics = topics.map(|partitions| {
            by_topic(partitions.iter().map(|at| (at.clone(), ())))
                .into_iter()
                .map(|(topic, partitions)| DescribableLogDirTopic {
                    topic,
                    partitions: partitions.into_iter().map(|(p, ())| p).collect(),
                })
                .collect::<Vec<_>>()
        });
        let mut described = BTreeMap::new();
        for broker in brokers {
            let build = |_| DescribeLogDirsRequest {
                topics: topics.clone(),
            };
            let check = |r: &protocol::DescribeLogDirsResponse| Error::check(r.error_code, None);
            let call = self
                .cluster
                .call_node(broker, Repeat::Always, deadline, build, check);
            described.insert(broker, call.await.map(|answer| answer.results));
        }
        Ok(described)
    }

    /// Has leaders elected: the preferred ones, or with `unclean` any that is left. `None` means all
    /// partitions.
    ///
    /// # Errors
    /// No broker answers, or it refuses as a whole. ELECTION_NOT_NEEDED is a refusal of its item.
    pub async fn elect_leaders(
        &mut self,
        partitions: Option<&[TopicPartition]>,
        unclean: bool,
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let deadline = self.deadline();
        let timeout_ms = self.timeout_ms();
        let topics = partitions.map(|partitions| {
            by_topic(partitions.iter().map(|at| (at.clone(), ())))
                .into_iter()
                .map(|(topic, partitions)| TopicPartitions {
                    topic,
                    partitions: partitions.into_iter().map(|(p, ())| p).collect(),
                })
                .collect::<Vec<_>>()
        });
        if unclean {
            let connection = self.cluster.any(deadline).await?;
            connection.version::<ElectLeadersRequest>(1, i16::MAX)?;
        }
        let build = |_| ElectLeadersRequest {
            election_type: i8::from(unclean),
            topic_partitions: topics.clone(),
            timeout_ms,
        };
        let check = |r: &protocol::ElectLeadersResponse| Error::check(r.error_code, None);
        let answer = self
            .cluster
            .call_any(Repeat::WhenNotDone, deadline, build, check)
            .await?;
        let mut results = BTreeMap::new();
        for topic in answer.replica_election_results {
            for p in topic.partition_result {
                let at = TopicPartition::new(topic.topic.detached(), p.partition_id);
                let checked = Error::check(p.error_code, p.error_message.as_deref());
                results.insert(at, checked);
            }
        }
        Ok(results)
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignments = topic.assignments.iter().zip(0..);
    let manual = !topic.assignments.is_empty();
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.partitions.filter(|_| !manual).unwrap_or(-1),
        replication_factor: topic.replication_factor.filter(|_| !manual).unwrap_or(-1),
        assignments: assignments
            .map(|(brokers, partition_index)| CreatableReplicaAssignment {
                partition_index,
                broker_ids: brokers.clone(),
            })
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: Str::from(name),
                value: Some(Str::from(value)),
            })
            .collect(),
    }
}

fn alterable((name, change): &(String, ConfigChange)) -> AlterableConfig {
    let (config_operation, value) = match change {
        ConfigChange::Set(value) => (0, Some(Str::from(value))),
        ConfigChange::Delete => (1, None),
        ConfigChange::Append(value) => (2, Some(Str::from(value))),
        ConfigChange::Subtract(value) => (3, Some(Str::from(value))),
    };
    AlterableConfig {
        name: Str::from(name),
        config_operation,
        value,
    }
}

/// An error if the request reached a broker that could not reach the controller: nothing was done.
fn controller_moved(mut codes: impl Iterator<Item = i16>) -> Result<()> {
    match codes.find(|code| ErrorCode(*code) == ErrorCode::NOT_CONTROLLER) {
        Some(code) => Error::check(code, None),
        None => Ok(()),
    }
}
