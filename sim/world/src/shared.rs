//! The state that all parts of a world share.
//!
//! One lock guards it. Nothing that belongs to a node is ever polled or dropped while it is held, because
//! that would ask for the lock again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::DiskState;
use crate::executor::{Due, ReadyQueue, Scheduler, Tasks, Timers};
use crate::network::NetworkState;
use crate::node::NodeState;
use crate::profile::Profile;
use crate::seed::{Draw, Mixer};
use crate::strikes::Strikes;
use crate::trace::{Event, Trace, TraceOptions};
use crate::world::SeenAt;

/// The node index of what no node did.
pub(crate) const NOBODY: u32 = u32::MAX;

pub(crate) struct Core {
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) profile: Profile,
    pub(crate) tasks: Tasks,
    pub(crate) scheduler: Scheduler,
    pub(crate) timers: Timers,
    pub(crate) nodes: Vec<NodeState>,
    pub(crate) disks: Vec<DiskState>,
    pub(crate) network: NetworkState,
    pub(crate) trace: Trace,
    pub(crate) seen: Vec<SeenAt>,
    /// Whether rare paths are still made common; ends when the world heals.
    pub(crate) buggify: bool,
    /// What befell nodes and processes; disks and the network count for themselves.
    pub(crate) strikes: Strikes,
}

impl Core {
    pub(crate) fn new(seed: u64, profile: Profile, trace: TraceOptions) -> Core {
        let stream = |label: &str| Mixer::new(seed).with(label).stream();
        Core {
            seed,
            now: 0,
            tasks: Tasks::default(),
            scheduler: Scheduler::new(profile.schedule, stream("schedule")),
            timers: Timers::default(),
            nodes: Vec::new(),
            disks: Vec::new(),
            network: NetworkState::new(profile.network.clone(), stream("network")),
            trace: Trace::new(trace),
            seen: Vec::new(),
            buggify: profile.buggify,
            strikes: Strikes::default(),
            profile,
        }
    }

    /// Records an event.
    #[inline]
    pub(crate) fn trace(&mut self, node: u32, event: Event) {
        let name = self.nodes.get(node as usize).map_or("-", |node| &node.name);
        self.trace.event(self.now, name, node, event);
    }

    /// Plans something `after` nanoseconds from now.
    pub(crate) fn plan(&mut self, after: u64, due: Due) -> crate::executor::TimerId {
        self.timers.insert(self.now.saturating_add(after), due)
    }

    /// Whether this incarnation of a node is alive.
    pub(crate) fn is_alive(&self, node: u32, incarnation: u32) -> bool {
        self.nodes
            .get(node as usize)
            .is_some_and(|node| node.incarnation == incarnation && node.is_running())
    }

    /// A draw in a given range from the schedule's generator; nothing is drawn if the range is empty.
    pub(crate) fn jitter(&mut self, max: u64) -> u64 {
        if max == 0 {
            0
        } else {
            self.scheduler.rng().below(max + 1)
        }
    }
}

pub(crate) struct Shared {
    core: Mutex<Core>,
    pub(crate) queue: Arc<ReadyQueue>,
}

impl Shared {
    pub(crate) fn new(core: Core) -> Shared {
        Shared {
            queue: core.scheduler.queue.clone(),
            core: Mutex::new(core),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock is a bug of the simulator and ends the run; whoever cleans up may pass.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's way to its world.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: u32,
    pub(crate) incarnation: u32,
}

impl Handle {
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.shared.lock()
    }
}
