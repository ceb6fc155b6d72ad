//! What is done to the nodes while they work, as data; and the hand that does it.

mod apply;
mod disks;
pub mod supervisor;

pub use apply::apply;
pub use disks::{CLUSTER, Spares, prepare_disks};

use serde::{Deserialize, Serialize};

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// When, in simulated ms from the start of the storm.
    pub at_ms: u64,
    /// What.
    pub fault: Fault,
}

/// Something that is done to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "the fields are what the names say: ms are milliseconds of simulated time"
)]
pub enum Fault {
    /// The broker's process is killed, and started after a while.
    Kill { down_ms: u64 },
    /// The broker's machine loses its power, and gets it back after a while.
    PowerLoss { down_ms: u64 },
    /// The broker is killed or loses power again and again, each time a little after its start.
    CrashLoop { times: u32, up_ms: u64, power: bool },
    /// The broker is stopped as an operator stops it, and started after a while.
    CleanRestart { down_ms: u64, patience_ms: i64 },
    /// The broker's processor stands still.
    Pause { ms: u64, clock_goes_on: bool },
    /// A client's process is killed, and started after a while.
    KillClient { client: usize, down_ms: u64 },
    /// A client's processor stands still.
    PauseClient { client: usize, ms: u64 },
    /// The next sync fails.
    FailSync { after: AfterSync },
    /// The next reads and writes fail.
    IoErrors { reads: u32, writes: u32 },
    /// The next calls that need room are told that there is none.
    NoSpace { calls: u32 },
    /// The disk is full for a while.
    DiskFull { ms: u64, bytes_left: u64 },
    /// The disk is full, and nobody ever gives it more room: only what is deleted makes some. Takes place
    /// once there is enough that could be deleted.
    DiskFullForGood { bytes_left: u64 },
    /// The disk is slow for a while.
    SlowDisk { factor: u64, ms: u64 },
    /// Nothing completes on the disk for a while.
    StallDisk { ms: u64 },
    /// Nothing passes between the broker and a client for a while.
    Partition {
        client: usize,
        ms: u64,
        to_broker: bool,
        from_broker: bool,
    },
    /// The broker's wall clock jumps.
    WallJump { by_ms: i64 },
    /// The broker's clocks run at another rate.
    ClockRate { ppm: i64 },
    /// A bit of the broker's disk flips.
    BitRot,
    /// A sector of the broker's disk cannot be read.
    LatentSector,
    /// The next write to the broker's disk goes elsewhere.
    Misdirect,
    /// Reads give, for a while, what the next write overwrites.
    StaleReads,
    /// The broker's machine loses its power, and its disk is slow for a while after the start that follows.
    SlowBoot { down_ms: u64, factor: u64, ms: u64 },
    /// The broker's machine is off for a moment, and comes up with a disk that is not its own; after a while
    /// it gets its own back.
    ForeignDisk { whose: Whose, ms: u64 },
    /// The same with an empty disk, and with nobody about who could use what comes up.
    EmptyDisk { ms: u64 },
}

/// What the page cache makes of a failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterSync {
    /// What was to be synced is gone.
    Dropped,
    /// It is seen until it is evicted, and then gone.
    Kept,
    /// It is there to be synced again.
    Dirty,
}

/// Whose a disk is that is not the broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Another node's of the same cluster.
    OtherNode,
    /// The same node's of another cluster.
    OtherCluster,
    /// It has logs, and does not say whose.
    Nobody,
}

impl Fault {
    /// Its name, in counts and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::PowerLoss { .. } => "power-loss",
            Fault::CrashLoop { .. } => "crash-loop",
            Fault::CleanRestart { .. } => "clean-restart",
            Fault::Pause { .. } => "pause",
            Fault::KillClient { .. } => "kill-client",
            Fault::PauseClient { .. } => "pause-client",
            Fault::FailSync { .. } => "fail-sync",
            Fault::IoErrors { .. } => "io-errors",
            Fault::NoSpace { .. } => "no-space",
            Fault::DiskFull { .. } => "disk-full",
            Fault::SlowDisk { .. } => "slow-disk",
            Fault::StallDisk { .. } => "stall-disk",
            Fault::Partition { .. } => "partition",
            Fault::WallJump { .. } => "wall-jump",
            Fault::ClockRate { .. } => "clock-rate",
            Fault::BitRot => "bit-rot",
            Fault::LatentSector => "latent-sector",
            Fault::Misdirect => "misdirect",
            Fault::StaleReads => "stale-reads",
            Fault::SlowBoot { .. } => "slow-boot",
            Fault::ForeignDisk { .. } => "foreign-disk",
            Fault::EmptyDisk { .. } => "empty-disk",
            Fault::DiskFullForGood { .. } => "disk-full-for-good",
        }
    }

    /// Every name.
    pub const NAMES: [&'static str; 24] = [
        "kill",
        "power-loss",
        "crash-loop",
        "clean-restart",
        "pause",
        "kill-client",
        "pause-client",
        "fail-sync",
        "io-errors",
        "no-space",
        "disk-full",
        "slow-disk",
        "stall-disk",
        "partition",
        "wall-jump",
        "clock-rate",
        "bit-rot",
        "latent-sector",
        "misdirect",
        "stale-reads",
        "slow-boot",
        "foreign-disk",
        "empty-disk",
        "disk-full-for-good",
    ];

    /// What is counted when it takes place, beside the world's own [`world::STRIKES`]: these act at once, and
    /// only on a process that runs. A fault that merely lies in wait counts as what it does when it strikes.
    pub const ACTED: [&'static str; 16] = [
        "kill",
        "power-loss",
        "crash-loop",
        "clean-restart",
        "pause",
        "kill-client",
        "pause-client",
        "partition",
        "wall-jump-forward",
        "wall-jump-back",
        "slow-boot",
        "foreign-disk",
        "empty-disk",
        "disk-full-for-good",
        // What came of other disks: nothing of theirs was served.
        "foreign-disk-refused",
        "empty-disk-is-new",
    ];
}
