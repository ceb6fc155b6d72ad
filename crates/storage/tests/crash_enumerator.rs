//! Every crash point of small workloads, times every disk that a loss of power there can leave.
//!
//! A workload runs once on a disk that records what it is told. Then, for each prefix of that record, the
//! disk is rebuilt as a loss of power would leave it: each unsynced sector, length and directory entry on
//! its own kept or dropped. All combinations that lead to different disks are tried, up to 2^14 for one file
//! and 2,048 different disks for one crash point; beyond that a fixed sample is. Each test says which share of
//! its crash points is complete, and fails if that shrinks. The log is opened and judged: what was claimed
//! durable is there byte for byte, whatever else is served is what was once appended there, no offset is
//! missing, nothing counts as damaged, and a second recovery finds the same.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use bytes::Bytes;
use common::enumerator::{Run, judge, subsets};
use common::{Crash, MemDisk, append, batch, config, create, now, open, read_all};
use env::OpenMode;
use ottla_storage::{self as storage, LogConfig};
use types::{NextOffset, Offset};

/// Judges every crash of a run; there must have been a good number of them, and of at least so many crash
/// points in a hundred every disk that they can leave.
fn enumerate(name: &str, run: Run, complete_percent: u64) {
    let tried = common::enumerator::enumerate(name, run).unwrap_or_else(|error| panic!("{error}"));
    assert!(tried.cases > 150, "{name}: {tried:?}");
    let share = tried.complete * 100 / tried.points;
    assert!(share >= complete_percent, "{name}: {share} %: {tried:?}");
}

fn small(mode: OpenMode) -> LogConfig {
    LogConfig {
        mode,
        segment_bytes: 4096,
        ..config()
    }
}

#[test]
fn making_a_log() {
    let mut run = Run::new(config());
    run.from = 0;
    enumerate("making", run, 100);
}

#[test]
fn synced_batches_in_one_segment() {
    for mode in [OpenMode::Buffered, OpenMode::Direct] {
        let mut run = Run::new(LogConfig { mode, ..config() });
        for i in 0..4 {
            run.append(1 + i, 200, 0);
            run.flush(true);
        }
        enumerate("synced", run, 100);
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
    enumerate("group commit", run, 100);
}

#[test]
fn unsynced_writes_between_syncs() {
    let mut run = Run::new(config());
    for i in 0..6 {
        run.append(1, 250, 0);
        run.flush(i % 3 == 2);
    }
    enumerate("unsynced", run, 70);
}

#[test]
fn writes_beside_a_sync() {
    for mode in [OpenMode::Buffered, OpenMode::Direct] {
        for size in [120, 700] {
            let mut run = Run::new(LogConfig { mode, ..config() });
            run.append(1, 200, 0);
            run.flush(true);
            run.append(1, size, 0);
            run.flush(false);
            for _ in 0..3 {
                run.write_beside_sync(size);
            }
            run.flush(true);
            enumerate("beside a sync", run, 70);
        }
    }
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
        enumerate("rolling", run, 60);
    }
}

#[test]
fn rolling_without_a_sync() {
    let mut run = Run::new(small(OpenMode::Buffered));
    for _ in 0..4 {
        run.append(1, 1500, 0);
        run.flush(false);
    }
    enumerate("rolling without a sync", run, 80);
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
    enumerate("deleting", run, 50);
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
    enumerate("clean stop", run, 100);
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
    enumerate("recovery", run, 100);
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

/// Torn sectors may hold garbage, and a sector that is rewritten may lose what was acknowledged in it. Then
/// records count as damaged; none goes in silence, and none is made up.
#[test]
fn garbage_in_torn_sectors() {
    let mut run = Run::new(LogConfig {
        segment_bytes: 1 << 16,
        ..config()
    });
    for i in 0..4 {
        run.append(1 + i % 2, 500, 0);
        run.flush(true);
    }
    let ops = run.disk.ops();
    let log_ino = ops.iter().find_map(|op| match op {
        common::Op::Create { path, ino } if path.ends_with("00000000000000000000.log") => {
            Some(*ino)
        }
        _ => None,
    });
    let (mut damaged, mut cases) = (0, 0);
    for crash_at in run.from..=ops.len() {
        let crash = Crash::new(&common::enumerator::empty(), &ops[..crash_at]);
        let of_log = |atom: &(usize, Option<u64>)| matches!(&ops[atom.0], common::Op::Write { ino, .. } if Some(*ino) == log_ino);
        let atoms: Vec<bool> = crash.atoms.iter().map(of_log).collect();
        for (salt, kept) in subsets(atoms.len(), crash_at as u64)
            .into_iter()
            .enumerate()
        {
            let disk = crash.rebuild_torn(kept, |atom| atoms[atom] && (atom + salt) % 3 == 0);
            let (log, recovered) = open(&disk, &run.config).unwrap();
            let durable = run.story.durable.iter().filter(|(at, _)| *at <= crash_at);
            let durable = durable.map(|(_, end)| *end).max().unwrap_or_default();
            assert!(log.log_end_offset() >= durable, "{recovered:?}");
            for (base, next, stored) in &run.story.appended {
                let Ok(plan) = log.read(*base, *next, 1, true) else {
                    damaged += 1;
                    continue;
                };
                let read = now(plan.run()).unwrap().chunks.concat();
                let lost = read.is_empty() && log.log_end_offset() <= base.end_before();
                assert!(
                    read == *stored || lost && *next > durable,
                    "crash after {crash_at}"
                );
            }
            let (_, again) = open(&disk, &run.config).unwrap();
            assert_eq!((again.log_end, again.torn_bytes), (recovered.log_end, 0));
            cases += 1;
        }
    }
    assert!(
        cases > 200 && damaged > 0,
        "{cases} cases, {damaged} damaged"
    );
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
}
