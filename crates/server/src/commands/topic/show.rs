//! What topics there are, and what they hold.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use client::admin::Resource;
use client::{Admin, Isolation, Topic, TopicPartition};
use env_tokio::TokioEnv;
use jiff::Timestamp;

use super::{find, partitions_of};
use crate::commands::config::entries;
use crate::exit::{Exit, Failure, Tally};
use crate::output::{self, Output, Time, rows, table};
use crate::range::{self, Ends, Point};

/// List topics.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic list
  ottla topic list --internal
  ottla topic list --output jsonl | jq -r .topic

Replaces: kafka-topics.sh --list")]
pub(super) struct List {
    /// The brokers' own topics too.
    #[arg(short, long)]
    internal: bool,
}

/// Show topics with their partitions, leaders, replicas and the settings that differ from the defaults.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic describe orders
  ottla topic describe orders payments --output json
  ottla topic describe orders --bootstrap broker-1:9092

Replaces: kafka-topics.sh --describe")]
pub(super) struct Describe {
    /// Their names.
    #[arg(value_name = "TOPIC", required = true)]
    topics: Vec<String>,
}

/// Show the first and last offsets of partitions, or the offsets at a point in time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic offsets orders
  ottla topic offsets orders --partition 3
  ottla topic offsets orders --at @-1h

Replaces: kafka-get-offsets.sh")]
pub(super) struct ShowOffsets {
    /// Their names.
    #[arg(value_name = "TOPIC", required = true)]
    topics: Vec<String>,
    /// Only these partitions.
    #[arg(short, long, value_name = "N", value_delimiter = ',')]
    partition: Vec<i32>,
    /// A place to look up besides: `@2026-01-31`, `@-1h`, `-10`, ...
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    at: Option<String>,
    /// The end is that of what readers of committed transactions see.
    #[arg(long)]
    read_committed: bool,
}

rows! {
    /// A topic of the list.
    struct Listed {
        /// Its name.
        topic: String => "TOPIC",
        /// How many partitions it has.
        partitions: usize => "PARTITIONS",
        /// How many copies there are of each.
        replication_factor: usize => "REPLICATION",
        /// Its id.
        id: String,
        /// Whether it is the brokers' own.
        internal: bool,
    }
    /// A topic.
    struct Described {
        /// Its name.
        topic: String,
        /// Its id.
        id: String,
        /// Whether it is the brokers' own.
        internal: bool,
        /// How many copies there are of each partition.
        replication_factor: usize,
        /// The settings that differ from the defaults.
        configs: BTreeMap<String, Option<String>>,
        /// Its partitions.
        partitions: Vec<DescribedPartition>,
    }
    /// A partition.
    struct DescribedPartition {
        /// Its number.
        partition: i32 => "PARTITION",
        /// The broker that leads it.
        leader: Option<i32> => "LEADER",
        /// The leader's epoch.
        leader_epoch: Option<i32> => "EPOCH",
        /// The brokers that hold a copy, the preferred leader first.
        replicas: Vec<i32> => "REPLICAS",
        /// Those that are in sync.
        isr: Vec<i32> => "IN-SYNC",
        /// Those whose disk or process is gone.
        offline: Vec<i32>,
        /// The first offset that is kept.
        start: Option<i64> => "START",
        /// The offset of the next record.
        end: Option<i64> => "END",
        /// Why it cannot be used.
        error: Option<String> => "ERROR",
    }
    /// The offsets of a partition.
    struct Offsets {
        /// Its topic.
        topic: String => "TOPIC",
        /// Its number.
        partition: i32 => "PARTITION",
        /// The first offset that is kept.
        start: i64 => "START",
        /// The offset of the next record.
        end: i64 => "END",
        /// How many offsets are between the two.
        records: i64 => "RECORDS",
        /// The offset of the place asked for.
        at: Option<i64> => "AT",
        /// The greatest timestamp of a record.
        max_timestamp: Option<Time> => "LAST-TIMESTAMP",
    }
}

pub(super) async fn list(admin: &mut Admin<TokioEnv>, args: &List, output: Output) -> Result<Exit> {
    let topics = admin
        .list_topics()
        .await
        .map_err(|error| Failure::client("listing topics", &error))?;
    let rows: Vec<Listed> = topics
        .iter()
        .filter(|topic| args.internal || !topic.internal)
        .map(|topic| Listed {
            topic: topic.name.to_string(),
            partitions: topic.partitions.len(),
            replication_factor: replication(topic),
            id: topic.id.to_string(),
            internal: topic.internal,
        })
        .collect();
    output::list(output, &rows)?;
    Ok(Exit::Ok)
}

fn replication(topic: &Topic) -> usize {
    topic
        .partitions
        .values()
        .map(|p| p.replicas.len())
        .max()
        .unwrap_or(0)
}

pub(super) async fn describe(
    admin: &mut Admin<TokioEnv>,
    args: &Describe,
    output: Output,
) -> Result<Exit> {
    let mut tally = Tally::default();
    let mut described = Vec::new();
    for topic in find(admin, &args.topics, &mut tally).await? {
        described.push(describe_one(admin, &topic).await?);
        tally.done();
    }
    let text: Vec<String> = described.iter().map(|topic| text(topic, output)).collect();
    output::list_as(output, &described, &text.join("\n"))?;
    Ok(tally.exit())
}

async fn describe_one(admin: &mut Admin<TokioEnv>, topic: &Topic) -> Result<Described> {
    let settings = entries(
        admin,
        Resource::topic(topic.name.clone()),
        None,
        &format!("topic {}", topic.name),
    )
    .await?;
    // A partition without a leader has no ends to tell: the rest is shown all the same.
    let led: Vec<TopicPartition> = topic
        .partitions
        .iter()
        .filter(|(_, partition)| partition.leader >= 0 && partition.error.is_none())
        .map(|(number, _)| TopicPartition::new(topic.name.clone(), *number))
        .collect();
    let ends = range::ends_of_each(admin, &led, Isolation::ReadUncommitted).await;
    let partitions = topic.partitions.iter().map(|(number, partition)| {
        let at = TopicPartition::new(topic.name.clone(), *number);
        let error = match partition.error.is_none() {
            true => ends.refused.get(&at).map(named),
            false => Some(partition.error.name().to_owned()),
        };
        let ends = ends.found.get(&at);
        DescribedPartition {
            partition: *number,
            leader: (partition.leader >= 0).then_some(partition.leader),
            leader_epoch: (partition.leader_epoch >= 0).then_some(partition.leader_epoch),
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            offline: partition.offline.clone(),
            start: ends.map(|ends| ends.start),
            end: ends.map(|ends| ends.end),
            error,
        }
    });
    Ok(Described {
        topic: topic.name.to_string(),
        id: topic.id.to_string(),
        internal: topic.internal,
        replication_factor: replication(topic),
        configs: settings
            .into_iter()
            .filter(|setting| setting.source == "topic")
            .map(|setting| (setting.key, setting.value))
            .collect(),
        partitions: partitions.collect(),
    })
}

/// The name of a broker's refusal; the words of what is none.
fn named(error: &client::Error) -> String {
    match error.code() {
        Some(code) => code.name().to_owned(),
        None => error.to_string(),
    }
}

fn text(topic: &Described, output: Output) -> String {
    let mut text = format!(
        "topic:        {}\nid:           {}\npartitions:   {}\nreplication:  {}\n",
        topic.topic,
        topic.id,
        topic.partitions.len(),
        topic.replication_factor
    );
    if topic.internal {
        text.push_str("internal:     yes\n");
    }
    for (i, (key, value)) in topic.configs.iter().enumerate() {
        let name = if i == 0 { "configs:" } else { "" };
        text.push_str(&format!(
            "{name:<14}{key}={}\n",
            value.as_deref().unwrap_or_default()
        ));
    }
    text.push('\n');
    text.push_str(&table(output, &topic.partitions));
    text
}

pub(super) async fn offsets(
    admin: &mut Admin<TokioEnv>,
    args: &ShowOffsets,
    output: Output,
) -> Result<Exit> {
    let isolation = match args.read_committed {
        true => Isolation::ReadCommitted,
        false => Isolation::ReadUncommitted,
    };
    let point = match &args.at {
        Some(text) => Some(Point::parse(text, Timestamp::now()).map_err(Failure::usage)?),
        None => None,
    };
    let mut tally = Tally::default();
    let mut partitions = Vec::new();
    for topic in find(admin, &args.topics, &mut tally).await? {
        partitions.extend(partitions_of(&topic, &args.partition)?);
    }
    let ends = range::ends_of_each(admin, &partitions, isolation).await;
    let ends = ends.tell(&mut tally);
    let answered: Vec<TopicPartition> = ends.keys().cloned().collect();
    // Where only this cannot be told, the rest is shown all the same.
    let newest = range::newest(admin, &answered).await.found;
    let at = match point {
        Some(point) => range::resolve_in_each(admin, &ends, point, isolation)
            .await
            .tell(&mut tally),
        None => BTreeMap::new(),
    };
    let row = |(partition, Ends { start, end }): (&TopicPartition, &Ends)| Offsets {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        start: *start,
        end: *end,
        records: end - start,
        at: at.get(partition).copied(),
        max_timestamp: newest.get(partition).copied().map(Time),
    };
    let rows: Vec<Offsets> = ends.iter().map(row).collect();
    rows.iter().for_each(|_| tally.done());
    output::outcome(output, &rows)?;
    Ok(tally.exit())
}
