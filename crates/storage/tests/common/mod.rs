//! A disk in memory that records every operation, so that a test can rebuild what a loss of power would
//! have left at any point, and a few helpers to make batches and drive a log.

#![allow(dead_code, reason = "each test uses its own part")]

pub mod enumerator;
pub mod ten;

use std::collections::BTreeMap;
use std::future::{Future, Ready, ready};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use env::{Allocation, Disk, DiskEntry, EntryKind, File, OpenMode, OpenOptions, SyncKind, Wall};
use futures_util::FutureExt;
use ottla_storage as storage;
use records::{BatchBuilder, BatchHeader, Codec};
use storage::{JobOutcome, Log, LogConfig, LogIdentity};
use types::{LeaderEpoch, NextOffset, Offset, PartitionIndex, TimestampMs, Uuid};

pub const SECTOR: usize = 512;

/// One change, in the order in which they completed.
#[derive(Clone, Debug)]
pub enum Op {
    Write {
        ino: usize,
        offset: u64,
        data: Vec<u8>,
    },
    SetLen {
        ino: usize,
        len: u64,
    },
    Sync {
        ino: usize,
    },
    Create {
        path: PathBuf,
        ino: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    SyncDir {
        dir: PathBuf,
    },
}

#[derive(Default)]
struct State {
    files: Vec<Vec<u8>>,
    entries: BTreeMap<PathBuf, usize>,
    dirs: Vec<PathBuf>,
    ops: Vec<Op>,
    calls: u64,
    /// Calls to fail: from this one on, how many, how, and which.
    fail: Option<Fail>,
    capacity: Option<usize>,
    /// What each file held when it was last synced.
    synced: BTreeMap<usize, Vec<u8>>,
    drop_on_failed_sync: bool,
    /// Bytes of a file that cannot be read.
    unreadable: Option<(usize, Range<usize>)>,
}

/// A fault to inject.
#[derive(Clone, Copy, Debug)]
pub struct Fail {
    /// The number of the first call that fails.
    pub from: u64,
    /// How many in a row.
    pub count: u64,
    pub kind: io::ErrorKind,
    /// Of a write that fails, this much is done all the same.
    pub partial: bool,
    pub only: Option<&'static str>,
}

/// The disk.
#[derive(Clone, Default)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

/// A file of it.
#[derive(Clone)]
pub struct MemFile {
    disk: MemDisk,
    ino: usize,
    mode: OpenMode,
    write: bool,
}

impl MemDisk {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap())
    }

    fn call<T>(
        &self,
        what: &'static str,
        f: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Ready<io::Result<T>> {
        ready(self.with(|state| {
            state.check(what)?;
            f(state)
        }))
    }

    /// Everything that was done so far.
    pub fn ops(&self) -> Vec<Op> {
        self.with(|state| state.ops.clone())
    }

    pub fn op_count(&self) -> usize {
        self.with(|state| state.ops.len())
    }

    pub fn calls(&self) -> u64 {
        self.with(|state| state.calls)
    }

    pub fn fail(&self, fail: Option<Fail>) {
        self.with(|state| state.fail = fail);
    }

    /// The most bytes that all files may have.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.with(|state| state.capacity = bytes);
    }

    /// Leaves so many bytes free.
    pub fn set_free(&self, bytes: usize) {
        self.with(|state| state.capacity = Some(state.used() + bytes));
    }

    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|state| state.entries.get(path).map(|ino| state.files[*ino].clone()))
    }

    /// Whether a failed sync loses what was written since the last one.
    pub fn drop_on_failed_sync(&self, drop: bool) {
        self.with(|state| state.drop_on_failed_sync = drop);
    }

    /// Reads that touch these bytes of the file fail from now on; without bytes none do.
    pub fn unreadable(&self, path: &Path, bytes: Option<Range<usize>>) {
        self.with(|state| {
            let ino = state.entries[path];
            state.unreadable = bytes.map(|bytes| (ino, bytes));
        });
    }

    /// Changes a file behind everyone's back.
    pub fn damage(&self, path: &Path, f: impl FnOnce(&mut Vec<u8>)) {
        self.with(|state| {
            let ino = state.entries[path];
            f(&mut state.files[ino]);
        });
    }

    pub fn remove(&self, path: &Path) {
        self.with(|state| state.entries.remove(path));
    }

    pub fn names(&self, dir: &Path) -> Vec<String> {
        self.with(|state| {
            let files = state
                .entries
                .keys()
                .filter(|path| path.parent() == Some(dir));
            files
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        })
    }

    /// A copy as it is now: what a killed process leaves.
    pub fn copy(&self) -> MemDisk {
        let copy = self.with(|state| State {
            files: state.files.clone(),
            entries: state.entries.clone(),
            dirs: state.dirs.clone(),
            ..State::default()
        });
        MemDisk {
            state: Arc::new(Mutex::new(copy)),
        }
    }
}

impl State {
    fn check(&mut self, what: &'static str) -> io::Result<()> {
        self.calls += 1;
        match self.fail {
            Some(fail)
                if (fail.from..fail.from + fail.count).contains(&self.calls)
                    && fail.only.is_none_or(|only| only == what) =>
            {
                Err(fail.kind.into())
            }
            _ => Ok(()),
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.dirs.iter().any(|dir| dir == path)
    }

    /// Bytes of the files that have a name.
    fn used(&self) -> usize {
        self.entries
            .values()
            .map(|ino| self.files[*ino].len())
            .sum()
    }

    fn room(&self, ino: usize, len: usize) -> io::Result<()> {
        let used = self.used();
        let more = len.saturating_sub(self.files[ino].len());
        match self.capacity {
            Some(capacity) if more > 0 && used + more > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn apply(files: &mut [Vec<u8>], op: &Op) {
        match op {
            Op::Write { data, .. } if data.is_empty() => {}
            Op::Write { ino, offset, data } => {
                let (file, at) = (&mut files[*ino], *offset as usize);
                if file.len() < at + data.len() {
                    set_len(file, at + data.len());
                }
                file[at..at + data.len()].copy_from_slice(data);
            }
            Op::SetLen { ino, len } => set_len(&mut files[*ino], *len as usize),
            _ => {}
        }
    }

    fn record(&mut self, op: Op) {
        Self::apply(&mut self.files, &op);
        self.ops.push(op);
    }
}

/// `Vec::resize` with zeros, which is slow in a debug build.
fn set_len(file: &mut Vec<u8>, len: usize) {
    if let Some(more) = len.checked_sub(file.len()) {
        file.extend_from_slice(&vec![0; more]);
    }
    file.truncate(len);
}

impl Disk for MemDisk {
    type File = MemFile;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<MemFile>> + Send + 'static {
        let disk = self.clone();
        let known = self.with(|state| state.entries.contains_key(path));
        let what = if options.create && !known {
            "create"
        } else {
            "open"
        };
        self.call(what, |state| {
            let ino = match state.entries.get(path) {
                Some(_) if options.exclusive => return Err(io::ErrorKind::AlreadyExists.into()),
                Some(ino) => *ino,
                None if options.create => {
                    let parent = path.parent().unwrap();
                    if !state.is_dir(parent) || state.is_dir(path) {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    let ino = state.files.len();
                    state.files.push(Vec::new());
                    state.entries.insert(path.to_path_buf(), ino);
                    state.record(Op::Create {
                        path: path.to_path_buf(),
                        ino,
                    });
                    ino
                }
                None => return Err(io::ErrorKind::NotFound.into()),
            };
            Ok(MemFile {
                disk,
                ino,
                mode: options.mode,
                write: options.write,
            })
        })
    }

    fn rename(
        &self,
        from: &Path,
        to: &Path,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.call("rename", |state| {
            if let Some(ino) = state.entries.remove(from) {
                state.entries.insert(to.to_path_buf(), ino);
            } else if state.dirs.iter().any(|dir| dir == from) {
                let moved = |path: &PathBuf| to.join(path.strip_prefix(from).unwrap());
                for dir in &mut state.dirs {
                    if dir.starts_with(from) {
                        *dir = if dir == from {
                            to.to_path_buf()
                        } else {
                            moved(dir)
                        };
                    }
                }
                let old = std::mem::take(&mut state.entries);
                let rename = |(path, ino): (PathBuf, usize)| {
                    (
                        if path.starts_with(from) {
                            moved(&path)
                        } else {
                            path
                        },
                        ino,
                    )
                };
                state.entries = old.into_iter().map(rename).collect();
            } else {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.record(Op::Rename {
                from: from.to_path_buf(),
                to: to.to_path_buf(),
            });
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.call("remove", |state| {
            state.entries.remove(path).ok_or(io::ErrorKind::NotFound)?;
            state.record(Op::Remove {
                path: path.to_path_buf(),
            });
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.call("remove", |state| {
            if state.entries.contains_key(path) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            if !state.is_dir(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let mut all = state.entries.keys().chain(&state.dirs);
            if all.any(|entry| entry.parent() == Some(path)) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            state.dirs.retain(|dir| dir != path);
            Ok(())
        })
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.call("mkdir", |state| {
            for dir in path.ancestors() {
                if state.entries.contains_key(dir) {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
            }
            for dir in path.ancestors() {
                if !state.dirs.iter().any(|known| known == dir) {
                    state.dirs.push(dir.to_path_buf());
                }
            }
            Ok(())
        })
    }

    fn list(
        &self,
        path: &Path,
    ) -> impl Future<Output = io::Result<Vec<DiskEntry>>> + Send + 'static {
        self.call("list", |state| {
            if !state.dirs.iter().any(|dir| dir == path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            let files = state
                .entries
                .keys()
                .filter(|entry| entry.parent() == Some(path));
            let dirs = state.dirs.iter().filter(|dir| dir.parent() == Some(path));
            let mut all: Vec<DiskEntry> = files
                .map(|entry| DiskEntry {
                    name: name(entry),
                    kind: EntryKind::File,
                })
                .chain(dirs.map(|dir| DiskEntry {
                    name: name(dir),
                    kind: EntryKind::Directory,
                }))
                .collect();
            all.sort();
            Ok(all)
        })
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.call("sync_dir", |state| {
            if !state.is_dir(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.record(Op::SyncDir {
                dir: path.to_path_buf(),
            });
            Ok(())
        })
    }

    fn free_bytes(&self, _path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        self.call("free", |state| {
            let used = state.used();
            Ok(state
                .capacity
                .map_or(u64::MAX, |capacity| capacity.saturating_sub(used) as u64))
        })
    }

    fn lock_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.call("lock", |state| {
            if !state.is_dir(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let path = path.join(".lock");
            if !state.entries.contains_key(&path) {
                let ino = state.files.len();
                state.files.push(Vec::new());
                state.entries.insert(path.clone(), ino);
                state.record(Op::Create { path, ino });
            }
            Ok(())
        })
    }
}

impl MemFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.write {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn check_aligned(&self, offset: u64, len: usize) -> io::Result<()> {
        let unaligned = !(offset as usize | len).is_multiple_of(OpenMode::ALIGNMENT);
        if self.mode == OpenMode::Direct && unaligned {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(())
    }
}

impl File for MemFile {
    fn read_at(
        &self,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Bytes>> + Send + 'static {
        self.disk.call("read", |state| {
            self.check_aligned(offset, len)?;
            let file = &state.files[self.ino];
            let from = (offset as usize).min(file.len());
            let to = (from + len).min(file.len());
            let hit = |(ino, bytes): &(usize, Range<usize>)| {
                *ino == self.ino && from < bytes.end && bytes.start < to
            };
            if state.unreadable.as_ref().is_some_and(hit) {
                return Err(io::Error::other("a bad block"));
            }
            Ok(Bytes::copy_from_slice(&file[from..to]))
        })
    }

    fn write_at(
        &self,
        offset: u64,
        buffers: Vec<Bytes>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let mut at = offset;
        let aligned = buffers.iter().try_for_each(|buffer| {
            let address = buffer.as_ptr() as usize;
            let checked = self.check_aligned(at, buffer.len());
            at += buffer.len() as u64;
            checked?;
            self.check_aligned(address as u64, 0)
        });
        let data = buffers.concat();
        let writable = self.check_writable();
        let result = self.disk.with(|state| {
            writable?;
            aligned?;
            let partial = |state: &mut State, error| {
                if state.fail.is_some_and(|fail| fail.partial) {
                    // Whole sectors, as a disk writes them.
                    let data = data[..data.len() / 2 / SECTOR * SECTOR].to_vec();
                    state.record(Op::Write {
                        ino: self.ino,
                        offset,
                        data,
                    });
                }
                Err(error)
            };
            if let Err(error) = state.check("write") {
                return partial(state, error);
            }
            if let Err(error) = state.room(self.ino, offset as usize + data.len()) {
                return partial(state, error);
            }
            state.record(Op::Write {
                ino: self.ino,
                offset,
                data: data.clone(),
            });
            Ok(())
        });
        ready(result)
    }

    fn sync(&self, _kind: SyncKind) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let result = self.disk.with(|state| {
            if let Err(error) = state.check("sync") {
                if state.drop_on_failed_sync {
                    let old = state.synced.get(&self.ino).cloned();
                    state.files[self.ino] = old.unwrap_or_default();
                }
                return Err(error);
            }
            let now = state.files[self.ino].clone();
            state.synced.insert(self.ino, now);
            state.record(Op::Sync { ino: self.ino });
            Ok(())
        });
        ready(result)
    }

    fn allocate(
        &self,
        offset: u64,
        len: u64,
        allocation: Allocation,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let writable = self.check_writable();
        self.disk.call("allocate", |state| {
            writable?;
            state.room(self.ino, (offset + len) as usize)?;
            if allocation == Allocation::Extend
                && state.files[self.ino].len() < (offset + len) as usize
            {
                state.record(Op::SetLen {
                    ino: self.ino,
                    len: offset + len,
                });
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let writable = self.check_writable();
        self.disk.call("set_len", |state| {
            writable?;
            state.room(self.ino, len as usize)?;
            state.record(Op::SetLen { ino: self.ino, len });
            Ok(())
        })
    }

    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        self.disk
            .call("len", |state| Ok(state.files[self.ino].len() as u64))
    }
}

/// The parts of a history that a loss of power after its first `ops` operations may keep or drop.
pub struct Crash<'a> {
    ops: &'a [Op],
    base: MemDisk,
    /// Each part: the operation, and for a write the sector.
    pub atoms: Vec<(usize, Option<u64>)>,
}

impl<'a> Crash<'a> {
    /// `base` is the disk, durable, before the first operation.
    pub fn new(base: &MemDisk, ops: &'a [Op]) -> Crash<'a> {
        let mut atoms = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            let later = &ops[i..];
            let synced = |ino: usize| {
                later
                    .iter()
                    .any(|op| matches!(op, Op::Sync { ino: synced } if *synced == ino))
            };
            let dir_synced = |path: &Path| {
                let dir = path.parent().unwrap();
                later
                    .iter()
                    .any(|op| matches!(op, Op::SyncDir { dir: synced } if synced == dir))
            };
            match op {
                Op::Write { ino, offset, data } if !synced(*ino) => {
                    let first = offset / SECTOR as u64;
                    let last = (offset + data.len() as u64).div_ceil(SECTOR as u64);
                    atoms.extend((first..last).map(|sector| (i, Some(sector))));
                }
                Op::SetLen { ino, .. } if !synced(*ino) => atoms.push((i, None)),
                Op::Create { path, .. } | Op::Rename { to: path, .. } | Op::Remove { path }
                    if !dir_synced(path) =>
                {
                    atoms.push((i, None));
                }
                _ => {}
            }
        }
        Crash {
            ops,
            base: base.copy(),
            atoms,
        }
    }

    /// Every disk that this crash can leave, once: subsets of the parts, one for each different outcome. (A
    /// sector of zeros written over zeros is the same kept or dropped, and so is a file without a name.)
    /// What reaches one file is independent of what reaches another and of the names, so outcomes are
    /// counted file by file. `None` if a file has more than `parts_max` parts or there are more than
    /// `outcomes_max` outcomes in all.
    pub fn outcomes(&self, parts_max: usize, outcomes_max: usize) -> Option<Vec<Vec<bool>>> {
        let mut groups: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (number, (op, _)) in self.atoms.iter().enumerate() {
            let file = match &self.ops[*op] {
                Op::Write { ino, .. } | Op::SetLen { ino, .. } => Some(*ino),
                _ => None,
            };
            groups.entry(file).or_default().push(number);
        }
        let mut all = vec![vec![false; self.atoms.len()]];
        for (file, numbers) in groups {
            if numbers.len() > parts_max {
                return None;
            }
            let mut different: BTreeMap<_, u64> = BTreeMap::new();
            for mask in 0..1u64 << numbers.len() {
                let kept = |atom: usize| {
                    let at = numbers.binary_search(&atom);
                    at.is_ok_and(|at| mask >> at & 1 == 1)
                };
                let disk = self.rebuild_only(file, kept);
                let outcome = disk.with(|state| match file {
                    Some(ino) => (std::mem::take(&mut state.files[ino]), BTreeMap::new()),
                    None => (Vec::new(), std::mem::take(&mut state.entries)),
                });
                different.entry(outcome).or_insert(mask);
            }
            if all.len() * different.len() > outcomes_max {
                return None;
            }
            let mut product = Vec::with_capacity(all.len() * different.len());
            for kept in &all {
                for mask in different.values() {
                    let mut kept = kept.clone();
                    for (at, atom) in numbers.iter().enumerate() {
                        kept[*atom] = mask >> at & 1 == 1;
                    }
                    product.push(kept);
                }
            }
            all = product;
        }
        Some(all)
    }

    /// As [`Crash::rebuild`], but of one file, or of the names alone: nothing else of it means anything.
    fn rebuild_only(&self, file: Option<usize>, kept: impl Fn(usize) -> bool) -> MemDisk {
        let ops = self.ops.iter().map(|op| match op {
            Op::Write { ino, .. } | Op::SetLen { ino, .. } => Some(*ino) == file,
            Op::Create { .. } => true,
            _ => file.is_none(),
        });
        let wanted: Vec<bool> = ops.collect();
        self.rebuild_from(kept, |_| false, |op| wanted[op])
    }

    /// The disk if exactly the parts for which `kept` says so had reached it.
    pub fn rebuild(&self, kept: impl Fn(usize) -> bool) -> MemDisk {
        self.rebuild_torn(kept, |_| false)
    }

    /// The same; sectors that did not reach it hold garbage where `garbage` says so.
    pub fn rebuild_torn(
        &self,
        kept: impl Fn(usize) -> bool,
        garbage: impl Fn(usize) -> bool,
    ) -> MemDisk {
        self.rebuild_from(kept, garbage, |_| true)
    }

    fn rebuild_from(
        &self,
        kept: impl Fn(usize) -> bool,
        garbage: impl Fn(usize) -> bool,
        wanted: impl Fn(usize) -> bool,
    ) -> MemDisk {
        let mut number: BTreeMap<(usize, Option<u64>), usize> = BTreeMap::new();
        for (i, atom) in self.atoms.iter().enumerate() {
            number.insert(*atom, i);
        }
        let disk = self.base.copy();
        disk.with(|state| {
            let durable =
                |i: usize, sector: Option<u64>| number.get(&(i, sector)).is_none_or(|n| kept(*n));
            for (i, op) in self.ops.iter().enumerate().filter(|(i, _)| wanted(*i)) {
                match op {
                    Op::Write { ino, offset, data } => {
                        let mut at = 0;
                        while at < data.len() {
                            let position = *offset + at as u64;
                            let sector = position / SECTOR as u64;
                            let len = ((sector + 1) * SECTOR as u64 - position) as usize;
                            let len = len.min(data.len() - at);
                            let atom = number.get(&(i, Some(sector)));
                            let data = match atom {
                                Some(n) if !kept(*n) => {
                                    // The whole sector, as far as the write or the file reaches.
                                    garbage(*n)
                                        .then(|| (sector * SECTOR as u64, vec![0xa5; SECTOR]))
                                }
                                _ => Some((position, data[at..at + len].to_vec())),
                            };
                            if let Some((offset, data)) = data {
                                let part = Op::Write {
                                    ino: *ino,
                                    offset,
                                    data,
                                };
                                State::apply(&mut state.files, &part);
                            }
                            at += len;
                        }
                    }
                    Op::SetLen { .. } if durable(i, None) => State::apply(&mut state.files, op),
                    Op::Create { path, ino } => {
                        while state.files.len() <= *ino {
                            state.files.push(Vec::new());
                        }
                        if durable(i, None) {
                            state.entries.insert(path.clone(), *ino);
                        }
                    }
                    Op::Rename { from, to } if durable(i, None) => {
                        // The new name may be on the disk though the temporary one never was.
                        let ino = state
                            .entries
                            .remove(from)
                            .or_else(|| created(self.ops, i, from));
                        if let Some(ino) = ino {
                            state.entries.insert(to.clone(), ino);
                        }
                    }
                    Op::Remove { path } if durable(i, None) => {
                        state.entries.remove(path);
                    }
                    _ => {}
                }
            }
        });
        disk
    }
}

fn created(ops: &[Op], before: usize, name: &Path) -> Option<usize> {
    ops[..before].iter().rev().find_map(|op| match op {
        Op::Create { path, ino } if path == name => Some(*ino),
        _ => None,
    })
}

/// Runs what never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("the disk in memory answers at once")
}

pub fn identity() -> LogIdentity {
    LogIdentity {
        cluster_id: Some(Uuid([1; 16])),
        topic_id: Uuid([2; 16]),
        topic: "orders".to_owned(),
        partition: PartitionIndex(0),
    }
}

pub fn dir() -> PathBuf {
    PathBuf::from("/data/orders-0")
}

pub fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 8192,
        index_interval_bytes: 512,
        mode: OpenMode::Buffered,
        direct_bytes_min: 0,
        tail_cache_bytes: 0,
        ..LogConfig::default()
    }
}

/// A batch of `count` records of about `size` bytes each, all different.
pub fn batch(seed: u64, count: usize, size: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    for i in 0..count {
        let mut x = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(i as u64 + 1);
        let value: Vec<u8> = (0..size)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x as u8
            })
            .collect();
        builder.append(TimestampMs(timestamp + i as i64), None, Some(&value), &[]);
    }
    builder.build()
}

/// Appends at the end; returns the batch as it is stored.
pub fn append(log: &mut Log<MemDisk>, bytes: &Bytes, epoch: i32) -> (Offset, NextOffset, Vec<u8>) {
    let header = BatchHeader::parse(bytes).unwrap();
    let base = log.log_end_offset().position();
    let done = log
        .append(bytes, &header, base, LeaderEpoch(epoch), Wall(1_000))
        .unwrap();
    (base, done.next_offset, stored(bytes, base, epoch))
}

/// A batch as the log stores it.
pub fn stored(bytes: &Bytes, base: Offset, epoch: i32) -> Vec<u8> {
    let mut stored = bytes.to_vec();
    records::layout::set_base_offset(&mut stored, base);
    records::layout::set_leader_epoch(&mut stored, LeaderEpoch(epoch));
    stored
}

/// Runs jobs until nothing is left to do; the last one's outcome.
pub fn flush(log: &mut Log<MemDisk>, sync: bool) -> Option<JobOutcome> {
    let mut last = None;
    let mut jobs = 0;
    while let Some(job) = log.start_job(sync) {
        jobs += 1;
        assert!(jobs < 10_000, "the log never comes to rest");
        let done = now(job);
        let outcome = log.finish_job(done);
        let failed = outcome.error.is_some();
        last = Some(outcome);
        if failed {
            break;
        }
    }
    last
}

/// All batches from `from` to the end, read in pieces of at most `max_bytes`.
pub fn read_all(
    log: &Log<MemDisk>,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<u8>, storage::ReadError> {
    let (mut at, mut out) = (from, Vec::new());
    let end = log.log_end_offset();
    while at.is_before(end) {
        let result = now(log.read(at, end, max_bytes, true)?.run())?;
        let bytes = result.chunks.concat();
        assert!(
            !bytes.is_empty(),
            "a read before the end gives at least one batch"
        );
        let last = records::Batches::new(Bytes::from(bytes.clone()))
            .last()
            .unwrap()
            .unwrap();
        at = last.header().next_offset().position();
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

pub fn create(disk: &MemDisk, config: &LogConfig) -> Log<MemDisk> {
    now(Log::create(
        disk.clone(),
        dir(),
        identity(),
        config.clone(),
        Wall(0),
    ))
    .unwrap()
}

pub fn open(
    disk: &MemDisk,
    config: &LogConfig,
) -> Result<(Log<MemDisk>, storage::Recovered), storage::StorageError> {
    now(Log::open(
        disk.clone(),
        dir(),
        identity(),
        config.clone(),
        Wall(1_000),
    ))
}
