//! The cluster's image and its deltas: what every node knows.
//!
//! The metadata log holds Kafka's metadata records. [`Image`] is their replay: brokers, topics with their
//! partitions, settings, features, producer ids. The controller decides by it, brokers answer from it, and
//! a [`Delta`] between two images tells the owners of partitions what to do.
//!
//! What this crate deliberately does not do: decide anything (that is `controller`), keep the log, or
//! know time. It also holds **the** table of settings ([`configs`]): every broker, topic and group key
//! that Kafka has, with type, default, range and what Ottla makes of it.
//!
//! Invariants:
//! * an image is a function of the records applied, in order; equal records, equal images
//! * a record of a kind or feature level that this version does not know is an [`ImageError`], never
//!   skipped: skipping it would make two nodes see two clusters
//! * a partition's epoch grows by exactly one with every change; no record replaces a newer state by an
//!   older one; producer ids only grow
//! * `isr ⊆ replicas`, `elr ⊆ replicas`, `isr ∩ elr = ∅`, `leader ∈ isr` or none
//!   ([`PartitionRegistration::check`])

pub mod broker;
pub mod configs;
pub mod delta;
pub mod features;
pub mod image;
pub mod names;
pub mod topic;

pub use broker::{BrokerEndpoint, BrokerRegistration, SecurityProtocol};
pub use configs::broker::BrokerConfig;
pub use configs::resource::{ConfigResource, ResourceType};
pub use configs::topic::{
    CleanupPolicy, CompressionType, Durability, TimestampType, TopicConfig, TopicConfigs,
};
pub use delta::{Delta, PartitionChange};
pub use image::{Image, ImageError};
pub use topic::{LeaderRecoveryState, PartitionRegistration, TopicImage};
