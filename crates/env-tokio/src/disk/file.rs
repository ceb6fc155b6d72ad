//! One open file: reading and writing.

use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use env::{Allocation, File, OpenMode, SyncKind};
use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

use super::Shared;
use super::buffers::Block;
use super::sync::{self, Volume, Waiters};
use crate::pool::Pool;

/// Buffers given to one system call (`IOV_MAX`).
const VECTOR_MAX: usize = 1024;

/// A read of more asks for the file's length first, so that no allocation is sized by a wish.
const UNCHECKED_READ_MAX: usize = 1 << 20;

/// An open file.
#[derive(Clone, Debug)]
pub struct TokioFile {
    shared: Arc<Shared>,
    file: Arc<OpenFile>,
}

/// What the clones of a [`TokioFile`] share.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// `None` only while it is dropped.
    fd: Option<OwnedFd>,
    volume: Arc<Volume>,
    direct: bool,
    writable: bool,
    /// Set when a sync failed, never cleared.
    dead: AtomicBool,
    /// Cleared when the file system turns out not to know reads that do not wait.
    nowait: AtomicBool,
    waiters: Mutex<Waiters>,
    /// Where the descriptor is closed.
    closer: Pool,
}

impl OpenFile {
    pub(super) fn new(
        fd: OwnedFd,
        volume: Arc<Volume>,
        direct: bool,
        writable: bool,
        closer: Pool,
    ) -> OpenFile {
        OpenFile {
            fd: Some(fd),
            volume,
            direct,
            writable,
            dead: AtomicBool::new(false),
            nowait: AtomicBool::new(true),
            waiters: Mutex::default(),
            closer,
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("open until it is dropped").as_fd()
    }

    pub(super) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    pub(super) fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// An error if a sync of this file failed.
    pub(super) fn alive(&self) -> io::Result<()> {
        if self.is_dead() {
            return Err(io::Error::other(
                "an earlier sync of this file failed: what it holds is unknown until it is opened anew \
                 and checked",
            ));
        }
        Ok(())
    }

    /// Before anything that changes the file.
    fn may_change(&self) -> io::Result<()> {
        if !self.writable {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the file is open for reading only",
            ));
        }
        self.alive()
    }

    fn len(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstat(self.fd())?;
        Ok(u64::try_from(stat.st_size).expect("a file's size is not negative"))
    }

    /// Fills `block` from `offset + filled` on and returns how much of it is filled. Stops at the end of
    /// the file.
    fn read_blocking(
        &self,
        offset: u64,
        block: &mut Block,
        mut filled: usize,
    ) -> io::Result<usize> {
        let room = block.as_mut();
        while filled < room.len() {
            let at = offset.saturating_add(filled as u64);
            match rustix::io::pread(self.fd(), &mut room[filled..], at) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            if self.direct && !filled.is_multiple_of(OpenMode::ALIGNMENT) {
                // Only the end of the file cuts a direct read within a block.
                break;
            }
        }
        Ok(filled)
    }

    /// Fills `block` with what the page cache has: all there is, or as much as there was before the rest
    /// would have to be waited for.
    fn read_cached(&self, offset: u64, block: &mut Block) -> io::Result<Result<usize, usize>> {
        let room = block.as_mut();
        let mut filled = 0;
        while filled < room.len() {
            let at = offset.saturating_add(filled as u64);
            let mut vector = [IoSliceMut::new(&mut room[filled..])];
            match rustix::io::preadv2(self.fd(), &mut vector, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Err(filled)),
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    self.nowait.store(false, Ordering::Relaxed);
                    return Ok(Err(filled));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Ok(filled))
    }

    fn write_blocking(&self, mut offset: u64, buffers: &[Bytes]) -> io::Result<()> {
        for chunk in buffers.chunks(VECTOR_MAX) {
            let mut slices: Vec<IoSlice<'_>> = chunk.iter().map(|b| IoSlice::new(b)).collect();
            let mut left = &mut slices[..];
            // Empty slices in front would make a finished write look like one that got nowhere.
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                let written = match rustix::io::pwritev(self.fd(), left, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => written,
                    Err(Errno::INTR) => continue,
                    Err(errno) => return Err(errno.into()),
                };
                if self.direct && !written.is_multiple_of(OpenMode::ALIGNMENT) {
                    // The rest cannot be written directly; what cut it short is a full disk.
                    return Err(io::Error::new(
                        io::ErrorKind::StorageFull,
                        "a direct write was cut short",
                    ));
                }
                offset += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
        }
        Ok(())
    }
}

impl Drop for OpenFile {
    /// Closes on a disk thread: the last descriptor of a removed file frees its blocks, which takes
    /// milliseconds for a large one.
    fn drop(&mut self) {
        let fd = self.fd.take();
        self.closer.push(Box::new(move || drop(fd)));
    }
}

impl TokioFile {
    pub(super) fn new(shared: Arc<Shared>, file: OpenFile) -> TokioFile {
        TokioFile {
            shared,
            file: Arc::new(file),
        }
    }

    #[cfg(test)]
    pub(super) fn open_file(&self) -> &OpenFile {
        &self.file
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OpenFile) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send + 'static {
        let file = Arc::clone(&self.file);
        self.shared.pool.run(move || work(&file))
    }
}

fn is_aligned(n: u64) -> bool {
    n.is_multiple_of(OpenMode::ALIGNMENT as u64)
}

fn unaligned() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "a direct read or write must be aligned to {} bytes",
            OpenMode::ALIGNMENT
        ),
    )
}

impl File for TokioFile {
    fn read_at(
        &self,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Bytes>> + Send + 'static {
        let this = self.clone();
        async move {
            let (shared, file) = (&this.shared, &this.file);
            if file.direct && !(is_aligned(offset) && is_aligned(len as u64)) {
                return Err(unaligned());
            }
            if len == 0 {
                return Ok(Bytes::new());
            }
            if i64::try_from(offset).is_err() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mut len = len;
            if len > UNCHECKED_READ_MAX {
                let rest = file.len()?.saturating_sub(offset);
                len = len.min(usize::try_from(rest).unwrap_or(usize::MAX));
                if len == 0 {
                    return Ok(Bytes::new());
                }
                if file.direct {
                    len = len.next_multiple_of(OpenMode::ALIGNMENT);
                }
            }
            let mut block = shared.buffers.take(len, file.direct);
            let mut filled = 0;
            if !file.direct
                && len <= shared.options.inline_read_bytes_max
                && file.nowait.load(Ordering::Relaxed)
            {
                match file.read_cached(offset, &mut block)? {
                    Ok(filled) => return Ok(block.freeze(filled)),
                    Err(so_far) => filled = so_far,
                }
            }
            this.run(move |file| {
                let filled = file.read_blocking(offset, &mut block, filled)?;
                Ok(block.freeze(filled))
            })
            .await
        }
    }

    fn write_at(
        &self,
        offset: u64,
        buffers: Vec<Bytes>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let this = self.clone();
        async move {
            let file = &this.file;
            file.may_change()?;
            let mut len = 0u64;
            for buffer in &buffers {
                len = len.saturating_add(buffer.len() as u64);
                let address = buffer.as_ptr() as usize as u64;
                if file.direct && !(is_aligned(buffer.len() as u64) && is_aligned(address)) {
                    return Err(unaligned());
                }
            }
            if file.direct && !is_aligned(offset) {
                return Err(unaligned());
            }
            if offset
                .checked_add(len)
                .is_none_or(|end| i64::try_from(end).is_err())
            {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if !file.direct && len <= this.shared.options.inline_write_bytes_max as u64 {
                return file.write_blocking(offset, &buffers);
            }
            this.run(move |file| file.write_blocking(offset, &buffers))
                .await
        }
    }

    fn sync(&self, kind: SyncKind) -> impl Future<Output = io::Result<()>> + Send + 'static {
        sync::sync(Arc::clone(&self.file), kind)
    }

    fn allocate(
        &self,
        offset: u64,
        len: u64,
        allocation: Allocation,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.run(move |file| {
            file.may_change()?;
            if len == 0 {
                return Ok(());
            }
            let flags = match allocation {
                Allocation::Extend => FallocateFlags::empty(),
                Allocation::KeepLength => FallocateFlags::KEEP_SIZE,
            };
            loop {
                return match rustix::fs::fallocate(file.fd(), flags, offset, len) {
                    Err(Errno::INTR) => continue,
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
                    done => Ok(done?),
                };
            }
        })
    }

    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.run(move |file| {
            file.may_change()?;
            loop {
                return match rustix::fs::ftruncate(file.fd(), len) {
                    Err(Errno::INTR) => continue,
                    done => Ok(done?),
                };
            }
        })
    }

    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        // The inode is in memory as long as the file is open.
        std::future::ready(self.file.len())
    }
}
