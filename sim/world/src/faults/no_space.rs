//! A disk that is full, for as long as it is.

use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, Draw};
use crate::strikes::Strikes;

pub(crate) struct NoSpace {
    ppm: u32,
    armed: u32,
    full_until: u64,
}

impl NoSpace {
    pub(crate) fn new(profile: &DiskProfile) -> NoSpace {
        NoSpace {
            ppm: profile.no_space_ppm,
            armed: 0,
            full_until: 0,
        }
    }

    /// Makes the next calls that need room fail.
    pub(crate) fn arm(&mut self, calls: u32) {
        self.armed += calls;
    }

    pub(crate) fn heal(&mut self) {
        (self.ppm, self.armed, self.full_until) = (0, 0, 0);
    }

    /// Whether this call, which needs room, is told that there is none.
    pub(crate) fn strikes(&mut self, rng: &mut ChaCha8Rng, now: u64, told: &mut Strikes) -> bool {
        if self.armed > 0 {
            self.armed -= 1;
            told.hit_and_tell("disk-no-space");
            return true;
        }
        if rng.chance(self.ppm) {
            // Somebody else's files: gone in a moment, or after a while.
            self.full_until = now + rng.magnitude(1, 10_000_000_000);
        }
        let full = now < self.full_until;
        if full {
            told.hit_and_tell("disk-no-space");
        }
        full
    }
}
