//! Models that step the shipped cores through every order of events.
//!
//! A model is a small world around one core: a disk whose writes, syncs and losses are separate events,
//! clients that repeat themselves, a controller that is sometimes late. stateright visits every state within
//! stated bounds, and each state is judged by properties that compute their own truth from the disk.
//!
//! | Model | Core | Question |
//! |---|---|---|
//! | [`single`] | `partition` | is an acknowledged batch ever lost, doubled, misplaced or out of order? |
//! | [`in_sync`] | `partition` | does the high watermark ever pass what the in-sync replicas hold? |
//! | [`quorum`] | `raft` | does an epoch ever have two leaders, is a committed record ever lost? |
//!
//! Safety only: what must happen in the end is for the simulator. [`board`] plants historic bugs in the cores
//! and shows that the models see them: bounds within which they do are large enough, others prove nothing.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "native: stateright hands out its findings in a HashMap"
)]

pub mod board;
pub mod in_sync;
pub mod quorum;
mod run;
pub mod single;

pub use run::{Finding, Outcome, check};
