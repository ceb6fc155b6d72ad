//! The world as tokio and files: what [`env::Env`] is in production.
//!
//! Sockets and timers are tokio's; files have threads of their own ([`disk`]), because a call that waits
//! for a disk must never hold up a task that waits for something else. Linux only: `O_DIRECT`,
//! `RWF_NOWAIT` and `syncfs` are used as Linux defines them.
//!
//! Where to look: [`runtime`] builds it all, [`disk`] holds the one piece with decisions in it (group
//! commit, in [`disk::sync`]); the rest is plain translation.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "native: this crate is where the program meets the operating system"
)]

pub mod clock;
pub mod disk;
pub mod entropy;
pub mod net;
mod pool;
pub mod runtime;
pub mod spawner;

use std::sync::Arc;

pub use clock::TokioClock;
pub use disk::{DiskOptions, TokioDisk, TokioFile};
pub use entropy::{Seed, TokioEntropy};
pub use net::TokioNetwork;
pub use runtime::{Runtime, RuntimeOptions, Signal, Signals, Workers};
pub use spawner::{TokioSpawner, TokioTask};

/// The world of one process.
#[derive(Clone, Debug)]
pub struct TokioEnv {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    clock: TokioClock,
    entropy: TokioEntropy,
    network: TokioNetwork,
    disk: TokioDisk,
    spawner: TokioSpawner,
}

impl TokioEnv {
    /// A world on the tokio runtime of `handle`.
    ///
    /// # Errors
    /// The operating system gave no entropy.
    pub fn new(
        handle: tokio::runtime::Handle,
        seed: Seed,
        disk: DiskOptions,
    ) -> std::io::Result<TokioEnv> {
        Ok(TokioEnv {
            parts: Arc::new(Parts {
                clock: TokioClock::new(),
                entropy: TokioEntropy::new(seed)?,
                network: TokioNetwork::new(),
                disk: TokioDisk::new(disk),
                spawner: TokioSpawner::new(handle),
            }),
        })
    }
}

impl env::Env for TokioEnv {
    type Clock = TokioClock;
    type Entropy = TokioEntropy;
    type Network = TokioNetwork;
    type Disk = TokioDisk;
    type Spawner = TokioSpawner;

    const SIM: bool = false;

    fn clock(&self) -> &TokioClock {
        &self.parts.clock
    }
    fn entropy(&self) -> &TokioEntropy {
        &self.parts.entropy
    }
    fn network(&self) -> &TokioNetwork {
        &self.parts.network
    }
    fn disk(&self) -> &TokioDisk {
        &self.parts.disk
    }
    fn spawner(&self) -> &TokioSpawner {
        &self.parts.spawner
    }
}
