//! Heavy tails, stalls of seconds, and disks that are slow for minutes.

use crate::disk::calls::Kind;
use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, Draw};
use crate::strikes::Strikes;

pub(crate) struct SlowDisk {
    profile: DiskProfile,
    slow_until: u64,
    slow_factor: u64,
    stalled_until: u64,
    on: bool,
}

impl SlowDisk {
    pub(crate) fn new(profile: &DiskProfile) -> SlowDisk {
        SlowDisk {
            profile: profile.clone(),
            slow_until: 0,
            slow_factor: 1,
            stalled_until: 0,
            on: true,
        }
    }

    /// Makes the disk `factor` times as slow until `until`.
    pub(crate) fn slow(&mut self, until: u64, factor: u64) {
        (self.slow_until, self.slow_factor) = (until, factor.max(1));
    }

    /// Lets nothing complete before `until`.
    pub(crate) fn stall(&mut self, until: u64) {
        self.stalled_until = self.stalled_until.max(until);
    }

    pub(crate) fn heal(&mut self) {
        (self.slow_until, self.stalled_until, self.on) = (0, 0, false);
    }

    /// How long a call takes.
    pub(crate) fn latency(
        &mut self,
        rng: &mut ChaCha8Rng,
        now: u64,
        kind: Kind,
        bytes: u64,
        strikes: &mut Strikes,
    ) -> u64 {
        if self.on && rng.chance(self.profile.slow_ppm) {
            let until = now + rng.magnitude(10_000_000, 300_000_000_000);
            self.slow(until, rng.magnitude(2, 100));
        }
        if self.on && rng.chance(self.profile.stall_ppm) {
            self.stall(now + rng.magnitude(10_000_000, 10_000_000_000));
        }
        let base = match kind {
            Kind::Read => self.profile.read_ns,
            Kind::Write => self.profile.write_ns,
            Kind::Sync => self.profile.sync_ns,
            Kind::Meta => self.profile.meta_ns,
        };
        let mut cost = rng.heavy_tail(base) + bytes / 1024 * self.profile.kib_ns;
        if now < self.slow_until {
            cost = cost.saturating_mul(self.slow_factor);
            strikes.hit("disk-slow");
        }
        if now < self.stalled_until {
            strikes.hit("disk-stalled");
        }
        cost + self.stalled_until.saturating_sub(now)
    }
}
