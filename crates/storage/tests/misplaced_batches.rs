//! Whole batches, with checksums that are right, where others were written: the disk misplaced a write.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::ten::{position, segment, ten};
use common::{append, batch, config, dir, flush, now, open, read_all};
use ottla_storage::{FaultyRange, LogConfig, ReadError};
use records::layout::{
    ATTRIBUTES_AT, BATCH_LENGTH_AT, CRC_AT, LAST_OFFSET_DELTA_AT, LEADER_EPOCH_AT, compute_crc,
};
use types::{NextOffset, Offset};

/// Makes `batch` say that it holds `count` offsets, with the checksum that goes with it.
fn claim_offsets(batch: &mut [u8], count: i32) {
    batch[LAST_OFFSET_DELTA_AT..][..4].copy_from_slice(&(count - 1).to_be_bytes());
    let crc = compute_crc(batch);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}

#[test]
fn a_batch_of_another_partition_is_never_served() {
    let config = LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 0,
        ..config()
    };
    let (disk, all) = ten(&config);
    // Another partition's batch: same offset, same length, its own right checksum.
    let foreign = common::stored(&batch(1234, 1, 600, 103), Offset(1), 0);
    assert_eq!(foreign.len(), all[1].2.len());
    let at = position(&all, 1);
    let put = |bytes: &mut Vec<u8>| bytes[at..at + foreign.len()].copy_from_slice(&foreign);
    // In a closed segment: found by the read.
    disk.damage(&segment(0), put);
    let (mut log, recovered) = open(&disk, &config).unwrap();
    assert_eq!(recovered.faulty, []);
    let plan = log.read(Offset(1), NextOffset(10), 1, true).unwrap();
    let error = now(plan.run()).unwrap_err();
    let ReadError::Faulty { from, to, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((from, to), (Offset(1), NextOffset(2)));
    log.mark_faulty(from, to);
    assert_eq!(flush(&mut log, true).unwrap().error, None);
    let (log, recovered) = open(&disk, &config).unwrap();
    assert_eq!(recovered.faulty.len(), 1);
    assert!(now(log.read(Offset(0), NextOffset(10), 1, true).unwrap().run()).is_ok());
    // In the active segment: found by the recovery.
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config
    };
    let (disk, _) = ten(&config);
    disk.damage(&segment(0), put);
    let (log, recovered) = open(&disk, &config).unwrap();
    assert_eq!(log.log_end_offset(), NextOffset(10));
    assert_eq!(recovered.faulty.len(), 1);
    assert!(log.read(Offset(1), NextOffset(10), 1, true).is_err());
}

/// A whole batch that lies where another one was written: its checksum is good, and the disk is not.
#[test]
fn a_misplaced_batch_is_told_as_such() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, all) = ten(&config);
    disk.damage(&segment(0), |bytes| {
        let (from, to) = (position(&all, 3), position(&all, 6));
        let len = all[3].2.len();
        bytes.copy_within(from..from + len, to);
    });
    let (_, recovered) = open(&disk, &config).unwrap();
    let [alarm] = &recovered.alarms[..] else {
        panic!("{recovered:?}")
    };
    assert!(alarm.starts_with("records 6 up to 7"), "{alarm}");
    assert!(alarm.contains("a whole batch of another place"), "{alarm}");
}

/// Another log's batch of the same base offset, or one whose header was changed and its checksum made right again
/// (the fuzzer's `39 7e 40 00 85 5a 2f 00 07 41`): where it lies must not make it the log's end.
#[test]
fn a_batch_that_claims_more_offsets_than_it_has_does_not_move_the_end() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    for number in 0..10 {
        let (disk, all) = ten(&config);
        disk.damage(&segment(0), |bytes| {
            let batch = &mut bytes[position(&all, number)..][..all[number].2.len()];
            claim_offsets(batch, 12_033);
        });
        let (mut log, recovered) = open(&disk, &config).unwrap();
        let (from, to) = (Offset(number as i64), NextOffset(number as i64 + 1));
        assert_eq!(recovered.log_end, NextOffset(10), "{recovered:?}");
        assert_eq!(recovered.faulty, [FaultyRange { from, to }]);
        assert_eq!(recovered.torn_bytes, 0);
        for (base, _, stored) in all.iter().filter(|(base, ..)| *base != from) {
            let read = log.read(*base, NextOffset(10), 1, true).unwrap();
            assert_eq!(now(read.run()).unwrap().chunks.concat(), *stored);
        }
        // The log goes on where it ended, and a second start finds the same.
        append(&mut log, &batch(77, 1, 600, 1), 0);
        assert_eq!(flush(&mut log, true).unwrap().durable, NextOffset(11));
        let (_, again) = open(&disk, &config).unwrap();
        assert_eq!(
            (again.log_end, again.faulty),
            (NextOffset(11), recovered.faulty)
        );
    }
}

/// A write of another log that went astray, in place of one of ours: what it is shows by what lies around it.
#[test]
fn a_batch_of_another_log_in_the_place_of_one_is_that_batch_lost() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, all) = ten(&config);
    for number in 0..10 {
        let base = Offset(number as i64);
        let (ours, size) = (&all[number].2, all[number].2.len());
        let mut of_epoch = ours.clone();
        of_epoch[LEADER_EPOCH_AT] ^= 0x10;
        let other = |count: usize, size| common::stored(&batch(1234, count, size, 103), base, 0);
        for (what, bytes, lost) in [
            ("fewer bytes", other(1, 500), 1),
            ("fewer bytes, more offsets", other(2, 200), 1),
            ("fewer bytes, many more offsets", other(20, 10), 1),
            ("more bytes and offsets", other(2, 400), 2),
            (
                "as many bytes, more offsets",
                {
                    let mut other = ours.clone();
                    claim_offsets(&mut other, 2);
                    other
                },
                1,
            ),
            ("another epoch", of_epoch, 1),
        ] {
            let case = format!("{what} at {number}, {} for {size} bytes", bytes.len());
            let disk = disk.copy();
            let at = position(&all, number);
            disk.damage(&segment(0), |log| {
                log[at..at + bytes.len()].copy_from_slice(&bytes);
            });
            let (log, recovered) = open(&disk, &config).unwrap();
            assert_eq!(recovered.log_end, NextOffset(10), "{case}: {recovered:?}");
            let to = NextOffset((base.0 + lost).min(10));
            // What the chain alone shows, at a mark, accuses all that it says nothing else about.
            let from = match (what, number) {
                ("another epoch", 8) => Offset(0),
                _ => base,
            };
            assert_eq!(recovered.faulty, [FaultyRange { from, to }], "{case}");
            assert_eq!(recovered.torn_bytes, 0, "{case}");
            for (at, _, stored) in &all {
                if *at < from || *at >= to.position() {
                    let read = log.read(*at, NextOffset(10), 1, true).unwrap();
                    let read = now(read.run()).unwrap().chunks.concat();
                    assert_eq!(read, *stored, "{case}, {at}");
                }
            }
            // The claims that showed it are gone by then.
            drop(log);
            let (_, again) = open(&disk, &config).unwrap();
            assert_eq!(
                (again.log_end, again.faulty),
                (recovered.log_end, recovered.faulty)
            );
        }
    }
}

/// The same in a log without a state: the next segment says where this one ends.
#[test]
fn a_batch_that_claims_offsets_of_the_next_segment_is_damage() {
    let config = LogConfig {
        segment_bytes: 2048,
        ..config()
    };
    let (disk, all) = ten(&config);
    disk.damage(&segment(0), |bytes| {
        claim_offsets(&mut bytes[..all[0].2.len()], 8)
    });
    disk.remove(&dir().join("log-state"));
    let (log, recovered) = open(&disk, &config).unwrap();
    assert_eq!(recovered.log_end, NextOffset(10), "{recovered:?}");
    let (from, to) = (Offset(0), NextOffset(1));
    assert_eq!(recovered.faulty, [FaultyRange { from, to }]);
    let rest: Vec<u8> = all[1..]
        .iter()
        .flat_map(|(.., bytes)| bytes.clone())
        .collect();
    assert_eq!(read_all(&log, Offset(1), 900).unwrap(), rest);
}

/// Ranges that meet are one, found at once or one after the other (the fuzzer's
/// `d5 2f 0e 00 00 07 41 01 3a 56 ...`).
#[test]
fn ranges_that_meet_are_found_again_as_one() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, all) = ten(&config);
    disk.damage(&segment(0), |bytes| {
        // The chain shows it at the mark behind it; the checksum of the last batch shows the rest.
        bytes[position(&all, 8) + LEADER_EPOCH_AT + 3] ^= 0x10;
        bytes[position(&all, 9) + 100] ^= 1;
    });
    let (from, to) = (Offset(0), NextOffset(10));
    for _ in 0..2 {
        let (_, recovered) = open(&disk, &config).unwrap();
        assert_eq!(recovered.faulty, [FaultyRange { from, to }]);
        assert_eq!(recovered.log_end, NextOffset(10));
    }
}

/// A batch that reaches across a mark is another log's (the fuzzer's `f5 00 00 01 00 00 00 00 00 0a f4 13 01 02 16
/// 00 03`). The next start has no mark there any more, and must not believe it then.
#[test]
fn what_a_mark_showed_is_remembered_without_it() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let (disk, all) = ten(&config);
    let size = all[8].2.len() + all[9].2.len() / 2;
    disk.damage(&segment(0), |bytes| {
        let batch = &mut bytes[position(&all, 8)..][..size];
        batch[BATCH_LENGTH_AT..][..4].copy_from_slice(&(size as i32 - 12).to_be_bytes());
        batch[LEADER_EPOCH_AT] ^= 0x10;
        claim_offsets(batch, 1);
    });
    let (from, to) = (Offset(8), NextOffset(9));
    for _ in 0..3 {
        let (log, recovered) = open(&disk, &config).unwrap();
        assert_eq!(recovered.faulty, [FaultyRange { from, to }]);
        assert_eq!(recovered.log_end, NextOffset(10));
        assert_eq!(read_all(&log, Offset(9), 900).unwrap(), all[9].2);
    }
}
