//! Randomness of a node: streams named by seed, node, process, label and id.

use env::Entropy;
use env::entropy::ChaCha8Rng;

use crate::seed::Mixer;
use crate::shared::Handle;

/// The randomness of a process.
#[derive(Clone)]
pub struct SimEntropy(pub(crate) Handle);

impl Entropy for SimEntropy {
    fn stream(&self, label: &'static str, id: u64) -> ChaCha8Rng {
        let core = self.0.lock();
        Mixer::new(core.seed)
            .with("entropy")
            .with(&*core.nodes[self.0.node as usize].name)
            .with(self.0.incarnation)
            .with(label)
            .with(id)
            .stream()
    }
}
