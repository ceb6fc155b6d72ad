//! Which partition a record goes to when the caller does not say.
//!
//! A record with a key goes where the Java client would send it: murmur2 of the key, so that clients
//! of both kinds keep the records of one key together. Records without a key stick to one partition
//! until a batch's worth of bytes went there, and then to another one drawn at random (KIP-794): large
//! batches cost less than an even spread of small ones.

use std::collections::BTreeMap;

use env::entropy::ChaCha8Rng;
use protocol::Str;
use rand_core::Rng;

use crate::metadata::Topic;

/// The hash that Kafka's clients take of keys: MurmurHash2, 32 bits, with their seed.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().expect("chunks of four bytes"));
        k = k.wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key among `partitions`.
///
/// # Panics
/// If `partitions` is not positive.
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has a partition");
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
}

/// The partitions that keyless records stick to.
#[derive(Debug)]
pub(super) struct Sticky {
    rng: ChaCha8Rng,
    /// Bytes after which to move on.
    bytes_max: usize,
    topics: BTreeMap<Str, (i32, usize)>,
}

impl Sticky {
    pub fn new(rng: ChaCha8Rng, bytes_max: usize) -> Sticky {
        Sticky {
            rng,
            bytes_max,
            topics: BTreeMap::new(),
        }
    }

    /// The partition for a keyless record of `bytes`. Prefers partitions that have a leader.
    pub fn choose(&mut self, topic: &Topic, bytes: usize) -> i32 {
        let usable = |id: i32| topic.partitions.get(&id).is_some_and(|p| p.leader >= 0);
        if let Some((partition, filled)) = self.topics.get_mut(&topic.name)
            && usable(*partition)
            && *filled < self.bytes_max
        {
            *filled += bytes;
            return *partition;
        }
        let mut choices: Vec<i32> = topic.partitions.keys().copied().collect();
        if choices.iter().any(|id| usable(*id)) {
            choices.retain(|id| usable(*id));
        }
        let last = self
            .topics
            .get(&topic.name)
            .map(|(partition, _)| *partition);
        if choices.len() > 1 {
            choices.retain(|id| Some(*id) != last);
        }
        let partition = choices[self.rng.next_u32() as usize % choices.len()];
        self.topics.insert(topic.name.clone(), (partition, bytes));
        partition
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use types::{ErrorCode, Uuid};

    use super::*;
    use crate::metadata::Partition;

    /// The values that Kafka's own test expects (UtilsTest.testMurmur2).
    #[test]
    fn murmur2_is_that_of_the_java_client() {
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }

    #[test]
    fn keys_have_fixed_partitions() {
        // (-973932308 & 0x7fffffff) % 12 and so on, by hand.
        assert_eq!(partition_of_key(b"21", 12), 1_173_551_340 % 12);
        assert_eq!(partition_of_key(b"abc", 7), 479_470_107 % 7);
        assert_eq!(partition_of_key(b"", 1), 0);
    }

    #[test]
    fn keyless_records_stick_and_then_move() {
        let partition = |leader| Partition {
            error: ErrorCode::NONE,
            leader,
            leader_epoch: 0,
            replicas: vec![],
            isr: vec![],
            offline: vec![],
        };
        let mut topic = Topic {
            name: Str::from("t"),
            id: Uuid::ZERO,
            internal: false,
            partitions: [(0, partition(1)), (1, partition(-1)), (2, partition(1))].into(),
        };
        let mut sticky = Sticky::new(ChaCha8Rng::seed_from_u64(1), 100);
        let first = sticky.choose(&topic, 60);
        assert_eq!(sticky.choose(&topic, 60), first);
        let second = sticky.choose(&topic, 60);
        assert_ne!(second, first);
        assert_ne!(second, 1, "it has no leader");
        topic.partitions.insert(second, partition(-1));
        assert_eq!(sticky.choose(&topic, 1), first, "it lost its leader");
        topic.partitions.insert(first, partition(-1));
        // With no leader anywhere the records wait for one somewhere.
        let anywhere = sticky.choose(&topic, 1);
        assert!((0..3).contains(&anywhere));
    }
}
