//! Tasks on a tokio runtime.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use env::{Spawner, Task};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::pool::Pool;

/// Work that may be queued for offloading before callers wait.
const OFFLOAD_QUEUE_MAX: usize = 256;

/// Starts tasks on one runtime.
#[derive(Clone, Debug)]
pub struct TokioSpawner {
    handle: Handle,
    offload: Pool,
    panicked: Arc<watch::Sender<Option<&'static str>>>,
}

impl TokioSpawner {
    /// A spawner for the runtime of `handle`.
    #[must_use]
    pub fn new(handle: Handle) -> TokioSpawner {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        TokioSpawner {
            handle,
            offload: Pool::new("ottla-offload", cores, OFFLOAD_QUEUE_MAX),
            panicked: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Completes with the name of the first task that panics, so that the program can decide what dies
    /// with it.
    pub fn panicked(&self) -> impl Future<Output = &'static str> + Send + 'static {
        let mut seen = self.panicked.subscribe();
        // Keeps the sender alive: a spawner that nobody has any more never panics again.
        let spawner = self.clone();
        async move {
            let name = seen
                .wait_for(Option::is_some)
                .await
                .expect("the sender is kept alive");
            drop(spawner);
            name.expect("waited for")
        }
    }
}

impl Spawner for TokioSpawner {
    type Task = TokioTask;

    fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> TokioTask {
        let panicked = Arc::clone(&self.panicked);
        TokioTask {
            handle: self.handle.spawn(async move {
                if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
                    tracing::error!(task = name, message = message(&*panic), "a task panicked");
                    panicked.send_if_modified(|first| {
                        let is_first = first.is_none();
                        first.get_or_insert(name);
                        is_first
                    });
                }
            }),
        }
    }

    fn offload<T: Send + 'static>(
        &self,
        _name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.offload.run(work)
    }

    fn yield_now(&self) -> impl Future<Output = ()> + Send + 'static {
        tokio::task::yield_now()
    }
}

/// What a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

/// A task on the runtime.
#[derive(Debug)]
pub struct TokioTask {
    handle: JoinHandle<()>,
}

impl Task for TokioTask {
    fn abort(&self) {
        self.handle.abort();
    }

    async fn ended(self) {
        // An error says that it was aborted, and then its future is gone too.
        let _ = self.handle.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_reported_by_the_first_name_and_others_go_on() {
        let spawner = TokioSpawner::new(Handle::current());
        let panicked = spawner.panicked();
        spawner
            .spawn("first", async { panic!("as planned") })
            .ended()
            .await;
        spawner
            .spawn("second", async { panic!("{}", "as planned") })
            .ended()
            .await;
        assert_eq!(panicked.await, "first");
        let (done, seen) = tokio::sync::oneshot::channel();
        spawner.spawn(
            "third",
            async move { done.send(3).expect("the test listens") },
        );
        assert_eq!(seen.await, Ok(3));
    }

    #[tokio::test]
    async fn an_aborted_task_has_dropped_its_future_when_it_has_ended() {
        let spawner = TokioSpawner::new(Handle::current());
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let task = spawner.spawn("held", async move {
            std::future::pending::<()>().await;
            drop(inside);
        });
        spawner.yield_now().await;
        task.abort();
        task.ended().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
