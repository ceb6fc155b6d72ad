//! Epochs, votes and roles.
//!
//! Legal transitions, as in Kafka's `QuorumState`: `Unattached -> Candidate` when nobody leads for too long
//! (at once, for the only voter); `Candidate -> Candidate` of the next epoch when the election comes to
//! nothing; `Candidate -> Leader` when a majority granted their votes; anything `-> Resigned` on shutdown or
//! when the disk fails. `Follower` and `Prospective` (KIP-996) belong to quorums of several and come with
//! their messages.

use std::collections::{BTreeMap, BTreeSet};

use types::{BrokerId, LeaderEpoch, NextOffset};

use crate::voters::ReplicaKey;

/// What the file `quorum-state` holds: the fields of Kafka's `QuorumStateData`, version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElectionState {
    /// The newest epoch heard of.
    pub leader_epoch: LeaderEpoch,
    /// Who leads in it, if known.
    pub leader_id: BrokerId,
    /// Whom this replica voted for in it, if for anybody.
    pub voted: Option<ReplicaKey>,
}

impl ElectionState {
    /// The state of a replica that never heard of an election.
    pub const NONE: ElectionState = ElectionState {
        leader_epoch: LeaderEpoch(0),
        leader_id: BrokerId::NONE,
        voted: None,
    };
}

/// What a replica is in its epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Knows of no leader.
    Unattached,
    /// Wants to lead.
    Candidate {
        /// Who granted their votes; this replica itself only once its vote is durable.
        granted: BTreeSet<ReplicaKey>,
    },
    /// Leads.
    Leader {
        /// Where its epoch starts: the offset of its own first record.
        epoch_start: NextOffset,
        /// Who elected it.
        granted: BTreeSet<ReplicaKey>,
        /// What each voter is known to hold durably, in this epoch.
        held: BTreeMap<ReplicaKey, NextOffset>,
        /// Whether its first record is committed, and the state machine may decide.
        confirmed: bool,
    },
    /// Has given up until it is restarted.
    Resigned,
}
