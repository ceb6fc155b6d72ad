//! The image: the replay of the metadata log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{MetadataRecord, PartitionChangeRecord, PartitionRecord, Str};
use types::{BrokerId, ClusterId, LeaderEpoch, NextOffset, Uuid};

use crate::broker::BrokerRegistration;
use crate::configs::broker::BrokerConfig;
use crate::configs::resolve::Layers;
use crate::configs::resource::{ConfigResource, ResourceType};
use crate::configs::topic::{TopicConfig, TopicConfigs};
use crate::features;
use crate::names;
use crate::topic::{PartitionRegistration, TopicImage};

/// What the metadata log says about the cluster. Its parts are shared between copies, so that a copy is
/// cheap and a change copies only the part it touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    cluster_id: ClusterId,
    /// End of the log that this is the replay of, and the epoch of its last record.
    position: (NextOffset, LeaderEpoch),
    features: Arc<BTreeMap<Str, i16>>,
    brokers: Arc<BTreeMap<BrokerId, Arc<BrokerRegistration>>>,
    topics: Arc<BTreeMap<Str, Arc<TopicImage>>>,
    topic_names: Arc<BTreeMap<Uuid, Str>>,
    /// Names that differ only in `.` and `_`, under the name they would share.
    collisions: Arc<BTreeMap<String, BTreeSet<Str>>>,
    configs: Arc<BTreeMap<ConfigResource, Arc<BTreeMap<Str, Str>>>>,
    next_producer_id: i64,
}

/// A record that cannot be applied: it contradicts the image, or this version does not know it. The image
/// is as it was, and the host must stop: what follows in the log cannot be trusted to mean what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It is about something that is not there.
    #[error("{what} does not exist")]
    Missing {
        /// What the record is about.
        what: String,
    },
    /// It was made before.
    #[error("{what} exists already")]
    Exists {
        /// What the record is about.
        what: String,
    },
    /// Something newer is there.
    #[error("{what} would go back in time")]
    Stale {
        /// What the record is about.
        what: String,
    },
    /// The record contradicts itself.
    #[error("{what}: {why}")]
    Invalid {
        /// What the record is about.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// This version does not know what to do with it.
    #[error("this version cannot apply a metadata record of type {record_type}")]
    Unsupported {
        /// The type.
        record_type: i16,
    },
}

impl Image {
    /// The image of an empty metadata log.
    #[must_use]
    pub fn new(cluster_id: impl Into<ClusterId>) -> Image {
        Image {
            cluster_id: cluster_id.into(),
            position: (NextOffset(0), LeaderEpoch::NONE),
            features: Arc::default(),
            brokers: Arc::default(),
            topics: Arc::default(),
            topic_names: Arc::default(),
            collisions: Arc::default(),
            configs: Arc::default(),
            next_producer_id: 0,
        }
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// End of the log that this is the replay of, and the epoch of its last record.
    #[must_use]
    pub fn position(&self) -> (NextOffset, LeaderEpoch) {
        self.position
    }

    /// Notes how far the log has been applied.
    ///
    /// # Panics
    /// If that is further back than before: no image goes back in time.
    pub fn advance(&mut self, end: NextOffset, epoch: LeaderEpoch) {
        assert!(
            end >= self.position.0 && epoch >= self.position.1,
            "an image goes forward only"
        );
        self.position = (end, epoch);
    }

    /// The finalised features and their levels.
    #[must_use]
    pub fn features(&self) -> &BTreeMap<Str, i16> {
        &self.features
    }

    /// The finalised level of a feature; 0 if it is not there.
    #[must_use]
    pub fn feature_level(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The registered brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values()
    }

    /// The broker of this id.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&id)
    }

    /// Whether this broker is registered, not fenced and not on its way out.
    #[must_use]
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// The topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// The topic with this id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_names.get(&id)?)
    }

    /// A topic whose name differs from this one only in `.` and `_`, if there is one; the name itself
    /// counts too.
    #[must_use]
    pub fn colliding_topic(&self, name: &str) -> Option<&Str> {
        self.collisions.get(&names::collision_key(name)?)?.first()
    }

    /// The resources that have settings.
    pub fn config_resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// The settings that a resource itself was given; empty if none.
    #[must_use]
    pub fn configs(&self, resource: &ConfigResource) -> &BTreeMap<Str, Str> {
        static NONE: BTreeMap<Str, Str> = BTreeMap::new();
        self.configs.get(resource).map_or(&NONE, |configs| configs)
    }

    /// The first producer id that is in no block yet.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// The settings of a broker: what was set at runtime over `static_configs`, its `server.properties`.
    #[must_use]
    pub fn broker_config(
        &self,
        id: BrokerId,
        static_configs: &BTreeMap<String, String>,
    ) -> BrokerConfig {
        BrokerConfig::resolve(&Layers::new(self, id, static_configs))
    }

    /// The settings of a topic as a broker sees them: the topic's own over the broker's.
    #[must_use]
    pub fn topic_config(
        &self,
        topic: &str,
        id: BrokerId,
        static_configs: &BTreeMap<String, String>,
    ) -> TopicConfig {
        TopicConfig::resolve(&Layers::new(self, id, static_configs), topic)
    }

    /// The settings of all topics, as a broker sees them: for whoever wants those of many.
    #[must_use]
    pub fn topic_configs<'a>(
        &'a self,
        id: BrokerId,
        static_configs: &'a BTreeMap<String, String>,
    ) -> TopicConfigs<'a> {
        TopicConfigs::new(Layers::new(self, id, static_configs))
    }

    /// Applies a record.
    ///
    /// # Errors
    /// See [`ImageError`]; the image is then unchanged.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ImageError> {
        match record {
            MetadataRecord::FeatureLevelRecord(r) => self.set_feature(&r.name, r.feature_level),
            MetadataRecord::RegisterBrokerRecord(r) => {
                let id = BrokerId(r.broker_id);
                let what = || format!("broker {id}");
                let registration = BrokerRegistration::from_record(r)
                    .map_err(|why| ImageError::Invalid { what: what(), why })?;
                // The same incarnation may say anew what it is, under the epoch it has.
                let is_newer = |old: &Arc<BrokerRegistration>| {
                    let is_same = old.incarnation_id == registration.incarnation_id;
                    old.epoch > registration.epoch || old.epoch == registration.epoch && !is_same
                };
                if self.broker(id).is_some_and(is_newer) {
                    return Err(ImageError::Stale { what: what() });
                }
                Arc::make_mut(&mut self.brokers).insert(id, Arc::new(registration));
                Ok(())
            }
            MetadataRecord::UnregisterBrokerRecord(r) => {
                let id = BrokerId(r.broker_id);
                self.change_broker(id, r.broker_epoch, |_| ())?;
                Arc::make_mut(&mut self.brokers).remove(&id);
                Ok(())
            }
            MetadataRecord::FenceBrokerRecord(r) => {
                self.change_broker(BrokerId(r.id), r.epoch, |broker| broker.fenced = true)
            }
            MetadataRecord::UnfenceBrokerRecord(r) => {
                self.change_broker(BrokerId(r.id), r.epoch, |broker| broker.fenced = false)
            }
            MetadataRecord::BrokerRegistrationChangeRecord(r) => {
                self.change_broker(BrokerId(r.broker_id), r.broker_epoch, |broker| {
                    // -1 and 1 turn the flag off and on; 0 leaves it.
                    if r.fenced != 0 {
                        broker.fenced = r.fenced > 0;
                    }
                    if r.in_controlled_shutdown != 0 {
                        broker.in_controlled_shutdown = r.in_controlled_shutdown > 0;
                    }
                    if !r.log_dirs.is_empty() {
                        broker.log_dirs = r.log_dirs.clone();
                    }
                    if let Some(cordoned) = &r.cordoned_log_dirs {
                        broker.cordoned_log_dirs = cordoned.clone();
                    }
                })
            }
            MetadataRecord::TopicRecord(r) => self.add_topic(r.name.detached(), r.topic_id),
            MetadataRecord::RemoveTopicRecord(r) => self.remove_topic(r.topic_id),
            MetadataRecord::PartitionRecord(r) => self.set_partition(r),
            MetadataRecord::PartitionChangeRecord(r) => self.change_partition(r),
            MetadataRecord::ConfigRecord(r) => {
                let what = || {
                    format!(
                        "the settings of resource {}:{}",
                        r.resource_type, r.resource_name
                    )
                };
                let Some(resource_type) = ResourceType::from_number(r.resource_type) else {
                    return Err(ImageError::Missing { what: what() });
                };
                let resource = ConfigResource::new(resource_type, r.resource_name.detached());
                self.set_config(resource, &r.name, r.value.as_ref());
                Ok(())
            }
            MetadataRecord::ProducerIdsRecord(r) => {
                if r.next_producer_id < self.next_producer_id {
                    return Err(ImageError::Stale {
                        what: "the next producer id".into(),
                    });
                }
                self.next_producer_id = r.next_producer_id;
                Ok(())
            }
            MetadataRecord::NoOpRecord(_) => Ok(()),
            other => Err(ImageError::Unsupported {
                record_type: other.api_key(),
            }),
        }
    }

    fn set_feature(&mut self, name: &Str, level: i16) -> Result<(), ImageError> {
        features::check(name, level).map_err(|(_, why)| ImageError::Invalid {
            what: format!("feature {name}"),
            why,
        })?;
        let features = Arc::make_mut(&mut self.features);
        if level == 0 {
            features.remove(name);
        } else {
            features.insert(name.detached(), level);
        }
        Ok(())
    }

    fn change_broker(
        &mut self,
        id: BrokerId,
        epoch: i64,
        change: impl FnOnce(&mut BrokerRegistration),
    ) -> Result<(), ImageError> {
        let what = || format!("broker {id}");
        let old = self
            .broker(id)
            .ok_or_else(|| ImageError::Missing { what: what() })?;
        if old.epoch != epoch {
            return Err(ImageError::Stale { what: what() });
        }
        let broker = Arc::make_mut(&mut self.brokers)
            .get_mut(&id)
            .expect("it was just found");
        change(Arc::make_mut(broker));
        Ok(())
    }

    fn add_topic(&mut self, name: Str, id: Uuid) -> Result<(), ImageError> {
        let what = || format!("topic {name} with id {id}");
        names::check(&name).map_err(|why| ImageError::Invalid {
            what: what(),
            why: why.to_string(),
        })?;
        if id.is_zero() || id == Uuid::METADATA_TOPIC {
            return Err(ImageError::Invalid {
                what: what(),
                why: "its id is reserved".into(),
            });
        }
        if self.topics.contains_key(&name) || self.topic_names.contains_key(&id) {
            return Err(ImageError::Exists { what: what() });
        }
        if let Some(key) = names::collision_key(&name) {
            Arc::make_mut(&mut self.collisions)
                .entry(key)
                .or_default()
                .insert(name.clone());
        }
        Arc::make_mut(&mut self.topic_names).insert(id, name.clone());
        let topic = TopicImage {
            name: name.clone(),
            id,
            partitions: BTreeMap::new(),
        };
        Arc::make_mut(&mut self.topics).insert(name, Arc::new(topic));
        Ok(())
    }

    /// Removes a topic, and with it its settings.
    fn remove_topic(&mut self, id: Uuid) -> Result<(), ImageError> {
        let Some(name) = self.topic_names.get(&id).cloned() else {
            return Err(ImageError::Missing {
                what: format!("topic with id {id}"),
            });
        };
        Arc::make_mut(&mut self.topic_names).remove(&id);
        Arc::make_mut(&mut self.topics).remove(&name);
        if let Some(key) = names::collision_key(&name) {
            let collisions = Arc::make_mut(&mut self.collisions);
            if let Some(alike) = collisions.get_mut(&key) {
                alike.remove(&name);
                if alike.is_empty() {
                    collisions.remove(&key);
                }
            }
        }
        let resource = ConfigResource::new(ResourceType::Topic, name);
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
        }
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Option<&mut TopicImage> {
        let name = self.topic_names.get(&id)?;
        Arc::make_mut(&mut self.topics)
            .get_mut(name)
            .map(Arc::make_mut)
    }

    /// A partition's record makes it, or states anew where it stands.
    fn set_partition(&mut self, record: &PartitionRecord) -> Result<(), ImageError> {
        let what = || format!("partition {}:{}", record.topic_id, record.partition_id);
        let new = PartitionRegistration::from_record(record)
            .map_err(|why| ImageError::Invalid { what: what(), why })?;
        let topic = self.topic_by_id(record.topic_id);
        let topic = topic.ok_or_else(|| ImageError::Missing { what: what() })?;
        match topic.partition(record.partition_id) {
            Some(old)
                if new.partition_epoch < old.partition_epoch
                    || new.leader_epoch < old.leader_epoch =>
            {
                return Err(ImageError::Stale { what: what() });
            }
            None if record.partition_id < 0 => {
                return Err(ImageError::Invalid {
                    what: what(),
                    why: "its number is negative".into(),
                });
            }
            _ => {}
        }
        let topic = self.topic_mut(record.topic_id).expect("it was just found");
        topic.partitions.insert(record.partition_id, new);
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ImageError> {
        let what = || format!("partition {}:{}", record.topic_id, record.partition_id);
        let old = (self.topic_by_id(record.topic_id))
            .and_then(|topic| topic.partition(record.partition_id))
            .ok_or_else(|| ImageError::Missing { what: what() })?;
        let new = old
            .merge(record)
            .map_err(|why| ImageError::Invalid { what: what(), why })?;
        let topic = self.topic_mut(record.topic_id).expect("it was just found");
        topic.partitions.insert(record.partition_id, new);
        Ok(())
    }

    fn set_config(&mut self, resource: ConfigResource, name: &Str, value: Option<&Str>) {
        let configs = Arc::make_mut(&mut self.configs);
        match value {
            Some(value) => {
                let of_resource = Arc::make_mut(configs.entry(resource).or_default());
                of_resource.insert(name.detached(), value.detached());
            }
            None => {
                if let Some(of_resource) = configs.get_mut(&resource) {
                    Arc::make_mut(of_resource).remove(name);
                    if of_resource.is_empty() {
                        configs.remove(&resource);
                    }
                }
            }
        }
    }

    /// The records that make this image out of an empty one, in an order that can be applied: what a
    /// snapshot holds.
    #[must_use]
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records: Vec<MetadataRecord> = Vec::new();
        for (name, level) in self.features.iter() {
            let record = protocol::FeatureLevelRecord {
                name: name.clone(),
                feature_level: *level,
            };
            records.push(record.into());
        }
        records.extend(self.brokers().map(|broker| broker.to_record().into()));
        for topic in self.topics() {
            let record = protocol::TopicRecord {
                name: topic.name.clone(),
                topic_id: topic.id,
            };
            records.push(record.into());
            for (index, partition) in &topic.partitions {
                records.push(partition.to_record(topic.id, *index).into());
            }
        }
        for (resource, configs) in self.configs.iter() {
            for (name, value) in configs.iter() {
                let record = protocol::ConfigRecord {
                    resource_type: resource.resource_type.number(),
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                };
                records.push(record.into());
            }
        }
        if self.next_producer_id > 0 {
            let record = protocol::ProducerIdsRecord {
                next_producer_id: self.next_producer_id,
                ..Default::default()
            };
            records.push(record.into());
        }
        records
    }

    /// Shared parts, for [`crate::Delta`].
    pub(crate) fn shared(&self) -> Shared<'_> {
        Shared {
            topics: &self.topics,
            configs: &self.configs,
            brokers: &self.brokers,
        }
    }
}

/// The parts of an image that a delta compares.
pub(crate) struct Shared<'a> {
    pub topics: &'a Arc<BTreeMap<Str, Arc<TopicImage>>>,
    pub configs: &'a Arc<BTreeMap<ConfigResource, Arc<BTreeMap<Str, Str>>>>,
    pub brokers: &'a Arc<BTreeMap<BrokerId, Arc<BrokerRegistration>>>,
}
