//! How far the log is committed, as seen by its leader.

use std::collections::{BTreeMap, BTreeSet};

use types::{BrokerId, NextOffset, mutant};

/// What the leader knows of the other replicas, in its own epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InSync {
    /// The ISR of the newest partition epoch.
    pub(crate) isr: BTreeSet<BrokerId>,
    /// The ISR that the controller may already have agreed to.
    pub(crate) proposed: BTreeSet<BrokerId>,
    /// All replicas.
    pub(crate) replicas: BTreeSet<BrokerId>,
    /// How far each follower has come in this epoch; absent if it has not been heard of.
    pub(crate) followers: BTreeMap<BrokerId, NextOffset>,
}

impl InSync {
    /// The end of what every replica of the maximal ISR (the agreed and the proposed one together) holds;
    /// `None` while one of them has not been heard of in this epoch.
    pub(crate) fn held_by_all(&self, me: BrokerId, own_end: NextOffset) -> Option<NextOffset> {
        let proposed = self.proposed.iter().filter(|_| !mutant!("REP-15"));
        let mut held = own_end;
        for broker in self.isr.iter().chain(proposed) {
            if *broker != me {
                held = held.min(*self.followers.get(broker)?);
            }
        }
        Some(held)
    }

    /// `min.insync.replicas`, but never more than there are replicas, as in Kafka.
    pub(crate) fn enough(&self, min_insync_replicas: i32) -> bool {
        let wanted = usize::try_from(min_insync_replicas).unwrap_or(0);
        self.isr.len() >= wanted.min(self.replicas.len())
    }
}
