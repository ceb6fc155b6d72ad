//! Closed segments: what is damaged in one concerns nobody but who reads it, and what is not read is not asked
//! about.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::io::ErrorKind;

use common::{Fail, MemDisk, append, batch, config, create, dir, flush, now, open, read_all};
use ottla_storage::{Log, LogConfig, StorageError};
use records::layout::{self, compute_crc};
use records::{BatchBuilder, Codec};
use types::{LeaderEpoch, NextOffset, Offset, TimestampMs};

fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        preallocate: false,
        ..config()
    }
}

/// Twenty batches of one record in several closed segments, stopped in order.
fn stopped() -> MemDisk {
    let disk = MemDisk::default();
    let mut log = create(&disk, &small());
    for i in 0..20 {
        append(&mut log, &batch(i, 1, 900, 100 + i as i64), 0);
        flush(&mut log, true).unwrap();
    }
    now(log.close()).unwrap();
    disk
}

fn files(disk: &MemDisk, suffix: &str) -> Vec<std::path::PathBuf> {
    let names = disk.names(&dir()).into_iter();
    let names = names.filter(|name| name.ends_with(suffix));
    names.map(|name| dir().join(name)).collect()
}

#[test]
fn a_place_that_cannot_be_read_takes_no_other_records_along() {
    // The tags were not synced when the power failed: the indexes are built anew, over all segments.
    let disk = stopped();
    for tags in files(&disk, ".tags") {
        disk.remove(&tags);
    }
    disk.remove(&dir().join("clean-shutdown"));
    let reads = {
        let disk = disk.copy();
        let before = disk.calls();
        open(&disk, &small()).unwrap();
        before..disk.calls()
    };
    let active = files(&disk, ".log").pop().unwrap();
    let mut served = 0;
    for from in reads {
        let disk = disk.copy();
        disk.fail(Some(Fail {
            from,
            // The window, and the block of it that is wanted.
            count: 3,
            kind: ErrorKind::Other,
            partial: false,
            only: Some("read"),
        }));
        let opened = open(&disk, &small());
        disk.fail(None);
        let (log, recovered) = match opened {
            Ok(opened) => opened,
            // What says whose the records are, and the block that appends go on in, must be readable.
            Err(StorageError::Io { path, .. }) => {
                let closed = path.extension() == Some("log".as_ref()) && path != active;
                assert!(!closed, "call {from}: {}", path.display());
                continue;
            }
            Err(error) => panic!("call {from}: {error}"),
        };
        served += 1;
        assert_eq!(log.log_end_offset(), NextOffset(20));
        let Some(range) = recovered.faulty.first() else {
            read_all(&log, Offset(0), 900).unwrap();
            continue;
        };
        // What lies behind it is given out.
        if range.to < NextOffset(20) {
            read_all(&log, range.to.position(), 900).unwrap();
        }
    }
    assert!(served > 10, "{served}");
}

#[test]
fn only_the_segment_that_is_read_is_asked_for_what_was_aborted() {
    let disk = stopped();
    let (log, recovered) = open(&disk, &small()).unwrap();
    assert!(recovered.clean);
    let end = log.log_end_offset();
    let calls = |upto: NextOffset| {
        let read = log.read(Offset(0), end, 1 << 20, true).unwrap();
        let read = now(read.run()).unwrap();
        let before = disk.calls();
        let aborted = now(log.aborted_between(Offset(0), upto).run(&read));
        assert_eq!(aborted, Ok(Vec::new()));
        disk.calls() - before
    };
    let plan = log.read(Offset(0), end, 1 << 20, true).unwrap();
    let read = plan.end_max().unwrap();
    assert!(NextOffset(0) < read && read < NextOffset(8), "{read}");
    assert_eq!(calls(read), 0, "its indexes are there, for the read");
    assert!(calls(end) > 10, "others' are not");
}

fn ranges(log: &mut Log<MemDisk>, disk: &MemDisk) -> Vec<(i64, i64)> {
    flush(log, true);
    let (_, recovered) = open(&disk.copy(), &small()).unwrap();
    let range = |range: &ottla_storage::FaultyRange| (range.from.0, range.to.0);
    recovered.faulty.iter().map(range).collect()
}

#[test]
fn damage_that_is_found_piece_by_piece_is_one_range() {
    let disk = stopped();
    let (mut log, _) = open(&disk, &small()).unwrap();
    log.mark_faulty(Offset(2), NextOffset(3));
    log.mark_faulty(Offset(9), NextOffset(10));
    assert_eq!(ranges(&mut log, &disk), [(2, 3), (9, 10)]);
    log.mark_faulty(Offset(1), NextOffset(4));
    log.mark_faulty(Offset(3), NextOffset(4));
    assert_eq!(ranges(&mut log, &disk), [(1, 4), (9, 10)]);
}

/// A batch whose header says less of its records' times than they do: nobody looks into what is compressed.
fn understated(times: &[i64]) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(Codec::Gzip);
    for time in times {
        builder.append(TimestampMs(*time), None, Some(b"v"), &[]);
    }
    let mut bytes = builder.build().to_vec();
    layout::set_max_timestamp(&mut bytes, TimestampMs(1_000));
    let crc = compute_crc(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn the_largest_time_is_found_in_one_pass_whatever_a_batch_says() {
    let disk = MemDisk::default();
    let mut log = create(&disk, &small());
    append(&mut log, &understated(&[5, i64::MAX, 7, i64::MAX]), 0);
    flush(&mut log, true).unwrap();
    // The log starts within its segment now.
    assert!(log.delete_records_before(Offset(1)));
    flush(&mut log, true).unwrap();
    let plan = log.offset_of_max_timestamp(NextOffset(4), 1 << 20);
    let found = now(plan.unwrap().run()).unwrap().unwrap();
    let found = (found.timestamp.0, found.offset, found.leader_epoch);
    assert_eq!(found, (i64::MAX, Offset(1), LeaderEpoch(0)));
}
