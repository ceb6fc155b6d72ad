//! What a quorum replica is told, and what it asks for.

use types::{BrokerId, LeaderEpoch, Mono, NextOffset, Offset};

use crate::election::ElectionState;
use crate::voters::ReplicaKey;

/// The incarnation of the log that a request to the disk was made under. Completions of another one are
/// dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// Timers, by name. Setting one again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Nobody has led for too long, or the election has come to nothing.
    Election,
}

/// One thing that happens to a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// The host is ready to carry out effects. Once, and first.
    Start,
    /// A timer ran out.
    TimerFired(Timer),
    /// This state is durable in `quorum-state`.
    ElectionPersisted(ElectionState),
    /// The state machine wants records appended, as one batch.
    Propose {
        /// Its name for them.
        token: u64,
        /// How many.
        records: u32,
        /// The epoch in which they were decided: they are appended in that one or not at all.
        epoch: LeaderEpoch,
    },
    /// Everything below `upto` is durable.
    Synced {
        /// From the request.
        fence: Fence,
        /// End of what is durable.
        upto: NextOffset,
    },
    /// The log or `quorum-state` could not be written.
    IoFailed {
        /// From the request, or the current one.
        fence: Fence,
        /// What the disk said.
        reason: String,
    },
    /// The node is stopping.
    Resign,
}

/// One thing to be done, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Make this the durable content of `quorum-state` and say
    /// [`Input::ElectionPersisted`]. Later states replace earlier ones.
    PersistElection(ElectionState),
    /// Append the leader's first record of its epoch: a control batch with Kafka's `LeaderChangeMessage`.
    AppendLeaderChange {
        /// Its offset.
        base_offset: Offset,
        /// The epoch to stamp into the batch.
        epoch: LeaderEpoch,
        /// Who leads.
        leader: BrokerId,
        /// The voters.
        voters: Vec<ReplicaKey>,
        /// Those of them that voted for the leader.
        granting: Vec<ReplicaKey>,
        /// To be handed back.
        fence: Fence,
    },
    /// Append the proposed records.
    Append {
        /// Which.
        token: u64,
        /// The offset of the first one.
        base_offset: Offset,
        /// The epoch to stamp into the batch.
        epoch: LeaderEpoch,
        /// To be handed back.
        fence: Fence,
    },
    /// Make everything below `upto` durable and say [`Input::Synced`].
    Sync {
        /// End of what is wanted.
        upto: NextOffset,
        /// To be handed back.
        fence: Fence,
    },
    /// Say [`Input::TimerFired`] at this time.
    SetTimer {
        /// Which timer.
        timer: Timer,
        /// When.
        at: Mono,
    },
    /// Everything below is committed: apply it to the state machine.
    CommittedUpto(NextOffset),
    /// This replica leads, and its first record is committed: once everything committed has been applied,
    /// the state machine may decide. Comes right after the [`Effect::CommittedUpto`] that covers it.
    BecameLeader {
        /// In which epoch.
        epoch: LeaderEpoch,
        /// The offset of its first record.
        start: Offset,
    },
    /// A proposal was not appended, and never will be.
    Rejected {
        /// Which.
        token: u64,
        /// Why.
        reason: Rejection,
    },
    /// This replica no longer takes part. What it appended and has not seen committed may be kept or lost.
    Resigned {
        /// In which epoch it resigned.
        epoch: LeaderEpoch,
        /// What the disk said, if that is the reason.
        reason: Option<String>,
    },
}

/// Why a proposal was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// This replica does not lead, or its leadership is not confirmed yet.
    NotLeader {
        /// Who leads; [`BrokerId::NONE`] if unknown.
        leader: BrokerId,
        /// In which epoch.
        epoch: LeaderEpoch,
    },
    /// The proposal was decided in another epoch.
    WrongEpoch {
        /// The epoch now.
        current: LeaderEpoch,
    },
    /// The proposal holds no record.
    Empty,
}
