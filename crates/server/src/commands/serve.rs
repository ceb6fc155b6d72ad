//! `ottla serve`: run a node until somebody says stop.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use broker::Node;
use env::{Either3, Env as _, race3};
use env_tokio::{Runtime, RuntimeOptions, Signals, TokioEnv, Workers};

use storage::StorageError;

use crate::cli::Serve;
use crate::exit::{self, Exit, Failure};
use crate::output::{self, Output, rows};
use crate::settings::machine::Machine;
use crate::settings::node;

/// How long a stopping node may take to close its logs.
const STOP_PATIENCE_MS: i64 = 30_000;

/// Runs a node.
pub(crate) fn run(args: &Serve, output: Output) -> Result<Exit> {
    let started = Instant::now();
    let listen = args.listen.as_ref();
    let data = args.data.as_ref();
    let settings = args.sources.gather(&[
        ("listeners", listen.map(|at| format!("PLAINTEXT://{at}"))),
        ("log.dirs", data.map(|dir| dir.display().to_string())),
    ])?;
    for warning in settings.check(args.lenient).map_err(exit::configuration)? {
        tracing::warn!("{warning}");
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Machine::claim_descriptors();
    let config =
        node::broker_config(&settings, cores, Machine::this()).map_err(exit::configuration)?;
    tracing::info!(
        max_connections = config.limits.connections_max,
        queued_max_request_bytes = config.limits.queued_request_bytes_max,
        "limits; `ottla config explain KEY` says where each comes from"
    );
    std::fs::create_dir_all(&config.log_dir)
        .map_err(StorageError::io(&config.log_dir))
        .map_err(|error| Failure::storage("the data directory cannot be made", error))?;
    let options = RuntimeOptions {
        workers: Workers::Count(cores),
        ..RuntimeOptions::default()
    };
    let runtime = Runtime::new(&options).context("the runtime cannot be started")?;
    let listeners = config.listeners.clone();
    let data = config.log_dir.clone();
    let end = runtime.block_on(async {
        let mut signals = Signals::listen().context("signals cannot be heard")?;
        let panicked = fatal_panic(runtime.env());
        let node = Node::start(runtime.env().clone(), config)
            .await
            .map_err(Failure::start)?;
        let addresses: Vec<String> = listeners
            .iter()
            .zip(node.ports())
            .map(|(listener, port)| address(&listener.host, *port))
            .collect();
        let advertised: Vec<Option<String>> = listeners
            .iter()
            .map(|listener| {
                listener
                    .advertised
                    .as_ref()
                    .map(|(host, port)| address(host, *port))
            })
            .collect();
        for listener in &listeners {
            let told = listener.advertised.as_ref();
            let is_open = !matches!(listener.host.as_str(), "localhost" | "127.0.0.1" | "::1");
            if let Some((host, _)) = told
                && host == "localhost"
                && is_open
            {
                tracing::warn!(
                    listener = listener.name,
                    "clients elsewhere are told to connect to `localhost`: set advertised.listeners"
                );
            }
        }
        let told = print_ready(
            output,
            &Ready {
                event: "ready".to_owned(),
                listeners: addresses,
                advertised,
                cluster_id: node.cluster_id().to_string(),
                data: data.display().to_string(),
                took_ms: output::millis(started.elapsed()),
            },
        );
        match told {
            // A node is not there to be read.
            Err(error) if exit::of(&error).is_none() => {}
            told => told?,
        }
        let exit = match race3(signals.next(), node.failed(), panicked).await {
            Either3::First(signal) => {
                tracing::info!(?signal, "stopping");
                Exit::Ok
            }
            Either3::Second(error) => {
                tracing::error!(%error, "the node cannot go on");
                Exit::Failed
            }
            // Its state is not to be trusted, nor written down as if it were: no orderly stop.
            Either3::Third(task) => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("the node cannot go on: its task `{task}` panicked"),
                )
                .next("start it again, it recovers what was acknowledged; and report the panic")
                .into());
            }
        };
        node.stop(STOP_PATIENCE_MS).await;
        Ok(exit)
    });
    runtime.shutdown(Duration::from_secs(5));
    end
}

/// Completes when a task has panicked without which partitions or the controller would stay silent for ever. What
/// happens to one connection is that connection's end and nobody else's.
async fn fatal_panic(env: &TokioEnv) -> &'static str {
    match env.spawner().panicked().await {
        "connection" => std::future::pending().await,
        task => task,
    }
}

rows! {
    /// A node that takes requests.
    struct Ready {
        /// `ready`.
        event: String,
        /// Where it listens.
        listeners: Vec<String>,
        /// What clients of each listener are told to connect to; null for the address that they used.
        advertised: Vec<Option<String>>,
        /// The cluster's id.
        cluster_id: String,
        /// Where its data is.
        data: String,
        /// How long it took to start, in milliseconds.
        took_ms: f64,
    }
}

fn address(host: &str, port: u16) -> String {
    match host {
        "" => format!("0.0.0.0:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

fn print_ready(output: Output, ready: &Ready) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json | Output::Jsonl | Output::Yaml => output::item(&mut out, output, ready)?,
        Output::Table | Output::Wide | Output::Help => {
            let told = ready.advertised.iter().map(|told| match told {
                Some(address) => address.as_str(),
                None => "the address that each client used",
            });
            let told: Vec<&str> = told.collect();
            writeln!(
                out,
                "ready: listening on {}, advertised as {}, cluster {}, data in {}, after {:.0} ms",
                ready.listeners.join(", "),
                told.join(", "),
                ready.cluster_id,
                ready.data,
                ready.took_ms
            )?;
        }
    }
    out.flush()?;
    Ok(())
}
