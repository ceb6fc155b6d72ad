//! The file `quorum-state`: which epoch this node has heard of and whom it voted for in it.
//!
//! Kafka's form, a line of JSON (`QuorumStateData`, version 1). It is replaced as a whole and durably before
//! anything is counted on what it says. A file that cannot be read is an error and never "no vote".

use std::path::PathBuf;

use bytes::Bytes;
use env::Disk;
use raft::{ElectionState, ReplicaKey};
use serde::{Deserialize, Serialize};
use types::{BrokerId, LeaderEpoch, Uuid};

/// The file.
#[derive(Clone)]
pub(crate) struct QuorumStateFile<D> {
    disk: D,
    path: PathBuf,
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum QuorumStateError {
    /// The disk refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error(
        "{path}: {reason}; the vote of this node is lost: restore the file or replace the node",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl<D: Disk> QuorumStateFile<D> {
    /// The file at `path`.
    pub fn new(disk: D, path: PathBuf) -> QuorumStateFile<D> {
        QuorumStateFile { disk, path }
    }

    /// What the file says; `ElectionState::NONE` if there is none.
    pub async fn load(&self) -> Result<ElectionState, QuorumStateError> {
        let io = |source| QuorumStateError::Io {
            path: self.path.clone(),
            source,
        };
        let Some(bytes) = storage::files::read_whole(&self.disk, &self.path)
            .await
            .map_err(io)?
        else {
            return Ok(ElectionState::NONE);
        };
        parse(&bytes).map_err(|reason| QuorumStateError::Damaged {
            path: self.path.clone(),
            reason,
        })
    }

    /// Makes this the file's durable content.
    pub async fn store(self, state: ElectionState) -> Result<(), QuorumStateError> {
        let text = Bytes::from(print(&state));
        storage::files::replace_durably(&self.disk, &self.path, text)
            .await
            .map_err(|source| QuorumStateError::Io {
                path: self.path.clone(),
                source,
            })
    }
}

/// The file, field by field. Read and written without a map between, which would draw its hasher's keys.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    leader_id: i32,
    leader_epoch: i32,
    voted_id: i32,
    voted_directory_id: String,
    #[serde(rename = "data_version")]
    data_version: i32,
}

fn print(state: &ElectionState) -> String {
    let directory = state.voted.map_or(Uuid::ZERO, |voted| voted.directory_id);
    let form = Form {
        leader_id: state.leader_id.0,
        leader_epoch: state.leader_epoch.0,
        voted_id: state.voted.map_or(-1, |voted| voted.id.0),
        voted_directory_id: directory.to_string(),
        data_version: 1,
    };
    serde_json::to_string(&form).expect("numbers and a text always print")
}

fn parse(bytes: &[u8]) -> Result<ElectionState, String> {
    let form: Form = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if form.data_version != 1 {
        return Err("data_version is not 1".into());
    }
    let directory_id = (form.voted_directory_id.parse::<Uuid>())
        .map_err(|_| "votedDirectoryId is no id".to_owned())?;
    Ok(ElectionState {
        leader_epoch: LeaderEpoch(form.leader_epoch),
        leader_id: BrokerId(form.leader_id),
        voted: (form.voted_id >= 0).then_some(ReplicaKey {
            id: BrokerId(form.voted_id),
            directory_id,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded() {
        let voted = ReplicaKey {
            id: BrokerId(7),
            directory_id: Uuid([9; 16]),
        };
        for voted in [None, Some(voted)] {
            let state = ElectionState {
                leader_epoch: LeaderEpoch(3),
                leader_id: BrokerId(7),
                voted,
            };
            assert_eq!(parse(print(&state).as_bytes()), Ok(state));
        }
    }

    #[test]
    fn damage_is_an_error_and_not_an_empty_vote() {
        for bad in [
            "",
            "{}",
            "null",
            "{\"leaderId\":1}",
            "{\"data_version\":1,\"leaderEpoch\":\"x\"}",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
