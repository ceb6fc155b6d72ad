//! Who leads a partition when a broker comes or goes.
//!
//! A broker that goes leaves the ISR of every partition, unless it is the last one in it: then it stays,
//! and the partition has no leader until it is back. No replica outside the ISR is ever elected: unclean
//! elections come with the cluster.

use metadata::{PartitionRegistration, TopicImage};
use protocol::{MetadataRecord, PartitionChangeRecord};
use types::BrokerId;

use crate::Controller;

impl Controller {
    /// The changes when `gone` leads nothing any more.
    pub(crate) fn without_broker(&self, gone: BrokerId) -> Vec<MetadataRecord> {
        self.partition_changes(|partition| {
            if !partition.isr.contains(&gone) {
                return None;
            }
            let left: Vec<BrokerId> = partition
                .isr
                .iter()
                .copied()
                .filter(|id| *id != gone)
                .collect();
            let isr = if left.is_empty() { None } else { Some(left) };
            let leader = (partition.leader == gone).then(|| {
                let able = |id: &&BrokerId| {
                    isr.as_ref().is_some_and(|isr| isr.contains(id)) && self.image.is_active(**id)
                };
                partition
                    .replicas
                    .iter()
                    .find(able)
                    .copied()
                    .unwrap_or(BrokerId::NONE)
            });
            (isr.is_some() || leader.is_some()).then_some((isr, leader))
        })
    }

    /// The changes when `back` may lead again: it leads what nobody leads and it is in sync with.
    pub(crate) fn with_broker(&self, back: BrokerId) -> Vec<MetadataRecord> {
        self.partition_changes(|partition| {
            let wins = !partition.has_leader() && partition.isr.contains(&back);
            wins.then_some((None, Some(back)))
        })
    }

    fn partition_changes(
        &self,
        mut change: impl FnMut(
            &PartitionRegistration,
        ) -> Option<(Option<Vec<BrokerId>>, Option<BrokerId>)>,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image.topics() {
            for (index, partition) in &topic.partitions {
                if let Some((isr, leader)) = change(partition) {
                    records.push(record(topic, *index, isr, leader).into());
                }
            }
        }
        records
    }
}

fn record(
    topic: &TopicImage,
    partition_id: i32,
    isr: Option<Vec<BrokerId>>,
    leader: Option<BrokerId>,
) -> PartitionChangeRecord {
    PartitionChangeRecord {
        partition_id,
        topic_id: topic.id,
        isr: isr.map(|isr| isr.iter().map(|id| id.0).collect()),
        leader: leader.map_or(metadata::topic::NO_LEADER_CHANGE, |id| id.0),
        ..Default::default()
    }
}
