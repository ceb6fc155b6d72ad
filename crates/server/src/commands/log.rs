//! `ottla log`: files of logs, looked at without a broker.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use env::{Clock, Disk, Env};
use env_tokio::TokioEnv;
use storage::LogConfig;
use storage::log_dir::{parse_dir_name, partitions};
use storage::names::{self, parse_segment_file};
use storage::tools::verify::{Severity, Verified};
use storage::tools::{Action, DumpOptions, RepairOptions, Row as DumpRow, dump, repair, verify};

use crate::confirm::Consent;
use crate::connect::{self, Deadline};
use crate::exit::{Exit, Failure};
use crate::formats::to_base64;
use crate::output::{self, Output, Time, rows, table};
use crate::progress::bytes;

/// The file that makes a directory a node's.
const META: &str = "meta.properties";

/// Files of logs, without a broker: what is in them, and whether they are sound.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dump(Dump),
    Verify(Verify),
    Repair(Repair),
}

/// Print what is in segments, indexes, snapshots and checkpoints, in the words of Kafka's own tool.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla log dump data/orders-0
  ottla log dump data/orders-0/00000000000000000000.log --records --payloads
  ottla log dump data/orders-0 --records --output jsonl | jq .offset

Replaces: kafka-dump-log.sh")]
struct Dump {
    /// Files; of a directory, its segments.
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// The records too, not only their batches.
    #[arg(long, alias = "deep-iteration")]
    records: bool,
    /// The keys and values of the records too.
    #[arg(long, alias = "print-data-log")]
    payloads: bool,
}

/// Read every batch, and compare every index and checkpoint with what it should say. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla log verify data
  ottla log verify data/orders-0 data/orders-1
  ottla log verify data --output json | jq '.[] | select(.sound | not)'

The exit code is 1 if records are damaged or missing.

Replaces: kafka-dump-log.sh --index-sanity-check, --verify-index-only")]
struct Verify {
    /// Directories of logs (`data/orders-0`), or a data directory with all its logs.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
}

/// Do to logs what a starting broker does: cut torn tails, mark damage, rebuild indexes. Makes no record up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla log repair data/orders-0 --dry-run
  ottla log repair data/orders-0 --yes
  ottla log repair data --yes --output json
  ottla log repair data/orders-0 --reread --yes

No broker may be running on the directory.")]
struct Repair {
    /// Directories of logs (`data/orders-0`), or a data directory with all its logs.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Forget which records are known to be damaged, and read everything anew: after a good copy of a file was put
    /// in its place. What fails its checks is found again.
    #[arg(long)]
    reread: bool,
    #[command(flatten)]
    consent: Consent,
}

rows! {
    /// An entry of a dump. Which fields there are depends on `kind`.
    struct DumpEntry {
        /// The file.
        file: String,
        /// `batch`, `record`, `index`, `timeindex`, `txnindex`, `producer`, `garbage` or `text`.
        kind: String,
        /// The entry in the words of Kafka's own tool.
        text: String,
        /// The offset: a batch's first, a record's own, an index entry's.
        offset: Option<i64>,
        /// A batch's last offset.
        last_offset: Option<i64>,
        /// How many records a batch holds.
        count: Option<i32>,
        /// Where it lies in the file, or where an index points.
        position: Option<u64>,
        /// How many bytes it takes.
        size: Option<u64>,
        /// The timestamp: a batch's greatest, a record's own, an index entry's.
        timestamp: Option<Time>,
        /// Whether a batch's checksum is right.
        valid: Option<bool>,
        /// The producer's id.
        producer_id: Option<i64>,
        /// The producer's epoch.
        producer_epoch: Option<i16>,
        /// The sequence number: a batch's first, a record's own.
        sequence: Option<i32>,
        /// The epoch of the leader that wrote a batch.
        leader_epoch: Option<i32>,
        /// A record's key in base64, if asked for.
        key_base64: Option<String>,
        /// A record's value in base64, if asked for.
        value_base64: Option<String>,
    }
    /// A log that was verified.
    struct VerifiedLog {
        /// Its directory.
        dir: String => "LOG",
        /// How many segments it has.
        segments: usize => "SEGMENTS",
        /// How many batches they hold.
        batches: u64 => "BATCHES",
        /// How many bytes the batches take.
        bytes: u64 => "BYTES",
        /// The first offset that is kept.
        log_start: i64 => "START",
        /// The offset of the next record.
        log_end: i64 => "END",
        /// Whether no record is damaged or missing.
        sound: bool => "SOUND",
        /// What is not as it should be.
        findings: Vec<LogFinding>,
    }
    /// Something that is not as it should be.
    struct LogFinding {
        /// `note` as it may be after a crash; `rebuildable` in a file that can be rebuilt; `damage` to records.
        severity: String,
        /// The file.
        file: String,
        /// What was found.
        what: String,
    }
    /// A log that was repaired, or would be.
    struct RepairedLog {
        /// Its directory.
        dir: String => "LOG",
        /// The steps taken.
        actions: Vec<String> => "ACTIONS",
        /// How many bytes of a torn tail were cut off.
        torn_bytes: Option<u64> => "TORN-BYTES",
        /// Ranges of offsets that are damaged and stay so.
        damaged: Option<Vec<String>> => "DAMAGED",
        /// Whether nothing was done.
        dry_run: bool => "DRY-RUN",
        /// What was found before.
        findings: Vec<LogFinding>,
    }
}

/// Runs a command about files.
pub(crate) fn run(args: &LogArgs, output: Output) -> Result<Exit> {
    connect::run(None, async |env, deadline| match &args.command {
        Command::Dump(args) => self::dump_all(&env, args, output).await,
        Command::Verify(args) => self::verify_all(&env, args, output).await,
        Command::Repair(args) => self::repair_all(&env, args, output, deadline).await,
    })
}

async fn dump_all(env: &TokioEnv, args: &Dump, output: Output) -> Result<Exit> {
    let mut files = Vec::new();
    for path in &args.paths {
        if look(path)?.is_dir() {
            files.extend(segments(path)?);
        } else if is_of_a_log(path) {
            files.push(path.clone());
        } else {
            let text = format!("{} is no file of a log", path.display());
            return Err(Failure::usage(text)
                .next("files are known by their names: 00000000000000000000.log, leader-epoch-checkpoint, ...")
                .into());
        }
    }
    let options = DumpOptions {
        records: args.records || args.payloads,
        payloads: args.payloads,
        ..DumpOptions::default()
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut failed = None;
    let mut is_first = true;
    for file in &files {
        let name = file.display().to_string();
        if output.is_text() {
            writeln!(out, "Dumping {name}")?;
            let base = file
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| stem.parse::<i64>().ok());
            if let (Some(base), Some("log")) = (base, file.extension().and_then(|e| e.to_str())) {
                writeln!(out, "Log starting offset: {base}")?;
            }
        }
        let sink = |row: DumpRow| {
            if failed.is_some() {
                return;
            }
            let written = if output.is_text() {
                writeln!(out, "{row}")
            } else {
                output::element(&mut out, output, is_first, &entry(&name, &row))
            };
            is_first = false;
            failed = written.err();
        };
        dump(env.disk(), file, options, sink)
            .await
            .with_context(|| format!("{name} cannot be dumped"))?;
        if let Some(error) = failed.take() {
            return Err(error.into());
        }
    }
    output::end_of_list(&mut out, output, is_first)?;
    out.flush()?;
    Ok(Exit::Ok)
}

/// What a path leads to.
fn look(path: &Path) -> Result<std::fs::Metadata> {
    std::fs::metadata(path).with_context(|| path.display().to_string())
}

/// Whether a file's name is one that files of logs have: Kafka's or ours.
fn is_of_a_log(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    match parse_segment_file(name) {
        Some((_, suffix)) => [
            names::LOG,
            names::INDEX,
            names::TIME_INDEX,
            names::TXN_INDEX,
            names::SNAPSHOT,
            names::TAGS,
        ]
        .contains(&suffix),
        None => [
            names::PARTITION_METADATA,
            names::EPOCH_CHECKPOINT,
            names::STATE,
            names::START,
            names::CLAIMS,
            names::CLEAN,
            META,
            "quorum-state",
            "recovery-point-offset-checkpoint",
            "replication-offset-checkpoint",
            "log-start-offset-checkpoint",
            "cleaner-offset-checkpoint",
        ]
        .contains(&name),
    }
}

/// Whether a directory holds a log, and not only has a name as if it did: many directories are called `thing-1`.
fn holds_log(dir: &Path) -> Result<bool> {
    let failed = || format!("the directory {} cannot be read", dir.display());
    for entry in std::fs::read_dir(dir).with_context(failed)? {
        let name = entry.with_context(failed)?.file_name();
        let name = name.to_str().unwrap_or_default();
        let is_segment = parse_segment_file(name).is_some_and(|(_, suffix)| suffix == names::LOG);
        if is_segment || name == names::STATE {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The segments in a directory, in order.
fn segments(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("the directory {} cannot be read", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let text = format!("there are no segments in {}", dir.display());
        return Err(Failure::new(Exit::NotFound, text)
            .next("name the directory of one log: data/TOPIC-0")
            .into());
    }
    Ok(files)
}

fn entry(file: &str, row: &DumpRow) -> DumpEntry {
    let blank = |kind: &str| DumpEntry {
        file: file.to_owned(),
        kind: kind.to_owned(),
        text: row.to_string(),
        offset: None,
        last_offset: None,
        count: None,
        position: None,
        size: None,
        timestamp: None,
        valid: None,
        producer_id: None,
        producer_epoch: None,
        sequence: None,
        leader_epoch: None,
        key_base64: None,
        value_base64: None,
    };
    match row {
        DumpRow::Batch(batch) => {
            let header = &batch.header;
            let is_produced = header.producer_id.0 >= 0;
            DumpEntry {
                offset: Some(header.base_offset.0),
                last_offset: Some(header.last_offset().0),
                count: Some(header.records_count),
                position: Some(batch.position),
                size: Some(header.total_size() as u64),
                timestamp: Some(Time(header.max_timestamp.0)),
                valid: Some(batch.is_valid),
                producer_id: is_produced.then_some(header.producer_id.0),
                producer_epoch: is_produced.then_some(header.producer_epoch.0),
                sequence: is_produced.then_some(header.base_sequence.0),
                leader_epoch: Some(header.leader_epoch.0),
                ..blank("batch")
            }
        }
        DumpRow::Record(record) => DumpEntry {
            offset: Some(record.offset),
            timestamp: Some(Time(record.timestamp)),
            sequence: (record.sequence >= 0).then_some(record.sequence),
            key_base64: record.key.as_deref().map(to_base64),
            value_base64: record.value.as_deref().map(to_base64),
            ..blank("record")
        },
        DumpRow::Garbage {
            position, bytes, ..
        } => DumpEntry {
            position: Some(*position),
            size: Some(*bytes),
            ..blank("garbage")
        },
        DumpRow::Index { offset, position } => DumpEntry {
            offset: Some(*offset),
            position: Some(u64::from(*position)),
            ..blank("index")
        },
        DumpRow::TimeIndex { timestamp, offset } => DumpEntry {
            offset: Some(*offset),
            timestamp: Some(Time(*timestamp)),
            ..blank("timeindex")
        },
        DumpRow::Transaction(_) => blank("txnindex"),
        DumpRow::Producer(producer) => DumpEntry {
            producer_id: Some(producer.producer_id.0),
            producer_epoch: Some(producer.producer_epoch.0),
            sequence: Some(producer.last_sequence.0),
            ..blank("producer")
        },
        DumpRow::Text(_) => blank("text"),
    }
}

/// The logs meant by directories: themselves, or for a data directory all that are in it.
async fn logs(env: &TokioEnv, dirs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for dir in dirs {
        let dir = std::path::absolute(dir).with_context(|| dir.display().to_string())?;
        if !look(&dir)?.is_dir() {
            let text = format!("{} is no directory", dir.display());
            return Err(Failure::usage(text)
                .next("name a data directory, or data/TOPIC-0; `ottla log dump` takes files")
                .into());
        }
        let is_data = dir.join(META).exists();
        let is_log = dir
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(parse_dir_name)
            .is_some();
        if is_log && !is_data && holds_log(&dir)? {
            logs.push(dir);
            continue;
        }
        let before = logs.len();
        let found = partitions(env.disk(), &dir)
            .await
            .with_context(|| dir.display().to_string())?;
        for partition in found {
            // In a node's own directory a log without files is one whose making a crash cut short.
            if is_data || holds_log(&partition.path)? {
                logs.push(partition.path);
            }
        }
        if logs.len() == before {
            let text = format!("there are no logs in {}", dir.display());
            return Err(Failure::new(Exit::NotFound, text)
                .next("name a data directory, or data/TOPIC-0")
                .into());
        }
    }
    Ok(logs)
}

fn findings(verified: &Verified) -> Vec<LogFinding> {
    let finding = |finding: &storage::tools::Finding| LogFinding {
        severity: match finding.severity {
            Severity::Note => "note",
            Severity::Rebuildable => "rebuildable",
            Severity::Damage => "damage",
        }
        .to_owned(),
        file: finding.file.clone(),
        what: finding.what.clone(),
    };
    verified.findings.iter().map(finding).collect()
}

async fn verify_all(env: &TokioEnv, args: &Verify, output: Output) -> Result<Exit> {
    let mut rows = Vec::new();
    for dir in logs(env, &args.dirs).await? {
        let verified = verify(env.disk(), &dir)
            .await
            .with_context(|| dir.display().to_string())?;
        rows.push(VerifiedLog {
            dir: dir.display().to_string(),
            segments: verified.segments,
            batches: verified.batches,
            bytes: verified.bytes,
            log_start: verified.log_start,
            log_end: verified.log_end,
            sound: verified.is_sound(),
            findings: findings(&verified),
        });
    }
    let mut text = table(output, &rows);
    let mut notes = 0;
    for row in &rows {
        for finding in &row.findings {
            if finding.severity == "note" && rows.len() > 1 {
                notes += 1;
            } else {
                text.push_str(&format!(
                    "{}: {}/{}: {}\n",
                    finding.severity, row.dir, finding.file, finding.what
                ));
            }
        }
    }
    if notes > 0 {
        text.push_str(&format!(
            "{notes} notes of what a crash may leave and the next start deals with: `--output json` has them\n"
        ));
    }
    output::list_as(output, &rows, &text)?;
    let unsound = rows.iter().filter(|row| !row.sound).count();
    if unsound > 0 {
        eprintln!(
            "ottla: {unsound} of {} logs have records that are damaged or missing",
            rows.len()
        );
        return Ok(Exit::Failed);
    }
    Ok(Exit::Ok)
}

async fn repair_all(
    env: &TokioEnv,
    args: &Repair,
    output: Output,
    deadline: &Deadline,
) -> Result<Exit> {
    let config = || LogConfig {
        // A repair writes nothing new that room would be reserved for.
        preallocate: false,
        ..LogConfig::default()
    };
    let now = env.clock().wall();
    let options = |dry_run| RepairOptions {
        dry_run,
        reread: args.reread,
    };
    let dirs = logs(env, &args.dirs).await?;
    let mut plan = String::from("to be repaired (damaged records stay damaged):\n");
    let mut rows = Vec::new();
    for dir in &dirs {
        lock(env, dir).await?;
        let repaired = repair(env.disk(), dir, config(), now, options(true)).await;
        let repaired = repaired.with_context(|| dir.display().to_string())?;
        plan.push_str(&format!("  {}\n", dir.display()));
        for finding in &repaired.before.findings {
            plan.push_str(&format!("    {finding}\n"));
        }
        let actions: Vec<String> = repaired.actions.iter().map(action).collect();
        for action in &actions {
            plan.push_str(&format!("    -> {action}\n"));
        }
        rows.push(RepairedLog {
            dir: dir.display().to_string(),
            actions,
            torn_bytes: None,
            damaged: None,
            dry_run: args.consent.dry_run,
            findings: findings(&repaired.before),
        });
    }
    if !args.consent.to(&plan, output, deadline).await? {
        output::list(output, &rows)?;
        return Ok(Exit::Ok);
    }
    for (dir, row) in dirs.iter().zip(&mut rows) {
        let repaired = repair(env.disk(), dir, config(), now, options(false)).await;
        let repaired = repaired.with_context(|| dir.display().to_string())?;
        if let Some(recovered) = repaired.recovered {
            if recovered.torn_bytes > 0 {
                eprintln!(
                    "{}: {} of a torn tail cut off",
                    dir.display(),
                    bytes(recovered.torn_bytes)
                );
            }
            row.torn_bytes = Some(recovered.torn_bytes);
            let range = |range: &storage::FaultyRange| format!("{}-{}", range.from, range.to);
            row.damaged = Some(recovered.faulty.iter().map(range).collect());
        }
    }
    output::list(output, &rows)?;
    let damaged = rows.iter().any(|row| {
        row.damaged
            .as_ref()
            .is_some_and(|ranges| !ranges.is_empty())
    });
    Ok(if damaged { Exit::Partial } else { Exit::Ok })
}

/// Takes the data directory that a log is in, so that no broker runs on it meanwhile.
async fn lock(env: &TokioEnv, dir: &Path) -> Result<()> {
    let Some(parent) = dir.parent().filter(|parent| parent.join(META).exists()) else {
        return Ok(());
    };
    match env.disk().lock_dir(parent).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = format!("{} is in use by a running node", parent.display());
            Err(Failure::new(Exit::Precondition, text)
                .next("stop the node first")
                .into())
        }
        Err(error) => Err(error).with_context(|| parent.display().to_string()),
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Rebuild(file) => format!("rebuild {file}"),
        Action::Recover => "recover".to_owned(),
        Action::Reread => "read everything anew".to_owned(),
    }
}
