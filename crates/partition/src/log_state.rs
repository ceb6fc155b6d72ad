//! What a replica knows from its log's batch headers alone: leader epochs and producers.

use types::{LeaderEpoch, Mono, Offset};

use crate::batch::BatchMeta;
use crate::epoch_cache::EpochCache;
use crate::producer_state::{AbortedTransaction, ProducerState, Undo};

/// State derived from the log, and from nothing else.
///
/// [`LogState::apply`] is the one way in: the leader calls it for each batch that it appends, recovery for
/// each batch that it finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogState {
    /// Leader epochs.
    pub epochs: EpochCache,
    /// Producers and transactions.
    pub producers: ProducerState,
}

/// What one batch brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Applied {
    /// The batch ended a transaction with an abort: an entry for the transaction index.
    pub aborted: Option<AbortedTransaction>,
    pub(crate) undo: Option<Undo>,
}

impl LogState {
    /// Takes in the batch at `base_offset` that the leader of `leader_epoch` wrote.
    pub fn apply(
        &mut self,
        now: Mono,
        leader_epoch: LeaderEpoch,
        base_offset: Offset,
        batch: &BatchMeta,
    ) -> Applied {
        if self
            .epochs
            .latest()
            .is_none_or(|latest| latest.epoch < leader_epoch)
        {
            self.epochs.assign(leader_epoch, base_offset);
        }
        match self.producers.apply(now, batch, base_offset) {
            Some((undo, completed)) => Applied {
                aborted: completed.and_then(|txn| self.producers.aborted(txn)),
                undo: Some(undo),
            },
            None => Applied::default(),
        }
    }
}
