//! A node in this process, on real files, whose disk can be made full and whose world tells what it saw.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use env::{Allocation, Disk, DiskEntry, Env, File, OpenOptions, Seen, SyncKind};
use env_tokio::{Runtime, RuntimeOptions, TokioEnv, Workers};
use ottla_broker::{BrokerConfig, Limits, ListenerConfig, Node};
use types::BrokerId;

type Tokio = <TokioEnv as Env>::Disk;

/// What the tests turn and look at.
#[derive(Clone, Default)]
pub struct Knobs {
    /// Somebody else takes every byte that is free. What is kept back is room, once it is given up.
    full: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Seen>>>,
    reserve: PathBuf,
}

impl Knobs {
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    pub fn holds_reserve(&self) -> bool {
        self.reserve.exists()
    }

    pub fn saw(&self, what: impl Fn(&Seen) -> bool) -> bool {
        self.seen.lock().unwrap().iter().any(what)
    }

    fn check(&self) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) && self.holds_reserve() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

#[derive(Clone)]
pub struct World {
    tokio: TokioEnv,
    disk: SmallDisk,
}

#[derive(Clone)]
pub struct SmallDisk {
    disk: Tokio,
    knobs: Knobs,
}

#[derive(Clone)]
pub struct SmallFile {
    file: <Tokio as Disk>::File,
    knobs: Knobs,
}

impl Env for World {
    type Clock = <TokioEnv as Env>::Clock;
    type Entropy = <TokioEnv as Env>::Entropy;
    type Network = <TokioEnv as Env>::Network;
    type Disk = SmallDisk;
    type Spawner = <TokioEnv as Env>::Spawner;

    const SIM: bool = false;

    fn clock(&self) -> &Self::Clock {
        self.tokio.clock()
    }

    fn entropy(&self) -> &Self::Entropy {
        self.tokio.entropy()
    }

    fn network(&self) -> &Self::Network {
        self.tokio.network()
    }

    fn disk(&self) -> &SmallDisk {
        &self.disk
    }

    fn spawner(&self) -> &Self::Spawner {
        self.tokio.spawner()
    }

    fn observe(&self, seen: Seen) {
        self.disk.knobs.seen.lock().unwrap().push(seen);
    }
}

type Done<T> = io::Result<T>;

impl Disk for SmallDisk {
    type File = SmallFile;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = Done<SmallFile>> + Send + 'static {
        let (knobs, is_new) = (self.knobs.clone(), options.create && !path.exists());
        let open = self.disk.open(path, options);
        async move {
            if is_new {
                knobs.check()?;
            }
            let file = open.await?;
            Ok(SmallFile { file, knobs })
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = Done<()>> + Send + 'static {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = Done<()>> + Send + 'static {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = Done<()>> + Send + 'static {
        self.disk.remove_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = Done<()>> + Send + 'static {
        self.disk.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> impl Future<Output = Done<Vec<DiskEntry>>> + Send + 'static {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = Done<()>> + Send + 'static {
        self.disk.sync_dir(path)
    }

    fn free_bytes(&self, path: &Path) -> impl Future<Output = Done<u64>> + Send + 'static {
        let (free, knobs) = (self.disk.free_bytes(path), self.knobs.clone());
        async move {
            match (knobs.full.load(Ordering::SeqCst), knobs.holds_reserve()) {
                // Whoever fills the disk leaves alone what is given up: less than before.
                (true, _) => Ok(0),
                (false, _) => free.await,
            }
        }
    }

    fn lock_dir(&self, path: &Path) -> impl Future<Output = Done<()>> + Send + 'static {
        self.disk.lock_dir(path)
    }
}

impl File for SmallFile {
    fn read_at(
        &self,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = Done<Bytes>> + Send + 'static {
        self.file.read_at(offset, len)
    }

    fn write_at(
        &self,
        offset: u64,
        buffers: Vec<Bytes>,
    ) -> impl Future<Output = Done<()>> + Send + 'static {
        let (file, knobs) = (self.file.clone(), self.knobs.clone());
        async move {
            let end = offset + buffers.iter().map(|b| b.len() as u64).sum::<u64>();
            if end > file.len().await? {
                knobs.check()?;
            }
            file.write_at(offset, buffers).await
        }
    }

    fn sync(&self, kind: SyncKind) -> impl Future<Output = Done<()>> + Send + 'static {
        self.file.sync(kind)
    }

    fn allocate(
        &self,
        offset: u64,
        len: u64,
        allocation: Allocation,
    ) -> impl Future<Output = Done<()>> + Send + 'static {
        let (checked, allocated) = (
            self.knobs.check(),
            self.file.allocate(offset, len, allocation),
        );
        async move {
            checked?;
            allocated.await
        }
    }

    fn set_len(&self, len: u64) -> impl Future<Output = Done<()>> + Send + 'static {
        self.file.set_len(len)
    }

    fn len(&self) -> impl Future<Output = Done<u64>> + Send + 'static {
        self.file.len()
    }
}

/// What is kept back in these tests.
pub const RESERVE: u64 = 1 << 20;

/// A directory of its own for a test.
pub fn fresh_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ottla-broker-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs `life` with a world of its own, as a process has one: whatever it locked is free afterwards.
pub fn live<F: Future<Output = ()> + Send + 'static>(
    dir: &Path,
    life: impl FnOnce(World, Knobs, PathBuf) -> F,
) {
    let runtime = Runtime::new(&RuntimeOptions {
        workers: Workers::Count(2),
        ..RuntimeOptions::default()
    })
    .unwrap();
    let knobs = Knobs {
        reserve: dir.join("disk-reserve"),
        ..Knobs::default()
    };
    let tokio = runtime.env().clone();
    let disk = SmallDisk {
        disk: tokio.disk().clone(),
        knobs: knobs.clone(),
    };
    runtime.block_on(life(World { tokio, disk }, knobs, dir.to_path_buf()));
    runtime.shutdown(Duration::from_secs(5));
}

/// Starts a node with small segments on `dir`; its address.
pub async fn start(world: &World, dir: &Path) -> (Node<World>, String) {
    start_with_segments(world, dir, 64 << 10).await
}

/// Starts a node whose segments have so many bytes at most.
pub async fn start_with_segments(
    world: &World,
    dir: &Path,
    segment_bytes_max: u32,
) -> (Node<World>, String) {
    let config = BrokerConfig {
        node_id: BrokerId(1),
        rack: None,
        listeners: vec![ListenerConfig {
            name: "PLAINTEXT".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 0,
            advertised: None,
        }],
        cluster_id: None,
        log_dir: dir.to_path_buf(),
        shards: 2,
        open_mode: env::OpenMode::Buffered,
        limits: Limits {
            disk_reserve_bytes: RESERVE,
            segment_bytes_max,
            ..Limits::default()
        },
        static_configs: std::collections::BTreeMap::new(),
    };
    let node = Node::start(world.clone(), config).await.unwrap();
    let address = format!("127.0.0.1:{}", node.ports()[0]);
    (node, address)
}

/// Waits until `done`, for a few seconds.
pub async fn until(world: &World, what: &str, done: impl Fn() -> bool) {
    use env::Clock;
    let clock = world.clock();
    for _ in 0..1_000 {
        if done() {
            return;
        }
        clock.sleep_until(clock.mono().after_ms(20)).await;
    }
    panic!("waited in vain: {what}");
}
