//! What takes records away: deleting topics, and trimming their beginnings.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use client::admin::TopicRef;
use client::{Admin, Isolation, Topic, TopicPartition};
use env_tokio::TokioEnv;
use jiff::Timestamp;
use types::Offset;

use super::{find, partitions_of};
use crate::confirm::Consent;
use crate::connect::Deadline;
use crate::exit::{Exit, Failure, Tally};
use crate::output::{self, Cell, Output, Time, rows};
use crate::progress::bytes;
use crate::range::{self, Point};

/// Delete topics with all that is in them. Shows first what would be lost.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic delete orders
  ottla topic delete orders payments --yes
  ottla topic delete orders --dry-run

Replaces: kafka-topics.sh --delete")]
pub(super) struct Delete {
    /// Their names.
    #[arg(value_name = "TOPIC", required = true)]
    topics: Vec<String>,
    /// A topic that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Delete the first records of a topic, up to but without a place.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic trim orders --before @-7d
  ottla topic trim orders --partition 0,1 --before 1000 --yes
  ottla topic trim orders --before end --dry-run

Replaces: kafka-delete-records.sh")]
pub(super) struct Trim {
    /// The topic.
    topic: String,
    /// What is left starts here: an offset, `@time`, `end`, `+10`, `-10`.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    before: String,
    /// Only these partitions.
    #[arg(short, long, value_name = "N", value_delimiter = ',')]
    partition: Vec<i32>,
    #[command(flatten)]
    consent: Consent,
}

rows! {
    /// A topic that was deleted, or would be.
    struct Deleted {
        /// Its name.
        topic: String => "TOPIC",
        /// Its id.
        id: String => "ID",
        /// How many partitions it had.
        partitions: usize => "PARTITIONS",
        /// How many bytes were on disk, all copies together.
        bytes: u64 => "BYTES",
        /// How many offsets it held.
        records: i64 => "RECORDS",
        /// The greatest timestamp of a record.
        last_timestamp: Option<Time> => "LAST-TIMESTAMP",
        /// Whether nothing was done.
        dry_run: bool,
    }
    /// A partition that was trimmed, or would be.
    struct Trimmed {
        /// Its topic.
        topic: String => "TOPIC",
        /// Its number.
        partition: i32 => "PARTITION",
        /// The first offset before.
        start_before: i64 => "START-BEFORE",
        /// The first offset that is left.
        start: i64 => "START",
        /// How many offsets go.
        removed: i64 => "REMOVED",
        /// Whether nothing was done.
        dry_run: bool,
    }
}

pub(super) async fn delete(
    admin: &mut Admin<TokioEnv>,
    args: &Delete,
    output: Output,
    deadline: &Deadline,
) -> Result<Exit> {
    let mut tally = Tally::default();
    let names: Vec<String> = match args.if_exists {
        false => args.topics.clone(),
        true => {
            let known = admin
                .list_topics()
                .await
                .map_err(|error| Failure::client("listing topics", &error))?;
            let exists = |name: &&String| known.iter().any(|topic| topic.name == name.as_str());
            args.topics.iter().filter(exists).cloned().collect()
        }
    };
    let topics = match names.is_empty() {
        true => Vec::new(),
        false => find(admin, &names, &mut tally).await?,
    };
    if topics.is_empty() {
        return Ok(tally.exit());
    }
    let mut rows = Vec::new();
    for topic in &topics {
        rows.push(weigh(admin, topic, args.consent.dry_run).await?);
    }
    let mut plan = String::from("to be deleted, with all their records:\n");
    for row in &rows {
        let last = row
            .last_timestamp
            .map_or_else(String::new, |at| format!(", the last of {}", at.cell()));
        plan.push_str(&format!(
            "  {}: {} partitions, {} records, {}{last}\n",
            row.topic,
            row.partitions,
            row.records,
            bytes(row.bytes)
        ));
    }
    if !args.consent.to(&plan, output, deadline).await? {
        output::list(output, &rows)?;
        return Ok(tally.exit());
    }
    // By id where there is one: a topic that is made anew in the meantime is another one.
    let reference = |topic: &Topic| match topic.id.is_zero() {
        true => TopicRef::Name(topic.name.clone()),
        false => TopicRef::Id(topic.id),
    };
    let references: Vec<TopicRef> = topics.iter().map(reference).collect();
    let results = admin
        .delete_topics(&references)
        .await
        .map_err(|error| Failure::client("deleting topics", &error))?;
    let mut deleted = Vec::new();
    for (reference, result) in results {
        let found = rows.iter().find(|row| match &reference {
            TopicRef::Name(name) => *name == row.topic,
            TopicRef::Id(id) => id.to_string() == row.id,
        });
        let Some(row) = found else { continue };
        if tally
            .take(&format!("deleting topic {}", row.topic), result)
            .is_some()
        {
            deleted.push(row.clone());
        }
    }
    if !deleted.is_empty() {
        output::list(output, &deleted)?;
    }
    Ok(tally.exit())
}

/// What would be lost with a topic.
async fn weigh(admin: &mut Admin<TokioEnv>, topic: &Topic, dry_run: bool) -> Result<Deleted> {
    let partitions = partitions_of(topic, &[])?;
    let ends = range::ends(admin, &partitions, Isolation::ReadUncommitted).await?;
    let newest = range::newest(admin, &partitions).await?;
    let dirs = admin
        .describe_log_dirs(&[], Some(&partitions))
        .await
        .map_err(|error| Failure::client("reading the size of topics", &error))?;
    let mut size = 0u64;
    for dirs in dirs.into_values() {
        // A broker that does not answer has its share left out: this is for information.
        for dir in dirs.unwrap_or_default() {
            let partitions = dir.topics.iter().flat_map(|topic| &topic.partitions);
            size += partitions
                .map(|p| u64::try_from(p.partition_size).unwrap_or(0))
                .sum::<u64>();
        }
    }
    Ok(Deleted {
        topic: topic.name.to_string(),
        id: topic.id.to_string(),
        partitions: topic.partitions.len(),
        bytes: size,
        records: ends.values().map(|ends| ends.end - ends.start).sum(),
        last_timestamp: newest.into_values().max().map(Time),
        dry_run,
    })
}

pub(super) async fn trim(
    admin: &mut Admin<TokioEnv>,
    args: &Trim,
    output: Output,
    deadline: &Deadline,
) -> Result<Exit> {
    let point = Point::parse(&args.before, Timestamp::now()).map_err(Failure::usage)?;
    let mut tally = Tally::default();
    let topics = find(admin, std::slice::from_ref(&args.topic), &mut tally).await?;
    let Some(topic) = topics.first() else {
        return Ok(tally.exit());
    };
    let partitions = partitions_of(topic, &args.partition)?;
    let isolation = Isolation::ReadUncommitted;
    let ends = range::ends(admin, &partitions, isolation).await?;
    let before = range::resolve(admin, &ends, point, isolation).await?;
    let row = |(at, start): (&TopicPartition, &i64)| {
        let start_before = ends.get(at).map_or(*start, |ends| ends.start);
        Trimmed {
            topic: at.topic.to_string(),
            partition: at.partition,
            start_before,
            start: *start,
            removed: start - start_before,
            dry_run: args.consent.dry_run,
        }
    };
    let mut rows: Vec<Trimmed> = before.iter().map(row).collect();
    let total: i64 = rows.iter().map(|row| row.removed).sum();
    let plan = format!(
        "to be deleted: the first {total} records of topic {}\n{}",
        args.topic,
        output::table(Output::Table, &rows)
    );
    if !args.consent.to(&plan, output, deadline).await? {
        output::list(output, &rows)?;
        return Ok(Exit::Ok);
    }
    let wanted: BTreeMap<TopicPartition, Option<Offset>> = before
        .into_iter()
        .map(|(at, offset)| (at, Some(Offset(offset))))
        .collect();
    let mut left = BTreeMap::new();
    for (at, result) in admin.delete_records(wanted).await {
        if let Some(start) = tally.take(&format!("trimming {at}"), result) {
            left.insert(at.partition, start.0);
        }
    }
    rows.retain_mut(|row| match left.get(&row.partition) {
        Some(start) => {
            row.start = *start;
            row.removed = start - row.start_before;
            true
        }
        None => false,
    });
    if !rows.is_empty() {
        output::list(output, &rows)?;
    }
    Ok(tally.exit())
}
