//! What is in a directory of logs, and room kept back on its disk. Whose directory it is: [`crate::dir`].
//!
//! Partitions lie in `topic-partition`, and their `partition.metadata` names the topic's id, which decides:
//! a directory of an earlier topic of the same name is not this topic's. Nothing is deleted on weak
//! evidence: a directory that nobody knows is only set aside (`...-stray`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use env::{Allocation, Disk, EntryKind, File, OpenOptions, SyncKind};
use types::{NextOffset, Offset, PartitionIndex, Uuid};

use crate::error::StorageError;
use crate::files;
use crate::names;
use crate::recovery::read_metadata;

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const RESERVE: &str = "disk-reserve";

/// A partition's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDir {
    /// Where.
    pub path: PathBuf,
    /// The topic's name, from the directory's.
    pub topic: String,
    /// The partition's number, from the directory's name.
    pub partition: PartitionIndex,
    /// The topic's id, if the directory says it.
    pub topic_id: Option<Uuid>,
}

/// The partitions' directories in `path`, those set aside or to be deleted left out.
///
/// # Errors
/// The disk's; [`StorageError::Damaged`] if a `partition.metadata` cannot be understood.
pub async fn partitions<D: Disk>(disk: &D, path: &Path) -> Result<Vec<PartitionDir>, StorageError> {
    let mut out = Vec::new();
    for entry in disk.list(path).await.map_err(StorageError::io(path))? {
        if entry.kind != EntryKind::Directory {
            continue;
        }
        let Some((topic, partition)) = parse_dir_name(&entry.name) else {
            continue;
        };
        let path = path.join(&entry.name);
        let topic_id = read_metadata(disk, &path).await?;
        out.push(PartitionDir {
            path,
            topic,
            partition,
            topic_id,
        });
    }
    Ok(out)
}

/// Sets a directory aside, durably, that no known partition owns. The node itself never deletes it.
///
/// # Errors
/// The disk's.
pub async fn set_aside<D: Disk>(disk: &D, dir: &PartitionDir) -> Result<PathBuf, StorageError> {
    let mut name = format!("{}-{}.", dir.topic, dir.partition.0);
    for byte in dir.topic_id.unwrap_or(Uuid::ZERO).0 {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(names::STRAY_SUFFIX);
    let parent = dir
        .path
        .parent()
        .expect("a partition's directory lies in a directory of logs");
    let to = parent.join(name);
    disk.rename(&dir.path, &to)
        .await
        .map_err(StorageError::io(&dir.path))?;
    disk.sync_dir(parent)
        .await
        .map_err(StorageError::io(parent))?;
    Ok(to)
}

/// Writes Kafka's checkpoints of all logs in `dir` (topic, partition, start, end), for Kafka's tools: our
/// own start does not read them.
///
/// # Errors
/// The disk's.
pub async fn write_checkpoints<D: Disk>(
    disk: &D,
    dir: &Path,
    logs: &[(String, PartitionIndex, Offset, NextOffset)],
) -> Result<(), StorageError> {
    let text = |offset: &dyn Fn(Offset, NextOffset) -> i64| {
        let mut out = format!("0\n{}\n", logs.len());
        for (topic, partition, start, end) in logs {
            let _ = writeln!(out, "{topic} {} {}", partition.0, offset(*start, *end));
        }
        out
    };
    let all = [
        (RECOVERY_POINTS, text(&|_, end| end.0)),
        (HIGH_WATERMARKS, text(&|_, end| end.0)),
        (LOG_STARTS, text(&|start, _| start.0)),
    ];
    for (name, text) in all {
        let path = dir.join(name);
        let written = files::replace(disk, &path, Bytes::from(text)).await;
        written.map_err(StorageError::io(&path))?;
    }
    disk.sync_dir(dir).await.map_err(StorageError::io(dir))
}

/// Keeps `bytes` of room back in `dir`, in a file of that size, so that checkpoints and deletions still
/// work when everything else is full.
///
/// # Errors
/// The disk's: without room there is no reserve, and the caller may go on without.
pub async fn keep_reserve<D: Disk>(disk: &D, dir: &Path, bytes: u64) -> Result<(), StorageError> {
    let path = dir.join(RESERVE);
    let io = || StorageError::io(&path);
    let file = disk.open(&path, OpenOptions::CREATE).await.map_err(io())?;
    match file.allocate(0, bytes, Allocation::Extend).await {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            return files::remove(disk, &path).await.map_err(io());
        }
        Err(error) => return Err(io()(error)),
    }
    file.sync(SyncKind::All).await.map_err(io())
}

/// Gives the reserve back to whoever needs room now.
///
/// # Errors
/// The disk's.
pub async fn release_reserve<D: Disk>(disk: &D, dir: &Path) -> Result<(), StorageError> {
    let path = dir.join(RESERVE);
    files::remove(disk, &path)
        .await
        .map_err(StorageError::io(&path))
}

/// Splits `topic-partition`; `None` for every other name.
#[must_use]
pub fn parse_dir_name(name: &str) -> Option<(String, PartitionIndex)> {
    if name.ends_with(names::DELETE_SUFFIX) || name.ends_with(names::STRAY_SUFFIX) {
        return None;
    }
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    if topic.is_empty() || !digits {
        return None;
    }
    Some((topic.to_owned(), PartitionIndex(partition.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_names() {
        let parsed = parse_dir_name("my-topic.x-12");
        assert_eq!(parsed, Some(("my-topic.x".to_owned(), PartitionIndex(12))));
        for bad in [
            "-1",
            "topic",
            "topic-",
            "t-1.00-delete",
            "t-1.00-stray",
            "t-99999999999",
        ] {
            assert_eq!(parse_dir_name(bad), None, "{bad}");
        }
    }
}
