//! Where groups go on, and their end.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use client::{Admin, CommittedOffset, Isolation, TopicPartition};
use env_tokio::TokioEnv;
use jiff::Timestamp;
use protocol::Str;
use types::Offset;

use super::Selection;
use super::show::committed;
use crate::commands::topic::{find, partitions_of};
use crate::confirm::Consent;
use crate::connect::Deadline;
use crate::exit::{Exit, Failure, Tally};
use crate::output::{self, Output, counted, rows};
use crate::range::{self, Point};

/// Set a group's offsets: where it goes on. The group must have no members.
#[derive(Debug, Args)]
#[command(after_help = "\
Places (--to):
  start  end  100  +10  -10  @2026-01-31  @-1h     as for `ottla consume -o`
  current+10  current-10                           from where the group is

Examples:
  ottla group seek billing --to start --dry-run
  ottla group seek billing --to @-1h --topic orders --yes
  ottla group seek billing --to current-100 --topic orders:0,3

Replaces: kafka-consumer-groups.sh --reset-offsets")]
pub(super) struct Seek {
    /// The group.
    group: String,
    /// Where to go.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: String,
    /// A topic, or some of its partitions; without it, all that the group has offsets of.
    #[arg(short, long, value_name = "TOPIC[:N,...]")]
    topic: Vec<Selection>,
    #[command(flatten)]
    consent: Consent,
}

/// Delete groups that have no members, with their offsets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla group delete billing
  ottla group delete billing shipping --yes
  ottla group delete billing --dry-run

Replaces: kafka-consumer-groups.sh --delete")]
pub(super) struct Delete {
    /// Their names.
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

/// Delete offsets of a group. None of its members may read the topic.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla group delete-offsets billing --topic orders
  ottla group delete-offsets billing --topic orders:0,3 --yes
  ottla group delete-offsets billing --topic orders --dry-run

Replaces: kafka-consumer-groups.sh --delete-offsets")]
pub(super) struct DeleteOffsets {
    /// The group.
    group: String,
    /// A topic, or some of its partitions.
    #[arg(short, long, value_name = "TOPIC[:N,...]", required = true)]
    topic: Vec<Selection>,
    #[command(flatten)]
    consent: Consent,
}

rows! {
    /// An offset that was set, or would be.
    struct Sought {
        /// The group.
        group: String => "GROUP",
        /// The topic.
        topic: String => "TOPIC",
        /// The partition.
        partition: i32 => "PARTITION",
        /// The offset before.
        before: Option<i64> => "BEFORE",
        /// The offset now.
        offset: i64 => "OFFSET",
        /// Whether nothing was done.
        dry_run: bool,
    }
    /// A group that was deleted, or would be.
    struct DeletedGroup {
        /// Its name.
        group: String => "GROUP",
        /// Whether nothing was done.
        dry_run: bool,
    }
    /// An offset that was deleted, or would be.
    struct DeletedOffset {
        /// The group.
        group: String => "GROUP",
        /// The topic.
        topic: String => "TOPIC",
        /// The partition.
        partition: i32 => "PARTITION",
        /// The offset before.
        before: i64 => "BEFORE",
        /// Whether nothing was done.
        dry_run: bool,
    }
}

/// Where to go in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Place(Point),
    /// So far from where the group is.
    Shift(i64),
}

fn target(text: &str) -> Result<Target, String> {
    let bad = || format!("`{text}`: write current+10 or current-10");
    let Some(shift) = text.strip_prefix("current") else {
        return Ok(Target::Place(Point::parse(text, Timestamp::now())?));
    };
    match shift.as_bytes() {
        [] => Ok(Target::Shift(0)),
        [b'+' | b'-', digits @ ..]
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) =>
        {
            shift.parse().map(Target::Shift).map_err(|_| bad())
        }
        _ => Err(bad()),
    }
}

pub(super) async fn seek(
    admin: &mut Admin<TokioEnv>,
    args: &Seek,
    output: Output,
    deadline: &Deadline,
) -> Result<Exit> {
    let target = target(&args.to).map_err(Failure::usage)?;
    let group = Str::from(&args.group);
    let before = committed(admin, &group).await?;
    let mut tally = Tally::default();
    let mut partitions: Vec<TopicPartition> = Vec::new();
    for selection in &args.topic {
        for topic in find(admin, std::slice::from_ref(&selection.topic), &mut tally).await? {
            partitions.extend(partitions_of(&topic, &selection.partitions)?);
        }
    }
    if args.topic.is_empty() {
        partitions = before.keys().cloned().collect();
    }
    if tally.exit() != Exit::Ok {
        return Ok(tally.exit());
    }
    if partitions.is_empty() {
        let text = format!("group {group} has no offsets, so there is nothing to move");
        return Err(Failure::new(Exit::NotFound, text)
            .next("`--topic TOPIC` gives it some")
            .into());
    }
    let isolation = Isolation::ReadUncommitted;
    let ends = range::ends(admin, &partitions, isolation).await?;
    let offsets = match target {
        Target::Place(point) => range::resolve(admin, &ends, point, isolation).await?,
        Target::Shift(by) => {
            let mut offsets = BTreeMap::new();
            for (at, ends) in &ends {
                let Some(current) = before.get(at) else {
                    let text = format!("group {group} has no offset of {at} to go from");
                    return Err(Failure::new(Exit::NotFound, text).into());
                };
                let offset = current
                    .offset
                    .0
                    .saturating_add(by)
                    .clamp(ends.start, ends.end);
                offsets.insert(at.clone(), offset);
            }
            offsets
        }
    };
    let rows: Vec<Sought> = offsets
        .iter()
        .map(|(at, offset)| Sought {
            group: args.group.clone(),
            topic: at.topic.to_string(),
            partition: at.partition,
            before: before.get(at).map(|committed| committed.offset.0),
            offset: *offset,
            dry_run: args.consent.dry_run,
        })
        .collect();
    let plan = format!(
        "offsets of group {group} to be set:\n{}",
        output::table(Output::Table, &rows)
    );
    if !args.consent.to(&plan, output, deadline).await? {
        output::list(output, &rows)?;
        return Ok(Exit::Ok);
    }
    let wire = offsets
        .iter()
        .map(|(at, offset)| (at.clone(), CommittedOffset::new(Offset(*offset), None)));
    let results = admin
        .alter_group_offsets(&group, &wire.collect())
        .await
        .map_err(|error| {
            Failure::client(&format!("setting the offsets of group {group}"), &error)
        })?;
    finish(
        results,
        rows,
        &mut tally,
        "setting the offset of",
        |row| (row.topic.as_str(), row.partition),
        output,
    )
}

/// Shows the items that were done.
fn finish<R: output::Row>(
    results: BTreeMap<TopicPartition, client::Result<()>>,
    mut rows: Vec<R>,
    tally: &mut Tally,
    doing: &str,
    key: impl Fn(&R) -> (&str, i32),
    output: Output,
) -> Result<Exit> {
    for (at, result) in results {
        if tally.take(&format!("{doing} {at}"), result).is_none() {
            rows.retain(|row| key(row) != (at.topic.as_str(), at.partition));
        }
    }
    output::outcome(output, &rows)?;
    Ok(tally.exit())
}

pub(super) async fn delete(
    admin: &mut Admin<TokioEnv>,
    args: &Delete,
    output: Output,
    deadline: &Deadline,
) -> Result<Exit> {
    let mut tally = Tally::default();
    let ids: Vec<Str> = args.groups.iter().map(Str::from).collect();
    let mut plan = String::from("groups to be deleted, with their offsets:\n");
    let mut found = Vec::new();
    for (id, result) in admin.describe_groups(&ids).await {
        match result {
            Ok(group) => {
                plan.push_str(&format!(
                    "  {id}: {}, {}\n",
                    group.state,
                    counted(group.members.len(), "member")
                ));
                found.push(id);
            }
            Err(error) => tally.failed(&Failure::client(&format!("group {id}"), &error)),
        }
    }
    if found.is_empty() {
        output::outcome::<DeletedGroup>(output, &[])?;
        return Ok(tally.exit());
    }
    let row = |id: &Str| DeletedGroup {
        group: id.to_string(),
        dry_run: args.consent.dry_run,
    };
    if !args.consent.to(&plan, output, deadline).await? {
        output::list(output, &found.iter().map(row).collect::<Vec<_>>())?;
        return Ok(tally.exit());
    }
    let mut rows = Vec::new();
    for (id, result) in admin.delete_groups(&found).await {
        if tally
            .take(&format!("deleting group {id}"), result)
            .is_some()
        {
            rows.push(row(&id));
        }
    }
    output::outcome(output, &rows)?;
    Ok(tally.exit())
}

pub(super) async fn delete_offsets(
    admin: &mut Admin<TokioEnv>,
    args: &DeleteOffsets,
    output: Output,
    deadline: &Deadline,
) -> Result<Exit> {
    let group = Str::from(&args.group);
    let before = committed(admin, &group).await?;
    let chosen = |at: &TopicPartition| {
        args.topic.iter().any(|selection| {
            at.topic == selection.topic
                && (selection.partitions.is_empty() || selection.partitions.contains(&at.partition))
        })
    };
    let rows: Vec<DeletedOffset> = before
        .iter()
        .filter(|(at, _)| chosen(at))
        .map(|(at, committed)| DeletedOffset {
            group: args.group.clone(),
            topic: at.topic.to_string(),
            partition: at.partition,
            before: committed.offset.0,
            dry_run: args.consent.dry_run,
        })
        .collect();
    if rows.is_empty() {
        let text = format!("group {group} has no offsets of these partitions");
        return Err(Failure::new(Exit::NotFound, text)
            .next(format!("`ottla group describe {group}`"))
            .into());
    }
    let plan = format!(
        "offsets of group {group} to be deleted:\n{}",
        output::table(Output::Table, &rows)
    );
    if !args.consent.to(&plan, output, deadline).await? {
        output::list(output, &rows)?;
        return Ok(Exit::Ok);
    }
    let partitions: Vec<TopicPartition> = before.into_keys().filter(|at| chosen(at)).collect();
    let results = admin
        .delete_group_offsets(&group, &partitions)
        .await
        .map_err(|error| Failure::client(&format!("deleting offsets of group {group}"), &error))?;
    let mut tally = Tally::default();
    finish(
        results,
        rows,
        &mut tally,
        "deleting the offset of",
        |row| (row.topic.as_str(), row.partition),
        output,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        assert_eq!(target("current"), Ok(Target::Shift(0)));
        assert_eq!(target("current+10"), Ok(Target::Shift(10)));
        assert_eq!(target("current-10"), Ok(Target::Shift(-10)));
        assert_eq!(target("-10"), Ok(Target::Place(Point::BeforeEnd(10))));
        for bad in ["current10", "current+", "current+-1", "currently"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
