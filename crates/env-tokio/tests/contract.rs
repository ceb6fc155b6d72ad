//! The contract of `env`, kept by the world of production: the same tests that the simulated world passes.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test on real files, sockets and clocks"
)]

use std::future::Future;
use std::time::Duration;

use env::contract;
use ottla_env_tokio::{DiskOptions, Runtime, RuntimeOptions, TokioEnv, Workers};

/// On one thread and on several; with everything inline, on disk threads, and as it is by default.
fn in_every_way<F: Future<Output = ()> + Send + 'static>(test: impl Fn(TokioEnv) -> F) {
    let inline_bytes_max = [0, DiskOptions::default().inline_write_bytes_max, usize::MAX];
    for (workers, inline) in [Workers::Caller, Workers::Count(2), Workers::Count(4)]
        .into_iter()
        .zip(inline_bytes_max)
    {
        let runtime = Runtime::new(&RuntimeOptions {
            workers,
            disk: DiskOptions {
                inline_write_bytes_max: inline,
                inline_read_bytes_max: inline,
                ..DiskOptions::default()
            },
            ..RuntimeOptions::default()
        })
        .unwrap();
        runtime.block_on(test(runtime.env().clone()));
        runtime.shutdown(Duration::from_secs(5));
    }
}

#[test]
fn disk() {
    let root = std::env::temp_dir().join(format!("ottla-contract-{}", std::process::id()));
    let rounds = std::sync::atomic::AtomicUsize::new(0);
    in_every_way(|env| {
        let round = rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = root.join(round.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        async move { contract::disk::all(&env, &dir).await }
    });
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn network() {
    in_every_way(|env| async move { contract::network::all(&env).await });
}

#[test]
fn clock() {
    in_every_way(|env| async move { contract::clock::all(&env).await });
}

#[test]
fn spawner() {
    in_every_way(|env| async move { contract::spawner::all(&env).await });
}
