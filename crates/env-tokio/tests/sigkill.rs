//! What was synced is there after the process was killed.
//!
//! The child writes to several files from several tasks, syncs, and says on its standard output what is
//! synced; the parent kills it with SIGKILL at some moment, opens the files anew and compares. A kill
//! leaves the page cache alone, so this does not show that syncs reach the medium (nothing short of a
//! power switch does); it shows that no answer comes before the write it answers for, whichever thread
//! carried it out, and that a half-finished process leaves files and names that can be opened.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test, which starts and kills a real process"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use env::{AlignedBuf, Clock, Disk, Env, File, OpenMode, OpenOptions, Spawner, SyncKind, Task};
use ottla_env_tokio::{Runtime, RuntimeOptions};

const CHILD: &str = "OTTLA_TEST_SIGKILL_DIR";
const FILES: usize = 24;
const BLOCK: usize = 4096;

/// What block `number` of file `file` holds.
fn block(file: usize, number: u64) -> Vec<u8> {
    let mut bytes = vec![(file * 7 + 1) as u8; BLOCK];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[BLOCK - 8..].copy_from_slice(&(number ^ u64::MAX).to_le_bytes());
    bytes
}

fn options(file: usize) -> OpenOptions {
    // Every third file goes past the page cache.
    let mode = if file.is_multiple_of(3) {
        OpenMode::Direct
    } else {
        OpenMode::Buffered
    };
    OpenOptions::CREATE_NEW.mode(mode)
}

/// Writes for ever.
fn child(dir: &Path) {
    let runtime = Runtime::new(&RuntimeOptions::default()).unwrap();
    let env = runtime.env().clone();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for file_number in 0..FILES {
            let disk = env.disk().clone();
            let dir = dir.to_owned();
            tasks.push(env.spawner().spawn("writer", async move {
                let path = dir.join(format!("{file_number:03}.new"));
                let file = match disk.open(&path, options(file_number)).await {
                    Ok(file) => file,
                    Err(_) => disk.open(&path, OpenOptions::CREATE).await.unwrap(),
                };
                for number in 0.. {
                    let mut buf = AlignedBuf::zeroed(BLOCK);
                    buf.as_mut().copy_from_slice(&block(file_number, number));
                    let at = number * BLOCK as u64;
                    file.write_at(at, vec![buf.freeze()]).await.unwrap();
                    if number == 0 {
                        file.sync(SyncKind::All).await.unwrap();
                        let name = dir.join(format!("{file_number:03}.log"));
                        disk.rename(&path, &name).await.unwrap();
                        disk.sync_dir(&dir).await.unwrap();
                    } else {
                        file.sync(SyncKind::Data).await.unwrap();
                    }
                    // One write call, so that lines of different tasks do not mix.
                    let line = format!("{file_number} {}\n", number + 1);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            }));
        }
        for task in tasks {
            task.ended().await;
        }
    });
}

/// Kills a child after it said `lines` lines; returns how many blocks it claimed of each file.
fn kill_after(dir: &Path, lines: usize) -> BTreeMap<usize, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["what_was_synced_survives_sigkill", "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut claimed = BTreeMap::new();
    let mut seen = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if output.read_line(&mut line).unwrap() == 0 {
            break;
        }
        // The test harness talks too.
        let mut words = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(file)), Some(Ok(blocks)), None) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let before = claimed.insert(file as usize, blocks);
        assert!(before < Some(blocks), "claims grow");
        seen += 1;
        if seen == lines {
            // SIGKILL. What it said before it died is still read.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        seen >= lines,
        "the child ended by itself after {seen} lines"
    );
    claimed
}

#[test]
fn what_was_synced_survives_sigkill() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return child(Path::new(&dir));
    }
    let runtime = Runtime::new(&RuntimeOptions::default()).unwrap();
    let disk = runtime.env().disk().clone();
    let root = std::env::temp_dir().join(format!("ottla-sigkill-{}", std::process::id()));
    for (round, lines) in [1, 5, 24, 60, 200, 500, 1500].into_iter().enumerate() {
        let dir: PathBuf = root.join(round.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let claimed = kill_after(&dir, lines);
        runtime.block_on(async {
            for (&file_number, &blocks) in &claimed {
                let path = dir.join(format!("{file_number:03}.log"));
                let file = disk.open(&path, OpenOptions::READ).await.unwrap();
                assert!(file.len().await.unwrap() >= blocks * BLOCK as u64);
                for number in 0..blocks {
                    let at = number * BLOCK as u64;
                    let read = file.read_at(at, BLOCK).await.unwrap();
                    let expected = Bytes::from(block(file_number, number));
                    assert!(
                        read == expected,
                        "file {file_number} block {number} after {lines}"
                    );
                }
            }
        });
        std::fs::remove_dir_all(&dir).unwrap();
    }
    let _ = std::fs::remove_dir_all(&root);
    // The world itself ends in order.
    let env = runtime.env().clone();
    let now = env.clock().mono();
    runtime.shutdown(std::time::Duration::from_secs(5));
    assert!(env.clock().mono() >= now);
}
