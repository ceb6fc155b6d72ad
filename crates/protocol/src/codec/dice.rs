//! Values out of thin air, for property tests.
//!
//! A [`Reader`](super::Reader) that rolls dice where it would read bytes turns every message's
//! `decode` into a generator of arbitrary messages: exactly the fields of the version, nulls only
//! where they are allowed, absent fields at their defaults. No generator has to be generated.

use bytes::Bytes;

use super::text::Str;

/// A small generator of random values (SplitMix64), seeded.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// Tags that a struct may be asked for; the schemas use 0 to 9.
    pub(crate) const TAGS: u32 = 12;

    pub(crate) fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Numbers: often small, -1 or an extreme.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = match self.below(8) {
            0 => [0xff; N],
            1 => [0; N],
            2 | 3 => {
                let mut small = [0; N];
                small[N - 1] = self.next() as u8;
                small
            }
            _ => std::array::from_fn(|_| self.next() as u8),
        };
        if self.below(16) == 0 {
            bytes[0] ^= 0x80;
        }
        bytes
    }

    pub(crate) fn f64(&mut self) -> f64 {
        (self.next() as i64) as f64 / 1024.0
    }

    fn len(&mut self) -> usize {
        let max = match self.below(32) {
            0 => 3000,
            1..8 => 200,
            _ => 8,
        };
        self.below(max) as usize
    }

    pub(crate) fn text(&mut self, nullable: bool) -> Option<Str> {
        if nullable && self.below(4) == 0 {
            return None;
        }
        let len = self.len();
        let text: String = (0..len)
            .map(|_| match self.below(16) {
                0 => 'é',
                1 => '日',
                n => char::from(b'a' + n as u8),
            })
            .collect();
        Some(Str::from(text))
    }

    pub(crate) fn bytes(&mut self, nullable: bool) -> Option<Bytes> {
        if nullable && self.below(4) == 0 {
            return None;
        }
        let len = self.len();
        Some((0..len).map(|_| self.next() as u8).collect())
    }

    pub(crate) fn array_len(&mut self, nullable: bool) -> Option<usize> {
        if nullable && self.below(4) == 0 {
            return None;
        }
        Some(self.below(4) as usize)
    }

    /// Some of the tags below [`Dice::TAGS`], ascending.
    pub(crate) fn next_tag(&mut self, left: &mut u32) -> Option<u32> {
        while *left > 0 {
            *left -= 1;
            if self.bool() {
                return Some(Dice::TAGS - 1 - *left);
            }
        }
        None
    }
}
