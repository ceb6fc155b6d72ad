//! A topic and the registrations of its partitions.

use std::collections::BTreeMap;

use protocol::{PartitionChangeRecord, PartitionRecord, Str};
use types::{BrokerId, LeaderEpoch, PartitionEpoch, Uuid};

/// A topic as the metadata log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Str,
    /// Its id, never used again for another topic.
    pub id: Uuid,
    /// Its partitions by number.
    pub partitions: BTreeMap<i32, PartitionRegistration>,
}

impl TopicImage {
    /// The partition of this number.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&PartitionRegistration> {
        self.partitions.get(&index)
    }

    /// How many replicas the first partition has; 0 for a topic without partitions.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.partitions
            .values()
            .next()
            .map_or(0, |partition| partition.replicas.len())
    }
}

/// Whether a partition's leader may still miss committed records after an unclean election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaderRecoveryState {
    /// It has all that it will ever have.
    #[default]
    Recovered,
    /// It was elected uncleanly and has not recovered yet.
    Recovering,
}

/// What is known about a partition: who keeps it, who leads it, and as of which change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartitionRegistration {
    /// Its replicas; the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// For each replica the directory it lies in, or one of the ids that stand for no directory.
    pub directories: Vec<Uuid>,
    /// The in-sync replicas.
    pub isr: Vec<BrokerId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<BrokerId>,
    /// Replicas that left the ISR but still have every committed record (KIP-966).
    pub elr: Vec<BrokerId>,
    /// The last members of `elr` before it was lost.
    pub last_known_elr: Vec<BrokerId>,
    /// The leader, [`BrokerId::NONE`] if there is none.
    pub leader: BrokerId,
    /// Whether the leader may still miss committed records.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Grows with every election.
    pub leader_epoch: LeaderEpoch,
    /// Grows by one with every change.
    pub partition_epoch: PartitionEpoch,
}

/// Stands for the directory of a replica of which nobody said where it lies.
pub const DIRECTORY_MIGRATING: Uuid = Uuid::ZERO;
/// Stands for the directory of a replica whose broker has yet to choose one.
pub const DIRECTORY_UNASSIGNED: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Whether this id can be no directory's: the first hundred stand for something else.
#[must_use]
pub fn is_reserved_directory(id: Uuid) -> bool {
    id.0[..15] == [0; 15] && id.0[15] < 100
}

/// In a [`PartitionChangeRecord`]: the leader stays as it is.
pub const NO_LEADER_CHANGE: i32 = -2;

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

impl PartitionRegistration {
    /// A new partition on `replicas`, of which `isr` are alive; the first of these leads it.
    #[must_use]
    pub fn new(
        replicas: Vec<BrokerId>,
        directories: Vec<Uuid>,
        isr: Vec<BrokerId>,
    ) -> PartitionRegistration {
        PartitionRegistration {
            leader: isr.first().copied().unwrap_or(BrokerId::NONE),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            replicas,
            directories,
            isr,
            ..Default::default()
        }
    }

    /// Whether there is a leader.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        self.leader != BrokerId::NONE
    }

    /// The directory of this broker's replica; `None` if it has none, or if nobody knows.
    #[must_use]
    pub fn directory(&self, broker: BrokerId) -> Option<Uuid> {
        let place = self
            .replicas
            .iter()
            .position(|replica| *replica == broker)?;
        self.directories
            .get(place)
            .copied()
            .filter(|id| !is_reserved_directory(*id))
    }

    /// As a record that makes it.
    #[must_use]
    pub fn to_record(&self, topic_id: Uuid, partition_id: i32) -> PartitionRecord {
        let optional = |ids: &[BrokerId]| (!ids.is_empty()).then(|| numbers(ids));
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: numbers(&self.replicas),
            isr: numbers(&self.isr),
            removing_replicas: numbers(&self.removing_replicas),
            adding_replicas: numbers(&self.adding_replicas),
            leader: self.leader.0,
            leader_recovery_state: recovery_number(self.leader_recovery_state),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch.0,
            directories: self.directories.clone(),
            eligible_leader_replicas: optional(&self.elr),
            last_known_elr: optional(&self.last_known_elr),
        }
    }

    /// What a record says.
    ///
    /// # Errors
    /// The record contradicts itself.
    pub fn from_record(record: &PartitionRecord) -> Result<PartitionRegistration, String> {
        let registration = PartitionRegistration {
            replicas: ids(&record.replicas),
            directories: directories(&record.directories, record.replicas.len()),
            isr: ids(&record.isr),
            removing_replicas: ids(&record.removing_replicas),
            adding_replicas: ids(&record.adding_replicas),
            elr: ids(record
                .eligible_leader_replicas
                .as_deref()
                .unwrap_or_default()),
            last_known_elr: ids(record.last_known_elr.as_deref().unwrap_or_default()),
            leader: BrokerId(record.leader),
            leader_recovery_state: recovery_state(record.leader_recovery_state)?,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
        };
        registration.check()?;
        Ok(registration)
    }

    /// This registration after a change: what the record leaves out stays, the partition epoch grows by
    /// one, and the leader epoch too if the record names a leader.
    ///
    /// # Errors
    /// The result contradicts itself, or an epoch has no successor.
    pub fn merge(&self, record: &PartitionChangeRecord) -> Result<PartitionRegistration, String> {
        let mut to = self.clone();
        let set = |field: &mut Vec<BrokerId>, new: &Option<Vec<i32>>| {
            if let Some(new) = new {
                *field = ids(new);
            }
        };
        set(&mut to.replicas, &record.replicas);
        set(&mut to.isr, &record.isr);
        set(&mut to.removing_replicas, &record.removing_replicas);
        set(&mut to.adding_replicas, &record.adding_replicas);
        set(&mut to.elr, &record.eligible_leader_replicas);
        set(&mut to.last_known_elr, &record.last_known_elr);
        if let Some(new) = &record.directories {
            to.directories = directories(new, to.replicas.len());
        } else if record.replicas.is_some() {
            // Each replica that stays keeps its directory.
            to.directories = (to.replicas.iter())
                .map(|replica| self.directory(*replica).unwrap_or(DIRECTORY_UNASSIGNED))
                .collect();
        }
        if record.leader_recovery_state != -1 {
            to.leader_recovery_state = recovery_state(record.leader_recovery_state)?;
        }
        if record.leader != NO_LEADER_CHANGE {
            to.leader = BrokerId(record.leader);
            let next = self
                .leader_epoch
                .0
                .checked_add(1)
                .ok_or("the leader epoch is at its end")?;
            to.leader_epoch = LeaderEpoch(next);
        }
        let next = self
            .partition_epoch
            .0
            .checked_add(1)
            .ok_or("the partition epoch is at its end")?;
        to.partition_epoch = PartitionEpoch(next);
        to.check()?;
        Ok(to)
    }

    /// Whether the registration agrees with itself (invariant C4).
    ///
    /// # Errors
    /// What it breaks.
    pub fn check(&self) -> Result<(), String> {
        let broken = |what: &str| Err(format!("{what}: {self:?}"));
        if self.replicas.is_empty() {
            return broken("a partition without replicas");
        }
        if has_duplicates(&self.replicas) || has_duplicates(&self.isr) {
            return broken("a replica is named twice");
        }
        if self.directories.len() != self.replicas.len() {
            return broken("not as many directories as replicas");
        }
        if !self
            .isr
            .iter()
            .chain(&self.elr)
            .all(|id| self.replicas.contains(id))
        {
            return broken("isr or elr is not among the replicas");
        }
        if self.isr.iter().any(|id| self.elr.contains(id)) {
            return broken("isr and elr overlap");
        }
        if self.has_leader() && !self.isr.contains(&self.leader) {
            return broken("the leader is not in the isr");
        }
        if self.leader_epoch.0 < 0 || self.partition_epoch.0 < 0 {
            return broken("an epoch is below 0");
        }
        Ok(())
    }
}

fn has_duplicates(ids: &[BrokerId]) -> bool {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// Records of versions without directories have none.
fn directories(directories: &[Uuid], replicas: usize) -> Vec<Uuid> {
    if directories.is_empty() {
        vec![DIRECTORY_MIGRATING; replicas]
    } else {
        directories.to_vec()
    }
}

fn recovery_number(state: LeaderRecoveryState) -> i8 {
    match state {
        LeaderRecoveryState::Recovered => 0,
        LeaderRecoveryState::Recovering => 1,
    }
}

fn recovery_state(number: i8) -> Result<LeaderRecoveryState, String> {
    match number {
        0 => Ok(LeaderRecoveryState::Recovered),
        1 => Ok(LeaderRecoveryState::Recovering),
        _ => Err(format!("leader recovery state {number} does not exist")),
    }
}
