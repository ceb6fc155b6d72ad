//! Randomness, from one seed of the operating system's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use env::Entropy;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Where the seed comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// The operating system, once; no two streams are alike.
    OperatingSystem,
    /// This number, for tests: streams of one name are alike.
    Fixed(u64),
}

/// Named ChaCha8 generators, all drawn from one seed.
#[derive(Clone, Debug)]
pub struct TokioEntropy {
    root: Arc<Root>,
}

#[derive(Debug)]
struct Root {
    generator: ChaCha8Rng,
    /// Counts the streams given out; unused with a fixed seed.
    next: Option<AtomicU64>,
}

impl TokioEntropy {
    /// Takes the seed.
    ///
    /// # Errors
    /// The operating system has none to give.
    pub fn new(seed: Seed) -> io::Result<TokioEntropy> {
        let (generator, next) = match seed {
            Seed::OperatingSystem => {
                let mut bytes = [0; 32];
                let got =
                    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
                // Up to 256 bytes are never cut short (getrandom(2)).
                assert_eq!(got, bytes.len(), "the kernel cut a seed short");
                (ChaCha8Rng::from_seed(bytes), Some(AtomicU64::new(0)))
            }
            Seed::Fixed(seed) => (ChaCha8Rng::seed_from_u64(seed), None),
        };
        Ok(TokioEntropy {
            root: Arc::new(Root { generator, next }),
        })
    }
}

impl Entropy for TokioEntropy {
    fn stream(&self, label: &'static str, id: u64) -> ChaCha8Rng {
        let number = match &self.root.next {
            Some(next) => next.fetch_add(1, Ordering::Relaxed),
            None => name_hash(label, id),
        };
        // The child gets a key of its own, so that no draw from it tells anything of its siblings.
        let mut parent = self.root.generator.clone();
        parent.set_stream(number);
        let mut seed = [0; 32];
        parent.fill_bytes(&mut seed);
        ChaCha8Rng::from_seed(seed)
    }
}

/// FNV-1a over the label, a separator and the id. Only names that the program itself gives are hashed.
fn name_hash(label: &str, id: u64) -> u64 {
    let separator = [0xff];
    let bytes = label.bytes().chain(separator).chain(id.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(entropy: &TokioEntropy, label: &'static str, id: u64) -> u64 {
        entropy.stream(label, id).next_u64()
    }

    #[test]
    fn streams_of_a_fixed_seed_depend_on_their_name_alone() {
        let (a, b) = (
            TokioEntropy::new(Seed::Fixed(7)).unwrap(),
            TokioEntropy::new(Seed::Fixed(7)).unwrap(),
        );
        assert_eq!(draw(&a, "retry", 1), draw(&b, "retry", 1));
        assert_eq!(draw(&a, "retry", 1), draw(&a, "retry", 1));
        assert_ne!(draw(&a, "retry", 1), draw(&a, "retry", 2));
        assert_ne!(draw(&a, "retry", 1), draw(&a, "ids", 1));
        let other = TokioEntropy::new(Seed::Fixed(8)).unwrap();
        assert_ne!(draw(&a, "retry", 1), draw(&other, "retry", 1));
    }

    #[test]
    fn streams_of_the_operating_system_are_never_alike() {
        let (a, b) = (
            TokioEntropy::new(Seed::OperatingSystem).unwrap(),
            TokioEntropy::new(Seed::OperatingSystem).unwrap(),
        );
        let drawn = [
            draw(&a, "ids", 1),
            draw(&a, "ids", 1),
            draw(&b, "ids", 1),
            draw(&b, "ids", 1),
        ];
        for (i, one) in drawn.iter().enumerate() {
            assert!(!drawn[..i].contains(one), "a stream repeats: {drawn:?}");
        }
    }
}
