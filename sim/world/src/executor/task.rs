//! Tasks and their wakers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use crate::executor::ReadyQueue;

pub(crate) type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Which task; never the same for two tasks of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskKey {
    pub(crate) slot: u32,
    generation: u32,
}

impl TaskKey {
    pub(crate) fn as_word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

/// Puts its task into the ready queue, once until it is polled.
#[derive(Debug)]
struct TaskWaker {
    key: TaskKey,
    queued: AtomicBool,
    queue: Arc<ReadyQueue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.queue.push(self.key);
        }
    }
}

struct Running {
    /// `None` while it is being polled.
    future: Option<BoxedTask>,
    node: u32,
    name: &'static str,
    wake: Arc<TaskWaker>,
    waker: Waker,
    /// The task's future is to be dropped when its turn comes.
    aborted: bool,
    ended: Vec<Waker>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    running: Option<Running>,
}

/// What a poll needs.
pub(crate) struct Polling {
    pub(crate) key: TaskKey,
    pub(crate) node: u32,
    pub(crate) name: &'static str,
    pub(crate) future: BoxedTask,
    pub(crate) waker: Waker,
    /// Drop it and do not poll it.
    pub(crate) aborted: bool,
}

/// All tasks of a world.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
}

impl Tasks {
    pub(crate) fn spawn(
        &mut self,
        node: u32,
        name: &'static str,
        future: BoxedTask,
        queue: &Arc<ReadyQueue>,
    ) -> TaskKey {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 tasks at a time")
        });
        let entry = &mut self.slots[slot as usize];
        let key = TaskKey {
            slot,
            generation: entry.generation,
        };
        let wake = Arc::new(TaskWaker {
            key,
            queued: AtomicBool::new(true),
            queue: queue.clone(),
        });
        entry.running = Some(Running {
            future: Some(future),
            node,
            name,
            waker: Waker::from(wake.clone()),
            wake,
            aborted: false,
            ended: Vec::new(),
        });
        queue.push(key);
        key
    }

    fn running(&mut self, key: TaskKey) -> Option<&mut Running> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation {
            slot.running.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn node_of(&self, key: TaskKey) -> Option<u32> {
        let slot = self.slots.get(key.slot as usize)?;
        (slot.generation == key.generation).then_some(slot.running.as_ref()?.node)
    }

    /// Takes a task's future out to be polled; `None` if the task has ended meanwhile.
    pub(crate) fn begin_poll(&mut self, key: TaskKey) -> Option<Polling> {
        let running = self.running(key)?;
        running.wake.queued.store(false, Ordering::Relaxed);
        Some(Polling {
            key,
            node: running.node,
            name: running.name,
            future: running.future.take()?,
            waker: running.waker.clone(),
            aborted: running.aborted,
        })
    }

    /// Puts a task's future back, or gives it back to be dropped if its process died while it ran.
    pub(crate) fn end_poll(&mut self, key: TaskKey, future: BoxedTask) -> Option<BoxedTask> {
        match self.running(key) {
            None => Some(future),
            Some(running) => {
                running.future = Some(future);
                None
            }
        }
    }

    /// Forgets a task whose future has been dropped; those who wait for its end are to be woken.
    pub(crate) fn finish(&mut self, key: TaskKey) -> Vec<Waker> {
        if self.running(key).is_none() {
            return Vec::new();
        }
        let slot = &mut self.slots[key.slot as usize];
        slot.generation += 1;
        self.vacant.push(key.slot);
        slot.running
            .take()
            .map_or_else(Vec::new, |running| running.ended)
    }

    pub(crate) fn abort(&mut self, key: TaskKey) {
        if let Some(running) = self.running(key) {
            running.aborted = true;
            running.wake.wake_by_ref();
        }
    }

    /// Registers `waker` for the end of a task; false if it has ended.
    pub(crate) fn when_ended(&mut self, key: TaskKey, waker: &Waker) -> bool {
        match self.running(key) {
            None => false,
            Some(running) => {
                if !running.ended.iter().any(|known| known.will_wake(waker)) {
                    running.ended.push(waker.clone());
                }
                true
            }
        }
    }

    /// Makes a task ready, for which nothing has happened.
    pub(crate) fn wake_spuriously(&mut self, draw: impl FnOnce(usize) -> usize) {
        if self.slots.is_empty() {
            return;
        }
        let index = draw(self.slots.len());
        if let Some(running) = &self.slots[index].running {
            running.wake.wake_by_ref();
        }
    }

    /// Takes out the tasks of a process, or all; they are to be dropped without the world's lock.
    pub(crate) fn take(&mut self, node: Option<u32>) -> Vec<BoxedTask> {
        let mut taken = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot
                .running
                .as_ref()
                .is_some_and(|task| node.is_none_or(|node| node == task.node))
            {
                slot.generation += 1;
                self.vacant.push(index as u32);
                taken.extend(slot.running.take().and_then(|running| running.future));
            }
        }
        taken
    }

    /// Names of tasks that are alive, for reports.
    pub(crate) fn names(&self) -> impl Iterator<Item = (u32, &'static str)> {
        self.slots
            .iter()
            .filter_map(|slot| slot.running.as_ref().map(|task| (task.node, task.name)))
    }
}
