//! Ids of new topics.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use types::Uuid;

use crate::Controller;

/// The ids that one decision may use.
pub(crate) struct FreshIds<'a> {
    controller: &'a Controller,
    generator: ChaCha8Rng,
}

impl Controller {
    /// Ids that no topic has had: a stream of their own for every count of records replayed, of a seed
    /// that no other controller has.
    pub(crate) fn fresh_ids(&self) -> FreshIds<'_> {
        let mut generator = ChaCha8Rng::from_seed(self.config.seed);
        generator.set_stream(self.replayed);
        FreshIds {
            controller: self,
            generator,
        }
    }
}

impl FreshIds<'_> {
    /// The next one. As in Kafka, none that starts with a dash: tools would take it for an option.
    pub fn next(&mut self) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            self.generator.fill_bytes(&mut bytes);
            let id = Uuid::from_random(bytes);
            if !id.to_string().starts_with('-') && self.controller.image.topic_by_id(id).is_none() {
                return id;
            }
        }
    }
}
