//! `ottla format`: whose a data directory is, written down before anything is in it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use env::{Entropy, Env};
use env_tokio::TokioEnv;
use rand_core::Rng;
use storage::dir::LogDir;
use types::{ClusterId, Uuid};

use crate::connect;
use crate::exit::{self, Exit, Failure};
use crate::output::{self, Output, rows};
use crate::settings::machine::Machine;
use crate::settings::{Sources, node};

/// Format a data directory: give it to a node of a cluster.
///
/// `ottla serve` formats an empty directory by itself. Do it beforehand where the cluster's id must be one that
/// was chosen. A directory that is formatted stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla format --random-id
  ottla format --data /var/lib/ottla --cluster-id MkU3OEVBNTcwNTJENDM2Qk --node-id 1
  ottla format --config server.properties --ignore-formatted

Replaces: kafka-storage.sh format, kafka-storage.sh random-uuid")]
pub(crate) struct Format {
    /// The directory; without it that of the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The cluster; without it that of the configuration, or a new one.
    #[arg(short = 't', long, value_name = "ID")]
    cluster_id: Option<ClusterId>,
    /// The node; without it that of the configuration, or 1.
    #[arg(long, value_name = "N")]
    node_id: Option<u16>,
    /// A directory that is formatted already is no error; it stays as it is.
    #[arg(short = 'g', long)]
    ignore_formatted: bool,
    /// Only print a new id.
    #[arg(long, exclusive = true)]
    random_id: bool,
    #[command(flatten)]
    sources: Sources,
}

rows! {
    /// A data directory.
    struct Formatted {
        /// Where it is.
        data: String,
        /// The cluster that it belongs to.
        cluster_id: String,
        /// The node that it belongs to.
        node_id: i32,
        /// Its own id.
        directory_id: String,
        /// Whether it was formatted now, or was before.
        formatted: bool,
    }
    /// A new id.
    struct FreshId {
        /// The id.
        id: String,
    }
}

/// Formats.
pub(crate) fn run(args: &Format, output: Output) -> Result<Exit> {
    if args.random_id {
        let id = connect::run(None, async |env, _| Ok(fresh::<1>(&env)))?[0].to_string();
        output::value(output, &FreshId { id: id.clone() }, &id)?;
        return Ok(Exit::Ok);
    }
    let data = args.data.as_ref();
    let settings = args.sources.gather(&[
        ("log.dirs", data.map(|dir| dir.display().to_string())),
        ("node.id", args.node_id.map(|id| id.to_string())),
        ("cluster.id", args.cluster_id.map(|id| id.to_string())),
    ])?;
    settings.check(false).map_err(exit::configuration)?;
    let config = node::broker_config(&settings, 1, Machine::this()).map_err(exit::configuration)?;
    let dir = config.log_dir.clone();
    let before = dir.join("meta.properties").exists();
    if before && !args.ignore_formatted {
        let text = format!("{} is formatted already; nothing was done", dir.display());
        let next =
            "`--ignore-formatted` leaves it as it is and says so; to make it anew, empty it first";
        return Err(Failure::new(Exit::Precondition, text).next(next).into());
    }
    let formatted = connect::run(None, async |env, _| {
        let opened = LogDir::open(
            env.disk(),
            dir.clone(),
            config.node_id,
            config.cluster_id,
            fresh(&env),
        )
        .await;
        let opened =
            opened.map_err(|error| Failure::storage("the directory cannot be formatted", error))?;
        Ok(Formatted {
            data: dir.display().to_string(),
            cluster_id: opened.cluster_id().to_string(),
            node_id: config.node_id.0,
            directory_id: opened.directory_id().to_string(),
            formatted: !before,
        })
    })?;
    let how = if before {
        "was formatted before"
    } else {
        "formatted"
    };
    let text = format!(
        "{}: {how}, cluster {}, node {}",
        formatted.data, formatted.cluster_id, formatted.node_id
    );
    output::value(output, &formatted, &text)?;
    Ok(Exit::Ok)
}

/// Ids that nobody has.
fn fresh<const N: usize>(env: &TokioEnv) -> [Uuid; N] {
    let mut stream = env.entropy().stream("format", 0);
    std::array::from_fn(|_| {
        let mut bytes = [0; 16];
        stream.fill_bytes(&mut bytes);
        Uuid::from_random(bytes)
    })
}
