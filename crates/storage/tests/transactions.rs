//! Aborted transactions: what Kafka wrote is rebuilt byte for byte and answered as Kafka answers; what is
//! appended here survives roll backs, kills, losses of power and of the index files, and always agrees with
//! a plain walk over all batches.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::{Crash, MemDisk, create, flush, now, open};
use env::{Disk, File, OpenMode, OpenOptions, Wall};
use ottla_storage::index::{TxnEntry, decode_txns};
use ottla_storage::tools::verify;
use ottla_storage::{AppendError, Health, Log, LogConfig, LogIdentity, ReadResult, Recovered};
use proptest::prelude::*;
use records::control::end_transaction_batch;
use records::{BatchBuilder, BatchHeader, Batches, Codec, EndTransactionMarker, TransactionResult};
use types::{
    LeaderEpoch, NextOffset, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
    TimestampMs,
};

// What Kafka wrote.

const FETCHES: &str = "fetches.txt";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka-segments/t-aborts-0")
}

fn kafka_dir() -> PathBuf {
    PathBuf::from("/kafka/t-aborts-0")
}

#[allow(clippy::disallowed_methods, reason = "fixtures lie in real files")]
fn fixture_files() -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(fixture()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        out.insert(name, std::fs::read(entry.path()).unwrap());
    }
    out
}

/// The log as Kafka left it, without what `leave_out` says.
fn kafka_disk(leave_out: impl Fn(&str) -> bool) -> MemDisk {
    let disk = MemDisk::default();
    now(disk.create_dir_all(&kafka_dir())).unwrap();
    for (name, bytes) in fixture_files() {
        if name != FETCHES && !leave_out(&name) {
            let file = now(disk.open(&kafka_dir().join(&name), OpenOptions::CREATE)).unwrap();
            now(file.write_at(0, vec![bytes.into()])).unwrap();
        }
    }
    disk
}

fn open_kafkas(disk: &MemDisk) -> (Log<MemDisk>, Recovered) {
    let metadata = String::from_utf8(fixture_files()["partition.metadata"].clone()).unwrap();
    let id = metadata.rsplit(' ').next().unwrap().trim();
    let identity = LogIdentity {
        cluster_id: None,
        topic_id: id.parse().unwrap(),
        topic: "t-aborts".to_owned(),
        partition: PartitionIndex(0),
    };
    let config = LogConfig {
        index_interval_bytes: 256,
        index_max_bytes: 72,
        mode: OpenMode::Buffered,
        ..LogConfig::default()
    };
    let opened = Log::open(disk.clone(), kafka_dir(), identity, config, Wall(0));
    now(opened).unwrap()
}

fn is_txn_index(name: &str) -> bool {
    name.ends_with(".txnindex")
}

/// The transaction indexes of the log are those that Kafka wrote, file for file and byte for byte.
fn assert_kafkas_indexes(disk: &MemDisk) {
    let ours: BTreeMap<_, _> = disk
        .names(&kafka_dir())
        .into_iter()
        .filter(|name| is_txn_index(name))
        .map(|name| (name.clone(), disk.read(&kafka_dir().join(name)).unwrap()))
        .collect();
    let mut kafkas = fixture_files();
    kafkas.retain(|name, _| is_txn_index(name));
    assert_eq!(kafkas.len(), 4, "the fixture has aborted transactions");
    assert_eq!(ours, kafkas);
}

#[test]
fn the_indexes_of_a_log_that_kafka_wrote_are_rebuilt_byte_for_byte() {
    let disk = kafka_disk(is_txn_index);
    let (log, recovered) = open_kafkas(&disk);
    assert_eq!((recovered.faulty, recovered.alarms), (vec![], vec![]));
    assert_eq!(log.log_end_offset(), NextOffset(164));
    now(log.close()).unwrap();
    assert_kafkas_indexes(&disk);
    for (name, bytes) in fixture_files() {
        if name.ends_with("index") || name.ends_with(".log") {
            let ours = disk.read(&kafka_dir().join(&name)).unwrap();
            assert_eq!(ours, bytes, "{name}");
        }
    }
    let verified = now(verify(&disk, &kafka_dir())).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

#[test]
fn damaged_and_lost_indexes_are_rebuilt_from_the_batches() {
    let disk = kafka_disk(|_| false);
    now(open_kafkas(&disk).0.close()).unwrap();
    let names = disk.names(&kafka_dir());
    for name in names.iter().filter(|name| is_txn_index(name)) {
        let path = kafka_dir().join(name);
        let bytes = disk.read(&path).unwrap();
        let tags = path.with_extension("tags");
        for damage in 0..4 {
            let disk = disk.copy();
            match damage {
                0 => disk.remove(&path),
                1 => disk.damage(&path, |bytes| bytes[9] ^= 1),
                2 => disk.damage(&path, |bytes| bytes.truncate(bytes.len() - 34)),
                _ => disk.remove(&tags),
            }
            // Found by a reader of a log that was closed in order,
            let (log, _) = open_kafkas(&disk);
            check_fetches(&log);
            drop(log);
            // and by a recovery, which writes it anew.
            disk.remove(&kafka_dir().join("clean-shutdown"));
            let (log, recovered) = open_kafkas(&disk);
            assert!(!recovered.clean);
            check_fetches(&log);
            now(log.close()).unwrap();
            assert_eq!(disk.read(&path).unwrap(), bytes, "{name}, damage {damage}");
            assert_kafkas_indexes(&disk);
        }
    }
}

/// Fetches of a reader of what is committed, as Kafka answered them: the most bytes, the offset, last stable
/// offset and high watermark, the last offset among the records, and producer and first offset of each
/// aborted transaction.
fn check_fetches(log: &Log<MemDisk>) {
    let text = String::from_utf8(fixture_files()[FETCHES].clone()).unwrap();
    let mut with_aborted = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let mut number = || words.next().unwrap().parse::<i64>().unwrap();
        let (max_bytes, at, stable) = (number(), number(), number());
        let (_high_watermark, last) = (number(), number());
        let kafkas: Vec<(i64, i64)> = words
            .map(|word| {
                let (producer, first) = word.split_once(':').unwrap();
                (producer.parse().unwrap(), first.parse().unwrap())
            })
            .collect();
        let (from, upto) = (Offset(at), NextOffset(stable));
        let plan = log.read(from, upto, max_bytes as usize, true).unwrap();
        let aborted = log.aborted_between(from, upto);
        let read = now(plan.run()).unwrap();
        let batches = Batches::new(Bytes::from(read.chunks.concat()));
        assert_eq!(
            batches.last().unwrap().unwrap().header().last_offset().0,
            last
        );
        let ours: Vec<_> = now(aborted.run(&read))
            .unwrap()
            .iter()
            .map(|entry| (entry.producer_id, entry.first_offset))
            .collect();
        // Kafka takes the next entry of its offset index for the end of what it gives out, where the bytes
        // that were asked for end within a segment: it lists some that begin behind the records.
        let among: Vec<_> = kafkas
            .iter()
            .copied()
            .filter(|(_, first)| *first <= last)
            .collect();
        assert_eq!(ours, among, "{line}");
        if max_bytes == 1 << 20 {
            assert_eq!(ours, kafkas, "{line}");
        }
        with_aborted += usize::from(!ours.is_empty());
    }
    assert!(with_aborted > 200, "{with_aborted}");
}

#[test]
fn fetches_list_the_aborted_transactions_that_kafka_listed() {
    let disk = kafka_disk(is_txn_index);
    let (log, _) = open_kafkas(&disk);
    check_fetches(&log);
    now(log.close()).unwrap();
    let (mut log, recovered) = open_kafkas(&disk);
    assert!(recovered.clean);
    check_fetches(&log);
    log.release_idle();
    check_fetches(&log);
}

/// The last one of Kafka's transactions is open when we take over.
#[test]
fn a_transaction_that_began_under_kafka_is_aborted_under_us() {
    let disk = kafka_disk(|_| false);
    let (log, _) = open_kafkas(&disk);
    now(log.close()).unwrap();
    let (mut log, _) = open_kafkas(&disk);
    let marker = end(1, TransactionResult::Abort);
    let header = BatchHeader::parse(&marker).unwrap();
    log.append(&marker, &header, Offset(164), LeaderEpoch(5), Wall(0))
        .unwrap();
    let found = aborted(&log, 164, 165);
    assert_eq!(
        found,
        [TxnEntry {
            producer_id: 1,
            first_offset: 160,
            last_offset: 164,
            last_stable_offset: 165,
        }]
    );
}

#[test]
fn what_is_replayed_says_how_transactions_ended() {
    let disk = kafka_disk(|name| name.ends_with(".snapshot"));
    let (_, recovered) = open_kafkas(&disk);
    let mut ended = [0, 0];
    for replayed in &recovered.replay {
        assert_eq!(
            replayed.header.attributes.is_control(),
            replayed.end.is_some()
        );
        if let Some(end) = replayed.end {
            ended[usize::from(end.result == TransactionResult::Commit)] += 1;
        }
    }
    let kafkas: usize = fixture_files()
        .iter()
        .filter(|(name, _)| is_txn_index(name))
        .map(|(_, bytes)| decode_txns(bytes).unwrap().len())
        .sum();
    assert_eq!(ended[0], kafkas);
    assert!(ended[1] > 0);
}

/// Segments that hold the start of a transaction may be gone: Kafka's snapshot still knows it.
#[test]
fn a_transaction_that_began_in_a_segment_that_is_gone_keeps_its_start() {
    let disk = kafka_disk(|name| name.starts_with("00000000000000000000."));
    let (log, recovered) = open_kafkas(&disk);
    assert_eq!(recovered.faulty, []);
    assert_eq!(log.log_start_offset(), Offset(21));
    now(log.close()).unwrap();
    assert_kafkas_indexes(&disk);
}

// What is appended here.

fn aborted(log: &Log<MemDisk>, from: i64, upto: i64) -> Vec<TxnEntry> {
    let plan = log.aborted_between(Offset(from), NextOffset(upto));
    now(plan.run(&ReadResult::default())).unwrap()
}

fn end(producer: i64, result: TransactionResult) -> Bytes {
    let marker = EndTransactionMarker {
        result,
        coordinator_epoch: 0,
    };
    let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
    end_transaction_batch(id, epoch, marker, TimestampMs(5))
}

fn data(producer: i64, transactional: bool, size: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None)
        .producer(ProducerId(producer), ProducerEpoch(0), Sequence(0))
        .transactional(transactional);
    builder.append(TimestampMs(5), None, Some(&vec![7; size]), &[]);
    builder.append(TimestampMs(6), None, Some(b"another"), &[]);
    builder.build()
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 300,
        ..common::config()
    }
}

/// A log, and its batches as they were appended.
struct Run {
    disk: MemDisk,
    log: Log<MemDisk>,
    batches: Vec<BatchHeader>,
    ends: BTreeMap<i64, TransactionResult>,
}

impl Run {
    fn new() -> Run {
        let disk = common::enumerator::empty();
        let log = create(&disk, &config());
        Run {
            disk,
            log,
            batches: Vec::new(),
            ends: BTreeMap::new(),
        }
    }

    fn append(&mut self, batch: &Bytes, end: Option<TransactionResult>) -> bool {
        let header = BatchHeader::parse(batch).unwrap();
        let base = self.log.log_end_offset().position();
        let placed = BatchHeader {
            base_offset: base,
            ..header
        };
        match self
            .log
            .append(batch, &header, base, LeaderEpoch(0), Wall(0))
        {
            Ok(_) => {}
            Err(AppendError::Full) => return false,
            Err(error) => panic!("{error}"),
        }
        self.batches.push(placed);
        if let Some(end) = end {
            self.ends.insert(base.0, end);
        }
        true
    }

    /// Forgets what the log has taken back, or lost.
    fn cut(&mut self) {
        let end = self.log.log_end_offset();
        self.batches.retain(|header| header.next_offset() <= end);
    }

    /// All aborted transactions, by a walk over the batches.
    fn walk(&self) -> Vec<TxnEntry> {
        let mut open: Vec<(i64, i64)> = Vec::new();
        let mut out = Vec::new();
        for header in &self.batches {
            let id = header.producer_id.0;
            let at = open.iter().position(|(producer, _)| *producer == id);
            match (header.attributes.is_control(), at) {
                (false, None) if header.attributes.is_transactional() => {
                    open.push((id, header.base_offset.0));
                }
                (true, Some(at)) => {
                    let (_, first_offset) = open.remove(at);
                    let last_offset = header.base_offset.0;
                    if self.ends[&last_offset] == TransactionResult::Abort {
                        out.push(TxnEntry {
                            producer_id: id,
                            first_offset,
                            last_offset,
                            // They are in the order of their starts.
                            last_stable_offset: open.first().map_or(last_offset + 1, |o| o.1),
                        });
                    }
                }
                _ => {}
            }
        }
        out
    }

    /// Every range of the log that begins and ends with batches finds exactly what the walk finds.
    fn check(&self) {
        let all = self.walk();
        let end = self.log.log_end_offset().0;
        let step = (self.batches.len() / 6).max(1);
        for first in self.batches.iter().step_by(step) {
            let from = first.base_offset.0;
            for upto in [from + 1, from + 5, (from + end) / 2, end] {
                let expected: Vec<_> = all
                    .iter()
                    .copied()
                    .filter(|txn| txn.last_offset >= from && txn.first_offset < upto)
                    .collect();
                assert_eq!(aborted(&self.log, from, upto), expected, "{from} to {upto}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Action {
    Data(i64, bool, usize),
    End(i64, bool),
    Job(bool),
    /// A disk with so much room left; a job; and room again.
    Full(usize),
    ReleaseIdle,
    Stop,
    Kill,
    /// A stop, after which the first file with this suffix is lost.
    Lose(&'static str),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        10 => (0..4i64, any::<bool>(), 1..300usize).prop_map(|(p, t, s)| Action::Data(p, t || p < 3, s)),
        6 => (0..4i64, any::<bool>()).prop_map(|(p, abort)| Action::End(p, abort)),
        3 => any::<bool>().prop_map(Action::Job),
        1 => (0..3000usize).prop_map(Action::Full),
        1 => Just(Action::ReleaseIdle),
        1 => Just(Action::Stop),
        1 => Just(Action::Kill),
        1 => prop_oneof![Just("txnindex"), Just("tags"), Just("log-state")].prop_map(Action::Lose),
    ]
}

impl Run {
    fn act(&mut self, action: &Action) {
        match *action {
            Action::Data(producer, transactional, size) => {
                self.append(&data(producer, transactional, size), None);
            }
            Action::End(producer, abort) => {
                let result = if abort {
                    TransactionResult::Abort
                } else {
                    TransactionResult::Commit
                };
                self.append(&end(producer, result), Some(result));
            }
            Action::Job(sync) => {
                flush(&mut self.log, sync);
            }
            Action::Full(room) => {
                self.disk.set_free(room);
                flush(&mut self.log, true);
                self.disk.set_capacity(None);
                // An append that is refused has the next job look for room.
                self.append(&data(9, false, 1), None);
                flush(&mut self.log, true);
                assert_eq!(self.log.health(), Health::Online);
                self.cut();
            }
            Action::ReleaseIdle => self.log.release_idle(),
            Action::Stop | Action::Lose(_) => {
                let spare = create(&common::enumerator::empty(), &config());
                now(std::mem::replace(&mut self.log, spare).close()).unwrap();
                if let Action::Lose(what) = action {
                    let names = self.disk.names(&common::dir());
                    if let Some(name) = names.iter().find(|name| name.ends_with(what)) {
                        self.disk.remove(&common::dir().join(name));
                    }
                }
                self.log = open(&self.disk, &config()).unwrap().0;
            }
            Action::Kill => {
                self.log = open(&self.disk, &config()).unwrap().0;
                self.cut();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_agrees_with_a_walk(actions in prop::collection::vec(action(), 1..90)) {
        let mut run = Run::new();
        for action in &actions {
            run.act(action);
            run.check();
        }
        // What is written at a clean stop is what a rebuild makes of the batches. (What was lost, and looked
        // for by nobody, is written by a recovery.)
        run.act(&Action::Stop);
        run.disk.remove(&common::dir().join("clean-shutdown"));
        run.act(&Action::Kill);
        run.act(&Action::Stop);
        let index_files = |disk: &MemDisk| -> Vec<_> {
            let names = disk.names(&common::dir()).into_iter();
            names
                .filter(|name| is_txn_index(name))
                .map(|name| disk.read(&common::dir().join(&name)).map(|bytes| (name, bytes)))
                .collect()
        };
        let written = index_files(&run.disk);
        for name in run.disk.names(&common::dir()) {
            if name.ends_with("index") || name.ends_with("tags") || name == "clean-shutdown" {
                run.disk.remove(&common::dir().join(name));
            }
        }
        run.act(&Action::Kill);
        run.check();
        run.act(&Action::Stop);
        prop_assert_eq!(index_files(&run.disk), written);
    }
}

/// A loss of power at every operation of a history: whatever is left of the log, its index agrees.
#[test]
fn the_index_agrees_after_a_loss_of_power_anywhere() {
    let mut run = Run::new();
    let begun = run.disk.op_count();
    for round in 0..12 {
        run.append(&data(round % 3, true, 200), None);
        run.append(&data(3, false, 100), None);
        if round % 2 == 1 {
            let result = if round % 4 == 1 {
                TransactionResult::Abort
            } else {
                TransactionResult::Commit
            };
            run.append(&end((round * 2) % 3, result), Some(result));
        }
        flush(&mut run.log, round % 3 != 0);
    }
    run.act(&Action::Stop);
    assert!(run.walk().len() >= 2 && run.log.segments() > 2);
    let ops = run.disk.ops();
    let all = run.batches.clone();
    for count in begun..=ops.len() {
        let base = common::enumerator::empty();
        let crash = Crash::new(&base, &ops[..count]);
        for salt in 0..4usize {
            let disk = crash.rebuild(|atom| match salt {
                0 => false,
                1 => true,
                _ => (atom * 7 + salt + count) % 3 > 0,
            });
            let (log, recovered) = open(&disk, &config()).unwrap();
            assert_eq!(recovered.faulty, []);
            run.log = log;
            run.batches.clone_from(&all);
            run.cut();
            run.check();
        }
    }
}
