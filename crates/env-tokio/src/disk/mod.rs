//! Files of the operating system.
//!
//! What waits for a medium runs on threads of this module; what is a memory copy in truth (writes to the
//! page cache, reads from it) runs on the caller, where it is cheaper than any handing over. Which is
//! which is decided by [`DiskOptions`] and measured in docs/decisions/0003-disk-threads.md.
//!
//! Rooms: [`file`] reads and writes, [`sync`] makes durable (group commit), [`buffers`] is memory that
//! reads return.

mod buffers;
mod file;
mod sync;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use env::{Disk, DiskEntry, EntryKind, OpenMode, OpenOptions};
use rustix::fs::{FlockOperation, Mode, OFlags};

pub use self::file::TokioFile;

use self::buffers::Buffers;
use self::file::OpenFile;
use self::sync::Volume;
use crate::pool::Pool;

/// The file that [`Disk::lock_dir`] locks.
const LOCK_FILE: &str = ".lock";

/// Threads and thresholds. The defaults are what measured best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// Threads for reads that miss the page cache, `Direct` files, large writes, names and directories.
    pub threads_max: usize,
    /// Calls that may wait for those threads before callers wait for room.
    pub queue_max: usize,
    /// Threads for syncs, per file system.
    pub sync_threads_max: usize,
    /// Buffered writes of at most this many bytes run on the caller.
    pub inline_write_bytes_max: usize,
    /// Buffered reads of at most this many bytes are tried on the caller, and only if the page cache has
    /// them.
    pub inline_read_bytes_max: usize,
    /// When at least this many files of one file system wait for a sync, one `syncfs` serves them all.
    /// `None`: never.
    pub syncfs_files_min: Option<usize>,
    /// Memory kept for the buffers of later reads, in bytes.
    pub buffers_kept_bytes_max: usize,
}

impl Default for DiskOptions {
    fn default() -> Self {
        DiskOptions {
            threads_max: 4,
            queue_max: 1024,
            sync_threads_max: 4,
            inline_write_bytes_max: 256 << 10,
            inline_read_bytes_max: 256 << 10,
            syncfs_files_min: Some(8),
            buffers_kept_bytes_max: 8 << 20,
        }
    }
}

/// The machine's file systems.
#[derive(Clone, Debug)]
pub struct TokioDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: DiskOptions,
    pool: Pool,
    buffers: Arc<Buffers>,
    /// By device number.
    volumes: Mutex<BTreeMap<u64, Arc<Volume>>>,
    locks: Mutex<Vec<OwnedFd>>,
}

impl TokioDisk {
    /// The disk. Threads are started when they are needed.
    #[must_use]
    pub fn new(options: DiskOptions) -> TokioDisk {
        TokioDisk {
            shared: Arc::new(Shared {
                pool: Pool::new("ottla-disk", options.threads_max, options.queue_max),
                buffers: Arc::new(Buffers::new(options.buffers_kept_bytes_max)),
                volumes: Mutex::default(),
                locks: Mutex::default(),
                options,
            }),
        }
    }

    /// Runs a call that blocks.
    fn run<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Shared, &Path) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        let path = path.to_owned();
        self.shared.pool.run(move || work(&shared, &path))
    }
}

impl Shared {
    fn open(shared: &Arc<Shared>, path: &Path, options: OpenOptions) -> io::Result<TokioFile> {
        let mut flags = OFlags::CLOEXEC | OFlags::NOCTTY;
        flags |= if options.write {
            OFlags::RDWR
        } else {
            OFlags::RDONLY
        };
        if options.create {
            flags |= OFlags::CREATE;
            if options.exclusive {
                flags |= OFlags::EXCL;
            }
        }
        let direct = options.mode == OpenMode::Direct;
        if direct {
            flags |= OFlags::DIRECT;
        }
        let mode = Mode::from_raw_mode(0o640);
        let fd = loop {
            match rustix::fs::open(path, flags, mode) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::INVAL) if direct => {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        "this file system has no direct input and output",
                    ));
                }
                opened => break opened?,
            }
        };
        let file = std::fs::File::from(fd);
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let volume = shared.volume(meta.dev(), path)?;
        Ok(TokioFile::new(
            Arc::clone(shared),
            OpenFile::new(
                file.into(),
                volume,
                direct,
                options.write,
                shared.pool.clone(),
            ),
        ))
    }

    fn volume(&self, device: u64, path: &Path) -> io::Result<Arc<Volume>> {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(volume) = volumes.get(&device) {
            return Ok(Arc::clone(volume));
        }
        let volume = Volume::open(directory_of(path), &self.options)?;
        volumes.insert(device, Arc::clone(&volume));
        Ok(volume)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<()> {
        let fd = rustix::fs::open(
            dir.join(LOCK_FILE),
            OFlags::CLOEXEC | OFlags::CREATE | OFlags::RDWR,
            Mode::from_raw_mode(0o640),
        )?;
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
        self.locks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fd);
        Ok(())
    }
}

/// The directory that holds `path`'s entry.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl Disk for TokioDisk {
    type File = TokioFile;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<TokioFile>> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        let path = path.to_owned();
        self.shared
            .pool
            .run(move || Shared::open(&shared, &path, options))
    }

    fn rename(
        &self,
        from: &Path,
        to: &Path,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let to = to.to_owned();
        self.run(from, move |_, from| std::fs::rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.run(path, |_, path| std::fs::remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.run(path, |_, path| std::fs::remove_dir(path))
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.run(path, |_, path| std::fs::create_dir_all(path))
    }

    fn list(
        &self,
        path: &Path,
    ) -> impl Future<Output = io::Result<Vec<DiskEntry>>> + Send + 'static {
        self.run(path, |_, path| {
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let kind = entry.file_type()?;
                let kind = if kind.is_file() {
                    EntryKind::File
                } else if kind.is_dir() {
                    EntryKind::Directory
                } else {
                    EntryKind::Other
                };
                entries.push(DiskEntry { name, kind });
            }
            entries.sort();
            Ok(entries)
        })
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.run(path, |_, path| {
            let flags = OFlags::CLOEXEC | OFlags::RDONLY | OFlags::DIRECTORY;
            let dir = rustix::fs::open(path, flags, Mode::empty())?;
            Ok(sync::fsync(&dir)?)
        })
    }

    fn free_bytes(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        self.run(path, |_, path| {
            let stat = rustix::fs::statvfs(path)?;
            // What this user may still take, without what is kept for root.
            Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
        })
    }

    fn total_bytes(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        self.run(path, |_, path| {
            let stat = rustix::fs::statvfs(path)?;
            Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
        })
    }

    fn lock_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.run(path, |shared, path| shared.lock_dir(path))
    }
}

#[cfg(test)]
mod tests;
