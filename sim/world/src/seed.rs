//! From one number to as many independent generators as there are uses.
//!
//! Every consumer of randomness has a stream of its own, named by what it is for, so that one more draw
//! in one place changes nothing elsewhere. All arithmetic is on integers: the same seed gives the same
//! world on every machine.

use std::hash::{Hash, Hasher};

pub use env::entropy::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const FOLD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes two words into one. For either word fixed, different others give different results.
#[inline]
#[must_use]
pub const fn mix(a: u64, b: u64) -> u64 {
    let mut x = (a.rotate_left(23) ^ b).wrapping_add(FOLD);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A [`Hasher`] whose result depends on its input alone: not on the process, release or machine.
#[derive(Clone, Copy, Debug)]
pub struct Mixer(u64);

impl Mixer {
    /// A hasher that starts from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Mixer {
        Mixer(mix(seed, FOLD))
    }

    /// Takes in one value.
    #[must_use]
    pub fn with(mut self, value: impl Hash) -> Mixer {
        value.hash(&mut self);
        self
    }

    /// The generator named by all that was taken in.
    #[must_use]
    pub fn stream(self) -> ChaCha8Rng {
        let mut key = [0u8; 32];
        for (i, chunk) in key.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&mix(self.0, i as u64 + 1).to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

impl Hasher for Mixer {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
            self.0 = mix(self.0, word);
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0u8; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.0 = mix(
                self.0,
                u64::from_le_bytes(word) ^ ((rest.len() as u64) << 56),
            );
        }
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0, value);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

/// A digest of bytes for the trace: all of a short input, head, tail and samples of a long one.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    const WHOLE: usize = 2048;
    let mut mixer = Mixer::new(bytes.len() as u64);
    if bytes.len() <= WHOLE {
        mixer.write(bytes);
    } else {
        mixer.write(&bytes[..256]);
        mixer.write(&bytes[bytes.len() - 256..]);
        for at in (256..bytes.len() - 8).step_by(128) {
            mixer.write(&bytes[at..at + 8]);
        }
    }
    mixer.finish()
}

/// What the world draws from its generators.
pub trait Draw {
    /// Any word.
    fn word(&mut self) -> u64;

    /// A number below `n`.
    ///
    /// # Panics
    /// If `n` is zero.
    #[inline]
    fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "nothing is below zero");
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// An index below `n`.
    #[inline]
    fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    #[inline]
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below((high - low).saturating_add(1))
    }

    /// True `ppm` times in a million. Draws nothing if that is never or always.
    #[inline]
    fn chance(&mut self, ppm: u32) -> bool {
        match ppm {
            0 => false,
            1_000_000.. => true,
            _ => self.below(1_000_000) < u64::from(ppm),
        }
    }

    /// True half the time.
    #[inline]
    fn coin(&mut self) -> bool {
        self.word() >> 63 == 1
    }

    /// A number from `low` to `high` whose order of magnitude is uniform.
    fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let (low, high) = (low.max(1), high.max(1));
        if low >= high {
            return low;
        }
        let bits = self.between(u64::from(low.ilog2()), u64::from(high.ilog2())) as u32;
        let least = 1u64 << bits;
        let value = least + self.below(least);
        value.clamp(low, high)
    }

    /// A duration around `base` with a heavy tail: nine in ten within half and one and a half of it,
    /// one in ten thousand up to a thousand times as long.
    #[inline]
    fn heavy_tail(&mut self, base: u64) -> u64 {
        let word = self.word();
        let (class, fine) = (word >> 48, word & 0xffff_ffff);
        let scale = |low: u64, high: u64| {
            let permille = low + ((fine * (high - low)) >> 32);
            base.saturating_mul(permille) / 1000
        };
        match class {
            0..59_000 => scale(500, 1_500),
            59_000..64_900 => scale(1_500, 10_000),
            64_900..65_529 => scale(10_000, 100_000),
            _ => scale(100_000, 1_000_000),
        }
    }
}

impl Draw for ChaCha8Rng {
    #[inline]
    fn word(&mut self) -> u64 {
        self.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_by_everything_taken_in() {
        let name = |seed: u64, node: &str, id: u64| Mixer::new(seed).with(node).with(id).stream();
        assert_eq!(name(1, "a", 2).word(), name(1, "a", 2).word());
        let first = name(1, "a", 2).word();
        for mut other in [name(2, "a", 2), name(1, "b", 2), name(1, "a", 3)] {
            assert_ne!(first, other.word());
        }
    }

    #[test]
    fn draws_stay_in_their_ranges() {
        let mut rng = Mixer::new(7).stream();
        let mut tail = 0;
        for _ in 0..100_000 {
            assert!(rng.below(10) < 10);
            assert!((3..=5).contains(&rng.between(3, 5)));
            assert!((100..=70_000).contains(&rng.magnitude(100, 70_000)));
            let drawn = rng.heavy_tail(1000);
            assert!((500..=1_000_000).contains(&drawn), "{drawn}");
            tail += u32::from(drawn > 10_000);
        }
        assert!(
            (500..2_000).contains(&tail),
            "the tail is heavy, but a tail: {tail}"
        );
        assert!(!rng.chance(0) && rng.chance(1_000_000));
    }

    #[test]
    fn digests_see_length_head_and_tail() {
        let long = vec![1u8; 100_000];
        let mut changed = long.clone();
        *changed.last_mut().expect("not empty") = 2;
        assert_ne!(digest(&long), digest(&changed));
        assert_ne!(digest(&long), digest(&long[1..]));
        assert_ne!(digest(b"a"), digest(b"a\0"));
    }
}
