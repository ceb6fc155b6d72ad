//! Who votes, and what a majority of them is.

use std::collections::BTreeSet;

use types::{BrokerId, NextOffset, Uuid};

/// A replica of the metadata log: a node and the directory that holds its copy. A node that lost its
/// directory is another replica (KIP-853).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    /// The node.
    pub id: BrokerId,
    /// Its metadata log directory.
    pub directory_id: Uuid,
}

/// The voters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoterSet {
    voters: BTreeSet<ReplicaKey>,
}

impl VoterSet {
    /// These voters.
    #[must_use]
    pub fn new(voters: impl IntoIterator<Item = ReplicaKey>) -> VoterSet {
        VoterSet {
            voters: voters.into_iter().collect(),
        }
    }

    /// The voters, by id.
    pub fn iter(&self) -> impl Iterator<Item = ReplicaKey> {
        self.voters.iter().copied()
    }

    /// Whether this replica, with this directory, votes.
    #[must_use]
    pub fn contains(&self, replica: ReplicaKey) -> bool {
        self.voters.contains(&replica)
    }

    /// Whether `replica` is the only voter.
    #[must_use]
    pub fn is_only(&self, replica: ReplicaKey) -> bool {
        self.voters.len() == 1 && self.contains(replica)
    }

    /// The least number of voters that is more than half of them.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Whether enough of these are voters to make a majority.
    #[must_use]
    pub fn is_majority(&self, granted: &BTreeSet<ReplicaKey>) -> bool {
        self.voters.intersection(granted).count() >= self.majority()
    }

    /// The end of what a majority of the voters holds, given what each of them is known to hold.
    #[must_use]
    pub fn held_by_majority(
        &self,
        end_of: impl Fn(ReplicaKey) -> Option<NextOffset>,
    ) -> Option<NextOffset> {
        let mut ends: Vec<NextOffset> = self.iter().filter_map(end_of).collect();
        ends.sort_unstable();
        ends.reverse();
        ends.get(self.majority() - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(count: i32) -> VoterSet {
        VoterSet::new((1..=count).map(key))
    }

    fn key(id: i32) -> ReplicaKey {
        ReplicaKey {
            id: BrokerId(id),
            directory_id: Uuid([id as u8; 16]),
        }
    }

    #[test]
    fn a_majority_is_more_than_half_of_the_voters_and_of_nobody_else() {
        for (count, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            let voters = voters(count);
            assert_eq!(voters.majority(), majority);
            let outsiders = (10..20).map(key).collect();
            assert!(!voters.is_majority(&outsiders));
            let enough = (1..=majority as i32).map(key).collect();
            assert!(voters.is_majority(&enough));
            let few = (2..=majority as i32).map(key).collect();
            assert!(!voters.is_majority(&few));
        }
        // The same node with another directory is another replica.
        let moved = ReplicaKey {
            directory_id: Uuid([9; 16]),
            ..key(1)
        };
        assert!(!voters(1).is_majority(&BTreeSet::from([moved])));
        assert!(!voters(1).is_only(moved));
    }

    #[test]
    fn what_a_majority_holds_is_the_median_of_all_voters() {
        let ends = |ends: &'static [i64]| {
            voters(ends.len() as i32)
                .held_by_majority(|key| {
                    let end = ends[usize::try_from(key.id.0 - 1).unwrap()];
                    (end >= 0).then_some(NextOffset(end))
                })
                .map(|end| end.0)
        };
        assert_eq!(ends(&[7]), Some(7));
        assert_eq!(ends(&[9, 3]), Some(3));
        assert_eq!(ends(&[9, 3, 5]), Some(5));
        assert_eq!(ends(&[9, 3, 5, 4]), Some(4));
        // Unknown (-1) counts as nothing held, not as absent from the set.
        assert_eq!(ends(&[9, -1, -1]), None);
        assert_eq!(ends(&[9, 4, -1]), Some(4));
    }
}
