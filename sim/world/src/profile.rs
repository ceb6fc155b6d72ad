//! What kind of world a seed makes: which faults there are, how often, and how time passes.
//!
//! [`Profile::calm`] has no faults; [`Profile::swarm`] draws each class of fault on or off, and its rate
//! if on, so that every run explores another corner.

use std::ops::Range;

use crate::executor::Schedule;
use crate::faults::Damage;
use crate::seed::{ChaCha8Rng, Draw, Mixer};

/// What kind of world a seed makes. Chances are in millionths.
#[derive(Clone, Debug)]
pub struct Profile {
    /// How the next task is chosen.
    pub schedule: Schedule,
    /// Chance that a poll is followed by one of a task for which nothing happened.
    pub spurious_poll_ppm: u32,
    /// Most that a poll costs.
    pub poll_cost_ns_max: u64,
    /// Most by which a timer is late.
    pub timer_slack_ns_max: u64,
    /// Whether rare paths are made common ([`env::Env::buggify`]).
    pub buggify: bool,
    /// Most by which a node's clocks are fast or slow, in millionths.
    pub clock_rate_ppm_max: u32,
    /// Most by which a node's wall clock is off.
    pub wall_offset_ms_max: u64,
    /// The network.
    pub network: NetworkProfile,
    /// Every disk.
    pub disk: DiskProfile,
    /// When a run is taken to hang.
    pub limits: Limits,
}

/// When a run is taken to hang.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most polls in a run.
    pub polls_max: u64,
    /// Most polls without the time going on.
    pub polls_at_one_moment_max: u64,
}

/// How the network behaves. Chances are per connection where nothing else is said.
#[derive(Clone, Debug)]
pub struct NetworkProfile {
    /// Base delay of a pair of nodes, from .. to; each piece then draws around it, with a heavy tail.
    pub delay_ns: Range<u64>,
    /// Window of a connection in bytes, from .. to.
    pub window: Range<u64>,
    /// Chance, per write, that it is cut into pieces.
    pub cut_ppm: u32,
    /// Chance, per write, that it is glued to the one before.
    pub glue_ppm: u32,
    /// Chance, per write, that it takes only a part.
    pub short_write_ppm: u32,
    /// Chance, per read, that it gives only a part.
    pub short_read_ppm: u32,
    /// Chance, per direction, of a reset at some byte.
    pub reset_ppm: u32,
    /// Chance, per direction, of a stall at some byte.
    pub stall_ppm: u32,
    /// Longest stall.
    pub stall_ns_max: u64,
    /// Chance, per direction, of silence after some byte.
    pub silent_ppm: u32,
    /// Such things happen within so many bytes.
    pub fate_bytes_max: u64,
    /// Chance that a connection is refused.
    pub refuse_ppm: u32,
    /// Chance that nobody ever answers.
    pub blackhole_ppm: u32,
    /// Chance, per attempt, that the backlog is taken to be full.
    pub backlog_full_ppm: u32,
    /// Chance, per accept, of an error that passes.
    pub accept_error_ppm: u32,
    /// Connections that may wait to be accepted.
    pub backlog: usize,
    /// How long a client waits for an answer.
    pub connect_timeout_ns: u64,
    /// How long a sender retransmits before it gives up, from .. to.
    pub retransmit_ns: Range<u64>,
}

/// How a disk behaves. Chances are per call.
#[derive(Clone, Debug)]
pub struct DiskProfile {
    /// Room.
    pub capacity_bytes: u64,
    /// Base cost of a read.
    pub read_ns: u64,
    /// Base cost of a write.
    pub write_ns: u64,
    /// Base cost of a sync.
    pub sync_ns: u64,
    /// Base cost of a change of names, lengths and the like.
    pub meta_ns: u64,
    /// Cost of each KiB.
    pub kib_ns: u64,
    /// Chance, per call, that the disk is slow for a while from here on.
    pub slow_ppm: u32,
    /// Chance, per call, that the disk stalls.
    pub stall_ppm: u32,
    /// Chance, per write, that its first part is seen before the rest.
    pub split_write_ppm: u32,
    /// Chance, per read, of an error.
    pub read_error_ppm: u32,
    /// Chance, per write, of an error.
    pub write_error_ppm: u32,
    /// Chance that an error of a read or write stays, for its range.
    pub sticky_error_ppm: u32,
    /// Chance, per sync, of an error.
    pub sync_error_ppm: u32,
    /// Chance, per write or new name, that the disk is full just now.
    pub no_space_ppm: u32,
    /// Chance, per write, that it lands elsewhere. Damage.
    pub misdirect_ppm: u32,
    /// Chance, per write, that reads give the old bytes for a while. Damage.
    pub stale_ppm: u32,
    /// Chance, per rewritten sector at a power loss, that it turns to garbage. Damage.
    pub tail_garbage_ppm: u32,
    /// Whether new sectors that a power loss tore may hold garbage. Not damage: they held nothing.
    pub garbage_in_new_sectors: bool,
    /// Which damage there may be at all: see [`crate::faults::atlas`].
    pub damage: Damage,
}

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const GIB: u64 = 1 << 30;

impl Profile {
    /// A world in which nothing breaks. Delays still have their tails, writes are still cut and glued.
    #[must_use]
    pub fn calm() -> Profile {
        Profile {
            schedule: Schedule::Uniform,
            spurious_poll_ppm: 0,
            poll_cost_ns_max: 0,
            timer_slack_ns_max: 0,
            buggify: false,
            clock_rate_ppm_max: 0,
            wall_offset_ms_max: 0,
            network: NetworkProfile::calm(),
            disk: DiskProfile::calm(),
            limits: Limits {
                polls_max: 200_000_000,
                polls_at_one_moment_max: 1_000_000,
            },
        }
    }

    /// A world drawn from `seed`: each class of fault is off in about half of all seeds.
    #[must_use]
    pub fn swarm(seed: u64, damage: Damage) -> Profile {
        let mut rng = Mixer::new(seed).with("swarm").stream();
        let rng = &mut rng;
        let schedule = match rng.below(10) {
            0..7 => Schedule::Uniform,
            _ => Schedule::Priorities {
                shuffle_every: rng.magnitude(100, 100_000),
            },
        };
        Profile {
            schedule,
            spurious_poll_ppm: sometimes(rng, 100, 50_000),
            poll_cost_ns_max: u64::from(sometimes(rng, 100, 50_000)),
            timer_slack_ns_max: u64::from(sometimes(rng, 1_000, 5_000_000)),
            buggify: rng.coin(),
            clock_rate_ppm_max: sometimes(rng, 10, 50_000),
            wall_offset_ms_max: u64::from(sometimes(rng, 1, 86_400_000)),
            network: NetworkProfile::swarm(rng),
            disk: DiskProfile::swarm(rng, damage),
            limits: Profile::calm().limits,
        }
    }
}

/// Zero in half of all draws, and otherwise of any order of magnitude in the range.
fn sometimes(rng: &mut ChaCha8Rng, low: u64, high: u64) -> u32 {
    let (on, value) = (rng.coin(), rng.magnitude(low, high));
    if on { value as u32 } else { 0 }
}

impl NetworkProfile {
    /// No faults.
    #[must_use]
    pub fn calm() -> NetworkProfile {
        NetworkProfile {
            delay_ns: 20_000..500_000,
            window: 65_536..1_048_576,
            cut_ppm: 50_000,
            glue_ppm: 300_000,
            short_write_ppm: 20_000,
            short_read_ppm: 20_000,
            reset_ppm: 0,
            stall_ppm: 0,
            stall_ns_max: 0,
            silent_ppm: 0,
            fate_bytes_max: 1 << 20,
            refuse_ppm: 0,
            blackhole_ppm: 0,
            backlog_full_ppm: 0,
            accept_error_ppm: 0,
            backlog: 1024,
            connect_timeout_ns: 130 * SECOND,
            retransmit_ns: 30 * SECOND..900 * SECOND,
        }
    }

    /// No connection that is made from now on breaks.
    pub(crate) fn heal(&mut self) {
        for chance in [
            &mut self.reset_ppm,
            &mut self.stall_ppm,
            &mut self.silent_ppm,
            &mut self.refuse_ppm,
            &mut self.blackhole_ppm,
            &mut self.backlog_full_ppm,
            &mut self.accept_error_ppm,
        ] {
            *chance = 0;
        }
    }

    fn swarm(rng: &mut ChaCha8Rng) -> NetworkProfile {
        let slowest = rng.magnitude(50_000, 50 * MS);
        let window = rng.magnitude(1, 1 << 20);
        NetworkProfile {
            delay_ns: slowest / 10..slowest,
            window: window / 16 + 1..window + 1,
            cut_ppm: rng.magnitude(1_000, 900_000) as u32,
            glue_ppm: rng.magnitude(1_000, 900_000) as u32,
            short_write_ppm: sometimes(rng, 1_000, 500_000),
            short_read_ppm: sometimes(rng, 1_000, 500_000),
            reset_ppm: sometimes(rng, 1_000, 500_000),
            stall_ppm: sometimes(rng, 1_000, 500_000),
            stall_ns_max: rng.magnitude(10 * MS, 60 * SECOND),
            silent_ppm: sometimes(rng, 1_000, 200_000),
            fate_bytes_max: rng.magnitude(64, 1 << 24),
            refuse_ppm: sometimes(rng, 1_000, 300_000),
            blackhole_ppm: sometimes(rng, 1_000, 100_000),
            backlog_full_ppm: sometimes(rng, 1_000, 100_000),
            accept_error_ppm: sometimes(rng, 1_000, 100_000),
            backlog: rng.magnitude(1, 1024) as usize,
            connect_timeout_ns: rng.magnitude(SECOND, 130 * SECOND),
            retransmit_ns: 5 * SECOND..rng.magnitude(10 * SECOND, 900 * SECOND),
        }
    }
}

impl DiskProfile {
    /// No faults.
    #[must_use]
    pub fn calm() -> DiskProfile {
        DiskProfile {
            capacity_bytes: 64 * GIB,
            read_ns: 20_000,
            write_ns: 10_000,
            sync_ns: 300_000,
            meta_ns: 5_000,
            kib_ns: 300,
            slow_ppm: 0,
            stall_ppm: 0,
            split_write_ppm: 10_000,
            read_error_ppm: 0,
            write_error_ppm: 0,
            sticky_error_ppm: 0,
            sync_error_ppm: 0,
            no_space_ppm: 0,
            misdirect_ppm: 0,
            stale_ppm: 0,
            tail_garbage_ppm: 0,
            garbage_in_new_sectors: true,
            damage: Damage::None,
        }
    }

    fn swarm(rng: &mut ChaCha8Rng, damage: Damage) -> DiskProfile {
        DiskProfile {
            read_ns: rng.magnitude(1_000, MS),
            write_ns: rng.magnitude(1_000, MS),
            sync_ns: rng.magnitude(10_000, 20 * MS),
            meta_ns: rng.magnitude(1_000, MS),
            kib_ns: rng.magnitude(50, 20_000),
            slow_ppm: sometimes(rng, 10, 10_000),
            stall_ppm: sometimes(rng, 10, 10_000),
            split_write_ppm: sometimes(rng, 1_000, 500_000),
            read_error_ppm: sometimes(rng, 10, 5_000),
            write_error_ppm: sometimes(rng, 10, 5_000),
            sticky_error_ppm: sometimes(rng, 10_000, 500_000),
            sync_error_ppm: sometimes(rng, 10, 5_000),
            no_space_ppm: sometimes(rng, 10, 5_000),
            misdirect_ppm: sometimes(rng, 10, 5_000),
            stale_ppm: sometimes(rng, 10, 5_000),
            tail_garbage_ppm: sometimes(rng, 1_000, 300_000),
            garbage_in_new_sectors: rng.coin(),
            damage,
            ..DiskProfile::calm()
        }
    }
}
