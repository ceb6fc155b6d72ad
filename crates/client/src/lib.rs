//! Producer, consumer and admin: what users run, and the simulator's load.
//!
//! Speaks Kafka's protocol with any broker of it. Everything is asked of [`env::Env`], so the same
//! code runs in `ottla` and, byte for byte the same for a seed, in the simulator. This crate never
//! imports the broker.
//!
//! | Room | What for |
//! |---|---|
//! | [`admin`] | topics, configs, records, cluster; groups in [`group::admin`] |
//! | [`producer`] | records in; order, no duplicates, and an outcome for each |
//! | [`consumer`] | partitions in, their records out |
//! | [`group`] | consuming as a member of a group |
//! | [`offsets`] | looking up offsets by place or time |
//! | [`cluster`] | whom to ask, when to ask again |
//! | [`metadata`] | brokers, topics, leaders: what is known |
//! | [`connection`] | one socket: versions, pipelining, answers in order |
//!
//! What is said of a failure is as much a part of the interface as the success: [`Error::outcome`]
//! and [`DeliveryError`] tell *it did not happen* from *nobody knows*.
//!
//! Each object has one owner. Two kinds of task run behind it: one for each connection, and for a
//! producer and a group membership one more. Absent for now: TLS, SASL, transactions, share groups, and
//! KIP-848 membership.

pub mod admin;
pub mod cluster;
pub mod connection;
pub mod consumer;
mod error;
pub mod group;
pub mod metadata;
pub mod offsets;
#[cfg(test)]
mod one_at_a_time;
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
