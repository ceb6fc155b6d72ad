//! Arbitrary messages, for the property tests of this crate and others.

use crate::codec::dice::Dice;
use crate::codec::{Message, Reader};

/// A message in which every field that `version` has is filled at random; the same for the same
/// seed.
///
/// # Panics
///
/// If the message has no such version.
#[must_use]
pub fn arbitrary<M: Message>(seed: u64, version: i16) -> M {
    M::decode(&mut Reader::from_dice(Dice::new(seed)), version)
        .expect("dice give a value for every field")
}
