//! Calls under way.

use std::io;
use std::path::PathBuf;
use std::task::Waker;

use bytes::Bytes;
use env::DiskEntry;

use crate::disk::LockOwner;
use crate::disk::tree::Ino;
use crate::executor::TimerId;

#[derive(Clone, Debug)]
pub(crate) enum Request {
    Open {
        path: PathBuf,
        create: bool,
        exclusive: bool,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    RemoveFile {
        path: PathBuf,
    },
    RemoveDir {
        path: PathBuf,
    },
    CreateDirAll {
        path: PathBuf,
    },
    List {
        path: PathBuf,
    },
    SyncDir {
        dir: Ino,
        upto: u64,
    },
    FreeBytes,
    TotalBytes,
    LockDir {
        path: PathBuf,
        owner: LockOwner,
    },
    Read {
        ino: Ino,
        direct: bool,
        offset: u64,
        len: usize,
    },
    Write {
        ino: Ino,
        offset: u64,
        buffers: Vec<Bytes>,
    },
    Sync {
        ino: Ino,
        upto: u64,
    },
    Allocate {
        ino: Ino,
        offset: u64,
        len: u64,
        extend: bool,
    },
    SetLen {
        ino: Ino,
        len: u64,
    },
    Len {
        ino: Ino,
    },
}

/// What a call costs is drawn by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Sync,
    /// Names, lengths, room.
    Meta,
}

impl Request {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Request::Read { .. } => Kind::Read,
            Request::Write { .. } => Kind::Write,
            Request::Sync { .. } | Request::SyncDir { .. } => Kind::Sync,
            _ => Kind::Meta,
        }
    }

    /// Whether it changes anything: then it may take effect even if nobody waits for it any more.
    pub(crate) fn changes(&self) -> bool {
        !matches!(
            self,
            Request::Read { .. }
                | Request::List { .. }
                | Request::FreeBytes
                | Request::TotalBytes
                | Request::Len { .. }
                | Request::LockDir { .. }
        )
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Request::Open { .. } => "open",
            Request::Rename { .. } => "rename",
            Request::RemoveFile { .. } => "remove-file",
            Request::RemoveDir { .. } => "remove-dir",
            Request::CreateDirAll { .. } => "create-dir",
            Request::List { .. } => "list",
            Request::SyncDir { .. } => "sync-dir",
            Request::FreeBytes => "free-bytes",
            Request::TotalBytes => "total-bytes",
            Request::LockDir { .. } => "lock-dir",
            Request::Read { .. } => "read",
            Request::Write { .. } => "write",
            Request::Sync { .. } => "sync",
            Request::Allocate { .. } => "allocate",
            Request::SetLen { .. } => "set-len",
            Request::Len { .. } => "len",
        }
    }

    /// For the trace: what it is about (a file, or a digest of its path), where, and how long.
    pub(crate) fn about(&self) -> (u64, u64, u64) {
        let path = |path: &PathBuf| crate::seed::digest(path.as_os_str().as_encoded_bytes());
        match self {
            Request::Open { path: p, .. }
            | Request::RemoveFile { path: p }
            | Request::RemoveDir { path: p }
            | Request::CreateDirAll { path: p }
            | Request::List { path: p }
            | Request::LockDir { path: p, .. } => (path(p), 0, 0),
            Request::Rename { from, to } => (path(from), path(to), 0),
            Request::SyncDir { dir, upto } => (*dir, *upto, 0),
            Request::FreeBytes | Request::TotalBytes => (0, 0, 0),
            Request::Read {
                ino, offset, len, ..
            } => (*ino, *offset, *len as u64),
            Request::Write {
                ino,
                offset,
                buffers,
            } => (
                *ino,
                *offset,
                buffers.iter().map(|buffer| buffer.len() as u64).sum(),
            ),
            Request::Sync { ino, upto } => (*ino, *upto, 0),
            Request::Allocate {
                ino, offset, len, ..
            } => (*ino, *offset, *len),
            Request::SetLen { ino, len } => (*ino, 0, *len),
            Request::Len { ino } => (*ino, 0, 0),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    Opened(Ino),
    Bytes(Bytes),
    Number(u64),
    Listed(Vec<DiskEntry>),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) node: u32,
    pub(crate) timers: [Option<TimerId>; 2],
    /// Who waits; `None` if nobody does any more.
    pub(crate) waker: Option<Waker>,
    pub(crate) result: Option<io::Result<Reply>>,
}

/// The calls under way on a disk.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    slots: Vec<Option<Call>>,
    vacant: Vec<u32>,
}

impl Calls {
    pub(crate) fn insert(&mut self, call: Call) -> u32 {
        match self.vacant.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(call);
                slot
            }
            None => {
                self.slots.push(Some(call));
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 calls at a time")
            }
        }
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Call> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Call> {
        let call = self.slots.get_mut(slot as usize)?.take()?;
        self.vacant.push(slot);
        Some(call)
    }

    /// All calls, in a fixed order; none is left.
    pub(crate) fn take_all(&mut self) -> Vec<Call> {
        self.vacant.clear();
        std::mem::take(&mut self.slots)
            .into_iter()
            .flatten()
            .collect()
    }
}
