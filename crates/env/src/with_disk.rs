//! A world with another disk: what is written down about a disk is tried on one that differs in one thing.

use crate::{Disk, Env, Seen};

/// The world `E`, but for its disk.
#[derive(Debug, Clone)]
pub struct WithDisk<E, D> {
    world: E,
    disk: D,
}

impl<E: Env, D: Disk> WithDisk<E, D> {
    /// Puts `disk` in the place of the world's own.
    pub fn new(world: E, disk: D) -> WithDisk<E, D> {
        WithDisk { world, disk }
    }
}

impl<E: Env, D: Disk> Env for WithDisk<E, D> {
    type Clock = E::Clock;
    type Entropy = E::Entropy;
    type Network = E::Network;
    type Disk = D;
    type Spawner = E::Spawner;

    const SIM: bool = E::SIM;

    fn clock(&self) -> &E::Clock {
        self.world.clock()
    }

    fn entropy(&self) -> &E::Entropy {
        self.world.entropy()
    }

    fn network(&self) -> &E::Network {
        self.world.network()
    }

    fn disk(&self) -> &D {
        &self.disk
    }

    fn spawner(&self) -> &E::Spawner {
        self.world.spawner()
    }

    fn buggify(&self, site: u32) -> bool {
        self.world.buggify(site)
    }

    fn observe(&self, seen: Seen) {
        self.world.observe(seen);
    }
}
