//! The small language of the transcripts.

use std::collections::BTreeMap;
use std::fmt::Write;

use ottla_partition::{
    Acks, BatchMeta, Control, Durability, Effect, EpochCache, EpochEntry, Fence, Input, Isolation,
    LogState, Marker, Origin, ProducerState, Readable, Recovered, Replica, ReplicaConfig, Reply,
    Role,
};
use types::{
    BrokerId, ErrorCode, LeaderEpoch, Mono, NextOffset, Offset, PartitionEpoch, PartitionIndex,
    ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicPartition, Uuid,
};

const ME: BrokerId = BrokerId(1);

/// `word=value` pairs and bare words of one line.
struct Args<'a> {
    line: &'a str,
    words: BTreeMap<&'a str, &'a str>,
}

impl<'a> Args<'a> {
    fn parse(line: &'a str) -> (&'a str, Args<'a>) {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let words = words.map(|word| word.split_once('=').unwrap_or((word, "")));
        (
            command,
            Args {
                line,
                words: words.collect(),
            },
        )
    }

    fn has(&self, name: &str) -> bool {
        self.words.contains_key(name)
    }

    fn opt(&self, name: &str) -> Option<i64> {
        let text = self.words.get(name)?;
        let value = text.parse();
        Some(value.unwrap_or_else(|_| panic!("{name} is a number in: {}", self.line)))
    }

    fn or(&self, name: &str, default: i64) -> i64 {
        self.opt(name).unwrap_or(default)
    }

    fn must(&self, name: &str) -> i64 {
        self.opt(name)
            .unwrap_or_else(|| panic!("{name} is missing in: {}", self.line))
    }

    fn list(&self, name: &str) -> Vec<BrokerId> {
        self.words
            .get(name)
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(|text| BrokerId(text.parse().unwrap()))
            .collect()
    }

    fn epoch(&self, name: &str) -> Option<LeaderEpoch> {
        self.opt(name).map(|epoch| LeaderEpoch(epoch as i32))
    }

    fn fence(&self) -> Fence {
        Fence(self.or("fence", 0) as u64)
    }
}

/// Runs a script and returns its transcript. Lines that start with `#` are copied.
pub fn run(script: &str) -> String {
    let mut replica = recovered(&Args::parse("recover").1);
    let mut now = Mono(0);
    let mut transcript = String::new();
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            writeln!(transcript, "{line}").unwrap();
            continue;
        }
        writeln!(transcript, "{line}\n----").unwrap();
        let (command, args) = Args::parse(line);
        match command {
            "recover" => replica = recovered(&args),
            "restart" => replica = restarted(&replica, now),
            "now" => now = Mono(args.must("ms") as u64 * 1_000_000),
            "state" => state(&replica, &mut transcript),
            "producers" => producers(&replica, &mut transcript),
            "read" => read(&replica, &args, &mut transcript),
            "epoch-end" => epoch_end(&replica, &args, &mut transcript),
            "latest" => {
                let latest = replica.latest_offset(Isolation::HighWatermark, args.epoch("epoch"));
                match latest {
                    Ok(end) => writeln!(transcript, "{end}").unwrap(),
                    Err(error) => writeln!(transcript, "{error}").unwrap(),
                }
            }
            _ => {
                let mut out = Vec::new();
                replica.step(now, input(command, &args), &mut out);
                replica.check_all();
                for effect in &out {
                    writeln!(transcript, "{}", effect_text(effect)).unwrap();
                }
            }
        }
        transcript.push('\n');
    }
    transcript
}

fn config(args: &Args<'_>) -> ReplicaConfig {
    ReplicaConfig {
        me: ME,
        partition: TopicPartition {
            topic_id: Uuid([7; 16]),
            partition: PartitionIndex(0),
        },
        durability: durability(args),
        min_insync_replicas: args.or("min", 1) as i32,
        producer_id_expiration_ms: args.or("expiration", 1000),
    }
}

fn durability(args: &Args<'_>) -> Durability {
    if args.has("replicated") {
        Durability::Replicated
    } else {
        Durability::Synced
    }
}

/// `recover start= end= durable= hw= fence= epochs=EPOCH@START,...`
fn recovered(args: &Args<'_>) -> Replica {
    let log_end = NextOffset(args.or("end", 0));
    let epochs = args.words.get("epochs").copied().unwrap_or("");
    let epochs = epochs.split(',').filter(|text| !text.is_empty());
    let epochs = epochs.map(|text| {
        let (epoch, start) = text.split_once('@').unwrap();
        EpochEntry {
            epoch: LeaderEpoch(epoch.parse().unwrap()),
            start: Offset(start.parse().unwrap()),
        }
    });
    Replica::new(
        config(args),
        Recovered {
            fence: args.fence(),
            log_start: Offset(args.or("start", 0)),
            log_end,
            durable_end: NextOffset(args.or("durable", log_end.0)),
            high_watermark: args.opt("hw").map(NextOffset),
            log: LogState {
                epochs: EpochCache::from_entries(epochs),
                ..LogState::default()
            },
        },
    )
}

/// A clean stop and start: the producers come back from their snapshot.
fn restarted(replica: &Replica, now: Mono) -> Replica {
    let snapshot = replica.producer_snapshot();
    Replica::new(
        replica.config().clone(),
        Recovered {
            fence: Fence(replica.fence().0 + 1),
            log_start: replica.log_start(),
            log_end: replica.log_end(),
            durable_end: replica.log_end(),
            high_watermark: Some(replica.high_watermark()),
            log: LogState {
                epochs: replica.epochs().clone(),
                producers: ProducerState::from_rows(now, snapshot.rows),
            },
        },
    )
}

fn batch(args: &Args<'_>) -> BatchMeta {
    let mut batch = BatchMeta::plain(args.or("n", 1) as i32, TimestampMs(args.or("ts", 100)));
    if let Some(pid) = args.opt("pid") {
        batch.producer_id = ProducerId(pid);
        batch.producer_epoch = ProducerEpoch(args.or("e", 0) as i16);
        batch.base_sequence = Sequence(args.or("s", -1) as i32);
    }
    batch.transactional = args.has("txn");
    batch.log_append_time = args.has("log-append-time");
    batch
}

fn input(command: &str, args: &Args<'_>) -> Input {
    let token = args.or("t", 0) as u64;
    match command {
        "leader" => Input::BecomeLeader {
            leader_epoch: LeaderEpoch(args.must("epoch") as i32),
            partition_epoch: PartitionEpoch(args.or("partition-epoch", 0) as i32),
            isr: args.list("isr"),
            replicas: args.list("replicas"),
        },
        "follower" => Input::BecomeFollower {
            leader: BrokerId(args.must("leader") as i32),
            leader_epoch: LeaderEpoch(args.must("epoch") as i32),
            partition_epoch: PartitionEpoch(args.or("partition-epoch", 0) as i32),
        },
        "propose-isr" => Input::IsrProposed {
            partition_epoch: PartitionEpoch(args.or("partition-epoch", 0) as i32),
            isr: args.list("isr"),
        },
        "stop" => Input::Stop,
        "append" => Input::Append {
            token,
            batch: batch(args),
            acks: match args.or("acks", -1) {
                -1 => Acks::All,
                1 => Acks::Leader,
                _ => Acks::None,
            },
            origin: if args.has("coordinator") {
                Origin::Coordinator
            } else {
                Origin::Client
            },
            expected_epoch: args.epoch("expect"),
        },
        "commit" | "abort" => Input::Append {
            token,
            batch: BatchMeta {
                base_sequence: Sequence::NONE,
                transactional: true,
                control: Some(Control::EndTransaction {
                    marker: if command == "commit" {
                        Marker::Commit
                    } else {
                        Marker::Abort
                    },
                    coordinator_epoch: args.or("c", 0) as i32,
                }),
                ..batch(args)
            },
            acks: Acks::All,
            origin: if args.has("client") {
                Origin::Client
            } else {
                Origin::Coordinator
            },
            expected_epoch: None,
        },
        "append-failed" => Input::AppendFailed {
            token,
            error: ErrorCode::KAFKA_STORAGE_ERROR,
        },
        "written" => Input::Written {
            fence: args.fence(),
            upto: NextOffset(args.must("upto")),
        },
        "synced" => Input::Synced {
            fence: args.fence(),
            upto: NextOffset(args.must("upto")),
        },
        "io-failed" => Input::IoFailed {
            fence: args.fence(),
            reason: "EIO".to_string(),
        },
        "delete-records" => Input::DeleteRecords {
            token,
            before: Offset(args.must("before")),
        },
        "log-start" => Input::LogStartMoved {
            fence: args.fence(),
            to: Offset(args.must("to")),
        },
        "config" => Input::ConfigChanged {
            durability: durability(args),
            min_insync_replicas: args.or("min", 1) as i32,
            producer_id_expiration_ms: args.or("expiration", 1000),
        },
        "fetched" => Input::FollowerFetched {
            from: BrokerId(args.must("from") as i32),
            leader_epoch: LeaderEpoch(args.must("epoch") as i32),
            last_fetched_epoch: args.epoch("last"),
            fetch_offset: Offset(args.must("at")),
            durable_end: NextOffset(args.or("durable", args.must("at"))),
        },
        "timed-out" => Input::TimedOut { token },
        "expire" => Input::ExpireProducers,
        _ => panic!("no such command: {}", args.line),
    }
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Append {
            token,
            base_offset,
            leader_epoch,
            ..
        } => format!("append t={token} at {base_offset} in epoch {leader_epoch}"),
        Effect::TransactionAborted(txn) => format!(
            "index: {} aborted {}..={}, stable {}",
            txn.producer_id, txn.first_offset, txn.last_offset, txn.last_stable_offset
        ),
        Effect::Sync { upto, .. } => format!("sync upto {upto}"),
        Effect::MoveLogStart { to, .. } => format!("move log start to {to}"),
        Effect::EpochStarted { epoch, start } => format!("epoch {epoch} starts at {start}"),
        Effect::HighWatermarkMoved {
            high_watermark,
            last_stable_offset,
        } => format!("high watermark {high_watermark}, stable {last_stable_offset}"),
        Effect::LogStartMoved { to, by_request } => {
            let why = if *by_request { "request" } else { "retention" };
            format!("log starts at {to} by {why}")
        }
        Effect::Reply { token, reply } => format!("reply t={token} {}", reply_text(reply)),
        Effect::WentOffline { reason } => format!("offline: {reason}"),
    }
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Appended(appended) => {
            let mut text = format!("{}..{}", appended.base_offset, appended.next_offset);
            if appended.log_append_time != TimestampMs::NONE {
                write!(text, " time {}", appended.log_append_time.0).unwrap();
            }
            if appended.duplicate {
                text.push_str(" duplicate");
            }
            text
        }
        Reply::Deleted { low_watermark } => format!("low watermark {low_watermark}"),
        Reply::Refused(error) => error.to_string(),
    }
}

fn state(replica: &Replica, transcript: &mut String) {
    let role = match replica.role() {
        Role::Idle => "idle".to_string(),
        Role::Leader => format!("leader of epoch {}", replica.leader_epoch()),
        Role::Follower { leader } => format!("follower of {leader}"),
        Role::Offline { .. } => "offline".to_string(),
    };
    let epochs: Vec<String> = replica
        .epochs()
        .entries()
        .iter()
        .map(|entry| format!("{}@{}", entry.epoch, entry.start))
        .collect();
    writeln!(
        transcript,
        "{role}; log {}..{}, written {}, durable {}, high watermark {}, stable {}; epochs {}; {} waiting",
        replica.log_start(),
        replica.log_end(),
        replica.written_end(),
        replica.durable_end(),
        replica.high_watermark(),
        replica.last_stable_offset(),
        epochs.join(" "),
        replica.waiting(),
    )
    .unwrap();
}

fn producers(replica: &Replica, transcript: &mut String) {
    for (id, entry) in replica.producers().producers() {
        let spans: Vec<String> = entry
            .recent()
            .iter()
            .map(|span| {
                format!(
                    "{}..={}@{}",
                    span.base_sequence(),
                    span.last_sequence,
                    span.base_offset()
                )
            })
            .collect();
        let open = match entry.current_txn_first_offset {
            Some(first) => format!(", transaction from {first}"),
            None => String::new(),
        };
        let spans = spans.join(" ");
        writeln!(
            transcript,
            "{id} epoch {}: [{spans}]{open}",
            entry.producer_epoch
        )
        .unwrap();
    }
}

fn read(replica: &Replica, args: &Args<'_>, transcript: &mut String) {
    let isolation = if args.has("committed") {
        Isolation::LastStable
    } else if args.has("replica") {
        Isolation::LogEnd
    } else {
        Isolation::HighWatermark
    };
    let from = Offset(args.must("at"));
    match replica.readable(isolation, args.epoch("epoch"), args.epoch("last"), from) {
        Ok(Readable::UpTo(end)) => writeln!(transcript, "up to {end}").unwrap(),
        Ok(Readable::Diverging(end)) => {
            writeln!(
                transcript,
                "diverging: epoch {} ends at {}",
                end.epoch, end.end
            )
            .unwrap();
        }
        Err(error) => writeln!(transcript, "{error}").unwrap(),
    }
}

fn epoch_end(replica: &Replica, args: &Args<'_>, transcript: &mut String) {
    let asked = args.epoch("asked").unwrap();
    match replica.end_offset_for_leader_epoch(args.epoch("epoch"), asked) {
        Ok(Some(end)) => writeln!(transcript, "epoch {} ends at {}", end.epoch, end.end).unwrap(),
        Ok(None) => writeln!(transcript, "unknown").unwrap(),
        Err(error) => writeln!(transcript, "{error}").unwrap(),
    }
}
