//! A few threads with a bounded queue, for work that blocks.
//!
//! Threads are started when there is work that no idle one can take, and live as long as the pool; a
//! process that never touches a disk has none. Tokio's own blocking pool is not used: it grows to
//! hundreds of threads, its queue has no bound, and a round trip through it costs more
//! (docs/decisions/0003-disk-threads.md).

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// A pool; clones share it. Threads end when the last clone is dropped, after the work already queued.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner(Arc<Shared>);

struct Shared {
    name: &'static str,
    threads_max: usize,
    /// Room in the queue, for those who can wait.
    room: Arc<Semaphore>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of at most `threads_max` threads. Beyond `queue_max` jobs, callers wait.
    pub(crate) fn new(name: &'static str, threads_max: usize, queue_max: usize) -> Pool {
        assert!(threads_max > 0, "a pool without threads does no work");
        assert!(queue_max > 0, "a pool without a queue takes no work");
        Pool {
            owner: Arc::new(Owner(Arc::new(Shared {
                name,
                threads_max,
                room: Arc::new(Semaphore::new(queue_max.min(Semaphore::MAX_PERMITS))),
                state: Mutex::default(),
                work: Condvar::new(),
            }))),
        }
    }

    /// Runs `work` on a thread of the pool. A panic in it continues in the caller.
    ///
    /// If the future is dropped before the work was queued, it is not done; afterwards it is.
    pub(crate) fn run<T, F>(&self, work: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let pool = self.clone();
        async move {
            let room = Arc::clone(&pool.owner.0.room);
            let permit = room
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let (answer, answered) = oneshot::channel();
            pool.push(Box::new(move || {
                let result = catch_unwind(AssertUnwindSafe(work));
                drop(permit);
                // Nobody may be waiting any more, and that is all right.
                let _ = answer.send(result);
            }));
            match answered.await.expect("a queued job is always run") {
                Ok(value) => value,
                Err(panic) => resume_unwind(panic),
            }
        }
    }

    /// Queues a job without waiting for room. For work whose amount is bounded by something else.
    pub(crate) fn push(&self, job: Job) {
        let shared = &self.owner.0;
        let mut state = shared.lock();
        state.queue.push_back(job);
        if state.idle < state.queue.len() && state.threads < shared.threads_max {
            state.threads += 1;
            let number = state.threads;
            drop(state);
            let shared = Arc::clone(shared);
            let started = std::thread::Builder::new()
                .name(format!("{}-{number}", shared.name))
                .spawn({
                    let shared = Arc::clone(&shared);
                    move || shared.serve()
                });
            if let Err(error) = started {
                let mut state = shared.lock();
                state.threads -= 1;
                // Without threads no file can be read or written: nothing sensible is left to do.
                assert!(state.threads > 0, "no thread can be started: {error}");
                drop(state);
                // The others do it, one after another.
                shared.work.notify_one();
            }
        } else {
            drop(state);
            shared.work.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs run outside the lock and the sections under it do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn never_has_more_threads_than_asked_for_and_loses_no_work() {
        let pool = Pool::new("test", 3, 8);
        let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..200)
            .map(|i| {
                let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
                tokio::spawn(pool.run(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    peak.fetch_max(now, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_micros(200));
                    running.fetch_sub(1, Ordering::SeqCst);
                    i
                }))
            })
            .collect();
        let mut sum = 0;
        for job in jobs {
            sum += job.await.unwrap();
        }
        assert_eq!(sum, (0..200).sum::<i32>());
        let peak = peak.load(Ordering::SeqCst);
        assert!((2..=3).contains(&peak), "{peak} threads at once");
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_the_thread_goes_on() {
        let pool = Pool::new("test", 1, 1);
        let failed = tokio::spawn(pool.run(|| panic!("as planned"))).await;
        assert!(failed.is_err_and(|error| error.is_panic()));
        assert_eq!(pool.run(|| 5).await, 5);
    }

    #[test]
    fn work_queued_before_the_end_is_still_done() {
        let (done, seen) = mpsc::channel();
        let pool = Pool::new("test", 1, 1);
        for i in 0..100 {
            let done = done.clone();
            pool.push(Box::new(move || done.send(i).expect("the test listens")));
        }
        drop((pool, done));
        assert_eq!(
            seen.iter().collect::<Vec<_>>(),
            (0..100).collect::<Vec<_>>()
        );
    }
}
