//! What opening a node's logs has found, in numbers: one line for each start.

use std::ops::AddAssign;

use env::{Clock, Disk};
use tokio::sync::{mpsc, oneshot};
use types::Mono;

use super::message::ShardMessage;

/// What opening logs has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Logs that were opened, those that were made included.
    pub logs: u64,
    /// Of these, how many were not closed by their last process.
    pub unclean: u64,
    /// Bytes that were cut off their ends because they were torn.
    pub torn_bytes: u64,
    /// Ranges of records that are damaged.
    pub damaged: u64,
    /// Group coordinators that have read their logs.
    pub coordinators: u64,
    /// The groups they coordinate.
    pub groups: u64,
}

impl Tally {
    /// One log.
    pub fn of_log(found: &storage::recovery::Recovered) -> Tally {
        Tally {
            logs: 1,
            unclean: u64::from(!found.clean),
            torn_bytes: found.torn_bytes,
            damaged: found.faulty.len() as u64,
            ..Tally::default()
        }
    }

    /// One coordinator.
    pub fn of_coordinator(groups: usize) -> Tally {
        Tally {
            coordinators: 1,
            groups: groups as u64,
            ..Tally::default()
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.logs += other.logs;
        self.unclean += other.unclean;
        self.torn_bytes += other.torn_bytes;
        self.damaged += other.damaged;
        self.coordinators += other.coordinators;
        self.groups += other.groups;
    }
}

/// Waits until the shards have opened everything that the node began with, and says what was found.
pub(crate) async fn say<C: Clock, D: Disk>(
    clock: C,
    began: Mono,
    metadata: Tally,
    shards: Vec<mpsc::Sender<ShardMessage<D>>>,
) {
    let mut asked = Vec::with_capacity(shards.len());
    for shard in &shards {
        let (reply, tally) = oneshot::channel();
        // A shard that is gone belongs to a node that is stopping, here and below.
        let _ = shard.send(ShardMessage::Recovered(reply)).await;
        asked.push(tally);
    }
    drop(shards);
    let mut all = metadata;
    for tally in asked {
        let Ok(tally) = tally.await else {
            return;
        };
        all += tally;
    }
    tracing::info!(
        logs = all.logs,
        unclean = all.unclean,
        torn_bytes = all.torn_bytes,
        damaged_ranges = all.damaged,
        coordinators = all.coordinators,
        groups = all.groups,
        ms = clock.mono().since(began).as_millis() as u64,
        "{}",
        if all.unclean == 0 {
            "all logs are open"
        } else {
            "all logs are open, after a stop that was not clean"
        }
    );
}
