//! How a command that asks a cluster reaches it, and how long it may take.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use client::{Admin, ClientOptions};
use env::{Clock, Either3, Env, race3};
use env_tokio::{Runtime, RuntimeOptions, TokioEnv, Workers, shutdown_signal};

use crate::exit::{Exit, Failure};
use crate::when;

/// What a client's error may still do after the command's time is up: say what was being waited for.
const GRACE: Duration = Duration::from_millis(250);

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
        command: impl AsyncFnOnce(&mut Admin<TokioEnv>) -> Result<T>,
    ) -> Result<T> {
        let options = self.options()?;
        let limit = Some(self.timeout.saturating_add(GRACE));
        run(limit, OnSignal::End, async |env| {
            let mut admin = Admin::new(&env, options);
            command(&mut admin).await
        })
    }

    /// Runs a command that goes on until it is done or somebody presses Ctrl-C.
    pub(crate) fn stream<T>(
        &self,
        on_signal: OnSignal,
        command: impl AsyncFnOnce(TokioEnv, ClientOptions) -> Result<T>,
    ) -> Result<T> {
        let options = self.options()?;
        run(None, on_signal, async |env| command(env, options).await)
    }
}

/// What Ctrl-C and SIGTERM do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnSignal {
    /// They end the command where it is.
    End,
    /// The command hears them itself, because something is to be put in order first.
    Heard,
}

/// Runs a command on this thread.
pub(crate) fn run<T>(
    limit: Option<Duration>,
    on_signal: OnSignal,
    command: impl AsyncFnOnce(TokioEnv) -> Result<T>,
) -> Result<T> {
    let options = RuntimeOptions {
        workers: Workers::Caller,
        ..RuntimeOptions::default()
    };
    let runtime = Runtime::new(&options).context("the runtime cannot be started")?;
    let env = runtime.env().clone();
    let end = runtime.block_on(async {
        let signal = match on_signal {
            OnSignal::End => Some(shutdown_signal().context("signals cannot be heard")?),
            OnSignal::Heard => None,
        };
        let signal = async {
            match signal {
                Some(signal) => signal.await,
                None => std::future::pending().await,
            }
        };
        let clock = *env.clock();
        let late = async {
            match limit {
                Some(limit) => clock.sleep_until(clock.mono().after(limit)).await,
                None => std::future::pending().await,
            }
        };
        match race3(command(env.clone()), signal, late).await {
            Either3::First(result) => result,
            Either3::Second(_) => Err(Failure::new(Exit::Interrupted, "interrupted").into()),
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
