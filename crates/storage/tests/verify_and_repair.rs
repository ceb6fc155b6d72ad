//! What `verify` finds in a damaged log, and what `repair` does about it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::{Path, PathBuf};

use common::ten::{position, segment, ten};
use common::{MemDisk, config, dir, flush, identity, now, open, read_all};
use env::{Disk, File, OpenOptions, Wall};
use ottla_storage::tools::{RepairOptions, Repaired, Severity, repair, verify};
use ottla_storage::{LogConfig, ReadError};
use types::{NextOffset, Offset};

fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        ..config()
    }
}

fn repaired(disk: &MemDisk, config: &LogConfig, options: RepairOptions) -> Repaired {
    now(repair(disk, &dir(), config.clone(), Wall(0), options)).unwrap()
}

#[test]
fn verify_and_repair_of_a_damaged_log() {
    let config = small();
    let (disk, all) = ten(&config);
    let sound = now(verify(&disk, &dir())).unwrap();
    assert!(sound.is_sound(), "{:?}", sound.findings);
    assert_eq!((sound.batches, sound.log_end), (10, 10));
    disk.damage(&dir().join("00000000000000000000.index"), |bytes| {
        bytes[3] ^= 1
    });
    disk.damage(&segment(0), |bytes| bytes[position(&all, 2) + 100] ^= 1);
    let found = now(verify(&disk, &dir())).unwrap();
    assert!(!found.is_sound());
    assert!(
        found
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Rebuildable)
    );
    let before = disk.op_count();
    let told = repaired(
        &disk,
        &config,
        RepairOptions {
            dry_run: true,
            ..RepairOptions::default()
        },
    );
    assert_eq!(
        (disk.op_count(), told.recovered),
        (before, None),
        "a dry run writes nothing"
    );
    let done = repaired(&disk, &config, RepairOptions::default());
    assert_eq!(done.recovered.unwrap().log_end, NextOffset(10));
    let found = now(verify(&disk, &dir())).unwrap();
    assert!(
        found
            .findings
            .iter()
            .all(|finding| finding.severity != Severity::Rebuildable)
    );
    let (log, recovered) = open(&disk, &config).unwrap();
    assert!(recovered.clean);
    assert!(matches!(
        now(log.read(Offset(2), NextOffset(3), 1, true).unwrap().run()),
        Err(ReadError::Faulty {
            from: Offset(2),
            to: NextOffset(3),
            ..
        })
    ));
}

/// What the alarm of a damaged range says: a good copy, and a repair that reads it, bring the records back.
#[test]
fn a_good_copy_brings_damaged_records_back() {
    let reread = RepairOptions {
        reread: true,
        ..RepairOptions::default()
    };
    for segment_bytes in [1 << 20, 2048] {
        let config = LogConfig {
            segment_bytes,
            ..config()
        };
        for number in [0, 4, 9] {
            let (disk, all) = ten(&config);
            let start = Offset(1);
            let (mut log, _) = open(&disk, &config).unwrap();
            assert!(log.delete_records_before(start));
            flush(&mut log, true);
            drop(log);
            let logs = disk
                .names(&dir())
                .into_iter()
                .filter(|name| name.ends_with(".log"));
            let paths: Vec<PathBuf> = logs.map(|name| dir().join(name)).collect();
            let good: Vec<Vec<u8>> = paths.iter().map(|path| disk.read(path).unwrap()).collect();
            for path in &paths {
                disk.damage(path, |bytes| {
                    let batch = &all[number].2;
                    let found = bytes
                        .windows(batch.len())
                        .position(|window| window == batch);
                    if let Some(at) = found {
                        bytes[at + 100] ^= 1;
                    }
                });
            }
            let (log, _) = open(&disk, &config).unwrap();
            let is_kept = start <= all[number].0;
            assert_eq!(read_all(&log, start, 900).is_err(), is_kept);
            now(log.close()).unwrap();
            for options in [RepairOptions::default(), reread] {
                let disk = disk.copy();
                repaired(&disk, &config, options);
                let (log, _) = open(&disk, &config).unwrap();
                assert_eq!(
                    read_all(&log, start, 900).is_err(),
                    is_kept,
                    "nothing was mended"
                );
            }
            for (path, good) in paths.iter().zip(good) {
                disk.damage(path, |bytes| *bytes = good);
            }
            let done = repaired(&disk, &config, reread);
            assert_eq!(done.recovered.unwrap().faulty, []);
            let (log, recovered) = open(&disk, &config).unwrap();
            assert!(recovered.clean, "{:?}", recovered.alarms);
            assert_eq!(
                (recovered.log_start, recovered.log_end),
                (start, NextOffset(10))
            );
            let kept: Vec<u8> = all[1..]
                .iter()
                .flat_map(|(.., bytes)| bytes.clone())
                .collect();
            assert_eq!(read_all(&log, start, 900).unwrap(), kept);
        }
    }
}

/// A repair that must find out by itself whose log it is writes nothing that a broker takes for another's.
#[test]
fn a_log_whose_state_is_lost_is_repaired_as_its_own() {
    let config = small();
    let (disk, _) = ten(&config);
    let cluster = identity().cluster_id.unwrap();
    let meta = format!("version=1\ncluster.id={cluster}\nnode.id=1\ndirectory.id={cluster}\n");
    now(async {
        let path = Path::new("/data/meta.properties");
        let file = disk.open(path, OpenOptions::CREATE).await?;
        file.write_at(0, vec![meta.into()]).await
    })
    .unwrap();
    disk.damage(&dir().join("log-state"), |bytes| bytes[30] ^= 1);
    repaired(&disk, &config, RepairOptions::default());
    let (log, recovered) = open(&disk, &config).unwrap();
    assert!(recovered.clean, "{:?}", recovered.alarms);
    assert_eq!(
        (recovered.faulty.as_slice(), recovered.log_end),
        (&[][..], NextOffset(10))
    );
    read_all(&log, Offset(0), 900).unwrap();
}
