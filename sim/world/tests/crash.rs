//! What a power loss and a kill leave of files and directories: what was synced, and of the rest
//! anything.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use env::{
    AlignedBuf, Allocation, Disk, Either, Env, File, OpenMode, OpenOptions, Spawner, SyncKind, race,
};
use world::{Leaves, NodeId, Piece, Profile, SimEnv, World};

const FILE: &str = "/data/file";

/// Runs `before`, takes the power, runs `after`, for many seeds; gives back what `after` found.
fn after_power_loss<B, A, F, G, T>(seeds: u64, before: B, after: A) -> BTreeSet<T>
where
    B: Fn(SimEnv) -> F,
    F: Future<Output = ()> + Send + 'static,
    A: Fn(SimEnv) -> G,
    G: Future<Output = T> + Send + 'static,
    T: Ord + Send + 'static,
{
    (0..seeds)
        .map(|seed| {
            let (mut world, node) = new_world(seed);
            run(&mut world, node, &before);
            world.lose_power(node);
            world.start(node);
            run(&mut world, node, &after)
        })
        .collect()
}

fn new_world(seed: u64) -> (World, NodeId) {
    let mut world = World::new(seed, Profile::calm());
    let node = world.start_node("node", |_| std::future::pending());
    run(&mut world, node, |env| async move {
        env.disk()
            .create_dir_all(Path::new("/data"))
            .await
            .expect("a directory");
        env.disk().sync_dir(Path::new("/")).await.expect("a sync");
    });
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
        .open(Path::new(FILE), OpenOptions::CREATE)
        .await
        .expect("a file")
}

/// A file with a durable name and this content, synced.
async fn durable_file(env: &SimEnv, content: Bytes) -> world::disk::SimFile {
    let file = open(env).await;
    file.write_at(0, vec![content]).await.expect("a write");
    file.sync(SyncKind::Data).await.expect("a sync");
    env.disk()
        .sync_dir(Path::new("/data"))
        .await
        .expect("a sync");
    file
}

async fn read_all(env: &SimEnv) -> Bytes {
    let file = env
        .disk()
        .open(Path::new(FILE), OpenOptions::READ)
        .await
        .expect("a file");
    file.read_at(0, 1 << 20).await.expect("a read")
}

#[test]
fn what_was_synced_stays() {
    let found = after_power_loss(
        100,
        |env| async move {
            durable_file(&env, filled(1, 10_000)).await;
        },
        |env| async move { read_all(&env).await },
    );
    assert_eq!(found, BTreeSet::from([filled(1, 10_000)]));
}

#[test]
fn of_unsynced_sectors_any_subset_stays() {
    // Four sectors are rewritten; all sixteen outcomes come up, and no other.
    let found = after_power_loss(
        600,
        |env| async move {
            let file = durable_file(&env, filled(1, 2048)).await;
            file.write_at(0, vec![filled(2, 2048)])
                .await
                .expect("a write");
        },
        |env| async move {
            let content = read_all(&env).await;
            assert_eq!(content.len(), 2048);
            let sector = |sector: &[u8]| {
                assert!(
                    sector.iter().all(|byte| *byte == sector[0]),
                    "sectors are not torn"
                );
                sector[0]
            };
            content.chunks(512).map(sector).collect::<Vec<u8>>()
        },
    );
    assert_eq!(found.len(), 16, "{found:?}");
    assert!(found.iter().flatten().all(|byte| matches!(byte, 1 | 2)));
}

#[test]
fn writes_reach_the_medium_in_any_order() {
    // Three writes to three places: later ones without earlier ones too.
    let found = after_power_loss(
        400,
        |env| async move {
            let file = durable_file(&env, filled(0, 3 * 4096)).await;
            for place in 0..3u8 {
                let at = u64::from(place) * 4096;
                file.write_at(at, vec![filled(1, 100)])
                    .await
                    .expect("a write");
            }
        },
        |env| async move {
            let content = read_all(&env).await;
            [0, 4096, 8192].map(|at| content[at])
        },
    );
    for first in [0, 1] {
        for second in [0, 1] {
            for third in [0, 1] {
                assert!(found.contains(&[first, second, third]), "{found:?}");
            }
        }
    }
}

#[test]
fn a_sync_covers_what_came_before_it_only() {
    let found = after_power_loss(
        300,
        |env| async move {
            let file = durable_file(&env, filled(0, 1024)).await;
            file.write_at(0, vec![filled(1, 512)])
                .await
                .expect("a write");
            file.sync(SyncKind::Data).await.expect("a sync");
            file.write_at(512, vec![filled(1, 512)])
                .await
                .expect("a write");
        },
        |env| async move {
            let content = read_all(&env).await;
            (content[0], content[512])
        },
    );
    assert_eq!(found, BTreeSet::from([(1, 0), (1, 1)]));
}

#[test]
fn writes_while_a_sync_runs_are_not_covered() {
    let found = after_power_loss(
        300,
        |env| async move {
            let file = durable_file(&env, filled(0, 4096)).await;
            let writer = file.clone();
            // The write completes long before the sync.
            let write = env.spawner().spawn("writer", async move {
                writer
                    .write_at(0, vec![filled(1, 512)])
                    .await
                    .expect("a write");
            });
            file.sync(SyncKind::Data).await.expect("a sync");
            env::Task::ended(write).await;
        },
        |env| async move { read_all(&env).await[0] },
    );
    assert_eq!(found, BTreeSet::from([0, 1]));
}

#[test]
fn an_entry_without_sync_dir_may_vanish() {
    let exists = |env: SimEnv| async move {
        env.disk()
            .open(Path::new(FILE), OpenOptions::READ)
            .await
            .is_ok()
    };
    let unsynced = after_power_loss(
        100,
        |env| async move {
            let file = open(&env).await;
            file.write_at(0, vec![filled(1, 10)])
                .await
                .expect("a write");
            file.sync(SyncKind::All)
                .await
                .expect("a sync of the file alone");
        },
        exists,
    );
    assert_eq!(unsynced, BTreeSet::from([false, true]));
    let synced = after_power_loss(
        100,
        |env| async move {
            open(&env).await;
            env.disk()
                .sync_dir(Path::new("/data"))
                .await
                .expect("a sync");
        },
        exists,
    );
    assert_eq!(synced, BTreeSet::from([true]));
}

#[test]
fn a_name_may_be_durable_and_the_content_not() {
    let found = after_power_loss(
        100,
        |env| async move {
            let file = open(&env).await;
            file.write_at(0, vec![filled(1, 400)])
                .await
                .expect("a write");
            env.disk()
                .sync_dir(Path::new("/data"))
                .await
                .expect("a sync");
        },
        |env| async move { read_all(&env).await.len() },
    );
    assert_eq!(found, BTreeSet::from([0, 400]));
}

#[test]
fn a_removed_name_may_come_back() {
    let found = after_power_loss(
        100,
        |env| async move {
            durable_file(&env, filled(1, 10)).await;
            env.disk()
                .remove_file(Path::new(FILE))
                .await
                .expect("a removal");
        },
        |env| async move {
            match env.disk().open(Path::new(FILE), OpenOptions::READ).await {
                Ok(file) => Some(file.read_at(0, 99).await.expect("a read")),
                Err(_) => None,
            }
        },
    );
    assert_eq!(found, BTreeSet::from([None, Some(filled(1, 10))]));
}

#[test]
fn a_rename_is_there_or_not() {
    let found = after_power_loss(
        200,
        |env| async move {
            durable_file(&env, filled(1, 10)).await;
            let new = Path::new("/data/new");
            let file = env
                .disk()
                .open(new, OpenOptions::CREATE_NEW)
                .await
                .expect("a file");
            file.write_at(0, vec![filled(2, 10)])
                .await
                .expect("a write");
            file.sync(SyncKind::Data).await.expect("a sync");
            env.disk()
                .rename(new, Path::new(FILE))
                .await
                .expect("a rename");
        },
        // Old or new, whole, and never neither.
        |env| async move { read_all(&env).await },
    );
    assert_eq!(found, BTreeSet::from([filled(1, 10), filled(2, 10)]));
}

#[test]
fn a_rename_before_the_content_is_synced_may_empty_the_file() {
    let found = after_power_loss(
        300,
        |env| async move {
            durable_file(&env, filled(1, 10)).await;
            let new = Path::new("/data/new");
            let file = env
                .disk()
                .open(new, OpenOptions::CREATE_NEW)
                .await
                .expect("a file");
            file.write_at(0, vec![filled(2, 10)])
                .await
                .expect("a write");
            env.disk()
                .rename(new, Path::new(FILE))
                .await
                .expect("a rename");
            env.disk()
                .sync_dir(Path::new("/data"))
                .await
                .expect("a sync");
        },
        |env| async move { read_all(&env).await.len() },
    );
    assert_eq!(found, BTreeSet::from([0, 10]));
}

#[test]
fn lengths_are_changes_like_others() {
    let found = after_power_loss(
        300,
        |env| async move {
            let file = durable_file(&env, filled(1, 1024)).await;
            file.set_len(512).await.expect("a cut");
            file.write_at(1024, vec![filled(2, 512)])
                .await
                .expect("a write");
        },
        |env| async move {
            let content = read_all(&env).await;
            (content.len(), content.get(512).copied())
        },
    );
    // Cut and written, written alone, cut alone, and neither; the length may be there without bytes.
    for outcome in [
        (1536, Some(0)),
        (1536, Some(1)),
        (512, None),
        (1024, Some(1)),
    ] {
        assert!(found.contains(&outcome), "{outcome:?} in {found:?}");
    }
}

#[test]
fn preallocation_costs_no_memory_and_survives_when_synced() {
    let found = after_power_loss(
        20,
        |env| async move {
            let file = open(&env).await;
            file.allocate(0, 1 << 40, Allocation::Extend)
                .await
                .expect_err("no such room");
            file.allocate(0, 16 << 30, Allocation::Extend)
                .await
                .expect("room");
            file.write_at(8 << 30, vec![filled(1, 10)])
                .await
                .expect("a write");
            file.sync(SyncKind::Data).await.expect("a sync");
            env.disk()
                .sync_dir(Path::new("/data"))
                .await
                .expect("a sync");
        },
        |env| async move {
            let file = open(&env).await;
            let content = file.read_at((8 << 30) - 5, 20).await.expect("a read");
            (file.len().await.expect("a length"), content)
        },
    );
    let content = [vec![0; 5], vec![1; 10], vec![0; 5]].concat();
    assert_eq!(found, BTreeSet::from([(16 << 30, content.into())]));
}

#[test]
fn direct_writes_are_durable_no_earlier() {
    let found = after_power_loss(
        200,
        |env| async move {
            durable_file(&env, filled(1, 4096)).await;
            let options = OpenOptions::CREATE.mode(OpenMode::Direct);
            let file = env
                .disk()
                .open(Path::new(FILE), options)
                .await
                .expect("a file");
            let mut buffer = AlignedBuf::zeroed(4096);
            buffer.as_mut().fill(2);
            file.write_at(0, vec![buffer.freeze()])
                .await
                .expect("a write");
        },
        |env| async move { read_all(&env).await[0] },
    );
    assert_eq!(found, BTreeSet::from([1, 2]));
}

#[test]
fn orderly_losses_are_orderly() {
    for (leaves, expected) in [
        (Leaves::Nothing, vec![[0, 0, 0]]),
        (Leaves::Everything, vec![[1, 1, 1]]),
        (
            Leaves::Prefix,
            vec![[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]],
        ),
    ] {
        let mut found = BTreeSet::new();
        for seed in 0..100 {
            let (mut world, node) = new_world(seed);
            run(&mut world, node, |env| async move {
                let file = durable_file(&env, filled(0, 3 * 512)).await;
                for place in 0..3u64 {
                    file.write_at(place * 512, vec![filled(1, 512)])
                        .await
                        .expect("a write");
                }
            });
            world.lose_power_leaving(node, leaves);
            let content = world.durable_bytes(node, Path::new(FILE)).expect("a file");
            found.insert([0, 512, 1024].map(|at| content[at]));
        }
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            expected,
            "{leaves:?}"
        );
    }
}

#[test]
fn new_sectors_may_hold_garbage_and_old_ones_never_do() {
    let found = after_power_loss(
        600,
        |env| async move {
            let file = durable_file(&env, filled(1, 4096)).await;
            file.write_at(0, vec![filled(2, 8192)])
                .await
                .expect("a write");
        },
        |env| async move {
            let content = read_all(&env).await;
            assert!(content[..4096].iter().all(|byte| matches!(byte, 1 | 2)));
            content[4096..].iter().any(|byte| !matches!(byte, 0 | 2))
        },
    );
    assert_eq!(found, BTreeSet::from([false, true]));
}

#[test]
fn a_kill_leaves_what_calls_saw() {
    for seed in 0..50 {
        let (mut world, node) = new_world(seed);
        run(&mut world, node, |env| async move {
            let file = open(&env).await;
            file.write_at(0, vec![filled(1, 5000)])
                .await
                .expect("a write");
        });
        world.kill(node);
        world.start(node);
        let content = run(&mut world, node, |env| async move { read_all(&env).await });
        assert_eq!(content, filled(1, 5000));
        // A power loss after the kill still takes what nobody synced.
        world.kill(node);
        world.lose_power_leaving(node, Leaves::Nothing);
        assert_eq!(world.durable_bytes(node, Path::new(FILE)), None);
    }
}

/// What is found after the process died with a write of 8 KiB under way.
fn with_a_write_under_way(end: impl Fn(&mut World, NodeId)) -> BTreeSet<Vec<u8>> {
    (0..300)
        .map(|seed| {
            let (mut world, node) = new_world(seed);
            run(&mut world, node, |env| async move {
                let file = durable_file(&env, filled(1, 8192)).await;
                env.spawner().spawn("writer", async move {
                    file.write_at(0, vec![filled(2, 8192)])
                        .await
                        .expect("a write");
                });
                env.spawner().yield_now().await;
                env.spawner().yield_now().await;
            });
            end(&mut world, node);
            let content = world.visible_bytes(node, Path::new(FILE)).expect("a file");
            content.chunks(4096).map(|page| page[0]).collect()
        })
        .collect()
}

#[test]
fn calls_under_way_may_or_may_not_happen() {
    let found = with_a_write_under_way(World::kill);
    assert_eq!(found, BTreeSet::from([vec![1, 1], vec![2, 1], vec![2, 2]]));
    let found = with_a_write_under_way(World::lose_power);
    assert!(found.contains(&vec![1, 1]) && found.contains(&vec![2, 2]));
    assert!(
        found.contains(&vec![1, 2]),
        "the later page alone: {found:?}"
    );
}

#[test]
fn dropped_writes_may_or_may_not_happen() {
    let found: BTreeSet<u8> = (0..100)
        .map(|seed| {
            let (mut world, node) = new_world(seed);
            run(&mut world, node, |env| async move {
                let file = durable_file(&env, filled(1, 10)).await;
                let write = file.write_at(0, vec![filled(2, 10)]);
                let first = race(write, env.spawner().yield_now()).await;
                assert!(matches!(first, Either::Second(())));
            });
            world
                .run_for(std::time::Duration::from_secs(1))
                .expect("a clean run");
            world.visible_bytes(node, Path::new(FILE)).expect("a file")[0]
        })
        .collect();
    assert_eq!(found, BTreeSet::from([1, 2]));
}

#[test]
fn locks_end_with_the_process() {
    let (mut world, node) = new_world(0);
    for _ in 0..3 {
        run(&mut world, node, |env| async move {
            env.disk()
                .lock_dir(Path::new("/data"))
                .await
                .expect("nobody has it");
        });
        world.kill(node);
        world.start(node);
    }
}

#[test]
fn directories_vanish_with_all_that_is_in_them() {
    let found = after_power_loss(
        100,
        |env| async move {
            let dir = Path::new("/data/a/b");
            env.disk().create_dir_all(dir).await.expect("directories");
            let file = env
                .disk()
                .open(&dir.join("f"), OpenOptions::CREATE)
                .await
                .expect("a file");
            file.sync(SyncKind::All).await.expect("a sync");
            env.disk().sync_dir(dir).await.expect("a sync");
            env.disk()
                .sync_dir(Path::new("/data"))
                .await
                .expect("a sync");
            // The entry of b in a is missing.
        },
        |env| async move {
            let names = env
                .disk()
                .list(Path::new("/data/a"))
                .await
                .expect("a is durable");
            match names.len() {
                0 => false,
                _ => {
                    env.disk()
                        .open(Path::new("/data/a/b/f"), OpenOptions::READ)
                        .await
                        .expect("f");
                    true
                }
            }
        },
    );
    assert_eq!(found, BTreeSet::from([false, true]));
}

#[test]
fn crashes_can_be_enumerated() {
    // A new file and a rename over an old one, and three sectors in two writes: five pieces.
    let crash = |kept: u32| {
        let (mut world, node) = new_world(7);
        run(&mut world, node, |env| async move {
            let file = durable_file(&env, filled(1, 1024)).await;
            file.write_at(0, vec![filled(2, 600)])
                .await
                .expect("a write");
            file.write_at(1024, vec![filled(3, 10)])
                .await
                .expect("a write");
            let new = Path::new("/data/new");
            env.disk()
                .open(new, OpenOptions::CREATE_NEW)
                .await
                .expect("a file");
            env.disk()
                .rename(new, Path::new("/data/renamed"))
                .await
                .expect("a rename");
        });
        let mut pieces = Vec::new();
        world.lose_power_keeping(node, |piece| {
            pieces.push(match piece {
                Piece::Name { name } => name.to_owned(),
                Piece::Length { len, .. } => format!("length {len}"),
                Piece::Sector { sector, .. } => format!("sector {sector}"),
            });
            kept & (1 << (pieces.len() - 1)) != 0
        });
        let content = world.durable_bytes(node, Path::new(FILE)).expect("a file");
        let names = ["new", "renamed"].map(|name| {
            world
                .durable_bytes(node, &Path::new("/data").join(name))
                .is_some()
        });
        (pieces, content, names)
    };
    let (pieces, content, names) = crash(0);
    assert_eq!(
        pieces,
        ["new", "renamed", "sector 0", "sector 1", "sector 2"]
    );
    assert_eq!((content, names), (filled(1, 1024), [false, false]));
    let (_, content, names) = crash(0b11111);
    let whole = [vec![2; 600], vec![1; 424], vec![3; 10]].concat();
    assert_eq!((content, names), (whole.into(), [false, true]));
    let (_, content, names) = crash(0b01001);
    let second = [vec![1; 512], vec![2; 88], vec![1; 424]].concat();
    assert_eq!((content, names), (second.into(), [true, false]));
    let outcomes: BTreeSet<_> = (0..32).map(|kept| (crash(kept).1, crash(kept).2)).collect();
    assert_eq!(
        outcomes.len(),
        8 * 3,
        "both renamed and not made is renamed"
    );
}

#[test]
fn crash_points_can_be_counted() {
    let (mut world, node) = new_world(0);
    let before = world.disk_calls(node);
    let env = world.env(node);
    world.spawn(node, "writer", async move {
        let file = open(&env).await;
        for at in 0..10 {
            file.write_at(at * 10, vec![filled(1, 10)])
                .await
                .expect("a write");
        }
    });
    let limit = std::time::Duration::from_secs(1);
    world
        .run_until(limit, |world| world.disk_calls(node) == before + 4)
        .expect("a clean run");
    let content = world.visible_bytes(node, Path::new(FILE)).expect("a file");
    assert_eq!(content.len(), 30, "an open and three writes");
}
