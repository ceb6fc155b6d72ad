//! Starts what is down, stops what is to be stopped, and restarts a broker that has given up: the
//! operator of the simulated machines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker::{BrokerConfig, StartError};
use env::{Either, race};
use storage::error::StorageError;
use tokio::sync::Notify;
use world::seed::Draw;
use world::{NodeId, SimEnv, World};

use super::disks::{self, Spares};
use crate::history::History;

const MS: u64 = 1_000_000;
/// How often the operator looks.
const TICK_MS: u64 = 50;
/// How often the operator restarts the broker, after the storm, for partitions that are offline.
const RESTARTS_MAX: u32 = 6;

/// What the operator and the broker's process tell each other.
#[derive(Debug, Default)]
pub struct Control {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Nodes that stay down until a moment.
    down_until: BTreeMap<NodeId, u64>,
    /// Wakes the broker's process, and how patient its stop is.
    stop: Option<(Arc<Notify>, i64)>,
    /// A partition went offline in this process: it will serve again only after a restart.
    offline: bool,
    healing: bool,
    /// Restarts since the storm was over.
    restarts: u32,
    last_start_error: Option<String>,
    serving: bool,
    /// Which disk is in the broker's machine.
    disk_in: DiskIn,
    /// What its own disk says of itself.
    own_identity: Option<String>,
    /// The machine that has its own disk meanwhile.
    spare: Option<NodeId>,
    told_its_cluster: bool,
}

/// Which disk is in the broker's machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskIn {
    /// Its own.
    #[default]
    Own,
    /// Somebody else's, or nobody's, with data on it.
    Foreign,
    /// An empty one.
    Empty,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A partition went offline.
    pub fn went_offline(&self) {
        self.lock().offline = true;
    }

    /// Why the broker did not start when it last did not.
    #[must_use]
    pub fn last_start_error(&self) -> Option<String> {
        self.lock().last_start_error.clone()
    }

    /// Which disk is in the broker's machine.
    #[must_use]
    pub fn disk_in(&self) -> DiskIn {
        self.lock().disk_in
    }

    /// Another disk is in the broker's machine, and what its own says of itself, if that is known.
    pub fn put_in(&self, disk: DiskIn, own_identity: Option<String>) {
        let mut inner = self.lock();
        (inner.disk_in, inner.own_identity) = (disk, own_identity);
    }

    /// What the broker's own disk says of itself, while another is in.
    #[must_use]
    pub fn own_identity(&self) -> Option<String> {
        self.lock().own_identity.clone()
    }

    /// The machine that has the broker's disk.
    #[must_use]
    pub fn spare(&self) -> Option<NodeId> {
        self.lock().spare
    }

    /// Which machine has the broker's disk, or had it last.
    pub fn set_spare(&self, spare: NodeId) {
        self.lock().spare = Some(spare);
    }

    /// The broker's settings name its cluster.
    pub fn tell_its_cluster(&self) {
        self.lock().told_its_cluster = true;
    }

    /// Whether they do.
    #[must_use]
    pub fn is_told_its_cluster(&self) -> bool {
        self.lock().told_its_cluster
    }

    /// Whether the broker listens.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.lock().serving
    }

    /// Whether the operator still hopes that a restart helps. Once nothing breaks any more a few do; what is
    /// damaged stays offline then, and the rest has to work without it.
    fn may_restart(&self) -> bool {
        let mut inner = self.lock();
        inner.restarts += u32::from(inner.healing);
        inner.restarts <= RESTARTS_MAX
    }

    /// A process of the broker begins.
    fn begin(&self) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut inner = self.lock();
        (inner.offline, inner.serving) = (false, false);
        inner.stop = Some((notify.clone(), 0));
        notify
    }
}

/// One broker process, from its start to its end.
pub async fn broker_process(
    env: SimEnv,
    config: BrokerConfig,
    control: Arc<Control>,
    history: History,
) {
    let stop = control.begin();
    let started = broker::Node::start(env, config).await;
    if control.disk_in() == DiskIn::Foreign {
        history.judge("L14", started.is_err(), || {
            "the broker serves a disk that is not its own".to_owned()
        });
    }
    let node = match started {
        Ok(node) => node,
        Err(error) => {
            if let StartError::Storage(StorageError::ForeignDisk { .. }) = &error {
                history.exercised("foreign-disk-refused");
                // A number in `meta.properties` that rotted makes the directory another's.
                let harmed = history.lock().harmed_whole().any;
                let right = control.disk_in() == DiskIn::Foreign || harmed;
                history.judge("L14", right, || {
                    format!("the broker refuses its own disk: {error}")
                });
            }
            control.lock().last_start_error = Some(error.to_string());
            return;
        }
    };
    control.lock().serving = true;
    match race(stop.notified(), node.failed()).await {
        Either::First(()) => {
            let patience = control.lock().stop.as_ref().map_or(0, |(_, ms)| *ms);
            node.stop(patience).await;
        }
        Either::Second(error) => {
            control.lock().last_start_error = Some(format!("gave up: {error}"));
        }
    }
}

/// The machines of a run.
#[derive(Clone)]
pub struct Site {
    /// The broker's machine.
    pub broker: NodeId,
    /// The clients' machines.
    pub clients: Arc<Vec<NodeId>>,
    /// What the oracles know.
    pub history: History,
    /// What is said between the operator and the broker.
    pub control: Arc<Control>,
    /// Other disks.
    pub spares: Spares,
}

impl Site {
    /// A client's machine; there are as many as it takes.
    #[must_use]
    pub fn client(&self, index: usize) -> NodeId {
        self.clients[index % self.clients.len()]
    }

    /// Whether the storm is over.
    #[must_use]
    pub fn is_healing(&self) -> bool {
        self.control.lock().healing
    }

    /// Nobody starts the broker for a while.
    pub fn broker_down_until(&self, world: &World, ms: u64) {
        self.client_down_until(world, self.broker, ms);
    }

    /// Nobody starts a machine for a while.
    pub fn client_down_until(&self, world: &World, node: NodeId, ms: u64) {
        let until = world.now_ns() + ms * MS;
        let mut inner = self.control.lock();
        let known = inner.down_until.entry(node).or_default();
        *known = (*known).max(until);
        if node == self.broker {
            inner.serving = false;
        }
    }

    /// Asks the broker's process to stop; it is started again `down_ms` after it has ended.
    pub fn stop_cleanly(&self, world: &World, patience_ms: i64, down_ms: u64) {
        {
            let mut inner = self.control.lock();
            inner.serving = false;
            if let Some((notify, patience)) = &mut inner.stop {
                *patience = patience_ms;
                notify.notify_one();
            }
        }
        let down = u64::try_from(patience_ms).unwrap_or(0).min(50) + down_ms;
        self.broker_down_until(world, down);
    }

    /// The storm is over: whoever is down is started, and nobody stops anything.
    pub fn heal(&self, world: &mut World) {
        {
            let mut inner = self.control.lock();
            inner.healing = true;
            inner.down_until.clear();
        }
        disks::give_back(world, self);
        world.heal();
    }

    /// The broker's wall clock jumps.
    pub fn jump_broker_wall(&self, world: &mut World, by_ms: i64) {
        self.history.broker_wall(world.wall_ms(self.broker));
        world.jump_wall_clock(self.broker, by_ms);
        self.history.broker_wall(world.wall_ms(self.broker));
    }

    /// Starts a machine that is down, unless somebody wants it to be.
    pub fn start_if_due(&self, world: &mut World, node: NodeId) {
        let until = self.control.lock().down_until.get(&node).copied();
        if world.now_ns() >= until.unwrap_or(0) && !world.is_running(node) {
            world.start(node);
        }
    }

    /// Begins to look after the machines.
    pub fn supervise(&self, world: &mut World) {
        let site = self.clone();
        let next = world.now_ns() + TICK_MS * MS;
        world.at(next, move |world| {
            site.look_after(world);
            site.supervise(world);
        });
    }

    fn look_after(&self, world: &mut World) {
        let now = world.now_ns();
        self.history.broker_wall(world.wall_ms(self.broker));
        let nodes: Vec<NodeId> = self.clients.iter().copied().chain([self.broker]).collect();
        for node in nodes {
            self.start_if_due(world, node);
        }
        let offline = std::mem::take(&mut self.control.lock().offline);
        if offline && world.is_running(self.broker) && self.control.may_restart() {
            self.history.exercised("operator-restart");
            // Some operators are patient, some are not.
            if world.stream("operator", now).coin() {
                self.stop_cleanly(world, 2_000, 10);
            } else {
                world.kill(self.broker);
                self.broker_down_until(world, 10);
            }
        }
    }
}
