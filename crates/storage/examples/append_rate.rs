//! Appends to real files, `Buffered` and `Direct` in turns: how fast, and at what cost in CPU.
//!
//! `cargo run --release -p ottla-storage --example append_rate -- DIR [GIB] [ROUNDS]`
//!
//! Figures and what follows from them: docs/decisions/0004-buffered-or-direct.md.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a measurement of the machine: it reads the machine's clock and prints"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use env::{Disk, Env, OpenMode, Wall};
use env_tokio::{Runtime, RuntimeOptions};
use futures_util::future;
use ottla_storage::{Log, LogConfig, LogIdentity};
use records::{BatchBuilder, BatchHeader, Codec};
use types::{LeaderEpoch, PartitionIndex, TimestampMs, Uuid};

const MODES: [OpenMode; 2] = [OpenMode::Buffered, OpenMode::Direct];

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().expect("a directory"));
    let gib: f64 = args
        .next()
        .map_or(2.0, |text| text.parse().expect("a number of GiB"));
    let rounds: usize = args
        .next()
        .map_or(3, |text| text.parse().expect("a number of rounds"));
    let runtime = Runtime::new(&RuntimeOptions::default()).expect("a runtime");
    let disk = runtime.env().disk().clone();
    println!("round  mode      workload                                   rate         CPU");
    for round in 1..=rounds {
        for mode in MODES {
            runtime.block_on(bulk(&disk, &dir, mode, gib, false, round));
            runtime.block_on(bulk(&disk, &dir, mode, gib, true, round));
            runtime.block_on(small(&disk, &dir, mode, 1, round));
            runtime.block_on(small(&disk, &dir, mode, 64, round));
            runtime.block_on(many(&disk, &dir, mode, 1000, round));
        }
    }
}

async fn create<D: Disk>(disk: &D, dir: &Path, number: usize, mode: OpenMode) -> Log<D> {
    let identity = LogIdentity {
        cluster_id: None,
        topic_id: Uuid([7; 16]),
        topic: "rate".to_owned(),
        partition: PartitionIndex(number as i32),
    };
    let path = dir.join(identity.dir_name());
    let _ = std::fs::remove_dir_all(&path);
    let config = LogConfig {
        mode,
        direct_bytes_min: 0,
        tail_cache_bytes: 1 << 20,
        ..LogConfig::default()
    };
    Log::create(disk.clone(), path, identity, config, Wall(0))
        .await
        .expect("a new log")
}

fn batch(records: usize, size: usize) -> (Bytes, BatchHeader) {
    let mut builder = BatchBuilder::new(Codec::None);
    let value: Vec<u8> = (0..size).map(|i| (i * 31) as u8).collect();
    for _ in 0..records {
        builder.append(TimestampMs(1), None, Some(&value), &[]);
    }
    let bytes = builder.build();
    let header = BatchHeader::parse(&bytes).expect("a batch");
    (bytes, header)
}

fn append<D: Disk>(log: &mut Log<D>, (bytes, header): &(Bytes, BatchHeader)) {
    let base = log.log_end_offset().position();
    log.append(bytes, header, base, LeaderEpoch(0), Wall(1))
        .expect("room");
}

async fn job<D: Disk>(log: &mut Log<D>, sync: bool) {
    if let Some(job) = log.start_job(sync) {
        let outcome = log.finish_job(job.await);
        assert_eq!(outcome.error, None);
    }
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

struct Meter {
    start: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Meter {
        Meter {
            start: Instant::now(),
            cpu: cpu(),
        }
    }

    fn print(&self, round: usize, mode: OpenMode, what: &str, appends: usize, bytes: f64) {
        let (seconds, cpu) = (self.start.elapsed().as_secs_f64(), cpu() - self.cpu);
        let mode = format!("{mode:?}");
        let (rate, cost) = if bytes > 1e8 {
            let rate = format!("{:.0} MB/s", bytes / 1e6 / seconds);
            (rate, format!("{:.2} s/GB", cpu / (bytes / 1e9)))
        } else {
            let rate = format!("{:.0} appends/s", appends as f64 / seconds);
            (rate, format!("{:.1} us each", cpu * 1e6 / appends as f64))
        };
        println!("{round:>5}  {mode:<8}  {what:<38} {rate:>16}  {cost:>12}");
    }
}

/// Batches of 64 records of 1 KiB, a job per MiB, one under way while the next is filled.
async fn bulk<D: Disk>(disk: &D, dir: &Path, mode: OpenMode, gib: f64, sync: bool, round: usize) {
    let mut log = create(disk, dir, 0, mode).await;
    let batch = batch(64, 1024);
    let total = gib * 1e9 * 1.073_741_824;
    let (meter, mut bytes, mut appends) = (Meter::start(), 0.0, 0);
    while bytes < total {
        for _ in 0..16 {
            append(&mut log, &batch);
            bytes += batch.0.len() as f64;
            appends += 1;
        }
        job(&mut log, sync).await;
    }
    job(&mut log, true).await;
    let what = if sync {
        "64 KiB batches, synced per MiB"
    } else {
        "64 KiB batches, synced at the end"
    };
    meter.print(round, mode, what, appends, bytes);
}

/// One record of 1 KiB per append, `together` appends per sync.
async fn small<D: Disk>(disk: &D, dir: &Path, mode: OpenMode, together: usize, round: usize) {
    let mut log = create(disk, dir, 0, mode).await;
    let batch = batch(1, 1024);
    let syncs = if together == 1 { 3000 } else { 1000 };
    let meter = Meter::start();
    for _ in 0..syncs {
        for _ in 0..together {
            append(&mut log, &batch);
        }
        job(&mut log, true).await;
    }
    let what = format!("1 KiB, synced, {together} producers");
    meter.print(round, mode, &what, syncs * together, 0.0);
}

/// One append to each of many logs, all made durable together, again and again.
async fn many<D: Disk>(disk: &D, dir: &Path, mode: OpenMode, logs: usize, round: usize) {
    let mut all = Vec::new();
    for number in 0..logs {
        all.push(create(disk, dir, 1 + number, mode).await);
    }
    let batch = batch(1, 1024);
    // The first round makes the segments.
    for log in &mut all {
        append(log, &batch);
    }
    future::join_all(all.iter_mut().map(|log| job(log, true))).await;
    let meter = Meter::start();
    let times = 5;
    for _ in 0..times {
        for log in &mut all {
            append(log, &batch);
        }
        future::join_all(all.iter_mut().map(|log| job(log, true))).await;
    }
    let what = format!("1 KiB to each of {logs} logs, synced");
    meter.print(round, mode, &what, times * logs, 0.0);
    let memory: usize = all.iter().map(Log::memory_bytes).sum();
    for log in &mut all {
        log.release_idle();
    }
    let idle: usize = all.iter().map(Log::memory_bytes).sum();
    println!(
        "       memory per log: {} B after appends, {} B idle",
        memory / logs,
        idle / logs
    );
    for number in 0..logs {
        let _ = std::fs::remove_dir_all(dir.join(format!("rate-{}", 1 + number)));
    }
}
