//! The file `durable-claims`: which bytes beyond the recovery point may have been acknowledged.
//!
//! A torn tail (written, never acknowledged) and a damaged copy of acknowledged records look alike: a batch
//! whose checksum fails. What tells them apart must be stored beside the batches, and be durable before
//! the acknowledgement (Alagappan et al., *Protocol-Aware Recovery*, FAST'18: the persist record).
//!
//! A job that makes the log durable writes a *claim* at the same time as the data and syncs both together,
//! so it costs no second round trip. A claim says two things:
//!
//! * **confirmed**: up to here an earlier job has made all durable. What fails its checks below is damaged.
//! * **intended**: up to here this job is about to make all durable. A crash in the middle of this job and
//!   damage done after it leave the same claim; the digests of the 512-byte sectors between the two marks
//!   decide. A sector is the new one (its digest fits), or one that was never written (zeros, or cut at
//!   an earlier job's end), or garbage. A missing sector proves that the job never finished: what is not
//!   whole is torn. Without one, garbage counts as damage, because the job may well have finished.
//!
//! One claim per job stands for an entry per batch, and the chain in each mark binds every batch of the
//! segment and the log's identity: the same evidence at 2 bytes per sector and no more than one small
//! write per sync.
//!
//! There are two slots, written in turn, so that a torn write of one leaves the other. Claims numbered up to
//! the floor that `log-state` names are history.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::NextOffset;

use crate::state::Mark;

/// The unit in which a disk is old or new.
pub const SECTOR: usize = 512;
/// Distance between the two slots in the file.
pub const SLOT_STRIDE: u64 = 64 << 10;
/// The most digests a claim may hold, so that a slot never reaches the next.
pub const DIGESTS_MAX: usize = 30_000;
/// The most earlier ends a claim may hold.
pub const ENDS_MAX: usize = 256;

const MAGIC: u32 = 0x4f54_4331; // "OTC1"
const FIXED: usize = 4 + 4 + 4 + 8 + 4 + 2 * MARK + 4 + 4 + 4;
const MARK: usize = 8 + 8 + 4 + 4;

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its number: one more than that of the claim before.
    pub number: u64,
    /// Up to here all was durable when the claim was written.
    pub confirmed: Mark,
    /// Up to here all is durable once the claim's job has completed.
    pub intended: Mark,
    /// The position of the first sector that has a digest; a multiple of [`SECTOR`].
    pub digests_from: u32,
    /// The digests of the sectors from there to the one that holds the end of the intended range.
    pub digests: Vec<u16>,
    /// Where earlier jobs, which were not synced, ended since the confirmed mark.
    pub ends: Vec<u32>,
}

/// The digest of a sector.
#[must_use]
pub fn digest(sector: &[u8]) -> u16 {
    let crc = crc_fast::crc32_iscsi(sector);
    (crc ^ (crc >> 16)) as u16
}

/// Digests of the sectors that were written since the durable mark, in one segment: the evidence of the next
/// claim.
#[derive(Clone, Debug, Default)]
pub struct Unsynced {
    /// Position of the first sector that has a digest.
    from: u32,
    digests: Vec<u16>,
}

impl Unsynced {
    /// Notes what was written: `blocks` from `aligned_start` on, which add the positions from `start` to
    /// `end`. Sectors that were written before have a new content now.
    pub fn note(&mut self, aligned_start: u32, start: u32, end: u32, blocks: &[u8]) {
        let sector = SECTOR as u32;
        let first = start / sector * sector;
        if self.digests.is_empty() {
            self.from = first;
        }
        for position in (first..end).step_by(SECTOR) {
            let at = (position - aligned_start) as usize;
            let digest = digest(&blocks[at..at + SECTOR]);
            let number = position
                .checked_sub(self.from)
                .map(|from| from as usize / SECTOR);
            match number {
                Some(number) if number < self.digests.len() => self.digests[number] = digest,
                Some(number) if number == self.digests.len() => self.digests.push(digest),
                _ => {
                    // Writes are adjacent: this one does not go on from what is known.
                    self.digests.clear();
                    self.digests.push(digest);
                    self.from = position;
                }
            }
        }
        if self.digests.len() > 2 * DIGESTS_MAX {
            self.forget_before(end - DIGESTS_MAX as u32 * sector);
        }
    }

    /// Everything before `position` is durable.
    pub fn forget_before(&mut self, position: u32) {
        let whole = position.saturating_sub(self.from) as usize / SECTOR;
        let whole = whole.min(self.digests.len());
        self.digests.drain(..whole);
        self.from += (whole * SECTOR) as u32;
        if self.digests.is_empty() {
            self.digests = Vec::new();
        }
    }

    /// The position of the first digest, and the digests up to the sector that `end` lies in: the newest, if
    /// there are too many for a claim.
    #[must_use]
    pub fn up_to(&self, end: u32) -> (u32, Vec<u16>) {
        let len = end.saturating_sub(self.from) as usize;
        let len = len.div_ceil(SECTOR).min(self.digests.len());
        let skipped = len.saturating_sub(DIGESTS_MAX);
        let from = self.from + (skipped * SECTOR) as u32;
        (from, self.digests[skipped..len].to_vec())
    }
}

/// What a sector holds, judged by a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorState {
    /// What the claim's job wrote.
    New,
    /// What was there before: zeros, or the tail of an earlier write and zeros.
    Missing,
    /// Neither.
    Garbage,
}

impl Claim {
    /// The slot's place in the file.
    #[must_use]
    pub fn slot_offset(&self) -> u64 {
        (self.number % 2) * SLOT_STRIDE
    }

    /// The slot's bytes. `seed` is the log's identity.
    #[must_use]
    pub fn encode(&self, seed: u32) -> Bytes {
        assert!(
            self.digests.len() <= DIGESTS_MAX,
            "a claim must fit its slot"
        );
        assert!(self.ends.len() <= ENDS_MAX, "a claim must fit its slot");
        let len = FIXED + 2 * self.digests.len() + 4 * self.ends.len();
        let mut out = BytesMut::with_capacity(len);
        out.put_u32(MAGIC);
        out.put_u32(len as u32);
        out.put_u32(seed);
        out.put_u64(self.number);
        for mark in [&self.confirmed, &self.intended] {
            out.put_i64(mark.offset.0);
            out.put_i64(mark.segment);
            out.put_u32(mark.position);
            out.put_u32(mark.chain);
        }
        out.put_u32(self.digests_from);
        out.put_u32(self.digests.len() as u32);
        out.put_u32(self.ends.len() as u32);
        for digest in &self.digests {
            out.put_u16(*digest);
        }
        for end in &self.ends {
            out.put_u32(*end);
        }
        let crc = crc_fast::crc32_iscsi(&out);
        out.put_u32(crc);
        assert_eq!(out.len(), len, "the length was computed before");
        out.freeze()
    }

    /// Reads a slot; `None` if it holds no whole claim of this log.
    #[must_use]
    pub fn decode(slot: &[u8], seed: u32) -> Option<Claim> {
        let mut bytes = slot;
        if bytes.len() < FIXED || bytes.get_u32() != MAGIC {
            return None;
        }
        let len = bytes.get_u32() as usize;
        if len < FIXED || len > slot.len() {
            return None;
        }
        let (body, crc) = slot[..len].split_at(len - 4);
        if crc_fast::crc32_iscsi(body).to_be_bytes() != crc || bytes.get_u32() != seed {
            return None;
        }
        let number = bytes.get_u64();
        let mut mark = || Mark {
            offset: NextOffset(bytes.get_i64()),
            segment: bytes.get_i64(),
            position: bytes.get_u32(),
            chain: bytes.get_u32(),
        };
        let (confirmed, intended) = (mark(), mark());
        let digests_from = bytes.get_u32();
        let digests_len = bytes.get_u32() as usize;
        let ends_len = bytes.get_u32() as usize;
        if digests_len > DIGESTS_MAX
            || ends_len > ENDS_MAX
            || FIXED + 2 * digests_len + 4 * ends_len != len
        {
            return None;
        }
        let digests = (0..digests_len).map(|_| bytes.get_u16()).collect();
        let ends = (0..ends_len).map(|_| bytes.get_u32()).collect();
        Some(Claim {
            number,
            confirmed,
            intended,
            digests_from,
            digests,
            ends,
        })
    }

    /// What the sector at `position` (a multiple of [`SECTOR`]) holds.
    /// `sector` may be short where the file ends.
    #[must_use]
    pub fn judge(&self, position: u32, sector: &[u8]) -> SectorState {
        let expected = position
            .checked_sub(self.digests_from)
            .and_then(|from| self.digests.get(from as usize / SECTOR));
        if let Some(expected) = expected {
            let mut whole = [0u8; SECTOR];
            let len = sector.len().min(SECTOR);
            whole[..len].copy_from_slice(&sector[..len]);
            if digest(&whole) == *expected {
                return SectorState::New;
            }
        }
        // An earlier content of the sector ends where a job ended that was written before this one.
        let starts = std::iter::once(&self.confirmed.position).chain(&self.ends);
        let explained = starts
            .filter(|end| **end < position + SECTOR as u32)
            .map(|end| end.saturating_sub(position) as usize)
            .any(|at| {
                sector
                    .get(at..)
                    .is_none_or(|rest| rest.iter().all(|byte| *byte == 0))
            });
        match (explained, expected) {
            (true, _) => SectorState::Missing,
            (false, Some(_)) => SectorState::Garbage,
            (false, None) => SectorState::New,
        }
    }
}

/// What the claims file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claims {
    /// The last claim that is whole. `None`: nothing was claimed since the floor.
    Intact(Option<Claim>),
    /// No slot is whole, or the file lost its end: what was claimed is unknown.
    Damaged,
}

impl Claims {
    /// Reads the file. `None` for a file that is missing or cannot be read.
    #[must_use]
    pub fn decode(file: Option<&[u8]>, seed: u32, floor: u64) -> Claims {
        let Some(file) = file else {
            return Claims::Damaged;
        };
        // Both slots are durable before the first batch is. A write cut short leaves a slot that is not whole, but
        // never none.
        if file.len() < SLOT_STRIDE as usize + FIXED {
            return Claims::Damaged;
        }
        let slot = |at: u64| {
            file.get(at as usize..)
                .and_then(|slot| Claim::decode(slot, seed))
        };
        let (a, b) = (slot(0), slot(SLOT_STRIDE));
        let last = match (a, b) {
            (None, None) => return Claims::Damaged,
            (Some(a), Some(b)) => {
                if a.number > b.number {
                    a
                } else {
                    b
                }
            }
            (Some(one), None) | (None, Some(one)) => one,
        };
        Claims::Intact((last.number > floor).then_some(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(offset: i64, position: u32) -> Mark {
        Mark {
            offset: NextOffset(offset),
            segment: 0,
            position,
            chain: 1,
        }
    }

    fn claim(number: u64) -> Claim {
        Claim {
            number,
            confirmed: mark(5, 700),
            intended: mark(9, 1600),
            digests_from: 512,
            digests: vec![
                digest(&[1; SECTOR]),
                digest(&[2; SECTOR]),
                digest(&[3; SECTOR]),
            ],
            ends: vec![],
        }
    }

    #[test]
    fn round_trip_and_every_flipped_bit_is_noticed() {
        let claim = claim(8);
        let bytes = claim.encode(77);
        assert_eq!(Claim::decode(&bytes, 77), Some(claim));
        assert_eq!(Claim::decode(&bytes, 78), None, "another log's claim");
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Claim::decode(&wrong, 77), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(Claim::decode(&bytes[..cut], 77), None);
        }
    }

    #[test]
    fn the_newer_whole_slot_counts() {
        let mut file = vec![0u8; SLOT_STRIDE as usize * 2];
        assert_eq!(Claims::decode(Some(&file), 7, 0), Claims::Damaged);
        assert_eq!(Claims::decode(None, 7, 0), Claims::Damaged);
        for number in [1, 2] {
            let claim = claim(number);
            let at = claim.slot_offset() as usize;
            let bytes = claim.encode(7);
            file[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        assert_eq!(
            Claims::decode(Some(&file), 7, 0),
            Claims::Intact(Some(claim(2)))
        );
        assert_eq!(Claims::decode(Some(&file), 7, 2), Claims::Intact(None));
        let newest = claim(2).slot_offset() as usize;
        assert_eq!(newest, 0);
        file[newest + 20] ^= 1;
        assert_eq!(
            Claims::decode(Some(&file), 7, 0),
            Claims::Intact(Some(claim(1)))
        );
        // A file that lost its end may have lost the newest.
        assert_eq!(
            Claims::decode(Some(&file[..SLOT_STRIDE as usize]), 7, 0),
            Claims::Damaged
        );
    }

    #[test]
    fn sectors_are_new_missing_or_garbage() {
        let claim = claim(1);
        assert_eq!(claim.judge(1024, &[2; SECTOR]), SectorState::New);
        assert_eq!(claim.judge(1024, &[0; SECTOR]), SectorState::Missing);
        assert_eq!(claim.judge(1024, &[]), SectorState::Missing);
        assert_eq!(claim.judge(1024, &[9; SECTOR]), SectorState::Garbage);
        // The first sector held 188 bytes (700 - 512) before the job.
        let mut old = [0u8; SECTOR];
        old[..188].fill(1);
        assert_eq!(claim.judge(512, &old), SectorState::Missing);
        old[188] = 1;
        assert_eq!(claim.judge(512, &old), SectorState::Garbage);
    }
}
