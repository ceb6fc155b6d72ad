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

/// Ears for SIGINT and SIGTERM. What comes while nobody asks is told when somebody does; several of a kind that come
/// before that count as one.
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from this call on. From then on the signals no longer end the process by themselves, whoever listens.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    ///
    /// # Panics
    /// Outside a [`Runtime`].
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one. Asking again waits for another, so that a second Ctrl-C can be taken for impatience.
    pub async fn next(&mut self) -> Signal {
        match env::race(self.interrupt.recv(), self.terminate.recv()).await {
            env::Either::First(_) => Signal::Interrupt,
            env::Either::Second(_) => Signal::Terminate,
        }
    }
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
    fn a_signal_that_comes_while_nobody_asks_is_told() {
        let runtime = Runtime::new(&RuntimeOptions::default()).unwrap();
        let seen = runtime.block_on(async {
            let mut signals = Signals::listen().unwrap();
            let mut others = Signals::listen().unwrap();
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::TERM).unwrap();
            // By now it has come.
            let heard = others.next().await;
            (heard, signals.next().await)
        });
        assert_eq!(seen, (Signal::Terminate, Signal::Terminate));
    }
}
