//! The disk fails: at the n-th call, for every n; and afterwards, by damage to each kind of file.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::io::ErrorKind;

use common::ten::{Batches, position, segment, ten};
use common::{
    Fail, MemDisk, append, batch, config, create, dir, flush, identity, now, open, read_all,
};
use env::{Disk, File, OpenMode, OpenOptions, Wall};
use ottla_storage::{
    AppendError, FaultyRange, Health, JobError, Log, LogConfig, LogIdentity, ReadError,
    StorageError,
};
use records::BatchHeader;
use records::layout::LEADER_EPOCH_AT;
use types::{LeaderEpoch, NextOffset, Offset, Uuid};

/// What a run was told.
#[derive(Default)]
struct Told {
    appended: Batches,
    durable: NextOffset,
    log_start: Offset,
    asked_start: Offset,
    failed: bool,
    full: bool,
}

fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        ..config()
    }
}

/// Appends, flushes, rolls, deletes, stops and starts, until the disk fails for good.
fn workload(disk: &MemDisk, config: &LogConfig, told: &mut Told) -> Result<(), StorageError> {
    let mut log = now(Log::create(
        disk.clone(),
        dir(),
        identity(),
        config.clone(),
        Wall(0),
    ))?;
    for i in 0..12u64 {
        let bytes = batch(i, 1 + i as usize % 3, 400, 100 + i as i64);
        let header = BatchHeader::parse(&bytes).unwrap();
        let base = log.log_end_offset().position();
        let epoch = LeaderEpoch(i as i32 / 4);
        match log.append(&bytes, &header, base, epoch, Wall(0)) {
            Ok(done) => {
                let stored = common::stored(&bytes, base, epoch.0);
                told.appended.push((base, done.next_offset, stored));
            }
            Err(AppendError::Full) => told.full = true,
            Err(error) => panic!("{error}"),
        }
        if i == 7 {
            told.asked_start = log.written_end().position().min(Offset(3));
            log.delete_records_before(Offset(3));
        }
        if i % 3 == 1 {
            continue;
        }
        while let Some(job) = log.start_job(i % 2 == 0) {
            let done = now(job);
            let outcome = log.finish_job(done);
            assert!(outcome.durable >= told.durable, "what is durable stays");
            told.durable = outcome.durable;
            told.log_start = outcome.log_start;
            match outcome.error {
                None => {}
                Some(JobError::Full(_)) => {
                    told.full = true;
                    // Reads are served while the disk is full.
                    let end = log.log_end_offset();
                    if log.log_start_offset().is_before(end) {
                        read_all(&log, log.log_start_offset(), 900).unwrap();
                    }
                    break;
                }
                Some(JobError::Failed { .. }) => {
                    told.failed = true;
                    fenced(&mut log);
                    return Ok(());
                }
            }
        }
        if i == 5 && log.health() == Health::Online {
            now(log.close())?;
            log = now(Log::open(
                disk.clone(),
                dir(),
                identity(),
                config.clone(),
                Wall(0),
            ))?
            .0;
            told.durable = told.durable.max(log.durable_end());
        }
    }
    // With room again, the log comes back without a restart.
    disk.fail(None);
    let bytes = batch(99, 1, 100, 500);
    for _ in 0..3 {
        let header = BatchHeader::parse(&bytes).unwrap();
        let base = log.log_end_offset().position();
        if let Ok(done) = log.append(&bytes, &header, base, LeaderEpoch(7), Wall(0)) {
            told.appended
                .push((base, done.next_offset, common::stored(&bytes, base, 7)));
        }
        if let Some(outcome) = flush(&mut log, true) {
            assert_eq!(outcome.error, None);
            told.durable = outcome.durable;
            told.log_start = outcome.log_start;
        }
    }
    assert_eq!(log.health(), Health::Online);
    assert_eq!(log.durable_end(), log.log_end_offset());
    Ok(())
}

/// After a failed write or sync nothing is served or claimed.
fn fenced(log: &mut Log<MemDisk>) {
    assert_eq!(log.health(), Health::Offline);
    let bytes = batch(1, 1, 10, 0);
    let header = BatchHeader::parse(&bytes).unwrap();
    let base = log.log_end_offset().position();
    let refused = log.append(&bytes, &header, base, LeaderEpoch(9), Wall(0));
    assert_eq!(refused, Err(AppendError::Offline));
    assert!(log.start_job(true).is_none());
    let start = log.log_start_offset();
    assert!(matches!(
        log.read(start, NextOffset(99), 1, true),
        Err(ReadError::Offline)
    ));
}

/// What is on the disk must hold what was told, and nothing that never was.
fn judge(disk: &MemDisk, config: &LogConfig, told: &Told, case: &str) {
    let opened = open(disk, config);
    let (log, recovered) = opened.unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(recovered.faulty, [], "{case}");
    let end = log.log_end_offset();
    assert!(
        end >= told.durable,
        "{case}: ends at {end}, durable up to {}",
        told.durable
    );
    let start = log.log_start_offset();
    assert!(
        start >= told.log_start && start <= told.asked_start.max(told.log_start),
        "{case}"
    );
    if !start.is_before(end) {
        return;
    }
    let bytes = read_all(&log, start, 900).unwrap_or_else(|error| panic!("{case}: {error}"));
    let mut rest = bytes.as_slice();
    let holding = told
        .appended
        .iter()
        .find(|(_, next, _)| start.is_before(*next));
    let mut at = holding.map_or(start, |(base, _, _)| *base);
    while !rest.is_empty() {
        let known = |(base, _, stored): &&(Offset, NextOffset, Vec<u8>)| {
            *base == at && rest.starts_with(stored)
        };
        let found = told.appended.iter().rev().find(known);
        let (_, next, stored) = found.unwrap_or_else(|| panic!("{case}: unknown batch at {at}"));
        rest = &rest[stored.len()..];
        at = next.position();
    }
    assert_eq!(at.end_before(), end, "{case}");
}

fn every_call(
    kind: ErrorKind,
    only: Option<&'static str>,
    partial: bool,
    drop: bool,
    mode: OpenMode,
) {
    let config = LogConfig { mode, ..small() };
    let calls = {
        let disk = MemDisk::default();
        workload(&disk, &config, &mut Told::default()).unwrap();
        disk.calls()
    };
    let (mut failed, mut full) = (0, 0);
    for count in [1, 4, u64::MAX / 2] {
        for from in 1..=calls {
            let disk = MemDisk::default();
            disk.drop_on_failed_sync(drop);
            disk.fail(Some(Fail {
                from,
                count,
                kind,
                partial,
                only,
            }));
            let mut told = Told::default();
            let done = workload(&disk, &config, &mut told);
            disk.fail(None);
            failed += u32::from(told.failed);
            full += u32::from(told.full);
            let case = format!("{kind:?} {only:?} {mode:?}: {count} calls from {from} of {calls}");
            if done.is_err() && told.appended.is_empty() {
                // The log could not even be made; there is nothing to judge but that trying again works.
                let again = now(Log::create(
                    disk.clone(),
                    dir(),
                    identity(),
                    config.clone(),
                    Wall(0),
                ));
                assert!(again.is_ok() || open(&disk, &config).is_ok(), "{case}");
                continue;
            }
            judge(&disk, &config, &told, &case);
        }
    }
    assert!(
        kind == ErrorKind::StorageFull || failed > 0,
        "{kind:?}: no job failed"
    );
    assert!(
        kind != ErrorKind::StorageFull || full > 0,
        "{kind:?}: the disk was never full"
    );
}

#[test]
fn input_output_error_at_every_call() {
    every_call(ErrorKind::Other, None, false, false, OpenMode::Buffered);
}

#[test]
fn half_a_write_and_an_error_at_every_call() {
    every_call(
        ErrorKind::Other,
        Some("write"),
        true,
        false,
        OpenMode::Direct,
    );
}

#[test]
fn full_disk_at_every_call() {
    // A sync that runs out of room is a failed sync: that is the next test.
    for only in ["write", "allocate", "create", "rename", "set_len"] {
        every_call(
            ErrorKind::StorageFull,
            Some(only),
            true,
            false,
            OpenMode::Buffered,
        );
    }
}

#[test]
fn failed_sync_at_every_call() {
    for drop in [false, true] {
        every_call(
            ErrorKind::Other,
            Some("sync"),
            false,
            drop,
            OpenMode::Buffered,
        );
        every_call(
            ErrorKind::Other,
            Some("sync_dir"),
            false,
            drop,
            OpenMode::Buffered,
        );
    }
}

#[test]
fn damage_to_any_acknowledged_batch_is_damage_and_never_a_torn_tail() {
    let config = config();
    let (disk, all) = ten(&LogConfig {
        segment_bytes: 1 << 20,
        ..config.clone()
    });
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config
    };
    for number in 0..10 {
        for (what, at, len) in [
            ("a bit", 300, 0),
            ("the header", 0, 61),
            ("a sector of it", 100, 512),
            ("all", 0, 650),
        ] {
            let disk = disk.copy();
            disk.damage(&segment(0), |bytes| {
                let at = position(&all, number) + at;
                match len {
                    0 => bytes[at] ^= 0x10,
                    len => bytes[at..at + len].fill(0xa5),
                }
            });
            let (mut log, recovered) = open(&disk, &config).unwrap();
            let case = format!("{what} of batch {number}: {recovered:?}");
            assert_eq!(log.log_end_offset(), NextOffset(10), "{case}");
            assert_eq!(recovered.torn_bytes, 0, "{case}");
            let [range] = recovered.faulty[..] else {
                panic!("{case}")
            };
            assert_eq!(range.from, Offset(number as i64), "{case}");
            // The next batch may be hit as well, no more.
            assert!(range.to.0 <= number as i64 + 2, "{case}");
            // The operator is told: what, where, why; once more with every start, until it is mended.
            let [alarm] = &recovered.alarms[..] else {
                panic!("{case}")
            };
            let place = format!("{}.log at byte {}", "0".repeat(20), position(&all, number));
            for part in [format!("records {} up to {}", range.from, range.to), place] {
                assert!(alarm.contains(&part), "{part}: {case}");
            }
            let again = disk.copy();
            let (log_again, recovered) = open(&again, &config).unwrap();
            assert_eq!(recovered.alarms.len(), 1, "{recovered:?}");
            now(log_again.close()).unwrap();
            let (_, recovered) = open(&again, &config).unwrap();
            assert!(recovered.clean && recovered.alarms.len() == 1);
            assert!(recovered.alarms[0].contains("found by an earlier start"));
            for (base, _, stored) in &all {
                let read = log.read(*base, NextOffset(10), 1, true);
                if range.from <= *base && base.is_before(range.to) {
                    assert!(matches!(read, Err(ReadError::Faulty { .. })), "{case}");
                } else {
                    assert_eq!(
                        now(read.unwrap().run()).unwrap().chunks.concat(),
                        *stored,
                        "{case}"
                    );
                }
            }
            // The log goes on, and a second start finds the same.
            let more = append(&mut log, &batch(77, 1, 600, 1), 0);
            assert_eq!(flush(&mut log, true).unwrap().durable, NextOffset(11));
            let (log, again) = open(&disk, &config).unwrap();
            assert_eq!(again.faulty, recovered.faulty, "{case}");
            let read = log.read(more.0, NextOffset(11), 1, true).unwrap();
            assert_eq!(now(read.run()).unwrap().chunks.concat(), more.2);
        }
    }
}

#[test]
fn a_torn_tail_is_cut_whatever_of_it_arrived() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, all) = ten(&config);
    let size = position(&all, 10);
    // A write that no job confirmed: any garbage behind the end.
    for (junk, len) in [(0xa5, 700), (0x02, 61), (0x01, 5)] {
        let disk = disk.copy();
        disk.damage(&segment(0), |bytes| bytes[size..size + len].fill(junk));
        let (log, recovered) = open(&disk, &config).unwrap();
        assert_eq!(
            (log.log_end_offset(), &recovered.faulty[..]),
            (NextOffset(10), &[][..])
        );
        assert!(recovered.torn_bytes >= len as u64);
        let (_, again) = open(&disk, &config).unwrap();
        assert_eq!(again.torn_bytes, 0);
    }
}

#[test]
fn a_lost_write_below_the_claim_is_damage() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, all) = ten(&config);
    for number in [3, 7] {
        let disk = disk.copy();
        disk.damage(&segment(0), |bytes| {
            let at = position(&all, number);
            bytes[at..].fill(0);
        });
        let (log, recovered) = open(&disk, &config).unwrap();
        assert_eq!(log.log_end_offset(), NextOffset(10));
        let [range] = recovered.faulty[..] else {
            panic!("{recovered:?}")
        };
        assert_eq!(
            (range.from, range.to),
            (Offset(number as i64), NextOffset(10))
        );
    }
}

#[test]
fn a_lost_segment_is_a_hole_and_not_the_end() {
    let config = small();
    let (disk, _) = ten(&config);
    disk.remove(&segment(0));
    let (log, recovered) = open(&disk, &config).unwrap();
    assert_eq!(log.log_end_offset(), NextOffset(10));
    assert_eq!(recovered.faulty.len(), 1);
    assert_eq!(recovered.faulty[0].from, Offset(0));
    let to = recovered.faulty[0].to;
    assert!(matches!(
        log.read(Offset(0), to, 1, true),
        Err(ReadError::Faulty { .. })
    ));
    assert!(!read_all(&log, to.position(), 900).unwrap().is_empty());
    // The active one too.
    let (disk, _) = ten(&config);
    let last = disk
        .names(&dir())
        .into_iter()
        .rfind(|name| name.ends_with(".log"))
        .unwrap();
    disk.remove(&dir().join(last));
    let (log, recovered) = open(&disk, &config).unwrap();
    assert_eq!(log.log_end_offset(), NextOffset(10));
    assert_eq!(recovered.faulty.len(), 1);
}

#[test]
fn side_files_are_rebuilt_when_they_are_wrong() {
    let config = small();
    for name in ["index", "timeindex", "tags"] {
        for gone in [false, true] {
            let (disk, all) = ten(&config);
            let path = dir().join(format!("00000000000000000000.{name}"));
            let good = disk.read(&path).unwrap();
            if gone {
                disk.remove(&path);
            } else {
                disk.damage(&path, |bytes| bytes[0] ^= 0xff);
            }
            let (log, recovered) = open(&disk, &config).unwrap();
            assert_eq!(recovered.faulty, []);
            assert_eq!(disk.read(&path).unwrap(), good, "{name}");
            let bytes = read_all(&log, Offset(0), 900).unwrap();
            assert_eq!(
                bytes,
                all.iter()
                    .flat_map(|(_, _, bytes)| bytes.clone())
                    .collect::<Vec<_>>()
            );
        }
    }
}

/// No checksum of a batch covers its leader epoch; the closed segment's chain does, when its index is made again.
#[test]
fn an_index_made_from_other_batches_is_told() {
    let config = small();
    let (disk, _) = ten(&config);
    disk.remove(&segment(0).with_extension("tags"));
    let (_, recovered) = open(&disk.copy(), &config).unwrap();
    assert_eq!(recovered.alarms, [""; 0]);
    disk.damage(&segment(0), |bytes| bytes[LEADER_EPOCH_AT + 3] ^= 0x10);
    let (_, recovered) = open(&disk, &config).unwrap();
    let [alarm] = &recovered.alarms[..] else {
        panic!("{recovered:?}")
    };
    assert!(alarm.contains("not all as they were written"), "{alarm}");
    assert_eq!(recovered.log_end, NextOffset(10));
}

#[test]
fn a_segment_that_lost_its_bytes_is_a_loss_even_without_a_state() {
    let config = LogConfig {
        segment_bytes: 2048,
        ..config()
    };
    for lost in ["log-state", "durable-claims"] {
        for emptied in [false, true] {
            let (disk, _) = ten(&config);
            let mut segments = disk.names(&dir());
            segments.retain(|name| name.ends_with(".log"));
            segments.sort();
            let [first, middle, ..] = &segments[..] else {
                panic!("{segments:?}")
            };
            assert!(segments.len() > 2 && first.starts_with("00000000000000000000"));
            let from = Offset(middle.trim_end_matches(".log").parse().unwrap());
            let to = NextOffset(segments[2].trim_end_matches(".log").parse().unwrap());
            disk.damage(&dir().join("log-state"), |bytes| bytes.fill(0x5a));
            disk.remove(&dir().join(lost));
            match emptied {
                true => disk.damage(&dir().join(middle), Vec::clear),
                false => disk.remove(&dir().join(middle)),
            }
            let (log, recovered) = open(&disk, &config).unwrap();
            assert_eq!(recovered.log_end, NextOffset(10));
            assert_eq!(recovered.faulty, [FaultyRange { from, to }]);
            assert!(
                recovered
                    .alarms
                    .iter()
                    .any(|alarm| alarm.contains("damaged"))
            );
            assert!(matches!(
                log.read(from, NextOffset(10), 900, true),
                Err(ReadError::Faulty { .. })
            ));
            read_all(&log, to.position(), 900).unwrap();
        }
    }
}

#[test]
fn claims_and_state_that_are_damaged_prove_nothing() {
    let config = small();
    for name in ["durable-claims", "log-state", "leader-epoch-checkpoint"] {
        let (disk, all) = ten(&config);
        disk.damage(&dir().join(name), |bytes| bytes.fill(0x5a));
        let (log, recovered) = open(&disk, &config).unwrap();
        assert_eq!(
            (log.log_end_offset(), &recovered.faulty[..]),
            (NextOffset(10), &[][..]),
            "{name}"
        );
        let bytes = read_all(&log, Offset(0), 900).unwrap();
        assert_eq!(
            bytes,
            all.iter()
                .flat_map(|(_, _, bytes)| bytes.clone())
                .collect::<Vec<_>>()
        );
        assert_eq!(log.epochs().encode(), "0\n1\n0 0\n");
        let (_, again) = open(&disk, &config).unwrap();
        assert_eq!(again.alarms, Vec::<String>::new(), "{name}: rebuilt");
    }
    // What was deleted stays deleted, whichever copy of the log's start is damaged or gone.
    for stop in [false, true] {
        for name in [
            "log-state",
            "log-start",
            "durable-claims",
            "leader-epoch-checkpoint",
        ] {
            for gone in [false, true] {
                let (disk, _) = ten(&config);
                let (mut log, _) = open(&disk, &config).unwrap();
                for start in [3, 8] {
                    assert!(log.delete_records_before(Offset(start)));
                    assert_eq!(flush(&mut log, true).unwrap().log_start, Offset(start));
                }
                if stop {
                    now(log.close()).unwrap();
                }
                match gone {
                    true => disk.remove(&dir().join(name)),
                    false => disk.damage(&dir().join(name), |bytes| bytes.fill(0x5a)),
                }
                let case = format!("{name}, gone: {gone}, after a clean stop: {stop}");
                for again in 0..2 {
                    let (mut log, recovered) = open(&disk, &config).unwrap();
                    assert_eq!(recovered.log_start, Offset(8), "{case} {again}");
                    assert_eq!(recovered.log_end, NextOffset(10), "{case} {again}");
                    assert_eq!(recovered.faulty, [], "{case}");
                    assert!(matches!(
                        log.read(Offset(7), NextOffset(10), 1, true),
                        Err(ReadError::OutOfRange { .. })
                    ));
                    read_all(&log, Offset(8), 900).unwrap();
                    flush(&mut log, true);
                    let segments = disk.names(&dir()).into_iter();
                    let first = segments.filter(|name| name.ends_with(".log")).min();
                    assert!(
                        first.unwrap().as_str() > "00000000000000000003.log",
                        "{case}: files went"
                    );
                }
            }
        }
    }
    // With both gone, it is said.
    let (disk, _) = ten(&config);
    let (mut log, _) = open(&disk, &config).unwrap();
    log.delete_records_before(Offset(2));
    flush(&mut log, true).unwrap();
    for name in ["log-state", "log-start"] {
        disk.damage(&dir().join(name), |bytes| bytes.fill(0x5a));
    }
    let (_, recovered) = open(&disk, &config).unwrap();
    let told = |alarm: &String| alarm.contains("nothing says any more where the log starts");
    assert!(recovered.alarms.iter().any(told), "{recovered:?}");
    // A log without a record starts where it was said to.
    let disk = MemDisk::default();
    let at = Offset(40);
    now(Log::create_at(
        disk.clone(),
        dir(),
        identity(),
        config.clone(),
        at,
        Wall(0),
    ))
    .unwrap();
    disk.damage(&dir().join("log-state"), |bytes| bytes.fill(0x5a));
    let (log, _) = open(&disk, &config).unwrap();
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset()),
        (at, NextOffset(40))
    );
    // Without claims, bytes that fail their checks are damage even at the end.
    let (disk, all) = ten(&LogConfig {
        segment_bytes: 1 << 20,
        ..config.clone()
    });
    disk.damage(&dir().join("durable-claims"), |bytes| bytes.fill(0x5a));
    disk.damage(&segment(0), |bytes| bytes[position(&all, 9) + 200] ^= 1);
    let (log, recovered) = open(
        &disk,
        &LogConfig {
            segment_bytes: 1 << 20,
            ..config
        },
    )
    .unwrap();
    assert_eq!(
        (log.log_end_offset(), recovered.faulty.len()),
        (NextOffset(10), 1)
    );
}

#[test]
fn a_bit_lost_in_the_topics_id_loses_no_log() {
    let config = small();
    for (what, damage) in [("another id", 40), ("no id", 0), ("not a text", 2)] {
        let (disk, _) = ten(&config);
        let path = dir().join("partition.metadata");
        disk.damage(&path, |bytes| match damage {
            40 => {
                let id = Uuid([3; 16]);
                *bytes = format!("version: 0\ntopic_id: {id}").into_bytes();
            }
            0 => bytes.clear(),
            _ => bytes.fill(0xff),
        });
        let (log, recovered) = open(&disk, &config).unwrap();
        assert_eq!(log.log_end_offset(), NextOffset(10), "{what}");
        assert!(
            recovered.alarms[0].contains("partition.metadata is damaged"),
            "{what}"
        );
        drop(log);
        let (_, again) = open(&disk, &config).unwrap();
        assert_eq!(again.alarms, Vec::<String>::new(), "{what}: written anew");
        // With neither to go by, nothing is touched.
        disk.damage(&path, |bytes| bytes.clear());
        disk.damage(&dir().join("log-state"), |bytes| bytes.fill(0));
        assert!(open(&disk, &config).is_err(), "{what}");
    }
}

#[test]
fn another_topics_directory_is_refused() {
    let config = small();
    let (disk, _) = ten(&config);
    let before = disk.op_count();
    let other = LogIdentity {
        topic_id: Uuid([9; 16]),
        ..identity()
    };
    let refused = now(Log::open(disk.clone(), dir(), other, config, Wall(0)));
    assert!(matches!(refused, Err(StorageError::Identity { .. })));
    assert_eq!(disk.op_count(), before, "nothing was touched");
}

#[test]
fn unreadable_places_are_never_the_end() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, _) = ten(&config);
    let calls = {
        let disk = disk.copy();
        open(&disk, &config).unwrap();
        disk.calls()
    };
    for from in 1..=calls {
        for count in [1, 3, 1000] {
            let disk = disk.copy();
            let only = Some("read");
            disk.fail(Some(Fail {
                from,
                count,
                kind: ErrorKind::Other,
                partial: false,
                only,
            }));
            let opened = open(&disk, &config);
            disk.fail(None);
            if let Ok((log, _)) = opened {
                assert_eq!(
                    log.log_end_offset(),
                    NextOffset(10),
                    "read errors from call {from}"
                );
            }
        }
    }
}

/// Without claims nothing tells how many records an unreadable block at the end hides.
#[test]
fn an_unreadable_end_keeps_the_log_closed_until_somebody_gives_it_up() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, all) = ten(&config);
    disk.remove(&dir().join("durable-claims"));
    let end = position(&all, 10);
    let block = end / 4096 * 4096;
    disk.unreadable(&segment(0), Some(block..end));
    let before = disk.read(&segment(0));
    let told = open(&disk, &config).err().unwrap().to_string();
    assert!(
        told.contains("nothing tells whether records are there"),
        "{told}"
    );
    assert_eq!(disk.read(&segment(0)), before, "evidence stays");
    // What the message asks for: a copy with zeros.
    disk.unreadable(&segment(0), None);
    disk.damage(&segment(0), |bytes| bytes[block..].fill(0));
    let (log, recovered) = open(&disk, &config).unwrap();
    let whole = (0..10).take_while(|number| position(&all, number + 1) <= block);
    let (from, to) = (whole.clone().count(), whole.count() + 1);
    // The batch that the copy holds a part of is named; of those behind it, nobody knows.
    let (from, to) = (Offset(from as i64), NextOffset(to as i64));
    assert_eq!(recovered.faulty, [FaultyRange { from, to }]);
    assert_eq!(recovered.log_end, to);
    for (base, _, stored) in all.iter().take_while(|(base, ..)| *base < from) {
        let read = log.read(*base, to, 1, true).unwrap();
        assert_eq!(now(read.run()).unwrap().chunks.concat(), *stored);
    }
}

#[test]
fn refused_batches_leave_no_trace() {
    let disk = MemDisk::default();
    let config = LogConfig {
        segment_bytes: 1000,
        pending_bytes_max: 3000,
        ..small()
    };
    let mut log = create(&disk, &config);
    let bytes = batch(1, 1, 900, 5);
    let header = BatchHeader::parse(&bytes).unwrap();
    let large = batch(1, 1, 2000, 5);
    let large_header = BatchHeader::parse(&large).unwrap();
    for i in 0..3 {
        let refused = log
            .append(&large, &large_header, Offset(i), LeaderEpoch(5), Wall(0))
            .unwrap_err();
        assert_eq!(
            refused,
            AppendError::TooLarge {
                size: large.len(),
                max: 1000
            }
        );
        append(&mut log, &bytes, 2);
    }
    let base = log.log_end_offset().position();
    let busy = log.append(&bytes, &header, base, LeaderEpoch(2), Wall(0));
    assert_eq!(busy, Err(AppendError::Busy));
    assert_eq!(flush(&mut log, true).unwrap().durable, NextOffset(3));
    let stale = log
        .append(&bytes, &header, base, LeaderEpoch(1), Wall(0))
        .unwrap_err();
    assert_eq!(
        stale,
        AppendError::StaleEpoch {
            latest: LeaderEpoch(2),
            got: LeaderEpoch(1)
        }
    );
    assert_eq!(log.epochs().encode(), "0\n1\n2 0\n");
    let done = log
        .append(&bytes, &header, base, LeaderEpoch(2), Wall(0))
        .unwrap();
    let read = log.read(base, NextOffset(4), 1, true).unwrap();
    let stored = now(read.run()).unwrap().chunks.concat();
    records::layout::verify_crc(&stored).unwrap();
    let stored = BatchHeader::parse(&stored).unwrap();
    assert_eq!(
        (stored.crc, stored.max_timestamp),
        (done.crc, done.max_timestamp)
    );
}

#[test]
fn an_idle_log_gives_its_memory_back() {
    let disk = MemDisk::default();
    let config = LogConfig {
        segment_bytes: 1 << 20,
        tail_cache_bytes: 4 << 20,
        ..config()
    };
    let mut log = create(&disk, &config);
    for i in 0..2000 {
        append(&mut log, &batch(i, 1, 1000, 5), 0);
    }
    flush(&mut log, true).unwrap();
    assert!(log.memory_bytes() > 2 << 20);
    log.release_idle();
    let memory = log.memory_bytes();
    assert!(memory < 48 << 10, "{memory} bytes");
    assert_eq!(
        read_all(&log, Offset(0), 1 << 20).unwrap().len() as u64,
        log.size_bytes()
    );
}

#[test]
fn a_disk_that_forgets_is_found_by_reads() {
    // A segment shorter than it was, behind the log's back.
    let config = small();
    let (disk, _) = ten(&config);
    let (log, _) = open(&disk, &config).unwrap();
    disk.damage(&segment(0), |bytes| bytes.truncate(700));
    let plan = log.read(Offset(2), NextOffset(10), 1, true).unwrap();
    assert!(matches!(now(plan.run()), Err(ReadError::Faulty { .. })));
    disk.remove(&segment(0));
    let (log, _) = open(&disk, &config).unwrap();
    let file = now(disk.open(&segment(0), OpenOptions::READ));
    assert!(file.is_err() && log.read(Offset(2), NextOffset(10), 1, true).is_err());
    let lengths = now(async {
        disk.open(&dir().join("log-state"), OpenOptions::READ)
            .await?
            .len()
            .await
    });
    assert!(lengths.unwrap() > 0);
}
