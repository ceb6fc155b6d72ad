//! The world as traits: everything that the logic of Ottla may ask of the machine it runs on.
//!
//! Portable code is written against [`Env`] and never learns which world it lives in. `env-tokio` is the
//! world of production; `sim` is a world made from a seed, in which the disk lies, the network stalls and
//! power fails. Dispatch is static and futures are `Send`, so production pays nothing for the choice.
//!
//! What is deliberately absent: an unbiased `select`. Order of polling is part of determinism, so waiting
//! for the first of several events goes through [`race`], which polls in the order written.

pub mod buffer;
pub mod clock;
#[cfg(feature = "contract")]
pub mod contract;
pub mod disk;
pub mod entropy;
pub mod network;
pub mod race;
pub mod seen;
pub mod spawner;
pub mod watch;
mod with_disk;

pub use buffer::AlignedBuf;
pub use clock::Clock;
pub use disk::{Allocation, Disk, DiskEntry, EntryKind, File, OpenMode, OpenOptions, SyncKind};
pub use entropy::Entropy;
pub use network::{Connection, Listener, Network};
pub use race::{Either, Either3, race, race3};
pub use seen::Seen;
pub use spawner::{Spawner, Task};
pub use types::{Mono, Wall};
pub use with_disk::WithDisk;

/// One node's world.
///
/// A value is cheap to clone; clones are the same world.
pub trait Env: Clone + Send + Sync + 'static {
    /// Time.
    type Clock: Clock;
    /// Randomness.
    type Entropy: Entropy;
    /// Byte-stream connections.
    type Network: Network;
    /// Files.
    type Disk: Disk;
    /// Tasks.
    type Spawner: Spawner;

    /// Whether this world is simulated. Hooks for the simulator fold away when it is not.
    const SIM: bool;

    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// Randomness.
    fn entropy(&self) -> &Self::Entropy;
    /// Byte-stream connections.
    fn network(&self) -> &Self::Network;
    /// Files.
    fn disk(&self) -> &Self::Disk;
    /// Tasks.
    fn spawner(&self) -> &Self::Spawner;

    /// Whether to take the rare path at `site`, so that it is not rare in the simulator.
    /// Always `false` in production.
    #[inline]
    fn buggify(&self, _site: u32) -> bool {
        false
    }

    /// Tells the oracles that something happened. Nothing in production.
    #[inline]
    fn observe(&self, _seen: Seen) {}
}
