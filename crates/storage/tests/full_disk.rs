//! A disk without a byte left: what was kept back lets deletions make room, and the log goes on.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;

use common::{MemDisk, append, batch, config, create, dir, flush, identity, now, open, read_all};
use env::{Disk, Wall};
use ottla_storage::reserve::FILE;
use ottla_storage::{AppendError, Health, JobError, Log, LogConfig, Reserve};
use records::BatchHeader;
use types::{LeaderEpoch, Offset};

const RESERVE: u64 = 256 << 10;

fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 8192,
        preallocate: false,
        ..config()
    }
}

fn logs() -> &'static Path {
    Path::new("/data")
}

fn reserve(disk: &MemDisk) -> Reserve<MemDisk> {
    now(disk.create_dir_all(logs())).unwrap();
    now(Reserve::open(disk.clone(), logs(), RESERVE))
}

/// A log of 40 batches in several segments and a reserve beside it, on a disk that is then filled to the
/// last byte by somebody else. The log has been told.
fn full() -> (MemDisk, Log<MemDisk>, Reserve<MemDisk>) {
    let disk = MemDisk::default();
    let reserve = reserve(&disk);
    assert!(reserve.is_held());
    let mut log = create(&disk, &small());
    for i in 0..40 {
        append(&mut log, &batch(i, 1, 600, 100), 0);
        flush(&mut log, true).unwrap();
    }
    disk.set_free(0);
    refused(&mut log);
    assert_eq!(log.health(), Health::Full);
    // What closing a segment freed is gone, too.
    disk.set_free(0);
    (disk, log, reserve)
}

/// An append for which there is no room.
fn refused(log: &mut Log<MemDisk>) {
    append(log, &batch(99, 1, 6000, 100), 0);
    let outcome = flush(log, true).unwrap();
    assert!(matches!(outcome.error, Some(JobError::Full(_))));
}

/// Appends until it is taken: a log without room looks for some with the job after a refusal.
fn goes_on(log: &mut Log<MemDisk>) {
    let bytes = batch(77, 1, 600, 100);
    let header = BatchHeader::parse(&bytes).unwrap();
    let base = log.log_end_offset().position();
    let first = log.append(&bytes, &header, base, LeaderEpoch(0), Wall(0));
    if first == Err(AppendError::Full) {
        assert_eq!(flush(log, true).unwrap().error, None);
        append(log, &bytes, 0);
    }
    let outcome = flush(log, true).unwrap();
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.durable, base.next());
    assert_eq!(log.health(), Health::Online);
}

fn free(disk: &MemDisk) -> u64 {
    now(disk.free_bytes(logs())).unwrap()
}

#[test]
fn without_what_is_kept_back_nothing_makes_room() {
    let (disk, mut log, _) = full();
    log.delete_records_before(Offset(30));
    let outcome = flush(&mut log, true).unwrap();
    assert!(matches!(outcome.error, Some(JobError::Full(_))));
    assert_eq!(outcome.log_start, Offset(0), "nothing is claimed");
    assert_eq!(free(&disk), 0);
}

#[test]
fn delete_records_makes_room_on_a_full_disk() {
    let (disk, mut log, mut reserve) = full();
    let room = now(reserve.look(true)).unwrap();
    assert!(room.is_low, "appends of clients are refused meanwhile");
    assert!(!reserve.is_held());
    assert!(!disk.names(logs()).contains(&FILE.to_owned()));
    log.delete_records_before(Offset(30));
    let outcome = flush(&mut log, true).unwrap();
    assert_eq!((outcome.error, outcome.log_start), (None, Offset(30)));
    assert!(free(&disk) > RESERVE, "segments went, too");
    goes_on(&mut log);
    // Still too little for the reserve and something besides.
    assert_ne!(now(reserve.look(false)).unwrap().is_low, reserve.is_held());
    disk.set_free(2 * RESERVE as usize);
    assert!(!now(reserve.look(false)).unwrap().is_low);
    assert!(reserve.is_held(), "taken again when there is room");
    assert_eq!(free(&disk), RESERVE);
    drop(log);
    let (log, recovered) = open(&disk, &small()).unwrap();
    assert_eq!(recovered.log_start, Offset(30));
    read_all(&log, Offset(30), 900).unwrap();
}

/// What a job writes may end within a batch, of which the next job finds no room for the rest.
#[test]
fn a_batch_that_is_half_written_when_room_ends_is_as_if_it_never_was() {
    let large = LogConfig {
        segment_bytes: 1 << 30,
        tail_cache_bytes: 64 << 20,
        preallocate: false,
        ..config()
    };
    let disk = MemDisk::default();
    let mut log = create(&disk, &large);
    let mut written = Vec::new();
    for i in 0..16 {
        written.push(append(&mut log, &batch(i, 1, 700_000, 100), 0).2);
    }
    // The producers' state as of the end waits for what it stands for.
    log.put_producer_snapshot(log.log_end_offset(), &[]);
    let job = log.start_job(false).expect("there is much to write");
    let outcome = log.finish_job(now(job));
    assert_eq!(outcome.error, None);
    let kept = log.written_end();
    assert!(
        Offset(9) < kept.position() && kept.position() < Offset(16),
        "{kept}"
    );
    assert!(
        !disk
            .names(&dir())
            .iter()
            .any(|name| name.ends_with(".snapshot"))
    );
    disk.set_free(0);
    let outcome = flush(&mut log, false).unwrap();
    assert!(matches!(outcome.error, Some(JobError::Full(_))));
    assert_eq!(log.log_end_offset(), kept);
    disk.set_capacity(None);
    goes_on(&mut log);
    written.truncate(kept.0 as usize);
    let all = read_all(&log, Offset(0), 4 << 20).unwrap();
    assert!(all.starts_with(&written.concat()));
    assert!(all.len() - written.concat().len() < 1000, "and one more");
    assert!(
        !disk
            .names(&dir())
            .iter()
            .any(|name| name.ends_with(".snapshot"))
    );
    now(log.close()).unwrap();
    let (log, _) = open(&disk, &large).unwrap();
    assert_eq!(read_all(&log, Offset(0), 4 << 20).unwrap(), all);
}

#[test]
fn retention_by_size_makes_room_on_a_full_disk() {
    let (disk, mut log, mut reserve) = full();
    now(reserve.look(true)).unwrap();
    log.set_config(LogConfig {
        retention_bytes: 10_000,
        ..small()
    });
    let retained = log.apply_retention(Wall(200), log.durable_end());
    assert!(retained.segments_removed > 0);
    assert_eq!(flush(&mut log, true).unwrap().error, None);
    assert!(free(&disk) > RESERVE);
    goes_on(&mut log);
}

#[test]
fn a_log_is_opened_and_closed_on_a_full_disk() {
    let (disk, log, mut reserve) = full();
    drop(log);
    let refused = open(&disk, &small()).err().unwrap();
    assert!(refused.is_full(), "the caller tries again: {refused}");
    now(reserve.look(true)).unwrap();
    let (mut log, recovered) = open(&disk, &small()).unwrap();
    assert!(!recovered.clean && recovered.faulty.is_empty());
    assert_eq!(recovered.log_end.0, 40);
    goes_on(&mut log);
    now(log.close()).unwrap();
    assert!(open(&disk, &small()).unwrap().1.clean);
}

#[test]
fn a_start_on_a_full_disk_gives_back_what_the_last_life_kept() {
    let (disk, log, held) = full();
    drop((log, held));
    let again = reserve(&disk);
    assert!(!again.is_held());
    assert_eq!(free(&disk), RESERVE);
    let made = now(Log::create(
        disk.clone(),
        "/data/new-0".into(),
        identity(),
        small(),
        Wall(0),
    ));
    made.unwrap();
    assert_eq!(dir().parent(), Some(logs()));
}

#[test]
fn it_is_given_back_and_taken_without_going_to_and_fro() {
    let disk = MemDisk::default();
    disk.set_free(4 * RESERVE as usize);
    let mut held = reserve(&disk);
    assert!(held.is_held());
    let mut changes = 0;
    // Somebody fills the disk slowly, and empties it slowly.
    let steps = || (0..3 * RESERVE as usize).step_by(512);
    for besides in steps().rev().chain(steps()) {
        let before = held.is_held();
        disk.set_free(if before {
            besides
        } else {
            besides + RESERVE as usize
        });
        for _ in 0..3 {
            let room = now(held.look(false)).unwrap();
            assert_eq!(room.is_low, !held.is_held());
            assert_eq!(room.free, free(&disk));
        }
        changes += u32::from(before != held.is_held());
        assert_eq!(
            disk.read(&logs().join(FILE)).map(|file| file.len() as u64),
            held.is_held().then_some(RESERVE)
        );
    }
    assert_eq!(changes, 2);
}

#[test]
fn none_is_kept_when_none_is_asked_for_and_another_size_replaces_the_old() {
    let disk = MemDisk::default();
    disk.set_free(1 << 20);
    drop(reserve(&disk));
    let smaller = now(Reserve::open(disk.clone(), logs(), 4096));
    assert!(smaller.is_held());
    assert_eq!(disk.read(&logs().join(FILE)).unwrap().len(), 4096);
    let mut none = now(Reserve::open(disk.clone(), logs(), 0));
    assert_eq!(disk.read(&logs().join(FILE)), None);
    disk.set_free(0);
    assert!(!now(none.look(true)).unwrap().is_low);
}
