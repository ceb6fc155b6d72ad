//! Files, and what can be relied on when the power fails.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// How reads and writes reach the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// Through the operating system's page cache.
    Buffered,
    /// Past it. Offsets and lengths of reads and writes, and the addresses of the buffers written, must
    /// be multiples of [`OpenMode::ALIGNMENT`]; anything else fails with `InvalidInput`.
    Direct,
}

impl OpenMode {
    /// The alignment that `Direct` asks for, in bytes.
    pub const ALIGNMENT: usize = 4096;
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenOptions {
    /// Through the page cache or past it. A file system that refuses `Direct` answers `Unsupported`.
    pub mode: OpenMode,
    /// Whether it may be written.
    pub write: bool,
    /// Whether to make it if it is missing. Never truncates.
    pub create: bool,
    /// With `create`: whether it is an error (`AlreadyExists`) if the file is there.
    pub exclusive: bool,
}

impl OpenOptions {
    /// An existing file, to be read.
    pub const READ: OpenOptions = OpenOptions {
        mode: OpenMode::Buffered,
        write: false,
        create: false,
        exclusive: false,
    };
    /// A file to be read and written, made if it is missing.
    pub const CREATE: OpenOptions = OpenOptions {
        mode: OpenMode::Buffered,
        write: true,
        create: true,
        exclusive: false,
    };
    /// A new file to be read and written.
    pub const CREATE_NEW: OpenOptions = OpenOptions {
        mode: OpenMode::Buffered,
        write: true,
        create: true,
        exclusive: true,
    };

    /// The same, in the given mode.
    #[must_use]
    pub const fn mode(mut self, mode: OpenMode) -> OpenOptions {
        self.mode = mode;
        self
    }
}

/// What a sync must make durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncKind {
    /// The bytes, and the length if it changed (`fdatasync`).
    Data,
    /// The bytes and all that is known of the file (`fsync`).
    All,
}

/// What [`File::allocate`] does with the file's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allocation {
    /// The length grows to the end of the range if it is shorter.
    Extend,
    /// The length stays.
    KeepLength,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else; never touched.
    Other,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskEntry {
    /// The name within the directory. Names that are not UTF-8 are left out of listings.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
}

/// A file system.
///
/// # Contract
/// * A created, renamed or removed entry is visible at once and durable only after [`Disk::sync_dir`]
///   of its parent directory.
/// * `rename` replaces its target in one step as far as other calls see it. After a power loss either the
///   old or the new state of the directory is found, if it was not synced.
/// * Paths are relative to nothing: the caller gives whole paths.
/// * Calls run in any order unless the caller awaits one before it makes the next.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system says: `NotFound`, `AlreadyExists`, `StorageFull`, `Unsupported` for a mode
    /// that the file system does not have, ...
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<Self::File>> + Send + 'static;

    /// Renames a file or directory, replacing a file of that name.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn rename(
        &self,
        from: &Path,
        to: &Path,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Removes a file. Those who have it open may go on reading.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn remove_file(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound`, `DirectoryNotEmpty`, or as the operating system says.
    fn remove_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Makes a directory and those above it that are missing.
    ///
    /// # Errors
    /// As the operating system says.
    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn list(
        &self,
        path: &Path,
    ) -> impl Future<Output = io::Result<Vec<DiskEntry>>> + Send + 'static;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// As for [`File::sync`]: after a failure nothing that was claimed of this directory holds.
    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Bytes that may still be written on the file system of `path`.
    ///
    /// # Errors
    /// As the operating system says.
    fn free_bytes(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static;

    /// Size of the file system of `path`, in bytes.
    ///
    /// # Errors
    /// As the operating system says; `Unsupported` where nobody knows.
    fn total_bytes(&self, _path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        async { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// Takes the lock of a directory (a file `.lock` in it), so that two processes never own the same
    /// data. Held until the process ends or [`Disk`] is dropped with all its clones.
    ///
    /// # Errors
    /// `WouldBlock` if another process has it.
    fn lock_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Joins a directory and a name. For callers that keep paths as values.
    #[must_use]
    fn join(dir: &Path, name: &str) -> PathBuf {
        dir.join(name)
    }
}

/// An open file. A clone is the same open file.
///
/// # Contract
/// * A completed `write_at` is visible to every later `read_at`, and durable nowhere.
/// * Unsynced writes may reach the medium in any order, in part, or not at all, sector by sector
///   (512 bytes; a sector is old or new, or garbage if the medium is broken).
/// * `sync` that returns `Ok` makes durable every write that had completed before it was called, and the
///   file's length. It promises nothing about writes that complete while it runs.
/// * A write whose future is dropped may or may not have happened.
/// * After a failed `sync` this file is dead, and so is every claim made through it: the system may have
///   dropped the pages and marked them clean. It is never retried; it is closed, opened anew and checked.
/// * Bytes between the old and a new, greater length are zeros.
#[allow(
    clippy::len_without_is_empty,
    reason = "asking costs a call; nobody asks whether a file is empty"
)]
pub trait File: Clone + Send + Sync + 'static {
    /// Reads up to `len` bytes at `offset`. Fewer are returned only at the end of the file.
    ///
    /// # Errors
    /// A read error says nothing about whether data were ever written there: it is never taken for absence.
    fn read_at(
        &self,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Bytes>> + Send + 'static;

    /// Writes all of `buffers`, one after another, from `offset` on.
    ///
    /// # Errors
    /// `StorageFull`, or as the operating system says; any part may have been written.
    fn write_at(
        &self,
        offset: u64,
        buffers: Vec<Bytes>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Makes durable what has been written.
    ///
    /// # Errors
    /// See the contract: this file is dead afterwards.
    fn sync(&self, kind: SyncKind) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Reserves room, so that writes within the range do not fail for want of it.
    ///
    /// # Errors
    /// `StorageFull`; `Unsupported` where the file system cannot, which callers may ignore.
    fn allocate(
        &self,
        offset: u64,
        len: u64,
        allocation: Allocation,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// Cuts the file or lengthens it with zeros.
    ///
    /// # Errors
    /// As the operating system says.
    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send + 'static;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send + 'static;
}
