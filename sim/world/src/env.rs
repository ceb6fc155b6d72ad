//! [`env::Env`] as a process in the world sees it.

use std::sync::Arc;

use env::{Env, Seen};

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::entropy::SimEntropy;
use crate::network::SimNetwork;
use crate::seed::{ChaCha8Rng, Draw, Mixer};
use crate::shared::Handle;
use crate::spawner::SimSpawner;
use crate::trace::Event;
use crate::world::SeenAt;

/// The world of one process on one node.
#[derive(Clone)]
pub struct SimEnv(Arc<Parts>);

struct Parts {
    handle: Handle,
    clock: SimClock,
    entropy: SimEntropy,
    network: SimNetwork,
    disk: SimDisk,
    spawner: SimSpawner,
    buggify: std::sync::Mutex<ChaCha8Rng>,
}

/// Sites at which rare paths are made common in a run: one in four ...
const SITE_PPM: u32 = 250_000;
/// ... and there, one time in four.
const FIRES_PPM: u32 = 250_000;

impl SimEnv {
    pub(crate) fn new(handle: Handle, seed: u64) -> SimEnv {
        let buggify = Mixer::new(seed)
            .with("buggify")
            .with(handle.node)
            .with(handle.incarnation)
            .stream();
        SimEnv(Arc::new(Parts {
            clock: SimClock(handle.clone()),
            entropy: SimEntropy(handle.clone()),
            network: SimNetwork(handle.clone()),
            disk: SimDisk::new(handle.clone()),
            spawner: SimSpawner(handle.clone()),
            buggify: std::sync::Mutex::new(buggify),
            handle,
        }))
    }

    /// The name of the node.
    #[must_use]
    pub fn node_name(&self) -> Arc<str> {
        self.0.handle.lock().nodes[self.0.handle.node as usize]
            .name
            .clone()
    }

    /// How many processes ran on this node before this one.
    #[must_use]
    pub fn earlier_processes(&self) -> u32 {
        self.0.handle.incarnation - 1
    }
}

impl Env for SimEnv {
    type Clock = SimClock;
    type Entropy = SimEntropy;
    type Network = SimNetwork;
    type Disk = SimDisk;
    type Spawner = SimSpawner;

    const SIM: bool = true;

    fn clock(&self) -> &SimClock {
        &self.0.clock
    }

    fn entropy(&self) -> &SimEntropy {
        &self.0.entropy
    }

    fn network(&self) -> &SimNetwork {
        &self.0.network
    }

    fn disk(&self) -> &SimDisk {
        &self.0.disk
    }

    fn spawner(&self) -> &SimSpawner {
        &self.0.spawner
    }

    fn buggify(&self, site: u32) -> bool {
        let core = self.0.handle.lock();
        if !core.buggify {
            return false;
        }
        let word = std::hash::Hasher::finish(&Mixer::new(core.seed).with("site").with(site));
        let active = ((word >> 32) * 1_000_000) >> 32 < u64::from(SITE_PPM);
        active
            && self
                .0
                .buggify
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .chance(FIRES_PPM)
    }

    fn observe(&self, seen: Seen) {
        let mut core = self.0.handle.lock();
        let node = self.0.handle.node;
        core.trace(node, Event::Seen(seen));
        let at = SeenAt {
            now_ns: core.now,
            node: crate::node::NodeId(node),
            incarnation: self.0.handle.incarnation,
            seen,
        };
        core.seen.push(at);
    }
}
