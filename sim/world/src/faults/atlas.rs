//! How much may be damaged, so that a loss is always a bug.
//!
//! Of each group of disks that hold copies of the same data, one, drawn from the seed, is never damaged.
//! A disk that holds the only copy is damaged only in runs whose oracle knows that: there a broken record
//! may be reported as broken, but neither served nor left out in silence.

use std::sync::{Arc, Mutex, PoisonError};

use crate::seed::{Draw, Mixer};

/// What an oracle can cope with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// No damage: power losses, kills, errors that are reported, and slowness only.
    None,
    /// The oracle knows that damaged data may be reported as such.
    Reported,
    /// Of disks that hold copies of the same data, all but one may be damaged.
    AllButOne {
        /// How many disks hold copies: disks 0..copies are one group, and so on.
        copies: u32,
    },
}

impl Damage {
    /// Whether a disk may be damaged.
    #[must_use]
    pub fn permits(self, seed: u64, disk: u32) -> bool {
        match self {
            Damage::None => false,
            Damage::Reported => true,
            Damage::AllButOne { copies } => {
                let copies = copies.max(1);
                let group = disk / copies;
                let mut rng = Mixer::new(seed).with("atlas").with(group).stream();
                rng.below(u64::from(copies)) != u64::from(disk % copies)
            }
        }
    }
}

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HarmKind {
    /// Bits flipped.
    BitRot,
    /// A sector that cannot be read until it is written again.
    LatentSector,
    /// A write went here instead of where it was meant to go.
    MisdirectedHere,
    /// A write never came here.
    MisdirectedAway,
    /// Reads give old bytes for a while.
    StaleRead,
    /// A read failed, once or for good. The bytes are there, but whoever reads is not to know.
    Unreadable,
    /// A sector that was being rewritten at a power loss holds garbage.
    TailGarbage,
    /// The disk was emptied, or another one was put in its place.
    Swapped,
}

/// Damage that was done, for oracles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Harm {
    /// The file, as it was called then.
    pub path: String,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
    /// What was done.
    pub kind: HarmKind,
}

/// What was done to a disk so far, in order; for oracles, which may keep a hold of it while the world turns.
#[derive(Clone, Debug, Default)]
pub struct HarmLog(Arc<Mutex<Vec<Harm>>>);

impl HarmLog {
    pub(crate) fn push(&self, harm: Harm) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(harm);
    }

    /// All after the first `known`.
    #[must_use]
    pub fn after(&self, known: usize) -> Vec<Harm> {
        let harms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        harms.get(known..).unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_in_each_group_is_spared() {
        let mut spared = [0; 3];
        for seed in 0..300 {
            for group in 0..2 {
                let disks = group * 3..group * 3 + 3;
                let good: Vec<u32> = disks
                    .filter(|disk| !Damage::AllButOne { copies: 3 }.permits(seed, *disk))
                    .collect();
                assert_eq!(good.len(), 1);
                spared[good[0] as usize % 3] += 1;
            }
            assert!(
                !Damage::AllButOne { copies: 1 }.permits(seed, 0),
                "an only copy is spared"
            );
        }
        assert!(spared.iter().all(|count| *count > 100), "{spared:?}");
    }
}
