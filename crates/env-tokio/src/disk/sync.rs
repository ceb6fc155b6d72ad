//! Group commit: one sync serves everyone who waits for it.
//!
//! A file is in the queue of its volume at most once, with all who wait for it. A thread that takes it
//! takes them all; those who come while it works wait for the next round, because the running sync
//! promises nothing about writes that complete meanwhile. When many files wait at once, one `syncfs`
//! costs less than a sync for each, and a thread takes the whole queue.
//!
//! # What is relied on
//! * A write that completed before [`sync`] was called happened before the system call that serves it:
//!   the caller is in the file's list before the thread takes the list.
//! * Linux keeps, per open file, whether a write-back failed since the last report (`errseq_t`), so
//!   `fdatasync` on the descriptor through which was written reports every loss, exactly once.
//! * `syncfs` reports a failed write-back anywhere on the file system (Linux 5.8 and later), once for the
//!   volume's own descriptor, and says not whose. So after the first failure of any kind on a volume
//!   `syncfs` is not used there any more: each file then hears of its own loss from its own descriptor.
//!   Counter-example otherwise: the write-back of X fails; `syncfs` for A and B reports it and they die;
//!   the next `syncfs`, for X, says all is well.
//! * `syncfs` ends with a flush of the device's cache on ext4 (`ext4_sync_fs`). Other file systems are
//!   served file by file.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use env::SyncKind;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::DiskOptions;
use super::file::OpenFile;
use crate::pool::Pool;

/// `f_type` of ext2, ext3 and ext4.
const EXT_MAGIC: u64 = 0xEF53;

/// A file system with files that wait to be synced.
#[derive(Debug)]
pub(super) struct Volume {
    pool: Pool,
    /// Each file once. Its length is bounded by the number of open files.
    waiting: Mutex<VecDeque<Arc<OpenFile>>>,
    syncfs: Option<SyncFs>,
}

#[derive(Debug)]
struct SyncFs {
    /// Open as long as the volume, so that it hears of every failure since.
    fd: OwnedFd,
    files_min: usize,
    /// False after the first failure on this volume.
    trusted: AtomicBool,
}

/// Those who wait for one file.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    list: Vec<(SyncKind, oneshot::Sender<Result<(), Errno>>)>,
    /// Whether the file is in its volume's queue or being synced.
    scheduled: bool,
}

impl Volume {
    /// The volume of the directory `dir`.
    pub(super) fn open(dir: PathBuf, options: &DiskOptions) -> io::Result<Arc<Volume>> {
        let syncfs = match options.syncfs_files_min {
            Some(files_min) if reports_failures() => {
                let flags = OFlags::CLOEXEC | OFlags::RDONLY | OFlags::DIRECTORY;
                let fd = rustix::fs::open(dir, flags, Mode::empty())?;
                let is_ext = rustix::fs::fstatfs(&fd)
                    .is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(EXT_MAGIC));
                is_ext.then_some(SyncFs {
                    fd,
                    files_min: files_min.max(2),
                    trusted: AtomicBool::new(true),
                })
            }
            _ => None,
        };
        Ok(Arc::new(Volume {
            pool: Pool::new("ottla-sync", options.sync_threads_max, usize::MAX),
            waiting: Mutex::default(),
            syncfs,
        }))
    }

    #[cfg(test)]
    pub(super) fn uses_syncfs(&self) -> bool {
        self.syncfs
            .as_ref()
            .is_some_and(|syncfs| syncfs.trusted.load(Ordering::Acquire))
    }

    fn enqueue(self: &Arc<Self>, file: Arc<OpenFile>) {
        self.lock().push_back(file);
        let volume = Arc::clone(self);
        self.pool.push(Box::new(move || volume.serve()));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<OpenFile>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one file, or all of them at once. There is one call per queued file, so after a `syncfs`
    /// the other calls find nothing to do.
    fn serve(self: &Arc<Self>) {
        let mut waiting = self.lock();
        let syncfs = self.syncfs.as_ref().filter(|syncfs| {
            waiting.len() >= syncfs.files_min && syncfs.trusted.load(Ordering::Acquire)
        });
        if let Some(syncfs) = syncfs {
            let files = std::mem::take(&mut *waiting);
            drop(waiting);
            self.serve_all(syncfs, files);
        } else if let Some(file) = waiting.pop_front() {
            drop(waiting);
            self.serve_one(&file);
        }
    }

    fn serve_one(self: &Arc<Self>, file: &Arc<OpenFile>) {
        let waiters = file.take_waiters();
        let all = waiters.iter().any(|(kind, _)| *kind == SyncKind::All);
        let result = if file.is_dead() {
            Err(Errno::IO)
        } else if all {
            fsync(file.fd())
        } else {
            fdatasync(file.fd())
        };
        self.conclude(file, waiters, result);
    }

    fn serve_all(self: &Arc<Self>, syncfs: &SyncFs, files: VecDeque<Arc<OpenFile>>) {
        let batch: Vec<_> = files
            .into_iter()
            .map(|file| {
                let waiters = file.take_waiters();
                (file, waiters)
            })
            .collect();
        let result = retry(|| rustix::fs::syncfs(&syncfs.fd));
        for (file, waiters) in batch {
            let result = if file.is_dead() {
                Err(Errno::IO)
            } else {
                result
            };
            self.conclude(&file, waiters, result);
        }
    }

    fn conclude(
        self: &Arc<Self>,
        file: &Arc<OpenFile>,
        waiters: Vec<(SyncKind, oneshot::Sender<Result<(), Errno>>)>,
        result: Result<(), Errno>,
    ) {
        if result.is_err() {
            // Before anybody hears of it, so that nobody who heard can go on.
            file.kill();
            if let Some(syncfs) = &self.syncfs {
                syncfs.trusted.store(false, Ordering::Release);
            }
        }
        for (_, waiter) in waiters {
            // Who no longer waits does not mind.
            let _ = waiter.send(result);
        }
        if file.next_round() {
            self.enqueue(Arc::clone(file));
        }
    }
}

impl OpenFile {
    fn take_waiters(&self) -> Vec<(SyncKind, oneshot::Sender<Result<(), Errno>>)> {
        std::mem::take(&mut self.waiters().list)
    }

    /// Whether somebody came while the sync ran; if not, the file leaves the queue.
    fn next_round(&self) -> bool {
        let mut waiters = self.waiters();
        waiters.scheduled = !waiters.list.is_empty();
        waiters.scheduled
    }
}

/// Makes durable what was written to `file` before this future was first polled.
pub(super) async fn sync(file: Arc<OpenFile>, kind: SyncKind) -> io::Result<()> {
    file.alive()?;
    let (answer, answered) = oneshot::channel();
    let first = {
        let mut waiters = file.waiters();
        waiters.list.push((kind, answer));
        !std::mem::replace(&mut waiters.scheduled, true)
    };
    if first {
        file.volume().enqueue(Arc::clone(&file));
    }
    let result = answered.await.expect("every waiter is answered");
    result.map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::new(
            error.kind(),
            format!("the file could not be synced: {error}"),
        )
    })
}

fn fdatasync(fd: impl AsFd) -> Result<(), Errno> {
    retry(|| rustix::fs::fdatasync(&fd))
}

/// `fsync`, whatever interrupts it.
pub(super) fn fsync(fd: impl AsFd) -> Result<(), Errno> {
    retry(|| rustix::fs::fsync(&fd))
}

/// An interrupted sync has not reported yet: only then it may be asked again.
fn retry(mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Whether this kernel's `syncfs` reports failed write-backs: Linux 5.8 and later.
fn reports_failures() -> bool {
    let name = rustix::system::uname();
    name.release().to_str().is_ok_and(is_5_8_or_later)
}

fn is_5_8_or_later(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_kernels() {
        for (release, expected) in [
            ("6.1.0-18-amd64", true),
            ("5.8", true),
            ("5.10.0", true),
            ("5.7.19", false),
            ("4.19.0-26", false),
            ("?", false),
        ] {
            assert_eq!(is_5_8_or_later(release), expected, "{release}");
        }
    }
}
