//! A write that lands elsewhere: at another place of the same file, or in another file.

use crate::disk::image::SECTOR;
use crate::disk::tree::{Ino, Tree};
use crate::faults::{Harm, HarmKind, HarmLog};
use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, Draw};

pub(crate) struct MisdirectedWrite {
    ppm: u32,
    armed: bool,
    permitted: bool,
}

impl MisdirectedWrite {
    pub(crate) fn new(profile: &DiskProfile) -> MisdirectedWrite {
        MisdirectedWrite {
            ppm: profile.misdirect_ppm,
            armed: false,
            permitted: false,
        }
    }

    pub(crate) fn permit(&mut self, permitted: bool) {
        self.permitted = permitted;
    }

    /// Makes the next write go astray.
    pub(crate) fn arm(&mut self) {
        self.armed = true;
    }

    pub(crate) fn heal(&mut self) {
        (self.ppm, self.armed) = (0, false);
    }

    /// Where a write goes instead, if it goes astray.
    pub(crate) fn redirect(
        &mut self,
        rng: &mut ChaCha8Rng,
        tree: &Tree,
        harms: &HarmLog,
        ino: Ino,
        offset: u64,
        len: u64,
    ) -> Option<(Ino, u64)> {
        let armed = std::mem::take(&mut self.armed);
        if !self.permitted || len == 0 || !(armed || rng.chance(self.ppm)) {
            return None;
        }
        // The controller's mistake is in the address: the place is aligned as the right one was, and
        // within what exists, for a disk has no idea of the ends of files.
        let others: Vec<(Ino, u64)> = tree
            .files()
            .filter(|(_, file)| file.durable.len() >= len)
            .map(|(ino, file)| (ino, file.durable.len()))
            .collect();
        if others.is_empty() {
            return None;
        }
        let (other, room) = others[rng.index(others.len())];
        let sectors = (room - len) / SECTOR + 1;
        let at = rng.below(sectors) * SECTOR + offset % SECTOR;
        if (other == ino && at == offset) || at + len > room {
            return None;
        }
        for (ino, offset, kind) in [
            (ino, offset, HarmKind::MisdirectedAway),
            (other, at, HarmKind::MisdirectedHere),
        ] {
            let path = tree.path_of(ino).unwrap_or_default();
            harms.push(Harm {
                path,
                offset,
                len,
                kind,
            });
        }
        Some((other, at))
    }
}
