//! Segments that are too old, with timestamps and without.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{MemDisk, append, batch, config, create, flush, now, open};
use env::Wall;
use ottla_storage::LogConfig;
use types::Offset;

/// Three segments of two records each, the last one active, closed at 1,000 ms; with timestamps, if they have
/// any, of 100 ms. The disk once more after an orderly stop, and after a kill.
fn logs(timestamp: i64, config: &LogConfig) -> [MemDisk; 2] {
    let disk = MemDisk::default();
    let mut log = create(&disk, config);
    for i in 0..6 {
        append(&mut log, &batch(i, 1, 900, timestamp), 0);
        flush(&mut log, true).unwrap();
    }
    let killed = disk.copy();
    now(log.close()).unwrap();
    [disk, killed]
}

fn start_after_retention(disk: &MemDisk, config: &LogConfig, at: i64) -> Offset {
    let (mut log, _) = open(disk, config).unwrap();
    // The active segment is only closed by the first, and goes with the second.
    for _ in 0..2 {
        let end = log.durable_end();
        log.apply_retention(Wall(at), end);
        flush(&mut log, true);
    }
    log.log_start_offset()
}

#[test]
fn segments_go_when_their_latest_record_is_too_old() {
    let config = LogConfig {
        segment_bytes: 2048,
        retention_ms: 500,
        ..config()
    };
    for disk in logs(100, &config) {
        assert_eq!(start_after_retention(&disk.copy(), &config, 600), Offset(0));
        assert_eq!(start_after_retention(&disk, &config, 601), Offset(6));
    }
}

#[test]
fn without_timestamps_a_segment_is_as_old_as_it_is_closed() {
    let config = LogConfig {
        segment_bytes: 2048,
        retention_ms: 500,
        ..config()
    };
    for disk in logs(-1, &config) {
        assert_eq!(
            start_after_retention(&disk.copy(), &config, 1_500),
            Offset(0)
        );
        // The active segment is closed by `segment.ms`, and counted from then.
        assert_eq!(start_after_retention(&disk, &config, 1_501), Offset(4));
    }
}
