//! Offsets, epochs, identities, timestamps and Kafka's error codes.
//!
//! Newtypes only: no behaviour beyond arithmetic that must not be got wrong. A position in a log is
//! either the [`Offset`] of a record or the [`NextOffset`] after the last one; nothing converts between
//! the two without saying so, because mixing inclusive and exclusive ends is a well-worn way to lose
//! or repeat a record.

pub mod cluster_id;
pub mod error_code;
pub mod ids;
pub mod lookup_map;
pub mod mutants;
pub mod offset;
pub mod time;

pub use cluster_id::ClusterId;
pub use error_code::ErrorCode;
pub use ids::{
    BrokerId, LeaderEpoch, PartitionEpoch, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
    TopicPartition, Uuid,
};
pub use lookup_map::LookupMap;
pub use offset::{NextOffset, Offset};
pub use time::{Mono, Now, TimestampMs, Wall};
