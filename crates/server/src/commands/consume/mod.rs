//! `ottla consume`: records of topics on standard output.

mod filter;
mod group;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use client::{
    Admin, ClientOptions, Consumer, ConsumerOptions, ConsumerRecord, Error, Isolation, Reset,
    Start, TopicPartition,
};
use env::{Clock, Env};
use env_tokio::TokioEnv;
use jiff::Timestamp;
use types::{Mono, Offset};

use self::filter::Filter;
use crate::commands::topic::{find, partitions_of};
use crate::connect::Connect;
use crate::exit::{Exit, Failure, Tally};
use crate::formats::{self, Piece, json, write};
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::range::{self, Range};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  ottla consume orders
  ottla consume orders -o :end -f '%p %o %k %v\\n'
  ottla consume orders -o @-1h --until-end --output jsonl | jq .value
  ottla consume orders -o start --until-end --filter '.value | fromjson | .amount > 100'
  ottla consume orders payments -g billing -n 100

Replaces: kafka-console-consumer.sh";

/// Print the records of topics as they come.
///
/// Starts at the end, or, with `--until-end` or in a group without offsets, at the start. Goes on until Ctrl-C
/// unless told where to stop.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}\n\n{}\n\n{}", range::HELP, filter::HELP, formats::HELP))]
pub(crate) struct Consume {
    /// The topics.
    #[arg(value_name = "TOPIC", required = true)]
    topics: Vec<String>,
    /// Which records; see below.
    #[arg(short, long, value_name = "RANGE", allow_hyphen_values = true)]
    offset: Option<String>,
    /// How a record is printed; see below. With `--output json` or `jsonl`: as one JSON object a line,
    /// with `yaml` as a document.
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n")]
    format: String,
    /// Only these partitions.
    #[arg(
        short,
        long,
        value_name = "N",
        value_delimiter = ',',
        conflicts_with = "group"
    )]
    partition: Vec<i32>,
    /// Read as a member of this group, and commit what was printed.
    #[arg(short, long)]
    group: Option<String>,
    /// Stop after so many records.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// Stop at what is the end now.
    #[arg(long)]
    until_end: bool,
    /// Print only records of which this is true; see below. What is left out is read all the same.
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Leave out records of transactions that are open or were aborted.
    #[arg(long)]
    read_committed: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Consume {
    fn isolation(&self) -> Isolation {
        match self.read_committed {
            true => Isolation::ReadCommitted,
            false => Isolation::ReadUncommitted,
        }
    }

    fn options(&self, reset: Reset) -> ConsumerOptions {
        ConsumerOptions {
            isolation: self.isolation(),
            reset,
            ..ConsumerOptions::default()
        }
    }
}

/// Consumes.
pub(crate) fn run(args: &Consume, output: Output) -> Result<Exit> {
    let pieces = formats::parse(&args.format).map_err(Failure::usage)?;
    let range = match &args.offset {
        Some(text) => Some(Range::parse(text, Timestamp::now()).map_err(Failure::usage)?),
        None => None,
    };
    let filter = match &args.filter {
        Some(text) => Some(Filter::parse(text).map_err(Failure::usage)?),
        None => None,
    };
    let mut sink = Sink::new(pieces, output, filter, args.num);
    let connect = &args.connect;
    let end = match &args.group {
        None => {
            connect.stream(async |env, options| read(args, env, options, range, &mut sink).await)
        }
        Some(name) => connect.stream_with_signals(async |env, options, signals| {
            group::read(args, name, env, options, signals, range, &mut sink).await
        }),
    };
    if let Some(complaint) = sink.filter.as_ref().and_then(Filter::complaint) {
        eprintln!("ottla: {complaint}");
    }
    end
}

/// Where records are printed.
struct Sink {
    out: BufWriter<StdoutLock<'static>>,
    pieces: Vec<Piece>,
    output: Output,
    filter: Option<Filter>,
    left: Option<u64>,
    progress: Progress,
}

impl Sink {
    fn new(pieces: Vec<Piece>, output: Output, filter: Option<Filter>, left: Option<u64>) -> Sink {
        Sink {
            out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
            pieces,
            output,
            filter,
            left,
            progress: Progress::new("consumed", io::stdout().is_terminal()),
        }
    }

    /// Prints records, no more than are wanted. Returns how many it took, those included that the filter left out.
    fn take(&mut self, records: &[ConsumerRecord]) -> io::Result<usize> {
        let (mut taken, mut printed, mut bytes) = (0, 0, 0);
        for record in records {
            if self.left == Some(printed) {
                break;
            }
            taken += 1;
            if let Some(filter) = &mut self.filter
                && !filter.wants(record)
            {
                continue;
            }
            printed += 1;
            match self.output {
                output if output.is_text() => {
                    write::write(&mut self.out, &self.pieces, record)?;
                }
                output => output::item(&mut self.out, output, &json::of(record))?,
            }
            bytes += record.value.as_ref().map_or(0, Bytes::len)
                + record.key.as_ref().map_or(0, Bytes::len);
        }
        self.out.flush()?;
        if let Some(left) = &mut self.left {
            *left -= printed;
        }
        self.progress.add(printed, bytes as u64);
        Ok(taken)
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }
}

/// Nothing has come for as long as the command may wait, though something was there to come.
struct Patience {
    limit: Duration,
    until: Mono,
}

impl Patience {
    fn new(env: &TokioEnv, limit: Duration) -> Patience {
        let until = env.clock().mono().after(limit);
        Patience { limit, until }
    }

    fn progress(&mut self, env: &TokioEnv) {
        self.until = env.clock().mono().after(self.limit);
    }

    /// # Errors
    /// It has come to an end; `trouble` is what is known of the reason.
    fn check(&self, env: &TokioEnv, what: &str, trouble: Option<&Error>) -> Result<()> {
        if env.clock().mono() < self.until {
            return Ok(());
        }
        let text = format!(
            "no record came for {:?}, though {what} has not reached its end",
            self.limit
        );
        let next = "is the partition's leader up? `ottla topic describe` shows it; `--timeout` waits longer";
        let failure = match trouble {
            Some(error) => Failure::client(&text, error),
            None => Failure::new(Exit::Unreachable, text).next(next),
        };
        Err(failure.into())
    }
}

/// The partitions of the topics. A missing topic is told, and is an error.
async fn partitions(
    admin: &mut Admin<TokioEnv>,
    args: &Consume,
) -> Result<Result<Vec<TopicPartition>, Exit>> {
    let mut tally = Tally::default();
    let mut partitions = Vec::new();
    for topic in find(admin, &args.topics, &mut tally).await? {
        partitions.extend(partitions_of(&topic, &args.partition)?);
    }
    Ok(match tally.exit() {
        Exit::Ok => Ok(partitions),
        exit => Err(exit),
    })
}

/// Reads partitions without a group.
async fn read(
    args: &Consume,
    env: TokioEnv,
    options: ClientOptions,
    range: Option<Range>,
    sink: &mut Sink,
) -> Result<Exit> {
    let mut admin = Admin::new(&env, options.clone());
    let partitions = match partitions(&mut admin, args).await? {
        Ok(partitions) => partitions,
        Err(exit) => return Ok(exit),
    };
    let range = range.unwrap_or(Range {
        from: if args.until_end {
            range::Point::Start
        } else {
            range::Point::End
        },
        until: None,
    });
    let isolation = args.isolation();
    let ends = range::ends(&mut admin, &partitions, isolation).await?;
    let from = range::resolve(&mut admin, &ends, range.from, isolation).await?;
    // An offset that is yet to come is waited for: what comes before it is passed over.
    let first = match range.from {
        range::Point::At(offset) => Some(offset),
        _ => None,
    };
    let mut until: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    if let Some(point) = range.until {
        until = match point {
            // An offset that is yet to come is waited for.
            range::Point::At(offset) => ends.keys().map(|at| (at.clone(), offset)).collect(),
            point => range::resolve(&mut admin, &ends, point, isolation).await?,
        };
    }
    if args.until_end {
        for (at, ends) in &ends {
            let until = until.entry(at.clone()).or_insert(ends.end);
            *until = (*until).min(ends.end);
        }
    }
    drop(admin);
    let wanted =
        |(at, from): &(&TopicPartition, &i64)| until.get(*at).is_none_or(|until| **from < *until);
    let starts: Vec<(TopicPartition, Start)> = from
        .iter()
        .filter(wanted)
        .map(|(at, offset)| (at.clone(), Start::Offset(Offset(*offset), None)))
        .collect();
    if starts.is_empty() {
        if let Some(first) = first
            && ends.values().all(|ends| first > ends.end)
        {
            let last = ends.values().map(|ends| ends.end).max().unwrap_or(0);
            let text = format!("there is no offset {first} yet: the last is below {last}");
            return Err(Failure::new(Exit::NotFound, text)
                .next(
                    "`ottla topic offsets` shows the ends; without `--until-end` it is waited for",
                )
                .into());
        }
        return Ok(Exit::Ok);
    }
    let mut consumer = Consumer::new(&env, options, args.options(Reset::Earliest));
    consumer.assign(starts);
    let mut patience = Patience::new(&env, args.connect.timeout);
    loop {
        let mut records = consumer
            .poll(POLL)
            .await
            .map_err(|error| Failure::client("consuming", &error))?;
        if !records.is_empty() {
            patience.progress(&env);
            records.retain(|record| {
                first.is_none_or(|first| record.offset.0 >= first)
                    && until
                        .get(&record.at)
                        .is_none_or(|until| record.offset.0 < *until)
            });
            sink.take(&records)?;
        }
        if sink.is_done() {
            return Ok(Exit::Ok);
        }
        // Positions pass over records that are not printed: markers of transactions, what was aborted.
        let finished: Vec<TopicPartition> = consumer
            .assignment()
            .filter(|at| {
                let position = consumer.position(at).map(|(offset, _)| offset.0);
                until
                    .get(*at)
                    .zip(position)
                    .is_some_and(|(until, position)| position >= *until)
            })
            .cloned()
            .collect();
        for at in finished {
            patience.progress(&env);
            consumer.unassign(&at);
        }
        if consumer.assignment().next().is_none() {
            return Ok(Exit::Ok);
        }
        // What is there already must come; what is yet to be written may take any time.
        let is_there = |at: &&TopicPartition| {
            let until = until.get(*at).zip(ends.get(*at));
            until.is_some_and(|(until, ends)| *until <= ends.end)
        };
        if let Some(unfinished) = consumer.assignment().find(is_there) {
            let trouble = consumer.trouble(unfinished);
            patience.check(&env, &unfinished.to_string(), trouble)?;
        }
    }
}
