//! Historic bugs, planted one by one: each must be found by the check that is meant for it, and every check
//! must be content with the code as it is. Runs with `--features mutants`.
#![cfg(feature = "mutants")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use common::enumerator::{Run, enumerate};
use common::{
    Fail, MemDisk, Op, append, batch, config, create, dir, flush, identity, now, open, read_all,
};
use env::{Disk, File, OpenOptions, Wall};
use ottla_storage::dir::LogDir;
use ottla_storage::{
    AppendError, Health, JobError, Log, LogConfig, LogIdentity, ProducerEntry, ReadError,
};
use records::{BatchBuilder, BatchHeader, Codec};
use types::{
    BrokerId, LeaderEpoch, NextOffset, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    Uuid,
};

type Check = fn();

const MUTANTS: &[(&str, Check)] = &[
    ("STO-01", torn_tails_of_unsynced_writes),
    ("STO-01/b", garbage_in_the_last_acknowledged_batch),
    ("STO-01/c", a_flipped_bit_is_not_served),
    ("STO-03", a_flipped_bit_does_not_shorten_the_log),
    ("STO-05", a_damaged_state_is_not_an_empty_log),
    ("STO-06", the_marker_goes_before_the_first_write),
    ("STO-07", no_marker_after_a_failure),
    ("STO-08", crashes_of_synced_batches),
    ("STO-10", epoch_zero_comes_back),
    ("STO-11", snapshots_of_appends_taken_back),
    ("STO-13", appends_to_a_failed_log),
    ("STO-13/b", a_failed_sync_is_not_tried_again),
    ("STO-14", snapshots_of_the_future),
    ("STO-15", indexes_after_appends_taken_back),
    ("STO-17", offsets_far_from_the_base),
    ("STO-18", reads_stop_at_their_limit),
    ("STO-20", appends_continue_the_log),
    ("STO-22", another_topic_of_the_same_name),
    ("STO-22/b", a_batch_of_another_partition),
    ("STO-22/c", a_batch_of_another_partition_is_not_the_end),
    ("STO-28", no_offset_is_given_out_twice),
    ("STO-31", an_unreadable_place_is_not_the_end),
    ("STO-32", another_nodes_disk),
    ("STO-33", crashes_while_rolling),
    ("STO-35", crashes_of_unsynced_batches),
    ("STO-36", crashes_while_deleting),
    ("STO-40", refused_batches_do_not_come_back),
    ("STO-45", a_clean_stop_is_believed),
    ("STO-48", crashes_of_synced_batches),
];

#[test]
fn every_planted_bug_is_found() {
    let fails = |check: &Check| catch_unwind(AssertUnwindSafe(check)).is_err();
    let (mut control, mut missed) = (Vec::new(), Vec::new());
    for (name, check) in MUTANTS {
        types::mutants::activate(None);
        if fails(check) {
            control.push(*name);
        }
        types::mutants::activate(Some(name));
        if !fails(check) {
            missed.push(*name);
        }
        types::mutants::activate(None);
    }
    assert!(
        control.is_empty(),
        "found where nothing was planted: {control:?}"
    );
    assert!(missed.is_empty(), "not found: {missed:?}");
}

fn large() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    }
}

fn judged(name: &str, run: Run) {
    enumerate(name, run).unwrap_or_else(|error| panic!("{error}"));
}

fn crashes_of_synced_batches() {
    let mut run = Run::new(config());
    for _ in 0..2 {
        run.append(1, 300, 0);
        run.flush(true);
    }
    judged("synced", run);
}

fn crashes_of_unsynced_batches() {
    let mut run = Run::new(config());
    run.append(1, 300, 0);
    run.flush(false);
    run.append(1, 300, 0);
    run.flush(false);
    judged("unsynced", run);
}

fn torn_tails_of_unsynced_writes() {
    let mut run = Run::new(config());
    run.append(1, 300, 0);
    run.flush(true);
    run.append(2, 900, 0);
    run.flush(false);
    judged("torn", run);
}

fn crashes_while_rolling() {
    let mut run = Run::new(LogConfig {
        segment_bytes: 4096,
        ..config()
    });
    for _ in 0..3 {
        run.append(1, 1500, 0);
        run.flush(false);
    }
    judged("rolling", run);
}

fn crashes_while_deleting() {
    let mut run = Run::new(LogConfig {
        segment_bytes: 4096,
        ..config()
    });
    for _ in 0..3 {
        run.append(1, 1500, 0);
    }
    run.flush(true);
    run.delete_before(1);
    judged("deleting", run);
}

/// Five acknowledged batches in one segment.
fn five() -> (MemDisk, Vec<Vec<u8>>) {
    let disk = MemDisk::default();
    let mut log = create(&disk, &large());
    let mut all = Vec::new();
    for i in 0..5 {
        all.push(append(&mut log, &batch(i, 1, 600, 100), 0).2);
        assert_eq!(
            flush(&mut log, true).unwrap().durable,
            NextOffset(i as i64 + 1)
        );
    }
    (disk, all)
}

fn segment() -> std::path::PathBuf {
    dir().join("00000000000000000000.log")
}

fn garbage_in_the_last_acknowledged_batch() {
    let (disk, all) = five();
    let at = all[..4].concat().len();
    disk.damage(&segment(), |bytes| bytes[at + 100..at + 400].fill(0xee));
    let (log, recovered) = open(&disk, &large()).unwrap();
    assert_eq!(
        (log.log_end_offset(), recovered.torn_bytes),
        (NextOffset(5), 0)
    );
}

fn a_flipped_bit_does_not_shorten_the_log() {
    let (disk, all) = five();
    disk.damage(&segment(), |bytes| bytes[all[0].len() + 100] ^= 1);
    let (log, recovered) = open(&disk, &large()).unwrap();
    assert_eq!(
        (log.log_end_offset(), recovered.faulty.len()),
        (NextOffset(5), 1)
    );
}

fn a_flipped_bit_is_not_served() {
    let (disk, all) = five();
    let (log, _) = open(&disk, &large()).unwrap();
    disk.damage(&segment(), |bytes| bytes[all[0].len() + 100] ^= 1);
    let read = now(log.read(Offset(1), NextOffset(2), 1, true).unwrap().run());
    assert!(matches!(read, Err(ReadError::Faulty { .. })));
}

fn no_offset_is_given_out_twice() {
    let (disk, all) = five();
    let at = all[..4].concat().len();
    disk.damage(&segment(), |bytes| bytes[at + 100..at + 400].fill(0xee));
    let (mut log, _) = open(&disk, &large()).unwrap();
    let (base, _, _) = append(&mut log, &batch(9, 1, 10, 1), 1);
    assert_eq!(base, Offset(5));
}

fn a_damaged_state_is_not_an_empty_log() {
    let (disk, all) = five();
    disk.damage(&dir().join("log-state"), |bytes| bytes[30] ^= 1);
    let (log, _) = open(&disk, &large()).unwrap();
    assert_eq!(log.log_end_offset(), NextOffset(5));
    assert!(read_all(&log, Offset(0), 1000).unwrap() == all.concat());
    // Nor are the records that were deleted there again.
    let disk = MemDisk::default();
    let small = LogConfig {
        segment_bytes: 2000,
        ..config()
    };
    let mut log = create(&disk, &small);
    for i in 0..6 {
        append(&mut log, &batch(i, 1, 900, 100), 0);
    }
    flush(&mut log, true).unwrap();
    log.delete_records_before(Offset(4));
    flush(&mut log, true).unwrap();
    disk.damage(&dir().join("log-state"), |bytes| bytes[30] ^= 1);
    let (log, _) = open(&disk, &small).unwrap();
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset()),
        (Offset(4), NextOffset(6))
    );
}

fn the_marker_goes_before_the_first_write() {
    let (disk, _) = five();
    let (log, _) = open(&disk, &large()).unwrap();
    now(log.close()).unwrap();
    let (mut log, recovered) = open(&disk, &large()).unwrap();
    assert!(recovered.clean);
    let before = disk.op_count();
    append(&mut log, &batch(9, 1, 10, 1), 1);
    flush(&mut log, false).unwrap();
    let ops = disk.ops();
    let marker = dir().join("clean-shutdown");
    let [Op::Remove { path }, Op::SyncDir { .. }, ..] = &ops[before..] else {
        panic!("the marker is not removed first");
    };
    assert_eq!(*path, marker);
}

fn a_clean_stop_is_believed() {
    let (disk, _) = five();
    let (log, _) = open(&disk, &large()).unwrap();
    now(log.close()).unwrap();
    let (_, recovered) = open(&disk, &large()).unwrap();
    assert!(recovered.clean);
}

fn failing_sync() -> (MemDisk, Log<MemDisk>, JobError) {
    let (disk, _) = five();
    let (mut log, _) = open(&disk, &large()).unwrap();
    append(&mut log, &batch(9, 1, 600, 1), 1);
    disk.drop_on_failed_sync(true);
    let only = Some("sync");
    disk.fail(Some(Fail {
        from: 1,
        count: 1 << 40,
        kind: ErrorKind::Other,
        partial: false,
        only,
    }));
    let error = flush(&mut log, true).unwrap().error.unwrap();
    disk.fail(None);
    (disk, log, error)
}

fn no_marker_after_a_failure() {
    let (disk, log, _) = failing_sync();
    assert!(now(log.close()).is_err());
    assert_eq!(disk.read(&dir().join("clean-shutdown")), None);
}

fn appends_to_a_failed_log() {
    let (_, mut log, _) = failing_sync();
    let bytes = batch(1, 1, 10, 0);
    let header = BatchHeader::parse(&bytes).unwrap();
    let base = log.log_end_offset().position();
    let refused = log.append(&bytes, &header, base, LeaderEpoch(9), Wall(0));
    assert_eq!(refused, Err(AppendError::Offline));
}

fn a_failed_sync_is_not_tried_again() {
    let (_, mut log, error) = failing_sync();
    assert!(matches!(error, JobError::Failed { .. }));
    assert_eq!(log.health(), Health::Offline);
    assert!(log.start_job(true).is_none());
    assert_eq!(log.durable_end(), NextOffset(5));
}

fn epoch_zero_comes_back() {
    let (disk, _) = five();
    let (log, _) = open(&disk, &large()).unwrap();
    assert_eq!(
        log.epochs()
            .end_offset_for(LeaderEpoch(0), log.log_end_offset()),
        Some((LeaderEpoch(0), NextOffset(5)))
    );
}

fn producer(last: i64) -> ProducerEntry {
    ProducerEntry {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(0),
        last_sequence: Sequence(last as i32),
        last_offset: Offset(last),
        offset_delta: 0,
        timestamp: TimestampMs(1),
        coordinator_epoch: -1,
        current_txn_first_offset: Offset(-1),
    }
}

fn snapshots_of_appends_taken_back() {
    let (disk, _) = five();
    let (mut log, _) = open(&disk, &large()).unwrap();
    append(&mut log, &batch(8, 1, 100_000, 1), 1);
    log.put_producer_snapshot(NextOffset(6), &[producer(5)]);
    disk.set_capacity(Some(0));
    assert_eq!(
        flush(&mut log, true).unwrap().rolled_back,
        Some(NextOffset(5))
    );
    disk.set_capacity(None);
    for i in 0..2 {
        // The first attempt asks for room.
        let bytes = batch(20 + i, 1, 50, 1);
        let header = BatchHeader::parse(&bytes).unwrap();
        let base = log.log_end_offset().position();
        let _ = log.append(&bytes, &header, base, LeaderEpoch(1), Wall(0));
        flush(&mut log, true);
    }
    assert_eq!(log.durable_end(), NextOffset(6));
    let (_, recovered) = open(&disk, &large()).unwrap();
    assert_eq!(
        recovered.producers,
        [],
        "no producer wrote what is in the log"
    );
}

fn snapshots_of_the_future() {
    let (disk, _) = five();
    let path = dir().join("00000000000000000009.snapshot");
    let file = now(disk.open(&path, OpenOptions::CREATE)).unwrap();
    let bytes = ottla_storage::producer_snapshot::encode(&[producer(8)]);
    now(file.write_at(0, vec![bytes])).unwrap();
    let (_, recovered) = open(&disk, &large()).unwrap();
    assert_eq!(recovered.producers, []);
    assert_eq!(recovered.producers_at, NextOffset(0));
}

fn indexes_after_appends_taken_back() {
    let disk = MemDisk::default();
    let config = LogConfig {
        index_interval_bytes: 0,
        ..large()
    };
    let mut log = create(&disk, &config);
    let mut all = Vec::new();
    for i in 0..3 {
        all.push(append(&mut log, &batch(i, 1, 300, 1), 0).2);
    }
    flush(&mut log, true).unwrap();
    for i in 0..5 {
        append(&mut log, &batch(10 + i, 1, 20_000, 500), 0);
    }
    disk.set_capacity(Some(0));
    assert_eq!(
        flush(&mut log, true).unwrap().rolled_back,
        Some(NextOffset(3))
    );
    disk.set_capacity(None);
    let bytes = batch(20, 1, 900, 2);
    let header = BatchHeader::parse(&bytes).unwrap();
    let refused = log.append(&bytes, &header, Offset(3), LeaderEpoch(0), Wall(0));
    assert_eq!(refused, Err(AppendError::Full));
    flush(&mut log, true);
    for i in 0..5 {
        all.push(append(&mut log, &batch(30 + i, 1, 900, 2), 0).2);
    }
    flush(&mut log, true).unwrap();
    for (offset, stored) in all.iter().enumerate() {
        let plan = log
            .read(Offset(offset as i64), NextOffset(8), 1, true)
            .unwrap();
        assert!(
            now(plan.run()).unwrap().chunks.concat() == *stored,
            "offset {offset}"
        );
    }
    let end = log.log_end_offset();
    let found = now(log
        .offset_for_timestamp(TimestampMs(3), end, 1 << 20)
        .unwrap()
        .run());
    assert_eq!(found, Ok(None));
}

fn offsets_far_from_the_base() {
    let disk = MemDisk::default();
    let config = LogConfig {
        index_interval_bytes: 0,
        ..large()
    };
    let mut log = create(&disk, &config);
    let mut many = BatchBuilder::new(Codec::None);
    for _ in 0..70_000 {
        many.append(TimestampMs(1), None, None, &[]);
    }
    append(&mut log, &many.build(), 0);
    let mut all = Vec::new();
    for i in 0..20 {
        all.push(append(&mut log, &batch(i, 1, 100, 1), 0).2);
    }
    flush(&mut log, true).unwrap();
    for (i, stored) in all.iter().enumerate() {
        let plan = log
            .read(Offset(70_000 + i as i64), NextOffset(70_020), 1, true)
            .unwrap();
        assert!(
            now(plan.run()).unwrap().chunks.concat() == *stored,
            "record {i}"
        );
    }
    let index = disk.read(&dir().join("00000000000000000000.index"));
    assert_eq!(index, None, "written when the segment is closed");
    now(log.close()).unwrap();
    let found = now(ottla_storage::tools::verify(&disk, &dir())).unwrap();
    assert_eq!(found.findings, []);
}

fn reads_stop_at_their_limit() {
    let (disk, all) = five();
    let (log, _) = open(&disk, &large()).unwrap();
    let plan = log.read(Offset(0), NextOffset(2), 1 << 20, true).unwrap();
    assert!(now(plan.run()).unwrap().chunks.concat() == all[..2].concat());
}

fn appends_continue_the_log() {
    let (disk, _) = five();
    let (mut log, _) = open(&disk, &large()).unwrap();
    let bytes = batch(1, 1, 10, 0);
    let header = BatchHeader::parse(&bytes).unwrap();
    let twice = log.append(&bytes, &header, Offset(4), LeaderEpoch(9), Wall(0));
    assert!(matches!(twice, Err(AppendError::OutOfOrder { .. })));
}

fn another_topic_of_the_same_name() {
    let (disk, _) = five();
    let other = LogIdentity {
        topic_id: Uuid([9; 16]),
        ..identity()
    };
    assert!(now(Log::open(disk, dir(), other, large(), Wall(0))).is_err());
}

fn a_batch_of_another_partition() {
    let config = LogConfig {
        index_interval_bytes: 0,
        ..large()
    };
    let disk = MemDisk::default();
    let mut log = create(&disk, &config);
    let first = append(&mut log, &batch(1, 1, 600, 100), 0).2;
    for i in 0..3 {
        append(&mut log, &batch(2 + i, 1, 600, 100), 0);
    }
    flush(&mut log, true).unwrap();
    let foreign = common::stored(&batch(77, 1, 600, 100), Offset(1), 0);
    disk.damage(&segment(), |bytes| {
        bytes[first.len()..first.len() + foreign.len()].copy_from_slice(&foreign);
    });
    let read = now(log.read(Offset(1), NextOffset(4), 1, true).unwrap().run());
    assert!(matches!(read, Err(ReadError::Faulty { .. })));
}

fn a_batch_of_another_partition_is_not_the_end() {
    let disk = MemDisk::default();
    let mut log = create(&disk, &large());
    let first = append(&mut log, &batch(1, 1, 600, 100), 0).2;
    for i in 0..3 {
        append(&mut log, &batch(2 + i, 1, 600, 100), 0);
    }
    flush(&mut log, true).unwrap();
    let foreign = common::stored(&batch(77, 40, 1, 100), Offset(1), 0);
    disk.damage(&segment(), |bytes| {
        bytes[first.len()..first.len() + foreign.len()].copy_from_slice(&foreign);
    });
    let (_, recovered) = open(&disk, &large()).unwrap();
    assert_eq!(
        (recovered.log_end, recovered.torn_bytes),
        (NextOffset(4), 0)
    );
}

fn an_unreadable_place_is_not_the_end() {
    // One job, acknowledged, and never confirmed by a later one.
    let disk = MemDisk::default();
    let mut log = create(&disk, &large());
    append(&mut log, &batch(1, 1, 600, 100), 0);
    assert_eq!(flush(&mut log, true).unwrap().durable, NextOffset(1));
    let calls = {
        let disk = disk.copy();
        open(&disk, &large()).unwrap();
        disk.calls()
    };
    for from in 1..=calls {
        let disk = disk.copy();
        let only = Some("read");
        disk.fail(Some(Fail {
            from,
            count: 3,
            kind: ErrorKind::Other,
            partial: false,
            only,
        }));
        let opened = open(&disk, &large());
        disk.fail(None);
        if let Ok((log, recovered)) = opened {
            assert_eq!(
                (log.log_end_offset(), recovered.torn_bytes),
                (NextOffset(1), 0)
            );
        }
    }
}

fn another_nodes_disk() {
    let disk = MemDisk::default();
    let ids = [Uuid([3; 16]), Uuid([4; 16])];
    let path = std::path::PathBuf::from("/data");
    now(LogDir::open(&disk, path.clone(), BrokerId(1), None, ids)).unwrap();
    now(LogDir::open(&disk, path.clone(), BrokerId(1), None, ids)).unwrap();
    assert!(now(LogDir::open(&disk, path, BrokerId(2), None, ids)).is_err());
}

fn refused_batches_do_not_come_back() {
    let disk = MemDisk::default();
    let mut log = create(&disk, &large());
    append(&mut log, &batch(1, 1, 900, 1), 0);
    flush(&mut log, true).unwrap();
    // A batch that ends where a block does, one behind it, and one that the disk has no room for.
    let room = 4096 - log.size_bytes() as usize;
    let sized = |seed: u64, size: usize| -> Bytes {
        let fitting = |value: usize| Some(batch(seed, 1, value, 1)).filter(|b| b.len() == size);
        (size - 90..size)
            .find_map(fitting)
            .expect("a value of some length gives this size")
    };
    append(&mut log, &sized(2, room), 0);
    append(&mut log, &sized(3, 1000), 0);
    append(&mut log, &sized(4, 9000), 0);
    let only = Some("write");
    let from = disk.calls() + 1;
    disk.fail(Some(Fail {
        from,
        count: 9,
        kind: ErrorKind::StorageFull,
        partial: true,
        only,
    }));
    assert_eq!(
        flush(&mut log, true).unwrap().rolled_back,
        Some(NextOffset(1))
    );
    disk.fail(None);
    let again = sized(5, room);
    let header = BatchHeader::parse(&again).unwrap();
    let full = log.append(&again, &header, Offset(1), LeaderEpoch(0), Wall(0));
    assert_eq!(full, Err(AppendError::Full));
    flush(&mut log, true);
    append(&mut log, &again, 0);
    flush(&mut log, false).unwrap();
    let (log, _) = open(&disk, &large()).unwrap();
    assert_eq!(log.log_end_offset(), NextOffset(2));
}
