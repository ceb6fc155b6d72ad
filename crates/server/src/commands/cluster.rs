//! `ottla cluster`: the cluster as a whole.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::connect::Connect;
use crate::exit::{Exit, Failure};
use crate::output::{self, Output, rows, table};

/// The cluster as a whole.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Info(Info),
}

/// Show the cluster's id, its brokers, its controller and its features.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla cluster info
  ottla cluster info --bootstrap broker-1:9092
  ottla cluster info --output json | jq -r .cluster_id

Replaces: kafka-cluster.sh cluster-id, kafka-features.sh describe")]
struct Info {}

rows! {
    /// A cluster.
    struct ClusterInfo {
        /// Its id.
        cluster_id: Option<String>,
        /// The broker that takes requests for the controller.
        controller: Option<i32>,
        /// Its brokers.
        brokers: Vec<BrokerInfo>,
        /// Its features, each with the level in force.
        features: BTreeMap<String, i16>,
        /// How many topics it has, the brokers' own included.
        topics: usize,
    }
    /// A broker.
    struct BrokerInfo {
        /// Its id.
        id: i32 => "BROKER",
        /// The host that it tells clients to connect to.
        host: String => "HOST",
        /// The port.
        port: u16 => "PORT",
        /// Where it stands.
        rack: Option<String> => "RACK",
        /// Whether it takes no requests at the moment.
        fenced: bool => "FENCED",
    }
}

/// Runs a command about the cluster.
pub(crate) fn run(args: &ClusterArgs, output: Output) -> Result<Exit> {
    let Command::Info(Info {}) = &args.command;
    let info = args.connect.ask(async |admin, _| {
        let failed = |error: client::Error| Failure::client("describing the cluster", &error);
        let described = admin.describe_cluster(true).await.map_err(failed)?;
        let versions = admin.api_versions().await.map_err(failed)?;
        let topics = admin.list_topics().await.map_err(failed)?;
        let broker = |(node, fenced): &(client::Node, bool)| BrokerInfo {
            id: node.id,
            host: node.host.clone(),
            port: node.port,
            rack: node.rack.clone(),
            fenced: *fenced,
        };
        Ok(ClusterInfo {
            cluster_id: described.cluster_id.clone(),
            controller: (described.controller_id >= 0).then_some(described.controller_id),
            brokers: described.brokers.iter().map(broker).collect(),
            features: versions.features().clone(),
            topics: topics.len(),
        })
    })?;
    output::value(output, &info, &text(&info, output))?;
    Ok(Exit::Ok)
}

fn text(info: &ClusterInfo, output: Output) -> String {
    let mut text = format!(
        "cluster:     {}\n",
        info.cluster_id.as_deref().unwrap_or("unknown")
    );
    if let Some(controller) = info.controller {
        text.push_str(&format!("controller:  {controller}\n"));
    }
    text.push_str(&format!("topics:      {}\n", info.topics));
    for (i, (name, level)) in info.features.iter().enumerate() {
        let heading = if i == 0 { "features:" } else { "" };
        text.push_str(&format!("{heading:<13}{name}={level}\n"));
    }
    text.push('\n');
    text.push_str(&table(output, &info.brokers));
    text
}
