//! What opening the log would do to it, done (or only told) without a broker: torn tails cut, damage
//! marked, side files rebuilt. What was damaged stays damaged: no tool makes records up.

use std::path::{Path, PathBuf};

use env::{Disk, Wall};

use crate::config::{LogConfig, LogIdentity};
use crate::dir::LogDir;
use crate::error::StorageError;
use crate::log::Log;
use crate::log_dir::parse_dir_name;
use crate::names;
use crate::recovery::{Recovered, read_metadata};
use crate::state::LogState;
use crate::tools::verify::{Severity, Verified, verify};
use crate::{files, names::segment_file};

/// A step of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A file that can be rebuilt is removed, so that the log rebuilds it.
    Rebuild(String),
    /// The log is opened, which recovers it, and closed.
    Recover,
    /// What is known of damage is forgotten, and the log opened again by its batches alone.
    Reread,
}

/// What a repair is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairOptions {
    /// Only tell.
    pub dry_run: bool,
    /// Files were replaced by good copies: forget what is known of damage and read everything anew. What fails its
    /// checks by itself is found again; a whole batch of another log, which only its surroundings showed, need
    /// not be.
    pub reread: bool,
}

/// What a repair did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// What was found before.
    pub before: Verified,
    /// The steps.
    pub actions: Vec<Action>,
    /// What the recovery found; `None` for a dry run.
    pub recovered: Option<Recovered>,
}

/// Repairs the log in `dir`, whose name is `topic-partition`.
///
/// # Errors
/// The disk's; [`StorageError::Damaged`] if the directory does not say whose it is.
pub async fn repair<D: Disk>(
    disk: &D,
    dir: &Path,
    config: LogConfig,
    now: Wall,
    options: RepairOptions,
) -> Result<Repaired, StorageError> {
    let before = verify(disk, dir).await?;
    let mut actions = Vec::new();
    for finding in &before.findings {
        let rebuilt = finding.severity == Severity::Rebuildable
            && finding.file != names::STATE
            && finding.file != names::PARTITION_METADATA;
        let action = Action::Rebuild(finding.file.clone());
        if rebuilt && !actions.contains(&action) {
            actions.push(action);
        }
    }
    actions.push(Action::Recover);
    if options.reread {
        actions.push(Action::Reread);
    }
    if options.dry_run {
        return Ok(Repaired {
            before,
            actions,
            recovered: None,
        });
    }
    let identity = identity_of(disk, dir).await?;
    let remove = async |path: PathBuf| {
        files::remove(disk, &path)
            .await
            .map_err(StorageError::io(&path))
    };
    for action in &actions {
        let Action::Rebuild(name) = action else {
            continue;
        };
        remove(dir.join(name)).await?;
        if let Some((base, _)) = names::parse_segment_file(name) {
            remove(dir.join(segment_file(base, names::TAGS))).await?;
        }
    }
    // Without the marker everything is looked at.
    remove(dir.join(names::CLEAN)).await?;
    let open = async || {
        let (identity, config) = (identity.clone(), config.clone());
        let (log, recovered) =
            Log::open(disk.clone(), dir.to_path_buf(), identity, config, now).await?;
        log.close().await?;
        Ok(recovered)
    };
    let mut recovered = open().await?;
    if options.reread {
        // Only now: with the state a torn tail is told from damage.
        remove(dir.join(names::STATE)).await?;
        recovered = open().await?;
    }
    Ok(Repaired {
        before,
        actions,
        recovered: Some(recovered),
    })
}

async fn identity_of<D: Disk>(disk: &D, dir: &Path) -> Result<LogIdentity, StorageError> {
    let path = dir.join(names::STATE);
    let bytes = files::read_whole(disk, &path)
        .await
        .map_err(StorageError::io(&path))?;
    if let Some(state) = bytes.and_then(|bytes| LogState::decode(&bytes).ok()) {
        return Ok(state.identity);
    }
    let name = dir
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(parse_dir_name);
    let (Some((topic, partition)), Some(topic_id)) = (name, read_metadata(disk, dir).await?) else {
        return Err(StorageError::damaged(dir, "does not say whose log it is"));
    };
    // Whatever is written is bound to the cluster, too: the broker would take it for another's.
    let cluster = match dir.parent() {
        Some(parent) => LogDir::cluster_of(disk, parent).await?,
        None => None,
    };
    Ok(LogIdentity {
        cluster_id: cluster.map(|cluster| cluster.digest()),
        topic_id,
        topic,
        partition,
    })
}
