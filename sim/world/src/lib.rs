//! The world as a seed: [`::env::Env`] over an executor, clocks, a network and disks that a seed decides.
//!
//! Everything that a process may observe follows from the seed and from what the processes do: the same
//! seed gives the same run, event by event, on every machine ([`trace`] proves it, [`meta`] compares).
//! Nothing here knows of Ottla. What runs in the world and who judges it is the business of the crate
//! `sim`.
//!
//! The rooms: [`World`] owns nodes and turns the crank; [`executor`] says who runs next; [`clock`],
//! [`entropy`], [`network`], [`disk`] and [`spawner`] are what a process sees; [`faults`] is what breaks.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "native: this crate stands where the operating system stands"
)]

mod world;

pub mod node;
pub mod profile;

pub mod clock;
pub mod disk;
pub mod entropy;
mod env;
pub mod executor;
pub mod faults;
pub mod network;
pub mod spawner;

pub mod inject;
pub mod meta;
pub mod seed;
mod shared;
pub mod strikes;
pub mod trace;
pub mod tripwire;

pub use env::SimEnv;
pub use executor::Schedule;
pub use faults::power_loss::{Leaves, Piece};
pub use faults::{AfterFailure, Damage, Harm, HarmKind, HarmLog};
pub use node::{NodeId, Stop};
pub use profile::{DiskProfile, Limits, NetworkProfile, Profile};
pub use strikes::STRIKES;
pub use trace::{Event, Fingerprint, Trace, TraceOptions};
pub use world::{Failure, Observer, SeenAt, World};
