//! Reads and writes that fail: once, or wherever they touch a range from then on.

use std::io;
use std::ops::Range;

use crate::disk::os_error;
use crate::disk::tree::Ino;
use crate::profile::DiskProfile;
use crate::seed::{ChaCha8Rng, Draw};
use crate::strikes::Strikes;

pub(crate) struct IoError {
    read_ppm: u32,
    write_ppm: u32,
    sticky_ppm: u32,
    read_armed: u32,
    write_armed: u32,
    sticky: Vec<(Ino, Range<u64>)>,
}

impl IoError {
    pub(crate) fn new(profile: &DiskProfile) -> IoError {
        IoError {
            read_ppm: profile.read_error_ppm,
            write_ppm: profile.write_error_ppm,
            sticky_ppm: profile.sticky_error_ppm,
            read_armed: 0,
            write_armed: 0,
            sticky: Vec::new(),
        }
    }

    /// Makes the next reads and writes fail.
    pub(crate) fn arm(&mut self, reads: u32, writes: u32) {
        self.read_armed += reads;
        self.write_armed += writes;
    }

    /// The disk is replaced by one that works, with the same content.
    pub(crate) fn heal(&mut self) {
        (
            self.read_ppm,
            self.write_ppm,
            self.read_armed,
            self.write_armed,
        ) = (0, 0, 0, 0);
        self.sticky.clear();
    }

    pub(crate) fn check_read(
        &mut self,
        rng: &mut ChaCha8Rng,
        ino: Ino,
        range: Range<u64>,
        told: &mut Strikes,
    ) -> io::Result<()> {
        let armed = self.read_armed > 0;
        self.read_armed -= u32::from(armed);
        let strikes = (armed || rng.chance(self.read_ppm)).then_some("disk-read-error");
        self.check(rng, strikes, ino, range, told)
    }

    pub(crate) fn check_write(
        &mut self,
        rng: &mut ChaCha8Rng,
        ino: Ino,
        range: Range<u64>,
        told: &mut Strikes,
    ) -> io::Result<()> {
        let armed = self.write_armed > 0;
        self.write_armed -= u32::from(armed);
        let strikes = (armed || rng.chance(self.write_ppm)).then_some("disk-write-error");
        self.check(rng, strikes, ino, range, told)
    }

    fn check(
        &mut self,
        rng: &mut ChaCha8Rng,
        strikes: Option<&'static str>,
        ino: Ino,
        range: Range<u64>,
        told: &mut Strikes,
    ) -> io::Result<()> {
        let touches = |known: &(Ino, Range<u64>)| {
            known.0 == ino && known.1.start < range.end && range.start < known.1.end
        };
        if self.sticky.iter().any(touches) {
            told.hit_and_tell("disk-sticky-error");
            return Err(os_error(libc::EIO));
        }
        if let Some(kind) = strikes {
            told.hit_and_tell(kind);
            if rng.chance(self.sticky_ppm) {
                self.sticky.push((ino, range));
            }
            return Err(os_error(libc::EIO));
        }
        Ok(())
    }
}
