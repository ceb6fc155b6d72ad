//! Bits that flip at rest.

use std::collections::BTreeMap;

use crate::disk::DiskState;
use crate::disk::image::PAGE;
use crate::disk::tree::Ino;
use crate::faults::{Harm, HarmKind};
use crate::seed::Draw;

/// Places to look at for one that can be damaged.
const TRIES: usize = 16;

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
            .page(offset / PAGE)
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
        self.faults.strikes.hit_and_tell("damage-bit-rot");
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

    /// A place that is worth damaging: a byte that is durable, and that calls see as it is on the medium.
    ///
    /// Kinds of files have equal chances, however many there are of each: logs, indexes, and whatever else
    /// has an ending of its own or a name that occurs in many directories, such as checkpoints; so a vote
    /// of one sector is hit as often as a hundred segments. The first file of all, and with it a node's own
    /// log, is among them. Within a file its first bytes, its last ones, and heads of pages that hold
    /// something (where batches begin) are preferred.
    pub(crate) fn choose_victim(&mut self) -> Option<(Ino, u64)> {
        let mut kinds: BTreeMap<String, Vec<(Ino, u64)>> = BTreeMap::new();
        for (ino, file) in self.tree.files() {
            if self.tree.is_gone(ino) || file.durable.page_indexes().next().is_none() {
                continue;
            }
            let path = self.tree.path_of(ino).unwrap_or_default();
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let kind = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
            let len = file.durable.len();
            kinds.entry(kind.to_owned()).or_default().push((ino, len));
            // A directory that begins like this is the node's own business.
            if dir
                .rsplit('/')
                .next()
                .is_some_and(|dir| dir.starts_with("__"))
            {
                kinds
                    .entry(format!("__.{kind}"))
                    .or_default()
                    .push((ino, len));
            }
        }
        let count = kinds.len();
        if count == 0 {
            return None;
        }
        // What is under way just there cannot be damaged: another place then.
        for _ in 0..TRIES {
            let files = kinds.values().nth(self.rng.index(count))?;
            let (ino, len) = files[self.rng.index(files.len())];
            let pages: Vec<u64> = self.tree.file(ino)?.durable.page_indexes().collect();
            let page = pages[self.rng.index(pages.len())] * PAGE;
            let offset = match self.rng.below(4) {
                0 => self.rng.below(len.min(128)),
                1 => len - 1 - self.rng.below(len.min(4096)),
                2 => (page + self.rng.below(64)).min(len - 1),
                _ => (page + self.rng.below(PAGE)).min(len - 1),
            };
            let file = self.tree.file(ino)?;
            let (durable, visible) = (file.durable.read(offset, 1), file.visible.read(offset, 1));
            if !durable.is_empty() && durable == visible {
                return Some((ino, offset));
            }
        }
        None
    }
}
