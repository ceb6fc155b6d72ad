//! A load generator for any Kafka broker, and Ottla beside Apache Kafka in one run.
//!
//! | Room | What for |
//! |---|---|
//! | `rows` | what is measured, with the durability of each side |
//! | `frames` | requests, prepared once and sent many times |
//! | `produce`, `steady`, `fetch` | the loads: closed loop, open loop, reading |
//! | `admin` | topics |
//! | `peer` | brokers, started and stopped |
//! | `usage` | CPU and memory of a process |
//! | `report` | medians, ratios, the table |

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "native: a program of its own that measures from outside"
)]

mod admin;
mod fetch;
mod frames;
mod peer;
mod produce;
mod report;
mod rows;
mod steady;
mod usage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::peer::Peer;
use crate::report::Report;
use crate::rows::{ROWS, Row};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ottla and Apache Kafka in turns, on fresh data, and the ratios of neighbouring runs
    Compare {
        /// The `ottla` to measure, built with `--release`
        #[arg(long)]
        ottla: PathBuf,
        /// Where Kafka's jars are kept; without it only Ottla is measured
        #[arg(long)]
        kafka_libs: Option<PathBuf>,
        /// How many turns
        #[arg(long, default_value_t = 5)]
        pairs: usize,
        /// Where both keep their data; must be on the disk that is to be measured
        #[arg(long)]
        data: Option<PathBuf>,
        #[command(flatten)]
        load: Load,
    },
    /// Load against a broker that runs already
    Load {
        /// The broker
        #[arg(long)]
        address: SocketAddr,
        /// Its process, for CPU and memory
        #[arg(long)]
        pid: Option<u32>,
        /// Treat it as Apache Kafka: synced rows get a topic with flush.messages=1
        #[arg(long)]
        kafka: bool,
        #[command(flatten)]
        load: Load,
    },
    /// The rows, and what durability each side has in them
    Rows,
}

#[derive(Args)]
struct Load {
    /// Only rows whose names start with one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How long each row is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How long each row runs before it is measured
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// One JSON object per row and turn instead of a table
    #[arg(long)]
    json: bool,
}

impl Load {
    fn rows(&self) -> Result<Vec<&'static Row>> {
        let wanted = |row: &&Row| {
            self.only.is_empty() || self.only.iter().any(|name| row.name.starts_with(&**name))
        };
        let rows: Vec<&Row> = ROWS.iter().filter(wanted).collect();
        if rows.is_empty() {
            bail!("no row is called that: see `ottla-bench rows`");
        }
        Ok(rows)
    }

    fn times(&self) -> Result<rows::Times> {
        let seconds = |value: f64, what: &str| {
            Duration::try_from_secs_f64(value).with_context(|| format!("--{what}"))
        };
        Ok(rows::Times {
            warm_up: seconds(self.warm_up, "warm-up")?,
            measure: seconds(self.seconds, "seconds")?,
        })
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Cli::parse().command {
        Command::Rows => report::print_rows(),
        Command::Load {
            address,
            pid,
            kafka,
            load,
        } => {
            let peer = Peer::running(address, pid, kafka);
            let mut report = Report::new(load.json);
            for row in load.rows()? {
                let sample = rows::run(row, &peer, load.times()?)?;
                report.add(row, "broker", sample)?;
            }
            report.print()
        }
        Command::Compare {
            ottla,
            kafka_libs,
            pairs,
            data,
            load,
        } => {
            let data = data.unwrap_or_else(std::env::temp_dir);
            let rows = load.rows()?;
            let mut report = Report::new(load.json);
            let mut peers = vec![("Ottla", Peer::ottla(&ottla, &data)?)];
            if let Some(libs) = &kafka_libs {
                peers.push(("Kafka", Peer::kafka(libs, &data)?));
            }
            for (name, peer) in &peers {
                report.start(name, peer.rest(Duration::from_secs(10))?)?;
            }
            for turn in 0..pairs {
                for row in &rows {
                    // Who begins changes from turn to turn.
                    for place in 0..peers.len() {
                        let (name, peer) = &peers[(place + turn) % peers.len()];
                        let sample = rows::run(row, peer, load.times()?)
                            .with_context(|| format!("{} on {name}", row.name))?;
                        report.add(row, name, sample)?;
                    }
                }
            }
            for (name, peer) in &peers {
                report.after(name, peer.memory_bytes()?)?;
            }
            report.print()
        }
    }
}
