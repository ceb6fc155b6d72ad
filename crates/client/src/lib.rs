//! Producer, consumer and admin: what users run, and the simulator's load.

pub mod admin;
pub mod cluster;
pub mod connection;
pub mod consumer;
mod error;
pub mod group;
pub mod metadata;
pub mod offsets;
mod options;
pub mod producer;

pub use admin::Admin;
pub use cluster::{Cluster, CoordinatorKind, Lane, Repeat, Topics};
pub use connection::{Connection, Versions};
pub use consumer::{Consumer, ConsumerOptions, ConsumerRecord, LogState, Reset, Start};
pub use error::{Error, Outcome, Result};
pub use group::{Assignor, CommittedOffset, GroupConsumer, GroupOptions, Polled};
pub use metadata::{Metadata, Node, Partition, Topic, TopicPartition};
pub use offsets::{FoundOffset, Isolation, OffsetSpec};
pub use options::{ClientOptions, parse_bootstrap};
pub use producer::{
    Acks, Delivered, Delivery, DeliveryError, Producer, ProducerOptions, ProducerRecord,
};
