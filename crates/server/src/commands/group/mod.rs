//! `ottla group`: groups, their members, and their offsets.

mod change;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use change::{DeletedGroup, DeletedOffset, Sought};
pub(crate) use show::{DescribedGroup, ListedGroup};

use crate::connect::Connect;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Consumer groups: their members, their lag, their offsets.
#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(show::List),
    Describe(show::Describe),
    Seek(change::Seek),
    Delete(change::Delete),
    DeleteOffsets(change::DeleteOffsets),
}

/// Runs a command about groups.
pub(crate) fn run(args: &GroupArgs, output: Output) -> Result<Exit> {
    args.connect
        .ask(async |admin, deadline| match &args.command {
            Command::List(list) => show::list(admin, list, output).await,
            Command::Describe(describe) => show::describe(admin, describe, output).await,
            Command::Seek(seek) => change::seek(admin, seek, output, deadline).await,
            Command::Delete(delete) => change::delete(admin, delete, output, deadline).await,
            Command::DeleteOffsets(delete) => {
                change::delete_offsets(admin, delete, output, deadline).await
            }
        })
}

/// A topic, or some of its partitions: `orders`, `orders:0,3`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selection {
    topic: String,
    /// Empty for all.
    partitions: Vec<i32>,
}

impl std::str::FromStr for Selection {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Selection, Failure> {
        let bad = || Failure::usage(format!("`{text}`: write TOPIC or TOPIC:0,3"));
        let (topic, numbers) = match text.split_once(':') {
            Some((topic, numbers)) => (topic, Some(numbers)),
            None => (text, None),
        };
        if topic.is_empty() {
            return Err(bad());
        }
        let number = |text: &str| {
            text.trim()
                .parse::<i32>()
                .ok()
                .filter(|n| *n >= 0)
                .ok_or_else(bad)
        };
        let partitions = match numbers {
            Some(numbers) => numbers
                .split(',')
                .map(number)
                .collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        Ok(Selection {
            topic: topic.to_owned(),
            partitions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections() {
        let parsed: Selection = "orders:0,3".parse().unwrap();
        assert_eq!(
            (parsed.topic.as_str(), parsed.partitions),
            ("orders", vec![0, 3])
        );
        let parsed: Selection = "orders".parse().unwrap();
        assert!(parsed.partitions.is_empty());
        for bad in ["", ":0", "a:", "a:x", "a:-1"] {
            assert!(bad.parse::<Selection>().is_err(), "{bad}");
        }
    }
}
