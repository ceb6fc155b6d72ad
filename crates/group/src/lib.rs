//! Consumer groups: the classic protocol and committed offsets.
//!
//! One [`GroupCoordinator`] is the leader's half of one partition of `__consumer_offsets`: a
//! [`state_machine::StateMachine`] that is asked [`Request`]s, writes [`Record`]s in Kafka's format, and
//! answers with [`Response`]s when they are committed. [`partition_for`] says which partition a group
//! lives in.
//!
//! * **Hard** (`stored`): the last completed generation of each group with its assignment, and its
//!   offsets. It is what the log says and changes only by replay.
//! * **Soft** (`classic`, `timers`): members on their way in or out, parked requests, session timers.
//!   It is lost with the leader. The new leader begins with the generation in the log, gives its
//!   members a fresh session each, and they go on as if nothing had happened, or join again.
//!
//! What this crate does not do: authorise, know which topics exist, route requests to partitions,
//! split requests over several groups, or wait for the log. That is the host's, in `broker`.
//!
//! Invariants, see [`GroupCoordinator::check`]:
//! * A group that is stable or empty is the same live and in the log; a generation is never smaller
//!   live than in the log.
//! * Every parked request belongs to a state that a timer ends.
//! * An offset is written only for a member of the current generation, or for nobody while the group
//!   is empty.

mod config;
mod placement;

mod api;
mod fan_out;
mod record;

mod coordinator;
mod stored;

mod classic;
mod subscription;
mod timers;

mod describe;
mod offsets;
mod retention;

pub use api::{OffsetFetchGroup, OffsetFetchTopic, Refusal, Request, Response};
pub use config::GroupConfig;
pub use coordinator::{GroupCoordinator, Soft};
pub use fan_out::{merge_offset_fetch, split_offset_fetch};
pub use placement::partition_for;
pub use record::{GroupMetadata, MemberMetadata, OffsetAndMetadata, Record};
pub use stored::{Offsets, StoredGroup};
