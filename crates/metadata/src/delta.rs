//! What changed between two images: what the owners of partitions and settings must be told.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{BrokerId, PartitionIndex, TopicPartition, Uuid};

use crate::configs::resource::ConfigResource;
use crate::image::Image;
use crate::topic::{PartitionRegistration, TopicImage};

/// A partition that is new or different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChange {
    /// The topic it belongs to, as it is now.
    pub topic: Arc<TopicImage>,
    /// Which partition.
    pub partition: TopicPartition,
    /// How it was; `None` if it is new.
    pub before: Option<PartitionRegistration>,
    /// How it is.
    pub after: PartitionRegistration,
}

/// What changed from one image to a later one. A topic deleted and made again under its name is both
/// deleted and created: topics are told apart by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Topics that are new, by name.
    pub topics_created: Vec<Arc<TopicImage>>,
    /// Topics that are gone, by name, as they were.
    pub topics_deleted: Vec<Arc<TopicImage>>,
    /// Partitions that are new or different, those of new topics included.
    pub partitions_changed: Vec<PartitionChange>,
    /// Resources whose settings are different.
    pub configs_changed: Vec<ConfigResource>,
    /// Brokers that were registered, changed or removed.
    pub brokers_changed: Vec<BrokerId>,
}

impl Delta {
    /// What changed from `before` to `after`. Parts that the two share cost nothing to compare.
    #[must_use]
    pub fn between(before: &Image, after: &Image) -> Delta {
        let (old, new) = (before.shared(), after.shared());
        let mut delta = Delta {
            configs_changed: changed(old.configs, new.configs),
            brokers_changed: changed(old.brokers, new.brokers),
            ..Delta::default()
        };
        for name in changed(old.topics, new.topics) {
            let (old, new) = (old.topics.get(&name), new.topics.get(&name));
            let lives_on = old.zip(new).is_some_and(|(old, new)| old.id == new.id);
            if let Some(old) = old
                && !lives_on
            {
                delta.topics_deleted.push(old.clone());
            }
            if let Some(new) = new {
                if !lives_on {
                    delta.topics_created.push(new.clone());
                }
                delta.partitions(old.filter(|_| lives_on), new);
            }
        }
        delta
    }

    fn partitions(&mut self, old: Option<&Arc<TopicImage>>, new: &Arc<TopicImage>) {
        for (index, after) in &new.partitions {
            let before = old.and_then(|old| old.partitions.get(index));
            if before != Some(after) {
                self.partitions_changed.push(PartitionChange {
                    topic: new.clone(),
                    partition: topic_partition(new.id, *index),
                    before: before.cloned(),
                    after: after.clone(),
                });
            }
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Delta::default()
    }
}

fn topic_partition(topic_id: Uuid, index: i32) -> TopicPartition {
    TopicPartition {
        topic_id,
        partition: PartitionIndex(index),
    }
}

/// The keys whose values differ, in order.
fn changed<K: Ord + Clone, V: PartialEq>(
    old: &Arc<BTreeMap<K, Arc<V>>>,
    new: &Arc<BTreeMap<K, Arc<V>>>,
) -> Vec<K> {
    if Arc::ptr_eq(old, new) {
        return Vec::new();
    }
    let same = |a: &Arc<V>, b: &Arc<V>| Arc::ptr_eq(a, b) || a == b;
    let mut keys: Vec<K> = (old.iter())
        .filter(|(key, value)| !new.get(*key).is_some_and(|now| same(value, now)))
        .map(|(key, _)| key.clone())
        .collect();
    keys.extend(new.keys().filter(|key| !old.contains_key(*key)).cloned());
    keys.sort_unstable();
    keys
}
