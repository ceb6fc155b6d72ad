//! Every crash point times every subset of what was not synced, for small workloads.
//!
//! A workload runs once on a disk that records what it is told. Then, for each prefix of that record, the
//! disk is rebuilt as a loss of power would leave it: each unsynced sector, length and directory entry on
//! its own kept or dropped (all subsets while there are few, a fixed sample otherwise). The log is opened
//! and judged: what was claimed durable is there byte for byte, whatever else is served is what was once
//! appended there, no offset is missing, nothing counts as damaged, and a second recovery finds the same.

mod common;

use bytes::Bytes;
use common::{Crash, MemDisk, append, batch, config, create, flush, now, open, read_all};
use env::{OpenMode, Wall};
use ottla_storage::{self as storage, Log, LogConfig};
use types::{NextOffset, Offset};

/// What a workload says about itself while it runs.
#[derive(Default)]
struct Story {
    /// Every batch ever appended: first offset, end, bytes.
    appended: Vec<(Offset, NextOffset, Vec<u8>)>,
    /// From this operation on, the log is durable up to here.
    durable: Vec<(usize, NextOffset)>,
    /// From this operation on, the log may start here; and from that one on it must.
    starts: Vec<(usize, usize, Offset)>,
}

struct Run {
    disk: MemDisk,
    config: LogConfig,
    log: Log<MemDisk>,
    story: Story,
    seed: u64,
}

impl Run {
    fn new(config: LogConfig) -> Run {
        let disk = MemDisk::default();
        let log = create(&disk, &config);
        Run {
            disk,
            config,
            log,
            story: Story::default(),
            seed: 1,
        }
    }

    fn append(&mut self, records: usize, size: usize, epoch: i32) {
        self.seed += 1;
        let bytes = batch(self.seed, records, size, 100);
        self.story
            .appended
            .push(append(&mut self.log, &bytes, epoch));
    }

    fn flush(&mut self, sync: bool) {
        if let Some(outcome) = flush(&mut self.log, sync) {
            assert_eq!(outcome.error, None);
            self.story
                .durable
                .push((self.disk.op_count(), outcome.durable));
        }
    }

    fn delete_before(&mut self, offset: i64) {
        let from = self.disk.op_count();
        assert!(self.log.delete_records_before(Offset(offset)));
        let outcome = flush(&mut self.log, true).expect("there is something to do");
        assert_eq!(outcome.log_start, Offset(offset));
        self.story
            .starts
            .push((from, self.disk.op_count(), Offset(offset)));
    }

    fn restart(&mut self) {
        let config = self.config.clone();
        let spare = MemDisk::default();
        let log = std::mem::replace(&mut self.log, create(&spare, &config));
        now(log.close()).unwrap();
        let (log, recovered) = open(&self.disk, &self.config).unwrap();
        assert!(recovered.clean);
        self.log = log;
    }

    fn kill(&mut self) {
        let (log, recovered) = open(&self.disk, &self.config).unwrap();
        assert!(!recovered.clean);
        self.log = log;
    }
}

const ALL_SUBSETS_UP_TO: usize = 10;
const SAMPLES: u64 = 24;

/// The subsets of `atoms` parts to try, as predicates over their numbers.
fn subsets(atoms: usize, salt: u64) -> Vec<Box<dyn Fn(usize) -> bool>> {
    let mut out: Vec<Box<dyn Fn(usize) -> bool>> = Vec::new();
    if atoms <= ALL_SUBSETS_UP_TO {
        for mask in 0..1u64 << atoms {
            out.push(Box::new(move |i| mask >> i & 1 == 1));
        }
        return out;
    }
    out.push(Box::new(|_| false));
    out.push(Box::new(|_| true));
    for one in [0, atoms / 3, atoms / 2, atoms - 2, atoms - 1] {
        out.push(Box::new(move |i| i == one));
        out.push(Box::new(move |i| i != one));
        out.push(Box::new(move |i| i < one));
        out.push(Box::new(move |i| i >= one));
    }
    for sample in 0..SAMPLES {
        let salt = salt.wrapping_mul(31).wrapping_add(sample);
        out.push(Box::new(move |i| {
            let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt << 17;
            x ^= x >> 29;
            x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x >> 40 & 1 == 1
        }));
    }
    out
}

/// Judges the log on `disk`, which a crash after `ops` operations left.
fn judge(disk: &MemDisk, config: &LogConfig, story: &Story, ops: usize) -> Result<(), String> {
    let (log, recovered) = open(disk, config).map_err(|error| format!("cannot open: {error}"))?;
    if !recovered.faulty.is_empty() {
        return Err(format!(
            "a plain crash was taken for damage: {:?}",
            recovered.faulty
        ));
    }
    let durable = story
        .durable
        .iter()
        .filter(|(at, _)| *at <= ops)
        .map(|(_, end)| *end)
        .max();
    let durable = durable.unwrap_or_default();
    if log.log_end_offset() < durable {
        let end = log.log_end_offset();
        return Err(format!(
            "{durable} was claimed durable, the log ends at {end}"
        ));
    }
    let start = log.log_start_offset();
    let allowed = story
        .starts
        .iter()
        .filter(|(from, _, _)| *from <= ops)
        .map(|(_, _, at)| *at);
    let demanded = story
        .starts
        .iter()
        .filter(|(_, by, _)| *by <= ops)
        .map(|(_, _, at)| *at)
        .max();
    if start != Offset(0) && !allowed.into_iter().any(|at| at == start)
        || start < demanded.unwrap_or_default()
    {
        return Err(format!("the log starts at {start}"));
    }
    // The batch that holds the start is given out whole.
    let first = story
        .appended
        .iter()
        .find(|(_, next, _)| start.is_before(*next));
    let first = first.map_or(start, |(base, _, _)| *base);
    let from = start;
    let bytes = read_all(&log, from, 700).map_err(|error| format!("cannot read: {error}"))?;
    let mut at = first;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let known = story
            .appended
            .iter()
            .rev()
            .find(|(base, _, stored)| *base == at && rest.starts_with(stored));
        let Some((_, next, stored)) = known else {
            return Err(format!("what is served at {at} was never appended there"));
        };
        rest = &rest[stored.len()..];
        at = next.position();
    }
    if at.end_before() != log.log_end_offset() && from.is_before(log.log_end_offset()) {
        return Err(format!(
            "served up to {at}, the log ends at {}",
            log.log_end_offset()
        ));
    }
    for entry in log.epochs().entries() {
        if !entry.start.is_before(log.log_end_offset()) {
            return Err(format!("epoch {:?} begins beyond the end", entry));
        }
    }
    // A second recovery, before and after one more batch, finds the same.
    let end = log.log_end_offset();
    let (mut again, second) =
        open(&disk.copy(), config).map_err(|error| format!("second time: {error}"))?;
    if second.torn_bytes > 0 || again.log_end_offset() != end || !second.faulty.is_empty() {
        return Err(format!("a second recovery found {second:?}"));
    }
    append(&mut again, &batch(999, 1, 100, 100), 9);
    let outcome = flush(&mut again, true).expect("there is something to write");
    if outcome.error.is_some() || outcome.durable <= end {
        return Err(format!("cannot go on: {outcome:?}"));
    }
    Ok(())
}

fn enumerate(name: &str, run: Run) {
    drop(run.log);
    let ops = run.disk.ops();
    // The directory itself is made durable by `create`; crashes before that are of no interest here.
    let mut cases = 0u64;
    for crash_at in 0..=ops.len() {
        let crash = Crash::new(&empty(), &ops[..crash_at]);
        for (i, kept) in subsets(crash.atoms.len(), crash_at as u64)
            .into_iter()
            .enumerate()
        {
            let disk = crash.rebuild(kept);
            cases += 1;
            if let Err(error) = judge(&disk, &run.config, &run.story, crash_at) {
                panic!(
                    "{name}: crash after {crash_at} of {} operations, subset {i} of {} parts: {error}",
                    ops.len(),
                    crash.atoms.len()
                );
            }
        }
    }
    assert!(cases > 100, "{name}: only {cases} cases");
}

/// The disk before the log was made: its directory is there.
fn empty() -> MemDisk {
    let disk = MemDisk::default();
    now(env::Disk::create_dir_all(&disk, &common::dir())).unwrap();
    disk
}

fn small(mode: OpenMode) -> LogConfig {
    LogConfig {
        mode,
        segment_bytes: 4096,
        ..config()
    }
}

#[test]
fn synced_batches_in_one_segment() {
    for mode in [OpenMode::Buffered, OpenMode::Direct] {
        let mut run = Run::new(LogConfig { mode, ..config() });
        for i in 0..4 {
            run.append(1 + i, 200, 0);
            run.flush(true);
        }
        enumerate("synced", run);
    }
}

#[test]
fn group_commits_of_several_batches() {
    let mut run = Run::new(config());
    for round in 0..3 {
        for _ in 0..3 {
            run.append(1, 300, round);
        }
        run.flush(true);
    }
    enumerate("group commit", run);
}

#[test]
fn unsynced_writes_between_syncs() {
    let mut run = Run::new(config());
    for i in 0..6 {
        run.append(1, 250, 0);
        run.flush(i % 3 == 2);
    }
    enumerate("unsynced", run);
}

#[test]
fn rolling_over_segments() {
    for mode in [OpenMode::Buffered, OpenMode::Direct] {
        let mut run = Run::new(small(mode));
        for i in 0..6 {
            run.append(1, 1500, i / 2);
            if i != 3 {
                run.flush(i % 2 == 0);
            }
        }
        run.flush(true);
        enumerate("rolling", run);
    }
}

#[test]
fn deleting_records() {
    let mut run = Run::new(small(OpenMode::Buffered));
    for _ in 0..5 {
        run.append(1, 1500, 0);
        run.flush(true);
    }
    run.delete_before(3);
    run.append(2, 500, 1);
    run.flush(true);
    run.delete_before(4);
    enumerate("deleting", run);
}

#[test]
fn clean_stop_and_start() {
    let mut run = Run::new(config());
    run.append(1, 300, 0);
    run.flush(true);
    run.restart();
    run.append(2, 300, 0);
    run.flush(false);
    run.restart();
    run.append(1, 200, 1);
    run.flush(true);
    enumerate("clean stop", run);
}

#[test]
fn recovery_itself() {
    let mut run = Run::new(config());
    run.append(1, 300, 0);
    run.flush(true);
    run.append(2, 700, 0);
    run.flush(false);
    run.kill();
    let end = run.log.log_end_offset();
    run.story.durable.push((run.disk.op_count(), end));
    run.append(1, 400, 1);
    run.flush(true);
    enumerate("recovery", run);
}

#[test]
fn torn_tail_then_recovery_then_crash() {
    // The first crash tears the tail; recovery cuts it, and is itself cut short at every point.
    let mut run = Run::new(config());
    run.append(1, 300, 0);
    run.flush(true);
    let story_len = run.story.appended.len();
    run.append(3, 400, 0);
    run.flush(false);
    let path = common::dir().join("00000000000000000000.log");
    run.disk.damage(&path, |bytes| bytes[512..1024].fill(0));
    let disk = run.disk.copy();
    let before = MemDisk::copy(&disk);
    let (_, recovered) = open(&disk, &run.config).unwrap();
    assert!(recovered.torn_bytes > 0);
    assert_eq!(recovered.log_end, NextOffset(1));
    let ops = disk.ops();
    run.story.appended.truncate(story_len);
    run.story.durable = vec![(0, NextOffset(1))];
    for crash_at in 0..=ops.len() {
        let crash = Crash::new(&before, &ops[..crash_at]);
        for kept in subsets(crash.atoms.len(), 7) {
            judge(&crash.rebuild(kept), &run.config, &run.story, crash_at).unwrap();
        }
    }
}

#[test]
fn a_closed_log_opens_without_a_scan() {
    let disk = MemDisk::default();
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let mut log = create(&disk, &config);
    for i in 0..200 {
        append(&mut log, &batch(i, 1, 1000, 100), 0);
    }
    let all = read_all(&log, Offset(0), 1 << 20).unwrap();
    now(log.close()).unwrap();
    // Damage in the middle is not seen by a start after a clean stop, and is by the read.
    let path = common::dir().join("00000000000000000000.log");
    assert_eq!(disk.read(&path).map(Bytes::from), Some(Bytes::from(all)));
    disk.damage(&path, |bytes| bytes[100_000] ^= 1);
    let (log, recovered) = open(&disk, &config).unwrap();
    assert!(recovered.clean && recovered.faulty.is_empty());
    assert!(matches!(
        read_all(&log, Offset(0), 4096),
        Err(storage::ReadError::Faulty {
            reason: "checksum mismatch",
            ..
        })
    ));
    let _ = Wall(0);
}
