//! The runtime: built from options, ended in order.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::{DiskOptions, Seed, TokioEnv};

/// How many threads poll tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as the machine has cores.
    Cores,
    /// This many.
    Count(usize),
    /// None: the thread that calls [`Runtime::block_on`] does it. For tests and instruction counts.
    Caller,
}

/// What to build.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Threads that poll tasks.
    pub workers: Workers,
    /// Threads and thresholds of the disk.
    pub disk: DiskOptions,
    /// Where randomness comes from.
    pub seed: Seed,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        RuntimeOptions {
            workers: Workers::Cores,
            disk: DiskOptions::default(),
            seed: Seed::OperatingSystem,
        }
    }
}

/// A tokio runtime and the world on top of it.
#[derive(Debug)]
pub struct Runtime {
    tokio: tokio::runtime::Runtime,
    env: TokioEnv,
}

impl Runtime {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system refuses threads, the poller or a seed.
    pub fn new(options: &RuntimeOptions) -> io::Result<Runtime> {
        let mut builder = match options.workers {
            Workers::Caller => tokio::runtime::Builder::new_current_thread(),
            Workers::Cores => tokio::runtime::Builder::new_multi_thread(),
            Workers::Count(count) => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(count.max(1));
                builder
            }
        };
        let tokio = builder.enable_all().thread_name("ottla-worker").build()?;
        let env = TokioEnv::new(tokio.handle().clone(), options.seed, options.disk.clone())?;
        Ok(Runtime { tokio, env })
    }

    /// The world.
    #[must_use]
    pub fn env(&self) -> &TokioEnv {
        &self.env
    }

    /// Runs `future` to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.tokio.block_on(future)
    }

    /// Drops all tasks at their next suspension point and waits up to `grace` for work that cannot be
    /// dropped. Files written but not synced stay unsynced: whoever wants an orderly end has asked for
    /// it before.
    pub fn shutdown(self, grace: Duration) {
        let Runtime { tokio, env } = self;
        tokio.shutdown_timeout(grace);
        drop(env);
    }
}

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Somebody pressed Ctrl-C.
    Interrupt,
    /// A supervisor asks.
    Terminate,
}

/// Listens, from this call on, for SIGINT and SIGTERM; the future completes with the first one. Asking
/// again waits for the next, so that a second Ctrl-C can be taken for impatience.
///
/// # Errors
/// The handlers cannot be installed.
///
/// # Panics
/// Outside a [`Runtime`].
pub fn shutdown_signal() -> io::Result<impl Future<Output = Signal> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        match env::race(interrupt.recv(), terminate.recv()).await {
            env::Either::First(_) => Signal::Interrupt,
            env::Either::Second(_) => Signal::Terminate,
        }
    })
}

#[cfg(test)]
mod tests {
    use env::{Clock, Env, Spawner, Task};

    use super::*;

    #[test]
    fn every_kind_of_runtime_runs_tasks_and_ends() {
        for workers in [Workers::Cores, Workers::Count(3), Workers::Caller] {
            let runtime = Runtime::new(&RuntimeOptions {
                workers,
                ..RuntimeOptions::default()
            })
            .unwrap();
            let env = runtime.env().clone();
            runtime.block_on(async {
                let clock = *env.clock();
                let start = clock.mono();
                env.spawner()
                    .spawn("sleeper", clock.sleep_until(start.after_ms(5)))
                    .ended()
                    .await;
                assert!(clock.mono() >= start.after_ms(5));
                assert_eq!(env.spawner().offload("sum", || 2 + 2).await, 4);
            });
            env.spawner().spawn("endless", std::future::pending());
            runtime.shutdown(Duration::from_secs(5));
        }
    }

    #[test]
    fn a_signal_completes_the_future() {
        let runtime = Runtime::new(&RuntimeOptions::default()).unwrap();
        let seen = runtime.block_on(async {
            let signal = shutdown_signal().unwrap();
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::TERM).unwrap();
            signal.await
        });
        assert_eq!(seen, Signal::Terminate);
    }
}
