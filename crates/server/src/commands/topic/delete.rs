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
use crate::output::{self, Cell, Output, Time, counted, rows};
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
        /// How many bytes were on disk, all copies together; null if that cannot be told of every partition.
        bytes: Option<u64> => "BYTES",
        /// How many offsets it held; null if that cannot be told of every partition.
        records: Option<i64> => "RECORDS",
        /// The greatest timestamp of a record; null if that cannot be told of every partition.
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
        output::outcome::<Deleted>(output, &[])?;
        return Ok(tally.exit());
    }
    let (rows, plan) = weigh(admin, &topics, args.consent.dry_run).await?;
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
    output::outcome(output, &deleted)?;
    Ok(tally.exit())
}

/// What would be lost with topics, and the same in words. A partition that cannot be used keeps no topic from being
/// deleted: what is in it is not known then, and that is said.
async fn weigh(
    admin: &mut Admin<TokioEnv>,
    topics: &[Topic],
    dry_run: bool,
) -> Result<(Vec<Deleted>, String)> {
    let mut partitions = Vec::new();
    for topic in topics {
        partitions.extend(partitions_of(topic, &[])?);
    }
    let ends = range::ends_of_each(admin, &partitions, Isolation::ReadUncommitted).await;
    let answered: Vec<TopicPartition> = ends.found.keys().cloned().collect();
    let newest = range::newest(admin, &answered).await;
    let sizes = sizes(admin, &partitions).await?;
    let mut plan = String::from("to be deleted, with all their records:\n");
    let mut rows = Vec::new();
    for topic in topics {
        let all = || partitions.iter().filter(|at| at.topic == topic.name);
        let records = |at| ends.found.get(at).map(|ends| ends.end - ends.start);
        let is_told = |at: &TopicPartition| !newest.refused.contains_key(at);
        let last = all().filter_map(|at| newest.found.get(at)).copied().max();
        let row = Deleted {
            topic: topic.name.to_string(),
            id: topic.id.to_string(),
            partitions: topic.partitions.len(),
            bytes: all().map(|at| sizes.get(at).copied()).sum(),
            records: all().map(records).sum(),
            last_timestamp: last
                .filter(|_| all().all(|at| ends.found.contains_key(at) && is_told(at)))
                .map(Time),
            dry_run,
        };
        let partitions = counted(row.partitions, "partition");
        plan.push_str(&format!("  {}: {partitions}", row.topic));
        let mut parts = Vec::new();
        parts.extend(row.records.map(|records| counted(records, "record")));
        parts.extend(row.bytes.map(bytes));
        parts.extend(
            row.last_timestamp
                .map(|at| format!("the last of {}", at.cell())),
        );
        for part in parts {
            plan.push_str(&format!(", {part}"));
        }
        plan.push('\n');
        for at in all() {
            if let Some(error) = ends.refused.get(at) {
                plan.push_str(&format!(
                    "    what is in partition {} cannot be told: {error}\n",
                    at.partition
                ));
            }
        }
        rows.push(row);
    }
    Ok((rows, plan))
}

/// How many bytes partitions take, all copies together, as far as brokers tell.
async fn sizes(
    admin: &mut Admin<TokioEnv>,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, u64>> {
    let dirs = admin
        .describe_log_dirs(&[], Some(partitions))
        .await
        .map_err(|error| Failure::client("reading the size of topics", &error))?;
    let mut sizes = BTreeMap::new();
    // A broker that does not answer has its share left out: this is for information.
    for dir in dirs.into_values().flat_map(Result::unwrap_or_default) {
        for topic in &dir.topics {
            for partition in &topic.partitions {
                let at = TopicPartition::new(topic.name.detached(), partition.partition_index);
                *sizes.entry(at).or_default() +=
                    u64::try_from(partition.partition_size).unwrap_or(0);
            }
        }
    }
    Ok(sizes)
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
        output::outcome::<Trimmed>(output, &[])?;
        return Ok(tally.exit());
    };
    let partitions = partitions_of(topic, &args.partition)?;
    let isolation = Isolation::ReadUncommitted;
    // What does not answer is a failure of its own, and the others are trimmed.
    let ends = range::ends_of_each(admin, &partitions, isolation).await;
    let ends = ends.tell(&mut tally);
    let before = range::resolve_in_each(admin, &ends, point, isolation).await;
    let before = before.tell(&mut tally);
    if before.is_empty() {
        output::outcome::<Trimmed>(output, &[])?;
        return Ok(tally.exit());
    }
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
        "to be deleted: of topic {} the first {}\n{}",
        args.topic,
        counted(total, "record"),
        output::table(Output::Table, &rows)
    );
    if !args.consent.to(&plan, output, deadline).await? {
        output::list(output, &rows)?;
        rows.iter().for_each(|_| tally.done());
        return Ok(tally.exit());
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
    output::outcome(output, &rows)?;
    Ok(tally.exit())
}
