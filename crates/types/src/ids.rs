//! Identities and epochs.

use std::fmt;
use std::str::FromStr;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A node's id. -1 stands for no broker.
    BrokerId(i32)
);
number!(
    /// The epoch of a partition's leader: grows with every election. -1 stands for unknown.
    LeaderEpoch(i32)
);
number!(
    /// The version of a partition's registration: grows by one with every change.
    PartitionEpoch(i32)
);
number!(
    /// A partition's number within its topic.
    PartitionIndex(i32)
);
number!(
    /// An idempotent producer's id. -1 stands for none.
    ProducerId(i64)
);
number!(
    /// An idempotent producer's epoch. -1 stands for none.
    ProducerEpoch(i16)
);
number!(
    /// A producer's sequence number of a record in one partition. -1 stands for none; 2^31-1 is
    /// followed by 0.
    Sequence(i32)
);

impl BrokerId {
    /// No broker.
    pub const NONE: BrokerId = BrokerId(-1);
}

impl LeaderEpoch {
    /// Unknown.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// No producer id: the batch is not idempotent.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    /// No epoch.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

impl Sequence {
    /// No sequence.
    pub const NONE: Sequence = Sequence(-1);

    /// The sequence `count` records later, wrapping from 2^31-1 to 0.
    #[must_use]
    pub const fn plus(self, count: i32) -> Sequence {
        Sequence(((self.0 as i64 + count as i64) & 0x7fff_ffff) as i32)
    }
}

/// A 128-bit id of a topic or directory, printed as Kafka prints it: 22 characters of
/// URL-safe base64 without padding. Read as Kafka reads it: the four bits of the last character that
/// belong to no byte may be anything.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

/// A partition of a topic, named by the topic's id, which is never used again for another topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The partition's number.
    pub partition: PartitionIndex,
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// The id that stands for none: all zeros.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// The topic id of the metadata log `__cluster_metadata` (KIP-516).
    pub const METADATA_TOPIC: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Whether this is [`Uuid::ZERO`].
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Uuid::ZERO
    }

    /// An id from 16 random bytes, with the version and variant bits of a random UUID (RFC 9562, 5.4).
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Uuid {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 22];
        let bits = u128::from_be_bytes(self.0);
        for (i, slot) in text.iter_mut().enumerate() {
            // 128 bits are 21 groups of 6 and a last one of 2, padded with zeros on the right.
            let shift = 122 - 6 * i as i32;
            let six = if shift >= 0 {
                bits >> shift
            } else {
                bits << -shift
            };
            *slot = BASE64_URL[(six & 63) as usize];
        }
        f.write_str(std::str::from_utf8(&text).expect("the base64 alphabet is ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an id in Kafka's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UuidError;

impl fmt::Display for UuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 22 characters of URL-safe base64")
    }
}

impl std::error::Error for UuidError {}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Uuid, UuidError> {
        let text = text.trim_end_matches('=').as_bytes();
        if text.len() != 22 {
            return Err(UuidError);
        }
        let mut bits: u128 = 0;
        for (i, byte) in text.iter().enumerate() {
            let six = BASE64_URL.iter().position(|b| b == byte).ok_or(UuidError)? as u128;
            if i < 21 {
                bits = (bits << 6) | six;
            } else {
                bits = (bits << 2) | (six >> 4);
            }
        }
        Ok(Uuid(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_text_round_trips() {
        for seed in 0u8..=255 {
            let uuid = Uuid(std::array::from_fn(|i| {
                seed.wrapping_mul(31).wrapping_add(i as u8 * 7)
            }));
            assert_eq!(uuid.to_string().parse(), Ok(uuid));
        }
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!("short".parse::<Uuid>(), Err(UuidError));
        let id: Uuid = "MkU3OEVBNTcwNTJENDM2Qk".parse().unwrap();
        assert_eq!(&id.0, b"2E78EA57052D436B");
        assert_eq!(id.to_string(), "MkU3OEVBNTcwNTJENDM2Qg");
    }

    #[test]
    fn sequence_wraps_to_zero() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
        assert_eq!(Sequence(5).plus(2), Sequence(7));
    }
}
