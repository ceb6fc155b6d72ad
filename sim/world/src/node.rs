//! A node: a machine with a name, two clocks and a disk, and the process that runs on it, if one does.

use std::sync::Arc;

use crate::clock::NodeClock;
use crate::env::SimEnv;
use crate::executor::TaskKey;
use crate::executor::task::BoxedTask;

/// Which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Its number, from zero, in the order in which nodes were added.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Its main task returned.
    Exited,
    /// It was killed; the machine ran on.
    Killed,
    /// The machine lost its power.
    PowerLost,
}

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// A process runs.
    Running,
    /// The machine is on, but no process runs: it refuses connections.
    Idle,
    /// It is off: it answers nothing.
    Off,
}

pub(crate) type Main = Arc<dyn Fn(SimEnv) -> BoxedTask + Send + Sync>;

pub(crate) struct NodeState {
    pub(crate) name: Arc<str>,
    pub(crate) main: Main,
    pub(crate) power: Power,
    /// Processes started so far.
    pub(crate) incarnation: u32,
    pub(crate) last_stop: Option<Stop>,
    pub(crate) clock: NodeClock,
    pub(crate) paused: bool,
    /// Tasks that became ready while the node was paused.
    pub(crate) parked: Vec<TaskKey>,
    pub(crate) main_task: Option<TaskKey>,
    pub(crate) disk: u32,
    /// The next free ephemeral port.
    pub(crate) next_port: u16,
    /// The world as the running process sees it.
    pub(crate) env: Option<SimEnv>,
}

impl NodeState {
    pub(crate) fn is_running(&self) -> bool {
        self.power == Power::Running
    }
}
