//! What a hand-over to a disk thread costs against doing the call on the spot, and what fresh memory
//! costs against kept buffers: the figures of docs/decisions/0003-disk-threads.md.
//!
//! `cargo run --release -p ottla-env-tokio --example disk_threads [DIR]`

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "an example measures and prints"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use env::{Disk, Env, File, OpenOptions, SyncKind};
use ottla_env_tokio::{DiskOptions, Runtime, RuntimeOptions};

fn main() {
    let dir = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("ottla-disk-threads"),
        Into::into,
    );
    std::fs::create_dir_all(&dir).expect("a directory to write in");
    println!(
        "  bytes | write us: inline  thread  cpu inline  thread | cached read us: inline  thread  inline, no kept buffers | cpu inline thread fresh"
    );
    for bytes in [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20] {
        // In turns, best of five: the machine is shared.
        let mut best = [(f64::MAX, f64::MAX); 5];
        for _ in 0..5 {
            for (way, best) in best.iter_mut().enumerate() {
                let seen = measure(&dir, bytes, way);
                *best = (best.0.min(seen.0), best.1.min(seen.1));
            }
        }
        let [wi, wt, ri, rt, rf] = best;
        println!(
            "{bytes:7} | {:16.1} {:7.1} {:11.1} {:7.1} | {:22.1} {:7.1} {:24.1} | {:10.1} {:6.1} {:5.1}",
            wi.0, wt.0, wi.1, wt.1, ri.0, rt.0, rf.0, ri.1, rt.1, rf.1
        );
    }
    let _ = std::fs::remove_dir_all(&dir);
}

/// Wall and CPU microseconds per call.
fn measure(dir: &std::path::Path, bytes: usize, way: usize) -> (f64, f64) {
    let (inline, kept) = match way {
        0 | 2 => (usize::MAX, 64 << 20),
        1 | 3 => (0, 64 << 20),
        _ => (usize::MAX, 0),
    };
    let runtime = Runtime::new(&RuntimeOptions {
        disk: DiskOptions {
            inline_read_bytes_max: inline,
            inline_write_bytes_max: inline,
            buffers_kept_bytes_max: kept,
            ..DiskOptions::default()
        },
        ..RuntimeOptions::default()
    })
    .expect("a runtime");
    let disk = runtime.env().disk().clone();
    let path = dir.join("file");
    let span = 64 << 20;
    let calls = (span / bytes).min(20_000);
    let took = runtime.block_on(async {
        tokio::spawn(async move {
            let file = disk.open(&path, OpenOptions::CREATE).await.expect("a file");
            if file.len().await.expect("a length") < span as u64 {
                let data = Bytes::from(vec![1; 1 << 20]);
                for i in 0..64 {
                    file.write_at(i << 20, vec![data.clone()])
                        .await
                        .expect("written");
                }
            }
            file.sync(SyncKind::Data).await.expect("synced");
            let data = Bytes::from(vec![7; bytes]);
            let (start, cpu) = (Instant::now(), cpu_time());
            for i in 0..calls {
                let at = (i * bytes) as u64;
                if way < 2 {
                    file.write_at(at, vec![data.clone()])
                        .await
                        .expect("written");
                } else {
                    let read = file.read_at(at, bytes).await.expect("read");
                    assert_eq!(read.len(), bytes);
                }
            }
            (start.elapsed(), cpu_time() - cpu)
        })
        .await
        .expect("the measuring task")
    });
    runtime.shutdown(Duration::from_secs(5));
    let per_call = |took: Duration| took.as_secs_f64() * 1e6 / calls as f64;
    (per_call(took.0), per_call(took.1))
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
