//! The node: connections, dispatch, one file per API; hosts the cores.
//!
//! This is the only place where cores, storage and wire meet. It decides nothing about what is committed,
//! who leads, or what a client is told of either: it moves bytes, carries out what the cores say, and
//! reports what became of it.
//!
//! | Room | What happens there |
//! |---|---|
//! | `node` | everything a node owns comes up and goes down |
//! | `listener`, `connection` | bytes to frames; answers leave in request order |
//! | `dispatch` | frame to handler; what is advertised |
//! | `api` | one file per API |
//! | `fetch_session` | incremental fetches |
//! | `shard` | owns partitions: replica, log, coordinator |
//! | `controller_host`, `publish`, `view` | metadata: decided, committed, told to the node |
//!
//! Absent on purpose: locks held across an await, state shared between tasks, a runtime, a clock.

pub mod config;
pub mod node;

mod listener;
mod memory;

mod connection;

mod rejections;

mod answer;
mod dispatch;

mod context;

mod api;

mod auto_create;
mod coordinators;
mod disk_watch;
mod fetch_session;
mod policy;
mod producer_ids;

mod batches;
mod shard;

mod controller_host;
mod publish;
mod quorum_state;
mod registration;
mod stopping;
mod strays;
mod view;

pub use config::{BrokerConfig, Limits, ListenerConfig};
pub use controller_host::ControllerError;
pub use node::{Node, StartError};
