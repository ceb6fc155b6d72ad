//! A log directory: whose it is, and the logs in it.
//!
//! `meta.properties`, in Kafka's form, binds a directory to a cluster and a node. A node refuses a directory
//! of another node or cluster, and one that holds logs and does not say whose they are: a swapped or emptied
//! disk must never pass for a fresh one.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use env::{Disk, EntryKind};
use types::{BrokerId, ClusterId, TopicPartition, Uuid};

use crate::error::StorageError;
use crate::files;

const META: &str = "meta.properties";
/// What a log directory that is being deleted is called at the end.
const DELETED: &str = "-delete";

/// An opened log directory. Its lock is held as long as the disk lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDir {
    path: PathBuf,
    cluster_id: ClusterId,
    directory_id: Uuid,
}

impl LogDir {
    /// Takes the directory, or formats it if it is empty: then it belongs to `cluster_id`, or if that is not
    /// given to a new cluster, and gets an id of its own. Removes what deletions that a crash cut short left.
    ///
    /// # Errors
    /// [`StorageError::ForeignDisk`] when it is another process's, node's or cluster's, or holds logs
    /// without saying whose; the disk's.
    pub async fn open<D: Disk>(
        disk: &D,
        path: PathBuf,
        node_id: BrokerId,
        cluster_id: Option<ClusterId>,
        fresh_ids: [Uuid; 2],
    ) -> Result<LogDir, StorageError> {
        disk.create_dir_all(&path)
            .await
            .map_err(StorageError::io(&path))?;
        disk.lock_dir(&path)
            .await
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::WouldBlock => foreign(
                    &path,
                    "another process has it: is the node running already?",
                ),
                _ => StorageError::io(&path)(error),
            })?;
        let meta = path.join(META);
        let found = files::read_whole(disk, &meta)
            .await
            .map_err(StorageError::io(&meta))?;
        let dir = match found {
            Some(bytes) => Self::parse(&path, &bytes, node_id, cluster_id)?,
            None => Self::format(disk, &path, node_id, cluster_id, fresh_ids).await?,
        };
        finish_deletions(disk, &path).await?;
        Ok(dir)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The directory's own id, new with every format.
    #[must_use]
    pub fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// The cluster that a directory belongs to, if it says so; nothing is taken or written.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when what it says cannot be read; the disk's.
    pub async fn cluster_of<D: Disk>(
        disk: &D,
        path: &Path,
    ) -> Result<Option<ClusterId>, StorageError> {
        let meta = path.join(META);
        let found = files::read_whole(disk, &meta)
            .await
            .map_err(StorageError::io(&meta))?;
        let Some(bytes) = found else { return Ok(None) };
        let found = value(&bytes, "cluster.id").and_then(parse_cluster_id);
        found
            .map(Some)
            .ok_or_else(|| StorageError::damaged(&meta, "names no cluster.id"))
    }

    fn parse(
        path: &Path,
        bytes: &[u8],
        node_id: BrokerId,
        cluster_id: Option<ClusterId>,
    ) -> Result<LogDir, StorageError> {
        let damaged = |why: &str| StorageError::damaged(&path.join(META), why);
        std::str::from_utf8(bytes).map_err(|_| damaged("is not text"))?;
        let value = |key: &str| value(bytes, key);
        if value("version") != Some("1") {
            return Err(damaged("is not of version 1"));
        }
        let found_cluster = value("cluster.id")
            .and_then(parse_cluster_id)
            .ok_or_else(|| damaged("names no cluster.id"))?;
        let directory_id = value("directory.id")
            .and_then(|text| text.parse::<Uuid>().ok())
            .ok_or_else(|| damaged("names no directory.id"))?;
        let found_node: i32 = value("node.id")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| damaged("names no node.id"))?;
        if found_node != node_id.0 && !types::mutant!("STO-32") {
            return Err(foreign(
                path,
                &format!("belongs to node {found_node}, this is node {node_id}"),
            ));
        }
        if let Some(expected) = cluster_id.filter(|expected| *expected != found_cluster) {
            let why =
                format!("belongs to cluster {found_cluster}, this node is of cluster {expected}");
            return Err(foreign(path, &why));
        }
        Ok(LogDir {
            path: path.to_path_buf(),
            cluster_id: found_cluster,
            directory_id,
        })
    }

    async fn format<D: Disk>(
        disk: &D,
        path: &Path,
        node_id: BrokerId,
        cluster_id: Option<ClusterId>,
        [fresh_cluster, fresh_directory]: [Uuid; 2],
    ) -> Result<LogDir, StorageError> {
        let entries = disk.list(path).await.map_err(StorageError::io(path))?;
        if let Some(log) = entries
            .iter()
            .find(|entry| entry.kind == EntryKind::Directory && is_log(&entry.name))
        {
            let why = format!(
                "holds logs ({}) but no {META} that says whose they are",
                log.name
            );
            return Err(foreign(path, &why));
        }
        let cluster_id = cluster_id.unwrap_or_else(|| fresh_cluster.into());
        let text = format!(
            "version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={fresh_directory}\n"
        );
        let meta = path.join(META);
        // The directory's name first: where META is found, nobody looks at the parent again.
        if let Some(parent) = path.parent() {
            disk.sync_dir(parent)
                .await
                .map_err(StorageError::io(parent))?;
        }
        files::replace_durably(disk, &meta, Bytes::from(text))
            .await
            .map_err(StorageError::io(&meta))?;
        Ok(LogDir {
            path: path.to_path_buf(),
            cluster_id,
            directory_id: fresh_directory,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What the file says last of a key.
fn value<'a>(bytes: &'a [u8], key: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
        .next_back()
}

/// Kafka's own tool writes `:` and `=` with a backslash in front.
fn parse_cluster_id(text: &str) -> Option<ClusterId> {
    text.replace('\\', "").parse().ok()
}

fn foreign(dir: &Path, reason: &str) -> StorageError {
    StorageError::ForeignDisk {
        dir: dir.to_path_buf(),
        reason: reason.to_owned(),
    }
}

/// Whether a directory is called like a log: `topic-0`.
fn is_log(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(topic, number)| {
        !topic.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty()
    })
}

/// Removes the log of a deleted partition. Its directory is renamed first, durably, so that a new topic of
/// the same name never meets these files; a crash leaves the rest to [`LogDir::open`].
///
/// # Errors
/// The disk's.
pub async fn delete_log<D: Disk>(
    disk: &D,
    dir: &Path,
    partition: &TopicPartition,
) -> Result<(), StorageError> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(StorageError::damaged(dir, "is no directory of a log"));
    };
    let id: String = partition
        .topic_id
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let renamed = parent.join(format!("{}.{id}{DELETED}", name.to_string_lossy()));
    disk.rename(dir, &renamed)
        .await
        .map_err(StorageError::io(dir))?;
    disk.sync_dir(parent)
        .await
        .map_err(StorageError::io(parent))?;
    remove_all(disk, &renamed).await
}

async fn finish_deletions<D: Disk>(disk: &D, path: &Path) -> Result<(), StorageError> {
    for entry in disk.list(path).await.map_err(StorageError::io(path))? {
        if entry.kind == EntryKind::Directory && entry.name.ends_with(DELETED) {
            remove_all(disk, &path.join(entry.name)).await?;
        }
    }
    Ok(())
}

/// Removes a directory of files.
async fn remove_all<D: Disk>(disk: &D, dir: &Path) -> Result<(), StorageError> {
    for entry in disk.list(dir).await.map_err(StorageError::io(dir))? {
        if entry.kind == EntryKind::File {
            let path = dir.join(entry.name);
            files::remove(disk, &path)
                .await
                .map_err(StorageError::io(&path))?;
        }
    }
    disk.remove_dir(dir).await.map_err(StorageError::io(dir))
}
