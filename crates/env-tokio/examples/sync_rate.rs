//! How many durable appends per second: producers of 1 KiB appends with a sync after each.
//!
//! `cargo run --release -p ottla-env-tokio --example sync_rate [DIR]`

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "an example measures and prints"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use env::{Allocation, Disk, Env, File, OpenOptions, SyncKind};
use ottla_env_tokio::{DiskOptions, Runtime, RuntimeOptions};

const APPEND: usize = 1024;
const RUN: Duration = Duration::from_secs(3);

fn main() {
    let dir = std::env::args_os()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("ottla-sync-rate"), Into::into);
    std::fs::create_dir_all(&dir).expect("a directory to write in");
    println!("producers  files  syncfs from   appends/s     p50 us     p99 us");
    for (producers, files) in [
        (1, 1),
        (16, 1),
        (64, 1),
        (256, 1),
        (64, 16),
        (64, 64),
        (256, 256),
    ] {
        let variants = if files < 16 {
            vec![None]
        } else {
            vec![None, Some(4), Some(8), Some(16)]
        };
        for syncfs_files_min in variants {
            let options = RuntimeOptions {
                disk: DiskOptions {
                    syncfs_files_min,
                    ..DiskOptions::default()
                },
                ..RuntimeOptions::default()
            };
            let (rate, p50, p99) = measure(&dir, &options, producers, files);
            let from = syncfs_files_min.map_or("never".to_owned(), |n| n.to_string());
            println!("{producers:9} {files:6} {from:>12} {rate:11.0} {p50:10} {p99:10}");
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
}

fn measure(
    dir: &std::path::Path,
    options: &RuntimeOptions,
    producers: usize,
    files: usize,
) -> (f64, u64, u64) {
    let runtime = Runtime::new(options).expect("a runtime");
    let disk = runtime.env().disk().clone();
    let mut latencies = runtime.block_on(async {
        let mut logs = Vec::new();
        for i in 0..files {
            let path = dir.join(format!("log{i}"));
            let _ = disk.remove_file(&path).await;
            let file = disk
                .open(&path, OpenOptions::CREATE_NEW)
                .await
                .expect("a file");
            let room = (256 << 20) / files as u64;
            let _ = file.allocate(0, room, Allocation::KeepLength).await;
            logs.push((file, Arc::new(AtomicU64::new(0))));
        }
        let end = Instant::now() + RUN;
        let tasks: Vec<_> = (0..producers)
            .map(|producer| {
                let (file, position) = logs[producer % files].clone();
                let data = Bytes::from(vec![7; APPEND]);
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    while Instant::now() < end {
                        let start = Instant::now();
                        let at = position.fetch_add(APPEND as u64, Ordering::Relaxed);
                        file.write_at(at, vec![data.clone()])
                            .await
                            .expect("written");
                        file.sync(SyncKind::Data).await.expect("synced");
                        latencies.push(start.elapsed().as_micros() as u64);
                    }
                    latencies
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.expect("a producer"));
        }
        latencies
    });
    runtime.shutdown(Duration::from_secs(5));
    latencies.sort_unstable();
    let at = |percent: usize| latencies[latencies.len() * percent / 100];
    (latencies.len() as f64 / RUN.as_secs_f64(), at(50), at(99))
}
