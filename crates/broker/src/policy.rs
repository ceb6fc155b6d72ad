//! A topic's settings, as the rooms after this one take them.

use metadata::TopicConfig;
use metadata::configs::topic::{CompressionType, Durability, TimestampType};
use records::Codec;
use records::validate::{Inspect, Origin, ProducePolicy, TargetCodec};
use types::Wall;

/// What a batch is judged by.
pub(crate) fn produce(
    config: &TopicConfig,
    produce_version: i16,
    now: Wall,
    decompressed_bytes_max: usize,
) -> ProducePolicy {
    ProducePolicy {
        origin: Origin::Client,
        produce_version,
        max_message_bytes: usize::try_from(config.max_message_bytes).unwrap_or(0),
        segment_bytes: usize::try_from(config.segment_bytes).unwrap_or(0),
        timestamp_type: match config.message_timestamp_type {
            TimestampType::CreateTime => records::TimestampType::CreateTime,
            TimestampType::LogAppendTime => records::TimestampType::LogAppendTime,
        },
        before_max_ms: config.message_timestamp_before_max_ms,
        after_max_ms: config.message_timestamp_after_max_ms,
        now,
        compacted: config.compacts(),
        target_codec: target_codec(config),
        max_decompressed_bytes: decompressed_bytes_max,
        inspect: Inspect::WhenNeeded,
    }
}

fn target_codec(config: &TopicConfig) -> TargetCodec {
    let specific = |codec, level| TargetCodec::Specific { codec, level };
    match config.compression_type {
        CompressionType::Producer => TargetCodec::Producer,
        CompressionType::Uncompressed => specific(Codec::None, None),
        CompressionType::Gzip => specific(Codec::Gzip, Some(config.compression_gzip_level)),
        CompressionType::Snappy => specific(Codec::Snappy, None),
        CompressionType::Lz4 => specific(Codec::Lz4, Some(config.compression_lz4_level)),
        CompressionType::Zstd => specific(Codec::Zstd, Some(config.compression_zstd_level)),
    }
}

/// When records count as held.
pub(crate) fn durability(config: &TopicConfig) -> partition::Durability {
    match config.durability {
        Durability::Synced => partition::Durability::Synced,
        Durability::Replicated => partition::Durability::Replicated,
    }
}
