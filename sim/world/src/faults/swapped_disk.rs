//! A disk that is another one: an empty one, or another node's.

use crate::disk::DiskState;
use crate::disk::tree::Tree;
use crate::faults::latent_sector::LatentSector;
use crate::faults::{Harm, HarmKind};

impl DiskState {
    /// The disk was put into another machine.
    pub(crate) fn swapped(&mut self) {
        self.faults.strikes.hit("damage-swapped");
        self.faults.stale_read.forget();
        self.harmed_whole();
    }

    fn harmed_whole(&mut self) {
        let path = "/".to_owned();
        self.faults.harms.push(Harm {
            path,
            offset: 0,
            len: 0,
            kind: HarmKind::Swapped,
        });
    }

    /// Forgets everything on the disk.
    pub(crate) fn empty(&mut self) {
        self.tree = Tree::new();
        self.faults.latent_sector = LatentSector::default();
        self.faults.stale_read.forget();
        self.recount();
        self.faults.strikes.hit_and_tell("damage-emptied");
        self.harmed_whole();
    }
}
