//! What a topic and a request ask of a batch.

use types::{TimestampMs, Wall};

use crate::compression::Codec;
use crate::layout::TimestampType;

/// Who wrote the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A client: nothing is taken on trust.
    Client,
    /// This broker's coordinators: control batches and sequences of -1 are theirs to write.
    Coordinator,
}

/// The codec that a topic's batches are stored with: `compression.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetCodec {
    /// The producer's.
    #[default]
    Producer,
    /// This one, at this level (`compression.gzip.level` and so on).
    Specific {
        /// The codec; `Codec::None` is a topic's `uncompressed`.
        codec: Codec,
        /// The level, or the codec's default.
        level: Option<i32>,
    },
}

/// When the records of a compressed batch are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inspect {
    /// When the topic's configuration or the header gives a reason.
    #[default]
    WhenNeeded,
    /// Always, as Kafka does.
    Always,
}

/// What a topic and a request ask of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducePolicy {
    /// Who wrote the batch.
    pub origin: Origin,
    /// The version of the Produce request.
    pub produce_version: i16,
    /// `max.message.bytes`.
    pub max_message_bytes: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `i64::MAX` for no bound.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX` for no bound.
    pub after_max_ms: i64,
    /// The broker's wall clock.
    pub now: Wall,
    /// Whether `cleanup.policy` has `compact`: then every record needs a key.
    pub compacted: bool,
    /// `compression.type`.
    pub target_codec: TargetCodec,
    /// The most that one batch may decompress to.
    pub max_decompressed_bytes: usize,
    /// When the records of a compressed batch are looked at.
    pub inspect: Inspect,
}

impl ProducePolicy {
    /// Kafka 4's defaults for a topic, at the time `now`.
    #[must_use]
    pub fn new(now: Wall) -> ProducePolicy {
        ProducePolicy {
            origin: Origin::Client,
            produce_version: 13,
            max_message_bytes: 1_048_588,
            segment_bytes: 1 << 30,
            timestamp_type: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
            now,
            compacted: false,
            target_codec: TargetCodec::Producer,
            max_decompressed_bytes: 64 << 20,
            inspect: Inspect::WhenNeeded,
        }
    }

    /// Whether a producer's timestamp is further from the broker's clock than the topic allows.
    pub(super) fn is_out_of_bounds(&self, timestamp: TimestampMs) -> bool {
        if timestamp == TimestampMs::NONE {
            return false;
        }
        let age = i128::from(self.now.0) - i128::from(timestamp.0);
        age > i128::from(self.before_max_ms) || -age > i128::from(self.after_max_ms)
    }
}
