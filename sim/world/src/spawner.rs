//! Tasks, as a process sees them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use env::{Clock, Mono, Spawner, Task};

use crate::clock::SimClock;
use crate::executor::TaskKey;
use crate::seed::Draw;
use crate::shared::Handle;
use crate::trace::Event;

/// Starts tasks of a process.
#[derive(Clone)]
pub struct SimSpawner(pub(crate) Handle);

impl Spawner for SimSpawner {
    type Task = SimTask;

    fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> SimTask {
        let mut core = self.0.lock();
        if !core.is_alive(self.0.node, self.0.incarnation) {
            // Somebody's destructor, in a process that has just died. The future is dropped unlocked.
            drop(core);
            drop(future);
            return SimTask {
                handle: self.0.clone(),
                key: None,
            };
        }
        let key = core
            .tasks
            .spawn(self.0.node, name, Box::pin(future), &self.0.shared.queue);
        core.trace(
            self.0.node,
            Event::Spawned {
                task: key.slot,
                name,
            },
        );
        SimTask {
            handle: self.0.clone(),
            key: Some(key),
        }
    }

    fn offload<T: Send + 'static>(
        &self,
        _name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let handle = self.0.clone();
        async move {
            let clock = SimClock(handle);
            // Any time from at once to a few milliseconds: another thread's queue is anybody's guess.
            let wait = {
                let mut core = clock.0.lock();
                let rng = core.scheduler.rng();
                if rng.coin() {
                    rng.below(20_000)
                } else {
                    rng.heavy_tail(200_000)
                }
            };
            let at = Mono(clock.mono().0 + wait);
            clock.sleep_until(at).await;
            work()
        }
    }

    fn yield_now(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut yielded = false;
        std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

/// A handle on a task of a process.
pub struct SimTask {
    handle: Handle,
    key: Option<TaskKey>,
}

impl Task for SimTask {
    fn abort(&self) {
        if let Some(key) = self.key {
            self.handle.lock().tasks.abort(key);
        }
    }

    fn ended(self) -> impl Future<Output = ()> + Send + 'static {
        Ended(self)
    }
}

struct Ended(SimTask);

impl Future for Ended {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &self.0;
        match task.key {
            Some(key) if task.handle.lock().tasks.when_ended(key, cx.waker()) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}
