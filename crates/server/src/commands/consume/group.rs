//! Consuming as a member of a group: what was printed is committed, and nothing else.

use std::collections::BTreeMap;

use anyhow::Result;
use client::{
    Admin, ClientOptions, CommittedOffset, GroupConsumer, GroupOptions, Polled, Reset,
    TopicPartition,
};
use env::{Clock, Either, Either3, Env, race, race3};
use env_tokio::{Signals, TokioEnv};
use protocol::Str;
use types::{ErrorCode, Mono};

use super::{Consume, POLL, Patience, Sink, partitions};
use crate::exit::{Exit, Failure};
use crate::range::{self, Ends, Point, Range};

/// How often what was printed is committed, and once more at the end.
const COMMIT_MS: i64 = 1_000;

/// How long leaving may take after an error, which is what is told.
const LEAVE_MS: i64 = 2_000;

/// Reads as a member of the group.
pub(super) async fn read(
    args: &Consume,
    name: &str,
    env: TokioEnv,
    options: ClientOptions,
    mut signals: Signals,
    range: Option<Range>,
    sink: &mut Sink,
) -> Result<Exit> {
    let reset = match range {
        None
        | Some(Range {
            from: Point::Start,
            until: None,
        }) => Reset::Earliest,
        Some(Range {
            from: Point::End,
            until: None,
        }) => Reset::Latest,
        Some(_) => {
            let text = "in a group, -o is start or end: where to begin if the group has no offset";
            let next = format!("`ottla group seek {name} --to ...` moves the group");
            return Err(Failure::usage(text).next(next).into());
        }
    };
    let mut admin = Admin::new(&env, options.clone());
    let looking_up = async {
        let all = match partitions(&mut admin, args).await? {
            Ok(partitions) => partitions,
            Err(exit) => return Ok(Err(exit)),
        };
        anyhow::Ok(Ok(match args.until_end {
            true => Some(range::ends(&mut admin, &all, args.isolation()).await?),
            false => None,
        }))
    };
    let ends = match race(looking_up, signals.next()).await {
        Either::First(found) => match found? {
            Ok(ends) => ends,
            Err(exit) => return Ok(exit),
        },
        Either::Second(_) => return Err(interrupted()),
    };
    drop(admin);
    let failed = |error: client::Error| failed(name, &error);
    let group = GroupOptions {
        auto_commit: None,
        ..GroupOptions::new(name)
    };
    let topics = args.topics.iter().map(Str::from);
    let mut member =
        GroupConsumer::new(&env, options, args.options(reset), group, topics).map_err(failed)?;
    let mut printed = Printed::default();
    let (ends, heard) = (ends.as_ref(), &mut signals);
    let end = print(args, &env, ends, heard, &mut member, &mut printed, sink).await;
    let leave = async {
        let committed = printed.commit(&mut member).await;
        let closed = member.close().await;
        committed.and(closed)
    };
    // A second Ctrl-C does not wait for that. Nor does it take long where something is amiss already: then it is for
    // the others' sake, who need not wait until the group has missed this member.
    let patience = match &end {
        Ok(_) => None,
        Err(_) => Some(env.clock().mono().after_ms(LEAVE_MS)),
    };
    let late = async {
        match patience {
            Some(until) => env.clock().sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    match race3(leave, signals.next(), late).await {
        Either3::First(left) => {
            let exit = end?;
            left.map_err(failed)?;
            match exit {
                Exit::Interrupted => Err(interrupted()),
                exit => Ok(exit),
            }
        }
        Either3::Second(_) => Err(interrupted()),
        Either3::Third(()) => end,
    }
}

/// Prints what comes until it is enough, and commits now and then.
async fn print(
    args: &Consume,
    env: &TokioEnv,
    ends: Option<&BTreeMap<TopicPartition, Ends>>,
    signals: &mut Signals,
    member: &mut GroupConsumer<TokioEnv>,
    printed: &mut Printed,
    sink: &mut Sink,
) -> Result<Exit> {
    let name = args.group.as_deref().unwrap_or_default();
    let failed = |error: client::Error| failed(name, &error);
    let mut patience = Patience::new(env, args.connect.timeout);
    let mut idle = 0;
    loop {
        // Ctrl-C is waited for here, so that the member commits and leaves.
        let polled = match race(member.poll(POLL), signals.next()).await {
            Either::First(polled) => polled.map_err(failed)?,
            Either::Second(_) => return Ok(Exit::Interrupted),
        };
        match polled {
            Polled::Records(records) => {
                let taken = sink.take(&records)?;
                for record in &records[..taken] {
                    let next =
                        CommittedOffset::new(record.offset.plus(1), Some(record.leader_epoch));
                    printed.offsets.insert(record.at.clone(), next);
                }
                if taken > 0 {
                    patience.progress(env);
                    idle = 0;
                } else if member.generation() >= 0 {
                    // While it joins, nothing can come.
                    idle += 1;
                }
            }
            Polled::Assigned(_) => {
                patience.progress(env);
                idle = 0;
            }
            Polled::Revoked(_) => printed.commit(member).await.map_err(failed)?,
            // They have another owner, who reads them again from what was committed.
            Polled::Lost(lost) => printed.offsets.retain(|at, _| !lost.contains(at)),
        }
        if env.clock().mono() >= printed.next {
            printed.next = env.clock().mono().after_ms(COMMIT_MS);
            printed.commit(member).await.map_err(failed)?;
        }
        if sink.is_done() {
            return Ok(Exit::Ok);
        }
        if let Some(ends) = ends
            && member.generation() >= 0
        {
            let consumer = member.consumer();
            let behind = consumer.assignment().find(|at| {
                let position = consumer.position(at).map(|(offset, _)| offset.0);
                ends.get(*at)
                    .is_some_and(|ends| position.is_none_or(|position| position < ends.end))
            });
            match behind {
                Some(at) => patience.check(env, &at.to_string(), consumer.trouble(at))?,
                // A member that was given nothing waits a little: a rebalance may be on its way.
                None if consumer.assignment().next().is_some() || idle > 4 => {
                    return Ok(Exit::Ok);
                }
                None => {}
            }
        } else if ends.is_some() {
            patience.check(env, &format!("group {name}"), None)?;
        }
    }
}

fn interrupted() -> anyhow::Error {
    Failure::new(Exit::Interrupted, "interrupted").into()
}

fn failed(group: &str, error: &client::Error) -> Failure {
    Failure::client(&format!("consuming in group {group}"), error)
}

/// What was printed and is not committed.
#[derive(Default)]
struct Printed {
    offsets: BTreeMap<TopicPartition, CommittedOffset>,
    next: Mono,
}

impl Printed {
    async fn commit(&mut self, member: &mut GroupConsumer<TokioEnv>) -> client::Result<()> {
        let offsets = std::mem::take(&mut self.offsets);
        match member.commit(&offsets).await {
            // The partitions may go to others, who print these records again: at least once.
            Err(error) if matches!(error.code(), Some(code) if rebalances(code)) => {
                tracing::warn!(%error, "offsets not committed");
                self.offsets = offsets;
                Ok(())
            }
            result => result,
        }
    }
}

fn rebalances(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::REBALANCE_IN_PROGRESS
            | ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::UNKNOWN_MEMBER_ID
    )
}
