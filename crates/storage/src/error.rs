//! What can go wrong with a log, one type per operation.

use std::io;
use std::path::{Path, PathBuf};

use types::{LeaderEpoch, NextOffset, Offset, Uuid};

/// Why a log could not be made, opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk refused. The log is not open; the caller may try again.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The directory belongs to another log. Nothing was touched.
    #[error("{dir}: holds topic id {found}, expected {expected}", dir = dir.display())]
    Identity {
        /// The directory.
        dir: PathBuf,
        /// The topic id found.
        found: Uuid,
        /// The topic id expected.
        expected: Uuid,
    },
    /// A file that is never damaged by a crash fails its checks. Nothing was touched.
    #[error("{path}: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory belongs to another node or cluster, or to no one.
    #[error("{dir}: {reason}", dir = dir.display())]
    ForeignDisk {
        /// The log directory.
        dir: PathBuf,
        /// Whose it is.
        reason: String,
    },
}

impl StorageError {
    /// Whether there was no room on the disk: trying again later helps.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, StorageError::Io { source, .. } if crate::job::is_full(source))
    }

    /// Whether the process had no descriptors or no memory left: trying again later helps.
    #[must_use]
    pub fn is_starved(&self) -> bool {
        matches!(self, StorageError::Io { source, .. } if crate::job::is_starved(source))
    }

    /// For `map_err`: an error of the disk at `path`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> StorageError + use<> {
        let path = path.to_path_buf();
        move |source| StorageError::Io { path, source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> StorageError {
        StorageError::Damaged {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }
}

/// Why an append was refused. The log is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The batch is larger than a batch or a segment may be.
    #[error("a batch of {size} bytes is larger than {max}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// What is allowed.
        max: usize,
    },
    /// The log had an error of its disk and makes no claim until it has been opened anew.
    #[error("the log is offline")]
    Offline,
    /// The disk has no room. Appends are accepted again as soon as a job has found some.
    #[error("no room on the disk")]
    Full,
    /// Too many bytes wait for the disk: come back when a job has finished.
    #[error("too many bytes wait for the disk")]
    Busy,
    /// The batch does not continue the log.
    #[error("a batch at offset {got} does not continue a log that ends at {expected}")]
    OutOfOrder {
        /// Where the log ends.
        expected: NextOffset,
        /// Where the batch would have been placed.
        got: Offset,
    },
    /// The batch comes from a leader whose epoch has passed.
    #[error("leader epoch {got} is older than {latest}")]
    StaleEpoch {
        /// The latest epoch in the log.
        latest: LeaderEpoch,
        /// The epoch given.
        got: LeaderEpoch,
    },
}

/// Why a read gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The offset lies before the start or after the end of the log.
    #[error("offset {offset} is not within {start} to {end}")]
    OutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// First offset kept.
        start: Offset,
        /// End of the log.
        end: NextOffset,
    },
    /// Records from here on are damaged: they were written once and cannot be read any more.
    /// The caller tells the log by [`crate::Log::mark_faulty`].
    #[error("records {from} to {to} are damaged: {reason}")]
    Faulty {
        /// First damaged offset.
        from: Offset,
        /// End of the damaged range.
        to: NextOffset,
        /// What was found.
        reason: &'static str,
    },
    /// The segment was removed since the read was planned. Plan it again.
    #[error("the segment was removed meanwhile")]
    Gone,
    /// The disk refused, which says nothing about what was written there. The caller treats it as
    /// [`ReadError::Faulty`] if it lasts.
    #[error("the disk refused: {kind}")]
    Io {
        /// What the disk said.
        kind: io::ErrorKind,
        /// First offset of what was to be read.
        from: Offset,
    },
    /// The log is offline.
    #[error("the log is offline")]
    Offline,
}
