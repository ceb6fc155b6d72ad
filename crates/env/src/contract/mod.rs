//! The tests that every implementation of [`Env`](crate::Env) must pass, so that what is learnt in one
//! world holds in the other.
//!
//! Each is an async function that panics if the contract is broken. A world runs [`disk`], [`network`],
//! [`clock`] and [`spawner`] from a test of its own, with an empty directory to write to.

pub mod clock;
pub mod disk;
pub mod network;
pub mod spawner;
