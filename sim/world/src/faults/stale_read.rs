//! Reads that give what was there before the last write.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::disk::file::pages_of;
use crate::disk::image::{Image, Page};
use crate::disk::tree::Ino;
use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, Draw};
use crate::strikes::Strikes;

/// What was there, and until when it is seen.
struct Old {
    until: u64,
    page: Option<Page>,
}

pub(crate) struct StaleRead {
    ppm: u32,
    armed: bool,
    permitted: bool,
    old: BTreeMap<(Ino, u64), Old>,
}

impl StaleRead {
    pub(crate) fn new(profile: &DiskProfile) -> StaleRead {
        StaleRead {
            ppm: profile.stale_ppm,
            armed: false,
            permitted: false,
            old: BTreeMap::new(),
        }
    }

    pub(crate) fn permit(&mut self, permitted: bool) {
        self.permitted = permitted;
    }

    /// Makes reads give what the next write overwrites.
    pub(crate) fn arm(&mut self) {
        self.armed = true;
    }

    /// The disk is another one.
    pub(crate) fn forget(&mut self) {
        self.old.clear();
    }

    pub(crate) fn heal(&mut self) {
        (self.ppm, self.armed) = (0, false);
        self.old.clear();
    }

    /// Before a write: perhaps what it overwrites will be seen for a while yet. Gives back whether.
    pub(crate) fn remember(
        &mut self,
        rng: &mut ChaCha8Rng,
        now: u64,
        ino: Ino,
        before: &Image,
        offset: u64,
        len: u64,
    ) -> bool {
        if !self.old.is_empty() {
            for page in pages_of(offset, len) {
                self.old.remove(&(ino, page));
            }
        }
        let armed = std::mem::take(&mut self.armed);
        if !self.permitted || len == 0 || !(armed || rng.chance(self.ppm)) {
            return false;
        }
        let until = now + rng.magnitude(1_000_000, 10_000_000_000);
        for page in pages_of(offset, len) {
            self.old.insert(
                (ino, page),
                Old {
                    until,
                    page: before.page(page).cloned(),
                },
            );
        }
        true
    }

    /// What a read sees instead of what is there, if anything.
    pub(crate) fn substitute(
        &mut self,
        now: u64,
        ino: Ino,
        now_there: &Image,
        range: Range<u64>,
        strikes: &mut Strikes,
    ) -> Option<Image> {
        if self.old.is_empty() {
            return None;
        }
        self.old.retain(|_, old| old.until > now);
        let pages = pages_of(range.start, range.end.saturating_sub(range.start));
        let mut seen: Option<Image> = None;
        for ((_, page), old) in self.old.range((ino, pages.start)..(ino, pages.end)) {
            seen.get_or_insert_with(|| now_there.clone())
                .put_page(*page, old.page.clone());
        }
        if seen.is_some() {
            strikes.hit_and_tell("damage-stale-read");
        }
        seen
    }
}
