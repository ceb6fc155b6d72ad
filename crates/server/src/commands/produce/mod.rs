//! `ottla produce`: records from standard input or a file into a topic.

mod input;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use client::{
    Acks, ClientOptions, Delivered, Delivery, DeliveryError, Producer, ProducerOptions,
    ProducerRecord,
};
use env::{Either, race};
use env_tokio::{Signals, TokioEnv};
use protocol::Str;
use records::{Codec, Header};
use tokio::sync::mpsc;

use self::input::Chunk;
use crate::connect::Connect;
use crate::exit::{self, Exit, Failure};
use crate::formats;
use crate::formats::read::Reader;
use crate::output::{self, Output, counted, rows};
use crate::progress::Progress;

/// Records that wait for their outcome before more is read.
const UNDECIDED_MAX: usize = 10_000;

const EXAMPLES: &str = "\
Examples:
  echo hello | ottla produce orders
  ottla produce orders -f '%k\\t%v\\n' -z zstd --file orders.tsv
  ottla produce orders -k customer-7 -H source:import --output json < order.txt
  ottla consume orders -o :end --output jsonl | ottla produce copy -f json

Replaces: kafka-console-producer.sh";

/// Write records from standard input, or a file, into a topic.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", formats::HELP))]
pub(crate) struct Produce {
    /// The topic. May be left out if the format tells it (%t).
    topic: Option<String>,
    /// What a record looks like; see below.
    #[arg(short, long, default_value = "%v\\n", value_name = "FORMAT")]
    format: String,
    /// The key of records that bring none.
    #[arg(short, long)]
    key: Option<String>,
    /// A header of every record.
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The partition of records that bring none; without it the key decides.
    #[arg(short, long, value_name = "N")]
    partition: Option<i32>,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t)]
    compression: Compression,
    /// Whose acknowledgement is waited for.
    #[arg(long, value_enum, default_value_t)]
    acks: AckLevel,
    /// An empty value is none: a tombstone on a compacted topic.
    #[arg(short = 'Z', long)]
    tombstone: bool,
    /// Read from here instead of standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How long a batch waits for more records.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    linger_ms: u64,
    #[command(flatten)]
    connect: Connect,
}

/// A codec.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum AckLevel {
    /// Nobody's.
    #[value(name = "0", alias = "none")]
    None,
    /// The leader's.
    #[value(name = "1", alias = "leader")]
    Leader,
    /// That of all replicas in sync.
    #[default]
    #[value(name = "all", alias = "-1")]
    All,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY:VALUE".to_owned()),
    }
}

rows! {
    /// What was written.
    struct Produced {
        /// How many records were written.
        records: u64,
        /// How many bytes their keys and values have.
        bytes: u64,
        /// How many were not written, or may not have been.
        failed: u64,
        /// How long it took, in milliseconds.
        took_ms: f64,
        /// Where they are.
        partitions: Vec<ProducedPartition>,
    }
    /// What was written to a partition.
    struct ProducedPartition {
        /// Its topic.
        topic: String => "TOPIC",
        /// Its number.
        partition: i32 => "PARTITION",
        /// How many records.
        records: u64 => "RECORDS",
        /// The first one's offset; none with `--acks 0`.
        first_offset: Option<i64> => "FIRST",
        /// The last one's offset.
        last_offset: Option<i64> => "LAST",
    }
}

/// Produces.
pub(crate) fn run(args: &Produce, output: Output) -> Result<Exit> {
    let reader = Reader::new(&args.format).map_err(Failure::usage)?;
    let has_topic = match &reader {
        Reader::Json => true,
        Reader::Pieces(pieces) => pieces.contains(&formats::Piece::Topic),
    };
    if args.topic.is_none() && !has_topic {
        return Err(Failure::usage("no topic is named")
            .next("`ottla produce TOPIC`, or %t in the format")
            .into());
    }
    if args.partition.is_some_and(|partition| partition < 0) {
        return Err(Failure::usage("--partition: a partition is a number from 0 on").into());
    }
    args.connect
        .stream_with_signals(async |env, options, signals| {
            produce(args, env, options, signals, reader, output).await
        })
}

fn options(args: &Produce) -> ProducerOptions {
    ProducerOptions {
        acks: match args.acks {
            AckLevel::None => Acks::None,
            AckLevel::Leader => Acks::Leader,
            AckLevel::All => Acks::All,
        },
        idempotent: args.acks == AckLevel::All,
        codec: match args.compression {
            Compression::None => Codec::None,
            Compression::Gzip => Codec::Gzip,
            Compression::Snappy => Codec::Snappy,
            Compression::Lz4 => Codec::Lz4,
            Compression::Zstd => Codec::Zstd,
        },
        linger: Duration::from_millis(args.linger_ms),
        delivery_timeout: args.connect.timeout,
        ..ProducerOptions::default()
    }
}

/// A record on its way, with what is told of it afterwards.
struct Undecided {
    delivery: Delivery,
    topic: Str,
    bytes: u64,
}

struct Outcomes {
    partitions: BTreeMap<(Str, i32), ProducedPartition>,
    records: u64,
    bytes: u64,
    failures: BTreeMap<String, (u64, Failure)>,
    progress: Progress,
}

impl Outcomes {
    fn take(&mut self, undecided: &Undecided, result: Result<Delivered, DeliveryError>) {
        match result {
            Ok(delivered) => {
                let key = (undecided.topic.clone(), delivered.partition);
                let partition = self
                    .partitions
                    .entry(key)
                    .or_insert_with(|| ProducedPartition {
                        topic: undecided.topic.to_string(),
                        partition: delivered.partition,
                        records: 0,
                        first_offset: None,
                        last_offset: None,
                    });
                partition.records += 1;
                if let Some(offset) = delivered.offset {
                    partition.first_offset = Some(
                        partition
                            .first_offset
                            .map_or(offset.0, |first| first.min(offset.0)),
                    );
                    partition.last_offset = Some(
                        partition
                            .last_offset
                            .map_or(offset.0, |last| last.max(offset.0)),
                    );
                }
                self.records += 1;
                self.bytes += undecided.bytes;
                self.progress.add(1, undecided.bytes);
            }
            Err(error) => self.fail(undecided.topic.as_str(), &error.error, &error.to_string()),
        }
    }

    /// How many records there are of which the outcome is known.
    fn told(&self) -> u64 {
        let failed: u64 = self.failures.values().map(|(count, _)| count).sum();
        self.records + failed
    }

    /// Many records fail for one reason: it is told once.
    fn fail(&mut self, topic: &str, error: &client::Error, text: &str) {
        let text = format!("producing to {topic}: {text}");
        let failure = Failure::client(&format!("producing to {topic}"), error);
        let failure = Failure {
            message: text.clone(),
            ..failure
        };
        let (count, _) = self.failures.entry(text).or_insert((0, failure));
        *count += 1;
    }
}

async fn produce(
    args: &Produce,
    env: TokioEnv,
    client: ClientOptions,
    mut signals: Signals,
    reader: Reader,
    output: Output,
) -> Result<Exit> {
    let started = Instant::now();
    let mut input = input::start(args.file.as_deref(), reader)?;
    let producer = Producer::new(&env, client, options(args))
        .map_err(|error| Failure::client("starting the producer", &error))?;
    let mut outcomes = Outcomes {
        partitions: BTreeMap::new(),
        records: 0,
        bytes: 0,
        failures: BTreeMap::new(),
        progress: Progress::new("produced", false),
    };
    let mut undecided: VecDeque<Undecided> = VecDeque::new();
    // Ctrl-C ends the reading. What was accepted is written and told all the same; another does not wait for that.
    let reading = read(args, &mut input, &producer, &mut undecided, &mut outcomes);
    let (broken, interrupted) = match race(reading, signals.next()).await {
        Either::First(end) => (end.err(), false),
        Either::Second(_) => (None, true),
    };
    let settling = async {
        // There is nothing more to wait for. What does not come to an end in this time is settled below.
        let _ = producer.flush(args.connect.timeout).await;
        while !undecided.is_empty() {
            settle(&mut undecided, &mut outcomes).await;
        }
    };
    if let Either::Second(_) = race(settling, signals.next()).await {
        return Err(Failure::new(Exit::Interrupted, "interrupted").into());
    }
    let after = format!("the input after record {}", outcomes.told());
    let broken = match interrupted {
        true => {
            let text = format!("interrupted after record {}", outcomes.told());
            Some(Failure::new(Exit::Interrupted, text).into())
        }
        false => broken.map(|error| error.context(after)),
    };
    // Every record's outcome is known by now: an end that takes too long changes nothing about what is told.
    let closed = producer.close(args.connect.timeout).await;
    let closed = closed.map_err(|error| Failure::client("closing the producer", &error).into());
    report(outcomes, started, broken.or(closed.err()), output)
}

/// Sends what is read until there is no more, or until nothing will come of it.
///
/// # Errors
/// The input is broken.
async fn read(
    args: &Produce,
    input: &mut mpsc::Receiver<Chunk>,
    producer: &Producer<TokioEnv>,
    undecided: &mut VecDeque<Undecided>,
    outcomes: &mut Outcomes,
) -> Result<()> {
    loop {
        // Outcomes are taken while the input is waited for, so that a terminal's progress is true.
        let next = match undecided.front_mut() {
            None => Either::First(input.recv().await),
            Some(oldest) => race(input.recv(), &mut oldest.delivery).await,
        };
        match next {
            Either::First(None) => return Ok(()),
            Either::First(Some(records)) => {
                for record in records.map_err(bad_input)? {
                    let record = complete(record, args)?;
                    let topic = record.topic.clone();
                    let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len) as u64;
                    let bytes = size(&record.key) + size(&record.value);
                    match producer.send(record).await {
                        Ok(delivery) => undecided.push_back(Undecided {
                            delivery,
                            topic,
                            bytes,
                        }),
                        Err(error) => outcomes.fail(topic.as_str(), &error, &error.to_string()),
                    }
                    while undecided.len() > UNDECIDED_MAX {
                        settle(undecided, outcomes).await;
                    }
                }
            }
            Either::Second(result) => {
                if let Some(oldest) = undecided.pop_front() {
                    outcomes.take(&oldest, result);
                }
            }
        }
        // What cannot succeed for the first records will not for the others.
        if outcomes.records == 0 && !outcomes.failures.is_empty() {
            return Ok(());
        }
    }
}

/// An input that cannot be read, or is not what the format says.
fn bad_input(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Failure::new(Exit::Failed, error.to_string())
            .next("`--format` says what a record looks like: `ottla produce --help`")
            .into(),
        _ => error.into(),
    }
}

/// Waits for the oldest outcome. When that is broken off, it is still the oldest.
async fn settle(undecided: &mut VecDeque<Undecided>, outcomes: &mut Outcomes) {
    if let Some(oldest) = undecided.front_mut() {
        let result = (&mut oldest.delivery).await;
        let oldest = undecided.pop_front().expect("looked at just now");
        outcomes.take(&oldest, result);
    }
}

/// A record with what the command line says of all.
fn complete(mut record: ProducerRecord, args: &Produce) -> Result<ProducerRecord, Failure> {
    if record.topic.is_empty() {
        match &args.topic {
            Some(topic) => record.topic = Str::from(topic),
            None => {
                let text = "the next one names no topic, and neither does the command";
                return Err(Failure::new(Exit::Failed, text)
                    .next("`ottla produce TOPIC` names one for all that name none"));
            }
        }
    }
    if record.key.is_none() {
        record.key = args
            .key
            .as_ref()
            .map(|key| Bytes::copy_from_slice(key.as_bytes()));
    }
    record.partition = record.partition.or(args.partition);
    if args.tombstone && record.value.as_ref().is_some_and(Bytes::is_empty) {
        record.value = None;
    }
    for (key, value) in &args.headers {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        record
            .headers
            .push(Header::new(bytes(key), Some(bytes(value))));
    }
    Ok(record)
}

fn report(
    outcomes: Outcomes,
    started: Instant,
    broken: Option<anyhow::Error>,
    output: Output,
) -> Result<Exit> {
    let failed = outcomes.told() - outcomes.records;
    let Outcomes {
        partitions,
        records,
        bytes,
        failures,
        progress,
    } = outcomes;
    drop(progress);
    for (count, failure) in failures.values() {
        let records = counted(*count, "record");
        eprintln!("ottla: {records} not written: {failure}");
    }
    let produced = Produced {
        records,
        bytes,
        failed,
        took_ms: output::millis(started.elapsed()),
        partitions: partitions.into_values().collect(),
    };
    if records > 0 || failures.is_empty() {
        let text = output::table(output, &produced.partitions);
        let text = if records == 0 {
            "no records were read"
        } else {
            text.as_str()
        };
        match output::value(output, &produced, text) {
            // That nobody reads what was written is one thing, that something was not is another.
            Err(error) if exit::of(&error).is_none() => {}
            shown => shown?,
        }
    }
    if let Some(error) = broken {
        return Err(error);
    }
    let exit = failures.values().map(|(_, failure)| failure.exit).next();
    Ok(match exit {
        None => Exit::Ok,
        Some(_) if records > 0 => Exit::Partial,
        Some(exit) => exit,
    })
}
