//! A sector that can no longer be read, until it is written again.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use crate::disk::image::SECTOR;
use crate::disk::os_error;
use crate::disk::tree::Ino;
use crate::strikes::Strikes;

#[derive(Default)]
pub(crate) struct LatentSector {
    unreadable: BTreeSet<(Ino, u64)>,
}

impl LatentSector {
    pub(crate) fn strike(&mut self, ino: Ino, sector: u64) {
        self.unreadable.insert((ino, sector));
    }

    pub(crate) fn check(
        &self,
        ino: Ino,
        range: Range<u64>,
        strikes: &mut Strikes,
    ) -> io::Result<()> {
        if self.unreadable.is_empty() || range.is_empty() {
            return Ok(());
        }
        let sectors = (ino, range.start / SECTOR)..(ino, range.end.div_ceil(SECTOR));
        match self.unreadable.range(sectors).next() {
            Some(_) => {
                strikes.hit_and_tell("damage-sector-unreadable");
                Err(os_error(libc::EIO))
            }
            None => Ok(()),
        }
    }

    /// Sectors that are written whole are remapped, and good again.
    pub(crate) fn rewritten(&mut self, ino: Ino, range: Range<u64>) {
        if !self.unreadable.is_empty() {
            let whole = range.start.div_ceil(SECTOR)..range.end / SECTOR;
            self.unreadable
                .retain(|(known, sector)| *known != ino || !whole.contains(sector));
        }
    }
}
