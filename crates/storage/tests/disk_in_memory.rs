//! The disk that these tests run on keeps the contract of `env::Disk`, as the real and the simulated one do:
//! what is proven on it is worth as much as it is faithful.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::MemDisk;
use env::{Disk, Env, WithDisk};
use env_tokio::{Runtime, RuntimeOptions, Workers};

#[test]
fn it_keeps_the_contract() {
    let runtime = Runtime::new(&RuntimeOptions {
        workers: Workers::Count(2),
        ..RuntimeOptions::default()
    })
    .unwrap();
    // The disk in memory, and everything else as in production.
    let env = WithDisk::new(runtime.env().clone(), MemDisk::default());
    let done = env.clone();
    runtime.block_on(async move {
        let dir = Path::new("/contract");
        env.disk().create_dir_all(dir).await.unwrap();
        env::contract::disk::all(&env, dir).await;
    });
    runtime.shutdown(Duration::from_secs(5));
    assert!(done.disk().op_count() > 100, "it was this disk");
}
