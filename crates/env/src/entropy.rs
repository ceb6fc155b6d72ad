//! Randomness.

pub use rand_chacha::ChaCha8Rng;

/// The only source of randomness.
pub trait Entropy: Clone + Send + Sync + 'static {
    /// A generator of its own for each use, named by `label` and `id`, so that one more draw in one
    /// place changes nothing elsewhere. Two calls with the same name give generators in the same state
    /// within one run of a process in the simulator, and unrelated ones in production.
    fn stream(&self, label: &'static str, id: u64) -> ChaCha8Rng;
}
