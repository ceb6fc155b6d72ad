//! What is left on the medium when the power fails.
//!
//! Of the changes that no sync covered, any subset is there, and a write in any subset of its sectors.
//! Some losses are orderly all the same: nothing is lost, or everything, or all after some moment; real
//! machines do that too, and code that expects chaos may fail on order.

use bytes::Bytes;

use crate::disk::DiskState;
use crate::disk::calls::Request;
use crate::disk::file::{Change, FileNode};
use crate::disk::image::{Image, SECTOR};
use crate::executor::TimerId;
use crate::faults::{Harm, HarmKind};
use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, Draw};
use crate::strikes::Strikes;

/// What a power loss leaves of changes that are not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// The first so many changes of each file, and of the names.
    Prefix,
    /// Any of them, each with this chance in millionths; writes may be torn.
    Any(u32),
}

/// A piece of what is not durable: the medium holds it or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A name that was made, removed or renamed.
    Name {
        /// The name, within its directory.
        name: &'a str,
    },
    /// A file was cut or lengthened.
    Length {
        /// The file, among those with unsynced changes.
        file: u64,
        /// The new length.
        len: u64,
    },
    /// A sector, or the part of it that a write covered.
    Sector {
        /// The file, among those with unsynced changes.
        file: u64,
        /// The sector's number in the file.
        sector: u64,
    },
}

/// Decides on each piece in turn, in the order in which the changes were made, names first.
pub type Keep<'a> = &'a mut dyn FnMut(Piece<'_>) -> bool;

pub(crate) struct PowerLoss {
    tail_garbage_ppm: u32,
    garbage_in_new_sectors: bool,
    permitted: bool,
}

impl PowerLoss {
    pub(crate) fn new(profile: &DiskProfile) -> PowerLoss {
        PowerLoss {
            tail_garbage_ppm: profile.tail_garbage_ppm,
            garbage_in_new_sectors: profile.garbage_in_new_sectors,
            permitted: false,
        }
    }

    pub(crate) fn permit(&mut self, permitted: bool) {
        self.permitted = permitted;
    }
}

impl Leaves {
    /// Draws one.
    pub(crate) fn draw(rng: &mut ChaCha8Rng) -> Leaves {
        match rng.below(10) {
            0 => Leaves::Nothing,
            1 => Leaves::Everything,
            2..4 => Leaves::Prefix,
            _ => Leaves::Any(rng.between(50_000, 950_000) as u32),
        }
    }
}

impl DiskState {
    /// Ends the process that uses the disk, and what was not durable; gives back timers to be cancelled.
    pub(crate) fn lose_power(&mut self, now: u64, leaves: Leaves) -> Vec<TimerId> {
        // Calls under way are changes that are not durable, or that never came to be.
        let calls = self.calls.take_all();
        let mut timers = Vec::new();
        for call in calls {
            timers.extend(call.timers.into_iter().flatten());
            let durable_at_once =
                matches!(call.request, Request::Sync { .. } | Request::SyncDir { .. });
            if call.result.is_none()
                && call.request.changes()
                && !durable_at_once
                && self.rng.coin()
            {
                let _ = self.execute(now, &call.request);
            }
        }
        let changes = std::mem::take(&mut self.tree.changes);
        let mut left = self.rng.index(changes.len() + 1);
        let (rng, strikes) = (&mut self.rng, &mut self.faults.strikes);
        self.tree.settle(changes, |_| {
            let keep = match leaves {
                Leaves::Nothing => false,
                Leaves::Everything => true,
                Leaves::Prefix => {
                    let keep = left > 0;
                    left = left.saturating_sub(1);
                    keep
                }
                Leaves::Any(ppm) => rng.chance(ppm),
            };
            if !keep {
                strikes.hit("crash-name-lost");
            }
            keep
        });
        self.tree.remount();
        let inos: Vec<u64> = self.tree.files().map(|(ino, _)| ino).collect();
        for ino in inos {
            let Some(file) = self.tree.file_mut(ino) else {
                continue;
            };
            let faults = &mut self.faults;
            let garbled = lose(
                &mut self.rng,
                &faults.power_loss,
                &mut faults.strikes,
                file,
                leaves,
            );
            for (offset, len) in garbled {
                let path = self.tree.path_of(ino).unwrap_or_default();
                self.faults.harms.push(Harm {
                    path,
                    offset,
                    len,
                    kind: HarmKind::TailGarbage,
                });
            }
        }
        self.process_died();
        timers
    }
}

impl DiskState {
    /// Ends the process that uses the disk, and leaves of what was not durable exactly the pieces that
    /// `keep` wants. Calls under way count as made.
    pub(crate) fn lose_power_keeping(&mut self, now: u64, keep: Keep<'_>) -> Vec<TimerId> {
        let mut timers = Vec::new();
        for call in self.calls.take_all() {
            timers.extend(call.timers.into_iter().flatten());
            let durable_at_once =
                matches!(call.request, Request::Sync { .. } | Request::SyncDir { .. });
            if call.result.is_none() && call.request.changes() && !durable_at_once {
                let _ = self.execute(now, &call.request);
            }
        }
        let changes = std::mem::take(&mut self.tree.changes);
        self.tree
            .settle(changes, |change| keep(Piece::Name { name: &change.name }));
        self.tree.remount();
        let inos: Vec<u64> = self.tree.files().map(|(ino, _)| ino).collect();
        for ino in inos {
            let Some(file) = self.tree.file_mut(ino) else {
                continue;
            };
            for change in std::mem::take(&mut file.pending) {
                match change.change {
                    Change::SetLen(len) => {
                        if keep(Piece::Length { file: ino, len }) {
                            file.durable.set_len(len, change.sequence);
                        }
                    }
                    Change::Write { offset, data } => {
                        let end = offset + data.len() as u64;
                        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
                            if keep(Piece::Sector { file: ino, sector }) {
                                let from = offset.max(sector * SECTOR);
                                let until = end.min((sector + 1) * SECTOR);
                                let part = (from - offset) as usize..(until - offset) as usize;
                                file.durable.write(from, &data[part], change.sequence);
                            }
                        }
                    }
                }
            }
            file.visible = file.durable.clone();
            file.phantom.clear();
        }
        self.process_died();
        timers
    }
}

/// Leaves of a file what is on the medium. Gives back the rewritten sectors that turned to garbage.
fn lose(
    rng: &mut ChaCha8Rng,
    fault: &PowerLoss,
    strikes: &mut Strikes,
    file: &mut FileNode,
    leaves: Leaves,
) -> Vec<(u64, u64)> {
    let before = if file.pending.is_empty() {
        Image::default()
    } else {
        file.durable.clone()
    };
    let pending = std::mem::take(&mut file.pending);
    let mut left = rng.index(pending.len() + 1);
    let mut garbled = Vec::new();
    for change in &pending {
        let whole = match leaves {
            Leaves::Nothing => false,
            Leaves::Everything => true,
            Leaves::Prefix => {
                let keep = left > 0;
                left = left.saturating_sub(1);
                if left == 0
                    && keep
                    && let Change::Write { offset, data } = &change.change
                {
                    // The last one is cut at a sector.
                    let sectors = (data.len() as u64).div_ceil(SECTOR);
                    let end =
                        ((offset / SECTOR + rng.below(sectors + 1)) * SECTOR).max(*offset) - offset;
                    let part = data.slice(..(end as usize).min(data.len()));
                    if part.len() < data.len() {
                        strikes.hit("crash-write-torn");
                    }
                    file.durable.write(*offset, &part, change.sequence);
                    continue;
                }
                keep
            }
            Leaves::Any(ppm) => rng.chance(ppm),
        };
        match &change.change {
            Change::SetLen(len) if whole => {
                file.durable.set_len(*len, change.sequence);
            }
            Change::SetLen(_) => {}
            Change::Write { offset, data } if whole => {
                file.durable.write(*offset, data, change.sequence);
            }
            Change::Write { offset, data } => {
                if !matches!(leaves, Leaves::Any(_)) {
                    strikes.hit("crash-write-lost");
                } else {
                    tear(
                        rng,
                        fault,
                        strikes,
                        file,
                        *offset,
                        data,
                        change.sequence,
                        &mut garbled,
                        &before,
                    );
                }
            }
        }
    }
    file.visible = file.durable.clone();
    file.phantom.clear();
    garbled
}

/// Writes any subset of the sectors of a write.
fn tear(
    rng: &mut ChaCha8Rng,
    fault: &PowerLoss,
    strikes: &mut Strikes,
    file: &mut FileNode,
    offset: u64,
    data: &Bytes,
    sequence: u64,
    garbled: &mut Vec<(u64, u64)>,
    before: &Image,
) {
    let end = offset + data.len() as u64;
    // The length may be there without the bytes.
    if rng.below(4) == 0 {
        if file.durable.len() < end {
            strikes.hit("crash-length-without-bytes");
        }
        file.durable.grow(end);
    }
    if rng.coin() {
        strikes.hit("crash-write-lost");
        return;
    }
    let keep_ppm = rng.between(1, 999_999) as u32;
    let mut lost = 0;
    for sector in offset / SECTOR..end.div_ceil(SECTOR) {
        let from = offset.max(sector * SECTOR);
        let until = end.min((sector + 1) * SECTOR);
        let is_new = !before.has_sector(sector);
        let garbage = if is_new {
            fault.garbage_in_new_sectors && rng.chance(50_000)
        } else {
            fault.permitted && rng.chance(fault.tail_garbage_ppm)
        };
        if garbage {
            let mut noise = [0u8; SECTOR as usize];
            for chunk in noise.chunks_exact_mut(8) {
                chunk.copy_from_slice(&rng.word().to_le_bytes());
            }
            lost += 1;
            strikes.hit_and_tell(if is_new {
                "crash-garbage-in-new-sector"
            } else {
                "damage-tail-garbage"
            });
            if is_new {
                let part = &noise[(from % SECTOR) as usize..][..(until - from) as usize];
                file.durable.write(from, part, sequence);
            } else {
                let until = ((sector + 1) * SECTOR).min(file.durable.len().max(until));
                let len = until - sector * SECTOR;
                file.durable
                    .write(sector * SECTOR, &noise[..len as usize], sequence);
                garbled.push((sector * SECTOR, len));
            }
        } else if rng.chance(keep_ppm) {
            let part = &data[(from - offset) as usize..(until - offset) as usize];
            file.durable.write(from, part, sequence);
        } else {
            lost += 1;
        }
    }
    if lost > 0 {
        strikes.hit("crash-write-torn");
    }
}
