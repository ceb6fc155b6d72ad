//! Each fault of a disk does what its name says, and damage is done only where the atlas allows it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use env::{AlignedBuf, Clock, Disk, Env, File, OpenMode, OpenOptions, SyncKind};
use world::{AfterFailure, Damage, DiskProfile, HarmKind, Leaves, NodeId, Profile, SimEnv, World};

const FILE: &str = "/file";

fn path() -> &'static Path {
    Path::new(FILE)
}

fn new_world(seed: u64, damage: Damage) -> (World, NodeId) {
    let disk = DiskProfile {
        damage,
        split_write_ppm: 0,
        ..DiskProfile::calm()
    };
    with_disk(seed, disk)
}

fn with_disk(seed: u64, disk: DiskProfile) -> (World, NodeId) {
    let mut world = World::new(
        seed,
        Profile {
            disk,
            ..Profile::calm()
        },
    );
    let node = world.start_node("node", |_| std::future::pending());
    (world, node)
}

fn run<F, T>(world: &mut World, node: NodeId, body: impl FnOnce(SimEnv) -> F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let future = body(world.env(node));
    world.block_on(node, future).expect("a clean run")
}

fn filled(byte: u8, len: usize) -> Bytes {
    vec![byte; len].into()
}

async fn open(env: &SimEnv) -> world::disk::SimFile {
    env.disk()
        .open(path(), OpenOptions::CREATE)
        .await
        .expect("a file")
}

/// A file of `len` ones, all durable.
async fn ones(env: SimEnv, len: usize) {
    let file = open(&env).await;
    file.write_at(0, vec![filled(1, len)])
        .await
        .expect("a write");
    file.sync(SyncKind::Data).await.expect("a sync");
    env.disk().sync_dir(Path::new("/")).await.expect("a sync");
}

fn is_eio<T: std::fmt::Debug>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EIO))
}

#[test]
fn a_failed_sync_fails_once_and_the_pages_are_lost_in_three_ways() {
    for (after, cached, medium) in [
        (AfterFailure::Dropped, vec![1, 2], vec![1, 2]),
        (AfterFailure::KeptUntilEvicted, vec![2], vec![1, 2]),
        (AfterFailure::Dirty, vec![2], vec![2]),
    ] {
        let (mut in_cache, mut on_medium) = (BTreeSet::new(), BTreeSet::new());
        for seed in 0..60 {
            let (mut world, node) = new_world(seed, Damage::None);
            run(&mut world, node, |env| ones(env, 4096));
            world.fail_next_sync(node, after);
            let seen = run(&mut world, node, |env| async move {
                let file = open(&env).await;
                file.write_at(0, vec![filled(2, 4096)])
                    .await
                    .expect("a write");
                assert!(is_eio(file.sync(SyncKind::Data).await));
                let seen = file.read_at(0, 1).await.expect("a read")[0];
                file.sync(SyncKind::Data)
                    .await
                    .expect("the next sync claims success");
                seen
            });
            in_cache.insert(seen);
            on_medium.insert(world.durable_bytes(node, path()).expect("a file")[0]);
        }
        // The eviction of what was kept is rare, but may happen at the first read.
        in_cache.retain(|byte| after != AfterFailure::KeptUntilEvicted || *byte == 2);
        assert_eq!(
            in_cache.into_iter().collect::<Vec<_>>(),
            cached,
            "{after:?}"
        );
        assert_eq!(
            on_medium.into_iter().collect::<Vec<_>>(),
            medium,
            "{after:?}"
        );
    }
}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_seen_until_it_is_evicted_and_never_by_direct_reads() {
    let mut evictions = 0;
    for seed in 0..40 {
        let (mut world, node) = new_world(seed, Damage::None);
        run(&mut world, node, |env| ones(env, 4096));
        world.fail_next_sync(node, AfterFailure::KeptUntilEvicted);
        evictions += run(&mut world, node, |env| async move {
            let file = open(&env).await;
            file.write_at(0, vec![filled(2, 4096)])
                .await
                .expect("a write");
            file.sync(SyncKind::Data).await.expect_err("it fails");
            let options = OpenOptions::READ.mode(OpenMode::Direct);
            let direct = env.disk().open(path(), options).await.expect("a file");
            let medium = direct.read_at(0, 4096).await.expect("a read")[0];
            let mut evicted = false;
            for _ in 0..200 {
                let seen = file.read_at(0, 1).await.expect("a read")[0];
                assert!(
                    !evicted || seen == medium,
                    "what is evicted does not come back"
                );
                evicted |= seen != 2;
            }
            u32::from(evicted)
        });
    }
    assert!(
        (5..35).contains(&evictions),
        "half of the writes were lost: {evictions}"
    );
}

#[test]
fn a_failed_sync_of_a_directory_keeps_names_for_the_next() {
    let (mut world, node) = new_world(1, Damage::None);
    world.fail_next_sync(node, AfterFailure::Dirty);
    run(&mut world, node, |env| async move {
        open(&env).await;
        assert!(is_eio(env.disk().sync_dir(Path::new("/")).await));
        env.disk()
            .sync_dir(Path::new("/"))
            .await
            .expect("the next works");
    });
    assert_eq!(world.strikes().get("disk-sync-failed-names"), Some(&1));
    world.lose_power_leaving(node, Leaves::Nothing);
    let kept = world.durable_bytes(node, path());
    assert_eq!(kept.as_deref(), Some(&b""[..]), "the journal held on to it");
}

#[test]
fn errors_of_reads_and_writes_come_once_or_stay() {
    for (sticky, again) in [(0, false), (1_000_000, true)] {
        let disk = DiskProfile {
            sticky_error_ppm: sticky,
            ..DiskProfile::calm()
        };
        let (mut world, node) = with_disk(0, disk);
        run(&mut world, node, |env| ones(env, 8192));
        world.fail_next_calls(node, 1, 0);
        run(&mut world, node, |env| async move {
            let file = open(&env).await;
            assert!(is_eio(file.read_at(0, 4096).await));
            assert_eq!(is_eio(file.read_at(100, 10).await), again);
            file.read_at(4096, 4096)
                .await
                .expect("elsewhere all is well");
        });
        world.fail_next_calls(node, 0, 1);
        run(&mut world, node, |env| async move {
            let file = open(&env).await;
            assert!(is_eio(file.write_at(4096, vec![filled(2, 10)]).await));
            assert_eq!(
                is_eio(file.write_at(4100, vec![filled(2, 10)]).await),
                again
            );
        });
        world.heal();
        run(&mut world, node, |env| async move {
            let file = open(&env).await;
            file.read_at(0, 8192).await.expect("healed");
        });
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_recovers() {
    let (mut world, node) = new_world(0, Damage::None);
    run(&mut world, node, |env| ones(env, 4096));
    world.set_free_bytes(node, 2 * 4096);
    run(&mut world, node, |env| async move {
        let file = open(&env).await;
        assert_eq!(env.disk().free_bytes(path()).await.expect("a number"), 8192);
        file.write_at(0, vec![filled(2, 4096)])
            .await
            .expect("no new room is needed");
        let full = file.write_at(4096, vec![filled(3, 5 * 4096)]).await;
        assert_eq!(full.expect_err("no room").kind(), ErrorKind::StorageFull);
        assert!(file.len().await.expect("a length") <= 3 * 4096);
        let refused = file.allocate(0, 1 << 20, env::Allocation::KeepLength).await;
        assert_eq!(refused.expect_err("no room").kind(), ErrorKind::StorageFull);
        file.set_len(3 * 4096).await.expect("a length");
        file.write_at(4096, vec![filled(3, 2 * 4096)])
            .await
            .expect("just enough");
        let other = env
            .disk()
            .open(Path::new("/other"), OpenOptions::CREATE)
            .await;
        assert_eq!(other.err().expect("no room").kind(), ErrorKind::StorageFull);
        let renamed = env.disk().rename(path(), Path::new("/renamed")).await;
        assert_eq!(renamed.expect_err("no room").kind(), ErrorKind::StorageFull);
        // Room that is given back can be used.
        file.set_len(4096).await.expect("a cut");
        assert_eq!(env.disk().free_bytes(path()).await.expect("a number"), 8192);
        let other = env
            .disk()
            .open(Path::new("/other"), OpenOptions::CREATE)
            .await
            .expect("room");
        other
            .write_at(0, vec![filled(1, 8192)])
            .await
            .expect("room");
        env.disk()
            .remove_file(Path::new("/other"))
            .await
            .expect("a removal");
        assert_eq!(
            env.disk().free_bytes(path()).await.expect("a number"),
            0,
            "still open"
        );
        drop(other);
        assert_eq!(env.disk().free_bytes(path()).await.expect("a number"), 8192);
    });
    world.set_free_bytes(node, 1 << 30);
    run(&mut world, node, |env| async move {
        let file = open(&env).await;
        file.write_at(0, vec![filled(3, 1 << 20)])
            .await
            .expect("room");
    });
    world.deny_space(node, 1);
    run(&mut world, node, |env| async move {
        let file = open(&env).await;
        file.write_at(1 << 20, vec![filled(3, 10)])
            .await
            .expect_err("denied, once");
        file.write_at(1 << 20, vec![filled(3, 10)])
            .await
            .expect("room");
    });
}

#[test]
fn a_disk_may_be_full_for_a_while() {
    let disk = DiskProfile {
        no_space_ppm: 100_000,
        ..DiskProfile::calm()
    };
    let (mut world, node) = with_disk(0, disk);
    let (failures, longest) = run(&mut world, node, |env| async move {
        let file = loop {
            if let Ok(file) = env.disk().open(path(), OpenOptions::CREATE).await {
                break file;
            }
        };
        let (mut failures, mut streak, mut longest) = (0, 0, 0);
        for at in 0..200 {
            match file.write_at(at * 4096, vec![filled(1, 4096)]).await {
                Ok(()) => streak = 0,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull);
                    failures += 1;
                    streak += 1;
                    longest = longest.max(streak);
                    let later = env.clock().mono().after(Duration::from_millis(100));
                    env.clock().sleep_until(later).await;
                }
            }
        }
        (failures, longest)
    });
    assert!((10..190).contains(&failures), "{failures}");
    assert!(longest > 3, "it lasts: {longest}");
}

#[test]
fn slow_and_stalled_disks_take_their_time() {
    let (mut world, node) = new_world(0, Damage::None);
    let time = |env: SimEnv| async move {
        let start = env.clock().mono();
        let file = open(&env).await;
        for _ in 0..20 {
            file.write_at(0, vec![filled(1, 100)])
                .await
                .expect("a write");
            file.sync(SyncKind::Data).await.expect("a sync");
        }
        env.clock().mono().since(start)
    };
    let normal = run(&mut world, node, time);
    world.slow_disk(node, 50, 60_000_000_000);
    let slow = run(&mut world, node, time);
    assert!(slow > normal * 10, "{slow:?} {normal:?}");
    world.run_for(Duration::from_secs(61)).expect("a clean run");
    assert!(run(&mut world, node, time) < slow / 5, "it passes");
    world.stall_disk(node, 5_000_000_000);
    assert!(run(&mut world, node, time) >= Duration::from_secs(5));
}

#[test]
fn damage_is_done_only_where_it_is_allowed() {
    let (mut world, node) = new_world(0, Damage::None);
    run(&mut world, node, |env| ones(env, 8192));
    assert_eq!(world.rot_a_bit(node), None);
    assert_eq!(world.lose_a_sector(node), None);
    world.misdirect_next_write(node);
    run(&mut world, node, |env| ones(env, 8192));
    world.stale_reads_after_next_write(node);
    run(&mut world, node, |env| ones(env, 8192));
    assert_eq!(world.harms(node), []);
    let content = world.durable_bytes(node, path()).expect("a file");
    assert_eq!(content, filled(1, 8192));
}

#[test]
fn a_rotten_bit_is_one_bit_and_known_to_the_oracle() {
    let (mut world, node) = new_world(3, Damage::Reported);
    run(&mut world, node, |env| ones(env, 8192));
    let harm = world.rot_a_bit(node).expect("there is a victim");
    assert_eq!((harm.path.as_str(), harm.kind), (FILE, HarmKind::BitRot));
    let content = run(&mut world, node, |env| async move {
        open(&env).await.read_at(0, 8192).await.expect("a read")
    });
    let flipped: u32 = content.iter().map(|byte| (byte ^ 1).count_ones()).sum();
    assert_eq!(flipped, 1);
    assert_ne!(content[harm.offset as usize], 1);
    assert_eq!(world.harms(node), [harm]);
    assert_eq!(world.durable_bytes(node, path()).expect("a file"), content);
}

#[test]
fn a_lost_sector_cannot_be_read_until_it_is_written_again() {
    let (mut world, node) = new_world(0, Damage::Reported);
    run(&mut world, node, |env| ones(env, 8192));
    let harm = world
        .lose_sector_at(node, path(), 1000)
        .expect("there is a sector");
    assert_eq!((harm.offset, harm.len), (512, 512));
    run(&mut world, node, |env| async move {
        let file = open(&env).await;
        assert!(is_eio(file.read_at(0, 8192).await));
        assert!(is_eio(file.read_at(1023, 1).await));
        file.read_at(0, 512).await.expect("the sector before");
        file.read_at(1024, 4096).await.expect("the sectors after");
        file.write_at(600, vec![filled(2, 10)])
            .await
            .expect("a part of it");
        assert!(
            is_eio(file.read_at(512, 1).await),
            "the rest of it is still lost"
        );
        file.write_at(512, vec![filled(2, 512)])
            .await
            .expect("all of it");
        assert_eq!(
            file.read_at(512, 512).await.expect("a read"),
            filled(2, 512)
        );
    });
}

#[test]
fn a_misdirected_write_lands_elsewhere_and_both_places_are_known() {
    let mut elsewhere = 0;
    for seed in 0..20 {
        let (mut world, node) = new_world(seed, Damage::Reported);
        run(&mut world, node, |env| ones(env, 64 * 1024));
        world.misdirect_next_write(node);
        let content = run(&mut world, node, |env| async move {
            let file = open(&env).await;
            file.write_at(4096, vec![filled(2, 512)])
                .await
                .expect("it claims success");
            file.read_at(0, 1 << 20).await.expect("a read")
        });
        let harms = world.harms(node);
        if harms.is_empty() {
            assert_eq!(content[4096], 2, "by chance it found its place");
            continue;
        }
        elsewhere += 1;
        assert_eq!(content[4096], 1);
        let [away, here] = &harms[..] else {
            panic!("{harms:?}")
        };
        assert_eq!((away.kind, away.offset), (HarmKind::MisdirectedAway, 4096));
        assert_eq!(here.kind, HarmKind::MisdirectedHere);
        assert!(here.offset.is_multiple_of(512));
        let at = here.offset as usize;
        assert!(content[at..at + 512].iter().all(|byte| *byte == 2));
        assert_eq!(content.iter().filter(|byte| **byte == 2).count(), 512);
    }
    assert!(elsewhere > 10);
}

#[test]
fn stale_reads_show_what_was_there_for_a_while() {
    let (mut world, node) = new_world(0, Damage::Reported);
    run(&mut world, node, |env| ones(env, 4096));
    world.stale_reads_after_next_write(node);
    run(&mut world, node, |env| async move {
        let file = open(&env).await;
        file.write_at(0, vec![filled(2, 4096)])
            .await
            .expect("a write");
        assert_eq!(
            file.read_at(0, 4096).await.expect("a read"),
            filled(1, 4096)
        );
    });
    assert_eq!(world.harms(node)[0].kind, HarmKind::StaleRead);
    assert_eq!(world.harms(node)[0].path, FILE);
    world.run_for(Duration::from_secs(11)).expect("a clean run");
    run(&mut world, node, |env| async move {
        let file = open(&env).await;
        assert_eq!(
            file.read_at(0, 4096).await.expect("a read"),
            filled(2, 4096)
        );
    });
}

#[test]
fn a_rewritten_tail_may_turn_to_garbage() {
    for (damage, expected) in [(Damage::None, false), (Damage::Reported, true)] {
        let mut garbled = false;
        for seed in 0..100 {
            let disk = DiskProfile {
                tail_garbage_ppm: 300_000,
                damage,
                ..DiskProfile::calm()
            };
            let (mut world, node) = with_disk(seed, disk);
            run(&mut world, node, |env| ones(env, 700));
            run(&mut world, node, |env| async move {
                // The log's way: the last block is written again as it fills.
                let file = open(&env).await;
                let block = [filled(1, 700), filled(2, 300)].concat();
                file.write_at(0, vec![block.into()]).await.expect("a write");
            });
            world.lose_power(node);
            let content = world.durable_bytes(node, path()).expect("a file");
            let harms = world.harms(node);
            let broken = content[..700].iter().any(|byte| *byte != 1);
            assert_eq!(broken, !harms.is_empty(), "{harms:?}");
            assert!(harms.iter().all(|harm| harm.kind == HarmKind::TailGarbage));
            garbled |= broken;
        }
        assert_eq!(garbled, expected, "{damage:?}");
    }
}

#[test]
fn disks_are_emptied_and_swapped_while_nobody_uses_them() {
    let mut world = World::new(0, Profile::calm());
    let [a, b] = ["a", "b"].map(|name| {
        let node = world.start_node(name, |_| std::future::pending());
        run(&mut world, node, |env| async move {
            ones(env.clone(), if &*env.node_name() == "a" { 10 } else { 20 }).await;
        });
        world.kill(node);
        node
    });
    let len = |world: &World, node| world.visible_bytes(node, path()).map(|bytes| bytes.len());
    assert_eq!((len(&world, a), len(&world, b)), (Some(10), Some(20)));
    world.swap_disks(a, b);
    assert_eq!((len(&world, a), len(&world, b)), (Some(20), Some(10)));
    world.empty_disk(a);
    assert_eq!((len(&world, a), len(&world, b)), (None, Some(10)));
    world.start(a);
    run(&mut world, a, |env| ones(env, 5));
    assert_eq!(len(&world, a), Some(5));
    assert_eq!(world.harms(a)[0].kind, HarmKind::Swapped);
}

#[test]
fn the_first_half_of_a_write_may_be_seen_early() {
    let disk = DiskProfile {
        split_write_ppm: 1_000_000,
        write_ns: 300_000,
        read_ns: 5_000,
        ..DiskProfile::calm()
    };
    let mut halves = 0;
    for seed in 0..40 {
        let (mut world, node) = with_disk(seed, disk.clone());
        run(&mut world, node, |env| ones(env, 8192));
        halves += run(&mut world, node, |env| async move {
            let file = open(&env).await;
            let writer = file.clone();
            let task = env::Spawner::spawn(env.spawner(), "writer", async move {
                writer
                    .write_at(0, vec![filled(2, 8192)])
                    .await
                    .expect("a write");
            });
            let mut halves = 0;
            for _ in 0..30 {
                let content = file.read_at(0, 8192).await.expect("a read");
                match (content[0], content[8191]) {
                    (2, 1) => halves = 1,
                    (1, 2) => panic!("the second half first"),
                    _ => {}
                }
            }
            env::Task::ended(task).await;
            let content = file.read_at(0, 8192).await.expect("a read");
            assert_eq!(content, filled(2, 8192));
            halves
        });
    }
    assert!(halves > 3, "{halves}");
}

#[test]
fn swarms_keep_their_word_about_damage() {
    // Whatever a swarm does to a disk that must not be damaged, synced bytes stay what they are.
    for seed in 0..60 {
        let mut world = World::new(seed, Profile::swarm(seed, Damage::None));
        let node = world.start_node("node", |_| std::future::pending());
        for round in 0..3u64 {
            let known = run(&mut world, node, move |env| async move {
                let options = OpenOptions::CREATE;
                let mut known = None;
                for attempt in 0..20u8 {
                    let Ok(file) = env.disk().open(path(), options).await else {
                        continue;
                    };
                    let bytes = filled(1 + attempt, 5000);
                    let written = file.write_at(round * 8192, vec![bytes.clone()]).await;
                    if written.is_ok()
                        && file.sync(SyncKind::Data).await.is_ok()
                        && env.disk().sync_dir(Path::new("/")).await.is_ok()
                    {
                        known = Some(bytes);
                        break;
                    }
                }
                known
            });
            world.lose_power(node);
            if let Some(bytes) = known {
                let content = world.durable_bytes(node, path());
                // A sync of the file after a failed one of the directory promises no name.
                if let Some(content) = content {
                    let at = round as usize * 8192;
                    assert_eq!(
                        content.slice(at..at + 5000),
                        bytes,
                        "seed {seed} round {round}"
                    );
                }
            }
            world.start(node);
        }
        assert_eq!(world.harms(node), []);
    }
}

#[test]
fn direct_files_want_their_buffers_aligned() {
    let (mut world, node) = new_world(0, Damage::None);
    run(&mut world, node, |env| async move {
        let options = OpenOptions::CREATE.mode(OpenMode::Direct);
        let file = env.disk().open(path(), options).await.expect("a file");
        let buffer = AlignedBuf::zeroed(8192).freeze();
        file.write_at(0, vec![buffer.clone()])
            .await
            .expect("aligned");
        let off = file.write_at(0, vec![buffer.slice(1..4097)]).await;
        assert_eq!(
            off.expect_err("the address").kind(),
            ErrorKind::InvalidInput
        );
    });
}
