//! What can go wrong with a disk, one file each.
//!
//! A fault is *damage* if it changes or withholds bytes that were durable: whoever runs with a single copy
//! cannot be blamed for losing them, only for not noticing. Whether there may be damage is [`atlas`]'s
//! decision; everything else may happen to anybody at any time.

pub mod atlas;
pub mod bit_rot;
pub mod failed_sync;
pub mod io_error;
pub mod latent_sector;
pub mod misdirected_write;
pub mod no_space;
pub mod power_loss;
pub mod process_kill;
pub mod slow_disk;
pub mod stale_read;
pub mod swapped_disk;

pub use atlas::{Damage, Harm, HarmKind, HarmLog};
pub use failed_sync::AfterFailure;

use crate::profile::DiskProfile;
use crate::strikes::Strikes;

/// The state of all faults of a disk.
pub(crate) struct DiskFaults {
    pub(crate) failed_sync: failed_sync::FailedSync,
    pub(crate) io_error: io_error::IoError,
    pub(crate) latent_sector: latent_sector::LatentSector,
    pub(crate) misdirected_write: misdirected_write::MisdirectedWrite,
    pub(crate) no_space: no_space::NoSpace,
    pub(crate) slow_disk: slow_disk::SlowDisk,
    pub(crate) stale_read: stale_read::StaleRead,
    pub(crate) power_loss: power_loss::PowerLoss,
    pub(crate) split_write_ppm: u32,
    /// Whether this disk may be damaged: the atlas's word.
    pub(crate) permitted: bool,
    /// What has been damaged.
    pub(crate) harms: HarmLog,
    /// What struck.
    pub(crate) strikes: Strikes,
}

impl DiskFaults {
    pub(crate) fn new(profile: &DiskProfile) -> DiskFaults {
        DiskFaults {
            failed_sync: failed_sync::FailedSync::new(profile),
            io_error: io_error::IoError::new(profile),
            latent_sector: latent_sector::LatentSector::default(),
            misdirected_write: misdirected_write::MisdirectedWrite::new(profile),
            no_space: no_space::NoSpace::new(profile),
            slow_disk: slow_disk::SlowDisk::new(profile),
            stale_read: stale_read::StaleRead::new(profile),
            power_loss: power_loss::PowerLoss::new(profile),
            split_write_ppm: profile.split_write_ppm,
            permitted: false,
            harms: HarmLog::default(),
            strikes: Strikes::default(),
        }
    }

    /// Ends every fault that is going on, and lets none begin. What is damaged stays damaged.
    pub(crate) fn heal(&mut self) {
        self.failed_sync.heal();
        self.io_error.heal();
        self.misdirected_write.heal();
        self.no_space.heal();
        self.slow_disk.heal();
        self.stale_read.heal();
    }
}
