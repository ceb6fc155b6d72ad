//! What is in a directory of logs. Whose directory it is: [`crate::dir`]; room kept back: [`crate::reserve`].
//!
//! Partitions lie in `topic-partition`, and their `partition.metadata` names the topic's id, which decides:
//! a directory of an earlier topic of the same name is not this topic's. Nothing is deleted on weak
//! evidence: a directory that nobody knows is only set aside (`...-stray`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use env::{Disk, EntryKind};
use types::{PartitionIndex, Uuid};

use crate::error::StorageError;
use crate::files;
use crate::names;
use crate::recovery::read_metadata;
use crate::state::LogState;

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

/// The topic's id by the checksummed file of the log, if there is one that is whole. `partition.metadata`,
/// which has no checksum, may have lost a bit.
///
/// # Errors
/// The disk's.
pub async fn id_by_state<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Uuid>, StorageError> {
    let path = dir.join(names::STATE);
    let bytes = files::read_whole(disk, &path).await;
    let bytes = bytes.map_err(StorageError::io(&path))?;
    let state = bytes.and_then(|bytes| LogState::decode(&bytes).ok());
    Ok(state.map(|state| state.identity.topic_id))
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
