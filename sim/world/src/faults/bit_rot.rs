//! Bits that flip at rest.

use crate::disk::DiskState;
use crate::disk::tree::Ino;
use crate::faults::{Harm, HarmKind};
use crate::seed::Draw;

impl DiskState {
    /// Flips a bit of a file, on the medium and in the cache, unless a change of that page is under way.
    /// Gives back where.
    pub(crate) fn rot(&mut self, ino: Ino, offset: u64) -> Option<Harm> {
        let bit = self.rng.below(8);
        let file = self.tree.file_mut(ino)?;
        let (durable, visible) = (file.durable.read(offset, 1), file.visible.read(offset, 1));
        if durable.is_empty() || durable != visible {
            return None;
        }
        let flipped = [durable[0] ^ (1 << bit)];
        let sequence = file
            .visible
            .page(offset / crate::disk::image::PAGE)
            .map_or(0, |page| page.sequence);
        file.durable.write(offset, &flipped, sequence);
        file.visible.write(offset, &flipped, sequence);
        let path = self.tree.path_of(ino).unwrap_or_default();
        let harm = Harm {
            path,
            offset,
            len: 1,
            kind: HarmKind::BitRot,
        };
        self.faults.harms.push(harm.clone());
        Some(harm)
    }

    /// Makes a sector unreadable until it is written again.
    pub(crate) fn lose_sector(&mut self, ino: Ino, sector: u64) -> Option<Harm> {
        use crate::disk::image::SECTOR;
        self.tree
            .file(ino)
            .filter(|file| sector * SECTOR < file.durable.len())?;
        self.faults.latent_sector.strike(ino, sector);
        let path = self.tree.path_of(ino).unwrap_or_default();
        let (offset, len) = (sector * SECTOR, SECTOR);
        let harm = Harm {
            path,
            offset,
            len,
            kind: HarmKind::LatentSector,
        };
        self.faults.harms.push(harm.clone());
        Some(harm)
    }

    /// A place that is worth damaging: a file that has data, and a byte of it; headers, ends and small
    /// files more often than their share.
    pub(crate) fn choose_victim(&mut self) -> Option<(Ino, u64)> {
        let files: Vec<(Ino, u64)> = self
            .tree
            .files()
            .filter(|(ino, file)| !self.tree.is_gone(*ino) && file.durable.len() > 0)
            .map(|(ino, file)| (ino, file.durable.len()))
            .collect();
        if files.is_empty() {
            return None;
        }
        let (ino, len) = files[self.rng.index(files.len())];
        let offset = match self.rng.below(3) {
            0 => self.rng.below(len.min(128)),
            1 => len - 1 - self.rng.below(len.min(4096)),
            _ => self.rng.below(len),
        };
        Some((ino, offset))
    }
}
