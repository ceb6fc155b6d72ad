//! A sync that fails, once; and what the page cache makes of it.
//!
//! The next sync may well succeed, with the data gone: Rebello et al., "Can Applications Recover from
//! fsync Failures?" (ATC'20).

use crate::disk::file::{Change, FileNode, pages_of};
use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, Draw};
use crate::strikes::Strikes;

/// What becomes of dirty pages after a failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// They are dropped: reads give what the medium holds.
    Dropped,
    /// They are marked clean and kept: reads give the new bytes until they are evicted, and then the old.
    KeptUntilEvicted,
    /// They stay dirty: the next sync tries again.
    Dirty,
}

pub(crate) struct FailedSync {
    ppm: u32,
    armed: Option<AfterFailure>,
    next: Option<AfterFailure>,
    pub(crate) last: Option<AfterFailure>,
}

/// Chance, per read, that what a failed sync left in the cache is evicted.
const EVICT_PPM: u32 = 150_000;

impl FailedSync {
    pub(crate) fn new(profile: &DiskProfile) -> FailedSync {
        FailedSync {
            ppm: profile.sync_error_ppm,
            armed: None,
            next: None,
            last: None,
        }
    }

    /// Makes the next sync fail.
    pub(crate) fn arm(&mut self, after: AfterFailure) {
        self.armed = Some(after);
    }

    pub(crate) fn heal(&mut self) {
        (self.ppm, self.armed) = (0, None);
    }

    /// Whether this sync fails.
    pub(crate) fn fails(&mut self, rng: &mut ChaCha8Rng) -> bool {
        let by_chance = rng.chance(self.ppm);
        self.next = self.armed.take();
        if by_chance && self.next.is_none() {
            self.next = Some(match rng.below(3) {
                0 => AfterFailure::Dropped,
                1 => AfterFailure::KeptUntilEvicted,
                _ => AfterFailure::Dirty,
            });
        }
        self.next.is_some()
    }

    /// Does to a file what its failed sync does.
    pub(crate) fn strike(
        &mut self,
        rng: &mut ChaCha8Rng,
        file: &mut FileNode,
        upto: u64,
        strikes: &mut Strikes,
    ) {
        let after = self.next.take().unwrap_or(AfterFailure::Dirty);
        self.last = Some(after);
        strikes.hit_and_tell(match after {
            AfterFailure::Dropped => "disk-sync-failed-dropped",
            AfterFailure::KeptUntilEvicted => "disk-sync-failed-kept",
            AfterFailure::Dirty => "disk-sync-failed-dirty",
        });
        if after == AfterFailure::Dirty {
            return;
        }
        let count = file
            .pending
            .partition_point(|pending| pending.sequence <= upto);
        let lost: Vec<_> = file.pending.drain(..count).collect();
        for pending in lost {
            let Change::Write { offset, data } = &pending.change else {
                // Lengths are the journal's business, not the page cache's.
                if let Change::SetLen(len) = pending.change {
                    file.durable.set_len(len, pending.sequence);
                }
                continue;
            };
            // Some of it reached the medium before the error.
            if rng.coin() {
                file.durable.write(*offset, data, pending.sequence);
                continue;
            }
            file.durable.grow(*offset + data.len() as u64);
            file.phantom.extend(pages_of(*offset, data.len() as u64));
        }
        if after == AfterFailure::Dropped {
            drop_phantom(file);
        }
    }

    /// Now and then, evicts what a failed sync left in the cache.
    pub(crate) fn evict(
        &mut self,
        rng: &mut ChaCha8Rng,
        file: &mut FileNode,
        strikes: &mut Strikes,
    ) {
        if !file.phantom.is_empty() && rng.chance(EVICT_PPM) {
            strikes.hit_and_tell("disk-unsynced-evicted");
            drop_phantom(file);
        }
    }
}

fn drop_phantom(file: &mut FileNode) {
    for index in std::mem::take(&mut file.phantom) {
        // Pages written since are dirty, and stay.
        let dirty = file.pending.iter().any(|pending| match &pending.change {
            Change::Write { offset, data } => pages_of(*offset, data.len() as u64).contains(&index),
            Change::SetLen(_) => false,
        });
        if !dirty {
            file.visible
                .put_page(index, file.durable.page(index).cloned());
        }
    }
}
