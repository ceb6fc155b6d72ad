//! The cluster as handlers look at it: the metadata image, with each topic's settings resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use metadata::{BrokerConfig, Image, PartitionRegistration, TopicConfig};
use protocol::Str;
use types::{BrokerId, NextOffset, Uuid};

/// A topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicView {
    pub id: Uuid,
    pub name: Str,
    pub is_internal: bool,
    pub partitions: BTreeMap<i32, PartitionRegistration>,
    pub config: Arc<TopicConfig>,
}

/// A snapshot of the cluster. Never changes; a newer one replaces it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// What the metadata log says.
    pub image: Arc<Image>,
    /// End of the metadata log that this is the replay of.
    pub metadata_end: NextOffset,
    /// This broker's settings.
    pub broker_config: Arc<BrokerConfig>,
    by_name: BTreeMap<Str, Arc<TopicView>>,
    by_id: BTreeMap<Uuid, Arc<TopicView>>,
}

pub(crate) use metadata::names::{OFFSETS_TOPIC, is_internal};

impl TopicView {
    /// Whether the topic has a partition of this number.
    pub fn has_partition(&self, index: i32) -> bool {
        self.partitions.contains_key(&index)
    }
}

impl View {
    /// The view that broker `me` has of `image`. Topics that are as they were in `before` are shared
    /// with it.
    pub fn new(
        image: Arc<Image>,
        metadata_end: NextOffset,
        me: BrokerId,
        configs: &BTreeMap<String, String>,
        before: Option<&View>,
    ) -> View {
        let mut by_name = BTreeMap::new();
        let mut by_id = BTreeMap::new();
        let topic_configs = image.topic_configs(me, configs);
        for topic in image.topics() {
            let config = topic_configs.of(&topic.name);
            let old = before.and_then(|before| before.by_id.get(&topic.id));
            let topic_view = match old {
                Some(old) if old.partitions == topic.partitions && old.config == config => {
                    old.clone()
                }
                _ => Arc::new(TopicView {
                    id: topic.id,
                    name: topic.name.clone(),
                    is_internal: is_internal(&topic.name),
                    partitions: topic.partitions.clone(),
                    config,
                }),
            };
            by_name.insert(topic_view.name.clone(), topic_view.clone());
            by_id.insert(topic_view.id, topic_view);
        }
        let broker_config = Arc::new(image.broker_config(me, configs));
        View {
            image,
            metadata_end,
            broker_config,
            by_name,
            by_id,
        }
    }

    /// The topic of this name.
    pub fn topic_by_name(&self, name: &str) -> Option<&TopicView> {
        self.by_name.get(name).map(|topic| &**topic)
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: &Uuid) -> Option<&TopicView> {
        self.by_id.get(id).map(|topic| &**topic)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = &TopicView> {
        self.by_name.values().map(|topic| &**topic)
    }
}
