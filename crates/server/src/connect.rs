//! How a command that asks a cluster reaches it, and how long it may take.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use client::{Admin, ClientOptions};
use env::{Clock, Either, Either3, Env, race, race3};
use env_tokio::{Runtime, RuntimeOptions, Signals, TokioClock, TokioEnv, Workers};
use tokio::sync::watch;
use types::Mono;

use crate::exit::{Exit, Failure};
use crate::when;

/// What a client's error may still do after the command's time is up: say what was being waited for.
const GRACE: Duration = Duration::from_millis(250);

/// How long a command may take to hear a signal.
const HEARING: Duration = Duration::from_secs(3);

/// Under this the options stand in the help, after a command's own.
const CONNECTION: &str = "Connection";

/// Whom to ask.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connect {
    /// Brokers to ask first: any that answers will do.
    #[arg(
        short,
        long,
        global = true,
        env = "OTTLA_BOOTSTRAP",
        hide_env_values = true,
        default_value = "localhost:9092",
        value_name = "HOST:PORT,...",
        help_heading = CONNECTION,
        display_order = 901
    )]
    pub bootstrap: String,
    /// How long the command may take, retries included: `10s`, `500ms`, `2m`. For `produce` and `consume`, how
    /// long without any progress.
    #[arg(
        long,
        global = true,
        default_value = "10s",
        value_name = "DURATION",
        value_parser = timeout,
        help_heading = CONNECTION,
        display_order = 902
    )]
    pub timeout: Duration,
    /// What this client calls itself.
    #[arg(
        long,
        global = true,
        default_value = "ottla-cli",
        value_name = "NAME",
        help_heading = CONNECTION,
        display_order = 903
    )]
    pub client_id: String,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let ms = when::duration_ms(text)?;
    match u64::try_from(ms) {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err("a time above zero".to_owned()),
    }
}

impl Connect {
    /// How clients reach the cluster.
    pub(crate) fn options(&self) -> Result<ClientOptions> {
        let options = ClientOptions::new(&self.bootstrap)
            .map_err(|error| Failure::usage(format!("--bootstrap: {error}")))?;
        Ok(options.client_id(&self.client_id).timeout(self.timeout))
    }

    /// Runs a command that asks and is done: it may take [`Connect::timeout`] in all.
    pub(crate) fn ask<T>(
        &self,
        command: impl AsyncFnOnce(&mut Admin<TokioEnv>, &Deadline) -> Result<T>,
    ) -> Result<T> {
        let options = self.options()?;
        let limit = Some(self.timeout.saturating_add(GRACE));
        run(limit, async |env, deadline| {
            let mut admin = Admin::new(&env, options);
            command(&mut admin, deadline).await
        })
    }

    /// Runs a command that goes on until it is done or somebody presses Ctrl-C.
    pub(crate) fn stream<T>(
        &self,
        command: impl AsyncFnOnce(TokioEnv, ClientOptions) -> Result<T>,
    ) -> Result<T> {
        let options = self.options()?;
        run(None, async |env, _| command(env, options).await)
    }

    /// The same for a command that hears Ctrl-C and SIGTERM itself, because something is to be put in order first.
    pub(crate) fn stream_with_signals<T>(
        &self,
        command: impl AsyncFnOnce(TokioEnv, ClientOptions, Signals) -> Result<T>,
    ) -> Result<T> {
        let options = self.options()?;
        // What is put in order after the first takes its time; whoever sends a second does not wait for that.
        let (runtime, signals) = start(2)?;
        let end = runtime.block_on(command(runtime.env().clone(), options, signals));
        runtime.shutdown(Duration::from_secs(1));
        end
    }
}

/// Until when a command may take. It does not run while somebody is asked: people take the time that they take.
pub(crate) struct Deadline {
    clock: TokioClock,
    limit: Option<Duration>,
    until: watch::Sender<Option<Mono>>,
    asking: Cell<bool>,
}

impl Deadline {
    fn new(clock: TokioClock, limit: Option<Duration>) -> Deadline {
        let until = limit.map(|limit| clock.mono().after(limit));
        Deadline {
            clock,
            limit,
            until: watch::Sender::new(until),
            asking: Cell::new(false),
        }
    }

    /// Waits for somebody's answer. What comes after it has the command's whole time again.
    pub(crate) async fn while_asking<T>(&self, answer: impl Future<Output = T>) -> T {
        self.asking.set(true);
        self.until.send_replace(None);
        let answer = answer.await;
        let until = self.limit.map(|limit| self.clock.mono().after(limit));
        self.until.send_replace(until);
        self.asking.set(false);
        answer
    }

    /// Completes when the time is up.
    async fn passed(&self) {
        let mut changes = self.until.subscribe();
        loop {
            let until = *changes.borrow_and_update();
            let passed = async {
                match until {
                    Some(until) => self.clock.sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            if let Either::First(()) = race(passed, changes.changed()).await {
                return;
            }
        }
    }
}

/// A runtime on this thread, and ears that miss no signal. The process ends if it does not after so many of them.
fn start(last: usize) -> Result<(Runtime, Signals)> {
    let runtime = on_this_thread().context("the runtime cannot be started")?;
    let signals = runtime.block_on(async { Signals::listen() });
    let signals = signals.context("signals cannot be heard")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        // Without its own ear only the command hears signals.
        .spawn(move || drop(end_the_deaf(last)))
        .context("a thread for signals cannot be started")?;
    Ok((runtime, signals))
}

/// Runs a command on this thread. Ctrl-C and SIGTERM end it where it is.
pub(crate) fn run<T>(
    limit: Option<Duration>,
    command: impl AsyncFnOnce(TokioEnv, &Deadline) -> Result<T>,
) -> Result<T> {
    let (runtime, mut signals) = start(1)?;
    let env = runtime.env().clone();
    let end = runtime.block_on(async {
        let deadline = Deadline::new(*env.clock(), limit);
        match race3(
            command(env.clone(), &deadline),
            signals.next(),
            deadline.passed(),
        )
        .await
        {
            Either3::First(result) => result,
            Either3::Second(_) => {
                let text = match deadline.asking.get() {
                    true => "interrupted: nothing was done",
                    false => "interrupted",
                };
                Err(Failure::new(Exit::Interrupted, text).into())
            }
            Either3::Third(()) => Err(Failure::new(
                Exit::Unreachable,
                "the command took longer than it may",
            )
            .next("`--timeout 60s` gives it more")
            .into()),
        }
    });
    runtime.shutdown(Duration::from_secs(1));
    end
}

fn on_this_thread() -> std::io::Result<Runtime> {
    Runtime::new(&RuntimeOptions {
        workers: Workers::Caller,
        ..RuntimeOptions::default()
    })
}

/// Ends the process if its command does not hear a signal, because its thread is held up: by a filter that never
/// ends, or by a pipe that nobody reads from.
fn end_the_deaf(last: usize) -> Result<()> {
    let runtime = on_this_thread()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        for _ in 0..last {
            signals.next().await;
        }
        let clock = *runtime.env().clock();
        clock.sleep_until(clock.mono().after(HEARING)).await;
        eprintln!("ottla: interrupted");
        std::process::exit(Exit::Interrupted.code().into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    const LIMIT: Duration = Duration::from_secs(1);

    #[test]
    fn what_comes_after_an_answer_has_the_whole_time_and_no_more() {
        let mut came_after = false;
        let late = run(Some(LIMIT), async |env, deadline| {
            let clock = *env.clock();
            let answer = clock.sleep_until(clock.mono().after(LIMIT * 3 / 2));
            deadline.while_asking(answer).await;
            clock.sleep_until(clock.mono().after(LIMIT / 2)).await;
            came_after = true;
            std::future::pending::<Result<()>>().await
        });
        assert!(came_after);
        assert_eq!(exit::of(&late.unwrap_err()), Some(Exit::Unreachable));
    }
}
