//! A log of ten batches, to damage.

use std::path::PathBuf;

use types::{NextOffset, Offset};

use super::{LogConfig, MemDisk, append, batch, create, dir, flush};

/// First offset, end and bytes of each batch.
pub type Batches = Vec<(Offset, NextOffset, Vec<u8>)>;

/// The file of the segment that starts at `base`.
pub fn segment(base: i64) -> PathBuf {
    dir().join(format!("{base:020}.log"))
}

/// Ten batches of one record of 600 bytes, all durable, not closed in order.
pub fn ten(config: &LogConfig) -> (MemDisk, Batches) {
    let disk = MemDisk::default();
    let mut log = create(&disk, config);
    let mut all = Vec::new();
    for i in 0..10 {
        all.push(append(&mut log, &batch(i, 1, 600, 100 + i as i64), 0));
        assert_eq!(flush(&mut log, true).unwrap().durable.0, i as i64 + 1);
    }
    (disk, all)
}

/// Where the batch of this number begins in the file, if all are in one.
pub fn position(all: &[(Offset, NextOffset, Vec<u8>)], number: usize) -> usize {
    all[..number].iter().map(|(_, _, bytes)| bytes.len()).sum()
}
