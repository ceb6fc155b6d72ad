//! A simulated machine on which a process may have only so many files open, on which opening may take long, and
//! may fail now and then.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use env::{Allocation, Clock, Disk, DiskEntry, Env, File, OpenOptions, SyncKind, WithDisk};
use world::SimEnv;

/// `EMFILE`.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// How many files are open, and how many may be.
#[derive(Debug)]
pub struct Descriptors {
    open: AtomicUsize,
    limit: AtomicUsize,
    refused: AtomicUsize,
    /// Opening takes until this is over.
    is_stuck: AtomicBool,
    /// First segments with this in their path fail the second time that they are opened to be read.
    trouble: Mutex<Option<(&'static str, BTreeMap<PathBuf, usize>)>>,
}

impl Descriptors {
    /// No limit.
    pub fn unlimited() -> Arc<Descriptors> {
        Arc::new(Descriptors {
            open: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
            refused: AtomicUsize::new(0),
            is_stuck: AtomicBool::new(false),
            trouble: Mutex::default(),
        })
    }

    /// From now on nothing is opened, and from then on it is.
    pub fn stick(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// The first segment of every log with `part` in its path cannot be opened the second time that it is to be
    /// read. The first time is when its log is opened.
    pub fn fail_second_reads_of(&self, part: &'static str) {
        *self.trouble.lock().unwrap() = Some((part, BTreeMap::new()));
    }

    /// How many files could not be opened for that.
    pub fn failed_reads(&self) -> usize {
        let trouble = self.trouble.lock().unwrap();
        let reads = trouble.iter().flat_map(|(_, reads)| reads.values());
        reads.filter(|reads| **reads > 1).count()
    }

    fn is_in_trouble(&self, path: &Path, options: OpenOptions) -> bool {
        let mut trouble = self.trouble.lock().unwrap();
        let Some((part, reads)) = trouble.as_mut().filter(|_| !options.write) else {
            return false;
        };
        let name = path.to_string_lossy();
        if !name.contains(*part) || !name.ends_with("/00000000000000000000.log") {
            return false;
        }
        let reads = reads.entry(path.to_owned()).or_default();
        *reads += 1;
        *reads == 2
    }

    /// So many may be open from now on.
    pub fn allow(&self, files: usize) {
        self.limit.store(files, Ordering::Relaxed);
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many opens were refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

/// One open file. It closes when the last handle on it is dropped.
struct Open(Arc<Descriptors>);

impl Open {
    fn take(descriptors: &Arc<Descriptors>) -> io::Result<Arc<Open>> {
        let limit = descriptors.limit.load(Ordering::Relaxed);
        if descriptors.open() >= limit {
            descriptors.refused.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES));
        }
        descriptors.open.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Open(descriptors.clone())))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The simulated world, with a limit on open files.
pub type Machine = WithDisk<SimEnv, MachineDisk>;

/// A machine in this world.
pub fn machine(world: SimEnv, descriptors: Arc<Descriptors>) -> Machine {
    let disk = MachineDisk {
        inner: world.disk().clone(),
        clock: world.clock().clone(),
        descriptors,
    };
    WithDisk::new(world, disk)
}

/// The world's disk, with a limit on open files. Listing and syncing a directory opens it for a moment.
#[derive(Clone)]
pub struct MachineDisk {
    inner: <SimEnv as Env>::Disk,
    clock: <SimEnv as Env>::Clock,
    descriptors: Arc<Descriptors>,
}

/// An open file.
#[derive(Clone)]
pub struct MachineFile {
    inner: <<SimEnv as Env>::Disk as Disk>::File,
    _open: Arc<Open>,
}

impl MachineDisk {
    /// Does what needs a descriptor for as long as it takes.
    fn briefly<T: Send + 'static>(
        &self,
        call: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let open = Open::take(&self.descriptors);
        async move {
            let _open = open?;
            call.await
        }
    }
}

impl Disk for MachineDisk {
    type File = MachineFile;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<MachineFile>> + Send + 'static {
        let open = match self.descriptors.is_in_trouble(path, options) {
            false => Open::take(&self.descriptors),
            true => Err(io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES)),
        };
        let (files, clock) = (self.descriptors.clone(), self.clock.clone());
        let inner = self.inner.open(path, options);
        async move {
            while files.is_stuck.load(Ordering::Relaxed) {
                clock.sleep_until(clock.mono().after_ms(10)).await;
            }
            let open = open?;
            let inner = inner.await?;
            Ok(MachineFile { inner, _open: open })
        }
    }

    fn rename(
        &self,
        from: &Path,
        to: &Path,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.remove_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.create_dir_all(path)
    }

    fn list(
        &self,
        path: &Path,
    ) -> impl Future<Output = io::Result<Vec<DiskEntry>>> + Send + 'static {
        self.briefly(self.inner.list(path))
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.briefly(self.inner.sync_dir(path))
    }

    fn free_bytes(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        self.inner.free_bytes(path)
    }

    fn lock_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.lock_dir(path)
    }
}

impl File for MachineFile {
    fn read_at(
        &self,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Bytes>> + Send + 'static {
        self.inner.read_at(offset, len)
    }

    fn write_at(
        &self,
        offset: u64,
        buffers: Vec<Bytes>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.write_at(offset, buffers)
    }

    fn sync(&self, kind: SyncKind) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.sync(kind)
    }

    fn allocate(
        &self,
        offset: u64,
        len: u64,
        allocation: Allocation,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.allocate(offset, len, allocation)
    }

    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.set_len(len)
    }

    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        self.inner.len()
    }
}
