//! What readers may see: fencing, divergence, and the end of what is readable.

use types::{ErrorCode, LeaderEpoch, NextOffset, Offset};

use crate::epoch_cache::EpochEnd;
use crate::replica::{Replica, Role};

/// How far a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// Everything: followers.
    LogEnd,
    /// What is committed: `read_uncommitted`, which is about transactions alone.
    HighWatermark,
    /// What is committed and in no open transaction: `read_committed`.
    LastStable,
}

/// The answer to a fetch, before any bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Readable {
    /// Read from the position asked for up to here; if that is no further, there is nothing yet.
    UpTo(NextOffset),
    /// The reader's log parts from this one (KIP-595): it must go back to here.
    Diverging(EpochEnd),
}

impl Replica {
    /// Whether this replica leads, in the epoch that the caller believes in.
    ///
    /// **Errors** 56 offline; 74 the caller's epoch is old; 75 this replica's is old; 6 another one leads.
    pub fn check_leader(&self, expected_epoch: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        match &self.role {
            Role::Offline { .. } => return Err(ErrorCode::KAFKA_STORAGE_ERROR),
            Role::Idle => return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            Role::Leader | Role::Follower { .. } => {}
        }
        if let Some(expected) = expected_epoch.filter(|epoch| *epoch != LeaderEpoch::NONE) {
            if expected < self.leader_epoch {
                return Err(ErrorCode::FENCED_LEADER_EPOCH);
            }
            if expected > self.leader_epoch {
                return Err(ErrorCode::UNKNOWN_LEADER_EPOCH);
            }
        }
        if self.is_leader() {
            Ok(())
        } else {
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
        }
    }

    /// How far a reader at `from` may read.
    ///
    /// **Errors** as [`Replica::check_leader`]; 1 when `from` is not in the log, or nothing is known of the
    /// epoch that the reader last saw.
    pub fn readable(
        &self,
        isolation: Isolation,
        current_leader_epoch: Option<LeaderEpoch>,
        last_fetched_epoch: Option<LeaderEpoch>,
        from: Offset,
    ) -> Result<Readable, ErrorCode> {
        self.check_leader(current_leader_epoch)?;
        if let Some(epoch) = last_fetched_epoch.filter(|epoch| *epoch != LeaderEpoch::NONE) {
            if self
                .log
                .epochs
                .end_offset_for(epoch, self.log_end)
                .is_none()
            {
                return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
            }
            if let Some(end) = self.divergence(Some(epoch), from) {
                return Ok(Readable::Diverging(end));
            }
        }
        let end = if types::mutant!("STO-19") {
            self.high_watermark
        } else {
            self.log_end
        };
        if from < self.log_start || from > end.position() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        Ok(Readable::UpTo(self.end_for(isolation)))
    }

    /// The end of the log for readers of this kind.
    #[must_use]
    pub fn end_for(&self, isolation: Isolation) -> NextOffset {
        match isolation {
            Isolation::LogEnd => self.log_end,
            Isolation::HighWatermark => self.high_watermark,
            Isolation::LastStable => self.last_stable_offset(),
        }
    }

    /// The latest offset, as ListOffsets answers it.
    ///
    /// **Errors** as [`Replica::check_leader`]; 78 to clients while the high watermark of a new leader may
    /// still lag behind what its predecessor answered.
    pub fn latest_offset(
        &self,
        isolation: Isolation,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<NextOffset, ErrorCode> {
        self.check_leader(current_leader_epoch)?;
        if isolation != Isolation::LogEnd && self.high_watermark < self.epoch_start {
            return Err(ErrorCode::OFFSET_NOT_AVAILABLE);
        }
        Ok(self.end_for(isolation))
    }

    /// Where the largest epoch that is not larger than `asked` ends; `None` if `asked` is larger than every
    /// epoch in this log.
    ///
    /// **Errors** as [`Replica::check_leader`].
    pub fn end_offset_for_leader_epoch(
        &self,
        current_leader_epoch: Option<LeaderEpoch>,
        asked: LeaderEpoch,
    ) -> Result<Option<EpochEnd>, ErrorCode> {
        self.check_leader(current_leader_epoch)?;
        Ok(self.log.epochs.end_offset_for(asked, self.log_end))
    }

    /// Where a reader's log parts from this one, if it does: it saw an epoch that this log lacks, or more of
    /// an epoch than this log has.
    pub(crate) fn divergence(
        &self,
        last_fetched_epoch: Option<LeaderEpoch>,
        fetch_offset: Offset,
    ) -> Option<EpochEnd> {
        let fetched = last_fetched_epoch.filter(|epoch| *epoch != LeaderEpoch::NONE)?;
        let known = self.log.epochs.end_offset_for(fetched, self.log_end)?;
        (known.epoch < fetched || known.end < fetch_offset.end_before()).then_some(known)
    }
}
