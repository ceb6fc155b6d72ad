//! Opening a log whose files were changed behind its back, or that never were a log's.
//!
//! Input: how the log was made, then edits: what (one byte), which file (one byte), where (two bytes), how
//! many bytes (one byte), and these bytes.
#![no_main]

#[path = "../../crates/storage/tests/common/mod.rs"]
#[allow(
    clippy::all,
    reason = "shared with storage's own tests, which answer for it"
)]
mod common;

use std::collections::BTreeSet;

use bytes::Bytes;
use common::{MemDisk, append, batch, config, create, dir, flush, now, open, read_all};
use libfuzzer_sys::fuzz_target;
use records::layout::{ATTRIBUTES_AT, CRC_AT, LEADER_EPOCH_AT, MAGIC_AT, compute_crc};
use records::{BatchHeader, Batches};
use types::{NextOffset, Offset};

fuzz_target!(|data: &[u8]| {
    let Some((how, edits)) = data.split_first() else {
        return;
    };
    let disk = MemDisk::default();
    let made = make(&disk, *how);
    let evidence = edit(&disk, edits);
    if how & 0x10 != 0 {
        seal_batches(&disk);
    }
    // Without it the directory is taken for one that Kafka wrote: base offsets and leader epochs, which no
    // checksum covers, are then all there is to go by, and compaction may have left gaps.
    let ours = disk.read(&dir().join("log-state")).is_some();
    let Ok((log, first)) = open(&disk, &config()) else {
        return;
    };
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    assert!(start.end_before() <= end);
    assert_eq!((first.log_start, first.log_end), (start, end));
    assert_eq!(log.durable_end(), end, "what recovery keeps is durable");
    let read = read_all(&log, start, 3000);
    if let Ok(bytes) = &read {
        let mut next = None;
        for batch in Batches::new(Bytes::from(bytes.clone())) {
            let batch = batch.expect("a log gives out whole batches");
            batch.verify_crc().expect("a log gives out good batches");
            let header = batch.header();
            if ours && how & 0x10 == 0 {
                // No checksum covers the leader epoch. The chain in claims, state and tags does, of what was made
                // durable and up to where damage breaks it.
                let durable = header.base_offset.is_before(made.durable);
                let proven = evidence && durable && first.faulty.is_empty();
                let bytes = if proven {
                    batch.bytes().to_vec()
                } else {
                    without_epoch(batch.bytes())
                };
                assert!(
                    made.appended.contains(&bytes),
                    "a log gives out what was appended"
                );
            }
            let follows = |next: Offset| match ours {
                true => header.base_offset == next,
                false => header.base_offset >= next,
            };
            assert!(
                next.is_none_or(follows),
                "offsets ascend, without gap in our own logs"
            );
            next = Some(header.next_offset().position());
        }
    }
    drop(log);
    // A second recovery finds what the first one left.
    let (mut log, again) = open(&disk, &config()).expect("what was recovered once opens again");
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
    assert_eq!(again.faulty, first.faulty);
    assert_eq!(read_all(&log, start, 3000).ok(), read.ok());
    // And the log goes on from there.
    if end.position().0 < i64::MAX / 2 {
        let more = batch(99, 3, 50, 200);
        let (base, new_end, stored) = append(&mut log, &more, i32::MAX);
        assert_eq!(base.end_before(), end);
        let outcome = flush(&mut log, true).expect("there is something to write");
        assert_eq!((outcome.error, outcome.durable), (None, new_end));
        drop(log);
        let (log, _) = open(&disk, &config()).expect("a log that was written to opens again");
        assert_eq!(log.log_end_offset(), new_end);
        assert_eq!(
            read_all(&log, base, 3000).expect("durable and undamaged"),
            stored
        );
    }
});

struct Made {
    /// The batches, each as it is and without its epoch.
    appended: BTreeSet<Vec<u8>>,
    /// Up to here they were durable at the end.
    durable: NextOffset,
}

fn without_epoch(batch: &[u8]) -> Vec<u8> {
    let mut bytes = batch.to_vec();
    bytes[LEADER_EPOCH_AT..MAGIC_AT].fill(0);
    bytes
}

/// A log of a few segments, stopped in one of the ways in which logs stop.
fn make(disk: &MemDisk, how: u8) -> Made {
    let mut log = create(disk, &config());
    let mut appended = BTreeSet::new();
    for i in 0..u64::from(how & 3) * 7 {
        let bytes = batch(
            i,
            1 + i as usize % 3,
            40 + 400 * (i as usize % 4),
            100 + i as i64,
        );
        let (_, _, stored) = append(&mut log, &bytes, 1 + i as i32 / 8);
        appended.insert(without_epoch(&stored));
        appended.insert(stored);
        if i % 4 == 1 {
            flush(&mut log, i % 8 == 1);
        }
    }
    flush(&mut log, how & 4 != 0);
    let mut durable = log.durable_end();
    if how & 8 != 0 {
        durable = log.log_end_offset();
        now(log.close()).expect("a disk without faults");
    }
    Made { appended, durable }
}

/// Whether all that proves the batches, in the files beside them, is as it was.
fn edit(disk: &MemDisk, mut edits: &[u8]) -> bool {
    let mut evidence = true;
    while let Some(([what, file, high, low, count], rest)) = edits.split_first_chunk::<5>() {
        let (bytes, rest) = rest.split_at(usize::from(*count).min(rest.len()));
        edits = rest;
        let names = disk.names(&dir());
        let Some(name) = names.get(usize::from(*file) % names.len().max(1)) else {
            return false;
        };
        evidence &= name.ends_with(".log");
        let path = dir().join(name);
        let at = usize::from(u16::from_be_bytes([*high, *low]));
        match what % 6 {
            0 => disk.damage(&path, |data| {
                let end = data.len().min(at + bytes.len());
                if at < end {
                    data[at..end].copy_from_slice(&bytes[..end - at]);
                }
            }),
            1 => disk.damage(&path, |data| data.truncate(at)),
            2 => disk.damage(&path, |data| data.extend_from_slice(bytes)),
            3 => disk.remove(&path),
            4 => disk.damage(&path, |data| {
                let at = at.min(data.len());
                data.splice(at..at, bytes.iter().copied());
            }),
            _ => disk.damage(&path, |data| {
                let end = data.len().min(at + bytes.len().max(1) * 64);
                if at < end {
                    data[at..end].fill(0);
                }
            }),
        }
    }
    evidence
}

/// Puts right checksums into what is shaped like batches, because no mutation finds one.
fn seal_batches(disk: &MemDisk) {
    for name in disk
        .names(&dir())
        .iter()
        .filter(|name| name.ends_with(".log"))
    {
        disk.damage(&dir().join(name), |data| {
            let mut at = 0;
            while let Ok(header) = BatchHeader::parse(&data[at..]) {
                let Some(batch) = data.get_mut(at..at + header.total_size()) else {
                    return;
                };
                let crc = compute_crc(batch);
                batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
                at += header.total_size();
            }
        });
    }
}
