//! A disk that keeps exactly what it was made to keep.
//!
//! Per file there is what calls see and what the medium holds, with the ordered changes between the two;
//! likewise for the names in directories. A call takes effect at a moment between its first poll and its
//! completion. A sync makes durable what had completed before it was called, and no more. What becomes of
//! the rest is the business of [`crate::faults`].

pub(crate) mod calls;
pub(crate) mod file;
pub(crate) mod handle;
pub(crate) mod image;
pub(crate) mod tree;

pub use handle::{SimDisk, SimFile};

use std::collections::BTreeMap;
use std::io;

use env::EntryKind;

use crate::disk::calls::{Calls, Reply, Request};
use crate::disk::image::PAGE;
use crate::disk::tree::{Ino, Tree};
use crate::faults::failed_sync::AfterFailure;
use crate::faults::{DiskFaults, Harm, HarmKind};
use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, digest};

/// Who holds the lock of a directory: node, process, handle.
pub(crate) type LockOwner = (u32, u32, u64);

pub(crate) struct DiskState {
    pub(crate) tree: Tree,
    pub(crate) calls: Calls,
    pub(crate) faults: DiskFaults,
    pub(crate) rng: ChaCha8Rng,
    /// Room, in pages.
    pub(crate) capacity: u64,
    pub(crate) used: u64,
    locks: BTreeMap<Ino, LockOwner>,
    /// Calls that have taken effect: crash points.
    pub(crate) executed: u64,
}

/// An error of the operating system by its number.
pub(crate) fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl DiskState {
    pub(crate) fn new(profile: &DiskProfile, rng: ChaCha8Rng) -> DiskState {
        DiskState {
            tree: Tree::new(),
            calls: Calls::default(),
            faults: DiskFaults::new(profile),
            rng,
            capacity: profile.capacity_bytes / PAGE,
            used: 0,
            locks: BTreeMap::new(),
            executed: 0,
        }
    }

    /// Carries out a call at its moment. The second value is a digest for the trace.
    pub(crate) fn execute(&mut self, now: u64, request: &Request) -> (io::Result<Reply>, u64) {
        self.executed += 1;
        let done = |result: io::Result<()>| (result.map(|()| Reply::Done), 0);
        match request {
            Request::Open {
                path,
                create,
                exclusive,
            } => {
                if *create
                    && self.tree.lookup(path).is_err()
                    && let Err(error) = self.room_for_a_name(now)
                {
                    return (Err(error), 0);
                }
                let opened = self.tree.open(path, *create, *exclusive);
                if let Ok(ino) = opened
                    && let Some(inode) = self.tree.inodes.get_mut(&ino)
                {
                    inode.opens += 1;
                }
                (opened.map(Reply::Opened), 0)
            }
            Request::Rename { from, to } => {
                if let Err(error) = self.room_for_a_name(now) {
                    return (Err(error), 0);
                }
                let renamed = self.tree.rename(from, to);
                done(renamed.map(|replaced| {
                    if let Some(ino) = replaced {
                        self.release(ino);
                    }
                }))
            }
            Request::RemoveFile { path } => done(self.remove(path, EntryKind::File)),
            Request::RemoveDir { path } => done(self.remove(path, EntryKind::Directory)),
            Request::CreateDirAll { path } => {
                if self.tree.lookup(path).is_err()
                    && let Err(error) = self.room_for_a_name(now)
                {
                    return (Err(error), 0);
                }
                done(self.tree.create_dir_all(path))
            }
            Request::List { path } => {
                let listed = self.tree.list(path);
                let count = listed.as_ref().map_or(0, Vec::len) as u64;
                (listed.map(Reply::Listed), count)
            }
            Request::SyncDir { dir, upto } => {
                if self.faults.failed_sync.fails(&mut self.rng) {
                    self.faults.strikes.hit_and_tell("disk-sync-failed-names");
                    // The journal holds on to names that it could not write: a later sync may do it.
                    // (File systems that give them up turn read-only, which is another fault.)
                    return (Err(os_error(libc::EIO)), 0);
                }
                self.tree.sync_dir(*dir, *upto);
                done(Ok(()))
            }
            Request::FreeBytes => {
                let free = self.capacity.saturating_sub(self.used) * PAGE;
                (Ok(Reply::Number(free)), free)
            }
            Request::TotalBytes => (Ok(Reply::Number(self.capacity * PAGE)), self.capacity),
            Request::LockDir { path, owner } => done(self.lock(path, *owner)),
            Request::Read {
                ino,
                direct,
                offset,
                len,
            } => {
                let read = self.read(now, *ino, *direct, *offset, *len);
                let digest = read.as_ref().map_or(0, |bytes| digest(bytes));
                (read.map(Reply::Bytes), digest)
            }
            Request::Write {
                ino,
                offset,
                buffers,
            } => {
                let digest = buffers.first().map_or(0, |bytes| digest(bytes));
                let result = self.write(now, *ino, *offset, buffers);
                (result.map(|()| Reply::Done), digest)
            }
            Request::Sync { ino, upto } => done(self.sync(*ino, *upto)),
            Request::Allocate {
                ino,
                offset,
                len,
                extend,
            } => done(self.allocate(now, *ino, *offset, *len, *extend)),
            Request::SetLen { ino, len } => done(self.set_len(*ino, *len)),
            Request::Len { ino } => {
                let len = self.tree.file(*ino).map(|file| file.visible.len());
                (
                    len.map(Reply::Number).ok_or_else(|| os_error(libc::EBADF)),
                    len.unwrap_or(0),
                )
            }
        }
    }

    fn remove(&mut self, path: &std::path::Path, kind: EntryKind) -> io::Result<()> {
        let ino = self.tree.remove(path, kind)?;
        self.release(ino);
        Ok(())
    }

    /// Frees the room of a file that lost its last name or handle, if so.
    fn release(&mut self, ino: Ino) {
        if self.tree.is_gone(ino)
            && let Some(file) = self.tree.file(ino)
        {
            self.used = self.used.saturating_sub(file.pages_used());
        }
        self.tree.forget(ino);
    }

    pub(crate) fn close(&mut self, ino: Ino) {
        let Some(inode) = self.tree.inodes.get_mut(&ino) else {
            return;
        };
        if inode.opens > 0 {
            inode.opens -= 1;
            if inode.opens == 0 {
                self.release(ino);
            }
        }
    }

    fn lock(&mut self, path: &std::path::Path, owner: LockOwner) -> io::Result<()> {
        let dir = self.tree.lookup_dir(path)?;
        match self.locks.get(&dir) {
            Some(held) if *held != owner => Err(io::ErrorKind::WouldBlock.into()),
            _ => {
                self.tree.open(&path.join(".lock"), true, false)?;
                self.locks.insert(dir, owner);
                Ok(())
            }
        }
    }

    pub(crate) fn unlock(&mut self, owner: LockOwner) {
        self.locks.retain(|_, held| *held != owner);
    }

    fn read(
        &mut self,
        now: u64,
        ino: Ino,
        direct: bool,
        offset: u64,
        len: usize,
    ) -> io::Result<bytes::Bytes> {
        let Some(file) = self.tree.file_mut(ino) else {
            return Err(os_error(libc::EBADF));
        };
        let end = offset.saturating_add(len as u64);
        let read = self.faults.io_error.check_read(
            &mut self.rng,
            ino,
            offset..end,
            &mut self.faults.strikes,
        );
        if let Err(error) = read {
            self.harm(ino, offset, len as u64, HarmKind::Unreadable);
            return Err(error);
        }
        self.faults.latent_sector.check(
            ino,
            offset..end.min(file.visible.len()),
            &mut self.faults.strikes,
        )?;
        self.faults
            .failed_sync
            .evict(&mut self.rng, file, &mut self.faults.strikes);
        if direct && !file.phantom.is_empty() {
            // Past the cache: what the failed sync left there is not on the medium.
            let mut seen = file.visible.clone();
            for page in &file.phantom {
                seen.put_page(*page, file.durable.page(*page).cloned());
            }
            return Ok(seen.read(offset, len));
        }
        if let Some(old) = self.faults.stale_read.substitute(
            now,
            ino,
            &file.visible,
            offset..end,
            &mut self.faults.strikes,
        ) {
            return Ok(old.read(offset, len));
        }
        Ok(file.visible.read(offset, len))
    }

    pub(crate) fn write(
        &mut self,
        now: u64,
        ino: Ino,
        offset: u64,
        buffers: &[bytes::Bytes],
    ) -> io::Result<()> {
        let len: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        if self.tree.file(ino).is_none() {
            return Err(os_error(libc::EBADF));
        }
        self.faults.io_error.check_write(
            &mut self.rng,
            ino,
            offset..offset + len,
            &mut self.faults.strikes,
        )?;
        if let Some((ino, offset)) = self.faults.misdirected_write.redirect(
            &mut self.rng,
            &self.tree,
            &self.faults.harms,
            ino,
            offset,
            len,
        ) {
            self.faults.strikes.hit_and_tell("damage-misdirected");
            let file = self.tree.file_mut(ino).expect("chosen among the files");
            let mut at = offset;
            for buffer in buffers {
                file.write(at, buffer.clone());
                at += buffer.len() as u64;
            }
            return Ok(());
        }
        let file = self.tree.file_mut(ino).expect("looked up above");
        let stale =
            self.faults
                .stale_read
                .remember(&mut self.rng, now, ino, &file.visible, offset, len);
        if stale {
            self.harm(ino, offset, len, HarmKind::StaleRead);
        }
        let file = self.tree.file_mut(ino).expect("looked up above");
        self.faults
            .latent_sector
            .rewritten(ino, offset..offset + len);
        let mut at = offset;
        for buffer in buffers {
            let missing = file.pages_missing(at, buffer.len() as u64);
            let room = self.capacity.saturating_sub(self.used);
            let full = missing > room;
            if full {
                self.faults.strikes.hit_and_tell("disk-full");
            }
            if missing > 0
                && (full
                    || self
                        .faults
                        .no_space
                        .strikes(&mut self.rng, now, &mut self.faults.strikes))
            {
                // A full disk takes what fits.
                let fits = (room.min(missing - 1) * PAGE).min(buffer.len() as u64 - 1) as usize;
                let part = buffer.slice(..fits);
                self.used += file.pages_missing(at, part.len() as u64);
                file.write(at, part);
                return Err(os_error(libc::ENOSPC));
            }
            self.used += missing;
            file.write(at, buffer.clone());
            at += buffer.len() as u64;
        }
        Ok(())
    }

    /// Fails if there is no room for another name, or the disk is told to say so.
    fn room_for_a_name(&mut self, now: u64) -> io::Result<()> {
        let strikes = &mut self.faults.strikes;
        if self.used >= self.capacity {
            strikes.hit_and_tell("disk-full");
            return Err(os_error(libc::ENOSPC));
        }
        if self.faults.no_space.strikes(&mut self.rng, now, strikes) {
            return Err(os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn sync(&mut self, ino: Ino, upto: u64) -> io::Result<()> {
        let fails = self.faults.failed_sync.fails(&mut self.rng);
        let Some(file) = self.tree.file_mut(ino) else {
            return Err(os_error(libc::EBADF));
        };
        if fails {
            self.faults
                .failed_sync
                .strike(&mut self.rng, file, upto, &mut self.faults.strikes);
            if self.faults.failed_sync.last == Some(AfterFailure::Dropped) {
                self.recount();
            }
            return Err(os_error(libc::EIO));
        }
        file.sync(upto);
        Ok(())
    }

    fn allocate(
        &mut self,
        now: u64,
        ino: Ino,
        offset: u64,
        len: u64,
        extend: bool,
    ) -> io::Result<()> {
        let Some(file) = self.tree.file_mut(ino) else {
            return Err(os_error(libc::EBADF));
        };
        let end = offset
            .checked_add(len)
            .ok_or_else(|| os_error(libc::EFBIG))?;
        let missing = file.pages_missing(offset, len);
        let full = missing > self.capacity.saturating_sub(self.used);
        if full {
            self.faults.strikes.hit_and_tell("disk-full");
        }
        if full
            || (missing > 0
                && self
                    .faults
                    .no_space
                    .strikes(&mut self.rng, now, &mut self.faults.strikes))
        {
            return Err(os_error(libc::ENOSPC));
        }
        file.reserve(offset, len);
        self.used += missing;
        if extend && end > file.visible.len() {
            file.set_len(end);
        }
        Ok(())
    }

    fn set_len(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        let Some(file) = self.tree.file_mut(ino) else {
            return Err(os_error(libc::EBADF));
        };
        let before = file.pages_used();
        file.set_len(len);
        let after = file.pages_used();
        self.used = self.used.saturating_sub(before.saturating_sub(after));
        Ok(())
    }

    /// Bytes of a file are damaged, or were withheld.
    pub(crate) fn harm(&self, ino: Ino, offset: u64, len: u64, kind: HarmKind) {
        let path = self.tree.path_of(ino).unwrap_or_default();
        self.faults.harms.push(Harm {
            path,
            offset,
            len,
            kind,
        });
    }

    /// Counts the room in use from scratch.
    pub(crate) fn recount(&mut self) {
        let tree = &self.tree;
        self.used = tree
            .files()
            .filter(|(ino, _)| !tree.is_gone(*ino))
            .map(|(_, file)| file.pages_used())
            .sum();
    }

    /// The process that used the disk is dead: its handles and locks are gone.
    pub(crate) fn process_died(&mut self) {
        self.locks.clear();
        for ino in self.tree.close_all() {
            self.tree.forget(ino);
        }
        self.recount();
    }
}
