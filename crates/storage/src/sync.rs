//! Making durable what is written, beside the jobs that write more.
//!
//! While a sync runs, jobs that only write go on: whoever is content with *written* does not wait for the
//! disk's cache to be flushed, and what they write meanwhile is made durable by the next sync, all at once.
//!
//! # Why that is safe
//! * A sync promises what was *written* when it began; its claim says just that. A write beside it may put
//!   more into the block in which the claim ends, but never changes the bytes before that end, so a sector is
//!   as it was, as the claim has it, or a continuation of that.
//! * What a job does besides writing (closing a segment, opening a file, replacing the state) has an order
//!   of its own with respect to syncs and claims. Such a job works alone.
//! * What the next claim must hold evidence for is bounded: [`AHEAD_BYTES_MAX`] stops the writes.

use std::future::Future;

use env::Disk;
use types::mutant;

use crate::claims::{Claim, DIGESTS_MAX, ENDS_MAX, SECTOR};
use crate::job::{Failure, JobError, JobOutcome, Syncing, is_full};
use crate::log::{Health, Log};
use crate::state::Mark;
use crate::tail::JOB_BYTES_MAX;

/// How far writes go ahead of the sync under way. One job more, and the next claim still holds a digest of
/// each sector.
const AHEAD_BYTES_MAX: u32 = 4 << 20;
/// A chunk more than [`JOB_BYTES_MAX`] may be in a job.
const _: () = assert!(
    AHEAD_BYTES_MAX as usize + JOB_BYTES_MAX + (2 << 20) <= DIGESTS_MAX * SECTOR,
    "a claim has room for what is written beside a sync"
);
/// What a sync did. Given back to [`Log::finish_sync`].
pub struct SyncDone<D: Disk> {
    mark: Mark,
    claim: Option<Claim>,
    claims_file: Option<D::File>,
    dir_dirty: bool,
    failure: Option<Failure>,
}

impl<D: Disk> SyncDone<D> {
    /// Whether it ran out of room: whoever keeps some back for this case should give it up now.
    #[must_use]
    pub fn ran_out_of_room(&self) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|failure| is_full(&failure.error))
    }
}

impl<D: Disk> Log<D> {
    /// Makes durable what is written by now. `None` if all of it is, or if a job must come first:
    /// [`Log::start_job`] with `sync` does both.
    pub fn start_sync(
        &mut self,
    ) -> Option<impl Future<Output = SyncDone<D>> + Send + 'static + use<D>> {
        let blocked = self.sync_running.is_some()
            || self.alone_wanted
            || self.job_running && self.job_alone
            || self.health != Health::Online;
        let mark = self.written.mark;
        if blocked || mark == self.durable && !self.dir_dirty {
            return None;
        }
        let writer = self.writer.as_ref()?;
        if writer.segment != mark.segment {
            return None;
        }
        let claim = (mark != self.durable).then(|| self.claim(self.durable, mark, &[]));
        self.sync_running = Some(mark);
        let mut syncing = Syncing {
            disk: self.disk.clone(),
            dir: self.dir.clone(),
            seed: self.seed,
            data: Some(writer.file.clone()),
            claims_file: self.claims_file.clone(),
            claim,
            dir_dirty: self.dir_dirty,
        };
        Some(async move {
            let failure = syncing.run().await.err();
            SyncDone {
                mark,
                claim: syncing.claim,
                claims_file: syncing.claims_file,
                dir_dirty: syncing.dir_dirty,
                failure,
            }
        })
    }

    /// Takes back what a sync did.
    ///
    /// # Panics
    /// If no sync is under way.
    pub fn finish_sync(&mut self, done: SyncDone<D>) -> JobOutcome {
        let mark = self.sync_running.take();
        assert_eq!(mark, Some(done.mark), "a sync was started");
        self.claims_file = done.claims_file;
        let mut rolled_back = None;
        let error = match done.failure {
            // A job failed meanwhile: no claim is made through this log any more.
            None if self.health == Health::Offline => None,
            None => {
                if let Some(claim) = done.claim {
                    self.next_claim = claim.number + 1;
                }
                self.dir_dirty &= !done.dir_dirty;
                assert!(
                    (self.durable.segment, self.durable.position)
                        <= (done.mark.segment, done.mark.position),
                    "what is durable stays"
                );
                self.durable = done.mark;
                self.settled(done.mark);
                None
            }
            Some(failure) if failure.fence && !mutant!("STO-13/b") => {
                Some(self.go_offline(&failure))
            }
            Some(failure) => {
                // A write beside it may still find room; it says so itself if not.
                if !self.job_running {
                    rolled_back = self.run_out_of_room(&failure);
                }
                Some(JobError::Full(failure.what))
            }
        };
        self.outcome(rolled_back, error)
    }

    /// Whether a claim could not say much more than it would now: a sync is due even if nobody asks for one.
    #[must_use]
    pub fn is_evidence_full(&self) -> bool {
        self.unsynced_ends.len() >= ENDS_MAX / 2
    }

    /// Bytes of the active segment that are written and not durable.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u32 {
        self.written
            .mark
            .position
            .saturating_sub(self.durable.position)
    }

    /// Whether there is evidence left for a write beside the sync under way.
    pub(crate) fn may_write_beside_sync(&self) -> bool {
        let ahead = self.sync_running.map_or(0, |mark| {
            self.written.mark.position.saturating_sub(mark.position)
        });
        ahead < AHEAD_BYTES_MAX && self.unsynced_ends.len() < ENDS_MAX - 1
    }

    /// Everything up to `mark` is durable: what the next claim would have said of it is history.
    pub(crate) fn settled(&mut self, mark: Mark) {
        self.unsynced_ends.retain(|end| *end > mark.position);
        self.unsynced.forget_before(mark.position);
    }
}
