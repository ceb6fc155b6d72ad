//! What every handler of a node may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use env::Env;
use env::watch;
use tokio::sync::{Semaphore, mpsc};
use types::TopicPartition;

use crate::config::BrokerConfig;
use crate::controller_host::ControllerHandle;
use crate::memory::Memory;
use crate::producer_ids::ProducerIds;
use crate::rejections::Rejections;
use crate::shard::ShardMessage;
use crate::stopping::Stopping;
use crate::view::View;

/// A node, as its handlers see it. Immutable but for counters and channels.
pub(crate) struct Context<E: Env> {
    pub env: E,
    pub config: BrokerConfig,
    /// The cluster as of the last committed metadata record that this node has applied.
    pub view: watch::Receiver<Arc<View>>,
    pub shards: Vec<mpsc::Sender<ShardMessage<E::Disk>>>,
    pub controller: ControllerHandle,
    pub producer_ids: ProducerIds,
    pub connection_slots: Arc<Semaphore>,
    pub fetch_session_slots: Arc<Semaphore>,
    pub request_memory: Memory,
    /// Records that were read for answers and have not left.
    pub answer_memory: Memory,
    /// What was refused, by reason.
    pub rejections: Arc<Rejections>,
    /// Whether the disk has too little room left for produce.
    pub disk_low: watch::Receiver<bool>,
    pub stopping: Stopping,
    /// Ports that the listeners are bound to, in the order of the configuration.
    pub bound_ports: Vec<u16>,
    pub connection_ids: AtomicU64,
}

impl<E: Env> Context<E> {
    /// The cluster, now.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The number of the next connection.
    pub fn next_connection_id(&self) -> u64 {
        self.connection_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Which shard owns a partition.
    pub fn shard_of(&self, partition: &TopicPartition) -> usize {
        shard_of(partition, self.shards.len())
    }

    /// Splits `items` by the shard that owns each one's partition; shards without items are left out.
    pub fn by_shard<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        partition: impl Fn(&T) -> TopicPartition,
    ) -> Vec<(usize, Vec<T>)> {
        let mut order: Vec<(usize, Vec<T>)> = Vec::new();
        for item in items {
            let shard = self.shard_of(&partition(&item));
            // There are as many shards as processors, and most requests concern few of them.
            match order.iter_mut().find(|(known, _)| *known == shard) {
                Some((_, items)) => items.push(item),
                None => order.push((shard, vec![item])),
            }
        }
        order
    }
}

/// Which of `shards` owns a partition: fixed for the partition's life, and spread evenly.
pub(crate) fn shard_of(partition: &TopicPartition, shards: usize) -> usize {
    let id = u128::from_be_bytes(partition.topic_id.0);
    let folded = (id as u64) ^ ((id >> 64) as u64);
    (folded.wrapping_add(partition.partition.0 as u64) % shards as u64) as usize
}
