//! The choice of the next task.

use std::sync::{Arc, Mutex, PoisonError};

use crate::executor::TaskKey;
use crate::seed::{ChaCha8Rng, Draw, mix};

/// How the next task is chosen among those that are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Uniformly at random.
    Uniform,
    /// The one of the highest priority. Priorities are hashed from the task, and shuffled every so many
    /// polls on average: a task may starve for long, as it may on a loaded machine.
    Priorities {
        /// Mean number of polls between shuffles.
        shuffle_every: u64,
    },
    /// In the order in which they became ready. Finds little; for comparison and for debugging.
    Fifo,
}

/// Where wakers leave the tasks that they wake.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    woken: Mutex<Vec<TaskKey>>,
}

impl ReadyQueue {
    pub(crate) fn push(&self, task: TaskKey) {
        self.woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(task);
    }

    fn drain_into(&self, ready: &mut Vec<TaskKey>) {
        ready.append(&mut self.woken.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[derive(Debug)]
pub(crate) struct Scheduler {
    schedule: Schedule,
    rng: ChaCha8Rng,
    salt: u64,
    pub(crate) queue: Arc<ReadyQueue>,
    ready: Vec<TaskKey>,
}

impl Scheduler {
    pub(crate) fn new(schedule: Schedule, mut rng: ChaCha8Rng) -> Scheduler {
        Scheduler {
            schedule,
            salt: rng.word(),
            rng,
            queue: Arc::default(),
            ready: Vec::with_capacity(32),
        }
    }

    /// The next task to be polled.
    pub(crate) fn next(&mut self) -> Option<TaskKey> {
        self.queue.drain_into(&mut self.ready);
        if self.ready.is_empty() {
            return None;
        }
        let index = match self.schedule {
            Schedule::Fifo => return Some(self.ready.remove(0)),
            Schedule::Uniform if self.ready.len() == 1 => 0,
            Schedule::Uniform => self.rng.index(self.ready.len()),
            Schedule::Priorities { shuffle_every } => {
                if self.rng.below(shuffle_every.max(1)) == 0 {
                    self.salt = self.rng.word();
                }
                let salt = self.salt;
                let priority = |key: &TaskKey| mix(salt, key.as_word());
                let first = priority(&self.ready[0]);
                let best =
                    self.ready
                        .iter()
                        .enumerate()
                        .skip(1)
                        .fold((0, first), |best, (i, key)| {
                            let mine = priority(key);
                            if mine > best.1 { (i, mine) } else { best }
                        });
                best.0
            }
        };
        Some(self.ready.swap_remove(index))
    }

    pub(crate) fn rng_chance(&mut self, ppm: u32) -> bool {
        self.rng.chance(ppm)
    }

    /// Draws for decisions about polling, which belong to the schedule.
    pub(crate) fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }
}
