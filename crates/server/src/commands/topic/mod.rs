//! `ottla topic`: topics and what is in them.

mod delete;
mod show;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use client::admin::{ConfigChange, NewTopic, Resource, ResourceKind};
use client::{Admin, Topic, TopicPartition};
use env_tokio::TokioEnv;
use metadata::configs;
use protocol::Str;
use types::ErrorCode;

pub(crate) use delete::{Deleted, Trimmed};
pub(crate) use show::{Described, Listed, Offsets};

use crate::cli::key_value;
use crate::commands::config;
use crate::connect::Connect;
use crate::exit::{self, Exit, Failure, Tally};
use crate::output::{self, Output, rows};

/// Topics: create, list, describe, alter, delete, and what is in them.
#[derive(Debug, Args)]
pub(crate) struct TopicArgs {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(show::List),
    Describe(show::Describe),
    Alter(Alter),
    Delete(delete::Delete),
    AddPartitions(AddPartitions),
    Trim(delete::Trim),
    Offsets(show::ShowOffsets),
}

/// Create topics.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic create orders
  ottla topic create orders payments --partitions 12 --config retention.ms=86400000
  ottla topic create orders --if-not-exists --output json

Replaces: kafka-topics.sh --create")]
struct Create {
    /// Their names.
    #[arg(value_name = "TOPIC", required = true)]
    topics: Vec<String>,
    /// How many partitions each has; without it the broker's `num.partitions`.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many copies there are of each partition; without it the broker's `default.replication.factor`.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting that differs from the default.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    /// A topic that exists already is no error.
    #[arg(long)]
    if_not_exists: bool,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
}

/// Change settings of a topic.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic alter orders --set retention.ms=86400000
  ottla topic alter orders --set cleanup.policy=delete --unset retention.bytes
  ottla topic alter orders --set max.message.bytes=10485760 --dry-run

Replaces: kafka-configs.sh --alter --topic")]
struct Alter {
    /// The topic.
    topic: String,
    /// Set this.
    #[arg(
        short = 'c',
        long,
        visible_alias = "config",
        value_name = "KEY=VALUE",
        value_parser = key_value,
        required_unless_present = "unset"
    )]
    set: Vec<(String, String)>,
    /// Return this to its default.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
}

/// Add partitions to a topic. Keys then go to other partitions than before.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla topic add-partitions orders --to 24
  ottla topic add-partitions orders --to 24 --dry-run
  ottla topic add-partitions orders --to 24 --output json

Replaces: kafka-topics.sh --alter --partitions")]
struct AddPartitions {
    /// The topic.
    topic: String,
    /// How many partitions it has afterwards.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    to: i32,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
}

rows! {
    /// A topic that was created.
    struct Created {
        /// Its name.
        topic: String => "TOPIC",
        /// Its id.
        id: Option<String> => "ID",
        /// How many partitions it has.
        partitions: Option<i32> => "PARTITIONS",
        /// How many copies there are of each.
        replication_factor: Option<i16> => "REPLICATION",
        /// What became of it: `created`, `exists`, `failed` or, with `--dry-run`, `valid`.
        status: String => "STATUS",
        /// Why it failed: the name of the broker's error, where it was the broker's.
        error: Option<String>,
        /// Why it failed, in words.
        message: Option<String>,
    }
    /// A topic that was changed.
    struct Altered {
        /// Its name.
        topic: String => "TOPIC",
        /// What changed.
        changes: BTreeMap<String, Option<String>> => "CHANGES",
        /// Whether it was only checked.
        dry_run: bool => "DRY-RUN",
    }
    /// A topic that has more partitions.
    struct Grown {
        /// Its name.
        topic: String => "TOPIC",
        /// How many partitions it has.
        partitions: i32 => "PARTITIONS",
        /// Whether it was only checked.
        dry_run: bool => "DRY-RUN",
    }
}

/// Runs a command about topics.
pub(crate) fn run(args: &TopicArgs, output: Output) -> Result<Exit> {
    args.connect
        .ask(async |admin, deadline| match &args.command {
            Command::Create(create) => self::create(admin, create, output).await,
            Command::List(list) => show::list(admin, list, output).await,
            Command::Describe(describe) => show::describe(admin, describe, output).await,
            Command::Alter(alter) => self::alter(admin, alter, output).await,
            Command::Delete(delete) => delete::delete(admin, delete, output, deadline).await,
            Command::AddPartitions(add) => add_partitions(admin, add, output).await,
            Command::Trim(trim) => delete::trim(admin, trim, output, deadline).await,
            Command::Offsets(offsets) => show::offsets(admin, offsets, output).await,
        })
}

async fn create(admin: &mut Admin<TokioEnv>, args: &Create, output: Output) -> Result<Exit> {
    let configs: BTreeMap<String, String> = config::changes(&args.config, &[])?
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    let new = |name: &String| NewTopic {
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: configs.clone(),
        ..NewTopic::new(name.as_str())
    };
    let topics: Vec<NewTopic> = args.topics.iter().map(new).collect();
    let results = admin
        .create_topics(&topics, args.dry_run)
        .await
        .map_err(|error| Failure::client("creating topics", &error))?;
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    for (name, result) in results {
        let row = |status: &str| Created {
            topic: name.to_string(),
            id: None,
            partitions: None,
            replication_factor: None,
            status: status.to_owned(),
            error: None,
            message: None,
        };
        match result {
            Ok(created) => {
                tally.done();
                rows.push(Created {
                    id: (!created.id.is_zero()).then(|| created.id.to_string()),
                    partitions: (created.partitions >= 0).then_some(created.partitions),
                    replication_factor: (created.replication_factor >= 0)
                        .then_some(created.replication_factor),
                    ..row(if args.dry_run { "valid" } else { "created" })
                });
            }
            Err(error)
                if args.if_not_exists && error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) =>
            {
                tally.done();
                rows.push(row("exists"));
            }
            Err(error) => {
                let mut failure = Failure::client(&format!("creating topic {name}"), &error);
                let keys = args.config.iter().map(|(key, _)| key.as_str());
                if error.code() == Some(ErrorCode::INVALID_CONFIG)
                    && let Some(near) = config::near(ResourceKind::Topic, keys)
                {
                    failure.next = Some(near);
                }
                tally.failed(&failure);
                // People have just been told.
                if !output.is_text() {
                    rows.push(Created {
                        error: error.code().map(|code| code.name().to_owned()),
                        message: Some(error.to_string()),
                        ..row("failed")
                    });
                }
            }
        }
    }
    output::outcome(output, &rows)?;
    Ok(tally.exit())
}

async fn alter(admin: &mut Admin<TokioEnv>, args: &Alter, output: Output) -> Result<Exit> {
    let changes = config::changes(&args.set, &args.unset)?;
    let wire = changes.iter().map(|(key, value)| {
        let change = value
            .clone()
            .map_or(ConfigChange::Delete, ConfigChange::Set);
        (key.clone(), change)
    });
    let wire = [(Resource::topic(args.topic.as_str()), wire.collect())];
    let what = format!("topic {}", args.topic);
    if let Err(error) = config::apply(admin, &wire, &what, args.dry_run).await {
        return Err(match exit::of(&error) {
            // Says which topic was perhaps meant.
            Some(Exit::NotFound) => {
                let mut tally = Tally::default();
                let name = std::slice::from_ref(&args.topic);
                match find(admin, name, &mut tally).await?.is_empty() {
                    true => return Ok(tally.exit()),
                    false => error,
                }
            }
            _ => error,
        });
    }
    let altered = Altered {
        topic: args.topic.clone(),
        changes,
        dry_run: args.dry_run,
    };
    output::list(output, &[altered])?;
    Ok(Exit::Ok)
}

async fn add_partitions(
    admin: &mut Admin<TokioEnv>,
    args: &AddPartitions,
    output: Output,
) -> Result<Exit> {
    let topic = Str::from(&args.topic);
    admin
        .create_partitions(&topic, args.to, &[], args.dry_run)
        .await
        .map_err(|error| Failure::client(&format!("adding partitions to topic {topic}"), &error))?;
    let grown = Grown {
        topic: args.topic.clone(),
        partitions: args.to,
        dry_run: args.dry_run,
    };
    output::list(output, &[grown])?;
    Ok(Exit::Ok)
}

/// The topics named, as they are; those that are missing are told, with what was perhaps meant.
pub(crate) async fn find(
    admin: &mut Admin<TokioEnv>,
    names: &[String],
    tally: &mut Tally,
) -> Result<Vec<Topic>> {
    let wanted: Vec<Str> = names.iter().map(Str::from).collect();
    let described = admin
        .describe_topics(&wanted)
        .await
        .map_err(|error| Failure::client("looking up topics", &error))?;
    let mut topics = Vec::new();
    for (name, result) in described {
        match result {
            Ok(topic) => topics.push(topic),
            Err(error) => {
                let mut failure = Failure::client(&format!("topic {name}"), &error);
                if failure.exit == Exit::NotFound
                    && let Ok(known) = admin.list_topics().await
                    && let Some(near) =
                        nearest(&name, known.iter().map(|topic| topic.name.as_str()))
                {
                    failure = failure.next(format!(
                        "did you mean `{near}`? `ottla topic list` shows all"
                    ));
                }
                tally.failed(&failure);
            }
        }
    }
    Ok(topics)
}

/// The name that is nearest to a misspelt one, if any is near.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, near) = known
        .filter_map(|other| Some((configs::distance(other, name)?, other)))
        .min()?;
    (distance <= 1 + name.len() / 5).then_some(near)
}

/// The partitions of a topic: all, or those named, which must exist.
pub(crate) fn partitions_of(topic: &Topic, wanted: &[i32]) -> Result<Vec<TopicPartition>> {
    for partition in wanted {
        if !topic.partitions.contains_key(partition) {
            let text = format!("topic {} has no partition {partition}", topic.name);
            let has = match topic.partitions.len() {
                1 => "it has one, 0".to_owned(),
                count => format!("it has 0 to {}", count.saturating_sub(1)),
            };
            return Err(Failure::new(Exit::NotFound, text).next(has).into());
        }
    }
    let kept = |partition: &&i32| wanted.is_empty() || wanted.contains(partition);
    let at = |partition: &i32| TopicPartition::new(topic.name.clone(), *partition);
    Ok(topic.partitions.keys().filter(kept).map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let known = ["orders", "payments", "x"];
        assert_eq!(nearest("order", known.into_iter()), Some("orders"));
        assert_eq!(nearest("paymenst", known.into_iter()), Some("payments"));
        assert_eq!(nearest("paiments", known.into_iter()), Some("payments"));
        assert_eq!(nearest("invoices", known.into_iter()), None);
        assert_eq!(nearest("orders", std::iter::empty()), None);
    }
}
