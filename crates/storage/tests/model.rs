//! The log against a list: any sequence of appends, jobs, rolls, reads, deletions, retention, stops, kills
//! and full disks, over both ways to the disk. After every step the ends are in order and what is read is
//! what the list says.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{MemDisk, batch, create, flush, identity, now, open, stored};
use env::{OpenMode, Wall};
use ottla_storage::{AppendError, Health, JobError, Log, LogConfig, ReadError};
use proptest::prelude::*;
use records::{BatchHeader, Batches};
use types::{LeaderEpoch, NextOffset, Offset, TimestampMs};

#[derive(Clone, Debug)]
enum Action {
    Append {
        records: usize,
        size: usize,
        timestamp: i64,
    },
    AppendAtWrongOffset,
    NewEpoch,
    Job {
        sync: bool,
    },
    Read {
        from: u16,
        max: u16,
        bytes: usize,
        min_one: bool,
    },
    FindTime {
        timestamp: i64,
    },
    DeleteBefore {
        offset: u16,
    },
    Retention {
        bytes: i64,
        now: i64,
    },
    ReleaseIdle,
    Stop,
    Kill,
    Full {
        room: usize,
    },
    Room,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (1..5usize, 1..900usize, 0..1_000i64).prop_map(|(records, size, timestamp)| {
            Action::Append { records, size, timestamp }
        }),
        1 => Just(Action::Append { records: 1, size: 5_000, timestamp: 50 }),
        1 => Just(Action::AppendAtWrongOffset),
        2 => Just(Action::NewEpoch),
        8 => any::<bool>().prop_map(|sync| Action::Job { sync }),
        8 => (any::<u16>(), any::<u16>(), 0..6_000usize, any::<bool>()).prop_map(
            |(from, max, bytes, min_one)| Action::Read { from, max, bytes, min_one }
        ),
        3 => (0..1_100i64).prop_map(|timestamp| Action::FindTime { timestamp }),
        1 => any::<u16>().prop_map(|offset| Action::DeleteBefore { offset }),
        1 => (0..30_000i64, 0..3_000i64).prop_map(|(bytes, now)| Action::Retention { bytes, now }),
        1 => Just(Action::ReleaseIdle),
        2 => Just(Action::Stop),
        2 => Just(Action::Kill),
        1 => (0..8_000usize).prop_map(|room| Action::Full { room }),
        2 => Just(Action::Room),
    ]
}

struct Listed {
    base: i64,
    next: i64,
    bytes: Vec<u8>,
    epoch: i32,
}

struct Model {
    disk: MemDisk,
    config: LogConfig,
    log: Log<MemDisk>,
    list: Vec<Listed>,
    start: i64,
    /// Where it is to start.
    wanted: i64,
    epoch: i32,
    seed: u64,
}

impl Model {
    fn new(config: LogConfig) -> Model {
        let disk = MemDisk::default();
        let log = create(&disk, &config);
        Model {
            disk,
            config,
            log,
            list: Vec::new(),
            start: 0,
            wanted: 0,
            epoch: 0,
            seed: 0,
        }
    }

    fn end(&self) -> i64 {
        self.list.last().map_or(0, |batch| batch.next)
    }

    fn run(&mut self, action: &Action) {
        match *action {
            Action::Append {
                records,
                size,
                timestamp,
            } => self.append(records, size, timestamp),
            Action::AppendAtWrongOffset => {
                let bytes = batch(1, 1, 10, 0);
                let header = BatchHeader::parse(&bytes).unwrap();
                let wrong = Offset(self.end() + 1);
                let refused =
                    self.log
                        .append(&bytes, &header, wrong, LeaderEpoch(self.epoch), Wall(0));
                assert!(matches!(
                    refused,
                    Err(AppendError::OutOfOrder { .. } | AppendError::Full)
                ));
            }
            Action::NewEpoch => self.epoch += 1,
            Action::Job { sync } => self.job(sync),
            Action::Read {
                from,
                max,
                bytes,
                min_one,
            } => {
                let span = self.end() + 3;
                let from = i64::from(from) % span;
                self.read(
                    Offset(from),
                    NextOffset(i64::from(max) % span),
                    bytes,
                    min_one,
                );
            }
            Action::FindTime { timestamp } => self.find_time(timestamp),
            Action::DeleteBefore { offset } => {
                let offset = i64::from(offset) % (self.end() + 1);
                let offset = offset.min(self.log.written_end().0);
                let moved = self.log.delete_records_before(Offset(offset));
                assert_eq!(moved, offset > self.wanted);
                self.wanted = self.wanted.max(offset);
            }
            Action::Retention { bytes, now } => {
                let mut config = self.config.clone();
                config.retention_bytes = bytes;
                config.retention_ms = 500;
                self.log.set_config(config);
                let end = self.log.log_end_offset();
                let retained = self.log.apply_retention(Wall(now), end);
                self.log.set_config(self.config.clone());
                assert_eq!(
                    self.log.log_start_offset().0,
                    self.start,
                    "served until it is durable"
                );
                let wanted = retained.log_start.0;
                assert!(
                    self.list.iter().any(|batch| batch.base == wanted)
                        || wanted == self.end()
                        || wanted == self.wanted
                );
                assert!(wanted >= self.wanted);
                self.wanted = wanted;
            }
            Action::ReleaseIdle => self.log.release_idle(),
            Action::Stop => self.stop(),
            Action::Kill => self.kill(),
            Action::Full { room } => {
                let used = self.used();
                self.disk.set_capacity(Some(used + room));
            }
            Action::Room => self.disk.set_capacity(None),
        }
    }

    fn used(&self) -> usize {
        let dir = common::dir();
        let names = self.disk.names(&dir).into_iter();
        names
            .filter_map(|name| self.disk.read(&dir.join(name)))
            .map(|file| file.len())
            .sum()
    }

    fn append(&mut self, records: usize, size: usize, timestamp: i64) {
        self.seed += 1;
        let bytes = batch(self.seed, records, size, timestamp);
        let header = BatchHeader::parse(&bytes).unwrap();
        let base = Offset(self.end());
        let before = self.log.log_end_offset();
        let done = self.log.append(
            &bytes,
            &header,
            base,
            LeaderEpoch(self.epoch),
            Wall(timestamp),
        );
        match done {
            Ok(done) => {
                assert_eq!(done.base_offset, base);
                self.list.push(Listed {
                    base: base.0,
                    next: done.next_offset.0,
                    bytes: stored(&bytes, base, self.epoch),
                    epoch: self.epoch,
                });
            }
            Err(AppendError::Full) => {
                assert_eq!(self.log.health(), Health::Full);
                assert_eq!(self.log.log_end_offset(), before);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn job(&mut self, sync: bool) {
        let Some(outcome) = flush(&mut self.log, sync) else {
            return;
        };
        assert!(outcome.durable <= outcome.written);
        let start = outcome.log_start.0;
        assert!((self.start..=self.wanted).contains(&start));
        assert!(outcome.error.is_some() || start == self.wanted);
        self.start = start;
        match outcome.error {
            None => {
                assert_eq!(outcome.rolled_back, None);
                assert_eq!(outcome.written.0, self.end());
                assert!(!sync || outcome.durable.0 == self.end());
            }
            Some(JobError::Full(_)) => {
                if let Some(end) = outcome.rolled_back {
                    assert_eq!(end, outcome.written);
                    self.list.retain(|batch| batch.next <= end.0);
                }
            }
            Some(error) => panic!("{error}"),
        }
    }

    /// Batches from the one that holds `from` on, as the list has them.
    fn expected(&self, from: Offset, max: NextOffset, bytes: usize, min_one: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for batch in self.list.iter().filter(|batch| batch.next > from.0) {
            let fits = out.len() + batch.bytes.len() <= bytes || min_one && out.is_empty();
            if !fits || batch.next > max.0 {
                break;
            }
            out.extend_from_slice(&batch.bytes);
        }
        out
    }

    fn read(&mut self, from: Offset, max: NextOffset, bytes: usize, min_one: bool) {
        let plan = self.log.read(from, max, bytes, min_one);
        if from.0 < self.start || from.0 > self.end() {
            assert!(
                matches!(plan, Err(ReadError::OutOfRange { .. })),
                "{from} is out of range"
            );
            return;
        }
        let result = now(plan.unwrap().run()).unwrap();
        let got = result.chunks.concat();
        assert_eq!(got.len(), result.bytes);
        // A read may end early (at a segment's end), but not before its first batch.
        let expected = self.expected(from, max, bytes, min_one);
        assert!(
            expected.starts_with(&got),
            "read of {from} up to {max}, {bytes} bytes"
        );
        assert_eq!(
            got.is_empty(),
            expected.is_empty(),
            "read of {from} up to {max}"
        );
        for batch in Batches::new(got.into()) {
            batch.unwrap().verify_crc().unwrap();
        }
    }

    fn find_time(&mut self, timestamp: i64) {
        let end = self.log.log_end_offset();
        let plan = self
            .log
            .offset_for_timestamp(TimestampMs(timestamp), end, 1 << 20)
            .unwrap();
        let found = now(plan.run()).unwrap();
        let mut expected = None;
        let mut largest: Option<(i64, i64)> = None;
        for listed in &self.list {
            let batch = records::Batch::parse(&listed.bytes.clone().into()).unwrap();
            for record in batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset.0 < self.start {
                    continue;
                }
                if expected.is_none() && record.timestamp.0 >= timestamp {
                    expected = Some((record.offset.0, record.timestamp.0, listed.epoch));
                }
                if largest.is_none_or(|(_, largest)| record.timestamp.0 > largest) {
                    largest = Some((record.offset.0, record.timestamp.0));
                }
            }
        }
        let found = found.map(|at| (at.offset.0, at.timestamp.0, at.leader_epoch.0));
        assert_eq!(found, expected, "first record at or after {timestamp}");
        let plan = self.log.offset_of_max_timestamp(end, 1 << 20).unwrap();
        let found = now(plan.run()).unwrap();
        assert_eq!(
            found.map(|at| (at.offset.0, at.timestamp.0)),
            largest,
            "largest timestamp"
        );
    }

    fn stop(&mut self) {
        self.disk.set_capacity(None);
        self.job(true);
        if self.log.health() == Health::Full {
            // The next append asks for room, the next job finds it.
            self.append(1, 1, 0);
            self.job(true);
            assert_eq!(self.log.health(), Health::Online);
        }
        let spare = create(&MemDisk::default(), &self.config);
        let log = std::mem::replace(&mut self.log, spare);
        now(log.close()).unwrap();
        let (log, recovered) = open(&self.disk, &self.config).unwrap();
        assert!(recovered.clean);
        self.log = log;
    }

    fn kill(&mut self) {
        self.disk.set_capacity(None);
        let written = self.log.written_end();
        let durable = self.log.durable_end();
        let start = self.log.log_start_offset();
        let (log, recovered) = open(&self.disk, &self.config).unwrap();
        self.log = log;
        assert_eq!(recovered.faulty, []);
        assert!(
            self.log.log_end_offset() >= durable,
            "{} < {durable}",
            self.log.log_end_offset()
        );
        assert!(self.log.log_end_offset() <= written);
        let asked = start..=Offset(self.wanted);
        assert!(asked.contains(&self.log.log_start_offset()));
        let end = self.log.log_end_offset().0;
        self.list.retain(|batch| batch.next <= end);
        self.start = self.log.log_start_offset().0;
        self.wanted = self.start;
    }

    fn check(&mut self) {
        let log = &self.log;
        assert_eq!(log.log_start_offset().0, self.start);
        assert_eq!(log.log_end_offset().0, self.end());
        assert!(log.durable_end() <= log.written_end());
        assert!(log.written_end() <= log.log_end_offset());
        assert!(log.size_bytes() <= self.list.iter().map(|batch| batch.bytes.len() as u64).sum());
        // The epochs are those of the batches, if there are any.
        if self.start == self.end() {
            return;
        }
        let mut epochs: Vec<(i32, i64)> = Vec::new();
        for batch in &self.list {
            if epochs.last().is_none_or(|(epoch, _)| *epoch < batch.epoch) {
                epochs.push((batch.epoch, batch.base));
            }
        }
        let current = epochs.iter().rposition(|(_, start)| *start <= self.start);
        let mut kept = epochs.split_off(current.unwrap_or(0));
        if let Some(first) = kept.first_mut() {
            first.1 = first.1.max(self.start);
        }
        let entries = log.epochs().entries().iter();
        let found: Vec<(i32, i64)> = entries
            .map(|entry| (entry.epoch.0, entry.start.0))
            .collect();
        assert_eq!(found, kept, "leader epochs");
    }
}

fn config(
    mode: OpenMode,
    direct_bytes_min: usize,
    cache: usize,
    segment: u32,
    interval: u32,
) -> LogConfig {
    LogConfig {
        mode,
        direct_bytes_min,
        segment_bytes: segment,
        index_interval_bytes: interval,
        tail_cache_bytes: cache,
        segment_ms: 800,
        ..LogConfig::default()
    }
}

fn check(config: LogConfig, actions: &[Action]) {
    let mut model = Model::new(config);
    for action in actions {
        model.run(action);
        model.check();
    }
    // At the end all of it can be read, before and after a kill.
    model.kill();
    let all = model.expected(
        Offset(model.start),
        NextOffset(model.end()),
        usize::MAX,
        true,
    );
    let got = common::read_all(&model.log, Offset(model.start), 900).unwrap();
    assert!(
        all == got,
        "{} bytes are listed, {} are read",
        all.len(),
        got.len()
    );
    let _ = identity();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list(
        direct in any::<bool>(),
        direct_bytes_min in prop_oneof![Just(0usize), Just(2_500)],
        cache in prop_oneof![Just(0usize), Just(20_000), Just(1 << 20)],
        segment in prop_oneof![Just(5_300u32), Just(16_384), Just(1 << 20)],
        interval in prop_oneof![Just(0u32), Just(600), Just(4096)],
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let mode = if direct { OpenMode::Direct } else { OpenMode::Buffered };
        check(config(mode, direct_bytes_min, cache, segment, interval), &actions);
    }
}
