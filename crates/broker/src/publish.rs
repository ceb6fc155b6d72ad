//! Tells the node what a change of metadata means for it.
//!
//! Order matters: the shards hear of a partition before any handler can see it, so a request for it finds
//! it in the shard's queue.

use std::sync::Arc;

use env::Disk;
use env::watch;
use protocol::Str;
use tokio::sync::{mpsc, oneshot};
use types::{BrokerId, PartitionIndex, TopicPartition, Uuid};

use crate::context::shard_of;
use crate::shard::{Install, ShardMessage};
use crate::view::{OFFSETS_TOPIC, TopicView, View};

/// The way from the metadata log to the shards and the handlers.
pub(crate) struct Publisher<D: Disk> {
    pub me: BrokerId,
    pub shards: Vec<mpsc::Sender<ShardMessage<D>>>,
    pub view: watch::Sender<Arc<View>>,
}

impl<D: Disk> Publisher<D> {
    /// Publishes `new`.
    pub async fn publish(&self, new: View) {
        let old = self.view.borrow().clone();
        for topic in new.topics() {
            let before = old.topic_by_id(&topic.id);
            if before.is_some_and(|before| std::ptr::eq(before, topic)) {
                continue;
            }
            self.install(topic, before).await;
        }
        let mut deleted = Vec::new();
        for topic in old.topics() {
            if new.topic_by_id(&topic.id).is_none() {
                self.delete(topic).await;
                deleted.push((topic.name.clone(), topic.id));
            }
        }
        if !deleted.is_empty()
            && let Some(offsets) = new.topic_by_name(OFFSETS_TOPIC)
        {
            self.forget_offsets(offsets, deleted).await;
        }
        self.view.send_replace(Arc::new(new));
    }

    async fn install(&self, topic: &TopicView, before: Option<&TopicView>) {
        for (index, registration) in &topic.partitions {
            let known = before.and_then(|before| before.partitions.get(index));
            let partition = TopicPartition {
                topic_id: topic.id,
                partition: PartitionIndex(*index),
            };
            if known == Some(registration) {
                let message = ShardMessage::Configure(partition, topic.config.clone());
                self.tell(&partition, message).await;
                continue;
            }
            if !registration.replicas.contains(&self.me) {
                continue;
            }
            let install = Install {
                partition,
                topic: topic.name.clone(),
                leader: registration.leader,
                leader_epoch: registration.leader_epoch,
                partition_epoch: registration.partition_epoch,
                replicas: registration.replicas.clone(),
                isr: registration.isr.clone(),
                config: topic.config.clone(),
            };
            self.tell(&partition, ShardMessage::Install(install)).await;
        }
    }

    async fn delete(&self, topic: &TopicView) {
        for index in topic.partitions.keys() {
            let partition = TopicPartition {
                topic_id: topic.id,
                partition: PartitionIndex(*index),
            };
            self.tell(&partition, ShardMessage::Delete(partition)).await;
        }
    }

    async fn forget_offsets(&self, offsets: &TopicView, topics: Vec<(Str, Uuid)>) {
        for index in offsets.partitions.keys() {
            let partition = TopicPartition {
                topic_id: offsets.id,
                partition: PartitionIndex(*index),
            };
            let request = group::Request::DeleteTopics {
                topics: topics.clone(),
            };
            // Nobody waits for it: a coordinator that is loading forgets these offsets by expiry.
            let (reply, _) = oneshot::channel();
            self.tell(&partition, ShardMessage::Group(partition, request, reply))
                .await;
        }
    }

    async fn tell(&self, partition: &TopicPartition, message: ShardMessage<D>) {
        // A shard that is gone belongs to a node that is stopping.
        let _ = self.shards[shard_of(partition, self.shards.len())]
            .send(message)
            .await;
    }
}
