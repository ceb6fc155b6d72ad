//! The world as a seed: executor, network, disk, clocks, faults, workloads, oracles.
//!
//! The world itself is the crate `world`, which knows nothing of Ottla beyond the traits of `env` and is
//! given out here again. This crate puts the real broker and the real clients into it, breaks things, and
//! judges what came of it.
//!
//! | Room | What happens there |
//! |---|---|
//! | [`scenario`], [`swarm`] | a run as data; a run drawn from a seed |
//! | [`faults`] | what is done to the nodes while they work |
//! | [`workloads`] | what clients do: produce, consume, groups, admin, hostile bytes |
//! | [`oracles`] | who judges, one file per family of invariants |
//! | [`damage`] | what was really damaged, and what an oracle may therefore forgive |
//! | [`run`] | one scenario, from the first start to the verdict |
//! | [`campaign`], [`cli`] | many seeds; the command line |
//! | [`shrink`] | fewer faults, same failure |
//! | [`mutants`], [`scoreboard`] | historic bugs planted on purpose, and which are found |
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "native: this crate owns the world and reads scenario files; the workloads in it keep to `env`"
)]

pub use ::world::*;

pub mod campaign;
pub mod cli;
pub mod damage;
pub mod faults;
pub mod history;
pub mod mutants;
pub mod oracles;
pub mod payload;
pub mod run;
pub mod scenario;
pub mod scoreboard;
pub mod shrink;
pub mod swarm;
pub mod workloads;

pub use campaign::{Campaign, Report, run, run_with};
pub use run::{Outcome, RunFailure};
pub use scenario::Scenario;
