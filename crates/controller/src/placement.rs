//! On which brokers a partition's replicas go.
//!
//! Leaders and followers go round the active brokers, from a place that differs from topic to topic, so
//! that load spreads; fenced brokers are taken only when there are not enough others. Racks are not
//! looked at yet.

use metadata::PartitionRegistration;
use metadata::topic::DIRECTORY_UNASSIGNED;
use types::{BrokerId, ErrorCode, Uuid};

use crate::Controller;
use crate::error::Refused;

impl Controller {
    /// Chooses replicas for `count` partitions starting with number `first`.
    pub(crate) fn place(
        &self,
        topic_id: Uuid,
        first: i32,
        count: i32,
        replication_factor: i16,
    ) -> Result<Vec<PartitionRegistration>, Refused> {
        let failed = |why: &str| {
            Err(Refused::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                format!("Unable to replicate the partition {replication_factor} time(s): {why}"),
            ))
        };
        let (active, fenced): (Vec<_>, Vec<_>) = self
            .image
            .brokers()
            .map(|broker| broker.id)
            .partition(|id| self.image.is_active(*id));
        let registered = active.len() + fenced.len();
        let wanted = usize::try_from(replication_factor).unwrap_or(0);
        if wanted > registered {
            return failed(&format!(
                "The target replication factor of {replication_factor} cannot be reached because \
                 only {registered} broker(s) are registered or some brokers have all their log \
                 directories cordoned."
            ));
        }
        if active.is_empty() {
            return failed("All brokers are currently fenced or in controlled shutdown.");
        }
        let start = u64::from_be_bytes(topic_id.0[8..].try_into().expect("an id has 16 bytes"));
        let partitions = (0..count).map(|i| {
            let turn = (start % active.len() as u64) as usize + (first + i) as usize;
            let replicas: Vec<BrokerId> = (0..active.len())
                .map(|j| active[(turn + j) % active.len()])
                .chain(fenced.iter().copied())
                .take(wanted)
                .collect();
            self.registration(replicas)
        });
        Ok(partitions.collect())
    }

    /// A new partition on these replicas; its ISR are those of them that are active.
    pub(crate) fn registration(&self, replicas: Vec<BrokerId>) -> PartitionRegistration {
        let isr = replicas
            .iter()
            .copied()
            .filter(|id| self.image.is_active(*id))
            .collect();
        let directories = replicas
            .iter()
            .map(|id| self.directory_for_new(*id))
            .collect();
        PartitionRegistration::new(replicas, directories, isr)
    }

    /// The directory of a broker that has one only; otherwise the broker chooses and tells later.
    fn directory_for_new(&self, id: BrokerId) -> Uuid {
        match self
            .image
            .broker(id)
            .map(|broker| broker.log_dirs.as_slice())
        {
            Some([only]) => *only,
            _ => DIRECTORY_UNASSIGNED,
        }
    }

    /// Checks replicas that a request names itself.
    pub(crate) fn check_assignment(
        &self,
        broker_ids: &[i32],
        replication_factor: Option<usize>,
    ) -> Result<(), Refused> {
        let refused = |why: String| Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, why));
        if broker_ids.is_empty() {
            return refused(
                "The manual partition assignment includes an empty replica list.".into(),
            );
        }
        let mut sorted = broker_ids.to_vec();
        sorted.sort_unstable();
        let mut previous = None;
        for id in sorted {
            if self.image.broker(BrokerId(id)).is_none() {
                return refused(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is \
                     registered."
                ));
            }
            if previous == Some(id) {
                return refused(format!(
                    "The manual partition assignment includes the broker {id} more than once."
                ));
            }
            previous = Some(id);
        }
        match replication_factor {
            Some(wanted) if wanted != broker_ids.len() => refused(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this \
                 is not consistent with previous partitions, which have {wanted} replica(s).",
                broker_ids.len()
            )),
            _ => Ok(()),
        }
    }
}
