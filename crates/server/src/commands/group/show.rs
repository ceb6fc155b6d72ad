//! Which groups there are, who is in them, and how far they have come.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::Args;
use client::group::admin::GroupDescription;
use client::{Admin, CommittedOffset, Isolation, TopicPartition};
use env_tokio::TokioEnv;
use protocol::Str;
use types::ErrorCode;

use crate::exit::{Exit, Failure, Tally};
use crate::output::{self, Output, rows, table};
use crate::range;

/// List groups.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla group list
  ottla group list --state Empty,Dead
  ottla group list --output jsonl | jq -r .group

Replaces: kafka-consumer-groups.sh --list, kafka-groups.sh --list")]
pub(super) struct List {
    /// Only groups in these states: Stable, Empty, PreparingRebalance, CompletingRebalance, Dead.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only groups of these types: classic, consumer.
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
}

/// Show groups: their members, and for each partition the committed offset and how many records are behind it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla group describe billing
  ottla group describe billing shipping --output json
  ottla group describe billing --output json | jq '.[].lag'

Replaces: kafka-consumer-groups.sh --describe")]
pub(super) struct Describe {
    /// Their names.
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
}

rows! {
    /// A group of the list.
    struct ListedGroup {
        /// Its name.
        group: String => "GROUP",
        /// `classic` or `consumer`.
        group_type: String => "TYPE",
        /// Its state.
        state: String => "STATE",
        /// `consumer` for consumers.
        protocol: String => "PROTOCOL",
    }
    /// A group.
    struct DescribedGroup {
        /// Its name.
        group: String,
        /// `classic` or `consumer`.
        group_type: String,
        /// Its state.
        state: String,
        /// Which assignor divides the partitions.
        assignor: Option<String>,
        /// The broker that coordinates it.
        coordinator: Option<i32>,
        /// How many records its committed offsets are behind, all partitions that answer together.
        lag: i64,
        /// Its members.
        members: Vec<Member>,
        /// Its partitions: those that it has offsets of, or that a member reads.
        partitions: Vec<GroupPartition>,
    }
    /// A member of a group.
    struct Member {
        /// Its id.
        id: String => "MEMBER",
        /// Its instance, if it is a static member.
        instance: Option<String> => "INSTANCE",
        /// What it calls itself.
        client: String => "CLIENT",
        /// Where it connects from.
        host: String => "HOST",
        /// How many partitions it reads.
        partitions: usize => "PARTITIONS",
    }
    /// A partition that a group reads.
    struct GroupPartition {
        /// Its topic.
        topic: String => "TOPIC",
        /// Its number.
        partition: i32 => "PARTITION",
        /// The committed offset: that of the next record to be read.
        committed: Option<i64> => "COMMITTED",
        /// The first offset that is kept.
        start: Option<i64>,
        /// The offset of the next record to be written.
        end: Option<i64> => "END",
        /// How many records are between the two.
        lag: Option<i64> => "LAG",
        /// The member that reads it.
        member: Option<String> => "MEMBER",
        /// What was noted with the offset.
        metadata: Option<String>,
    }
}

pub(super) async fn list(admin: &mut Admin<TokioEnv>, args: &List, output: Output) -> Result<Exit> {
    let texts = |texts: &[String]| texts.iter().map(Str::from).collect::<Vec<Str>>();
    let groups = admin
        .list_groups(&texts(&args.state), &texts(&args.types))
        .await
        .map_err(|error| Failure::client("listing groups", &error))?;
    let rows: Vec<ListedGroup> = groups
        .iter()
        .map(|group| ListedGroup {
            group: group.group_id.to_string(),
            group_type: group.group_type.to_string(),
            state: group.group_state.to_string(),
            protocol: group.protocol_type.to_string(),
        })
        .collect();
    output::list(output, &rows)?;
    Ok(Exit::Ok)
}

pub(super) async fn describe(
    admin: &mut Admin<TokioEnv>,
    args: &Describe,
    output: Output,
) -> Result<Exit> {
    let ids: Vec<Str> = args.groups.iter().map(Str::from).collect();
    let mut tally = Tally::default();
    let mut described = Vec::new();
    for (id, result) in admin.describe_groups(&ids).await {
        if let Some(group) = tally.take(&format!("group {id}"), result) {
            described.push(describe_one(admin, &group, &mut tally).await?);
        }
    }
    let text: Vec<String> = described.iter().map(|group| text(group, output)).collect();
    output::list_as(output, &described, &text.join("\n"))?;
    Ok(tally.exit())
}

/// The offsets that a group committed. The first refusal is an error.
pub(super) async fn committed(
    admin: &mut Admin<TokioEnv>,
    group: &Str,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
    let failed = |error: &client::Error| {
        Failure::client(&format!("reading the offsets of group {group}"), error)
    };
    let found = admin
        .group_offsets(group, None)
        .await
        .map_err(|error| failed(&error))?;
    let mut offsets = BTreeMap::new();
    for (at, result) in found {
        offsets.insert(at, result.map_err(|error| failed(&error))?);
    }
    Ok(offsets)
}

async fn describe_one(
    admin: &mut Admin<TokioEnv>,
    group: &GroupDescription,
    tally: &mut Tally,
) -> Result<DescribedGroup> {
    let offsets = committed(admin, &group.id).await?;
    let mut readers: BTreeMap<&TopicPartition, &str> = BTreeMap::new();
    for member in &group.members {
        for at in &member.assignment {
            readers.insert(at, &member.id);
        }
    }
    let all: BTreeSet<&TopicPartition> = offsets.keys().chain(readers.keys().copied()).collect();
    let wanted: Vec<TopicPartition> = all.iter().copied().cloned().collect();
    let mut ends = range::ends_of_each(admin, &wanted, Isolation::ReadUncommitted).await;
    // A partition that is gone has no ends, and that is no failure.
    let gone = Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    ends.refused.retain(|_, error| error.code() != gone);
    let ends = ends.tell(tally);
    let partitions: Vec<GroupPartition> = all
        .iter()
        .map(|at| {
            let committed = offsets.get(*at);
            let ends = ends.get(*at);
            let (start, end) = (ends.map(|ends| ends.start), ends.map(|ends| ends.end));
            let lag = committed.zip(end).map(|(committed, end)| {
                // What retention has removed is not waiting to be read.
                let from = committed.offset.0.max(start.unwrap_or(0));
                (end - from).max(0)
            });
            let note = committed.map(|committed| committed.metadata.to_string());
            GroupPartition {
                topic: at.topic.to_string(),
                partition: at.partition,
                committed: committed.map(|committed| committed.offset.0),
                start,
                end,
                lag,
                member: readers.get(*at).map(|id| (*id).to_owned()),
                metadata: note.filter(|note| !note.is_empty()),
            }
        })
        .collect();
    let member = |member: &client::group::admin::MemberDescription| Member {
        id: member.id.to_string(),
        instance: member.instance_id.as_ref().map(ToString::to_string),
        client: member.client_id.to_string(),
        host: member.host.to_string(),
        partitions: member.assignment.len(),
    };
    Ok(DescribedGroup {
        group: group.id.to_string(),
        group_type: group.group_type.to_string(),
        state: group.state.to_string(),
        assignor: Some(group.assignor.to_string()).filter(|name| !name.is_empty()),
        coordinator: group.coordinator,
        lag: partitions
            .iter()
            .filter_map(|partition| partition.lag)
            .sum(),
        members: group.members.iter().map(member).collect(),
        partitions,
    })
}

fn text(group: &DescribedGroup, output: Output) -> String {
    let mut text = format!(
        "group:        {}\ntype:         {}\nstate:        {}\n",
        group.group, group.group_type, group.state
    );
    if let Some(assignor) = &group.assignor {
        text.push_str(&format!("assignor:     {assignor}\n"));
    }
    if let Some(coordinator) = group.coordinator {
        text.push_str(&format!("coordinator:  {coordinator}\n"));
    }
    text.push_str(&format!(
        "members:      {}\nlag:          {}\n",
        group.members.len(),
        group.lag
    ));
    if !group.partitions.is_empty() {
        text.push('\n');
        text.push_str(&table(output, &group.partitions));
    }
    if !group.members.is_empty() {
        text.push('\n');
        text.push_str(&table(output, &group.members));
    }
    text
}
