//! The world: it owns the nodes and turns the crank.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use env::{Mono, Seen};

use crate::clock::NodeClock;
use crate::disk::DiskState;
use crate::env::SimEnv;
use crate::executor::Due;
use crate::executor::task::{BoxedTask, Polling};
use crate::faults::power_loss::{Keep, Leaves, Piece};
use crate::network::connection::FIRST_PORT;
use crate::node::{NodeId, NodeState, Power, Stop};
use crate::profile::Profile;
use crate::seed::{ChaCha8Rng, Draw, Mixer};
use crate::shared::{Core, Handle, NOBODY, Shared};
use crate::trace::{Event, Fingerprint, Trace, TraceOptions, begin_moment};
use crate::tripwire;

/// Something a node said about itself, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenAt {
    /// The world's time.
    pub now_ns: u64,
    /// Which node.
    pub node: NodeId,
    /// Which of its processes, from 1.
    pub incarnation: u32,
    /// What it said.
    pub seen: Seen,
}

/// Why a run is over before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A task panicked.
    Panic {
        /// On which node.
        node: String,
        /// Which task.
        task: &'static str,
        /// What it said.
        message: String,
    },
    /// A task asked the operating system for time, entropy or threads.
    Tripwire {
        /// On which node.
        node: String,
        /// Which task.
        task: &'static str,
        /// The call, and where it was made.
        call: String,
    },
    /// Too many polls, or too many without the time going on.
    Hangs {
        /// Which limit, and who was polled last.
        report: String,
    },
    /// Nothing is left to happen, and what was waited for has not.
    Deadlock {
        /// The tasks that are left.
        report: String,
    },
    /// An observer objected.
    Violation(String),
    /// What was waited for did not happen in time.
    TimedOut,
    /// The node on which it ran ended.
    Stopped(Stop),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Panic {
                node,
                task,
                message,
            } => {
                write!(f, "task {task} on {node} panicked: {message}")
            }
            Failure::Tripwire { node, task, call } => {
                write!(f, "task {task} on {node} left the world: {call}")
            }
            Failure::Hangs { report } => write!(f, "the run hangs: {report}"),
            Failure::Deadlock { report } => write!(f, "nothing is left to happen: {report}"),
            Failure::Violation(what) => f.write_str(what),
            Failure::TimedOut => f.write_str("what was waited for did not happen in time"),
            Failure::Stopped(stop) => write!(f, "the process ended first: {stop:?}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Hears what nodes say, in order, after each poll.
pub trait Observer: Send {
    /// # Errors
    /// What is wrong with it: the run ends.
    fn seen(&mut self, seen: &SeenAt) -> Result<(), String>;
}

impl<F: FnMut(&SeenAt) -> Result<(), String> + Send> Observer for F {
    fn seen(&mut self, seen: &SeenAt) -> Result<(), String> {
        self(seen)
    }
}

type Action = Box<dyn FnOnce(&mut World) + Send>;

/// A world made from a seed.
pub struct World {
    pub(crate) shared: Arc<Shared>,
    actions: Vec<Option<Action>>,
    observers: Vec<Box<dyn Observer>>,
    failure: Option<Failure>,
    polls: u64,
    moment: (u64, u64),
    recent: VecDeque<(u32, &'static str)>,
    profile: Profile,
    seed: u64,
}

/// What a power loss leaves.
enum Rule<'a> {
    Drawn,
    Leaves(Leaves),
    Pieces(Keep<'a>),
}

enum Step {
    Polled,
    /// Nothing is left to happen before the limit.
    Idle,
    /// Things are due again and again, and no task hears of them.
    Spins,
    Act(u32),
}

impl World {
    /// A world of its own for each seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> World {
        World::traced(seed, profile, TraceOptions::default())
    }

    /// The same, keeping the text of some events.
    #[must_use]
    pub fn traced(seed: u64, profile: Profile, trace: TraceOptions) -> World {
        World {
            shared: Arc::new(Shared::new(Core::new(seed, profile.clone(), trace))),
            actions: Vec::new(),
            observers: Vec::new(),
            failure: None,
            polls: 0,
            moment: (0, 0),
            recent: VecDeque::with_capacity(8),
            profile,
            seed,
        }
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.lock()
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The world's time in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.core().now
    }

    /// A generator of its own for a use of the world's owner.
    #[must_use]
    pub fn stream(&self, label: &str, id: u64) -> ChaCha8Rng {
        Mixer::new(self.seed)
            .with("owner")
            .with(label)
            .with(id)
            .stream()
    }

    /// Adds a node with a disk of its own. It does not run yet. `main` is called for each of its
    /// processes; when the future that it gives ends, the process does.
    ///
    /// # Panics
    /// If there is a node of that name.
    pub fn add_node<F>(
        &mut self,
        name: &str,
        main: impl Fn(SimEnv) -> F + Send + Sync + 'static,
    ) -> NodeId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut core = self.shared.lock();
        let core = &mut *core;
        assert!(
            core.nodes.iter().all(|node| &*node.name != name),
            "there is a node {name}"
        );
        let node = core.nodes.len() as u32;
        let rate_max = i64::from(self.profile.clock_rate_ppm_max);
        let offset_max = self.profile.wall_offset_ms_max as i64;
        let mut rng = Mixer::new(self.seed).with("clock").with(name).stream();
        let around = |rng: &mut ChaCha8Rng, max: i64| rng.below(2 * max as u64 + 1) as i64 - max;
        let rate = around(&mut rng, rate_max);
        let offset = around(&mut rng, offset_max);
        if rate != 0 {
            core.strikes.hit("clock-rate");
        }
        if offset != 0 {
            core.strikes.hit("clock-off");
        }
        let disk = core.disks.len() as u32;
        let rng = Mixer::new(self.seed).with("disk").with(name).stream();
        let mut state = DiskState::new(&self.profile.disk, rng);
        state.permit(self.profile.disk.damage.permits(self.seed, disk));
        core.disks.push(state);
        core.nodes.push(NodeState {
            name: name.into(),
            main: Arc::new(move |env| Box::pin(main(env))),
            power: Power::Idle,
            incarnation: 0,
            last_stop: None,
            clock: NodeClock::new(core.now, rate, 0, offset),
            paused: false,
            parked: Vec::new(),
            main_task: None,
            disk,
            next_port: FIRST_PORT,
            env: None,
        });
        NodeId(node)
    }

    /// Starts a process on a node, and turns the machine on if it was off.
    ///
    /// # Panics
    /// If a process runs there.
    pub fn start(&mut self, node: NodeId) {
        let (env, main) = {
            let mut core = self.core();
            let core = &mut *core;
            let state = &mut core.nodes[node.index()];
            assert!(!state.is_running(), "{} runs already", state.name);
            let was_off = state.power == Power::Off;
            state.power = Power::Running;
            state.incarnation += 1;
            let incarnation = state.incarnation;
            // The monotonic clock of a process says nothing to another.
            let mono = Mixer::new(core.seed)
                .with("boot")
                .with(node.0)
                .with(incarnation)
                .stream()
                .below(1 << 40);
            state.clock.restart(core.now, mono);
            let main = state.main.clone();
            if was_off {
                core.network_power_on(node.0);
            }
            core.trace(node.0, Event::Started { incarnation });
            let handle = Handle {
                shared: self.shared.clone(),
                node: node.0,
                incarnation,
            };
            (SimEnv::new(handle, core.seed), main)
        };
        // The owner's code runs without the lock.
        let future = main(env.clone());
        let mut core = self.core();
        let core = &mut *core;
        let key = core.tasks.spawn(node.0, "main", future, &self.shared.queue);
        let state = &mut core.nodes[node.index()];
        (state.main_task, state.env) = (Some(key), Some(env));
    }

    /// Adds a node and starts it.
    pub fn start_node<F>(
        &mut self,
        name: &str,
        main: impl Fn(SimEnv) -> F + Send + Sync + 'static,
    ) -> NodeId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let node = self.add_node(name, main);
        self.start(node);
        node
    }

    /// The world of the process that runs on a node.
    ///
    /// # Panics
    /// If none runs.
    #[must_use]
    pub fn env(&self, node: NodeId) -> SimEnv {
        self.core().nodes[node.index()]
            .env
            .clone()
            .expect("a process runs")
    }

    /// Whether a process runs on a node.
    #[must_use]
    pub fn is_running(&self, node: NodeId) -> bool {
        self.core().nodes[node.index()].is_running()
    }

    /// How the last process on a node ended.
    #[must_use]
    pub fn last_stop(&self, node: NodeId) -> Option<Stop> {
        self.core().nodes[node.index()].last_stop
    }

    /// Kills the process on a node. What its calls saw on the disk stays; calls under way may or may not
    /// happen. Nothing happens if none runs.
    pub fn kill(&mut self, node: NodeId) {
        self.stop(node, Stop::Killed, Rule::Drawn);
    }

    /// Takes the power from a machine. Of what was not synced, the seed decides what is left. The machine
    /// is off until [`World::start`].
    pub fn lose_power(&mut self, node: NodeId) {
        self.stop(node, Stop::PowerLost, Rule::Drawn);
    }

    /// The same, with a given rule for what is left.
    pub fn lose_power_leaving(&mut self, node: NodeId, leaves: Leaves) {
        self.stop(node, Stop::PowerLost, Rule::Leaves(leaves));
    }

    /// The same, with a say in every name, length and sector that is not durable: for enumerating crashes.
    /// Calls under way count as made.
    pub fn lose_power_keeping(&mut self, node: NodeId, mut keep: impl FnMut(Piece<'_>) -> bool) {
        self.stop(node, Stop::PowerLost, Rule::Pieces(&mut keep));
    }

    /// How many calls have taken effect on a node's disk: the points at which it may crash.
    #[must_use]
    pub fn disk_calls(&self, node: NodeId) -> u64 {
        self.core().disk_of(node.0).executed
    }

    fn stop(&mut self, node: NodeId, how: Stop, rule: Rule<'_>) {
        let (tasks, env) = {
            let mut core = self.core();
            let core = &mut *core;
            let state = &mut core.nodes[node.index()];
            let was_running = state.is_running();
            if !was_running && (how != Stop::PowerLost || state.power == Power::Off) {
                return;
            }
            state.power = if how == Stop::PowerLost {
                Power::Off
            } else {
                Power::Idle
            };
            state.paused = false;
            state.parked.clear();
            state.main_task = None;
            let env = state.env.take();
            if was_running {
                state.last_stop = Some(how);
            }
            let (now, disk) = (core.now, state.disk as usize);
            core.trace(node.0, Event::Stopped { how });
            core.network_stop(node.0, how);
            let disk = &mut core.disks[disk];
            let timers = match rule {
                _ if how != Stop::PowerLost => disk.kill(now),
                Rule::Drawn => {
                    let leaves = Leaves::draw(&mut disk.rng);
                    disk.lose_power(now, leaves)
                }
                Rule::Leaves(leaves) => disk.lose_power(now, leaves),
                Rule::Pieces(keep) => disk.lose_power_keeping(now, keep),
            };
            let struck = disk.faults.strikes.take_fresh();
            for timer in timers {
                core.timers.cancel(timer);
            }
            for kind in struck {
                core.trace(node.0, Event::Struck { kind });
            }
            (core.tasks.take(Some(node.0)), env)
        };
        // Destructors of the dead ask for the lock.
        drop_all(tasks);
        drop(env);
    }

    /// Stops the processor of a node for a while. With `clock_goes_on` its monotonic clock does (as when
    /// a process is stopped), without it stands still (as when a machine is suspended).
    pub fn pause(&mut self, node: NodeId, for_ns: u64, clock_goes_on: bool) {
        let mut core = self.core();
        let core = &mut *core;
        let state = &mut core.nodes[node.index()];
        if state.paused || !state.is_running() {
            return;
        }
        state.paused = true;
        state.clock.freeze(core.now, !clock_goes_on);
        core.trace(node.0, Event::Paused { paused: true });
        core.plan(for_ns, Due::Resume { node: node.0 });
    }

    /// Makes a node's clocks run faster or slower than the world's time, in millionths.
    pub fn set_clock_rate(&mut self, node: NodeId, ppm: i64) {
        let mut core = self.core();
        let core = &mut *core;
        core.nodes[node.index()].clock.set_rate(core.now, ppm);
        core.strikes.hit("clock-rate");
        core.trace(
            node.0,
            Event::Fault {
                kind: "clock-rate",
                a: ppm as u64,
                b: 0,
            },
        );
    }

    /// Makes a node's wall clock jump.
    pub fn jump_wall_clock(&mut self, node: NodeId, by_ms: i64) {
        let mut core = self.core();
        let core = &mut *core;
        core.nodes[node.index()].clock.jump_wall(core.now, by_ms);
        core.trace(node.0, Event::WallJumped { by_ms });
    }

    /// Lets nothing pass from one node to another until [`World::free_link`].
    pub fn cut_link(&mut self, from: NodeId, to: NodeId) {
        let mut core = self.core();
        core.cut(from.0, to.0);
        core.trace(
            from.0,
            Event::Fault {
                kind: "cut",
                a: u64::from(to.0),
                b: 0,
            },
        );
    }

    /// Ends a cut.
    pub fn free_link(&mut self, from: NodeId, to: NodeId) {
        let mut core = self.core();
        core.free(from.0, to.0);
        core.trace(
            from.0,
            Event::Fault {
                kind: "free",
                a: u64::from(to.0),
                b: 0,
            },
        );
    }

    /// Ends every fault that is going on and lets none begin, for phases that demand progress. Nodes that
    /// are down stay down; what is damaged stays damaged; connections that are doomed are doomed.
    pub fn heal(&mut self) {
        let mut core = self.core();
        let core = &mut *core;
        for (from, to) in core.cuts() {
            core.free(from, to);
        }
        for disk in &mut core.disks {
            disk.faults.heal();
        }
        core.network.profile.heal();
        core.buggify = false;
        core.trace(
            NOBODY,
            Event::Fault {
                kind: "heal",
                a: 0,
                b: 0,
            },
        );
    }

    /// Runs `action` at a moment of the world's time.
    pub fn at(&mut self, at_ns: u64, action: impl FnOnce(&mut World) + Send + 'static) {
        let index = self
            .actions
            .iter()
            .position(Option::is_none)
            .unwrap_or_else(|| {
                self.actions.push(None);
                self.actions.len() - 1
            });
        self.actions[index] = Some(Box::new(action));
        let mut core = self.core();
        let at = at_ns.max(core.now);
        core.timers.insert(at, Due::Action(index as u32));
    }

    /// Has `observer` hear what nodes say from now on.
    pub fn observe(&mut self, observer: impl Observer + 'static) {
        self.observers.push(Box::new(observer));
    }

    /// Starts a task within the process on a node.
    ///
    /// # Panics
    /// If none runs.
    pub fn spawn(
        &mut self,
        node: NodeId,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut core = self.core();
        let core = &mut *core;
        assert!(core.nodes[node.index()].is_running(), "a process runs");
        let key = core
            .tasks
            .spawn(node.0, name, Box::pin(future), &self.shared.queue);
        core.trace(
            node.0,
            Event::Spawned {
                task: key.slot,
                name,
            },
        );
    }

    /// Runs a future within the process on a node until it ends.
    ///
    /// # Errors
    /// The run fails, the process ends, or nothing is left to happen.
    pub fn block_on<T: Send + 'static>(
        &mut self,
        node: NodeId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let result: Arc<Mutex<Option<T>>> = Arc::default();
        let slot = result.clone();
        let lock =
            |slot: &Mutex<Option<T>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.spawn(node, "block-on", async move {
            let value = future.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        });
        loop {
            let step = self.step(u64::MAX)?;
            if let Some(value) = lock(&result) {
                return Ok(value);
            }
            if !self.is_running(node) {
                return Err(Failure::Stopped(
                    self.last_stop(node).unwrap_or(Stop::Exited),
                ));
            }
            if let Step::Idle = step {
                return Err(self.deadlock());
            }
        }
    }

    /// A node of its own for one future, run until it ends: for tests.
    ///
    /// # Errors
    /// As for [`World::block_on`].
    pub fn run<T: Send + 'static, F>(
        &mut self,
        name: &str,
        body: impl FnOnce(SimEnv) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let node = self.start_node(name, |_| std::future::pending());
        let future = body(self.env(node));
        self.block_on(node, future)
    }

    /// Turns the crank until `done` or until nothing is left to happen, but no longer than `limit`.
    ///
    /// # Errors
    /// The run fails; [`Failure::TimedOut`]; [`Failure::Deadlock`].
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut World) -> bool,
    ) -> Result<(), Failure> {
        let until = self.until(limit);
        loop {
            if done(self) {
                return Ok(());
            }
            if let Step::Idle = self.step(until)? {
                let over = self.now_ns() >= until;
                return Err(if over {
                    Failure::TimedOut
                } else {
                    self.deadlock()
                });
            }
        }
    }

    /// Turns the crank for a while of the world's time.
    ///
    /// # Errors
    /// The run fails.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        let until = self.until(time);
        while !matches!(self.step(until)?, Step::Idle) {}
        let mut core = self.core();
        core.now = core.now.max(until);
        Ok(())
    }

    fn until(&self, time: Duration) -> u64 {
        self.now_ns()
            .saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Turns the crank until nothing is left to happen.
    ///
    /// # Errors
    /// The run fails.
    pub fn run_until_idle(&mut self) -> Result<(), Failure> {
        while !matches!(self.step(u64::MAX)?, Step::Idle) {}
        Ok(())
    }

    fn deadlock(&self) -> Failure {
        let core = self.core();
        let names: Vec<String> = core
            .tasks
            .names()
            .take(32)
            .map(|(node, task)| format!("{}/{task}", core.nodes[node as usize].name))
            .collect();
        Failure::Deadlock {
            report: names.join(", "),
        }
    }

    /// One poll, one planned action, or nothing if nothing is due before `until`.
    fn step(&mut self, until: u64) -> Result<Step, Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let polling = match self.next_poll(until) {
            Ok(polling) => polling,
            Err(Step::Spins) => {
                let report = "events without end, and none of them wakes a task".to_owned();
                let failure = Failure::Hangs { report };
                self.failure = Some(failure.clone());
                return Err(failure);
            }
            Err(step) => {
                if let Step::Act(action) = step
                    && let Some(action) = self.actions[action as usize].take()
                {
                    action(self);
                }
                return Ok(step);
            }
        };
        self.poll(polling)
            .inspect_err(|failure| self.failure = Some(failure.clone()))?;
        Ok(Step::Polled)
    }

    /// Lets happen what is due, moves the time, and takes the next task out.
    fn next_poll(&mut self, until: u64) -> Result<Polling, Step> {
        let mut core = self.shared.lock();
        let core = &mut *core;
        let mut quiet = 0u64;
        loop {
            while let Some(due) = core.timers.pop_due(core.now) {
                quiet += 1;
                if quiet > QUIET_MAX {
                    return Err(Step::Spins);
                }
                match due {
                    Due::Wake(waker) => waker.wake(),
                    Due::Disk { disk, op, part } => core.disk_due(disk, op, part),
                    Due::Network(arrival) => core.network_due(arrival),
                    Due::Action(action) => return Err(Step::Act(action)),
                    Due::Resume { node } => core.resume(node),
                }
            }
            while let Some(key) = core.scheduler.next() {
                let Some(node) = core.tasks.node_of(key) else {
                    continue;
                };
                let state = &mut core.nodes[node as usize];
                if state.paused {
                    state.parked.push(key);
                    continue;
                }
                if let Some(polling) = core.tasks.begin_poll(key) {
                    return Ok(polling);
                }
            }
            match core.timers.next_at() {
                Some(at) if at <= until => core.now = core.now.max(at),
                Some(_) => {
                    core.now = core.now.max(until);
                    return Err(Step::Idle);
                }
                None => return Err(Step::Idle),
            }
        }
    }

    fn poll(&mut self, polling: Polling) -> Result<(), Failure> {
        let Polling {
            key,
            node,
            name,
            mut future,
            waker,
            aborted,
        } = polling;
        let (now, ordinal) = {
            let core = self.core();
            (core.now, core.trace.events())
        };
        begin_moment(now, ordinal);
        let polled = if aborted {
            Ok(Poll::Ready(()))
        } else {
            let _armed = tripwire::Armed::new();
            catch_unwind(AssertUnwindSafe(|| {
                future.as_mut().poll(&mut Context::from_waker(&waker))
            }))
        };
        drop(waker);
        let tripped = tripwire::take();
        let done = !matches!(polled, Ok(Poll::Pending));
        // The destructors of a task that has ended belong to it: they run before others hear of its end,
        // and without the lock.
        let mut rest = Some(future);
        if done {
            let future = rest.take();
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
            if dropped.is_err() && polled.is_ok() {
                return Err(self.panicked(node, name, "a destructor panicked".to_owned()));
            }
        }
        let (main_ended, unwanted) = {
            let mut core = self.shared.lock();
            let core = &mut *core;
            core.trace(
                node,
                Event::Polled {
                    task: key.slot,
                    name,
                    done,
                },
            );
            let mut main_ended = false;
            let unwanted = match rest {
                Some(future) => core.tasks.end_poll(key, future),
                None => {
                    let state = &core.nodes[node as usize];
                    main_ended = state.main_task == Some(key);
                    for waker in core.tasks.finish(key) {
                        waker.wake();
                    }
                    None
                }
            };
            core.now += core.jitter(self.profile.poll_cost_ns_max);
            if core.scheduler.rng_chance(self.profile.spurious_poll_ppm) {
                let Core {
                    tasks, scheduler, ..
                } = core;
                tasks.wake_spuriously(|count| scheduler.rng().index(count));
                core.strikes.hit("poll-spurious");
            }
            self.polls += 1;
            if self.moment.0 == core.now {
                self.moment.1 += 1;
            } else {
                self.moment = (core.now, 0);
            }
            (main_ended, unwanted)
        };
        drop(unwanted);
        if let Err(panic) = polled {
            return Err(self.panicked(node, name, panic_message(&*panic)));
        }
        if let Some(call) = tripped {
            let node = self.core().nodes[node as usize].name.to_string();
            return Err(Failure::Tripwire {
                node,
                task: name,
                call,
            });
        }
        self.check_limits(node, name)?;
        self.tell_observers()?;
        if main_ended {
            self.stop(NodeId(node), Stop::Exited, Rule::Drawn);
        }
        Ok(())
    }

    fn panicked(&self, node: u32, task: &'static str, message: String) -> Failure {
        let node = self.core().nodes[node as usize].name.to_string();
        Failure::Panic {
            node,
            task,
            message,
        }
    }

    fn check_limits(&mut self, node: u32, name: &'static str) -> Result<(), Failure> {
        let limits = self.profile.limits;
        let over = if self.polls >= limits.polls_max {
            "too many polls"
        } else if self.moment.1 >= limits.polls_at_one_moment_max {
            "the time stands still"
        } else {
            return Ok(());
        };
        if self.recent.len() < 8 {
            // Let a few more run, so that the report names those who take turns.
            self.recent.push_back((node, name));
            return Ok(());
        }
        let core = self.core();
        let who: Vec<String> = self
            .recent
            .iter()
            .map(|(node, task)| format!("{}/{task}", core.nodes[*node as usize].name))
            .collect();
        Err(Failure::Hangs {
            report: format!("{over}; polled last: {}", who.join(", ")),
        })
    }

    fn tell_observers(&mut self) -> Result<(), Failure> {
        let seen = {
            let mut core = self.shared.lock();
            if core.seen.is_empty() {
                return Ok(());
            }
            std::mem::take(&mut core.seen)
        };
        for seen in &seen {
            for observer in &mut self.observers {
                observer.seen(seen).map_err(Failure::Violation)?;
            }
        }
        Ok(())
    }

    /// How often each fault really struck: see [`crate::strikes`].
    #[must_use]
    pub fn strikes(&self) -> BTreeMap<&'static str, u64> {
        let core = self.core();
        let mut all = BTreeMap::new();
        core.strikes.add_to(&mut all);
        core.network.strikes.add_to(&mut all);
        for disk in &core.disks {
            disk.faults.strikes.add_to(&mut all);
        }
        all
    }

    /// How many polls there were.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.core().trace.events()
    }

    /// The hash of everything that happened.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.core().trace.hash()
    }

    /// What this run is compared with another by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.core().trace.fingerprint()
    }

    /// Reads the trace.
    pub fn with_trace<T>(&self, read: impl FnOnce(&Trace) -> T) -> T {
        read(&self.core().trace)
    }

    /// The wall clock of a node, in ms since the epoch.
    #[must_use]
    pub fn wall_ms(&self, node: NodeId) -> i64 {
        let core = self.core();
        core.nodes[node.index()].clock.wall_ms(core.now)
    }

    /// The monotonic clock of a node.
    #[must_use]
    pub fn mono(&self, node: NodeId) -> Mono {
        let core = self.core();
        Mono(core.nodes[node.index()].clock.mono(core.now))
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.core().nodes.len() as u32).map(NodeId)
    }

    /// The name of a node.
    #[must_use]
    pub fn node_name(&self, node: NodeId) -> Arc<str> {
        self.core().nodes[node.index()].name.clone()
    }
}

/// Most events between two polls.
const QUIET_MAX: u64 = 10_000_000;

impl Core {
    fn resume(&mut self, node: u32) {
        let now = self.now;
        let state = &mut self.nodes[node as usize];
        if !state.paused {
            return;
        }
        state.paused = false;
        state.clock.freeze(now, false);
        for key in std::mem::take(&mut state.parked) {
            self.scheduler.queue.push(key);
        }
        self.trace(node, Event::Paused { paused: false });
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

/// Drops tasks one by one; a destructor that panics is not allowed to take the others with it.
fn drop_all(tasks: Vec<BoxedTask>) {
    for task in tasks {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks hold the world, and the world holds the tasks: somebody has to let go.
        let (tasks, envs) = {
            let mut core = self.core();
            let core = &mut *core;
            let mut envs = Vec::new();
            for node in &mut core.nodes {
                node.power = Power::Off;
                envs.extend(node.env.take());
            }
            (core.tasks.take(None), envs)
        };
        drop_all(tasks);
        drop(envs);
        let core = &mut *self.core();
        core.nodes.clear();
    }
}
