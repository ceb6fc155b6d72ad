//! Wild worlds stay whole: whatever is drawn, the world itself neither panics nor hangs nor keeps memory.

mod common;

use world::{Damage, Profile, World};

#[test]
fn many_wild_seeds_are_clean() {
    let mut kinds = [0u32; 3];
    for seed in 0..400 {
        let damage = if seed % 2 == 0 {
            Damage::None
        } else {
            Damage::Reported
        };
        let mut world = World::new(seed, Profile::swarm(seed, damage));
        common::service(&mut world);
        let server = world.nodes().next().expect("a node");
        kinds[0] += u32::from(world.durable_bytes(server, "/log".as_ref()).is_some());
        kinds[1] += u32::from(world.events() > 500);
        let harmed = !world.harms(server).is_empty();
        assert!(!harmed || damage != Damage::None, "seed {seed}");
        kinds[2] += u32::from(harmed);
    }
    // Most worlds let some work be done; damage is there where it is allowed.
    assert!(kinds[0] > 100, "{kinds:?}");
    assert!(kinds[1] > 100, "{kinds:?}");
    assert!(kinds[2] > 0, "{kinds:?}");
}

/// The memory of this process in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line");
    line.split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a number")
}

#[test]
fn a_world_that_is_dropped_leaves_nothing() {
    let round = |seeds: std::ops::Range<u64>| {
        for seed in seeds {
            let mut world = World::new(seed, Profile::calm());
            let node = world.start_node("node", |env| async move {
                let file = env::Disk::open(
                    env::Env::disk(&env),
                    "/file".as_ref(),
                    env::OpenOptions::CREATE,
                )
                .await
                .expect("a file");
                let bytes = vec![1; 1 << 20];
                env::File::write_at(&file, 0, vec![bytes.into()])
                    .await
                    .expect("a write");
                std::future::pending::<()>().await;
            });
            world.run_until_idle().expect("a clean run");
            assert!(world.visible_bytes(node, "/file".as_ref()).is_some());
        }
    };
    round(0..50);
    let before = resident_kib();
    round(50..250);
    let grown = resident_kib().saturating_sub(before);
    assert!(
        grown < 50 * 1024,
        "200 worlds of a MiB each left {grown} KiB"
    );
}
