//! Tasks.

use std::future::Future;

/// Starts tasks.
pub trait Spawner: Clone + Send + Sync + 'static {
    /// A handle on a task.
    type Task: Task;

    /// Runs `future` as a task of its own. `name` is for people: logs, stall reports, traces.
    /// Dropping the handle lets the task run on.
    fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Self::Task;

    /// Runs CPU-heavy `work` where it does not hold up tasks (in the simulator: at a moment of the
    /// seed's choosing).
    fn offload<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static;

    /// Gives other tasks a turn.
    fn yield_now(&self) -> impl Future<Output = ()> + Send + 'static;
}

/// A handle on a task.
pub trait Task: Send + Sync + 'static {
    /// Ends the task at its next suspension point; its future is dropped.
    fn abort(&self);

    /// Completes when the task has ended, by itself or by [`Task::abort`], and its future is dropped.
    fn ended(self) -> impl Future<Output = ()> + Send + 'static;
}
