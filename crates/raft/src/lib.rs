//! The KRaft quorum: one replica of the metadata log, as a value that is stepped.
//!
//! [`QuorumReplica`] decides who leads in which epoch, where proposed records go and which of them are
//! committed. It has no log and no files: it says [`Effect::PersistElection`], [`Effect::Append`],
//! [`Effect::Sync`], and hears when they are done.
//!
//! What it deliberately does not do yet: speak to other voters. The voter set, roles, votes and the
//! commit rule are those of a quorum of any size, but no vote is asked for and no record is copied, so
//! only a quorum of one elects anybody. What it never does: know what the records mean (`controller`), or
//! commit on the strength of bytes that are not durable.
//!
//! Invariants, as relations:
//!
//! * a leader's or candidate's `(epoch, vote)` was durable before anything was counted on it
//! * every campaign is for a higher epoch than any seen before, restarts included
//! * `high_watermark <= log_end`; `durable_end <= log_end`; both only grow
//! * a leader moves `high_watermark` only past its own epoch's first record
//!
//! The room before is `controller`, which proposes; the room after is `storage`, which keeps.

mod election;
mod message;
mod quorum;
mod voters;

pub use election::{ElectionState, Role};
pub use message::{Effect, Fence, Input, Rejection, Timer};
pub use quorum::{QuorumConfig, QuorumReplica, Recovered};
pub use voters::{ReplicaKey, VoterSet};
