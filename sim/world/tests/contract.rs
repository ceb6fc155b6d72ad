//! The world keeps the contract of [`env::Env`], in calm seeds and in wild ones.

use std::path::Path;

use env::{Disk, Env};
use world::{Profile, SimEnv, World};

/// A profile in which everything happens that the contract allows for while nothing fails.
fn restless(seed: u64) -> Profile {
    let calm = Profile::calm();
    let wild = Profile::swarm(seed, world::Damage::None);
    Profile {
        network: world::NetworkProfile {
            delay_ns: wild.network.delay_ns.start.min(100_000)
                ..wild.network.delay_ns.end.min(100_000) + 1,
            cut_ppm: wild.network.cut_ppm,
            glue_ppm: wild.network.glue_ppm,
            short_read_ppm: wild.network.short_read_ppm,
            short_write_ppm: wild.network.short_write_ppm,
            ..calm.network
        },
        disk: world::DiskProfile {
            split_write_ppm: wild.disk.split_write_ppm,
            ..calm.disk
        },
        buggify: false,
        poll_cost_ns_max: wild.poll_cost_ns_max.min(1000),
        ..wild
    }
}

fn in_many_worlds<F: Future<Output = ()> + Send + 'static>(test: impl Fn(SimEnv) -> F) {
    let mut world = World::new(0, Profile::calm());
    world
        .run("node", &test)
        .unwrap_or_else(|failure| panic!("calm: {failure}"));
    for seed in 0..20 {
        let mut world = World::new(seed, restless(seed));
        world
            .run("node", &test)
            .unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    }
}

#[test]
fn clock() {
    in_many_worlds(|env| async move { env::contract::clock::all(&env).await });
}

#[test]
fn spawner() {
    in_many_worlds(|env| async move { env::contract::spawner::all(&env).await });
}

#[test]
fn network() {
    in_many_worlds(|env| async move { env::contract::network::all(&env).await });
}

#[test]
fn disk() {
    in_many_worlds(|env| async move {
        let dir = Path::new("/data");
        env.disk().create_dir_all(dir).await.expect("a directory");
        env::contract::disk::all(&env, dir).await;
    });
}
