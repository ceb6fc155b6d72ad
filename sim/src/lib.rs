//! The world as a seed: executor, network, disk, clocks, faults, workloads, oracles.
//!
//! The world itself is the crate `world`, which knows nothing of Ottla beyond the traits of `env` and is
//! given out here again. What a run does in it (workloads, scenarios) and who judges it (oracles) belongs
//! to this crate.

pub use ::world::*;
