//! `ottla serve`: run a node until somebody says stop.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use broker::Node;
use env::{Either, race};
use env_tokio::{Runtime, RuntimeOptions, Workers, shutdown_signal};

use crate::cli::Serve;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Settings, node};

/// How long a stopping node may take to close its logs.
const STOP_PATIENCE_MS: i64 = 30_000;

/// Runs a node.
pub(crate) fn run(args: &Serve, output: Output) -> Result<Exit> {
    let started = Instant::now();
    let settings = Settings::gather(args.config.as_deref(), std::env::vars(), &args.settings)?;
    for warning in settings.check(args.lenient)? {
        tracing::warn!("{warning}");
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let config = node::broker_config(&settings, cores)?;
    std::fs::create_dir_all(&config.log_dir).with_context(|| {
        format!(
            "the data directory {} cannot be made",
            config.log_dir.display()
        )
    })?;
    let options = RuntimeOptions {
        workers: Workers::Count(cores),
        ..RuntimeOptions::default()
    };
    let runtime = Runtime::new(&options).context("the runtime cannot be started")?;
    let listeners = config.listeners.clone();
    let data = config.log_dir.clone();
    let end = runtime.block_on(async {
        let signal = shutdown_signal().context("signals cannot be heard")?;
        let node = Node::start(runtime.env().clone(), config)
            .await
            .map_err(|error| {
                Failure::new(Exit::Failed, format!("the node cannot start: {error}"))
            })?;
        let addresses: Vec<String> = listeners
            .iter()
            .zip(node.ports())
            .map(|(listener, port)| {
                let host = if listener.host.is_empty() {
                    "0.0.0.0"
                } else {
                    &listener.host
                };
                format!("{host}:{port}")
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
        print_ready(
            output,
            &addresses,
            &node.cluster_id().to_string(),
            &data,
            started.elapsed(),
        )?;
        let exit = match race(signal, node.failed()).await {
            Either::First(signal) => {
                tracing::info!(?signal, "stopping");
                Exit::Ok
            }
            Either::Second(error) => {
                tracing::error!(%error, "the node cannot go on");
                Exit::Failed
            }
        };
        node.stop(STOP_PATIENCE_MS).await;
        Ok(exit)
    });
    runtime.shutdown(Duration::from_secs(5));
    end
}

fn print_ready(
    output: Output,
    addresses: &[String],
    cluster_id: &str,
    data: &std::path::Path,
    took: Duration,
) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(
            out,
            "{}",
            serde_json::json!({
                "event": "ready",
                "listeners": addresses,
                "cluster_id": cluster_id,
                "data": data,
                "took_ms": took.as_secs_f64() * 1000.0,
            })
        )?,
        Output::Table => writeln!(
            out,
            "ready: listening on {}, cluster {cluster_id}, data in {}, after {:.0} ms",
            addresses.join(", "),
            data.display(),
            took.as_secs_f64() * 1000.0
        )?,
    }
    out.flush()?;
    Ok(())
}
