//! A group of the classic protocol, as its members see it: the soft half of the coordinator's state.
//!
//! The leader of the partition keeps one [`ClassicGroup`] for every group that has members or has
//! promised somebody a member id. It is made from the log ([`ClassicGroup::from_log`]) and may be lost
//! with the leader: a new one then finds the last completed generation in the log, and the members
//! join again.
//!
//! ```text
//!                 a member joins                      every member has (re)joined,
//!          Empty ----------------> PreparingRebalance or time is up ----------------> CompletingRebalance
//!            ^                      |   ^          ^                                    |            |
//!            +----------------------+   |          +------------------------------------+            |
//!             no member is left         |           a member joins, leaves or is silent              |
//!                                       |                                                            v
//!                                       +--------------------------------------------------------- Stable
//!                                         a member joins, leaves or is silent     the leader sends SyncGroup
//! ```
//!
//! Written to the log on entering `Stable` and `Empty`, and when a static member is replaced in
//! `Stable`; so in these two states the group here and the group in the log are the same, see
//! [`ClassicGroup::check`].
//!
//! Compared with Apache Kafka 4.3.1 by telling it the stories of `tests/transcripts`. It answers alike,
//! but for these, which are on purpose:
//! * A JoinGroup or SyncGroup that a later one of the same member replaces is answered with 27; Kafka
//!   leaves it without an answer. So is the SyncGroup of a member that is removed, with 25.
//! * An id that was given out and then leaves does not make a stable group rebalance.
//! * A group that has only given out ids is not written to the log, and is gone when they lapse.
//! * A static member that comes back is described by the client it is now, not by the one it was.
//! * An id that was given out and is then used with a `group.instance.id` is unknown (25), not an
//!   internal error (-1).
//!
//! **Source**: Kafka's `ClassicGroup` and `GroupMetadataManager`; KIP-62, 134, 345, 394, 429, 559,
//! 800, 814.

mod group;
mod join;
mod member;
mod rebalance;
mod session;
mod sync;

pub(crate) use group::ClassicGroup;
pub(crate) use join::Join;

use state_machine::Decision;
use types::Now;

use crate::api::Response;
use crate::config::GroupConfig;
use crate::record::Record;
use crate::timers::Timers;

/// A state of the classic protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupState {
    /// No members. There may be offsets, and ids promised to members to be.
    Empty,
    /// JoinGroup requests are parked until every member has sent one.
    PreparingRebalance,
    /// SyncGroup requests are parked until the leader has sent the assignment.
    CompletingRebalance,
    /// Every member has, or can get, its assignment.
    Stable,
}

impl GroupState {
    /// As Kafka spells it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
        }
    }
}

/// What a group needs of its surroundings while it handles one request or one timer.
pub(crate) struct Turn<'a> {
    pub config: &'a GroupConfig,
    pub now: Now,
    pub timers: &'a mut Timers,
    pub out: &'a mut Decision<Record, Response>,
}
