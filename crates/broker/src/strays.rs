//! Directories of logs that no topic owns: what a crash between the deletion of a topic and that of its
//! files left behind, or somebody put there. Looked for once, when the metadata log has been replayed and
//! before any log is opened.
//!
//! Such a directory is set aside under another name (`...-stray`, as Kafka does), so that a new topic of the
//! same name never meets these files, and never removed: metadata may have been lost, too. An operator
//! removes it, or puts it back.

use std::path::Path;

use env::Disk;
use metadata::Image;
use storage::PartitionDir;
use storage::error::StorageError;
use storage::log_dir::{id_by_state, partitions, set_aside};
use types::{BrokerId, Uuid};

/// Sets aside what nobody owns, and says so. A disk that refuses is told in the log: the directories stay.
pub(crate) async fn sweep<D: Disk>(disk: &D, log_dir: &Path, me: BrokerId, image: &Image) {
    if let Err(error) = try_sweep(disk, log_dir, me, image).await {
        tracing::error!(%error, "directories that no topic owns could not be set aside");
    }
}

async fn try_sweep<D: Disk>(
    disk: &D,
    log_dir: &Path,
    me: BrokerId,
    image: &Image,
) -> Result<(), StorageError> {
    for dir in partitions(disk, log_dir).await? {
        if is_owned(disk, &dir, me, image).await? {
            continue;
        }
        let to = set_aside(disk, &dir).await?;
        tracing::error!(
            from = %dir.path.display(), to = %to.display(),
            topic_id = dir.topic_id.map(tracing::field::display),
            "no topic owns this log: set aside; remove it if the topic was deleted, or look with \
             `ottla log dump` what it holds"
        );
    }
    Ok(())
}

/// Whether a topic of the cluster has this log here. A directory that does not say whose it is (its maker
/// got no further, or an old Kafka made it) is judged by its name. One that has a topic's name and another
/// one's id is taken for another topic's only if both files that name the id agree: one of them may be
/// damaged, and a log that is set aside is replaced by an empty one.
async fn is_owned<D: Disk>(
    disk: &D,
    dir: &PartitionDir,
    me: BrokerId,
    image: &Image,
) -> Result<bool, StorageError> {
    let expected = if dir.topic == metadata::names::METADATA_TOPIC {
        Uuid::METADATA_TOPIC
    } else {
        let topic = image.topic(&dir.topic).filter(|topic| {
            if types::mutant!("STO-47") {
                return false;
            }
            let registration = topic.partitions.get(&dir.partition.0);
            registration.is_some_and(|partition| partition.replicas.contains(&me))
        });
        let Some(topic) = topic else {
            return Ok(false);
        };
        topic.id
    };
    match dir.topic_id {
        Some(id) if id != expected => Ok(id_by_state(disk, &dir.path).await? != Some(id)),
        _ => Ok(true),
    }
}
